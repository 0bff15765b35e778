#include "model/convert.h"

#include <stdio.h>
#include <string.h>

/* The innermost two dimensions of a copy: `rows` runs of `run` elements; the rows of `to` lie dense in themselves. */
struct plane {
    char *to;
    const char *from;
    int64_t rows;
    ptrdiff_t to_row_stride, from_row_stride; /* bytes */
    int64_t run;
    ptrdiff_t run_stride; /* bytes, in `from` */
    size_t to_size, from_size;
};

/* Copies a plane. False: a value did not fit; the plane is then undefined. */
typedef bool (*kernel)(const struct plane *plane);

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* ------------------------------------------------------------------------------------------------- plain copies --- */

/* With constant `size` and `run` the compiler makes a few moves of this. */
ALWAYS_INLINE void copy_run(char *restrict to, const char *restrict from, int64_t run, ptrdiff_t stride, size_t size)
{
    for (int64_t i = 0; i < run; i++) memcpy(to + i * (ptrdiff_t)size, from + i * stride, size);
}

ALWAYS_INLINE void copy_dense_rows(const struct plane *plane, size_t bytes)
{
    const char *restrict from = plane->from;
    char *restrict to = plane->to;
    for (int64_t row = 0; row < plane->rows; row++) {
        memcpy(to, from, bytes);
        to += plane->to_row_stride;
        from += plane->from_row_stride;
    }
}

/* Runs of two and three elements, coordinates of particles, are copied without a loop or a call. */
static bool copy_dense(const struct plane *plane)
{
    size_t bytes = (size_t)plane->run * plane->to_size;
    switch (bytes) {
    case 4:
        copy_dense_rows(plane, 4);
        break;
    case 6:
        copy_dense_rows(plane, 6);
        break;
    case 8:
        copy_dense_rows(plane, 8);
        break;
    case 12:
        copy_dense_rows(plane, 12);
        break;
    case 16:
        copy_dense_rows(plane, 16);
        break;
    case 24:
        copy_dense_rows(plane, 24);
        break;
    case 32:
        copy_dense_rows(plane, 32);
        break;
    case 48:
        copy_dense_rows(plane, 48);
        break;
    default:
        copy_dense_rows(plane, bytes);
    }
    return true;
}

ALWAYS_INLINE bool copy_strided(const struct plane *plane, size_t size)
{
    const char *from = plane->from;
    char *to = plane->to;
    for (int64_t row = 0; row < plane->rows; row++) {
        if (plane->run == 3) copy_run(to, from, 3, plane->run_stride, size);
        else copy_run(to, from, plane->run, plane->run_stride, size);
        to += plane->to_row_stride;
        from += plane->from_row_stride;
    }
    return true;
}

static bool copy_plane(const struct plane *plane)
{
    if (plane->run_stride == (ptrdiff_t)plane->to_size) return copy_dense(plane);
    switch (plane->to_size) {
    case 1:
        return copy_strided(plane, 1);
    case 2:
        return copy_strided(plane, 2);
    case 4:
        return copy_strided(plane, 4);
    case 8:
        return copy_strided(plane, 8);
    default:
        return copy_strided(plane, 16);
    }
}

/* What follows the null byte that ends a text is not part of it, and does not go into the file. */
static bool copy_strings(const struct plane *plane)
{
    for (int64_t row = 0; row < plane->rows; row++) {
        char *to = plane->to + row * plane->to_row_stride;
        const char *from = plane->from + row * plane->from_row_stride;
        for (int64_t i = 0; i < plane->run; i++) {
            size_t length = strnlen(from, plane->from_size);
            memcpy(to, from, length);
            memset(to + length, 0, plane->to_size - length);
            to += plane->to_size;
            from += plane->run_stride;
        }
    }
    return true;
}

/* ------------------------------------------------------------------------------------------ float64 to float32 --- */

/* Vectors of a fixed size, which compilers convert at once, whatever the optimisation, the machine and the alignment. */
#define NARROW_BLOCK 4
typedef double wide_block __attribute__((vector_size(NARROW_BLOCK * sizeof(double))));
typedef float narrow_block __attribute__((vector_size(NARROW_BLOCK * sizeof(float))));

