/* The worker and its delivery, against a sink in memory: order, commits, drops, errors, waiting. */
#include "harness.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "write/clock.h"
#include "write/worker.h"

/* The system's refusal of a thread, on demand: this definition comes before libpthread's. */
static int refuse_threads;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    if (refuse_threads) return EAGAIN;
    union {
        void *object;
        int (*function)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    } next = {.object = dlsym(RTLD_NEXT, "pthread_create")};
    return next.function(thread, attributes, start, argument);
}

/* Two groups with a time axis: "scalars" with one float64, and "arrays" with a field that is switched off between two
 * that are not: int32[1000], uint8[3]. */
#define ARRAY_LENGTH 1000

static struct field value = {.name = "value", .enabled = true, .stored_bytes = sizeof(double)};
static struct field array = {.name = "array", .enabled = true, .stored_bytes = ARRAY_LENGTH * sizeof(int32_t)};
static struct field off = {.name = "off", .enabled = false, .stored_bytes = 1 << 20};
static struct field bytes = {.name = "bytes", .enabled = true, .stored_bytes = 3};
static struct field *scalar_fields[] = {&value};
static struct field *array_fields[] = {&array, &off, &bytes};
static struct group scalars = {.name = "scalars",
                               .frequency = {.kind = TRAJLOG_FREQUENCY_EVERY},
                               .fields = scalar_fields,
                               .field_count = 1,
                               .enabled = true};
static struct group arrays = {.name = "arrays",
                              .frequency = {.kind = TRAJLOG_FREQUENCY_EVERY},
                              .fields = array_fields,
                              .field_count = 3,
                              .enabled = true};
static struct group *groups[] = {&scalars, &arrays};
static const struct schema schema = {.groups = groups, .group_count = 2};

#define SCALARS 0
#define ARRAYS  1

/* A row that the sink has not copied yet. */
#define MOST_BORROWED 8
struct borrowed_row {
    size_t group;
    int64_t step;
    const void *fields[3];
};

/* The sink. Written by the worker under the mutex. */
struct memory {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int64_t calls, calls_after_failure;
    int64_t fail_at; /* the number of the call that fails; 0: none */
    int64_t rows[2], wrong;
    int64_t last_row_step;
    int64_t last_step, committed_step, committed_rows, commits;
    int64_t syncs, synced_rows, checkpoints, checkpoint_step;
    trajlog_drop drops[8];
    int64_t drop_count, rows_before_first_drop;
    bool blocked;    /* append waits while this is set */
    bool is_waiting; /* in append */
    long delay;      /* nanoseconds per row */
    bool signals_blocked;
    bool failed;
    struct borrowed_row borrowed[MOST_BORROWED];
    int64_t may_borrow, borrowed_count; /* so many rows, then they are given back */
};

static trajlog_status enter(struct memory *memory, struct error *error)
{
    if (memory->failed) memory->calls_after_failure++;
    if (++memory->calls != memory->fail_at) return TRAJLOG_OK;
    memory->failed = true;
    return error_set(error, TRAJLOG_IO_ERROR, ENOSPC, "call %d", (int)memory->calls);
}

static bool content_is_right(size_t group, int64_t step, double time, const void *const *fields)
{
    if (time != 0.25 * (double)step) return false;
    if (group == SCALARS) return *(const double *)fields[0] == (double)step;
    const int32_t *numbers = fields[0];
    const unsigned char *text = fields[2];
    if (fields[1] != NULL || text[0] != (unsigned char)step || text[2] != (unsigned char)(step + 2)) return false;
    for (int i = 0; i < ARRAY_LENGTH; i++)
        if (numbers[i] != (int32_t)step * 7 + i) return false;
    return true;
}

/* What was borrowed must still be what it was. */
static void memory_settle(void *context)
{
    struct memory *memory = context;
    pthread_mutex_lock(&memory->mutex);
    for (int64_t i = 0; i < memory->borrowed_count; i++) {
        const struct borrowed_row *row = &memory->borrowed[i];
        if (!content_is_right(row->group, row->step, 0.25 * (double)row->step, row->fields)) memory->wrong++;
    }
    memory->borrowed_count = 0;
    pthread_mutex_unlock(&memory->mutex);
}

static bool memory_borrows(void *context)
{
    const struct memory *memory = context;
    return memory->borrowed_count > 0;
}

