/* Streams of compressed rows, which are decoded in advance by threads: the same rows, errors where they belong, and no
 * thread that outlives what it reads. */
#include <fcntl.h>
#include <hdf5.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "threads_fork.h"
#include "trajlog.h"

#define WIDTH      3000
#define CHUNK_ROWS 16
#define ROWS       1001

struct fixture {
    char directory[64], path[96];
    trajlog_reader *reader;
    trajlog_stream *stream;
    float values[WIDTH];
};

static float value_of(int64_t row, int64_t element)
{
    return (float)((row * 7 + element * element) % 1013);
}

static void write_log(struct fixture *fixture, trajlog_compression compression)
{
    trajlog_writer *log = NULL;
    trajlog_options options = trajlog_default_options();
    options.synchronous = 1;
    options.existing = TRAJLOG_REPLACE;
    assert_int_equal(trajlog_create(&log, fixture->path, &options), TRAJLOG_OK);
    trajlog_field *field = trajlog_add_field(trajlog_add_group(log, "run", trajlog_every(1)), "x", TRAJLOG_FLOAT32,
                                             TRAJLOG_SHAPE(WIDTH), fixture->values, NULL);
    trajlog_storage storage = {.struct_size = sizeof storage,
                               .compression = compression,
                               .checksum = compression != TRAJLOG_COMPRESSION_NONE,
                               .chunk_rows = CHUNK_ROWS};
    assert_int_equal(trajlog_set_storage(field, &storage), TRAJLOG_OK);
    for (int64_t row = 0; row < ROWS; row++) {
        for (int64_t i = 0; i < WIDTH; i++) fixture->values[i] = value_of(row, i);
        assert_int_equal(trajlog_log(log, row, (double)row), TRAJLOG_OK);
    }
    assert_int_equal(trajlog_close(&log), TRAJLOG_OK);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->directory, "/tmp/test_stream.XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->path, sizeof fixture->path, "%s/log.h5", fixture->directory);
    *state = fixture;
    write_log(fixture, TRAJLOG_COMPRESSION_DEFLATE);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    trajlog_stream_close(&fixture->stream);
    trajlog_reader_close(&fixture->reader);
    unlink(fixture->path);
    int left = rmdir(fixture->directory);
    free(fixture);
    return left;
}

static void open_stream(struct fixture *fixture, int threads, trajlog_rows rows, trajlog_type type, int64_t block_rows)
{
    trajlog_reader_options options = {.struct_size = sizeof options, .decoder_threads = threads};
    const char *const fields[1] = {"x"};
    if (!fixture->reader) assert_int_equal(trajlog_open_with(&fixture->reader, fixture->path, &options), TRAJLOG_OK);
    assert_int_equal(trajlog_stream_open(&fixture->stream, fixture->reader, "run", rows, fields, &type, 1, block_rows),
                     TRAJLOG_OK);
}

/* Returns how many rows came before something else than a block. */
static int64_t expect_rows(struct fixture *fixture, int64_t first, int64_t stride, bool wide, trajlog_status end)
{
    trajlog_block block;
    trajlog_status status;
    int64_t seen = 0;
    while ((status = trajlog_stream_next(fixture->stream, &block)) == TRAJLOG_OK) {
        assert_int_equal(block.first_row, seen);
        for (int64_t k = 0; k < block.row_count; k++, seen++) {
            const int64_t row = first + seen * stride;
            assert_int_equal(block.step[k], row);
            assert_true(block.time[k] == (double)row);
            for (int64_t i = 0; i < WIDTH; i++) {
                const float *narrow = block.fields[0];
                const double *values = block.fields[0];
                assert_true((wide ? values[k * WIDTH + i] : narrow[k * WIDTH + i]) == value_of(row, i));
            }
        }
    }
    if (status != end) fail_msg("%s: %s", trajlog_status_name(status), trajlog_reader_message(fixture->reader));
    return seen;
}

static void expect_every_row_once(struct fixture *fixture)
{
    const int64_t block_rows[] = {0, 1, 7, 16, 100, 5000};
    for (int threads = 1; threads <= 4; threads += 3) {
        for (size_t i = 0; i < sizeof block_rows / sizeof *block_rows; i++) {
            open_stream(fixture, threads, trajlog_all_rows(), 0, block_rows[i]);
            assert_int_equal(expect_rows(fixture, 0, 1, false, TRAJLOG_END), ROWS);
            trajlog_stream_close(&fixture->stream);
            open_stream(fixture, threads, trajlog_row_range(5, 995, 1), TRAJLOG_FLOAT64, block_rows[i]);
            assert_int_equal(expect_rows(fixture, 5, 1, true, TRAJLOG_END), 990);
            trajlog_stream_close(&fixture->stream);
        }
        open_stream(fixture, threads, trajlog_row_range(1, ROWS, 100), 0, 3);
        assert_int_equal(expect_rows(fixture, 1, 100, false, TRAJLOG_END), 10);
        trajlog_stream_close(&fixture->stream);
        trajlog_reader_close(&fixture->reader);
    }
}

