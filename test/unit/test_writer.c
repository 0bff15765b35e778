/* The writer, through the public header, on real files: errors and what they leave, frequencies, policies, the HDF5
 * lock, statistics. Layouts and element types are looked at from outside, by test_writer_file.py. */
#include "harness.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trajlog.h"

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

/* The system's refusal to sync, on demand. */
static int refuse_syncs, syncs;

static int count_sync(long call, int descriptor)
{
    __atomic_add_fetch(&syncs, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&refuse_syncs, __ATOMIC_RELAXED) == 0) return (int)syscall(call, descriptor);
    errno = EIO;
    return -1;
}

int fdatasync(int descriptor)
{
    return count_sync(SYS_fdatasync, descriptor);
}

int fsync(int descriptor)
{
    return count_sync(SYS_fsync, descriptor);
}

/* A libhdf5 without a filter, on demand. */
static H5Z_filter_t missing = H5Z_FILTER_ERROR;

htri_t H5Zfilter_avail(H5Z_filter_t filter)
{
    if (filter == missing) return 0;
    union {
        void *object;
        htri_t (*function)(H5Z_filter_t);
    } next = {.object = dlsym(RTLD_NEXT, "H5Zfilter_avail")};
    return next.function(filter);
}

struct scene {
    char directory[64], path[96];
    double value;        /* logged by log_scalar */
    trajlog_writer *log; /* closed at the end, if a test did not */
};

static int make_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    strcpy(scene->directory, "/tmp/trajlog-writer-XXXXXX");
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

/* --------------------------------------------------------------------------------------------- what is in a file ---
 */

static hsize_t read_dataset(const char *path, const char *name, hid_t type, void *data, size_t size)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    assert_true(dataset >= 0);
    hid_t space = H5Dget_space(dataset);
    hsize_t dims[8] = {1};
    assert_true(H5Sget_simple_extent_dims(space, dims, NULL) >= 0);
    assert_true((size_t)H5Sget_simple_extent_npoints(space) <= size);
    assert_true(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Sclose(space);
    H5Dclose(dataset);
    H5Fclose(file);
    return dims[0];
}

static void check_steps(const struct scene *scene, const char *name, const int64_t *expected, size_t count)
{
    int64_t steps[4096];
    assert_int_equal(read_dataset(scene->path, name, H5T_NATIVE_INT64, steps, 4096), count);
    for (size_t i = 0; i < count; i++) assert_int_equal(steps[i], expected[i]);
}

#define CHECK_STEPS(scene, name, ...)                                                                                  \
    do {                                                                                                               \
        const int64_t expected_[] = {__VA_ARGS__};                                                                     \
        check_steps(scene, name, expected_, sizeof expected_ / sizeof expected_[0]);                                   \
    } while (0)

static size_t row_count(const struct scene *scene, const char *name)
{
    int64_t steps[4096];
    return (size_t)read_dataset(scene->path, name, H5T_NATIVE_INT64, steps, 4096);
}

static int64_t actual_steps(const char *path)
{
    int64_t steps = -1;
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    hid_t attribute = H5Aopen(file, "actual_steps", H5P_DEFAULT);
    assert_true(attribute >= 0);
    assert_true(H5Aread(attribute, H5T_NATIVE_INT64, &steps) >= 0);
    H5Aclose(attribute);
    H5Fclose(file);
    return steps;
}

static bool has(const char *path, const char *name)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    htri_t there = H5Lexists(file, name, H5P_DEFAULT);
    H5Fclose(file);
    return there > 0;
}

/* ------------------------------------------------------------------------------------------------------- scenes --- */

static trajlog_group *log_scalar(struct scene *scene, const char *group, trajlog_frequency frequency)
{
    trajlog_group *made = trajlog_add_group(scene->log, group, frequency);
    trajlog_add_field(made, "value", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &scene->value, NULL);
    return made;
}

static void create(struct scene *scene, const trajlog_options *options)
{
    ok(trajlog_create(&scene->log, scene->path, options));
    assert_non_null(scene->log);
    assert_string_equal(trajlog_message(scene->log), "");
}

/* Logs steps first, first + 1, ..., before `stop`. */
static void run(struct scene *scene, int64_t first, int64_t stop)
{
    for (int64_t step = first; step < stop; step++) {
        scene->value = (double)step;
        ok(trajlog_log(scene->log, step, 0.5 * (double)step));
    }
}

static trajlog_statistics statistics(const trajlog_writer *log)
{
    trajlog_statistics now = {.struct_size = sizeof now};
    assert_int_equal(trajlog_get_statistics(log, &now), TRAJLOG_OK);
    return now;
}

/* ------------------------------------------------------------------------------------------------------- create --- */

static void refuse_create(struct scene *scene, const char *path, const trajlog_options *options, trajlog_status status,
                          const char *words)
{
    expect(trajlog_create(&scene->log, path, options), status, words);
    assert_non_null(scene->log);
    assert_string_equal(trajlog_message(scene->log), trajlog_message(NULL));
    /* The log carries the error: declarations go unchecked, and do nothing. */
    assert_null(log_scalar(scene, "thermo", trajlog_every(1)));
    assert_int_equal(trajlog_set_metadata(scene->log, "a", "b"), status);
    assert_int_equal(trajlog_log(scene->log, 0, 0.0), status);
    assert_int_equal(trajlog_flush(scene->log), status);
    trajlog_statistics now = statistics(scene->log);
    assert_int_equal(now.steps + now.frames + now.rows + now.commits, 0);
    expect(trajlog_close(&scene->log), status, words);
    assert_null(scene->log);
}

static void bad_paths_are_refused(void **state)
{
    struct scene *scene = *state;
    char path[160];
    refuse_create(scene, NULL, NULL, TRAJLOG_INVALID_ARGUMENT, "path|NULL");
    refuse_create(scene, "", NULL, TRAJLOG_INVALID_ARGUMENT, "path|empty");
    snprintf(path, sizeof path, "%s/missing/run.h5", scene->directory);
    refuse_create(scene, path, NULL, TRAJLOG_NOT_FOUND, "missing/run.h5");
    snprintf(path, sizeof path, "%s", scene->directory);
    trajlog_options options = trajlog_default_options();
    options.existing = TRAJLOG_REPLACE;
    assert_int_not_equal(trajlog_create(&scene->log, path, &options), TRAJLOG_OK);
    assert_int_not_equal(trajlog_close(&scene->log), TRAJLOG_OK);
    expect(trajlog_create(NULL, scene->path, NULL), TRAJLOG_INVALID_ARGUMENT, "trajlog_create");
}

static void a_read_only_directory_is_refused(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(chmod(scene->directory, 0555), 0);
    /* root may write everywhere. */
    bool root = geteuid() == 0;
    if (root) assert_int_equal(seteuid(65534), 0);
    trajlog_status status = trajlog_create(&scene->log, scene->path, NULL);
    int number = trajlog_error_number(scene->log);
    if (root) assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(scene->directory, 0755), 0);
    expect(status, TRAJLOG_IO_ERROR, "run.h5");
    assert_int_equal(number, EACCES);
    assert_int_equal(trajlog_close(&scene->log), TRAJLOG_IO_ERROR);
}

static void an_existing_file_is_refused_or_replaced(void **state)
{
    struct scene *scene = *state;
    FILE *file = fopen(scene->path, "w");
    fputs("precious", file);
    fclose(file);
    refuse_create(scene, scene->path, NULL, TRAJLOG_FILE_EXISTS, "run.h5|not created|TRAJLOG_REPLACE");
    char text[16] = "";
    file = fopen(scene->path, "r");
    assert_int_equal(fread(text, 1, sizeof text - 1, file), 8);
    fclose(file);
    assert_string_equal(text, "precious");
    trajlog_options options = trajlog_default_options();
    options.existing = TRAJLOG_REPLACE;
    create(scene, &options);
    log_scalar(scene, "thermo", trajlog_every(1));
    run(scene, 0, 3);
    ok(trajlog_close(&scene->log));
    CHECK_STEPS(scene, "thermo/step", 0, 1, 2);
}

