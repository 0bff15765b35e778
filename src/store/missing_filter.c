#include "store/missing_filter.h"

#include <hdf5.h>

#include "store/hdf5_lock.h"

const char *missing_filter(bool compressed, bool checksum)
{
    const char *missing = NULL;
    hdf5_lock();
    if (compressed) {
        if (H5Zfilter_avail(H5Z_FILTER_SHUFFLE) <= 0) missing = "shuffle";
        if (H5Zfilter_avail(H5Z_FILTER_DEFLATE) <= 0) missing = "deflate";
    }
    if (checksum && H5Zfilter_avail(H5Z_FILTER_FLETCHER32) <= 0) missing = "fletcher32";
    hdf5_unlock();
    return missing;
}
