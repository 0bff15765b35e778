/* Finishing what a killed writer left of a file, in the file itself: what its journal takes back, rows that not all
 * datasets of their group have, the hole behind what it holds, the files beside it. Takes the HDF5 lock itself. */
#ifndef STORE_RECOVER_H
#define STORE_RECOVER_H

#include "model/schema.h"
#include "store/driver_io.h"

/* `path` is the file's own, and the caller owns it; see ownership.h. On disk afterwards: a plain HDF5 file, closed and
 * synced, nothing beside it. `io` may be NULL: the system's. Errors: NOT_FOUND, INVALID_FILE (not made by the commit driver), IO_ERROR, HDF5_ERROR,
 * OUT_OF_MEMORY. */
trajlog_status store_recover(const char *path, const struct driver_io *io, struct error *error);

/* Cuts all datasets of each group to the rows that all of them have: a resume that logs nothing. A kill amid it leaves
 * them as they were. `schema` is the file's. The caller owns the file. Errors as of a resume. */
trajlog_status store_even_out(const char *path, const struct schema *schema, struct error *error);

#endif
