/* Reading past libhdf5 against libhdf5: any part of datasets of many layouts, which must be equal; and files that are
 * damaged where it matters. */
#include <fcntl.h>
#include <hdf5.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"
#include "read/cells.h"
#include "read/rows.h"
#include "store/hdf5_error.h"

#define ROWS      23
#define PARTICLES 13

enum {
    CONTIGUOUS = 1,
    SHUFFLE = 2,
    DEFLATE = 4,
    FLETCHER = 8,
    HOLES = 16,
    BIG_ENDIAN_TYPE = 32,
    COMPACT = 64,
    GROWS = 128,
    ODD_ORDER = 256 /* in the file, and with something else between the chunks */
};

struct layout {
    hsize_t chunk[3];
    int options;
    bool past_libhdf5; /* that it can be read so is expected */
};

static const struct layout layouts[] = {
    {{4, PARTICLES, 3}, 0, true},
    {{1, PARTICLES, 3}, GROWS, true},
    {{ROWS, PARTICLES, 3}, DEFLATE, true},
    {{5, 4, 3}, 0, true},
    {{5, 4, 2}, SHUFFLE | DEFLATE | FLETCHER | GROWS, true},
    {{7, 1, 3}, SHUFFLE | DEFLATE, true},
    {{40, 20, 5}, FLETCHER, true}, /* larger than the dataset, which grew up to it */
    {{3, 6, 3}, HOLES, true},
    {{3, 6, 3}, HOLES | SHUFFLE | DEFLATE | GROWS, true},
    {{4, PARTICLES, 3}, SHUFFLE, true},
    {{4, PARTICLES, 3}, BIG_ENDIAN_TYPE, false},
    {{4, PARTICLES, 3}, BIG_ENDIAN_TYPE | DEFLATE, false},
    {{1, PARTICLES, 3}, ODD_ORDER, true},
    {{2, PARTICLES, 3}, ODD_ORDER | GROWS, true},
    {{1, PARTICLES, 3}, ODD_ORDER | HOLES | GROWS, true},
    {{1, 5, 3}, ODD_ORDER, true},
    {{2, PARTICLES, 3}, ODD_ORDER | DEFLATE | GROWS, true},
    {{0}, CONTIGUOUS, true},
    {{0}, COMPACT, false},
};
#define LAYOUTS (sizeof layouts / sizeof *layouts)

static char path[100];

static hid_t make_properties(const struct layout *layout)
{
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    double fill = -7.5;
    H5Pset_fill_value(properties, H5T_NATIVE_DOUBLE, &fill);
    if (layout->options & COMPACT) H5Pset_layout(properties, H5D_COMPACT);
    if (layout->options & (COMPACT | CONTIGUOUS)) return properties;
    H5Pset_chunk(properties, 3, layout->chunk);
    if (layout->options & SHUFFLE) H5Pset_shuffle(properties);
    if (layout->options & DEFLATE) H5Pset_deflate(properties, 3);
    if (layout->options & FLETCHER) H5Pset_fletcher32(properties);
    return properties;
}

static void write_rows(hid_t dataset, hsize_t first, hsize_t count)
{
    hsize_t start[3] = {first, 0, 0}, number[3] = {count, PARTICLES, 3};
    double *values = calloc(count * PARTICLES * 3, sizeof *values);
    hid_t file = H5Dget_space(dataset), memory = H5Screate_simple(3, number, NULL);
    for (hsize_t i = 0; i < count * PARTICLES * 3; i++) values[i] = (double)(first * PARTICLES * 3 + i) / 8;
    assert_true(H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, number, NULL) >= 0);
    assert_true(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, memory, file, H5P_DEFAULT, values) >= 0);
    H5Sclose(file), H5Sclose(memory);
    free(values);
}

static void write_between(hid_t file, const char *name, hsize_t row)
{
    char other[40];
    hsize_t size = 5 + row % 3;
    snprintf(other, sizeof other, "%s-%llu", name, (unsigned long long)row);
    hid_t space = H5Screate_simple(1, &size, NULL);
    hid_t dataset = H5Dcreate2(file, other, H5T_NATIVE_CHAR, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(dataset, H5T_NATIVE_CHAR, H5S_ALL, H5S_ALL, H5P_DEFAULT, "between") >= 0);
    H5Dclose(dataset), H5Sclose(space);
}

static bool is_hole(const struct layout *layout, hsize_t row)
{
    return (layout->options & HOLES) && row % 5 == 3;
}

