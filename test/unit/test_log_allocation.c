/* trajlog_log allocates nothing once the log runs: every allocation of this thread is counted. A program of its own,
 * because it takes the place of malloc. Nor does it call libhdf5. */
#include "harness.h"

#include <errno.h>
#include <hdf5.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "trajlog.h"

/* The sanitizers have a malloc of their own, that must not be replaced. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif

#define QUEUE_FRAMES 10

static _Thread_local long allocations;

#ifndef IS_SANITIZED
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}
void *realloc(void *old, size_t size)
{
    allocations++;
    return __libc_realloc(old, size);
}
void *aligned_alloc(size_t alignment, size_t size)
{
    allocations++;
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size)
{
    allocations++;
    *memory = __libc_memalign(alignment, size);
    return *memory != NULL ? 0 : ENOMEM;
}
void free(void *memory)
{
    __libc_free(memory);
}
#endif

static int fill(void *frame, const void *state, void *context)
{
    (void)state;
    memcpy(frame, context, sizeof(double));
    return 0;
}

static int is_even(int64_t step, double time, const void *state, void *context)
{
    (void)time, (void)state, (void)context;
    return step % 2 == 0;
}

static void report(const trajlog_progress *progress, void *context)
{
    *(double *)context = progress->queue_fill;
}

static double value, array[300];
static char text[8] = "abc";

static void declare(trajlog_writer *log)
{
    const trajlog_frequency frequencies[] = {trajlog_every(1), trajlog_with_last(trajlog_logarithmic(5)),
                                             trajlog_when(is_even, NULL), trajlog_wall_clock(1e-6)};
    const char *const names[] = {"every", "logarithmic", "predicate", "clock"};
    for (int i = 0; i < 4; i++) {
        trajlog_group *group = trajlog_add_group(log, names[i], frequencies[i]);
        trajlog_add_field(group, "value", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &value, NULL);
        trajlog_add_field(group, "text", TRAJLOG_STRING(8), TRAJLOG_SCALAR, text, NULL);
        trajlog_store_as(trajlog_add_field(group, "narrow", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100, 3), array, NULL),
                         TRAJLOG_FLOAT32);
        trajlog_bind_fortran(trajlog_add_field(group, "fortran", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100, 3), NULL, NULL),
                             array);
        trajlog_field *computed = trajlog_add_field(group, "computed", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, NULL, NULL);
        trajlog_set_callback(computed, fill, &value);
        trajlog_store_as(computed, TRAJLOG_FLOAT32);
    }
}

/* Keeps the worker from libhdf5 until the queue is full and the caller sleeps because of it. */
struct obstacle {
    const trajlog_writer *log;
    pid_t caller;
    sem_t stands;
};

static int is_asleep(pid_t thread)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
    FILE *stat = fopen(path, "r");
    if (stat == NULL) return 0;
    const char *got = fgets(line, sizeof line, stat);
    fclose(stat);
    const char *name_end = got != NULL ? strrchr(line, ')') : NULL;
    return name_end != NULL && strncmp(name_end, ") S", 3) == 0;
}

static int is_full(const trajlog_writer *log)
{
    trajlog_statistics now = {.struct_size = sizeof now};
    return trajlog_get_statistics(log, &now) == TRAJLOG_OK && now.queue_high_frames >= QUEUE_FRAMES;
}

static void *obstruct(void *context)
{
    struct obstacle *obstacle = context;
    trajlog_hdf5_lock();
    sem_post(&obstacle->stands);
    for (int i = 0; i < 60000 && !(is_full(obstacle->log) && is_asleep(obstacle->caller)); i++) usleep(1000);
    trajlog_hdf5_unlock();
    return NULL;
}

static void a_step_allocates_nothing(void **state)
{
    (void)state;
#ifdef IS_SANITIZED
    skip();
#endif
    char path[] = "/tmp/trajlog-allocation-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    trajlog_options options = trajlog_default_options();
    double fill_level = 0.0;
    options.existing = TRAJLOG_REPLACE;
    options.queue_frames = QUEUE_FRAMES; /* so that a step waits for room, too */
    options.flush_seconds = 1e-9;        /* the worker enters libhdf5 for each frame */
    options.progress = report;
    options.progress_context = &fill_level;
    options.progress_seconds = 1e-9;
    trajlog_writer *log = NULL;
    assert_int_equal(trajlog_create(&log, path, &options), TRAJLOG_OK);
    declare(log);
    assert_int_equal(trajlog_log(log, 0, 0.0), TRAJLOG_OK);
    assert_int_equal(trajlog_flush(log), TRAJLOG_OK);
    struct obstacle obstacle = {.log = log, .caller = gettid()};
    pthread_t thread;
    assert_int_equal(sem_init(&obstacle.stands, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, obstruct, &obstacle), 0);
    while (sem_wait(&obstacle.stands) != 0) assert_int_equal(errno, EINTR);
    long before = allocations;
    for (int64_t step = 1; step < 3000; step++) {
        value = (double)step;
        assert_int_equal(trajlog_log(log, step, 0.0), TRAJLOG_OK);
        if (step % 1000 == 0) assert_int_equal(trajlog_flush(log), TRAJLOG_OK);
    }
    assert_int_equal(allocations - before, 0);
    assert_true(before > 0);
    pthread_join(thread, NULL);
    sem_destroy(&obstacle.stands);
    trajlog_statistics now = {.struct_size = sizeof now};
    assert_int_equal(trajlog_get_statistics(log, &now), TRAJLOG_OK);
    assert_true(now.blocked_seconds > 0.0);
    assert_int_equal(trajlog_close(&log), TRAJLOG_OK);
    unlink(path);
}

