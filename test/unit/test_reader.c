/* The reader's public functions, on logs that the writer makes. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hdf5_ids.h"
#include "trajlog.h"

#define ATOMS 5

struct fixture {
    char directory[64], path[96];
    trajlog_writer *log;
    trajlog_reader *reader;
    double position[ATOMS][3];
    float energy;
    int32_t species[ATOMS];
    uint8_t flag;
    double complex_value[2];
    char label[8];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->directory, "/tmp/test_reader.XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->path, sizeof fixture->path, "%s/log.h5", fixture->directory);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    trajlog_reader_close(&fixture->reader);
    trajlog_close(&fixture->log);
    unlink(fixture->path);
    int left = rmdir(fixture->directory);
    free(fixture);
    return left;
}

/* What the fields hold at a step. */
static void fill(struct fixture *fixture, int64_t step)
{
    for (int i = 0; i < ATOMS; i++) {
        for (int k = 0; k < 3; k++) fixture->position[i][k] = (double)step + 0.125 * (3 * i + k);
        fixture->species[i] = 100 + i;
    }
    fixture->energy = -0.5f * (float)step;
    fixture->flag = step % 20 == 0;
    fixture->complex_value[0] = (double)step;
    fixture->complex_value[1] = -(double)step;
    snprintf(fixture->label, sizeof fixture->label, "s%d", (int)step);
}

static void start_log(struct fixture *fixture)
{
    trajlog_options options = trajlog_default_options();
    options.synchronous = 1;
    assert_int_equal(trajlog_create(&fixture->log, fixture->path, &options), TRAJLOG_OK);
    trajlog_set_metadata(fixture->log, "title", "a test");
    trajlog_group *init = trajlog_add_group(fixture->log, "init", trajlog_once());
    trajlog_add_field(init, "species", TRAJLOG_INT32, TRAJLOG_SHAPE(ATOMS), fixture->species, NULL);
    trajlog_group *group = trajlog_add_group(fixture->log, "trajectory", trajlog_every(10));
    trajlog_group_set_metadata(group, "purpose", "reading");
    trajlog_field *position =
        trajlog_add_field(group, "atoms/position", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(ATOMS, 3), fixture->position, "nm");
    trajlog_set_description(position, "where they are");
    trajlog_field_set_metadata(position, "frame", "lab");
    trajlog_add_field(group, "energy", TRAJLOG_FLOAT32, TRAJLOG_SCALAR, &fixture->energy, "kJ mol-1");
    trajlog_add_field(group, "flag", TRAJLOG_BOOL, TRAJLOG_SCALAR, &fixture->flag, NULL);
    trajlog_add_field(group, "complex", TRAJLOG_COMPLEX128, TRAJLOG_SCALAR, fixture->complex_value, NULL);
    trajlog_field *label = trajlog_add_field(group, "label", TRAJLOG_STRING(8), TRAJLOG_SCALAR, fixture->label, NULL);
    assert_non_null(label);
}

static void log_steps(struct fixture *fixture, int64_t first, int64_t stop)
{
    for (int64_t step = first; step < stop; step++) {
        fill(fixture, step);
        trajlog_status status = trajlog_log(fixture->log, step, 0.5 * (double)step);
        if (status != TRAJLOG_OK) fail_msg("%s", trajlog_message(fixture->log));
    }
}

/* A log of the steps 0 to 100, closed: rows 0 to 10 in "trajectory". */
static void make_log(struct fixture *fixture)
{
    start_log(fixture);
    log_steps(fixture, 0, 101);
    assert_int_equal(trajlog_close(&fixture->log), TRAJLOG_OK);
}

static void open_reader(struct fixture *fixture)
{
    if (trajlog_open(&fixture->reader, fixture->path) != TRAJLOG_OK)
        fail_msg("%s", trajlog_reader_message(fixture->reader));
}

static void make_and_open(struct fixture *fixture)
{
    make_log(fixture);
    open_reader(fixture);
}

static void expect(const trajlog_reader *reader, trajlog_status got, trajlog_status status, const char *message)
{
    if (got != status) fail_msg("%s: %s", trajlog_status_name(got), trajlog_reader_message(reader));
    if (!strstr(trajlog_reader_message(reader), message))
        fail_msg("\"%s\" does not say \"%s\"", trajlog_reader_message(reader), message);
}