static void borrow(struct memory *memory, size_t group, int64_t step, const void *const *fields)
{
    if (memory->may_borrow == 0) return;
    struct borrowed_row *row = &memory->borrowed[memory->borrowed_count++];
    row->group = group;
    row->step = step;
    memcpy(row->fields, fields, groups[group]->field_count * sizeof fields[0]);
}

static trajlog_status memory_append(void *context, size_t group, int64_t step, double time, const void *const *fields,
                                    struct error *error)
{
    struct memory *memory = context;
    if (memory->delay > 0) nanosleep(&(struct timespec){.tv_nsec = memory->delay}, NULL);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    pthread_mutex_lock(&memory->mutex);
    memory->signals_blocked = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGINT) && sigismember(&mask, SIGUSR1);
    memory->is_waiting = memory->blocked;
    pthread_cond_broadcast(&memory->changed);
    while (memory->blocked) pthread_cond_wait(&memory->changed, &memory->mutex);
    memory->is_waiting = false;
    trajlog_status status = enter(memory, error);
    if (status == TRAJLOG_OK) {
        if (!content_is_right(group, step, time, fields) || step < memory->last_row_step) memory->wrong++;
        memory->rows[group]++;
        memory->last_row_step = step;
        borrow(memory, group, step, fields);
    }
    pthread_mutex_unlock(&memory->mutex);
    if (memory->borrowed_count >= memory->may_borrow) memory_settle(memory);
    return status;
}

