/* Regions of elements: parts of arrays in C order, and how their bytes lie. No I/O. */
#ifndef READ_REGION_H
#define READ_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trajlog.h"

#define REGION_MAX_RANK (TRAJLOG_MAX_RANK + 1)

struct region {
    int64_t start[REGION_MAX_RANK], count[REGION_MAX_RANK];
};

/* What the two have in common; false if that is nothing. */
bool region_intersect(int32_t rank, const struct region *a, const struct region *b, struct region *common);

/* The same elements in two arrays, each of which holds a region of its own: the runs of bytes that are together in both.
 * They are `count` runs of `bytes` bytes; those of the first level are the nearest neighbours. */
struct runs {
    size_t bytes;
    int64_t count;
    int32_t levels;
    int64_t number[REGION_MAX_RANK]; /* at each level */
    size_t from_step[REGION_MAX_RANK], to_step[REGION_MAX_RANK];
    size_t from, to; /* the first run's place */
    size_t from_end; /* behind the last run */
};

/* `part` lies in both `from` and `to`. The arrays' bytes do not overflow. */
struct runs runs_make(int32_t rank, size_t element_size, const struct region *part, const struct region *from,
                      const struct region *to);

/* Calls for each run; ends when a call does not return 0, with what it returned. */
typedef int (*run_taker)(void *context, size_t from, size_t to, size_t bytes);
int runs_each(const struct runs *runs, run_taker take, void *context);

/* `from` is where the array's byte `skipped` lies. */
void runs_copy(const struct runs *runs, const void *from, size_t skipped, void *to);

#endif
