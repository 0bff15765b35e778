/* A step: which groups are due, their frame into the queue, and what happens when there is no room. */
#include <math.h>
#include <string.h>

#include "store/hdf5_lock.h"
#include "write/clock.h"
#include "write/writer.h"

/* -------------------------------------------------------------------------------------------------------- input --- */

static const char *floor_name(const trajlog_writer *log)
{
    if (log->step_floor == log->last_step) return "the last one";
    return log->last_step == INT64_MIN ? "the restart step" : "the checkpoint's";
}

/* Out of line: says what is wrong with a step or time that was refused. */
__attribute__((noinline, cold)) trajlog_status writer_refuse_moment(trajlog_writer *log, int64_t step, double time)
{
    struct error *error = &log->pending;
    if (log->store == NULL) error_set(error, TRAJLOG_INVALID_STATE, 0, "the log was closed, as the process is exiting");
    else if (step == INT64_MIN || step == INT64_MAX)
        error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "step %lld: expected a number between -2^63 and 2^63 - 1",
                  (long long)step);
    else if (!isfinite(time))
        error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "step %lld: the time is not finite (%g)", (long long)step, time);
    else if (step <= log->step_floor)
        error_set(error, TRAJLOG_NOT_INCREASING, 0, "step %lld does not exceed %s, %lld", (long long)step,
                  floor_name(log), (long long)log->step_floor);
    else
        error_set(error, TRAJLOG_NOT_INCREASING, 0, "step %lld: time %.17g is before that of the last %s, %.17g",
                  (long long)step, time, log->last_step == INT64_MIN ? "row in the file" : "step", log->last_time);
    return writer_refuse(log);
}

bool writer_accepts(const trajlog_writer *log, int64_t step, double time)
{
    return step > log->step_floor && step != INT64_MAX && isfinite(time) && time >= log->last_time;
}

/* -------------------------------------------------------------------------------------------------------- frame --- */

static trajlog_status copy_field(const trajlog_field *field, void *to, const void *state, struct error *error)
{
    const struct particles_view *particles = &field->group->particles;
    if (particles_concern(particles, field->model))
        return particles_copy(particles, &field->view, field->model, to, state, error);
    return view_copy(&field->view, to, state, error);
}

trajlog_status group_look(trajlog_group *group)
{
    struct particles_view *particles = &group->particles;
    struct error *error = &group->log->pending;
    if (particles->count == NULL && particles->order == NULL) return TRAJLOG_OK;
    trajlog_status status = particles_look(particles, error);
    if (status == TRAJLOG_OK && particles->now > particles->capacity) status = writer_make_room(group);
    if (status == TRAJLOG_OK) status = particles_check_order(particles, error);
    if (status != TRAJLOG_OK) error_prefix(error, "group \"%s\"", group->model->name);
    return status;
}

trajlog_status group_copy(trajlog_group *group, void *section, const void *state)
{
    struct error *error = &group->log->pending;
    const struct section_layout *layout = &group->log->layout.sections[group->index];
    bool varies = group->particles.count != NULL || group->particles.order != NULL;
    size_t end = layout->bytes;
    for (size_t i = 0; i < layout->field_count; i++) {
        size_t place = section_place(layout, i, group->particles.now, &end);
        if (place == FIELD_ABSENT) continue;
        trajlog_field *field = group->fields[i];
        void *to = (unsigned char *)section + place;
        if (!varies && view_copy_plain(&field->view, to)) continue;
        if (copy_field(field, to, state, error) == TRAJLOG_OK) continue;
        error_prefix(error, "group \"%s\", field \"%s\"", group->model->name, field->model->name);
        return error->status;
    }
    return TRAJLOG_OK;
}

static void find_due(trajlog_writer *log, const struct moment *moment)
{
    double clock = clock_seconds(moment->clock);
    log->due_count = 0;
    for (size_t i = 0; i < log->timed_count; i++) {
        trajlog_group *group = log->timed[i];
        log->is_due[i] = moment->step >= group->schedule.next_due &&
                         schedule_is_due(&group->schedule, moment->step, moment->time, moment->state, clock);
        if (log->is_due[i]) log->due[log->due_count++] = group->index;
    }
}

