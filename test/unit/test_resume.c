/* Logs that are taken up again: what a run that was cut leaves, and goes on from, is what one run would have made. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trajlog.h"

struct scene {
    char directory[64], whole[96], cut[96];
    double value, array[300];
    int64_t count;
    trajlog_writer *log; /* closed at the end, if a test did not */
};

static int make_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    strcpy(scene->directory, "/tmp/trajlog-resume-XXXXXX");
    assert_non_null(mkdtemp(scene->directory));
    snprintf(scene->whole, sizeof scene->whole, "%s/whole.h5", scene->directory);
    snprintf(scene->cut, sizeof scene->cut, "%s/cut.h5", scene->directory);
    *state = scene;
    return 0;
}

static int drop_scene(void **state)
{
    struct scene *scene = *state;
    static const char *const suffixes[] = {"", ".lock", ".new", ".first", ".journal"};
    (void)trajlog_close(&scene->log);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", scene->whole, suffixes[i]);
        unlink(path);
        snprintf(path, sizeof path, "%s%s", scene->cut, suffixes[i]);
        unlink(path);
    }
    int left = rmdir(scene->directory); /* fails if something was left behind */
    free(scene);
    return left;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_scene, drop_scene)

static void ok(trajlog_status status)
{
    if (status != TRAJLOG_OK) fail_msg("%s: %s", trajlog_status_name(status), trajlog_message(NULL));
}

/* Whether the call failed as it should, and its message has all of the words. */
static void expect(trajlog_status status, trajlog_status expected, const char *words)
{
    const char *message = trajlog_message(NULL);
    if (status != expected)
        fail_msg("expected %s, got %s: %s", trajlog_status_name(expected), trajlog_status_name(status), message);
    char copy[256];
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok(copy, "|"); word != NULL; word = strtok(NULL, "|"))
        if (strstr(message, word) == NULL) fail_msg("no \"%s\" in: %s", word, message);
}

/* ---------------------------------------------------------------------------------------------- files in memory --- */

struct image {
    size_t size;
    unsigned char *bytes;
};

static struct image read_file(const char *path)
{
    struct image image = {0, NULL};
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(fstat(file, &status), 0);
    image.size = (size_t)status.st_size;
    image.bytes = malloc(image.size + 1);
    assert_non_null(image.bytes);
    for (size_t done = 0; done < image.size;) {
        ssize_t got = pread(file, image.bytes + done, image.size - done, (off_t)done);
        assert_true(got > 0);
        done += (size_t)got;
    }
    close(file);
    return image;
}

static void copy_file(const char *from, const char *to)
{
    struct image image = read_file(from);
    int file = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(file >= 0);
    assert_int_equal(write(file, image.bytes, image.size), image.size);
    close(file);
    free(image.bytes);
}

/* Frees the image. */
static void check_unchanged(const char *path, struct image *before)
{
    struct image now = read_file(path);
    assert_int_equal(now.size, before->size);
    assert_memory_equal(now.bytes, before->bytes, now.size);
    free(now.bytes);
    free(before->bytes);
}

/* ---------------------------------------------------------------------------------------------------- comparison --- */

struct contents {
    hsize_t dims[8];
    int rank;
    size_t bytes;
    void *data;
};

static struct contents read_dataset(hid_t file, const char *name)
{
    struct contents contents = {.bytes = 0};
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (dataset < 0) fail_msg("no dataset %s", name);
    hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    contents.rank = H5Sget_simple_extent_dims(space, contents.dims, NULL);
    contents.bytes = (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type);
    contents.data = malloc(contents.bytes + 1);
    assert_non_null(contents.data);
    assert_true(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, contents.data) >= 0);
    H5Tclose(type);
    H5Sclose(space);
    H5Dclose(dataset);
    return contents;
}

struct comparison {
    hid_t other;
    int datasets;
};

static herr_t compare(hid_t file, const char *name, const H5O_info_t *info, void *context)
{
    struct comparison *comparison = context;
    if (info->type != H5O_TYPE_DATASET) return 0;
    struct contents a = read_dataset(file, name), b = read_dataset(comparison->other, name);
    assert_int_equal(a.rank, b.rank);
    for (int i = 0; i < a.rank; i++)
        if (a.dims[i] != b.dims[i]) fail_msg("%s: %d rows and %d", name, (int)a.dims[i], (int)b.dims[i]);
    if (memcmp(a.data, b.data, a.bytes) != 0) fail_msg("%s differs", name);
    free(a.data);
    free(b.data);
    comparison->datasets++;
    return 0;
}

