/* trajlog_restore. Slots are replaced in place, so that what was learned when the reader was opened is of no use: each call
 * opens the file anew. A state that is replaced while it is read does not have its checksum any more. */
#include <stdlib.h>
#include <string.h>

#include "model/convert.h"
#include "read/reader.h"
#include "read/slot.h"
#include "store/ownership.h"

/* How often a writer may be faster. */
#define ATTEMPTS 10

struct wanted {
    const struct scan_group *group;
    const trajlog_request *requests;
    size_t count;
};

/* ---------------------------------------------------------------------------------------------------------------------
 * What is asked for
 * ------------------------------------------------------------------------------------------------------------------ */

static const struct dataset *find_field(const struct scan_group *group, const char *name)
{
    for (size_t i = 0; i < group->field_count; i++)
        if (strcmp(group->fields[i].dataset.name, name) == 0) return &group->fields[i].dataset;
    return NULL;
}

static trajlog_status check_request(const struct scan_group *group, const trajlog_request *request, struct error *error)
{
    trajlog_type type;
    if (!request->field) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the name of a field is NULL");
    const struct dataset *dataset = find_field(group, request->field);
    /* Not NOT_FOUND, which says that the run has to start over. */
    if (!dataset) return error_set(error, TRAJLOG_SCHEMA_MISMATCH, 0, "there is no field \"%s\"", request->field);
    trajlog_status status = rows_type(dataset, request->type, &type, error);
    size_t bytes = status == TRAJLOG_OK ? trajlog_type_size(type) * (size_t)dataset->elements : 0;
    if (status == TRAJLOG_OK && bytes > request->bytes)
        status = error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "its %zu bytes do not fit into %zu", bytes, request->bytes);
    if (status == TRAJLOG_OK && bytes > 0 && !request->data)
        status = error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the memory to read to is NULL");
    if (status != TRAJLOG_OK) error_prefix(error, "field \"%s\"", request->field);
    return status;
}

static trajlog_status check_requests(const struct wanted *wanted, struct error *error)
{
    if (!wanted->requests && wanted->count > 0)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the list of fields is NULL");
    for (size_t i = 0; i < wanted->count; i++) TRY(check_request(wanted->group, &wanted->requests[i], error));
    return TRAJLOG_OK;
}

static trajlog_status deliver(size_t field, const struct dataset *dataset, const void *row, void *context,
                              struct error *error)
{
    const struct wanted *wanted = context;
    (void)field;
    for (size_t i = 0; i < wanted->count; i++) {
        const trajlog_request *request = &wanted->requests[i];
        if (strcmp(request->field, dataset->name) != 0) continue;
        trajlog_type type = request->type ? request->type : dataset->type;
        TRY(convert_dense(request->data, type, row, dataset->type, dataset->elements, error));
    }
    return TRAJLOG_OK;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Which state
 * ------------------------------------------------------------------------------------------------------------------ */

static const struct scan_group *find_checkpoints(const struct scan *scan)
{
    for (size_t i = 0; i < scan->group_count; i++)
        if (scan->groups[i].checkpoint) return &scan->groups[i];
    return NULL;
}

static bool is_damage(trajlog_status status)
{
    return status == TRAJLOG_INVALID_FILE || status == TRAJLOG_HDF5_ERROR || status == TRAJLOG_IO_ERROR;
}

/* The newest first; *damaged says that it failed of the states alone. */
static trajlog_status restore_newest(struct wanted *wanted, struct slot *restored, bool *damaged, struct error *error)
{
    struct slot slots[CHECKPOINT_SLOTS];
    int order[CHECKPOINT_SLOTS];
    TRY(check_requests(wanted, error));
    TRY(slots_read(wanted->group, slots, error));
    int count = slots_order(slots, order);
    if (count == 0) return error_set(error, TRAJLOG_NOT_FOUND, 0, "no checkpoint was completed");
    for (int i = 0; i < count; i++) {
        struct error failure = {0};
        *restored = slots[order[i]];
        trajlog_status status = slot_read_state(wanted->group, restored, order[i], deliver, wanted, &failure);
        if (status == TRAJLOG_OK) return status;
        *damaged = is_damage(status);
        if (error->status == TRAJLOG_OK) *error = failure;
        if (!*damaged) break;
    }
    return error->status;
}

static trajlog_status restore_once(const trajlog_reader *reader, struct wanted *wanted, struct slot *restored,
                                   bool *damaged, struct error *error)
{
    struct scan *scan = NULL;
    *damaged = false;
    TRY(scan_open(&scan, reader->path, reader->filters, reader->decoders, error));
    wanted->group = find_checkpoints(scan);
    trajlog_status status = wanted->group ? restore_newest(wanted, restored, damaged, error)
                                          : error_set(error, TRAJLOG_NOT_FOUND, 0, "there is no group of checkpoints");
    if (status != TRAJLOG_OK && wanted->group) error_prefix(error, "group \"%s\"", wanted->group->name);
    scan_close(scan);
    return status;
}

static trajlog_status restore(const trajlog_reader *reader, struct wanted *wanted, struct slot *restored,
                              struct error *error)
{
    trajlog_status status = TRAJLOG_OK;
    bool damaged = true;
    TRY(reader_is_open(reader, error));
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        error_clear(error);
        status = restore_once(reader, wanted, restored, &damaged, error);
        if (!damaged || !ownership_is_taken(reader->path)) break;
    }
    return status;
}

trajlog_status trajlog_restore(trajlog_reader *reader, const trajlog_request *requests, size_t request_count,
                               int64_t *step, double *time)
{
    struct error error = {0};
    struct wanted wanted = {.requests = requests, .count = request_count};
    struct slot restored = {0};
    trajlog_status status = restore(reader, &wanted, &restored, &error);
    if (status == TRAJLOG_OK && step) *step = restored.step;
    if (status == TRAJLOG_OK && time) *time = restored.time;
    return reader_end(reader, status, &error);
}
