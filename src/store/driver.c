/* The commit driver. What follows is why it is as it is.
 *
 * The aim: at every instant the file on disk opens with plain HDF5, and shows the last commit. A process can be
 * killed between two system calls, and within a write when it goes from one page to the next; never within a page.
 * A power loss keeps any part of what was written since the last sync.
 *
 * 1. Metadata is held back in memory. libhdf5 writes when its cache pleases; nothing of that reaches the file
 *    before a commit. Raw data goes to the disk at once, into blocks that no committed metadata points at, or over
 *    the tail of a chunk whose committed rows keep their bytes.
 *
 * 2. A commit writes what was held back in the order in which libhdf5 wrote it, which under SWMR is children
 *    before parents: every prefix is a consistent file. Nodes of B-trees are copied to new places by libhdf5
 *    itself. Only the object headers, which say how many rows there are, come last, and all that share a page in
 *    one write: so all datasets whose headers are on one page get their new rows at the same instant. A group's
 *    headers may need several pages. The last page is written first: the first one has `step` and `time`, which so
 *    never have more rows than the fields; and the file's own header, on the first page of all, says last how far
 *    the run has come.
 *
 * 3. No metadata block of at most a page crosses a page's border (space.c), so that a kill cannot tear it. Larger ones
 *    do not change after they were written, but for those of the index of chunks of datasets with one dimension, from
 *    some thousands of chunks on. Such a block is written to another place than the last time, and then the small one
 *    that refers to it (driver_index.c).
 *
 * 4. The superblock, on its way to disk, loses its consistency flags, which would say "open for write", and
 *    announces an end at or behind the true one; the file is longer still, and has been so for a commit, so that
 *    no reader finds an address behind the end, or an end behind the file. Behind the superblock, on the same
 *    page, a record of ours keeps the true end. All this needs is a sparse file. A clean close makes it exact.
 *
 * 5. Before SWMR starts, libhdf5 writes in no safe order. A new file is therefore made under another name, and
 *    renamed when all groups are in it. In an existing file all that overwrites committed bytes is held back, raw
 *    data too, and applied as one batch, headers first: they say that dropped rows are gone, before the index
 *    forgets them. Of them, the first page is first: rows go from `step` before they go from the fields.
 *    What the batch overwrites is saved in a synced journal first. A kill amid the batch leaves that journal, by
 *    which the next open takes all of it back; the batch is done when the journal of 6 has replaced it. Back and not
 *    forward, because readers without our journal see the old rows until the batch is applied. If it were completed
 *    later, rows that they saw, and that the next resume is to keep, would vanish.
 *
 * 6. Power loss. A synced commit is a flushed one, then a sync of the file, then a journal with what all blocks
 *    that are being overwritten in place hold now (guard.c), synced too. From then on a block that is not in the
 *    journal, and is not newer than it, is added to it durably before it is overwritten. So after a power loss the
 *    journal leads back to the synced commit, whichever of the later writes have arrived; raw blocks that it
 *    refers to are not handed out again before the next one. If only the process was killed, the file is newer
 *    than the journal and needs nothing: the machine's boot id tells the two apart. While the journal is rewritten
 *    the file is durable without it.
 *
 * 7. After the first failure nothing more is written, and no sync will be reported. libhdf5 cannot live with a
 *    driver that fails: so all its writes succeed, and it reads back what it wrote, from memory.
 *
 * 8. In a forked child the driver is in this state too.
 *
 * Here is the driver as libhdf5 calls it. What takes more than a call is in driver_held.c and driver_commit.c (1, 2
 * and 6), driver_headers.c (2), driver_index.c (3), driver_write.c (4 and 7), and driver_show.c and driver_publish.c
 * (5). */
#include "store/driver_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

/* A file as libhdf5 sees it. */
struct open_file {
    H5FD_t head;
    struct driver *driver;
};

/* What an access list carries. */
struct access_info {
    struct driver *driver;
};

static struct driver *driver_of(const H5FD_t *file)
{
    return ((const struct open_file *)file)->driver;
}

static bool may_attach(const struct driver *driver, unsigned flags)
{
    bool creates = (flags & H5F_ACC_TRUNC) != 0 || (flags & H5F_ACC_CREAT) != 0;
    if (driver->attached || driver->descriptor < 0) return false;
    /* libhdf5 first tries to open a file that it is to create: there is none. */
    if (driver->phase == PHASE_NEW) return creates && driver->space.end == 0;
    if (driver->phase == PHASE_READING) return (flags & H5F_ACC_RDWR) == 0;
    return !creates && (flags & H5F_ACC_RDWR) != 0;
}

static H5FD_t *call_open(const char *name, unsigned flags, hid_t access_list, haddr_t largest)
{
    (void)name, (void)largest;
    const struct access_info *info = H5Pget_driver_info(access_list);
    if (info == NULL || !may_attach(info->driver, flags)) return NULL;
    struct open_file *file = calloc(1, sizeof *file);
    if (file == NULL) {
        driver_freeze(info->driver, ENOMEM, "opening the file");
        return NULL;
    }
    file->driver = info->driver;
    file->driver->attached = true;
    return &file->head;
}

