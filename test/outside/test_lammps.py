"""lammps_log against LAMMPS itself: what it logs is what one uninterrupted `run` dumps and prints, bit for bit."""
import ctypes.util
import os
import pathlib
import subprocess
import sys

import h5py
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("TRAJLOG_BUILD", "build")
PROGRAM = BUILD / "examples" / "lammps_log"

pytestmark = [
    # Where CI is set, it has to be there.
    pytest.mark.skipif(not PROGRAM.exists() and not os.environ.get("CI"), reason="lammps_log was not built"),
    pytest.mark.timeout(120),
]

ARGON = """
units metal
atom_style atomic
pair_style lj/cut 8.5
lattice fcc 5.78
"""

FLUID = """
units lj
lattice fcc 0.8442
region box block 0 4 0 4 0 4
create_box 1 box
create_atoms 1 box
mass 1 1.0
velocity all create 3.0 87287 loop geom
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0 2.5
"""

SCRIPTS = {
    "neighbours every 20 steps": FLUID + "neigh_modify every 20 delay 0 check no\nfix 1 all nve\n",
    "hot, neighbours when needed": FLUID + "velocity all scale 20\ntimestep 0.002\nfix 1 all nve\n",
    "ramped thermostat": FLUID + "thermo_modify norm no\nfix 1 all nve\nfix 2 all langevin 3.0 0.5 0.1 48279\n",
    "started at another step": FLUID + "timestep 0.003\nreset_timestep 12345\nfix 1 all nvt temp 3.0 1.0 0.5\n",
    "minimized before": FLUID + "minimize 1e-4 1e-6 20 100\nreset_timestep 0\nvelocity all create 1 1\nfix 1 all nve\n",
    "sparse ids": FLUID + "delete_atoms porosity box 0.3 4711 compress no\nfix 1 all nve\n",
    "ids far apart": FLUID + "group odd id 1:256:3\ndelete_atoms group odd compress no\n"
    "group last id 256\ndelete_atoms group last compress no\nfix 1 all nve\n",
    "thermo output without energies": FLUID + "thermo_style custom step vol\nfix 1 all nve\n",
    "thermo of another temperature": FLUID + "group half id 1:128\ncompute half half temp\n"
    "thermo_modify temp half\nfix 1 all nve\n",
    "own output in between": FLUID
    + """
compute msd all msd
thermo 3
thermo_style custom step &
    c_msd[4] temp # pe
thermo_modify norm no flush yes
fix 1 all nve
fix 2 all ave/time 2 3 6 c_msd[4]
variable t equal time
variable f equal sin(10*v_t)
fix 3 all addforce v_f 0 0
""",
    "moving along": FLUID + "velocity all set 20 -30 5 sum yes\nfix 1 all nve\n",
    "triclinic under pressure": ARGON
    + """
region box prism 0 4 0 4 0 4 0.7 -0.4 0.3
create_box 1 box
create_atoms 1 box
mass 1 39.948
pair_coeff 1 1 0.01034 3.4
velocity all create 180 5 loop geom
timestep 0.004
fix 1 all npt temp 180 60 0.2 tri 0 500 1.0
""",
    "box away from the origin": ARGON
    + """
region box block -1.3 3.7 0.1 4.1 2.9 7
create_box 1 box
create_atoms 1 box
mass 1 39.948
pair_coeff 1 1 0.01034 3.4
velocity all create 180 5 loop geom
timestep 0.004
fix 1 all npt temp 180 60 0.2 iso 0 500 1.0
""",
    "sheared, the box flips": ARGON
    + """
region box prism 0 3 0 3 0 3 1.45 0 0
create_box 1 box
create_atoms 1 box
mass 1 39.948
pair_coeff 1 1 0.01034 3.4
velocity all create 90 5 loop geom
timestep 0.004
fix 1 all deform 1 xy erate 0.5 remap v
fix 2 all nvt/sllod temp 90 90 0.2
""",
    "salt with long-range forces": """
units real
atom_style charge
lattice bcc 4.2
region box block 0 4 0 4 0 4
create_box 2 box
create_atoms 1 box basis 2 2
mass 1 22.99
mass 2 35.45
set type 1 charge 1
set type 2 charge -1
pair_style lj/cut/coul/long 7
pair_coeff 1 1 0.13 2.35
pair_coeff 2 2 0.1 4.4
pair_coeff 1 2 0.12 3.3
kspace_style pppm 1e-4
velocity all create 900 11 loop geom
fix 1 all nve
""",
    "open and shrink-wrapped": """
units lj
boundary p f s
atom_style sphere
region box block 0 6 0 6 0 6
create_box 1 box
create_atoms 1 random 60 12 box
set type 1 diameter 0.8
set type 1 density 1.5
pair_style soft 1.0
pair_coeff 1 1 20
velocity all create 1 5
fix 1 all nve
fix 2 all wall/reflect ylo EDGE yhi EDGE
""",
    "two dimensions": """
units lj
dimension 2
lattice hex 0.7
region box block 0 10 0 6 -0.5 0.5
create_box 1 box
create_atoms 1 box
mass 1 1
velocity all create 1.5 5
pair_style lj/cut 2.5
pair_coeff 1 1 1 1
fix 1 all nve
fix 2 all enforce2d
""",
    "the time step varies": FLUID + "fix 1 all nve\nfix 2 all dt/reset 7 NULL 0.02 0.02 units box\n",
    "forces of two speeds": FLUID + "fix 1 all nve\nrun_style respa 2 2 inner 1 1.2 1.5 outer 2\n",
    "a change that ends with the run": FLUID + "variable strength equal ramp(1,1.5)\nfix 1 all nve\n"
    "fix 2 all adapt 5 pair lj/cut epsilon 1 1 v_strength reset yes\n",
}

