/* lammps_log: runs LAMMPS, through its C library interface, and logs with trajlog.
 *
 *     lammps_log --input in.melt --steps 1000 --every 10 --out melt.h5
 *
 * The input script sets up the system and has no `run` command of its own. lammps_log then does what `run S` would do
 * and logs the first step and every K steps after it. Groups: `init` (id, type, mass, charge where there is one),
 * `trajectory` (position, velocity, image, box) and `thermo` (LAMMPS's thermo keywords). Rows are in the order of the
 * atoms' ids; numbers are the ones that `dump custom` and `thermo_style custom` print, in the units of the script.
 *
 * One `run S` is all that LAMMPS is told: lammps_fix.cpp adds a fix behind those of the script, which calls back at the
 * end of each step that is to be logged. It also asks for energies and pressure there, because LAMMPS only computes them
 * in steps in which somebody will want them, and columns are added to a `thermo_style custom` that does without them.
 * --no-thermo leaves out the group `thermo`, and that work with it.
 *
 * Going on after a kill. With --checkpoint N, LAMMPS writes a restart file every N steps, to FILE.restart.0 and
 * FILE.restart.1 by turns, and a checkpoint in the log says which one belongs to it. --resume takes the newest: it sets
 * LAMMPS's variable `restart` to the file's name, and the script is to read that file instead of making a system (see
 * in.melt). LAMMPS begins anew with the atoms as they are in the file, so the run that wrote it does the same: it ends
 * there, and another `run` begins with a new setup. That, how the time is rounded, and what LAMMPS leaves out of restart
 * files (the random numbers of fix langevin, ...), is all that tells such a run from `run S`.
 *
 * LAMMPS ends the process when it meets an error, unless it is built with exceptions. Its message is then repeated on
 * stderr, and the log is closed. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <lammps/library.h>

#include "lammps_fix.h"
#include "progress_bar.h"
#include "trajlog.h"

#define MAXIMUM_ARGUMENTS 64

struct arguments {
    int64_t steps, every, checkpoint; /* 0: no checkpoints */
    const char *input, *out, *config, *lammps_log;
    char *lammps[MAXIMUM_ARGUMENTS]; /* the command line that LAMMPS sees */
    int lammps_count;
    bool quiet, synchronous, replace, resume, no_thermo;
};

/* The units of LAMMPS's `units` styles, from the documentation of that command; NULL: none, or without a spelling. */
struct units {
    const char *style, *length, *velocity, *energy, *temperature, *pressure, *volume, *time, *mass, *charge;
};

static const struct units unit_styles[] = {
    {"lj", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL},
    {"real", "Angstrom", "Angstrom fs-1", "kcal mol-1", "K", "atm", "Angstrom+3", "fs", "u", "e"},
    {"metal", "Angstrom", "Angstrom ps-1", "eV", "K", "bar", "Angstrom+3", "ps", "u", "e"},
    {"si", "m", "m s-1", "J", "K", "Pa", "m+3", "s", "kg", "C"},
    {"cgs", "cm", "cm s-1", "erg", "K", "dyn cm-2", "cm+3", "s", "g", NULL},
    {"electron", "bohr", "0.968289 bohr fs-1", "hartree", "K", "Pa", "bohr+3", "fs", "u", "e"},
    {"micro", "um", "um us-1", "pg um+2 us-2", "K", "pg um-1 us-2", "um+3", "us", "pg", "pC"},
    {"nano", "nm", "nm ns-1", "ag nm+2 ns-2", "K", "ag nm-1 ns-2", "nm+3", "ns", "ag", "e"},
};

/* The thermo keywords that are logged; `unit` is the place of their unit in struct units. */
static const struct {
    const char *field, *keyword;
    size_t unit;
} thermo_keywords[] = {
    {"temperature", "temp", offsetof(struct units, temperature)},
    {"potential_energy", "pe", offsetof(struct units, energy)},
    {"kinetic_energy", "ke", offsetof(struct units, energy)},
    {"total_energy", "etotal", offsetof(struct units, energy)},
    {"pressure", "press", offsetof(struct units, pressure)},
    {"volume", "vol", offsetof(struct units, volume)},
};
#define THERMO_COUNT (sizeof thermo_keywords / sizeof thermo_keywords[0])

/* LAMMPS, and what is read out of it at a step. */
struct engine {
    void *lammps;
    const struct units *units;
    int64_t first_step, step;
    int64_t atoms;
    int *id;      /* [atoms], increasing */
    int64_t *row; /* [atoms]: of LAMMPS's atom at this place */
    double time;
    double origin[3], box[3][3];
    double thermo[THERMO_COUNT];
    int32_t restart_file; /* 0 or 1: the one that belongs to the latest checkpoint */
    struct lammps_fix fix;
    bool logging_failed; /* and the error is told: LAMMPS stops soon */
};

