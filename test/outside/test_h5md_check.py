"""`trajlog check --h5md`: each rule of the specification, on our files, on those of other writers, and on files that break
the rule on purpose."""

import os
import pathlib
import subprocess
import sys

import h5py
import numpy as np
import pytest

from reading import build_plugin, unavailable_filter

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def check(build):
    """check(path, ...): the verdicts by rule, "held", "BROKEN" or "-", and the exit status."""

    def run_check(path, *options, env=None):
        result = subprocess.run([build / "trajlog", "check", "--h5md", *options, path], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=60, check=False, env=env)
        assert result.stderr == "", result.stderr
        verdicts = {}
        for line in result.stdout.splitlines()[:-1]:
            words = line.split()
            if not line.startswith(" "):
                verdicts[words[1]] = words[0]
        broken = {name for name, verdict in verdicts.items() if verdict == "BROKEN"}
        assert result.returncode == (1 if broken else 0)
        return verdicts, broken, result.stdout

    return run_check


@pytest.fixture
def log(run, build, tmp_path):
    def write(profile="default", *flags):
        run(build / "test" / "programs" / "h5md_log", tmp_path / "run.h5md", profile, *flags)
        return tmp_path / "run.h5md"

    return write


@pytest.fixture
def outside(run):
    venv = ROOT / "build" / "venv"

    def ask(code, *words, needs="pip"):
        if not any(venv.glob(f"lib/*/site-packages/{needs}")):
            assert not os.environ.get("CI"), f"build/venv has no {needs}: make readers"
            pytest.skip(f"build/venv has no {needs}: make readers")
        return run(venv / "bin" / "python", "-W", "ignore", "-c", code, *words)

    return ask


# ------------------------------------------------------------------------------------------------------- our files


@pytest.mark.parametrize("profile, flags", [
    ("default", ()), ("default", ("bonds", "two")), ("default", ("triclinic", "slab")), ("default", ("reduced",)),
    ("default", ("nothing",)), ("default", ("flat",)), ("default", ("angstrom", "float")), ("vector", ()),
    ("strict", ("static-box", "bonds", "two")), ("strict", ("flat",))])
def test_our_files_keep_every_rule(log, check, profile, flags):
    verdicts, broken, output = check(log(profile, *flags))
    assert not broken, output
    assert verdicts["particles.vectors"] == "held" and verdicts["element.value"] == "held"


def test_the_profile_for_znh5md_says_boundary_in_its_way(log, check):
    assert check(log("znh5md"))[1] == {"box.boundary"}


def test_observables_that_stand_aside_are_a_root_of_their_own(log, check):
    verdicts, broken, _ = check(log(), "--root", "/h5md_series/thermo")
    assert not broken and verdicts["observables"] == "held" and verdicts["h5md.version"] == "held"


