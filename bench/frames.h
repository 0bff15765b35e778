/* Frames to log: positions of a real simulation, float32, [particles, 3]. They come from a log of md_argon, which our
 * reader reads, or from the file that TRAJLOG_BENCH_FRAMES=file:particles names: raw float32 frames. */
#ifndef BENCH_FRAMES_H
#define BENCH_FRAMES_H

#include "harness.h"
#include "trajlog.h"

#define FRAME_BYTES(particles) ((size_t)(particles)*3 * sizeof(float))

struct frames {
    int64_t count, particles;
    float edge[3]; /* of the box */
    float *data;   /* [count, particles, 3] */
};

/* Ends the program if there are none. */
struct frames frames_load(const struct settings *settings);
void frames_free(struct frames *frames);

/* A frame of any number of particles: the first ones, or all of them and their periodic images beside them. `frame`
 * beyond the last one starts over. */
void frames_fill(const struct frames *frames, int64_t frame, int64_t particles, float *to);
/* `count` of them one after the other, in new memory. */
float *frames_make(const struct frames *frames, int64_t particles, int64_t count);

/* A log with the one field `position` of the group "trajectory", bound to `position` (may be NULL: bind it later). */
trajlog_writer *log_positions(const char *path, int64_t particles, const float *position, const char *config);
/* Ends the program, with the log's message, unless `status` is TRAJLOG_OK. */
void check_log(trajlog_writer *log, trajlog_status status);
void close_log(trajlog_writer **log);
void check_reader(trajlog_reader *reader, trajlog_status status);

/* Whether this version takes the configuration, which names a feature that an older one does not have. */
bool has_feature(const struct settings *settings, const char *config);

#endif
