/* What follows from a column's layout without libhdf5: the shape of its chunks, and what is done to its values.
 *
 * A chunk is about as large as is good to write at once, and not longer than a commit should have to write again. Where
 * a particle's series is to be read fast, it is less wide, and has more rows. */
#include "store/column_parts.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES       ((size_t)1 << 20) /* the aim */
#define MOST_CHUNK_ROWS   8192
#define MOST_VARYING_ROWS 128 /* where chunks may get to lie side by side, all in memory until they are full */

/* Access by particle: many rows a chunk, so that a particle's series is in few of them. All the chunks that lie side by
 * side are gathered at the same time, and limit the rows where there are very many particles. */
#define SERIES_CHUNK_BYTES ((size_t)1 << 18)
#define SERIES_ROWS        64
#define SERIES_BAND_BYTES  ((size_t)1 << 26)

#define MOST_CHUNK_BYTES ((size_t)UINT32_MAX) /* libhdf5's own limit */

static int64_t series_rows(size_t row_bytes)
{
    size_t rows = SERIES_CHUNK_BYTES / row_bytes, most = SERIES_BAND_BYTES / row_bytes;
    if (rows < SERIES_ROWS) rows = SERIES_ROWS;
    if (rows > MOST_CHUNK_ROWS) rows = MOST_CHUNK_ROWS;
    if (rows > most) rows = most;
    return rows > 0 ? (int64_t)rows : 1;
}

int64_t column_chunk_rows(const struct storage *storage, size_t row_bytes)
{
    if (storage->chunk_rows > 0) return storage->chunk_rows;
    if (storage->access == TRAJLOG_ACCESS_PARTICLE) return series_rows(row_bytes);
    if (row_bytes >= DIRECT_ROW_BYTES) return 1;
    size_t rows = CHUNK_BYTES / row_bytes;
    return rows < MOST_CHUNK_ROWS ? (int64_t)rows : MOST_CHUNK_ROWS;
}

int64_t column_chunk_particles(const struct storage *storage, size_t row_bytes, int64_t particles)
{
    if (storage->access != TRAJLOG_ACCESS_PARTICLE) return particles;
    size_t particle_bytes = row_bytes / (size_t)particles;
    size_t most = SERIES_CHUNK_BYTES / particle_bytes / (size_t)column_chunk_rows(storage, row_bytes);
    if (most == 0) most = 1;
    size_t across = ((size_t)particles + most - 1) / most;
    return (int64_t)(((size_t)particles + across - 1) / across);
}

static struct encoding encoding_of(const struct column_layout *layout)
{
    struct encoding encoding = {.element_size = trajlog_type_size(layout->type), .checksum = layout->storage.checksum};
    encoding.level = storage_level(&layout->storage);
    return encoding;
}

static struct rounding rounding_of(const struct column_layout *layout)
{
    const struct storage *storage = &layout->storage;
    bool widened = layout->memory_type == TRAJLOG_FLOAT32 && layout->type == TRAJLOG_FLOAT64;
    bool converted = layout->memory_type != 0 && layout->memory_type != layout->type && !widened;
    if (storage->max_error > 0.0) return rounding_to_error(layout->type, storage->max_error, converted);
    if (storage->significant_digits > 0)
        return rounding_to_digits(layout->type, storage->significant_digits, converted);
    return (struct rounding){.kind = ROUNDING_NONE};
}

static trajlog_status keep_fill(struct column *column, const void *fill, struct error *error)
{
    size_t size = trajlog_type_size(column->type);
    column->fill = malloc(size);
    if (!column->fill) return column_no_memory(column, "its fill value", error);
    memcpy(column->fill, fill, size);
    return TRAJLOG_OK;
}

trajlog_status column_plan(struct column *column, struct column_context *context, const struct column_layout *layout,
                           struct error *error)
{
    memset(column, 0, sizeof *column);
    column->context = context;
    column->group = layout->group;
    column->field = layout->field;
    column->encoding = encoding_of(layout);
    column->rounding = rounding_of(layout);
    column->type = layout->type;
    column->varies = layout->varies;
    TRY(shape_bytes(&layout->shape, layout->type, &column->row_bytes, error));
    column->rank = 1 + layout->shape.rank;
    for (int i = 1; i < column->rank; i++) column->extent[i] = (hsize_t)layout->shape.dims[i - 1];
    return layout->varies ? keep_fill(column, layout->fill, error) : TRAJLOG_OK;
}

int64_t column_capacity(const struct column *column)
{
    return column->rank > 1 ? (int64_t)column->extent[1] : 1;
}

trajlog_status column_size_chunks(struct column *column, struct error *error)
{
    int64_t particles = column_capacity(column);
    size_t buffer_bytes;
    column->across = (particles + column->chunk_particles - 1) / column->chunk_particles;
    if (!column->varies) column->used = column->across;
    column->slice_bytes = column->row_bytes / (size_t)particles * (size_t)column->chunk_particles;
    column->encoding.row_bytes = column->slice_bytes;
    if ((size_t)column->chunk_rows > MOST_CHUNK_BYTES / column->slice_bytes)
        return error_set(error, TRAJLOG_OUT_OF_RANGE, 0,
                         "%s: group \"%s\", field \"%s\": a chunk of %lld rows of %zu bytes; HDF5 allows less than "
                         "4 GiB",
                         column->context->path, column->group, column->field, (long long)column->chunk_rows,
                         column->slice_bytes);
    column->chunk_bytes = column->slice_bytes * (size_t)column->chunk_rows;
    column->is_number =
        column->row_bytes == sizeof(uint64_t) && column->across == 1 && column->rounding.kind == ROUNDING_NONE;
    if (!__builtin_mul_overflow(column->chunk_bytes, (size_t)column->across, &buffer_bytes)) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_OUT_OF_RANGE, 0,
                     "%s: group \"%s\", field \"%s\": no memory holds %lld rows of %zu bytes", column->context->path,
                     column->group, column->field, (long long)column->chunk_rows, column->row_bytes);
}

trajlog_status column_plan_chunks(struct column *column, const struct column_layout *layout, struct error *error)
{
    struct storage storage = layout->storage;
    storage.chunk_rows = column_chunk_rows(&storage, column->row_bytes);
    if (column->varies && layout->storage.chunk_rows == 0 && storage.chunk_rows > MOST_VARYING_ROWS)
        storage.chunk_rows = MOST_VARYING_ROWS;
    column->chunk_rows = storage.chunk_rows;
    column->chunk_particles = column_chunk_particles(&storage, column->row_bytes, column_capacity(column));
    return column_size_chunks(column, error);
}
