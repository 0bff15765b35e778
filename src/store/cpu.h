/* What the processor that we run on can do, beyond what the compiler may take for granted. */
#ifndef STORE_CPU_H
#define STORE_CPU_H

#include <stdbool.h>
#include <stdint.h>

enum vectors {
    VECTORS_ANYWHERE, /* of 16 bytes, or what the compiler makes of them */
    VECTORS_AVX2      /* of 32 bytes */
};

#if defined(__x86_64__) || defined(__i386__)
#define CPU_IS_X86

/* For functions that may only be called where vectors_here() says so, and for what is inlined into them. */
#define WITH_AVX2 __attribute__((target("avx2")))

/* Shifts by any number of bits in one operation. */
#define WITH_BMI2 __attribute__((target("bmi2")))

static inline bool has_bmi2_here(void)
{
    return __builtin_cpu_supports("bmi2");
}

static inline enum vectors vectors_here(void)
{
    return __builtin_cpu_supports("avx2") ? VECTORS_AVX2 : VECTORS_ANYWHERE;
}
#else
static inline enum vectors vectors_here(void)
{
    return VECTORS_ANYWHERE;
}
#endif

/* For what is read from front to back, once: it comes from another processor's cache, and the hardware's own looking
 * ahead begins anew with each page. `at` may lie beyond the end of what is there to be read: nothing comes of it. */
#define FETCHED_AHEAD 2048

static inline __attribute__((always_inline)) void fetch_ahead(const void *at)
{
    __builtin_prefetch((const void *)((uintptr_t)at + FETCHED_AHEAD));
}

#endif
