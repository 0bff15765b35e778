/* Fields whose number of particles varies, without their padding. */
#include <stdlib.h>
#include <string.h>

#include "model/convert.h"
#include "model/role.h"
#include "read/reader.h"

#define BLOCK_BYTES ((int64_t)4 << 20)

struct ragged_read {
    const struct dataset *dataset;
    struct selection selection;
    trajlog_type type;          /* to give elements in */
    int64_t capacity, elements; /* particles of a row, and elements of a particle */
    trajlog_ragged *ragged;
};

static trajlog_status no_memory(struct error *error)
{
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for the particles");
}

/* offsets[k + 1] holds the k-th count, and then their sum. */
static trajlog_status add_counts(struct ragged_read *read, struct error *error)
{
    int64_t *offsets = read->ragged->offsets;
    for (int64_t k = 0; k < read->selection.count; k++) {
        if (offsets[k + 1] < 0 || offsets[k + 1] > read->capacity)
            return error_set(error, TRAJLOG_INVALID_FILE, 0, "field \"%s\" says %lld, and there is room for %lld",
                             COUNT_FIELD, (long long)offsets[k + 1], (long long)read->capacity);
        if (__builtin_add_overflow(offsets[k + 1], offsets[k], &offsets[k + 1]))
            return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "more particles than memory can hold");
    }
    return TRAJLOG_OK;
}

static trajlog_status read_counts(struct ragged_read *read, const struct scan_group *group, bool varying,
                                  struct error *error)
{
    const int64_t rows = read->selection.count;
    int64_t *offsets = read->ragged->offsets = calloc((size_t)rows + 1, sizeof *offsets);
    if (offsets == NULL) return no_memory(error);
    for (int64_t k = 0; k < rows && !varying; k++) offsets[k + 1] = read->capacity;
    if (varying) {
        const struct dataset *counts;
        trajlog_type type;
        TRY(reader_field(group, COUNT_FIELD, TRAJLOG_INT64, &counts, &type, error));
        if (counts->elements != 1)
            return error_set(error, TRAJLOG_INVALID_FILE, 0, "field \"%s\" is no scalar", COUNT_FIELD);
        TRY(selection_read(&read->selection, counts, 0, rows, type, offsets + 1, error));
    }
    return add_counts(read, error);
}

/* The most particles of `rows` rows from the selection's `first` on. */
static int64_t most_particles(const struct ragged_read *read, int64_t first, int64_t rows)
{
    const int64_t *offsets = read->ragged->offsets + first;
    int64_t most = 0;
    for (int64_t k = 0; k < rows; k++)
        if (offsets[k + 1] - offsets[k] > most) most = offsets[k + 1] - offsets[k];
    return most;
}

/* Takes the particles that there are out of `rows` rows, of which the first is the selection's `first`. */
static trajlog_status take_particles(struct ragged_read *read, const unsigned char *block, size_t row_bytes,
                                     int64_t first, int64_t rows, struct error *error)
{
    const int64_t *offsets = read->ragged->offsets + first;
    const size_t size = trajlog_type_size(read->type);
    for (int64_t k = 0; k < rows; k++, block += row_bytes) {
        const int64_t count = (offsets[k + 1] - offsets[k]) * read->elements;
        unsigned char *to = (unsigned char *)read->ragged->values + (size_t)(offsets[k] * read->elements) * size;
        if (count > 0) TRY(convert_dense(to, read->type, block, read->dataset->type, count, error));
    }
    return TRAJLOG_OK;
}

static trajlog_status read_block(struct ragged_read *read, void *block, int64_t first, int64_t rows,
                                 struct error *error)
{
    const int64_t most = most_particles(read, first, rows);
    if (most == 0) return TRAJLOG_OK;
    const struct dataset narrow = dataset_narrow(read->dataset, most);
    TRY(selection_read(&read->selection, &narrow, first, rows, narrow.type, block, error));
    return take_particles(read, block, narrow.bytes, first, rows, error);
}