static void bad_options_are_refused(void **state)
{
    struct scene *scene = *state;
#define REFUSED(member, wrong, words)                                                                                  \
    do {                                                                                                               \
        trajlog_options options = trajlog_default_options();                                                           \
        options.member = wrong;                                                                                        \
        refuse_create(scene, scene->path, &options, TRAJLOG_INVALID_ARGUMENT, words);                                  \
    } while (0)
    REFUSED(struct_size, 0, "struct_size");
    REFUSED(existing, (trajlog_existing)7, "existing");
    REFUSED(policy, (trajlog_policy)4, "policy");
    REFUSED(policy, (trajlog_policy)-1, "policy");
    REFUSED(block_seconds, -1.0, "block_seconds");
    REFUSED(block_seconds, NAN, "block_seconds");
    REFUSED(flush_seconds, INFINITY, "flush_seconds");
    REFUSED(progress_seconds, -0.5, "progress_seconds");
    REFUSED(total_steps, -1, "total_steps");
    REFUSED(flush_rows, -1, "flush_rows");
    REFUSED(flush_bytes, -1, "flush_bytes");
    REFUSED(sync_seconds, NAN, "sync_seconds");
    REFUSED(sync_seconds, INFINITY, "sync_seconds");
#undef REFUSED
    trajlog_options options = trajlog_default_options();
    options.config_path = options.config_text = "x";
    refuse_create(scene, scene->path, &options, TRAJLOG_INVALID_ARGUMENT, "config_path|config_text");
    options.config_path = NULL;
    refuse_create(scene, scene->path, &options, TRAJLOG_INVALID_CONFIG, "config_text");
    /* None of them left a file. */
    assert_int_equal(access(scene->path, F_OK), -1);
}

static void options_of_other_versions_work(void **state)
{
    struct scene *scene = *state;
    /* An older caller knows only the first members; what lies behind them is not the library's. */
    union {
        trajlog_options options;
        unsigned char bytes[sizeof(trajlog_options) + 64];
    } place;
    memset(&place, 0xff, sizeof place);
    place.options = (trajlog_options){.struct_size = offsetof(trajlog_options, policy), .synchronous = 1};
    memset(&place.options.policy, 0xff, sizeof place.options - offsetof(trajlog_options, policy));
    create(scene, &place.options);
    ok(trajlog_close(&scene->log));
    unlink(scene->path);
    memset(&place, 0xff, sizeof place);
    memset(&place, 0, offsetof(trajlog_options, flush_rows));
    place.options.struct_size = offsetof(trajlog_options, flush_rows);
    create(scene, &place.options);
    ok(trajlog_close(&scene->log));
    unlink(scene->path);
    /* A newer one has members that this library does not know, which is fine as long as they are not set. */
    memset(&place, 0, sizeof place);
    place.options.struct_size = sizeof place;
    create(scene, &place.options);
    ok(trajlog_close(&scene->log));
    unlink(scene->path);
    place.bytes[sizeof place - 1] = 1;
    refuse_create(scene, scene->path, &place.options, TRAJLOG_INVALID_ARGUMENT, "does not know");
}

static void close_accepts_null_and_a_second_call(void **state)
{
    struct scene *scene = *state;
    ok(trajlog_close(NULL));
    ok(trajlog_close(&scene->log));
    create(scene, NULL);
    ok(trajlog_close(&scene->log));
    assert_null(scene->log);
    ok(trajlog_close(&scene->log));
    /* A log that is closed is NULL, and calls on it say so. */
    expect(trajlog_log(scene->log, 0, 0.0), TRAJLOG_INVALID_ARGUMENT, "trajlog_log|NULL|closed");
    expect(trajlog_flush(scene->log), TRAJLOG_INVALID_ARGUMENT, "trajlog_flush|NULL|closed");
    expect(trajlog_set_metadata(NULL, "a", "b"), TRAJLOG_INVALID_ARGUMENT, "NULL");
    expect(trajlog_bind(NULL, scene, NULL), TRAJLOG_INVALID_ARGUMENT, "trajlog_bind|NULL");
    expect(trajlog_get_statistics(NULL, NULL), TRAJLOG_INVALID_ARGUMENT, "NULL");
    assert_null(trajlog_add_group(NULL, "a", trajlog_every(1)));
    assert_null(trajlog_add_field(NULL, "a", TRAJLOG_INT32, TRAJLOG_SCALAR, scene, NULL));
}

static void a_log_without_steps_has_a_schema_and_no_rows(void **state)
{
    struct scene *scene = *state;
    create(scene, NULL);
    log_scalar(scene, "init", trajlog_once());
    trajlog_group *thermo = log_scalar(scene, "thermo", trajlog_every(1));
    trajlog_add_field(thermo, "unbound", TRAJLOG_INT32, TRAJLOG_SHAPE(3), NULL, NULL);
    ok(trajlog_close(&scene->log));
    assert_int_equal(row_count(scene, "thermo/step"), 0);
    assert_true(has(scene->path, "init"));
    assert_false(has(scene->path, "init/value"));
    assert_int_equal(actual_steps(scene->path), 0);
}

/* ------------------------------------------------------------------------------------------------- declarations --- */

/* A declaration failed: the error sticks, the message says where, later declarations do nothing, and close returns it.
 */
static void check_sticks(struct scene *scene, trajlog_status status, const char *words)
{
    assert_int_equal(trajlog_log(scene->log, 0, 0.0), status);
    expect(trajlog_log(scene->log, 0, 0.0), status, words);
    assert_string_equal(trajlog_message(scene->log), trajlog_message(NULL));
    assert_non_null(strstr(trajlog_message(NULL), "run.h5"));
    assert_null(trajlog_add_group(scene->log, "another", trajlog_every(1)));
    expect(trajlog_close(&scene->log), status, words);
    unlink(scene->path);
}

static void bad_groups_are_refused(void **state)
{
    struct scene *scene = *state;
    const char *names[] = {NULL, "", "a/b", ".", "..", "trajlog", "new\nline", "\xff"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        create(scene, NULL);
        assert_null(log_scalar(scene, names[i], trajlog_every(1)));
        check_sticks(scene, TRAJLOG_INVALID_ARGUMENT, "name");
    }
    const int64_t unordered[] = {3, 2};
    const trajlog_frequency frequencies[] = {
        trajlog_every(0),       trajlog_every(-5),        trajlog_at_steps(NULL, 0), trajlog_at_steps(unordered, 2),
        trajlog_logarithmic(0), trajlog_when(NULL, NULL), trajlog_wall_clock(0.0),   trajlog_wall_clock(NAN),
        (trajlog_frequency){0},
    };
    for (size_t i = 0; i < sizeof frequencies / sizeof frequencies[0]; i++) {
        create(scene, NULL);
        assert_null(log_scalar(scene, "thermo", frequencies[i]));
        check_sticks(scene, TRAJLOG_INVALID_ARGUMENT, "thermo");
    }
    create(scene, NULL);
    assert_non_null(log_scalar(scene, "thermo", trajlog_every(1)));
    assert_null(log_scalar(scene, "thermo", trajlog_every(2)));
    check_sticks(scene, TRAJLOG_DUPLICATE_NAME, "thermo");
}

static void refuse_field(struct scene *scene, const char *name, trajlog_type type, trajlog_shape shape,
                         trajlog_status status, const char *words)
{
    create(scene, NULL);
    trajlog_group *thermo = log_scalar(scene, "thermo", trajlog_every(1));
    assert_null(trajlog_add_field(thermo, name, type, shape, &scene->value, NULL));
    check_sticks(scene, status, words);
}

