#include "model/schema_compare.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/role.h"
#include "model/schema_json.h"

/* ------------------------------------------------------------------------------------------------- differences --- */

/* As many as a message holds, with the file's name in front. */
struct differences {
    char text[840];
    size_t length, count, left_out;
};

__attribute__((format(printf, 2, 3))) static void add_difference(struct differences *list, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    list->count++;
    size_t length = strlen(text) + 2;
    if (list->left_out > 0 || list->length + length >= sizeof list->text) {
        list->left_out++;
        return;
    }
    snprintf(list->text + list->length, sizeof list->text - list->length, "%s%s", list->length > 0 ? "; " : "", text);
    list->length = strlen(list->text);
}

/* Groups and fields that a configuration switched off are not declared. */
static const struct group *find_enabled_group(const struct schema *schema, const char *name)
{
    const struct group *group = schema_find_group(schema, name);
    return group != NULL && group->enabled ? group : NULL;
}

static const struct field *find_enabled_field(const struct group *group, const char *name)
{
    const struct field *field = group_find_field(group, name);
    return field != NULL && field->enabled ? field : NULL;
}

/* ---- fields ---- */

static void compare_types(struct differences *list, const char *where, const struct field *declared,
                          const struct field *filed)
{
    char file[32], here[32];
    if (declared->type != filed->type)
        add_difference(list, "%s: type %s in the file, %s declared", where,
                       trajlog_type_name(filed->type, file, sizeof file),
                       trajlog_type_name(declared->type, here, sizeof here));
    if (declared->stored_type != filed->stored_type)
        add_difference(list, "%s: stored as %s in the file, as %s declared", where,
                       trajlog_type_name(filed->stored_type, file, sizeof file),
                       trajlog_type_name(declared->stored_type, here, sizeof here));
}

static const char *role_text(const struct field *field)
{
    return field->role == TRAJLOG_ROLE_NONE ? "none" : role_name(field->role);
}

static void compare_roles(struct differences *list, const char *where, const struct field *declared,
                          const struct field *filed)
{
    if (declared->role != filed->role) {
        add_difference(list, "%s: role %s in the file, %s declared", where, role_text(filed), role_text(declared));
        return;
    }
    if (declared->role == TRAJLOG_ROLE_NONE || strcmp(declared->particles, filed->particles) == 0) return;
    add_difference(list, "%s: particles \"%.60s\" in the file, \"%.60s\" declared", where, filed->particles,
                   declared->particles);
}

static const char *rounding_text(const struct storage *storage, char *text, size_t size)
{
    if (storage->max_error > 0.0) snprintf(text, size, "max_error %.17g", storage->max_error);
    else if (storage->significant_digits > 0)
        snprintf(text, size, "significant_digits %d", storage->significant_digits);
    else snprintf(text, size, "no rounding");
    return text;
}

/* Chunks and filters stay the file's; but what the values are worth has been promised. */
static void compare_rounding(struct differences *list, const char *where, const struct storage *declared,
                             const struct storage *filed)
{
    char file[64], here[64];
    if (declared->max_error == filed->max_error && declared->significant_digits == filed->significant_digits) return;
    add_difference(list, "%s: %s in the file, %s declared", where, rounding_text(filed, file, sizeof file),
                   rounding_text(declared, here, sizeof here));
}

/* A capacity is what the file has, whatever a run begins with. */
static bool shapes_agree(const struct group *group, const struct field *declared, const struct field *filed)
{
    trajlog_shape shape = declared->shape;
    if (field_varies(group, filed) && shape.rank > 0 && filed->shape.rank > 0) shape.dims[0] = filed->shape.dims[0];
    return shape_equal(&shape, &filed->shape);
}

static void compare_field(struct differences *list, const struct group *group, const struct field *declared,
                          const struct field *filed)
{
    char where[200], file[160], here[160];
    snprintf(where, sizeof where, "group \"%.60s\", field \"%.80s\"", group->name, filed->name);
    compare_types(list, where, declared, filed);
    if (!shapes_agree(group, declared, filed))
        add_difference(list, "%s: shape %s in the file, %s declared", where,
                       shape_text(&filed->shape, file, sizeof file), shape_text(&declared->shape, here, sizeof here));
    if (strcmp(declared->unit, filed->unit) != 0)
        add_difference(list, "%s: unit \"%.60s\" in the file, \"%.60s\" declared", where, filed->unit, declared->unit);
    compare_roles(list, where, declared, filed);
    compare_rounding(list, where, &declared->storage, &filed->storage);
}

/* ---- groups ---- */

