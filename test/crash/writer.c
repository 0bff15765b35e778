/* A synthetic writer on the commit driver, to be killed, cut off from its disk, and recorded.
 *
 *     writer PATH KEY=NUMBER...    keys below; all of the file follows from them
 *
 * Groups g0, g1, ... at different cadence, with `step` and `time` and fields f0, f1, ...; row r, element j of a field
 * with attribute `salt` is the 32-bit number 2654435761 r + 40503 salt + 97 j. Prints a line to standard output when
 * the file was shown, published, committed ("flushed STEP" or "synced STEP": all steps up to it), and closed. */
#include <hdf5.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "crash/record.h"
#include "store/driver.h"

#define GROUPS 3
#define FIELDS 6

struct options {
    long seed, steps, commit_every, sync_every, restart, pause, fail_at, fail_errno, fail_mode, wide, abandon, tiny;
};

struct dataset {
    hid_t dataset;
    unsigned salt; /* 0: step, 1: time */
    int compressed;
    hsize_t width, chunk_rows;
    size_t row_size;
    unsigned char *chunk;
    haddr_t tail; /* raw block of an unfiltered tail */
    hsize_t tail_size;
    int changed;
};

struct series {
    long every;
    hsize_t rows;
    size_t column_count;
    struct dataset column[FIELDS + 2];
};

static struct options options;
static struct series groups[GROUPS];
static struct driver *driver;
static struct recorder recorder;
static hid_t file;
static jmp_buf way_out;
static int closing;

static void report(const char *what, long step)
{
    char line[100];
    int size = snprintf(line, sizeof line, "%s %ld\n", what, step);
    if (write(STDOUT_FILENO, line, (size_t)size) != size) exit(9);
    recorder_log(&recorder, "mark %s", line);
}

/* H5 calls never fail but where the disk cannot be read, or else this test does. */
static hid_t need(hid_t result, int line)
{
    if (result >= 0) return result;
    if (driver != NULL && driver_error(driver, NULL) != TRAJLOG_OK) {
        if (closing) return result;
        longjmp(way_out, 1);
    }
    fprintf(stderr, "an HDF5 call failed in line %d\n", line);
    exit(8);
}
#define NEED(call) need((hid_t)(call), __LINE__)

static unsigned long random_state;
static long random_below(long limit)
{
    random_state = random_state * 6364136223846793005ul + 1442695040888963407ul;
    return (long)((random_state >> 33) % (unsigned long)limit);
}

/* ---- the data ---- */

static void fill_row(const struct dataset *column, hsize_t row, long step, unsigned char *place)
{
    int64_t number = step;
    double time = 0.5 * (double)step;
    if (column->salt == 0) memcpy(place, &number, sizeof number);
    if (column->salt == 1) memcpy(place, &time, sizeof time);
    for (hsize_t j = 0; column->salt > 1 && j < column->width; j++) {
        uint32_t value = (uint32_t)(2654435761u * row + 40503u * column->salt + 97u * j);
        memcpy(place + 4 * j, &value, sizeof value);
    }
}

/* ---- columns ---- */

static void make_dataset(hid_t place, const char *name, struct dataset *column)
{
    hsize_t now[2] = {0, column->width}, most[2] = {H5S_UNLIMITED, H5S_UNLIMITED};
    hsize_t chunk[2] = {column->chunk_rows, column->width};
    int rank = column->salt > 1 ? 2 : 1;
    hid_t space = NEED(H5Screate_simple(rank, now, most)), list = NEED(H5Pcreate(H5P_DATASET_CREATE));
    hid_t type = column->salt == 0 ? H5T_STD_I64LE : column->salt == 1 ? H5T_IEEE_F64LE : H5T_STD_U32LE;
    NEED(H5Pset_chunk(list, rank, chunk));
    if (column->compressed) NEED(H5Pset_deflate(list, 1));
    column->dataset = NEED(H5Dcreate2(place, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT));
    NEED(H5Pclose(list));
    NEED(H5Sclose(space));
}

static void write_chunk(struct dataset *column, hsize_t first_row, uint32_t mask, const void *data, size_t size)
{
    hsize_t offset[2] = {first_row, 0};
    NEED(H5Dwrite_chunk(column->dataset, H5P_DEFAULT, mask, offset, size, data));
}

