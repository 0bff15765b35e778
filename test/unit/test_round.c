/* Rounding: the bounds of the error, for values of all kinds. */
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "harness.h"
#include "store/round.h"

static uint64_t random_state;

static uint64_t random_bits(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state ^ random_state >> 29;
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Uniform in the exponent. */
static double random_between(int least_exponent, int most_exponent)
{
    double mantissa = 1.0 + (double)(random_bits() >> 12) * 0x1p-52;
    int span = most_exponent - least_exponent;
    return ldexp(mantissa, least_exponent + (int)((random_bits() >> 33) % (unsigned)span));
}

/* What a rounding to multiples of about `unit` may fail on: any bits; around halves; where it stops; small values. */
static double awkward(double unit)
{
    double sign = random_bits() >> 40 & 1 ? -1.0 : 1.0, near = (double)(random_bits() >> 44);
    switch ((random_bits() >> 35) % 8) {
    case 0:
        return double_of(random_bits());
    case 1:
        return float_of((uint32_t)(random_bits() >> 32));
    case 2: /* halves, and next to them */
        return sign * nextafter((near + 0.5) * unit, random_bits() >> 40 & 1 ? 0.0 : INFINITY);
    case 3:
        return sign * (near + 0.5) * unit;
    case 4: /* where floats are about as wide as the unit */
        return sign * unit * random_between(18, 28);
    case 5:
        return sign * unit * random_between(48, 56);
    case 6:
        return sign * unit * random_between(-40, 20);
    default:
        return sign * random_between(-150, -120);
    }
}

static float round_float(const struct rounding *rounding, float value)
{
    float rounded;
    round_values(rounding, &value, &rounded, sizeof value);
    return rounded;
}

static double round_double(const struct rounding *rounding, double value)
{
    double rounded;
    round_values(rounding, &value, &rounded, sizeof value);
    return rounded;
}

/* A number, the bound, what it has become; `nearest`: as which it would be stored without rounding. */
static void expect_near(double value, double nearest, double rounded, double bound)
{
    if (isnan(value)) assert_true(isnan(rounded));
    else if (memcmp(&nearest, &rounded, sizeof nearest) != 0) {
        if (!(fabsl((long double)rounded - (long double)value) <= (long double)bound))
            fail_msg("%a became %a, and the bound is %a", value, rounded, bound);
        assert_int_equal(!signbit(rounded), !signbit(value));
    }
}

static double random_bound(void)
{
    double bound = random_bits() >> 40 & 1 ? random_between(-40, 20) : random_between(-1070, 1023);
    switch ((random_bits() >> 36) % 4) {
    case 0:
        return ldexp(0.5, ilogb(bound)) > 0.0 ? ldexp(0.5, ilogb(bound)) : bound;
    case 1:
        return nextafter(ldexp(1.0, ilogb(bound)), 0.0) > 0.0 ? nextafter(ldexp(1.0, ilogb(bound)), 0.0) : bound;
    default:
        return bound;
    }
}

static void no_error_exceeds_its_bound(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        double bound = random_bound();
        struct rounding narrow = rounding_to_error(TRAJLOG_FLOAT32, bound, false);
        struct rounding narrowed = rounding_to_error(TRAJLOG_FLOAT32, bound, true);
        struct rounding wide = rounding_to_error(TRAJLOG_FLOAT64, bound, false);
        for (int j = 0; j < 50; j++) {
            double value = awkward(bound * 2);
            float nearest = (float)value;
            expect_near(nearest, nearest, round_float(&narrow, nearest), bound);
            expect_near(value, nearest, round_float(&narrowed, nearest), bound);
            expect_near(value, value, round_double(&wide, value), bound);
        }
    }
}

