/* trajlog check FILE [--json]: whether everything in a file can be read and agrees; and --h5md, which is elsewhere. */
#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

struct arguments {
    const char *path, *root, *filters;
    bool json, h5md;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'j':
        arguments->json = true;
        return 0;
    case 'f':
        arguments->filters = argument;
        return 0;
    case 'm':
        arguments->h5md = true;
        return 0;
    case 'r':
        arguments->root = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->path) argp_error(state, "one file at a time");
        arguments->path = argument;
        return 0;
    case ARGP_KEY_END:
        if (!arguments->path) argp_error(state, "expected a file");
        if (arguments->root && !arguments->h5md) argp_error(state, "--root goes with --h5md");
        if (arguments->h5md && (arguments->json || arguments->filters))
            argp_error(state, "--json and --filter do not go with --h5md");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char *state_text(const trajlog_check_report *report)
{
    if (report->writer_is_alive) return "being written";
    return report->closed ? "closed" : "killed";
}

static const char *journal_text(trajlog_journal journal)
{
    switch (journal) {
    case TRAJLOG_JOURNAL_NONE:
        return "none";
    case TRAJLOG_JOURNAL_UNUSED:
        return "unused";
    case TRAJLOG_JOURNAL_NEEDED:
        return "needed";
    }
    return "unknown";
}

/* ---------------------------------------------------------------------------------------------------------------------
 * For people
 * ------------------------------------------------------------------------------------------------------------------ */

static void print_problem(const char *message, void *context)
{
    int *problems = context;
    ++*problems;
    printf("problem: ");
    print_safely(message);
    putchar('\n');
}

/* What a crash has left, which hinders nobody. */
static void print_remains(const trajlog_check_report *report)
{
    long long hole = (long long)(report->file_bytes - report->end_bytes);
    bool crashed = !report->writer_is_alive && (hole > 0 || report->unfinished || report->journal);
    if (report->journal == TRAJLOG_JOURNAL_UNUSED) printf("  a journal lies beside it, and is not needed\n");
    if (report->unfinished) printf("  a new file lies beside it, of a run that was killed before its first step\n");
    if (hole > 0) printf("  %lld bytes behind the end of what it holds\n", hole);
    if (crashed) printf("  trajlog recover cleans this up; nothing depends on it\n");
}

static void print_report(const char *path, const trajlog_check_report *report)
{
    print_safely(path);
    if (report->problems == 0) printf(": sound\n");
    else printf(": %lld problem%s\n", (long long)report->problems, report->problems == 1 ? "" : "s");
    if (report->problems > 0 && report->group_count == 0) return; /* it could not be opened */
    if (report->last_step == TRAJLOG_FROM_THE_START) printf("  %s; no steps in it\n", state_text(report));
    else printf("  %s; complete to step %lld\n", state_text(report), (long long)report->last_step);
    printf("  %d group%s, %lld row%s\n", (int)report->group_count, report->group_count == 1 ? "" : "s",
           (long long)report->rows, report->rows == 1 ? "" : "s");
    if (report->dropped > 0) printf("  %lld frames dropped\n", (long long)report->dropped);
    if (report->checkpoints > 0)
        printf("  %d checkpoint%s, the newest of step %lld\n", (int)report->checkpoints,
               report->checkpoints == 1 ? "" : "s", (long long)report->checkpoint_step);
    print_remains(report);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * For programs
 * ------------------------------------------------------------------------------------------------------------------ */

static void keep_problem(const char *message, void *context)
{
    /* What is no UTF-8 comes from the file; that there was a problem is what counts. */
    json_t *text = json_string(message);
    json_array_append_new(context, text ? text : json_string("a problem whose text is not UTF-8"));
}

static int print_json(const char *path, const trajlog_check_report *report, json_t *problems)
{
    json_t *last_step = report->last_step == TRAJLOG_FROM_THE_START ? json_null() : json_integer(report->last_step);
    json_t *checkpoint_step = report->checkpoints > 0 ? json_integer(report->checkpoint_step) : json_null();
    json_t *json =
        json_pack("{s:s, s:b, s:O, s:s, s:o, s:i, s:I, s:I, s:i, s:o, s:s, s:b, s:I, s:I}", "path", path, "sound",
                  report->problems == 0, "problems", problems, "state", state_text(report), "last_step", last_step,
                  "groups", (int)report->group_count, "rows", (json_int_t)report->rows, "dropped",
                  (json_int_t)report->dropped, "checkpoints", (int)report->checkpoints, "checkpoint_step",
                  checkpoint_step, "journal", journal_text(report->journal), "unfinished", report->unfinished != 0,
                  "file_bytes", (json_int_t)report->file_bytes, "end_bytes", (json_int_t)report->end_bytes);
    bool good = json && json_dumpf(json, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
    json_decref(json);
    if (good) return report->problems == 0 ? EXIT_GOOD : EXIT_TROUBLE;
    fprintf(stderr, "trajlog check: the report on %s cannot be put into JSON\n", path);
    return EXIT_TROUBLE;
}

/* ------------------------------------------------------------------------------------------------------------------ */

/* Whether there is something to report; otherwise the file could not even be looked at. */
static bool was_examined(trajlog_status status, const trajlog_check_report *report)
{
    return status == TRAJLOG_OK || report->problems > 0;
}

static int check_for_programs(const struct arguments *arguments, const trajlog_reader_options *options)
{
    trajlog_check_report report = {.struct_size = sizeof report};
    json_t *problems = json_array();
    trajlog_status status = trajlog_check(arguments->path, options, &report, keep_problem, problems);
    int result = was_examined(status, &report) ? print_json(arguments->path, &report, problems)
                                               : tool_failed("trajlog check", status);
    json_decref(problems);
    return result;
}

static int check_for_people(const struct arguments *arguments, const trajlog_reader_options *options)
{
    trajlog_check_report report = {.struct_size = sizeof report};
    int problems = 0;
    trajlog_status status = trajlog_check(arguments->path, options, &report, print_problem, &problems);
    if (!was_examined(status, &report)) return tool_failed("trajlog check", status);
    print_report(arguments->path, &report);
    return problems == 0 ? EXIT_GOOD : EXIT_TROUBLE;
}

int tool_check(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"json", 'j', NULL, 0, "Print JSON, for programs", 0},
        {"filter", 'f', "NAMES", 0, "Use these filters too, which are no part of HDF5: 32015, or zstd,lz4", 0},
        {"h5md", 'm', NULL, 0, "List the rules of the H5MD 1.1 specification as held or broken; any HDF5 file", 0},
        {"root", 'r', "GROUP", 0, "The group that is the root of the H5MD tree; /", 0},
        {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "FILE",
        .doc =
            "Read everything in FILE, and say what is wrong: what cannot be read, datasets of a group that differ in "
            "their rows, steps and times out of order, damaged checkpoints. FILE may be one that is being written, "
            "or whose writer was killed; it is not changed.\v"
            "The exit status is 0 if FILE is sound (or no H5MD rule is broken), 1 if it is not or cannot be read, "
            "and 2 if the command line is not understood, or FILE is not there. An H5MD rule with nothing to apply "
            "to is marked with a dash."};
    struct arguments arguments = {0};
    trajlog_reader_options reader_options = {.struct_size = sizeof reader_options};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) return EXIT_USAGE;
    if (arguments.h5md) return check_h5md(arguments.path, arguments.root);
    reader_options.filters = arguments.filters;
    int status = arguments.json ? check_for_programs(&arguments, &reader_options)
                                : check_for_people(&arguments, &reader_options);
    return tool_end("trajlog check", status);
}
