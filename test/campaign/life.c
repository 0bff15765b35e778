/* What processes do besides calling trajlog_close at the right time.
 *
 *     life FILE KIND [ARGUMENT]
 *
 * Logs STEPS steps, or fewer where the kind says so, of two groups: "trajectory", each step, position float64 [100, 3]
 * of the value 300 step + place; "thermo", every third step, energy = step + 0.25. Prints "flushed STEP" after a flush,
 * other lines as the kinds below say, and "closed STATUS" if it comes to a close. Exit status 0: the program is content. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "trajlog.h"

#define STEPS  2000
#define PLACES 300

static double position[PLACES], energy;
static trajlog_writer *the_log;
static volatile sig_atomic_t asked_to_end;

static void tell(const char *what, int64_t number)
{
    char line[80];
    int length = snprintf(line, sizeof line, "%s %" PRId64 "\n", what, number);
    if (write(STDOUT_FILENO, line, (size_t)length) != length) _exit(101);
}

#define NEED(truth) need((truth), #truth, __LINE__)
static void need(bool truth, const char *what, int line)
{
    if (truth) return;
    fprintf(stderr, "life.c:%d: %s: %s\n", line, what, trajlog_message(NULL));
    _exit(102);
}

static trajlog_writer *open_log(const char *path, double flush_seconds)
{
    trajlog_writer *log = NULL;
    trajlog_options options = trajlog_default_options();
    options.flush_seconds = flush_seconds;
    NEED(trajlog_create(&log, path, &options) == TRAJLOG_OK);
    trajlog_group *trajectory = trajlog_add_group(log, "trajectory", trajlog_every(1));
    NEED(trajlog_add_field(trajectory, "position", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(PLACES / 3, 3), position, "nm"));
    trajlog_group *thermo = trajlog_add_group(log, "thermo", trajlog_every(3));
    NEED(trajlog_add_field(thermo, "energy", TRAJLOG_FLOAT64, TRAJLOG_SCALAR, &energy, "kJ mol-1"));
    return log;
}

static trajlog_status log_step(trajlog_writer *log, int64_t step)
{
    for (int i = 0; i < PLACES; i++) position[i] = (double)(PLACES * step + i);
    energy = (double)step + 0.25;
    return trajlog_log(log, step, 0.5 * (double)step);
}

static void log_steps(trajlog_writer *log, int64_t first, int64_t stop)
{
    for (int64_t step = first; step < stop; step++) NEED(log_step(log, step) == TRAJLOG_OK);
}

static void flush_log(trajlog_writer *log, int64_t step)
{
    NEED(trajlog_flush(log) == TRAJLOG_OK);
    tell("flushed", step);
}

static int close_log(trajlog_writer **log)
{
    trajlog_status status = trajlog_close(log);
    tell("closed", (int64_t)status);
    return (int)status;
}

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* A log with the first half flushed, and some of the second half under way. */
static trajlog_writer *begin(const char *path)
{
    trajlog_writer *log = open_log(path, 3600);
    log_steps(log, 0, STEPS / 2);
    flush_log(log, STEPS / 2 - 1);
    log_steps(log, STEPS / 2, STEPS - 100);
    return log;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Ends
 * ------------------------------------------------------------------------------------------------------------------ */

/* main returns, and the log is open. */
static int end_by_return(const char *path)
{
    log_steps(begin(path), STEPS - 100, STEPS);
    return 0;
}

static void *call_exit(void *log)
{
    log_steps(log, STEPS - 100, STEPS);
    exit(0);
}

/* exit, called in another thread than the one that opened the log. */
static int end_by_thread(const char *path)
{
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, call_exit, begin(path)) == 0);
    pthread_join(thread, NULL);
    return 1;
}

/* Nothing but groups was declared; no step came. */
static int end_before_first_step(const char *path)
{
    (void)open_log(path, 3600);
    return 0;
}

/* The host's own exit handler, that was registered first and so runs last, closes the log: too late, but harmless. */
static void close_at_exit(void)
{
    trajlog_status status = trajlog_close(&the_log);
    tell("closed", (int64_t)status);
}

