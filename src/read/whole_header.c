#include "read/whole_header.h"

#include <stdlib.h>

#include "store/header.h"

#define LARGEST_PIECE (UINT64_C(16) << 20) /* far more than libhdf5 writes: a message has 64 KiB at most */

/* To be freed; NULL if it cannot be read. */
static unsigned char *read_piece(read_bytes *read, const void *context, uint64_t address, uint64_t size)
{
    unsigned char *piece = size <= LARGEST_PIECE ? malloc(size) : NULL;
    if (piece && read(context, address, size, piece)) return piece;
    free(piece);
    return NULL;
}

struct pieces {
    struct header_piece piece[HEADER_MOST_PIECES];
    size_t count;
};

static void note_pieces(struct header_messages *messages, struct pieces *pieces)
{
    struct header_piece piece;
    while (pieces->count < HEADER_MOST_PIECES && header_next_piece(messages, &piece))
        pieces->piece[pieces->count++] = piece;
}

/* Pieces that go on elsewhere add to the list. `first` serves for the form of the messages. */
static bool pieces_are_whole(read_bytes *read, const void *context, const struct header_messages *first,
                             struct pieces *pieces)
{
    for (size_t i = 0; i < pieces->count; i++) {
        const struct header_piece *piece = &pieces->piece[i];
        unsigned char *bytes = read_piece(read, context, piece->address, piece->size);
        struct header_messages messages;
        bool is_whole = bytes && header_open_piece(bytes, piece->size, first, &messages);
        if (is_whole) note_pieces(&messages, pieces);
        free(bytes);
        if (!is_whole) return false;
    }
    return true;
}

bool header_is_whole(read_bytes *read, const void *context, uint64_t address, const unsigned char *bytes, size_t size)
{
    struct pieces pieces = {.count = 0};
    struct header_messages first;
    uint64_t first_size = header_first_size(bytes, size);
    if (first_size == 0) return true;
    unsigned char *whole = read_piece(read, context, address, first_size);
    bool is_whole = whole && header_piece_is_sound(whole, first_size) && header_open(whole, first_size, &first);
    if (is_whole) {
        struct header_messages messages = first;
        note_pieces(&messages, &pieces);
        is_whole = pieces_are_whole(read, context, &first, &pieces);
    }
    free(whole);
    return is_whole;
}