static trajlog_status fill_frame(trajlog_writer *log, struct message *message, const struct moment *moment)
{
    frame_begin(message, log->due, log->due_count, moment->step, moment->time);
    void *section = frame_first_section(message);
    for (size_t i = 0; i < log->due_count; i++) {
        TRY(group_copy(log->groups[log->due[i]], section, moment->state));
        section = frame_next_section(&log->layout, log->due[i], section);
    }
    return TRAJLOG_OK;
}

/* ------------------------------------------------------------------------------------------------ the last step --- */

static bool holds(const trajlog_group *group)
{
    return group->held.sections[0] != NULL;
}

static trajlog_status copy_held(trajlog_writer *log, const struct moment *moment)
{
    for (size_t i = 0; i < log->timed_count; i++) {
        trajlog_group *group = log->timed[i];
        if (!holds(group) || log->is_due[i]) continue;
        TRY(group_copy(group, group->held.sections[1 - group->held.latest], moment->state));
    }
    return TRAJLOG_OK;
}

static void keep_held(trajlog_writer *log, const struct moment *moment)
{
    for (size_t i = 0; i < log->timed_count; i++) {
        struct held_frame *held = &log->timed[i]->held;
        if (!holds(log->timed[i]) || log->is_due[i]) continue;
        held->latest = 1 - held->latest;
        held->filled = true;
        held->step = moment->step;
    }
}

/* --------------------------------------------------------------------------------------------------------- room --- */

trajlog_status writer_refuse_holder(trajlog_writer *log, const char *call)
{
    return error_set(&log->pending, TRAJLOG_INVALID_STATE, 0,
                     "%s: this thread holds trajlog_hdf5_lock, and the worker needs it", call);
}

static struct message *wait_for_room(trajlog_writer *log, size_t bytes)
{
    int64_t begin = clock_now();
    bool limited = log->settings.policy == TRAJLOG_BLOCK_DEADLINE;
    int64_t deadline = limited ? begin + clock_span(log->settings.block_seconds) : INT64_MAX;
    struct message *message = queue_reserve_wait(log->queue, bytes, MESSAGE_FRAME, deadline);
    counter_add(&log->counters.blocked_nanoseconds, clock_now() - begin);
    return message;
}

static size_t due_bytes(const trajlog_writer *log)
{
    size_t bytes = frame_bytes(&log->layout, log->due, log->due_count);
    for (size_t i = 0; i < log->due_count; i++) {
        const struct section_layout *section = &log->layout.sections[log->due[i]];
        if (section->particle_bytes != NULL)
            bytes += section_bytes(section, log->groups[log->due[i]]->particles.now) - section->bytes;
    }
    return bytes;
}

/* Sets *message to room for the frame that is due; NULL if the policy gives the frame up. */
static trajlog_status reserve(trajlog_writer *log, struct message **message)
{
    size_t bytes = due_bytes(log);
    if (log->queue == NULL) {
        *message = log->only_frame;
        (*message)->bytes = bytes;
        (*message)->kind = MESSAGE_FRAME;
        return TRAJLOG_OK;
    }
    /* The queue is empty before a run's first frame, and then has room. */
    *message = queue_reserve(log->queue, bytes, MESSAGE_FRAME);
    if (*message != NULL || log->settings.policy == TRAJLOG_DROP_NEWEST || log->settings.policy == TRAJLOG_FAIL)
        return TRAJLOG_OK;
    /* A queue that began small still has its rest to give. */
    bool may_wait = !hdf5_lock_is_mine();
    *message = may_wait ? wait_for_room(log, bytes) : queue_reserve_wait(log->queue, bytes, MESSAGE_FRAME, 0);
    return *message != NULL || may_wait ? TRAJLOG_OK : writer_refuse_holder(log, "trajlog_log");
}

static void send(trajlog_writer *log, struct message *message)
{
    message->drop = log->dropped;
    log->dropped = (trajlog_drop){0, 0, 0};
    if (log->queue == NULL) delivery_take(&log->delivery, message);
    else queue_publish(log->queue);
}

