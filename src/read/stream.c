/* A stream: one selection of one group, read into memory that it keeps, and handed out block by block. It reads batches of
 * blocks, so that small blocks cost no more than large ones; and while one batch is handed out, the next one is read and
 * decoded already, as far as that is possible without libhdf5. */
#include <stdlib.h>
#include <string.h>

#include "model/convert.h"
#include "read/cells.h"
#include "read/reader.h"

/* A block of the default size: what fits well into a processor's second cache, beside what it is copied from, is read
 * fastest. */
#define BLOCK_BYTES ((int64_t)512 << 10)
/* A batch of chunks that have to be decoded: more of them, so that all threads have some. */
#define DECODED_BYTES ((int64_t)4 << 20)
/* Steps and times are small: so many are read at a time, where batches have fewer rows. */
#define AXIS_ROWS 512

/* Rows that are read together. */
struct batch {
    int64_t first, count; /* of the selection; 0: none */
};

struct stream_field {
    const struct dataset *dataset; /* NULL: the group has no such one */
    trajlog_type type;
    void *stored[2];         /* two batches, as stored; they are the same where nobody writes to them in advance */
    void *converted;         /* NULL: given as stored */
    struct rows_ahead ahead; /* of the batch after the current one */
    struct batch held;       /* the rows that are in memory now */
};

struct trajlog_stream {
    trajlog_reader *reader; /* NULL: closed before the stream was */
    trajlog_stream *next_of_reader;
    const char *ended; /* static: why it gives nothing more; NULL: it does */
    const struct scan_group *group;
    struct selection selection;
    int64_t *list;               /* a copy of the selection's, which the caller may free */
    struct stream_field *fields; /* those asked for, then step and time */
    const void **data;           /* what blocks point to */
    size_t field_count;
    int64_t block_rows, batch_rows, next;
    int64_t chunk_rows;          /* of the largest field: batches end with its chunks, where they can */
    struct batch current, ahead; /* multiples of a block */
    int side;                    /* of the two batches in memory, the current one */
};

/* ---------------------------------------------------------------------------------------------------------------------
 * Opening
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status no_memory(struct error *error)
{
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a stream");
}

/* The list lives as long as the stream. */
static trajlog_status keep_list(trajlog_stream *stream, struct error *error)
{
    size_t bytes = (size_t)stream->selection.count * sizeof(int64_t);
    if (!stream->selection.list || bytes == 0) return TRAJLOG_OK;
    stream->list = malloc(bytes);
    if (!stream->list) return no_memory(error);
    memcpy(stream->list, stream->selection.list, bytes);
    stream->selection.list = stream->list;
    return TRAJLOG_OK;
}

static trajlog_status find_fields(trajlog_stream *stream, const char *const *names, const trajlog_type *types,
                                  size_t count, struct error *error)
{
    const struct scan_group *group = stream->group;
    const struct axis axis = scan_axis(group);
    bool all = !names;
    if (all && count > 0) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the list of fields is NULL");
    stream->field_count = all ? group->field_count : count;
    stream->fields = calloc(stream->field_count + 2, sizeof *stream->fields);
    stream->data = calloc(stream->field_count + 2, sizeof *stream->data);
    if (!stream->fields || !stream->data) return no_memory(error);
    for (size_t i = 0; i < stream->field_count; i++) {
        struct stream_field *field = &stream->fields[i];
        TRY(reader_field(group, all ? group->fields[i].dataset.name : names[i], types ? types[i] : 0, &field->dataset,
                         &field->type, error));
    }
    stream->fields[stream->field_count] = (struct stream_field){.dataset = axis.step, .type = TRAJLOG_INT64};
    stream->fields[stream->field_count + 1] = (struct stream_field){.dataset = axis.time, .type = TRAJLOG_FLOAT64};
    return TRAJLOG_OK;
}

static bool is_decoded(const struct stream_field *field)
{
    return field->dataset && field->dataset->cells && field->dataset->cells->filtered;
}

static int64_t row_bytes(const trajlog_stream *stream)
{
    int64_t bytes = 2 * sizeof(int64_t);
    for (size_t i = 0; i < stream->field_count; i++) {
        const struct stream_field *field = &stream->fields[i];
        if (__builtin_add_overflow(bytes, (int64_t)trajlog_type_size(field->type) * field->dataset->elements, &bytes))
            return INT64_MAX;
    }
    return bytes;
}