static void compare_fields(struct differences *list, const struct group *declared, const struct group *filed,
                           bool accept_additions)
{
    /* The states that a file has would not be complete any more. */
    if (filed->checkpoint) accept_additions = false;
    for (size_t i = 0; i < filed->field_count; i++) {
        const struct field *field = find_enabled_field(declared, filed->fields[i]->name);
        if (field != NULL) compare_field(list, filed, field, filed->fields[i]);
        else
            add_difference(list, "group \"%.60s\", field \"%.80s\": in the file, not declared", filed->name,
                           filed->fields[i]->name);
    }
    for (size_t i = 0; i < declared->field_count && !accept_additions; i++) {
        const struct field *field = declared->fields[i];
        if (!field->enabled || group_find_field(filed, field->name) != NULL) continue;
        add_difference(list, "group \"%.60s\", field \"%.80s\": declared, not in the file", declared->name,
                       field->name);
    }
}

static void compare_group(struct differences *list, const struct group *declared, const struct group *filed,
                          bool accept_additions)
{
    if (group_is_once(declared) != group_is_once(filed))
        add_difference(list, "group \"%.60s\": %s in the file, %s declared", filed->name,
                       group_is_once(filed) ? "once" : "with rows", group_is_once(declared) ? "once" : "with rows");
    if (declared->varying != filed->varying)
        add_difference(list, "group \"%.60s\": %s number of particles in the file, %s declared", filed->name,
                       filed->varying ? "a varying" : "a fixed", declared->varying ? "a varying" : "a fixed");
    compare_fields(list, declared, filed, accept_additions);
}

trajlog_status schema_compare(const struct schema *declared, const struct schema *filed, bool accept_additions,
                              struct error *error)
{
    struct differences list = {.length = 0};
    for (size_t i = 0; i < filed->group_count; i++) {
        const struct group *group = find_enabled_group(declared, filed->groups[i]->name);
        if (group != NULL) compare_group(&list, group, filed->groups[i], accept_additions);
        else add_difference(&list, "group \"%.60s\": in the file, not declared", filed->groups[i]->name);
    }
    for (size_t i = 0; i < declared->group_count && !accept_additions; i++) {
        const struct group *group = declared->groups[i];
        if (!group->enabled || schema_find_group(filed, group->name) != NULL) continue;
        add_difference(&list, "group \"%.60s\": declared, not in the file", group->name);
    }
    if (list.count == 0) return TRAJLOG_OK;
    if (list.left_out == 0) return error_set(error, TRAJLOG_SCHEMA_MISMATCH, 0, "%s", list.text);
    return error_set(error, TRAJLOG_SCHEMA_MISMATCH, 0, "%s; and %zu more", list.text, list.left_out);
}

/* --------------------------------------------------------------------------------------------------- taking up --- */

