#include "store/codec.h"

#include <stdlib.h>
#include <string.h>

#include "store/deflate.h"

#define CHECKSUM_BYTES 4

struct encoder {
    unsigned char *shuffled, *output; /* `capacity` bytes each, and room for a checksum */
    size_t capacity;
    struct deflater *deflater; /* made when it is needed first */
};

/* ---------------------------------------------------------------------------------------------------------------------
 * Encodings
 * ------------------------------------------------------------------------------------------------------------------ */

static unsigned filter_count(const struct encoding *encoding)
{
    return (encoding->level > 0 ? 2u : 0u) + (encoding->checksum ? 1u : 0u);
}

uint32_t encoding_mask_all(const struct encoding *encoding)
{
    return (1u << filter_count(encoding)) - 1u;
}

bool encoding_is_plain(const struct encoding *encoding)
{
    return filter_count(encoding) == 0;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Shuffle
 * ------------------------------------------------------------------------------------------------------------------ */

static void shuffle_any(const unsigned char *from, unsigned char *to, size_t first, size_t count, size_t element_size)
{
    for (size_t j = 0; j < element_size; j++)
        for (size_t i = first; i < count; i++) to[j * count + i] = from[i * element_size + j];
}

typedef unsigned char bytes16 __attribute__((vector_size(16)));
#define EVEN_BYTES 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD_BYTES  1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
/* GCC has had its own name for it up to version 11. */
#if defined(__clang__) || __GNUC__ >= 12
#define EVEN(a, b) __builtin_shufflevector(a, b, EVEN_BYTES)
#define ODD(a, b)  __builtin_shufflevector(a, b, ODD_BYTES)
#else
#define EVEN(a, b) __builtin_shuffle(a, b, (bytes16){EVEN_BYTES})
#define ODD(a, b)  __builtin_shuffle(a, b, (bytes16){ODD_BYTES})
#endif

/* A byte's place in 16 elements of 2^k bytes is the number (element, byte), four bits and k. Taking the even bytes of
 * all, then the odd ones, moves that number's lowest bit to the top; k times that gives (byte, element). */
static inline __attribute__((always_inline)) void shuffle_16(const unsigned char *from, unsigned char *to,
                                                             size_t stride, int element_size)
{
    bytes16 now[8], next[8];
    memcpy(now, from, 16 * (size_t)element_size);
#pragma GCC unroll 4
    for (int bit = 1; bit < element_size; bit *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < element_size / 2; i++) {
            next[i] = EVEN(now[2 * i], now[2 * i + 1]);
            next[i + element_size / 2] = ODD(now[2 * i], now[2 * i + 1]);
        }
#pragma GCC unroll 8
        for (int i = 0; i < element_size; i++) now[i] = next[i];
    }
#pragma GCC unroll 8
    for (int j = 0; j < element_size; j++) memcpy(to + (size_t)j * stride, &now[j], 16);
}

static inline __attribute__((always_inline)) void shuffle_vectors(const unsigned char *from, unsigned char *to,
                                                                  size_t count, int element_size)
{
    size_t whole = count & ~(size_t)15;
    for (size_t i = 0; i < whole; i += 16) shuffle_16(from + i * (size_t)element_size, to + i, count, element_size);
    shuffle_any(from, to, whole, count, (size_t)element_size);
}

