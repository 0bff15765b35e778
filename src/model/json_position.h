/* Where in a JSON text a value stands: the parser keeps no positions. Knows only strings, brackets and commas, so the
 * text must be valid JSON already. */
#ifndef MODEL_JSON_POSITION_H
#define MODEL_JSON_POSITION_H

#include <stdbool.h>
#include <stddef.h>

struct position {
    size_t line, column; /* from 1; columns are characters, not bytes */
};

enum position_of { POSITION_OF_KEY, POSITION_OF_VALUE };

/* The way to the value: `path` has the number of the member, or element, to take at each of `depth` levels, in the
 * order of the text. POSITION_OF_KEY is the key's of the last level. False if the way leads nowhere. */
bool json_find_position(const char *text, size_t length, const size_t *path, size_t depth, enum position_of what,
                        struct position *position);

/* Whether brackets are nested at most `limit` deep; of any text. */
bool json_depth_within(const char *text, size_t length, size_t limit);

#endif
