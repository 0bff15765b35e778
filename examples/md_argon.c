/* md_argon: molecular dynamics of liquid argon, logged with trajlog.
 *
 *     md_argon --atoms 1000 --steps 1000 --every 10 --out argon.h5
 *
 * Lennard-Jones atoms in a periodic box, velocity Verlet, cell lists, constant energy. The potential is truncated at
 * 2.5 sigma and shifted so that energy and force go to zero there together, which keeps the total energy. Units are nm,
 * ps, u and, made of these, kJ/mol. Parameters and state point are those of A. Rahman, Phys. Rev. 136, A405 (1964).
 *
 *     md_argon --resume --atoms 1000 --steps 1000 --every 10 --out argon.h5
 *
 * Everything about logging is in declare_log() and in run(), and about going on after the process was killed in restore()
 * and open_log(). A run logs the steps 0, the initial state, to --steps. One
 * thread computes and takes its random numbers from --seed, so that a run repeats to the last bit; a log that fails is
 * reported, and changes nothing in the simulation. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "progress_bar.h"
#include "random.h"
#include "trajlog.h"

#define BOLTZMANN     0.00831446261815324 /* kJ/mol/K */
#define BAR           16.6053906717385    /* bar in one kJ/mol/nm^3 */
#define SIGMA         0.34                /* nm */
#define EPSILON       (120 * BOLTZMANN)   /* kJ/mol */
#define CUTOFF        (2.5 * SIGMA)
#define ARGON_MASS    39.948 /* u */
#define ARGON_NUMBER  18     /* in the periodic table */
#define DENSITY       20.71  /* atoms per nm^3: 1.374 g/cm^3 */
#define TEMPERATURE   94.4   /* K */
#define TIME_STEP     0.004  /* ps */
#define MAXIMUM_ATOMS 100000000

struct arguments {
    int64_t atoms, steps, every, checkpoint;
    uint64_t seed;
    double temperature;
    const char *out, *config;
    bool quiet, synchronous, replace, resume, without_log, checksum;
};

struct thermo {
    double potential_energy, kinetic_energy, total_energy, temperature, pressure;
};

/* Cells at least a cutoff wide; each is a chain of atoms: first[cell], next[atom], ..., -1. */
struct cells {
    int64_t count[3];
    int64_t *first, *next;
};

struct simulation {
    int64_t atoms;
    double edge[3];                      /* of the box, which begins at 0 */
    double cutoff, cutoff_energy, slope; /* the potential and its derivative at the cutoff */
    double *position, *velocity, *force; /* [atoms][3] */
    double *mass, *charge;               /* [atoms] */
    int32_t *species;                    /* [atoms] */
    double box[3][3];                    /* the edges as vectors */
    double virial;                       /* sum of r.f over the pairs */
    struct thermo thermo;
    struct cells cells;
    struct random random;
};

/* ---------------------------------------------------------------------------------------------------------------------
 * Forces
 * ------------------------------------------------------------------------------------------------------------------ */

/* The shortest way to the nearest image; both ends are in the box. */
static inline double nearest(double distance, double edge)
{
    if (distance > 0.5 * edge) return distance - edge;
    if (distance < -0.5 * edge) return distance + edge;
    return distance;
}

/* Adds what the atoms i and j do to each other. */
static inline void add_pair(struct simulation *simulation, int64_t i, int64_t j)
{
    const double *a = simulation->position + 3 * i, *b = simulation->position + 3 * j;
    double d[3], square = 0;
    for (int k = 0; k < 3; k++) {
        d[k] = nearest(a[k] - b[k], simulation->edge[k]);
        square += d[k] * d[k];
    }
    if (square >= simulation->cutoff * simulation->cutoff) return;

    double r = sqrt(square);
    double inverse = SIGMA * SIGMA / square;
    double sixth = inverse * inverse * inverse;
    double energy = 4 * EPSILON * sixth * (sixth - 1);
    double slope = -24 * EPSILON * sixth * (2 * sixth - 1) / r;
    simulation->thermo.potential_energy +=
        energy - simulation->cutoff_energy - (r - simulation->cutoff) * simulation->slope;
    double strength = (simulation->slope - slope) / r;
    simulation->virial += strength * square;
    for (int k = 0; k < 3; k++) {
        simulation->force[3 * i + k] += strength * d[k];
        simulation->force[3 * j + k] -= strength * d[k];
    }
}

