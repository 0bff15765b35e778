#include "store/shuffle.h"

#include <string.h>
#ifdef CPU_IS_X86
#include <immintrin.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

static void shuffle_any(const unsigned char *from, unsigned char *to, size_t first, size_t count, size_t element_size)
{
    for (size_t j = 0; j < element_size; j++)
        for (size_t i = first; i < count; i++) to[j * count + i] = from[i * element_size + j];
}

/* ---------------------------------------------------------------------------------------------------------------------
 * 16 elements of two, four or eight bytes, in vectors that every compiler and machine has
 * ------------------------------------------------------------------------------------------------------------------ */

typedef unsigned char bytes16 __attribute__((vector_size(16)));
#define EVEN_BYTES 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD_BYTES  1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
/* GCC has had its own name for it up to version 11. */
#if defined(__clang__) || __GNUC__ >= 12
#define EVEN(a, b) __builtin_shufflevector(a, b, EVEN_BYTES)
#define ODD(a, b)  __builtin_shufflevector(a, b, ODD_BYTES)
#else
#define EVEN(a, b) __builtin_shuffle(a, b, (bytes16){EVEN_BYTES})
#define ODD(a, b)  __builtin_shuffle(a, b, (bytes16){ODD_BYTES})
#endif

/* A byte's place in 16 elements of 2^k bytes is the number (element, byte), four bits and k. Taking the even bytes of
 * all, then the odd ones, moves that number's lowest bit to the top; k times that gives (byte, element). */
ALWAYS_INLINE void shuffle_16(const unsigned char *from, unsigned char *to, size_t stride, int element_size)
{
    bytes16 now[8], next[8];
    memcpy(now, from, 16 * (size_t)element_size);
#pragma GCC unroll 4
    for (int bit = 1; bit < element_size; bit *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < element_size / 2; i++) {
            next[i] = EVEN(now[2 * i], now[2 * i + 1]);
            next[i + element_size / 2] = ODD(now[2 * i], now[2 * i + 1]);
        }
#pragma GCC unroll 8
        for (int i = 0; i < element_size; i++) now[i] = next[i];
    }
#pragma GCC unroll 8
    for (int j = 0; j < element_size; j++) memcpy(to + (size_t)j * stride, &now[j], 16);
}

ALWAYS_INLINE void shuffle_vectors(const unsigned char *from, unsigned char *to, size_t first, size_t count,
                                   int element_size)
{
    size_t i = first;
    for (; i + 16 <= count; i += 16) {
        const unsigned char *at = from + i * (size_t)element_size;
        fetch_ahead(at);
        if (element_size == 8) fetch_ahead(at + 64);
        shuffle_16(at, to + i, count, element_size);
    }
    shuffle_any(from, to, i, count, (size_t)element_size);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * 32 elements of four or eight bytes with AVX2, whose instructions mostly work on the two halves of a vector
 * ------------------------------------------------------------------------------------------------------------------ */

#ifdef CPU_IS_X86
WITH_AVX2 ALWAYS_INLINE __m256i load_two(const unsigned char *low, const unsigned char *high)
{
    __m256i both = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)low));
    return _mm256_inserti128_si256(both, _mm_loadu_si128((const __m128i *)high), 1);
}

/* Of the 8 elements of 4 bytes in a vector: their first bytes, their second ones, and so on. */
WITH_AVX2 ALWAYS_INLINE __m256i shuffle_8(__m256i elements)
{
    const __m256i in_halves = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, /* */
                                               0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m256i across = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    return _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(elements, in_halves), across);
}

