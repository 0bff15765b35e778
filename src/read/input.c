/* A file driver that only reads. The stock driver will not do, for three reasons. libhdf5 hands out one shared file for
 * two opens of the same path in a process: a second reader would see the first one's old rows, and a reader beside a
 * writer rows that are not committed; a driver that compares no files is never shared. It takes locks, which fail on
 * network file systems and would disturb the writer. And it believes the file's size of the moment of opening, which a
 * file that is being written outgrows.
 *
 * What a crash has left to be done, by a journal beside the file, is done here in memory: the journal's blocks lie over
 * the file's bytes. While a writer is at work the journal is its business: the file is in order without it. */
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

#include "read/heap.h"
#include "read/whole_header.h"
#include "store/hdf5_error.h"
#include "store/journal.h"
#include "store/ownership.h"

_Static_assert(sizeof(hid_t) == sizeof(int64_t), "headers of this room carry hid_t as int64_t");

/* The file as it is to be seen; shared by those who have it open. */
struct source {
    int users;
    int descriptor;
    bool has_long_lengths; /* of 8 bytes, as almost all files */
    struct journal_blocks blocks;
    bool notes, noted; /* source_note_begin was called; and something was noted since */
    uint64_t noted_address, noted_size;
};

struct read_file {
    H5FD_t base; /* libhdf5's part, first */
    struct source *source;
    hid_t driver;
    haddr_t end_of_addresses;
};

void source_release(struct source *source)
{
    if (!source || --source->users > 0) return;
    if (source->descriptor >= 0) close(source->descriptor);
    journal_blocks_free(&source->blocks);
    free(source);
}

