#include "store/driver_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Of ext4, in statfs(2). */
#define EXT4_MAGIC 0xef53

/* How many bytes may be written from `offset` on. */
static uint64_t room_below_limit(uint64_t offset)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    return limit.rlim_cur > offset ? limit.rlim_cur - offset : 0;
}

static int system_open(void *context, const char *path, int flags, mode_t mode)
{
    (void)context;
    return open(path, flags | O_CLOEXEC, mode);
}

static int system_close(void *context, int descriptor)
{
    (void)context;
    /* On Linux the descriptor is gone also when a signal came, and trying again could close another's. */
    return close(descriptor) != 0 && errno != EINTR ? -1 : 0;
}

static ssize_t system_read(void *context, int descriptor, void *data, size_t size, off_t offset)
{
    (void)context;
    return pread(descriptor, data, size, offset);
}

static ssize_t system_write(void *context, int descriptor, const void *data, size_t size, off_t offset)
{
    (void)context;
    uint64_t room = room_below_limit((uint64_t)offset);
    if (room < size) {
        errno = EFBIG;
        return -1;
    }
    return pwrite(descriptor, data, size, offset);
}

static ssize_t system_write_pieces(void *context, int descriptor, const struct iovec *pieces, int count, off_t offset)
{
    (void)context;
    uint64_t room = room_below_limit((uint64_t)offset);
    for (int i = 0; i < count; i++) {
        if (room < pieces[i].iov_len) {
            errno = EFBIG;
            return -1;
        }
        room -= pieces[i].iov_len;
    }
    return pwritev(descriptor, pieces, count, offset);
}

static int system_truncate(void *context, int descriptor, off_t size)
{
    (void)context;
    if (room_below_limit(0) < (uint64_t)size) {
        errno = EFBIG;
        return -1;
    }
    return ftruncate(descriptor, size);
}

/* What is free must be so many times what is taken: else the last of it is left to whoever needs it, such as our journal. */
#define ROOM_FOR_OTHERS 16

/* ext4 writes faster to reserved blocks. XFS takes blocks ahead by itself, and its fallocate costs more than all the rest;
 * btrfs is as fast without; tmpfs would take memory. */
static int system_reserve(void *context, int descriptor, off_t offset, off_t size)
{
    (void)context;
    struct statfs system;
    if (fstatfs(descriptor, &system) != 0) return -1;
    if (system.f_type != EXT4_MAGIC) {
        errno = ENOTSUP;
        return -1;
    }
    if ((uint64_t)size / (uint64_t)system.f_bsize > (uint64_t)system.f_bavail / ROOM_FOR_OTHERS) {
        errno = ENOSPC;
        return -1;
    }
    return fallocate(descriptor, FALLOC_FL_KEEP_SIZE, offset, size);
}

static int system_sync(void *context, int descriptor, bool data_only)
{
    (void)context;
    return data_only ? fdatasync(descriptor) : fsync(descriptor);
}

static int system_rename(void *context, const char *from, const char *to)
{
    (void)context;
    return rename(from, to);
}

static int system_link(void *context, const char *from, const char *to)
{
    (void)context;
    return link(from, to);
}

static int system_remove(void *context, const char *path)
{
    (void)context;
    return unlink(path);
}

const struct driver_io driver_io_system = {
    .open = system_open,
    .close = system_close,
    .read = system_read,
    .write = system_write,
    .truncate = system_truncate,
    .sync = system_sync,
    .rename = system_rename,
    .link = system_link,
    .remove = system_remove,
    .write_pieces = system_write_pieces,
    .reserve = system_reserve,
};

/* A signal now and then is no failure; a call that is interrupted for ever must not hang the host. */
#define MOST_INTERRUPTIONS 1000

static bool is_interrupted(int *interruptions)
{
    return errno == EINTR && ++*interruptions <= MOST_INTERRUPTIONS;
}

int io_write_all(const struct driver_io *io, int descriptor, const void *data, size_t size, uint64_t offset)
{
    const unsigned char *byte = data;
    int interruptions = 0;
    while (size > 0) {
        ssize_t done = io->write(io->context, descriptor, byte, size, (off_t)offset);
        if (done < 0 && is_interrupted(&interruptions)) continue;
        if (done < 0) return errno != 0 ? errno : EIO;
        /* A write of nothing is how some file systems say that there is no room. */
        if (done == 0) return ENOSPC;
        byte += done, offset += (uint64_t)done, size -= (size_t)done;
    }
    return 0;
}