/* The tail stays unfiltered, in one place, until it is full. */
static void write_tail(struct dataset *column, hsize_t rows)
{
    haddr_t address;
    hsize_t size, first = (rows - 1) / column->chunk_rows * column->chunk_rows;
    size_t full = column->chunk_rows * column->row_size;
    int is_full = rows % column->chunk_rows == 0;
    driver_last_raw(driver, &address, &size);
    if (column->compressed && is_full) {
        uLongf packed_size = compressBound(full);
        unsigned char *packed = malloc(packed_size);
        if (packed == NULL || compress2(packed, &packed_size, column->chunk, full, 1) != Z_OK) exit(7);
        write_chunk(column, first, 0, packed, packed_size);
        free(packed);
        if (column->tail_size > 0 && driver_last_raw(driver, &address, &size))
            driver_retire(driver, column->tail, column->tail_size, 0);
    } else {
        write_chunk(column, first, column->compressed ? 1 : 0, column->chunk, full);
        if (driver_last_raw(driver, &address, &size)) column->tail = address, column->tail_size = size;
    }
    column->changed = 0;
    if (!is_full) return;
    column->tail_size = 0;
    memset(column->chunk, 0, full);
}

static void append_row(struct series *group, long step)
{
    for (size_t i = 0; i < group->column_count; i++) {
        struct dataset *column = &group->column[i];
        hsize_t place = group->rows % column->chunk_rows;
        fill_row(column, group->rows, step, column->chunk + place * column->row_size);
        column->changed = 1;
        if (place + 1 != column->chunk_rows) continue;
        hsize_t size[2] = {group->rows + 1, column->width};
        NEED(H5Dset_extent(column->dataset, size));
        write_tail(column, group->rows + 1);
    }
    group->rows++;
}

static void set_rows(const struct series *group)
{
    for (size_t i = 0; i < group->column_count; i++) {
        hsize_t size[2] = {group->rows, group->column[i].width};
        NEED(H5Dset_extent(group->column[i].dataset, size));
    }
}

static trajlog_status commit(enum commit_level level, long step, struct error *error)
{
    for (int g = 0; g < GROUPS; g++) {
        struct series *group = &groups[g];
        set_rows(group);
        for (size_t i = 0; i < group->column_count; i++)
            if (group->column[i].changed) write_tail(&group->column[i], group->rows);
    }
    NEED(H5Fflush(file, H5F_SCOPE_LOCAL));
    TRY(driver_commit(driver, level, error));
    report(level == COMMIT_SYNCED ? "synced" : "flushed", step);
    return TRAJLOG_OK;
}

/* ---- the plan ---- */

static void plan_column(struct dataset *column, unsigned salt)
{
    column->salt = salt;
    column->width = 1;
    column->chunk_rows = options.tiny ? 16 : 8192;
    column->row_size = 8;
    if (salt > 1) {
        column->width = (hsize_t)(options.wide ? 20000 + random_below(30000) : 1 + random_below(600));
        column->chunk_rows = (hsize_t)(1 + random_below(options.wide ? 3 : 40));
        column->row_size = 4 * column->width;
        column->compressed = random_below(3) == 0;
    }
    column->chunk = calloc(column->chunk_rows, column->row_size);
    if (column->chunk == NULL) exit(7);
}

static void plan(void)
{
    static const long every[GROUPS] = {1, 3, 7};
    random_state = (unsigned long)options.seed * 2862933555777941757ul + 3037000493ul;
    for (int g = 0; g < GROUPS; g++) {
        groups[g].every = every[g];
        groups[g].column_count = 3 + (size_t)random_below(FIELDS);
        for (unsigned i = 0; i < groups[g].column_count; i++)
            plan_column(&groups[g].column[i], i < 2 ? i : 10u * (unsigned)(g + 1) + i);
    }
}

static void column_name(char *name, size_t size, int g, unsigned i)
{
    if (i < 2) snprintf(name, size, "/g%d/%s", g, i == 0 ? "step" : "time");
    else snprintf(name, size, "/g%d/f%u", g, i - 2);
}

/* ---- creating ---- */

static void put_number(hid_t object, const char *name, unsigned number)
{
    hid_t space = NEED(H5Screate(H5S_SCALAR));
    hid_t attribute = NEED(H5Acreate2(object, name, H5T_STD_U32LE, space, H5P_DEFAULT, H5P_DEFAULT));
    NEED(H5Awrite(attribute, H5T_NATIVE_UINT, &number));
    NEED(H5Aclose(attribute));
    NEED(H5Sclose(space));
}

static void define(void)
{
    char name[40];
    for (int g = 0; g < GROUPS; g++) {
        snprintf(name, sizeof name, "/g%d", g);
        NEED(H5Gclose(NEED(H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT))));
        driver_begin_headers(driver);
        for (unsigned i = 0; i < groups[g].column_count; i++) {
            column_name(name, sizeof name, g, i);
            make_dataset(file, name, &groups[g].column[i]);
        }
        driver_begin_headers(driver);
        for (unsigned i = 0; i < groups[g].column_count; i++) {
            put_number(groups[g].column[i].dataset, "salt", groups[g].column[i].salt);
            NEED(H5Dclose(groups[g].column[i].dataset));
        }
    }
}

