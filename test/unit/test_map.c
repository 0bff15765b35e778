/* Maps: the same bytes as trajlog_read gives, and a clear no where there are none to map. */
#include <hdf5.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"
#include "trajlog.h"

#define ATOMS 50
#define ROWS  37

struct fixture {
    char directory[64], path[96];
    trajlog_reader *reader;
    trajlog_map map;
    double position[ATOMS][3];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->directory, "/tmp/test_map.XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->path, sizeof fixture->path, "%s/log.h5", fixture->directory);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    trajlog_unmap(&fixture->map);
    trajlog_reader_close(&fixture->reader);
    unlink(fixture->path);
    int left = rmdir(fixture->directory);
    free(fixture);
    return left;
}

static double value_of(int64_t row, int64_t element)
{
    return (double)row + (double)element / 1024;
}

static void add_stored(trajlog_group *group, const char *name, const double *data, trajlog_storage storage)
{
    trajlog_field *field = trajlog_add_field(group, name, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(ATOMS, 3), data, "nm");
    assert_int_equal(trajlog_set_storage(field, &storage), TRAJLOG_OK);
}

static void write_log(struct fixture *fixture)
{
    trajlog_writer *log = NULL;
    trajlog_options options = trajlog_default_options();
    options.synchronous = 1;
    assert_int_equal(trajlog_create(&log, fixture->path, &options), TRAJLOG_OK);
    const size_t size = sizeof(trajlog_storage);
    trajlog_add_field(trajlog_add_group(log, "init", trajlog_once()), "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(ATOMS, 3),
                      fixture->position, "nm");
    trajlog_group *group = trajlog_add_group(log, "run", trajlog_every(1));
    add_stored(group, "plain", fixture->position[0], (trajlog_storage){.struct_size = size, .chunk_rows = 8});
    add_stored(group, "deflated", fixture->position[0],
               (trajlog_storage){.struct_size = size, .compression = TRAJLOG_COMPRESSION_DEFLATE});
    add_stored(group, "checked", fixture->position[0], (trajlog_storage){.struct_size = size, .checksum = 1});
    add_stored(group, "by_particle", fixture->position[0],
               (trajlog_storage){.struct_size = size, .access = TRAJLOG_ACCESS_PARTICLE, .chunk_rows = 512});
    for (int64_t row = 0; row < ROWS; row++) {
        for (int64_t i = 0; i < ATOMS * 3; i++) fixture->position[i / 3][i % 3] = value_of(row, i);
        assert_int_equal(trajlog_log(log, row, (double)row), TRAJLOG_OK);
    }
    assert_int_equal(trajlog_close(&log), TRAJLOG_OK);
}

static void open_log(struct fixture *fixture)
{
    write_log(fixture);
    assert_int_equal(trajlog_open(&fixture->reader, fixture->path), TRAJLOG_OK);
}

static trajlog_status map_plain(struct fixture *fixture, int64_t first, int64_t most, trajlog_map_access access)
{
    trajlog_unmap(&fixture->map);
    return trajlog_map_rows(fixture->reader, "run", "plain", first, most, TRAJLOG_FLOAT64, access, &fixture->map);
}

static void expect_rows(const trajlog_map *map, int64_t first)
{
    const double *values = map->data;
    assert_int_equal(map->first_row, first);
    for (int64_t i = 0; i < map->row_count * ATOMS * 3; i++)
        assert_true(values[i] == value_of(first + i / (ATOMS * 3), i % (ATOMS * 3)));
}

static void all_rows_can_be_mapped(void **state)
{
    struct fixture *fixture = *state;
    open_log(fixture);
    int maps = 0;
    for (int64_t row = 0; row < ROWS; row += fixture->map.row_count, maps++) {
        assert_int_equal(map_plain(fixture, row, TRAJLOG_ROWS_END, TRAJLOG_MAP_READ), TRAJLOG_OK);
        assert_true(fixture->map.row_count >= 1 && fixture->map.row_count <= ROWS - row);
        assert_true(row + fixture->map.row_count == ROWS || (row + fixture->map.row_count) % 8 == 0);
        expect_rows(&fixture->map, row);
    }
    assert_true(maps >= 1 && maps <= ROWS / 8 + 1);
    for (int64_t row = 0; row < ROWS; row++) {
        assert_int_equal(map_plain(fixture, row - ROWS, 3, TRAJLOG_MAP_COPY), TRAJLOG_OK);
        assert_true(fixture->map.row_count >= 1 && fixture->map.row_count <= 3);
        expect_rows(&fixture->map, row);
    }
}

