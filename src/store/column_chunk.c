/* Chunks on their way to disk: full ones with their filters, by way of the helpers where there are any, and the tail as
 * it is, in its place. Every chunk of a column with a time axis is stored here. */
#include "store/column_parts.h"

#include <string.h>

#include "store/driver.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Chunks are written as they lie in memory, and the file is little-endian."
#endif

trajlog_status column_extend(struct column *column, int64_t rows, struct error *error)
{
    if (column->extent[0] == (hsize_t)rows) return TRAJLOG_OK;
    column->extent[0] = (hsize_t)rows;
    if (H5Dset_extent(column->dataset, column->extent) < 0) return column_failed(column, "extend the dataset", error);
    return TRAJLOG_OK;
}

trajlog_status column_check_driver(const struct column *column, struct error *error)
{
    trajlog_status status = driver_error(column->context->driver, error);
    if (status != TRAJLOG_OK) error_prefix(error, "group \"%s\", field \"%s\"", column->group, column->field);
    return status;
}

struct corner column_corner(const struct column *column, int64_t first_row, int64_t side)
{
    return (struct corner){{(hsize_t)first_row, (hsize_t)(side * column->chunk_particles)}};
}

trajlog_status column_store_chunk(struct column *column, struct corner corner, const struct encoded *encoded,
                                  struct block *taken, struct error *error)
{
    struct driver *driver = column->context->driver;
    (void)driver_last_raw(driver, &taken->address, &taken->size); /* not those of before */
    if (H5Dwrite_chunk(column->dataset, H5P_DEFAULT, encoded->filter_mask, corner.at, encoded->size, encoded->bytes) <
        0)
        return column_failed(column, "write a chunk", error);
    if (!driver_last_raw(driver, &taken->address, &taken->size)) taken->size = 0;
    column->context->chunks++;
    return column_check_driver(column, error);
}

/* The tail is stored anew, at `taken`, unless it stays in its place. libhdf5 frees nothing while readers may look, so
 * the old place would be lost. */
static void move_tail(struct column *column, int64_t side, const struct block *taken)
{
    struct block *tail = &column->tail[side];
    if (taken->size == 0) return;
    if (tail->size > 0) driver_retire(column->context->driver, tail->address, tail->size, RETIRE_SECONDS);
    *tail = *taken;
}

static trajlog_status store_encoded(const struct chunk_place *place, const struct encoded *encoded, struct error *error)
{
    struct column *column = place->column;
    struct block taken;
    TRY(column_extend(column, place->first_row + column->chunk_rows, error));
    TRY(column_store_chunk(column, column_corner(column, place->first_row, place->side), encoded, &taken, error));
    if (!column->tail) return TRAJLOG_OK;
    move_tail(column, place->side, &taken);
    column->tail[place->side].size = 0; /* of the next chunk, nothing is stored */
    return TRAJLOG_OK;
}

trajlog_status column_store_oldest(struct pipeline *pipeline, struct error *error)
{
    struct chunk_place place;
    struct encoded encoded;
    TRY(pipeline_take(pipeline, &place, &encoded, error));
    return store_encoded(&place, &encoded, error);
}

trajlog_status column_store_full_chunk(struct column *column, const void *chunk, int64_t side, struct error *error)
{
    struct pipeline *pipeline = column->context->pipeline;
    struct chunk_place place = {column, column->rows - column->chunk_rows, side};
    struct encoded encoded = {.bytes = chunk, .size = column->chunk_bytes};
    if (encoding_is_plain(&column->encoding)) return store_encoded(&place, &encoded, error);
    if (pipeline) {
        if (pipeline_is_full(pipeline)) TRY(column_store_oldest(pipeline, error));
        if (chunk == column->buffer && column->across == 1 && !column->varies)
            return pipeline_exchange(pipeline, place, &column->encoding, &column->buffer, column->chunk_bytes, error);
        return pipeline_put(pipeline, place, &column->encoding, chunk, column->chunk_bytes, error);
    }
    TRY(encoder_encode(column->context->encoder, &column->encoding, chunk, column->chunk_bytes, &encoded, error));
    return store_encoded(&place, &encoded, error);
}

unsigned char *column_tail_chunk(struct column *column, int64_t side)
{
    size_t used = (size_t)column->tail_rows * column->slice_bytes;
    unsigned char *chunk = column->buffer + (size_t)side * column->chunk_bytes;
    memset(chunk + used, 0, column->chunk_bytes - used);
    return chunk;
}

trajlog_status column_store_tail_encoded(struct column *column, int64_t side, const struct encoded *encoded,
                                         struct error *error)
{
    struct block taken;
    int64_t first_row = column->rows - column->tail_rows;
    TRY(column_store_chunk(column, column_corner(column, first_row, side), encoded, &taken, error));
    move_tail(column, side, &taken);
    return TRAJLOG_OK;
}

/* The tail is stored as it is, whatever the filters: then writing it again at the next commit leaves it in place, and
 * the bytes of committed rows do not change, so that a write that is cut short cannot harm them. */
trajlog_status column_store_tail_chunk(struct column *column, int64_t side, struct error *error)
{
    struct encoded encoded = {.bytes = column_tail_chunk(column, side),
                              .size = column->chunk_bytes,
                              .filter_mask = encoding_mask_all(&column->encoding)};
    return column_store_tail_encoded(column, side, &encoded, error);
}

trajlog_status column_store_tail(struct column *column, struct error *error)
{
    for (int64_t side = 0; side < column->used; side++) TRY(column_store_tail_chunk(column, side, error));
    return TRAJLOG_OK;
}

/* A tail that an earlier run has stored with its filters is not overwritten: its bytes would change, should the chunk
 * that is full now happen to be of the same size. */
static trajlog_status move_filtered_tail(struct column *column, struct error *error)
{
    for (int64_t side = 0; side < column->used; side++) {
        size_t stored = column->tail[side].size;
        if (stored > 0 && stored != column->chunk_bytes) TRY(column_store_tail_chunk(column, side, error));
    }
    return TRAJLOG_OK;
}

trajlog_status column_store_full_chunks(struct column *column, const unsigned char *chunks, struct error *error)
{
    if (column->tail) TRY(move_filtered_tail(column, error));
    column->tail_rows = 0;
    for (int64_t side = 0; side < column->used; side++)
        TRY(column_store_full_chunk(column, chunks + (size_t)side * column->chunk_bytes, side, error));
    return TRAJLOG_OK;
}
