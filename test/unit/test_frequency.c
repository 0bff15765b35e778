#include "harness.h"

#include <math.h>
#include <stdbool.h>

#include "model/frequency.h"

static void every_ten(void **state)
{
    trajlog_frequency every = trajlog_every(10);
    (void)state;
    assert_int_equal(trajlog_frequency_rows(&every, 95), 10);
    assert_int_equal(trajlog_frequency_rows(&every, 101), 11);
    assert_int_equal(trajlog_frequency_rows(&every, 0), 0);
    assert_int_equal(trajlog_frequency_rows(&every, -1), -1);
    assert_int_equal(trajlog_frequency_row(&every, 20), 2);
    assert_int_equal(trajlog_frequency_row(&every, 21), -1);
    assert_int_equal(trajlog_frequency_row(&every, -10), -1);
    assert_int_equal(trajlog_frequency_is_due(&every, 0), 1);
    assert_int_equal(trajlog_frequency_is_due(&every, 7), 0);
    assert_int_equal(trajlog_frequency_is_due(&every, -10), 0);
}

static void every_at_the_ends_of_the_range(void **state)
{
    trajlog_frequency all = trajlog_every_between(1, INT64_MIN, TRAJLOG_NO_STOP);
    trajlog_frequency wide = trajlog_every_between(INT64_MAX, INT64_MIN, TRAJLOG_NO_STOP);
    trajlog_frequency ten = trajlog_every_between(10, -25, 6);
    (void)state;
    assert_int_equal(trajlog_frequency_is_due(&all, INT64_MIN), 1);
    assert_int_equal(trajlog_frequency_is_due(&all, INT64_MAX), 1);
    assert_true(trajlog_frequency_rows(&all, INT64_MAX) == INT64_MAX);
    assert_true(frequency_next_due(&wide, INT64_MIN + 1) == -1);
    assert_true(frequency_next_due(&wide, 0) == INT64_MAX - 1);
    assert_true(frequency_next_due(&wide, INT64_MAX) == NEVER_DUE);
    assert_true(frequency_next_due(&ten, INT64_MIN) == -25);
    assert_true(frequency_next_due(&ten, -24) == -15);
    assert_true(frequency_next_due(&ten, 0) == 5);
    assert_true(frequency_next_due(&ten, 6) == NEVER_DUE);
    assert_int_equal(trajlog_frequency_is_due(&ten, 15), 0);
    assert_int_equal(trajlog_frequency_rows(&ten, 1000), 1);
    assert_int_equal(trajlog_frequency_row(&ten, 5), 0);
}

/* The pure functions against a count of the steps that are due. */
static void check_against_count(trajlog_frequency frequency, int64_t total)
{
    int64_t rows = 0;
    for (int64_t step = 0; step < total; step++) {
        bool due = trajlog_frequency_is_due(&frequency, step) == 1;
        assert_int_equal(trajlog_frequency_row(&frequency, step), due ? rows : -1);
        rows += due;
        if (frequency.with_last == 0) assert_int_equal(trajlog_frequency_rows(&frequency, step + 1), rows);
        else assert_int_equal(trajlog_frequency_rows(&frequency, step + 1), rows + !due);
    }
    for (int64_t step = -50, next = INT64_MIN; step < total && frequency.with_first == 0; step++) {
        if (next < step) next = frequency_next_due(&frequency, step);
        assert_int_equal(trajlog_frequency_is_due(&frequency, step) == 1, next == step);
    }
}

static void pure_functions_agree_with_one_another(void **state)
{
    static const int64_t steps[] = {-7, -1, 0, 3, 4, 100, 250};
    static const int64_t late[] = {5, 90};
    (void)state;
    trajlog_frequency all[] = {
        trajlog_once(),
        trajlog_every(1),
        trajlog_every(7),
        trajlog_every_between(7, 3, 80),
        trajlog_every_between(9, -20, TRAJLOG_NO_STOP),
        trajlog_at_steps(steps, 7),
        trajlog_at_steps(late, 2),
        trajlog_logarithmic(1),
        trajlog_logarithmic(10),
        trajlog_logarithmic(37),
        trajlog_logarithmic(1000),
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        check_against_count(all[i], 300);
        check_against_count(trajlog_with_first(all[i]), 300);
        if (all[i].kind == TRAJLOG_FREQUENCY_ONCE) continue;
        check_against_count(trajlog_with_last(all[i]), 300);
        check_against_count(trajlog_with_last(trajlog_with_first(all[i])), 300);
    }
}

