/* Slots: rows that are written again and again in place. Each is a chunk by itself, without filters, so that it never
 * moves and its neighbours are never touched. */
#include "store/column_parts.h"

#include <stdlib.h>
#include <string.h>

static trajlog_status make_slots(struct column *column, hid_t location, const struct column_layout *layout,
                                 struct error *error)
{
    hsize_t chunk[1 + TRAJLOG_MAX_RANK];
    memcpy(chunk, column->extent, sizeof chunk);
    chunk[0] = 1;
    hid_t space = H5Screate_simple(column->rank, column->extent, NULL);
    hid_t creation = column_creation_properties(column->rank, chunk, &column->encoding, layout);
    trajlog_status status = column_make_dataset(column, location, layout, space, creation, error);
    if (space >= 0) H5Sclose(space);
    if (creation >= 0) H5Pclose(creation);
    return status;
}

trajlog_status column_create_slots(struct column *column, struct column_context *context, hid_t location,
                                   const struct column_layout *layout, int64_t slots, struct error *error)
{
    struct column_layout plain = *layout;
    void *zero = calloc(1, trajlog_type_size(layout->type));
    plain.storage = (struct storage){.chunk_rows = 1};
    plain.fill = zero;
    trajlog_status status = column_plan(column, context, &plain, error);
    column->extent[0] = (hsize_t)slots;
    if (status == TRAJLOG_OK && !zero) status = error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    if (status == TRAJLOG_OK) status = column_plan_chunks(column, &plain, error);
    if (status == TRAJLOG_OK) status = make_slots(column, location, &plain, error);
    free(zero);
    return status;
}

trajlog_status column_open_slots(struct column *column, struct column_context *context, hid_t location,
                                 const struct column_layout *layout, int64_t slots, struct error *error)
{
    trajlog_status status = column_open_as_it_is(column, context, location, layout, false, error);
    if (status == TRAJLOG_OK &&
        (column->extent[0] != (hsize_t)slots || column->chunk_rows != 1 || !encoding_is_plain(&column->encoding)))
        status = column_not_as_expected(column, "its dataset is not stored as trajlog stores", error);
    if (status != TRAJLOG_OK) column_close(column);
    return status;
}

trajlog_status column_write_slot(struct column *column, int64_t slot, const void *row, struct error *error)
{
    struct encoded encoded = {.bytes = row, .size = column->row_bytes};
    struct block taken;
    return column_store_chunk(column, column_corner(column, slot, 0), &encoded, &taken, error);
}
