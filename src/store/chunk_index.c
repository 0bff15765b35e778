#include "store/chunk_index.h"

#include <string.h>

#include "store/checksum.h"

#define CHECKSUM_BYTES 4
#define ADDRESS_BYTES  8

/* Where the header has what. */
#define HEADER_ELEMENT_BYTES    6
#define HEADER_MOST_BITS        7
#define HEADER_INDEX_ELEMENTS   8
#define HEADER_SMALLEST         9
#define HEADER_SMALLEST_POINTER 10
#define HEADER_PAGE_BITS        11

/* All other blocks begin with signature, version, kind, and the header's address; but for the index block, the number
 * of the first chunk follows. */
#define BLOCK_HEADER 6
#define BLOCK_BEGIN  14

static unsigned log2_of(uint64_t power)
{
    return (unsigned)(63 - __builtin_clzll(power));
}

static bool is_power(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

bool chunk_index_decode(struct chunk_index *index, const unsigned char header[CHUNK_INDEX_HEADER_SIZE])
{
    size_t before = CHUNK_INDEX_HEADER_SIZE - CHECKSUM_BYTES;
    if (memcmp(header, "EAHD", 4) != 0 || get_u32(header + before) != checksum_lookup3(header, before, 0)) return false;
    unsigned bits = header[HEADER_MOST_BITS], page_bits = header[HEADER_PAGE_BITS];
    uint64_t smallest = header[HEADER_SMALLEST], pointers = header[HEADER_SMALLEST_POINTER];
    if (!is_power(smallest) || !is_power(pointers) || bits > 63 || page_bits > bits || log2_of(smallest) > bits)
        return false;
    *index = (struct chunk_index){.element_bytes = header[HEADER_ELEMENT_BYTES],
                                  .index_elements = header[HEADER_INDEX_ELEMENTS],
                                  .index_blocks = 2 * (pointers - 1),
                                  .smallest = smallest,
                                  .page_elements = UINT64_C(1) << page_bits,
                                  .offset_bytes = (bits + 7) / 8,
                                  .first_super = 2 * log2_of(pointers),
                                  .super_end = 1 + bits - log2_of(smallest)};
    return index->super_end >= index->first_super;
}

/* ---- sizes ---- */

static uint64_t data_blocks(unsigned super)
{
    return UINT64_C(1) << super / 2;
}

/* Of each data block of a super block; 0: it has no pages. */
static uint64_t pages(const struct chunk_index *index, unsigned super)
{
    uint64_t elements = index->smallest << (super + 1) / 2;
    return elements > index->page_elements ? elements / index->page_elements : 0;
}

static uint64_t data_block_size(const struct chunk_index *index, unsigned super)
{
    uint64_t begin = BLOCK_BEGIN + index->offset_bytes + CHECKSUM_BYTES, count = pages(index, super);
    if (count == 0) return begin + (index->smallest << (super + 1) / 2) * index->element_bytes;
    return begin + count * (index->page_elements * index->element_bytes + CHECKSUM_BYTES);
}

/* Its addresses follow a bit for each page of its data blocks, in whole bytes for each of those. */
static uint64_t super_block_bits(const struct chunk_index *index, unsigned super)
{
    return data_blocks(super) * ((pages(index, super) + 7) / 8);
}

static uint64_t super_block_size(const struct chunk_index *index, unsigned super)
{
    return BLOCK_BEGIN + index->offset_bytes + super_block_bits(index, super) + data_blocks(super) * ADDRESS_BYTES +
           CHECKSUM_BYTES;
}

static uint64_t index_block_size(const struct chunk_index *index)
{
    uint64_t addresses = index->index_blocks + (index->super_end - index->first_super);
    return BLOCK_BEGIN + index->index_elements * index->element_bytes + addresses * ADDRESS_BYTES + CHECKSUM_BYTES;
}

/* ---- children ---- */

bool chunk_index_is_parent(const void *block, size_t size)
{
    return size >= BLOCK_BEGIN && (memcmp(block, "EAIB", 4) == 0 || memcmp(block, "EASB", 4) == 0);
}

uint64_t chunk_index_header_address(const unsigned char *block)
{
    return get_u64(block + BLOCK_HEADER);
}

static bool child_of_index_block(const struct chunk_index *index, size_t size, uint64_t i,
                                 struct chunk_index_child *child)
{
    uint64_t count = index->index_blocks + (index->super_end - index->first_super);
    if (size != index_block_size(index) || i >= count) return false;
    child->place = BLOCK_BEGIN + index->index_elements * index->element_bytes + i * ADDRESS_BYTES;
    if (i >= index->index_blocks) {
        child->size = super_block_size(index, index->first_super + (unsigned)(i - index->index_blocks));
        return true;
    }
    unsigned super = 0;
    for (; i >= data_blocks(super); super++) i -= data_blocks(super);
    child->size = data_block_size(index, super);
    return true;
}

static bool child_of_super_block(const struct chunk_index *index, const unsigned char *block, size_t size, uint64_t i,
                                 struct chunk_index_child *child)
{
    uint64_t first = 0;
    if (size < BLOCK_BEGIN + index->offset_bytes) return false;
    memcpy(&first, block + BLOCK_BEGIN, index->offset_bytes); /* little-endian, as we are */
    if (first == UINT64_MAX) return false;
    unsigned super = log2_of(first / index->smallest + 1);
    if (super >= index->super_end || size != super_block_size(index, super) || i >= data_blocks(super)) return false;
    child->place = BLOCK_BEGIN + index->offset_bytes + super_block_bits(index, super) + i * ADDRESS_BYTES;
    child->size = data_block_size(index, super);
    return true;
}

bool chunk_index_child(const struct chunk_index *index, const unsigned char *block, size_t size, uint64_t i,
                       struct chunk_index_child *child)
{
    bool found = memcmp(block, "EAIB", 4) == 0 ? child_of_index_block(index, size, i, child)
                                               : child_of_super_block(index, block, size, i, child);
    if (found) child->address = get_u64(block + child->place);
    return found;
}

void chunk_index_set_child(unsigned char *block, size_t place, uint64_t address)
{
    put_u64(block + place, address);
}

void chunk_index_set_checksum(unsigned char *block, size_t size)
{
    put_u32(block + size - CHECKSUM_BYTES, checksum_lookup3(block, size - CHECKSUM_BYTES, 0));
}
