/* The first copy of a new file, which is what others see at its path until it is published. */
#include "store/driver_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static int copy_pages(struct driver *driver, int target)
{
    unsigned char bytes[SPACE_PAGE];
    for (uint64_t place = 0; place < driver->space.end; place += sizeof bytes) {
        uint64_t rest = driver->space.end - place;
        size_t size = rest < sizeof bytes ? (size_t)rest : sizeof bytes;
        int number = io_read_all(driver->io, driver->descriptor, bytes, size, place);
        if (number == 0) number = io_write_all(driver->io, target, bytes, size, place);
        if (number != 0) return number;
    }
    return 0;
}

static int write_copy(struct driver *driver, const char *path)
{
    unsigned char bytes[FRONT_PAGE_WRITTEN];
    struct front_page front = driver->front;
    int target = io_open(driver->io, path, O_RDWR | O_CREAT | O_TRUNC);
    if (target < 0) return errno;
    front.announced_end = driver->space.end;
    driver_encode_front(driver, &front, bytes);
    int number = copy_pages(driver, target);
    if (number == 0) number = io_write_all(driver->io, target, bytes, sizeof bytes, 0);
    if (driver->io->close(driver->io->context, target) != 0 && number == 0) number = errno;
    return number;
}

/* Gives the copy its name, unless there is such a file; without a moment in which another's file could be lost. */
static int name_copy(struct driver *driver, const char *copy, bool replace)
{
    const struct driver_io *io = driver->io;
    if (!replace) {
        int number = io_link(io, copy, driver->path);
        if (number == 0) return io_remove(io, copy);
        if (number != EPERM && number != EOPNOTSUPP && number != ENOSYS && number != EMLINK) return number;
        /* A file system without hard links; others who keep to our lock cannot come between. */
        int existing = io_open(io, driver->path, O_RDONLY);
        if (existing < 0 && errno != ENOENT) return errno;
        if (existing >= 0) {
            io->close(io->context, existing);
            return EEXIST;
        }
    }
    return io_rename(io, copy, driver->path);
}

trajlog_status driver_show(struct driver *driver, bool replace, struct error *error)
{
    if (driver_is_frozen(driver)) return driver_error(driver, error);
    if (driver->phase != PHASE_NEW || driver->space.end == 0)
        return error_set(error, TRAJLOG_INVALID_STATE, 0, "%s is no new file", driver->path);
    char *copy = path_with_suffix(driver->path, FIRST_SUFFIX);
    if (copy == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, ENOMEM, "cannot create %s", driver->path);
    int number = write_copy(driver, copy);
    if (number == 0) number = name_copy(driver, copy, replace);
    if (number != 0) (void)io_remove(driver->io, copy);
    free(copy);
    if (number == EEXIST) return error_set(error, TRAJLOG_FILE_EXISTS, number, "%s exists already", driver->path);
    if (number != 0) return error_set(error, TRAJLOG_IO_ERROR, number, "cannot create %s", driver->path);
    return TRAJLOG_OK;
}
