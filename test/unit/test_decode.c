/* Decoding against the encoder and against libhdf5's own filters; and streams that are damaged, beside a page that must
 * not be touched. */
#include <hdf5.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "harness.h"
#include "store/codec.h"
#include "store/decode.h"
#include "store/shuffle.h"

static uint32_t random_state;

static unsigned char random_byte(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (unsigned char)(random_state >> 24);
}

/* Half of it compresses. */
static unsigned char *make_chunk(size_t bytes)
{
    unsigned char *chunk = malloc(bytes + 1);
    assert_non_null(chunk);
    random_state = 77;
    for (size_t i = 0; i < bytes; i++) chunk[i] = i % 4 < 2 ? random_byte() : (unsigned char)(i / 512);
    return chunk;
}

/* `bytes` bytes whose last one is the last of a page; the next page must not be touched. */
struct fence {
    unsigned char *region, *bytes;
    size_t size;
};

static struct fence fence_make(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + page - 1) / page * page;
    struct fence fence = {.size = room + page};
    fence.region = mmap(NULL, fence.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(fence.region != MAP_FAILED);
    assert_int_equal(mprotect(fence.region + room, page, PROT_NONE), 0);
    fence.bytes = fence.region + room - bytes;
    return fence;
}

static void fence_free(struct fence *fence)
{
    munmap(fence->region, fence->size);
}

static struct decoding decoding_of(const struct encoding *encoding)
{
    return (struct decoding){encoding->level > 0, encoding->level > 0, encoding->checksum, encoding->element_size};
}

static void expect_same(struct encoder *encoder, struct decoder *decoder, const struct encoding *encoding, size_t bytes)
{
    unsigned char *chunk = make_chunk(bytes);
    struct fence back = fence_make(bytes);
    struct encoded encoded;
    const struct decoding decoding = decoding_of(encoding);
    assert_int_equal(encoder_encode(encoder, encoding, chunk, bytes, &encoded, NULL), TRAJLOG_OK);
    assert_int_equal(
        decoder_decode(decoder, &decoding, encoded.filter_mask, encoded.bytes, encoded.size, back.bytes, bytes, NULL),
        TRAJLOG_OK);
    assert_memory_equal(back.bytes, chunk, bytes);
    fence_free(&back);
    free(chunk);
}

static void what_was_encoded_comes_back(void **state)
{
    static const size_t element_sizes[] = {1, 2, 3, 4, 8, 16, 5}, counts[] = {1, 2, 15, 16, 17, 1000, 40001};
    struct encoder *encoder = encoder_new();
    struct decoder *decoder = decoder_new();
    (void)state;
    for (size_t i = 0; i < sizeof element_sizes / sizeof *element_sizes; i++) {
        for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) {
            for (int level = 0; level <= 6; level += 3) {
                for (int checksum = 0; checksum < 2; checksum++) {
                    struct encoding encoding = {.element_size = element_sizes[i], .level = level, .checksum = checksum};
                    expect_same(encoder, decoder, &encoding, element_sizes[i] * counts[j]);
                }
            }
        }
    }
    encoder_free(encoder);
    decoder_free(decoder);
}

static void unshuffling_undoes_shuffling(void **state)
{
    (void)state;
    for (size_t element_size = 1; element_size <= 17; element_size++) {
        for (size_t bytes = 0; bytes < 700; bytes += 13) {
            unsigned char *chunk = make_chunk(bytes), *shuffled = malloc(bytes + 1), *back = malloc(bytes + 1);
            shuffle_bytes(chunk, shuffled, bytes, element_size);
            codec_unshuffle(shuffled, back, bytes, element_size);
            assert_memory_equal(back, chunk, bytes);
            free(chunk), free(shuffled), free(back);
        }
    }
}

