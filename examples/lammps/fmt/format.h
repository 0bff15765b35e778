/* Stands in for the copy of the formatting library fmt that belongs to LAMMPS's headers: Debian's package leaves it out,
 * and they name these in declarations and templates that lammps_fix.cpp does not use. LAMMPS's own is found first. */
#ifndef LAMMPS_FMT_FORMAT_H
#define LAMMPS_FMT_FORMAT_H

namespace fmt
{
class string_view;
class format_args;
template <typename... Arguments, typename Format> format_args make_args_checked(const Format &, Arguments &...);
template <typename... Arguments> format_args make_format_args(Arguments &...);
} // namespace fmt

#endif