static void expect_good(const trajlog_reader *reader, trajlog_status got)
{
    if (got != TRAJLOG_OK) fail_msg("%s: %s", trajlog_status_name(got), trajlog_reader_message(reader));
}

static void infos_say_what_was_declared(void **state)
{
    struct fixture *fixture = *state;
    make_and_open(fixture);
    const trajlog_file_info *file = trajlog_reader_file(fixture->reader);
    assert_string_equal(file->path, fixture->path);
    assert_int_equal(file->format_version, 1);
    assert_int_equal(file->group_count, 2);
    assert_int_equal(file->actual_steps, 101);
    assert_int_equal(file->dropped, 0);
    assert_non_null(strstr(file->metadata, "a test"));
    assert_non_null(strstr(file->environment, "hdf5"));
    assert_non_null(strstr(file->schema, "atoms/position"));

    const trajlog_group_info *group = trajlog_reader_group(fixture->reader, 1);
    assert_string_equal(group->name, "trajectory");
    assert_false(group->once);
    assert_int_equal(group->rows, 11);
    assert_int_equal(group->field_count, 5);
    assert_string_equal(group->frequency, "every 10 steps");
    assert_int_equal(group->first_step, 0);
    assert_int_equal(group->last_step, 100);
    assert_true(group->first_time == 0 && group->last_time == 50);
    assert_non_null(strstr(group->metadata, "reading"));

    const trajlog_field_info *field = trajlog_reader_field(fixture->reader, 1, 0);
    assert_string_equal(field->name, "atoms/position");
    assert_string_equal(field->unit, "nm");
    assert_string_equal(field->description, "where they are");
    assert_int_equal(field->type, TRAJLOG_FLOAT64);
    assert_int_equal(field->stored_type, TRAJLOG_FLOAT64);
    assert_int_equal(field->shape.rank, 2);
    assert_int_equal(field->shape.dims[0], ATOMS);
    assert_int_equal(field->shape.dims[1], 3);
    assert_true(field->stored_bytes >= 11 * ATOMS * 24);
    assert_non_null(strstr(field->storage, "rows per chunk"));
    assert_non_null(strstr(field->metadata, "lab"));

    const trajlog_group_info *init = trajlog_reader_group(fixture->reader, 0);
    assert_true(init->once && init->rows == 1);
    assert_true(init->first_step == 0 && isnan(init->first_time));
}

static void names_are_found(void **state)
{
    struct fixture *fixture = *state;
    make_and_open(fixture);
    trajlog_reader *reader = fixture->reader;
    assert_int_equal(trajlog_find_group(reader, "trajectory"), 1);
    assert_int_equal(trajlog_find_group(reader, "nothing"), -1);
    assert_int_equal(trajlog_find_field(reader, "trajectory", "energy"), 1);
    assert_int_equal(trajlog_find_field(reader, "trajectory", "step"), -1);
    assert_int_equal(trajlog_find_field(reader, "nothing", "energy"), -1);
    assert_null(trajlog_reader_group(reader, 2));
    assert_null(trajlog_reader_group(reader, -1));
    assert_null(trajlog_reader_field(reader, 1, 5));
    assert_null(trajlog_reader_field(reader, 1, -1));
    assert_null(trajlog_reader_file(NULL));
}

static void every_type_comes_back(void **state)
{
    struct fixture *fixture = *state;
    double position[11][ATOMS][3], complex_value[11][2];
    float energy[11];
    uint8_t flag[11];
    char label[11][8];
    int64_t rows = 0;
    const trajlog_request requests[] = {{"atoms/position", 0, position, sizeof position},
                                        {"energy", TRAJLOG_FLOAT32, energy, sizeof energy},
                                        {"flag", 0, flag, sizeof flag},
                                        {"complex", 0, complex_value, sizeof complex_value},
                                        {"label", 0, label, sizeof label}};
    make_and_open(fixture);
    expect_good(fixture->reader,
                trajlog_read_fields(fixture->reader, "trajectory", trajlog_all_rows(), requests, 5, &rows));
    assert_int_equal(rows, 11);
    for (int row = 0; row < 11; row++) {
        fill(fixture, 10 * row);
        assert_memory_equal(position[row], fixture->position, sizeof fixture->position);
        assert_true(energy[row] == fixture->energy && flag[row] == fixture->flag);
        assert_memory_equal(complex_value[row], fixture->complex_value, sizeof fixture->complex_value);
        assert_string_equal(label[row], fixture->label);
    }
}

