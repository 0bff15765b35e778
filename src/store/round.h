/* Numbers with fewer digits, which deflate makes smaller: rounded within a bound of their error. Knows bytes only. */
#ifndef STORE_ROUND_H
#define STORE_ROUND_H

#include <stdbool.h>

#include "model/element.h"
#include "store/cpu.h"

enum rounding_kind {
    ROUNDING_NONE,
    ROUNDING_TO_MULTIPLES, /* of a power of two: bounds the absolute error */
    ROUNDING_TO_BITS       /* so many of the mantissa are kept: bounds the relative error */
};

/* How the elements of one dataset are rounded. Those whose size is not from `least` to below `most` stay as they are,
 * among them NaN and the infinities. */
struct rounding {
    enum rounding_kind kind;
    size_t element_size; /* 4 or 8: of float32 or float64 */
    double least, most;
    double multiple; /* a power of two */
    int dropped;     /* bits of the mantissa */
};

/* For elements of `type`, float32 or float64. `converted`: they were made of other numbers, each the nearest that the
 * type has; then what that has cost is part of the bounded error, of all numbers but those that only the nearest can
 * stand for. The bound is finite and more than 0; the digits are decimal and at least 1: the error is at most half a
 * unit of the last of them. */
struct rounding rounding_to_error(trajlog_type type, double max_error, bool converted);
struct rounding rounding_to_digits(trajlog_type type, int digits, bool converted);

/* `bytes` are those of whole elements; `from` and `to` may be the same, but not overlap otherwise. Alignment does not
 * matter, nor does the floating-point environment of the thread, which stays as it is. */
void round_values(const struct rounding *rounding, const void *from, void *to, size_t bytes);
/* For tests: with vectors that the machine must have. All give the same bytes. */
void round_values_with(enum vectors vectors, const struct rounding *rounding, const void *from, void *to, size_t bytes);

#endif
