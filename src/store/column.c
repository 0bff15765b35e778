#include "store/column.h"

#include <stdlib.h>
#include <string.h>

#include "store/driver.h"
#include "store/hdf5_error.h"
#include "store/hdf5_types.h"
#include "store/missing_filter.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Chunks are written as they lie in memory, and the file is little-endian."
#endif

#define CHUNK_BYTES       ((size_t)1 << 20) /* the aim */
#define DIRECT_ROW_BYTES  ((size_t)1 << 18) /* a row as large as this is a chunk by itself */
#define MOST_CHUNK_ROWS   8192
#define MOST_VARYING_ROWS 128 /* where chunks may get to lie side by side, all in memory until they are full */

/* Rows of so many bytes are borrowed: there are not too many of them in a chunk to be written by one call or two. */
#define LEAST_BORROWED ((size_t)1 << 11)

/* Access by particle: many rows a chunk, so that a particle's series is in few of them. All the chunks that lie side by
 * side are gathered at the same time, and limit the rows where there are very many particles. */
#define SERIES_CHUNK_BYTES ((size_t)1 << 18)
#define SERIES_ROWS        64
#define SERIES_BAND_BYTES  ((size_t)1 << 26)

#define RETIRE_SECONDS   5.0                  /* a reader's walk from the chunk index to the chunk takes less */
#define MOST_CHUNK_BYTES ((size_t)UINT32_MAX) /* libhdf5's own limit */
#define MOST_SEARCHED    10000000 /* chunks, when some leave: libhdf5 searches for each from the first one on */

static trajlog_status column_failed(const struct column *column, const char *what, struct error *error)
{
    return hdf5_error(error, "%s: group \"%s\", field \"%s\": cannot %s", column->context->path, column->group,
                      column->field, what);
}

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

static trajlog_status no_memory(const struct column *column, const char *what, struct error *error)
{
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "%s: group \"%s\", field \"%s\": no memory for %s",
                     column->context->path, column->group, column->field, what);
}

static trajlog_status keep_fill(struct column *column, const void *fill, struct error *error)
{
    size_t size = trajlog_type_size(column->type);
    column->fill = malloc(size);
    if (!column->fill) return no_memory(column, "its fill value", error);
    memcpy(column->fill, fill, size);
    return TRAJLOG_OK;
}

