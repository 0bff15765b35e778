/* The locks are Linux's open file description locks: unlike POSIX's own they also keep out a second writer in the same
 * process, and are not lost when some other descriptor of the file is closed. Unlike them they are shared with a forked
 * child, which would keep the file locked after its parent's death; so the child closes its copies as it is born. */
#include "store/ownership.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/driver_io.h"

/* What Lustre and others answer where there are no locks; not in errno.h. */
#define ERRNO_NOTSUPP 524

struct ownership {
    char *path, *lock_path;
    int descriptor; /* -1: no lock */
    struct ownership *next;
};

/* All that are taken, for the handlers around fork. */
static pthread_mutex_t taken_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t taken_once = PTHREAD_ONCE_INIT;
static struct ownership *taken;

static void before_fork(void)
{
    pthread_mutex_lock(&taken_mutex);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&taken_mutex);
}

static void after_fork_in_child(void)
{
    for (struct ownership *ownership = taken; ownership != NULL; ownership = ownership->next) {
        if (ownership->descriptor >= 0) close(ownership->descriptor);
        ownership->descriptor = -1;
    }
    pthread_mutex_unlock(&taken_mutex);
}

static int fork_result;
static void watch_forks(void)
{
    fork_result = pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

static int lock_descriptor(int descriptor)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    return fcntl(descriptor, F_OFD_SETLK, &lock);
}

int (*ownership_lock_call)(int descriptor) = lock_descriptor;

/* ---- names ---- */

/* The directory's real path and the last part of the name: for a file that does not exist yet. */
static char *resolve_new(const char *path)
{
    char *first = path_with_suffix(path, ""), *second = path_with_suffix(path, ""), *resolved = NULL;
    char *directory = first != NULL && second != NULL ? realpath(dirname(first), NULL) : NULL;
    if (directory != NULL) {
        char *name = basename(second);
        size_t size = strlen(directory) + strlen(name) + 2;
        resolved = malloc(size);
        if (resolved != NULL)
            snprintf(resolved, size, "%s%s%s", directory, strcmp(directory, "/") == 0 ? "" : "/", name);
    }
    int number = errno;
    free(directory);
    free(first);
    free(second);
    errno = number;
    return resolved;
}

static char *resolve(const char *path)
{
    char *resolved = realpath(path, NULL);
    return resolved != NULL || errno != ENOENT ? resolved : resolve_new(path);
}

/* ---- taking ---- */

