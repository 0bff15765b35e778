#include "read/reader.h"

#include <errno.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

#include "read/decoders.h"
#include "read/filter.h"

#define MOST_DECODER_THREADS 64

/* ---------------------------------------------------------------------------------------------------------------------
 * How calls end, and what they are about
 * ------------------------------------------------------------------------------------------------------------------ */

trajlog_status reader_end(trajlog_reader *reader, trajlog_status status, struct error *error)
{
    if (status == TRAJLOG_OK) return status;
    if (reader && reader->scan) error_prefix(error, "%s", reader->path);
    if (reader) reader->error = *error;
    error_remember(error);
    return status;
}

trajlog_status reader_end_file(const char *path, trajlog_status status, struct error *error)
{
    if (status == TRAJLOG_OK) return status;
    if (path && !strstr(error->message, path)) error_prefix(error, "%s", path);
    error_remember(error);
    return status;
}

trajlog_status reader_real_path(const char *path, char **real, struct error *error)
{
    if (!path || !*path) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the file has no name");
    *real = realpath(path, NULL);
    if (*real) return TRAJLOG_OK;
    bool missing = errno == ENOENT || errno == ENOTDIR;
    return error_set(error, missing ? TRAJLOG_NOT_FOUND : TRAJLOG_IO_ERROR, errno, "the file cannot be opened");
}

void reader_give(void *target, size_t size, void *result, size_t result_size)
{
    memcpy(result, &size, sizeof size);
    memset(target, 0, size);
    memcpy(target, result, size < result_size ? size : result_size);
}

trajlog_status reader_is_open(const trajlog_reader *reader, struct error *error)
{
    if (!reader) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "there is no reader: it is NULL");
    if (reader->scan) return TRAJLOG_OK;
    *error = reader->error;
    return error->status;
}

static trajlog_status no_group(const struct scan *scan, const char *name, struct error *error)
{
    char names[512] = "";
    for (size_t i = 0; i < scan->group_count; i++) {
        size_t used = strlen(names), length = strlen(scan->groups[i].name);
        if (used + length + 8 > sizeof names) {
            strcat(names, ", ...");
            break;
        }
        if (used) strcat(names, ", ");
        strcat(names, scan->groups[i].name);
    }
    return error_set(error, TRAJLOG_NOT_FOUND, 0, "there is no group \"%s\"; there are: %s", name,
                     names[0] ? names : "none");
}

trajlog_status reader_group(const trajlog_reader *reader, const char *name, const struct scan_group **group,
                            struct error *error)
{
    TRY(reader_is_open(reader, error));
    if (!name) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the name of a group is NULL");
    *group = scan_find_group(reader->scan, name);
    return *group ? TRAJLOG_OK : no_group(reader->scan, name, error);
}

void reader_name_field(struct error *error, const struct scan_group *group, const char *field)
{
    error_prefix(error, "group \"%s\", field \"%s\"", group->name, field);
}

trajlog_status reader_field(const struct scan_group *group, const char *name, trajlog_type type,
                            const struct dataset **dataset, trajlog_type *result, struct error *error)
{
    if (!name)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "group \"%s\": the name of a field is NULL", group->name);
    *dataset = scan_find_dataset(group, name);
    if (!*dataset)
        return error_set(error, TRAJLOG_NOT_FOUND, 0, "group \"%s\": there is no field \"%s\"", group->name, name);
    trajlog_status status = rows_type(*dataset, type, result, error);
    if (status != TRAJLOG_OK) reader_name_field(error, group, name);
    return status;
}

