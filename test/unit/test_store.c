/* The store: rows in, datasets out. What is on disk is looked at through a copy of the file, as another process would
 * see it. */
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "store/column.h"
#include "store/file.h"
#include "store/hdf5_lock.h"

struct scene {
    char directory[64], path[96], copy[96];
    struct schema *schema;
    struct store *store;
    struct error error;
};

static int make_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    strcpy(scene->directory, "/tmp/trajlog-store-XXXXXX");
    assert_non_null(mkdtemp(scene->directory));
    snprintf(scene->path, sizeof scene->path, "%s/run.h5", scene->directory);
    snprintf(scene->copy, sizeof scene->copy, "%s/copy.h5", scene->directory);
    scene->schema = schema_new();
    assert_non_null(scene->schema);
    *state = scene;
    return 0;
}

static int drop_scene(void **state)
{
    struct scene *scene = *state;
    store_close(scene->store, NULL);
    schema_free(scene->schema);
    unlink(scene->path);
    unlink(scene->copy);
    int left = rmdir(scene->directory); /* fails if something was left behind */
    free(scene);
    return left;
}

static void ok(struct scene *scene, trajlog_status status)
{
    if (status != TRAJLOG_OK) fail_msg("%s: %s", trajlog_status_name(status), scene->error.message);
}

static const struct store_options refuse = {.existing = TRAJLOG_REFUSE}, replace = {.existing = TRAJLOG_REPLACE};

static struct group *add_group(struct scene *scene, const char *name, trajlog_frequency frequency)
{
    struct group *group = NULL;
    ok(scene, schema_add_group(scene->schema, name, frequency, &group, &scene->error));
    return group;
}

static struct field *add_field(struct scene *scene, struct group *group, const char *name, trajlog_type type,
                               trajlog_shape shape, const char *unit)
{
    struct field *field = NULL;
    ok(scene, schema_add_field(group, name, type, shape, unit, &field, &scene->error));
    return field;
}

static void store_field_as(struct scene *scene, struct group *group, struct field *field, struct storage storage)
{
    ok(scene, field_set_storage(group, field, &storage, &scene->error));
}

static void create(struct scene *scene)
{
    ok(scene, store_create(&scene->store, scene->path, &refuse, &scene->error));
}

static void create_and_start(struct scene *scene)
{
    create(scene);
    ok(scene, store_define(scene->store, scene->schema, &scene->error));
    ok(scene, store_start(scene->store, &scene->error));
}

static void append(struct scene *scene, size_t group, int64_t step, const void *const *fields)
{
    ok(scene, store_append(scene->store, group, step, (double)step / 4, fields, &scene->error));
}

static void commit(struct scene *scene)
{
    ok(scene, store_commit(scene->store, COMMIT_FLUSHED, &scene->error));
}