static void count_frame(trajlog_writer *log)
{
    counter_add(&log->counters.frames, 1);
    for (size_t i = 0; i < log->due_count; i++)
        counter_add(&log->counters.bytes,
                    section_stored_bytes(&log->layout.sections[log->due[i]], log->groups[log->due[i]]->particles.now));
}

/* The policy's answer to a frame for which there was no room. */
static trajlog_status give_up(trajlog_writer *log, const struct moment *moment)
{
    if (log->dropped.frames == 0) log->dropped.first_step = moment->step;
    log->dropped.last_step = moment->step;
    log->dropped.frames++;
    counter_add(&log->counters.dropped, 1);
    switch (log->settings.policy) {
    case TRAJLOG_FAIL:
        return error_set(&log->pending, TRAJLOG_QUEUE_FULL, 0, "step %lld: the queue is full", (long long)moment->step);
    case TRAJLOG_BLOCK_DEADLINE:
        return error_set(&log->pending, TRAJLOG_TIMED_OUT, 0, "step %lld: the queue had no room for %g s",
                         (long long)moment->step, log->settings.block_seconds);
    default:
        return TRAJLOG_OK;
    }
}

/* --------------------------------------------------------------------------------------------------------- step --- */

/* Before anything is reserved, since the queue may have to grow. */
static trajlog_status look_at_particles(trajlog_writer *log)
{
    for (size_t i = 0; i < log->timed_count; i++)
        if (log->is_due[i] || holds(log->timed[i])) TRY(group_look(log->timed[i]));
    return TRAJLOG_OK;
}

/* Copies all that the step asks for; nothing of it is anyone else's yet. *message is NULL if there is no frame. */
static trajlog_status copy_step(trajlog_writer *log, const struct moment *moment, struct message **message)
{
    *message = NULL;
    TRY(look_at_particles(log));
    if (log->due_count > 0) TRY(reserve(log, message));
    if (*message != NULL) TRY(fill_frame(log, *message, moment));
    if (!log->running) TRY(writer_copy_once(log, moment));
    return copy_held(log, moment);
}

/* The file gets its groups only now, when all of the first step was copied. */
static trajlog_status begin_run(trajlog_writer *log, const struct moment *moment)
{
    if (!log->resumption.continues) log->first_step = moment->step;
    log->progress.from_step = moment->step;
    log->first_clock = log->progress.next = moment->clock;
    TRY(writer_define(log, moment));
    /* `once` data alone is a frame too. */
    if (log->due_count == 0 && counter_get(&log->counters.rows) > 0) counter_add(&log->counters.frames, 1);
    return writer_start(log);
}

/* In synchronous mode something may be left to do at each step: the commits. */
static int64_t find_skip(const trajlog_writer *log)
{
    if (log->progress.callback != NULL || (log->queue == NULL && !delivery_is_idle(&log->delivery))) return INT64_MIN;
    int64_t skip = NEVER_DUE;
    for (size_t i = 0; i < log->timed_count; i++) {
        if (holds(log->timed[i])) return INT64_MIN;
        if (log->timed[i]->schedule.next_due < skip) skip = log->timed[i]->schedule.next_due;
    }
    return skip;
}

static void advance(trajlog_writer *log, const struct moment *moment)
{
    double clock = clock_seconds(moment->clock);
    for (size_t i = 0; i < log->timed_count; i++)
        schedule_advance(&log->timed[i]->schedule, moment->step, log->is_due[i], clock);
    keep_held(log, moment);
    if (log->loss.step == moment->step) log->loss.error.status = TRAJLOG_OK;
    log->last_step = log->step_floor = moment->step;
    log->last_time = moment->time;
    counter_add(&log->counters.steps, 1);
}

/* The caller may mend its data and log the step again; until then it is lost. */
static void note_loss(trajlog_writer *log, const struct moment *moment)
{
    if (log->loss.error.status != TRAJLOG_OK) return;
    log->loss.error = log->refusal;
    log->loss.step = moment->step;
}

static trajlog_status refuse_step(trajlog_writer *log, const struct moment *moment)
{
    trajlog_status status = writer_refuse(log);
    if (status == TRAJLOG_OUT_OF_RANGE) note_loss(log, moment);
    return status;
}

