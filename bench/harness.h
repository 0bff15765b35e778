/* What all benchmarks share: options, the clock, repetitions in turns, medians, and the lines that are printed. Knows
 * nothing of trajlog.
 *
 * Each program prints one JSON object per line on stdout; bench/report.py makes the table of them:
 *     {"name": "drain_vs_write_12k", "value": 0.97, "low": 0.95, "high": 0.98, "samples": 9, "note": "..."}
 *     {"missing": "series_vs_h5py", "why": "..."}
 *     {"series": "row_cost", "x_label": "row", "y_label": "ns per row", "x": [1, 2], "y": [3, 4]}
 *     {"raw": 0.0123, "bytes": 4096}                    (--raw: one measurement, for a peer in another language) */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOST_SAMPLES 1000

struct settings {
    bool quick;
    const char *directory; /* where all files go that are written */
    const char *argon;     /* a log of md_argon */
    const char *raw;       /* one measurement of this name instead of the figures; NULL */
    const char *file;      /* that it reads or writes; NULL */
};

/* --quick --directory DIR --argon FILE --raw NAME --file FILE. Ends the program if they are wrong. */
struct settings settings_parse(int argc, char **argv);
/* The full benchmark's number, or the quick one's. */
int64_t choose(const struct settings *settings, int64_t full, int64_t quick);
bool is_raw(const struct settings *settings, const char *name);

void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* `pointer`, which is never NULL: else the program ends. Its pages are there already. */
void *allocate(size_t bytes);
/* A path in settings->directory. The text is free()d by the caller. */
char *path_in(const struct settings *settings, const char *name);
int64_t file_bytes(const char *path);

double seconds_now(void);
void pause_for(double seconds);

/* One measurement: seconds, or whatever is compared. */
typedef double (*measurement)(void *context);

enum ratio {
    OURS_BY_PEER, /* of times: lower is better */
    PEER_BY_OURS  /* of times: how many times as fast as the peer */
};

/* Takes turns, ours first and peer first, `repetitions` times, after one of each that is not counted. The figure is the
 * median of the pairs' ratios, with its quartiles. `work` (0: none) is the number of bytes of each measurement. */
void compare(const char *name, enum ratio ratio, measurement ours, measurement peer, void *context, int repetitions,
             double work);

/* The median of `repetitions` measurements, times `scale`, and its quartiles. */
void measure(const char *name, measurement ours, void *context, int repetitions, double scale);

struct summary {
    double median, low, high; /* quartiles */
};
struct summary summarize(const double *samples, int count); /* 1 to MOST_SAMPLES */

void print_figure(const char *name, const double *samples, int count, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void print_missing(const char *name, const char *why);
void print_raw(double value, int64_t bytes);
void print_series(const char *name, const char *x_label, const char *y_label, const double *x, const double *y,
                  int count);

#endif
