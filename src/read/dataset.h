/* A dataset of a log, checked before anything of it is believed. Knows element types and shapes; knows no groups,
 * schemas or selections. Under the HDF5 lock, all of it. */
#ifndef READ_DATASET_H
#define READ_DATASET_H

#include "model/element.h"

#define DATASET_MAX_RANK (TRAJLOG_MAX_RANK + 1)

struct cells;
struct decoders;
struct source;

struct dataset {
    char *name;
    struct cells *cells;  /* NULL: it cannot be read past libhdf5 */
    int64_t handle;       /* an hid_t; negative: there is none, and each row is `constant` */
    char constant[8];     /* of type INT64 or FLOAT64 */
    trajlog_type type;    /* as stored; 0: `obstacle` says why it cannot be read */
    const char *obstacle; /* static; NULL: none */
    bool native;          /* an element's bytes in memory are those in the file */
    int32_t rank;         /* of the dataset, with the rows */
    int64_t dims[DATASET_MAX_RANK];
    bool may_grow;                   /* the first dimension is unlimited */
    bool has_rows;                   /* the first dimension counts rows; otherwise the dataset is one row */
    bool sparse;                     /* chunks of room for particles in which there was none are not in the file */
    trajlog_shape shape;             /* of one row */
    int64_t extent;                  /* rows of the dataset */
    int64_t elements;                /* of one row */
    size_t bytes;                    /* of one row, as stored */
    int64_t chunk[DATASET_MAX_RANK]; /* dimensions of a chunk; all 0: not chunked */
    int64_t chunk_bytes;             /* before compression */
    int64_t stored_bytes;            /* in the file */
    int64_t believable_bytes;        /* more than this cannot come out of a file of this size, whatever it claims */
    int64_t *looked;                 /* when its index was read, in ms; NULL: no chunk of it ever moves */
    char *forbidden;                 /* the first filter that is not to be used, in words; NULL: none */
    char *filters;                   /* in words, "shuffle, deflate 1"; "" if none */
    char *storage;                   /* in words, "87 rows per chunk, deflate 1" */
};

/* Follows hard links from `parent` along the path; *found is false if there is no
 * such link. INVALID_FILE for a link of another kind, which could lead into another file. */
trajlog_status object_open(int64_t parent, const char *path, int64_t *object, bool *found, struct error *error);
void object_close(int64_t object);

/* By a dataset's creation properties, whether its bytes lie in its own file; else INVALID_FILE. To be asked before anything
 * else, since a virtual dataset opens other files as soon as its shape is asked for. */
trajlog_status dataset_check_layout(int64_t properties, struct error *error);

/* What is believed and allowed of the file that a dataset is in, and what it is read with. */
struct dataset_limits {
    int64_t file_bytes;
    const char *filters;   /* that may be used besides HDF5's own; see filter.h */
    struct source *source; /* the file's, and what to decode with; both outlive the dataset */
    struct decoders *decoders;
};

/* Opens the dataset and learns its type, dimensions and filters; `has_rows` and what depends on it wait for
 * dataset_set_rows. INVALID_FILE: missing, no dataset, or its bytes lie in other files. Close it also after a failure. */
trajlog_status dataset_open(struct dataset *dataset, int64_t parent, const char *name,
                            const struct dataset_limits *limits, struct error *error);

/* Decides whether the first dimension counts rows. INVALID_FILE if sizes are beyond reason. */
trajlog_status dataset_set_rows(struct dataset *dataset, bool has_rows, struct error *error);

/* How many of its chunks are not in the file, so that they read as fill values. */
trajlog_status dataset_missing_chunks(const struct dataset *dataset, int64_t *missing, struct error *error);
/* How many are. */
trajlog_status dataset_stored_chunks(const struct dataset *dataset, int64_t *stored, struct error *error);

/* The same dataset for who reads only the first `particles` of each row; not to be closed. */
struct dataset dataset_narrow(const struct dataset *dataset, int64_t particles);

/* From this row on, rows may be moved while the file is written: the last chunk of a compressed dataset lies somewhere
 * else when it is full, and its old place gets other rows some seconds later (see column.h). */
int64_t dataset_first_moving(const struct dataset *dataset);
/* Reads the index anew, if that was done longer ago than is safe for those rows. INVALID_STATE: they were dropped. */
trajlog_status dataset_look_again(const struct dataset *dataset, struct error *error);

/* One without a handle. */
trajlog_status dataset_make_constant(struct dataset *dataset, const char *name, trajlog_type type, const void *value,
                                     struct error *error);

void dataset_close(struct dataset *dataset);

/* The first of the filters that this libhdf5 does not have, in words ("filter 32015 (zstd)"), or NULL. Looks
 * for plugins, where the user has said that there are some. */
const char *dataset_missing_filter(const struct dataset *dataset, char *text, size_t size);

#endif
