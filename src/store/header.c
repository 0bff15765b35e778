#include "store/header.h"

#include <string.h>

#include "store/checksum.h"

#define CONTINUATION     0x10 /* the type of the message that says where the header goes on */
#define HAS_TIMES        0x20 /* flags of a header */
#define HAS_PHASE_CHANGE 0x10
#define TRACKS_ORDER     0x04
#define CHECKSUM_BYTES   4

/* Where the messages begin, and how many bytes they have; 0 if it is no header. */
static size_t find_messages(const unsigned char *bytes, size_t size, uint64_t *length)
{
    if (size < 6 || memcmp(bytes, "OHDR\2", 5) != 0) return 0;
    unsigned flags = bytes[5];
    size_t length_bytes = (size_t)1 << (flags & 3);
    size_t place = 6 + ((flags & HAS_TIMES) != 0 ? 16 : 0) + ((flags & HAS_PHASE_CHANGE) != 0 ? 4 : 0);
    if (size < place + length_bytes) return 0;
    *length = 0;
    for (size_t i = 0; i < length_bytes; i++) *length |= (uint64_t)bytes[place + i] << (8 * i);
    return place + length_bytes;
}

bool header_open(const unsigned char *bytes, size_t size, struct header_messages *messages)
{
    uint64_t length;
    size_t place = find_messages(bytes, size, &length);
    if (place == 0) return false;
    messages->next = bytes + place;
    messages->end = messages->next + (length < size - place ? (size_t)length : size - place);
    messages->prefix = (bytes[5] & TRACKS_ORDER) != 0 ? 6 : 4;
    return true;
}

uint64_t header_first_size(const unsigned char *bytes, size_t size)
{
    uint64_t length;
    size_t place = find_messages(bytes, size, &length);
    if (place == 0 || length > UINT32_MAX) return 0;
    return place + length + CHECKSUM_BYTES;
}

bool header_piece_is_sound(const unsigned char *piece, size_t size)
{
    return checksum_lookup3(piece, size - CHECKSUM_BYTES, 0) == get_u32(piece + size - CHECKSUM_BYTES);
}

bool header_open_piece(const unsigned char *bytes, size_t size, const struct header_messages *first,
                       struct header_messages *messages)
{
    if (size < 4 + CHECKSUM_BYTES || memcmp(bytes, "OCHK", 4) != 0) return false;
    messages->next = bytes + 4;
    messages->end = bytes + size - CHECKSUM_BYTES;
    messages->prefix = first->prefix;
    return header_piece_is_sound(bytes, size);
}

bool header_next_piece(struct header_messages *messages, struct header_piece *piece)
{
    while ((size_t)(messages->end - messages->next) >= messages->prefix) {
        const unsigned char *message = messages->next;
        size_t length = (size_t)message[1] | (size_t)message[2] << 8;
        size_t rest = (size_t)(messages->end - message) - messages->prefix;
        if (length > rest) break;
        messages->next += messages->prefix + length;
        if (message[0] != CONTINUATION || length < 16) continue;
        piece->address = get_u64(message + messages->prefix);
        piece->size = get_u64(message + messages->prefix + 8);
        return true;
    }
    messages->next = messages->end;
    return false;
}