ALWAYS_INLINE void narrow_few(char *restrict to, const char *restrict from, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        double wide;
        float narrow;
        memcpy(&wide, from + i * (ptrdiff_t)sizeof wide, sizeof wide);
        narrow = (float)wide;
        memcpy(to + i * (ptrdiff_t)sizeof narrow, &narrow, sizeof narrow);
    }
}

static void narrow_dense(char *restrict to, const char *restrict from, int64_t count)
{
    int64_t i = 0;
    for (; i + NARROW_BLOCK <= count; i += NARROW_BLOCK) {
        wide_block wide;
        memcpy(&wide, from + i * (ptrdiff_t)sizeof(double), sizeof wide);
        narrow_block narrow = __builtin_convertvector(wide, narrow_block);
        memcpy(to + i * (ptrdiff_t)sizeof(float), &narrow, sizeof narrow);
    }
    narrow_few(to + i * (ptrdiff_t)sizeof(float), from + i * (ptrdiff_t)sizeof(double), count - i);
}

ALWAYS_INLINE void narrow_strided(char *restrict to, const char *restrict from, int64_t run, ptrdiff_t stride)
{
    for (int64_t i = 0; i < run; i++) narrow_few(to + i * (ptrdiff_t)sizeof(float), from + i * stride, 1);
}

static bool narrow_plane(const struct plane *plane)
{
    bool dense = plane->run_stride == (ptrdiff_t)sizeof(double);
    const char *from = plane->from;
    char *to = plane->to;
    for (int64_t row = 0; row < plane->rows; row++) {
        if (dense && plane->run == 3) narrow_few(to, from, 3);
        else if (dense) narrow_dense(to, from, plane->run);
        else if (plane->run == 3) narrow_strided(to, from, 3, plane->run_stride);
        else narrow_strided(to, from, plane->run, plane->run_stride);
        to += plane->to_row_stride;
        from += plane->from_row_stride;
    }
    return true;
}

/* --------------------------------------------------------------------------------------------- all other pairs --- */

struct complex64 {
    float real, imaginary;
};
struct complex128 {
    double real, imaginary;
};

/* What a kernel's loop does: makes `target` of `source`, and sets `bad` where it does not fit. */
#define CHECKED          bad |= __builtin_add_overflow(source, 0, &target)
#define TRUTH            target = source != 0
#define CAST_TO(type)    target = (type)source
#define REAL_TO(type)    target.real = (type)source, target.imaginary = 0
#define TRUTH_TO_REAL    target.real = source != 0, target.imaginary = 0
#define COMPLEX_TO(type) target.real = (type)source.real, target.imaginary = (type)source.imaginary

/* Each of these names one type of `from` and lists the types of `to`. */
#define TO_INTEGERS(name, type, K, body)                                                                               \
    K(name, type, int8, int8_t, body)                                                                                  \
    K(name, type, int16, int16_t, body)                                                                                \
    K(name, type, int32, int32_t, body)                                                                                \
    K(name, type, int64, int64_t, body)                                                                                \
    K(name, type, uint8, uint8_t, body)                                                                                \
    K(name, type, uint16, uint16_t, body)                                                                              \
    K(name, type, uint32, uint32_t, body)                                                                              \
    K(name, type, uint64, uint64_t, body)
#define TO_COMPLEX(name, type, K)                                                                                      \
    K(name, type, complex64, struct complex64, REAL_TO(float))                                                         \
    K(name, type, complex128, struct complex128, REAL_TO(double))
#define INTEGER_TO_ALL(name, type, K)                                                                                  \
    TO_INTEGERS(name, type, K, CHECKED)                                                                                \
    K(name, type, float32, float, CAST_TO(float))                                                                      \
    K(name, type, float64, double, CAST_TO(double))                                                                    \
    TO_COMPLEX(name, type, K)
#define TRUTH_TO_ALL(name, type, K)                                                                                    \
    TO_INTEGERS(name, type, K, TRUTH)                                                                                  \
    K(name, type, truth, uint8_t, TRUTH)                                                                               \
    K(name, type, float32, float, TRUTH)                                                                               \
    K(name, type, float64, double, TRUTH)                                                                              \
    K(name, type, complex64, struct complex64, TRUTH_TO_REAL)                                                          \
    K(name, type, complex128, struct complex128, TRUTH_TO_REAL)

