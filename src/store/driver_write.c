/* Writing to the file, until something fails: then it is frozen (7 in driver.c). Also its first page, and its length,
 * which is ahead of the end that the page announces (4). */
#include "store/driver_state.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* How far the file is ahead of its announced end: an eighth of it, within these bounds, or more if it grows fast. */
#define SMALLEST_STEP  (UINT64_C(1) << 20)
#define LARGEST_STEP   (UINT64_C(64) << 20)
#define LARGEST_GROWTH (UINT64_C(256) << 20)

/* For how many bytes blocks of the disk are taken at a time: an eighth of the file, within these bounds. A small file takes
 * none: a killed log would hold them for nothing. */
#define SMALLEST_RESERVED_FILE (UINT64_C(16) << 20)
#define SMALLEST_RESERVE       (UINT64_C(8) << 20)
#define LARGEST_RESERVE        (UINT64_C(64) << 20)

trajlog_status driver_freeze(struct driver *driver, int number, const char *operation)
{
    error_set(&driver->failure, TRAJLOG_IO_ERROR, number, "%s: %s failed; the file keeps its last commit", driver->path,
              operation);
    return driver->failure.status;
}

bool driver_is_forked_copy(const struct driver *driver)
{
    return driver->process != getpid();
}

bool driver_is_frozen(const struct driver *driver)
{
    return driver->failure.status != TRAJLOG_OK || driver_is_forked_copy(driver);
}

trajlog_status driver_error(const struct driver *driver, struct error *error)
{
    const struct error *failure = &driver->failure;
    if (failure->status != TRAJLOG_OK) {
        error_set(error, failure->status, 0, "%s", failure->message);
        if (error != NULL) error->number = failure->number;
        return failure->status;
    }
    if (driver_is_forked_copy(driver))
        return error_set(error, TRAJLOG_INVALID_STATE, 0, "%s belongs to the process that this one was forked from",
                         driver->path);
    return TRAJLOG_OK;
}

static int write_pieces(struct driver *driver, uint64_t address)
{
    struct pieces pieces = driver->pieces;
    driver->pieces.place = NULL;
    return io_write_pieces(driver->io, driver->descriptor, pieces.piece, pieces.count, pieces.size, address);
}

/* Whether there are blocks is for the write to say: quotas may leave room for the data, but not for more. */
static void reserve_blocks(struct driver *driver, uint64_t address, uint64_t end)
{
    if (end <= driver->reserved || end < SMALLEST_RESERVED_FILE || driver->io->reserve == NULL) return;
    uint64_t begin = address > driver->reserved ? address : driver->reserved, step = end / 8;
    if (step < SMALLEST_RESERVE) step = SMALLEST_RESERVE;
    if (step > LARGEST_RESERVE) step = LARGEST_RESERVE;
    const struct driver_io *io = driver->io;
    int result = io->reserve(io->context, driver->descriptor, (off_t)begin, (off_t)(end + step - begin));
    if (result == 0) driver->reserved = end + step;
    else if (errno != EINTR) driver->reserved = UINT64_MAX;
}

trajlog_status driver_write_bytes(struct driver *driver, uint64_t address, const void *data, size_t size)
{
    bool in_pieces = data == driver->pieces.place && size == driver->pieces.count * driver->pieces.size;
    reserve_blocks(driver, address, address + size);
    int number =
        in_pieces ? write_pieces(driver, address) : io_write_all(driver->io, driver->descriptor, data, size, address);
    driver->counts.writes++;
    driver->counts.bytes += size;
    if (address + size > driver->size) driver->size = address + size, driver->size_is_new = true;
    return number == 0 ? TRAJLOG_OK : driver_freeze(driver, number, "a write");
}

trajlog_status driver_write_guarded(struct driver *driver, uint64_t address, const void *data, size_t size)
{
    TRY(driver_write_bytes(driver, address, data, size));
    guard_store(&driver->guard, address, size, data);
    return TRAJLOG_OK;
}

trajlog_status driver_sync(struct driver *driver)
{
    int number = io_sync(driver->io, driver->descriptor, !driver->size_is_new);
    driver->counts.syncs++;
    if (number != 0) return driver_freeze(driver, number, "a sync");
    driver->size_is_new = false;
    return TRAJLOG_OK;
}

