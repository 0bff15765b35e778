/* trajlog_check: reads everything, and collects what is wrong. What makes a file unreadable as a whole has been seen by
 * the scan already; here it is about the rest. */
#include <hdf5.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/schema_json.h"
#include "read/attribute.h"
#include "read/condition.h"
#include "read/reader.h"
#include "read/slot.h"
#include "store/hdf5_error.h"
#include "store/hdf5_lock.h"

#define BLOCK_BYTES ((int64_t)4 << 20)

/* A file that is being written is met in different moments by what is read first and last; so what seems wrong is looked
 * at again. */
#define ATTEMPTS 5

struct check {
    struct scan *scan;
    struct condition condition;
    trajlog_check_report report;
    char **problems;
    size_t count;
};

/* ---------------------------------------------------------------------------------------------------------------------
 * Problems
 * ------------------------------------------------------------------------------------------------------------------ */

static void forget_problems(struct check *check)
{
    for (size_t i = 0; i < check->count; i++) free(check->problems[i]);
    free(check->problems);
    check->problems = NULL;
    check->count = 0;
}

static trajlog_status keep_problem(struct check *check, const char *message, struct error *error)
{
    char **longer = realloc(check->problems, (check->count + 1) * sizeof *longer);
    if (!longer) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a list of problems");
    check->problems = longer;
    TRY(scan_copy(&longer[check->count], message, error));
    check->count++;
    return TRAJLOG_OK;
}

/* Takes note of what failed and lets the check go on, unless it is about us and not about the file. */
static trajlog_status take_note(struct check *check, trajlog_status status, struct error *problem, struct error *error)
{
    if (status == TRAJLOG_OK) return status;
    if (status == TRAJLOG_OUT_OF_MEMORY) {
        *error = *problem;
        return status;
    }
    return keep_problem(check, problem->message, error);
}