static trajlog_status copy_metadata(struct json_t **to, const struct json_t *from, struct error *error)
{
    if (from == NULL) return TRAJLOG_OK;
    char *text = metadata_text(from);
    if (text == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    trajlog_status status = metadata_merge(to, text, error);
    free(text);
    return status;
}

/* The capacity that the other fields of the group began with. */
static trajlog_shape shape_beside(const struct group *group, const struct field *from)
{
    trajlog_shape shape = from->shape;
    if (!field_varies(group, from)) return shape;
    for (size_t i = 0; i < group->field_count; i++)
        if (field_varies(group, group->fields[i])) shape.dims[0] = group->fields[i]->shape.dims[0];
    return shape;
}

static trajlog_status add_field(struct schema *schema, struct group *group, const struct field *from, int64_t first_row,
                                struct error *error)
{
    struct field *field;
    TRY(schema_add_field(group, from->name, from->type, shape_beside(group, from), from->unit, &field, error));
    TRY(field_set_stored_type(group, field, from->stored_type, error));
    TRY(field_set_description(field, from->description, error));
    TRY(field_set_storage(group, field, &from->storage, error));
    field->first_row = first_row;
    if (from->role != TRAJLOG_ROLE_NONE) TRY(field_set_role(schema, group, field, from->role, from->particles, error));
    return copy_metadata(&field->metadata, from->metadata, error);
}

static trajlog_status add_group(struct schema *schema, const struct group *from, struct group **group,
                                struct error *error)
{
    if (from->checkpoint) TRY(schema_add_checkpoint(schema, group, error));
    else TRY(schema_add_group(schema, from->name, from->frequency, group, error));
    (*group)->varying = from->varying;
    return copy_metadata(&(*group)->metadata, from->metadata, error);
}

static bool frequencies_equal(const trajlog_frequency *a, const trajlog_frequency *b)
{
    if (a->kind != b->kind || !a->with_first != !b->with_first || !a->with_last != !b->with_last) return false;
    switch (a->kind) {
    case TRAJLOG_FREQUENCY_EVERY:
        return a->interval == b->interval && a->start == b->start && a->stop == b->stop;
    case TRAJLOG_FREQUENCY_STEPS:
        return a->step_count == b->step_count && memcmp(a->steps, b->steps, a->step_count * sizeof *a->steps) == 0;
    case TRAJLOG_FREQUENCY_LOGARITHMIC:
        return a->per_decade == b->per_decade;
    case TRAJLOG_FREQUENCY_WALL_CLOCK:
        return a->seconds == b->seconds;
    default:
        return true;
    }
}

static trajlog_status take_up_group(struct schema *filed, const struct group *from, bool *added, bool *changed,
                                    struct error *error)
{
    struct group *group = schema_find_group(filed, from->name);
    int64_t first_row = group == NULL ? 0 : FIRST_ROW_OPEN;
    if (group == NULL) {
        TRY(add_group(filed, from, &group, error));
        *added = true;
    } else if (!frequencies_equal(&group->frequency, &from->frequency)) {
        TRY(group_set_frequency(group, from->frequency, error));
        *changed = true;
    }
    for (size_t i = 0; i < from->field_count; i++) {
        if (!from->fields[i]->enabled || group_find_field(group, from->fields[i]->name) != NULL) continue;
        TRY(add_field(filed, group, from->fields[i], first_row, error));
        *added = true;
    }
    return TRAJLOG_OK;
}

static trajlog_status copy_text(char **to, const char *from, struct error *error)
{
    return from == NULL || *to != NULL ? TRAJLOG_OK : schema_set_text(to, from, error);
}

static bool has_particles(const struct presentation *presentation, const char *name)
{
    for (size_t i = 0; i < presentation->particles_count; i++) {
        if (strcmp(presentation->particles[i]->name, name) == 0) return true;
    }
    return false;
}

static bool has_species(const struct presentation *presentation, int32_t number)
{
    for (size_t i = 0; i < presentation->species_count; i++) {
        if (presentation->species[i].number == number) return true;
    }
    return false;
}

/* What the file says about H5MD stays; its tree is made already. */
static trajlog_status take_up_presentation(struct schema *filed, const struct presentation *from, struct error *error)
{
    struct presentation *to = NULL;
    const bool first = filed->presentation == NULL;
    TRY(schema_presentation(filed, &to, error));
    if (first) to->profile = from->profile;
    TRY(copy_text(&to->author, from->author, error));
    TRY(copy_text(&to->author_email, from->author_email, error));
    TRY(copy_text(&to->time_unit, from->time_unit, error));
    for (size_t i = 0; i < from->particles_count; i++) {
        const struct particles *particles = from->particles[i];
        int32_t periodic[MAX_DIMENSION];
        if (has_particles(to, particles->name)) continue;
        for (int k = 0; k < MAX_DIMENSION; k++) periodic[k] = particles->periodic[k];
        TRY(schema_add_particles(filed, particles->name, particles->dimension, periodic, error));
    }
    for (size_t i = 0; i < from->species_count; i++) {
        const struct species *species = &from->species[i];
        if (has_species(to, species->number)) continue;
        TRY(schema_add_species(filed, species->number, species->symbol, species->atomic_number, error));
    }
    return TRAJLOG_OK;
}

static bool adds_role(const struct schema *filed, const struct schema *declared)
{
    for (size_t i = 0; i < declared->group_count; i++) {
        const struct group *group = declared->groups[i], *old = schema_find_group(filed, group->name);
        for (size_t k = 0; group->enabled && k < group->field_count; k++) {
            const struct field *field = group->fields[k];
            if (!field->enabled || field->role == TRAJLOG_ROLE_NONE) continue;
            if (old == NULL || group_find_field(old, field->name) == NULL) return true;
        }
    }
    return false;
}

trajlog_status schema_take_up(struct schema *filed, const struct schema *declared, bool *changed, struct error *error)
{
    bool added = false;
    *changed = false;
    if (adds_role(filed, declared)) TRY(take_up_presentation(filed, declared->presentation, error));
    for (size_t i = 0; i < declared->group_count; i++)
        if (declared->groups[i]->enabled) TRY(take_up_group(filed, declared->groups[i], &added, changed, error));
    if (added) filed->version++;
    *changed = *changed || added;
    return TRAJLOG_OK;
}
