#include "harness.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "model/convert.h"

static const trajlog_type numbers[] = {TRAJLOG_INT8,      TRAJLOG_INT16,   TRAJLOG_INT32,  TRAJLOG_INT64,
                                       TRAJLOG_UINT8,     TRAJLOG_UINT16,  TRAJLOG_UINT32, TRAJLOG_UINT64,
                                       TRAJLOG_FLOAT32,   TRAJLOG_FLOAT64, TRAJLOG_BOOL,   TRAJLOG_COMPLEX64,
                                       TRAJLOG_COMPLEX128};
#define NUMBERS (sizeof numbers / sizeof numbers[0])

/* The rule of convert.h in one line each. */
static bool rule(trajlog_type from, trajlog_type to)
{
    bool counts = element_is_integer(from) || from == TRAJLOG_BOOL;
    if (from == to) return true;
    if (element_is_integer(to)) return counts;
    if (element_is_float(to)) return counts || element_is_float(from);
    return element_is_complex(to);
}

static void conversions_that_exist(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUMBERS; i++) {
        for (size_t j = 0; j < NUMBERS; j++) {
            assert_int_equal(conversion_exists(numbers[i], numbers[j]), rule(numbers[i], numbers[j]));
        }
        assert_false(conversion_exists(numbers[i], TRAJLOG_STRING(8)));
        assert_false(conversion_exists(TRAJLOG_STRING(8), numbers[i]));
        assert_false(conversion_exists(numbers[i], 0));
        assert_false(conversion_exists(0, numbers[i]));
    }
    assert_true(conversion_exists(TRAJLOG_STRING(4), TRAJLOG_STRING(8)));
    assert_true(conversion_exists(TRAJLOG_STRING(8), TRAJLOG_STRING(8)));
    assert_false(conversion_exists(TRAJLOG_STRING(8), TRAJLOG_STRING(4)));
}

/* Writes a small whole number as one element of any type. */
static void put_number(void *at, trajlog_type type, int value)
{
    double real[2] = {value, 0};
    float single[2] = {(float)value, 0};
    int64_t integer = value;
    if (element_is_integer(type) || type == TRAJLOG_BOOL) memcpy(at, &integer, trajlog_type_size(type));
    else if (type == TRAJLOG_FLOAT32 || type == TRAJLOG_COMPLEX64) memcpy(at, single, trajlog_type_size(type));
    else memcpy(at, real, trajlog_type_size(type));
}

static void every_pair_converts_small_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUMBERS; i++) {
        for (size_t j = 0; j < NUMBERS; j++) {
            /* One byte off any alignment. */
            char from[1 + 16 * 37], to[1 + 16 * 37], expected[16 * 37];
            trajlog_type a = numbers[i], b = numbers[j];
            int most = a == TRAJLOG_BOOL || b == TRAJLOG_BOOL ? 2 : 100;
            if (!conversion_exists(a, b)) continue;
            for (int k = 0; k < 37; k++) {
                put_number(from + 1 + (size_t)k * trajlog_type_size(a), a, k % most);
                put_number(expected + (size_t)k * trajlog_type_size(b), b, k % most);
            }
            assert_int_equal(convert_dense(to + 1, b, from + 1, a, 37, NULL), TRAJLOG_OK);
            assert_memory_equal(to + 1, expected, 37 * trajlog_type_size(b));
        }
    }
}

static void misfit(trajlog_type to, trajlog_type from, const void *values, int64_t count, const char *message)
{
    struct error error = {0};
    char target[64];
    assert_int_equal(convert_dense(target, to, values, from, count, &error), TRAJLOG_OUT_OF_RANGE);
    assert_string_equal(error.message, message);
}

static void integers_out_of_range_are_named(void **state)
{
    int32_t integers[] = {1, 127, -129, 300};
    uint64_t large[] = {INT64_MAX, UINT64_MAX};
    int64_t negative[] = {0, -1};
    int8_t narrow[3];
    (void)state;
    misfit(TRAJLOG_INT8, TRAJLOG_INT32, integers, 4, "the value -129 at index 2 does not fit int8");
    misfit(TRAJLOG_UINT8, TRAJLOG_INT32, integers + 3, 1, "the value 300 at index 0 does not fit uint8");
    misfit(TRAJLOG_INT64, TRAJLOG_UINT64, large, 2, "the value 18446744073709551615 at index 1 does not fit int64");
    misfit(TRAJLOG_UINT64, TRAJLOG_INT64, negative, 2, "the value -1 at index 1 does not fit uint64");
    assert_int_equal(convert_dense(narrow, TRAJLOG_INT8, integers, TRAJLOG_INT32, 2, NULL), TRAJLOG_OK);
    assert_int_equal(narrow[1], 127);
}

