"""Our own files, read by our reader and by h5py; and what the reader says of those that are broken."""

import json
import os
import shutil
import subprocess
import time

import h5py
import numpy
import pytest

from reading import Refused, build_plugin, info, read, refuse_info, unavailable_filter


@pytest.fixture(scope="session")
def argon(build, tmp_path_factory):
    """A log of a real simulation: `init` once, `trajectory` every 5 steps, `thermo` every step, 41 steps."""
    path = tmp_path_factory.mktemp("argon") / "argon.h5"
    subprocess.run([build / "examples/md_argon", "--atoms", "108", "--steps", "40", "--every", "5",
                    "--checkpoint", "0", "--out", path, "--quiet"], check=True, stdin=subprocess.DEVNULL, timeout=120)
    return path


@pytest.fixture
def copy(argon, tmp_path):
    """One that a test may break."""
    return shutil.copy(argon, tmp_path / "copy.h5")


def stored(path, name):
    with h5py.File(path, "r") as file:
        return file[name][()]


def test_everything_is_read_as_h5py_reads_it(build, argon):
    told = info(build, argon)
    assert [group["name"] for group in told["groups"]] == ["init", "trajectory", "thermo"]
    for group in told["groups"]:
        for field in group["fields"]:
            values = stored(argon, f"{group['name']}/{field['name']}")
            got = read(build, argon, group["name"], field["name"])
            assert got.dtype == values.dtype
            numpy.testing.assert_array_equal(got[0] if group["once"] else got, values)


def test_steps_and_times_are_fields(build, argon):
    numpy.testing.assert_array_equal(read(build, argon, "trajectory", "step"), numpy.arange(0, 41, 5))
    numpy.testing.assert_array_equal(read(build, argon, "trajectory", "time"), stored(argon, "trajectory/time"))
    with h5py.File(argon, "r") as file:
        assert read(build, argon, "init", "step")[0] == file["init"].attrs["step"]
        assert read(build, argon, "init", "time")[0] == file["init"].attrs["time"]


@pytest.mark.parametrize("block_rows", [None, 0, 3])
def test_rows_are_selected_by_step_and_time(build, argon, block_rows):
    step, time = stored(argon, "trajectory/step"), stored(argon, "trajectory/time")
    position = stored(argon, "trajectory/position")
    for rows, chosen in [("step=20", step == 20), ("steps=7,31", (step >= 7) & (step <= 31)), ("steps=1,4", step < 0),
                         (f"times={time[2]:.17g},{time[5]:.17g}", (time >= time[2]) & (time <= time[5])),
                         ("times=-1e9,1e9", step >= 0)]:
        got = read(build, argon, "trajectory", "position", rows, block_rows=block_rows)
        numpy.testing.assert_array_equal(got, position[chosen], err_msg=rows)
    with pytest.raises(Refused) as refused:
        read(build, argon, "trajectory", "position", "step=21", block_rows=block_rows)
    assert refused.value.status == "TRAJLOG_NOT_FOUND"


@pytest.mark.parametrize("rows, index", [("1::3", slice(1, None, 3)), ("2:8", slice(2, 8)),
                                         ("8,0,1,2,-1", [8, 0, 1, 2, -1])])
@pytest.mark.parametrize("type", ["-", "float32"])
@pytest.mark.parametrize("block_rows", [None, 2])
def test_rows_are_selected_by_number(build, argon, rows, index, type, block_rows):
    for name in ("trajectory/position", "thermo/pressure"):
        got = read(build, argon, *name.split("/"), rows, type, block_rows)
        numpy.testing.assert_array_equal(got, stored(argon, name)[index].astype(got.dtype))


def test_a_running_log_is_followed(build, tmp_path):
    """A file that is there opens at any moment, and rows do not go away again."""
    path = tmp_path / "running.h5"
    writer = subprocess.Popen([build / "examples/md_argon", "--atoms", "108", "--steps", "8000", "--every", "5",
                               "--out", path, "--quiet"], stdin=subprocess.DEVNULL)
    rows = 0
    try:
        while writer.poll() is None:
            if not path.exists():
                time.sleep(0.01)
                continue
            groups = info(build, path)["groups"]
            seen = groups[2]["rows"] if groups else 0
            assert seen >= rows
            if seen > 0:
                numpy.testing.assert_array_equal(read(build, path, "thermo", "step", f":{seen}"), numpy.arange(seen))
            rows = seen
    finally:
        writer.kill()
        writer.wait()
    assert writer.returncode == 0
    assert info(build, path)["groups"][2]["rows"] == 8001


