"""trajlog check and trajlog recover: sound files, killed ones, and files in which each thing that is checked is wrong."""

import json
import os
import shutil
import signal
import subprocess
import time

import h5py
import numpy
import pytest

from reading import info


@pytest.fixture(scope="module")
def made(build, tmp_path_factory):
    """A log: `once` and `every` (each 2 steps) of all types, 50 steps."""
    path = tmp_path_factory.mktemp("made") / "log.h5"
    subprocess.run([build / "test/programs/write_log", path, "types", "50"], check=True, timeout=60)
    return path


@pytest.fixture
def log(made, tmp_path):
    return shutil.copy(made, tmp_path / "log.h5")


@pytest.fixture
def check(build):
    """check(path, ...): the report, and the exit status."""

    def run_check(path, *options, status=0):
        command = [build / "trajlog", "check", "--json", *options, path]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        assert result.returncode == status, result.stdout + result.stderr
        report = json.loads(result.stdout)
        assert report["sound"] == (status == 0) == (report["problems"] == [])
        return report

    return run_check


@pytest.fixture
def recover(build):
    def run_recover(path, *options, status=0):
        command = [build / "trajlog", "recover", *options, path]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout + result.stderr

    return run_recover


def contents(path):
    """Everything that plain h5py sees."""
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: found.__setitem__(
            name, (item[()].tobytes() if isinstance(item, h5py.Dataset) else None,
                   {key: str(value) for key, value in item.attrs.items()})))
        found["/"] = {key: str(value) for key, value in file.attrs.items()}
    return found


@pytest.fixture
def killed(build, tmp_path):
    """killed(): a run that was killed after some rows."""

    def kill():
        path = tmp_path / "killed.h5"
        writer = subprocess.Popen([build / "examples/md_argon", "--atoms", "108", "--steps", "1000000", "--every", "5",
                                   "--checkpoint", "0", "--out", path, "--quiet"], stdin=subprocess.DEVNULL)
        try:
            wait_for_rows(build, path, writer)
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        return path

    return kill


def wait_for_rows(build, path, writer, least=1):
    while not path.exists() or not info(build, path)["groups"] or info(build, path)["groups"][2]["rows"] < least:
        assert writer.poll() is None
        time.sleep(0.05)


def test_a_closed_file_is_sound(check, recover, made, log):
    report = check(log)
    with h5py.File(log, "r") as file:
        rows = len(file["every/step"])
    assert report == {"path": str(log), "sound": True, "problems": [], "state": "closed", "last_step": 49, "groups": 2,
                      "rows": rows + 1, "dropped": 0, "checkpoints": 0, "checkpoint_step": None, "journal": "none",
                      "unfinished": False, "file_bytes": log.stat().st_size, "end_bytes": log.stat().st_size}
    before = log.stat()
    assert "nothing to do" in recover(log)
    assert log.read_bytes() == made.read_bytes()
    assert (before.st_mtime_ns, before.st_ino) == (log.stat().st_mtime_ns, log.stat().st_ino)
    assert os.listdir(log.parent) == ["log.h5"]


def test_people_get_a_verdict_first(build, run, log):
    lines = run(build / "trajlog", "check", log).splitlines()
    assert lines == [f"{log}: sound", "  closed; complete to step 49", "  2 groups, 26 rows"]


def test_a_killed_file_is_sound_and_recovery_loses_nothing(build, run, check, recover, killed):
    path = killed()
    report = check(path)
    assert (report["state"], report["journal"]) == ("killed", "none")
    assert report["end_bytes"] < report["file_bytes"] == path.stat().st_size
    text = run(build / "trajlog", "check", path)
    assert f"killed; complete to step {report['last_step']}\n" in text and "trajlog recover" in text
    before, told = contents(path), info(build, path)
    assert report["last_step"] == told["groups"][2]["last_step"]
    assert "recovered, and cut by" in recover(path)
    assert contents(path) == before and info(build, path)["groups"] == told["groups"]
    after = check(path)
    assert after["state"] == "closed" and after["end_bytes"] == after["file_bytes"] == path.stat().st_size
    assert {**after, "state": 0, "end_bytes": 0, "file_bytes": 0} == {**report, "state": 0, "end_bytes": 0,
                                                                     "file_bytes": 0}
    assert "nothing to do" in recover(path)
    assert os.listdir(path.parent) == ["killed.h5"]


