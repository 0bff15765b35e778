/* Going on with the column of an earlier run: its last rows come back into memory, as the tail, and the chunks with
 * rows that are not kept leave the dataset. Also a column that is new beside such ones, and lacks their rows. */
#include "store/column_parts.h"

#include <stdlib.h>
#include <string.h>

#include "store/driver.h"
#include "store/hdf5_types.h"

#define MOST_SEARCHED 10000000 /* chunks, when some leave: libhdf5 searches for each from the first one on */

/* The first `particles` of each row, or whatever the second dimension counts. */
static trajlog_status read_part(const struct column *column, int64_t first_row, int64_t rows, int64_t particles,
                                void *to, struct error *error)
{
    hsize_t start[1 + TRAJLOG_MAX_RANK] = {(hsize_t)first_row}, count[1 + TRAJLOG_MAX_RANK];
    memcpy(count, column->extent, sizeof count);
    count[0] = (hsize_t)rows;
    if (column->rank > 1) count[1] = (hsize_t)particles;
    hid_t type = hdf5_memory_type(column->type), memory = H5Screate_simple(column->rank, count, NULL);
    hid_t space = H5Dget_space(column->dataset);
    bool good = type >= 0 && memory >= 0 && space >= 0 &&
                H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                H5Dread(column->dataset, type, memory, space, H5P_DEFAULT, to) >= 0;
    trajlog_status status = good ? TRAJLOG_OK : column_failed(column, "read its last rows", error);
    if (space >= 0) H5Sclose(space);
    if (memory >= 0) H5Sclose(memory);
    if (type >= 0) H5Tclose(type);
    return status;
}

trajlog_status column_read(const struct column *column, int64_t first_row, int64_t rows, void *to, struct error *error)
{
    return read_part(column, first_row, rows, column_capacity(column), to, error);
}

/* Where the chunk is; size 0: nowhere. */
static trajlog_status find_chunk(const struct column *column, struct corner corner, struct block *block, uint32_t *mask,
                                 struct error *error)
{
    unsigned found = 0;
    if (H5Dget_chunk_info_by_coord(column->dataset, corner.at, &found, &block->address, &block->size) < 0)
        return column_failed(column, "find a chunk", error);
    if (block->address == HADDR_UNDEF) block->size = 0;
    *mask = found;
    return TRAJLOG_OK;
}

/* How many of the chunks that lie side by side are stored: they are the first ones. */
static trajlog_status count_stored(const struct column *column, int64_t first_row, int64_t *stored, struct error *error)
{
    int64_t low = 0, high = column->across;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        struct block block;
        uint32_t mask;
        TRY(find_chunk(column, column_corner(column, first_row, middle), &block, &mask, error));
        if (block.size > 0) low = middle + 1;
        else high = middle;
    }
    *stored = low;
    return TRAJLOG_OK;
}

static trajlog_status read_particles(struct column *column, int64_t first_row, int64_t rows, struct error *error)
{
    const struct rounding as_it_is = {.kind = ROUNDING_NONE};
    int64_t stored, particles;
    TRY(count_stored(column, first_row, &stored, error));
    if (stored == 0) return TRAJLOG_OK;
    particles = stored < column->across ? stored * column->chunk_particles : column_capacity(column);
    TRY(column_use_sides(column, particles, error));
    size_t row_bytes = (size_t)particles * column_particle_bytes(column);
    unsigned char *dense = calloc((size_t)rows, row_bytes);
    if (!dense) return column_no_memory(column, "its last rows", error);
    trajlog_status status = read_part(column, first_row, rows, particles, dense, error);
    for (int64_t i = 0; status == TRAJLOG_OK && i < rows; i++)
        column_put_particles(column, i, &as_it_is, dense + (size_t)i * row_bytes, row_bytes);
    free(dense);
    return status;
}

