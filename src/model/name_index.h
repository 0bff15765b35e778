/* A hash table from names to what they name. Owns neither the names nor the things. */
#ifndef MODEL_NAME_INDEX_H
#define MODEL_NAME_INDEX_H

#include <stdbool.h>
#include <stddef.h>

struct name_index;

struct name_index *name_index_new(void); /* NULL: out of memory */
void name_index_free(struct name_index *index);

/* Makes room for `more` names, so that adding them cannot fail. False: out of memory. */
bool name_index_reserve(struct name_index *index, size_t more);

/* Whether the name is there; sets *thing, unless it is NULL, to what was added under the name. */
bool name_index_find(const struct name_index *index, const char *name, size_t length, void **thing);

/* Adds a name that is not there; `name` must live as long as the index. Room must be reserved. */
void name_index_add(struct name_index *index, const char *name, size_t length, void *thing);

#endif
