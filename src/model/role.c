#include "model/role.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/text.h"
#include "model/unit.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct {
    const char *name;
    trajlog_role role;
} role_names[] = {{"", TRAJLOG_ROLE_NONE},
#define NAME_OF_ROLE(name, number, text) {text, TRAJLOG_ROLE_##name},
                  TRAJLOG_ROLE_LIST(NAME_OF_ROLE)
#undef NAME_OF_ROLE
};

static const char *const profile_names[] = {
    [TRAJLOG_PROFILE_DEFAULT] = "default",
    [TRAJLOG_PROFILE_ZNH5MD] = "znh5md",
    [TRAJLOG_PROFILE_VECTOR] = "vector",
    [TRAJLOG_PROFILE_STRICT] = "strict",
};

bool role_from_name(const char *name, trajlog_role *role)
{
    for (size_t i = 1; i < COUNT(role_names); i++) {
        if (strcmp(role_names[i].name, name) != 0) continue;
        *role = role_names[i].role;
        return true;
    }
    return false;
}

const char *role_name(trajlog_role role)
{
    for (size_t i = 0; i < COUNT(role_names); i++) {
        if (role_names[i].role == role) return role_names[i].name;
    }
    return "";
}

bool profile_from_name(const char *name, trajlog_profile *profile)
{
    for (size_t i = 0; i < COUNT(profile_names); i++) {
        if (strcmp(profile_names[i], name) != 0) continue;
        *profile = (trajlog_profile)i;
        return true;
    }
    return false;
}

const char *profile_name(trajlog_profile profile)
{
    return (size_t)profile < COUNT(profile_names) ? profile_names[profile] : "";
}

static bool is_vector_role(trajlog_role role)
{
    return role >= TRAJLOG_ROLE_POSITION && role <= TRAJLOG_ROLE_IMAGE;
}

bool role_is_of_particles(trajlog_role role)
{
    return role >= TRAJLOG_ROLE_POSITION && role <= TRAJLOG_ROLE_PARTICLE;
}

/* --------------------------------------------------------------------------------------------------- declaring --- */

void presentation_free(struct presentation *presentation)
{
    for (size_t i = 0; i < presentation->particles_count; i++) {
        free(presentation->particles[i]->name);
        free(presentation->particles[i]);
    }
    free(presentation->particles);
    free(presentation->species);
    free(presentation->author);
    free(presentation->author_email);
    free(presentation->time_unit);
    memset(presentation, 0, sizeof *presentation);
}

static trajlog_status out_of_memory(struct error *error)
{
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
}

trajlog_status schema_presentation(struct schema *schema, struct presentation **presentation, struct error *error)
{
    if (schema->presentation == NULL) schema->presentation = calloc(1, sizeof *schema->presentation);
    *presentation = schema->presentation;
    return *presentation != NULL ? TRAJLOG_OK : out_of_memory(error);
}

static struct particles *find_particles(const struct presentation *presentation, const char *name)
{
    for (size_t i = 0; presentation != NULL && i < presentation->particles_count; i++) {
        if (strcmp(presentation->particles[i]->name, name) == 0) return presentation->particles[i];
    }
    return NULL;
}

static trajlog_status add_particles(struct presentation *presentation, const char *name, struct particles **particles,
                                    struct error *error)
{
    size_t count = presentation->particles_count;
    struct particles **list = realloc(presentation->particles, (count + 1) * sizeof(struct particles *));
    if (list == NULL) return out_of_memory(error);
    presentation->particles = list;
    *particles = calloc(1, sizeof **particles);
    if (*particles != NULL) (*particles)->name = strdup(name);
    if (*particles == NULL || (*particles)->name == NULL) {
        free(*particles);
        return out_of_memory(error);
    }
    list[presentation->particles_count++] = *particles;
    return TRAJLOG_OK;
}

static trajlog_status name_particles(struct schema *schema, const char *name, struct particles **particles,
                                     struct error *error)
{
    struct presentation *presentation = NULL;
    trajlog_status status = name_check(name, strlen(name), error);
    if (status != TRAJLOG_OK) {
        error_prefix(error, "particles group");
        return status;
    }
    TRY(schema_presentation(schema, &presentation, error));
    *particles = find_particles(presentation, name);
    return *particles != NULL ? TRAJLOG_OK : add_particles(presentation, name, particles, error);
}

