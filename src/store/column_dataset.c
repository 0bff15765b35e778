/* Making a column's dataset: its properties, as libhdf5 wants them. */
#include "store/column_parts.h"

#include "store/hdf5_links.h"
#include "store/hdf5_types.h"

/* The order is that of codec.h. */
static bool set_filters(hid_t properties, const struct encoding *encoding)
{
    if (encoding->level > 0 &&
        (H5Pset_shuffle(properties) < 0 || H5Pset_deflate(properties, (unsigned)encoding->level) < 0))
        return false;
    return !encoding->checksum || H5Pset_fletcher32(properties) >= 0;
}

/* Without a fill value libhdf5 never fills: then all that is in the extent has been written. */
static bool set_fill(hid_t properties, const struct column_layout *layout)
{
    if (!layout->fill) return H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) >= 0;
    hid_t memory = hdf5_memory_type(layout->type);
    bool good = memory >= 0 && H5Pset_fill_value(properties, memory, layout->fill) >= 0;
    if (memory >= 0) H5Tclose(memory);
    return good;
}

hid_t column_creation_properties(int rank, const hsize_t *chunk, const struct encoding *encoding,
                                 const struct column_layout *layout)
{
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    bool good = properties >= 0 && H5Pset_obj_track_times(properties, false) >= 0 && set_fill(properties, layout);
    if (good && chunk)
        good = H5Pset_chunk(properties, rank, chunk) >= 0 && H5Pset_alloc_time(properties, H5D_ALLOC_TIME_INCR) >= 0 &&
               set_filters(properties, encoding);
    if (good || properties < 0) return properties;
    H5Pclose(properties);
    return H5I_INVALID_HID;
}

hid_t column_access_properties(void)
{
    hid_t properties = H5Pcreate(H5P_DATASET_ACCESS);
    if (properties < 0 || H5Pset_chunk_cache(properties, 1, 0, 1.0) >= 0) return properties;
    H5Pclose(properties);
    return H5I_INVALID_HID;
}

trajlog_status column_make_dataset(struct column *column, hid_t location, const struct column_layout *layout,
                                   hid_t space, hid_t creation, struct error *error)
{
    trajlog_status status = TRAJLOG_OK;
    hid_t type = hdf5_file_type(layout->type), links = hdf5_link_properties(), access = column_access_properties();
    hid_t dataset = H5I_INVALID_HID;
    if (type >= 0 && links >= 0 && access >= 0 && space >= 0 && creation >= 0)
        dataset = H5Dcreate2(location, layout->field, type, space, links, creation, access);
    if (dataset < 0) status = column_failed(column, "make the dataset", error);
    if (type >= 0) H5Tclose(type);
    if (links >= 0) H5Pclose(links);
    if (access >= 0) H5Pclose(access);
    column->dataset = dataset < 0 ? 0 : dataset;
    return status;
}
