#include "write/encoders.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct encoders {
    /* Protects what is below it, and `done` of all tasks. Threads wait for `work`, the store for `finished`. */
    pthread_mutex_t mutex;
    pthread_cond_t work, finished;
    struct task *first, **last; /* that no thread has taken yet */
    bool end;
    int count;
    pthread_t threads[];
};

static struct task *take_first(struct encoders *encoders)
{
    struct task *task = encoders->first;
    encoders->first = task->next;
    if (encoders->first == NULL) encoders->last = &encoders->first;
    return task;
}

/* Called with the mutex locked, which is given up while the task runs. */
static void run_first(struct encoders *encoders)
{
    struct task *task = take_first(encoders);
    pthread_mutex_unlock(&encoders->mutex);
    task->run(task);
    pthread_mutex_lock(&encoders->mutex);
    task->done = true;
    pthread_cond_signal(&encoders->finished);
}

static void *run(void *argument)
{
    struct encoders *encoders = argument;
    /* Only for debuggers and top. */
    (void)pthread_setname_np(pthread_self(), "trajlog-encode");
    pthread_mutex_lock(&encoders->mutex);
    while (!encoders->end) {
        if (encoders->first != NULL) run_first(encoders);
        else pthread_cond_wait(&encoders->work, &encoders->mutex);
    }
    pthread_mutex_unlock(&encoders->mutex);
    return NULL;
}

static void begin(void *context, struct task *task)
{
    struct encoders *encoders = context;
    pthread_mutex_lock(&encoders->mutex);
    task->next = NULL;
    task->done = false;
    *encoders->last = task;
    encoders->last = &task->next;
    pthread_cond_signal(&encoders->work);
    pthread_mutex_unlock(&encoders->mutex);
}

/* Tasks are taken in the order in which they come: one that is finished first is the first, or has been taken. */
static void finish(void *context, struct task *task)
{
    struct encoders *encoders = context;
    pthread_mutex_lock(&encoders->mutex);
    if (encoders->first == task) run_first(encoders);
    while (!task->done) pthread_cond_wait(&encoders->finished, &encoders->mutex);
    pthread_mutex_unlock(&encoders->mutex);
}

struct helpers encoders_helpers(struct encoders *encoders)
{
    return (struct helpers){.context = encoders, .count = encoders->count, .begin = begin, .finish = finish};
}

void encoders_stop(struct encoders *encoders)
{
    if (encoders == NULL) return;
    pthread_mutex_lock(&encoders->mutex);
    encoders->end = true;
    pthread_cond_broadcast(&encoders->work);
    pthread_mutex_unlock(&encoders->mutex);
    for (int i = 0; i < encoders->count; i++) pthread_join(encoders->threads[i], NULL);
    pthread_cond_destroy(&encoders->finished);
    pthread_cond_destroy(&encoders->work);
    pthread_mutex_destroy(&encoders->mutex);
    free(encoders);
}

void encoders_forget(struct encoders *encoders)
{
    free(encoders);
}

/* Signals are the host's: the new threads inherit a mask that blocks them all. Returns what the system refused with. */
static int start_threads(struct encoders *encoders, int count)
{
    sigset_t all, before;
    sigfillset(&all);
    int refused = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (refused != 0) return refused;
    while (refused == 0 && encoders->count < count) {
        refused = pthread_create(&encoders->threads[encoders->count], NULL, run, encoders);
        if (refused == 0) encoders->count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return refused;
}

static struct encoders *make(int count)
{
    struct encoders *made = calloc(1, sizeof *made + (size_t)count * sizeof made->threads[0]);
    if (made == NULL) return NULL;
    made->last = &made->first;
    if (pthread_mutex_init(&made->mutex, NULL) != 0) goto no_mutex;
    if (pthread_cond_init(&made->work, NULL) != 0) goto no_work;
    if (pthread_cond_init(&made->finished, NULL) == 0) return made;
    pthread_cond_destroy(&made->work);
no_work:
    pthread_mutex_destroy(&made->mutex);
no_mutex:
    free(made);
    return NULL;
}

trajlog_status encoders_start(struct encoders **encoders, int count, struct error *error)
{
    *encoders = NULL;
    struct encoders *made = make(count);
    if (made == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for the encoder threads");
    int refused = start_threads(made, count);
    if (refused == 0) {
        *encoders = made;
        return TRAJLOG_OK;
    }
    encoders_stop(made);
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, refused, "an encoder thread could not be started");
}