/* All datasets of both, bit for bit. */
static void check_equal(const char *path, const char *other)
{
    hid_t a = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), b = H5Fopen(other, H5F_ACC_RDONLY, H5P_DEFAULT);
    struct comparison there = {b, 0}, back = {a, 0};
    assert_true(a >= 0 && b >= 0);
    assert_true(H5Ovisit(a, H5_INDEX_NAME, H5_ITER_INC, compare, &there) >= 0);
    assert_true(H5Ovisit(b, H5_INDEX_NAME, H5_ITER_INC, compare, &back) >= 0);
    assert_true(there.datasets > 0);
    assert_int_equal(there.datasets, back.datasets);
    H5Fclose(a);
    H5Fclose(b);
}

static void check_steps(const char *path, const char *name, const int64_t *expected, size_t count)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    struct contents steps = read_dataset(file, name);
    H5Fclose(file);
    assert_int_equal(steps.dims[0], count);
    assert_memory_equal(steps.data, expected, count * sizeof *expected);
    free(steps.data);
}

#define CHECK_STEPS(path, name, ...)                                                                                   \
    do {                                                                                                               \
        const int64_t expected_[] = {__VA_ARGS__};                                                                     \
        check_steps(path, name, expected_, sizeof expected_ / sizeof expected_[0]);                                    \
    } while (0)

/* ---------------------------------------------------------------------------------------------------- simulation --- */

static int is_square(int64_t step, double time, const void *state, void *context)
{
    (void)time;
    (void)state;
    (void)context;
    int64_t root = (int64_t)lround(sqrt((double)step));
    return root * root == step;
}

static void declare(struct scene *scene)
{
    static const int64_t steps[] = {6, 17, 18, 40, 41};
    const struct {
        const char *name;
        trajlog_frequency frequency;
    } groups[] = {
        {"init", trajlog_once()},
        {"all", trajlog_every(1)},
        {"third", trajlog_with_last(trajlog_every(3))},
        {"between", trajlog_with_first(trajlog_every_between(7, 10, 40))},
        {"listed", trajlog_with_first(trajlog_at_steps(steps, 5))},
        {"logarithmic", trajlog_with_last(trajlog_logarithmic(4))},
        {"squares", trajlog_when(is_square, NULL)},
    };
    const trajlog_storage storage = {
        .struct_size = sizeof storage, .compression = TRAJLOG_COMPRESSION_DEFLATE, .chunk_rows = 5};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        trajlog_group *group = trajlog_add_group(scene->log, groups[i].name, groups[i].frequency);
        trajlog_add_field(group, "value", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &scene->value, "nm");
        trajlog_add_field(group, "deep/count", TRAJLOG_INT64, TRAJLOG_SCALAR, &scene->count, NULL);
        trajlog_field *field =
            trajlog_add_field(group, "array", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100, 3), scene->array, NULL);
        if (i % 2 == 1) ok(trajlog_set_storage(field, &storage));
    }
}

/* The state of a step follows from its number, but for what the process cannot repeat: nothing. */
static void simulate(struct scene *scene, int64_t step)
{
    scene->value = 1.5 * (double)step;
    scene->count = step * step;
    for (int i = 0; i < 300; i++) scene->array[i] = sin((double)(step * 300 + i));
}

static void run(struct scene *scene, int64_t first, int64_t stop)
{
    for (int64_t step = first; step < stop; step++) {
        simulate(scene, step);
        ok(trajlog_log(scene->log, step, 0.25 * (double)step));
    }
}

#define FIRST 5
#define STOP  60

static trajlog_options options_of_run(void)
{
    trajlog_options options = trajlog_default_options();
    options.total_steps = STOP - FIRST;
    return options;
}

static void make_whole(struct scene *scene, const trajlog_options *options)
{
    ok(trajlog_create(&scene->log, scene->whole, options));
    declare(scene);
    run(scene, FIRST, STOP);
    ok(trajlog_close(&scene->log));
}

