/* The commit driver. What follows is why it is as it is.
 *
 * The aim: at every instant the file on disk opens with plain HDF5, and shows the last commit. A process can be
 * killed between two system calls, and within a write when it goes from one page to the next; never within a page.
 * A power loss keeps any part of what was written since the last sync.
 *
 * 1. Metadata is held back in memory. libhdf5 writes when its cache pleases; nothing of that reaches the file
 *    before a commit. Raw data goes to the disk at once, into blocks that no committed metadata points at, or over
 *    the tail of a chunk whose committed rows keep their bytes.
 *
 * 2. A commit writes what was held back in the order in which libhdf5 wrote it, which under SWMR is children
 *    before parents: every prefix is a consistent file. Nodes of B-trees are copied to new places by libhdf5
 *    itself. Only the object headers, which say how many rows there are, come last, and all that share a page in
 *    one write: so all datasets whose headers are on one page get their new rows at the same instant. A group's
 *    headers may need several pages. The last page is written first: the first one has `step` and `time`, which so
 *    never have more rows than the fields; and the file's own header, on the first page of all, says last how far
 *    the run has come.
 *
 * 3. No metadata block of at most a page crosses a page's border (space.c), so that a kill cannot tear it.
 *
 * 4. The superblock, on its way to disk, loses its consistency flags, which would say "open for write", and
 *    announces an end at or behind the true one; the file is longer still, and has been so for a commit, so that
 *    no reader finds an address behind the end, or an end behind the file. Behind the superblock, on the same
 *    page, a record of ours keeps the true end. All this needs is a sparse file. A clean close makes it exact.
 *
 * 5. Before SWMR starts, libhdf5 writes in no safe order. A new file is therefore made under another name, and
 *    renamed when all groups are in it. In an existing file all that overwrites committed bytes is held back, raw
 *    data too, and applied as one batch, headers first: they say that dropped rows are gone, before the index
 *    forgets them. Of them, the first page is first: rows go from `step` before they go from the fields.
 *    What the batch overwrites is saved in a synced journal first. A kill amid the batch leaves that journal, by
 *    which the next open takes all of it back; the batch is done when the journal of 6 has replaced it. Back and not
 *    forward, because readers without our journal see the old rows until the batch is applied. If it were completed
 *    later, rows that they saw, and that the next resume is to keep, would vanish.
 *
 * 6. Power loss. A synced commit is a flushed one, then a sync of the file, then a journal with what all blocks
 *    that are being overwritten in place hold now (guard.c), synced too. From then on a block that is not in the
 *    journal, and is not newer than it, is added to it durably before it is overwritten. So after a power loss the
 *    journal leads back to the synced commit, whichever of the later writes have arrived; raw blocks that it
 *    refers to are not handed out again before the next one. If only the process was killed, the file is newer
 *    than the journal and needs nothing: the machine's boot id tells the two apart. While the journal is rewritten
 *    the file is durable without it.
 *
 * 7. After the first failure nothing more is written, and no sync will be reported. libhdf5 cannot live with a
 *    driver that fails: so all its writes succeed, and it reads back what it wrote, from memory.
 *
 * 8. In a forked child the driver is in this state too. */
#include "store/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

#include "store/front_page.h"
#include "store/guard.h"
#include "store/journal.h"
#include "store/read_ahead.h"
#include "store/space.h"

/* How far the file is ahead of its announced end: an eighth of it, within these bounds, or more if it grows fast. */
#define SMALLEST_STEP  (UINT64_C(1) << 20)
#define LARGEST_STEP   (UINT64_C(64) << 20)
#define LARGEST_GROWTH (UINT64_C(256) << 20)

/* Of the pages with object headers. */
enum header_order { FIRST_PAGE_FIRST, LAST_PAGE_FIRST };

enum phase {
    PHASE_NEW,   /* under its other name; everything is written at once */
    PHASE_BATCH, /* an existing file before its batch: what overwrites is held back */
    PHASE_ROWS,  /* metadata is held back */
    PHASE_READING
};

/* One block of metadata that is read again and again. */
struct rereading {
    haddr_t address, end; /* of the block; of what was read last */
    int times;
};

/* What a raw block is to be written from, instead of `place`; NULL: nothing. */
struct pieces {
    const void *place;
    const void *const *piece;
    size_t count, size;
};

struct driver {
    const struct driver_io *io;
    char *path, *new_path;
    int descriptor;
    pid_t process;
    enum phase phase;
    bool attached, finishing;
    bool abandoned; /* to be freed when libhdf5 lets go of the file */
    enum commit_level finish_level;