static herr_t call_close(H5FD_t *file)
{
    struct driver *driver = driver_of(file);
    driver->attached = false;
    if (driver->finishing && !driver_is_frozen(driver)) driver_close_cleanly(driver);
    if (driver->finishing) driver_close_descriptor(driver);
    free(file);
    if (driver->abandoned) driver_destroy(driver);
    return 0;
}

static int call_compare(const H5FD_t *left, const H5FD_t *right)
{
    const struct driver *a = driver_of(left), *b = driver_of(right);
    return a < b ? -1 : a > b;
}

static herr_t call_query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    /* No aggregation and no accumulator: each block is placed, and written, by itself. */
    *flags = H5FD_FEAT_SUPPORTS_SWMR_IO | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static haddr_t call_allocate(H5FD_t *file, H5FD_mem_t type, hid_t transfer_list, hsize_t size)
{
    (void)transfer_list;
    enum space_kind kind = type == H5FD_MEM_DRAW    ? SPACE_RAW
                           : type == H5FD_MEM_OHDR  ? SPACE_HEADER
                           : type == H5FD_MEM_SUPER ? SPACE_FRONT
                                                    : SPACE_OTHER;
    uint64_t address = space_allocate(&driver_of(file)->space, kind, size, seconds_now());
    return address == SPACE_NONE ? HADDR_UNDEF : (haddr_t)address;
}

static herr_t call_free(H5FD_t *file, H5FD_mem_t type, hid_t transfer_list, haddr_t address, hsize_t size)
{
    (void)transfer_list;
    struct driver *driver = driver_of(file);
    if (type == H5FD_MEM_DRAW) space_retire(&driver->space, address, size, seconds_now());
    return 0;
}

static haddr_t call_get_end_of_addresses(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return driver_of(file)->space.end;
}

static herr_t call_set_end_of_addresses(H5FD_t *file, H5FD_mem_t type, haddr_t end)
{
    (void)type;
    space_set_end(&driver_of(file)->space, end);
    return 0;
}

static haddr_t call_get_end_of_file(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    const struct driver *driver = driver_of(file);
    return driver->space.end > driver->end_at_open ? driver->space.end : driver->end_at_open;
}

static herr_t call_get_handle(H5FD_t *file, hid_t access_list, void **handle)
{
    (void)access_list;
    *handle = &driver_of(file)->descriptor;
    return 0;
}

/* Once SWMR is on, libhdf5 reads a block with a wrong checksum a hundred times, and waits twice as long each time: for
 * ever. It hopes for a writer, but that is us. A block that is longer than thought is read in two parts. */
static bool is_read_in_vain(struct rereading *reading, H5FD_mem_t type, haddr_t address, size_t size)
{
    enum { MOST = 20 };
    bool again = address == reading->address && reading->end > 0, rest = address == reading->end;
    reading->end = address + size;
    if (type != H5FD_MEM_DRAW && again) return ++reading->times >= MOST;
    if (!rest) *reading = (struct rereading){.address = address, .end = address + size};
    return false;
}

/* What libhdf5 has written lies over what is in the file. */
static void overlay(struct driver *driver, uint64_t address, void *data, size_t size)
{
    struct journal_block superblock = {.address = 0, .size = sizeof driver->superblock, .data = driver->superblock};
    struct journal_blocks front = {.block = &superblock, .count = 1};
    journal_blocks_overlay(&driver->held, address, size, data);
    journal_blocks_overlay(&front, address, size, data);
}

/* 0 or an errno. Without memory to look ahead, libhdf5 still gets what was read. */
static int look_ahead(struct driver *driver, haddr_t address, const void *data, size_t size)
{
    int number = read_ahead_header(&driver->ahead, driver->io, driver->descriptor, &driver->held, address, data, size);
    if (number != ENOMEM) return number;
    driver_freeze(driver, ENOMEM, "a read");
    return 0;
}

/* A read that fails freezes the file too. libhdf5 gets along with that, but for headers: see header.h. */
static herr_t call_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer_list, haddr_t address, size_t size, void *data)
{
    (void)transfer_list;
    struct driver *driver = driver_of(file);
    if (is_read_in_vain(&driver->rereading, type, address, size)) {
        driver_freeze(driver, EIO, "reading damaged metadata");
        return -1;
    }
    uint64_t name = driver_index_name(driver, address);
    int number = io_read_all(driver->io, driver->descriptor, data, size, driver_index_place(driver, name));
    if (number == 0) overlay(driver, name, data, size);
    if (number == 0 && type != H5FD_MEM_DRAW) number = driver_index_note(driver, address, data, size);
    if (number == 0 && type == H5FD_MEM_OHDR) number = look_ahead(driver, address, data, size);
    if (number == 0) return 0;
    driver_freeze(driver, number, "a read");
    if (type != H5FD_MEM_OHDR || !read_ahead_recall(&driver->ahead, address, data, size)) return -1;
    overlay(driver, address, data, size);
    return 0;
}