trajlog_status reader_select(const struct scan_group *group, const trajlog_rows *rows, struct selection *selection,
                             struct error *error)
{
    struct axis axis = scan_axis(group);
    trajlog_status status = selection_make(selection, rows, &axis, error);
    if (status != TRAJLOG_OK) error_prefix(error, "group \"%s\"", group->name);
    return status;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Opening
 * ------------------------------------------------------------------------------------------------------------------ */

trajlog_status reader_filters(const trajlog_reader_options *options, const char **filters, struct error *error)
{
    char unknown[40];
    *filters = NULL;
    if (!options) return TRAJLOG_OK;
    if (options->struct_size < sizeof options->struct_size)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                         "the options' struct_size is %zu: expected sizeof(trajlog_reader_options)",
                         options->struct_size);
    if (HAS_MEMBER(options, trajlog_reader_options, filters)) *filters = options->filters;
    if (filters_list_is_valid(*filters, unknown, sizeof unknown)) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "no filter has the name \"%s\"; a number is known always",
                     unknown);
}

static trajlog_status open_scan(trajlog_reader *reader, struct scan **scan, struct error *error)
{
    trajlog_status status = scan_open(scan, reader->path, reader->filters, reader->decoders, error);
    if (status != TRAJLOG_OK) error_prefix(error, "%s", reader->path);
    return status;
}

static trajlog_reader *make_reader(const char *path)
{
    trajlog_reader *reader = calloc(1, sizeof *reader);
    if (reader) reader->path = strdup(path ? path : "");
    if (!reader || reader->path) return reader;
    free(reader);
    return NULL;
}

static trajlog_status make_decoders(trajlog_reader *reader, const trajlog_reader_options *options, struct error *error)
{
    int32_t threads = 0;
    if (options && HAS_MEMBER(options, trajlog_reader_options, decoder_threads)) threads = options->decoder_threads;
    if (threads < 0 || threads > MOST_DECODER_THREADS)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "decoder_threads is %ld: expected 0 to %d", (long)threads,
                         MOST_DECODER_THREADS);
    reader->decoders = decoders_new(threads);
    return reader->decoders ? TRAJLOG_OK : error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a reader");
}

static trajlog_status open_reader(trajlog_reader *reader, const trajlog_reader_options *options, struct error *error)
{
    const char *filters;
    TRY(reader_filters(options, &filters, error));
    if (!*reader->path) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the file has no name");
    if (filters) TRY(scan_copy(&reader->filters, filters, error));
    TRY(make_decoders(reader, options, error));
    return open_scan(reader, &reader->scan, error);
}

