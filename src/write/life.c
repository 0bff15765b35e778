/* The handler for exit is registered when libhdf5 is at work already, so that it runs before libhdf5's own, which would
 * tear down files under our workers. In a library that is unloaded, the C library runs it at that moment.
 *
 * It may run while a thread is amid a call on a log: another thread, or the one that exits, from a callback or a signal
 * handler. What that call is changing cannot be touched. Then the worker writes what is in the queue, and the file is
 * closed; only in synchronous mode, and before the first step, the file stays as a kill would leave it. */
#include "write/life.h"

#include <stdlib.h>

#include "store/hdf5_lock.h"
#include "write/writer.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t closed = PTHREAD_COND_INITIALIZER;
static trajlog_writer *logs;
static bool will_run; /* end_logs is registered */
static pthread_once_t forks_once = PTHREAD_ONCE_INIT;
static int forks_result;

/* --------------------------------------------------------------------------------------------------------- fork --- */

static void before_fork(void)
{
    pthread_mutex_lock(&mutex);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&mutex);
}

/* The child has no worker, and may not write: from here on its copies only carry an error. */
static void after_fork_in_child(void)
{
    static const struct error error = {TRAJLOG_INVALID_STATE, 0,
                                       "the log is the parent process's: after fork(), the child cannot write it"};
    for (trajlog_writer *log = logs; log != NULL; log = log->life.next) {
        log->life.state = LIFE_ORPHANED;
        log->error = error;
        log->failed = true;
    }
    pthread_mutex_unlock(&mutex);
}

static void watch_forks(void)
{
    forks_result = pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

/* --------------------------------------------------------------------------------------------------------- exit --- */

static bool is_mine(const trajlog_writer *log)
{
    return pthread_equal(atomic_load_explicit(&log->life.thread, memory_order_relaxed), pthread_self());
}

static trajlog_writer *find(enum life_state state)
{
    trajlog_writer *log = logs;
    while (log != NULL && log->life.state != state) log = log->life.next;
    return log;
}

/* Ends a log that nobody else ends. The mutex is given up meanwhile. Returns whether its file is closed. */
static bool end_log(trajlog_writer *log)
{
    struct worker *worker = log->life.worker;
    bool whole = is_mine(log) && !log->life.in_call;
    log->life.state = whole ? LIFE_ENDED : LIFE_LOST;
    pthread_mutex_unlock(&mutex);
    if (whole) writer_end(log);
    else if (worker != NULL) writer_cut(log, worker);
    pthread_mutex_lock(&mutex);
    return whole || worker != NULL;
}

/* Waits for those who are closing their logs; false if this thread is one of them. */
static bool await_closers(void)
{
    trajlog_writer *log;
    while ((log = find(LIFE_CLOSING)) != NULL) {
        if (is_mine(log)) return false;
        pthread_cond_wait(&closed, &mutex);
    }
    return true;
}

static void end_logs(void)
{
    bool all = true;
    trajlog_writer *log;
    int depth = hdf5_lock_give_up();
    pthread_mutex_lock(&mutex);
    will_run = false;
    while ((log = find(LIFE_OPEN)) != NULL) all = end_log(log) && all;
    all = await_closers() && all;
    pthread_mutex_unlock(&mutex);
    hdf5_lock_take_back(depth);
    /* Somebody may be about to enter libhdf5, which is going to be torn down: it is kept for good. */
    if (!all) hdf5_lock();
}

/* ---------------------------------------------------------------------------------------------------- one log's --- */

static trajlog_status watch(bool has_file, struct error *error)
{
    pthread_once(&forks_once, watch_forks);
    if (forks_result != 0) return error_set(error, TRAJLOG_OUT_OF_MEMORY, forks_result, "no memory to watch for forks");
    if (!has_file || will_run) return TRAJLOG_OK;
    if (atexit(end_logs) != 0) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory to watch for the exit");
    will_run = true;
    return TRAJLOG_OK;
}

trajlog_status life_begin(trajlog_writer *log, bool has_file, struct error *error)
{
    atomic_store_explicit(&log->life.thread, pthread_self(), memory_order_relaxed);
    pthread_mutex_lock(&mutex);
    trajlog_status status = watch(has_file, error);
    log->life.next = logs;
    logs = log;
    pthread_mutex_unlock(&mutex);
    return status;
}

void life_set_worker(trajlog_writer *log, struct worker *worker)
{
    pthread_mutex_lock(&mutex);
    log->life.worker = worker;
    pthread_mutex_unlock(&mutex);
}

void life_enter(trajlog_writer *log)
{
    atomic_store_explicit(&log->life.thread, pthread_self(), memory_order_relaxed);
    log->life.in_call = true;
}

void life_leave(trajlog_writer *log)
{
    log->life.in_call = false;
}

enum life_state life_close(trajlog_writer *log)
{
    atomic_store_explicit(&log->life.thread, pthread_self(), memory_order_relaxed);
    pthread_mutex_lock(&mutex);
    enum life_state state = log->life.state;
    if (state == LIFE_OPEN) log->life.state = LIFE_CLOSING;
    pthread_mutex_unlock(&mutex);
    return state;
}

void life_end(trajlog_writer *log)
{
    pthread_mutex_lock(&mutex);
    trajlog_writer **place = &logs;
    while (*place != log) place = &(*place)->life.next;
    *place = log->life.next;
    pthread_cond_broadcast(&closed);
    pthread_mutex_unlock(&mutex);
}
