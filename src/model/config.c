#include "model/config.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/convert.h"
#include "model/json_position.h"
#include "model/text.h"

#define MAX_TEXT    (1 << 20)
#define MAX_DEPTH   16 /* deeper than any key of ours */
#define MAX_BYTES   ((int64_t)1 << 47)
#define MAX_SECONDS 1e9

struct config {
    char *name; /* what messages call it */
    char *text; /* kept for the positions in messages */
    size_t length;
    json_t *root; /* checked: whatever is there has the right type and range */
};

/* The way from the root to a value: each level's key (NULL: an element of a list) and its number among its siblings. */
struct place {
    const struct place *parent; /* NULL: the root */
    const char *key;
    size_t number;
};

struct checker {
    const struct config *config;
    struct error *error;
};

typedef trajlog_status (*check_function)(const struct checker *checker, json_t *value, const struct place *place);

struct member {
    const char *key;
    check_function check;
};

#define LENGTH(list) (sizeof(list) / sizeof(list)[0])
#define MAX_MEMBERS  16 /* of one table of keys */

static const char *const policies[] = {
    [TRAJLOG_BLOCK] = "block",
    [TRAJLOG_BLOCK_DEADLINE] = "block_deadline",
    [TRAJLOG_DROP_NEWEST] = "drop_newest",
    [TRAJLOG_FAIL] = "fail",
};

static const struct {
    const char *name;
    trajlog_compression compression;
} compressions[] = {
    {"none", TRAJLOG_COMPRESSION_NONE},
    {"deflate", TRAJLOG_COMPRESSION_DEFLATE},
};

/* ----------------------------------------------------------------------------------------------------- messages --- */

/* A text that is put together piece by piece; what does not fit is left out. */
struct sentence {
    char text[700];
    size_t used;
};

static void say(struct sentence *sentence, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct sentence *sentence, const char *format, ...)
{
    size_t room = sizeof sentence->text - sentence->used;
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = vsnprintf(sentence->text + sentence->used, room, format, arguments);
    va_end(arguments);
    if (length > 0) sentence->used += (size_t)length < room ? (size_t)length : room - 1;
}

static void say_place(struct sentence *sentence, const struct place *place)
{
    if (place->parent == NULL) return;
    say_place(sentence, place->parent);
    if (place->key == NULL) {
        say(sentence, "[%zu]", place->number);
    } else {
        bool plain = strpbrk(place->key, ". \"[]") == NULL && place->key[0] != '\0';
        const char *quote = plain ? "" : "\"";
        say(sentence, "%s%s%s%s", place->parent->parent == NULL ? "" : ".", quote, place->key, quote);
    }
}

/* The value as it stands in the file, or the beginning of it. */
static void say_value(struct sentence *sentence, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    size_t length = text == NULL ? 0 : strlen(text), shown = length;
    if (shown > 60) {
        shown = 60;
        while (shown > 0 && (text[shown] & 0xc0) == 0x80) shown--;
    }
    say(sentence, "%.*s%s", (int)shown, text == NULL ? "" : text, shown < length ? "..." : "");
    free(text);
}

static struct position position_of(const struct config *config, const struct place *place, enum position_of what)
{
    struct position position = {.line = 1, .column = 1};
    size_t path[MAX_DEPTH], depth = 0, level;
    for (const struct place *p = place; p->parent != NULL; p = p->parent) depth++;
    level = depth;
    for (const struct place *p = place; p->parent != NULL; p = p->parent) path[--level] = p->number;
    json_find_position(config->text, config->length, path, depth, what, &position);
    return position;
}

static trajlog_status complain(const struct checker *checker, const struct place *place, enum position_of what,
                               const char *complaint)
{
    struct position position = position_of(checker->config, place, what);
    struct sentence where = {.used = 0};
    say_place(&where, place);
    return error_set(checker->error, TRAJLOG_INVALID_CONFIG, 0, "%.200s:%zu:%zu: %s%s%s", checker->config->name,
                     position.line, position.column, where.text, where.used > 0 ? ": " : "", complaint);
}

static trajlog_status expected(const struct checker *checker, const struct place *place, const json_t *value,
                               const char *what)
{
    struct sentence complaint = {.used = 0};
    say(&complaint, "expected %s, got ", what);
    say_value(&complaint, value);
    return complain(checker, place, POSITION_OF_VALUE, complaint.text);
}