@pytest.mark.parametrize("profile", ["default", "vector", "strict"])
@pytest.mark.parametrize("flag", ["kill", "wait"])
def test_killed_and_living_writers(build, tmp_path, check, flag, profile):
    path = tmp_path / "run.h5md"
    process = subprocess.Popen([build / "test" / "programs" / "h5md_log", path, profile, "bonds", flag],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if flag == "wait":
        assert process.stdout.readline() == "written\n"
    else:
        process.wait(timeout=60)
    verdicts, broken, output = check(path)
    assert not broken, output
    assert verdicts["element.value"] == verdicts["particles.vectors"] == verdicts["connectivity"] == "held"
    process.communicate("go on\n" if flag == "wait" else None, timeout=60)


def test_a_log_without_roles_is_no_h5md(build, run, tmp_path, check):
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"] = 1
    assert check(tmp_path / "plain.h5")[1] == {"h5md"}


def test_bad_files_and_command_lines(build, tmp_path):
    (tmp_path / "text").write_text("no HDF5\n" * 300)
    for words, status, message in [((tmp_path / "absent",), 2, "absent"), ((tmp_path / "text",), 1, "text"),
                                   ((), 2, "expected a file"), (("a", "b"), 2, "one file")]:
        result = subprocess.run([build / "trajlog", "check", "--h5md", *words], capture_output=True, text=True,
                                stdin=subprocess.DEVNULL, check=False)
        assert (result.returncode, message in result.stderr) == (status, True), result.stderr


def test_a_root_that_is_not_there(build, log):
    result = subprocess.run([build / "trajlog", "check", "--h5md", "--root", "/x", log()], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, check=False)
    assert result.returncode == 2 and 'there is no group "/x"' in result.stderr


# ---------------------------------------------------------------------------------------------- files of other writers


def test_pyh5md_writes(outside, check, tmp_path):
    outside("""
import sys, numpy as np, pyh5md
with pyh5md.File(sys.argv[1], 'w', author='A', creator='pyh5md', creator_version='1') as file:
    group = file.particles_group('all')
    group.create_box(dimension=3, boundary=['periodic'] * 3, store='fixed', data=np.ones(3))
    position = pyh5md.element(group, 'position', store='time', data=np.ones((4, 3)), time=True)
    mass = pyh5md.element(group, 'mass', data=np.ones(4), store='fixed')
    for step in range(5):
        position.append(np.random.rand(4, 3), step, 0.5 * step)
    group2 = file.particles_group('linear')
    group2.create_box(dimension=2, boundary=['none'] * 2)
    linear = pyh5md.element(group2, 'velocity', store='linear', data=np.ones((4, 2)), step=10, step_offset=5, time=0.1)
    linear.append(np.ones((4, 2)))
""", tmp_path / "pyh5md.h5")
    verdicts, broken, output = check(tmp_path / "pyh5md.h5")
    # It writes Python texts, which h5py makes of variable length.
    assert broken == {"h5md.author", "h5md.creator", "box.boundary"}, output
    assert verdicts["particles.vectors"] == "held" and verdicts["element.offset"] == "held"


def test_znh5md_writes(outside, check, tmp_path):
    outside("""
import sys, znh5md, ase.build
znh5md.IO(sys.argv[1], store='time').extend([ase.build.bulk('Cu', cubic=True) for _ in range(3)])
""", tmp_path / "znh5md.h5")
    _, broken, output = check(tmp_path / "znh5md.h5")
    # Python's texts; species as floats; and edges with a step and a time of their own.
    assert broken == {"h5md.author", "h5md.author.email", "h5md.creator", "box.boundary", "box.edges.time",
                      "particles.species"}, output


MDANALYSIS_WRITES = """
import sys, MDAnalysis
universe = MDAnalysis.Universe.empty(4, trajectory=True, velocities=True, forces=True)
universe.dimensions = [10, 10, 10, 90, 90, 90]
with MDAnalysis.Writer(sys.argv[1], 4, lengthunit='Angstrom', timeunit='ps', velocityunit='Angstrom/ps',
                       forceunit='kJ/(mol*Angstrom)') as writer:
    for step in range(3):
        universe.trajectory.ts.time = universe.trajectory.ts.data['step'] = step
        writer.write(universe.atoms)
"""


@pytest.mark.parametrize("which", ["Debian's", "newer"])
def test_mdanalysis_writes(run, outside, check, tmp_path, which):
    """In a process of its own, as its writer closes the file only when that ends."""
    path = tmp_path / "mda.h5md"
    if which == "newer":
        outside(MDANALYSIS_WRITES, path, needs="MDAnalysis")
    else:
        if not os.environ.get("CI"):
            pytest.importorskip("MDAnalysis", reason="MDAnalysis is not there")
        run(sys.executable, "-W", "ignore", "-c", MDANALYSIS_WRITES, path)
    verdicts, broken, output = check(path)
    assert broken == {"h5md.author", "h5md.creator", "box.boundary"}, output
    assert verdicts["element.value"] == verdicts["particles.vectors"] == "held"


# ---------------------------------------------------------------------------------------------- every rule can be broken


def fixed(text):
    return np.bytes_(text)


def element(group, name, value, step=None, time=None):
    made = group.create_group(name)
    made["value"] = value
    frames = len(value)
    made["step"] = np.arange(frames) if step is None else step
    made["time"] = 0.5 * np.arange(frames) if time is None else time
    return made


def write_model(path):
    """A file that keeps every rule, with something for each of them."""
    frames, count = 4, 5
    ascii_text = h5py.string_dtype("ascii")
    with h5py.File(path, "w") as file:
        h5md = file.create_group("h5md")
        h5md.attrs["version"] = np.array([1, 1])
        author = h5md.create_group("author")
        author.attrs["name"], author.attrs["email"] = fixed("A"), fixed("a@b")
        creator = h5md.create_group("creator")
        creator.attrs["name"], creator.attrs["version"] = fixed("c"), fixed("1")
        units = h5md.create_group("modules/units")
        units.attrs["version"] = np.array([1, 0])
        units.attrs["system"] = "SI"
        group = file.create_group("particles/all")
        position = element(group, "position", np.random.rand(frames, count, 3))
        position["value"].attrs.create("unit", "nm", dtype=ascii_text)
        position["time"].attrs.create("unit", "ps", dtype=ascii_text)
        box = group.create_group("box")
        box.attrs["dimension"] = 3
        box.attrs["boundary"] = np.array([b"periodic", b"periodic", b"none"])
        for name, value in [("box/edges", np.ones((frames, 3, 3))), ("image", np.zeros((frames, count, 3), int))]:
            made = group.create_group(name)
            made["value"], made["step"], made["time"] = value, position["step"], position["time"]
        group["mass"] = np.ones(count)
        group["species"] = np.arange(count)
        group["charge"] = np.ones(count)
        group["charge"].attrs["type"] = fixed("effective")
        ids = element(group, "id", np.array([np.random.permutation(count) for _ in range(frames)]))
        assert ids["value"].dtype == np.int64
        linear = file.create_group("observables/deep/linear")
        linear["value"], linear["step"] = np.ones(frames), 10
        linear["step"].attrs["offset"] = 5
        bonds = file.create_group("connectivity")
        other = file.create_group("particles/other")
        other.create_group("box").attrs["dimension"] = 3
        other["box"].attrs["boundary"] = np.array([b"none"] * 3)
        element(other, "velocity", np.zeros((2, count, 3)))
        bonds["bonds"] = np.array([[0, 1], [1, 4]])
        bonds["bonds"].attrs["particles_group"] = other.ref


def replace(file, path, value):
    attributes = dict(file[path].attrs)
    del file[path]
    file[path] = value
    file[path].attrs.update(attributes)


def drop_attribute(path, name):
    return lambda file: file[path].attrs.__delitem__(name)


def set_attribute(path, name, value, **kinds):
    return lambda file: file[path].attrs.create(name, value, **kinds)


def drop(path):
    return lambda file: file.__delitem__(path)


def put(path, value):
    return lambda file: replace(file, path, value)


def own_axes(path):
    def change(file):
        step = file[path + "/step"][:]
        del file[path + "/step"]
        file[path + "/step"] = step

    return change


def link_outside(file):
    del file["particles/all/mass"]
    file["particles/all/mass"] = h5py.ExternalLink("/etc/passwd", "/x")


def store_outside(path):
    """The dataset's bytes lie in another file, under its own name."""
    def change(file):
        shape, kind = file[path].shape, file[path].dtype
        del file[path]
        file.create_dataset(path, shape, kind, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])

    return change