static void listed_steps(void **state)
{
    static const int64_t steps[] = {INT64_MIN, -3, 0, 8, INT64_MAX};
    trajlog_frequency listed = trajlog_at_steps(steps, 5);
    (void)state;
    assert_int_equal(frequency_check(&listed, NULL), TRAJLOG_OK);
    assert_int_equal(trajlog_frequency_is_due(&listed, INT64_MIN), 1);
    assert_int_equal(trajlog_frequency_is_due(&listed, INT64_MAX), 1);
    assert_int_equal(trajlog_frequency_is_due(&listed, 7), 0);
    assert_int_equal(trajlog_frequency_row(&listed, 8), 1);
    assert_int_equal(trajlog_frequency_row(&listed, -3), -1);
    assert_int_equal(trajlog_frequency_rows(&listed, 9), 2);
    assert_true(frequency_next_due(&listed, 1) == 8);
}

/* v is nearest to 10^(k / p) if (2 v - 1)^p < 2^p 10^k < (2 v + 1)^p; exact in 128 bits. */
static void check_logarithmic(int per_decade, int last_k)
{
    trajlog_frequency frequency = trajlog_logarithmic(per_decade);
    int64_t step = frequency_next_due(&frequency, 1), rows = 1;
    unsigned __int128 target = 1;
    for (int i = 0; i < per_decade; i++) target *= 2;
    for (int k = 0; k <= last_k; k++, target *= 10) {
        unsigned __int128 low = 1, high = 1;
        for (int i = 0; i < per_decade; i++) {
            low *= 2 * (unsigned __int128)step - 1;
            high *= 2 * (unsigned __int128)step + 1;
        }
        assert_true(low < target && target < high);
        assert_int_equal(trajlog_frequency_is_due(&frequency, step), 1);
        assert_int_equal(trajlog_frequency_row(&frequency, step), rows++);
        assert_int_equal(trajlog_frequency_is_due(&frequency, step + 1), 0 + (step == 1 && per_decade > 2));
        step = frequency_next_due(&frequency, step + 1);
    }
}

static void logarithmic_steps_are_the_nearest(void **state)
{
    (void)state;
    check_logarithmic(1, 18);
    check_logarithmic(2, 34);
    check_logarithmic(3, 35);
}

static void logarithmic_steps_grow_to_the_end_of_the_range(void **state)
{
    trajlog_frequency frequency = trajlog_logarithmic(1000);
    int64_t count = 0, tens = 0, power = 1;
    (void)state;
    assert_true(frequency_next_due(&frequency, INT64_MIN) == 0);
    for (int64_t step = 1, last = 0; (step = frequency_next_due(&frequency, step)) != NEVER_DUE; step++, count++) {
        assert_true(step > last);
        last = step;
        if (step == power) tens++, power = power < INT64_MAX / 10 ? 10 * power : power;
    }
    assert_int_equal(tens, 19);
    assert_int_equal(trajlog_frequency_rows(&frequency, INT64_MAX), count + 1);
    assert_int_equal(trajlog_frequency_is_due(&frequency, INT64_MAX), 0);
}

static void only_the_run_can_tell(void **state)
{
    trajlog_frequency clock = trajlog_wall_clock(1), when = trajlog_when(NULL, NULL), bad = trajlog_every(0);
    (void)state;
    assert_int_equal(trajlog_frequency_is_due(&clock, 0), -1);
    assert_int_equal(trajlog_frequency_rows(&when, 10), -1);
    assert_int_equal(trajlog_frequency_row(&bad, 0), -1);
    assert_int_equal(trajlog_frequency_rows(NULL, 1), -1);
    bad.kind = (trajlog_frequency_kind)77;
    assert_int_equal(trajlog_frequency_is_due(&bad, 0), -1);
}

