/* A run on the public face, recorded, to be cut anywhere; and what the public face makes of what is left.
 *
 *     log_run PATH LOG KEY=NUMBER...   a run: keys below; all of the file follows from them
 *     log_run                          obeys standard input, one command to a line, and answers each with a line:
 *
 *         read PATH                       all rows are read and compared: "every 12 third 4 checkpoint 8", where the
 *                                         checkpoint is the newest one's step, or -1; "none" if there are no groups yet
 *         recover PATH                    trajlog_recover, and then the same
 *         resume PATH STEP CHECKPOINTS    a resume that logs two steps more and closes, and then the same; at step -1,
 *                                         from the start
 *         lose PATH                       nothing, but that the journal becomes one of another run of the machine
 *
 * Whatever fails is answered with "error" and a message. Group "every" of each step and "third" of each third: element j
 * of a field at step s is 1000 s + j; "init", once: 1000 + j; and so the checkpoint's. A run prints and records a line when
 * its file was "created", or taken up again ("resumed STEP"), when rows were committed ("flushed STEP", "synced STEP"), a
 * checkpoint was taken ("checkpoint STEP"), and when it was closed. many=N: there is a group "many" too, of each step and
 * with N fields, each of which is the step. */
#include <hdf5.h>

#include <stdlib.h>
#include <unistd.h>

#include "crash/record.h"
#include "store/checksum.h"
#include "store/journal.h"
#include "store/store.h"
#include "trajlog.h"

#define WIDTH 6    /* 2 particles */
#define WIDE  1200 /* bigger than two pages, in chunks of 3 */
#define STATE 700

struct options {
    long first, steps, commit, sync, checkpoint, checkpoints, many, abandon;
};

static struct recorder recorder;
static double many, init[WIDTH], plain[WIDTH], packed[WIDTH], scalar[1], wide[WIDE], state[STATE], small[WIDTH];

/* ---- writing ---- */

static void fill(double *data, int count, double step)
{
    for (int j = 0; j < count; j++) data[j] = 1000.0 * step + j;
}

static void set_step(long step)
{
    many = (double)step;
    fill(init, WIDTH, 1);
    fill(plain, WIDTH, (double)step);
    fill(packed, WIDTH, (double)step);
    fill(scalar, 1, (double)step);
    fill(wide, WIDE, (double)step);
    fill(state, STATE, (double)step);
    fill(small, WIDTH, (double)step);
}

static trajlog_field *add(trajlog_group *group, const char *name, trajlog_shape shape, const double *data,
                          int64_t chunk_rows)
{
    const trajlog_storage storage = {.struct_size = sizeof storage, .chunk_rows = chunk_rows};
    trajlog_field *field = trajlog_add_field(group, name, TRAJLOG_FLOAT64, shape, data, "nm");
    if (chunk_rows > 0) trajlog_set_storage(field, &storage);
    return field;
}

static void declare(trajlog_writer *log, long checkpoints)
{
    const trajlog_storage storage = {
        .struct_size = sizeof storage, .chunk_rows = 4, .compression = TRAJLOG_COMPRESSION_DEFLATE, .checksum = 1};
    add(trajlog_add_group(log, "init", trajlog_once()), "plain", TRAJLOG_SHAPE(WIDTH), init, 0);
    trajlog_group *group = trajlog_add_group(log, "every", trajlog_every(1));
    trajlog_set_role(add(group, "plain", TRAJLOG_SHAPE(2, 3), plain, 5), TRAJLOG_ROLE_POSITION, NULL);
    trajlog_set_storage(add(group, "packed", TRAJLOG_SHAPE(WIDTH), packed, 0), &storage);
    group = trajlog_add_group(log, "third", trajlog_every(3));
    add(group, "scalar", TRAJLOG_SCALAR, scalar, 0);
    add(group, "wide", TRAJLOG_SHAPE(WIDE), wide, 3);
    if (!checkpoints) return;
    group = trajlog_add_checkpoint(log);
    add(group, "state", TRAJLOG_SHAPE(STATE), state, 0);
    add(group, "small", TRAJLOG_SHAPE(WIDTH), small, 0);
}

static void declare_many(trajlog_writer *log, long count)
{
    char name[40];
    trajlog_group *group = count > 0 ? trajlog_add_group(log, "many", trajlog_every(1)) : NULL;
    for (long i = 0; i < count; i++) {
        snprintf(name, sizeof name, "field%ld", i);
        add(group, name, TRAJLOG_SCALAR, &many, 0);
    }
}

/* Commits come when they are asked for, and in this thread: each run makes the same calls. */
static trajlog_options plain_options(void)
{
    trajlog_options options = trajlog_default_options();
    options.synchronous = 1;
    options.flush_seconds = 1e9;
    options.sync_seconds = -1;
    return options;
}

