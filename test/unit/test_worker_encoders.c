/* Threads that encode chunks: what they make, in which order, and how they live and end. And the worker's own CPU. */
#include <dirent.h>
#include <hdf5.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "store/pipeline.h"
#include "store/threads.h"
#include "threads_fork.h"
#include "trajlog.h"

/* For LeakSanitizer: what libhdf5 keeps for the worker's thread is lost in a child, that has no such thread. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5\n";
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Tasks
 * ------------------------------------------------------------------------------------------------------------------ */

struct sum {
    struct task task;
    int from, to;
    long result;
};

static void add_up(struct task *task)
{
    struct sum *sum = (struct sum *)task;
    sum->result = 0;
    for (int i = sum->from; i < sum->to; i++) sum->result += i;
}

static void every_task_is_run_once(void **state)
{
    enum { TASKS = 8, ROUNDS = 5000 };
    struct sum sums[TASKS];
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        struct threads *encoders;
        assert_int_equal(threads_start(&encoders, threads, "test", NULL), TRAJLOG_OK);
        struct helpers helpers = threads_helpers(encoders);
        assert_int_equal(helpers.count, threads);
        for (int i = 0; i < ROUNDS; i++) {
            struct sum *sum = &sums[i % TASKS];
            if (i >= TASKS) {
                helpers.finish(helpers.context, &sum->task);
                assert_int_equal(sum->result, (long)100 * (i - TASKS) + 4950);
            }
            *sum = (struct sum){.task.run = add_up, .from = i, .to = i + 100, .result = -1};
            helpers.begin(helpers.context, &sum->task);
        }
        for (int i = ROUNDS; i < ROUNDS + TASKS; i++) helpers.finish(helpers.context, &sums[i % TASKS].task);
        threads_stop(encoders);
    }
    threads_stop(NULL);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Chunks
 * ------------------------------------------------------------------------------------------------------------------ */

static void fill_chunk(unsigned char *chunk, size_t bytes, int64_t number)
{
    for (size_t i = 0; i < bytes; i++) chunk[i] = (unsigned char)(number + (int64_t)(i / 100));
}

static void expect_chunk(struct pipeline *pipeline, int64_t number)
{
    static const struct encoding encoding = {.element_size = 8, .level = 1, .checksum = true};
    static unsigned char chunk[40000];
    size_t bytes = 1000 * (size_t)(number % 40 + 1);
    struct encoder *encoder = encoder_new();
    struct encoded expected, encoded;
    struct chunk_place place;
    assert_int_equal(pipeline_take(pipeline, &place, &encoded, NULL), TRAJLOG_OK);
    assert_int_equal(place.first_row, number);
    assert_int_equal(place.side, -number);
    fill_chunk(chunk, bytes, number);
    assert_int_equal(encoder_encode(encoder, &encoding, chunk, bytes, &expected, NULL), TRAJLOG_OK);
    assert_int_equal(encoded.size, expected.size);
    assert_int_equal(encoded.filter_mask, expected.filter_mask);
    assert_memory_equal(encoded.bytes, expected.bytes, expected.size);
    encoder_free(encoder);
}

/* Their memory is bounded. */
static void fewer_large_chunks_are_under_way(void **state)
{
    static const struct encoding encoding = {.element_size = 8, .level = 1};
    const size_t sizes[] = {(size_t)3 << 20, 1000, (size_t)1 << 20};
    const int expected[] = {6, 24, 8};
    struct threads *encoders;
    struct pipeline *pipeline;
    (void)state;
    assert_int_equal(threads_start(&encoders, 3, "test", NULL), TRAJLOG_OK);
    struct helpers helpers = threads_helpers(encoders);
    assert_int_equal(pipeline_new(&pipeline, &helpers, NULL), TRAJLOG_OK);
    for (int i = 0; i < 3; i++) {
        int count = 0;
        struct chunk_place place = {0};
        struct encoded encoded;
        unsigned char *chunk = calloc(1, sizes[i]);
        for (; !pipeline_is_full(pipeline); count++)
            assert_int_equal(pipeline_put(pipeline, place, &encoding, chunk, sizes[i], NULL), TRAJLOG_OK);
        assert_int_equal(count, expected[i]);
        while (!pipeline_is_empty(pipeline))
            assert_int_equal(pipeline_take(pipeline, &place, &encoded, NULL), TRAJLOG_OK);
        free(chunk);
    }
    pipeline_free(pipeline);
    threads_stop(encoders);
}

