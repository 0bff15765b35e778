/* The end: a clean close makes file and size exact; without driver_finish the file stays as a kill would leave it. */
#include "store/driver_state.h"

#include <errno.h>
#include <stdlib.h>

/* The announced end becomes the true one before the file is cut there, and the journal goes before both: it would lead
 * back to an end that the file no longer has. */
static trajlog_status make_exact(struct driver *driver)
{
    bool durable = driver->finish_level == COMMIT_SYNCED || driver->space.has_base;
    if (durable) TRY(driver_sync(driver));
    if (driver->space.has_base) {
        int number = journal_remove(&driver->journal);
        if (number != 0) return driver_freeze(driver, number, "removing the journal");
        driver->space.has_base = false;
    }
    driver->front.announced_end = driver->space.end;
    TRY(driver_extend_to(driver, driver->space.end));
    TRY(driver_write_front(driver));
    if (durable) TRY(driver_sync(driver));
    int number = io_truncate(driver->io, driver->descriptor, driver->space.end);
    if (number != 0) return driver_freeze(driver, number, "cutting the file to its size");
    driver->size_is_new = true;
    return durable ? driver_sync(driver) : TRAJLOG_OK;
}

void driver_close_descriptor(struct driver *driver)
{
    if (driver->descriptor < 0) return;
    if (driver->io->close(driver->io->context, driver->descriptor) != 0 && !driver_is_frozen(driver) &&
        driver->phase != PHASE_READING)
        driver_freeze(driver, errno, "closing the file");
    driver->descriptor = -1;
}

void driver_close_cleanly(struct driver *driver)
{
    trajlog_status status = TRAJLOG_OK;
    if (driver->phase == PHASE_BATCH) status = driver_publish_batch(driver);
    if (status == TRAJLOG_OK && driver->phase == PHASE_ROWS) status = driver_flush_rows(driver);
    if (status == TRAJLOG_OK && driver->phase == PHASE_ROWS) make_exact(driver);
}

trajlog_status driver_finish(struct driver *driver, enum commit_level level, struct error *error)
{
    if (driver_is_frozen(driver)) return driver_error(driver, error);
    driver->finishing = true;
    driver->finish_level = level;
    return TRAJLOG_OK;
}

void driver_destroy(struct driver *driver)
{
    if (driver == NULL) return;
    if (driver->attached) {
        driver->abandoned = true;
        return;
    }
    if (driver->phase == PHASE_NEW && driver->new_path != NULL && !driver_is_forked_copy(driver))
        (void)io_remove(driver->io, driver->new_path);
    driver_close_descriptor(driver);
    journal_close(&driver->journal);
    journal_blocks_free(&driver->held);
    free(driver->large.block);
    guard_free(&driver->guard);
    read_ahead_free(&driver->ahead);
    space_free(&driver->space);
    free(driver->path);
    free(driver->new_path);
    free(driver);
}