/* `kind`: what the name is of, "key", "group", "field". */
static trajlog_status unknown_name(const struct checker *checker, const struct place *place, const char *kind,
                                   const char *const *names, size_t count)
{
    struct sentence complaint = {.used = 0};
    const char *nearest = nearest_name(place->key, names, count);
    say(&complaint, "unknown %s", kind);
    if (nearest != NULL) say(&complaint, ", did you mean \"%s\"?", nearest);
    say(&complaint, "%s allowed: ", nearest != NULL ? "" : ";");
    for (size_t i = 0; i < count; i++) say(&complaint, "%s%s", i > 0 ? ", " : "", names[i]);
    if (count == 0) say(&complaint, "none");
    return complain(checker, place, POSITION_OF_KEY, complaint.text);
}

/* ------------------------------------------------------------------------------------------------------- values --- */

static trajlog_status check_truth(const struct checker *checker, json_t *value, const struct place *place)
{
    if (json_is_boolean(value)) return TRAJLOG_OK;
    return expected(checker, place, value, "true or false");
}

static bool is_integer_from(const json_t *value, int64_t least, int64_t most)
{
    return json_is_integer(value) && json_integer_value(value) >= least && json_integer_value(value) <= most;
}

static trajlog_status check_step(const struct checker *checker, json_t *value, const struct place *place)
{
    if (json_is_integer(value)) return TRAJLOG_OK;
    return expected(checker, place, value, "an integer, the number of a step");
}

static trajlog_status check_interval(const struct checker *checker, json_t *value, const struct place *place)
{
    if (is_integer_from(value, 1, INT64_MAX)) return TRAJLOG_OK;
    return expected(checker, place, value, "an integer >= 1, a number of steps");
}

static trajlog_status check_per_decade(const struct checker *checker, json_t *value, const struct place *place)
{
    if (is_integer_from(value, 1, 1000)) return TRAJLOG_OK;
    return expected(checker, place, value, "an integer from 1 to 1000, steps per decade");
}

static trajlog_status check_chunk_rows(const struct checker *checker, json_t *value, const struct place *place)
{
    if (is_integer_from(value, 1, STORAGE_MAX_CHUNK_ROWS)) return TRAJLOG_OK;
    return expected(checker, place, value, "an integer from 1 to 2147483647, rows per chunk");
}

static trajlog_status check_level(const struct checker *checker, json_t *value, const struct place *place)
{
    if (is_integer_from(value, 1, 9)) return TRAJLOG_OK;
    return expected(checker, place, value, "an integer from 1 to 9");
}

/* `false` takes away what the program asks for. */
static trajlog_status check_max_error(const struct checker *checker, json_t *value, const struct place *place)
{
    if (json_is_false(value) || (json_is_number(value) && json_number_value(value) > 0)) return TRAJLOG_OK;
    return expected(checker, place, value, "a number > 0, in the field's unit, or false: no rounding");
}

static trajlog_status check_digits(const struct checker *checker, json_t *value, const struct place *place)
{
    if (json_is_false(value) || is_integer_from(value, 1, STORAGE_MAX_DIGITS)) return TRAJLOG_OK;
    return expected(checker, place, value, "an integer from 1 to 15, or false: no rounding");
}

static trajlog_status check_frames(const struct checker *checker, json_t *value, const struct place *place)
{
    if (is_integer_from(value, 1, INT32_MAX)) return TRAJLOG_OK;
    return expected(checker, place, value, "an integer from 1 to 2147483647, a number of frames");
}

static trajlog_status check_seconds(const struct checker *checker, json_t *value, const struct place *place)
{
    double seconds = json_number_value(value);
    if (json_is_number(value) && seconds > 0 && seconds <= MAX_SECONDS) return TRAJLOG_OK;
    return expected(checker, place, value, "a number > 0 and <= 1e9, in seconds");
}

static trajlog_status check_seconds_or_never(const struct checker *checker, json_t *value, const struct place *place)
{
    double seconds = json_number_value(value);
    if (json_is_false(value) || (json_is_number(value) && seconds > 0 && seconds <= MAX_SECONDS)) return TRAJLOG_OK;
    return expected(checker, place, value, "a number > 0 and <= 1e9, in seconds, or false: never");
}

static trajlog_status check_rows(const struct checker *checker, json_t *value, const struct place *place)
{
    if (is_integer_from(value, 1, INT64_MAX)) return TRAJLOG_OK;
    return expected(checker, place, value, "an integer >= 1, a number of rows");
}