static void find_chunk_rows(trajlog_stream *stream)
{
    size_t largest = 0;
    stream->chunk_rows = 1;
    for (size_t i = 0; i < stream->field_count; i++) {
        const struct dataset *dataset = stream->fields[i].dataset;
        if (dataset->bytes <= largest || dataset->chunk[0] == 0 || !dataset->has_rows) continue;
        largest = dataset->bytes;
        stream->chunk_rows = dataset->chunk[0];
    }
}

static void choose_rows(trajlog_stream *stream, int64_t wanted)
{
    const int64_t bytes = row_bytes(stream), all = stream->selection.count > 0 ? stream->selection.count : 1;
    int64_t rows = wanted, batch_bytes = BLOCK_BYTES;
    for (size_t i = 0; i < stream->field_count; i++)
        if (is_decoded(&stream->fields[i])) batch_bytes = DECODED_BYTES;
    if (rows == 0) rows = bytes < BLOCK_BYTES ? BLOCK_BYTES / bytes : 1;
    stream->block_rows = rows < all ? rows : all;
    int64_t blocks = bytes < batch_bytes ? batch_bytes / bytes / stream->block_rows : 1;
    stream->batch_rows = stream->block_rows * (blocks > 1 ? blocks : 1);
    if (stream->batch_rows > all) stream->batch_rows = all;
    find_chunk_rows(stream);
}

static bool is_range(const struct selection *selection)
{
    return !selection->list && selection->stride == 1;
}

static bool is_axis(const trajlog_stream *stream, const struct stream_field *field)
{
    return field >= stream->fields + stream->field_count;
}

/* Of the field, at a time. */
static int64_t most_rows(const trajlog_stream *stream, const struct stream_field *field)
{
    int64_t all = stream->selection.count, wanted = all < AXIS_ROWS ? all : AXIS_ROWS;
    bool more = is_axis(stream, field) && is_range(&stream->selection) && stream->batch_rows < wanted;
    return more ? wanted : stream->batch_rows;
}

static trajlog_status allocate_field(const trajlog_stream *stream, struct stream_field *field, struct error *error)
{
    const struct dataset *dataset = field->dataset;
    if (!dataset || stream->selection.count == 0) return TRAJLOG_OK;
    const int64_t rows = most_rows(stream, field);
    trajlog_status status = rows_allocate(dataset, dataset->type, rows, &field->stored[0], error);
    field->stored[1] = field->stored[0];
    if (status == TRAJLOG_OK && is_decoded(field) && !is_axis(stream, field))
        status = rows_allocate(dataset, dataset->type, rows, &field->stored[1], error);
    if (status == TRAJLOG_OK && field->type != dataset->type)
        status = rows_allocate(dataset, field->type, rows, &field->converted, error);
    if (status != TRAJLOG_OK) reader_name_field(error, stream->group, dataset->name);
    return status;
}

static trajlog_status open_stream(trajlog_stream *stream, const char *group, const trajlog_rows *rows,
                                  const char *const *fields, const trajlog_type *types, size_t field_count,
                                  int64_t block_rows, struct error *error)
{
    if (block_rows < 0)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "a block cannot have %lld rows", (long long)block_rows);
    TRY(reader_group(stream->reader, group, &stream->group, error));
    TRY(reader_select(stream->group, rows, &stream->selection, error));
    TRY(keep_list(stream, error));
    TRY(find_fields(stream, fields, types, field_count, error));
    choose_rows(stream, block_rows);
    for (size_t i = 0; i < stream->field_count + 2; i++) TRY(allocate_field(stream, &stream->fields[i], error));
    return TRAJLOG_OK;
}

static void link_stream(trajlog_stream *stream)
{
    if (!stream->reader) return;
    stream->next_of_reader = stream->reader->streams;
    stream->reader->streams = stream;
}

