#include "harness.h"
#include <math.h>

#include <stdlib.h>

#include "model/schema.h"

static struct group *group_of(struct schema *schema, const char *name)
{
    struct group *group;
    assert_int_equal(schema_add_group(schema, name, trajlog_every(1), &group, NULL), TRAJLOG_OK);
    return group;
}

static struct field *field_of(struct group *group, const char *name)
{
    struct field *field;
    assert_int_equal(schema_add_field(group, name, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(10, 3), "nm", &field, NULL),
                     TRAJLOG_OK);
    return field;
}

static void refuse_group(struct schema *schema, const char *name, trajlog_status status, const char *message)
{
    struct error error = {0};
    struct group *group;
    size_t count = schema->group_count;
    assert_int_equal(schema_add_group(schema, name, trajlog_every(1), &group, &error), status);
    assert_null(group);
    assert_non_null(strstr(error.message, message));
    assert_int_equal(schema->group_count, count);
}

static void refuse_field(struct group *group, const char *name, trajlog_status status, const char *message)
{
    struct error error = {0};
    struct field *field;
    size_t count = group->field_count;
    assert_int_equal(schema_add_field(group, name, TRAJLOG_INT8, TRAJLOG_SCALAR, NULL, &field, &error), status);
    assert_null(field);
    assert_non_null(strstr(error.message, message));
    assert_int_equal(group->field_count, count);
}

static void names_of_groups(void **state)
{
    struct schema *schema = schema_new();
    char text[257];
    (void)state;
    memset(text, 'g', sizeof text - 1);
    text[256] = '\0';
    refuse_group(schema, NULL, TRAJLOG_INVALID_ARGUMENT, "NULL");
    refuse_group(schema, "", TRAJLOG_INVALID_ARGUMENT, "empty");
    refuse_group(schema, text, TRAJLOG_INVALID_ARGUMENT, "255 bytes");
    refuse_group(schema, "a/b", TRAJLOG_INVALID_ARGUMENT, "group \"a/b\": a name must not have a '/'");
    refuse_group(schema, ".", TRAJLOG_INVALID_ARGUMENT, "\"..\"");
    refuse_group(schema, "..", TRAJLOG_INVALID_ARGUMENT, "\"..\"");
    refuse_group(schema, "trajlog", TRAJLOG_INVALID_ARGUMENT, "reserved");
    refuse_group(schema, "a\nb", TRAJLOG_INVALID_ARGUMENT, "control");
    refuse_group(schema, "a\x7f", TRAJLOG_INVALID_ARGUMENT, "control");
    refuse_group(schema, "a\xc2\x85", TRAJLOG_INVALID_ARGUMENT, "control");
    refuse_group(schema, "a\xff", TRAJLOG_INVALID_ARGUMENT, "UTF-8");
    text[255] = '\0';
    group_of(schema, text);
    group_of(schema, "Gr\xc3\xb6\xc3\x9f"
                     "e");
    group_of(schema, "...");
    group_of(schema, "step");
    refuse_group(schema, "step", TRAJLOG_DUPLICATE_NAME, "group \"step\": the name is taken");
    assert_ptr_equal(schema_find_group(schema, "..."), schema->groups[2]);
    assert_null(schema_find_group(schema, "nothing"));
    assert_null(schema_find_group(schema, NULL));
    schema_free(schema);
}

static void names_of_fields(void **state)
{
    struct schema *schema = schema_new();
    struct group *group = group_of(schema, "g");
    char text[1100];
    (void)state;
    memset(text, 'f', sizeof text);
    for (size_t i = 100; i < sizeof text; i += 100) text[i] = '/';
    text[1024] = '\0';
    refuse_field(group, text, TRAJLOG_INVALID_ARGUMENT, "1023 bytes");
    refuse_field(group, NULL, TRAJLOG_INVALID_ARGUMENT, "group \"g\"");
    refuse_field(group, "", TRAJLOG_INVALID_ARGUMENT, "group \"g\", field \"\": a name must not be empty");
    refuse_field(group, "/a", TRAJLOG_INVALID_ARGUMENT, "begin or end with '/'");
    refuse_field(group, "a/", TRAJLOG_INVALID_ARGUMENT, "begin or end with '/'");
    refuse_field(group, "a//b", TRAJLOG_INVALID_ARGUMENT, "in a row");
    refuse_field(group, "a/../b", TRAJLOG_INVALID_ARGUMENT, "\"..\"");
    refuse_field(group, "a/\x01", TRAJLOG_INVALID_ARGUMENT, "control");
    refuse_field(group, "step", TRAJLOG_DUPLICATE_NAME, "\"step\" and \"time\" are taken");
    refuse_field(group, "time/x", TRAJLOG_DUPLICATE_NAME, "\"step\" and \"time\" are taken");
    text[1023] = '\0';
    field_of(group, text);
    field_of(group, "a/step");
    field_of(group, "steps");
    schema_free(schema);
}

