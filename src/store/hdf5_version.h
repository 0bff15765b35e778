/* Which libhdf5 this process runs with. */
#ifndef STORE_HDF5_VERSION_H
#define STORE_HDF5_VERSION_H

#include <stddef.h>

/* "1.10.8"; writes at most `size` bytes with the final null byte into `text`, and returns it. */
char *hdf5_version(char *text, size_t size);

#endif