/* A dataset of one chunk that libhdf5 has filtered; returns the chunk as it is stored. */
static unsigned char *store_by_libhdf5(const struct decoding *filters, const void *chunk, hsize_t count, hsize_t *size)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_fapl_core(access, 1 << 16, false) >= 0 && H5Pset_chunk(creation, 1, &count) >= 0);
    hid_t file = H5Fcreate("decode.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access), space = H5Screate_simple(1, &count, NULL);
    if (filters->shuffle) assert_true(H5Pset_shuffle(creation) >= 0);
    if (filters->deflate) assert_true(H5Pset_deflate(creation, 4) >= 0);
    if (filters->checksum) assert_true(H5Pset_fletcher32(creation) >= 0);
    hid_t dataset = H5Dcreate2(file, "x", H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    assert_true(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, chunk) >= 0);
    assert_true(H5Fflush(file, H5F_SCOPE_GLOBAL) >= 0);
    hsize_t offset = 0;
    uint32_t mask = 0;
    assert_true(H5Dget_chunk_storage_size(dataset, &offset, size) >= 0);
    unsigned char *stored = malloc(*size);
    assert_true(H5Dread_chunk(dataset, H5P_DEFAULT, &offset, &mask, stored) >= 0 && mask == 0);
    H5Dclose(dataset), H5Sclose(space), H5Fclose(file), H5Pclose(creation), H5Pclose(access);
    return stored;
}

static void libhdf5s_chunks_are_decoded(void **state)
{
    enum { COUNT = 3001 };
    const size_t bytes = COUNT * sizeof(double);
    unsigned char *chunk = make_chunk(bytes), *back = malloc(bytes);
    struct decoder *decoder = decoder_new();
    (void)state;
    for (int which = 1; which < 8; which++) {
        struct decoding filters = {which & 1, which & 2, which & 4, sizeof(double)};
        hsize_t size;
        unsigned char *stored = store_by_libhdf5(&filters, chunk, COUNT, &size);
        memset(back, 0, bytes);
        assert_int_equal(decoder_decode(decoder, &filters, 0, stored, size, back, bytes, NULL), TRAJLOG_OK);
        assert_memory_equal(back, chunk, bytes);
        free(stored);
    }
    decoder_free(decoder);
    free(chunk), free(back);
}

static void masked_filters_are_left_out(void **state)
{
    enum { BYTES = 4096 };
    unsigned char *chunk = make_chunk(BYTES), shuffled[BYTES], back[BYTES];
    struct decoder *decoder = decoder_new();
    struct decoding all = {true, true, true, 4};
    (void)state;
    shuffle_bytes(chunk, shuffled, BYTES, 4);
    assert_int_equal(decoder_decode(decoder, &all, 7, chunk, BYTES, back, BYTES, NULL), TRAJLOG_OK);
    assert_memory_equal(back, chunk, BYTES);
    assert_int_equal(decoder_decode(decoder, &all, 6, shuffled, BYTES, back, BYTES, NULL), TRAJLOG_OK);
    assert_memory_equal(back, chunk, BYTES);
    /* The third filter of all is the second where there is no shuffle. */
    struct decoding two = {false, true, true, 4};
    assert_int_equal(decoder_decode(decoder, &two, 3, chunk, BYTES, back, BYTES, NULL), TRAJLOG_OK);
    assert_memory_equal(back, chunk, BYTES);
    decoder_free(decoder);
    free(chunk);
}

static void checksums_are_checked(void **state)
{
    enum { BYTES = 1000 };
    unsigned char *chunk = make_chunk(BYTES), back[BYTES];
    struct encoder *encoder = encoder_new();
    struct decoder *decoder = decoder_new();
    struct encoding encoding = {.element_size = 8, .checksum = true};
    struct decoding decoding = decoding_of(&encoding);
    struct encoded encoded;
    struct error error = {0};
    (void)state;
    assert_int_equal(encoder_encode(encoder, &encoding, chunk, BYTES, &encoded, NULL), TRAJLOG_OK);
    unsigned char *stored = (unsigned char *)encoded.bytes;
    stored[500] ^= 16;
    assert_int_equal(decoder_decode(decoder, &decoding, 0, stored, encoded.size, back, BYTES, &error),
                     TRAJLOG_INVALID_FILE);
    assert_non_null(strstr(error.message, "checksum"));
    stored[500] ^= 16;
    /* As HDF5 1.6.2 wrote it. */
    for (int i = 0; i < 4; i += 2) {
        unsigned char kept = stored[BYTES + i];
        stored[BYTES + i] = stored[BYTES + i + 1];
        stored[BYTES + i + 1] = kept;
    }
    assert_int_equal(decoder_decode(decoder, &decoding, 0, stored, encoded.size, back, BYTES, NULL), TRAJLOG_OK);
    assert_int_equal(decoder_decode(decoder, &decoding, 0, stored, 3, back, BYTES, NULL), TRAJLOG_INVALID_FILE);
    encoder_free(encoder);
    decoder_free(decoder);
    free(chunk);
}

