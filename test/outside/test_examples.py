"""The examples end to end: simulations whose files are compared, by h5py, with what the simulation had."""
import json
import os
import pathlib
import pty
import resource
import signal
import subprocess
import sys
import zlib

import h5py
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("TRAJLOG_BUILD", "build")
EXAMPLES = BUILD / "examples"

BOLTZMANN = 0.00831446261815324
EPSILON, SIGMA = 120 * BOLTZMANN, 0.34
TIME_STEP = 0.004
BAR = 16.6053906717385

pytestmark = pytest.mark.timeout(120)


def run(program, *arguments, check=True, **options):
    command = [EXAMPLES / program, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100, **options)
    if check:
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
    return result


def unit(dataset):
    text = dataset.attrs.get("unit")
    return text.decode() if isinstance(text, bytes) else text


def read_all(path):
    """Each dataset's type, shape and bytes, by its name in the log's own groups; in the H5MD tree they are once more."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = (item.dtype, item.shape, item[...].tobytes())

    with h5py.File(path) as log:
        for group in json.loads(log.attrs["group_names"]):
            log[group].visititems(lambda name, item, group=group: visit(f"{group}/{name}", item))
    return found


def pairs(position, edges):
    """Distance vectors i - j and squared distances of all pairs of nearest images."""
    i, j = np.triu_indices(len(position), 1)
    distance = position[i] - position[j]
    distance -= edges * np.rint(distance / edges)
    return i, j, distance, np.sum(distance**2, axis=1)


def lennard_jones(square):
    sixth = (SIGMA**2 / square) ** 3
    return 4 * EPSILON * sixth * (sixth - 1)


# ----------------------------------------------------------------------------------------------------------------------
# md_argon: the file


WAYS = {
    "by default": [],
    "synchronous": ["--sync"],
    "tiny queue": ["--config", "config.json"],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("atoms, steps, every", [(1, 0, 1), (7, 25, 10), (108, 300, 1), (500, 95, 10), (1000, 101, 25)])
def test_file_equals_memory(tmp_path, way, atoms, steps, every):
    """What h5py reads is what the simulation had, bit for bit: it adds up the bytes on the way."""
    (tmp_path / "config.json").write_text('{"queue": {"frames": 1}}')
    arguments = ["--atoms", atoms, "--steps", steps, "--every", every, "--out", "log.h5", "--checksum"]
    lines = run("md_argon", *arguments, *WAYS[way], cwd=tmp_path).stdout.splitlines()
    records = [json.loads(line) for line in lines]
    with h5py.File(tmp_path / "log.h5") as log:
        names = {group: set(log[group]) - {"step", "time"} for group in ("init", "trajectory", "thermo")}
        for record in records[:-1]:
            dataset = log[record["group"]][record["field"]]
            names[record["group"]].remove(record["field"])
            data = dataset[...].tobytes()
            assert len(data) == record["bytes"]
            assert f"{zlib.crc32(data):08x}" == record["crc32"], record
            if record["group"] != "init":
                assert len(dataset) == record["rows"]
        assert not any(names.values())
        for group, interval in ("trajectory", every), ("thermo", 1):
            expected = np.arange(0, steps + 1, interval)
            assert np.array_equal(log[group]["step"], expected)
            assert np.array_equal(log[group]["time"], expected * TIME_STEP)
            assert log[group]["step"].dtype == "<i8" and log[group]["time"].dtype == "<f8"


def test_layout(tmp_path):
    run("md_argon", "--atoms", 32, "--steps", 95, "--every", 10, "--out", tmp_path / "log.h5", "--quiet")
    units = {
        "init/mass": ("u", (32,)), "init/species": (None, (32,)), "init/charge": ("e", (32,)),
        "init/box": ("nm", (3, 3)), "trajectory/box": ("nm", (10, 3, 3)), "trajectory/position": ("nm", (10, 32, 3)),
        "trajectory/velocity": ("nm ps-1", (10, 32, 3)), "trajectory/force": ("kJ mol-1 nm-1", (10, 32, 3)),
        "thermo/potential_energy": ("kJ mol-1", (96,)), "thermo/kinetic_energy": ("kJ mol-1", (96,)),
        "thermo/total_energy": ("kJ mol-1", (96,)), "thermo/temperature": ("K", (96,)),
        "thermo/pressure": ("bar", (96,)),
    }  # fmt: skip
    with h5py.File(tmp_path / "log.h5") as log:
        for name, expected in units.items():
            assert (unit(log[name]), log[name].shape) == expected, name
        assert set(log["init/species"][...]) == {18} and set(log["init/mass"][...]) == {39.948}


def test_repeats(tmp_path):
    """The same run gives the same bytes, with and without threads; another seed gives others."""
    files = []
    for name, more in ("a", []), ("b", []), ("c", ["--sync"]), ("d", ["--seed", 2]):
        run("md_argon", "--atoms", 108, "--steps", 50, "--out", tmp_path / name, "--quiet", *more)
        files.append(read_all(tmp_path / name))
    assert files[0] == files[1] == files[2]
    assert files[0]["trajectory/position"] == files[0]["trajectory/position"]
    assert files[0]["trajectory/position"] != files[3]["trajectory/position"]
    assert files[0]["init/mass"] == files[3]["init/mass"]


def limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


FAILURES = {
    "no such directory": ({}, ["--out", "nowhere/log.h5"]),
    "a directory": ({}, ["--out", "."]),
    "a file that exists": ({}, ["--out", "precious"]),
    "a disk that fills up": ({"preexec_fn": limit_files}, ["--out", "log.h5"]),
    "a disk that fills up, synchronous": ({"preexec_fn": limit_files}, ["--out", "log.h5", "--sync"]),
    "no configuration": ({}, ["--out", "log.h5", "--config", "nothing.json"]),
    "a bad configuration": ({}, ["--out", "log.h5", "--config", "precious"]),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failing_log_changes_no_result(tmp_path, name):
    (tmp_path / "precious").write_text("precious")
    options, more = FAILURES[name]
    arguments = ["--atoms", 108, "--steps", 200, "--every", 1, "--checksum"]
    alone = run("md_argon", *arguments, "--no-log", cwd=tmp_path)
    result = run("md_argon", *arguments, *more, check=False, cwd=tmp_path, **options)
    assert result.returncode == 1
    assert result.stdout == alone.stdout
    assert result.stderr.startswith("md_argon: ") and len(result.stderr.strip().splitlines()) == 1
    assert len(result.stderr) > len("md_argon: .\n") + 5
    assert (tmp_path / "precious").read_text() == "precious"


def test_replace(tmp_path):
    for steps in 20, 10:
        run("md_argon", "--atoms", 4, "--steps", steps, "--out", tmp_path / "log.h5", "--quiet", "--replace")
    with h5py.File(tmp_path / "log.h5") as log:
        assert len(log["thermo/step"]) == 11


def test_configuration(tmp_path):
    """Groups, fields, frequencies and precision are set without recompiling."""
    config = {
        "groups": {
            "trajectory": {
                "frequency": {"every": 7},
                "fields": {"position": {"store_as": "float32"}, "force": {"enabled": False}},
            },
            "thermo": {"enabled": False},
        }
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    plain, other = tmp_path / "plain.h5", tmp_path / "other.h5"
    arguments = ["--atoms", 32, "--steps", 30, "--quiet"]
    run("md_argon", *arguments, "--every", 7, "--out", plain)
    run("md_argon", *arguments, "--every", 10, "--out", other, "--config", tmp_path / "config.json")
    with h5py.File(plain) as a, h5py.File(other) as b:
        assert "thermo" not in b and "force" not in b["trajectory"]
        assert b["trajectory/step"][...].tolist() == [0, 7, 14, 21, 28]
        assert b["trajectory/position"].dtype == np.float32
        assert np.array_equal(a["trajectory/position"][...].astype(np.float32), b["trajectory/position"])
        assert np.array_equal(a["trajectory/velocity"], b["trajectory/velocity"])


@pytest.mark.parametrize("storing", [{}, {"store_as": "float32"}, {"compression": "none"}, {"level": 6}])
def test_rounding(tmp_path, storing):
    """Values are rounded within the bounds that the file states, which h5py reads."""
    fields = {"position": {"max_error": 0.0005, **storing}, "velocity": {"significant_digits": 4, **storing}}
    (tmp_path / "config.json").write_text(json.dumps({"groups": {"trajectory": {"fields": fields}}}))
    plain, rounded = tmp_path / "plain.h5", tmp_path / "rounded.h5"
    arguments = ["--atoms", 108, "--steps", 100, "--quiet"]
    run("md_argon", *arguments, "--out", plain)
    run("md_argon", *arguments, "--out", rounded, "--config", tmp_path / "config.json")
    with h5py.File(plain) as a, h5py.File(rounded) as b:
        exact, near = a["trajectory/position"][...], b["trajectory/position"]
        assert near.attrs["max_error"] == 0.0005
        assert np.all(np.abs(near[...].astype(np.float64) - exact) <= 0.0005)
        assert np.all(near[...] * 1024 % 1 == 0)
        assert (near.compression == "gzip") == ("compression" not in storing)
        exact, near = a["trajectory/velocity"][...], b["trajectory/velocity"]
        assert near.attrs["significant_digits"] == 4
        assert np.all(np.abs(near[...].astype(np.float64) - exact) <= 0.5e-4 * np.abs(exact))
        assert np.any(near[...] != exact.astype(near.dtype))
        assert np.array_equal(a["trajectory/force"], b["trajectory/force"])


@pytest.mark.parametrize("compression", ["none", "deflate"])
def test_access_by_particle(tmp_path, compression):
    """Chunks of few particles have the same values, for h5py and for the library's reader."""
    field = {"access": "particle", "compression": compression, "store_as": "float32"}
    fields = {"position": {**field, "chunk_rows": 100}, "velocity": field}
    (tmp_path / "config.json").write_text(json.dumps({"groups": {"trajectory": {"fields": fields}}}))
    plain, other = tmp_path / "plain.h5", tmp_path / "other.h5"
    arguments = ["--atoms", 500, "--steps", 130, "--every", 1, "--quiet"]
    run("md_argon", *arguments, "--out", plain)
    run("md_argon", *arguments, "--out", other, "--config", tmp_path / "config.json")
    with h5py.File(plain) as a, h5py.File(other) as b:
        assert b["trajectory/position"].chunks == (100, 167, 3)
        assert b["trajectory/velocity"].chunks[0] >= 64
        for name in "position", "velocity", "force":
            assert np.array_equal(a["trajectory"][name][...].astype(b["trajectory"][name].dtype), b["trajectory"][name])
    run("read_back", plain)
    run("read_back", other)