static void a_once_group_is_one_row(void **state)
{
    struct fixture *fixture = *state;
    open_log(fixture);
    assert_int_equal(
        trajlog_map_rows(fixture->reader, "init", "x", 0, TRAJLOG_ROWS_END, 0, TRAJLOG_MAP_READ, &fixture->map),
        TRAJLOG_OK);
    assert_int_equal(fixture->map.row_count, 1);
    expect_rows(&fixture->map, 0);
}

static void a_copy_never_reaches_the_file(void **state)
{
    struct fixture *fixture = *state;
    open_log(fixture);
    trajlog_map copy;
    assert_int_equal(trajlog_map_rows(fixture->reader, "run", "plain", 3, 2, 0, TRAJLOG_MAP_COPY, &copy), TRAJLOG_OK);
    assert_int_equal(map_plain(fixture, 3, 2, TRAJLOG_MAP_READ), TRAJLOG_OK);
    for (int i = 0; i < 2 * ATOMS * 3; i++) ((double *)copy.data)[i] = -1;
    expect_rows(&fixture->map, 3);
    double back[2][ATOMS][3];
    assert_int_equal(
        trajlog_read(fixture->reader, "run", "plain", trajlog_row_range(3, 5, 1), 0, back, sizeof back, NULL),
        TRAJLOG_OK);
    assert_true(back[0][0][0] == value_of(3, 0) && ((double *)copy.data)[0] == -1);
    trajlog_unmap(&copy);
    assert_null(copy.data);
    trajlog_unmap(&copy);
    trajlog_unmap(NULL);
}

static void a_map_outlives_its_reader(void **state)
{
    struct fixture *fixture = *state;
    open_log(fixture);
    assert_int_equal(map_plain(fixture, 8, 8, TRAJLOG_MAP_READ), TRAJLOG_OK);
    assert_int_equal(trajlog_refresh(fixture->reader), TRAJLOG_OK);
    expect_rows(&fixture->map, 8);
    trajlog_reader_close(&fixture->reader);
    expect_rows(&fixture->map, 8);
}

static void expect_refusal(struct fixture *fixture, const char *field, trajlog_type type, trajlog_status status,
                           const char *why)
{
    trajlog_map map = {.row_count = 7};
    assert_int_equal(trajlog_map_rows(fixture->reader, "run", field, 0, TRAJLOG_ROWS_END, type, TRAJLOG_MAP_READ, &map),
                     status);
    assert_non_null(strstr(trajlog_reader_message(fixture->reader), why));
    assert_non_null(strstr(trajlog_reader_message(fixture->reader), field));
    assert_true(map.data == NULL && map.row_count == 0);
}

static void what_cannot_be_mapped_is_explained(void **state)
{
    struct fixture *fixture = *state;
    open_log(fixture);
    expect_refusal(fixture, "deflated", 0, TRAJLOG_UNSUPPORTED, "its chunks are stored with shuffle, deflate");
    expect_refusal(fixture, "checked", 0, TRAJLOG_UNSUPPORTED, "its chunks are stored with fletcher32");
    expect_refusal(fixture, "by_particle", 0, TRAJLOG_UNSUPPORTED, "its chunks hold only parts of rows");
    expect_refusal(fixture, "plain", TRAJLOG_FLOAT32, TRAJLOG_TYPE_MISMATCH, "it is stored as float64");
    expect_refusal(fixture, "none", 0, TRAJLOG_NOT_FOUND, "there is no field");
    assert_int_equal(map_plain(fixture, ROWS, 1, TRAJLOG_MAP_READ), TRAJLOG_NOT_FOUND);
    assert_int_equal(map_plain(fixture, 0, 0, TRAJLOG_MAP_READ), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(map_plain(fixture, 0, 1, (trajlog_map_access)3), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(trajlog_map_rows(fixture->reader, "run", "plain", 0, 1, 0, TRAJLOG_MAP_READ, NULL),
                     TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(trajlog_map_rows(fixture->reader, "init", "step", 0, 1, 0, TRAJLOG_MAP_READ, &fixture->map),
                     TRAJLOG_UNSUPPORTED);
}

/* The file was cut after it was opened: an error, and no signal. */
static void a_file_that_ends_before_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    open_log(fixture);
    assert_int_equal(map_plain(fixture, 0, 1, TRAJLOG_MAP_READ), TRAJLOG_OK);
    assert_int_equal(truncate(fixture->path, 5000), 0);
    assert_int_equal(map_plain(fixture, 20, 1, TRAJLOG_MAP_READ), TRAJLOG_INVALID_FILE);
    assert_non_null(strstr(trajlog_reader_message(fixture->reader), "the file ends before"));
}

/* ---- files of others, as of the seed system ---- */

static void make_dataset(hid_t group, const char *name, hid_t type, hid_t properties, hsize_t written)
{
    hsize_t dims[2] = {ROWS, 4}, start[2] = {0, 0}, count[2] = {written, 4};
    double values[ROWS * 4];
    for (int i = 0; i < ROWS * 4; i++) values[i] = i;
    hid_t space = H5Screate_simple(2, dims, NULL), memory = H5Screate_simple(2, count, NULL);
    hid_t dataset = H5Dcreate2(group, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    assert_true(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset), H5Sclose(memory), H5Sclose(space);
}

static void add_text(hid_t object, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(text));
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, type, text) >= 0);
    H5Aclose(attribute), H5Sclose(space), H5Tclose(type);
}

