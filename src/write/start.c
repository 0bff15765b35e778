/* From declarations to a running log. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/h5md_plan.h"
#include "model/role.h"
#include "store/hdf5_lock.h"
#include "store/missing_filter.h"
#include "write/clock.h"
#include "write/store_sink.h"
#include "write/writer.h"

#define DEFAULT_QUEUE_BYTES ((size_t)64 << 20)
#define LEAST_FRAMES        4 /* that the default queue has room for */

/* ------------------------------------------------------------------------------------------------------- schema --- */

/* The store would find out too, but only when the file has its groups. */
static trajlog_status check_roles(trajlog_writer *log)
{
    struct h5md_plan plan;
    TRY(h5md_plan_make(&plan, log->schema, &log->pending));
    h5md_plan_free(&plan);
    return TRAJLOG_OK;
}

trajlog_status writer_check_filters(const trajlog_field *field)
{
    const struct storage *storage = &field->model->storage;
    const char *missing = missing_filter(storage_level(storage) > 0, storage->checksum);
    if (missing == NULL) return TRAJLOG_OK;
    return error_set(&field->group->log->pending, TRAJLOG_UNSUPPORTED, 0,
                     "group \"%s\", field \"%s\": this libhdf5 has no %s filter", field->group->model->name,
                     field->model->name, missing);
}

/* A configuration may have asked for them. */
static trajlog_status check_all_filters(const trajlog_writer *log)
{
    for (size_t i = 0; i < log->schema->group_count; i++) {
        const trajlog_group *group = log->groups[i];
        if (!group->model->enabled) continue;
        for (size_t j = 0; j < group->model->field_count; j++)
            if (group->model->fields[j]->enabled) TRY(writer_check_filters(group->fields[j]));
    }
    return TRAJLOG_OK;
}

/* A configuration can switch fields off, or store them as another type. */
static trajlog_status check_counts(trajlog_writer *log)
{
    for (size_t i = 0; i < log->schema->group_count; i++) {
        const struct group *group = log->schema->groups[i];
        if (!group->enabled || !group->varying) continue;
        const struct field *count = group_find_field(group, COUNT_FIELD);
        if (count->enabled && count->stored_type == TRAJLOG_INT64) continue;
        return error_set(
            &log->pending, TRAJLOG_INVALID_CONFIG, 0,
            "group \"%s\", field \"%s\": it says how many particles there are; expected it to be enabled, and "
            "stored as int64",
            group->name, COUNT_FIELD);
    }
    return TRAJLOG_OK;
}

trajlog_status writer_complete_schema(trajlog_writer *log)
{
    if (log->complete) return TRAJLOG_OK;
    if (log->config != NULL) TRY(config_apply_schema(log->config, log->schema, &log->pending));
    TRY(check_counts(log));
    TRY(check_all_filters(log));
    TRY(check_roles(log));
    log->complete = true;
    return TRAJLOG_OK;
}

static trajlog_status prepare_field(trajlog_field *field, struct error *error)
{
    if (particles_concern(&field->group->particles, field->model)) field->view.needs_scratch = true;
    return view_prepare(&field->view, field->model, error);
}

static trajlog_status prepare_views(trajlog_group *group)
{
    struct error *error = &group->log->pending;
    particles_prepare(&group->particles, group->log->schema, group->model);
    for (size_t i = 0; i < group->model->field_count; i++) {
        trajlog_field *field = group->fields[i];
        if (!field->model->enabled || prepare_field(field, error) == TRAJLOG_OK) continue;
        error_prefix(error, "group \"%s\", field \"%s\"", group->model->name, field->model->name);
        return error->status;
    }
    return TRAJLOG_OK;
}

static trajlog_status prepare_all_views(trajlog_writer *log)
{
    for (size_t i = 0; i < log->schema->group_count; i++)
        if (log->groups[i]->model->enabled) TRY(prepare_views(log->groups[i]));
    return TRAJLOG_OK;
}

/* ----------------------------------------------------------------------------------------------------- allocate --- */

