/* Logs values that follow from step and place alone, so that a test can compute anew what must be in the file:
 *
 *     write_log FILE KIND STEPS [synchronous | committing | measured | tight]
 *
 * KIND: "types": every element type, scalar and array; "layouts": one array through views of every sort; "scalars": a
 * few scalars each step, and nothing else; "particles": 1000 particles each step; "metadata": one step, and all the
 * texts that a log takes. "committing": after every 20 rows. "measured": prints the most memory that was resident, KiB,
 * and the processor time that was spent outside of the system, seconds; "tight": the same with a queue of 4 MiB, all of
 * whose memory a short run needs as well. A failure prints its message on the standard error stream; the exit status is the
 * status' number. */
#include <complex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "trajlog.h"

/* The value at a place of an array of a step; small enough for every type. */
static int value(int64_t step, int place)
{
    return (int)((step * 7 + place * 3) % 100);
}

/* ----------------------------------------------------------------------------------------------- element types --- */

#define LENGTH 6
#define TYPES(X)                                                                                                       \
    X(int8, int8_t, INT8)                                                                                              \
    X(int16, int16_t, INT16)                                                                                           \
    X(int32, int32_t, INT32)                                                                                           \
    X(int64, int64_t, INT64)                                                                                           \
    X(uint8, uint8_t, UINT8)                                                                                           \
    X(uint16, uint16_t, UINT16)                                                                                        \
    X(uint32, uint32_t, UINT32)                                                                                        \
    X(uint64, uint64_t, UINT64)                                                                                        \
    X(float32, float, FLOAT32)                                                                                         \
    X(float64, double, FLOAT64)                                                                                        \
    X(complex64, float complex, COMPLEX64)                                                                             \
    X(complex128, double complex, COMPLEX128)

#define DECLARE_ARRAY(name, type, code) static type name##_array[LENGTH];
TYPES(DECLARE_ARRAY)
static bool bool_array[LENGTH];
static char string_array[LENGTH][5];

static void set_types(int64_t step)
{
    for (int i = 0; i < LENGTH; i++) {
#define SET_ARRAY(name, type, code) name##_array[i] = (type)value(step, i);
        TYPES(SET_ARRAY)
        complex64_array[i] += (float complex)(value(step, i + 1) * I);
        complex128_array[i] += value(step, i + 2) * I;
        bool_array[i] = value(step, i) % 2 == 1;
        /* One to five bytes; what lies behind the end is not to be seen in the file. */
        memset(string_array[i], '?', sizeof string_array[i]);
        int length = 1 + value(step, i) % 5;
        memset(string_array[i], 'a' + value(step, i) % 26, (size_t)length);
        if (length < 5) string_array[i][length] = '\0';
    }
}