static trajlog_status memory_add_drop(void *context, const trajlog_drop *drop, struct error *error)
{
    struct memory *memory = context;
    pthread_mutex_lock(&memory->mutex);
    trajlog_status status = enter(memory, error);
    if (status == TRAJLOG_OK && memory->drop_count < 8) {
        if (memory->drop_count == 0) memory->rows_before_first_drop = memory->rows[SCALARS];
        memory->drops[memory->drop_count++] = *drop;
    }
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

static void memory_set_last_step(void *context, int64_t step)
{
    struct memory *memory = context;
    pthread_mutex_lock(&memory->mutex);
    memory->last_step = step;
    pthread_mutex_unlock(&memory->mutex);
}

static trajlog_status memory_commit(void *context, enum commit_level level, struct error *error)
{
    struct memory *memory = context;
    memory_settle(memory);
    pthread_mutex_lock(&memory->mutex);
    trajlog_status status = enter(memory, error);
    if (status == TRAJLOG_OK) {
        memory->commits++;
        if (level == COMMIT_SYNCED) memory->synced_rows = memory->rows[SCALARS] + memory->rows[ARRAYS];
        if (level == COMMIT_SYNCED) memory->syncs++;
        memory->committed_step = memory->last_step;
        memory->committed_rows = memory->rows[SCALARS] + memory->rows[ARRAYS];
        pthread_cond_broadcast(&memory->changed);
    }
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

static trajlog_status memory_write_checkpoint(void *context, size_t group, int64_t step, double time,
                                              const void *const *fields, struct error *error)
{
    struct memory *memory = context;
    pthread_mutex_lock(&memory->mutex);
    trajlog_status status = enter(memory, error);
    if (status == TRAJLOG_OK) {
        if (!content_is_right(group, step, time, fields)) memory->wrong++;
        memory->checkpoints++;
        memory->checkpoint_step = step;
        memory->synced_rows = memory->rows[SCALARS] + memory->rows[ARRAYS];
    }
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

/* A worker with its surroundings. */
struct scene {
    struct memory memory;
    struct frame_layout layout;
    struct counters counters;
    struct queue *queue;
    struct delivery delivery;
    struct worker *worker;
};

static const trajlog_drop no_drop = {0, 0, 0};

static void set_up_pace(struct scene *scene, size_t largest_frames, const struct commit_pace *pace)
{
    memset(scene, 0, sizeof *scene);
    pthread_mutex_init(&scene->memory.mutex, NULL);
    pthread_cond_init(&scene->memory.changed, NULL);
    assert_int_equal(frame_layout_make(&scene->layout, &schema, NULL), TRAJLOG_OK);
    struct sink sink = {&scene->memory,          memory_append, memory_add_drop, memory_set_last_step,
                        memory_write_checkpoint, memory_commit, memory_borrows,  memory_settle};
    assert_int_equal(delivery_init(&scene->delivery, &sink, &scene->layout, pace, &scene->counters, NULL), TRAJLOG_OK);
    struct queue_bounds bounds = {
        .bytes = largest_frames * scene->layout.largest, .frames = 4096, .largest = scene->layout.largest};
    assert_int_equal(queue_new(&scene->queue, &bounds, &scene->counters, NULL), TRAJLOG_OK);
}

static void set_up(struct scene *scene, size_t largest_frames, double flush_seconds)
{
    set_up_pace(scene, largest_frames, &(struct commit_pace){.flush_seconds = flush_seconds, .sync_seconds = -1.0});
}

static void start(struct scene *scene)
{
    assert_int_equal(worker_start(&scene->worker, scene->queue, &scene->delivery, ANY_CPU, NULL), TRAJLOG_OK);
}

static void tear_down(struct scene *scene)
{
    queue_free(scene->queue);
    delivery_destroy(&scene->delivery);
    frame_layout_free(&scene->layout);
    pthread_cond_destroy(&scene->memory.changed);
    pthread_mutex_destroy(&scene->memory.mutex);
}

static void fill_section(const struct section_layout *layout, uint32_t group, unsigned char *section, int64_t step)
{
    if (group == SCALARS) {
        *(double *)(void *)(section + layout->offsets[0]) = (double)step;
        return;
    }
    int32_t *numbers = (int32_t *)(void *)(section + layout->offsets[0]);
    for (int i = 0; i < ARRAY_LENGTH; i++) numbers[i] = (int32_t)step * 7 + i;
    for (int i = 0; i < 3; i++) section[layout->offsets[2] + (size_t)i] = (unsigned char)(step + i);
}

/* Every step has scalars, each third arrays too. */
static void push_with(struct scene *scene, int64_t step, const trajlog_drop *drop)
{
    const uint32_t due[] = {SCALARS, ARRAYS};
    size_t count = step % 3 == 0 ? 2 : 1;
    struct message *message =
        queue_reserve_wait(scene->queue, frame_bytes(&scene->layout, due, count), MESSAGE_FRAME, INT64_MAX);
    frame_begin(message, due, count, step, 0.25 * (double)step);
    message->drop = *drop;
    void *section = frame_first_section(message);
    for (size_t i = 0; i < count; i++) {
        fill_section(&scene->layout.sections[due[i]], due[i], section, step);
        section = frame_next_section(&scene->layout, due[i], section);
    }
    queue_publish(scene->queue);
}

static void push(struct scene *scene, int64_t step)
{
    push_with(scene, step, &no_drop);
}

static void rows_arrive_in_order_and_are_committed_at_stop(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene, 4, 1e6);
    start(&scene);
    for (int64_t step = 0; step < 3000; step++) push(&scene, step);
    worker_stop(scene.worker, 3010, &no_drop);
    assert_int_equal(scene.memory.wrong, 0);
    assert_int_equal(scene.memory.rows[SCALARS], 3000);
    assert_int_equal(scene.memory.rows[ARRAYS], 1000);
    assert_int_equal(scene.memory.commits, 1);
    assert_int_equal(scene.memory.committed_rows, 4000);
    assert_int_equal(scene.memory.committed_step, 3010);
    assert_int_equal(counter_get(&scene.counters.rows), 4000);
    assert_int_equal(counter_get(&scene.counters.commits), 1);
    assert_true(counter_get(&scene.counters.busy_nanoseconds) > 0);
    assert_true(scene.memory.signals_blocked);
    tear_down(&scene);
}

/* Its messages stay in the queue as long, be it roomy or tight. */
static void a_sink_may_borrow_rows(void **state)
{
    (void)state;
    for (int64_t most = 1; most <= MOST_BORROWED; most++)
        for (size_t largest_frames = 1; largest_frames <= 100; largest_frames *= 10) {
            struct scene scene;
            set_up(&scene, largest_frames, 1e6);
            scene.memory.may_borrow = most;
            start(&scene);
            for (int64_t step = 0; step < 500; step++) {
                push(&scene, step);
                if (step % 100 == 37) worker_ask(scene.worker, MESSAGE_FLUSH, step, 0.0, &no_drop);
            }
            worker_stop(scene.worker, 500, &no_drop);
            assert_int_equal(scene.memory.wrong, 0);
            assert_int_equal(scene.memory.borrowed_count, 0);
            assert_int_equal(scene.memory.committed_rows, 500 + 167);
            tear_down(&scene);
        }
}

static void a_flush_returns_when_everything_is_committed(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene, 2, 1e6);
    start(&scene);
    worker_ask(scene.worker, MESSAGE_FLUSH, -1, 0.0, &no_drop);
    int64_t rows = 0;
    for (int64_t step = 0; step < 1000; step++) {
        push(&scene, step);
        rows += step % 3 == 0 ? 2 : 1;
        if (step % 5 > 1) continue;
        worker_ask(scene.worker, MESSAGE_FLUSH, step, 0.0, &no_drop);
        pthread_mutex_lock(&scene.memory.mutex);
        assert_int_equal(scene.memory.committed_rows, rows);
        assert_int_equal(scene.memory.committed_step, step);
        pthread_mutex_unlock(&scene.memory.mutex);
    }
    worker_ask(scene.worker, MESSAGE_FLUSH, 999, 0.0, &no_drop);
    worker_ask(scene.worker, MESSAGE_FLUSH, 999, 0.0, &no_drop);
    worker_stop(scene.worker, 999, &no_drop);
    assert_int_equal(scene.memory.committed_rows, rows);
    assert_int_equal(scene.memory.wrong, 0);
    tear_down(&scene);
}

static void a_worker_without_work_starts_and_stops(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct scene scene;
        set_up(&scene, 1, 1.0);
        start(&scene);
        if (i % 2 == 0) push(&scene, 0);
        worker_stop(scene.worker, i, &no_drop);
        assert_int_equal(scene.memory.committed_step, i);
        tear_down(&scene);
    }
    worker_stop(NULL, 0, &no_drop);
}

