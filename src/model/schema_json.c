#include "model/schema_json.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/json_position.h"
#include "model/role.h"
#include "model/text.h"

/* Levels of a schema around a field's metadata, and some to spare. */
#define SCHEMA_MAX_DEPTH (METADATA_MAX_DEPTH + 16)

static const char *const frequency_kinds[] = {
    [TRAJLOG_FREQUENCY_ONCE] = "once",           [TRAJLOG_FREQUENCY_EVERY] = "every",
    [TRAJLOG_FREQUENCY_STEPS] = "steps",         [TRAJLOG_FREQUENCY_LOGARITHMIC] = "logarithmic",
    [TRAJLOG_FREQUENCY_PREDICATE] = "predicate", [TRAJLOG_FREQUENCY_WALL_CLOCK] = "wall_clock",
};

static const char *const accesses[] = {
    [TRAJLOG_ACCESS_FRAME] = "frame",
    [TRAJLOG_ACCESS_PARTICLE] = "particle",
};

static const char *const compressions[] = {
    [TRAJLOG_COMPRESSION_DEFAULT] = "default",
    [TRAJLOG_COMPRESSION_NONE] = "none",
    [TRAJLOG_COMPRESSION_DEFLATE] = "deflate",
};

#define LENGTH(list) (sizeof(list) / sizeof(list)[0])

/* The index of a name in a list that may have gaps; -1 if it is not there. */
static int index_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (names[i] != NULL && strcmp(names[i], name) == 0) return (int)i;
    }
    return -1;
}

static trajlog_status out_of_memory(struct error *error)
{
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
}

/* ----------------------------------------------------------------------------------------------------- metadata --- */

/* Parses text of any origin. */
static trajlog_status parse(const char *text, size_t length, size_t max_length, size_t max_depth, json_t **value,
                            struct error *error)
{
    json_error_t problem;
    if (length > max_length) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "%zu bytes of JSON; at most %zu are allowed", length,
                         max_length);
    }
    if (!json_depth_within(text, length, max_depth)) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "JSON is nested more than %zu deep", max_depth);
    }
    *value = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    if (*value != NULL) return TRAJLOG_OK;
    /* jansson has nothing to say when it finds no memory. */
    if (problem.text[0] == '\0') return out_of_memory(error);
    return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "not valid JSON: line %d, column %d: %s", problem.line,
                     problem.column, problem.text);
}

/* Takes `changed` in the place of *object, unless it is too large. */
static trajlog_status replace_metadata(json_t **object, json_t *changed, struct error *error)
{
    size_t size = json_dumpb(changed, NULL, 0, JSON_COMPACT);
    if (size == 0 || size > METADATA_MAX_TEXT) {
        json_decref(changed);
        if (size == 0) return out_of_memory(error);
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "metadata: %zu bytes of JSON; at most %d are allowed",
                         size, METADATA_MAX_TEXT);
    }
    json_decref(*object);
    *object = changed;
    return TRAJLOG_OK;
}

static json_t *copy_metadata(const json_t *object)
{
    return object == NULL ? json_object() : json_copy((json_t *)(uintptr_t)object);
}

trajlog_status metadata_set(struct json_t **object, const char *key, const char *text, struct error *error)
{
    json_t *changed;
    if (key == NULL || key[0] == '\0' || !text_is_utf8(key, strlen(key))) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "metadata: expected a key in UTF-8, not empty");
    }
    if (text == NULL || !text_is_utf8(text, strlen(text))) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "metadata \"%.200s\": expected a text in UTF-8", key);
    }
    changed = copy_metadata(*object);
    if (changed == NULL || json_object_set_new(changed, key, json_string(text)) != 0) {
        json_decref(changed);
        return out_of_memory(error);
    }
    return replace_metadata(object, changed, error);
}

trajlog_status metadata_merge(struct json_t **object, const char *json, struct error *error)
{
    json_t *added, *changed;
    trajlog_status status;
    if (json == NULL) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "metadata: expected JSON, got NULL");
    status = parse(json, strlen(json), METADATA_MAX_TEXT, METADATA_MAX_DEPTH, &added, error);
    if (status != TRAJLOG_OK) {
        error_prefix(error, "metadata");
        return status;
    }
    if (!json_is_object(added)) {
        json_decref(added);
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "metadata: expected a JSON object");
    }
    changed = copy_metadata(*object);
    if (changed == NULL || json_object_update(changed, added) != 0) {
        json_decref(changed);
        json_decref(added);
        return out_of_memory(error);
    }
    json_decref(added);
    return replace_metadata(object, changed, error);
}

