"""What the writer leaves in a file, read with h5py: every element type, every sort of view, metadata; and that memory
does not grow with the run.

TRAJLOG_LONG   also a run that writes 2.4 GB, whose rows must cost as much as those of a short one (make long-test)
"""

import json
import os
import socket

import h5py
import numpy as np
import pytest

MODES = [[], ["synchronous"]]


@pytest.fixture
def write(build, run, tmp_path):
    """write(kind, steps, mode): runs write_log; the file's path."""

    def write_log(kind, steps, mode=()):
        path = tmp_path / f"{kind}-{steps}-{'-'.join(mode)}.h5"
        run(build / "test/programs/write_log", path, kind, str(steps), *mode)
        return path

    return write_log


def value(step, place):
    """As in write_log.c."""
    return (step * 7 + place * 3) % 100


TYPES = {name: np.dtype(name) for name in (
    "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128 bool").split()}


def expected_array(name, step):
    values = np.array([value(step, i) for i in range(6)])
    if name == "bool":
        return values % 2 == 1
    if name == "string":
        return np.array([bytes([97 + v % 26]) * (1 + v % 5) for v in values], dtype="S5")
    if name == "complex64":
        values = values + 1j * np.array([value(step, i + 1) for i in range(6)])
    if name == "complex128":
        values = values + 1j * np.array([value(step, i + 2) for i in range(6)])
    return values.astype(TYPES[name])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [*TYPES, "string"])
def test_every_element_type(write, name, mode):
    with h5py.File(write("types", 9, mode)) as file:
        for group, steps in ("once", [0]), ("every", [0, 2, 4, 6, 8]):
            array = file[f"{group}/array/{name}"]
            scalar = file[f"{group}/scalar/{name}"]
            if name == "string":
                information = h5py.check_string_dtype(array.dtype)
                assert information.length == 5 and information.encoding == "utf-8"
            else:
                assert array.dtype == TYPES[name] and scalar.dtype == TYPES[name]
            expected = np.array([expected_array(name, step) for step in steps])
            rows, firsts = array[()], scalar[()]
            if group == "once":
                rows, firsts = rows[np.newaxis], np.array([firsts])
            assert rows.shape == (len(steps), 2, 3) and firsts.shape == (len(steps),)
            assert rows.astype(expected.dtype).tobytes() == expected.tobytes()
            assert firsts.astype(expected.dtype).tobytes() == expected[:, 0].tobytes()
        assert list(file["every/step"]) == [0, 2, 4, 6, 8]
        assert file["every/step"].dtype == np.int64 and file["every/time"].dtype == np.float64
        assert list(file["every/time"]) == [0.0, 0.25, 0.5, 0.75, 1.0]
        assert "step" not in file["once"] and "time" not in file["once"]


@pytest.mark.parametrize("mode", MODES)
def test_every_sort_of_view(write, mode):
    steps = [0, 3, 6, 9, 10]
    x = np.array([[[value(step, 10 * i + j) + 0.5 for j in range(3)] for i in range(40)] for step in steps])
    with h5py.File(write("layouts", 11, mode)) as file:
        group = file["layouts"]
        assert list(group["step"]) == steps
        for name in "dense", "structures", "columns", "fortran", "callback":
            assert group[name].dtype == np.float64
            assert group[name][()].tobytes() == x.tobytes(), name
        for name in "dense_float32", "structures_float32", "callback_float32":
            assert group[name].dtype == np.float32
            assert group[name][()].tobytes() == x.astype(np.float32).tobytes(), name
        assert group["integers_int16"].dtype == np.int16
        assert np.array_equal(group["integers_int16"], np.floor(x))
        assert group["integers_float64"].dtype == np.float64
        assert np.array_equal(group["integers_float64"], np.floor(x))
        assert np.array_equal(group["reversed"], x[:, ::-1])
        assert np.array_equal(group["repeated"], np.repeat(x[:, :1], 40, axis=1))


def test_synchronous_logs_are_the_same(write):
    with h5py.File(write("layouts", 20)) as one, h5py.File(write("layouts", 20, ["synchronous"])) as other:
        assert list(one["layouts"]) == list(other["layouts"])
        for name, dataset in one["layouts"].items():
            assert dataset[()].tobytes() == other["layouts"][name][()].tobytes(), name


