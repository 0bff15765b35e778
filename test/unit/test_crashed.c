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
#include "store/recover.h"
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

static bool beside_exists(const char *suffix)
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

/* The inverse; a file of no bytes is removed. */
static void write_back(const char *suffix, const unsigned char *bytes, size_t size)
{
    char *name = path_with_suffix(path, suffix);
    unlink(name);
    FILE *stream = size > 0 ? fopen(name, "wb") : NULL;
    assert_true(size == 0 || (fwrite(bytes, 1, size, stream) == size && fclose(stream) == 0));
    free(name);
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

/* At each moment of a batch readers see nothing of it until all of it is there, and change neither file nor journal. */
static void nothing_is_seen_of_a_batch_that_a_crash_has_cut(void **state)
{
    (void)state;
    static unsigned char before[2][16 << 20], after[2][16 << 20];
    long needed = 0;
    for (long k = 1;; k += STRIDE) {
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
        /* What others see is never more than what will be there. */
        needed += rows == 40 && rows_without_journal() == 30;
        assert_true(rows_without_journal() <= rows);
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

static trajlog_check_report check(trajlog_status status)
{
    trajlog_check_report report = {.struct_size = sizeof report};
    trajlog_status got = trajlog_check(path, NULL, &report, NULL, NULL);
    if (got != status) fail_msg("%s: %s", trajlog_status_name(got), trajlog_message(NULL));
    return report;
}

static trajlog_recovery recover(void)
{
    trajlog_recovery recovery = {.struct_size = sizeof recovery};
    trajlog_status status = trajlog_recover(path, 0, &recovery);
    if (status != TRAJLOG_OK) fail_msg("%s: %s", trajlog_status_name(status), trajlog_message(NULL));
    return recovery;
}

static int64_t file_size(void)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

/* The file is as a clean close leaves it, and a recovery finds nothing to do. */
static void expect_closed(int64_t rows)
{
    static unsigned char before[16 << 20], after[16 << 20];
    struct front_page front = read_front();
    assert_int_equal(front.announced_end, front.true_end);
    assert_int_equal(front.true_end, file_size());
    const char *const suffixes[] = {".new", ".first", ".journal", ".lock"};
    for (size_t i = 0; i < 4; i++) assert_false(beside_exists(suffixes[i]));
    assert_int_equal(rows_read(), rows);
    assert_int_equal(rows_without_journal(), rows);
    trajlog_check_report report = check(TRAJLOG_OK);
    assert_true(report.closed && !report.unfinished && report.journal == TRAJLOG_JOURNAL_NONE);
    assert_int_equal(report.rows, rows);
    size_t size = read_bytes("", before, sizeof before);
    trajlog_recovery recovery = recover();
    assert_true(!recovery.changed && recovery.removed_bytes == 0 && recovery.journal == TRAJLOG_JOURNAL_NONE);
    assert_int_equal(read_bytes("", after, sizeof after), size);
    assert_memory_equal(before, after, size);
}

static void a_closed_log_is_left_alone(void **state)
{
    (void)state;
    make_log(25, true);
    expect_closed(25);
    trajlog_check_report report = check(TRAJLOG_OK);
    assert_int_equal(report.last_step, 24);
    assert_true(report.file_bytes == file_size() && report.end_bytes == file_size());
}

static void a_killed_log_gets_its_exact_end(void **state)
{
    (void)state;
    make_log(25, false);
    trajlog_check_report report = check(TRAJLOG_OK);
    assert_true(!report.closed && !report.writer_is_alive && report.problems == 0);
    assert_int_equal(report.last_step, 24);
    assert_int_equal(report.file_bytes, file_size());
    assert_true(report.end_bytes < report.file_bytes);
    int64_t size = file_size();
    trajlog_recovery recovery = recover();
    assert_true(recovery.changed && recovery.journal == TRAJLOG_JOURNAL_NONE);
    assert_int_equal(recovery.removed_bytes, size - file_size());
    assert_true(recovery.removed_bytes > 0);
    expect_closed(25);
}

static void a_file_that_was_begun_beside_it_is_removed(void **state)
{
    (void)state;
    make_log(25, true);
    char *name = path_with_suffix(path, ".new");
    assert_int_equal(fclose(fopen(name, "w")), 0);
    free(name);
    assert_true(check(TRAJLOG_OK).unfinished);
    assert_true(recover().changed);
    expect_closed(25);
}

/* What a reader sees, it sees after the recovery too; also where that is cut itself, at any operation, and made anew. */
static void recover_from_any_failure(int64_t rows)
{
    static unsigned char bytes[2][16 << 20];
    size_t size = read_bytes("", bytes[0], sizeof bytes[0]), size2 = read_bytes(".journal", bytes[1], sizeof bytes[1]);
    for (long k = 1;; k += STRIDE) {
        struct recorder recorder = {.mode = FAULT_ALWAYS, .number = EIO, .at = k};
        struct driver_io io = recorder_io(&recorder);
        write_back("", bytes[0], size);
        write_back(".journal", bytes[1], size2);
        trajlog_status status = store_recover(path, &io, NULL);
        if (status == TRAJLOG_OK) expect_closed(rows);
        int64_t seen = rows_read();
        if (seen != rows) fail_msg("%lld rows after a failure of operation %ld", (long long)seen, k);
        recover();
        if (k % 4 == 0) expect_closed(rows);
        if (status == TRAJLOG_OK) break;
    }
}

static bool journal_is_needed(void)
{
    struct journal_blocks blocks;
    enum journal_finding finding;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(journal_inspect(&driver_io_system, path, descriptor, false, &finding, &blocks, NULL), TRAJLOG_OK);
    journal_blocks_free(&blocks);
    close(descriptor);
    return finding == JOURNAL_NEEDED;
}

static void a_batch_that_was_cut_is_taken_back(void **state)
{
    (void)state;
    int needed = 0;
    for (long k = 1;; k += STRIDE) {
        struct recorder recorder = {.number = EIO};
        struct driver_io io = recorder_io(&recorder);
        unlink(path);
        make_log(40, false);
        struct resumed resumed = drop_rows(&io, 30);
        recorder.at = recorder.count + k;
        recorder.mode = FAULT_ALWAYS;
        bool published = driver_publish(resumed.driver, COMMIT_FLUSHED, NULL) == TRAJLOG_OK;
        abandon(&resumed);
        int64_t rows = rows_read();
        bool is_needed = journal_is_needed();
        trajlog_check_report report = check(is_needed ? TRAJLOG_INVALID_FILE : TRAJLOG_OK);
        assert_int_equal(report.problems, is_needed);
        assert_int_equal(report.journal == TRAJLOG_JOURNAL_NEEDED, is_needed);
        assert_int_equal(report.rows, rows);
        if (is_needed && needed++ == 0) recover_from_any_failure(40);
        else assert_int_equal(recover().journal == TRAJLOG_JOURNAL_NEEDED, is_needed);
        expect_closed(rows);
        if (published) break;
    }
    assert_true(needed > 1);
}

static void after_a_power_loss_the_file_goes_back_to_the_synced_rows(void **state)
{
    (void)state;
    lose_power();
    trajlog_check_report report = check(TRAJLOG_INVALID_FILE);
    assert_true(report.problems == 1 && report.journal == TRAJLOG_JOURNAL_NEEDED && report.rows == 35);
    assert_non_null(strstr(trajlog_message(NULL), "recover"));
    trajlog_recovery recovery = recover();
    assert_int_equal(recovery.journal, TRAJLOG_JOURNAL_NEEDED);
    expect_closed(35);
}

static void a_log_that_is_being_written_is_not_touched(void **state)
{
    (void)state;
    static unsigned char before[16 << 20], after[16 << 20];
    struct ownership *ownership;
    make_log(25, false);
    size_t size = read_bytes("", before, sizeof before);
    assert_int_equal(ownership_take(&ownership, path, false, NULL), TRAJLOG_OK);
    assert_int_equal(trajlog_recover(path, 0, NULL), TRAJLOG_FILE_LOCKED);
    assert_non_null(strstr(trajlog_message(NULL), "another writer has"));
    trajlog_check_report report = check(TRAJLOG_OK);
    assert_true(report.writer_is_alive && !report.closed && report.rows == 25);
    ownership_release(&ownership);
    assert_int_equal(read_bytes("", after, sizeof after), size);
    assert_memory_equal(before, after, size);
}

/* Goes on at step 20 with a field and a group that the file lacks. */
static void resume_with_additions(bool cleanly)
{
    double x[WIDTH], y[WIDTH];
    trajlog_writer *log = NULL;
    trajlog_options options = trajlog_default_options();
    options.synchronous = 1;
    options.accept_additions = 1;
    trajlog_resume(&log, path, 19, &options);
    trajlog_group *group = trajlog_add_group(log, "trajectory", trajlog_every(1));
    trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(WIDTH), x, "nm");
    trajlog_add_field(group, "y", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(WIDTH), y, "nm");
    trajlog_add_field(trajlog_add_group(log, "more", trajlog_every(2)), "y", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, y, "nm");
    for (int64_t step = 20; step < 50; step++) {
        for (int j = 0; j < WIDTH; j++) y[j] = x[j] = 1000.0 * (double)step + j;
        if (trajlog_log(log, step, 0.5 * (double)step) != TRAJLOG_OK) _exit(1);
    }
    if (trajlog_flush(log) != TRAJLOG_OK) _exit(2);
    if (cleanly && trajlog_close(&log) != TRAJLOG_OK) _exit(3);
    _exit(0);
}

static void a_resumed_log_is_sound(void **state)
{
    (void)state;
    for (int cleanly = 0; cleanly < 2; cleanly++) {
        int status;
        unlink(path);
        make_log(40, false);
        pid_t child = fork();
        if (child == 0) resume_with_additions(cleanly);
        assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        trajlog_check_report report = check(TRAJLOG_OK);
        assert_int_equal(report.closed, cleanly);
        assert_int_equal(report.last_step, 49);
        assert_int_equal(report.rows, 50 + 15);
        assert_int_equal(recover().changed, !cleanly);
        assert_int_equal(rows_read(), 50);
        assert_true(check(TRAJLOG_OK).closed);
    }
}

static void what_no_crash_explains_is_not_touched(void **state)
{
    (void)state;
    trajlog_recovery recovery = {.struct_size = sizeof recovery, .changed = 7};
    assert_int_equal(trajlog_recover(path, 0, &recovery), TRAJLOG_NOT_FOUND);
    assert_int_equal(recovery.changed, 0);
    assert_int_equal(trajlog_check(path, NULL, NULL, NULL, NULL), TRAJLOG_NOT_FOUND);
    assert_int_equal(trajlog_recover(NULL, 0, NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(trajlog_check("", NULL, NULL, NULL, NULL), TRAJLOG_INVALID_ARGUMENT);
    recovery.struct_size = 3;
    assert_int_equal(trajlog_recover(path, 0, &recovery), TRAJLOG_INVALID_ARGUMENT);
    make_log(25, false);
    assert_int_equal(truncate(path, file_size() / 40), 0);
    int64_t size = file_size();
    assert_int_equal(trajlog_recover(path, 0, NULL), TRAJLOG_INVALID_FILE);
    assert_non_null(strstr(trajlog_message(NULL), path));
    assert_int_equal(trajlog_check(path, NULL, NULL, NULL, NULL), TRAJLOG_INVALID_FILE);
    assert_int_equal(file_size(), size);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

static const struct CMUnitTest tests[] = {
    FILE_TEST(a_killed_log_is_read_to_its_last_commit),
    FILE_TEST(nothing_is_seen_of_a_batch_that_a_crash_has_cut),
    FILE_TEST(after_a_power_loss_the_synced_rows_are_read),
    FILE_TEST(a_closed_log_is_left_alone),
    FILE_TEST(a_killed_log_gets_its_exact_end),
    FILE_TEST(a_file_that_was_begun_beside_it_is_removed),
    FILE_TEST(a_batch_that_was_cut_is_taken_back),
    FILE_TEST(after_a_power_loss_the_file_goes_back_to_the_synced_rows),
    FILE_TEST(a_log_that_is_being_written_is_not_touched),
    FILE_TEST(a_resumed_log_is_sound),
    FILE_TEST(what_no_crash_explains_is_not_touched),
};

TEST_MAIN(tests)