static void every_row_comes_once(void **state)
{
    struct fixture *fixture = *state;
    expect_every_row_once(fixture);
    write_log(fixture, TRAJLOG_COMPRESSION_NONE);
    expect_every_row_once(fixture);
}

/* Of the chunk that begins with the row. */
static haddr_t address_of(const char *path, const char *name, hsize_t row, hsize_t *size)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), dataset = H5Dopen2(file, name, H5P_DEFAULT);
    hsize_t start[2] = {row, 0};
    haddr_t address;
    unsigned mask;
    assert_true(H5Dget_chunk_info_by_coord(dataset, start, &mask, &address, size) >= 0);
    H5Dclose(dataset), H5Fclose(file);
    return address;
}

static void damage_row(const struct fixture *fixture, hsize_t row)
{
    hsize_t size;
    unsigned char byte;
    haddr_t address = address_of(fixture->path, "run/x", row - row % CHUNK_ROWS, &size);
    int descriptor = open(fixture->path, O_RDWR);
    assert_int_equal(pread(descriptor, &byte, 1, (off_t)(address + size / 2)), 1);
    byte ^= 4;
    assert_int_equal(pwrite(descriptor, &byte, 1, (off_t)(address + size / 2)), 1);
    close(descriptor);
}

static void rows_before_the_damage_are_given(void **state)
{
    struct fixture *fixture = *state;
    damage_row(fixture, 500);
    for (int threads = 1; threads <= 3; threads += 2) {
        open_stream(fixture, threads, trajlog_all_rows(), 0, 1);
        assert_int_equal(expect_rows(fixture, 0, 1, false, TRAJLOG_INVALID_FILE), 496);
        assert_non_null(strstr(trajlog_reader_message(fixture->reader), "a chunk of rows 496 to 511: the checksum is"));
        assert_int_equal(expect_rows(fixture, 0, 1, false, TRAJLOG_INVALID_FILE), 0);
        trajlog_stream_close(&fixture->stream);
        trajlog_reader_close(&fixture->reader);
    }
}

#define SMALL_CHUNK 8192 /* rows, of steps and of small fields */
#define SMALL_ROWS  9000

static void write_small_rows(const struct fixture *fixture)
{
    trajlog_writer *log = NULL;
    trajlog_options options = trajlog_default_options();
    int64_t value;
    options.existing = TRAJLOG_REPLACE;
    assert_int_equal(trajlog_create(&log, fixture->path, &options), TRAJLOG_OK);
    trajlog_add_field(trajlog_add_group(log, "run", trajlog_every(1)), "x", TRAJLOG_INT64, TRAJLOG_SCALAR, &value,
                      NULL);
    for (value = 0; value < SMALL_ROWS; value++) assert_int_equal(trajlog_log(log, value, (double)value), TRAJLOG_OK);
    assert_int_equal(trajlog_close(&log), TRAJLOG_OK);
}

static haddr_t first_of_second_chunks(const char *path)
{
    const char *const names[] = {"run/x", "run/step", "run/time"};
    haddr_t first = HADDR_UNDEF;
    hsize_t size;
    for (int i = 0; i < 3; i++) {
        haddr_t address = address_of(path, names[i], SMALL_CHUNK, &size);
        if (address < first) first = address;
    }
    for (int i = 0; i < 3; i++) assert_true(address_of(path, names[i], 0, &size) + size <= first);
    return first;
}

/* Steps are read for later blocks too, but only where that is possible. */
static void rows_before_the_end_of_a_cut_file_are_given(void **state)
{
    const struct fixture *fixture = *state;
    trajlog_reader *reader = NULL;
    trajlog_stream *stream = NULL;
    trajlog_block block;
    write_small_rows(fixture);
    assert_int_equal(trajlog_open(&reader, fixture->path), TRAJLOG_OK);
    assert_int_equal(truncate(fixture->path, (off_t)first_of_second_chunks(fixture->path)), 0);
    assert_int_equal(trajlog_stream_open(&stream, reader, "run", trajlog_row_range(7950, 8400, 1), NULL, NULL, 0, 50),
                     TRAJLOG_OK);
    for (int64_t row = 7950; row + 50 <= SMALL_CHUNK; row += 50) {
        if (trajlog_stream_next(stream, &block) != TRAJLOG_OK) fail_msg("%s", trajlog_reader_message(reader));
        assert_int_equal(block.row_count, 50);
        for (int64_t k = 0; k < 50; k++) {
            assert_int_equal(block.step[k], row + k);
            assert_true(block.time[k] == (double)(row + k));
            assert_int_equal(((const int64_t *)block.fields[0])[k], row + k);
        }
    }
    assert_int_equal(trajlog_stream_next(stream, &block), TRAJLOG_INVALID_FILE);
    assert_non_null(strstr(trajlog_reader_message(reader), "the file ends before"));
    trajlog_stream_close(&stream);
    trajlog_reader_close(&reader);
}