def make_virtual(path):
    def change(file):
        layout = h5py.VirtualLayout(file[path].shape, file[path].dtype)
        layout[:] = h5py.VirtualSource("elsewhere.h5", "x", file[path].shape)
        del file[path]
        file.create_virtual_dataset(path, layout)

    return change


def pass_through(path, id):
    """As if a filter had been applied that is not HDF5's own."""
    def change(file):
        values = file[path][()].astype("i8")
        del file[path]
        stored = bytes(255 - b for b in values.tobytes())
        parent, name = path.rsplit("/", 1)
        unavailable_filter(file[parent], name, values.shape, values.shape, id, stored, h5py.h5t.STD_I64LE)

    return change


BREAKS = [
    ("file.links", link_outside),
    ("file.links", lambda file: file.__setitem__("observables/soft", h5py.SoftLink("/particles"))),
    ("file.links", store_outside("particles/all/id/value")),
    ("file.links", make_virtual("particles/all/id/value")),
    ("file.filters", pass_through("particles/other/velocity/step", 32004)),
    ("file.filters", pass_through("particles/all/id/value", 32015)),
    ("h5md", drop("h5md")),
    ("h5md.version", drop_attribute("h5md", "version")),
    ("h5md.version", set_attribute("h5md", "version", np.array([2, 0]))),
    ("h5md.version", set_attribute("h5md", "version", np.array([1.0, 1.0]))),
    ("h5md.author", drop("h5md/author")),
    ("h5md.author", set_attribute("h5md/author", "name", "variable")),
    ("h5md.author.email", set_attribute("h5md/author", "email", "variable")),
    ("h5md.creator", drop_attribute("h5md/creator", "version")),
    ("h5md.modules", drop_attribute("h5md/modules/units", "version")),
    ("units.system", set_attribute("h5md/modules/units", "system", fixed("SI"))),
    ("units.type", set_attribute("particles/all/position/value", "unit", fixed("nm"))),
    ("units.type", set_attribute("particles/all/position/value", "unit", "nm")),
    ("units.text", set_attribute("particles/all/position/time", "unit", "picoseconds", dtype=h5py.string_dtype("ascii"))),
    ("units.text", set_attribute("particles/all/position/value", "unit", "nm/ps", dtype=h5py.string_dtype("ascii"))),
    ("element", drop("particles/all/id/step")),
    ("element", drop("particles/all/id/value")),
    ("element.step", put("particles/other/velocity/step", np.array([0.0, 1.0]))),
    ("element.step", put("particles/other/velocity/step", np.array([[0], [1]]))),
    ("element.step.order", put("particles/other/velocity/step", np.array([5, 3]))),
    ("element.time", put("particles/other/velocity/time", np.array([b"a", b"b"]))),
    ("element.time", put("particles/other/velocity/time", 0.5)),
    ("element.time.order", put("particles/other/velocity/time", np.array([1.0, 0.5]))),
    ("element.time.order", put("particles/other/velocity/time", np.array([1.0, np.nan]))),
    ("element.offset", set_attribute("observables/deep/linear/step", "offset", np.array([1, 2]))),
    ("element.value", put("particles/other/velocity/step", np.arange(3))),
    ("element.value", put("particles/other/velocity/value", 1.0)),
    ("box", drop("particles/other/box")),
    ("box.dimension", drop_attribute("particles/all/box", "dimension")),
    ("box.dimension", set_attribute("particles/all/box", "dimension", 3.0)),
    ("box.boundary", drop_attribute("particles/all/box", "boundary")),
    ("box.boundary", set_attribute("particles/all/box", "boundary", np.array([b"none"] * 2))),
    ("box.boundary", set_attribute("particles/all/box", "boundary", ["none"] * 3, dtype=h5py.string_dtype())),
    ("box.boundary.text", set_attribute("particles/all/box", "boundary", np.array([b"open", b"none", b"none"]))),
    ("box.edges", drop("particles/all/box/edges")),
    ("box.edges.shape", put("particles/all/box/edges/value", np.ones((4, 2)))),
    ("box.edges.shape", put("particles/all/box/edges/value", np.ones((4, 3, 3, 3)))),
    ("box.edges.time", own_axes("particles/all/box/edges")),
    ("particles.vectors", put("particles/all/position/value", np.ones((4, 5, 2)))),
    ("particles.vectors", put("particles/other/velocity/value", np.ones((2, 5)))),
    ("particles.image", own_axes("particles/all/image")),
    ("particles.image", drop("particles/all/position")),
    ("particles.mass", put("particles/all/mass", np.arange(5))),
    ("particles.species", put("particles/all/species", np.ones(5))),
    ("particles.charge", put("particles/all/charge", np.ones((5, 2)))),
    ("particles.charge.type", set_attribute("particles/all/charge", "type", "effective")),
    ("particles.charge.type", set_attribute("particles/all/charge", "type", fixed("formal"))),
    ("particles.id", put("particles/all/id/value", np.ones((4, 5)))),
    ("particles.id.unique", put("particles/all/id/value", np.array([[0, 1, 2, 3, 4]] * 3 + [[0, 1, 2, 3, 3]]))),
    ("particles.count", put("particles/all/mass", np.ones(6))),
    ("observables", lambda file: file.create_group("observables/half").__setitem__("value", [1.0])),
    ("connectivity", put("connectivity/bonds", np.ones((3, 2)))),
    ("connectivity", put("connectivity/bonds", np.arange(3))),
    ("connectivity.particles_group", drop_attribute("connectivity/bonds", "particles_group")),
    ("connectivity.particles_group", lambda file: file["connectivity/bonds"].attrs.create(
        "particles_group", file["h5md"].ref, dtype=h5py.ref_dtype)),
    ("connectivity.range", put("connectivity/bonds", np.array([[0, 5]]))),
    ("connectivity.range", put("connectivity/bonds", np.array([[-1, 0]]))),
]


