/* Checkpoints: written by a log, restored by a reader, and gone on from. */
#include "harness.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trajlog.h"

/* The system's refusal to sync, on demand. */
static int refuse_syncs;

static int sync_or_refuse(long call, int descriptor)
{
    if (__atomic_load_n(&refuse_syncs, __ATOMIC_RELAXED) == 0) return (int)syscall(call, descriptor);
    errno = EIO;
    return -1;
}

int fdatasync(int descriptor)
{
    return sync_or_refuse(SYS_fdatasync, descriptor);
}

int fsync(int descriptor)
{
    return sync_or_refuse(SYS_fsync, descriptor);
}

/* What goes on from step to step. */
struct simulation {
    double position[50][3];
    uint64_t random;
    int64_t count;
};

struct scene {
    char directory[64], path[96];
    struct simulation now;
    trajlog_writer *log;
};

static int make_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    strcpy(scene->directory, "/tmp/trajlog-checkpoint-XXXXXX");
    assert_non_null(mkdtemp(scene->directory));
    snprintf(scene->path, sizeof scene->path, "%s/run.h5", scene->directory);
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
        snprintf(path, sizeof path, "%s%s", scene->path, suffixes[i]);
        unlink(path);
    }
    int left = rmdir(scene->directory);
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

/* ----------------------------------------------------------------------------------------------------------- runs --- */

static void begin(struct simulation *now)
{
    memset(now, 0, sizeof *now);
    now->random = 88172645463325252u;
}

static void move(struct simulation *now)
{
    for (int i = 0; i < 150; i++) {
        now->random ^= now->random << 13;
        now->random ^= now->random >> 7;
        now->random ^= now->random << 17;
        now->position[i / 3][i % 3] += (double)(now->random >> 11) * 0x1p-53;
    }
    now->count++;
}

static void declare(struct scene *scene)
{
    struct simulation *now = &scene->now;
    trajlog_group *group = trajlog_add_group(scene->log, "trajectory", trajlog_every(3));
    trajlog_field *field =
        trajlog_add_field(group, "position", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(50, 3), now->position, "nm");
    ok(trajlog_store_as(field, TRAJLOG_FLOAT32));
    group = trajlog_add_checkpoint(scene->log);
    assert_non_null(group);
    trajlog_add_field(group, "position", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(50, 3), now->position, "nm");
    trajlog_add_field(group, "random", TRAJLOG_UINT64, TRAJLOG_SCALAR, &now->random, NULL);
    trajlog_add_field(group, "inner/count", TRAJLOG_INT64, TRAJLOG_SCALAR, &now->count, NULL);
}

static void create(struct scene *scene, const trajlog_options *options)
{
    ok(trajlog_create(&scene->log, scene->path, options));
    declare(scene);
}

static void run(struct scene *scene, int64_t first, int64_t stop, int64_t every)
{
    for (int64_t step = first; step < stop; step++) {
        if (step > 0) move(&scene->now);
        ok(trajlog_log(scene->log, step, 0.5 * (double)step));
        if (step > 0 && step % every == 0) ok(trajlog_checkpoint(scene->log, step, 0.5 * (double)step));
    }
}

/* The newest state; INT64_MIN: there is none. */
static int64_t restore(const struct scene *scene, struct simulation *state)
{
    trajlog_reader *reader = NULL;
    int64_t step = INT64_MIN;
    double time;
    const trajlog_request requests[] = {
        {"position", TRAJLOG_FLOAT64, state->position, sizeof state->position},
        {"random", TRAJLOG_UINT64, &state->random, sizeof state->random},
        {"inner/count", TRAJLOG_INT64, &state->count, sizeof state->count},
    };
    ok(trajlog_open(&reader, scene->path));
    trajlog_status status = trajlog_restore(reader, requests, 3, &step, &time);
    if (status != TRAJLOG_NOT_FOUND) ok(status);
    assert_true(status == TRAJLOG_NOT_FOUND || time == 0.5 * (double)step);
    ok(trajlog_reader_close(&reader));
    return status == TRAJLOG_NOT_FOUND ? INT64_MIN : step;
}

static void check_state(const struct scene *scene, int64_t step)
{
    struct simulation expected, restored;
    begin(&expected);
    for (int64_t i = 0; i < step; i++) move(&expected);
    assert_int_equal(restore(scene, &restored), step);
    assert_memory_equal(&restored, &expected, sizeof expected);
}

