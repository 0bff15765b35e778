/* Taking up a file of an earlier run: killed or closed, at any row, with every kind of column. A run here is all of its
 * rows, each of which follows from its step; so a run that was killed and resumed must show the same. */
#include <hdf5.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash/record.h"
#include "harness.h"
#include "hdf5_ids.h"
#include "model/role.h"
#include "model/schema_json.h"
#include "store/store.h"

#define WIDE 40000 /* doubles: a row that is a chunk */

struct scene {
    char directory[64], path[80];
    struct schema *schema;
    struct store *store;
    struct error error;
};

static struct scene scene;

static void ok_at(trajlog_status status, int line)
{
    if (status != TRAJLOG_OK) fail_msg("line %d: %s: %s", line, trajlog_status_name(status), scene.error.message);
}
#define OK(call) ok_at(call, __LINE__)

/* What is durable does not matter here. */
static int no_sync(void *context, int descriptor, bool data_only)
{
    (void)context, (void)descriptor, (void)data_only;
    return 0;
}

static struct driver_io fast_io;

static int make_scene(void **state)
{
    (void)state;
    fast_io = driver_io_system;
    fast_io.sync = no_sync;
    store_io = &fast_io;
    memset(&scene, 0, sizeof scene);
    strcpy(scene.directory, "/tmp/test_store_resume_XXXXXX");
    if (mkdtemp(scene.directory) == NULL) return -1;
    snprintf(scene.path, sizeof scene.path, "%s/run.h5", scene.directory);
    return 0;
}

static bool beside_exists(const char *suffix)
{
    char name[100];
    snprintf(name, sizeof name, "%s%s", scene.path, suffix);
    return access(name, F_OK) == 0;
}

static int remove_scene(void **state)
{
    (void)state;
    const char *suffixes[] = {"", ".new", ".first", ".journal", ".lock", ".log", ".state"};
    store_io = NULL;
    schema_free(scene.schema);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char name[100];
        snprintf(name, sizeof name, "%s%s", scene.path, suffixes[i]);
        unlink(name);
    }
    return rmdir(scene.directory);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The run
 * ------------------------------------------------------------------------------------------------------------------ */

static struct field *add(struct group *group, const char *name, trajlog_type type, trajlog_shape shape,
                         struct storage storage)
{
    struct field *field = NULL;
    OK(schema_add_field(group, name, type, shape, "", &field, &scene.error));
    OK(field_set_storage(group, field, &storage, &scene.error));
    return field;
}

static struct group *add_group(const char *name, trajlog_frequency frequency)
{
    struct group *group = NULL;
    OK(schema_add_group(scene.schema, name, frequency, &group, &scene.error));
    return group;
}

static const struct storage plain = {.chunk_rows = 0};
static const struct storage packed = {
    .chunk_rows = 8, .compression = TRAJLOG_COMPRESSION_DEFLATE, .level = 1, .checksum = true};

/* Groups of every step, of every third, and `once`; columns of every kind. */
static void declare(void)
{
    schema_free(scene.schema);
    scene.schema = schema_new();
    struct group *init = add_group("init", trajlog_once());
    add(init, "mass", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(5), plain);
    add(init, "packed", TRAJLOG_INT32, TRAJLOG_SHAPE(50), (struct storage){.compression = TRAJLOG_COMPRESSION_DEFLATE});
    struct group *all = add_group("all", trajlog_every(1));
    add(all, "packed", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(3, 2), packed);
    add(all, "atoms/checked", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(7), (struct storage){.chunk_rows = 5, .checksum = true});
    add(all, "plain", TRAJLOG_INT64, TRAJLOG_SHAPE(2), (struct storage){.chunk_rows = 6});
    add(all, "scalar", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, plain);
    add(all, "series", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(9000, 1),
        (struct storage){.chunk_rows = 8,
                         .compression = TRAJLOG_COMPRESSION_DEFLATE,
                         .checksum = true,
                         .access = TRAJLOG_ACCESS_PARTICLE});
    struct group *types = add_group("types", trajlog_every(3));
    add(types, "complex", TRAJLOG_COMPLEX128, TRAJLOG_SHAPE(2), packed);
    add(types, "bool", TRAJLOG_BOOL, TRAJLOG_SHAPE(9), (struct storage){.chunk_rows = 4});
    add(types, "text", TRAJLOG_STRING(6), TRAJLOG_SHAPE(2), packed);
    add(types, "byte", TRAJLOG_UINT8, TRAJLOG_SCALAR, packed);
    add(types, "wide", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(WIDE), plain);
}

static bool is_due(const struct group *group, int64_t step)
{
    return !group_is_once(group) && trajlog_frequency_is_due(&group->frequency, step);
}

/* What a field has at a step: bytes that are valid in every type. */
static void fill(const struct field *field, int64_t step, unsigned char *bytes)
{
    size_t size = trajlog_type_size(field->stored_type);
    for (int64_t i = 0; i < field->element_count; i++) {
        double value = (double)(step * 31 + i % 13) + 0.25;
        unsigned char *place = bytes + (size_t)i * size;
        memset(place, 0, size);
        if (field->stored_type == TRAJLOG_BOOL) place[0] = (step + i) % 2 != 0;
        else if (field->stored_type == TRAJLOG_FLOAT32) memcpy(place, &(float){(float)value}, 4);
        else if (field->stored_type == TRAJLOG_FLOAT64) memcpy(place, &value, 8);
        else if (field->stored_type == TRAJLOG_COMPLEX128) memcpy(place, (double[]){value, -value}, 16);
        else if (element_is_string(field->stored_type)) snprintf((char *)place, size, "s%d", (int)(step % 1000));
        else memcpy(place, &(int64_t){step * 7 + i}, size);
    }
}

