/* The journal's format. All numbers are little-endian; checksums are two lookup3 hashes of all bytes before them.
 *
 *     header   0 "trajlog journal1"  16 kind (u32), 0 (u32)  24 file id  40 boot id  56 sequence (u64)
 *              64 size of the first segment (u64)  72 checksum (u64)
 *     segment  0 "segment\0"  8 sequence (u64)  16 ordinal (u64)  24 number of blocks (u64)  32 bytes of all blocks
 * (u64) 40 blocks: address (u64), size (u64), bytes  ... checksum (u64)
 *
 * The first segment belongs to the header: the journal is valid if both are. Each further segment counts if all before
 * it do. They hold what a block contained before it was overwritten, and are durable before that happens. The journal
 * is rewritten in place, so behind its end may lie segments of an earlier one: sequence and ordinal tell them apart. */
#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/checksum.h"
#include "store/front_page.h"

enum {
    HEADER_KIND = 16,
    HEADER_FILE = 24,
    HEADER_BOOT = 40,
    HEADER_SEQUENCE = 56,
    HEADER_SEGMENT = 64,
    HEADER_CHECKSUM = 72,
    HEADER_SIZE = 80
};
enum { SEGMENT_SEQUENCE = 8, SEGMENT_ORDINAL = 16, SEGMENT_COUNT = 24, SEGMENT_BYTES = 32, SEGMENT_BLOCKS = 40 };
enum { BLOCK_HEADER = 16, CHECKSUM_SIZE = 8 };

#define PAGE 4096

/* Metadata only: a journal has some tens of kilobytes; this bounds what a damaged length can make us allocate. */
#define LARGEST_JOURNAL (UINT64_C(1) << 32)

static const char header_magic[] = "trajlog journal1";
#define MAGIC_SIZE (sizeof header_magic - 1) /* 16 bytes in the file */
static const unsigned char segment_magic[8] = "segment";

static uint64_t checksum(const unsigned char *data, size_t size)
{
    return checksum_lookup3(data, size, 0) | (uint64_t)checksum_lookup3(data, size, UINT32_C(0x6a6f7572)) << 32;
}

/* ---- sets of blocks ---- */

struct journal_block *journal_blocks_add(struct journal_blocks *blocks, uint64_t address, const void *data,
                                         uint64_t size)
{
    if (blocks->count == blocks->capacity) {
        size_t capacity = blocks->capacity == 0 ? 16 : 2 * blocks->capacity;
        struct journal_block *block = realloc(blocks->block, capacity * sizeof *block);
        if (block == NULL) return NULL;
        blocks->block = block;
        blocks->capacity = capacity;
    }
    unsigned char *copy = calloc(1, size > 0 ? size : 1);
    if (copy == NULL) return NULL;
    if (data != NULL) memcpy(copy, data, size);
    struct journal_block *added = &blocks->block[blocks->count++];
    *added = (struct journal_block){.address = address, .size = size, .data = copy};
    return added;
}

void journal_blocks_overlay(const struct journal_blocks *blocks, uint64_t address, uint64_t size, void *data)
{
    for (size_t i = 0; i < blocks->count; i++) {
        const struct journal_block *block = &blocks->block[i];
        uint64_t start = block->address > address ? block->address : address;
        uint64_t block_end = block->address + block->size, end = address + size;
        if (block_end < end) end = block_end;
        if (start >= end) continue;
        memcpy((unsigned char *)data + (start - address), block->data + (start - block->address), end - start);
    }
}

void journal_blocks_free(struct journal_blocks *blocks)
{
    for (size_t i = 0; i < blocks->count; i++) free(blocks->block[i].data);
    free(blocks->block);
    memset(blocks, 0, sizeof *blocks);
}

/* ---- writing ---- */

