/* What a crash leaves behind: read, checked and recovered. Files are made by the store, on a file system that writes
 * down what happens or fails at the k-th operation. */
#include <hdf5.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash/record.h"
#include "harness.h"
#include "store/driver.h"
#include "store/front_page.h"
#include "store/journal.h"
#include "store/ownership.h"
#include "trajlog.h"

#define WIDTH 300

static char directory[100], path[120];

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_crashed_XXXXXX");
    if (mkdtemp(directory) == NULL) return -1;
    snprintf(path, sizeof path, "%s/run.h5", directory);
    return 0;
}

static inline bool beside_exists(const char *suffix)
{
    char *name = path_with_suffix(path, suffix);
    bool exists = access(name, F_OK) == 0;
    free(name);
    return exists;
}

static int remove_directory(void **state)
{
    (void)state;
    const char *suffixes[] = {"", ".new", ".first", ".journal", ".lock", ".link"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char *name = path_with_suffix(path, suffixes[i]);
        unlink(name);
        free(name);
    }
    return rmdir(directory);
}

/* ---- a log with a group "trajectory" of every step, whose element j of row r is 1000 r + j ---- */

static void write_log(int64_t rows, bool cleanly)
{
    double x[WIDTH];
    trajlog_writer *log = NULL;
    trajlog_options options = trajlog_default_options();
    options.synchronous = 1;
    trajlog_create(&log, path, &options);
    trajlog_group *group = trajlog_add_group(log, "trajectory", trajlog_every(1));
    trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(WIDTH), x, "nm");
    for (int64_t step = 0; step < rows; step++) {
        for (int j = 0; j < WIDTH; j++) x[j] = 1000.0 * (double)step + j;
        if (trajlog_log(log, step, 0.5 * (double)step) != TRAJLOG_OK) _exit(1);
    }
    if (trajlog_flush(log) != TRAJLOG_OK) _exit(2);
    if (!cleanly) _exit(0);
    if (trajlog_close(&log) != TRAJLOG_OK) _exit(3);
    _exit(0);
}

/* In a process of its own, which ends without closing it, or closes it. */
static void make_log(int64_t rows, bool cleanly)
{
    int status;
    pid_t child = fork();
    if (child == 0) write_log(rows, cleanly);
    assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* How many rows a reader sees, all of which it reads; -1 if it cannot. */
static int64_t rows_read(void)
{
    trajlog_reader *reader = NULL;
    double *x = NULL;
    int64_t rows = -1;
    trajlog_open(&reader, path);
    if (trajlog_read_new(reader, "trajectory", "x", trajlog_all_rows(), 0, (void **)&x, &rows) == TRAJLOG_OK)
        for (int64_t i = 0; i < rows * WIDTH; i++)
            assert_true(x[i] == 1000.0 * (double)(i / WIDTH) + (double)(i % WIDTH));
    else printf("%s\n", trajlog_reader_message(reader));
    trajlog_free(x);
    trajlog_reader_close(&reader);
    return rows;
}

/* What plain HDF5 sees. */
static int64_t rows_without_journal(void)
{
    hsize_t size[2] = {0, 0};
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "trajectory/x", H5P_DEFAULT), space = H5Dget_space(dataset);
    assert_int_equal(H5Sget_simple_extent_dims(space, size, NULL), 2);
    assert_true(H5Sclose(space) >= 0 && H5Dclose(dataset) >= 0 && H5Fclose(file) >= 0);
    return (int64_t)size[0];
}

static size_t read_bytes(const char *suffix, unsigned char *bytes, size_t size)
{
    char *name = path_with_suffix(path, suffix);
    FILE *stream = fopen(name, "rb");
    size_t got = stream != NULL ? fread(bytes, 1, size, stream) : 0;
    if (stream != NULL) fclose(stream);
    free(name);
    return got;
}

static struct front_page read_front(void)
{
    unsigned char bytes[FRONT_PAGE_WRITTEN];
    struct front_page front;
    assert_int_equal(read_bytes("", bytes, sizeof bytes), sizeof bytes);
    assert_true(front_page_decode(&front, bytes));
    return front;
}

/* ---- the driver on it: some rows are dropped ---- */

static const char *const dataset_names[] = {"trajectory/step", "trajectory/time", "trajectory/x"};

struct resumed {
    struct driver *driver;
    hid_t file;
};

static void set_rows(const struct resumed *resumed, hsize_t rows)
{
    for (int i = 0; i < 3; i++) {
        hsize_t size[2] = {rows, WIDTH};
        hid_t dataset = H5Dopen2(resumed->file, dataset_names[i], H5P_DEFAULT);
        assert_true(dataset >= 0 && H5Dset_extent(dataset, size) >= 0 && H5Dclose(dataset) >= 0);
    }
    assert_true(H5Fflush(resumed->file, H5F_SCOPE_LOCAL) >= 0);
}

static struct resumed drop_rows(const struct driver_io *io, hsize_t rows)
{
    struct resumed resumed = {NULL, H5I_INVALID_HID};
    assert_int_equal(driver_open(&resumed.driver, path, io, NULL), TRAJLOG_OK);
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    assert_int_equal(driver_use(resumed.driver, list, NULL), TRAJLOG_OK);
    resumed.file = H5Fopen(path, H5F_ACC_RDWR, list);
    assert_true(resumed.file >= 0 && H5Pclose(list) >= 0 && H5Fstart_swmr_write(resumed.file) >= 0);
    set_rows(&resumed, rows);
    return resumed;
}

/* Leaves it as a kill would. */
static void abandon(struct resumed *resumed)
{
    assert_true(H5Fclose(resumed->file) >= 0);
    driver_destroy(resumed->driver);
}

