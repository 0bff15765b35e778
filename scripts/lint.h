/* What the static analyzer, which sees one file at a time, cannot know: that setting an error returns an error. Read
 * before each file by `make lint`, and by nothing else. */
#include "model/status.h"
#include "store/hdf5_error.h"

#define error_set(error, status, ...) ((void)(error_set)(error, status, __VA_ARGS__), (status))
#define hdf5_error(error, ...)        ((void)(hdf5_error)(error, __VA_ARGS__), TRAJLOG_HDF5_ERROR)