static void bad_fields_are_refused(void **state)
{
    struct scene *scene = *state;
    const char *names[] = {NULL, "", "/a", "a//b", "a/", "..", "a/../b", "a\tb", "\xc3"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        refuse_field(scene, names[i], TRAJLOG_INT32, TRAJLOG_SCALAR, TRAJLOG_INVALID_ARGUMENT, "thermo");
    refuse_field(scene, "step", TRAJLOG_INT32, TRAJLOG_SCALAR, TRAJLOG_DUPLICATE_NAME, "thermo|step");
    refuse_field(scene, "time", TRAJLOG_INT32, TRAJLOG_SCALAR, TRAJLOG_DUPLICATE_NAME, "thermo|time");
    refuse_field(scene, "value", TRAJLOG_INT32, TRAJLOG_SCALAR, TRAJLOG_DUPLICATE_NAME, "thermo|value");
    refuse_field(scene, "x", 0, TRAJLOG_SCALAR, TRAJLOG_INVALID_ARGUMENT, "thermo|x");
    refuse_field(scene, "x", 99, TRAJLOG_SCALAR, TRAJLOG_INVALID_ARGUMENT, "thermo|x");
    refuse_field(scene, "x", TRAJLOG_INT32, TRAJLOG_SHAPE(0), TRAJLOG_INVALID_ARGUMENT, "thermo|x|0");
    refuse_field(scene, "x", TRAJLOG_INT32, TRAJLOG_SHAPE(5, -1), TRAJLOG_INVALID_ARGUMENT, "thermo|x|-1");
    refuse_field(scene, "x", TRAJLOG_INT32, TRAJLOG_SHAPE(INT64_MAX), TRAJLOG_INVALID_ARGUMENT, "thermo|x");
    refuse_field(scene, "x", TRAJLOG_INT32, TRAJLOG_SHAPE(INT64_C(1) << 40, INT64_C(1) << 40), TRAJLOG_INVALID_ARGUMENT,
                 "thermo|x");
    refuse_field(scene, "x", TRAJLOG_INT32, trajlog_shape_of(8, 1, 1, 1, 1, 1, 1, 1), TRAJLOG_INVALID_ARGUMENT,
                 "thermo|x");
}

/* Fails in one way, on a field that is otherwise good. */
typedef trajlog_status (*declaration)(trajlog_field *field);

static trajlog_status store_float_as_integer(trajlog_field *field)
{
    return trajlog_store_as(field, TRAJLOG_INT32);
}
static trajlog_status store_as_nothing(trajlog_field *field)
{
    return trajlog_store_as(field, 77);
}
static trajlog_status bind_null(trajlog_field *field)
{
    return trajlog_bind(field, NULL, NULL);
}
static trajlog_status bind_fortran_null(trajlog_field *field)
{
    return trajlog_bind_fortran(field, NULL);
}
static trajlog_status callback_null(trajlog_field *field)
{
    return trajlog_set_callback(field, NULL, NULL);
}
static trajlog_status storage_null(trajlog_field *field)
{
    return trajlog_set_storage(field, NULL);
}
static trajlog_status storage_without_size(trajlog_field *field)
{
    return trajlog_set_storage(field, &(trajlog_storage){.checksum = 1});
}
static trajlog_status storage_level(trajlog_field *field)
{
    return trajlog_set_storage(field, &(trajlog_storage){.struct_size = sizeof(trajlog_storage),
                                                         .compression = TRAJLOG_COMPRESSION_DEFLATE,
                                                         .level = 10});
}
static trajlog_status storage_reserved(trajlog_field *field)
{
    return trajlog_set_storage(field, &(trajlog_storage){.struct_size = sizeof(trajlog_storage), .reserved = 1});
}
static trajlog_status description_bad(trajlog_field *field)
{
    return trajlog_set_description(field, "\xff");
}
static trajlog_status metadata_key(trajlog_field *field)
{
    return trajlog_field_set_metadata(field, "", "text");
}
static trajlog_status metadata_json(trajlog_field *field)
{
    return trajlog_field_set_metadata_json(field, "[1, 2]");
}

static void bad_settings_of_a_field_are_refused(void **state)
{
    struct scene *scene = *state;
    const struct {
        declaration declare;
        trajlog_status status;
    } cases[] = {
        {store_float_as_integer, TRAJLOG_TYPE_MISMATCH},
        {store_as_nothing, TRAJLOG_INVALID_ARGUMENT},
        {bind_null, TRAJLOG_INVALID_ARGUMENT},
        {bind_fortran_null, TRAJLOG_INVALID_ARGUMENT},
        {callback_null, TRAJLOG_INVALID_ARGUMENT},
        {storage_null, TRAJLOG_INVALID_ARGUMENT},
        {storage_without_size, TRAJLOG_INVALID_ARGUMENT},
        {storage_level, TRAJLOG_INVALID_ARGUMENT},
        {storage_reserved, TRAJLOG_INVALID_ARGUMENT},
        {description_bad, TRAJLOG_INVALID_ARGUMENT},
        {metadata_key, TRAJLOG_INVALID_ARGUMENT},
        {metadata_json, TRAJLOG_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        create(scene, NULL);
        trajlog_group *thermo = trajlog_add_group(scene->log, "thermo", trajlog_every(1));
        trajlog_field *field =
            trajlog_add_field(thermo, "energy", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &scene->value, NULL);
        expect(cases[i].declare(field), cases[i].status, "thermo|energy");
        check_sticks(scene, cases[i].status, "thermo|energy");
    }
    create(scene, NULL);
    expect(trajlog_set_metadata(scene->log, NULL, "x"), TRAJLOG_INVALID_ARGUMENT, "key");
    check_sticks(scene, TRAJLOG_INVALID_ARGUMENT, "key");
    create(scene, NULL);
    trajlog_group *group = log_scalar(scene, "thermo", trajlog_every(1));
    expect(trajlog_group_set_metadata_json(group, "{"), TRAJLOG_INVALID_ARGUMENT, "thermo");
    check_sticks(scene, TRAJLOG_INVALID_ARGUMENT, "thermo");
}

static void a_missing_view_is_named(void **state)
{
    struct scene *scene = *state;
    create(scene, NULL);
    trajlog_group *thermo = log_scalar(scene, "thermo", trajlog_every(1));
    trajlog_add_field(thermo, "forgotten", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, NULL, NULL);
    expect(trajlog_log(scene->log, 0, 0.0), TRAJLOG_MISSING_VIEW, "run.h5|thermo|forgotten");
    check_sticks(scene, TRAJLOG_MISSING_VIEW, "thermo|forgotten");
}

static void the_schema_is_fixed_by_the_first_step(void **state)
{
    struct scene *scene = *state;
    static const char *const calls[] = {"trajlog_add_group", "trajlog_add_field", "trajlog_store_as",
                                        "trajlog_set_metadata", "trajlog_set_description"};
    for (int call = 0; call < 5; call++) {
        create(scene, NULL);
        trajlog_group *thermo = trajlog_add_group(scene->log, "thermo", trajlog_every(1));
        trajlog_field *field = trajlog_add_field(thermo, "value", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &scene->value, NULL);
        run(scene, 0, 5);
        switch (call) {
        case 0:
            assert_null(trajlog_add_group(scene->log, "late", trajlog_every(1)));
            break;
        case 1:
            assert_null(trajlog_add_field(thermo, "late", TRAJLOG_INT8, TRAJLOG_SCALAR, &scene->value, NULL));
            break;
        case 2:
            assert_int_equal(trajlog_store_as(field, TRAJLOG_FLOAT32), TRAJLOG_INVALID_STATE);
            break;
        case 3:
            assert_int_equal(trajlog_set_metadata(scene->log, "late", "x"), TRAJLOG_INVALID_STATE);
            break;
        default:
            assert_int_equal(trajlog_set_description(field, "late"), TRAJLOG_INVALID_STATE);
        }
        expect(trajlog_log(scene->log, 5, 5.0), TRAJLOG_INVALID_STATE, calls[call]);
        expect(trajlog_flush(scene->log), TRAJLOG_INVALID_STATE, calls[call]);
        expect(trajlog_close(&scene->log), TRAJLOG_INVALID_STATE, calls[call]);
        /* What was logged before is there. */
        CHECK_STEPS(scene, "thermo/step", 0, 1, 2, 3, 4);
        assert_int_equal(actual_steps(scene->path), 5);
        unlink(scene->path);
    }
}

static void a_configuration_is_applied(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    options.config_text = "{\"groups\": {\"thermo\": {\"frequency\": {\"every\": 3}}, \"off\": {\"enabled\": false}}}";
    create(scene, &options);
    log_scalar(scene, "thermo", trajlog_every(1));
    trajlog_group *off = trajlog_add_group(scene->log, "off", trajlog_every(1));
    /* It has no view, and needs none. */
    trajlog_add_field(off, "unbound", TRAJLOG_INT8, TRAJLOG_SCALAR, NULL, NULL);
    run(scene, 0, 8);
    ok(trajlog_close(&scene->log));
    CHECK_STEPS(scene, "thermo/step", 0, 3, 6);
    assert_false(has(scene->path, "off"));
    unlink(scene->path);
    options.config_text = "{\"groups\": {\"nonsense\": {\"enabled\": false}}}";
    create(scene, &options);
    log_scalar(scene, "thermo", trajlog_every(1));
    check_sticks(scene, TRAJLOG_INVALID_CONFIG, "nonsense|thermo");
}

/* -------------------------------------------------------------------------------------------------------- steps --- */

static void bad_steps_and_times_are_refused_and_the_log_goes_on(void **state)
{
    struct scene *scene = *state;
    create(scene, NULL);
    log_scalar(scene, "thermo", trajlog_every(2));
    expect(trajlog_log(scene->log, 0, NAN), TRAJLOG_INVALID_ARGUMENT, "run.h5|finite");
    ok(trajlog_log(scene->log, -3, -1.0));
    ok(trajlog_log(scene->log, 0, -1.0));
    expect(trajlog_log(scene->log, 0, 1.0), TRAJLOG_NOT_INCREASING, "step 0");
    expect(trajlog_log(scene->log, -1, 1.0), TRAJLOG_NOT_INCREASING, "step -1|0");
    expect(trajlog_log(scene->log, 1, INFINITY), TRAJLOG_INVALID_ARGUMENT, "finite");
    expect(trajlog_log(scene->log, 1, -INFINITY), TRAJLOG_INVALID_ARGUMENT, "finite");
    expect(trajlog_log(scene->log, 2, -1.5), TRAJLOG_NOT_INCREASING, "time -1.5|-1");
    assert_string_equal(trajlog_message(scene->log), trajlog_message(NULL));
    expect(trajlog_log(scene->log, INT64_MAX, 2.0), TRAJLOG_INVALID_ARGUMENT, "9223372036854775807");
    expect(trajlog_log(scene->log, INT64_MIN, 2.0), TRAJLOG_INVALID_ARGUMENT, "-9223372036854775808");
    ok(trajlog_flush(scene->log));
    ok(trajlog_log(scene->log, 2, -1.0));
    ok(trajlog_log(scene->log, 7, 3.0));
    ok(trajlog_log(scene->log, INT64_C(1) << 53, 3.0));
    assert_int_equal(statistics(scene->log).steps, 5);
    ok(trajlog_close(&scene->log));
    CHECK_STEPS(scene, "thermo/step", 0, 2, INT64_C(1) << 53);
    double times[8];
    assert_int_equal(read_dataset(scene->path, "thermo/time", H5T_NATIVE_DOUBLE, times, 8), 3);
    assert_true(times[0] == -1.0 && times[1] == -1.0 && times[2] == 3.0);
    assert_int_equal(actual_steps(scene->path), (INT64_C(1) << 53) + 1);
}

static int is_seventh(int64_t step, double time, const void *state, void *context)
{
    (void)time, (void)state;
    return step % *(const int *)context == 0;
}

static void frequencies_give_their_rows(void **state)
{
    struct scene *scene = *state;
    const int64_t listed[] = {2, 3, 50, 1000};
    int seven = 7;
    create(scene, NULL);
    log_scalar(scene, "once", trajlog_once());
    log_scalar(scene, "every", trajlog_every(10));
    log_scalar(scene, "between", trajlog_every_between(5, 3, 20));
    log_scalar(scene, "listed", trajlog_at_steps(listed, 4));
    log_scalar(scene, "logarithmic", trajlog_logarithmic(1));
    log_scalar(scene, "predicate", trajlog_when(is_seventh, &seven));
    log_scalar(scene, "clock", trajlog_wall_clock(1e6));
    log_scalar(scene, "first", trajlog_with_first(trajlog_every(40)));
    log_scalar(scene, "last", trajlog_with_last(trajlog_every(40)));
    log_scalar(scene, "due_last", trajlog_with_last(trajlog_every(11)));
    run(scene, 1, 56);
    ok(trajlog_log(scene->log, 77, 40.0));
    ok(trajlog_close(&scene->log));
    CHECK_STEPS(scene, "every/step", 10, 20, 30, 40, 50);
    CHECK_STEPS(scene, "between/step", 3, 8, 13, 18);
    CHECK_STEPS(scene, "listed/step", 2, 3, 50);
    CHECK_STEPS(scene, "logarithmic/step", 1, 10);
    CHECK_STEPS(scene, "predicate/step", 7, 14, 21, 28, 35, 42, 49, 77);
    CHECK_STEPS(scene, "clock/step", 1);
    CHECK_STEPS(scene, "first/step", 1, 40);
    CHECK_STEPS(scene, "last/step", 40, 77);
    CHECK_STEPS(scene, "due_last/step", 11, 22, 33, 44, 55, 77);
    double value, values[8];
    read_dataset(scene->path, "once/value", H5T_NATIVE_DOUBLE, &value, 1);
    assert_true(value == 1.0);
    read_dataset(scene->path, "last/value", H5T_NATIVE_DOUBLE, values, 8);
    assert_true(values[0] == 40.0 && values[1] == 55.0); /* the array still had the value of step 55 at step 77 */
    read_dataset(scene->path, "last/time", H5T_NATIVE_DOUBLE, values, 8);
    assert_true(values[1] == 40.0);
}

static void an_initial_state_comes_before_the_first_step(void **state)
{
    struct scene *scene = *state;
    for (int64_t initial = -1; initial <= 0; initial++) {
        create(scene, NULL);
        log_scalar(scene, "init", trajlog_once());
        log_scalar(scene, "every", trajlog_every(10));
        log_scalar(scene, "first", trajlog_with_first(trajlog_every(10)));
        scene->value = -7.0;
        ok(trajlog_log(scene->log, initial, -0.5));
        run(scene, initial + 1, 25);
        ok(trajlog_close(&scene->log));
        CHECK_STEPS(scene, "every/step", 0, 10, 20);
        if (initial < 0) CHECK_STEPS(scene, "first/step", -1, 0, 10, 20);
        else CHECK_STEPS(scene, "first/step", 0, 10, 20);
        double value, values[8], times[8];
        read_dataset(scene->path, "init/value", H5T_NATIVE_DOUBLE, &value, 1);
        read_dataset(scene->path, "first/value", H5T_NATIVE_DOUBLE, values, 8);
        read_dataset(scene->path, "first/time", H5T_NATIVE_DOUBLE, times, 8);
        assert_true(value == -7.0 && values[0] == -7.0 && times[0] == -0.5);
        unlink(scene->path);
    }
}

static void the_last_step_has_its_own_values(void **state)
{
    struct scene *scene = *state;
    for (int known = 0; known < 2; known++) {
        for (int synchronous = 0; synchronous < 2; synchronous++) {
            trajlog_options options = trajlog_default_options();
            options.total_steps = known ? 18 : 0;
            options.synchronous = synchronous;
            create(scene, &options);
            log_scalar(scene, "all", trajlog_every(1));
            log_scalar(scene, "last", trajlog_with_last(trajlog_every(5)));
            run(scene, 0, 18);
            scene->value = -1.0;
            ok(trajlog_close(&scene->log));
            CHECK_STEPS(scene, "last/step", 0, 5, 10, 15, 17);
            double values[8];
            read_dataset(scene->path, "last/value", H5T_NATIVE_DOUBLE, values, 8);
            assert_true(values[4] == 17.0);
            read_dataset(scene->path, "last/time", H5T_NATIVE_DOUBLE, values, 8);
            assert_true(values[4] == 8.5);
            unlink(scene->path);
        }
    }
}

static int fill_unless_told(void *frame, const void *state, void *context)
{
    int *calls = context;
    ++*calls;
    if (state == NULL) return 3;
    memcpy(frame, state, sizeof(double));
    return 0;
}

static void a_callback_that_fails_ends_the_log(void **state)
{
    struct scene *scene = *state;
    int calls = 0;
    create(scene, NULL);
    log_scalar(scene, "before", trajlog_every(1));
    log_scalar(scene, "last", trajlog_with_last(trajlog_every(100)));
    trajlog_group *group = trajlog_add_group(scene->log, "computed", trajlog_every(1));
    trajlog_field *field = trajlog_add_field(group, "value", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, NULL, NULL);
    ok(trajlog_set_callback(field, fill_unless_told, &calls));
    for (int64_t step = 0; step < 4; step++) {
        scene->value = (double)step;
        ok(trajlog_log_state(scene->log, step, 0.0, &scene->value));
    }
    scene->value = 4.0;
    expect(trajlog_log(scene->log, 4, 0.0), TRAJLOG_CALLBACK_FAILED, "computed|value|3");
    assert_int_equal(trajlog_log_state(scene->log, 5, 0.0, &scene->value), TRAJLOG_CALLBACK_FAILED);
    assert_int_equal(calls, 5);
    expect(trajlog_close(&scene->log), TRAJLOG_CALLBACK_FAILED, "computed|value|3");
    /* Nothing of step 4, and everything before it, the last step among it. */
    CHECK_STEPS(scene, "before/step", 0, 1, 2, 3);
    CHECK_STEPS(scene, "computed/step", 0, 1, 2, 3);
    CHECK_STEPS(scene, "last/step", 0, 3);
    double values[4];
    read_dataset(scene->path, "last/value", H5T_NATIVE_DOUBLE, values, 4);
    assert_true(values[1] == 3.0);
}

static void a_first_step_that_fails_leaves_the_file_alone(void **state)
{
    struct scene *scene = *state;
    int calls = 0;
    create(scene, NULL);
    log_scalar(scene, "init", trajlog_once());
    trajlog_group *group = trajlog_add_group(scene->log, "computed", trajlog_every(1));
    trajlog_field *field = trajlog_add_field(group, "value", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, NULL, NULL);
    ok(trajlog_set_callback(field, fill_unless_told, &calls));
    assert_int_equal(trajlog_log(scene->log, 0, 0.0), TRAJLOG_CALLBACK_FAILED);
    assert_int_equal(trajlog_close(&scene->log), TRAJLOG_CALLBACK_FAILED);
    assert_false(has(scene->path, "init"));
    unlink(scene->path);

    create(scene, NULL);
    log_scalar(scene, "thermo", trajlog_every(1));
    group = trajlog_add_group(scene->log, "init", trajlog_once());
    field = trajlog_add_field(group, "value", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, NULL, NULL);
    ok(trajlog_set_callback(field, fill_unless_told, &calls));
    expect(trajlog_log(scene->log, 0, 0.0), TRAJLOG_CALLBACK_FAILED, "init|value");
    assert_int_equal(trajlog_close(&scene->log), TRAJLOG_CALLBACK_FAILED);
    assert_false(has(scene->path, "thermo"));
}

static void a_value_out_of_range_is_refused_and_the_log_goes_on(void **state)
{
    struct scene *scene = *state;
    int64_t number = 300;
    create(scene, NULL);
    log_scalar(scene, "init", trajlog_once());
    log_scalar(scene, "other", trajlog_every(1));
    trajlog_group *group = trajlog_add_group(scene->log, "small", trajlog_with_last(trajlog_every(2)));
    trajlog_field *field = trajlog_add_field(group, "number", TRAJLOG_INT64, TRAJLOG_SCALAR, &number, NULL);
    ok(trajlog_store_as(field, TRAJLOG_INT8));
    expect(trajlog_log(scene->log, 0, 0.0), TRAJLOG_OUT_OF_RANGE, "small|number|300");
    for (int64_t step = 0; step < 6; step++) {
        scene->value = (double)step;
        number = step == 2 || step == 5 ? 1000 : step;
        trajlog_status status = trajlog_log(scene->log, step, 0.0);
        assert_int_equal(status, number == 1000 ? TRAJLOG_OUT_OF_RANGE : TRAJLOG_OK);
    }
    assert_int_equal(statistics(scene->log).steps, 4);
    /* Nothing else went wrong; step 0 was mended, and step 2 is the first that is lost. */
    expect(trajlog_close(&scene->log), TRAJLOG_OUT_OF_RANGE, "run.h5|small|number|1000");
    CHECK_STEPS(scene, "other/step", 0, 1, 3, 4);
    /* Step 4 was the last one, and due; step 5 did not spoil it. */
    CHECK_STEPS(scene, "small/step", 0, 4);
    double value;
    read_dataset(scene->path, "init/value", H5T_NATIVE_DOUBLE, &value, 1);
    assert_true(value == 0.0);
}

static void a_step_that_is_mended_is_not_lost(void **state)
{
    struct scene *scene = *state;
    int64_t number = 0;
    create(scene, NULL);
    trajlog_group *group = trajlog_add_group(scene->log, "small", trajlog_every(1));
    trajlog_field *field = trajlog_add_field(group, "number", TRAJLOG_INT64, TRAJLOG_SCALAR, &number, NULL);
    ok(trajlog_store_as(field, TRAJLOG_INT8));
    for (int64_t step = 0; step < 4; step++) {
        number = 128;
        expect(trajlog_log(scene->log, step, 0.0), TRAJLOG_OUT_OF_RANGE, "128");
        number = 127;
        ok(trajlog_log(scene->log, step, 0.0));
    }
    ok(trajlog_close(&scene->log));
    CHECK_STEPS(scene, "small/step", 0, 1, 2, 3);
}

static void the_caller_may_change_and_move_its_arrays(void **state)
{
    struct scene *scene = *state;
    double *array = malloc(100 * sizeof *array);
    create(scene, NULL);
    trajlog_group *group = trajlog_add_group(scene->log, "array", trajlog_every(1));
    trajlog_field *field = trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(100), array, NULL);
    for (int64_t step = 0; step < 50; step++) {
        for (int i = 0; i < 100; i++) array[i] = (double)(1000 * step + i);
        ok(trajlog_log(scene->log, step, 0.0));
        for (int i = 0; i < 100; i++) array[i] = NAN;
        double *moved = malloc(100 * sizeof *moved);
        free(array);
        array = moved;
        ok(trajlog_bind(field, array, NULL));
    }
    ok(trajlog_close(&scene->log));
    free(array);
    double rows[50][100];
    assert_int_equal(read_dataset(scene->path, "array/x", H5T_NATIVE_DOUBLE, rows, 5000), 50);
    for (int64_t step = 0; step < 50; step++)
        for (int i = 0; i < 100; i++) assert_true(rows[step][i] == (double)(1000 * step + i));
}

/* ------------------------------------------------------------------------------------------------------ policies ---
 */

/* Room for four frames. Each is committed by itself, so while this thread has the HDF5 lock, the worker stands still
 * with the first one. */
static void create_tight(struct scene *scene, trajlog_policy policy)
{
    trajlog_options options = trajlog_default_options();
    options.policy = policy;
    options.queue_frames = 4;
    options.block_seconds = 0.01;
    options.flush_seconds = 1e-9;
    create(scene, &options);
    log_scalar(scene, "thermo", trajlog_every(1));
    run(scene, 0, 1);
    ok(trajlog_flush(scene->log));
}

/* Logs steps 1, 2, ... until one is given up; returns its number. */
static int64_t fill_queue(struct scene *scene, trajlog_status expected)
{
    for (int64_t step = 1; step < 20; step++) {
        int64_t dropped = statistics(scene->log).dropped;
        trajlog_status status = trajlog_log(scene->log, step, 0.0);
        if (statistics(scene->log).dropped == dropped) {
            assert_int_equal(status, TRAJLOG_OK);
            continue;
        }
        assert_int_equal(status, expected);
        return step;
    }
    fail_msg("the queue was never full");
    return 0;
}

static void check_drops(struct scene *scene, trajlog_policy policy, trajlog_status expected)
{
    create_tight(scene, policy);
    trajlog_hdf5_lock();
    int64_t full = fill_queue(scene, expected);
    assert_int_equal(full, 5);
    assert_int_equal(trajlog_log(scene->log, 30, 1.0), expected);
    assert_int_equal(trajlog_log(scene->log, 31, 1.0), expected);
    trajlog_hdf5_unlock();
    ok(trajlog_flush(scene->log));
    ok(trajlog_log(scene->log, 40, 2.0));
    trajlog_statistics now = statistics(scene->log);
    assert_int_equal(now.dropped, 3);
    assert_int_equal(now.frames, full + 1);
    assert_int_equal(now.steps, full + 4);
    ok(trajlog_close(&scene->log));
    assert_int_equal(row_count(scene, "thermo/step"), full + 1);
    assert_int_equal(actual_steps(scene->path), 41);
    int64_t drops[8][3];
    assert_int_equal(read_dataset(scene->path, "trajlog/dropped", H5T_NATIVE_INT64, drops, 24), 1);
    assert_int_equal(drops[0][0], full);
    assert_int_equal(drops[0][1], 31);
    assert_int_equal(drops[0][2], 3);
}

static void drop_newest_drops_counts_and_lists(void **state)
{
    check_drops(*state, TRAJLOG_DROP_NEWEST, TRAJLOG_OK);
}

static void fail_says_that_the_queue_is_full(void **state)
{
    check_drops(*state, TRAJLOG_FAIL, TRAJLOG_QUEUE_FULL);
}

struct holder {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int has, let_go;
};

/* Another thread of the host that is busy with libhdf5. */
static void *hold_lock(void *argument)
{
    struct holder *holder = argument;
    trajlog_hdf5_lock();
    pthread_mutex_lock(&holder->mutex);
    holder->has = 1;
    pthread_cond_broadcast(&holder->changed);
    while (!holder->let_go) pthread_cond_wait(&holder->changed, &holder->mutex);
    pthread_mutex_unlock(&holder->mutex);
    trajlog_hdf5_unlock();
    return NULL;
}

static void deadlines_pass_and_do_not_stick(void **state)
{
    struct scene *scene = *state;
    create_tight(scene, TRAJLOG_BLOCK_DEADLINE);
    struct holder holder = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hold_lock, &holder), 0);
    pthread_mutex_lock(&holder.mutex);
    while (!holder.has) pthread_cond_wait(&holder.changed, &holder.mutex);
    pthread_mutex_unlock(&holder.mutex);
    int64_t full = fill_queue(scene, TRAJLOG_TIMED_OUT);
    expect(trajlog_log(scene->log, 30, 1.0), TRAJLOG_TIMED_OUT, "step 30");
    assert_true(statistics(scene->log).blocked_seconds >= 0.02);
    pthread_mutex_lock(&holder.mutex);
    holder.let_go = 1;
    pthread_cond_broadcast(&holder.changed);
    pthread_mutex_unlock(&holder.mutex);
    pthread_join(thread, NULL);
    ok(trajlog_flush(scene->log));
    ok(trajlog_log(scene->log, 31, 1.0));
    assert_int_equal(statistics(scene->log).dropped, 2);
    ok(trajlog_close(&scene->log));
    assert_int_equal(row_count(scene, "thermo/step"), full + 1);
}

