#include "read/plan.h"

#include <stdlib.h>
#include <string.h>

#include "read/library.h"
#include "store/hdf5_error.h"
#include "store/hdf5_lock.h"

/* Cells that are looked up, and then read, together. */
#define CELLS_AT_ONCE 16
/* More cells than that are not begun in advance. */
#define MOST_AHEAD 512

struct planned {
    struct task task;
    const struct cells *cells;
    struct cell_part part;
    struct kept_cell *kept; /* NULL: the cell is not kept, once it is decoded */
    bool begun;
    trajlog_status status;
    struct error error;
};

struct plan {
    const struct dataset *dataset;
    struct region region;
    unsigned char *data;
    int64_t next[REGION_MAX_RANK]; /* where the next cell begins */
    bool complete;                 /* all cells are planned */
    bool ahead;
    const struct helpers *helpers; /* NULL: nobody helps */
    int count, capacity;
    struct planned cells[];
};

/* ---------------------------------------------------------------------------------------------------------------------
 * Walking through the cells
 * ------------------------------------------------------------------------------------------------------------------ */

static int64_t cell_start(const struct cells *cells, int32_t dimension, int64_t index)
{
    return index - index % cells->cell[dimension];
}

static void walk_start(struct plan *plan)
{
    const struct cells *cells = plan->dataset->cells;
    for (int32_t i = 0; i < cells->rank; i++) plan->next[i] = cell_start(cells, i, plan->region.start[i]);
}

static void walk_on(struct plan *plan)
{
    const struct cells *cells = plan->dataset->cells;
    for (int32_t i = cells->rank - 1; i >= 0; i--) {
        plan->next[i] += cells->cell[i];
        if (plan->next[i] < plan->region.start[i] + plan->region.count[i]) return;
        plan->next[i] = cell_start(cells, i, plan->region.start[i]);
    }
    plan->complete = true;
}