static trajlog_status read_tail(struct column *column, int64_t first_row, int64_t rows, struct error *error)
{
    const struct rounding as_it_is = {.kind = ROUNDING_NONE};
    if (column->varies) return read_particles(column, first_row, rows, error);
    if (column->across == 1) return column_read(column, first_row, rows, column->buffer, error);
    unsigned char *dense = calloc((size_t)rows, column->row_bytes);
    if (!dense)
        return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "%s: group \"%s\", field \"%s\": no memory for %lld rows",
                         column->context->path, column->group, column->field, (long long)rows);
    trajlog_status status = column_read(column, first_row, rows, dense, error);
    for (int64_t i = 0; status == TRAJLOG_OK && i < rows; i++)
        column_put_row(column, i, &as_it_is, dense + (size_t)i * column->row_bytes);
    free(dense);
    return status;
}

/* Whether all of the tail is on disk as a commit or column_finish would have it there. Its filters change its size. */
static trajlog_status find_tail(struct column *column, int64_t first_row, bool *found, struct error *error)
{
    *found = true;
    for (int64_t side = 0; side < column->used && *found; side++) {
        uint32_t mask = 0;
        TRY(find_chunk(column, column_corner(column, first_row, side), &column->tail[side], &mask, error));
        bool is_raw = column->tail[side].size == column->chunk_bytes;
        *found = column->tail[side].size > 0 && is_raw == (mask == encoding_mask_all(&column->encoding));
    }
    if (!*found) memset(column->tail, 0, (size_t)column->used * sizeof *column->tail);
    return TRAJLOG_OK;
}

static void set_rows(struct column *column, int64_t rows)
{
    column->rows = column->committed = rows;
    column->tail_rows = rows % column->chunk_rows;
}

/* A tail from which rows go moves: in its place it would have to be changed by libhdf5. */
trajlog_status column_keep(struct column *column, int64_t rows, struct error *error)
{
    set_rows(column, rows);
    column->tail_stays = rows == (int64_t)column->extent[0];
    if (column->tail_rows == 0) return TRAJLOG_OK;
    TRY(read_tail(column, rows - column->tail_rows, column->tail_rows, error));
    if (!column->tail_stays) return TRAJLOG_OK;
    return find_tail(column, rows - column->tail_rows, &column->tail_stays, error);
}

/* The blocks of the chunks from `first_row` on, which are about to leave the dataset; as many as are found soon. */
static trajlog_status give_back(const struct column *column, int64_t first_row, struct error *error)
{
    int64_t first = first_row / column->chunk_rows;
    int64_t end = ((int64_t)column->extent[0] + column->chunk_rows - 1) / column->chunk_rows;
    int64_t chunks = (end - first) * column->across, most = MOST_SEARCHED / (end * column->across + 1);
    for (int64_t i = 0; i < chunks && i < most; i++) {
        int64_t row = (first + i / column->across) * column->chunk_rows;
        struct block block;
        uint32_t mask;
        TRY(find_chunk(column, column_corner(column, row, i % column->across), &block, &mask, error));
        if (block.size > 0) driver_retire(column->context->driver, block.address, block.size, RETIRE_SECONDS);
    }
    return TRAJLOG_OK;
}

/* Whole chunks go, and the tail is stored anew: libhdf5 writes into no chunk that is there, and the new one gets the
 * filter mask of a chunk that is stored as it is. */
trajlog_status column_take_up(struct column *column, struct error *error)
{
    int64_t full_rows = column->rows - column->tail_rows;
    if (column->tail_stays) return TRAJLOG_OK;
    TRY(give_back(column, full_rows, error));
    TRY(column_extend(column, full_rows, error));
    TRY(column_extend(column, column->rows, error));
    return column->tail_rows > 0 ? column_store_tail(column, error) : TRAJLOG_OK;
}

trajlog_status column_fill(struct column *column, int64_t rows, const void *fill, struct error *error)
{
    size_t size = trajlog_type_size(column->type);
    size_t tail_bytes = (size_t)(rows % column->chunk_rows) * column->slice_bytes;
    TRY(column_extend(column, rows, error));
    for (int64_t side = 0; side < column->used && tail_bytes > 0; side++) {
        unsigned char *chunk = column->buffer + (size_t)side * column->chunk_bytes;
        for (size_t i = 0; i < tail_bytes; i += size) memcpy(chunk + i, fill, size);
    }
    set_rows(column, rows);
    column->tail_stays = true;
    return TRAJLOG_OK;
}
