/* Reading through libhdf5: what it alone knows how to read, and what was never written. Takes the HDF5 lock itself, for
 * as long as libhdf5 works. */
#ifndef READ_LIBRARY_H
#define READ_LIBRARY_H

#include "read/dataset.h"
#include "read/region.h"

/* Reads region->count[0] rows, the first one at region->start[0], each `stride` after the one before, of them what the region says;
 * in the stored type's form in memory. The region is not empty. UNSUPPORTED (filter), HDF5_ERROR, IO_ERROR, INVALID_FILE. */
trajlog_status library_read(const struct dataset *dataset, const struct region *region, int64_t stride, void *data,
                            struct error *error);

#endif