static void a_field_is_no_group_of_others(void **state)
{
    struct schema *schema = schema_new();
    struct group *group = group_of(schema, "g");
    (void)state;
    field_of(group, "atoms/water/position");
    field_of(group, "atoms/water/velocity");
    field_of(group, "atom");
    field_of(group, "box");
    refuse_field(group, "atoms/water/position", TRAJLOG_DUPLICATE_NAME, "taken by another field");
    refuse_field(group, "atoms", TRAJLOG_DUPLICATE_NAME, "goes on below it");
    refuse_field(group, "atoms/water", TRAJLOG_DUPLICATE_NAME, "goes on below it");
    refuse_field(group, "box/edges", TRAJLOG_DUPLICATE_NAME, "\"box\" is a field");
    refuse_field(group, "atoms/water/position/x", TRAJLOG_DUPLICATE_NAME, "\"atoms/water/position\" is a field");
    assert_null(group_find_field(group, "atoms"));
    assert_null(group_find_field(group, "at"));
    assert_ptr_equal(group_find_field(group, "atoms/water/velocity"), group->fields[1]);
    schema_free(schema);
}

static void many_fields_are_found(void **state)
{
    struct schema *schema = schema_new();
    struct group *group = group_of(schema, "g");
    char name[40];
    (void)state;
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "part%d/field%d", i % 7, i);
        field_of(group, name);
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "part%d/field%d", i % 7, i);
        assert_ptr_equal(group_find_field(group, name), group->fields[i]);
    }
    schema_free(schema);
}

static void fields_know_their_size(void **state)
{
    struct schema *schema = schema_new();
    struct field *field = field_of(group_of(schema, "g"), "x");
    (void)state;
    assert_int_equal(field->element_count, 30);
    assert_int_equal(field->memory_bytes, 240);
    assert_int_equal(field->stored_bytes, 240);
    assert_string_equal(field->unit, "nm");
    assert_string_equal(field->description, "");
    assert_true(field->enabled);
    assert_int_equal(field_set_stored_type(schema->groups[0], field, TRAJLOG_FLOAT32, NULL), TRAJLOG_OK);
    assert_int_equal(field->stored_bytes, 120);
    assert_int_equal(field->memory_bytes, 240);
    schema_free(schema);
}

static void stored_types_must_convert(void **state)
{
    struct schema *schema = schema_new();
    struct group *group = group_of(schema, "g");
    struct field *field = field_of(group, "x");
    struct error error = {0};
    (void)state;
    assert_int_equal(field_set_stored_type(group, field, TRAJLOG_INT32, &error), TRAJLOG_TYPE_MISMATCH);
    assert_string_equal(error.message, "group \"g\", field \"x\": float64 cannot be stored as int32");
    assert_int_equal(field->stored_type, TRAJLOG_FLOAT64);
    assert_int_equal(field_set_stored_type(group, field, 77, NULL), TRAJLOG_INVALID_ARGUMENT);
    schema_free(schema);
}

static void storage_is_checked(void **state)
{
    struct schema *schema = schema_new();
    struct group *group = group_of(schema, "g");
    struct field *field = field_of(group, "x");
    struct storage good = {.chunk_rows = 8, .compression = TRAJLOG_COMPRESSION_DEFLATE, .level = 9, .checksum = true};
    struct storage bad[] = {
        {.chunk_rows = -1},
        {.chunk_rows = (int64_t)1 << 40},
        {.compression = (trajlog_compression)9},
        {.compression = TRAJLOG_COMPRESSION_DEFLATE, .level = 10},
        {.compression = TRAJLOG_COMPRESSION_DEFLATE, .level = -1},
        {.compression = TRAJLOG_COMPRESSION_NONE, .level = 1},
        {.level = 1},
        {.access = (trajlog_access)2},
        {.max_error = -0.1},
        {.max_error = NAN},
        {.max_error = INFINITY},
        {.significant_digits = 16},
        {.significant_digits = -1},
        {.max_error = 0.1, .significant_digits = 3},
        {.compression = TRAJLOG_COMPRESSION_NONE, .level = 1, .max_error = 0.1},
    };
    (void)state;
    assert_int_equal(field_set_storage(group, field, &good, NULL), TRAJLOG_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error error = {0};
        assert_int_equal(field_set_storage(group, field, &bad[i], &error), TRAJLOG_INVALID_ARGUMENT);
        assert_memory_equal(error.message, "group \"g\", field \"x\": ", 22);
    }
    assert_int_equal(field->storage.level, 9);
    schema_free(schema);
}

