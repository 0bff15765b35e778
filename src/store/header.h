/* Object headers in version 2 of their format, as they lie in a file, and the pieces that they go on in. libhdf5 forgets
 * a header that it has begun to read when a piece of it cannot be read; then it cannot end, says so, and in some builds
 * aborts the process; so it does with a first piece that is damaged. So whoever reads for libhdf5 looks first whether all
 * pieces are there. Knows bytes only. */
#ifndef STORE_HEADER_H
#define STORE_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pieces that are looked after; no header that libhdf5 writes for us has as many, or as large ones. */
#define HEADER_MOST_PIECES   64
#define HEADER_LARGEST_PIECE 65536

struct header_piece {
    uint64_t address, size;
};

/* The messages of a header's first piece, or of another one. */
struct header_messages {
    const unsigned char *next, *end;
    size_t prefix; /* bytes before each message */
};

/* False if the bytes do not begin as a header; `size` may be less than it has, or more. */
bool header_open(const unsigned char *bytes, size_t size, struct header_messages *messages);

/* How many bytes the first piece has that begins with these; 0 if they do not begin as a header, or do not say. */
uint64_t header_first_size(const unsigned char *bytes, size_t size);

/* Another piece of the same header, whole: false if it is damaged. */
bool header_open_piece(const unsigned char *bytes, size_t size, const struct header_messages *first,
                       struct header_messages *messages);

/* Whether it ends with the checksum of what is before. */
bool header_piece_is_sound(const unsigned char *piece, size_t size);

/* Where the header goes on; false: nowhere else. */
bool header_next_piece(struct header_messages *messages, struct header_piece *piece);

#endif
