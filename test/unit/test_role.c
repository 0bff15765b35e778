#include "harness.h"

#include <stdlib.h>

#include "model/h5md_plan.h"

/* A log as programs declare it: what never changes, the trajectory, and energies at another cadence. */
struct fixture {
    struct schema *schema;
    struct group *init, *trajectory, *thermo;
    struct error error;
    struct h5md_plan plan;
};

static struct group *add_group(struct fixture *fixture, const char *name, trajlog_frequency frequency)
{
    struct group *group = NULL;
    assert_int_equal(schema_add_group(fixture->schema, name, frequency, &group, &fixture->error), TRAJLOG_OK);
    return group;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->schema = schema_new();
    fixture->init = add_group(fixture, "init", trajlog_once());
    fixture->trajectory = add_group(fixture, "trajectory", trajlog_every(10));
    fixture->thermo = add_group(fixture, "thermo", trajlog_every(1));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    h5md_plan_free(&fixture->plan);
    schema_free(fixture->schema);
    free(fixture);
    return 0;
}

static trajlog_status try_role(struct fixture *fixture, struct group *group, const char *name, trajlog_type type,
                               trajlog_shape shape, const char *unit, trajlog_role role, const char *particles)
{
    struct field *field = NULL;
    assert_int_equal(schema_add_field(group, name, type, shape, unit, &field, &fixture->error), TRAJLOG_OK);
    return field_set_role(fixture->schema, group, field, role, particles, &fixture->error);
}

static struct field *add(struct fixture *fixture, struct group *group, const char *name, trajlog_type type,
                         trajlog_shape shape, const char *unit, trajlog_role role)
{
    if (try_role(fixture, group, name, type, shape, unit, role, NULL) != TRAJLOG_OK)
        fail_msg("%s", fixture->error.message);
    return group_find_field(group, name);
}

static void add_positions(struct fixture *fixture)
{
    add(fixture, fixture->trajectory, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100, 3), "nm", TRAJLOG_ROLE_POSITION);
}

static void add_box(struct fixture *fixture)
{
    add(fixture, fixture->trajectory, "box", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3, 3), "nm", TRAJLOG_ROLE_BOX_EDGES);
}

static void set_profile(struct fixture *fixture, trajlog_profile profile)
{
    struct presentation *presentation = NULL;
    assert_int_equal(schema_presentation(fixture->schema, &presentation, &fixture->error), TRAJLOG_OK);
    presentation->profile = profile;
}

static void plan(struct fixture *fixture)
{
    if (h5md_plan_make(&fixture->plan, fixture->schema, &fixture->error) != TRAJLOG_OK)
        fail_msg("%s", fixture->error.message);
}

static void refuses(struct fixture *fixture, trajlog_status expected, const char *text)
{
    assert_int_equal(h5md_plan_make(&fixture->plan, fixture->schema, &fixture->error), expected);
    if (strstr(fixture->error.message, text) == NULL) fail_msg("\"%s\" says not \"%s\"", fixture->error.message, text);
    assert_null(fixture->plan.entries);
}

static const struct h5md_entry *find(const struct fixture *fixture, const char *path)
{
    for (size_t i = 0; i < fixture->plan.entry_count; i++) {
        if (strcmp(fixture->plan.entries[i].path, path) == 0) return &fixture->plan.entries[i];
    }
    return NULL;
}

static void assert_seen(const struct fixture *fixture, const char *path, const char *group, const char *field,
                        bool over_time)
{
    const struct h5md_entry *entry = find(fixture, path);
    if (entry == NULL) fail_msg("nothing at %s", path);
    assert_string_equal(fixture->schema->groups[entry->group]->name, group);
    assert_string_equal(fixture->schema->groups[entry->group]->fields[entry->field]->name, field);
    assert_int_equal(entry->over_time, over_time);
}