static int64_t row_count(const struct scene *scene)
{
    trajlog_reader *reader = NULL;
    int64_t count;
    ok(trajlog_open(&reader, scene->path));
    ok(trajlog_count_rows(reader, "trajectory", trajlog_all_rows(), &count));
    ok(trajlog_reader_close(&reader));
    return count;
}

static int64_t actual_steps(const struct scene *scene)
{
    trajlog_reader *reader = NULL;
    ok(trajlog_open(&reader, scene->path));
    int64_t steps = trajlog_reader_file(reader)->actual_steps;
    ok(trajlog_reader_close(&reader));
    return steps;
}

/* ---------------------------------------------------------------------------------------------------------- states --- */

static void the_newest_state_is_restored(void **state)
{
    struct scene *scene = *state;
    for (int synchronous = 0; synchronous < 2; synchronous++) {
        trajlog_options options = trajlog_default_options();
        options.synchronous = synchronous;
        options.flush_seconds = 1e6;
        begin(&scene->now);
        create(scene, &options);
        run(scene, 0, 1, 7);
        ok(trajlog_flush(scene->log));
        struct simulation none;
        assert_int_equal(restore(scene, &none), INT64_MIN);
        for (int64_t step = 7; step < 70; step += 7) {
            run(scene, step - 6, step + 1, 7);
            check_state(scene, step);
            assert_int_equal(actual_steps(scene), step + 1);
            /* Nobody has asked for a flush: the rows are there with the checkpoint. */
            assert_int_equal(row_count(scene), step / 3 + 1);
        }
        trajlog_statistics now = {.struct_size = sizeof now};
        ok(trajlog_get_statistics(scene->log, &now));
        assert_int_equal(now.syncs, 9);
        ok(trajlog_close(&scene->log));
        check_state(scene, 63);
        unlink(scene->path);
    }
}