/* As many pieces as one call takes, and what of it is written; the rest is written as if there were no such call. */
#define MOST_PIECES 256

static size_t write_some_pieces(const struct driver_io *io, int descriptor, const void *const *pieces, size_t count,
                                size_t size, uint64_t offset)
{
    struct iovec vector[MOST_PIECES];
    if (io->write_pieces == NULL) return 0;
    if (count > MOST_PIECES) count = MOST_PIECES;
    for (size_t i = 0; i < count; i++) vector[i] = (struct iovec){.iov_base = (void *)pieces[i], .iov_len = size};
    ssize_t done = io->write_pieces(io->context, descriptor, vector, (int)count, (off_t)offset);
    return done > 0 ? (size_t)done : 0;
}

int io_write_pieces(const struct driver_io *io, int descriptor, const void *const *pieces, size_t count, size_t size,
                    uint64_t offset)
{
    while (count > 0) {
        size_t done = write_some_pieces(io, descriptor, pieces, count, size, offset);
        size_t whole = done / size, part = done % size;
        pieces += whole, count -= whole, offset += done;
        if (whole > 0 && part == 0) continue;
        /* What has failed, or was cut short, tells here why. */
        int number = io_write_all(io, descriptor, (const unsigned char *)*pieces + part, size - part, offset);
        if (number != 0) return number;
        pieces++, count--, offset += size - part;
    }
    return 0;
}

int io_read_all(const struct driver_io *io, int descriptor, void *data, size_t size, uint64_t offset)
{
    unsigned char *byte = data;
    int interruptions = 0;
    while (size > 0) {
        ssize_t done = io->read(io->context, descriptor, byte, size, (off_t)offset);
        if (done < 0 && is_interrupted(&interruptions)) continue;
        if (done < 0) return errno != 0 ? errno : EIO;
        if (done == 0) break;
        byte += done, offset += (uint64_t)done, size -= (size_t)done;
    }
    memset(byte, 0, size);
    return 0;
}

int io_open(const struct driver_io *io, const char *path, int flags)
{
    int descriptor, interruptions = 0;
    do descriptor = io->open(io->context, path, flags, 0666);
    while (descriptor < 0 && is_interrupted(&interruptions));
    return descriptor;
}

int io_truncate(const struct driver_io *io, int descriptor, uint64_t size)
{
    int result, interruptions = 0;
    do result = io->truncate(io->context, descriptor, (off_t)size);
    while (result != 0 && is_interrupted(&interruptions));
    return result == 0 ? 0 : errno;
}

int io_sync(const struct driver_io *io, int descriptor, bool data_only)
{
    int result, interruptions = 0;
    do result = io->sync(io->context, descriptor, data_only);
    while (result != 0 && is_interrupted(&interruptions));
    return result == 0 ? 0 : errno;
}

int io_rename(const struct driver_io *io, const char *from, const char *to)
{
    int result, interruptions = 0;
    do result = io->rename(io->context, from, to);
    while (result != 0 && is_interrupted(&interruptions));
    return result == 0 ? 0 : errno;
}

int io_link(const struct driver_io *io, const char *from, const char *to)
{
    int result, interruptions = 0;
    do result = io->link(io->context, from, to);
    while (result != 0 && is_interrupted(&interruptions));
    return result == 0 ? 0 : errno;
}

int io_remove(const struct driver_io *io, const char *path)
{
    int result, interruptions = 0;
    do result = io->remove(io->context, path);
    while (result != 0 && is_interrupted(&interruptions));
    return result == 0 ? 0 : errno;
}

int io_sync_directory(const struct driver_io *io, const char *path)
{
    char *directory = path_with_suffix(path, "");
    if (directory == NULL) return ENOMEM;
    char *slash = strrchr(directory, '/');
    if (slash == NULL) strcpy(directory, ".");
    else if (slash == directory) slash[1] = '\0';
    else *slash = '\0';
    int descriptor = io_open(io, directory, O_RDONLY | O_DIRECTORY);
    int number = descriptor < 0 ? errno : io_sync(io, descriptor, false);
    if (descriptor >= 0 && io->close(io->context, descriptor) != 0 && number == 0) number = errno;
    free(directory);
    /* How file systems say that they have no such operation: they keep names in their own way. */
    return number == EINVAL || number == ENOTSUP ? 0 : number;
}

char *path_with_suffix(const char *path, const char *suffix)
{
    size_t size = strlen(path) + strlen(suffix) + 2;
    char *text = malloc(size);
    if (text != NULL) snprintf(text, size, "%s%s", path, suffix);
    return text;
}