static trajlog_status begin(trajlog_writer **log, const char *path, long first, long checkpoints)
{
    const trajlog_options options = plain_options();
    trajlog_status status = first < 0
                                ? trajlog_create(log, path, &options)
                                : trajlog_resume(log, path, first == 0 ? TRAJLOG_FROM_THE_START : first - 1, &options);
    if (status == TRAJLOG_OK) declare(*log, checkpoints);
    return status;
}

static trajlog_status log_step(trajlog_writer *log, long step)
{
    set_step(step);
    return trajlog_log(log, step, 0.5 * (double)step);
}

/* ---- a run ---- */

static void need(const trajlog_writer *log, trajlog_status status)
{
    if (status == TRAJLOG_OK) return;
    fprintf(stderr, "%s: %s\n", trajlog_status_name(status), trajlog_message(log));
    exit(1);
}

static void report(const char *what, long step)
{
    printf("%s %ld\n", what, step);
    recorder_log(&recorder, "mark %s %ld\n", what, step);
}

static void run(const char *path, const struct options *options)
{
    trajlog_writer *log = NULL;
    long first = options->first < 0 ? 0 : options->first;
    need(log, begin(&log, path, options->first, options->checkpoints));
    declare_many(log, options->many);
    for (long step = first; step < options->steps; step++) {
        need(log, log_step(log, step));
        if (step == first) report(options->first < 0 ? "created" : "resumed", first - 1);
        if (options->commit > 0 && (step + 1) % options->commit == 0) {
            need(log, trajlog_flush(log));
            report("flushed", step);
        }
        if (options->sync > 0 && (step + 1) % options->sync == 0) {
            need(log, trajlog_sync(log));
            report("synced", step);
        }
        if (options->checkpoint > 0 && (step + 1) % options->checkpoint == 0) {
            need(log, trajlog_checkpoint(log, step, 0.5 * (double)step));
            report("checkpoint", step);
        }
    }
    if (options->abandon) return;
    need(NULL, trajlog_close(&log));
    report("closed", options->steps - 1);
}

static int parse(int argc, char **argv, struct options *options)
{
    const struct {
        const char *key;
        long *number;
    } keys[] = {{"first", &options->first}, {"steps", &options->steps},     {"commit", &options->commit},
                {"sync", &options->sync},   {"abandon", &options->abandon}, {"checkpoint", &options->checkpoint},
                {"many", &options->many}};
    for (int i = 3; i < argc; i++) {
        size_t k = 0, count = sizeof keys / sizeof *keys, length = strcspn(argv[i], "=");
        while (k < count && (strlen(keys[k].key) != length || strncmp(argv[i], keys[k].key, length) != 0)) k++;
        if (k == count || argv[i][length] != '=') return -1;
        *keys[k].number = strtol(argv[i] + length + 1, NULL, 10);
    }
    options->checkpoints = options->checkpoint > 0;
    return 0;
}

static int record(int argc, char **argv)
{
    struct options options = {.first = -1, .steps = 8, .commit = 3};
    if (argc < 3 || parse(argc, argv, &options) != 0) {
        fprintf(stderr, "log_run [PATH LOG KEY=NUMBER...]\n");
        return 2;
    }
    recorder.log = fopen(argv[2], "wb");
    if (recorder.log == NULL) return 2;
    run(argv[1], &options);
    fclose(recorder.log);
    fflush(stdout);
    _exit(0); /* what is not closed must not be closed by exit */
}

/* ---- reading ---- */

static bool is_right(const double *data, int64_t count, double step)
{
    for (int64_t j = 0; j < count; j++)
        if (data[j] != 1000.0 * step + (double)j) return false;
    return true;
}

/* `every`: 0 for the group of frequency `once`, whose data are those of step 1. */
static bool row_is_right(const trajlog_reader *reader, int32_t group, const trajlog_block *block, int64_t row,
                         int64_t every)
{
    const trajlog_field_info *info;
    double step = every == 0 ? 1 : (double)(every * (block->first_row + row));
    if (every != 0 && ((double)block->step[row] != step || block->time[row] != 0.5 * step)) return false;
    for (int32_t f = 0; (info = trajlog_reader_field(reader, group, f)); f++) {
        int64_t count = 1;
        for (int32_t i = 0; i < info->shape.rank; i++) count *= info->shape.dims[i];
        if (!is_right((const double *)block->fields[f] + row * count, count, step)) return false;
    }
    return true;
}

static trajlog_status check_rows(trajlog_reader *reader, const char *name, int64_t every, int64_t *rows)
{
    trajlog_stream *stream = NULL;
    trajlog_block block;
    int32_t group = trajlog_find_group(reader, name);
    *rows = 0;
    trajlog_status status = trajlog_stream_open(&stream, reader, name, trajlog_all_rows(), NULL, NULL, 0, 0);
    while (status == TRAJLOG_OK && (status = trajlog_stream_next(stream, &block)) == TRAJLOG_OK) {
        *rows += block.row_count;
        for (int64_t row = 0; row < block.row_count; row++)
            if (!row_is_right(reader, group, &block, row, every)) status = TRAJLOG_OUT_OF_RANGE;
    }
    trajlog_stream_close(&stream);
    return status == TRAJLOG_END ? TRAJLOG_OK : status;
}

