/* HDF5's global heap, in which texts of variable length lie. It is the one part of a log's metadata that has no checksum,
 * and libhdf5 (1.10) believes its sizes: a flipped bit there makes it run beyond its memory, or for ever. */
#ifndef READ_HEAP_H
#define READ_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_HEADER  16                    /* bytes that tell a collection and its size */
#define HEAP_LARGEST (UINT64_C(256) << 20) /* more than any text that is believed */

/* Whether these bytes, HEAP_HEADER at least, begin a collection of the heap; *size is what it says its size is. For files
 * with lengths of 8 bytes. */
bool heap_begins(const unsigned char *bytes, uint64_t *size);

/* Whether the sizes of the objects in a whole collection fit into it. */
bool heap_is_sound(const unsigned char *bytes, uint64_t size);

#endif
