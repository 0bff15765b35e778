/* Particles of a frame: groups whose number of particles varies, and memory that is in another order than the frame is
 * to be. A part of copying a step. */
#ifndef WRITE_PARTICLES_H
#define WRITE_PARTICLES_H

#include "write/view.h"

/* What the caller said of a group's particles, and what they are at this step. */
struct particles_view {
    const int64_t *count; /* the caller's; NULL: the number does not vary */
    const int64_t *order; /* the caller's; NULL: as in memory */
    int64_t capacity;     /* [N, ...] of the group's fields; 0: none has a role of that shape, -1: they differ; grows */
    int64_t most;         /* that it grows to; with `bound` in words */
    const char *bound;
    int64_t now; /* of this step: *count, or the capacity */
};

/* The capacity that the fields of a group agree on, and how far it grows. Sets the group's `most`. */
void particles_prepare(struct particles_view *particles, const struct schema *schema, struct group *group);

/* Looks at *count, once for each step: `now` may exceed the capacity afterwards, that grows then. Looks at the order when
 * it does not any more. OUT_OF_RANGE, INVALID_ARGUMENT. */
trajlog_status particles_look(struct particles_view *particles, struct error *error);
trajlog_status particles_check_order(const struct particles_view *particles, struct error *error);

/* Whether a field is copied by the function below. */
bool particles_concern(const struct particles_view *particles, const struct field *field);

/* As view_copy: the particles that there are, in their order. */
trajlog_status particles_copy(const struct particles_view *particles, const struct view *view,
                              const struct field *field, void *to, const void *state, struct error *error);

#endif
