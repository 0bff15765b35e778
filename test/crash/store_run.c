/* A run on the store, recorded, to be cut anywhere and taken up again.
 *
 *     store_run PATH LOG KEY=NUMBER...    keys below; all of the file follows from them
 *
 * Group "every" of each step and "third" of each third: element j of a field at step s is 1000 s + j, with fields plain,
 * packed and wide; "init", once: 1000 ... The checkpoint's "state" likewise. With gas=1, a group "gas" of each step too,
 * with the same in x, packed and id, for as many particles as gas_at says: now and then more than ever before. With add=N,
 * "every" has a field "late" too, and there are N groups "late", "late1", ... of each step. Prints and records a line when rows were
 * committed ("flushed STEP"), a checkpoint was taken ("checkpoint STEP"), and the file was taken up ("resumed STEP") or
 * closed. */
#include <hdf5.h>

#include <stdlib.h>
#include <unistd.h>

#include "crash/record.h"
#include "model/role.h"
#include "store/store.h"

#define WIDTH 6    /* 2 particles */
#define WIDE  1200 /* bigger than two pages, in chunks of 3 */
#define STATE 700

struct options {
    long first, steps, commit, checkpoint, abandon, start, add, gas;
};

static struct options options = {.first = -1, .steps = 20, .commit = 3};
static struct recorder recorder;
static struct error error;
static struct schema *schema;
static struct store *store;

static void need(trajlog_status status)
{
    if (status == TRAJLOG_OK) return;
    fprintf(stderr, "%s: %s\n", trajlog_status_name(status), error.message);
    exit(1);
}

static void report(const char *what, long step)
{
    printf("%s %ld\n", what, step);
    recorder_log(&recorder, "mark %s %ld\n", what, step);
}

/* ---- the schema ---- */

static struct field *add_field(struct group *group, const char *name, trajlog_shape shape, struct storage storage)
{
    struct field *field = NULL;
    const char *unit = strcmp(name, "late") == 0 ? "nm ps-1" : "nm";
    need(schema_add_field(group, name, TRAJLOG_FLOAT64, shape, unit, &field, &error));
    if (!group->checkpoint) need(field_set_storage(group, field, &storage, &error));
    return field;
}

#define GAS_CAPACITY 2 /* to begin with */

static int64_t gas_at(long step)
{
    return step % 7 == 6 ? step : step % 3;
}

static void add_role(struct group *group, const char *name, trajlog_type type, trajlog_shape shape, trajlog_role role,
                     struct storage storage)
{
    struct field *field = NULL;
    need(schema_add_field(group, name, type, shape, NULL, &field, &error));
    need(field_set_role(schema, group, field, role, "gas", &error));
    need(field_set_storage(group, field, &storage, &error));
}

static void declare_gas(void)
{
    const struct storage few = {.chunk_rows = 5}, narrow = {.chunk_rows = 3, .access = TRAJLOG_ACCESS_PARTICLE};
    const struct storage packed = {.chunk_rows = 4, .compression = TRAJLOG_COMPRESSION_DEFLATE, .checksum = true};
    const trajlog_shape vectors = TRAJLOG_SHAPE(GAS_CAPACITY, 3), numbers = TRAJLOG_SHAPE(GAS_CAPACITY);
    struct group *group = NULL;
    need(schema_add_group(schema, "gas", trajlog_every(1), &group, &error));
    group->varying = true;
    add_role(group, "count", TRAJLOG_INT64, TRAJLOG_SCALAR, TRAJLOG_ROLE_NONE, few);
    add_role(group, "x", TRAJLOG_FLOAT64, vectors, TRAJLOG_ROLE_POSITION, few);
    add_role(group, "packed", TRAJLOG_FLOAT64, vectors, TRAJLOG_ROLE_PARTICLE, packed);
    add_role(group, "id", TRAJLOG_INT64, numbers, TRAJLOG_ROLE_ID, narrow);
}

static void declare(void)
{
    const struct storage plain = {.chunk_rows = 0}, few = {.chunk_rows = 3};
    const struct storage packed = {.chunk_rows = 4, .compression = TRAJLOG_COMPRESSION_DEFLATE, .checksum = true};
    struct group *group = NULL;
    schema = schema_new();
    need(schema_add_group(schema, "init", trajlog_once(), &group, &error));
    add_field(group, "plain", TRAJLOG_SHAPE(WIDTH), plain);
    need(schema_add_group(schema, "every", trajlog_every(1), &group, &error));
    struct field *position = add_field(group, "plain", TRAJLOG_SHAPE(2, 3), (struct storage){.chunk_rows = 5});
    need(field_set_role(schema, group, position, TRAJLOG_ROLE_POSITION, NULL, &error));
    add_field(group, "packed", TRAJLOG_SHAPE(WIDTH), packed);
    if (options.add) {
        struct field *velocity = add_field(group, "late", TRAJLOG_SHAPE(2, 3), packed);
        need(field_set_role(schema, group, velocity, TRAJLOG_ROLE_VELOCITY, NULL, &error));
    }
    need(schema_add_group(schema, "third", trajlog_every(3), &group, &error));
    add_field(group, "scalar", TRAJLOG_SCALAR, plain);
    add_field(group, "wide", TRAJLOG_SHAPE(WIDE), few);
    for (long i = 0; i < options.add; i++) {
        char name[30] = "late";
        if (i > 0) snprintf(name, sizeof name, "late%ld", i);
        need(schema_add_group(schema, name, trajlog_every(1), &group, &error));
        add_field(group, "plain", TRAJLOG_SHAPE(WIDTH), plain);
    }
    if (options.gas) declare_gas();
    if (!options.checkpoint) return;
    need(schema_add_checkpoint(schema, &group, &error));
    add_field(group, "state", TRAJLOG_SHAPE(STATE), plain);
    add_field(group, "small", TRAJLOG_SHAPE(WIDTH), plain);
}