trajlog_status trajlog_open_with(trajlog_reader **reader, const char *path, const trajlog_reader_options *options)
{
    struct error error = {0};
    trajlog_status status = TRAJLOG_OK;
    if (!reader) {
        status = error_set(&error, TRAJLOG_INVALID_ARGUMENT, 0, "there is no place for the reader: it is NULL");
        return reader_end(NULL, status, &error);
    }
    *reader = make_reader(path);
    if (*reader) status = open_reader(*reader, options, &error);
    else status = error_set(&error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a reader");
    return reader_end(*reader, status, &error);
}

trajlog_status trajlog_open(trajlog_reader **reader, const char *path)
{
    return trajlog_open_with(reader, path, NULL);
}

trajlog_status trajlog_reader_close(trajlog_reader **reader)
{
    if (!reader || !*reader) return TRAJLOG_OK;
    streams_leave(*reader);
    scan_close((*reader)->scan);
    decoders_free((*reader)->decoders);
    free((*reader)->path);
    free((*reader)->filters);
    free(*reader);
    *reader = NULL;
    return TRAJLOG_OK;
}

/* The new scan is opened before the old one is closed: if that fails, the reader is what it was. */
trajlog_status trajlog_refresh(trajlog_reader *reader)
{
    struct error error = {0};
    struct scan *scan = NULL;
    trajlog_status status = reader_is_open(reader, &error);
    if (status == TRAJLOG_OK) {
        status = scan_open(&scan, reader->path, reader->filters, reader->decoders, &error);
        if (status == TRAJLOG_OK) {
            streams_end(reader);
            scan_close(reader->scan);
            reader->scan = scan;
        }
    }
    return reader_end(reader, status, &error);
}

const char *trajlog_reader_message(const trajlog_reader *reader)
{
    return reader ? reader->error.message : error_remembered_message();
}

int trajlog_reader_error_number(const trajlog_reader *reader)
{
    return reader ? reader->error.number : error_remembered_number();
}

/* ---------------------------------------------------------------------------------------------------------------------
 * What is in the file
 * ------------------------------------------------------------------------------------------------------------------ */

static const struct scan_group *group_at(const trajlog_reader *reader, int32_t group)
{
    if (!reader || !reader->scan || group < 0 || (size_t)group >= reader->scan->group_count) return NULL;
    return &reader->scan->groups[group];
}

const trajlog_file_info *trajlog_reader_file(const trajlog_reader *reader)
{
    return reader && reader->scan ? &reader->scan->info : NULL;
}

const trajlog_group_info *trajlog_reader_group(const trajlog_reader *reader, int32_t group)
{
    const struct scan_group *found = group_at(reader, group);
    return found ? &found->info : NULL;
}

const trajlog_field_info *trajlog_reader_field(const trajlog_reader *reader, int32_t group, int32_t field)
{
    const struct scan_group *found = group_at(reader, group);
    if (!found || field < 0 || (size_t)field >= found->field_count) return NULL;
    return &found->field_infos[field];
}

int32_t trajlog_find_group(const trajlog_reader *reader, const char *group)
{
    if (!reader || !reader->scan || !group) return -1;
    const struct scan_group *found = scan_find_group(reader->scan, group);
    return found ? (int32_t)(found - reader->scan->groups) : -1;
}

int32_t trajlog_find_field(const trajlog_reader *reader, const char *group, const char *field)
{
    const struct scan_group *found = group_at(reader, trajlog_find_group(reader, group));
    for (size_t i = 0; found && field && i < found->field_count; i++)
        if (strcmp(found->fields[i].dataset.name, field) == 0) return (int32_t)i;
    return -1;
}

static trajlog_status read_drops(const trajlog_reader *reader, trajlog_drop *drops, size_t capacity, size_t *count,
                                 struct error *error)
{
    _Static_assert(sizeof *drops == 3 * sizeof(int64_t), "a drop is a row of the dataset");
    TRY(reader_is_open(reader, error));
    if (!count || (!drops && capacity > 0))
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "there is no place for the dropped frames: it is NULL");
    const struct dataset *dropped = &reader->scan->dropped;
    *count = dropped->name ? (size_t)dropped->extent : 0;
    size_t wanted = *count < capacity ? *count : capacity;
    if (wanted == 0) return TRAJLOG_OK;
    trajlog_status status = dataset_read(dropped, 0, 1, (int64_t)wanted, drops, error);
    if (status != TRAJLOG_OK) error_prefix(error, "the list of dropped frames");
    return status;
}

trajlog_status trajlog_reader_drops(trajlog_reader *reader, trajlog_drop *drops, size_t capacity, size_t *count)
{
    struct error error = {0};
    return reader_end(reader, read_drops(reader, drops, capacity, count, &error), &error);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status count_rows(const trajlog_reader *reader, const char *name, const trajlog_rows *rows,
                                 int64_t *count, struct error *error)
{
    const struct scan_group *group;
    struct selection selection;
    TRY(reader_group(reader, name, &group, error));
    if (!count) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "there is no place for the count: it is NULL");
    TRY(reader_select(group, rows, &selection, error));
    *count = selection.count;
    return TRAJLOG_OK;
}

trajlog_status trajlog_count_rows(trajlog_reader *reader, const char *group, trajlog_rows rows, int64_t *count)
{
    struct error error = {0};
    return reader_end(reader, count_rows(reader, group, &rows, count, &error), &error);
}

