#include "read/cells.h"

#include <stdlib.h>
#include <string.h>

#include "read/filter.h"

/* Cells side by side that are kept decoded: no more than this of a dataset. */
#define MOST_KEPT   ((int64_t)64 << 20)
#define MOST_ACROSS 65536

/* A system call costs about as much as copying so many bytes: runs that are nearer to each other are read with what is
 * between them. */
#define BYTES_WORTH_A_CALL 4096

/* Runs are read together in pieces of about this size. */
#define SPAN_BYTES ((size_t)64 << 10)

/* ---------------------------------------------------------------------------------------------------------------------
 * Making
 * ------------------------------------------------------------------------------------------------------------------ */

static bool learn_dims(struct cells *cells)
{
    hsize_t dims[H5S_MAX_RANK];
    hid_t space = H5Dget_space(cells->dataset);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_dims(space, dims, NULL);
    if (space >= 0) H5Sclose(space);
    if (rank < 0 || rank > REGION_MAX_RANK) return false;
    cells->rank = rank;
    for (int i = 0; i < rank; i++) cells->dims[i] = cells->cell[i] = (int64_t)dims[i];
    return true;
}

static bool learn_bytes(struct cells *cells)
{
    int64_t bytes = (int64_t)cells->element_size;
    for (int32_t i = 0; i < cells->rank; i++)
        if (__builtin_mul_overflow(bytes, cells->cell[i], &bytes)) return false;
    cells->bytes = (size_t)bytes;
    return true;
}

static bool learn_chunks(struct cells *cells, hid_t properties)
{
    hsize_t chunk[H5S_MAX_RANK];
    unsigned options = 0;
    if (H5Pget_chunk(properties, H5S_MAX_RANK, chunk) != cells->rank) return false;
    /* Edge chunks that went through no filter: nobody makes them. */
    if (H5Pget_chunk_opts(properties, &options) < 0 || options != 0) return false;
    cells->chunked = true;
    cells->across = 1;
    for (int32_t i = 0; i < cells->rank; i++) {
        cells->cell[i] = (int64_t)chunk[i];
        int64_t number = cells->dims[i] / cells->cell[i] + (cells->dims[i] % cells->cell[i] != 0);
        if (i > 0 && __builtin_mul_overflow(cells->across, number, &cells->across)) return false;
    }
    cells->filtered = H5Pget_nfilters(properties) != 0;
    return filters_are_simple(properties, cells->element_size, &cells->decoding) && learn_bytes(cells);
}

static bool learn_contiguous(struct cells *cells)
{
    haddr_t address = H5Dget_offset(cells->dataset);
    if (address == HADDR_UNDEF || !learn_bytes(cells)) return false;
    cells->address = address;
    return H5Dget_storage_size(cells->dataset) == cells->bytes;
}

static bool learn(struct cells *cells, hid_t properties)
{
    if (!cells->source || !cells->decoders || !learn_dims(cells)) return false;
    H5D_layout_t layout = H5Pget_layout(properties);
    if (layout == H5D_CHUNKED) return learn_chunks(cells, properties);
    return layout == H5D_CONTIGUOUS && learn_contiguous(cells);
}

static trajlog_status make_kept(struct cells *cells, struct error *error)
{
    int64_t bytes;
    bool too_many = __builtin_mul_overflow((int64_t)cells->bytes, cells->across, &bytes) || bytes > MOST_KEPT ||
                    cells->across > MOST_ACROSS;
    if (!cells->filtered || too_many || cells->across == 0) return TRAJLOG_OK;
    cells->kept = calloc((size_t)cells->across, sizeof *cells->kept);
    if (!cells->kept) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory to open it");
    for (int64_t i = 0; i < cells->across; i++) cells->kept[i].row = -1;
    return TRAJLOG_OK;
}

