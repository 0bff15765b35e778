#include "harness.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/config.h"
#include "model/json_position.h"

/* What a program declares in these tests. */
static struct schema *program(void)
{
    struct schema *schema = schema_new();
    struct group *group;
    struct field *field;
    assert_int_equal(schema_add_group(schema, "init", trajlog_once(), &group, NULL), TRAJLOG_OK);
    assert_int_equal(schema_add_field(group, "name", TRAJLOG_STRING(4), TRAJLOG_SHAPE(5), "", &field, NULL),
                     TRAJLOG_OK);
    assert_int_equal(schema_add_group(schema, "trajectory", trajlog_every(10), &group, NULL), TRAJLOG_OK);
    assert_int_equal(schema_add_field(group, "position", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(5, 3), "nm", &field, NULL),
                     TRAJLOG_OK);
    assert_int_equal(schema_add_field(group, "velocity", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(5, 3), "nm ps-1", &field, NULL),
                     TRAJLOG_OK);
    return schema;
}

static struct config *parsed(const char *text)
{
    struct error error = {0};
    struct config *config;
    if (config_parse(text, "run.json", &config, &error) != TRAJLOG_OK) fail_msg("%s", error.message);
    return config;
}

/* Applies the text to the program's schema, which the caller frees. */
static struct schema *applied(const char *text)
{
    struct config *config = parsed(text);
    struct schema *schema = program();
    struct error error = {0};
    if (config_apply_schema(config, schema, &error) != TRAJLOG_OK) fail_msg("%s", error.message);
    config_free(config);
    return schema;
}

static void queue_and_commit(void **state)
{
    struct config *config =
        parsed("{\"queue\": {\"bytes\": \"32 MiB\", \"frames\": 7, \"policy\": \"drop_newest\",\n"
               "\"block_seconds\": 2.5, \"synchronous\": true}, \"commit\": {\"flush_seconds\": 3,\n"
               "\"flush_rows\": 11, \"flush_bytes\": \"2 KiB\", \"sync_seconds\": 0.5},\n"
               "\"file\": {\"lock\": false, \"accept_additions\": true}}");
    struct settings settings = {.flush_seconds = 1};
    (void)state;
    config_apply_settings(config, &settings);
    assert_int_equal(settings.queue_bytes, 32 << 20);
    assert_int_equal(settings.queue_frames, 7);
    assert_int_equal(settings.policy, TRAJLOG_DROP_NEWEST);
    assert_true(settings.block_seconds == 2.5 && settings.flush_seconds == 3);
    assert_true(settings.synchronous);
    assert_int_equal(settings.flush_rows, 11);
    assert_int_equal(settings.flush_bytes, 2048);
    assert_true(settings.sync_seconds == 0.5);
    assert_true(settings.without_lock && settings.accept_additions);
    config_free(config);

    config = parsed("{\"commit\": {\"sync_seconds\": false}, \"file\": {\"lock\": true, \"accept_additions\": false}}");
    config_apply_settings(config, &settings);
    assert_true(settings.sync_seconds < 0);
    assert_int_equal(settings.flush_rows, 11);
    assert_false(settings.without_lock || settings.accept_additions);
    config_free(config);
}

static void checkpoints_are_the_programs_own(void **state)
{
    struct config *config = parsed("{\"groups\": {\"checkpoint\": {\"enabled\": false}}}");
    struct schema *schema = program();
    struct group *group;
    struct error error = {0};
    (void)state;
    assert_int_equal(schema_add_checkpoint(schema, &group, NULL), TRAJLOG_OK);
    assert_int_equal(config_apply_schema(config, schema, &error), TRAJLOG_INVALID_CONFIG);
    assert_string_equal(error.message, "run.json:1:13: groups.checkpoint: is the program's own, as it goes on from "
                                       "there");
    assert_true(group->enabled);
    schema_free(schema);
    config_free(config);
}

