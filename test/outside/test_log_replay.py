"""Kills and power losses, seen through the public face: runs of test/crash/log_run.c are recorded, and what each state of
them leaves is opened with trajlog_open, put in order by trajlog_recover, and taken up by trajlog_resume.

TRAJLOG_REPLAY         not empty: each state is recovered and resumed too, by default some of them
TRAJLOG_POWER_STATES   power losses; by default 1000
TRAJLOG_SEED           where the random numbers begin; by default 1
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import typing

import h5py
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "crash"))
from crash_replay import Disk, distinct_kill_states, is_directory, read_log  # noqa: E402

SEED = int(os.environ.get("TRAJLOG_SEED", 1))
POWER_STATES = int(os.environ.get("TRAJLOG_POWER_STATES", 1000))
# Of each case, so many states are recovered, and so many resumed.
SOME = 10**9 if os.environ.get("TRAJLOG_REPLAY") else 15


class Seen(typing.NamedTuple):
    """The rows of the groups, and the step of the newest checkpoint, or -1."""

    every: int
    third: int
    checkpoint: int

    @property
    def step(self):
        """The last one that both groups have. A commit reaches one after the other."""
        return min(self.every, 3 * self.third) - 1

    def has(self, other):
        return all(mine >= least for mine, least in zip(self, other))


NOTHING = Seen(0, 0, -1)


def through(step, checkpoint):
    return Seen(step + 1, (step + 3) // 3, checkpoint)


@pytest.fixture
def log_run(build, run, tmp_path):
    """log_run(path, key=number, ...): runs it; returns what was recorded."""
    program = build / "test/crash/log_run"
    assert program.exists(), f"{program} is not built: run make tests"

    def call(path, **options):
        run(program, path, tmp_path / "log", *(f"{key}={number}" for key, number in options.items()))
        return read_log(tmp_path / "log")

    return call


@pytest.fixture
def ask(build):
    """ask("read", path): what is in the file, None if there are no groups."""
    process = subprocess.Popen([build / "test/crash/log_run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(*words):
        process.stdin.write(" ".join(map(str, words)) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline().split()
        assert answer and answer[0] in ("every", "none", "lost"), (words, answer)
        if answer[0] != "every":
            return None
        return Seen(*map(int, answer[1::2]))

    yield call
    process.stdin.close()
    process.wait(60)


CASES = {
    "created": [{"steps": 1, "commit": 0, "abandon": 1}],
    "committed": [{"steps": 9, "commit": 2, "abandon": 1}],
    "extended": [{"steps": 40, "commit": 13, "abandon": 1}],
    "closed": [{"steps": 8, "commit": 3}],
    "synced": [{"steps": 12, "commit": 2, "sync": 5, "abandon": 1}],
    "resumed": [{"steps": 14, "commit": 4, "abandon": 1}, {"first": 7, "steps": 13, "commit": 2, "abandon": 1}],
    "closed and resumed": [{"steps": 14, "commit": 4}, {"first": 14, "steps": 17, "commit": 2}],
    "from the start": [{"steps": 7, "commit": 3, "abandon": 1}, {"first": 0, "steps": 5, "commit": 2}],
    "checkpoints": [{"steps": 9, "commit": 4, "checkpoint": 3, "abandon": 1},
                    {"first": 6, "steps": 11, "commit": 2, "checkpoint": 3}],
}
POWER_CASES = [name for name, runs in CASES.items() if {"sync", "checkpoint"} & set(runs[0])]


def record(log_run, path, runs):
    """All of the runs' operations; and those after which the second one begins."""
    operations = log_run(path, **runs[0])
    first = len(operations)
    for options in runs[1:]:
        operations += log_run(path, **options)
    return operations, first


def promised(marks, kinds, resumes_at):
    """What must be there. `resumes_at`: the first step of the second run, if that has begun: then it may have dropped the
    rows behind, and has when it says so."""
    step, checkpoint = -1, -1
    for kind, number in ((kind, int(number)) for kind, number in (mark.split() for mark in marks)):
        if kind == "resumed":
            step, checkpoint, resumes_at = number, min(checkpoint, number), None
        elif kind in (*kinds, "checkpoint"):
            step = number
        if kind == "checkpoint":
            checkpoint = number
    if resumes_at is not None:
        step, checkpoint = min(step, resumes_at - 1), min(checkpoint, resumes_at - 1)
    return through(step, checkpoint)


def plain_rows(path):
    """What those see who know nothing of journals."""
    with h5py.File(path, "r") as file:
        return tuple(len(file[name]) if name in file else 0 for name in ("every/step", "third/step"))