trajlog_status driver_extend_to(struct driver *driver, uint64_t size)
{
    if (size <= driver->size) return TRAJLOG_OK;
    int number = io_truncate(driver->io, driver->descriptor, size);
    if (number != 0) return driver_freeze(driver, number, "an extension of the file");
    driver->size = size;
    driver->size_is_new = true;
    return TRAJLOG_OK;
}

/* A file with all three ends the same is one that was closed, which this one is not yet. */
static trajlog_status look_unfinished(struct driver *driver)
{
    uint64_t size = driver->front.announced_end + SPACE_PAGE;
    if (size <= driver->size) return TRAJLOG_OK;
    int number = io_truncate(driver->io, driver->descriptor, size);
    /* Where the size of files is limited, there may be no room for it. */
    if (number != 0 && number != EFBIG) return driver_freeze(driver, number, "an extension of the file");
    if (number == 0) driver->size = size, driver->size_is_new = true;
    return TRAJLOG_OK;
}

/* A reader looks at the file's size first, and then at the end that the superblock announces. So what is announced is a
 * size that the file has had since the last commit, if it can be. Then it goes on to read what commits behind that have
 * added: so another end is announced already when the file comes near the old one, by half of what it is ahead. */
trajlog_status driver_make_room(struct driver *driver)
{
    uint64_t end = driver->space.end, old = driver->front.announced_end;
    uint64_t ahead = driver->settled_size > old ? driver->settled_size - old : 0;
    if (end + ahead / 2 <= old) return TRAJLOG_OK;
    uint64_t announced = end <= driver->settled_size ? driver->settled_size : end;
    TRY(driver_extend_to(driver, announced));
    driver->front.announced_end = announced;
    return announced == end ? look_unfinished(driver) : TRAJLOG_OK;
}

/* Makes the file longer for commits to come: by an eighth, and at least by what some commits have needed. */
trajlog_status driver_stay_ahead(struct driver *driver)
{
    uint64_t end = driver->space.end, step = end / 8;
    uint64_t growth = end > driver->end_at_commit ? end - driver->end_at_commit : 0;
    if (step > LARGEST_STEP) step = LARGEST_STEP;
    if (step < SMALLEST_STEP) step = SMALLEST_STEP;
    if (step < 4 * growth) step = growth < LARGEST_GROWTH ? 4 * growth : 4 * LARGEST_GROWTH;
    driver->end_at_commit = end;
    uint64_t size = (driver->front.announced_end + step + SPACE_PAGE - 1) / SPACE_PAGE * SPACE_PAGE;
    if (size > driver->size) {
        int number = io_truncate(driver->io, driver->descriptor, size);
        /* A limit on the size of files may leave room for the data, but not for more. */
        if (number != 0 && number != EFBIG) return driver_freeze(driver, number, "an extension of the file");
        if (number == 0) driver->size = size, driver->size_is_new = true;
    }
    driver->settled_size = driver->size;
    return TRAJLOG_OK;
}

void driver_encode_front(const struct driver *driver, struct front_page *front, unsigned char bytes[FRONT_PAGE_WRITTEN])
{
    memcpy(front->superblock, driver->superblock, sizeof front->superblock);
    front->true_end = driver->space.end;
    front_page_encode(front, bytes);
}

trajlog_status driver_write_front(struct driver *driver)
{
    unsigned char bytes[FRONT_PAGE_WRITTEN];
    driver->front.sequence++;
    driver_encode_front(driver, &driver->front, bytes);
    return driver_write_guarded(driver, 0, bytes, sizeof bytes);
}

bool driver_front_is_up_to_date(const struct driver *driver)
{
    unsigned char superblock[FRONT_PAGE_SUPERBLOCK];
    memcpy(superblock, driver->superblock, sizeof superblock);
    superblock_set_end(superblock, driver->front.announced_end);
    return driver->front.true_end == driver->space.end &&
           memcmp(superblock, driver->front.superblock, FRONT_PAGE_SUPERBLOCK) == 0;
}
