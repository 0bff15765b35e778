/* The j-th bytes of all elements together, as HDF5's filter does it: of numbers, they are alike. Knows bytes only. */
#ifndef STORE_SHUFFLE_H
#define STORE_SHUFFLE_H

#include <stddef.h>

#include "store/cpu.h"

/* A line of the cache. Vectors that are written across two take twice the time: best has `to` this alignment. */
#define SHUFFLE_ALIGNMENT 64

/* What follows the last whole element stays behind all others. `from` and `to` do not overlap. */
void shuffle_bytes(const void *from, void *to, size_t bytes, size_t element_size);
/* For tests: with vectors that the machine must have. All give the same bytes. */
void shuffle_bytes_with(enum vectors vectors, const void *from, void *to, size_t bytes, size_t element_size);

#endif
