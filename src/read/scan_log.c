/* Our own format: the schema says what must be there, and everything in the file is compared with it. */
#include <hdf5.h>
#include <string.h>

#include "model/role.h"
#include "model/schema_json.h"
#include "read/attribute.h"
#include "read/input.h"
#include "read/scan.h"
#include "store/checkpoint.h"

static trajlog_status check_type(const struct dataset *dataset, trajlog_type type, struct error *error)
{
    char expected[32], found[32];
    if (dataset->type == type) return TRAJLOG_OK;
    trajlog_type_name(type, expected, sizeof expected);
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "it holds %s, and the schema says %s",
                     dataset->type ? trajlog_type_name(dataset->type, found, sizeof found) : dataset->obstacle,
                     expected);
}

static trajlog_status check_shape(const struct dataset *dataset, const trajlog_shape *declared, struct error *error)
{
    char expected[160], found[160];
    trajlog_shape grown = *declared, *shape = &grown;
    if (dataset->sparse && dataset->shape.rank > 0 && dataset->shape.dims[0] > 0)
        shape->dims[0] = dataset->shape.dims[0];
    if (shape_equal(&dataset->shape, shape)) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "its shape is %s, and the schema says %s",
                     shape_text(&dataset->shape, found, sizeof found), shape_text(shape, expected, sizeof expected));
}

/* Rows that were not written do not exist, so all of them are in the file; but not all room for particles. */
static trajlog_status check_size(const struct dataset *dataset, struct error *error)
{
    if (dataset->sparse) return TRAJLOG_OK;
    int64_t bytes = (int64_t)dataset->bytes * dataset->extent; /* dataset_set_rows has seen that it does not overflow */
    if (bytes <= dataset->believable_bytes) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "its %lld rows cannot come out of a file this small",
                     (long long)dataset->extent);
}

static trajlog_status open_declared(struct scan *scan, struct dataset *dataset, int64_t parent, const char *name,
                                    bool has_rows, bool sparse, trajlog_type type, const trajlog_shape *shape,
                                    struct error *error)
{
    trajlog_status status = dataset_open(dataset, parent, name, &scan->limits, error);
    dataset->sparse = sparse;
    if (status == TRAJLOG_OK) status = check_type(dataset, type, error);
    if (status == TRAJLOG_OK) status = dataset_set_rows(dataset, has_rows, error);
    if (status == TRAJLOG_OK) status = check_shape(dataset, shape, error);
    if (status == TRAJLOG_OK) status = check_size(dataset, error);
    if (status != TRAJLOG_OK) error_prefix(error, "field \"%s\"", name);
    return status;
}

static trajlog_status open_checked(struct scan *scan, struct dataset *dataset, int64_t parent, const char *name,
                                   bool has_rows, trajlog_type type, const trajlog_shape *shape, struct error *error)
{
    return open_declared(scan, dataset, parent, name, has_rows, false, type, shape, error);
}

/* Rows are those that all datasets have: in a file that is being written, or is torn, they can differ. */
static void count_rows(struct scan_group *group)
{
    group->rows = group->step.extent < group->time.extent ? group->step.extent : group->time.extent;
    for (size_t i = 0; i < group->field_count; i++)
        if (group->fields[i].dataset.extent < group->rows) group->rows = group->fields[i].dataset.extent;
}

static trajlog_status open_fields(struct scan *scan, struct scan_group *group, const struct group *model,
                                  int64_t object, struct error *error)
{
    for (size_t i = 0; i < model->field_count; i++) {
        const struct field *field = model->fields[i];
        TRY(open_declared(scan, &group->fields[i].dataset, object, field->name, !group->once,
                          field_varies(model, field), field->stored_type, &field->shape, error));
    }
    return TRAJLOG_OK;
}

static trajlog_status open_axis(struct scan *scan, struct scan_group *group, int64_t object, struct error *error)
{
    trajlog_shape scalar = TRAJLOG_SCALAR;
    TRY(open_checked(scan, &group->step, object, "step", true, TRAJLOG_INT64, &scalar, error));
    return open_checked(scan, &group->time, object, "time", true, TRAJLOG_FLOAT64, &scalar, error);
}

/* The field is there, but without data: all that is known of it is what the schema says. */
static trajlog_status expect_field(struct scan_field *field, const struct field *model, struct error *error)
{
    int64_t none = 0;
    TRY(dataset_make_constant(&field->dataset, model->name, model->stored_type, &none, error));
    field->dataset.shape = model->shape;
    field->dataset.elements = model->element_count;
    field->dataset.bytes = model->stored_bytes;
    field->dataset.extent = 0;
    return TRAJLOG_OK;
}

/* A `once` group has step and time as attributes, which are written last: with them it is whole, without them it was
 * not written. */