/* A chunk is put into the file when libhdf5 flushes it. */
static void write_in_odd_order(hid_t file, const char *name, hid_t dataset, const struct layout *layout)
{
    const hsize_t rows = layout->chunk[0], chunks = (ROWS + rows - 1) / rows;
    for (hsize_t i = 0; i < chunks; i++) {
        hsize_t row = i * 7 % chunks * rows, left = ROWS - row;
        assert_true(chunks % 7 != 0);
        if (is_hole(layout, row)) continue;
        write_rows(dataset, row, left < rows ? left : rows);
        assert_true(H5Fflush(file, H5F_SCOPE_LOCAL) >= 0);
        write_between(file, name, row);
    }
}

static void make_dataset(hid_t file, const char *name, const struct layout *layout)
{
    bool fixed = layout->options & (COMPACT | CONTIGUOUS);
    hsize_t dims[3] = {ROWS, PARTICLES, 3}, most[3] = {H5S_UNLIMITED, H5S_UNLIMITED, H5S_UNLIMITED};
    if (layout->options & GROWS) most[1] = PARTICLES, most[2] = 3; /* another kind of index */
    hid_t type = layout->options & BIG_ENDIAN_TYPE ? H5T_IEEE_F64BE : H5T_IEEE_F64LE;
    hid_t properties = make_properties(layout), space = H5Screate_simple(3, dims, fixed ? NULL : most);
    hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    assert_true(dataset >= 0);
    if (layout->options & ODD_ORDER) {
        write_in_odd_order(file, name, dataset, layout);
    } else if (layout->options & HOLES) {
        write_rows(dataset, 4, 3);
        write_rows(dataset, 16, 1);
    } else {
        write_rows(dataset, 0, ROWS);
    }
    H5Dclose(dataset), H5Sclose(space), H5Pclose(properties);
}

static int make_file(void **state)
{
    (void)state;
    strcpy(path, "/tmp/test_cells_XXXXXX");
    int descriptor = mkstemp(path);
    if (descriptor < 0) return -1;
    close(descriptor);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    for (size_t i = 0; i < LAYOUTS; i++) {
        char name[20];
        snprintf(name, sizeof name, "x%zu", i);
        make_dataset(file, name, &layouts[i]);
    }
    H5Pclose(access);
    return H5Fclose(file) < 0 ? -1 : 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

struct opened {
    int64_t file;
    struct dataset_limits limits;
    struct dataset dataset;
};

static trajlog_status open_file(struct opened *opened, size_t layout, bool has_rows, int threads)
{
    char name[20];
    memset(opened, 0, sizeof *opened);
    snprintf(name, sizeof name, "x%zu", layout);
    opened->limits.file_bytes = 1 << 20;
    opened->limits.decoders = decoders_new(threads);
    assert_int_equal(input_open(path, &opened->file, &opened->limits.source, NULL), TRAJLOG_OK);
    assert_int_equal(dataset_open(&opened->dataset, opened->file, name, &opened->limits, NULL), TRAJLOG_OK);
    return dataset_set_rows(&opened->dataset, has_rows, NULL);
}

static void close_file(struct opened *opened)
{
    dataset_close(&opened->dataset);
    H5Fclose(opened->file);
    source_release(opened->limits.source);
    decoders_free(opened->limits.decoders);
}

/* As libhdf5 reads it, through its own file driver. */
static double *read_all(size_t layout)
{
    char name[20];
    double *all = malloc(sizeof *all * ROWS * PARTICLES * 3);
    snprintf(name, sizeof name, "x%zu", layout);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), dataset = H5Dopen2(file, name, H5P_DEFAULT);
    assert_true(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0);
    H5Dclose(dataset), H5Fclose(file);
    return all;
}

static void expect_box(const struct dataset *dataset, const double *all, const int64_t *rows, int64_t stride,
                       int64_t first, int64_t number)
{
    const int64_t start = rows[0], count = rows[1];
    double values[ROWS * PARTICLES * 3 + 1];
    values[count * number * 3] = 4711;
    assert_int_equal(dataset_read_particles(dataset, start, stride, count, first, number, values, NULL), TRAJLOG_OK);
    for (int64_t row = 0; row < count; row++)
        assert_memory_equal(&values[row * number * 3], &all[((start + row * stride) * PARTICLES + first) * 3],
                            (size_t)number * 3 * sizeof *values);
    assert_true(values[count * number * 3] == 4711);
    if (number != PARTICLES) return;
    assert_int_equal(dataset_read(dataset, start, stride, count, values, NULL), TRAJLOG_OK);
    for (int64_t row = 0; row < count; row++)
        assert_memory_equal(&values[row * PARTICLES * 3], &all[(start + row * stride) * PARTICLES * 3],
                            PARTICLES * 3 * sizeof *values);
}