static void blocking_with_the_lock_in_hand_is_refused(void **state)
{
    struct scene *scene = *state;
    create_tight(scene, TRAJLOG_BLOCK);
    trajlog_hdf5_lock();
    trajlog_hdf5_lock();
    int64_t step = 1;
    while (trajlog_log(scene->log, step, 0.0) == TRAJLOG_OK) step++;
    assert_int_equal(step, 5);
    expect(trajlog_log(scene->log, step, 0.0), TRAJLOG_INVALID_STATE, "run.h5|trajlog_log|trajlog_hdf5_lock");
    expect(trajlog_flush(scene->log), TRAJLOG_INVALID_STATE, "run.h5|trajlog_flush|trajlog_hdf5_lock");
    assert_int_equal(statistics(scene->log).dropped, 0);
    trajlog_hdf5_unlock();
    trajlog_hdf5_unlock();
    /* The same step goes through now. */
    ok(trajlog_log(scene->log, step, 0.0));
    trajlog_hdf5_lock();
    ok(trajlog_close(&scene->log));
    trajlog_hdf5_unlock();
    assert_int_equal(row_count(scene, "thermo/step"), step + 1);
}

/* Also of a queue that begins with a part. */
static void a_burst_with_the_lock_in_hand_has_all_of_the_queue(void **state)
{
    struct scene *scene = *state;
    static double array[1 << 17];
    create(scene, NULL);
    trajlog_group *group = trajlog_add_group(scene->log, "array", trajlog_every(1));
    trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(1 << 17), array, NULL);
    ok(trajlog_log(scene->log, 0, 0.0));
    trajlog_hdf5_lock();
    int64_t step = 1;
    for (; trajlog_log(scene->log, step, 0.0) == TRAJLOG_OK; step++) array[0] = (double)step + 1.0;
    trajlog_hdf5_unlock();
    assert_in_range(step, 60, 66); /* of MiB each, in 64 MiB; one or two may have been written */
    ok(trajlog_close(&scene->log));
    assert_int_equal(row_count(scene, "array/step"), step);
}