trajlog_status cells_make(struct cells **cells, hid_t dataset, hid_t properties, size_t element_size,
                          struct source *source, struct decoders *decoders, struct error *error)
{
    struct cells *made = calloc(1, sizeof *made);
    *cells = NULL;
    if (!made) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory to open it");
    made->dataset = dataset;
    made->source = source;
    made->decoders = decoders;
    made->element_size = element_size;
    if (!learn(made, properties)) {
        cells_free(made);
        return TRAJLOG_OK;
    }
    trajlog_status status = make_kept(made, error);
    if (status == TRAJLOG_OK) *cells = made;
    else cells_free(made);
    return status;
}

void cells_free(struct cells *cells)
{
    if (!cells) return;
    for (int64_t i = 0; cells->kept && i < cells->across; i++) free(cells->kept[i].bytes);
    free(cells->kept);
    free(cells);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Finding
 * ------------------------------------------------------------------------------------------------------------------ */

static herr_t read_chunk(hid_t dataset, const hsize_t *start, uint32_t *mask)
{
    unsigned char nothing[1];
#if H5_VERSION_GE(2, 0, 0)
    size_t size = SIZE_MAX;
    return H5Dread_chunk2(dataset, H5P_DEFAULT, start, mask, nothing, &size);
#else
    return H5Dread_chunk(dataset, H5P_DEFAULT, start, mask, nothing);
#endif
}

/* libhdf5's own calls for a chunk's address walk through the whole index. H5Dread_chunk goes straight to it, and then asks
 * our file driver for the bytes: that notes where they are, and gives none. */
static void find_chunk(const struct cells *cells, const int64_t *start, struct place *place)
{
    hsize_t offset[REGION_MAX_RANK];
    for (int32_t i = 0; i < cells->rank; i++) offset[i] = (hsize_t)start[i];
    source_note_begin(cells->source);
    herr_t result = read_chunk(cells->dataset, offset, &place->mask);
    bool noted = source_note_end(cells->source, &place->address, &place->size);
    place->stored = result >= 0 && noted;
}

static int found_number(const struct cells *cells, const int64_t *start)
{
    return (int)(start[0] / cells->cell[0] % CELLS_FOUND);
}

bool cells_recall(const struct cells *cells, const int64_t *start, struct place *place)
{
    if (!cells->chunked) {
        *place = (struct place){.stored = true, .address = cells->address, .size = cells->bytes};
        return true;
    }
    const struct found_cell *found = &cells->found[found_number(cells, start)];
    if (!found->place.stored || memcmp(found->start, start, (size_t)cells->rank * sizeof *start) != 0) return false;
    *place = found->place;
    return true;
}

/* What is not stored now may be so later. */
void cells_find(struct cells *cells, const int64_t *start, struct place *place)
{
    if (cells_recall(cells, start, place)) return;
    memset(place, 0, sizeof *place);
    find_chunk(cells, start, place);
    if (!place->stored) return;
    struct found_cell *found = &cells->found[found_number(cells, start)];
    memcpy(found->start, start, (size_t)cells->rank * sizeof *start);
    found->place = *place;
}

/* Where one is not stored the others are likely not to be, and nothing can be kept of that. */
void cells_find_next(struct cells *cells, const int64_t *start)
{
    struct place place;
    int64_t next[REGION_MAX_RANK];
    memcpy(next, start, (size_t)cells->rank * sizeof *start);
    for (int i = 1; cells->chunked && i < CELLS_FOUND; i++) {
        if (next[0] >= cells->dims[0] - cells->cell[0]) return;
        next[0] += cells->cell[0];
        cells_find(cells, next, &place);
        if (!place.stored) return;
    }
}

void cells_forget(struct cells *cells)
{
    memset(cells->found, 0, sizeof cells->found);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Reading cells as they are
 * ------------------------------------------------------------------------------------------------------------------ */

struct plain_read {
    const struct cells *cells;
    uint64_t address;
    unsigned char *to;
    struct error *error;
};

static int read_run(void *context, size_t from, size_t to, size_t bytes)
{
    const struct plain_read *read = context;
    return (int)source_read(read->cells->source, read->address + from, bytes, read->to + to, read->error);
}

/* What lies between the runs is read too. */
static trajlog_status read_span(const struct plain_read *read, const struct runs *runs, unsigned char *span)
{
    const size_t bytes = runs->from_end - runs->from;
    TRY(source_read(read->cells->source, read->address + runs->from, bytes, span, read->error));
    runs_copy(runs, span, runs->from, read->to);
    return TRAJLOG_OK;
}

/* So many of the last level's neighbours at a time that a piece is not too large. */
static trajlog_status read_spans(const struct plain_read *read, const struct runs *runs)
{
    int32_t last = runs->levels - 1;
    size_t step = runs->from_step[last], rest = runs->from_end - runs->from - (size_t)(runs->number[last] - 1) * step;
    int64_t most = 1 + (int64_t)(rest < SPAN_BYTES ? (SPAN_BYTES - rest) / step : 0);
    trajlog_status status = TRAJLOG_OK;
    unsigned char *span = malloc(rest + (size_t)(most - 1) * step);
    if (!span) return error_set(read->error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory to read a part of its chunks");
    for (int64_t done = 0; done < runs->number[last] && status == TRAJLOG_OK; done += most) {
        struct runs some = *runs;
        int64_t left = runs->number[last] - done;
        some.number[last] = left < most ? left : most;
        some.from += (size_t)done * step;
        some.to += (size_t)done * runs->to_step[last];
        some.from_end = some.from + rest + (size_t)(some.number[last] - 1) * step;
        status = read_span(read, &some, span);
    }
    free(span);
    return status;
}

static trajlog_status read_plain(const struct cells *cells, const struct cell_part *part, struct error *error)
{
    struct runs runs = runs_make(cells->rank, cells->element_size, &part->part, &part->cell, part->whole);
    struct plain_read read = {cells, part->place.address, part->to, error};
    if (part->place.size != cells->bytes)
        return error_set(error, TRAJLOG_INVALID_FILE, 0, "a chunk of %llu bytes is stored: expected %zu",
                         (unsigned long long)part->place.size, cells->bytes);
    size_t between = runs.levels > 0 ? runs.from_step[0] - runs.bytes : 0;
    if (runs.count == 1 || between > BYTES_WORTH_A_CALL) return (trajlog_status)runs_each(&runs, read_run, &read);
    return read_spans(&read, &runs);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Decoding
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status decode_to(const struct cells *cells, const struct place *place, struct decoder *decoder,
                                unsigned char *to, struct error *error)
{
    TRY(source_check(cells->source, place->address, place->size, error));
    void *stored = decoder_input(decoder, (size_t)place->size);
    if (!stored) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a chunk as it is stored");
    TRY(source_read(cells->source, place->address, (size_t)place->size, stored, error));
    return decoder_decode(decoder, &cells->decoding, place->mask, stored, (size_t)place->size, to, cells->bytes, error);
}

static trajlog_status decode_part(const struct cells *cells, const struct cell_part *part, struct decoder *decoder,
                                  struct error *error)
{
    struct runs runs = runs_make(cells->rank, cells->element_size, &part->part, &part->cell, part->whole);
    if (!part->decoded && runs.count == 1 && runs.bytes == cells->bytes)
        return decode_to(cells, &part->place, decoder, part->to + runs.to, error);
    unsigned char *decoded = part->decoded ? part->decoded : decoder_output(decoder, cells->bytes);
    if (!decoded) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a chunk");
    TRY(decode_to(cells, &part->place, decoder, decoded, error));
    runs_copy(&runs, decoded, 0, part->to);
    return TRAJLOG_OK;
}

static trajlog_status copy_part(const struct cells *cells, const struct cell_part *part)
{
    struct runs runs = runs_make(cells->rank, cells->element_size, &part->part, &part->cell, part->whole);
    runs_copy(&runs, part->decoded, 0, part->to);
    return TRAJLOG_OK;
}

trajlog_status cells_read(const struct cells *cells, const struct cell_part *part, struct error *error)
{
    struct decoder *decoder;
    if (!cells->filtered) return read_plain(cells, part, error);
    if (part->is_decoded) return copy_part(cells, part);
    TRY(decoders_borrow(cells->decoders, &decoder, error));
    trajlog_status status = decode_part(cells, part, decoder, error);
    decoders_give_back(cells->decoders, decoder);
    return status;
}
