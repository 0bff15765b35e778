#include "store/pipeline.h"

#include <stdlib.h>
#include <string.h>

/* Chunks are of unequal speed, and come out in their order: with few under way, all helpers wait for one now and then, and
 * what wakes them takes as long as a part of a chunk. So small chunks are many; large ones take much memory. */
#define MOST_PER_HELPER  8
#define LEAST_PER_HELPER 2
#define MANY_BYTES       ((size_t)8 << 20)

/* The task comes first, so that it is the job too. */
struct job {
    struct task task;
    struct job *next_idle;
    struct chunk_place place;
    struct encoder *encoder;
    struct encoding encoding; /* as it was: a column's changes when it grows */
    unsigned char *chunk;
    size_t bytes, capacity;
    struct encoded encoded;
    struct error error;
};

/* `count` jobs are under way, whose chunks have `bytes`; in a ring, from the one at `oldest` on. Of the others, the one that
 * was under way last is the next, so that no more of them get memory than are ever under way together. */
struct pipeline {
    struct helpers helpers;
    int oldest, count, most;
    size_t bytes;
    struct job *idle;
    struct job *jobs;
    int under_way[]; /* places in `jobs` */
};

static void encode(struct task *task)
{
    struct job *job = (struct job *)task;
    (void)encoder_encode(job->encoder, &job->encoding, job->chunk, job->bytes, &job->encoded, &job->error);
}

static bool make_jobs(struct pipeline *pipeline)
{
    pipeline->jobs = calloc((size_t)pipeline->most, sizeof *pipeline->jobs);
    for (int i = 0; pipeline->jobs && i < pipeline->most; i++) {
        struct job *job = &pipeline->jobs[i];
        job->task.run = encode;
        job->encoder = encoder_new();
        if (!job->encoder) return false;
        job->next_idle = pipeline->idle;
        pipeline->idle = job;
    }
    return pipeline->jobs != NULL;
}

trajlog_status pipeline_new(struct pipeline **pipeline, const struct helpers *helpers, struct error *error)
{
    int most = MOST_PER_HELPER * helpers->count;
    struct pipeline *made = calloc(1, sizeof *made + (size_t)most * sizeof made->under_way[0]);
    *pipeline = NULL;
    if (!made) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for encoders");
    made->helpers = *helpers;
    made->most = most;
    if (!make_jobs(made)) {
        pipeline_forget(made);
        return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for encoders");
    }
    *pipeline = made;
    return TRAJLOG_OK;
}

static struct job *oldest(struct pipeline *pipeline)
{
    return &pipeline->jobs[pipeline->under_way[pipeline->oldest]];
}

static void remove_oldest(struct pipeline *pipeline)
{
    struct job *job = oldest(pipeline);
    pipeline->bytes -= job->bytes;
    job->next_idle = pipeline->idle;
    pipeline->idle = job;
    pipeline->oldest = (pipeline->oldest + 1) % pipeline->most;
    pipeline->count--;
}

void pipeline_forget(struct pipeline *pipeline)
{
    if (!pipeline) return;
    for (int i = 0; pipeline->jobs && i < pipeline->most; i++) {
        encoder_free(pipeline->jobs[i].encoder);
        free(pipeline->jobs[i].chunk);
    }
    free(pipeline->jobs);
    free(pipeline);
}

void pipeline_free(struct pipeline *pipeline)
{
    for (; pipeline && pipeline->count > 0; remove_oldest(pipeline))
        pipeline->helpers.finish(pipeline->helpers.context, &oldest(pipeline)->task);
    pipeline_forget(pipeline);
}

bool pipeline_is_full(const struct pipeline *pipeline)
{
    return pipeline->count == pipeline->most ||
           (pipeline->count >= LEAST_PER_HELPER * pipeline->helpers.count && pipeline->bytes >= MANY_BYTES);
}

bool pipeline_is_empty(const struct pipeline *pipeline)
{
    return pipeline->count == 0;
}

static struct job *next_job(struct pipeline *pipeline, size_t bytes, struct error *error)
{
    struct job *job = pipeline->idle;
    if (job->capacity < bytes) {
        free(job->chunk);
        job->chunk = malloc(bytes);
        job->capacity = job->chunk ? bytes : 0;
    }
    if (job->chunk) return job;
    (void)error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a chunk of %zu bytes", bytes);
    return NULL;
}

static void begin(struct pipeline *pipeline, struct job *job, struct chunk_place place, const struct encoding *encoding,
                  size_t bytes)
{
    job->place = place;
    job->encoding = *encoding;
    job->bytes = bytes;
    error_clear(&job->error);
    pipeline->idle = job->next_idle;
    pipeline->under_way[(pipeline->oldest + pipeline->count) % pipeline->most] = (int)(job - pipeline->jobs);
    pipeline->count++;
    pipeline->bytes += bytes;
    pipeline->helpers.begin(pipeline->helpers.context, &job->task);
}

trajlog_status pipeline_put(struct pipeline *pipeline, struct chunk_place place, const struct encoding *encoding,
                            const void *chunk, size_t bytes, struct error *error)
{
    struct job *job = next_job(pipeline, bytes, error);
    if (!job) return TRAJLOG_OUT_OF_MEMORY;
    memcpy(job->chunk, chunk, bytes);
    begin(pipeline, job, place, encoding, bytes);
    return TRAJLOG_OK;
}

trajlog_status pipeline_exchange(struct pipeline *pipeline, struct chunk_place place, const struct encoding *encoding,
                                 unsigned char **chunk, size_t bytes, struct error *error)
{
    struct job *job = next_job(pipeline, bytes, error);
    if (!job) return TRAJLOG_OUT_OF_MEMORY;
    unsigned char *other = job->chunk;
    job->chunk = *chunk;
    job->capacity = bytes;
    *chunk = other;
    begin(pipeline, job, place, encoding, bytes);
    return TRAJLOG_OK;
}

trajlog_status pipeline_take(struct pipeline *pipeline, struct chunk_place *place, struct encoded *encoded,
                             struct error *error)
{
    struct job *job = oldest(pipeline);
    pipeline->helpers.finish(pipeline->helpers.context, &job->task);
    remove_oldest(pipeline);
    *place = job->place;
    *encoded = job->encoded;
    if (job->error.status != TRAJLOG_OK && error && error->status == TRAJLOG_OK) *error = job->error;
    return job->error.status;
}
