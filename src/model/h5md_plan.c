#include "model/h5md_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/unit.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define NO_GROUP     SIZE_MAX

/* A field with a role, and where it is. */
struct member {
    size_t group_index, field_index;
    const struct group *group;
    const struct field *field;
};

struct planner {
    const struct schema *schema;
    trajlog_profile profile;
    struct member *members; /* all enabled fields with roles, in the order of declaration */
    size_t member_count;
    size_t main_group; /* whose frames the main particles group has; NO_GROUP: none */
    struct h5md_plan *plan;
    struct error *error;
};

static bool is_vector_role(trajlog_role role)
{
    return role >= TRAJLOG_ROLE_POSITION && role <= TRAJLOG_ROLE_IMAGE;
}

/* What is seen below /particles. */
static bool is_in_particles(trajlog_role role)
{
    return role_is_of_particles(role) || role == TRAJLOG_ROLE_BOX_EDGES;
}

static trajlog_status out_of_memory(struct error *error)
{
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
}

/* Says it of a member: which field, in which role. */
static trajlog_status refuse(struct planner *planner, const struct member *member, const char *what)
{
    return error_set(planner->error, TRAJLOG_INVALID_ARGUMENT, 0, "group \"%s\", field \"%s\", role %s: %s",
                     member->group->name, member->field->name, role_name(member->field->role), what);
}

static trajlog_status collect_members(struct planner *planner)
{
    const struct schema *schema = planner->schema;
    size_t most = 0;
    for (size_t i = 0; i < schema->group_count; i++) most += schema->groups[i]->field_count;
    planner->members = calloc(most + 1, sizeof *planner->members);
    if (planner->members == NULL) return out_of_memory(planner->error);
    for (size_t i = 0; i < schema->group_count; i++) {
        const struct group *group = schema->groups[i];
        for (size_t k = 0; group->enabled && k < group->field_count; k++) {
            const struct field *field = group->fields[k];
            if (!field->enabled || field->role == TRAJLOG_ROLE_NONE) continue;
            TRY(role_check(group, field, planner->error));
            planner->members[planner->member_count++] = (struct member){i, k, group, field};
        }
    }
    return TRAJLOG_OK;
}

static bool belongs(const struct member *member, const char *particles)
{
    return strcmp(member->field->particles, particles) == 0;
}

static const struct member *find_role(const struct planner *planner, const char *particles, trajlog_role role)
{
    for (size_t i = 0; i < planner->member_count; i++) {
        const struct member *member = &planner->members[i];
        if (member->field->role == role && belongs(member, particles)) return member;
    }
    return NULL;
}

/* The group whose rows are the frames of a particles group: that of the positions, or of what there is instead. */
static size_t frame_group(const struct planner *planner, const char *particles)
{
    for (trajlog_role role = TRAJLOG_ROLE_POSITION; role <= TRAJLOG_ROLE_BOX_EDGES; role++) {
        const struct member *member = find_role(planner, particles, role);
        if (member != NULL && !group_is_once(member->group)) return member->group_index;
    }
    return NO_GROUP;
}

/* --------------------------------------------------------------------------------- what fields must be together --- */

static bool may_repeat(trajlog_role role)
{
    return role == TRAJLOG_ROLE_PARTICLE || role > TRAJLOG_ROLE_BOX_EDGES;
}

static trajlog_status check_unique(struct planner *planner, const struct member *member)
{
    if (may_repeat(member->field->role)) return TRAJLOG_OK;
    const struct member *first = find_role(planner, member->field->particles, member->field->role);
    if (first == member) return TRAJLOG_OK;
    return error_set(
        planner->error, TRAJLOG_DUPLICATE_NAME, 0,
        "group \"%s\", field \"%s\": field \"%s\" of group \"%s\" has the role %s in particles \"%s\"; name "
        "another particles group",
        member->group->name, member->field->name, first->field->name, first->group->name,
        role_name(member->field->role), member->field->particles);
}

