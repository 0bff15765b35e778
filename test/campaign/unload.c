/* A program that loads the library with dlopen, logs with it, and unloads it; again and again.
 *
 *     unload FILE LIBRARY close|leave
 *
 * "leave": the log is not closed before. Each round logs 100 steps of a scalar x = step to FILE.ROUND. */
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "trajlog.h"

#define ROUNDS 3

/* The functions of the library that is loaded now. */
static struct {
    trajlog_status (*create)(trajlog_writer **log, const char *path, const trajlog_options *options);
    trajlog_group *(*add_group)(trajlog_writer *log, const char *name, trajlog_frequency frequency);
    trajlog_field *(*add_field)(trajlog_group *group, const char *name, trajlog_type type, trajlog_shape shape,
                                const void *data, const char *unit);
    trajlog_frequency (*every)(int64_t interval);
    trajlog_status (*log)(trajlog_writer *log, int64_t step, double time);
    trajlog_status (*close)(trajlog_writer **log);
} library;

/* What dlsym gives is no pointer to a function for ISO C; POSIX says that it can be made one so. */
static void *load(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct {
        const char *name;
        void *place;
    } functions[] = {{"trajlog_create", &library.create},
                     {"trajlog_add_group", &library.add_group},
                     {"trajlog_add_field", &library.add_field},
                     {"trajlog_every", &library.every},
                     {"trajlog_log", &library.log},
                     {"trajlog_close", &library.close}};
    for (size_t i = 0; handle != NULL && i < sizeof functions / sizeof *functions; i++) {
        void *function = dlsym(handle, functions[i].name);
        if (function == NULL) return NULL;
        memcpy(functions[i].place, &function, sizeof function);
    }
    if (handle == NULL) fprintf(stderr, "%s\n", dlerror());
    return handle;
}

static int threads(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/task");
    if (directory == NULL) return -1;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

static int run(const char *path, int leave)
{
    static double x;
    trajlog_writer *log = NULL;
    if (library.create(&log, path, NULL) != TRAJLOG_OK) return 3;
    library.add_field(library.add_group(log, "thermo", library.every(1)), "x", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &x,
                      NULL);
    for (int64_t step = 0; step < 100; step++) {
        x = (double)step;
        if (library.log(log, step, (double)step) != TRAJLOG_OK) return 4;
    }
    return leave || library.close(&log) == TRAJLOG_OK ? 0 : 5;
}

int main(int argc, char **argv)
{
    char name[4096];
    if (argc != 4) return 100;
    for (int round = 0; round < ROUNDS; round++) {
        void *handle = load(argv[2]);
        if (handle == NULL) return 2;
        snprintf(name, sizeof name, "%s.%d", argv[1], round);
        int status = run(name, strcmp(argv[3], "leave") == 0);
        if (status != 0) return status;
        if (dlclose(handle) != 0) return 6;
        /* A worker that is still there would run in memory that is gone. The system may show a thread for a moment
         * after it was joined. */
        for (int i = 0; i < 6000 && threads() != 1; i++) nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        if (threads() != 1) return 7;
    }
    return 0;
}
