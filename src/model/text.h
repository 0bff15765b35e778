/* Checks and comparisons of texts: UTF-8, names, near misses. */
#ifndef MODEL_TEXT_H
#define MODEL_TEXT_H

#include <stdbool.h>

#include "model/status.h"

#define MAX_NAME 255  /* bytes of one part of a name */
#define MAX_PATH 1023 /* bytes of a path of parts */

/* Well-formed UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
bool text_is_utf8(const char *text, size_t length);

/* One part of a name: 1 to MAX_NAME bytes of UTF-8 without control characters and '/', not ".", ".." or "trajlog".
 * INVALID_ARGUMENT says which rule is broken. */
trajlog_status name_check(const char *name, size_t length, struct error *error);

/* Parts with one '/' between them, each as above. */
trajlog_status path_check(const char *path, struct error *error);

/* The one of `names` that `name` was probably meant to be; NULL if none is near. */
const char *nearest_name(const char *name, const char *const *names, size_t count);

#endif