static void fill_cells(struct simulation *simulation)
{
    struct cells *cells = &simulation->cells;
    int64_t total = cells->count[0] * cells->count[1] * cells->count[2];
    for (int64_t cell = 0; cell < total; cell++) cells->first[cell] = -1;
    for (int64_t i = 0; i < simulation->atoms; i++) {
        int64_t place[3];
        for (int k = 0; k < 3; k++) {
            place[k] = (int64_t)(simulation->position[3 * i + k] / simulation->edge[k] * (double)cells->count[k]);
            if (place[k] >= cells->count[k]) place[k] = cells->count[k] - 1; /* rounded up */
        }
        int64_t cell = (place[0] * cells->count[1] + place[1]) * cells->count[2] + place[2];
        cells->next[i] = cells->first[cell];
        cells->first[cell] = i;
    }
}

/* Adds the pairs of one cell with itself and with half of its 26 neighbours: the other half count it as theirs. */
static void add_cell(struct simulation *simulation, int64_t x, int64_t y, int64_t z)
{
    const struct cells *cells = &simulation->cells;
    const int64_t *count = cells->count;
    int64_t first = cells->first[(x * count[1] + y) * count[2] + z];
    for (int64_t i = first; i >= 0; i = cells->next[i])
        for (int64_t j = cells->next[i]; j >= 0; j = cells->next[j]) add_pair(simulation, i, j);

    for (int neighbour = 14; neighbour < 27; neighbour++) { /* 13 is the cell itself */
        int64_t nx = (x + neighbour / 9 - 1 + count[0]) % count[0];
        int64_t ny = (y + neighbour / 3 % 3 - 1 + count[1]) % count[1];
        int64_t nz = (z + neighbour % 3 - 1 + count[2]) % count[2];
        int64_t other = cells->first[(nx * count[1] + ny) * count[2] + nz];
        for (int64_t i = first; i >= 0; i = cells->next[i])
            for (int64_t j = other; j >= 0; j = cells->next[j]) add_pair(simulation, i, j);
    }
}

/* Forces, potential energy and virial. A box of fewer than three cells in a direction meets a neighbour twice there, so
 * it takes all pairs. */