/* Bytes from "64 MiB"; 0 if that is no size from 1 to MAX_BYTES. */
static int64_t size_from_text(const char *text)
{
    static const struct {
        const char *name;
        int shift;
    } units[] = {{"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
    int64_t size = 0;
    if (*text < '0' || *text > '9') return 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        size = 10 * size + (*text - '0');
        if (size > MAX_BYTES) return 0;
    }
    while (*text == ' ') text++;
    for (size_t i = 0; i < LENGTH(units); i++) {
        if (strcmp(text, units[i].name) == 0) return size <= MAX_BYTES >> units[i].shift ? size << units[i].shift : 0;
    }
    return 0;
}

static int64_t size_of(const json_t *value)
{
    if (json_is_string(value)) return size_from_text(json_string_value(value));
    return is_integer_from(value, 1, MAX_BYTES) ? json_integer_value(value) : 0;
}

static trajlog_status check_size(const struct checker *checker, json_t *value, const struct place *place)
{
    if (size_of(value) > 0) return TRAJLOG_OK;
    return expected(checker, place, value,
                    "bytes: an integer from 1 to 2^47, or a text such as \"64 MiB\" with B, KiB, MiB or GiB");
}

static int policy_of(const json_t *value)
{
    const char *name = json_string_value(value);
    for (size_t i = 0; name != NULL && i < LENGTH(policies); i++) {
        if (strcmp(name, policies[i]) == 0) return (int)i;
    }
    return -1;
}

static trajlog_status check_policy(const struct checker *checker, json_t *value, const struct place *place)
{
    if (policy_of(value) >= 0) return TRAJLOG_OK;
    return expected(checker, place, value, "\"block\", \"block_deadline\", \"drop_newest\" or \"fail\"");
}

/* DEFAULT stands for a name that is not known. */
static trajlog_compression compression_of(const json_t *value)
{
    const char *name = json_string_value(value);
    for (size_t i = 0; name != NULL && i < LENGTH(compressions); i++) {
        if (strcmp(name, compressions[i].name) == 0) return compressions[i].compression;
    }
    return TRAJLOG_COMPRESSION_DEFAULT;
}

static trajlog_status check_compression(const struct checker *checker, json_t *value, const struct place *place)
{
    if (compression_of(value) != TRAJLOG_COMPRESSION_DEFAULT) return TRAJLOG_OK;
    return expected(checker, place, value, "\"none\" or \"deflate\"");
}

static trajlog_status check_access(const struct checker *checker, json_t *value, const struct place *place)
{
    const char *name = json_string_value(value);
    if (name != NULL && (strcmp(name, "frame") == 0 || strcmp(name, "particle") == 0)) return TRAJLOG_OK;
    return expected(checker, place, value, "\"frame\" or \"particle\"");
}

static trajlog_status check_type(const struct checker *checker, json_t *value, const struct place *place)
{
    trajlog_type type;
    if (element_from_name(json_string_value(value), &type)) return TRAJLOG_OK;
    return expected(checker, place, value,
                    "an element type: int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, "
                    "bool, complex64, complex128 or string[n]");
}

/* A list of strictly increasing integers. */
static trajlog_status check_steps(const struct checker *checker, json_t *value, const struct place *place)
{
    if (!json_is_array(value) || json_array_size(value) == 0) {
        return expected(checker, place, value, "a list of at least one step");
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct place at = {.parent = place, .number = i};
        json_t *step = json_array_get(value, i);
        TRY(check_step(checker, step, &at));
        if (i == 0 || json_integer_value(step) > json_integer_value(json_array_get(value, i - 1))) continue;
        return expected(checker, &at, step, "a step that is greater than the one before it");
    }
    return TRAJLOG_OK;
}

/* ------------------------------------------------------------------------------------------------------ objects --- */

static trajlog_status check_is_object(const struct checker *checker, json_t *value, const struct place *place)
{
    return json_is_object(value) ? TRAJLOG_OK : expected(checker, place, value, "an object, { ... }");
}

/* Checks an object whose keys are those of a table. */
static trajlog_status check_members(const struct checker *checker, json_t *object, const struct place *place,
                                    const struct member *members, size_t count)
{
    struct place at = {.parent = place, .number = 0};
    const char *names[MAX_MEMBERS];
    json_t *value;
    TRY(check_is_object(checker, object, place));
    for (size_t i = 0; i < count; i++) names[i] = members[i].key;
    json_object_foreach(object, at.key, value)
    {
        size_t i = 0;
        while (i < count && strcmp(at.key, names[i]) != 0) i++;
        if (i == count) return unknown_name(checker, &at, "key", names, count);
        TRY(members[i].check(checker, value, &at));
        at.number++;
    }
    return TRAJLOG_OK;
}

/* Checks an object whose keys are names that the program chose. */
static trajlog_status check_each(const struct checker *checker, json_t *object, const struct place *place,
                                 check_function check)
{
    struct place at = {.parent = place, .number = 0};
    json_t *value;
    TRY(check_is_object(checker, object, place));
    json_object_foreach(object, at.key, value)
    {
        TRY(check(checker, value, &at));
        at.number++;
    }
    return TRAJLOG_OK;
}

/* The place of a member that is there. */
static struct place place_of(const struct place *parent, json_t *object, const char *key)
{
    struct place at = {.parent = parent, .number = 0};
    json_t *value;
    json_object_foreach(object, at.key, value)
    {
        if (strcmp(at.key, key) == 0) break;
        at.number++;
    }
    return at;
}

static const char *const frequency_kinds[] = {"every", "steps", "logarithmic", "wall_clock"};

/* The kind whose key the object has; NULL if there is none, or a second one. */
static const char *kind_of(const json_t *object)
{
    const char *kind = NULL;
    for (size_t i = 0; i < LENGTH(frequency_kinds); i++) {
        if (json_object_get(object, frequency_kinds[i]) == NULL) continue;
        if (kind != NULL) return NULL;
        kind = frequency_kinds[i];
    }
    return kind;
}

static int64_t integer_or(const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(object, key);
    return value != NULL ? json_integer_value(value) : otherwise;
}

static trajlog_status check_range(const struct checker *checker, json_t *object, const struct place *place)
{
    static const char *const ends[] = {"start", "stop"};
    struct place at;
    for (size_t i = 0; i < LENGTH(ends); i++) {
        if (json_object_get(object, ends[i]) == NULL || json_object_get(object, "every") != NULL) continue;
        at = place_of(place, object, ends[i]);
        return complain(checker, &at, POSITION_OF_KEY, "is allowed only beside \"every\"");
    }
    if (integer_or(object, "stop", TRAJLOG_NO_STOP) > integer_or(object, "start", 0)) return TRAJLOG_OK;
    at = place_of(place, object, json_object_get(object, "stop") != NULL ? "stop" : "start");
    return expected(checker, &at, json_object_get(object, at.key), "stop > start (0 if it is not given)");
}

static trajlog_status check_frequency(const struct checker *checker, json_t *value, const struct place *place)
{
    static const struct member members[] = {
        {"every", check_interval},
        {"start", check_step},
        {"stop", check_step},
        {"steps", check_steps},
        {"wall_clock", check_seconds},
        {"with_first", check_truth},
        {"logarithmic", check_per_decade},
        {"with_last", check_truth},
    };
    if (json_is_string(value) && strcmp(json_string_value(value), "once") == 0) return TRAJLOG_OK;
    if (!json_is_object(value)) {
        return expected(checker, place, value,
                        "\"once\", or an object with one of \"every\", \"steps\", \"logarithmic\", \"wall_clock\"");
    }
    TRY(check_members(checker, value, place, members, LENGTH(members)));
    if (kind_of(value) == NULL) {
        return expected(checker, place, value,
                        "exactly one of the keys \"every\", \"steps\", \"logarithmic\", \"wall_clock\"");
    }
    return check_range(checker, value, place);
}

static trajlog_status check_field(const struct checker *checker, json_t *value, const struct place *place)
{
    static const struct member members[] = {
        {"enabled", check_truth},           {"store_as", check_type},
        {"compression", check_compression}, {"level", check_level},
        {"chunk_rows", check_chunk_rows},   {"checksum", check_truth},
        {"max_error", check_max_error},     {"significant_digits", check_digits},
        {"access", check_access},
    };
    TRY(check_members(checker, value, place, members, LENGTH(members)));
    if (!json_is_number(json_object_get(value, "max_error")) ||
        !json_is_integer(json_object_get(value, "significant_digits")))
        return TRAJLOG_OK;
    struct place at = place_of(place, value, "significant_digits");
    return complain(checker, &at, POSITION_OF_KEY, "is not allowed beside \"max_error\"");
}

static trajlog_status check_fields(const struct checker *checker, json_t *value, const struct place *place)
{
    return check_each(checker, value, place, check_field);
}

static trajlog_status check_group(const struct checker *checker, json_t *value, const struct place *place)
{
    static const struct member members[] = {
        {"enabled", check_truth},
        {"frequency", check_frequency},
        {"fields", check_fields},
    };
    return check_members(checker, value, place, members, LENGTH(members));
}

static trajlog_status check_groups(const struct checker *checker, json_t *value, const struct place *place)
{
    return check_each(checker, value, place, check_group);
}

static trajlog_status check_queue(const struct checker *checker, json_t *value, const struct place *place)
{
    static const struct member members[] = {
        {"bytes", check_size},        {"frames", check_frames},
        {"policy", check_policy},     {"block_seconds", check_seconds},
        {"synchronous", check_truth},
    };
    return check_members(checker, value, place, members, LENGTH(members));
}

static trajlog_status check_commit(const struct checker *checker, json_t *value, const struct place *place)
{
    static const struct member members[] = {
        {"flush_seconds", check_seconds},
        {"flush_rows", check_rows},
        {"flush_bytes", check_size},
        {"sync_seconds", check_seconds_or_never},
    };
    return check_members(checker, value, place, members, LENGTH(members));
}

static trajlog_status check_file(const struct checker *checker, json_t *value, const struct place *place)
{
    static const struct member members[] = {{"lock", check_truth}, {"accept_additions", check_truth}};
    return check_members(checker, value, place, members, LENGTH(members));
}

static trajlog_status check_encoders(const struct checker *checker, json_t *value, const struct place *place)
{
    if (is_integer_from(value, 0, MOST_ENCODER_THREADS)) return TRAJLOG_OK;
    return expected(checker, place, value, "an integer from 0 to 64, a number of threads");
}

static trajlog_status check_cpu(const struct checker *checker, json_t *value, const struct place *place)
{
    if (json_is_false(value) || is_integer_from(value, 0, MOST_CPUS - 1)) return TRAJLOG_OK;
    return expected(checker, place, value, "the number of a CPU, from 0 on, or false: any");
}

static trajlog_status check_threads(const struct checker *checker, json_t *value, const struct place *place)
{
    static const struct member members[] = {{"encoders", check_encoders}, {"worker_cpu", check_cpu}};
    return check_members(checker, value, place, members, LENGTH(members));
}

static trajlog_status check_root(const struct checker *checker, json_t *value)
{
    static const struct place root;
    static const struct member members[] = {
        {"queue", check_queue},     {"commit", check_commit}, {"file", check_file},
        {"threads", check_threads}, {"groups", check_groups},
    };
    return check_members(checker, value, &root, members, LENGTH(members));
}

/* ------------------------------------------------------------------------------------------------------ parsing --- */

static trajlog_status out_of_memory(struct error *error)
{
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
}

static trajlog_status parse_root(struct config *config, struct error *error)
{
    json_error_t problem;
    struct checker checker = {.config = config, .error = error};
    if (config->length > MAX_TEXT) {
        return error_set(error, TRAJLOG_INVALID_CONFIG, 0, "%.200s: more than %d bytes", config->name, MAX_TEXT);
    }
    if (!json_depth_within(config->text, config->length, MAX_DEPTH)) {
        return error_set(error, TRAJLOG_INVALID_CONFIG, 0, "%.200s: nested more than %d deep", config->name, MAX_DEPTH);
    }
    config->root = json_loadb(config->text, config->length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
    if (config->root != NULL) return check_root(&checker, config->root);
    /* jansson has nothing to say when it finds no memory. */
    if (problem.text[0] == '\0') return out_of_memory(error);
    return error_set(error, TRAJLOG_INVALID_CONFIG, 0, "%.200s:%d:%d: %s", config->name, problem.line, problem.column,
                     problem.text);
}

/* Takes `text` over. */
static trajlog_status parse(char *text, size_t length, const char *name, struct config **config, struct error *error)
{
    struct config *made = calloc(1, sizeof *made);
    trajlog_status status;
    *config = NULL;
    if (made == NULL) {
        free(text);
        return out_of_memory(error);
    }
    made->text = text;
    made->length = length;
    made->name = strdup(name);
    status = made->name == NULL ? out_of_memory(error) : parse_root(made, error);
    if (status == TRAJLOG_OK) *config = made;
    else config_free(made);
    return status;
}

trajlog_status config_parse(const char *text, const char *name, struct config **config, struct error *error)
{
    char *copy = strdup(text);
    *config = NULL;
    if (copy == NULL) return out_of_memory(error);
    return parse(copy, strlen(text), name, config, error);
}

/* Opens only what can be read to its end without waiting. */
static trajlog_status open_text(const char *path, int *file, struct error *error)
{
    struct stat status;
    *file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*file < 0) {
        bool missing = errno == ENOENT || errno == ENOTDIR;
        return error_set(error, missing ? TRAJLOG_NOT_FOUND : TRAJLOG_IO_ERROR, errno,
                         "%.500s: cannot open the configuration", path);
    }
    if (fstat(*file, &status) == 0 && S_ISREG(status.st_mode)) return TRAJLOG_OK;
    close(*file);
    return error_set(error, TRAJLOG_IO_ERROR, 0, "%.500s: the configuration is no regular file", path);
}

static trajlog_status read_text(int file, const char *path, char *text, size_t size, size_t *length,
                                struct error *error)
{
    *length = 0;
    while (*length < size) {
        ssize_t got = read(file, text + *length, size - *length);
        if (got == 0) break;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            return error_set(error, TRAJLOG_IO_ERROR, errno, "%.500s: cannot read the configuration", path);
        }
        *length += (size_t)got;
    }
    return TRAJLOG_OK;
}