/* All of a group's fields, in one block. */
static void **make_frame(const struct group *group, int64_t step)
{
    void **fields = calloc(group->field_count, sizeof *fields);
    for (size_t i = 0; i < group->field_count; i++) {
        if (!group->fields[i]->enabled) continue;
        fields[i] = malloc(group->fields[i]->stored_bytes);
        fill(group->fields[i], step, fields[i]);
    }
    return fields;
}

static void free_frame(const struct group *group, void **fields)
{
    for (size_t i = 0; i < group->field_count; i++) free(fields[i]);
    free(fields);
}

static double time_at(int64_t step)
{
    return 0.5 * (double)step;
}

static const void *const *frame_of(void **fields)
{
    return (const void *const *)fields;
}

static void log_step(int64_t step)
{
    for (size_t i = 0; i < scene.schema->group_count; i++) {
        const struct group *group = scene.schema->groups[i];
        if (group->checkpoint || !is_due(group, step)) continue;
        void **fields = make_frame(group, step);
        OK(store_append(scene.store, i, step, time_at(step), frame_of(fields), &scene.error));
        free_frame(group, fields);
    }
    store_set_last_step(scene.store, step);
}

static void define_and_start(void)
{
    OK(store_define(scene.store, scene.schema, &scene.error));
    for (size_t i = 0; i < scene.schema->group_count; i++) {
        const struct group *group = scene.schema->groups[i];
        if (!group->enabled || !group_is_once(group) || store_has_once(scene.store, i)) continue;
        void **fields = make_frame(group, 0);
        OK(store_write_once(scene.store, i, 0, 0.0, frame_of(fields), &scene.error));
        free_frame(group, fields);
    }
    OK(store_start(scene.store, &scene.error));
}

static void create(void)
{
    OK(store_create(&scene.store, scene.path, &(struct store_options){.existing = TRAJLOG_REFUSE}, &scene.error));
    define_and_start();
}

static const struct store_options options, additions = {.accept_additions = true};

static trajlog_status try_resume(int64_t step)
{
    memset(&scene.error, 0, sizeof scene.error);
    return store_resume(&scene.store, scene.path, step, &options, &scene.error);
}

static void resume(int64_t step)
{
    OK(try_resume(step));
    define_and_start();
}

static void log_steps(int64_t first, int64_t end, int64_t commit_every)
{
    for (int64_t step = first; step < end; step++) {
        log_step(step);
        if ((step + 1) % commit_every == 0) OK(store_commit(scene.store, COMMIT_FLUSHED, &scene.error));
    }
}

static void close_store(void)
{
    OK(store_close(scene.store, &scene.error));
    scene.store = NULL;
}

/* Runs `body` in a process that ends without closing anything. */
static void killed(void (*body)(int64_t, int64_t, int64_t), int64_t first, int64_t end, int64_t commit_every)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        body(first, end, commit_every);
        _exit(0);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void new_run(int64_t first, int64_t end, int64_t commit_every)
{
    create();
    log_steps(first, end, commit_every);
}

static void resumed_run(int64_t first, int64_t end, int64_t commit_every)
{
    resume(first - 1);
    log_steps(first, end, commit_every);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * What is in the file, as plain libhdf5 reads it
 * ------------------------------------------------------------------------------------------------------------------ */

static hid_t memory_type(trajlog_type type)
{
    if (element_is_string(type)) {
        hid_t text = H5Tcopy(H5T_C_S1);
        H5Tset_size(text, trajlog_type_size(type));
        H5Tset_strpad(text, H5T_STR_NULLPAD);
        H5Tset_cset(text, H5T_CSET_UTF8);
        return text;
    }
    return H5I_INVALID_HID;
}

static int64_t rows_of(hid_t file, const char *path)
{
    hsize_t dims[H5S_MAX_RANK];
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
    if (dataset < 0) fail_msg("%s: cannot open %s", scene.path, path);
    hid_t space = H5Dget_space(dataset);
    int rank = H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    H5Dclose(dataset);
    return rank > 0 ? (int64_t)dims[0] : -1;
}

static unsigned char *read_dataset(hid_t file, const char *path, trajlog_type type, size_t *bytes)
{
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset), stored = H5Dget_type(dataset);
    hid_t memory = element_is_string(type) ? memory_type(type) : H5Tget_native_type(stored, H5T_DIR_ASCEND);
    *bytes = (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(memory);
    unsigned char *data = calloc(*bytes + 1, 1);
    if (H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) fail_msg("%s cannot be read", path);
    H5Tclose(memory);
    H5Tclose(stored);
    H5Sclose(space);
    H5Dclose(dataset);
    return data;
}

static hid_t open_plainly(const char *path)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) fail_msg("%s cannot be opened", path);
    return file;
}

static int64_t rows_due(const struct group *group, int64_t end)
{
    int64_t rows = 0;
    for (int64_t step = 0; step < end; step++) rows += is_due(group, step);
    return rows;
}

static void expect_axis(hid_t file, const struct group *group, int64_t end)
{
    char path[100];
    size_t bytes;
    snprintf(path, sizeof path, "%s/step", group->name);
    int64_t *steps = (int64_t *)read_dataset(file, path, TRAJLOG_INT64, &bytes), row = 0;
    assert_int_equal(bytes / 8, rows_due(group, end));
    snprintf(path, sizeof path, "%s/time", group->name);
    double *times = (double *)read_dataset(file, path, TRAJLOG_FLOAT64, &bytes);
    assert_int_equal(bytes / 8, rows_due(group, end));
    for (int64_t step = 0; step < end; step++) {
        if (!is_due(group, step)) continue;
        assert_int_equal(steps[row], step);
        assert_true(times[row++] == time_at(step));
    }
    free(steps);
    free(times);
}

