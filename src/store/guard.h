/* The blocks that are overwritten in place, with what the file holds there now: so that a journal can lead back to the
 * last synced commit, whichever of the later, unsynced writes have reached the disk. */
#ifndef STORE_GUARD_H
#define STORE_GUARD_H

#include "store/journal.h"

struct guard_block {
    uint64_t address, size;
    unsigned char *data;
    int idle; /* journals since it was overwritten */
};

/* Disjoint, by address. */
struct guard {
    struct guard_block *block;
    size_t count, capacity;
};

/* Takes in what of [address, address + size) is not guarded yet, with what the file holds, and adds that to `added`
 * (may be NULL). Must come before the range is overwritten. 0 or an errno. */
int guard_cover(struct guard *guard, const struct driver_io *io, int descriptor, uint64_t address, uint64_t size,
                struct journal_blocks *added);

/* The range was overwritten; takes note of what of it is guarded. */
void guard_store(struct guard *guard, uint64_t address, uint64_t size, const void *data);

/* Adds all blocks to `blocks`, as they are now; those that were not overwritten for long are given up. 0 or an errno.
 */
int guard_collect(struct guard *guard, struct journal_blocks *blocks);

void guard_free(struct guard *guard);

#endif