static void rows_are_found_by_step_and_time(void **state)
{
    struct fixture *fixture = *state;
    int64_t step[11], rows, count;
    double time[11];
    make_and_open(fixture);
    trajlog_reader *reader = fixture->reader;
    assert_int_equal(trajlog_read(reader, "trajectory", "step", trajlog_row_at_step(30), 0, step, 8, &rows), 0);
    assert_true(rows == 1 && step[0] == 30);
    assert_int_equal(trajlog_read(reader, "trajectory", "time", trajlog_rows_in_times(10, 20), 0, time, 24, &rows), 0);
    assert_true(rows == 3 && time[0] == 10 && time[2] == 20);
    assert_int_equal(trajlog_count_rows(reader, "trajectory", trajlog_rows_in_steps(11, 100), &count), TRAJLOG_OK);
    assert_int_equal(count, 9);
    expect(reader, trajlog_count_rows(reader, "trajectory", trajlog_row_at_step(31), &count), TRAJLOG_NOT_FOUND,
           "group \"trajectory\": step 31 is not in it");
}

static void conversions_are_those_promised(void **state)
{
    struct fixture *fixture = *state;
    double energy[2], pair[2][2];
    int8_t flag[2];
    int8_t species[ATOMS];
    make_and_open(fixture);
    trajlog_reader *reader = fixture->reader;
    trajlog_rows two = trajlog_row_range(1, 3, 1);
    assert_int_equal(trajlog_read(reader, "trajectory", "energy", two, TRAJLOG_FLOAT64, energy, 16, NULL), 0);
    assert_true(energy[0] == -5 && energy[1] == -10);
    assert_int_equal(trajlog_read(reader, "trajectory", "flag", two, TRAJLOG_INT8, flag, 2, NULL), 0);
    assert_true(flag[0] == 0 && flag[1] == 1);
    assert_int_equal(trajlog_read(reader, "trajectory", "energy", two, TRAJLOG_COMPLEX128, pair, 32, NULL), 0);
    assert_true(pair[1][0] == -10 && pair[1][1] == 0);
    assert_int_equal(trajlog_read(reader, "init", "species", trajlog_all_rows(), TRAJLOG_INT8, species, ATOMS, NULL),
                     0);
    assert_int_equal(species[4], 104);
    expect(reader, trajlog_read(reader, "trajectory", "energy", two, TRAJLOG_INT32, energy, 16, NULL),
           TRAJLOG_TYPE_MISMATCH, "group \"trajectory\", field \"energy\": float32 cannot be read as int32");
    expect(reader, trajlog_read(reader, "trajectory", "energy", two, 99, energy, 16, NULL), TRAJLOG_INVALID_ARGUMENT,
           "not an element type");
    expect(reader, trajlog_read(reader, "trajectory", "step", trajlog_all_rows(), TRAJLOG_BOOL, flag, 2, NULL),
           TRAJLOG_TYPE_MISMATCH, "step");
}

static void once_groups_have_one_row(void **state)
{
    struct fixture *fixture = *state;
    int32_t species[2 * ATOMS];
    int64_t step = -1, rows;
    double time = -1;
    make_and_open(fixture);
    trajlog_reader *reader = fixture->reader;
    assert_int_equal(trajlog_read(reader, "init", "species", trajlog_row(-1), 0, species, 4 * ATOMS, &rows), 0);
    assert_true(rows == 1 && species[4] == 104);
    assert_int_equal(trajlog_read(reader, "init", "step", trajlog_row(0), 0, &step, 8, NULL), TRAJLOG_OK);
    assert_int_equal(trajlog_read(reader, "init", "time", trajlog_all_rows(), 0, &time, 8, NULL), TRAJLOG_OK);
    assert_true(step == 0 && time == 0);
    expect(reader, trajlog_read(reader, "init", "species", trajlog_row(1), 0, species, sizeof species, NULL),
           TRAJLOG_NOT_FOUND, "no row 1");
    expect(reader, trajlog_count_rows(reader, "init", trajlog_row_at_step(0), &rows), TRAJLOG_NOT_FOUND, "time axis");
}

