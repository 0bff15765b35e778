#include "store/deflate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>
#ifdef HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif
#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

struct deflater {
#ifdef HAVE_ISAL
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
    if (!deflater->stream) deflater->stream = malloc(sizeof *deflater->stream);
    if (!deflater->level_memory) deflater->level_memory = malloc(ISAL_DEF_LVL3_DEFAULT);
    if (deflater->stream && deflater->level_memory) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a compressor");
}

static trajlog_status deflate_isal(struct deflater *deflater, int level, const unsigned char *from, size_t bytes,
                                   unsigned char *to, size_t *size, struct error *error)
{
    TRY(prepare_isal(deflater, error));
    struct isal_zstream *stream = deflater->stream;
    isal_deflate_init(stream);
    stream->level = (uint32_t)level;
    stream->level_buf = deflater->level_memory;
    stream->level_buf_size = ISAL_DEF_LVL3_DEFAULT;
    stream->gzip_flag = IGZIP_ZLIB;
    stream->end_of_stream = 1;
    stream->next_in = (unsigned char *)from; /* not written to */
    stream->avail_in = (uint32_t)bytes;
    stream->next_out = to;
    stream->avail_out = (uint32_t)bytes;
    if (isal_deflate(stream) != COMP_OK) return error_set(error, TRAJLOG_IO_ERROR, 0, "ISA-L cannot deflate a chunk");
    bool ended = stream->internal_state.state == ZSTATE_END;
    *size = ended ? stream->total_out : 0;
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
    uLongf length = bytes;
    int result = compress2(to, &length, from, bytes, level);
    *size = result == Z_OK ? length : 0;
    if (result == Z_OK || result == Z_BUF_ERROR) return TRAJLOG_OK;
    return error_set(error, result == Z_MEM_ERROR ? TRAJLOG_OUT_OF_MEMORY : TRAJLOG_IO_ERROR, 0,
                     "zlib cannot deflate a chunk (error %d)", result);
}
#endif

trajlog_status deflater_deflate(struct deflater *deflater, int level, const unsigned char *from, size_t bytes,
                                unsigned char *to, size_t *size, struct error *error)
{
#ifdef HAVE_ISAL
    if (level <= MOST_ISAL_LEVEL) return deflate_isal(deflater, level, from, bytes, to, size, error);
#endif
    return deflate_rest(deflater, level, from, bytes, to, size, error);
}
