/* A column: the rows of one dataset, gathered into chunks. Knows nothing of other columns, groups or commits of them.
 *
 * What is on disk, and when. A chunk can be stored only inside the dataset's extent, so a chunk that gets full between
 * two commits extends the dataset up to its last row. Extents and chunk indices are metadata, which the commit driver
 * holds back until the next commit, when every column of every group is extended to its exact number of rows. So a
 * reader, or what a kill leaves behind, sees the rows of the last commit: the chunks written since then are bytes in
 * space that nothing refers to, and in the tail chunk, which is written again in place, the committed rows' bytes stay
 * the same. An extent never exceeds the rows that the column has, so no unwritten row can appear.
 *
 * With access by particle, several chunks lie side by side, each with some of the particles of the same rows. What is
 * said here of a chunk, or of the tail, then holds for each of them.
 *
 * Where the number of particles varies, rows come with those that there are, and the room for them grows: more chunks
 * lie side by side then. A chunk in which no row has a particle is not stored, and reads as the fill value; so are
 * those of the rows from before. */
#ifndef STORE_COLUMN_H
#define STORE_COLUMN_H

#include <hdf5.h>
#include <string.h>

#include "model/schema.h"
#include "store/codec.h"
#include "store/pipeline.h"
#include "store/round.h"

struct driver;

/* What the columns of a file share. */
struct column_context {
    const char *path; /* for messages */
    struct driver *driver;
    struct encoder *encoder;   /* NULL until a column needs it */
    struct pipeline *pipeline; /* NULL: there are no helpers, and chunks are encoded when they are stored */
    int64_t chunks;            /* written since the last commit */
    bool may_borrow;           /* rows stay where they are until column_settle */
    int64_t borrowed;          /* rows that columns have borrowed now */
};

/* What to make a dataset of. The texts are used in messages and outlive the column. */
struct column_layout {
    const char *group;
    const char *field; /* the path of the dataset, from `location` */
    trajlog_type type; /* as stored */
    trajlog_shape shape;
    trajlog_type memory_type; /* that the rows were converted from; 0: they were not */
    struct storage storage;
    const void *fill; /* an element: what is read where nothing was written; NULL: nothing ever is left out */
    bool varies;      /* the first dimension of the shape is a capacity that grows; there is a fill value */
};

/* A piece of the file; size 0: none. */
struct block {
    haddr_t address;
    hsize_t size;
};

struct column {
    struct column_context *context;
    const char *group, *field;
    trajlog_type type;                    /* as stored */
    hid_t dataset;                        /* 0: this column is not in the file */
    int rank;                             /* of the dataset: one more than the field's */
    hsize_t extent[1 + TRAJLOG_MAX_RANK]; /* as libhdf5 knows it */
    size_t row_bytes;
    int64_t chunk_rows, chunk_particles; /* a chunk's first two dimensions */
    int64_t across;                      /* chunks that lie side by side, with the same rows; 1: whole rows in one */
    size_t slice_bytes;                  /* of a row, in one of them; the last one's may end with padding */
    size_t chunk_bytes;
    int64_t rows;          /* appended */
    int64_t tail_rows;     /* of them, those in the chunk that is not full */
    int64_t committed;     /* of them, those that the last column_commit made part of the dataset */
    struct block *tail;    /* where the tail of a column with filters is stored, [across]; of a chunk's size: without
                            * them; comes with the buffer */
    bool tail_stays;       /* taken up: the tail on disk can be written on where it is */
    unsigned char *buffer; /* the tail, one chunk after the other; NULL where each row is a chunk and is written from
                            * the caller's memory, and where no particle was yet */
    bool is_number;        /* a row is eight bytes, and goes into the buffer as it is */
    bool varies;           /* the number of particles does */
    void *fill;            /* an element of what is no particle; NULL: it does not vary */
    int64_t used;          /* chunks of the tail, of those side by side, that are stored: they hold a particle */
    int64_t room;          /* chunks that there is memory for in `tail` and `buffer` */
    const void *
        *borrowed; /* [chunk_rows]; the last rows of the tail, which are not in the buffer yet; NULL: none ever */
    int64_t borrowed_rows;
    struct encoding encoding;
    struct rounding rounding; /* done when a row comes, so that a tail has the values that it will have for ever */
};

