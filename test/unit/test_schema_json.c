#include "harness.h"

#include <stdbool.h>
#include <stdlib.h>

#include "model/schema_json.h"

static int never(int64_t step, double time, const void *state, void *context)
{
    (void)step;
    (void)time;
    (void)state;
    (void)context;
    return 0;
}

static void add(struct schema *schema, const char *name, trajlog_frequency frequency)
{
    struct group *group;
    struct field *field, *rounded;
    struct storage storage = {.chunk_rows = 7,
                              .compression = TRAJLOG_COMPRESSION_DEFLATE,
                              .level = 3,
                              .checksum = true,
                              .max_error = 0.0005,
                              .access = TRAJLOG_ACCESS_PARTICLE};
    assert_int_equal(schema_add_group(schema, name, frequency, &group, NULL), TRAJLOG_OK);
    assert_int_equal(metadata_set(&group->metadata, "of", name, NULL), TRAJLOG_OK);
    assert_int_equal(
        schema_add_field(group, "atoms/position", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(10, 3), "nm", &field, NULL),
        TRAJLOG_OK);
    assert_int_equal(field_set_stored_type(group, field, TRAJLOG_FLOAT32, NULL), TRAJLOG_OK);
    assert_int_equal(field_set_description(field, "\"where\"\n\xc3\xa4", NULL), TRAJLOG_OK);
    assert_int_equal(field_set_storage(group, field, &storage, NULL), TRAJLOG_OK);
    assert_int_equal(schema_add_field(group, "x", TRAJLOG_FLOAT32, TRAJLOG_SCALAR, NULL, &rounded, NULL), TRAJLOG_OK);
    storage.max_error = 0.0;
    storage.significant_digits = 4;
    storage.access = TRAJLOG_ACCESS_FRAME;
    assert_int_equal(field_set_storage(group, rounded, &storage, NULL), TRAJLOG_OK);
    assert_int_equal(metadata_merge(&field->metadata, "{\"a\": [1, 2.5, null, {\"b\": true}]}", NULL), TRAJLOG_OK);
    assert_int_equal(schema_add_field(group, "name", TRAJLOG_STRING(8), TRAJLOG_SCALAR, NULL, &field, NULL),
                     TRAJLOG_OK);
}

static struct schema *full_schema(void)
{
    static const int64_t steps[] = {INT64_MIN, 0, INT64_MAX};
    struct schema *schema = schema_new();
    add(schema, "once", trajlog_once());
    add(schema, "every", trajlog_with_first(trajlog_every(10)));
    add(schema, "between", trajlog_with_last(trajlog_every_between(3, -5, 99)));
    add(schema, "steps", trajlog_at_steps(steps, 3));
    add(schema, "logarithmic", trajlog_logarithmic(12));
    add(schema, "when", trajlog_when(never, NULL));
    add(schema, "clock", trajlog_wall_clock(0.1));
    assert_int_equal(schema_set_text(&schema->user, "somebody", NULL), TRAJLOG_OK);
    assert_int_equal(schema_set_text(&schema->program, "md", NULL), TRAJLOG_OK);
    assert_int_equal(schema_set_text(&schema->program_version, "1.2", NULL), TRAJLOG_OK);
    assert_int_equal(schema_set_text(&schema->created, "2025-01-02T03:04:05Z", NULL), TRAJLOG_OK);
    assert_int_equal(metadata_set(&schema->environment, "trajlog", trajlog_version(), NULL), TRAJLOG_OK);
    assert_int_equal(metadata_merge(&schema->metadata, "{\"title\": \"x\", \"n\": 9007199254740993}", NULL),
                     TRAJLOG_OK);
    return schema;
}

static void same_frequency(const trajlog_frequency *a, const trajlog_frequency *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->with_first, b->with_first);
    assert_int_equal(a->with_last, b->with_last);
    assert_int_equal(a->per_decade, b->per_decade);
    assert_true(a->interval == b->interval && a->start == b->start && a->stop == b->stop);
    assert_true(a->seconds == b->seconds);
    assert_int_equal(a->step_count, b->step_count);
    if (a->step_count > 0) assert_memory_equal(a->steps, b->steps, a->step_count * sizeof *a->steps);
}