static void memory_can_be_allocated(void **state)
{
    struct fixture *fixture = *state;
    void *data = NULL;
    int64_t rows = 0;
    make_and_open(fixture);
    assert_int_equal(
        trajlog_read_new(fixture->reader, "trajectory", "atoms/position", trajlog_row(-1), 0, &data, &rows), 0);
    fill(fixture, 100);
    assert_int_equal(rows, 1);
    assert_memory_equal(data, fixture->position, sizeof fixture->position);
    trajlog_free(data);
    data = &rows;
    expect(fixture->reader, trajlog_read_new(fixture->reader, "trajectory", "x", trajlog_row(0), 0, &data, NULL),
           TRAJLOG_NOT_FOUND, "group \"trajectory\": there is no field \"x\"");
    assert_null(data);
    trajlog_free(NULL);
}

static void bad_calls_say_what_is_wrong(void **state)
{
    struct fixture *fixture = *state;
    double data[3];
    int64_t rows;
    make_and_open(fixture);
    trajlog_reader *reader = fixture->reader;
    trajlog_rows all = trajlog_all_rows();
    expect(reader, trajlog_read(reader, "x", "energy", all, 0, data, sizeof data, NULL), TRAJLOG_NOT_FOUND,
           "there is no group \"x\"; there are: init, trajectory");
    expect(reader, trajlog_read(reader, NULL, "energy", all, 0, data, sizeof data, NULL), TRAJLOG_INVALID_ARGUMENT,
           "NULL");
    expect(reader, trajlog_read(reader, "trajectory", NULL, all, 0, data, sizeof data, NULL), TRAJLOG_INVALID_ARGUMENT,
           "NULL");
    expect(reader, trajlog_read(reader, "trajectory", "energy", all, 0, data, 43, NULL), TRAJLOG_OUT_OF_RANGE,
           "11 rows do not fit into 43 bytes");
    expect(reader, trajlog_read(reader, "trajectory", "energy", all, 0, NULL, 44, NULL), TRAJLOG_INVALID_ARGUMENT,
           "NULL");
    expect(reader, trajlog_read_fields(reader, "trajectory", all, NULL, 1, NULL), TRAJLOG_INVALID_ARGUMENT, "NULL");
    expect(reader, trajlog_count_rows(reader, "trajectory", all, NULL), TRAJLOG_INVALID_ARGUMENT, "NULL");
    expect(NULL, trajlog_count_rows(NULL, "trajectory", all, &rows), TRAJLOG_INVALID_ARGUMENT, "no reader");
    expect(NULL, trajlog_open(NULL, fixture->path), TRAJLOG_INVALID_ARGUMENT, "NULL");
    assert_int_equal(trajlog_reader_close(NULL), TRAJLOG_OK);
    assert_non_null(strstr(trajlog_reader_message(reader), fixture->path));
}

static void a_reader_that_could_not_open_carries_its_error(void **state)
{
    struct fixture *fixture = *state;
    int64_t rows;
    size_t count;
    trajlog_stream *stream = (trajlog_stream *)fixture;
    assert_int_equal(trajlog_open(&fixture->reader, fixture->path), TRAJLOG_NOT_FOUND);
    trajlog_reader *reader = fixture->reader;
    assert_non_null(reader);
    assert_int_equal(trajlog_reader_error_number(reader), ENOENT);
    assert_null(trajlog_reader_file(reader));
    assert_null(trajlog_reader_group(reader, 0));
    expect(reader, trajlog_count_rows(reader, "a", trajlog_all_rows(), &rows), TRAJLOG_NOT_FOUND, fixture->path);
    expect(reader, trajlog_refresh(reader), TRAJLOG_NOT_FOUND, fixture->path);
    expect(reader, trajlog_reader_drops(reader, NULL, 0, &count), TRAJLOG_NOT_FOUND, fixture->path);
    expect(reader, trajlog_stream_open(&stream, reader, "a", trajlog_all_rows(), NULL, NULL, 0, 0), TRAJLOG_NOT_FOUND,
           fixture->path);
    assert_null(stream);
    assert_non_null(strstr(trajlog_reader_message(NULL), fixture->path));
    assert_null(strstr(trajlog_reader_message(reader) + strlen(fixture->path), fixture->path)); /* named once */
}

