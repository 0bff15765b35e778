/* Which rows a selection means. No row of a field is read here, only steps and times, and of these few. */
#include <math.h>

#include "read/rows.h"

trajlog_rows trajlog_all_rows(void)
{
    return trajlog_row_range(0, TRAJLOG_ROWS_END, 1);
}

trajlog_rows trajlog_row(int64_t row)
{
    trajlog_rows rows = {.kind = TRAJLOG_ROWS_INDEX, .start = row};
    return rows;
}

trajlog_rows trajlog_row_range(int64_t start, int64_t stop, int64_t stride)
{
    trajlog_rows rows = {.kind = TRAJLOG_ROWS_RANGE, .start = start, .stop = stop, .stride = stride};
    return rows;
}

trajlog_rows trajlog_row_list(const int64_t *list, size_t count)
{
    trajlog_rows rows = {.kind = TRAJLOG_ROWS_LIST, .list = list, .list_count = count};
    return rows;
}

trajlog_rows trajlog_row_at_step(int64_t step)
{
    trajlog_rows rows = {.kind = TRAJLOG_ROWS_STEP, .start = step};
    return rows;
}

trajlog_rows trajlog_rows_in_steps(int64_t first, int64_t last)
{
    trajlog_rows rows = {.kind = TRAJLOG_ROWS_STEPS, .start = first, .stop = last};
    return rows;
}

trajlog_rows trajlog_rows_in_times(double start, double stop)
{
    trajlog_rows rows = {.kind = TRAJLOG_ROWS_TIMES, .start_time = start, .stop_time = stop};
    return rows;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Binary search in a step or time dataset. Its values are read in windows, so that the last ten or so halvings cost
 * one read together. Values out of order, in a broken file, give a wrong row, but one that exists.
 * ------------------------------------------------------------------------------------------------------------------ */

#define WINDOW 1024

struct search {
    const struct dataset *dataset; /* of 8-byte elements */
    int64_t rows;
    int64_t first, count; /* the window */
    union value {
        int64_t step;
        double time;
    } values[WINDOW];
};

static trajlog_status value_at(struct search *search, int64_t row, union value *value, struct error *error)
{
    if (row < search->first || row >= search->first + search->count) {
        int64_t first = row - row % WINDOW;
        int64_t count = search->rows - first < WINDOW ? search->rows - first : WINDOW;
        search->count = 0;
        TRY(dataset_read(search->dataset, first, 1, count, search->values, error));
        search->first = first;
        search->count = count;
    }
    *value = search->values[row - search->first];
    return TRAJLOG_OK;
}

typedef bool (*is_before)(const union value *value, const union value *key);

static bool step_is_less(const union value *value, const union value *key)
{
    return value->step < key->step;
}

static bool step_is_at_most(const union value *value, const union value *key)
{
    return value->step <= key->step;
}

static bool time_is_less(const union value *value, const union value *key)
{
    return value->time < key->time;
}

static bool time_is_at_most(const union value *value, const union value *key)
{
    return value->time <= key->time;
}

/* The first row that is not before the key; the number of rows if there is none. */
static trajlog_status first_not(struct search *search, is_before before, const union value *key, int64_t *row,
                                struct error *error)
{
    int64_t low = 0, high = search->rows;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        union value value;
        TRY(value_at(search, middle, &value, error));
        if (before(&value, key)) low = middle + 1;
        else high = middle;
    }
    *row = low;
    return TRAJLOG_OK;
}

static trajlog_status search_start(struct search *search, const struct dataset *dataset, const struct axis *axis,
                                   struct error *error)
{
    if (!dataset || dataset->handle < 0)
        return error_set(error, TRAJLOG_NOT_FOUND, 0, "it has no time axis to find steps or times on");
    search->dataset = dataset;
    search->rows = axis->rows;
    search->first = search->count = 0;
    return TRAJLOG_OK;
}

static void select_between(struct selection *selection, int64_t start, int64_t stop)
{
    selection->start = start;
    selection->count = stop > start ? stop - start : 0;
}

