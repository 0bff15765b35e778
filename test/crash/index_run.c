/* Datasets with one dimension and very many chunks, on the commit driver, recorded.
 *
 *     index_run PATH LOG KEY=NUMBER...    keys below; all of the file follows from them
 *
 * "plain" and "packed" are bytes in chunks of one, row r being 1 + (7 r + salt) % 250 with salt 0 and 100. Only rows from
 * `first` on are written: libhdf5 makes those blocks of its index that these need. Each row of "packed" is written twice,
 * in blocks of different size: a commit moves the last chunk of the one before. Prints and records a line when rows were
 * committed ("flushed ROWS" or "synced ROWS": so many rows), or dropped ("resumed ROWS"), and when the file was closed. From operation number `fail` on the disk is full. */
#include <hdf5.h>

#include <stdlib.h>
#include <zlib.h>

#include "crash/record.h"
#include "store/driver.h"

enum { PLAIN, PACKED, DATASETS };

static const char *const names[DATASETS] = {"plain", "packed"};

struct options {
    long first, rows, commit, sync, restart, abandon, fail;
};

static struct options options = {.rows = 10, .commit = 1, .restart = -1};
static struct recorder recorder;
static struct driver *driver;
static struct error error;
static hid_t file, datasets[DATASETS];

static void need(trajlog_status status)
{
    if (status == TRAJLOG_OK) return;
    printf("failed %d %s\n", error.number, error.message);
    exit(3);
}

static hid_t need_hdf5(hid_t result, int line)
{
    if (result >= 0) return result;
    if (driver != NULL) need(driver_error(driver, &error));
    fprintf(stderr, "an HDF5 call failed in line %d\n", line);
    exit(8);
}
#define NEED(call) need_hdf5((hid_t)(call), __LINE__)

static void report(const char *what, long rows)
{
    printf("%s %ld\n", what, rows);
    recorder_log(&recorder, "mark %s %ld\n", what, rows);
}

/* ---- datasets ---- */

static void make_dataset(int number)
{
    hsize_t now = 0, most = H5S_UNLIMITED, chunk = 1;
    hid_t space = NEED(H5Screate_simple(1, &now, &most)), list = NEED(H5Pcreate(H5P_DATASET_CREATE));
    NEED(H5Pset_chunk(list, 1, &chunk));
    if (number == PACKED) NEED(H5Pset_deflate(list, 1));
    NEED(H5Dclose(NEED(H5Dcreate2(file, names[number], H5T_STD_U8LE, space, H5P_DEFAULT, list, H5P_DEFAULT))));
    NEED(H5Pclose(list));
    NEED(H5Sclose(space));
}

static void write_value(int number, long row, bool packs)
{
    unsigned char value = (unsigned char)(1 + (7 * row + 100 * number) % 250), packed[64];
    hsize_t offset = (hsize_t)row;
    uLongf size = sizeof packed;
    if (packs && compress2(packed, &size, &value, 1, 1) != Z_OK) exit(7);
    NEED(H5Dwrite_chunk(datasets[number], H5P_DEFAULT, number == PACKED && !packs, &offset, packs ? size : 1,
                        packs ? packed : &value));
}

static void write_row(long row)
{
    hsize_t rows = (hsize_t)row + 1;
    for (int number = 0; number < DATASETS; number++) {
        NEED(H5Dset_extent(datasets[number], &rows));
        write_value(number, row, false);
    }
    if (row > options.first && row > options.restart) write_value(PACKED, row - 1, true);
}

/* ---- the file ---- */

static hid_t access_list(void)
{
    hid_t list = NEED(H5Pcreate(H5P_FILE_ACCESS));
    need(driver_use(driver, list, &error));
    return list;
}

static void begin_rows(void)
{
    NEED(H5Fstart_swmr_write(file));
    for (int number = 0; number < DATASETS; number++)
        datasets[number] = NEED(H5Dopen2(file, names[number], H5P_DEFAULT));
}

static void create(const char *path, const struct driver_io *io)
{
    need(driver_create(&driver, path, io, &error));
    hid_t list = access_list();
    file = NEED(H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, list));
    NEED(H5Pclose(list));
    NEED(H5Fflush(file, H5F_SCOPE_LOCAL));
    need(driver_show(driver, true, &error));
    driver_begin_headers(driver);
    for (int number = 0; number < DATASETS; number++) make_dataset(number);
    begin_rows();
    NEED(H5Fflush(file, H5F_SCOPE_LOCAL));
    need(driver_publish(driver, options.sync > 0 ? COMMIT_SYNCED : COMMIT_FLUSHED, &error));
}

static void resume(const char *path, const struct driver_io *io)
{
    hsize_t rows = (hsize_t)options.restart;
    need(driver_open(&driver, path, io, &error));
    hid_t list = access_list();
    file = NEED(H5Fopen(path, H5F_ACC_RDWR, list));
    NEED(H5Pclose(list));
    begin_rows();
    for (int number = 0; number < DATASETS; number++) NEED(H5Dset_extent(datasets[number], &rows));
    NEED(H5Fflush(file, H5F_SCOPE_LOCAL));
    need(driver_publish(driver, COMMIT_FLUSHED, &error));
    report("resumed", options.restart);
}

static void run(void)
{
    for (long row = options.restart >= 0 ? options.restart : options.first; row < options.rows; row++) {
        bool synced = options.sync > 0 && (row + 1) % options.sync == 0;
        write_row(row);
        if ((row + 1) % options.commit != 0 && !synced) continue;
        NEED(H5Fflush(file, H5F_SCOPE_LOCAL));
        need(driver_commit(driver, synced ? COMMIT_SYNCED : COMMIT_FLUSHED, &error));
        report(synced ? "synced" : "flushed", row + 1);
    }
}

static void end(void)
{
    if (options.abandon == 0) need(driver_finish(driver, COMMIT_FLUSHED, &error));
    for (int number = 0; number < DATASETS; number++) NEED(H5Dclose(datasets[number]));
    NEED(H5Fclose(file));
    need(driver_error(driver, &error));
    if (options.abandon == 0) report("closed", options.rows);
    printf("operations %ld moved %llu\n", recorder.count, driver_get_counts(driver).moved);
    driver_destroy(driver);
}

static int parse(int argc, char **argv)
{
    const struct {
        const char *key;
        long *number;
    } keys[] = {{"first=", &options.first}, {"rows=", &options.rows},       {"commit=", &options.commit},
                {"sync=", &options.sync},   {"restart=", &options.restart}, {"abandon=", &options.abandon},
                {"fail=", &options.fail}};
    for (int i = 3; i < argc; i++) {
        size_t k = 0, count = sizeof keys / sizeof *keys;
        while (k < count && strncmp(argv[i], keys[k].key, strlen(keys[k].key)) != 0) k++;
        if (k == count) return -1;
        *keys[k].number = strtol(argv[i] + strlen(keys[k].key), NULL, 10);
    }
    return argc > 2 ? 0 : -1;
}

int main(int argc, char **argv)
{
    if (parse(argc, argv) != 0) return 2;
    NEED(H5Eset_auto2(H5E_DEFAULT, NULL, NULL));
    recorder = (struct recorder){.log = fopen(argv[2], "wb"),
                                 .mode = options.fail > 0 ? FAULT_ALWAYS : FAULT_NONE,
                                 .at = options.fail,
                                 .number = ENOSPC};
    struct driver_io io = recorder_io(&recorder);
    if (recorder.log == NULL) return 2;
    if (options.restart >= 0) resume(argv[1], &io);
    else create(argv[1], &io);
    run();
    end();
    return fclose(recorder.log) == 0 ? 0 : 4;
}