static void open_datasets(void)
{
    char name[40];
    for (int g = 0; g < GROUPS; g++)
        for (unsigned i = 0; i < groups[g].column_count; i++) {
            column_name(name, sizeof name, g, i);
            groups[g].column[i].dataset = NEED(H5Dopen2(file, name, H5P_DEFAULT));
        }
}

static hid_t access_list(struct error *error)
{
    hid_t list = NEED(H5Pcreate(H5P_FILE_ACCESS));
    if (driver_use(driver, list, error) != TRAJLOG_OK) exit(7);
    return list;
}

static trajlog_status create(const char *path, const struct driver_io *io, struct error *error)
{
    TRY(driver_create(&driver, path, io, error));
    hid_t list = access_list(error);
    file = NEED(H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, list));
    NEED(H5Pclose(list));
    put_number(file, "trajlog_version", 1);
    NEED(H5Fflush(file, H5F_SCOPE_LOCAL));
    TRY(driver_show(driver, false, error));
    report("shown", 0);
    define();
    NEED(H5Fstart_swmr_write(file));
    open_datasets();
    NEED(H5Fflush(file, H5F_SCOPE_LOCAL));
    TRY(driver_publish(driver, options.sync_every > 0 ? COMMIT_SYNCED : COMMIT_FLUSHED, error));
    report("published", -1);
    return TRAJLOG_OK;
}

/* ---- resuming ---- */

static hsize_t row_count(hid_t dataset)
{
    hsize_t size[2];
    hid_t space = NEED(H5Dget_space(dataset));
    NEED(H5Sget_simple_extent_dims(space, size, NULL));
    NEED(H5Sclose(space));
    return size[0];
}

/* Brings back the rows of the last chunk, if it is not full. */
static void load_tail(struct dataset *column, hsize_t rows)
{
    hsize_t count = rows % column->chunk_rows, start[2] = {rows - count, 0}, size[2] = {count, column->width};
    if (count == 0) return;
    int rank = column->salt > 1 ? 2 : 1;
    hid_t type = column->salt == 0 ? H5T_STD_I64LE : column->salt == 1 ? H5T_IEEE_F64LE : H5T_STD_U32LE;
    hid_t from = NEED(H5Dget_space(column->dataset)), to = NEED(H5Screate_simple(rank, size, NULL));
    NEED(H5Sselect_hyperslab(from, H5S_SELECT_SET, start, NULL, size, NULL));
    NEED(H5Dread(column->dataset, type, to, from, H5P_DEFAULT, column->chunk));
    NEED(H5Sclose(from));
    NEED(H5Sclose(to));
}

/* In its place, if it is there: what is added to a header and taken out of it moves what else is in it. */
static void note_restart(void)
{
    unsigned number = (unsigned)options.restart;
    if (NEED(H5Aexists(file, "restart")) == 0) {
        put_number(file, "restart", number);
        return;
    }
    hid_t attribute = NEED(H5Aopen(file, "restart", H5P_DEFAULT));
    NEED(H5Awrite(attribute, H5T_NATIVE_UINT, &number));
    NEED(H5Aclose(attribute));
}

/* Whoever restarts has seen the rows up to the restart step. */
static void lacks_rows(int g, hsize_t rows, hsize_t wanted)
{
    fprintf(stderr, "g%d has %llu rows where a resume is to keep %llu\n", g, (unsigned long long)rows,
            (unsigned long long)wanted);
    exit(6);
}

static trajlog_status resume(const char *path, const struct driver_io *io, struct error *error)
{
    TRY(driver_open(&driver, path, io, error));
    hid_t list = access_list(error);
    NEED(H5Pset_cache(list, 0, 521, 0, 1));
    file = NEED(H5Fopen(path, H5F_ACC_RDWR, list));
    NEED(H5Pclose(list));
    note_restart();
    NEED(H5Fstart_swmr_write(file));
    open_datasets();
    for (int g = 0; g < GROUPS; g++) {
        struct series *group = &groups[g];
        hsize_t wanted = (hsize_t)(options.restart / group->every + 1);
        group->rows = row_count(group->column[0].dataset);
        if (group->rows < wanted) lacks_rows(g, group->rows, wanted);
        group->rows = wanted;
        for (size_t i = 0; i < group->column_count; i++) load_tail(&group->column[i], group->rows);
        set_rows(group);
    }
    NEED(H5Fflush(file, H5F_SCOPE_LOCAL));
    TRY(driver_publish(driver, COMMIT_SYNCED, error));
    report("resumed", options.restart);
    return TRAJLOG_OK;
}

