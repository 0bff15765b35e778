/* Writes a log with H5MD roles that tests can compute again:
 *
 *     h5md_log FILE [PROFILE [FLAG...]]
 *
 * PROFILE: default, znh5md, vector, strict. Flags: "float" stores vectors and box as float32; "still": no velocities; "reduced": no units; "static-box" (strict);
 * "triclinic"; "slab": not periodic in z; "two": a second particles group; "flat": two dimensions; "bonds"; "angstrom";
 * "time=U", "length=U", "velocity=U", "force=U": with this unit; "nothing": no box; "kill": ends without closing, after a flush; "wait": flushes, prints a line, and waits for one.
 *
 * 20 particles, 50 steps, a trajectory row every 5 and energies at each. All is made by value(): see its twin in
 * test_h5md_readers.py. */
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trajlog.h"

#define N     20
#define STEPS 50

/* A number with a full mantissa that depends on all arguments, exactly the same in Python. */
static double value(int64_t what, int64_t step, int64_t index)
{
    uint64_t bits = (uint64_t)what * 0x9e3779b97f4a7c15u + (uint64_t)step * 0xc2b2ae3d27d4eb4fu +
                    (uint64_t)index * 0x165667b19e3779f9u;
    bits ^= bits >> 29;
    bits *= 0xbf58476d1ce4e5b9u;
    bits ^= bits >> 32;
    return (double)(bits >> 11) / 9007199254740992.0;
}

struct state {
    double position[N][3], velocity[N][3], force[N][3], flat[N][2];
    double box[3][3], diagonal[3], flat_box[2][2], energy, temperature;
    int32_t image[N][3], species[N], bonds[N - 1][2];
    double mass[N], charge[N], solvent[5][3];
    char symbol[N][4];
};

static int flag_count;
static char **flag_list;

static bool flag(const char *name)
{
    for (int i = 0; i < flag_count; i++) {
        if (strcmp(flag_list[i], name) == 0) return true;
    }
    return false;
}

/* The unit that "length=nm" names. */
static const char *unit(const char *quantity, const char *otherwise)
{
    const size_t length = strlen(quantity);
    for (int i = 0; i < flag_count; i++) {
        if (strncmp(flag_list[i], quantity, length) == 0 && flag_list[i][length] == '=')
            return flag_list[i] + length + 1;
    }
    return otherwise;
}

static void set_step(struct state *state, int64_t step)
{
    for (int i = 0; i < 3 * N; i++) {
        state->position[i / 3][i % 3] = value(1, step, i);
        state->velocity[i / 3][i % 3] = value(2, step, i) - 0.5;
        state->force[i / 3][i % 3] = 100 * (value(3, step, i) - 0.5);
        state->image[i / 3][i % 3] = (int32_t)(10 * value(4, step, i)) - 5;
        if (i % 3 < 2) state->flat[i / 3][i % 3] = value(1, step, i);
        if (i < 15) state->solvent[i / 3][i % 3] = value(5, step, i);
    }
    for (int k = 0; k < 3; k++) state->box[k][k] = state->diagonal[k] = 3 + k + value(6, step, k);
    if (flag("triclinic")) {
        state->box[1][0] = value(7, step, 0);
        state->box[2][0] = value(7, step, 1);
        state->box[2][1] = value(7, step, 2);
    }
    state->flat_box[0][0] = state->box[0][0];
    state->flat_box[1][1] = state->box[1][1];
    state->energy = value(8, step, 0);
    state->temperature = 300 * value(9, step, 0);
}

static void set_once(struct state *state)
{
    for (int i = 0; i < N; i++) {
        state->mass[i] = i % 2 ? 15.999 : 1.008;
        state->charge[i] = i % 2 ? -0.8 : 0.4;
        state->species[i] = i % 2 ? 8 : 1;
        strcpy(state->symbol[i], i % 2 ? "O" : "H");
        if (i + 1 < N) {
            state->bonds[i][0] = i;
            state->bonds[i][1] = i + 1;
        }
    }
}

static trajlog_field *add(trajlog_group *group, const char *name, trajlog_type type, trajlog_shape shape,
                          const void *data, const char *unit, trajlog_role role, const char *particles)
{
    trajlog_field *field = trajlog_add_field(group, name, type, shape, data, flag("reduced") ? NULL : unit);
    if (field != NULL && flag("float") && type == TRAJLOG_FLOAT64 && shape.rank == 2)
        trajlog_store_as(field, TRAJLOG_FLOAT32);
    if (field != NULL) trajlog_set_role(field, role, particles);
    return field;
}

static void declare_fixed(trajlog_writer *log, trajlog_profile profile, struct state *state)
{
    trajlog_group *init = trajlog_add_group(log, "init", trajlog_once());
    add(init, "mass", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(N), state->mass, "u", TRAJLOG_ROLE_MASS, NULL);
    add(init, "charge", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(N), state->charge, "e", TRAJLOG_ROLE_CHARGE, NULL);
    add(init, "symbol", TRAJLOG_STRING(4), TRAJLOG_SHAPE(N), state->symbol, NULL, TRAJLOG_ROLE_SPECIES_LABEL, NULL);
    if (profile != TRAJLOG_PROFILE_ZNH5MD)
        add(init, "species", TRAJLOG_INT32, TRAJLOG_SHAPE(N), state->species, NULL, TRAJLOG_ROLE_SPECIES, NULL);
    if (flag("static-box"))
        add(init, "box", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3, 3), state->box, "nm", TRAJLOG_ROLE_BOX_EDGES, NULL);
    if (flag("bonds"))
        add(init, "bonds", TRAJLOG_INT32, TRAJLOG_SHAPE(N - 1, 2), state->bonds, NULL, TRAJLOG_ROLE_BONDS, NULL);
    trajlog_add_species(log, 1, "H", 1);
    trajlog_add_species(log, 8, "O", 8);
}