def test_a_file_that_is_being_written(build, check, recover, tmp_path):
    path = tmp_path / "running.h5"
    writer = subprocess.Popen([build / "examples/md_argon", "--atoms", "108", "--steps", "1000000", "--every", "5",
                               "--out", path, "--quiet"], stdin=subprocess.DEVNULL)
    try:
        wait_for_rows(build, path, writer)
        for _ in range(5):
            assert check(path)["state"] == "being written"
            message = recover(path, status=1)
            assert "another writer has" in message and f"process {writer.pid} on" in message
    finally:
        writer.kill()
        writer.wait()
    assert check(path)["state"] == "killed"
    recover(path)
    check(path)


def test_a_symbolic_link_leads_to_the_file(check, recover, killed, tmp_path):
    path = killed()
    (tmp_path / "link").symlink_to("killed.h5")
    assert check(tmp_path / "link")["state"] == "killed"
    recover(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert check(path)["state"] == "closed"


def test_a_seed_file_is_checked_too(check, recover, tmp_path):
    with h5py.File(tmp_path / "seed.h5", "w") as file:
        file.attrs["group_names"] = json.dumps(["group"])
        group = file.create_group("group")
        group.attrs["paths"] = json.dumps(["array"])
        group["array"] = numpy.zeros((5, 3))
    report = check(tmp_path / "seed.h5")
    assert (report["rows"], report["last_step"], report["state"]) == (5, None, "closed")
    assert "nothing to do" in recover(tmp_path / "seed.h5")


def change(name, edit):
    def spoil(file):
        values = file[name][()]
        edit(values)
        file[name][...] = values
    return spoil


def resize(name, rows):
    return lambda file: file[name].resize(rows, axis=0)


def attribute(place, name, value):
    def spoil(file):
        file[place].attrs[name] = value
    return spoil


def without_chunks(file):
    """Rows that exist, and of which nothing was written."""
    old = file["every/scalar/float64"]
    values = (old.dtype, old.shape, old.maxshape)
    del file["every/scalar/float64"]
    file["every/scalar"].create_dataset("float64", values[1], values[0], maxshape=values[2], chunks=(10,))


def broken_checksum(file):
    del file["every/scalar/float64"]
    dataset = file["every/scalar"].create_dataset("float64", data=numpy.arange(25.0), maxshape=(None,), chunks=(10,),
                                                  fletcher32=True)
    chunk = bytearray(dataset.id.read_direct_chunk((10,))[1])
    chunk[3] ^= 1
    dataset.id.write_direct_chunk((10,), bytes(chunk))


def drops(*rows):
    def spoil(file):
        file["trajlog/dropped"].resize(len(rows), axis=0)
        file["trajlog/dropped"][:] = rows
    return spoil


def set_at(index, value):
    def edit(values):
        values[index] = value
    return edit


@pytest.mark.parametrize("spoil, message", [
    (change("every/step", set_at(7, 12)), 'group "every", field "step": row 7: step 12 follows step 12'),
    (change("every/step", set_at(0, 100)), 'group "every", field "step": row 1: step 2 follows step 100'),
    (change("every/time", set_at(24, numpy.nan)), 'group "every", field "time": row 24: the time nan is not finite'),
    (change("every/time", set_at(3, 0.25)), 'group "every", field "time": row 3: time 0.25 follows time 0.5'),
    (resize("every/array/int8", 24), 'group "every", field "step": it has 25 rows, and the group\'s other datasets have '
                                     'as few as 24'),
    (resize("every/array/int8", 26), 'group "every", field "array/int8": it has 26 rows, and the group\'s other datasets '
                                     'have as few as 25'),
    (without_chunks, 'group "every", field "scalar/float64": 3 of its chunks are missing'),
    (broken_checksum, 'group "every", field "scalar/float64": rows 0 to 24: a chunk of rows 10 to 19: the checksum is'),
    (attribute("/", "actual_steps", numpy.int64(47)), 'attribute "actual_steps" is 47, and there is a row of step 48'),
    (attribute("/", "group_names", '["every"]'), 'attribute "group_names" is ["every"], and the schema says'),
    (attribute("every", "paths", "[]"), 'group "every": attribute "paths" is [], and the schema says ["array/int8"'),
    (drops((3, 2, 1)), "the list of dropped frames: row 0: 1 frames dropped between steps 3 and 2 cannot be"),
    (drops((3, 5, 0)), "row 0: 0 frames dropped between steps 3 and 5"),
    (drops((3, 5, 3), (5, 9, 1)), "row 1: 1 frames dropped between steps 5 and 9"),
])
def test_each_problem_is_found(build, check, log, spoil, message):
    with h5py.File(log, "r+") as file:
        spoil(file)
    report = check(log, status=1)
    assert any(message in problem for problem in report["problems"]), report["problems"]
    result = subprocess.run([build / "trajlog", "check", log], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and f"problem: " in result.stdout and message in result.stdout
    assert f"{log}: {len(report['problems'])} problem" in result.stdout


def test_possible_drops_are_no_problem(check, log):
    with h5py.File(log, "r+") as file:
        drops((-2**63, 2**63 - 2, 2**62), (2**63 - 1, 2**63 - 1, 1))(file)
    assert check(log)["dropped"] == 2**62 + 1


def test_all_problems_are_listed(check, log):
    with h5py.File(log, "r+") as file:
        for spoil in (change("every/step", set_at(7, 12)), change("every/time", set_at(24, numpy.inf)),
                      drops((3, 2, 1)), attribute("every", "paths", "[]")):
            spoil(file)
    assert len(check(log, status=1)["problems"]) == 4


def test_what_cannot_be_opened(build, check, recover, log, tmp_path):
    data = log.read_bytes()
    log.write_bytes(data[:len(data) // 2])
    report = check(log, status=1)
    assert len(report["problems"]) == 1
    assert str(log) in recover(log, status=1)
    assert log.read_bytes() == data[:len(data) // 2]
    (tmp_path / "text").write_text("no HDF5")
    for command, name, status in [("check", "text", 1), ("recover", "text", 1), ("check", "absent", 2),
                                  ("recover", "absent", 2), ("info", "absent", 2)]:
        result = subprocess.run([build / "trajlog", command, tmp_path / name], capture_output=True, text=True, timeout=60)
        assert (result.returncode, result.stdout) == (status, "")
        assert f"trajlog {command}: {tmp_path / name}: " in result.stderr
    assert sorted(os.listdir(tmp_path)) == ["log.h5", "text"]


@pytest.mark.parametrize("words", [["check"], ["recover"], ["check", "a", "b"], ["recover", "a", "b"], ["check", "--x", "a"],
                                   ["check", "--root", "/", "a"], ["check", "--h5md", "--json", "a"]])
def test_bad_command_lines(build, words, tmp_path):
    result = subprocess.run([build / "trajlog", *words], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert result.returncode == 2 and result.stdout == "" and "trajlog" in result.stderr


@pytest.mark.parametrize("count, problems", [(0, []), (5, ["are missing"]), (-1, ["-1 particles"]),
                                             (10**6, ["1000000 particles"])])
def test_room_without_particles_need_not_be_in_the_file(build, check, tmp_path, count, problems):
    """Where the number of particles varies: 128 rows more, for which nothing was written but how many there are."""
    path = tmp_path / "gas.h5"
    subprocess.run([build / "examples/mc_gcmc", "--steps", "140", "--every", "1", "--out", path, "--quiet"],
                   check=True, timeout=60, stdin=subprocess.DEVNULL)
    check(path)
    with h5py.File(path, "r+") as file:
        group = file["trajectory"]
        rows, chunk = group["position"].shape[0], group["position"].chunks[0]
        more = -rows % chunk + chunk
        for name in "step", "time", "count", "position", "id", "box":
            group[name].resize(rows + more, axis=0)
        group["step"][rows:] = numpy.arange(rows, rows + more)
        group["time"][rows:] = numpy.arange(rows, rows + more)
        group["count"][rows:] = 0
        group["count"][rows + more - 1:] = count
        file.attrs.modify("actual_steps", rows + more)
    found = check(path, status=1 if problems else 0)["problems"]
    assert len(found) == 2 * len(problems)
    for problem in found:
        assert all(words in problem for words in problems) and "trajectory" in problem
        assert "position" in problem or "id" in problem