# ----------------------------------------------------------------------------------------------------------------------
# md_argon: the physics


@pytest.fixture(scope="module")
def liquid(tmp_path_factory):
    path = tmp_path_factory.mktemp("liquid") / "log.h5"
    run("md_argon", "--atoms", 864, "--steps", 1500, "--every", 50, "--out", path, "--quiet")
    with h5py.File(path) as log:
        return {f"{group}/{name}": item[...] for group in ("init", "trajectory", "thermo")
                for name, item in log[group].items()}  # fmt: skip


def test_energy_is_kept(liquid):
    total, kinetic = liquid["thermo/total_energy"], liquid["thermo/kinetic_energy"]
    assert np.array_equal(total, liquid["thermo/potential_energy"] + kinetic)
    assert abs(total - total[0]).max() < 2e-3 * kinetic.mean()
    first, last = total[100:800].mean(), total[-700:].mean()
    assert abs(last - first) < 2e-4 * kinetic.mean()
    # The parts do change: the lattice melts.
    assert kinetic[0] > 1.5 * kinetic[-500:].mean()


def test_momentum_stays_zero(liquid):
    momentum = np.einsum("i,tik->tk", liquid["init/mass"], liquid["trajectory/velocity"])
    assert abs(momentum).max() < 1e-9
    assert abs(liquid["trajectory/force"].sum(axis=1)).max() < 1e-7