/* All fields of a particles group have the same N, and the same D. */
static trajlog_status check_dimensions(struct planner *planner, const struct member *member,
                                       struct planned_particles *particles, int64_t *count)
{
    char text[160];
    const struct field *field = member->field;
    if (role_is_of_particles(field->role)) {
        if (*count == 0) *count = field->shape.dims[0];
        if (*count != field->shape.dims[0]) {
            snprintf(text, sizeof text, "%lld particles, where other fields of particles \"%.60s\" have %lld",
                     (long long)field->shape.dims[0], particles->name, (long long)*count);
            return refuse(planner, member, text);
        }
    }
    if (is_vector_role(field->role) || field->role == TRAJLOG_ROLE_BOX_EDGES) {
        int64_t dimension = field->shape.dims[field->shape.rank - 1];
        if (particles->dimension == 0) particles->dimension = (int32_t)dimension;
        if (particles->dimension != dimension) {
            snprintf(text, sizeof text, "%lld dimensions, where the box of particles \"%.60s\" has %ld",
                     (long long)dimension, particles->name, (long)particles->dimension);
            return refuse(planner, member, text);
        }
    }
    return TRAJLOG_OK;
}

static trajlog_status check_box_edges(struct planner *planner, const struct member *member)
{
    const bool is_vector = member->field->shape.rank == 1;
    if (group_is_once(member->group) && planner->profile != TRAJLOG_PROFILE_STRICT) {
        return refuse(
            planner, member,
            "readers want the edges in every frame: add the field to the group of the positions, bound to the "
            "same array (TRAJLOG_PROFILE_STRICT allows a fixed box)");
    }
    if (is_vector && planner->profile == TRAJLOG_PROFILE_DEFAULT) {
        return refuse(planner, member,
                      "MDAnalysis, VMD and GROMACS want the matrix [D, D] of edge vectors; for a vector [D] choose "
                      "TRAJLOG_PROFILE_VECTOR");
    }
    if (!is_vector && planner->profile == TRAJLOG_PROFILE_VECTOR) {
        return refuse(planner, member,
                      "VOTCA wants a vector [D]: bind the matrix's diagonal, with a stride of D + 1 elements");
    }
    return TRAJLOG_OK;
}

/* H5MD itself wants box and image on the steps of the positions; most readers all that varies. */
static trajlog_status check_cadence(struct planner *planner, const struct member *member, size_t frames)
{
    const trajlog_role role = member->field->role;
    if (group_is_once(member->group) || member->group_index == frames) return TRAJLOG_OK;
    if (role == TRAJLOG_ROLE_IMAGE || role == TRAJLOG_ROLE_BOX_EDGES) {
        return refuse(planner, member, "H5MD wants it in the group of the positions");
    }
    if (planner->profile == TRAJLOG_PROFILE_STRICT) return TRAJLOG_OK;
    return refuse(
        planner, member,
        "readers want it on the same steps as the positions: add it to their group, or name a particles group of "
        "its own (TRAJLOG_PROFILE_STRICT allows it)");
}

/* VOTCA reads units only where they are of fixed length, and MDANSE none but nm: a length in another unit would be taken
 * for one in nm, without a word. */
static trajlog_status check_nm(struct planner *planner, const struct member *member, const char *unit)
{
    char text[160];
    if (member->field->unit[0] == '\0' || strcmp(member->field->unit, unit) == 0) return TRAJLOG_OK;
    snprintf(text, sizeof text, "VOTCA and MDANSE would take \"%.40s\" for \"%s\": give it in that unit, or none",
             member->field->unit, unit);
    return refuse(planner, member, text);
}

static trajlog_status check_quantity(struct planner *planner, const struct member *member)
{
    static const struct {
        trajlog_role role;
        enum unit_quantity quantity;
        const char *nm;
    } quantities[] = {
        {TRAJLOG_ROLE_POSITION, UNIT_LENGTH, "nm"},
        {TRAJLOG_ROLE_BOX_EDGES, UNIT_LENGTH, "nm"},
        {TRAJLOG_ROLE_VELOCITY, UNIT_VELOCITY, "nm ps-1"},
        {TRAJLOG_ROLE_FORCE, UNIT_FORCE, "kJ mol-1 nm-1"},
    };
    for (size_t i = 0; i < COUNT(quantities); i++) {
        if (quantities[i].role != member->field->role) continue;
        if (planner->profile == TRAJLOG_PROFILE_VECTOR) return check_nm(planner, member, quantities[i].nm);
        if (planner->profile != TRAJLOG_PROFILE_DEFAULT) continue;
        trajlog_status status = unit_check_quantity(member->field->unit, quantities[i].quantity, planner->error);
        if (status != TRAJLOG_OK)
            error_prefix(planner->error, "group \"%s\", field \"%s\"", member->group->name, member->field->name);
        return status;
    }
    return TRAJLOG_OK;
}

