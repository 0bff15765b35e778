/* A stream: one selection of one group, read block by block into memory that it keeps. */
#include <stdlib.h>
#include <string.h>

#include "read/reader.h"

#define BLOCK_BYTES ((int64_t)1 << 20)

struct stream_field {
    const struct dataset *dataset;
    trajlog_type type;
    void *data;
};

struct trajlog_stream {
    trajlog_reader *reader;
    int64_t refresh_count; /* the reader's, when the stream was opened */
    const struct scan_group *group;
    struct selection selection;
    int64_t *list;                  /* a copy of the selection's, which the caller may free */
    struct stream_field step, time; /* without a dataset: the group has none */
    struct stream_field *fields;
    void **data; /* what blocks point to */
    size_t field_count;
    int64_t block_rows, next;
};

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
    bool all = !names;
    if (all && count > 0) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the list of fields is NULL");
    stream->field_count = all ? group->field_count : count;
    stream->fields = calloc(stream->field_count + 1, sizeof *stream->fields);
    stream->data = calloc(stream->field_count + 1, sizeof *stream->data);
    if (!stream->fields || !stream->data) return no_memory(error);
    for (size_t i = 0; i < stream->field_count; i++) {
        struct stream_field *field = &stream->fields[i];
        TRY(reader_field(group, all ? group->fields[i].dataset.name : names[i], types ? types[i] : 0, &field->dataset,
                         &field->type, error));
    }
    struct axis axis = scan_axis(group);
    stream->step = (struct stream_field){.dataset = axis.step, .type = TRAJLOG_INT64};
    stream->time = (struct stream_field){.dataset = axis.time, .type = TRAJLOG_FLOAT64};
    return TRAJLOG_OK;
}

static void choose_block_rows(trajlog_stream *stream, int64_t wanted)
{
    int64_t bytes = 2 * sizeof(int64_t), rows = wanted;
    for (size_t i = 0; i < stream->field_count; i++) {
        const struct stream_field *field = &stream->fields[i];
        if (__builtin_add_overflow(bytes, (int64_t)trajlog_type_size(field->type) * field->dataset->elements, &bytes))
            bytes = INT64_MAX;
    }
    if (rows == 0) rows = bytes < BLOCK_BYTES ? BLOCK_BYTES / bytes : 1;
    if (rows > stream->selection.count) rows = stream->selection.count;
    stream->block_rows = rows > 0 ? rows : 1;
}

static trajlog_status allocate_field(const trajlog_stream *stream, struct stream_field *field, struct error *error)
{
    if (!field->dataset || stream->selection.count == 0) return TRAJLOG_OK;
    trajlog_status status = rows_allocate(field->dataset, field->type, stream->block_rows, &field->data, error);
    if (status != TRAJLOG_OK) reader_name_field(error, stream->group, field->dataset->name);
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
    choose_block_rows(stream, block_rows);
    TRY(allocate_field(stream, &stream->step, error));
    TRY(allocate_field(stream, &stream->time, error));
    for (size_t i = 0; i < stream->field_count; i++) {
        TRY(allocate_field(stream, &stream->fields[i], error));
        stream->data[i] = stream->fields[i].data;
    }
    return TRAJLOG_OK;
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
    made->refresh_count = reader ? reader->refresh_count : 0;
    status = open_stream(made, group, &rows, fields, types, field_count, block_rows, &error);
    if (status != TRAJLOG_OK) trajlog_stream_close(stream);
    return reader_end(reader, status, &error);
}

static trajlog_status read_block(trajlog_stream *stream, const struct stream_field *field, int64_t count,
                                 struct error *error)
{
    if (!field->dataset) return TRAJLOG_OK;
    trajlog_status status =
        selection_read(&stream->selection, field->dataset, stream->next, count, field->type, field->data, error);
    if (status != TRAJLOG_OK) reader_name_field(error, stream->group, field->dataset->name);
    return status;
}

static trajlog_status next_block(trajlog_stream *stream, trajlog_block *block, struct error *error)
{
    if (stream->refresh_count != stream->reader->refresh_count)
        return error_set(error, TRAJLOG_INVALID_STATE, 0, "the reader was refreshed since the stream was opened");
    int64_t left = stream->selection.count - stream->next;
    int64_t count = left < stream->block_rows ? left : stream->block_rows;
    TRY(read_block(stream, &stream->step, count, error));
    TRY(read_block(stream, &stream->time, count, error));
    for (size_t i = 0; i < stream->field_count; i++) TRY(read_block(stream, &stream->fields[i], count, error));
    block->first_row = stream->next;
    block->row_count = count;
    block->step = stream->step.data;
    block->time = stream->time.data;
    block->fields = (const void **)stream->data;
    stream->next += count;
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

void trajlog_stream_close(trajlog_stream **stream)
{
    if (!stream || !*stream) return;
    trajlog_stream *closed = *stream;
    for (size_t i = 0; closed->fields && i < closed->field_count; i++) free(closed->fields[i].data);
    free(closed->step.data);
    free(closed->time.data);
    free(closed->fields);
    free(closed->data);
    free(closed->list);
    free(closed);
    *stream = NULL;
}
