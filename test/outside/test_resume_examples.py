"""The examples go on after they were killed, and their files become those of runs that were left alone."""
import os
import pathlib
import random
import subprocess
import time

import h5py
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("TRAJLOG_BUILD", "build")).resolve()

pytestmark = pytest.mark.timeout(240)

RUNS = {
    "md_argon": ["--atoms", 108, "--steps", 300, "--every", 7],
    "mc_gcmc": ["--capacity", 100, "--steps", 300, "--every", 7],
    "lammps_log": ["--input", ROOT / "examples" / "in.melt", "--var", "cells=4", "--steps", 300, "--every", 10],
}


@pytest.fixture(params=RUNS)
def program(request):
    if not (BUILD / "examples" / request.param).exists():
        pytest.skip(f"{request.param} was not built")
    return request.param


def command(program, path, *more):
    arguments = [BUILD / "examples" / program, *RUNS[program], "--quiet", "--out", path, *more]
    return [str(word) for word in arguments]


def run(program, path, *more, status=0):
    result = subprocess.run(command(program, path, *more), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=120, check=False)
    assert result.returncode == status, result.stderr
    assert (result.stderr == "") == (status == 0), result.stderr
    return result.stderr


def run_and_kill(program, path, seconds, *more):
    """Whether the run was still under way."""
    process = subprocess.Popen(command(program, path, *more), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
    process.kill()
    error = process.communicate()[1]
    assert process.returncode in (0, -9), error
    return process.returncode == -9


def datasets(path):
    """All of them, with their bytes."""
    found = {}

    def add(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = (item.dtype, item.shape, item[()].tobytes())

    with h5py.File(path) as file:
        file.visititems(add)
        found["actual_steps"] = int(file.attrs["actual_steps"])
    return found


def check_equal(path, other):
    a, b = datasets(path), datasets(other)
    assert a.keys() == b.keys()
    assert [name for name in a if a[name] != b[name]] == []


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_killed_again_and_again(program, tmp_path, seed):
    """Also while it resumes: a third of the kills come so early."""
    chance = random.Random(f"{program} {seed}")
    more = ["--checkpoint", chance.choice([10, 20, 50])] + chance.choice([[], ["--sync"]])
    begin = time.monotonic()
    run(program, tmp_path / "whole.h5", *more)
    duration = time.monotonic() - begin
    kills = 0
    run_and_kill(program, tmp_path / "cut.h5", chance.uniform(0, 0.6) * duration, *more)
    for _ in range(8):
        limit = chance.choice([0.05, 0.3, 0.5]) * duration
        kills += run_and_kill(program, tmp_path / "cut.h5", chance.uniform(0, limit), "--resume", *more)
    run(program, tmp_path / "cut.h5", "--resume", *more)
    print(f"seed {seed}: {kills} of 8 were still under way")
    check_equal(tmp_path / "whole.h5", tmp_path / "cut.h5")
    left = {path.name for path in tmp_path.iterdir() if path.name.startswith("cut.h5") and ".restart." not in path.name}
    assert left == {"cut.h5"}


def test_a_run_without_a_checkpoint_starts_over(program, tmp_path):
    more = ["--checkpoint", 1000]
    run(program, tmp_path / "whole.h5", *more)
    # What is not there yet is begun.
    run_and_kill(program, tmp_path / "cut.h5", 0.0, *more)
    for seconds in 0.05, 0.1, 0.2:
        run_and_kill(program, tmp_path / "cut.h5", seconds, "--resume", *more)
    run(program, tmp_path / "cut.h5", "--resume", *more)
    check_equal(tmp_path / "whole.h5", tmp_path / "cut.h5")


def test_a_run_that_is_done_stays_as_it_is(program, tmp_path):
    more = ["--checkpoint", 100]
    run(program, tmp_path / "log.h5", *more)
    before = datasets(tmp_path / "log.h5")
    run(program, tmp_path / "log.h5", "--resume", *more)
    assert datasets(tmp_path / "log.h5") == before


def test_a_run_may_be_made_longer(program, tmp_path):
    more = ["--checkpoint", 100]
    run(program, tmp_path / "whole.h5", *more)
    run(program, tmp_path / "cut.h5", *more, "--steps", 130)
    run(program, tmp_path / "cut.h5", "--resume", *more)
    check_equal(tmp_path / "whole.h5", tmp_path / "cut.h5")


def test_what_does_not_fit_is_refused(program, tmp_path):
    path = tmp_path / "log.h5"
    run(program, path, "--checkpoint", 100)
    before = path.read_bytes()
    without = run(program, path, "--resume", "--checkpoint", 0, status=1)
    assert "checkpoint" in without and "log.h5" in without
    if program != "lammps_log":
        fewer = {"md_argon": "--atoms", "mc_gcmc": "--capacity"}[program]
        assert "log.h5" in run(program, path, "--resume", fewer, 99, status=1)
    assert path.read_bytes() == before
    path.write_text("no log")
    assert "log.h5" in run(program, path, "--resume", status=1)


def test_lammps_needs_its_restart_file(tmp_path):
    program = "lammps_log"
    if not (BUILD / "examples" / program).exists():
        pytest.skip("lammps_log was not built")
    more = ["--checkpoint", 100, "--steps", 100]
    path = tmp_path / "log.h5"
    run(program, path, *more)
    script = tmp_path / "in.other"
    text = (ROOT / "examples" / "in.melt").read_text()
    script.write_text(text.replace("variable,restart", "variable,nothing"))
    message = run(program, path, "--resume", *more, "--input", script, status=1)
    assert "step 0" in message and "step 100" in message and "${restart}" in message
    (tmp_path / "log.h5.restart.1").unlink()
    message = run(program, path, "--resume", *more, status=1)
    assert "log.h5.restart.1" in message and "No such file" in message


def test_lammps_goes_on_in_time(tmp_path):
    """Also where time and steps did not begin together."""
    if not (BUILD / "examples" / "lammps_log").exists():
        pytest.skip("lammps_log was not built")
    script = tmp_path / "in.later"
    text = (ROOT / "examples" / "in.melt").read_text()
    script.write_text(text.replace('loop geom"', 'loop geom" "reset_timestep 12345"'))
    more = ["--checkpoint", 25, "--input", script]
    run("lammps_log", tmp_path / "whole.h5", *more, "--steps", 100)
    run("lammps_log", tmp_path / "cut.h5", *more, "--steps", 65)
    run("lammps_log", tmp_path / "cut.h5", "--resume", *more, "--steps", 100)
    check_equal(tmp_path / "whole.h5", tmp_path / "cut.h5")
    with h5py.File(tmp_path / "cut.h5") as log:
        assert log["trajectory/step"][...].tolist() == list(range(12345, 12446, 10))
        assert log["trajectory/time"][...].tolist() == pytest.approx([0.05 * row for row in range(11)])


def test_checksums_are_of_whole_runs(tmp_path):
    result = subprocess.run([BUILD / "examples/md_argon", "--resume", "--checksum", "--out", tmp_path / "log.h5"],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert result.returncode != 0 and "--checksum" in result.stderr
    assert not (tmp_path / "log.h5").exists()