static void names_go_both_ways(void **state)
{
    (void)state;
#define CHECK_ROLE(name, number, text)                                                                                 \
    do {                                                                                                               \
        trajlog_role role = TRAJLOG_ROLE_NONE;                                                                         \
        assert_true(role_from_name(text, &role));                                                                      \
        assert_int_equal(role, TRAJLOG_ROLE_##name);                                                                   \
        assert_string_equal(role_name(role), text);                                                                    \
    } while (0);
    TRAJLOG_ROLE_LIST(CHECK_ROLE)
    trajlog_role role = TRAJLOG_ROLE_NONE;
    trajlog_profile profile = TRAJLOG_PROFILE_DEFAULT;
    assert_false(role_from_name("", &role) || role_from_name("positions", &role) || profile_from_name("vmd", &profile));
    for (int i = TRAJLOG_PROFILE_DEFAULT; i <= TRAJLOG_PROFILE_STRICT; i++) {
        assert_true(profile_from_name(profile_name((trajlog_profile)i), &profile));
        assert_int_equal(profile, i);
    }
    assert_string_equal(role_name((trajlog_role)99), "");
}

static void without_roles_there_is_no_tree(void **state)
{
    struct fixture *fixture = *state;
    struct field *field = NULL;
    schema_add_field(fixture->trajectory, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100, 3), "furlong", &field, NULL);
    add_group(fixture, "particles", trajlog_once());
    assert_false(schema_has_roles(fixture->schema));
    plan(fixture);
    assert_int_equal(fixture->plan.entry_count, 0);
    assert_int_equal(fixture->plan.particles_count, 0);
}

static void a_usual_log(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, fixture->init, "mass", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100), "u", TRAJLOG_ROLE_MASS);
    add_positions(fixture);
    add(fixture, fixture->trajectory, "v", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(100, 3), "nm ps-1", TRAJLOG_ROLE_VELOCITY);
    add_box(fixture);
    add(fixture, fixture->trajectory, "energy/bond", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, "kJ mol-1",
        TRAJLOG_ROLE_OBSERVABLE);
    add(fixture, fixture->thermo, "temperature", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, "K", TRAJLOG_ROLE_OBSERVABLE);
    add(fixture, fixture->init, "bonds", TRAJLOG_INT32, TRAJLOG_SHAPE(50, 2), "", TRAJLOG_ROLE_BONDS);
    add(fixture, fixture->init, "vmd_structure/resid", TRAJLOG_INT32, TRAJLOG_SHAPE(100), "", TRAJLOG_ROLE_PARAMETER);
    plan(fixture);
    assert_int_equal(fixture->plan.entry_count, 8);
    assert_seen(fixture, "/particles/all/mass", "init", "mass", false);
    assert_seen(fixture, "/particles/all/position", "trajectory", "x", true);
    assert_seen(fixture, "/particles/all/velocity", "trajectory", "v", true);
    assert_seen(fixture, "/particles/all/box/edges", "trajectory", "box", true);
    assert_seen(fixture, "/observables/energy_bond", "trajectory", "energy/bond", true);
    assert_seen(fixture, "/h5md_series/thermo/observables/temperature", "thermo", "temperature", true);
    assert_seen(fixture, "/connectivity/bonds", "init", "bonds", false);
    assert_seen(fixture, "/parameters/vmd_structure/resid", "init", "vmd_structure/resid", false);
    assert_int_equal(fixture->plan.series_count, 1);
    assert_string_equal(fixture->plan.series[0], "/h5md_series/thermo");
    assert_string_equal(fixture->plan.time_unit, "ps");
    assert_true(fixture->plan.si_units);
    assert_int_equal(fixture->plan.particles_count, 1);
    assert_int_equal(fixture->plan.particles[0].dimension, 3);
    assert_true(fixture->plan.particles[0].periodic[0] && fixture->plan.particles[0].periodic[2]);
}

static void reduced_units(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, fixture->trajectory, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100, 3), "", TRAJLOG_ROLE_POSITION);
    plan(fixture);
    assert_string_equal(fixture->plan.time_unit, "");
    assert_false(fixture->plan.si_units);
    assert_false(fixture->plan.particles[0].periodic[0]);
}