/* Two streams and other reads take turns. */
static void streams_do_not_disturb_each_other(void **state)
{
    struct fixture *fixture = *state;
    trajlog_stream *other = NULL;
    trajlog_block block, other_block;
    float row[WIDTH];
    open_stream(fixture, 3, trajlog_all_rows(), 0, 10);
    const char *const fields[1] = {"x"};
    assert_int_equal(
        trajlog_stream_open(&other, fixture->reader, "run", trajlog_row_range(3, ROWS, 1), fields, NULL, 1, 9),
        TRAJLOG_OK);
    for (int64_t k = 0; k < 100; k++) {
        assert_int_equal(trajlog_stream_next(fixture->stream, &block), TRAJLOG_OK);
        assert_int_equal(trajlog_stream_next(other, &other_block), TRAJLOG_OK);
        assert_int_equal(trajlog_read(fixture->reader, "run", "x", trajlog_row(k * 10), 0, row, sizeof row, NULL),
                         TRAJLOG_OK);
        assert_memory_equal(block.fields[0], row, sizeof row);
        assert_true(((const float *)other_block.fields[0])[5] == value_of(3 + 9 * k, 5));
    }
    trajlog_stream_close(&other);
}

static void a_stream_may_be_left_at_any_time(void **state)
{
    struct fixture *fixture = *state;
    trajlog_block block;
    open_stream(fixture, 3, trajlog_all_rows(), 0, 1);
    assert_int_equal(trajlog_stream_next(fixture->stream, &block), TRAJLOG_OK);
    trajlog_stream_close(&fixture->stream);

    open_stream(fixture, 3, trajlog_all_rows(), 0, 1);
    assert_int_equal(trajlog_stream_next(fixture->stream, &block), TRAJLOG_OK);
    assert_int_equal(trajlog_refresh(fixture->reader), TRAJLOG_OK);
    assert_int_equal(trajlog_stream_next(fixture->stream, &block), TRAJLOG_INVALID_STATE);
    trajlog_stream_close(&fixture->stream);

    open_stream(fixture, 3, trajlog_all_rows(), 0, 1);
    assert_int_equal(trajlog_stream_next(fixture->stream, &block), TRAJLOG_OK);
    trajlog_reader_close(&fixture->reader);
    assert_int_equal(trajlog_stream_next(fixture->stream, &block), TRAJLOG_INVALID_STATE);
    assert_non_null(strstr(trajlog_reader_message(NULL), "reader was closed"));
    trajlog_stream_close(&fixture->stream);
}

/* The child has no threads that decode, and waits for none. */
static void a_forked_child_can_read(void **state)
{
    struct fixture *fixture = *state;
    float row[WIDTH];
    int status;
    open_stream(fixture, 3, trajlog_all_rows(), 0, 1);
    assert_int_equal(expect_rows(fixture, 0, 1, false, TRAJLOG_END), ROWS);
    trajlog_stream_close(&fixture->stream);
    trajlog_block block;
    open_stream(fixture, 3, trajlog_all_rows(), 0, 1);
    assert_int_equal(trajlog_stream_next(fixture->stream, &block), TRAJLOG_OK);
    pid_t child = fork_with_threads();
    if (child == 0) {
        alarm(60);
        for (int64_t k = 1; k < ROWS; k++)
            if (trajlog_stream_next(fixture->stream, &block) != TRAJLOG_OK ||
                ((const float *)block.fields[0])[11] != value_of(k, 11))
                _exit(2);
        bool good =
            trajlog_read(fixture->reader, "run", "x", trajlog_row(77), 0, row, sizeof row, NULL) == TRAJLOG_OK &&
            row[9] == value_of(77, 9);
        trajlog_reader_close(&fixture->reader);
        _exit(good ? 0 : 1);
    }
    assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void numbers_of_threads_are_checked(void **state)
{
    struct fixture *fixture = *state;
    for (int threads = -1; threads <= 65; threads += 66) {
        trajlog_reader_options options = {.struct_size = sizeof options, .decoder_threads = threads};
        assert_int_equal(trajlog_open_with(&fixture->reader, fixture->path, &options), TRAJLOG_INVALID_ARGUMENT);
        assert_non_null(strstr(trajlog_reader_message(fixture->reader), "decoder_threads"));
        trajlog_reader_close(&fixture->reader);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    TEST(every_row_comes_once),
    TEST(rows_before_the_damage_are_given),
    TEST(rows_before_the_end_of_a_cut_file_are_given),
    TEST(streams_do_not_disturb_each_other),
    TEST(a_stream_may_be_left_at_any_time),
    TEST(a_forked_child_can_read),
    TEST(numbers_of_threads_are_checked),
};

TEST_MAIN(tests)