static void what_is_no_log_is_refused(void **state)
{
    struct fixture *fixture = *state;
    int descriptor = open(fixture->path, O_CREAT | O_WRONLY, 0600);
    assert_true(write(descriptor, "text", 4) == 4);
    close(descriptor);
    expect(NULL, trajlog_open(&fixture->reader, fixture->path), TRAJLOG_INVALID_FILE, "not an HDF5 file");
    trajlog_reader_close(&fixture->reader);
    H5Fclose(H5Fcreate(fixture->path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    expect(NULL, trajlog_open(&fixture->reader, fixture->path), TRAJLOG_INVALID_FILE, "is not a log");
    trajlog_reader_close(&fixture->reader);
    expect(NULL, trajlog_open(&fixture->reader, fixture->directory), TRAJLOG_INVALID_FILE, "not a regular file");
    trajlog_reader_close(&fixture->reader);
    expect(NULL, trajlog_open(&fixture->reader, ""), TRAJLOG_INVALID_ARGUMENT, "no name");
}

static void a_truncated_log_is_refused(void **state)
{
    struct fixture *fixture = *state;
    make_log(fixture);
    assert_int_equal(truncate(fixture->path, 2000), 0);
    trajlog_status status = trajlog_open(&fixture->reader, fixture->path);
    expect(fixture->reader, status, TRAJLOG_INVALID_FILE, fixture->path);
}

static unsigned char *read_all(const char *path, size_t *size)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0 && fstat(file, &status) == 0);
    *size = (size_t)status.st_size;
    unsigned char *bytes = malloc(*size);
    assert_true(bytes != NULL && pread(file, bytes, *size, 0) == status.st_size && close(file) == 0);
    return bytes;
}

static void put_byte(const struct fixture *fixture, off_t place, unsigned char byte)
{
    int file = open(fixture->path, O_WRONLY | O_CLOEXEC);
    assert_true(file >= 0 && pwrite(file, &byte, 1, place) == 1 && close(file) == 0);
}

/* Whoever forgets a part of a header in libhdf5 ends with its complaint, or its abort. */
static bool refuses_in_silence(struct fixture *fixture, off_t place, unsigned char byte)
{
    struct hdf5_ids before = hdf5_next_ids();
    put_byte(fixture, place, byte ^ 0x10);
    bool refuses = trajlog_open(&fixture->reader, fixture->path) != TRAJLOG_OK;
    trajlog_reader_close(&fixture->reader);
    assert_int_not_equal(trajlog_check(fixture->path, NULL, NULL, NULL, NULL), TRAJLOG_OK);
    assert_int_equal(hdf5_ids_left(&before), 0);
    if (!hdf5_ends_in_silence()) fail_msg("the damage is at %lld", (long long)place);
    put_byte(fixture, place, byte);
    return refuses;
}

static void a_broken_header_leaves_nothing_behind(void **state)
{
    static const char *const signatures[] = {"OHDR", "OCHK"};
    static const int places[] = {0, 4, 5, 9, 32};
    struct fixture *fixture = *state;
    size_t size;
    make_log(fixture);
    unsigned char *bytes = read_all(fixture->path, &size);
    for (size_t i = 0; i < 2; i++) {
        int refused = 0;
        for (const unsigned char *at = bytes; (at = memmem(at, (size_t)(bytes + size - at), signatures[i], 4)); at++)
            for (size_t k = 0; k < sizeof places / sizeof *places; k++)
                refused += refuses_in_silence(fixture, at - bytes + places[k], at[places[k]]);
        assert_true(refused > 5);
    }
    free(bytes);
    open_reader(fixture);
}

/* The writer is in the same process, and libhdf5 must not hand its unfinished state to the reader. */
static void a_log_is_followed_while_it_is_written(void **state)
{
    struct fixture *fixture = *state;
    start_log(fixture);
    log_steps(fixture, 0, 31);
    assert_int_equal(trajlog_flush(fixture->log), TRAJLOG_OK);
    open_reader(fixture);
    trajlog_reader *reader = fixture->reader, *second = NULL;
    assert_int_equal(trajlog_reader_group(reader, 1)->rows, 4);

    log_steps(fixture, 31, 61);
    assert_int_equal(trajlog_flush(fixture->log), TRAJLOG_OK);
    assert_int_equal(trajlog_reader_group(reader, 1)->rows, 4);
    assert_int_equal(trajlog_open(&second, fixture->path), TRAJLOG_OK);
    assert_int_equal(trajlog_reader_group(second, 1)->rows, 7);
    assert_int_equal(trajlog_refresh(reader), TRAJLOG_OK);
    assert_int_equal(trajlog_reader_group(reader, 1)->rows, 7);
    assert_int_equal(trajlog_reader_group(reader, 1)->last_step, 60);

    log_steps(fixture, 61, 101);
    assert_int_equal(trajlog_close(&fixture->log), TRAJLOG_OK);
    assert_int_equal(trajlog_refresh(second), TRAJLOG_OK);
    double position[11][ATOMS][3];
    assert_int_equal(
        trajlog_read(second, "trajectory", "atoms/position", trajlog_all_rows(), 0, position, sizeof position, NULL),
        TRAJLOG_OK);
    for (int row = 0; row < 11; row++) {
        fill(fixture, 10 * row);
        assert_memory_equal(position[row], fixture->position, sizeof fixture->position);
    }
    trajlog_reader_close(&second);
}