static void a_blocked_log_loses_nothing(void **state)
{
    struct scene *scene = *state;
    trajlog_options options = trajlog_default_options();
    options.queue_frames = 2;
    create(scene, &options);
    log_scalar(scene, "thermo", trajlog_every(1));
    run(scene, 0, 3000);
    ok(trajlog_close(&scene->log));
    int64_t steps[4096];
    assert_int_equal(read_dataset(scene->path, "thermo/step", H5T_NATIVE_INT64, steps, 4096), 3000);
    for (int64_t i = 0; i < 3000; i++) assert_int_equal(steps[i], i);
}

static void a_queue_too_small_for_a_frame_is_refused(void **state)
{
    struct scene *scene = *state;
    static double array[1000];
    trajlog_options options = trajlog_default_options();
    options.queue_bytes = 5000;
    create(scene, &options);
    trajlog_group *group = trajlog_add_group(scene->log, "array", trajlog_every(1));
    trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(1000), array, NULL);
    expect(trajlog_log(scene->log, 0, 0.0), TRAJLOG_INVALID_ARGUMENT, "run.h5|queue_bytes|5000|8064");
    check_sticks(scene, TRAJLOG_INVALID_ARGUMENT, "queue_bytes");
    options.queue_bytes = 8064;
    create(scene, &options);
    group = trajlog_add_group(scene->log, "array", trajlog_every(1));
    trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(1000), array, NULL);
    run(scene, 0, 20);
    assert_int_equal(statistics(scene->log).queue_bytes, 8064);
    assert_int_equal(statistics(scene->log).queue_high_frames, 1);
    ok(trajlog_close(&scene->log));
    assert_int_equal(row_count(scene, "array/step"), 20);
}

