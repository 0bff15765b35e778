/* A plan: the cells that make up a region of a dataset, found, and then read by whoever has time; here or by threads that
 * help. */
#ifndef READ_PLAN_H
#define READ_PLAN_H

#include "read/cells.h"
#include "read/dataset.h"

struct plan;

/* Reads a region, which is not empty, past libhdf5; only for a dataset with cells, and rows that do not move. Errors as
 * cells_read and library_read. */
trajlog_status plan_read(const struct dataset *dataset, const struct region *region, void *data, struct error *error);

/* The same in two steps. Begun here, and read meanwhile by the threads that help or by the system, as far as that is of
 * use; *plan is NULL if there are too many cells for that. `data` must stay until plan_finish, which reads the rest, and
 * frees. One thread at a time. */
trajlog_status plan_begin(struct plan **plan, const struct dataset *dataset, const struct region *region, void *data,
                          struct error *error);
trajlog_status plan_finish(struct plan *plan, struct error *error);
/* Waits for what is under way, and frees. NULL is OK. */
void plan_drop(struct plan *plan);

#endif
