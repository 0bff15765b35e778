#include "model/schema.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/convert.h"
#include "model/name_index.h"
#include "model/role.h"
#include "model/schema_json.h"
#include "model/text.h"

static trajlog_status out_of_memory(struct error *error)
{
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
}

struct schema *schema_new(void)
{
    struct schema *schema = calloc(1, sizeof *schema);
    if (schema == NULL) return NULL;
    schema->version = 1;
    schema->index = name_index_new();
    schema->user = strdup("");
    schema->program = strdup("");
    schema->program_version = strdup("");
    schema->created = strdup("");
    if (schema->index != NULL && schema->user != NULL && schema->program != NULL && schema->program_version != NULL &&
        schema->created != NULL) {
        return schema;
    }
    schema_free(schema);
    return NULL;
}

static void field_free(struct field *field)
{
    if (field == NULL) return;
    metadata_free(field->metadata);
    free(field->name);
    free(field->unit);
    free(field->description);
    free(field->particles);
    free(field);
}

/* The list is the group's own copy, though the public struct calls it const. */
static void free_steps(trajlog_frequency *frequency)
{
    if (frequency->kind == TRAJLOG_FREQUENCY_STEPS) free((void *)(uintptr_t)frequency->steps);
    frequency->steps = NULL;
}

static void group_free(struct group *group)
{
    if (group == NULL) return;
    for (size_t i = 0; i < group->field_count; i++) field_free(group->fields[i]);
    free(group->fields);
    free_steps(&group->frequency);
    metadata_free(group->metadata);
    name_index_free(group->index);
    free(group->name);
    free(group);
}

void schema_free(struct schema *schema)
{
    if (schema == NULL) return;
    for (size_t i = 0; i < schema->group_count; i++) group_free(schema->groups[i]);
    free(schema->groups);
    metadata_free(schema->metadata);
    metadata_free(schema->environment);
    if (schema->presentation != NULL) presentation_free(schema->presentation);
    free(schema->presentation);
    name_index_free(schema->index);
    free(schema->user);
    free(schema->program);
    free(schema->program_version);
    free(schema->created);
    free(schema);
}

trajlog_status schema_set_text(char **where, const char *text, struct error *error)
{
    char *copy;
    if (text == NULL) text = "";
    if (!text_is_utf8(text, strlen(text))) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "expected a text in UTF-8");
    }
    copy = strdup(text);
    if (copy == NULL) return out_of_memory(error);
    free(*where);
    *where = copy;
    return TRAJLOG_OK;
}

/* The list with room for one more pointer; NULL: out of memory, the list as it was. The capacity is the least power of
 * two that holds `count`, so it need not be kept. */
static void *grown(void *list, size_t count)
{
    if (count != 0 && (count & (count - 1)) != 0) return list;
    return realloc(list, (count == 0 ? 1 : 2 * count) * sizeof(void *));
}

/* ------------------------------------------------------------------------------------------------------- groups --- */

static trajlog_status check_frequency(const trajlog_frequency *frequency, bool described, struct error *error)
{
    return described ? frequency_check_described(frequency, error) : frequency_check(frequency, error);
}

static trajlog_status take_frequency(struct group *group, trajlog_frequency frequency, struct error *error)
{
    if (frequency.kind == TRAJLOG_FREQUENCY_STEPS) {
        size_t bytes = frequency.step_count * sizeof *frequency.steps;
        int64_t *steps = malloc(bytes);
        if (steps == NULL) return out_of_memory(error);
        memcpy(steps, frequency.steps, bytes);
        frequency.steps = steps;
    } else {
        frequency.steps = NULL;
        frequency.step_count = 0;
    }
    free_steps(&group->frequency);
    group->frequency = frequency;
    return TRAJLOG_OK;
}

trajlog_status group_set_frequency(struct group *group, trajlog_frequency frequency, struct error *error)
{
    trajlog_status status = frequency_check(&frequency, error);
    if (status == TRAJLOG_OK) status = take_frequency(group, frequency, error);
    if (status != TRAJLOG_OK) error_prefix(error, "group \"%s\"", group->name);
    return status;
}

static trajlog_status group_new(const char *name, trajlog_frequency frequency, struct group **group,
                                struct error *error)
{
    *group = calloc(1, sizeof **group);
    if (*group == NULL) return out_of_memory(error);
    (*group)->enabled = true;
    (*group)->name = strdup(name);
    (*group)->index = name_index_new();
    if ((*group)->name == NULL || (*group)->index == NULL) return out_of_memory(error);
    return take_frequency(*group, frequency, error);
}

