/* A program to be killed: it logs what a plan says, and tells on its standard output what it was told by the library.
 *
 *     writer FILE PLAN [KEY=VALUE...]
 *
 * PLAN is a text that plans.py makes from a seed. Keys: salt=NUMBER (the data follow from it), first=STEP (begin there),
 * resume=STEP or resume=start (take FILE up), existing=replace.
 *
 * The 64-bit word k of a field's frame is mix(mix(mix(salt + field) + step) + k) & mask, where `field` is the field's
 * number in the whole plan; what a word makes of elements, set_field says. plans.py computes the same.
 *
 * Lines: "resuming" (before the call), "created", "logged STEP" (the first one; all, if the plan says so), "flushed STEP"
 * or "synced STEP" (all steps up to it), "checkpointed STEP", "closing DROPPED", "closed", "failed NUMBER MESSAGE". Each
 * is written when the call has returned. A resume takes effect between "resuming" and "logged".
 * Exit status: 0, or the number of the status. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "trajlog.h"

#define MAXIMUM_GROUPS 8
#define MAXIMUM_FIELDS 12
#define MAXIMUM_STEPS  64

struct planned_field {
    char name[64];
    trajlog_type type;
    trajlog_shape shape;
    trajlog_storage storage;
    uint64_t mask;
    uint64_t number;
    size_t elements, bytes;
    unsigned char *data;
};

struct planned_group {
    char name[64];
    char kind[16]; /* once, every, steps, checkpoint */
    int64_t interval, start, stop;
    bool with_first, with_last;
    int64_t steps[MAXIMUM_STEPS];
    size_t step_count, field_count;
    struct planned_field fields[MAXIMUM_FIELDS];
    int64_t capacity, particles; /* to begin with, and at this step; capacity 0: their number does not vary */
};

struct plan {
    int64_t first, count, flush_every, sync_every, pause, once_salt, tell_all;
    uint64_t salt;
    trajlog_options options;
    int64_t checkpoint_every;
    struct planned_group groups[MAXIMUM_GROUPS];
    size_t group_count;
    char seed[32];
    const char *resume;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "writer: %s: %s\n", what, why);
    exit(100);
}

/* Sees each line before it is printed; for those that include this file. */
static void (*on_tell)(const char *line);

/* One line by one write, so that a kill leaves whole lines. */
__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof line) length = (int)sizeof line - 1;
    line[length - 1] = '\n';
    if (on_tell != NULL) on_tell(line);
    if (write(STDOUT_FILENO, line, (size_t)length) != length) exit(101);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The data
 * ------------------------------------------------------------------------------------------------------------------ */

/* The finalizer of MurmurHash3, in the variant of S. Vigna's SplitMix64 (public domain). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void set_text(unsigned char *text, size_t length)
{
    size_t used = 1 + text[0] % length;
    for (size_t i = 0; i < used; i++) text[i] = (unsigned char)('a' + text[i] % 26);
    /* What lies behind the end is not to be seen in the file. */
    memset(text + used, '?', length - used);
    if (used < length) text[used] = '\0';
}

static void set_field(struct planned_field *field, uint64_t salt, int64_t step)
{
    uint64_t base = mix(mix(salt + field->number) + (uint64_t)step);
    for (size_t k = 0; 8 * k < field->bytes; k++) {
        uint64_t word = mix(base + k) & field->mask;
        memcpy(field->data + 8 * k, &word, sizeof word);
    }
    size_t size = trajlog_type_size(field->type);
    if (field->type == TRAJLOG_BOOL)
        for (size_t i = 0; i < field->bytes; i++) field->data[i] &= 1;
    if ((field->type & 0xff) == TRAJLOG_STRING_CODE)
        for (size_t i = 0; i < field->elements; i++) set_text(field->data + i * size, size);
}

static bool is_of_kind(const struct planned_group *group, const char *kind)
{
    return strcmp(group->kind, kind) == 0;
}

static bool is_due(const struct plan *plan, const struct planned_group *group, int64_t step, int64_t begin)
{
    if (is_of_kind(group, "once")) return step == begin;
    if (is_of_kind(group, "checkpoint")) return step % group->interval == 0;
    if (group->with_last && step == plan->first + plan->count - 1) return true;
    if (group->with_first && step == begin) return true;
    if (is_of_kind(group, "every"))
        return step >= group->start && step < group->stop && (step - group->start) % group->interval == 0;
    for (size_t i = 0; i < group->step_count; i++)
        if (group->steps[i] == step) return true;
    return false;
}

