/* fork() of a process with threads. A child may allocate and free: the C library sees to that, and GCC's ThreadSanitizer
 * does not. With its allocator a child may wait for ever for a thread that it does not have; so there, and only there,
 * the fork waits until all other threads sleep. */
#ifndef TEST_THREADS_FORK_H
#define TEST_THREADS_FORK_H

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
static inline bool thread_sleeps(const char *thread)
{
    char path[300], state = 'S'; /* also of a thread that has just ended */
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", thread);
    FILE *file = fopen(path, "r");
    if (file == NULL) return true;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'S';
    fclose(file);
    return state == 'S';
}

static inline bool other_threads_sleep(void)
{
    bool sleep = true;
    DIR *directory = opendir("/proc/self/task");
    if (directory == NULL) return false;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != gettid()) sleep = thread_sleeps(entry->d_name) && sleep;
    closedir(directory);
    return sleep;
}

static inline void wait_for_other_threads(void)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    for (int seen = 0; seen < 5; seen = other_threads_sleep() ? seen + 1 : 0) nanosleep(&pause, NULL);
}
#else
static inline void wait_for_other_threads(void)
{
}
#endif

static inline pid_t fork_with_threads(void)
{
    wait_for_other_threads();
    return fork();
}

#endif
