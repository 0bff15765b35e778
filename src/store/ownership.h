/* Who writes a file: one writer at a time, whatever process, thread or machine it is in. A lock on PATH.lock, that the
 * kernel gives up when its process ends, however it ends. Advisory, and our own: HDF5's locks are not touched. The lock
 * is on a file beside, because a new file takes its name by renaming, and because a lock on the file itself keeps
 * HDF5's readers out where locks are emulated (NFS). */
#ifndef STORE_OWNERSHIP_H
#define STORE_OWNERSHIP_H

#include <stdbool.h>

#include "model/status.h"

#define OWNERSHIP_SUFFIX ".lock"

struct ownership;

/* Takes the file, which need not exist; before anything of it is touched. `without_lock`: take nothing, for file
 * systems that have no locks; the caller answers for there being no second writer. Errors: FILE_LOCKED (the message says by
 * whom), NOT_FOUND (no such directory), IO_ERROR (the lock cannot be made; ENOLCK, ENOSYS, ...: there are none here),
 * OUT_OF_MEMORY. *ownership is NULL on failure. Thread-safe. */
trajlog_status ownership_take(struct ownership **ownership, const char *path, bool without_lock, struct error *error);

/* The file's own path, with all symbolic links followed: under this name it is to be made and replaced. */
const char *ownership_path(const struct ownership *ownership);

/* Gives it up, and removes PATH.lock; sets *ownership to NULL. In a forked child, which owns nothing, it only frees. */
void ownership_release(struct ownership **ownership);

/* Whether somebody, perhaps this process, has taken the file. If that cannot be found out: whether PATH.lock is there. */
bool ownership_is_taken(const char *path);

/* How a lock is taken: 0, or -1 and errno. For tests; never to be changed while a file is being taken. */
extern int (*ownership_lock_call)(int descriptor);

#endif