void metadata_free(struct json_t *object)
{
    json_decref(object);
}

/* To be freed; NULL: out of memory. Not json_dumps, which leaves a part out where memory is short for that alone. */
static char *dump(const json_t *value)
{
    size_t size = json_dumpb(value, NULL, 0, JSON_COMPACT);
    char *text = size > 0 ? malloc(size + 1) : NULL;
    if (text == NULL) return NULL;
    if (json_dumpb(value, text, size, JSON_COMPACT) == size) {
        text[size] = '\0';
        return text;
    }
    free(text);
    return NULL;
}

char *metadata_text(const struct json_t *object)
{
    return object == NULL ? strdup("{}") : dump(object);
}

const char *json_library_version(void)
{
    return jansson_version_str();
}

/* ------------------------------------------------------------------------------------------------------ writing --- */

/* Sets a member; takes `value` over, and hands NULL on as the failure that it is. */
static bool put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

static bool put_metadata(json_t *object, const char *key, json_t *metadata)
{
    return put(object, key, metadata == NULL ? json_object() : json_incref(metadata));
}

static json_t *kept_if(bool complete, json_t *value)
{
    if (complete) return value;
    json_decref(value);
    return NULL;
}

static json_t *integers_to_json(const int64_t *values, size_t count)
{
    json_t *list = json_array();
    bool complete = list != NULL;
    for (size_t i = 0; i < count && complete; i++) complete = json_array_append_new(list, json_integer(values[i])) == 0;
    return kept_if(complete, list);
}

static bool put_every(json_t *object, const trajlog_frequency *frequency)
{
    bool endless = frequency->stop == TRAJLOG_NO_STOP;
    bool complete = put(object, "interval", json_integer(frequency->interval));
    complete &= put(object, "start", json_integer(frequency->start));
    complete &= put(object, "stop", endless ? json_null() : json_integer(frequency->stop));
    return complete;
}

static bool put_frequency_kind(json_t *object, const trajlog_frequency *frequency)
{
    switch (frequency->kind) {
    case TRAJLOG_FREQUENCY_EVERY:
        return put_every(object, frequency);
    case TRAJLOG_FREQUENCY_STEPS:
        return put(object, "steps", integers_to_json(frequency->steps, frequency->step_count));
    case TRAJLOG_FREQUENCY_LOGARITHMIC:
        return put(object, "per_decade", json_integer(frequency->per_decade));
    case TRAJLOG_FREQUENCY_WALL_CLOCK:
        return put(object, "seconds", json_real(frequency->seconds));
    default:
        return true;
    }
}

static json_t *frequency_to_json(const trajlog_frequency *frequency)
{
    json_t *object = json_object();
    bool complete = put(object, "kind", json_string(frequency_kinds[frequency->kind]));
    complete &= put_frequency_kind(object, frequency);
    complete &= put(object, "with_first", json_boolean(frequency->with_first != 0));
    complete &= put(object, "with_last", json_boolean(frequency->with_last != 0));
    return kept_if(complete, object);
}

static json_t *storage_to_json(const struct storage *storage)
{
    json_t *object = json_object();
    bool complete = put(object, "chunk_rows", json_integer(storage->chunk_rows));
    complete &= put(object, "compression", json_string(compressions[storage->compression]));
    complete &= put(object, "level", json_integer(storage->level));
    complete &= put(object, "checksum", json_boolean(storage->checksum));
    if (storage->max_error > 0.0) complete &= put(object, "max_error", json_real(storage->max_error));
    if (storage->significant_digits > 0)
        complete &= put(object, "significant_digits", json_integer(storage->significant_digits));
    if (storage->access != TRAJLOG_ACCESS_FRAME)
        complete &= put(object, "access", json_string(accesses[storage->access]));
    return kept_if(complete, object);
}

