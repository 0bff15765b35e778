/* The store: one HDF5 file that is being written. Takes frames that are due, as dense memory in the stored types, and
 * makes rows of them. The only way from the writer to HDF5. One thread at a time; takes the HDF5 lock itself.
 *
 * The first error sticks: every later call returns it, and writes nothing. */
#ifndef STORE_FILE_H
#define STORE_FILE_H

#include <stdbool.h>

#include "model/schema.h"

struct store;
struct helpers;

enum commit_level {
    COMMIT_FLUSHED, /* survives a killed process */
    COMMIT_SYNCED,  /* survives a power loss */
    COMMIT_LAST     /* store_commit only: flushed, and no row will follow */
};

struct store_options {
    trajlog_existing existing; /* store_create: what happens to a file that is there */
    bool without_lock;         /* for file systems that have no locks */
    bool accept_additions;     /* store_resume: groups and fields that the file lacks are added to it */
};

/* The restart step that no row is kept for. */
#define FROM_THE_START INT64_MIN

/* Creates the file: afterwards a valid HDF5 file without groups is at `path`. Errors as trajlog_create. */
trajlog_status store_create(struct store **store, const char *path, const struct store_options *options,
                            struct error *error);

/* Takes up an existing file at the restart step, whose rows are kept, with all before it. Nothing in it changes before
 * store_start; what a crash left undone is completed or undone. Then as with a new file: store_define, `once` data,
 * store_start. Errors: NOT_FOUND, INVALID_FILE (no trajlog log, or one that cannot be continued), UNSUPPORTED (of a
 * later format), FILE_LOCKED, IO_ERROR, HDF5_ERROR, OUT_OF_MEMORY. */
trajlog_status store_resume(struct store **store, const char *path, int64_t step, const struct store_options *options,
                            struct error *error);

/* Makes all enabled groups, their datasets and every attribute; a `once` group's datasets come with its data, so that
 * none is ever empty. `schema` must live as long as the store, unchanged.
 *
 * On a resumed store the schema is compared with the file's: SCHEMA_MISMATCH lists the differences. What the file lacks
 * is added, if that is accepted: in older rows a new field has its fill value. Rows of steps behind the restart step
 * are dropped in every group. All this is in the file only from store_start on, all of it at once. */
trajlog_status store_define(struct store *store, const struct schema *schema, struct error *error);

/* Resumed, after store_define: whether the file has this `once` group's data. Then they stay, and store_write_once is
 * not to be called for it. */
bool store_has_once(const struct store *store, size_t group);

/* Resumed, after store_define: step and time of the last row that is kept, over all groups; false if there is none. */
bool store_last_moment(const struct store *store, int64_t *step, double *time);

/* After store_define: the first step of the run that made the file, which an earlier process told with the call below,
 * between store_define and store_start; false if none did. */
bool store_first_step(const struct store *store, int64_t *step);
trajlog_status store_set_first_step(struct store *store, int64_t step, struct error *error);

/* Writes a `once` group; between store_define and store_start. `group` is its index in the schema; `fields` has one
 * pointer per field of the schema's group, NULL for those not enabled. */
trajlog_status store_write_once(struct store *store, size_t group, int64_t step, double time, const void *const *fields,
                                struct error *error);

/* From here on there are only rows. On disk afterwards: the file with all groups, the `once` data, and, of a new file, no
 * rows, of a resumed one, those up to the restart step. */
trajlog_status store_start(struct store *store, struct error *error);

/* From here on helpers (helpers.h) encode chunks, while rows are appended; at a commit, that is done. They must help until
 * the store is closed. At most once. */
trajlog_status store_set_helpers(struct store *store, const struct helpers *helpers, struct error *error);

/* Appends a row; `fields` as above, only read during the call, unless the store may borrow rows. */
trajlog_status store_append(struct store *store, size_t group, int64_t step, double time, const void *const *fields,
                            struct error *error);

/* From here on rows may be borrowed: where the fields of a row lie stays as it is until store_borrows is false. That is so
 * when the chunks that they belong to are full, after a commit, and after store_settle. */
void store_may_borrow(struct store *store);
bool store_borrows(const struct store *store);
void store_settle(struct store *store);

/* Lists a range of dropped frames. */
trajlog_status store_add_drop(struct store *store, const trajlog_drop *drop, struct error *error);

/* What actual_steps will say from the next commit on: the last step logged. */
void store_set_last_step(struct store *store, int64_t step);

/* Writes the checkpoint group's fields in the place of the older one of its two states, after store_start. When it
 * returns, they and all rows appended before are synced. */
trajlog_status store_write_checkpoint(struct store *store, size_t group, int64_t step, double time,
                                      const void *const *fields, struct error *error);

/* Makes all rows appended so far visible and safe: all datasets of a group get the same number of rows. */
trajlog_status store_commit(struct store *store, enum commit_level level, struct error *error);

/* Commits, closes and frees; always frees. NULL is OK. */
trajlog_status store_close(struct store *store, struct error *error);

/* Frees without closing: the file stays at its last commit. For a forked child, which must not write. NULL is OK. */
void store_abandon(struct store *store);

/* Rows in a group, by its index in the schema; commits made since store_start. They enter no lock and no
 * libhdf5: for the thread that writes. */
int64_t store_rows(const struct store *store, size_t group);
int64_t store_commits(const struct store *store);

#endif