trajlog_status config_read(const char *path, struct config **config, struct error *error)
{
    size_t length = 0, size = MAX_TEXT + 1;
    trajlog_status status;
    char *text;
    int file;
    *config = NULL;
    TRY(open_text(path, &file, error));
    text = malloc(size);
    status = text == NULL ? out_of_memory(error) : read_text(file, path, text, size, &length, error);
    close(file);
    if (status == TRAJLOG_OK) return parse(text, length, path, config, error);
    free(text);
    return status;
}

void config_free(struct config *config)
{
    if (config == NULL) return;
    json_decref(config->root);
    free(config->name);
    free(config->text);
    free(config);
}

/* ----------------------------------------------------------------------------------------------------- settings --- */

static void apply_queue(const json_t *queue, struct settings *settings)
{
    const json_t *bytes = json_object_get(queue, "bytes");
    const json_t *policy = json_object_get(queue, "policy");
    const json_t *seconds = json_object_get(queue, "block_seconds");
    const json_t *synchronous = json_object_get(queue, "synchronous");
    if (bytes != NULL) settings->queue_bytes = (size_t)size_of(bytes);
    if (policy != NULL) settings->policy = (trajlog_policy)policy_of(policy);
    if (seconds != NULL) settings->block_seconds = json_number_value(seconds);
    if (synchronous != NULL) settings->synchronous = json_is_true(synchronous);
    settings->queue_frames = (size_t)integer_or(queue, "frames", (int64_t)settings->queue_frames);
}

