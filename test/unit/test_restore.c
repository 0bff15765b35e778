/* trajlog_restore, on logs of the writer: which state comes back, and when none does. */
#include "harness.h"

#include <hdf5.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trajlog.h"

#define ATOMS 700

static char directory[64], path[96];
static trajlog_writer *log_;
static trajlog_reader *reader;
static double x[ATOMS][3], read_x[ATOMS][3];
static int64_t count, read_count, next;
static char label[8], read_label[8];

static int set_up(void **state)
{
    (void)state;
    next = 0;
    strcpy(directory, "/tmp/test_restore.XXXXXX");
    if (mkdtemp(directory) == NULL) return -1;
    snprintf(path, sizeof path, "%s/log.h5", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char name[128];
    static const char *const suffixes[] = {"", ".journal", ".lock", ".new"};
    trajlog_reader_close(&reader);
    trajlog_close(&log_);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
    return rmdir(directory);
}

/* The state at a step: a NaN with a payload among it. */
static void set_state(int64_t step)
{
    static const uint64_t nan_bits = UINT64_C(0x7ff80000deadbeef);
    for (int i = 0; i < ATOMS; i++)
        for (int k = 0; k < 3; k++) x[i][k] = (double)step + 0.001 * (3 * i + k);
    memcpy(&x[1][1], &nan_bits, sizeof nan_bits);
    count = 7 * step;
    memset(label, 0, sizeof label);
    snprintf(label, sizeof label, "s%d", (int)step);
}

static void declare(void)
{
    trajlog_group *group = trajlog_add_group(log_, "thermo", trajlog_every(1));
    trajlog_add_field(group, "count", TRAJLOG_INT64, TRAJLOG_SCALAR, &count, NULL);
    trajlog_group *checkpoint = trajlog_add_checkpoint(log_);
    trajlog_add_field(checkpoint, "atoms/x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(ATOMS, 3), x, "nm");
    trajlog_add_field(checkpoint, "count", TRAJLOG_INT64, TRAJLOG_SCALAR, &count, NULL);
    trajlog_add_field(checkpoint, "label", TRAJLOG_STRING(8), TRAJLOG_SCALAR, label, NULL);
}

static void start_log(int32_t synchronous)
{
    trajlog_options options = trajlog_default_options();
    options.synchronous = synchronous;
    trajlog_create(&log_, path, &options);
    declare();
}

/* Logs the steps up to this one, and makes a checkpoint of it. */
static void reach(int64_t step)
{
    for (; next <= step; next++) {
        set_state(next);
        if (trajlog_log(log_, next, 0.5 * (double)next) != TRAJLOG_OK) fail_msg("%s", trajlog_message(log_));
    }
    if (trajlog_checkpoint(log_, step, 0.5 * (double)step) != TRAJLOG_OK) fail_msg("%s", trajlog_message(log_));
}

static const trajlog_request requests[] = {{"label", 0, read_label, sizeof read_label},
                                           {"atoms/x", 0, read_x, sizeof read_x},
                                           {"count", 0, &read_count, sizeof read_count}};

static void open_reader(void)
{
    trajlog_reader_close(&reader);
    if (trajlog_open(&reader, path) != TRAJLOG_OK) fail_msg("%s", trajlog_reader_message(reader));
}

static void expect_state(int64_t step)
{
    int64_t got = -1;
    double time = -1;
    memset(read_x, 0, sizeof read_x);
    trajlog_status status = trajlog_restore(reader, requests, 3, &got, &time);
    if (status != TRAJLOG_OK) fail_msg("%s", trajlog_reader_message(reader));
    set_state(step);
    assert_int_equal(got, step);
    assert_true(time == 0.5 * (double)step && read_count == count);
    assert_memory_equal(read_x, x, sizeof x);
    assert_memory_equal(read_label, label, sizeof label);
}

static void expect_none(trajlog_status status, const char *message)
{
    int64_t step = 77;
    double time = 77;
    trajlog_status got = trajlog_restore(reader, requests, 3, &step, &time);
    if (got != status) fail_msg("%s: %s", trajlog_status_name(got), trajlog_reader_message(reader));
    if (!strstr(trajlog_reader_message(reader), message)) fail_msg("%s", trajlog_reader_message(reader));
    assert_true(step == 77 && time == 77);
}

/* Overwrites an element of a dataset, as a broken disk might. */
static void spoil(const char *name, hsize_t slot, hid_t type, const void *value)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), dataset = H5Dopen2(file, name, H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset);
    hsize_t first[3] = {slot, 1, 2}, one[3] = {1, 1, 1};
    hid_t memory = H5Screate_simple(1, one, NULL);
    assert_true(H5Sselect_hyperslab(space, H5S_SELECT_SET, first, NULL, one, NULL) >= 0);
    assert_true(H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, value) >= 0);
    assert_true(H5Sclose(memory) >= 0 && H5Sclose(space) >= 0 && H5Dclose(dataset) >= 0 && H5Fclose(file) >= 0);
}

