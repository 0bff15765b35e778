/* What the files that make up a column share; nobody else includes this. column.h says what a column is. */
#ifndef STORE_COLUMN_PARTS_H
#define STORE_COLUMN_PARTS_H

#include "store/column.h"

#define DIRECT_ROW_BYTES ((size_t)1 << 18) /* a row as large as this is a chunk by itself */
#define RETIRE_SECONDS   5.0               /* a reader's walk from the chunk index to the chunk takes less */

/* ---- column.c ---- */

/* libhdf5 cannot do `what`; there is no memory for `what`; what the file has is not as the schema says. */
trajlog_status column_failed(const struct column *column, const char *what, struct error *error);
trajlog_status column_no_memory(const struct column *column, const char *what, struct error *error);
trajlog_status column_not_as_expected(const struct column *column, const char *what, struct error *error);

/* The encoder is made with the first column that needs one. */
trajlog_status column_prepare_encoder(const struct column *column, struct error *error);
/* The memory for the tail. Closes the column on failure. */
trajlog_status column_make_buffer(struct column *column, struct error *error);

/* ---- column_plan.c ---- */

/* Everything about a column that does not need libhdf5, but for its chunks. Close it also after a failure. */
trajlog_status column_plan(struct column *column, struct column_context *context, const struct column_layout *layout,
                           struct error *error);
trajlog_status column_plan_chunks(struct column *column, const struct column_layout *layout, struct error *error);
/* What follows from the chunks' shape. */
trajlog_status column_size_chunks(struct column *column, struct error *error);

/* ---- column_dataset.c ---- */

/* Creation properties of a dataset, chunked unless `chunk` is NULL. No time stamps: equal runs make equal files. */
hid_t column_creation_properties(int rank, const hsize_t *chunk, const struct encoding *encoding,
                                 const struct column_layout *layout);
/* Chunks go past libhdf5's chunk cache, so it gets no memory. */
hid_t column_access_properties(void);
trajlog_status column_make_dataset(struct column *column, hid_t location, const struct column_layout *layout,
                                   hid_t space, hid_t creation, struct error *error);

/* ---- column_open.c ---- */

/* Opens the dataset, and brings the column to what the file has; makes no memory for a tail. `grows`: in time. */
trajlog_status column_open_as_it_is(struct column *column, struct column_context *context, hid_t location,
                                    const struct column_layout *layout, bool grows, struct error *error);

/* ---- column_append.c ---- */

/* Puts a row into the tail, at `place`. */
void column_put_row(struct column *column, int64_t place, const struct rounding *rounding, const void *row);
/* The same where the number of particles varies; fills up behind those of the row. column_use_sides was called before:
 * so many particles are to lie in the tail, and the rows that are there already have none behind their own. */
void column_put_particles(struct column *column, int64_t place, const struct rounding *rounding, const void *row,
                          size_t row_bytes);
trajlog_status column_use_sides(struct column *column, int64_t particles, struct error *error);
size_t column_particle_bytes(const struct column *column);

/* ---- column_chunk.c ---- */

/* Where the chunks begin that have certain rows, one of those side by side. */
struct corner {
    hsize_t at[1 + TRAJLOG_MAX_RANK];
};
struct corner column_corner(const struct column *column, int64_t first_row, int64_t side);

trajlog_status column_extend(struct column *column, int64_t rows, struct error *error);
/* A file that is frozen takes everything and keeps nothing; its driver says so, libhdf5 does not. */
trajlog_status column_check_driver(const struct column *column, struct error *error);

/* Stores the bytes of a chunk, which lies within the extent. *taken is the block that it had to take for that; none if
 * the chunk stays where it is. */
trajlog_status column_store_chunk(struct column *column, struct corner corner, const struct encoded *encoded,
                                  struct block *taken, struct error *error);

/* The chunk that ends with the last row, by way of the helpers if it has filters; and all of those side by side, which
 * are the tail no longer. */
trajlog_status column_store_full_chunk(struct column *column, const void *chunk, int64_t side, struct error *error);
trajlog_status column_store_full_chunks(struct column *column, const unsigned char *chunks, struct error *error);
/* What the helpers have had longest. */
trajlog_status column_store_oldest(struct pipeline *pipeline, struct error *error);

/* The chunk with the rows of the tail, and nothing of the chunk before. */
unsigned char *column_tail_chunk(struct column *column, int64_t side);
/* Stores it: as it is, the whole tail so, or encoded. */
trajlog_status column_store_tail_chunk(struct column *column, int64_t side, struct error *error);
trajlog_status column_store_tail(struct column *column, struct error *error);
trajlog_status column_store_tail_encoded(struct column *column, int64_t side, const struct encoded *encoded,
                                         struct error *error);

#endif
