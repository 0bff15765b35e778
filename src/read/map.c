/* Rows as the file has them, mapped into memory. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "read/cells.h"
#include "read/reader.h"
#include "store/hdf5_error.h"
#include "store/hdf5_lock.h"

/* What is wanted of a dataset; counted in its first dimension, which a field that is logged once has instead of rows. */
struct stretch {
    const struct dataset *dataset;
    int64_t first, count;
    size_t bytes; /* of one */
    uint64_t address;
};

static trajlog_status unsupported(struct error *error, const char *why)
{
    return error_set(error, TRAJLOG_UNSUPPORTED, 0, "it cannot be mapped: %s", why);
}

/* Whether there are chunks that hold whole rows, just as they are in memory. */
static trajlog_status check_storage(const struct dataset *dataset, struct error *error)
{
    const struct cells *cells = dataset->cells;
    if (dataset->handle < 0) return unsupported(error, "it is an attribute");
    if (dataset->filters && dataset->filters[0])
        return error_set(error, TRAJLOG_UNSUPPORTED, 0, "it cannot be mapped: its chunks are stored with %s",
                         dataset->filters);
    if (!dataset->native) return unsupported(error, "its elements are stored in another byte order or form");
    if (dataset->bytes == 0) return unsupported(error, "its rows have no bytes");
    if (!cells) return unsupported(error, "its rows have no place of their own in the file");
    for (int32_t i = 1; i < cells->rank; i++)
        if (cells->cell[i] != cells->dims[i]) return unsupported(error, "its chunks hold only parts of rows");
    return TRAJLOG_OK;
}

static trajlog_status find_cell(struct cells *cells, int64_t start, struct place *place, struct error *error)
{
    const int64_t begin[REGION_MAX_RANK] = {start};
    cells_find(cells, begin, place);
    if (!place->stored) return unsupported(error, "its rows were never written, and have no place in the file");
    if (place->size == cells->bytes) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_INVALID_FILE, 0, "a chunk of %llu bytes is stored: expected %zu",
                     (unsigned long long)place->size, cells->bytes);
}

/* The first chunk, and those that follow it directly; the stretch becomes as long as that. */
static trajlog_status find_together(struct stretch *stretch, struct error *error)
{
    struct cells *cells = stretch->dataset->cells;
    const int64_t rows = cells->rank > 0 ? cells->cell[0] : 1, start = stretch->first - stretch->first % rows;
    struct place place, next;
    TRY(find_cell(cells, start, &place, error));
    stretch->address = place.address + (uint64_t)(stretch->first - start) * stretch->bytes;
    int64_t end = start + rows, wanted = stretch->first + stretch->count;
    uint64_t behind = place.address + place.size;
    for (; end < wanted; end += rows, behind += next.size)
        if (find_cell(cells, end, &next, NULL) != TRAJLOG_OK || next.address != behind) break;
    if (end < wanted) stretch->count = end - stretch->first;
    return TRAJLOG_OK;
}

static trajlog_status find_stretch(struct stretch *stretch, struct error *error)
{
    struct hdf5_quiet quiet;
    hdf5_lock();
    hdf5_quiet_begin(&quiet);
    trajlog_status status = find_together(stretch, error);
    hdf5_quiet_end(&quiet);
    hdf5_unlock();
    return status;
}

/* As the compiler may rely on. */
static size_t alignment_of(trajlog_type type)
{
    if (element_is_string(type)) return 1;
    return element_is_complex(type) ? trajlog_type_size(type) / 2 : trajlog_type_size(type);
}

static trajlog_status map_stretch(const struct stretch *stretch, trajlog_map_access access, trajlog_map *map,
                                  struct error *error)
{
    const struct source *source = stretch->dataset->cells->source;
    const uint64_t bytes = (uint64_t)stretch->count * stretch->bytes;
    const size_t skipped = stretch->address % (uint64_t)sysconf(_SC_PAGESIZE);
    TRY(source_check(source, stretch->address, bytes, error));
    if (stretch->address % alignment_of(stretch->dataset->type) != 0)
        return unsupported(error, "its rows are not aligned in the file");
    int descriptor = source_descriptor(source, stretch->address, bytes);
    if (descriptor < 0)
        return unsupported(error, "a crash left an update of these rows, which trajlog recover completes");
    bool copies = access == TRAJLOG_MAP_COPY;
    void *region = mmap(NULL, bytes + skipped, copies ? PROT_READ | PROT_WRITE : PROT_READ,
                        copies ? MAP_PRIVATE : MAP_SHARED, descriptor, (off_t)(stretch->address - skipped));
    if (region == MAP_FAILED)
        return error_set(error, errno == ENOMEM ? TRAJLOG_OUT_OF_MEMORY : TRAJLOG_IO_ERROR, errno,
                         "it cannot be mapped");
    *map = (trajlog_map){.data = (char *)region + skipped, .region = region, .region_bytes = bytes + skipped};
    return TRAJLOG_OK;
}

