"""Logs with H5MD roles, opened by the programs that read H5MD files.

Each cell of the table in doc/interop.md is one of these tests. What the program test/programs/h5md_log.c logged is
computed again here, so that every number is compared with what the simulation had, to the last bit.

MDAnalysis and VOTCA come from Debian; the readers from PyPI, a newer MDAnalysis among them, run in build/venv, which
`make readers` makes. Programs that cannot be installed here (VMD, GROMACS 2026, NOMAD) are stood in for by what they ask
for, in test/unit/test_h5md.c."""

import json
import os
import pathlib
import re
import subprocess

import h5py
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
N, STEPS, EVERY, STEP_TIME = 20, 50, 5, 0.002
FRAMES = range(0, STEPS, EVERY)
MASK = (1 << 64) - 1


def value(what, step, index):
    """As in h5md_log.c."""
    bits = (what * 0x9E3779B97F4A7C15 + step * 0xC2B2AE3D27D4EB4F + index * 0x165667B19E3779F9) & MASK
    bits ^= bits >> 29
    bits = bits * 0xBF58476D1CE4E5B9 & MASK
    bits ^= bits >> 32
    return (bits >> 11) / 9007199254740992.0


def vectors(what, step, count=N, dimension=3):
    flat = [value(what, step, 3 * i + k) for i in range(count) for k in range(dimension)]
    return np.array(flat).reshape(count, dimension)


def position(step):
    return vectors(1, step)


def velocity(step):
    return vectors(2, step) - 0.5


def force(step):
    return 100 * (vectors(3, step) - 0.5)


def edges(step, triclinic=False):
    box = np.diag([3 + k + value(6, step, k) for k in range(3)])
    if triclinic:
        box[1, 0], box[2, 0], box[2, 1] = (value(7, step, k) for k in range(3))
    return box


def temperature(step):
    return 300 * value(9, step, 0)


@pytest.fixture
def log(run, build, tmp_path):
    """log("znh5md", "bonds"): the path of a file that h5md_log wrote."""

    def write(profile="default", *flags, name="run.h5md", status=0):
        path = tmp_path / name
        run(build / "test" / "programs" / "h5md_log", path, profile, *flags, status=status)
        return path

    return write


@pytest.fixture
def killed_log(build, tmp_path):
    def write(profile="default", *flags):
        path = tmp_path / "killed.h5md"
        program = build / "test" / "programs" / "h5md_log"
        result = subprocess.run([program, path, profile, *flags, "kill"], timeout=120, check=False)
        assert result.returncode == -9
        return path

    return write


