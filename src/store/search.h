/* Where a compressor is to look for repeats in some bytes: told by a sample of them. Knows bytes only. */
#ifndef STORE_SEARCH_H
#define STORE_SEARCH_H

#include <stddef.h>

/* In the last 32 KiB, so that far ones are found; as the level does, whose table is too small for most of what is more than
 * some 2 KiB away; in the last 16 bytes, which finds runs; nowhere, as they are rare. Of noise, not even a code of its
 * bytes is smaller. */
enum search { SEARCH_FAR, SEARCH_AS_USUAL, SEARCH_NEARBY, SEARCH_NOWHERE, SEARCH_NO_CODE };
#define SEARCH_NEARBY_BITS 4

struct search_table;
struct search_table *search_table_new(void); /* NULL: out of memory; to be freed with free() */

/* `level`: of deflate; only the fastest saves itself a search. `row`: bytes after which the next row begins; 0: none. */
enum search choose_search(const struct search_table *table, int level, const unsigned char *part, size_t bytes,
                          size_t row);

#endif