/* All kernels but the copies and float64 to float32. */
#define KERNELS(K)                                                                                                     \
    INTEGER_TO_ALL(int8, int8_t, K)                                                                                    \
    INTEGER_TO_ALL(int16, int16_t, K)                                                                                  \
    INTEGER_TO_ALL(int32, int32_t, K)                                                                                  \
    INTEGER_TO_ALL(int64, int64_t, K)                                                                                  \
    INTEGER_TO_ALL(uint8, uint8_t, K)                                                                                  \
    INTEGER_TO_ALL(uint16, uint16_t, K)                                                                                \
    INTEGER_TO_ALL(uint32, uint32_t, K)                                                                                \
    INTEGER_TO_ALL(uint64, uint64_t, K)                                                                                \
    TRUTH_TO_ALL(truth, uint8_t, K)                                                                                    \
    K(float32, float, float64, double, CAST_TO(double))                                                                \
    TO_COMPLEX(float32, float, K)                                                                                      \
    TO_COMPLEX(float64, double, K)                                                                                     \
    K(complex64, struct complex64, complex128, struct complex128, COMPLEX_TO(double))                                  \
    K(complex128, struct complex128, complex64, struct complex64, COMPLEX_TO(float))

#define DEFINE_KERNEL(from_name, from_type, to_name, to_type, body)                                                    \
    static bool from_name##_to_##to_name(const struct plane *plane)                                                    \
    {                                                                                                                  \
        bool bad = false;                                                                                              \
        for (int64_t row = 0; row < plane->rows; row++) {                                                              \
            char *restrict to = plane->to + row * plane->to_row_stride;                                                \
            const char *restrict from = plane->from + row * plane->from_row_stride;                                    \
            for (int64_t i = 0; i < plane->run; i++) {                                                                 \
                from_type source;                                                                                      \
                to_type target;                                                                                        \
                memcpy(&source, from + i * plane->run_stride, sizeof source);                                          \
                body;                                                                                                  \
                memcpy(to + i * (ptrdiff_t)sizeof target, &target, sizeof target);                                     \
            }                                                                                                          \
        }                                                                                                              \
        return !bad;                                                                                                   \
    }
KERNELS(DEFINE_KERNEL)

enum code {
    code_int8 = TRAJLOG_INT8,
    code_int16 = TRAJLOG_INT16,
    code_int32 = TRAJLOG_INT32,
    code_int64 = TRAJLOG_INT64,
    code_uint8 = TRAJLOG_UINT8,
    code_uint16 = TRAJLOG_UINT16,
    code_uint32 = TRAJLOG_UINT32,
    code_uint64 = TRAJLOG_UINT64,
    code_float32 = TRAJLOG_FLOAT32,
    code_float64 = TRAJLOG_FLOAT64,
    code_truth = TRAJLOG_BOOL,
    code_complex64 = TRAJLOG_COMPLEX64,
    code_complex128 = TRAJLOG_COMPLEX128,
    code_count
};

#define KERNEL_ENTRY(from_name, from_type, to_name, to_type, body)                                                     \
    [code_##from_name][code_##to_name] = from_name##_to_##to_name,
static const kernel kernels[code_count][code_count] = {KERNELS(KERNEL_ENTRY)};

/* NULL: there is no conversion. */
static kernel kernel_of(trajlog_type to, trajlog_type from)
{
    if (!element_is_valid(to) || !element_is_valid(from)) return NULL;
    if (element_is_string(to) || element_is_string(from)) {
        bool fits = element_is_string(to) && element_is_string(from) && to >= from;
        return fits ? copy_strings : NULL;
    }
    if (from == TRAJLOG_FLOAT64 && to == TRAJLOG_FLOAT32) return narrow_plane;
    if (from == to && from != TRAJLOG_BOOL) return copy_plane;
    return kernels[from][to];
}

bool conversion_exists(trajlog_type from, trajlog_type to)
{
    return kernel_of(to, from) != NULL;
}

/* ------------------------------------------------------------------------------------------------------- gather --- */

static trajlog_status no_conversion(trajlog_type to, trajlog_type from, struct error *error)
{
    char to_name[32], from_name[32];
    return error_set(error, TRAJLOG_TYPE_MISMATCH, 0, "%s cannot be converted to %s",
                     trajlog_type_name(from, from_name, sizeof from_name),
                     trajlog_type_name(to, to_name, sizeof to_name));
}

/* No address that the strides lead to is further than PTRDIFF_MAX from the first. */
static trajlog_status check_strides(const trajlog_shape *shape, const ptrdiff_t *strides, struct error *error)
{
    int64_t span = 0, part;
    for (int i = 0; i < shape->rank; i++) {
        bool bad = strides[i] == PTRDIFF_MIN;
        bad = bad || __builtin_mul_overflow(shape->dims[i], strides[i] < 0 ? -strides[i] : strides[i], &part);
        if (bad || __builtin_add_overflow(span, part, &span)) {
            return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                             "strides: %lld bytes in dimension %d reach beyond all memory", (long long)strides[i], i);
        }
    }
    return TRAJLOG_OK;
}

