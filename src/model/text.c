#include "model/text.h"

#include <string.h>

/* Bytes of the UTF-8 sequence at `text`; 0 if it is malformed. The ranges are those of RFC 3629, section 4. */
static size_t sequence_length(const unsigned char *text, size_t length)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t size;
    if (text[0] < 0x80) return 1;
    if (text[0] < 0xc2 || text[0] > 0xf4) return 0;
    size = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if (size > length) return 0;
    if (text[0] == 0xe0) low = 0xa0;
    if (text[0] == 0xed) high = 0x9f;
    if (text[0] == 0xf0) low = 0x90;
    if (text[0] == 0xf4) high = 0x8f;
    if (text[1] < low || text[1] > high) return 0;
    for (size_t i = 2; i < size; i++) {
        if (text[i] < 0x80 || text[i] > 0xbf) return 0;
    }
    return size;
}

bool text_is_utf8(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t size = sequence_length((const unsigned char *)text + i, length - i);
        if (size == 0) return false;
        i += size;
    }
    return true;
}

/* U+0000 to U+001F, U+007F and U+0080 to U+009F. */
static bool has_control_character(const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] < 0x20 || bytes[i] == 0x7f) return true;
        if (bytes[i] == 0xc2 && i + 1 < length && bytes[i + 1] < 0xa0) return true;
    }
    return false;
}

static bool name_is(const char *name, size_t length, const char *other)
{
    return length == strlen(other) && memcmp(name, other, length) == 0;
}

static const char *broken_rule(const char *name, size_t length)
{
    if (length == 0) return "must not be empty";
    if (length > MAX_NAME) return "must have at most 255 bytes";
    if (!text_is_utf8(name, length)) return "must be UTF-8";
    if (has_control_character(name, length)) return "must not have control characters";
    if (memchr(name, '/', length) != NULL) return "must not have a '/'";
    if (name_is(name, length, ".") || name_is(name, length, "..")) return "must not be \".\" or \"..\"";
    if (name_is(name, length, "trajlog")) return "must not be \"trajlog\", which is reserved";
    return NULL;
}

trajlog_status name_check(const char *name, size_t length, struct error *error)
{
    const char *rule = broken_rule(name, length);
    if (rule == NULL) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "a name %s", rule);
}

trajlog_status path_check(const char *path, struct error *error)
{
    if (strlen(path) > MAX_PATH) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "a name must have at most %d bytes in all", MAX_PATH);
    }
    for (const char *part = path;;) {
        size_t length = strcspn(part, "/");
        if (length == 0 && path[0] != '\0') {
            return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0,
                             "a name must not begin or end with '/' or have two of them in a row");
        }
        TRY(name_check(part, length, error));
        if (part[length] == '\0') return TRAJLOG_OK;
        part += length + 1;
    }
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein's distance, of names shorter than 64 bytes. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[64], width = strlen(b);
    for (size_t j = 0; j <= width; j++) row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t above = row[j];
            row[j] = smallest(row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[width];
}

const char *nearest_name(const char *name, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t least = strlen(name) < 8 ? 2 : 3; /* more edits make another word of it */
    if (strlen(name) >= 64) return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t distance = strlen(names[i]) < 64 ? edit_distance(name, names[i]) : least;
        if (distance >= least || distance >= strlen(name)) continue;
        least = distance;
        nearest = names[i];
    }
    return nearest;
}
