/* The store: one HDF5 file that is being written. Takes frames that are due, as dense memory in the stored types, and
 * makes rows of them. The only way from the writer to HDF5. One thread at a time; takes the HDF5 lock itself.
 *
 * The first error sticks: every later call returns it, and writes nothing. */
#ifndef STORE_FILE_H
#define STORE_FILE_H

#include "model/schema.h"

struct store;

enum commit_level {
    COMMIT_FLUSHED, /* survives a killed process */
    COMMIT_SYNCED   /* survives a power loss */
};

/* Creates the file: afterwards a valid HDF5 file without groups is at `path`. Errors as trajlog_create. */
trajlog_status store_create(struct store **store, const char *path, trajlog_existing existing, struct error *error);

/* Makes all enabled groups, their datasets and every attribute; a `once` group's datasets come with its data, so that
 * none is ever empty. `schema` must live as long as the store, unchanged. */
trajlog_status store_define(struct store *store, const struct schema *schema, struct error *error);

/* Writes a `once` group; between store_define and store_start. `group` is its index in the schema; `fields` has one
 * pointer per field of the schema's group, NULL for those not enabled. */
trajlog_status store_write_once(struct store *store, size_t group, int64_t step, double time, const void *const *fields,
                                struct error *error);

/* From here on there are only rows. On disk afterwards: the file with all groups, no rows, and the `once` data. */
trajlog_status store_start(struct store *store, struct error *error);

/* Appends a row; `fields` as above, only read during the call. */
trajlog_status store_append(struct store *store, size_t group, int64_t step, double time, const void *const *fields,
                            struct error *error);

/* Lists a range of dropped frames. */
trajlog_status store_add_drop(struct store *store, const trajlog_drop *drop, struct error *error);

/* What actual_steps will say from the next commit on: the last step logged. */
void store_set_last_step(struct store *store, int64_t step);

/* Makes all rows appended so far visible and safe: all datasets of a group get the same number of rows. */
trajlog_status store_commit(struct store *store, enum commit_level level, struct error *error);

/* Commits, closes and frees; always frees. NULL is OK. */
trajlog_status store_close(struct store *store, struct error *error);

/* Rows appended to a group, by its index in the schema; commits made since store_start. They enter no lock and no
 * libhdf5: for the thread that writes. */
int64_t store_rows(const struct store *store, size_t group);
int64_t store_commits(const struct store *store);

#endif
