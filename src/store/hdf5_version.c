#include "store/hdf5_version.h"

#include <hdf5.h>
#include <stdio.h>

#include "store/hdf5_lock.h"

char *hdf5_version(char *text, size_t size)
{
    unsigned major = 0, minor = 0, release = 0;
    hdf5_lock();
    herr_t status = H5get_libversion(&major, &minor, &release);
    hdf5_unlock();
    if (status < 0) snprintf(text, size, "unknown");
    else snprintf(text, size, "%u.%u.%u", major, minor, release);
    return text;
}