/* How many cells there are, or more than `most`. */
static int64_t count_cells(const struct cells *cells, const struct region *region, int64_t most)
{
    int64_t count = 1;
    for (int32_t i = 0; i < cells->rank && count <= most; i++) {
        int64_t last = cell_start(cells, i, region->start[i] + region->count[i] - 1);
        int64_t number = (last - cell_start(cells, i, region->start[i])) / cells->cell[i] + 1;
        if (__builtin_mul_overflow(count, number, &count)) return most + 1;
    }
    return count;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Cells that are kept
 * ------------------------------------------------------------------------------------------------------------------ */

/* Whether the region ends within the cell's rows: then the next call is likely to want the others. */
static bool is_cut(const struct cells *cells, const struct cell_part *part)
{
    if (cells->rank == 0) return false;
    int64_t end = part->cell.start[0] + part->cell.count[0];
    int64_t rows = (end < cells->dims[0] ? end : cells->dims[0]) - part->cell.start[0];
    return part->part.count[0] < rows;
}

static struct kept_cell *kept_of(const struct cells *cells, const int64_t *start)
{
    int64_t place = 0;
    for (int32_t i = 1; i < cells->rank; i++) {
        int64_t number = cells->dims[i] / cells->cell[i] + (cells->dims[i] % cells->cell[i] != 0);
        place = place * number + start[i] / cells->cell[i];
    }
    return &cells->kept[place];
}

static trajlog_status take_kept(struct planned *planned)
{
    const struct cells *cells = planned->cells;
    struct kept_cell *kept = planned->kept;
    if (!kept) return TRAJLOG_OK;
    if (!kept->bytes) kept->bytes = malloc(cells->bytes);
    if (!kept->bytes) return error_set(&planned->error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a chunk");
    planned->part.is_decoded = kept->row == planned->part.cell.start[0];
    planned->part.decoded = kept->bytes;
    if (!planned->part.is_decoded) kept->row = -1;
    return TRAJLOG_OK;
}

static void note_kept(const struct planned *planned)
{
    if (planned->kept && planned->status == TRAJLOG_OK) planned->kept->row = planned->part.cell.start[0];
}

static bool is_taken(const struct plan *plan, const struct kept_cell *kept)
{
    for (int i = 0; kept && i < plan->count; i++)
        if (plan->cells[i].kept == kept) return true;
    return false;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Planning
 * ------------------------------------------------------------------------------------------------------------------ */

/* False: it has to wait until what is planned is read, for it is to be kept where another one is. */
static bool plan_cell(struct plan *plan)
{
    const struct cells *cells = plan->dataset->cells;
    struct planned *planned = &plan->cells[plan->count];
    struct cell_part *part = &planned->part;
    *part = (struct cell_part){.whole = &plan->region, .to = plan->data};
    memcpy(part->cell.start, plan->next, sizeof plan->next);
    memcpy(part->cell.count, cells->cell, sizeof part->cell.count);
    region_intersect(cells->rank, &part->cell, &plan->region, &part->part); /* the walk leads to no others */
    planned->cells = cells;
    planned->kept = cells->kept && is_cut(cells, part) ? kept_of(cells, part->cell.start) : NULL;
    if (!plan->ahead && is_taken(plan, planned->kept)) return false;
    planned->begun = false;
    planned->status = TRAJLOG_OK;
    error_clear(&planned->error);
    bool is_kept = planned->kept && planned->kept->row == part->cell.start[0];
    if (is_kept && !plan->ahead) part->place.stored = true;
    plan->count++;
    return true;
}

/* Which of them are in the file, and where. Of what is read in advance, more will be wanted; cells that went through
 * filters cost so much by themselves that finding them does not matter. */
static void find_cells(struct plan *plan)
{
    struct cells *cells = plan->dataset->cells;
    struct hdf5_quiet quiet;
    hdf5_lock();
    hdf5_quiet_begin(&quiet);
    for (int i = 0; i < plan->count; i++) {
        struct cell_part *part = &plan->cells[i].part;
        if (!part->place.stored) cells_find(cells, part->cell.start, &part->place);
    }
    if (plan->ahead && !cells->filtered) cells_find_next(cells, plan->cells[plan->count - 1].part.cell.start);
    hdf5_quiet_end(&quiet);
    hdf5_unlock();
}

/* As many cells as there is room for. */
static void plan_cells(struct plan *plan)
{
    int known = 0;
    plan->count = 0;
    while (!plan->complete && plan->count < plan->capacity && plan_cell(plan)) walk_on(plan);
    for (int i = 0; i < plan->count; i++) {
        struct cell_part *part = &plan->cells[i].part;
        known += part->place.stored || cells_recall(plan->dataset->cells, part->cell.start, &part->place);
    }
    if (known < plan->count) find_cells(plan);
}

static trajlog_status plan_make(struct plan **plan, const struct dataset *dataset, const struct region *region,
                                void *data, int64_t capacity, struct error *error)
{
    struct plan *made = malloc(sizeof *made + (size_t)capacity * sizeof made->cells[0]);
    *plan = made;
    if (!made) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory to read it");
    *made = (struct plan){.dataset = dataset, .region = *region, .data = data, .capacity = (int)capacity};
    walk_start(made);
    return TRAJLOG_OK;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------------------------------------------------ */

static void run_planned(struct task *task)
{
    struct planned *planned = (struct planned *)task;
    planned->status = cells_read(planned->cells, &planned->part, &planned->error);
}

/* What is not in the file has the fill value, or libhdf5 knows what is wrong with it. */
static trajlog_status read_by_libhdf5(const struct plan *plan, const struct cell_part *part, struct error *error)
{
    const struct cells *cells = plan->dataset->cells;
    struct runs runs = runs_make(cells->rank, cells->element_size, &part->part, &part->part, &plan->region);
    void *values = malloc(runs.bytes * (size_t)runs.count);
    if (!values) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a chunk");
    trajlog_status status = library_read(plan->dataset, &part->part, 1, values, error);
    if (status == TRAJLOG_OK) runs_copy(&runs, values, 0, plan->data);
    free(values);
    return status;
}

static void read_now(struct planned *planned)
{
    planned->status = take_kept(planned);
    if (planned->status == TRAJLOG_OK) run_planned(&planned->task);
    note_kept(planned);
}

/* Threads are of use for what has to be decoded, where that is more than one cell. */
static void begin_cells(struct plan *plan)
{
    for (int i = 0; i < plan->count; i++) {
        struct planned *planned = &plan->cells[i];
        bool alone = !plan->ahead && plan->count == 1;
        if (!plan->helpers || alone || !planned->part.place.stored || (plan->ahead && planned->kept)) continue;
        planned->status = take_kept(planned);
        planned->begun = planned->status == TRAJLOG_OK;
        planned->task.run = run_planned;
        if (planned->begun) plan->helpers->begin(plan->helpers->context, &planned->task);
    }
}

/* Says which chunk it is. */
static trajlog_status explain(const struct plan *plan, struct planned *planned, struct error *error)
{
    const struct cells *cells = planned->cells;
    int64_t first = planned->part.cell.start[0], end = first + cells->cell[0];
    if (error) *error = planned->error;
    if (end > cells->dims[0]) end = cells->dims[0];
    if (!plan->dataset->has_rows || !cells->chunked) return planned->status;
    if (first + 1 == end) error_prefix(error, "the chunk of row %lld", (long long)first);
    else error_prefix(error, "a chunk of rows %lld to %lld", (long long)first, (long long)end - 1);
    return planned->status;
}

/* False if nobody has read the cell: nobody was asked, or it was the parent's threads that were. */
static bool wait_for(const struct plan *plan, struct planned *planned)
{
    if (!planned->begun || !decoders_are_ours(planned->cells->decoders)) return false;
    plan->helpers->finish(plan->helpers->context, &planned->task);
    return true;
}

/* Waits for all, also where one has failed. */
static trajlog_status finish_cells(struct plan *plan, struct error *error)
{
    trajlog_status status = TRAJLOG_OK;
    for (int i = 0; i < plan->count; i++) {
        struct planned *planned = &plan->cells[i];
        if (wait_for(plan, planned)) {
            note_kept(planned);
        } else if (status == TRAJLOG_OK && planned->status == TRAJLOG_OK) {
            if (planned->part.place.stored) read_now(planned);
            else planned->status = read_by_libhdf5(plan, &planned->part, &planned->error);
        }
        if (status == TRAJLOG_OK && planned->status != TRAJLOG_OK) status = explain(plan, planned, error);
    }
    return status;
}

static trajlog_status find_helpers(struct plan *plan, struct error *error)
{
    const struct cells *cells = plan->dataset->cells;
    if (!cells->filtered) return TRAJLOG_OK;
    return decoders_helpers(cells->decoders, &plan->helpers, error);
}

trajlog_status plan_read(const struct dataset *dataset, const struct region *region, void *data, struct error *error)
{
    struct plan *plan;
    int64_t count = count_cells(dataset->cells, region, CELLS_AT_ONCE);
    TRY(plan_make(&plan, dataset, region, data, count < CELLS_AT_ONCE ? count : CELLS_AT_ONCE, error));
    trajlog_status status = count > 1 ? find_helpers(plan, error) : TRAJLOG_OK;
    while (!plan->complete && status == TRAJLOG_OK) {
        plan_cells(plan);
        begin_cells(plan);
        status = finish_cells(plan, error);
    }
    free(plan);
    return status;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * In advance
 * ------------------------------------------------------------------------------------------------------------------ */

/* What nobody has begun to read: the system may fetch it from the disk already. */
static void expect_cells(const struct plan *plan)
{
    const struct cells *cells = plan->dataset->cells;
    for (int i = 0; i < plan->count; i++) {
        const struct cell_part *part = &plan->cells[i].part;
        if (plan->cells[i].begun || !part->place.stored) continue;
        uint64_t from = 0, size = part->place.size;
        if (!cells->filtered) {
            struct runs runs = runs_make(cells->rank, cells->element_size, &part->part, &part->cell, &plan->region);
            from = runs.from;
            size = runs.from_end - runs.from;
        }
        source_expect(cells->source, part->place.address + from, size);
    }
}

trajlog_status plan_begin(struct plan **plan, const struct dataset *dataset, const struct region *region, void *data,
                          struct error *error)
{
    int64_t count = count_cells(dataset->cells, region, MOST_AHEAD);
    *plan = NULL;
    if (count > MOST_AHEAD) return TRAJLOG_OK;
    TRY(plan_make(plan, dataset, region, data, count, error));
    (*plan)->ahead = true;
    trajlog_status status = find_helpers(*plan, error);
    if (status != TRAJLOG_OK) {
        free(*plan);
        *plan = NULL;
        return status;
    }
    plan_cells(*plan);
    begin_cells(*plan);
    expect_cells(*plan);
    return TRAJLOG_OK;
}

trajlog_status plan_finish(struct plan *plan, struct error *error)
{
    trajlog_status status = finish_cells(plan, error);
    free(plan);
    return status;
}

void plan_drop(struct plan *plan)
{
    for (int i = 0; plan && i < plan->count; i++) wait_for(plan, &plan->cells[i]);
    free(plan);
}
