/* What programs ask of an H5MD file: VMD's plugin, GROMACS 2026 and NOMAD's parser, which cannot be installed for the
 * tests, as read in their sources; and VOTCA, which not every machine has. Each test opens a log as that program does, and
 * expects what it expects: exact types, shapes and equal lengths. Plain libhdf5, so that nothing of ours stands between. */
#include <hdf5.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"

#include "trajlog.h"

#define N      7
#define FRAMES 4

struct scene {
    char path[64];
    double position[N][3], velocity[N][3], force[N][3], box[3][3], diagonal[3], mass[N], charge[N], energy;
    int32_t species[N];
    hid_t file;
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    strcpy(scene->path, "/tmp/trajlog-h5md-XXXXXX");
    int file = mkstemp(scene->path);
    assert_true(file >= 0);
    close(file);
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 3; k++) scene->position[i][k] = i + 0.1 * k;
        scene->mass[i] = 39.948;
        scene->species[i] = 18;
    }
    for (int k = 0; k < 3; k++) scene->box[k][k] = scene->diagonal[k] = 3 + k;
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    char lock[80];
    if (scene->file > 0) H5Fclose(scene->file);
    unlink(scene->path);
    snprintf(lock, sizeof lock, "%s.lock", scene->path);
    unlink(lock);
    free(scene);
    return 0;
}

static void ok(trajlog_status status)
{
    if (status != TRAJLOG_OK) fail_msg("%s: %s", trajlog_status_name(status), trajlog_message(NULL));
}

static void add(trajlog_group *group, const char *name, trajlog_shape shape, const double *data, const char *unit,
                trajlog_role role, trajlog_type stored)
{
    trajlog_field *field = trajlog_add_field(group, name, TRAJLOG_FLOAT64, shape, data, unit);
    ok(trajlog_store_as(field, stored));
    ok(trajlog_set_role(field, role, NULL));
}

static void declare(trajlog_writer *log, struct scene *scene, trajlog_profile profile, trajlog_type stored)
{
    trajlog_group *init = trajlog_add_group(log, "init", trajlog_once());
    add(init, "mass", TRAJLOG_SHAPE(N), scene->mass, "u", TRAJLOG_ROLE_MASS, TRAJLOG_FLOAT64);
    add(init, "charge", TRAJLOG_SHAPE(N), scene->charge, "e", TRAJLOG_ROLE_CHARGE, TRAJLOG_FLOAT64);
    trajlog_field *species = trajlog_add_field(init, "species", TRAJLOG_INT32, TRAJLOG_SHAPE(N), scene->species, NULL);
    ok(trajlog_set_role(species, TRAJLOG_ROLE_SPECIES, NULL));
    trajlog_group *group = trajlog_add_group(log, "trajectory", trajlog_every(1));
    add(group, "x", TRAJLOG_SHAPE(N, 3), scene->position[0], "nm", TRAJLOG_ROLE_POSITION, stored);
    add(group, "v", TRAJLOG_SHAPE(N, 3), scene->velocity[0], "nm ps-1", TRAJLOG_ROLE_VELOCITY, stored);
    add(group, "f", TRAJLOG_SHAPE(N, 3), scene->force[0], "kJ mol-1 nm-1", TRAJLOG_ROLE_FORCE, stored);
    if (profile == TRAJLOG_PROFILE_VECTOR)
        add(group, "box", TRAJLOG_SHAPE(3), scene->diagonal, "nm", TRAJLOG_ROLE_BOX_EDGES, stored);
    else add(group, "box", TRAJLOG_SHAPE(3, 3), scene->box[0], "nm", TRAJLOG_ROLE_BOX_EDGES, stored);
    add(group, "energy", TRAJLOG_SCALAR, &scene->energy, "kJ mol-1", TRAJLOG_ROLE_OBSERVABLE, TRAJLOG_FLOAT64);
    ok(trajlog_add_species(log, 18, "Ar", 18));
}