DUMP = """
dump reference all custom 1 {path} id type mass x y z vx vy vz ix iy iz {charge}
dump_modify reference sort id format float %.17g time yes
"""
THERMO = "thermo 1\nthermo_style custom step temp pe ke etotal press vol\nthermo_modify format float %.17g {modify}\n"

RUN_LAMMPS = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)
library.lammps_open_no_mpi.restype = ctypes.c_void_p
arguments = [b"lmp", b"-screen", b"none", b"-nocite", b"-log", sys.argv[3].encode()]
lammps = ctypes.c_void_p(library.lammps_open_no_mpi(len(arguments), (ctypes.c_char_p * len(arguments))(*arguments), None))
library.lammps_file(lammps, sys.argv[2].encode())
library.lammps_close(lammps)
library.lammps_mpi_finalize()
"""


def run_lammps(folder, name, script):
    (folder / f"{name}.in").write_text(script)
    command = [sys.executable, "-c", RUN_LAMMPS, ctypes.util.find_library("lammps"), f"{name}.in", f"{name}.log"]
    subprocess.run(command, check=True, cwd=folder, timeout=60)
    return folder / f"{name}.log"


def run_program(folder, script, *arguments):
    (folder / "script.in").write_text(script)
    command = [PROGRAM, "--input", "script.in", "--out", "log.h5", "--quiet", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def read_dump(path):
    """Steps -> time, box lines, columns -> numbers."""
    frames = {}
    lines = iter(path.read_text().splitlines())
    for line in lines:
        if line.startswith("ITEM: TIME") and not line.startswith("ITEM: TIMESTEP"):
            time = float(next(lines))
        elif line.startswith("ITEM: TIMESTEP"):
            step = int(next(lines))
        elif line.startswith("ITEM: NUMBER"):
            count = int(next(lines))
        elif line.startswith("ITEM: BOX"):
            box = np.array([[float(word) for word in next(lines).split()] for _ in range(3)])
        elif line.startswith("ITEM: ATOMS"):
            names = line.split()[2:]
            table = np.array([[float(word) for word in next(lines).split()] for _ in range(count)])
            frames[step] = (time, box, dict(zip(names, table.T)))
    return frames


def read_thermo(path):
    """Of the last run in a LAMMPS log: steps -> temp, pe, ke, etotal, press, vol."""
    rows = {}
    reading = False
    for line in path.read_text().splitlines():
        words = line.split()
        if words[:3] == ["Step", "Temp", "PotEng"]:
            reading, rows = True, {}
        elif words[:1] == ["Loop"]:
            reading = False
        elif reading and words and words[0].isdigit():
            rows[int(words[0])] = np.array([float(word) for word in words[1:]])
    return rows


def bounds(box, origin):
    """The bounding box of a dump, from edge vectors and origin: https://docs.lammps.org/Howto_triclinic.html"""
    xy, xz, yz = box[1, 0], box[2, 0], box[2, 1]
    low, high = origin.copy(), origin + np.diagonal(box)
    low[0] += min(0, xy, xz, xy + xz)
    high[0] += max(0, xy, xz, xy + xz)
    low[1] += min(0, yz)
    high[1] += max(0, yz)
    return low, high


def columns(frame, names):
    return np.stack([frame[name] for name in names.split()], axis=-1)


