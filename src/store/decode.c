#include "store/decode.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#if defined(HAVE_LIBDEFLATE)
#include <libdeflate.h>
#elif defined(HAVE_ISAL)
#include <isa-l/igzip_lib.h>
#endif

#include "store/checksum.h"
#include "store/codec.h"

#define CHECKSUM_BYTES 4

struct memory {
    unsigned char *bytes;
    size_t capacity;
};

struct decoder {
    struct memory input, output, shuffled;
#if defined(HAVE_LIBDEFLATE)
    struct libdeflate_decompressor *decompressor;
#elif defined(HAVE_ISAL)
    struct inflate_state *state;
#endif
};

struct decoder *decoder_new(void)
{
    return calloc(1, sizeof(struct decoder));
}

void decoder_free(struct decoder *decoder)
{
    if (!decoder) return;
#if defined(HAVE_LIBDEFLATE)
    if (decoder->decompressor) libdeflate_free_decompressor(decoder->decompressor);
#elif defined(HAVE_ISAL)
    free(decoder->state);
#endif
    free(decoder->input.bytes);
    free(decoder->output.bytes);
    free(decoder->shuffled.bytes);
    free(decoder);
}

/* A little more than is asked for: the next compressed chunk is a little larger. */
static unsigned char *reserve(struct memory *memory, size_t bytes)
{
    if (memory->bytes && memory->capacity >= bytes) return memory->bytes;
    free(memory->bytes);
    bytes += bytes / 8 + 1;
    memory->bytes = malloc(bytes);
    memory->capacity = memory->bytes ? bytes : 0;
    return memory->bytes;
}

void *decoder_input(struct decoder *decoder, size_t size)
{
    return reserve(&decoder->input, size);
}

void *decoder_output(struct decoder *decoder, size_t size)
{
    return reserve(&decoder->output, size);
}

static trajlog_status no_memory(size_t bytes, struct error *error)
{
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory to decode a chunk of %zu bytes", bytes);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Shuffle
 * ------------------------------------------------------------------------------------------------------------------ */

static void unshuffle_any(const unsigned char *from, unsigned char *to, size_t first, size_t count, size_t element_size)
{
    for (size_t i = first; i < count; i++)
        for (size_t j = 0; j < element_size; j++) to[i * element_size + j] = from[j * count + i];
}

typedef unsigned char bytes16 __attribute__((vector_size(16)));
#define LOW_BYTES  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_BYTES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
/* GCC has had its own name for it up to version 11. */
#if defined(__clang__) || __GNUC__ >= 12
#define LOW(a, b)  __builtin_shufflevector(a, b, LOW_BYTES)
#define HIGH(a, b) __builtin_shufflevector(a, b, HIGH_BYTES)
#else
#define LOW(a, b)  __builtin_shuffle(a, b, (bytes16){LOW_BYTES})
#define HIGH(a, b) __builtin_shuffle(a, b, (bytes16){HIGH_BYTES})
#endif

/* Undoes what codec.c does bit by bit of a byte's place: the top bit goes back to the bottom, by interleaving the two
 * halves. */
static inline __attribute__((always_inline)) void unshuffle_16(const unsigned char *from, unsigned char *to,
                                                               size_t stride, int element_size)
{
    bytes16 now[8], next[8];
#pragma GCC unroll 8
    for (int j = 0; j < element_size; j++) memcpy(&now[j], from + (size_t)j * stride, 16);
#pragma GCC unroll 4
    for (int bit = 1; bit < element_size; bit *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < element_size / 2; i++) {
            next[2 * i] = LOW(now[i], now[i + element_size / 2]);
            next[2 * i + 1] = HIGH(now[i], now[i + element_size / 2]);
        }
#pragma GCC unroll 8
        for (int i = 0; i < element_size; i++) now[i] = next[i];
    }
    memcpy(to, now, 16 * (size_t)element_size);
}

static inline __attribute__((always_inline)) void unshuffle_vectors(const unsigned char *from, unsigned char *to,
                                                                    size_t count, int element_size)
{
    size_t whole = count & ~(size_t)15;
    for (size_t i = 0; i < whole; i += 16) unshuffle_16(from + i, to + i * (size_t)element_size, count, element_size);
    unshuffle_any(from, to, whole, count, (size_t)element_size);
}

void codec_unshuffle(const void *from, void *to, size_t bytes, size_t element_size)
{
    size_t count = bytes / element_size, shuffled = count * element_size;
    switch (element_size) {
    case 2:
        unshuffle_vectors(from, to, count, 2);
        break;
    case 4:
        unshuffle_vectors(from, to, count, 4);
        break;
    case 8:
        unshuffle_vectors(from, to, count, 8);
        break;
    default:
        unshuffle_any(from, to, 0, count, element_size);
        break;
    }
    if (bytes > shuffled)
        memcpy((unsigned char *)to + shuffled, (const unsigned char *)from + shuffled, bytes - shuffled);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Fletcher32
 * ------------------------------------------------------------------------------------------------------------------ */

/* HDF5 1.6.2 and older stored it with the bytes of each half exchanged, on most machines; libhdf5 accepts both. */
static uint32_t exchange_bytes(uint32_t sum)
{
    return (sum & 0x00ff00ff) << 8 | (sum >> 8 & 0x00ff00ff);
}

/* The checksum stands behind what it is of. */
static trajlog_status check_sum(const unsigned char *stored, size_t *size, struct error *error)
{
    if (*size < CHECKSUM_BYTES)
        return error_set(error, TRAJLOG_INVALID_FILE, 0, "%zu bytes are stored, too few for a checksum", *size);
    *size -= CHECKSUM_BYTES;
    uint32_t written = get_u32(stored + *size), found = codec_fletcher32(stored, *size);
    if (written == found || written == exchange_bytes(found)) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "the checksum is %08lx, and %08lx was written",
                     (unsigned long)found, (unsigned long)written);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Deflate: a zlib stream of exactly `bytes` bytes
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status damaged(int code, struct error *error)
{
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "the deflate stream is damaged (code %d)", code);
}

