/* Disks that fail, at each operation, with each errno, once or from then on, and memory that is short at each allocation
 * of ours: under a new log and under one that is taken up again. Whatever happens, the host goes on: every call returns, the first error sticks and says why, the file stays
 * at its last commit, nothing is left open, and where the disk works again a resume makes the run whole. */
#include <hdf5.h>
#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash/record.h"
#include "harness.h"
#include "hdf5_ids.h"
#include "store/driver.h"
#include "store/journal.h"
#include "store/ownership.h"
#include "store/store.h"
#include "trajlog.h"

#define ATOMS 20
#define STEPS 7 /* of a whole run */

/* ---------------------------------------------------------------------------------------------------------------------
 * The disk
 * ------------------------------------------------------------------------------------------------------------------ */

static const char *const suffixes[] = {"", ".journal", ".new", ".first", ".lock"};
#define SUFFIX_COUNT (sizeof suffixes / sizeof *suffixes)

static char directory[64], path[96];
static struct recorder recorder;
static struct driver_io disk;
static int (*real_lock)(int descriptor);

static int lock_or_fail(int descriptor)
{
    return recorder_fails(&recorder, "lock") ? -1 : real_lock(descriptor);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The memory: the linker puts these in the place of what our objects call
 * ------------------------------------------------------------------------------------------------------------------ */

static struct recorder memory;
static atomic_long allocated; /* blocks, while nothing else than the library allocates */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
char *__real_realpath(const char *name, char *resolved);

/* Readers and logs may have threads. */
static bool is_short(void)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&one_at_a_time);
    bool fails = memory.mode != FAULT_NONE && recorder_fails(&memory, "allocation");
    pthread_mutex_unlock(&one_at_a_time);
    return fails;
}

static void *count_block(void *block)
{
    allocated += block != NULL;
    return block;
}