static void compute_forces(struct simulation *simulation)
{
    const int64_t *count = simulation->cells.count;
    memset(simulation->force, 0, (size_t)simulation->atoms * sizeof(double[3]));
    simulation->thermo.potential_energy = 0;
    simulation->virial = 0;
    if (count[0] < 3 || count[1] < 3 || count[2] < 3) {
        for (int64_t i = 0; i < simulation->atoms; i++)
            for (int64_t j = i + 1; j < simulation->atoms; j++) add_pair(simulation, i, j);
        return;
    }
    fill_cells(simulation);
    for (int64_t x = 0; x < count[0]; x++)
        for (int64_t y = 0; y < count[1]; y++)
            for (int64_t z = 0; z < count[2]; z++) add_cell(simulation, x, y, z);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Motion
 * ------------------------------------------------------------------------------------------------------------------ */

/* The momentum is zero from the start, which leaves three degrees of freedom less. */
static double degrees_of_freedom(const struct simulation *simulation)
{
    return simulation->atoms > 1 ? 3.0 * (double)simulation->atoms - 3 : 3;
}

static void compute_thermo(struct simulation *simulation)
{
    struct thermo *thermo = &simulation->thermo;
    double twice_kinetic = 0;
    for (int64_t i = 0; i < simulation->atoms; i++) {
        const double *v = simulation->velocity + 3 * i;
        twice_kinetic += simulation->mass[i] * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    }
    double volume = simulation->edge[0] * simulation->edge[1] * simulation->edge[2];
    thermo->kinetic_energy = 0.5 * twice_kinetic;
    thermo->total_energy = thermo->potential_energy + thermo->kinetic_energy;
    thermo->temperature = twice_kinetic / (degrees_of_freedom(simulation) * BOLTZMANN);
    thermo->pressure = (twice_kinetic + simulation->virial) / (3 * volume) * BAR;
}

static void half_kick(struct simulation *simulation)
{
    for (int64_t i = 0; i < simulation->atoms; i++) {
        double factor = 0.5 * TIME_STEP / simulation->mass[i];
        for (int k = 0; k < 3; k++) simulation->velocity[3 * i + k] += factor * simulation->force[3 * i + k];
    }
}

static void drift(struct simulation *simulation)
{
    for (int64_t i = 0; i < simulation->atoms; i++)
        for (int k = 0; k < 3; k++) {
            double x = simulation->position[3 * i + k] + TIME_STEP * simulation->velocity[3 * i + k];
            simulation->position[3 * i + k] = x - simulation->edge[k] * floor(x / simulation->edge[k]);
        }
}

/* One step of velocity Verlet. */
static void integrate(struct simulation *simulation)
{
    half_kick(simulation);
    drift(simulation);
    compute_forces(simulation);
    half_kick(simulation);
    compute_thermo(simulation);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The initial state
 * ------------------------------------------------------------------------------------------------------------------ */

/* A face-centred cubic lattice of the liquid's density, nearly a cube, its sites filled up to the number of atoms. */
static void place_atoms(struct simulation *simulation)
{
    static const double corner[4][3] = {{0.25, 0.25, 0.25}, {0.75, 0.75, 0.25}, {0.75, 0.25, 0.75}, {0.25, 0.75, 0.75}};
    const double lattice_constant = cbrt(4 / DENSITY);
    int64_t needed = (simulation->atoms + 3) / 4, count[3];
    count[0] = 1;
    while (count[0] * count[0] * count[0] < needed) count[0]++;
    count[1] = 1;
    while (count[0] * count[1] * count[1] < needed) count[1]++;
    count[2] = (needed + count[0] * count[1] - 1) / (count[0] * count[1]);
    for (int k = 0; k < 3; k++) simulation->edge[k] = (double)count[k] * lattice_constant;
    for (int64_t i = 0; i < simulation->atoms; i++) {
        int64_t cell = i / 4;
        int64_t place[3] = {cell / count[2] / count[1], cell / count[2] % count[1], cell % count[2]};
        for (int k = 0; k < 3; k++)
            simulation->position[3 * i + k] = ((double)place[k] + corner[i % 4][k]) * lattice_constant;
    }
}

/* Maxwell's velocities, without a total momentum, and of exactly this temperature. */
static void draw_velocities(struct simulation *simulation, double temperature)
{
    double mean[3] = {0, 0, 0};
    for (int64_t i = 0; i < simulation->atoms; i++)
        for (int k = 0; k < 3; k++) {
            simulation->velocity[3 * i + k] = random_normal(&simulation->random);
            mean[k] += simulation->velocity[3 * i + k] / (double)simulation->atoms;
        }
    double twice_kinetic = 0;
    for (int64_t i = 0; i < simulation->atoms; i++)
        for (int k = 0; k < 3; k++) {
            double *v = simulation->velocity + 3 * i + k;
            if (simulation->atoms > 1) *v -= mean[k];
            twice_kinetic += simulation->mass[i] * *v * *v;
        }
    double scale = sqrt(degrees_of_freedom(simulation) * BOLTZMANN * temperature / twice_kinetic);
    for (int64_t i = 0; i < 3 * simulation->atoms; i++) simulation->velocity[i] *= scale;
}

static void shift_potential(struct simulation *simulation)
{
    simulation->cutoff = CUTOFF;
    for (int k = 0; k < 3; k++) simulation->cutoff = fmin(simulation->cutoff, 0.5 * simulation->edge[k]);
    double sixth = pow(SIGMA / simulation->cutoff, 6);
    simulation->cutoff_energy = 4 * EPSILON * sixth * (sixth - 1);
    simulation->slope = -24 * EPSILON * sixth * (2 * sixth - 1) / simulation->cutoff;
}

static void free_simulation(struct simulation *simulation)
{
    free(simulation->position);
    free(simulation->velocity);
    free(simulation->force);
    free(simulation->mass);
    free(simulation->charge);
    free(simulation->species);
    free(simulation->cells.first);
    free(simulation->cells.next);
}

static bool make_cells(struct simulation *simulation)
{
    struct cells *cells = &simulation->cells;
    int64_t total = 1;
    for (int k = 0; k < 3; k++) {
        cells->count[k] = (int64_t)(simulation->edge[k] / simulation->cutoff);
        total *= cells->count[k];
    }
    cells->first = calloc((size_t)total, sizeof *cells->first);
    cells->next = calloc((size_t)simulation->atoms, sizeof *cells->next);
    return cells->first != NULL && cells->next != NULL;
}

static bool make_simulation(struct simulation *simulation, const struct arguments *arguments)
{
    size_t atoms = (size_t)arguments->atoms;
    simulation->atoms = arguments->atoms;
    simulation->position = calloc(atoms, sizeof(double[3]));
    simulation->velocity = calloc(atoms, sizeof(double[3]));
    simulation->force = calloc(atoms, sizeof(double[3]));
    simulation->mass = calloc(atoms, sizeof *simulation->mass);
    simulation->charge = calloc(atoms, sizeof *simulation->charge);
    simulation->species = calloc(atoms, sizeof *simulation->species);
    if (simulation->position == NULL || simulation->velocity == NULL || simulation->force == NULL ||
        simulation->mass == NULL || simulation->charge == NULL || simulation->species == NULL)
        return false;
    for (size_t i = 0; i < atoms; i++) {
        simulation->mass[i] = ARGON_MASS;
        simulation->species[i] = ARGON_NUMBER;
    }
    random_seed(&simulation->random, arguments->seed);
    place_atoms(simulation);
    for (int k = 0; k < 3; k++) simulation->box[k][k] = simulation->edge[k];
    draw_velocities(simulation, arguments->temperature);
    shift_potential(simulation);
    if (!make_cells(simulation)) return false;
    compute_forces(simulation);
    compute_thermo(simulation);
    return true;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Checksums: of the bytes that the simulation hands over, to compare a file with
 * ------------------------------------------------------------------------------------------------------------------ */

struct checked_field {
    const char *group, *field;
    const void *data;
    size_t bytes;  /* of one frame */
    int64_t every; /* 0: once */
    int64_t rows;
    uint32_t crc;
};

#define MAXIMUM_CHECKED 13
struct checksums {
    struct checked_field fields[MAXIMUM_CHECKED];
    int count;
};

/* CRC-32 as in zlib and PNG (ISO 3309), continued from `crc`, which begins at 0. */
static uint32_t crc32(uint32_t crc, const void *data, size_t bytes)
{
    static uint32_t table[256];
    if (table[1] == 0)
        for (uint32_t i = 0; i < 256; i++) {
            table[i] = i;
            for (int bit = 0; bit < 8; bit++) table[i] = (table[i] >> 1) ^ (table[i] & 1 ? 0xedb88320u : 0);
        }
    const unsigned char *byte = data;
    crc = ~crc;
    for (size_t i = 0; i < bytes; i++) crc = table[(crc ^ byte[i]) & 0xff] ^ (crc >> 8);
    return ~crc;
}

static void check_field(struct checksums *checksums, const char *group, const char *field, const void *data,
                        size_t bytes, int64_t every)
{
    checksums->fields[checksums->count++] = (struct checked_field){group, field, data, bytes, every, 0, 0};
}

static void declare_checksums(struct checksums *checksums, const struct simulation *simulation, int64_t every)
{
    size_t n = (size_t)simulation->atoms;
    check_field(checksums, "init", "mass", simulation->mass, n * sizeof(double), 0);
    check_field(checksums, "init", "species", simulation->species, n * sizeof(int32_t), 0);
    check_field(checksums, "init", "charge", simulation->charge, n * sizeof(double), 0);
    check_field(checksums, "init", "box", simulation->box, sizeof simulation->box, 0);
    check_field(checksums, "trajectory", "position", simulation->position, n * sizeof(double[3]), every);
    check_field(checksums, "trajectory", "velocity", simulation->velocity, n * sizeof(double[3]), every);
    check_field(checksums, "trajectory", "force", simulation->force, n * sizeof(double[3]), every);
    check_field(checksums, "trajectory", "box", simulation->box, sizeof simulation->box, every);
    check_field(checksums, "thermo", "potential_energy", &simulation->thermo.potential_energy, sizeof(double), 1);
    check_field(checksums, "thermo", "kinetic_energy", &simulation->thermo.kinetic_energy, sizeof(double), 1);
    check_field(checksums, "thermo", "total_energy", &simulation->thermo.total_energy, sizeof(double), 1);
    check_field(checksums, "thermo", "temperature", &simulation->thermo.temperature, sizeof(double), 1);
    check_field(checksums, "thermo", "pressure", &simulation->thermo.pressure, sizeof(double), 1);
}

static void add_checksums(struct checksums *checksums, int64_t step)
{
    for (int i = 0; i < checksums->count; i++) {
        struct checked_field *field = &checksums->fields[i];
        if (field->every == 0 ? step > 0 : step % field->every != 0) continue;
        field->crc = crc32(field->crc, field->data, field->bytes);
        field->rows++;
    }
}

/* One line of JSON for each field, and one for the state in which the run ended. */
static void print_checksums(const struct checksums *checksums, const struct simulation *simulation, int64_t step)
{
    for (int i = 0; i < checksums->count; i++) {
        const struct checked_field *field = &checksums->fields[i];
        printf("{\"group\": \"%s\", \"field\": \"%s\", \"rows\": %" PRId64 ", \"bytes\": %" PRId64
               ", \"crc32\": \"%08" PRIx32 "\"}\n",
               field->group, field->field, field->rows, field->rows * (int64_t)field->bytes, field->crc);
    }
    uint32_t crc = crc32(0, simulation->position, (size_t)simulation->atoms * sizeof(double[3]));
    crc = crc32(crc, simulation->velocity, (size_t)simulation->atoms * sizeof(double[3]));
    printf("{\"state\": \"final\", \"step\": %" PRId64 ", \"crc32\": \"%08" PRIx32 "\"}\n", step, crc);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Logging
 * ------------------------------------------------------------------------------------------------------------------ */

/* A field, and what it is to programs that read H5MD files. */
static void add(trajlog_group *group, const char *name, trajlog_type type, trajlog_shape shape, const void *data,
                const char *unit, trajlog_role role)
{
    (void)trajlog_set_role(trajlog_add_field(group, name, type, shape, data, unit), role, NULL);
}

static void declare_energies(trajlog_writer *log, struct thermo *now)
{
    const trajlog_type real = TRAJLOG_FLOAT64;
    const trajlog_role role = TRAJLOG_ROLE_OBSERVABLE;
    trajlog_group *thermo = trajlog_add_group(log, "thermo", trajlog_every(1));
    add(thermo, "potential_energy", real, TRAJLOG_SCALAR, &now->potential_energy, "kJ mol-1", role);
    add(thermo, "kinetic_energy", real, TRAJLOG_SCALAR, &now->kinetic_energy, "kJ mol-1", role);
    add(thermo, "total_energy", real, TRAJLOG_SCALAR, &now->total_energy, "kJ mol-1", role);
    add(thermo, "temperature", real, TRAJLOG_SCALAR, &now->temperature, "K", role);
    add(thermo, "pressure", real, TRAJLOG_SCALAR, &now->pressure, "bar", role);
}

/* Says what is logged and how often. Nothing needs a check here: the first error returns from the first trajlog_log.
 * The box never changes, but programs that read H5MD files look for it in every frame. */
static void declare_log(trajlog_writer *log, struct simulation *simulation, int64_t every)
{
    const int64_t n = simulation->atoms;
    const trajlog_type real = TRAJLOG_FLOAT64;
    const trajlog_shape vectors = TRAJLOG_SHAPE(n, 3), matrix = TRAJLOG_SHAPE(3, 3);

    trajlog_group *init = trajlog_add_group(log, "init", trajlog_once());
    add(init, "mass", real, TRAJLOG_SHAPE(n), simulation->mass, "u", TRAJLOG_ROLE_MASS);
    add(init, "species", TRAJLOG_INT32, TRAJLOG_SHAPE(n), simulation->species, NULL, TRAJLOG_ROLE_SPECIES);
    add(init, "charge", real, TRAJLOG_SHAPE(n), simulation->charge, "e", TRAJLOG_ROLE_CHARGE);
    trajlog_add_field(init, "box", real, matrix, simulation->box, "nm");
    (void)trajlog_add_species(log, 18, "Ar", 18);

    trajlog_group *trajectory = trajlog_add_group(log, "trajectory", trajlog_every(every));
    add(trajectory, "position", real, vectors, simulation->position, "nm", TRAJLOG_ROLE_POSITION);
    add(trajectory, "velocity", real, vectors, simulation->velocity, "nm ps-1", TRAJLOG_ROLE_VELOCITY);
    add(trajectory, "force", real, vectors, simulation->force, "kJ mol-1 nm-1", TRAJLOG_ROLE_FORCE);
    add(trajectory, "box", real, matrix, simulation->box, "nm", TRAJLOG_ROLE_BOX_EDGES);

    declare_energies(log, &simulation->thermo);
}

/* What the next step follows from, to the last bit; forces follow from the positions. */
static void declare_checkpoint(trajlog_writer *log, const struct simulation *simulation)
{
    const trajlog_shape vectors = TRAJLOG_SHAPE(simulation->atoms, 3);
    trajlog_group *checkpoint = trajlog_add_checkpoint(log);
    trajlog_add_field(checkpoint, "position", TRAJLOG_FLOAT64, vectors, simulation->position, "nm");
    trajlog_add_field(checkpoint, "velocity", TRAJLOG_FLOAT64, vectors, simulation->velocity, "nm ps-1");
    trajlog_add_field(checkpoint, "random", TRAJLOG_UINT64, TRAJLOG_SHAPE(4), simulation->random.state, NULL);
}

/* Where a run begins. */
struct restart {
    bool goes_on;      /* in a log that is there */
    int64_t last_step; /* that is done; TRAJLOG_FROM_THE_START: none */
};

/* Takes the newest checkpoint of the log, if it has one. */
static bool restore(struct simulation *simulation, const struct arguments *arguments, struct restart *restart)
{
    const size_t bytes = (size_t)simulation->atoms * sizeof(double[3]);
    const trajlog_request requests[] = {
        {"position", TRAJLOG_FLOAT64, simulation->position, bytes},
        {"velocity", TRAJLOG_FLOAT64, simulation->velocity, bytes},
        {"random", TRAJLOG_UINT64, simulation->random.state, sizeof simulation->random.state},
    };
    trajlog_reader *reader = NULL;
    trajlog_status status = trajlog_open(&reader, arguments->out);
    restart->goes_on = status != TRAJLOG_NOT_FOUND;
    if (status == TRAJLOG_OK) status = trajlog_restore(reader, requests, 3, &restart->last_step, NULL);
    bool restored = status == TRAJLOG_OK;
    if (!restored && status != TRAJLOG_NOT_FOUND) fprintf(stderr, "md_argon: %s\n", trajlog_reader_message(reader));
    trajlog_reader_close(&reader);
    if (restored) {
        compute_forces(simulation);
        compute_thermo(simulation);
    }
    return restored || status == TRAJLOG_NOT_FOUND;
}

static trajlog_writer *open_log(const struct arguments *arguments, const struct restart *restart)
{
    trajlog_options options = trajlog_default_options();
    options.existing = arguments->replace ? TRAJLOG_REPLACE : TRAJLOG_REFUSE;
    options.config_path = arguments->config;
    options.synchronous = arguments->synchronous;
    options.total_steps = arguments->steps + 1;
    options.progress = progress_bar(arguments->quiet);
    options.program = "md_argon";
    options.program_version = trajlog_version();
    trajlog_writer *log = NULL;
    /* A failure here sticks to the log, like any other. */
    if (restart->goes_on) (void)trajlog_resume(&log, arguments->out, restart->last_step, &options);
    else (void)trajlog_create(&log, arguments->out, &options);
    return log;
}

/* Prints the first message only: an error that sticks would come back at each step. */
static void report(const trajlog_writer *log, bool *failed)
{
    if (!*failed) fprintf(stderr, "md_argon: %s\n", trajlog_message(log));
    *failed = true;
}

/* The simulation goes on when its log fails; the exit status tells. */
static bool run(struct simulation *simulation, const struct arguments *arguments, const struct restart *restart,
                struct checksums *checksums)
{
    trajlog_writer *log = NULL;
    bool failed = false;
    if (!arguments->without_log) {
        log = open_log(arguments, restart);
        declare_log(log, simulation, arguments->every);
        if (arguments->checkpoint > 0) declare_checkpoint(log, simulation);
    }
    int64_t first = restart->last_step == TRAJLOG_FROM_THE_START ? 0 : restart->last_step + 1;
    for (int64_t step = first; step <= arguments->steps; step++) {
        double time = (double)step * TIME_STEP;
        if (step > 0) integrate(simulation);
        add_checksums(checksums, step);
        if (arguments->without_log) continue;
        if (trajlog_log(log, step, time) != TRAJLOG_OK) report(log, &failed);
        if (arguments->checkpoint == 0 || step == 0 || step % arguments->checkpoint != 0) continue;
        if (trajlog_checkpoint(log, step, time) != TRAJLOG_OK) report(log, &failed);
    }
    if (trajlog_close(&log) != TRAJLOG_OK) report(NULL, &failed);
    return !failed;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The command line
 * ------------------------------------------------------------------------------------------------------------------ */

enum option_key {
    KEY_SEED = 256,
    KEY_TEMPERATURE,
    KEY_CONFIG,
    KEY_SYNC,
    KEY_REPLACE,
    KEY_RESUME,
    KEY_CHECKPOINT,
    KEY_NO_LOG,
    KEY_CHECKSUM
};

static const struct argp_option option_list[] = {
    {"atoms", 'n', "N", 0, "Number of atoms (default 1000)", 0},
    {"steps", 's', "S", 0, "Integrate S steps; the log has the steps 0 to S (default 1000)", 0},
    {"every", 'k', "K", 0, "Log the trajectory every K steps (default 10)", 0},
    {"out", 'o', "FILE", 0, "The log to write; needed unless --no-log", 0},
    {"replace", KEY_REPLACE, NULL, 0, "Replace FILE if it exists", 0},
    {"resume", KEY_RESUME, NULL, 0, "Go on from the newest checkpoint in FILE, if there is one; else start over in it",
     0},
    {"checkpoint", KEY_CHECKPOINT, "N", 0, "Make a checkpoint every N steps (default 100; 0: none)", 0},
    {"config", KEY_CONFIG, "FILE", 0, "A JSON configuration for the log", 0},
    {"sync", KEY_SYNC, NULL, 0, "Write from the simulation's thread, without a queue", 0},
    {"no-log", KEY_NO_LOG, NULL, 0, "Run without a log", 0},
    {"seed", KEY_SEED, "NUMBER", 0, "Seed of the velocities (default 1)", 0},
    {"temperature", KEY_TEMPERATURE, "KELVIN", 0,
     "Of the initial velocities (default 188.8; the lattice takes about half of it as it melts)", 0},
    {"checksum", KEY_CHECKSUM, NULL, 0, "Print a CRC-32 of the bytes of each field, as JSON lines", 0},
    {"quiet", 'q', NULL, 0, "No progress bar and no summary", 0},
    {0}};

static int64_t parse_integer(struct argp_state *state, const char *text, int64_t least, int64_t most)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most)
        argp_error(state, "%s: expected a whole number from %" PRId64 " to %" PRId64, text, least, most);
    return value;
}

static double parse_temperature(struct argp_state *state, const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0) || value > 1e6)
        argp_error(state, "%s: expected a temperature from 0 to 1e6 K", text);
    return value;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'n':
        arguments->atoms = parse_integer(state, text, 1, MAXIMUM_ATOMS);
        break;
    case 's':
        arguments->steps = parse_integer(state, text, 0, INT64_MAX - 1);
        break;
    case 'k':
        arguments->every = parse_integer(state, text, 1, INT64_MAX);
        break;
    case 'o':
        arguments->out = text;
        break;
    case 'q':
        arguments->quiet = true;
        break;
    case KEY_SEED:
        arguments->seed = (uint64_t)parse_integer(state, text, 0, INT64_MAX);
        break;
    case KEY_TEMPERATURE:
        arguments->temperature = parse_temperature(state, text);
        break;
    case KEY_CONFIG:
        arguments->config = text;
        break;
    case KEY_SYNC:
        arguments->synchronous = true;
        break;
    case KEY_REPLACE:
        arguments->replace = true;
        break;
    case KEY_RESUME:
        arguments->resume = true;
        break;
    case KEY_CHECKPOINT:
        arguments->checkpoint = parse_integer(state, text, 0, INT64_MAX);
        break;
    case KEY_NO_LOG:
        arguments->without_log = true;
        break;
    case KEY_CHECKSUM:
        arguments->checksum = true;
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: unexpected", text);
        break;
    case ARGP_KEY_END:
        if (arguments->out == NULL && !arguments->without_log) argp_error(state, "--out FILE is missing");
        if (arguments->resume && arguments->without_log) argp_error(state, "--resume needs a log");
        if (arguments->resume && arguments->checksum)
            argp_error(state, "--checksum adds up a whole run, and --resume makes a part of one");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp parser = {
    option_list, parse_option, NULL, "Molecular dynamics of liquid argon, logged with trajlog.", NULL, NULL, NULL};

static void print_summary(const struct simulation *simulation, const struct arguments *arguments, double first_energy)
{
    const struct thermo *thermo = &simulation->thermo;
    printf("%" PRId64 " atoms, %" PRId64 " steps (%g ps): %.1f K, %.0f bar, total energy %.6g kJ/mol (%+.2g since "
           "the first step)\n",
           simulation->atoms, arguments->steps, (double)arguments->steps * TIME_STEP, thermo->temperature,
           thermo->pressure, thermo->total_energy, thermo->total_energy - first_energy);
}

int main(int argc, char **argv)
{
    struct arguments arguments = {
        .atoms = 1000, .steps = 1000, .every = 10, .checkpoint = 100, .seed = 1, .temperature = 2 * TEMPERATURE};
    argp_parse(&parser, argc, argv, 0, NULL, &arguments);

    struct simulation simulation = {0};
    if (!make_simulation(&simulation, &arguments)) {
        fprintf(stderr, "md_argon: out of memory for %" PRId64 " atoms\n", arguments.atoms);
        free_simulation(&simulation);
        return EXIT_FAILURE;
    }
    struct checksums checksums = {0};
    if (arguments.checksum) declare_checksums(&checksums, &simulation, arguments.every);

    struct restart restart = {.goes_on = false, .last_step = TRAJLOG_FROM_THE_START};
    if (arguments.resume && !restore(&simulation, &arguments, &restart)) {
        free_simulation(&simulation);
        return EXIT_FAILURE;
    }
    double first_energy = simulation.thermo.total_energy;
    bool good = run(&simulation, &arguments, &restart, &checksums);
    if (arguments.checksum) print_checksums(&checksums, &simulation, arguments.steps);
    if (!arguments.quiet && !arguments.checksum) print_summary(&simulation, &arguments, first_energy);
    free_simulation(&simulation);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
