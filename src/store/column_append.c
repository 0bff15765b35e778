/* Rows on their way into the tail: copied, or borrowed until their chunk is full; and rows with a varying number of
 * particles, whose tail gets wider when one needs it. */
#include "store/column_parts.h"

#include <stdlib.h>
#include <string.h>

#include "store/driver.h"

void column_put_row(struct column *column, int64_t place, const struct rounding *rounding, const void *row)
{
    const unsigned char *from = row;
    unsigned char *to = column->buffer + (size_t)place * column->slice_bytes;
    for (size_t left = column->row_bytes; left > 0; to += column->chunk_bytes) {
        size_t bytes = left < column->slice_bytes ? left : column->slice_bytes;
        round_values(rounding, from, to, bytes);
        from += bytes;
        left -= bytes;
    }
}

int64_t column_next_write(const struct column *column)
{
    return column->rows - column->tail_rows + column->chunk_rows;
}

void column_gather_any(struct column *column, const void *row)
{
    if (!column->borrowed || !column->context->may_borrow) {
        column_put_row(column, column->tail_rows, &column->rounding, row);
        return;
    }
    column->borrowed[column->borrowed_rows++] = row;
    column->context->borrowed++;
}

static void return_borrowed(struct column *column)
{
    column->context->borrowed -= column->borrowed_rows;
    column->borrowed_rows = 0;
}

void column_settle(struct column *column)
{
    int64_t first = column->tail_rows - column->borrowed_rows;
    for (int64_t i = 0; i < column->borrowed_rows; i++)
        column_put_row(column, first + i, &column->rounding, column->borrowed[i]);
    return_borrowed(column);
}

/* A chunk of rows that all lie elsewhere. Should libhdf5 ever do more with a chunk than to hand it to the driver, it
 * finds the buffer, and that is then what is written. */
static trajlog_status store_borrowed(struct column *column, struct error *error)
{
    struct driver *driver = column->context->driver;
    driver_give_pieces(driver, column->buffer, column->borrowed, (size_t)column->chunk_rows, column->row_bytes);
    trajlog_status status = column_store_full_chunk(column, column->buffer, 0, error);
    if (!driver_took_pieces(driver) && status == TRAJLOG_OK) {
        column_settle(column);
        status = column_store_full_chunk(column, column->buffer, 0, error);
    }
    return_borrowed(column);
    column->tail_rows = 0;
    return status;
}

trajlog_status column_append(struct column *column, const void *row, struct error *error)
{
    if (column->buffer) column_gather_any(column, row);
    column->rows++;
    if (++column->tail_rows < column->chunk_rows) return TRAJLOG_OK;
    if (column->borrowed_rows == column->chunk_rows) return store_borrowed(column, error);
    column_settle(column);
    return column_store_full_chunks(column, column->buffer ? column->buffer : row, error);
}

/* ---- where the number of particles varies ---- */

static void fill_elements(const struct column *column, unsigned char *to, size_t bytes)
{
    size_t size = trajlog_type_size(column->type);
    for (size_t i = 0; i < bytes; i += size) memcpy(to + i, column->fill, size);
}

static trajlog_status make_room(struct column *column, int64_t sides, struct error *error)
{
    if (sides <= column->room) return TRAJLOG_OK;
    struct block *tail = realloc(column->tail, (size_t)sides * sizeof *tail);
    if (tail) column->tail = tail;
    unsigned char *buffer = tail ? realloc(column->buffer, (size_t)sides * column->chunk_bytes) : NULL;
    if (!buffer) return column_no_memory(column, "more particles", error);
    column->buffer = buffer;
    memset(tail + column->room, 0, (size_t)(sides - column->room) * sizeof *tail);
    column->room = sides;
    return TRAJLOG_OK;
}

/* So many particles are to lie in the tail; those that no row had so far have none there in the rows before. */
trajlog_status column_use_sides(struct column *column, int64_t particles, struct error *error)
{
    int64_t sides = (particles + column->chunk_particles - 1) / column->chunk_particles;
    TRY(make_room(column, sides, error));
    for (; column->used < sides; column->used++)
        fill_elements(column, column->buffer + (size_t)column->used * column->chunk_bytes, column->chunk_bytes);
    return TRAJLOG_OK;
}

void column_put_particles(struct column *column, int64_t place, const struct rounding *rounding, const void *row,
                          size_t row_bytes)
{
    const unsigned char *from = row;
    unsigned char *to = column->buffer + (size_t)place * column->slice_bytes;
    for (int64_t side = 0; side < column->used; side++, to += column->chunk_bytes) {
        size_t bytes = row_bytes < column->slice_bytes ? row_bytes : column->slice_bytes;
        if (bytes > 0) round_values(rounding, from, to, bytes);
        fill_elements(column, to + bytes, column->slice_bytes - bytes);
        from += bytes;
        row_bytes -= bytes;
    }
}

size_t column_particle_bytes(const struct column *column)
{
    return column->slice_bytes / (size_t)column->chunk_particles;
}

trajlog_status column_append_particles(struct column *column, const void *row, int64_t particles, struct error *error)
{
    if (column->tail_rows == 0) column->used = 0;
    TRY(column_use_sides(column, particles, error));
    column_put_particles(column, column->tail_rows, &column->rounding, row,
                         (size_t)particles * column_particle_bytes(column));
    column->rows++;
    if (++column->tail_rows < column->chunk_rows) return TRAJLOG_OK;
    return column_store_full_chunks(column, column->buffer, error);
}

trajlog_status column_grow(struct column *column, int64_t capacity, struct error *error)
{
    column->row_bytes = column_particle_bytes(column) * (size_t)capacity;
    column->extent[1] = (hsize_t)capacity;
    TRY(column_size_chunks(column, error));
    if (H5Dset_extent(column->dataset, column->extent) < 0)
        return column_failed(column, "make room for more particles", error);
    return column_check_driver(column, error);
}
