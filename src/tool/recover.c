/* trajlog recover FILE: finishes what a writer that was killed has left. */
#include <argp.h>
#include <stdio.h>

#include "tool.h"

struct arguments {
    const char *path;
    int no_lock;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'n':
        arguments->no_lock = 1;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->path) argp_error(state, "one file at a time");
        arguments->path = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_recovery(const char *path, const trajlog_recovery *recovery)
{
    print_safely(path);
    if (!recovery->changed) {
        printf(": nothing to do\n");
        return;
    }
    printf(": recovered");
    if (recovery->journal == TRAJLOG_JOURNAL_NEEDED) printf(", with an update that its journal took back");
    if (recovery->removed_bytes > 0)
        printf(", and cut by %lld bytes that held nothing", (long long)recovery->removed_bytes);
    putchar('\n');
}

int tool_recover(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"no-lock", 'n', NULL, 0, "Do without the lock that keeps writers out, on a file system that has none", 0},
        {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "FILE",
        .doc =
            "Finish what a writer that was killed has left: take back an update that was cut, by its "
            "journal, cut FILE to what it holds, remove what lies beside it. No row is lost, and a file that was "
            "closed is not touched. "
            "FILE can be read and resumed without this.\v"
            "The exit status is 0 if FILE is in order now, 1 if it cannot be brought into order, or is being written, "
            "and 2 if the command line is not understood, or FILE is not there."};
    struct arguments arguments = {0};
    trajlog_recovery recovery = {.struct_size = sizeof recovery};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) return EXIT_USAGE;
    trajlog_status status = trajlog_recover(arguments.path, arguments.no_lock, &recovery);
    if (status != TRAJLOG_OK) return tool_failed("trajlog recover", status);
    print_recovery(arguments.path, &recovery);
    return tool_end("trajlog recover", EXIT_GOOD);
}
