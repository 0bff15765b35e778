#include "store/attribute.h"

#include "store/hdf5_error.h"

static trajlog_status set_scalar(hid_t object, const char *name, hid_t file_type, hid_t memory_type, const void *value,
                                 struct error *error)
{
    hid_t space = H5Screate(H5S_SCALAR);
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

trajlog_status attribute_set_text(hid_t object, const char *name, const char *text, struct error *error)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0 || H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0) {
        if (type >= 0) H5Tclose(type);
        return hdf5_error(error, "cannot make the type of the attribute \"%s\"", name);
    }
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
