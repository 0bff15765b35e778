/* The commit driver: an HDF5 virtual file driver under all writing. Whatever moment a run is killed at, the file at
 * `path` opens with any HDF5 >= 1.10 and shows the last commit. The reasoning is in driver.c. Knows files, blocks and
 * the order of writes; knows nothing of groups, fields and rows. Under the HDF5 lock, one thread at a time.
 *
 * A new file                                            An existing file (resume)
 *
 *     driver_create          makes PATH.new                 driver_open           completes what a crash left
 *     driver_use, H5Fcreate  with the list                  driver_use, H5Fopen   H5F_ACC_RDWR, with the list
 *     H5Fflush, driver_show  a valid file is at PATH        new objects and attributes, then every H5?close
 *     groups, datasets, attributes, `once` data             H5Fstart_swmr_write
 *     H5Fstart_swmr_write, H5Fflush                         drop rows: H5Dset_extent; H5Fflush
 *     driver_publish         all of it is at PATH           driver_publish        all of it is at PATH
 *
 * and then for both, again and again,
 *
 *     H5Dwrite_chunk into every dataset, H5Dset_extent to the new row count, H5Awrite of attributes that exist
 *     H5Fflush(H5F_SCOPE_LOCAL), driver_commit
 *
 * and at the end
 *
 *     a last commit, driver_finish, H5Fclose, driver_error (what went wrong in H5Fclose), driver_destroy.
 *
 * H5Fclose without driver_finish leaves the file as a kill would: at its last commit, valid.
 *
 * After the first failure (driver_error says which) every write still succeeds, into nothing: the file stays at its
 * last commit, libhdf5 is led on and can be closed; only a failed read is an error to it. So look at driver_error, or
 * at driver_commit's status, and not at libhdf5's. */
#ifndef STORE_DRIVER_H
#define STORE_DRIVER_H

#include <hdf5.h>
#include <stdbool.h>

#include "model/status.h"
#include "store/driver_io.h"
#include "store/file.h"

struct driver;

/* What lies beside PATH while a new file is made, and after a kill in that time. */
#define NEW_SUFFIX   ".new"   /* a file that is being defined */
#define FIRST_SUFFIX ".first" /* its first copy, on the way to its name */

/* Begins a new file under the name PATH.new (whatever had that name is lost). The caller owns `path`; see ownership.h.
 * `io` may be NULL: the system's. *driver is NULL on failure. Errors: NOT_FOUND (no such directory), IO_ERROR,
 * OUT_OF_MEMORY. */
trajlog_status driver_create(struct driver **driver, const char *path, const struct driver_io *io, struct error *error);

/* Takes an existing file up again, after a kill, a power loss or a clean close: replays or drops a journal that was
 * left behind, and finds the true end of the file. Errors: NOT_FOUND, INVALID_FILE (not a file that the driver made),
 * IO_ERROR, OUT_OF_MEMORY. */
trajlog_status driver_open(struct driver **driver, const char *path, const struct driver_io *io, struct error *error);

/* Opens a file for reading, as a resume would see it, without changing it: a journal left by a crash is applied in
 * memory. For H5Fopen with H5F_ACC_RDONLY. `writer_is_alive`: somebody owns the path; then no journal is looked at. */
trajlog_status driver_open_for_reading(struct driver **driver, const char *path, bool writer_is_alive,
                                       const struct driver_io *io, struct error *error);

/* Makes H5Fcreate (H5F_ACC_TRUNC) or H5Fopen with this access list go through the driver, and sets the format bounds to
 * V110. The list may be closed after the call that it is for. Sets neither alignment nor page sizes, and the caller
 * must not: the driver does this itself. One file per driver. */
trajlog_status driver_use(struct driver *driver, hid_t access_list, struct error *error);

/* The object headers that are allocated from here on lie together on pages of their own. Those of one page are
 * committed by one write, which no kill can tear: so call it, then create all datasets of a group before their
 * attributes, then call it again. About 14 plain datasets fit on a page. Of a group with more, those that were created
 * first are committed last: never have they more rows than the others. */
void driver_begin_headers(struct driver *driver);

/* New file only: puts a copy of the file, as it was last flushed, at `path`. `replace`: it may exist, else FILE_EXISTS.
 * Other errors: IO_ERROR. */
trajlog_status driver_show(struct driver *driver, bool replace, struct error *error);

/* What was flushed since driver_create or driver_open is in the file afterwards, all of it at once: a new file by
 * renaming it, an existing one by a journalled batch, that is made durable always. Afterwards rows may be appended. */
trajlog_status driver_publish(struct driver *driver, enum commit_level level, struct error *error);

/* What was flushed since the last commit is in the file afterwards. Errors: IO_ERROR, INVALID_STATE. The first error
 * sticks, and freezes the file; a failed sync too. */
trajlog_status driver_commit(struct driver *driver, enum commit_level level, struct error *error);

/* The next H5Fclose closes the file cleanly: exact end, exact size, no journal. Errors: those of driver_error. */
trajlog_status driver_finish(struct driver *driver, enum commit_level level, struct error *error);

/* The error that froze the file: the status, errno and failed operation that every call returns from then on. */
trajlog_status driver_error(const struct driver *driver, struct error *error);

/* Frees the driver, as soon as its file is closed; what was never published vanishes. NULL is OK. */
void driver_destroy(struct driver *driver);

/* Abandoned raw blocks. libhdf5 frees nothing while readers may look, so that a chunk that is rewritten at another size
 * leaves its old block behind. driver_last_raw: the block that libhdf5 asked for last, since the last call of this;
 * false if none. driver_retire gives such a block back: it is handed out again for the same size, three commits (one of
 * them synced, if any ever was) and `seconds` later, when no reader with a stale index is about to look
 * there. */
bool driver_last_raw(struct driver *driver, haddr_t *address, hsize_t *size);
void driver_retire(struct driver *driver, haddr_t address, hsize_t size, double seconds);

/* The next raw block that libhdf5 is given at `place`, for H5Dwrite_chunk, is taken from `count` pieces of `size` bytes
 * instead, which are together as large: so rows need not lie together. driver_took_pieces: whether that has happened,
 * which depends on libhdf5 handing the address down. The pieces must live until then. */
void driver_give_pieces(struct driver *driver, const void *place, const void *const *pieces, size_t count, size_t size);
bool driver_took_pieces(struct driver *driver);

/* For tests and statistics. */
struct driver_counts {
    unsigned long long commits, syncs, writes, bytes;
    unsigned long long straddles;          /* metadata blocks of at most a page that cross a page's border: always 0 */
    unsigned long long header_writes_last; /* pages that carried the object headers of the last commit: 1 is atomic */
    unsigned long long reused;             /* retired blocks handed out again */
    unsigned long long undo_syncs;         /* syncs of the journal that a flushed commit needed */
    unsigned long long moved;              /* large blocks of indexes that a commit gave another place */
    haddr_t end;                           /* true end of the file */
};
struct driver_counts driver_get_counts(const struct driver *driver);

#endif