static bool is_written_at_once(const struct driver *driver, H5FD_mem_t type, haddr_t address)
{
    if (driver->phase == PHASE_NEW) return true;
    if (driver->phase == PHASE_BATCH) return address >= driver->base_end;
    return type == H5FD_MEM_DRAW;
}

static herr_t call_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer_list, haddr_t address, size_t size,
                         const void *data)
{
    (void)transfer_list;
    struct driver *driver = driver_of(file);
    driver->rereading = (struct rereading){0};
    if (driver->phase == PHASE_READING) return -1;
    if (address == 0 && size >= sizeof driver->superblock) {
        memcpy(driver->superblock, data, sizeof driver->superblock);
        return 0;
    }
    if (type != H5FD_MEM_DRAW && size <= SPACE_PAGE && address / SPACE_PAGE != (address + size - 1) / SPACE_PAGE)
        driver->counts.straddles++;
    /* Without memory for the copy nothing more is written: so no header is without one when a read of it fails. */
    if (type == H5FD_MEM_OHDR && read_ahead_written(&driver->ahead, address, data, size, true) != 0)
        driver_freeze(driver, ENOMEM, "holding back metadata");
    if (!driver_is_frozen(driver)) {
        if (is_written_at_once(driver, type, address)) {
            driver->changed = true; /* raw data that is rewritten in place is synced even if no metadata changes */
            if (driver_write_bytes(driver, address, data, size) == TRAJLOG_OK) return 0;
        } else {
            driver_hold(driver, address, data, size, type == H5FD_MEM_DRAW);
            return 0;
        }
    }
    /* Into the void. libhdf5 reads back only its own metadata. */
    if (type != H5FD_MEM_DRAW) driver_hold(driver, address, data, size, false);
    return 0;
}

static herr_t call_flush(H5FD_t *file, hid_t transfer_list, hbool_t closing)
{
    (void)file, (void)transfer_list, (void)closing;
    return 0;
}

static const H5FD_class_t driver_class = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)417, /* from the range for drivers that are not registered with The HDF Group */
#endif
    .name = "trajlog_commit",
    .maxaddr = (haddr_t)INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG, /* the file is closed when H5Fclose returns */
    .fapl_size = sizeof(struct access_info),
    .open = call_open,
    .close = call_close,
    .cmp = call_compare,
    .query = call_query,
    .alloc = call_allocate,
    .free = call_free,
    .get_eoa = call_get_end_of_addresses,
    .set_eoa = call_set_end_of_addresses,
    .get_eof = call_get_end_of_file,
    .get_handle = call_get_handle,
    .read = call_read,
    .write = call_write,
    .flush = call_flush,
    .truncate = call_flush,
    .fl_map = H5FD_FLMAP_DEFAULT,
};

trajlog_status driver_use(struct driver *driver, hid_t access_list, struct error *error)
{
    /* A host may have shut HDF5 down and started it anew: then the number is not a driver any more. */
    static hid_t class_id = H5I_INVALID_HID;
    if (class_id < 0 || H5Iget_type(class_id) != H5I_VFL) class_id = H5FDregister(&driver_class);
    struct access_info info = {.driver = driver};
    if (class_id < 0 || H5Pset_driver(access_list, class_id, &info) < 0 ||
        H5Pset_libver_bounds(access_list, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0)
        return error_set(error, TRAJLOG_HDF5_ERROR, 0, "%s: libhdf5 does not take our file driver", driver->path);
    return TRAJLOG_OK;
}

void driver_begin_headers(struct driver *driver)
{
    space_begin_headers(&driver->space);
}

bool driver_last_raw(struct driver *driver, haddr_t *address, hsize_t *size)
{
    *address = driver->space.last_raw;
    *size = driver->space.last_raw_size;
    driver->space.last_raw_size = 0;
    return *size > 0;
}

void driver_retire(struct driver *driver, haddr_t address, hsize_t size, double seconds)
{
    space_retire(&driver->space, address, size, seconds_now() + seconds);
}

void driver_give_pieces(struct driver *driver, const void *place, const void *const *pieces, size_t count, size_t size)
{
    driver->pieces = (struct pieces){place, pieces, count, size};
}

bool driver_took_pieces(struct driver *driver)
{
    bool taken = driver->pieces.place == NULL;
    driver->pieces.place = NULL;
    return taken;
}

struct driver_counts driver_get_counts(const struct driver *driver)
{
    struct driver_counts counts = driver->counts;
    counts.reused = driver->space.reused;
    counts.end = driver->space.end;
    return counts;
}
