/* The filters of a dataset, in words. Under the HDF5 lock. hdf5.h must be included before. */
#ifndef READ_FILTER_H
#define READ_FILTER_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>

/* "shuffle, deflate 1, filter 32015 (zstd)"; at most `size` bytes; returns `text`. */
char *filters_text(hid_t properties, char *text, size_t size);

struct decoding;

/* Whether store/decode.h can decode the chunks: at most shuffle, deflate and fletcher32, in this order, of elements of
 * this size. */
bool filters_are_simple(hid_t properties, size_t element_size, struct decoding *decoding);

/* How many bytes can come out of one stored byte, at most. */
long filters_expansion(hid_t properties);

/* Filters that are allowed besides those that are part of HDF5 are a list of numbers and usual names: "32015",
 * "zstd,blosc"; NULL: none. Whether all names of it are known: if not, `unknown` is the first that is not. */
bool filters_list_is_valid(const char *allowed, char *unknown, size_t size);
/* The first filter that is neither part of HDF5 nor allowed, "filter 32015 (zstd)"; else NULL. Loads nothing. */
const char *filters_forbidden(hid_t properties, const char *allowed, char *text, size_t size);

/* The first filter that this libhdf5 does not have, and finds no plugin for: "filter 32015 (zstd)"; else NULL. */
const char *filters_missing(hid_t properties, char *text, size_t size);

#endif