def test_liquid_argon(liquid):
    """Near Rahman's state point: 94.4 K, and a diffusion coefficient of 2.43e-5 cm^2/s."""
    temperature = liquid["thermo/temperature"]
    assert temperature[0] == pytest.approx(188.8)
    assert 85 < temperature[-750:].mean() < 110
    assert -500 < liquid["thermo/pressure"][-750:].mean() < 1500
    edges = np.diagonal(liquid["init/box"])
    assert 864 / edges.prod() == pytest.approx(20.71)
    steps = np.diff(liquid["trajectory/position"], axis=0)
    path = np.cumsum(steps - edges * np.rint(steps / edges), axis=0)
    square = np.mean(np.sum((path[15:] - path[14]) ** 2, axis=2), axis=1)
    diffusion = square[-1] / (6 * 15 * 50 * TIME_STEP)  # nm^2/ps = 1e-2 cm^2/s
    assert 1.2e-3 < diffusion < 5e-3


def test_positions_are_in_the_box(liquid):
    position = liquid["trajectory/position"]
    assert position.min() >= 0 and np.all(position <= np.diagonal(liquid["init/box"]))


def test_velocities_are_normal(liquid):
    velocity = liquid["trajectory/velocity"]
    scale = np.sqrt(BOLTZMANN * liquid["thermo/temperature"][::50] / 39.948)[:, None, None]
    numbers = (velocity / scale).ravel()
    assert abs(numbers.mean()) < 0.01 and numbers.std() == pytest.approx(1, abs=0.01)
    assert np.mean(numbers**4) == pytest.approx(3, abs=0.15)


