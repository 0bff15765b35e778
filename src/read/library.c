#include "read/library.h"

#include <hdf5.h>

#include "store/hdf5_error.h"
#include "store/hdf5_lock.h"
#include "store/hdf5_types.h"

/* One call of libhdf5 reads at most about this much, so that a writer in the same process gets the lock in between. */
#define BYTES_PER_CALL ((int64_t)64 << 20)

/* libhdf5 does not convert between character sets, which make no difference to us: strings are read in their own. */
static hid_t memory_type(const struct dataset *dataset)
{
    if (!element_is_string(dataset->type)) return hdf5_memory_type(dataset->type);
    hid_t stored = H5Dget_type(dataset->handle); /* cannot be changed, but copied */
    hid_t type = stored < 0 ? stored : H5Tcopy(stored);
    if (stored >= 0) H5Tclose(stored);
    if (type < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0) return type;
    H5Tclose(type);
    return H5I_INVALID_HID;
}

/* The space in memory has the shape of the selection: for others libhdf5 walks chunks element by element. */
static hid_t select_region(const struct dataset *dataset, const struct region *region, int64_t stride, hid_t *memory)
{
    hsize_t begin[REGION_MAX_RANK], step[REGION_MAX_RANK], number[REGION_MAX_RANK], block[REGION_MAX_RANK],
        shape[REGION_MAX_RANK];
    hid_t space = H5Dget_space(dataset->handle);
    for (int32_t i = 0; i < dataset->rank; i++) {
        begin[i] = (hsize_t)region->start[i];
        step[i] = block[i] = shape[i] = (hsize_t)region->count[i];
        number[i] = 1;
    }
    if (stride > 1 && region->count[0] > 1) {
        step[0] = (hsize_t)stride;
        number[0] = shape[0];
        block[0] = 1;
    }
    *memory = H5Screate_simple(dataset->rank, shape, NULL);
    if (space >= 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, begin, step, number, block) >= 0) return space;
    if (space >= 0) H5Sclose(space);
    return H5I_INVALID_HID;
}

static bool read_elements(const struct dataset *dataset, const struct region *region, int64_t stride, void *data)
{
    hid_t type = memory_type(dataset), file = H5S_ALL, memory = H5S_ALL;
    if (dataset->rank > 0) file = select_region(dataset, region, stride, &memory);
    bool good =
        type >= 0 && file >= 0 && memory >= 0 && H5Dread(dataset->handle, type, memory, file, H5P_DEFAULT, data) >= 0;
    if (type >= 0) H5Tclose(type);
    if (file > 0) H5Sclose(file);
    if (memory > 0) H5Sclose(memory);
    return good;
}

static trajlog_status read_failed(const struct dataset *dataset, struct error *error)
{
    char missing[80];
    trajlog_status status = hdf5_error(error, "its rows cannot be read");
    if (status != TRAJLOG_HDF5_ERROR || !dataset_missing_filter(dataset, missing, sizeof missing)) return status;
    error_clear(error);
    return error_set(error, TRAJLOG_UNSUPPORTED, 0,
                     "its chunks are compressed with %s, which this libhdf5 does not have: install the plugin for it "
                     "and set HDF5_PLUGIN_PATH to its directory, or let h5repack rewrite the file where it is there",
                     missing);
}

static trajlog_status read_once(const struct dataset *dataset, const struct region *region, int64_t stride, void *data,
                                struct error *error)
{
    struct hdf5_quiet quiet;
    trajlog_status status = TRAJLOG_OK;
    hdf5_lock();
    hdf5_quiet_begin(&quiet);
    if (!read_elements(dataset, region, stride, data)) status = read_failed(dataset, error);
    hdf5_quiet_end(&quiet);
    hdf5_unlock();
    return status;
}

/* Of one index of the first dimension. */
static int64_t row_bytes(const struct dataset *dataset, const struct region *region)
{
    int64_t bytes = (int64_t)trajlog_type_size(dataset->type);
    for (int32_t i = 1; i < dataset->rank; i++) bytes *= region->count[i];
    return bytes;
}

trajlog_status library_read(const struct dataset *dataset, const struct region *region, int64_t stride, void *data,
                            struct error *error)
{
    if (dataset->rank == 0) return read_once(dataset, region, stride, data, error);
    const int64_t bytes = row_bytes(dataset, region), most = bytes < BYTES_PER_CALL ? BYTES_PER_CALL / bytes : 1;
    struct region part = *region;
    char *to = data;
    for (int64_t done = 0; done < region->count[0]; done += part.count[0]) {
        int64_t left = region->count[0] - done;
        part.start[0] = region->start[0] + done * stride;
        part.count[0] = left < most ? left : most;
        TRY(read_once(dataset, &part, stride, to, error));
        to += part.count[0] * bytes;
    }
    return TRAJLOG_OK;
}
