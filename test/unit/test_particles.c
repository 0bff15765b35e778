/* Groups whose number of particles varies, and frames in another order than memory, through the public face. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"

#include "trajlog.h"

#define CAPACITY 6

struct scene {
    char path[64];
    trajlog_writer *log;
    trajlog_group *group;
    trajlog_field *position;
    int64_t count, order[CAPACITY];
    double x[CAPACITY][3];
    int64_t id[CAPACITY];
    int32_t kind[CAPACITY];
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    strcpy(scene->path, "/tmp/trajlog-particles-XXXXXX");
    int file = mkstemp(scene->path);
    assert_true(file >= 0);
    close(file);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    char lock[80];
    trajlog_close(&scene->log);
    unlink(scene->path);
    snprintf(lock, sizeof lock, "%s.lock", scene->path);
    unlink(lock);
    free(scene);
    return 0;
}

static void ok(trajlog_status status)
{
    if (status != TRAJLOG_OK) fail_msg("%s: %s", trajlog_status_name(status), trajlog_message(NULL));
}

static void create(struct scene *scene, int32_t synchronous)
{
    trajlog_options options = trajlog_default_options();
    options.existing = TRAJLOG_REPLACE;
    options.synchronous = synchronous;
    ok(trajlog_create(&scene->log, scene->path, &options));
    scene->group = trajlog_add_group(scene->log, "trajectory", trajlog_every(1));
    scene->position = trajlog_add_field(scene->group, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(CAPACITY, 3), scene->x, "nm");
    ok(trajlog_set_role(scene->position, TRAJLOG_ROLE_POSITION, NULL));
    trajlog_field *id = trajlog_add_field(scene->group, "id", TRAJLOG_INT64, TRAJLOG_SHAPE(CAPACITY), scene->id, NULL);
    ok(trajlog_store_as(id, TRAJLOG_INT32));
    ok(trajlog_set_role(id, TRAJLOG_ROLE_ID, NULL));
    trajlog_field *kind =
        trajlog_add_field(scene->group, "kind", TRAJLOG_INT32, TRAJLOG_SHAPE(CAPACITY), scene->kind, NULL);
    ok(trajlog_set_role(kind, TRAJLOG_ROLE_SPECIES, NULL));
}

/* What stands behind the particles is never to be seen. */
static void fill(struct scene *scene, int64_t step, int64_t count)
{
    scene->count = count;
    for (int64_t i = 0; i < CAPACITY; i++) {
        const bool there = i < count;
        for (int k = 0; k < 3; k++) scene->x[i][k] = there ? (double)(100 * step + 10 * i + k) : 1e300;
        scene->id[i] = there ? 7 * i + step : INT64_MAX;
        scene->kind[i] = there ? (int32_t)(i + 1) : 77;
    }
}

static trajlog_reader *read_back(struct scene *scene)
{
    trajlog_reader *reader = NULL;
    ok(trajlog_close(&scene->log));
    ok(trajlog_open(&reader, scene->path));
    return reader;
}

static void padding_hides_what_is_not_there(void **state)
{
    struct scene *scene = *state;
    static const int64_t counts[] = {3, 0, CAPACITY, 1};
    double x[4][CAPACITY][3];
    int32_t id[4][CAPACITY], kind[4][CAPACITY];
    int64_t count[4];
    create(scene, 0);
    ok(trajlog_set_count(scene->group, &scene->count));
    for (int64_t step = 0; step < 4; step++) {
        fill(scene, step, counts[step]);
        ok(trajlog_log(scene->log, step, (double)step));
    }
    trajlog_reader *reader = read_back(scene);
    ok(trajlog_read(reader, "trajectory", "x", trajlog_all_rows(), TRAJLOG_FLOAT64, x, sizeof x, NULL));
    ok(trajlog_read(reader, "trajectory", "id", trajlog_all_rows(), TRAJLOG_INT32, id, sizeof id, NULL));
    ok(trajlog_read(reader, "trajectory", "kind", trajlog_all_rows(), TRAJLOG_INT32, kind, sizeof kind, NULL));
    ok(trajlog_read(reader, "trajectory", "count", trajlog_all_rows(), TRAJLOG_INT64, count, sizeof count, NULL));
    for (int64_t step = 0; step < 4; step++) {
        fill(scene, step, counts[step]);
        assert_int_equal(count[step], counts[step]);
        for (int64_t i = 0; i < CAPACITY; i++) {
            const bool there = i < counts[step];
            for (int k = 0; k < 3; k++) {
                if (there) assert_true(x[step][i][k] == scene->x[i][k]);
                else assert_true(isnan(x[step][i][k]));
            }
            assert_int_equal(id[step][i], there ? scene->id[i] : -1);
            assert_int_equal(kind[step][i], there ? scene->kind[i] : 0);
        }
    }
    trajlog_reader_close(&reader);
}

