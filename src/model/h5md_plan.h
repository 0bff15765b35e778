/* The plan of the H5MD tree: which dataset is to be seen where. Decided from the schema alone, once it is complete;
 * store/h5md.c makes the links. Refuses what the profile's readers could not read; doc/interop.md says what each of
 * them asks for. Pure. */
#ifndef MODEL_H5MD_PLAN_H
#define MODEL_H5MD_PLAN_H

#include "model/role.h"

/* A field that is to be seen under a path of the H5MD tree. */
struct h5md_entry {
    char *path;          /* "/particles/all/position" */
    size_t group, field; /* in the schema */
    bool over_time;      /* a group with step, time and value; else the dataset itself */
    trajlog_role role;
    const char *particles; /* the name of the particles group */
};

struct planned_particles {
    const char *name;
    int32_t dimension;
    bool periodic[MAX_DIMENSION];
};

struct h5md_plan {
    struct h5md_entry *entries; /* sorted by path; none is equal to another or leads through it */
    size_t entry_count;
    struct planned_particles *particles; /* the first is the main one */
    size_t particles_count;
    char **series; /* paths of further H5MD roots: "/h5md_series/thermo" */
    size_t series_count;
    const char *time_unit; /* "" if none */
    bool si_units;         /* there are units, and all are from the SI list of H5MD's module `units` */
};

/* INVALID_ARGUMENT or DUPLICATE_NAME: which field breaks which rule, for which reader, and what to do instead. */
trajlog_status h5md_plan_make(struct h5md_plan *plan, const struct schema *schema, struct error *error);
void h5md_plan_free(struct h5md_plan *plan);

#endif