/* What a role asks of shape and type. */
static trajlog_status check_shape(const struct field *field, trajlog_role role, struct error *error)
{
    char shape[128];
    const char *wanted = NULL;
    const int32_t rank = field->shape.rank;
    const int64_t *dims = field->shape.dims;
    if (is_vector_role(role)) {
        if (rank != 2 || dims[1] > MAX_DIMENSION) wanted = "[N, D], D from 1 to 3";
    } else if (role >= TRAJLOG_ROLE_MASS && role <= TRAJLOG_ROLE_SPECIES_LABEL) {
        if (rank != 1) wanted = "[N]";
    } else if (role == TRAJLOG_ROLE_PARTICLE) {
        if (rank < 1) wanted = "[N, ...]";
    } else if (role == TRAJLOG_ROLE_BOX_EDGES) {
        bool square = rank == 2 && dims[0] == dims[1];
        if (!(rank == 1 || square) || dims[0] > MAX_DIMENSION) wanted = "[D, D] or [D], D from 1 to 3";
    } else if (role == TRAJLOG_ROLE_BONDS) {
        if (rank != 2 || dims[1] < 2) wanted = "[M, 2 or more]";
    }
    if (wanted == NULL) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "role %s: expected the shape %s, got %s", role_name(role),
                     wanted, shape_text(&field->shape, shape, sizeof shape));
}

static trajlog_status check_type(const struct field *field, trajlog_role role, struct error *error)
{
    char name[32];
    const trajlog_type type = field->stored_type;
    const bool is_integer = element_is_integer(type), is_float = element_is_float(type);
    const char *wanted = NULL;
    if (is_vector_role(role) || role == TRAJLOG_ROLE_BOX_EDGES || role == TRAJLOG_ROLE_CHARGE) {
        if (!is_integer && !is_float) wanted = "a float or an integer";
    } else if (role == TRAJLOG_ROLE_MASS) {
        if (!is_float) wanted = "a float";
    } else if (role == TRAJLOG_ROLE_SPECIES || role == TRAJLOG_ROLE_BONDS) {
        if (!is_integer) wanted = "an integer";
    } else if (role == TRAJLOG_ROLE_ID) {
        if (type != TRAJLOG_INT32 && type != TRAJLOG_INT64) wanted = "int32 or int64";
    } else if (role == TRAJLOG_ROLE_SPECIES_LABEL) {
        if (!element_is_string(type)) wanted = "a string";
    }
    if (wanted == NULL) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "role %s: expected the type to be %s, got %s", role_name(role),
                     wanted, trajlog_type_name(type, name, sizeof name));
}

static trajlog_status check_field(const struct field *field, trajlog_role role, struct error *error)
{
    TRY(check_shape(field, role, error));
    TRY(check_type(field, role, error));
    return unit_check(field->unit, error);
}

trajlog_status role_check(const struct group *group, const struct field *field, struct error *error)
{
    trajlog_status status = check_field(field, field->role, error);
    if (status != TRAJLOG_OK) error_prefix(error, "group \"%s\", field \"%s\"", group->name, field->name);
    return status;
}

static trajlog_status set_role(struct schema *schema, struct field *field, trajlog_role role, const char *name,
                               struct error *error)
{
    struct particles *particles = NULL;
    char *copy = NULL;
    if (role != TRAJLOG_ROLE_NONE) {
        if (role_name(role)[0] == '\0') {
            return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "expected one of trajlog_role, got %ld", (long)role);
        }
        if (!schema->described) TRY(check_field(field, role, error));
        TRY(name_particles(schema, name, &particles, error));
        copy = strdup(name);
        if (copy == NULL) return out_of_memory(error);
    }
    free(field->particles);
    field->particles = copy;
    field->role = role;
    return TRAJLOG_OK;
}

trajlog_status field_set_role(struct schema *schema, const struct group *group, struct field *field, trajlog_role role,
                              const char *particles, struct error *error)
{
    trajlog_status status;
    if (group->checkpoint && role != TRAJLOG_ROLE_NONE)
        status = error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "a checkpoint's fields have no role");
    else status = set_role(schema, field, role, particles == NULL ? "all" : particles, error);
    if (status != TRAJLOG_OK) error_prefix(error, "group \"%s\", field \"%s\"", group->name, field->name);
    return status;
}