static trajlog_status wrong_length(size_t bytes, struct error *error)
{
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "the deflate stream is not of the chunk's %zu bytes", bytes);
}

#ifndef HAVE_LIBDEFLATE
static trajlog_status inflate_zlib(const unsigned char *stored, size_t size, unsigned char *to, size_t bytes,
                                   struct error *error)
{
    uLongf length = bytes;
    int result = uncompress(to, &length, stored, size);
    if (result == Z_MEM_ERROR) return no_memory(bytes, error);
    if (result == Z_BUF_ERROR || (result == Z_OK && length != bytes)) return wrong_length(bytes, error);
    return result == Z_OK ? TRAJLOG_OK : damaged(result, error);
}
#endif

/* Of the three, libdeflate was the fastest, by a third before ISA-L, with the streams of either. */
#if defined(HAVE_LIBDEFLATE)
static trajlog_status inflate_stream(struct decoder *decoder, const unsigned char *stored, size_t size,
                                     unsigned char *to, size_t bytes, struct error *error)
{
    if (!decoder->decompressor) decoder->decompressor = libdeflate_alloc_decompressor();
    if (!decoder->decompressor) return no_memory(bytes, error);
    size_t length = 0;
    int result = libdeflate_zlib_decompress(decoder->decompressor, stored, size, to, bytes, &length);
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE || (result == LIBDEFLATE_SUCCESS && length != bytes))
        return wrong_length(bytes, error);
    return result == LIBDEFLATE_SUCCESS ? TRAJLOG_OK : damaged(result, error);
}
#elif defined(HAVE_ISAL)
static trajlog_status inflate_stream(struct decoder *decoder, const unsigned char *stored, size_t size,
                                     unsigned char *to, size_t bytes, struct error *error)
{
    if (size > UINT32_MAX || bytes > UINT32_MAX) return inflate_zlib(stored, size, to, bytes, error);
    if (!decoder->state) decoder->state = malloc(sizeof *decoder->state);
    if (!decoder->state) return no_memory(bytes, error);
    struct inflate_state *state = decoder->state;
    isal_inflate_init(state);
    state->crc_flag = ISAL_ZLIB;
    state->next_in = (unsigned char *)stored; /* not written to */
    state->avail_in = (uint32_t)size;
    state->next_out = to;
    state->avail_out = (uint32_t)bytes;
    int result = isal_inflate_stateless(state);
    if (result == ISAL_OUT_OVERFLOW) return wrong_length(bytes, error);
    if (result != ISAL_DECOMP_OK || state->block_state != ISAL_BLOCK_FINISH) return damaged(result, error);
    return state->total_out == bytes ? TRAJLOG_OK : wrong_length(bytes, error);
}
#else
static trajlog_status inflate_stream(struct decoder *decoder, const unsigned char *stored, size_t size,
                                     unsigned char *to, size_t bytes, struct error *error)
{
    (void)decoder;
    return inflate_zlib(stored, size, to, bytes, error);
}
#endif

/* ---------------------------------------------------------------------------------------------------------------------
 * Chunks
 * ------------------------------------------------------------------------------------------------------------------ */

/* Which filters this chunk really went through. */
static struct decoding unmasked(const struct decoding *decoding, uint32_t mask)
{
    struct decoding done = *decoding;
    if (decoding->shuffle) done.shuffle = !(mask & 1), mask >>= 1;
    if (decoding->deflate) done.deflate = !(mask & 1), mask >>= 1;
    if (decoding->checksum) done.checksum = !(mask & 1);
    return done;
}

trajlog_status decoder_decode(struct decoder *decoder, const struct decoding *decoding, uint32_t mask,
                              const void *stored, size_t size, void *chunk, size_t bytes, struct error *error)
{
    const struct decoding done = unmasked(decoding, mask);
    const void *from = stored;
    if (done.checksum) TRY(check_sum(stored, &size, error));
    if (!done.deflate && size != bytes)
        return error_set(error, TRAJLOG_INVALID_FILE, 0, "%zu bytes are stored: expected the chunk's %zu", size, bytes);
    if (done.deflate) {
        unsigned char *to = done.shuffle ? reserve(&decoder->shuffled, bytes) : chunk;
        if (!to) return no_memory(bytes, error);
        TRY(inflate_stream(decoder, stored, size, to, bytes, error));
        from = to;
    }
    if (done.shuffle && done.element_size > 1) codec_unshuffle(from, chunk, bytes, done.element_size);
    else if (from != chunk) memcpy(chunk, from, bytes);
    return TRAJLOG_OK;
}
