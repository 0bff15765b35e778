#include "read/rows.h"

#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

#include "model/convert.h"
#include "store/hdf5_error.h"
#include "store/hdf5_lock.h"
#include "store/hdf5_types.h"

/* One call of libhdf5 reads at most about this much, so that a writer in the same process gets the lock in between. */
#define BYTES_PER_CALL ((int64_t)64 << 20)

/* Where rows are not neighbours, libhdf5 walks them element by element, some 60 ns each; a call costs as much as about
 * a hundred of these. Rows of more elements are read with a call each. */
#define ELEMENTS_WORTH_A_CALL 100

/* The memory in which rows lie between the file and a conversion. */
#define CONVERSION_BYTES ((int64_t)2 << 20)

/* ---------------------------------------------------------------------------------------------------------------------
 * From the dataset
 * ------------------------------------------------------------------------------------------------------------------ */

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
static hid_t select_rows(const struct dataset *dataset, int64_t start, int64_t stride, int64_t count, hid_t *memory)
{
    hsize_t begin[DATASET_MAX_RANK] = {(hsize_t)start}, step[DATASET_MAX_RANK], number[DATASET_MAX_RANK];
    hsize_t block[DATASET_MAX_RANK], shape[DATASET_MAX_RANK];
    bool dense = stride == 1 || count == 1;
    hid_t space = H5Dget_space(dataset->handle);
    for (int32_t i = 0; i < dataset->rank; i++) {
        step[i] = number[i] = 1;
        block[i] = shape[i] = (hsize_t)dataset->dims[i];
    }
    shape[0] = (hsize_t)count;
    step[0] = dense ? (hsize_t)count : (hsize_t)stride;
    block[0] = dense ? (hsize_t)count : 1;
    number[0] = dense ? 1 : (hsize_t)count;
    *memory = H5Screate_simple(dataset->rank, shape, NULL);
    if (space >= 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, begin, step, number, block) >= 0) return space;
    if (space >= 0) H5Sclose(space);
    return H5I_INVALID_HID;
}

static bool read_elements(const struct dataset *dataset, int64_t start, int64_t stride, int64_t count, void *data)
{
    hid_t type = memory_type(dataset), file = H5S_ALL, memory = H5S_ALL;
    if (dataset->has_rows) file = select_rows(dataset, start, stride, count, &memory);
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

static trajlog_status read_once(const struct dataset *dataset, int64_t start, int64_t stride, int64_t count, void *data,
                                struct error *error)
{
    struct hdf5_quiet quiet;
    trajlog_status status = TRAJLOG_OK;
    hdf5_lock();
    hdf5_quiet_begin(&quiet);
    if (!read_elements(dataset, start, stride, count, data)) status = read_failed(dataset, error);
    hdf5_quiet_end(&quiet);
    hdf5_unlock();
    return status;
}

static int64_t rows_in(int64_t bytes, size_t row_bytes)
{
    int64_t rows = row_bytes ? bytes / (int64_t)row_bytes : bytes;
    return rows > 0 ? rows : 1;
}

/* libhdf5 allocates a whole chunk before it looks at what is in the file. */
static trajlog_status check_readable(const struct dataset *dataset, struct error *error)
{
    if (dataset->type == 0)
        return error_set(error, TRAJLOG_UNSUPPORTED, 0, "it holds %s, which trajlog does not read", dataset->obstacle);
    if (dataset->forbidden)
        return error_set(error, TRAJLOG_UNSUPPORTED, 0,
                         "its chunks are compressed with %s, which is not part of HDF5, and was not allowed by name",
                         dataset->forbidden);
    if (dataset->chunk_bytes > dataset->believable_bytes)
        return error_set(error, TRAJLOG_INVALID_FILE, 0,
                         "its chunks of %lld bytes cannot come out of a file this small",
                         (long long)dataset->chunk_bytes);
    return TRAJLOG_OK;
}

static trajlog_status read_part(const struct dataset *dataset, int64_t start, int64_t stride, int64_t count, char *to,
                                struct error *error)
{
    bool one_by_one = stride > 1 && dataset->elements >= ELEMENTS_WORTH_A_CALL;
    int64_t most = one_by_one ? 1 : rows_in(BYTES_PER_CALL, dataset->bytes);
    while (count > 0) {
        int64_t part = count < most ? count : most;
        TRY(read_once(dataset, start, stride, part, to, error));
        count -= part;
        if (count > 0) start += part * stride; /* beyond the last row the product could overflow */
        to += (size_t)part * dataset->bytes;
    }
    return TRAJLOG_OK;
}

static trajlog_status look_again(const struct dataset *dataset, struct error *error)
{
    struct hdf5_quiet quiet;
    hdf5_lock();
    hdf5_quiet_begin(&quiet);
    trajlog_status status = dataset_look_again(dataset, error);
    hdf5_quiet_end(&quiet);
    hdf5_unlock();
    return status;
}

/* Of `count` rows, how many come before this one. */
static int64_t count_before(int64_t row, int64_t start, int64_t stride, int64_t count)
{
    if (row <= start) return 0;
    int64_t before = (row - start - 1) / stride + 1;
    return before < count ? before : count;
}

trajlog_status dataset_read(const struct dataset *dataset, int64_t start, int64_t stride, int64_t count, void *data,
                            struct error *error)
{
    char *to = data;
    TRY(check_readable(dataset, error));
    if (dataset->handle < 0) {
        for (int64_t i = 0; i < count; i++) memcpy(to + 8 * i, dataset->constant, 8);
        return TRAJLOG_OK;
    }
    if (dataset->bytes == 0 || count == 0) return TRAJLOG_OK;
    int64_t resting = count_before(dataset_first_moving(dataset), start, stride, count);
    TRY(read_part(dataset, start, stride, resting, to, error));
    if (resting == count) return TRAJLOG_OK;
    TRY(look_again(dataset, error));
    return read_part(dataset, start + resting * stride, stride, count - resting, to + (size_t)resting * dataset->bytes,
                     error);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Into the caller's memory
 * ------------------------------------------------------------------------------------------------------------------ */

trajlog_status rows_allocate(const struct dataset *dataset, trajlog_type type, int64_t count, void **data,
                             struct error *error)
{
    int64_t stored = 0, bytes;
    *data = NULL;
    if (__builtin_mul_overflow((int64_t)trajlog_type_size(type) * dataset->elements, count, &bytes) ||
        __builtin_mul_overflow((int64_t)dataset->bytes, count, &stored))
        return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "%lld rows are too many", (long long)count);
    if ((int64_t)dataset->bytes > dataset->believable_bytes ||
        (stored > dataset->believable_bytes && count <= dataset->extent))
        return error_set(error, TRAJLOG_INVALID_FILE, 0, "%lld bytes of data cannot come out of a file this small",
                         (long long)stored);
    *data = malloc(bytes > 0 ? (size_t)bytes : 1);
    if (*data) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for %lld bytes", (long long)bytes);
}

trajlog_status rows_type(const struct dataset *dataset, trajlog_type type, trajlog_type *result, struct error *error)
{
    char from[32], to[32];
    *result = type ? type : dataset->type;
    if (dataset->type == 0) return check_readable(dataset, error);
    if (!element_is_valid(*result))
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "%lu is not an element type", (unsigned long)type);
    if (*result == dataset->type || conversion_exists(dataset->type, *result)) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_TYPE_MISMATCH, 0, "%s cannot be read as %s",
                     trajlog_type_name(dataset->type, from, sizeof from), trajlog_type_name(*result, to, sizeof to));
}