/* All of it, or nothing. */
static trajlog_status map_once(const struct dataset *dataset, trajlog_map_access access, trajlog_map *map,
                               struct error *error)
{
    const int64_t all = dataset->rank > 0 ? dataset->dims[0] : 1;
    struct stretch stretch = {.dataset = dataset, .count = all};
    TRY(check_storage(dataset, error));
    stretch.bytes = dataset->bytes / (size_t)all;
    TRY(find_stretch(&stretch, error));
    if (stretch.count != all) return unsupported(error, "its chunks do not lie together");
    TRY(map_stretch(&stretch, access, map, error));
    map->row_count = 1;
    return TRAJLOG_OK;
}

static trajlog_status map_rows_of(const struct dataset *dataset, int64_t first, int64_t count,
                                  trajlog_map_access access, trajlog_map *map, struct error *error)
{
    struct stretch stretch = {.dataset = dataset, .first = first, .count = count, .bytes = dataset->bytes};
    if (!dataset->has_rows) return map_once(dataset, access, map, error);
    TRY(check_storage(dataset, error));
    TRY(find_stretch(&stretch, error));
    TRY(map_stretch(&stretch, access, map, error));
    map->first_row = first;
    map->row_count = stretch.count;
    return TRAJLOG_OK;
}

static trajlog_status check_type(const struct dataset *dataset, trajlog_type type, struct error *error)
{
    char stored[32], wanted[32];
    if (dataset->type == type) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_TYPE_MISMATCH, 0, "it is stored as %s, and cannot be mapped as %s",
                     trajlog_type_name(dataset->type, stored, sizeof stored),
                     trajlog_type_name(type, wanted, sizeof wanted));
}

struct wanted_map {
    const char *field;
    int64_t first_row, most_rows;
    trajlog_type type;
    trajlog_map_access access;
};

static trajlog_status check_wanted(const struct wanted_map *wanted, const trajlog_map *map, struct error *error)
{
    if (!map) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "there is no place for the map: it is NULL");
    if (wanted->most_rows < 1)
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "expected at least 1 row, not %lld",
                         (long long)wanted->most_rows);
    if (wanted->access == TRAJLOG_MAP_READ || wanted->access == TRAJLOG_MAP_COPY) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "there is no access with number %d", (int)wanted->access);
}

static trajlog_status map_field(const trajlog_reader *reader, const char *name, const struct wanted_map *wanted,
                                trajlog_map *map, struct error *error)
{
    const struct scan_group *group;
    const struct dataset *dataset;
    struct selection selection;
    trajlog_type type;
    const trajlog_rows row = trajlog_row(wanted->first_row);
    TRY(check_wanted(wanted, map, error));
    TRY(reader_group(reader, name, &group, error));
    TRY(reader_field(group, wanted->field, wanted->type, &dataset, &type, error));
    TRY(reader_select(group, &row, &selection, error));
    const int64_t left = group->rows - selection.start;
    trajlog_status status = check_type(dataset, type, error);
    if (status == TRAJLOG_OK)
        status = map_rows_of(dataset, selection.start, wanted->most_rows < left ? wanted->most_rows : left,
                             wanted->access, map, error);
    if (status != TRAJLOG_OK) reader_name_field(error, group, wanted->field);
    return status;
}

trajlog_status trajlog_map_rows(trajlog_reader *reader, const char *group, const char *field, int64_t first_row,
                                int64_t most_rows, trajlog_type type, trajlog_map_access access, trajlog_map *map)
{
    struct error error = {0};
    const struct wanted_map wanted = {field, first_row, most_rows, type, access};
    if (map) memset(map, 0, sizeof *map);
    return reader_end(reader, map_field(reader, group, &wanted, map, &error), &error);
}

void trajlog_unmap(trajlog_map *map)
{
    if (!map || !map->region) return;
    munmap(map->region, map->region_bytes);
    memset(map, 0, sizeof *map);
}
