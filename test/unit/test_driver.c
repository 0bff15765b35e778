#include <hdf5.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash/record.h"
#include "harness.h"
#include "store/driver.h"
#include "store/front_page.h"
#include "store/journal.h"
#include "store/space.h"

#define DATASETS 12
#define WIDTH    500

static char directory[100], path[120];
static struct driver *driver;
static struct recorder recorder;
static struct driver_io io;
static hid_t file, datasets[DATASETS];
static int64_t chunk[8][WIDTH];

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_driver_XXXXXX");
    if (mkdtemp(directory) == NULL) return -1;
    snprintf(path, sizeof path, "%s/run.h5", directory);
    recorder = (struct recorder){0};
    io = recorder_io(&recorder);
    driver = NULL;
    return H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0 ? -1 : 0;
}

static bool beside_exists(const char *suffix)
{
    char *name = path_with_suffix(path, suffix);
    bool exists = access(name, F_OK) == 0;
    free(name);
    return exists;
}

static int remove_directory(void **state)
{
    (void)state;
    const char *suffixes[] = {"", ".new", ".first", ".journal"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char *name = path_with_suffix(path, suffixes[i]);
        unlink(name);
        free(name);
    }
    return rmdir(directory);
}

/* ---- a file of DATASETS datasets [rows, WIDTH], element j of row r of dataset d is 1000000 d + 1000 r + j ---- */

static void name_dataset(char name[20], int d)
{
    snprintf(name, 20, "d%02d", d);
}

static void make_dataset(int d)
{
    char name[20];
    hsize_t now[2] = {0, WIDTH}, most[2] = {H5S_UNLIMITED, H5S_UNLIMITED}, size[2] = {8, WIDTH};
    name_dataset(name, d);
    hid_t space = H5Screate_simple(2, now, most), list = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_chunk(list, 2, size) >= 0);
    hid_t dataset = H5Dcreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(dataset >= 0);
    assert_true(H5Dclose(dataset) >= 0 && H5Pclose(list) >= 0 && H5Sclose(space) >= 0);
}

static void open_datasets(void)
{
    char name[20];
    for (int d = 0; d < DATASETS; d++) {
        name_dataset(name, d);
        datasets[d] = H5Dopen2(file, name, H5P_DEFAULT);
        assert_true(datasets[d] >= 0);
    }
}

static hid_t access_list(void)
{
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    assert_int_equal(driver_use(driver, list, NULL), TRAJLOG_OK);
    return list;
}

static void create_file(void)
{
    assert_int_equal(driver_create(&driver, path, &io, NULL), TRAJLOG_OK);
    hid_t list = access_list();
    file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, list);
    assert_true(file >= 0 && H5Pclose(list) >= 0 && H5Fflush(file, H5F_SCOPE_LOCAL) >= 0);
}

static void define_file(void)
{
    assert_int_equal(driver_show(driver, false, NULL), TRAJLOG_OK);
    driver_begin_headers(driver);
    for (int d = 0; d < DATASETS; d++) make_dataset(d);
    assert_true(H5Fstart_swmr_write(file) >= 0);
    open_datasets();
    assert_true(H5Fflush(file, H5F_SCOPE_LOCAL) >= 0);
}

static void begin_file(enum commit_level level)
{
    create_file();
    define_file();
    assert_int_equal(driver_publish(driver, level, NULL), TRAJLOG_OK);
}

/* Writes the chunk that holds the rows up to `rows`, and announces them. */
static void write_rows(hsize_t rows)
{
    for (int d = 0; d < DATASETS; d++) {
        hsize_t size[2] = {rows, WIDTH}, first[2] = {(rows - 1) / 8 * 8, 0};
        for (hsize_t r = 0; r < 8; r++)
            for (hsize_t j = 0; j < WIDTH; j++)
                chunk[r][j] = first[0] + r < rows ? (int64_t)(1000000 * (hsize_t)d + 1000 * (first[0] + r) + j) : 0;
        assert_true(H5Dset_extent(datasets[d], size) >= 0);
        assert_true(H5Dwrite_chunk(datasets[d], H5P_DEFAULT, 0, first, sizeof chunk, chunk) >= 0);
    }
    assert_true(H5Fflush(file, H5F_SCOPE_LOCAL) >= 0);
}