static trajlog_status check_checkpoint(trajlog_reader *reader, int64_t *step)
{
    const trajlog_request requests[] = {{"state", 0, state, sizeof state}, {"small", 0, small, sizeof small}};
    double time = 0;
    int32_t group = trajlog_find_group(reader, "checkpoint");
    *step = -1;
    if (group < 0 || trajlog_reader_group(reader, group)->checkpoint_count == 0) return TRAJLOG_OK;
    trajlog_status status = trajlog_restore(reader, requests, 2, step, &time);
    if (status != TRAJLOG_OK) return status;
    bool right = is_right(state, STATE, (double)*step) && is_right(small, WIDTH, (double)*step);
    return right && time == 0.5 * (double)*step ? TRAJLOG_OK : TRAJLOG_OUT_OF_RANGE;
}

static trajlog_status answer_read(const char *path)
{
    trajlog_reader *reader = NULL;
    int64_t once = 0, every = 0, third = 0, step = -1;
    trajlog_status status = trajlog_open(&reader, path);
    bool has_groups = status == TRAJLOG_OK && trajlog_reader_file(reader)->group_count > 0;
    if (has_groups) {
        status = check_rows(reader, "init", 0, &once);
        if (status == TRAJLOG_OK) status = check_rows(reader, "every", 1, &every);
        if (status == TRAJLOG_OK) status = check_rows(reader, "third", 3, &third);
        if (status == TRAJLOG_OK) status = check_checkpoint(reader, &step);
        if (status == TRAJLOG_OK && once != 1) status = TRAJLOG_OUT_OF_RANGE;
    }
    if (status == TRAJLOG_OK && has_groups)
        printf("every %lld third %lld checkpoint %lld\n", (long long)every, (long long)third, (long long)step);
    else if (status == TRAJLOG_OK) printf("none\n");
    trajlog_reader_close(&reader);
    return status;
}

static trajlog_status resume(const char *path, long step, long checkpoints)
{
    trajlog_writer *log = NULL;
    trajlog_status status = begin(&log, path, step + 1, checkpoints);
    for (long next = step + 1; next <= step + 2 && status == TRAJLOG_OK; next++) status = log_step(log, next);
    trajlog_status closed = trajlog_close(&log);
    return status == TRAJLOG_OK ? closed : status;
}

/* ---- commands ---- */

/* The boot id begins at 40, the header's checksum is that of the 72 bytes before it; see journal.c. */
static trajlog_status lose(const char *path)
{
    unsigned char header[80];
    char *name = path_with_suffix(path, JOURNAL_SUFFIX);
    int descriptor = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    free(name);
    if (descriptor >= 0 && pread(descriptor, header, sizeof header, 0) == sizeof header) {
        uint64_t sum = checksum_lookup3(header, 72, 0) | (uint64_t)checksum_lookup3(header, 72, UINT32_C(0x6a6f7572))
                                                             << 32;
        bool is_valid = get_u64(header + 72) == sum;
        header[40] ^= 1;
        put_u64(header + 72,
                checksum_lookup3(header, 72, 0) | (uint64_t)checksum_lookup3(header, 72, UINT32_C(0x6a6f7572)) << 32);
        if (is_valid && pwrite(descriptor, header, sizeof header, 0) != sizeof header) exit(9);
    }
    if (descriptor >= 0) close(descriptor);
    printf("lost\n");
    return TRAJLOG_OK;
}

static trajlog_status obey(const char *word, const char *path, long step, long checkpoints)
{
    trajlog_status status = TRAJLOG_OK;
    if (strcmp(word, "lose") == 0) return lose(path);
    if (strcmp(word, "recover") == 0) status = trajlog_recover(path, 0, NULL);
    if (strcmp(word, "resume") == 0) status = resume(path, step, checkpoints);
    return status == TRAJLOG_OK ? answer_read(path) : status;
}

static int serve(void)
{
    char line[4200], word[20], path[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        long step = 0, checkpoints = 0;
        if (sscanf(line, "%19s %4095s %ld %ld", word, path, &step, &checkpoints) < 2) return 2;
        trajlog_status status = obey(word, path, step, checkpoints);
        if (status != TRAJLOG_OK) printf("error %s: %s\n", trajlog_status_name(status), trajlog_message(NULL));
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct driver_io io = recorder_io(&recorder);
    store_io = &io;
    return argc > 1 ? record(argc, argv) : serve();
}
