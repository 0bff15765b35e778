/* The extensible array, in which libhdf5 keeps where the chunks of a dataset with one dimension are: as much of its format
 * as it takes to give one of its blocks another place. Pure: bytes in memory.
 *
 *     header "EAHD" -> index block "EAIB" -> super blocks "EASB" -> data blocks "EADB", which list the chunks
 *
 * The index block lists the first chunks and the first data blocks too. Super block `u` lists 2^(u/2) data blocks of
 * 2^((u+1)/2) times as many chunks as the smallest one has. A data block of more chunks than a page of the array has is
 * an "EADB" without any, and then these pages, which have no signature. From the HDF5 File Format Specification,
 * version 3.0, VII.D, The Extensible Array Index; all addresses and lengths have 8 bytes. */
#ifndef STORE_CHUNK_INDEX_H
#define STORE_CHUNK_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNK_INDEX_HEADER_SIZE 72

/* What the header says, once for all. */
struct chunk_index {
    uint64_t element_bytes;  /* for one chunk */
    uint64_t index_elements; /* chunks that the index block lists itself */
    uint64_t index_blocks;   /* data blocks that it lists itself */
    uint64_t smallest;       /* chunks that the smallest data block lists */
    uint64_t page_elements;  /* chunks that a page lists */
    unsigned offset_bytes;   /* of the number of a block's first chunk */
    unsigned first_super;    /* number of the first super block */
    unsigned super_end;      /* behind the number of the last one that there can be */
};

/* False unless the bytes are such a header. */
bool chunk_index_decode(struct chunk_index *index, const unsigned char header[CHUNK_INDEX_HEADER_SIZE]);

/* Whether a block has this signature, and addresses of other blocks in it. Its first bytes are enough. */
bool chunk_index_is_parent(const void *block, size_t size);
/* Of such a block. */
uint64_t chunk_index_header_address(const unsigned char *block);

/* A block that another one refers to. */
struct chunk_index_child {
    size_t place; /* of its address, in the other one */
    uint64_t address, size;
};

/* The child number `i` of a parent that is `size` bytes long; false if there are not so many, or it is not as long as
 * such a block is. A child that does not exist yet has the address CHUNK_INDEX_NONE. */
#define CHUNK_INDEX_NONE UINT64_MAX
bool chunk_index_child(const struct chunk_index *index, const unsigned char *block, size_t size, uint64_t i,
                       struct chunk_index_child *child);

/* Gives the child whose address is at `place` another one. The block's checksum is wrong until the second call. */
void chunk_index_set_child(unsigned char *block, size_t place, uint64_t address);
void chunk_index_set_checksum(unsigned char *block, size_t size);

#endif