@pytest.fixture
def live_log(build, tmp_path):
    """The path of a file whose writer is alive, and waits, until the test ends."""
    processes = []

    def write(profile="default", *flags):
        path = tmp_path / "live.h5md"
        program = build / "test" / "programs" / "h5md_log"
        process = subprocess.Popen([program, path, profile, *flags, "wait"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "written\n"
        return path

    yield write
    for process in processes:
        process.communicate("go on\n", timeout=60)
        assert process.returncode == 0


@pytest.fixture
def any_log(request, log, killed_log, live_log):
    """The same file three times: closed, of a killed writer, and still being written."""
    return {"closed": log, "killed": killed_log, "live": live_log}[request.param]


three_states = pytest.mark.parametrize("any_log", ["closed", "killed", "live"], indirect=True)


@pytest.fixture
def mdanalysis():
    """MDAnalysis, told to convert no units: then it shows what is in the file."""
    try:
        import MDAnalysis
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("MDAnalysis is not there")
    return MDAnalysis


@pytest.fixture
def outside(run):
    """outside(code, path, ...): what a Python program in build/venv prints, read as JSON; it finds h5py, np, path.
    `needs`: a package that a build/venv of earlier days may lack."""
    venv = ROOT / "build" / "venv"
    python = venv / "bin" / "python"

    def ask(code, *words, status=0, needs="pip"):
        if not any(venv.glob(f"lib/*/site-packages/{needs}")):
            assert not os.environ.get("CI"), f"build/venv has no {needs}: make readers"
            pytest.skip(f"build/venv has no {needs}: make readers")
        head = "import json, sys\nimport h5py, numpy as np\npath = sys.argv[1]\n"
        output = run(python, "-W", "ignore", "-c", head + code, *words, status=status)
        return json.loads(output) if status == 0 else output

    return ask


# ------------------------------------------------------------------------------------------------------- MDAnalysis


def open_unconverted(mdanalysis, path):
    """A universe without a topology, whose numbers are those of the file: units are not converted."""
    universe = mdanalysis.Universe(path)
    universe.load_new(str(path), convert_units=False)
    return universe


def as_float32(array):
    return np.asarray(array, dtype=np.float64).astype(np.float32)


def compare_universe(universe, triclinic=False, box=True, real=np.float64):
    from MDAnalysis.lib.mdamath import triclinic_box

    trajectory = universe.trajectory
    assert trajectory.n_frames == len(FRAMES) and universe.atoms.n_atoms == N
    for step, frame in zip(FRAMES, trajectory):
        np.testing.assert_array_equal(frame.positions, as_float32(position(step)))
        np.testing.assert_array_equal(frame.velocities, as_float32(velocity(step)))
        np.testing.assert_array_equal(frame.forces, as_float32(force(step)))
        assert frame.time == step * STEP_TIME
        assert frame.data["step"] == step
        assert frame.data["temperature"] == temperature(step)
        assert "energy_potential" not in frame.data  # of every step: its rows are not this frame's
        if box:
            np.testing.assert_array_equal(frame.dimensions, triclinic_box(*edges(step, triclinic).astype(real)))


@three_states
@pytest.mark.parametrize("flags", [(), ("triclinic",), ("float",), ("slab",), ("bonds",)])
def test_mdanalysis_without_topology(any_log, mdanalysis, flags):
    universe = open_unconverted(mdanalysis, any_log("default", *flags))
    compare_universe(universe, triclinic="triclinic" in flags, real=np.float32 if "float" in flags else np.float64)


def test_mdanalysis_with_topology(log, mdanalysis):
    topology = mdanalysis.Universe.empty(N, trajectory=False, atom_resindex=[0] * N)
    topology.add_TopologyAttr("masses", [1.0] * N)
    universe = mdanalysis.Universe(topology._topology, str(log()), convert_units=False)
    compare_universe(universe)


def test_mdanalysis_with_a_topology_file(log, mdanalysis, tmp_path):
    lines = ["h5md_log", f"{N}"]
    lines += [f"{1:5d}{'HOH':<5s}{'H' if i % 2 == 0 else 'O':>5s}{i + 1:5d}{0.1 * i:8.3f}{0:8.3f}{0:8.3f}" for i in range(N)]
    lines += ["3.00000 4.00000 5.00000", ""]
    topology = tmp_path / "top.gro"
    topology.write_text("\n".join(lines))
    universe = mdanalysis.Universe(topology, log(), convert_units=False)
    compare_universe(universe)
    assert list(universe.atoms.names[:2]) == ["H", "O"]


def test_mdanalysis_file_name_ending_h5(log, mdanalysis):
    universe = mdanalysis.Universe.empty(N)
    universe.load_new(str(log(name="run.h5")), format="H5MD", convert_units=False)
    compare_universe(universe)


@pytest.mark.parametrize("flags, length, force_factor", [((), 10, 0.1), (("angstrom",), 1, 1)])
def test_mdanalysis_converts_units(log, mdanalysis, flags, length, force_factor):
    universe = mdanalysis.Universe(log("default", *flags))
    frame = universe.trajectory[3]
    np.testing.assert_allclose(frame.positions, length * position(15), rtol=1e-6)
    np.testing.assert_allclose(frame.velocities, length * velocity(15), rtol=1e-6)
    np.testing.assert_allclose(frame.forces, force_factor * force(15), rtol=1e-5)
    np.testing.assert_allclose(frame.dimensions[:3], length * np.diag(edges(15)), rtol=1e-6)
    assert frame.time == pytest.approx(0.03)
    assert universe.trajectory.units["time"] == "ps"


def mdanalysis_spellings():
    try:
        from MDAnalysis.coordinates.H5MD import H5MDReader
    except ImportError:
        return [("length", "nm")]  # the test skips or fails by itself
    return [(quantity, unit) for quantity, units in H5MDReader._unit_translation.items() for unit in units]


@pytest.mark.parametrize("quantity, unit", mdanalysis_spellings())
def test_each_unit_that_mdanalysis_knows_gets_there(log, mdanalysis, quantity, unit):
    """The library accepts it, MDAnalysis finds it, and converts the numbers by it."""
    from MDAnalysis.units import get_conversion_factor

    path = log("default", f"{quantity}={unit}")
    with h5py.File(path) as file:
        group = file["particles/all"]
        place = {"time": "position/time", "length": "position/value", "velocity": "velocity/value",
                 "force": "force/value"}[quantity]
        assert group[place].attrs["unit"] == unit
    universe = mdanalysis.Universe(path)
    known = universe.trajectory._unit_translation[quantity][unit]
    assert universe.trajectory.units[quantity] == known
    base = {"time": "ps", "length": "Angstrom", "velocity": "Angstrom/ps", "force": "kJ/(mol*Angstrom)"}[quantity]
    kind = {"velocity": "speed"}.get(quantity, quantity)
    factor = get_conversion_factor(kind, known, base)
    frame = universe.trajectory[3]
    if quantity == "time":
        assert frame.time == pytest.approx(factor * 0.03)
    else:
        seen = {"length": frame.positions, "velocity": frame.velocities, "force": frame.forces}[quantity]
        logged = {"length": position, "velocity": velocity, "force": force}[quantity](15)
        np.testing.assert_allclose(seen, factor * logged, rtol=1e-5)


def test_mdanalysis_reduced_units(log, mdanalysis):
    path = log("default", "reduced")
    with pytest.raises(ValueError, match="H5MD file must have readable units"):
        mdanalysis.Universe(path)
    universe = mdanalysis.Universe.empty(N)
    universe.load_new(str(path), convert_units=False)
    compare_universe(universe)


def test_mdanalysis_opens_the_main_particles_group(log, mdanalysis):
    """"Solvent" sorts before "all", and has other rows."""
    compare_universe(open_unconverted(mdanalysis, log("default", "two")))


def test_mdanalysis_without_a_box(log, mdanalysis):
    universe = open_unconverted(mdanalysis, log("default", "nothing"))
    compare_universe(universe, box=False)
    assert universe.trajectory[0].dimensions is None


def test_mdanalysis_refuses_two_dimensions(log, mdanalysis):
    with pytest.raises(ValueError, match="only supports 3-dimensional"):
        mdanalysis.Universe(log("default", "flat"))


def test_mdanalysis_shows_no_box_of_vector_edges(log, mdanalysis):
    universe = open_unconverted(mdanalysis, log("vector"))
    compare_universe(universe, box=False)
    assert universe.trajectory[0].dimensions is None


def test_mdanalysis_refuses_a_fixed_box(log, mdanalysis):
    with pytest.raises(Exception, match="value|Accessing a group"):
        mdanalysis.Universe(log("strict", "static-box"))


def test_mdanalysis_writes_what_it_read(log, mdanalysis, tmp_path):
    universe = open_unconverted(mdanalysis, log())
    copy = tmp_path / "copy.h5md"
    with mdanalysis.Writer(str(copy), N, positions=True, velocities=True, forces=True, convert_units=False,
                           timeunit="ps", lengthunit="nm", velocityunit="nm/ps", forceunit="kJ/(mol*nm)") as writer:
        for _ in universe.trajectory:
            writer.write(universe.atoms)
    again = open_unconverted(mdanalysis, copy)
    for step, frame in zip(FRAMES, again.trajectory):
        np.testing.assert_array_equal(frame.positions, as_float32(position(step)))


# -------------------------------------------------------------------------- a newer MDAnalysis, and zarrtraj for it

NEWER = """
import MDAnalysis
universe = MDAnalysis.Universe.empty(int(sys.argv[2]))
universe.load_new(path, format=sys.argv[3], convert_units=sys.argv[4] == 'convert')
print(json.dumps(dict(version=MDAnalysis.__version__, frames=[
    dict(positions=f.positions.tolist(), velocities=f.velocities.tolist(), forces=f.forces.tolist(), time=f.time,
         dimensions=None if f.dimensions is None else f.dimensions.tolist(), step=int(f.data['step']),
         temperature=float(f.data['temperature']), energy='energy_potential' in f.data)
    for f in universe.trajectory])))
"""


def compare_frames(frames, length=1, force_factor=1):
    assert len(frames) == len(FRAMES)
    for step, frame in zip(FRAMES, frames):
        np.testing.assert_allclose(frame["positions"], as_float32(length * position(step)), rtol=1e-6)
        np.testing.assert_allclose(frame["velocities"], as_float32(length * velocity(step)), rtol=1e-6)
        np.testing.assert_allclose(frame["forces"], as_float32(force_factor * force(step)), rtol=1e-6)
        np.testing.assert_allclose(frame["dimensions"][:3], length * np.diag(edges(step)), rtol=1e-6)
        assert frame["time"] == step * STEP_TIME and frame["step"] == step
        assert frame["temperature"] == temperature(step) and not frame["energy"]


@three_states
def test_newer_mdanalysis(any_log, outside):
    seen = outside(NEWER, any_log(), N, "H5MD", "as stored", needs="MDAnalysis")
    assert tuple(map(int, seen["version"].split(".")[:2])) >= (2, 11)
    compare_frames(seen["frames"])
    for step, frame in zip(FRAMES, seen["frames"]):  # to the last bit
        np.testing.assert_array_equal(np.float32(frame["positions"]), as_float32(position(step)))
        np.testing.assert_array_equal(np.float32(frame["velocities"]), as_float32(velocity(step)))
        np.testing.assert_array_equal(np.float32(frame["forces"]), as_float32(force(step)))


def test_newer_mdanalysis_converts_units(log, outside):
    compare_frames(outside(NEWER, log(), N, "H5MD", "convert", needs="MDAnalysis")["frames"], 10, force_factor=0.1)


@three_states
def test_zarrtraj(any_log, outside):
    code = NEWER.replace("import MDAnalysis\n", "import MDAnalysis, zarrtraj\n")
    code = code.replace("format=sys.argv[3]", "format=zarrtraj.ZARRH5MDReader")
    seen = outside(code, any_log(), N, "zarrtraj", "convert", needs="zarrtraj")
    compare_frames(seen["frames"], 10, force_factor=0.1)


# ------------------------------------------------------------------------------------------------------------ pyh5md

PYH5MD = """
import pyh5md
with pyh5md.File(path, 'r') as file:
    group = file.particles_group(sys.argv[2])
    elements = {name: pyh5md.element(group, name) for name in sys.argv[3].split(',')}
    elements['edges'] = pyh5md.element(group['box'], 'edges') if 'edges' in group['box'] else None
    print(json.dumps({name: e and [e.element_type, e.value[:].tolist(), e.step[:].tolist() if e.step else None,
                                   e.time[:].tolist() if e.time else None] for name, e in elements.items()}))
"""


def compare_element(element, kind, expected):
    assert element[0] == kind
    np.testing.assert_array_equal(np.array(element[1]), expected)
    if kind == "TimeElement":
        assert element[2] == list(FRAMES)
        assert element[3] == [step * STEP_TIME for step in FRAMES]


@three_states
def test_pyh5md(any_log, outside):
    elements = outside(PYH5MD, any_log(), "all", "position,velocity,force,mass,species")
    compare_element(elements["position"], "TimeElement", [position(step) for step in FRAMES])
    compare_element(elements["velocity"], "TimeElement", [velocity(step) for step in FRAMES])
    compare_element(elements["force"], "TimeElement", [force(step) for step in FRAMES])
    compare_element(elements["edges"], "TimeElement", [edges(step) for step in FRAMES])
    compare_element(elements["mass"], "FixedElement", [1.008, 15.999] * (N // 2))
    compare_element(elements["species"], "FixedElement", [1, 8] * (N // 2))


@pytest.mark.parametrize("profile, flags", [("strict", ()), ("vector", ()), ("znh5md", ()), ("default", ("two",)),
                                            ("default", ("flat",)), ("default", ("nothing",)), ("default", ("reduced",)),
                                            ("default", ("slab",)), ("default", ("angstrom",))])
def test_pyh5md_reads_every_profile(log, outside, profile, flags):
    elements = outside(PYH5MD, log(profile, *flags), "all", "position")
    flat = "flat" in flags
    compare_element(elements["position"], "TimeElement",
                    [vectors(1, step, dimension=2) if flat else position(step) for step in FRAMES])


def test_pyh5md_reads_a_fixed_box(log, outside):
    elements = outside(PYH5MD, log("strict", "static-box"), "all", "position")
    compare_element(elements["edges"], "FixedElement", edges(0))


def test_pyh5md_reads_a_triclinic_box(log, outside):
    elements = outside(PYH5MD, log("default", "triclinic"), "all", "position")
    compare_element(elements["edges"], "TimeElement", [edges(step, triclinic=True) for step in FRAMES])


def test_pyh5md_reads_connectivity(log, outside):
    code = """
import pyh5md
with pyh5md.File(path, 'r') as file:
    e = pyh5md.element(file['connectivity'], 'bonds')
    print(json.dumps([e.element_type, e.value[:].tolist()]))
"""
    assert outside(code, log("default", "bonds")) == ["FixedElement", [[i, i + 1] for i in range(N - 1)]]


def test_pyh5md_reads_a_second_group(log, outside):
    elements = outside(PYH5MD, log("default", "two"), "Solvent", "position")
    assert elements["position"][2] == list(range(0, STEPS, 10))
    np.testing.assert_array_equal(elements["position"][1], [vectors(5, step, 5) for step in range(0, STEPS, 10)])


def test_pyh5md_reads_observables_of_another_cadence(log, outside):
    code = """
import pyh5md
with pyh5md.File(path, 'r') as file:
    e = pyh5md.element(file[sys.argv[2]], 'energy_potential')
    print(json.dumps([e.element_type, e.step[:].tolist(), e.value[:].tolist()]))
"""
    expected = [value(8, step, 0) for step in range(STEPS)]
    for profile, place in [("default", "h5md_series/thermo/observables"), ("strict", "observables/thermo")]:
        assert outside(code, log(profile), place) == ["TimeElement", list(range(STEPS)), expected]


# ------------------------------------------------------------------------------------------------- ZnH5MD and ASE

ZNH5MD = """
import znh5md
frames = znh5md.IO(path, variable_shape=sys.argv[2] == 'variable')
print(json.dumps([dict(numbers=a.numbers.tolist(), positions=a.positions.tolist(), cell=a.cell.array.tolist(),
                       pbc=a.pbc.tolist(), velocities=a.get_velocities().tolist(), forces=a.get_forces().tolist(),
                       info=a.info, results={k: v for k, v in a.calc.results.items() if np.ndim(v) == 0})
                  for a in frames[:]]))
"""


@three_states
@pytest.mark.parametrize("shape", ["variable", "fixed"])
def test_znh5md(any_log, outside, shape):
    frames = outside(ZNH5MD, any_log("znh5md"), shape)
    assert len(frames) == len(FRAMES)
    for step, frame in zip(FRAMES, frames):
        assert frame["numbers"] == [1, 8] * (N // 2)
        np.testing.assert_array_equal(frame["positions"], position(step))
        np.testing.assert_allclose(frame["velocities"], velocity(step), rtol=1e-14)  # ASE keeps momenta
        np.testing.assert_array_equal(frame["forces"], force(step))
        np.testing.assert_array_equal(frame["cell"], edges(step))
        assert frame["pbc"] == [True, True, True]
        assert frame["info"]["temperature"] == temperature(step)


def test_znh5md_partly_periodic_and_triclinic(log, outside):
    frames = outside(ZNH5MD, log("znh5md", "slab", "triclinic"), "variable")
    for step, frame in zip(FRAMES, frames):
        assert frame["pbc"] == [True, True, False]
        np.testing.assert_array_equal(frame["cell"], edges(step, triclinic=True))


def test_znh5md_opens_the_main_particles_group(log, outside):
    frames = outside(ZNH5MD, log("znh5md", "two"), "variable")
    np.testing.assert_array_equal([frame["positions"] for frame in frames], [position(step) for step in FRAMES])


def test_znh5md_reduced_units(log, outside):
    frames = outside(ZNH5MD, log("znh5md", "reduced"), "fixed")
    np.testing.assert_array_equal([frame["positions"] for frame in frames], [position(step) for step in FRAMES])


def test_znh5md_needs_its_profile(log, outside):
    outside("import znh5md\nznh5md.IO(path)[:]", log("default"), status=1)


def test_ase_reads_through_its_plugin(log, outside):
    code = """
import ase.io
print(json.dumps([a.positions.tolist() for a in ase.io.read(path, ':', format='znh5md')]))
"""
    np.testing.assert_array_equal(outside(code, log("znh5md", name="run.h5")), [position(step) for step in FRAMES])


# ------------------------------------------------------------------------------------------------------------ MDANSE

MDANSE = """
from MDANSE.MolecularDynamics.Trajectory import Trajectory
t = Trajectory(path, trajectory_format='H5MD')
print(json.dumps(dict(symbols=list(t.chemical_system.atom_list), time=t.time().tolist(),
                      coordinates=[t.coordinates(k).tolist() for k in range(len(t))],
                      cells=[t.unit_cell(k).direct.tolist() for k in range(len(t))],
                      charges=t.charges(0).tolist())))
"""


@three_states
@pytest.mark.parametrize("profile", ["default", "vector"])
def test_mdanse(any_log, outside, profile):
    seen = outside(MDANSE, any_log(profile, "still"))
    assert seen["symbols"] == ["H", "O"] * (N // 2)
    np.testing.assert_allclose(seen["time"], [step * STEP_TIME for step in FRAMES], rtol=1e-15)
    np.testing.assert_array_equal(seen["coordinates"], [position(step) for step in FRAMES])
    np.testing.assert_array_equal(seen["cells"], [edges(step) for step in FRAMES])
    assert seen["charges"] == [0.4, -0.8] * (N // 2)


def test_mdanse_triclinic_and_two_groups(log, outside):
    seen = outside(MDANSE, log("default", "still", "triclinic", "two"))
    np.testing.assert_array_equal(seen["cells"], [edges(step, triclinic=True) for step in FRAMES])
    np.testing.assert_array_equal(seen["coordinates"], [position(step) for step in FRAMES])


def test_mdanse_refuses_two_dimensions_and_angstrom(log, outside):
    outside(MDANSE, log("default", "still", "flat"), status=1)
    outside(MDANSE, log("default", "still", "angstrom"), status=1)


def test_mdanse_without_a_box(log, outside):
    code = MDANSE.replace("t.unit_cell(k).direct.tolist()", "t.unit_cell(k)")
    seen = outside(code, log("default", "still", "nothing"))
    np.testing.assert_array_equal(seen["coordinates"], [position(step) for step in FRAMES])
    assert seen["cells"] == [None] * len(FRAMES)


def test_mdanse_reads_no_unit_of_velocities(log, outside):
    """It wants "nm/ps", which is not how H5MD spells units."""
    outside(MDANSE, log(), status=1)
    assert outside(MDANSE, log("default", "reduced"))["symbols"] == ["H", "O"] * (N // 2)


# ------------------------------------------------------------------------------------------------------------- VOTCA

VOTCA_TOPOLOGY = f"""
<topology>
  <h5md_particle_group name="all"/>
  <molecules><molecule name="M" nmols="{N}" nbeads="1"><bead name="A" type="A" mass="1" q="0"/></molecule></molecules>
</topology>
"""


@pytest.fixture
def votca(need, tmp_path):
    """votca(path): the frames of the LAMMPS dump that csg_map makes of a file: edges, and the columns."""

    def convert(path, status=0):
        link, dump = path.with_suffix(".h5"), tmp_path / "frames.dump"  # it goes by the ending
        if link != path:
            link.symlink_to(path)
        (tmp_path / "topology.xml").write_text(VOTCA_TOPOLOGY)
        result = subprocess.run([need("csg_map"), "--top", tmp_path / "topology.xml", "--trj", link, "--no-map", "--vel",
                                 "--force", "--out", dump], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, errors="replace", timeout=120, check=False)
        assert (result.returncode == 0) == (status == 0), result.stdout
        if status != 0:
            return result.stdout
        frames = []
        for text in dump.read_text().split("ITEM: TIMESTEP\n")[1:]:
            lines = text.splitlines()
            box = np.array([list(map(float, line.split())) for line in lines[4:7]])
            columns = np.array([list(map(float, line.split())) for line in lines[8:]])
            frames.append((box[:, 1] - box[:, 0], columns[:, 2:]))
        return frames

    return convert


@three_states
def test_votca(any_log, votca):
    """It writes the units of LAMMPS, Angstrom and kcal, with six digits behind the point; it does not look at steps."""
    frames = votca(any_log("vector"))
    assert len(frames) == len(FRAMES)
    for step, (box, columns) in zip(FRAMES, frames):
        np.testing.assert_allclose(box, 10 * np.diag(edges(step)), atol=1e-6)
        np.testing.assert_allclose(columns[:, 0:3], 10 * position(step), atol=1e-6)
        np.testing.assert_allclose(columns[:, 3:6], 10 * velocity(step), atol=1e-6)
        np.testing.assert_allclose(columns[:, 6:9], force(step) / 41.868, atol=2e-6)  # its calorie


def test_votca_needs_its_profile(log, votca):
    assert "an error occurred" in votca(log("default"), status=1)


# ----------------------------------------------------------------------------------------- HDF5's own tools, h5py


@three_states
@pytest.mark.parametrize("tool", [("h5dump",), ("h5ls", "-r")])
def test_hdf5_tools(any_log, run, need, tool):
    output = run(need(tool[0]), *tool[1:], any_log("default", "bonds"))
    assert "position" in output and "h5md_series" in output


def test_the_groups_stay_as_they_are(log):
    """What a user of h5py finds without knowing of H5MD, and that all is stored once."""
    with h5py.File(log("default", "bonds")) as file:
        assert json.loads(file["trajectory"].attrs["paths"]) == list(
            name for name in ("x", "v", "f", "image", "box", "temperature"))
        assert set(file["trajectory"]) == {"step", "time", "x", "v", "f", "image", "box", "temperature"}
        assert file["particles/all/position/value"] == file["trajectory/x"]
        assert file["particles/all/position/step"] == file["trajectory/step"]
        assert file["particles/all/box/edges/time"] == file["trajectory/time"]
        assert file["particles/trajectory"] == file["particles/all"] == file["particles/system"]
        assert file["particles/all/mass"] == file["init/mass"]
        assert file["h5md_series/thermo/h5md"] == file["h5md"]
        reference = file["connectivity/bonds"].attrs["particles_group"]
        assert file[reference] == file["particles/all"]
        addresses = {}
        file.visititems(lambda name, thing: addresses.setdefault(h5py.h5o.get_info(thing.id).addr, name) and None)
        datasets = [name for name in addresses.values() if isinstance(file[name], h5py.Dataset)]
        # Two axes of two groups, six fields of the trajectory, one energy, five fixed ones, the drops; and for VMD three
        # lists of species and two of bonds.
        assert len(datasets) == 2 * 2 + 6 + 1 + 5 + 1 + 3 + 2


# ---------------------------------------------------------------------------------------------------------- the examples


def example(run, build, tmp_path, name, *words):
    path = tmp_path / f"{name}.h5md"
    run(build / "examples" / name, *words, "--out", path, "--quiet")
    output = run(build / "trajlog", "check", "--h5md", path)
    assert "BROKEN" not in output
    return path


def test_md_argon_opens_in_mdanalysis(run, build, tmp_path, mdanalysis):
    path = example(run, build, tmp_path, "md_argon", "--atoms", 32, "--steps", 40, "--every", 10)
    universe = open_unconverted(mdanalysis, path)
    with h5py.File(path) as file:
        assert universe.trajectory.n_frames == 5
        for row, frame in enumerate(universe.trajectory):
            np.testing.assert_array_equal(frame.positions, as_float32(file["trajectory/position"][row]))
            np.testing.assert_array_equal(frame.forces, as_float32(file["trajectory/force"][row]))
            np.testing.assert_array_equal(frame.dimensions[:3], as_float32(np.diag(file["init/box"])))
            assert frame.time == file["trajectory/time"][row]


def test_mc_gcmc_opens_in_mdanalysis_with_its_padding(run, build, tmp_path, mdanalysis):
    """MDAnalysis knows no varying numbers: it shows the capacity, and NaN where there is no particle."""
    path = example(run, build, tmp_path, "mc_gcmc", "--steps", 100)
    with h5py.File(path) as file:
        counts, ids = file["trajectory/count"][:], file["particles/all/id/value"]
        capacity = file["trajectory/position"].shape[1]
        assert ids.fillvalue == -1 and counts[0] == 0 and 32 < counts.max() <= capacity < 512
        universe = mdanalysis.Universe.empty(capacity)
        universe.load_new(str(path), convert_units=False)
        for row, frame in enumerate(universe.trajectory):
            np.testing.assert_array_equal(frame.positions, as_float32(file["trajectory/position"][row]))
            assert np.isnan(frame.positions[counts[row]:]).all() and not np.isnan(frame.positions[:counts[row]]).any()
            assert (ids[row][counts[row]:] == -1).all() and len(set(ids[row][:counts[row]])) == counts[row]
            assert frame.data["count"] == counts[row]


def test_pyh5md_reads_varying_numbers_with_their_ids(run, build, tmp_path, outside):
    path = example(run, build, tmp_path, "mc_gcmc", "--steps", 60)
    elements = outside(PYH5MD, path, "all", "id")
    with h5py.File(path) as file:
        counts = file["observables/count/value"][:]
    assert [sum(i >= 0 for i in frame) for frame in elements["id"][1]] == counts.tolist()


def test_mc_gcmc_keeps_the_identity_of_particles(run, build, tmp_path):
    """In a step, a particle moves little; so who has the same id in two frames is the same."""
    path = example(run, build, tmp_path, "mc_gcmc", "--steps", 60, "--every", 1, "--capacity", 64)
    with h5py.File(path) as file:
        ids, positions = file["trajectory/id"][:], file["trajectory/position"][:]
        box = np.diag(file["init/box"])
    kept = moved = 0
    for row in range(len(ids) - 1):
        places = {identity: place for place, identity in enumerate(ids[row]) if identity >= 0}
        for place, identity in enumerate(ids[row + 1]):
            if identity in places:
                way = positions[row + 1, place] - positions[row, places[identity]]
                kept += 1
                moved += np.abs(way - box * np.rint(way / box)).max() > 1.2
    assert kept > 100 and moved < 0.02 * kept


def test_lammps_log_opens_in_mdanalysis(run, build, need, root, tmp_path, mdanalysis):
    need(build / "examples" / "lammps_log")
    path = example(run, build, tmp_path, "lammps_log", "--input", root / "examples" / "in.melt", "--steps", 20, "--every", 10)
    with h5py.File(path) as file:
        universe = mdanalysis.Universe.empty(len(file["init/id"]))
        universe.load_new(str(path), format="H5MD", convert_units=False)
        for row, frame in enumerate(universe.trajectory):
            np.testing.assert_array_equal(frame.positions, as_float32(file["trajectory/position"][row]))
            assert frame.data["step"] == 10 * row
        assert list(file["particles/all/box"].attrs["boundary"]) == [b"periodic"] * 3


# ----------------------------------------------------------------------------------------------------------- the table


def test_the_document_lists_the_units_that_mdanalysis_knows(root, mdanalysis):
    from MDAnalysis.coordinates.H5MD import H5MDReader

    text = (root / "doc" / "interop.md").read_text()
    for quantity, units in H5MDReader._unit_translation.items():
        row = re.search(rf"^\| {quantity} \| (.*) \|$", text, re.MULTILINE).group(1)
        assert set(re.findall("`(.*?)`", row)) == set(units)


def test_the_document_names_tests_that_exist(root):
    text = (root / "doc" / "interop.md").read_text()
    sources = [*(root / "test" / "outside").glob("test_*.py"), *(root / "test" / "unit").glob("test_*.c")]
    existing = set(re.findall(r"(?:def|static void) (\w+)\(", "\n".join(source.read_text() for source in sources)))
    named = set(re.findall(r"`(\w+)`", text.split("## Which test says so", 1)[1]))
    assert len(named) > 30
    assert named <= existing, named - existing
