#include "read/attribute.h"

#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

#include "store/hdf5_error.h"

#define MAX_TEXT ((size_t)16 << 20)

static trajlog_status unexpected(struct error *error, const char *name, const char *expected)
{
    H5Eclear2(H5E_DEFAULT);
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "attribute \"%s\" is not %s", name, expected);
}

static trajlog_status unreadable(struct error *error, const char *name)
{
    return hdf5_error(error, "attribute \"%s\" cannot be read", name);
}

static bool is_single(hid_t attribute)
{
    hid_t space = H5Aget_space(attribute);
    bool single = space >= 0 && H5Sget_simple_extent_npoints(space) == 1;
    if (space >= 0) H5Sclose(space);
    return single;
}

static trajlog_status open_attribute(hid_t object, const char *name, hid_t *attribute, bool *found, struct error *error)
{
    htri_t there = H5Aexists(object, name);
    *found = there > 0;
    if (there < 0) return unreadable(error, name);
    if (there == 0) return TRAJLOG_OK;
    *attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (*attribute < 0) return unreadable(error, name);
    if (is_single(*attribute)) return TRAJLOG_OK;
    H5Aclose(*attribute);
    return unexpected(error, name, "a single value");
}

static trajlog_status read_variable(hid_t attribute, hid_t type, const char *name, char **text, struct error *error)
{
    char *value = NULL;
    if (H5Aread(attribute, type, &value) < 0) return unreadable(error, name);
    bool small = value && strlen(value) <= MAX_TEXT;
    *text = small ? strdup(value) : NULL;
    H5free_memory(value);
    if (!small) return unexpected(error, name, "a text of at most 16 MiB");
    return *text ? TRAJLOG_OK : error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for attribute \"%s\"", name);
}

static trajlog_status read_fixed(hid_t attribute, hid_t type, const char *name, char **text, struct error *error)
{
    size_t length = H5Tget_size(type);
    if (length == 0 || length > MAX_TEXT) return unexpected(error, name, "a text of at most 16 MiB");
    char *value = calloc(1, length + 1);
    if (!value) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for attribute \"%s\"", name);
    if (H5Aread(attribute, type, value) < 0) {
        free(value);
        return unreadable(error, name);
    }
    *text = value;
    return TRAJLOG_OK;
}

trajlog_status attribute_get_text(int64_t object, const char *name, char **text, bool *found, struct error *error)
{
    hid_t attribute = H5I_INVALID_HID;
    TRY(open_attribute(object, name, &attribute, found, error));
    if (!*found) return TRAJLOG_OK;
    hid_t type = H5Aget_type(attribute);
    trajlog_status status;
    if (type < 0 || H5Tget_class(type) != H5T_STRING) status = unexpected(error, name, "a text");
    else if (H5Tis_variable_str(type) > 0) status = read_variable(attribute, type, name, text, error);
    else status = read_fixed(attribute, type, name, text, error);
    if (type >= 0) H5Tclose(type);
    H5Aclose(attribute);
    return status;
}

/* `expected` is the attribute's class, `type` what it is read as: 8 bytes. */
static trajlog_status read_number(hid_t object, const char *name, H5T_class_t expected, hid_t type, void *value,
                                  bool *found, struct error *error)
{
    hid_t attribute = H5I_INVALID_HID;
    TRY(open_attribute(object, name, &attribute, found, error));
    if (!*found) return TRAJLOG_OK;
    hid_t stored = H5Aget_type(attribute);
    trajlog_status status = TRAJLOG_OK;
    if (stored < 0 || H5Tget_class(stored) != expected)
        status = unexpected(error, name, expected == H5T_FLOAT ? "a float" : "an integer");
    else if (H5Aread(attribute, type, value) < 0) status = unreadable(error, name);
    if (stored >= 0) H5Tclose(stored);
    H5Aclose(attribute);
    return status;
}

trajlog_status attribute_get_integer(int64_t object, const char *name, int64_t *value, bool *found, struct error *error)
{
    return read_number(object, name, H5T_INTEGER, H5T_NATIVE_INT64, value, found, error);
}

trajlog_status attribute_get_real(int64_t object, const char *name, double *value, bool *found, struct error *error)
{
    return read_number(object, name, H5T_FLOAT, H5T_NATIVE_DOUBLE, value, found, error);
}
