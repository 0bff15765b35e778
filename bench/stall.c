/* What the caller pays: the time in trajlog_log, while the worker is idle or keeps up. Frames come in short bursts,
 * with pauses in which the worker empties the queue, so that the queue never fills. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frames.h"

#define QUEUE_BYTES ((size_t)64 << 20) /* the library's default */

/* ---------------------------------------------------------------------------------------------------------------------
 * Against memcpy
 * ------------------------------------------------------------------------------------------------------------------ */

struct stall {
    const struct frames *frames;
    int64_t particles, burst; /* frames per burst */
    float *position;          /* the simulation's */
    trajlog_writer *log;
    int64_t step;
    unsigned char *ring; /* of the queue's size, and a frame more */
    size_t offset;
    int64_t turn;
};

static void wait_until_drained(trajlog_writer *log)
{
    trajlog_statistics statistics = {.struct_size = sizeof statistics};
    do {
        pause_for(1e-3);
        check_log(log, trajlog_get_statistics(log, &statistics));
    } while (statistics.rows < statistics.frames);
}

/* A simulation step has just written the positions. */
static void take_step(struct stall *stall)
{
    wait_until_drained(stall->log);
    frames_fill(stall->frames, stall->turn++, stall->particles, stall->position);
}

static double log_burst(void *context)
{
    struct stall *stall = context;
    take_step(stall);
    trajlog_status status = TRAJLOG_OK;
    double begin = seconds_now();
    for (int64_t i = 0; i < stall->burst && status == TRAJLOG_OK; i++, stall->step++)
        status = trajlog_log(stall->log, stall->step, (double)stall->step);
    double end = seconds_now();
    check_log(stall->log, status);
    return (end - begin) / (double)stall->burst;
}

static double copy_burst(void *context)
{
    struct stall *stall = context;
    size_t bytes = FRAME_BYTES(stall->particles);
    take_step(stall);
    double begin = seconds_now();
    for (int64_t i = 0; i < stall->burst; i++) {
        memcpy(stall->ring + stall->offset, stall->position, bytes);
        stall->offset += bytes;
        if (stall->offset >= QUEUE_BYTES) stall->offset -= QUEUE_BYTES;
    }
    return (seconds_now() - begin) / (double)stall->burst;
}

static void stall_begin(struct stall *stall, const char *path)
{
    stall->position = allocate(FRAME_BYTES(stall->particles));
    stall->ring = allocate(QUEUE_BYTES + FRAME_BYTES(stall->particles));
    stall->log = log_positions(path, stall->particles, stall->position, NULL);
    frames_fill(stall->frames, 0, stall->particles, stall->position);
    check_log(stall->log, trajlog_log(stall->log, stall->step++, 0.0));
}

static void stall_end(struct stall *stall)
{
    trajlog_statistics statistics = {.struct_size = sizeof statistics};
    check_log(stall->log, trajlog_get_statistics(stall->log, &statistics));
    if (statistics.blocked_seconds > 0)
        fprintf(stderr, "bench: stall: the queue was full for %.3g s\n", statistics.blocked_seconds);
    close_log(&stall->log);
    free(stall->ring);
    free(stall->position);
}

static void stall_vs_memcpy(const struct settings *settings, const struct frames *frames, const char *name,
                            int64_t particles, int64_t burst, int repetitions)
{
    char *path = path_in(settings, "stall.h5");
    struct stall stall = {.frames = frames, .particles = particles, .burst = burst};
    stall_begin(&stall, path);
    compare(name, OURS_BY_PEER, log_burst, copy_burst, &stall, repetitions, 0);
    stall_end(&stall);
    unlink(path);
    free(path);
}

