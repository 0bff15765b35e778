/* One plain mutex, and how often this thread holds it: so that it can be given up whole, and asked for. */
#include "store/hdf5_lock.h"

#include <pthread.h>

#include "trajlog.h"

/* Protects libhdf5, whether or not it is thread-safe itself. Who waits for it holds no lock of the queue. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local int held; /* how often this thread has taken it; the mutex is locked while it is not 0 */

/* A child of fork() has no worker, but a copy of everything the worker had: locked mutexes, libhdf5's own among them, and
 * structures half changed, on which its exit() would hang. So a fork waits until nobody is inside libhdf5. Programs
 * that are started with posix_spawn, system or popen do not come here. */
static void guard_forks(void)
{
    (void)pthread_atfork(hdf5_lock, hdf5_unlock, hdf5_unlock); /* fails for want of memory: then forks are as ever */
}

void hdf5_lock(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (held++ > 0) return;
    pthread_once(&once, guard_forks);
    pthread_mutex_lock(&mutex);
}

void hdf5_unlock(void)
{
    if (held == 0) return; /* a host's unlock without a lock must not release another thread's */
    if (--held == 0) pthread_mutex_unlock(&mutex);
}

bool hdf5_lock_is_mine(void)
{
    return held > 0;
}

int hdf5_lock_give_up(void)
{
    int depth = held;
    held = 0;
    if (depth > 0) pthread_mutex_unlock(&mutex);
    return depth;
}

void hdf5_lock_take_back(int depth)
{
    if (depth <= 0) return;
    if (held == 0) pthread_mutex_lock(&mutex);
    held += depth;
}

void trajlog_hdf5_lock(void)
{
    hdf5_lock();
}

void trajlog_hdf5_unlock(void)
{
    hdf5_unlock();
}