static void assert_ragged(const trajlog_ragged *ragged, const int64_t *steps, int64_t rows, const int64_t *counts,
                          struct scene *scene)
{
    const double(*values)[3] = ragged->values;
    int64_t offset = 0;
    assert_int_equal(ragged->row_count, rows);
    for (int64_t k = 0; k < rows; k++) {
        fill(scene, steps[k], counts[steps[k]]);
        assert_int_equal(ragged->offsets[k], offset);
        assert_memory_equal(values + offset, scene->x, (size_t)scene->count * sizeof scene->x[0]);
        offset += scene->count;
    }
    assert_int_equal(ragged->offsets[rows], offset);
}

static void the_reader_gives_what_is_there(void **state)
{
    struct scene *scene = *state;
    static const int64_t counts[] = {3, 0, CAPACITY, 1}, all[] = {0, 1, 2, 3}, some[] = {3, 1, 3};
    trajlog_ragged ragged;
    create(scene, 0);
    ok(trajlog_set_count(scene->group, &scene->count));
    for (int64_t step = 0; step < 4; step++) {
        fill(scene, step, counts[step]);
        ok(trajlog_log(scene->log, step, (double)step));
    }
    trajlog_reader *reader = read_back(scene);
    const trajlog_field_info *info = trajlog_reader_field(reader, 0, 0);
    assert_int_equal(info->role, TRAJLOG_ROLE_POSITION);
    assert_string_equal(info->particles, "all");
    assert_true(info->varying);
    ok(trajlog_read_ragged(reader, "trajectory", "x", trajlog_all_rows(), 0, &ragged));
    assert_ragged(&ragged, all, 4, counts, scene);
    trajlog_ragged_free(&ragged);
    ok(trajlog_read_ragged(reader, "trajectory", "x", trajlog_row_list(some, 3), 0, &ragged));
    assert_ragged(&ragged, some, 3, counts, scene);
    trajlog_ragged_free(&ragged);
    ok(trajlog_read_ragged(reader, "trajectory", "x", trajlog_row(2), 0, &ragged));
    assert_ragged(&ragged, all + 2, 1, counts, scene);
    trajlog_ragged_free(&ragged);
    ok(trajlog_read_ragged(reader, "trajectory", "x", trajlog_row_range(0, 0, 1), 0, &ragged));
    assert_int_equal(ragged.offsets[0], 0);
    trajlog_ragged_free(&ragged);
    /* The padding of ids is no uint8, and need not be. */
    ok(trajlog_read_ragged(reader, "trajectory", "id", trajlog_all_rows(), TRAJLOG_UINT8, &ragged));
    assert_int_equal(ragged.offsets[4], 10);
    assert_int_equal(((uint8_t *)ragged.values)[4], 7 + 2);
    trajlog_ragged_free(&ragged);
    assert_int_equal(trajlog_read_ragged(reader, "trajectory", "count", trajlog_all_rows(), 0, &ragged),
                     TRAJLOG_INVALID_ARGUMENT);
    assert_null(ragged.offsets);
    assert_int_equal(trajlog_read_ragged(reader, "trajectory", "y", trajlog_all_rows(), 0, &ragged), TRAJLOG_NOT_FOUND);
    assert_int_equal(trajlog_read_ragged(reader, "trajectory", "x", trajlog_all_rows(), 0, NULL),
                     TRAJLOG_INVALID_ARGUMENT);
    trajlog_reader_close(&reader);
}

static void a_fixed_number_is_ragged_too(void **state)
{
    struct scene *scene = *state;
    static const int64_t counts[] = {CAPACITY, CAPACITY}, all[] = {0, 1};
    trajlog_ragged ragged;
    create(scene, 0);
    for (int64_t step = 0; step < 2; step++) {
        fill(scene, step, CAPACITY);
        ok(trajlog_log(scene->log, step, (double)step));
    }
    trajlog_reader *reader = read_back(scene);
    assert_false(trajlog_reader_field(reader, 0, 0)->varying);
    ok(trajlog_read_ragged(reader, "trajectory", "x", trajlog_all_rows(), 0, &ragged));
    assert_ragged(&ragged, all, 2, counts, scene);
    trajlog_ragged_free(&ragged);
    trajlog_ragged_free(NULL);
    trajlog_reader_close(&reader);
}