static void write_log(struct scene *scene, trajlog_profile profile, trajlog_type stored)
{
    trajlog_options options = trajlog_default_options();
    trajlog_writer *log = NULL;
    options.existing = TRAJLOG_REPLACE;
    options.profile = profile;
    ok(trajlog_create(&log, scene->path, &options));
    declare(log, scene, profile, stored);
    for (int64_t step = 0; step < FRAMES; step++) {
        scene->energy = (double)step;
        ok(trajlog_log(log, step, 0.5 * (double)step));
    }
    ok(trajlog_close(&log));
    scene->file = H5Fopen(scene->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(scene->file >= 0);
}

/* A dataset of exactly this native type and these dimensions. */
static void assert_dataset(struct scene *scene, const char *path, hid_t native, int rank, const hsize_t *dims)
{
    hsize_t found[8];
    hid_t dataset = H5Dopen2(scene->file, path, H5P_DEFAULT);
    if (dataset < 0) fail_msg("no dataset %s", path);
    hid_t type = H5Dget_type(dataset), memory = H5Tget_native_type(type, H5T_DIR_DEFAULT),
          space = H5Dget_space(dataset);
    if (H5Tequal(memory, native) <= 0) fail_msg("%s is of another type", path);
    if (H5Sget_simple_extent_dims(space, found, NULL) != rank) fail_msg("%s is of another rank", path);
    for (int i = 0; i < rank; i++) {
        if (found[i] != dims[i]) fail_msg("%s: %llu", path, (unsigned long long)found[i]);
    }
    H5Tclose(type);
    H5Tclose(memory);
    H5Sclose(space);
    H5Dclose(dataset);
}

/* ------------------------------------------------------------------------------------------------------- GROMACS --- */

/* H5mdTimeDataBlock: step int64, time double, value in the program's own precision, all of one length. The box is read
 * as [frames][3][3] of the same precision. */
static void expect_gromacs(struct scene *scene, hid_t real)
{
    static const char *const blocks[] = {"position", "velocity", "force"};
    const hsize_t frames[1] = {FRAMES}, vectors[3] = {FRAMES, N, 3}, edges[3] = {FRAMES, 3, 3};
    char path[80];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "/particles/system/%s/value", blocks[i]);
        assert_dataset(scene, path, real, 3, vectors);
        snprintf(path, sizeof path, "/particles/system/%s/step", blocks[i]);
        assert_dataset(scene, path, H5T_NATIVE_INT64, 1, frames);
        snprintf(path, sizeof path, "/particles/system/%s/time", blocks[i]);
        assert_dataset(scene, path, H5T_NATIVE_DOUBLE, 1, frames);
    }
    assert_dataset(scene, "/particles/system/box/edges/value", real, 3, edges);
    assert_dataset(scene, "/particles/system/box/edges/step", H5T_NATIVE_INT64, 1, frames);
}

static void gromacs_in_mixed_precision(void **state)
{
    write_log(*state, TRAJLOG_PROFILE_DEFAULT, TRAJLOG_FLOAT32);
    expect_gromacs(*state, H5T_NATIVE_FLOAT);
}

static void gromacs_in_double_precision(void **state)
{
    write_log(*state, TRAJLOG_PROFILE_DEFAULT, TRAJLOG_FLOAT64);
    expect_gromacs(*state, H5T_NATIVE_DOUBLE);
}

/* ----------------------------------------------------------------------------------------------------------- VMD --- */

struct discovery {
    int groups;
    char path[200];
};

/* The plugin visits every link, and takes each group that is called position and has a dataset value. */
static herr_t discover(hid_t location, const char *name, const H5L_info_t *info, void *context)
{
    struct discovery *discovery = context;
    char copy[200];
    (void)info;
    snprintf(copy, sizeof copy, "%s", name);
    if (strcmp(basename(copy), "position") != 0) return 0;
    hid_t object = H5Oopen(location, name, H5P_DEFAULT);
    bool is_group = object >= 0 && H5Iget_type(object) == H5I_GROUP;
    if (object >= 0) H5Oclose(object);
    if (!is_group) return 0;
    discovery->groups++;
    snprintf(discovery->path, sizeof discovery->path, "/%s", name);
    return 0;
}