static void dense_strides(const trajlog_shape *shape, size_t size, ptrdiff_t *strides)
{
    ptrdiff_t stride = (ptrdiff_t)size;
    for (int i = shape->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape->dims[i];
    }
}

/* Leaves out dimensions of 1, and joins each dimension to the one before it where together they are one. */
static void merge_dimensions(struct gather *gather, const trajlog_shape *shape, const ptrdiff_t *strides)
{
    int32_t rank = 0;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] == 1) continue;
        if (rank > 0 && gather->strides[rank - 1] == shape->dims[i] * strides[i]) {
            gather->dims[rank - 1] *= shape->dims[i];
            gather->strides[rank - 1] = strides[i];
        } else {
            gather->dims[rank] = shape->dims[i];
            gather->strides[rank] = strides[i];
            rank++;
        }
    }
    gather->rank = rank;
}

trajlog_status gather_make(struct gather *gather, trajlog_type to_type, trajlog_type from_type,
                           const trajlog_shape *shape, const ptrdiff_t *strides, struct error *error)
{
    size_t size = trajlog_type_size(from_type), from_bytes;
    ptrdiff_t dense[TRAJLOG_MAX_RANK];
    kernel convert = kernel_of(to_type, from_type);
    memset(gather, 0, sizeof *gather);
    if (convert == NULL) return no_conversion(to_type, from_type, error);
    TRY(shape_bytes(shape, to_type, &gather->to_bytes, error));
    TRY(shape_bytes(shape, from_type, &from_bytes, error));
    if (strides == NULL) {
        dense_strides(shape, size, dense);
        strides = dense;
    }
    TRY(check_strides(shape, strides, error));
    gather->to_type = to_type;
    gather->from_type = from_type;
    gather->run = 1;
    gather->run_stride = (ptrdiff_t)size;
    merge_dimensions(gather, shape, strides);
    if (gather->rank > 0) {
        gather->rank--;
        gather->run = gather->dims[gather->rank];
        gather->run_stride = gather->strides[gather->rank];
    }
    gather->plain_copy = convert == copy_plane && gather->rank == 0 && gather->run_stride == (ptrdiff_t)size;
    return TRAJLOG_OK;
}

static ptrdiff_t magnitude(ptrdiff_t stride)
{
    return stride < 0 ? -stride : stride;
}

/* A transposition reads one element of each of many cache lines before it comes back to the first. Few enough at a
 * time, and they are still in the cache. */
#define TILE 32

static bool run_plane(kernel convert, struct plane plane)
{
    int64_t run = plane.run;
    bool fits = true;
    if (run <= TILE || plane.rows == 1 || magnitude(plane.run_stride) <= magnitude(plane.from_row_stride)) {
        return convert(&plane);
    }
    for (int64_t i = 0; i < run && fits; i += TILE) {
        plane.run = run - i < TILE ? run - i : TILE;
        fits = convert(&plane);
        plane.to += TILE * plane.to_size;
        plane.from += TILE * plane.run_stride;
    }
    return fits;
}

/* Goes to the next index of the outer dimensions, and moves `from` along. False: that was the last. */
static bool next_index(const struct gather *gather, int32_t outer, int64_t *index, const char **from)
{
    for (int32_t i = outer - 1; i >= 0; i--) {
        *from += gather->strides[i];
        if (++index[i] < gather->dims[i]) return true;
        *from -= gather->dims[i] * gather->strides[i];
        index[i] = 0;
    }
    return false;
}