static void what_is_not_given_stays(void **state)
{
    struct config *config = parsed("{\"queue\": {}}");
    struct settings settings = {.synchronous = true,
                                .policy = TRAJLOG_FAIL,
                                .block_seconds = 4,
                                .queue_bytes = 5,
                                .queue_frames = 6,
                                .flush_seconds = 7};
    struct schema *schema = applied("{\"groups\": {\"trajectory\": {\"fields\": {\"position\": {}}}}}");
    (void)state;
    config_apply_settings(config, &settings);
    config_apply_settings(NULL, &settings);
    assert_true(settings.synchronous && settings.policy == TRAJLOG_FAIL && settings.block_seconds == 4);
    assert_true(settings.queue_bytes == 5 && settings.queue_frames == 6 && settings.flush_seconds == 7);
    assert_int_equal(schema->groups[1]->frequency.interval, 10);
    assert_true(schema->groups[1]->enabled && schema->groups[1]->fields[0]->enabled);
    assert_int_equal(config_apply_schema(NULL, schema, NULL), TRAJLOG_OK);
    schema_free(schema);
    config_free(config);
}

static void sizes_in_bytes(void **state)
{
    static const struct {
        const char *text;
        size_t bytes;
    } sizes[] = {
        {"1", 1}, {"\"1 B\"", 1}, {"\"3KiB\"", 3 << 10}, {"\"2 GiB\"", (size_t)2 << 30}, {"123456789", 123456789}};
    char text[100];
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct settings settings = {0};
        struct config *config;
        snprintf(text, sizeof text, "{\"queue\": {\"bytes\": %s}}", sizes[i].text);
        config = parsed(text);
        config_apply_settings(config, &settings);
        assert_int_equal(settings.queue_bytes, sizes[i].bytes);
        config_free(config);
    }
}

static void check_frequency(const char *frequency, const char *expected)
{
    char text[300], words[100];
    struct schema *schema;
    snprintf(text, sizeof text, "{\"groups\": {\"trajectory\": {\"frequency\": %s}}}", frequency);
    schema = applied(text);
    assert_string_equal(trajlog_frequency_text(&schema->groups[1]->frequency, words, sizeof words), expected);
    schema_free(schema);
}

static void frequencies(void **state)
{
    (void)state;
    check_frequency("\"once\"", "once");
    check_frequency("{\"every\": 3}", "every 3 steps");
    check_frequency("{\"every\": 3, \"start\": -6, \"stop\": 9}", "every 3 steps from -6 before 9");
    check_frequency("{\"every\": 1, \"with_first\": true, \"with_last\": true}", "every step, the first and the last");
    check_frequency("{\"steps\": [-1, 5, 7], \"with_last\": true}", "at 3 listed steps and the last");
    check_frequency("{\"logarithmic\": 10, \"with_first\": true}", "logarithmic, 10 per decade and the first");
    check_frequency("{\"wall_clock\": 60}", "every 60 s of wall-clock time");
}

static void fields(void **state)
{
    struct schema *schema = applied(
        "{\"groups\": {\"init\": {\"enabled\": false, \"fields\": {\"name\": {\"store_as\": \"string[9]\"}}},"
        "\"trajectory\": {\"fields\": {\"velocity\": {\"enabled\": false},"
        "\"position\": {\"store_as\": \"float32\", \"compression\": \"deflate\", \"level\": 4, \"chunk_rows\": 50,"
        "\"checksum\": true}}}}}");
    struct field *position = schema->groups[1]->fields[0];
    (void)state;
    assert_false(schema->groups[0]->enabled);
    assert_int_equal(schema->groups[0]->fields[0]->stored_bytes, 45);
    assert_false(schema->groups[1]->fields[1]->enabled);
    assert_true(position->enabled && position->storage.checksum);
    assert_int_equal(position->stored_type, TRAJLOG_FLOAT32);
    assert_int_equal(position->storage.compression, TRAJLOG_COMPRESSION_DEFLATE);
    assert_int_equal(position->storage.level, 4);
    assert_int_equal(position->storage.chunk_rows, 50);
    schema_free(schema);
}

