/* What lammps_log gives LAMMPS to be called by: a fix, which is a C++ class, and its face to C. It knows LAMMPS's steps,
 * and nothing of logs. */
#ifndef LAMMPS_FIX_H
#define LAMMPS_FIX_H

#include <stdbool.h>
#include <stdint.h>

/* Belongs to the caller, and lives as long as LAMMPS does. */
struct lammps_fix {
    int64_t next, every; /* the step that is due next, and from one to the one after it */
    bool energies;       /* LAMMPS's thermo keywords can be read in the steps that are due */
    bool (*call)(void *context);
    void *context;
};

#ifdef __cplusplus
extern "C" {
#endif

/* Makes the command `fix ID all trajlog` known to this LAMMPS. In a run, the fix that it makes calls `call` at the end of
 * each step that is due, when the fixes before it are done, and moves `next` on; in the step in which a run begins, at
 * the end of the setup. Where `call` returns false the run stops, as `fix halt` stops it. */
void lammps_fix_register(void *lammps, struct lammps_fix *fix);

#ifdef __cplusplus
}
#endif

#endif
