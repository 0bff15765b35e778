/* Blocks of literals, against zlib's inflate; and the codes that they are made with. */
#include <math.h>
#include <stdlib.h>
#include <zlib.h>

#include "harness.h"
#include "store/huffman.h"
#include "store/literals.h"

#define MOST_BYTES 70000
#define ROOM       (2 * MOST_BYTES)
#define SYMBOLS    257

static uint32_t random_state;

static uint32_t random_number(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

/* The sum of 2^-length, as a multiple of 2^-HUFFMAN_MOST_BITS. */
static int sum_of_codes(const uint8_t *length, int symbols)
{
    int sum = 0;
    for (int i = 0; i < symbols; i++) {
        assert_in_range(length[i], 1, HUFFMAN_MOST_BITS);
        sum += 1 << (HUFFMAN_MOST_BITS - length[i]);
    }
    return sum;
}

static void codes_use_all_that_there_is(void **state)
{
    uint32_t count[SYMBOLS];
    uint8_t length[SYMBOLS];
    (void)state;
    for (int shape = 0; shape < 60; shape++) {
        int symbols = shape < 20 ? 2 + shape : SYMBOLS - shape % 3;
        random_state = (uint32_t)shape;
        for (int i = 0; i < symbols; i++) count[i] = 1 + (random_number() >> (shape + i % 7) % 24) / 4;
        huffman_lengths(count, symbols, length);
        assert_int_equal(sum_of_codes(length, symbols), 1 << HUFFMAN_MOST_BITS);
        for (int i = 1; i < symbols; i++)
            if (count[i] > count[i - 1]) assert_true(length[i] <= length[i - 1]);
    }
}

/* Fibonacci's numbers make the deepest tree. */
static void codes_are_not_too_long(void **state)
{
    uint32_t count[30] = {1, 1};
    uint8_t length[30];
    (void)state;
    for (int i = 2; i < 30; i++) count[i] = count[i - 1] + count[i - 2];
    huffman_lengths(count, 30, length);
    assert_int_equal(sum_of_codes(length, 30), 1 << HUFFMAN_MOST_BITS);
    assert_int_equal(length[29], 1);
    assert_int_equal(length[0], HUFFMAN_MOST_BITS);
}

static void no_code_begins_another(void **state)
{
    const uint32_t count[] = {5, 1, 1, 9, 3, 3, 2};
    uint8_t length[7];
    uint32_t code[7];
    (void)state;
    huffman_lengths(count, 7, length);
    huffman_codes(length, 7, code);
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < 7; k++) {
            assert_int_equal(code[i] & 0xff, length[i]);
            if (i == k || length[k] < length[i]) continue;
            assert_int_not_equal(code[i] >> 8, code[k] >> 8 & ((1u << length[i]) - 1));
        }
    assert_int_equal(huffman_reversed(0x0b, 5), 0x1a);
}

enum content { EQUAL, SKEWED, NOISE, LATE, CONTENTS };

static unsigned char *make_bytes(size_t bytes, enum content content)
{
    unsigned char *made = malloc(bytes + 1);
    assert_non_null(made);
    random_state = 777;
    for (size_t i = 0; i < bytes; i++) {
        uint32_t number = random_number();
        made[i] = 200;
        if (content == SKEWED) made[i] = (unsigned char)(number & number >> 8 & 0xf8);
        if (content == NOISE) made[i] = (unsigned char)number;
        if (content == LATE && i > bytes / 2) made[i] = (unsigned char)number; /* many that no sample has */
    }
    return made;
}

static void expect_back(const unsigned char *block, size_t size, const unsigned char *from, size_t bytes)
{
    unsigned char *back = malloc(bytes + 1);
    z_stream stream = {.next_in = (unsigned char *)block, .avail_in = (unsigned)size};
    assert_non_null(back);
    stream.next_out = back;
    stream.avail_out = (unsigned)bytes + 1;
    assert_int_equal(inflateInit2(&stream, -15), Z_OK);
    assert_int_equal(inflate(&stream, Z_SYNC_FLUSH), Z_OK); /* there may be more blocks */
    assert_int_equal(stream.avail_in, 0);
    assert_int_equal(stream.total_out, bytes);
    assert_memory_equal(back, from, bytes);
    inflateEnd(&stream);
    free(back);
}

static void blocks_are_read_by_zlib(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 255, 256, 257, 1023, 1024, 1025, 4099, 65536, MOST_BYTES};
    unsigned char *block = malloc(ROOM);
    (void)state;
    assert_non_null(block);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (enum content content = 0; content < CONTENTS; content++) {
            unsigned char *from = make_bytes(sizes[s], content);
            size_t size = literals_write(from, sizes[s], block, ROOM);
            assert_true(size > 0);
            expect_back(block, size, from, sizes[s]);
            free(from);
        }
    free(block);
}

/* Any number of bytes, any number of values, and as rare as one likes. */
static void random_blocks_are_read_by_zlib(void **state)
{
    unsigned char *from = malloc(MOST_BYTES), *block = malloc(ROOM);
    (void)state;
    assert_true(from != NULL && block != NULL);
    for (uint32_t seed = 1; seed <= 200; seed++) {
        random_state = seed;
        size_t bytes = random_number() % (seed % 4 == 0 ? 300 : 20000);
        uint32_t values = 1 + random_number() % 256, rarity = 1 + random_number() % 1000;
        for (size_t i = 0; i < bytes; i++)
            from[i] = (unsigned char)(random_number() % rarity == 0 ? random_number() % values : values / 2);
        size_t size = literals_write(from, bytes, block, ROOM);
        assert_true(size > 0);
        expect_back(block, size, from, bytes);
    }
    free(from);
    free(block);
}

/* Within two hundredths of the entropy. */
static void blocks_are_small(void **state)
{
    unsigned char *from = make_bytes(65536, SKEWED), *block = malloc(ROOM);
    double count[256] = {0}, bits = 0;
    (void)state;
    assert_non_null(block);
    for (size_t i = 0; i < 65536; i++) count[from[i]]++;
    for (int i = 0; i < 256; i++)
        if (count[i] > 0) bits += count[i] * log2(65536 / count[i]);
    assert_true((double)literals_write(from, 65536, block, ROOM) < 1.02 * bits / 8 + 200);
    free(from);
    free(block);
}

/* What lies behind the room must be left alone: the sanitizer looks. */
static void a_block_stays_in_its_room(void **state)
{
    unsigned char *from = make_bytes(5000, LATE);
    (void)state;
    for (size_t room = 0; room < 12000; room += 37) {
        unsigned char *block = malloc(room + 1);
        assert_non_null(block);
        block[room] = 99;
        size_t size = literals_write(from, 5000, block, room);
        assert_true(size <= room);
        assert_int_equal(block[room], 99);
        if (room > 11000) assert_true(size > 0);
        if (size > 0) expect_back(block, size, from, 5000);
        free(block);
    }
    free(from);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(codes_use_all_that_there_is),    cmocka_unit_test(codes_are_not_too_long),
    cmocka_unit_test(no_code_begins_another),         cmocka_unit_test(blocks_are_read_by_zlib),
    cmocka_unit_test(random_blocks_are_read_by_zlib), cmocka_unit_test(blocks_are_small),
    cmocka_unit_test(a_block_stays_in_its_room),
};

TEST_MAIN(tests)