/* Everything about a column that does not need libhdf5. Close it also after a failure. */
static trajlog_status plan(struct column *column, struct column_context *context, const struct column_layout *layout,
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

/* What follows from the chunks' shape. */
static trajlog_status size_chunks(struct column *column, struct error *error)
{
    int64_t particles = column_capacity(column);
    size_t buffer_bytes;
    column->across = (particles + column->chunk_particles - 1) / column->chunk_particles;
    if (!column->varies) column->used = column->across;
    column->slice_bytes = column->row_bytes / (size_t)particles * (size_t)column->chunk_particles;
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

static trajlog_status plan_chunks(struct column *column, const struct column_layout *layout, struct error *error)
{
    struct storage storage = layout->storage;
    storage.chunk_rows = column_chunk_rows(&storage, column->row_bytes);
    if (column->varies && layout->storage.chunk_rows == 0 && storage.chunk_rows > MOST_VARYING_ROWS)
        storage.chunk_rows = MOST_VARYING_ROWS;
    column->chunk_rows = storage.chunk_rows;
    column->chunk_particles = column_chunk_particles(&storage, column->row_bytes, column_capacity(column));
    return size_chunks(column, error);
}

/* The encoder is made with the first column that needs one. */
static trajlog_status prepare_encoder(const struct column *column, struct error *error)
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

/* The order is that of codec.h. */
static bool set_filters(hid_t properties, const struct encoding *encoding)
{
    if (encoding->level > 0 &&
        (H5Pset_shuffle(properties) < 0 || H5Pset_deflate(properties, (unsigned)encoding->level) < 0))
        return false;
    return !encoding->checksum || H5Pset_fletcher32(properties) >= 0;
}

/* Without a fill value libhdf5 never fills: then all that is in the extent has been written. */
static bool set_fill(hid_t properties, const struct column_layout *layout)
{
    if (!layout->fill) return H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) >= 0;
    hid_t memory = hdf5_memory_type(layout->type);
    bool good = memory >= 0 && H5Pset_fill_value(properties, memory, layout->fill) >= 0;
    if (memory >= 0) H5Tclose(memory);
    return good;
}

/* Creation properties of a dataset, chunked unless `chunk` is NULL. No time stamps: equal runs make equal files. */
static hid_t creation_properties(int rank, const hsize_t *chunk, const struct encoding *encoding,
                                 const struct column_layout *layout)
{
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    bool good = properties >= 0 && H5Pset_obj_track_times(properties, false) >= 0 && set_fill(properties, layout);
    if (good && chunk)
        good = H5Pset_chunk(properties, rank, chunk) >= 0 && H5Pset_alloc_time(properties, H5D_ALLOC_TIME_INCR) >= 0 &&
               set_filters(properties, encoding);
    if (good || properties < 0) return properties;
    H5Pclose(properties);
    return H5I_INVALID_HID;
}

static hid_t link_properties(void)
{
    hid_t properties = H5Pcreate(H5P_LINK_CREATE);
    if (properties < 0 || H5Pset_char_encoding(properties, H5T_CSET_UTF8) >= 0) return properties;
    H5Pclose(properties);
    return H5I_INVALID_HID;
}

/* Chunks go past libhdf5's chunk cache, so it gets no memory. */
static hid_t uncached(void)
{
    hid_t properties = H5Pcreate(H5P_DATASET_ACCESS);
    if (properties < 0 || H5Pset_chunk_cache(properties, 1, 0, 1.0) >= 0) return properties;
    H5Pclose(properties);
    return H5I_INVALID_HID;
}

static trajlog_status make_dataset(struct column *column, hid_t location, const struct column_layout *layout,
                                   hid_t space, hid_t creation, struct error *error)
{
    trajlog_status status = TRAJLOG_OK;
    hid_t type = hdf5_file_type(layout->type), links = link_properties(), access = uncached();
    hid_t dataset = H5I_INVALID_HID;
    if (type >= 0 && links >= 0 && access >= 0 && space >= 0 && creation >= 0)
        dataset = H5Dcreate2(location, layout->field, type, space, links, creation, access);
    if (dataset < 0) status = column_failed(column, "make the dataset", error);
    if (type >= 0) H5Tclose(type);
    if (links >= 0) H5Pclose(links);
    if (access >= 0) H5Pclose(access);
    column->dataset = dataset < 0 ? 0 : dataset;
    return status;
}

/* Its rows lie in the chunk one after the other, as they come. */
static bool may_borrow(const struct column *column)
{
    return column->across == 1 && column->rounding.kind == ROUNDING_NONE && encoding_is_plain(&column->encoding) &&
           column->row_bytes >= LEAST_BORROWED && column->row_bytes < DIRECT_ROW_BYTES;
}

static trajlog_status make_buffer(struct column *column, struct error *error)
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
    trajlog_status status = plan(column, context, layout, error);
    if (status == TRAJLOG_OK) status = plan_chunks(column, layout, error);
    if (status == TRAJLOG_OK) status = prepare_encoder(column, error);
    if (status == TRAJLOG_OK) status = make_buffer(column, error);
    if (status != TRAJLOG_OK) {
        column_close(column);
        return status;
    }
    memcpy(chunk, column->extent, sizeof chunk);
    chunk[0] = (hsize_t)column->chunk_rows;
    if (column->rank > 1) chunk[1] = (hsize_t)column->chunk_particles;
    hid_t space = growing_space(column);
    hid_t creation = creation_properties(column->rank, chunk, &column->encoding, layout);
    status = make_dataset(column, location, layout, space, creation, error);
    if (space >= 0) H5Sclose(space);
    if (creation >= 0) H5Pclose(creation);
    if (status != TRAJLOG_OK) column_close(column);
    return status;
}

static trajlog_status extend(struct column *column, int64_t rows, struct error *error)
{
    if (column->extent[0] == (hsize_t)rows) return TRAJLOG_OK;
    column->extent[0] = (hsize_t)rows;
    if (H5Dset_extent(column->dataset, column->extent) < 0) return column_failed(column, "extend the dataset", error);
    return TRAJLOG_OK;
}

