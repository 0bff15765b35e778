/* Takes messages and makes rows and commits of them. Used by the worker's thread, or in synchronous mode by the
 * caller's; knows neither queue nor thread. */
#ifndef WRITE_DELIVERY_H
#define WRITE_DELIVERY_H

#include <stdbool.h>

#include "write/counters.h"
#include "write/frame.h"
#include "write/sink.h"

struct delivery {
    struct sink sink;
    const struct frame_layout *layout;
    struct counters *counters;
    const void **fields; /* room for one group's */
    int64_t flush_nanoseconds;
    int64_t last_commit; /* clock_now() */
    bool uncommitted;    /* something came since */
    struct error error;  /* written once, before `failed` is set; who saw `failed` may read it */
    /* On a line of its own: the caller's thread looks at it in each call. */
    alignas(CACHE_LINE) _Atomic bool failed;
};

/* `layout` and `counters` must live as long. OUT_OF_MEMORY. */
trajlog_status delivery_init(struct delivery *delivery, const struct sink *sink, const struct frame_layout *layout,
                             double flush_seconds, struct counters *counters, struct error *error);
void delivery_destroy(struct delivery *delivery);

/* Delivers a frame, or commits for a request. Also commits when flush_seconds have passed. The first error sticks;
 * after it everything is discarded. */
void delivery_take(struct delivery *delivery, const struct message *message);

/* Commits if there is something to commit, and flush_seconds have passed since the last time. */
void delivery_tick(struct delivery *delivery);

/* Whether an error came; then delivery_error is it. Any thread. */
static inline bool delivery_has_failed(const struct delivery *delivery)
{
    return atomic_load_explicit(&delivery->failed, memory_order_acquire);
}
static inline const struct error *delivery_error(const struct delivery *delivery)
{
    return &delivery->error;
}

#endif
