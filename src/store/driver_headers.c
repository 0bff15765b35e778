/* Object headers, which say how many rows there are. All that share a page are written by one write, so that their
 * datasets get or lose rows at the same instant; and the pages in the order that driver.c asks for (2 and 5). */
#include "store/driver_state.h"

#include <errno.h>
#include <stdlib.h>

static int compare_addresses(const void *left, const void *right)
{
    uint64_t a = ((const struct journal_block *)left)->address, b = ((const struct journal_block *)right)->address;
    return a < b ? -1 : a > b;
}

/* How many of the blocks, which are sorted, share the pages of the first one. */
static size_t length_of_run(const struct journal_block *block, size_t count)
{
    uint64_t page = (block[0].address + block[0].size - 1) / SPACE_PAGE;
    size_t length = 1;
    for (; length < count && block[length].address / SPACE_PAGE == page; length++) {
        uint64_t last = (block[length].address + block[length].size - 1) / SPACE_PAGE;
        if (last > page) page = last;
    }
    return length;
}

static uint64_t end_of_run(const struct journal_block *block, size_t count)
{
    uint64_t end = block[0].address;
    for (size_t i = 0; i < count; i++)
        if (block[i].address + block[i].size > end) end = block[i].address + block[i].size;
    return end;
}

size_t driver_header_run(const struct journal_block *block, size_t count, uint64_t *size)
{
    size_t length = length_of_run(block, count);
    *size = end_of_run(block, length) - block->address;
    return length;
}

/* What the file holds on the pages of headers, and what it will hold; with what lies between the headers. */
static int merge_headers(const struct driver *driver, const struct journal_blocks *headers, struct journal_blocks *old,
                         struct journal_blocks *merged)
{
    for (size_t i = 0, length; i < headers->count; i += length) {
        const struct journal_block *first = &headers->block[i];
        uint64_t size;
        length = driver_header_run(first, headers->count - i, &size);
        struct journal_blocks run = {.block = (struct journal_block *)first, .count = length};
        struct journal_block *before = journal_blocks_add(old, first->address, NULL, size);
        if (before == NULL) return ENOMEM;
        int number = io_read_all(driver->io, driver->descriptor, before->data, size, before->address);
        if (number != 0) return number;
        struct journal_block *after = journal_blocks_add(merged, first->address, before->data, size);
        if (after == NULL) return ENOMEM;
        journal_blocks_overlay(&run, after->address, size, after->data);
    }
    return 0;
}

static void put_back(const struct driver *driver, const struct journal_blocks *old, enum header_order order,
                     size_t count)
{
    while (count-- > 0) {
        const struct journal_block *block = &old->block[order == FIRST_PAGE_FIRST ? count : old->count - 1 - count];
        io_write_all(driver->io, driver->descriptor, block->data, block->size, block->address);
    }
}

trajlog_status driver_write_headers(struct driver *driver, const struct journal_blocks *headers,
                                    enum header_order order)
{
    struct journal_blocks old = {0}, merged = {0};
    int number = merge_headers(driver, headers, &old, &merged);
    trajlog_status status = number == 0 ? TRAJLOG_OK : driver_freeze(driver, number, "reading headers");
    size_t done = 0;
    for (; done < merged.count && status == TRAJLOG_OK; done++) {
        const struct journal_block *block = &merged.block[order == FIRST_PAGE_FIRST ? done : merged.count - 1 - done];
        status = driver_write_guarded(driver, block->address, block->data, block->size);
    }
    if (status != TRAJLOG_OK) put_back(driver, &old, order, done);
    driver->counts.header_writes_last = merged.count;
    journal_blocks_free(&old);
    journal_blocks_free(&merged);
    return status;
}

trajlog_status driver_select_headers(struct driver *driver, struct journal_blocks *headers)
{
    TRY(driver_select_blocks(driver, true, headers));
    if (headers->count > 0) qsort(headers->block, headers->count, sizeof *headers->block, compare_addresses);
    return TRAJLOG_OK;
}
