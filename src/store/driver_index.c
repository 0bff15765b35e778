/* Blocks of the index of chunks that are larger than a page, and change with each chunk (3 in driver.c). Each has two
 * places. A commit writes it to the one that the file does not refer to, and then the address in its parent, which is
 * small. libhdf5 knows nothing of this: it may call the block by either of its places. What is held back has the address
 * of the first one. */
#include "store/driver_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_in(uint64_t address, uint64_t place, uint64_t size)
{
    return place != 0 && address >= place && address - place < size;
}

static struct large_block *find_block(const struct driver *driver, uint64_t address)
{
    for (size_t i = driver->large.count; i-- > 0;) {
        struct large_block *block = &driver->large.block[i];
        if (is_in(address, block->place[0], block->size) || is_in(address, block->place[1], block->size)) return block;
    }
    return NULL;
}

uint64_t driver_index_name(const struct driver *driver, uint64_t address)
{
    const struct large_block *block = find_block(driver, address);
    if (block == NULL || is_in(address, block->place[0], block->size)) return address;
    return address - block->place[1] + block->place[0];
}

uint64_t driver_index_place(const struct driver *driver, uint64_t name)
{
    const struct large_block *block = find_block(driver, name);
    return block == NULL ? name : name - block->place[0] + block->place[block->now];
}

/* ---- which there are ---- */

/* As the file will hold it after the next commit, but for what other places the large blocks get. 0 or an errno. */
static int read_newest(const struct driver *driver, uint64_t name, uint64_t size, unsigned char *data)
{
    int number = io_read_all(driver->io, driver->descriptor, data, size, driver_index_place(driver, name));
    if (number == 0) journal_blocks_overlay(&driver->held, name, size, data);
    return number;
}

static int add_block(struct large_blocks *large, struct large_block added)
{
    if (large->count == large->capacity) {
        size_t capacity = large->capacity == 0 ? 16 : 2 * large->capacity;
        struct large_block *block = realloc(large->block, capacity * sizeof *block);
        if (block == NULL) return ENOMEM;
        large->block = block;
        large->capacity = capacity;
    }
    large->block[large->count++] = added;
    return 0;
}

/* From the last one on: they are made in their order, so that all before a known one are known. */
static int add_children(struct driver *driver, const struct chunk_index *index, uint64_t parent,
                        const unsigned char *data, size_t size)
{
    struct chunk_index_child child;
    uint64_t count = 0;
    int number = 0;
    while (chunk_index_child(index, data, size, count, &child)) count++;
    while (count-- > 0 && number == 0) {
        chunk_index_child(index, data, size, count, &child);
        if (child.size <= SPACE_PAGE) break;
        if (child.address == CHUNK_INDEX_NONE) continue;
        if (find_block(driver, child.address) != NULL) break;
        number = add_block(&driver->large, (struct large_block){.place = {child.address},
                                                                .size = child.size,
                                                                .parent = parent,
                                                                .parent_size = size,
                                                                .place_in_parent = child.place});
    }
    return number;
}

int driver_index_note(struct driver *driver, uint64_t address, const void *data, size_t size)
{
    unsigned char header[CHUNK_INDEX_HEADER_SIZE];
    struct chunk_index index;
    if (driver->phase == PHASE_READING || !chunk_index_is_parent(data, size)) return 0;
    uint64_t place = chunk_index_header_address(data);
    if (place >= driver->space.end) return 0; /* damaged: libhdf5 will say so */
    int number = read_newest(driver, place, sizeof header, header);
    if (number != 0 || !chunk_index_decode(&index, header)) return number;
    return add_children(driver, &index, driver_index_name(driver, address), data, size);
}

/* What libhdf5 has written since the last commit. Not before, as it writes the header after all others. */
static int note_held(struct driver *driver)
{
    const struct journal_blocks *held = &driver->held;
    int number = 0;
    for (size_t i = 0; i < held->count && number == 0; i++)
        if (!held->block[i].raw)
            number = driver_index_note(driver, held->block[i].address, held->block[i].data, held->block[i].size);
    return number;
}

/* ---- a commit ---- */