/* ------------------------------------------------------------------------------------------------- other things --- */

static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    size_t count;
    while ((count = fread(bytes, 1, sizeof bytes, in)) > 0) assert_int_equal(fwrite(bytes, 1, count, out), count);
    fclose(in);
    fclose(out);
}

static void a_flush_shows_what_was_accepted(void **state)
{
    struct scene *scene = *state;
    for (int synchronous = 0; synchronous < 2; synchronous++) {
        trajlog_options options = trajlog_default_options();
        options.synchronous = synchronous;
        options.flush_seconds = 1e6;
        create(scene, &options);
        ok(trajlog_flush(scene->log));
        log_scalar(scene, "thermo", trajlog_every(2));
        run(scene, 0, 10);
        ok(trajlog_flush(scene->log));
        struct scene copy;
        snprintf(copy.path, sizeof copy.path, "%s/copy.h5", scene->directory);
        copy_file(scene->path, copy.path);
        trajlog_hdf5_lock();
        CHECK_STEPS(&copy, "thermo/step", 0, 2, 4, 6, 8);
        assert_int_equal(actual_steps(copy.path), 10);
        trajlog_hdf5_unlock();
        unlink(copy.path);
        ok(trajlog_flush(scene->log));
        ok(trajlog_close(&scene->log));
        unlink(scene->path);
    }
}

