/* Unit tests with cmocka. `TEST_MAIN(tests)` makes a program that runs all its tests, prints their names with --list,
 * or runs the one that is named: the runner gives each test a process and a time limit of its own. */
#ifndef TEST_HARNESS_H
#define TEST_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Sanitizers make everything slow, and look at memory: of many states that are nearly the same, one of so many will do. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRIDE 7
#else
#define STRIDE 1
#endif

#define TEST_MAIN(tests)                                                                                               \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        if (argc > 1 && strcmp(argv[1], "--list") == 0) {                                                              \
            for (size_t i = 0; i < sizeof(tests) / sizeof(tests)[0]; i++) puts((tests)[i].name);                       \
            return 0;                                                                                                  \
        }                                                                                                              \
        if (argc > 1) cmocka_set_test_filter(argv[1]);                                                                 \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                              \
    }

#endif
