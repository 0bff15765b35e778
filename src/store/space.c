#include "store/space.h"

#include <stdlib.h>
#include <string.h>

#define LARGEST_FILE (UINT64_C(1) << 62)

/* Raw blocks from this size on start on a page: their padding is small, and they can be mapped and copied by pages. */
#define LARGE_RAW (64 * 1024)

/* A small block never ends at its page's end: libhdf5 cannot extend it over the border, nor join free blocks across. */
#define PAGE_TAIL 8

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static uint64_t place_at_end(struct space *space, uint64_t size, uint64_t alignment)
{
    if (size > LARGEST_FILE || space->end > LARGEST_FILE - size - alignment) return SPACE_NONE;
    uint64_t address = round_up(space->end, alignment);
    space->end = address + size;
    return address;
}

static uint64_t place_on_page(struct space *space, struct space_page *page, uint64_t size, uint64_t alignment,
                              uint64_t tail)
{
    uint64_t address = round_up(page->next, alignment);
    if (page->next == page->limit || address + size + tail > page->limit) {
        address = place_at_end(space, SPACE_PAGE, SPACE_PAGE);
        if (address == SPACE_NONE) return SPACE_NONE;
        page->limit = address + SPACE_PAGE;
    }
    page->next = address + size;
    return address;
}

/* The nodes of B-trees: blocks whose size is a power of two, that are never extended and fill pages exactly. */
static bool is_node(uint64_t size)
{
    return size >= 512 && size < SPACE_PAGE && (size & (size - 1)) == 0;
}

static uint64_t place_metadata(struct space *space, enum space_kind kind, uint64_t size)
{
    if (size + PAGE_TAIL > SPACE_PAGE) return place_at_end(space, round_up(size, SPACE_PAGE), SPACE_PAGE);
    if (kind == SPACE_HEADER) return place_on_page(space, &space->headers, size, 8, PAGE_TAIL);
    if (is_node(size)) return place_on_page(space, &space->nodes, size, size, 0);
    return place_on_page(space, &space->others, size, 8, PAGE_TAIL);
}

static bool may_be_used(const struct space *space, const struct space_retired *block, double now)
{
    return space->commits >= block->commit + 3 && now >= block->time &&
           (!space->has_base || space->bases > block->base);
}

static uint64_t take_retired(struct space *space, uint64_t size, double now)
{
    for (size_t i = 0; i < space->retired_count; i++) {
        struct space_retired *block = &space->retired[i];
        if (block->size != size || !may_be_used(space, block, now)) continue;
        uint64_t address = block->address;
        memmove(block, block + 1, (space->retired_count - i - 1) * sizeof *block);
        space->retired_count--;
        space->reused++;
        return address;
    }
    return SPACE_NONE;
}

static uint64_t place_raw(struct space *space, uint64_t size, double now)
{
    uint64_t address = take_retired(space, size, now);
    if (address == SPACE_NONE) address = place_at_end(space, size, size >= LARGE_RAW ? SPACE_PAGE : 64);
    space->last_raw = address;
    space->last_raw_size = address == SPACE_NONE ? 0 : size;
    return address;
}

uint64_t space_allocate(struct space *space, enum space_kind kind, uint64_t size, double now)
{
    if (size > LARGEST_FILE) return SPACE_NONE;
    /* The superblock comes first, and has its page for itself and our record. */
    if (kind == SPACE_FRONT && space->end == 0) return place_at_end(space, SPACE_PAGE, SPACE_PAGE);
    if (kind == SPACE_RAW) return place_raw(space, size, now);
    return place_metadata(space, kind == SPACE_FRONT ? SPACE_OTHER : kind, size);
}

void space_begin_headers(struct space *space)
{
    space->headers.next = space->headers.limit;
}

uint64_t space_begin_pages(struct space *space)
{
    space_begin_headers(space);
    space->nodes.next = space->nodes.limit;
    space->others.next = space->others.limit;
    return space->end;
}

void space_set_end(struct space *space, uint64_t end)
{
    if (end < space->end) space_begin_pages(space);
    space->end = end;
}

void space_retire(struct space *space, uint64_t address, uint64_t size, double time)
{
    if (space->retired_count == space->retired_capacity) {
        size_t capacity = space->retired_capacity == 0 ? 16 : 2 * space->retired_capacity;
        struct space_retired *retired = realloc(space->retired, capacity * sizeof *retired);
        if (retired == NULL) return;
        space->retired = retired;
        space->retired_capacity = capacity;
    }
    space->retired[space->retired_count++] = (struct space_retired){
        .address = address, .size = size, .commit = space->commits, .base = space->bases, .time = time};
}

void space_free(struct space *space)
{
    free(space->retired);
    memset(space, 0, sizeof *space);
}