/* Names the group, and the field if there is one. */
static trajlog_status take_note_of(struct check *check, const struct scan_group *group, const char *field,
                                   trajlog_status status, struct error *problem, struct error *error)
{
    if (status == TRAJLOG_OK) return status;
    if (field) reader_name_field(problem, group, field);
    else error_prefix(problem, "group \"%s\"", group->name);
    return take_note(check, status, problem, error);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Names, for readers that do without the schema
 * ------------------------------------------------------------------------------------------------------------------ */

static void enter(struct hdf5_quiet *quiet)
{
    hdf5_lock();
    hdf5_quiet_begin(quiet);
}

static void leave(struct hdf5_quiet *quiet)
{
    hdf5_quiet_end(quiet);
    hdf5_unlock();
}

/* Compares a list of names in the file with the one that the schema makes, which is freed. */
static trajlog_status compare_names(int64_t object, const char *attribute, char *expected, struct error *problem)
{
    char *text = NULL;
    bool found;
    if (!expected) return error_set(problem, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a list of names");
    trajlog_status status = attribute_get_text(object, attribute, &text, &found, problem);
    if (status == TRAJLOG_OK && (!found || strcmp(text, expected) != 0))
        status = error_set(problem, TRAJLOG_INVALID_FILE, 0, "attribute \"%s\" is %s, and the schema says %s",
                           attribute, found ? text : "missing", expected);
    free(text);
    free(expected);
    return status;
}

static trajlog_status compare_group_names(const struct scan *scan, struct error *problem)
{
    struct hdf5_quiet quiet;
    enter(&quiet);
    trajlog_status status = compare_names(scan->file, "group_names", schema_group_names_json(scan->schema), problem);
    leave(&quiet);
    return status;
}

static trajlog_status compare_paths(const struct scan *scan, size_t index, struct error *problem)
{
    struct hdf5_quiet quiet;
    int64_t object = H5I_INVALID_HID;
    const struct group *model = scan->schema->groups[index];
    enter(&quiet);
    trajlog_status status = scan_open_group(scan, model->name, &object, problem);
    if (status == TRAJLOG_OK) status = compare_names(object, "paths", group_paths_json(model), problem);
    if (object >= 0) object_close(object);
    leave(&quiet);
    return status;
}

static trajlog_status check_names(struct check *check, struct error *error)
{
    const struct scan *scan = check->scan;
    struct error problem = {0};
    if (!scan->schema) return TRAJLOG_OK;
    TRY(take_note(check, compare_group_names(scan, &problem), &problem, error));
    for (size_t i = 0; i < scan->group_count; i++) {
        error_clear(&problem);
        TRY(take_note_of(check, &scan->groups[i], NULL, compare_paths(scan, i, &problem), &problem, error));
    }
    return TRAJLOG_OK;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------------------------------------------------ */

/* What is told of a block of rows; `data` as stored. */
typedef trajlog_status (*rows_look)(const void *data, int64_t first, int64_t count, void *context,
                                    struct error *problem);

/* Whole chunks, about 4 MiB of them. */
static int64_t rows_at_once(const struct dataset *dataset)
{
    int64_t chunk = dataset->chunk_bytes ? dataset->chunk[0] : 1, row = dataset->bytes ? (int64_t)dataset->bytes : 1;
    int64_t chunks = BLOCK_BYTES / row / chunk;
    return chunks > 0 ? chunks * chunk : chunk < BLOCK_BYTES / row + 1 ? chunk : BLOCK_BYTES / row + 1;
}

static trajlog_status read_rows(const struct dataset *dataset, int64_t rows, rows_look look, void *context,
                                struct error *problem)
{
    void *data = NULL;
    int64_t most = rows_at_once(dataset);
    if (most > rows) most = rows;
    if (rows == 0) return TRAJLOG_OK;
    TRY(rows_allocate(dataset, dataset->type, most, &data, problem));
    trajlog_status status = TRAJLOG_OK;
    for (int64_t first = 0; first < rows && status == TRAJLOG_OK; first += most) {
        int64_t count = rows - first < most ? rows - first : most;
        status = dataset_read(dataset, first, 1, count, data, problem);
        if (status != TRAJLOG_OK)
            error_prefix(problem, "rows %lld to %lld", (long long)first, (long long)(first + count - 1));
        if (status == TRAJLOG_OK && look) status = look(data, first, count, context, problem);
    }
    free(data);
    return status;
}

/* What is carried from block to block along the axis. */
union last {
    int64_t step;
    double time;
};

static trajlog_status steps_increase(const void *data, int64_t first, int64_t count, void *context,
                                     struct error *problem)
{
    const int64_t *step = data;
    union last *last = context;
    for (int64_t i = 0; i < count; i++) {
        if (first + i > 0 && step[i] <= last->step)
            return error_set(problem, TRAJLOG_INVALID_FILE, 0, "row %lld: step %lld follows step %lld",
                             (long long)(first + i), (long long)step[i], (long long)last->step);
        last->step = step[i];
    }
    return TRAJLOG_OK;
}

static trajlog_status times_increase(const void *data, int64_t first, int64_t count, void *context,
                                     struct error *problem)
{
    const double *time = data;
    union last *last = context;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(time[i]))
            return error_set(problem, TRAJLOG_INVALID_FILE, 0, "row %lld: the time %g is not finite",
                             (long long)(first + i), time[i]);
        if (first + i > 0 && time[i] < last->time)
            return error_set(problem, TRAJLOG_INVALID_FILE, 0, "row %lld: time %.17g follows time %.17g",
                             (long long)(first + i), time[i], last->time);
        last->time = time[i];
    }
    return TRAJLOG_OK;
}

static trajlog_status find_missing(const struct dataset *dataset, struct error *problem)
{
    struct hdf5_quiet quiet;
    int64_t missing = 0;
    enter(&quiet);
    trajlog_status status = dataset_missing_chunks(dataset, &missing, problem);
    leave(&quiet);
    if (status != TRAJLOG_OK || missing == 0) return status;
    return error_set(problem, TRAJLOG_INVALID_FILE, 0, "%lld of its chunks are missing, and read as fill values",
                     (long long)missing);
}

/* Room for particles in which there was none is not in the file; all else of a field must be. `counts`: how many particles
 * the rows have. */
struct sparse_look {
    const struct dataset *dataset, *counts;
    int64_t first_row; /* those before are older than the field */
    int64_t chunks;    /* that must be in the file */
};

static struct sparse_look look_for_particles(const struct check *check, const struct scan_group *group,
                                             const struct dataset *dataset)
{
    struct sparse_look look = {.dataset = dataset};
    const struct group *model = schema_find_group(check->scan->schema, group->name);
    look.first_row = group_find_field(model, dataset->name)->first_row;
    for (size_t i = 0; i < group->field_count; i++)
        if (strcmp(group->fields[i].dataset.name, COUNT_FIELD) == 0) look.counts = &group->fields[i].dataset;
    return look;
}

static trajlog_status look_at_particles(const struct sparse_look *look, int64_t first, int64_t rows, int64_t particles,
                                        struct error *problem)
{
    const struct dataset narrow = dataset_narrow(look->dataset, particles);
    int64_t most = narrow.bytes > 0 ? BLOCK_BYTES / (int64_t)narrow.bytes + 1 : rows;
    void *data = NULL;
    if (most > rows) most = rows;
    TRY(rows_allocate(&narrow, narrow.type, most, &data, problem));
    trajlog_status status = TRAJLOG_OK;
    for (int64_t row = first; row < first + rows && status == TRAJLOG_OK; row += most)
        status = dataset_read(&narrow, row, 1, first + rows - row < most ? first + rows - row : most, data, problem);
    free(data);
    return status;
}

/* The rows of one chunk. */
static trajlog_status look_at_chunk(struct sparse_look *look, int64_t first, int64_t rows, int64_t *counts,
                                    struct error *problem)
{
    const struct dataset *dataset = look->dataset;
    int64_t most = 0;
    TRY(dataset_read(look->counts, first, 1, rows, counts, problem));
    for (int64_t i = 0; i < rows; i++) {
        if (counts[i] < 0 || counts[i] > dataset->shape.dims[0])
            return error_set(problem, TRAJLOG_INVALID_FILE, 0, "row %lld: %lld particles, and there is room for %lld",
                             (long long)(first + i), (long long)counts[i], (long long)dataset->shape.dims[0]);
        if (counts[i] > most && first + i >= look->first_row) most = counts[i];
    }
    if (most == 0) return TRAJLOG_OK;
    look->chunks += (most - 1) / dataset->chunk[1] + 1;
    trajlog_status status = look_at_particles(look, first, rows, most, problem);
    if (status != TRAJLOG_OK)
        error_prefix(problem, "rows %lld to %lld", (long long)first, (long long)(first + rows - 1));
    return status;
}

static trajlog_status look_at_chunks(struct sparse_look *look, int64_t rows, struct error *problem)
{
    struct hdf5_quiet quiet;
    int64_t stored = 0, band = look->dataset->chunk[0];
    if (band < 1 || band > rows) band = rows;
    int64_t *counts = calloc((size_t)band + 1, sizeof *counts);
    if (!counts) return error_set(problem, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for %lld counts", (long long)band);
    trajlog_status status = TRAJLOG_OK;
    for (int64_t first = 0; first < rows && status == TRAJLOG_OK; first += band)
        status = look_at_chunk(look, first, rows - first < band ? rows - first : band, counts, problem);
    free(counts);
    TRY(status);
    enter(&quiet);
    status = dataset_stored_chunks(look->dataset, &stored, problem);
    leave(&quiet);
    if (status != TRAJLOG_OK || stored >= look->chunks) return status;
    return error_set(problem, TRAJLOG_INVALID_FILE, 0, "%lld of its chunks are missing, and read as fill values",
                     (long long)(look->chunks - stored));
}

static trajlog_status check_particles(struct check *check, const struct scan_group *group,
                                      const struct dataset *dataset, struct error *error)
{
    struct error problem = {0};
    struct sparse_look look = look_for_particles(check, group, dataset);
    trajlog_status status;
    if (!dataset->chunk_bytes || !look.counts || look.counts->type != TRAJLOG_INT64 || look.counts->elements != 1)
        status = error_set(&problem, TRAJLOG_INVALID_FILE, 0, "its number of particles varies, and is nowhere");
    else status = look_at_chunks(&look, group->rows, &problem);
    return take_note_of(check, group, dataset->name, status, &problem, error);
}

/* A kill can come between the headers of a group's datasets, where they lie on several pages: step's is written last. A
 * reader can come between any two. */
static bool may_be_torn(const struct check *check, const struct scan_group *group)
{
    if (check->report.closed || !check->scan->schema) return false;
    return check->condition.writer_is_alive || group->step.extent == group->rows;
}

static trajlog_status check_dataset(struct check *check, const struct scan_group *group, const struct dataset *dataset,
                                    rows_look look, struct error *error)
{
    struct error problem = {0};
    union last last = {0};
    trajlog_status status = TRAJLOG_OK;
    if (!dataset->name || dataset->handle < 0) return TRAJLOG_OK;
    if (!group->once && dataset->extent != group->rows && !may_be_torn(check, group)) {
        status = error_set(&problem, TRAJLOG_INVALID_FILE, 0,
                           "it has %lld rows, and the group's other datasets have as few as %lld",
                           (long long)dataset->extent, (long long)group->rows);
        TRY(take_note_of(check, group, dataset->name, status, &problem, error));
        error_clear(&problem);
    }
    if (dataset->sparse) return check_particles(check, group, dataset, error);
    status = find_missing(dataset, &problem);
    TRY(take_note_of(check, group, dataset->name, status, &problem, error));
    error_clear(&problem);
    status = read_rows(dataset, group->rows, look, &last, &problem);
    return take_note_of(check, group, dataset->name, status, &problem, error);
}

static trajlog_status check_group(struct check *check, const struct scan_group *group, struct error *error)
{
    TRY(check_dataset(check, group, &group->step, steps_increase, error));
    TRY(check_dataset(check, group, &group->time, times_increase, error));
    for (size_t i = 0; i < group->field_count; i++)
        TRY(check_dataset(check, group, &group->fields[i].dataset, NULL, error));
    check->report.rows += group->rows;
    return TRAJLOG_OK;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The rest
 * ------------------------------------------------------------------------------------------------------------------ */

/* A range that a resume has cut keeps its number of frames: that may be more than its steps. */
static trajlog_status drop_is_possible(const int64_t drop[3], int64_t row, const int64_t *last, struct error *problem)
{
    if (drop[0] <= drop[1] && drop[2] >= 1 && (!last || drop[0] > *last)) return TRAJLOG_OK;
    return error_set(problem, TRAJLOG_INVALID_FILE, 0,
                     "row %lld: %lld frames dropped between steps %lld and %lld cannot be", (long long)row,
                     (long long)drop[2], (long long)drop[0], (long long)drop[1]);
}

static trajlog_status drops_are_possible(const void *data, int64_t first, int64_t count, void *context,
                                         struct error *problem)
{
    const int64_t *drops = data;
    union last *last = context;
    for (int64_t i = 0; i < count; i++) {
        TRY(drop_is_possible(drops + 3 * i, first + i, first + i > 0 ? &last->step : NULL, problem));
        last->step = drops[3 * i + 1];
    }
    return TRAJLOG_OK;
}

static trajlog_status check_drops(struct check *check, struct error *error)
{
    const struct dataset *dropped = &check->scan->dropped;
    struct error problem = {0};
    union last last = {0};
    if (!dropped->name) return TRAJLOG_OK;
    trajlog_status status = read_rows(dropped, dropped->extent, drops_are_possible, &last, &problem);
    if (status != TRAJLOG_OK) error_prefix(&problem, "the list of dropped frames");
    return take_note(check, status, &problem, error);
}

static trajlog_status check_slot(struct check *check, const struct scan_group *group, const struct slot *slot,
                                 int number, struct error *error)
{
    struct error problem = {0};
    trajlog_status status = slot_read_state(group, slot, number, NULL, NULL, &problem);
    if (status == TRAJLOG_OK && check->report.checkpoints++ == 0) check->report.checkpoint_step = slot->step;
    /* Its writer may be replacing it just now, and so often that no second look would help. */
    if (status == TRAJLOG_INVALID_FILE && check->condition.writer_is_alive) return TRAJLOG_OK;
    /* A power loss while the older one was replaced leaves it torn, and the newer one whole. */
    if (status == TRAJLOG_INVALID_FILE && check->report.checkpoints > 0) return TRAJLOG_OK;
    return take_note_of(check, group, NULL, status, &problem, error);
}

static trajlog_status check_checkpoints(struct check *check, const struct scan_group *group, struct error *error)
{
    struct error problem = {0};
    struct slot slots[CHECKPOINT_SLOTS];
    int order[CHECKPOINT_SLOTS], count = 0;
    trajlog_status status = slots_read(group, slots, &problem);
    if (status == TRAJLOG_OK) count = slots_order(slots, order);
    bool strange = status == TRAJLOG_OK && (slots[0].sequence < 0 || slots[1].sequence < 0 ||
                                            (count == 2 && slots[0].sequence == slots[1].sequence));
    if (strange)
        status = error_set(&problem, TRAJLOG_INVALID_FILE, 0, "the slots' sequences are %lld and %lld",
                           (long long)slots[0].sequence, (long long)slots[1].sequence);
    TRY(take_note_of(check, group, "sequence", status, &problem, error));
    for (int i = 0; i < count; i++) TRY(check_slot(check, group, &slots[order[i]], order[i], error));
    return TRAJLOG_OK;
}

/* The steps that groups end with, and what the file says of them. */
static trajlog_status check_last_step(struct check *check, struct error *error)
{
    const struct scan *scan = check->scan;
    struct error problem = {0};
    int64_t last = INT64_MIN, said = scan->info.actual_steps;
    for (size_t i = 0; i < scan->group_count; i++) {
        const trajlog_group_info *info = &scan->groups[i].info;
        if (!scan->groups[i].checkpoint && info->rows > 0 && !isnan(info->last_time) && info->last_step > last)
            last = info->last_step;
    }
    check->report.last_step = said > 0 && said - 1 > last ? said - 1 : last;
    /* Of a file that was killed, the root's attributes may be those of the commit before. */
    if (!scan->schema || last < said || !check->report.closed) return TRAJLOG_OK;
    trajlog_status status = error_set(&problem, TRAJLOG_INVALID_FILE, 0,
                                      "attribute \"actual_steps\" is %lld, and there is a row of step %lld",
                                      (long long)said, (long long)last);
    return take_note(check, status, &problem, error);
}

static trajlog_status check_journal(struct check *check, struct error *error)
{
    if (check->condition.journal != JOURNAL_NEEDED) return TRAJLOG_OK;
    return keep_problem(check,
                        "a crash has cut an update, which the journal beside the file takes back: programs "
                        "that do not know the journal may find the file torn; trajlog recover puts that right",
                        error);
}

static trajlog_status check_contents(struct check *check, struct error *error)
{
    const struct scan *scan = check->scan;
    check->report.group_count = (int32_t)scan->group_count;
    check->report.dropped = scan->info.dropped;
    TRY(check_journal(check, error));
    TRY(check_names(check, error));
    for (size_t i = 0; i < scan->group_count; i++) {
        const struct scan_group *group = &scan->groups[i];
        TRY(group->checkpoint ? check_checkpoints(check, group, error) : check_group(check, group, error));
    }
    TRY(check_drops(check, error));
    return check_last_step(check, error);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * All of it
 * ------------------------------------------------------------------------------------------------------------------ */

static void report_condition(struct check *check)
{
    const struct condition *condition = &check->condition;
    trajlog_check_report *report = &check->report;
    report->writer_is_alive = condition->writer_is_alive;
    report->closed = condition_is_closed(condition);
    report->unfinished = condition->is_unfinished;
    report->journal = condition_journal(condition);
    report->file_bytes = condition->bytes;
    report->end_bytes = condition_end(condition);
    report->last_step = INT64_MIN;
}

/* Reads under the HDF5 lock where libhdf5 is entered; a host gets at it in between. */
static trajlog_status check_once(struct check *check, const char *path, const char *filters, struct error *error)
{
    forget_problems(check);
    memset(&check->report, 0, sizeof check->report);
    TRY(condition_look(&check->condition, path, false, error));
    report_condition(check);
    TRY(scan_open(&check->scan, path, filters, NULL, error));
    trajlog_status status = check_contents(check, error);
    scan_close(check->scan);
    check->scan = NULL;
    check->report.problems = (int64_t)check->count;
    return status;
}

static trajlog_status check_file(struct check *check, const char *path, const char *filters, struct error *error)
{
    trajlog_status status = TRAJLOG_OK;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        status = check_once(check, path, filters, error);
        if (status != TRAJLOG_OK || check->count == 0 || !check->condition.writer_is_alive) break;
    }
    /* An HDF5 file that cannot be opened has one problem; what is none has not been examined. */
    bool broken = check->report.file_bytes > 0 && (status == TRAJLOG_INVALID_FILE || status == TRAJLOG_UNSUPPORTED);
    if (broken) check->report.problems = 1;
    if (broken) TRY(keep_problem(check, error->message, error));
    if (status != TRAJLOG_OK || check->count == 0) return status;
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "%s", check->problems[0]);
}

static trajlog_status find_and_check(struct check *check, const char *path, const trajlog_reader_options *options,
                                     struct error *error)
{
    const char *filters;
    char *real = NULL;
    TRY(reader_filters(options, &filters, error));
    TRY(reader_real_path(path, &real, error));
    trajlog_status status = check_file(check, real, filters, error);
    free(real);
    return status;
}

trajlog_status trajlog_check(const char *path, const trajlog_reader_options *options, trajlog_check_report *report,
                             trajlog_problem problem, void *context)
{
    struct error error = {0};
    struct check check = {0};
    trajlog_status status = TRAJLOG_OK;
    size_t size = report ? report->struct_size : sizeof size;
    if (size < sizeof size)
        status = error_set(&error, TRAJLOG_INVALID_ARGUMENT, 0,
                           "struct_size is %zu: expected sizeof(trajlog_check_report)", size);
    if (status == TRAJLOG_OK) status = find_and_check(&check, path, options, &error);
    for (size_t i = 0; i < check.count && problem; i++) problem(check.problems[i], context);
    forget_problems(&check);
    if (report && size >= sizeof size) reader_give(report, size, &check.report, sizeof check.report);
    return reader_end_file(path, status, &error);
}