trajlog_status schema_add_particles(struct schema *schema, const char *name, int32_t dimension, const int32_t *periodic,
                                    struct error *error)
{
    struct particles *particles = NULL;
    TRY(name_particles(schema, name, &particles, error));
    particles->dimension = dimension;
    for (int32_t k = 0; k < dimension; k++) particles->periodic[k] = periodic[k] != 0;
    return TRAJLOG_OK;
}

trajlog_status schema_set_boundary(struct schema *schema, const char *name, int32_t dimension, const int32_t *periodic,
                                   struct error *error)
{
    if (name == NULL) name = "all";
    if (dimension < 1 || dimension > MAX_DIMENSION || periodic == NULL) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                         "particles \"%s\": expected 1 to 3 dimensions and whether each is periodic, got %ld%s", name,
                         (long)dimension, periodic == NULL ? " and NULL" : "");
    }
    return schema_add_particles(schema, name, dimension, periodic, error);
}

trajlog_status schema_add_species(struct schema *schema, int32_t number, const char *symbol, int32_t atomic_number,
                                  struct error *error)
{
    struct presentation *presentation = NULL;
    size_t length = symbol == NULL ? 0 : strlen(symbol);
    if (length < 1 || length > MAX_SPECIES_SYMBOL || !text_is_utf8(symbol, length)) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "species %ld: expected a symbol of 1 to %d bytes of UTF-8",
                         (long)number, MAX_SPECIES_SYMBOL);
    }
    if (atomic_number < 0 || atomic_number > 111) { /* VMD's table ends there */
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                         "species \"%s\": expected an atomic number up to 111, got %ld", symbol, (long)atomic_number);
    }
    TRY(schema_presentation(schema, &presentation, error));
    for (size_t i = 0; i < presentation->species_count; i++) {
        if (presentation->species[i].number != number) continue;
        return error_set(error, TRAJLOG_DUPLICATE_NAME, 0, "species %ld is \"%s\" already", (long)number,
                         presentation->species[i].symbol);
    }
    size_t count = presentation->species_count;
    struct species *list = realloc(presentation->species, (count + 1) * sizeof *list);
    if (list == NULL) return out_of_memory(error);
    presentation->species = list;
    list[count] = (struct species){.number = number, .atomic_number = atomic_number};
    memcpy(list[count].symbol, symbol, length);
    presentation->species_count++;
    return TRAJLOG_OK;
}

bool schema_has_roles(const struct schema *schema)
{
    for (size_t i = 0; i < schema->group_count; i++) {
        const struct group *group = schema->groups[i];
        for (size_t k = 0; group->enabled && k < group->field_count; k++) {
            if (group->fields[k]->enabled && group->fields[k]->role != TRAJLOG_ROLE_NONE) return true;
        }
    }
    return false;
}

bool field_varies(const struct group *group, const struct field *field)
{
    return group->varying && role_is_of_particles(field->role);
}

int64_t capacity_for(int64_t capacity, int64_t needed, int64_t most)
{
    int64_t room = capacity;
    while (room < needed)
        if (__builtin_mul_overflow(room, 2, &room)) room = needed;
    if (room == capacity || most == 0 || room <= most) return room;
    return needed < most ? most : needed;
}

static void pad_with(void *to, const void *pattern, size_t size, int64_t count)
{
    for (int64_t i = 0; i < count; i++) memcpy((unsigned char *)to + (size_t)i * size, pattern, size);
}

void role_pad(const struct field *field, void *to, int64_t count)
{
    const size_t size = trajlog_type_size(field->stored_type);
    const float narrow[2] = {NAN, NAN};
    const double wide[2] = {NAN, NAN};
    switch (field->stored_type) {
    case TRAJLOG_FLOAT32:
    case TRAJLOG_COMPLEX64:
        pad_with(to, narrow, size, count);
        return;
    case TRAJLOG_FLOAT64:
    case TRAJLOG_COMPLEX128:
        pad_with(to, wide, size, count);
        return;
    default:
        /* All ones is -1 in every signed integer. */
        memset(to, field->role == TRAJLOG_ROLE_ID ? 0xff : 0, size * (size_t)count);
    }
}
