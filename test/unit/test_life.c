/* A log in a process that exits without closing it, that forks, or whose threads end. Each story is told by a child
 * process; this one looks at what it left. */
#include "harness.h"

#include <errno.h>
#include <hdf5.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trajlog.h"

/* For the sanitizers. What libhdf5 keeps for the worker's thread is lost in a child, that has no such thread; and an exit
 * from a signal handler is what one of the tests is about. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5\n";
}

const char *__tsan_default_options(void)
{
    return "report_signal_unsafe=0";
}

#define STEPS 500

struct scene {
    char directory[64], path[96], other[96];
    double value, array[1000];
    trajlog_writer *log;
};

static int make_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    strcpy(scene->directory, "/tmp/trajlog-life-XXXXXX");
    assert_non_null(mkdtemp(scene->directory));
    snprintf(scene->path, sizeof scene->path, "%s/run.h5", scene->directory);
    snprintf(scene->other, sizeof scene->other, "%s/other.h5", scene->directory);
    *state = scene;
    return 0;
}

static int drop_scene(void **state)
{
    struct scene *scene = *state;
    (void)trajlog_close(&scene->log);
    unlink(scene->path);
    unlink(scene->other);
    int left = rmdir(scene->directory); /* fails if a lock or a journal was left behind */
    free(scene);
    return left;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_scene, drop_scene)

/* In a child, cmocka's assertions would go on in the parent's tests. */
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s; %s\n", __FILE__, __LINE__, #condition, trajlog_message(NULL));                 \
            _exit(99);                                                                                                 \
        }                                                                                                              \
    } while (0)

/* Forks; what follows a 0 is the child's part, which ends with exit. */
static pid_t begin_child(void)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) alarm(100); /* nothing waits for ever */
    return child;
}

static void await_child(pid_t child, int expected)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status)) fail_msg("the child was ended by signal %d", WTERMSIG(status));
    assert_int_equal(WEXITSTATUS(status), expected);
}

static void open_log(struct scene *scene, const trajlog_options *options)
{
    MUST(trajlog_create(&scene->log, scene->path, options) == TRAJLOG_OK);
    trajlog_group *group = trajlog_add_group(scene->log, "all", trajlog_every(1));
    trajlog_add_field(group, "value", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &scene->value, NULL);
    trajlog_add_field(group, "array", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(1000), scene->array, NULL);
    group = trajlog_add_group(scene->log, "last", trajlog_with_last(trajlog_every(1000)));
    trajlog_add_field(group, "value", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &scene->value, NULL);
}

static void log_step(struct scene *scene, int64_t step)
{
    scene->value = (double)step;
    for (int i = 0; i < 1000; i++) scene->array[i] = (double)(step + i);
    MUST(trajlog_log(scene->log, step, 0.5 * (double)step) == TRAJLOG_OK);
}

static void run(struct scene *scene, int64_t first, int64_t stop)
{
    for (int64_t step = first; step < stop; step++) log_step(scene, step);
}