@pytest.mark.parametrize("atoms", [2, 60, 108, 700])
def test_energies_and_forces(tmp_path, atoms):
    """Computed anew from the positions in the file, by another program: with cells and without."""
    path = tmp_path / "log.h5"
    run("md_argon", "--atoms", atoms, "--steps", 40, "--every", 20, "--out", path, "--quiet")
    with h5py.File(path) as log:
        trajectory, thermo, edges = log["trajectory"], log["thermo"], np.diagonal(log["init/box"])
        cutoff = min(2.5 * SIGMA, edges.min() / 2)
        edge_energy = lennard_jones(cutoff**2)
        edge_slope = -24 * EPSILON * (2 * (SIGMA / cutoff) ** 12 - (SIGMA / cutoff) ** 6) / cutoff
        for row, step in enumerate(trajectory["step"]):
            i, j, distance, square = pairs(trajectory["position"][row], edges)
            near = square < cutoff**2
            i, j, distance, square = i[near], j[near], distance[near], square[near]
            r, sixth = np.sqrt(square), (SIGMA**2 / square) ** 3
            energy = lennard_jones(square) - edge_energy - (r - cutoff) * edge_slope
            strength = 24 * EPSILON * (2 * sixth**2 - sixth) / square + edge_slope / r
            force = np.zeros((atoms, 3))
            np.add.at(force, i, strength[:, None] * distance)
            np.add.at(force, j, -strength[:, None] * distance)
            twice_kinetic = 39.948 * np.sum(trajectory["velocity"][row] ** 2)
            pressure = (twice_kinetic + np.sum(strength * square)) / (3 * edges.prod()) * BAR
            assert thermo["potential_energy"][step] == pytest.approx(energy.sum(), rel=1e-9, abs=1e-9)
            assert thermo["kinetic_energy"][step] == pytest.approx(twice_kinetic / 2, rel=1e-12)
            freedom = 3 * atoms - 3
            assert thermo["temperature"][step] == pytest.approx(twice_kinetic / freedom / BOLTZMANN, rel=1e-12)
            assert thermo["pressure"][step] == pytest.approx(pressure, rel=1e-9, abs=1e-6)
            np.testing.assert_allclose(trajectory["force"][row], force, rtol=1e-8, atol=1e-7)


def test_velocity_verlet(tmp_path):
    path = tmp_path / "log.h5"
    run("md_argon", "--atoms", 108, "--steps", 20, "--every", 1, "--out", path, "--quiet")
    with h5py.File(path) as log:
        x, v, f = (log["trajectory"][name][...] for name in ("position", "velocity", "force"))
        edges = np.diagonal(log["init/box"])
    acceleration = f / 39.948
    way = TIME_STEP * v[:-1] + 0.5 * TIME_STEP**2 * acceleration[:-1]
    miss = x[1:] - x[:-1] - way
    np.testing.assert_allclose(miss - edges * np.rint(miss / edges), 0, atol=1e-12)
    np.testing.assert_allclose(v[1:], v[:-1] + 0.5 * TIME_STEP * (acceleration[1:] + acceleration[:-1]), atol=1e-12)


# ----------------------------------------------------------------------------------------------------------------------
# Terminals and command lines


def run_on_terminal(*command):
    """stderr on a terminal of its own; returns what was drawn there."""
    master, slave = pty.openpty()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    drawn = b""
    try:
        while chunk := os.read(master, 65536):
            drawn += chunk
    except OSError:  # the other end is closed
        pass
    process.communicate(timeout=60)
    os.close(master)
    return process.returncode, drawn.decode()