static trajlog_status check_group(const struct schema *schema, const char *name, const trajlog_frequency *frequency,
                                  struct error *error)
{
    bool described = schema->described || strcmp(name, CHECKPOINT_GROUP) == 0;
    TRY(name_check(name, strlen(name), error));
    TRY(check_frequency(frequency, described, error));
    if (schema_find_group(schema, name) != NULL) {
        return error_set(error, TRAJLOG_DUPLICATE_NAME, 0, "the name is taken by another group");
    }
    if (schema->group_count >= SCHEMA_MAX_GROUPS) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "more than %d groups", SCHEMA_MAX_GROUPS);
    }
    return TRAJLOG_OK;
}

static trajlog_status add_group(struct schema *schema, const char *name, trajlog_frequency frequency,
                                struct group **group, struct error *error)
{
    struct group **groups;
    trajlog_status status;
    TRY(check_group(schema, name, &frequency, error));
    groups = grown(schema->groups, schema->group_count);
    if (groups == NULL) return out_of_memory(error);
    schema->groups = groups;
    if (!name_index_reserve(schema->index, 1)) return out_of_memory(error);
    status = group_new(name, frequency, group, error);
    if (status != TRAJLOG_OK) {
        group_free(*group);
        return status;
    }
    schema->groups[schema->group_count++] = *group;
    name_index_add(schema->index, (*group)->name, strlen(name), *group);
    return TRAJLOG_OK;
}

trajlog_status schema_add_group(struct schema *schema, const char *name, trajlog_frequency frequency,
                                struct group **group, struct error *error)
{
    struct group *added = NULL;
    trajlog_status status;
    *group = NULL;
    if (name == NULL) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "group: expected a name, got NULL");
    if (strcmp(name, CHECKPOINT_GROUP) == 0)
        status = error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the name is kept for the group of checkpoints");
    else status = add_group(schema, name, frequency, &added, error);
    if (status == TRAJLOG_OK) *group = added;
    else error_prefix(error, "group \"%.*s\"", MAX_PATH / 2, name);
    return status;
}

trajlog_status schema_add_checkpoint(struct schema *schema, struct group **group, struct error *error)
{
    const trajlog_frequency frequency = {.kind = TRAJLOG_FREQUENCY_PREDICATE};
    struct group *added = NULL;
    trajlog_status status = add_group(schema, CHECKPOINT_GROUP, frequency, &added, error);
    *group = added;
    if (status == TRAJLOG_OK) added->checkpoint = true;
    else error_prefix(error, "group \"" CHECKPOINT_GROUP "\"");
    return status;
}

struct group *schema_find_group(const struct schema *schema, const char *name)
{
    void *group = NULL;
    if (name == NULL || !name_index_find(schema->index, name, strlen(name), &group)) return NULL;
    return group;
}

bool group_is_once(const struct group *group)
{
    return group->frequency.kind == TRAJLOG_FREQUENCY_ONCE;
}

/* ------------------------------------------------------------------------------------------------------- fields --- */

/* In a group's index, a field's path stands with the field, and each HDF5 group on the way to it with NULL. */
struct field *group_find_field(const struct group *group, const char *name)
{
    void *field = NULL;
    if (name == NULL || !name_index_find(group->index, name, strlen(name), &field)) return NULL;
    return field;
}

static bool is_taken_at_top(const char *name)
{
    size_t length = strcspn(name, "/");
    return length == 4 && (memcmp(name, "step", 4) == 0 || memcmp(name, "time", 4) == 0);
}

static trajlog_status check_path_is_free(const struct group *group, const char *name, struct error *error)
{
    void *thing;
    if (is_taken_at_top(name)) {
        return error_set(error, TRAJLOG_DUPLICATE_NAME, 0, "\"step\" and \"time\" are taken, by the group's own axis");
    }
    if (name_index_find(group->index, name, strlen(name), &thing)) {
        const char *by = thing != NULL ? "another field" : "the path of another field, which goes on below it";
        return error_set(error, TRAJLOG_DUPLICATE_NAME, 0, "the name is taken by %s", by);
    }
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        int length = (int)(slash - name);
        if (!name_index_find(group->index, name, (size_t)length, &thing) || thing == NULL) continue;
        return error_set(error, TRAJLOG_DUPLICATE_NAME, 0, "\"%.*s\" is a field, and cannot have others below it",
                         length, name);
    }
    return TRAJLOG_OK;
}

