/* The schema as JSON text, and back. See doc/format.md, "The schema". */
#ifndef MODEL_SCHEMA_JSON_H
#define MODEL_SCHEMA_JSON_H

#include "model/schema.h"

#define METADATA_MAX_TEXT  (1 << 20)  /* bytes of JSON, of one object */
#define METADATA_MAX_DEPTH 64         /* of nested objects and lists */
#define SCHEMA_MAX_TEXT    (16 << 20) /* bytes of a schema or list of names: room for a dozen full metadata objects */

/* Sets key -> text, or merges a JSON object, into *object (made when NULL); on failure it is as before.
 * INVALID_ARGUMENT as trajlog_set_metadata. */
trajlog_status metadata_set(struct json_t **object, const char *key, const char *text, struct error *error);
trajlog_status metadata_merge(struct json_t **object, const char *json, struct error *error);
void metadata_free(struct json_t *object);
/* The object as JSON text, "{}" for NULL; free() it. NULL: out of memory. */
char *metadata_text(const struct json_t *object);

/* The version of the JSON library that this process runs with, "2.14". */
const char *json_library_version(void);

/* The enabled groups and fields, with everything the schema knows; free() it. NULL: out of memory. A text longer than
 * SCHEMA_MAX_TEXT must not go into a file: no reader takes it. */
char *schema_to_json(const struct schema *schema);
/* The names as a JSON list: `group_names` (all enabled groups but the checkpoints'), a group's `paths` (its enabled fields). free() it. */
char *schema_group_names_json(const struct schema *schema);
char *group_paths_json(const struct group *group);

/* Parses and checks a schema from a file of any origin, so nothing in it is trusted: at most SCHEMA_MAX_TEXT bytes,
 * bounded depth, no key twice, every value checked. Unknown keys are left out: later versions may have added them.
 * INVALID_FILE says where and what; UNSUPPORTED: a later format version. */
trajlog_status schema_from_json(const char *text, size_t length, struct schema **schema, struct error *error);

/* A JSON list of names, from `group_names` or `paths` of any file. *names is an array of `count` strings; free with
 * names_free. INVALID_FILE. */
trajlog_status names_from_json(const char *text, size_t length, char ***names, size_t *count, struct error *error);
void names_free(char **names, size_t count);

#endif