def test_the_model_keeps_every_rule(check, tmp_path):
    write_model(tmp_path / "model.h5")
    verdicts, broken, output = check(tmp_path / "model.h5")
    assert not broken, output
    assert set(verdicts.values()) == {"held"}, output


@pytest.mark.parametrize("rule, change", BREAKS, ids=[f"{rule}-{i}" for i, (rule, _) in enumerate(BREAKS)])
def test_a_broken_rule_is_found(check, tmp_path, rule, change):
    path = tmp_path / "broken.h5"
    write_model(path)
    with h5py.File(path, "r+") as file:
        change(file)
    _, broken, output = check(path)
    assert rule in broken, output


def test_every_rule_is_broken_by_some_test(check, tmp_path):
    write_model(tmp_path / "model.h5")
    assert set(check(tmp_path / "model.h5")[0]) == {rule for rule, _ in BREAKS}


@pytest.mark.parametrize("place", ["particles/other/velocity/step", "particles/all/id/value", "connectivity/bonds"])
def test_no_file_gets_a_plugin_loaded(build, check, tmp_path, place):
    path, plugin = tmp_path / "model.h5", build_plugin(build, tmp_path)
    write_model(path)
    with h5py.File(path, "r+") as file:
        attributes = dict(file[place].attrs)
        pass_through(place, 32004)(file)
        file[place].attrs.update(attributes)
    _, broken, output = check(path, env=plugin)
    assert "filter 32004 (lz4) is needed" in output
    assert not (tmp_path / "mark").exists()
    # The plugin works, and what it would have given is right: the data alone were the reason.
    subprocess.run(["h5dump", "-d", place, path], env=plugin, stdout=subprocess.DEVNULL, timeout=60, check=True)
    assert (tmp_path / "mark").exists()


def test_the_fill_value_marks_places_without_a_particle(check, tmp_path):
    path = tmp_path / "fill.h5"
    write_model(path)
    with h5py.File(path, "r+") as file:
        del file["particles/all/id/value"]
        values = file.create_dataset("particles/all/id/value", (4, 5), dtype="i4", fillvalue=-1)
        values[:] = [[0, 1, -1, -1, -1], [2, -1, -1, -1, 5], [-1] * 5, [0, 1, 2, 3, 4]]
    assert not check(path)[1]
    with h5py.File(path, "r+") as file:
        file["particles/all/id/value"][1] = [2, 2, -1, -1, -1]
    assert check(path)[1] == {"particles.id.unique"}


def test_a_file_that_claims_any_number_of_rows_takes_no_time(check, tmp_path):
    path = tmp_path / "claims.h5"
    write_model(path)
    with h5py.File(path, "r+") as file:
        for name, shape in [("step", (1 << 40,)), ("value", (1 << 40, 5))]:
            del file["particles/all/id/" + name]
            file.create_dataset("particles/all/id/" + name, shape, dtype="i8", chunks=True)
    assert {"element.step.order", "particles.id.unique"} <= check(path)[1]
