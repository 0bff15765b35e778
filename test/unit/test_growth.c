/* Numbers of particles that outgrow the capacity that their group began with: through the public face, and as libhdf5
 * reads it. */
#include <hdf5.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"

#include "trajlog.h"

#define FIRST 4 /* the capacity to begin with */
#define STEPS 60

/* Nothing, little, and now and then a jump over several doublings. */
static const int64_t counts[] = {0, 3, 4, 5, 9, 2, 0, 40, 33, 8, 200, 199, 1, 0, 7, 201, 1000, 999, 3, 0};
#define COUNTS  ((int64_t)(sizeof counts / sizeof counts[0]))
#define LARGEST 1000

static int64_t count_at(int64_t step)
{
    /* The largest comes late, so that most rows are older than the room for it. */
    int64_t count = counts[step % COUNTS];
    return step < 2 * COUNTS && count > 200 ? count / 20 : count;
}

static int64_t most_until(int64_t step)
{
    int64_t most = 0;
    for (int64_t i = 0; i <= step; i++)
        if (count_at(i) > most) most = count_at(i);
    return most;
}

static int64_t capacity_after(int64_t step)
{
    int64_t capacity = FIRST;
    while (capacity < most_until(step)) capacity *= 2;
    return capacity;
}

enum { X, ID, PACKED, SERIES, ROUNDED, CALLED, FIELDS };
static const char *const names[FIELDS] = {"x", "id", "packed", "series", "rounded", "called"};

struct scene {
    char path[64];
    trajlog_writer *log;
    trajlog_group *group;
    trajlog_field *fields[FIELDS];
    int64_t count, step;
    double (*x)[3];
    int64_t *id;
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    strcpy(scene->path, "/tmp/trajlog-growth-XXXXXX");
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
    free(scene->x);
    free(scene->id);
    free(scene);
    return 0;
}

static void ok(trajlog_status status)
{
    if (status != TRAJLOG_OK) fail_msg("%s: %s", trajlog_status_name(status), trajlog_message(NULL));
}

/* Whole numbers and halves, that rounding to an error of 0.25 leaves as they are. */
static double value(int64_t step, int64_t particle, int k)
{
    return (double)(1000 * step + particle) + 0.5 * k;
}

static int fill_called(void *frame, const void *state, void *context)
{
    const struct scene *scene = context;
    double(*x)[3] = frame;
    (void)state;
    for (int64_t i = 0; i < scene->count; i++)
        for (int k = 0; k < 3; k++) x[i][k] = value(scene->step, i, k);
    return 0;
}

static trajlog_field *add_vectors(struct scene *scene, int field, int64_t capacity, trajlog_role role)
{
    trajlog_field *added =
        trajlog_add_field(scene->group, names[field], TRAJLOG_FLOAT64, TRAJLOG_SHAPE(capacity, 3), NULL, NULL);
    ok(trajlog_set_role(added, role, NULL));
    return scene->fields[field] = added;
}

static void declare(struct scene *scene, int64_t capacity)
{
    const trajlog_storage packed = {
        .struct_size = sizeof packed, .chunk_rows = 7, .compression = TRAJLOG_COMPRESSION_DEFLATE, .checksum = 1};
    const trajlog_storage series = {.struct_size = sizeof series, .chunk_rows = 16, .access = TRAJLOG_ACCESS_PARTICLE};
    const trajlog_storage rounded = {.struct_size = sizeof rounded, .chunk_rows = 5, .max_error = 0.25};
    scene->group = trajlog_add_group(scene->log, "gas", trajlog_every(1));
    add_vectors(scene, X, capacity, TRAJLOG_ROLE_POSITION);
    trajlog_field *id = scene->fields[ID] =
        trajlog_add_field(scene->group, "id", TRAJLOG_INT64, TRAJLOG_SHAPE(capacity), NULL, NULL);
    ok(trajlog_store_as(id, TRAJLOG_INT32));
    ok(trajlog_set_role(id, TRAJLOG_ROLE_ID, NULL));
    ok(trajlog_set_storage(add_vectors(scene, PACKED, capacity, TRAJLOG_ROLE_PARTICLE), &packed));
    ok(trajlog_set_storage(add_vectors(scene, SERIES, capacity, TRAJLOG_ROLE_PARTICLE), &series));
    ok(trajlog_set_storage(add_vectors(scene, ROUNDED, capacity, TRAJLOG_ROLE_PARTICLE), &rounded));
    add_vectors(scene, CALLED, capacity, TRAJLOG_ROLE_PARTICLE);
    ok(trajlog_set_callback(scene->fields[CALLED], fill_called, scene));
    ok(trajlog_set_count(scene->group, &scene->count));
    trajlog_group *other = trajlog_add_group(scene->log, "other", trajlog_every(3));
    trajlog_add_field(other, "count", TRAJLOG_INT64, TRAJLOG_SCALAR, &scene->count, NULL);
}

