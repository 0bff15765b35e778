/* Encoded chunks against libhdf5's own filters, in files that live in memory only. */
#include <hdf5.h>
#include <stdlib.h>
#include <zlib.h>

#include "harness.h"
#include "store/codec.h"
#include "store/deflate.h"
#include "store/shuffle.h"

static uint32_t random_state;

static unsigned char random_byte(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (unsigned char)(random_state >> 24);
}

enum content { ZERO, SMOOTH, RANDOM };

static unsigned char *make_chunk(size_t bytes, enum content content)
{
    unsigned char *chunk = calloc(1, bytes + 1);
    assert_non_null(chunk);
    random_state = 12345;
    for (size_t i = 0; i < bytes; i++) {
        if (content == SMOOTH) chunk[i] = (unsigned char)(i % 8 < 6 ? 40 + i % 8 : i / 800);
        if (content == RANDOM) chunk[i] = random_byte();
    }
    return chunk;
}

/* A dataset of one chunk of bytes with these filters. The element size is that of the datatype. */
struct one_chunk {
    hid_t file, type, dataset;
    struct encoding encoding;
};

static hid_t file_in_memory(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    assert_true(H5Pset_fapl_core(access, 1 << 16, false) >= 0);
    hid_t file = H5Fcreate("codec.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    assert_true(file >= 0);
    H5Pclose(access);
    return file;
}

static struct one_chunk make_one(struct encoding encoding, size_t bytes)
{
    struct one_chunk one = {.encoding = encoding, .file = file_in_memory()};
    hsize_t count = bytes / encoding.element_size;
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &count, NULL);
    one.type = H5Tcreate(H5T_OPAQUE, encoding.element_size);
    assert_true(H5Pset_chunk(creation, 1, &count) >= 0);
    if (encoding.level) assert_true(H5Pset_shuffle(creation) >= 0);
    if (encoding.level) assert_true(H5Pset_deflate(creation, (unsigned)encoding.level) >= 0);
    if (encoding.checksum) assert_true(H5Pset_fletcher32(creation) >= 0);
    one.dataset = H5Dcreate2(one.file, "x", one.type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    assert_true(one.dataset >= 0);
    H5Pclose(creation);
    H5Sclose(space);
    return one;
}

static void drop_one(struct one_chunk *one)
{
    H5Dclose(one->dataset);
    H5Tclose(one->type);
    H5Fclose(one->file);
}

static void expect_read_back(struct one_chunk *one, const struct encoded *encoded, const void *chunk, size_t bytes)
{
    hsize_t offset = 0;
    unsigned char *back = malloc(bytes);
    assert_non_null(back);
    assert_true(
        H5Dwrite_chunk(one->dataset, H5P_DEFAULT, encoded->filter_mask, &offset, encoded->size, encoded->bytes) >= 0);
    /* libhdf5 1.10 remembers the filter mask that it found before the write; a dataset opened anew has no memory. */
    H5Dclose(one->dataset);
    one->dataset = H5Dopen2(one->file, "x", H5P_DEFAULT);
    assert_true(H5Dread(one->dataset, one->type, H5S_ALL, H5S_ALL, H5P_DEFAULT, back) >= 0);
    assert_memory_equal(back, chunk, bytes);
    free(back);
}

static void check_combination(struct encoder *encoder, struct encoding encoding, size_t count, enum content content)
{
    struct encoded encoded;
    struct error error = {0};
    size_t bytes = count * encoding.element_size, checksum = encoding.checksum ? 4 : 0;
    unsigned char *chunk = make_chunk(bytes, content);
    assert_int_equal(encoder_encode(encoder, &encoding, chunk, bytes, &encoded, &error), TRAJLOG_OK);
    if (encoded.filter_mask == 0 && !encoding_is_plain(&encoding)) assert_int_not_equal(encoded.size, bytes);
    if (encoding.level && content == ZERO && bytes > 100) assert_true(encoded.size < bytes / 2);
    assert_true(encoded.size <= bytes + checksum);
    struct one_chunk one = make_one(encoding, bytes);
    expect_read_back(&one, &encoded, chunk, bytes);
    drop_one(&one);
    free(chunk);
}

static void every_combination_reads_back(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 4, 8, 16}, counts[] = {1, 2, 15, 16, 17, 1000, 40001};
    struct encoder *encoder = encoder_new();
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            for (int level = 0; level <= 9; level++)
                for (int variant = 0; variant < 6; variant++) {
                    struct encoding encoding = {.element_size = sizes[s], .level = level, .checksum = variant >= 3};
                    check_combination(encoder, encoding, counts[c], (enum content)(variant % 3));
                }
    encoder_free(encoder);
}