static void apply_commit(const json_t *commit, struct settings *settings)
{
    const json_t *flush_seconds = json_object_get(commit, "flush_seconds");
    const json_t *flush_bytes = json_object_get(commit, "flush_bytes");
    const json_t *sync_seconds = json_object_get(commit, "sync_seconds");
    if (flush_seconds != NULL) settings->flush_seconds = json_number_value(flush_seconds);
    if (flush_bytes != NULL) settings->flush_bytes = size_of(flush_bytes);
    if (sync_seconds != NULL)
        settings->sync_seconds = json_is_false(sync_seconds) ? -1.0 : json_number_value(sync_seconds);
    settings->flush_rows = integer_or(commit, "flush_rows", settings->flush_rows);
}

static void apply_file(const json_t *file, struct settings *settings)
{
    const json_t *lock = json_object_get(file, "lock");
    const json_t *accept_additions = json_object_get(file, "accept_additions");
    if (lock != NULL) settings->without_lock = json_is_false(lock);
    if (accept_additions != NULL) settings->accept_additions = json_is_true(accept_additions);
}

static void apply_threads(const json_t *threads, struct settings *settings)
{
    const json_t *cpu = json_object_get(threads, "worker_cpu");
    settings->encoder_threads = (int)integer_or(threads, "encoders", settings->encoder_threads);
    if (cpu != NULL) settings->worker_cpu = json_is_false(cpu) ? -1 : (int)json_integer_value(cpu);
}

