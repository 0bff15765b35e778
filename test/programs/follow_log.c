/* Follows a log that is being written: opens it once and refreshes it until a step is in it.
 *
 *     follow_log FILE STEP
 *
 * FILE was written by `write_log FILE particles`, or is being written: each row that appears is compared with what that
 * program put there. Prints how often it looked, and how often it found more rows. The exit status is 0 when the rows up
 * to STEP were right, 1 with a message when something was wrong or nothing came for a minute. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "trajlog.h"

#define ATOMS 1000

static double position[ATOMS][3];

static int complain(const char *what, long long row, const trajlog_reader *reader)
{
    fprintf(stderr, "row %lld: %s: %s\n", row, what, trajlog_reader_message(reader));
    return 1;
}

static int check_row(trajlog_reader *reader, int64_t row)
{
    int64_t step = -1;
    double time = -1;
    const trajlog_request requests[] = {
        {"step", 0, &step, sizeof step}, {"time", 0, &time, sizeof time}, {"position", 0, position, sizeof position}};
    if (trajlog_read_fields(reader, "particles", trajlog_row(row), requests, 3, NULL) != TRAJLOG_OK)
        return complain("cannot be read", row, reader);
    if (step != row || time != 0.125 * (double)row) return complain("has the wrong step or time", row, reader);
    for (int i = 0; i < ATOMS; i++)
        for (int j = 0; j < 3; j++)
            if (position[i][j] != (double)(step * 3000 + 3 * i + j)) return complain("has wrong data", row, reader);
    return 0;
}

/* A log that is not there yet, or has no groups yet. */
static int64_t rows_of(trajlog_reader **reader, const char *path)
{
    if (*reader && trajlog_reader_file(*reader)) {
        if (trajlog_refresh(*reader) != TRAJLOG_OK) return -1;
    } else {
        trajlog_reader_close(reader);
        if (trajlog_open(reader, path) == TRAJLOG_NOT_FOUND) return 0;
    }
    int32_t group = trajlog_find_group(*reader, "particles");
    if (!trajlog_reader_file(*reader)) return -1;
    return group < 0 ? 0 : trajlog_reader_group(*reader, group)->rows;
}

int main(int argc, char **argv)
{
    trajlog_reader *reader = NULL;
    if (argc != 3) return 2;
    int64_t wanted = strtoll(argv[2], NULL, 10) + 1, seen = 0;
    long looks = 0, news = 0, idle = 0;
    int result = 0;
    while (seen < wanted && result == 0) {
        int64_t rows = rows_of(&reader, argv[1]);
        looks++;
        if (rows < seen) result = complain("rows are gone, or the file cannot be read", seen, reader);
        news += rows > seen;
        idle = rows > seen ? 0 : idle + 1;
        for (; seen < rows && result == 0; seen++) result = check_row(reader, seen);
        struct timespec pause = {0, 5000000};
        nanosleep(&pause, NULL);
        if (idle > 12000) result = complain("does not come", seen, reader);
    }
    trajlog_reader_close(&reader);
    printf("%ld looks, %ld times more rows\n", looks, news);
    return result;
}