static void a_misfit_is_not_forgotten(void **state)
{
    int32_t first[] = {300, 1, 2}, rows[2][2] = {{300, 1}, {2, 3}};
    trajlog_shape shape = TRAJLOG_SHAPE(2, 2);
    ptrdiff_t strides[] = {8, -4};
    struct gather gather;
    uint8_t to[4];
    (void)state;
    misfit(TRAJLOG_UINT8, TRAJLOG_INT32, first, 3, "the value 300 at index 0 does not fit uint8");
    assert_int_equal(gather_make(&gather, TRAJLOG_UINT8, TRAJLOG_INT32, &shape, strides, NULL), TRAJLOG_OK);
    assert_int_equal(gather_run(&gather, to, &rows[0][1], NULL), TRAJLOG_OUT_OF_RANGE);
}

static void limits_fit(void **state)
{
    int64_t from[] = {INT8_MIN, INT8_MAX};
    uint64_t wide[] = {0, UINT32_MAX};
    int8_t to[2];
    uint32_t narrow[2];
    (void)state;
    assert_int_equal(convert_dense(to, TRAJLOG_INT8, from, TRAJLOG_INT64, 2, NULL), TRAJLOG_OK);
    assert_int_equal(to[0], INT8_MIN);
    assert_int_equal(to[1], INT8_MAX);
    assert_int_equal(convert_dense(narrow, TRAJLOG_UINT32, wide, TRAJLOG_UINT64, 2, NULL), TRAJLOG_OK);
    assert_true(narrow[1] == UINT32_MAX);
}

static void floats_keep_what_is_not_finite(void **state)
{
    double from[] = {NAN, INFINITY, -INFINITY, 1e300, -1e300, 1e-320, -0.0, 1.0 / 3};
    float to[8];
    (void)state;
    assert_int_equal(convert_dense(to, TRAJLOG_FLOAT32, from, TRAJLOG_FLOAT64, 8, NULL), TRAJLOG_OK);
    assert_true(isnan(to[0]) && to[1] == INFINITY && to[2] == -INFINITY && to[3] == INFINITY && to[4] == -INFINITY);
    assert_true(to[5] == 0 && signbit(to[6]) && to[7] == 1.0F / 3);
}

static void any_number_of_floats_is_narrowed_and_no_more(void **state)
{
    (void)state;
    for (int count = 0; count < 70; count++) {
        double *from = malloc((size_t)count * sizeof *from + 1);
        float to[71];
        for (int i = 0; i < count; i++) from[i] = i + 0.1;
        for (int i = 0; i < 71; i++) to[i] = -1;
        assert_int_equal(convert_dense(to, TRAJLOG_FLOAT32, from, TRAJLOG_FLOAT64, count, NULL), TRAJLOG_OK);
        for (int i = 0; i < count; i++) assert_true(to[i] == (float)(i + 0.1));
        assert_true(to[count] == -1);
        free(from);
    }
}

static void nan_payloads_survive_a_copy(void **state)
{
    uint64_t from[] = {0x7ff4000000000123, 0xfff8000000000456}, to[2];
    (void)state;
    assert_int_equal(convert_dense(to, TRAJLOG_FLOAT64, from, TRAJLOG_FLOAT64, 2, NULL), TRAJLOG_OK);
    assert_memory_equal(to, from, sizeof from);
}

static void truth_is_one(void **state)
{
    uint8_t from[] = {0, 1, 2, 255}, to[4], expected[] = {0, 1, 1, 1};
    float complex64[8];
    (void)state;
    assert_int_equal(convert_dense(to, TRAJLOG_BOOL, from, TRAJLOG_BOOL, 4, NULL), TRAJLOG_OK);
    assert_memory_equal(to, expected, 4);
    assert_int_equal(convert_dense(to, TRAJLOG_INT8, from, TRAJLOG_BOOL, 4, NULL), TRAJLOG_OK);
    assert_memory_equal(to, expected, 4);
    assert_int_equal(convert_dense(complex64, TRAJLOG_COMPLEX64, from, TRAJLOG_BOOL, 4, NULL), TRAJLOG_OK);
    assert_true(complex64[0] == 0 && complex64[6] == 1 && complex64[7] == 0);
}

static void strings_are_padded_and_lose_what_is_behind_them(void **state)
{
    char from[] = "Ar\0xHe\0\0long", to[18];
    (void)state;
    assert_int_equal(convert_dense(to, TRAJLOG_STRING(6), from, TRAJLOG_STRING(4), 3, NULL), TRAJLOG_OK);
    assert_memory_equal(to, "Ar\0\0\0\0He\0\0\0\0long\0\0", 18);
    assert_int_equal(convert_dense(to, TRAJLOG_STRING(4), from, TRAJLOG_STRING(4), 3, NULL), TRAJLOG_OK);
    assert_memory_equal(to, "Ar\0\0He\0\0long", 12);
}

