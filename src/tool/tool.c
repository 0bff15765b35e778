#include "tool.h"

#include <stdio.h>

int tool_failed(const char *name, trajlog_status status)
{
    fprintf(stderr, "%s: %s\n", name, trajlog_message(NULL));
    return status == TRAJLOG_NOT_FOUND ? EXIT_USAGE : EXIT_TROUBLE;
}

int tool_end(const char *name, int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    fprintf(stderr, "%s: ", name);
    perror("cannot write");
    return EXIT_TROUBLE;
}

void print_safely(const char *text)
{
    for (; *text; text++) putchar((unsigned char)*text < 32 || *text == 127 ? '?' : *text);
}