/* The driver's clock, which a test may set forward. */
static int64_t seconds_ahead;
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && clock == CLOCK_MONOTONIC) now->tv_sec += seconds_ahead;
    return result;
}

#define WIDE 600
static double wide[WIDE];

static void log_wide(struct fixture *fixture, int64_t first, int64_t stop)
{
    for (int64_t step = first; step < stop; step++) {
        for (int i = 0; i < WIDE; i++) wide[i] = 1000.0 * (double)step + i;
        assert_int_equal(trajlog_log(fixture->log, step, (double)step), TRAJLOG_OK);
        assert_int_equal(trajlog_flush(fixture->log), TRAJLOG_OK);
    }
}

static void expect_wide(struct fixture *fixture, int64_t first, int64_t count)
{
    double *data = calloc((size_t)count, sizeof wide);
    trajlog_rows rows = trajlog_row_range(first, first + count, 1);
    size_t bytes = (size_t)count * sizeof wide;
    expect_good(fixture->reader, trajlog_read(fixture->reader, "wide", "x", rows, 0, data, bytes, NULL));
    for (int64_t i = 0; i < count * WIDE; i++)
        assert_true(data[i] == 1000.0 * (double)(first + i / WIDE) + (double)(i % WIDE));
    free(data);
}

/* The last chunk of a compressed field is moved when it is full, and some seconds later other rows lie in its place. */
static void a_reader_that_is_old_does_not_meet_other_rows(void **state)
{
    struct fixture *fixture = *state;
    trajlog_options options = trajlog_default_options();
    options.synchronous = 1;
    assert_int_equal(trajlog_create(&fixture->log, fixture->path, &options), TRAJLOG_OK);
    trajlog_group *group = trajlog_add_group(fixture->log, "wide", trajlog_every(1));
    trajlog_field *field = trajlog_add_field(group, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(WIDE), wide, NULL);
    trajlog_storage storage = {
        .struct_size = sizeof storage, .compression = TRAJLOG_COMPRESSION_DEFLATE, .chunk_rows = 10};
    assert_int_equal(trajlog_set_storage(field, &storage), TRAJLOG_OK);
    log_wide(fixture, 0, 15);
    open_reader(fixture);
    expect_wide(fixture, 0, 10); /* the index is known from here on */
    log_wide(fixture, 15, 25);
    seconds_ahead += 60;
    log_wide(fixture, 25, 48);
    expect_wide(fixture, 12, 3);
    expect_wide(fixture, 0, 15);
    assert_int_equal(trajlog_reader_group(fixture->reader, 0)->rows, 15);
    expect(fixture->reader, trajlog_read(fixture->reader, "wide", "x", trajlog_row(15), 0, wide, sizeof wide, NULL),
           TRAJLOG_NOT_FOUND, "no row 15");
}