static void chunks_come_out_in_order(void **state)
{
    static const struct encoding encoding = {.element_size = 8, .level = 1, .checksum = true};
    static unsigned char chunk[40000];
    struct threads *encoders;
    struct pipeline *pipeline;
    int64_t out = 0;
    (void)state;
    assert_int_equal(threads_start(&encoders, 3, "test", NULL), TRAJLOG_OK);
    struct helpers helpers = threads_helpers(encoders);
    assert_int_equal(pipeline_new(&pipeline, &helpers, NULL), TRAJLOG_OK);
    for (int64_t in = 0; in < 300; in++) {
        if (pipeline_is_full(pipeline)) expect_chunk(pipeline, out++);
        size_t bytes = 1000 * (size_t)(in % 40 + 1);
        fill_chunk(chunk, bytes, in);
        struct chunk_place place = {.first_row = in, .side = -in};
        assert_int_equal(pipeline_put(pipeline, place, &encoding, chunk, bytes, NULL), TRAJLOG_OK);
        memset(chunk, 0, sizeof chunk); /* a copy was taken */
    }
    assert_int_equal(out, 276); /* eight for each helper */
    while (!pipeline_is_empty(pipeline)) expect_chunk(pipeline, out++);
    assert_int_equal(out, 300);
    fill_chunk(chunk, 1000, 0);
    assert_int_equal(pipeline_put(pipeline, (struct chunk_place){0}, &encoding, chunk, 1000, NULL), TRAJLOG_OK);
    pipeline_free(pipeline); /* with something in it */
    threads_stop(encoders);
}

static void errors_come_back(void **state)
{
    static const struct encoding good = {.element_size = 8, .level = 1}, bad = {.element_size = 8, .level = 99};
    struct threads *encoders;
    struct pipeline *pipeline;
    struct chunk_place place = {0};
    struct encoded encoded;
    struct error error = {0};
    char chunk[1000] = {0};
    (void)state;
    assert_int_equal(threads_start(&encoders, 2, "test", NULL), TRAJLOG_OK);
    struct helpers helpers = threads_helpers(encoders);
    assert_int_equal(pipeline_new(&pipeline, &helpers, NULL), TRAJLOG_OK);
    assert_int_equal(pipeline_put(pipeline, place, &good, chunk, sizeof chunk, NULL), TRAJLOG_OK);
    assert_int_equal(pipeline_put(pipeline, place, &bad, chunk, sizeof chunk, NULL), TRAJLOG_OK);
    assert_int_equal(pipeline_put(pipeline, place, &good, chunk, sizeof chunk, NULL), TRAJLOG_OK);
    assert_int_equal(pipeline_take(pipeline, &place, &encoded, &error), TRAJLOG_OK);
    assert_int_not_equal(pipeline_take(pipeline, &place, &encoded, &error), TRAJLOG_OK);
    assert_true(strlen(error.message) > 0);
    assert_int_equal(pipeline_take(pipeline, &place, &encoded, NULL), TRAJLOG_OK);
    pipeline_free(pipeline);
    threads_stop(encoders);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Logs
 * ------------------------------------------------------------------------------------------------------------------ */

#define ATOMS 5000

struct scene {
    char directory[64], path[96];
    float x[ATOMS * 3], v[ATOMS * 3];
    trajlog_writer *log;
};

static int make_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    strcpy(scene->directory, "/tmp/trajlog-encoders-XXXXXX");
    assert_non_null(mkdtemp(scene->directory));
    snprintf(scene->path, sizeof scene->path, "%s/run.h5", scene->directory);
    *state = scene;
    return 0;
}

static int drop_scene(void **state)
{
    struct scene *scene = *state;
    (void)trajlog_close(&scene->log);
    unlink(scene->path);
    int left = rmdir(scene->directory);
    free(scene);
    return left;
}

/* In a child, cmocka's assertions would go on in the parent's tests. */
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s; %s\n", __FILE__, __LINE__, #condition, trajlog_message(NULL));                 \
            _exit(99);                                                                                                 \
        }                                                                                                              \
    } while (0)

static void open_log(struct scene *scene, int encoder_threads)
{
    trajlog_options options = trajlog_default_options();
    trajlog_storage storage = {.struct_size = sizeof storage, .compression = TRAJLOG_COMPRESSION_DEFLATE};
    options.encoder_threads = encoder_threads;
    options.flush_rows = 37;
    MUST(trajlog_create(&scene->log, scene->path, &options) == TRAJLOG_OK);
    trajlog_group *group = trajlog_add_group(scene->log, "g", trajlog_every(1));
    trajlog_field *x = trajlog_add_field(group, "x", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(ATOMS, 3), scene->x, NULL);
    trajlog_field *v = trajlog_add_field(group, "v", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(ATOMS, 3), scene->v, NULL);
    storage.chunk_rows = 3;
    MUST(trajlog_set_storage(x, &storage) == TRAJLOG_OK);
    storage.access = TRAJLOG_ACCESS_PARTICLE;
    storage.chunk_rows = 20;
    MUST(trajlog_set_storage(v, &storage) == TRAJLOG_OK);
}