static int end_by_own_handler(const char *path)
{
    NEED(atexit(close_at_exit) == 0);
    the_log = begin(path);
    log_steps(the_log, STEPS - 100, STEPS);
    return 0;
}

/* The same, registered last, so that it runs first. */
static int end_by_later_handler(const char *path)
{
    the_log = begin(path);
    NEED(atexit(close_at_exit) == 0);
    log_steps(the_log, STEPS - 100, STEPS);
    return 0;
}

static int end_by_underscore_exit(const char *path)
{
    (void)begin(path);
    _exit(0);
}

static int end_by_quick_exit(const char *path)
{
    (void)begin(path);
    quick_exit(0);
}

static int end_by_abort(const char *path)
{
    (void)begin(path);
    abort();
}

/* Several logs, none of them closed. */
static int end_with_many(const char *path)
{
    trajlog_writer *logs[4];
    char name[4096];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s.%d", path, i);
        logs[i] = i == 0 ? open_log(path, 3600) : open_log(name, 3600);
        log_steps(logs[i], 0, STEPS);
    }
    return 0;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Signals
 * ------------------------------------------------------------------------------------------------------------------ */

static void note(int number)
{
    (void)number;
    asked_to_end = 1;
}

static void leave(int number)
{
    (void)number;
    asked_to_end = 2;
}

/* Logs until it is killed, or a handler of the host says that it is to end; never more than a minute. */
static int64_t log_until_asked(trajlog_writer *log)
{
    int64_t step = 0;
    for (; asked_to_end == 0 && step < 60000; step++) {
        NEED(log_step(log, step) == TRAJLOG_OK);
        if (step % 20 == 0) flush_log(log, step);
        wait_a_little();
    }
    return step;
}

static int signal_without_handler(const char *path)
{
    (void)log_until_asked(open_log(path, 3600));
    return 1;
}

static int signal_then_close(const char *path)
{
    NEED(signal(SIGTERM, note) != SIG_ERR);
    trajlog_writer *log = open_log(path, 3600);
    tell("last", log_until_asked(log) - 1);
    return close_log(&log);
}

static int signal_then_exit(const char *path)
{
    NEED(signal(SIGTERM, leave) != SIG_ERR);
    tell("last", log_until_asked(open_log(path, 3600)) - 1);
    return 0;
}

/* The worker must leave signals to the host's threads: a timer that fires all the time is seen by them only. */
static pthread_t main_thread;
static atomic_int ticks, strange_ticks;
static void tick(int number)
{
    (void)number;
    ticks++;
    if (!pthread_equal(pthread_self(), main_thread)) strange_ticks++;
}