/* Whether the locked file still has its name: its last owner may have removed it as we opened it. */
static bool has_its_name(const struct ownership *ownership)
{
    struct stat opened, named;
    return fstat(ownership->descriptor, &opened) == 0 && stat(ownership->lock_path, &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

static trajlog_status say_who(const struct ownership *ownership, int number, struct error *error)
{
    char text[200] = "";
    ssize_t size = pread(ownership->descriptor, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return error_set(error, TRAJLOG_FILE_LOCKED, number, "another writer has %s%s%s", ownership->path,
                     text[0] != '\0' ? ": " : "", text);
}

static trajlog_status lock_failed(const struct ownership *ownership, int number, struct error *error)
{
    if (number == EAGAIN || number == EACCES) return say_who(ownership, number, error);
    struct stat status;
    /* Nobody can own it here, so the file would say something that is not so. */
    if (fstat(ownership->descriptor, &status) == 0 && status.st_size == 0) unlink(ownership->lock_path);
    if (number == ENOLCK || number == ENOSYS || number == EOPNOTSUPP || number == EINVAL || number == ERRNO_NOTSUPP)
        return error_set(error, TRAJLOG_IO_ERROR, number,
                         "the file system of %s has no locks to keep a second writer out; if there is none, choose to "
                         "write without a lock",
                         ownership->path);
    return error_set(error, TRAJLOG_IO_ERROR, number, "cannot lock %s", ownership->lock_path);
}

/* For the message that a second writer gets; if it cannot be written, the lock holds all the same. */
static void leave_name(const struct ownership *ownership)
{
    char host[HOST_NAME_MAX + 1] = "", text[HOST_NAME_MAX + 100];
    if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    int size = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
    if (ftruncate(ownership->descriptor, 0) == 0 && size > 0) {
        ssize_t written = driver_io_system.write(NULL, ownership->descriptor, text, (size_t)size, 0);
        (void)written;
    }
}

static trajlog_status lock_file(struct ownership *ownership, struct error *error)
{
    for (;;) {
        ownership->descriptor = open(ownership->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (ownership->descriptor < 0)
            return error_set(error, errno == ENOENT || errno == ENOTDIR ? TRAJLOG_NOT_FOUND : TRAJLOG_IO_ERROR, errno,
                             "cannot create %s", ownership->lock_path);
        if (ownership_lock_call(ownership->descriptor) != 0) return lock_failed(ownership, errno, error);
        if (has_its_name(ownership)) break;
        close(ownership->descriptor);
    }
    leave_name(ownership);
    return TRAJLOG_OK;
}

static void free_ownership(struct ownership *ownership)
{
    if (ownership->descriptor >= 0) close(ownership->descriptor);
    free(ownership->path);
    free(ownership->lock_path);
    free(ownership);
}

static trajlog_status find_names(struct ownership *ownership, const char *path, struct error *error)
{
    ownership->path = resolve(path);
    if (ownership->path == NULL)
        return error_set(error,
                         errno == ENOENT || errno == ENOTDIR ? TRAJLOG_NOT_FOUND
                         : errno == ENOMEM                   ? TRAJLOG_OUT_OF_MEMORY
                                                             : TRAJLOG_IO_ERROR,
                         errno, "cannot find the directory of %s", path);
    ownership->lock_path = path_with_suffix(ownership->path, OWNERSHIP_SUFFIX);
    if (ownership->lock_path == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, ENOMEM, "cannot take %s", path);
    return TRAJLOG_OK;
}

trajlog_status ownership_take(struct ownership **ownership, const char *path, bool without_lock, struct error *error)
{
    *ownership = NULL;
    struct ownership *made = calloc(1, sizeof *made);
    if (made == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, ENOMEM, "cannot take %s", path);
    made->descriptor = -1;
    trajlog_status status = find_names(made, path, error);
    pthread_once(&taken_once, watch_forks);
    if (status == TRAJLOG_OK && fork_result != 0)
        status = error_set(error, TRAJLOG_OUT_OF_MEMORY, fork_result, "cannot take %s", path);
    pthread_mutex_lock(&taken_mutex);
    if (status == TRAJLOG_OK && !without_lock) status = lock_file(made, error);
    if (status == TRAJLOG_OK) {
        made->next = taken;
        taken = made;
    }
    pthread_mutex_unlock(&taken_mutex);
    if (status == TRAJLOG_OK) *ownership = made;
    else free_ownership(made);
    return status;
}

const char *ownership_path(const struct ownership *ownership)
{
    return ownership->path;
}

void ownership_release(struct ownership **ownership)
{
    struct ownership *released = *ownership;
    if (released == NULL) return;
    *ownership = NULL;
    pthread_mutex_lock(&taken_mutex);
    struct ownership **place = &taken;
    while (*place != released) place = &(*place)->next;
    *place = released->next;
    /* As long as we have the lock, the name is ours to remove. */
    if (released->descriptor >= 0) unlink(released->lock_path);
    free_ownership(released);
    pthread_mutex_unlock(&taken_mutex);
}

/* ---- asking ---- */

bool ownership_is_taken(const char *path)
{
    char *resolved = resolve(path), *lock_path = resolved != NULL ? path_with_suffix(resolved, OWNERSHIP_SUFFIX) : NULL;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    int descriptor = lock_path != NULL ? open(lock_path, O_RDONLY | O_CLOEXEC) : -1;
    bool is_taken = descriptor >= 0;
    if (is_taken && fcntl(descriptor, F_OFD_GETLK, &lock) == 0) is_taken = lock.l_type != F_UNLCK;
    if (descriptor >= 0) close(descriptor);
    free(resolved);
    free(lock_path);
    return is_taken;
}