static json_t *field_to_json(const struct field *field)
{
    json_t *object = json_object();
    char type[32], stored[32];
    bool complete = put(object, "name", json_string(field->name));
    complete &= put(object, "type", json_string(trajlog_type_name(field->type, type, sizeof type)));
    complete &= put(object, "stored_type", json_string(trajlog_type_name(field->stored_type, stored, sizeof stored)));
    complete &= put(object, "shape", integers_to_json(field->shape.dims, (size_t)field->shape.rank));
    complete &= put(object, "unit", json_string(field->unit));
    complete &= put(object, "description", json_string(field->description));
    complete &= put(object, "storage", storage_to_json(&field->storage));
    if (field->role != TRAJLOG_ROLE_NONE) {
        complete &= put(object, "role", json_string(role_name(field->role)));
        complete &= put(object, "particles", json_string(field->particles));
    }
    if (field->first_row > 0) complete &= put(object, "first_row", json_integer(field->first_row));
    complete &= put_metadata(object, "metadata", field->metadata);
    return kept_if(complete, object);
}

static json_t *fields_to_json(const struct group *group)
{
    json_t *list = json_array();
    bool complete = list != NULL;
    for (size_t i = 0; i < group->field_count && complete; i++) {
        if (!group->fields[i]->enabled) continue;
        complete = json_array_append_new(list, field_to_json(group->fields[i])) == 0;
    }
    return kept_if(complete, list);
}

static json_t *group_to_json(const struct group *group)
{
    json_t *object = json_object();
    bool complete = put(object, "name", json_string(group->name));
    complete &= put(object, "frequency", frequency_to_json(&group->frequency));
    if (group->varying) complete &= put(object, "varying", json_true());
    if (group->checkpoint) complete &= put(object, "checkpoint", json_true());
    complete &= put_metadata(object, "metadata", group->metadata);
    complete &= put(object, "fields", fields_to_json(group));
    return kept_if(complete, object);
}

static json_t *groups_to_json(const struct schema *schema)
{
    json_t *list = json_array();
    bool complete = list != NULL;
    for (size_t i = 0; i < schema->group_count && complete; i++) {
        if (!schema->groups[i]->enabled) continue;
        complete = json_array_append_new(list, group_to_json(schema->groups[i])) == 0;
    }
    return kept_if(complete, list);
}

static json_t *particles_to_json(const struct particles *particles)
{
    json_t *object = json_object(), *periodic = json_array();
    bool complete = object != NULL && periodic != NULL;
    for (int32_t k = 0; k < particles->dimension && complete; k++)
        complete = json_array_append_new(periodic, json_boolean(particles->periodic[k])) == 0;
    complete &= put(object, "periodic", periodic);
    complete &= put(object, "name", json_string(particles->name));
    return kept_if(complete, object);
}

static json_t *species_to_json(const struct species *species)
{
    json_t *object = json_object();
    bool complete = put(object, "number", json_integer(species->number));
    complete &= put(object, "symbol", json_string(species->symbol));
    complete &= put(object, "atomic_number", json_integer(species->atomic_number));
    return kept_if(complete, object);
}

/* What the log declares about H5MD; texts that were not given have no member. */
static json_t *presentation_to_json(const struct presentation *presentation)
{
    json_t *object = json_object(), *particles = json_array(), *species = json_array();
    bool complete = particles != NULL && species != NULL;
    for (size_t i = 0; i < presentation->particles_count && complete; i++)
        complete = json_array_append_new(particles, particles_to_json(presentation->particles[i])) == 0;
    for (size_t i = 0; i < presentation->species_count && complete; i++)
        complete = json_array_append_new(species, species_to_json(&presentation->species[i])) == 0;
    complete &= put(object, "profile", json_string(profile_name(presentation->profile)));
    complete &= put(object, "particles", particles);
    complete &= put(object, "species", species);
    if (presentation->author != NULL) complete &= put(object, "author", json_string(presentation->author));
    if (presentation->author_email != NULL)
        complete &= put(object, "author_email", json_string(presentation->author_email));
    if (presentation->time_unit != NULL) complete &= put(object, "time_unit", json_string(presentation->time_unit));
    return kept_if(complete, object);
}

static json_t *program_to_json(const struct schema *schema)
{
    json_t *object = json_object();
    bool complete = put(object, "name", json_string(schema->program));
    complete &= put(object, "version", json_string(schema->program_version));
    return kept_if(complete, object);
}

static char *dump_and_free(json_t *value)
{
    char *text = value == NULL ? NULL : dump(value);
    json_decref(value);
    return text;
}

