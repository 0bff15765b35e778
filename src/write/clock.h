/* Monotonic time in nanoseconds. */
#ifndef WRITE_CLOCK_H
#define WRITE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NANOSECONDS_PER_SECOND 1000000000

static inline int64_t clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NANOSECONDS_PER_SECOND + now.tv_nsec;
}

static inline struct timespec clock_timespec(int64_t nanoseconds)
{
    return (struct timespec){.tv_sec = (time_t)(nanoseconds / NANOSECONDS_PER_SECOND),
                             .tv_nsec = (long)(nanoseconds % NANOSECONDS_PER_SECOND)};
}

/* A span; 30 years stand for any longer one, so that sums with a clock cannot overflow. */
static inline int64_t clock_span(double seconds)
{
    return seconds < 1e9 ? (int64_t)(seconds * NANOSECONDS_PER_SECOND) : INT64_C(1000000000) * NANOSECONDS_PER_SECOND;
}

static inline double clock_seconds(int64_t nanoseconds)
{
    return (double)nanoseconds / NANOSECONDS_PER_SECOND;
}

#endif
