#include "store/resume.h"

#include <stdlib.h>
#include <string.h>

#include "model/role.h"
#include "model/schema_compare.h"
#include "model/schema_json.h"
#include "store/attribute.h"
#include "store/define.h"
#include "store/hdf5_error.h"

static trajlog_status not_a_log(struct store *store, const char *what)
{
    return error_set(&store->failure, TRAJLOG_INVALID_FILE, 0, "%s: %s", store->path, what);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Attributes
 * ------------------------------------------------------------------------------------------------------------------ */

/* Reads a scalar; *found: it is there. */
static trajlog_status load_number(struct store *store, hid_t object, const char *name, hid_t type, void *value,
                                  bool *found)
{
    htri_t exists = H5Aexists(object, name);
    *found = exists > 0;
    if (exists == 0) return TRAJLOG_OK;
    hid_t attribute = exists > 0 ? H5Aopen(object, name, H5P_DEFAULT) : H5I_INVALID_HID;
    hid_t space = attribute >= 0 ? H5Aget_space(attribute) : H5I_INVALID_HID;
    bool good = space >= 0 && H5Sget_simple_extent_npoints(space) == 1 && H5Aread(attribute, type, value) >= 0;
    if (!good) hdf5_error(&store->failure, "%s: cannot read the attribute \"%s\"", store->path, name);
    if (space >= 0) H5Sclose(space);
    if (attribute >= 0) H5Aclose(attribute);
    return store->failure.status;
}

/* Reads a text of variable length; NULL if there is none. */
static trajlog_status load_text(struct store *store, hid_t object, const char *name, char **text)
{
    *text = NULL;
    htri_t exists = H5Aexists(object, name);
    if (exists == 0) return TRAJLOG_OK;
    hid_t attribute = exists > 0 ? H5Aopen(object, name, H5P_DEFAULT) : H5I_INVALID_HID;
    hid_t type = attribute >= 0 ? H5Aget_type(attribute) : H5I_INVALID_HID;
    char *loaded = NULL;
    if (type >= 0 && H5Tis_variable_str(type) > 0 && H5Aread(attribute, type, &loaded) >= 0) {
        *text = strdup(loaded ? loaded : "");
        if (!*text) store_fail_memory(store);
    } else {
        hdf5_error(&store->failure, "%s: cannot read the attribute \"%s\"", store->path, name);
    }
    if (loaded) H5free_memory(loaded);
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
    if (store->failure.status != TRAJLOG_OK) {
        free(*text);
        *text = NULL;
    }
    return store->failure.status;
}

/* Takes the text, which is freed. In its place: making the attribute anew would move messages between the chunks of the
 * object's header, which may lie on two pages, so that a kill could come between. */
static trajlog_status replace_text(struct store *store, hid_t object, const char *name, char *text)
{
    if (!text) return store_fail_memory(store);
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    hid_t type = attribute >= 0 ? H5Aget_type(attribute) : H5I_INVALID_HID;
    const char *value = text;
    if (type < 0 || H5Tis_variable_str(type) <= 0 || H5Awrite(attribute, type, &value) < 0)
        hdf5_error(&store->failure, "%s: cannot replace the attribute \"%s\"", store->path, name);
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
    free(text);
    return store->failure.status;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Opening
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status open_file(struct store *store, struct driver *driver, unsigned flags, hid_t *file)
{
    hid_t access = store_access(driver, &store->failure);
    *file = access >= 0 ? H5Fopen(ownership_path(store->ownership), flags, access) : H5I_INVALID_HID;
    if (*file < 0) store_fail(store, "open the file");
    if (access >= 0) H5Pclose(access);
    return *file < 0 ? store->failure.status : TRAJLOG_OK;
}

static trajlog_status check_version(struct store *store, hid_t file)
{
    int32_t version = 0;
    bool found;
    TRY(load_number(store, file, "trajlog_version", H5T_NATIVE_INT32, &version, &found));
    if (!found || version < 1) return not_a_log(store, "no trajlog log: it has no trajlog_version");
    if (version > TRAJLOG_FORMAT_VERSION)
        return error_set(&store->failure, TRAJLOG_UNSUPPORTED, 0,
                         "%s: format version %ld; this library (%s) continues versions up to %d", store->path,
                         (long)version, trajlog_version(), TRAJLOG_FORMAT_VERSION);
    return TRAJLOG_OK;
}

static trajlog_status read_schema(struct store *store)
{
    char *text;
    TRY(load_text(store, store->file, "trajlog_schema", &text));
    if (!text) return TRAJLOG_OK;
    trajlog_status status = schema_from_json(text, strlen(text), &store->filed, &store->failure);
    if (status != TRAJLOG_OK) error_prefix(&store->failure, "%s", store->path);
    free(text);
    return status;
}

trajlog_status resume_open(struct store *store)
{
    TRY(driver_open(&store->driver, ownership_path(store->ownership), store_io, &store->failure));
    store->context.driver = store->driver;
    TRY(open_file(store, store->driver, H5F_ACC_RDWR, &store->file));
    TRY(check_version(store, store->file));
    return read_schema(store);
}

trajlog_status resume_check_log(struct store *store)
{
    struct driver *reading;
    hid_t file;
    TRY(driver_open_for_reading(&reading, ownership_path(store->ownership), false, store_io, &store->failure));
    trajlog_status status = open_file(store, reading, H5F_ACC_RDONLY, &file);
    if (status == TRAJLOG_OK) {
        status = check_version(store, file);
        H5Fclose(file);
    }
    /* What libhdf5 says of a read that failed has no errno. */
    struct error cause = {.status = TRAJLOG_OK};
    if (driver_error(reading, &cause) != TRAJLOG_OK) {
        store->failure = cause;
        status = cause.status;
    }
    driver_destroy(reading);
    return status;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Rows that are kept
 * ------------------------------------------------------------------------------------------------------------------ */

/* How many of the first `rows` rows have steps up to the restart step. Steps are increasing. */
static trajlog_status count_kept(struct store *store, const struct column *steps, int64_t rows, int64_t *kept)
{
    int64_t low = 0, high = rows;
    while (low < high) {
        int64_t middle = low + (high - low) / 2, step;
        TRY(column_read(steps, middle, 1, &step, &store->failure));
        if (step <= store->restart_step) low = middle + 1;
        else high = middle;
    }
    *kept = low;
    return TRAJLOG_OK;
}

static trajlog_status note_last_moment(struct store *store, const struct store_group *group)
{
    int64_t step;
    double time;
    if (group->rows == 0) return TRAJLOG_OK;
    TRY(column_read(&group->step, group->rows - 1, 1, &step, &store->failure));
    TRY(column_read(&group->time, group->rows - 1, 1, &time, &store->failure));
    if (!store->has_kept || step > store->kept_step) {
        store->kept_step = step;
        store->kept_time = time;
    }
    store->has_kept = true;
    return TRAJLOG_OK;
}

/* All datasets of a group have the same number of rows; or those count that all have. */
static int64_t common_rows(const struct store_group *group)
{
    int64_t rows = group->step.rows < group->time.rows ? group->step.rows : group->time.rows;
    for (size_t i = 0; i < group->model->field_count; i++)
        if (group->fields[i].dataset > 0 && group->fields[i].rows < rows) rows = group->fields[i].rows;
    return rows;
}

static trajlog_status keep_rows(struct store *store, struct store_group *group)
{
    TRY(count_kept(store, &group->step, common_rows(group), &group->rows));
    TRY(note_last_moment(store, group));
    TRY(column_keep(&group->step, group->rows, &store->failure));
    TRY(column_keep(&group->time, group->rows, &store->failure));
    for (size_t i = 0; i < group->model->field_count; i++)
        if (group->fields[i].dataset > 0) TRY(column_keep(&group->fields[i], group->rows, &store->failure));
    return TRAJLOG_OK;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Groups
 * ------------------------------------------------------------------------------------------------------------------ */

/* A kill can leave them different, where the headers of a group lie on several pages. */
static int64_t largest_capacity(const struct store_group *group)
{
    int64_t largest = 0;
    for (size_t i = 0; i < group->model->field_count; i++) {
        const struct column *column = &group->fields[i];
        if (column->dataset > 0 && column->varies && column_capacity(column) > largest)
            largest = column_capacity(column);
    }
    return largest;
}

/* A field that schema_take_up has just added to a group of the file. */
static bool is_new(const struct group *filed, const struct field *field)
{
    return group_find_field(filed, field->name)->first_row == FIRST_ROW_OPEN;
}

static trajlog_status open_column(struct store *store, const struct store_group *group, const struct field *field,
                                  struct column *column, hid_t location)
{
    struct column_layout layout = define_layout(group->model, field);
    void *fill = NULL;
    if (layout.varies) TRY(define_fill(store, field, &fill));
    layout.fill = fill;
    trajlog_status status = column_open(column, &store->context, location, &layout, &store->failure);
    free(fill);
    return status;
}

static trajlog_status open_columns(struct store *store, struct store_group *group, const struct group *filed,
                                   hid_t location)
{
    const struct group *model = group->model;
    struct column_layout step = {.group = model->name, .field = "step", .type = TRAJLOG_INT64};
    struct column_layout time = {.group = model->name, .field = "time", .type = TRAJLOG_FLOAT64};
    TRY(column_open(&group->step, &store->context, location, &step, &store->failure));
    TRY(column_open(&group->time, &store->context, location, &time, &store->failure));
    for (size_t i = 0; i < model->field_count; i++) {
        if (!model->fields[i]->enabled || is_new(filed, model->fields[i])) continue;
        TRY(open_column(store, group, model->fields[i], &group->fields[i], location));
    }
    group->capacity = largest_capacity(group);
    return TRAJLOG_OK;
}

static trajlog_status add_column(struct store *store, struct store_group *group, const struct field *field,
                                 struct column *column, hid_t location)
{
    struct column_layout layout = define_layout(group->model, field);
    void *fill;
    TRY(define_fill(store, field, &fill));
    layout.fill = fill;
    if (layout.varies && group->capacity > 0) layout.shape.dims[0] = group->capacity;
    trajlog_status status = define_parents(store, location, field->name);
    if (status == TRAJLOG_OK) status = column_create(column, &store->context, location, &layout, &store->failure);
    if (status == TRAJLOG_OK) status = column_fill(column, group->rows, fill, &store->failure);
    free(fill);
    return status;
}

/* Their headers lie together, as those of a new group do. */
static trajlog_status add_columns(struct store *store, struct store_group *group, const struct group *filed,
                                  hid_t location)
{
    const struct group *model = group->model;
    driver_begin_headers(store->driver);
    for (size_t i = 0; i < model->field_count; i++)
        if (model->fields[i]->enabled && is_new(filed, model->fields[i]))
            TRY(add_column(store, group, model->fields[i], &group->fields[i], location));
    driver_begin_headers(store->driver);
    for (size_t i = 0; i < model->field_count; i++)
        if (model->fields[i]->enabled && is_new(filed, model->fields[i]))
            TRY(define_field_attributes(store, group->fields[i].dataset, model->fields[i]));
    return TRAJLOG_OK;
}

/* Step and time are written last: with them the group has its data. */
static trajlog_status take_up_once(struct store *store, struct store_group *group, const struct group *filed,
                                   hid_t location)
{
    int64_t step;
    double time;
    bool has_step, has_time;
    TRY(load_number(store, location, "step", H5T_NATIVE_INT64, &step, &has_step));
    TRY(load_number(store, location, "time", H5T_NATIVE_DOUBLE, &time, &has_time));
    group->rows = has_step && has_time;
    group->written = group->rows == 1;
    for (size_t i = 0; i < group->model->field_count; i++) {
        const struct field *field = group->model->fields[i];
        if (!field->enabled || !is_new(filed, field)) continue;
        TRY(define_parents(store, location, field->name));
        group->written = false;
    }
    return TRAJLOG_OK;
}

static trajlog_status take_up_rows(struct store *store, struct store_group *group, const struct group *filed,
                                   hid_t location)
{
    TRY(open_columns(store, group, filed, location));
    TRY(keep_rows(store, group));
    return add_columns(store, group, filed, location);
}

/* What a new field's first row is, and what it is of one whose older rows are dropped, is known now. */
static void limit_first_rows(struct store *store, const struct store_group *group, struct group *filed)
{
    int64_t rows = group_is_once(filed) ? 0 : group->rows;
    for (size_t i = 0; i < filed->field_count; i++) {
        if (filed->fields[i]->first_row <= rows) continue;
        filed->fields[i]->first_row = rows;
        store->filed_changed = true;
    }
}

static bool has_new_fields(const struct group *filed)
{
    for (size_t i = 0; i < filed->field_count; i++)
        if (filed->fields[i]->first_row == FIRST_ROW_OPEN) return true;
    return false;
}

static trajlog_status take_up_group(struct store *store, struct store_group *group, struct group *filed)
{
    hid_t location = H5Gopen2(store->file, group->model->name, H5P_DEFAULT);
    if (location < 0)
        return hdf5_error(&store->failure, "%s: cannot open the group \"%s\"", store->path, group->model->name);
    trajlog_status status;
    if (filed->checkpoint)
        status = checkpoint_open(&store->checkpoint, &store->context, location, group->model, &store->failure);
    else if (group_is_once(filed)) status = take_up_once(store, group, filed, location);
    else status = take_up_rows(store, group, filed, location);
    if (status == TRAJLOG_OK && has_new_fields(filed))
        status = replace_text(store, location, "paths", group_paths_json(filed));
    H5Gclose(location);
    limit_first_rows(store, group, filed);
    return status;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The file as a whole
 * ------------------------------------------------------------------------------------------------------------------ */

/* Ranges of dropped frames come in the order of their steps; the last one that is kept may have to be cut. How many of
 * its frames were due up to the restart step is not known, but that each had a step. */
static trajlog_status keep_drops(struct store *store)
{
    int64_t kept = 0, row[3];
    for (; kept < store->dropped.rows; kept++) {
        TRY(column_read(&store->dropped, kept, 1, row, &store->failure));
        if (row[1] > store->restart_step) break;
    }
    if (kept < store->dropped.rows && row[0] <= store->restart_step) {
        uint64_t steps = (uint64_t)store->restart_step - (uint64_t)row[0] + 1;
        store->cut_drop[0] = row[0];
        store->cut_drop[1] = store->restart_step;
        store->cut_drop[2] = steps < (uint64_t)row[2] ? (int64_t)steps : row[2];
    }
    return column_keep(&store->dropped, kept, &store->failure);
}

static trajlog_status take_up_drops(struct store *store)
{
    struct column_layout layout = define_drop_layout();
    hid_t location = H5Gopen2(store->file, BOOKKEEPING, H5P_DEFAULT);
    if (location < 0) return store_fail(store, "open the group \"" BOOKKEEPING "\"");
    trajlog_status status = column_open(&store->dropped, &store->context, location, &layout, &store->failure);
    H5Gclose(location);
    return status == TRAJLOG_OK ? keep_drops(store) : status;
}

static trajlog_status limit_actual_steps(struct store *store)
{
    int64_t steps = 0;
    bool found;
    TRY(load_number(store, store->file, "actual_steps", H5T_NATIVE_INT64, &steps, &found));
    if (!found) return not_a_log(store, "it has a schema, but no actual_steps");
    if (store->restart_step == INT64_MAX || steps <= store->restart_step + 1) return TRAJLOG_OK;
    return attribute_rewrite_int64(store->file, "actual_steps", store->restart_step + 1, &store->failure);
}

static trajlog_status compare(struct store *store, const struct schema *schema)
{
    trajlog_status status = schema_compare(schema, store->filed, store->accept_additions, &store->failure);
    if (status == TRAJLOG_OK) status = schema_take_up(store->filed, schema, &store->filed_changed, &store->failure);
    if (status != TRAJLOG_OK) error_prefix(&store->failure, "%s", store->path);
    return status;
}

trajlog_status resume_define(struct store *store, const struct schema *schema)
{
    size_t old_count = store->filed->group_count;
    TRY(compare(store, schema));
    TRY(define_allocate(store, schema));
    for (size_t i = 0; i < store->group_count; i++)
        for (size_t k = 0; k < old_count && store->groups[i].model->enabled; k++)
            if (strcmp(store->filed->groups[k]->name, schema->groups[i]->name) == 0)
                TRY(take_up_group(store, &store->groups[i], store->filed->groups[k]));
    for (size_t i = 0; i < store->group_count; i++) {
        const struct group *model = store->groups[i].model;
        bool is_old = false;
        for (size_t k = 0; k < old_count && !is_old; k++)
            is_old = strcmp(store->filed->groups[k]->name, model->name) == 0;
        if (model->enabled && !is_old) TRY(define_group(store, &store->groups[i]));
    }
    TRY(take_up_drops(store));
    TRY(limit_actual_steps(store));
    if (!store->filed_changed) return TRAJLOG_OK;
    TRY(replace_text(store, store->file, "trajlog_schema", schema_to_json(store->filed)));
    return replace_text(store, store->file, "group_names", schema_group_names_json(store->filed));
}

static trajlog_status take_up_columns(struct store *store, struct store_group *group)
{
    if (group->step.dataset <= 0) return TRAJLOG_OK;
    TRY(column_take_up(&group->step, &store->failure));
    TRY(column_take_up(&group->time, &store->failure));
    for (size_t i = 0; i < group->model->field_count; i++) {
        struct column *column = &group->fields[i];
        if (column->dataset <= 0) continue;
        if (column->varies && column_capacity(column) < group->capacity)
            TRY(column_grow(column, group->capacity, &store->failure));
        TRY(column_take_up(column, &store->failure));
    }
    return TRAJLOG_OK;
}

trajlog_status resume_take_up(struct store *store)
{
    for (size_t i = 0; i < store->group_count; i++) TRY(take_up_columns(store, &store->groups[i]));
    TRY(column_take_up(&store->dropped, &store->failure));
    if (store->checkpoint.model) TRY(checkpoint_drop_after(&store->checkpoint, store->restart_step, &store->failure));
    return store->cut_drop[2] > 0 ? column_append(&store->dropped, store->cut_drop, &store->failure) : TRAJLOG_OK;
}