trajlog_status reader_check_room(const struct selection *selection, const struct dataset *dataset, trajlog_type type,
                                 const void *data, size_t room, struct error *error)
{
    int64_t bytes, row_bytes = (int64_t)trajlog_type_size(type) * selection_elements(selection, dataset);
    bool overflow = __builtin_mul_overflow(row_bytes, selection->count, &bytes);
    if (overflow || (uint64_t)bytes > room)
        return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "%lld row%s not fit into %zu bytes",
                         (long long)selection->count, selection->count == 1 ? " does" : "s do", room);
    if (!data && bytes > 0) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the memory to read to is NULL");
    return TRAJLOG_OK;
}

static trajlog_status read_request(const struct scan_group *group, const struct selection *selection,
                                   const trajlog_request *request, struct error *error)
{
    const struct dataset *dataset;
    trajlog_type type;
    TRY(reader_field(group, request->field, request->type, &dataset, &type, error));
    trajlog_status status = reader_check_room(selection, dataset, type, request->data, request->bytes, error);
    if (status == TRAJLOG_OK)
        status = selection_read(selection, dataset, 0, selection->count, type, request->data, error);
    if (status != TRAJLOG_OK) reader_name_field(error, group, request->field);
    return status;
}

static trajlog_status read_fields(const trajlog_reader *reader, const char *name, const trajlog_rows *rows,
                                  const trajlog_request *requests, size_t count, int64_t *row_count,
                                  struct error *error)
{
    const struct scan_group *group;
    struct selection selection;
    TRY(reader_group(reader, name, &group, error));
    if (!requests && count > 0) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the list of fields is NULL");
    TRY(reader_select(group, rows, &selection, error));
    for (size_t i = 0; i < count; i++) TRY(read_request(group, &selection, &requests[i], error));
    if (row_count) *row_count = selection.count;
    return TRAJLOG_OK;
}

trajlog_status trajlog_read_fields(trajlog_reader *reader, const char *group, trajlog_rows rows,
                                   const trajlog_request *requests, size_t request_count, int64_t *row_count)
{
    struct error error = {0};
    trajlog_status status = read_fields(reader, group, &rows, requests, request_count, row_count, &error);
    return reader_end(reader, status, &error);
}

trajlog_status trajlog_read(trajlog_reader *reader, const char *group, const char *field, trajlog_rows rows,
                            trajlog_type type, void *data, size_t bytes, int64_t *row_count)
{
    trajlog_request request = {.field = field, .type = type, .data = data, .bytes = bytes};
    return trajlog_read_fields(reader, group, rows, &request, 1, row_count);
}

static trajlog_status read_new(const trajlog_reader *reader, const char *name, const char *field,
                               const trajlog_rows *rows, trajlog_type type, void **data, int64_t *row_count,
                               struct error *error)
{
    const struct scan_group *group;
    const struct dataset *dataset;
    struct selection selection;
    if (!data) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "there is no place for the data: it is NULL");
    *data = NULL;
    TRY(reader_group(reader, name, &group, error));
    TRY(reader_field(group, field, type, &dataset, &type, error));
    TRY(reader_select(group, rows, &selection, error));
    trajlog_status status = rows_allocate(dataset, type, selection.count, data, error);
    if (status == TRAJLOG_OK) status = selection_read(&selection, dataset, 0, selection.count, type, *data, error);
    if (status != TRAJLOG_OK) {
        reader_name_field(error, group, field);
        free(*data);
        *data = NULL;
        return status;
    }
    if (row_count) *row_count = selection.count;
    return TRAJLOG_OK;
}

trajlog_status trajlog_read_new(trajlog_reader *reader, const char *group, const char *field, trajlog_rows rows,
                                trajlog_type type, void **data, int64_t *row_count)
{
    struct error error = {0};
    return reader_end(reader, read_new(reader, group, field, &rows, type, data, row_count, &error), &error);
}

void trajlog_free(void *data)
{
    free(data);
}
