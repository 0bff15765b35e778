/* The `trajlog` command: what its subcommands share. Built on the public header only. */
#ifndef TOOL_TOOL_H
#define TOOL_TOOL_H

#include "trajlog.h"

/* Exit statuses of all subcommands. */
enum exit_status {
    EXIT_GOOD = 0,
    EXIT_TROUBLE = 1, /* the file is not sound, or cannot be read, or written */
    EXIT_USAGE = 2    /* the command line is not understood, or names a file that is not there */
};

/* Each gets its own name and arguments as argv, and returns an exit status. */
int tool_info(int argc, char **argv);
int tool_check(int argc, char **argv);
int tool_recover(int argc, char **argv);

/* trajlog check --h5md. */
int check_h5md(const char *path, const char *root);

/* Says on the standard error stream what the library's latest call in this thread failed of; returns the exit status for
 * it. `name`: "trajlog info". */
int tool_failed(const char *name, trajlog_status status);

/* Sees to it that all that was printed has arrived; returns `status`, or EXIT_TROUBLE. */
int tool_end(const char *name, int status);

/* Prints a text from a file without what could move a terminal's cursor. */
void print_safely(const char *text);

#endif
