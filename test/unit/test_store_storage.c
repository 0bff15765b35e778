/* How the store stores: rounded values and chunks of few particles, and what other readers and resumed runs make of them. */
#include <hdf5.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"
#include "store/column.h"
#include "store/file.h"

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
    strcpy(scene->directory, "/tmp/trajlog-storage-XXXXXX");
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
    int left = rmdir(scene->directory);
    free(scene);
    return left;
}

static void ok(struct scene *scene, trajlog_status status)
{
    if (status != TRAJLOG_OK) fail_msg("%s: %s", trajlog_status_name(status), scene->error.message);
}

static struct group *add_group(struct scene *scene, const char *name, trajlog_frequency frequency)
{
    struct group *group = NULL;
    ok(scene, schema_add_group(scene->schema, name, frequency, &group, &scene->error));
    return group;
}

static void add_field(struct scene *scene, struct group *group, const char *name, trajlog_type stored,
                      trajlog_shape shape, struct storage storage)
{
    struct field *field = NULL;
    ok(scene, schema_add_field(group, name, TRAJLOG_FLOAT64, shape, NULL, &field, &scene->error));
    ok(scene, field_set_stored_type(group, field, stored, &scene->error));
    ok(scene, field_set_storage(group, field, &storage, &scene->error));
}

static void create(struct scene *scene)
{
    const struct store_options options = {.existing = TRAJLOG_REPLACE};
    ok(scene, store_create(&scene->store, scene->path, &options, &scene->error));
    ok(scene, store_define(scene->store, scene->schema, &scene->error));
}

static void resume(struct scene *scene, int64_t step)
{
    const struct store_options options = {.existing = TRAJLOG_REFUSE};
    ok(scene, store_resume(&scene->store, scene->path, step, &options, &scene->error));
    ok(scene, store_define(scene->store, scene->schema, &scene->error));
    ok(scene, store_start(scene->store, &scene->error));
}

