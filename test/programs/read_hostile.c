/* Reads everything in files that are damaged in one place each, in one process:
 *
 *     read_hostile GOLDEN COPY [sanitized]
 *
 * COPY is made to be GOLDEN with one damage after the other, which standard input tells, one to a line: "flip PLACE BIT"
 * or "cut SIZE". For each, prints the line again and what came of it: "right" (all that GOLDEN has, bit for bit), "differs",
 * or the name of the first status that is not TRAJLOG_OK, and then trajlog_check's status. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trajlog.h"

#define MEMORY ((rlim_t)2 << 30)

static unsigned char *golden;
static size_t golden_size;

/* ---------------------------------------------------------------------------------------------- all that is in it --- */

static uint64_t digest;

static void add_bytes(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) digest = (digest ^ bytes[i]) * UINT64_C(0x100000001b3);
}

static void add_text(const char *text)
{
    add_bytes(text, strlen(text) + 1);
}

static size_t row_bytes(const trajlog_field_info *info)
{
    size_t bytes = trajlog_type_size(info->stored_type);
    for (int32_t i = 0; i < info->shape.rank; i++) bytes *= (size_t)info->shape.dims[i];
    return bytes;
}

static void add_block(const trajlog_reader *reader, int32_t group, const trajlog_block *block)
{
    const trajlog_field_info *info;
    size_t rows = (size_t)block->row_count;
    if (block->step) add_bytes(block->step, rows * sizeof *block->step);
    if (block->time) add_bytes(block->time, rows * sizeof *block->time);
    for (int32_t f = 0; (info = trajlog_reader_field(reader, group, f)); f++)
        add_bytes(block->fields[f], rows * row_bytes(info));
}

static void add_infos(const trajlog_reader *reader, int32_t group)
{
    const trajlog_group_info *info = trajlog_reader_group(reader, group);
    const trajlog_field_info *field;
    add_text(info->name);
    add_text(info->frequency);
    add_text(info->metadata);
    for (int32_t f = 0; (field = trajlog_reader_field(reader, group, f)); f++) {
        add_text(field->name);
        add_text(field->unit);
        add_text(field->description);
        add_text(field->metadata);
    }
}

/* All that can be mapped is there to be read. What cannot is none of the digest's business: the rows are in it. */
static void read_maps(trajlog_reader *reader, const trajlog_group_info *group, const trajlog_field_info *field)
{
    static volatile unsigned char sum;
    trajlog_map map;
    for (int64_t row = 0; row < group->rows; row += map.row_count) {
        if (trajlog_map_rows(reader, group->name, field->name, row, TRAJLOG_ROWS_END, 0, TRAJLOG_MAP_READ, &map) !=
            TRAJLOG_OK)
            return;
        const unsigned char *bytes = map.data;
        for (size_t i = 0; i < (size_t)map.row_count * row_bytes(field); i++) sum = (unsigned char)(sum + bytes[i]);
        int64_t count = map.row_count;
        trajlog_unmap(&map);
        map.row_count = count;
    }
}

/* The last particle's: the rows have been read before, so all of it is there. */
static trajlog_status read_last_series(trajlog_reader *reader, const trajlog_group_info *group,
                                       const trajlog_field_info *field)
{
    if (field->shape.rank < 1 || field->shape.dims[0] < 1 || group->rows < 1) return TRAJLOG_OK;
    size_t bytes = row_bytes(field) / (size_t)field->shape.dims[0] * (size_t)group->rows;
    void *data = malloc(bytes + 1);
    if (!data) return TRAJLOG_OUT_OF_MEMORY;
    trajlog_status status = trajlog_read_series(reader, group->name, field->name, trajlog_all_rows(),
                                                field->shape.dims[0] - 1, 1, 0, data, bytes, NULL);
    if (status == TRAJLOG_OK) add_bytes(data, bytes);
    free(data);
    return status;
}

static trajlog_status read_otherwise(trajlog_reader *reader, int32_t group)
{
    const trajlog_field_info *field;
    const trajlog_group_info *info = trajlog_reader_group(reader, group);
    trajlog_status status = TRAJLOG_OK;
    for (int32_t f = 0; (field = trajlog_reader_field(reader, group, f)) && status == TRAJLOG_OK; f++) {
        read_maps(reader, info, field);
        status = read_last_series(reader, info, field);
    }
    return status;
}

static trajlog_status read_group(trajlog_reader *reader, int32_t group)
{
    trajlog_stream *stream = NULL;
    trajlog_block block;
    const char *name = trajlog_reader_group(reader, group)->name;
    add_infos(reader, group);
    trajlog_status status = trajlog_stream_open(&stream, reader, name, trajlog_all_rows(), NULL, NULL, 0, 0);
    if (status != TRAJLOG_OK) return status;
    while ((status = trajlog_stream_next(stream, &block)) == TRAJLOG_OK) add_block(reader, group, &block);
    trajlog_stream_close(&stream);
    return status == TRAJLOG_END ? read_otherwise(reader, group) : status;
}

