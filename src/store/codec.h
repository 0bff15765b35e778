/* Chunks as HDF5's own filters would have stored them: shuffle, deflate, fletcher32; made faster than libhdf5 makes
 * them. Every HDF5 reads the result. Knows bytes only: no libhdf5, no files. */
#ifndef STORE_CODEC_H
#define STORE_CODEC_H

#include <stdbool.h>

#include "model/status.h"

/* How the chunks of one dataset are encoded. Its HDF5 filters, in this order: shuffle and deflate if level > 0,
 * fletcher32 if checksum. */
struct encoding {
    size_t element_size;
    int level; /* of deflate, 1 to 9; 0: no compression */
    bool checksum;
    size_t row_bytes; /* of a row in the chunk; 0: unknown. Only for the choice of means */
};

/* The filter mask that says: none of the dataset's filters was applied to this chunk. */
uint32_t encoding_mask_all(const struct encoding *encoding);
bool encoding_is_plain(const struct encoding *encoding);

struct encoded {
    const void *bytes; /* the encoder's, until its next use; or the chunk itself */
    size_t size;
    uint32_t filter_mask; /* which filters were left out, as H5Dwrite_chunk wants it */
};

/* An encoder holds compressor state and memory for one chunk; it serves any number of datasets, one thread at a time.
 */
struct encoder;
struct encoder *encoder_new(void); /* NULL: out of memory */
void encoder_free(struct encoder *encoder);

/* Encodes one whole chunk. Where compression does not make it smaller, shuffle and deflate are left out. An encoded
 * chunk with filters applied never has the size of the chunk as it is: libhdf5 notes a changed filter mask only when
 * the size changes. OUT_OF_MEMORY. */
trajlog_status encoder_encode(struct encoder *encoder, const struct encoding *encoding, const void *chunk, size_t bytes,
                              struct encoded *encoded, struct error *error);

/* For tests: the checksum of HDF5's filter. */
uint32_t codec_fletcher32(const void *data, size_t bytes);

#endif
