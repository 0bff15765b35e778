/* How the reader gets at a file: libhdf5 through a read-only file driver of our own, and past it. Knows nothing of logs. */
#ifndef READ_INPUT_H
#define READ_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "model/status.h"

/* A moment of a file: two that are equal say that nobody wrote to it in between. */
struct file_moment {
    int64_t bytes;
    int64_t seconds, nanoseconds; /* of the last change */
};

/* Whether there is a regular file with HDF5's signature. NOT_FOUND, IO_ERROR, INVALID_FILE. */
trajlog_status input_look(const char *path, struct file_moment *moment, struct error *error);
bool file_moment_equal(const struct file_moment *a, const struct file_moment *b);

/* The bytes of an open file, as a journal that a crash left beside it says that they are. */
struct source;

/* Opens the file read-only; *file is an hid_t, closed with H5Fclose, which also closes what is open in it; *source is for
 * those who read past libhdf5 (NULL: nobody does), and is released by itself. Under the HDF5 lock. HDF5_ERROR, IO_ERROR, INVALID_FILE (a
 * journal that contradicts itself), OUT_OF_MEMORY. */
trajlog_status input_open(const char *path, int64_t *file, struct source **source, struct error *error);
void source_release(struct source *source); /* NULL is OK; under the HDF5 lock */

/* The following are for any thread, with or without the HDF5 lock. */

/* Whether the file has these bytes: INVALID_FILE if it ends before, IO_ERROR. */
trajlog_status source_check(const struct source *source, uint64_t address, uint64_t size, struct error *error);
/* Reads them. Errors as source_check. */
trajlog_status source_read(const struct source *source, uint64_t address, size_t size, void *data, struct error *error);
/* Tells the system that they will be wanted soon. */
void source_expect(const struct source *source, uint64_t address, uint64_t size);

/* For memory maps: the file's descriptor, which the source keeps; negative if some of these bytes are not the file's but
 * a journal's. */
int source_descriptor(const struct source *source, uint64_t address, uint64_t size);

/* Where libhdf5 would read raw data: between the two calls it is given nothing, and it is noted what it wanted last. The
 * second one returns whether it wanted any. Under the HDF5 lock, from the first to the second. */
void source_note_begin(struct source *source);
bool source_note_end(struct source *source, uint64_t *address, uint64_t *size);

#endif
