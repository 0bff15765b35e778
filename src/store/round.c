/* Why the bounds hold. Let a float have p bits (24, 53), and q be a power of two.
 *
 * Multiples: for |x| < 2^(p-2) q, the sum of x and 1.5 2^(p-1) q lies between 2^(p-1) q and 2^p q, where floats are the
 * multiples of q; so the sum is rounded to one of them, by at most q / 2, and taking 1.5 2^(p-1) q away again is exact.
 * Larger numbers, which have at most one bit below q, stay as they are. q is at most 2 max_error.
 *
 * Bits: of b bits behind the leading one, rounding loses at most 2^-(b+1) of a normal number.
 *
 * A conversion to the nearest float of a normal number costs at most 2^-p of it. */
#include "store/round.h"

#include <fenv.h>
#include <math.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "With -ffast-math, compilers may take a sum and a difference for nothing: the error would not be bounded."
#endif
#if defined(__i386__) && !defined(__SSE2_MATH__)
#error "Sums must be rounded to the type that they have: build with -msse2 -mfpmath=sse."
#endif

/* ---------------------------------------------------------------------------------------------------------------------
 * Bounds
 * ------------------------------------------------------------------------------------------------------------------ */

/* Of a type: bits of the mantissa with the leading one; exponents between which sums neither overflow nor underflow;
 * that of the least normal number; one past those of all numbers. */
struct precision {
    int bits, least_exponent, most_exponent, least_normal, end;
};

static struct precision precision_of(trajlog_type type)
{
    return type == TRAJLOG_FLOAT32 ? (struct precision){24, -110, 100, -126, 128}
                                   : (struct precision){53, -950, 900, -1022, 1024};
}

/* Where a conversion costs something, it must fit into what rounding to the nearest multiple leaves of the bound; a
 * smaller multiple leaves half of it. */
struct rounding rounding_to_error(trajlog_type type, double max_error, bool converted)
{
    const struct precision precision = precision_of(type);
    struct rounding rounding = {.element_size = trajlog_type_size(type)};
    int exponent;
    (void)frexp(max_error, &exponent); /* 2^(exponent-1) <= max_error < 2^exponent */
    if (exponent > precision.most_exponent) exponent = precision.most_exponent;
    if (converted && max_error - ldexp(0.5, exponent) < ldexp(1.0, exponent - 10)) exponent--;
    if (exponent < precision.least_exponent) return rounding;
    rounding.kind = ROUNDING_TO_MULTIPLES;
    rounding.multiple = ldexp(1.0, exponent);
    rounding.most = ldexp(1.0, precision.bits - 2 + exponent);
    if (!converted) return rounding;
    /* A little less, for what this product loses itself. */
    double affordable = 0.999 * (max_error - ldexp(0.5, exponent)) * ldexp(1.0, precision.bits);
    if (affordable < rounding.most) rounding.most = affordable;
    return rounding;
}

struct rounding rounding_to_digits(trajlog_type type, int digits, bool converted)
{
    const struct precision precision = precision_of(type);
    struct rounding rounding = {.element_size = trajlog_type_size(type)};
    double bound = 0.5 * pow(10.0, -digits), conversion = converted ? ldexp(1.0, -precision.bits) : 0.0;
    int kept = 1;
    while (kept < precision.bits && ldexp(1.0 + conversion, -kept - 1) + conversion > bound) kept++;
    if (kept >= precision.bits - 1) return rounding;
    rounding.kind = ROUNDING_TO_BITS;
    rounding.dropped = precision.bits - 1 - kept;
    rounding.least = ldexp(1.0, precision.least_normal);
    rounding.most = ldexp(2.0 - ldexp(1.0, -kept), precision.end - 1); /* from here on, it may be to infinity */
    return rounding;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Rounding: as many numbers at a time as the machine's vectors hold. There are only sums and no products, which a
 * compiler could fuse with them: all vectors give the same.
 * ------------------------------------------------------------------------------------------------------------------ */

#define ALWAYS_INLINE static inline __attribute__((always_inline))
/* What is computed must stay between the changes of the floating-point environment. */
#define NOT_INLINE static __attribute__((noinline))

/* The numbers of `rounding`, as one type has them. */
#define DEFINE_CONSTANTS(real, word, precision)                                                                        \
    struct constants_##real {                                                                                          \
        real least, most, shift;                                                                                       \
        word sign, half, cut;                                                                                          \
        int dropped;                                                                                                   \
    };                                                                                                                 \
                                                                                                                       \
    static struct constants_##real constants_of_##real(const struct rounding *rounding)                                \
    {                                                                                                                  \
        struct constants_##real constants = {.least = (real)rounding->least, .most = (real)rounding->most};            \
        constants.shift = (real)ldexp(1.5 * rounding->multiple, (precision)-1);                                        \
        constants.sign = (word)1 << (8 * sizeof(word) - 1);                                                            \
        constants.dropped = rounding->dropped;                                                                         \
        constants.cut = ((word)1 << rounding->dropped) - 1;                                                            \
        constants.half = constants.cut >> 1;                                                                           \
        return constants;                                                                                              \
    }