static trajlog_status log_step(trajlog_writer *log, const struct moment *moment)
{
    struct message *message;
    find_due(log, moment);
    trajlog_status status = copy_step(log, moment, &message);
    /* What the caller can mend does not stick. */
    if (status == TRAJLOG_OUT_OF_RANGE || status == TRAJLOG_INVALID_STATE) return refuse_step(log, moment);
    if (status != TRAJLOG_OK) return writer_stick(log);
    if (!log->running && begin_run(log, moment) != TRAJLOG_OK) return writer_stick(log);
    if (message != NULL) {
        send(log, message);
        TRY(writer_sticking(log));
        count_frame(log);
    } else if (log->due_count > 0) {
        status = give_up(log, moment);
    }
    advance(log, moment);
    return status == TRAJLOG_OK ? TRAJLOG_OK : writer_refuse(log);
}

static trajlog_status log_moment(trajlog_writer *log, int64_t step, double time, const void *state)
{
    if (writer_prepare(log) != TRAJLOG_OK) return writer_stick(log);
    /* What a resumed file has is known only now. */
    if (!writer_accepts(log, step, time)) return writer_refuse_moment(log, step, time);
    struct moment moment = {step, time, state, log->needs_clock ? clock_now() : 0};
    if (!log->running) writer_continue(log, &moment);
    trajlog_status status = log_step(log, &moment);
    if (log->failed || !log->running) return status;
    if (log->queue == NULL) {
        delivery_tick(&log->delivery);
        TRY(writer_sticking(log));
    }
    if (log->progress.callback != NULL && moment.clock >= log->progress.next) {
        log->progress.next = moment.clock + log->progress.interval;
        writer_report_progress(log, moment.clock);
    }
    log->skip_until = find_skip(log);
    return status;
}

static __attribute__((noinline)) trajlog_status enter_moment(trajlog_writer *log, int64_t step, double time,
                                                             const void *state)
{
    life_enter(log);
    trajlog_status status = log_moment(log, step, time, state);
    life_leave(log);
    return status;
}

trajlog_status trajlog_log_state(trajlog_writer *log, int64_t step, double time, const void *state)
{
    if (log == NULL) return refuse_no_log("trajlog_log");
    if (log->failed || delivery_has_failed(&log->delivery)) return writer_sticking(log);
    if (!writer_accepts(log, step, time)) return writer_refuse_moment(log, step, time);
    if (step >= log->skip_until) return enter_moment(log, step, time, state);
    log->last_step = log->step_floor = step;
    log->last_time = time;
    counter_add(&log->counters.steps, 1);
    return TRAJLOG_OK;
}

trajlog_status trajlog_log(trajlog_writer *log, int64_t step, double time)
{
    return trajlog_log_state(log, step, time, NULL);
}

/* -------------------------------------------------------------------------------------------------------- close --- */

static void find_last(trajlog_writer *log)
{
    log->due_count = 0;
    for (size_t i = 0; i < log->timed_count; i++) {
        trajlog_group *group = log->timed[i];
        const struct held_frame *held = &group->held;
        if (!held->filled || held->step != log->last_step) continue;
        group->particles.now = section_particles(&log->layout.sections[group->index], held->sections[held->latest]);
        log->due[log->due_count++] = group->index;
    }
}

void writer_log_last(trajlog_writer *log)
{
    struct message *message;
    find_last(log);
    if (log->due_count == 0 || delivery_has_failed(&log->delivery)) return;
    /* It waits for room under every policy. */
    log->settings.policy = TRAJLOG_BLOCK;
    if (reserve(log, &message) != TRAJLOG_OK) return;
    frame_begin(message, log->due, log->due_count, log->last_step, log->last_time);
    void *section = frame_first_section(message);
    for (size_t i = 0; i < log->due_count; i++) {
        const trajlog_group *group = log->groups[log->due[i]];
        memcpy(section, group->held.sections[group->held.latest],
               section_bytes(&log->layout.sections[group->index], group->particles.now));
        section = frame_next_section(&log->layout, log->due[i], section);
    }
    send(log, message);
    count_frame(log);
}
