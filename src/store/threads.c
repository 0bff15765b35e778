/* One queue of tasks under one mutex, which threads and whoever waits for a task take from.
 *
 * Writing has threads that encode, reading has threads that decode, and neither knows the other: so what they share
 * lies below them, here, though the store itself runs in whatever thread it is called in, and sees helpers.h only.
 * Threads that help are started and ended nowhere else; the only other thread is the log's own, in write/worker.c. */
#include "store/threads.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct threads {
    /* Protects what is below it, and `done` of all tasks. Threads wait for `work`, who finishes for `finished`. */
    pthread_mutex_t mutex;
    pthread_cond_t work, finished;
    struct task *first, **last; /* that no thread has taken yet */
    bool end;
    const char *name; /* only for debuggers and top */
    int count;
    pthread_t threads[];
};

static struct task *take_first(struct threads *threads)
{
    struct task *task = threads->first;
    threads->first = task->next;
    if (threads->first == NULL) threads->last = &threads->first;
    return task;
}

/* Called with the mutex locked, which is given up while the task runs. */
static void run_first(struct threads *threads)
{
    struct task *task = take_first(threads);
    pthread_mutex_unlock(&threads->mutex);
    task->run(task);
    pthread_mutex_lock(&threads->mutex);
    task->done = true;
    pthread_cond_signal(&threads->finished);
}

static void *run(void *argument)
{
    struct threads *threads = argument;
    (void)pthread_setname_np(pthread_self(), threads->name);
    pthread_mutex_lock(&threads->mutex);
    while (!threads->end) {
        if (threads->first != NULL) run_first(threads);
        else pthread_cond_wait(&threads->work, &threads->mutex);
    }
    pthread_mutex_unlock(&threads->mutex);
    return NULL;
}

static void begin(void *context, struct task *task)
{
    struct threads *threads = context;
    pthread_mutex_lock(&threads->mutex);
    task->next = NULL;
    task->done = false;
    *threads->last = task;
    threads->last = &task->next;
    pthread_cond_signal(&threads->work);
    pthread_mutex_unlock(&threads->mutex);
}

/* Whoever waits helps: with the tasks before this one, and with this one. */
static void finish(void *context, struct task *task)
{
    struct threads *threads = context;
    pthread_mutex_lock(&threads->mutex);
    while (!task->done) {
        if (threads->first != NULL) run_first(threads);
        else pthread_cond_wait(&threads->finished, &threads->mutex);
    }
    pthread_mutex_unlock(&threads->mutex);
}

struct helpers threads_helpers(struct threads *threads)
{
    return (struct helpers){.context = threads, .count = threads->count, .begin = begin, .finish = finish};
}

void threads_stop(struct threads *threads)
{
    if (threads == NULL) return;
    pthread_mutex_lock(&threads->mutex);
    threads->end = true;
    pthread_cond_broadcast(&threads->work);
    pthread_mutex_unlock(&threads->mutex);
    for (int i = 0; i < threads->count; i++) pthread_join(threads->threads[i], NULL);
    pthread_cond_destroy(&threads->finished);
    pthread_cond_destroy(&threads->work);
    pthread_mutex_destroy(&threads->mutex);
    free(threads);
}

void threads_forget(struct threads *threads)
{
    free(threads);
}

/* Signals are the host's: the new threads inherit a mask that blocks them all. Returns what the system refused with. */
static int start_threads(struct threads *threads, int count)
{
    sigset_t all, before;
    sigfillset(&all);
    int refused = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (refused != 0) return refused;
    while (refused == 0 && threads->count < count) {
        refused = pthread_create(&threads->threads[threads->count], NULL, run, threads);
        if (refused == 0) threads->count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return refused;
}

static struct threads *make(int count, const char *name)
{
    struct threads *made = calloc(1, sizeof *made + (size_t)count * sizeof made->threads[0]);
    if (made == NULL) return NULL;
    made->last = &made->first;
    made->name = name;
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

trajlog_status threads_start(struct threads **threads, int count, const char *name, struct error *error)
{
    *threads = NULL;
    struct threads *made = make(count, name);
    if (made == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for threads");
    int refused = start_threads(made, count);
    if (refused == 0) {
        *threads = made;
        return TRAJLOG_OK;
    }
    threads_stop(made);
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, refused, "a thread could not be started");
}
