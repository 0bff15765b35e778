/* What the caller waits for: flush, sync, checkpoint. */
#include "store/hdf5_lock.h"
#include "write/writer.h"

/* In synchronous mode. */
static void do_it(trajlog_writer *log, enum message_kind kind, int64_t step, double time)
{
    log->only_frame->kind = kind;
    frame_begin(log->only_frame, NULL, 0, step, time);
    log->only_frame->drop = log->dropped;
    delivery_take(&log->delivery, log->only_frame);
}

/* Returns the log's sticking error, which may be that of the request. */
static trajlog_status request(trajlog_writer *log, enum message_kind kind, int64_t step, double time)
{
    life_enter(log);
    if (log->worker == NULL) do_it(log, kind, step, time);
    else worker_ask(log->worker, kind, step, time, &log->dropped);
    life_leave(log);
    log->dropped = (trajlog_drop){0, 0, 0};
    return writer_sticking(log);
}

static bool would_wait_for_itself(const trajlog_writer *log)
{
    return log->worker != NULL && hdf5_lock_is_mine();
}

/* ------------------------------------------------------------------------------------------------- flush, sync --- */

static trajlog_status flush(trajlog_writer *log, const char *call, enum message_kind kind)
{
    if (log == NULL) return refuse_no_log(call);
    TRY(writer_sticking(log));
    if (!log->running) return TRAJLOG_OK;
    if (!would_wait_for_itself(log)) return request(log, kind, log->step_floor, 0.0);
    writer_refuse_holder(log, call);
    return writer_refuse(log);
}

trajlog_status trajlog_flush(trajlog_writer *log)
{
    return flush(log, "trajlog_flush", MESSAGE_FLUSH);
}

trajlog_status trajlog_sync(trajlog_writer *log)
{
    return flush(log, "trajlog_sync", MESSAGE_SYNC);
}

/* -------------------------------------------------------------------------------------------------- checkpoints --- */

/* A state belongs to the last step that was logged, or to a later one: never to one before rows that are in the file. */
static trajlog_status check_moment(trajlog_writer *log, int64_t step, double time)
{
    bool is_last = step == log->last_step && step == log->step_floor;
    if (is_last ? time == log->last_time : writer_accepts(log, step, time)) return TRAJLOG_OK;
    if (!is_last) return writer_refuse_moment(log, step, time);
    error_set(&log->pending, TRAJLOG_INVALID_ARGUMENT, 0,
              "checkpoint of step %lld: its time is %.17g, and the step was logged with %.17g", (long long)step, time,
              log->last_time);
    return writer_refuse(log);
}

static trajlog_status refuse_state(trajlog_writer *log, const char *why)
{
    error_set(&log->pending, TRAJLOG_INVALID_STATE, 0, "trajlog_checkpoint: %s", why);
    return writer_refuse(log);
}

static trajlog_status copy_state(trajlog_writer *log, const void *state)
{
    life_enter(log);
    trajlog_status status = group_look(log->checkpoint);
    if (status == TRAJLOG_OK) status = group_copy(log->checkpoint, log->delivery.checkpoint.section, state);
    life_leave(log);
    if (status == TRAJLOG_OK) return TRAJLOG_OK;
    return status == TRAJLOG_OUT_OF_RANGE ? writer_refuse(log) : writer_stick(log);
}

trajlog_status trajlog_checkpoint_state(trajlog_writer *log, int64_t step, double time, const void *state)
{
    if (log == NULL) return refuse_no_log("trajlog_checkpoint");
    TRY(writer_sticking(log));
    if (log->checkpoint == NULL) return refuse_state(log, "there is no group for it; see trajlog_add_checkpoint");
    if (!log->running) return refuse_state(log, "no step was logged yet");
    TRY(check_moment(log, step, time));
    if (would_wait_for_itself(log)) {
        writer_refuse_holder(log, "trajlog_checkpoint");
        return writer_refuse(log);
    }
    TRY(copy_state(log, state));
    TRY(request(log, MESSAGE_CHECKPOINT, step, time));
    log->step_floor = step;
    log->last_time = time;
    return TRAJLOG_OK;
}

trajlog_status trajlog_checkpoint(trajlog_writer *log, int64_t step, double time)
{
    return trajlog_checkpoint_state(log, step, time, NULL);
}