trajlog_status trajlog_stream_open(trajlog_stream **stream, trajlog_reader *reader, const char *group,
                                   trajlog_rows rows, const char *const *fields, const trajlog_type *types,
                                   size_t field_count, int64_t block_rows)
{
    struct error error = {0};
    trajlog_status status;
    if (!stream) {
        status = error_set(&error, TRAJLOG_INVALID_ARGUMENT, 0, "there is no place for the stream: it is NULL");
        return reader_end(reader, status, &error);
    }
    trajlog_stream *made = *stream = calloc(1, sizeof *made);
    if (!made) return reader_end(reader, no_memory(&error), &error);
    made->reader = reader;
    link_stream(made);
    status = open_stream(made, group, &rows, fields, types, field_count, block_rows, &error);
    if (status != TRAJLOG_OK) trajlog_stream_close(stream);
    return reader_end(reader, status, &error);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Batches
 * ------------------------------------------------------------------------------------------------------------------ */

static void drop_ahead(trajlog_stream *stream)
{
    for (size_t i = 0; stream->fields && i < stream->field_count + 2; i++) dataset_drop(&stream->fields[i].ahead);
    stream->ahead.count = 0;
}

/* The rows from `first` on: a batch that ends where a chunk ends, if blocks end there too. */
static struct batch next_batch(const trajlog_stream *stream, int64_t first)
{
    int64_t left = stream->selection.count - first;
    struct batch batch = {first, left < stream->batch_rows ? left : stream->batch_rows};
    if (!is_range(&stream->selection) || batch.count == left) return batch;
    int64_t beyond = (stream->selection.start + first + batch.count) % stream->chunk_rows;
    if (beyond < batch.count && (batch.count - beyond) % stream->block_rows == 0) batch.count -= beyond;
    return batch;
}

static trajlog_status convert_field(const struct stream_field *field, const void *data, const struct batch *batch,
                                    struct error *error)
{
    trajlog_status status = convert_dense(field->converted, field->type, data, field->dataset->type,
                                          batch->count * field->dataset->elements, error);
    if (status != TRAJLOG_OK)
        error_prefix(error, "in the %lld rows from the selection's row %lld", (long long)batch->count,
                     (long long)batch->first);
    return status;
}

static trajlog_status read_rows(const trajlog_stream *stream, struct stream_field *field, const struct batch *batch,
                                struct error *error)
{
    void *data = field->stored[stream->side];
    field->held.count = 0;
    if (field->ahead.dataset && stream->ahead.count > 0) TRY(dataset_finish(&field->ahead, error));
    else
        TRY(selection_read(&stream->selection, field->dataset, batch->first, batch->count, field->dataset->type, data,
                           error));
    if (field->converted) TRY(convert_field(field, data, batch, error));
    field->held = *batch;
    return TRAJLOG_OK;
}

static bool holds(const struct stream_field *field, const struct batch *batch)
{
    return batch->first >= field->held.first && batch->first + batch->count <= field->held.first + field->held.count;
}

/* More rows than the batch has, for the batches after it; where these cannot be read, it is not this one's fault. */
static trajlog_status read_axis(const trajlog_stream *stream, struct stream_field *field, const struct batch *batch,
                                struct error *error)
{
    struct batch more = {batch->first, most_rows(stream, field)};
    if (holds(field, batch)) return TRAJLOG_OK;
    if (more.count > stream->selection.count - more.first) more.count = stream->selection.count - more.first;
    if (more.count > batch->count && read_rows(stream, field, &more, NULL) == TRAJLOG_OK) return TRAJLOG_OK;
    return read_rows(stream, field, batch, error);
}

static trajlog_status read_field(const trajlog_stream *stream, struct stream_field *field, const struct batch *batch,
                                 struct error *error)
{
    if (!field->dataset) return TRAJLOG_OK;
    trajlog_status status =
        is_axis(stream, field) ? read_axis(stream, field, batch, error) : read_rows(stream, field, batch, error);
    if (status != TRAJLOG_OK) reader_name_field(error, stream->group, field->dataset->name);
    return status;
}

/* Into the side that the batch was begun on, if it was. */
static trajlog_status read_batch(trajlog_stream *stream, const struct batch *batch, struct error *error)
{
    trajlog_status status = TRAJLOG_OK;
    stream->current.count = 0;
    stream->side = !stream->side;
    for (size_t i = 0; i < stream->field_count + 2 && status == TRAJLOG_OK; i++)
        status = read_field(stream, &stream->fields[i], batch, error);
    drop_ahead(stream);
    if (status == TRAJLOG_OK) stream->current = *batch;
    return status;
}

static void begin_ahead(trajlog_stream *stream)
{
    const int64_t first = stream->current.first + stream->current.count;
    if (!is_range(&stream->selection) || first >= stream->selection.count) return;
    stream->ahead = next_batch(stream, first);
    for (size_t i = 0; i < stream->field_count; i++) {
        struct stream_field *field = &stream->fields[i];
        if (field->dataset->has_rows)
            field->ahead = dataset_begin(field->dataset, stream->selection.start + first, stream->ahead.count,
                                         field->stored[!stream->side]);
    }
}

/* Where a batch cannot be read, blocks before the one that is to blame can: from here on each is a batch by itself. */
static trajlog_status read_next_batch(trajlog_stream *stream, struct error *error)
{
    struct batch batch = stream->ahead;
    if (batch.count == 0) batch = next_batch(stream, stream->next);
    trajlog_status status = read_batch(stream, &batch, error);
    if (status != TRAJLOG_OK && batch.count > stream->block_rows) {
        error_clear(error);
        stream->batch_rows = stream->block_rows;
        batch = next_batch(stream, stream->next);
        status = read_batch(stream, &batch, error);
    }
    if (status == TRAJLOG_OK) begin_ahead(stream);
    return status;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Blocks
 * ------------------------------------------------------------------------------------------------------------------ */

static void give_block(trajlog_stream *stream, trajlog_block *block)
{
    const int64_t left = stream->current.first + stream->current.count - stream->next;
    for (size_t i = 0; i < stream->field_count + 2; i++) {
        const struct stream_field *field = &stream->fields[i];
        const char *data = field->converted ? field->converted : field->stored[stream->side];
        stream->data[i] = NULL;
        if (!field->dataset) continue;
        const int64_t row = stream->next - field->held.first;
        stream->data[i] = data + (size_t)(row * field->dataset->elements) * trajlog_type_size(field->type);
    }
    block->first_row = stream->next;
    block->row_count = left < stream->block_rows ? left : stream->block_rows;
    block->fields = stream->data;
    block->step = stream->data[stream->field_count];
    block->time = stream->data[stream->field_count + 1];
    stream->next += block->row_count;
}

static trajlog_status next_block(trajlog_stream *stream, trajlog_block *block, struct error *error)
{
    if (stream->ended) return error_set(error, TRAJLOG_INVALID_STATE, 0, "%s", stream->ended);
    if (stream->next >= stream->current.first + stream->current.count) TRY(read_next_batch(stream, error));
    give_block(stream, block);
    return TRAJLOG_OK;
}

trajlog_status trajlog_stream_next(trajlog_stream *stream, trajlog_block *block)
{
    struct error error = {0};
    trajlog_status status;
    if (!stream || !block) {
        status = error_set(&error, TRAJLOG_INVALID_ARGUMENT, 0, "there is no stream, or no block: it is NULL");
        return reader_end(stream ? stream->reader : NULL, status, &error);
    }
    if (stream->next >= stream->selection.count) return TRAJLOG_END;
    return reader_end(stream->reader, next_block(stream, block, &error), &error);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The end
 * ------------------------------------------------------------------------------------------------------------------ */

void streams_end(trajlog_reader *reader)
{
    for (trajlog_stream *stream = reader->streams; stream; stream = stream->next_of_reader) {
        drop_ahead(stream);
        stream->ended = "the reader was refreshed since the stream was opened";
    }
}

void streams_leave(trajlog_reader *reader)
{
    streams_end(reader);
    for (trajlog_stream *stream = reader->streams; stream; stream = stream->next_of_reader) {
        stream->ended = "the stream's reader was closed";
        stream->reader = NULL;
    }
}

static void unlink_stream(const trajlog_stream *stream)
{
    if (!stream->reader) return;
    trajlog_stream **place = &stream->reader->streams;
    while (*place && *place != stream) place = &(*place)->next_of_reader;
    if (*place) *place = stream->next_of_reader;
}

static void free_field(const struct stream_field *field)
{
    if (field->stored[1] != field->stored[0]) free(field->stored[1]);
    free(field->stored[0]);
    free(field->converted);
}

void trajlog_stream_close(trajlog_stream **stream)
{
    if (!stream || !*stream) return;
    trajlog_stream *closed = *stream;
    drop_ahead(closed);
    unlink_stream(closed);
    for (size_t i = 0; closed->fields && i < closed->field_count + 2; i++) free_field(&closed->fields[i]);
    free(closed->fields);
    free(closed->data);
    free(closed->list);
    free(closed);
    *stream = NULL;
}
