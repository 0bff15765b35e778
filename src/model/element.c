#include "model/element.h"

#include <stdio.h>
#include <string.h>

/* The limit of one frame: beyond it no address space is large enough, and sums of frames stay below 2^63. */
#define MAX_FRAME_BYTES ((int64_t)1 << 47)

enum family { FAMILY_NONE, FAMILY_INTEGER, FAMILY_FLOAT, FAMILY_BOOL, FAMILY_COMPLEX, FAMILY_STRING };

struct element {
    const char *name;
    size_t size;
    enum family family;
};

static const struct element elements[] = {
    {NULL, 0, FAMILY_NONE},           {"int8", 1, FAMILY_INTEGER},        {"int16", 2, FAMILY_INTEGER},
    {"int32", 4, FAMILY_INTEGER},     {"int64", 8, FAMILY_INTEGER},       {"uint8", 1, FAMILY_INTEGER},
    {"uint16", 2, FAMILY_INTEGER},    {"uint32", 4, FAMILY_INTEGER},      {"uint64", 8, FAMILY_INTEGER},
    {"float32", 4, FAMILY_FLOAT},     {"float64", 8, FAMILY_FLOAT},       {"bool", 1, FAMILY_BOOL},
    {"complex64", 8, FAMILY_COMPLEX}, {"complex128", 16, FAMILY_COMPLEX},
};
#define ELEMENT_COUNT (sizeof elements / sizeof elements[0])

static trajlog_type code_of(trajlog_type type)
{
    return type & 0xff;
}

static size_t length_of(trajlog_type type)
{
    return type >> 8;
}

static enum family family_of(trajlog_type type)
{
    if (code_of(type) == TRAJLOG_STRING_CODE) {
        bool in_range = length_of(type) >= 1 && length_of(type) <= TRAJLOG_MAX_STRING;
        return in_range ? FAMILY_STRING : FAMILY_NONE;
    }
    return type < ELEMENT_COUNT ? elements[type].family : FAMILY_NONE;
}

bool element_is_valid(trajlog_type type)
{
    return family_of(type) != FAMILY_NONE;
}

bool element_is_string(trajlog_type type)
{
    return family_of(type) == FAMILY_STRING;
}

bool element_is_integer(trajlog_type type)
{
    return family_of(type) == FAMILY_INTEGER;
}

bool element_is_float(trajlog_type type)
{
    return family_of(type) == FAMILY_FLOAT;
}

bool element_is_complex(trajlog_type type)
{
    return family_of(type) == FAMILY_COMPLEX;
}

size_t trajlog_type_size(trajlog_type type)
{
    switch (family_of(type)) {
    case FAMILY_NONE:
        return 0;
    case FAMILY_STRING:
        return length_of(type);
    default:
        return elements[type].size;
    }
}

char *trajlog_type_name(trajlog_type type, char *text, size_t size)
{
    switch (family_of(type)) {
    case FAMILY_NONE:
        snprintf(text, size, "unknown type %lu", (unsigned long)type);
        break;
    case FAMILY_STRING:
        snprintf(text, size, "string[%zu]", length_of(type));
        break;
    default:
        snprintf(text, size, "%s", elements[type].name);
    }
    return text;
}

static bool string_from_name(const char *name, trajlog_type *type)
{
    const char *digit = name + strlen("string[");
    trajlog_type length = 0;
    if (strncmp(name, "string[", strlen("string[")) != 0) return false;
    if (*digit < '1' || *digit > '9') return false;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        length = 10 * length + (trajlog_type)(*digit - '0');
        if (length > TRAJLOG_MAX_STRING) return false;
    }
    if (strcmp(digit, "]") != 0) return false;
    *type = TRAJLOG_STRING(length);
    return true;
}

bool element_from_name(const char *name, trajlog_type *type)
{
    if (name == NULL) return false;
    for (trajlog_type code = 1; code < ELEMENT_COUNT; code++) {
        if (strcmp(name, elements[code].name) != 0) continue;
        *type = code;
        return true;
    }
    return string_from_name(name, type);
}

trajlog_status shape_count(const trajlog_shape *shape, int64_t *count, struct error *error)
{
    int64_t product = 1;
    if (shape->rank < 0 || shape->rank > TRAJLOG_MAX_RANK) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "shape: expected a rank of 0 to %d, got %ld",
                         TRAJLOG_MAX_RANK, (long)shape->rank);
    }
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 1) {
            return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                             "shape: expected at least 1 in each dimension, got %lld in dimension %d",
                             (long long)shape->dims[i], i);
        }
        if (__builtin_mul_overflow(product, shape->dims[i], &product) || product > MAX_FRAME_BYTES) {
            char text[200];
            return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "shape: %s is more than 2^47 bytes",
                             shape_text(shape, text, sizeof text));
        }
    }
    *count = product;
    return TRAJLOG_OK;
}

trajlog_status shape_bytes(const trajlog_shape *shape, trajlog_type type, size_t *bytes, struct error *error)
{
    int64_t count, product;
    char text[200], name[32];
    if (!element_is_valid(type)) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "type: expected an element type, got %lu",
                         (unsigned long)type);
    }
    TRY(shape_count(shape, &count, error));
    if (__builtin_mul_overflow(count, (int64_t)trajlog_type_size(type), &product) || product > MAX_FRAME_BYTES) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "shape: %s of %s is more than 2^47 bytes",
                         shape_text(shape, text, sizeof text), trajlog_type_name(type, name, sizeof name));
    }
    *bytes = (size_t)product;
    return TRAJLOG_OK;
}

bool shape_equal(const trajlog_shape *a, const trajlog_shape *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i]) return false;
    }
    return true;
}

char *shape_text(const trajlog_shape *shape, char *text, size_t size)
{
    char all[TRAJLOG_MAX_RANK * 24 + 3] = "[";
    size_t used = 1;
    for (int i = 0; i < shape->rank && i < TRAJLOG_MAX_RANK; i++) {
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%lld", i > 0 ? ", " : "", (long long)shape->dims[i]);
    }
    snprintf(text, size, "%s]", all);
    return text;
}
