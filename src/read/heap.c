/* The format is section III.E, "Disk Format: Level 1E - Global Heap", of the HDF5 File Format Specification: a header
 * (0 "GCOL", 4 version 1, 5 zeros, 8 size of the collection) and objects (0 number, 2 count of references, 4 zeros, 8
 * size, then the data, padded to 8 bytes). Object 0 is what is free; its size covers its header too. */
#include "read/heap.h"

#include <string.h>

#include "store/checksum.h"

enum { SIZE = 8, OBJECT_SIZE = 8, OBJECT_HEADER = 16 };

bool heap_begins(const unsigned char *bytes, uint64_t *size)
{
    static const unsigned char start[8] = {'G', 'C', 'O', 'L', 1, 0, 0, 0};
    *size = get_u64(bytes + SIZE);
    return memcmp(bytes, start, sizeof start) == 0;
}

bool heap_is_sound(const unsigned char *bytes, uint64_t size)
{
    uint64_t place = HEAP_HEADER;
    while (place <= size && size - place >= OBJECT_HEADER) {
        const unsigned char *object = bytes + place;
        bool is_free = object[0] == 0 && object[1] == 0;
        uint64_t room = size - place, needed = get_u64(object + OBJECT_SIZE);
        if (needed > room) return false;
        if (!is_free) needed = OBJECT_HEADER + (needed + 7) / 8 * 8;
        if (needed < OBJECT_HEADER || needed > room) return false;
        place += needed;
    }
    return true;
}
