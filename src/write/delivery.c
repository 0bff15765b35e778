#include "write/delivery.h"

#include <stdlib.h>
#include <string.h>

#include "write/clock.h"

trajlog_status delivery_init(struct delivery *delivery, const struct sink *sink, const struct frame_layout *layout,
                             double flush_seconds, struct counters *counters, struct error *error)
{
    memset(delivery, 0, sizeof *delivery);
    delivery->fields = calloc(layout->most_fields + 1, sizeof *delivery->fields);
    if (delivery->fields == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for the worker");
    delivery->sink = *sink;
    delivery->layout = layout;
    delivery->counters = counters;
    delivery->flush_nanoseconds = clock_span(flush_seconds);
    delivery->last_commit = clock_now();
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
        section_fields(&delivery->layout->sections[group], memory, delivery->fields);
        TRY(sink->append(sink->context, group, message->step, message->time, delivery->fields, &delivery->error));
        counter_add(&delivery->counters->rows, 1);
        memory = frame_next_section(delivery->layout, group, memory);
    }
    return TRAJLOG_OK;
}

static trajlog_status commit(struct delivery *delivery)
{
    TRY(delivery->sink.commit(delivery->sink.context, &delivery->error));
    counter_add(&delivery->counters->commits, 1);
    delivery->uncommitted = false;
    return TRAJLOG_OK;
}

static trajlog_status commit_if_time(struct delivery *delivery, int64_t now)
{
    if (!delivery->uncommitted || now - delivery->last_commit < delivery->flush_nanoseconds) return TRAJLOG_OK;
    delivery->last_commit = now;
    return commit(delivery);
}

static trajlog_status deliver(struct delivery *delivery, const struct message *message, int64_t now)
{
    struct sink *sink = &delivery->sink;
    delivery->uncommitted = true;
    if (message->drop.frames > 0) TRY(sink->add_drop(sink->context, &message->drop, &delivery->error));
    if (message->kind == MESSAGE_FRAME) TRY(append_rows(delivery, message));
    /* After the rows, so that a commit never announces a step whose rows it does not have. */
    sink->set_last_step(sink->context, message->step);
    if (message->kind == MESSAGE_FRAME) return commit_if_time(delivery, now);
    delivery->last_commit = now;
    return commit(delivery);
}

static void note(struct delivery *delivery, trajlog_status status, int64_t begin)
{
    counter_add(&delivery->counters->busy_nanoseconds, clock_now() - begin);
    if (status == TRAJLOG_OK) return;
    error_set(&delivery->error, status, 0, "writing failed");
    atomic_store_explicit(&delivery->failed, true, memory_order_release);
}

void delivery_take(struct delivery *delivery, const struct message *message)
{
    if (atomic_load_explicit(&delivery->failed, memory_order_relaxed)) return;
    int64_t now = clock_now();
    note(delivery, deliver(delivery, message, now), now);
}

void delivery_tick(struct delivery *delivery)
{
    if (!delivery->uncommitted || atomic_load_explicit(&delivery->failed, memory_order_relaxed)) return;
    int64_t now = clock_now();
    note(delivery, commit_if_time(delivery, now), now);
}
