/* Filters that a libhdf5 was built without: zlib is a choice there. */
#ifndef STORE_MISSING_FILTER_H
#define STORE_MISSING_FILTER_H

#include <stdbool.h>

/* The name of a filter that such storage needs and this libhdf5 does not have; NULL: there is none. Takes the lock. */
const char *missing_filter(bool compressed, bool checksum);

#endif
