#include "read/dataset.h"

#include <hdf5.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "read/cells.h"
#include "read/filter.h"
#include "store/hdf5_error.h"
#include "store/hdf5_types.h"

#define MAX_ROW_BYTES ((int64_t)1 << 47)

#define TOO_MANY_DIMENSIONS "an array of more than seven dimensions"

/* What any file may claim before its size is held against it. */
#define ALWAYS_BELIEVABLE ((int64_t)64 << 20)

/* libhdf5's cache of chunks: one row of chunks must fit, or each is read and decompressed again for each row. It is of use
 * only for what libhdf5 reads. */
#define DEFAULT_CACHE ((int64_t)1 << 20)
#define LARGEST_CACHE ((int64_t)64 << 20)

/* How old an index may be when it leads to rows that move: well below the seconds that their old place is kept. */
#define SAFE_MS 1000

static trajlog_status invalid(struct error *error, const char *what)
{
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "%s", what);
}

static trajlog_status follow_link(hid_t parent, const char *part, hid_t *object, bool *found, struct error *error)
{
    H5L_info_t link;
    htri_t there = H5Lexists(parent, part, H5P_DEFAULT);
    *found = there > 0;
    if (there < 0) return hdf5_error(error, "its links cannot be read");
    if (there == 0) return TRAJLOG_OK;
    if (H5Lget_info(parent, part, &link, H5P_DEFAULT) < 0) return hdf5_error(error, "its link cannot be read");
    if (link.type != H5L_TYPE_HARD) return invalid(error, "it is a soft or external link, which is not followed");
    *object = H5Oopen(parent, part, H5P_DEFAULT);
    return *object < 0 ? hdf5_error(error, "it cannot be opened") : TRAJLOG_OK;
}

