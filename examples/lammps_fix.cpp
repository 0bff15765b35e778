/* The fix of lammps_log: see lammps_fix.h. */
#include <lammps/compute.h>
#include <lammps/fix.h>
#include <lammps/lammps.h>
#include <lammps/modify.h>
#include <lammps/timer.h>
#include <lammps/update.h>

#include "lammps_fix.h"

namespace
{

/* LAMMPS makes fixes with a plain function, which finds here what belongs to its fix. */
lammps_fix *registered;

class FixTrajlog : public LAMMPS_NS::Fix
{
  public:
    FixTrajlog(LAMMPS_NS::LAMMPS *lammps, int count, char **words)
        : LAMMPS_NS::Fix(lammps, count, words), due(registered)
    {
        /* LAMMPS would take a larger one as a divisor of the step's number, and runs may begin at any step. */
        nevery = 1;
    }

    int setmask() override
    {
        return LAMMPS_NS::FixConst::END_OF_STEP;
    }

    /* A run can also begin behind a step that was due. */
    void setup(int) override
    {
        if (update->ntimestep == due->next) call();
        else ask_for_energies();
    }

    void end_of_step() override
    {
        if (update->ntimestep == due->next) call();
    }

  private:
    lammps_fix *due;

    void call()
    {
        /* Else thermo keywords could have the values of an earlier step. */
        modify->clearstep_compute();
        if (!due->call(due->context)) timer->force_timeout();
        due->next += due->every;
        ask_for_energies();
    }

    /* LAMMPS sums up energies and pressure only in the steps that have been named to these two computes, which are always
     * there, or to others of their kind. */
    void ask_for_energies()
    {
        if (!due->energies) return;
        for (const char *name : {"thermo_pe", "thermo_press"}) {
            int index = modify->find_compute(name);
            if (index >= 0) modify->compute[index]->addstep(due->next);
        }
    }
};

LAMMPS_NS::Fix *make_fix(LAMMPS_NS::LAMMPS *lammps, int count, char **words)
{
    return new FixTrajlog(lammps, count, words);
}

} // namespace

void lammps_fix_register(void *lammps, lammps_fix *fix)
{
    registered = fix;
    (*static_cast<LAMMPS_NS::LAMMPS *>(lammps)->modify->fix_map)["trajlog"] = make_fix;
}