static void fields_that_are_off_do_not_count(void **state)
{
    struct fixture *fixture = *state;
    add_positions(fixture);
    add_box(fixture);
    add(fixture, fixture->thermo, "t", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, "K", TRAJLOG_ROLE_OBSERVABLE);
    group_find_field(fixture->trajectory, "box")->enabled = false;
    fixture->thermo->enabled = false;
    plan(fixture);
    assert_int_equal(fixture->plan.entry_count, 1);
    h5md_plan_free(&fixture->plan);
    group_find_field(fixture->trajectory, "x")->enabled = false;
    plan(fixture);
    assert_int_equal(fixture->plan.entry_count, 0);
}

static void roles_check_shape_type_and_unit(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        trajlog_type type;
        trajlog_shape shape;
        const char *unit;
        trajlog_role role;
        const char *text;
    } cases[] = {
        {TRAJLOG_FLOAT64, {1, {100}}, "nm", TRAJLOG_ROLE_POSITION, "expected the shape [N, D]"},
        {TRAJLOG_FLOAT64, {2, {100, 4}}, "nm", TRAJLOG_ROLE_VELOCITY, "expected the shape [N, D]"},
        {TRAJLOG_COMPLEX64, {2, {100, 3}}, "nm", TRAJLOG_ROLE_FORCE, "a float or an integer, got complex64"},
        {TRAJLOG_INT32, {1, {100}}, "u", TRAJLOG_ROLE_MASS, "a float, got int32"},
        {TRAJLOG_FLOAT32, {1, {100}}, "", TRAJLOG_ROLE_SPECIES, "an integer, got float32"},
        {TRAJLOG_UINT32, {1, {100}}, "", TRAJLOG_ROLE_ID, "int32 or int64, got uint32"},
        {TRAJLOG_INT32, {1, {100}}, "", TRAJLOG_ROLE_SPECIES_LABEL, "a string"},
        {TRAJLOG_FLOAT64, {2, {3, 2}}, "nm", TRAJLOG_ROLE_BOX_EDGES, "[D, D] or [D]"},
        {TRAJLOG_FLOAT64, {0, {0}}, "nm", TRAJLOG_ROLE_BOX_EDGES, "got []"},
        {TRAJLOG_INT32, {2, {10, 1}}, "", TRAJLOG_ROLE_BONDS, "[M, 2 or more]"},
        {TRAJLOG_FLOAT64, {0, {0}}, "", TRAJLOG_ROLE_PARTICLE, "[N, ...]"},
        {TRAJLOG_FLOAT64, {0, {0}}, "kJ/mol", TRAJLOG_ROLE_OBSERVABLE, "write \"kJ mol-1\""},
        {TRAJLOG_FLOAT64, {0, {0}}, "", (trajlog_role)99, "expected one of trajlog_role, got 99"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%zu", i);
        error_clear(&fixture->error);
        assert_int_equal(try_role(fixture, fixture->trajectory, name, cases[i].type, cases[i].shape, cases[i].unit,
                                  cases[i].role, NULL),
                         TRAJLOG_INVALID_ARGUMENT);
        if (strstr(fixture->error.message, cases[i].text) == NULL || strstr(fixture->error.message, name) == NULL)
            fail_msg("%s: \"%s\"", cases[i].text, fixture->error.message);
    }
    error_clear(&fixture->error);
    assert_int_equal(try_role(fixture, fixture->trajectory, "z", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, "",
                              TRAJLOG_ROLE_OBSERVABLE, "a/b"),
                     TRAJLOG_INVALID_ARGUMENT);
    assert_non_null(strstr(fixture->error.message, "particles group"));
    assert_false(schema_has_roles(fixture->schema));
}

static void a_role_can_be_taken_away(void **state)
{
    struct fixture *fixture = *state;
    add_positions(fixture);
    struct field *field = group_find_field(fixture->trajectory, "x");
    assert_int_equal(field_set_role(fixture->schema, fixture->trajectory, field, TRAJLOG_ROLE_NONE, NULL, NULL),
                     TRAJLOG_OK);
    assert_false(schema_has_roles(fixture->schema));
    assert_null(field->particles);
}

