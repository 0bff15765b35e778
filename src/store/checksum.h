/* Bob Jenkins' lookup3 hash, the checksum of HDF5's metadata blocks and of our own records. */
#ifndef STORE_CHECKSUM_H
#define STORE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* H5_checksum_metadata(data, size, start). HDF5 starts with 0. */
uint32_t checksum_lookup3(const void *data, size_t size, uint32_t start);

/* Numbers as they lie in a file: little-endian. */
void put_u32(unsigned char *place, uint32_t value);
void put_u64(unsigned char *place, uint64_t value);
uint32_t get_u32(const unsigned char *place);
uint64_t get_u64(const unsigned char *place);

#endif
