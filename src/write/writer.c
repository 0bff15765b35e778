/* A log's life: create, close; its errors. */
#include "write/writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/role.h"
#include "model/schema_json.h"
#include "store/hdf5_lock.h"
#include "write/clock.h"
#include "write/environment.h"

#define DEFAULT_QUEUE_FRAMES     4096
#define DEFAULT_BLOCK_SECONDS    1.0
#define DEFAULT_FLUSH_SECONDS    1.0
#define DEFAULT_SYNC_SECONDS     60.0
#define DEFAULT_PROGRESS_SECONDS 0.1

/* ------------------------------------------------------------------------------------------------------- errors --- */

/* The store's messages name the file already. */
static void name_file(trajlog_writer *log)
{
    if (log->path == NULL || strncmp(log->pending.message, log->path, strlen(log->path)) == 0) return;
    error_prefix(&log->pending, "%s", log->path);
}

trajlog_status writer_stick(trajlog_writer *log)
{
    name_file(log);
    if (!log->failed) log->error = log->pending;
    log->failed = true;
    error_clear(&log->pending);
    error_remember(&log->error);
    return log->error.status;
}

trajlog_status writer_refuse(trajlog_writer *log)
{
    name_file(log);
    log->refusal = log->pending;
    error_clear(&log->pending);
    error_remember(&log->refusal);
    return log->refusal.status;
}

trajlog_status writer_sticking(trajlog_writer *log)
{
    if (!log->failed && !delivery_has_failed(&log->delivery)) return TRAJLOG_OK;
    if (!log->failed) {
        log->pending = *delivery_error(&log->delivery);
        return writer_stick(log);
    }
    error_remember(&log->error);
    return log->error.status;
}

trajlog_status refuse_null(const char *call, const char *what)
{
    struct error error = {0};
    error_set(&error, TRAJLOG_INVALID_ARGUMENT, 0, "%s: the %s is NULL", call, what);
    error_remember(&error);
    return TRAJLOG_INVALID_ARGUMENT;
}

trajlog_status refuse_no_log(const char *call)
{
    return refuse_null(call, "log, closed or never created,");
}

const char *trajlog_message(const trajlog_writer *log)
{
    if (log == NULL) return error_remembered_message();
    if (log->failed) return log->error.message;
    if (delivery_has_failed(&log->delivery)) return delivery_error(&log->delivery)->message;
    return log->refusal.message;
}

int trajlog_error_number(const trajlog_writer *log)
{
    if (log == NULL) return error_remembered_number();
    if (log->failed) return log->error.number;
    if (delivery_has_failed(&log->delivery)) return delivery_error(&log->delivery)->number;
    return log->refusal.number;
}

/* ------------------------------------------------------------------------------------------------------- create --- */

/* The caller's options as this version of the library knows them: members that the caller does not know are 0, and
 * those that the library does not know must be. */
static trajlog_status read_options(trajlog_options *options, const trajlog_options *given, struct error *error)
{
    *options = trajlog_default_options();
    if (given == NULL) return TRAJLOG_OK;
    size_t known = sizeof *options;
    if (given->struct_size < sizeof given->struct_size)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                         "options.struct_size is %zu: start from trajlog_default_options()", given->struct_size);
    for (size_t i = known; i < given->struct_size; i++)
        if (((const unsigned char *)given)[i] != 0)
            return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                             "options has members that version %s does not know, and they are set", trajlog_version());
    memcpy(options, given, given->struct_size < known ? given->struct_size : known);
    return TRAJLOG_OK;
}

static bool is_span(double seconds)
{
    return isfinite(seconds) && seconds >= 0.0;
}