/* Runs to `stop` in a child, which then kills itself: with everything flushed, or not. */
static void run_and_die(struct scene *scene, const trajlog_options *options, int64_t stop, bool flushed)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ok(trajlog_create(&scene->log, scene->cut, options));
        declare(scene);
        run(scene, FIRST, stop);
        if (flushed) ok(trajlog_flush(scene->log));
        raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void resume(struct scene *scene, int64_t step, const trajlog_options *options)
{
    ok(trajlog_resume(&scene->log, scene->cut, step, options));
    declare(scene);
}

/* --------------------------------------------------------------------------------------------------- resumed runs --- */

static void a_run_that_was_killed_goes_on(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = options_of_run();
    make_whole(scene, &options);
    static const int64_t restarts[] = {5, 6, 9, 17, 24, 29, 30};
    for (size_t i = 0; i < sizeof restarts / sizeof restarts[0]; i++) {
        options.synchronous = i % 2 == 1;
        run_and_die(scene, &options, 31, true);
        resume(scene, restarts[i], &options);
        run(scene, restarts[i] + 1, STOP);
        ok(trajlog_close(&scene->log));
        check_equal(scene->whole, scene->cut);
        unlink(scene->cut);
    }
}

static void a_run_may_be_cut_often(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = options_of_run();
    make_whole(scene, &options);
    ok(trajlog_create(&scene->log, scene->cut, &options));
    declare(scene);
    run(scene, FIRST, 12);
    ok(trajlog_close(&scene->log));
    for (int64_t step = 11; step < STOP - 1; step += 7) {
        resume(scene, step, &options);
        run(scene, step + 1, step + 10 < STOP ? step + 10 : STOP);
        ok(trajlog_close(&scene->log));
    }
    check_equal(scene->whole, scene->cut);
}

static void a_run_may_start_over_in_its_file(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = options_of_run();
    make_whole(scene, &options);
    run_and_die(scene, &options, 31, true);
    resume(scene, TRAJLOG_FROM_THE_START, &options);
    run(scene, FIRST, STOP);
    ok(trajlog_close(&scene->log));
    check_equal(scene->whole, scene->cut);
}

/* Its groups are made by the process that resumes it. */
static void a_file_without_groups_goes_on_as_a_new_one(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = options_of_run();
    make_whole(scene, &options);
    for (int i = 0; i < 2; i++) {
        run_and_die(scene, &options, FIRST, false);
        resume(scene, i == 0 ? TRAJLOG_FROM_THE_START : FIRST - 1, &options);
        run(scene, FIRST, STOP);
        ok(trajlog_close(&scene->log));
        check_equal(scene->whole, scene->cut);
        unlink(scene->cut);
    }
}

/* The process that resumes is killed, too: with the old rows in the file, or with the new ones. */
static void a_resume_that_was_killed_can_be_resumed(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = options_of_run();
    make_whole(scene, &options);
    for (int64_t steps = 0; steps < 3; steps++) {
        run_and_die(scene, &options, 31, true);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            resume(scene, 20, &options);
            run(scene, 21, 21 + steps);
            raise(SIGKILL);
        }
        assert_int_equal(waitpid(child, NULL, 0), child);
        resume(scene, 20, &options);
        run(scene, 21, STOP);
        ok(trajlog_close(&scene->log));
        check_equal(scene->whole, scene->cut);
        unlink(scene->cut);
    }
}

/* ------------------------------------------------------------------------------------------------------ refusals --- */

static void steps_and_times_go_on_behind_what_is_kept(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = options_of_run();
    run_and_die(scene, &options, 31, true);
    struct image before = read_file(scene->cut);
    resume(scene, 20, &options);
    simulate(scene, 21);
    expect(trajlog_log(scene->log, 20, 100.0), TRAJLOG_NOT_INCREASING, "20|restart step");
    expect(trajlog_log(scene->log, -7, 100.0), TRAJLOG_NOT_INCREASING, "-7|restart step|20");
    expect(trajlog_log(scene->log, 21, 4.99), TRAJLOG_NOT_INCREASING, "21|4.99|row in the file|5");
    expect(trajlog_log(scene->log, 21, NAN), TRAJLOG_INVALID_ARGUMENT, "21");
    check_unchanged(scene->cut, &before);
    ok(trajlog_log(scene->log, 21, 5.0));
    run(scene, 22, STOP);
    ok(trajlog_close(&scene->log));
}