def check_actual_steps(path):
    """All groups have the rows of all steps up to the last one that the file says to have."""
    with h5py.File(path, "r") as file:
        step = file.attrs.get("actual_steps", 0) - 1
    assert all(rows >= least for rows, least in zip(plain_rows(path), through(step, -1))), step


def check_recovered(ask, path, seen):
    assert ask("recover", path) == seen
    assert plain_rows(path) == (seen or NOTHING)[:2] and os.listdir(path.parent) == [path.name]


def check_resumed(ask, path, seen, runs):
    """Takes the file up behind the last step that all groups have."""
    seen = seen or NOTHING
    after = ask("resume", path, seen.step, int("checkpoint" in runs[0]))
    assert after == through(seen.step + 2, min(seen.checkpoint, seen.step)), (seen, after)
    assert plain_rows(path) == after[:2] and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("name", CASES)
def test_what_a_kill_leaves_is_read_recovered_and_resumed(log_run, ask, tmp_path, name):
    path, state = tmp_path / "run.h5", tmp_path / "state"
    state.mkdir()
    runs, copy = CASES[name], state / "run.h5"
    operations, second = record(log_run, path, runs)
    states = [number for number, _, disk in distinct_kill_states(operations) if str(path) in disk.names]
    numbers, old = random.Random(SEED), None
    recovered, resumed = (set(numbers.sample(states, min(SOME, len(states)))) for _ in range(2))
    for number, marks, disk in distinct_kill_states(operations):
        if str(path) not in disk.names:
            continue
        disk.write_out(state)
        seen, amid = ask("read", copy), number > second and not any(mark.startswith("resumed") for mark in marks)
        least = promised(marks, ("flushed", "synced", "closed"), runs[-1]["first"] if amid else None)
        assert (seen or NOTHING).has(least) and (seen or not marks), (number, seen, least)
        check_actual_steps(copy)
        # Nothing that is seen without the journal is gone with it.
        assert all(plain <= rows for plain, rows in zip(plain_rows(copy), seen or NOTHING)), (number, seen)
        if amid:
            # A resume happens as one, and is followed by its first step.
            done = through(runs[1]["first"] - 1, min(old.checkpoint, runs[1]["first"] - 1))
            assert seen in (old, done) or seen.has(done) and seen.every <= done.every + 1, (number, seen, old, done)
        elif number <= second:
            old = seen
        if number in recovered:
            check_recovered(ask, copy, seen)
            disk.write_out(state)
        if number in resumed:
            check_resumed(ask, copy, seen, runs)
    assert len(states) > (5 if name == "created" else 20)


def cut_resume(ask, operations, second, state):
    """Leaves in `state` the files of the last moment at which plain HDF5 sees none of the rows that a resume is to drop, and
    the resume has not taken effect; returns what is there."""
    old, found = None, None
    for number, _, disk in distinct_kill_states(operations):
        disk.write_out(state)
        copy = state / "run.h5"
        if number <= second:
            old = ask("read", copy) if copy.exists() else None
        elif plain_rows(copy) < old[:2] and ask("read", copy) == old:
            found = [(name, (state / name).read_bytes()) for name in os.listdir(state)]
    for entry in state.iterdir():
        entry.unlink()
    for name, content in found:
        (state / name).write_bytes(content)
    return old


