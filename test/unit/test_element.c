#include "harness.h"

#include "model/element.h"
#include "model/text.h"

static void sizes_and_names_agree(void **state)
{
    static const struct {
        trajlog_type type;
        const char *name;
        size_t size;
    } all[] = {
        {TRAJLOG_INT8, "int8", 1},
        {TRAJLOG_INT16, "int16", 2},
        {TRAJLOG_INT32, "int32", 4},
        {TRAJLOG_INT64, "int64", 8},
        {TRAJLOG_UINT8, "uint8", 1},
        {TRAJLOG_UINT16, "uint16", 2},
        {TRAJLOG_UINT32, "uint32", 4},
        {TRAJLOG_UINT64, "uint64", 8},
        {TRAJLOG_FLOAT32, "float32", 4},
        {TRAJLOG_FLOAT64, "float64", 8},
        {TRAJLOG_BOOL, "bool", 1},
        {TRAJLOG_COMPLEX64, "complex64", 8},
        {TRAJLOG_COMPLEX128, "complex128", 16},
        {TRAJLOG_STRING(1), "string[1]", 1},
        {TRAJLOG_STRING(16), "string[16]", 16},
        {TRAJLOG_STRING(65535), "string[65535]", 65535},
    };
    char name[32];
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        trajlog_type type = 0;
        assert_true(element_is_valid(all[i].type));
        assert_int_equal(trajlog_type_size(all[i].type), all[i].size);
        assert_string_equal(trajlog_type_name(all[i].type, name, sizeof name), all[i].name);
        assert_true(element_from_name(all[i].name, &type));
        assert_int_equal(type, all[i].type);
    }
}

static void other_numbers_and_names_are_no_types(void **state)
{
    static const trajlog_type numbers[] = {
        0, 15, 255, TRAJLOG_STRING(0), TRAJLOG_STRING(65536), TRAJLOG_FLOAT64 | 256, UINT32_MAX};
    static const char *const names[] = {
        "",           "float",         "Float64",    "float64 ",   "string",
        "string[]",   "string[0]",     "string[01]", "string[16",  "string[16]x",
        "string[-1]", "string[65536]", "string[+1]", "string[1 ]", "string[99999999999999999999]"};
    trajlog_type type;
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_false(element_is_valid(numbers[i]));
        assert_int_equal(trajlog_type_size(numbers[i]), 0);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) assert_false(element_from_name(names[i], &type));
    assert_false(element_from_name(NULL, &type));
}

static void short_buffers_are_not_overrun(void **state)
{
    char text[6] = "12345";
    trajlog_shape shape = TRAJLOG_SHAPE(100, 3);
    (void)state;
    assert_string_equal(trajlog_type_name(TRAJLOG_COMPLEX128, text, 4), "com");
    assert_int_equal(text[4], '5');
    assert_string_equal(shape_text(&shape, text, 5), "[100");
    assert_ptr_equal(shape_text(&shape, text, 0), text);
}

static void counts_and_bytes(void **state)
{
    trajlog_shape scalar = TRAJLOG_SCALAR, all = TRAJLOG_SHAPE(2, 3, 4, 5, 6, 7, 8);
    int64_t count;
    size_t bytes;
    char text[64];
    (void)state;
    assert_int_equal(shape_count(&scalar, &count, NULL), TRAJLOG_OK);
    assert_int_equal(count, 1);
    assert_int_equal(shape_bytes(&all, TRAJLOG_COMPLEX128, &bytes, NULL), TRAJLOG_OK);
    assert_int_equal(bytes, 40320 * 16);
    assert_string_equal(shape_text(&all, text, sizeof text), "[2, 3, 4, 5, 6, 7, 8]");
    assert_string_equal(shape_text(&scalar, text, sizeof text), "[]");
    assert_true(shape_equal(&all, &all));
    assert_false(shape_equal(&all, &scalar));
}

static void refuse(trajlog_shape shape, trajlog_type type, const char *message)
{
    struct error error = {0};
    size_t bytes;
    assert_int_equal(shape_bytes(&shape, type, &bytes, &error), TRAJLOG_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, message));
}

static void shapes_out_of_range_are_refused(void **state)
{
    trajlog_shape rank = TRAJLOG_SCALAR;
    size_t bytes;
    (void)state;
    rank.rank = 8;
    refuse(rank, TRAJLOG_INT8, "rank of 0 to 7, got 8");
    rank.rank = -1;
    refuse(rank, TRAJLOG_INT8, "got -1");
    refuse(TRAJLOG_SHAPE(5, 0), TRAJLOG_INT8, "got 0 in dimension 1");
    refuse(TRAJLOG_SHAPE(-5), TRAJLOG_INT8, "got -5 in dimension 0");
    refuse(TRAJLOG_SHAPE(INT64_MAX, INT64_MAX), TRAJLOG_INT8, "2^47");
    refuse(TRAJLOG_SHAPE((int64_t)1 << 45), TRAJLOG_FLOAT64, "2^47");
    refuse(TRAJLOG_SHAPE(3), 99, "element type");
    rank = TRAJLOG_SHAPE((int64_t)1 << 44);
    assert_int_equal(shape_bytes(&rank, TRAJLOG_FLOAT64, &bytes, NULL), TRAJLOG_OK);
}

static void texts_in_utf8(void **state)
{
    static const char *const good[] = {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80",     "\xc3",  "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
        "\xe2\x82", "a\xff", "\xc3z"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) assert_true(text_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(text_is_utf8(bad[i], strlen(bad[i])));
}

static void near_names_are_found(void **state)
{
    static const char *const names[] = {"frequency", "fields", "enabled"};
    (void)state;
    assert_string_equal(nearest_name("frequncy", names, 3), "frequency");
    assert_string_equal(nearest_name("field", names, 3), "fields");
    assert_null(nearest_name("colour", names, 3));
    assert_null(nearest_name("", names, 3));
    assert_null(nearest_name("frequency", names, 0));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sizes_and_names_agree),
    cmocka_unit_test(other_numbers_and_names_are_no_types),
    cmocka_unit_test(short_buffers_are_not_overrun),
    cmocka_unit_test(counts_and_bytes),
    cmocka_unit_test(shapes_out_of_range_are_refused),
    cmocka_unit_test(texts_in_utf8),
    cmocka_unit_test(near_names_are_found),
};
TEST_MAIN(tests)
