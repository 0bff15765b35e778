/* The order of things in a file: groups first, then the datasets of one group after the other, then attributes. So the
 * object headers of a group's datasets, which change at each commit, lie side by side. */
#include "store/define.h"

#include <stdlib.h>
#include <string.h>

#include "model/role.h"
#include "model/schema_json.h"
#include "store/attribute.h"
#include "store/hdf5_error.h"
#include "store/hdf5_links.h"

#define DROP_CHUNK_ROWS      256
#define MOST_LINKS_IN_HEADER 1000 /* with many more, the time for all of them grows as their square */

hid_t define_untimed(hid_t class, size_t links)
{
    hid_t properties = H5Pcreate(class);
    if (properties < 0) return properties;
    if (H5Pset_obj_track_times(properties, false) >= 0 &&
        (links > MOST_LINKS_IN_HEADER || H5Pset_link_phase_change(properties, UINT16_MAX, 0) >= 0))
        return properties;
    H5Pclose(properties);
    return H5I_INVALID_HID;
}

/* Opens the group at `path`, and makes it, for so many members, if it is not there; *group is to be closed with H5Gclose. */
static trajlog_status open_group(struct store *store, hid_t location, const char *path, size_t members, hid_t *group)
{
    trajlog_status status = TRAJLOG_OK;
    hid_t creation = define_untimed(H5P_GROUP_CREATE, members), links = hdf5_link_properties();
    htri_t exists = H5Lexists(location, path, H5P_DEFAULT);
    *group = H5I_INVALID_HID;
    if (exists > 0) *group = H5Gopen2(location, path, H5P_DEFAULT);
    else if (exists == 0 && creation >= 0 && links >= 0)
        *group = H5Gcreate2(location, path, links, creation, H5P_DEFAULT);
    if (*group < 0) status = hdf5_error(&store->failure, "%s: cannot make the group \"%s\"", store->path, path);
    if (creation >= 0) H5Pclose(creation);
    if (links >= 0) H5Pclose(links);
    return status;
}

/* The groups that a field's path goes through: "a" and "a/b" for "a/b/c". */
trajlog_status define_parents(struct store *store, hid_t location, const char *path)
{
    trajlog_status status = TRAJLOG_OK;
    char *parent = strdup(path);
    if (!parent) return store_fail_memory(store);
    for (char *slash = strchr(parent, '/'); slash && status == TRAJLOG_OK; slash = strchr(slash + 1, '/')) {
        hid_t group;
        *slash = '\0';
        status = open_group(store, location, parent, 0, &group);
        *slash = '/';
        if (status == TRAJLOG_OK) H5Gclose(group);
    }
    free(parent);
    return status;
}

struct column_layout define_layout(const struct group *group, const struct field *field)
{
    return (struct column_layout){.group = group->name,
                                  .field = field->name,
                                  .type = field->stored_type,
                                  .memory_type = field->type,
                                  .shape = field->shape,
                                  .storage = field->storage,
                                  .varies = field_varies(group, field)};
}

trajlog_status define_fill(struct store *store, const struct field *field, void **fill)
{
    *fill = calloc(1, trajlog_type_size(field->stored_type));
    if (!*fill) return store_fail_memory(store);
    role_pad(field, *fill, 1);
    return TRAJLOG_OK;
}

static trajlog_status make_axis(struct store *store, struct store_group *group, hid_t location)
{
    struct column_layout step = {.group = group->model->name, .field = "step", .type = TRAJLOG_INT64};
    struct column_layout time = {.group = group->model->name, .field = "time", .type = TRAJLOG_FLOAT64};
    TRY(column_create(&group->step, &store->context, location, &step, &store->failure));
    return column_create(&group->time, &store->context, location, &time, &store->failure);
}

/* Where the number of particles varies, H5MD knows the places without one by the fill value; and when there gets to be
 * room for more, older rows have nothing but that there. */
static trajlog_status define_column(struct store *store, struct store_group *group, size_t index, hid_t location)
{
    const struct field *field = group->model->fields[index];
    struct column_layout layout = define_layout(group->model, field);
    void *fill = NULL;
    if (layout.varies) TRY(define_fill(store, field, &fill));
    layout.fill = fill;
    trajlog_status status = column_create(&group->fields[index], &store->context, location, &layout, &store->failure);
    free(fill);
    return status;
}