static void refuse(trajlog_frequency frequency, const char *message)
{
    struct error error = {0};
    assert_int_equal(frequency_check(&frequency, &error), TRAJLOG_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, message));
}

static void bad_frequencies_are_refused(void **state)
{
    static const int64_t equal[] = {1, 2, 2};
    trajlog_frequency odd = trajlog_every(1), unnamed = trajlog_when(NULL, NULL);
    (void)state;
    refuse(trajlog_every(0), "at least 1, got 0");
    refuse(trajlog_every(INT64_MIN), "at least 1");
    refuse(trajlog_every_between(1, 5, 5), "stop > start");
    refuse(trajlog_at_steps(NULL, 3), "at least one step");
    refuse(trajlog_at_steps(equal, 0), "at least one step");
    refuse(trajlog_at_steps(equal, 3), "got 2 after 2");
    refuse(trajlog_logarithmic(0), "1 to 1000");
    refuse(trajlog_logarithmic(1001), "1 to 1000");
    refuse(trajlog_wall_clock(0), "more than 0");
    refuse(trajlog_wall_clock(NAN), "more than 0");
    refuse(trajlog_wall_clock(INFINITY), "more than 0");
    refuse(unnamed, "expected a function");
    assert_int_equal(frequency_check_described(&unnamed, NULL), TRAJLOG_OK);
    refuse(trajlog_with_last(trajlog_once()), "once");
    odd.reserved[2] = 1;
    refuse(odd, "reserved");
    odd.reserved[2] = 0;
    odd.kind = (trajlog_frequency_kind)0;
    refuse(odd, "kind 0");
}

static void texts(void **state)
{
    static const int64_t steps[] = {1, 2};
    trajlog_frequency ten = trajlog_every(10), last = trajlog_with_last(trajlog_every_between(1, 5, 9));
    trajlog_frequency both = trajlog_with_first(trajlog_with_last(trajlog_at_steps(steps, 2)));
    trajlog_frequency once = trajlog_with_first(trajlog_once()), clock = trajlog_wall_clock(0.5);
    char text[100];
    (void)state;
    assert_string_equal(trajlog_frequency_text(&ten, text, sizeof text), "every 10 steps");
    assert_string_equal(trajlog_frequency_text(&last, text, sizeof text), "every step from 5 before 9 and the last");
    assert_string_equal(trajlog_frequency_text(&both, text, sizeof text), "at 2 listed steps, the first and the last");
    assert_string_equal(trajlog_frequency_text(&once, text, sizeof text), "once");
    assert_string_equal(trajlog_frequency_text(&clock, text, sizeof text), "every 0.5 s of wall-clock time");
    assert_string_equal(trajlog_frequency_text(&ten, text, 6), "every");
}

/* ----------------------------------------------------------------------------------------------------- schedule --- */

/* Logs the steps from `first` on, as a writer does, and returns how many were due; *asked counts the slow questions. */
static int run(trajlog_frequency frequency, int64_t hint, int64_t first, int64_t stop, int64_t *due, int *asked)
{
    struct schedule schedule;
    int count = 0;
    *asked = 0;
    schedule_init(&schedule, &frequency, hint);
    for (int64_t step = first; step < stop; step++) {
        bool is_due;
        if (step < schedule.next_due) continue;
        ++*asked;
        is_due = schedule_is_due(&schedule, step, (double)step, NULL, (double)step);
        if (is_due) due[count++] = step;
        schedule_advance(&schedule, step, is_due, (double)step);
    }
    return count;
}

