#include "store/hdf5_links.h"

hid_t hdf5_link_properties(void)
{
    hid_t properties = H5Pcreate(H5P_LINK_CREATE);
    if (properties < 0 || H5Pset_char_encoding(properties, H5T_CSET_UTF8) >= 0) return properties;
    H5Pclose(properties);
    return H5I_INVALID_HID;
}
