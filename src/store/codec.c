#include "store/codec.h"

#include <stdlib.h>
#include <string.h>

#include "store/deflate.h"
#include "store/shuffle.h"

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
    encoder->shuffled = aligned_alloc(SHUFFLE_ALIGNMENT, (bytes / SHUFFLE_ALIGNMENT + 1) * SHUFFLE_ALIGNMENT);
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
        shuffle_bytes(chunk, encoder->shuffled, bytes, element_size);
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
