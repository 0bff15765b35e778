/* A dataset without a time axis: made, written once, and closed. A column that has one row, and not for long. */
#include "store/column_parts.h"

#include <stdlib.h>

#include "store/hdf5_types.h"

static trajlog_status write_contiguous(const struct column *column, trajlog_type type, const void *data,
                                       struct error *error)
{
    trajlog_status status = TRAJLOG_OK;
    hid_t memory = hdf5_memory_type(type);
    if (memory < 0 || H5Dwrite(column->dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        status = column_failed(column, "write the dataset", error);
    if (memory >= 0) H5Tclose(memory);
    return status;
}

/* *rounded is memory of its own, to be freed; NULL: there is nothing to round. */
static trajlog_status round_once(const struct column *column, const void *data, void **rounded, struct error *error)
{
    *rounded = NULL;
    if (column->rounding.kind == ROUNDING_NONE) return TRAJLOG_OK;
    *rounded = malloc(column->row_bytes);
    if (!*rounded)
        return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0,
                         "%s: group \"%s\", field \"%s\": no memory to round %zu bytes", column->context->path,
                         column->group, column->field, column->row_bytes);
    round_values(&column->rounding, data, *rounded, column->row_bytes);
    return TRAJLOG_OK;
}

static trajlog_status write_encoded(struct column *column, const void *data, struct error *error)
{
    struct encoded encoded;
    hsize_t offset[TRAJLOG_MAX_RANK] = {0};
    TRY(encoder_encode(column->context->encoder, &column->encoding, data, column->chunk_bytes, &encoded, error));
    if (H5Dwrite_chunk(column->dataset, H5P_DEFAULT, encoded.filter_mask, offset, encoded.size, encoded.bytes) < 0)
        return column_failed(column, "write the dataset", error);
    return TRAJLOG_OK;
}

trajlog_status column_write_once(struct column_context *context, hid_t location, const struct column_layout *layout,
                                 const void *data, struct error *error)
{
    struct column column;
    struct column_layout whole = *layout;
    const hsize_t *dims = column.extent + 1;
    int rank = layout->shape.rank;
    /* Filters need chunks, and a scalar cannot be chunked: it is stored as it is. */
    bool filtered = rank > 0 && (storage_level(&layout->storage) > 0 || layout->storage.checksum);
    void *rounded;
    whole.storage.chunk_rows = 1;
    whole.storage.access = TRAJLOG_ACCESS_FRAME;
    TRY(column_plan(&column, context, &whole, error));
    if (filtered) {
        TRY(column_plan_chunks(&column, &whole, error));
        TRY(column_prepare_encoder(&column, error));
    }
    TRY(round_once(&column, data, &rounded, error));
    if (rounded) data = rounded;

    hid_t space = rank > 0 ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t creation = column_creation_properties(rank, filtered ? dims : NULL, &column.encoding, layout);
    trajlog_status status = column_make_dataset(&column, location, layout, space, creation, error);
    if (status == TRAJLOG_OK)
        status = filtered ? write_encoded(&column, data, error) : write_contiguous(&column, layout->type, data, error);
    if (space >= 0) H5Sclose(space);
    if (creation >= 0) H5Pclose(creation);
    column_close(&column);
    free(rounded);
    return status;
}
