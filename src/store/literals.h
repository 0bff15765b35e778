/* A block of deflate (RFC 1951, 3.2.7) without any repeats: a code for its bytes, and the bytes. Knows bytes only. */
#ifndef STORE_LITERALS_H
#define STORE_LITERALS_H

#include <stddef.h>

/* Writes a block that is not the last one, and behind it an empty one, which fills the last byte. The code is that of a
 * sample, made for less than 2^20 bytes. Returns the size; 0 if there is not enough `room`, which is some more than the
 * size. */
size_t literals_write(const unsigned char *from, size_t bytes, unsigned char *to, size_t room);

#endif