static trajlog_status read_drops(trajlog_reader *reader)
{
    trajlog_drop drops[16];
    size_t count = 0;
    trajlog_status status = trajlog_reader_drops(reader, drops, 16, &count);
    if (status == TRAJLOG_OK) add_bytes(drops, (count < 16 ? count : 16) * sizeof drops[0]);
    return status;
}

/* A file without checkpoints has none. */
static trajlog_status read_checkpoint(trajlog_reader *reader)
{
    static unsigned char state[1 << 20];
    trajlog_request requests[32];
    int64_t step = 0;
    double time = 0;
    size_t count = 0;
    const trajlog_field_info *info;
    int32_t group = trajlog_find_group(reader, "checkpoint");
    if (group < 0 || trajlog_reader_group(reader, group)->checkpoint_count == 0) return TRAJLOG_OK;
    for (size_t used = 0; count < 32 && (info = trajlog_reader_field(reader, group, (int32_t)count)); count++) {
        requests[count] = (trajlog_request){info->name, 0, state + used, sizeof state - used};
        if (row_bytes(info) > sizeof state - used) return TRAJLOG_OUT_OF_RANGE;
        used += row_bytes(info);
    }
    trajlog_status status = trajlog_restore(reader, requests, count, &step, &time);
    if (status != TRAJLOG_OK) return status;
    add_bytes(&step, sizeof step);
    add_bytes(&time, sizeof time);
    for (size_t i = 0; i < count; i++)
        add_bytes(requests[i].data, row_bytes(trajlog_reader_field(reader, group, (int32_t)i)));
    return status;
}

static trajlog_status read_everything(const char *path)
{
    trajlog_reader *reader = NULL;
    digest = UINT64_C(0xcbf29ce484222325);
    trajlog_status status = trajlog_open(&reader, path);
    if (status == TRAJLOG_OK) {
        add_text(trajlog_reader_file(reader)->metadata);
        for (int32_t i = 0; i < trajlog_reader_file(reader)->group_count && status == TRAJLOG_OK; i++)
            status = read_group(reader, i);
    }
    if (status == TRAJLOG_OK) status = read_drops(reader);
    if (status == TRAJLOG_OK) status = read_checkpoint(reader);
    if (status != TRAJLOG_OK && !trajlog_reader_message(reader)[0]) status = TRAJLOG_INVALID_ARGUMENT;
    trajlog_reader_close(&reader);
    return status;
}

/* -------------------------------------------------------------------------------------------------------- damage --- */

static int read_golden(const char *path)
{
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status) != 0) return -1;
    golden_size = (size_t)status.st_size;
    golden = malloc(golden_size);
    ssize_t got = golden ? pread(file, golden, golden_size, 0) : -1;
    close(file);
    return got == status.st_size ? 0 : -1;
}

/* All of GOLDEN, or its beginning. */
static int write_copy(int copy, size_t size)
{
    return ftruncate(copy, 0) == 0 && pwrite(copy, golden, size, 0) == (ssize_t)size ? 0 : -1;
}

static int flip(int copy, size_t place, unsigned bit)
{
    unsigned char byte = golden[place] ^ (unsigned char)(1u << bit);
    return pwrite(copy, &byte, 1, (off_t)place) == 1 ? 0 : -1;
}

static int damage(const char *line, int copy)
{
    unsigned long long place;
    unsigned bit;
    if (sscanf(line, "cut %llu", &place) == 1 && place <= golden_size) return write_copy(copy, place);
    if (sscanf(line, "flip %llu %u", &place, &bit) == 2 && place < golden_size && bit < 8)
        return flip(copy, place, bit);
    return -1;
}

static int mend(const char *line, int copy)
{
    unsigned long long place;
    if (sscanf(line, "flip %llu", &place) != 1) return write_copy(copy, golden_size);
    return pwrite(copy, &golden[place], 1, (off_t)place) == 1 ? 0 : -1;
}

static void report(const char *line, const char *copy, uint64_t right)
{
    trajlog_status status = read_everything(copy);
    const char *outcome = digest == right ? "right" : "differs";
    if (status != TRAJLOG_OK) outcome = trajlog_status_name(status);
    printf("%s: %s %s\n", line, outcome, trajlog_status_name(trajlog_check(copy, NULL, NULL, NULL, NULL)));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char line[100];
    struct rlimit memory = {MEMORY, MEMORY};
    bool is_sanitized = argc > 3; /* a sanitizer maps terabytes for itself */
    if (argc < 3 || read_golden(argv[1]) != 0) return 100;
    if (!is_sanitized && setrlimit(RLIMIT_AS, &memory) != 0) return 100;
    if (read_everything(argv[1]) != TRAJLOG_OK) return 100;
    uint64_t right = digest;
    int copy = open(argv[2], O_WRONLY | O_CREAT, 0600);
    if (copy < 0 || write_copy(copy, golden_size) != 0) return 100;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (damage(line, copy) != 0) return 100;
        report(line, argv[2], right);
        if (mend(line, copy) != 0) return 100;
    }
    close(copy);
    free(golden);
    return 0;
}