static void vmd(void **state)
{
    struct scene *scene = *state;
    struct discovery discovery = {0, ""};
    const hsize_t vectors[3] = {FRAMES, N, 3}, edges[3] = {FRAMES, 3, 3}, particles[1] = {N}, species[1] = {1};
    write_log(scene, TRAJLOG_PROFILE_DEFAULT, TRAJLOG_FLOAT64);
    /* More than one would be taken for more particles: hard links must not multiply them. */
    assert_true(H5Lvisit(scene->file, H5_INDEX_NAME, H5_ITER_NATIVE, discover, &discovery) >= 0);
    assert_int_equal(discovery.groups, 1);
    assert_string_equal(discovery.path, "/particles/all/position");
    assert_dataset(scene, "/particles/all/position/value", H5T_NATIVE_DOUBLE, 3, vectors);
    assert_dataset(scene, "/particles/all/box/edges/value", H5T_NATIVE_DOUBLE, 3, edges);
    assert_dataset(scene, "/particles/all/species", H5T_NATIVE_INT32, 1, particles);
    assert_dataset(scene, "/particles/all/mass", H5T_NATIVE_DOUBLE, 1, particles);
    assert_dataset(scene, "/particles/all/charge", H5T_NATIVE_DOUBLE, 1, particles);
    /* Ids would have to count from 0 without gaps: better none. */
    assert_true(H5Lexists(scene->file, "/particles/all/id", H5P_DEFAULT) == 0);
    assert_dataset(scene, "/parameters/vmd_structure/indexOfSpecies", H5T_NATIVE_INT32, 1, species);
    assert_dataset(scene, "/parameters/vmd_structure/atomicnumber", H5T_NATIVE_INT32, 1, species);
}

/* The plugin reads texts as ASCII with room for a null byte; libhdf5 knows no way from UTF-8 to there. */
static void assert_vmd_texts(struct scene *scene, const char *path, const char *const *expected, hsize_t count)
{
    hsize_t found = 0;
    hid_t dataset = H5Dopen2(scene->file, path, H5P_DEFAULT);
    if (dataset < 0) fail_msg("no dataset %s", path);
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset), memory = H5Tcopy(H5T_C_S1);
    assert_true(H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0);
    assert_true(H5Sget_simple_extent_dims(space, &found, NULL) == 1 && found == count);
    const size_t size = H5Tget_size(type) + 1;
    char *texts = calloc(count, size);
    assert_true(H5Tset_size(memory, size) >= 0);
    if (H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, texts) < 0) fail_msg("VMD cannot read %s", path);
    for (size_t i = 0; i < count; i++) assert_string_equal(texts + i * size, expected[i]);
    free(texts);
    H5Tclose(memory);
    H5Tclose(type);
    H5Sclose(space);
    H5Dclose(dataset);
}

static void vmd_reads_names_of_species(void **state)
{
    static const char *const names[1] = {"Ar"};
    write_log(*state, TRAJLOG_PROFILE_DEFAULT, TRAJLOG_FLOAT64);
    assert_vmd_texts(*state, "/parameters/vmd_structure/name", names, 1);
    assert_vmd_texts(*state, "/parameters/vmd_structure/type", names, 1);
}

static trajlog_field *add_once(trajlog_group *group, const char *name, trajlog_type type, trajlog_shape shape,
                               const void *data, trajlog_role role)
{
    trajlog_field *field = trajlog_add_field(group, name, type, shape, data, NULL);
    if (field != NULL) ok(trajlog_set_role(field, role, NULL));
    return field;
}

/* A log with positions, to which a test adds a topology. */
static trajlog_writer *begin_topology(struct scene *scene, trajlog_group **topology)
{
    trajlog_options options = trajlog_default_options();
    trajlog_writer *log = NULL;
    options.existing = TRAJLOG_REPLACE;
    ok(trajlog_create(&log, scene->path, &options));
    trajlog_group *group = trajlog_add_group(log, "trajectory", trajlog_every(1));
    add(group, "x", TRAJLOG_SHAPE(N, 3), scene->position[0], "nm", TRAJLOG_ROLE_POSITION, TRAJLOG_FLOAT64);
    *topology = trajlog_add_group(log, "topology", trajlog_once());
    return log;
}