static void the_programs_storage_is_the_default(void **state)
{
    struct schema *schema = program();
    struct group *group = schema->groups[1];
    struct storage storage = {
        .chunk_rows = 9, .compression = TRAJLOG_COMPRESSION_DEFLATE, .level = 7, .checksum = true};
    struct config *config = parsed("{\"groups\": {\"trajectory\": {\"fields\": {\"position\": {\"chunk_rows\": 2},"
                                   "\"velocity\": {\"compression\": \"none\"}}}}}");
    (void)state;
    assert_int_equal(field_set_storage(group, group->fields[0], &storage, NULL), TRAJLOG_OK);
    assert_int_equal(field_set_storage(group, group->fields[1], &storage, NULL), TRAJLOG_OK);
    assert_int_equal(config_apply_schema(config, schema, NULL), TRAJLOG_OK);
    assert_int_equal(group->fields[0]->storage.chunk_rows, 2);
    assert_int_equal(group->fields[0]->storage.level, 7);
    assert_int_equal(group->fields[1]->storage.compression, TRAJLOG_COMPRESSION_NONE);
    assert_int_equal(group->fields[1]->storage.level, 0);
    assert_true(group->fields[1]->storage.checksum);
    config_free(config);
    schema_free(schema);
}

/* What is given takes the place of what the program rounds by; false stands for nothing. */
static void rounding(void **state)
{
    struct schema *schema = program();
    struct group *group = schema->groups[1];
    struct storage digits = {.level = 5, .significant_digits = 4}, error = {.max_error = 0.5, .level = 3};
    struct config *config = parsed("{\"groups\": {\"trajectory\": {\"fields\": {\"position\": {\"max_error\": 0.001},"
                                   "\"velocity\": {\"max_error\": false, \"store_as\": \"complex64\"}}}}}");
    (void)state;
    assert_int_equal(field_set_storage(group, group->fields[0], &digits, NULL), TRAJLOG_OK);
    assert_int_equal(field_set_storage(group, group->fields[1], &error, NULL), TRAJLOG_OK);
    assert_int_equal(config_apply_schema(config, schema, NULL), TRAJLOG_OK);
    assert_true(group->fields[0]->storage.max_error == 0.001);
    assert_int_equal(group->fields[0]->storage.significant_digits, 0);
    assert_int_equal(storage_level(&group->fields[0]->storage), 5);
    assert_true(group->fields[1]->storage.max_error == 0.0);
    assert_int_equal(group->fields[1]->storage.significant_digits, 0);
    assert_int_equal(group->fields[1]->storage.level, 0);
    config_free(config);
    schema_free(schema);
}

static void access_by_particle(void **state)
{
    struct schema *schema =
        applied("{\"groups\": {\"trajectory\": {\"fields\": {\"position\": {\"access\": \"particle\"},"
                "\"velocity\": {\"access\": \"frame\"}}}}}");
    (void)state;
    assert_int_equal(schema->groups[1]->fields[0]->storage.access, TRAJLOG_ACCESS_PARTICLE);
    assert_int_equal(schema->groups[1]->fields[1]->storage.access, TRAJLOG_ACCESS_FRAME);
    schema_free(schema);
}

static void expect_message(const struct error *error, trajlog_status status, const char *message)
{
    assert_int_equal(status, TRAJLOG_INVALID_CONFIG);
    assert_int_equal(error->status, TRAJLOG_INVALID_CONFIG);
    assert_string_equal(error->message, message);
}

static void refuse(const char *text, const char *message)
{
    struct error error = {0};
    struct config *config;
    trajlog_status status = config_parse(text, "run.json", &config, &error);
    assert_null(config);
    expect_message(&error, status, message);
}