/* Before the first step is logged there are no groups; and another file may take the name. */
static void a_refresh_shows_groups_that_appear_and_a_file_that_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    start_log(fixture);
    open_reader(fixture);
    trajlog_reader *reader = fixture->reader;
    assert_int_equal(trajlog_reader_file(reader)->group_count, 0);
    assert_int_equal(trajlog_refresh(reader), TRAJLOG_OK);
    assert_int_equal(trajlog_reader_file(reader)->group_count, 0);
    log_steps(fixture, 0, 21);
    assert_int_equal(trajlog_flush(fixture->log), TRAJLOG_OK);
    assert_int_equal(trajlog_reader_file(reader)->group_count, 0);
    assert_int_equal(trajlog_refresh(reader), TRAJLOG_OK);
    assert_int_equal(trajlog_reader_file(reader)->group_count, 2);
    assert_int_equal(trajlog_reader_group(reader, 1)->rows, 3);
    assert_int_equal(trajlog_close(&fixture->log), TRAJLOG_OK);

    double energy[3];
    trajlog_options options = trajlog_default_options();
    options.existing = TRAJLOG_REPLACE;
    assert_int_equal(trajlog_create(&fixture->log, fixture->path, &options), TRAJLOG_OK);
    assert_int_equal(
        trajlog_read(reader, "trajectory", "energy", trajlog_all_rows(), TRAJLOG_FLOAT64, energy, sizeof energy, NULL),
        TRAJLOG_OK);
    assert_true(energy[2] == -10);
    trajlog_group *group = trajlog_add_group(fixture->log, "other", trajlog_every(1));
    trajlog_add_field(group, "energy", TRAJLOG_FLOAT32, TRAJLOG_SCALAR, &fixture->energy, NULL);
    log_steps(fixture, 5, 7);
    assert_int_equal(trajlog_flush(fixture->log), TRAJLOG_OK);
    assert_int_equal(trajlog_refresh(reader), TRAJLOG_OK);
    assert_int_equal(trajlog_reader_file(reader)->group_count, 1);
    assert_string_equal(trajlog_reader_group(reader, 0)->name, "other");
    assert_int_equal(trajlog_reader_group(reader, 0)->first_step, 5);
    assert_int_equal(trajlog_find_group(reader, "trajectory"), -1);
}

static void a_refresh_that_fails_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    int64_t step;
    make_and_open(fixture);
    assert_int_equal(unlink(fixture->path), 0);
    expect(fixture->reader, trajlog_refresh(fixture->reader), TRAJLOG_NOT_FOUND, fixture->path);
    assert_int_equal(trajlog_reader_group(fixture->reader, 1)->rows, 11);
    assert_int_equal(trajlog_read(fixture->reader, "trajectory", "step", trajlog_row(-1), 0, &step, 8, NULL), 0);
    assert_int_equal(step, 100);
}

static void an_empty_log_can_be_read(void **state)
{
    struct fixture *fixture = *state;
    start_log(fixture);
    assert_int_equal(trajlog_close(&fixture->log), TRAJLOG_OK);
    open_reader(fixture);
    for (int32_t i = 0; i < trajlog_reader_file(fixture->reader)->group_count; i++) {
        assert_int_equal(trajlog_reader_group(fixture->reader, i)->rows, 0);
        assert_true(isnan(trajlog_reader_group(fixture->reader, i)->first_time));
    }
}

static void a_stream_walks_in_blocks(void **state)
{
    struct fixture *fixture = *state;
    const char *const names[] = {"energy", "atoms/position"};
    const trajlog_type types[] = {TRAJLOG_FLOAT64, 0};
    trajlog_stream *stream = NULL;
    trajlog_block block;
    int64_t row = 0;
    make_and_open(fixture);
    assert_int_equal(
        trajlog_stream_open(&stream, fixture->reader, "trajectory", trajlog_row_range(1, 11, 2), names, types, 2, 2),
        TRAJLOG_OK);
    trajlog_status status;
    while ((status = trajlog_stream_next(stream, &block)) == TRAJLOG_OK) {
        assert_int_equal(block.first_row, row);
        assert_int_equal(block.row_count, row == 4 ? 1 : 2);
        for (int64_t i = 0; i < block.row_count; i++, row++) {
            fill(fixture, 10 * (1 + 2 * row));
            assert_int_equal(block.step[i], 10 * (1 + 2 * row));
            assert_true(block.time[i] == 0.5 * (double)block.step[i]);
            assert_true(((const double *)block.fields[0])[i] == fixture->energy);
            assert_memory_equal((const double *)block.fields[1] + 3 * ATOMS * i, fixture->position,
                                sizeof fixture->position);
        }
    }
    assert_int_equal(status, TRAJLOG_END);
    assert_int_equal(row, 5);
    assert_int_equal(trajlog_stream_next(stream, &block), TRAJLOG_END);
    trajlog_stream_close(&stream);
    assert_null(stream);
    trajlog_stream_close(&stream);
}