static float value_at(int64_t row, size_t i)
{
    return (float)(row * 10 + (int64_t)(i % 1000));
}

static void run(struct scene *scene, int64_t first, int64_t end)
{
    for (int64_t step = first; step < end; step++) {
        for (size_t i = 0; i < ATOMS * 3; i++) scene->x[i] = scene->v[i] = value_at(step, i);
        MUST(trajlog_log(scene->log, step, 0.0) == TRAJLOG_OK);
    }
}

static void expect_rows(const char *path, const char *name, int64_t rows)
{
    hsize_t dims[3];
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), dataset = H5Dopen2(file, name, H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset);
    assert_int_equal(H5Sget_simple_extent_dims(space, dims, NULL), 3);
    assert_int_equal(dims[0], rows);
    float *data = malloc((size_t)rows * ATOMS * 3 * sizeof *data);
    assert_non_null(data);
    assert_true(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    for (int64_t row = 0; row < rows; row++)
        for (size_t i = 0; i < ATOMS * 3; i++) assert_true(data[(size_t)row * ATOMS * 3 + i] == value_at(row, i));
    free(data);
    H5Sclose(space);
    H5Dclose(dataset);
    H5Fclose(file);
}

static void a_log_is_the_same(void **state)
{
    struct scene *scene = *state;
    for (int threads = 0; threads <= 3; threads++) {
        open_log(scene, threads);
        run(scene, 0, 100);
        assert_int_equal(trajlog_flush(scene->log), TRAJLOG_OK);
        expect_rows(scene->path, "g/x", 100);
        expect_rows(scene->path, "g/v", 100);
        run(scene, 100, 145);
        assert_int_equal(trajlog_close(&scene->log), TRAJLOG_OK);
        expect_rows(scene->path, "g/x", 145);
        expect_rows(scene->path, "g/v", 145);
        unlink(scene->path);
    }
}

static void await_child(pid_t child, int expected)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status)) fail_msg("the child was ended by signal %d", WTERMSIG(status));
    assert_int_equal(WEXITSTATUS(status), expected);
}

static void an_exit_ends_the_encoders(void **state)
{
    struct scene *scene = *state;
    pid_t child = fork();
    if (child == 0) {
        alarm(100);
        open_log(scene, 2);
        run(scene, 0, 50);
        exit(5);
    }
    await_child(child, 5);
    expect_rows(scene->path, "g/x", 50);
    expect_rows(scene->path, "g/v", 50);
}

/* Asked by LeakSanitizer when a process ends. What an encoder was about to keep at the moment of a fork, only its stack
 * knows, and the child has no such thread: that is no leak. */
static bool is_forked;
__attribute__((visibility("default"))) int __lsan_is_turned_off(void); /* NOLINT: its name */
int __lsan_is_turned_off(void)                                         /* NOLINT: its name */
{
    return is_forked;
}

/* The child has no encoders, and waits for none. */
static void a_fork_leaves_them_to_the_parent(void **state)
{
    struct scene *scene = *state;
    open_log(scene, 2);
    run(scene, 0, 40);
    pid_t child = fork_with_threads();
    if (child == 0) {
        is_forked = true;
        alarm(100);
        MUST(trajlog_log(scene->log, 1000, 0.0) == TRAJLOG_INVALID_STATE);
        (void)trajlog_close(&scene->log);
        exit(6);
    }
    await_child(child, 6);
    run(scene, 40, 70);
    assert_int_equal(trajlog_close(&scene->log), TRAJLOG_OK);
    expect_rows(scene->path, "g/x", 70);
    expect_rows(scene->path, "g/v", 70);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Threads, as the system shows them
 * ------------------------------------------------------------------------------------------------------------------ */

/* The numbers of this process's threads of that name. */
static int find_threads(const char *name, int *threads, int most)
{
    DIR *directory = opendir("/proc/self/task");
    int count = 0;
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[300], found[64] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL) continue;
        if (fscanf(file, "%63s", found) == 1 && strcmp(found, name) == 0 && count < most)
            threads[count++] = atoi(entry->d_name);
        fclose(file);
    }
    closedir(directory);
    return count;
}

static unsigned long long blocked_signals(int thread)
{
    char path[64], line[200];
    unsigned long long blocked = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/status", thread);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) sscanf(line, "SigBlk: %llx", &blocked);
    fclose(file);
    return blocked;
}

