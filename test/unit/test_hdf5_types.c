#include <hdf5.h>

#include "harness.h"
#include "store/hdf5_types.h"

static const trajlog_type all_types[] = {
    TRAJLOG_INT8,       TRAJLOG_INT16,     TRAJLOG_INT32,      TRAJLOG_INT64,
    TRAJLOG_UINT8,      TRAJLOG_UINT16,    TRAJLOG_UINT32,     TRAJLOG_UINT64,
    TRAJLOG_FLOAT32,    TRAJLOG_FLOAT64,   TRAJLOG_BOOL,       TRAJLOG_COMPLEX64,
    TRAJLOG_COMPLEX128, TRAJLOG_STRING(1), TRAJLOG_STRING(16), TRAJLOG_STRING(TRAJLOG_MAX_STRING),
};
#define TYPE_COUNT (sizeof all_types / sizeof *all_types)

static void file_and_memory_types_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        hid_t made[2] = {hdf5_file_type(all_types[i]), hdf5_memory_type(all_types[i])};
        for (int j = 0; j < 2; j++) {
            trajlog_type found = 0;
            assert_true(made[j] >= 0);
            assert_int_equal(H5Tget_size(made[j]), trajlog_type_size(all_types[i]));
            assert_true(hdf5_element_type(made[j], &found));
            assert_int_equal(found, all_types[i]);
            assert_true(hdf5_type_is_native(made[j], all_types[i]));
            H5Tclose(made[j]);
        }
    }
}

static void other_types_are_not_native(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++)
        for (size_t j = 0; j < TYPE_COUNT; j++) {
            hid_t made = hdf5_file_type(all_types[i]);
            assert_int_equal(hdf5_type_is_native(made, all_types[j]), i == j);
            H5Tclose(made);
        }
}

static void numbers_that_are_no_types(void **state)
{
    (void)state;
    assert_true(hdf5_file_type(0) < 0);
    assert_true(hdf5_memory_type(99) < 0);
    assert_true(hdf5_file_type(TRAJLOG_STRING(0)) < 0);
}

static void files_hold_what_h5py_writes(void **state)
{
    hid_t type = hdf5_file_type(TRAJLOG_BOOL);
    char name[8];
    (void)state;
    assert_int_equal(H5Tget_class(type), H5T_ENUM);
    assert_int_equal(H5Tget_size(type), 1);
    assert_true(H5Tenum_nameof(type, &(int8_t){0}, name, sizeof name) >= 0);
    assert_string_equal(name, "FALSE");
    assert_true(H5Tenum_nameof(type, &(int8_t){1}, name, sizeof name) >= 0);
    assert_string_equal(name, "TRUE");
    H5Tclose(type);

    type = hdf5_file_type(TRAJLOG_COMPLEX64);
    assert_int_equal(H5Tget_member_index(type, "r"), 0);
    assert_int_equal(H5Tget_member_offset(type, 1), 4);
    H5Tclose(type);

    type = hdf5_file_type(TRAJLOG_STRING(5));
    assert_int_equal(H5Tget_strpad(type), H5T_STR_NULLPAD);
    assert_int_equal(H5Tget_cset(type), H5T_CSET_UTF8);
    H5Tclose(type);
}

static void big_endian_is_known_but_not_native(void **state)
{
    const hid_t big[] = {H5T_STD_I16BE, H5T_STD_U64BE, H5T_IEEE_F32BE, H5T_IEEE_F64BE};
    const trajlog_type expected[] = {TRAJLOG_INT16, TRAJLOG_UINT64, TRAJLOG_FLOAT32, TRAJLOG_FLOAT64};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        trajlog_type found = 0;
        assert_true(hdf5_element_type(big[i], &found));
        assert_int_equal(found, expected[i]);
        assert_false(hdf5_type_is_native(big[i], expected[i]));
    }
}

static void expect_unknown(hid_t datatype)
{
    trajlog_type found = 77;
    assert_true(datatype >= 0);
    assert_false(hdf5_element_type(datatype, &found));
    assert_int_equal(found, 77);
    H5Tclose(datatype);
}

static hid_t enumeration(hid_t base, const char *first, const char *second)
{
    int8_t no = 0, yes = 1;
    hid_t type = H5Tenum_create(base);
    H5Tenum_insert(type, first, &no);
    H5Tenum_insert(type, second, &yes);
    return type;
}

static hid_t compound(const char *first, hid_t first_type, const char *second, hid_t second_type)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, 16);
    H5Tinsert(type, first, 0, first_type);
    H5Tinsert(type, second, 8, second_type);
    return type;
}

static void strange_datatypes_have_no_element_type(void **state)
{
    hsize_t dims[1] = {3};
    (void)state;
    expect_unknown(H5Tcopy(H5T_STD_REF_OBJ));
    expect_unknown(H5Tcreate(H5T_OPAQUE, 8));
    expect_unknown(H5Tarray_create2(H5T_NATIVE_INT, 1, dims));
    expect_unknown(H5Tvlen_create(H5T_NATIVE_INT));
    expect_unknown(H5Tcopy(H5T_NATIVE_B8));
    expect_unknown(H5Tcopy(H5T_NATIVE_LDOUBLE));
    expect_unknown(enumeration(H5T_STD_I8LE, "RED", "BLUE"));
    expect_unknown(compound("x", H5T_IEEE_F64LE, "y", H5T_IEEE_F64LE));
    expect_unknown(compound("r", H5T_IEEE_F64LE, "i", H5T_IEEE_F32LE));
    expect_unknown(compound("r", H5T_STD_I64LE, "i", H5T_STD_I64LE));
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    expect_unknown(type);
    type = H5Tcopy(H5T_STD_I32LE);
    H5Tset_precision(type, 12);
    expect_unknown(type);
    type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, TRAJLOG_MAX_STRING + 1);
    expect_unknown(type);
}

static void strings_padded_with_spaces_are_not_native(void **state)
{
    trajlog_type found = 0;
    hid_t type = H5Tcopy(H5T_FORTRAN_S1);
    (void)state;
    H5Tset_size(type, 4);
    assert_true(hdf5_element_type(type, &found));
    assert_int_equal(found, TRAJLOG_STRING(4));
    assert_false(hdf5_type_is_native(type, TRAJLOG_STRING(4)));
    H5Tset_strpad(type, H5T_STR_NULLTERM);
    assert_true(hdf5_type_is_native(type, TRAJLOG_STRING(4)));
    H5Tclose(type);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(file_and_memory_types_come_back),
    cmocka_unit_test(other_types_are_not_native),
    cmocka_unit_test(numbers_that_are_no_types),
    cmocka_unit_test(files_hold_what_h5py_writes),
    cmocka_unit_test(big_endian_is_known_but_not_native),
    cmocka_unit_test(strange_datatypes_have_no_element_type),
    cmocka_unit_test(strings_padded_with_spaces_are_not_native),
};

TEST_MAIN(tests)