static void add_types(trajlog_group *group)
{
    /* The first element as a scalar too. */
#define ADD_ARRAY(name, type, code)                                                                                    \
    trajlog_add_field(group, "array/" #name, TRAJLOG_##code, TRAJLOG_SHAPE(2, LENGTH / 2), name##_array, NULL);        \
    trajlog_add_field(group, "scalar/" #name, TRAJLOG_##code, TRAJLOG_SCALAR, name##_array, NULL);
    TYPES(ADD_ARRAY)
    trajlog_add_field(group, "array/bool", TRAJLOG_BOOL, TRAJLOG_SHAPE(2, LENGTH / 2), bool_array, NULL);
    trajlog_add_field(group, "scalar/bool", TRAJLOG_BOOL, TRAJLOG_SCALAR, bool_array, NULL);
    trajlog_add_field(group, "array/string", TRAJLOG_STRING(5), TRAJLOG_SHAPE(2, LENGTH / 2), string_array, NULL);
    trajlog_add_field(group, "scalar/string", TRAJLOG_STRING(5), TRAJLOG_SCALAR, string_array, NULL);
}

static void declare_types(trajlog_writer *log)
{
    add_types(trajlog_add_group(log, "once", trajlog_once()));
    add_types(trajlog_add_group(log, "every", trajlog_every(2)));
}

/* ------------------------------------------------------------------------------------------------------ layouts --- */

/* Every field is the array x[i][j] = value(step, 10 i + j) + 0.5 of shape [ROWS, 3]. */
#define ROWS 40

struct particle {
    char symbol;
    double position[3];
    int id;
};

static struct particle particles[ROWS];
static double dense[ROWS][3], wide[ROWS][8], fortran[3][ROWS];
static int64_t integers[ROWS][3];

static double coordinate(int64_t step, int i, int j)
{
    return value(step, 10 * i + j) + 0.5;
}

static void set_layouts(int64_t step)
{
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < 3; j++) {
            double x = coordinate(step, i, j);
            dense[i][j] = particles[i].position[j] = wide[i][2 * j + 1] = fortran[j][i] = x;
            integers[i][j] = (int64_t)x;
        }
}

static int fill_double(void *frame, const void *state, void *context)
{
    double *x = frame;
    int *calls = context;
    ++*calls;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < 3; j++) x[3 * i + j] = coordinate(*(const int64_t *)state, i, j);
    return 0;
}

static void declare_layouts(trajlog_writer *log)
{
    static int calls;
    trajlog_group *group = trajlog_add_group(log, "layouts", trajlog_with_last(trajlog_every(3)));
    trajlog_shape shape = TRAJLOG_SHAPE(ROWS, 3);
    ptrdiff_t size = sizeof(double);
#define ADD(name, type, data) trajlog_add_field(group, name, TRAJLOG_##type, shape, data, "nm")
    ADD("dense", FLOAT64, dense);
    trajlog_store_as(ADD("dense_float32", FLOAT64, dense), TRAJLOG_FLOAT32);
    trajlog_store_as(ADD("integers_int16", INT64, integers), TRAJLOG_INT16);
    trajlog_store_as(ADD("integers_float64", INT64, integers), TRAJLOG_FLOAT64);
    ptrdiff_t structures[] = {sizeof(struct particle), size};
    trajlog_bind(ADD("structures", FLOAT64, NULL), particles[0].position, structures);
    trajlog_field *narrow = ADD("structures_float32", FLOAT64, NULL);
    trajlog_bind(narrow, particles[0].position, structures);
    trajlog_store_as(narrow, TRAJLOG_FLOAT32);
    trajlog_bind(ADD("columns", FLOAT64, NULL), &wide[0][1], (ptrdiff_t[]){8 * size, 2 * size});
    trajlog_bind_fortran(ADD("fortran", FLOAT64, NULL), fortran);
    trajlog_bind(ADD("reversed", FLOAT64, NULL), dense[ROWS - 1], (ptrdiff_t[]){-3 * size, size});
    trajlog_bind(ADD("repeated", FLOAT64, NULL), dense, (ptrdiff_t[]){0, size});
    trajlog_set_callback(ADD("callback", FLOAT64, NULL), fill_double, &calls);
    trajlog_field *converted = ADD("callback_float32", FLOAT64, NULL);
    trajlog_set_callback(converted, fill_double, &calls);
    trajlog_store_as(converted, TRAJLOG_FLOAT32);
}

/* ---------------------------------------------------------------------------------------------- the other kinds --- */

static double energies[5], positions[1000][3];

static void set_scalars(int64_t step)
{
    for (int i = 0; i < 5; i++) energies[i] = (double)step + 0.25 * i;
}

static void declare_scalars(trajlog_writer *log)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    trajlog_group *group = trajlog_add_group(log, "scalars", trajlog_every(1));
    for (int i = 0; i < 5; i++) trajlog_add_field(group, names[i], TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &energies[i], NULL);
}

static void set_particles(int64_t step)
{
    for (int i = 0; i < 1000; i++)
        for (int j = 0; j < 3; j++) positions[i][j] = (double)(step * 3000 + 3 * i + j);
}