static void encoders_block_signals_and_end(void **state)
{
    struct scene *scene = *state;
    int threads[10], count = 0;
    open_log(scene, 3);
    run(scene, 0, 30);
    /* A thread gets its name when it begins to run. */
    for (int i = 0; i < 6000 && (count = find_threads("trajlog-encode", threads, 10)) < 3; i++) usleep(10000);
    assert_int_equal(count, 3);
    for (int i = 0; i < count; i++)
        for (int signal = SIGHUP; signal <= SIGTERM; signal++)
            if (signal != SIGKILL) assert_true(blocked_signals(threads[i]) >> (signal - 1) & 1);
    assert_int_equal(trajlog_close(&scene->log), TRAJLOG_OK);
    /* The system may show a thread for a moment after it was joined. */
    for (int i = 0; i < 6000 && (count = find_threads("trajlog-encode", threads, 10)) > 0; i++) usleep(10000);
    assert_int_equal(count, 0);
}

static void no_threads_in_synchronous_mode(void **state)
{
    struct scene *scene = *state;
    int threads[10];
    trajlog_options options = trajlog_default_options();
    options.encoder_threads = 2;
    options.synchronous = 1;
    assert_int_equal(trajlog_create(&scene->log, scene->path, &options), TRAJLOG_OK);
    trajlog_add_field(trajlog_add_group(scene->log, "g", trajlog_every(1)), "x", TRAJLOG_FLOAT32, TRAJLOG_SCALAR,
                      scene->x, NULL);
    assert_int_equal(trajlog_log(scene->log, 0, 0.0), TRAJLOG_OK);
    assert_int_equal(find_threads("trajlog-encode", threads, 10), 0);
}

static trajlog_status log_on_cpu(struct scene *scene, int cpu)
{
    trajlog_options options = trajlog_default_options();
    options.worker_cpu = cpu + 1;
    trajlog_create(&scene->log, scene->path, &options);
    trajlog_add_field(trajlog_add_group(scene->log, "g", trajlog_every(1)), "x", TRAJLOG_FLOAT32, TRAJLOG_SCALAR,
                      scene->x, NULL);
    return trajlog_log(scene->log, 0, 0.0);
}

static void the_worker_runs_where_it_shall(void **state)
{
    struct scene *scene = *state;
    cpu_set_t ours, its;
    int thread, cpu = 0, count = 0;
    assert_int_equal(sched_getaffinity(0, sizeof ours, &ours), 0);
    while (!CPU_ISSET(cpu, &ours)) cpu++;
    assert_int_equal(log_on_cpu(scene, cpu), TRAJLOG_OK);
    for (int i = 0; i < 6000 && (count = find_threads("trajlog", &thread, 1)) < 1; i++) usleep(10000);
    assert_int_equal(count, 1);
    assert_int_equal(sched_getaffinity(thread, sizeof its, &its), 0);
    assert_int_equal(CPU_COUNT(&its), 1);
    assert_true(CPU_ISSET(cpu, &its));
    assert_int_equal(sched_getaffinity(0, sizeof its, &its), 0);
    assert_true(CPU_EQUAL(&ours, &its)); /* the caller's thread stays where it was */
    assert_int_equal(trajlog_close(&scene->log), TRAJLOG_OK);
    unlink(scene->path);

    assert_int_equal(log_on_cpu(scene, 65000), TRAJLOG_INVALID_ARGUMENT);
    assert_non_null(strstr(trajlog_message(scene->log), "CPU 65000"));
    assert_int_equal(trajlog_close(&scene->log), TRAJLOG_INVALID_ARGUMENT);
}

static void options_are_checked(void **state)
{
    struct scene *scene = *state;
    static const struct {
        int32_t threads, cpu;
    } bad[] = {{-1, 0}, {65, 0}, {0, -1}, {0, 65537}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        trajlog_options options = trajlog_default_options();
        options.encoder_threads = bad[i].threads;
        options.worker_cpu = bad[i].cpu;
        assert_int_equal(trajlog_create(&scene->log, scene->path, &options), TRAJLOG_INVALID_ARGUMENT);
        (void)trajlog_close(&scene->log);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_scene, drop_scene)

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_task_is_run_once),
    cmocka_unit_test(chunks_come_out_in_order),
    cmocka_unit_test(fewer_large_chunks_are_under_way),
    cmocka_unit_test(errors_come_back),
    TEST(a_log_is_the_same),
    TEST(an_exit_ends_the_encoders),
    TEST(a_fork_leaves_them_to_the_parent),
    TEST(encoders_block_signals_and_end),
    TEST(no_threads_in_synchronous_mode),
    TEST(the_worker_runs_where_it_shall),
    TEST(options_are_checked),
};

TEST_MAIN(tests)