static void write_others(const char *path)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t group = H5Gcreate2(file, "run", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
          chunked = H5Pcreate(H5P_DATASET_CREATE);
    add_text(file, "group_names", "[\"run\"]");
    add_text(group, "paths", "[\"contiguous\", \"swapped\", \"holes\", \"together\", \"odd\"]");
    make_dataset(group, "contiguous", H5T_IEEE_F64LE, H5P_DEFAULT, ROWS);
    make_dataset(group, "swapped", H5T_IEEE_F64BE, H5P_DEFAULT, ROWS);
    H5Pset_chunk(chunked, 2, (hsize_t[]){5, 4});
    make_dataset(group, "holes", H5T_IEEE_F64LE, chunked, 10);
    H5Pset_alloc_time(chunked, H5D_ALLOC_TIME_EARLY); /* one after the other */
    make_dataset(group, "together", H5T_IEEE_F64LE, chunked, ROWS);
    /* The bytes in front of it make its address odd. */
    hsize_t bytes = 3;
    hid_t space = H5Screate_simple(1, &bytes, NULL), early = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_alloc_time(early, H5D_ALLOC_TIME_EARLY);
    hid_t filler = H5Dcreate2(file, "filler", H5T_NATIVE_CHAR, space, H5P_DEFAULT, early, H5P_DEFAULT);
    make_dataset(group, "odd", H5T_IEEE_F64LE, early, ROWS);
    H5Dclose(filler), H5Sclose(space), H5Pclose(early), H5Pclose(chunked), H5Gclose(group);
    assert_true(H5Fclose(file) >= 0);
}

static void expect_others(struct fixture *fixture, const char *field, int64_t first, int64_t least)
{
    trajlog_unmap(&fixture->map);
    assert_int_equal(trajlog_map_rows(fixture->reader, "run", field, first, TRAJLOG_ROWS_END, TRAJLOG_FLOAT64,
                                      TRAJLOG_MAP_READ, &fixture->map),
                     TRAJLOG_OK);
    assert_true(fixture->map.row_count >= least && fixture->map.row_count <= ROWS - first);
    for (int64_t i = 0; i < 4 * fixture->map.row_count; i++)
        assert_true(((double *)fixture->map.data)[i] == (double)(4 * first + i));
}

static void files_of_others_too(void **state)
{
    struct fixture *fixture = *state;
    write_others(fixture->path);
    assert_int_equal(trajlog_open(&fixture->reader, fixture->path), TRAJLOG_OK);
    expect_others(fixture, "contiguous", 0, ROWS);
    expect_others(fixture, "contiguous", 11, ROWS - 11);
    expect_others(fixture, "together", 3, 7); /* more than its chunk's */
    expect_others(fixture, "holes", 0, 5);
    expect_refusal(fixture, "swapped", 0, TRAJLOG_UNSUPPORTED, "byte order");
    assert_int_equal(trajlog_map_rows(fixture->reader, "run", "holes", 10, 1, 0, TRAJLOG_MAP_READ, &fixture->map),
                     TRAJLOG_UNSUPPORTED);
    assert_non_null(strstr(trajlog_reader_message(fixture->reader), "never written"));
    /* libhdf5 may have aligned it all the same. */
    trajlog_map map;
    trajlog_status status = trajlog_map_rows(fixture->reader, "run", "odd", 0, 1, 0, TRAJLOG_MAP_READ, &map);
    if (status == TRAJLOG_OK) assert_int_equal((uintptr_t)map.data % sizeof(double), 0);
    else assert_non_null(strstr(trajlog_reader_message(fixture->reader), "not aligned"));
    trajlog_unmap(&map);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    TEST(all_rows_can_be_mapped),
    TEST(a_once_group_is_one_row),
    TEST(a_copy_never_reaches_the_file),
    TEST(a_map_outlives_its_reader),
    TEST(what_cannot_be_mapped_is_explained),
    TEST(a_file_that_ends_before_is_an_error),
    TEST(files_of_others_too),
};

TEST_MAIN(tests)