/* The slot that the step's state is in. */
static hsize_t slot_of(int64_t step)
{
    int64_t steps[2];
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "checkpoint/step", H5P_DEFAULT);
    assert_true(H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, steps) >= 0);
    assert_true(H5Dclose(dataset) >= 0 && H5Fclose(file) >= 0);
    return steps[0] == step ? 0 : 1;
}

/* ---- tests ---- */

static void the_newest_state_comes_back(void **state)
{
    (void)state;
    start_log(1);
    for (int64_t step = 10; step <= 50; step += 10) {
        reach(step);
        open_reader();
        expect_state(step);
        const trajlog_group_info *info = trajlog_reader_group(reader, trajlog_find_group(reader, "checkpoint"));
        assert_true(info->checkpoint && !info->once && info->rows == 0 && info->field_count == 3);
        assert_int_equal(info->checkpoint_count, step == 10 ? 1 : 2);
        assert_int_equal(info->first_step, step == 10 ? 10 : step - 10);
        assert_int_equal(info->last_step, step);
        assert_true(info->last_time == 0.5 * (double)step);
        assert_false(trajlog_reader_group(reader, 0)->checkpoint);
    }
    assert_int_equal(trajlog_close(&log_), TRAJLOG_OK);
    open_reader();
    expect_state(50);
    assert_int_equal(trajlog_check(path, NULL, NULL, NULL, NULL), TRAJLOG_OK);
}

/* Slots are replaced in place, behind the back of a reader. */
static void a_reader_that_was_open_before_gets_the_newest(void **state)
{
    (void)state;
    start_log(1);
    reach(1);
    open_reader();
    expect_state(1);
    for (int64_t step = 2; step <= 6; step++) {
        reach(step);
        expect_state(step);
    }
    assert_int_equal(trajlog_reader_group(reader, 1)->last_step, 1);
}

static void a_killed_process_leaves_its_last_checkpoint(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    if (child == 0) {
        start_log(0);
        reach(10);
        reach(20);
        for (int64_t step = 21; step < 30; step++) {
            set_state(step);
            if (trajlog_log(log_, step, 0.5 * (double)step) != TRAJLOG_OK) _exit(1);
        }
        _exit(0);
    }
    assert_true(waitpid(child, &status, 0) == child && status == 0);
    open_reader();
    expect_state(20);
    assert_true(trajlog_reader_group(reader, 0)->rows >= 21);
}

static void a_damaged_state_is_passed_over(void **state)
{
    (void)state;
    trajlog_check_report report = {.struct_size = sizeof report};
    double value = 3;
    start_log(1);
    reach(10);
    reach(20);
    assert_int_equal(trajlog_close(&log_), TRAJLOG_OK);
    assert_int_equal(trajlog_check(path, NULL, &report, NULL, NULL), TRAJLOG_OK);
    assert_true(report.checkpoints == 2 && report.checkpoint_step == 20 && report.last_step == 20);

    spoil("checkpoint/atoms/x", slot_of(20), H5T_NATIVE_DOUBLE, &value);
    open_reader();
    expect_state(10);
    assert_int_equal(trajlog_check(path, NULL, &report, NULL, NULL), TRAJLOG_INVALID_FILE);
    assert_true(report.checkpoints == 1 && report.checkpoint_step == 10 && report.problems == 1);
    assert_non_null(strstr(trajlog_message(NULL), "group \"checkpoint\": the state of step 20"));

    spoil("checkpoint/time", slot_of(10), H5T_NATIVE_DOUBLE, &value);
    expect_none(TRAJLOG_INVALID_FILE, "group \"checkpoint\": the state of step 20");
    assert_int_equal(trajlog_check(path, NULL, &report, NULL, NULL), TRAJLOG_INVALID_FILE);
    assert_true(report.checkpoints == 0 && report.problems == 2);
}

