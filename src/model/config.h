/* The JSON configuration: what a user sets without recompiling. See doc/config.md. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "model/schema.h"

/* What a writer runs with: trajlog_options with the defaults filled in, then the configuration. */
struct settings {
    bool synchronous;
    trajlog_policy policy;
    double block_seconds;
    size_t queue_bytes; /* 0: chosen from the frames */
    size_t queue_frames;
    double flush_seconds;
    int64_t flush_rows, flush_bytes; /* 0: no bound */
    double sync_seconds;             /* negative: never by time */
    bool without_lock, accept_additions;
    int encoder_threads;
    int worker_cpu; /* negative: any */
};

#define MOST_ENCODER_THREADS 64
#define MOST_CPUS            65536

/* A parsed configuration; NULL stands for none. */
struct config;

/* Reads the text, or the file, and checks everything that needs no schema. `name` is what messages call it. Messages
 * read `run.json:4:12: groups.trajectory.every: expected an integer >= 1, got "ten"`. INVALID_CONFIG; for the file
 * also NOT_FOUND, IO_ERROR. */
trajlog_status config_parse(const char *text, const char *name, struct config **config, struct error *error);
trajlog_status config_read(const char *path, struct config **config, struct error *error);
void config_free(struct config *config);

/* Applies the settings of queue, commits and file; then, once the program has declared all, groups and fields. A group or field that
 * the program did not declare is INVALID_CONFIG, and the message lists those that it did. */
void config_apply_settings(const struct config *config, struct settings *settings);
trajlog_status config_apply_schema(const struct config *config, struct schema *schema, struct error *error);

#endif
