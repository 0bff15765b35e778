#include "model/frequency.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_PER_DECADE 1000

trajlog_frequency trajlog_once(void)
{
    trajlog_frequency frequency;
    memset(&frequency, 0, sizeof frequency);
    frequency.kind = TRAJLOG_FREQUENCY_ONCE;
    return frequency;
}

trajlog_frequency trajlog_every(int64_t interval)
{
    return trajlog_every_between(interval, 0, TRAJLOG_NO_STOP);
}

trajlog_frequency trajlog_every_between(int64_t interval, int64_t start, int64_t stop)
{
    trajlog_frequency frequency = trajlog_once();
    frequency.kind = TRAJLOG_FREQUENCY_EVERY;
    frequency.interval = interval;
    frequency.start = start;
    frequency.stop = stop;
    return frequency;
}

trajlog_frequency trajlog_at_steps(const int64_t *steps, size_t step_count)
{
    trajlog_frequency frequency = trajlog_once();
    frequency.kind = TRAJLOG_FREQUENCY_STEPS;
    frequency.steps = steps;
    frequency.step_count = step_count;
    return frequency;
}

trajlog_frequency trajlog_logarithmic(int per_decade)
{
    trajlog_frequency frequency = trajlog_once();
    frequency.kind = TRAJLOG_FREQUENCY_LOGARITHMIC;
    frequency.per_decade = per_decade;
    return frequency;
}

trajlog_frequency trajlog_when(trajlog_predicate predicate, void *context)
{
    trajlog_frequency frequency = trajlog_once();
    frequency.kind = TRAJLOG_FREQUENCY_PREDICATE;
    frequency.predicate = predicate;
    frequency.context = context;
    return frequency;
}

trajlog_frequency trajlog_wall_clock(double seconds)
{
    trajlog_frequency frequency = trajlog_once();
    frequency.kind = TRAJLOG_FREQUENCY_WALL_CLOCK;
    frequency.seconds = seconds;
    return frequency;
}

trajlog_frequency trajlog_with_first(trajlog_frequency frequency)
{
    frequency.with_first = 1;
    return frequency;
}

trajlog_frequency trajlog_with_last(trajlog_frequency frequency)
{
    frequency.with_last = 1;
    return frequency;
}

/* ------------------------------------------------------------------------------------------------------- checks --- */

static trajlog_status check_every(const trajlog_frequency *frequency, struct error *error)
{
    if (frequency->interval < 1) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "every: expected an interval of at least 1, got %lld",
                         (long long)frequency->interval);
    }
    if (frequency->stop <= frequency->start) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "every: expected stop > start, got start %lld, stop %lld",
                         (long long)frequency->start, (long long)frequency->stop);
    }
    return TRAJLOG_OK;
}

static trajlog_status check_steps(const trajlog_frequency *frequency, struct error *error)
{
    const int64_t *steps = frequency->steps;
    if (steps == NULL || frequency->step_count < 1) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "list of steps: expected at least one step");
    }
    if (frequency->step_count > SIZE_MAX / sizeof *steps) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "list of steps: %zu steps are too many",
                         frequency->step_count);
    }
    for (size_t i = 1; i < frequency->step_count; i++) {
        if (steps[i] > steps[i - 1]) continue;
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                         "list of steps: expected strictly increasing steps, got %lld after %lld", (long long)steps[i],
                         (long long)steps[i - 1]);
    }
    return TRAJLOG_OK;
}

static trajlog_status check_kind(const trajlog_frequency *frequency, struct error *error)
{
    switch (frequency->kind) {
    case TRAJLOG_FREQUENCY_ONCE:
        if (frequency->with_last == 0) return TRAJLOG_OK;
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "once: there is one frame, the first; not the last too");
    case TRAJLOG_FREQUENCY_EVERY:
        return check_every(frequency, error);
    case TRAJLOG_FREQUENCY_STEPS:
        return check_steps(frequency, error);
    case TRAJLOG_FREQUENCY_LOGARITHMIC:
        if (frequency->per_decade >= 1 && frequency->per_decade <= MAX_PER_DECADE) return TRAJLOG_OK;
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "logarithmic: expected 1 to %d steps per decade, got %ld",
                         MAX_PER_DECADE, (long)frequency->per_decade);
    case TRAJLOG_FREQUENCY_PREDICATE:
        return TRAJLOG_OK;
    case TRAJLOG_FREQUENCY_WALL_CLOCK:
        if (isfinite(frequency->seconds) && frequency->seconds > 0) return TRAJLOG_OK;
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "wall clock: expected more than 0 seconds, got %g",
                         frequency->seconds);
    }
    return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                     "expected a frequency made by trajlog_once, trajlog_every, "
                     "...; got kind %ld",
                     (long)frequency->kind);
}

