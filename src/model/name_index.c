#include "model/name_index.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    const char *name; /* NULL: empty */
    size_t length;
    uint64_t hash;
    void *thing;
};

struct name_index {
    struct entry *entries;
    size_t capacity; /* a power of two; at least twice `count` */
    size_t count;
};

struct name_index *name_index_new(void)
{
    return calloc(1, sizeof(struct name_index));
}

void name_index_free(struct name_index *index)
{
    if (index == NULL) return;
    free(index->entries);
    free(index);
}

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t hash_of(const char *name, size_t length)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)name[i]) * 1099511628211u;
    return hash ^ hash >> 32;
}

/* The entry of the name, or the empty one where it belongs. There is always an empty one. */
static struct entry *place_of(struct entry *entries, size_t capacity, const char *name, size_t length, uint64_t hash)
{
    for (size_t i = hash & (capacity - 1);; i = (i + 1) & (capacity - 1)) {
        struct entry *entry = &entries[i];
        if (entry->name == NULL) return entry;
        if (entry->hash == hash && entry->length == length && memcmp(entry->name, name, length) == 0) return entry;
    }
}

bool name_index_reserve(struct name_index *index, size_t more)
{
    size_t capacity = index->capacity > 0 ? index->capacity : 16;
    struct entry *entries;
    if (more > SIZE_MAX / 8 / sizeof *entries - index->count) return false;
    while (capacity / 2 < index->count + more) capacity *= 2;
    if (capacity == index->capacity) return true;
    entries = calloc(capacity, sizeof *entries);
    if (entries == NULL) return false;
    for (size_t i = 0; i < index->capacity; i++) {
        const struct entry *old = &index->entries[i];
        if (old->name != NULL) *place_of(entries, capacity, old->name, old->length, old->hash) = *old;
    }
    free(index->entries);
    index->entries = entries;
    index->capacity = capacity;
    return true;
}

bool name_index_find(const struct name_index *index, const char *name, size_t length, void **thing)
{
    const struct entry *entry;
    if (index->capacity == 0) return false;
    entry = place_of(index->entries, index->capacity, name, length, hash_of(name, length));
    if (entry->name == NULL) return false;
    if (thing != NULL) *thing = entry->thing;
    return true;
}

void name_index_add(struct name_index *index, const char *name, size_t length, void *thing)
{
    uint64_t hash = hash_of(name, length);
    struct entry *entry = place_of(index->entries, index->capacity, name, length, hash);
    *entry = (struct entry){.name = name, .length = length, .hash = hash, .thing = thing};
    index->count++;
}