/* MDAnalysis converts all of time, positions, velocities and forces, or, when told so, none. */
static trajlog_status check_units_agree(struct planner *planner, const struct member *member)
{
    const trajlog_role role = member->field->role;
    if (planner->profile != TRAJLOG_PROFILE_DEFAULT) return TRAJLOG_OK;
    if (!is_vector_role(role) || role == TRAJLOG_ROLE_IMAGE) return TRAJLOG_OK;
    const struct member *other = find_role(planner, member->field->particles, TRAJLOG_ROLE_POSITION);
    if (other == NULL || (other->field->unit[0] == '\0') == (member->field->unit[0] == '\0')) return TRAJLOG_OK;
    return refuse(
        planner, member,
        "a unit is given here and not for the positions, or the other way round; MDAnalysis reads both or none");
}

static trajlog_status check_varying(struct planner *planner, const struct member *member)
{
    if (!member->group->varying || !role_is_of_particles(member->field->role)) return TRAJLOG_OK;
    const struct member *id = find_role(planner, member->field->particles, TRAJLOG_ROLE_ID);
    if (id != NULL && id->group == member->group) return TRAJLOG_OK;
    return refuse(planner, member,
                  "where the number of particles varies, H5MD wants a field of the role id in the same group");
}

static trajlog_status check_periodic(struct planner *planner, const struct particles *declared,
                                     struct planned_particles *particles)
{
    const bool has_edges = find_role(planner, particles->name, TRAJLOG_ROLE_BOX_EDGES) != NULL;
    bool periodic = false;
    if (declared->dimension == 0) {
        for (int32_t k = 0; k < particles->dimension; k++) particles->periodic[k] = has_edges;
        return TRAJLOG_OK;
    }
    for (int32_t k = 0; k < declared->dimension; k++) {
        particles->periodic[k] = declared->periodic[k];
        periodic = periodic || declared->periodic[k];
    }
    if (!periodic || has_edges) return TRAJLOG_OK;
    return error_set(planner->error, TRAJLOG_INVALID_ARGUMENT, 0,
                     "particles \"%s\": a periodic box needs a field of the role box_edges", particles->name);
}

/* What only one profile's readers ask of a particles group. */
static trajlog_status check_for_profile(struct planner *planner, const struct planned_particles *particles)
{
    /* ZnH5MD opens the main particles group, and no other. */
    if (planner->profile != TRAJLOG_PROFILE_ZNH5MD || planner->plan->particles_count > 0) return TRAJLOG_OK;
    const struct member *species = find_role(planner, particles->name, TRAJLOG_ROLE_SPECIES);
    if (species == NULL || group_is_once(species->group)) {
        return error_set(
            planner->error, TRAJLOG_INVALID_ARGUMENT, 0,
            "particles \"%s\": ZnH5MD wants the species in every frame: add a field of the role species to "
            "the group of the positions",
            particles->name);
    }
    if (find_role(planner, particles->name, TRAJLOG_ROLE_BOX_EDGES) != NULL) return TRAJLOG_OK;
    return error_set(planner->error, TRAJLOG_INVALID_ARGUMENT, 0,
                     "particles \"%s\": ZnH5MD wants a field of the role box_edges", particles->name);
}

static trajlog_status check_member(struct planner *planner, const struct member *member, size_t frames,
                                   struct planned_particles *particles, int64_t *count)
{
    TRY(check_unique(planner, member));
    TRY(check_dimensions(planner, member, particles, count));
    if (member->field->role == TRAJLOG_ROLE_BOX_EDGES) TRY(check_box_edges(planner, member));
    TRY(check_cadence(planner, member, frames));
    TRY(check_quantity(planner, member));
    TRY(check_units_agree(planner, member));
    return check_varying(planner, member);
}

