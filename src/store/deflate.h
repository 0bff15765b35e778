/* Streams for HDF5's deflate filter (RFC 1950), made by the fastest library of this build. Knows bytes only. */
#ifndef STORE_DEFLATE_H
#define STORE_DEFLATE_H

#include "model/status.h"

/* Compressor state, and memory for it; serves one thread at a time. */
struct deflater;
struct deflater *deflater_new(void); /* NULL: out of memory */
void deflater_free(struct deflater *deflater);

/* What goes into a stream: `count` planes of `size` bytes each, one after the other, as shuffle leaves them. In each of
 * them a row of the dataset has `row` bytes; 0: they have no rows. */
struct planes {
    const unsigned char *bytes;
    size_t size, count, row;
};

/* Writes the stream of all planes, with level 1 to 9, to `to`, which has room for as many bytes as they have; *size is
 * 0 if the stream would not be smaller. OUT_OF_MEMORY, IO_ERROR (the library fails). */
trajlog_status deflater_deflate(struct deflater *deflater, int level, const struct planes *planes, unsigned char *to,
                                size_t *size, struct error *error);

/* What makes the streams of this level in this build: "isa-l", "libdeflate", "zlib". */
const char *deflate_backend(int level);

#endif
