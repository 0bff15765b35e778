#include "store/hdf5_types.h"

#include <stdint.h>

/* The datatypes are variables of libhdf5, so the tables are made at each call. */
static hid_t numeric_type(trajlog_type type, bool in_file)
{
    switch (type) {
    case TRAJLOG_INT8:
        return in_file ? H5T_STD_I8LE : H5T_NATIVE_INT8;
    case TRAJLOG_INT16:
        return in_file ? H5T_STD_I16LE : H5T_NATIVE_INT16;
    case TRAJLOG_INT32:
        return in_file ? H5T_STD_I32LE : H5T_NATIVE_INT32;
    case TRAJLOG_INT64:
        return in_file ? H5T_STD_I64LE : H5T_NATIVE_INT64;
    case TRAJLOG_UINT8:
        return in_file ? H5T_STD_U8LE : H5T_NATIVE_UINT8;
    case TRAJLOG_UINT16:
        return in_file ? H5T_STD_U16LE : H5T_NATIVE_UINT16;
    case TRAJLOG_UINT32:
        return in_file ? H5T_STD_U32LE : H5T_NATIVE_UINT32;
    case TRAJLOG_UINT64:
        return in_file ? H5T_STD_U64LE : H5T_NATIVE_UINT64;
    case TRAJLOG_FLOAT32:
        return in_file ? H5T_IEEE_F32LE : H5T_NATIVE_FLOAT;
    case TRAJLOG_FLOAT64:
        return in_file ? H5T_IEEE_F64LE : H5T_NATIVE_DOUBLE;
    default:
        return H5I_INVALID_HID;
    }
}

/* Hands the datatype on, or closes it when it could not be completed. */
static hid_t completed(hid_t datatype, bool complete)
{
    if (datatype < 0 || complete) return datatype;
    H5Tclose(datatype);
    return H5I_INVALID_HID;
}

static hid_t bool_type(bool in_file)
{
    int8_t no = 0, yes = 1; /* one byte: no byte order to mind */
    hid_t datatype = H5Tenum_create(in_file ? H5T_STD_I8LE : H5T_NATIVE_INT8);
    bool complete =
        datatype >= 0 && H5Tenum_insert(datatype, "FALSE", &no) >= 0 && H5Tenum_insert(datatype, "TRUE", &yes) >= 0;
    return completed(datatype, complete);
}

static hid_t complex_type(trajlog_type part, bool in_file)
{
    size_t size = part == TRAJLOG_FLOAT32 ? 4 : 8;
    hid_t number = numeric_type(part, in_file);
    hid_t datatype = H5Tcreate(H5T_COMPOUND, 2 * size);
    bool complete =
        datatype >= 0 && H5Tinsert(datatype, "r", 0, number) >= 0 && H5Tinsert(datatype, "i", size, number) >= 0;
    return completed(datatype, complete);
}

static hid_t string_type(size_t length)
{
    hid_t datatype = H5Tcopy(H5T_C_S1);
    bool complete = datatype >= 0 && H5Tset_size(datatype, length) >= 0 &&
                    H5Tset_strpad(datatype, H5T_STR_NULLPAD) >= 0 && H5Tset_cset(datatype, H5T_CSET_UTF8) >= 0;
    return completed(datatype, complete);
}

static hid_t make_type(trajlog_type type, bool in_file)
{
    if (!element_is_valid(type)) return H5I_INVALID_HID;
    if (element_is_string(type)) return string_type(trajlog_type_size(type));
    if (type == TRAJLOG_BOOL) return bool_type(in_file);
    if (type == TRAJLOG_COMPLEX64) return complex_type(TRAJLOG_FLOAT32, in_file);
    if (type == TRAJLOG_COMPLEX128) return complex_type(TRAJLOG_FLOAT64, in_file);
    return H5Tcopy(numeric_type(type, in_file));
}

hid_t hdf5_file_type(trajlog_type type)
{
    return make_type(type, true);
}

hid_t hdf5_memory_type(trajlog_type type)
{
    return make_type(type, false);
}