static void end_file(bool cleanly)
{
    if (cleanly) (void)driver_finish(driver, COMMIT_FLUSHED, NULL);
    for (int d = 0; d < DATASETS; d++) H5Dclose(datasets[d]);
    assert_true(H5Fclose(file) >= 0);
}

/* The rows that all datasets have; checks their content. */
static hsize_t rows_with(hid_t list)
{
    hsize_t rows = HSIZE_UNDEF;
    hid_t reading = H5Fopen(path, H5F_ACC_RDONLY, list);
    assert_true(reading >= 0);
    for (int d = 0; d < DATASETS; d++) {
        char name[20];
        hsize_t size[2];
        name_dataset(name, d);
        hid_t dataset = H5Dopen2(reading, name, H5P_DEFAULT), space = H5Dget_space(dataset);
        assert_int_equal(H5Sget_simple_extent_dims(space, size, NULL), 2);
        if (rows == HSIZE_UNDEF) rows = size[0];
        assert_int_equal(size[0], rows);
        int64_t *data = calloc(rows + 1, sizeof chunk[0]);
        assert_true(H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
        for (hsize_t i = 0; i < rows * WIDTH; i++)
            assert_int_equal(data[i], 1000000 * (hsize_t)d + 1000 * (i / WIDTH) + i % WIDTH);
        free(data);
        assert_true(H5Dclose(dataset) >= 0 && H5Sclose(space) >= 0);
    }
    assert_true(H5Fclose(reading) >= 0);
    return rows;
}

/* With libhdf5's own driver, as anybody would. */
static hsize_t rows_on_disk(void)
{
    return rows_with(H5P_DEFAULT);
}

static struct front_page read_front(off_t *size)
{
    unsigned char bytes[FRONT_PAGE_WRITTEN];
    struct front_page front;
    FILE *stream = fopen(path, "rb");
    assert_int_equal(fread(bytes, 1, sizeof bytes, stream), sizeof bytes);
    assert_true(front_page_decode(&front, bytes));
    fseek(stream, 0, SEEK_END);
    *size = ftell(stream);
    fclose(stream);
    return front;
}

/* ---- tests ---- */

static void no_small_block_crosses_a_page_and_none_overlap(void **state)
{
    (void)state;
    struct space space = {0};
    uint64_t previous_end = 0, random = 1;
    assert_int_equal(space_allocate(&space, SPACE_FRONT, 48, 0), 0);
    static unsigned char used[64 << 20];
    for (int i = 0; i < 20000 && space.end < (60 << 20); i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        enum space_kind kind = (enum space_kind)(1 + (random >> 60) % 3);
        uint64_t size = 1 + (random >> 33) % ((random >> 50) % 8 == 0 ? 9000 : 2100);
        if ((random >> 40) % 4 == 0) size = UINT64_C(512) << (random >> 45) % 4;
        if ((random >> 20) % 500 == 0) previous_end = space_begin_pages(&space);
        uint64_t address = space_allocate(&space, kind, size, 0);
        assert_true(address != SPACE_NONE && address >= SPACE_PAGE && address + size <= space.end);
        if (kind != SPACE_RAW && size <= SPACE_PAGE)
            assert_int_equal(address / SPACE_PAGE, (address + size - 1) / SPACE_PAGE);
        assert_true(address >= previous_end);
        for (uint64_t byte = address; byte < address + size; byte++) assert_int_equal(used[byte]++, 0);
    }
    assert_int_equal(space_allocate(&space, SPACE_RAW, UINT64_C(1) << 63, 0), SPACE_NONE);
    space_free(&space);
}

static void retired_blocks_wait_for_commits_seconds_and_a_base(void **state)
{
    (void)state;
    struct space space = {.end = 4096};
    uint64_t address = space_allocate(&space, SPACE_RAW, 70000, 0);
    space_retire(&space, address, 70000, 10);
    assert_true(space_allocate(&space, SPACE_RAW, 70000, 20) != address); /* no commit yet */
    space.commits = 3;
    assert_true(space_allocate(&space, SPACE_RAW, 70000, 9) != address);
    assert_true(space_allocate(&space, SPACE_RAW, 69999, 20) != address);
    space.has_base = true;
    assert_true(space_allocate(&space, SPACE_RAW, 70000, 20) != address);
    space.bases = 1;
    assert_int_equal(space_allocate(&space, SPACE_RAW, 70000, 20), address);
    assert_true(space_allocate(&space, SPACE_RAW, 70000, 20) != address);
    space_free(&space);
}

static void a_commit_is_seen_at_once_and_only_then(void **state)
{
    (void)state;
    begin_file(COMMIT_FLUSHED);
    for (hsize_t rows = 1; rows <= 40; rows++) {
        write_rows(rows);
        assert_int_equal(rows_on_disk(), rows - 1);
        assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
        assert_int_equal(rows_on_disk(), rows);
        assert_int_equal(driver_get_counts(driver).header_writes_last, 1);
    }
    assert_int_equal(driver_get_counts(driver).straddles, 0);
    end_file(true);
    assert_int_equal(driver_error(driver, NULL), TRAJLOG_OK);
    driver_destroy(driver);
    assert_int_equal(rows_on_disk(), 40);
}

static void the_file_is_ahead_of_its_end_until_it_is_closed(void **state)
{
    (void)state;
    off_t size, size_before = 0;
    begin_file(COMMIT_FLUSHED);
    for (hsize_t rows = 8; rows <= 400; rows += 8) {
        write_rows(rows);
        assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
        struct front_page front = read_front(&size);
        assert_int_equal(front.superblock[11], 0);
        assert_true(front.true_end <= front.announced_end && front.announced_end < (uint64_t)size);
        /* A reader that saw the size before the commit, and sees the end behind it, is not at a loss. */
        assert_true(front.announced_end <= (uint64_t)size_before || rows <= 16);
        /* Nor is one that goes on to read what the next commits add. */
        assert_true(front.announced_end - front.true_end > UINT64_C(256) << 10);
        size_before = size;
    }
    end_file(true);
    struct front_page front = read_front(&size);
    assert_int_equal(front.true_end, size);
    assert_int_equal(front.announced_end, size);
    assert_int_equal(driver_get_counts(driver).end, size);
    assert_int_equal(front.superblock[11], 0);
    driver_destroy(driver);
    assert_false(beside_exists(".new") || beside_exists(".first") || beside_exists(".journal"));
}

/* ---- blocks of the disk that are taken ahead ---- */

static struct {
    int calls, refusal; /* an errno; 0: reserves */
    uint64_t end;
    bool went_back, in_small_file;
} reserved;

static int note_reserve(void *context, int descriptor, off_t offset, off_t size)
{
    struct stat status;
    reserved.calls++;
    if ((uint64_t)offset < reserved.end) reserved.went_back = true;
    if (offset < 10 << 20) reserved.in_small_file = true;
    if (reserved.refusal != 0) {
        errno = reserved.refusal;
        return -1;
    }
    reserved.end = (uint64_t)offset + (uint64_t)size;
    assert_int_equal(fstat(descriptor, &status), 0);
    off_t length = status.st_size;
    errno = 0;
    int result = driver_io_system.reserve(context, descriptor, offset, size);
    assert_int_equal(fstat(descriptor, &status), 0);
    assert_int_equal(status.st_size, length);
    return errno == ENOTSUP || errno == ENOSPC ? 0 : result; /* no gain on this file system, or too little is free */
}

/* 38 MB. Returns the size of the file. */
static off_t write_a_large_file(int refusal)
{
    off_t size;
    memset(&reserved, 0, sizeof reserved);
    reserved.refusal = refusal;
    io.reserve = note_reserve;
    begin_file(COMMIT_FLUSHED);
    for (hsize_t rows = 8; rows <= 800; rows += 8) {
        write_rows(rows);
        if (rows % 80 == 0) assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
        uint64_t end = driver_get_counts(driver).end;
        if (reserved.calls > 0 && refusal == 0) assert_true(reserved.end >= end && reserved.end <= end + (9 << 20));
    }
    end_file(true);
    assert_int_equal(driver_error(driver, NULL), TRAJLOG_OK);
    assert_int_equal(read_front(&size).true_end, driver_get_counts(driver).end);
    driver_destroy(driver);
    assert_int_equal(rows_on_disk(), 800);
    return size;
}

static void a_large_file_has_blocks_ahead_of_it_until_it_is_closed(void **state)
{
    (void)state;
    struct stat status;
    off_t size = write_a_large_file(0);
    assert_in_range(reserved.calls, 1, 5);
    assert_false(reserved.went_back || reserved.in_small_file);
    assert_int_equal(stat(path, &status), 0);
    assert_true(status.st_blocks * 512 <= size + (1 << 20));
}

static void where_no_blocks_can_be_taken_ahead_nothing_else_changes(void **state)
{
    (void)state;
    write_a_large_file(ENOSPC);
    assert_int_equal(reserved.calls, 1); /* does not ask again */
    assert_int_equal(unlink(path), 0);
    write_a_large_file(EINTR);
    assert_true(reserved.calls > 1);
    assert_int_equal(unlink(path), 0);
    write_a_large_file(0);
}

static void closing_without_finishing_keeps_the_last_commit(void **state)
{
    (void)state;
    begin_file(COMMIT_FLUSHED);
    write_rows(5);
    assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
    write_rows(7);
    end_file(false);
    driver_destroy(driver);
    assert_int_equal(rows_on_disk(), 5);
}

static void a_file_that_exists_is_not_touched(void **state)
{
    (void)state;
    char text[10] = "";
    FILE *stream = fopen(path, "w");
    fputs("precious", stream);
    fclose(stream);
    create_file();
    assert_int_equal(driver_show(driver, false, NULL), TRAJLOG_FILE_EXISTS);
    assert_true(H5Fclose(file) >= 0);
    driver_destroy(driver);
    stream = fopen(path, "r");
    assert_non_null(fgets(text, sizeof text, stream));
    fclose(stream);
    assert_string_equal(text, "precious");
    assert_false(beside_exists(".new") || beside_exists(".first"));
}

static void calls_come_in_their_order(void **state)
{
    (void)state;
    create_file();
    assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_INVALID_STATE);
    define_file();
    assert_int_equal(driver_publish(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
    assert_int_equal(driver_publish(driver, COMMIT_FLUSHED, NULL), TRAJLOG_INVALID_STATE);
    assert_int_equal(driver_show(driver, true, NULL), TRAJLOG_INVALID_STATE);
    end_file(true);
    driver_destroy(driver);
    assert_int_equal(driver_create(&driver, "/tmp/no/such/directory/x.h5", NULL, NULL), TRAJLOG_NOT_FOUND);
    assert_int_equal(driver_open(&driver, "/tmp/no/such/directory/x.h5", NULL, NULL), TRAJLOG_NOT_FOUND);
    assert_null(driver);
    driver_destroy(driver);
}

static void the_first_failure_sticks_and_names_itself(void **state)
{
    (void)state;
    struct error error = {0}, again = {0};
    begin_file(COMMIT_FLUSHED);
    write_rows(5);
    assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
    recorder.mode = FAULT_ONCE, recorder.at = recorder.count + 1, recorder.number = ENOSPC;
    write_rows(9); /* libhdf5 is led on */
    assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, &error), TRAJLOG_IO_ERROR);
    assert_int_equal(error.number, ENOSPC);
    assert_non_null(strstr(error.message, "run.h5"));
    write_rows(20);
    assert_int_equal(driver_commit(driver, COMMIT_SYNCED, &again), TRAJLOG_IO_ERROR);
    assert_string_equal(error.message, again.message);
    assert_int_equal(driver_finish(driver, COMMIT_FLUSHED, NULL), TRAJLOG_IO_ERROR);
    end_file(true);
    driver_destroy(driver);
    assert_int_equal(rows_on_disk(), 5);
}

