/* Numbers of bits are whole ones of 1/256 bit: behind ISA-L's wide vectors, arithmetic with floats is slow at first. */
#include "store/search.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BIT           256
#define SAMPLE        2048 /* bytes, in strips from everywhere */
#define STRIP         32
#define STRIPS        (SAMPLE / STRIP)
#define PIECE         1024 /* bytes in one piece, for what repeats itself */
#define LEAST_SAMPLED (2 * SAMPLE)
#define HASH_BITS     10
#define HASHED_PLACES (1 << HASH_BITS)
#define LONG_REPEAT   64
#define NEARBY        (1 << SEARCH_NEARBY_BITS)
#define RUN_BITS      10              /* about what a repeat of something nearby takes in a stream */
#define REPEAT_BITS   20              /* and of anything else */
#define NOISE_BITS    (76 * BIT / 10) /* per byte; of noise, a sample shows a little less than it has */
#define ROW_SAMPLES   64
#define ROW_BYTES     8
#define USUALLY_FOUND 2048
#define FARTHEST      32768 /* that deflate can repeat */

/* What a value that occurs so many times in the sample takes, in all its places. */
struct search_table {
    uint32_t bits[SAMPLE + 1];
};

struct search_table *search_table_new(void)
{
    struct search_table *table = malloc(sizeof *table);
    if (!table) return NULL;
    table->bits[0] = 0;
    for (int i = 1; i <= SAMPLE; i++) table->bits[i] = (uint32_t)lround(BIT * i * log2((double)SAMPLE / i));
    return table;
}

/* Per byte, from strips of the whole part: neighbours are more alike than all are. */
static int entropy_of(const struct search_table *table, const unsigned char *part, size_t bytes)
{
    uint16_t count[4][256] = {{0}}; /* in turns: where many bytes are equal, each would wait for the one before */
    uint32_t bits = 0;
    for (size_t i = 0; i < STRIPS; i++) {
        const unsigned char *strip = part + (bytes - STRIP) * i / (STRIPS - 1);
        for (size_t j = 0; j < STRIP; j += 4) {
            count[0][strip[j]]++;
            count[1][strip[j + 1]]++;
            count[2][strip[j + 2]]++;
            count[3][strip[j + 3]]++;
        }
    }
    for (int i = 0; i < 256; i++) bits += table->bits[count[0][i] + count[1][i] + count[2][i] + count[3][i]];
    return (int)(bits / SAMPLE);
}

static uint32_t word_at(const unsigned char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static int length_of_repeat(const unsigned char *piece, int at, int earlier)
{
    int length = sizeof(uint32_t);
    while (length < LONG_REPEAT && at + length < PIECE && piece[at + length] == piece[earlier + length]) length++;
    return length;
}

/* The bits that repeats of what is not farther away than `farthest` would save of the piece.
 *
 * A place of 0 is the first word's, and that of all hashes that have not occurred: to tell them apart would be a branch
 * that no processor foresees. Nothing is mistaken: a word equal to the first one has its hash. */
static int weigh_repeats(const unsigned char *piece, int entropy, int farthest)
{
    uint16_t place[HASHED_PLACES] = {0}; /* of the latest word with this hash */
    int saved = 0;
    for (int i = 1, length; i + (int)sizeof(uint32_t) <= PIECE; i += length) {
        uint16_t *latest = &place[word_at(piece + i) * UINT32_C(2654435761) >> (32 - HASH_BITS)];
        int earlier = *latest, distance = i - earlier;
        length = 1;
        *latest = (uint16_t)i;
        if (word_at(piece + earlier) != word_at(piece + i) || distance > farthest) continue;
        int repeated = length_of_repeat(piece, i, earlier);
        int bits = repeated * entropy - (distance > NEARBY ? REPEAT_BITS : RUN_BITS) * BIT;
        if (bits > 0) saved += bits;
        if (bits > 0 || repeated == LONG_REPEAT) length = repeated;
    }
    return saved;
}

/* Whether rows tend to repeat the row before: some do not change at all from frame to frame. */
static bool rows_repeat(const unsigned char *part, size_t bytes, size_t row)
{
    int equal = 0;
    if (row == 0 || row > FARTHEST || bytes < row + ROW_BYTES) return false;
    size_t span = bytes - row - ROW_BYTES;
    for (size_t i = 0; i < ROW_SAMPLES; i++) {
        const unsigned char *at = part + row + span * i / ROW_SAMPLES;
        equal += memcmp(at, at - row, ROW_BYTES) == 0;
    }
    return equal > ROW_SAMPLES / 16;
}

enum search choose_search(const struct search_table *table, int level, const unsigned char *part, size_t bytes,
                          size_t row)
{
    if (rows_repeat(part, bytes, row)) return row > USUALLY_FOUND ? SEARCH_FAR : SEARCH_AS_USUAL;
    if (level > 1 || bytes < LEAST_SAMPLED) return SEARCH_AS_USUAL;
    int entropy = entropy_of(table, part, bytes), one_percent = PIECE * entropy / 100;
    if (entropy == 0) return SEARCH_NEARBY;
    const unsigned char *piece = part + (bytes - PIECE) / 2;
    int saved = weigh_repeats(piece, entropy, PIECE);
    if (saved <= one_percent) return entropy > NOISE_BITS ? SEARCH_NO_CODE : SEARCH_NOWHERE;
    return saved > weigh_repeats(piece, entropy, NEARBY) + one_percent ? SEARCH_AS_USUAL : SEARCH_NEARBY;
}