static trajlog_status open_once(struct scan *scan, struct scan_group *group, const struct group *model, int64_t object,
                                struct error *error)
{
    int64_t step;
    double time;
    bool has_step, has_time;
    TRY(attribute_get_integer(object, "step", &step, &has_step, error));
    TRY(attribute_get_real(object, "time", &time, &has_time, error));
    group->rows = has_step && has_time;
    if (group->rows == 0) {
        for (size_t i = 0; i < model->field_count; i++) TRY(expect_field(&group->fields[i], model->fields[i], error));
        return TRAJLOG_OK;
    }
    TRY(dataset_make_constant(&group->step, "step", TRAJLOG_INT64, &step, error));
    TRY(dataset_make_constant(&group->time, "time", TRAJLOG_FLOAT64, &time, error));
    return open_fields(scan, group, model, object, error);
}

static trajlog_status open_rows(struct scan *scan, struct scan_group *group, const struct group *model, int64_t object,
                                struct error *error)
{
    TRY(open_axis(scan, group, object, error));
    TRY(open_fields(scan, group, model, object, error));
    count_rows(group);
    return TRAJLOG_OK;
}

/* Two slots are all that there ever is, and no rows. */
static trajlog_status open_checkpoint(struct scan *scan, struct scan_group *group, const struct group *model,
                                      int64_t object, struct error *error)
{
    trajlog_shape scalar = TRAJLOG_SCALAR;
    TRY(open_axis(scan, group, object, error));
    TRY(open_checked(scan, &group->sequence, object, "sequence", true, TRAJLOG_INT64, &scalar, error));
    TRY(open_checked(scan, &group->checksum, object, "checksum", true, TRAJLOG_UINT64, &scalar, error));
    TRY(open_fields(scan, group, model, object, error));
    count_rows(group);
    if (group->sequence.extent < group->rows) group->rows = group->sequence.extent;
    if (group->checksum.extent < group->rows) group->rows = group->checksum.extent;
    if (group->rows < CHECKPOINT_SLOTS)
        return error_set(error, TRAJLOG_INVALID_FILE, 0, "it has room for %lld states: expected %d",
                         (long long)group->rows, CHECKPOINT_SLOTS);
    group->rows = 0;
    return TRAJLOG_OK;
}

static trajlog_status open_contents(struct scan *scan, struct scan_group *group, const struct group *model,
                                    int64_t object, struct error *error)
{
    if (group->checkpoint) return open_checkpoint(scan, group, model, object, error);
    return group->once ? open_once(scan, group, model, object, error) : open_rows(scan, group, model, object, error);
}

static trajlog_status open_group(struct scan *scan, struct scan_group *group, const struct group *model,
                                 struct error *error)
{
    int64_t object;
    TRY(scan_make_fields(group, model->name, model->field_count, error));
    TRY(scan_open_group(scan, model->name, &object, error));
    group->once = group_is_once(model);
    group->checkpoint = model->checkpoint;
    trajlog_status status = open_contents(scan, group, model, object, error);
    if (status != TRAJLOG_OK) error_prefix(error, "group \"%s\"", model->name);
    object_close(object);
    return status;
}

static trajlog_status open_dropped(struct scan *scan, struct error *error)
{
    int64_t object;
    trajlog_shape row = TRAJLOG_SHAPE(3);
    TRY(scan_open_group(scan, "trajlog", &object, error));
    trajlog_status status = open_checked(scan, &scan->dropped, object, "dropped", true, TRAJLOG_INT64, &row, error);
    if (status != TRAJLOG_OK) error_prefix(error, "group \"trajlog\"");
    object_close(object);
    return status;
}

static trajlog_status read_schema(struct scan *scan, bool *found, struct error *error)
{
    TRY(attribute_get_text(scan->file, "trajlog_schema", &scan->schema_text, found, error));
    if (!*found) return TRAJLOG_OK;
    trajlog_status status = schema_from_json(scan->schema_text, strlen(scan->schema_text), &scan->schema, error);
    if (status != TRAJLOG_OK) error_prefix(error, "attribute \"trajlog_schema\"");
    return status;
}

trajlog_status scan_log(struct scan *scan, int64_t version, struct error *error)
{
    bool found;
    if (version < 1) return error_set(error, TRAJLOG_INVALID_FILE, 0, "its format version is %lld", (long long)version);
    if (version > TRAJLOG_FORMAT_VERSION)
        return error_set(error, TRAJLOG_UNSUPPORTED, 0,
                         "its format version is %lld, and this library (%s) reads versions up to %d",
                         (long long)version, trajlog_version(), TRAJLOG_FORMAT_VERSION);
    scan->info.format_version = (int32_t)version;
    TRY(read_schema(scan, &found, error));
    if (!found) return scan_make_groups(scan, 0, error); /* made, and not started yet */

    TRY(attribute_get_integer(scan->file, "actual_steps", &scan->info.actual_steps, &found, error));
    if (!found) scan->info.actual_steps = -1;
    TRY(scan_make_groups(scan, scan->schema->group_count, error));
    for (size_t i = 0; i < scan->group_count; i++)
        TRY(open_group(scan, &scan->groups[i], scan->schema->groups[i], error));
    return open_dropped(scan, error);
}
