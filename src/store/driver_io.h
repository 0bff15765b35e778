/* The system calls that the commit driver and its journal make on the file system, in one table; so that a test can
 * record them all, and make the k-th fail. */
#ifndef STORE_DRIVER_IO_H
#define STORE_DRIVER_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Results and errno as of the calls that they are named after. `context` is handed to each. */
struct driver_io {
    void *context;
    int (*open)(void *context, const char *path, int flags, mode_t mode);
    int (*close)(void *context, int descriptor);
    ssize_t (*read)(void *context, int descriptor, void *data, size_t size, off_t offset);
    ssize_t (*write)(void *context, int descriptor, const void *data, size_t size, off_t offset);
    int (*truncate)(void *context, int descriptor, off_t size);
    int (*sync)(void *context, int descriptor, bool data_only);
    int (*rename)(void *context, const char *from, const char *to);
    int (*link)(void *context, const char *from, const char *to);
    int (*remove)(void *context, const char *path);
    /* As pwritev. May be NULL: then each piece is written by itself. */
    ssize_t (*write_pieces)(void *context, int descriptor, const struct iovec *pieces, int count, off_t offset);
    /* Takes blocks of the disk for bytes that will be written, where writing is faster then; the file's size stays. As
     * fallocate, or ENOTSUP. May be NULL: then blocks are taken when they are written. */
    int (*reserve)(void *context, int descriptor, off_t offset, off_t size);
};

/* The system's own. Descriptors are close-on-exec. A write or an extension behind RLIMIT_FSIZE is refused with EFBIG
 * before the kernel sees it, which would send SIGXFSZ and by it end the host program. */
extern const struct driver_io driver_io_system;

/* All of it, however many calls it takes; 0 or an errno. Of a read, what lies behind the file's end is zeros. */
int io_write_all(const struct driver_io *io, int descriptor, const void *data, size_t size, uint64_t offset);
/* `count` pieces of `size` bytes each, one after the other. */
int io_write_pieces(const struct driver_io *io, int descriptor, const void *const *pieces, size_t count, size_t size,
                    uint64_t offset);
int io_read_all(const struct driver_io *io, int descriptor, void *data, size_t size, uint64_t offset);

/* An interrupted call is made again, up to a thousand times: then it has failed with EINTR. */

/* As open. */
int io_open(const struct driver_io *io, const char *path, int flags);

/* 0 or an errno. */
int io_truncate(const struct driver_io *io, int descriptor, uint64_t size);
int io_sync(const struct driver_io *io, int descriptor, bool data_only);
int io_rename(const struct driver_io *io, const char *from, const char *to);
int io_link(const struct driver_io *io, const char *from, const char *to);
int io_remove(const struct driver_io *io, const char *path);

/* Makes the names in the directory of `path` durable; 0 or an errno. */
int io_sync_directory(const struct driver_io *io, const char *path);

/* `path` with `suffix` behind it; to be freed; NULL if there is no memory. */
char *path_with_suffix(const char *path, const char *suffix);

#endif