static size_t part_count(const char *name)
{
    size_t count = 1;
    for (; *name != '\0'; name++) count += *name == '/';
    return count;
}

static void index_field(struct group *group, struct field *field)
{
    const char *name = field->name;
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t length = (size_t)(slash - name);
        if (!name_index_find(group->index, name, length, NULL)) name_index_add(group->index, name, length, NULL);
    }
    name_index_add(group->index, name, strlen(name), field);
}

static trajlog_status fill_field(struct field *field, const char *name, trajlog_type type, trajlog_shape shape,
                                 const char *unit, struct error *error)
{
    trajlog_status status;
    field->enabled = true;
    field->type = type;
    field->stored_type = type;
    field->shape.rank = shape.rank;
    TRY(shape_bytes(&shape, type, &field->memory_bytes, error));
    TRY(shape_count(&shape, &field->element_count, error));
    memcpy(field->shape.dims, shape.dims, (size_t)shape.rank * sizeof shape.dims[0]);
    field->stored_bytes = field->memory_bytes;
    TRY(schema_set_text(&field->description, "", error));
    status = schema_set_text(&field->unit, unit, error);
    if (status != TRAJLOG_OK) {
        error_prefix(error, "unit");
        return status;
    }
    field->name = strdup(name);
    return field->name != NULL ? TRAJLOG_OK : out_of_memory(error);
}

static trajlog_status add_field(struct group *group, struct field *field, const char *name, struct error *error)
{
    struct field **fields;
    TRY(path_check(name, error));
    TRY(check_path_is_free(group, name, error));
    if (group->field_count >= SCHEMA_MAX_FIELDS) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "more than %d fields", SCHEMA_MAX_FIELDS);
    }
    fields = grown(group->fields, group->field_count);
    if (fields == NULL) return out_of_memory(error);
    group->fields = fields;
    if (!name_index_reserve(group->index, part_count(name))) return out_of_memory(error);
    group->fields[group->field_count++] = field;
    index_field(group, field);
    return TRAJLOG_OK;
}

trajlog_status schema_add_field(struct group *group, const char *name, trajlog_type type, trajlog_shape shape,
                                const char *unit, struct field **field, struct error *error)
{
    struct field *added;
    trajlog_status status;
    *field = NULL;
    if (name == NULL) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "group \"%s\": field: expected a name, got NULL",
                         group->name);
    }
    added = calloc(1, sizeof *added);
    status = added == NULL ? out_of_memory(error) : fill_field(added, name, type, shape, unit, error);
    if (status == TRAJLOG_OK) status = add_field(group, added, name, error);
    if (status == TRAJLOG_OK) {
        *field = added;
        return TRAJLOG_OK;
    }
    error_prefix(error, "group \"%s\", field \"%.*s\"", group->name, MAX_PATH / 2, name);
    field_free(added);
    return status;
}

static bool rounds(const struct storage *storage)
{
    return storage->max_error > 0.0 || storage->significant_digits > 0;
}

int storage_level(const struct storage *storage)
{
    bool by_itself = storage->compression == TRAJLOG_COMPRESSION_DEFAULT && rounds(storage);
    if (storage->compression != TRAJLOG_COMPRESSION_DEFLATE && !by_itself) return 0;
    return storage->level > 0 ? storage->level : DEFAULT_DEFLATE_LEVEL;
}

static trajlog_status check_compression(const struct storage *storage, struct error *error)
{
    switch (storage->compression) {
    case TRAJLOG_COMPRESSION_DEFAULT:
    case TRAJLOG_COMPRESSION_NONE:
    case TRAJLOG_COMPRESSION_DEFLATE:
        break;
    default:
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                         "compression: expected TRAJLOG_COMPRESSION_DEFAULT, _NONE or _DEFLATE, got %ld",
                         (long)storage->compression);
    }
    if (storage->level < 0 || storage->level > 9) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "level: expected 0 (default) or 1 to 9, got %d",
                         storage->level);
    }
    if (storage->level != 0 && storage_level(storage) == 0) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "level: %d is given, but the compression is not deflate",
                         storage->level);
    }
    return TRAJLOG_OK;
}