/* Memory for a section: aligned as in a frame, and touched. */
static void *section_new(const trajlog_writer *log, const trajlog_group *group)
{
    const struct section_layout *layout = &log->layout.sections[group->index];
    size_t bytes = section_bytes(layout, layout->room);
    if (bytes == 0) bytes = MESSAGE_ALIGNMENT;
    void *section = aligned_alloc(MESSAGE_ALIGNMENT, bytes);
    if (section != NULL) memset(section, 0, bytes);
    return section;
}

static trajlog_status no_memory(trajlog_writer *log, const char *what)
{
    return error_set(&log->pending, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for %s", what);
}

static trajlog_status prepare_checkpoint(trajlog_writer *log, const trajlog_group *group)
{
    log->delivery.checkpoint = (struct checkpoint){group->index, section_new(log, group)};
    return log->delivery.checkpoint.section != NULL ? TRAJLOG_OK : no_memory(log, "a checkpoint");
}

static trajlog_status prepare_once(trajlog_writer *log, trajlog_group *group)
{
    if (log->defined && store_has_once(log->store, group->index)) return TRAJLOG_OK;
    group->once = section_new(log, group);
    return group->once != NULL ? TRAJLOG_OK : no_memory(log, "a frame");
}

static trajlog_status prepare_group(trajlog_writer *log, trajlog_group *group)
{
    if (group->model->checkpoint) return prepare_checkpoint(log, group);
    if (group_is_once(group->model)) return prepare_once(log, group);
    const trajlog_frequency *frequency = &group->model->frequency;
    schedule_init(&group->schedule, frequency, log->total_steps);
    if (frequency->kind == TRAJLOG_FREQUENCY_WALL_CLOCK) log->needs_clock = true;
    log->timed[log->timed_count++] = group;
    /* Where the number of steps is known, the schedule knows the last one. */
    if (frequency->with_last == 0 || log->total_steps > 0) return TRAJLOG_OK;
    for (int i = 0; i < 2; i++) {
        group->held.sections[i] = section_new(log, group);
        if (group->held.sections[i] == NULL) return no_memory(log, "a frame");
    }
    return TRAJLOG_OK;
}

static trajlog_status prepare_groups(trajlog_writer *log)
{
    size_t count = log->schema->group_count + 1;
    log->timed = calloc(count, sizeof(trajlog_group *));
    log->due = calloc(count, sizeof *log->due);
    log->is_due = calloc(count, sizeof *log->is_due);
    if (log->timed == NULL || log->due == NULL || log->is_due == NULL) return no_memory(log, "the groups");
    for (size_t i = 0; i < log->schema->group_count; i++)
        if (log->groups[i]->model->enabled) TRY(prepare_group(log, log->groups[i]));
    return TRAJLOG_OK;
}

/* As many bytes as the frames that are allowed can take, but not more than the default, unless four frames need it. */
static size_t default_queue_bytes(size_t largest, size_t frames)
{
    size_t most, least;
    if (__builtin_mul_overflow(largest, frames, &most) || most > DEFAULT_QUEUE_BYTES) most = DEFAULT_QUEUE_BYTES;
    if (__builtin_mul_overflow(largest, frames < LEAST_FRAMES ? frames : LEAST_FRAMES, &least)) least = largest;
    return message_round_up(most > least ? most : least);
}

static struct queue_bounds queue_bounds_of(const trajlog_writer *log)
{
    const struct settings *settings = &log->settings;
    bool blocks = settings->policy == TRAJLOG_BLOCK || settings->policy == TRAJLOG_BLOCK_DEADLINE;
    struct queue_bounds bounds = {
        .frames = settings->queue_frames, .largest = log->layout.largest, .begins_small = blocks};
    if (settings->queue_bytes == 0) bounds.bytes = default_queue_bytes(bounds.largest, bounds.frames);
    else bounds.bytes = settings->queue_bytes / MESSAGE_ALIGNMENT * MESSAGE_ALIGNMENT;
    return bounds;
}

static trajlog_status make_queue(trajlog_writer *log)
{
    const struct settings *settings = &log->settings;
    const struct queue_bounds bounds = queue_bounds_of(log);
    if (bounds.bytes < bounds.largest)
        return error_set(&log->pending, TRAJLOG_INVALID_ARGUMENT, 0,
                         "queue_bytes is %zu, and the largest frame takes %zu in the queue: expected room for one",
                         settings->queue_bytes, bounds.largest);
    return queue_new(&log->queue, &bounds, &log->counters, &log->pending);
}

static trajlog_status make_only_frame(trajlog_writer *log)
{
    struct message *frame = aligned_alloc(MESSAGE_ALIGNMENT, log->layout.largest);
    if (frame == NULL) return no_memory(log, "the largest frame");
    memset(frame, 0, log->layout.largest);
    free(log->only_frame);
    log->only_frame = frame;
    return TRAJLOG_OK;
}

/* ------------------------------------------------------------------------------------------------ more particles --- */

/* Callbacks fill frames of all the places. */
static trajlog_status make_views_larger(trajlog_group *group, int64_t capacity)
{
    for (size_t i = 0; i < group->model->field_count; i++) {
        trajlog_field *field = group->fields[i];
        if (!field->model->enabled || !particles_concern(&group->particles, field->model)) continue;
        size_t bytes = field->model->memory_bytes / (size_t)field->model->shape.dims[0] * (size_t)capacity;
        TRY(view_make_room(&field->view, bytes, &group->log->pending));
    }
    return TRAJLOG_OK;
}

static trajlog_status make_held_larger(trajlog_group *group, const struct section_layout *layout)
{
    for (int i = 0; i < 2 && group->held.sections[i] != NULL; i++) {
        void *old = group->held.sections[i], *larger = section_new(group->log, group);
        if (larger == NULL) return no_memory(group->log, "a frame");
        memcpy(larger, old, section_bytes(layout, section_particles(layout, old)));
        free(old);
        group->held.sections[i] = larger;
    }
    return TRAJLOG_OK;
}

/* The queue's bound, where the caller has set it, is exceeded only if not a single frame would fit. */
static trajlog_status make_queue_larger(trajlog_writer *log)
{
    struct queue_bounds bounds = queue_bounds_of(log);
    if (bounds.bytes < bounds.largest) bounds.bytes = bounds.largest;
    int64_t begin = clock_now();
    trajlog_status status = queue_enlarge(log->queue, &bounds, &log->pending);
    counter_add(&log->counters.blocked_nanoseconds, clock_now() - begin);
    return status;
}

static trajlog_status make_frames_larger(trajlog_group *group, int64_t capacity)
{
    trajlog_writer *log = group->log;
    const struct section_layout *layout = &log->layout.sections[group->index];
    TRY(make_views_larger(group, capacity));
    TRY(frame_make_room(&log->layout, group->index, capacity, &log->pending));
    TRY(make_held_larger(group, layout));
    return log->queue == NULL ? make_only_frame(log) : make_queue_larger(log);
}

trajlog_status writer_make_room(trajlog_group *group)
{
    trajlog_writer *log = group->log;
    struct particles_view *particles = &group->particles;
    int64_t capacity = capacity_for(particles->capacity, particles->now, particles->most);
    if (log->queue != NULL && !queue_is_empty(log->queue) && hdf5_lock_is_mine())
        return writer_refuse_holder(log, "trajlog_log");
    TRY(make_frames_larger(group, capacity));
    particles->capacity = capacity;
    return TRAJLOG_OK;
}

static trajlog_status define(trajlog_writer *log)
{
    if (log->defined) return TRAJLOG_OK;
    log->defined = true;
    return store_define(log->store, log->schema, &log->pending);
}

/* Nothing is done to a resumed file by this: it is only looked at. */
static trajlog_status look_into_file(trajlog_writer *log)
{
    int64_t step;
    if (!log->resumption.resumed) return TRAJLOG_OK;
    TRY(define(log));
    if (!store_last_moment(log->store, &step, &log->last_time)) log->last_time = -INFINITY;
    log->resumption.continues =
        log->resumption.step != TRAJLOG_FROM_THE_START && store_first_step(log->store, &log->first_step);
    return TRAJLOG_OK;
}

static trajlog_status make_delivery(trajlog_writer *log)
{
    struct sink sink = store_sink(log->store);
    const struct settings *settings = &log->settings;
    const struct commit_pace pace = {.flush_seconds = settings->flush_seconds,
                                     .flush_rows = settings->flush_rows,
                                     .flush_bytes = settings->flush_bytes,
                                     .sync_seconds = settings->sync_seconds};
    return delivery_init(&log->delivery, &sink, &log->layout, &pace, &log->counters, &log->pending);
}

trajlog_status writer_prepare(trajlog_writer *log)
{
    if (log->prepared) return TRAJLOG_OK;
    TRY(writer_complete_schema(log));
    TRY(prepare_all_views(log));
    TRY(frame_layout_make(&log->layout, log->schema, &log->pending));
    TRY(look_into_file(log));
    log->needs_clock = log->progress.callback != NULL;
    TRY(make_delivery(log));
    TRY(prepare_groups(log));
    TRY(log->settings.synchronous ? make_only_frame(log) : make_queue(log));
    log->prepared = true;
    return TRAJLOG_OK;
}

void writer_free_run(trajlog_writer *log)
{
    for (size_t i = 0; log->schema != NULL && i < log->schema->group_count; i++) {
        trajlog_group *group = log->groups[i];
        free(group->once);
        free(group->held.sections[0]);
        free(group->held.sections[1]);
    }
    free(log->timed);
    free(log->due);
    free(log->is_due);
    free(log->only_frame);
    free(log->delivery.checkpoint.section);
    queue_free(log->queue);
    delivery_destroy(&log->delivery);
    frame_layout_free(&log->layout);
}

/* -------------------------------------------------------------------------------------------------------- start --- */

void writer_continue(trajlog_writer *log, const struct moment *moment)
{
    if (!log->resumption.continues) return;
    for (size_t i = 0; i < log->timed_count; i++)
        schedule_continue(&log->timed[i]->schedule, log->first_step, clock_seconds(moment->clock));
}

trajlog_status writer_copy_once(trajlog_writer *log, const struct moment *moment)
{
    for (size_t i = 0; i < log->schema->group_count; i++) {
        trajlog_group *group = log->groups[i];
        if (group->once == NULL) continue;
        TRY(group_look(group));
        TRY(group_copy(group, group->once, moment->state));
    }
    return TRAJLOG_OK;
}

static trajlog_status write_once(trajlog_writer *log, const struct moment *moment)
{
    for (size_t i = 0; i < log->schema->group_count; i++) {
        trajlog_group *group = log->groups[i];
        if (group->once == NULL) continue;
        section_fields(&log->layout.sections[i], group->once, log->delivery.fields);
        TRY(store_write_once(log->store, i, moment->step, moment->time, log->delivery.fields, &log->pending));
        counter_add(&log->counters.rows, 1);
        counter_add(&log->counters.bytes, (int64_t)log->layout.sections[i].stored_bytes);
        free(group->once);
        group->once = NULL;
    }
    return TRAJLOG_OK;
}

trajlog_status writer_define(trajlog_writer *log, const struct moment *moment)
{
    log->started = true;
    TRY(define(log));
    if (moment != NULL) {
        TRY(store_set_first_step(log->store, log->first_step, &log->pending));
        TRY(write_once(log, moment));
    }
    return store_start(log->store, &log->pending);
}

static trajlog_status start_encoders(trajlog_writer *log)
{
    if (log->settings.encoder_threads == 0) return TRAJLOG_OK;
    TRY(threads_start(&log->encoders, log->settings.encoder_threads, "trajlog-encode", &log->pending));
    struct helpers helpers = threads_helpers(log->encoders);
    return store_set_helpers(log->store, &helpers, &log->pending);
}

static trajlog_status start_threads(trajlog_writer *log)
{
    TRY(start_encoders(log));
    store_may_borrow(log->store); /* the worker keeps what is borrowed in the queue */
    return worker_start(&log->worker, log->queue, &log->delivery, log->settings.worker_cpu, &log->pending);
}

trajlog_status writer_start(trajlog_writer *log)
{
    if (!log->settings.synchronous) TRY(start_threads(log));
    life_set_worker(log, log->worker);
    log->running = true;
    return TRAJLOG_OK;
}