def test_metadata_and_environment(write):
    path = write("metadata", 1)
    with h5py.File(path) as file:
        assert file["groß/θ/x y"].shape == (1, 3)
        assert file["groß/θ/x y"].compression == "gzip" and file["groß/θ/x y"].fletcher32
        schema = json.loads(file.attrs["trajlog_schema"])
    assert schema["metadata"] == {"title": "second", "temperature": 300.5, "tags": ["a", None]}
    assert schema["program"] == {"name": "write_log", "version": "7"}
    group, = schema["groups"]
    assert group["name"] == "groß" and group["metadata"] == {"thermostat": "none"}
    field, = group["fields"]
    assert field["unit"] == "kJ mol-1" and field["description"] == "an angle, of a kind"
    assert field["metadata"] == {"error": {"absolute": 1e-3}}
    environment = schema["environment"]
    assert set(environment) == {"trajlog", "hdf5", "jansson", "compiler", "operating_system"}
    assert environment["hdf5"] == ".".join(map(str, h5py.h5.get_libversion()))
    assert all(environment.values())


def test_no_name_of_user_or_machine(write, monkeypatch):
    monkeypatch.setenv("USER", "a-telling-user-name")
    monkeypatch.setenv("LOGNAME", "a-telling-user-name")
    content = write("metadata", 1).read_bytes()
    assert b"a-telling-user-name" not in content
    assert socket.gethostname().encode() not in content
    assert os.getcwd().encode() not in content


def test_h5dump_and_h5ls_read_it(write, run, need):
    path = write("types", 3)
    assert "every" in run(need("h5ls"), "-r", path)
    assert "DATASET \"position\"" in run(need("h5dump"), "-H", write("particles", 3))


def check_particles(file, steps):
    """Place by place, a part of the file at a time."""
    position = file["particles/position"]
    assert position.shape == (steps, 1000, 3)
    for first in range(0, steps, 4000):
        block = position[first:first + 4000].reshape(-1, 3000)
        assert np.array_equal(block, 3000.0 * np.arange(first, first + len(block))[:, None] + np.arange(3000.0))


def log_steps(run, program, path, kind, steps, manner):
    """Logs and checks them; the most memory that this took, bytes, and the processor time, seconds."""
    try:
        kib, seconds = run(program, path, kind, str(steps), manner).split()
        with h5py.File(path) as file:
            assert np.array_equal(file[f"{kind}/step"], np.arange(steps))
            if kind == "scalars":
                assert np.array_equal(file["scalars/e"], np.arange(steps) + 1.0)
            else:
                check_particles(file, steps)
        return int(kib) << 10, float(seconds)
    finally:
        path.unlink(missing_ok=True)


LONG_RUNS = [("scalars", 200_000, 1_000_000), ("particles", 20_000, 100_000)] if os.environ.get("TRAJLOG_LONG") else []


@pytest.mark.parametrize("kind, few, many", [("scalars", 100_000, 1_000_000), ("particles", 4_000, 12_000), *LONG_RUNS])
def test_memory_does_not_grow_with_the_run(build, run, tmp_path, kind, few, many):
    program = build / "test/programs/write_log"
    path = tmp_path / "run.h5"
    memory, seconds = zip(*(log_steps(run, program, path, kind, steps, "tight") for steps in (few, many)))
    print(f"{kind}: {few} and {many} rows: {memory[0] >> 10} and {memory[1] >> 10} KiB, "
          f"{1e6 * seconds[0] / few:.2f} and {1e6 * seconds[1] / many:.2f} us of processor time a row")
    # A queue of 4 MiB, or of 64, and what a process has anyway.
    assert 0 < memory[0] and memory[1] < 40 << 20
    assert memory[1] - memory[0] < 8 << 20
    assert log_steps(run, program, path, kind, many, "measured")[0] < 100 << 20
    if (kind, few, many) in LONG_RUNS:
        assert seconds[1] / many < 2 * seconds[0] / few
