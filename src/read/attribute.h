/* Attributes of HDF5 objects: one text, one number. Objects are hid_t. Under the HDF5 lock. */
#ifndef READ_ATTRIBUTE_H
#define READ_ATTRIBUTE_H

#include <stdbool.h>

#include "model/status.h"

/* An attribute that is not there is no error: *found says so. INVALID_FILE if it is something else than expected. */

/* A scalar string of fixed or variable length, at most 16 MiB; free() it. */
trajlog_status attribute_get_text(int64_t object, const char *name, char **text, bool *found, struct error *error);
/* A scalar integer, or float. */
trajlog_status attribute_get_integer(int64_t object, const char *name, int64_t *value, bool *found,
                                     struct error *error);
trajlog_status attribute_get_real(int64_t object, const char *name, double *value, bool *found, struct error *error);

#endif
