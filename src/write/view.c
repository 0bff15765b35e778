#include "write/view.h"

#include <stdlib.h>
#include <string.h>

trajlog_status view_bind(struct view *view, const struct field *field, const void *data, const ptrdiff_t *strides,
                         struct error *error)
{
    struct gather gather;
    if (data == NULL) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the array is NULL");
    TRY(gather_make(&gather, field->stored_type, field->type, &field->shape, strides, error));
    view->kind = VIEW_ARRAY;
    view->data = data;
    view->gather = gather;
    view->strided = strides != NULL;
    view->fortran = false;
    for (int32_t i = 0; strides != NULL && i < field->shape.rank; i++) view->strides[i] = strides[i];
    return TRAJLOG_OK;
}

trajlog_status view_bind_fortran(struct view *view, const struct field *field, const void *data, struct error *error)
{
    ptrdiff_t strides[TRAJLOG_MAX_RANK];
    ptrdiff_t stride = (ptrdiff_t)trajlog_type_size(field->type);
    for (int32_t i = 0; i < field->shape.rank; i++) {
        strides[i] = stride;
        stride *= field->shape.dims[i];
    }
    TRY(view_bind(view, field, data, strides, error));
    view->fortran = true;
    return TRAJLOG_OK;
}

/* A callback fills the frame itself where its bytes are what is stored. */
static trajlog_status prepare_callback(struct view *view, const struct field *field, struct error *error)
{
    TRY(gather_make(&view->gather, field->stored_type, field->type, &field->shape, NULL, error));
    free(view->scratch);
    view->scratch = NULL;
    if (view->gather.plain_copy && !view->needs_scratch) return TRAJLOG_OK;
    size_t bytes = field->memory_bytes > view->least_scratch ? field->memory_bytes : view->least_scratch;
    view->scratch = calloc(1, bytes);
    if (view->scratch != NULL) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a frame of %zu bytes", bytes);
}

trajlog_status view_set_callback(struct view *view, const struct field *field, trajlog_fill fill, void *context,
                                 struct error *error)
{
    if (fill == NULL) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the callback is NULL");
    view->kind = VIEW_CALLBACK;
    view->fill = fill;
    view->context = context;
    return prepare_callback(view, field, error);
}

trajlog_status view_prepare(struct view *view, const struct field *field, struct error *error)
{
    switch (view->kind) {
    case VIEW_MISSING:
        return error_set(error, TRAJLOG_MISSING_VIEW, 0,
                         "no view: give an array to trajlog_add_field or trajlog_bind, "
                         "or a callback to trajlog_set_callback");
    case VIEW_ARRAY:
        return gather_make(&view->gather, field->stored_type, field->type, &field->shape,
                           view->strided ? view->strides : NULL, error);
    case VIEW_CALLBACK:
        return prepare_callback(view, field, error);
    }
    return TRAJLOG_OK;
}

trajlog_status view_need_scratch(struct view *view, const struct field *field, struct error *error)
{
    if (view->needs_scratch) return TRAJLOG_OK;
    view->needs_scratch = true;
    return view->kind == VIEW_CALLBACK ? prepare_callback(view, field, error) : TRAJLOG_OK;
}

trajlog_status view_make_room(struct view *view, size_t bytes, struct error *error)
{
    view->least_scratch = bytes;
    if (view->scratch == NULL) return TRAJLOG_OK;
    free(view->scratch);
    view->scratch = calloc(1, bytes);
    if (view->scratch != NULL) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a frame of %zu bytes", bytes);
}

trajlog_status view_copy(const struct view *view, void *to, const void *state, struct error *error)
{
    if (view->kind == VIEW_ARRAY) return gather_run(&view->gather, to, view->data, error);
    void *frame = view->scratch != NULL ? view->scratch : to;
    int failed = view->fill(frame, state, view->context);
    if (failed != 0) return error_set(error, TRAJLOG_CALLBACK_FAILED, 0, "the callback returned %d", failed);
    return view->scratch != NULL ? gather_run(&view->gather, to, frame, error) : TRAJLOG_OK;
}

void view_destroy(struct view *view)
{
    free(view->scratch);
    view->scratch = NULL;
}
