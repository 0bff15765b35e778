/* Declarations: groups, fields, views, metadata. Their errors stick to the log. */
#include <stdlib.h>
#include <string.h>

#include "model/role.h"
#include "model/schema_json.h"
#include "write/writer.h"

/* ------------------------------------------------------------------------------------------------------- errors --- */

/* Whether the log still takes declarations; if not, its error says why. */
static bool may_declare(trajlog_writer *log, const char *call)
{
    if (writer_sticking(log) != TRAJLOG_OK) return false;
    if (!log->complete) return true;
    error_set(&log->pending, TRAJLOG_INVALID_STATE, 0, "%s: the first step was logged already", call);
    writer_stick(log);
    return false;
}

/* Ends a declaration. */
static trajlog_status end(trajlog_writer *log, trajlog_status status)
{
    return status == TRAJLOG_OK ? TRAJLOG_OK : writer_stick(log);
}

static void name_group(const trajlog_group *group)
{
    error_prefix(&group->log->pending, "group \"%s\"", group->model->name);
}

static void name_field(const trajlog_field *field)
{
    error_prefix(&field->group->log->pending, "group \"%s\", field \"%s\"", field->group->model->name,
                 field->model->name);
}

static trajlog_status no_memory(trajlog_writer *log, const char *what, const char *name)
{
    error_set(&log->pending, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for the %s \"%s\"", what, name);
    return writer_stick(log);
}

/* ------------------------------------------------------------------------------------------------------- groups --- */

static bool make_place_for_group(trajlog_writer *log)
{
    size_t count = log->schema->group_count + 1;
    trajlog_group **groups = realloc(log->groups, count * sizeof(trajlog_group *));
    if (groups != NULL) log->groups = groups;
    return groups != NULL;
}

/* A group that the schema does not have yet. */
static trajlog_group *group_new(trajlog_writer *log, const char *name)
{
    trajlog_group *group = calloc(1, sizeof *group);
    if (group == NULL || !make_place_for_group(log)) {
        no_memory(log, "group", name != NULL ? name : "");
        free(group);
        return NULL;
    }
    group->log = log;
    group->index = (uint32_t)log->schema->group_count;
    return group;
}

/* Takes it in, as the schema has it now; or ends it, as the schema refuses it. */
static trajlog_group *keep_group(trajlog_group *group, trajlog_status status)
{
    trajlog_writer *log = group->log;
    if (status == TRAJLOG_OK) {
        log->groups[group->index] = group;
        return group;
    }
    writer_stick(log);
    free(group);
    return NULL;
}

trajlog_group *trajlog_add_group(trajlog_writer *log, const char *name, trajlog_frequency frequency)
{
    if (log == NULL || !may_declare(log, "trajlog_add_group")) return NULL;
    trajlog_group *group = group_new(log, name);
    if (group == NULL) return NULL;
    return keep_group(group, schema_add_group(log->schema, name, frequency, &group->model, &log->pending));
}

trajlog_group *trajlog_add_checkpoint(trajlog_writer *log)
{
    if (log == NULL || !may_declare(log, "trajlog_add_checkpoint")) return NULL;
    trajlog_group *group = group_new(log, CHECKPOINT_GROUP);
    if (group == NULL) return NULL;
    log->checkpoint = keep_group(group, schema_add_checkpoint(log->schema, &group->model, &log->pending));
    return log->checkpoint;
}

/* ------------------------------------------------------------------------------------------------------- fields --- */

static bool make_place_for_field(trajlog_group *group)
{
    size_t count = group->model->field_count + 1;
    trajlog_field **fields = realloc(group->fields, count * sizeof(trajlog_field *));
    if (fields != NULL) group->fields = fields;
    return fields != NULL;
}

