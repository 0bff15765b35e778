/* Throughput from open to close, against write(2), and against libhdf5 called in each step; and what a log could reach at
 * best, from two threads that do nothing but copy and write. All sides write to the same directory, and nothing is synced. */
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frames.h"

#define PIECE      ((size_t)1 << 20)
#define RING       ((size_t)8 << 20) /* what a log uses of its queue when it has been full for long */
#define LARGE_PAGE ((size_t)1 << 21)

struct drain {
    char *path;
    int64_t particles, count;
    float *pool; /* [pool_count] frames, logged in turns */
    int64_t pool_count;
    const char *config;
};

static float *pool_frame(const struct drain *drain, int64_t i)
{
    return drain->pool + (i % drain->pool_count) * drain->particles * 3;
}

static double total_bytes(const struct drain *drain)
{
    return (double)drain->count * (double)FRAME_BYTES(drain->particles);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Frames
 * ------------------------------------------------------------------------------------------------------------------ */

static double drain_log(void *context)
{
    const struct drain *drain = context;
    unlink(drain->path);
    double begin = seconds_now();
    trajlog_writer *log = NULL;
    trajlog_options options = trajlog_default_options();
    options.config_text = drain->config;
    check_log(log, trajlog_create(&log, drain->path, &options));
    trajlog_group *group = trajlog_add_group(log, "trajectory", trajlog_every(1));
    trajlog_field *field =
        trajlog_add_field(group, "position", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(drain->particles, 3), drain->pool, "nm");
    for (int64_t i = 0; i < drain->count; i++) {
        trajlog_status status = trajlog_bind(field, pool_frame(drain, i), NULL);
        if (status == TRAJLOG_OK) status = trajlog_log(log, i, (double)i);
        check_log(log, status);
    }
    close_log(&log);
    double end = seconds_now();
    unlink(drain->path);
    return end - begin;
}

static void write_all(int descriptor, const unsigned char *from, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(descriptor, from, bytes < PIECE ? bytes : PIECE);
        if (written < 0) fail("write: %s", strerror(errno));
        from += written;
        bytes -= (size_t)written;
    }
}