static void what_is_stored_counts(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, fixture->init, "species", TRAJLOG_INT32, TRAJLOG_SHAPE(100), "", TRAJLOG_ROLE_SPECIES);
    add_positions(fixture);
    struct field *field = group_find_field(fixture->init, "species");
    assert_int_equal(field_set_stored_type(fixture->init, field, TRAJLOG_FLOAT64, NULL), TRAJLOG_OK);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "an integer, got float64");
}

static void one_field_for_each_role(void **state)
{
    struct fixture *fixture = *state;
    add_positions(fixture);
    add(fixture, fixture->trajectory, "y", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100, 3), "nm", TRAJLOG_ROLE_POSITION);
    refuses(fixture, TRAJLOG_DUPLICATE_NAME, "field \"x\" of group \"trajectory\" has the role position");
}

static void particles_and_dimensions_agree(void **state)
{
    struct fixture *fixture = *state;
    add_positions(fixture);
    struct field *mass =
        add(fixture, fixture->init, "mass", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(99), "u", TRAJLOG_ROLE_MASS);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "have 99");
    mass->enabled = false;
    error_clear(&fixture->error);
    add(fixture, fixture->trajectory, "v", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100, 2), "nm ps-1", TRAJLOG_ROLE_VELOCITY);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "2 dimensions, where the box of particles \"all\" has 3");
}

static void other_cadences_stand_aside_or_are_refused(void **state)
{
    struct fixture *fixture = *state;
    add_positions(fixture);
    struct field *force =
        add(fixture, fixture->thermo, "f", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100, 3), "kJ mol-1 nm-1", TRAJLOG_ROLE_FORCE);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "on the same steps as the positions");
    error_clear(&fixture->error);
    set_profile(fixture, TRAJLOG_PROFILE_STRICT);
    plan(fixture);
    assert_seen(fixture, "/particles/all/force", "thermo", "f", true);
    h5md_plan_free(&fixture->plan);
    set_profile(fixture, TRAJLOG_PROFILE_DEFAULT);
    assert_int_equal(field_set_role(fixture->schema, fixture->thermo, force, TRAJLOG_ROLE_FORCE, "fast", NULL),
                     TRAJLOG_OK);
    plan(fixture);
    assert_seen(fixture, "/particles/fast/force", "thermo", "f", true);
    assert_string_equal(fixture->plan.particles[0].name, "all");
    assert_string_equal(fixture->plan.particles[1].name, "fast");
}

static void image_and_edges_are_on_the_positions_steps(void **state)
{
    struct fixture *fixture = *state;
    set_profile(fixture, TRAJLOG_PROFILE_STRICT);
    add_positions(fixture);
    struct field *image =
        add(fixture, fixture->thermo, "image", TRAJLOG_INT32, TRAJLOG_SHAPE(100, 3), "", TRAJLOG_ROLE_IMAGE);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "H5MD wants it in the group of the positions");
    image->enabled = false;
    error_clear(&fixture->error);
    add(fixture, fixture->thermo, "box", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3), "nm", TRAJLOG_ROLE_BOX_EDGES);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "H5MD wants it in the group of the positions");
}

static void edges_by_profile(void **state)
{
    struct fixture *fixture = *state;
    add_positions(fixture);
    struct field *fixed =
        add(fixture, fixture->init, "box", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3, 3), "nm", TRAJLOG_ROLE_BOX_EDGES);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "the edges in every frame");
    error_clear(&fixture->error);
    set_profile(fixture, TRAJLOG_PROFILE_STRICT);
    plan(fixture);
    assert_seen(fixture, "/particles/all/box/edges", "init", "box", false);
    h5md_plan_free(&fixture->plan);
    fixed->enabled = false;
    struct field *vector =
        add(fixture, fixture->trajectory, "vector", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3), "nm", TRAJLOG_ROLE_BOX_EDGES);
    set_profile(fixture, TRAJLOG_PROFILE_VECTOR);
    plan(fixture);
    h5md_plan_free(&fixture->plan);
    set_profile(fixture, TRAJLOG_PROFILE_DEFAULT);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "TRAJLOG_PROFILE_VECTOR");
    vector->enabled = false;
    error_clear(&fixture->error);
    add_box(fixture);
    set_profile(fixture, TRAJLOG_PROFILE_VECTOR);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "VOTCA wants a vector");
}

