/* Reading a log from its first row to its last, against read(2); and, for peers in Python, logs to read and single
 * measurements. From the page cache. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frames.h"

#define PIECE ((size_t)1 << 20)

struct reading {
    char *log_path, *raw_path;
    size_t bytes; /* of all frames */
    void *piece;
};

static double read_log(const char *path, size_t *bytes)
{
    const char *fields[] = {"position"};
    trajlog_reader *reader = NULL;
    trajlog_stream *stream = NULL;
    trajlog_block block;
    trajlog_status status;
    *bytes = 0;
    double begin = seconds_now();
    check_reader(reader, trajlog_open(&reader, path));
    int32_t field = trajlog_find_field(reader, "trajectory", "position");
    const trajlog_field_info *info = trajlog_reader_field(reader, trajlog_find_group(reader, "trajectory"), field);
    const size_t row = FRAME_BYTES(info->shape.dims[0]);
    check_reader(reader, trajlog_stream_open(&stream, reader, "trajectory", trajlog_all_rows(), fields, NULL, 1, 0));
    while ((status = trajlog_stream_next(stream, &block)) == TRAJLOG_OK) *bytes += (size_t)block.row_count * row;
    if (status != TRAJLOG_END) check_reader(reader, status);
    trajlog_stream_close(&stream);
    trajlog_reader_close(&reader);
    return seconds_now() - begin;
}

static double read_ours(void *context)
{
    const struct reading *reading = context;
    size_t bytes;
    double seconds = read_log(reading->log_path, &bytes);
    if (bytes != reading->bytes) fail("%s: %zu bytes, expected %zu", reading->log_path, bytes, reading->bytes);
    return seconds;
}

static double read_raw(void *context)
{
    const struct reading *reading = context;
    ssize_t got;
    size_t bytes = 0;
    double begin = seconds_now();
    int descriptor = open(reading->raw_path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail("%s: %s", reading->raw_path, strerror(errno));
    while ((got = read(descriptor, reading->piece, PIECE)) > 0) bytes += (size_t)got;
    close(descriptor);
    double end = seconds_now();
    if (bytes != reading->bytes) fail("%s: %zu bytes, expected %zu", reading->raw_path, bytes, reading->bytes);
    return end - begin;
}

/* The same frames in both files. */
static void write_files(struct reading *reading, const struct frames *frames, int64_t count)
{
    float *position = frames_make(frames, frames->particles, 1);
    trajlog_writer *log = log_positions(reading->log_path, frames->particles, position, NULL);
    int descriptor = open(reading->raw_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor < 0) fail("%s: %s", reading->raw_path, strerror(errno));
    for (int64_t i = 0; i < count; i++) {
        frames_fill(frames, i, frames->particles, position);
        check_log(log, trajlog_log(log, i, (double)i));
        size_t row = FRAME_BYTES(frames->particles);
        if (write(descriptor, position, row) != (ssize_t)row) fail("%s: cannot be written", reading->raw_path);
    }
    close(descriptor);
    close_log(&log);
    free(position);
    reading->bytes = (size_t)count * FRAME_BYTES(frames->particles);
}

static void read_vs_read2(const struct settings *settings, const struct frames *frames)
{
    struct reading reading = {.log_path = path_in(settings, "read.h5"), .raw_path = path_in(settings, "read.raw")};
    reading.piece = allocate(PIECE);
    int64_t bytes = choose(settings, 800000000, 200000000);
    write_files(&reading, frames, bytes / (int64_t)FRAME_BYTES(frames->particles) + 1);
    compare("read_vs_read2", PEER_BY_OURS, read_ours, read_raw, &reading, (int)choose(settings, 15, 5),
            (double)reading.bytes);
    unlink(reading.log_path);
    unlink(reading.raw_path);
    free(reading.log_path);
    free(reading.raw_path);
    free(reading.piece);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The series of the particle in the middle
 * ------------------------------------------------------------------------------------------------------------------ */

#define BY_PARTICLE "{\"groups\": {\"trajectory\": {\"fields\": {\"position\": {\"access\": \"particle\"}}}}}"

/* Seconds, from open to close. */
static double read_series(const char *path, size_t *bytes)
{
    trajlog_reader *reader = NULL;
    double begin = seconds_now();
    check_reader(reader, trajlog_open(&reader, path));
    int32_t group = trajlog_find_group(reader, "trajectory"),
            field = trajlog_find_field(reader, "trajectory", "position");
    const int64_t rows = trajlog_reader_group(reader, group)->rows;
    const int64_t particles = trajlog_reader_field(reader, group, field)->shape.dims[0];
    *bytes = (size_t)rows * FRAME_BYTES(1);
    float *series = malloc(*bytes);
    if (series == NULL) fail("no memory for %zu bytes", *bytes);
    check_reader(reader, trajlog_read_series(reader, "trajectory", "position", trajlog_all_rows(), particles / 2, 1,
                                             TRAJLOG_FLOAT32, series, *bytes, NULL));
    trajlog_reader_close(&reader);
    double end = seconds_now();
    free(series);
    return end - begin;
}

/* The second time counts: the peer reads again and again in one process, whose libhdf5 has begun long ago. */
static void print_series_time(const char *path)
{
    size_t bytes;
    (void)read_series(path, &bytes);
    double seconds = read_series(path, &bytes);
    print_raw(seconds, (int64_t)bytes);
}

/* The frames as the configuration says that they are to be stored. */
static void write_frames(const struct settings *settings, const char *config)
{
    struct frames frames = frames_load(settings);
    float *position = frames_make(&frames, frames.particles, 1);
    trajlog_writer *log = log_positions(settings->file, frames.particles, position, config);
    int64_t bytes = choose(settings, 400000000, 100000000), count = bytes / (int64_t)FRAME_BYTES(frames.particles) + 1;
    double begin = seconds_now();
    for (int64_t i = 0; i < count; i++) {
        frames_fill(&frames, i, frames.particles, position);
        check_log(log, trajlog_log(log, i, (double)i));
    }
    close_log(&log);
    print_raw(seconds_now() - begin, bytes);
    free(position);
    frames_free(&frames);
}

static void run_raw(const struct settings *settings)
{
    size_t bytes;
    if (settings->file == NULL) fail("--raw %s: expected --file", settings->raw);
    if (is_raw(settings, "read")) {
        double seconds = read_log(settings->file, &bytes);
        print_raw(seconds, (int64_t)bytes);
    } else if (is_raw(settings, "series")) {
        print_series_time(settings->file);
    } else if (is_raw(settings, "frames_file")) {
        write_frames(settings, NULL);
    } else if (is_raw(settings, "particles_file")) {
        write_frames(settings, BY_PARTICLE);
    } else {
        fail("--raw %s: there is no such measurement", settings->raw);
    }
}

int main(int argc, char **argv)
{
    struct settings settings = settings_parse(argc, argv);
    if (settings.raw != NULL) {
        run_raw(&settings);
        return 0;
    }
    struct frames frames = frames_load(&settings);
    read_vs_read2(&settings, &frames);
    frames_free(&frames);
    return 0;
}
