/* The threads are those of store/threads.c. The mutex is here because they and the caller borrow decoders at the same
 * time; it is held only to take one or to put it back. */
#include "read/decoders.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/threads.h"

#define MOST_AUTOMATIC 8

/* Threads, and whoever calls: more do not borrow at a time. */
#define MOST_IDLE 65

struct decoders {
    int wanted;    /* 0: as many as are of use */
    bool looked;   /* for threads */
    pid_t process; /* that has the threads */
    struct threads *threads;
    struct helpers helpers;
    pthread_mutex_t mutex; /* protects what follows */
    struct decoder *idle[MOST_IDLE];
    int idle_count;
};

struct decoders *decoders_new(int threads)
{
    struct decoders *made = calloc(1, sizeof *made);
    if (!made) return NULL;
    made->wanted = threads;
    if (pthread_mutex_init(&made->mutex, NULL) == 0) return made;
    free(made);
    return NULL;
}

/* In a forked child there are no such threads, and one of them may have had the mutex for ever. */
bool decoders_are_ours(const struct decoders *decoders)
{
    return !decoders->threads || decoders->process == getpid();
}

void decoders_free(struct decoders *decoders)
{
    if (!decoders) return;
    if (decoders_are_ours(decoders)) threads_stop(decoders->threads);
    else threads_forget(decoders->threads);
    for (int i = 0; i < decoders->idle_count; i++) decoder_free(decoders->idle[i]);
    pthread_mutex_destroy(&decoders->mutex);
    free(decoders);
}

/* That this process may run on. */
static int processors(void)
{
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)online;
    return count < MOST_AUTOMATIC ? count : MOST_AUTOMATIC;
}

/* Where the number was left to us, none is a number too. */
static trajlog_status start(struct decoders *decoders, struct error *error)
{
    int count = (decoders->wanted > 0 ? decoders->wanted : processors()) - 1;
    decoders->looked = true;
    if (count < 1) return TRAJLOG_OK;
    trajlog_status status = threads_start(&decoders->threads, count, "trajlog-decode", decoders->wanted ? error : NULL);
    decoders->looked = status == TRAJLOG_OK || decoders->wanted == 0;
    if (status != TRAJLOG_OK) return decoders->wanted ? status : TRAJLOG_OK;
    decoders->process = getpid();
    decoders->helpers = threads_helpers(decoders->threads);
    return TRAJLOG_OK;
}

trajlog_status decoders_helpers(struct decoders *decoders, const struct helpers **helpers, struct error *error)
{
    *helpers = NULL;
    if (!decoders->looked) TRY(start(decoders, error));
    if (decoders->threads && decoders_are_ours(decoders)) *helpers = &decoders->helpers;
    return TRAJLOG_OK;
}

trajlog_status decoders_borrow(struct decoders *decoders, struct decoder **decoder, struct error *error)
{
    *decoder = NULL;
    if (decoders_are_ours(decoders)) {
        pthread_mutex_lock(&decoders->mutex);
        if (decoders->idle_count > 0) *decoder = decoders->idle[--decoders->idle_count];
        pthread_mutex_unlock(&decoders->mutex);
    }
    if (!*decoder) *decoder = decoder_new();
    return *decoder ? TRAJLOG_OK : error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a decoder");
}

void decoders_give_back(struct decoders *decoders, struct decoder *decoder)
{
    bool kept = false;
    if (decoders_are_ours(decoders)) {
        pthread_mutex_lock(&decoders->mutex);
        kept = decoders->idle_count < MOST_IDLE;
        if (kept) decoders->idle[decoders->idle_count++] = decoder;
        pthread_mutex_unlock(&decoders->mutex);
    }
    if (!kept) decoder_free(decoder);
}