/* The pool's frames lie one after the other, so the pieces need not be whole frames. */
static double drain_write(void *context)
{
    const struct drain *drain = context;
    size_t left = (size_t)total_bytes(drain), pool = (size_t)drain->pool_count * FRAME_BYTES(drain->particles);
    unlink(drain->path);
    double begin = seconds_now();
    int descriptor = open(drain->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor < 0) fail("%s: %s", drain->path, strerror(errno));
    for (; left > 0; left -= left < pool ? left : pool)
        write_all(descriptor, (const unsigned char *)drain->pool, left < pool ? left : pool);
    if (close(descriptor) != 0) fail("%s: %s", drain->path, strerror(errno));
    double end = seconds_now();
    unlink(drain->path);
    return end - begin;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The least that a log with a thread of its own has to do: one thread copies the frames into a small ring of large pages,
 * the other one writes them from there, a piece at a time. No HDF5, no commits, no sleep.
 * ------------------------------------------------------------------------------------------------------------------ */

struct ring {
    unsigned char *memory;
    size_t size, frame, total; /* bytes; size and total are whole frames */
    int descriptor;
    _Atomic size_t head, tail;
};

static void wait_until(_Atomic size_t *counter, size_t least)
{
    while (atomic_load_explicit(counter, memory_order_acquire) < least) sched_yield();
}

/* A piece is as many frames as fit, or one that is larger; not over the end of the ring. */
static size_t next_piece(const struct ring *ring, size_t done)
{
    size_t piece = ring->frame > PIECE ? ring->frame : PIECE / ring->frame * ring->frame;
    size_t straight = ring->size - done % ring->size, left = ring->total - done;
    if (piece > straight) piece = straight;
    return piece < left ? piece : left;
}

static void *write_ring(void *context)
{
    struct ring *ring = context;
    for (size_t done = 0, next; done < ring->total; done = next) {
        next = done + next_piece(ring, done);
        wait_until(&ring->head, next);
        write_all(ring->descriptor, ring->memory + done % ring->size, next - done);
        atomic_store_explicit(&ring->tail, next, memory_order_release);
    }
    return NULL;
}

static void allocate_ring(struct ring *ring)
{
    size_t frames = RING / ring->frame > 4 ? RING / ring->frame : 4;
    ring->size = frames * ring->frame;
    ring->memory = aligned_alloc(LARGE_PAGE, (ring->size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE);
    if (ring->memory == NULL) fail("no memory for a ring");
    madvise(ring->memory, ring->size, MADV_HUGEPAGE);
    memset(ring->memory, 0, ring->size);
}

static double drain_ring(void *context)
{
    const struct drain *drain = context;
    struct ring ring = {.frame = FRAME_BYTES(drain->particles)};
    pthread_t writer;
    ring.total = (size_t)drain->count * ring.frame;
    unlink(drain->path);
    double begin = seconds_now();
    allocate_ring(&ring);
    ring.descriptor = open(drain->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (ring.descriptor < 0) fail("%s: %s", drain->path, strerror(errno));
    if (pthread_create(&writer, NULL, write_ring, &ring) != 0) fail("pthread_create");
    for (size_t at = 0, i = 0; at < ring.total; at += ring.frame, i++) {
        if (at + ring.frame > ring.size) wait_until(&ring.tail, at + ring.frame - ring.size);
        memcpy(ring.memory + at % ring.size, pool_frame(drain, (int64_t)i), ring.frame);
        atomic_store_explicit(&ring.head, at + ring.frame, memory_order_release);
    }
    pthread_join(writer, NULL);
    if (close(ring.descriptor) != 0) fail("%s: %s", drain->path, strerror(errno));
    free(ring.memory);
    double end = seconds_now();
    unlink(drain->path);
    return end - begin;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * libhdf5
 * ------------------------------------------------------------------------------------------------------------------ */

/* A growing dataset of libhdf5's, without filters. */
static hid_t make_dataset(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims, hsize_t chunk_rows)
{
    hsize_t first[3] = {0}, most[3] = {H5S_UNLIMITED}, chunk[3] = {chunk_rows};
    for (int i = 1; i < rank; i++) first[i] = most[i] = chunk[i] = dims[i];
    hid_t space = H5Screate_simple(rank, first, most), properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(properties, rank, chunk);
    hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (dataset < 0) fail("H5Dcreate2: %s", name);
    H5Pclose(properties);
    H5Sclose(space);
    return dataset;
}

/* What MD codes do: extend, select, write. */
static void append_row(hid_t dataset, hid_t type, int rank, const hsize_t *dims, hsize_t row, const void *data)
{
    hsize_t extent[3] = {row + 1}, start[3] = {row}, count[3] = {1};
    for (int i = 1; i < rank; i++) extent[i] = count[i] = dims[i];
    if (H5Dset_extent(dataset, extent) < 0) fail("H5Dset_extent");
    hid_t space = H5Dget_space(dataset), memory = H5Screate_simple(rank, count, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    if (H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, data) < 0) fail("H5Dwrite");
    H5Sclose(memory);
    H5Sclose(space);
}

static double drain_naive(void *context)
{
    const struct drain *drain = context;
    const hsize_t dims[3] = {0, (hsize_t)drain->particles, 3};
    unlink(drain->path);
    double begin = seconds_now();
    hid_t file = H5Fcreate(drain->path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t dataset = make_dataset(file, "position", H5T_IEEE_F32LE, 3, dims, 1);
    for (int64_t i = 0; i < drain->count; i++)
        append_row(dataset, H5T_NATIVE_FLOAT, 3, dims, (hsize_t)i, pool_frame(drain, i));
    H5Dclose(dataset);
    if (H5Fclose(file) < 0) fail("H5Fclose");
    double end = seconds_now();
    unlink(drain->path);
    return end - begin;
}

static struct drain drain_make(const struct settings *settings, const struct frames *frames, int64_t particles,
                               int64_t bytes)
{
    struct drain drain = {.path = path_in(settings, "drain.h5"), .particles = particles};
    drain.pool_count = (int64_t)((size_t)24000000 / FRAME_BYTES(particles));
    drain.count = bytes / (int64_t)FRAME_BYTES(particles);
    drain.pool = frames_make(frames, particles, drain.pool_count);
    return drain;
}

static void drain_free(struct drain *drain)
{
    free(drain->pool);
    free(drain->path);
}

/* The log, write(2) and the ring in turns, so that each two of them saw the same minute. */
enum side { LOG, WRITE, RING_ALONE, SIDES };

struct turns {
    double seconds[SIDES][MOST_SAMPLES];
    int count;
};

/* Each side comes first as often as the others, before and behind each of them. It runs twice, and only the second time is
 * counted: so its pages come from what the same side has freed, and not from what another one left in other pieces, or a
 * virtual machine's host has taken back. The first turn is not counted either. */
static void take_turns(struct turns *turns, struct drain *drain, int count)
{
    static const measurement sides[SIDES] = {drain_log, drain_write, drain_ring};
    if (count > MOST_SAMPLES) fail("%d repetitions", count);
    turns->count = count;
    for (int turn = -1; turn < count; turn++) {
        for (int i = 0; i < SIDES; i++) {
            int side = (turn + 1 + (turn % 2 == 0 ? i : SIDES - i)) % SIDES;
            (void)sides[side](drain);
            double seconds = sides[side](drain);
            if (turn >= 0) turns->seconds[side][turn] = seconds;
        }
    }
}

static void print_ratio(const char *name, const struct turns *turns, enum side ours, enum side peer, double bytes)
{
    double ratios[MOST_SAMPLES];
    for (int i = 0; i < turns->count; i++) ratios[i] = turns->seconds[peer][i] / turns->seconds[ours][i];
    print_figure(name, ratios, turns->count, "%.0f MB/s, peer %.0f MB/s",
                 1e-6 * bytes / summarize(turns->seconds[ours], turns->count).median,
                 1e-6 * bytes / summarize(turns->seconds[peer], turns->count).median);
}

static void drain_and_ring(const struct settings *settings, const struct frames *frames, const char *suffix,
                           int64_t particles, int64_t bytes, int repetitions)
{
    static struct turns turns;
    char name[40];
    struct drain drain = drain_make(settings, frames, particles, bytes);
    take_turns(&turns, &drain, repetitions);
    snprintf(name, sizeof name, "drain_vs_write_%s", suffix);
    print_ratio(name, &turns, LOG, WRITE, total_bytes(&drain));
    snprintf(name, sizeof name, "ring_vs_write_%s", suffix);
    print_ratio(name, &turns, RING_ALONE, WRITE, total_bytes(&drain));
    snprintf(name, sizeof name, "drain_vs_ring_%s", suffix);
    print_ratio(name, &turns, LOG, RING_ALONE, total_bytes(&drain));
    drain_free(&drain);
}

static void drain_vs_naive(const struct settings *settings, const struct frames *frames, int repetitions)
{
    struct drain drain = drain_make(settings, frames, 1000, choose(settings, 240000000, 60000000));
    compare("drain_vs_naive_12k", PEER_BY_OURS, drain_log, drain_naive, &drain, repetitions, total_bytes(&drain));
    drain_free(&drain);
}

/* How rows per chunk change the throughput of 12 KB frames. */
static void scan_chunk_rows(const struct settings *settings, const struct frames *frames)
{
    static const int chunk_rows[] = {1, 3, 10, 29, 87, 260, 870};
    enum { POINTS = sizeof chunk_rows / sizeof chunk_rows[0] };
    struct drain drain = drain_make(settings, frames, 1000, (int64_t)200 << 20);
    double x[POINTS], y[POINTS];
    for (int i = 0; i < POINTS; i++) {
        char config[200];
        double samples[5];
        snprintf(config, sizeof config,
                 "{\"groups\": {\"trajectory\": {\"fields\": {\"position\": {\"chunk_rows\": %d}}}}}", chunk_rows[i]);
        drain.config = config;
        for (int j = 0; j < 5; j++) samples[j] = total_bytes(&drain) / drain_log(&drain);
        x[i] = chunk_rows[i];
        y[i] = 1e-6 * summarize(samples, 5).median;
    }
    print_series("chunk_rows", "rows of 12 KB per chunk", "MB/s", x, y, POINTS);
    drain_free(&drain);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Records of eight doubles
 * ------------------------------------------------------------------------------------------------------------------ */

struct records {
    char *path;
    int64_t count, naive_count;
};

static const char *const record_names[8] = {"potential", "kinetic", "total", "temperature",
                                            "pressure",  "volume",  "px",    "py"};

/* Seconds per record. */
static double log_records(void *context)
{
    const struct records *records = context;
    double values[8] = {0};
    unlink(records->path);
    double begin = seconds_now();
    trajlog_writer *log = NULL;
    check_log(log, trajlog_create(&log, records->path, NULL));
    trajlog_group *group = trajlog_add_group(log, "thermo", trajlog_every(1));
    for (int i = 0; i < 8; i++)
        trajlog_add_field(group, record_names[i], TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &values[i], NULL);
    for (int64_t i = 0; i < records->count; i++) {
        for (int k = 0; k < 8; k++) values[k] = (double)(i + k);
        check_log(log, trajlog_log(log, i, (double)i));
    }
    close_log(&log);
    double end = seconds_now();
    unlink(records->path);
    return (end - begin) / (double)records->count;
}

/* With chunks of 1024 rows, which is kinder than the 1-element chunks of several MD codes. */
static double write_records(void *context)
{
    const struct records *records = context;
    const hsize_t dims[1] = {0};
    hid_t datasets[8];
    unlink(records->path);
    double begin = seconds_now();
    hid_t file = H5Fcreate(records->path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    for (int i = 0; i < 8; i++) datasets[i] = make_dataset(file, record_names[i], H5T_IEEE_F64LE, 1, dims, 1024);
    for (int64_t i = 0; i < records->naive_count; i++) {
        for (int k = 0; k < 8; k++) {
            double value = (double)(i + k);
            append_row(datasets[k], H5T_NATIVE_DOUBLE, 1, dims, (hsize_t)i, &value);
        }
    }
    for (int i = 0; i < 8; i++) H5Dclose(datasets[i]);
    if (H5Fclose(file) < 0) fail("H5Fclose");
    double end = seconds_now();
    unlink(records->path);
    return (end - begin) / (double)records->naive_count;
}

static void scalars_vs_naive(const struct settings *settings)
{
    struct records records = {.path = path_in(settings, "records.h5"),
                              .count = choose(settings, 4000000, 1000000),
                              .naive_count = choose(settings, 20000, 5000)};
    compare("scalars_vs_naive", PEER_BY_OURS, log_records, write_records, &records, (int)choose(settings, 9, 3), 0);
    free(records.path);
}

/* Ours alone, for a profiler. */
static void drain_raw(const struct settings *settings, const struct frames *frames, int64_t particles, int64_t bytes)
{
    struct drain drain = drain_make(settings, frames, particles, bytes);
    print_raw(drain_log(&drain), (int64_t)total_bytes(&drain));
    drain_free(&drain);
}

int main(int argc, char **argv)
{
    struct settings settings = settings_parse(argc, argv);
    struct frames frames = frames_load(&settings);
    const struct {
        const char *suffix, *raw;
        int64_t particles, bytes;
    } sizes[] = {
        {"12k", "drain_12k", 1000, choose(&settings, 600000000, 120000000)},
        {"1m2", "drain_1m2", 100000, choose(&settings, 600000000, 120000000)},
        {"12m", "drain_12m", 1000000, choose(&settings, 600000000, 240000000)},
    };
    for (int i = 0; i < 3; i++) {
        if (is_raw(&settings, sizes[i].raw)) drain_raw(&settings, &frames, sizes[i].particles, sizes[i].bytes);
        if (settings.raw != NULL) continue;
        drain_and_ring(&settings, &frames, sizes[i].suffix, sizes[i].particles, sizes[i].bytes,
                       (int)choose(&settings, 41, 3));
    }
    if (is_raw(&settings, "scalars")) {
        struct records records = {.path = path_in(&settings, "records.h5"), .count = 4000000};
        print_raw(log_records(&records), 8 * (int64_t)sizeof(double));
        free(records.path);
    }
    if (settings.raw == NULL) {
        drain_vs_naive(&settings, &frames, (int)choose(&settings, 31, 3));
        scalars_vs_naive(&settings);
    }
    if (settings.raw == NULL && !settings.quick) scan_chunk_rows(&settings, &frames);
    frames_free(&frames);
    return 0;
}