static void refuse_applied(const char *text, const char *message)
{
    struct config *config = parsed(text);
    struct schema *schema = program();
    struct error error = {0};
    trajlog_status status = config_apply_schema(config, schema, &error);
    expect_message(&error, status, message);
    config_free(config);
    schema_free(schema);
}

static void errors_name_line_column_and_key(void **state)
{
    (void)state;
    refuse(
        "{\n  \"groups\": {\n    \"trajectory\": {\n      \"frequency\": {\"every\": \"ten\"}\n    }\n  }\n}",
        "run.json:4:30: groups.trajectory.frequency.every: expected an integer >= 1, a number of steps, got \"ten\"");
    refuse("{\"queue\": {\"frames\": 3,\n\t\"policiy\": \"fail\"}}",
           "run.json:2:2: queue.policiy: unknown key, did you mean \"policy\"? allowed: bytes, frames, policy, "
           "block_seconds, synchronous");
    refuse("{\"quux\": {}}", "run.json:1:2: quux: unknown key; allowed: queue, commit, file, threads, groups");
    refuse("{\"groups\": {\"\xc3\xa4 b\": {\"x\": 1}}}",
           "run.json:1:21: groups.\"\xc3\xa4 b\".x: unknown key; allowed: enabled, frequency, fields");
    refuse("{\"queue\": {\"bytes\": 1, \"bytes\": 2}}", "run.json:1:30: duplicate object key near '\"bytes\"'");
}

#define FREQUENCY(text) "{\"groups\": {\"g\": {\"frequency\": " text "}}}"
#define AT(column)      "run.json:1:" column ": groups.g.frequency"

static void frequencies_are_checked(void **state)
{
    static const char kinds[] = AT("32") ": expected exactly one of the keys \"every\", \"steps\", \"logarithmic\", "
                                         "\"wall_clock\", got ";
    char message[300];
    (void)state;
    refuse(FREQUENCY("{\"every\": 0}"), AT("42") ".every: expected an integer >= 1, a number of steps, got 0");
    refuse(FREQUENCY("{\"every\": 1.5}"), AT("42") ".every: expected an integer >= 1, a number of steps, got 1.5");
    refuse(FREQUENCY("{\"every\": 5, \"start\": 5, \"stop\": 5}"),
           AT("65") ".stop: expected stop > start (0 if it is not given), got 5");
    refuse(FREQUENCY("{\"logarithmic\": 10, \"stop\": 5}"), AT("52") ".stop: is allowed only beside \"every\"");
    refuse(FREQUENCY("{\"logarithmic\": 1001}"),
           AT("48") ".logarithmic: expected an integer from 1 to 1000, steps per decade, got 1001");
    refuse(FREQUENCY("{\"wall_clock\": 0}"),
           AT("47") ".wall_clock: expected a number > 0 and <= 1e9, in seconds, got 0");
    refuse(FREQUENCY("{\"steps\": []}"), AT("42") ".steps: expected a list of at least one step, got []");
    refuse(FREQUENCY("{\"steps\": [1, 3, 3]}"),
           AT("49") ".steps[2]: expected a step that is greater than the one before it, got 3");
    refuse(FREQUENCY("{\"steps\": [1, \"[,\", 3]}"),
           AT("46") ".steps[1]: expected an integer, the number of a step, got \"[,\"");
    refuse(FREQUENCY("\"always\""), AT("32") ": expected \"once\", or an object with one of \"every\", \"steps\", "
                                             "\"logarithmic\", \"wall_clock\", got \"always\"");
    snprintf(message, sizeof message, "%s{\"with_last\":true}", kinds);
    refuse(FREQUENCY("{\"with_last\": true}"), message);
    snprintf(message, sizeof message, "%s{\"every\":1,\"wall_clock\":1}", kinds);
    refuse(FREQUENCY("{\"every\": 1, \"wall_clock\": 1}"), message);
}