static trajlog_status plan_particles(struct planner *planner, const struct particles *declared)
{
    struct planned_particles *particles = &planner->plan->particles[planner->plan->particles_count];
    const size_t frames = frame_group(planner, declared->name);
    int64_t count = 0;
    bool empty = true;
    *particles = (struct planned_particles){.name = declared->name, .dimension = declared->dimension};
    for (size_t i = 0; i < planner->member_count; i++) {
        const struct member *member = &planner->members[i];
        if (!belongs(member, declared->name) || !is_in_particles(member->field->role)) continue;
        TRY(check_member(planner, member, frames, particles, &count));
        empty = false;
    }
    if (empty) return TRAJLOG_OK;
    if (particles->dimension == 0) {
        return error_set(planner->error, TRAJLOG_INVALID_ARGUMENT, 0,
                         "particles \"%s\": no positions tell the number of dimensions: call trajlog_set_boundary",
                         particles->name);
    }
    TRY(check_periodic(planner, declared, particles));
    TRY(check_for_profile(planner, particles));
    if (planner->plan->particles_count++ == 0) planner->main_group = frames;
    return TRAJLOG_OK;
}

static trajlog_status plan_all_particles(struct planner *planner)
{
    const struct presentation *presentation = planner->schema->presentation;
    if (presentation == NULL) return TRAJLOG_OK;
    planner->plan->particles = calloc(presentation->particles_count + 1, sizeof *planner->plan->particles);
    if (planner->plan->particles == NULL) return out_of_memory(planner->error);
    for (size_t i = 0; i < presentation->particles_count; i++) {
        TRY(plan_particles(planner, presentation->particles[i]));
    }
    return TRAJLOG_OK;
}

static trajlog_status check_references(struct planner *planner)
{
    for (size_t i = 0; i < planner->member_count; i++) {
        const struct member *member = &planner->members[i];
        bool found = member->field->role != TRAJLOG_ROLE_BONDS; /* NOLINT(clang-analyzer-core.NullDereference): set */
        for (size_t k = 0; k < planner->plan->particles_count && !found; k++)
            found = belongs(member, planner->plan->particles[k].name);
        if (!found) return refuse(planner, member, "its particles group has no fields to refer to");
    }
    return TRAJLOG_OK;
}

/* Where a log has an H5MD tree, its names at the root are taken. */
static trajlog_status check_group_names(struct planner *planner)
{
    static const char *const taken[] = {"h5md",         "particles",  "observables",
                                        "connectivity", "parameters", "h5md_series"};
    for (size_t i = 0; i < planner->schema->group_count; i++) {
        const struct group *group = planner->schema->groups[i];
        for (size_t k = 0; group->enabled && k < COUNT(taken); k++) {
            if (strcmp(group->name, taken[k]) != 0) continue;
            return error_set(planner->error, TRAJLOG_DUPLICATE_NAME, 0,
                             "group \"%s\": the name is H5MD's, in a log whose fields have roles", group->name);
        }
    }
    return TRAJLOG_OK;
}

/* ------------------------------------------------------------------------------------------ where fields are seen ---
 */

/* The field's path in one part, "energy_total" for "energy/total": readers stumble over nested groups. */
static char *flat_name(const char *name)
{
    char *flat = strdup(name);
    for (char *place = flat; place != NULL && *place != '\0'; place++) {
        if (*place == '/') *place = '_';
    }
    return flat;
}

/* Readers take the k-th row of all observables for frame k, so those of other groups must be elsewhere: H5MD lets its
 * root be any group, and any number of them. */
static bool is_in_step(const struct planner *planner, const struct member *member)
{
    return planner->main_group == member->group_index;
}

