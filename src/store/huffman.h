/* Prefix codes for symbols that occur so many times (RFC 1951, 3.2.2). Knows numbers only. */
#ifndef STORE_HUFFMAN_H
#define STORE_HUFFMAN_H

#include <stdint.h>

#define HUFFMAN_MOST_SYMBOLS 257
#define HUFFMAN_MOST_BITS    14 /* one less than deflate allows: four codes and 7 bits fit into 64 bits */

/* The lengths of the codes: those of the shortest code, or of one that is hardly longer where that has some of more than
 * HUFFMAN_MOST_BITS. Each count is at least 1, and less than 2^23; there are two symbols or more. */
void huffman_lengths(const uint32_t *count, int symbols, uint8_t *length);

/* The codes with these lengths: the length in the lower 8 bits, and above them the code, in the order in which deflate
 * writes its bits, from the lowest one on. */
void huffman_codes(const uint8_t *length, int symbols, uint32_t *code);

/* The other way round: the last of so many bits first. */
uint32_t huffman_reversed(uint32_t code, int bits);

#endif
