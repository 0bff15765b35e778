/* Follows a log while it is being written: looks again and again, and reads what is new.
 *
 *     follow FILE SECONDS
 *
 * Prints for each field, each time that there are new rows: group, field, first new row, number of rows, CRC-32 of their
 * bytes; at the end "looked N" and "failed N". A failure is told on the standard error stream, and tried again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "trajlog.h"

#define MAXIMUM_GROUPS 8
#define PATIENCE       20

static long looked, failed, failed_together;
static int64_t known[MAXIMUM_GROUPS]; /* rows that were read before */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static trajlog_status read_new(trajlog_reader *reader, const char *group, const char *field, size_t row_bytes,
                               int64_t first, int64_t stop)
{
    void *data = NULL;
    int64_t rows;
    trajlog_status status = trajlog_read_new(reader, group, field, trajlog_row_range(first, stop, 1), 0, &data, &rows);
    if (status != TRAJLOG_OK) return status;
    printf("%s %s %" PRId64 " %" PRId64 " %08lx\n", group, field, first, rows,
           crc32_z(0, data, row_bytes * (size_t)rows));
    trajlog_free(data);
    return TRAJLOG_OK;
}

static size_t row_bytes(const trajlog_field_info *field)
{
    size_t bytes = trajlog_type_size(field->stored_type);
    for (int32_t k = 0; k < field->shape.rank; k++) bytes *= (size_t)field->shape.dims[k];
    return bytes;
}

static trajlog_status read_group(trajlog_reader *reader, int32_t number)
{
    const trajlog_group_info *group = trajlog_reader_group(reader, number);
    if (group->once || group->rows == known[number]) return TRAJLOG_OK;
    int64_t first = known[number], stop = group->rows;
    if (stop < first) {
        fprintf(stderr, "%s had %" PRId64 " rows and has %" PRId64 "\n", group->name, first, stop);
        exit(102);
    }
    trajlog_status status = read_new(reader, group->name, "step", sizeof(int64_t), first, stop);
    if (status == TRAJLOG_OK) status = read_new(reader, group->name, "time", sizeof(double), first, stop);
    for (int32_t i = 0; status == TRAJLOG_OK && i < group->field_count; i++) {
        const trajlog_field_info *field = trajlog_reader_field(reader, number, i);
        status = read_new(reader, group->name, field->name, row_bytes(field), first, stop);
    }
    if (status == TRAJLOG_OK) known[number] = stop;
    return status;
}

static trajlog_status look(trajlog_reader **reader, const char *path)
{
    trajlog_status status = *reader == NULL ? trajlog_open(reader, path) : trajlog_refresh(*reader);
    int32_t count = status == TRAJLOG_OK ? trajlog_reader_file(*reader)->group_count : 0;
    for (int32_t group = 0; status == TRAJLOG_OK && group < count && group < MAXIMUM_GROUPS; group++)
        status = read_group(*reader, group);
    return status;
}

int main(int argc, char **argv)
{
    trajlog_reader *reader = NULL;
    if (argc != 4) return 100;
    long least = strtol(argv[3], NULL, 10);
    double end = now() + strtod(argv[2], NULL);
    while (failed_together < PATIENCE && (now() < end || looked - failed < least)) {
        looked++;
        if (look(&reader, argv[1]) == TRAJLOG_OK) {
            failed_together = 0;
            continue;
        }
        failed++;
        failed_together++;
        fprintf(stderr, "%s\n", trajlog_reader_message(reader));
        trajlog_reader_close(&reader);
    }
    trajlog_reader_close(&reader);
    printf("looks %ld\nerrors %ld\ngave_up %d\n", looked, failed, failed_together == PATIENCE);
    return fflush(stdout) == 0 ? 0 : 100;
}
