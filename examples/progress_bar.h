/* A progress bar with the time that is left, drawn on a terminal from trajlog's progress callback. */
#ifndef EXAMPLES_PROGRESS_BAR_H
#define EXAMPLES_PROGRESS_BAR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "trajlog.h"

static inline void draw_progress_bar(const trajlog_progress *progress, void *context)
{
    (void)context;
    const int width = 40;
    static bool finished; /* the last step and the end of the log both report a full bar */
    if (finished || !(progress->fraction >= 0)) return; /* not a number: the number of steps is not known */
    finished = progress->fraction >= 1;
    int filled = (int)(progress->fraction * width);
    fprintf(stderr, "\r[");
    for (int i = 0; i < width; i++) fputc(i < filled ? '#' : '.', stderr);
    fprintf(stderr, "] %3.0f %%  step %lld", 100 * progress->fraction, (long long)progress->step);
    if (progress->remaining_seconds >= 0) {
        long long left = (long long)(progress->remaining_seconds + 0.5);
        fprintf(stderr, "  %lld:%02lld:%02lld left ", left / 3600, left / 60 % 60, left % 60);
    }
    fprintf(stderr, "\033[K%s", finished ? "\n" : "");
    fflush(stderr);
}

/* The callback to hand to trajlog: none where nobody looks at it. */
static inline trajlog_progress_callback progress_bar(bool quiet)
{
    return !quiet && isatty(STDERR_FILENO) ? draw_progress_bar : NULL;
}

#endif
