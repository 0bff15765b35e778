/* trajlog check --h5md FILE: each rule of the H5MD specification, held or broken. */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "tool.h"
#include "trajlog.h"

struct arguments {
    const char *path, *root;
    int h5md;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'm':
        arguments->h5md = 1;
        return 0;
    case 'r':
        arguments->root = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->path != NULL) argp_error(state, "expected one file");
        arguments->path = argument;
        return 0;
    case ARGP_KEY_END:
        if (arguments->path == NULL) argp_error(state, "expected a file");
        if (!arguments->h5md) argp_error(state, "expected --h5md");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What the rules came to. */
struct tally {
    int held, broken, idle;
};

static void print_rule(const trajlog_h5md_rule *rule, void *context)
{
    struct tally *tally = context;
    const char *verdict = "held";
    if (rule->broken > 0) {
        tally->broken++;
        verdict = "BROKEN";
    } else if (rule->held > 0) {
        tally->held++;
    } else {
        tally->idle++;
        verdict = "-";
    }
    printf("%-6s  %-29s  %s\n", verdict, rule->name, rule->text);
    if (rule->broken > 0) printf("        %s%s\n", rule->detail, rule->broken > 3 ? "; and elsewhere" : "");
}

int tool_check(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"h5md", 'm', NULL, 0, "list the rules of the H5MD 1.1 specification as held or broken; any HDF5 file", 0},
        {"root", 'r', "GROUP", 0, "the group that is the root of the H5MD tree; /", 0},
        {0}};
    static const struct argp argp = {.options = options,
                                     .parser = parse,
                                     .args_doc = "--h5md FILE",
                                     .doc = "Check a file.\vThe exit status is 0 if no rule is broken, 1 if one is or "
                                            "the file cannot be read, and 2 if the command line is not understood. A "
                                            "rule with nothing to apply to is marked with a dash."};
    struct arguments arguments = {0};
    struct tally tally = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) return EXIT_USAGE;
    if (trajlog_check_h5md(arguments.path, arguments.root, print_rule, &tally) != TRAJLOG_OK) {
        fprintf(stderr, "%s: %s\n", argv[0], trajlog_message(NULL));
        return EXIT_TROUBLE;
    }
    printf("%d rules held, %d broken, %d with nothing to apply to\n", tally.held, tally.broken, tally.idle);
    if (fflush(stdout) != 0) return EXIT_TROUBLE;
    return tally.broken == 0 ? EXIT_GOOD : EXIT_TROUBLE;
}
