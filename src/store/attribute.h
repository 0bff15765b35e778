/* Attributes: made once, before SWMR starts. Names and values only; what they mean is the file's business. */
#ifndef STORE_ATTRIBUTE_H
#define STORE_ATTRIBUTE_H

#include <hdf5.h>
#include <stdbool.h>

#include "model/status.h"

/* A scalar attribute on an object. HDF5_ERROR names the attribute; the caller prefixes file and group. */
trajlog_status attribute_set_text(hid_t object, const char *name, const char *text, struct error *error);
/* The same, said to be ASCII where it is: what H5MD asks of units. */
trajlog_status attribute_set_ascii_text(hid_t object, const char *name, const char *text, struct error *error);
trajlog_status attribute_set_int32(hid_t object, const char *name, int32_t value, struct error *error);
trajlog_status attribute_set_int64(hid_t object, const char *name, int64_t value, struct error *error);
trajlog_status attribute_set_float64(hid_t object, const char *name, double value, struct error *error);

/* The same as a fixed-length, null-terminated string; lists, of rank 1; and a reference to the object at `path`. */
trajlog_status attribute_set_fixed_text(hid_t object, const char *name, const char *text, struct error *error);
trajlog_status attribute_set_text_list(hid_t object, const char *name, const char *const *texts, size_t count,
                                       bool fixed, struct error *error);
trajlog_status attribute_set_int32_list(hid_t object, const char *name, const int32_t *values, size_t count,
                                        struct error *error);
trajlog_status attribute_set_reference(hid_t object, const char *name, hid_t file, const char *path,
                                       struct error *error);

/* Overwrites an int64 attribute in place: allowed also while SWMR is on. */
trajlog_status attribute_rewrite_int64(hid_t object, const char *name, int64_t value, struct error *error);

#endif