static trajlog_status check_options(const trajlog_options *options, struct error *error)
{
    const char *wrong = NULL;
    if (options->existing != TRAJLOG_REFUSE && options->existing != TRAJLOG_REPLACE)
        wrong = "existing: expected TRAJLOG_REFUSE or TRAJLOG_REPLACE";
    else if (options->policy < TRAJLOG_BLOCK || options->policy > TRAJLOG_FAIL)
        wrong = "policy: expected TRAJLOG_BLOCK, TRAJLOG_BLOCK_DEADLINE, TRAJLOG_DROP_NEWEST or TRAJLOG_FAIL";
    else if (options->config_path != NULL && options->config_text != NULL)
        wrong = "config_path and config_text: expected at most one of them";
    else if (!is_span(options->block_seconds)) wrong = "block_seconds: expected a finite number, 0 or more";
    else if (!is_span(options->flush_seconds)) wrong = "flush_seconds: expected a finite number, 0 or more";
    else if (!is_span(options->progress_seconds)) wrong = "progress_seconds: expected a finite number, 0 or more";
    else if (options->total_steps < 0) wrong = "total_steps: expected 0 or more";
    else if (options->flush_rows < 0) wrong = "flush_rows: expected 0 or more";
    else if (options->flush_bytes < 0) wrong = "flush_bytes: expected 0 or more";
    else if (options->encoder_threads < 0 || options->encoder_threads > MOST_ENCODER_THREADS)
        wrong = "encoder_threads: expected 0 to 64";
    else if (options->worker_cpu < 0 || options->worker_cpu > MOST_CPUS)
        wrong = "worker_cpu: expected the number of a CPU, plus 1, or 0";
    else if (!isfinite(options->sync_seconds)) wrong = "sync_seconds: expected a finite number";
    else if (options->profile < TRAJLOG_PROFILE_DEFAULT || options->profile > TRAJLOG_PROFILE_STRICT)
        wrong = "profile: expected one of trajlog_profile";
    return wrong != NULL ? error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "options.%s", wrong) : TRAJLOG_OK;
}

static void take_settings(trajlog_writer *log, const trajlog_options *options)
{
    log->settings = (struct settings){
        .synchronous = options->synchronous != 0,
        .policy = options->policy,
        .block_seconds = options->block_seconds > 0.0 ? options->block_seconds : DEFAULT_BLOCK_SECONDS,
        .queue_bytes = options->queue_bytes,
        .queue_frames = options->queue_frames > 0 ? options->queue_frames : DEFAULT_QUEUE_FRAMES,
        .flush_seconds = options->flush_seconds > 0.0 ? options->flush_seconds : DEFAULT_FLUSH_SECONDS,
        .flush_rows = options->flush_rows,
        .flush_bytes = options->flush_bytes,
        .sync_seconds = options->sync_seconds != 0.0 ? options->sync_seconds : DEFAULT_SYNC_SECONDS,
        .without_lock = options->no_lock != 0,
        .accept_additions = options->accept_additions != 0,
        .encoder_threads = options->encoder_threads,
        .worker_cpu = options->worker_cpu - 1,
    };
    double seconds = options->progress_seconds > 0.0 ? options->progress_seconds : DEFAULT_PROGRESS_SECONDS;
    log->progress = (struct progress_settings){
        .callback = options->progress, .context = options->progress_context, .interval = clock_span(seconds)};
    log->total_steps = options->total_steps;
}

static trajlog_status read_config(trajlog_writer *log, const trajlog_options *options)
{
    struct error *error = &log->pending;
    if (options->config_path != NULL) TRY(config_read(options->config_path, &log->config, error));
    if (options->config_text != NULL) TRY(config_parse(options->config_text, "config_text", &log->config, error));
    if (log->config != NULL) config_apply_settings(log->config, &log->settings);
    return TRAJLOG_OK;
}

/* What the options say about H5MD. */
static trajlog_status take_presentation(struct schema *schema, const trajlog_options *options, struct error *error)
{
    struct presentation *presentation = NULL;
    TRY(schema_presentation(schema, &presentation, error));
    presentation->profile = options->profile;
    if (options->author != NULL) TRY(schema_set_text(&presentation->author, options->author, error));
    if (options->author_email != NULL) TRY(schema_set_text(&presentation->author_email, options->author_email, error));
    if (options->time_unit != NULL) TRY(schema_set_text(&presentation->time_unit, options->time_unit, error));
    return TRAJLOG_OK;
}

