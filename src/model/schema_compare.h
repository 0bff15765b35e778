/* What is declared against what a file says: when a run goes on in a file of an earlier one. Pure. */
#ifndef MODEL_SCHEMA_COMPARE_H
#define MODEL_SCHEMA_COMPARE_H

#include "model/schema.h"

/* Whether `declared` can go on in a file with the schema `filed`: the same groups, and in them the same fields, of the
 * same types, shapes, units and roles, in any order. What differs else is no difference: metadata, descriptions, storage,
 * how often, and by whom. SCHEMA_MISMATCH lists the differences one by one; `accept_additions`: that the file lacks a
 * group or a field is none. */
trajlog_status schema_compare(const struct schema *declared, const struct schema *filed, bool accept_additions,
                              struct error *error);

/* After that: `filed` takes up what only `declared` has, behind what it has, and its frequencies. With new groups or
 * fields its version goes up; a new field of an old group has FIRST_ROW_OPEN. *changed: there was something; a later error leaves `filed` to be thrown away. */
trajlog_status schema_take_up(struct schema *filed, const struct schema *declared, bool *changed, struct error *error);

#endif