/* More and more, up to the most that the fields' shapes have room for. */
static int64_t particles_at(const struct plan *plan, const struct planned_group *group, int64_t step)
{
    int64_t room = group->capacity + (step - plan->first) / 8, most = group->fields[0].shape.dims[0];
    return (int64_t)(mix((uint64_t)step) % (uint64_t)((room < most ? room : most) + 1));
}

/* A `once` group keeps the salt of the first run through all resumes. */
static void set_data(struct plan *plan, int64_t step, int64_t begin)
{
    for (size_t g = 0; g < plan->group_count; g++) {
        struct planned_group *group = &plan->groups[g];
        bool is_once = is_of_kind(group, "once");
        if (group->capacity > 0) group->particles = particles_at(plan, group, step);
        if (!is_due(plan, group, step, begin)) continue;
        for (size_t i = 0; i < group->field_count; i++)
            set_field(&group->fields[i], is_once ? (uint64_t)plan->once_salt : plan->salt, is_once ? 0 : step);
    }
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The plan
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_type type_named(const char *name)
{
    char text[32];
    unsigned length;
    if (sscanf(name, "string[%u]", &length) == 1) return TRAJLOG_STRING(length);
    for (trajlog_type type = TRAJLOG_INT8; type <= TRAJLOG_COMPLEX128; type++)
        if (strcmp(trajlog_type_name(type, text, sizeof text), name) == 0) return type;
    fail("no such type", name);
    return 0;
}

static char *next_word(char **line)
{
    char *word = strsep(line, " \n");
    if (word == NULL || *word == '\0') fail("the plan", "a word is missing");
    return word;
}

static int64_t next_integer(char **line)
{
    return strtoll(next_word(line), NULL, 10);
}

/* group NAME KIND INTERVAL START STOP WITH_FIRST WITH_LAST COUNT STEPS... */
static void read_group(struct plan *plan, char *line)
{
    if (plan->group_count == MAXIMUM_GROUPS) fail("the plan", "too many groups");
    struct planned_group *group = &plan->groups[plan->group_count++];
    snprintf(group->name, sizeof group->name, "%s", next_word(&line));
    snprintf(group->kind, sizeof group->kind, "%s", next_word(&line));
    group->interval = next_integer(&line);
    if (is_of_kind(group, "checkpoint")) plan->checkpoint_every = group->interval;
    group->start = next_integer(&line);
    group->stop = next_integer(&line);
    group->with_first = next_integer(&line) != 0;
    group->with_last = next_integer(&line) != 0;
    group->step_count = (size_t)next_integer(&line);
    if (group->step_count > MAXIMUM_STEPS) fail("the plan", "too many steps");
    for (size_t i = 0; i < group->step_count; i++) group->steps[i] = next_integer(&line);
}

/* field NAME TYPE CHUNK_ROWS LEVEL CHECKSUM ACCESS MASK RANK DIMS...: of the latest group; level 0: no compression */
static void read_field(struct plan *plan, char *line, uint64_t number)
{
    struct planned_group *group = &plan->groups[plan->group_count - 1];
    if (group->field_count == MAXIMUM_FIELDS) fail("the plan", "too many fields");
    struct planned_field *field = &group->fields[group->field_count++];
    field->number = number;
    snprintf(field->name, sizeof field->name, "%s", next_word(&line));
    field->type = type_named(next_word(&line));
    field->storage.struct_size = sizeof field->storage;
    field->storage.chunk_rows = next_integer(&line);
    field->storage.level = (int32_t)next_integer(&line);
    field->storage.compression = field->storage.level > 0 ? TRAJLOG_COMPRESSION_DEFLATE : TRAJLOG_COMPRESSION_NONE;
    field->storage.checksum = (int32_t)next_integer(&line);
    field->storage.access = (trajlog_access)next_integer(&line);
    field->mask = strtoull(next_word(&line), NULL, 16);
    field->shape.rank = (int32_t)next_integer(&line);
    field->elements = 1;
    for (int32_t i = 0; i < field->shape.rank; i++) {
        field->shape.dims[i] = next_integer(&line);
        field->elements *= (size_t)field->shape.dims[i];
    }
    field->bytes = field->elements * trajlog_type_size(field->type);
    field->data = calloc(field->bytes / 8 + 1, 8);
    if (field->data == NULL) fail(field->name, "out of memory");
}

/* varying CAPACITY: the number of particles, the first dimension of the latest group's fields, varies. */
static void read_varying(struct plan *plan, char *line)
{
    plan->groups[plan->group_count - 1].capacity = next_integer(&line);
}

static void read_number(struct plan *plan, const char *key, char *line)
{
    trajlog_options *options = &plan->options;
    const struct {
        const char *key;
        int64_t *number;
    } numbers[] = {{"first", &plan->first},      {"count", &plan->count},           {"flush_every", &plan->flush_every},
                   {"pause", &plan->pause},      {"sync_every", &plan->sync_every}, {"once_salt", &plan->once_salt},
                   {"tell_all", &plan->tell_all}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(key, numbers[i].key) == 0) {
            *numbers[i].number = next_integer(&line);
            return;
        }
    char *word = next_word(&line);
    if (strcmp(key, "seed") == 0) snprintf(plan->seed, sizeof plan->seed, "%s", word);
    else if (strcmp(key, "synchronous") == 0) options->synchronous = atoi(word);
    else if (strcmp(key, "policy") == 0) options->policy = (trajlog_policy)atoi(word);
    else if (strcmp(key, "block_seconds") == 0) options->block_seconds = atof(word);
    else if (strcmp(key, "queue_bytes") == 0) options->queue_bytes = strtoull(word, NULL, 10);
    else if (strcmp(key, "queue_frames") == 0) options->queue_frames = strtoull(word, NULL, 10);
    else if (strcmp(key, "encoder_threads") == 0) options->encoder_threads = atoi(word);
    else if (strcmp(key, "flush_seconds") == 0) options->flush_seconds = atof(word);
    else if (strcmp(key, "total_steps") == 0) options->total_steps = strtoll(word, NULL, 10);
    else fail("the plan has an unknown key", key);
}

static void read_plan(struct plan *plan, const char *path)
{
    char *line = NULL;
    size_t size = 0;
    uint64_t number = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL) fail(path, strerror(errno));
    while (getline(&line, &size, file) > 0) {
        char *rest = line, *key = next_word(&rest);
        if (strcmp(key, "group") == 0) read_group(plan, rest);
        else if (strcmp(key, "field") == 0) read_field(plan, rest, number++);
        else if (strcmp(key, "varying") == 0) read_varying(plan, rest);
        else read_number(plan, key, rest);
    }
    free(line);
    fclose(file);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The run
 * ------------------------------------------------------------------------------------------------------------------ */

static double time_of(const struct plan *plan, int64_t step)
{
    return 0.5 * (double)(step - plan->first);
}

static trajlog_frequency frequency_of(const struct planned_group *group)
{
    trajlog_frequency frequency;
    if (is_of_kind(group, "once")) return trajlog_once();
    if (is_of_kind(group, "every")) frequency = trajlog_every_between(group->interval, group->start, group->stop);
    else frequency = trajlog_at_steps(group->steps, group->step_count);
    if (group->with_first) frequency = trajlog_with_first(frequency);
    if (group->with_last) frequency = trajlog_with_last(frequency);
    return frequency;
}

static void declare_varying(trajlog_writer *log, struct planned_group *planned, trajlog_group *group)
{
    const int32_t periodic[3] = {0};
    (void)trajlog_set_boundary(log, planned->name, 3, periodic);
    (void)trajlog_set_count(group, &planned->particles);
}

static trajlog_field *add_field(trajlog_group *group, const struct planned_group *planned,
                                const struct planned_field *planned_field)
{
    trajlog_shape shape = planned_field->shape;
    if (planned->capacity > 0) shape.dims[0] = planned->capacity;
    trajlog_field *field =
        trajlog_add_field(group, planned_field->name, planned_field->type, shape, planned_field->data, NULL);
    trajlog_role role = strcmp(planned_field->name, "id") == 0 ? TRAJLOG_ROLE_ID : TRAJLOG_ROLE_PARTICLE;
    if (planned->capacity > 0) (void)trajlog_set_role(field, role, planned->name);
    return field;
}

/* Errors stick, so that the first trajlog_log returns them. */
static void declare(struct plan *plan, trajlog_writer *log)
{
    (void)trajlog_set_metadata(log, "plan", plan->seed);
    for (size_t g = 0; g < plan->group_count; g++) {
        struct planned_group *planned = &plan->groups[g];
        bool is_checkpoint = is_of_kind(planned, "checkpoint");
        trajlog_group *group =
            is_checkpoint ? trajlog_add_checkpoint(log) : trajlog_add_group(log, planned->name, frequency_of(planned));
        for (size_t i = 0; i < planned->field_count; i++) {
            trajlog_field *field = add_field(group, planned, &planned->fields[i]);
            if (!is_checkpoint) (void)trajlog_set_storage(field, &planned->fields[i].storage);
        }
        if (planned->capacity > 0) declare_varying(log, planned, group);
    }
}

static trajlog_status open_log(const struct plan *plan, trajlog_writer **log, const char *path)
{
    if (plan->resume == NULL) return trajlog_create(log, path, &plan->options);
    tell("resuming ");
    int64_t step = strcmp(plan->resume, "start") == 0 ? TRAJLOG_FROM_THE_START : strtoll(plan->resume, NULL, 10);
    return trajlog_resume(log, path, step, &plan->options);
}

/* Checkpoints, syncs and flushes now and then; returns the log's status. */
static trajlog_status secure(const struct plan *plan, trajlog_writer *log, int64_t step)
{
    trajlog_status status = TRAJLOG_OK;
    if (plan->checkpoint_every > 0 && step % plan->checkpoint_every == 0) {
        status = trajlog_checkpoint(log, step, time_of(plan, step));
        if (status == TRAJLOG_OK) tell("checkpointed %" PRId64 " ", step);
    }
    if (status == TRAJLOG_OK && plan->sync_every > 0 && step % plan->sync_every == 0) {
        status = trajlog_sync(log);
        if (status == TRAJLOG_OK) tell("synced %" PRId64 " ", step);
    }
    if (status != TRAJLOG_OK || plan->flush_every == 0 || step % plan->flush_every != 0) return status;
    status = trajlog_flush(log);
    if (status == TRAJLOG_OK) tell("flushed %" PRId64 " ", step);
    return status;
}

static trajlog_status run(struct plan *plan, trajlog_writer *log, int64_t begin)
{
    for (int64_t step = begin; step < plan->first + plan->count; step++) {
        set_data(plan, step, begin);
        trajlog_status status = trajlog_log(log, step, time_of(plan, step));
        if (status != TRAJLOG_OK && status != TRAJLOG_TIMED_OUT && status != TRAJLOG_QUEUE_FULL) return status;
        if (step == begin || plan->tell_all) tell("logged %" PRId64 " ", step);
        status = secure(plan, log, step);
        if (status != TRAJLOG_OK) return status;
        if (plan->pause > 0)
            nanosleep(&(struct timespec){.tv_sec = plan->pause / 1000000, .tv_nsec = plan->pause % 1000000 * 1000},
                      NULL);
    }
    return TRAJLOG_OK;
}

static trajlog_status write_log(struct plan *plan, const char *path, int64_t begin)
{
    trajlog_writer *log = NULL;
    trajlog_statistics statistics = {.struct_size = sizeof statistics};
    trajlog_status status = open_log(plan, &log, path);
    if (status == TRAJLOG_OK) {
        tell("created ");
        declare(plan, log);
        status = run(plan, log, begin);
    }
    if (status != TRAJLOG_OK) tell("failed %d %s ", (int)status, trajlog_message(log));
    if (trajlog_get_statistics(log, &statistics) != TRAJLOG_OK) fail("statistics", trajlog_message(log));
    tell("closing %" PRId64 " ", statistics.dropped);
    trajlog_status closed = trajlog_close(&log);
    if (closed == TRAJLOG_OK) tell("closed ");
    else if (status == TRAJLOG_OK) tell("failed %d %s ", (int)closed, trajlog_message(NULL));
    return status != TRAJLOG_OK ? status : closed;
}

int main(int argc, char **argv)
{
    static struct plan plan;
    if (argc < 3) fail("usage", "writer FILE PLAN [KEY=VALUE...]");
    plan.options = trajlog_default_options();
    plan.options.program = "writer";
    read_plan(&plan, argv[2]);
    plan.salt = (uint64_t)plan.once_salt;
    int64_t begin = plan.first;
    for (int i = 3; i < argc; i++) {
        if (strncmp(argv[i], "salt=", 5) == 0) plan.salt = strtoull(argv[i] + 5, NULL, 10);
        else if (strncmp(argv[i], "first=", 6) == 0) begin = strtoll(argv[i] + 6, NULL, 10);
        else if (strncmp(argv[i], "resume=", 7) == 0) plan.resume = argv[i] + 7;
        else if (strcmp(argv[i], "existing=replace") == 0) plan.options.existing = TRAJLOG_REPLACE;
        else fail("an unknown key", argv[i]);
    }
    trajlog_status status = write_log(&plan, argv[1], begin);
    for (size_t g = 0; g < plan.group_count; g++)
        for (size_t i = 0; i < plan.groups[g].field_count; i++) free(plan.groups[g].fields[i].data);
    return (int)status;
}