void config_apply_settings(const struct config *config, struct settings *settings)
{
    if (config == NULL) return;
    apply_queue(json_object_get(config->root, "queue"), settings);
    apply_commit(json_object_get(config->root, "commit"), settings);
    apply_file(json_object_get(config->root, "file"), settings);
    apply_threads(json_object_get(config->root, "threads"), settings);
}

/* ------------------------------------------------------------------------------------------------------- schema --- */

/* Puts what a function of the schema complained about behind the place of the key that made it complain. */
static trajlog_status blame(const struct checker *checker, const struct place *place, const struct error *problem)
{
    if (problem->status == TRAJLOG_OUT_OF_MEMORY) return out_of_memory(checker->error);
    return complain(checker, place, POSITION_OF_VALUE, problem->message);
}

static trajlog_status apply_steps(const json_t *list, struct group *group, trajlog_frequency frequency,
                                  struct error *error)
{
    size_t count = json_array_size(list);
    int64_t *steps = calloc(count, sizeof *steps);
    trajlog_status status;
    if (steps == NULL) return out_of_memory(error);
    for (size_t i = 0; i < count; i++) steps[i] = json_integer_value(json_array_get(list, i));
    frequency.kind = TRAJLOG_FREQUENCY_STEPS;
    frequency.steps = steps;
    frequency.step_count = count;
    status = group_set_frequency(group, frequency, error);
    free(steps);
    return status;
}