static bool run_all_planes(const struct gather *gather, void *to, const void *from)
{
    kernel convert = kernel_of(gather->to_type, gather->from_type);
    int32_t outer = gather->rank > 0 ? gather->rank - 1 : 0;
    int64_t index[TRAJLOG_MAX_RANK] = {0};
    struct plane plane = {.to = to, .from = from, .rows = 1, .run = gather->run, .run_stride = gather->run_stride};
    plane.to_size = trajlog_type_size(gather->to_type);
    plane.from_size = trajlog_type_size(gather->from_type);
    plane.to_row_stride = (ptrdiff_t)plane.to_size * gather->run;
    if (gather->rank > 0) {
        plane.rows = gather->dims[outer];
        plane.from_row_stride = gather->strides[outer];
    }
    do {
        if (!run_plane(convert, plane)) return false;
        plane.to += plane.rows * plane.to_row_stride;
    } while (next_index(gather, outer, index, &plane.from));
    return true;
}

/* The address of the element with this number, in C order. */
static const char *element_address(const struct gather *gather, const void *from, int64_t number)
{
    const char *address = (const char *)from + number % gather->run * gather->run_stride;
    number /= gather->run;
    for (int32_t i = gather->rank - 1; i >= 0; i--) {
        address += number % gather->dims[i] * gather->strides[i];
        number /= gather->dims[i];
    }
    return address;
}

/* Only integers can fail to fit. */
static void value_text(trajlog_type type, const char *address, char *text, size_t size)
{
    struct plane plane = {.to = NULL, .from = address, .rows = 1, .run = 1};
    bool is_unsigned = type >= TRAJLOG_UINT8 && type <= TRAJLOG_UINT64;
    uint64_t natural = 0;
    int64_t integer = 0;
    plane.to = is_unsigned ? (char *)&natural : (char *)&integer;
    plane.from_size = trajlog_type_size(type);
    plane.to_size = sizeof natural;
    kernel_of(is_unsigned ? TRAJLOG_UINT64 : TRAJLOG_INT64, type)(&plane);
    if (is_unsigned) snprintf(text, size, "%llu", (unsigned long long)natural);
    else snprintf(text, size, "%lld", (long long)integer);
}

/* A plane did not fit: finds the first value that does not, one by one, and names it. */
static trajlog_status misfit(const struct gather *gather, const void *from, struct error *error)
{
    int64_t count = (int64_t)(gather->to_bytes / trajlog_type_size(gather->to_type)), number = 0;
    kernel convert = kernel_of(gather->to_type, gather->from_type);
    char scratch[16], value[32], name[32];
    struct plane plane = {.to = scratch, .rows = 1, .run = 1};
    plane.to_size = trajlog_type_size(gather->to_type);
    plane.from_size = trajlog_type_size(gather->from_type);
    for (; number < count - 1; number++) {
        plane.from = element_address(gather, from, number);
        if (!convert(&plane)) break;
    }
    value_text(gather->from_type, element_address(gather, from, number), value, sizeof value);
    return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "the value %s at index %lld does not fit %s", value,
                     (long long)number, trajlog_type_name(gather->to_type, name, sizeof name));
}

trajlog_status gather_run(const struct gather *gather, void *to, const void *from, struct error *error)
{
    if (gather->plain_copy) {
        memcpy(to, from, gather->to_bytes);
        return TRAJLOG_OK;
    }
    return run_all_planes(gather, to, from) ? TRAJLOG_OK : misfit(gather, from, error);
}

trajlog_status convert_dense(void *to, trajlog_type to_type, const void *from, trajlog_type from_type, int64_t count,
                             struct error *error)
{
    struct gather gather = {.to_type = to_type, .from_type = from_type, .run = count};
    kernel convert = kernel_of(to_type, from_type);
    if (convert == NULL) return no_conversion(to_type, from_type, error);
    if (count == 0) return TRAJLOG_OK;
    gather.to_bytes = (size_t)count * trajlog_type_size(to_type);
    gather.run_stride = (ptrdiff_t)trajlog_type_size(from_type);
    gather.plain_copy = convert == copy_plane;
    return gather_run(&gather, to, from, error);
}
