/* How the reader gets at a file: libhdf5 through a read-only file driver of our own. Knows nothing of logs. */
#ifndef READ_INPUT_H
#define READ_INPUT_H

#include <stdbool.h>

#include "model/status.h"

/* A moment of a file: two that are equal say that nobody wrote to it in between. */
struct file_moment {
    int64_t bytes;
    int64_t seconds, nanoseconds; /* of the last change */
};

/* Whether there is a regular file with HDF5's signature. NOT_FOUND, IO_ERROR, INVALID_FILE. */
trajlog_status input_look(const char *path, struct file_moment *moment, struct error *error);
bool file_moment_equal(const struct file_moment *a, const struct file_moment *b);

/* Opens the file read-only, as a journal that a crash left beside it says that it is; *file is an hid_t, closed with
 * H5Fclose, which also closes what is open in it. Under the HDF5 lock. HDF5_ERROR, IO_ERROR, INVALID_FILE (a journal
 * that contradicts itself), OUT_OF_MEMORY. */
trajlog_status input_open(const char *path, int64_t *file, struct error *error);

#endif