/* No waiting for the other end of a pipe, and nothing for a child to inherit. */
static int open_descriptor(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* The access list carries the source. */
static H5FD_t *read_open(const char *name, unsigned flags, hid_t access, haddr_t maximum)
{
    (void)name, (void)maximum;
    struct source *const *source = H5Pget_driver_info(access);
    if (!source || (flags & (H5F_ACC_RDWR | H5F_ACC_TRUNC | H5F_ACC_CREAT))) return NULL;
    struct read_file *file = calloc(1, sizeof *file);
    if (!file) return NULL;
    /* libhdf5 lets go of the driver before it calls read_close by it: whoever closes the driver's last file would call
     * freed memory. */
    file->driver = H5Pget_driver(access);
    if (file->driver < 0 || H5Iinc_ref(file->driver) < 0) {
        free(file);
        return NULL;
    }
    file->source = *source;
    file->source->users++;
    return &file->base;
}

static herr_t read_close(H5FD_t *base)
{
    struct read_file *file = (struct read_file *)base;
    hid_t driver = file->driver;
    source_release(file->source);
    free(file);
    return H5Idec_ref(driver) < 0 ? -1 : 0;
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

/* The end of the file, as the journal says that it is. HADDR_UNDEF if it cannot be found out. */
static haddr_t source_end(const struct source *source)
{
    struct stat status;
    if (fstat(source->descriptor, &status) != 0) return HADDR_UNDEF;
    haddr_t end = (haddr_t)status.st_size;
    for (size_t i = 0; i < source->blocks.count; i++) {
        const struct journal_block *block = &source->blocks.block[i];
        if (block->address <= INT64_MAX - block->size && block->address + block->size > end)
            end = block->address + block->size;
    }
    return end;
}

static haddr_t read_get_eof(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return source_end(((const struct read_file *)base)->source);
}

static bool is_address(uint64_t address, uint64_t size)
{
    return address <= INT64_MAX && size <= (uint64_t)INT64_MAX - address;
}

static bool read_source(const struct source *source, uint64_t address, size_t size, void *buffer)
{
    if (!is_address(address, size)) return false;
    if (io_read_all(&driver_io_system, source->descriptor, buffer, size, address) != 0) return false;
    journal_blocks_overlay(&source->blocks, address, size, buffer);
    return true;
}

/* What begins like the global heap and is not sound, libhdf5 must not see. It reads the heap as raw data, and its
 * beginning first. */
static bool may_be_seen(const struct source *source, H5FD_mem_t type, uint64_t address, size_t size, const void *buffer)
{
    uint64_t heap_size;
    bool is_raw = type == H5FD_MEM_DRAW || type == H5FD_MEM_GHEAP;
    if (!is_raw || !source->has_long_lengths || size < HEAP_HEADER || !heap_begins(buffer, &heap_size)) return true;
    if (heap_size <= size) return heap_is_sound(buffer, heap_size);
    unsigned char *heap = heap_size <= HEAP_LARGEST ? malloc(heap_size) : NULL;
    bool sound = heap && read_source(source, address, heap_size, heap) && heap_is_sound(heap, heap_size);
    free(heap);
    return sound;
}

static bool read_for_header(const void *source, uint64_t address, size_t size, void *buffer)
{
    return read_source(source, address, size, buffer);
}

/* How often metadata is read whose checksum is wrong: a writer may be at it. libhdf5, which does so too when it reads
 * live, waits in between, first a nanosecond and then twice as long each time: its own hundred attempts would never end;
 * these take a millisecond. */
#define METADATA_ATTEMPTS 20

/* What begins like an object header and is not whole, libhdf5 must not see either. */
static bool read_header(const struct source *source, uint64_t address, size_t size, void *buffer)
{
    for (int attempt = 0; attempt < METADATA_ATTEMPTS; attempt++) {
        if (!read_source(source, address, size, buffer)) return false;
        if (header_is_whole(read_for_header, source, address, buffer, size)) return true;
    }
    return false;
}

/* Past the end of the file there are zeros, as with libhdf5's own drivers. */
static herr_t read_read(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, void *buffer)
{
    struct source *source = ((struct read_file *)base)->source;
    (void)transfer;
    if (source->notes && type == H5FD_MEM_DRAW) {
        source->noted = true;
        source->noted_address = address;
        source->noted_size = size;
        return 0;
    }
    if (type == H5FD_MEM_OHDR) return read_header(source, address, size, buffer) ? 0 : -1;
    return read_source(source, address, size, buffer) && may_be_seen(source, type, address, size, buffer) ? 0 : -1;
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
    .fapl_size = sizeof(struct source *),
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

/* It stays registered: libhdf5 looks into it once more after the last file that uses it has let go of it. */
static hid_t registered_driver(void)
{
    /* A host may have shut HDF5 down and started it anew: then the number is not a driver any more. */
    static hid_t driver = H5I_INVALID_HID;
    if (driver < 0 || H5Iget_type(driver) != H5I_VFL) driver = H5FDregister(&read_driver);
    return driver;
}

static hid_t access_properties(struct source *source)
{
    hid_t properties = H5Pcreate(H5P_FILE_ACCESS);
    hid_t driver = registered_driver();
    bool complete = properties >= 0 && driver >= 0 && H5Pset_driver(properties, driver, &source) >= 0 &&
                    H5Pset_fclose_degree(properties, H5F_CLOSE_STRONG) >= 0 &&
                    H5Pset_metadata_read_attempts(properties, METADATA_ATTEMPTS) >= 0;
    if (complete || properties < 0) return properties;
    H5Pclose(properties);
    return H5I_INVALID_HID;
}

static trajlog_status take_journal(struct source *source, const char *path, struct error *error)
{
    enum journal_finding finding = JOURNAL_NONE;
    if (ownership_is_taken(path)) return TRAJLOG_OK;
    TRY(journal_inspect(&driver_io_system, path, source->descriptor, false, &finding, &source->blocks, error));
    /* Whoever has taken the file meanwhile brings it into order himself. */
    if (finding == JOURNAL_NEEDED && ownership_is_taken(path)) journal_blocks_free(&source->blocks);
    return TRAJLOG_OK;
}

/* The journal lies beside the file itself, where `path` is a symbolic link too. */
static trajlog_status look_for_journal(struct source *source, const char *path, struct error *error)
{
    char *real = realpath(path, NULL);
    if (!real) return error_set(error, TRAJLOG_IO_ERROR, errno, "the file's directory cannot be found");
    trajlog_status status = take_journal(source, real, error);
    free(real);
    return status;
}

/* Where a superblock says how long lengths are, by its version. */
static bool has_long_lengths(const struct source *source)
{
    unsigned char bytes[16];
    if (!read_source(source, 0, sizeof bytes, bytes)) return false;
    return bytes[8] < 2 ? bytes[14] == 8 : bytes[10] == 8;
}

static trajlog_status open_source(struct source **source, const char *path, struct error *error)
{
    struct source *made = calloc(1, sizeof *made);
    if (!made) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory to open it");
    made->users = 1;
    made->descriptor = open_descriptor(path);
    trajlog_status status = TRAJLOG_OK;
    if (made->descriptor < 0) status = error_set(error, TRAJLOG_IO_ERROR, errno, "the file cannot be opened");
    if (status == TRAJLOG_OK) status = look_for_journal(made, path, error);
    made->has_long_lengths = status == TRAJLOG_OK && has_long_lengths(made);
    if (status == TRAJLOG_OK) *source = made;
    else source_release(made);
    return status;
}

/* libhdf5 1.14 and later let it pass, for those who read live. */
static trajlog_status check_end(const struct source *source, hid_t file, struct error *error)
{
    haddr_t end = source_end(source), announced;
    if (H5Fget_eoa(file, &announced) < 0) return hdf5_error(error, "the file's end cannot be found");
    if (end != HADDR_UNDEF && announced <= end) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_HDF5_ERROR, 0, "the file is truncated: it has %llu bytes of %llu",
                     (unsigned long long)end, (unsigned long long)announced);
}

static trajlog_status open_hdf5(struct source *source, const char *path, int64_t *file, struct error *error)
{
    hid_t properties = access_properties(source);
    if (properties < 0) return hdf5_error(error, "the file cannot be opened");
    /* As a live reader first, for then libhdf5 tries again when it meets metadata in mid-update; not every file can be
     * opened so. */
    hid_t opened = H5Fopen(path, H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, properties);
    if (opened < 0) opened = H5Fopen(path, H5F_ACC_RDONLY, properties);
    trajlog_status status = TRAJLOG_OK;
    if (opened < 0) status = hdf5_error(error, "the file cannot be opened");
    else if (check_end(source, opened, error) != TRAJLOG_OK) {
        status = error->status;
        H5Fclose(opened);
        opened = H5I_INVALID_HID;
    }
    H5Pclose(properties);
    *file = opened;
    return status;
}

trajlog_status input_open(const char *path, int64_t *file, struct source **source, struct error *error)
{
    struct source *opened = NULL;
    TRY(open_source(&opened, path, error));
    trajlog_status status = open_hdf5(opened, path, file, error);
    if (status == TRAJLOG_OK && source) *source = opened;
    else source_release(opened);
    return status;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Past libhdf5
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status past_the_end(uint64_t address, uint64_t size, struct error *error)
{
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "%llu bytes at %llu are said to be its data: the file ends before",
                     (unsigned long long)size, (unsigned long long)address);
}

trajlog_status source_check(const struct source *source, uint64_t address, uint64_t size, struct error *error)
{
    haddr_t end = source_end(source);
    if (end == HADDR_UNDEF) return error_set(error, TRAJLOG_IO_ERROR, errno, "the file cannot be read");
    if (is_address(address, size) && address + size <= end) return TRAJLOG_OK;
    return past_the_end(address, size, error);
}

/* Without a journal, the end of the file shows by itself. */
trajlog_status source_read(const struct source *source, uint64_t address, size_t size, void *data, struct error *error)
{
    unsigned char *to = data;
    if (source->blocks.count > 0) {
        TRY(source_check(source, address, size, error));
        if (read_source(source, address, size, data)) return TRAJLOG_OK;
        return error_set(error, TRAJLOG_IO_ERROR, errno, "the file cannot be read");
    }
    if (!is_address(address, size)) return past_the_end(address, size, error);
    while (size > 0) {
        ssize_t got = pread(source->descriptor, to, size, (off_t)address);
        if (got == 0) return past_the_end(address, size, error);
        if (got < 0 && errno != EINTR) return error_set(error, TRAJLOG_IO_ERROR, errno, "the file cannot be read");
        if (got < 0) continue;
        to += got;
        address += (uint64_t)got;
        size -= (size_t)got;
    }
    return TRAJLOG_OK;
}

/* Advice only: where it fails, reading works without. */
void source_expect(const struct source *source, uint64_t address, uint64_t size)
{
    if (is_address(address, size))
        (void)posix_fadvise(source->descriptor, (off_t)address, (off_t)size, POSIX_FADV_WILLNEED);
}

int source_descriptor(const struct source *source, uint64_t address, uint64_t size)
{
    for (size_t i = 0; i < source->blocks.count; i++) {
        const struct journal_block *block = &source->blocks.block[i];
        if (block->address < address + size && address < block->address + block->size) return -1;
    }
    return source->descriptor;
}

void source_note_begin(struct source *source)
{
    source->notes = true;
    source->noted = false;
}

bool source_note_end(struct source *source, uint64_t *address, uint64_t *size)
{
    source->notes = false;
    *address = source->noted_address;
    *size = source->noted_size;
    return source->noted;
}

/* The signature stands at 0, 512, 1024, 2048, ... */
static bool has_signature(int descriptor, int64_t bytes)
{
    static const char signature[8] = {'\211', 'H', 'D', 'F', '\r', '\n', '\032', '\n'};
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