/* Makes the journal one of another run of the machine: that is what a power loss looks like. */
static void pretend_restart(void)
{
    struct journal_blocks blocks;
    enum journal_finding finding;
    struct journal journal = {
        .io = &driver_io_system, .path = path_with_suffix(path, JOURNAL_SUFFIX), .descriptor = -1};
    struct journal_identity identity = {.boot_id = "another boot"};
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(journal_inspect(&driver_io_system, path, descriptor, true, &finding, &blocks, NULL), TRAJLOG_OK);
    assert_int_equal(finding, JOURNAL_NEEDED);
    close(descriptor);
    struct front_page front = read_front();
    memcpy(identity.file_id, front.file_id, sizeof identity.file_id);
    identity.sequence = front.sequence;
    assert_int_equal(journal_write(&journal, JOURNAL_BASE, &identity, &blocks), 0);
    journal_blocks_free(&blocks);
    journal_close(&journal);
}

/* Writes the rows from `first` on, which exist already. */
static void fill_rows(const struct resumed *resumed, hsize_t first, hsize_t count)
{
    static double x[100][WIDTH];
    int64_t step[100];
    double time[100];
    for (hsize_t i = 0; i < count; i++) {
        step[i] = (int64_t)(first + i);
        time[i] = 0.5 * (double)step[i];
        for (int j = 0; j < WIDTH; j++) x[i][j] = 1000.0 * (double)step[i] + j;
    }
    const void *data[] = {step, time, x};
    for (int i = 0; i < 3; i++) {
        hsize_t start[2] = {first, 0}, size[2] = {count, WIDTH};
        hid_t dataset = H5Dopen2(resumed->file, dataset_names[i], H5P_DEFAULT), space = H5Dget_space(dataset);
        hid_t type = i == 0 ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE,
              memory = H5Screate_simple(i < 2 ? 1 : 2, size, NULL);
        assert_true(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) >= 0);
        assert_true(H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, data[i]) >= 0);
        assert_true(H5Sclose(memory) >= 0 && H5Sclose(space) >= 0 && H5Dclose(dataset) >= 0);
    }
    assert_true(H5Fflush(resumed->file, H5F_SCOPE_LOCAL) >= 0);
}

/* 35 rows were synced, 5 more were flushed; and then the power went. */
static void lose_power(void)
{
    make_log(40, false);
    struct resumed resumed = drop_rows(NULL, 35);
    assert_int_equal(driver_publish(resumed.driver, COMMIT_SYNCED, NULL), TRAJLOG_OK);
    set_rows(&resumed, 40);
    fill_rows(&resumed, 35, 5);
    assert_int_equal(driver_commit(resumed.driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
    abandon(&resumed);
    pretend_restart();
}

/* ---- tests ---- */

static void a_killed_log_is_read_to_its_last_commit(void **state)
{
    (void)state;
    make_log(25, false);
    assert_int_equal(rows_read(), 25);
}

/* At each moment of a batch readers see all of it or nothing, and change neither file nor journal. */
static void a_batch_that_a_crash_has_cut_is_seen_whole(void **state)
{
    (void)state;
    static unsigned char before[2][4 << 20], after[2][4 << 20];
    long needed = 0;
    for (long k = 1;; k++) {
        struct recorder recorder = {.number = EIO};
        struct driver_io io = recorder_io(&recorder);
        unlink(path);
        make_log(40, false);
        struct resumed resumed = drop_rows(&io, 30);
        recorder.at = recorder.count + k;
        recorder.mode = FAULT_ALWAYS;
        bool published = driver_publish(resumed.driver, COMMIT_FLUSHED, NULL) == TRAJLOG_OK;
        abandon(&resumed);
        size_t size = read_bytes("", before[0], sizeof before[0]);
        size_t journal_size = read_bytes(".journal", before[1], sizeof before[1]);
        int64_t rows = rows_read();
        if (rows != 40 && rows != 30) fail_msg("%lld rows after a failure of operation %ld", (long long)rows, k);
        if (published) assert_int_equal(rows, 30);
        needed += rows == 30 && rows_without_journal() == 40;
        assert_int_equal(read_bytes("", after[0], sizeof after[0]), size);
        assert_int_equal(read_bytes(".journal", after[1], sizeof after[1]), journal_size);
        assert_memory_equal(before[0], after[0], size);
        assert_memory_equal(before[1], after[1], journal_size);
        if (published) break;
    }
    assert_true(needed > 0);
}

/* The journal leads back to what was synced; the file by itself holds later rows, in part. */
static void after_a_power_loss_the_synced_rows_are_read(void **state)
{
    (void)state;
    lose_power();
    assert_int_equal(rows_read(), 35);
    /* A writer that is at work looks after its journal itself. */
    struct ownership *ownership;
    assert_int_equal(ownership_take(&ownership, path, false, NULL), TRAJLOG_OK);
    assert_int_equal(rows_read(), 40);
    ownership_release(&ownership);
    assert_int_equal(rows_read(), 35);
    /* The journal lies beside the file, not beside another name for it. */
    char link[140];
    snprintf(link, sizeof link, "%s.link", path);
    assert_int_equal(symlink("run.h5", link), 0);
    trajlog_reader *reader = NULL;
    assert_int_equal(trajlog_open(&reader, link), TRAJLOG_OK);
    assert_int_equal(trajlog_reader_group(reader, 0)->rows, 35);
    trajlog_reader_close(&reader);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

static const struct CMUnitTest tests[] = {
    FILE_TEST(a_killed_log_is_read_to_its_last_commit),
    FILE_TEST(a_batch_that_a_crash_has_cut_is_seen_whole),
    FILE_TEST(after_a_power_loss_the_synced_rows_are_read),
};

TEST_MAIN(tests)
