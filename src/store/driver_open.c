/* Making drivers: for a new file, for one that a resume takes up once its journal was seen to, for one to be read. */
#include "store/driver_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct driver *make_driver(const char *path, const struct driver_io *io, enum phase phase, struct error *error)
{
    struct driver *driver = calloc(1, sizeof *driver);
    if (driver != NULL) {
        driver->io = io != NULL ? io : &driver_io_system;
        driver->descriptor = -1;
        driver->process = getpid();
        driver->phase = phase;
        driver->path = path_with_suffix(path, "");
        driver->new_path = path_with_suffix(path, NEW_SUFFIX);
        driver->journal =
            (struct journal){.io = driver->io, .path = path_with_suffix(path, JOURNAL_SUFFIX), .descriptor = -1};
        journal_boot_id(driver->boot_id);
    }
    if (driver != NULL && driver->path != NULL && driver->new_path != NULL && driver->journal.path != NULL)
        return driver;
    error_set(error, TRAJLOG_OUT_OF_MEMORY, ENOMEM, "cannot open %s", path);
    if (driver != NULL) driver->phase = PHASE_READING; /* nothing was made, so nothing is removed */
    driver_destroy(driver);
    return NULL;
}

/* Ties journals to their files: random, or else unlikely to come again. */
static void make_file_id(unsigned char id[16])
{
    if (getrandom(id, 16, GRND_NONBLOCK) == 16) return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t parts[2] = {now.tv_sec * INT64_C(1000000000) + now.tv_nsec, (int64_t)getpid()};
    memcpy(id, parts, sizeof parts);
}

static trajlog_status open_failed(struct error *error, int number, const char *action, const char *path)
{
    trajlog_status status = number == ENOENT || number == ENOTDIR ? TRAJLOG_NOT_FOUND : TRAJLOG_IO_ERROR;
    return error_set(error, status, number, "cannot %s %s", action, path);
}

/* What a kill, or a disk that failed, left of a file that had no name yet. */
static trajlog_status remove_leftover(const struct driver_io *io, const char *path, const char *suffix,
                                      struct error *error)
{
    char *name = path_with_suffix(path, suffix);
    if (name == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, ENOMEM, "cannot open %s", path);
    int number = io_remove(io, name);
    free(name);
    if (number == 0 || number == ENOENT) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_IO_ERROR, number, "cannot remove %s%s", path, suffix);
}

trajlog_status driver_create(struct driver **driver, const char *path, const struct driver_io *io, struct error *error)
{
    *driver = NULL;
    struct driver *made = make_driver(path, io, PHASE_NEW, error);
    if (made == NULL) return TRAJLOG_OUT_OF_MEMORY;
    /* What a failed creation may have left is another name of the file at `path`, so it is not written on. */
    trajlog_status status = remove_leftover(made->io, path, FIRST_SUFFIX, error);
    if (status == TRAJLOG_OK) made->descriptor = io_open(made->io, made->new_path, O_RDWR | O_CREAT | O_TRUNC);
    if (status == TRAJLOG_OK && made->descriptor < 0) status = open_failed(error, errno, "create", path);
    if (status != TRAJLOG_OK) {
        made->phase = PHASE_READING; /* nothing was made, so nothing is removed */
        driver_destroy(made);
        return status;
    }
    make_file_id(made->front.file_id);
    *driver = made;
    return TRAJLOG_OK;
}

/* Finds the true end, and shows libhdf5 a superblock that announces it. */
static trajlog_status read_front(struct driver *driver, struct error *error)
{
    unsigned char bytes[FRONT_PAGE_WRITTEN];
    struct stat status;
    int number = io_read_all(driver->io, driver->descriptor, bytes, sizeof bytes, 0);
    if (number == 0 && fstat(driver->descriptor, &status) != 0) number = errno;
    if (number != 0) return error_set(error, TRAJLOG_IO_ERROR, number, "cannot read %s", driver->path);
    journal_blocks_overlay(&driver->held, 0, sizeof bytes, bytes);
    if (!front_page_decode(&driver->front, bytes))
        return error_set(error, TRAJLOG_INVALID_FILE, 0, "%s does not begin with a superblock of HDF5 1.10 or later",
                         driver->path);
    driver->size = driver->settled_size = (uint64_t)status.st_size;
    if (driver->front.true_end > driver->size)
        return error_set(error, TRAJLOG_INVALID_FILE, 0, "%s is cut short: %llu bytes of %llu", driver->path,
                         (unsigned long long)driver->size, (unsigned long long)driver->front.true_end);
    /* Where our record goes, such a file has objects. */
    if (!driver->front.has_record && driver->phase == PHASE_BATCH)
        return error_set(
            error, TRAJLOG_INVALID_FILE, 0,
            "%s was not written by trajlog, or was copied by a program that rewrites HDF5 files: it cannot "
            "be continued",
            driver->path);
    memcpy(driver->superblock, driver->front.superblock, sizeof driver->superblock);
    superblock_set_end(driver->superblock, driver->front.true_end);
    driver->end_at_open = driver->end_at_commit = driver->space.end = driver->front.true_end;
    driver->base_end = (driver->space.end + SPACE_PAGE - 1) / SPACE_PAGE * SPACE_PAGE;
    return TRAJLOG_OK;
}

static trajlog_status open_existing(struct driver *driver, struct error *error)
{
    enum journal_finding finding;
    driver->descriptor = io_open(driver->io, driver->path, O_RDWR);
    if (driver->descriptor < 0) return open_failed(error, errno, "open", driver->path);
    TRY(remove_leftover(driver->io, driver->path, NEW_SUFFIX, error));
    TRY(remove_leftover(driver->io, driver->path, FIRST_SUFFIX, error));
    TRY(journal_recover(driver->io, driver->path, driver->descriptor, false, &finding, error));
    TRY(read_front(driver, error));
    /* What is allocated from here on lies behind all that is committed. */
    driver->space.end = driver->base_end;
    return TRAJLOG_OK;
}

trajlog_status driver_open(struct driver **driver, const char *path, const struct driver_io *io, struct error *error)
{
    *driver = NULL;
    struct driver *made = make_driver(path, io, PHASE_BATCH, error);
    if (made == NULL) return TRAJLOG_OUT_OF_MEMORY;
    trajlog_status status = open_existing(made, error);
    if (status == TRAJLOG_OK) *driver = made;
    else driver_destroy(made);
    return status;
}

static trajlog_status open_reading(struct driver *driver, bool writer_is_alive, struct error *error)
{
    enum journal_finding finding;
    driver->descriptor = io_open(driver->io, driver->path, O_RDONLY);
    if (driver->descriptor < 0) return open_failed(error, errno, "open", driver->path);
    if (!writer_is_alive)
        TRY(journal_inspect(driver->io, driver->path, driver->descriptor, false, &finding, &driver->held, error));
    return read_front(driver, error);
}

trajlog_status driver_open_for_reading(struct driver **driver, const char *path, bool writer_is_alive,
                                       const struct driver_io *io, struct error *error)
{
    *driver = NULL;
    struct driver *made = make_driver(path, io, PHASE_READING, error);
    if (made == NULL) return TRAJLOG_OUT_OF_MEMORY;
    trajlog_status status = open_reading(made, writer_is_alive, error);
    if (status == TRAJLOG_OK) *driver = made;
    else driver_destroy(made);
    return status;
}
