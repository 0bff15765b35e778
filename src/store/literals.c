#include "store/literals.h"

#include <string.h>

#include "store/cpu.h"
#include "store/huffman.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#define VALUES       256
#define SYMBOLS      (VALUES + 1) /* the last one is the end of the block */
#define LENGTH_BITS  4            /* of a code's length */
#define HEAD_ROOM    256          /* bytes; as much as what comes before the literals and behind them */
#define STRIP        64           /* bytes; one of each four is in the sample */
#define STRIP_OF     (4 * STRIP)
#define PIECE        1024 /* bytes; before each, it is seen to it that there is room */
#define MOST_WRITTEN (PIECE * HUFFMAN_MOST_BITS / 8 + HEAD_ROOM)

/* ---------------------------------------------------------------------------------------------------------------------
 * Bits
 * ------------------------------------------------------------------------------------------------------------------ */

/* Up to 7 bits are held, or 63 until they are written. */
struct bits {
    uint64_t held;
    unsigned count;
    unsigned char *to;
};

ALWAYS_INLINE void put(struct bits *bits, uint64_t value, unsigned count)
{
    bits->held |= value << bits->count;
    bits->count += count;
}

/* Eight bytes, of which the last ones do not count yet. */
ALWAYS_INLINE void write_held(struct bits *bits)
{
    memcpy(bits->to, &bits->held, sizeof bits->held);
    bits->to += bits->count / 8;
    bits->held >>= bits->count & ~7u;
    bits->count %= 8;
}

/* Of a code, or of several that were added up: the processor shifts by the lower six bits of a number, and need not be
 * told which they are. */
ALWAYS_INLINE unsigned length_of(uint32_t code)
{
    return code & 63;
}

ALWAYS_INLINE void put_code(struct bits *bits, uint32_t code)
{
    put(bits, code >> 8, length_of(code));
    write_held(bits);
}

/* Two codes, as one. */
ALWAYS_INLINE uint64_t pair_of(uint32_t first, uint32_t second)
{
    return first >> 8 | (uint64_t)(second >> 8) << length_of(first);
}

ALWAYS_INLINE void put_literals(struct bits *to, const uint32_t *code, const unsigned char *from, size_t bytes)
{
    struct bits bits = *to;
    size_t i = 0;
    for (; i + 4 <= bytes; i += 4) {
        uint32_t a = code[from[i]], b = code[from[i + 1]], c = code[from[i + 2]], d = code[from[i + 3]];
        put(&bits, pair_of(a, b) | pair_of(c, d) << length_of(a + b), length_of(a + b + c + d));
        write_held(&bits);
    }
    for (; i < bytes; i++) put_code(&bits, code[from[i]]);
    *to = bits;
}

static void put_literals_anywhere(struct bits *bits, const uint32_t *code, const unsigned char *from, size_t bytes)
{
    put_literals(bits, code, from, bytes);
}

#ifdef CPU_IS_X86
WITH_BMI2 static void put_literals_bmi2(struct bits *bits, const uint32_t *code, const unsigned char *from,
                                        size_t bytes)
{
    put_literals(bits, code, from, bytes);
}
#endif

typedef void (*put_function)(struct bits *bits, const uint32_t *code, const unsigned char *from, size_t bytes);

static put_function function_here(void)
{
#ifdef CPU_IS_X86
    if (has_bmi2_here()) return put_literals_bmi2;
#endif
    return put_literals_anywhere;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * The block
 * ------------------------------------------------------------------------------------------------------------------ */

/* From places that are in step with nothing. A value that is not in the sample may be in the block, and gets a long
 * code. */
static void count_sample(const unsigned char *from, size_t bytes, uint32_t *count)
{
    uint32_t counts[4][VALUES] = {{0}}; /* in turns: where many bytes are equal, each would wait for the one before */
    for (size_t at = 0; at + STRIP_OF <= bytes; at += STRIP_OF) {
        const unsigned char *strip = from + at + STRIP * ((uint32_t)at * UINT32_C(2654435761) >> 30);
        for (size_t i = 0; i < STRIP; i += 4) {
            counts[0][strip[i]]++;
            counts[1][strip[i + 1]]++;
            counts[2][strip[i + 2]]++;
            counts[3][strip[i + 3]]++;
        }
    }
    for (int i = 0; i < VALUES; i++)
        count[i] = 1 + STRIP_OF / STRIP * (counts[0][i] + counts[1][i] + counts[2][i] + counts[3][i]);
    count[VALUES] = 1;
}

/* The lengths of the codes are numbers of four bits: that is, codes of four bits for 0 to 15. No distance is ever used,
 * but readers may want that there is a code: two with one bit each. */
static void put_head(struct bits *bits, const uint8_t *length)
{
    static const uint8_t order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    enum { DISTANCES = 2, KINDS = sizeof order / sizeof order[0] };
    put(bits, 2 << 1, 3); /* not the last block; with codes of its own */
    put(bits, SYMBOLS - 257, 5);
    put(bits, DISTANCES - 1, 5);
    put(bits, KINDS - 4, 4);
    for (int i = 0; i < KINDS; i++) {
        put(bits, order[i] < 16 ? LENGTH_BITS : 0, 3);
        write_held(bits);
    }
    for (int i = 0; i < SYMBOLS + DISTANCES; i++) {
        put(bits, huffman_reversed(i < SYMBOLS ? length[i] : 1, LENGTH_BITS), LENGTH_BITS);
        write_held(bits);
    }
}

/* A block of no bytes, stored as they are. */
static void put_empty_block(struct bits *bits)
{
    put(bits, 0, 3);
    put(bits, 0, -bits->count % 8);
    put(bits, 0xffff0000, 32);
    write_held(bits);
}

size_t literals_write(const unsigned char *from, size_t bytes, unsigned char *to, size_t room)
{
    uint32_t count[SYMBOLS], code[SYMBOLS];
    uint8_t length[SYMBOLS];
    const put_function put_piece = function_here();
    struct bits bits = {.to = to};
    if (room < HEAD_ROOM) return 0;
    count_sample(from, bytes, count);
    huffman_lengths(count, SYMBOLS, length);
    huffman_codes(length, SYMBOLS, code);
    put_head(&bits, length);
    for (size_t at = 0; at < bytes; at += PIECE) {
        if (room - (size_t)(bits.to - to) < MOST_WRITTEN) return 0;
        put_piece(&bits, code, from + at, bytes - at < PIECE ? bytes - at : PIECE);
    }
    put_code(&bits, code[VALUES]);
    put_empty_block(&bits);
    return (size_t)(bits.to - to);
}
