/* Where repeats are looked for: what the samples say of bytes of several kinds. */
#include <stdlib.h>

#include "harness.h"
#include "store/search.h"

#define BYTES 100000
#define PIECE 1024 /* of the middle, which is looked at for repeats */

static uint32_t random_state;

static unsigned char random_byte(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (unsigned char)(random_state >> 24);
}

static unsigned char *make_noise(unsigned values)
{
    unsigned char *part = malloc(BYTES);
    assert_non_null(part);
    random_state = 54321;
    for (size_t i = 0; i < BYTES; i++) part[i] = (unsigned char)(random_byte() * values / 256);
    return part;
}

static void expect_search(const unsigned char *part, size_t row, enum search expected)
{
    struct search_table *table = search_table_new();
    assert_non_null(table);
    assert_int_equal(choose_search(table, 1, part, BYTES, row), expected);
    free(table);
}

static void noise_is_stored(void **state)
{
    unsigned char *part = make_noise(256);
    (void)state;
    expect_search(part, 0, SEARCH_NO_CODE);
    free(part);
}

static void few_values_have_a_code(void **state)
{
    unsigned char *part = make_noise(48);
    (void)state;
    expect_search(part, 0, SEARCH_NOWHERE);
    memset(part, 3, BYTES);
    expect_search(part, 0, SEARCH_NEARBY);
    free(part);
}

/* From the first byte of the piece on, or from another; nearby or far. */
static void one_repeat_in_the_middle_is_enough(void **state)
{
    (void)state;
    for (size_t from = 0; from < 3; from++)
        for (size_t distance = 1; distance < PIECE - 64 - 3; distance += distance < 20 ? 1 : 50) {
            unsigned char *part = make_noise(256), *piece = part + (BYTES - PIECE) / 2 + from;
            for (size_t i = 0; i < 64; i++) piece[distance + i] = piece[i];
            expect_search(part, 0, distance > 1 << SEARCH_NEARBY_BITS ? SEARCH_AS_USUAL : SEARCH_NEARBY);
            free(part);
        }
}

/* 16 bytes save 108 bits, more than one percent of the piece has; 12 save 76. */
static void a_short_repeat_is_not(void **state)
{
    unsigned char *part = make_noise(256), *piece = part + (BYTES - PIECE) / 2;
    (void)state;
    memcpy(piece + 500, piece, 12);
    expect_search(part, 0, SEARCH_NO_CODE);
    memcpy(piece + 500, piece, 16);
    expect_search(part, 0, SEARCH_AS_USUAL);
    free(part);
}

static void rows_that_repeat_are_found(void **state)
{
    unsigned char *part = make_noise(256);
    (void)state;
    for (size_t i = 5000; i < BYTES; i++) part[i] = part[i - 5000];
    expect_search(part, 5000, SEARCH_FAR);
    expect_search(part, 4999, SEARCH_NO_CODE);
    for (size_t i = 500; i < BYTES; i++) part[i] = part[i - 500];
    expect_search(part, 500, SEARCH_AS_USUAL);
    free(part);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(noise_is_stored),
    cmocka_unit_test(few_values_have_a_code),
    cmocka_unit_test(one_repeat_in_the_middle_is_enough),
    cmocka_unit_test(a_short_repeat_is_not),
    cmocka_unit_test(rows_that_repeat_are_found),
};

TEST_MAIN(tests)
