/* Commits of rows: flushed ones, and the base that a synced one makes (2 and 6 in driver.c). */
#include "store/driver_state.h"

#include <string.h>

static int guard_blocks(struct driver *driver, const struct journal_blocks *blocks, struct journal_blocks *added)
{
    int number = 0;
    for (size_t i = 0; i < blocks->count && number == 0; i++) {
        const struct journal_block *block = &blocks->block[i];
        if (!block->raw && block->address < driver->base_end)
            number = guard_cover(&driver->guard, driver->io, driver->descriptor, block->address, block->size, added);
    }
    return number;
}

/* Not raw data: of it, only rows are overwritten that no later state has, and it is durable when the state with the new
 * rows is. */
trajlog_status driver_guard(struct driver *driver, const struct journal_blocks *others,
                            const struct journal_blocks *headers)
{
    struct journal_blocks added = {0};
    int number = guard_blocks(driver, others, &added);
    if (number == 0) number = guard_blocks(driver, headers, &added);
    if (number == 0 && driver->space.has_base && added.count > 0) {
        number = journal_append(&driver->journal, &added);
        driver->counts.undo_syncs++;
    }
    journal_blocks_free(&added);
    return number == 0 ? TRAJLOG_OK : driver_freeze(driver, number, "keeping what is overwritten");
}

static trajlog_status write_held(struct driver *driver, struct journal_blocks *others, struct journal_blocks *headers)
{
    TRY(driver_select_blocks(driver, false, others));
    TRY(driver_select_headers(driver, headers));
    TRY(driver_index_redirect(driver, others));
    TRY(driver_guard(driver, others, headers));
    TRY(driver_make_room(driver));
    TRY(driver_write_front(driver));
    TRY(driver_write_blocks(driver, others));
    TRY(driver_write_headers(driver, headers, LAST_PAGE_FIRST));
    driver_index_settle(driver);
    return TRAJLOG_OK;
}

trajlog_status driver_flush_rows(struct driver *driver)
{
    if (driver->held.count == 0 && driver_front_is_up_to_date(driver)) return TRAJLOG_OK;
    struct journal_blocks others = {0}, headers = {0};
    driver->changed = true;
    trajlog_status status = write_held(driver, &others, &headers);
    if (status == TRAJLOG_OK && !driver->finishing) status = driver_stay_ahead(driver);
    journal_blocks_free(&others);
    journal_blocks_free(&headers);
    if (status == TRAJLOG_OK) journal_blocks_free(&driver->held);
    return status;
}

trajlog_status driver_make_base(struct driver *driver)
{
    struct journal_blocks blocks = {0};
    struct journal_identity identity = {.sequence = driver->front.sequence};
    memcpy(identity.file_id, driver->front.file_id, sizeof identity.file_id);
    memcpy(identity.boot_id, driver->boot_id, sizeof identity.boot_id);
    TRY(driver_sync(driver));
    int number = guard_cover(&driver->guard, driver->io, driver->descriptor, 0, FRONT_PAGE_WRITTEN, NULL);
    if (number == 0) number = guard_collect(&driver->guard, &blocks);
    if (number == 0) number = journal_write(&driver->journal, JOURNAL_BASE, &identity, &blocks);
    journal_blocks_free(&blocks);
    if (number != 0) return driver_freeze(driver, number, "writing the journal");
    driver->base_end = space_begin_pages(&driver->space);
    driver->space.has_base = true;
    driver->space.bases++;
    driver->changed = false;
    return TRAJLOG_OK;
}

trajlog_status driver_commit(struct driver *driver, enum commit_level level, struct error *error)
{
    if (driver_is_frozen(driver)) return driver_error(driver, error);
    if (driver->phase != PHASE_ROWS)
        return error_set(error, TRAJLOG_INVALID_STATE, 0, "%s is not published yet", driver->path);
    trajlog_status status = driver_flush_rows(driver);
    if (status == TRAJLOG_OK && level == COMMIT_SYNCED && (driver->changed || !driver->space.has_base))
        status = driver_make_base(driver);
    driver->space.commits++;
    driver->counts.commits++;
    return status == TRAJLOG_OK ? TRAJLOG_OK : driver_error(driver, error);
}