static trajlog_status set_frequency(const json_t *value, struct group *group, struct error *error)
{
    const char *kind = kind_of(value);
    const json_t *number;
    trajlog_frequency frequency = trajlog_once();
    if (kind == NULL) return group_set_frequency(group, frequency, error);
    number = json_object_get(value, kind);
    if (strcmp(kind, "every") == 0) {
        frequency = trajlog_every_between(json_integer_value(number), integer_or(value, "start", 0),
                                          integer_or(value, "stop", TRAJLOG_NO_STOP));
    }
    if (strcmp(kind, "logarithmic") == 0) frequency = trajlog_logarithmic((int)json_integer_value(number));
    if (strcmp(kind, "wall_clock") == 0) frequency = trajlog_wall_clock(json_number_value(number));
    frequency.with_first = json_is_true(json_object_get(value, "with_first"));
    frequency.with_last = json_is_true(json_object_get(value, "with_last"));
    if (strcmp(kind, "steps") == 0) return apply_steps(number, group, frequency, error);
    return group_set_frequency(group, frequency, error);
}

static trajlog_status apply_frequency(const struct checker *checker, json_t *object, struct group *group,
                                      const struct place *place)
{
    json_t *value = json_object_get(object, "frequency");
    struct error problem = {.status = TRAJLOG_OK};
    struct place at;
    if (value == NULL || set_frequency(value, group, &problem) == TRAJLOG_OK) return TRAJLOG_OK;
    at = place_of(place, object, "frequency");
    return blame(checker, &at, &problem);
}

static void say_targets(struct sentence *sentence, trajlog_type from)
{
    const char *separator = "";
    char name[32];
    if (element_is_string(from)) {
        say(sentence, "string[n], n >= %zu", trajlog_type_size(from));
        return;
    }
    for (trajlog_type to = TRAJLOG_INT8; to < TRAJLOG_STRING_CODE; to++) {
        if (!conversion_exists(from, to)) continue;
        say(sentence, "%s%s", separator, trajlog_type_name(to, name, sizeof name));
        separator = ", ";
    }
}

static trajlog_status apply_type(const struct checker *checker, json_t *object, const struct group *group,
                                 struct field *field, const struct place *place)
{
    const char *name = json_string_value(json_object_get(object, "store_as"));
    struct error problem = {.status = TRAJLOG_OK};
    struct sentence complaint = {.used = 0};
    struct place at;
    trajlog_type type;
    char from[32];
    if (name == NULL || !element_from_name(name, &type)) return TRAJLOG_OK;
    if (field_set_stored_type(group, field, type, &problem) == TRAJLOG_OK) return TRAJLOG_OK;
    at = place_of(place, object, "store_as");
    if (problem.status != TRAJLOG_TYPE_MISMATCH) return blame(checker, &at, &problem);
    say(&complaint, "%s cannot be stored as %s; allowed: ", trajlog_type_name(field->type, from, sizeof from), name);
    say_targets(&complaint, field->type);
    return complain(checker, &at, POSITION_OF_VALUE, complaint.text);
}

/* Either takes the place of the other, where the program has set that. */
static void apply_rounding(const json_t *object, struct storage *storage)
{
    const json_t *max_error = json_object_get(object, "max_error");
    const json_t *digits = json_object_get(object, "significant_digits");
    if (max_error != NULL) storage->max_error = json_number_value(max_error);
    if (digits != NULL) storage->significant_digits = (int)json_integer_value(digits);
    if (json_is_number(max_error)) storage->significant_digits = 0;
    if (json_is_integer(digits)) storage->max_error = 0.0;
}