static void close_store(struct scene *scene)
{
    trajlog_status status = store_close(scene->store, &scene->error);
    scene->store = NULL;
    ok(scene, status);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Looking at it
 * ------------------------------------------------------------------------------------------------------------------ */

static void copy_file(const char *from, const char *to)
{
    static char block[1 << 16];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;) assert_int_equal(fwrite(block, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* What is on disk at this moment, as a plain reader opens it. */
static hid_t look(struct scene *scene)
{
    copy_file(scene->path, scene->copy);
    hid_t file = H5Fopen(scene->copy, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static hid_t open_closed(struct scene *scene)
{
    hid_t file = H5Fopen(scene->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static int64_t rows_of(hid_t file, const char *path)
{
    hsize_t dims[8] = {0};
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
    assert_true(dataset >= 0);
    hid_t space = H5Dget_space(dataset);
    assert_true(H5Sget_simple_extent_dims(space, dims, NULL) >= 1);
    H5Sclose(space);
    H5Dclose(dataset);
    return (int64_t)dims[0];
}

/* All of a dataset, in the caller's type; free() it. */
static void *read_all(hid_t file, const char *path, hid_t type, size_t *count)
{
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
    assert_true(dataset >= 0);
    hid_t space = H5Dget_space(dataset);
    *count = (size_t)H5Sget_simple_extent_npoints(space);
    void *data = malloc(*count * H5Tget_size(type) + 1);
    assert_non_null(data);
    assert_true(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Sclose(space);
    H5Dclose(dataset);
    return data;
}

static int64_t read_int64(hid_t object, const char *name)
{
    int64_t value = -1;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    assert_true(attribute >= 0);
    assert_true(H5Aread(attribute, H5T_NATIVE_INT64, &value) >= 0);
    H5Aclose(attribute);
    return value;
}

static void expect_text(hid_t file, const char *path, const char *name, const char *expected)
{
    char *text = NULL;
    hid_t attribute = H5Aopen_by_name(file, path, name, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(attribute >= 0);
    hid_t type = H5Aget_type(attribute);
    assert_true(H5Tis_variable_str(type) > 0);
    /* H5MD wants units to be ASCII where they can be. */
    bool ascii = strcmp(name, "unit") == 0 && strspn(expected, "abcdefghijklmnopqrstuvwxyz") == strlen(expected);
    assert_int_equal(H5Tget_cset(type), ascii ? H5T_CSET_ASCII : H5T_CSET_UTF8);
    assert_true(H5Aread(attribute, type, &text) >= 0);
    assert_string_equal(text, expected);
    H5free_memory(text);
    H5Tclose(type);
    H5Aclose(attribute);
}

static double value_at(int64_t row, size_t element)
{
    return (double)row * 1000.25 + (double)element;
}

static void fill(double *frame, size_t count, int64_t row)
{
    for (size_t i = 0; i < count; i++) frame[i] = value_at(row, i);
}

static void expect_frames(hid_t file, const char *path, int64_t rows, size_t count)
{
    size_t total;
    double *data = read_all(file, path, H5T_NATIVE_DOUBLE, &total);
    assert_int_equal(total, (size_t)rows * count);
    for (size_t i = 0; i < total; i++)
        if (data[i] != value_at((int64_t)(i / count), i % count)) fail_msg("%s: element %zu is wrong", path, i);
    free(data);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Tests
 * ------------------------------------------------------------------------------------------------------------------ */

static void creates_a_valid_file(void **state)
{
    struct scene *scene = *state;
    create(scene);
    hid_t file = look(scene);
    assert_int_equal(read_int64(file, "trajlog_version"), TRAJLOG_FORMAT_VERSION);
    H5Fclose(file);
    close_store(scene);
    file = open_closed(scene);
    assert_int_equal(read_int64(file, "trajlog_version"), TRAJLOG_FORMAT_VERSION);
    H5Fclose(file);
}

static void refuses_an_existing_file(void **state)
{
    struct scene *scene = *state;
    FILE *old = fopen(scene->path, "w");
    assert_non_null(old);
    fputs("precious", old);
    fclose(old);
    assert_int_equal(store_create(&scene->store, scene->path, &refuse, &scene->error), TRAJLOG_FILE_EXISTS);
    assert_null(scene->store);
    assert_non_null(strstr(scene->error.message, scene->path));

    struct stat found;
    assert_int_equal(stat(scene->path, &found), 0);
    assert_int_equal(found.st_size, 8);
}

static void replaces_an_existing_file(void **state)
{
    struct scene *scene = *state;
    create(scene);
    close_store(scene);
    struct stat before, after;
    assert_int_equal(stat(scene->path, &before), 0);
    int held = open(scene->path, O_RDONLY | O_CLOEXEC); /* keeps the inode's number from being given out again */
    ok(scene, store_create(&scene->store, scene->path, &replace, &scene->error));
    assert_int_equal(stat(scene->path, &after), 0);
    close(held);
    assert_int_not_equal(before.st_ino, after.st_ino);
    close_store(scene);
    H5Fclose(open_closed(scene));
}

static void a_second_writer_is_kept_out(void **state)
{
    struct scene *scene = *state;
    struct store *second = NULL;
    struct group *group = add_group(scene, "g", trajlog_every(1));
    add_field(scene, group, "x", TRAJLOG_INT64, TRAJLOG_SCALAR, NULL);
    create_and_start(scene);
    append(scene, 0, 7, (const void *const[]){&(int64_t){7}});
    commit(scene);
    assert_int_equal(store_create(&second, scene->path, &replace, &scene->error), TRAJLOG_FILE_LOCKED);
    assert_null(second);
    memset(&scene->error, 0, sizeof scene->error);
    assert_int_equal(store_create(&second, scene->path, &refuse, &scene->error), TRAJLOG_FILE_EXISTS);
    assert_null(second);
    memset(&scene->error, 0, sizeof scene->error);
    close_store(scene);
    hid_t file = open_closed(scene);
    assert_int_equal(rows_of(file, "g/x"), 1);
    H5Fclose(file);
    ok(scene, store_create(&scene->store, scene->path, &replace, &scene->error));
    close_store(scene);
}

static void says_why_it_cannot_create(void **state)
{
    struct scene *scene = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/missing/run.h5", scene->directory);
    assert_int_equal(store_create(&scene->store, path, &refuse, &scene->error), TRAJLOG_NOT_FOUND);
    assert_int_equal(scene->error.number, ENOENT);
    assert_non_null(strstr(scene->error.message, path));

    memset(&scene->error, 0, sizeof scene->error);
    assert_int_equal(store_create(&scene->store, scene->directory, &replace, &scene->error), TRAJLOG_INVALID_ARGUMENT);
    memset(&scene->error, 0, sizeof scene->error);
    assert_int_equal(store_create(&scene->store, "", &refuse, &scene->error), TRAJLOG_INVALID_ARGUMENT);
    memset(&scene->error, 0, sizeof scene->error);
    assert_int_equal(store_create(&scene->store, "/proc/run.h5", &refuse, &scene->error), TRAJLOG_NOT_FOUND);
}

static void defines_groups_and_attributes(void **state)
{
    struct scene *scene = *state;
    struct group *group = add_group(scene, "trajectory", trajlog_every(1));
    struct field *field = add_field(scene, group, "atoms/deep/position", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(5, 3), "nm");
    add_field(scene, group, "atoms/deep/velocity", TRAJLOG_FLOAT32, TRAJLOG_SHAPE(5, 3), NULL);
    ok(scene, field_set_description(field, "where they are: \xc3\x85", &scene->error));
    struct field *off = add_field(scene, group, "off", TRAJLOG_INT32, TRAJLOG_SCALAR, NULL);
    off->enabled = false;
    struct group *off_group = add_group(scene, "silent", trajlog_every(1));
    add_field(scene, off_group, "x", TRAJLOG_INT32, TRAJLOG_SCALAR, NULL);
    off_group->enabled = false;
    create_and_start(scene);

    hid_t file = look(scene);
    assert_int_equal(rows_of(file, "trajectory/atoms/deep/position"), 0);
    assert_int_equal(rows_of(file, "trajectory/step"), 0);
    assert_int_equal(rows_of(file, "trajectory/time"), 0);
    assert_int_equal(rows_of(file, "trajlog/dropped"), 0);
    assert_int_equal(H5Lexists(file, "trajectory/off", H5P_DEFAULT), 0);
    assert_int_equal(H5Lexists(file, "silent", H5P_DEFAULT), 0);
    assert_int_equal(read_int64(file, "actual_steps"), 0);
    expect_text(file, "trajectory/atoms/deep/position", "unit", "nm");
    expect_text(file, "trajectory/atoms/deep/position", "description", "where they are: \xc3\x85");
    assert_int_equal(H5Aexists_by_name(file, "trajectory/atoms/deep/velocity", "unit", H5P_DEFAULT), 0);
    assert_true(H5Aexists(file, "trajlog_schema") > 0);
    assert_true(H5Aexists(file, "group_names") > 0);
    assert_true(H5Aexists_by_name(file, "trajectory", "paths", H5P_DEFAULT) > 0);
    H5Fclose(file);
    close_store(scene);
}

/* libhdf5 does not tell which chunk index a dataset has, but chooses it by the number of unlimited dimensions. */
static int unlimited_dimensions(hid_t file, const char *path)
{
    hsize_t most[8] = {0};
    int count = 0;
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
    assert_true(dataset >= 0);
    hid_t space = H5Dget_space(dataset);
    int rank = H5Sget_simple_extent_dims(space, NULL, most);
    for (int i = 0; i < rank; i++) count += most[i] == H5S_UNLIMITED;
    H5Sclose(space);
    H5Dclose(dataset);
    return count;
}

static void has_the_right_chunk_index(void **state)
{
    struct scene *scene = *state;
    struct group *group = add_group(scene, "g", trajlog_every(1));
    add_field(scene, group, "scalar", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, NULL);
    add_field(scene, group, "one", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(1), NULL);
    add_field(scene, group, "tensor", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(2, 3, 3), NULL);
    create_and_start(scene);
    close_store(scene);
    hid_t file = open_closed(scene);
    assert_int_equal(unlimited_dimensions(file, "g/scalar"), 1);
    assert_int_equal(unlimited_dimensions(file, "g/one"), 2);
    assert_int_equal(unlimited_dimensions(file, "g/tensor"), 2);
    assert_int_equal(unlimited_dimensions(file, "trajlog/dropped"), 2);
    H5Fclose(file);
}

static void chooses_chunks_by_size(void **state)
{
    (void)state;
    const struct storage chosen = {0}, given = {.chunk_rows = 7};
    assert_int_equal(column_chunk_rows(&chosen, 8), 8192);
    assert_int_equal(column_chunk_rows(&chosen, 12000), 87);
    assert_int_equal(column_chunk_rows(&chosen, (1 << 18) - 1), 4);
    assert_int_equal(column_chunk_rows(&chosen, 1 << 18), 1);
    assert_int_equal(column_chunk_rows(&chosen, (size_t)1 << 30), 1);
    assert_int_equal(column_chunk_rows(&given, 8), 7);
}

/* A frame of 300 doubles makes chunks of 436 rows, one of 40000 is a chunk, the scalar's are 8192 rows. */
#define SMALL 300
#define LARGE 40000

static void add_three_fields(struct scene *scene)
{
    struct group *group = add_group(scene, "run", trajlog_every(1));
    add_field(scene, group, "small", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(SMALL / 3, 3), "nm");
    add_field(scene, group, "large", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(LARGE), NULL);
    add_field(scene, group, "scalar", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, NULL);
}

static void append_three_fields(struct scene *scene, int64_t first, int64_t stop)
{
    static double small[SMALL], large[LARGE], scalar[1];
    const void *fields[] = {small, large, scalar};
    for (int64_t row = first; row < stop; row++) {
        fill(small, SMALL, row);
        fill(large, LARGE, row);
        fill(scalar, 1, row);
        append(scene, 0, 10 * row, fields);
        store_set_last_step(scene->store, 10 * row);
    }
}

static void expect_three_fields(hid_t file, int64_t rows)
{
    size_t count;
    expect_frames(file, "run/small", rows, SMALL);
    expect_frames(file, "run/large", rows, LARGE);
    expect_frames(file, "run/scalar", rows, 1);
    int64_t *step = read_all(file, "run/step", H5T_NATIVE_INT64, &count);
    assert_int_equal(count, rows);
    double *time = read_all(file, "run/time", H5T_NATIVE_DOUBLE, &count);
    assert_int_equal(count, rows);
    for (int64_t i = 0; i < rows; i++) {
        assert_int_equal(step[i], 10 * i);
        assert_true(time[i] == (double)(10 * i) / 4);
    }
    free(step);
    free(time);
}

static void expect_on_disk(struct scene *scene, int64_t rows)
{
    hid_t file = look(scene);
    expect_three_fields(file, rows);
    assert_int_equal(read_int64(file, "actual_steps"), rows ? 10 * (rows - 1) + 1 : 0);
    H5Fclose(file);
}

static void rows_appear_at_commits_only(void **state)
{
    struct scene *scene = *state;
    add_three_fields(scene);
    create_and_start(scene);
    expect_on_disk(scene, 0);
    append_three_fields(scene, 0, 5);
    expect_on_disk(scene, 0);
    commit(scene);
    expect_on_disk(scene, 5);
    append_three_fields(scene, 5, 450); /* past the end of a chunk of `small` */
    expect_on_disk(scene, 5);
    commit(scene);
    expect_on_disk(scene, 450);
    append_three_fields(scene, 450, 451);
    close_store(scene);

    hid_t file = open_closed(scene);
    expect_three_fields(file, 451);
    H5Fclose(file);
}

static void counts_rows_and_commits(void **state)
{
    struct scene *scene = *state;
    add_three_fields(scene);
    create_and_start(scene);
    assert_int_equal(store_commits(scene->store), 0);
    append_three_fields(scene, 0, 3);
    assert_int_equal(store_rows(scene->store, 0), 3);
    assert_int_equal(store_rows(scene->store, 1), 0);
    commit(scene);
    commit(scene); /* nothing new */
    assert_int_equal(store_commits(scene->store), 1);
    ok(scene, store_commit(scene->store, COMMIT_SYNCED, &scene->error));
    assert_int_equal(store_commits(scene->store), 1);
    close_store(scene);
}

/* Between two commits the number of chunks is bounded, so that libhdf5's cache never has to write. */
static void commits_by_itself_after_many_chunks(void **state)
{
    struct scene *scene = *state;
    struct group *group = add_group(scene, "g", trajlog_every(1));
    struct field *field = add_field(scene, group, "x", TRAJLOG_INT32, TRAJLOG_SHAPE(2), NULL);
    store_field_as(scene, group, field, (struct storage){.chunk_rows = 2});
    create_and_start(scene);
    for (int32_t row = 0; row < 10000; row++) {
        const int32_t frame[2] = {row, -row};
        append(scene, 0, row, (const void *const[]){frame});
    }
    assert_true(store_commits(scene->store) >= 2);
    hid_t file = look(scene);
    int64_t rows = rows_of(file, "g/x");
    assert_true(rows > 0 && rows < 10000);
    assert_int_equal(rows_of(file, "g/step"), rows);
    assert_int_equal(rows_of(file, "g/time"), rows);
    H5Fclose(file);
    close_store(scene);
}

static void writes_once_groups(void **state)
{
    struct scene *scene = *state;
    struct group *group = add_group(scene, "init", trajlog_once());
    add_field(scene, group, "atoms/mass", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(SMALL), "u");
    struct field *packed = add_field(scene, group, "packed", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(SMALL / 3, 3), NULL);
    struct field *scalar = add_field(scene, group, "scalar", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, NULL);
    const struct storage deflate = {.compression = TRAJLOG_COMPRESSION_DEFLATE, .checksum = true};
    store_field_as(scene, group, packed, deflate);
    store_field_as(scene, group, scalar, deflate);
    create(scene);
    ok(scene, store_define(scene->store, scene->schema, &scene->error));
    static double data[SMALL];
    fill(data, SMALL, 0);
    ok(scene, store_write_once(scene->store, 0, 42, 10.5, (const void *const[]){data, data, data}, &scene->error));
    assert_int_equal(store_rows(scene->store, 0), 1);
    ok(scene, store_start(scene->store, &scene->error));
    close_store(scene);

    hid_t file = open_closed(scene);
    hid_t init = H5Gopen2(file, "init", H5P_DEFAULT);
    expect_frames(file, "init/atoms/mass", 1, SMALL);
    expect_frames(file, "init/packed", 1, SMALL);
    expect_frames(file, "init/scalar", 1, 1);
    expect_text(file, "init/atoms/mass", "unit", "u");
    assert_int_equal(H5Lexists(file, "init/step", H5P_DEFAULT), 0);
    assert_int_equal(read_int64(init, "step"), 42);
    assert_true(H5Aexists(init, "time") > 0);
    H5Gclose(init);
    H5Fclose(file);
}

static void once_groups_without_data_are_empty(void **state)
{
    struct scene *scene = *state;
    struct group *group = add_group(scene, "init", trajlog_once());
    add_field(scene, group, "mass", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(SMALL), "u");
    create_and_start(scene);
    close_store(scene);
    hid_t file = open_closed(scene);
    assert_true(H5Lexists(file, "init", H5P_DEFAULT) > 0);
    assert_int_equal(H5Lexists(file, "init/mass", H5P_DEFAULT), 0);
    H5Fclose(file);
}

static void lists_drops(void **state)
{
    struct scene *scene = *state;
    size_t count;
    create_and_start(scene);
    ok(scene, store_add_drop(scene->store, &(trajlog_drop){10, 19, 10}, &scene->error));
    ok(scene, store_add_drop(scene->store, &(trajlog_drop){30, 30, 1}, &scene->error));
    commit(scene);
    hid_t file = look(scene);
    int64_t *drops = read_all(file, "trajlog/dropped", H5T_NATIVE_INT64, &count);
    assert_int_equal(count, 6);
    assert_memory_equal(drops, ((int64_t[]){10, 19, 10, 30, 30, 1}), 48);
    free(drops);
    H5Fclose(file);
    close_store(scene);
}

/* Commits in the middle of chunks, so that tails are stored raw first and encoded when they are full. */
static void append_and_commit(struct scene *scene, size_t count, int64_t rows, size_t elements)
{
    double *frame = calloc(elements, sizeof *frame);
    const void **fields = calloc(count, sizeof *fields);
    assert_non_null(frame);
    assert_non_null(fields);
    for (size_t i = 0; i < count; i++) fields[i] = frame;
    for (int64_t row = 0; row < rows; row++) {
        fill(frame, elements, row);
        append(scene, 0, row, fields);
        if (row % 5 == 3) commit(scene);
    }
    free(fields);
    free(frame);
}

static void compressed_columns_read_back(void **state)
{
    struct scene *scene = *state;
    struct group *group = add_group(scene, "g", trajlog_every(1));
    char name[32];
    size_t count = 0;
    for (int64_t rows = 1; rows <= 64; rows *= 8)
        for (int level = 0; level <= 9; level += 3)
            for (int checksum = 0; checksum < 2; checksum++, count++) {
                snprintf(name, sizeof name, "x%zu", count);
                struct field *field = add_field(scene, group, name, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(20, 3), NULL);
                store_field_as(
                    scene, group, field,
                    (struct storage){.chunk_rows = rows,
                                     .compression = level ? TRAJLOG_COMPRESSION_DEFLATE : TRAJLOG_COMPRESSION_NONE,
                                     .level = level,
                                     .checksum = checksum});
            }
    create_and_start(scene);
    append_and_commit(scene, count, 101, 60);
    hid_t file = look(scene); /* the last commit was after row 98 */
    expect_frames(file, "g/x0", 99, 60);
    H5Fclose(file);
    close_store(scene);

    file = open_closed(scene);
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "g/x%zu", i);
        expect_frames(file, name, 101, 60);
    }
    H5Fclose(file);
}

/* test_store_file.py makes the same bytes. Every pattern of a number is a value, NaNs of any payload among them. */
static void fill_bytes(unsigned char *frame, size_t bytes, trajlog_type type, int64_t row)
{
    for (size_t i = 0; i < bytes; i++) {
        frame[i] = (unsigned char)(row * 131 + (int64_t)i * 7 + (int64_t)i / 50);
        if (type == TRAJLOG_BOOL) frame[i] = frame[i] / 16 % 2;
        if (type > TRAJLOG_STRING_CODE) frame[i] = 'a' + frame[i] % 26;
    }
}

static const trajlog_type every_type[] = {TRAJLOG_INT8,       TRAJLOG_INT16,    TRAJLOG_INT32,  TRAJLOG_INT64,
                                          TRAJLOG_UINT8,      TRAJLOG_UINT16,   TRAJLOG_UINT32, TRAJLOG_UINT64,
                                          TRAJLOG_FLOAT32,    TRAJLOG_FLOAT64,  TRAJLOG_BOOL,   TRAJLOG_COMPLEX64,
                                          TRAJLOG_COMPLEX128, TRAJLOG_STRING(5)};
static struct storage every_storage[] = {
    {0},
    {.chunk_rows = 1},
    {.chunk_rows = 7, .compression = TRAJLOG_COMPRESSION_DEFLATE, .level = 1},
    {.chunk_rows = 16, .compression = TRAJLOG_COMPRESSION_DEFLATE, .level = 6, .checksum = true},
    {.chunk_rows = 10, .checksum = true}};
#define TYPES    (sizeof every_type / sizeof *every_type)
#define STORAGES (sizeof every_storage / sizeof *every_storage)

/* Fields TYPE/STORAGE/scalar and TYPE/STORAGE/array. */
static void add_every_field(struct scene *scene, struct group *group)
{
    char type[32], name[64];
    for (size_t i = 0; i < TYPES; i++)
        for (size_t j = 0; j < 2 * STORAGES; j++) {
            trajlog_type_name(every_type[i], type, sizeof type);
            snprintf(name, sizeof name, "%s/%zu/%s", type, j / 2, j % 2 ? "array" : "scalar");
            trajlog_shape shape = j % 2 ? TRAJLOG_SHAPE(30, 3) : TRAJLOG_SCALAR;
            struct field *field = add_field(scene, group, name, every_type[i], shape, "nm");
            store_field_as(scene, group, field, every_storage[j / 2]);
        }
}

static void fill_every_field(const struct group *group, void **fields, int64_t row)
{
    for (size_t i = 0; i < group->field_count; i++)
        fill_bytes(fields[i], group->fields[i]->stored_bytes, group->fields[i]->type, row);
}

static void append_every_field(struct scene *scene, void **fields)
{
    for (int64_t row = 0; row < 40; row++) {
        fill_every_field(scene->schema->groups[1], fields, row);
        append(scene, 1, row, (const void *const *)fields);
        if (row % 9 == 8) commit(scene);
    }
    store_set_last_step(scene->store, 39);
    ok(scene, store_add_drop(scene->store, &(trajlog_drop){40, 49, 5}, &scene->error));
}

/* The file stays where TRAJLOG_STORE_FILE says, for test_store_file.py to look at. TRAJLOG_STORE_LEVEL takes the place of
 * the level that ISA-L compresses with: one in some thousand of its streams depends on where memory happens to lie, and so
 * differs between processes. */
static void writes_a_file_for_other_readers(void **state)
{
    struct scene *scene = *state;
    void *fields[2 * TYPES * STORAGES];
    const char *path = getenv("TRAJLOG_STORE_FILE"), *level = getenv("TRAJLOG_STORE_LEVEL");
    if (level) every_storage[2].level = atoi(level);
    struct group *once = add_group(scene, "once", trajlog_once());
    add_every_field(scene, once);
    add_every_field(scene, add_group(scene, "rows \xc3\x85", trajlog_every(1)));
    for (size_t i = 0; i < once->field_count; i++) assert_non_null(fields[i] = malloc(once->fields[i]->stored_bytes));

    ok(scene, store_create(&scene->store, path ? path : scene->path, &refuse, &scene->error));
    ok(scene, store_define(scene->store, scene->schema, &scene->error));
    fill_every_field(once, fields, 3);
    ok(scene, store_write_once(scene->store, 0, 0, 0.25, (const void *const *)fields, &scene->error));
    ok(scene, store_start(scene->store, &scene->error));
    append_every_field(scene, fields);
    close_store(scene);
    for (size_t i = 0; i < once->field_count; i++) free(fields[i]);
}

static void refuses_chunks_that_hdf5_cannot_have(void **state)
{
    struct scene *scene = *state;
    struct group *group = add_group(scene, "g", trajlog_every(1));
    add_field(scene, group, "vast", TRAJLOG_FLOAT64, TRAJLOG_SHAPE((int64_t)1 << 40), NULL);
    create(scene);
    assert_int_equal(store_define(scene->store, scene->schema, &scene->error), TRAJLOG_OUT_OF_RANGE);
    assert_non_null(strstr(scene->error.message, "\"vast\""));
    assert_int_equal(store_close(scene->store, NULL), TRAJLOG_OUT_OF_RANGE);
    scene->store = NULL;
}

static void the_first_error_sticks(void **state)
{
    struct scene *scene = *state;
    char first[sizeof scene->error.message];
    add_three_fields(scene);
    create(scene);
    ok(scene, store_define(scene->store, scene->schema, &scene->error));
    assert_int_equal(store_append(scene->store, 0, 0, 0, NULL, &scene->error), TRAJLOG_INVALID_STATE);
    strcpy(first, scene->error.message);
    memset(&scene->error, 0, sizeof scene->error);
    assert_int_equal(store_start(scene->store, &scene->error), TRAJLOG_INVALID_STATE);
    assert_string_equal(scene->error.message, first);
    memset(&scene->error, 0, sizeof scene->error);
    assert_int_equal(store_commit(scene->store, COMMIT_FLUSHED, &scene->error), TRAJLOG_INVALID_STATE);
    assert_string_equal(scene->error.message, first);
    memset(&scene->error, 0, sizeof scene->error);
    assert_int_equal(store_close(scene->store, &scene->error), TRAJLOG_INVALID_STATE);
    assert_string_equal(scene->error.message, first);
    scene->store = NULL;
}

/* A file that may not grow any more: the field is named, the errno is there, and what was committed stays. */
static void a_full_disk_leaves_the_last_commit(void **state)
{
    struct scene *scene = *state;
    struct rlimit before, limited;
    add_three_fields(scene);
    create_and_start(scene);
    append_three_fields(scene, 0, 3);
    commit(scene);

    static double small[SMALL], large[LARGE], scalar[1];
    trajlog_status status = TRAJLOG_OK;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limited = before;
    limited.rlim_cur = 5 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limited), 0);
    for (int64_t row = 3; row < 1000 && status == TRAJLOG_OK; row++)
        status = store_append(scene->store, 0, row, 0, (const void *const[]){small, large, scalar}, &scene->error);
    struct error close_error = {0};
    trajlog_status close_status = store_close(scene->store, &close_error);
    setrlimit(RLIMIT_FSIZE, &before);
    scene->store = NULL;

    assert_int_equal(status, TRAJLOG_IO_ERROR);
    assert_int_equal(scene->error.number, EFBIG);
    assert_non_null(strstr(scene->error.message, scene->path));
    assert_non_null(strstr(scene->error.message, "group \"run\", field \"large\""));
    assert_int_equal(close_status, status);
    assert_string_equal(close_error.message, scene->error.message);
    hid_t file = open_closed(scene);
    expect_three_fields(file, 3);
    H5Fclose(file);
}

static herr_t a_hosts_printer(hid_t stack, void *context)
{
    (void)stack;
    ++*(int *)context;
    return 0;
}

/* libhdf5 errors inside the store do not reach the host's printer, and it is there again afterwards. */
static void leaves_the_hosts_error_printer(void **state)
{
    struct scene *scene = *state;
    int printed = 0;
    H5E_auto2_t function = NULL, before = NULL;
    void *context = NULL, *context_before = NULL;
    struct group *group = add_group(scene, "g", trajlog_every(1));
    add_field(scene, group, "a", TRAJLOG_INT32, TRAJLOG_SCALAR, NULL);
    create(scene);
    H5Eget_auto2(H5E_DEFAULT, &before, &context_before);
    H5Eset_auto2(H5E_DEFAULT, a_hosts_printer, &printed);
    free(group->fields[0]->name); /* a name that HDF5 refuses, which the schema would not let pass */
    group->fields[0]->name = strdup(".");
    assert_int_equal(store_define(scene->store, scene->schema, &scene->error), TRAJLOG_HDF5_ERROR);
    assert_non_null(strstr(scene->error.message, "field \".\""));
    assert_non_null(strstr(scene->error.message, "libhdf5"));
    H5Eget_auto2(H5E_DEFAULT, &function, &context);
    H5Eset_auto2(H5E_DEFAULT, before, context_before);
    assert_ptr_equal(function, a_hosts_printer);
    assert_ptr_equal(context, &printed);
    assert_int_equal(printed, 0);
    store_close(scene->store, NULL);
    scene->store = NULL;
}

static void the_lock_counts(void **state)
{
    (void)state;
    assert_false(hdf5_lock_is_mine());
    hdf5_unlock(); /* without a lock: nothing */
    hdf5_lock();
    trajlog_hdf5_lock();
    assert_true(hdf5_lock_is_mine());
    int depth = hdf5_lock_give_up();
    assert_int_equal(depth, 2);
    assert_false(hdf5_lock_is_mine());
    hdf5_lock_take_back(depth);
    hdf5_unlock();
    assert_true(hdf5_lock_is_mine());
    trajlog_hdf5_unlock();
    assert_false(hdf5_lock_is_mine());
    assert_int_equal(hdf5_lock_give_up(), 0);
    hdf5_lock_take_back(0);
    assert_false(hdf5_lock_is_mine());
}

static void *holds_the_lock_for_a_while(void *taken)
{
    hdf5_lock();
    sem_post(taken);
    usleep(50000);
    hdf5_unlock();
    return NULL;
}

/* As a worker's that is inside libhdf5 when the program forks. */
static void a_child_of_fork_can_take_the_lock(void **state)
{
    pthread_t thread;
    sem_t taken;
    int status = -1;
    (void)state;
    assert_int_equal(sem_init(&taken, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, holds_the_lock_for_a_while, &taken), 0);
    sem_wait(&taken);
    pid_t child = fork();
    if (child == 0) {
        alarm(60); /* ends a child that waits for ever */
        hdf5_lock();
        hdf5_unlock();
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sem_destroy(&taken);
}

/* The rest of a tail chunk does not repeat rows of the chunk before. */
static void tails_end_with_zeros(void **state)
{
    struct scene *scene = *state;
    struct group *group = add_group(scene, "g", trajlog_every(1));
    struct field *field = add_field(scene, group, "x", TRAJLOG_INT32, TRAJLOG_SHAPE(1), NULL);
    store_field_as(scene, group, field, (struct storage){.chunk_rows = 4});
    create_and_start(scene);
    for (int32_t row = 1; row <= 5; row++) append(scene, 0, row, (const void *const[]){&row});
    close_store(scene);
    int32_t chunk[4] = {-1, -1, -1, -1};
    uint32_t mask;
    hid_t file = open_closed(scene), dataset = H5Dopen2(file, "g/x", H5P_DEFAULT);
    assert_true(H5Dread_chunk(dataset, H5P_DEFAULT, (hsize_t[]){4, 0}, &mask, chunk) >= 0);
    assert_memory_equal(chunk, ((int32_t[]){5, 0, 0, 0}), sizeof chunk);
    H5Dclose(dataset);
    H5Fclose(file);
}

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    assert_int_equal(store_close(NULL, NULL), TRAJLOG_OK);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_scene, drop_scene)

static const struct CMUnitTest tests[] = {
    TEST(creates_a_valid_file),
    TEST(refuses_an_existing_file),
    TEST(replaces_an_existing_file),
    TEST(a_second_writer_is_kept_out),
    TEST(says_why_it_cannot_create),
    TEST(defines_groups_and_attributes),
    TEST(has_the_right_chunk_index),
    TEST(chooses_chunks_by_size),
    TEST(rows_appear_at_commits_only),
    TEST(counts_rows_and_commits),
    TEST(commits_by_itself_after_many_chunks),
    TEST(writes_once_groups),
    TEST(once_groups_without_data_are_empty),
    TEST(lists_drops),
    TEST(compressed_columns_read_back),
    TEST(writes_a_file_for_other_readers),
    TEST(refuses_chunks_that_hdf5_cannot_have),
    TEST(the_first_error_sticks),
    TEST(a_full_disk_leaves_the_last_commit),
    TEST(leaves_the_hosts_error_printer),
    TEST(the_lock_counts),
    TEST(a_child_of_fork_can_take_the_lock),
    TEST(tails_end_with_zeros),
    TEST(closing_nothing_is_fine),
};

TEST_MAIN(tests)