static hsize_t read_doubles(const char *path, const char *name, double *data, hsize_t capacity)
{
    hsize_t dims[2] = {0, 1};
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    assert_true(dataset >= 0);
    hid_t space = H5Dget_space(dataset);
    assert_true(H5Sget_simple_extent_dims(space, dims, NULL) >= 0);
    assert_true(dims[0] * dims[1] <= capacity);
    assert_true(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Sclose(space);
    H5Dclose(dataset);
    H5Fclose(file);
    return dims[0];
}

/* The rows 0, 1, ... of the group "all"; returns how many there are. */
static int64_t check_rows(const char *path)
{
    static double values[STEPS], array[STEPS * 1000];
    hsize_t rows = read_doubles(path, "all/value", values, STEPS);
    assert_int_equal(read_doubles(path, "all/array", array, STEPS * 1000), rows);
    for (hsize_t i = 0; i < rows; i++) {
        assert_true(values[i] == (double)i);
        for (hsize_t j = 0; j < 1000; j++) assert_true(array[1000 * i + j] == (double)(i + j));
    }
    return (int64_t)rows;
}

static void check_last(const char *path, int64_t rows)
{
    double values[2];
    assert_int_equal(read_doubles(path, "last/value", values, 2), 2);
    assert_true(values[0] == 0.0 && values[1] == (double)(rows - 1));
}

/* --------------------------------------------------------------------------------------------------------- exit --- */

static void an_exit_closes_the_log(void **state)
{
    struct scene *scene = *state;
    for (int synchronous = 0; synchronous < 2; synchronous++) {
        pid_t child = begin_child();
        if (child == 0) {
            trajlog_options options = trajlog_default_options();
            options.synchronous = synchronous;
            open_log(scene, &options);
            run(scene, 0, STEPS);
            exit(3);
        }
        await_child(child, 3);
        assert_int_equal(check_rows(scene->path), STEPS);
        check_last(scene->path, STEPS);
        unlink(scene->path);
    }
}

static void an_exit_before_the_first_step_leaves_groups_without_rows(void **state)
{
    struct scene *scene = *state;
    pid_t child = begin_child();
    if (child == 0) {
        open_log(scene, NULL);
        exit(0);
    }
    await_child(child, 0);
    assert_int_equal(check_rows(scene->path), 0);
}

static void an_exit_with_a_failed_log_does_nothing(void **state)
{
    struct scene *scene = *state;
    pid_t child = begin_child();
    if (child == 0) {
        char path[128];
        snprintf(path, sizeof path, "%s/no/run.h5", scene->directory);
        MUST(trajlog_create(&scene->log, path, NULL) == TRAJLOG_NOT_FOUND);
        trajlog_writer *log = scene->log;
        open_log(scene, NULL);
        run(scene, 0, 10);
        MUST(log != NULL);
        exit(0);
    }
    await_child(child, 0);
    assert_int_equal(check_rows(scene->path), 10);
}

/* What the host's own handlers find, which were registered before ours, and run after them. */
static struct scene *told;

static void close_late(void)
{
    MUST(trajlog_log(told->log, STEPS, 1e9) == TRAJLOG_INVALID_STATE);
    MUST(trajlog_flush(told->log) == TRAJLOG_OK);
    MUST(trajlog_close(&told->log) == TRAJLOG_OK);
    MUST(told->log == NULL);
}

static void a_handler_of_the_host_may_close_the_log_after_that(void **state)
{
    struct scene *scene = *state;
    pid_t child = begin_child();
    if (child == 0) {
        told = scene;
        MUST(atexit(close_late) == 0);
        open_log(scene, NULL);
        run(scene, 0, STEPS);
        exit(0);
    }
    await_child(child, 0);
    assert_int_equal(check_rows(scene->path), STEPS);
}

static void begin_late(void)
{
    strcpy(told->path, told->other);
    open_log(told, NULL);
    run(told, 0, 20);
}

static void a_log_that_is_made_while_the_process_exits_is_closed(void **state)
{
    struct scene *scene = *state;
    pid_t child = begin_child();
    if (child == 0) {
        told = scene;
        MUST(atexit(begin_late) == 0);
        open_log(scene, NULL);
        run(scene, 0, 10);
        exit(0);
    }
    await_child(child, 0);
    assert_int_equal(check_rows(scene->path), 10);
    assert_int_equal(check_rows(scene->other), 20);
}

static int exit_from_callback(void *frame, const void *state, void *context)
{
    (void)state;
    struct scene *scene = context;
    *(double *)frame = scene->value;
    if (scene->value == 100.0) exit(4);
    return 0;
}

static int exit_from_predicate(int64_t step, double time, const void *state, void *context)
{
    (void)time;
    (void)state;
    (void)context;
    if (step == 100) exit(4);
    return 1;
}

static void exit_from_progress(const trajlog_progress *progress, void *context)
{
    (void)context;
    if (progress->step == 99) exit(4);
}

/* The step that is under way is not logged, all before it are. */
static void an_exit_from_a_callback_keeps_what_was_accepted(void **state)
{
    struct scene *scene = *state;
    for (int from = 0; from < 3; from++) {
        pid_t child = begin_child();
        if (child == 0) {
            trajlog_options options = trajlog_default_options();
            options.progress = from == 2 ? exit_from_progress : NULL;
            options.progress_seconds = 1e-9;
            told = scene;
            open_log(scene, &options);
            trajlog_frequency frequency = from == 1 ? trajlog_when(exit_from_predicate, scene) : trajlog_every(1);
            trajlog_group *group = trajlog_add_group(scene->log, "more", frequency);
            trajlog_field *field = trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &scene->value, NULL);
            if (from == 0) MUST(trajlog_set_callback(field, exit_from_callback, scene) == TRAJLOG_OK);
            run(scene, 0, STEPS);
            _exit(98);
        }
        await_child(child, 4);
        assert_int_equal(check_rows(scene->path), 100);
        unlink(scene->path);
    }
}

