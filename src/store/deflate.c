/* How the streams of the fast levels are made, and why.
 *
 * The planes that shuffle makes of numbers have little in common: of positions as float32, one is all zeros or noise,
 * the next one is noise, the last one has a handful of values. A code made for all of them fits none; so each plane has
 * blocks with a code of its own, which makes the stream of rounded positions smaller by a tenth. It costs a few bytes:
 * behind each plane ISA-L puts an empty block, which fills the last byte, and the next plane can follow (RFC 1951,
 * 3.2.4; the end of the stream is such a block, too, and the checksum of RFC 1950).
 *
 * Repeats of earlier bytes are rare in most planes, and looking for them takes half of the time. So the fastest level
 * looks at a sample first: what is noise is stored as it is, where repeats would save nothing none are looked for, and
 * elsewhere often only those within the last bytes, which finds runs. */
#include "store/deflate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#ifdef HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif
#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

#include "store/literals.h"
#include "store/search.h"

struct deflater {
#ifdef HAVE_ISAL
    struct search_table *searches;
    struct isal_zstream *stream;
    unsigned char *level_memory; /* of the size that ISA-L's highest level wants */
#endif
#ifdef HAVE_LIBDEFLATE
    struct libdeflate_compressor *compressor;
    int compressor_level;
#endif
};

struct deflater *deflater_new(void)
{
    return calloc(1, sizeof(struct deflater));
}

void deflater_free(struct deflater *deflater)
{
    if (!deflater) return;
#ifdef HAVE_ISAL
    free(deflater->searches);
    free(deflater->stream);
    free(deflater->level_memory);
#endif
#ifdef HAVE_LIBDEFLATE
    if (deflater->compressor) libdeflate_free_compressor(deflater->compressor);
#endif
    free(deflater);
}

/* ISA-L's levels end at 3, about zlib's 3 in size; who asks for more wants the smaller streams of the others. */
#define MOST_ISAL_LEVEL 3

const char *deflate_backend(int level)
{
#ifdef HAVE_ISAL
    if (level <= MOST_ISAL_LEVEL) return "isa-l";
#endif
    (void)level;
#ifdef HAVE_LIBDEFLATE
    return "libdeflate";
#else
    return "zlib";
#endif
}

