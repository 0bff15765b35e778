/* Element types as HDF5 datatypes, both ways. hdf5.h must be included before. */
#ifndef STORE_HDF5_TYPES_H
#define STORE_HDF5_TYPES_H

#include <hdf5.h>

#include "model/element.h"

/* The datatype in the file (h5py's for the matching NumPy type), and in this machine's memory; to be closed with
 * H5Tclose. Negative on failure. */
hid_t hdf5_file_type(trajlog_type type);
hid_t hdf5_memory_type(trajlog_type type);

/* The element type that a datatype from any file stands for; false if there is none. Big-endian ones are recognised. */
bool hdf5_element_type(hid_t datatype, trajlog_type *type);

/* Whether values of this datatype lie in the file exactly as hdf5_memory_type's do in memory. */
bool hdf5_type_is_native(hid_t datatype, trajlog_type type);

#endif