    unsigned char superblock[FRONT_PAGE_SUPERBLOCK]; /* as libhdf5 wrote it */
    struct front_page front;                         /* as it is, or was, in the file */
    unsigned char boot_id[16];
    uint64_t size;          /* of the file, at least */
    bool size_is_new;       /* since the last sync */
    uint64_t settled_size;  /* its size since the last commit */
    uint64_t end_at_commit; /* true end at the last commit */
    uint64_t end_at_open;   /* true end when the file was opened */
    uint64_t base_end;      /* blocks that lie before it are older than the base of the journal, or than the batch */
    struct space space;
    struct journal_blocks held; /* in the order of writing */
    bool changed;               /* since the last base */
    struct guard guard;
    struct journal journal;
    struct rereading rereading;
    struct read_ahead ahead;

    struct pieces pieces;
    struct error failure;
    struct driver_counts counts;
};

/* A file as libhdf5 sees it. */
struct open_file {
    H5FD_t head;
    struct driver *driver;
};

/* What an access list carries. */
struct access_info {
    struct driver *driver;
};

/* ---------------------------------------------------------------------------------------------------------------------
 * Failures
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status freeze(struct driver *driver, int number, const char *operation)
{
    error_set(&driver->failure, TRAJLOG_IO_ERROR, number, "%s: %s failed; the file keeps its last commit", driver->path,
              operation);
    return driver->failure.status;
}

static bool is_forked_copy(const struct driver *driver)
{
    return driver->process != getpid();
}

static bool is_frozen(const struct driver *driver)
{
    return driver->failure.status != TRAJLOG_OK || is_forked_copy(driver);
}

trajlog_status driver_error(const struct driver *driver, struct error *error)
{
    const struct error *failure = &driver->failure;
    if (failure->status != TRAJLOG_OK) {
        error_set(error, failure->status, 0, "%s", failure->message);
        if (error != NULL) error->number = failure->number;
        return failure->status;
    }
    if (is_forked_copy(driver))
        return error_set(error, TRAJLOG_INVALID_STATE, 0, "%s belongs to the process that this one was forked from",
                         driver->path);
    return TRAJLOG_OK;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Writing to the file
 * ------------------------------------------------------------------------------------------------------------------ */

static int write_pieces(struct driver *driver, uint64_t address)
{
    struct pieces pieces = driver->pieces;
    driver->pieces.place = NULL;
    return io_write_pieces(driver->io, driver->descriptor, pieces.piece, pieces.count, pieces.size, address);
}

static trajlog_status write_bytes(struct driver *driver, uint64_t address, const void *data, size_t size)
{
    bool in_pieces = data == driver->pieces.place && size == driver->pieces.count * driver->pieces.size;
    int number =
        in_pieces ? write_pieces(driver, address) : io_write_all(driver->io, driver->descriptor, data, size, address);
    driver->counts.writes++;
    driver->counts.bytes += size;
    if (address + size > driver->size) driver->size = address + size, driver->size_is_new = true;
    return number == 0 ? TRAJLOG_OK : freeze(driver, number, "a write");
}

static trajlog_status write_guarded(struct driver *driver, uint64_t address, const void *data, size_t size)
{
    TRY(write_bytes(driver, address, data, size));
    guard_store(&driver->guard, address, size, data);
    return TRAJLOG_OK;
}

static trajlog_status sync_file(struct driver *driver)
{
    int number = io_sync(driver->io, driver->descriptor, !driver->size_is_new);
    driver->counts.syncs++;
    if (number != 0) return freeze(driver, number, "a sync");
    driver->size_is_new = false;
    return TRAJLOG_OK;
}

static trajlog_status extend_to(struct driver *driver, uint64_t size)
{
    if (size <= driver->size) return TRAJLOG_OK;
    int number = io_truncate(driver->io, driver->descriptor, size);
    if (number != 0) return freeze(driver, number, "an extension of the file");
    driver->size = size;
    driver->size_is_new = true;
    return TRAJLOG_OK;
}

/* A reader looks at the file's size first, and then at the end that the superblock announces. So what is announced is a
 * size that the file has had since the last commit, if it can be. Then it goes on to read what commits behind that have
 * added: so another end is announced already when the file comes near the old one, by half of what it is ahead. */
static trajlog_status make_room(struct driver *driver)
{
    uint64_t end = driver->space.end, old = driver->front.announced_end;
    uint64_t ahead = driver->settled_size > old ? driver->settled_size - old : 0;
    if (end + ahead / 2 <= old) return TRAJLOG_OK;
    uint64_t announced = end <= driver->settled_size ? driver->settled_size : end;
    TRY(extend_to(driver, announced));
    driver->front.announced_end = announced;
    return TRAJLOG_OK;
}

