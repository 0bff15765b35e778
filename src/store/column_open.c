/* Opening the dataset of an earlier run. Nothing of it is believed: what the schema says of it must be so, and what the
 * file alone knows, the shape of its chunks and their filters, must be what trajlog could have made. */
#include "store/column_parts.h"

#include "store/hdf5_types.h"

static trajlog_status check_type(const struct column *column, struct error *error)
{
    trajlog_type found = 0;
    hid_t type = H5Dget_type(column->dataset);
    bool good = type >= 0 && hdf5_element_type(type, &found) && found == column->type &&
                hdf5_type_is_native(type, column->type);
    if (type >= 0) H5Tclose(type);
    return good ? TRAJLOG_OK
                : column_not_as_expected(column, "its dataset is not of the type that the schema says", error);
}

/* It may have grown since it was declared. */
static bool take_capacity(struct column *column, hsize_t capacity)
{
    if (capacity < 1 || capacity > INT64_MAX / 2) return false;
    size_t bytes = column->row_bytes / (size_t)column->extent[1];
    column->extent[1] = capacity;
    return !__builtin_mul_overflow(bytes, (size_t)capacity, &column->row_bytes);
}

/* Reads the number of rows. */
static trajlog_status check_space(struct column *column, bool grows, struct error *error)
{
    hsize_t dims[H5S_MAX_RANK], most[H5S_MAX_RANK];
    hid_t space = H5Dget_space(column->dataset);
    bool good = space >= 0 && H5Sget_simple_extent_dims(space, dims, most) == column->rank;
    if (space >= 0) H5Sclose(space);
    if (good && column->varies) good = take_capacity(column, dims[1]);
    for (int i = 1; good && i < column->rank; i++) good = dims[i] == column->extent[i];
    if (!good || (most[0] == H5S_UNLIMITED) != grows || dims[0] > INT64_MAX)
        return column_not_as_expected(column, "its dataset is not of the shape that the schema says", error);
    column->extent[0] = dims[0];
    return TRAJLOG_OK;
}

/* The filters of a dataset, which must be ones that column_create sets. */
static bool get_filters(hid_t properties, struct encoding *encoding)
{
    int count = H5Pget_nfilters(properties), next = 0;
    encoding->level = 0;
    encoding->checksum = false;
    for (int i = 0; i < count; i++) {
        unsigned flags, values[8] = {0};
        size_t value_count = 8;
        H5Z_filter_t filter = H5Pget_filter2(properties, (unsigned)i, &flags, &value_count, values, 0, NULL, NULL);
        if (filter == H5Z_FILTER_SHUFFLE && next == 0) next = 1;
        else if (filter == H5Z_FILTER_DEFLATE && next == 1) next = 2, encoding->level = (int)values[0];
        else if (filter == H5Z_FILTER_FLETCHER32 && next != 1) next = 3, encoding->checksum = true;
        else return false;
        if (next == 3) return i + 1 == count;
    }
    return count >= 0 && next != 1 && (next == 0 || (encoding->level >= 1 && encoding->level <= 9));
}

/* Their shape is the file's, if it is one that column_create may have given them. */
static trajlog_status check_chunks(struct column *column, struct error *error)
{
    hsize_t chunk[H5S_MAX_RANK];
    hid_t properties = H5Dget_create_plist(column->dataset);
    bool good = properties >= 0 && H5Pget_layout(properties) == H5D_CHUNKED &&
                H5Pget_chunk(properties, column->rank, chunk) == column->rank && chunk[0] <= INT32_MAX;
    if (good && column->rank > 1) good = chunk[1] <= column->extent[1];
    for (int i = 2; good && i < column->rank; i++) good = chunk[i] == column->extent[i];
    good = good && get_filters(properties, &column->encoding);
    if (properties >= 0) H5Pclose(properties);
    if (!good) return column_not_as_expected(column, "its dataset is not stored as trajlog stores", error);
    column->chunk_rows = (int64_t)chunk[0];
    column->chunk_particles = column->rank > 1 ? (int64_t)chunk[1] : 1;
    return column_size_chunks(column, error);
}

static trajlog_status open_dataset(struct column *column, hid_t location, struct error *error)
{
    hid_t access = column_access_properties();
    hid_t dataset = access >= 0 ? H5Dopen2(location, column->field, access) : H5I_INVALID_HID;
    if (dataset < 0 && column_check_driver(column, error) == TRAJLOG_OK)
        column_not_as_expected(column, "its dataset cannot be opened", error);
    if (access >= 0) H5Pclose(access);
    column->dataset = dataset < 0 ? 0 : dataset;
    return dataset < 0 ? TRAJLOG_INVALID_FILE : TRAJLOG_OK;
}

trajlog_status column_open_as_it_is(struct column *column, struct column_context *context, hid_t location,
                                    const struct column_layout *layout, bool grows, struct error *error)
{
    TRY(column_plan(column, context, layout, error));
    TRY(open_dataset(column, location, error));
    TRY(check_type(column, error));
    TRY(check_space(column, grows, error));
    return check_chunks(column, error);
}

trajlog_status column_open(struct column *column, struct column_context *context, hid_t location,
                           const struct column_layout *layout, struct error *error)
{
    trajlog_status status = column_open_as_it_is(column, context, location, layout, true, error);
    if (status == TRAJLOG_OK) status = column_prepare_encoder(column, error);
    if (status == TRAJLOG_OK) status = column_make_buffer(column, error);
    column->rows = column->committed = (int64_t)column->extent[0];
    if (status != TRAJLOG_OK) column_close(column);
    return status;
}
