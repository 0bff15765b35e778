/* The `trajlog` command: what its subcommands share. Built on the public header only. */
#ifndef TOOL_TOOL_H
#define TOOL_TOOL_H

/* Exit statuses of all subcommands. */
enum exit_status {
    EXIT_GOOD = 0,
    EXIT_TROUBLE = 1, /* the file cannot be read, or written */
    EXIT_USAGE = 2    /* the command line is not understood */
};

/* Each gets its own name and arguments as argv, and returns an exit status. */
int tool_info(int argc, char **argv);
int tool_check(int argc, char **argv);

#endif
