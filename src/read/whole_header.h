/* Whether libhdf5 may see an object header: store/header.h tells what it does with one that is not whole. For files whose
 * addresses and lengths have 8 bytes; others' pieces are not found, and not looked at. */
#ifndef READ_WHOLE_HEADER_H
#define READ_WHOLE_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads bytes of the file; false: it cannot. */
typedef bool read_bytes(const void *context, uint64_t address, size_t size, void *buffer);

/* `bytes` are at `address`, and begin with a header or with anything else: false if they do with a header that is damaged,
 * in its first piece or in another, or if there is no memory to look. */
bool header_is_whole(read_bytes *read, const void *context, uint64_t address, const unsigned char *bytes, size_t size);

#endif