void journal_boot_id(unsigned char boot_id[16])
{
    char text[64] = "";
    memset(boot_id, 0, 16);
    int descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return;
    ssize_t size = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    if (size < 32) return;
    /* Its 32 hexadecimal digits and hyphens, hashed: only equality matters. */
    for (uint32_t i = 0; i < 4; i++) put_u32(boot_id + 4 * i, checksum_lookup3(text, (size_t)size, i));
}

static uint64_t segment_size(const struct journal_blocks *blocks)
{
    uint64_t size = SEGMENT_BLOCKS + CHECKSUM_SIZE;
    for (size_t i = 0; i < blocks->count; i++) size += BLOCK_HEADER + blocks->block[i].size;
    return size;
}

static void encode_segment(unsigned char *segment, uint64_t size, uint64_t sequence, uint64_t ordinal,
                           const struct journal_blocks *blocks)
{
    memcpy(segment, segment_magic, sizeof segment_magic);
    put_u64(segment + SEGMENT_SEQUENCE, sequence);
    put_u64(segment + SEGMENT_ORDINAL, ordinal);
    put_u64(segment + SEGMENT_COUNT, blocks->count);
    put_u64(segment + SEGMENT_BYTES, size - SEGMENT_BLOCKS - CHECKSUM_SIZE);
    unsigned char *place = segment + SEGMENT_BLOCKS;
    for (size_t i = 0; i < blocks->count; i++) {
        const struct journal_block *block = &blocks->block[i];
        put_u64(place, block->address);
        put_u64(place + 8, block->size);
        memcpy(place + BLOCK_HEADER, block->data, block->size);
        place += BLOCK_HEADER + block->size;
    }
    put_u64(place, checksum(segment, (size_t)(place - segment)));
}

static void encode_header(unsigned char *header, enum journal_kind kind, const struct journal_identity *identity,
                          uint64_t first_segment)
{
    memset(header, 0, HEADER_SIZE);
    memcpy(header, header_magic, MAGIC_SIZE);
    put_u32(header + HEADER_KIND, kind);
    memcpy(header + HEADER_FILE, identity->file_id, sizeof identity->file_id);
    memcpy(header + HEADER_BOOT, identity->boot_id, sizeof identity->boot_id);
    put_u64(header + HEADER_SEQUENCE, identity->sequence);
    put_u64(header + HEADER_SEGMENT, first_segment);
    put_u64(header + HEADER_CHECKSUM, checksum(header, HEADER_CHECKSUM));
}

static int failed(struct journal *journal, const char *operation, int number)
{
    if (number != 0) journal->operation = operation;
    return number;
}

static int open_journal(struct journal *journal)
{
    if (journal->descriptor >= 0) return 0;
    journal->descriptor = io_open(journal->io, journal->path, O_RDWR | O_CREAT);
    return journal->descriptor < 0 ? failed(journal, "open", errno) : 0;
}

static int make_durable(struct journal *journal)
{
    int number = failed(journal, "sync", io_sync(journal->io, journal->descriptor, journal->named));
    if (number != 0 || journal->named) return number;
    number = failed(journal, "sync the directory", io_sync_directory(journal->io, journal->path));
    journal->named = number == 0;
    return number;
}

int journal_write(struct journal *journal, enum journal_kind kind, const struct journal_identity *identity,
                  const struct journal_blocks *blocks)
{
    uint64_t size = HEADER_SIZE + segment_size(blocks);
    unsigned char *bytes = size < LARGEST_JOURNAL ? malloc(size) : NULL;
    if (bytes == NULL) return failed(journal, "write", ENOMEM);
    journal->identity = *identity;
    encode_header(bytes, kind, identity, size - HEADER_SIZE);
    encode_segment(bytes + HEADER_SIZE, size - HEADER_SIZE, identity->sequence, 0, blocks);
    int number = open_journal(journal);
    if (number == 0) number = failed(journal, "write", io_write_all(journal->io, journal->descriptor, bytes, size, 0));
    free(bytes);
    if (number == 0) number = make_durable(journal);
    journal->end = size;
    return number;
}

