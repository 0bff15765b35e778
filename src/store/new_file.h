/* A file that is made under a temporary name beside its own, and takes its own name when it is valid: so that an old
 * file of that name is there until the new one is, and nobody meets a half-made one. Knows no HDF5. */
#ifndef STORE_NEW_FILE_H
#define STORE_NEW_FILE_H

#include "model/status.h"

struct new_file {
    char *path;      /* where it will be, links resolved where a file is replaced */
    char *temporary; /* where it is now; NULL when it is nowhere, or has its own name */
};

/* Makes an empty file under a temporary name. FILE_EXISTS (REFUSE, and there is something), NOT_FOUND (no such
 * directory), INVALID_ARGUMENT (REPLACE, and what is there is no regular file), IO_ERROR, OUT_OF_MEMORY. */
trajlog_status new_file_make(struct new_file *file, const char *path, trajlog_existing existing, struct error *error);

/* Gives it its name. FILE_EXISTS: REFUSE, and somebody was faster. */
trajlog_status new_file_publish(struct new_file *file, trajlog_existing existing, struct error *error);

/* Frees; a file that still has its temporary name is removed. Fine on a zeroed one. */
void new_file_free(struct new_file *file);

#endif
