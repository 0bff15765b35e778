/* The H5MD facade: groups, hard links and attributes that show a log's datasets as an H5MD 1.1 file. Stores no data
 * twice; what is seen where was decided by model/h5md_plan.h. */
#ifndef STORE_H5MD_H
#define STORE_H5MD_H

#include <hdf5.h>

#include "model/schema.h"

/* Makes it all, for a file that has its datasets, those of `once` groups too, and before SWMR starts. Does nothing
 * where no field has a role. Errors as h5md_plan_make, and HDF5_ERROR; messages name `path`. */
trajlog_status h5md_present(hid_t file, const char *path, const struct schema *schema, struct error *error);

#endif
