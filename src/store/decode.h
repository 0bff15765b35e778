/* Chunks that HDF5's own filters made, decoded faster than libhdf5 does it: the other side of codec.h. Knows bytes only: no
 * libhdf5, no files. */
#ifndef STORE_DECODE_H
#define STORE_DECODE_H

#include <stdbool.h>

#include "model/status.h"

/* The filters of one dataset, of which each may be missing, in this order: shuffle, deflate, fletcher32. */
struct decoding {
    bool shuffle, deflate, checksum;
    size_t element_size; /* that bytes were shuffled by */
};

/* A decoder holds state and memory for one chunk; it serves any number of datasets, one thread at a time. */
struct decoder;
struct decoder *decoder_new(void); /* NULL: out of memory */
void decoder_free(struct decoder *decoder);

/* Memory of the decoder's for a chunk as it is stored, and as it is decoded; each until it is asked for anew. NULL: out of
 * memory. */
void *decoder_input(struct decoder *decoder, size_t size);
void *decoder_output(struct decoder *decoder, size_t size);

/* Decodes a chunk of exactly `bytes` bytes. `mask`: bit i says that the i-th of the dataset's filters was left out. Not a
 * byte beyond the chunk is written to, whatever was stored. INVALID_FILE: a wrong checksum, a damaged stream, or one of
 * another length; OUT_OF_MEMORY. */
trajlog_status decoder_decode(struct decoder *decoder, const struct decoding *decoding, uint32_t mask,
                              const void *stored, size_t size, void *chunk, size_t bytes, struct error *error);

/* For tests: the inverse of shuffle_bytes(). */
void codec_unshuffle(const void *from, void *to, size_t bytes, size_t element_size);

#endif