trajlog_field *trajlog_add_field(trajlog_group *group, const char *name, trajlog_type type, trajlog_shape shape,
                                 const void *data, const char *unit)
{
    if (group == NULL || !may_declare(group->log, "trajlog_add_field")) return NULL;
    trajlog_writer *log = group->log;
    trajlog_field *field = calloc(1, sizeof *field);
    if (field == NULL || !make_place_for_field(group)) {
        no_memory(log, "field", name != NULL ? name : "");
        free(field);
        return NULL;
    }
    field->group = group;
    if (schema_add_field(group->model, name, type, shape, unit, &field->model, &log->pending) != TRAJLOG_OK) {
        writer_stick(log);
        free(field);
        return NULL;
    }
    group->fields[group->model->field_count - 1] = field;
    if (data == NULL || view_bind(&field->view, field->model, data, NULL, &log->pending) == TRAJLOG_OK) return field;
    name_field(field);
    writer_stick(log);
    return NULL;
}

trajlog_status trajlog_store_as(trajlog_field *field, trajlog_type type)
{
    if (field == NULL) return refuse_null("trajlog_store_as", "field");
    trajlog_writer *log = field->group->log;
    if (!may_declare(log, "trajlog_store_as")) return log->error.status;
    return end(log, field_set_stored_type(field->group->model, field->model, type, &log->pending));
}

trajlog_status trajlog_set_description(trajlog_field *field, const char *description)
{
    if (field == NULL) return refuse_null("trajlog_set_description", "field");
    trajlog_writer *log = field->group->log;
    if (!may_declare(log, "trajlog_set_description")) return log->error.status;
    trajlog_status status = field_set_description(field->model, description, &log->pending);
    if (status != TRAJLOG_OK) name_field(field);
    return end(log, status);
}

/* As options: members that the caller does not know are 0; the library knows all that there are so far. */
static trajlog_status read_storage(struct storage *storage, const trajlog_storage *given, struct error *error)
{
    trajlog_storage known = {0};
    if (given->struct_size < sizeof given->struct_size || given->struct_size > sizeof known)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "storage.struct_size is %zu: expected %zu",
                         given->struct_size, sizeof known);
    memcpy(&known, given, given->struct_size);
    if (known.reserved != 0)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "storage.reserved is %d: expected 0", (int)known.reserved);
    *storage = (struct storage){.chunk_rows = known.chunk_rows,
                                .compression = known.compression,
                                .level = known.level,
                                .checksum = known.checksum != 0,
                                .max_error = known.max_error,
                                .significant_digits = known.significant_digits,
                                .access = known.access};
    return TRAJLOG_OK;
}

trajlog_status trajlog_set_storage(trajlog_field *field, const trajlog_storage *given)
{
    if (field == NULL) return refuse_null("trajlog_set_storage", "field");
    trajlog_writer *log = field->group->log;
    if (!may_declare(log, "trajlog_set_storage")) return log->error.status;
    struct storage storage;
    trajlog_status status;
    if (given == NULL) status = error_set(&log->pending, TRAJLOG_INVALID_ARGUMENT, 0, "the storage is NULL");
    else status = read_storage(&storage, given, &log->pending);
    if (status != TRAJLOG_OK) {
        name_field(field);
        return writer_stick(log);
    }
    TRY(end(log, field_set_storage(field->group->model, field->model, &storage, &log->pending)));
    return end(log, writer_check_filters(field));
}

/* -------------------------------------------------------------------------------------------------------- views --- */

/* Views may be changed while the log runs: whoever reallocates has no other choice. A view that cannot be made sticks,
 * since the one before may point to memory that is no more. */
static trajlog_status end_view(trajlog_field *field, trajlog_status status)
{
    if (status != TRAJLOG_OK) name_field(field);
    return end(field->group->log, status);
}

trajlog_status trajlog_bind(trajlog_field *field, const void *data, const ptrdiff_t *strides)
{
    if (field == NULL) return refuse_null("trajlog_bind", "field");
    TRY(writer_sticking(field->group->log));
    return end_view(field, view_bind(&field->view, field->model, data, strides, &field->group->log->pending));
}