void codec_shuffle(const void *from, void *to, size_t bytes, size_t element_size)
{
    size_t count = bytes / element_size, shuffled = count * element_size;
    switch (element_size) {
    case 2:
        shuffle_vectors(from, to, count, 2);
        break;
    case 4:
        shuffle_vectors(from, to, count, 4);
        break;
    case 8:
        shuffle_vectors(from, to, count, 8);
        break;
    default:
        shuffle_any(from, to, 0, count, element_size);
        break;
    }
    if (bytes > shuffled)
        memcpy((unsigned char *)to + shuffled, (const unsigned char *)from + shuffled, bytes - shuffled);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Fletcher32
 * ------------------------------------------------------------------------------------------------------------------ */

static uint32_t fold(uint32_t sum)
{
    return (sum & 0xffff) + (sum >> 16);
}

/* As libhdf5's filter: 16-bit words, high byte first, a last odd byte as the high one. The sums are taken modulo 65535
 * every 360 words, before they can overflow; when they are does not change the result. */
uint32_t codec_fletcher32(const void *data, size_t bytes)
{
    const unsigned char *at = data;
    uint32_t sum1 = 0, sum2 = 0;
    for (size_t words = bytes / 2; words > 0;) {
        size_t block = words < 360 ? words : 360;
        words -= block;
        for (; block > 0; block--, at += 2) {
            sum1 += (uint32_t)at[0] << 8 | at[1];
            sum2 += sum1;
        }
        sum1 = fold(sum1);
        sum2 = fold(sum2);
    }
    if (bytes % 2) {
        sum1 = fold(sum1 + ((uint32_t)*at << 8));
        sum2 = fold(sum2 + sum1);
    }
    return fold(sum2) << 16 | fold(sum1);
}

static void append_checksum(unsigned char *data, size_t bytes)
{
    uint32_t sum = codec_fletcher32(data, bytes);
    for (int i = 0; i < CHECKSUM_BYTES; i++) data[bytes + (size_t)i] = (unsigned char)(sum >> (8 * i));
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Encoders
 * ------------------------------------------------------------------------------------------------------------------ */

struct encoder *encoder_new(void)
{
    return calloc(1, sizeof(struct encoder));
}

void encoder_free(struct encoder *encoder)
{
    if (!encoder) return;
    deflater_free(encoder->deflater);
    free(encoder->shuffled);
    free(encoder->output);
    free(encoder);
}

static trajlog_status reserve(struct encoder *encoder, size_t bytes, struct error *error)
{
    if (encoder->capacity >= bytes) return TRAJLOG_OK;
    free(encoder->shuffled);
    free(encoder->output);
    encoder->shuffled = malloc(bytes);
    encoder->output = malloc(bytes + CHECKSUM_BYTES);
    encoder->capacity = encoder->shuffled && encoder->output ? bytes : 0;
    if (encoder->capacity > 0) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory to encode a chunk of %zu bytes", bytes);
}

/* Leaves the stream in encoder->output; *size is 0 if it does not pay. */
static trajlog_status compress_chunk(struct encoder *encoder, const struct encoding *encoding, const void *chunk,
                                     size_t bytes, size_t *size, struct error *error)
{
    const size_t element_size = encoding->element_size, count = bytes / element_size;
    struct planes planes = {chunk, count, element_size, encoding->row_bytes / element_size};
    size_t checksum = encoding->checksum ? CHECKSUM_BYTES : 0;
    if (element_size > 1) {
        codec_shuffle(chunk, encoder->shuffled, bytes, element_size);
        planes.bytes = encoder->shuffled;
    }
    if (!encoder->deflater) encoder->deflater = deflater_new();
    if (!encoder->deflater) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a compressor");
    TRY(deflater_deflate(encoder->deflater, encoding->level, &planes, encoder->output, size, error));
    if (*size + checksum >= bytes) *size = 0;
    return TRAJLOG_OK;
}

trajlog_status encoder_encode(struct encoder *encoder, const struct encoding *encoding, const void *chunk, size_t bytes,
                              struct encoded *encoded, struct error *error)
{
    size_t size = 0;
    *encoded = (struct encoded){.bytes = chunk, .size = bytes};
    if (encoding_is_plain(encoding)) return TRAJLOG_OK;
    TRY(reserve(encoder, bytes, error));
    if (encoding->level > 0) {
        TRY(compress_chunk(encoder, encoding, chunk, bytes, &size, error));
        if (size == 0) encoded->filter_mask = 3; /* without shuffle and deflate */
    }
    if (size == 0 && !encoding->checksum) return TRAJLOG_OK; /* as it is */
    if (size == 0) {
        memcpy(encoder->output, chunk, bytes);
        size = bytes;
    }
    if (encoding->checksum) append_checksum(encoder->output, size);
    encoded->bytes = encoder->output;
    encoded->size = size + (encoding->checksum ? CHECKSUM_BYTES : 0);
    return TRAJLOG_OK;
}
