/* Whether a long log stays as cheap as a short one: time per row and memory, from 10^3 to 10^6 rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frames.h"

#define PARTICLES 16
#define BLOCK     16384 /* rows that are timed together: two chunks of the scalars' */
#define EARLY     1000
#define LATE      1000000

static long resident_kib(void)
{
    char line[200];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "r");
    if (file == NULL) fail("/proc/self/status cannot be opened");
    while (kib < 0 && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kib) != 1) kib = -1;
    fclose(file);
    return kib;
}

struct growth {
    char *path;
    float position[PARTICLES * 3];
    double energy;
    trajlog_writer *log;
    int64_t rows;
};

static void open_log(struct growth *growth)
{
    growth->log = log_positions(growth->path, PARTICLES, growth->position, NULL);
    trajlog_group *group = trajlog_add_group(growth->log, "thermo", trajlog_every(1));
    trajlog_add_field(group, "energy", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &growth->energy, NULL);
    growth->rows = 0;
}

/* Until the worker, too, has done with them. */
static double log_until(struct growth *growth, int64_t rows)
{
    int64_t begin_rows = growth->rows;
    trajlog_statistics statistics = {.struct_size = sizeof statistics};
    double begin = seconds_now();
    for (; growth->rows < rows; growth->rows++) {
        growth->energy = (double)growth->rows;
        check_log(growth->log, trajlog_log(growth->log, growth->rows, (double)growth->rows));
    }
    do {
        if (trajlog_get_statistics(growth->log, &statistics) != TRAJLOG_OK) fail("no statistics");
    } while (statistics.rows < 2 * rows);
    return (seconds_now() - begin) / (double)(rows - begin_rows);
}

static double late_by_early(struct growth *growth)
{
    open_log(growth);
    log_until(growth, EARLY);
    double early = log_until(growth, EARLY + BLOCK);
    log_until(growth, LATE);
    double late = log_until(growth, LATE + BLOCK);
    close_log(&growth->log);
    unlink(growth->path);
    return late / early;
}

static double memory_growth(struct growth *growth)
{
    open_log(growth);
    log_until(growth, 10000);
    long early = resident_kib();
    log_until(growth, LATE);
    long late = resident_kib();
    close_log(&growth->log);
    unlink(growth->path);
    return (double)(late - early);
}

/* The whole way, block by block. */
static void scan_rows(struct growth *growth)
{
    enum { BLOCKS = LATE / BLOCK };
    double x[BLOCKS], y[BLOCKS];
    open_log(growth);
    for (int i = 0; i < BLOCKS; i++) {
        x[i] = (double)(i + 1) * BLOCK;
        y[i] = 1e9 * log_until(growth, (int64_t)(i + 1) * BLOCK);
    }
    close_log(&growth->log);
    unlink(growth->path);
    print_series("row_cost", "row", "ns per row", x, y, BLOCKS);
}

int main(int argc, char **argv)
{
    struct settings settings = settings_parse(argc, argv);
    struct frames frames = frames_load(&settings);
    struct growth growth = {.path = path_in(&settings, "growth.h5")};
    double ratios[MOST_SAMPLES];
    const int repetitions = (int)choose(&settings, 25, 7);
    frames_fill(&frames, 0, PARTICLES, growth.position);
    frames_free(&frames);
    /* First: later logs find the memory of earlier ones. */
    double kib = memory_growth(&growth);
    print_figure("rss_growth_kib", &kib, 1, "resident memory of the whole process");
    for (int i = 0; i < repetitions; i++) ratios[i] = late_by_early(&growth);
    print_figure("row_cost_1e6_vs_1e3", ratios, repetitions, "%d particles and a scalar per row", PARTICLES);
    if (!settings.quick) scan_rows(&growth);
    free(growth.path);
    return 0;
}