trajlog_status trajlog_bind_fortran(trajlog_field *field, const void *data)
{
    if (field == NULL) return refuse_null("trajlog_bind_fortran", "field");
    TRY(writer_sticking(field->group->log));
    return end_view(field, view_bind_fortran(&field->view, field->model, data, &field->group->log->pending));
}

trajlog_status trajlog_set_callback(trajlog_field *field, trajlog_fill fill, void *context)
{
    if (field == NULL) return refuse_null("trajlog_set_callback", "field");
    TRY(writer_sticking(field->group->log));
    return end_view(field, view_set_callback(&field->view, field->model, fill, context, &field->group->log->pending));
}

/* -------------------------------------------------------------------------------------------------------- roles --- */

trajlog_status trajlog_set_role(trajlog_field *field, trajlog_role role, const char *particles)
{
    if (field == NULL) return refuse_null("trajlog_set_role", "field");
    trajlog_writer *log = field->group->log;
    if (!may_declare(log, "trajlog_set_role")) return log->error.status;
    return end(log, field_set_role(log->schema, field->group->model, field->model, role, particles, &log->pending));
}

trajlog_status trajlog_set_boundary(trajlog_writer *log, const char *particles, int32_t dimension,
                                    const int32_t *periodic)
{
    if (log == NULL) return refuse_no_log("trajlog_set_boundary");
    if (!may_declare(log, "trajlog_set_boundary")) return log->error.status;
    return end(log, schema_set_boundary(log->schema, particles, dimension, periodic, &log->pending));
}

trajlog_status trajlog_add_species(trajlog_writer *log, int32_t species, const char *symbol, int32_t atomic_number)
{
    if (log == NULL) return refuse_no_log("trajlog_add_species");
    if (!may_declare(log, "trajlog_add_species")) return log->error.status;
    return end(log, schema_add_species(log->schema, species, symbol, atomic_number, &log->pending));
}

/* ---------------------------------------------------------------------------------------------------- particles --- */

static trajlog_status set_count(trajlog_group *group, const int64_t *count, struct error *error)
{
    if (count == NULL) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the count is NULL");
    if (group_is_once(group->model))
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "a `once` group has one number of particles");
    if (group->model->checkpoint)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                         "a checkpoint holds all there is; add the number as a field");
    if (group->particles.count != NULL)
        return error_set(error, TRAJLOG_DUPLICATE_NAME, 0, "its particles have a count already");
    return TRAJLOG_OK;
}

trajlog_status trajlog_set_count(trajlog_group *group, const int64_t *count)
{
    if (group == NULL) return refuse_null("trajlog_set_count", "group");
    trajlog_writer *log = group->log;
    if (!may_declare(log, "trajlog_set_count")) return log->error.status;
    if (set_count(group, count, &log->pending) != TRAJLOG_OK) {
        name_group(group);
        return writer_stick(log);
    }
    const int64_t *now = &group->particles.now;
    trajlog_field *field = trajlog_add_field(group, COUNT_FIELD, TRAJLOG_INT64, TRAJLOG_SCALAR, now, NULL);
    if (field == NULL) return log->error.status;
    group->model->varying = true;
    group->particles.count = count;
    TRY(trajlog_set_role(field, TRAJLOG_ROLE_OBSERVABLE, NULL));
    return trajlog_set_description(field, "the number of particles in the frame");
}

trajlog_status trajlog_limit_count(trajlog_group *group, int64_t most)
{
    if (group == NULL) return refuse_null("trajlog_limit_count", "group");
    trajlog_writer *log = group->log;
    if (!may_declare(log, "trajlog_limit_count")) return log->error.status;
    group->model->most = most;
    if (most > 0 && group->model->varying) return TRAJLOG_OK;
    if (most < 1)
        error_set(&log->pending, TRAJLOG_INVALID_ARGUMENT, 0, "a limit of %lld: expected 1 or more", (long long)most);
    else
        error_set(&log->pending, TRAJLOG_INVALID_STATE, 0,
                  "its number of particles does not vary; call trajlog_set_count first");
    name_group(group);
    return writer_stick(log);
}

