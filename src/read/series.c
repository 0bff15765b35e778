/* The series of single particles. */
#include "read/reader.h"

static trajlog_status choose_particles(struct selection *selection, const struct dataset *dataset, int64_t first,
                                       int64_t count, struct error *error)
{
    if (dataset->shape.rank < 1) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "a scalar has no particles");
    if (count < 1)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "expected at least 1 particle, not %lld",
                         (long long)count);
    const int64_t there = dataset->shape.dims[0];
    if (first < 0 || first > there || count > there - first)
        return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "%lld particles from %lld on are not in it: there are %lld",
                         (long long)count, (long long)first, (long long)there);
    selection->first_particle = first;
    selection->particles = count;
    return TRAJLOG_OK;
}

struct series {
    const char *field;
    int64_t first_particle, particle_count;
    trajlog_type type;
    void *data;
    size_t bytes;
};

static trajlog_status read_chosen(struct selection *selection, const struct dataset *dataset, trajlog_type type,
                                  const struct series *series, struct error *error)
{
    TRY(choose_particles(selection, dataset, series->first_particle, series->particle_count, error));
    TRY(reader_check_room(selection, dataset, type, series->data, series->bytes, error));
    return selection_read(selection, dataset, 0, selection->count, type, series->data, error);
}

static trajlog_status read_series(const trajlog_reader *reader, const char *name, const trajlog_rows *rows,
                                  const struct series *series, int64_t *row_count, struct error *error)
{
    const struct scan_group *group;
    const struct dataset *dataset;
    struct selection selection;
    trajlog_type type;
    TRY(reader_group(reader, name, &group, error));
    TRY(reader_field(group, series->field, series->type, &dataset, &type, error));
    TRY(reader_select(group, rows, &selection, error));
    trajlog_status status = read_chosen(&selection, dataset, type, series, error);
    if (status != TRAJLOG_OK) reader_name_field(error, group, series->field);
    if (status == TRAJLOG_OK && row_count) *row_count = selection.count;
    return status;
}

trajlog_status trajlog_read_series(trajlog_reader *reader, const char *group, const char *field, trajlog_rows rows,
                                   int64_t first_particle, int64_t particle_count, trajlog_type type, void *data,
                                   size_t bytes, int64_t *row_count)
{
    struct error error = {0};
    const struct series series = {field, first_particle, particle_count, type, data, bytes};
    return reader_end(reader, read_series(reader, group, &rows, &series, row_count, &error), &error);
}