static void *log_for_ever(void *argument)
{
    struct scene *scene = argument;
    trajlog_status status = TRAJLOG_OK;
    for (int64_t step = 20; status == TRAJLOG_OK && step < STEPS; step++) {
        scene->value = (double)step;
        for (int i = 0; i < 1000; i++) scene->array[i] = (double)(step + i);
        status = trajlog_log(scene->log, step, 0.5 * (double)step);
        if (step == 50) kill(getpid(), SIGUSR1);
    }
    while (status == TRAJLOG_OK || status == TRAJLOG_INVALID_STATE) pause();
    MUST(status == TRAJLOG_OK);
    return NULL;
}

/* Another thread logs meanwhile, and is stopped wherever it is. */
static void an_exit_of_another_thread_keeps_what_was_accepted(void **state)
{
    struct scene *scene = *state;
    for (int round = 0; round < 10; round++) {
        pid_t child = begin_child();
        if (child == 0) {
            sigset_t signals;
            int number;
            pthread_t thread;
            sigemptyset(&signals);
            sigaddset(&signals, SIGUSR1);
            MUST(pthread_sigmask(SIG_BLOCK, &signals, NULL) == 0);
            trajlog_options options = trajlog_default_options();
            options.queue_frames = 8;
            open_log(scene, &options);
            run(scene, 0, 20);
            MUST(pthread_create(&thread, NULL, log_for_ever, scene) == 0);
            MUST(sigwait(&signals, &number) == 0);
            usleep((unsigned)round * 100);
            exit(0);
        }
        await_child(child, 0);
        assert_true(check_rows(scene->path) > 40);
        unlink(scene->path);
    }
}

static void exit_at_once(int number)
{
    (void)number;
    exit(6);
}

/* Wherever it comes in: what was flushed is there. */
static void an_exit_from_a_signal_handler_keeps_the_file(void **state)
{
    struct scene *scene = *state;
    for (int round = 0; round < 10; round++) {
        pid_t child = begin_child();
        if (child == 0) {
            open_log(scene, NULL);
            run(scene, 0, 20);
            MUST(trajlog_flush(scene->log) == TRAJLOG_OK);
            signal(SIGALRM, exit_at_once);
            ualarm(1000 + (unsigned)round * 500, 0);
            for (int64_t step = 20; step < STEPS; step++) log_step(scene, step % STEPS);
            for (;;) pause();
        }
        await_child(child, 6);
        assert_true(check_rows(scene->path) >= 20);
        unlink(scene->path);
    }
}

/* ------------------------------------------------------------------------------------------------------- threads --- */

static void *open_and_run(void *argument)
{
    open_log(argument, NULL);
    run(argument, 0, 50);
    return NULL;
}

static void *go_on(void *argument)
{
    run(argument, 50, 100);
    return NULL;
}

static void a_log_outlives_the_threads_that_use_it(void **state)
{
    struct scene *scene = *state;
    pid_t child = begin_child();
    if (child == 0) {
        pthread_t thread;
        MUST(pthread_create(&thread, NULL, open_and_run, scene) == 0);
        MUST(pthread_join(thread, NULL) == 0);
        MUST(pthread_create(&thread, NULL, go_on, scene) == 0);
        MUST(pthread_join(thread, NULL) == 0);
        run(scene, 100, 150);
        exit(0);
    }
    await_child(child, 0);
    assert_int_equal(check_rows(scene->path), 150);
}

/* --------------------------------------------------------------------------------------------------------- fork --- */