/* Killed again and again, and going on from the newest checkpoint each time. */
static void a_run_goes_on_from_its_checkpoints(void **state)
{
    struct scene *scene = *state;
    static const int64_t kills[] = {10, 19, 38, 39, 47, 60};
    int64_t from = INT64_MIN;
    for (size_t i = 0; i <= sizeof kills / sizeof kills[0]; i++) {
        bool last = i == sizeof kills / sizeof kills[0];
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            begin(&scene->now);
            if (i == 0) ok(trajlog_create(&scene->log, scene->path, NULL));
            else ok(trajlog_resume(&scene->log, scene->path, from, NULL));
            if (from != INT64_MIN) assert_int_equal(restore(scene, &scene->now), from);
            declare(scene);
            run(scene, from == INT64_MIN ? 0 : from + 1, last ? 80 : kills[i], 9);
            if (!last) raise(SIGKILL);
            _exit(trajlog_close(&scene->log) == TRAJLOG_OK ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(last ? WIFEXITED(status) && WEXITSTATUS(status) == 0 : WIFSIGNALED(status));
        struct simulation restored;
        from = restore(scene, &restored);
        if (!last) assert_int_equal(from, (kills[i] - 1) / 9 * 9);
    }
    check_state(scene, 72);
    assert_int_equal(row_count(scene), 27);
    float rows[27][50][3];
    trajlog_reader *reader = NULL;
    struct simulation now;
    ok(trajlog_open(&reader, scene->path));
    ok(trajlog_read(reader, "trajectory", "position", trajlog_all_rows(), 0, rows, sizeof rows, NULL));
    ok(trajlog_reader_close(&reader));
    begin(&now);
    for (int64_t step = 0; step < 80; step++) {
        if (step > 0) move(&now);
        for (int i = 0; step % 3 == 0 && i < 150; i++)
            assert_true(rows[step / 3][i / 3][i % 3] == (float)now.position[i / 3][i % 3]);
    }
}

/* The queue needs no room for a state. */
static void a_state_may_be_larger_than_the_queue(void **state)
{
    struct scene *scene = *state;
    static double large[100000];
    trajlog_options options = trajlog_default_options();
    options.queue_bytes = 8192;
    ok(trajlog_create(&scene->log, scene->path, &options));
    trajlog_group *group = trajlog_add_group(scene->log, "small", trajlog_every(1));
    trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, large, NULL);
    trajlog_add_field(trajlog_add_checkpoint(scene->log), "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100000), large, NULL);
    for (int64_t step = 0; step < 20; step++) {
        for (int i = 0; i < 100000; i++) large[i] = (double)(step + i);
        ok(trajlog_log(scene->log, step, 0.0));
        ok(trajlog_checkpoint(scene->log, step, 0.0));
    }
    ok(trajlog_close(&scene->log));
}

/* -------------------------------------------------------------------------------------------------------- refusals --- */

static void what_makes_no_checkpoint_is_refused(void **state)
{
    struct scene *scene = *state;
    expect(trajlog_checkpoint(NULL, 0, 0.0), TRAJLOG_INVALID_ARGUMENT, "trajlog_checkpoint");
    begin(&scene->now);
    create(scene, NULL);
    expect(trajlog_checkpoint(scene->log, 0, 0.0), TRAJLOG_INVALID_STATE, "run.h5|no step");
    run(scene, 0, 6, 100);
    expect(trajlog_checkpoint(scene->log, 4, 2.0), TRAJLOG_NOT_INCREASING, "4|5");
    expect(trajlog_checkpoint(scene->log, 5, 2.0), TRAJLOG_INVALID_ARGUMENT, "5|time");
    expect(trajlog_checkpoint(scene->log, 6, NAN), TRAJLOG_INVALID_ARGUMENT, "6|finite");
    expect(trajlog_checkpoint(scene->log, 6, 2.0), TRAJLOG_NOT_INCREASING, "6|time");
    trajlog_hdf5_lock();
    expect(trajlog_checkpoint(scene->log, 5, 2.5), TRAJLOG_INVALID_STATE, "trajlog_hdf5_lock");
    trajlog_hdf5_unlock();
    struct simulation none;
    assert_int_equal(restore(scene, &none), INT64_MIN);
    ok(trajlog_checkpoint(scene->log, 5, 2.5));
    /* A later step that was not logged; then the run goes on behind it. */
    move(&scene->now);
    ok(trajlog_checkpoint(scene->log, 6, 3.0));
    check_state(scene, 6);
    expect(trajlog_log(scene->log, 6, 3.0), TRAJLOG_NOT_INCREASING, "6|checkpoint's");
    run(scene, 7, 10, 100);
    ok(trajlog_checkpoint(scene->log, 12, 6.0));
    ok(trajlog_close(&scene->log));
    assert_int_equal(actual_steps(scene), 13);
    unlink(scene->path);

    ok(trajlog_create(&scene->log, scene->path, NULL));
    trajlog_group *group = trajlog_add_group(scene->log, "g", trajlog_every(1));
    trajlog_add_field(group, "x", TRAJLOG_INT64, TRAJLOG_SCALAR, &scene->now.count, NULL);
    ok(trajlog_log(scene->log, 0, 0.0));
    expect(trajlog_checkpoint(scene->log, 0, 0.0), TRAJLOG_INVALID_STATE, "trajlog_add_checkpoint");
    ok(trajlog_close(&scene->log));
}

static void refuse_declaration(struct scene *scene, trajlog_status status, const char *words)
{
    expect(trajlog_log(scene->log, 0, 0.0), status, words);
    expect(trajlog_close(&scene->log), status, words);
    unlink(scene->path);
}

static void a_checkpoint_is_stored_as_it_is(void **state)
{
    struct scene *scene = *state;
    const trajlog_storage storage = {.struct_size = sizeof storage, .compression = TRAJLOG_COMPRESSION_DEFLATE};
    for (int wrong = 0; wrong < 6; wrong++) {
        ok(trajlog_create(&scene->log, scene->path, NULL));
        trajlog_group *group = trajlog_add_checkpoint(scene->log);
        trajlog_field *field =
            trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(50, 3), scene->now.position, NULL);
        switch (wrong) {
        case 0:
            expect(trajlog_store_as(field, TRAJLOG_FLOAT32), TRAJLOG_INVALID_ARGUMENT, "full precision");
            refuse_declaration(scene, TRAJLOG_INVALID_ARGUMENT, "\"checkpoint\"|\"x\"");
            break;
        case 1:
            expect(trajlog_set_storage(field, &storage), TRAJLOG_INVALID_ARGUMENT, "\"checkpoint\"");
            refuse_declaration(scene, TRAJLOG_INVALID_ARGUMENT, "\"x\"");
            break;
        case 2:
            expect(trajlog_set_role(field, TRAJLOG_ROLE_POSITION, NULL), TRAJLOG_INVALID_ARGUMENT, "\"checkpoint\"");
            refuse_declaration(scene, TRAJLOG_INVALID_ARGUMENT, "\"x\"");
            break;
        case 3:
            expect(trajlog_set_count(group, &scene->now.count), TRAJLOG_INVALID_ARGUMENT, "\"checkpoint\"");
            refuse_declaration(scene, TRAJLOG_INVALID_ARGUMENT, "\"checkpoint\"");
            break;
        case 4:
            assert_null(trajlog_add_checkpoint(scene->log));
            refuse_declaration(scene, TRAJLOG_DUPLICATE_NAME, "\"checkpoint\"");
            break;
        default:
            assert_null(trajlog_add_group(scene->log, "checkpoint", trajlog_every(1)));
            refuse_declaration(scene, TRAJLOG_INVALID_ARGUMENT, "\"checkpoint\"");
            break;
        }
    }
}

