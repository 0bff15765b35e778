/* Selections and datasets, on small HDF5 files that libhdf5 writes here. */
#include "harness.h"

#include <hdf5.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "read/dataset.h"
#include "read/rows.h"

#define ROWS 3000

struct fixture {
    char directory[64], path[96];
    hid_t file;
    struct dataset step, time, wide;
};

static void write_dataset(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims, const void *data)
{
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(dataset >= 0);
    if (data) assert_true(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
}

/* Steps 0, 10, 20, ...; times 0, 0, 1, 1, 2, ...; `wide` has [row, row + 0.25] in each row. */
static void write_file(struct fixture *fixture)
{
    static int64_t step[ROWS];
    static double time[ROWS], wide[ROWS][2];
    hsize_t dims[2] = {ROWS, 2};
    for (int i = 0; i < ROWS; i++) {
        step[i] = 10 * i;
        time[i] = i / 2;
        wide[i][0] = i;
        wide[i][1] = i + 0.25;
    }
    fixture->file = H5Fcreate(fixture->path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(fixture->file >= 0);
    write_dataset(fixture->file, "step", H5T_NATIVE_INT64, 1, dims, step);
    write_dataset(fixture->file, "time", H5T_NATIVE_DOUBLE, 1, dims, time);
    write_dataset(fixture->file, "wide", H5T_NATIVE_DOUBLE, 2, dims, wide);
}

static void open_rows(struct fixture *fixture, struct dataset *dataset, const char *name)
{
    struct error error = {0};
    assert_int_equal(
        dataset_open(dataset, fixture->file, name, &(struct dataset_limits){.file_bytes = 1 << 20}, &error),
        TRAJLOG_OK);
    assert_int_equal(dataset_set_rows(dataset, true, &error), TRAJLOG_OK);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->directory, "/tmp/test_rows.XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->path, sizeof fixture->path, "%s/rows.h5", fixture->directory);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    write_file(fixture);
    open_rows(fixture, &fixture->step, "step");
    open_rows(fixture, &fixture->time, "time");
    open_rows(fixture, &fixture->wide, "wide");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    dataset_close(&fixture->step);
    dataset_close(&fixture->time);
    dataset_close(&fixture->wide);
    H5Fclose(fixture->file);
    unlink(fixture->path);
    rmdir(fixture->directory);
    free(fixture);
    return 0;
}

/* A selection of the fixture's first `rows` rows. */
static trajlog_status select_of(struct fixture *fixture, int64_t rows, trajlog_rows which, struct selection *selection)
{
    struct error error = {0};
    struct axis axis = {rows, &fixture->step, &fixture->time};
    trajlog_status status = selection_make(selection, &which, &axis, &error);
    assert_int_equal(status, error.status);
    assert_true(status == TRAJLOG_OK || error.message[0]);
    return status;
}

static void expect_range(struct fixture *fixture, trajlog_rows which, int64_t start, int64_t stride, int64_t count)
{
    struct selection selection;
    assert_int_equal(select_of(fixture, 10, which, &selection), TRAJLOG_OK);
    assert_int_equal(selection.count, count);
    if (count > 0) assert_int_equal(selection.start, start);
    if (count > 1) assert_int_equal(selection.stride, stride);
}

static void expect_refused(struct fixture *fixture, trajlog_rows which, trajlog_status status)
{
    struct selection selection;
    assert_int_equal(select_of(fixture, 10, which, &selection), status);
}

static void ranges_are_python_slices(void **state)
{
    expect_range(*state, trajlog_all_rows(), 0, 1, 10);
    expect_range(*state, trajlog_row_range(2, 5, 1), 2, 1, 3);
    expect_range(*state, trajlog_row_range(2, 9, 3), 2, 3, 3);
    expect_range(*state, trajlog_row_range(2, 8, 3), 2, 3, 2);
    expect_range(*state, trajlog_row_range(-3, TRAJLOG_ROWS_END, 1), 7, 1, 3);
    expect_range(*state, trajlog_row_range(-30, -8, 1), 0, 1, 2);
    expect_range(*state, trajlog_row_range(8, 100, 1), 8, 1, 2);
    expect_range(*state, trajlog_row_range(5, 5, 1), 0, 1, 0);
    expect_range(*state, trajlog_row_range(7, 2, 1), 0, 1, 0);
    expect_range(*state, trajlog_row_range(50, 60, 1), 0, 1, 0);
    expect_range(*state, trajlog_row_range(INT64_MIN, INT64_MAX, INT64_MAX), 0, 1, 1);
    expect_refused(*state, trajlog_row_range(0, 5, 0), TRAJLOG_INVALID_ARGUMENT);
    expect_refused(*state, trajlog_row_range(0, 5, -1), TRAJLOG_INVALID_ARGUMENT);
}

static void an_index_must_exist(void **state)
{
    expect_range(*state, trajlog_row(0), 0, 1, 1);
    expect_range(*state, trajlog_row(9), 9, 1, 1);
    expect_range(*state, trajlog_row(-1), 9, 1, 1);
    expect_range(*state, trajlog_row(-10), 0, 1, 1);
    expect_refused(*state, trajlog_row(10), TRAJLOG_NOT_FOUND);
    expect_refused(*state, trajlog_row(-11), TRAJLOG_NOT_FOUND);
    expect_refused(*state, trajlog_row(INT64_MIN), TRAJLOG_NOT_FOUND);
    expect_refused(*state, trajlog_row(INT64_MAX), TRAJLOG_NOT_FOUND);
}

static void every_row_of_a_list_must_exist(void **state)
{
    const int64_t good[] = {3, -1, 3}, bad[] = {3, 10};
    struct selection selection;
    assert_int_equal(select_of(*state, 10, trajlog_row_list(good, 3), &selection), TRAJLOG_OK);
    assert_int_equal(selection.count, 3);
    assert_int_equal(select_of(*state, 10, trajlog_row_list(NULL, 0), &selection), TRAJLOG_OK);
    assert_int_equal(selection.count, 0);
    expect_refused(*state, trajlog_row_list(bad, 2), TRAJLOG_NOT_FOUND);
    expect_refused(*state, trajlog_row_list(NULL, 2), TRAJLOG_INVALID_ARGUMENT);
}

static void a_step_is_found_exactly(void **state)
{
    struct selection selection;
    for (int64_t row = 0; row < ROWS; row += 37) {
        assert_int_equal(select_of(*state, ROWS, trajlog_row_at_step(10 * row), &selection), TRAJLOG_OK);
        assert_int_equal(selection.start, row);
        assert_int_equal(selection.count, 1);
        assert_int_equal(select_of(*state, ROWS, trajlog_row_at_step(10 * row + 1), &selection), TRAJLOG_NOT_FOUND);
    }
    expect_range(*state, trajlog_row_at_step(90), 9, 1, 1);
    expect_refused(*state, trajlog_row_at_step(100), TRAJLOG_NOT_FOUND); /* there, but not among the ten rows */
    expect_refused(*state, trajlog_row_at_step(-10), TRAJLOG_NOT_FOUND);
}

static void step_intervals_include_both_ends(void **state)
{
    expect_range(*state, trajlog_rows_in_steps(20, 40), 2, 1, 3);
    expect_range(*state, trajlog_rows_in_steps(21, 39), 3, 1, 1);
    expect_range(*state, trajlog_rows_in_steps(INT64_MIN, INT64_MAX), 0, 1, 10);
    expect_range(*state, trajlog_rows_in_steps(21, 29), 0, 1, 0);
    expect_range(*state, trajlog_rows_in_steps(40, 20), 0, 1, 0);
}

static void time_intervals_include_both_ends(void **state)
{
    expect_range(*state, trajlog_rows_in_times(1, 2), 2, 1, 4);
    expect_range(*state, trajlog_rows_in_times(0.5, 1.5), 2, 1, 2);
    expect_range(*state, trajlog_rows_in_times(-INFINITY, INFINITY), 0, 1, 10);
    expect_range(*state, trajlog_rows_in_times(2.5, 2.75), 0, 1, 0);
    expect_refused(*state, trajlog_rows_in_times(NAN, 1), TRAJLOG_INVALID_ARGUMENT);
}

static void without_a_time_axis_there_are_no_steps(void **state)
{
    struct axis axis = {1, NULL, NULL};
    const trajlog_rows tries[] = {trajlog_row_at_step(0), trajlog_rows_in_steps(0, 1), trajlog_rows_in_times(0, 1)};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct error error = {0};
        struct selection selection;
        assert_int_equal(selection_make(&selection, &tries[i], &axis, &error), TRAJLOG_NOT_FOUND);
        assert_non_null(strstr(error.message, "time axis"));
    }
}

static void an_unknown_kind_is_refused(void **state)
{
    trajlog_rows rows = trajlog_all_rows();
    rows.kind = (trajlog_rows_kind)77;
    expect_refused(*state, rows, TRAJLOG_INVALID_ARGUMENT);
}

/* Reads rows of `wide` as a type; the values that should come out are made from the row numbers. */
static void expect_wide(struct fixture *fixture, trajlog_rows which, const int64_t *expected, int64_t count)
{
    struct selection selection;
    struct error error = {0};
    double as_double[64][2];
    float as_float[64][2];
    assert_int_equal(select_of(fixture, ROWS, which, &selection), TRAJLOG_OK);
    assert_int_equal(selection.count, count);
    assert_int_equal(selection_read(&selection, &fixture->wide, 0, count, TRAJLOG_FLOAT64, as_double, &error), 0);
    assert_int_equal(selection_read(&selection, &fixture->wide, 0, count, TRAJLOG_FLOAT32, as_float, &error), 0);
    for (int64_t i = 0; i < count; i++) {
        assert_true(as_double[i][0] == (double)expected[i] && as_double[i][1] == (double)expected[i] + 0.25);
        assert_true(as_float[i][0] == (float)expected[i] && as_float[i][1] == (float)expected[i] + 0.25f);
    }
}

static void rows_come_in_the_order_asked_for(void **state)
{
    const int64_t list[] = {5, 6, 7, 2, 2, -1, 0, 1}, listed[] = {5, 6, 7, 2, 2, ROWS - 1, 0, 1};
    const int64_t strided[] = {1, 1001, 2001}, dense[] = {7, 8, 9};
    expect_wide(*state, trajlog_row_list(list, 8), listed, 8);
    expect_wide(*state, trajlog_row_range(1, TRAJLOG_ROWS_END, 1000), strided, 3);
    expect_wide(*state, trajlog_row_range(7, 10, 1), dense, 3);
    expect_wide(*state, trajlog_row(-3000), (const int64_t[]){0}, 1);
}

static void a_part_of_a_selection_can_be_read(void **state)
{
    struct fixture *fixture = *state;
    struct selection selection;
    struct error error = {0};
    double values[2][2];
    assert_int_equal(select_of(fixture, ROWS, trajlog_row_range(10, 100, 7), &selection), TRAJLOG_OK);
    assert_int_equal(selection_read(&selection, &fixture->wide, 3, 2, TRAJLOG_FLOAT64, values, &error), TRAJLOG_OK);
    assert_true(values[0][0] == 31 && values[1][0] == 38);
}

static void what_does_not_fit_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct selection selection;
    struct error error = {0};
    int8_t small[ROWS];
    trajlog_type type;
    assert_int_equal(select_of(fixture, ROWS, trajlog_all_rows(), &selection), TRAJLOG_OK);
    assert_int_equal(selection_read(&selection, &fixture->step, 0, 12, TRAJLOG_INT8, small, &error), TRAJLOG_OK);
    assert_int_equal(small[11], 110);
    assert_int_equal(selection_read(&selection, &fixture->step, 0, ROWS, TRAJLOG_INT8, small, &error),
                     TRAJLOG_OUT_OF_RANGE);
    error_clear(&error);
    assert_int_equal(rows_type(&fixture->wide, TRAJLOG_INT32, &type, &error), TRAJLOG_TYPE_MISMATCH);
    assert_string_equal(error.message, "float64 cannot be read as int32");
}