/* What the configuration leaves out stays as the program set it; but a level belongs to its compression. */
static trajlog_status apply_storage(const struct checker *checker, json_t *object, const struct group *group,
                                    struct field *field, const struct place *place)
{
    struct storage storage = field->storage;
    const json_t *compression = json_object_get(object, "compression");
    const json_t *checksum = json_object_get(object, "checksum");
    const char *access = json_string_value(json_object_get(object, "access"));
    struct error problem = {.status = TRAJLOG_OK};
    struct place at;
    if (compression != NULL) {
        if (compression_of(compression) != storage.compression) storage.level = 0;
        storage.compression = compression_of(compression);
    }
    if (checksum != NULL) storage.checksum = json_is_true(checksum);
    apply_rounding(object, &storage);
    if (storage_level(&storage) == 0) storage.level = 0;
    if (access != NULL)
        storage.access = strcmp(access, "particle") == 0 ? TRAJLOG_ACCESS_PARTICLE : TRAJLOG_ACCESS_FRAME;
    storage.level = (int)integer_or(object, "level", storage.level);
    storage.chunk_rows = integer_or(object, "chunk_rows", storage.chunk_rows);
    if (json_object_get(object, "level") != NULL && storage_level(&storage) == 0) {
        at = place_of(place, object, "level");
        return complain(checker, &at, POSITION_OF_KEY, "is allowed only with the compression \"deflate\"");
    }
    if (field_set_storage(group, field, &storage, &problem) == TRAJLOG_OK) return TRAJLOG_OK;
    return blame(checker, place, &problem);
}

static trajlog_status apply_field(const struct checker *checker, json_t *object, const struct group *group,
                                  struct field *field, const struct place *place)
{
    const json_t *enabled = json_object_get(object, "enabled");
    if (enabled != NULL) field->enabled = json_is_true(enabled);
    /* What cannot be rounded may become the type. */
    if (json_is_false(json_object_get(object, "max_error"))) field->storage.max_error = 0.0;
    if (json_is_false(json_object_get(object, "significant_digits"))) field->storage.significant_digits = 0;
    TRY(apply_type(checker, object, group, field, place));
    return apply_storage(checker, object, group, field, place);
}

static trajlog_status unknown_field(const struct checker *checker, const struct group *group, const struct place *place)
{
    const char **names = calloc(group->field_count + 1, sizeof *names);
    trajlog_status status;
    if (names == NULL) return out_of_memory(checker->error);
    for (size_t i = 0; i < group->field_count; i++) names[i] = group->fields[i]->name;
    status = unknown_name(checker, place, "field", names, group->field_count);
    free(names);
    return status;
}

static trajlog_status unknown_group(const struct checker *checker, const struct schema *schema,
                                    const struct place *place)
{
    const char **names = calloc(schema->group_count + 1, sizeof *names);
    trajlog_status status;
    if (names == NULL) return out_of_memory(checker->error);
    for (size_t i = 0; i < schema->group_count; i++) names[i] = schema->groups[i]->name;
    status = unknown_name(checker, place, "group", names, schema->group_count);
    free(names);
    return status;
}

static trajlog_status apply_group(const struct checker *checker, json_t *object, struct group *group,
                                  const struct place *place)
{
    const json_t *enabled = json_object_get(object, "enabled");
    json_t *fields = json_object_get(object, "fields"), *value;
    struct place in, at = {.parent = &in, .number = 0};
    if (group->checkpoint)
        return complain(checker, place, POSITION_OF_KEY, "is the program's own, as it goes on from there");
    if (enabled != NULL) group->enabled = json_is_true(enabled);
    TRY(apply_frequency(checker, object, group, place));
    if (fields == NULL) return TRAJLOG_OK;
    in = place_of(place, object, "fields");
    json_object_foreach(fields, at.key, value)
    {
        struct field *field = group_find_field(group, at.key);
        if (field == NULL) return unknown_field(checker, group, &at);
        TRY(apply_field(checker, value, group, field, &at));
        at.number++;
    }
    return TRAJLOG_OK;
}

trajlog_status config_apply_schema(const struct config *config, struct schema *schema, struct error *error)
{
    static const struct place root;
    struct checker checker = {.config = config, .error = error};
    struct place in, at = {.parent = &in, .number = 0};
    json_t *groups, *value;
    if (config == NULL) return TRAJLOG_OK;
    groups = json_object_get(config->root, "groups");
    if (groups == NULL) return TRAJLOG_OK;
    in = place_of(&root, config->root, "groups");
    json_object_foreach(groups, at.key, value)
    {
        struct group *group = schema_find_group(schema, at.key);
        if (group == NULL) return unknown_group(&checker, schema, &at);
        TRY(apply_group(&checker, value, group, &at));
        at.number++;
    }
    return TRAJLOG_OK;
}