trajlog_status frequency_check_described(const trajlog_frequency *frequency, struct error *error)
{
    for (size_t i = 0; i < sizeof frequency->reserved / sizeof frequency->reserved[0]; i++) {
        if (frequency->reserved[i] == 0) continue;
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "frequency: expected 0 in the reserved members");
    }
    return check_kind(frequency, error);
}

trajlog_status frequency_check(const trajlog_frequency *frequency, struct error *error)
{
    TRY(frequency_check_described(frequency, error));
    if (frequency->kind == TRAJLOG_FREQUENCY_PREDICATE && frequency->predicate == NULL) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "predicate: expected a function, got NULL");
    }
    return TRAJLOG_OK;
}

bool frequency_is_static(const trajlog_frequency *frequency)
{
    return frequency->kind != TRAJLOG_FREQUENCY_PREDICATE && frequency->kind != TRAJLOG_FREQUENCY_WALL_CLOCK;
}

/* ---------------------------------------------------------------------------------------------------- due steps --- */

/* Both differences are computed as unsigned: between int64 values they fit, whatever the signs. */
static uint64_t distance(int64_t from, int64_t to)
{
    return (uint64_t)to - (uint64_t)from;
}

static bool is_before_stop(const trajlog_frequency *frequency, int64_t step)
{
    return step < frequency->stop || frequency->stop == TRAJLOG_NO_STOP;
}

/* How many steps `step` is behind the last one that is named, without regard to the stop. */
static uint64_t steps_past(const trajlog_frequency *frequency, int64_t step)
{
    if (frequency->interval == 1) return 0; /* each step is due, and should not cost a division */
    return distance(frequency->start, step) % (uint64_t)frequency->interval;
}

static int64_t next_every(const trajlog_frequency *frequency, int64_t step)
{
    int64_t next = step > frequency->start ? step : frequency->start;
    uint64_t past = steps_past(frequency, next);
    if (past != 0) {
        int64_t missing = frequency->interval - (int64_t)past;
        if (next > INT64_MAX - missing) return NEVER_DUE;
        next += missing;
    }
    return is_before_stop(frequency, next) ? next : NEVER_DUE;
}

/* The number of listed steps that are less than `step`. */
static size_t steps_before(const trajlog_frequency *frequency, int64_t step)
{
    size_t low = 0, high = frequency->step_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (frequency->steps[middle] < step) low = middle + 1;
        else high = middle;
    }
    return low;
}

static int64_t next_listed(const trajlog_frequency *frequency, int64_t step)
{
    size_t next = steps_before(frequency, step);
    return next < frequency->step_count ? frequency->steps[next] : NEVER_DUE;
}

/* The integer nearest to 10^(k / per_decade); NEVER_DUE beyond the range. Whole decades are exact, and all others are
 * scaled from the first decade's, so that the values grow with k. */
static int64_t logarithmic_value(int per_decade, int k)
{
    int64_t decade = 1;
    int decades = k / per_decade, part = k % per_decade;
    long double value;
    if (decades > 18) return NEVER_DUE;
    for (int i = 0; i < decades; i++) decade *= 10;
    if (part == 0) return decade;
    value = roundl(powl(10.0L, (long double)part / per_decade) * (long double)decade);
    return value < 9223372036854775807.0L ? (int64_t)value : NEVER_DUE;
}

/* The smallest k whose value is at least `step`, which is at least 1. */
static int logarithmic_index(int per_decade, int64_t step)
{
    int k = (int)(per_decade * log10((double)step)) - 2;
    if (k < 0) k = 0;
    while (k > 0 && logarithmic_value(per_decade, k - 1) >= step) k--;
    while (logarithmic_value(per_decade, k) < step) k++;
    return k;
}

static int64_t next_logarithmic(const trajlog_frequency *frequency, int64_t step)
{
    if (step <= 0) return 0;
    return logarithmic_value(frequency->per_decade, logarithmic_index(frequency->per_decade, step));
}

