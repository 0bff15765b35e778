"""What processes do besides calling trajlog_close at the right time; the files are judged with h5py."""

import os
import pathlib
import signal
import subprocess
import time

import h5py
import numpy
import pytest

STEPS = 2000


@pytest.fixture
def life(build, tmp_path):
    """life(kind): runs the program to its end; returns the file's path and what it said, as a dictionary of its last
    numbers."""

    def run_life(kind, status=0):
        path = tmp_path / f"{kind}.h5"
        result = subprocess.run([build / "test/campaign/life", path, kind], stdin=subprocess.DEVNULL, text=True,
                                capture_output=True, timeout=120, check=False)
        assert result.returncode == status, (result.returncode, result.stdout[-500:], result.stderr)
        assert result.stderr == ""
        return path, said(result.stdout)

    return run_life


@pytest.fixture
def running(build, tmp_path):
    """running(kind): starts the program, and waits until it has flushed; the file's path and the process."""
    processes = []

    def start(kind):
        path = tmp_path / f"{kind}.h5"
        process = subprocess.Popen([build / "test/campaign/life", path, kind], stdin=subprocess.DEVNULL, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        processes.append(process)
        for line in process.stdout:
            if line == "flushed 20\n":
                break
        return path, process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def said(text):
    words = [line.split() for line in text.splitlines()]
    return {word: int(number) for word, number in words}


def judge(path):
    """The number of rows of the trajectory; all that is there is right."""
    with h5py.File(path, "r") as file:
        rows = {}
        for name, every in ("trajectory", 1), ("thermo", 3):
            group = file[name]
            rows[name] = len(group["step"])
            steps = every * numpy.arange(rows[name])
            assert (group["step"][()] == steps).all() and (group["time"][()] == 0.5 * steps).all()
            assert len(group["time"]) == rows[name]
        position, energy = file["trajectory/position"][()], file["thermo/energy"][()]
        assert (energy == 3 * numpy.arange(rows["thermo"]) + 0.25).all() and len(energy) == rows["thermo"]
        expected = numpy.arange(rows["trajectory"] * 300, dtype=float).reshape(-1, 100, 3)
        assert position.shape == expected.shape and (position == expected).all()
        return rows["trajectory"]


def is_closed(path):
    """A file that was closed ends where its superblock says; one whose writer was killed is longer than that."""
    with open(path, "rb") as file:
        superblock = file.read(48)
    assert superblock[:9] == b"\x89HDF\r\n\x1a\n\x03"
    left = [entry.name for entry in pathlib.Path(path).parent.iterdir()
            if entry.name.startswith(pathlib.Path(path).name + ".") and not entry.name.endswith(".host")]
    return int.from_bytes(superblock[28:36], "little") == path.stat().st_size and not left


@pytest.mark.parametrize("kind", ["end_by_return", "end_by_thread", "end_by_own_handler", "end_by_later_handler",
                                  "host_ends_first"])
def test_exit_closes_the_log(life, kind):
    path, words = life(kind)
    assert judge(path) == STEPS and is_closed(path)
    assert words.get("closed", 0) == 0
    if kind == "host_ends_first":
        check_host_file(path)


def test_exit_before_the_first_step(life):
    path, _ = life("end_before_first_step")
    assert is_closed(path)
    with h5py.File(path, "r") as file:
        assert file.attrs["trajlog_version"] == 1


def test_exit_closes_all_logs(life):
    path, _ = life("end_with_many")
    for name in path, *(path.with_name(f"{path.name}.{number}") for number in (1, 2, 3)):
        assert judge(name) == STEPS
    assert is_closed(path.with_name(f"{path.name}.3"))


@pytest.mark.parametrize("kind", ["end_by_underscore_exit", "end_by_quick_exit"])
def test_end_without_exit_handlers_keeps_what_was_flushed(life, kind):
    path, words = life(kind)
    assert judge(path) >= words["flushed"] + 1 == STEPS // 2


def test_abort_keeps_what_was_flushed(life):
    path, words = life("end_by_abort", -signal.SIGABRT)
    assert judge(path) >= words["flushed"] + 1 == STEPS // 2


def test_sigterm_is_left_to_the_host(running):
    path, process = running("signal_without_handler")
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert judge(path) >= said(output).get("flushed", 20) + 1


def test_sigterm_handler_of_the_host_ends_the_run(running):
    path, process = running("signal_then_close")
    process.terminate()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and errors == ""
    assert judge(path) == said(output)["last"] + 1 and is_closed(path)


def test_sigterm_handler_of_the_host_that_leads_to_exit(running):
    path, process = running("signal_then_exit")
    process.terminate()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and errors == ""
    assert judge(path) == said(output)["last"] + 1 and is_closed(path)


def test_stopped_process_can_be_read_and_goes_on(running):
    path, process = running("signal_then_close")
    rows = 0
    for _ in range(10):
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        seen = judge(path)
        assert seen >= max(rows, 21)
        rows = seen
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    process.terminate()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and errors == ""
    assert judge(path) == said(output)["last"] + 1 >= rows and is_closed(path)


def test_worker_leaves_signals_to_the_host(life):
    path, words = life("signals_all_the_time")
    assert judge(path) == STEPS and words["ticks"] > 0 and is_closed(path)


@pytest.mark.parametrize("kind", ["fork_and_use", "fork_and_exit", "fork_and_leave", "fork_and_log",
                                  "fork_and_execute"])
def test_fork_while_logging(life, kind):
    path, words = life(kind)
    assert judge(path) == STEPS and words["closed"] == 0 and is_closed(path)


def check_host_file(path):
    with h5py.File(f"{path}.host", "r") as file:
        assert len(file) > 0
        for name, dataset in file.items():
            assert (dataset[()] == int(name[7:]) + numpy.arange(300)).all()


@pytest.mark.parametrize("kind", ["host_in_same_thread", "host_in_other_threads"])
def test_host_that_uses_hdf5(life, kind):
    path, words = life(kind)
    assert judge(path) == STEPS and words["closed"] == 0 and is_closed(path)
    check_host_file(path)


@pytest.mark.parametrize("end", ["close", "leave"])
def test_unloaded_library(build, run, tmp_path, end):
    run(build / "test/campaign/unload", tmp_path / "run.h5", build / "libtrajlog.so", end)
    for round_ in range(3):
        with h5py.File(tmp_path / f"run.h5.{round_}", "r") as file:
            assert (file["thermo/x"][()] == numpy.arange(100)).all()
        assert is_closed(tmp_path / f"run.h5.{round_}")
