/* What the commit driver costs: the same chunks through it, with commits, and through libhdf5's stock driver, with an
 * H5Fflush as often. A log commits each second; here it is fifty times as often. For in a second more bytes are written
 * than a machine has pages ready for, and what new ones cost would be all that is measured. Looks inside the library. */
#include <hdf5.h>
#include <stdlib.h>
#include <unistd.h>

#include "frames.h"
#include "store/driver.h"

#define FLUSH_SECONDS 0.02
#define RUN_BYTES     ((int64_t)300 << 20)

struct run {
    char *path;
    int64_t particles, chunk_rows;
    float *chunk;
    struct driver *driver; /* NULL: stock */
    hid_t file, dataset;
    int64_t rows;
};

static void check(bool good, const char *what)
{
    if (!good) fail("commit: %s", what);
}

static void check_driver(trajlog_status status, const struct error *error)
{
    if (status != TRAJLOG_OK) fail("commit: %s", error->message);
}

static void make_dataset(struct run *run)
{
    const hsize_t particles = (hsize_t)run->particles;
    const hsize_t dims[3] = {0, particles, 3}, most[3] = {H5S_UNLIMITED, H5S_UNLIMITED, 3};
    const hsize_t chunk[3] = {(hsize_t)run->chunk_rows, particles, 3};
    hid_t space = H5Screate_simple(3, dims, most), properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(properties, 3, chunk);
    H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER);
    run->dataset = H5Dcreate2(run->file, "position", H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    check(run->dataset >= 0, "H5Dcreate2");
    H5Pclose(properties);
    H5Sclose(space);
}

static void open_ours(struct run *run)
{
    struct error error = {0};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    check_driver(driver_create(&run->driver, run->path, NULL, &error), &error);
    check_driver(driver_use(run->driver, access, &error), &error);
    run->file = H5Fcreate(run->path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    check(run->file >= 0 && H5Fflush(run->file, H5F_SCOPE_LOCAL) >= 0, "H5Fcreate");
    check_driver(driver_show(run->driver, true, &error), &error);
    make_dataset(run);
    check(H5Fstart_swmr_write(run->file) >= 0 && H5Fflush(run->file, H5F_SCOPE_LOCAL) >= 0, "H5Fstart_swmr_write");
    check_driver(driver_publish(run->driver, COMMIT_FLUSHED, &error), &error);
    H5Pclose(access);
}

static void open_stock(struct run *run)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    check(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0, "H5Pset_libver_bounds");
    run->file = H5Fcreate(run->path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    check(run->file >= 0, "H5Fcreate");
    make_dataset(run);
    H5Pclose(access);
}

static size_t chunk_bytes(const struct run *run)
{
    return (size_t)run->chunk_rows * FRAME_BYTES(run->particles);
}

static void write_chunk(struct run *run)
{
    const hsize_t offset[3] = {(hsize_t)run->rows, 0, 0};
    const hsize_t extent[3] = {(hsize_t)(run->rows += run->chunk_rows), (hsize_t)run->particles, 3};
    check(H5Dset_extent(run->dataset, extent) >= 0, "H5Dset_extent");
    check(H5Dwrite_chunk(run->dataset, H5P_DEFAULT, 0, offset, chunk_bytes(run), run->chunk) >= 0, "H5Dwrite_chunk");
}

static void commit(struct run *run)
{
    struct error error = {0};
    check(H5Fflush(run->file, H5F_SCOPE_LOCAL) >= 0, "H5Fflush");
    if (run->driver != NULL) check_driver(driver_commit(run->driver, COMMIT_FLUSHED, &error), &error);
}

static void close_run(struct run *run)
{
    struct error error = {0};
    check(H5Dclose(run->dataset) >= 0, "H5Dclose");
    if (run->driver != NULL) {
        commit(run);
        check_driver(driver_finish(run->driver, COMMIT_FLUSHED, &error), &error);
    }
    check(H5Fclose(run->file) >= 0, "H5Fclose");
    if (run->driver != NULL) check_driver(driver_error(run->driver, &error), &error);
    driver_destroy(run->driver);
    run->driver = NULL;
}

/* Seconds per byte. */
static double write_run(struct run *run, void (*open)(struct run *run))
{
    double begin = seconds_now(), next = begin + FLUSH_SECONDS;
    int64_t bytes = 0;
    run->rows = 0;
    open(run);
    while (bytes < RUN_BYTES) {
        write_chunk(run);
        bytes += (int64_t)chunk_bytes(run);
        double now = seconds_now();
        if (now < next) continue;
        commit(run);
        next = now + FLUSH_SECONDS;
    }
    close_run(run);
    double end = seconds_now();
    unlink(run->path);
    return (end - begin) / (double)bytes;
}

/* The second time counts: then the file's pages are those that the same side has freed, and not what another one left. */
static double write_twice(struct run *run, void (*open)(struct run *run))
{
    (void)write_run(run, open);
    return write_run(run, open);
}

static double write_ours(void *context)
{
    return write_twice(context, open_ours);
}

static double write_stock(void *context)
{
    return write_twice(context, open_stock);
}

static struct run make_run(const struct settings *settings, const struct frames *frames, int64_t particles,
                           int64_t chunk_rows)
{
    return (struct run){.path = path_in(settings, "commit.h5"),
                        .particles = particles,
                        .chunk_rows = chunk_rows,
                        .chunk = frames_make(frames, particles, chunk_rows)};
}

static void free_run(struct run *run)
{
    free(run->chunk);
    free(run->path);
}

int main(int argc, char **argv)
{
    struct settings settings = settings_parse(argc, argv);
    struct frames frames = frames_load(&settings);
    const int repetitions = (int)choose(&settings, 31, 3);
    struct run small = make_run(&settings, &frames, 1000, 87); /* 12 KB, and chunks of 1 MiB */
    struct run large = make_run(&settings, &frames, 100000, 1);
    if (settings.raw != NULL) {
        double seconds_per_byte = is_raw(&settings, "stock") ? write_stock(&small) : write_ours(&small);
        print_raw(seconds_per_byte, small.rows * (int64_t)FRAME_BYTES(small.particles));
    } else {
        compare("commit_overhead", PEER_BY_OURS, write_ours, write_stock, &small, repetitions, 1.0);
        compare("commit_overhead_1m2", PEER_BY_OURS, write_ours, write_stock, &large, repetitions, 1.0);
    }
    free_run(&small);
    free_run(&large);
    frames_free(&frames);
    return 0;
}