static void only_floats_are_rounded(void **state)
{
    struct schema *schema = schema_new();
    struct group *group = group_of(schema, "g");
    struct field *x, *n;
    struct error error = {0};
    struct storage rounded = {.max_error = 0.1};
    (void)state;
    assert_int_equal(schema_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, NULL, &x, NULL), TRAJLOG_OK);
    assert_int_equal(schema_add_field(group, "n", TRAJLOG_INT32, TRAJLOG_SCALAR, NULL, &n, NULL), TRAJLOG_OK);
    assert_int_equal(field_set_storage(group, x, &rounded, NULL), TRAJLOG_OK);
    assert_int_equal(storage_level(&x->storage), 1);
    assert_int_equal(field_set_stored_type(group, x, TRAJLOG_FLOAT32, NULL), TRAJLOG_OK);
    assert_int_equal(field_set_stored_type(group, x, TRAJLOG_COMPLEX64, &error), TRAJLOG_INVALID_ARGUMENT);
    assert_string_equal(error.message, "group \"g\", field \"x\": max_error: only float32 and float64 are rounded, and "
                                       "the field is stored as complex64");
    assert_int_equal(field_set_storage(group, n, &rounded, NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(field_set_stored_type(group, n, TRAJLOG_FLOAT64, NULL), TRAJLOG_OK);
    assert_int_equal(field_set_storage(group, n, &rounded, NULL), TRAJLOG_OK);
    rounded.compression = TRAJLOG_COMPRESSION_NONE;
    assert_int_equal(storage_level(&rounded), 0);
    rounded.access = TRAJLOG_ACCESS_PARTICLE;
    assert_int_equal(field_set_storage(group, n, &rounded, &error), TRAJLOG_INVALID_ARGUMENT); /* a scalar */
    schema_free(schema);
}

static void lists_of_steps_are_copied(void **state)
{
    struct schema *schema = schema_new();
    int64_t steps[] = {1, 2, 3}, other[] = {7};
    struct error error = {0};
    struct group *group;
    (void)state;
    assert_int_equal(schema_add_group(schema, "g", trajlog_at_steps(steps, 3), &group, NULL), TRAJLOG_OK);
    steps[2] = 0;
    assert_int_equal(group->frequency.steps[2], 3);
    assert_int_equal(group_set_frequency(group, trajlog_at_steps(other, 1), NULL), TRAJLOG_OK);
    assert_int_equal(group->frequency.steps[0], 7);
    assert_int_equal(group_set_frequency(group, trajlog_every(0), &error), TRAJLOG_INVALID_ARGUMENT);
    assert_memory_equal(error.message, "group \"g\": every", 16);
    assert_int_equal(group->frequency.step_count, 1);
    assert_int_equal(group_set_frequency(group, trajlog_once(), NULL), TRAJLOG_OK);
    assert_true(group_is_once(group));
    schema_free(schema);
}

static void bad_declarations_are_refused(void **state)
{
    struct schema *schema = schema_new();
    struct group *group = group_of(schema, "g"), *none;
    struct field *field;
    struct error error = {0};
    (void)state;
    assert_int_equal(schema_add_group(schema, "h", trajlog_every(0), &none, &error), TRAJLOG_INVALID_ARGUMENT);
    assert_string_equal(error.message, "group \"h\": every: expected an interval of at least 1, got 0");
    assert_int_equal(schema_add_group(schema, "h", trajlog_when(NULL, NULL), &none, NULL), TRAJLOG_INVALID_ARGUMENT);
    error_clear(&error);
    assert_int_equal(schema_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(0), "", &field, &error),
                     TRAJLOG_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "group \"g\", field \"x\": shape"));
    assert_int_equal(schema_add_field(group, "x", 0, TRAJLOG_SHAPE(1), "", &field, NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(schema_add_field(group, "x", TRAJLOG_INT8, TRAJLOG_SHAPE(1), "\xff", &field, NULL),
                     TRAJLOG_INVALID_ARGUMENT);
    field = field_of(group, "x");
    assert_int_equal(field_set_description(field, "\xff", NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(field_set_description(field, "where", NULL), TRAJLOG_OK);
    assert_int_equal(field_set_description(field, NULL, NULL), TRAJLOG_OK);
    assert_string_equal(field->description, "");
    schema_free(schema);
}

static void addresses_are_stable(void **state)
{
    struct schema *schema = schema_new();
    struct group *first = group_of(schema, "first");
    struct field *field = field_of(first, "x");
    char name[20];
    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "n%d", i);
        group_of(schema, name);
        field_of(first, name);
    }
    assert_ptr_equal(schema->groups[0], first);
    assert_ptr_equal(first->fields[0], field);
    schema_free(schema);
    schema_free(NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(names_of_groups),
    cmocka_unit_test(names_of_fields),
    cmocka_unit_test(a_field_is_no_group_of_others),
    cmocka_unit_test(many_fields_are_found),
    cmocka_unit_test(fields_know_their_size),
    cmocka_unit_test(stored_types_must_convert),
    cmocka_unit_test(storage_is_checked),
    cmocka_unit_test(only_floats_are_rounded),
    cmocka_unit_test(lists_of_steps_are_copied),
    cmocka_unit_test(bad_declarations_are_refused),
    cmocka_unit_test(addresses_are_stable),
};
TEST_MAIN(tests)
