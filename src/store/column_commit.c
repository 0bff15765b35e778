/* Commits: what the helpers still have, the exact number of rows, and the tail; see column.h. */
#include "store/column_parts.h"

/* Everything that comes before the tail, and the extent. */
static trajlog_status store_all_but_tail(struct column *column, struct error *error)
{
    struct pipeline *pipeline = column->context->pipeline;
    column_settle(column);
    while (pipeline && !pipeline_is_empty(pipeline)) TRY(column_store_oldest(pipeline, error));
    return column_extend(column, column->rows, error);
}

trajlog_status column_commit(struct column *column, struct error *error)
{
    if (column->rows == column->committed) return TRAJLOG_OK;
    TRY(store_all_but_tail(column, error));
    if (column->tail_rows > 0) TRY(column_store_tail(column, error));
    column->committed = column->rows;
    return TRAJLOG_OK;
}

/* Until the next commit its old place stays as it is, and what is committed leads there. */
static trajlog_status finish_tail_chunk(struct column *column, int64_t side, struct error *error)
{
    size_t stored = column->tail[side].size;
    bool is_new = column->rows > column->committed, is_raw = stored == column->chunk_bytes;
    struct encoded encoded;
    if (!is_new && !is_raw) return TRAJLOG_OK; /* it has its filters, or is nothing but the fill value */
    if (is_raw && !column->encoding.checksum) return is_new ? column_store_tail_chunk(column, side, error) : TRAJLOG_OK;
    TRY(encoder_encode(column->context->encoder, &column->encoding, column_tail_chunk(column, side),
                       column->chunk_bytes, &encoded, error));
    if (encoded.size == column->chunk_bytes) return column_store_tail_chunk(column, side, error);
    if (encoded.size == stored) TRY(column_store_tail_chunk(column, side, error)); /* else libhdf5 would not move it */
    return column_store_tail_encoded(column, side, &encoded, error);
}

trajlog_status column_finish(struct column *column, struct error *error)
{
    if (column->tail_rows == 0 || encoding_is_plain(&column->encoding)) return column_commit(column, error);
    TRY(store_all_but_tail(column, error));
    for (int64_t side = 0; side < column->used; side++) TRY(finish_tail_chunk(column, side, error));
    column->committed = column->rows;
    return TRAJLOG_OK;
}