char *schema_to_json(const struct schema *schema)
{
    json_t *object = json_object();
    bool complete = put(object, "format", json_integer(TRAJLOG_FORMAT_VERSION));
    if (schema->version > 1) complete &= put(object, "version", json_integer(schema->version));
    complete &= put(object, "created", json_string(schema->created));
    complete &= put(object, "user", json_string(schema->user));
    complete &= put(object, "program", program_to_json(schema));
    complete &= put_metadata(object, "environment", schema->environment);
    complete &= put_metadata(object, "metadata", schema->metadata);
    if (schema_has_roles(schema)) complete &= put(object, "h5md", presentation_to_json(schema->presentation));
    complete &= put(object, "groups", groups_to_json(schema));
    return dump_and_free(kept_if(complete, object));
}

char *schema_group_names_json(const struct schema *schema)
{
    json_t *list = json_array();
    bool complete = list != NULL;
    for (size_t i = 0; i < schema->group_count && complete; i++) {
        if (!schema->groups[i]->enabled || schema->groups[i]->checkpoint) continue;
        complete = json_array_append_new(list, json_string(schema->groups[i]->name)) == 0;
    }
    return dump_and_free(kept_if(complete, list));
}

char *group_paths_json(const struct group *group)
{
    json_t *list = json_array();
    bool complete = list != NULL;
    for (size_t i = 0; i < group->field_count && complete; i++) {
        if (!group->fields[i]->enabled) continue;
        complete = json_array_append_new(list, json_string(group->fields[i]->name)) == 0;
    }
    return dump_and_free(kept_if(complete, list));
}

/* ------------------------------------------------------------------------------------------------------ reading --- */

static trajlog_status expected(struct error *error, const char *key, const char *what)
{
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "%s: expected %s", key, what);
}

/* Members that are not there leave *value as it is: it holds the default. */
static trajlog_status get_text(const json_t *object, const char *key, const char **value, struct error *error)
{
    const json_t *member = json_object_get(object, key);
    if (member == NULL) return TRAJLOG_OK;
    if (!json_is_string(member)) return expected(error, key, "a text");
    *value = json_string_value(member);
    return TRAJLOG_OK;
}

static trajlog_status get_integer(const json_t *object, const char *key, int64_t *value, struct error *error)
{
    const json_t *member = json_object_get(object, key);
    if (member == NULL) return TRAJLOG_OK;
    if (!json_is_integer(member)) return expected(error, key, "an integer");
    *value = json_integer_value(member);
    return TRAJLOG_OK;
}

static trajlog_status get_int32(const json_t *object, const char *key, int32_t *value, struct error *error)
{
    int64_t wide = *value;
    TRY(get_integer(object, key, &wide, error));
    if (wide < INT32_MIN || wide > INT32_MAX) return expected(error, key, "an integer of 32 bits");
    *value = (int32_t)wide;
    return TRAJLOG_OK;
}

static trajlog_status get_truth(const json_t *object, const char *key, bool *value, struct error *error)
{
    const json_t *member = json_object_get(object, key);
    if (member == NULL) return TRAJLOG_OK;
    if (!json_is_boolean(member)) return expected(error, key, "true or false");
    *value = json_is_true(member);
    return TRAJLOG_OK;
}

static trajlog_status get_metadata(const json_t *object, const char *key, json_t **value, struct error *error)
{
    json_t *member = json_object_get(object, key);
    if (member == NULL) return TRAJLOG_OK;
    if (!json_is_object(member)) return expected(error, key, "an object");
    *value = json_incref(member);
    return TRAJLOG_OK;
}

static trajlog_status get_copy(const json_t *object, const char *key, char **value, struct error *error)
{
    const char *text = "";
    TRY(get_text(object, key, &text, error));
    return schema_set_text(value, text, error);
}

static trajlog_status need(const json_t *object, const char *key, json_type type, const char *what, json_t **value,
                           struct error *error)
{
    *value = json_object_get(object, key);
    if (*value == NULL || json_typeof(*value) != type) return expected(error, key, what);
    return TRAJLOG_OK;
}

static trajlog_status need_name(const json_t *object, const char **name, struct error *error)
{
    json_t *value;
    TRY(need(object, "name", JSON_STRING, "a text", &value, error));
    *name = json_string_value(value);
    return TRAJLOG_OK;
}

static trajlog_status steps_from_json(const json_t *list, int64_t *steps, struct error *error)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *step = json_array_get(list, i);
        if (!json_is_integer(step)) return expected(error, "steps", "a list of integers");
        steps[i] = json_integer_value(step);
    }
    return TRAJLOG_OK;
}