static void values_are_checked(void **state)
{
    static const char *const bad[] = {
        "{\"queue\": {\"bytes\": 0}}",
        "{\"queue\": {\"bytes\": -1}}",
        "{\"queue\": {\"bytes\": \"64 MB\"}}",
        "{\"queue\": {\"bytes\": \"\"}}",
        "{\"queue\": {\"bytes\": \"-1 B\"}}",
        "{\"queue\": {\"bytes\": \"99999999999999999999 B\"}}",
        "{\"queue\": {\"bytes\": \"9999999 GiB\"}}",
        "{\"queue\": {\"bytes\": 281474976710656}}",
        "{\"queue\": {\"frames\": 0}}",
        "{\"queue\": {\"frames\": 2147483648}}",
        "{\"queue\": {\"policy\": \"drop\"}}",
        "{\"queue\": {\"policy\": 3}}",
        "{\"queue\": {\"block_seconds\": 0}}",
        "{\"queue\": {\"block_seconds\": \"1\"}}",
        "{\"queue\": {\"synchronous\": 1}}",
        "{\"queue\": []}",
        "{\"commit\": {\"flush_seconds\": -1}}",
        "{\"commit\": {\"flush_seconds\": false}}",
        "{\"commit\": {\"flush_rows\": 0}}",
        "{\"commit\": {\"flush_rows\": 1.5}}",
        "{\"commit\": {\"flush_bytes\": 0}}",
        "{\"commit\": {\"sync_seconds\": 0}}",
        "{\"commit\": {\"sync_seconds\": true}}",
        "{\"file\": {\"lock\": 1}}",
        "{\"file\": {\"accept_additions\": \"yes\"}}",
        "{\"commit\": {\"flush_seconds\": 1e10}}",
        "{\"groups\": []}",
        "{\"groups\": {\"g\": true}}",
        "{\"groups\": {\"g\": {\"enabled\": \"yes\"}}}",
        "{\"groups\": {\"g\": {\"fields\": [\"x\"]}}}",
        "{\"groups\": {\"g\": {\"fields\": {\"x\": {\"store_as\": \"double\"}}}}}",
        "{\"groups\": {\"g\": {\"fields\": {\"x\": {\"store_as\": 10}}}}}",
        "{\"groups\": {\"g\": {\"fields\": {\"x\": {\"compression\": \"zstd\"}}}}}",
        "{\"groups\": {\"g\": {\"fields\": {\"x\": {\"level\": 0}}}}}",
        "{\"groups\": {\"g\": {\"fields\": {\"x\": {\"chunk_rows\": 0}}}}}",
        "{\"groups\": {\"g\": {\"fields\": {\"x\": {\"checksum\": null}}}}}",
        "{\"groups\": {\"g\": {\"fields\": {\"x\": {\"chunks\": 1}}}}}",
        "[]",
        "7",
        "",
        "{",
        "{} {}",
        "{\"queue\": {}, }",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error error = {0};
        struct config *config;
        assert_int_equal(config_parse(bad[i], "run.json", &config, &error), TRAJLOG_INVALID_CONFIG);
        assert_memory_equal(error.message, "run.json:", 9);
        assert_null(config);
        assert_int_equal(config_parse(bad[i], "run.json", &config, NULL), TRAJLOG_INVALID_CONFIG);
    }
}

static void unknown_groups_and_fields_list_the_known(void **state)
{
    (void)state;
    refuse_applied("{\"groups\": {\"init\": {}, \"trajektory\": {}}}",
                   "run.json:1:25: groups.trajektory: unknown group, did you mean \"trajectory\"? "
                   "allowed: init, trajectory");
    refuse_applied("{\"groups\": {\"trajectory\": {\n \"fields\": {\"force\": {}}}}}",
                   "run.json:2:13: groups.trajectory.fields.force: unknown field; allowed: position, velocity");
}