/* ---- the data ---- */

static void fill(const struct group *group, long step, double rows[][WIDE], const void **fields)
{
    for (size_t i = 0; i < group->field_count; i++) {
        for (int64_t j = 0; j < group->fields[i]->element_count; j++) rows[i][j] = 1000.0 * (double)step + (double)j;
        fields[i] = rows[i];
    }
}

static void fill_gas(long step, double rows[][WIDE], const void **fields)
{
    const int64_t count = gas_at(step);
    int64_t *ids = (int64_t *)(void *)rows[3];
    memcpy(rows[0], &count, sizeof count);
    for (int64_t j = 0; j < 3 * count; j++) rows[1][j] = rows[2][j] = 1000.0 * (double)step + (double)j;
    for (int64_t j = 0; j < count; j++) ids[j] = 1000 * step + j;
    for (int i = 0; i < 4; i++) fields[i] = rows[i];
}

static void log_step(long step)
{
    static double rows[4][WIDE];
    const void *fields[4];
    for (size_t i = 0; i < schema->group_count; i++) {
        const struct group *group = schema->groups[i];
        if (group->checkpoint || group_is_once(group) || !trajlog_frequency_is_due(&group->frequency, step)) continue;
        if (group->varying) fill_gas(step, rows, fields);
        else fill(group, step, rows, fields);
        need(store_append(store, i, step, 0.5 * (double)step, fields, &error));
    }
    store_set_last_step(store, step);
}

static void write_checkpoint(long step)
{
    static double rows[4][WIDE];
    const void *fields[4];
    size_t last = schema->group_count - 1;
    fill(schema->groups[last], step, rows, fields);
    need(store_write_checkpoint(store, last, step, 0.5 * (double)step, fields, &error));
    report("checkpoint", step);
}

/* ---- the run ---- */

static void begin(const char *path)
{
    static double rows[4][WIDE];
    const void *fields[4];
    struct store_options given = {.existing = TRAJLOG_REFUSE, .accept_additions = options.add != 0};
    int64_t step = options.start ? FROM_THE_START : options.first - 1;
    if (options.first < 0) need(store_create(&store, path, &given, &error));
    else need(store_resume(&store, path, step, &given, &error));
    need(store_define(store, schema, &error));
    fill(schema->groups[0], 1, rows, fields);
    if (!store_has_once(store, 0)) need(store_write_once(store, 0, 0, 0.0, fields, &error));
    need(store_start(store, &error));
    report(options.first < 0 ? "created" : "resumed", options.first - 1);
}

static void run(void)
{
    for (long step = options.first < 0 ? 0 : options.first; step < options.steps; step++) {
        log_step(step);
        if (options.commit > 0 && (step + 1) % options.commit == 0) {
            need(store_commit(store, COMMIT_FLUSHED, &error));
            report("flushed", step);
        }
        if (options.checkpoint > 0 && (step + 1) % options.checkpoint == 0) write_checkpoint(step);
    }
}

static int parse(int argc, char **argv)
{
    const struct {
        const char *key;
        long *number;
    } keys[] = {{"first", &options.first}, {"steps", &options.steps},     {"commit", &options.commit},
                {"add", &options.add},     {"abandon", &options.abandon}, {"checkpoint", &options.checkpoint},
                {"start", &options.start}, {"gas", &options.gas}};
    for (int i = 3; i < argc; i++) {
        size_t k = 0, count = sizeof keys / sizeof *keys, length = strcspn(argv[i], "=");
        while (k < count && (strlen(keys[k].key) != length || strncmp(argv[i], keys[k].key, length) != 0)) k++;
        if (k == count || argv[i][length] != '=') return -1;
        *keys[k].number = atol(argv[i] + length + 1);
    }
    return argc >= 3 ? 0 : -1;
}

int main(int argc, char **argv)
{
    if (parse(argc, argv) != 0) {
        fprintf(stderr, "store_run PATH LOG KEY=NUMBER...\n");
        return 2;
    }
    const struct driver_io io = recorder_io(&recorder);
    recorder.log = fopen(argv[2], "wb");
    if (recorder.log == NULL) return 2;
    store_io = &io;
    declare();
    begin(argv[1]);
    run();
    if (!options.abandon) {
        need(store_close(store, &error));
        report("closed", options.steps - 1);
    }
    fclose(recorder.log);
    fflush(stdout);
    if (options.abandon) _exit(0);
    schema_free(schema);
    return 0;
}