static void create(struct scene *scene, trajlog_options *options)
{
    options->existing = TRAJLOG_REPLACE;
    ok(trajlog_create(&scene->log, scene->path, options));
    declare(scene, FIRST);
}

/* Arrays that have no more places than there are particles: the sanitizer watches. */
static void fill(struct scene *scene, int64_t step)
{
    scene->step = step;
    scene->count = count_at(step);
    free(scene->x);
    free(scene->id);
    scene->x = malloc((size_t)scene->count * sizeof *scene->x + 1);
    scene->id = malloc((size_t)scene->count * sizeof *scene->id + 1);
    for (int64_t i = 0; i < scene->count; i++) {
        for (int k = 0; k < 3; k++) scene->x[i][k] = value(step, i, k);
        scene->id[i] = 7 * i + step;
    }
    for (int field = 0; field < CALLED; field++)
        ok(trajlog_bind(scene->fields[field], field == ID ? (void *)scene->id : (void *)scene->x, NULL));
}

static void log_steps(struct scene *scene, int64_t first, int64_t end, int64_t flush)
{
    for (int64_t step = first; step < end; step++) {
        fill(scene, step);
        ok(trajlog_log(scene->log, step, (double)step));
        if (flush > 0 && step % flush == 0) ok(trajlog_flush(scene->log));
    }
}

/* ---------------------------------------------------------------------------------------------------------------------
 * What is in the file
 * ------------------------------------------------------------------------------------------------------------------ */

static void expect_ragged(trajlog_reader *reader, int field, int64_t rows)
{
    trajlog_ragged ragged;
    trajlog_type type = field == ID ? TRAJLOG_INT64 : TRAJLOG_FLOAT64;
    int64_t offset = 0;
    ok(trajlog_read_ragged(reader, "gas", names[field], trajlog_all_rows(), type, &ragged));
    assert_int_equal(ragged.row_count, rows);
    for (int64_t step = 0; step < rows; step++) {
        assert_int_equal(ragged.offsets[step], offset);
        for (int64_t i = 0; i < count_at(step); i++, offset++) {
            const double *x = (const double *)ragged.values + 3 * offset;
            if (field == ID) assert_int_equal(((const int64_t *)ragged.values)[offset], 7 * i + step);
            else if (x[0] != value(step, i, 0) || x[1] != value(step, i, 1) || x[2] != value(step, i, 2))
                fail_msg("%s, step %d: particle %d is wrong", names[field], (int)step, (int)i);
        }
    }
    assert_int_equal(ragged.offsets[rows], offset);
    trajlog_ragged_free(&ragged);
}

/* As wide as the widest frame, with padding in all the others. */
static void expect_padded(trajlog_reader *reader, int field, int64_t rows, int64_t capacity)
{
    int64_t read = 0;
    void *data;
    trajlog_type type = field == ID ? TRAJLOG_INT64 : TRAJLOG_FLOAT64;
    assert_int_equal(trajlog_reader_field(reader, 0, field)->shape.dims[0], capacity);
    ok(trajlog_read_new(reader, "gas", names[field], trajlog_all_rows(), type, &data, &read));
    assert_int_equal(read, rows);
    for (int64_t step = 0; step < rows; step++) {
        for (int64_t i = 0; i < capacity; i++) {
            const bool there = i < count_at(step);
            const double *x = (const double *)data + 3 * (step * capacity + i);
            bool good;
            if (field == ID) good = ((const int64_t *)data)[step * capacity + i] == (there ? 7 * i + step : -1);
            else if (there) good = x[0] == value(step, i, 0) && x[1] == value(step, i, 1) && x[2] == value(step, i, 2);
            else good = isnan(x[0]) && isnan(x[1]) && isnan(x[2]);
            if (!good) fail_msg("%s, step %d: place %d is wrong", names[field], (int)step, (int)i);
        }
    }
    trajlog_free(data);
}