static void vector_edges_come_with_nm(void **state)
{
    struct fixture *fixture = *state;
    set_profile(fixture, TRAJLOG_PROFILE_VECTOR);
    add(fixture, fixture->trajectory, "box", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3), "", TRAJLOG_ROLE_BOX_EDGES);
    struct field *x = add(fixture, fixture->trajectory, "far", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100, 3), "Angstrom",
                          TRAJLOG_ROLE_POSITION);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "would take \"Angstrom\" for \"nm\"");
    error_clear(&fixture->error);
    x->enabled = false;
    add_positions(fixture);
    plan(fixture);
}

static void znh5md(void **state)
{
    struct fixture *fixture = *state;
    set_profile(fixture, TRAJLOG_PROFILE_ZNH5MD);
    add_positions(fixture);
    struct field *fixed =
        add(fixture, fixture->init, "species", TRAJLOG_INT32, TRAJLOG_SHAPE(100), "", TRAJLOG_ROLE_SPECIES);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "species in every frame");
    error_clear(&fixture->error);
    fixed->enabled = false;
    add(fixture, fixture->trajectory, "species", TRAJLOG_INT32, TRAJLOG_SHAPE(100), "", TRAJLOG_ROLE_SPECIES);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "role box_edges");
    error_clear(&fixture->error);
    add_box(fixture);
    add(fixture, fixture->init, "mass", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100), "u", TRAJLOG_ROLE_MASS);
    add(fixture, fixture->trajectory, "energy", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, "eV", TRAJLOG_ROLE_OBSERVABLE);
    plan(fixture);
    assert_seen(fixture, "/particles/all/species", "trajectory", "species", true);
    assert_seen(fixture, "/parameters/all/mass", "init", "mass", false);
    assert_seen(fixture, "/observables/all/energy", "trajectory", "energy", true);
    h5md_plan_free(&fixture->plan);
    assert_int_equal(try_role(fixture, fixture->thermo, "y", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(5, 3), "nm",
                              TRAJLOG_ROLE_POSITION, "other"),
                     TRAJLOG_OK);
    plan(fixture); /* no other than the main group is opened */
}

static void strict_shows_all_observables(void **state)
{
    struct fixture *fixture = *state;
    set_profile(fixture, TRAJLOG_PROFILE_STRICT);
    add_positions(fixture);
    add(fixture, fixture->trajectory, "p", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, "bar", TRAJLOG_ROLE_OBSERVABLE);
    add(fixture, fixture->thermo, "p", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, "bar", TRAJLOG_ROLE_OBSERVABLE);
    plan(fixture);
    assert_seen(fixture, "/observables/p", "trajectory", "p", true);
    assert_seen(fixture, "/observables/thermo/p", "thermo", "p", true);
    assert_int_equal(fixture->plan.series_count, 0);
}

static void observables_alone(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, fixture->thermo, "p", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, "bar", TRAJLOG_ROLE_OBSERVABLE);
    plan(fixture);
    assert_seen(fixture, "/observables/thermo/p", "thermo", "p", true);
    assert_int_equal(fixture->plan.particles_count, 0);
}

static void units_are_all_or_none(void **state)
{
    struct fixture *fixture = *state;
    add_positions(fixture);
    struct field *velocity =
        add(fixture, fixture->trajectory, "v", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100, 3), "", TRAJLOG_ROLE_VELOCITY);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "both or none");
    velocity->enabled = false;
    error_clear(&fixture->error);
    struct field *wide = add(fixture, fixture->trajectory, "w", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100, 3), "um ps-1",
                             TRAJLOG_ROLE_VELOCITY);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "field \"w\": unit \"um ps-1\"");
    error_clear(&fixture->error);
    wide->enabled = false;
    set_profile(fixture, TRAJLOG_PROFILE_DEFAULT);
    fixture->schema->presentation->time_unit = strdup("picoseconds");
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "time: unit \"picoseconds\"");
}

