#include "store/codec.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#ifdef HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif
#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

#define CHECKSUM_BYTES 4

struct encoder {
    unsigned char *shuffled, *output; /* `capacity` bytes each, and room for a checksum */
    size_t capacity;
#ifdef HAVE_ISAL
    struct isal_zstream *stream;
    unsigned char *level_memory; /* of the size that ISA-L's highest level wants */
#endif
#ifdef HAVE_LIBDEFLATE
    struct libdeflate_compressor *compressor;
    int compressor_level;
#endif
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
 * Deflate
 * ------------------------------------------------------------------------------------------------------------------ */

/* ISA-L's levels end at 3, about zlib's 3 in size; who asks for more wants the smaller streams of the others. */
#define MOST_ISAL_LEVEL 3

const char *codec_backend(int level)
{
#ifdef HAVE_ISAL
    if (level <= MOST_ISAL_LEVEL) return "isa-l";
#endif
    (void)level;
#ifdef HAVE_LIBDEFLATE
    return "libdeflate";
#else
    return "zlib";
#endif
}

#ifdef HAVE_ISAL
static trajlog_status prepare_isal(struct encoder *encoder, struct error *error)
{
    if (!encoder->stream) encoder->stream = malloc(sizeof *encoder->stream);
    if (!encoder->level_memory) encoder->level_memory = malloc(ISAL_DEF_LVL3_DEFAULT);
    if (encoder->stream && encoder->level_memory) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a compressor");
}

static trajlog_status deflate_isal(struct encoder *encoder, int level, const unsigned char *from, size_t bytes,
                                   size_t *size, struct error *error)
{
    TRY(prepare_isal(encoder, error));
    struct isal_zstream *stream = encoder->stream;
    isal_deflate_init(stream);
    stream->level = (uint32_t)level;
    stream->level_buf = encoder->level_memory;
    stream->level_buf_size = ISAL_DEF_LVL3_DEFAULT;
    stream->gzip_flag = IGZIP_ZLIB;
    stream->end_of_stream = 1;
    stream->next_in = (unsigned char *)from; /* not written to */
    stream->avail_in = (uint32_t)bytes;
    stream->next_out = encoder->output;
    stream->avail_out = (uint32_t)bytes;
    if (isal_deflate(stream) != COMP_OK) return error_set(error, TRAJLOG_IO_ERROR, 0, "ISA-L cannot deflate a chunk");
    bool ended = stream->internal_state.state == ZSTATE_END;
    *size = ended ? stream->total_out : 0;
    return TRAJLOG_OK;
}
#endif

#ifdef HAVE_LIBDEFLATE
static trajlog_status deflate_rest(struct encoder *encoder, int level, const unsigned char *from, size_t bytes,
                                   size_t *size, struct error *error)
{
    if (!encoder->compressor || encoder->compressor_level != level) {
        if (encoder->compressor) libdeflate_free_compressor(encoder->compressor);
        encoder->compressor = libdeflate_alloc_compressor(level);
        encoder->compressor_level = level;
    }
    if (!encoder->compressor) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a compressor");
    *size = libdeflate_zlib_compress(encoder->compressor, from, bytes, encoder->output, bytes);
    return TRAJLOG_OK;
}
#else
static trajlog_status deflate_rest(struct encoder *encoder, int level, const unsigned char *from, size_t bytes,
                                   size_t *size, struct error *error)
{
    uLongf length = bytes;
    int result = compress2(encoder->output, &length, from, bytes, level);
    *size = result == Z_OK ? length : 0;
    if (result == Z_OK || result == Z_BUF_ERROR) return TRAJLOG_OK;
    return error_set(error, result == Z_MEM_ERROR ? TRAJLOG_OUT_OF_MEMORY : TRAJLOG_IO_ERROR, 0,
                     "zlib cannot deflate a chunk (error %d)", result);
}
#endif

/* A zlib stream of `bytes` bytes into encoder->output; *size is 0 if it would not be smaller than they are. */
static trajlog_status deflate_bytes(struct encoder *encoder, int level, const unsigned char *from, size_t bytes,
                                    size_t *size, struct error *error)
{
#ifdef HAVE_ISAL
    if (level <= MOST_ISAL_LEVEL) return deflate_isal(encoder, level, from, bytes, size, error);
#endif
    return deflate_rest(encoder, level, from, bytes, size, error);
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
#ifdef HAVE_ISAL
    free(encoder->stream);
    free(encoder->level_memory);
#endif
#ifdef HAVE_LIBDEFLATE
    if (encoder->compressor) libdeflate_free_compressor(encoder->compressor);
#endif
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
    const unsigned char *from = chunk;
    size_t checksum = encoding->checksum ? CHECKSUM_BYTES : 0;
    if (encoding->element_size > 1) {
        codec_shuffle(chunk, encoder->shuffled, bytes, encoding->element_size);
        from = encoder->shuffled;
    }
    TRY(deflate_bytes(encoder, encoding->level, from, bytes, size, error));
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