static void expect_field(hid_t file, const struct group *group, const struct field *field, int64_t end)
{
    char path[100];
    size_t bytes, size = field->stored_bytes;
    snprintf(path, sizeof path, "%s/%s", group->name, field->name);
    unsigned char *data = read_dataset(file, path, field->stored_type, &bytes), *expected = malloc(size);
    int64_t row = 0, rows = group_is_once(group) ? 1 : rows_due(group, end);
    assert_int_equal(bytes, (size_t)rows * size);
    for (int64_t step = 0; step < end || row == 0; step++) {
        if (!group_is_once(group) && !is_due(group, step)) continue;
        if (row == rows) break;
        fill(field, step, expected);
        if (memcmp(data + (size_t)row * size, expected, size) != 0) fail_msg("%s: row %d", path, (int)row);
        row++;
    }
    free(expected);
    free(data);
}

/* All steps before `end`, and nothing else. */
static void expect_steps_in(const char *path, int64_t end)
{
    hid_t file = open_plainly(path);
    for (size_t i = 0; i < scene.schema->group_count; i++) {
        const struct group *group = scene.schema->groups[i];
        if (!group_is_once(group)) expect_axis(file, group, end);
        for (size_t k = 0; k < group->field_count; k++) expect_field(file, group, group->fields[k], end);
    }
    H5Fclose(file);
}

static void expect_steps(int64_t end)
{
    expect_steps_in(scene.path, end);
}

static int64_t read_number(const char *name)
{
    int64_t value = -1;
    hid_t file = open_plainly(scene.path), attribute = H5Aopen(file, name, H5P_DEFAULT);
    assert_true(attribute >= 0 && H5Aread(attribute, H5T_NATIVE_INT64, &value) >= 0);
    H5Aclose(attribute);
    H5Fclose(file);
    return value;
}

static char *read_text(const char *object, const char *name)
{
    char *text = NULL, *copy;
    hid_t file = open_plainly(scene.path);
    hid_t attribute = H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT), type = H5Aget_type(attribute);
    assert_true(H5Aread(attribute, type, &text) >= 0);
    copy = strdup(text);
    H5free_memory(text);
    H5Tclose(type);
    H5Aclose(attribute);
    H5Fclose(file);
    return copy;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Tests: rows
 * ------------------------------------------------------------------------------------------------------------------ */

static void a_closed_run_goes_on(void **state)
{
    (void)state;
    declare();
    new_run(0, 13, 4);
    close_store();
    for (int64_t step = 13; step < 40; step += 5) {
        resume(step - 1);
        log_steps(step, step + 5, 2);
        close_store();
        expect_steps(step + 5);
    }
    assert_int_equal(read_number("actual_steps"), 43);
    assert_false(beside_exists(".journal"));
}

static void a_killed_run_goes_on_at_any_restart_step(void **state)
{
    (void)state;
    declare();
    for (int64_t restart = -1; restart < 30; restart++) {
        killed(new_run, 0, 30, 3);
        resume(restart);
        int64_t step = -1;
        double time = -1;
        assert_int_equal(store_last_moment(scene.store, &step, &time), restart >= 0);
        if (restart >= 0) assert_true(step == restart && time == time_at(restart));
        for (size_t i = 0; i < scene.schema->group_count; i++)
            if (!group_is_once(scene.schema->groups[i]))
                assert_int_equal(store_rows(scene.store, i), rows_due(scene.schema->groups[i], restart + 1));
        expect_steps(restart + 1);
        log_steps(restart + 1, 45, 4);
        close_store();
        expect_steps(45);
        unlink(scene.path);
    }
}

static void a_run_killed_between_commits_keeps_its_commits(void **state)
{
    (void)state;
    declare();
    killed(new_run, 0, 29, 10);
    resume(28);
    expect_steps(20);
    log_steps(20, 41, 7);
    close_store();
    expect_steps(41);
}

static void many_kills_one_after_the_other(void **state)
{
    (void)state;
    declare();
    killed(new_run, 0, 9, 1);
    for (int64_t step = 9; step < 60; step += 4) {
        killed(resumed_run, step, step + 9, 1);
        expect_steps(step + 9);
        killed(resumed_run, step, step + 4, 1);
        expect_steps(step + 4);
    }
    resume(58);
    close_store();
    expect_steps(59);
}