static void boundaries(void **state)
{
    struct fixture *fixture = *state;
    const int32_t slab[3] = {1, 1, 0};
    assert_int_equal(schema_set_boundary(fixture->schema, NULL, 3, slab, &fixture->error), TRAJLOG_OK);
    add_positions(fixture);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "a periodic box needs a field of the role box_edges");
    error_clear(&fixture->error);
    add_box(fixture);
    plan(fixture);
    assert_true(fixture->plan.particles[0].periodic[0] && fixture->plan.particles[0].periodic[1]);
    assert_false(fixture->plan.particles[0].periodic[2]);
    h5md_plan_free(&fixture->plan);
    assert_int_equal(schema_set_boundary(fixture->schema, "all", 2, slab, &fixture->error), TRAJLOG_OK);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "3 dimensions, where the box of particles \"all\" has 2");
    error_clear(&fixture->error);
    assert_int_equal(schema_set_boundary(fixture->schema, "all", 4, slab, &fixture->error), TRAJLOG_INVALID_ARGUMENT);
    error_clear(&fixture->error);
    assert_int_equal(schema_set_boundary(fixture->schema, "all", 3, NULL, &fixture->error), TRAJLOG_INVALID_ARGUMENT);
}

static void two_dimensions(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, fixture->trajectory, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100, 2), "", TRAJLOG_ROLE_POSITION);
    add(fixture, fixture->trajectory, "box", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(2, 2), "", TRAJLOG_ROLE_BOX_EDGES);
    plan(fixture);
    assert_int_equal(fixture->plan.particles[0].dimension, 2);
}

static void scalars_alone_tell_no_dimension(void **state)
{
    struct fixture *fixture = *state;
    const int32_t open[3] = {0, 0, 0};
    add(fixture, fixture->init, "mass", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100), "u", TRAJLOG_ROLE_MASS);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "call trajlog_set_boundary");
    error_clear(&fixture->error);
    assert_int_equal(schema_set_boundary(fixture->schema, NULL, 3, open, NULL), TRAJLOG_OK);
    plan(fixture);
}

static void capacities_double_until_there_is_room(void **state)
{
    (void)state;
    assert_int_equal(capacity_for(6, 6, 0), 6);
    assert_int_equal(capacity_for(6, 7, 0), 12);
    assert_int_equal(capacity_for(6, 49, 0), 96);
    assert_int_equal(capacity_for(6, 7, 10), 10);
    assert_int_equal(capacity_for(6, 10, 10), 10);
    assert_int_equal(capacity_for(12, 3, 10), 12); /* what is there stays */
    assert_int_equal(capacity_for(6, INT64_MAX, 0), INT64_MAX);
    assert_int_equal(capacity_for(1, INT64_MAX / 2 + 2, INT64_MAX), INT64_MAX / 2 + 2);
}

static void varying_numbers_need_ids(void **state)
{
    struct fixture *fixture = *state;
    fixture->trajectory->varying = true;
    add_positions(fixture);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "a field of the role id in the same group");
    error_clear(&fixture->error);
    add(fixture, fixture->trajectory, "id", TRAJLOG_INT32, TRAJLOG_SHAPE(100), "", TRAJLOG_ROLE_ID);
    plan(fixture);
}

