/* The filters of a dataset, in words. Under the HDF5 lock. hdf5.h must be included before. */
#ifndef READ_FILTER_H
#define READ_FILTER_H

#include <hdf5.h>
#include <stddef.h>

/* "shuffle, deflate 1, filter 32015 (zstd)"; at most `size` bytes; returns `text`. */
char *filters_text(hid_t properties, char *text, size_t size);

/* How many bytes can come out of one stored byte, at most. */
long filters_expansion(hid_t properties);

/* The first filter that this libhdf5 does not have, and finds no plugin for: "filter 32015 (zstd)"; else NULL. */
const char *filters_missing(hid_t properties, char *text, size_t size);

#endif