/* Where the next rows of the selection lie: a run of them that one read can take. */
static void next_run(const struct selection *selection, int64_t first, int64_t most, int64_t *start, int64_t *count)
{
    if (!selection->list) {
        *start = selection->start + first * selection->stride;
        *count = most;
        return;
    }
    const int64_t *list = selection->list + first;
    *start = list[0] < 0 ? list[0] + selection->rows : list[0];
    for (*count = 1; *count < most; ++*count) {
        int64_t row = list[*count] < 0 ? list[*count] + selection->rows : list[*count];
        if (row != *start + *count) break;
    }
}

/* `buffer` holds `most` rows as stored; NULL: no conversion. */
static trajlog_status read_runs(const struct selection *selection, const struct dataset *dataset, int64_t first,
                                int64_t count, trajlog_type type, void *data, void *buffer, int64_t most,
                                struct error *error)
{
    size_t row_bytes = trajlog_type_size(type) * (size_t)dataset->elements;
    char *to = data;
    while (count > 0) {
        int64_t start, part;
        next_run(selection, first, buffer && most < count ? most : count, &start, &part);
        TRY(dataset_read(dataset, start, selection->stride, part, buffer ? buffer : to, error));
        trajlog_status status = TRAJLOG_OK;
        if (buffer) status = convert_dense(to, type, buffer, dataset->type, part * dataset->elements, error);
        if (status != TRAJLOG_OK)
            error_prefix(error, "in the %lld rows from row %lld", (long long)part, (long long)start);
        TRY(status);
        to += (size_t)part * row_bytes;
        first += part;
        count -= part;
    }
    return TRAJLOG_OK;
}

trajlog_status selection_read(const struct selection *selection, const struct dataset *dataset, int64_t first,
                              int64_t count, trajlog_type type, void *data, struct error *error)
{
    void *buffer = NULL;
    int64_t most = rows_in(CONVERSION_BYTES, dataset->bytes);
    if (most > count) most = count;
    if (type != dataset->type) TRY(rows_allocate(dataset, dataset->type, most, &buffer, error));
    trajlog_status status = read_runs(selection, dataset, first, count, type, data, buffer, most, error);
    free(buffer);
    return status;
}
