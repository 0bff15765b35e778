/* lookup3 as in http://burtleburtle.net/bob/c/lookup3.c ("hashlittle"), which its author placed in the public domain;
 * written anew, byte by byte, so that it does not depend on byte order or alignment. */
#include "store/checksum.h"

void put_u32(unsigned char *place, uint32_t value)
{
    for (int i = 0; i < 4; i++) place[i] = (unsigned char)(value >> (8 * i));
}

void put_u64(unsigned char *place, uint64_t value)
{
    for (int i = 0; i < 8; i++) place[i] = (unsigned char)(value >> (8 * i));
}

uint32_t get_u32(const unsigned char *place)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) value |= (uint32_t)place[i] << (8 * i);
    return value;
}

uint64_t get_u64(const unsigned char *place)
{
    return get_u32(place) | (uint64_t)get_u32(place + 4) << 32;
}

static uint32_t rotate(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

static void mix(uint32_t state[3])
{
    uint32_t a = state[0], b = state[1], c = state[2];
    a -= c, a ^= rotate(c, 4), c += b;
    b -= a, b ^= rotate(a, 6), a += c;
    c -= b, c ^= rotate(b, 8), b += a;
    a -= c, a ^= rotate(c, 16), c += b;
    b -= a, b ^= rotate(a, 19), a += c;
    c -= b, c ^= rotate(b, 4), b += a;
    state[0] = a, state[1] = b, state[2] = c;
}

static uint32_t finish(const uint32_t state[3])
{
    uint32_t a = state[0], b = state[1], c = state[2];
    c ^= b, c -= rotate(b, 14);
    a ^= c, a -= rotate(c, 11);
    b ^= a, b -= rotate(a, 25);
    c ^= b, c -= rotate(b, 16);
    a ^= c, a -= rotate(c, 4);
    b ^= a, b -= rotate(a, 14);
    c ^= b, c -= rotate(b, 24);
    return c;
}

uint32_t checksum_lookup3(const void *data, size_t size, uint32_t start)
{
    const unsigned char *byte = data;
    uint32_t state[3];
    state[0] = state[1] = state[2] = UINT32_C(0xdeadbeef) + (uint32_t)size + start;
    for (; size > 12; size -= 12, byte += 12) {
        for (int word = 0; word < 3; word++) state[word] += get_u32(byte + 4 * word);
        mix(state);
    }
    if (size == 0) return state[2];
    for (size_t i = 0; i < size; i++) state[i / 4] += (uint32_t)byte[i] << (8 * (i % 4));
    return finish(state);
}