static void check_run(trajlog_frequency frequency, int64_t hint, int64_t first, int64_t stop, const char *expected)
{
    int64_t due[200];
    char text[500] = "";
    int asked, count = run(frequency, hint, first, stop, due, &asked);
    for (int i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%lld ", (long long)due[i]);
    assert_string_equal(text, expected);
    if (frequency_is_static(&frequency)) assert_true(asked <= count + 1);
}

static int is_square_of_small(int64_t step, double time, const void *state, void *context)
{
    (void)state;
    ++*(int *)context;
    assert_true(time == (double)step);
    return step == 1 || step == 4 || step == 9;
}

static void runs_from_any_step(void **state)
{
    static const int64_t steps[] = {-2, 5, 6, 50};
    (void)state;
    check_run(trajlog_once(), 0, 17, 40, "17 ");
    check_run(trajlog_once(), 0, -5, 5, "-5 ");
    check_run(trajlog_every(10), 0, 0, 31, "0 10 20 30 ");
    check_run(trajlog_every(10), 0, 15, 45, "20 30 40 ");
    check_run(trajlog_every_between(10, -20, 5), 0, -25, 45, "-20 -10 0 ");
    check_run(trajlog_with_first(trajlog_every(10)), 0, 15, 35, "15 20 30 ");
    check_run(trajlog_with_first(trajlog_every(10)), 0, 0, 15, "0 10 ");
    check_run(trajlog_with_last(trajlog_every(10)), 20, 15, 35, "20 30 34 ");
    check_run(trajlog_with_last(trajlog_every(10)), 1, 15, 16, "15 ");
    check_run(trajlog_with_last(trajlog_every(10)), 21, 0, 21, "0 10 20 ");
    check_run(trajlog_with_last(trajlog_every(10)), 0, 15, 35, "20 30 ");
    check_run(trajlog_at_steps(steps, 4), 0, -10, 30, "-2 5 6 ");
    check_run(trajlog_logarithmic(1), 0, 3, 1200, "10 100 1000 ");
    check_run(trajlog_wall_clock(10), 0, 3, 40, "3 13 23 33 ");
    check_run(trajlog_every(1), 0, INT64_MAX - 2, INT64_MAX, "9223372036854775805 9223372036854775806 ");
}

static void predicates_are_asked_at_each_step(void **state)
{
    int calls = 0;
    trajlog_frequency when = trajlog_when(is_square_of_small, &calls);
    (void)state;
    check_run(when, 0, 0, 20, "1 4 9 ");
    assert_int_equal(calls, 20);
    check_run(trajlog_with_first(trajlog_with_last(when)), 20, 0, 20, "0 1 4 9 19 ");
    assert_int_equal(calls, 40);
}

static void the_last_number_of_all_can_be_due(void **state)
{
    trajlog_frequency every = trajlog_every(1);
    struct schedule schedule;
    (void)state;
    schedule_init(&schedule, &every, 0);
    schedule_advance(&schedule, INT64_MAX - 1, true, 0);
    assert_false(INT64_MAX < schedule.next_due);
    assert_true(schedule_is_due(&schedule, INT64_MAX, 0, NULL, 0));
    schedule_advance(&schedule, INT64_MAX, true, 0);
}

static void asking_changes_nothing(void **state)
{
    trajlog_frequency once = trajlog_once();
    struct schedule schedule;
    (void)state;
    schedule_init(&schedule, &once, 0);
    assert_true(schedule_is_due(&schedule, 4, 0, NULL, 0));
    assert_true(schedule_is_due(&schedule, 5, 0, NULL, 0));
    schedule_advance(&schedule, 5, true, 0);
    assert_int_equal(schedule.first_step, 5);
    assert_true(schedule.next_due == NEVER_DUE);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_ten),
    cmocka_unit_test(every_at_the_ends_of_the_range),
    cmocka_unit_test(pure_functions_agree_with_one_another),
    cmocka_unit_test(listed_steps),
    cmocka_unit_test(logarithmic_steps_are_the_nearest),
    cmocka_unit_test(logarithmic_steps_grow_to_the_end_of_the_range),
    cmocka_unit_test(only_the_run_can_tell),
    cmocka_unit_test(bad_frequencies_are_refused),
    cmocka_unit_test(texts),
    cmocka_unit_test(runs_from_any_step),
    cmocka_unit_test(predicates_are_asked_at_each_step),
    cmocka_unit_test(the_last_number_of_all_can_be_due),
    cmocka_unit_test(asking_changes_nothing),
};
TEST_MAIN(tests)
