/* What trajlog_get_statistics reports. Each figure has one writing thread; any thread reads. */
#ifndef WRITE_COUNTERS_H
#define WRITE_COUNTERS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#define CACHE_LINE 64

struct counters {
    /* The caller's thread. */
    alignas(CACHE_LINE) _Atomic int64_t steps;
    _Atomic int64_t frames, dropped, bytes, blocked_nanoseconds;
    _Atomic int64_t queue_bytes, queue_high_bytes, queue_high_frames;
    /* The worker; before it starts, and in synchronous mode, the caller's thread. */
    alignas(CACHE_LINE) _Atomic int64_t rows;
    _Atomic int64_t commits, syncs, busy_nanoseconds;
};

static inline int64_t counter_get(const _Atomic int64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void counter_set(_Atomic int64_t *counter, int64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* Not one atomic operation: the one writer needs none, and a plain load and store cost nothing. */
static inline void counter_add(_Atomic int64_t *counter, int64_t amount)
{
    counter_set(counter, counter_get(counter) + amount);
}

#endif