static void a_resumed_log_without_a_step_is_cut(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = options_of_run();
    run_and_die(scene, &options, 31, true);
    resume(scene, 8, &options);
    ok(trajlog_close(&scene->log));
    CHECK_STEPS(scene->cut, "all/step", 5, 6, 7, 8);
    CHECK_STEPS(scene->cut, "third/step", 6);
    CHECK_STEPS(scene->cut, "between/step", 5);
}

static int fail_to_fill(void *frame, const void *state, void *context)
{
    (void)frame;
    (void)state;
    (void)context;
    return 1;
}

static void who_fails_at_first_leaves_the_file_alone(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = options_of_run();
    run_and_die(scene, &options, 31, true);
    struct image before = read_file(scene->cut);
    resume(scene, 20, &options);
    trajlog_group *group = trajlog_add_group(scene->log, "more", trajlog_every(1));
    trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &scene->value, NULL);
    expect(trajlog_log(scene->log, 21, 100.0), TRAJLOG_SCHEMA_MISMATCH, "cut.h5|\"more\"|not in the file");
    expect(trajlog_log(scene->log, 21, 100.0), TRAJLOG_SCHEMA_MISMATCH, "\"more\"");
    expect(trajlog_close(&scene->log), TRAJLOG_SCHEMA_MISMATCH, "\"more\"");

    ok(trajlog_resume(&scene->log, scene->cut, 20, &options));
    group = trajlog_add_group(scene->log, "all", trajlog_every(1));
    trajlog_add_field(group, "value", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(2), scene->array, "nm");
    expect(trajlog_log(scene->log, 21, 100.0), TRAJLOG_SCHEMA_MISMATCH,
           "\"value\": type float64 in the file, float32 declared|shape|\"array\"|\"init\"");
    expect(trajlog_close(&scene->log), TRAJLOG_SCHEMA_MISMATCH, "float32");
    check_unchanged(scene->cut, &before);

    /* Here something was made already, in space that nothing refers to. */
    copy_file(scene->cut, scene->whole);
    options.accept_additions = 1;
    resume(scene, 20, &options);
    group = trajlog_add_group(scene->log, "more", trajlog_every(1));
    trajlog_field *field = trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, NULL, NULL);
    ok(trajlog_set_callback(field, fail_to_fill, NULL));
    expect(trajlog_log(scene->log, 21, 100.0), TRAJLOG_CALLBACK_FAILED, "more");
    expect(trajlog_close(&scene->log), TRAJLOG_CALLBACK_FAILED, "more");
    check_equal(scene->whole, scene->cut);
}

static void additions_are_accepted_if_asked_for(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = options_of_run();
    run_and_die(scene, &options, 31, true);
    options.config_text = "{\"file\": {\"accept_additions\": true}}";
    resume(scene, 8, &options);
    trajlog_group *group = trajlog_add_group(scene->log, "more", trajlog_every(2));
    trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &scene->value, NULL);
    run(scene, 9, 13);
    ok(trajlog_close(&scene->log));
    CHECK_STEPS(scene->cut, "all/step", 5, 6, 7, 8, 9, 10, 11, 12);
    CHECK_STEPS(scene->cut, "more/step", 10, 12);
}