int journal_append(struct journal *journal, const struct journal_blocks *blocks)
{
    uint64_t size = segment_size(blocks);
    unsigned char *bytes = size < LARGEST_JOURNAL ? malloc(size) : NULL;
    if (bytes == NULL) return failed(journal, "write", ENOMEM);
    /* The place in the journal is an ordinal that only grows. */
    encode_segment(bytes, size, journal->identity.sequence, journal->end, blocks);
    int number = failed(journal, "write", io_write_all(journal->io, journal->descriptor, bytes, size, journal->end));
    free(bytes);
    if (number == 0) number = make_durable(journal);
    if (number == 0) journal->end += size;
    return number;
}

int journal_remove(struct journal *journal)
{
    int removed = io_remove(journal->io, journal->path);
    if (removed != 0 && removed != ENOENT) return failed(journal, "remove", removed);
    journal->named = false;
    return failed(journal, "sync the directory", io_sync_directory(journal->io, journal->path));
}

void journal_close(struct journal *journal)
{
    if (journal->descriptor >= 0) journal->io->close(journal->io->context, journal->descriptor);
    journal->descriptor = -1;
    free(journal->path);
    journal->path = NULL;
}

/* ---- reading ---- */

struct journal_text {
    unsigned char *bytes;
    uint64_t size;
    enum journal_kind kind;
    struct journal_identity identity;
};

static trajlog_status read_bytes(const struct driver_io *io, const char *path, int descriptor,
                                 struct journal_text *text, struct error *error)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return error_set(error, TRAJLOG_IO_ERROR, errno, "cannot look at the journal %s" JOURNAL_SUFFIX, path);
    if (status.st_size < HEADER_SIZE || (uint64_t)status.st_size > LARGEST_JOURNAL) return TRAJLOG_OK;
    text->bytes = malloc((size_t)status.st_size);
    if (text->bytes == NULL)
        return error_set(error, TRAJLOG_OUT_OF_MEMORY, ENOMEM, "cannot read the journal of %s", path);
    text->size = (uint64_t)status.st_size;
    int number = io_read_all(io, descriptor, text->bytes, text->size, 0);
    if (number == 0) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_IO_ERROR, number, "cannot read the journal %s" JOURNAL_SUFFIX, path);
}

static trajlog_status read_journal(const struct driver_io *io, const char *path, struct journal_text *text,
                                   bool *exists, struct error *error)
{
    char *name = path_with_suffix(path, JOURNAL_SUFFIX);
    if (name == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, ENOMEM, "cannot look for a journal of %s", path);
    int descriptor = io_open(io, name, O_RDONLY);
    int number = errno;
    free(name);
    *exists = descriptor >= 0;
    if (descriptor < 0 && number == ENOENT) return TRAJLOG_OK;
    if (descriptor < 0)
        return error_set(error, TRAJLOG_IO_ERROR, number, "cannot open the journal %s" JOURNAL_SUFFIX, path);
    trajlog_status status = read_bytes(io, path, descriptor, text, error);
    io->close(io->context, descriptor);
    return status;
}

static bool decode_header(struct journal_text *text)
{
    const unsigned char *header = text->bytes;
    if (text->size < HEADER_SIZE || memcmp(header, header_magic, MAGIC_SIZE) != 0) return false;
    if (get_u64(header + HEADER_CHECKSUM) != checksum(header, HEADER_CHECKSUM)) return false;
    text->kind = get_u32(header + HEADER_KIND);
    memcpy(text->identity.file_id, header + HEADER_FILE, 16);
    memcpy(text->identity.boot_id, header + HEADER_BOOT, 16);
    text->identity.sequence = get_u64(header + HEADER_SEQUENCE);
    return text->kind == JOURNAL_BATCH || text->kind == JOURNAL_BASE;
}