static void resume_and_close(int64_t step)
{
    if (trajlog_resume(&log_, path, step, NULL) != TRAJLOG_OK) fail_msg("%s", trajlog_message(NULL));
    declare();
    next = step + 1;
    set_state(next);
    if (trajlog_log(log_, next, 0.5 * (double)next) != TRAJLOG_OK) fail_msg("%s", trajlog_message(log_));
    assert_int_equal(trajlog_close(&log_), TRAJLOG_OK);
}

/* As a power loss leaves it: what says that it does not count has not arrived, and parts of the new state have. */
static void a_torn_state_does_not_outlive_a_resume(void **state)
{
    (void)state;
    trajlog_check_report report = {.struct_size = sizeof report};
    double value = 3;
    start_log(1);
    reach(10);
    reach(20);
    assert_int_equal(trajlog_close(&log_), TRAJLOG_OK);
    spoil("checkpoint/atoms/x", slot_of(10), H5T_NATIVE_DOUBLE, &value);
    assert_int_equal(trajlog_check(path, NULL, &report, NULL, NULL), TRAJLOG_OK);
    assert_true(report.checkpoints == 1 && report.checkpoint_step == 20);

    /* The whole one goes with the rows that it belongs to: then there is none, and not a damaged one. */
    resume_and_close(15);
    assert_int_equal(trajlog_check(path, NULL, &report, NULL, NULL), TRAJLOG_OK);
    assert_true(report.checkpoints == 0 && report.last_step == 16);
    open_reader();
    expect_none(TRAJLOG_NOT_FOUND, "no checkpoint was completed");
}

static void a_state_that_was_being_replaced_does_not_count(void **state)
{
    (void)state;
    const int64_t none = 0, other = 2;
    start_log(1);
    reach(10);
    reach(20);
    assert_int_equal(trajlog_close(&log_), TRAJLOG_OK);
    spoil("checkpoint/sequence", slot_of(20), H5T_NATIVE_INT64, &none);
    open_reader();
    expect_state(10);
    assert_int_equal(trajlog_reader_group(reader, 1)->checkpoint_count, 1);
    assert_int_equal(trajlog_check(path, NULL, NULL, NULL, NULL), TRAJLOG_OK);
    spoil("checkpoint/sequence", slot_of(20), H5T_NATIVE_INT64, &other);
    expect_state(20);
    spoil("checkpoint/sequence", slot_of(10), H5T_NATIVE_INT64, &other);
    assert_int_equal(trajlog_check(path, NULL, NULL, NULL, NULL), TRAJLOG_INVALID_FILE);
    assert_non_null(strstr(trajlog_message(NULL), "sequences are 2 and 2"));
    expect_state(20);
}

static void without_a_checkpoint_there_is_none(void **state)
{
    (void)state;
    start_log(1);
    set_state(0);
    assert_int_equal(trajlog_log(log_, 0, 0), TRAJLOG_OK);
    assert_int_equal(trajlog_flush(log_), TRAJLOG_OK);
    open_reader();
    expect_none(TRAJLOG_NOT_FOUND, "no checkpoint was completed");
    assert_true(isnan(trajlog_reader_group(reader, 1)->last_time));
    assert_int_equal(trajlog_reader_group(reader, 1)->checkpoint_count, 0);
    assert_int_equal(trajlog_close(&log_), TRAJLOG_OK);
    assert_int_equal(trajlog_check(path, NULL, NULL, NULL, NULL), TRAJLOG_OK);
    unlink(path);

    trajlog_create(&log_, path, NULL);
    trajlog_add_field(trajlog_add_group(log_, "a", trajlog_every(1)), "count", TRAJLOG_INT64, TRAJLOG_SCALAR, &count,
                      "");
    assert_int_equal(trajlog_log(log_, 0, 0), TRAJLOG_OK);
    assert_int_equal(trajlog_close(&log_), TRAJLOG_OK);
    open_reader();
    expect_none(TRAJLOG_NOT_FOUND, "there is no group of checkpoints");
}