static void commits_come_with_time(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene, 4, 0.0);
    start(&scene);
    for (int64_t step = 0; step < 10; step++) push(&scene, step);
    worker_stop(scene.worker, 9, &no_drop);
    /* Each frame and the end. */
    assert_int_equal(scene.memory.commits, 11);
    tear_down(&scene);

    set_up(&scene, 4, 0.02);
    start(&scene);
    push(&scene, 0);
    push(&scene, 1);
    /* Nothing more comes: the worker finds the time itself. */
    pthread_mutex_lock(&scene.memory.mutex);
    while (scene.memory.committed_rows < 3) pthread_cond_wait(&scene.memory.changed, &scene.memory.mutex);
    assert_int_equal(scene.memory.committed_step, 1);
    pthread_mutex_unlock(&scene.memory.mutex);
    worker_stop(scene.worker, 1, &no_drop);
    tear_down(&scene);
}

/* Commits by rows, by bytes, and synced ones by time; each frame of step 3 k has two rows, the others one. */
static void commits_come_with_rows_and_bytes(void **state)
{
    (void)state;
    struct scene scene;
    set_up_pace(&scene, 4, &(struct commit_pace){.flush_seconds = 1e6, .flush_rows = 4, .sync_seconds = -1.0});
    start(&scene);
    for (int64_t step = 0; step < 9; step++) push(&scene, step); /* rows: 2 1 1 2 1 1 2 1 1 */
    worker_stop(scene.worker, 8, &no_drop);
    assert_int_equal(scene.memory.commits, 3 + 1);
    tear_down(&scene);

    size_t two = 2 * sizeof(double); /* bytes of two frames of scalars */
    set_up_pace(&scene, 4, &(struct commit_pace){.flush_seconds = 1e6, .flush_bytes = two, .sync_seconds = -1.0});
    start(&scene);
    push(&scene, 1);
    push(&scene, 2);
    push(&scene, 3); /* with an array: more than two at once */
    push(&scene, 4);
    worker_stop(scene.worker, 4, &no_drop);
    assert_int_equal(scene.memory.commits, 2 + 1);
    assert_int_equal(scene.memory.syncs, 0);
    tear_down(&scene);
}

static void synced_commits_come_with_time(void **state)
{
    (void)state;
    struct scene scene;
    set_up_pace(&scene, 4, &(struct commit_pace){.flush_seconds = 1e6, .sync_seconds = 0.0});
    start(&scene);
    for (int64_t step = 0; step < 5; step++) push(&scene, step);
    worker_stop(scene.worker, 4, &no_drop);
    assert_int_equal(scene.memory.syncs, 5);
    assert_int_equal(counter_get(&scene.counters.syncs), 5);
    assert_int_equal(scene.memory.commits, 6);
    tear_down(&scene);

    /* What was only flushed is synced later, though nothing more comes. */
    set_up_pace(&scene, 4, &(struct commit_pace){.flush_seconds = 0.0, .sync_seconds = 0.02});
    start(&scene);
    push(&scene, 0);
    while (counter_get(&scene.counters.syncs) == 0) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    worker_stop(scene.worker, 0, &no_drop);
    assert_int_equal(scene.memory.synced_rows, 2);
    assert_int_equal(scene.memory.syncs, 1);
    tear_down(&scene);
}