/* The list is allocated: free() it when the frequency has been taken. */
static trajlog_status get_steps(const json_t *object, trajlog_frequency *frequency, int64_t **steps,
                                struct error *error)
{
    json_t *list;
    TRY(need(object, "steps", JSON_ARRAY, "a list of integers", &list, error));
    frequency->step_count = json_array_size(list);
    *steps = calloc(frequency->step_count + 1, sizeof **steps);
    if (*steps == NULL) return out_of_memory(error);
    frequency->steps = *steps;
    return steps_from_json(list, *steps, error);
}

static trajlog_status get_every(const json_t *object, trajlog_frequency *frequency, struct error *error)
{
    frequency->stop = TRAJLOG_NO_STOP;
    TRY(get_integer(object, "interval", &frequency->interval, error));
    TRY(get_integer(object, "start", &frequency->start, error));
    if (json_is_null(json_object_get(object, "stop"))) return TRAJLOG_OK;
    return get_integer(object, "stop", &frequency->stop, error);
}

static trajlog_status get_seconds(const json_t *object, trajlog_frequency *frequency, struct error *error)
{
    const json_t *seconds = json_object_get(object, "seconds");
    if (!json_is_number(seconds)) return expected(error, "seconds", "a number");
    frequency->seconds = json_number_value(seconds);
    return TRAJLOG_OK;
}

static trajlog_status frequency_from_json(const json_t *object, trajlog_frequency *frequency, int64_t **steps,
                                          struct error *error)
{
    const char *kind = "";
    bool first = false, last = false;
    int index;
    TRY(get_text(object, "kind", &kind, error));
    index = index_of(kind, frequency_kinds, LENGTH(frequency_kinds));
    if (index < 0) {
        return expected(error, "kind", "once, every, steps, logarithmic, predicate or wall_clock");
    }
    memset(frequency, 0, sizeof *frequency);
    frequency->kind = (trajlog_frequency_kind)index;
    TRY(get_truth(object, "with_first", &first, error));
    TRY(get_truth(object, "with_last", &last, error));
    frequency->with_first = first;
    frequency->with_last = last;
    switch (frequency->kind) {
    case TRAJLOG_FREQUENCY_EVERY:
        return get_every(object, frequency, error);
    case TRAJLOG_FREQUENCY_STEPS:
        return get_steps(object, frequency, steps, error);
    case TRAJLOG_FREQUENCY_LOGARITHMIC:
        return get_int32(object, "per_decade", &frequency->per_decade, error);
    case TRAJLOG_FREQUENCY_WALL_CLOCK:
        return get_seconds(object, frequency, error);
    default:
        return TRAJLOG_OK;
    }
}

static trajlog_status rounding_from_json(const json_t *object, struct storage *storage, struct error *error)
{
    const json_t *max_error = json_object_get(object, "max_error");
    int32_t digits = 0;
    if (max_error != NULL && !json_is_number(max_error)) return expected(error, "max_error", "a number");
    TRY(get_int32(object, "significant_digits", &digits, error));
    storage->max_error = json_number_value(max_error);
    storage->significant_digits = digits;
    return TRAJLOG_OK;
}

static trajlog_status access_from_json(const json_t *object, struct storage *storage, struct error *error)
{
    const char *access = accesses[TRAJLOG_ACCESS_FRAME];
    TRY(get_text(object, "access", &access, error));
    int index = index_of(access, accesses, LENGTH(accesses));
    if (index < 0) return expected(error, "access", "frame or particle");
    storage->access = (trajlog_access)index;
    return TRAJLOG_OK;
}

static trajlog_status storage_from_json(const json_t *object, struct storage *storage, struct error *error)
{
    const char *compression = compressions[TRAJLOG_COMPRESSION_DEFAULT];
    int32_t level = 0;
    int index;
    TRY(get_integer(object, "chunk_rows", &storage->chunk_rows, error));
    TRY(get_text(object, "compression", &compression, error));
    TRY(get_int32(object, "level", &level, error));
    TRY(get_truth(object, "checksum", &storage->checksum, error));
    index = index_of(compression, compressions, LENGTH(compressions));
    if (index < 0) return expected(error, "compression", "default, none or deflate");
    storage->compression = (trajlog_compression)index;
    storage->level = level;
    TRY(access_from_json(object, storage, error));
    return rounding_from_json(object, storage, error);
}