int64_t frequency_next_due(const trajlog_frequency *frequency, int64_t step)
{
    switch (frequency->kind) {
    case TRAJLOG_FREQUENCY_ONCE:
        return step <= 0 ? 0 : NEVER_DUE;
    case TRAJLOG_FREQUENCY_EVERY:
        return next_every(frequency, step);
    case TRAJLOG_FREQUENCY_STEPS:
        return next_listed(frequency, step);
    case TRAJLOG_FREQUENCY_LOGARITHMIC:
        return next_logarithmic(frequency, step);
    default:
        return step;
    }
}

/* Whether a static frequency names this step itself. Does not go by NEVER_DUE, which is a step number too. */
static bool names_step(const trajlog_frequency *frequency, int64_t step)
{
    size_t place;
    switch (frequency->kind) {
    case TRAJLOG_FREQUENCY_ONCE:
        return step == 0;
    case TRAJLOG_FREQUENCY_EVERY:
        return step >= frequency->start && is_before_stop(frequency, step) && steps_past(frequency, step) == 0;
    case TRAJLOG_FREQUENCY_STEPS:
        place = steps_before(frequency, step);
        return place < frequency->step_count && frequency->steps[place] == step;
    case TRAJLOG_FREQUENCY_LOGARITHMIC:
        return step != NEVER_DUE && next_logarithmic(frequency, step) == step;
    default:
        return false;
    }
}

/* ------------------------------------------------------------------------------------- pure functions of a run --- */

/* Good enough for an answer; that a list increases is checked when a group takes it. */
static bool is_answerable(const trajlog_frequency *frequency)
{
    if (frequency == NULL || !frequency_is_static(frequency)) return false;
    if (frequency->kind != TRAJLOG_FREQUENCY_STEPS) return check_kind(frequency, NULL) == TRAJLOG_OK;
    return frequency->steps != NULL && frequency->step_count >= 1;
}

static int64_t logarithmic_before(int per_decade, int64_t end)
{
    int64_t count = 1, last = 0; /* step 0 */
    int stop = logarithmic_index(per_decade, end);
    for (int k = 0; k < stop; k++) {
        int64_t value = logarithmic_value(per_decade, k);
        if (value > last) count++;
        last = value;
    }
    return count;
}

/* How many of the steps 0, ..., end - 1 the frequency names. */
static int64_t named_before(const trajlog_frequency *frequency, int64_t end)
{
    int64_t first;
    if (end <= 0) return 0;
    switch (frequency->kind) {
    case TRAJLOG_FREQUENCY_ONCE:
        return 1;
    case TRAJLOG_FREQUENCY_EVERY:
        first = next_every(frequency, 0);
        if (end > frequency->stop) end = frequency->stop;
        return first < end ? (end - 1 - first) / frequency->interval + 1 : 0;
    case TRAJLOG_FREQUENCY_STEPS:
        return (int64_t)(steps_before(frequency, end) - steps_before(frequency, 0));
    default:
        return logarithmic_before(frequency->per_decade, end);
    }
}

static bool is_due_from_zero(const trajlog_frequency *frequency, int64_t step)
{
    return names_step(frequency, step) || (frequency->with_first != 0 && step == 0);
}

static int64_t due_before(const trajlog_frequency *frequency, int64_t end)
{
    int64_t first = end > 0 && frequency->with_first != 0 && !names_step(frequency, 0);
    return first + named_before(frequency, end);
}

int trajlog_frequency_is_due(const trajlog_frequency *frequency, int64_t step)
{
    if (!is_answerable(frequency)) return -1;
    return is_due_from_zero(frequency, step);
}

int64_t trajlog_frequency_rows(const trajlog_frequency *frequency, int64_t total_steps)
{
    int64_t last;
    if (!is_answerable(frequency) || total_steps < 0) return -1;
    if (total_steps == 0) return 0;
    last = frequency->with_last != 0 && !is_due_from_zero(frequency, total_steps - 1);
    return due_before(frequency, total_steps) + last;
}

int64_t trajlog_frequency_row(const trajlog_frequency *frequency, int64_t step)
{
    if (!is_answerable(frequency) || step < 0 || !is_due_from_zero(frequency, step)) return -1;
    return due_before(frequency, step);
}

/* --------------------------------------------------------------------------------------------------------- text --- */

static void every_text(const trajlog_frequency *frequency, char *text, size_t size)
{
    char start[40] = "", stop[40] = "";
    if (frequency->start != 0) snprintf(start, sizeof start, " from %lld", (long long)frequency->start);
    if (frequency->stop != TRAJLOG_NO_STOP) snprintf(stop, sizeof stop, " before %lld", (long long)frequency->stop);
    if (frequency->interval == 1) snprintf(text, size, "every step%s%s", start, stop);
    else snprintf(text, size, "every %lld steps%s%s", (long long)frequency->interval, start, stop);
}