trajlog_status object_open(int64_t parent, const char *path, int64_t *object, bool *found, struct error *error)
{
    char *parts = strdup(path), *rest = NULL;
    if (!parts) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a name");
    trajlog_status status = TRAJLOG_OK;
    hid_t here = parent;
    *found = true;
    for (char *part = strtok_r(parts, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
        hid_t next = H5I_INVALID_HID;
        status = H5Iget_type(here) == H5I_DATASET ? invalid(error, "a dataset stands where a group should be")
                                                  : follow_link(here, part, &next, found, error);
        if (here != parent) H5Oclose(here);
        here = next;
        if (status != TRAJLOG_OK || !*found) break;
    }
    free(parts);
    if (status == TRAJLOG_OK && *found && here == parent) return invalid(error, "its name is empty");
    *object = here;
    return status;
}

void object_close(int64_t object)
{
    H5Oclose(object);
}

static const char *obstacle_of(hid_t type)
{
    switch (H5Tget_class(type)) {
    case H5T_STRING:
        return H5Tis_variable_str(type) > 0 ? "variable-length strings" : "strings of more than 65535 bytes";
    case H5T_INTEGER:
        return "integers of an unusual size";
    case H5T_FLOAT:
        return "floats that are neither float32 nor float64";
    case H5T_OPAQUE:
        return "opaque bytes";
    case H5T_COMPOUND:
        return "a compound type that is no complex number";
    case H5T_ENUM:
        return "an enumeration that is no bool";
    case H5T_VLEN:
        return "sequences of variable length";
    case H5T_REFERENCE:
        return "references";
    case H5T_ARRAY:
        return "elements that are arrays";
    default:
        return "an element type that is not known";
    }
}

static trajlog_status learn_type(struct dataset *dataset, struct error *error)
{
    hid_t type = H5Dget_type(dataset->handle);
    if (type < 0) return hdf5_error(error, "its element type cannot be read");
    if (!hdf5_element_type(type, &dataset->type)) {
        dataset->type = 0;
        dataset->obstacle = obstacle_of(type);
    }
    dataset->native = dataset->type && hdf5_type_is_native(type, dataset->type);
    H5Tclose(type);
    return TRAJLOG_OK;
}

static trajlog_status take_dims(struct dataset *dataset, hid_t space, struct error *error)
{
    hsize_t dims[H5S_MAX_RANK], maximum[H5S_MAX_RANK];
    int rank = H5Sget_simple_extent_dims(space, dims, maximum);
    if (rank < 0 || H5Sget_simple_extent_type(space) == H5S_NO_CLASS)
        return hdf5_error(error, "its shape cannot be read");
    if (rank > DATASET_MAX_RANK || H5Sget_simple_extent_type(space) == H5S_NULL) {
        dataset->type = 0;
        dataset->obstacle = rank > DATASET_MAX_RANK ? TOO_MANY_DIMENSIONS : "no data at all";
    }
    dataset->rank = rank < DATASET_MAX_RANK ? rank : DATASET_MAX_RANK;
    for (int i = 0; i < dataset->rank; i++) {
        if (dims[i] > INT64_MAX) return invalid(error, "a dimension is beyond reason");
        dataset->dims[i] = (int64_t)dims[i];
    }
    dataset->may_grow = rank > 0 && maximum[0] == H5S_UNLIMITED;
    return TRAJLOG_OK;
}

static trajlog_status learn_shape(struct dataset *dataset, struct error *error)
{
    hid_t space = H5Dget_space(dataset->handle);
    if (space < 0) return hdf5_error(error, "its shape cannot be read");
    trajlog_status status = take_dims(dataset, space, error);
    H5Sclose(space);
    return status;
}

static trajlog_status take_chunk(struct dataset *dataset, hid_t properties, struct error *error)
{
    hsize_t chunk[H5S_MAX_RANK];
    int rank = H5Pget_chunk(properties, H5S_MAX_RANK, chunk);
    int64_t bytes = dataset->type ? (int64_t)trajlog_type_size(dataset->type) : 1;
    if (rank < 0) return hdf5_error(error, "its chunks cannot be read");
    for (int i = 0; i < rank && i < dataset->rank; i++) {
        if (chunk[i] == 0 || chunk[i] > UINT32_MAX) return invalid(error, "its chunks are of an impossible size");
        dataset->chunk[i] = (int64_t)chunk[i];
        if (__builtin_mul_overflow(bytes, dataset->chunk[i], &bytes))
            return invalid(error, "its chunks are of an impossible size");
    }
    dataset->chunk_bytes = bytes;
    return TRAJLOG_OK;
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static trajlog_status learn_filters(struct dataset *dataset, hid_t properties, const struct dataset_limits *limits,
                                    struct error *error)
{
    char text[400];
    bool chunked = H5Pget_layout(properties) == H5D_CHUNKED;
    dataset->filters = strdup(chunked ? filters_text(properties, text, sizeof text) : "");
    const char *forbidden = chunked ? filters_forbidden(properties, limits->filters, text, sizeof text) : NULL;
    if (forbidden) dataset->forbidden = strdup(forbidden);
    if (!dataset->filters || (forbidden && !dataset->forbidden))
        return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a description");
    if (dataset->filters[0]) dataset->looked = malloc(sizeof *dataset->looked);
    if (dataset->filters[0] && !dataset->looked) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory");
    if (dataset->looked) *dataset->looked = milliseconds();
    long expansion = chunked ? filters_expansion(properties) : 1;
    if (__builtin_mul_overflow(limits->file_bytes, expansion, &dataset->believable_bytes) ||
        __builtin_add_overflow(dataset->believable_bytes, ALWAYS_BELIEVABLE, &dataset->believable_bytes))
        dataset->believable_bytes = INT64_MAX;
    return TRAJLOG_OK;
}

trajlog_status dataset_check_layout(int64_t properties, struct error *error)
{
    H5D_layout_t layout = H5Pget_layout(properties);
    if (layout < 0) return hdf5_error(error, "its layout cannot be read");
    if (layout == H5D_VIRTUAL) return invalid(error, "it is a virtual dataset, made of other files' data");
    if (layout == H5D_CONTIGUOUS && H5Pget_external_count(properties) != 0)
        return invalid(error, "its data lie outside of the file");
    return TRAJLOG_OK;
}

static trajlog_status learn_layout(struct dataset *dataset, hid_t properties, const struct dataset_limits *limits,
                                   struct error *error)
{
    TRY(dataset_check_layout(properties, error));
    TRY(learn_filters(dataset, properties, limits, error));
    TRY(learn_type(dataset, error));
    TRY(learn_shape(dataset, error));
    return H5Pget_layout(properties) == H5D_CHUNKED ? take_chunk(dataset, properties, error) : TRAJLOG_OK;
}

/* Bytes of the chunks that lie side by side along a row. */
static int64_t band_bytes(const struct dataset *dataset)
{
    int64_t bytes = dataset->chunk_bytes;
    for (int32_t i = 1; i < dataset->rank; i++) {
        int64_t across = dataset->dims[i] / dataset->chunk[i] + (dataset->dims[i] % dataset->chunk[i] != 0);
        if (__builtin_mul_overflow(bytes, across, &bytes)) return INT64_MAX;
    }
    return bytes;
}

static trajlog_status enlarge_cache(struct dataset *dataset, int64_t parent, struct error *error)
{
    int64_t band = dataset->chunk_bytes ? band_bytes(dataset) : 0;
    if (band <= DEFAULT_CACHE || band > LARGEST_CACHE) return TRAJLOG_OK;
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    bool set = access >= 0 && H5Pset_chunk_cache(access, H5D_CHUNK_CACHE_NSLOTS_DEFAULT, (size_t)band,
                                                 H5D_CHUNK_CACHE_W0_DEFAULT) >= 0;
    /* Every link of the path was seen to be hard. libhdf5 shares what is open already: first close, then open. */
    H5Dclose(dataset->handle);
    dataset->handle = set ? H5Dopen2(parent, dataset->name, access) : H5I_INVALID_HID;
    trajlog_status status = dataset->handle < 0 ? hdf5_error(error, "it cannot be opened") : TRAJLOG_OK;
    if (access >= 0) H5Pclose(access);
    return status;
}

/* Where libhdf5 has nothing to do but to fetch bytes, or to call its own filters, it is done without. */
static trajlog_status make_cells(struct dataset *dataset, hid_t properties, int64_t parent,
                                 const struct dataset_limits *limits, struct error *error)
{
    if (dataset->native && !dataset->forbidden)
        TRY(cells_make(&dataset->cells, dataset->handle, properties, trajlog_type_size(dataset->type), limits->source,
                       limits->decoders, error));
    if (dataset->cells && !dataset->cells->filtered) return TRAJLOG_OK;
    TRY(enlarge_cache(dataset, parent, error));
    if (dataset->cells) dataset->cells->dataset = dataset->handle;
    return TRAJLOG_OK;
}

trajlog_status dataset_open(struct dataset *dataset, int64_t parent, const char *name,
                            const struct dataset_limits *limits, struct error *error)
{
    bool found;
    int64_t object = H5I_INVALID_HID;
    memset(dataset, 0, sizeof *dataset);
    dataset->handle = H5I_INVALID_HID;
    dataset->name = strdup(name);
    if (!dataset->name) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a name");
    TRY(object_open(parent, name, &object, &found, error));
    if (!found) return invalid(error, "it is missing");
    if (H5Iget_type(object) != H5I_DATASET) {
        H5Oclose(object);
        return invalid(error, "it is not a dataset");
    }
    dataset->handle = object;
    hid_t properties = H5Dget_create_plist(dataset->handle);
    if (properties < 0) return hdf5_error(error, "its properties cannot be read");
    trajlog_status status = learn_layout(dataset, properties, limits, error);
    if (status == TRAJLOG_OK) status = make_cells(dataset, properties, parent, limits, error);
    H5Pclose(properties);
    if (status == TRAJLOG_OK) dataset->stored_bytes = (int64_t)H5Dget_storage_size(dataset->handle);
    return status;
}

static trajlog_status describe_storage(struct dataset *dataset, struct error *error)
{
    char text[600], dims[160];
    trajlog_shape chunk = {dataset->rank < TRAJLOG_MAX_RANK ? dataset->rank : TRAJLOG_MAX_RANK, {0}};
    bool whole_rows = dataset->has_rows && dataset->chunk_bytes;
    for (int32_t i = 1; i < dataset->rank; i++) whole_rows = whole_rows && dataset->chunk[i] == dataset->dims[i];
    memcpy(chunk.dims, dataset->chunk, sizeof chunk.dims);
    if (!dataset->chunk_bytes) snprintf(text, sizeof text, "contiguous");
    else if (whole_rows && dataset->chunk[0] == 1) snprintf(text, sizeof text, "1 row per chunk");
    else if (whole_rows) snprintf(text, sizeof text, "%lld rows per chunk", (long long)dataset->chunk[0]);
    else snprintf(text, sizeof text, "chunks of %s", shape_text(&chunk, dims, sizeof dims));
    size_t used = strlen(text);
    if (dataset->filters[0]) snprintf(text + used, sizeof text - used, ", %s", dataset->filters);
    free(dataset->storage);
    dataset->storage = strdup(text);
    return dataset->storage ? TRAJLOG_OK : error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a description");
}

trajlog_status dataset_set_rows(struct dataset *dataset, bool has_rows, struct error *error)
{
    int32_t first = has_rows ? 1 : 0;
    int64_t elements = 1, bytes, all;
    if (dataset->type && dataset->rank < first) return invalid(error, "it has no rows");
    if (dataset->type && dataset->rank - first > TRAJLOG_MAX_RANK) {
        dataset->type = 0;
        dataset->obstacle = TOO_MANY_DIMENSIONS;
    }
    dataset->has_rows = has_rows;
    dataset->extent = has_rows ? dataset->dims[0] : 1;
    dataset->shape.rank = dataset->rank < first ? 0 : dataset->rank - first;
    if (dataset->shape.rank > TRAJLOG_MAX_RANK) dataset->shape.rank = TRAJLOG_MAX_RANK;
    for (int32_t i = 0; i < dataset->shape.rank; i++) {
        dataset->shape.dims[i] = dataset->dims[i + first];
        if (__builtin_mul_overflow(elements, dataset->shape.dims[i], &elements) || elements > MAX_ROW_BYTES)
            return invalid(error, "its shape is beyond reason");
    }
    bytes = elements * (int64_t)trajlog_type_size(dataset->type); /* at most 2^47 times 2^16 */
    if (bytes > MAX_ROW_BYTES || __builtin_mul_overflow(bytes, dataset->extent, &all))
        return invalid(error, "its size is beyond reason");
    dataset->elements = elements;
    dataset->bytes = (size_t)bytes;
    return describe_storage(dataset, error);
}

int64_t dataset_first_moving(const struct dataset *dataset)
{
    bool may_move = dataset->looked && dataset->has_rows;
    return may_move ? dataset->extent - dataset->extent % dataset->chunk[0] : dataset->extent;
}

trajlog_status dataset_look_again(const struct dataset *dataset, struct error *error)
{
    hsize_t dims[H5S_MAX_RANK] = {0};
    int64_t now = milliseconds();
    if (!dataset->looked || now - *dataset->looked < SAFE_MS) return TRAJLOG_OK;
    if (dataset->cells) cells_forget(dataset->cells);
    if (H5Drefresh(dataset->handle) < 0) return hdf5_error(error, "its index cannot be read again");
    hid_t space = H5Dget_space(dataset->handle);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_dims(space, dims, NULL);
    if (space >= 0) H5Sclose(space);
    if (rank != dataset->rank) return hdf5_error(error, "its shape cannot be read again");
    if (dims[0] < (hsize_t)dataset->extent)
        return error_set(error, TRAJLOG_INVALID_STATE, 0,
                         "rows of it were dropped since the reader was opened or refreshed: refresh it");
    *dataset->looked = now;
    return TRAJLOG_OK;
}

struct dataset dataset_narrow(const struct dataset *dataset, int64_t particles)
{
    struct dataset narrow = *dataset;
    const int64_t elements = dataset->elements / dataset->shape.dims[0];
    narrow.dims[dataset->has_rows ? 1 : 0] = narrow.shape.dims[0] = particles;
    narrow.elements = particles * elements;
    narrow.bytes = (size_t)narrow.elements * trajlog_type_size(dataset->type);
    return narrow;
}

trajlog_status dataset_stored_chunks(const struct dataset *dataset, int64_t *stored, struct error *error)
{
    hsize_t count = 0;
    hid_t space = H5Dget_space(dataset->handle);
    herr_t result = space < 0 ? -1 : H5Dget_num_chunks(dataset->handle, space, &count);
    if (space >= 0) H5Sclose(space);
    *stored = count < INT64_MAX ? (int64_t)count : INT64_MAX;
    return result < 0 ? hdf5_error(error, "its chunks cannot be counted") : TRAJLOG_OK;
}

trajlog_status dataset_missing_chunks(const struct dataset *dataset, int64_t *missing, struct error *error)
{
    int64_t chunks = 1, stored;
    *missing = 0;
    if (dataset->handle < 0) return TRAJLOG_OK;
    if (!dataset->chunk_bytes) {
        *missing = dataset->stored_bytes == 0 && dataset->bytes > 0 && dataset->extent > 0;
        return TRAJLOG_OK;
    }
    for (int32_t i = 0; i < dataset->rank; i++) {
        int64_t across = dataset->dims[i] / dataset->chunk[i] + (dataset->dims[i] % dataset->chunk[i] != 0);
        if (__builtin_mul_overflow(chunks, across, &chunks)) return invalid(error, "its size is beyond reason");
    }
    TRY(dataset_stored_chunks(dataset, &stored, error));
    if (stored < chunks) *missing = chunks - stored;
    return TRAJLOG_OK;
}

trajlog_status dataset_make_constant(struct dataset *dataset, const char *name, trajlog_type type, const void *value,
                                     struct error *error)
{
    memset(dataset, 0, sizeof *dataset);
    dataset->handle = H5I_INVALID_HID;
    dataset->type = type;
    dataset->extent = dataset->elements = 1;
    dataset->bytes = sizeof dataset->constant;
    dataset->believable_bytes = INT64_MAX;
    memcpy(dataset->constant, value, sizeof dataset->constant);
    dataset->name = strdup(name);
    return dataset->name ? TRAJLOG_OK : error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a name");
}

void dataset_close(struct dataset *dataset)
{
    if (dataset->handle >= 0 && dataset->name) H5Dclose(dataset->handle);
    cells_free(dataset->cells);
    free(dataset->name);
    free(dataset->looked);
    free(dataset->forbidden);
    free(dataset->filters);
    free(dataset->storage);
    memset(dataset, 0, sizeof *dataset);
    dataset->handle = H5I_INVALID_HID;
}

const char *dataset_missing_filter(const struct dataset *dataset, char *text, size_t size)
{
    hid_t properties = dataset->handle >= 0 ? H5Dget_create_plist(dataset->handle) : H5I_INVALID_HID;
    const char *missing = properties >= 0 ? filters_missing(properties, text, size) : NULL;
    if (properties >= 0) H5Pclose(properties);
    return missing;
}