static void every_part_is_as_libhdf5_reads_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < LAYOUTS; i++) {
        double *all = read_all(i);
        for (int threads = 1; threads <= 3; threads += 2) {
            struct opened opened;
            assert_int_equal(open_file(&opened, i, true, threads), TRAJLOG_OK);
            assert_int_equal(opened.dataset.cells != NULL, layouts[i].past_libhdf5);
            for (int64_t start = 0; start < ROWS; start += 3)
                for (int64_t count = 1; count <= ROWS - start; count += 2)
                    for (int64_t first = 0; first < PARTICLES; first += 4)
                        for (int64_t number = 1; number <= PARTICLES - first; number += 4)
                            expect_box(&opened.dataset, all, (int64_t[]){start, count}, 1, first, number);
            for (int64_t stride = 2; stride < 8; stride++)
                expect_box(&opened.dataset, all, (int64_t[]){1, (ROWS - 2) / stride + 1}, stride, 0, PARTICLES);
            close_file(&opened);
        }
        free(all);
    }
}

static void read_in_advance(const struct dataset *dataset, const double *all, int64_t first, int64_t most)
{
    const size_t row = PARTICLES * 3;
    double values[2][ROWS * PARTICLES * 3];
    int64_t count = ROWS - first < most ? ROWS - first : most;
    struct rows_ahead ahead = dataset_begin(dataset, first, count, values[0]);
    for (int side = 0; count > 0; side = !side) {
        assert_int_equal(dataset_finish(&ahead, NULL), TRAJLOG_OK);
        const int64_t next = first + count, left = ROWS - next < most ? ROWS - next : most;
        ahead = dataset_begin(dataset, next, left, values[!side]);
        assert_memory_equal(values[side], &all[first * row], (size_t)count * row * sizeof **values);
        first = next;
        count = left;
    }
    dataset_drop(&ahead);
}

/* What is found for later batches is found for them, also where there is more than can be kept. */
static void batches_in_advance_are_the_same_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < LAYOUTS; i++) {
        double *all = read_all(i);
        struct opened opened;
        assert_int_equal(open_file(&opened, i, true, 2), TRAJLOG_OK);
        for (int64_t most = 1; most <= ROWS; most += 2)
            for (int64_t first = 0; first < ROWS; first += 5) read_in_advance(&opened.dataset, all, first, most);
        close_file(&opened);
        free(all);
    }
}

static struct place ask_libhdf5(size_t layout, const int64_t *start)
{
    char name[20];
    hsize_t offset[3] = {(hsize_t)start[0], (hsize_t)start[1], (hsize_t)start[2]}, size = 0;
    haddr_t address = HADDR_UNDEF;
    struct place place = {0};
    snprintf(name, sizeof name, "x%zu", layout);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), dataset = H5Dopen2(file, name, H5P_DEFAULT);
    assert_true(H5Dget_chunk_info_by_coord(dataset, offset, &place.mask, &address, &size) >= 0);
    H5Dclose(dataset), H5Fclose(file);
    place.stored = address != HADDR_UNDEF;
    if (place.stored) place.address = address, place.size = size;
    return place;
}

static void expect_place(const struct place *place, const struct place *expected)
{
    assert_int_equal(place->stored, expected->stored);
    if (!place->stored) return;
    assert_int_equal(place->address, expected->address);
    assert_int_equal(place->size, expected->size);
    assert_int_equal(place->mask, expected->mask);
}

static void check_found(struct cells *cells, size_t layout)
{
    struct place place, expected;
    int64_t start[REGION_MAX_RANK] = {0};
    bool together = true;
    assert_false(cells_recall(cells, start, &place));
    cells_find_next(cells, start);
    for (; start[0] < ROWS; start[0] += cells->cell[0])
        for (start[1] = 0; start[1] < PARTICLES; start[1] += cells->cell[1]) {
            expected = ask_libhdf5(layout, start);
            bool first = start[0] == 0, soon = start[0] < CELLS_FOUND * cells->cell[0] && start[1] == 0;
            together = together && (first || expected.stored);
            assert_int_equal(cells_recall(cells, start, &place), !first && soon && together);
            cells_find(cells, start, &place);
            expect_place(&place, &expected);
            assert_int_equal(cells_recall(cells, start, &place), expected.stored);
            if (expected.stored) expect_place(&place, &expected);
        }
}

static void cells_are_where_libhdf5_says(void **state)
{
    struct hdf5_quiet quiet;
    (void)state;
    hdf5_quiet_begin(&quiet);
    for (size_t i = 0; i < LAYOUTS; i++) {
        struct opened opened;
        assert_int_equal(open_file(&opened, i, true, 1), TRAJLOG_OK);
        struct cells *cells = opened.dataset.cells;
        if (cells && cells->chunked) {
            check_found(cells, i);
            cells_forget(cells);
            check_found(cells, i);
        }
        close_file(&opened);
    }
    hdf5_quiet_end(&quiet);
}