static void declare_trajectory(trajlog_writer *log, trajlog_profile profile, struct state *state)
{
    const bool angstrom = flag("angstrom");
    const char *length = unit("length", angstrom ? "Angstrom" : "nm");
    const trajlog_type real = TRAJLOG_FLOAT64;
    trajlog_group *group = trajlog_add_group(log, "trajectory", trajlog_every(5));
    if (flag("flat")) {
        add(group, "x", real, TRAJLOG_SHAPE(N, 2), state->flat, length, TRAJLOG_ROLE_POSITION, NULL);
        add(group, "box", real, TRAJLOG_SHAPE(2, 2), state->flat_box, length, TRAJLOG_ROLE_BOX_EDGES, NULL);
        return;
    }
    add(group, "x", real, TRAJLOG_SHAPE(N, 3), state->position, length, TRAJLOG_ROLE_POSITION, NULL);
    if (!flag("still"))
        add(group, "v", real, TRAJLOG_SHAPE(N, 3), state->velocity,
            unit("velocity", angstrom ? "Angstrom ps-1" : "nm ps-1"), TRAJLOG_ROLE_VELOCITY, NULL);
    add(group, "f", real, TRAJLOG_SHAPE(N, 3), state->force,
        unit("force", angstrom ? "kJ mol-1 Angstrom-1" : "kJ mol-1 nm-1"), TRAJLOG_ROLE_FORCE, NULL);
    if (profile == TRAJLOG_PROFILE_ZNH5MD)
        add(group, "species", TRAJLOG_INT32, TRAJLOG_SHAPE(N), state->species, NULL, TRAJLOG_ROLE_SPECIES, NULL);
    else add(group, "image", TRAJLOG_INT32, TRAJLOG_SHAPE(N, 3), state->image, NULL, TRAJLOG_ROLE_IMAGE, NULL);
    if (profile == TRAJLOG_PROFILE_VECTOR)
        add(group, "box", real, TRAJLOG_SHAPE(3), state->diagonal, length, TRAJLOG_ROLE_BOX_EDGES, NULL);
    else if (!flag("static-box") && !flag("nothing"))
        add(group, "box", real, TRAJLOG_SHAPE(3, 3), state->box, length, TRAJLOG_ROLE_BOX_EDGES, NULL);
    add(group, "temperature", real, TRAJLOG_SCALAR, &state->temperature, "K", TRAJLOG_ROLE_OBSERVABLE, NULL);
}

static void declare(trajlog_writer *log, trajlog_profile profile, struct state *state)
{
    static const int32_t slab[3] = {1, 1, 0};
    declare_fixed(log, profile, state);
    declare_trajectory(log, profile, state);
    trajlog_group *thermo = trajlog_add_group(log, "thermo", trajlog_every(1));
    add(thermo, "energy/potential", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &state->energy, "kJ mol-1",
        TRAJLOG_ROLE_OBSERVABLE, NULL);
    if (flag("slab")) trajlog_set_boundary(log, NULL, 3, slab);
    if (!flag("two")) return;
    trajlog_group *other = trajlog_add_group(log, "other", trajlog_every(10));
    add(other, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(5, 3), state->solvent, "nm", TRAJLOG_ROLE_POSITION, "Solvent");
}

static trajlog_profile profile_named(const char *name)
{
    static const char *const names[] = {"default", "znh5md", "vector", "strict"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(names[i], name) == 0) return (trajlog_profile)i;
    }
    fprintf(stderr, "no such profile: %s\n", name);
    exit(100);
}

int main(int argc, char **argv)
{
    static struct state state;
    trajlog_options options = trajlog_default_options();
    trajlog_writer *log = NULL;
    flag_count = argc > 3 ? argc - 3 : 0;
    flag_list = argv + 3;
    options.profile = profile_named(argc > 2 ? argv[2] : "default");
    options.time_unit = unit("time", NULL);
    options.author = "A. Nother";
    options.program = "h5md_log";
    options.program_version = "1.2";
    options.existing = TRAJLOG_REPLACE;
    trajlog_create(&log, argv[1], &options);
    set_once(&state);
    set_step(&state, 0);
    declare(log, options.profile, &state);
    for (int64_t step = 0; step < STEPS; step++) {
        set_step(&state, step);
        if (trajlog_log(log, step, (double)step * 0.002) != TRAJLOG_OK) break;
    }
    if (flag("kill") || flag("wait")) trajlog_flush(log);
    if (flag("kill")) raise(SIGKILL);
    if (flag("wait")) {
        puts("written");
        fflush(stdout);
        if (getchar() == EOF) fputs("nobody told us to go on\n", stderr);
    }
    if (trajlog_message(log)[0] != '\0') fprintf(stderr, "%s\n", trajlog_message(log));
    return (int)trajlog_close(&log);
}