static void a_count_out_of_range_does_not_stick(void **state)
{
    struct scene *scene = *state;
    create(scene, 1);
    ok(trajlog_set_count(scene->group, &scene->count));
    ok(trajlog_limit_count(scene->group, CAPACITY));
    fill(scene, 0, CAPACITY);
    ok(trajlog_log(scene->log, 0, 0));
    scene->count = CAPACITY + 1;
    assert_int_equal(trajlog_log(scene->log, 1, 1), TRAJLOG_OUT_OF_RANGE);
    assert_non_null(strstr(trajlog_message(scene->log), "the count is 7: expected 0 to 6"));
    scene->count = -1;
    assert_int_equal(trajlog_log(scene->log, 1, 1), TRAJLOG_OUT_OF_RANGE);
    scene->count = 2;
    ok(trajlog_log(scene->log, 1, 1));
    trajlog_reader *reader = read_back(scene);
    assert_int_equal(trajlog_reader_group(reader, 0)->rows, 2);
    trajlog_reader_close(&reader);
}

static void frames_are_in_the_order_that_is_given(void **state)
{
    struct scene *scene = *state;
    static const int64_t orders[2][CAPACITY] = {{5, 3, 1, 0, 2, 4}, {0, 1, 2, 3, 5, 4}};
    double x[3][CAPACITY][3];
    int32_t id[3][CAPACITY];
    create(scene, 0);
    for (int64_t step = 0; step < 3; step++) {
        fill(scene, step, CAPACITY);
        if (step < 2) memcpy(scene->order, orders[step], sizeof scene->order);
        ok(trajlog_set_order(scene->group, step < 2 ? scene->order : NULL));
        ok(trajlog_log(scene->log, step, (double)step));
    }
    trajlog_reader *reader = read_back(scene);
    ok(trajlog_read(reader, "trajectory", "x", trajlog_all_rows(), TRAJLOG_FLOAT64, x, sizeof x, NULL));
    ok(trajlog_read(reader, "trajectory", "id", trajlog_all_rows(), TRAJLOG_INT32, id, sizeof id, NULL));
    for (int64_t step = 0; step < 3; step++) {
        fill(scene, step, CAPACITY);
        for (int64_t i = 0; i < CAPACITY; i++) {
            const int64_t place = step < 2 ? orders[step][i] : i;
            assert_memory_equal(x[step][i], scene->x[place], sizeof x[step][i]);
            assert_int_equal(id[step][i], scene->id[place]);
        }
    }
    trajlog_reader_close(&reader);
}

/* In structs, Fortran order, and by a callback. */
static int fill_by_callback(void *frame, const void *state, void *context)
{
    (void)state;
    memcpy(frame, context, sizeof(double[CAPACITY][3]));
    return 0;
}

static void every_kind_of_view_is_ordered_and_padded(void **state)
{
    struct scene *scene = *state;
    double fortran[3][CAPACITY], filled[CAPACITY][3], x[CAPACITY][3];
    create(scene, 0);
    trajlog_field *column =
        trajlog_add_field(scene->group, "column", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(CAPACITY, 3), NULL, NULL);
    ok(trajlog_bind_fortran(column, fortran));
    ok(trajlog_set_role(column, TRAJLOG_ROLE_PARTICLE, NULL));
    trajlog_field *called =
        trajlog_add_field(scene->group, "called", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(CAPACITY, 3), NULL, NULL);
    ok(trajlog_set_callback(called, fill_by_callback, filled));
    ok(trajlog_set_role(called, TRAJLOG_ROLE_PARTICLE, NULL));
    trajlog_field *plain =
        trajlog_add_field(scene->group, "plain", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(CAPACITY, 3), scene->x, NULL);
    assert_non_null(plain);
    ok(trajlog_set_count(scene->group, &scene->count));
    fill(scene, 1, CAPACITY);
    for (int i = 0; i < CAPACITY; i++) {
        for (int k = 0; k < 3; k++) fortran[k][i] = filled[i][k] = scene->x[i][k];
        scene->order[i] = CAPACITY - 1 - i;
    }
    scene->count = 4;
    ok(trajlog_set_order(scene->group, scene->order));
    ok(trajlog_log(scene->log, 0, 0));
    trajlog_reader *reader = read_back(scene);
    static const char *const names[] = {"x", "column", "called"};
    for (int field = 0; field < 3; field++) {
        ok(trajlog_read(reader, "trajectory", names[field], trajlog_row(0), TRAJLOG_FLOAT64, x, sizeof x, NULL));
        for (int i = 0; i < 4; i++) assert_memory_equal(x[i], scene->x[CAPACITY - 1 - i], sizeof x[i]);
        assert_true(isnan(x[4][0]) && isnan(x[5][2]));
    }
    ok(trajlog_read(reader, "trajectory", "plain", trajlog_row(0), TRAJLOG_FLOAT64, x, sizeof x, NULL));
    assert_memory_equal(x, scene->x, sizeof x); /* a field without a role of [N, ...] stays as it is */
    trajlog_reader_close(&reader);
}