static trajlog_status select_step(struct selection *selection, int64_t step, const struct axis *axis,
                                  struct error *error)
{
    struct search search;
    union value key = {.step = step}, found;
    int64_t row;
    TRY(search_start(&search, axis->step, axis, error));
    TRY(first_not(&search, step_is_less, &key, &row, error));
    if (row < axis->rows) {
        TRY(value_at(&search, row, &found, error));
        if (found.step == step) {
            select_between(selection, row, row + 1);
            return TRAJLOG_OK;
        }
    }
    return error_set(error, TRAJLOG_NOT_FOUND, 0, "step %lld is not in it", (long long)step);
}

static trajlog_status select_steps(struct selection *selection, int64_t first, int64_t last, const struct axis *axis,
                                   struct error *error)
{
    struct search search;
    union value key = {.step = first}, last_key = {.step = last};
    int64_t start, stop;
    TRY(search_start(&search, axis->step, axis, error));
    TRY(first_not(&search, step_is_less, &key, &start, error));
    TRY(first_not(&search, step_is_at_most, &last_key, &stop, error));
    select_between(selection, start, stop);
    return TRAJLOG_OK;
}

static trajlog_status select_times(struct selection *selection, double first, double last, const struct axis *axis,
                                   struct error *error)
{
    struct search search;
    union value key = {.time = first}, last_key = {.time = last};
    int64_t start, stop;
    if (isnan(first) || isnan(last))
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the start and stop times must be numbers, not NaN");
    TRY(search_start(&search, axis->time, axis, error));
    TRY(first_not(&search, time_is_less, &key, &start, error));
    TRY(first_not(&search, time_is_at_most, &last_key, &stop, error));
    select_between(selection, start, stop);
    return TRAJLOG_OK;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status check_row(int64_t row, int64_t rows, struct error *error)
{
    if (row >= -rows && row < rows) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_NOT_FOUND, 0, "there is no row %lld: it has %lld rows", (long long)row,
                     (long long)rows);
}

static trajlog_status select_index(struct selection *selection, int64_t row, struct error *error)
{
    TRY(check_row(row, selection->rows, error));
    int64_t start = row < 0 ? row + selection->rows : row;
    select_between(selection, start, start + 1);
    return TRAJLOG_OK;
}

/* Where a slice's bound lies, from 0 to the number of rows. */
static int64_t clip(int64_t bound, int64_t rows)
{
    if (bound < 0) bound += rows;
    if (bound < 0) return 0;
    return bound < rows ? bound : rows;
}

static trajlog_status select_range(struct selection *selection, const trajlog_rows *rows, struct error *error)
{
    if (rows->stride < 1)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "a stride of rows must be at least 1, not %lld",
                         (long long)rows->stride);
    int64_t start = clip(rows->start, selection->rows), stop = clip(rows->stop, selection->rows);
    selection->start = start;
    selection->stride = rows->stride;
    selection->count = stop > start ? (stop - start - 1) / rows->stride + 1 : 0;
    return TRAJLOG_OK;
}

static trajlog_status select_list(struct selection *selection, const trajlog_rows *rows, struct error *error)
{
    if ((!rows->list && rows->list_count > 0) || rows->list_count > INT64_MAX / sizeof(int64_t))
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the list of rows is not valid");
    for (size_t i = 0; i < rows->list_count; i++) TRY(check_row(rows->list[i], selection->rows, error));
    selection->list = rows->list;
    selection->count = (int64_t)rows->list_count;
    return TRAJLOG_OK;
}

trajlog_status selection_make(struct selection *selection, const trajlog_rows *rows, const struct axis *axis,
                              struct error *error)
{
    *selection = (struct selection){.stride = 1, .rows = axis->rows};
    switch (rows->kind) {
    case TRAJLOG_ROWS_RANGE:
        return select_range(selection, rows, error);
    case TRAJLOG_ROWS_LIST:
        return select_list(selection, rows, error);
    case TRAJLOG_ROWS_INDEX:
        return select_index(selection, rows->start, error);
    case TRAJLOG_ROWS_STEP:
        return select_step(selection, rows->start, axis, error);
    case TRAJLOG_ROWS_STEPS:
        return select_steps(selection, rows->start, rows->stop, axis, error);
    case TRAJLOG_ROWS_TIMES:
        return select_times(selection, rows->start_time, rows->stop_time, axis, error);
    }
    return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "there is no kind of selection with number %d",
                     (int)rows->kind);
}
