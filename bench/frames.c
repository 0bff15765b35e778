#include "frames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---------------------------------------------------------------------------------------------------------------------
 * From md_argon's log
 * ------------------------------------------------------------------------------------------------------------------ */

static void read_edges(trajlog_reader *reader, float edge[3])
{
    double box[9];
    check_reader(reader,
                 trajlog_read(reader, "init", "box", trajlog_all_rows(), TRAJLOG_FLOAT64, box, sizeof box, NULL));
    for (int k = 0; k < 3; k++) edge[k] = (float)box[4 * k];
}

/* The second half of the run: the first half melts the crystal that it begins with. */
static struct frames load_argon(const char *path)
{
    struct frames frames = {0};
    trajlog_reader *reader = NULL;
    void *data = NULL;
    int64_t rows;
    check_reader(reader, trajlog_open(&reader, path));
    read_edges(reader, frames.edge);
    check_reader(reader, trajlog_count_rows(reader, "trajectory", trajlog_all_rows(), &rows));
    check_reader(reader,
                 trajlog_read_new(reader, "trajectory", "position", trajlog_row_range(rows / 2, TRAJLOG_ROWS_END, 1),
                                  TRAJLOG_FLOAT32, &data, &frames.count));
    int32_t group = trajlog_find_group(reader, "trajectory");
    int32_t field = trajlog_find_field(reader, "trajectory", "position");
    frames.particles = trajlog_reader_field(reader, group, field)->shape.dims[0];
    frames.data = allocate((size_t)frames.count * FRAME_BYTES(frames.particles));
    memcpy(frames.data, data, (size_t)frames.count * FRAME_BYTES(frames.particles));
    trajlog_free(data);
    trajlog_reader_close(&reader);
    return frames;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * From a raw file
 * ------------------------------------------------------------------------------------------------------------------ */

/* The box that holds the first frame. */
static void find_edges(struct frames *frames)
{
    for (int k = 0; k < 3; k++) {
        float low = frames->data[k], high = frames->data[k];
        for (int64_t i = 1; i < frames->particles; i++) {
            float x = frames->data[3 * i + k];
            low = x < low ? x : low;
            high = x > high ? x : high;
        }
        frames->edge[k] = high - low;
    }
}

static struct frames load_raw(const char *name)
{
    struct frames frames = {0};
    const char *colon = strrchr(name, ':');
    frames.particles = colon != NULL ? atoll(colon + 1) : 0;
    if (frames.particles < 1) fail("TRAJLOG_BENCH_FRAMES=%s: expected file:particles", name);
    char *path = strndup(name, (size_t)(colon - name));
    FILE *file = path != NULL ? fopen(path, "rb") : NULL;
    if (file == NULL) fail("TRAJLOG_BENCH_FRAMES=%s: %s", name, strerror(errno));
    frames.count = file_bytes(path) / (int64_t)FRAME_BYTES(frames.particles);
    if (frames.count < 1) fail("TRAJLOG_BENCH_FRAMES=%s: less than one frame", name);
    frames.data = allocate((size_t)frames.count * FRAME_BYTES(frames.particles));
    if (fread(frames.data, FRAME_BYTES(frames.particles), (size_t)frames.count, file) != (size_t)frames.count)
        fail("%s: cannot be read", path);
    fclose(file);
    free(path);
    find_edges(&frames);
    return frames;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Frames
 * ------------------------------------------------------------------------------------------------------------------ */

struct frames frames_load(const struct settings *settings)
{
    const char *raw = getenv("TRAJLOG_BENCH_FRAMES");
    if (raw != NULL && raw[0] != '\0') return load_raw(raw);
    if (settings->argon == NULL) fail("no frames: expected --argon FILE or TRAJLOG_BENCH_FRAMES=file:particles");
    return load_argon(settings->argon);
}

void frames_free(struct frames *frames)
{
    free(frames->data);
    frames->data = NULL;
}

void frames_fill(const struct frames *frames, int64_t frame, int64_t particles, float *to)
{
    const float *from = frames->data + (frame % frames->count) * frames->particles * 3;
    for (int64_t begin = 0, image = 0; begin < particles; begin += frames->particles, image++) {
        int64_t count = particles - begin < frames->particles ? particles - begin : frames->particles;
        const float shift[3] = {(float)(image % 4) * frames->edge[0], (float)(image / 4 % 4) * frames->edge[1],
                                (float)(image / 16) * frames->edge[2]};
        for (int64_t i = 0; i < count; i++)
            for (int k = 0; k < 3; k++) to[3 * (begin + i) + k] = from[3 * i + k] + shift[k];
    }
}

float *frames_make(const struct frames *frames, int64_t particles, int64_t count)
{
    float *made = allocate((size_t)count * FRAME_BYTES(particles));
    for (int64_t i = 0; i < count; i++) frames_fill(frames, i, particles, made + i * particles * 3);
    return made;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Logs
 * ------------------------------------------------------------------------------------------------------------------ */

trajlog_writer *log_positions(const char *path, int64_t particles, const float *position, const char *config)
{
    trajlog_writer *log = NULL;
    trajlog_options options = trajlog_default_options();
    options.existing = TRAJLOG_REPLACE;
    options.config_text = config;
    trajlog_status status = trajlog_create(&log, path, &options);
    check_log(log, status);
    trajlog_group *group = trajlog_add_group(log, "trajectory", trajlog_every(1));
    trajlog_add_field(group, "position", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(particles, 3), position, "nm");
    return log;
}

void check_log(trajlog_writer *log, trajlog_status status)
{
    if (status != TRAJLOG_OK) fail("%s: %s", trajlog_status_name(status), trajlog_message(log));
}

void close_log(trajlog_writer **log)
{
    check_log(NULL, trajlog_close(log));
}

void check_reader(trajlog_reader *reader, trajlog_status status)
{
    (void)reader; /* the message is kept for the thread too */
    if (status != TRAJLOG_OK) fail("%s: %s", trajlog_status_name(status), trajlog_message(NULL));
}

bool has_feature(const struct settings *settings, const char *config)
{
    char *path = path_in(settings, "feature.h5");
    const float position[3] = {0, 0, 0};
    trajlog_writer *log = NULL;
    trajlog_options options = trajlog_default_options();
    options.existing = TRAJLOG_REPLACE;
    options.config_text = config;
    trajlog_status status = trajlog_create(&log, path, &options);
    trajlog_group *group = trajlog_add_group(log, "trajectory", trajlog_every(1));
    trajlog_add_field(group, "position", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(1, 3), position, "nm");
    if (status == TRAJLOG_OK) status = trajlog_log(log, 0, 0.0);
    if (status != TRAJLOG_OK && status != TRAJLOG_INVALID_CONFIG && status != TRAJLOG_UNSUPPORTED)
        check_log(log, status);
    (void)trajlog_close(&log);
    unlink(path);
    free(path);
    return status == TRAJLOG_OK;
}