#ifdef HAVE_ISAL
static trajlog_status prepare_isal(struct deflater *deflater, struct error *error)
{
    if (!deflater->searches) deflater->searches = search_table_new();
    if (!deflater->stream) deflater->stream = malloc(sizeof *deflater->stream);
    /* ISA-L's level 3 decides by bytes of it that it has not written. */
    if (!deflater->level_memory) deflater->level_memory = calloc(1, ISAL_DEF_LVL3_DEFAULT);
    if (deflater->searches && deflater->stream && deflater->level_memory) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a compressor");
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Streams of parts
 * ------------------------------------------------------------------------------------------------------------------ */

/* A stream as it is written; once it is full, it stays so. */
struct stream {
    unsigned char *to;
    size_t size, room;
    bool full;
};

static void append(struct stream *stream, const void *bytes, size_t size)
{
    if (stream->full || stream->room - stream->size < size) {
        stream->full = true;
        return;
    }
    if (size > 0) memcpy(stream->to + stream->size, bytes, size);
    stream->size += size;
}

/* A block with the bytes as they are (RFC 1951, 3.2.4). */
static void append_stored(struct stream *stream, const unsigned char *from, size_t bytes, bool last)
{
    const unsigned char head[5] = {last, bytes & 0xff, (unsigned char)(bytes >> 8), ~bytes & 0xff,
                                   (unsigned char)(~bytes >> 8)};
    append(stream, head, sizeof head);
    append(stream, from, bytes);
}

static void store_part(struct stream *stream, const unsigned char *from, size_t bytes)
{
    for (size_t block; bytes > 0; from += block, bytes -= block) {
        block = bytes < 65535 ? bytes : 65535;
        append_stored(stream, from, block, false);
    }
}

/* So many have a code of their own: it is made anew where values change, and takes as long as some thousand bytes. */
#define LITERALS_IN_BLOCK ((size_t)1 << 16)

/* A code for its bytes, and no repeats; as it is where that would not be smaller. */
static void code_part(struct stream *stream, const unsigned char *from, size_t bytes)
{
    for (size_t block; bytes > 0; from += block, bytes -= block) {
        block = bytes < LITERALS_IN_BLOCK ? bytes : LITERALS_IN_BLOCK;
        size_t size = literals_write(from, block, stream->to + stream->size, stream->room - stream->size);
        if (size == 0 || size >= block) store_part(stream, from, block);
        else stream->size += size;
    }
}

static trajlog_status deflate_part(struct deflater *deflater, int level, enum search search, const unsigned char *from,
                                   size_t bytes, struct stream *to, struct error *error)
{
    struct isal_zstream *stream = deflater->stream;
    isal_deflate_stateless_init(stream);
    stream->level = search == SEARCH_FAR ? MOST_ISAL_LEVEL : (uint32_t)level;
    stream->level_buf = deflater->level_memory;
    stream->level_buf_size = ISAL_DEF_LVL3_DEFAULT;
    stream->hist_bits = search == SEARCH_NEARBY ? SEARCH_NEARBY_BITS : 0;
    stream->gzip_flag = IGZIP_DEFLATE;
    stream->flush = FULL_FLUSH;
    stream->end_of_stream = 0;
    stream->next_in = (unsigned char *)from; /* not written to */
    stream->avail_in = (uint32_t)bytes;
    stream->next_out = to->to + to->size;
    stream->avail_out = (uint32_t)(to->room - to->size);
    int result = isal_deflate_stateless(stream);
    if (result == STATELESS_OVERFLOW) to->full = true;
    else if (result != COMP_OK) return error_set(error, TRAJLOG_IO_ERROR, 0, "ISA-L cannot deflate a chunk");
    else to->size += stream->total_out;
    return TRAJLOG_OK;
}

static uint32_t checksum_of(const struct planes *planes)
{
#ifdef HAVE_LIBDEFLATE
    return libdeflate_adler32(1, planes->bytes, planes->size * planes->count); /* twice as fast */
#else
    return isal_adler32(1, planes->bytes, planes->size * planes->count);
#endif
}

static void append_end(struct stream *stream, const struct planes *planes)
{
    uint32_t sum = checksum_of(planes);
    const unsigned char checksum[4] = {sum >> 24, sum >> 16 & 0xff, sum >> 8 & 0xff, sum & 0xff};
    append_stored(stream, NULL, 0, true);
    append(stream, checksum, sizeof checksum);
}

/* Smaller planes are deflated together: each code takes some hundred bytes. */
#define LEAST_PART 8192

static trajlog_status deflate_isal(struct deflater *deflater, int level, const struct planes *planes, unsigned char *to,
                                   size_t *size, struct error *error)
{
    static const unsigned char head[2] = {0x78, 0x01}; /* deflate with 32 KiB, fastest (RFC 1950, 2.2) */
    const size_t bytes = planes->size * planes->count;
    const bool together = planes->size < LEAST_PART;
    const size_t part = together ? bytes : planes->size;
    struct stream stream = {.to = to, .room = bytes};
    TRY(prepare_isal(deflater, error));
    append(&stream, head, sizeof head);
    for (size_t at = 0; at < bytes && !stream.full; at += part) {
        const unsigned char *from = planes->bytes + at;
        enum search search = choose_search(deflater->searches, level, from, part, together ? 0 : planes->row);
        if (search == SEARCH_NO_CODE) store_part(&stream, from, part);
        else if (search == SEARCH_NOWHERE) code_part(&stream, from, part);
        else TRY(deflate_part(deflater, level, search, from, part, &stream, error));
    }
    append_end(&stream, planes);
    *size = stream.full ? 0 : stream.size;
    return TRAJLOG_OK;
}
#endif

#ifdef HAVE_LIBDEFLATE
static trajlog_status deflate_rest(struct deflater *deflater, int level, const unsigned char *from, size_t bytes,
                                   unsigned char *to, size_t *size, struct error *error)
{
    if (!deflater->compressor || deflater->compressor_level != level) {
        if (deflater->compressor) libdeflate_free_compressor(deflater->compressor);
        deflater->compressor = libdeflate_alloc_compressor(level);
        deflater->compressor_level = level;
    }
    if (!deflater->compressor) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a compressor");
    *size = libdeflate_zlib_compress(deflater->compressor, from, bytes, to, bytes);
    return TRAJLOG_OK;
}
#else
static trajlog_status deflate_rest(struct deflater *deflater, int level, const unsigned char *from, size_t bytes,
                                   unsigned char *to, size_t *size, struct error *error)
{
    (void)deflater; /* zlib keeps nothing */
    uLongf length = bytes;
    int result = compress2(to, &length, from, bytes, level);
    *size = result == Z_OK ? length : 0;
    if (result == Z_OK || result == Z_BUF_ERROR) return TRAJLOG_OK;
    return error_set(error, result == Z_MEM_ERROR ? TRAJLOG_OUT_OF_MEMORY : TRAJLOG_IO_ERROR, 0,
                     "zlib cannot deflate a chunk (error %d)", result);
}
#endif

/* The other libraries make blocks by themselves. */
trajlog_status deflater_deflate(struct deflater *deflater, int level, const struct planes *planes, unsigned char *to,
                                size_t *size, struct error *error)
{
#ifdef HAVE_ISAL
    if (level <= MOST_ISAL_LEVEL) return deflate_isal(deflater, level, planes, to, size, error);
#endif
    return deflate_rest(deflater, level, planes->bytes, planes->size * planes->count, to, size, error);
}