/* A file that is frozen takes everything and keeps nothing; its driver says so, libhdf5 does not. */
static trajlog_status check_driver(const struct column *column, struct error *error)
{
    trajlog_status status = driver_error(column->context->driver, error);
    if (status != TRAJLOG_OK) error_prefix(error, "group \"%s\", field \"%s\"", column->group, column->field);
    return status;
}

/* Where the chunks begin that have these rows, the `side`-th of those side by side. */
struct corner {
    hsize_t at[1 + TRAJLOG_MAX_RANK];
};

static struct corner corner_of(const struct column *column, int64_t first_row, int64_t side)
{
    return (struct corner){{(hsize_t)first_row, (hsize_t)(side * column->chunk_particles)}};
}

/* Stores the bytes of a chunk, which lies within the extent. *taken is the block that it had to take for that; none if
 * the chunk stays where it is. */
static trajlog_status store_chunk(struct column *column, struct corner corner, const struct encoded *encoded,
                                  struct block *taken, struct error *error)
{
    struct driver *driver = column->context->driver;
    (void)driver_last_raw(driver, &taken->address, &taken->size); /* not those of before */
    if (H5Dwrite_chunk(column->dataset, H5P_DEFAULT, encoded->filter_mask, corner.at, encoded->size, encoded->bytes) <
        0)
        return column_failed(column, "write a chunk", error);
    if (!driver_last_raw(driver, &taken->address, &taken->size)) taken->size = 0;
    column->context->chunks++;
    return check_driver(column, error);
}

/* The tail is stored anew, at `taken`, unless it stays in its place. libhdf5 frees nothing while readers may look, so the
 * old place would be lost. */
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
    TRY(extend(column, place->first_row + column->chunk_rows, error));
    TRY(store_chunk(column, corner_of(column, place->first_row, place->side), encoded, &taken, error));
    if (!column->tail) return TRAJLOG_OK;
    move_tail(column, place->side, &taken);
    column->tail[place->side].size = 0; /* of the next chunk, nothing is stored */
    return TRAJLOG_OK;
}

static trajlog_status store_oldest(struct pipeline *pipeline, struct error *error)
{
    struct chunk_place place;
    struct encoded encoded;
    TRY(pipeline_take(pipeline, &place, &encoded, error));
    return store_encoded(&place, &encoded, error);
}

static trajlog_status store_full_chunk(struct column *column, const void *chunk, int64_t side, struct error *error)
{
    struct pipeline *pipeline = column->context->pipeline;
    struct chunk_place place = {column, column->rows - column->chunk_rows, side};
    struct encoded encoded = {.bytes = chunk, .size = column->chunk_bytes};
    if (encoding_is_plain(&column->encoding)) return store_encoded(&place, &encoded, error);
    if (pipeline) {
        if (pipeline_is_full(pipeline)) TRY(store_oldest(pipeline, error));
        return pipeline_put(pipeline, place, &column->encoding, chunk, column->chunk_bytes, error);
    }
    TRY(encoder_encode(column->context->encoder, &column->encoding, chunk, column->chunk_bytes, &encoded, error));
    return store_encoded(&place, &encoded, error);
}

/* Puts a row into the tail. */
static void gather(struct column *column, int64_t place, const struct rounding *rounding, const void *row)
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
        gather(column, column->tail_rows, &column->rounding, row);
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
        gather(column, first + i, &column->rounding, column->borrowed[i]);
    return_borrowed(column);
}

/* The chunk with the rows of the tail, and nothing of the chunk before. */
static unsigned char *tail_chunk(struct column *column, int64_t side)
{
    size_t used = (size_t)column->tail_rows * column->slice_bytes;
    unsigned char *chunk = column->buffer + (size_t)side * column->chunk_bytes;
    memset(chunk + used, 0, column->chunk_bytes - used);
    return chunk;
}

static struct corner tail_corner(const struct column *column, int64_t side)
{
    return corner_of(column, column->rows - column->tail_rows, side);
}