static void use_in_child(struct scene *scene)
{
    trajlog_writer *log = scene->log;
    trajlog_statistics now = {.struct_size = sizeof now};
    MUST(trajlog_log(log, 1000, 1e6) == TRAJLOG_INVALID_STATE);
    MUST(strstr(trajlog_message(log), "parent") != NULL);
    MUST(trajlog_error_number(log) == 0);
    MUST(trajlog_flush(log) == TRAJLOG_INVALID_STATE);
    MUST(trajlog_sync(log) == TRAJLOG_INVALID_STATE);
    MUST(trajlog_checkpoint(log, 1000, 1e6) == TRAJLOG_INVALID_STATE);
    MUST(trajlog_add_group(log, "g", trajlog_every(1)) == NULL);
    MUST(trajlog_set_metadata(log, "a", "b") == TRAJLOG_INVALID_STATE);
    MUST(trajlog_get_statistics(log, &now) == TRAJLOG_OK);
    MUST(trajlog_close(&scene->log) == TRAJLOG_INVALID_STATE);
    MUST(scene->log == NULL);
    MUST(strstr(trajlog_message(NULL), "parent") != NULL);
}

/* A synchronous one: ThreadSanitizer allows no thread in a child of a process with threads. */
static void log_in_child(struct scene *scene)
{
    trajlog_options options = trajlog_default_options();
    options.synchronous = 1;
    options.existing = TRAJLOG_REPLACE;
    strcpy(scene->path, scene->other);
    open_log(scene, &options);
    run(scene, 0, 30);
}

/* At the worst moments: the worker is busy, and may hold any lock. */
static void a_child_leaves_the_log_to_its_parent(void **state)
{
    struct scene *scene = *state;
    for (int synchronous = 0; synchronous < 2; synchronous++) {
        trajlog_options options = trajlog_default_options();
        options.synchronous = synchronous;
        options.queue_frames = 16;
        options.flush_seconds = 0.001;
        open_log(scene, &options);
        for (int64_t step = 0; step < STEPS; step++) {
            log_step(scene, step);
            if (step % 25 != 0) continue;
            pid_t child = begin_child();
            if (child == 0) {
                if (step % 50 == 0) use_in_child(scene);
                if (step % 100 == 0) log_in_child(scene);
                if (step % 75 == 0) _exit(5);
                exit(5);
            }
            await_child(child, 5);
            if (step % 100 == 0 && step % 75 != 0) assert_int_equal(check_rows(scene->other), 30);
        }
        assert_int_equal(trajlog_close(&scene->log), TRAJLOG_OK);
        assert_int_equal(check_rows(scene->path), STEPS);
        check_last(scene->path, STEPS);
        unlink(scene->path);
    }
}

static void a_child_may_be_forked_before_the_first_step(void **state)
{
    struct scene *scene = *state;
    open_log(scene, NULL);
    pid_t child = begin_child();
    if (child == 0) {
        use_in_child(scene);
        exit(0);
    }
    await_child(child, 0);
    run(scene, 0, 10);
    assert_int_equal(trajlog_close(&scene->log), TRAJLOG_OK);
    assert_int_equal(check_rows(scene->path), 10);
}

/* The parent goes first; what the child has left of the log does nothing. */
static void a_child_may_outlive_its_parent(void **state)
{
    struct scene *scene = *state;
    pid_t middle = begin_child();
    if (middle == 0) {
        int ends[2];
        char byte;
        open_log(scene, NULL);
        run(scene, 0, 100);
        MUST(pipe(ends) == 0);
        if (fork() == 0) {
            close(ends[1]);
            (void)!read(ends[0], &byte, 1); /* ends when the parent does */
            exit(0);
        }
        exit(0);
    }
    await_child(middle, 0);
    assert_int_equal(check_rows(scene->path), 100);
}

static const struct CMUnitTest tests[] = {
    TEST(an_exit_closes_the_log),
    TEST(an_exit_before_the_first_step_leaves_groups_without_rows),
    TEST(an_exit_with_a_failed_log_does_nothing),
    TEST(a_handler_of_the_host_may_close_the_log_after_that),
    TEST(a_log_that_is_made_while_the_process_exits_is_closed),
    TEST(an_exit_from_a_callback_keeps_what_was_accepted),
    TEST(an_exit_of_another_thread_keeps_what_was_accepted),
    TEST(an_exit_from_a_signal_handler_keeps_the_file),
    TEST(a_log_outlives_the_threads_that_use_it),
    TEST(a_child_leaves_the_log_to_its_parent),
    TEST(a_child_may_be_forked_before_the_first_step),
    TEST(a_child_may_outlive_its_parent),
};

TEST_MAIN(tests)