/* An array that has no more room than there are particles, and is bound again when it grows: the sanitizer watches. */
static void arrays_may_be_shorter_than_the_capacity(void **state)
{
    struct scene *scene = *state;
    double x[CAPACITY][3], (*grown)[3] = NULL;
    create(scene, 0);
    ok(trajlog_set_count(scene->group, &scene->count));
    for (int64_t step = 0; step < CAPACITY; step++) {
        fill(scene, step, step + 1);
        grown = realloc(grown, (size_t)scene->count * sizeof *grown);
        memcpy(grown, scene->x, (size_t)scene->count * sizeof *grown);
        ok(trajlog_bind(scene->position, grown, NULL));
        ok(trajlog_log(scene->log, step, (double)step));
    }
    trajlog_reader *reader = read_back(scene);
    free(grown);
    for (int64_t step = 0; step < CAPACITY; step++) {
        fill(scene, step, step + 1);
        ok(trajlog_read(reader, "trajectory", "x", trajlog_row(step), TRAJLOG_FLOAT64, x, sizeof x, NULL));
        assert_memory_equal(x, scene->x, (size_t)scene->count * sizeof x[0]);
        assert_true(scene->count == CAPACITY || isnan(x[scene->count][0]));
    }
    trajlog_reader_close(&reader);
}

static void an_order_out_of_range_does_not_stick(void **state)
{
    struct scene *scene = *state;
    create(scene, 1);
    fill(scene, 0, CAPACITY);
    ok(trajlog_set_order(scene->group, scene->order));
    ok(trajlog_log(scene->log, 0, 0));
    scene->order[3] = CAPACITY;
    assert_int_equal(trajlog_log(scene->log, 1, 1), TRAJLOG_OUT_OF_RANGE);
    assert_non_null(strstr(trajlog_message(scene->log), "order[3] is 6"));
    scene->order[3] = -1;
    assert_int_equal(trajlog_log(scene->log, 1, 1), TRAJLOG_OUT_OF_RANGE);
    scene->order[3] = 5;
    ok(trajlog_log(scene->log, 1, 1));
}

static void an_order_of_nothing_is_refused(void **state)
{
    struct scene *scene = *state;
    create(scene, 1);
    trajlog_group *other = trajlog_add_group(scene->log, "other", trajlog_every(1));
    trajlog_add_field(other, "y", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(CAPACITY, 3), scene->x, NULL);
    ok(trajlog_set_order(other, scene->order));
    assert_int_equal(trajlog_log(scene->log, 0, 0), TRAJLOG_INVALID_ARGUMENT);
    assert_non_null(strstr(trajlog_message(scene->log), "expected fields with roles of [N, ...]"));
    assert_int_equal(trajlog_close(&scene->log), TRAJLOG_INVALID_ARGUMENT);
}

static void bad_counts_are_refused(void **state)
{
    struct scene *scene = *state;
    create(scene, 1);
    assert_int_equal(trajlog_set_count(NULL, &scene->count), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(trajlog_set_order(NULL, scene->order), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(trajlog_set_count(scene->group, NULL), TRAJLOG_INVALID_ARGUMENT);
    trajlog_close(&scene->log);
    create(scene, 1);
    ok(trajlog_set_count(scene->group, &scene->count));
    assert_int_equal(trajlog_set_count(scene->group, &scene->count), TRAJLOG_DUPLICATE_NAME);
    trajlog_close(&scene->log);
    create(scene, 1);
    trajlog_group *once = trajlog_add_group(scene->log, "init", trajlog_once());
    assert_int_equal(trajlog_set_count(once, &scene->count), TRAJLOG_INVALID_ARGUMENT);
    assert_non_null(strstr(trajlog_message(scene->log), "group \"init\""));
    trajlog_close(&scene->log);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    TEST(padding_hides_what_is_not_there),
    TEST(the_reader_gives_what_is_there),
    TEST(a_fixed_number_is_ragged_too),
    TEST(a_count_out_of_range_does_not_stick),
    TEST(frames_are_in_the_order_that_is_given),
    TEST(every_kind_of_view_is_ordered_and_padded),
    TEST(arrays_may_be_shorter_than_the_capacity),
    TEST(an_order_out_of_range_does_not_stick),
    TEST(an_order_of_nothing_is_refused),
    TEST(bad_counts_are_refused),
};
TEST_MAIN(tests)