static trajlog_status shape_from_json(const json_t *object, trajlog_shape *shape, struct error *error)
{
    json_t *list;
    memset(shape, 0, sizeof *shape);
    TRY(need(object, "shape", JSON_ARRAY, "a list of integers", &list, error));
    if (json_array_size(list) > TRAJLOG_MAX_RANK) return expected(error, "shape", "at most 7 dimensions");
    shape->rank = (int32_t)json_array_size(list);
    for (int i = 0; i < shape->rank; i++) {
        const json_t *dimension = json_array_get(list, (size_t)i);
        if (!json_is_integer(dimension)) return expected(error, "shape", "a list of integers");
        shape->dims[i] = json_integer_value(dimension);
    }
    return TRAJLOG_OK;
}

static trajlog_status get_type(const json_t *object, const char *key, trajlog_type *type, struct error *error)
{
    const char *name = NULL;
    TRY(get_text(object, key, &name, error));
    if (name == NULL && *type != 0) return TRAJLOG_OK;
    if (name == NULL || !element_from_name(name, type)) return expected(error, key, "the name of an element type");
    return TRAJLOG_OK;
}

/* The role comes after the stored type, which it is checked against. */
static trajlog_status role_from_json(const json_t *object, struct schema *schema, struct group *group,
                                     struct field *field, struct error *error)
{
    const char *name = NULL, *particles = "all";
    trajlog_role role = TRAJLOG_ROLE_NONE;
    TRY(get_text(object, "role", &name, error));
    if (name == NULL) return TRAJLOG_OK;
    if (!role_from_name(name, &role)) return TRAJLOG_OK; /* of a later version: the field can be read all the same */
    TRY(get_text(object, "particles", &particles, error));
    return field_set_role(schema, group, field, role, particles, error);
}

static trajlog_status field_options_from_json(const json_t *object, struct group *group, struct field *field,
                                              struct error *error)
{
    trajlog_type stored = field->type;
    const char *description = "";
    struct storage storage = {0};
    TRY(get_type(object, "stored_type", &stored, error));
    TRY(field_set_stored_type(group, field, stored, error));
    TRY(get_text(object, "description", &description, error));
    TRY(field_set_description(field, description, error));
    if (json_object_get(object, "storage") != NULL) {
        json_t *member;
        TRY(need(object, "storage", JSON_OBJECT, "an object", &member, error));
        TRY(storage_from_json(member, &storage, error));
        TRY(field_set_storage(group, field, &storage, error));
    }
    TRY(get_integer(object, "first_row", &field->first_row, error));
    if (field->first_row < 0) return expected(error, "first_row", "a row, from 0 on");
    return get_metadata(object, "metadata", &field->metadata, error);
}

static trajlog_status field_from_json(const json_t *object, struct schema *schema, struct group *group,
                                      struct error *error)
{
    const char *name, *unit = "";
    trajlog_type type = 0;
    trajlog_shape shape;
    struct field *field;
    if (!json_is_object(object)) return expected(error, "field", "an object");
    TRY(need_name(object, &name, error));
    TRY(get_type(object, "type", &type, error));
    TRY(shape_from_json(object, &shape, error));
    TRY(get_text(object, "unit", &unit, error));
    TRY(schema_add_field(group, name, type, shape, unit, &field, error));
    TRY(field_options_from_json(object, group, field, error));
    return role_from_json(object, schema, group, field, error);
}

static trajlog_status fields_from_json(const json_t *list, struct schema *schema, struct group *group,
                                       struct error *error)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        trajlog_status status = field_from_json(json_array_get(list, i), schema, group, error);
        if (status == TRAJLOG_OK) continue;
        error_prefix(error, "fields[%zu]", i);
        return status;
    }
    return TRAJLOG_OK;
}

static trajlog_status add_group(const json_t *object, struct schema *schema, struct group **group, struct error *error)
{
    const char *name;
    json_t *member;
    trajlog_frequency frequency;
    int64_t *steps = NULL;
    bool checkpoint = false;
    trajlog_status status;
    TRY(need_name(object, &name, error));
    TRY(get_truth(object, "checkpoint", &checkpoint, error));
    if (checkpoint && strcmp(name, CHECKPOINT_GROUP) == 0) return schema_add_checkpoint(schema, group, error);
    if (checkpoint) return expected(error, "name", "\"" CHECKPOINT_GROUP "\", for the group of checkpoints");
    TRY(need(object, "frequency", JSON_OBJECT, "an object", &member, error));
    status = frequency_from_json(member, &frequency, &steps, error);
    if (status == TRAJLOG_OK) status = schema_add_group(schema, name, frequency, group, error);
    else error_prefix(error, "frequency");
    free(steps);
    return status;
}