static void start(struct scene *scene)
{
    ok(scene, store_start(scene->store, &scene->error));
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

/* What is on disk at this moment, as a plain reader opens it. */
static hid_t look(struct scene *scene)
{
    static char block[1 << 16];
    FILE *in = fopen(scene->path, "rb"), *out = fopen(scene->copy, "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;) assert_int_equal(fwrite(block, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
    hid_t file = H5Fopen(scene->copy, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

/* All of a dataset as float64; free() it. */
static double *read_all(hid_t file, const char *path, size_t *count)
{
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
    assert_true(dataset >= 0);
    hid_t space = H5Dget_space(dataset);
    *count = (size_t)H5Sget_simple_extent_npoints(space);
    double *data = malloc((*count + 1) * sizeof *data);
    assert_non_null(data);
    assert_true(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Sclose(space);
    H5Dclose(dataset);
    return data;
}

static double read_number(hid_t file, const char *path, const char *name)
{
    double value = NAN;
    hid_t attribute = H5Aopen_by_name(file, path, name, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(attribute >= 0);
    assert_true(H5Aread(attribute, H5T_NATIVE_DOUBLE, &value) >= 0);
    H5Aclose(attribute);
    return value;
}

static int filters_of(hid_t file, const char *path)
{
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT), properties = H5Dget_create_plist(dataset);
    int count = H5Pget_nfilters(properties);
    H5Pclose(properties);
    H5Dclose(dataset);
    return count;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Rounding
 * ------------------------------------------------------------------------------------------------------------------ */

#define VALUES 30

static double value_at(int64_t row, size_t i)
{
    return 3.0 * sin(1.7 * (double)row + 0.37 * (double)i);
}

static void add_rounded(struct scene *scene, struct group *group)
{
    const trajlog_shape shape = TRAJLOG_SHAPE(10, 3);
    add_field(scene, group, "error", TRAJLOG_FLOAT32, shape, (struct storage){.max_error = 0.0005});
    add_field(scene, group, "few", TRAJLOG_FLOAT64, shape, (struct storage){.max_error = 0.01, .chunk_rows = 4});
    add_field(scene, group, "one", TRAJLOG_FLOAT64, shape, (struct storage){.max_error = 0.01, .chunk_rows = 1});
    add_field(scene, group, "digits", TRAJLOG_FLOAT32, shape,
              (struct storage){.significant_digits = 3, .chunk_rows = 4});
    add_field(scene, group, "plain", TRAJLOG_FLOAT64, shape,
              (struct storage){.max_error = 0.01, .chunk_rows = 4, .compression = TRAJLOG_COMPRESSION_NONE});
}

#define ROUNDED 5
static const char *const rounded_names[ROUNDED] = {"error", "few", "one", "digits", "plain"};

struct frame {
    float narrow[VALUES];
    double wide[VALUES];
    const void *fields[ROUNDED];
};

static void fill_frame(struct frame *frame, int64_t row)
{
    for (size_t i = 0; i < VALUES; i++) frame->wide[i] = value_at(row, i);
    for (size_t i = 0; i < VALUES; i++) frame->narrow[i] = (float)frame->wide[i];
    const void *fields[ROUNDED] = {frame->narrow, frame->wide, frame->wide, frame->narrow, frame->wide};
    memcpy(frame->fields, fields, sizeof fields);
}

static void append_frame(struct scene *scene, int64_t row)
{
    struct frame frame;
    fill_frame(&frame, row);
    ok(scene, store_append(scene->store, 0, row, (double)row, frame.fields, &scene->error));
}

static void expect_rounded(hid_t file, const char *name, double bound, double relative, int64_t rows)
{
    char path[64];
    size_t count;
    int changed = 0;
    snprintf(path, sizeof path, "g/%s", name);
    double *data = read_all(file, path, &count);
    assert_int_equal(count, rows * VALUES);
    for (size_t i = 0; i < count; i++) {
        double value = value_at((int64_t)(i / VALUES), i % VALUES);
        assert_true(fabs(data[i] - value) <= bound + relative * fabs(value));
        changed += fabs(data[i] - value) > 0.05 * (bound + relative * fabs(value));
    }
    assert_true(changed > (int)count / 2);
    free(data);
}

static void expect_all_rounded(hid_t file, int64_t rows)
{
    static const double bounds[ROUNDED] = {0.0005, 0.01, 0.01, 0.0, 0.01};
    for (size_t i = 0; i < ROUNDED; i++)
        expect_rounded(file, rounded_names[i], bounds[i], bounds[i] > 0.0 ? 0.0 : 0.0005, rows);
}

/* A row that was committed in a tail has the same bits when its chunk is full. */
static void rounded_rows_do_not_change(void **state)
{
    struct scene *scene = *state;
    size_t early_count, late_count;
    add_rounded(scene, add_group(scene, "g", trajlog_every(1)));
    create(scene);
    start(scene);
    for (int64_t row = 0; row < 6; row++) append_frame(scene, row);
    commit(scene);
    hid_t file = look(scene);
    expect_all_rounded(file, 6);
    double *early = read_all(file, "g/few", &early_count);
    H5Fclose(file);
    for (int64_t row = 6; row < 13; row++) append_frame(scene, row);
    close_store(scene);

    file = look(scene);
    expect_all_rounded(file, 13);
    double *late = read_all(file, "g/few", &late_count);
    assert_int_equal(early_count, 6 * VALUES);
    assert_memory_equal(early, late, early_count * sizeof *early);
    free(early);
    free(late);
    H5Fclose(file);
}

static void the_file_says_how_it_is_rounded(void **state)
{
    struct scene *scene = *state;
    add_rounded(scene, add_group(scene, "g", trajlog_every(1)));
    create(scene);
    start(scene);
    append_frame(scene, 0);
    close_store(scene);
    hid_t file = look(scene);
    assert_true(read_number(file, "g/error", "max_error") == 0.0005);
    assert_true(read_number(file, "g/digits", "significant_digits") == 3.0);
    assert_int_equal(H5Aexists_by_name(file, "g/digits", "max_error", H5P_DEFAULT), 0);
    assert_int_equal(H5Aexists_by_name(file, "g/few", "significant_digits", H5P_DEFAULT), 0);
    assert_int_equal(filters_of(file, "g/error"), 2); /* rounding makes sense with deflate only */
    assert_int_equal(filters_of(file, "g/plain"), 0); /* unless nobody wants it */
    H5Fclose(file);
}

static void once_data_are_rounded(void **state)
{
    struct scene *scene = *state;
    struct frame frame;
    struct group *group = add_group(scene, "g", trajlog_once());
    add_rounded(scene, group);
    fill_frame(&frame, 0);
    create(scene);
    ok(scene, store_write_once(scene->store, 0, 0, 0.0, frame.fields, &scene->error));
    start(scene);
    close_store(scene);
    hid_t file = look(scene);
    expect_all_rounded(file, 1);
    assert_true(read_number(file, "g/error", "max_error") == 0.0005);
    H5Fclose(file);
    for (size_t i = 0; i < VALUES; i++) assert_true(frame.wide[i] == value_at(0, i)); /* the caller's stay */
}

static void a_resumed_run_rounds_alike(void **state)
{
    struct scene *scene = *state;
    add_rounded(scene, add_group(scene, "g", trajlog_every(1)));
    create(scene);
    start(scene);
    for (int64_t row = 0; row < 7; row++) append_frame(scene, row);
    close_store(scene);
    resume(scene, 5);
    for (int64_t row = 6; row < 11; row++) append_frame(scene, row);
    close_store(scene);
    hid_t file = look(scene);
    expect_all_rounded(file, 11);
    H5Fclose(file);

    struct group *group = scene->schema->groups[0];
    const struct store_options options = {.existing = TRAJLOG_REFUSE};
    group->fields[0]->storage.max_error = 0.001;
    group->fields[3]->storage.significant_digits = 0;
    ok(scene, store_resume(&scene->store, scene->path, 5, &options, &scene->error));
    assert_int_equal(store_define(scene->store, scene->schema, &scene->error), TRAJLOG_SCHEMA_MISMATCH);
    assert_non_null(strstr(scene->error.message, "field \"error\": max_error 0.0005"));
    assert_non_null(strstr(scene->error.message, "significant_digits 3 in the file, no rounding declared"));
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Access by particle
 * ------------------------------------------------------------------------------------------------------------------ */

#define MANY   401 /* particles: chunks of 101, and one of 98 */
#define BAND   100 /* rows of a chunk */
#define SERIES 5

static const char *const series_names[SERIES] = {"plain", "deflate", "checksum", "rounded", "flat"};

static double series_value(size_t field, int64_t row, size_t i)
{
    return (double)(row * 5000 + (int64_t)i) + 0.25 * (double)field;
}

static void add_series(struct scene *scene)
{
    struct group *group = add_group(scene, "g", trajlog_every(1));
    const trajlog_shape shape = TRAJLOG_SHAPE(MANY, 3);
    struct storage storage = {.chunk_rows = BAND, .access = TRAJLOG_ACCESS_PARTICLE};
    add_field(scene, group, "plain", TRAJLOG_FLOAT64, shape, storage);
    storage.compression = TRAJLOG_COMPRESSION_DEFLATE;
    add_field(scene, group, "deflate", TRAJLOG_FLOAT64, shape, storage);
    storage.checksum = true;
    add_field(scene, group, "checksum", TRAJLOG_FLOAT64, shape, storage);
    storage.max_error = 0.01;
    add_field(scene, group, "rounded", TRAJLOG_FLOAT64, shape, storage);
    storage = (struct storage){.access = TRAJLOG_ACCESS_PARTICLE};
    add_field(scene, group, "flat", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(MANY * 3), storage);
}

static void append_series(struct scene *scene, int64_t first, int64_t end, int64_t commit_every)
{
    static double frames[SERIES][MANY * 3];
    const void *fields[SERIES];
    for (size_t i = 0; i < SERIES; i++) fields[i] = frames[i];
    for (int64_t row = first; row < end; row++) {
        for (size_t i = 0; i < SERIES; i++)
            for (size_t k = 0; k < MANY * 3; k++) frames[i][k] = series_value(i, row, k);
        ok(scene, store_append(scene->store, 0, row, (double)row, fields, &scene->error));
        if (row % commit_every == commit_every - 1) commit(scene);
    }
}

static void expect_series(hid_t file, int64_t rows)
{
    char path[32];
    size_t count;
    for (size_t i = 0; i < SERIES; i++) {
        snprintf(path, sizeof path, "g/%s", series_names[i]);
        double *data = read_all(file, path, &count);
        assert_int_equal(count, (size_t)rows * MANY * 3);
        for (size_t k = 0; k < count; k++)
            if (data[k] != series_value(i, (int64_t)(k / (MANY * 3)), k % (MANY * 3)))
                fail_msg("%s: element %zu is %g", path, k, data[k]);
        free(data);
    }
}

static void chunk_of(hid_t file, const char *path, hsize_t *chunk)
{
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT), properties = H5Dget_create_plist(dataset);
    assert_true(H5Pget_chunk(properties, 3, chunk) >= 2);
    H5Pclose(properties);
    H5Dclose(dataset);
}

/* Commits amid the chunks, and one last look without a close. */
static void series_read_back_at_any_commit(void **state)
{
    struct scene *scene = *state;
    hsize_t chunk[3];
    add_series(scene);
    create(scene);
    start(scene);
    for (int64_t rows = 0; rows < 350; rows += 50) {
        append_series(scene, rows, rows + 50, 23);
        commit(scene);
        hid_t file = look(scene);
        expect_series(file, rows + 50);
        H5Fclose(file);
    }
    close_store(scene);
    hid_t file = look(scene);
    expect_series(file, 350);
    chunk_of(file, "g/deflate", chunk);
    assert_int_equal(chunk[0], BAND);
    assert_int_equal(chunk[1], 101);
    assert_int_equal(chunk[2], 3);
    H5Fclose(file);
}

/* What a run has left, closed or not, in the midst of chunks or at the end of them, goes on at any step. */
static void series_go_on(void **state)
{
    static const int64_t ends[] = {130, 200, 250}, kept[] = {0, 1, 99, 100, 101, 129, 199, 230, 249};
    struct scene *scene = *state;
    add_series(scene);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        for (size_t k = 0; k < sizeof kept / sizeof *kept && kept[k] <= ends[i]; k++) {
            create(scene);
            start(scene);
            append_series(scene, 0, ends[i], k % 2 ? 7 : 1000);
            if (k % 3 == 0) {
                close_store(scene);
            } else { /* as a kill would leave it */
                commit(scene);
                store_abandon(scene->store);
            }
            resume(scene, kept[k] - 1);
            hid_t file = look(scene);
            expect_series(file, kept[k]);
            H5Fclose(file);
            append_series(scene, kept[k], 260, 31);
            close_store(scene);
            file = look(scene);
            expect_series(file, 260);
            H5Fclose(file);
        }
}

/* A file keeps its chunks, whatever is declared when it is resumed. */
static void the_files_chunks_are_kept(void **state)
{
    struct scene *scene = *state;
    hsize_t chunk[3];
    add_series(scene);
    create(scene);
    start(scene);
    append_series(scene, 0, 120, 50);
    close_store(scene);
    struct group *group = scene->schema->groups[0];
    for (size_t i = 0; i < group->field_count; i++) group->fields[i]->storage.access = TRAJLOG_ACCESS_FRAME;
    resume(scene, 109);
    append_series(scene, 110, 220, 50);
    close_store(scene);
    hid_t file = look(scene);
    expect_series(file, 220);
    chunk_of(file, "g/plain", chunk);
    assert_int_equal(chunk[1], 101);
    H5Fclose(file);
}

/* Their older rows have the fill value, also where those end amid a chunk. */
static void added_series_are_filled(void **state)
{
    struct scene *scene = *state;
    static double frame[MANY * 3];
    const void *fields[] = {frame, frame};
    size_t count;
    struct group *group = add_group(scene, "g", trajlog_every(1));
    struct storage storage = {.chunk_rows = BAND, .access = TRAJLOG_ACCESS_PARTICLE};
    add_field(scene, group, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(MANY, 3), storage);
    create(scene);
    start(scene);
    for (size_t i = 0; i < MANY * 3; i++) frame[i] = (double)i + 1.0;
    for (int64_t row = 0; row < 120; row++) ok(scene, store_append(scene->store, 0, row, 0.0, fields, &scene->error));
    close_store(scene);
    add_field(scene, group, "new", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(MANY, 3), storage);
    const struct store_options options = {.accept_additions = true};
    ok(scene, store_resume(&scene->store, scene->path, 119, &options, &scene->error));
    ok(scene, store_define(scene->store, scene->schema, &scene->error));
    start(scene);
    for (int64_t row = 120; row < 210; row++) ok(scene, store_append(scene->store, 0, row, 0.0, fields, &scene->error));
    close_store(scene);
    hid_t file = look(scene);
    double *data = read_all(file, "g/new", &count);
    assert_int_equal(count, 210 * MANY * 3);
    for (size_t i = 0; i < count; i++)
        assert_true(i < 120 * MANY * 3 ? isnan(data[i]) : data[i] == frame[i % (MANY * 3)]);
    free(data);
    H5Fclose(file);
}

static void chunks_for_series_are_of_one_size(void **state)
{
    const struct storage storage = {.access = TRAJLOG_ACCESS_PARTICLE};
    (void)state;
    for (int64_t particles = 1; particles < 20000000; particles = particles * 7 / 2 + 1)
        for (size_t bytes = 4; bytes <= 72; bytes += 4) {
            size_t row = bytes * (size_t)particles;
            int64_t rows = column_chunk_rows(&storage, row), wide = column_chunk_particles(&storage, row, particles);
            int64_t across = (particles + wide - 1) / wide;
            size_t chunk = (size_t)(rows * wide) * bytes;
            assert_true(wide >= 1 && wide <= particles && rows >= 1 && rows <= 8192);
            assert_true(rows >= 64 || row * 65 > (size_t)64 << 20);
            assert_true(chunk <= (size_t)1 << 20);
            assert_true(row * (size_t)rows <= (size_t)64 << 20 || rows == 1);
            if (across > 1 && rows >= 64) assert_true(chunk >= (size_t)64 << 10);
            assert_true(particles - (across - 1) * wide > 0);
        }
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Tails
 * ------------------------------------------------------------------------------------------------------------------ */

#define WIDTH     100
#define TAIL_ROWS 8 /* a chunk's */
#define RAW_BYTES (TAIL_ROWS * WIDTH * sizeof(double))

static const struct {
    const char *name;
    struct storage storage;
    unsigned unfiltered; /* the mask that says so */
} tailed[] = {
    {"plain", {.compression = TRAJLOG_COMPRESSION_NONE, .chunk_rows = TAIL_ROWS}, 0},
    {"deflated", {.compression = TRAJLOG_COMPRESSION_DEFLATE, .chunk_rows = TAIL_ROWS}, 3},
    {"checked", {.compression = TRAJLOG_COMPRESSION_NONE, .checksum = true, .chunk_rows = TAIL_ROWS}, 1},
    {"both", {.compression = TRAJLOG_COMPRESSION_DEFLATE, .checksum = true, .chunk_rows = TAIL_ROWS}, 7},
};
#define TAILED (sizeof tailed / sizeof tailed[0])

/* Chunks that are full have the size of those that are not, now and then. */
static double tailed_value(int64_t row, size_t i)
{
    return row / TAIL_ROWS % 2 == 0 ? (double)row + 0.1 * (double)(i % 7) : 0.0;
}

static void add_tailed(struct scene *scene)
{
    struct group *group = add_group(scene, "g", trajlog_every(1));
    for (size_t k = 0; k < TAILED; k++)
        add_field(scene, group, tailed[k].name, TRAJLOG_FLOAT64, TRAJLOG_SHAPE(WIDTH), tailed[k].storage);
}

static void append_tailed(struct scene *scene, int64_t first, int64_t end)
{
    double row[WIDTH];
    const void *fields[TAILED] = {row, row, row, row};
    for (int64_t step = first; step < end; step++) {
        for (size_t i = 0; i < WIDTH; i++) row[i] = tailed_value(step, i);
        ok(scene, store_append(scene->store, 0, step, (double)step, fields, &scene->error));
    }
}

struct stored {
    unsigned mask;
    haddr_t address;
    hsize_t size;
};

/* The chunk with this row. */
static struct stored stored_at(hid_t file, size_t k, int64_t row)
{
    struct stored stored;
    char path[64];
    snprintf(path, sizeof path, "g/%s", tailed[k].name);
    const hsize_t corner[2] = {(hsize_t)(row - row % TAIL_ROWS), 0};
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
    assert_true(H5Dget_chunk_info_by_coord(dataset, corner, &stored.mask, &stored.address, &stored.size) >= 0);
    H5Dclose(dataset);
    return stored;
}

static void expect_tailed(hid_t file, int64_t rows)
{
    for (size_t k = 0; k < TAILED; k++) {
        char path[64];
        size_t count;
        snprintf(path, sizeof path, "g/%s", tailed[k].name);
        double *data = read_all(file, path, &count);
        assert_int_equal(count, rows * WIDTH);
        for (size_t i = 0; i < count; i++) assert_true(data[i] == tailed_value((int64_t)(i / WIDTH), i % WIDTH));
        free(data);
    }
}

static void expect_filtered(struct stored stored, size_t k)
{
    assert_int_equal(stored.mask, 0);
    if (tailed[k].storage.compression == TRAJLOG_COMPRESSION_DEFLATE) assert_true(stored.size < RAW_BYTES / 2);
    else if (tailed[k].storage.checksum) assert_int_equal(stored.size, RAW_BYTES + 4);
    else assert_int_equal(stored.size, RAW_BYTES);
}

static void a_tail_gets_its_filters_at_the_end(void **state)
{
    struct scene *scene = *state;
    add_tailed(scene);
    create(scene);
    start(scene);
    append_tailed(scene, 0, 3);
    close_store(scene);
    hid_t file = look(scene);
    expect_tailed(file, 3);
    for (size_t k = 0; k < TAILED; k++) expect_filtered(stored_at(file, k, 2), k);
    H5Fclose(file);
}

/* A second copy is for a checksum only. */
static void a_tail_that_is_stored_stays_but_for_its_checksum(void **state)
{
    struct scene *scene = *state;
    add_tailed(scene);
    create(scene);
    start(scene);
    append_tailed(scene, 0, 19);
    commit(scene);
    hid_t file = look(scene);
    for (size_t k = 0; k < TAILED; k++) assert_int_equal(stored_at(file, k, 18).mask, tailed[k].unfiltered);
    H5Fclose(file);
    append_tailed(scene, 19, 21);
    close_store(scene);
    file = look(scene);
    expect_tailed(file, 21);
    for (size_t k = 0; k < TAILED; k++) {
        struct stored stored = stored_at(file, k, 20);
        if (tailed[k].storage.checksum) expect_filtered(stored, k);
        else assert_int_equal(stored.size, RAW_BYTES);
    }
    H5Fclose(file);
}

/* Over the ends of chunks, with and without commits, with and without rows that go. */
static void a_filtered_tail_is_gone_on_with(void **state)
{
    struct scene *scene = *state;
    const struct {
        int64_t restart, commit_at, end;
    } runs[] = {{2, 5, 7},    {6, 10, 12},  {9, -1, 12},  {11, -1, 30},
                {29, 31, 41}, {40, -1, 41}, {40, -1, 47}, {46, -1, 49}};
    add_tailed(scene);
    create(scene);
    start(scene);
    append_tailed(scene, 0, 3);
    close_store(scene);
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        resume(scene, runs[i].restart);
        hid_t file = look(scene);
        expect_tailed(file, runs[i].restart + 1);
        H5Fclose(file);
        for (int64_t row = runs[i].restart + 1; row < runs[i].end; row++) {
            append_tailed(scene, row, row + 1);
            if (row != runs[i].commit_at) continue;
            commit(scene);
            file = look(scene);
            expect_tailed(file, row + 1);
            H5Fclose(file);
        }
        close_store(scene);
        file = look(scene);
        expect_tailed(file, runs[i].end);
        for (size_t k = 0; k < TAILED; k++)
            if (tailed[k].storage.checksum) assert_int_equal(stored_at(file, k, runs[i].end - 1).mask, 0);
        H5Fclose(file);
    }
}

/* Until the next commit, a kill leads back to it: rows 8 to 15 are zeros, which take the same room however many they are. */
static void a_filtered_tail_is_not_overwritten(void **state)
{
    struct scene *scene = *state;
    const int64_t ends[] = {16, 12};
    for (size_t i = 0; i < 2; i++) {
        scene->schema = (schema_free(scene->schema), schema_new());
        add_tailed(scene);
        create(scene);
        start(scene);
        append_tailed(scene, 0, 10);
        close_store(scene);
        hid_t before = look(scene);
        struct stored old[TAILED];
        for (size_t k = 0; k < TAILED; k++) old[k] = stored_at(before, k, 9);
        H5Fclose(before);
        resume(scene, 9);
        append_tailed(scene, 10, ends[i]);
        close_store(scene);
        hid_t after = look(scene);
        expect_tailed(after, ends[i]);
        for (size_t k = 1; k < TAILED; k++) assert_true(stored_at(after, k, 9).address != old[k].address);
        H5Fclose(after);
    }
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Borrowed rows
 * ------------------------------------------------------------------------------------------------------------------ */

#define LENT       512 /* float64 in a row: enough to be borrowed */
#define LENT_ROWS  64  /* that are remembered */
#define LENT_CHUNK 8

static double lent_value(int64_t row, size_t i)
{
    return (double)(row * LENT + (int64_t)i);
}

static void expect_lent(hid_t file, const char *path, int64_t rows)
{
    size_t count;
    double *data = read_all(file, path, &count);
    assert_int_equal(count, rows * LENT);
    for (size_t i = 0; i < count; i++) assert_true(data[i] == lent_value((int64_t)(i / LENT), i % LENT));
    free(data);
}

/* Rows lie in memory that is used again as soon as none of them is borrowed any more. Chunks of two fields get full at
 * different rows; those of the first alone, when they are not settled amid it, are written from where the rows lie. */
static void borrowed_rows_are_stored(void **state)
{
    struct scene *scene = *state;
    static double memory[LENT_ROWS][LENT];
    const trajlog_shape shape = TRAJLOG_SHAPE(LENT);
    for (int fields = 1; fields <= 2; fields++) {
        scene->schema = (schema_free(scene->schema), schema_new());
        struct group *group = add_group(scene, "g", trajlog_every(1));
        add_field(scene, group, "a", TRAJLOG_FLOAT64, shape, (struct storage){.chunk_rows = LENT_CHUNK});
        if (fields == 2) add_field(scene, group, "b", TRAJLOG_FLOAT64, shape, (struct storage){.chunk_rows = 11});
        create(scene);
        start(scene);
        store_may_borrow(scene->store);
        int64_t place = 0;
        for (int64_t row = 0; row < 200; row++) {
            for (size_t i = 0; i < LENT; i++) memory[place][i] = lent_value(row, i);
            const void *pointers[2] = {memory[place], memory[place]};
            ok(scene, store_append(scene->store, 0, row, (double)row, pointers, &scene->error));
            if (fields == 1 && row < 100) assert_int_equal(store_borrows(scene->store), (row + 1) % LENT_CHUNK != 0);
            if (row == 100 || row == 135) commit(scene);
            if (row == 120 || row == 170 || place == LENT_ROWS - 1) store_settle(scene->store);
            place = store_borrows(scene->store) ? place + 1 : 0;
            if (place == 0) memset(memory, 0xff, sizeof memory);
        }
        close_store(scene);
        hid_t file = look(scene);
        expect_lent(file, "g/a", 200);
        if (fields == 2) expect_lent(file, "g/b", 200);
        H5Fclose(file);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_scene, drop_scene)

static const struct CMUnitTest tests[] = {
    TEST(rounded_rows_do_not_change),
    TEST(the_file_says_how_it_is_rounded),
    TEST(once_data_are_rounded),
    TEST(a_resumed_run_rounds_alike),
    TEST(series_read_back_at_any_commit),
    TEST(series_go_on),
    TEST(the_files_chunks_are_kept),
    TEST(added_series_are_filled),
    TEST(chunks_for_series_are_of_one_size),
    TEST(a_tail_gets_its_filters_at_the_end),
    TEST(a_tail_that_is_stored_stays_but_for_its_checksum),
    TEST(a_filtered_tail_is_gone_on_with),
    TEST(a_filtered_tail_is_not_overwritten),
    TEST(borrowed_rows_are_stored),
};

TEST_MAIN(tests)
