/* libhdf5's error stack as our error. */
#ifndef STORE_HDF5_ERROR_H
#define STORE_HDF5_ERROR_H

#include "model/status.h"

/* Sets HDF5_ERROR (IO_ERROR if the stack names an errno) with the message, followed by the innermost and outermost
 * entries of libhdf5's stack, and clears the stack. Call it right after the call that failed: the next one that succeeds
 * empties the stack. */
trajlog_status hdf5_error(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Silences libhdf5's own printing between the two, for this thread; nests. Restores what the host had set. */
struct hdf5_quiet {
    void *function, *context;
    unsigned version; /* of libhdf5's interface that the host used: 1 or 2; 0: nothing to restore */
};
void hdf5_quiet_begin(struct hdf5_quiet *quiet);
void hdf5_quiet_end(struct hdf5_quiet *quiet);

#endif
