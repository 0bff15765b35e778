/* What the public infos say of a scan. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/role.h"
#include "model/schema_json.h"
#include "read/scan.h"
#include "read/slot.h"

/* Takes the text of `object` if there is none yet. */
static trajlog_status make_metadata(char **text, const struct json_t *object, struct error *error)
{
    if (!*text) *text = metadata_text(object);
    return *text ? TRAJLOG_OK : error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for metadata");
}

static trajlog_status describe_field(struct scan_field *field, const struct field *model, trajlog_field_info *info,
                                     struct error *error)
{
    const struct dataset *dataset = &field->dataset;
    char obstacle[160] = "";
    if (dataset->obstacle) snprintf(obstacle, sizeof obstacle, "cannot be read: %s", dataset->obstacle);
    TRY(make_metadata(&field->metadata, model ? model->metadata : NULL, error));
    TRY(scan_copy(&field->description, model ? model->description : obstacle, error));
    info->name = dataset->name;
    info->unit = model ? model->unit : "";
    info->description = field->description;
    info->type = model ? model->type : dataset->type;
    info->stored_type = dataset->type;
    info->shape = dataset->shape;
    info->storage = dataset->storage ? dataset->storage : "not written";
    info->stored_bytes = dataset->stored_bytes;
    info->metadata = field->metadata;
    info->role = model ? model->role : TRAJLOG_ROLE_NONE;
    info->particles = model && model->particles ? model->particles : "";
    info->max_error = model ? model->storage.max_error : 0;
    info->significant_digits = model ? model->storage.significant_digits : 0;
    return TRAJLOG_OK;
}

/* Those that say of themselves that they are complete; whether their data are right is found out when they are read. */
static trajlog_status read_checkpoints(struct scan_group *group, struct error *error)
{
    trajlog_group_info *info = &group->info;
    struct slot slots[CHECKPOINT_SLOTS];
    int order[CHECKPOINT_SLOTS];
    TRY(slots_read(group, slots, error));
    info->checkpoint = 1;
    info->checkpoint_count = slots_order(slots, order);
    if (info->checkpoint_count == 0) return TRAJLOG_OK;
    const struct slot *newer = &slots[order[0]], *older = &slots[order[info->checkpoint_count - 1]];
    info->last_step = newer->step;
    info->last_time = newer->time;
    info->first_step = older->step;
    info->first_time = older->time;
    return TRAJLOG_OK;
}

static trajlog_status read_ends(struct scan_group *group, struct error *error)
{
    trajlog_group_info *info = &group->info;
    int64_t last = group->rows - 1;
    info->first_time = info->last_time = NAN;
    if (group->checkpoint) return read_checkpoints(group, error);
    if (group->once || group->rows == 0 || !group->step.name) return TRAJLOG_OK;
    TRY(dataset_read(&group->step, 0, 1, 1, &info->first_step, error));
    TRY(dataset_read(&group->step, last, 1, 1, &info->last_step, error));
    TRY(dataset_read(&group->time, 0, 1, 1, &info->first_time, error));
    return dataset_read(&group->time, last, 1, 1, &info->last_time, error);
}

static trajlog_status describe_frequency(struct scan_group *group, const struct group *model, struct error *error)
{
    char text[256];
    if (group->checkpoint) snprintf(text, sizeof text, "when the program asks");
    else if (model) trajlog_frequency_text(&model->frequency, text, sizeof text);
    else snprintf(text, sizeof text, "%s", group->once ? "once" : "not recorded");
    return scan_copy(&group->frequency, text, error);
}

static trajlog_status describe_group(struct scan_group *group, const struct group *model, struct error *error)
{
    trajlog_group_info *info = &group->info;
    TRY(describe_frequency(group, model, error));
    TRY(make_metadata(&group->metadata, model ? model->metadata : NULL, error));
    trajlog_status status = read_ends(group, error);
    if (status != TRAJLOG_OK) error_prefix(error, "group \"%s\": its steps and times", group->name);
    TRY(status);
    info->name = group->name;
    info->once = group->once;
    info->field_count = (int32_t)group->field_count;
    info->rows = group->rows;
    info->frequency = group->frequency;
    info->metadata = group->metadata;
    for (size_t i = 0; i < group->field_count; i++) {
        const struct field *field = model ? model->fields[i] : NULL;
        TRY(describe_field(&group->fields[i], field, &group->field_infos[i], error));
        group->field_infos[i].data_bytes = group->rows * (int64_t)group->fields[i].dataset.bytes;
        group->field_infos[i].varying = model && field_varies(model, field);
    }
    return TRAJLOG_OK;
}

#define DROPS_AT_ONCE 1024

static trajlog_status count_drops(struct scan *scan, struct error *error)
{
    int64_t drops[DROPS_AT_ONCE][3];
    for (int64_t first = 0; scan->dropped.name && first < scan->dropped.extent; first += DROPS_AT_ONCE) {
        int64_t left = scan->dropped.extent - first;
        int64_t count = left < DROPS_AT_ONCE ? left : DROPS_AT_ONCE;
        trajlog_status status = dataset_read(&scan->dropped, first, 1, count, drops, error);
        if (status != TRAJLOG_OK) error_prefix(error, "the list of dropped frames");
        TRY(status);
        for (int64_t i = 0; i < count; i++)
            if (drops[i][2] < 0 || __builtin_add_overflow(scan->info.dropped, drops[i][2], &scan->info.dropped))
                return error_set(error, TRAJLOG_INVALID_FILE, 0, "the list of dropped frames is not valid");
    }
    return TRAJLOG_OK;
}

trajlog_status scan_describe(struct scan *scan, struct error *error)
{
    const struct schema *schema = scan->schema;
    TRY(make_metadata(&scan->metadata, schema ? schema->metadata : NULL, error));
    TRY(make_metadata(&scan->environment, schema ? schema->environment : NULL, error));
    for (size_t i = 0; i < scan->group_count; i++)
        TRY(describe_group(&scan->groups[i], schema ? schema->groups[i] : NULL, error));
    TRY(count_drops(scan, error));
    scan->info.path = scan->path;
    scan->info.group_count = (int32_t)scan->group_count;
    scan->info.metadata = scan->metadata;
    scan->info.environment = scan->environment;
    scan->info.schema = scan->schema_text ? scan->schema_text : "";
    return TRAJLOG_OK;
}
