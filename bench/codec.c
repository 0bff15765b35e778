/* Compressed logs: speed and size against libhdf5's own filters; rounding within an error bound. Frames of all the
 * particles that the run has, one per chunk. */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frames.h"

#define DEFLATE "{\"groups\": {\"trajectory\": {\"fields\": {\"position\": {\"compression\": \"deflate\"}}}}}"
/* XTC's usual precision: 1000 per nm. Two threads help to compress, as many as the machine of the published figures has
 * processors. */
#define LOSSY                                                                                                          \
    "{\"threads\": {\"encoders\": 2}, \"groups\": {\"trajectory\": {\"fields\": {\"position\": {\"compression\": "     \
    "\"deflate\", \"max_error\": 0.0005}}}}}"

struct codec {
    char *path;
    const struct frames *frames;
    int64_t count;
    const char *config;
    int64_t our_bytes, peer_bytes; /* of the file, at the last measurement */
};

static double raw_bytes(const struct codec *codec)
{
    return (double)codec->count * (double)FRAME_BYTES(codec->frames->particles);
}

static float *codec_frame(const struct codec *codec, int64_t i)
{
    return codec->frames->data + i % codec->frames->count * codec->frames->particles * 3;
}

/* Bytes of all the chunks. */
static int64_t stored_bytes(const char *path)
{
    trajlog_reader *reader = NULL;
    check_reader(reader, trajlog_open(&reader, path));
    int32_t group = trajlog_find_group(reader, "trajectory");
    int32_t field = trajlog_find_field(reader, "trajectory", "position");
    int64_t bytes = trajlog_reader_field(reader, group, field)->stored_bytes;
    trajlog_reader_close(&reader);
    return bytes;
}

static double write_log(void *context)
{
    struct codec *codec = context;
    unlink(codec->path);
    double begin = seconds_now();
    trajlog_writer *log = NULL;
    trajlog_options options = trajlog_default_options();
    options.config_text = codec->config;
    check_log(log, trajlog_create(&log, codec->path, &options));
    trajlog_group *group = trajlog_add_group(log, "trajectory", trajlog_every(1));
    trajlog_field *field = trajlog_add_field(group, "position", TRAJLOG_FLOAT32,
                                             TRAJLOG_SHAPE(codec->frames->particles, 3), codec_frame(codec, 0), "nm");
    for (int64_t i = 0; i < codec->count; i++) {
        trajlog_status status = trajlog_bind(field, codec_frame(codec, i), NULL);
        if (status == TRAJLOG_OK) status = trajlog_log(log, i, (double)i);
        check_log(log, status);
    }
    close_log(&log);
    double end = seconds_now();
    codec->our_bytes = stored_bytes(codec->path);
    return end - begin;
}