/* Makes the file longer for commits to come: by an eighth, and at least by what some commits have needed. */
static trajlog_status stay_ahead(struct driver *driver)
{
    uint64_t end = driver->space.end, step = end / 8;
    uint64_t growth = end > driver->end_at_commit ? end - driver->end_at_commit : 0;
    if (step > LARGEST_STEP) step = LARGEST_STEP;
    if (step < SMALLEST_STEP) step = SMALLEST_STEP;
    if (step < 4 * growth) step = growth < LARGEST_GROWTH ? 4 * growth : 4 * LARGEST_GROWTH;
    driver->end_at_commit = end;
    uint64_t size = (driver->front.announced_end + step + SPACE_PAGE - 1) / SPACE_PAGE * SPACE_PAGE;
    if (size > driver->size) {
        int number = io_truncate(driver->io, driver->descriptor, size);
        /* A limit on the size of files may leave room for the data, but not for more. */
        if (number != 0 && number != EFBIG) return freeze(driver, number, "an extension of the file");
        if (number == 0) driver->size = size, driver->size_is_new = true;
    }
    driver->settled_size = driver->size;
    return TRAJLOG_OK;
}

static void encode_front(const struct driver *driver, struct front_page *front, unsigned char bytes[FRONT_PAGE_WRITTEN])
{
    memcpy(front->superblock, driver->superblock, sizeof front->superblock);
    front->true_end = driver->space.end;
    front_page_encode(front, bytes);
}