static void what_the_schema_refuses_has_a_place(void **state)
{
    (void)state;
    refuse_applied("{\"groups\": {\"trajectory\": {\"fields\": {\"position\": {},\n\"velocity\": "
                   "{\"store_as\": \"int32\"}}}}}",
                   "run.json:2:26: groups.trajectory.fields.velocity.store_as: float64 cannot be stored as int32; "
                   "allowed: float32, float64, complex64, complex128");
    refuse_applied("{\"groups\": {\"init\": {\"fields\": {\"name\": {\"store_as\": \"string[3]\"}}}}}",
                   "run.json:1:54: groups.init.fields.name.store_as: string[4] cannot be stored as string[3]; "
                   "allowed: string[n], n >= 4");
    refuse_applied("{\"groups\": {\"init\": {\"fields\": {\"name\": {\"level\": 3}}}}}",
                   "run.json:1:42: groups.init.fields.name.level: is allowed only with the compression \"deflate\"");
    refuse_applied(
        "{\"groups\": {\"init\": {\"fields\": {\"name\": {\"max_error\": 1}}}}}",
        "run.json:1:41: groups.init.fields.name: group \"init\", field \"name\": max_error: only float32 and "
        "float64 are rounded, and the field is stored as string[4]");
}

static void long_values_are_cut(void **state)
{
    struct error error = {0};
    struct config *config;
    char text[3000] = "{\"queue\": {\"bytes\": \"";
    (void)state;
    while (strlen(text) < 2000) strcat(text, "\xc3\xa4");
    strcat(text, "\"}}");
    assert_int_equal(config_parse(text, "run.json", &config, &error), TRAJLOG_INVALID_CONFIG);
    assert_true(strlen(error.message) < 300);
    assert_string_equal(error.message + strlen(error.message) - 5, "\xc3\xa4...");
}

static void depth_and_size_are_bounded(void **state)
{
    size_t length = (1 << 20) + 1;
    char *text = malloc(length + 1);
    struct error error = {0};
    struct config *config;
    (void)state;
    memset(text, '[', length);
    text[length] = '\0';
    assert_int_equal(config_parse(text, "run.json", &config, &error), TRAJLOG_INVALID_CONFIG);
    assert_non_null(strstr(error.message, "more than 1048576 bytes"));
    text[10000] = '\0';
    error_clear(&error);
    assert_int_equal(config_parse(text, "run.json", &config, &error), TRAJLOG_INVALID_CONFIG);
    assert_non_null(strstr(error.message, "deep"));
    free(text);
}

