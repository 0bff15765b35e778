/* mc_gcmc: grand-canonical Monte Carlo of argon, in which the number of particles varies, logged with trajlog.
 *
 *     mc_gcmc --steps 2000 --out gas.h5
 *     mc_gcmc --resume --steps 2000 --out gas.h5
 *
 * Lennard-Jones particles in a periodic cube that exchanges them with a reservoir of given activity. Each step attempts
 * 100 moves: half of them displace a particle, a quarter insert one, a quarter delete one, with the acceptance rules of
 * D. Frenkel and B. Smit, Understanding Molecular Simulation, section 5.6. The box begins empty.
 *
 * A dataset's frames have one shape, so positions are logged with room for more: the first `count` places of a frame are
 * particles; the others read as NaN, and -1 as the id. The room grows as the box fills. A run logs the steps 0, the
 * initial state, to --steps, and repeats to the last bit. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "progress_bar.h"
#include "random.h"
#include "trajlog.h"

#define BOLTZMANN        0.00831446261815324 /* kJ/mol/K */
#define SIGMA            0.34                /* nm */
#define EPSILON          (120 * BOLTZMANN)   /* kJ/mol */
#define CUTOFF           (2.5 * SIGMA)
#define MOVES_PER_STEP   100
#define MAXIMUM_CAPACITY 1000000
#define ROOM             32 /* for particles, that the log begins with */

struct arguments {
    int64_t steps, every, checkpoint, capacity;
    uint64_t seed;
    double temperature, activity, edge;
    const char *out, *config;
    bool quiet, synchronous, replace, resume;
};

/* Moves of one kind: those tried and those accepted since the start. */
struct tally {
    int64_t tried, accepted;
    double ratio; /* not a number before the first is tried */
};

struct simulation {
    int64_t capacity;
    int64_t count;
    double (*position)[3]; /* [capacity] */
    int64_t *id;           /* [capacity]: who it is, as particles change places */
    int64_t inserted;      /* particles so far: the next one's id */
    double edge, beta, activity, displacement;
    double temperature;
    double energy;
    double counted; /* the particles of all steps, added up */
    double box[3][3];
    struct tally displacements, insertions, deletions;
    struct random random;
};

/* ---------------------------------------------------------------------------------------------------------------------
 * Energies
 * ------------------------------------------------------------------------------------------------------------------ */

static double pair_energy(const double *a, const double *b, double edge)
{
    double square = 0;
    for (int k = 0; k < 3; k++) {
        double distance = a[k] - b[k];
        distance -= edge * rint(distance / edge);
        square += distance * distance;
    }
    if (square >= CUTOFF * CUTOFF) return 0;
    double inverse = SIGMA * SIGMA / square;
    double sixth = inverse * inverse * inverse;
    double cutoff_sixth = SIGMA * SIGMA / (CUTOFF * CUTOFF);
    cutoff_sixth *= cutoff_sixth * cutoff_sixth;
    return 4 * EPSILON * (sixth * (sixth - 1) - cutoff_sixth * (cutoff_sixth - 1));
}

