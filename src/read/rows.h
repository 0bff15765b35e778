/* Rows: which ones a selection names, and reading them. Takes the HDF5 lock itself, for as long as libhdf5 works. */
#ifndef READ_ROWS_H
#define READ_ROWS_H

#include "read/dataset.h"
#include "read/region.h"

/* Reads `count` rows that exist, the first one at `start`, each `stride` after the one before, in the stored type's
 * form in memory. UNSUPPORTED (element type, filter), HDF5_ERROR, IO_ERROR, INVALID_FILE. */
trajlog_status dataset_read(const struct dataset *dataset, int64_t start, int64_t stride, int64_t count, void *data,
                            struct error *error);

/* The same of `number` particles, from the `first` on: the dataset has dimensions besides its rows, and they are in the
 * first of these. Reads little more of the file than what is wanted, or the chunks that this is in. */
trajlog_status dataset_read_particles(const struct dataset *dataset, int64_t start, int64_t stride, int64_t count,
                                      int64_t first, int64_t number, void *data, struct error *error);

/* Reading in two steps: `count` rows from `start` on, whole ones. What is of use is begun, if anything; `data` must stay until
 * dataset_finish, which returns with all rows there, or dataset_drop. Errors of dataset_read, all in dataset_finish. */
struct rows_ahead {
    const struct dataset *dataset;
    int64_t start, count;
    int64_t planned;   /* of these rows, from the first one on */
    struct plan *plan; /* NULL: nothing was begun */
    void *data;
};
struct rows_ahead dataset_begin(const struct dataset *dataset, int64_t start, int64_t count, void *data);
trajlog_status dataset_finish(struct rows_ahead *ahead, struct error *error);
void dataset_drop(struct rows_ahead *ahead);

/* Memory for rows of a dataset, in elements of `type`; free() it. INVALID_FILE if the file is too small to hold what
 * it claims to; OUT_OF_RANGE, OUT_OF_MEMORY. */
trajlog_status rows_allocate(const struct dataset *dataset, trajlog_type type, int64_t count, void **data,
                             struct error *error);

/* A group's time axis. */
struct axis {
    int64_t rows;
    const struct dataset *step, *time; /* NULL: a group without steps */
};

/* Which rows: `count` of them, an even range or a list; and what of them. */
struct selection {
    int64_t count;
    int64_t start, stride;
    const int64_t *list;               /* the caller's; negative from the end; NULL: a range */
    int64_t rows;                      /* of the group */
    int64_t first_particle, particles; /* along the first dimension of a row; 0 particles: whole rows */
};

/* Finds out which rows are meant. NOT_FOUND: no such row or step, or no steps at all; INVALID_ARGUMENT; errors as
 * dataset_read, for steps and times are looked up. */
trajlog_status selection_make(struct selection *selection, const trajlog_rows *rows, const struct axis *axis,
                              struct error *error);

/* The type that elements of a field are given as: `type`, or for 0 the stored one. UNSUPPORTED, INVALID_ARGUMENT,
 * TYPE_MISMATCH. */
trajlog_status rows_type(const struct dataset *dataset, trajlog_type type, trajlog_type *result, struct error *error);

/* Elements of a row that the selection means. */
int64_t selection_elements(const struct selection *selection, const struct dataset *dataset);

/* Reads `count` rows of a selection from its `first` one on, as elements of `type` (not 0). Errors as dataset_read, and
 * OUT_OF_RANGE for a value that does not fit. */
trajlog_status selection_read(const struct selection *selection, const struct dataset *dataset, int64_t first,
                              int64_t count, trajlog_type type, void *data, struct error *error);

#endif
