/* Publishing: a new file gets its name, and what a resume has changed becomes part of an existing one, as one batch
 * that a journal can take back (5 in driver.c). */
#include "store/driver_state.h"

#include <errno.h>
#include <string.h>

/* A new file gets its name. A journal that an older file of that name has left is not its own, and is removed. */
static trajlog_status publish_new(struct driver *driver, enum commit_level level)
{
    TRY(driver_make_room(driver));
    TRY(driver_stay_ahead(driver));
    TRY(driver_make_room(driver)); /* nobody has seen an end yet: the first one is ahead as well */
    TRY(driver_stay_ahead(driver));
    TRY(driver_write_front(driver));
    if (level == COMMIT_SYNCED) TRY(driver_sync(driver));
    int number = io_rename(driver->io, driver->new_path, driver->path);
    if (number != 0) return driver_freeze(driver, number, "renaming the new file to its name");
    /* The old file may still need its journal until then. */
    if (level == COMMIT_SYNCED) number = io_sync_directory(driver->io, driver->path);
    if (number != 0) return driver_freeze(driver, number, "syncing the directory");
    driver->phase = PHASE_ROWS;
    driver->base_end = space_begin_pages(&driver->space);
    driver->changed = true;
    number = io_remove(driver->io, driver->journal.path);
    if (number != 0 && number != ENOENT) return driver_freeze(driver, number, "removing the old journal");
    return level == COMMIT_SYNCED ? driver_make_base(driver) : TRAJLOG_OK;
}

/* All that the batch overwrites, as the file holds it now, in the order in which it will be written: headers that are
 * written by one write can so be put back by one. */
static int save_batch(const struct driver *driver, const struct journal_blocks *others,
                      const struct journal_blocks *headers, struct journal_blocks *saved)
{
    struct guard old = {0};
    int number = guard_cover(&old, driver->io, driver->descriptor, 0, FRONT_PAGE_WRITTEN, saved);
    for (size_t i = 0, length; i < headers->count && number == 0; i += length) {
        const struct journal_block *run = &headers->block[i];
        uint64_t size;
        length = driver_header_run(run, headers->count - i, &size);
        number = guard_cover(&old, driver->io, driver->descriptor, run->address, size, saved);
    }
    for (size_t i = 0; i < others->count && number == 0; i++) {
        const struct journal_block *block = &others->block[i];
        number = guard_cover(&old, driver->io, driver->descriptor, block->address, block->size, saved);
    }
    guard_free(&old);
    return number;
}

static trajlog_status write_batch_journal(struct driver *driver, const struct journal_blocks *others,
                                          const struct journal_blocks *headers)
{
    struct journal_blocks saved = {0};
    struct journal_identity identity = {.sequence = driver->front.sequence + 1};
    memcpy(identity.file_id, driver->front.file_id, sizeof identity.file_id);
    memcpy(identity.boot_id, driver->boot_id, sizeof identity.boot_id);
    int number = save_batch(driver, others, headers, &saved);
    if (number == 0) number = journal_write(&driver->journal, JOURNAL_BATCH, &identity, &saved);
    journal_blocks_free(&saved);
    return number == 0 ? TRAJLOG_OK : driver_freeze(driver, number, "writing the journal");
}

static trajlog_status apply_batch(struct driver *driver, struct journal_blocks *others, struct journal_blocks *headers)
{
    TRY(driver_select_blocks(driver, false, others));
    TRY(driver_select_headers(driver, headers));
    TRY(driver_index_redirect(driver, others));
    TRY(driver_make_room(driver));
    TRY(driver_sync(driver));
    TRY(driver_guard(driver, others, headers));
    TRY(write_batch_journal(driver, others, headers));
    TRY(driver_write_front(driver));
    TRY(driver_write_headers(driver, headers, FIRST_PAGE_FIRST));
    TRY(driver_write_blocks(driver, others));
    driver_index_settle(driver);
    return TRAJLOG_OK;
}

/* After a failure: the disk may still take what it has had before. If not, the next open does this. */
static void take_back_batch(const struct driver *driver)
{
    enum journal_finding finding;
    journal_recover(driver->io, driver->path, driver->descriptor, false, &finding, NULL);
}

trajlog_status driver_publish_batch(struct driver *driver)
{
    if (driver->held.count > 0 || !driver_front_is_up_to_date(driver)) {
        struct journal_blocks others = {0}, headers = {0};
        trajlog_status status = apply_batch(driver, &others, &headers);
        journal_blocks_free(&others);
        journal_blocks_free(&headers);
        TRY(status);
        journal_blocks_free(&driver->held);
    }
    if (!driver->finishing) TRY(driver_stay_ahead(driver));
    TRY(driver_make_base(driver));
    driver->phase = PHASE_ROWS;
    return TRAJLOG_OK;
}

trajlog_status driver_publish(struct driver *driver, enum commit_level level, struct error *error)
{
    if (driver_is_frozen(driver)) return driver_error(driver, error);
    trajlog_status status = TRAJLOG_INVALID_STATE;
    if (driver->phase == PHASE_NEW) status = publish_new(driver, level);
    else if (driver->phase == PHASE_BATCH) {
        status = driver_publish_batch(driver);
        if (status != TRAJLOG_OK) take_back_batch(driver);
    } else return error_set(error, status, 0, "%s is published already", driver->path);
    driver->space.commits++;
    driver->counts.commits++;
    return status == TRAJLOG_OK ? TRAJLOG_OK : driver_error(driver, error);
}