/* Of a particle at `place` with all others; `except` is itself, or -1 if it is not among them. */
static double energy_at(const struct simulation *simulation, const double *place, int64_t except)
{
    double energy = 0;
    for (int64_t i = 0; i < simulation->count; i++)
        if (i != except) energy += pair_energy(place, simulation->position[i], simulation->edge);
    return energy;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Moves
 * ------------------------------------------------------------------------------------------------------------------ */

static void update_ratio(struct tally *tally)
{
    tally->ratio = tally->tried == 0 ? NAN : (double)tally->accepted / (double)tally->tried;
}

static bool accept(struct simulation *simulation, struct tally *tally, double probability)
{
    bool accepted = random_uniform(&simulation->random) < probability;
    tally->tried++;
    tally->accepted += accepted;
    update_ratio(tally);
    return accepted;
}

static int64_t random_particle(struct simulation *simulation)
{
    return (int64_t)(random_uniform(&simulation->random) * (double)simulation->count);
}

static void displace_one(struct simulation *simulation)
{
    if (simulation->count == 0) return;
    int64_t i = random_particle(simulation);
    double place[3];
    for (int k = 0; k < 3; k++) {
        double x = simulation->position[i][k];
        x += simulation->displacement * (2 * random_uniform(&simulation->random) - 1);
        place[k] = x - simulation->edge * floor(x / simulation->edge);
    }
    double change = energy_at(simulation, place, i) - energy_at(simulation, simulation->position[i], i);
    if (!accept(simulation, &simulation->displacements, exp(-simulation->beta * change))) return;
    for (int k = 0; k < 3; k++) simulation->position[i][k] = place[k];
    simulation->energy += change;
}

static void insert_one(struct simulation *simulation)
{
    double place[3];
    for (int k = 0; k < 3; k++) place[k] = simulation->edge * random_uniform(&simulation->random);
    double change = energy_at(simulation, place, -1);
    double volume = simulation->edge * simulation->edge * simulation->edge;
    double probability =
        simulation->activity * volume / (double)(simulation->count + 1) * exp(-simulation->beta * change);
    if (simulation->count == simulation->capacity) probability = 0;
    if (!accept(simulation, &simulation->insertions, probability)) return;
    for (int k = 0; k < 3; k++) simulation->position[simulation->count][k] = place[k];
    simulation->id[simulation->count] = simulation->inserted++;
    simulation->count++;
    simulation->energy += change;
}

/* The last particle takes the place of the one that goes. */
static void remove_one(struct simulation *simulation)
{
    if (simulation->count == 0) return;
    int64_t i = random_particle(simulation), last = simulation->count - 1;
    double change = -energy_at(simulation, simulation->position[i], i);
    double volume = simulation->edge * simulation->edge * simulation->edge;
    double probability = (double)simulation->count / (simulation->activity * volume) * exp(-simulation->beta * change);
    if (!accept(simulation, &simulation->deletions, probability)) return;
    for (int k = 0; k < 3; k++) simulation->position[i][k] = simulation->position[last][k];
    simulation->id[i] = simulation->id[last];
    simulation->count--;
    simulation->energy = simulation->count == 0 ? 0 : simulation->energy + change;
}

static void attempt_moves(struct simulation *simulation)
{
    for (int move = 0; move < MOVES_PER_STEP; move++) {
        double choice = random_uniform(&simulation->random);
        if (choice < 0.5) displace_one(simulation);
        else if (choice < 0.75) insert_one(simulation);
        else remove_one(simulation);
    }
}

static void free_simulation(struct simulation *simulation)
{
    free(simulation->position);
    free(simulation->id);
}

static bool make_simulation(struct simulation *simulation, const struct arguments *arguments)
{
    const struct tally none = {0, 0, NAN};
    *simulation = (struct simulation){.capacity = arguments->capacity,
                                      .edge = arguments->edge,
                                      .beta = 1 / (BOLTZMANN * arguments->temperature),
                                      .temperature = arguments->temperature,
                                      .activity = arguments->activity,
                                      .displacement = 0.3 * SIGMA,
                                      .displacements = none,
                                      .insertions = none,
                                      .deletions = none};
    simulation->position = calloc((size_t)arguments->capacity, sizeof *simulation->position);
    simulation->id = calloc((size_t)arguments->capacity, sizeof *simulation->id);
    if (simulation->position == NULL || simulation->id == NULL) return false;
    for (int k = 0; k < 3; k++) simulation->box[k][k] = arguments->edge;
    random_seed(&simulation->random, arguments->seed);
    return true;
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

static void declare_averages(trajlog_writer *log, struct simulation *now)
{
    const trajlog_type real = TRAJLOG_FLOAT64;
    const trajlog_role role = TRAJLOG_ROLE_OBSERVABLE;
    trajlog_group *thermo = trajlog_add_group(log, "thermo", trajlog_every(1));
    add(thermo, "count", TRAJLOG_INT64, TRAJLOG_SCALAR, &now->count, NULL, role);
    add(thermo, "energy", real, TRAJLOG_SCALAR, &now->energy, "kJ mol-1", role);
    add(thermo, "displacement_acceptance", real, TRAJLOG_SCALAR, &now->displacements.ratio, NULL, role);
    add(thermo, "insertion_acceptance", real, TRAJLOG_SCALAR, &now->insertions.ratio, NULL, role);
    add(thermo, "deletion_acceptance", real, TRAJLOG_SCALAR, &now->deletions.ratio, NULL, role);
}

static void declare_log(trajlog_writer *log, struct simulation *now, int64_t every)
{
    const int64_t n = now->capacity < ROOM ? now->capacity : ROOM;
    const trajlog_type real = TRAJLOG_FLOAT64;

    trajlog_group *init = trajlog_add_group(log, "init", trajlog_once());
    trajlog_add_field(init, "box", real, TRAJLOG_SHAPE(3, 3), now->box, "nm");
    add(init, "temperature", real, TRAJLOG_SCALAR, &now->temperature, "K", TRAJLOG_ROLE_PARAMETER);
    add(init, "activity", real, TRAJLOG_SCALAR, &now->activity, "nm-3", TRAJLOG_ROLE_PARAMETER);

    trajlog_group *trajectory = trajlog_add_group(log, "trajectory", trajlog_every(every));
    (void)trajlog_set_count(trajectory, &now->count);
    (void)trajlog_limit_count(trajectory, now->capacity);
    add(trajectory, "position", real, TRAJLOG_SHAPE(n, 3), now->position, "nm", TRAJLOG_ROLE_POSITION);
    add(trajectory, "id", TRAJLOG_INT64, TRAJLOG_SHAPE(n), now->id, NULL, TRAJLOG_ROLE_ID);
    add(trajectory, "box", real, TRAJLOG_SHAPE(3, 3), now->box, "nm", TRAJLOG_ROLE_BOX_EDGES);

    declare_averages(log, now);
}

/* A part of the state, under the name that it has in the checkpoint. */
struct part {
    const char *name;
    trajlog_type type;
    trajlog_shape shape;
    void *data;
    size_t bytes;
};

#define PARTS 13

/* What the next step follows from, to the last bit. */
static void list_parts(struct simulation *now, struct part parts[PARTS])
{
    const trajlog_type integer = TRAJLOG_INT64, real = TRAJLOG_FLOAT64;
    const size_t n = (size_t)now->capacity;
    const struct part list[PARTS] = {
        {"count", integer, TRAJLOG_SCALAR, &now->count, 8},
        {"position", real, TRAJLOG_SHAPE(now->capacity, 3), now->position, n * sizeof *now->position},
        {"id", integer, TRAJLOG_SHAPE(now->capacity), now->id, n * sizeof *now->id},
        {"inserted", integer, TRAJLOG_SCALAR, &now->inserted, 8},
        {"energy", real, TRAJLOG_SCALAR, &now->energy, 8},
        {"counted", real, TRAJLOG_SCALAR, &now->counted, 8},
        {"displacements/tried", integer, TRAJLOG_SCALAR, &now->displacements.tried, 8},
        {"displacements/accepted", integer, TRAJLOG_SCALAR, &now->displacements.accepted, 8},
        {"insertions/tried", integer, TRAJLOG_SCALAR, &now->insertions.tried, 8},
        {"insertions/accepted", integer, TRAJLOG_SCALAR, &now->insertions.accepted, 8},
        {"deletions/tried", integer, TRAJLOG_SCALAR, &now->deletions.tried, 8},
        {"deletions/accepted", integer, TRAJLOG_SCALAR, &now->deletions.accepted, 8},
        {"random", TRAJLOG_UINT64, TRAJLOG_SHAPE(4), now->random.state, sizeof now->random.state},
    };
    for (int i = 0; i < PARTS; i++) parts[i] = list[i];
}

static void declare_checkpoint(trajlog_writer *log, struct simulation *now)
{
    struct part parts[PARTS];
    trajlog_group *checkpoint = trajlog_add_checkpoint(log);
    list_parts(now, parts);
    for (int i = 0; i < PARTS; i++)
        trajlog_add_field(checkpoint, parts[i].name, parts[i].type, parts[i].shape, parts[i].data, NULL);
}

/* Where a run begins. */
struct restart {
    bool goes_on;      /* in a log that is there */
    int64_t last_step; /* that is done; TRAJLOG_FROM_THE_START: none */
};

/* Takes the newest checkpoint of the log, if it has one. */
static bool restore(struct simulation *now, const struct arguments *arguments, struct restart *restart)
{
    struct part parts[PARTS];
    trajlog_request requests[PARTS];
    list_parts(now, parts);
    for (int i = 0; i < PARTS; i++)
        requests[i] = (trajlog_request){parts[i].name, parts[i].type, parts[i].data, parts[i].bytes};

    trajlog_reader *reader = NULL;
    trajlog_status status = trajlog_open(&reader, arguments->out);
    restart->goes_on = status != TRAJLOG_NOT_FOUND;
    if (status == TRAJLOG_OK) status = trajlog_restore(reader, requests, PARTS, &restart->last_step, NULL);
    bool good = status == TRAJLOG_OK || status == TRAJLOG_NOT_FOUND;
    if (!good) fprintf(stderr, "mc_gcmc: %s\n", trajlog_reader_message(reader));
    trajlog_reader_close(&reader);
    update_ratio(&now->displacements);
    update_ratio(&now->insertions);
    update_ratio(&now->deletions);
    return good;
}

static trajlog_writer *open_log(const struct arguments *arguments, const struct restart *restart)
{
    trajlog_options options = trajlog_default_options();
    options.existing = arguments->replace ? TRAJLOG_REPLACE : TRAJLOG_REFUSE;
    options.config_path = arguments->config;
    options.synchronous = arguments->synchronous;
    options.total_steps = arguments->steps + 1;
    options.progress = progress_bar(arguments->quiet);
    options.program = "mc_gcmc";
    options.program_version = trajlog_version();
    options.time_unit = ""; /* Monte Carlo steps */
    trajlog_writer *log = NULL;
    /* A failure here sticks to the log, like any other. */
    if (restart->goes_on) (void)trajlog_resume(&log, arguments->out, restart->last_step, &options);
    else (void)trajlog_create(&log, arguments->out, &options);
    (void)trajlog_set_metadata(log, "time_unit", "Monte Carlo steps");
    return log;
}

/* Prints the first message only: an error that sticks would come back at each step. */
static void report(const trajlog_writer *log, bool *failed)
{
    if (!*failed) fprintf(stderr, "mc_gcmc: %s\n", trajlog_message(log));
    *failed = true;
}

/* The simulation goes on when its log fails; the exit status tells. */
static bool run(struct simulation *simulation, const struct arguments *arguments, const struct restart *restart)
{
    bool failed = false;
    trajlog_writer *log = open_log(arguments, restart);
    declare_log(log, simulation, arguments->every);
    if (arguments->checkpoint > 0) declare_checkpoint(log, simulation);
    int64_t first = restart->last_step == TRAJLOG_FROM_THE_START ? 0 : restart->last_step + 1;
    for (int64_t step = first; step <= arguments->steps; step++) {
        if (step > 0) attempt_moves(simulation);
        simulation->counted += (double)simulation->count;
        if (trajlog_log(log, step, (double)step) != TRAJLOG_OK) report(log, &failed);
        if (arguments->checkpoint == 0 || step == 0 || step % arguments->checkpoint != 0) continue;
        if (trajlog_checkpoint(log, step, (double)step) != TRAJLOG_OK) report(log, &failed);
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
    KEY_ACTIVITY,
    KEY_EDGE,
    KEY_CAPACITY,
    KEY_CONFIG,
    KEY_SYNC,
    KEY_REPLACE,
    KEY_RESUME,
    KEY_CHECKPOINT
};

static const struct argp_option option_list[] = {
    {"steps", 's', "S", 0, "Make S steps of 100 moves; the log has the steps 0 to S (default 1000)", 0},
    {"every", 'k', "K", 0, "Log the positions every K steps (default 10)", 0},
    {"out", 'o', "FILE", 0, "The log to write", 0},
    {"replace", KEY_REPLACE, NULL, 0, "Replace FILE if it exists", 0},
    {"resume", KEY_RESUME, NULL, 0, "Go on from the newest checkpoint in FILE, if there is one; else start over in it",
     0},
    {"checkpoint", KEY_CHECKPOINT, "N", 0, "Make a checkpoint every N steps (default 100; 0: none)", 0},
    {"config", KEY_CONFIG, "FILE", 0, "A JSON configuration for the log", 0},
    {"sync", KEY_SYNC, NULL, 0, "Write from the simulation's thread, without a queue", 0},
    {"seed", KEY_SEED, "NUMBER", 0, "Seed of the random numbers (default 1)", 0},
    {"temperature", KEY_TEMPERATURE, "KELVIN", 0, "Temperature (default 180)", 0},
    {"activity", KEY_ACTIVITY, "NUMBER", 0, "Activity of the reservoir in particles per nm^3 (default 2)", 0},
    {"edge", KEY_EDGE, "NM", 0, "Edge of the box (default 3)", 0},
    {"capacity", KEY_CAPACITY, "N", 0, "The most particles that the box takes (default 512)", 0},
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

static double parse_number(struct argp_state *state, const char *text, double least, double most)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= least && value <= most))
        argp_error(state, "%s: expected a number from %g to %g", text, least, most);
    return value;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
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
        arguments->temperature = parse_number(state, text, 1, 1e6);
        break;
    case KEY_ACTIVITY:
        arguments->activity = parse_number(state, text, 1e-9, 1e9);
        break;
    case KEY_EDGE:
        arguments->edge = parse_number(state, text, 2 * CUTOFF, 1e6);
        break;
    case KEY_CAPACITY:
        arguments->capacity = parse_integer(state, text, 1, MAXIMUM_CAPACITY);
        break;
    case KEY_CONFIG:
        arguments->config = text;
        break;
    case KEY_SYNC:
        arguments->synchronous = true;
        break;
    case KEY_RESUME:
        arguments->resume = true;
        break;
    case KEY_CHECKPOINT:
        arguments->checkpoint = parse_integer(state, text, 0, INT64_MAX);
        break;
    case KEY_REPLACE:
        arguments->replace = true;
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: unexpected", text);
        break;
    case ARGP_KEY_END:
        if (arguments->out == NULL) argp_error(state, "--out FILE is missing");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp parser = {
    option_list, parse_option, NULL, "Grand-canonical Monte Carlo of argon, logged with trajlog.", NULL, NULL, NULL};

int main(int argc, char **argv)
{
    struct arguments arguments = {
        .steps = 1000,
        .every = 10,
        .checkpoint = 100,
        .capacity = 512,
        .seed = 1,
        .temperature = 180,
        .activity = 2,
        .edge = 3,
    };
    argp_parse(&parser, argc, argv, 0, NULL, &arguments);

    struct simulation simulation;
    if (!make_simulation(&simulation, &arguments)) {
        fprintf(stderr, "mc_gcmc: out of memory for %" PRId64 " particles\n", arguments.capacity);
        free_simulation(&simulation);
        return EXIT_FAILURE;
    }
    struct restart restart = {.goes_on = false, .last_step = TRAJLOG_FROM_THE_START};
    if (arguments.resume && !restore(&simulation, &arguments, &restart)) {
        free_simulation(&simulation);
        return EXIT_FAILURE;
    }
    bool good = run(&simulation, &arguments, &restart);
    if (!arguments.quiet)
        printf("%" PRId64 " steps: %.1f particles on average, %" PRId64 " at the end; accepted: %.3g of displacements, "
               "%.3g of insertions, %.3g of deletions\n",
               arguments.steps, simulation.counted / ((double)arguments.steps + 1), simulation.count,
               simulation.displacements.ratio, simulation.insertions.ratio, simulation.deletions.ratio);
    free_simulation(&simulation);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
