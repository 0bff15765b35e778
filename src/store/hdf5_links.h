/* How names are written into a file. */
#ifndef STORE_HDF5_LINKS_H
#define STORE_HDF5_LINKS_H

#include <hdf5.h>

/* Properties of links whose names are UTF-8; to be closed with H5Pclose. Negative on failure. */
hid_t hdf5_link_properties(void);

#endif