static void kind_text(const trajlog_frequency *frequency, char *text, size_t size)
{
    switch (frequency->kind) {
    case TRAJLOG_FREQUENCY_ONCE:
        snprintf(text, size, "once");
        return;
    case TRAJLOG_FREQUENCY_EVERY:
        every_text(frequency, text, size);
        return;
    case TRAJLOG_FREQUENCY_STEPS:
        snprintf(text, size, "at %zu listed step%s", frequency->step_count, frequency->step_count == 1 ? "" : "s");
        return;
    case TRAJLOG_FREQUENCY_LOGARITHMIC:
        snprintf(text, size, "logarithmic, %ld per decade", (long)frequency->per_decade);
        return;
    case TRAJLOG_FREQUENCY_PREDICATE:
        snprintf(text, size, "when a predicate holds");
        return;
    case TRAJLOG_FREQUENCY_WALL_CLOCK:
        snprintf(text, size, "every %g s of wall-clock time", frequency->seconds);
        return;
    }
    snprintf(text, size, "unknown frequency");
}

char *trajlog_frequency_text(const trajlog_frequency *frequency, char *text, size_t size)
{
    static const char *const ends[2][2] = {{"", " and the last"}, {" and the first", ", the first and the last"}};
    char kind[160] = "no frequency";
    const char *end = "";
    if (frequency != NULL) {
        bool once = frequency->kind == TRAJLOG_FREQUENCY_ONCE;
        kind_text(frequency, kind, sizeof kind);
        if (!once) end = ends[frequency->with_first != 0][frequency->with_last != 0];
    }
    snprintf(text, size, "%s%s", kind, end);
    return text;
}

/* ----------------------------------------------------------------------------------------------------- schedule --- */

void schedule_init(struct schedule *schedule, const trajlog_frequency *frequency, int64_t total_steps)
{
    memset(schedule, 0, sizeof *schedule);
    schedule->frequency = frequency;
    schedule->total_steps = total_steps;
    schedule->next_due = INT64_MIN; /* the first step logged must be looked at, whatever its number */
}

void schedule_continue(struct schedule *schedule, int64_t first_step, double clock)
{
    schedule->started = true;
    schedule->first_step = first_step;
    schedule->last_due_clock = clock;
}

/* Sets the number of the last step, where the hint tells it. */
static bool knows_last(const struct schedule *schedule, int64_t first_step, int64_t *last)
{
    if (schedule->frequency->with_last == 0 || schedule->total_steps < 1) return false;
    return !__builtin_add_overflow(first_step, schedule->total_steps - 1, last);
}

static bool is_due_by_frequency(const struct schedule *schedule, int64_t step, double time, const void *state,
                                double clock)
{
    const trajlog_frequency *frequency = schedule->frequency;
    switch (frequency->kind) {
    case TRAJLOG_FREQUENCY_ONCE:
        return !schedule->started;
    case TRAJLOG_FREQUENCY_PREDICATE:
        return frequency->predicate(step, time, state, frequency->context) != 0;
    case TRAJLOG_FREQUENCY_WALL_CLOCK:
        return !schedule->started || clock - schedule->last_due_clock >= frequency->seconds;
    default:
        return names_step(frequency, step);
    }
}

bool schedule_is_due(const struct schedule *schedule, int64_t step, double time, const void *state, double clock)
{
    int64_t last = 0;
    if (is_due_by_frequency(schedule, step, time, state, clock)) return true;
    if (!schedule->started && schedule->frequency->with_first != 0) return true;
    return knows_last(schedule, schedule->started ? schedule->first_step : step, &last) && step == last;
}

static int64_t next_due_after(const struct schedule *schedule, int64_t step)
{
    int64_t next = NEVER_DUE, last;
    if (schedule->frequency->kind != TRAJLOG_FREQUENCY_ONCE && step < INT64_MAX) {
        next = frequency_next_due(schedule->frequency, step + 1);
    }
    if (knows_last(schedule, schedule->first_step, &last) && last > step && last < next) next = last;
    return next;
}

void schedule_advance(struct schedule *schedule, int64_t step, bool due, double clock)
{
    if (!schedule->started) schedule->first_step = step;
    schedule->started = true;
    if (due) schedule->last_due_clock = clock;
    if (!frequency_is_static(schedule->frequency)) return;
    if (step >= schedule->next_due) schedule->next_due = next_due_after(schedule, step);
}