/* Where a run begins. */
struct restart {
    bool goes_on;      /* in a log that is there */
    int64_t last_step; /* that is done; TRAJLOG_FROM_THE_START: none */
};

/* Where the handlers that run when LAMMPS ends the process find things. */
static FILE *screen;       /* what LAMMPS prints */
static off_t screen_start; /* older output was thrown away */
static trajlog_writer *logged;

/* ---------------------------------------------------------------------------------------------------------------------
 * Errors
 * ------------------------------------------------------------------------------------------------------------------ */

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "lammps_log: ");
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
}

/* Repeats LAMMPS's error and its line of the script. Runs when the process ends; there are none after a good run. */
static void repeat_errors(void)
{
    char line[4096];
    if (fseeko(screen, screen_start, SEEK_SET) != 0) return;
    while (fgets(line, sizeof line, screen) != NULL)
        if (strncmp(line, "ERROR", 5) == 0 || strncmp(line, "Last command", 12) == 0)
            fprintf(stderr, "lammps_log: %s", line);
    fclose(screen);
}

/* LAMMPS meets some errors with MPI_Abort, which ends the process without its exit handlers. This definition comes
 * before the MPI library's: there is one process only, and it may end in the usual way. */
int MPI_Abort(void *communicator, int status) __attribute__((visibility("default")));

int MPI_Abort(void *communicator, int status)
{
    (void)communicator;
    exit(status);
}

/* Closes a log that is still open when LAMMPS ends the process. */
static void close_log(void)
{
    if (trajlog_close(&logged) != TRAJLOG_OK) fail("%s", trajlog_message(NULL));
}

/* ---------------------------------------------------------------------------------------------------------------------
 * LAMMPS
 * ------------------------------------------------------------------------------------------------------------------ */

/* Starts LAMMPS with what it prints, and the commands of the script, going to a file without a name. */
static bool start_lammps(struct engine *engine, struct arguments *arguments)
{
    static char path[64];
    screen = tmpfile();
    if (screen == NULL || atexit(repeat_errors) != 0) {
        fail("no temporary file: %s", strerror(errno));
        return false;
    }
    snprintf(path, sizeof path, "/dev/fd/%d", fileno(screen));
    char *fixed[] = {"-screen", path, "-echo", "screen", "-log", (char *)arguments->lammps_log, "-nocite"};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) arguments->lammps[arguments->lammps_count++] = fixed[i];
    engine->lammps = lammps_open_no_mpi(arguments->lammps_count, arguments->lammps, NULL);
    if (engine->lammps == NULL) fail("LAMMPS does not start");
    return engine->lammps != NULL;
}

/* Keeps the file short, whatever the script lets LAMMPS print in each step. */
static void trim_screen(void)
{
    struct stat status;
    if (fstat(fileno(screen), &status) != 0 || status.st_size - screen_start < 1 << 20) return;
    /* LAMMPS goes on where it was: what is before that becomes a hole. */
    if (ftruncate(fileno(screen), 0) == 0) screen_start = status.st_size;
}

/* Whether LAMMPS did what it was told. Where it is built with exceptions, it does not end the process. */
static bool went_well(struct engine *engine)
{
    char message[2048] = "";
    if (!lammps_config_has_exceptions() || !lammps_has_error(engine->lammps)) return true;
    lammps_get_last_error_message(engine->lammps, message, sizeof message);
    message[strcspn(message, "\n")] = '\0';
    fail("%s", message);
    return false;
}