void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return is_short() ? NULL : count_block(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return is_short() ? NULL : count_block(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
    if (is_short()) return NULL;
    allocated -= old != NULL;
    return count_block(__real_realloc(old, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return is_short() ? NULL : count_block(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *block);
void __wrap_free(void *block)
{
    allocated -= block != NULL;
    __real_free(block);
}

char *__wrap_strndup(const char *text, size_t most);
char *__wrap_strndup(const char *text, size_t most)
{
    size_t length = strnlen(text, most);
    char *copy = __wrap_malloc(length + 1);
    if (copy == NULL) return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, SIZE_MAX);
}

__attribute__((format(printf, 2, 3))) int __wrap_asprintf(char **text, const char *format, ...);
int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    *text = length < 0 ? NULL : __wrap_malloc((size_t)length + 1);
    if (*text == NULL) return -1;
    va_start(arguments, format);
    vsnprintf(*text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return length;
}

char *__wrap_realpath(const char *name, char *resolved);
char *__wrap_realpath(const char *name, char *resolved)
{
    return is_short() ? NULL : count_block(__real_realpath(name, resolved));
}

/* For messages: which operation fails, with what. */
static struct {
    long k;
    int number;
} doing;

static int make_disk(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_faults_XXXXXX");
    if (mkdtemp(directory) == NULL) return -1;
    snprintf(path, sizeof path, "%s/run.h5", directory);
    recorder = memory = (struct recorder){.mode = FAULT_NONE};
    disk = recorder_io(&recorder);
    store_io = &disk;
    real_lock = ownership_lock_call;
    ownership_lock_call = lock_or_fail;
    return 0;
}

static void name_of(size_t suffix, char name[120])
{
    snprintf(name, 120, "%s%s", path, suffixes[suffix]);
}

static void remove_files(void)
{
    char name[120];
    for (size_t i = 0; i < SUFFIX_COUNT; i++) {
        name_of(i, name);
        unlink(name);
    }
}

static int remove_disk(void **state)
{
    (void)state;
    store_io = NULL;
    ownership_lock_call = real_lock;
    printf("last: operation %ld, errno %d\n", doing.k, doing.number);
    remove_files();
    return rmdir(directory);
}

/* ENOMEM: not the disk, but the memory. */
static void let_fail(enum fault_mode mode, int number, long at)
{
    struct recorder *failing = number == ENOMEM ? &memory : &recorder;
    recorder = memory = (struct recorder){.mode = FAULT_NONE};
    *failing = (struct recorder){.mode = mode, .number = number, .at = at};
}

static void let_work(void)
{
    recorder.mode = memory.mode = FAULT_NONE;
}

/* A file and its journal, as a run left them; holes stay holes. */
struct image {
    size_t size[2];
    unsigned char *bytes[2];
};

static struct image take_image(void)
{
    struct image image = {{0, 0}, {NULL, NULL}};
    for (size_t i = 0; i < 2; i++) {
        char name[120];
        struct stat status;
        name_of(i, name);
        int file = open(name, O_RDONLY | O_CLOEXEC);
        if (file < 0) continue;
        assert_int_equal(fstat(file, &status), 0);
        image.size[i] = (size_t)status.st_size;
        image.bytes[i] = malloc(image.size[i] + 1);
        assert_int_equal(pread(file, image.bytes[i], image.size[i], 0), image.size[i]);
        close(file);
    }
    return image;
}

static void put_image(const struct image *image)
{
    static const unsigned char hole[4096];
    remove_files();
    for (size_t i = 0; i < 2 && image->bytes[i] != NULL; i++) {
        char name[120];
        name_of(i, name);
        int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        assert_int_equal(ftruncate(file, (off_t)image->size[i]), 0);
        for (size_t place = 0; place < image->size[i]; place += sizeof hole) {
            size_t rest = image->size[i] - place, size = rest < sizeof hole ? rest : sizeof hole;
            if (memcmp(image->bytes[i] + place, hole, size) != 0)
                assert_int_equal(pwrite(file, image->bytes[i] + place, size, (off_t)place), size);
        }
        close(file);
    }
}

static void free_image(struct image *image)
{
    free(image->bytes[0]);
    free(image->bytes[1]);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The run: of step s, element j of a field is 1000 s + j.
 * ------------------------------------------------------------------------------------------------------------------ */

static double values[ATOMS];

static void move_to(int64_t step)
{
    for (int j = 0; j < ATOMS; j++) values[j] = 1000.0 * (double)step + j;
}

/* What the host was told. */
struct told {
    trajlog_status status; /* of the first call that failed */
    int number;
    char message[1024];
    int64_t safe; /* up to this step all was reported safe; -1: nothing */
};

/* Errors stick: the first one is what every later call returns. */
static void tell(struct told *told, const trajlog_writer *log, trajlog_status status, int64_t safe)
{
    if (told->status != TRAJLOG_OK) {
        if (status != told->status)
            fail_msg("%s, and then %s: %s", told->message, trajlog_status_name(status), trajlog_message(log));
    } else if (status != TRAJLOG_OK) {
        told->status = status;
        told->number = trajlog_error_number(log);
        snprintf(told->message, sizeof told->message, "%s", trajlog_message(log));
    } else if (safe > told->safe) {
        told->safe = safe;
    }
}

static void declare(trajlog_writer *log)
{
    const trajlog_storage packed = {
        .struct_size = sizeof packed, .chunk_rows = 2, .compression = TRAJLOG_COMPRESSION_DEFLATE, .checksum = 1};
    trajlog_group *once = trajlog_add_group(log, "once", trajlog_once());
    trajlog_add_field(once, "mass", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(ATOMS), values, "u");
    trajlog_group *all = trajlog_add_group(log, "all", trajlog_every(1));
    trajlog_field *field = trajlog_add_field(all, "packed", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(ATOMS), values, "nm");
    (void)trajlog_set_storage(field, &packed);
    trajlog_add_field(all, "plain", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, values, NULL);
    trajlog_group *even = trajlog_add_group(log, "even", trajlog_every(2));
    trajlog_add_field(even, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(ATOMS), values, NULL);
    trajlog_group *checkpoint = trajlog_add_checkpoint(log);
    trajlog_add_field(checkpoint, "x", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(ATOMS), values, NULL);
}

static trajlog_options options_of(bool threaded)
{
    trajlog_options options = trajlog_default_options();
    options.synchronous = !threaded;
    options.flush_seconds = 1e6; /* only when asked: every run makes the same calls */
    options.sync_seconds = -1;
    return options;
}

/* Steps `first` to `end` - 1, with every kind of commit. */
static void log_steps(trajlog_writer *log, int64_t first, int64_t end, struct told *told)
{
    for (int64_t step = first; step < end; step++) {
        move_to(step);
        tell(told, log, trajlog_log(log, step, 0.5 * (double)step), -1);
        if (step == 1 || step == 5) tell(told, log, trajlog_flush(log), step);
        if (step == 2) tell(told, log, trajlog_sync(log), step);
        if (step == 4) tell(told, log, trajlog_checkpoint(log, step, 0.5 * (double)step), step);
    }
}

static struct told no_news(void)
{
    return (struct told){.status = TRAJLOG_OK, .safe = -1};
}

static struct told run_to_end(trajlog_writer *log, trajlog_status begun, int64_t first, int64_t end)
{
    struct told told = no_news();
    tell(&told, log, begun, -1);
    if (log == NULL) return told;
    declare(log);
    log_steps(log, first, end, &told);
    trajlog_status closed = trajlog_close(&log);
    tell(&told, NULL, closed, end - 1);
    return told;
}

struct plan {
    bool threaded;
    bool with_jansson;  /* what it leaves behind where memory is short is its own business */
    bool resumes;       /* else it is a new log */
    int64_t restart;    /* the step */
    struct image image; /* what is resumed */
};

static struct told create_and_run(bool threaded, int64_t end)
{
    trajlog_writer *log = NULL;
    const trajlog_options options = options_of(threaded);
    trajlog_status status = trajlog_create(&log, path, &options);
    return run_to_end(log, status, 0, end);
}

static struct told resume_and_run(bool threaded, int64_t restart, int64_t end)
{
    trajlog_writer *log = NULL;
    const trajlog_options options = options_of(threaded);
    trajlog_status status = trajlog_resume(&log, path, restart, &options);
    return run_to_end(log, status, restart == TRAJLOG_FROM_THE_START ? 0 : restart + 1, end);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * What must hold afterwards
 * ------------------------------------------------------------------------------------------------------------------ */

static struct hdf5_ids ids_before;

static void expect_nothing_open(void)
{
    long left = hdf5_ids_left(&ids_before);
    if (left != 0) fail_msg("%ld identifiers are open", left);
}

static int64_t rows_of(trajlog_reader *reader, const char *group, const char *field, int64_t interval, int64_t width)
{
    double *data = NULL;
    int64_t rows = -1;
    if (trajlog_read_new(reader, group, field, trajlog_all_rows(), 0, (void **)&data, &rows) != TRAJLOG_OK)
        fail_msg("%s/%s: %s", group, field, trajlog_reader_message(reader));
    for (int64_t i = 0; i < rows * width; i++)
        if (data[i] != 1000.0 * (double)(i / width * interval) + (double)(i % width))
            fail_msg("%s/%s: row %d", group, field, (int)(i / width));
    trajlog_free(data);
    return rows;
}

/* The last step that all groups have; -1 if there are no rows, or no groups yet. All rows must be right. A commit that
 * fails may have reached one group and not the other. */
static int64_t last_step(void)
{
    trajlog_reader *reader = NULL;
    if (trajlog_open(&reader, path) != TRAJLOG_OK) fail_msg("%s", trajlog_reader_message(reader));
    int64_t all = 0, even = 0;
    if (trajlog_find_group(reader, "all") >= 0) {
        all = rows_of(reader, "all", "packed", 1, ATOMS);
        assert_int_equal(rows_of(reader, "all", "plain", 1, 1), all);
        even = rows_of(reader, "even", "x", 2, ATOMS);
    }
    trajlog_reader_close(&reader);
    return all < 2 * even ? all - 1 : 2 * even - 1;
}

static void expect_plain_open(void)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    assert_true(H5Fclose(file) >= 0);
}

static bool is_there(size_t suffix)
{
    char name[120];
    name_of(suffix, name);
    return access(name, F_OK) == 0;
}

static void expect_whole_run(struct told told)
{
    if (told.status != TRAJLOG_OK) fail_msg("%s: %s", trajlog_status_name(told.status), told.message);
    assert_int_equal(last_step(), STEPS - 1);
    for (size_t i = 1; i < SUFFIX_COUNT; i++)
        if (is_there(i)) fail_msg("%s is left", suffixes[i]);
}

/* The host says what it was told: the errno, and the file. */
static void expect_told(const struct told *told, int number)
{
    if (number == ENOMEM) {
        if (told->status != TRAJLOG_OUT_OF_MEMORY) fail_msg("%s: %s", trajlog_status_name(told->status), told->message);
        return;
    }
    if (told->number != number || strstr(told->message, path) == NULL)
        fail_msg("errno %d expected, got %d: %s", number, told->number, told->message);
    if (told->status != TRAJLOG_IO_ERROR) fail_msg("%s: %s", trajlog_status_name(told->status), told->message);
}

/* Whether the run may succeed all the same: an interrupted call and a short write are made again. */
static bool is_harmless(void)
{
    if (recorder.mode == FAULT_SHORT || (recorder.mode == FAULT_ONCE && recorder.number == EINTR)) return true;
    return strcmp(recorder.failed, "close") == 0;
}

/* Up to this step all must be in the file. */
static int64_t safe_step(const struct plan *plan, const struct told *told)
{
    if (told->safe >= 0 || !plan->resumes) return told->safe;
    if (plan->restart == TRAJLOG_FROM_THE_START) return -1;
    return plan->restart;
}

/* Where the disk works again, a run goes on from what is there. */
static void make_whole(bool exists, int64_t last)
{
    if (!exists) expect_whole_run(create_and_run(false, STEPS));
    else expect_whole_run(resume_and_run(false, last < 0 ? TRAJLOG_FROM_THE_START : last, STEPS));
}

/* Where sixteen runs have left something, the last of them is blamed. */
static void expect_silence_now_and_then(bool now)
{
    static int cases;
    if (now || ++cases % 16 == 0) assert_true(hdf5_ends_in_silence());
}

/* One run. False: it made less than k calls. */
static bool run_case(const struct plan *plan, enum fault_mode mode, int number, long k, bool to_the_end)
{
    if (plan->resumes) put_image(&plan->image);
    else remove_files();
    long blocks_before = allocated;
    ids_before = hdf5_next_ids();
    let_fail(mode, number, k);
    struct told told =
        plan->resumes ? resume_and_run(plan->threaded, plan->restart, STEPS) : create_and_run(plan->threaded, STEPS);
    bool reached = (number == ENOMEM ? memory : recorder).count >= k;
    if (told.status != TRAJLOG_OK) expect_told(&told, number);
    else if (recorder.failures > 0 && !is_harmless()) fail_msg("a failed %s, and nobody was told", recorder.failed);
    let_work();
    if (allocated != blocks_before && !plan->with_jansson)
        fail_msg("%ld blocks are left: %s", allocated - blocks_before, told.message);
    expect_nothing_open();

    bool exists = is_there(0);
    assert_true(exists || (!plan->resumes && told.safe < 0 && told.status != TRAJLOG_OK));
    if (exists) expect_plain_open();
    int64_t last = exists ? last_step() : -1, safe = safe_step(plan, &told);
    if (last < safe) fail_msg("step %d was safe, and the last one is %d", (int)safe, (int)last);
    if (to_the_end) make_whole(exists, last);
    expect_silence_now_and_then(!reached);
    expect_nothing_open();
    return reached;
}

/* Each operation, with each errno. What is left of a run does not depend on the errno: so one of them is gone on from. */
static void run_plan(const struct plan *plan, enum fault_mode mode, const int *numbers, size_t count, long stride)
{
    bool reached = true;
    for (doing.k = 1; reached; doing.k += stride)
        for (size_t i = 0; i < count; i++) {
            doing.number = numbers[i];
            reached = run_case(plan, mode, numbers[i], doing.k, (size_t)(doing.k / stride) % count == i);
        }
    assert_true(doing.k > 100);
}

static const int every_errno[] = {ENOSPC, EIO, EDQUOT, ENOLCK, EINTR}, one_errno[] = {EIO}, no_memory[] = {ENOMEM};
#define EVERY_ERRNO every_errno, sizeof every_errno / sizeof *every_errno
#define ONE_ERRNO   one_errno, 1
#define NO_MEMORY   no_memory, 1

/* ---------------------------------------------------------------------------------------------------------------------
 * Tests
 * ------------------------------------------------------------------------------------------------------------------ */

static void a_new_log_when_one_operation_fails(void **state)
{
    (void)state;
    const struct plan plan = {.resumes = false};
    run_plan(&plan, FAULT_ONCE, EVERY_ERRNO, STRIDE);
}

static void a_new_log_on_a_disk_that_stops_working(void **state)
{
    (void)state;
    const struct plan plan = {.resumes = false};
    run_plan(&plan, FAULT_ALWAYS, EVERY_ERRNO, STRIDE);
}

static void a_new_log_with_a_thread(void **state)
{
    (void)state;
    const struct plan plan = {.threaded = true};
    run_plan(&plan, FAULT_ONCE, ONE_ERRNO, 3 * STRIDE);
    run_plan(&plan, FAULT_ALWAYS, ONE_ERRNO, 3 * STRIDE);
}

/* A log that was killed with this many steps, the last one flushed; `closed`: that was closed. */
static struct image old_log(int64_t steps, bool closed)
{
    int status;
    remove_files();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        trajlog_writer *log = NULL;
        struct told told = no_news();
        const trajlog_options options = options_of(false);
        if (trajlog_create(&log, path, &options) != TRAJLOG_OK) _exit(1);
        declare(log);
        log_steps(log, 0, steps, &told);
        if (closed) tell(&told, log, trajlog_close(&log), -1);
        _exit(told.status == TRAJLOG_OK ? 0 : 2);
    }
    assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return take_image();
}

static void resume_killed(int64_t restart, bool threaded, enum fault_mode mode, const int *numbers, size_t count,
                          long stride)
{
    struct plan plan = {.threaded = threaded, .resumes = true, .restart = restart, .image = old_log(6, false)};
    run_plan(&plan, mode, numbers, count, stride);
    free_image(&plan.image);
}

static void a_killed_log_when_one_operation_fails(void **state)
{
    (void)state;
    resume_killed(3, false, FAULT_ONCE, EVERY_ERRNO, STRIDE);
}

static void a_killed_log_on_a_disk_that_stops_working(void **state)
{
    (void)state;
    resume_killed(3, false, FAULT_ALWAYS, EVERY_ERRNO, STRIDE);
}

static void a_killed_log_with_a_thread(void **state)
{
    (void)state;
    resume_killed(3, true, FAULT_ONCE, ONE_ERRNO, 3 * STRIDE);
    resume_killed(3, true, FAULT_ALWAYS, ONE_ERRNO, 3 * STRIDE);
}

static void a_killed_log_from_the_start(void **state)
{
    (void)state;
    resume_killed(TRAJLOG_FROM_THE_START, false, FAULT_ONCE, ONE_ERRNO, STRIDE);
    resume_killed(TRAJLOG_FROM_THE_START, false, FAULT_ALWAYS, ONE_ERRNO, STRIDE);
}

static void a_closed_log(void **state)
{
    (void)state;
    struct plan plan = {.resumes = true, .restart = 3, .image = old_log(6, true)};
    run_plan(&plan, FAULT_ONCE, ONE_ERRNO, STRIDE);
    run_plan(&plan, FAULT_ALWAYS, ONE_ERRNO, STRIDE);
    free_image(&plan.image);
}

/* The first resume is cut when its batch is in the journal, and in the file in part. */
static struct image log_with_batch(void)
{
    struct image killed = old_log(6, false);
    for (long k = 1;; k++) {
        enum journal_finding finding = JOURNAL_NONE;
        struct journal_blocks blocks = {0};
        put_image(&killed);
        let_fail(FAULT_ALWAYS, EIO, k);
        struct told told = resume_and_run(false, 3, STEPS);
        let_work();
        assert_int_not_equal(told.status, TRAJLOG_OK);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(journal_inspect(&driver_io_system, path, file, false, &finding, &blocks, NULL), TRAJLOG_OK);
        journal_blocks_free(&blocks);
        close(file);
        if (finding != JOURNAL_NEEDED) continue;
        free_image(&killed);
        return take_image();
    }
}

static void a_log_whose_last_resume_was_cut(void **state)
{
    (void)state;
    struct plan plan = {.resumes = true, .restart = 3, .image = log_with_batch()};
    run_plan(&plan, FAULT_ONCE, ONE_ERRNO, STRIDE);
    run_plan(&plan, FAULT_ALWAYS, ONE_ERRNO, STRIDE);
    free_image(&plan.image);
}

static void writes_that_come_short(void **state)
{
    (void)state;
    const struct plan plan = {.resumes = false};
    run_plan(&plan, FAULT_SHORT, ONE_ERRNO, STRIDE);
    resume_killed(3, false, FAULT_SHORT, ONE_ERRNO, STRIDE);
}

static void memory_is_short_for_a_new_log(void **state)
{
    (void)state;
    const struct plan plan = {.resumes = false};
    run_plan(&plan, FAULT_ONCE, NO_MEMORY, STRIDE);
}

static void memory_is_short_for_a_killed_log(void **state)
{
    (void)state;
    resume_killed(3, false, FAULT_ONCE, NO_MEMORY, STRIDE);
    resume_killed(3, false, FAULT_ALWAYS, NO_MEMORY, STRIDE);
}

/* The text of the schema is whole, or not there. */
static void jansson_has_no_memory(void **state)
{
    (void)state;
    const struct plan plan = {.with_jansson = true};
    json_set_alloc_funcs(__wrap_malloc, __wrap_free);
    run_plan(&plan, FAULT_ONCE, NO_MEMORY, STRIDE);
}

/* Opens, reads and closes; the first status that is not OK. */
static trajlog_status read_all(void)
{
    trajlog_reader *reader = NULL;
    double state[ATOMS], time, *data = NULL;
    int64_t rows, step;
    const trajlog_request request = {"x", TRAJLOG_FLOAT64, state, sizeof state};
    trajlog_status status = trajlog_open(&reader, path);
    if (status == TRAJLOG_OK)
        status = trajlog_read_new(reader, "all", "packed", trajlog_all_rows(), 0, (void **)&data, &rows);
    trajlog_free(data);
    if (status == TRAJLOG_OK) status = trajlog_restore(reader, &request, 1, &step, &time);
    if (status == TRAJLOG_OK) status = trajlog_refresh(reader);
    trajlog_reader_close(&reader);
    return status;
}

static void memory_is_short_for_a_reader(void **state)
{
    (void)state;
    struct image image = old_log(6, false);
    assert_int_equal(read_all(), TRAJLOG_OK);
    for (int mode = FAULT_ONCE; mode <= FAULT_ALWAYS; mode++)
        for (doing.k = 1;; doing.k += STRIDE) {
            long blocks_before = allocated;
            ids_before = hdf5_next_ids();
            let_fail((enum fault_mode)mode, ENOMEM, doing.k);
            trajlog_status status = read_all();
            let_work();
            if (status != TRAJLOG_OK && status != TRAJLOG_OUT_OF_MEMORY)
                fail_msg("%s: %s", trajlog_status_name(status), trajlog_reader_message(NULL));
            if (allocated != blocks_before) fail_msg("%ld blocks are left", allocated - blocks_before);
            expect_nothing_open();
            expect_silence_now_and_then(memory.failures == 0);
            if (memory.failures == 0) break;
        }
    free_image(&image);
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, make_disk, remove_disk)

static const struct CMUnitTest tests[] = {
    DISK_TEST(a_new_log_when_one_operation_fails),
    DISK_TEST(a_new_log_on_a_disk_that_stops_working),
    DISK_TEST(a_new_log_with_a_thread),
    DISK_TEST(a_killed_log_when_one_operation_fails),
    DISK_TEST(a_killed_log_on_a_disk_that_stops_working),
    DISK_TEST(a_killed_log_with_a_thread),
    DISK_TEST(a_killed_log_from_the_start),
    DISK_TEST(a_closed_log),
    DISK_TEST(a_log_whose_last_resume_was_cut),
    DISK_TEST(writes_that_come_short),
    DISK_TEST(memory_is_short_for_a_new_log),
    DISK_TEST(memory_is_short_for_a_killed_log),
    DISK_TEST(jansson_has_no_memory),
    DISK_TEST(memory_is_short_for_a_reader),
};

TEST_MAIN(tests)