static void what_cannot_be_resumed_is_refused(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = options_of_run();
    expect(trajlog_resume(NULL, scene->cut, 0, NULL), TRAJLOG_INVALID_ARGUMENT, "trajlog_resume");
    expect(trajlog_resume(&scene->log, NULL, 0, NULL), TRAJLOG_INVALID_ARGUMENT, "trajlog_resume|NULL");
    (void)trajlog_close(&scene->log);
    expect(trajlog_resume(&scene->log, scene->cut, INT64_MAX, NULL), TRAJLOG_INVALID_ARGUMENT, "trajlog_resume");
    (void)trajlog_close(&scene->log);
    expect(trajlog_resume(&scene->log, scene->cut, 0, NULL), TRAJLOG_NOT_FOUND, "cut.h5");
    expect(trajlog_log(scene->log, 1, 0.0), TRAJLOG_NOT_FOUND, "cut.h5");
    expect(trajlog_close(&scene->log), TRAJLOG_NOT_FOUND, "cut.h5");
    assert_int_equal(access(scene->cut, F_OK), -1);

    FILE *file = fopen(scene->cut, "w");
    fputs("no log at all", file);
    fclose(file);
    expect(trajlog_resume(&scene->log, scene->cut, 0, NULL), TRAJLOG_INVALID_FILE, "cut.h5");
    (void)trajlog_close(&scene->log);
    unlink(scene->cut);

    ok(trajlog_create(&scene->log, scene->cut, &options));
    declare(scene);
    run(scene, FIRST, 20);
    trajlog_writer *second = NULL;
    expect(trajlog_resume(&second, scene->cut, 10, &options), TRAJLOG_FILE_LOCKED, "cut.h5");
    (void)trajlog_close(&second);
    run(scene, 20, 21);
    ok(trajlog_close(&scene->log));
}

/* ----------------------------------------------------------------------------------- what belongs to the process --- */

static void take_progress(const trajlog_progress *progress, void *context)
{
    *(trajlog_progress *)context = *progress;
}

static void statistics_start_anew_and_progress_goes_on(void **state)
{
    struct scene *scene = *state;
    trajlog_progress progress = {0};
    trajlog_options options = options_of_run();
    run_and_die(scene, &options, 31, true);
    options.progress = take_progress;
    options.progress_context = &progress;
    options.progress_seconds = 1e-9;
    options.total_steps = 110;
    resume(scene, FIRST + 21, &options);
    run(scene, FIRST + 22, FIRST + 55);
    assert_int_equal(progress.first_step, FIRST);
    assert_true(progress.fraction == 0.5);
    /* 33 steps in this process, 55 to go. */
    assert_true(fabs(progress.remaining_seconds / progress.elapsed_seconds - 55.0 / 33.0) < 1e-9);
    trajlog_statistics now = {.struct_size = sizeof now};
    ok(trajlog_get_statistics(scene->log, &now));
    assert_int_equal(now.steps, 33);
    assert_int_equal(now.frames, 33);
    ok(trajlog_close(&scene->log));
}

/* A wall clock starts anew: nothing is due at the first step after a resume. */
static void the_first_step_of_a_resumed_run_is_not_the_first(void **state)
{
    struct scene *scene = *state;
    for (int resumed = 0; resumed < 2; resumed++) {
        if (resumed == 0) ok(trajlog_create(&scene->log, scene->cut, NULL));
        else ok(trajlog_resume(&scene->log, scene->cut, 12, NULL));
        trajlog_group *group = trajlog_add_group(scene->log, "clock", trajlog_wall_clock(1e6));
        trajlog_add_field(group, "value", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &scene->value, NULL);
        group = trajlog_add_group(scene->log, "first", trajlog_with_first(trajlog_every(10)));
        trajlog_add_field(group, "value", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &scene->value, NULL);
        run(scene, resumed == 0 ? 7 : 13, resumed == 0 ? 15 : 22);
        ok(trajlog_close(&scene->log));
    }
    CHECK_STEPS(scene->cut, "clock/step", 7);
    CHECK_STEPS(scene->cut, "first/step", 7, 10, 20);
}

static const struct CMUnitTest tests[] = {
    TEST(a_run_that_was_killed_goes_on),
    TEST(a_run_may_be_cut_often),
    TEST(a_run_may_start_over_in_its_file),
    TEST(a_file_without_groups_goes_on_as_a_new_one),
    TEST(a_resume_that_was_killed_can_be_resumed),
    TEST(steps_and_times_go_on_behind_what_is_kept),
    TEST(a_resumed_log_without_a_step_is_cut),
    TEST(who_fails_at_first_leaves_the_file_alone),
    TEST(additions_are_accepted_if_asked_for),
    TEST(what_cannot_be_resumed_is_refused),
    TEST(statistics_start_anew_and_progress_goes_on),
    TEST(the_first_step_of_a_resumed_run_is_not_the_first),
};

TEST_MAIN(tests)