static char *observable_path(const struct planner *planner, const struct member *member, const char *name)
{
    char *path = NULL;
    const char *group = member->group->name, *particles = member->field->particles;
    int length;
    if (is_in_step(planner, member)) {
        const bool nested = planner->profile == TRAJLOG_PROFILE_ZNH5MD;
        length =
            nested ? asprintf(&path, "/observables/%s/%s", particles, name) : asprintf(&path, "/observables/%s", name);
    } else if (planner->profile == TRAJLOG_PROFILE_STRICT || planner->plan->particles_count == 0) {
        length = asprintf(&path, "/observables/%s/%s", group, name);
    } else {
        length = asprintf(&path, "/h5md_series/%s/observables/%s", group, name);
    }
    return length < 0 ? NULL : path;
}

static char *particles_path(const struct planner *planner, const struct member *member, const char *name)
{
    char *path = NULL;
    const trajlog_role role = member->field->role;
    const char *particles = member->field->particles;
    int length;
    if (role == TRAJLOG_ROLE_BOX_EDGES) {
        length = asprintf(&path, "/particles/%s/box/edges", particles);
    } else {
        /* ZnH5MD takes all that is in a particles group for a function of time. */
        const bool aside = planner->profile == TRAJLOG_PROFILE_ZNH5MD && group_is_once(member->group);
        length = asprintf(&path, "/%s/%s/%s", aside ? "parameters" : "particles", particles,
                          role == TRAJLOG_ROLE_PARTICLE ? name : role_name(role));
    }
    return length < 0 ? NULL : path;
}

static char *entry_path(const struct planner *planner, const struct member *member)
{
    char *name = flat_name(member->field->name), *path = NULL;
    int length = 0;
    if (name == NULL) return NULL;
    switch (member->field->role) {
    case TRAJLOG_ROLE_OBSERVABLE:
        path = observable_path(planner, member, name);
        break;
    case TRAJLOG_ROLE_BONDS:
        length = asprintf(&path, "/connectivity/%s", name);
        break;
    case TRAJLOG_ROLE_PARAMETER:
        length = asprintf(&path, "/parameters/%s", member->field->name);
        break;
    default:
        path = particles_path(planner, member, name);
    }
    free(name);
    return length < 0 ? NULL : path;
}

static trajlog_status add_entry(struct planner *planner, const struct member *member, char *path)
{
    struct h5md_entry *entry = &planner->plan->entries[planner->plan->entry_count];
    if (path == NULL) return out_of_memory(planner->error);
    *entry = (struct h5md_entry){.path = path,
                                 .group = member->group_index,
                                 .field = member->field_index,
                                 .over_time = !group_is_once(member->group),
                                 .role = member->field->role,
                                 .particles = member->field->particles};
    planner->plan->entry_count++;
    return TRAJLOG_OK;
}

/* MDANSE looks for the elements of the main particles group here. */
static trajlog_status add_symbols(struct planner *planner)
{
    if (planner->plan->particles_count == 0) return TRAJLOG_OK;
    const struct member *member = find_role(planner, planner->plan->particles[0].name, TRAJLOG_ROLE_SPECIES_LABEL);
    if (member == NULL || !group_is_once(member->group)) return TRAJLOG_OK;
    return add_entry(planner, member, strdup("/parameters/atom_symbols"));
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct h5md_entry *)a)->path, ((const struct h5md_entry *)b)->path);
}

/* Two fields under one path, or one in the way of another. Sorted, so a path comes before all that leads through it;
 * what lies between begins with it too, or differs from it in a character below '/'. */
static trajlog_status check_paths(struct planner *planner)
{
    const struct h5md_entry *entries = planner->plan->entries;
    for (size_t i = 0; i < planner->plan->entry_count; i++) {
        const size_t length = strlen(entries[i].path);
        for (size_t k = i + 1; k < planner->plan->entry_count; k++) {
            if (strncmp(entries[i].path, entries[k].path, length) != 0) break;
            if (entries[k].path[length] != '\0' && entries[k].path[length] != '/') continue;
            const struct group *first = planner->schema->groups[entries[i].group];
            const struct group *second = planner->schema->groups[entries[k].group];
            return error_set(planner->error, TRAJLOG_DUPLICATE_NAME, 0,
                             "group \"%s\", field \"%s\" and group \"%s\", field \"%s\" would both be seen at %s",
                             first->name, first->fields[entries[i].field]->name, second->name,
                             second->fields[entries[k].field]->name, entries[i].path);
        }
    }
    return TRAJLOG_OK;
}