def compare_box(trajectory, row, dumped):
    box, origin = trajectory["box"][row], trajectory["box_origin"][row]
    if dumped.shape[1] == 3:  # lo hi tilt
        xy, xz, yz = dumped[:, 2]
        assert [box[1, 0], box[2, 0], box[2, 1]] == [xy, xz, yz]
        low, high = bounds(box, origin)
        np.testing.assert_allclose(low, dumped[:, 0], rtol=1e-14, atol=1e-14)
        np.testing.assert_allclose(high, dumped[:, 1], rtol=1e-14, atol=1e-14)
    else:
        assert np.array_equal(origin, dumped[:, 0])
        assert np.array_equal(np.diagonal(box), dumped[:, 1] - dumped[:, 0])
        assert np.array_equal(box, np.diag(np.diagonal(box)))


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("steps, every", [(105, 10), (60, 1)])
def test_equals_lammps(tmp_path, name, steps, every):
    script = SCRIPTS[name]
    charge = "q" if "charge" in script else ""
    # Without thermo output in between, to show that asking for energies changes nothing.
    run_lammps(tmp_path, "dump", script + DUMP.format(path="dump.txt", charge=charge) + f"run {steps}\n")
    dump = read_dump(tmp_path / "dump.txt")
    modify = "temp half" if "temp half" in script else "norm no" if "norm no" in script else ""
    thermo = read_thermo(run_lammps(tmp_path, "thermo", script + THERMO.format(modify=modify) + f"run {steps}\n"))

    result = run_program(tmp_path, script, "--steps", steps, "--every", every)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "" and result.stderr == ""
    first = min(thermo)
    with h5py.File(tmp_path / "log.h5") as log:
        trajectory, logged = log["trajectory"], log["thermo"]
        expected = [first + every * row for row in range(steps // every + 1)]
        assert trajectory["step"][...].tolist() == logged["step"][...].tolist() == expected
        for row, step in enumerate(expected):
            time, box, frame = dump[step]
            assert np.array_equal(trajectory["position"][row], columns(frame, "x y z")), (step, "position")
            assert np.array_equal(trajectory["velocity"][row], columns(frame, "vx vy vz")), (step, "velocity")
            assert np.array_equal(trajectory["image"][row], columns(frame, "ix iy iz")), (step, "image")
            assert float(f"{trajectory['time'][row]:.16g}") == time
            compare_box(trajectory, row, box)
            numbers = [
                logged[field][row]
                for field in ("temperature", "potential_energy", "kinetic_energy", "total_energy", "pressure", "volume")
            ]
            assert np.array_equal(numbers, thermo[step]), (step, "thermo")
        init = log["init"]
        for field, column in ("id", "id"), ("type", "type"), ("mass", "mass"), ("charge", "q"):
            if column in frame:
                assert np.array_equal(init[field][...], frame[column])


def test_without_thermo(tmp_path):
    """The group is not there, the script's own output stays as it is, and the other rows are the same."""
    script = SCRIPTS["own output in between"]
    for name, more in ("with", []), ("without", ["--no-thermo"]):
        log = tmp_path / f"{name}.log"
        result = run_program(tmp_path, script, "--steps", 50, "--every", 5, "--lammps-log", log, *more)
        assert result.returncode == 0, result.stderr
        (tmp_path / "log.h5").rename(tmp_path / f"{name}.h5")
        assert ("PotEng" in log.read_text()) == (name == "with")
    with h5py.File(tmp_path / "with.h5") as log, h5py.File(tmp_path / "without.h5") as other:
        assert "thermo" in log and "thermo" not in other
        assert len(other["trajectory/step"]) == 11
        for field in "step", "time", "position", "velocity", "image", "box":
            assert np.array_equal(log["trajectory"][field][...], other["trajectory"][field][...])


def test_scripts_do_what_they_are_here_for(tmp_path):
    """Atoms cross the box's sides and neighbour lists are rebuilt; ids have holes; the box flips; time steps vary."""
    for name in "moving along", "sparse ids", "sheared, the box flips", "the time step varies":
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        assert run_program(folder, SCRIPTS[name], "--steps", 105, "--every", 5).returncode == 0
    with h5py.File(tmp_path / "moving-along" / "log.h5") as log:
        assert np.abs(log["trajectory/image"][-1]).max() >= 2
    with h5py.File(tmp_path / "sparse-ids" / "log.h5") as log:
        ids = log["init/id"][...]
        assert len(ids) < ids.max() <= 256 and np.all(np.diff(ids) > 0) and np.diff(ids).max() > 1
    with h5py.File(tmp_path / "sheared,-the-box-flips" / "log.h5") as log:
        tilt = log["trajectory/box"][:, 1, 0]
        assert tilt.max() > 0 > tilt.min()
    with h5py.File(tmp_path / "the-time-step-varies" / "log.h5") as log:
        assert len(set(np.diff(log["trajectory/time"][...]).round(9))) > 1


UNITS = {
    "lj": (None, None, None, None, None),
    "real": ("Angstrom", "Angstrom fs-1", "kcal mol-1", "K", "atm"),
    "metal": ("Angstrom", "Angstrom ps-1", "eV", "K", "bar"),
    "si": ("m", "m s-1", "J", "K", "Pa"),
    "nano": ("nm", "nm ns-1", "ag nm+2 ns-2", "K", "ag nm-1 ns-2"),
}


@pytest.mark.parametrize("style", UNITS)
def test_units(tmp_path, style):
    script = f"units {style}\nregion b block 0 9 0 9 0 9\ncreate_box 1 b\ncreate_atoms 1 single 1 2 3\nmass 1 1\n"
    assert run_program(tmp_path, script, "--steps", 2, "--every", 1).returncode == 0
    with h5py.File(tmp_path / "log.h5") as log:
        fields = "trajectory/position", "trajectory/velocity", "thermo/total_energy", "thermo/temperature"
        found = [log[field].attrs.get("unit") for field in (*fields, "thermo/pressure")]
        assert [unit.decode() if isinstance(unit, bytes) else unit for unit in found] == list(UNITS[style])


def test_melt(tmp_path):
    """The input that is shipped: a crystal that melts, of a size that can be chosen."""
    command = [PROGRAM, "--input", ROOT / "examples" / "in.melt", "--out", tmp_path / "log.h5"]
    command += ["--steps", "200", "--every", "50", "--var", "cells=5"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert "500 atoms" in result.stdout and result.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["log.h5"]
    with h5py.File(tmp_path / "log.h5") as log:
        assert log["trajectory/position"].shape == (5, 500, 3)
        temperature, energy = log["thermo/temperature"][...], log["thermo/total_energy"][...]
    assert temperature[0] == pytest.approx(3) and 1.3 < temperature[-1] < 2
    assert abs(energy - energy[0]).max() < 0.02


REFUSED = {
    "an error in the script": (FLUID + "fiks 1 all nve\n", "Unknown command: fiks 1 all nve"),
    "an error in a file": ("units metal\nregion b block 0 9 0 9 0 9\ncreate_box 1 b\npair_style eam\n"
                           "pair_coeff 1 1 nothing.eam\n", "nothing.eam"),
    "no box": ("units lj\n", "no simulation box"),
    "no atoms": ("units lj\nregion b block 0 9 0 9 0 9\ncreate_box 1 b\n", "no atoms"),
    "no ids": ("atom_modify id no\n" + FLUID.replace("loop geom", "loop local"), "no ids"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(tmp_path, name):
    script, message = REFUSED[name]
    result = run_program(tmp_path, script, "--steps", 10, "--every", 5)
    assert result.returncode != 0
    assert message in result.stderr and result.stderr.startswith("lammps_log: ")
    assert not (tmp_path / "log.h5").exists()


STOPPED = {
    "atoms that go": (FLUID + "fix 1 all nve\nfix 2 all evaporate 15 10 box 49892\n", "constant number"),
    "a halt": (FLUID + "fix 1 all nve\nvariable s equal step\nfix 2 all halt 1 v_s >= 23 error soft\n", "stopped at step 23"),
    "lost atoms": (
        FLUID.replace("units lj", "units lj\nboundary f f f") + "velocity all scale 5\nfix 1 all nve\nthermo 1\n", "ERROR"
    ),
}


@pytest.mark.parametrize("name", STOPPED)
def test_stops(tmp_path, name):
    """An error in mid-run: the message, and a closed file with the rows before it."""
    script, message = STOPPED[name]
    result = run_program(tmp_path, script, "--steps", 500, "--every", 5)
    assert result.returncode != 0
    assert message in result.stderr
    with h5py.File(tmp_path / "log.h5") as log:
        steps = log["trajectory/step"][...]
        assert 1 <= len(steps) < 101 and steps.tolist() == list(range(0, 5 * len(steps), 5))
        assert len(log["trajectory/position"]) == len(steps)


def test_error_after_much_output(tmp_path):
    """What LAMMPS prints is thrown away from time to time, but not its last words."""
    script = "units lj\nregion b block 0 9 0 9 0 9\ncreate_box 1 b\ncreate_atoms 1 single 1 2 3\nmass 1 1\n"
    script += "variable s equal step\nfix 1 all nve\nfix 2 all halt 1 v_s >= 8000 error hard\n"
    script += "thermo_style multi\nthermo 1\n"
    result = run_program(tmp_path, script, "--steps", 10000, "--every", 1)
    assert result.returncode != 0
    assert "ERROR: Fix halt condition for fix-id 2 met on step 8000" in result.stderr
    with h5py.File(tmp_path / "log.h5") as log:
        assert log["trajectory/step"][...].tolist() == list(range(8000))


def test_existing_log(tmp_path):
    (tmp_path / "log.h5").write_text("precious")
    result = run_program(tmp_path, SCRIPTS["moving along"], "--steps", 5)
    assert result.returncode != 0 and "log.h5" in result.stderr
    assert (tmp_path / "log.h5").read_text() == "precious"