/* ---- the run ---- */

static trajlog_status run(long first, struct error *error)
{
    for (long step = first; step < options.steps; step++) {
        for (int g = 0; g < GROUPS; g++)
            if (step % groups[g].every == 0 && (long)groups[g].rows == step / groups[g].every)
                append_row(&groups[g], step);
        int synced = options.sync_every > 0 && step % options.sync_every == 0;
        if (synced || step % options.commit_every == 0)
            TRY(commit(synced ? COMMIT_SYNCED : COMMIT_FLUSHED, step, error));
        if (options.pause > 0) nanosleep(&(struct timespec){.tv_nsec = 1000 * options.pause}, NULL);
    }
    if (options.abandon) return TRAJLOG_OK;
    TRY(commit(COMMIT_FLUSHED, options.steps - 1, error));
    return driver_finish(driver, options.sync_every > 0 ? COMMIT_SYNCED : COMMIT_FLUSHED, error);
}

static void close_all(void)
{
    for (int g = 0; g < GROUPS; g++)
        for (size_t i = 0; i < groups[g].column_count; i++) {
            if (groups[g].column[i].dataset > 0 && H5Iis_valid(groups[g].column[i].dataset) > 0)
                NEED(H5Dclose(groups[g].column[i].dataset));
            free(groups[g].column[i].chunk);
        }
    if (file > 0) NEED(H5Fclose(file));
}

static int parse(int argc, char **argv, char **log_path)
{
    const struct {
        const char *key;
        long *number;
    } keys[] = {{"seed", &options.seed},       {"steps", &options.steps},      {"commit", &options.commit_every},
                {"sync", &options.sync_every}, {"restart", &options.restart},  {"pause", &options.pause},
                {"fail", &options.fail_at},    {"errno", &options.fail_errno}, {"mode", &options.fail_mode},
                {"wide", &options.wide},       {"abandon", &options.abandon},  {"tiny", &options.tiny}};
    options = (struct options){.steps = 1000, .commit_every = 10, .restart = -1, .fail_mode = FAULT_NONE};
    for (int i = 2; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals == NULL) return -1;
        if (strncmp(argv[i], "log=", 4) == 0) *log_path = equals + 1;
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            if (strlen(keys[k].key) == (size_t)(equals - argv[i]) &&
                strncmp(argv[i], keys[k].key, (size_t)(equals - argv[i])) == 0)
                *keys[k].number = strtol(equals + 1, NULL, 10);
    }
    return argc > 1 ? 0 : -1;
}

int main(int argc, char **argv)
{
    char *log_path = NULL;
    struct error error = {0};
    if (parse(argc, argv, &log_path) != 0) return 2;
    NEED(H5Eset_auto2(H5E_DEFAULT, NULL, NULL));
    plan();
    recorder = (struct recorder){.mode = (enum fault_mode)options.fail_mode,
                                 .number = (int)options.fail_errno,
                                 .at = options.fail_at,
                                 .log = log_path != NULL ? fopen(log_path, "wb") : NULL};
    struct driver_io recording = recorder_io(&recorder);
    const struct driver_io *io = log_path != NULL || options.fail_at > 0 ? &recording : NULL;
    volatile trajlog_status status = TRAJLOG_OK;
    if (setjmp(way_out) == 0) {
        status = options.restart >= 0 ? resume(argv[1], io, &error) : create(argv[1], io, &error);
        if (status == TRAJLOG_OK) status = run(options.restart + 1, &error);
    }
    closing = 1;
    close_all();
    if (status == TRAJLOG_OK && driver != NULL) status = driver_error(driver, &error);
    if (status == TRAJLOG_OK && options.abandon == 0) report("closed", options.steps - 1);
    struct driver_counts counts = {0};
    if (driver != NULL) counts = driver_get_counts(driver);
    driver_destroy(driver);
    if (recorder.log != NULL) fclose(recorder.log);
    if (status != TRAJLOG_OK) printf("failed %d %s\n", error.number, error.message);
    printf("counts operations %ld straddles %llu reused %llu undo %llu headers %llu syncs %llu commits %llu end %llu\n",
           recorder.count, counts.straddles, counts.reused, counts.undo_syncs, counts.header_writes_last, counts.syncs,
           counts.commits, (unsigned long long)counts.end);
    return status == TRAJLOG_OK ? 0 : 3;
}