static void a_stream_keeps_its_list(void **state)
{
    struct fixture *fixture = *state;
    int64_t list[] = {-1, 0, 0, 7};
    const int64_t steps[] = {100, 0, 0, 70};
    trajlog_stream *stream = NULL;
    trajlog_block block;
    make_and_open(fixture);
    assert_int_equal(
        trajlog_stream_open(&stream, fixture->reader, "trajectory", trajlog_row_list(list, 4), NULL, NULL, 0, 3),
        TRAJLOG_OK);
    memset(list, 0, sizeof list);
    for (int64_t seen = 0; trajlog_stream_next(stream, &block) == TRAJLOG_OK; seen += block.row_count)
        assert_memory_equal(block.step, steps + seen, 8 * (size_t)block.row_count);
    trajlog_stream_close(&stream);
}

static void a_stream_covers_once_groups_and_all_fields(void **state)
{
    struct fixture *fixture = *state;
    trajlog_stream *stream = NULL;
    trajlog_block block;
    make_and_open(fixture);
    assert_int_equal(
        trajlog_stream_open(&stream, fixture->reader, "init", trajlog_all_rows(), NULL, NULL, 0, INT64_MAX),
        TRAJLOG_OK);
    assert_int_equal(trajlog_stream_next(stream, &block), TRAJLOG_OK);
    assert_true(block.row_count == 1 && block.step[0] == 0 && block.time[0] == 0);
    assert_int_equal(((const int32_t *)block.fields[0])[2], 102);
    assert_int_equal(trajlog_stream_next(stream, &block), TRAJLOG_END);
    trajlog_stream_close(&stream);
}

static void a_stream_ends_with_a_refresh(void **state)
{
    struct fixture *fixture = *state;
    trajlog_stream *stream = NULL;
    trajlog_block block;
    make_and_open(fixture);
    trajlog_reader *reader = fixture->reader;
    expect_good(reader, trajlog_stream_open(&stream, reader, "trajectory", trajlog_all_rows(), NULL, NULL, 0, 1));
    expect_good(reader, trajlog_stream_next(stream, &block));
    assert_int_equal(trajlog_refresh(reader), TRAJLOG_OK);
    expect(reader, trajlog_stream_next(stream, &block), TRAJLOG_INVALID_STATE, "refreshed");
    trajlog_stream_close(&stream);
    expect(reader, trajlog_stream_open(&stream, reader, "trajectory", trajlog_all_rows(), NULL, NULL, 0, -1),
           TRAJLOG_INVALID_ARGUMENT, "-1 rows");
    assert_null(stream);
}

/* libhdf5's own printing of errors is the host's business: quiet while we work, as it was afterwards. */
static void the_hosts_error_printing_stays_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    H5E_auto2_t before, after;
    void *context;
    make_log(fixture);
    assert_int_equal(truncate(fixture->path, 2000), 0);
    H5Eget_auto2(H5E_DEFAULT, &before, &context);
    assert_int_not_equal(trajlog_open(&fixture->reader, fixture->path), TRAJLOG_OK);
    H5Eget_auto2(H5E_DEFAULT, &after, &context);
    assert_true(before == after && before != NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(infos_say_what_was_declared),
    TEST(names_are_found),
    TEST(every_type_comes_back),
    TEST(rows_are_found_by_step_and_time),
    TEST(conversions_are_those_promised),
    TEST(once_groups_have_one_row),
    TEST(memory_can_be_allocated),
    TEST(bad_calls_say_what_is_wrong),
    TEST(a_reader_that_could_not_open_carries_its_error),
    TEST(what_is_no_log_is_refused),
    TEST(a_truncated_log_is_refused),
    TEST(a_broken_header_leaves_nothing_behind),
    TEST(a_log_is_followed_while_it_is_written),
    TEST(a_reader_that_is_old_does_not_meet_other_rows),
    TEST(a_refresh_shows_groups_that_appear_and_a_file_that_is_replaced),
    TEST(a_refresh_that_fails_changes_nothing),
    TEST(an_empty_log_can_be_read),
    TEST(a_stream_walks_in_blocks),
    TEST(a_stream_keeps_its_list),
    TEST(a_stream_covers_once_groups_and_all_fields),
    TEST(a_stream_ends_with_a_refresh),
    TEST(the_hosts_error_printing_stays_as_it_was),
};

TEST_MAIN(tests)
