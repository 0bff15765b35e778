/* A file driver that only reads. The stock driver will not do, for three reasons. libhdf5 hands out one shared file for
 * two opens of the same path in a process: a second reader would see the first one's old rows, and a reader beside a
 * writer rows that are not committed; a driver that compares no files is never shared. It takes locks, which fail on
 * network file systems and would disturb the writer. And it believes the file's size of the moment of opening, which a
 * file that is being written outgrows. */
#include "read/input.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

#include "store/hdf5_error.h"

_Static_assert(sizeof(hid_t) == sizeof(int64_t), "headers of this room carry hid_t as int64_t");

struct read_file {
    H5FD_t base; /* libhdf5's part, first */
    int descriptor;
    haddr_t end_of_addresses;
};

/* No waiting for the other end of a pipe, and nothing for a child to inherit. */
static int open_descriptor(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static H5FD_t *read_open(const char *name, unsigned flags, hid_t access, haddr_t maximum)
{
    (void)access, (void)maximum;
    if (flags & (H5F_ACC_RDWR | H5F_ACC_TRUNC | H5F_ACC_CREAT)) return NULL;
    struct read_file *file = calloc(1, sizeof *file);
    if (!file) return NULL;
    file->descriptor = open_descriptor(name);
    if (file->descriptor >= 0) return &file->base;
    free(file);
    return NULL;
}

static herr_t read_close(H5FD_t *base)
{
    struct read_file *file = (struct read_file *)base;
    int result = close(file->descriptor);
    free(file);
    return result == 0 ? 0 : -1;
}

static herr_t read_query(const H5FD_t *base, unsigned long *flags)
{
    (void)base;
    *flags = H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_SUPPORTS_SWMR_IO |
             H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t read_get_eoa(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return ((const struct read_file *)base)->end_of_addresses;
}

static herr_t read_set_eoa(H5FD_t *base, H5FD_mem_t type, haddr_t address)
{
    (void)type;
    ((struct read_file *)base)->end_of_addresses = address;
    return 0;
}

static haddr_t read_get_eof(const H5FD_t *base, H5FD_mem_t type)
{
    struct stat status;
    (void)type;
    if (fstat(((const struct read_file *)base)->descriptor, &status) != 0) return HADDR_UNDEF;
    return (haddr_t)status.st_size;
}

/* Past the end of the file there are zeros, as with libhdf5's own drivers. */
static herr_t read_read(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, void *buffer)
{
    struct read_file *file = (struct read_file *)base;
    char *to = buffer;
    (void)type, (void)transfer;
    if (address > INT64_MAX || size > (size_t)INT64_MAX - (size_t)address) return -1;
    while (size > 0) {
        ssize_t got = pread(file->descriptor, to, size, (off_t)address);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        to += got;
        address += (haddr_t)got;
        size -= (size_t)got;
    }
    memset(to, 0, size);
    return 0;
}

static herr_t read_write(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size,
                         const void *buffer)
{
    (void)base, (void)type, (void)transfer, (void)address, (void)size, (void)buffer;
    return -1;
}

static const H5FD_class_t read_driver = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)513, /* 512 and more: for drivers that The HDF Group does not list */
#endif
    .name = "trajlog_read",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .open = read_open,
    .close = read_close,
    .query = read_query,
    .get_eoa = read_get_eoa,
    .set_eoa = read_set_eoa,
    .get_eof = read_get_eof,
    .read = read_read,
    .write = read_write,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* How often libhdf5 reads metadata whose checksum is wrong, when it reads live. It waits in between, first a nanosecond
 * and then twice as long each time: its own hundred attempts would never end; these take a millisecond. */
#define METADATA_ATTEMPTS 20

/* The properties hold the driver from here on. Registering it at each open leaves nothing behind that a host's H5close
 * could make stale. */
static hid_t access_properties(void)
{
    hid_t properties = H5Pcreate(H5P_FILE_ACCESS);
    hid_t driver = H5FDregister(&read_driver);
    bool complete = properties >= 0 && driver >= 0 && H5Pset_driver(properties, driver, NULL) >= 0 &&
                    H5Pset_fclose_degree(properties, H5F_CLOSE_STRONG) >= 0 &&
                    H5Pset_metadata_read_attempts(properties, METADATA_ATTEMPTS) >= 0;
    if (driver >= 0 && H5FDunregister(driver) < 0) complete = false;
    if (complete || properties < 0) return properties;
    H5Pclose(properties);
    return H5I_INVALID_HID;
}

trajlog_status input_open(const char *path, int64_t *file, struct error *error)
{
    hid_t properties = access_properties();
    if (properties < 0) return hdf5_error(error, "the file cannot be opened");
    /* As a live reader first, for then libhdf5 tries again when it meets metadata in mid-update; not every file can be
     * opened so. */
    hid_t opened = H5Fopen(path, H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, properties);
    if (opened < 0) opened = H5Fopen(path, H5F_ACC_RDONLY, properties);
    trajlog_status status = opened < 0 ? hdf5_error(error, "the file cannot be opened") : TRAJLOG_OK;
    H5Pclose(properties);
    *file = opened;
    return status;
}

/* The signature stands at 0, 512, 1024, 2048, ... */
static bool has_signature(int descriptor, int64_t bytes)
{
    static const char signature[8] = "\211HDF\r\n\032\n";
    char found[sizeof signature];
    for (int64_t place = 0; place <= bytes - 8; place = place ? 2 * place : 512) {
        if (pread(descriptor, found, sizeof found, place) != sizeof found) return false;
        if (memcmp(found, signature, sizeof found) == 0) return true;
    }
    return false;
}

static trajlog_status look_at(int descriptor, struct file_moment *moment, struct error *error)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0) return error_set(error, TRAJLOG_IO_ERROR, errno, "the file cannot be read");
    if (!S_ISREG(status.st_mode)) return error_set(error, TRAJLOG_INVALID_FILE, 0, "this is not a regular file");
    moment->bytes = status.st_size;
    moment->seconds = status.st_mtim.tv_sec;
    moment->nanoseconds = status.st_mtim.tv_nsec;
    if (has_signature(descriptor, status.st_size)) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "this is not an HDF5 file");
}

trajlog_status input_look(const char *path, struct file_moment *moment, struct error *error)
{
    int descriptor = open_descriptor(path);
    if (descriptor < 0) {
        bool missing = errno == ENOENT || errno == ENOTDIR;
        return error_set(error, missing ? TRAJLOG_NOT_FOUND : TRAJLOG_IO_ERROR, errno, "the file cannot be opened");
    }
    trajlog_status status = look_at(descriptor, moment, error);
    close(descriptor);
    return status;
}

bool file_moment_equal(const struct file_moment *a, const struct file_moment *b)
{
    return a->bytes == b->bytes && a->seconds == b->seconds && a->nanoseconds == b->nanoseconds;
}