static void statistics_count(void **state)
{
    struct scene *scene = *state;
    for (int synchronous = 0; synchronous < 2; synchronous++) {
        trajlog_options options = trajlog_default_options();
        options.synchronous = synchronous;
        options.flush_seconds = 1e6;
        create(scene, &options);
        log_scalar(scene, "init", trajlog_once());
        log_scalar(scene, "often", trajlog_every(2));
        log_scalar(scene, "rarely", trajlog_every(10));
        run(scene, 0, 100);
        ok(trajlog_flush(scene->log));
        trajlog_statistics now = statistics(scene->log);
        assert_int_equal(now.steps, 100);
        assert_int_equal(now.frames, 50);
        assert_int_equal(now.rows, 61);
        assert_int_equal(now.dropped, 0);
        assert_int_equal(now.bytes, 61 * 8);
        assert_int_equal(now.commits, 1);
        assert_int_equal(now.queue_bytes > 0, !synchronous);
        assert_int_equal(now.queue_high_bytes > 0, !synchronous);
        assert_true(now.queue_high_bytes <= now.queue_bytes);
        assert_true(now.busy_seconds > 0.0);
        /* An older caller's structure ends earlier, and nothing is written behind it. */
        now.bytes = -5;
        now.struct_size = offsetof(trajlog_statistics, bytes);
        ok(trajlog_get_statistics(scene->log, &now));
        assert_int_equal(now.rows, 61);
        assert_int_equal(now.bytes, -5);
        now.struct_size = 0;
        expect(trajlog_get_statistics(scene->log, &now), TRAJLOG_INVALID_ARGUMENT, "struct_size");
        ok(trajlog_close(&scene->log));
        unlink(scene->path);
    }
}

static void a_step_with_once_data_alone_is_a_frame(void **state)
{
    struct scene *scene = *state;
    create(scene, NULL);
    log_scalar(scene, "init", trajlog_once());
    run(scene, 0, 3);
    trajlog_statistics now = statistics(scene->log);
    assert_int_equal(now.frames, 1);
    assert_int_equal(now.rows, 1);
    ok(trajlog_close(&scene->log));
    assert_int_equal(actual_steps(scene->path), 3);
}

struct reports {
    int count;
    trajlog_progress last;
};

static void take_report(const trajlog_progress *progress, void *context)
{
    struct reports *reports = context;
    assert_true(reports->count == 0 || progress->step >= reports->last.step);
    reports->count++;
    reports->last = *progress;
}

static void progress_is_reported(void **state)
{
    struct scene *scene = *state;
    struct reports reports = {0};
    trajlog_options options = trajlog_default_options();
    options.progress = take_report;
    options.progress_context = &reports;
    options.progress_seconds = 1e-9;
    options.total_steps = 200;
    create(scene, &options);
    log_scalar(scene, "thermo", trajlog_every(5));
    run(scene, 100, 200);
    assert_int_equal(reports.count, 100);
    assert_int_equal(reports.last.step, 199);
    assert_int_equal(reports.last.first_step, 100);
    assert_int_equal(reports.last.total_steps, 200);
    assert_true(reports.last.fraction == 0.5);
    assert_true(reports.last.elapsed_seconds > 0.0);
    assert_true(fabs(reports.last.remaining_seconds - reports.last.elapsed_seconds) < 1e-9);
    assert_int_equal(reports.last.frames, 20);
    ok(trajlog_close(&scene->log));
    assert_int_equal(reports.count, 101);
    assert_true(reports.last.queue_fill == 0.0);
    unlink(scene->path);

    memset(&reports, 0, sizeof reports);
    options.total_steps = 0;
    options.progress_seconds = 1e6;
    create(scene, &options);
    log_scalar(scene, "thermo", trajlog_every(5));
    run(scene, 0, 100);
    assert_int_equal(reports.count, 1);
    assert_true(isnan(reports.last.fraction) && isnan(reports.last.remaining_seconds));
    ok(trajlog_close(&scene->log));
    assert_int_equal(reports.count, 2);
    assert_int_equal(reports.last.step, 99);
}

static void a_thread_that_cannot_start_is_an_error(void **state)
{
    struct scene *scene = *state;
    create(scene, NULL);
    log_scalar(scene, "thermo", trajlog_every(1));
    refuse_threads = 1;
    trajlog_status status = trajlog_log(scene->log, 0, 0.0);
    refuse_threads = 0;
    expect(status, TRAJLOG_OUT_OF_MEMORY, "run.h5|thread");
    assert_int_equal(trajlog_error_number(scene->log), EAGAIN);
    check_sticks(scene, TRAJLOG_OUT_OF_MEMORY, "thread");
}

/* The system writes no more than this into any file; the excess fails with EFBIG. */
static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_failing_disk_ends_the_log(void **state)
{
    struct scene *scene = *state;
    static double array[10000];
    for (int synchronous = 0; synchronous < 2; synchronous++) {
        trajlog_options options = trajlog_default_options();
        options.synchronous = synchronous;
        options.queue_frames = 4;
        create(scene, &options);
        trajlog_group *group = trajlog_add_group(scene->log, "array", trajlog_every(1));
        trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(10000), array, NULL);
        run(scene, 0, 5);
        ok(trajlog_flush(scene->log));
        signal(SIGXFSZ, SIG_IGN);
        limit_file_size(2000000);
        trajlog_status status = TRAJLOG_OK;
        for (int64_t step = 5; step < 500 && status == TRAJLOG_OK; step++)
            status = trajlog_log(scene->log, step, (double)step);
        assert_int_not_equal(status, TRAJLOG_OK);
        assert_int_equal(trajlog_error_number(scene->log), EFBIG);
        assert_non_null(strstr(trajlog_message(scene->log), "run.h5"));
        assert_int_equal(trajlog_log(scene->log, 1000, 1000.0), status);
        assert_int_equal(trajlog_flush(scene->log), status);
        assert_int_equal(trajlog_close(&scene->log), status);
        assert_int_equal(trajlog_error_number(NULL), EFBIG);
        limit_file_size(RLIM_INFINITY);
        signal(SIGXFSZ, SIG_DFL);
        unlink(scene->path);
    }
}

