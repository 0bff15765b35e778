/* Chunks that helpers encode, while the store goes on; they come out in the order in which they were put in. Holds two chunks
 * for each helper, or up to eight if they are small. */
#ifndef STORE_PIPELINE_H
#define STORE_PIPELINE_H

#include "store/codec.h"
#include "store/helpers.h"

struct column;
struct pipeline;

/* Which chunk of which column it is. */
struct chunk_place {
    struct column *column;
    int64_t first_row, side;
};

trajlog_status pipeline_new(struct pipeline **pipeline, const struct helpers *helpers, struct error *error);
/* Waits for what is under way, which is lost. NULL is OK. */
void pipeline_free(struct pipeline *pipeline);
/* The same where the helpers are gone, in a forked child. */
void pipeline_forget(struct pipeline *pipeline);

bool pipeline_is_full(const struct pipeline *pipeline);
bool pipeline_is_empty(const struct pipeline *pipeline);

/* Takes a copy of the chunk, and of `encoding`; the pipeline must not be full. */
trajlog_status pipeline_put(struct pipeline *pipeline, struct chunk_place place, const struct encoding *encoding,
                            const void *chunk, size_t bytes, struct error *error);

/* The same without a copy: takes the memory of the chunk, from malloc, and gives other memory of `bytes` bytes for it, whose
 * contents are not defined. After a failure, *chunk is as it was. */
trajlog_status pipeline_exchange(struct pipeline *pipeline, struct chunk_place place, const struct encoding *encoding,
                                 unsigned char **chunk, size_t bytes, struct error *error);

/* Takes the oldest chunk out, encoded; the pipeline must not be empty. The bytes stay until the next pipeline_put.
 * Status: that of the encoder. */
trajlog_status pipeline_take(struct pipeline *pipeline, struct chunk_place *place, struct encoded *encoded,
                             struct error *error);

#endif
