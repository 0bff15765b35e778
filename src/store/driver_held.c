/* The blocks that the commit driver holds back until a commit or the batch of a resume (1 and 5 in driver.c). */
#include "store/driver_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Whether it is (a part of) an object header. */
static bool is_header(const struct journal_block *block)
{
    return !block->raw && block->size >= 4 &&
           (memcmp(block->data, "OHDR", 4) == 0 || memcmp(block->data, "OCHK", 4) == 0);
}

/* Forgets what a newer block covers. Not while rows are appended: there the order of all versions is the safe one. */
static void forget_covered(struct journal_blocks *held, uint64_t address, uint64_t size)
{
    size_t kept = 0;
    for (size_t i = 0; i < held->count; i++) {
        struct journal_block block = held->block[i];
        if (block.address >= address && block.address + block.size <= address + size) free(block.data);
        else held->block[kept++] = block;
    }
    held->count = kept;
}

void driver_hold(struct driver *driver, uint64_t address, const void *data, size_t size, bool raw)
{
    address = driver_index_name(driver, address);
    if (driver->phase != PHASE_ROWS || driver_is_frozen(driver)) forget_covered(&driver->held, address, size);
    struct journal_block *block = journal_blocks_add(&driver->held, address, data, size);
    if (block != NULL) block->raw = raw;
    else driver_freeze(driver, ENOMEM, "holding back metadata");
}

trajlog_status driver_select_blocks(struct driver *driver, bool headers, struct journal_blocks *selected)
{
    const struct journal_blocks *held = &driver->held;
    for (size_t i = 0; i < held->count; i++) {
        const struct journal_block *block = &held->block[i];
        if (is_header(block) != headers) continue;
        struct journal_block *copy = journal_blocks_add(selected, block->address, block->data, block->size);
        if (copy == NULL) return driver_freeze(driver, ENOMEM, "a commit");
        copy->raw = block->raw;
        if (headers || driver->phase == PHASE_BATCH)
            journal_blocks_overlay(held, copy->address, copy->size, copy->data);
    }
    return TRAJLOG_OK;
}

trajlog_status driver_write_blocks(struct driver *driver, const struct journal_blocks *blocks)
{
    for (size_t i = 0; i < blocks->count; i++)
        TRY(driver_write_guarded(driver, blocks->block[i].address, blocks->block[i].data, blocks->block[i].size));
    return TRAJLOG_OK;
}