/* The first dimension is one of the row's, as in a group that is logged once. */
static void without_rows_too(void **state)
{
    (void)state;
    for (size_t i = 0; i < LAYOUTS; i++) {
        double *all = read_all(i), values[ROWS * PARTICLES * 3];
        struct opened opened;
        assert_int_equal(open_file(&opened, i, false, 2), TRAJLOG_OK);
        assert_int_equal(dataset_read(&opened.dataset, 0, 1, 1, values, NULL), TRAJLOG_OK);
        assert_memory_equal(values, all, sizeof values);
        assert_int_equal(dataset_read_particles(&opened.dataset, 0, 1, 1, 6, 11, values, NULL), TRAJLOG_OK);
        assert_memory_equal(values, &all[6 * PARTICLES * 3], 11 * PARTICLES * 3 * sizeof *values);
        close_file(&opened);
        free(all);
    }
}

/* ---- damage ---- */

static struct place find_first(size_t layout)
{
    struct opened opened;
    struct place place;
    open_file(&opened, layout, true, 1);
    cells_find(opened.dataset.cells, (int64_t[]){0, 0, 0}, &place);
    assert_true(place.stored && place.mask == 0 && place.size > 0);
    close_file(&opened);
    return place;
}

static trajlog_status read_damaged(size_t layout, struct error *error)
{
    struct opened opened;
    double values[ROWS * PARTICLES * 3];
    open_file(&opened, layout, true, 2);
    trajlog_status status = dataset_read(&opened.dataset, 0, 1, ROWS, values, error);
    close_file(&opened);
    return status;
}

static void change_byte(uint64_t address)
{
    unsigned char byte;
    int descriptor = open(path, O_RDWR);
    assert_int_equal(pread(descriptor, &byte, 1, (off_t)address), 1);
    byte ^= 0x5a;
    assert_int_equal(pwrite(descriptor, &byte, 1, (off_t)address), 1);
    close(descriptor);
}

static void damage_is_named(void **state)
{
    struct error error = {0};
    (void)state;
    struct place place = find_first(4);
    change_byte(place.address + place.size / 2);
    assert_int_equal(read_damaged(4, &error), TRAJLOG_INVALID_FILE);
    assert_non_null(strstr(error.message, "a chunk of rows 0 to 4: the checksum is "));
    change_byte(place.address + place.size / 2);
    assert_int_equal(read_damaged(4, NULL), TRAJLOG_OK);

    place = find_first(5);
    change_byte(place.address + 3);
    error_clear(&error);
    assert_int_equal(read_damaged(5, &error), TRAJLOG_INVALID_FILE);
    assert_non_null(strstr(error.message, "a chunk of rows 0 to 6: the deflate stream "));
    change_byte(place.address + 3);
}

/* The file was cut after it was opened. */
static void a_file_that_became_shorter_is_an_error(void **state)
{
    const size_t all[] = {0, 5, 12};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct opened opened;
        struct error error = {0};
        double values[ROWS * PARTICLES * 3];
        struct place place = find_first(all[i]);
        open_file(&opened, all[i], true, 1);
        assert_int_equal(truncate(path, (off_t)place.address + 10), 0);
        assert_int_equal(dataset_read(&opened.dataset, 0, 1, ROWS, values, &error), TRAJLOG_INVALID_FILE);
        assert_non_null(strstr(error.message, "the file ends before"));
        error_clear(&error);
        struct rows_ahead ahead = dataset_begin(&opened.dataset, 0, ROWS, values);
        assert_int_equal(dataset_finish(&ahead, &error), TRAJLOG_INVALID_FILE);
        assert_non_null(strstr(error.message, "the file ends before"));
        close_file(&opened);
        remove_file(NULL);
        assert_int_equal(make_file(NULL), 0);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(every_part_is_as_libhdf5_reads_it, make_file, remove_file),
    cmocka_unit_test_setup_teardown(batches_in_advance_are_the_same_rows, make_file, remove_file),
    cmocka_unit_test_setup_teardown(cells_are_where_libhdf5_says, make_file, remove_file),
    cmocka_unit_test_setup_teardown(without_rows_too, make_file, remove_file),
    cmocka_unit_test_setup_teardown(damage_is_named, make_file, remove_file),
    cmocka_unit_test_setup_teardown(a_file_that_became_shorter_is_an_error, make_file, remove_file),
};

TEST_MAIN(tests)