static trajlog_status write_front(struct driver *driver)
{
    unsigned char bytes[FRONT_PAGE_WRITTEN];
    driver->front.sequence++;
    encode_front(driver, &driver->front, bytes);
    return write_guarded(driver, 0, bytes, sizeof bytes);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * What is held back
 * ------------------------------------------------------------------------------------------------------------------ */

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

static void hold(struct driver *driver, uint64_t address, const void *data, size_t size, bool raw)
{
    if (driver->phase != PHASE_ROWS || is_frozen(driver)) forget_covered(&driver->held, address, size);
    struct journal_block *block = journal_blocks_add(&driver->held, address, data, size);
    if (block != NULL) block->raw = raw;
    else freeze(driver, ENOMEM, "holding back metadata");
}

/* The blocks of one kind, in their order, as they will be when all is written. */
static trajlog_status select_blocks(struct driver *driver, bool headers, struct journal_blocks *selected)
{
    const struct journal_blocks *held = &driver->held;
    for (size_t i = 0; i < held->count; i++) {
        const struct journal_block *block = &held->block[i];
        if (is_header(block) != headers) continue;
        struct journal_block *copy = journal_blocks_add(selected, block->address, block->data, block->size);
        if (copy == NULL) return freeze(driver, ENOMEM, "a commit");
        if (headers || driver->phase == PHASE_BATCH)
            journal_blocks_overlay(held, copy->address, copy->size, copy->data);
    }
    return TRAJLOG_OK;
}

static trajlog_status write_blocks(struct driver *driver, const struct journal_blocks *blocks)
{
    for (size_t i = 0; i < blocks->count; i++)
        TRY(write_guarded(driver, blocks->block[i].address, blocks->block[i].data, blocks->block[i].size));
    return TRAJLOG_OK;
}

/* ---- object headers ---- */

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

/* What the file holds on the pages of headers, and what it will hold; with what lies between the headers. */
static int merge_headers(const struct driver *driver, const struct journal_blocks *headers, struct journal_blocks *old,
                         struct journal_blocks *merged)
{
    for (size_t i = 0, length; i < headers->count; i += length) {
        const struct journal_block *first = &headers->block[i];
        length = length_of_run(first, headers->count - i);
        struct journal_blocks run = {.block = (struct journal_block *)first, .count = length};
        uint64_t size = end_of_run(first, length) - first->address;
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

/* One write for each page. If one fails, tries to put back what was there on all of them. */
static trajlog_status write_headers(struct driver *driver, const struct journal_blocks *headers,
                                    enum header_order order)
{
    struct journal_blocks old = {0}, merged = {0};
    int number = merge_headers(driver, headers, &old, &merged);
    trajlog_status status = number == 0 ? TRAJLOG_OK : freeze(driver, number, "reading headers");
    size_t done = 0;
    for (; done < merged.count && status == TRAJLOG_OK; done++) {
        const struct journal_block *block = &merged.block[order == FIRST_PAGE_FIRST ? done : merged.count - 1 - done];
        status = write_guarded(driver, block->address, block->data, block->size);
    }
    if (status != TRAJLOG_OK) put_back(driver, &old, order, done);
    driver->counts.header_writes_last = merged.count;
    journal_blocks_free(&old);
    journal_blocks_free(&merged);
    return status;
}

static trajlog_status select_headers(struct driver *driver, struct journal_blocks *headers)
{
    TRY(select_blocks(driver, true, headers));
    if (headers->count > 0) qsort(headers->block, headers->count, sizeof *headers->block, compare_addresses);
    return TRAJLOG_OK;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Commits of rows
 * ------------------------------------------------------------------------------------------------------------------ */

/* Takes in what is about to be overwritten, and makes the journal able to put it back. Not raw data: of it, only rows
 * are overwritten that no later state has, and it is durable when the state with the new rows is. */
static trajlog_status guard_held(struct driver *driver)
{
    struct journal_blocks added = {0};
    int number = 0;
    for (size_t i = 0; i < driver->held.count && number == 0; i++) {
        const struct journal_block *block = &driver->held.block[i];
        if (!block->raw && block->address < driver->base_end)
            number = guard_cover(&driver->guard, driver->io, driver->descriptor, block->address, block->size, &added);
    }
    if (number == 0 && driver->space.has_base && added.count > 0) {
        number = journal_append(&driver->journal, &added);
        driver->counts.undo_syncs++;
    }
    journal_blocks_free(&added);
    return number == 0 ? TRAJLOG_OK : freeze(driver, number, "keeping what is overwritten");
}

static bool front_is_up_to_date(const struct driver *driver)
{
    unsigned char superblock[FRONT_PAGE_SUPERBLOCK];
    memcpy(superblock, driver->superblock, sizeof superblock);
    superblock_set_end(superblock, driver->front.announced_end);
    return driver->front.true_end == driver->space.end &&
           memcmp(superblock, driver->front.superblock, FRONT_PAGE_SUPERBLOCK) == 0;
}

static trajlog_status write_held(struct driver *driver, struct journal_blocks *others, struct journal_blocks *headers)
{
    TRY(select_blocks(driver, false, others));
    TRY(select_headers(driver, headers));
    TRY(guard_held(driver));
    TRY(make_room(driver));
    TRY(write_front(driver));
    TRY(write_blocks(driver, others));
    return write_headers(driver, headers, LAST_PAGE_FIRST);
}

static trajlog_status flush_rows(struct driver *driver)
{
    if (driver->held.count == 0 && front_is_up_to_date(driver)) return TRAJLOG_OK;
    struct journal_blocks others = {0}, headers = {0};
    driver->changed = true;
    trajlog_status status = write_held(driver, &others, &headers);
    if (status == TRAJLOG_OK && !driver->finishing) status = stay_ahead(driver);
    journal_blocks_free(&others);
    journal_blocks_free(&headers);
    if (status == TRAJLOG_OK) journal_blocks_free(&driver->held);
    return status;
}

/* Makes the file as it is durable, and what a power loss leads back to. */
static trajlog_status make_base(struct driver *driver)
{
    struct journal_blocks blocks = {0};
    struct journal_identity identity = {.sequence = driver->front.sequence};
    memcpy(identity.file_id, driver->front.file_id, sizeof identity.file_id);
    memcpy(identity.boot_id, driver->boot_id, sizeof identity.boot_id);
    TRY(sync_file(driver));
    int number = guard_cover(&driver->guard, driver->io, driver->descriptor, 0, FRONT_PAGE_WRITTEN, NULL);
    if (number == 0) number = guard_collect(&driver->guard, &blocks);
    if (number == 0) number = journal_write(&driver->journal, JOURNAL_BASE, &identity, &blocks);
    journal_blocks_free(&blocks);
    if (number != 0) return freeze(driver, number, "writing the journal");
    driver->base_end = space_begin_pages(&driver->space);
    driver->space.has_base = true;
    driver->space.bases++;
    driver->changed = false;
    return TRAJLOG_OK;
}

trajlog_status driver_commit(struct driver *driver, enum commit_level level, struct error *error)
{
    if (is_frozen(driver)) return driver_error(driver, error);
    if (driver->phase != PHASE_ROWS)
        return error_set(error, TRAJLOG_INVALID_STATE, 0, "%s is not published yet", driver->path);
    trajlog_status status = flush_rows(driver);
    if (status == TRAJLOG_OK && level == COMMIT_SYNCED && (driver->changed || !driver->space.has_base))
        status = make_base(driver);
    driver->space.commits++;
    driver->counts.commits++;
    return status == TRAJLOG_OK ? TRAJLOG_OK : driver_error(driver, error);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Publishing
 * ------------------------------------------------------------------------------------------------------------------ */

/* A new file gets its name. A journal that an older file of that name has left does not belong to it, and would stay.
 */
static trajlog_status publish_new(struct driver *driver, enum commit_level level)
{
    TRY(make_room(driver));
    TRY(stay_ahead(driver));
    TRY(make_room(driver)); /* nobody has seen an end yet: the first one is ahead as well */
    TRY(stay_ahead(driver));
    TRY(write_front(driver));
    if (level == COMMIT_SYNCED) TRY(sync_file(driver));
    int number = io_rename(driver->io, driver->new_path, driver->path);
    if (number != 0) return freeze(driver, number, "renaming the new file to its name");
    /* The old file may still need its journal until then. */
    if (level == COMMIT_SYNCED) number = io_sync_directory(driver->io, driver->path);
    if (number != 0) return freeze(driver, number, "syncing the directory");
    driver->phase = PHASE_ROWS;
    driver->base_end = space_begin_pages(&driver->space);
    driver->changed = true;
    number = io_remove(driver->io, driver->journal.path);
    if (number != 0 && number != ENOENT) return freeze(driver, number, "removing the old journal");
    return level == COMMIT_SYNCED ? make_base(driver) : TRAJLOG_OK;
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
        length = length_of_run(run, headers->count - i);
        uint64_t size = end_of_run(run, length) - run->address;
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
    return number == 0 ? TRAJLOG_OK : freeze(driver, number, "writing the journal");
}

static trajlog_status apply_batch(struct driver *driver, struct journal_blocks *others, struct journal_blocks *headers)
{
    TRY(select_blocks(driver, false, others));
    TRY(select_headers(driver, headers));
    TRY(make_room(driver));
    TRY(sync_file(driver));
    TRY(guard_held(driver));
    TRY(write_batch_journal(driver, others, headers));
    TRY(write_front(driver));
    TRY(write_headers(driver, headers, FIRST_PAGE_FIRST));
    return write_blocks(driver, others);
}

/* After a failure: the disk may still take what it has had before. If not, the next open does this. */
static void take_back_batch(const struct driver *driver)
{
    enum journal_finding finding;
    journal_recover(driver->io, driver->path, driver->descriptor, false, &finding, NULL);
}

static trajlog_status publish_batch(struct driver *driver)
{
    if (driver->held.count > 0 || !front_is_up_to_date(driver)) {
        struct journal_blocks others = {0}, headers = {0};
        trajlog_status status = apply_batch(driver, &others, &headers);
        journal_blocks_free(&others);
        journal_blocks_free(&headers);
        TRY(status);
        journal_blocks_free(&driver->held);
    }
    if (!driver->finishing) TRY(stay_ahead(driver));
    TRY(make_base(driver));
    driver->phase = PHASE_ROWS;
    return TRAJLOG_OK;
}

trajlog_status driver_publish(struct driver *driver, enum commit_level level, struct error *error)
{
    if (is_frozen(driver)) return driver_error(driver, error);
    trajlog_status status = TRAJLOG_INVALID_STATE;
    if (driver->phase == PHASE_NEW) status = publish_new(driver, level);
    else if (driver->phase == PHASE_BATCH) {
        status = publish_batch(driver);
        if (status != TRAJLOG_OK) take_back_batch(driver);
    } else return error_set(error, status, 0, "%s is published already", driver->path);
    driver->space.commits++;
    driver->counts.commits++;
    return status == TRAJLOG_OK ? TRAJLOG_OK : driver_error(driver, error);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The first copy of a new file
 * ------------------------------------------------------------------------------------------------------------------ */

static int copy_pages(struct driver *driver, int target)
{
    unsigned char bytes[SPACE_PAGE];
    for (uint64_t place = 0; place < driver->space.end; place += sizeof bytes) {
        uint64_t rest = driver->space.end - place;
        size_t size = rest < sizeof bytes ? (size_t)rest : sizeof bytes;
        int number = io_read_all(driver->io, driver->descriptor, bytes, size, place);
        if (number == 0) number = io_write_all(driver->io, target, bytes, size, place);
        if (number != 0) return number;
    }
    return 0;
}

static int write_copy(struct driver *driver, const char *path)
{
    unsigned char bytes[FRONT_PAGE_WRITTEN];
    struct front_page front = driver->front;
    int target = io_open(driver->io, path, O_RDWR | O_CREAT | O_TRUNC);
    if (target < 0) return errno;
    front.announced_end = driver->space.end;
    encode_front(driver, &front, bytes);
    int number = copy_pages(driver, target);
    if (number == 0) number = io_write_all(driver->io, target, bytes, sizeof bytes, 0);
    if (driver->io->close(driver->io->context, target) != 0 && number == 0) number = errno;
    return number;
}

/* Gives the copy its name, unless there is such a file; without a moment in which another's file could be lost. */
static int name_copy(struct driver *driver, const char *copy, bool replace)
{
    const struct driver_io *io = driver->io;
    if (!replace) {
        int number = io_link(io, copy, driver->path);
        if (number == 0) return io_remove(io, copy);
        if (number != EPERM && number != EOPNOTSUPP && number != ENOSYS && number != EMLINK) return number;
        /* A file system without hard links; others who keep to our lock cannot come between. */
        int existing = io_open(io, driver->path, O_RDONLY);
        if (existing < 0 && errno != ENOENT) return errno;
        if (existing >= 0) {
            io->close(io->context, existing);
            return EEXIST;
        }
    }
    return io_rename(io, copy, driver->path);
}

trajlog_status driver_show(struct driver *driver, bool replace, struct error *error)
{
    if (is_frozen(driver)) return driver_error(driver, error);
    if (driver->phase != PHASE_NEW || driver->space.end == 0)
        return error_set(error, TRAJLOG_INVALID_STATE, 0, "%s is no new file", driver->path);
    char *copy = path_with_suffix(driver->path, FIRST_SUFFIX);
    if (copy == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, ENOMEM, "cannot create %s", driver->path);
    int number = write_copy(driver, copy);
    if (number == 0) number = name_copy(driver, copy, replace);
    if (number != 0) (void)io_remove(driver->io, copy);
    free(copy);
    if (number == EEXIST) return error_set(error, TRAJLOG_FILE_EXISTS, number, "%s exists already", driver->path);
    if (number != 0) return error_set(error, TRAJLOG_IO_ERROR, number, "cannot create %s", driver->path);
    return TRAJLOG_OK;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Closing
 * ------------------------------------------------------------------------------------------------------------------ */

/* The announced end becomes the true one before the file is cut there, and the journal goes before both: it would lead
 * back to an end that the file no longer has. */
static trajlog_status make_exact(struct driver *driver)
{
    bool durable = driver->finish_level == COMMIT_SYNCED || driver->space.has_base;
    if (durable) TRY(sync_file(driver));
    if (driver->space.has_base) {
        int number = journal_remove(&driver->journal);
        if (number != 0) return freeze(driver, number, "removing the journal");
        driver->space.has_base = false;
    }
    driver->front.announced_end = driver->space.end;
    TRY(extend_to(driver, driver->space.end));
    TRY(write_front(driver));
    if (durable) TRY(sync_file(driver));
    int number = io_truncate(driver->io, driver->descriptor, driver->space.end);
    if (number != 0) return freeze(driver, number, "cutting the file to its size");
    driver->size_is_new = true;
    return durable ? sync_file(driver) : TRAJLOG_OK;
}

static void close_descriptor(struct driver *driver)
{
    if (driver->descriptor < 0) return;
    if (driver->io->close(driver->io->context, driver->descriptor) != 0 && !is_frozen(driver) &&
        driver->phase != PHASE_READING)
        freeze(driver, errno, "closing the file");
    driver->descriptor = -1;
}

static void close_cleanly(struct driver *driver)
{
    trajlog_status status = TRAJLOG_OK;
    if (driver->phase == PHASE_BATCH) status = publish_batch(driver);
    if (status == TRAJLOG_OK && driver->phase == PHASE_ROWS) status = flush_rows(driver);
    if (status == TRAJLOG_OK && driver->phase == PHASE_ROWS) make_exact(driver);
}

trajlog_status driver_finish(struct driver *driver, enum commit_level level, struct error *error)
{
    if (is_frozen(driver)) return driver_error(driver, error);
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
    if (driver->phase == PHASE_NEW && driver->new_path != NULL && !is_forked_copy(driver))
        (void)io_remove(driver->io, driver->new_path);
    close_descriptor(driver);
    journal_close(&driver->journal);
    journal_blocks_free(&driver->held);
    guard_free(&driver->guard);
    read_ahead_free(&driver->ahead);
    space_free(&driver->space);
    free(driver->path);
    free(driver->new_path);
    free(driver);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * What libhdf5 calls
 * ------------------------------------------------------------------------------------------------------------------ */

static struct driver *driver_of(const H5FD_t *file)
{
    return ((const struct open_file *)file)->driver;
}

static bool may_attach(const struct driver *driver, unsigned flags)
{
    bool creates = (flags & H5F_ACC_TRUNC) != 0 || (flags & H5F_ACC_CREAT) != 0;
    if (driver->attached || driver->descriptor < 0) return false;
    /* libhdf5 first tries to open a file that it is to create: there is none. */
    if (driver->phase == PHASE_NEW) return creates && driver->space.end == 0;
    if (driver->phase == PHASE_READING) return (flags & H5F_ACC_RDWR) == 0;
    return !creates && (flags & H5F_ACC_RDWR) != 0;
}

static H5FD_t *call_open(const char *name, unsigned flags, hid_t access_list, haddr_t largest)
{
    (void)name, (void)largest;
    const struct access_info *info = H5Pget_driver_info(access_list);
    if (info == NULL || !may_attach(info->driver, flags)) return NULL;
    struct open_file *file = calloc(1, sizeof *file);
    if (file == NULL) {
        freeze(info->driver, ENOMEM, "opening the file");
        return NULL;
    }
    file->driver = info->driver;
    file->driver->attached = true;
    return &file->head;
}

static herr_t call_close(H5FD_t *file)
{
    struct driver *driver = driver_of(file);
    driver->attached = false;
    if (driver->finishing && !is_frozen(driver)) close_cleanly(driver);
    if (driver->finishing) close_descriptor(driver);
    free(file);
    if (driver->abandoned) driver_destroy(driver);
    return 0;
}

static int call_compare(const H5FD_t *left, const H5FD_t *right)
{
    const struct driver *a = driver_of(left), *b = driver_of(right);
    return a < b ? -1 : a > b;
}

static herr_t call_query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    /* No aggregation and no accumulator: each block is placed, and written, by itself. */
    *flags = H5FD_FEAT_SUPPORTS_SWMR_IO | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static haddr_t call_allocate(H5FD_t *file, H5FD_mem_t type, hid_t transfer_list, hsize_t size)
{
    (void)transfer_list;
    enum space_kind kind = type == H5FD_MEM_DRAW    ? SPACE_RAW
                           : type == H5FD_MEM_OHDR  ? SPACE_HEADER
                           : type == H5FD_MEM_SUPER ? SPACE_FRONT
                                                    : SPACE_OTHER;
    uint64_t address = space_allocate(&driver_of(file)->space, kind, size, seconds_now());
    return address == SPACE_NONE ? HADDR_UNDEF : (haddr_t)address;
}

static herr_t call_free(H5FD_t *file, H5FD_mem_t type, hid_t transfer_list, haddr_t address, hsize_t size)
{
    (void)transfer_list;
    struct driver *driver = driver_of(file);
    if (type == H5FD_MEM_DRAW) space_retire(&driver->space, address, size, seconds_now());
    return 0;
}

static haddr_t call_get_end_of_addresses(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return driver_of(file)->space.end;
}

static herr_t call_set_end_of_addresses(H5FD_t *file, H5FD_mem_t type, haddr_t end)
{
    (void)type;
    space_set_end(&driver_of(file)->space, end);
    return 0;
}

static haddr_t call_get_end_of_file(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    const struct driver *driver = driver_of(file);
    return driver->space.end > driver->end_at_open ? driver->space.end : driver->end_at_open;
}

static herr_t call_get_handle(H5FD_t *file, hid_t access_list, void **handle)
{
    (void)access_list;
    *handle = &driver_of(file)->descriptor;
    return 0;
}

/* Once SWMR is on, libhdf5 reads a block with a wrong checksum a hundred times, and waits twice as long each time: for
 * ever. It hopes for a writer, but that is us. A block that is longer than thought is read in two parts. */
static bool is_read_in_vain(struct rereading *reading, H5FD_mem_t type, haddr_t address, size_t size)
{
    enum { MOST = 20 };
    bool again = address == reading->address && reading->end > 0, rest = address == reading->end;
    reading->end = address + size;
    if (type != H5FD_MEM_DRAW && again) return ++reading->times >= MOST;
    if (!rest) *reading = (struct rereading){.address = address, .end = address + size};
    return false;
}

/* What libhdf5 has written lies over what is in the file. */
static void overlay(struct driver *driver, uint64_t address, void *data, size_t size)
{
    struct journal_block superblock = {.address = 0, .size = sizeof driver->superblock, .data = driver->superblock};
    struct journal_blocks front = {.block = &superblock, .count = 1};
    journal_blocks_overlay(&driver->held, address, size, data);
    journal_blocks_overlay(&front, address, size, data);
}

/* 0 or an errno. Without memory to look ahead, libhdf5 still gets what was read. */
static int look_ahead(struct driver *driver, haddr_t address, const void *data, size_t size)
{
    int number = read_ahead_header(&driver->ahead, driver->io, driver->descriptor, &driver->held, address, data, size);
    if (number != ENOMEM) return number;
    freeze(driver, ENOMEM, "a read");
    return 0;
}

/* A read that fails freezes the file too. libhdf5 gets along with that, but for headers: see header.h. */
static herr_t call_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer_list, haddr_t address, size_t size, void *data)
{
    (void)transfer_list;
    struct driver *driver = driver_of(file);
    if (is_read_in_vain(&driver->rereading, type, address, size)) {
        freeze(driver, EIO, "reading damaged metadata");
        return -1;
    }
    int number = io_read_all(driver->io, driver->descriptor, data, size, address);
    if (number == 0) {
        overlay(driver, address, data, size);
        number = type == H5FD_MEM_OHDR ? look_ahead(driver, address, data, size) : 0;
    }
    if (number == 0) return 0;
    freeze(driver, number, "a read");
    if (type != H5FD_MEM_OHDR || !read_ahead_recall(&driver->ahead, address, data, size)) return -1;
    overlay(driver, address, data, size);
    return 0;
}

static bool is_written_at_once(const struct driver *driver, H5FD_mem_t type, haddr_t address)
{
    if (driver->phase == PHASE_NEW) return true;
    if (driver->phase == PHASE_BATCH) return address >= driver->base_end;
    return type == H5FD_MEM_DRAW;
}

static herr_t call_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer_list, haddr_t address, size_t size,
                         const void *data)
{
    (void)transfer_list;
    struct driver *driver = driver_of(file);
    driver->rereading = (struct rereading){0};
    if (driver->phase == PHASE_READING) return -1;
    if (address == 0 && size >= sizeof driver->superblock) {
        memcpy(driver->superblock, data, sizeof driver->superblock);
        return 0;
    }
    if (type != H5FD_MEM_DRAW && size <= SPACE_PAGE && address / SPACE_PAGE != (address + size - 1) / SPACE_PAGE)
        driver->counts.straddles++;
    /* Without memory for the copy nothing more is written: so no header is without one when a read of it fails. */
    if (type == H5FD_MEM_OHDR && read_ahead_written(&driver->ahead, address, data, size, true) != 0)
        freeze(driver, ENOMEM, "holding back metadata");
    if (!is_frozen(driver)) {
        if (is_written_at_once(driver, type, address)) {
            driver->changed = true; /* raw data that is rewritten in place is synced even if no metadata changes */
            if (write_bytes(driver, address, data, size) == TRAJLOG_OK) return 0;
        } else {
            hold(driver, address, data, size, type == H5FD_MEM_DRAW);
            return 0;
        }
    }
    /* Into the void. libhdf5 reads back only its own metadata. */
    if (type != H5FD_MEM_DRAW) hold(driver, address, data, size, false);
    return 0;
}

static herr_t call_flush(H5FD_t *file, hid_t transfer_list, hbool_t closing)
{
    (void)file, (void)transfer_list, (void)closing;
    return 0;
}

static const H5FD_class_t driver_class = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)417, /* from the range for drivers that are not registered with The HDF Group */
#endif
    .name = "trajlog_commit",
    .maxaddr = (haddr_t)INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG, /* the file is closed when H5Fclose returns */
    .fapl_size = sizeof(struct access_info),
    .open = call_open,
    .close = call_close,
    .cmp = call_compare,
    .query = call_query,
    .alloc = call_allocate,
    .free = call_free,
    .get_eoa = call_get_end_of_addresses,
    .set_eoa = call_set_end_of_addresses,
    .get_eof = call_get_end_of_file,
    .get_handle = call_get_handle,
    .read = call_read,
    .write = call_write,
    .flush = call_flush,
    .truncate = call_flush,
    .fl_map = H5FD_FLMAP_DEFAULT,
};

/* ---------------------------------------------------------------------------------------------------------------------
 * Making drivers
 * ------------------------------------------------------------------------------------------------------------------ */

trajlog_status driver_use(struct driver *driver, hid_t access_list, struct error *error)
{
    /* A host may have shut HDF5 down and started it anew: then the number is not a driver any more. */
    static hid_t class_id = H5I_INVALID_HID;
    if (class_id < 0 || H5Iget_type(class_id) != H5I_VFL) class_id = H5FDregister(&driver_class);
    struct access_info info = {.driver = driver};
    if (class_id < 0 || H5Pset_driver(access_list, class_id, &info) < 0 ||
        H5Pset_libver_bounds(access_list, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0)
        return error_set(error, TRAJLOG_HDF5_ERROR, 0, "%s: libhdf5 does not take our file driver", driver->path);
    return TRAJLOG_OK;
}

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

/* ---------------------------------------------------------------------------------------------------------------------
 * Small things
 * ------------------------------------------------------------------------------------------------------------------ */

void driver_begin_headers(struct driver *driver)
{
    space_begin_headers(&driver->space);
}

bool driver_last_raw(struct driver *driver, haddr_t *address, hsize_t *size)
{
    *address = driver->space.last_raw;
    *size = driver->space.last_raw_size;
    driver->space.last_raw_size = 0;
    return *size > 0;
}

void driver_retire(struct driver *driver, haddr_t address, hsize_t size, double seconds)
{
    space_retire(&driver->space, address, size, seconds_now() + seconds);
}

void driver_give_pieces(struct driver *driver, const void *place, const void *const *pieces, size_t count, size_t size)
{
    driver->pieces = (struct pieces){place, pieces, count, size};
}

bool driver_took_pieces(struct driver *driver)
{
    bool taken = driver->pieces.place == NULL;
    driver->pieces.place = NULL;
    return taken;
}

struct driver_counts driver_get_counts(const struct driver *driver)
{
    struct driver_counts counts = driver->counts;
    counts.reused = driver->space.reused;
    counts.end = driver->space.end;
    return counts;
}
