#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "tool.h"
#include "trajlog.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {{"info", tool_info}, {"check", tool_check}, {"recover", tool_recover}};

static const char usage[] = "COMMAND [ARGUMENT...]";
static const char help[] = "Look at trajlog files.\v"
                           "Commands:\n"
                           "  info FILE           show groups, fields, shapes, types, units, frequencies and rows\n"
                           "  check FILE          read everything in it, and say whether it is sound\n"
                           "  check --h5md FILE   list the rules of the H5MD specification as held or broken\n"
                           "  recover FILE        finish what a writer that was killed has left\n"
                           "\n"
                           "trajlog COMMAND --help says more. The exit status is 0 if all went well, 1 if a file "
                           "is not sound or cannot be read, and 2 if the command line is not understood, or the "
                           "file is not there.";

struct choice {
    const struct command *command;
    int place; /* of its name in argv */
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct choice *choice = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
            if (strcmp(argument, commands[i].name) == 0) choice->command = &commands[i];
        if (!choice->command) argp_error(state, "there is no command \"%s\"", argument);
        choice->place = state->next - 1;
        state->next = state->argc; /* the rest is the command's */
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "trajlog %s\n", trajlog_version());
}

int main(int argc, char **argv)
{
    static const struct argp argp = {.parser = parse, .args_doc = usage, .doc = help};
    struct choice choice = {NULL, 0};
    argp_program_version_hook = print_version;
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &choice) != 0 || !choice.command) return EXIT_USAGE;

    char name[64];
    snprintf(name, sizeof name, "trajlog %s", choice.command->name);
    argv[choice.place] = name; /* so that its messages and its help name both */
    return choice.command->run(argc - choice.place, argv + choice.place);
}