def test_a_torn_group_has_the_rows_that_all_datasets_have(build, copy):
    with h5py.File(copy, "r+") as file:
        file["trajectory/velocity"].resize(6, axis=0)
        file["trajectory/time"].resize(7, axis=0)
    group = info(build, copy)["groups"][1]
    assert (group["rows"], group["last_step"]) == (6, 25)
    assert read(build, copy, "trajectory", "position").shape == (6, 108, 3)
    assert read(build, copy, "trajectory", "step", "-1")[0] == 25
    with pytest.raises(Refused):
        read(build, copy, "trajectory", "position", "step=30")


def test_dropped_frames_are_listed(build, copy):
    drops = [[3, 9, 7], [20, 20, 1]]
    with h5py.File(copy, "r+") as file:
        file["trajlog/dropped"].resize(2, axis=0)
        file["trajlog/dropped"][:] = drops
    told = info(build, copy)
    assert told["dropped"] == 8
    assert told["drops"] == [{"first_step": first, "last_step": last, "frames": frames}
                             for first, last, frames in drops]


def test_a_once_group_that_was_not_written_has_no_rows(build, copy):
    with h5py.File(copy, "r+") as file:
        for name in list(file["init"]):
            del file["init"][name]
        del file["init"].attrs["step"], file["init"].attrs["time"]
    group = info(build, copy)["groups"][0]
    assert group["once"] and group["rows"] == 0
    assert read(build, copy, "init", "mass").shape == (0, 108)
    with pytest.raises(Refused) as refused:
        read(build, copy, "init", "mass", "0")
    assert refused.value.status == "TRAJLOG_NOT_FOUND"


def set_attribute(name, value):
    def change(file):
        file.attrs[name] = value
    return change


def replace_dataset(name, values):
    def change(file):
        del file[name]
        if values is not None:
            file.create_dataset(name, data=values)
    return change


def change_schema(edit):
    def change(file):
        schema = json.loads(file.attrs["trajlog_schema"])
        edit(schema)
        file.attrs["trajlog_schema"] = json.dumps(schema)
    return change


def claim_rows(name, rows):
    def change(file):
        for dataset in ("trajectory/step", "trajectory/time", "trajectory/position", "trajectory/velocity",
                        "trajectory/force") if name == "trajectory" else (name,):
            file[dataset].resize(rows, axis=0)
    return change


@pytest.mark.parametrize("spoil, message, status", [
    (set_attribute("trajlog_version", numpy.int32(2)), "format version is 2", "UNSUPPORTED"),
    (set_attribute("trajlog_version", numpy.int32(0)), "format version is 0", "INVALID_FILE"),
    (set_attribute("trajlog_version", "one"), 'attribute "trajlog_version" is not an integer', "INVALID_FILE"),
    (set_attribute("trajlog_schema", "{"), 'attribute "trajlog_schema"', "INVALID_FILE"),
    (set_attribute("trajlog_schema", "[]"), 'attribute "trajlog_schema"', "INVALID_FILE"),
    (change_schema(lambda schema: schema.pop("groups")), 'attribute "trajlog_schema"', "INVALID_FILE"),
    (replace_dataset("trajectory/position", None), 'group "trajectory": field "position": it is missing',
     "INVALID_FILE"),
    (replace_dataset("trajectory/step", None), 'group "trajectory": field "step": it is missing', "INVALID_FILE"),
    (replace_dataset("trajectory/step", numpy.arange(9, dtype="i4")), "it holds int32, and the schema says int64",
     "INVALID_FILE"),
    (replace_dataset("trajectory/time", numpy.zeros((9, 2))), "its shape is [2], and the schema says []",
     "INVALID_FILE"),
    (replace_dataset("trajectory/position", numpy.zeros((9, 107, 3))),
     'field "position": its shape is [107, 3], and the schema says [108, 3]', "INVALID_FILE"),
    (replace_dataset("trajectory/position", numpy.zeros((9, 108, 3), dtype="f4")),
     "it holds float32, and the schema says float64", "INVALID_FILE"),
    (replace_dataset("thermo/pressure", numpy.float64(1)), "it has no rows", "INVALID_FILE"),
    (replace_dataset("thermo", None), 'group "thermo": it is missing', "INVALID_FILE"),
    (replace_dataset("trajlog", None), 'group "trajlog": it is missing', "INVALID_FILE"),
    (replace_dataset("trajlog/dropped", numpy.array([[1, 2, -3]])), "dropped frames", "INVALID_FILE"),
    (claim_rows("trajectory", 10**12), "cannot come out of a file this small", "INVALID_FILE"),
    (claim_rows("trajlog/dropped", 10**12), "cannot come out of a file this small", "INVALID_FILE"),
])
def test_broken_files_are_refused(build, copy, spoil, message, status):
    with h5py.File(copy, "r+") as file:
        spoil(file)
    refusal = refuse_info(build, copy)
    assert message in refusal
    assert refusal.count(str(copy)) == 1
    with pytest.raises(Refused) as refused:
        read(build, copy, "trajectory", "position")
    assert refused.value.status == "TRAJLOG_" + status