/* More rows than fit into the memory for conversions, so that blocks follow one another. */
static void large_conversions_go_block_by_block(void **state)
{
    struct fixture *fixture = *state;
    enum { count = 200000 };
    hsize_t dims[2] = {count, 3};
    int32_t *stored = malloc(sizeof(int32_t) * 3 * count);
    double *read = malloc(sizeof(double) * 3 * count);
    struct dataset dataset;
    struct selection selection;
    struct error error = {0};
    struct axis axis = {count, NULL, NULL};
    trajlog_rows rows = trajlog_all_rows();
    for (int i = 0; i < 3 * count; i++) stored[i] = i;
    write_dataset(fixture->file, "large", H5T_NATIVE_INT32, 2, dims, stored);
    assert_int_equal(
        dataset_open(&dataset, fixture->file, "large", &(struct dataset_limits){.file_bytes = 1 << 24}, &error),
        TRAJLOG_OK);
    assert_int_equal(dataset_set_rows(&dataset, true, &error), TRAJLOG_OK);
    assert_int_equal(selection_make(&selection, &rows, &axis, &error), TRAJLOG_OK);
    assert_int_equal(selection_read(&selection, &dataset, 0, count, TRAJLOG_FLOAT64, read, &error), TRAJLOG_OK);
    for (int i = 0; i < 3 * count; i++) assert_true(read[i] == i);
    dataset_close(&dataset);
    free(stored);
    free(read);
}