/* The tail is stored as it is, whatever the filters: then writing it again at the next commit leaves it in place, and
 * the bytes of committed rows do not change, so that a write that is cut short cannot harm them. */
static trajlog_status store_tail_chunk(struct column *column, int64_t side, struct error *error)
{
    struct encoded encoded = {.bytes = tail_chunk(column, side),
                              .size = column->chunk_bytes,
                              .filter_mask = encoding_mask_all(&column->encoding)};
    struct block taken;
    TRY(store_chunk(column, tail_corner(column, side), &encoded, &taken, error));
    move_tail(column, side, &taken);
    return TRAJLOG_OK;
}

/* A tail that an earlier run has stored with its filters is not overwritten: its bytes would change, should the chunk that
 * is full now happen to be of the same size. */
static trajlog_status move_filtered_tail(struct column *column, struct error *error)
{
    for (int64_t side = 0; side < column->used; side++) {
        size_t stored = column->tail[side].size;
        if (stored > 0 && stored != column->chunk_bytes) TRY(store_tail_chunk(column, side, error));
    }
    return TRAJLOG_OK;
}

static trajlog_status store_full_chunks(struct column *column, const unsigned char *chunks, struct error *error)
{
    if (column->tail) TRY(move_filtered_tail(column, error));
    column->tail_rows = 0;
    for (int64_t side = 0; side < column->used; side++)
        TRY(store_full_chunk(column, chunks + (size_t)side * column->chunk_bytes, side, error));
    return TRAJLOG_OK;
}

/* A chunk of rows that all lie elsewhere. Should libhdf5 ever do more with a chunk than to hand it to the driver, it finds
 * the buffer, and that is then what is written. */