@pytest.mark.parametrize("program, arguments", [("md_argon", ["--atoms", 500]), ("mc_gcmc", ["--steps", 3000])])
def test_progress_bar(tmp_path, program, arguments):
    """On a terminal, with the time that is left; not with --quiet. Elsewhere nothing, which run() checks."""
    arguments = [EXAMPLES / program, *arguments, "--replace", "--out", tmp_path / "log.h5"]
    status, drawn = run_on_terminal(*arguments)  # the summary goes to stdout
    assert status == 0 and drawn.count("\r") > 1 and "left" in drawn
    assert drawn.count("100 %  ") >= 1 and drawn.count("\n") == 1 and drawn.endswith("\n")
    assert run_on_terminal(*arguments, "--quiet") == (0, "")


@pytest.mark.parametrize("program, arguments", [
    ("md_argon", []), ("md_argon", ["--out", "x", "--atoms", "0"]), ("md_argon", ["--out", "x", "--every", "0"]),
    ("md_argon", ["--out", "x", "--steps", "-1"]), ("md_argon", ["--out", "x", "--steps", "ten"]),
    ("md_argon", ["--out", "x", "--atoms", "99999999999999999999"]), ("md_argon", ["--out", "x", "more"]),
    ("md_argon", ["--out", "x", "--temperature", "nan"]), ("mc_gcmc", ["--steps", "5"]),
    ("mc_gcmc", ["--out", "x", "--edge", "0.1"]), ("mc_gcmc", ["--out", "x", "--capacity", "0"]),
    ("read_back", []), ("read_back", ["nothing.h5"]), ("read_back", ["text"]),
])  # fmt: skip
def test_bad_command_line(tmp_path, program, arguments):
    (tmp_path / "text").write_text("no log")
    result = run(program, *arguments, check=False, cwd=tmp_path)
    assert result.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT)
    assert result.stdout == "" and result.stderr.strip()
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


# ----------------------------------------------------------------------------------------------------------------------
# mc_gcmc


@pytest.fixture(scope="module")
def gas(tmp_path_factory):
    path = tmp_path_factory.mktemp("gas") / "log.h5"
    run("mc_gcmc", "--steps", 1505, "--every", 10, "--out", path, "--quiet")
    return path


def test_particles_come_and_go(gas):
    with h5py.File(gas) as log:
        trajectory, thermo = log["trajectory"], log["thermo"]
        count = trajectory["count"][...]
        # Room for 32 at first, doubled until all fit.
        capacity = 32 * 2 ** max(0, int(np.ceil(np.log2(count.max() / 32))))
        assert trajectory["position"].shape == (151, capacity, 3) and len(thermo["count"]) == 1506
        assert trajectory["step"][...].tolist() == list(range(0, 1510, 10))
        assert count[0] == 0 and count[50:].min() > 20 and len(set(count)) > 20
        assert np.array_equal(count, thermo["count"][::10])
        edges = np.diagonal(log["init/box"])
        position = trajectory["position"][...]
        live = np.arange(capacity)[None, :] < count[:, None]
        assert capacity > 32 and np.all(np.isnan(position[~live]))
        assert np.all((position[live] >= 0) & (position[live] <= edges))


def test_energy_of_the_particles(gas):
    """The energy that is carried along the moves is the energy of the positions in the file."""
    with h5py.File(gas) as log:
        edges = np.diagonal(log["init/box"])
        cutoff = (2.5 * SIGMA) ** 2
        for row in range(0, 151, 15):
            position = log["trajectory/position"][row][: log["trajectory/count"][row]]
            square = pairs(position, edges)[3]
            energy = np.sum((lennard_jones(square) - lennard_jones(cutoff))[square < cutoff])
            assert log["thermo/energy"][log["trajectory/step"][row]] == pytest.approx(energy, rel=1e-8, abs=1e-8)


def test_acceptance_ratios(gas):
    with h5py.File(gas) as log:
        for move in "displacement", "insertion", "deletion":
            ratio = log["thermo"][f"{move}_acceptance"][...]
            assert np.isnan(ratio[0]) and np.all((ratio[1:] >= 0) & (ratio[1:] <= 1))
            assert 0.3 < ratio[-1] < 0.95