static void nothing_changes_before_the_start(void **state)
{
    (void)state;
    struct stat before, after;
    declare();
    killed(new_run, 0, 20, 5);
    assert_int_equal(stat(scene.path, &before), 0);
    OK(try_resume(7));
    OK(store_define(scene.store, scene.schema, &scene.error));
    expect_steps(20);
    close_store();
    expect_steps(20);
    assert_int_equal(stat(scene.path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(read_number("actual_steps"), 20);
    resume(7);
    assert_int_equal(read_number("actual_steps"), 8);
    close_store();
    expect_steps(8);
}

static void before_there_were_groups(int64_t first, int64_t end, int64_t commit_every)
{
    (void)first, (void)end, (void)commit_every;
    OK(store_create(&scene.store, scene.path, &(struct store_options){.existing = TRAJLOG_REFUSE}, &scene.error));
}

static void a_file_without_groups_gets_them(void **state)
{
    (void)state;
    declare();
    killed(before_there_were_groups, 0, 0, 1);
    assert_true(beside_exists(".new"));
    resume(5);
    assert_false(beside_exists(".new"));
    int64_t step;
    double time;
    assert_false(store_last_moment(scene.store, &step, &time));
    log_steps(0, 30, 4);
    close_store();
    expect_steps(30);
}

static void from_the_start_in_the_same_file(void **state)
{
    (void)state;
    declare();
    killed(new_run, 0, 30, 3);
    OK(try_resume(FROM_THE_START));
    expect_steps(30);
    close_store();
    expect_steps(30);
    OK(try_resume(FROM_THE_START));
    assert_false(store_has_once(scene.store, 0));
    define_and_start();
    expect_steps(0);
    log_steps(0, 11, 2);
    close_store();
    expect_steps(11);
    assert_false(beside_exists(".new"));
    assert_false(beside_exists(".lock"));
}

static void resuming_again_and_again_takes_little_space(void **state)
{
    (void)state;
    struct stat first, last;
    declare();
    new_run(0, 50, 5);
    close_store();
    assert_int_equal(stat(scene.path, &first), 0);
    for (int i = 0; i < 20; i++) {
        resume(49);
        close_store();
    }
    assert_int_equal(stat(scene.path, &last), 0);
    /* Tails that stay where they are: only new pages for metadata. */
    assert_true(last.st_size < first.st_size + 20 * 16 * 4096);
    expect_steps(50);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Tests: dropped frames
 * ------------------------------------------------------------------------------------------------------------------ */

static void the_list_of_dropped_frames_is_cut(void **state)
{
    (void)state;
    const trajlog_drop drops[] = {{5, 6, 2}, {10, 10, 1}, {20, 29, 5}, {31, 31, 1}};
    const struct {
        int64_t restart, ranges, last[3];
    } cases[] = {{40, 4, {31, 31, 1}}, {30, 3, {20, 29, 5}}, {29, 3, {20, 29, 5}}, {26, 3, {20, 26, 5}},
                 {22, 3, {20, 22, 3}}, {19, 2, {10, 10, 1}}, {5, 1, {5, 5, 1}},    {4, 0, {0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t bytes;
        declare();
        create();
        log_steps(0, 1, 1);
        for (size_t k = 0; k < 4; k++) OK(store_add_drop(scene.store, &drops[k], &scene.error));
        close_store();
        resume(cases[i].restart);
        close_store();
        hid_t file = open_plainly(scene.path);
        assert_int_equal(rows_of(file, "trajlog/dropped"), cases[i].ranges);
        int64_t *rows = (int64_t *)read_dataset(file, "trajlog/dropped", TRAJLOG_INT64, &bytes);
        for (int k = 0; k < 3 && cases[i].ranges > 0; k++)
            assert_int_equal(rows[3 * (cases[i].ranges - 1) + k], cases[i].last[k]);
        free(rows);
        H5Fclose(file);
        unlink(scene.path);
    }
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Tests: schemas
 * ------------------------------------------------------------------------------------------------------------------ */

static void refuse(const char *const *parts, size_t count)
{
    OK(try_resume(5));
    assert_int_equal(store_define(scene.store, scene.schema, &scene.error), TRAJLOG_SCHEMA_MISMATCH);
    for (size_t i = 0; i < count; i++)
        if (strstr(scene.error.message, parts[i]) == NULL)
            fail_msg("\"%s\" is not in: %s", parts[i], scene.error.message);
    assert_int_equal(store_close(scene.store, NULL), TRAJLOG_SCHEMA_MISMATCH);
}

static void differences_are_listed_one_by_one(void **state)
{
    (void)state;
    declare();
    killed(new_run, 0, 12, 4);
    schema_free(scene.schema);
    scene.schema = schema_new();
    struct group *init = add_group("init", trajlog_every(2)), *all = add_group("all", trajlog_every(5)), *more;
    add(init, "mass", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(5), plain);
    add(init, "packed", TRAJLOG_INT32, TRAJLOG_SHAPE(50), plain);
    struct field *field = NULL;
    add(all, "packed", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3, 2), packed);
    add(all, "atoms/checked", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(8), plain);
    OK(schema_add_field(all, "plain", TRAJLOG_INT64, TRAJLOG_SHAPE(2), "nm", &field, &scene.error));
    field = add(all, "scalar", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, plain);
    OK(field_set_stored_type(all, field, TRAJLOG_FLOAT32, &scene.error));
    more = add_group("more", trajlog_every(1));
    add(more, "x", TRAJLOG_INT8, TRAJLOG_SCALAR, plain);
    const char *const parts[] = {
        scene.path,
        "group \"init\": once in the file, with rows declared",
        "group \"all\", field \"packed\": type float32 in the file, float64 declared",
        "group \"all\", field \"atoms/checked\": shape [7] in the file, [8] declared",
        "group \"all\", field \"plain\": unit \"\" in the file, \"nm\" declared",
        "group \"all\", field \"scalar\": stored as float64 in the file, as float32 declared",
        "group \"types\": in the file, not declared",
        "group \"more\": declared, not in the file",
    };
    refuse(parts, sizeof parts / sizeof *parts);
    declare();
    expect_steps(12);
    assert_false(beside_exists(".lock"));
}

static void a_long_list_ends_with_how_many_more(void **state)
{
    (void)state;
    declare();
    create();
    close_store();
    struct group *more = add_group("more", trajlog_every(1));
    for (int i = 0; i < 100; i++) {
        char name[20];
        snprintf(name, sizeof name, "field%d", i);
        add(schema_find_group(scene.schema, "all"), name, TRAJLOG_INT8, TRAJLOG_SCALAR, plain);
    }
    add(more, "x", TRAJLOG_INT8, TRAJLOG_SCALAR, plain);
    refuse((const char *const[]){"field0", "; and "}, 2);
}

static void what_is_no_difference(void **state)
{
    (void)state;
    declare();
    killed(new_run, 0, 12, 4);
    char *before = read_text("/", "trajlog_schema");
    OK(metadata_set(&scene.schema->metadata, "by", "another", &scene.error));
    OK(field_set_description(scene.schema->groups[1]->fields[0], "described later", &scene.error));
    OK(schema_set_text(&scene.schema->user, "someone else", &scene.error));
    OK(field_set_storage(scene.schema->groups[1], scene.schema->groups[1]->fields[0],
                         &(struct storage){.chunk_rows = 3}, &scene.error));
    resume(9);
    close_store();
    char *after = read_text("/", "trajlog_schema");
    assert_string_equal(before, after);
    free(after);
    declare();
    expect_steps(10);
    OK(group_set_frequency(scene.schema->groups[2], trajlog_every(6), &scene.error));
    resume(9);
    close_store();
    after = read_text("/", "trajlog_schema");
    assert_non_null(strstr(after, "\"interval\":6"));
    assert_null(strstr(after, "\"version\":2"));
    free(after);
    free(before);
}

static void expect_fill(hid_t file, const char *path, int64_t rows, int64_t first_real)
{
    size_t bytes;
    double *data = (double *)read_dataset(file, path, TRAJLOG_FLOAT64, &bytes);
    assert_int_equal(bytes / sizeof *data % (size_t)rows, 0);
    size_t width = bytes / sizeof *data / (size_t)rows;
    for (size_t i = 0; i < bytes / sizeof *data; i++)
        if (isnan(data[i]) != (i / width < (size_t)first_real)) fail_msg("%s: element %zu", path, i);
    free(data);
}

static void additions_are_refused_or_filled(void **state)
{
    (void)state;
    declare();
    killed(new_run, 0, 22, 4);
    struct group *all = schema_find_group(scene.schema, "all"), *once = schema_find_group(scene.schema, "init");
    add(all, "late/packed", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3), packed);
    add(all, "late/plain", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, plain);
    add(all, "late/series", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(7000),
        (struct storage){.chunk_rows = 8, .access = TRAJLOG_ACCESS_PARTICLE});
    add(all, "late/count", TRAJLOG_INT32, TRAJLOG_SCALAR, packed);
    add(once, "late", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(4), plain);
    struct group *more = add_group("more", trajlog_every(2));
    add(more, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(2), packed);
    refuse((const char *const[]){"field \"late/packed\": declared, not in the file", "group \"more\""}, 2);

    memset(&scene.error, 0, sizeof scene.error);
    OK(store_resume(&scene.store, scene.path, 18, &additions, &scene.error));
    define_and_start();
    log_steps(19, 31, 3);
    close_store();
    hid_t file = open_plainly(scene.path);
    expect_fill(file, "all/late/packed", 31, 19);
    expect_fill(file, "all/late/plain", 31, 19);
    expect_fill(file, "all/late/series", 31, 19);
    expect_axis(file, all, 31);
    expect_field(file, once, group_find_field(once, "late"), 31);
    assert_int_equal(rows_of(file, "more/x"), 6); /* 20, 22, ... 30 */
    H5Fclose(file);
    char *text = read_text("/", "trajlog_schema"), *names = read_text("/", "group_names");
    char *paths = read_text("/all", "paths");
    assert_non_null(strstr(text, "\"version\":2"));
    assert_non_null(strstr(text, "\"first_row\":19"));
    assert_string_equal(names, "[\"init\",\"all\",\"types\",\"more\"]");
    assert_non_null(strstr(paths, "\"late/packed\",\"late/plain\",\"late/series\",\"late/count\"]"));
    free(text);
    free(names);
    free(paths);

    /* And now they are the schema. */
    killed(resumed_run, 12, 25, 1);
    resume(24);
    close_store();
    text = read_text("/", "trajlog_schema");
    assert_non_null(strstr(text, "\"version\":2"));
    assert_non_null(strstr(text, "\"first_row\":12"));
    free(text);
    file = open_plainly(scene.path);
    expect_fill(file, "all/late/packed", 25, 12);
    H5Fclose(file);
}

static void h5md_grows_with_what_is_added(void **state)
{
    (void)state;
    for (int had_tree = 0; had_tree < 2; had_tree++) {
        schema_free(scene.schema);
        scene.schema = schema_new();
        struct group *all = add_group("all", trajlog_every(1));
        struct field *field = add(all, "x", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(4, 3), plain);
        if (had_tree) OK(field_set_role(scene.schema, all, field, TRAJLOG_ROLE_POSITION, NULL, &scene.error));
        killed(new_run, 0, 9, 2);
        field = add(all, "v", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(4, 3), packed);
        OK(field_set_role(scene.schema, all, field, TRAJLOG_ROLE_VELOCITY, NULL, &scene.error));
        if (!had_tree) {
            field = add(all, "x2", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(4, 3), packed);
            OK(field_set_role(scene.schema, all, field, TRAJLOG_ROLE_POSITION, NULL, &scene.error));
        }
        memset(&scene.error, 0, sizeof scene.error);
        OK(store_resume(&scene.store, scene.path, 5, &additions, &scene.error));
        define_and_start();
        log_steps(6, 12, 2);
        close_store();
        hid_t file = open_plainly(scene.path);
        assert_int_equal(rows_of(file, "particles/all/position/value"), 12);
        assert_int_equal(rows_of(file, "particles/all/velocity/value"), 12);
        assert_int_equal(rows_of(file, "particles/all/velocity/step"), 12);
        H5Fclose(file);
        unlink(scene.path);
    }
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Tests: what is refused
 * ------------------------------------------------------------------------------------------------------------------ */

static void make_plain_file(const char *attribute)
{
    hid_t file = H5Fcreate(scene.path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), space = H5Screate(H5S_SCALAR);
    hid_t made = H5Acreate2(file, attribute, H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(made, H5T_NATIVE_INT, &(int){1});
    H5Aclose(made);
    H5Sclose(space);
    H5Fclose(file);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    const int64_t steps[] = {5, FROM_THE_START};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(try_resume(steps[i]), TRAJLOG_NOT_FOUND);
        assert_non_null(strstr(scene.error.message, scene.path));
        make_plain_file("actual_steps");
        assert_int_equal(try_resume(steps[i]), TRAJLOG_INVALID_FILE);
        FILE *text = fopen(scene.path, "w");
        fputs("no HDF5 file", text);
        fclose(text);
        assert_int_equal(try_resume(steps[i]), TRAJLOG_INVALID_FILE);
        unlink(scene.path);
        assert_int_equal(store_resume(&scene.store, scene.directory, steps[i], &options, &scene.error),
                         TRAJLOG_INVALID_FILE);
        assert_int_equal(store_resume(&scene.store, "", steps[i], &options, NULL), TRAJLOG_INVALID_ARGUMENT);
        assert_false(beside_exists(".lock"));
    }
}

static void a_second_writer_is_kept_out(void **state)
{
    (void)state;
    struct store *first;
    declare();
    new_run(0, 5, 1);
    first = scene.store;
    assert_int_equal(try_resume(3), TRAJLOG_FILE_LOCKED);
    assert_int_equal(try_resume(FROM_THE_START), TRAJLOG_FILE_LOCKED);
    memset(&scene.error, 0, sizeof scene.error);
    scene.store = first;
    close_store();
    expect_steps(5);
    OK(store_resume(&scene.store, scene.path, 3, &(struct store_options){.without_lock = true}, &scene.error));
    assert_false(beside_exists(".lock"));
    close_store();
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Tests: crashes
 * ------------------------------------------------------------------------------------------------------------------ */

enum outcome { NOTHING_FAILED, WAS_TOLD, HARMLESS, NOT_TOLD };

/* Resumes, with a disk that fails from the k-th operation on. */
static enum outcome resume_on_failing_disk(long k)
{
    struct recorder recorder = {.mode = FAULT_ALWAYS, .number = ENOSPC, .at = k};
    const struct driver_io io = recorder_io(&recorder), *whole = store_io;
    store_io = &io;
    trajlog_status status = try_resume(9);
    if (status == TRAJLOG_OK) {
        status = store_define(scene.store, scene.schema, &scene.error);
        if (status == TRAJLOG_OK) status = store_start(scene.store, &scene.error);
        trajlog_status closed = store_close(scene.store, NULL);
        if (status == TRAJLOG_OK) status = closed;
    }
    store_io = whole;
    memset(&scene.error, 0, sizeof scene.error);
    if (recorder.failures == 0) return NOTHING_FAILED;
    if (status != TRAJLOG_OK) return WAS_TOLD;
    /* The last one closes the journal, which is removed by then. */
    return recorder.count == k ? HARMLESS : NOT_TOLD;
}

/* For each k: afterwards there are the old rows, or the new ones. */
static void a_resume_that_fails_leaves_old_or_new_rows(void **state)
{
    (void)state;
    enum outcome outcome = WAS_TOLD;
    declare();
    for (long k = 1; outcome != NOTHING_FAILED; k += STRIDE) {
        killed(new_run, 0, 20, 4);
        struct hdf5_ids before = hdf5_next_ids();
        outcome = resume_on_failing_disk(k);
        assert_int_equal(hdf5_ids_left(&before), 0);
        if (outcome == NOT_TOLD) fail_msg("operation %ld failed, and nobody was told", k);
        /* A reader minds the journal, as another resume does. */
        OK(try_resume(INT64_MAX));
        OK(store_define(scene.store, scene.schema, &scene.error));
        int64_t rows = store_rows(scene.store, 1);
        close_store();
        assert_true(rows == 10 || (rows == 20 && outcome == WAS_TOLD));
        resume(rows - 1);
        close_store();
        expect_steps(rows);
        unlink(scene.path);
    }
    assert_true(hdf5_ends_in_silence());
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Tests: checkpoints
 * ------------------------------------------------------------------------------------------------------------------ */

/* A group of every step, and states to go on from. */
static void declare_with_checkpoint(void)
{
    struct group *group = NULL;
    schema_free(scene.schema);
    scene.schema = schema_new();
    add(add_group("all", trajlog_every(1)), "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(3), packed);
    OK(schema_add_checkpoint(scene.schema, &group, &scene.error));
    add(group, "state/x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(700, 3), plain);
    add(group, "random", TRAJLOG_UINT64, TRAJLOG_SCALAR, plain);
    add(group, "name", TRAJLOG_STRING(6), TRAJLOG_SHAPE(2), plain);
}

static void write_checkpoint(int64_t step)
{
    const struct group *group = schema_find_group(scene.schema, CHECKPOINT_GROUP);
    void **fields = make_frame(group, step);
    OK(store_write_checkpoint(scene.store, 1, step, time_at(step), frame_of(fields), &scene.error));
    free_frame(group, fields);
}

static void checkpointed_run(int64_t first, int64_t end, int64_t every)
{
    if (first == 0) create();
    else resume(first - 1);
    for (int64_t step = first; step < end; step++) {
        log_step(step);
        if ((step + 1) % every == 0) write_checkpoint(step);
    }
}

struct state {
    int64_t sequence, step;
    bool valid;
};

static void *slot_of(hid_t file, const struct field *field, int slot)
{
    char path[100];
    size_t bytes;
    snprintf(path, sizeof path, "checkpoint/%s", field->name);
    unsigned char *data = read_dataset(file, path, field->stored_type, &bytes), *row = malloc(field->stored_bytes);
    assert_int_equal(bytes, 2 * field->stored_bytes);
    memcpy(row, data + (size_t)slot * field->stored_bytes, field->stored_bytes);
    free(data);
    return row;
}

/* What a reader makes of a slot. */
static struct state read_state(hid_t file, int slot)
{
    size_t bytes;
    int64_t *sequences = (int64_t *)read_dataset(file, "checkpoint/sequence", TRAJLOG_INT64, &bytes);
    int64_t *steps = (int64_t *)read_dataset(file, "checkpoint/step", TRAJLOG_INT64, &bytes);
    double *times = (double *)read_dataset(file, "checkpoint/time", TRAJLOG_FLOAT64, &bytes);
    uint64_t *checksums = (uint64_t *)read_dataset(file, "checkpoint/checksum", TRAJLOG_UINT64, &bytes);
    const struct group *group = schema_find_group(scene.schema, CHECKPOINT_GROUP);
    struct state state = {.sequence = sequences[slot], .step = steps[slot]};
    uint64_t checksum = checkpoint_checksum_begin(sequences[slot], steps[slot], times[slot]);
    bool right = times[slot] == time_at(steps[slot]);
    for (size_t i = 0; i < group->field_count; i++) {
        const struct field *field = group->fields[i];
        void *row = slot_of(file, field, slot), *expected = malloc(field->stored_bytes);
        checksum = checkpoint_checksum_add(checksum, row, field->stored_bytes);
        fill(field, state.step, expected);
        right = right && memcmp(row, expected, field->stored_bytes) == 0;
        free(expected);
        free(row);
    }
    state.valid = state.sequence > 0 && checksum == checksums[slot];
    if (state.valid && !right) fail_msg("the checkpoint of step %d is not what was given", (int)state.step);
    free(sequences);
    free(steps);
    free(times);
    free(checksums);
    return state;
}

/* The step of the newest valid state; -1 if there is none. */
static int64_t newest_checkpoint(const char *path)
{
    hid_t file = open_plainly(path);
    struct state newest = {0, -1, false};
    for (int slot = 0; slot < 2; slot++) {
        struct state state = read_state(file, slot);
        if (state.valid && state.sequence > newest.sequence) newest = state;
    }
    H5Fclose(file);
    return newest.step;
}

static void checkpoints_alternate(void **state)
{
    (void)state;
    declare_with_checkpoint();
    create();
    hid_t file = open_plainly(scene.path);
    for (int slot = 0; slot < 2; slot++) assert_int_equal(read_state(file, slot).sequence, 0);
    H5Fclose(file);
    for (int64_t step = 0; step < 7; step++) {
        log_step(step);
        write_checkpoint(step);
        file = open_plainly(scene.path);
        struct state written = read_state(file, (int)(step % 2)), other = read_state(file, (int)((step + 1) % 2));
        assert_true(written.valid && written.step == step && written.sequence == step + 1);
        assert_true(step == 0 ? !other.valid : other.valid && other.step == step - 1);
        assert_int_equal(rows_of(file, "all/x"), step + 1);
        H5Fclose(file);
    }
    close_store();
    char *names = read_text("/", "group_names"), *paths = read_text("/checkpoint", "paths");
    char *algorithm = read_text("/checkpoint/checksum", "algorithm"), *text = read_text("/", "trajlog_schema");
    assert_string_equal(names, "[\"all\"]");
    assert_string_equal(paths, "[\"state/x\",\"random\",\"name\"]");
    assert_string_equal(algorithm, "FNV-1a 64");
    assert_non_null(strstr(text, "\"checkpoint\":true"));
    free(names);
    free(paths);
    free(algorithm);
    free(text);
}

static void the_checksum_is_the_known_one(void **state)
{
    (void)state;
    /* Of the empty text and of "foobar", as its authors give them. */
    const uint64_t start = UINT64_C(0xcbf29ce484222325);
    assert_true(checkpoint_checksum_add(start, "", 0) == start);
    assert_true(checkpoint_checksum_add(start, "foobar", 6) == UINT64_C(0x85944171f73967e8));
    const unsigned char bytes[24] = {1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f};
    assert_true(checkpoint_checksum_begin(1, 2, 1.0) == checkpoint_checksum_add(start, bytes, sizeof bytes));
}

static void a_run_goes_on_from_its_checkpoint(void **state)
{
    (void)state;
    declare_with_checkpoint();
    killed(checkpointed_run, 0, 20, 8);
    for (int i = 0; i < 5; i++) {
        int64_t step = newest_checkpoint(scene.path);
        assert_int_equal(step, 15 + 8 * i);
        killed(checkpointed_run, step + 1, step + 14, 8);
    }
    resume(newest_checkpoint(scene.path));
    close_store();
    hid_t file = open_plainly(scene.path);
    expect_axis(file, scene.schema->groups[0], 56);
    expect_field(file, scene.schema->groups[0], scene.schema->groups[0]->fields[0], 56);
    H5Fclose(file);
}

static void checkpoints_behind_the_restart_step_are_dropped(void **state)
{
    (void)state;
    declare_with_checkpoint();
    killed(checkpointed_run, 0, 16, 4); /* 11 and 15 */
    OK(try_resume(13));
    OK(store_define(scene.store, scene.schema, &scene.error));
    assert_int_equal(newest_checkpoint(scene.path), 15);
    OK(store_start(scene.store, &scene.error));
    assert_int_equal(newest_checkpoint(scene.path), 11);
    log_step(14);
    write_checkpoint(14);
    assert_int_equal(newest_checkpoint(scene.path), 14);
    hid_t file = open_plainly(scene.path);
    assert_true(read_state(file, 0).step == 11 || read_state(file, 1).step == 11);
    H5Fclose(file);
    close_store();
    resume(2);
    assert_int_equal(newest_checkpoint(scene.path), -1);
    close_store();
}

static void a_spoilt_checkpoint_is_the_one_that_is_replaced(void **state)
{
    (void)state;
    declare_with_checkpoint();
    killed(checkpointed_run, 0, 8, 4); /* 3, and 7 in slot 1 */
    hid_t file = H5Fopen(scene.path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "checkpoint/random", H5P_DEFAULT);
    assert_true(H5Dwrite(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, (uint64_t[]){21, 1}) >= 0);
    H5Dclose(dataset);
    H5Fclose(file);
    assert_int_equal(newest_checkpoint(scene.path), 3);
    resume(3);
    for (int64_t step = 4; step < 6; step++) log_step(step);
    write_checkpoint(5);
    file = open_plainly(scene.path);
    struct state old = read_state(file, 0), new = read_state(file, 1);
    assert_true(old.valid && old.step == 3 && new.valid &&new.step == 5 && new.sequence > old.sequence);
    H5Fclose(file);
    close_store();
}

static void what_a_checkpoint_may_be(void **state)
{
    (void)state;
    struct group *group = NULL, *other = NULL;
    declare_with_checkpoint();
    group = schema_find_group(scene.schema, CHECKPOINT_GROUP);
    struct field *field = group->fields[0];
    assert_int_equal(field_set_stored_type(group, field, TRAJLOG_FLOAT32, NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(field_set_storage(group, field, &packed, NULL), TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(field_set_role(scene.schema, group, field, TRAJLOG_ROLE_POSITION, NULL, NULL),
                     TRAJLOG_INVALID_ARGUMENT);
    assert_int_equal(schema_add_checkpoint(scene.schema, &other, NULL), TRAJLOG_DUPLICATE_NAME);
    schema_free(scene.schema);
    scene.schema = schema_new();
    assert_int_equal(schema_add_group(scene.schema, CHECKPOINT_GROUP, trajlog_every(1), &other, NULL),
                     TRAJLOG_INVALID_ARGUMENT);
}

static void checkpoints_come_after_the_start(void **state)
{
    (void)state;
    declare_with_checkpoint();
    const struct group *group = schema_find_group(scene.schema, CHECKPOINT_GROUP);
    void **fields = make_frame(group, 0);
    create();
    assert_int_equal(store_append(scene.store, 1, 0, 0, frame_of(fields), NULL), TRAJLOG_INVALID_STATE);
    assert_int_equal(store_close(scene.store, NULL), TRAJLOG_INVALID_STATE);
    resume(5);
    assert_int_equal(store_write_checkpoint(scene.store, 0, 0, 0, frame_of(fields), NULL), TRAJLOG_INVALID_STATE);
    assert_int_equal(store_close(scene.store, NULL), TRAJLOG_INVALID_STATE);
    free_frame(group, fields);
}

static void a_checkpoint_gets_no_new_fields_in_an_old_file(void **state)
{
    (void)state;
    declare_with_checkpoint();
    killed(checkpointed_run, 0, 8, 4);
    add(schema_find_group(scene.schema, CHECKPOINT_GROUP), "more", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, plain);
    OK(store_resume(&scene.store, scene.path, 7, &additions, &scene.error));
    assert_int_equal(store_define(scene.store, scene.schema, &scene.error), TRAJLOG_SCHEMA_MISMATCH);
    assert_non_null(strstr(scene.error.message, "field \"more\": declared, not in the file"));
    store_close(scene.store, NULL);
    declare_with_checkpoint();
    assert_int_equal(newest_checkpoint(scene.path), 7);
}

static void a_checkpoint_can_be_added(void **state)
{
    (void)state;
    declare_with_checkpoint();
    scene.schema->groups[1]->enabled = false;
    killed(new_run, 0, 8, 2);
    scene.schema->groups[1]->enabled = true;
    OK(store_resume(&scene.store, scene.path, 7, &additions, &scene.error));
    define_and_start();
    log_step(8);
    write_checkpoint(8);
    close_store();
    assert_int_equal(newest_checkpoint(scene.path), 8);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, make_scene, remove_scene)

static const struct CMUnitTest tests[] = {
    SCENE_TEST(a_closed_run_goes_on),
    SCENE_TEST(a_killed_run_goes_on_at_any_restart_step),
    SCENE_TEST(a_run_killed_between_commits_keeps_its_commits),
    SCENE_TEST(many_kills_one_after_the_other),
    SCENE_TEST(nothing_changes_before_the_start),
    SCENE_TEST(a_file_without_groups_gets_them),
    SCENE_TEST(from_the_start_in_the_same_file),
    SCENE_TEST(resuming_again_and_again_takes_little_space),
    SCENE_TEST(the_list_of_dropped_frames_is_cut),
    SCENE_TEST(differences_are_listed_one_by_one),
    SCENE_TEST(a_long_list_ends_with_how_many_more),
    SCENE_TEST(what_is_no_difference),
    SCENE_TEST(additions_are_refused_or_filled),
    SCENE_TEST(h5md_grows_with_what_is_added),
    SCENE_TEST(other_files_are_refused),
    SCENE_TEST(a_second_writer_is_kept_out),
    SCENE_TEST(a_resume_that_fails_leaves_old_or_new_rows),
    SCENE_TEST(checkpoints_alternate),
    SCENE_TEST(the_checksum_is_the_known_one),
    SCENE_TEST(a_run_goes_on_from_its_checkpoint),
    SCENE_TEST(checkpoints_behind_the_restart_step_are_dropped),
    SCENE_TEST(a_spoilt_checkpoint_is_the_one_that_is_replaced),
    SCENE_TEST(what_a_checkpoint_may_be),
    SCENE_TEST(checkpoints_come_after_the_start),
    SCENE_TEST(a_checkpoint_gets_no_new_fields_in_an_old_file),
    SCENE_TEST(a_checkpoint_can_be_added),
};

TEST_MAIN(tests)