static void no_conversion_is_said(void **state)
{
    struct error error = {0};
    double from = 1;
    int32_t to;
    (void)state;
    assert_int_equal(convert_dense(&to, TRAJLOG_INT32, &from, TRAJLOG_FLOAT64, 1, &error), TRAJLOG_TYPE_MISMATCH);
    assert_string_equal(error.message, "float64 cannot be converted to int32");
    assert_int_equal(convert_dense(&to, TRAJLOG_INT32, &from, TRAJLOG_INT32, 0, NULL), TRAJLOG_OK);
}

/* ------------------------------------------------------------------------------------------------------- gather --- */

/* Copies element by element, as the definition says. */
static void gather_slowly(char *to, trajlog_type to_type, const char *from, trajlog_type from_type,
                          const trajlog_shape *shape, const ptrdiff_t *strides, int dimension, size_t *place)
{
    if (dimension == shape->rank) {
        size_t size = trajlog_type_size(to_type);
        assert_int_equal(convert_dense(to + *place * size, to_type, from, from_type, 1, NULL), TRAJLOG_OK);
        ++*place;
        return;
    }
    for (int64_t i = 0; i < shape->dims[dimension]; i++) {
        gather_slowly(to, to_type, from + i * strides[dimension], from_type, shape, strides, dimension + 1, place);
    }
}

static void check_gather(trajlog_type to_type, trajlog_type from_type, trajlog_shape shape, const ptrdiff_t *strides,
                         const void *from)
{
    struct gather gather;
    size_t bytes, place = 0;
    char *to, *expected;
    assert_int_equal(shape_bytes(&shape, to_type, &bytes, NULL), TRAJLOG_OK);
    to = malloc(bytes);
    expected = malloc(bytes);
    assert_int_equal(gather_make(&gather, to_type, from_type, &shape, strides, NULL), TRAJLOG_OK);
    assert_int_equal(gather.to_bytes, bytes);
    assert_int_equal(gather_run(&gather, to, from, NULL), TRAJLOG_OK);
    gather_slowly(expected, to_type, from, from_type, &shape, strides, 0, &place);
    assert_memory_equal(to, expected, bytes);
    free(to);
    free(expected);
}

static void contiguous_arrays_are_one_copy(void **state)
{
    trajlog_shape shape = TRAJLOG_SHAPE(100, 1, 3);
    ptrdiff_t same[] = {24, 999, 8};
    struct gather gather;
    (void)state;
    assert_int_equal(gather_make(&gather, TRAJLOG_FLOAT64, TRAJLOG_FLOAT64, &shape, NULL, NULL), TRAJLOG_OK);
    assert_true(gather.plain_copy);
    assert_int_equal(gather_make(&gather, TRAJLOG_FLOAT64, TRAJLOG_FLOAT64, &shape, same, NULL), TRAJLOG_OK);
    assert_true(gather.plain_copy);
    assert_int_equal(gather_make(&gather, TRAJLOG_FLOAT32, TRAJLOG_FLOAT64, &shape, NULL, NULL), TRAJLOG_OK);
    assert_false(gather.plain_copy);
    assert_int_equal(gather.rank, 0);
    assert_int_equal(gather.run, 300);
}

struct particle {
    int32_t id;
    double position[3];
    char name[5];
    float velocity[3];
    uint8_t frozen;
} __attribute__((packed)); /* so that nothing is aligned */

static void arrays_of_structs(void **state)
{
    enum { COUNT = 41 };
    struct particle particles[COUNT];
    ptrdiff_t of_particles[] = {sizeof(struct particle)};
    ptrdiff_t of_double[] = {sizeof(struct particle), sizeof(double)};
    ptrdiff_t of_float[] = {sizeof(struct particle), sizeof(float)};
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        struct particle p = {i, {i, i + 0.25, -i}, "H2O", {2.0F * (float)i, 1, 0}, (uint8_t)(i % 3)};
        particles[i] = p;
    }
    check_gather(TRAJLOG_FLOAT64, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(COUNT, 3), of_double, particles[0].position);
    check_gather(TRAJLOG_FLOAT32, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(COUNT, 3), of_double, particles[0].position);
    check_gather(TRAJLOG_FLOAT32, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(COUNT, 2), of_double, particles[0].position);
    check_gather(TRAJLOG_COMPLEX64, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(COUNT, 3), of_double, particles[0].position);
    check_gather(TRAJLOG_FLOAT32, TRAJLOG_FLOAT32, TRAJLOG_SHAPE(COUNT, 3), of_float, particles[0].velocity);
    check_gather(TRAJLOG_FLOAT64, TRAJLOG_FLOAT32, TRAJLOG_SHAPE(COUNT, 3), of_float, particles[0].velocity);
    check_gather(TRAJLOG_INT32, TRAJLOG_INT32, TRAJLOG_SHAPE(COUNT), of_particles, &particles[0].id);
    check_gather(TRAJLOG_INT16, TRAJLOG_INT32, TRAJLOG_SHAPE(COUNT), of_particles, &particles[0].id);
    check_gather(TRAJLOG_BOOL, TRAJLOG_BOOL, TRAJLOG_SHAPE(COUNT), of_particles, &particles[0].frozen);
    check_gather(TRAJLOG_STRING(8), TRAJLOG_STRING(5), TRAJLOG_SHAPE(COUNT), of_particles, particles[0].name);
}