/* Makes the dataset, without rows. Parent groups must exist. On failure the column is as if never created. */
trajlog_status column_create(struct column *column, struct column_context *context, hid_t location,
                             const struct column_layout *layout, struct error *error);

/* Taking up a column of an earlier run, in three steps. column_open: as it is in the file; chunks, filters and capacity
 * are the file's, type and shape must be the layout's, else INVALID_FILE. column_keep: only the first `rows` rows count
 * from here on; those in a chunk that is not full come into memory. column_take_up, when SWMR is on: the others leave
 * the dataset, and the tail gets where it can be written on; for one batch with whatever else is taken up. */
trajlog_status column_open(struct column *column, struct column_context *context, hid_t location,
                           const struct column_layout *layout, struct error *error);
trajlog_status column_keep(struct column *column, int64_t rows, struct error *error);
trajlog_status column_take_up(struct column *column, struct error *error);

/* For a column that was just made beside older ones: its first `rows` rows are the fill value, and take no space. */
trajlog_status column_fill(struct column *column, int64_t rows, const void *fill, struct error *error);

/* Reads rows that are in the dataset, in the stored type. */
trajlog_status column_read(const struct column *column, int64_t first_row, int64_t rows, void *to, struct error *error);

/* Appends a row; libhdf5 is entered only when it fills a chunk: that is when column_next_write(column) == rows + 1. */
trajlog_status column_append(struct column *column, const void *row, struct error *error);
/* The same where the number of particles varies: `row` has so many, no more than the capacity. */
trajlog_status column_append_particles(struct column *column, const void *row, int64_t particles, struct error *error);
/* The number of particles that there is room for: the second dimension of the dataset. */
int64_t column_capacity(const struct column *column);
/* Makes it larger, from the next commit on: also for the rows that there are. */
trajlog_status column_grow(struct column *column, int64_t capacity, struct error *error);
int64_t column_next_write(const struct column *column);

/* Where rows may be borrowed, and there is nothing to be done to them, large ones are not copied but written from where
 * they lie, when their chunk is full. This copies those that wait for that; then they can go. */
void column_settle(struct column *column);

/* The same as column_append for a row that fills no chunk, which can only succeed. Numbers are copied here: there may
 * be many of them. */
void column_gather_any(struct column *column, const void *row);
static inline void column_gather(struct column *column, const void *row)
{
    if (column->is_number) memcpy(column->buffer + (size_t)column->tail_rows * sizeof(uint64_t), row, sizeof(uint64_t));
    else column_gather_any(column, row);
    column->rows++;
    column->tail_rows++;
}

/* Writes the tail and sets the extent to the exact number of rows; the file is flushed by the caller. */
trajlog_status column_commit(struct column *column, struct error *error);

/* The same when no row will follow: the filters are applied to the tail too. Not where it has been stored without them,
 * and without a checksum to gain: a second copy of it would only take space. */
trajlog_status column_finish(struct column *column, struct error *error);

/* Closes the dataset and frees the memory; uncommitted rows are lost. Fine on a zeroed column, and twice. */
void column_close(struct column *column);

/* Makes a dataset without a time axis and writes it. */
trajlog_status column_write_once(struct column_context *context, hid_t location, const struct column_layout *layout,
                                 const void *data, struct error *error);

/* A dataset of so many rows for ever, each in a chunk by itself and as it is, to be written again and again in place;
 * zeros where none was written. */
trajlog_status column_create_slots(struct column *column, struct column_context *context, hid_t location,
                                   const struct column_layout *layout, int64_t slots, struct error *error);
trajlog_status column_open_slots(struct column *column, struct column_context *context, hid_t location,
                                 const struct column_layout *layout, int64_t slots, struct error *error);
trajlog_status column_write_slot(struct column *column, int64_t slot, const void *row, struct error *error);

/* The number of rows per chunk: what the storage says, or chosen by the size of a row. With access by particle, the
 * number of particles that fit in such a chunk, of `particles`; it is chosen so that the chunks are about equal. */
int64_t column_chunk_rows(const struct storage *storage, size_t row_bytes);
int64_t column_chunk_particles(const struct storage *storage, size_t row_bytes, int64_t particles);

#endif