/* How long single calls take: quantiles of both, in nanoseconds. */
static void call_times(const struct settings *settings, const struct frames *frames)
{
    enum { COUNT = MOST_SAMPLES };
    char *path = path_in(settings, "stall.h5");
    struct stall stall = {.frames = frames, .particles = 1000, .burst = 1};
    double ours[COUNT], peer[COUNT], fraction[COUNT];
    stall_begin(&stall, path);
    for (int i = 0; i < COUNT; i++) {
        ours[i] = 1e6 * log_burst(&stall);
        peer[i] = 1e6 * copy_burst(&stall);
        fraction[i] = (i + 0.5) / COUNT;
    }
    stall_end(&stall);
    print_series("call_time_log", "call", "us", fraction, ours, COUNT);
    print_series("call_time_memcpy", "call", "us", fraction, peer, COUNT);
    unlink(path);
    free(path);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Small groups
 * ------------------------------------------------------------------------------------------------------------------ */

struct calls {
    trajlog_writer *log;
    int64_t step, burst;
    double values[8];
};

/* Seconds per call. */
static double call_burst(void *context)
{
    struct calls *calls = context;
    wait_until_drained(calls->log);
    trajlog_status status = TRAJLOG_OK;
    double begin = seconds_now();
    for (int64_t i = 0; i < calls->burst && status == TRAJLOG_OK; i++, calls->step++) {
        calls->values[0] = (double)calls->step;
        status = trajlog_log(calls->log, calls->step, (double)calls->step);
    }
    double end = seconds_now();
    check_log(calls->log, status);
    return (end - begin) / (double)calls->burst;
}

static void stall_ns(const struct settings *settings, const char *name, int64_t every, int64_t burst, int repetitions)
{
    char *path = path_in(settings, "stall.h5");
    struct calls calls = {.burst = burst};
    trajlog_options options = trajlog_default_options();
    options.existing = TRAJLOG_REPLACE;
    check_log(calls.log, trajlog_create(&calls.log, path, &options));
    trajlog_group *group = trajlog_add_group(calls.log, "thermo", trajlog_every(every));
    for (int i = 0; i < 8; i++) {
        const char field[] = {'a', (char)('0' + i), '\0'};
        trajlog_add_field(group, field, TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &calls.values[i], NULL);
    }
    check_log(calls.log, trajlog_log(calls.log, calls.step++, 0.0));
    measure(name, call_burst, &calls, repetitions, 1e9);
    close_log(&calls.log);
    unlink(path);
    free(path);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * For peers: frames of 12 KB, after steps that take half a millisecond
 * ------------------------------------------------------------------------------------------------------------------ */

/* Keeps this thread's processor busy with the positions, as a simulation does. */
static void simulate(float *position)
{
    for (double end = seconds_now() + 5e-4; seconds_now() < end;)
        for (int i = 0; i < 3000; i++) position[i] += 1e-6f;
}

static void caller_time(const struct settings *settings, const struct frames *frames)
{
    enum { COUNT = 400 };
    char *path = path_in(settings, "caller.h5");
    double seconds = 0;
    float *position = frames_make(frames, 1000, 1);
    trajlog_writer *log = log_positions(path, 1000, position, NULL);
    check_log(log, trajlog_log(log, -1, -1.0));
    for (int i = 0; i < COUNT; i++) {
        simulate(position);
        double begin = seconds_now();
        trajlog_status status = trajlog_log(log, i, (double)i);
        seconds += seconds_now() - begin;
        check_log(log, status);
    }
    close_log(&log);
    print_raw(seconds / COUNT, (int64_t)FRAME_BYTES(1000));
    unlink(path);
    free(path);
    free(position);
}

int main(int argc, char **argv)
{
    struct settings settings = settings_parse(argc, argv);
    struct frames frames = frames_load(&settings);
    if (is_raw(&settings, "caller_12k")) {
        caller_time(&settings, &frames);
    } else {
        stall_vs_memcpy(&settings, &frames, "stall_vs_memcpy_12k", 1000, 500, (int)choose(&settings, 60, 15));
        stall_vs_memcpy(&settings, &frames, "stall_vs_memcpy_1m2", 100000, 10, (int)choose(&settings, 60, 15));
        stall_vs_memcpy(&settings, &frames, "stall_vs_memcpy_12m", 1000000, 1, (int)choose(&settings, 60, 15));
        stall_ns(&settings, "stall_ns_scalars", 1, 1000, (int)choose(&settings, 400, 50));
        stall_ns(&settings, "stall_ns_not_due", INT64_C(1) << 60, 100000, (int)choose(&settings, 100, 20));
        if (!settings.quick) call_times(&settings, &frames);
    }
    frames_free(&frames);
    return 0;
}
