/* A view: how a field's bytes are found in the simulation's memory. Bound to an array, or filled by a callback. */
#ifndef WRITE_VIEW_H
#define WRITE_VIEW_H

#include <string.h>

#include "model/convert.h"
#include "model/schema.h"

enum view_kind { VIEW_MISSING, VIEW_ARRAY, VIEW_CALLBACK };

struct view {
    enum view_kind kind;
    const void *data; /* not owned */
    bool strided;
    bool fortran; /* the strides follow from the field's shape */
    ptrdiff_t strides[TRAJLOG_MAX_RANK];
    trajlog_fill fill;
    void *context;
    struct gather gather; /* from the array, or from `scratch`, to the frame */
    void *scratch;        /* what a callback fills, where that is not yet what is stored; owned */
    bool needs_scratch;   /* a callback's frame is always filled there */
    size_t least_scratch; /* bytes, where that is more than the field's shape says */
};

/* Each replaces the view, and allocates nothing. `strides` may be NULL: contiguous C order. INVALID_ARGUMENT. */
trajlog_status view_bind(struct view *view, const struct field *field, const void *data, const ptrdiff_t *strides,
                         struct error *error);
trajlog_status view_bind_fortran(struct view *view, const struct field *field, const void *data, struct error *error);

/* INVALID_ARGUMENT, OUT_OF_MEMORY. */
trajlog_status view_set_callback(struct view *view, const struct field *field, trajlog_fill fill, void *context,
                                 struct error *error);

/* Makes the view ready for the field as it is now: its stored type may have changed. MISSING_VIEW, OUT_OF_MEMORY. */
trajlog_status view_prepare(struct view *view, const struct field *field, struct error *error);

/* From here on a callback fills `scratch`, also where its bytes are what is stored. OUT_OF_MEMORY. */
trajlog_status view_need_scratch(struct view *view, const struct field *field, struct error *error);

/* From here on `scratch`, where there is one, has at least so many bytes. OUT_OF_MEMORY. */
trajlog_status view_make_room(struct view *view, size_t bytes, struct error *error);

/* Copies one frame, dense and in the stored type, to `to`. CALLBACK_FAILED, OUT_OF_RANGE. */
trajlog_status view_copy(const struct view *view, void *to, const void *state, struct error *error);

/* The same where nothing but bytes have to be copied; false: they have not been. Numbers are the commonest, often many of
 * them, and a call for each takes longer than the copy. */
static inline bool view_copy_plain(const struct view *view, void *to)
{
    if (view->kind != VIEW_ARRAY || !view->gather.plain_copy) return false;
    if (view->gather.to_bytes == sizeof(double)) memcpy(to, view->data, sizeof(double));
    else memcpy(to, view->data, view->gather.to_bytes);
    return true;
}

void view_destroy(struct view *view);

#endif