static void end_topology(struct scene *scene, trajlog_writer *log)
{
    ok(trajlog_log(log, 0, 0));
    ok(trajlog_close(&log));
    scene->file = H5Fopen(scene->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(scene->file >= 0);
}

static void assert_integers(struct scene *scene, const char *path, const int32_t *expected, hsize_t count)
{
    int32_t found[16];
    assert_dataset(scene, path, H5T_NATIVE_INT32, 1, &count);
    hid_t dataset = H5Dopen2(scene->file, path, H5P_DEFAULT);
    assert_true(H5Dread(dataset, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, found) >= 0);
    assert_memory_equal(found, expected, count * sizeof *found);
    H5Dclose(dataset);
}

/* It takes bonds from two lists of C ints, counted from 1; /connectivity it does not know. */
static void vmd_draws_bonds(void **state)
{
    struct scene *scene = *state;
    static const int64_t bonds[3][2] = {{0, 1}, {-1, -1}, {5, 6}}, angles[1][3] = {{0, 1, 2}}, others[1][2] = {{0, 1}};
    static const int16_t constraints[1][2] = {{2, 4}};
    const int32_t from[] = {1, 6, 3}, to[] = {2, 7, 5};
    trajlog_group *group = NULL;
    trajlog_writer *log = begin_topology(scene, &group);
    add_once(group, "bonds", TRAJLOG_INT64, TRAJLOG_SHAPE(3, 2), bonds, TRAJLOG_ROLE_BONDS);
    add_once(group, "constraints", TRAJLOG_INT16, TRAJLOG_SHAPE(1, 2), constraints, TRAJLOG_ROLE_BONDS);
    add_once(group, "angles", TRAJLOG_INT64, TRAJLOG_SHAPE(1, 3), angles, TRAJLOG_ROLE_BONDS);
    /* Those of other particles would be drawn between these. */
    trajlog_group *solvent = trajlog_add_group(log, "solvent", trajlog_every(1));
    trajlog_field *x = trajlog_add_field(solvent, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(2, 3), scene->force[0], "nm");
    ok(trajlog_set_role(x, TRAJLOG_ROLE_POSITION, "solvent"));
    trajlog_field *field = trajlog_add_field(group, "other", TRAJLOG_INT64, TRAJLOG_SHAPE(1, 2), others, NULL);
    ok(trajlog_set_role(field, TRAJLOG_ROLE_BONDS, "solvent"));
    end_topology(scene, log);
    assert_integers(scene, "/parameters/vmd_structure/bond_from", from, 3);
    assert_integers(scene, "/parameters/vmd_structure/bond_to", to, 3);
}

/* A topology that comes with a later run. */
static void vmd_draws_bonds_that_were_added(void **state)
{
    struct scene *scene = *state;
    static const int32_t bonds[2][2] = {{0, 1}, {1, 2}}, from[2] = {1, 2}, to[2] = {2, 3}, resid[N] = {0};
    static const char resname[1][4] = {"LIG"};
    trajlog_options options = trajlog_default_options();
    trajlog_writer *log = NULL;
    options.existing = TRAJLOG_REPLACE;
    ok(trajlog_create(&log, scene->path, &options));
    trajlog_group *group = trajlog_add_group(log, "trajectory", trajlog_every(1));
    add(group, "x", TRAJLOG_SHAPE(N, 3), scene->position[0], "nm", TRAJLOG_ROLE_POSITION, TRAJLOG_FLOAT64);
    ok(trajlog_log(log, 0, 0));
    ok(trajlog_close(&log));
    options.accept_additions = 1;
    for (int64_t step = 0; step < 2; step++) { /* in the third run, all is there already */
        ok(trajlog_resume(&log, scene->path, step, &options));
        group = trajlog_add_group(log, "trajectory", trajlog_every(1));
        add(group, "x", TRAJLOG_SHAPE(N, 3), scene->position[0], "nm", TRAJLOG_ROLE_POSITION, TRAJLOG_FLOAT64);
        group = trajlog_add_group(log, "topology", trajlog_once());
        add_once(group, "bonds", TRAJLOG_INT32, TRAJLOG_SHAPE(2, 2), bonds, TRAJLOG_ROLE_BONDS);
        add_once(group, "vmd_structure/resid", TRAJLOG_INT32, TRAJLOG_SHAPE(N), resid, TRAJLOG_ROLE_PARAMETER);
        add_once(group, "vmd_structure/resname", TRAJLOG_STRING(4), TRAJLOG_SHAPE(1), resname, TRAJLOG_ROLE_PARAMETER);
        ok(trajlog_log(log, step + 1, 1));
        ok(trajlog_close(&log));
    }
    scene->file = H5Fopen(scene->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(scene->file >= 0);
    assert_integers(scene, "/parameters/vmd_structure/bond_from", from, 2);
    assert_integers(scene, "/parameters/vmd_structure/bond_to", to, 2);
    assert_vmd_texts(scene, "/parameters/vmd_structure/resname", (const char *const[]){"LIG"}, 1);
}

/* What the program says itself is not said otherwise. */
static void vmd_draws_the_bonds_of_the_program(void **state)
{
    struct scene *scene = *state;
    static const int32_t bonds[1][2] = {{0, 1}}, from[2] = {3, 4}, to[2] = {5, 6};
    trajlog_group *group = NULL;
    trajlog_writer *log = begin_topology(scene, &group);
    add_once(group, "bonds", TRAJLOG_INT32, TRAJLOG_SHAPE(1, 2), bonds, TRAJLOG_ROLE_BONDS);
    add_once(group, "vmd_structure/bond_from", TRAJLOG_INT32, TRAJLOG_SHAPE(2), from, TRAJLOG_ROLE_PARAMETER);
    add_once(group, "vmd_structure/bond_to", TRAJLOG_INT32, TRAJLOG_SHAPE(2), to, TRAJLOG_ROLE_PARAMETER);
    end_topology(scene, log);
    assert_integers(scene, "/parameters/vmd_structure/bond_from", from, 2);
    assert_integers(scene, "/parameters/vmd_structure/bond_to", to, 2);
}

/* The row of a particle's residue in the lists of their names and chains. */
static void vmd_reads_names_of_residues(void **state)
{
    struct scene *scene = *state;
    static const int32_t resid[N] = {0, 0, 0, 1, 1, 1, 1};
    static const char resname[2][8] = {"SOL", {'L', 'I', 'G', 'A', 'N', 'D', 'E', 'N'}}, chain[2][2] = {"A", "B"};
    trajlog_group *group = NULL;
    trajlog_writer *log = begin_topology(scene, &group);
    add_once(group, "vmd_structure/resid", TRAJLOG_INT32, TRAJLOG_SHAPE(N), resid, TRAJLOG_ROLE_PARAMETER);
    add_once(group, "vmd_structure/resname", TRAJLOG_STRING(8), TRAJLOG_SHAPE(2), resname, TRAJLOG_ROLE_PARAMETER);
    add_once(group, "vmd_structure/chain", TRAJLOG_STRING(2), TRAJLOG_SHAPE(2), chain, TRAJLOG_ROLE_PARAMETER);
    end_topology(scene, log);
    assert_integers(scene, "/parameters/vmd_structure/resid", resid, N);
    assert_vmd_texts(scene, "/parameters/vmd_structure/resname", (const char *const[]){"SOL", "LIGANDEN"}, 2);
    assert_vmd_texts(scene, "/parameters/vmd_structure/chain", (const char *const[]){"A", "B"}, 2);
}

static void refuse_vmd_list(struct scene *scene, const char *name, trajlog_type type, trajlog_shape shape,
                            const char *expected)
{
    static const char data[64];
    trajlog_group *group = NULL;
    trajlog_writer *log = begin_topology(scene, &group);
    add_once(group, name, type, shape, data, TRAJLOG_ROLE_PARAMETER);
    assert_int_equal(trajlog_log(log, 0, 0), TRAJLOG_INVALID_ARGUMENT);
    if (strstr(trajlog_message(log), expected) == NULL) fail_msg("%s", trajlog_message(log));
    assert_int_equal(trajlog_close(&log), TRAJLOG_INVALID_ARGUMENT);
}

static void lists_that_vmd_would_misread_are_refused(void **state)
{
    refuse_vmd_list(*state, "vmd_structure/resid", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(N), "reads integers [N]");
    refuse_vmd_list(*state, "vmd_structure/resname", TRAJLOG_INT32, TRAJLOG_SHAPE(2), "reads strings [R]");
    refuse_vmd_list(*state, "vmd_structure/bond_to", TRAJLOG_INT32, TRAJLOG_SHAPE(2, 2), "counted from 1");
}

/* --------------------------------------------------------------------------------------------------------- NOMAD --- */

/* Its parser takes an observable without the attribute `type` for a group of observables, and fails in it. */
static void nomad(void **state)
{
    struct scene *scene = *state;
    const hsize_t frames[1] = {FRAMES}, particles[1] = {N};
    char *type = NULL;
    write_log(scene, TRAJLOG_PROFILE_DEFAULT, TRAJLOG_FLOAT64);
    assert_dataset(scene, "/particles/all/position/step", H5T_NATIVE_INT64, 1, frames);
    assert_dataset(scene, "/particles/all/mass", H5T_NATIVE_DOUBLE, 1, particles);
    assert_dataset(scene, "/observables/energy/value", H5T_NATIVE_DOUBLE, 1, frames);
    hid_t attribute = H5Aopen_by_name(scene->file, "/observables/energy", "type", H5P_DEFAULT, H5P_DEFAULT);
    hid_t text = H5Aget_type(attribute);
    assert_true(H5Aread(attribute, text, &type) >= 0);
    assert_string_equal(type, "configurational");
    free(type);
    H5Tclose(text);
    H5Aclose(attribute);
}

/* --------------------------------------------------------------------------------------------------------- VOTCA --- */

/* H5MDTrajectoryReader reads attributes into C ints by their own type, and a row of three edges. */
static void votca(void **state)
{
    struct scene *scene = *state;
    int version[2] = {0, 0}, dimension = 0;
    const hsize_t edges[2] = {FRAMES, 3}, vectors[3] = {FRAMES, N, 3};
    write_log(scene, TRAJLOG_PROFILE_VECTOR, TRAJLOG_FLOAT64);
    hid_t attribute = H5Aopen_by_name(scene->file, "/h5md", "version", H5P_DEFAULT, H5P_DEFAULT);
    hid_t type = H5Aget_type(attribute);
    assert_int_equal(H5Tget_size(type), sizeof version[0]);
    assert_true(H5Aread(attribute, type, version) >= 0);
    assert_true(version[0] == 1 && version[1] == 1);
    H5Tclose(type);
    H5Aclose(attribute);
    attribute = H5Aopen_by_name(scene->file, "/particles/all/box", "dimension", H5P_DEFAULT, H5P_DEFAULT);
    type = H5Aget_type(attribute);
    assert_int_equal(H5Tget_size(type), sizeof dimension);
    assert_true(H5Aread(attribute, type, &dimension) >= 0);
    assert_int_equal(dimension, 3);
    H5Tclose(type);
    H5Aclose(attribute);
    assert_dataset(scene, "/particles/all/box/edges/value", H5T_NATIVE_DOUBLE, 2, edges);
    assert_dataset(scene, "/particles/all/position/value", H5T_NATIVE_DOUBLE, 3, vectors);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    TEST(gromacs_in_mixed_precision),
    TEST(gromacs_in_double_precision),
    TEST(vmd),
    TEST(vmd_reads_names_of_species),
    TEST(vmd_draws_bonds),
    TEST(vmd_draws_bonds_that_were_added),
    TEST(vmd_draws_the_bonds_of_the_program),
    TEST(vmd_reads_names_of_residues),
    TEST(lists_that_vmd_would_misread_are_refused),
    TEST(nomad),
    TEST(votca),
};
TEST_MAIN(tests)