/* Every bit of a stream flipped, and every length of it: the same chunk or an error, and nothing beyond the chunk. */
static void damaged_streams_are_errors(void **state)
{
    enum { BYTES = 600 };
    unsigned char *chunk = make_chunk(BYTES), stored[2 * BYTES];
    struct decoder *decoder = decoder_new();
    struct decoding decoding = {false, true, false, 1};
    struct fence back = fence_make(BYTES);
    uLongf size = sizeof stored;
    int errors = 0;
    (void)state;
    assert_int_equal(compress2(stored, &size, chunk, BYTES, 6), Z_OK);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        stored[bit / 8] ^= (unsigned char)(1u << bit % 8);
        trajlog_status status = decoder_decode(decoder, &decoding, 0, stored, size, back.bytes, BYTES, NULL);
        if (status == TRAJLOG_OK) assert_memory_equal(back.bytes, chunk, BYTES);
        else assert_int_equal(status, TRAJLOG_INVALID_FILE);
        errors += status != TRAJLOG_OK;
        stored[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_true(errors > (int)(7 * size)); /* a bit or two of a header say nothing */
    for (size_t length = 0; length < size; length++)
        assert_int_equal(decoder_decode(decoder, &decoding, 0, stored, length, back.bytes, BYTES, NULL),
                         TRAJLOG_INVALID_FILE);
    assert_int_equal(decoder_decode(decoder, &decoding, 0, stored, size, back.bytes, BYTES, NULL), TRAJLOG_OK);
    fence_free(&back);
    decoder_free(decoder);
    free(chunk);
}

static void a_chunk_of_another_length_is_an_error(void **state)
{
    enum { BYTES = 5000 };
    unsigned char *chunk = make_chunk(BYTES), stored[2 * BYTES];
    struct decoder *decoder = decoder_new();
    struct decoding decoding = {true, true, false, 4};
    uLongf size = sizeof stored;
    (void)state;
    assert_int_equal(compress2(stored, &size, chunk, BYTES, 1), Z_OK);
    for (size_t bytes = BYTES - 8; bytes <= BYTES + 8; bytes += 4) {
        struct fence back = fence_make(bytes);
        struct error error = {0};
        trajlog_status status = decoder_decode(decoder, &decoding, 0, stored, size, back.bytes, bytes, &error);
        assert_int_equal(status, bytes == BYTES ? TRAJLOG_OK : TRAJLOG_INVALID_FILE);
        if (bytes != BYTES) assert_non_null(strstr(error.message, "not of the chunk's"));
        fence_free(&back);
    }
    struct decoding plain = {false, false, false, 4};
    assert_int_equal(decoder_decode(decoder, &plain, 0, stored, 10, stored + 100, 12, NULL), TRAJLOG_INVALID_FILE);
    decoder_free(decoder);
    decoder_free(NULL);
    free(chunk);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_was_encoded_comes_back),
    cmocka_unit_test(unshuffling_undoes_shuffling),
    cmocka_unit_test(libhdf5s_chunks_are_decoded),
    cmocka_unit_test(masked_filters_are_left_out),
    cmocka_unit_test(checksums_are_checked),
    cmocka_unit_test(damaged_streams_are_errors),
    cmocka_unit_test(a_chunk_of_another_length_is_an_error),
};

TEST_MAIN(tests)
