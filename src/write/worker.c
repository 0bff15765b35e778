#include "write/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

/* While nothing comes, naps grow from the first to the second: a quiet log costs next to nothing, and a commit that
 * falls due is at most this late. */
#define SHORTEST_NAP 1000000
#define LONGEST_NAP  20000000

struct worker {
    struct queue *queue;
    struct delivery *delivery;
    pthread_t thread;
    /* The mutex protects `answered`; the producer waits for it to reach the number of requests it made. */
    pthread_mutex_t mutex;
    pthread_cond_t answer;
    uint64_t answered;
    uint64_t asked; /* producer only */
    _Atomic bool cut;
};

static void answer(struct worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    worker->answered++;
    pthread_cond_signal(&worker->answer);
    pthread_mutex_unlock(&worker->mutex);
}

/* Once cut, the worker goes as far as the producer has come by then. */
static bool is_cut_off(const struct worker *worker, uint64_t *end)
{
    if (!atomic_load_explicit(&worker->cut, memory_order_acquire)) return false;
    if (*end == UINT64_MAX) *end = queue_published(worker->queue);
    return queue_read(worker->queue) >= *end;
}

/* NULL: none came before the nap was over. */
static const struct message *next_message(struct worker *worker, int64_t nap)
{
    const struct message *message = queue_next(worker->queue, 0);
    if (message != NULL) return message;
    delivery_settle(worker->delivery);
    queue_release_passed(worker->queue);
    delivery_tick(worker->delivery);
    return queue_next(worker->queue, nap);
}

/* Where the delivery still needs the message, its room is given back later, with that of those behind it. */
static void leave(struct worker *worker)
{
    if (delivery_borrows(worker->delivery)) {
        if (queue_pass(worker->queue)) return;
        delivery_settle(worker->delivery);
    }
    queue_release(worker->queue);
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    /* Only for debuggers and top. */
    (void)pthread_setname_np(pthread_self(), "trajlog");
    int64_t nap = SHORTEST_NAP;
    uint64_t end = UINT64_MAX;
    enum message_kind kind = MESSAGE_FRAME;
    while (kind != MESSAGE_CLOSE) {
        if (is_cut_off(worker, &end)) {
            delivery_cut(worker->delivery);
            break;
        }
        const struct message *message = next_message(worker, nap);
        if (message == NULL) {
            nap = nap < LONGEST_NAP / 2 ? 2 * nap : LONGEST_NAP;
            continue;
        }
        nap = SHORTEST_NAP;
        kind = message->kind;
        delivery_take(worker->delivery, message);
        leave(worker);
        if (kind != MESSAGE_FRAME && kind != MESSAGE_CLOSE) answer(worker);
    }
    return NULL;
}

static int bind_to_cpu(pthread_attr_t *attributes, int cpu)
{
    cpu_set_t *set = CPU_ALLOC((size_t)cpu + 1);
    size_t bytes = CPU_ALLOC_SIZE((size_t)cpu + 1);
    if (set == NULL) return ENOMEM;
    CPU_ZERO_S(bytes, set);
    CPU_SET_S((size_t)cpu, bytes, set);
    int refused = pthread_attr_setaffinity_np(attributes, bytes, set);
    CPU_FREE(set);
    return refused;
}

/* Signals are the host's: the new thread inherits a mask that blocks them all. */
static int create_thread(struct worker *worker, const pthread_attr_t *attributes)
{
    sigset_t all, before;
    sigfillset(&all);
    int refused = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (refused != 0) return refused;
    refused = pthread_create(&worker->thread, attributes, run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return refused;
}

static int start_thread(struct worker *worker, int cpu)
{
    pthread_attr_t attributes;
    int refused = pthread_attr_init(&attributes);
    if (refused != 0) return refused;
    if (cpu != ANY_CPU) refused = bind_to_cpu(&attributes, cpu);
    if (refused == 0) refused = create_thread(worker, &attributes);
    pthread_attr_destroy(&attributes);
    return refused;
}

trajlog_status worker_start(struct worker **worker, struct queue *queue, struct delivery *delivery, int cpu,
                            struct error *error)
{
    *worker = NULL;
    struct worker *made = calloc(1, sizeof *made);
    if (made == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for the worker");
    made->queue = queue;
    made->delivery = delivery;
    int refused = pthread_mutex_init(&made->mutex, NULL);
    if (refused != 0) goto no_mutex;
    refused = pthread_cond_init(&made->answer, NULL);
    if (refused != 0) goto no_condition;
    refused = start_thread(made, cpu);
    if (refused != 0) goto no_thread;
    *worker = made;
    return TRAJLOG_OK;
no_thread:
    pthread_cond_destroy(&made->answer);
no_condition:
    pthread_mutex_destroy(&made->mutex);
no_mutex:
    free(made);
    if (cpu != ANY_CPU && refused == EINVAL)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, refused, "the worker thread cannot run on CPU %d", cpu);
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, refused, "the worker thread could not be started");
}

static void request(struct worker *worker, enum message_kind kind, int64_t step, double time, const trajlog_drop *drop)
{
    struct message *message = queue_reserve_wait(worker->queue, MESSAGE_SMALLEST, kind, INT64_MAX);
    frame_begin(message, NULL, 0, step, time);
    message->drop = *drop;
    queue_publish(worker->queue);
}

void worker_ask(struct worker *worker, enum message_kind kind, int64_t step, double time, const trajlog_drop *drop)
{
    worker->asked++;
    request(worker, kind, step, time, drop);
    pthread_mutex_lock(&worker->mutex);
    while (worker->answered < worker->asked) pthread_cond_wait(&worker->answer, &worker->mutex);
    pthread_mutex_unlock(&worker->mutex);
}

void worker_stop(struct worker *worker, int64_t step, const trajlog_drop *drop)
{
    if (worker == NULL) return;
    request(worker, MESSAGE_CLOSE, step, 0.0, drop);
    pthread_join(worker->thread, NULL);
    pthread_cond_destroy(&worker->answer);
    pthread_mutex_destroy(&worker->mutex);
    free(worker);
}

void worker_cut(struct worker *worker)
{
    atomic_store_explicit(&worker->cut, true, memory_order_release);
    queue_wake(worker->queue);
    pthread_join(worker->thread, NULL);
}

void worker_forget(struct worker *worker)
{
    free(worker);
}