/* Rounding is for floats as they are stored. */
static trajlog_status check_rounding(const struct storage *storage, trajlog_type stored, struct error *error)
{
    char name[32];
    if (!isfinite(storage->max_error) || storage->max_error < 0.0) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                         "max_error: expected a finite number, 0 (no rounding) or more, got %g", storage->max_error);
    }
    if (storage->significant_digits < 0 || storage->significant_digits > STORAGE_MAX_DIGITS) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                         "significant_digits: expected 0 (no rounding) or 1 to %d, got %d", STORAGE_MAX_DIGITS,
                         storage->significant_digits);
    }
    if (storage->max_error > 0.0 && storage->significant_digits > 0) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                         "max_error and significant_digits: expected at most one of them");
    }
    if (rounds(storage) && stored != TRAJLOG_FLOAT32 && stored != TRAJLOG_FLOAT64) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                         "%s: only float32 and float64 are rounded, and the field is stored as %s",
                         storage->max_error > 0.0 ? "max_error" : "significant_digits",
                         trajlog_type_name(stored, name, sizeof name));
    }
    return TRAJLOG_OK;
}

static trajlog_status set_stored_type(struct field *field, trajlog_type type, struct error *error)
{
    char from[32], to[32];
    size_t bytes;
    if (!element_is_valid(type)) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "expected an element type to store as, got %lu",
                         (unsigned long)type);
    }
    if (!conversion_exists(field->type, type)) {
        return error_set(error, TRAJLOG_TYPE_MISMATCH, 0, "%s cannot be stored as %s",
                         trajlog_type_name(field->type, from, sizeof from), trajlog_type_name(type, to, sizeof to));
    }
    TRY(check_rounding(&field->storage, type, error));
    TRY(shape_bytes(&field->shape, type, &bytes, error));
    field->stored_type = type;
    field->stored_bytes = bytes;
    return TRAJLOG_OK;
}

trajlog_status field_set_stored_type(const struct group *group, struct field *field, trajlog_type type,
                                     struct error *error)
{
    trajlog_status status;
    if (group->checkpoint && type != field->type)
        status = error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "a checkpoint is stored as it is, in full precision");
    else status = set_stored_type(field, type, error);
    if (status != TRAJLOG_OK) error_prefix(error, "group \"%s\", field \"%s\"", group->name, field->name);
    return status;
}

trajlog_status field_set_description(struct field *field, const char *description, struct error *error)
{
    trajlog_status status = schema_set_text(&field->description, description, error);
    if (status != TRAJLOG_OK) error_prefix(error, "field \"%s\": description", field->name);
    return status;
}

static trajlog_status check_access(const struct storage *storage, const struct field *field, struct error *error)
{
    if (storage->access != TRAJLOG_ACCESS_FRAME && storage->access != TRAJLOG_ACCESS_PARTICLE) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                         "access: expected TRAJLOG_ACCESS_FRAME or TRAJLOG_ACCESS_PARTICLE, got %ld",
                         (long)storage->access);
    }
    if (storage->access == TRAJLOG_ACCESS_PARTICLE && field->shape.rank == 0)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "access: the field is a scalar, and has no particles");
    return TRAJLOG_OK;
}

static trajlog_status check_storage(const struct storage *storage, const struct field *field, struct error *error)
{
    if (storage->chunk_rows < 0 || storage->chunk_rows > STORAGE_MAX_CHUNK_ROWS) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "chunk_rows: expected 0 (chosen) to %d, got %lld",
                         STORAGE_MAX_CHUNK_ROWS, (long long)storage->chunk_rows);
    }
    TRY(check_compression(storage, error));
    TRY(check_access(storage, field, error));
    return check_rounding(storage, field->stored_type, error);
}

trajlog_status field_set_storage(const struct group *group, struct field *field, const struct storage *storage,
                                 struct error *error)
{
    trajlog_status status = check_storage(storage, field, error);
    bool plain = storage->chunk_rows == 0 && storage_level(storage) == 0 && !storage->checksum && !rounds(storage) &&
                 storage->access == TRAJLOG_ACCESS_FRAME;
    if (status == TRAJLOG_OK && group->checkpoint && !plain)
        status =
            error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                      "a checkpoint is stored as it is, without chunk_rows, compression, checksum, rounding or access");
    if (status == TRAJLOG_OK) field->storage = *storage;
    else error_prefix(error, "group \"%s\", field \"%s\"", group->name, field->name);
    return status;
}
