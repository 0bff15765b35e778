/* Takes messages and makes rows and commits of them. Used by the worker's thread, or in synchronous mode by the
 * caller's; knows neither queue nor thread. */
#ifndef WRITE_DELIVERY_H
#define WRITE_DELIVERY_H

#include <stdbool.h>

#include "write/counters.h"
#include "write/frame.h"
#include "write/sink.h"

/* When commits come by themselves. */
struct commit_pace {
    double flush_seconds;
    int64_t flush_rows, flush_bytes; /* 0: no bound */
    double sync_seconds;             /* negative: never */
};

/* The checkpoint's section. It is the caller's to fill while no request to write it is under way, and lies beside the
 * queue, which so needs no room for it. */
struct checkpoint {
    uint32_t group;
    void *section; /* NULL: there are no checkpoints */
};

struct delivery {
    struct sink sink;
    const struct frame_layout *layout;
    struct counters *counters;
    const void **fields; /* room for one group's */
    struct checkpoint checkpoint;
    struct commit_pace pace;
    int64_t flush_nanoseconds, sync_nanoseconds; /* INT64_MAX: never */
    int64_t last_commit, last_sync;              /* clock_now() */
    int64_t rows, bytes;                         /* since the last commit */
    int64_t busy_since;                          /* clock_now(); 0: it is not busy */
    int unclocked_frames, most_unclocked;        /* delivered since the last look at the clock; before the next */
    size_t unclocked_bytes;
    bool uncommitted;   /* something came since */
    bool unsynced;      /* something was committed since the last sync */
    struct error error; /* written once, before `failed` is set; who saw `failed` may read it */
    /* On a line of its own: the caller's thread looks at it in each call. */
    alignas(CACHE_LINE) _Atomic bool failed;
};

/* `layout` and `counters` must live as long. OUT_OF_MEMORY. */
trajlog_status delivery_init(struct delivery *delivery, const struct sink *sink, const struct frame_layout *layout,
                             const struct commit_pace *pace, struct counters *counters, struct error *error);
void delivery_destroy(struct delivery *delivery);

/* Delivers a frame, or does what a request asks for. Also commits when the pace says so, at the latest some frames after
 * it is time. The first error sticks; after it everything is discarded. */
void delivery_take(struct delivery *delivery, const struct message *message);

/* Whether messages that were taken must stay where they are; and an end to that. */
bool delivery_borrows(const struct delivery *delivery);
void delivery_settle(struct delivery *delivery);

/* When there is no message just now: commits if there is something to commit, and it is time. */
void delivery_tick(struct delivery *delivery);

/* Commits, and takes nothing any more: the delivery has failed with INVALID_STATE, as the process exits. */
void delivery_cut(struct delivery *delivery);

/* Whether delivery_tick will have something to do, sooner or later. */
bool delivery_is_idle(const struct delivery *delivery);

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