static trajlog_status make_datasets(struct store *store, struct store_group *group, hid_t location)
{
    const struct group *model = group->model;
    for (size_t i = 0; i < model->field_count; i++)
        if (model->fields[i]->enabled) TRY(define_parents(store, location, model->fields[i]->name));
    if (group_is_once(model)) return TRAJLOG_OK;
    if (model->checkpoint)
        return checkpoint_create(&store->checkpoint, &store->context, location, model, &store->failure);

    driver_begin_headers(store->driver);
    TRY(make_axis(store, group, location));
    for (size_t i = 0; i < model->field_count; i++) {
        if (!model->fields[i]->enabled) continue;
        TRY(define_column(store, group, i, location));
        if (group->fields[i].varies) group->capacity = column_capacity(&group->fields[i]);
    }
    driver_begin_headers(store->driver);
    return TRAJLOG_OK;
}

/* Takes the text, which is freed; NULL: there was no memory to make it. */
trajlog_status define_json(struct store *store, hid_t object, const char *name, char *text)
{
    if (!text) return store_fail_memory(store);
    trajlog_status status = attribute_set_text(object, name, text, &store->failure);
    free(text);
    return status;
}

static trajlog_status set_rounding(struct store *store, hid_t dataset, const struct storage *storage)
{
    if (storage->max_error > 0.0) TRY(attribute_set_float64(dataset, "max_error", storage->max_error, &store->failure));
    if (storage->significant_digits > 0)
        TRY(attribute_set_int32(dataset, "significant_digits", storage->significant_digits, &store->failure));
    return TRAJLOG_OK;
}

trajlog_status define_field_attributes(struct store *store, hid_t dataset, const struct field *field)
{
    if (field->unit && field->unit[0]) TRY(attribute_set_ascii_text(dataset, "unit", field->unit, &store->failure));
    if (field->description && field->description[0])
        TRY(attribute_set_text(dataset, "description", field->description, &store->failure));
    return set_rounding(store, dataset, &field->storage);
}

static trajlog_status set_group_attributes(struct store *store, struct store_group *group, hid_t location)
{
    const struct group *model = group->model;
    TRY(define_json(store, location, "paths", group_paths_json(model)));
    const struct column *columns = model->checkpoint ? store->checkpoint.fields : group->fields;
    for (size_t i = 0; i < model->field_count; i++) {
        if (columns[i].dataset <= 0) continue;
        trajlog_status status = define_field_attributes(store, columns[i].dataset, model->fields[i]);
        if (status != TRAJLOG_OK)
            error_prefix(&store->failure, "%s: group \"%s\", field \"%s\"", store->path, model->name,
                         model->fields[i]->name);
        TRY(status);
    }
    return TRAJLOG_OK;
}

trajlog_status define_group(struct store *store, struct store_group *group)
{
    hid_t location;
    TRY(open_group(store, store->file, group->model->name, group->model->field_count, &location));
    trajlog_status status = make_datasets(store, group, location);
    if (status == TRAJLOG_OK) status = set_group_attributes(store, group, location);
    H5Gclose(location);
    return status;
}

struct column_layout define_drop_layout(void)
{
    return (struct column_layout){.group = BOOKKEEPING,
                                  .field = "dropped", /* first step, last step, frames */
                                  .type = TRAJLOG_INT64,
                                  .shape = TRAJLOG_SHAPE(3),
                                  .storage = {.chunk_rows = DROP_CHUNK_ROWS}};
}

trajlog_status define_bookkeeping(struct store *store)
{
    struct column_layout layout = define_drop_layout();
    hid_t location;
    TRY(open_group(store, store->file, BOOKKEEPING, 0, &location));
    trajlog_status status = column_create(&store->dropped, &store->context, location, &layout, &store->failure);
    H5Gclose(location);
    return status;
}

trajlog_status define_allocate(struct store *store, const struct schema *schema)
{
    store->schema = schema;
    store->groups = calloc(schema->group_count ? schema->group_count : 1, sizeof *store->groups);
    if (!store->groups) return store_fail_memory(store);
    for (store->group_count = 0; store->group_count < schema->group_count; store->group_count++) {
        struct store_group *group = &store->groups[store->group_count];
        group->model = schema->groups[store->group_count];
        group->fields = calloc(group->model->field_count ? group->model->field_count : 1, sizeof *group->fields);
        if (!group->fields) return store_fail_memory(store);
        while (group->count_field < group->model->field_count &&
               strcmp(group->model->fields[group->count_field]->name, COUNT_FIELD) != 0)
            group->count_field++;
    }
    return TRAJLOG_OK;
}
