#include "harness.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* ---------------------------------------------------------------------------------------------------------------------
 * Options
 * ------------------------------------------------------------------------------------------------------------------ */

struct settings settings_parse(int argc, char **argv)
{
    struct settings settings = {.directory = "."};
    const struct {
        const char *option;
        const char **value;
    } texts[] = {{"--directory", &settings.directory},
                 {"--argon", &settings.argon},
                 {"--raw", &settings.raw},
                 {"--file", &settings.file}};
    for (int i = 1; i < argc; i++) {
        bool known = strcmp(argv[i], "--quick") == 0;
        settings.quick = settings.quick || known;
        for (size_t j = 0; !known && i + 1 < argc && j < sizeof texts / sizeof texts[0]; j++) {
            if (strcmp(argv[i], texts[j].option) != 0) continue;
            *texts[j].value = argv[++i];
            known = true;
        }
        if (!known) fail("%s: unknown, or without a value", argv[i]);
    }
    return settings;
}

int64_t choose(const struct settings *settings, int64_t full, int64_t quick)
{
    return settings->quick ? quick : full;
}

bool is_raw(const struct settings *settings, const char *name)
{
    return settings->raw != NULL && strcmp(settings->raw, name) == 0;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Small things
 * ------------------------------------------------------------------------------------------------------------------ */

void fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    exit(1);
}

void *allocate(size_t bytes)
{
    void *memory = NULL;
    if (posix_memalign(&memory, 4096, bytes > 0 ? bytes : 1) != 0) fail("no memory for %zu bytes", bytes);
    memset(memory, 1, bytes);
    return memory;
}

char *path_in(const struct settings *settings, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", settings->directory, name) < 0) fail("no memory for a path");
    return path;
}

int64_t file_bytes(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) fail("%s: %s", path, strerror(errno));
    return (int64_t)status.st_size;
}

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void pause_for(double seconds)
{
    struct timespec left = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - floor(seconds)) * 1e9)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Statistics
 * ------------------------------------------------------------------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double quantile(const double *sorted, int count, double fraction)
{
    double place = fraction * (count - 1);
    int below = (int)place;
    if (below + 1 >= count) return sorted[count - 1];
    return sorted[below] + (place - below) * (sorted[below + 1] - sorted[below]);
}

struct summary summarize(const double *samples, int count)
{
    double sorted[MOST_SAMPLES];
    if (count < 1 || count > MOST_SAMPLES) fail("%d samples", count);
    memcpy(sorted, samples, (size_t)count * sizeof sorted[0]);
    qsort(sorted, (size_t)count, sizeof sorted[0], compare_doubles);
    return (struct summary){quantile(sorted, count, 0.5), quantile(sorted, count, 0.25), quantile(sorted, count, 0.75)};
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Lines
 * ------------------------------------------------------------------------------------------------------------------ */

void print_figure(const char *name, const double *samples, int count, const char *format, ...)
{
    char note[400];
    va_list list;
    va_start(list, format);
    vsnprintf(note, sizeof note, format, list);
    va_end(list);
    struct summary summary = summarize(samples, count);
    printf("{\"name\": \"%s\", \"value\": %.6g, \"low\": %.6g, \"high\": %.6g, \"samples\": %d, \"note\": \"%s\"}\n",
           name, summary.median, summary.low, summary.high, count, note);
    fflush(stdout);
}

void print_missing(const char *name, const char *why)
{
    printf("{\"missing\": \"%s\", \"why\": \"%s\"}\n", name, why);
    fflush(stdout);
}

void print_raw(double value, int64_t bytes)
{
    printf("{\"raw\": %.9g, \"bytes\": %lld}\n", value, (long long)bytes);
}

static void print_numbers(const char *key, const double *numbers, int count)
{
    printf(", \"%s\": [", key);
    for (int i = 0; i < count; i++) printf("%s%.6g", i > 0 ? ", " : "", numbers[i]);
    printf("]");
}

void print_series(const char *name, const char *x_label, const char *y_label, const double *x, const double *y,
                  int count)
{
    printf("{\"series\": \"%s\", \"x_label\": \"%s\", \"y_label\": \"%s\"", name, x_label, y_label);
    print_numbers("x", x, count);
    print_numbers("y", y, count);
    printf("}\n");
    fflush(stdout);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Repetitions
 * ------------------------------------------------------------------------------------------------------------------ */

static void take_turns(measurement ours, measurement peer, void *context, int repetitions, double *our_samples,
                       double *peer_samples)
{
    if (repetitions > MOST_SAMPLES) fail("%d repetitions", repetitions);
    for (int i = -1; i < repetitions; i++) {
        bool ours_first = i % 2 == 0;
        double our_sample = ours_first ? ours(context) : 0;
        double peer_sample = peer(context);
        if (!ours_first) our_sample = ours(context);
        if (i < 0) continue;
        our_samples[i] = our_sample;
        peer_samples[i] = peer_sample;
    }
}

static void describe_pair(char *text, size_t size, double ours, double peer, double work)
{
    if (work > 0) snprintf(text, size, "%.0f MB/s, peer %.0f MB/s", 1e-6 * work / ours, 1e-6 * work / peer);
    else if (ours < 1e-3) snprintf(text, size, "%.4g us, peer %.4g us", 1e6 * ours, 1e6 * peer);
    else snprintf(text, size, "%.4g ms, peer %.4g ms", 1e3 * ours, 1e3 * peer);
}

void compare(const char *name, enum ratio ratio, measurement ours, measurement peer, void *context, int repetitions,
             double work)
{
    double our_samples[MOST_SAMPLES], peer_samples[MOST_SAMPLES], ratios[MOST_SAMPLES];
    char note[200];
    take_turns(ours, peer, context, repetitions, our_samples, peer_samples);
    for (int i = 0; i < repetitions; i++)
        ratios[i] = ratio == OURS_BY_PEER ? our_samples[i] / peer_samples[i] : peer_samples[i] / our_samples[i];
    describe_pair(note, sizeof note, summarize(our_samples, repetitions).median,
                  summarize(peer_samples, repetitions).median, work);
    print_figure(name, ratios, repetitions, "%s", note);
}

void measure(const char *name, measurement ours, void *context, int repetitions, double scale)
{
    double samples[MOST_SAMPLES];
    if (repetitions > MOST_SAMPLES) fail("%d repetitions", repetitions);
    for (int i = -1; i < repetitions; i++) {
        double sample = ours(context);
        if (i >= 0) samples[i] = scale * sample;
    }
    print_figure(name, samples, repetitions, "%s", "");
}