/* The size of the segment at `offset`; 0 if no valid one is there. */
static uint64_t valid_segment(const struct journal_text *text, uint64_t offset, uint64_t ordinal)
{
    if (offset > text->size || text->size - offset < SEGMENT_BLOCKS + CHECKSUM_SIZE) return 0;
    const unsigned char *segment = text->bytes + offset;
    uint64_t room = text->size - offset - SEGMENT_BLOCKS - CHECKSUM_SIZE, bytes = get_u64(segment + SEGMENT_BYTES);
    if (memcmp(segment, segment_magic, sizeof segment_magic) != 0 || bytes > room) return 0;
    if (get_u64(segment + SEGMENT_SEQUENCE) != text->identity.sequence) return 0;
    if (get_u64(segment + SEGMENT_ORDINAL) != ordinal) return 0;
    if (get_u64(segment + SEGMENT_BLOCKS + bytes) != checksum(segment, SEGMENT_BLOCKS + bytes)) return 0;
    return SEGMENT_BLOCKS + bytes + CHECKSUM_SIZE;
}

static trajlog_status decode_segment(const unsigned char *segment, struct journal_blocks *blocks, struct error *error)
{
    uint64_t count = get_u64(segment + SEGMENT_COUNT), room = get_u64(segment + SEGMENT_BYTES);
    const unsigned char *place = segment + SEGMENT_BLOCKS;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t size = room >= BLOCK_HEADER ? get_u64(place + 8) : UINT64_MAX;
        if (size > room - BLOCK_HEADER || room < BLOCK_HEADER)
            return error_set(error, TRAJLOG_INVALID_FILE, 0, "the journal's blocks exceed its size");
        if (journal_blocks_add(blocks, get_u64(place), place + BLOCK_HEADER, size) == NULL)
            return error_set(error, TRAJLOG_OUT_OF_MEMORY, ENOMEM, "cannot hold the journal's blocks");
        place += BLOCK_HEADER + size;
        room -= BLOCK_HEADER + size;
    }
    return TRAJLOG_OK;
}

/* Whether the journal speaks of the file as it is. */
static trajlog_status belongs(const struct driver_io *io, const char *path, int descriptor,
                              const struct journal_text *text, bool *yes, struct error *error)
{
    unsigned char bytes[FRONT_PAGE_WRITTEN];
    struct front_page page;
    int number = io_read_all(io, descriptor, bytes, sizeof bytes, 0);
    if (number != 0) return error_set(error, TRAJLOG_IO_ERROR, number, "cannot read %s", path);
    /* A front page that is broken by itself can only come from a torn write of ours. */
    *yes = !front_page_decode(&page, bytes);
    if (*yes || !page.is_current || memcmp(page.file_id, text->identity.file_id, 16) != 0) return TRAJLOG_OK;
    uint64_t sequence = text->identity.sequence;
    *yes = page.sequence >= sequence || (text->kind == JOURNAL_BATCH && page.sequence + 1 == sequence);
    if (text->kind == JOURNAL_BATCH && page.sequence > sequence) *yes = false;
    return TRAJLOG_OK;
}

static bool machine_was_restarted(const struct journal_text *text)
{
    static const unsigned char unknown[16];
    unsigned char now[16];
    journal_boot_id(now);
    return memcmp(now, unknown, sizeof now) == 0 || memcmp(now, text->identity.boot_id, sizeof now) != 0;
}

static trajlog_status collect_blocks(const struct journal_text *text, uint64_t first, struct journal_blocks *blocks,
                                     struct error *error)
{
    TRY(decode_segment(text->bytes + HEADER_SIZE, blocks, error));
    /* What blocks held before they were overwritten, the earliest first: an earlier one must win. They are disjoint,
     * and disjoint from the first segment's, because a block is saved only once. */
    uint64_t offset = HEADER_SIZE + first, size;
    while ((size = valid_segment(text, offset, offset)) != 0) {
        TRY(decode_segment(text->bytes + offset, blocks, error));
        offset += size;
    }
    return TRAJLOG_OK;
}