/* Of 32 elements of 4 bytes. */
WITH_AVX2 ALWAYS_INLINE void shuffle_32(const __m256i from[4], unsigned char *to, size_t stride)
{
    __m256i a = shuffle_8(from[0]), b = shuffle_8(from[1]), c = shuffle_8(from[2]), d = shuffle_8(from[3]);
    /* 16 bytes in each half: the first and third ones, the second and fourth ones. */
    __m256i ab02 = _mm256_unpacklo_epi64(a, b), ab13 = _mm256_unpackhi_epi64(a, b);
    __m256i cd02 = _mm256_unpacklo_epi64(c, d), cd13 = _mm256_unpackhi_epi64(c, d);
    _mm256_storeu_si256((__m256i *)to, _mm256_permute2x128_si256(ab02, cd02, 0x20));
    _mm256_storeu_si256((__m256i *)(to + stride), _mm256_permute2x128_si256(ab13, cd13, 0x20));
    _mm256_storeu_si256((__m256i *)(to + 2 * stride), _mm256_permute2x128_si256(ab02, cd02, 0x31));
    _mm256_storeu_si256((__m256i *)(to + 3 * stride), _mm256_permute2x128_si256(ab13, cd13, 0x31));
}

/* These return how many elements they have shuffled. */
WITH_AVX2 static size_t shuffle_fours_avx2(const unsigned char *from, unsigned char *to, size_t count)
{
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        const unsigned char *at = from + 4 * i;
        __m256i elements[4];
        fetch_ahead(at);
        fetch_ahead(at + 64);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) elements[j] = _mm256_loadu_si256((const __m256i *)at + j);
        shuffle_32(elements, to + i, count);
    }
    return i;
}

/* First the lower and the upper halves of the elements, each like an element of 4 bytes. */
WITH_AVX2 static size_t shuffle_eights_avx2(const unsigned char *from, unsigned char *to, size_t count)
{
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i lower[4], upper[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            const unsigned char *at = from + 8 * i + 64 * (size_t)j;
            fetch_ahead(at);
            /* Elements 0, 1, 4, 5 and 2, 3, 6, 7: halves of vectors are taken in turns. */
            __m256 first = _mm256_castsi256_ps(load_two(at, at + 32));
            __m256 second = _mm256_castsi256_ps(load_two(at + 16, at + 48));
            lower[j] = _mm256_castps_si256(_mm256_shuffle_ps(first, second, _MM_SHUFFLE(2, 0, 2, 0)));
            upper[j] = _mm256_castps_si256(_mm256_shuffle_ps(first, second, _MM_SHUFFLE(3, 1, 3, 1)));
        }
        shuffle_32(lower, to + i, count);
        shuffle_32(upper, to + 4 * count + i, count);
    }
    return i;
}
#endif

static size_t shuffle_wide(enum vectors vectors, const unsigned char *from, unsigned char *to, size_t count,
                           size_t element_size)
{
#ifdef CPU_IS_X86
    if (vectors >= VECTORS_AVX2 && element_size == 4) return shuffle_fours_avx2(from, to, count);
    if (vectors >= VECTORS_AVX2 && element_size == 8) return shuffle_eights_avx2(from, to, count);
#endif
    (void)vectors, (void)from, (void)to, (void)count, (void)element_size;
    return 0;
}

void shuffle_bytes_with(enum vectors vectors, const void *from, void *to, size_t bytes, size_t element_size)
{
    size_t count = bytes / element_size, shuffled = count * element_size;
    size_t first = shuffle_wide(vectors, from, to, count, element_size);
    switch (element_size) {
    case 2:
        shuffle_vectors(from, to, first, count, 2);
        break;
    case 4:
        shuffle_vectors(from, to, first, count, 4);
        break;
    case 8:
        shuffle_vectors(from, to, first, count, 8);
        break;
    default:
        shuffle_any(from, to, first, count, element_size);
        break;
    }
    if (bytes > shuffled)
        memcpy((unsigned char *)to + shuffled, (const unsigned char *)from + shuffled, bytes - shuffled);
}

void shuffle_bytes(const void *from, void *to, size_t bytes, size_t element_size)
{
    shuffle_bytes_with(vectors_here(), from, to, bytes, element_size);
}