static int compare_ids(const void *a, const void *b)
{
    const int *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The row of an atom; -1 if it was not there at the first step. Ids are mostly 1, 2, 3, ... */
static int64_t find_row(const struct engine *engine, int id)
{
    int64_t guess = (int64_t)id - engine->id[0];
    if (guess >= 0 && guess < engine->atoms && engine->id[guess] == id) return guess;
    const int *found = bsearch(&id, engine->id, (size_t)engine->atoms, sizeof id, compare_ids);
    return found == NULL ? -1 : found - engine->id;
}

static bool take_ids(struct engine *engine)
{
    engine->atoms = (int64_t)lammps_get_natoms(engine->lammps);
    if (engine->atoms < 1) {
        fail("the input script makes no atoms");
        return false;
    }
    engine->id = calloc((size_t)engine->atoms, sizeof *engine->id);
    engine->row = calloc((size_t)engine->atoms, sizeof *engine->row);
    if (engine->id == NULL || engine->row == NULL) {
        fail("out of memory for %" PRId64 " atoms", engine->atoms);
        return false;
    }
    memcpy(engine->id, lammps_extract_atom(engine->lammps, "id"), (size_t)engine->atoms * sizeof *engine->id);
    qsort(engine->id, (size_t)engine->atoms, sizeof *engine->id, compare_ids);
    bool good = engine->id[0] > 0;
    for (int64_t i = 1; i < engine->atoms; i++) good = good && engine->id[i] > engine->id[i - 1];
    if (!good) fail("the atoms have no ids of their own (atom_modify id no?), so they have no order to log them in");
    return good;
}

/* Whether this LAMMPS, with the system that the script made, can be read out. */
static bool check_lammps(struct engine *engine)
{
    void *lammps = engine->lammps;
    const char *style = lammps_extract_global(lammps, "units");
    for (size_t i = 0; i < sizeof unit_styles / sizeof unit_styles[0]; i++)
        if (style != NULL && strcmp(style, unit_styles[i].style) == 0) engine->units = &unit_styles[i];
    const char *problem = NULL;
    if (lammps_extract_setting(lammps, "world_size") > 1)
        problem = "more than one MPI process: this example logs from one";
    else if (lammps_extract_setting(lammps, "tagint") != sizeof(int) ||
             lammps_extract_setting(lammps, "bigint") != sizeof(int64_t))
        problem = "this LAMMPS was not built with -DLAMMPS_SMALLBIG";
    else if (lammps_extract_setting(lammps, "box_exist") != 1) problem = "the input script makes no simulation box";
    else if (engine->units == NULL) problem = "the units style of the script is not known";
    else if (lammps_extract_global(lammps, "atime") == NULL || lammps_extract_global(lammps, "atimestep") == NULL)
        problem = "this LAMMPS is too old: it does not tell its time";
    if (problem != NULL) fail("%s", problem);
    return problem == NULL;
}

static bool command(struct engine *engine, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool command(struct engine *engine, const char *format, ...)
{
    char text[4200];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    lammps_command(engine->lammps, text);
    return went_well(engine);
}

/* The script's last thermo_style and the thermo_modify commands after it, which belong to it. */
#define MAXIMUM_MODIFICATIONS 16
struct thermo_commands {
    char style[4096];
    char modify[MAXIMUM_MODIFICATIONS][4096];
    int modify_count;
};

/* Finds them among the commands that LAMMPS has echoed. */
static void find_thermo_commands(struct thermo_commands *commands)
{
    char line[4000];
    fflush(NULL); /* LAMMPS's stream on the file, too */
    rewind(screen);
    while (fgets(line, sizeof line, screen) != NULL) {
        line[strcspn(line, "#\n")] = '\0';
        const char *text = line + strspn(line, " \t");
        if (strncmp(text, "thermo_style", 12) == 0) {
            strcpy(commands->style, text);
            commands->modify_count = 0;
        } else if (strncmp(text, "thermo_modify", 13) == 0 && commands->modify_count < MAXIMUM_MODIFICATIONS) {
            strcpy(commands->modify[commands->modify_count++], text);
        }
    }
}

static bool has_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (text += strspn(text, " \t"); *text != '\0'; text += strspn(text, " \t")) {
        size_t size = strcspn(text, " \t");
        if (size == length && strncmp(text, word, length) == 0) return true;
        text += size;
    }
    return false;
}

/* LAMMPS only knows the energies and the pressure of a thermo_style custom that prints what they are made of. */
static bool complete_thermo_style(struct engine *engine)
{
    static const char *const needed[] = {" temp", " pe", " press"};
    static struct thermo_commands commands;
    bool complete = true;
    find_thermo_commands(&commands);
    if (!has_word(commands.style, "custom")) return true;
    for (int i = 0; i < 3; i++) {
        if (has_word(commands.style, needed[i] + 1)) continue;
        strcat(commands.style, needed[i]);
        complete = false;
    }
    if (complete) return true;
    if (!command(engine, "%s", commands.style)) return false;
    for (int i = 0; i < commands.modify_count; i++)
        if (!command(engine, "%s", commands.modify[i])) return false;
    return true;
}

/* Runs at the end of a step. */
static void read_step_and_time(struct engine *engine)
{
    engine->step = *(int64_t *)lammps_extract_global(engine->lammps, "ntimestep");
    int64_t origin_step = *(int64_t *)lammps_extract_global(engine->lammps, "atimestep");
    double origin = *(double *)lammps_extract_global(engine->lammps, "atime");
    double time_step = *(double *)lammps_extract_global(engine->lammps, "dt");
    engine->time = origin + (double)(engine->step - origin_step) * time_step;
}

/* Reads what the views do not find by themselves: rows, box and thermo. */
static bool read_out(struct engine *engine)
{
    read_step_and_time(engine);
    int64_t atoms = lammps_extract_setting(engine->lammps, "nlocal");
    if (atoms != engine->atoms) {
        fail("%" PRId64 " atoms at step %" PRId64 ", and %" PRId64
             " at the first one: a log needs a constant number of them",
             atoms, engine->step, engine->atoms);
        return false;
    }
    const int *id = lammps_extract_atom(engine->lammps, "id");
    for (int64_t i = 0; i < atoms; i++) {
        engine->row[i] = find_row(engine, id[i]);
        if (engine->row[i] < 0) {
            fail("atom %d appears at step %" PRId64 ": a log needs the same atoms in all steps", id[i], engine->step);
            return false;
        }
    }
    double high[3], xy, yz, xz;
    int periodic[3], box_change;
    lammps_extract_box(engine->lammps, engine->origin, high, &xy, &yz, &xz, periodic, &box_change);
    for (int k = 0; k < 3; k++) engine->box[k][k] = high[k] - engine->origin[k];
    engine->box[1][0] = xy;
    engine->box[2][0] = xz;
    engine->box[2][1] = yz;
    for (size_t i = 0; engine->fix.energies && i < THERMO_COUNT; i++)
        engine->thermo[i] = lammps_get_thermo(engine->lammps, thermo_keywords[i].keyword);
    return went_well(engine);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Views: they copy from LAMMPS's arrays, in which atoms move about, straight into the frame
 * ------------------------------------------------------------------------------------------------------------------ */

/* Of the per-atom vectors named by `context`: x, v. */
static int fill_vectors(void *frame, const void *state, void *context)
{
    const struct engine *engine = state;
    double(*row)[3] = frame;
    double **vector = lammps_extract_atom(engine->lammps, context);
    if (vector == NULL) return -1;
    for (int64_t i = 0; i < engine->atoms; i++) memcpy(row[engine->row[i]], vector[i], sizeof row[0]);
    return 0;
}

/* How many times each atom has left the box through each side. */
static int fill_images(void *frame, const void *state, void *context)
{
    (void)context;
    const struct engine *engine = state;
    int32_t(*row)[3] = frame;
    const int *image = lammps_extract_atom(engine->lammps, "image");
    if (image == NULL) return -1;
    for (int64_t i = 0; i < engine->atoms; i++) lammps_decode_image_flags(image[i], row[engine->row[i]]);
    return 0;
}

static int fill_types(void *frame, const void *state, void *context)
{
    (void)context;
    const struct engine *engine = state;
    int32_t *row = frame;
    const int *type = lammps_extract_atom(engine->lammps, "type");
    for (int64_t i = 0; i < engine->atoms; i++) row[engine->row[i]] = type[i];
    return 0;
}

/* LAMMPS has a mass per atom or one per type. */
static int fill_masses(void *frame, const void *state, void *context)
{
    (void)context;
    const struct engine *engine = state;
    double *row = frame;
    const int *type = lammps_extract_atom(engine->lammps, "type");
    const double *own = lammps_extract_atom(engine->lammps, "rmass");
    const double *of_type = lammps_extract_atom(engine->lammps, "mass");
    if (own == NULL && of_type == NULL) return -1;
    for (int64_t i = 0; i < engine->atoms; i++) row[engine->row[i]] = own != NULL ? own[i] : of_type[type[i]];
    return 0;
}

static int fill_charges(void *frame, const void *state, void *context)
{
    (void)context;
    const struct engine *engine = state;
    double *row = frame;
    const double *charge = lammps_extract_atom(engine->lammps, "q");
    if (charge == NULL) return -1;
    for (int64_t i = 0; i < engine->atoms; i++) row[engine->row[i]] = charge[i];
    return 0;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Logging
 * ------------------------------------------------------------------------------------------------------------------ */

/* A field that a callback fills, and what it is to programs that read H5MD files. */
static void add_view(trajlog_group *group, const char *name, trajlog_type type, trajlog_shape shape, trajlog_fill fill,
                     char *context, const char *unit, trajlog_role role)
{
    trajlog_field *field = trajlog_add_field(group, name, type, shape, NULL, unit);
    /* Failures stick to the log, and the first trajlog_log returns them. */
    (void)trajlog_set_callback(field, fill, context);
    (void)trajlog_set_role(field, role, NULL);
}

static void set_boundary(trajlog_writer *log, const struct engine *engine)
{
    int periodic[3] = {0, 0, 0};
    lammps_extract_box(engine->lammps, NULL, NULL, NULL, NULL, NULL, periodic, NULL);
    (void)trajlog_set_boundary(log, NULL, 3, periodic);
}

/* The default is for readers that know no other lengths than these. */
static trajlog_profile choose_profile(const struct units *units)
{
    const bool known =
        units->length == NULL || strcmp(units->length, "Angstrom") == 0 || strcmp(units->length, "nm") == 0;
    return known ? TRAJLOG_PROFILE_DEFAULT : TRAJLOG_PROFILE_STRICT;
}

static void declare_thermo(trajlog_writer *log, struct engine *engine, trajlog_frequency due)
{
    const struct units *units = engine->units;
    trajlog_group *thermo = trajlog_add_group(log, "thermo", due);
    for (size_t i = 0; i < THERMO_COUNT; i++) {
        const char *const *unit = (const void *)((const char *)units + thermo_keywords[i].unit);
        trajlog_field *field = trajlog_add_field(thermo, thermo_keywords[i].field, TRAJLOG_FLOAT64, TRAJLOG_SCALAR,
                                                 &engine->thermo[i], *unit);
        (void)trajlog_set_role(field, TRAJLOG_ROLE_OBSERVABLE, NULL);
    }
}

static void declare_log(trajlog_writer *log, struct engine *engine, const struct arguments *arguments)
{
    const int64_t n = engine->atoms;
    const struct units *units = engine->units;
    const trajlog_frequency due = trajlog_every_between(arguments->every, engine->first_step, TRAJLOG_NO_STOP);

    trajlog_group *init = trajlog_add_group(log, "init", trajlog_once());
    trajlog_add_field(init, "id", TRAJLOG_INT32, TRAJLOG_SHAPE(n), engine->id, NULL);
    add_view(init, "type", TRAJLOG_INT32, TRAJLOG_SHAPE(n), fill_types, NULL, NULL, TRAJLOG_ROLE_SPECIES);
    add_view(init, "mass", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(n), fill_masses, NULL, units->mass, TRAJLOG_ROLE_MASS);
    if (lammps_extract_setting(engine->lammps, "q_flag") == 1)
        add_view(init, "charge", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(n), fill_charges, NULL, units->charge,
                 TRAJLOG_ROLE_CHARGE);

    trajlog_group *trajectory = trajlog_add_group(log, "trajectory", due);
    add_view(trajectory, "position", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(n, 3), fill_vectors, "x", units->length,
             TRAJLOG_ROLE_POSITION);
    add_view(trajectory, "velocity", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(n, 3), fill_vectors, "v", units->velocity,
             TRAJLOG_ROLE_VELOCITY);
    add_view(trajectory, "image", TRAJLOG_INT32, TRAJLOG_SHAPE(n, 3), fill_images, NULL, NULL, TRAJLOG_ROLE_IMAGE);
    trajlog_field *box =
        trajlog_add_field(trajectory, "box", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3, 3), engine->box, units->length);
    (void)trajlog_set_role(box, TRAJLOG_ROLE_BOX_EDGES, NULL);
    set_boundary(log, engine);
    trajlog_add_field(trajectory, "box_origin", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3), engine->origin, units->length);
    if (!arguments->no_thermo) declare_thermo(log, engine, due);
}

/* The state itself is in LAMMPS's restart file. */
static void declare_checkpoint(trajlog_writer *log, const struct engine *engine)
{
    trajlog_group *checkpoint = trajlog_add_checkpoint(log);
    trajlog_add_field(checkpoint, "first_step", TRAJLOG_INT64, TRAJLOG_SCALAR, &engine->first_step, NULL);
    trajlog_add_field(checkpoint, "restart_file", TRAJLOG_INT32, TRAJLOG_SCALAR, &engine->restart_file, NULL);
}

static trajlog_writer *open_log(const struct engine *engine, const struct arguments *arguments,
                                const struct restart *restart)
{
    char version[16];
    snprintf(version, sizeof version, "%d", lammps_version(engine->lammps));
    trajlog_options options = trajlog_default_options();
    options.existing = arguments->replace ? TRAJLOG_REPLACE : TRAJLOG_REFUSE;
    options.config_path = arguments->config;
    options.synchronous = arguments->synchronous;
    options.total_steps = arguments->steps + 1;
    options.progress = progress_bar(arguments->quiet);
    options.program = "LAMMPS";
    options.program_version = version;
    options.profile = choose_profile(engine->units);
    options.time_unit = engine->units->time != NULL ? engine->units->time : "";
    trajlog_writer *log = NULL;
    /* Failures stick to the log, and the first trajlog_log returns them. */
    if (restart->goes_on) (void)trajlog_resume(&log, arguments->out, restart->last_step, &options);
    else (void)trajlog_create(&log, arguments->out, &options);
    (void)trajlog_set_metadata(log, "lammps_units", engine->units->style);
    if (engine->units->time != NULL) (void)trajlog_set_metadata(log, "time_unit", engine->units->time);
    return log;
}

/* LAMMPS calls this, at the end of a step that is due. */
static bool log_step(void *context)
{
    struct engine *engine = context;
    trim_screen();
    bool good = read_out(engine);
    if (good && trajlog_log_state(logged, engine->step, engine->time, engine) != TRAJLOG_OK) {
        fail("%s", trajlog_message(logged));
        good = false;
    }
    engine->logging_failed = !good;
    return good;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Checkpoints
 * ------------------------------------------------------------------------------------------------------------------ */

static bool restart_path(char *path, size_t size, const struct arguments *arguments, const char *suffix)
{
    int length = snprintf(path, size, "%s.restart.%s", arguments->out, suffix);
    if (length > 0 && (size_t)length < size) return true;
    fail("%s: the name is too long", arguments->out);
    return false;
}

static const char *restart_suffix(int32_t file)
{
    return file == 0 ? "0" : "1";
}

/* Brings a file, or the names in a directory, to the disk. */
static bool sync_path(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    bool good = descriptor >= 0 && fsync(descriptor) == 0;
    if (!good) fail("%s: %s", path, strerror(errno));
    if (descriptor >= 0) close(descriptor);
    return good;
}

/* Gives the new restart file its name, which an older one may have, when it is on the disk. */
static bool keep_restart_file(const char *new_path, const char *path)
{
    char directory[PATH_MAX];
    if (!sync_path(new_path)) return false;
    if (rename(new_path, path) != 0) {
        fail("%s: %s", path, strerror(errno));
        return false;
    }
    snprintf(directory, sizeof directory, "%s", path);
    return sync_path(dirname(directory));
}

static int64_t checkpoint_interval(const struct arguments *arguments)
{
    int64_t frames = arguments->checkpoint / arguments->every + (arguments->checkpoint % arguments->every != 0);
    return frames * arguments->every;
}

/* Lets LAMMPS go on in time from the checkpoint's. It did not keep the time in restart files before 2022, so a run that
 * goes on has to say it; the run that made the checkpoint does so too, for the same last bits. */
static void set_clock(struct engine *engine)
{
    *(double *)lammps_extract_global(engine->lammps, "atime") = engine->time;
    *(int64_t *)lammps_extract_global(engine->lammps, "atimestep") = engine->step;
}

/* Makes a checkpoint of the step that was just logged. */
static bool make_checkpoint(struct engine *engine, const struct arguments *arguments)
{
    char new_path[PATH_MAX], path[PATH_MAX];
    int64_t steps = engine->step - engine->first_step;
    engine->restart_file = (int32_t)(steps / checkpoint_interval(arguments) % 2);
    if (!restart_path(new_path, sizeof new_path, arguments, "new") ||
        !restart_path(path, sizeof path, arguments, restart_suffix(engine->restart_file)))
        return false;
    if (!command(engine, "write_restart %s", new_path) || !keep_restart_file(new_path, path)) return false;
    set_clock(engine);
    if (trajlog_checkpoint(logged, engine->step, engine->time) == TRAJLOG_OK) return true;
    fail("%s", trajlog_message(logged));
    return false;
}

/* Looks for the newest checkpoint of the log, and tells LAMMPS its restart file. */
static bool restore(struct engine *engine, struct arguments *arguments, struct restart *restart)
{
    static char path[PATH_MAX];
    trajlog_request requests[] = {
        {"first_step", TRAJLOG_INT64, &engine->first_step, sizeof engine->first_step},
        {"restart_file", TRAJLOG_INT32, &engine->restart_file, sizeof engine->restart_file},
    };
    trajlog_reader *reader = NULL;
    trajlog_status status = trajlog_open(&reader, arguments->out);
    restart->goes_on = status != TRAJLOG_NOT_FOUND;
    if (status == TRAJLOG_OK) status = trajlog_restore(reader, requests, 2, &restart->last_step, &engine->time);
    if (status != TRAJLOG_OK && status != TRAJLOG_NOT_FOUND) fail("%s", trajlog_reader_message(reader));
    trajlog_reader_close(&reader);
    if (status != TRAJLOG_OK) return status == TRAJLOG_NOT_FOUND;
    if (!restart_path(path, sizeof path, arguments, restart_suffix(engine->restart_file))) return false;
    if (access(path, R_OK) != 0) {
        fail("%s: %s; it belongs to the newest checkpoint, of step %" PRId64, path, strerror(errno),
             restart->last_step);
        return false;
    }
    arguments->lammps[arguments->lammps_count++] = "-var";
    arguments->lammps[arguments->lammps_count++] = "restart";
    arguments->lammps[arguments->lammps_count++] = path;
    return true;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The run
 * ------------------------------------------------------------------------------------------------------------------ */

/* Sees to it that LAMMPS stands at the step where the run begins. */
static bool find_place(struct engine *engine, const struct restart *restart)
{
    engine->step = *(int64_t *)lammps_extract_global(engine->lammps, "ntimestep");
    if (restart->last_step == TRAJLOG_FROM_THE_START) engine->first_step = engine->step;
    else if (engine->step != restart->last_step) {
        fail("the input script ends at step %" PRId64 ", and the newest checkpoint is of step %" PRId64
             ": it is to read the restart file ${restart}",
             engine->step, restart->last_step);
        return false;
    }
    return true;
}

/* Gives LAMMPS the fix that calls log_step, behind all others. */
static bool add_fix(struct engine *engine, const struct arguments *arguments, const struct restart *restart)
{
    const bool goes_on = restart->last_step != TRAJLOG_FROM_THE_START;
    const int64_t frames = goes_on ? (engine->step - engine->first_step) / arguments->every + 1 : 0;
    engine->fix = (struct lammps_fix){.next = engine->first_step + frames * arguments->every,
                                      .every = arguments->every,
                                      .energies = !arguments->no_thermo,
                                      .call = log_step,
                                      .context = engine};
    lammps_fix_register(engine->lammps, &engine->fix);
    if (engine->fix.energies && !complete_thermo_style(engine)) return false;
    return command(engine, "fix trajlog all trajlog");
}

/* Runs as far as one `run` command goes: to the next checkpoint or to the end. */
static bool run_part(struct engine *engine, int64_t steps, int64_t stop)
{
    int64_t expected = engine->step + steps;
    if (!command(engine, "run %" PRId64 " start %" PRId64 " stop %" PRId64 " post no", steps, engine->first_step, stop))
        return false;
    if (engine->logging_failed) return false;
    engine->step = *(int64_t *)lammps_extract_global(engine->lammps, "ntimestep");
    if (engine->step == expected) return true;
    fail("LAMMPS stopped at step %" PRId64 " and not at %" PRId64 " (fix halt, or timer timeout?)", engine->step,
         expected);
    return false;
}

/* How many steps the next `run` command has; LAMMPS takes INT32_MAX of them at most. */
static int64_t part_length(const struct engine *engine, int64_t interval, int64_t stop)
{
    int64_t length = stop - engine->step;
    if (length > INT32_MAX) length = INT32_MAX;
    if (interval == 0) return length;
    int64_t to_checkpoint = interval - (engine->step - engine->first_step) % interval;
    return length < to_checkpoint ? length : to_checkpoint;
}

/* A run that goes on has logged its first step; any other does so in the setup of its first part. */
static bool run(struct engine *engine, const struct arguments *arguments, const struct restart *restart)
{
    const int64_t stop = engine->first_step + arguments->steps, interval = checkpoint_interval(arguments);
    if (!add_fix(engine, arguments, restart)) return false;
    bool begins = restart->last_step == TRAJLOG_FROM_THE_START;
    if (!begins) set_clock(engine);
    for (; begins || engine->step < stop; begins = false) {
        int64_t steps = part_length(engine, interval, stop);
        if (!run_part(engine, steps, stop)) return false;
        const bool due = interval > 0 && steps > 0 && (engine->step - engine->first_step) % interval == 0;
        if (due && !make_checkpoint(engine, arguments)) return false;
    }
    return true;
}

static bool run_and_log(struct engine *engine, struct arguments *arguments)
{
    struct restart restart = {.goes_on = false, .last_step = TRAJLOG_FROM_THE_START};
    if (arguments->resume && !restore(engine, arguments, &restart)) return false;
    if (!start_lammps(engine, arguments)) return false;
    lammps_file(engine->lammps, arguments->input);
    if (!went_well(engine) || !check_lammps(engine) || !take_ids(engine) || !find_place(engine, &restart)) return false;

    logged = open_log(engine, arguments, &restart);
    /* Only now: handlers run in reverse order, and libhdf5, which registers its own, must live longer than the log. */
    if (atexit(close_log) != 0) return false;
    declare_log(logged, engine, arguments);
    if (arguments->checkpoint > 0) declare_checkpoint(logged, engine);
    bool good = run(engine, arguments, &restart);
    if (trajlog_close(&logged) == TRAJLOG_OK) return good;
    if (good) fail("%s", trajlog_message(NULL));
    return false;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The command line
 * ------------------------------------------------------------------------------------------------------------------ */

enum option_key { KEY_CONFIG = 256, KEY_SYNC, KEY_REPLACE, KEY_RESUME, KEY_CHECKPOINT, KEY_LAMMPS_LOG, KEY_NO_THERMO };

static const struct argp_option option_list[] = {
    {"input", 'i', "FILE", 0, "LAMMPS's input script, without a run command", 0},
    {"steps", 's', "S", 0, "Run S steps (default 1000)", 0},
    {"every", 'k', "K", 0, "Log the first step and every K steps after it (default 10)", 0},
    {"out", 'o', "FILE", 0, "The log to write", 0},
    {"var", 'v', "NAME=VALUE", 0, "Set a variable of the script, as LAMMPS's -var; may be repeated", 0},
    {"replace", KEY_REPLACE, NULL, 0, "Replace the log if it exists", 0},
    {"checkpoint", KEY_CHECKPOINT, "N", 0,
     "Let LAMMPS write a restart file every N steps, rounded up to a multiple of K (default 0: none)", 0},
    {"resume", KEY_RESUME, NULL, 0,
     "Go on from the newest checkpoint in the log, if there is one; else start over in it", 0},
    {"config", KEY_CONFIG, "FILE", 0, "A JSON configuration for the log", 0},
    {"sync", KEY_SYNC, NULL, 0, "Write from the simulation's thread, without a queue", 0},
    {"no-thermo", KEY_NO_THERMO, NULL, 0, "No group thermo: LAMMPS need not compute energies and pressure for it", 0},
    {"lammps-log", KEY_LAMMPS_LOG, "FILE", 0, "LAMMPS's own log.lammps (default none)", 0},
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

static void parse_variable(struct argp_state *state, char *text)
{
    struct arguments *arguments = state->input;
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        argp_error(state, "%s: expected NAME=VALUE", text);
        return;
    }
    if (arguments->lammps_count + 3 > MAXIMUM_ARGUMENTS - 10) argp_error(state, "too many variables");
    *equals = '\0';
    arguments->lammps[arguments->lammps_count++] = "-var";
    arguments->lammps[arguments->lammps_count++] = text;
    arguments->lammps[arguments->lammps_count++] = equals + 1;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'i':
        arguments->input = text;
        break;
    case 's':
        arguments->steps = parse_integer(state, text, 0, INT64_MAX / 2);
        break;
    case 'k':
        arguments->every = parse_integer(state, text, 1, INT32_MAX);
        break;
    case 'o':
        arguments->out = text;
        break;
    case 'q':
        arguments->quiet = true;
        break;
    case 'v':
        parse_variable(state, text);
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
        arguments->checkpoint = parse_integer(state, text, 0, INT32_MAX);
        break;
    case KEY_REPLACE:
        arguments->replace = true;
        break;
    case KEY_NO_THERMO:
        arguments->no_thermo = true;
        break;
    case KEY_LAMMPS_LOG:
        arguments->lammps_log = text;
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: unexpected", text);
        break;
    case ARGP_KEY_END:
        if (arguments->input == NULL || arguments->out == NULL)
            argp_error(state, "--input FILE and --out FILE are needed");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp parser = {option_list, parse_option, NULL, "Runs LAMMPS and logs with trajlog.",
                                   NULL,        NULL,         NULL};

int main(int argc, char **argv)
{
    struct arguments arguments = {
        .steps = 1000, .every = 10, .lammps_log = "none", .lammps = {"lammps_log"}, .lammps_count = 1};
    argp_parse(&parser, argc, argv, 0, NULL, &arguments);

    struct engine engine = {0};
    bool good = run_and_log(&engine, &arguments);
    if (good && !arguments.quiet)
        printf("%" PRId64 " atoms, steps %" PRId64 " to %" PRId64 ", every %" PRId64 " logged\n", engine.atoms,
               engine.first_step, engine.step, arguments.every);
    free(engine.id);
    free(engine.row);
    if (engine.lammps != NULL) {
        lammps_close(engine.lammps);
        lammps_mpi_finalize();
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
