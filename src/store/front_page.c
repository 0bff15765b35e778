/* The superblock is described in the HDF5 File Format Specification, section II.A, "Disk Format: Level 0A", version 2
 * and 3:  0 signature, 8 version, 9 size of offsets, 10 size of lengths, 11 consistency flags, 12 base address,
 * 20 address of the extension, 28 end of file, 36 address of the root group's header, 44 checksum. */
#include "store/front_page.h"

#include <string.h>

#include "store/checksum.h"

enum { VERSION = 8, OFFSET_SIZE = 9, LENGTH_SIZE = 10, FLAGS = 11, BASE = 12, END = 28, CHECKSUM = 44 };
enum { RECORD = 64, FILE_ID = 16, SEQUENCE = 32, ANNOUNCED = 40, TRUE_END = 48, RECORD_CHECKSUM = 56 };

static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
static const char record_magic[] = "trajlog commit 1";
#define MAGIC_SIZE (sizeof record_magic - 1) /* 16 bytes in the file */

/* Whether this is a superblock that the driver can keep. */
static bool is_superblock(const unsigned char *bytes)
{
    return memcmp(bytes, signature, sizeof signature) == 0 && (bytes[VERSION] == 2 || bytes[VERSION] == 3) &&
           bytes[OFFSET_SIZE] == 8 && bytes[LENGTH_SIZE] == 8 && get_u64(bytes + BASE) == 0 &&
           get_u32(bytes + CHECKSUM) == checksum_lookup3(bytes, CHECKSUM, 0);
}

/* The end of file that it announces. */
static uint64_t superblock_end(const unsigned char *superblock)
{
    return get_u64(superblock + END);
}

void superblock_set_end(unsigned char *superblock, uint64_t end)
{
    superblock[FLAGS] = 0;
    put_u64(superblock + END, end);
    put_u32(superblock + CHECKSUM, checksum_lookup3(superblock, CHECKSUM, 0));
}

void front_page_encode(const struct front_page *page, unsigned char bytes[FRONT_PAGE_WRITTEN])
{
    unsigned char *record = bytes + RECORD;
    memset(bytes, 0, FRONT_PAGE_WRITTEN);
    memcpy(bytes, page->superblock, FRONT_PAGE_SUPERBLOCK);
    superblock_set_end(bytes, page->announced_end);
    memcpy(record, record_magic, MAGIC_SIZE);
    memcpy(record + FILE_ID, page->file_id, sizeof page->file_id);
    put_u64(record + SEQUENCE, page->sequence);
    put_u64(record + ANNOUNCED, page->announced_end);
    put_u64(record + TRUE_END, page->true_end);
    put_u32(record + RECORD_CHECKSUM, checksum_lookup3(record, RECORD_CHECKSUM, 0));
}

static void decode_record(struct front_page *page, const unsigned char *record)
{
    if (memcmp(record, record_magic, MAGIC_SIZE) != 0) return;
    if (get_u32(record + RECORD_CHECKSUM) != checksum_lookup3(record, RECORD_CHECKSUM, 0)) return;
    page->has_record = true;
    memcpy(page->file_id, record + FILE_ID, sizeof page->file_id);
    page->sequence = get_u64(record + SEQUENCE);
    if (get_u64(record + ANNOUNCED) != page->announced_end || get_u64(record + TRUE_END) > page->announced_end) return;
    page->is_current = true;
    page->true_end = get_u64(record + TRUE_END);
}

bool front_page_decode(struct front_page *page, const unsigned char bytes[FRONT_PAGE_WRITTEN])
{
    memset(page, 0, sizeof *page);
    if (!is_superblock(bytes)) return false;
    memcpy(page->superblock, bytes, FRONT_PAGE_SUPERBLOCK);
    page->announced_end = page->true_end = superblock_end(bytes);
    decode_record(page, bytes + RECORD);
    return true;
}
