/* The seed system's format. Groups and datasets are named by two JSON lists, and nothing else can be relied on: which
 * groups have a time axis is known to a pickle only, which is never read. */
#include <stdlib.h>
#include <string.h>

#include "model/schema_json.h"
#include "read/attribute.h"
#include "read/scan.h"

static trajlog_status read_names(int64_t object, const char *attribute, char ***names, size_t *count,
                                 struct error *error)
{
    char *text = NULL;
    bool found;
    TRY(attribute_get_text(object, attribute, &text, &found, error));
    if (!found) return error_set(error, TRAJLOG_INVALID_FILE, 0, "attribute \"%s\" is missing", attribute);
    trajlog_status status = names_from_json(text, strlen(text), names, count, error);
    if (status != TRAJLOG_OK) error_prefix(error, "attribute \"%s\"", attribute);
    free(text);
    return status;
}

/* Whether the first dimension of all datasets counts rows. Where they can grow it does. Where they cannot, rows were
 * allocated for the whole run, so that all datasets agree on their number; a `once` group can look so as well, and then
 * counts as rows, of which reading all gives the same bytes. */
static bool has_time_axis(const struct scan_group *group)
{
    bool grows = false, equal = true;
    for (size_t i = 0; i < group->field_count; i++) {
        const struct dataset *dataset = &group->fields[i].dataset;
        if (dataset->rank == 0) return false;
        grows = grows || dataset->may_grow;
        equal = equal && dataset->dims[0] == group->fields[0].dataset.dims[0];
    }
    return group->field_count > 0 && (grows || equal);
}

static trajlog_status settle_rows(struct scan_group *group, struct error *error)
{
    group->once = !has_time_axis(group);
    group->rows = group->field_count > 0;
    for (size_t i = 0; i < group->field_count; i++) {
        struct dataset *dataset = &group->fields[i].dataset;
        trajlog_status status = dataset_set_rows(dataset, !group->once, error);
        if (status != TRAJLOG_OK) error_prefix(error, "field \"%s\"", dataset->name);
        TRY(status);
        if (i == 0 || dataset->extent < group->rows) group->rows = dataset->extent;
    }
    return TRAJLOG_OK;
}

static trajlog_status open_fields(struct scan *scan, struct scan_group *group, int64_t object, char **names,
                                  struct error *error)
{
    for (size_t i = 0; i < group->field_count; i++) {
        trajlog_status status = dataset_open(&group->fields[i].dataset, object, names[i], &scan->limits, error);
        if (status != TRAJLOG_OK) error_prefix(error, "field \"%s\"", names[i]);
        TRY(status);
    }
    return settle_rows(group, error);
}

/* The name of a class that the seed system leaves for people to read, as metadata. */
static trajlog_status keep_class_name(int64_t object, const char *attribute, char **metadata, struct error *error)
{
    char *text = NULL;
    bool found;
    struct json_t *kept = NULL;
    TRY(attribute_get_text(object, attribute, &text, &found, error));
    trajlog_status status = found ? metadata_set(&kept, attribute, text, error) : TRAJLOG_OK;
    if (status == TRAJLOG_OK && !(*metadata = metadata_text(kept)))
        status = error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for metadata");
    metadata_free(kept);
    free(text);
    return status;
}

static trajlog_status fill_group(struct scan *scan, struct scan_group *group, const char *name, int64_t object,
                                 struct error *error)
{
    char **names = NULL;
    size_t count = 0;
    TRY(read_names(object, "paths", &names, &count, error));
    trajlog_status status = scan_make_fields(group, name, count, error);
    if (status == TRAJLOG_OK) status = open_fields(scan, group, object, names, error);
    if (status == TRAJLOG_OK) status = keep_class_name(object, "data_class_name", &group->metadata, error);
    names_free(names, count);
    return status;
}

static trajlog_status open_group(struct scan *scan, struct scan_group *group, const char *name, struct error *error)
{
    int64_t object;
    TRY(scan_open_group(scan, name, &object, error));
    trajlog_status status = fill_group(scan, group, name, object, error);
    if (status != TRAJLOG_OK) error_prefix(error, "group \"%s\"", name);
    object_close(object);
    return status;
}

static trajlog_status open_groups(struct scan *scan, char **names, size_t count, struct error *error)
{
    TRY(scan_make_groups(scan, count, error));
    for (size_t i = 0; i < count; i++) TRY(open_group(scan, &scan->groups[i], names[i], error));
    return TRAJLOG_OK;
}

trajlog_status scan_seed(struct scan *scan, struct error *error)
{
    char **names = NULL;
    size_t count = 0;
    bool found;
    TRY(attribute_get_integer(scan->file, "actual_steps", &scan->info.actual_steps, &found, error));
    if (!found) scan->info.actual_steps = -1;
    TRY(read_names(scan->file, "group_names", &names, &count, error));
    trajlog_status status = open_groups(scan, names, count, error);
    names_free(names, count);
    TRY(status);
    return keep_class_name(scan->file, "config_class_name", &scan->metadata, error);
}