static void expect_no_problems(const struct scene *scene)
{
    trajlog_check_report report = {.struct_size = sizeof report};
    ok(trajlog_check(scene->path, NULL, &report, NULL, NULL));
    assert_int_equal(report.problems, 0);
}

/* As plain libhdf5 has it, which is told no schema. */
static void expect_dims(const struct scene *scene, int field, int64_t rows, int64_t capacity)
{
    char name[32];
    hsize_t dims[3] = {0};
    hid_t file = H5Fopen(scene->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    snprintf(name, sizeof name, "gas/%s", names[field]);
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(dataset);
    assert_true(H5Sget_simple_extent_dims(space, dims, NULL) > 0);
    assert_int_equal(dims[0], rows);
    assert_int_equal(dims[1], capacity);
    H5Sclose(space);
    H5Dclose(dataset);
    H5Fclose(file);
}

static void expect_all(struct scene *scene, int64_t rows)
{
    trajlog_reader *reader = NULL;
    const int64_t capacity = capacity_after(rows - 1);
    ok(trajlog_open(&reader, scene->path));
    for (int field = 0; field < FIELDS; field++) {
        expect_ragged(reader, field, rows);
        expect_padded(reader, field, rows, capacity);
    }
    trajlog_reader_close(&reader);
    for (int field = 0; field < FIELDS; field++) expect_dims(scene, field, rows, capacity);
    expect_no_problems(scene);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Tests
 * ------------------------------------------------------------------------------------------------------------------ */

static void write_and_expect(struct scene *scene, trajlog_options *options, int64_t flush)
{
    create(scene, options);
    log_steps(scene, 0, STEPS, flush);
    ok(trajlog_close(&scene->log));
    expect_all(scene, STEPS);
}

static void a_group_grows(void **state)
{
    trajlog_options options = trajlog_default_options();
    write_and_expect(*state, &options, 0);
}

static void a_group_grows_in_synchronous_mode(void **state)
{
    trajlog_options options = trajlog_default_options();
    options.synchronous = 1;
    write_and_expect(*state, &options, 5);
}

static void a_group_grows_between_commits(void **state)
{
    trajlog_options options = trajlog_default_options();
    write_and_expect(*state, &options, 1);
}

static void a_group_grows_beside_encoders(void **state)
{
    trajlog_options options = trajlog_default_options();
    options.encoder_threads = 2;
    write_and_expect(*state, &options, 9);
}

/* It has room for the first frames, and for no more than a single one of the last. */
static void the_queue_grows(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    trajlog_statistics statistics = {.struct_size = sizeof statistics};
    options.queue_bytes = 4096;
    create(scene, &options);
    log_steps(scene, 0, STEPS, 0);
    ok(trajlog_get_statistics(scene->log, &statistics));
    assert_true(statistics.queue_bytes > LARGEST * (4 * sizeof(double[3])));
    assert_int_equal(statistics.dropped, 0);
    ok(trajlog_close(&scene->log));
    expect_all(scene, STEPS);
}

/* The frame that is held in case that it is the last one is as large as any. */
static void the_last_step_may_be_the_largest(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    trajlog_ragged ragged;
    trajlog_reader *reader = NULL;
    const int64_t last = STEPS - 4;
    assert_int_equal(count_at(last), LARGEST);
    create(scene, &options);
    trajlog_group *ends = trajlog_add_group(scene->log, "ends", trajlog_with_last(trajlog_every(1000)));
    trajlog_field *x = trajlog_add_field(ends, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(FIRST, 3), NULL, NULL);
    ok(trajlog_set_role(x, TRAJLOG_ROLE_POSITION, "ends"));
    trajlog_field *id = trajlog_add_field(ends, "id", TRAJLOG_INT64, TRAJLOG_SHAPE(FIRST), NULL, NULL);
    ok(trajlog_set_role(id, TRAJLOG_ROLE_ID, "ends"));
    ok(trajlog_set_count(ends, &scene->count));
    for (int64_t step = 0; step <= last; step++) {
        fill(scene, step);
        ok(trajlog_bind(x, scene->x, NULL));
        ok(trajlog_bind(id, scene->id, NULL));
        ok(trajlog_log(scene->log, step, (double)step));
    }
    ok(trajlog_close(&scene->log));
    expect_all(scene, last + 1);
    ok(trajlog_open(&reader, scene->path));
    ok(trajlog_read_ragged(reader, "ends", "x", trajlog_row(-1), TRAJLOG_FLOAT64, &ragged));
    assert_int_equal(ragged.offsets[1], LARGEST);
    for (int64_t i = 0; i < LARGEST; i++) assert_true(((double *)ragged.values)[3 * i] == value(last, i, 0));
    trajlog_ragged_free(&ragged);
    trajlog_reader_close(&reader);
}

/* A single large frame makes all wide, and only those that lie in its chunks larger. */
static void room_without_particles_takes_no_space(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    trajlog_reader *reader = NULL;
    create(scene, &options);
    fill(scene, COUNTS + 16);
    scene->count = 1;
    for (int64_t step = 0; step < 1000; step++) {
        if (step == 500) fill(scene, 2 * COUNTS + 16);
        ok(trajlog_log(scene->log, step, (double)step));
        scene->count = 1;
    }
    ok(trajlog_close(&scene->log));
    ok(trajlog_open(&reader, scene->path));
    for (int field = 0; field < FIELDS; field++) {
        const trajlog_field_info *info = trajlog_reader_field(reader, 0, field);
        assert_int_equal(info->shape.dims[0], 1024);
        assert_true(info->stored_bytes < info->data_bytes / 4);
    }
    trajlog_reader_close(&reader);
    expect_no_problems(scene);
}

/* ---- the reader of a file that grows ---- */

static void a_reader_sees_the_growth_when_it_looks_again(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    trajlog_reader *reader = NULL;
    create(scene, &options);
    log_steps(scene, 0, 3, 0);
    ok(trajlog_flush(scene->log));
    ok(trajlog_open(&reader, scene->path));
    for (int64_t step = 3; step < STEPS; step++) {
        for (int field = 0; field < FIELDS; field++) expect_padded(reader, field, step, capacity_after(step - 1));
        log_steps(scene, step, step + 1, 1);
        for (int field = 0; field < FIELDS; field++) expect_ragged(reader, field, step);
        ok(trajlog_refresh(reader));
        for (int field = 0; field < FIELDS; field++) expect_ragged(reader, field, step + 1);
    }
    expect_no_problems(scene);
    trajlog_reader_close(&reader);
}

/* ---- resume ---- */

/* A run that is taken up at `step`, which declares room for `capacity` particles. */
static void resume(struct scene *scene, int64_t step, int64_t capacity)
{
    ok(trajlog_resume(&scene->log, scene->path, step, NULL));
    declare(scene, capacity);
}

/* The room that the first run has made stays: it may be more than the rows need that are kept. */
static void a_resumed_run_ends_with_the_same(void **state)
{
    struct scene *scene = *state;
    static const int64_t capacities[] = {FIRST, 1, 3000};
    trajlog_options options = trajlog_default_options();
    for (int64_t step = 0; step < STEPS - 1; step += 7) {
        create(scene, &options);
        log_steps(scene, 0, step % 2 == 0 ? STEPS : step + 1, 4);
        ok(trajlog_close(&scene->log));
        resume(scene, step, capacities[step % 3]);
        log_steps(scene, step + 1, STEPS, 6);
        ok(trajlog_close(&scene->log));
        expect_all(scene, STEPS);
    }
}

static void rows_that_are_dropped_leave_their_room(void **state)
{
    struct scene *scene = *state;
    trajlog_reader *reader = NULL;
    trajlog_options options = trajlog_default_options();
    create(scene, &options);
    log_steps(scene, 0, STEPS, 4);
    ok(trajlog_close(&scene->log));
    resume(scene, 2, FIRST);
    ok(trajlog_close(&scene->log));
    ok(trajlog_open(&reader, scene->path));
    for (int field = 0; field < FIELDS; field++) {
        expect_ragged(reader, field, 3);
        expect_padded(reader, field, 3, capacity_after(STEPS - 1));
    }
    trajlog_reader_close(&reader);
    expect_no_problems(scene);
}

static void a_field_may_be_added_to_a_group_that_grew(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    create(scene, &options);
    log_steps(scene, 0, 30, 4);
    ok(trajlog_close(&scene->log));
    options.accept_additions = 1;
    ok(trajlog_resume(&scene->log, scene->path, 29, &options));
    declare(scene, 1);
    trajlog_field *late = trajlog_add_field(scene->group, "late", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(1), NULL, NULL);
    ok(trajlog_set_role(late, TRAJLOG_ROLE_MASS, NULL));
    for (int64_t step = 30; step < STEPS; step++) {
        const ptrdiff_t stride = sizeof *scene->x;
        fill(scene, step);
        ok(trajlog_bind(late, scene->x, &stride));
        ok(trajlog_log(scene->log, step, (double)step));
    }
    ok(trajlog_close(&scene->log));
    expect_all(scene, STEPS);

    trajlog_reader *reader = NULL;
    trajlog_ragged ragged;
    ok(trajlog_open(&reader, scene->path));
    ok(trajlog_read_ragged(reader, "gas", "late", trajlog_all_rows(), 0, &ragged));
    for (int64_t step = 0; step < STEPS; step++)
        for (int64_t i = 0; i < count_at(step); i++) {
            double x = ((double *)ragged.values)[ragged.offsets[step] + i];
            assert_true(step < 30 ? isnan(x) : x == value(step, i, 0));
        }
    trajlog_ragged_free(&ragged);
    trajlog_reader_close(&reader);
}

/* ---- bounds ---- */

static void a_limit_bounds_the_growth(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    trajlog_reader *reader = NULL;
    create(scene, &options);
    ok(trajlog_limit_count(scene->group, 9));
    log_steps(scene, 0, 7, 0);
    fill(scene, 7);
    assert_int_equal(trajlog_log(scene->log, 7, 7), TRAJLOG_OUT_OF_RANGE);
    assert_non_null(strstr(trajlog_message(scene->log), "group \"gas\": the count is 40: expected 0 to 9, the limit"));
    scene->count = 0;
    ok(trajlog_log(scene->log, 7, 7));
    ok(trajlog_close(&scene->log));
    ok(trajlog_open(&reader, scene->path));
    assert_int_equal(trajlog_reader_field(reader, 0, X)->shape.dims[0], 9); /* and not 16 */
    trajlog_reader_close(&reader);
}

static void bad_limits_are_refused(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    create(scene, &options);
    assert_int_equal(trajlog_limit_count(NULL, 9), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(trajlog_limit_count(scene->group, 0), TRAJLOG_INVALID_ARGUMENT);
    trajlog_close(&scene->log);
    create(scene, &options);
    trajlog_group *fixed = trajlog_add_group(scene->log, "fixed", trajlog_every(1));
    assert_int_equal(trajlog_limit_count(fixed, 9), TRAJLOG_INVALID_STATE);
    assert_non_null(strstr(trajlog_message(scene->log), "group \"fixed\""));
}

/* How many particles there are is said nowhere else. */
static void a_configuration_cannot_take_the_count_away(void **state)
{
    struct scene *scene = *state;
    static const char *const texts[] = {
        "{\"groups\": {\"gas\": {\"fields\": {\"count\": {\"enabled\": false}}}}}",
        "{\"groups\": {\"gas\": {\"fields\": {\"count\": {\"store_as\": \"int32\"}}}}}"};
    for (int i = 0; i < 2; i++) {
        trajlog_options options = trajlog_default_options();
        options.config_text = texts[i];
        create(scene, &options);
        fill(scene, 0);
        assert_int_equal(trajlog_log(scene->log, 0, 0), TRAJLOG_INVALID_CONFIG);
        assert_non_null(strstr(trajlog_message(scene->log), "group \"gas\", field \"count\""));
        assert_int_equal(trajlog_close(&scene->log), TRAJLOG_INVALID_CONFIG);
    }
}

static void a_count_beyond_all_memory_is_refused(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    create(scene, &options);
    log_steps(scene, 0, 3, 0);
    scene->count = INT64_MAX;
    assert_int_equal(trajlog_log(scene->log, 3, 3), TRAJLOG_OUT_OF_RANGE);
    assert_non_null(strstr(trajlog_message(scene->log), "as many as fit in a frame"));
    log_steps(scene, 3, STEPS, 0);
    ok(trajlog_close(&scene->log));
    expect_all(scene, STEPS);
}

/* Masses that do not vary have as many places as they have. */
static void a_capacity_that_others_share_does_not_grow(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    static const double mass[FIRST] = {1, 2, 3, 4};
    create(scene, &options);
    trajlog_group *once = trajlog_add_group(scene->log, "init", trajlog_once());
    trajlog_field *field = trajlog_add_field(once, "mass", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(FIRST), mass, NULL);
    ok(trajlog_set_role(field, TRAJLOG_ROLE_MASS, NULL));
    log_steps(scene, 0, 3, 0);
    fill(scene, 3);
    assert_int_equal(trajlog_log(scene->log, 3, 3), TRAJLOG_OUT_OF_RANGE);
    assert_non_null(strstr(trajlog_message(scene->log), "another group has fields of these particles"));
}

/* A larger array in Fortran order has other strides, which only the caller knows. */
static void a_fortran_array_is_bound_again_with_strides(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    double small[3][FIRST], large[3][9];
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 9; i++) {
            large[k][i] = value(0, i, k);
            if (i < FIRST) small[k][i] = value(0, i, k);
        }
    create(scene, &options);
    fill(scene, 1);
    ok(trajlog_bind_fortran(scene->fields[SERIES], small));
    ok(trajlog_log(scene->log, 1, 1));
    fill(scene, 4);
    ok(trajlog_bind_fortran(scene->fields[SERIES], small));
    assert_int_equal(trajlog_log(scene->log, 4, 4), TRAJLOG_OUT_OF_RANGE);
    assert_non_null(strstr(trajlog_message(scene->log), "field \"series\": 9 particles of an array"));
    ok(trajlog_bind(scene->fields[SERIES], large, (ptrdiff_t[]){sizeof(double), sizeof large[0]}));
    ok(trajlog_log(scene->log, 4, 4));
    ok(trajlog_close(&scene->log));
    trajlog_reader *reader = NULL;
    trajlog_ragged ragged;
    ok(trajlog_open(&reader, scene->path));
    ok(trajlog_read_ragged(reader, "gas", "series", trajlog_row(1), 0, &ragged));
    assert_int_equal(ragged.offsets[1], 9);
    for (int i = 0; i < 27; i++) assert_true(((double *)ragged.values)[i] == value(0, i / 3, i % 3));
    trajlog_ragged_free(&ragged);
    trajlog_reader_close(&reader);
}

static void an_order_grows_with_the_capacity(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    int64_t order[LARGEST];
    create(scene, &options);
    ok(trajlog_set_order(scene->group, order));
    for (int64_t step = 0; step < STEPS; step++) {
        fill(scene, step);
        for (int64_t i = 0; i < scene->count; i++) {
            order[i] = scene->count - 1 - i;
            for (int k = 0; k < 3; k++) scene->x[i][k] = value(step, order[i], k);
            scene->id[i] = 7 * order[i] + step;
        }
        ok(trajlog_bind(scene->fields[CALLED], scene->x, NULL));
        ok(trajlog_log(scene->log, step, (double)step));
    }
    ok(trajlog_close(&scene->log));
    expect_all(scene, STEPS);
}

/* The worker could not get on. */
static void who_holds_the_lock_cannot_wait_for_room(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    create(scene, &options);
    log_steps(scene, 0, 1, 1);
    trajlog_hdf5_lock();
    trajlog_status status = TRAJLOG_OK;
    int64_t step = 1;
    for (; step < STEPS && status == TRAJLOG_OK; step++) {
        fill(scene, step);
        status = trajlog_log(scene->log, step, (double)step);
    }
    trajlog_hdf5_unlock();
    /* Where the worker was done with all before it needed the lock, there was nothing to wait for. */
    if (status != TRAJLOG_OK) {
        assert_int_equal(status, TRAJLOG_INVALID_STATE);
        assert_non_null(strstr(trajlog_message(scene->log), "holds trajlog_hdf5_lock"));
        log_steps(scene, step - 1, STEPS, 0);
    }
    ok(trajlog_close(&scene->log));
    expect_all(scene, STEPS);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    TEST(a_group_grows),
    TEST(a_group_grows_in_synchronous_mode),
    TEST(a_group_grows_between_commits),
    TEST(a_group_grows_beside_encoders),
    TEST(the_queue_grows),
    TEST(the_last_step_may_be_the_largest),
    TEST(room_without_particles_takes_no_space),
    TEST(a_reader_sees_the_growth_when_it_looks_again),
    TEST(a_resumed_run_ends_with_the_same),
    TEST(rows_that_are_dropped_leave_their_room),
    TEST(a_field_may_be_added_to_a_group_that_grew),
    TEST(a_limit_bounds_the_growth),
    TEST(bad_limits_are_refused),
    TEST(a_configuration_cannot_take_the_count_away),
    TEST(a_count_beyond_all_memory_is_refused),
    TEST(a_capacity_that_others_share_does_not_grow),
    TEST(a_fortran_array_is_bound_again_with_strides),
    TEST(an_order_grows_with_the_capacity),
    TEST(who_holds_the_lock_cannot_wait_for_room),
};
TEST_MAIN(tests)