static trajlog_status group_from_json(const json_t *object, struct schema *schema, struct error *error)
{
    struct group *group;
    json_t *fields;
    if (!json_is_object(object)) return expected(error, "group", "an object");
    TRY(add_group(object, schema, &group, error));
    TRY(get_metadata(object, "metadata", &group->metadata, error));
    TRY(need(object, "fields", JSON_ARRAY, "a list", &fields, error));
    TRY(get_truth(object, "varying", &group->varying, error));
    return fields_from_json(fields, schema, group, error);
}

static trajlog_status groups_from_json(const json_t *root, struct schema *schema, struct error *error)
{
    json_t *list;
    TRY(need(root, "groups", JSON_ARRAY, "a list", &list, error));
    for (size_t i = 0; i < json_array_size(list); i++) {
        trajlog_status status = group_from_json(json_array_get(list, i), schema, error);
        if (status == TRAJLOG_OK) continue;
        error_prefix(error, "groups[%zu]", i);
        return status;
    }
    return TRAJLOG_OK;
}

static trajlog_status particles_from_json(const json_t *object, struct schema *schema, struct error *error)
{
    const char *name;
    json_t *list;
    int32_t periodic[MAX_DIMENSION] = {0};
    if (!json_is_object(object)) return expected(error, "particles", "a list of objects");
    TRY(need_name(object, &name, error));
    TRY(need(object, "periodic", JSON_ARRAY, "a list of truths", &list, error));
    if (json_array_size(list) > MAX_DIMENSION) return expected(error, "periodic", "at most 3 dimensions");
    for (size_t k = 0; k < json_array_size(list); k++) periodic[k] = json_is_true(json_array_get(list, k));
    return schema_add_particles(schema, name, (int32_t)json_array_size(list), periodic, error);
}

static trajlog_status species_from_json(const json_t *object, struct schema *schema, struct error *error)
{
    const char *symbol = "";
    int32_t number = 0, atomic_number = 0;
    if (!json_is_object(object)) return expected(error, "species", "a list of objects");
    TRY(get_int32(object, "number", &number, error));
    TRY(get_text(object, "symbol", &symbol, error));
    TRY(get_int32(object, "atomic_number", &atomic_number, error));
    return schema_add_species(schema, number, symbol, atomic_number, error);
}

static trajlog_status get_optional_copy(const json_t *object, const char *key, char **value, struct error *error)
{
    return json_object_get(object, key) == NULL ? TRAJLOG_OK : get_copy(object, key, value, error);
}

/* Before the groups, so that the particles groups are in their order. */
static trajlog_status presentation_from_json(const json_t *root, struct schema *schema, struct error *error)
{
    struct presentation *presentation;
    const char *profile = profile_name(TRAJLOG_PROFILE_DEFAULT);
    json_t *object, *list;
    if (json_object_get(root, "h5md") == NULL) return TRAJLOG_OK;
    TRY(need(root, "h5md", JSON_OBJECT, "an object", &object, error));
    TRY(schema_presentation(schema, &presentation, error));
    TRY(get_text(object, "profile", &profile, error));
    if (!profile_from_name(profile, &presentation->profile))
        return expected(error, "profile", "default, znh5md, vector or strict");
    TRY(get_optional_copy(object, "author", &presentation->author, error));
    TRY(get_optional_copy(object, "author_email", &presentation->author_email, error));
    TRY(get_optional_copy(object, "time_unit", &presentation->time_unit, error));
    TRY(need(object, "particles", JSON_ARRAY, "a list", &list, error));
    for (size_t i = 0; i < json_array_size(list); i++) TRY(particles_from_json(json_array_get(list, i), schema, error));
    TRY(need(object, "species", JSON_ARRAY, "a list", &list, error));
    for (size_t i = 0; i < json_array_size(list); i++) TRY(species_from_json(json_array_get(list, i), schema, error));
    return TRAJLOG_OK;
}

static trajlog_status environment_from_json(const json_t *root, struct schema *schema, struct error *error)
{
    const char *key;
    json_t *value;
    TRY(get_metadata(root, "environment", &schema->environment, error));
    json_object_foreach(schema->environment, key, value)
    {
        if (!json_is_string(value)) return expected(error, "environment", "an object of texts");
    }
    return TRAJLOG_OK;
}

