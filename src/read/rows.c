#include "read/rows.h"

#include <stdlib.h>
#include <string.h>

#include "model/convert.h"
#include "read/library.h"
#include "read/plan.h"
#include "store/hdf5_error.h"
#include "store/hdf5_lock.h"

/* Where rows are not neighbours, libhdf5 walks them element by element, some 60 ns each; a call costs as much as about
 * a hundred of these. Rows of more elements are read with a call each. */
#define ELEMENTS_WORTH_A_CALL 100

/* The memory in which rows lie between the file and a conversion. */
#define CONVERSION_BYTES ((int64_t)2 << 20)

/* ---------------------------------------------------------------------------------------------------------------------
 * From the dataset
 * ------------------------------------------------------------------------------------------------------------------ */

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

/* The rows of the region, from the `first` one on, each `stride` after the one before. */
static struct region rows_of(const struct region *region, int64_t first, int64_t stride, int64_t count)
{
    struct region some = *region;
    some.start[0] += first * stride;
    some.count[0] = count;
    return some;
}

static trajlog_status read_at_once(const struct dataset *dataset, const struct region *region, void *data,
                                   struct error *error)
{
    return dataset->cells ? plan_read(dataset, region, data, error) : library_read(dataset, region, 1, data, error);
}

/* Rows that do not move, region->count[0] of them. */
static trajlog_status read_resting(const struct dataset *dataset, const struct region *region, int64_t stride, char *to,
                                   struct error *error)
{
    int64_t elements = 1;
    for (int32_t i = 1; i < dataset->rank; i++) elements *= region->count[i];
    if (stride == 1 || region->count[0] == 1) return read_at_once(dataset, region, to, error);
    if (elements < ELEMENTS_WORTH_A_CALL) return library_read(dataset, region, stride, to, error);
    for (int64_t i = 0; i < region->count[0]; i++) {
        struct region row = rows_of(region, i, stride, 1);
        TRY(read_at_once(dataset, &row, to + (size_t)(i * elements) * trajlog_type_size(dataset->type), error));
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

static trajlog_status read_region(const struct dataset *dataset, const struct region *region, int64_t stride, char *to,
                                  struct error *error)
{
    size_t row_bytes = trajlog_type_size(dataset->type);
    for (int32_t i = 1; i < dataset->rank; i++) row_bytes *= (size_t)region->count[i];
    if (!dataset->has_rows) return read_at_once(dataset, region, to, error);
    int64_t count = region->count[0],
            resting = count_before(dataset_first_moving(dataset), region->start[0], stride, count);
    struct region part = rows_of(region, 0, stride, resting);
    if (resting > 0) TRY(read_resting(dataset, &part, stride, to, error));
    if (resting == count) return TRAJLOG_OK;
    TRY(look_again(dataset, error));
    part = rows_of(region, resting, stride, count - resting);
    return library_read(dataset, &part, stride, to + (size_t)resting * row_bytes, error);
}

/* The rows' first dimension: particles, for most fields. */
static int32_t first_of_row(const struct dataset *dataset)
{
    return dataset->has_rows ? 1 : 0;
}

/* Whole rows as a region of the dataset; all of it, if it has no rows. */
static struct region whole_rows(const struct dataset *dataset, int64_t start, int64_t count)
{
    struct region region;
    for (int32_t i = 0; i < dataset->rank; i++) {
        region.start[i] = 0;
        region.count[i] = dataset->dims[i];
    }
    if (dataset->has_rows) {
        region.start[0] = start;
        region.count[0] = count;
    }
    return region;
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
    struct region region = whole_rows(dataset, start, count);
    return read_region(dataset, &region, stride, to, error);
}

trajlog_status dataset_read_particles(const struct dataset *dataset, int64_t start, int64_t stride, int64_t count,
                                      int64_t first, int64_t number, void *data, struct error *error)
{
    TRY(check_readable(dataset, error));
    if (dataset->handle < 0 || dataset->bytes == 0 || count == 0 || number == 0) return TRAJLOG_OK;
    struct region region = whole_rows(dataset, start, count);
    int32_t dimension = first_of_row(dataset);
    region.start[dimension] = first;
    region.count[dimension] = number;
    return read_region(dataset, &region, stride, data, error);
}

struct rows_ahead dataset_begin(const struct dataset *dataset, int64_t start, int64_t count, void *data)
{
    struct rows_ahead ahead = {.dataset = dataset, .start = start, .count = count, .data = data};
    if (!dataset->cells || !dataset->has_rows || dataset->bytes == 0) return ahead;
    if (check_readable(dataset, NULL) != TRAJLOG_OK) return ahead;
    ahead.planned = count_before(dataset_first_moving(dataset), start, 1, count);
    struct region region = whole_rows(dataset, start, ahead.planned);
    if (ahead.planned > 0 && plan_begin(&ahead.plan, dataset, &region, data, NULL) != TRAJLOG_OK) ahead.plan = NULL;
    if (!ahead.plan) ahead.planned = 0;
    return ahead;
}

trajlog_status dataset_finish(struct rows_ahead *ahead, struct error *error)
{
    struct plan *plan = ahead->plan;
    ahead->plan = NULL;
    if (plan) TRY(plan_finish(plan, error));
    return dataset_read(ahead->dataset, ahead->start + ahead->planned, 1, ahead->count - ahead->planned,
                        (char *)ahead->data + (size_t)ahead->planned * ahead->dataset->bytes, error);
}

void dataset_drop(struct rows_ahead *ahead)
{
    plan_drop(ahead->plan);
    ahead->plan = NULL;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Into the caller's memory
 * ------------------------------------------------------------------------------------------------------------------ */

/* Where room for particles grew, it is at most twice what the fullest row takes; how much of it is in the file depends. */
static bool is_believable(const struct dataset *dataset, int64_t stored, int64_t count)
{
    if (dataset->sparse) return (int64_t)dataset->bytes / 2 <= dataset->believable_bytes;
    if ((int64_t)dataset->bytes > dataset->believable_bytes) return false;
    return stored <= dataset->believable_bytes || count > dataset->extent;
}

trajlog_status rows_allocate(const struct dataset *dataset, trajlog_type type, int64_t count, void **data,
                             struct error *error)
{
    int64_t stored = 0, bytes;
    *data = NULL;
    if (__builtin_mul_overflow((int64_t)trajlog_type_size(type) * dataset->elements, count, &bytes) ||
        __builtin_mul_overflow((int64_t)dataset->bytes, count, &stored))
        return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "%lld rows are too many", (long long)count);
    if (!is_believable(dataset, stored, count))
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

int64_t selection_elements(const struct selection *selection, const struct dataset *dataset)
{
    if (selection->particles == 0 || dataset->elements == 0) return dataset->elements;
    return dataset->elements / dataset->shape.dims[0] * selection->particles;
}

static trajlog_status read_run(const struct selection *selection, const struct dataset *dataset, int64_t start,
                               int64_t count, void *data, struct error *error)
{
    if (selection->particles == 0) return dataset_read(dataset, start, selection->stride, count, data, error);
    return dataset_read_particles(dataset, start, selection->stride, count, selection->first_particle,
                                  selection->particles, data, error);
}

/* `buffer` holds `most` rows as stored; NULL: no conversion. */
static trajlog_status read_runs(const struct selection *selection, const struct dataset *dataset, int64_t first,
                                int64_t count, trajlog_type type, void *data, void *buffer, int64_t most,
                                struct error *error)
{
    const int64_t elements = selection_elements(selection, dataset);
    char *to = data;
    while (count > 0) {
        int64_t start, part;
        next_run(selection, first, buffer && most < count ? most : count, &start, &part);
        TRY(read_run(selection, dataset, start, part, buffer ? buffer : to, error));
        trajlog_status status = TRAJLOG_OK;
        if (buffer) status = convert_dense(to, type, buffer, dataset->type, part * elements, error);
        if (status != TRAJLOG_OK)
            error_prefix(error, "in the %lld rows from row %lld", (long long)part, (long long)start);
        TRY(status);
        to += (size_t)(part * elements) * trajlog_type_size(type);
        first += part;
        count -= part;
    }
    return TRAJLOG_OK;
}

static trajlog_status allocate_buffer(const struct dataset *dataset, size_t bytes, void **buffer, struct error *error)
{
    TRY(check_readable(dataset, error));
    if (!is_believable(dataset, 0, 0))
        return error_set(error, TRAJLOG_INVALID_FILE, 0, "rows of %zu bytes cannot come out of a file this small",
                         dataset->bytes);
    *buffer = malloc(bytes ? bytes : 1);
    return *buffer ? TRAJLOG_OK : error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for %zu bytes", bytes);
}

trajlog_status selection_read(const struct selection *selection, const struct dataset *dataset, int64_t first,
                              int64_t count, trajlog_type type, void *data, struct error *error)
{
    void *buffer = NULL;
    const size_t row_bytes = (size_t)selection_elements(selection, dataset) * trajlog_type_size(dataset->type);
    int64_t most = rows_in(CONVERSION_BYTES, row_bytes);
    if (most > count) most = count;
    if (type != dataset->type) TRY(allocate_buffer(dataset, (size_t)most * row_bytes, &buffer, error));
    trajlog_status status = read_runs(selection, dataset, first, count, type, data, buffer, most, error);
    free(buffer);
    return status;
}