static int signals_all_the_time(const char *path)
{
    main_thread = pthread_self();
    NEED(signal(SIGALRM, tick) != SIG_ERR);
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    NEED(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    struct itimerspec often = {.it_interval = {.tv_nsec = 100000}, .it_value = {.tv_nsec = 100000}};
    NEED(timer_settime(timer, 0, &often, NULL) == 0);
    trajlog_writer *log = open_log(path, 0.001);
    for (int64_t step = 0; step < STEPS; step++) {
        NEED(log_step(log, step) == TRAJLOG_OK);
        if (step % 50 == 0) flush_log(log, step);
    }
    int status = close_log(&log);
    while (ticks == 0) wait_a_little();
    timer_delete(timer);
    tell("ticks", ticks);
    NEED(ticks > 0 && strange_ticks == 0);
    return status;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Fork
 * ------------------------------------------------------------------------------------------------------------------ */

static int wait_for(pid_t child)
{
    int status;
    NEED(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Forks now and then while the log is busy; each child does what it should not, and ends in its own way. */
static int fork_often(const char *path, void (*in_child)(trajlog_writer *log))
{
    trajlog_writer *log = open_log(path, 0.001);
    for (int64_t step = 0; step < STEPS; step++) {
        NEED(log_step(log, step) == TRAJLOG_OK);
        if (step % 100 != 50) continue;
        fflush(stdout);
        pid_t child = fork();
        NEED(child >= 0);
        if (child == 0) {
            in_child(log);
            _exit(103);
        }
        log_steps(log, step + 1, step + 10);
        step += 9;
        int status = wait_for(child);
        if (status != 0) tell("child", status);
        NEED(status == 0);
        flush_log(log, step);
    }
    return close_log(&log);
}

static void child_uses_log(trajlog_writer *log)
{
    if (trajlog_log(log, INT64_C(1) << 40, 1e9) == TRAJLOG_OK) _exit(1);
    if (trajlog_flush(log) == TRAJLOG_OK) _exit(2);
    (void)trajlog_close(&log);
    if (log != NULL) _exit(3);
    exit(0);
}

static void child_exits(trajlog_writer *log)
{
    (void)log;
    exit(0);
}

static void child_leaves(trajlog_writer *log)
{
    (void)log;
    _exit(0);
}

/* A log of the child's own, while the parent's is open. */
static void child_logs(trajlog_writer *log)
{
    (void)log;
    char name[80];
    snprintf(name, sizeof name, "/tmp/trajlog-life-%ld.h5", (long)getpid());
    trajlog_writer *own = open_log(name, 3600);
    log_steps(own, 0, 100);
    trajlog_status status = trajlog_close(&own);
    unlink(name);
    exit((int)status);
}

/* Another program gets no descriptor of ours. */
static void child_executes(trajlog_writer *log)
{
    (void)log;
    execl("/proc/self/exe", "life", "-", "list_descriptors", (char *)NULL);
}

static int fork_and_use(const char *path)
{
    return fork_often(path, child_uses_log);
}

static int fork_and_exit(const char *path)
{
    return fork_often(path, child_exits);
}

static int fork_and_leave(const char *path)
{
    return fork_often(path, child_leaves);
}

static int fork_and_log(const char *path)
{
    return fork_often(path, child_logs);
}

static int fork_and_execute(const char *path)
{
    return fork_often(path, child_executes);
}

/* Fails if any descriptor leads to a file whose name has ".h5" in it. */
static int list_descriptors(const char *path)
{
    (void)path;
    char name[300], target[4096];
    DIR *directory = opendir("/proc/self/fd");
    NEED(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        snprintf(name, sizeof name, "/proc/self/fd/%s", entry->d_name);
        ssize_t length = readlink(name, target, sizeof target - 1);
        if (length < 0) continue;
        target[length] = '\0';
        if (strstr(target, ".h5") == NULL) continue;
        fprintf(stderr, "open in another program: %s\n", target);
        return 104;
    }
    closedir(directory);
    return 0;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * A host that uses HDF5 itself
 * ------------------------------------------------------------------------------------------------------------------ */

static hid_t make_host_file(const char *path)
{
    char name[4096];
    snprintf(name, sizeof name, "%s.host", path);
    return H5Fcreate(name, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
}

/* Writes a dataset of its own, reads it back, and provokes an error. */
static bool use_hdf5(hid_t file, int number)
{
    char name[40];
    hsize_t size = PLACES;
    double data[PLACES], back[PLACES];
    for (int i = 0; i < PLACES; i++) data[i] = number + i;
    snprintf(name, sizeof name, "dataset%d", number);
    hid_t space = H5Screate_simple(1, &size, NULL);
    hid_t dataset = H5Dcreate2(file, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    bool good = dataset >= 0 && H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0 &&
                H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, back) >= 0 &&
                memcmp(data, back, sizeof data) == 0;
    good = H5Dclose(dataset) >= 0 && H5Sclose(space) >= 0 && good;
    return H5Dopen2(file, "no such dataset", H5P_DEFAULT) < 0 && H5Eget_num(H5E_DEFAULT) > 0 && good;
}

static atomic_int errors_printed;
static herr_t count_error(hid_t stack, void *data)
{
    (void)stack;
    (void)data;
    errors_printed++;
    return 0;
}

/* The host's error handler is still the host's, and hears of its own errors only. */
static int host_in_same_thread(const char *path)
{
    hid_t file = make_host_file(path);
    NEED(file >= 0 && H5Eset_auto2(H5E_DEFAULT, count_error, NULL) >= 0);
    trajlog_writer *log = open_log(path, 0.001);
    for (int64_t step = 0; step < STEPS; step++) {
        NEED(log_step(log, step) == TRAJLOG_OK);
        if (step % 10 != 0) continue;
        trajlog_hdf5_lock();
        bool good = use_hdf5(file, (int)step);
        trajlog_hdf5_unlock();
        NEED(good && errors_printed == step / 10 + 1);
        if (step % 100 == 0) flush_log(log, step);
    }
    int status = close_log(&log);
    NEED(use_hdf5(file, STEPS) && H5Fclose(file) >= 0);
    return status;
}

static hid_t shared_file;
static atomic_int next_number, stop_threads;
static void *use_hdf5_again_and_again(void *unused)
{
    /* A thread-safe libhdf5 has an error handler for each thread. */
    trajlog_hdf5_lock();
    bool good = H5Eset_auto2(H5E_DEFAULT, NULL, NULL) >= 0;
    trajlog_hdf5_unlock();
    while (good && !stop_threads) {
        trajlog_hdf5_lock();
        good = use_hdf5(shared_file, next_number++);
        trajlog_hdf5_unlock();
        wait_a_little();
    }
    return good ? NULL : unused;
}

static int host_in_other_threads(const char *path)
{
    pthread_t threads[3];
    void *bad;
    shared_file = make_host_file(path);
    NEED(shared_file >= 0 && H5Eset_auto2(H5E_DEFAULT, NULL, NULL) >= 0);
    trajlog_writer *log = open_log(path, 0.001);
    for (int i = 0; i < 3; i++) NEED(pthread_create(&threads[i], NULL, use_hdf5_again_and_again, &shared_file) == 0);
    for (int64_t step = 0; step < STEPS; step++) {
        NEED(log_step(log, step) == TRAJLOG_OK);
        if (step % 20 == 0) flush_log(log, step);
    }
    stop_threads = 1;
    for (int i = 0; i < 3; i++) {
        NEED(pthread_join(threads[i], &bad) == 0);
        NEED(bad == NULL);
    }
    int status = close_log(&log);
    NEED(next_number > 0 && H5Fclose(shared_file) >= 0);
    return status;
}

/* The host's files stay open, and so does the log, when the process ends. */
static int host_ends_first(const char *path)
{
    hid_t file = make_host_file(path);
    trajlog_writer *log = begin(path);
    trajlog_hdf5_lock();
    NEED(H5Eset_auto2(H5E_DEFAULT, NULL, NULL) >= 0 && use_hdf5(file, 0));
    trajlog_hdf5_unlock();
    log_steps(log, STEPS - 100, STEPS);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    int (*run)(const char *path);
} kinds[] = {
    {"end_by_return", end_by_return},
    {"end_by_thread", end_by_thread},
    {"end_before_first_step", end_before_first_step},
    {"end_by_own_handler", end_by_own_handler},
    {"end_by_later_handler", end_by_later_handler},
    {"end_by_underscore_exit", end_by_underscore_exit},
    {"end_by_quick_exit", end_by_quick_exit},
    {"end_by_abort", end_by_abort},
    {"end_with_many", end_with_many},
    {"signal_without_handler", signal_without_handler},
    {"signal_then_close", signal_then_close},
    {"signal_then_exit", signal_then_exit},
    {"signals_all_the_time", signals_all_the_time},
    {"fork_and_use", fork_and_use},
    {"fork_and_exit", fork_and_exit},
    {"fork_and_leave", fork_and_leave},
    {"fork_and_log", fork_and_log},
    {"fork_and_execute", fork_and_execute},
    {"list_descriptors", list_descriptors},
    {"host_in_same_thread", host_in_same_thread},
    {"host_in_other_threads", host_in_other_threads},
    {"host_ends_first", host_ends_first},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc >= 3 && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(argv[2], kinds[i].name) == 0) return kinds[i].run(argv[1]);
    fputs("usage: life FILE KIND\n", stderr);
    return 100;
}