static void transpositions_and_slices(void **state)
{
    enum { N = 100, M = 70 };
    static double array[N * M];
    ptrdiff_t fortran3[] = {8, 8 * N}, fortran[] = {8, 8 * N}, reversed[] = {-8 * M, 8}, backwards[] = {-8};
    ptrdiff_t cube[] = {8, 8 * 5, 8 * 35}, slice[] = {8 * M, 16}, broadcast[] = {0, 8};
    (void)state;
    for (int i = 0; i < N * M; i++) array[i] = i + 0.5;
    check_gather(TRAJLOG_FLOAT64, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(N, 3), fortran3, array);
    check_gather(TRAJLOG_FLOAT32, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(N, 3), fortran3, array);
    check_gather(TRAJLOG_FLOAT64, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(N, M), fortran, array);
    check_gather(TRAJLOG_FLOAT32, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(N, M), fortran, array);
    check_gather(TRAJLOG_FLOAT64, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(N, M), reversed, array + (N - 1) * M);
    check_gather(TRAJLOG_FLOAT32, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(N * M), backwards, array + N * M - 1);
    check_gather(TRAJLOG_FLOAT64, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(5, 7, 11), cube, array);
    check_gather(TRAJLOG_FLOAT32, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(N, M / 2), slice, array);
    check_gather(TRAJLOG_FLOAT64, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(4, 6), broadcast, array);
}

static void a_frame_names_the_index_in_c_order(void **state)
{
    int32_t columns[3][4] = {{0, 1, 2, 3}, {10, 11, 999, 13}, {20, 21, 22, 999}};
    trajlog_shape shape = TRAJLOG_SHAPE(4, 3);
    ptrdiff_t strides[] = {4, 16};
    struct error error = {0};
    struct gather gather;
    uint8_t to[12];
    (void)state;
    assert_int_equal(gather_make(&gather, TRAJLOG_UINT8, TRAJLOG_INT32, &shape, strides, NULL), TRAJLOG_OK);
    assert_int_equal(gather_run(&gather, to, columns, &error), TRAJLOG_OUT_OF_RANGE);
    assert_string_equal(error.message, "the value 999 at index 7 does not fit uint8");
}

static void strides_beyond_memory_are_refused(void **state)
{
    trajlog_shape shape = TRAJLOG_SHAPE(4, 3);
    ptrdiff_t large[] = {PTRDIFF_MAX / 2, 8}, least[] = {PTRDIFF_MIN, 8};
    struct error error = {0};
    struct gather gather;
    (void)state;
    assert_int_equal(gather_make(&gather, TRAJLOG_INT8, TRAJLOG_INT8, &shape, large, &error), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(gather_make(&gather, TRAJLOG_INT8, TRAJLOG_INT8, &shape, least, NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(gather_make(&gather, TRAJLOG_INT8, TRAJLOG_FLOAT32, &shape, NULL, NULL), TRAJLOG_TYPE_MISMATCH);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(conversions_that_exist),
    cmocka_unit_test(every_pair_converts_small_numbers),
    cmocka_unit_test(integers_out_of_range_are_named),
    cmocka_unit_test(a_misfit_is_not_forgotten),
    cmocka_unit_test(any_number_of_floats_is_narrowed_and_no_more),
    cmocka_unit_test(limits_fit),
    cmocka_unit_test(floats_keep_what_is_not_finite),
    cmocka_unit_test(nan_payloads_survive_a_copy),
    cmocka_unit_test(truth_is_one),
    cmocka_unit_test(strings_are_padded_and_lose_what_is_behind_them),
    cmocka_unit_test(no_conversion_is_said),
    cmocka_unit_test(contiguous_arrays_are_one_copy),
    cmocka_unit_test(arrays_of_structs),
    cmocka_unit_test(transpositions_and_slices),
    cmocka_unit_test(a_frame_names_the_index_in_c_order),
    cmocka_unit_test(strides_beyond_memory_are_refused),
};
TEST_MAIN(tests)