/* What the facade itself makes. */
static bool is_made_otherwise(const struct planner *planner, const struct h5md_entry *entry)
{
    static const char *const species[] = {"indexOfSpecies", "name", "type", "atomicnumber"};
    static const char vmd[] = "/parameters/vmd_structure";
    const struct presentation *presentation = planner->schema->presentation;
    if (entry->role == TRAJLOG_ROLE_PARTICLE) return strcmp(strrchr(entry->path, '/'), "/box") == 0;
    if (strncmp(entry->path, vmd, sizeof vmd - 1) != 0) return false;
    const char *rest = entry->path + sizeof vmd - 1;
    if (*rest == '\0') return true;
    if (presentation == NULL || presentation->species_count == 0) return false;
    for (size_t i = 0; *rest == '/' && i < COUNT(species); i++) {
        const size_t length = strlen(species[i]);
        if (strncmp(rest + 1, species[i], length) == 0 && strchr("/", rest[1 + length]) != NULL) return true;
    }
    return false;
}

static trajlog_status check_own_paths(struct planner *planner)
{
    for (size_t i = 0; i < planner->plan->entry_count; i++) {
        const struct h5md_entry *entry = &planner->plan->entries[i];
        if (!is_made_otherwise(planner, entry)) continue;
        const struct group *group = planner->schema->groups[entry->group];
        return error_set(planner->error, TRAJLOG_DUPLICATE_NAME, 0,
                         "group \"%s\", field \"%s\": would be seen at %s, which the library makes itself", group->name,
                         group->fields[entry->field]->name, entry->path);
    }
    return TRAJLOG_OK;
}

/* What VMD's plugin reads below /parameters/vmd_structure, besides the lists of the species. It takes whatever type is
 * there for the one that it expects. */
static trajlog_status check_vmd_parameter(struct planner *planner, const struct member *member)
{
    static const char prefix[] = "vmd_structure/";
    static const struct {
        const char *name;
        enum { INTEGER, TEXT, FLOAT } kind;
        const char *wanted;
    } lists[] = {
        {"resid", INTEGER, "integers [N], each a row of resname and chain"},
        {"resname", TEXT, "strings [R], one per residue"},
        {"chain", TEXT, "strings [R], one per residue"},
        {"segid", TEXT, "strings [N]"},
        {"radius", FLOAT, "floats, one per species"},
        {"bond_from", INTEGER, "integers [M], particles counted from 1"},
        {"bond_to", INTEGER, "integers [M], particles counted from 1"},
    };
    const struct field *field = member->field;
    if (field->role != TRAJLOG_ROLE_PARAMETER || strncmp(field->name, prefix, sizeof prefix - 1) != 0)
        return TRAJLOG_OK;
    for (size_t i = 0; i < COUNT(lists); i++) {
        const trajlog_type type = field->stored_type;
        if (strcmp(field->name + sizeof prefix - 1, lists[i].name) != 0) continue;
        bool good = lists[i].kind == INTEGER ? element_is_integer(type)
                    : lists[i].kind == TEXT  ? element_is_string(type)
                                             : element_is_float(type);
        if (good && field->shape.rank == 1 && group_is_once(member->group)) return TRAJLOG_OK;
        char text[160];
        snprintf(text, sizeof text, "VMD reads %s, in a `once` group", lists[i].wanted);
        return refuse(planner, member, text);
    }
    return TRAJLOG_OK;
}

static trajlog_status plan_entries(struct planner *planner)
{
    struct h5md_plan *plan = planner->plan;
    plan->entries = calloc(planner->member_count + 2, sizeof *plan->entries);
    if (plan->entries == NULL) return out_of_memory(planner->error);
    for (size_t i = 0; i < planner->member_count; i++) {
        const struct member *member = &planner->members[i];
        TRY(check_vmd_parameter(planner, member));
        TRY(add_entry(planner, member, entry_path(planner, member)));
    }
    TRY(add_symbols(planner));
    qsort(plan->entries, plan->entry_count, sizeof *plan->entries, compare_entries);
    TRY(check_own_paths(planner));
    return check_paths(planner);
}