/* A callback's frame must be somewhere before it is permuted. */
static trajlog_status prepare_order(trajlog_group *group)
{
    struct error *error = &group->log->pending;
    for (size_t i = 0; i < group->model->field_count; i++) {
        trajlog_field *field = group->fields[i];
        if (!particles_concern(&group->particles, field->model)) continue;
        TRY(view_need_scratch(&field->view, field->model, error));
    }
    return TRAJLOG_OK;
}

trajlog_status trajlog_set_order(trajlog_group *group, const int64_t *order)
{
    if (group == NULL) return refuse_null("trajlog_set_order", "group");
    TRY(writer_sticking(group->log));
    group->particles.order = order;
    if (order == NULL || prepare_order(group) == TRAJLOG_OK) return TRAJLOG_OK;
    name_group(group);
    return writer_stick(group->log);
}

/* ----------------------------------------------------------------------------------------------------- metadata --- */

trajlog_status trajlog_set_metadata(trajlog_writer *log, const char *key, const char *text)
{
    if (log == NULL) return refuse_no_log("trajlog_set_metadata");
    if (!may_declare(log, "trajlog_set_metadata")) return log->error.status;
    return end(log, metadata_set(&log->schema->metadata, key, text, &log->pending));
}

trajlog_status trajlog_set_metadata_json(trajlog_writer *log, const char *json)
{
    if (log == NULL) return refuse_no_log("trajlog_set_metadata_json");
    if (!may_declare(log, "trajlog_set_metadata_json")) return log->error.status;
    return end(log, metadata_merge(&log->schema->metadata, json, &log->pending));
}

trajlog_status trajlog_group_set_metadata(trajlog_group *group, const char *key, const char *text)
{
    if (group == NULL) return refuse_null("trajlog_group_set_metadata", "group");
    trajlog_writer *log = group->log;
    if (!may_declare(log, "trajlog_group_set_metadata")) return log->error.status;
    trajlog_status status = metadata_set(&group->model->metadata, key, text, &log->pending);
    if (status != TRAJLOG_OK) name_group(group);
    return end(log, status);
}

trajlog_status trajlog_group_set_metadata_json(trajlog_group *group, const char *json)
{
    if (group == NULL) return refuse_null("trajlog_group_set_metadata_json", "group");
    trajlog_writer *log = group->log;
    if (!may_declare(log, "trajlog_group_set_metadata_json")) return log->error.status;
    trajlog_status status = metadata_merge(&group->model->metadata, json, &log->pending);
    if (status != TRAJLOG_OK) name_group(group);
    return end(log, status);
}

trajlog_status trajlog_field_set_metadata(trajlog_field *field, const char *key, const char *text)
{
    if (field == NULL) return refuse_null("trajlog_field_set_metadata", "field");
    trajlog_writer *log = field->group->log;
    if (!may_declare(log, "trajlog_field_set_metadata")) return log->error.status;
    trajlog_status status = metadata_set(&field->model->metadata, key, text, &log->pending);
    if (status != TRAJLOG_OK) name_field(field);
    return end(log, status);
}

trajlog_status trajlog_field_set_metadata_json(trajlog_field *field, const char *json)
{
    if (field == NULL) return refuse_null("trajlog_field_set_metadata_json", "field");
    trajlog_writer *log = field->group->log;
    if (!may_declare(log, "trajlog_field_set_metadata_json")) return log->error.status;
    trajlog_status status = metadata_merge(&field->model->metadata, json, &log->pending);
    if (status != TRAJLOG_OK) name_field(field);
    return end(log, status);
}
