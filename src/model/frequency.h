/* Frequencies: which step is due. Pure; a run's own memory of what was due is in `struct schedule`. */
#ifndef MODEL_FREQUENCY_H
#define MODEL_FREQUENCY_H

#include <stdbool.h>

#include "model/status.h"

/* INVALID_ARGUMENT with what is wrong and what is allowed. */
trajlog_status frequency_check(const trajlog_frequency *frequency, struct error *error);
/* The same for a frequency that a file describes: a predicate's function is not known there. */
trajlog_status frequency_check_described(const trajlog_frequency *frequency, struct error *error);

/* Whether the pure functions of trajlog.h know the answer (not predicate, wall clock). */
bool frequency_is_static(const trajlog_frequency *frequency);

#define NEVER_DUE INT64_MAX

/* The first step >= `step` that is due; NEVER_DUE if there is none. Static frequencies only; `once` counts as step 0.
 */
int64_t frequency_next_due(const trajlog_frequency *frequency, int64_t step);

/* A frequency during a run. */
struct schedule {
    const trajlog_frequency *frequency; /* not owned */
    int64_t total_steps;                /* the hint; 0 if unknown */
    int64_t first_step;                 /* the first step logged; valid once started */
    bool started;
    int64_t next_due;      /* steps before this one are not due: the caller's only test. INT64_MIN: always ask */
    double last_due_clock; /* wall clock: seconds, when the last due step was accepted */
};

void schedule_init(struct schedule *schedule, const trajlog_frequency *frequency, int64_t total_steps);

/* As if the run had begun with `first_step`, in an earlier process: the next step is not the first one. Wall clocks start
 * at `clock`. */
void schedule_continue(struct schedule *schedule, int64_t first_step, double clock);

/* Whether `step` is due, the schedule unchanged. `clock` is monotonic seconds, only used by wall clock. Predicates are
 * called here. The first call's step counts as the first step. */
bool schedule_is_due(const struct schedule *schedule, int64_t step, double time, const void *state, double clock);

/* Tells the schedule that `step` was logged, and whether it was due. Steps that are refused are not told, and those
 * before next_due need not be. A due step whose frame was dropped is told with due = true. */
void schedule_advance(struct schedule *schedule, int64_t step, bool due, double clock);

#endif