static hid_t make_filtered(hid_t file, hsize_t particles)
{
    const hsize_t dims[3] = {0, particles, 3}, most[3] = {H5S_UNLIMITED, particles, 3}, chunk[3] = {1, particles, 3};
    hid_t space = H5Screate_simple(3, dims, most), properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(properties, 3, chunk);
    H5Pset_shuffle(properties);
    H5Pset_deflate(properties, 1);
    hid_t dataset = H5Dcreate2(file, "position", H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (dataset < 0) fail("H5Dcreate2");
    H5Pclose(properties);
    H5Sclose(space);
    return dataset;
}

static double write_stock(void *context)
{
    struct codec *codec = context;
    const hsize_t particles = (hsize_t)codec->frames->particles, count[3] = {1, particles, 3};
    unlink(codec->path);
    double begin = seconds_now();
    hid_t file = H5Fcreate(codec->path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t dataset = make_filtered(file, particles), memory = H5Screate_simple(3, count, NULL);
    for (int64_t i = 0; i < codec->count; i++) {
        const hsize_t extent[3] = {(hsize_t)i + 1, particles, 3}, start[3] = {(hsize_t)i, 0, 0};
        if (H5Dset_extent(dataset, extent) < 0) fail("H5Dset_extent");
        hid_t space = H5Dget_space(dataset);
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
        if (H5Dwrite(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, codec_frame(codec, i)) < 0)
            fail("H5Dwrite");
        H5Sclose(space);
    }
    H5Sclose(memory);
    codec->peer_bytes = (int64_t)H5Dget_storage_size(dataset);
    H5Dclose(dataset);
    if (H5Fclose(file) < 0) fail("H5Fclose");
    return seconds_now() - begin;
}

static void deflate_vs_hdf5(struct codec *codec, int repetitions)
{
    codec->config = DEFLATE;
    compare("deflate_vs_hdf5", PEER_BY_OURS, write_log, write_stock, codec, repetitions, raw_bytes(codec));
    double size = (double)codec->our_bytes / (double)codec->peer_bytes;
    double atoms = (double)codec->count * (double)codec->frames->particles;
    print_figure("deflate_size_vs_hdf5", &size, 1, "%.3f bytes per particle, peer %.3f",
                 (double)codec->our_bytes / atoms, (double)codec->peer_bytes / atoms);
}

static void lossy(const struct settings *settings, struct codec *codec)
{
    if (!has_feature(settings, LOSSY)) {
        print_missing("lossy_bytes_per_particle", "this version has no max_error");
        return;
    }
    codec->config = LOSSY;
    double seconds = write_log(codec);
    double bytes = (double)codec->our_bytes / (double)codec->count / (double)codec->frames->particles;
    print_figure("lossy_bytes_per_particle", &bytes, 1, "%.0f MB/s, %lld particles", 1e-6 * raw_bytes(codec) / seconds,
                 (long long)codec->frames->particles);
}

/* Speed and size of each level, lossless. */
static void scan_levels(struct codec *codec)
{
    static const int levels[] = {1, 2, 3, 4, 6, 9};
    enum { POINTS = sizeof levels / sizeof levels[0] };
    double level[POINTS], speed[POINTS], size[POINTS];
    for (int i = 0; i < POINTS; i++) {
        char config[200];
        snprintf(config, sizeof config,
                 "{\"groups\": {\"trajectory\": {\"fields\": {\"position\": {\"compression\": \"deflate\", "
                 "\"level\": %d}}}}}",
                 levels[i]);
        codec->config = config;
        level[i] = levels[i];
        speed[i] = 1e-6 * raw_bytes(codec) / write_log(codec);
        size[i] = (double)codec->our_bytes / (double)codec->count / (double)codec->frames->particles;
    }
    print_series("level_speed", "deflate level", "MB/s", level, speed, POINTS);
    print_series("level_size", "deflate level", "bytes per particle", level, size, POINTS);
}

int main(int argc, char **argv)
{
    struct settings settings = settings_parse(argc, argv);
    struct frames frames = frames_load(&settings);
    struct codec codec = {.frames = &frames};
    codec.count = choose(&settings, 77000000, 23000000) / (int64_t)FRAME_BYTES(frames.particles) + 1;
    codec.path = settings.file != NULL ? strdup(settings.file) : path_in(&settings, "codec.h5");
    if (codec.path == NULL) fail("no memory");
    if (is_raw(&settings, "lossy")) {
        codec.config = LOSSY;
        codec.count *= 12; /* a run is longer than its beginning, in which the queue fills */
        double seconds = has_feature(&settings, LOSSY) ? write_log(&codec) : -1;
        print_raw(seconds / raw_bytes(&codec), codec.our_bytes);
    } else if (is_raw(&settings, "deflate_file")) {
        codec.config = DEFLATE;
        double seconds = write_log(&codec);
        print_raw(seconds / raw_bytes(&codec), codec.our_bytes);
    } else {
        deflate_vs_hdf5(&codec, (int)choose(&settings, 9, 3));
        lossy(&settings, &codec);
        if (!settings.quick) scan_levels(&codec);
    }
    if (settings.file == NULL) unlink(codec.path);
    free(codec.path);
    frames_free(&frames);
    return 0;
}