def test_a_missing_filter_is_named(build, copy):
    with h5py.File(copy, "r+") as file:
        del file["thermo/pressure"]
        unavailable_filter(file["thermo"], "pressure", (41,), (41,), 32015)
    assert info(build, copy)["groups"][2]["rows"] == 41
    assert read(build, copy, "thermo", "temperature").shape == (41,)
    with pytest.raises(Refused) as refused:
        read(build, copy, "thermo", "pressure")
    assert refused.value.status == "TRAJLOG_UNSUPPORTED"
    assert "filter 32015 (zstd)" in refused.value.message


def test_no_file_gets_a_plugin_loaded_that_was_not_allowed(build, copy, tmp_path):
    plugin = build_plugin(build, tmp_path)
    values = numpy.arange(41.0)
    with h5py.File(copy, "r+") as file:
        del file["thermo/pressure"]
        unavailable_filter(file["thermo"], "pressure", (41,), (41,), 32004, bytes(255 - b for b in values.tobytes()))
    for filters in (None, "zstd", "32003,32005"):
        for rows in ("all", "0", "3,1"):
            with pytest.raises(Refused) as refused:
                read(build, copy, "thermo", "pressure", rows, filters=filters, env=plugin)
            assert refused.value.status == "TRAJLOG_UNSUPPORTED"
            assert "filter 32004 (lz4), which is not part of HDF5, and was not allowed" in refused.value.message
    for command in (["info"], ["check"]):
        subprocess.run([build / "trajlog", *command, copy], env=plugin, stdout=subprocess.DEVNULL, timeout=60)
    assert not (tmp_path / "mark").exists()
    for filters in ("32004", "zstd,lz4"):
        numpy.testing.assert_array_equal(read(build, copy, "thermo", "pressure", filters=filters, env=plugin), values)
    assert (tmp_path / "mark").exists()
    for filters, name in [("zst", "zst"), ("zstd,,lz4", ""), ("-1", "-1"), ("70000", "70000")]:
        with pytest.raises(Refused) as refused:
            read(build, copy, "thermo", "pressure", filters=filters, env=plugin)
        assert refused.value.status == "TRAJLOG_INVALID_ARGUMENT" and f'"{name}"' in refused.value.message


@pytest.mark.parametrize("part", [0, 7, 8, 47, 48, 100, 500, 2048, 4096, 0.25, 0.5, 0.75, 0.99])
def test_a_truncated_file_is_refused(build, copy, part):
    data = copy.read_bytes()
    size = part if isinstance(part, int) else int(part * len(data))
    copy.write_bytes(data[:size])
    assert str(copy) in refuse_info(build, copy)


def test_flipped_bits_do_not_crash_the_reader(build, copy):
    """The first pages hold the superblock, the object headers and the attributes."""
    data = bytearray(copy.read_bytes())
    for place in [*range(0, 64), *range(64, min(len(data), 24576), 211)]:
        data[place] ^= 1 << (place % 8)
        copy.write_bytes(data)
        data[place] ^= 1 << (place % 8)
        result = subprocess.run([build / "trajlog", "info", copy], stdin=subprocess.DEVNULL, capture_output=True,
                                timeout=60)
        assert result.returncode in (0, 1), f"bit flipped in byte {place}: {result.returncode}"
        if result.returncode == 1:
            assert str(copy).encode() in result.stderr, f"bit flipped in byte {place}"


def test_other_files_are_refused(build, tmp_path):
    for name, content, message in [("text.h5", b"a text", "not an HDF5 file"), ("empty.h5", b"", "not an HDF5 file")]:
        (tmp_path / name).write_bytes(content)
        assert message in refuse_info(build, tmp_path / name)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    assert "is not a log" in refuse_info(build, tmp_path / "other.h5")
    assert "No such file" in refuse_info(build, tmp_path / "missing.h5", status=2)
    assert "not a regular file" in refuse_info(build, tmp_path)
