/* The random numbers of the examples: xoshiro256** (Blackman and Vigna), seeded by splitmix64. The same seed gives the
 * same numbers on every machine; the whole state is in the struct, so that a run can be stopped and continued. */
#ifndef EXAMPLES_RANDOM_H
#define EXAMPLES_RANDOM_H

#include <math.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

static inline void random_seed(struct random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t mixed = seed;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
        random->state[i] = mixed ^ (mixed >> 31);
    }
}

static inline uint64_t random_rotate(uint64_t bits, int places)
{
    return (bits << places) | (bits >> (64 - places));
}

static inline uint64_t random_bits(struct random *random)
{
    uint64_t *state = random->state;
    uint64_t result = random_rotate(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = random_rotate(state[3], 45);
    return result;
}

/* Evenly spread over 0 <= number < 1. */
static inline double random_uniform(struct random *random)
{
    return (double)(random_bits(random) >> 11) * 0x1p-53;
}

/* Normally distributed, mean 0 and variance 1 (Marsaglia's polar method; the second number is not kept). */
static inline double random_normal(struct random *random)
{
    double x, square;
    do {
        x = 2 * random_uniform(random) - 1;
        double y = 2 * random_uniform(random) - 1;
        square = x * x + y * y;
    } while (square >= 1 || square == 0);
    return x * sqrt(-2 * log(square) / square);
}

#endif