static void no_error_exceeds_half_a_digit(void **state)
{
    (void)state;
    for (int digits = 1; digits <= 15; digits++) {
        struct rounding narrow = rounding_to_digits(TRAJLOG_FLOAT32, digits, false);
        struct rounding narrowed = rounding_to_digits(TRAJLOG_FLOAT32, digits, true);
        struct rounding wide = rounding_to_digits(TRAJLOG_FLOAT64, digits, false);
        for (int i = 0; i < 100000; i++) {
            double value = awkward(1.0), bound = 0.5 * pow(10.0, -digits);
            float nearest = (float)value;
            expect_near(nearest, nearest, round_float(&narrow, nearest), bound * fabs((double)nearest));
            expect_near(value, nearest, round_float(&narrowed, nearest), bound * fabs(value));
            expect_near(value, value, round_double(&wide, value), bound * fabs(value));
        }
    }
}

/* Otherwise nothing would be gained. */
static void ordinary_values_become_multiples(void **state)
{
    static const double bounds[] = {0.0005, 0.001, 0.25, 3.0, 1e-6};
    static const double multiples[] = {0x1p-10, 0x1p-9, 0.5, 4.0, 0x1p-19};
    (void)state;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        struct rounding narrow = rounding_to_error(TRAJLOG_FLOAT32, bounds[i], false);
        struct rounding wide = rounding_to_error(TRAJLOG_FLOAT64, bounds[i], false);
        for (int j = 0; j < 10000; j++) {
            double value = bounds[i] * random_between(-5, 21) * (j % 2 ? 1.0 : -1.0);
            double narrow_steps = (double)round_float(&narrow, (float)value) / multiples[i];
            double wide_steps = round_double(&wide, value) / multiples[i];
            assert_true(narrow_steps == nearbyint(narrow_steps));
            assert_true(wide_steps == nearbyint(wide_steps));
        }
    }
    struct rounding narrowed = rounding_to_error(TRAJLOG_FLOAT32, 0.0005, true);
    assert_true(round_float(&narrowed, 12.34567f) == 12642.0f / 1024.0f);
    struct rounding power = rounding_to_error(TRAJLOG_FLOAT32, 0x1p-11, true);
    assert_true(round_float(&power, 12.34567f) == 25284.0f / 2048.0f);
}

static void digits_leave_few_bits(void **state)
{
    struct rounding three = rounding_to_digits(TRAJLOG_FLOAT32, 3, false);
    struct rounding seven = rounding_to_digits(TRAJLOG_FLOAT32, 7, false);
    (void)state;
    assert_int_equal(three.kind, ROUNDING_TO_BITS);
    assert_int_equal(three.dropped, 13);
    assert_true(round_float(&three, 3.14159274f) == 3.140625f);
    assert_true(round_float(&three, 1.99999f) == 2.0f);
    assert_int_equal(seven.kind, ROUNDING_NONE);
    assert_int_equal(rounding_to_digits(TRAJLOG_FLOAT64, 15, false).kind, ROUNDING_TO_BITS);
    assert_int_equal(rounding_to_error(TRAJLOG_FLOAT32, 1e-40, false).kind, ROUNDING_NONE);
}

static void expect_kept(const struct rounding *narrow, const struct rounding *wide)
{
    static const uint32_t floats[] = {0,          0x80000000, 0x7f800000, 0xff800000, 0x7fc00000,
                                      0xffc12345, 0x7f800001, 0xffbfffff, 0x7f7fffff, 0xff7fffff};
    static const uint64_t doubles[] = {0,
                                       0x8000000000000000,
                                       0x7ff0000000000000,
                                       0xfff0000000000000,
                                       0x7ff8000000000000,
                                       0xfff8000012345678,
                                       0x7ff0000000000001,
                                       0xfff7ffffffffffff,
                                       0x7fefffffffffffff,
                                       0xffefffffffffffff};
    uint32_t floats_after[sizeof floats / sizeof *floats];
    uint64_t doubles_after[sizeof doubles / sizeof *doubles];
    round_values(narrow, floats, floats_after, sizeof floats);
    round_values(wide, doubles, doubles_after, sizeof doubles);
    assert_memory_equal(floats, floats_after, sizeof floats);
    assert_memory_equal(doubles, doubles_after, sizeof doubles);
}