static int64_t particles, ids[100];

static int fill_particles(void *frame, const void *state, void *context)
{
    (void)state, (void)context;
    memcpy(frame, array, (size_t)particles * sizeof(double[3]));
    return 0;
}

static void declare_gas(trajlog_writer *log)
{
    trajlog_group *gas = trajlog_add_group(log, "gas", trajlog_with_last(trajlog_every(2)));
    trajlog_field *x = trajlog_add_field(gas, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3, 3), array, NULL);
    trajlog_set_role(x, TRAJLOG_ROLE_POSITION, NULL);
    trajlog_field *id = trajlog_add_field(gas, "id", TRAJLOG_INT64, TRAJLOG_SHAPE(3), ids, NULL);
    trajlog_set_role(id, TRAJLOG_ROLE_ID, NULL);
    trajlog_field *called = trajlog_add_field(gas, "called", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3, 3), NULL, NULL);
    trajlog_set_callback(called, fill_particles, NULL);
    trajlog_set_role(called, TRAJLOG_ROLE_PARTICLE, NULL);
    trajlog_set_count(gas, &particles);
}

/* Only who needs more room than ever before pays for it. */
static void particles_that_have_room_allocate_nothing(void **state)
{
    (void)state;
#ifdef IS_SANITIZED
    skip();
#endif
    char path[] = "/tmp/trajlog-allocation-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    trajlog_options options = trajlog_default_options();
    options.existing = TRAJLOG_REPLACE;
    trajlog_writer *log = NULL;
    assert_int_equal(trajlog_create(&log, path, &options), TRAJLOG_OK);
    declare_gas(log);
    assert_int_equal(trajlog_log(log, 0, 0.0), TRAJLOG_OK);
    long before = allocations;
    particles = 49;
    assert_int_equal(trajlog_log(log, 1, 0.0), TRAJLOG_OK);
    assert_true(allocations > before);
    before = allocations;
    for (int64_t step = 2; step < 3000; step++) {
        particles = step * 7 % 97; /* there is room for 96 */
        assert_int_equal(trajlog_log(log, step, 0.0), TRAJLOG_OK);
    }
    assert_int_equal(allocations - before, 0);
    assert_int_equal(trajlog_close(&log), TRAJLOG_OK);
    unlink(path);
}

/* A thread that holds this library's lock and is inside libhdf5, where that is thread-safe alone, until it may leave. */
struct guest {
    sem_t entered, leave;
    int overdue; /* nobody let it go: the others seem to wait for it */
};

static herr_t stay(hid_t id, const char *name, void *context)
{
    (void)id, (void)name;
    struct guest *guest = context;
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 60;
    sem_post(&guest->entered);
    int left;
    while ((left = sem_timedwait(&guest->leave, &deadline)) != 0 && errno == EINTR) {
    }
    guest->overdue = left != 0;
    return 1;
}

static void *visit(void *context)
{
    trajlog_hdf5_lock();
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    int result = H5Piterate(properties, NULL, stay, context);
    H5Pclose(properties);
    trajlog_hdf5_unlock();
    return result == 1 ? NULL : context;
}

static int64_t commits(const trajlog_writer *log)
{
    trajlog_statistics now = {.struct_size = sizeof now};
    assert_int_equal(trajlog_get_statistics(log, &now), TRAJLOG_OK);
    return now.commits;
}

static void a_step_does_not_call_libhdf5(void **state)
{
    (void)state;
    char path[] = "/tmp/trajlog-allocation-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    trajlog_options options = trajlog_default_options();
    options.existing = TRAJLOG_REPLACE;
    options.flush_seconds = 1e-9;
    trajlog_writer *log = NULL;
    assert_int_equal(trajlog_create(&log, path, &options), TRAJLOG_OK);
    declare(log);
    assert_int_equal(trajlog_log(log, 0, 0.0), TRAJLOG_OK);
    assert_int_equal(trajlog_flush(log), TRAJLOG_OK);
    int64_t before = commits(log);

    struct guest guest = {.overdue = 0};
    assert_int_equal(sem_init(&guest.entered, 0, 0), 0);
    assert_int_equal(sem_init(&guest.leave, 0, 0), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, visit, &guest), 0);
    while (sem_wait(&guest.entered) != 0) assert_int_equal(errno, EINTR);
    for (int64_t step = 1; step < 1000; step++) {
        value = (double)step;
        assert_int_equal(trajlog_log(log, step, 0.0), TRAJLOG_OK);
    }
    assert_int_equal(commits(log), before); /* the worker does have to wait */
    sem_post(&guest.leave);
    void *result = &guest;
    pthread_join(thread, &result);
    assert_null(result);
    assert_int_equal(guest.overdue, 0);
    sem_destroy(&guest.entered);
    sem_destroy(&guest.leave);
    assert_int_equal(trajlog_close(&log), TRAJLOG_OK);
    unlink(path);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_step_allocates_nothing),
    cmocka_unit_test(particles_that_have_room_allocate_nothing),
    cmocka_unit_test(a_step_does_not_call_libhdf5),
};

TEST_MAIN(tests)