/* What libhdf5's own filters make of a chunk; returns the stored size, the bytes in `stored`. */
static size_t filter_with_hdf5(struct encoding encoding, const void *chunk, size_t bytes, unsigned char *stored)
{
    struct one_chunk one = make_one(encoding, bytes);
    hsize_t offset = 0, size = 0;
    uint32_t mask = 0;
    assert_true(H5Dwrite(one.dataset, one.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, chunk) >= 0);
    H5Dflush(one.dataset);
    assert_true(H5Dget_chunk_storage_size(one.dataset, &offset, &size) >= 0);
    assert_true(H5Dread_chunk(one.dataset, H5P_DEFAULT, &offset, &mask, stored) >= 0);
    assert_int_equal(mask, 0);
    drop_one(&one);
    return size;
}

static void the_checksum_is_hdf5s(void **state)
{
    const struct encoding encoding = {.element_size = 1, .checksum = true};
    struct encoder *encoder = encoder_new();
    (void)state;
    for (size_t bytes = 1; bytes < 200000; bytes = bytes * 3 / 2 + 1)
        for (int content = ZERO; content <= RANDOM; content++) {
            struct encoded encoded;
            unsigned char *chunk = make_chunk(bytes, (enum content)content), *stored = malloc(bytes + 4);
            if (content == RANDOM) memset(chunk, 0xff, bytes / 2); /* sums that are 0 modulo 65535 */
            assert_int_equal(filter_with_hdf5(encoding, chunk, bytes, stored), bytes + 4);
            assert_int_equal(encoder_encode(encoder, &encoding, chunk, bytes, &encoded, NULL), TRAJLOG_OK);
            assert_int_equal(encoded.size, bytes + 4);
            assert_memory_equal(encoded.bytes, stored, bytes + 4);
            free(stored);
            free(chunk);
        }
    encoder_free(encoder);
}

static void shuffle_puts_equal_bytes_together(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 17; size++)
        for (size_t bytes = size; bytes < 700; bytes += 13) {
            unsigned char *chunk = make_chunk(bytes, RANDOM), *shuffled = malloc(bytes);
            size_t count = bytes / size;
            shuffle_bytes(chunk, shuffled, bytes, size);
            for (size_t i = 0; i < bytes; i++) {
                size_t from = i < count * size ? i % count * size + i / count : i;
                assert_int_equal(shuffled[i], chunk[from]);
            }
            free(shuffled);
            free(chunk);
        }
}

/* Nothing to compare where the machine has no wider ones. */
static void vectors_of_all_widths_shuffle_alike(void **state)
{
    static const size_t sizes[] = {2, 4, 8};
    unsigned char *from = make_chunk(8 * 301 + 64, RANDOM), narrow[8 * 301 + 64], wide[sizeof narrow];
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t count = 0; count <= 300; count++) {
            size_t bytes = sizes[i] * count + count % sizes[i], offset = random_byte() % 64, other = random_byte() % 64;
            memset(narrow, 7, sizeof narrow);
            memset(wide, 7, sizeof wide);
            shuffle_bytes_with(VECTORS_ANYWHERE, from + offset, narrow + other, bytes, sizes[i]);
            shuffle_bytes_with(vectors_here(), from + offset, wide + other, bytes, sizes[i]);
            assert_memory_equal(wide, narrow, sizeof narrow);
        }
    free(from);
}

/* The stream is what zlib calls one, of exactly the shuffled bytes. */
static void streams_are_zlibs(void **state)
{
    struct encoder *encoder = encoder_new();
    size_t bytes = 100000;
    unsigned char *chunk = make_chunk(bytes, SMOOTH), *shuffled = malloc(bytes), *back = malloc(bytes);
    (void)state;
    shuffle_bytes(chunk, shuffled, bytes, 4);
    for (int level = 1; level <= 9; level++) {
        const struct encoding encoding = {.element_size = 4, .level = level};
        struct encoded encoded;
        uLongf length = bytes;
        assert_int_equal(encoder_encode(encoder, &encoding, chunk, bytes, &encoded, NULL), TRAJLOG_OK);
        assert_int_equal(encoded.filter_mask, 0);
        assert_int_equal(uncompress(back, &length, encoded.bytes, encoded.size), Z_OK);
        assert_int_equal(length, bytes);
        assert_memory_equal(back, shuffled, bytes);
    }
    free(back);
    free(shuffled);
    free(chunk);
    encoder_free(encoder);
}

static void what_does_not_shrink_stays_as_it_is(void **state)
{
    struct encoder *encoder = encoder_new();
    unsigned char *chunk = make_chunk(5000, RANDOM);
    struct encoded encoded;
    (void)state;
    assert_int_equal(encoder_encode(encoder, &(struct encoding){.element_size = 8, .level = 1, .checksum = false},
                                    chunk, 5000, &encoded, NULL),
                     TRAJLOG_OK);
    assert_ptr_equal(encoded.bytes, chunk);
    assert_int_equal(encoded.size, 5000);
    assert_int_equal(encoded.filter_mask, 3);
    assert_int_equal(encoder_encode(encoder, &(struct encoding){.element_size = 8, .level = 1, .checksum = true}, chunk,
                                    5000, &encoded, NULL),
                     TRAJLOG_OK);
    assert_int_equal(encoded.size, 5004);
    assert_int_equal(encoded.filter_mask, 3);
    free(chunk);
    encoder_free(encoder);
}