static void a_sync_reaches_the_disk(void **state)
{
    struct scene *scene = *state;
    for (int synchronous = 0; synchronous < 2; synchronous++) {
        trajlog_options options = trajlog_default_options();
        options.synchronous = synchronous;
        options.flush_seconds = options.sync_seconds = 1e6;
        create(scene, &options);
        log_scalar(scene, "thermo", trajlog_every(1));
        ok(trajlog_sync(scene->log)); /* nothing is there yet */
        run(scene, 0, 5);
        int before = syncs;
        ok(trajlog_flush(scene->log));
        assert_int_equal(syncs, before);
        assert_int_equal(statistics(scene->log).syncs, 0);
        ok(trajlog_sync(scene->log));
        assert_true(syncs > before);
        assert_int_equal(statistics(scene->log).syncs, 1);
        assert_int_equal(row_count(scene, "thermo/step"), 5);
        ok(trajlog_close(&scene->log));
        unlink(scene->path);
    }
    expect(trajlog_sync(NULL), TRAJLOG_INVALID_ARGUMENT, "trajlog_sync");
}

/* A sync that failed may have lost anything: nothing is said to be synced after it, and nothing written. */
static void a_failed_sync_is_never_reported_as_done(void **state)
{
    struct scene *scene = *state;
    for (int synchronous = 0; synchronous < 2; synchronous++) {
        trajlog_options options = trajlog_default_options();
        options.synchronous = synchronous;
        create(scene, &options);
        log_scalar(scene, "thermo", trajlog_every(1));
        run(scene, 0, 5);
        ok(trajlog_sync(scene->log));
        run(scene, 5, 8);
        __atomic_store_n(&refuse_syncs, 1, __ATOMIC_RELAXED);
        expect(trajlog_sync(scene->log), TRAJLOG_IO_ERROR, "run.h5|sync");
        __atomic_store_n(&refuse_syncs, 0, __ATOMIC_RELAXED);
        assert_int_equal(trajlog_error_number(scene->log), EIO);
        expect(trajlog_sync(scene->log), TRAJLOG_IO_ERROR, "sync");
        expect(trajlog_flush(scene->log), TRAJLOG_IO_ERROR, "sync");
        expect(trajlog_log(scene->log, 8, 8.0), TRAJLOG_IO_ERROR, "sync");
        assert_int_equal(statistics(scene->log).syncs, 1);
        expect(trajlog_close(&scene->log), TRAJLOG_IO_ERROR, "sync");
        assert_int_equal(trajlog_error_number(NULL), EIO);
        assert_true(row_count(scene, "thermo/step") >= 5);
        unlink(scene->path);
        char journal[128];
        snprintf(journal, sizeof journal, "%s.journal", scene->path);
        unlink(journal);
    }
}

static void refuse_filter(struct scene *scene, H5Z_filter_t filter, int by_config, const char *words)
{
    double value = 0;
    const trajlog_storage storage = {
        .struct_size = sizeof storage, .compression = TRAJLOG_COMPRESSION_DEFLATE, .checksum = 1};
    trajlog_options options = trajlog_default_options();
    if (by_config)
        options.config_text = "{\"groups\": {\"g\": {\"fields\": {\"f\": {\"compression\": \"deflate\", "
                              "\"checksum\": true}}}}}";
    create(scene, &options);
    trajlog_field *field = trajlog_add_field(trajlog_add_group(scene->log, "g", trajlog_every(1)), "f", TRAJLOG_FLOAT64,
                                             TRAJLOG_SCALAR, &value, NULL);
    missing = filter;
    if (by_config) expect(trajlog_log(scene->log, 0, 0.0), TRAJLOG_UNSUPPORTED, words);
    else expect(trajlog_set_storage(field, &storage), TRAJLOG_UNSUPPORTED, words);
    missing = H5Z_FILTER_ERROR;
    expect(trajlog_close(&scene->log), TRAJLOG_UNSUPPORTED, words);
    unlink(scene->path);
}

static void a_filter_that_is_missing_is_said_at_once(void **state)
{
    for (int by_config = 0; by_config < 2; by_config++) {
        refuse_filter(*state, H5Z_FILTER_DEFLATE, by_config, "run.h5|\"g\"|\"f\"|deflate");
        refuse_filter(*state, H5Z_FILTER_SHUFFLE, by_config, "shuffle");
        refuse_filter(*state, H5Z_FILTER_FLETCHER32, by_config, "fletcher32");
    }
}

static void *read_statistics(void *argument)
{
    const trajlog_writer *log = argument;
    trajlog_statistics now = {.struct_size = sizeof now};
    do {
        if (trajlog_get_statistics(log, &now) != TRAJLOG_OK) return argument;
    } while (now.steps < 2000);
    return NULL;
}

static void statistics_may_be_read_by_another_thread(void **state)
{
    struct scene *scene = *state;
    create(scene, NULL);
    log_scalar(scene, "thermo", trajlog_every(1));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_statistics, scene->log), 0);
    run(scene, 0, 2000);
    void *result;
    pthread_join(thread, &result);
    assert_null(result);
    ok(trajlog_close(&scene->log));
}

static void logs_are_independent(void **state)
{
    struct scene *scene = *state;
    struct scene other = {0};
    snprintf(other.path, sizeof other.path, "%s/other.h5", scene->directory);
    create(scene, NULL);
    create(&other, NULL);
    log_scalar(scene, "a", trajlog_every(2));
    log_scalar(&other, "b", trajlog_every(3));
    for (int64_t step = 0; step < 10; step++) {
        run(scene, step, step + 1);
        run(&other, step, step + 1);
    }
    expect(trajlog_log(other.log, 0, 0.0), TRAJLOG_NOT_INCREASING, "other.h5");
    assert_string_equal(trajlog_message(scene->log), "");
    ok(trajlog_close(&scene->log));
    ok(trajlog_close(&other.log));
    CHECK_STEPS(scene, "a/step", 0, 2, 4, 6, 8);
    CHECK_STEPS(&other, "b/step", 0, 3, 6, 9);
    unlink(other.path);
}

static const struct CMUnitTest tests[] = {
    TEST(bad_paths_are_refused),
    TEST(a_read_only_directory_is_refused),
    TEST(an_existing_file_is_refused_or_replaced),
    TEST(bad_options_are_refused),
    TEST(options_of_other_versions_work),
    TEST(close_accepts_null_and_a_second_call),
    TEST(a_log_without_steps_has_a_schema_and_no_rows),
    TEST(bad_groups_are_refused),
    TEST(bad_fields_are_refused),
    TEST(bad_settings_of_a_field_are_refused),
    TEST(a_missing_view_is_named),
    TEST(the_schema_is_fixed_by_the_first_step),
    TEST(a_configuration_is_applied),
    TEST(bad_steps_and_times_are_refused_and_the_log_goes_on),
    TEST(frequencies_give_their_rows),
    TEST(an_initial_state_comes_before_the_first_step),
    TEST(the_last_step_has_its_own_values),
    TEST(a_callback_that_fails_ends_the_log),
    TEST(a_first_step_that_fails_leaves_the_file_alone),
    TEST(a_value_out_of_range_is_refused_and_the_log_goes_on),
    TEST(a_step_that_is_mended_is_not_lost),
    TEST(the_caller_may_change_and_move_its_arrays),
    TEST(drop_newest_drops_counts_and_lists),
    TEST(fail_says_that_the_queue_is_full),
    TEST(deadlines_pass_and_do_not_stick),
    TEST(blocking_with_the_lock_in_hand_is_refused),
    TEST(a_burst_with_the_lock_in_hand_has_all_of_the_queue),
    TEST(a_blocked_log_loses_nothing),
    TEST(a_queue_too_small_for_a_frame_is_refused),
    TEST(a_flush_shows_what_was_accepted),
    TEST(statistics_count),
    TEST(a_step_with_once_data_alone_is_a_frame),
    TEST(progress_is_reported),
    TEST(a_thread_that_cannot_start_is_an_error),
    TEST(a_failing_disk_ends_the_log),
    TEST(a_sync_reaches_the_disk),
    TEST(a_failed_sync_is_never_reported_as_done),
    TEST(a_filter_that_is_missing_is_said_at_once),
    TEST(statistics_may_be_read_by_another_thread),
    TEST(logs_are_independent),
};

TEST_MAIN(tests)
