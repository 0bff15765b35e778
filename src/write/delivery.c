#include "write/delivery.h"

#include <stdlib.h>
#include <string.h>

#include "write/clock.h"

/* The most that is delivered between two looks at the clock: less than what takes a millisecond. */
#define MOST_UNCLOCKED_FRAMES 64
#define MOST_UNCLOCKED_BYTES  ((size_t)1 << 18)
#define SHORT_PACE            (NANOSECONDS_PER_SECOND / 1000)

trajlog_status delivery_init(struct delivery *delivery, const struct sink *sink, const struct frame_layout *layout,
                             const struct commit_pace *pace, struct counters *counters, struct error *error)
{
    memset(delivery, 0, sizeof *delivery);
    delivery->fields = calloc(layout->most_fields + 1, sizeof *delivery->fields);
    if (delivery->fields == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for the worker");
    delivery->sink = *sink;
    delivery->layout = layout;
    delivery->counters = counters;
    delivery->pace = *pace;
    delivery->flush_nanoseconds = clock_span(pace->flush_seconds);
    delivery->sync_nanoseconds = pace->sync_seconds >= 0.0 ? clock_span(pace->sync_seconds) : INT64_MAX;
    bool is_short = delivery->flush_nanoseconds < SHORT_PACE || delivery->sync_nanoseconds < SHORT_PACE;
    delivery->most_unclocked = is_short ? 1 : MOST_UNCLOCKED_FRAMES;
    delivery->last_commit = delivery->last_sync = clock_now();
    return TRAJLOG_OK;
}

void delivery_destroy(struct delivery *delivery)
{
    free(delivery->fields);
    delivery->fields = NULL;
}

static trajlog_status append_rows(struct delivery *delivery, const struct message *message)
{
    struct sink *sink = &delivery->sink;
    void *memory = frame_first_section(message);
    for (uint32_t i = 0; i < message->section_count; i++) {
        uint32_t group = message->groups[i];
        const struct section_layout *layout = &delivery->layout->sections[group];
        section_fields(layout, memory, delivery->fields);
        TRY(sink->append(sink->context, group, message->step, message->time, delivery->fields, &delivery->error));
        counter_add(&delivery->counters->rows, 1);
        delivery->rows++;
        delivery->bytes += section_stored_bytes(layout, section_particles(layout, memory));
        memory = frame_next_section(delivery->layout, group, memory);
    }
    return TRAJLOG_OK;
}

/* ------------------------------------------------------------------------------------------------------ commits --- */

static void note_commit(struct delivery *delivery, enum commit_level level, int64_t now)
{
    counter_add(&delivery->counters->commits, 1);
    delivery->last_commit = now;
    delivery->uncommitted = false;
    delivery->rows = delivery->bytes = 0;
    delivery->unsynced = level != COMMIT_SYNCED;
    if (level != COMMIT_SYNCED) return;
    counter_add(&delivery->counters->syncs, 1);
    delivery->last_sync = now;
}

static trajlog_status commit(struct delivery *delivery, enum commit_level level, int64_t now)
{
    TRY(delivery->sink.commit(delivery->sink.context, level, &delivery->error));
    note_commit(delivery, level, now);
    return TRAJLOG_OK;
}

static bool is_time_to_flush(const struct delivery *delivery, int64_t now)
{
    const struct commit_pace *pace = &delivery->pace;
    if (!delivery->uncommitted) return false;
    if (pace->flush_rows > 0 && delivery->rows >= pace->flush_rows) return true;
    if (pace->flush_bytes > 0 && delivery->bytes >= pace->flush_bytes) return true;
    return now - delivery->last_commit >= delivery->flush_nanoseconds;
}

static bool is_time_to_sync(const struct delivery *delivery, int64_t now)
{
    return (delivery->uncommitted || delivery->unsynced) && now - delivery->last_sync >= delivery->sync_nanoseconds;
}

static trajlog_status commit_if_time(struct delivery *delivery, int64_t now)
{
    if (is_time_to_sync(delivery, now)) return commit(delivery, COMMIT_SYNCED, now);
    return is_time_to_flush(delivery, now) ? commit(delivery, COMMIT_FLUSHED, now) : TRAJLOG_OK;
}

/* ----------------------------------------------------------------------------------------------------- messages --- */

static trajlog_status write_checkpoint(struct delivery *delivery, const struct message *message)
{
    const struct checkpoint *checkpoint = &delivery->checkpoint;
    struct sink *sink = &delivery->sink;
    section_fields(&delivery->layout->sections[checkpoint->group], checkpoint->section, delivery->fields);
    TRY(sink->write_checkpoint(sink->context, checkpoint->group, message->step, message->time, delivery->fields,
                               &delivery->error));
    note_commit(delivery, COMMIT_SYNCED, clock_now());
    return TRAJLOG_OK;
}

static trajlog_status deliver(struct delivery *delivery, const struct message *message)
{
    struct sink *sink = &delivery->sink;
    delivery->uncommitted = true;
    if (message->drop.frames > 0) TRY(sink->add_drop(sink->context, &message->drop, &delivery->error));
    if (message->kind == MESSAGE_FRAME) TRY(append_rows(delivery, message));
    /* After the rows, so that a commit never announces a step whose rows it does not have. */
    sink->set_last_step(sink->context, message->step);
    switch (message->kind) {
    case MESSAGE_FRAME:
        delivery->unclocked_frames++;
        delivery->unclocked_bytes += message->bytes;
        return TRAJLOG_OK;
    case MESSAGE_CHECKPOINT:
        return write_checkpoint(delivery, message);
    case MESSAGE_SYNC:
        return commit(delivery, COMMIT_SYNCED, clock_now());
    case MESSAGE_CLOSE:
        return commit(delivery, COMMIT_LAST, clock_now());
    default:
        return commit(delivery, COMMIT_FLUSHED, clock_now());
    }
}

/* The clock was read: what was done since the last reading counts as busy, and what is due is committed. */
static trajlog_status keep_pace(struct delivery *delivery, int64_t now)
{
    delivery->unclocked_frames = 0;
    delivery->unclocked_bytes = 0;
    return commit_if_time(delivery, now);
}

/* Frames are often smaller than what a look at the clock costs: so it is looked at after some of them. */
static bool is_time_to_look(const struct delivery *delivery)
{
    const struct commit_pace *pace = &delivery->pace;
    return delivery->unclocked_frames >= delivery->most_unclocked ||
           delivery->unclocked_bytes >= MOST_UNCLOCKED_BYTES ||
           (pace->flush_rows > 0 && delivery->rows >= pace->flush_rows) ||
           (pace->flush_bytes > 0 && delivery->bytes >= pace->flush_bytes);
}

static void fail(struct delivery *delivery, trajlog_status status)
{
    error_set(&delivery->error, status, 0, "writing failed");
    atomic_store_explicit(&delivery->failed, true, memory_order_release);
}

/* Ends a time in which the delivery was busy. */
static void rest(struct delivery *delivery)
{
    if (delivery->busy_since == 0) return;
    counter_add(&delivery->counters->busy_nanoseconds, clock_now() - delivery->busy_since);
    delivery->busy_since = 0;
}

void delivery_take(struct delivery *delivery, const struct message *message)
{
    if (atomic_load_explicit(&delivery->failed, memory_order_relaxed)) return;
    if (delivery->busy_since == 0) delivery->busy_since = clock_now();
    trajlog_status status = deliver(delivery, message);
    if (status == TRAJLOG_OK && is_time_to_look(delivery)) status = keep_pace(delivery, clock_now());
    if (status != TRAJLOG_OK) fail(delivery, status);
    if (status != TRAJLOG_OK || message->kind != MESSAGE_FRAME) rest(delivery);
}

/* After a failure the sink does nothing any more, with the rows that it has borrowed neither. */
bool delivery_borrows(const struct delivery *delivery)
{
    const struct sink *sink = &delivery->sink;
    return sink->borrows != NULL && !delivery_has_failed(delivery) && sink->borrows(sink->context);
}

void delivery_settle(struct delivery *delivery)
{
    if (delivery_borrows(delivery)) delivery->sink.settle(delivery->sink.context);
}

void delivery_tick(struct delivery *delivery)
{
    if (atomic_load_explicit(&delivery->failed, memory_order_relaxed)) return;
    if (!delivery_is_idle(delivery)) {
        trajlog_status status = keep_pace(delivery, clock_now());
        if (status != TRAJLOG_OK) fail(delivery, status);
    }
    rest(delivery);
}

void delivery_cut(struct delivery *delivery)
{
    if (atomic_load_explicit(&delivery->failed, memory_order_relaxed)) return;
    trajlog_status status = delivery->uncommitted ? commit(delivery, COMMIT_FLUSHED, clock_now()) : TRAJLOG_OK;
    if (status == TRAJLOG_OK)
        status = error_set(&delivery->error, TRAJLOG_INVALID_STATE, 0, "the log was closed, as the process is exiting");
    fail(delivery, status);
    rest(delivery);
}

bool delivery_is_idle(const struct delivery *delivery)
{
    return !delivery->uncommitted && (!delivery->unsynced || delivery->sync_nanoseconds == INT64_MAX);
}