def test_gas_law(tmp_path):
    """A dilute gas has the density of its activity, with a small correction by the second virial coefficient."""
    path = tmp_path / "log.h5"
    run("mc_gcmc", "--steps", 6000, "--activity", 0.5, "--temperature", 300, "--out", path, "--quiet")
    r = np.linspace(1e-3, 2.5 * SIGMA, 20001)
    mayer = np.exp(-(lennard_jones(r**2) - lennard_jones((2.5 * SIGMA) ** 2)) / (BOLTZMANN * 300)) - 1
    virial = -2 * np.pi * np.sum(mayer * r**2) * (r[1] - r[0])
    with h5py.File(path) as log:
        count = log["thermo/count"][500:]
    expected = 27 * (0.5 - 2 * virial * 0.5**2)
    assert count.mean() == pytest.approx(expected, rel=0.05)
    assert 0.7 < count.var() / count.mean() < 1.4


def test_capacity_is_kept(tmp_path):
    path = tmp_path / "log.h5"
    run("mc_gcmc", "--steps", 300, "--capacity", 10, "--activity", 20, "--out", path, "--quiet", "--every", 1)
    with h5py.File(path) as log:
        assert log["thermo/count"][...].max() == 10 and log["trajectory/position"].shape == (301, 10, 3)
        assert not np.isnan(log["trajectory/position"][np.argmax(log["trajectory/count"])]).any()


def test_the_log_makes_room_as_the_box_fills(tmp_path):
    """Frames are as wide as doublings of the first room make them; older rows have nothing there."""
    path = tmp_path / "log.h5"
    run("mc_gcmc", "--steps", 300, "--activity", 20, "--out", path, "--quiet", "--every", 1)
    with h5py.File(path) as log:
        count, position, identity = (log[f"trajectory/{name}"] for name in ("count", "position", "id"))
        capacity = position.shape[1]
        assert count[0] == 0 and capacity // 2 < count[...].max() <= capacity and capacity in (128, 256, 512)
        assert position.shape == (301, capacity, 3) and identity.shape == (301, capacity)
        assert log["particles/all/id/value"].shape == identity.shape and identity.fillvalue == -1
        there = np.arange(capacity) < count[...][:, None]
        np.testing.assert_array_equal(np.isnan(position[...]).any(axis=2), ~there)
        np.testing.assert_array_equal(np.isnan(position[...]).all(axis=2), ~there)
        np.testing.assert_array_equal(identity[...] >= 0, there)
        assert (identity[...][~there] == -1).all()
        np.testing.assert_array_equal(count[...], log["thermo/count"][...])


def test_gcmc_repeats(tmp_path):
    for name, more in ("a", []), ("b", ["--sync"]), ("c", ["--seed", 5]):
        run("mc_gcmc", "--steps", 200, "--out", tmp_path / name, "--quiet", *more)
    assert read_all(tmp_path / "a") == read_all(tmp_path / "b") != read_all(tmp_path / "c")


# ----------------------------------------------------------------------------------------------------------------------
# Reading back


def test_read_back(tmp_path):
    path = tmp_path / "log.h5"
    run("md_argon", "--atoms", 256, "--steps", 300, "--every", 10, "--out", path, "--quiet")
    lines = run("read_back", path).stdout.splitlines()
    assert lines[0].startswith("#")
    table = np.array([[float(word) for word in line.split()] for line in lines[1:]])
    with h5py.File(path) as log:
        step = log["trajectory/step"][...]
        edges = np.diagonal(log["init/box"])
        way = np.diff(log["trajectory/position"], axis=0)
        way = np.cumsum(way - edges * np.rint(way / edges), axis=0)
        square = np.concatenate([[0], np.mean(np.sum(way**2, axis=2), axis=1)])
        columns = [step, log["trajectory/time"][...]]
        for name in "potential_energy", "kinetic_energy", "total_energy", "temperature":
            columns.append(log["thermo"][name][...][step])
        np.testing.assert_allclose(table, np.stack([*columns, square], axis=1), atol=5.1e-4)
        np.testing.assert_allclose(table[:, 6], square, atol=5.1e-7)


def test_read_back_with_python(tmp_path):
    log, picture = tmp_path / "log.h5", tmp_path / "picture.png"
    run("md_argon", "--atoms", 256, "--steps", 300, "--every", 10, "--out", log, "--quiet")
    command = [sys.executable, ROOT / "examples" / "read_back.py", log, picture]
    subprocess.run(command, check=True, timeout=100, env={**os.environ, "MPLCONFIGDIR": str(tmp_path)})
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) > 20_000