static void syncs_and_checkpoints_are_waited_for(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene, 4, 1e6);
    void *section = aligned_alloc(MESSAGE_ALIGNMENT, scene.layout.sections[ARRAYS].bytes);
    scene.delivery.checkpoint = (struct checkpoint){ARRAYS, section};
    start(&scene);
    int64_t rows = 0;
    for (int64_t step = 0; step < 100; step++) {
        push(&scene, step);
        rows += step % 3 == 0 ? 2 : 1;
        if (step % 10 != 7) continue;
        fill_section(&scene.layout.sections[ARRAYS], ARRAYS, section, step);
        enum message_kind kind = step % 20 == 7 ? MESSAGE_CHECKPOINT : MESSAGE_SYNC;
        worker_ask(scene.worker, kind, step, 0.25 * (double)step, &no_drop);
        pthread_mutex_lock(&scene.memory.mutex);
        assert_int_equal(scene.memory.synced_rows, rows);
        if (kind == MESSAGE_CHECKPOINT) assert_int_equal(scene.memory.checkpoint_step, step);
        pthread_mutex_unlock(&scene.memory.mutex);
    }
    worker_stop(scene.worker, 99, &no_drop);
    assert_int_equal(scene.memory.wrong, 0);
    assert_int_equal(scene.memory.checkpoints, 5);
    assert_int_equal(scene.memory.syncs, 5);
    assert_int_equal(counter_get(&scene.counters.syncs), 10);
    free(section);
    tear_down(&scene);
}

static void drops_come_before_the_message_that_carries_them(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene, 4, 1e6);
    start(&scene);
    push(&scene, 1);
    push_with(&scene, 9, &(trajlog_drop){2, 8, 6});
    push(&scene, 10);
    worker_ask(scene.worker, MESSAGE_FLUSH, 12, 0.0, &(trajlog_drop){11, 12, 2});
    worker_stop(scene.worker, 13, &(trajlog_drop){13, 13, 1});
    assert_int_equal(scene.memory.drop_count, 3);
    assert_int_equal(scene.memory.rows_before_first_drop, 1);
    assert_int_equal(scene.memory.drops[0].first_step, 2);
    assert_int_equal(scene.memory.drops[0].last_step, 8);
    assert_int_equal(scene.memory.drops[0].frames, 6);
    assert_int_equal(scene.memory.drops[1].last_step, 12);
    assert_int_equal(scene.memory.drops[2].first_step, 13);
    tear_down(&scene);
}

/* The k-th call of the sink fails, for every k: rows, drop, commits. */
static void the_first_error_sticks_and_nobody_waits(void **state)
{
    (void)state;
    for (int64_t k = 1; k <= 60; k++) {
        struct scene scene;
        set_up(&scene, 1, k % 2 == 0 ? 0.0 : 1e6);
        scene.memory.fail_at = k;
        start(&scene);
        for (int64_t step = 0; step < 100; step++) {
            push_with(&scene, step, step == 20 ? &(trajlog_drop){19, 19, 1} : &no_drop);
            if (step % 30 == 29) worker_ask(scene.worker, MESSAGE_FLUSH, step, 0.0, &no_drop);
        }
        worker_ask(scene.worker, MESSAGE_FLUSH, 99, 0.0, &no_drop);
        assert_true(delivery_has_failed(&scene.delivery));
        struct error error = *delivery_error(&scene.delivery);
        worker_stop(scene.worker, 99, &(trajlog_drop){100, 100, 1});
        assert_int_equal(error.status, TRAJLOG_IO_ERROR);
        assert_int_equal(error.number, ENOSPC);
        char expected[32];
        snprintf(expected, sizeof expected, "call %d", (int)k);
        assert_non_null(strstr(error.message, expected));
        assert_int_equal(scene.memory.calls, k);
        assert_int_equal(scene.memory.calls_after_failure, 0);
        assert_int_equal(scene.memory.wrong, 0);
        assert_int_equal(counter_get(&scene.counters.rows), scene.memory.rows[SCALARS] + scene.memory.rows[ARRAYS]);
        tear_down(&scene);
    }
}