DEFINE_CONSTANTS(float, uint32_t, 24)
DEFINE_CONSTANTS(double, uint64_t, 53)

/* round_NAME(), with vectors of `size` bytes; `target` says which functions may have such vectors. */
#define DEFINE_ROUNDING(name, real, word, size, target)                                                                \
    typedef real reals_##name __attribute__((vector_size(size)));                                                      \
    typedef word words_##name __attribute__((vector_size(size)));                                                      \
                                                                                                                       \
    /* -0 keeps its sign, and so does a number that becomes 0. */                                                      \
    target ALWAYS_INLINE words_##name multiples_##name(words_##name bits, const struct constants_##real *constants)    \
    {                                                                                                                  \
        reals_##name shifted = (reals_##name)bits + constants->shift;                                                  \
        return (words_##name)(shifted - constants->shift) | (bits & constants->sign);                                  \
    }                                                                                                                  \
                                                                                                                       \
    /* To the nearest; of two, to the even one. A carry out of the mantissa makes the next power of two. */            \
    target ALWAYS_INLINE words_##name bits_##name(words_##name bits, const struct constants_##real *constants)         \
    {                                                                                                                  \
        return (bits + constants->half + ((bits >> constants->dropped) & 1)) & ~constants->cut;                        \
    }                                                                                                                  \
                                                                                                                       \
    target ALWAYS_INLINE void round_vector_##name(const char *from, char *to, size_t bytes, enum rounding_kind kind,   \
                                                  const struct constants_##real *constants)                            \
    {                                                                                                                  \
        words_##name bits = {0}, rounded;                                                                              \
        memcpy(&bits, from, bytes);                                                                                    \
        reals_##name magnitude = (reals_##name)(bits & ~constants->sign);                                              \
        words_##name in = (words_##name)((magnitude >= constants->least) & (magnitude < constants->most));             \
        if (kind == ROUNDING_TO_MULTIPLES) rounded = multiples_##name(bits, constants);                                \
        else rounded = bits_##name(bits, constants);                                                                   \
        rounded = (rounded & in) | (bits & ~in);                                                                       \
        memcpy(to, &rounded, bytes);                                                                                   \
    }                                                                                                                  \
                                                                                                                       \
    target ALWAYS_INLINE void round_all_##name(const char *from, char *to, size_t bytes, enum rounding_kind kind,      \
                                               const struct rounding *rounding)                                        \
    {                                                                                                                  \
        const struct constants_##real constants = constants_of_##real(rounding);                                       \
        size_t i = 0;                                                                                                  \
        for (; i + (size) <= bytes; i += (size)) {                                                                     \
            fetch_ahead(from + i);                                                                                     \
            round_vector_##name(from + i, to + i, size, kind, &constants);                                             \
        }                                                                                                              \
        if (i < bytes) round_vector_##name(from + i, to + i, bytes - i, kind, &constants);                             \
    }                                                                                                                  \
                                                                                                                       \
    target NOT_INLINE void round_##name(const struct rounding *rounding, const char *from, char *to, size_t bytes)     \
    {                                                                                                                  \
        if (rounding->kind == ROUNDING_TO_MULTIPLES)                                                                   \
            round_all_##name(from, to, bytes, ROUNDING_TO_MULTIPLES, rounding);                                        \
        else round_all_##name(from, to, bytes, ROUNDING_TO_BITS, rounding);                                            \
    }

DEFINE_ROUNDING(floats, float, uint32_t, 16, )
DEFINE_ROUNDING(doubles, double, uint64_t, 16, )
#ifdef CPU_IS_X86
DEFINE_ROUNDING(floats_avx2, float, uint32_t, 32, WITH_AVX2)
DEFINE_ROUNDING(doubles_avx2, double, uint64_t, 32, WITH_AVX2)
#endif

typedef void (*round_function)(const struct rounding *rounding, const char *from, char *to, size_t bytes);

static round_function function_of(enum vectors vectors, bool is_float)
{
#ifdef CPU_IS_X86
    if (vectors == VECTORS_AVX2) return is_float ? round_floats_avx2 : round_doubles_avx2;
#endif
    (void)vectors;
    return is_float ? round_floats : round_doubles;
}

/* A host may have chosen another direction of rounding, zeros in place of subnormal numbers, or signals at NaN: none of
 * that may touch what is stored; and no flag that is raised here may show in the host. */
void round_values_with(enum vectors vectors, const struct rounding *rounding, const void *from, void *to, size_t bytes)
{
    fenv_t before;
    if (rounding->kind == ROUNDING_NONE) {
        memmove(to, from, bytes);
        return;
    }
    (void)fegetenv(&before);
    (void)fesetenv(FE_DFL_ENV);
    function_of(vectors, rounding->element_size == sizeof(float))(rounding, from, to, bytes);
    (void)fesetenv(&before);
}

void round_values(const struct rounding *rounding, const void *from, void *to, size_t bytes)
{
    round_values_with(vectors_here(), rounding, from, to, bytes);
}
