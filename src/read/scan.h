/* A scan: a log file, ours or the seed system's, opened and validated. Knows what is in it and reads no rows but the
 * first and last of each group's steps and times. Takes the HDF5 lock itself. */
#ifndef READ_SCAN_H
#define READ_SCAN_H

#include "model/schema.h"
#include "read/dataset.h"
#include "read/rows.h"

/* What the public infos point to, and that nobody else owns. */
struct scan_field {
    struct dataset dataset;
    char *metadata, *description;
};

struct scan_group {
    char *name;
    bool once;
    int64_t rows;
    struct dataset step, time; /* without a name: the group has none (seed system; a `once` group not written) */
    bool checkpoint;           /* the datasets' rows are slots, not a series */
    struct dataset sequence, checksum;
    struct scan_field *fields;
    size_t field_count;
    char *frequency, *metadata;
    trajlog_group_info info;
    trajlog_field_info *field_infos;
};

struct scan {
    int64_t file; /* an hid_t */
    struct dataset_limits limits;
    struct decoders *decoders; /* NULL: those of the limits are somebody else's */
    struct schema *schema;     /* NULL: a file of the seed system, or a log that has not started */
    struct scan_group *groups;
    size_t group_count;
    struct dataset dropped; /* without a name: there is none */
    char *path, *filters, *metadata, *environment, *schema_text;
    trajlog_file_info info;
};

/* Opens and validates; tries again for as long as it fails and the file changes. `filters`: see dataset_limits.
 * `decoders`: outlive the scan; NULL: it has its own. Errors as trajlog_open; messages do not name the file. *scan is NULL
 * on failure. */
trajlog_status scan_open(struct scan **scan, const char *path, const char *filters, struct decoders *decoders,
                         struct error *error);
void scan_close(struct scan *scan); /* NULL is OK */

const struct scan_group *scan_find_group(const struct scan *scan, const char *name);
/* "step" and "time" among them. */
const struct dataset *scan_find_dataset(const struct scan_group *group, const char *name);
struct axis scan_axis(const struct scan_group *group);

/* ---- between the files of this room: scan_log.c and scan_seed.c fill groups in, describe.c the infos. ---- */

trajlog_status scan_log(struct scan *scan, int64_t version, struct error *error);
trajlog_status scan_seed(struct scan *scan, struct error *error);
trajlog_status scan_describe(struct scan *scan, struct error *error);

/* Room for the groups, or a group's fields. */
trajlog_status scan_make_groups(struct scan *scan, size_t count, struct error *error);
trajlog_status scan_make_fields(struct scan_group *group, const char *name, size_t count, struct error *error);
/* Opens the HDF5 group of that name; object_close it. INVALID_FILE. */
trajlog_status scan_open_group(const struct scan *scan, const char *name, int64_t *object, struct error *error);
trajlog_status scan_copy(char **copy, const char *text, struct error *error);

#endif