static trajlog_status judge(const struct driver_io *io, const char *path, int descriptor, bool assume_power_loss,
                            struct journal_text *text, enum journal_finding *finding, struct journal_blocks *blocks,
                            struct error *error)
{
    bool yes = false;
    *finding = JOURNAL_TORN;
    if (!decode_header(text)) return TRAJLOG_OK;
    uint64_t first = valid_segment(text, HEADER_SIZE, 0);
    if (first == 0 || first != get_u64(text->bytes + HEADER_SEGMENT)) return TRAJLOG_OK;
    TRY(belongs(io, path, descriptor, text, &yes, error));
    *finding = JOURNAL_FOREIGN;
    if (!yes) return TRAJLOG_OK;
    *finding = JOURNAL_NOT_NEEDED;
    if (text->kind == JOURNAL_BASE && !assume_power_loss && !machine_was_restarted(text)) return TRAJLOG_OK;
    *finding = JOURNAL_NEEDED;
    return collect_blocks(text, first, blocks, error);
}

trajlog_status journal_inspect(const struct driver_io *io, const char *path, int descriptor, bool assume_power_loss,
                               enum journal_finding *finding, struct journal_blocks *blocks, struct error *error)
{
    struct journal_text text = {0};
    bool exists = false;
    memset(blocks, 0, sizeof *blocks);
    *finding = JOURNAL_NONE;
    trajlog_status status = read_journal(io, path, &text, &exists, error);
    if (status == TRAJLOG_OK && exists)
        status = judge(io, path, descriptor, assume_power_loss, &text, finding, blocks, error);
    free(text.bytes);
    return status;
}

/* Backwards, page by page. A write goes forwards, and can be cut between two pages only. So what a batch has written is
 * taken back through the states that led there. */
static int write_backwards(const struct driver_io *io, int descriptor, const struct journal_block *block)
{
    int number = 0;
    for (uint64_t end = block->size; end > 0 && number == 0;) {
        uint64_t on_page = (block->address + end - 1) % PAGE + 1, size = on_page < end ? on_page : end;
        end -= size;
        number = io_write_all(io, descriptor, block->data + end, size, block->address + end);
    }
    return number;
}

static trajlog_status write_blocks(const struct driver_io *io, const char *path, int descriptor,
                                   const struct journal_blocks *blocks, struct error *error)
{
    int number = 0;
    for (size_t i = blocks->count; i-- > 0 && number == 0;) number = write_backwards(io, descriptor, &blocks->block[i]);
    if (number == 0) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_IO_ERROR, number, "cannot apply the journal %s" JOURNAL_SUFFIX, path);
}

trajlog_status journal_recover(const struct driver_io *io, const char *path, int descriptor, bool assume_power_loss,
                               enum journal_finding *finding, struct error *error)
{
    struct journal_blocks blocks;
    trajlog_status status = journal_inspect(io, path, descriptor, assume_power_loss, finding, &blocks, error);
    if (status == TRAJLOG_OK && *finding == JOURNAL_NEEDED) status = write_blocks(io, path, descriptor, &blocks, error);
    journal_blocks_free(&blocks);
    if (status != TRAJLOG_OK || *finding == JOURNAL_NONE) return status;
    /* Without its journal, the file must be durable as it is. */
    int number = io_sync(io, descriptor, false);
    if (number != 0) return error_set(error, TRAJLOG_IO_ERROR, number, "cannot sync %s", path);
    struct journal journal = {.io = io, .path = path_with_suffix(path, JOURNAL_SUFFIX), .descriptor = -1};
    if (journal.path == NULL)
        return error_set(error, TRAJLOG_OUT_OF_MEMORY, ENOMEM, "cannot remove the journal of %s", path);
    number = journal_remove(&journal);
    journal_close(&journal);
    if (number == 0) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_IO_ERROR, number, "cannot remove the journal %s" JOURNAL_SUFFIX, path);
}
