"""Datasets with one dimension and very many chunks: the blocks of libhdf5's index of chunks that are larger than a page
are never torn. A run of test/crash/index_run.c is cut at each of its writes, and between the pages of each, and plain h5py
looks at what is there.

TRAJLOG_CRASH_RUNS     when there is more than one, all states are opened; else some
TRAJLOG_POWER_STATES   power losses of each run; by default a tenth of 300
TRAJLOG_FAULTS         operations from which on the disk is full; by default a tenth of 150
TRAJLOG_SEED           where the random numbers begin; by default 1
"""

import errno
import os
import pathlib
import random
import subprocess
import sys

import h5py
import numpy
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "crash"))
from crash_replay import Disk, distinct_kill_states, is_directory, read_log  # noqa: E402

SEED = int(os.environ.get("TRAJLOG_SEED", 1))
ALL_STATES = int(os.environ.get("TRAJLOG_CRASH_RUNS", 1)) > 1
FAULTS = int(os.environ.get("TRAJLOG_FAULTS", 150)) // 10
POWER_STATES = int(os.environ.get("TRAJLOG_POWER_STATES", 300)) // 10

# The first row, so that among the next ones is the first chunk of a kind of block.
FIRST_ROWS = {
    "a data block larger than a page": 8180 - 6,
    "the next data block": 8180 + 512 - 6,
    "a data block in pages": 131060 - 6,
    "the next page of a data block": 131060 + 1024 - 6,
    "a super block larger than a page": 4194292 - 6,
}
SALTS = {"plain": 0, "packed": 100}


@pytest.fixture
def recorded(build, run, tmp_path):
    """Runs index_run, and returns its operations and how many blocks it has moved."""
    directory = tmp_path / "record"
    directory.mkdir()

    def record(number, **options):
        log = tmp_path / f"{number}.log"
        keys = [f"{key}={value}" for key, value in options.items()]
        output = run(build / "test/crash/index_run", directory / "run.h5", log, *keys)
        return read_log(log), int(output.split("moved ")[1])

    return record


@pytest.fixture
def recover(build):
    def ask(path):
        answer = subprocess.run([build / "test/crash/recover"], input=f"{path}\n", capture_output=True, text=True,
                                timeout=60).stdout
        assert answer and not answer.startswith("error"), answer

    return ask


def check(path, first, marks, words):
    """At least the rows of the last of these marks are there, and right."""
    least = [int(mark.split()[1]) for mark in marks if mark.split()[0] in words]
    with h5py.File(path) as file:
        rows = len(file["plain"])
        assert len(file["packed"]) == rows
        assert rows >= (least[-1] if least else 0), (rows, marks[-1])
        for name, salt in SALTS.items():
            if rows > first:
                expected = 1 + (7 * numpy.arange(first, rows) + salt) % 250
                assert numpy.array_equal(file[name][first:rows], expected), (name, rows)


@pytest.mark.parametrize("first", FIRST_ROWS.values(), ids=FIRST_ROWS)
def test_a_kill_tears_no_index_of_chunks(recorded, sanitized, tmp_path, first):
    state = tmp_path / "state"
    state.mkdir()
    before, moved = recorded(1, first=first, rows=first + 14, abandon=1)
    after, moved_again = recorded(2, first=first, restart=first + 11, rows=first + 20, commit=2)
    assert moved > 10 and moved_again > 5
    # From the resume on, what was behind its first row may be gone.
    operations = [*before, ("mark", f"resumed {first + 11}"), *after]
    every = 1 if ALL_STATES else 20 if sanitized else 3
    states = 0
    for number, (operation, marks, disk) in enumerate(distinct_kill_states(operations)):
        if number % every or not any(mark.startswith("flushed") for mark in marks):
            continue
        disk.write_out(state)
        try:
            check(state / "run.h5", first, marks, ("flushed", "resumed", "closed"))
        except Exception as failure:
            raise AssertionError(f"operation {operation} of {len(operations)}") from failure
        states += 1
    assert states > 150 // every


@pytest.mark.parametrize("first", FIRST_ROWS.values(), ids=FIRST_ROWS)
def test_a_full_disk_tears_no_index_of_chunks(build, run, tmp_path, first):
    program, path, log = build / "test/crash/index_run", tmp_path / "run.h5", tmp_path / "log"
    keys = [f"first={first}", f"rows={first + 14}", "sync=5"]
    total = int(run(program, path, log, *keys).split("operations ")[1].split()[0])
    published = 40
    for operation in range(published, total, max((total - published) // FAULTS, 1)):
        command = [program, path, log, *keys, f"fail={operation}"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert result.returncode == 3 and not result.stderr, (command, result)
        marks = [line for line in result.stdout.splitlines() if line.startswith(("flushed", "synced"))]
        check(path, first, marks, ("flushed", "synced"))
        assert f"failed {errno.ENOSPC} " in result.stdout


@pytest.mark.parametrize("first", FIRST_ROWS.values(), ids=FIRST_ROWS)
def test_a_power_loss_tears_no_index_of_chunks(recorded, recover, tmp_path, first):
    state, random_numbers = tmp_path / "state", random.Random(SEED)
    state.mkdir()
    operations, moved = recorded(1, first=first, rows=first + 24, sync=3, abandon=1)
    assert moved > 10
    begin = next(i for i, operation in enumerate(operations) if operation[0] == "mark" and "synced" in operation[1])
    for _ in range(max(POWER_STATES // 5, 1)):
        cut = random_numbers.randrange(begin + 1, len(operations) + 1)
        disk = Disk(is_directory(operations))
        for operation in operations[:cut]:
            disk.apply(operation)
        marks = [operation[1] for operation in operations[:cut] if operation[0] == "mark"]
        for _ in range(5):
            disk.lose_power(random_numbers, state)
            recover(state / "run.h5")
            check(state / "run.h5", first, marks, ("synced",))