static trajlog_status program_from_json(const json_t *root, struct schema *schema, struct error *error)
{
    json_t *program;
    if (json_object_get(root, "program") == NULL) return TRAJLOG_OK;
    TRY(need(root, "program", JSON_OBJECT, "an object", &program, error));
    TRY(get_copy(program, "name", &schema->program, error));
    return get_copy(program, "version", &schema->program_version, error);
}

static trajlog_status check_format(const json_t *root, struct error *error)
{
    json_t *format;
    if (!json_is_object(root)) return error_set(error, TRAJLOG_INVALID_FILE, 0, "expected an object");
    TRY(need(root, "format", JSON_INTEGER, "an integer", &format, error));
    if (json_integer_value(format) > TRAJLOG_FORMAT_VERSION) {
        return error_set(error, TRAJLOG_UNSUPPORTED, 0, "format version %lld; this library reads versions up to %d",
                         (long long)json_integer_value(format), TRAJLOG_FORMAT_VERSION);
    }
    if (json_integer_value(format) < 1) return expected(error, "format", "a version of at least 1");
    return TRAJLOG_OK;
}

static trajlog_status schema_from_root(const json_t *root, struct schema *schema, struct error *error)
{
    TRY(check_format(root, error));
    TRY(get_int32(root, "version", &schema->version, error));
    if (schema->version < 1) return expected(error, "version", "a version of at least 1");
    TRY(get_copy(root, "created", &schema->created, error));
    TRY(get_copy(root, "user", &schema->user, error));
    TRY(program_from_json(root, schema, error));
    TRY(environment_from_json(root, schema, error));
    TRY(get_metadata(root, "metadata", &schema->metadata, error));
    TRY(presentation_from_json(root, schema, error));
    return groups_from_json(root, schema, error);
}

/* What is an invalid argument of ours in a declaration is an invalid file here. */
static trajlog_status blame_file(struct error *error, const char *what)
{
    if (error->status != TRAJLOG_OUT_OF_MEMORY && error->status != TRAJLOG_UNSUPPORTED) {
        error->status = TRAJLOG_INVALID_FILE;
    }
    error_prefix(error, "%s", what);
    return error->status;
}

trajlog_status schema_from_json(const char *text, size_t length, struct schema **schema, struct error *error)
{
    struct error own = {0};
    json_t *root = NULL;
    struct schema *made;
    trajlog_status status;
    *schema = NULL;
    if (error == NULL) error = &own;
    if (parse(text, length, SCHEMA_MAX_TEXT, SCHEMA_MAX_DEPTH, &root, error) != TRAJLOG_OK) {
        return blame_file(error, "schema");
    }
    made = schema_new();
    if (made != NULL) made->described = true;
    status = made != NULL ? schema_from_root(root, made, error) : out_of_memory(error);
    json_decref(root);
    if (status != TRAJLOG_OK) {
        schema_free(made);
        return blame_file(error, "schema");
    }
    *schema = made;
    return TRAJLOG_OK;
}

static trajlog_status names_from_list(const json_t *list, char ***names, size_t *count, struct error *error)
{
    if (!json_is_array(list)) return error_set(error, TRAJLOG_INVALID_FILE, 0, "expected a list of texts");
    *names = calloc(json_array_size(list) + 1, sizeof **names);
    if (*names == NULL) return out_of_memory(error);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name == NULL) return error_set(error, TRAJLOG_INVALID_FILE, 0, "[%zu]: expected a text", i);
        (*names)[i] = strdup(name);
        if ((*names)[i] == NULL) return out_of_memory(error);
        *count = i + 1;
    }
    return TRAJLOG_OK;
}

trajlog_status names_from_json(const char *text, size_t length, char ***names, size_t *count, struct error *error)
{
    struct error own = {0};
    json_t *list = NULL;
    trajlog_status status;
    *names = NULL;
    *count = 0;
    if (error == NULL) error = &own;
    status = parse(text, length, SCHEMA_MAX_TEXT, SCHEMA_MAX_DEPTH, &list, error);
    if (status == TRAJLOG_OK) status = names_from_list(list, names, count, error);
    json_decref(list);
    if (status == TRAJLOG_OK) return TRAJLOG_OK;
    names_free(*names, *count);
    *names = NULL;
    *count = 0;
    return blame_file(error, "list of names");
}

void names_free(char **names, size_t count)
{
    if (names == NULL) return;
    for (size_t i = 0; i < count; i++) free(names[i]);
    free(names);
}
