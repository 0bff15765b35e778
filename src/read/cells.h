/* Datasets whose rows can be read past libhdf5, since their bytes in memory are those in the file, but for HDF5's own
 * filters. Their chunks are cells; a contiguous dataset is one cell. Knows where cells lie and how to get their bytes;
 * knows no rows. */
#ifndef READ_CELLS_H
#define READ_CELLS_H

#include <hdf5.h>

#include "read/decoders.h"
#include "read/input.h"
#include "read/region.h"

/* A decoded cell of which more is likely to be wanted. */
struct kept_cell {
    int64_t row; /* where the cell begins; negative: there is none */
    unsigned char *bytes;
};

/* Where a cell is in the file, as libhdf5's index says. */
struct place {
    bool stored; /* otherwise its elements are the fill value, or the index cannot be read: libhdf5 knows */
    uint32_t mask;
    uint64_t address, size;
};

/* One that was found, so that nobody has to ask for it again. */
struct found_cell {
    int64_t start[REGION_MAX_RANK];
    struct place place; /* not stored: there is none */
};
#define CELLS_FOUND 16

struct cells {
    hid_t dataset; /* the owner's, as are the next two */
    struct source *source;
    struct decoders *decoders;
    int32_t rank;
    size_t element_size;
    int64_t dims[REGION_MAX_RANK], cell[REGION_MAX_RANK]; /* of the dataset, and of a cell */
    size_t bytes;                                         /* of a cell */
    bool chunked, filtered;
    uint64_t address; /* of a contiguous dataset */
    struct decoding decoding;
    int64_t across;                       /* cells that lie side by side, with the same rows */
    struct kept_cell *kept;               /* [across]; NULL: none are kept */
    struct found_cell found[CELLS_FOUND]; /* of each of so many bands of rows, the latest */
};

/* *cells is NULL if libhdf5 must read this dataset, or there is no source or nothing to decode with. Under the HDF5 lock.
 * OUT_OF_MEMORY. */
trajlog_status cells_make(struct cells **cells, hid_t dataset, hid_t properties, size_t element_size,
                          struct source *source, struct decoders *decoders, struct error *error);
void cells_free(struct cells *cells); /* NULL is OK */

/* Asks the index for the cell that begins there. Under the HDF5 lock, with libhdf5 quiet. Some microseconds, however
 * many cells there are; less where it was found before. */
void cells_find(struct cells *cells, const int64_t *start, struct place *place);
/* Whether it was found before; then *place is set. Without libhdf5. */
bool cells_recall(const struct cells *cells, const int64_t *start, struct place *place);
/* The same as cells_find for the next few bands of rows, of which it is known that they do not move: for those who will
 * want them one after the other. Ends where there is none in the file. */
void cells_find_next(struct cells *cells, const int64_t *start);
/* Nothing was found before: the index was read anew. */
void cells_forget(struct cells *cells);

/* Reads the part of a cell, which lies in `whole` too, that is kept in `to`; `cell` is the cell's own region. Any thread.
 * `decoded`: the cell as it is kept or shall be; NULL: nobody keeps it. `is_decoded`: it is there already.
 * INVALID_FILE: the file does not hold what it should, or it is damaged; IO_ERROR, OUT_OF_MEMORY. */
struct cell_part {
    struct place place;
    struct region cell, part;
    const struct region *whole;
    unsigned char *to;
    unsigned char *decoded;
    bool is_decoded;
};
trajlog_status cells_read(const struct cells *cells, const struct cell_part *part, struct error *error);

#endif