static void after_a_failed_sync_nothing_is_synced(void **state)
{
    (void)state;
    struct error error = {0};
    begin_file(COMMIT_SYNCED);
    write_rows(5);
    assert_int_equal(driver_commit(driver, COMMIT_SYNCED, NULL), TRAJLOG_OK);
    recorder.no_sync = true, recorder.number = EIO;
    assert_int_equal(driver_commit(driver, COMMIT_SYNCED, &error), TRAJLOG_IO_ERROR);
    assert_int_equal(error.number, EIO);
    recorder.no_sync = false; /* a second try would succeed, and mean nothing */
    assert_int_equal(driver_commit(driver, COMMIT_SYNCED, NULL), TRAJLOG_IO_ERROR);
    assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_IO_ERROR);
    end_file(true);
    driver_destroy(driver);
    assert_int_equal(rows_on_disk(), 5);
}

static void a_limit_on_file_sizes_is_an_error_and_no_signal(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct error error = {0};
        struct rlimit limit = {.rlim_cur = 1000000, .rlim_max = RLIM_INFINITY};
        if (signal(SIGXFSZ, SIG_DFL) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(1);
        begin_file(COMMIT_FLUSHED);
        hsize_t rows = 0;
        trajlog_status result;
        do {
            write_rows(++rows);
            result = driver_commit(driver, COMMIT_FLUSHED, &error);
        } while (result == TRAJLOG_OK && rows < 1000);
        end_file(true);
        driver_destroy(driver);
        /* The limit is used up to some pages; and what was committed is there. */
        bool right = result == TRAJLOG_IO_ERROR && error.number == EFBIG && rows_on_disk() == rows - 1 && rows >= 17;
        _exit(right ? 0 : 2);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_forked_child_writes_nothing(void **state)
{
    (void)state;
    int status;
    begin_file(COMMIT_FLUSHED);
    write_rows(5);
    assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
    write_rows(6);
    pid_t child = fork();
    if (child == 0) {
        write_rows(9);
        bool refused = driver_commit(driver, COMMIT_FLUSHED, NULL) == TRAJLOG_INVALID_STATE;
        end_file(true);
        driver_destroy(driver);
        exit(refused ? 0 : 1); /* libhdf5's own exit handlers run too */
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(rows_on_disk(), 5);
    assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
    assert_int_equal(rows_on_disk(), 6);
    write_rows(8);
    write_rows(11);
    assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
    end_file(true);
    driver_destroy(driver);
    assert_int_equal(rows_on_disk(), 11);
}

static void resume_file(hsize_t rows)
{
    assert_int_equal(driver_open(&driver, path, &io, NULL), TRAJLOG_OK);
    hid_t list = access_list();
    file = H5Fopen(path, H5F_ACC_RDWR, list);
    assert_true(file >= 0 && H5Pclose(list) >= 0);
    assert_true(H5Fstart_swmr_write(file) >= 0);
    open_datasets();
    for (int d = 0; d < DATASETS; d++) {
        hsize_t size[2] = {rows, WIDTH};
        assert_true(H5Dset_extent(datasets[d], size) >= 0);
    }
    assert_true(H5Fflush(file, H5F_SCOPE_LOCAL) >= 0);
}

static void a_resume_is_nothing_until_it_is_published_and_leaves_no_holes(void **state)
{
    (void)state;
    begin_file(COMMIT_FLUSHED);
    write_rows(40);
    for (hsize_t rows = 8; rows <= 40; rows += 8) write_rows(rows);
    assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
    haddr_t end = driver_get_counts(driver).end;
    end_file(false);
    driver_destroy(driver);
    for (int i = 0; i < 10; i++) {
        hsize_t kept = 39 - (hsize_t)i;
        resume_file(kept);
        assert_int_equal(rows_on_disk(), kept + 1);
        assert_int_equal(driver_publish(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
        assert_int_equal(rows_on_disk(), kept);
        assert_int_equal(driver_get_counts(driver).straddles, 0);
        end_file(false);
        driver_destroy(driver);
    }
    resume_file(10);
    assert_int_equal(driver_publish(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
    /* New index nodes, but neither the pre-extended tail nor rows. */
    assert_true(driver_get_counts(driver).end < end + 12 * DATASETS * 4096);
    end_file(true);
    driver_destroy(driver);
    assert_int_equal(rows_on_disk(), 10);
    assert_false(beside_exists(".journal"));
}

/* Makes the journal one of another run of the machine. */
static void pretend_restart(void)
{
    struct front_page front;
    off_t size;
    struct journal_blocks blocks;
    enum journal_finding finding;
    struct journal journal = {
        .io = &driver_io_system, .path = path_with_suffix(path, JOURNAL_SUFFIX), .descriptor = -1};
    struct journal_identity identity = {.boot_id = "another boot"};
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(journal_inspect(&driver_io_system, path, descriptor, true, &finding, &blocks, NULL), TRAJLOG_OK);
    assert_int_equal(finding, JOURNAL_NEEDED);
    close(descriptor);
    front = read_front(&size);
    memcpy(identity.file_id, front.file_id, sizeof identity.file_id);
    identity.sequence = front.sequence;
    assert_int_equal(journal_write(&journal, JOURNAL_BASE, &identity, &blocks), 0);
    journal_blocks_free(&blocks);
    journal_close(&journal);
}

static void after_a_power_loss_readers_see_the_synced_rows_and_change_nothing(void **state)
{
    (void)state;
    begin_file(COMMIT_SYNCED);
    write_rows(5);
    assert_int_equal(driver_commit(driver, COMMIT_SYNCED, NULL), TRAJLOG_OK);
    write_rows(6);
    assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
    end_file(false);
    driver_destroy(driver);
    for (int restarted = 0; restarted < 2; restarted++) {
        if (restarted) pretend_restart();
        for (int alive = 0; alive < 2; alive++) {
            assert_int_equal(driver_open_for_reading(&driver, path, alive, NULL, NULL), TRAJLOG_OK);
            hid_t list = access_list();
            assert_int_equal(rows_with(list), restarted && !alive ? 5 : 6);
            H5Pclose(list);
            driver_destroy(driver);
        }
    }
    assert_true(beside_exists(".journal"));
    assert_int_equal(rows_on_disk(), 6);
    resume_file(4);
    assert_int_equal(rows_on_disk(), 5);
    assert_int_equal(driver_publish(driver, COMMIT_SYNCED, NULL), TRAJLOG_OK);
    end_file(true);
    driver_destroy(driver);
    assert_int_equal(rows_on_disk(), 4);
}

/* The end moves, and the superblock is written by libhdf5 itself. */
static void change_with_stock_driver(void)
{
    hid_t other = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(other >= 0);
    hid_t group = H5Gcreate2(other, "added", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(group >= 0 && H5Gclose(group) >= 0 && H5Fclose(other) >= 0);
}

static void a_killed_file_that_another_program_has_changed_can_be_resumed(void **state)
{
    (void)state;
    begin_file(COMMIT_FLUSHED);
    for (hsize_t rows = 8; rows <= 16; rows += 8) write_rows(rows);
    assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
    end_file(false);
    driver_destroy(driver);
    change_with_stock_driver();
    resume_file(12);
    assert_int_equal(driver_publish(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
    write_rows(13);
    assert_int_equal(driver_commit(driver, COMMIT_FLUSHED, NULL), TRAJLOG_OK);
    end_file(true);
    driver_destroy(driver);
    assert_int_equal(rows_on_disk(), 13);
    file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(H5Lexists(file, "added", H5P_DEFAULT) > 0);
    assert_true(H5Fclose(file) >= 0);
}

static void a_file_of_another_writer_is_read_and_not_continued(void **state)
{
    (void)state;
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    assert_true(H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0);
    file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, list);
    for (int d = 0; d < DATASETS; d++) make_dataset(d);
    open_datasets();
    write_rows(8);
    end_file(false);
    H5Pclose(list);
    assert_int_equal(driver_open(&driver, path, &io, NULL), TRAJLOG_INVALID_FILE);
    assert_int_equal(driver_open_for_reading(&driver, path, false, NULL, NULL), TRAJLOG_OK);
    list = access_list();
    assert_int_equal(rows_with(list), 8);
    H5Pclose(list);
    driver_destroy(driver);
}

static void what_is_no_superblock_is_refused(void **state)
{
    (void)state;
    const char *texts[] = {"", "not an HDF5 file at all, but a text", "\x89HDF\r\n\x1a\n\0"};
    for (size_t i = 0; i < 3; i++) {
        FILE *stream = fopen(path, "w");
        fputs(texts[i], stream);
        fclose(stream);
        assert_int_equal(driver_open(&driver, path, NULL, NULL), TRAJLOG_INVALID_FILE);
        assert_int_equal(driver_open_for_reading(&driver, path, false, NULL, NULL), TRAJLOG_INVALID_FILE);
    }
}

/* ---- pieces ---- */

#define PIECES     300
#define PIECE_SIZE 100

/* A disk that takes few bytes at a time, and has room for so many. */
struct narrow {
    unsigned char bytes[PIECES * PIECE_SIZE];
    size_t at_a_time, room, calls;
};

static ssize_t narrow_write(void *context, int descriptor, const void *data, size_t size, off_t offset)
{
    struct narrow *narrow = context;
    (void)descriptor;
    size_t left = narrow->room > (size_t)offset ? narrow->room - (size_t)offset : 0;
    if (size > narrow->at_a_time) size = narrow->at_a_time;
    if (size > left) size = left;
    if (size == 0) errno = ENOSPC;
    memcpy(narrow->bytes + offset, data, size);
    return size > 0 ? (ssize_t)size : -1;
}

static ssize_t narrow_write_pieces(void *context, int descriptor, const struct iovec *pieces, int count, off_t offset)
{
    struct narrow *narrow = context;
    size_t at_a_time = narrow->at_a_time, done = 0;
    if (++narrow->calls % 3 == 0) errno = EINTR;
    for (int i = 0; i < count && narrow->calls % 3 != 0 && done < at_a_time; i++) {
        narrow->at_a_time = at_a_time - done;
        ssize_t part = narrow_write(context, descriptor, pieces[i].iov_base, pieces[i].iov_len, offset + (off_t)done);
        if (part < 0) break;
        done += (size_t)part;
    }
    narrow->at_a_time = at_a_time;
    return done > 0 ? (ssize_t)done : -1;
}

static void pieces_are_written_whole(void **state)
{
    (void)state;
    static unsigned char data[PIECES * PIECE_SIZE];
    const void *pieces[PIECES];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 7 + i / 251);
    for (size_t i = 0; i < PIECES; i++) pieces[i] = data + i * PIECE_SIZE;
    const size_t widths[] = {1, 99, 100, 101, 250, 1000, 25600, 1000000};
    for (size_t i = 0; i < 2 * sizeof widths / sizeof *widths; i++) {
        struct narrow narrow = {.at_a_time = widths[i / 2], .room = sizeof data};
        const struct driver_io narrow_io = {
            .context = &narrow, .write = narrow_write, .write_pieces = i % 2 == 0 ? narrow_write_pieces : NULL};
        assert_int_equal(io_write_pieces(&narrow_io, 0, pieces, PIECES, PIECE_SIZE, 0), 0);
        assert_memory_equal(narrow.bytes, data, sizeof data);
        narrow.room = 12345;
        assert_int_equal(io_write_pieces(&narrow_io, 0, pieces, PIECES, PIECE_SIZE, 0), ENOSPC);
    }
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_small_block_crosses_a_page_and_none_overlap),
    cmocka_unit_test(retired_blocks_wait_for_commits_seconds_and_a_base),
    cmocka_unit_test(pieces_are_written_whole),
    FILE_TEST(a_commit_is_seen_at_once_and_only_then),
    FILE_TEST(the_file_is_ahead_of_its_end_until_it_is_closed),
    FILE_TEST(a_large_file_has_blocks_ahead_of_it_until_it_is_closed),
    FILE_TEST(where_no_blocks_can_be_taken_ahead_nothing_else_changes),
    FILE_TEST(closing_without_finishing_keeps_the_last_commit),
    FILE_TEST(a_file_that_exists_is_not_touched),
    FILE_TEST(calls_come_in_their_order),
    FILE_TEST(the_first_failure_sticks_and_names_itself),
    FILE_TEST(after_a_failed_sync_nothing_is_synced),
    FILE_TEST(a_limit_on_file_sizes_is_an_error_and_no_signal),
    FILE_TEST(a_forked_child_writes_nothing),
    FILE_TEST(a_resume_is_nothing_until_it_is_published_and_leaves_no_holes),
    FILE_TEST(after_a_power_loss_readers_see_the_synced_rows_and_change_nothing),
    FILE_TEST(a_killed_file_that_another_program_has_changed_can_be_resumed),
    FILE_TEST(a_file_of_another_writer_is_read_and_not_continued),
    FILE_TEST(what_is_no_superblock_is_refused),
};

TEST_MAIN(tests)