static void declare_particles(trajlog_writer *log)
{
    trajlog_group *group = trajlog_add_group(log, "particles", trajlog_every(1));
    trajlog_add_field(group, "position", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(1000, 3), positions, "nm");
}

static void set_nothing(int64_t step)
{
    (void)step;
}

static void declare_metadata(trajlog_writer *log)
{
    trajlog_group *group = trajlog_add_group(log, "groß", trajlog_every(1));
    trajlog_field *field = trajlog_add_field(group, "θ/x y", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3), positions, "kJ mol-1");
    trajlog_set_description(field, "an angle, of a kind");
    trajlog_set_metadata(log, "title", "first");
    trajlog_set_metadata(log, "title", "second");
    trajlog_set_metadata_json(log, "{\"temperature\": 300.5, \"tags\": [\"a\", null]}");
    trajlog_group_set_metadata(group, "thermostat", "none");
    trajlog_field_set_metadata_json(field, "{\"error\": {\"absolute\": 1e-3}}");
    trajlog_storage storage = {
        .struct_size = sizeof storage, .compression = TRAJLOG_COMPRESSION_DEFLATE, .level = 4, .checksum = 1};
    trajlog_set_storage(field, &storage);
}

static const struct {
    const char *name;
    void (*declare)(trajlog_writer *log);
    void (*set)(int64_t step);
} kinds[] = {
    {"types", declare_types, set_types},         {"layouts", declare_layouts, set_layouts},
    {"scalars", declare_scalars, set_scalars},   {"particles", declare_particles, set_particles},
    {"metadata", declare_metadata, set_nothing},
};

static trajlog_status write_log(const char *path, size_t kind, int64_t steps, const char *manner)
{
    trajlog_writer *log = NULL;
    trajlog_options options = trajlog_default_options();
    options.synchronous = strcmp(manner, "synchronous") == 0;
    options.flush_rows = strcmp(manner, "committing") == 0 ? 20 : 0;
    options.queue_bytes = strcmp(manner, "tight") == 0 ? (size_t)4 << 20 : 0;
    options.program = "write_log";
    options.program_version = "7";
    trajlog_create(&log, path, &options);
    kinds[kind].declare(log);
    for (int64_t step = 0; step < steps; step++) {
        kinds[kind].set(step);
        if (trajlog_log_state(log, step, 0.125 * (double)step, &step) != TRAJLOG_OK) break;
        kinds[kind].set(step + 1000); /* the caller goes on at once */
    }
    return trajlog_close(&log);
}

/* Not what getrusage says: that is no less than the memory of the process that started this one. */
static long most_resident_kib(void)
{
    char line[200];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && kib < 0 && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmHWM: %ld", &kib) != 1) kib = -1;
    if (file != NULL) fclose(file);
    return kib;
}

static void print_measurements(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return;
    printf("%ld %.6f\n", most_resident_kib(), (double)usage.ru_utime.tv_sec + 1e-6 * (double)usage.ru_utime.tv_usec);
}

int main(int argc, char **argv)
{
    size_t kind = 0, count = sizeof kinds / sizeof kinds[0];
    while (argc >= 4 && kind < count && strcmp(argv[2], kinds[kind].name) != 0) kind++;
    if (argc < 4 || kind == count) {
        fputs("usage: write_log FILE types|layouts|scalars|particles|metadata STEPS "
              "[synchronous|committing|measured|tight]\n",
              stderr);
        return 100;
    }
    trajlog_status status = write_log(argv[1], kind, strtoll(argv[3], NULL, 10), argc > 4 ? argv[4] : "");
    if (status != TRAJLOG_OK) fprintf(stderr, "%s\n", trajlog_message(NULL));
    if (argc > 4 && (strcmp(argv[4], "measured") == 0 || strcmp(argv[4], "tight") == 0)) print_measurements();
    return (int)status;
}