/* What is in a large block moves it; and if its parent is one too, that as well. */
static void mark_moves(struct driver *driver, const struct journal_blocks *others)
{
    for (size_t i = 0; i < others->count; i++) {
        struct large_block *block = find_block(driver, others->block[i].address);
        if (block != NULL) block->moves = true;
    }
    for (size_t i = 0; i < driver->large.count; i++) {
        struct large_block *parent = find_block(driver, driver->large.block[i].parent);
        if (parent != NULL && driver->large.block[i].moves) parent->moves = true;
    }
}

static int add_moved(struct driver *driver, struct large_block *block, struct journal_blocks *written)
{
    uint64_t *place = &block->place[!block->now];
    if (*place == 0) {
        uint64_t address = space_allocate(&driver->space, SPACE_OTHER, block->size, 0);
        if (address == SPACE_NONE) return EFBIG;
        *place = address;
    }
    struct journal_block *moved = journal_blocks_add(written, *place, NULL, block->size);
    driver->counts.moved++;
    return moved == NULL ? ENOMEM : read_newest(driver, block->place[0], block->size, moved->data);
}

static int add_copy(struct journal_blocks *written, const struct journal_block *block)
{
    struct journal_block *copy = journal_blocks_add(written, block->address, block->data, block->size);
    if (copy != NULL) copy->raw = block->raw;
    return copy == NULL ? ENOMEM : 0;
}

static bool is_written(const struct journal_blocks *written, uint64_t address)
{
    for (size_t i = written->count; i-- > 0;)
        if (written->block[i].address == address) return true;
    return false;
}

/* The small block that refers to it. */
static int add_parent(struct driver *driver, const struct large_block *block, struct journal_blocks *written)
{
    if (find_block(driver, block->parent) != NULL || is_written(written, block->parent)) return 0;
    struct journal_block *parent = journal_blocks_add(written, block->parent, NULL, block->parent_size);
    return parent == NULL ? ENOMEM : read_newest(driver, block->parent, block->parent_size, parent->data);
}

/* All that moves, to places that nothing refers to yet; then what libhdf5 wrote, and those parents that it did not. */
static int collect_written(struct driver *driver, const struct journal_blocks *others, struct journal_blocks *written)
{
    const struct large_blocks *large = &driver->large;
    int number = 0;
    for (size_t i = 0; i < large->count && number == 0; i++)
        if (large->block[i].moves) number = add_moved(driver, &large->block[i], written);
    for (size_t i = 0; i < others->count && number == 0; i++)
        if (find_block(driver, others->block[i].address) == NULL) number = add_copy(written, &others->block[i]);
    for (size_t i = 0; i < large->count && number == 0; i++)
        if (large->block[i].moves) number = add_parent(driver, &large->block[i], written);
    return number;
}

static void set_addresses(const struct driver *driver, struct journal_block *block)
{
    uint64_t name = driver_index_name(driver, block->address);
    bool changed = false;
    for (size_t i = 0; i < driver->large.count; i++) {
        const struct large_block *child = &driver->large.block[i];
        if (child->parent != name || child->parent_size != block->size) continue;
        chunk_index_set_child(block->data, child->place_in_parent,
                              child->place[child->moves ? !child->now : child->now]);
        changed = true;
    }
    if (changed) chunk_index_set_checksum(block->data, block->size);
}

trajlog_status driver_index_redirect(struct driver *driver, struct journal_blocks *others)
{
    struct journal_blocks written = {0};
    int number = note_held(driver);
    if (number == 0 && driver->large.count == 0) return TRAJLOG_OK;
    mark_moves(driver, others);
    if (number == 0) number = collect_written(driver, others, &written);
    for (size_t i = 0; i < written.count; i++)
        if (chunk_index_is_parent(written.block[i].data, written.block[i].size))
            set_addresses(driver, &written.block[i]);
    journal_blocks_free(others);
    *others = written;
    return number == 0 ? TRAJLOG_OK : driver_freeze(driver, number, "a commit");
}

void driver_index_settle(struct driver *driver)
{
    for (size_t i = 0; i < driver->large.count; i++) {
        struct large_block *block = &driver->large.block[i];
        if (block->moves) block->now = !block->now;
        block->moves = false;
    }
}
