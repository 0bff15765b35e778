/* The schema: what a log declares. Groups of fields, with types, shapes, units, frequencies, storage, metadata.
 * Owns all its strings and lists. Knows no views, no HDF5, no threads. */
#ifndef MODEL_SCHEMA_H
#define MODEL_SCHEMA_H

#include "model/element.h"
#include "model/frequency.h"

struct name_index;
struct json_t;       /* jansson's; seen inside only by schema_json.c and config.c */
struct presentation; /* what the log declares about H5MD; model/role.h */

struct storage {
    int64_t chunk_rows; /* 0: chosen by the store */
    trajlog_compression compression;
    int level; /* 0: default */
    bool checksum;
    double max_error;       /* bound of the error that rounding makes, in the field's unit; 0: none is made */
    int significant_digits; /* decimal digits that rounding leaves; 0: all */
    trajlog_access access;
};

struct field {
    char *name; /* a path: "atoms/position" */
    trajlog_type type;
    trajlog_type stored_type;
    trajlog_shape shape;
    char *unit;        /* "" if none */
    char *description; /* "" if none */
    struct storage storage;
    trajlog_role role;
    char *particles;         /* the particles group that the role is in; NULL: no role */
    struct json_t *metadata; /* an object; NULL: empty */
    bool enabled;            /* a configuration can switch it off: then it is not in the file */
    int64_t element_count;   /* of one frame */
    size_t memory_bytes;     /* of one frame, in `type` */
    size_t stored_bytes;     /* of one frame, in `stored_type` */
    int64_t first_row;       /* rows before it are older than the field, and hold its fill value */
};

struct group {
    struct name_index *index; /* of the fields' names */
    char *name;
    trajlog_frequency frequency; /* its list of steps is owned */
    struct field **fields;       /* in the order of declaration; addresses are stable */
    size_t field_count;
    struct json_t *metadata;
    bool enabled;
    bool varying;    /* the number of particles varies: the first dimension of their fields is a capacity, that grows */
    int64_t most;    /* particles that there can ever be, if it varies; in no file. 0: as many as fit in a frame */
    bool checkpoint; /* its two rows are states to go on from, not a series */
};

struct schema {
    struct name_index *index; /* of the groups' names */
    bool described;           /* read from a file: a predicate's function is not known */
    struct group **groups;    /* in the order of declaration; addresses are stable */
    size_t group_count;
    struct json_t *metadata;
    int32_t version;                        /* 1, and one more with each resume that added groups or fields */
    struct presentation *presentation;      /* NULL: nothing declared */
    struct json_t *environment;             /* software and versions, an object of texts */
    char *user, *program, *program_version; /* "" if not given */
    char *created;                          /* ISO 8601, UTC; "" if not known */
};

#define FIRST_ROW_OPEN INT64_MAX /* the first row of a field that was just added: the next one */

#define SCHEMA_MAX_GROUPS      65536
#define SCHEMA_MAX_FIELDS      65536 /* of one group: then the bytes of a group's frame fit in 63 bits */
#define STORAGE_MAX_CHUNK_ROWS INT32_MAX
#define STORAGE_MAX_DIGITS     15

struct schema *schema_new(void); /* NULL: out of memory */
void schema_free(struct schema *schema);

/* Errors as trajlog_add_group and trajlog_add_field; messages name group and field. */
trajlog_status schema_add_group(struct schema *schema, const char *name, trajlog_frequency frequency,
                                struct group **group, struct error *error);
/* The group of this name, which no other group may have. Its frequency is a predicate of nobody's: whoever goes through
 * the groups for what is due leaves it out. Its fields are stored as they are, in full precision. */
#define CHECKPOINT_GROUP "checkpoint"
trajlog_status schema_add_checkpoint(struct schema *schema, struct group **group, struct error *error);
trajlog_status schema_add_field(struct group *group, const char *name, trajlog_type type, trajlog_shape shape,
                                const char *unit, struct field **field, struct error *error);
trajlog_status group_set_frequency(struct group *group, trajlog_frequency frequency, struct error *error);
trajlog_status field_set_stored_type(const struct group *group, struct field *field, trajlog_type type,
                                     struct error *error);
trajlog_status field_set_description(struct field *field, const char *description, struct error *error);
trajlog_status field_set_storage(const struct group *group, struct field *field, const struct storage *storage,
                                 struct error *error);

/* The level of deflate that a field is stored with; 0: none. Who rounds without naming a compression wants deflate. */
#define DEFAULT_DEFLATE_LEVEL 1
int storage_level(const struct storage *storage);

trajlog_status schema_set_text(char **where, const char *text, struct error *error); /* copies; NULL becomes "" */

struct group *schema_find_group(const struct schema *schema, const char *name);
struct field *group_find_field(const struct group *group, const char *name);

bool group_is_once(const struct group *group);

/* In a group of varying number: the field that says how many particles there are. */
#define COUNT_FIELD "count"

#endif