/* Like rounded positions: of each number, a byte of zeros, one of 48 values, noise, and one of four values. */
static unsigned char *make_mixed(size_t count)
{
    unsigned char *chunk = make_chunk(4 * count, RANDOM);
    for (size_t i = 0; i < count; i++) {
        chunk[4 * i] = 0;
        chunk[4 * i + 1] %= 48;
        chunk[4 * i + 3] %= 4;
    }
    return chunk;
}

static size_t encoded_size(struct encoding encoding, const unsigned char *chunk, size_t bytes)
{
    struct encoder *encoder = encoder_new();
    struct encoded encoded;
    unsigned char *shuffled = malloc(bytes), *back = malloc(bytes);
    uLongf length = bytes;
    shuffle_bytes(chunk, shuffled, bytes, encoding.element_size);
    assert_int_equal(encoder_encode(encoder, &encoding, chunk, bytes, &encoded, NULL), TRAJLOG_OK);
    assert_int_equal(encoded.filter_mask, 0);
    assert_int_equal(uncompress(back, &length, encoded.bytes, encoded.size), Z_OK);
    assert_int_equal(length, bytes);
    assert_memory_equal(back, shuffled, bytes);
    size_t size = encoded.size;
    free(back);
    free(shuffled);
    encoder_free(encoder);
    return size;
}

/* log2(48) is 5.58, log2(4) is 2; no code that serves all the bytes gets there. */
static void each_plane_has_a_code_of_its_own(void **state)
{
    const size_t count = 100000;
    unsigned char *chunk = make_mixed(count);
    (void)state;
    for (int level = 1; level <= 3; level++) {
        size_t size = encoded_size((struct encoding){.element_size = 4, .level = level}, chunk, 4 * count);
        if (strcmp(deflate_backend(level), "isa-l") != 0) continue;
        assert_in_range(size, 1, (size_t)(1.05 * (5.58 + 8 + 2) / 8 * (double)count));
    }
    free(chunk);
}

/* Rows of noise, all of them the same: only a search that goes back by a row finds it. */
static void rows_that_do_not_change_shrink(void **state)
{
    const size_t row = 8000, rows = 20;
    unsigned char *chunk = make_chunk(4 * row * rows, RANDOM);
    (void)state;
    for (size_t i = 1; i < rows; i++) memcpy(chunk + 4 * row * i, chunk, 4 * row);
    for (int level = 1; level <= 9; level++) {
        const struct encoding encoding = {.element_size = 4, .level = level, .row_bytes = 4 * row};
        assert_in_range(encoded_size(encoding, chunk, 4 * row * rows), 1, 4 * row * rows / 10);
    }
    free(chunk);
}

/* Noise, and text that repeats itself within the sample. */
static void repeats_are_found_where_there_are_some(void **state)
{
    const size_t bytes = 200000;
    unsigned char *chunk = make_chunk(bytes, RANDOM);
    (void)state;
    for (size_t i = 300; i < bytes; i++) chunk[i] = chunk[i - 300];
    for (int level = 1; level <= 9; level++)
        assert_in_range(encoded_size((struct encoding){.element_size = 1, .level = level}, chunk, bytes), 1,
                        bytes / 10);
    free(chunk);
}

static void masks_name_every_filter(void **state)
{
    (void)state;
    assert_int_equal(encoding_mask_all(&(struct encoding){.element_size = 8, .level = 0, .checksum = false}), 0);
    assert_int_equal(encoding_mask_all(&(struct encoding){.element_size = 8, .level = 0, .checksum = true}), 1);
    assert_int_equal(encoding_mask_all(&(struct encoding){.element_size = 8, .level = 5, .checksum = false}), 3);
    assert_int_equal(encoding_mask_all(&(struct encoding){.element_size = 8, .level = 5, .checksum = true}), 7);
    assert_true(encoding_is_plain(&(struct encoding){.element_size = 8, .level = 0, .checksum = false}));
    assert_false(encoding_is_plain(&(struct encoding){.element_size = 8, .level = 0, .checksum = true}));
}

static void backends_have_names(void **state)
{
    (void)state;
    for (int level = 1; level <= 9; level++) assert_true(strlen(deflate_backend(level)) > 0);
    encoder_free(NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_combination_reads_back),
    cmocka_unit_test(the_checksum_is_hdf5s),
    cmocka_unit_test(shuffle_puts_equal_bytes_together),
    cmocka_unit_test(vectors_of_all_widths_shuffle_alike),
    cmocka_unit_test(streams_are_zlibs),
    cmocka_unit_test(what_does_not_shrink_stays_as_it_is),
    cmocka_unit_test(each_plane_has_a_code_of_its_own),
    cmocka_unit_test(rows_that_do_not_change_shrink),
    cmocka_unit_test(repeats_are_found_where_there_are_some),
    cmocka_unit_test(masks_name_every_filter),
    cmocka_unit_test(backends_have_names),
};

TEST_MAIN(tests)
