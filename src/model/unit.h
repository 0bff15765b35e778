/* Units: how they are spelled so that the readers of H5MD files understand them. Pure text; converts nothing.
 *
 * The grammar is that of H5MD's module `units` 1.0 (https://nongnu.org/h5md/modules/units.html): factors separated by
 * one blank; a factor is a symbol with an optional signed power ("nm+3", "ps-1"), or, as the first one only, a number.
 * The symbols are those of that module with their SI prefixes, and those that MDAnalysis, GROMACS, VMD, pint (NOMAD)
 * and LAMMPS users write. "" stands for no unit: reduced units, or a number without dimension. */
#ifndef MODEL_UNIT_H
#define MODEL_UNIT_H

#include <stdbool.h>

#include "model/status.h"

/* INVALID_ARGUMENT says which factor is wrong, and suggests a spelling where one can be guessed:
 * unit "kJ/mol": not a unit that readers know; write "kJ mol-1". */
trajlog_status unit_check(const char *unit, struct error *error);

/* What a unit measures, where readers accept only a list of spellings for it. */
enum unit_quantity { UNIT_TIME, UNIT_LENGTH, UNIT_VELOCITY, UNIT_FORCE };

/* The same, and the spelling must be one that MDAnalysis reads for that quantity; the message lists them. "" is OK:
 * such a file opens there with convert_units=False. */
trajlog_status unit_check_quantity(const char *unit, enum unit_quantity quantity, struct error *error);

/* Whether all symbols are from the SI list of the module `units`: what its attribute `system` claims. "" is. */
bool unit_is_si(const char *unit);

#endif