static void files(void **state)
{
    char directory[] = "config-XXXXXX", path[64];
    struct settings settings = {0};
    struct error error = {0};
    struct config *config;
    FILE *file;
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/run.json", directory);
    assert_int_equal(config_read(path, &config, &error), TRAJLOG_NOT_FOUND);
    assert_memory_equal(error.message, path, strlen(path));
    assert_int_equal(config_read(directory, &config, NULL), TRAJLOG_IO_ERROR);
    file = fopen(path, "w");
    assert_true(file != NULL && fputs("{\"queue\": {\"frames\": 5}}\n", file) > 0 && fclose(file) == 0);
    assert_int_equal(config_read(path, &config, NULL), TRAJLOG_OK);
    config_apply_settings(config, &settings);
    assert_int_equal(settings.queue_frames, 5);
    config_free(config);
    config_free(NULL);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void check_position(const char *text, const size_t *path, size_t depth, enum position_of what, size_t line,
                           size_t column)
{
    struct position position;
    assert_true(json_find_position(text, strlen(text), path, depth, what, &position));
    assert_int_equal(position.line, line);
    assert_int_equal(position.column, column);
}

static void positions(void **state)
{
    static const char text[] =
        " {\"a\\\"]\": [1, {\"x\": \"}\"}, [ ], true],\n  \"\xc3\xa4\": -1e5 , \"c\" : {\"d\":null}}";
    static const size_t element[] = {0, 3}, second[] = {1}, nested[] = {2, 0}, inner[] = {0, 1, 0}, none[] = {0, 4};
    static const size_t beyond[] = {3}, scalar[] = {1, 0};
    struct position position;
    (void)state;
    check_position(text, NULL, 0, POSITION_OF_VALUE, 1, 2);
    check_position(text, element, 1, POSITION_OF_KEY, 1, 3);
    check_position(text, element, 1, POSITION_OF_VALUE, 1, 11);
    check_position(text, element, 2, POSITION_OF_VALUE, 1, 32);
    check_position(text, inner, 3, POSITION_OF_VALUE, 1, 21);
    check_position(text, second, 1, POSITION_OF_KEY, 2, 3);
    check_position(text, second, 1, POSITION_OF_VALUE, 2, 8);
    check_position(text, nested, 2, POSITION_OF_KEY, 2, 22);
    check_position(text, nested, 2, POSITION_OF_VALUE, 2, 26);
    assert_false(json_find_position(text, strlen(text), none, 2, POSITION_OF_VALUE, &position));
    assert_false(json_find_position(text, strlen(text), beyond, 1, POSITION_OF_KEY, &position));
    assert_false(json_find_position(text, strlen(text), scalar, 2, POSITION_OF_VALUE, &position));
    assert_true(json_depth_within(text, strlen(text), 3));
    assert_false(json_depth_within(text, strlen(text), 2));
    assert_true(json_depth_within("\"[[[[\\\"[[[", 10, 1));
}

static void threads(void **state)
{
    struct settings settings = {.encoder_threads = 5, .worker_cpu = 3};
    struct config *config = parsed("{\"threads\": {\"encoders\": 2}}");
    (void)state;
    config_apply_settings(config, &settings);
    assert_int_equal(settings.encoder_threads, 2);
    assert_int_equal(settings.worker_cpu, 3);
    config_free(config);
    config = parsed("{\"threads\": {\"worker_cpu\": 0}}");
    config_apply_settings(config, &settings);
    assert_int_equal(settings.encoder_threads, 2);
    assert_int_equal(settings.worker_cpu, 0);
    config_free(config);
    config = parsed("{\"threads\": {\"worker_cpu\": false, \"encoders\": 0}}");
    config_apply_settings(config, &settings);
    assert_int_equal(settings.encoder_threads, 0);
    assert_int_equal(settings.worker_cpu, -1);
    config_free(config);
    refuse("{\"threads\": {\"encoders\": 65}}",
           "run.json:1:26: threads.encoders: expected an integer from 0 to 64, a number of threads, got 65");
    refuse("{\"threads\": {\"worker_cpu\": true}}",
           "run.json:1:28: threads.worker_cpu: expected the number of a CPU, from 0 on, or false: any, got true");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(queue_and_commit),
    cmocka_unit_test(checkpoints_are_the_programs_own),
    cmocka_unit_test(what_is_not_given_stays),
    cmocka_unit_test(sizes_in_bytes),
    cmocka_unit_test(frequencies),
    cmocka_unit_test(fields),
    cmocka_unit_test(the_programs_storage_is_the_default),
    cmocka_unit_test(threads),
    cmocka_unit_test(rounding),
    cmocka_unit_test(access_by_particle),
    cmocka_unit_test(errors_name_line_column_and_key),
    cmocka_unit_test(frequencies_are_checked),
    cmocka_unit_test(values_are_checked),
    cmocka_unit_test(unknown_groups_and_fields_list_the_known),
    cmocka_unit_test(what_the_schema_refuses_has_a_place),
    cmocka_unit_test(long_values_are_cut),
    cmocka_unit_test(depth_and_size_are_bounded),
    cmocka_unit_test(files),
    cmocka_unit_test(positions),
};
TEST_MAIN(tests)
