/* The process-wide, recursive lock under which libhdf5 is entered. A fork() waits for it, so that the child finds libhdf5
 * whole; a thread that holds it may fork. */
#ifndef STORE_HDF5_LOCK_H
#define STORE_HDF5_LOCK_H

#include <stdbool.h>

void hdf5_lock(void);
void hdf5_unlock(void);
bool hdf5_lock_is_mine(void);

/* Gives the lock up, however often this thread holds it, and takes it back as often: around waiting for the worker. */
int hdf5_lock_give_up(void);
void hdf5_lock_take_back(int depth);

#endif
