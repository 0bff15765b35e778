/* Roles: what a field is, and what the log as a whole declares about H5MD. Pure. What one field must be by itself is
 * checked here; what fields must be together, and where they are seen, is h5md_plan.h's.
 *
 * H5MD 1.1 is at https://nongnu.org/h5md/h5md.html. */
#ifndef MODEL_ROLE_H
#define MODEL_ROLE_H

#include "model/schema.h"

#define MAX_DIMENSION      3
#define MAX_SPECIES_SYMBOL 15

/* A particles group, as declared. */
struct particles {
    char *name;
    int32_t dimension; /* 0: that of its vectors */
    bool periodic[MAX_DIMENSION];
};

struct species {
    int32_t number; /* VMD reads no larger ones */
    char symbol[MAX_SPECIES_SYMBOL + 1];
    int32_t atomic_number; /* 0: none */
};

/* What the log as a whole declares about H5MD. */
struct presentation {
    trajlog_profile profile;
    char *author, *author_email;  /* NULL: not given */
    char *time_unit;              /* NULL: "ps" where a position has a unit */
    struct particles **particles; /* in the order in which they were first named */
    size_t particles_count;
    struct species *species;
    size_t species_count;
};

void presentation_free(struct presentation *presentation); /* what it holds, not itself */
/* The schema's, made when there is none. */
trajlog_status schema_presentation(struct schema *schema, struct presentation **presentation, struct error *error);

/* "position" -> TRAJLOG_ROLE_POSITION, and back ("" for NONE). Profiles likewise: "default", "znh5md", ... */
bool role_from_name(const char *name, trajlog_role *role);
const char *role_name(trajlog_role role);
bool profile_from_name(const char *name, trajlog_profile *profile);
const char *profile_name(trajlog_profile profile);

/* A role of [N, ...]. */
bool role_is_of_particles(trajlog_role role);

/* Gives a field its role, in a particles group that is declared by being named; NULL: "all". TRAJLOG_ROLE_NONE takes it
 * away. Errors as trajlog_set_role, with group and field; of a described schema only names are checked, as a later
 * version of the library may allow more. */
trajlog_status field_set_role(struct schema *schema, const struct group *group, struct field *field, trajlog_role role,
                              const char *particles, struct error *error);
/* As found in a file: the dimension may be 0, not declared. */
trajlog_status schema_add_particles(struct schema *schema, const char *name, int32_t dimension, const int32_t *periodic,
                                    struct error *error);
trajlog_status schema_set_boundary(struct schema *schema, const char *particles, int32_t dimension,
                                   const int32_t *periodic, struct error *error);
trajlog_status schema_add_species(struct schema *schema, int32_t number, const char *symbol, int32_t atomic_number,
                                  struct error *error);

/* Writes `count` elements of what stands in the places without a particle, in the field's stored type: NaN, -1 in the
 * role id, else 0. */
void role_pad(const struct field *field, void *to, int64_t count);

/* A group's field whose first dimension is the capacity of a number of particles that varies. */
bool field_varies(const struct group *group, const struct field *field);

/* A capacity that has room for `needed` particles: as often as it takes doubled, but at most `most` (0: no bound). So it
 * depends on the largest number that there was, and not on those before. */
int64_t capacity_for(int64_t capacity, int64_t needed, int64_t most);

/* Whether an enabled field has a role: else there is no H5MD tree. */
bool schema_has_roles(const struct schema *schema);

/* What a role asks of a field's shape, stored type and unit. INVALID_ARGUMENT names group and field. */
trajlog_status role_check(const struct group *group, const struct field *field, struct error *error);

#endif