static void names_that_are_taken(void **state)
{
    struct fixture *fixture = *state;
    add_positions(fixture);
    struct group *group = add_group(fixture, "observables", trajlog_every(1));
    refuses(fixture, TRAJLOG_DUPLICATE_NAME, "group \"observables\": the name is H5MD's");
    group->enabled = false;
    error_clear(&fixture->error);
    struct field *box =
        add(fixture, fixture->trajectory, "box", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100), "", TRAJLOG_ROLE_PARTICLE);
    refuses(fixture, TRAJLOG_DUPLICATE_NAME, "/particles/all/box");
    box->enabled = false;
    error_clear(&fixture->error);
    add(fixture, fixture->trajectory, "a/b", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, "", TRAJLOG_ROLE_OBSERVABLE);
    struct field *flat =
        add(fixture, fixture->trajectory, "a_b", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, "", TRAJLOG_ROLE_OBSERVABLE);
    refuses(fixture, TRAJLOG_DUPLICATE_NAME, "would both be seen at /observables/a_b");
    flat->enabled = false;
    error_clear(&fixture->error);
    add(fixture, fixture->init, "p", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, "", TRAJLOG_ROLE_PARAMETER);
    add(fixture, fixture->init, "p.q", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, "", TRAJLOG_ROLE_PARAMETER);
    struct field *below =
        add(fixture, fixture->thermo, "p/q", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, "", TRAJLOG_ROLE_PARAMETER);
    refuses(fixture, TRAJLOG_DUPLICATE_NAME, "would both be seen at /parameters/p");
    below->enabled = false;
    error_clear(&fixture->error);
    plan(fixture);
}

static void species(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(schema_add_species(fixture->schema, 18, "Ar", 18, NULL), TRAJLOG_OK);
    assert_int_equal(schema_add_species(fixture->schema, 18, "Kr", 36, &fixture->error), TRAJLOG_DUPLICATE_NAME);
    assert_non_null(strstr(fixture->error.message, "species 18 is \"Ar\" already"));
    assert_int_equal(schema_add_species(fixture->schema, 1, "", 1, NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(schema_add_species(fixture->schema, 1, NULL, 1, NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(schema_add_species(fixture->schema, 1, "H", 112, NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(schema_add_species(fixture->schema, 1, "sixteen letters!", 1, NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(fixture->schema->presentation->species_count, 1);
    error_clear(&fixture->error);
    add_positions(fixture);
    add(fixture, fixture->init, "vmd_structure/name", TRAJLOG_STRING(4), TRAJLOG_SHAPE(1), "", TRAJLOG_ROLE_PARAMETER);
    refuses(fixture, TRAJLOG_DUPLICATE_NAME, "which the library makes itself");
}

static void bonds_refer_to_particles(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, fixture->init, "bonds", TRAJLOG_INT32, TRAJLOG_SHAPE(50, 2), "", TRAJLOG_ROLE_BONDS);
    refuses(fixture, TRAJLOG_INVALID_ARGUMENT, "no fields to refer to");
    error_clear(&fixture->error);
    add_positions(fixture);
    plan(fixture);
}

static void element_symbols(void **state)
{
    struct fixture *fixture = *state;
    add_positions(fixture);
    add(fixture, fixture->init, "names", TRAJLOG_STRING(4), TRAJLOG_SHAPE(100), "", TRAJLOG_ROLE_SPECIES_LABEL);
    plan(fixture);
    assert_seen(fixture, "/particles/all/species_label", "init", "names", false);
    assert_seen(fixture, "/parameters/atom_symbols", "init", "names", false);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    cmocka_unit_test(names_go_both_ways),
    TEST(without_roles_there_is_no_tree),
    TEST(a_usual_log),
    TEST(reduced_units),
    TEST(fields_that_are_off_do_not_count),
    TEST(roles_check_shape_type_and_unit),
    TEST(a_role_can_be_taken_away),
    TEST(what_is_stored_counts),
    TEST(one_field_for_each_role),
    TEST(particles_and_dimensions_agree),
    TEST(other_cadences_stand_aside_or_are_refused),
    TEST(image_and_edges_are_on_the_positions_steps),
    TEST(edges_by_profile),
    TEST(vector_edges_come_with_nm),
    TEST(znh5md),
    TEST(strict_shows_all_observables),
    TEST(observables_alone),
    TEST(units_are_all_or_none),
    TEST(boundaries),
    TEST(two_dimensions),
    TEST(scalars_alone_tell_no_dimension),
    TEST(capacities_double_until_there_is_room),
    TEST(varying_numbers_need_ids),
    TEST(names_that_are_taken),
    TEST(species),
    TEST(bonds_refer_to_particles),
    TEST(element_symbols),
};
TEST_MAIN(tests)
