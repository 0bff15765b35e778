#include "store/guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A block that was not overwritten for so many journals leaves the next. If it is overwritten after all, it is saved
 * then, which costs a sync of the journal. */
#define IDLE_LIMIT 16

/* The first block that ends behind `address`. */
static size_t find_block(const struct guard *guard, uint64_t address)
{
    size_t low = 0, high = guard->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct guard_block *block = &guard->block[middle];
        if (block->address + block->size > address) high = middle;
        else low = middle + 1;
    }
    return low;
}

static int insert_block(struct guard *guard, size_t index, struct guard_block added)
{
    if (guard->count == guard->capacity) {
        size_t capacity = guard->capacity == 0 ? 16 : 2 * guard->capacity;
        struct guard_block *block = realloc(guard->block, capacity * sizeof *block);
        if (block == NULL) return ENOMEM;
        guard->block = block;
        guard->capacity = capacity;
    }
    memmove(&guard->block[index + 1], &guard->block[index], (guard->count - index) * sizeof added);
    guard->block[index] = added;
    guard->count++;
    return 0;
}

static int cover_gap(struct guard *guard, const struct driver_io *io, int descriptor, size_t index, uint64_t address,
                     uint64_t size, struct journal_blocks *added)
{
    struct guard_block block = {.address = address, .size = size, .data = malloc(size)};
    if (block.data == NULL) return ENOMEM;
    int number = io_read_all(io, descriptor, block.data, size, address);
    if (number == 0) number = insert_block(guard, index, block);
    if (number != 0) {
        free(block.data);
        return number;
    }
    if (added != NULL && journal_blocks_add(added, address, block.data, size) == NULL) return ENOMEM;
    return 0;
}

int guard_cover(struct guard *guard, const struct driver_io *io, int descriptor, uint64_t address, uint64_t size,
                struct journal_blocks *added)
{
    uint64_t end = address + size;
    for (size_t i = find_block(guard, address); address < end; i++) {
        uint64_t gap_end = i < guard->count && guard->block[i].address < end ? guard->block[i].address : end;
        if (address < gap_end) {
            int number = cover_gap(guard, io, descriptor, i, address, gap_end - address, added);
            if (number != 0) return number;
        }
        address = guard->block[i].address + guard->block[i].size;
    }
    return 0;
}

void guard_store(struct guard *guard, uint64_t address, uint64_t size, const void *data)
{
    uint64_t end = address + size;
    for (size_t i = find_block(guard, address); i < guard->count && guard->block[i].address < end; i++) {
        struct guard_block *block = &guard->block[i];
        uint64_t from = block->address > address ? block->address : address;
        uint64_t to = block->address + block->size < end ? block->address + block->size : end;
        memcpy(block->data + (from - block->address), (const unsigned char *)data + (from - address), to - from);
        block->idle = 0;
    }
}

int guard_collect(struct guard *guard, struct journal_blocks *blocks)
{
    size_t kept = 0;
    int number = 0;
    for (size_t i = 0; i < guard->count; i++) {
        struct guard_block block = guard->block[i];
        if (block.idle++ >= IDLE_LIMIT) {
            free(block.data);
            continue;
        }
        guard->block[kept++] = block;
        if (journal_blocks_add(blocks, block.address, block.data, block.size) == NULL) number = ENOMEM;
    }
    guard->count = kept;
    return number;
}

void guard_free(struct guard *guard)
{
    for (size_t i = 0; i < guard->count; i++) free(guard->block[i].data);
    free(guard->block);
    memset(guard, 0, sizeof *guard);
}
