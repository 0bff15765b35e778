/* A file system for the commit driver that writes down every operation, and can make some of them fail. The log is
 * text lines, a write's followed by its bytes:
 *
 *     open INODE FLAGS PATH   write INODE OFFSET SIZE   truncate INODE SIZE   sync INODE   close INODE
 *     rename FROM TO   link FROM TO   remove PATH   mark TEXT
 *
 * Only operations that succeeded are logged, and of a short write only what was written. */
#ifndef TEST_CRASH_RECORD_H
#define TEST_CRASH_RECORD_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "store/driver_io.h"

enum fault_mode {
    FAULT_NONE,
    FAULT_ONCE,   /* the k-th operation fails */
    FAULT_ALWAYS, /* and all behind it */
    FAULT_SHORT   /* the k-th write writes half of it */
};

struct recorder {
    FILE *log; /* NULL: no log */
    enum fault_mode mode;
    int number; /* errno of the fault */
    long at;    /* the operation that fails, from 1 on */
    long count; /* operations so far */
    int failures;
    const char *failed; /* the first operation that failed: the name of its member */
    bool no_sync;       /* every sync fails */
    const void *(*as_logged)(const void *data, size_t size); /* what is logged instead of what was written */
};

static inline bool recorder_fails(struct recorder *recorder, const char *operation)
{
    recorder->count++;
    bool fails = (recorder->mode == FAULT_ONCE && recorder->count == recorder->at) ||
                 (recorder->mode == FAULT_ALWAYS && recorder->count >= recorder->at);
    if (!fails) return false;
    if (recorder->failures++ == 0) recorder->failed = operation;
    errno = recorder->number;
    return true;
}

static inline unsigned long long recorder_inode(int descriptor)
{
    struct stat status;
    return fstat(descriptor, &status) == 0 ? (unsigned long long)status.st_ino : 0;
}

__attribute__((format(printf, 2, 3))) static inline void recorder_log(struct recorder *recorder, const char *format,
                                                                      ...)
{
    if (recorder->log == NULL) return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(recorder->log, format, arguments);
    va_end(arguments);
}

static inline int recorder_open(void *context, const char *path, int flags, mode_t mode)
{
    struct recorder *recorder = context;
    if (recorder_fails(recorder, "open")) return -1;
    int descriptor = driver_io_system.open(NULL, path, flags, mode);
    if (descriptor >= 0)
        recorder_log(recorder, "open %llu %s%s%s %s\n", recorder_inode(descriptor),
                     (flags & O_ACCMODE) == O_RDONLY ? "r" : "w", (flags & O_CREAT) != 0 ? "c" : "",
                     (flags & O_TRUNC) != 0 ? "t" : "", path);
    return descriptor;
}

static inline int recorder_close(void *context, int descriptor)
{
    struct recorder *recorder = context;
    recorder_log(recorder, "close %llu\n", recorder_inode(descriptor));
    bool fails = recorder_fails(recorder, "close");
    int number = errno, result = driver_io_system.close(NULL, descriptor);
    if (!fails) return result;
    errno = number;
    return -1;
}

static inline ssize_t recorder_read(void *context, int descriptor, void *data, size_t size, off_t offset)
{
    if (recorder_fails(context, "read")) return -1;
    return driver_io_system.read(NULL, descriptor, data, size, offset);
}

static inline ssize_t recorder_write(void *context, int descriptor, const void *data, size_t size, off_t offset)
{
    struct recorder *recorder = context;
    if (recorder_fails(recorder, "write")) return -1;
    if (recorder->mode == FAULT_SHORT && recorder->count == recorder->at && size > 1) size /= 2;
    ssize_t done = driver_io_system.write(NULL, descriptor, data, size, offset);
    if (done > 0 && recorder->log != NULL) {
        /* Another thread may have a mark to set. */
        flockfile(recorder->log);
        recorder_log(recorder, "write %llu %lld %lld\n", recorder_inode(descriptor), (long long)offset,
                     (long long)done);
        fwrite(recorder->as_logged != NULL ? recorder->as_logged(data, (size_t)done) : data, 1, (size_t)done,
               recorder->log);
        funlockfile(recorder->log);
    }
    return done;
}

static inline int recorder_truncate(void *context, int descriptor, off_t size)
{
    struct recorder *recorder = context;
    if (recorder_fails(recorder, "truncate")) return -1;
    int result = driver_io_system.truncate(NULL, descriptor, size);
    if (result == 0) recorder_log(recorder, "truncate %llu %lld\n", recorder_inode(descriptor), (long long)size);
    return result;
}

static inline int recorder_sync(void *context, int descriptor, bool data_only)
{
    struct recorder *recorder = context;
    (void)data_only;
    if (recorder->no_sync) errno = recorder->number;
    if (recorder->no_sync || recorder_fails(recorder, "sync")) return -1;
    /* What is durable is for the log to say; the disk need not work for it. */
    recorder_log(recorder, "sync %llu\n", recorder_inode(descriptor));
    return 0;
}

static inline int recorder_rename(void *context, const char *from, const char *to)
{
    struct recorder *recorder = context;
    if (recorder_fails(recorder, "rename")) return -1;
    int result = driver_io_system.rename(NULL, from, to);
    if (result == 0) recorder_log(recorder, "rename %s %s\n", from, to);
    return result;
}

static inline int recorder_link(void *context, const char *from, const char *to)
{
    struct recorder *recorder = context;
    if (recorder_fails(recorder, "link")) return -1;
    int result = driver_io_system.link(NULL, from, to);
    if (result == 0) recorder_log(recorder, "link %s %s\n", from, to);
    return result;
}

static inline int recorder_remove(void *context, const char *path)
{
    struct recorder *recorder = context;
    if (recorder_fails(recorder, "remove")) return -1;
    int result = driver_io_system.remove(NULL, path);
    if (result == 0) recorder_log(recorder, "remove %s\n", path);
    return result;
}

static inline struct driver_io recorder_io(struct recorder *recorder)
{
    return (struct driver_io){.context = recorder,
                              .open = recorder_open,
                              .close = recorder_close,
                              .read = recorder_read,
                              .write = recorder_write,
                              .truncate = recorder_truncate,
                              .sync = recorder_sync,
                              .rename = recorder_rename,
                              .link = recorder_link,
                              .remove = recorder_remove};
}

#endif
