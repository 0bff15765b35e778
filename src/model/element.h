/* Element types and shapes: sizes, names, overflow-checked counts. */
#ifndef MODEL_ELEMENT_H
#define MODEL_ELEMENT_H

#include <stdbool.h>

#include "model/status.h"

bool element_is_valid(trajlog_type type);
bool element_is_string(trajlog_type type);
bool element_is_integer(trajlog_type type); /* signed or unsigned, not bool */
bool element_is_float(trajlog_type type);
bool element_is_complex(trajlog_type type);

/* "float64" -> TRAJLOG_FLOAT64; false if it is no name of a type. */
bool element_from_name(const char *name, trajlog_type *type);

/* Elements, and bytes, of one frame of a field. INVALID_ARGUMENT for a rank or dimension out of range, or more than
 * 2^47 bytes. */
trajlog_status shape_count(const trajlog_shape *shape, int64_t *count, struct error *error);
trajlog_status shape_bytes(const trajlog_shape *shape, trajlog_type type, size_t *bytes, struct error *error);
bool shape_equal(const trajlog_shape *a, const trajlog_shape *b);
/* "[1000, 3]", "[]" for a scalar; returns `text`. */
char *shape_text(const trajlog_shape *shape, char *text, size_t size);

#endif