static trajlog_status make_schema(trajlog_writer *log, const trajlog_options *options)
{
    struct error *error = &log->pending;
    log->schema = schema_new();
    if (log->schema == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for the schema");
    TRY(schema_set_text(&log->schema->user, options->user, error));
    TRY(schema_set_text(&log->schema->program, options->program, error));
    TRY(schema_set_text(&log->schema->program_version, options->program_version, error));
    TRY(take_presentation(log->schema, options, error));
    return environment_record(log->schema, error);
}

static trajlog_status open_store(trajlog_writer *log, const char *path, trajlog_existing existing)
{
    const struct store_options options = {.existing = existing,
                                          .without_lock = log->settings.without_lock,
                                          .accept_additions = log->settings.accept_additions};
    if (log->resumption.resumed) return store_resume(&log->store, path, log->resumption.step, &options, &log->pending);
    return store_create(&log->store, path, &options, &log->pending);
}

static trajlog_status check_arguments(trajlog_writer *log, const char *path)
{
    const char *call = log->resumption.resumed ? "trajlog_resume" : "trajlog_create";
    if (path == NULL || path[0] == '\0')
        return error_set(&log->pending, TRAJLOG_INVALID_ARGUMENT, 0, "%s: the path is %s", call,
                         path == NULL ? "NULL" : "empty");
    if (log->resumption.step == INT64_MAX)
        return error_set(&log->pending, TRAJLOG_INVALID_ARGUMENT, 0, "%s: there is no step behind 2^63 - 1", call);
    return TRAJLOG_OK;
}

static trajlog_status set_up(trajlog_writer *log, const char *path, const trajlog_options *given)
{
    trajlog_options options;
    TRY(check_arguments(log, path));
    log->path = strdup(path);
    if (log->path == NULL) return error_set(&log->pending, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for the log");
    TRY(read_options(&options, given, &log->pending));
    TRY(check_options(&options, &log->pending));
    take_settings(log, &options);
    TRY(read_config(log, &options));
    TRY(make_schema(log, &options));
    return open_store(log, path, options.existing);
}

static trajlog_status begin(trajlog_writer **log, const char *path, const struct resumption *resumption,
                            const trajlog_options *options)
{
    trajlog_writer *made = aligned_alloc(alignof(trajlog_writer), sizeof *made);
    *log = made;
    if (made == NULL) {
        struct error error = {0};
        error_set(&error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a log");
        error_remember(&error);
        return TRAJLOG_OUT_OF_MEMORY;
    }
    memset(made, 0, sizeof *made);
    made->last_step = made->skip_until = made->loss.step = INT64_MIN;
    made->last_time = -INFINITY;
    made->resumption = *resumption;
    made->step_floor = resumption->step;
    trajlog_status status = set_up(made, path, options);
    trajlog_status watched = life_begin(made, made->store != NULL, &made->pending);
    return status == TRAJLOG_OK && watched == TRAJLOG_OK ? TRAJLOG_OK : writer_stick(made);
}

trajlog_status trajlog_create(trajlog_writer **log, const char *path, const trajlog_options *options)
{
    if (log == NULL) return refuse_null("trajlog_create", "place for the log");
    return begin(log, path, &(struct resumption){.resumed = false, .step = INT64_MIN}, options);
}

trajlog_status trajlog_resume(trajlog_writer **log, const char *path, int64_t step, const trajlog_options *options)
{
    if (log == NULL) return refuse_null("trajlog_resume", "place for the log");
    return begin(log, path, &(struct resumption){.resumed = true, .step = step}, options);
}

/* -------------------------------------------------------------------------------------------------------- close --- */

static void free_groups(trajlog_writer *log)
{
    for (size_t i = 0; log->schema != NULL && i < log->schema->group_count; i++) {
        trajlog_group *group = log->groups[i];
        for (size_t j = 0; j < group->model->field_count; j++) {
            view_destroy(&group->fields[j]->view);
            free(group->fields[j]);
        }
        free(group->fields);
        free(group);
    }
    free(log->groups);
}

static void free_log(trajlog_writer *log)
{
    writer_free_run(log);
    free_groups(log);
    config_free(log->config);
    schema_free(log->schema);
    free(log->path);
    free(log);
}

/* A log without a step still says what it would have held. */
static void define_at_close(trajlog_writer *log)
{
    if (log->started || log->store == NULL || writer_sticking(log) != TRAJLOG_OK) return;
    if (writer_complete_schema(log) != TRAJLOG_OK || writer_define(log, NULL) != TRAJLOG_OK) writer_stick(log);
}

/* The worker, or this thread in its place, commits all that was accepted. It needs the HDF5 lock, also if the host has
 * it just now. */
static void drain(trajlog_writer *log)
{
    int depth = log->worker != NULL ? hdf5_lock_give_up() : 0;
    writer_log_last(log);
    if (log->worker != NULL) {
        worker_stop(log->worker, log->step_floor, &log->dropped);
        log->worker = NULL;
    } else {
        log->only_frame->kind = MESSAGE_CLOSE;
        frame_begin(log->only_frame, NULL, 0, log->step_floor, 0.0);
        delivery_take(&log->delivery, log->only_frame);
    }
    hdf5_lock_take_back(depth);
}

/* Who looks at no step's status learns of lost steps here at the latest. */
static trajlog_status report_end(trajlog_writer *log)
{
    TRY(writer_sticking(log));
    if (log->loss.error.status != TRAJLOG_OK) error_remember(&log->loss.error);
    return log->loss.error.status;
}

void writer_end(trajlog_writer *log)
{
    define_at_close(log);
    if (log->running) drain(log);
    log->running = false;
    log->step_floor = INT64_MAX;
    /* The worker's error came before any of the store's own. */
    (void)writer_sticking(log);
    if (store_close(log->store, &log->pending) != TRAJLOG_OK) writer_stick(log);
    log->store = NULL;
    threads_stop(log->encoders);
    log->encoders = NULL;
}

void writer_cut(trajlog_writer *log, struct worker *worker)
{
    worker_cut(worker);
    (void)store_close(log->store, NULL); /* there is nobody to be told */
    threads_stop(log->encoders);
}

/* The exit has come amid a call on the log, which is somewhere in it still: it is not freed. */
static trajlog_status refuse_lost(void)
{
    struct error error = {0};
    error_set(&error, TRAJLOG_INVALID_STATE, 0, "trajlog_close: the process is exiting, from amid a call on the log");
    error_remember(&error);
    return TRAJLOG_INVALID_STATE;
}

/* In a forked child: what is the parent's is not ended, only let go of. */
static void forget(trajlog_writer *log)
{
    worker_forget(log->worker);
    queue_forget(log->queue);
    store_abandon(log->store);
    threads_forget(log->encoders);
    log->queue = NULL;
}

static void close_open(trajlog_writer *log)
{
    bool was_running = log->running;
    writer_end(log);
    life_end(log);
    if (was_running) writer_report_progress(log, clock_now());
}

trajlog_status trajlog_close(trajlog_writer **closed)
{
    if (closed == NULL || *closed == NULL) return TRAJLOG_OK;
    trajlog_writer *log = *closed;
    *closed = NULL;
    enum life_state state = life_close(log);
    if (state == LIFE_LOST) return refuse_lost();
    if (state == LIFE_OPEN) close_open(log);
    else life_end(log);
    if (state == LIFE_ORPHANED) forget(log);
    trajlog_status status = report_end(log);
    free_log(log);
    return status;
}
