/* The inside of the store, for the files that it is made of: file.c (its life), define.c (groups and datasets), resume.c
 * (those of an earlier run). Their functions write the first error to store->failure, where it sticks. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "store/checkpoint.h"
#include "store/column.h"
#include "store/driver.h"
#include "store/file.h"
#include "store/ownership.h"

struct store_group {
    const struct group *model;
    struct column step, time;
    struct column *fields; /* one per field of the model; those that are not in the file are zeroed */
    int64_t capacity;      /* of particles, where their number varies; 0: it does not */
    size_t count_field;    /* that says how many there are */
    int64_t rows;
    int64_t next_write; /* up to this row, appending only copies memory */
    bool written;       /* `once` */
};

struct store {
    char *path; /* as the caller names it: for messages */
    struct ownership *ownership;
    struct driver *driver;
    hid_t file;
    const struct schema *schema; /* NULL before store_define */
    struct store_group *groups;
    size_t group_count;
    struct column dropped;
    struct checkpoint checkpoint;
    struct column_context context;
    int64_t last_step;
    bool has_steps, started;
    bool unsaved;     /* something was appended since the last commit */
    bool ever_synced; /* then the end of the file is synced too */
    int64_t commits;
    /* Resumed. */
    bool resumed, accept_additions;
    int64_t restart_step;
    struct schema *filed; /* the file's, with what is added; NULL: a new file, or one without groups */
    bool filed_changed;
    int64_t cut_drop[3]; /* what of a range of dropped frames remains up to the restart step; no frames: none */
    bool has_kept;       /* a row is kept, and this is the moment of the last one */
    int64_t kept_step;
    double kept_time;
    struct error failure; /* the first one; it sticks */
};

/* The file system, for tests; NULL: the system's. */
extern const struct driver_io *store_io;

/* Access properties for a file that goes through the driver; to be closed. Negative on failure. */
hid_t store_access(struct driver *driver, struct error *error);

trajlog_status store_fail(struct store *store, const char *what); /* libhdf5 says why */
trajlog_status store_fail_memory(struct store *store);
trajlog_status store_fail_state(struct store *store, const char *what);

#endif