static bool integer_element(hid_t datatype, trajlog_type *type)
{
    static const trajlog_type of_size[2][9] = {
        {0, TRAJLOG_UINT8, TRAJLOG_UINT16, 0, TRAJLOG_UINT32, 0, 0, 0, TRAJLOG_UINT64},
        {0, TRAJLOG_INT8, TRAJLOG_INT16, 0, TRAJLOG_INT32, 0, 0, 0, TRAJLOG_INT64}};
    size_t size = H5Tget_size(datatype);
    H5T_sign_t sign = H5Tget_sign(datatype);
    H5T_order_t order = H5Tget_order(datatype);
    if (size < 1 || size > 8 || sign < 0 || (order != H5T_ORDER_LE && order != H5T_ORDER_BE)) return false;
    if (H5Tget_precision(datatype) != 8 * size || H5Tget_offset(datatype) != 0) return false; /* a bit field */
    *type = of_size[sign == H5T_SGN_2][size];
    return *type != 0;
}

static bool float_element(hid_t datatype, trajlog_type *type)
{
    if (H5Tequal(datatype, H5T_IEEE_F32LE) > 0 || H5Tequal(datatype, H5T_IEEE_F32BE) > 0) {
        *type = TRAJLOG_FLOAT32;
        return true;
    }
    if (H5Tequal(datatype, H5T_IEEE_F64LE) > 0 || H5Tequal(datatype, H5T_IEEE_F64BE) > 0) {
        *type = TRAJLOG_FLOAT64;
        return true;
    }
    return false;
}

static bool enum_has(hid_t datatype, const char *name, int8_t expected)
{
    int8_t value = -1;
    int index = H5Tget_member_index(datatype, name); /* asking for the value of a name that is not there is an error */
    return index >= 0 && H5Tget_member_value(datatype, (unsigned)index, &value) >= 0 && value == expected;
}

static bool enum_element(hid_t datatype, trajlog_type *type)
{
    *type = TRAJLOG_BOOL;
    return H5Tget_size(datatype) == 1 && H5Tget_nmembers(datatype) == 2 && enum_has(datatype, "FALSE", 0) &&
           enum_has(datatype, "TRUE", 1);
}

static bool member_float(hid_t datatype, const char *name, trajlog_type *type)
{
    int index = H5Tget_member_index(datatype, name);
    hid_t member = index < 0 ? H5I_INVALID_HID : H5Tget_member_type(datatype, (unsigned)index);
    bool found = member >= 0 && H5Tget_class(member) == H5T_FLOAT && float_element(member, type);
    if (member >= 0) H5Tclose(member);
    return found;
}

static bool compound_element(hid_t datatype, trajlog_type *type)
{
    trajlog_type real = 0, imaginary = 0;
    if (H5Tget_nmembers(datatype) != 2) return false;
    if (!member_float(datatype, "r", &real) || !member_float(datatype, "i", &imaginary)) return false;
    *type = real == TRAJLOG_FLOAT32 ? TRAJLOG_COMPLEX64 : TRAJLOG_COMPLEX128;
    return real == imaginary;
}

static bool string_element(hid_t datatype, trajlog_type *type)
{
    size_t length = H5Tget_size(datatype);
    if (H5Tis_variable_str(datatype) != 0 || length < 1 || length > TRAJLOG_MAX_STRING) return false;
    *type = TRAJLOG_STRING(length);
    return true;
}

bool hdf5_element_type(hid_t datatype, trajlog_type *type)
{
    trajlog_type found = 0;
    bool known = false;
    switch (H5Tget_class(datatype)) {
    case H5T_INTEGER:
        known = integer_element(datatype, &found);
        break;
    case H5T_FLOAT:
        known = float_element(datatype, &found);
        break;
    case H5T_ENUM:
        known = enum_element(datatype, &found);
        break;
    case H5T_COMPOUND:
        known = compound_element(datatype, &found);
        break;
    case H5T_STRING:
        known = string_element(datatype, &found);
        break;
    default:
        break;
    }
    if (known) *type = found;
    return known;
}

bool hdf5_type_is_native(hid_t datatype, trajlog_type type)
{
    trajlog_type found = 0;
    if (!hdf5_element_type(datatype, &found) || found != type) return false;
    /* Character set and null termination do not change where the bytes lie; padding with spaces does. */
    if (element_is_string(type)) return H5Tget_strpad(datatype) != H5T_STR_SPACEPAD;
    hid_t memory = hdf5_memory_type(type);
    bool same = memory >= 0 && H5Tequal(datatype, memory) > 0;
    if (memory >= 0) H5Tclose(memory);
    return same;
}