/* Every group whose observables stand aside is an H5MD root of its own. */
static trajlog_status plan_series(struct planner *planner)
{
    static const char prefix[] = "/h5md_series/";
    struct h5md_plan *plan = planner->plan;
    plan->series = calloc(planner->schema->group_count + 1, sizeof *plan->series);
    if (plan->series == NULL) return out_of_memory(planner->error);
    for (size_t i = 0; i < plan->entry_count; i++) {
        const char *path = plan->entries[i].path;
        if (strncmp(path, prefix, sizeof prefix - 1) != 0) continue;
        const char *end = strchr(path + sizeof prefix - 1, '/');
        const size_t length = (size_t)(end - path);
        const char *last = plan->series_count > 0 ? plan->series[plan->series_count - 1] : "";
        if (strlen(last) == length && strncmp(last, path, length) == 0) continue;
        plan->series[plan->series_count] = strndup(path, length);
        if (plan->series[plan->series_count] == NULL) return out_of_memory(planner->error);
        plan->series_count++;
    }
    return TRAJLOG_OK;
}

/* ------------------------------------------------------------------------------------------------------- units --- */

static trajlog_status plan_time_unit(struct planner *planner)
{
    const struct presentation *presentation = planner->schema->presentation;
    const struct h5md_plan *plan = planner->plan;
    planner->plan->time_unit = "";
    if (presentation != NULL && presentation->time_unit != NULL) {
        planner->plan->time_unit = presentation->time_unit;
    } else {
        for (size_t i = 0; i < plan->entry_count; i++) {
            const struct field *field = planner->schema->groups[plan->entries[i].group]->fields[plan->entries[i].field];
            if (is_vector_role(field->role) && field->unit[0] != '\0') planner->plan->time_unit = "ps";
        }
    }
    trajlog_status status = planner->profile == TRAJLOG_PROFILE_DEFAULT
                                ? unit_check_quantity(plan->time_unit, UNIT_TIME, planner->error)
                                : unit_check(plan->time_unit, planner->error);
    if (status != TRAJLOG_OK) error_prefix(planner->error, "time");
    return status;
}

static void plan_unit_module(struct planner *planner)
{
    bool any = planner->plan->time_unit[0] != '\0', all = unit_is_si(planner->plan->time_unit);
    for (size_t i = 0; i < planner->member_count; i++) {
        const char *unit = planner->members[i].field->unit;
        any = any || unit[0] != '\0';
        all = all && unit_is_si(unit);
    }
    planner->plan->si_units = any && all;
}

static trajlog_status make_plan(struct planner *planner)
{
    TRY(check_group_names(planner));
    TRY(collect_members(planner));
    TRY(plan_all_particles(planner));
    TRY(check_references(planner));
    TRY(plan_entries(planner));
    TRY(plan_series(planner));
    TRY(plan_time_unit(planner));
    plan_unit_module(planner);
    return TRAJLOG_OK;
}

trajlog_status h5md_plan_make(struct h5md_plan *plan, const struct schema *schema, struct error *error)
{
    memset(plan, 0, sizeof *plan);
    plan->time_unit = "";
    if (!schema_has_roles(schema)) return TRAJLOG_OK;
    struct planner planner = {.schema = schema, .main_group = NO_GROUP, .plan = plan, .error = error};
    if (schema->presentation != NULL) planner.profile = schema->presentation->profile;
    trajlog_status status = make_plan(&planner);
    free(planner.members);
    if (status != TRAJLOG_OK) h5md_plan_free(plan);
    return status;
}

void h5md_plan_free(struct h5md_plan *plan)
{
    for (size_t i = 0; i < plan->entry_count; i++) free(plan->entries[i].path);
    for (size_t i = 0; i < plan->series_count; i++) free(plan->series[i]);
    free(plan->entries);
    free(plan->series);
    free(plan->particles);
    memset(plan, 0, sizeof *plan);
}