static void what_is_no_ordinary_number_is_kept(void **state)
{
    (void)state;
    for (int exponent = -140; exponent < 120; exponent += 20) {
        struct rounding narrow = rounding_to_error(TRAJLOG_FLOAT32, ldexp(0.7, exponent), false);
        struct rounding wide = rounding_to_error(TRAJLOG_FLOAT64, ldexp(0.7, exponent), false);
        expect_kept(&narrow, &wide);
    }
    for (int digits = 1; digits <= 15; digits++) {
        struct rounding narrow = rounding_to_digits(TRAJLOG_FLOAT32, digits, true);
        struct rounding wide = rounding_to_digits(TRAJLOG_FLOAT64, digits, false);
        expect_kept(&narrow, &wide);
    }
}

static void any_number_of_values_anywhere(void **state)
{
    struct rounding rounding = rounding_to_error(TRAJLOG_FLOAT32, 0.01, false);
    char from[200], to[200], guard[200];
    (void)state;
    for (size_t offset = 0; offset < 17; offset++)
        for (size_t count = 0; count < 40; count++) {
            for (size_t i = 0; i < sizeof from; i++) from[i] = (char)random_bits();
            memcpy(guard, from, sizeof guard);
            memset(to, 7, sizeof to);
            round_values(&rounding, from + offset, to + offset, 4 * count);
            for (size_t i = 0; i < count; i++) {
                float value, rounded;
                memcpy(&value, from + offset + 4 * i, 4);
                value = round_float(&rounding, value);
                memcpy(&rounded, to + offset + 4 * i, 4);
                assert_memory_equal(&rounded, &value, 4);
            }
            assert_memory_equal(from, guard, sizeof from);
            for (size_t i = offset + 4 * count; i < sizeof to; i++) assert_int_equal(to[i], 7);
            round_values(&rounding, from + offset, from + offset, 4 * count); /* in place */
            assert_memory_equal(from + offset, to + offset, 4 * count);
            round_values(&rounding, to + offset, to + offset, 4 * count); /* again: nothing changes */
            assert_memory_equal(from + offset, to + offset, 4 * count);
        }
}

static void expect_equally_rounded(const struct rounding *rounding, const char *from, size_t offset, size_t bytes)
{
    char narrow[8 * 301 + 64], wide[sizeof narrow];
    memset(narrow, 7, sizeof narrow);
    memset(wide, 7, sizeof wide);
    round_values_with(VECTORS_ANYWHERE, rounding, from + offset, narrow + offset, bytes);
    round_values_with(vectors_here(), rounding, from + offset, wide + offset, bytes);
    assert_memory_equal(wide, narrow, sizeof narrow);
    memcpy(wide, from, offset + bytes);
    round_values_with(vectors_here(), rounding, wide + offset, wide + offset, bytes); /* in place */
    assert_memory_equal(wide + offset, narrow + offset, bytes);
}

/* Nothing to compare where the machine has no wider ones. */
static void vectors_of_all_widths_round_alike(void **state)
{
    const struct rounding roundings[] = {
        rounding_to_error(TRAJLOG_FLOAT32, 0.0005, false), rounding_to_error(TRAJLOG_FLOAT64, 0.0005, false),
        rounding_to_error(TRAJLOG_FLOAT32, 1e-20, true),   rounding_to_error(TRAJLOG_FLOAT64, 1e-20, true),
        rounding_to_digits(TRAJLOG_FLOAT32, 4, true),      rounding_to_digits(TRAJLOG_FLOAT64, 4, false)};
    char from[8 * 301 + 64] = {0};
    (void)state;
    for (size_t i = 0; i < sizeof roundings / sizeof *roundings; i++)
        for (size_t count = 0; count <= 300; count++) {
            size_t size = roundings[i].element_size, offset = (size_t)(random_bits() >> 40) % 64;
            for (size_t j = 0; j < count; j++) {
                double wide = awkward(0.001);
                float narrow = count % 2 ? (float)wide : float_of((uint32_t)(random_bits() >> 32));
                if (size == 4) memcpy(from + offset + 4 * j, &narrow, 4);
                else memcpy(from + offset + 8 * j, &wide, 8);
            }
            expect_equally_rounded(&roundings[i], from, offset, size * count);
        }
}