static void requests_are_checked_and_converted(void **state)
{
    (void)state;
    float small[ATOMS][3];
    int8_t narrow;
    int64_t step;
    start_log(1);
    reach(10);
    open_reader();
    const trajlog_request good[] = {{"atoms/x", TRAJLOG_FLOAT32, small, sizeof small},
                                    {"count", TRAJLOG_INT8, &narrow, 1},
                                    {"count", 0, &read_count, 8}};
    assert_int_equal(trajlog_restore(reader, good, 3, NULL, NULL), TRAJLOG_OK);
    assert_true(small[5][2] == (float)(10 + 0.017) && narrow == 70 && read_count == 70);
    assert_int_equal(trajlog_restore(reader, NULL, 0, &step, NULL), TRAJLOG_OK);
    assert_int_equal(step, 10);

    const struct {
        trajlog_request request;
        trajlog_status status;
        const char *message;
    } bad[] = {
        {{"none", 0, small, sizeof small}, TRAJLOG_SCHEMA_MISMATCH, "there is no field \"none\""},
        {{"step", 0, small, sizeof small}, TRAJLOG_SCHEMA_MISMATCH, "there is no field \"step\""},
        {{NULL, 0, small, sizeof small}, TRAJLOG_INVALID_ARGUMENT, "NULL"},
        {{"atoms/x", 0, NULL, sizeof x}, TRAJLOG_INVALID_ARGUMENT, "field \"atoms/x\": the memory to read to is NULL"},
        {{"atoms/x", 0, small, sizeof small}, TRAJLOG_OUT_OF_RANGE, "field \"atoms/x\""},
        {{"atoms/x", TRAJLOG_INT32, small, sizeof small}, TRAJLOG_TYPE_MISMATCH, "float64 cannot be read as int32"},
        {{"count", 99, small, sizeof small}, TRAJLOG_INVALID_ARGUMENT, "not an element type"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(trajlog_restore(reader, &bad[i].request, 1, NULL, NULL), bad[i].status);
        if (!strstr(trajlog_reader_message(reader), bad[i].message)) fail_msg("%s", trajlog_reader_message(reader));
        assert_non_null(strstr(trajlog_reader_message(reader), path));
    }
    assert_int_equal(trajlog_restore(reader, NULL, 1, NULL, NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(trajlog_restore(NULL, NULL, 0, NULL, NULL), TRAJLOG_INVALID_ARGUMENT);
}

/* As rows, they would be mistaken for a series. */
static void checkpoints_are_not_read_as_rows(void **state)
{
    (void)state;
    int64_t rows = 5;
    start_log(1);
    reach(10);
    open_reader();
    assert_int_equal(trajlog_count_rows(reader, "checkpoint", trajlog_all_rows(), &rows), TRAJLOG_OK);
    assert_int_equal(rows, 0);
    assert_int_equal(trajlog_read(reader, "checkpoint", "count", trajlog_row(-1), 0, &rows, 8, NULL),
                     TRAJLOG_NOT_FOUND);
}

static volatile int stop;

static void *write_checkpoints(void *context)
{
    (void)context;
    for (int64_t step = 1; step < 200 && !stop; step++) reach(step);
    return NULL;
}

/* What comes back is a whole state, and never an older one than before. */
static void states_are_whole_beside_a_writer(void **state)
{
    (void)state;
    pthread_t thread;
    int64_t step = 0, last = 0;
    start_log(0);
    reach(0);
    open_reader();
    assert_int_equal(pthread_create(&thread, NULL, write_checkpoints, NULL), 0);
    for (int i = 0; i < 40; i++) {
        double time;
        trajlog_status status = trajlog_restore(reader, requests, 3, &step, &time);
        if (status != TRAJLOG_OK) fail_msg("%s", trajlog_reader_message(reader));
        assert_true(step >= last && read_count == 7 * step && time == 0.5 * (double)step);
        for (int k = 0; k < ATOMS; k++) assert_true(read_x[k][2] == (double)step + 0.001 * (3 * k + 2));
        last = step;
    }
    stop = 1;
    pthread_join(thread, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(the_newest_state_comes_back),
    TEST(a_reader_that_was_open_before_gets_the_newest),
    TEST(a_killed_process_leaves_its_last_checkpoint),
    TEST(a_damaged_state_is_passed_over),
    TEST(a_torn_state_does_not_outlive_a_resume),
    TEST(a_state_that_was_being_replaced_does_not_count),
    TEST(without_a_checkpoint_there_is_none),
    TEST(requests_are_checked_and_converted),
    TEST(checkpoints_are_not_read_as_rows),
    TEST(states_are_whole_beside_a_writer),
};

TEST_MAIN(tests)