/* As stored, since padding may not be convertible; in blocks, each only as wide as its fullest row, as there may be more
 * padding than particles. */
static trajlog_status read_blocks(struct ragged_read *read, struct error *error)
{
    const int64_t count = read->selection.count, most = most_particles(read, 0, count);
    if (most == 0) return TRAJLOG_OK;
    const struct dataset widest = dataset_narrow(read->dataset, most);
    int64_t block_rows = widest.bytes > 0 ? BLOCK_BYTES / (int64_t)widest.bytes : count;
    if (block_rows < 1) block_rows = 1;
    if (block_rows > count) block_rows = count;
    void *block = NULL;
    TRY(rows_allocate(&widest, widest.type, block_rows, &block, error));
    trajlog_status status = TRAJLOG_OK;
    for (int64_t first = 0; first < count && status == TRAJLOG_OK; first += block_rows)
        status = read_block(read, block, first, count - first < block_rows ? count - first : block_rows, error);
    free(block);
    return status;
}

static trajlog_status allocate_values(struct ragged_read *read, struct error *error)
{
    int64_t bytes;
    const int64_t particles = read->ragged->offsets[read->selection.count];
    if (__builtin_mul_overflow(particles, read->elements * (int64_t)trajlog_type_size(read->type), &bytes))
        return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "more particles than memory can hold");
    read->ragged->values = malloc(bytes > 0 ? (size_t)bytes : 1);
    return read->ragged->values != NULL ? TRAJLOG_OK : no_memory(error);
}

static bool is_varying(const trajlog_reader *reader, const struct scan_group *group, const char *field)
{
    const struct schema *schema = reader->scan->schema;
    if (schema == NULL) return false;
    const struct group *model = schema->groups[group - reader->scan->groups];
    const struct field *found = group_find_field(model, field);
    return found != NULL && field_varies(model, found);
}

static trajlog_status read_field(const trajlog_reader *reader, const struct scan_group *group, const char *field,
                                 struct ragged_read *read, struct error *error)
{
    if (read->dataset->shape.rank < 1)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "a scalar has no particles");
    read->capacity = read->dataset->shape.dims[0];
    if (read->capacity < 1) return error_set(error, TRAJLOG_INVALID_FILE, 0, "it has room for no particles");
    read->elements = read->dataset->elements / read->capacity;
    TRY(read_counts(read, group, is_varying(reader, group, field), error));
    TRY(allocate_values(read, error));
    return read_blocks(read, error);
}

static trajlog_status read_ragged(const trajlog_reader *reader, const char *name, const char *field,
                                  const trajlog_rows *rows, trajlog_type type, trajlog_ragged *ragged,
                                  struct error *error)
{
    const struct scan_group *group;
    struct ragged_read read = {.ragged = ragged};
    TRY(reader_group(reader, name, &group, error));
    TRY(reader_field(group, field, type, &read.dataset, &read.type, error));
    TRY(reader_select(group, rows, &read.selection, error));
    ragged->row_count = read.selection.count;
    trajlog_status status = read_field(reader, group, field, &read, error);
    if (status != TRAJLOG_OK) reader_name_field(error, group, field);
    return status;
}

trajlog_status trajlog_read_ragged(trajlog_reader *reader, const char *group, const char *field, trajlog_rows rows,
                                   trajlog_type type, trajlog_ragged *ragged)
{
    struct error error = {0};
    trajlog_status status;
    if (ragged == NULL) {
        status = error_set(&error, TRAJLOG_INVALID_ARGUMENT, 0, "there is no place for the particles: it is NULL");
    } else {
        memset(ragged, 0, sizeof *ragged);
        status = read_ragged(reader, group, field, &rows, type, ragged, &error);
        if (status != TRAJLOG_OK) trajlog_ragged_free(ragged);
    }
    return reader_end(reader, status, &error);
}

void trajlog_ragged_free(trajlog_ragged *ragged)
{
    if (ragged == NULL) return;
    free(ragged->offsets);
    free(ragged->values);
    memset(ragged, 0, sizeof *ragged);
}