/* All that is special, at each place of a vector: zeros, infinities, NaNs that are quiet and not, subnormal numbers. */
static void special_numbers_are_special_in_all_vectors(void **state)
{
    static const uint32_t specials[] = {0,          0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345,
                                        0x7f800001, 0xffbfffff, 1,          0x80000001, 0x007fffff, 0x807fffff,
                                        0x00800000, 0x7f7fffff, 0xff7fffff, 0x3f800000, 0x3a000000, 0x3a800000};
    const size_t count = sizeof specials / sizeof *specials;
    const struct rounding roundings[] = {
        rounding_to_error(TRAJLOG_FLOAT32, 0.0005, false), rounding_to_error(TRAJLOG_FLOAT32, 1e30, false),
        rounding_to_digits(TRAJLOG_FLOAT32, 2, false), rounding_to_error(TRAJLOG_FLOAT64, 0.0005, false),
        rounding_to_digits(TRAJLOG_FLOAT64, 2, false)};
    uint32_t from[64];
    (void)state;
    for (size_t i = 0; i < sizeof roundings / sizeof *roundings; i++)
        for (size_t shift = 0; shift < count; shift++) {
            for (size_t j = 0; j < 64; j++) from[j] = specials[(j + shift) % count];
            expect_equally_rounded(&roundings[i], (const char *)from, 0, sizeof from);
        }
}

/* A host may have any, and gets it back. */
static void the_floating_point_environment_does_not_matter(void **state)
{
    static const int directions[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    struct rounding rounding = rounding_to_error(TRAJLOG_FLOAT64, 0x1p-11, false);
    double values[1000], rounded[1000], expected[1000];
    (void)state;
    for (int i = 0; i < 1000; i++) values[i] = awkward(0x1p-10);
    values[17] = double_of(0x7ff0000000000001); /* a signalling NaN */
    round_values(&rounding, values, expected, sizeof values);
    for (size_t i = 0; i < sizeof directions / sizeof *directions; i++) {
        fesetround(directions[i]);
        feclearexcept(FE_ALL_EXCEPT);
        feenableexcept(FE_INVALID | FE_INEXACT | FE_OVERFLOW | FE_UNDERFLOW);
        round_values(&rounding, values, rounded, sizeof values);
        int direction = fegetround(), enabled = fegetexcept(), raised = fetestexcept(FE_ALL_EXCEPT);
        fesetenv(FE_DFL_ENV);
        assert_int_equal(direction, directions[i]);
        assert_int_equal(enabled, FE_INVALID | FE_INEXACT | FE_OVERFLOW | FE_UNDERFLOW);
        assert_int_equal(raised, 0);
        assert_memory_equal(rounded, expected, sizeof rounded);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_error_exceeds_its_bound),
    cmocka_unit_test(no_error_exceeds_half_a_digit),
    cmocka_unit_test(ordinary_values_become_multiples),
    cmocka_unit_test(digits_leave_few_bits),
    cmocka_unit_test(what_is_no_ordinary_number_is_kept),
    cmocka_unit_test(any_number_of_values_anywhere),
    cmocka_unit_test(vectors_of_all_widths_round_alike),
    cmocka_unit_test(special_numbers_are_special_in_all_vectors),
    cmocka_unit_test(the_floating_point_environment_does_not_matter),
};

TEST_MAIN(tests)