/* -------------------------------------------------------------------------------------------------------- failures --- */

static int fail_later(void *frame, const void *state, void *context)
{
    *(int64_t *)frame = 0;
    (void)context;
    return state != NULL;
}

static void a_callback_that_fails_ends_the_log(void **state)
{
    struct scene *scene = *state;
    ok(trajlog_create(&scene->log, scene->path, NULL));
    trajlog_group *group = trajlog_add_group(scene->log, "g", trajlog_every(1));
    trajlog_add_field(group, "x", TRAJLOG_INT64, TRAJLOG_SCALAR, &scene->now.count, NULL);
    trajlog_field *field =
        trajlog_add_field(trajlog_add_checkpoint(scene->log), "x", TRAJLOG_INT64, TRAJLOG_SCALAR, NULL, NULL);
    ok(trajlog_set_callback(field, fail_later, NULL));
    ok(trajlog_log(scene->log, 0, 0.0));
    ok(trajlog_checkpoint(scene->log, 0, 0.0));
    expect(trajlog_checkpoint_state(scene->log, 0, 0.0, scene), TRAJLOG_CALLBACK_FAILED, "\"checkpoint\"|\"x\"");
    expect(trajlog_checkpoint(scene->log, 0, 0.0), TRAJLOG_CALLBACK_FAILED, "\"checkpoint\"");
    expect(trajlog_close(&scene->log), TRAJLOG_CALLBACK_FAILED, "\"checkpoint\"");
}

static void a_checkpoint_that_is_not_durable_is_none(void **state)
{
    struct scene *scene = *state;
    for (int synchronous = 0; synchronous < 2; synchronous++) {
        trajlog_options options = trajlog_default_options();
        options.synchronous = synchronous;
        begin(&scene->now);
        create(scene, &options);
        run(scene, 0, 11, 5);
        __atomic_store_n(&refuse_syncs, 1, __ATOMIC_RELAXED);
        move(&scene->now);
        ok(trajlog_log(scene->log, 11, 5.5));
        expect(trajlog_checkpoint(scene->log, 11, 5.5), TRAJLOG_IO_ERROR, "run.h5|sync");
        __atomic_store_n(&refuse_syncs, 0, __ATOMIC_RELAXED);
        assert_int_equal(trajlog_error_number(scene->log), EIO);
        expect(trajlog_log(scene->log, 12, 6.0), TRAJLOG_IO_ERROR, "run.h5");
        trajlog_statistics now = {.struct_size = sizeof now};
        ok(trajlog_get_statistics(scene->log, &now));
        assert_int_equal(now.syncs, 2);
        expect(trajlog_close(&scene->log), TRAJLOG_IO_ERROR, "run.h5");
        check_state(scene, 10);
        unlink(scene->path);
    }
}

static const struct CMUnitTest tests[] = {
    TEST(the_newest_state_is_restored),
    TEST(a_run_goes_on_from_its_checkpoints),
    TEST(a_state_may_be_larger_than_the_queue),
    TEST(what_makes_no_checkpoint_is_refused),
    TEST(a_checkpoint_is_stored_as_it_is),
    TEST(a_callback_that_fails_ends_the_log),
    TEST(a_checkpoint_that_is_not_durable_is_none),
};

TEST_MAIN(tests)
