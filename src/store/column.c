/* A column's life: it is made with its dataset and the memory for its tail, and closed. */
#include "store/column_parts.h"

#include <stdlib.h>
#include <string.h>

#include "store/hdf5_error.h"
#include "store/missing_filter.h"

/* Rows of so many bytes are borrowed: there are not too many of them in a chunk to be written by one call or two. */
#define LEAST_BORROWED ((size_t)1 << 11)

trajlog_status column_failed(const struct column *column, const char *what, struct error *error)
{
    return hdf5_error(error, "%s: group \"%s\", field \"%s\": cannot %s", column->context->path, column->group,
                      column->field, what);
}

trajlog_status column_no_memory(const struct column *column, const char *what, struct error *error)
{
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "%s: group \"%s\", field \"%s\": no memory for %s",
                     column->context->path, column->group, column->field, what);
}

trajlog_status column_not_as_expected(const struct column *column, const char *what, struct error *error)
{
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "%s: group \"%s\", field \"%s\": %s", column->context->path,
                     column->group, column->field, what);
}

trajlog_status column_prepare_encoder(const struct column *column, struct error *error)
{
    if (encoding_is_plain(&column->encoding)) return TRAJLOG_OK;
    const char *missing = missing_filter(column->encoding.level > 0, column->encoding.checksum);
    if (missing)
        return error_set(error, TRAJLOG_UNSUPPORTED, 0, "%s: group \"%s\", field \"%s\": this libhdf5 has no %s filter",
                         column->context->path, column->group, column->field, missing);
    if (!column->context->encoder) column->context->encoder = encoder_new();
    if (!column->context->encoder) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for an encoder");
    return TRAJLOG_OK;
}

/* Its rows lie in the chunk one after the other, as they come. */
static bool may_borrow(const struct column *column)
{
    return column->across == 1 && column->rounding.kind == ROUNDING_NONE && encoding_is_plain(&column->encoding) &&
           column->row_bytes >= LEAST_BORROWED && column->row_bytes < DIRECT_ROW_BYTES;
}

trajlog_status column_make_buffer(struct column *column, struct error *error)
{
    bool is_direct = column->chunk_rows == 1 && column->across == 1 && column->rounding.kind == ROUNDING_NONE;
    if (column->varies || is_direct) return TRAJLOG_OK;
    column->buffer = calloc((size_t)column->across, column->chunk_bytes);
    column->tail = calloc((size_t)column->across, sizeof *column->tail);
    column->room = column->across;
    if (may_borrow(column)) column->borrowed = calloc((size_t)column->chunk_rows, sizeof *column->borrowed);
    if (column->buffer && column->tail && (column->borrowed || !may_borrow(column))) return TRAJLOG_OK;
    column_close(column);
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0,
                     "%s: group \"%s\", field \"%s\": no memory for %lld chunks of %zu bytes", column->context->path,
                     column->group, column->field, (long long)column->across, column->chunk_bytes);
}

/* A second unlimited dimension, even though it does not grow, makes libhdf5 choose a v2 B-tree as the chunk index,
 * whose nodes are smaller than a page; see the commit driver for why that matters. */
static hid_t growing_space(const struct column *column)
{
    hsize_t most[1 + TRAJLOG_MAX_RANK];
    for (int i = 0; i < column->rank; i++) most[i] = i < 2 ? H5S_UNLIMITED : column->extent[i];
    return H5Screate_simple(column->rank, column->extent, most);
}

trajlog_status column_create(struct column *column, struct column_context *context, hid_t location,
                             const struct column_layout *layout, struct error *error)
{
    hsize_t chunk[1 + TRAJLOG_MAX_RANK];
    trajlog_status status = column_plan(column, context, layout, error);
    if (status == TRAJLOG_OK) status = column_plan_chunks(column, layout, error);
    if (status == TRAJLOG_OK) status = column_prepare_encoder(column, error);
    if (status == TRAJLOG_OK) status = column_make_buffer(column, error);
    if (status != TRAJLOG_OK) {
        column_close(column);
        return status;
    }
    memcpy(chunk, column->extent, sizeof chunk);
    chunk[0] = (hsize_t)column->chunk_rows;
    if (column->rank > 1) chunk[1] = (hsize_t)column->chunk_particles;
    hid_t space = growing_space(column);
    hid_t creation = column_creation_properties(column->rank, chunk, &column->encoding, layout);
    status = column_make_dataset(column, location, layout, space, creation, error);
    if (space >= 0) H5Sclose(space);
    if (creation >= 0) H5Pclose(creation);
    if (status != TRAJLOG_OK) column_close(column);
    return status;
}

void column_close(struct column *column)
{
    if (column->dataset > 0) H5Dclose(column->dataset);
    column->dataset = 0;
    free(column->buffer);
    free(column->tail);
    free(column->fill);
    column->fill = NULL;
    column->room = 0;
    free(column->borrowed);
    column->buffer = NULL;
    column->tail = NULL;
    column->borrowed = NULL;
    column->borrowed_rows = 0;
}
