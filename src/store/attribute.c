#include "store/attribute.h"

#include <stdlib.h>
#include <string.h>

#include "store/hdf5_error.h"

/* `count` values in one dimension; 0: a scalar. */
static trajlog_status set_values(hid_t object, const char *name, hid_t file_type, hid_t memory_type, const void *value,
                                 size_t count, struct error *error)
{
    const hsize_t dims[1] = {count};
    hid_t space = count == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, dims, NULL);
    hid_t attribute = H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool good = attribute >= 0 && H5Awrite(attribute, memory_type, value) >= 0;
    if (!good) hdf5_error(error, "cannot write the attribute \"%s\"", name);
    if (attribute >= 0 && H5Aclose(attribute) < 0 && good) {
        good = false;
        hdf5_error(error, "cannot close the attribute \"%s\"", name);
    }
    if (space >= 0) H5Sclose(space);
    return good ? TRAJLOG_OK : TRAJLOG_HDF5_ERROR;
}

static trajlog_status set_scalar(hid_t object, const char *name, hid_t file_type, hid_t memory_type, const void *value,
                                 struct error *error)
{
    return set_values(object, name, file_type, memory_type, value, 0, error);
}

/* `length` 0: variable. H5I_INVALID_HID on failure. */
static hid_t text_type(size_t length, H5T_cset_t characters)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0) return type;
    if (H5Tset_size(type, length == 0 ? H5T_VARIABLE : length) >= 0 && H5Tset_cset(type, characters) >= 0) return type;
    H5Tclose(type);
    return H5I_INVALID_HID;
}

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text >= 0x80) return false;
    }
    return true;
}

trajlog_status attribute_set_ascii_text(hid_t object, const char *name, const char *text, struct error *error)
{
    hid_t type = text_type(0, is_ascii(text) ? H5T_CSET_ASCII : H5T_CSET_UTF8);
    if (type < 0) return hdf5_error(error, "cannot make the type of the attribute \"%s\"", name);
    trajlog_status status = set_scalar(object, name, type, type, &text, error);
    H5Tclose(type);
    return status;
}

trajlog_status attribute_set_text(hid_t object, const char *name, const char *text, struct error *error)
{
    hid_t type = text_type(0, H5T_CSET_UTF8);
    if (type < 0) return hdf5_error(error, "cannot make the type of the attribute \"%s\"", name);
    trajlog_status status = set_scalar(object, name, type, type, &text, error);
    H5Tclose(type);
    return status;
}

trajlog_status attribute_set_int32(hid_t object, const char *name, int32_t value, struct error *error)
{
    return set_scalar(object, name, H5T_STD_I32LE, H5T_NATIVE_INT32, &value, error);
}

trajlog_status attribute_set_int64(hid_t object, const char *name, int64_t value, struct error *error)
{
    return set_scalar(object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value, error);
}

trajlog_status attribute_set_float64(hid_t object, const char *name, double value, struct error *error)
{
    return set_scalar(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value, error);
}

trajlog_status attribute_set_fixed_text(hid_t object, const char *name, const char *text, struct error *error)
{
    hid_t type = text_type(strlen(text) + 1, H5T_CSET_UTF8);
    if (type < 0) return hdf5_error(error, "cannot make the type of the attribute \"%s\"", name);
    trajlog_status status = set_scalar(object, name, type, type, text, error);
    H5Tclose(type);
    return status;
}

static trajlog_status set_fixed_text_list(hid_t object, const char *name, const char *const *texts, size_t count,
                                          struct error *error)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++) length = strlen(texts[i]) > length ? strlen(texts[i]) : length;
    char *values = calloc(count, length + 1);
    hid_t type = text_type(length + 1, H5T_CSET_UTF8);
    trajlog_status status;
    for (size_t i = 0; values != NULL && i < count; i++) strcpy(values + i * (length + 1), texts[i]);
    if (values == NULL) status = error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    else if (type < 0) status = hdf5_error(error, "cannot make the type of the attribute \"%s\"", name);
    else status = set_values(object, name, type, type, values, count, error);
    if (type >= 0) H5Tclose(type);
    free(values);
    return status;
}

trajlog_status attribute_set_text_list(hid_t object, const char *name, const char *const *texts, size_t count,
                                       bool fixed, struct error *error)
{
    if (fixed) return set_fixed_text_list(object, name, texts, count, error);
    hid_t type = text_type(0, H5T_CSET_UTF8);
    if (type < 0) return hdf5_error(error, "cannot make the type of the attribute \"%s\"", name);
    trajlog_status status = set_values(object, name, type, type, texts, count, error);
    H5Tclose(type);
    return status;
}

trajlog_status attribute_set_int32_list(hid_t object, const char *name, const int32_t *values, size_t count,
                                        struct error *error)
{
    return set_values(object, name, H5T_STD_I32LE, H5T_NATIVE_INT32, values, count, error);
}

trajlog_status attribute_set_reference(hid_t object, const char *name, hid_t file, const char *path,
                                       struct error *error)
{
    hobj_ref_t reference;
    if (H5Rcreate(&reference, file, path, H5R_OBJECT, H5I_INVALID_HID) < 0)
        return hdf5_error(error, "cannot refer to %s", path);
    return set_scalar(object, name, H5T_STD_REF_OBJ, H5T_STD_REF_OBJ, &reference, error);
}

trajlog_status attribute_rewrite_int64(hid_t object, const char *name, int64_t value, struct error *error)
{
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    bool good = attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_INT64, &value) >= 0;
    if (!good) hdf5_error(error, "cannot rewrite the attribute \"%s\"", name);
    if (attribute >= 0 && H5Aclose(attribute) < 0 && good) {
        good = false;
        hdf5_error(error, "cannot close the attribute \"%s\"", name);
    }
    return good ? TRAJLOG_OK : TRAJLOG_HDF5_ERROR;
}
