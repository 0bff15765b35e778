/* From one element type to another, and from strided to dense memory. Pure; no allocation after the plan is made. */
#ifndef MODEL_CONVERT_H
#define MODEL_CONVERT_H

#include "model/element.h"

/* Whether elements can be converted: any integer or bool -> any integer (checked, value by value), integer or bool ->
 * float, float32 <-> float64, real -> complex, complex64 <-> complex128, string -> string at least as long, and every
 * type to itself. Not: float -> integer, complex -> real. */
bool conversion_exists(trajlog_type from, trajlog_type to);

/* Converts `count` dense elements; `to` and `from` do not overlap and need no alignment. OUT_OF_RANGE names the first
 * value that does not fit and its index. */
trajlog_status convert_dense(void *to, trajlog_type to_type, const void *from, trajlog_type from_type, int64_t count,
                             struct error *error);

/* How a view's array becomes one dense frame of the field. Made once per binding, so that the copy itself decides
 * nothing: dimensions that lie dense behind one another are merged, and the commonest cases have a loop of their own.
 */
struct gather {
    trajlog_type to_type, from_type;
    int32_t rank;                        /* of what is left after merging; 0: one run of `run` elements */
    int64_t dims[TRAJLOG_MAX_RANK];      /* outer dimensions, slowest first */
    ptrdiff_t strides[TRAJLOG_MAX_RANK]; /* bytes */
    int64_t run;                         /* elements in the innermost run */
    ptrdiff_t run_stride;                /* bytes between them; the element size if dense */
    size_t to_bytes;                     /* of the whole frame, as stored */
    bool plain_copy;                     /* one memcpy of to_bytes does it all */
};

/* `strides` (bytes, one per dimension) may be NULL: contiguous C order. TYPE_MISMATCH if there is no conversion. */
trajlog_status gather_make(struct gather *gather, trajlog_type to_type, trajlog_type from_type,
                           const trajlog_shape *shape, const ptrdiff_t *strides, struct error *error);

/* Copies one frame from `from` to the dense `to`. OUT_OF_RANGE as convert_dense. */
trajlog_status gather_run(const struct gather *gather, void *to, const void *from, struct error *error);

#endif