def check_gone_back(ask, disk, state, seen):
    """Takes the file up at the last step that it has, and amid its steps."""
    for step in {seen.step, seen.step // 2}:
        disk.write_out(state)
        after = ask("resume", state / "run.h5", step, 0)
        assert after == through(step + 2, -1) and plain_rows(state / "run.h5") == after[:2], (seen, step, after)


@pytest.mark.parametrize("start", [0, 5])
def test_a_resume_that_was_cut_is_followed_by_another_that_is_killed(log_run, ask, tmp_path, start):
    """The other one starts over, or drops more rows. Until it takes effect, there are the rows that were there before the
    first one; from then on, they never come back, whatever lies beside the file."""
    path, again, state = tmp_path / "run.h5", tmp_path / "again", tmp_path / "state"
    for directory in again, state:
        directory.mkdir()
    operations, second = record(log_run, path, CASES["resumed"])
    old = cut_resume(ask, operations, second, again)
    assert plain_rows(again / "run.h5") < old[:2] and (again / "run.h5.journal").exists()
    disk, seen_before = Disk(), set()
    disk.load(again.iterdir())
    operations = log_run(again / "run.h5", first=start, steps=start + 4, commit=2, abandon=1)
    for number, marks, disk in distinct_kill_states(operations, disk):
        disk.write_out(state)
        seen = ask("read", state / "run.h5")
        effective = any(mark.startswith("resumed") for mark in marks)
        done = start <= seen.every <= start + 4 and start // 3 <= seen.third
        assert done if effective else done or seen == old, (number, marks, seen, old)
        assert seen != old or not seen_before - {old}, (number, seen, seen_before)
        assert all(plain <= rows for plain, rows in zip(plain_rows(state / "run.h5"), seen)), (number, seen)
        # Whatever is beside it: the same rows, and only they, are what can be gone on with.
        if seen not in seen_before or number % 20 == 0:
            check_recovered(ask, state / "run.h5", seen)
            check_gone_back(ask, disk, state, seen)
        seen_before.add(seen)
    assert old in seen_before and len(seen_before) > 2, seen_before


def rows_of_many(path):
    """{dataset: its values} of the large group."""
    with h5py.File(path, "r") as file:
        return {name: data[()] for name, data in file["many"].items()} if "many" in file else {"step": []}


def lengths(fields):
    return {len(data) for data in fields.values()}


def check_evened_out(build, run, ask, path, fields):
    """What a reader is shown is sound, whatever the rows of the datasets; recovered, all have as many. Only that a journal
    is needed is a problem."""
    report = json.loads(subprocess.run([build / "trajlog", "check", "--json", path], stdin=subprocess.DEVNULL,
                                       capture_output=True, text=True, timeout=60, check=False).stdout)
    needs_journal = report["journal"] == "needed"
    assert len(report["problems"]) == needs_journal and report["state"] != "closed", report
    seen = ask("read", path)
    assert ask("recover", path) == seen and os.listdir(path.parent) == [path.name]
    after = rows_of_many(path)
    assert len(lengths(after)) == 1 and fields.keys() == after.keys()
    assert needs_journal or lengths(after) == {min(lengths(fields))}
    run(build / "trajlog", "check", path)


def test_step_has_no_more_rows_than_the_fields_of_a_large_group(build, run, log_run, ask, tmp_path):
    """Whose headers are on several pages: a kill can come between them, in a commit and in a resume."""
    path, state, unequal = tmp_path / "run.h5", tmp_path / "state", 0
    state.mkdir()
    copy = state / "run.h5"
    operations, _ = record(log_run, path, [{"steps": 6, "commit": 2, "many": 40, "abandon": 1},
                                           {"first": 3, "steps": 7, "commit": 1, "many": 40, "abandon": 1}])
    for number, _, disk in distinct_kill_states(operations):
        if str(path) not in disk.names:
            continue
        disk.write_out(state)
        fields = rows_of_many(copy)
        rows = len(fields["step"])
        for name, data in fields.items():
            assert len(data) >= rows, (number, name, len(data), rows)
            assert list(data[:rows]) == [(0.5 if name == "time" else 1) * row for row in range(rows)], (number, name)
        check_actual_steps(copy)
        ask("read", copy)
        if len(lengths(fields)) > 1:
            unequal += 1
            check_evened_out(build, run, ask, copy, fields)
    assert unequal > 5


@pytest.mark.parametrize("name", POWER_CASES)
def test_what_a_power_loss_leaves_is_read_recovered_and_resumed(log_run, ask, tmp_path, name):
    path, state = tmp_path / "run.h5", tmp_path / "state"
    state.mkdir()
    runs, copy, numbers = CASES[name], state / "run.h5", random.Random(SEED)
    operations, second = record(log_run, path, runs)
    first = next(i for i, (word, *rest) in enumerate(operations)
                 if word == "mark" and rest[0].startswith(("synced", "checkpoint")))
    places = [numbers.randrange(first, len(operations)) for _ in range(POWER_STATES // len(POWER_CASES) // 2)]
    disk, marks = Disk(is_directory(operations)), []
    for number, operation in enumerate(operations):
        disk.apply(operation)
        if operation[0] == "mark":
            marks.append(operation[1])
        for _ in range(places.count(number)):
            disk.lose_power(numbers, state)
            ask("lose", copy)
            seen, least = ask("read", copy), promised(marks, ("synced",), runs[-1]["first"] if number >= second else None)
            assert seen.has(least), (number, seen, least)
            if numbers.random() < 0.5:
                check_recovered(ask, copy, seen)
            check_resumed(ask, copy, seen, runs)