/* ---- files that cannot be trusted ---- */

static void expect_invalid(struct fixture *fixture, const char *name, const char *reason)
{
    struct dataset dataset;
    struct error error = {0};
    assert_int_equal(dataset_open(&dataset, fixture->file, name, &(struct dataset_limits){.file_bytes = 4096}, &error),
                     TRAJLOG_INVALID_FILE);
    if (!strstr(error.message, reason)) fail_msg("\"%s\" does not say \"%s\"", error.message, reason);
    dataset_close(&dataset);
}

static void links_into_other_files_are_not_followed(void **state)
{
    struct fixture *fixture = *state;
    hsize_t dims[1] = {4};
    hid_t space = H5Screate_simple(1, dims, NULL), properties = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Lcreate_soft("/step", fixture->file, "soft", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    assert_true(H5Lcreate_external("/etc/x.h5", "/a", fixture->file, "external", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    assert_true(H5Pset_external(properties, "/etc/hostname", 0, 32) >= 0);
    H5Dclose(H5Dcreate2(fixture->file, "raw", H5T_NATIVE_INT64, space, H5P_DEFAULT, properties, H5P_DEFAULT));
    H5Pclose(properties);
    properties = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_virtual(properties, space, "/etc/x.h5", "/a", space) >= 0);
    H5Dclose(H5Dcreate2(fixture->file, "virtual", H5T_NATIVE_INT64, space, H5P_DEFAULT, properties, H5P_DEFAULT));
    H5Pclose(properties);
    H5Sclose(space);
    expect_invalid(fixture, "soft", "not followed");
    expect_invalid(fixture, "external", "not followed");
    expect_invalid(fixture, "external/deeper", "not followed");
    expect_invalid(fixture, "raw", "outside of the file");
    expect_invalid(fixture, "virtual", "virtual dataset");
    expect_invalid(fixture, "step/deeper", "where a group should be");
    expect_invalid(fixture, "nowhere", "missing");
    expect_invalid(fixture, "/", "empty");
}

static void sizes_are_held_against_the_file(void **state)
{
    struct fixture *fixture = *state;
    hsize_t dims[2] = {1, (hsize_t)1 << 40}, chunk[2] = {1, (hsize_t)1 << 28};
    hid_t space = H5Screate_simple(2, dims, NULL), properties = H5Pcreate(H5P_DATASET_CREATE);
    struct dataset dataset;
    struct error error = {0};
    void *data;
    double value;
    H5Pset_chunk(properties, 2, chunk);
    H5Dclose(H5Dcreate2(fixture->file, "huge", H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, properties, H5P_DEFAULT));
    H5Pclose(properties);
    H5Sclose(space);
    assert_int_equal(
        dataset_open(&dataset, fixture->file, "huge", &(struct dataset_limits){.file_bytes = 4096}, &error),
        TRAJLOG_OK);
    assert_int_equal(dataset_set_rows(&dataset, true, &error), TRAJLOG_OK);
    assert_int_equal(rows_allocate(&dataset, TRAJLOG_FLOAT64, 1, &data, &error), TRAJLOG_INVALID_FILE);
    assert_null(data);
    error_clear(&error);
    assert_int_equal(dataset_read(&dataset, 0, 1, 1, &value, &error), TRAJLOG_INVALID_FILE);
    dataset_close(&dataset);
}

static void rows_beyond_reason_are_refused(void **state)
{
    struct fixture *fixture = *state;
    hsize_t dims[3] = {5, (hsize_t)1 << 30, (hsize_t)1 << 30};
    struct dataset dataset;
    struct error error = {0};
    hid_t space = H5Screate_simple(3, dims, NULL), properties = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[3] = {1, 1, 1};
    H5Pset_chunk(properties, 3, chunk);
    H5Dclose(H5Dcreate2(fixture->file, "vast", H5T_NATIVE_INT64, space, H5P_DEFAULT, properties, H5P_DEFAULT));
    H5Pclose(properties);
    H5Sclose(space);
    assert_int_equal(
        dataset_open(&dataset, fixture->file, "vast", &(struct dataset_limits){.file_bytes = 4096}, &error),
        TRAJLOG_OK);
    assert_int_equal(dataset_set_rows(&dataset, true, &error), TRAJLOG_INVALID_FILE);
    dataset_close(&dataset);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(ranges_are_python_slices),
    TEST(an_index_must_exist),
    TEST(every_row_of_a_list_must_exist),
    TEST(a_step_is_found_exactly),
    TEST(step_intervals_include_both_ends),
    TEST(time_intervals_include_both_ends),
    TEST(without_a_time_axis_there_are_no_steps),
    TEST(an_unknown_kind_is_refused),
    TEST(rows_come_in_the_order_asked_for),
    TEST(a_part_of_a_selection_can_be_read),
    TEST(what_does_not_fit_is_refused),
    TEST(large_conversions_go_block_by_block),
    TEST(links_into_other_files_are_not_followed),
    TEST(sizes_are_held_against_the_file),
    TEST(rows_beyond_reason_are_refused),
};

TEST_MAIN(tests)