/* Opens the sink when the producer is about to wait, or waits already. */
static void *unblock_later(void *argument)
{
    struct scene *scene = argument;
    pthread_mutex_lock(&scene->memory.mutex);
    while (!scene->memory.is_waiting) pthread_cond_wait(&scene->memory.changed, &scene->memory.mutex);
    pthread_mutex_unlock(&scene->memory.mutex);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    pthread_mutex_lock(&scene->memory.mutex);
    scene->memory.blocked = false;
    pthread_cond_broadcast(&scene->memory.changed);
    pthread_mutex_unlock(&scene->memory.mutex);
    return NULL;
}

static void a_sink_that_blocks(bool then_fails)
{
    struct scene scene;
    set_up(&scene, 2, 1e6);
    scene.memory.blocked = true;
    scene.memory.fail_at = then_fails ? 1 : 0;
    start(&scene);
    pthread_t helper;
    assert_int_equal(pthread_create(&helper, NULL, unblock_later, &scene), 0);
    for (int64_t step = 0; step < 200; step++) push(&scene, step);
    worker_ask(scene.worker, MESSAGE_FLUSH, 199, 0.0, &no_drop);
    pthread_join(helper, NULL);
    assert_int_equal(delivery_has_failed(&scene.delivery), then_fails);
    worker_stop(scene.worker, 199, &no_drop);
    assert_int_equal(scene.memory.rows[SCALARS], then_fails ? 0 : 200);
    assert_int_equal(scene.memory.wrong, 0);
    tear_down(&scene);
}

static void a_blocked_sink_holds_the_producer_until_it_goes_on(void **state)
{
    (void)state;
    a_sink_that_blocks(false);
}

static void a_blocked_sink_that_fails_lets_the_producer_go(void **state)
{
    (void)state;
    a_sink_that_blocks(true);
}

static void a_slow_sink_loses_nothing(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene, 3, 0.001);
    scene.memory.delay = 100000;
    start(&scene);
    for (int64_t step = 0; step < 300; step++) {
        push(&scene, step);
        if (step % 100 == 50) worker_ask(scene.worker, MESSAGE_FLUSH, step, 0.0, &no_drop);
    }
    worker_stop(scene.worker, 299, &no_drop);
    assert_int_equal(scene.memory.committed_rows, 400);
    assert_int_equal(scene.memory.wrong, 0);
    tear_down(&scene);
}

static void a_refused_thread_is_an_error(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene, 3, 1.0);
    struct error error = {0};
    refuse_threads = 1;
    trajlog_status status = worker_start(&scene.worker, scene.queue, &scene.delivery, ANY_CPU, &error);
    refuse_threads = 0;
    assert_int_equal(status, TRAJLOG_OUT_OF_MEMORY);
    assert_int_equal(error.number, EAGAIN);
    assert_null(scene.worker);
    tear_down(&scene);
}

static void delivery_works_without_a_thread(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene, 1, 1e6);
    for (int64_t step = 0; step < 10; step++) {
        push(&scene, step);
        delivery_take(&scene.delivery, queue_next(scene.queue, 0));
        queue_release(scene.queue);
        assert_int_equal(scene.memory.rows[SCALARS], step + 1);
    }
    assert_int_equal(scene.memory.commits, 0);
    assert_int_equal(scene.memory.wrong, 0);
    tear_down(&scene);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(rows_arrive_in_order_and_are_committed_at_stop),
    cmocka_unit_test(a_sink_may_borrow_rows),
    cmocka_unit_test(a_flush_returns_when_everything_is_committed),
    cmocka_unit_test(a_worker_without_work_starts_and_stops),
    cmocka_unit_test(commits_come_with_time),
    cmocka_unit_test(commits_come_with_rows_and_bytes),
    cmocka_unit_test(synced_commits_come_with_time),
    cmocka_unit_test(syncs_and_checkpoints_are_waited_for),
    cmocka_unit_test(drops_come_before_the_message_that_carries_them),
    cmocka_unit_test(the_first_error_sticks_and_nobody_waits),
    cmocka_unit_test(a_blocked_sink_holds_the_producer_until_it_goes_on),
    cmocka_unit_test(a_blocked_sink_that_fails_lets_the_producer_go),
    cmocka_unit_test(a_slow_sink_loses_nothing),
    cmocka_unit_test(a_refused_thread_is_an_error),
    cmocka_unit_test(delivery_works_without_a_thread),
};

TEST_MAIN(tests)