static trajlog_status store_borrowed(struct column *column, struct error *error)
{
    struct driver *driver = column->context->driver;
    driver_give_pieces(driver, column->buffer, column->borrowed, (size_t)column->chunk_rows, column->row_bytes);
    trajlog_status status = store_full_chunk(column, column->buffer, 0, error);
    if (!driver_took_pieces(driver) && status == TRAJLOG_OK) {
        column_settle(column);
        status = store_full_chunk(column, column->buffer, 0, error);
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
    return store_full_chunks(column, column->buffer ? column->buffer : row, error);
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
    if (!buffer) return no_memory(column, "more particles", error);
    column->buffer = buffer;
    memset(tail + column->room, 0, (size_t)(sides - column->room) * sizeof *tail);
    column->room = sides;
    return TRAJLOG_OK;
}

/* So many particles are to lie in the tail; those that no row had so far have none there in the rows before. */
static trajlog_status use_sides(struct column *column, int64_t particles, struct error *error)
{
    int64_t sides = (particles + column->chunk_particles - 1) / column->chunk_particles;
    TRY(make_room(column, sides, error));
    for (; column->used < sides; column->used++)
        fill_elements(column, column->buffer + (size_t)column->used * column->chunk_bytes, column->chunk_bytes);
    return TRAJLOG_OK;
}

/* Puts a row into the tail, and fills up behind its particles. */
static void gather_particles(struct column *column, int64_t place, const struct rounding *rounding, const void *row,
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

static size_t particle_bytes(const struct column *column)
{
    return column->slice_bytes / (size_t)column->chunk_particles;
}

trajlog_status column_append_particles(struct column *column, const void *row, int64_t particles, struct error *error)
{
    if (column->tail_rows == 0) column->used = 0;
    TRY(use_sides(column, particles, error));
    gather_particles(column, column->tail_rows, &column->rounding, row, (size_t)particles * particle_bytes(column));
    column->rows++;
    if (++column->tail_rows < column->chunk_rows) return TRAJLOG_OK;
    return store_full_chunks(column, column->buffer, error);
}

trajlog_status column_grow(struct column *column, int64_t capacity, struct error *error)
{
    column->row_bytes = particle_bytes(column) * (size_t)capacity;
    column->extent[1] = (hsize_t)capacity;
    TRY(size_chunks(column, error));
    if (H5Dset_extent(column->dataset, column->extent) < 0)
        return column_failed(column, "make room for more particles", error);
    return check_driver(column, error);
}

/* ---- commits ---- */

static trajlog_status store_tail(struct column *column, struct error *error)
{
    for (int64_t side = 0; side < column->used; side++) TRY(store_tail_chunk(column, side, error));
    return TRAJLOG_OK;
}

/* Everything that comes before the tail, and the extent. */
static trajlog_status store_all_but_tail(struct column *column, struct error *error)
{
    struct pipeline *pipeline = column->context->pipeline;
    column_settle(column);
    while (pipeline && !pipeline_is_empty(pipeline)) TRY(store_oldest(pipeline, error));
    return extend(column, column->rows, error);
}

trajlog_status column_commit(struct column *column, struct error *error)
{
    if (column->rows == column->committed) return TRAJLOG_OK;
    TRY(store_all_but_tail(column, error));
    if (column->tail_rows > 0) TRY(store_tail(column, error));
    column->committed = column->rows;
    return TRAJLOG_OK;
}

/* Until the next commit its old place stays as it is, and what is committed leads there. */
static trajlog_status finish_tail_chunk(struct column *column, int64_t side, struct error *error)
{
    size_t stored = column->tail[side].size;
    bool is_new = column->rows > column->committed, is_raw = stored == column->chunk_bytes;
    struct encoded encoded;
    struct block taken;
    if (!is_new && !is_raw) return TRAJLOG_OK; /* it has its filters, or is nothing but the fill value */
    if (is_raw && !column->encoding.checksum) return is_new ? store_tail_chunk(column, side, error) : TRAJLOG_OK;
    TRY(encoder_encode(column->context->encoder, &column->encoding, tail_chunk(column, side), column->chunk_bytes,
                       &encoded, error));
    if (encoded.size == column->chunk_bytes) return store_tail_chunk(column, side, error);
    if (encoded.size == stored) TRY(store_tail_chunk(column, side, error)); /* else libhdf5 would not move it */
    TRY(store_chunk(column, tail_corner(column, side), &encoded, &taken, error));
    move_tail(column, side, &taken);
    return TRAJLOG_OK;
}

trajlog_status column_finish(struct column *column, struct error *error)
{
    if (column->tail_rows == 0 || encoding_is_plain(&column->encoding)) return column_commit(column, error);
    TRY(store_all_but_tail(column, error));
    for (int64_t side = 0; side < column->used; side++) TRY(finish_tail_chunk(column, side, error));
    column->committed = column->rows;
    return TRAJLOG_OK;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Taking up
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status not_as_expected(const struct column *column, const char *what, struct error *error)
{
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "%s: group \"%s\", field \"%s\": %s", column->context->path,
                     column->group, column->field, what);
}

static trajlog_status check_type(const struct column *column, struct error *error)
{
    trajlog_type found = 0;
    hid_t type = H5Dget_type(column->dataset);
    bool good = type >= 0 && hdf5_element_type(type, &found) && found == column->type &&
                hdf5_type_is_native(type, column->type);
    if (type >= 0) H5Tclose(type);
    return good ? TRAJLOG_OK : not_as_expected(column, "its dataset is not of the type that the schema says", error);
}

/* It may have grown since it was declared. */
static bool take_capacity(struct column *column, hsize_t capacity)
{
    if (capacity < 1 || capacity > INT64_MAX / 2) return false;
    size_t bytes = column->row_bytes / (size_t)column->extent[1];
    column->extent[1] = capacity;
    return !__builtin_mul_overflow(bytes, (size_t)capacity, &column->row_bytes);
}

/* Reads the number of rows. */
static trajlog_status check_space(struct column *column, bool grows, struct error *error)
{
    hsize_t dims[H5S_MAX_RANK], most[H5S_MAX_RANK];
    hid_t space = H5Dget_space(column->dataset);
    bool good = space >= 0 && H5Sget_simple_extent_dims(space, dims, most) == column->rank;
    if (space >= 0) H5Sclose(space);
    if (good && column->varies) good = take_capacity(column, dims[1]);
    for (int i = 1; good && i < column->rank; i++) good = dims[i] == column->extent[i];
    if (!good || (most[0] == H5S_UNLIMITED) != grows || dims[0] > INT64_MAX)
        return not_as_expected(column, "its dataset is not of the shape that the schema says", error);
    column->extent[0] = dims[0];
    return TRAJLOG_OK;
}

/* The filters of a dataset, which must be ones that column_create sets. */
static bool get_filters(hid_t properties, struct encoding *encoding)
{
    int count = H5Pget_nfilters(properties), next = 0;
    encoding->level = 0;
    encoding->checksum = false;
    for (int i = 0; i < count; i++) {
        unsigned flags, values[8] = {0};
        size_t value_count = 8;
        H5Z_filter_t filter = H5Pget_filter2(properties, (unsigned)i, &flags, &value_count, values, 0, NULL, NULL);
        if (filter == H5Z_FILTER_SHUFFLE && next == 0) next = 1;
        else if (filter == H5Z_FILTER_DEFLATE && next == 1) next = 2, encoding->level = (int)values[0];
        else if (filter == H5Z_FILTER_FLETCHER32 && next != 1) next = 3, encoding->checksum = true;
        else return false;
        if (next == 3) return i + 1 == count;
    }
    return count >= 0 && next != 1 && (next == 0 || (encoding->level >= 1 && encoding->level <= 9));
}

/* Their shape is the file's, if it is one that column_create may have given them. */
static trajlog_status check_chunks(struct column *column, struct error *error)
{
    hsize_t chunk[H5S_MAX_RANK];
    hid_t properties = H5Dget_create_plist(column->dataset);
    bool good = properties >= 0 && H5Pget_layout(properties) == H5D_CHUNKED &&
                H5Pget_chunk(properties, column->rank, chunk) == column->rank && chunk[0] <= INT32_MAX;
    if (good && column->rank > 1) good = chunk[1] <= column->extent[1];
    for (int i = 2; good && i < column->rank; i++) good = chunk[i] == column->extent[i];
    good = good && get_filters(properties, &column->encoding);
    if (properties >= 0) H5Pclose(properties);
    if (!good) return not_as_expected(column, "its dataset is not stored as trajlog stores", error);
    column->chunk_rows = (int64_t)chunk[0];
    column->chunk_particles = column->rank > 1 ? (int64_t)chunk[1] : 1;
    return size_chunks(column, error);
}

static trajlog_status open_dataset(struct column *column, hid_t location, struct error *error)
{
    hid_t access = uncached();
    hid_t dataset = access >= 0 ? H5Dopen2(location, column->field, access) : H5I_INVALID_HID;
    if (dataset < 0 && check_driver(column, error) == TRAJLOG_OK)
        not_as_expected(column, "its dataset cannot be opened", error);
    if (access >= 0) H5Pclose(access);
    column->dataset = dataset < 0 ? 0 : dataset;
    return dataset < 0 ? TRAJLOG_INVALID_FILE : TRAJLOG_OK;
}

/* Opens it, and brings the column to what the file has. */
static trajlog_status open_checked(struct column *column, struct column_context *context, hid_t location,
                                   const struct column_layout *layout, bool grows, struct error *error)
{
    TRY(plan(column, context, layout, error));
    TRY(open_dataset(column, location, error));
    TRY(check_type(column, error));
    TRY(check_space(column, grows, error));
    return check_chunks(column, error);
}

trajlog_status column_open(struct column *column, struct column_context *context, hid_t location,
                           const struct column_layout *layout, struct error *error)
{
    trajlog_status status = open_checked(column, context, location, layout, true, error);
    if (status == TRAJLOG_OK) status = prepare_encoder(column, error);
    if (status == TRAJLOG_OK) status = make_buffer(column, error);
    column->rows = column->committed = (int64_t)column->extent[0];
    if (status != TRAJLOG_OK) column_close(column);
    return status;
}

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
        TRY(find_chunk(column, corner_of(column, first_row, middle), &block, &mask, error));
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
    TRY(use_sides(column, particles, error));
    size_t row_bytes = (size_t)particles * particle_bytes(column);
    unsigned char *dense = calloc((size_t)rows, row_bytes);
    if (!dense) return no_memory(column, "its last rows", error);
    trajlog_status status = read_part(column, first_row, rows, particles, dense, error);
    for (int64_t i = 0; status == TRAJLOG_OK && i < rows; i++)
        gather_particles(column, i, &as_it_is, dense + (size_t)i * row_bytes, row_bytes);
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
        gather(column, i, &as_it_is, dense + (size_t)i * column->row_bytes);
    free(dense);
    return status;
}

/* Whether all of the tail is on disk as store_tail or column_finish would have it there. Its filters change its size. */
static trajlog_status find_tail(struct column *column, int64_t first_row, bool *found, struct error *error)
{
    *found = true;
    for (int64_t side = 0; side < column->used && *found; side++) {
        uint32_t mask = 0;
        TRY(find_chunk(column, corner_of(column, first_row, side), &column->tail[side], &mask, error));
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
        TRY(find_chunk(column, corner_of(column, row, i % column->across), &block, &mask, error));
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
    TRY(extend(column, full_rows, error));
    TRY(extend(column, column->rows, error));
    return column->tail_rows > 0 ? store_tail(column, error) : TRAJLOG_OK;
}

trajlog_status column_fill(struct column *column, int64_t rows, const void *fill, struct error *error)
{
    size_t size = trajlog_type_size(column->type);
    size_t tail_bytes = (size_t)(rows % column->chunk_rows) * column->slice_bytes;
    TRY(extend(column, rows, error));
    for (int64_t side = 0; side < column->used && tail_bytes > 0; side++) {
        unsigned char *chunk = column->buffer + (size_t)side * column->chunk_bytes;
        for (size_t i = 0; i < tail_bytes; i += size) memcpy(chunk + i, fill, size);
    }
    set_rows(column, rows);
    column->tail_stays = true;
    return TRAJLOG_OK;
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
    TRY(plan(&column, context, &whole, error));
    if (filtered) {
        TRY(plan_chunks(&column, &whole, error));
        TRY(prepare_encoder(&column, error));
    }
    TRY(round_once(&column, data, &rounded, error));
    if (rounded) data = rounded;

    hid_t space = rank > 0 ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t creation = creation_properties(rank, filtered ? dims : NULL, &column.encoding, layout);
    trajlog_status status = make_dataset(&column, location, layout, space, creation, error);
    if (status == TRAJLOG_OK)
        status = filtered ? write_encoded(&column, data, error) : write_contiguous(&column, layout->type, data, error);
    if (space >= 0) H5Sclose(space);
    if (creation >= 0) H5Pclose(creation);
    column_close(&column);
    free(rounded);
    return status;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Slots
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status make_slots(struct column *column, hid_t location, const struct column_layout *layout,
                                 struct error *error)
{
    hsize_t chunk[1 + TRAJLOG_MAX_RANK];
    memcpy(chunk, column->extent, sizeof chunk);
    chunk[0] = 1;
    hid_t space = H5Screate_simple(column->rank, column->extent, NULL);
    hid_t creation = creation_properties(column->rank, chunk, &column->encoding, layout);
    trajlog_status status = make_dataset(column, location, layout, space, creation, error);
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
    trajlog_status status = plan(column, context, &plain, error);
    column->extent[0] = (hsize_t)slots;
    if (status == TRAJLOG_OK && !zero) status = error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    if (status == TRAJLOG_OK) status = plan_chunks(column, &plain, error);
    if (status == TRAJLOG_OK) status = make_slots(column, location, &plain, error);
    free(zero);
    return status;
}

trajlog_status column_open_slots(struct column *column, struct column_context *context, hid_t location,
                                 const struct column_layout *layout, int64_t slots, struct error *error)
{
    trajlog_status status = open_checked(column, context, location, layout, false, error);
    if (status == TRAJLOG_OK &&
        (column->extent[0] != (hsize_t)slots || column->chunk_rows != 1 || !encoding_is_plain(&column->encoding)))
        status = not_as_expected(column, "its dataset is not stored as trajlog stores", error);
    if (status != TRAJLOG_OK) column_close(column);
    return status;
}

trajlog_status column_write_slot(struct column *column, int64_t slot, const void *row, struct error *error)
{
    struct encoded encoded = {.bytes = row, .size = column->row_bytes};
    struct block taken;
    return store_chunk(column, corner_of(column, slot, 0), &encoded, &taken, error);
}