static void same_field(const struct field *a, const struct field *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->stored_type, b->stored_type);
    assert_int_equal(a->stored_bytes, b->stored_bytes);
    assert_true(shape_equal(&a->shape, &b->shape));
    assert_string_equal(a->unit, b->unit);
    assert_string_equal(a->description, b->description);
    assert_int_equal(a->storage.chunk_rows, b->storage.chunk_rows);
    assert_int_equal(a->storage.compression, b->storage.compression);
    assert_int_equal(a->storage.level, b->storage.level);
    assert_int_equal(a->storage.checksum, b->storage.checksum);
    assert_true(a->storage.max_error == b->storage.max_error);
    assert_int_equal(a->storage.access, b->storage.access);
    assert_int_equal(a->storage.significant_digits, b->storage.significant_digits);
}

static void round_trip(void **state)
{
    struct schema *schema = full_schema(), *copy;
    char *text = schema_to_json(schema), *again;
    (void)state;
    assert_int_equal(schema_from_json(text, strlen(text), &copy, NULL), TRAJLOG_OK);
    assert_int_equal(copy->group_count, schema->group_count);
    for (size_t i = 0; i < schema->group_count; i++) {
        assert_string_equal(copy->groups[i]->name, schema->groups[i]->name);
        same_frequency(&copy->groups[i]->frequency, &schema->groups[i]->frequency);
        assert_int_equal(copy->groups[i]->field_count, 3);
        for (size_t j = 0; j < 3; j++) same_field(copy->groups[i]->fields[j], schema->groups[i]->fields[j]);
    }
    assert_string_equal(copy->user, "somebody");
    assert_string_equal(copy->program_version, "1.2");
    again = schema_to_json(copy);
    assert_string_equal(text, again);
    assert_non_null(strstr(text, "9007199254740993"));
    free(text);
    free(again);
    schema_free(schema);
    schema_free(copy);
}

static void what_is_switched_off_is_left_out(void **state)
{
    struct schema *schema = full_schema(), *copy;
    char *text;
    (void)state;
    schema->groups[0]->enabled = false;
    for (size_t i = 3; i < schema->group_count; i++) schema->groups[i]->enabled = false;
    schema->groups[1]->fields[0]->enabled = false;
    text = schema_group_names_json(schema);
    assert_string_equal(text, "[\"every\",\"between\"]");
    free(text);
    text = group_paths_json(schema->groups[1]);
    assert_string_equal(text, "[\"x\",\"name\"]");
    free(text);
    text = schema_to_json(schema);
    assert_int_equal(schema_from_json(text, strlen(text), &copy, NULL), TRAJLOG_OK);
    assert_int_equal(copy->group_count, 2);
    assert_int_equal(copy->groups[0]->field_count, 2);
    free(text);
    schema_free(schema);
    schema_free(copy);
}

#define FIELD "{\"name\":\"x\",\"type\":\"float64\",\"shape\":[3]}"
#define GROUP_WITH(frequency, fields)                                                                                  \
    "{\"format\":1,\"groups\":[{\"name\":\"g\",\"frequency\":" frequency ",\"fields\":[" fields "]}]}"
#define WITH_FREQUENCY(frequency) GROUP_WITH(frequency, FIELD)
#define WITH_FIELD(field)         GROUP_WITH("{\"kind\":\"once\"}", field)

static void little_is_enough(void **state)
{
    static const char text[] =
        "{\"format\":1,\"later\":{},\"groups\":[{\"name\":\"g\",\"new\":1,\"frequency\":{\"kind\":"
        "\"every\",\"interval\":2},\"fields\":[" FIELD "]}]}";
    struct schema *schema;
    struct error error = {0};
    (void)state;
    assert_int_equal(schema_from_json(text, strlen(text), &schema, &error), TRAJLOG_OK);
    assert_true(schema->groups[0]->frequency.stop == TRAJLOG_NO_STOP);
    assert_int_equal(schema->groups[0]->fields[0]->stored_type, TRAJLOG_FLOAT64);
    assert_string_equal(schema->created, "");
    schema_free(schema);
}

static void refuse(const char *text, trajlog_status status, const char *message)
{
    struct schema *schema;
    struct error error = {0};
    assert_int_equal(schema_from_json(text, strlen(text), &schema, &error), status);
    assert_null(schema);
    if (strstr(error.message, message) == NULL) fail_msg("\"%s\" is not in \"%s\"", message, error.message);
    assert_int_equal(schema_from_json(text, strlen(text), &schema, NULL), status);
}

