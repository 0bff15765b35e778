/* What a log says about itself while it runs. */
#include <math.h>
#include <string.h>

#include "write/clock.h"
#include "write/writer.h"

static trajlog_statistics read_counters(const struct counters *counters)
{
    return (trajlog_statistics){
        .struct_size = sizeof(trajlog_statistics),
        .steps = counter_get(&counters->steps),
        .frames = counter_get(&counters->frames),
        .rows = counter_get(&counters->rows),
        .dropped = counter_get(&counters->dropped),
        .bytes = counter_get(&counters->bytes),
        .commits = counter_get(&counters->commits),
        .queue_bytes = (size_t)counter_get(&counters->queue_bytes),
        .queue_high_bytes = (size_t)counter_get(&counters->queue_high_bytes),
        .queue_high_frames = (size_t)counter_get(&counters->queue_high_frames),
        .blocked_seconds = clock_seconds(counter_get(&counters->blocked_nanoseconds)),
        .busy_seconds = clock_seconds(counter_get(&counters->busy_nanoseconds)),
        .syncs = counter_get(&counters->syncs),
    };
}

trajlog_status trajlog_get_statistics(const trajlog_writer *log, trajlog_statistics *statistics)
{
    if (log == NULL) return refuse_no_log("trajlog_get_statistics");
    if (statistics == NULL) return refuse_null("trajlog_get_statistics", "place for the statistics");
    size_t size = statistics->struct_size;
    if (size < sizeof size) {
        struct error error = {0};
        error_set(&error, TRAJLOG_INVALID_ARGUMENT, 0,
                  "trajlog_get_statistics: struct_size is %zu: expected sizeof(trajlog_statistics)", size);
        error_remember(&error);
        return TRAJLOG_INVALID_ARGUMENT;
    }
    trajlog_statistics now = read_counters(&log->counters);
    /* A caller of another version has fewer members, or more: those are 0. */
    memset(statistics, 0, size);
    memcpy(statistics, &now, size < sizeof now ? size : sizeof now);
    statistics->struct_size = size;
    return TRAJLOG_OK;
}

static double fraction_done(const trajlog_writer *log)
{
    if (log->total_steps <= 0) return NAN;
    double fraction = ((double)log->last_step - (double)log->first_step + 1.0) / (double)log->total_steps;
    return fraction < 1.0 ? fraction : 1.0;
}

/* What an earlier process has done, of a run that was resumed. */
static double fraction_before(const trajlog_writer *log)
{
    return ((double)log->progress.from_step - (double)log->first_step) / (double)log->total_steps;
}

void writer_report_progress(trajlog_writer *log, int64_t clock)
{
    if (log->progress.callback == NULL) return;
    double fraction = fraction_done(log), elapsed = clock_seconds(clock - log->first_clock);
    double before = fraction_before(log);
    trajlog_progress progress = {
        .step = log->last_step,
        .first_step = log->first_step,
        .total_steps = log->total_steps,
        .fraction = fraction,
        .elapsed_seconds = elapsed,
        .remaining_seconds = elapsed * (1.0 - fraction) / (fraction - before),
        .frames = counter_get(&log->counters.frames),
        .dropped = counter_get(&log->counters.dropped),
        .queue_fill = log->queue != NULL ? queue_fill(log->queue) : 0.0,
    };
    log->progress.callback(&progress, log->progress.context);
}