static void broken_schemas_are_refused(void **state)
{
    static const struct {
        const char *text, *message;
    } broken[] = {
        {"", "line 1"},
        {"[]", "expected an object"},
        {"{}", "format: expected an integer"},
        {"{\"format\":\"1\",\"groups\":[]}", "format"},
        {"{\"format\":0,\"groups\":[]}", "at least 1"},
        {"{\"format\":1}", "groups: expected a list"},
        {"{\"format\":1,\"groups\":{}}", "groups"},
        {"{\"format\":1,\"groups\":[1]}", "groups[0]: group: expected an object"},
        {"{\"format\":1,\"format\":1,\"groups\":[]}", "duplicate"},
        {"{\"format\":1,\"groups\":[],\"user\":7}", "user: expected a text"},
        {"{\"format\":1,\"groups\":[],\"user\":\"a\\u0000b\"}", "schema"},
        {"{\"format\":1,\"groups\":[],\"program\":[]}", "program: expected an object"},
        {"{\"format\":1,\"groups\":[],\"metadata\":[]}", "metadata: expected an object"},
        {"{\"format\":1,\"groups\":[],\"environment\":{\"a\":1}}", "environment"},
        {"{\"format\":1,\"groups\":[{\"frequency\":{},\"fields\":[]}]}", "name: expected a text"},
        {"{\"format\":1,\"groups\":[{\"name\":\"g\",\"fields\":[]}]}", "frequency: expected an object"},
        {"{\"format\":1,\"groups\":[{\"name\":\"../g\",\"frequency\":{\"kind\":\"once\"},\"fields\":[]}]}", "'/'"},
        {GROUP_WITH("{\"kind\":\"once\"}", FIELD "," FIELD), "fields[1]: group \"g\", field \"x\": the name is taken"},
        {WITH_FREQUENCY("{}"), "kind: expected once"},
        {WITH_FREQUENCY("{\"kind\":\"never\"}"), "kind: expected once"},
        {WITH_FREQUENCY("{\"kind\":\"\"}"), "kind: expected once"},
        {WITH_FREQUENCY("{\"kind\":\"every\"}"), "interval of at least 1"},
        {WITH_FREQUENCY("{\"kind\":\"every\",\"interval\":1.5}"), "interval: expected an integer"},
        {WITH_FREQUENCY("{\"kind\":\"every\",\"interval\":99999999999999999999}"), "schema"},
        {WITH_FREQUENCY("{\"kind\":\"every\",\"interval\":1,\"stop\":-1}"), "stop > start"},
        {WITH_FREQUENCY("{\"kind\":\"steps\"}"), "steps: expected a list"},
        {WITH_FREQUENCY("{\"kind\":\"steps\",\"steps\":[]}"), "at least one"},
        {WITH_FREQUENCY("{\"kind\":\"steps\",\"steps\":[2,1]}"), "increasing"},
        {WITH_FREQUENCY("{\"kind\":\"steps\",\"steps\":[2,\"3\"]}"), "list of integers"},
        {WITH_FREQUENCY("{\"kind\":\"logarithmic\",\"per_decade\":4294967297}"), "32 bits"},
        {WITH_FREQUENCY("{\"kind\":\"logarithmic\",\"per_decade\":1001}"), "1 to 1000"},
        {WITH_FREQUENCY("{\"kind\":\"wall_clock\",\"seconds\":-1}"), "more than 0"},
        {WITH_FREQUENCY("{\"kind\":\"wall_clock\"}"), "seconds"},
        {WITH_FREQUENCY("{\"kind\":\"once\",\"with_first\":1}"), "with_first: expected true or false"},
        {WITH_FIELD("7"), "fields[0]: field: expected an object"},
        {WITH_FIELD("{\"name\":\"x\",\"shape\":[3]}"), "type: expected the name"},
        {WITH_FIELD("{\"name\":\"x\",\"type\":\"float\",\"shape\":[3]}"), "type: expected the name"},
        {WITH_FIELD("{\"name\":\"x\",\"type\":\"int8\"}"), "shape: expected a list"},
        {WITH_FIELD("{\"name\":\"x\",\"type\":\"int8\",\"shape\":[-3]}"), "at least 1 in each dimension"},
        {WITH_FIELD("{\"name\":\"x\",\"type\":\"int8\",\"shape\":[1,1,1,1,1,1,1,1]}"), "at most 7"},
        {WITH_FIELD("{\"name\":\"x\",\"type\":\"int8\",\"shape\":[9223372036854775807,2]}"), "2^47"},
        {WITH_FIELD("{\"name\":\"x\",\"type\":\"int8\",\"shape\":[],\"stored_type\":\"string[3]\"}"),
         "cannot be stored"},
        {WITH_FIELD("{\"name\":\"x\",\"type\":\"int8\",\"shape\":[],\"unit\":null}"), "unit: expected a text"},
        {WITH_FIELD("{\"name\":\"x\",\"type\":\"int8\",\"shape\":[],\"storage\":[]}"), "storage"},
        {WITH_FIELD("{\"name\":\"x\",\"type\":\"int8\",\"shape\":[],\"storage\":{\"compression\":\"lz4\"}}"),
         "deflate"},
        {WITH_FIELD("{\"name\":\"x\",\"type\":\"int8\",\"shape\":[],\"storage\":{\"level\":12}}"), "level"},
        {WITH_FIELD("{\"name\":\"x\",\"type\":\"int8\",\"shape\":[],\"storage\":{\"chunk_rows\":-2}}"), "chunk_rows"},
        {WITH_FIELD("{\"name\":\"x\",\"type\":\"float32\",\"shape\":[],\"storage\":{\"max_error\":\"x\"}}"),
         "max_error"},
        {WITH_FIELD("{\"name\":\"x\",\"type\":\"int8\",\"shape\":[],\"storage\":{\"max_error\":1}}"), "max_error"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        refuse(broken[i].text, TRAJLOG_INVALID_FILE, broken[i].message);
    }
    refuse("{\"format\":2,\"groups\":[]}", TRAJLOG_UNSUPPORTED, "format version 2");
}

/* No prefix of a schema is a schema, and none does harm. */
static void prefixes_are_refused(void **state)
{
    struct schema *schema = full_schema(), *copy;
    char *text = schema_to_json(schema);
    (void)state;
    for (size_t length = 0; length < strlen(text); length += 3) {
        assert_int_equal(schema_from_json(text, length, &copy, NULL), TRAJLOG_INVALID_FILE);
    }
    free(text);
    schema_free(schema);
}

static void depth_and_size_are_bounded(void **state)
{
    size_t length = SCHEMA_MAX_TEXT + 1;
    char *text = malloc(length + 1);
    struct schema *schema;
    struct error error = {0};
    (void)state;
    memset(text, ' ', length);
    assert_int_equal(schema_from_json(text, length, &schema, &error), TRAJLOG_INVALID_FILE);
    assert_non_null(strstr(error.message, "at most"));
    memset(text, '[', length);
    error_clear(&error);
    assert_int_equal(schema_from_json(text, 1000000, &schema, &error), TRAJLOG_INVALID_FILE);
    assert_non_null(strstr(error.message, "deep"));
    free(text);
}

/* ----------------------------------------------------------------------------------------------------- metadata --- */

static void expect_metadata(const struct json_t *object, const char *expected)
{
    char *text = metadata_text(object);
    assert_string_equal(text, expected);
    free(text);
}

static void keys_are_set_and_replaced(void **state)
{
    struct json_t *object = NULL;
    (void)state;
    expect_metadata(NULL, "{}");
    assert_int_equal(metadata_set(&object, "a", "1", NULL), TRAJLOG_OK);
    assert_int_equal(metadata_merge(&object, " {\"b\": {\"c\": 2}} ", NULL), TRAJLOG_OK);
    assert_int_equal(metadata_set(&object, "a", "2", NULL), TRAJLOG_OK);
    assert_int_equal(metadata_merge(&object, "{\"b\": 3, \"d\": [ ]}", NULL), TRAJLOG_OK);
    expect_metadata(object, "{\"a\":\"2\",\"b\":3,\"d\":[]}");
    metadata_free(object);
    metadata_free(NULL);
}

static void refuse_merge(struct json_t **object, const char *json, const char *message)
{
    struct error error = {0};
    assert_int_equal(metadata_merge(object, json, &error), TRAJLOG_INVALID_ARGUMENT);
    assert_memory_equal(error.message, "metadata: ", 10);
    assert_non_null(strstr(error.message, message));
}

static void bad_metadata_changes_nothing(void **state)
{
    struct json_t *object = NULL;
    char *large = malloc(METADATA_MAX_TEXT + 100);
    (void)state;
    assert_int_equal(metadata_set(&object, "a", "1", NULL), TRAJLOG_OK);
    assert_int_equal(metadata_set(&object, "", "1", NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(metadata_set(&object, NULL, "1", NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(metadata_set(&object, "b", NULL, NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(metadata_set(&object, "\xff", "1", NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(metadata_set(&object, "b", "\xff", NULL), TRAJLOG_INVALID_ARGUMENT);
    refuse_merge(&object, NULL, "NULL");
    refuse_merge(&object, "[1]", "object");
    refuse_merge(&object, "{\"a\": }", "line 1");
    refuse_merge(&object, "{\"b\": 1, \"b\": 2}", "duplicate");
    memset(large, 'x', METADATA_MAX_TEXT + 99);
    large[METADATA_MAX_TEXT + 99] = '\0';
    refuse_merge(&object, large, "at most");
    assert_int_equal(metadata_set(&object, "b", large, NULL), TRAJLOG_INVALID_ARGUMENT);
    memset(large, '[', 200);
    refuse_merge(&object, large, "at most");
    large[METADATA_MAX_TEXT] = '\0';
    refuse_merge(&object, large, "deep");
    expect_metadata(object, "{\"a\":\"1\"}");
    metadata_free(object);
    free(large);
}

static void the_deepest_metadata_comes_back(void **state)
{
    struct schema *schema = full_schema(), *copy;
    char json[300] = "{\"a\":", *text;
    (void)state;
    for (int i = 0; i < METADATA_MAX_DEPTH - 1; i++) strcat(json, "[");
    for (int i = 0; i < METADATA_MAX_DEPTH - 1; i++) strcat(json, "]");
    strcat(json, "}");
    assert_int_equal(metadata_merge(&schema->groups[0]->fields[0]->metadata, json, NULL), TRAJLOG_OK);
    text = schema_to_json(schema);
    assert_int_equal(schema_from_json(text, strlen(text), &copy, NULL), TRAJLOG_OK);
    free(text);
    schema_free(schema);
    schema_free(copy);
}

static void lists_of_names(void **state)
{
    static const char *const bad[] = {"", "{}", "[1]", "[\"a\",", "[\"a\\u0000b\"]", "\"a\""};
    static const char good[] = "[\"array['k'].x\", \"\xc3\xa4\"]";
    struct error error = {0};
    char **names;
    size_t count;
    (void)state;
    assert_int_equal(names_from_json(good, strlen(good), &names, &count, NULL), TRAJLOG_OK);
    assert_int_equal(count, 2);
    assert_string_equal(names[0], "array['k'].x");
    assert_string_equal(names[1], "\xc3\xa4");
    names_free(names, count);
    assert_int_equal(names_from_json("[]", 2, &names, &count, NULL), TRAJLOG_OK);
    assert_int_equal(count, 0);
    names_free(names, count);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(names_from_json(bad[i], strlen(bad[i]), &names, &count, NULL), TRAJLOG_INVALID_FILE);
        assert_null(names);
        assert_int_equal(count, 0);
    }
    assert_int_equal(names_from_json("[\"a\",1]", 7, &names, &count, &error), TRAJLOG_INVALID_FILE);
    assert_string_equal(error.message, "list of names: [1]: expected a text");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(round_trip),
    cmocka_unit_test(what_is_switched_off_is_left_out),
    cmocka_unit_test(little_is_enough),
    cmocka_unit_test(broken_schemas_are_refused),
    cmocka_unit_test(prefixes_are_refused),
    cmocka_unit_test(depth_and_size_are_bounded),
    cmocka_unit_test(keys_are_set_and_replaced),
    cmocka_unit_test(bad_metadata_changes_nothing),
    cmocka_unit_test(the_deepest_metadata_comes_back),
    cmocka_unit_test(lists_of_names),
};
TEST_MAIN(tests)
