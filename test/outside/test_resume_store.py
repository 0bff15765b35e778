"""Runs that are cut and taken up again, and checkpoints, seen by plain h5py: against an uninterrupted run, and in every
state that a kill can leave (test/crash/store_run.c, recorded).

TRAJLOG_POWER_STATES   power losses; by default 300
TRAJLOG_SEED           where the random numbers begin; by default 1
"""

import json
import os
import pathlib
import random
import subprocess
import sys

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "crash"))
from crash_replay import Disk, distinct_kill_states, is_directory, kill_states, read_log  # noqa: E402

SEED = int(os.environ.get("TRAJLOG_SEED", 1))


@pytest.fixture
def store_run(build, run, tmp_path):
    """store_run(path, key=number, ...): runs it; returns what was recorded."""
    program = build / "test/crash/store_run"
    assert program.exists(), f"{program} is not built: run make tests"
    log = tmp_path / "log"

    def call(path, **options):
        run(program, path, log, *(f"{key}={number}" for key, number in options.items()))
        return read_log(log)

    return call


@pytest.fixture
def recover(build):
    process = subprocess.Popen([build / "test/crash/recover"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(path):
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert not answer.startswith("error"), answer

    yield ask
    process.stdin.close()
    process.wait(10)


# What must be in the file


def datasets(path):
    """Every dataset of the file, by its path."""
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def assert_same_datasets(path, other):
    left, right = datasets(path), datasets(other)
    assert list(left) == list(right)
    for name in left:
        assert left[name].dtype == right[name].dtype and left[name].shape == right[name].shape, name
        assert left[name].tobytes() == right[name].tobytes(), name


def check_rows(group, every, fields=None):
    """The group's rows are those of the first so many steps, in every dataset; returns their number. With `fields`, which
    then are the ones to look at, some may have more."""
    names = ["step", "time", *(fields or json.loads(group.attrs["paths"]))]
    lengths = [len(group[name]) for name in names]
    rows = min(lengths)
    assert fields or max(lengths) == rows
    steps = group["step"][:rows]
    assert np.array_equal(steps, every * np.arange(rows))
    assert np.array_equal(group["time"][:rows], 0.5 * steps)
    for name in names[2:]:
        data = group[name][:rows]
        data = data.reshape(rows, int(np.prod(data.shape[1:])))
        if name != "late":
            assert np.array_equal(data, 1000.0 * steps[:, None] + np.arange(data.shape[1])), name
    return rows


def gas_at(step):
    return step if step % 7 == 6 else step % 3


def check_gas(group):
    """Rows of so many particles as store_run's, and padding behind them, as wide in all datasets."""
    x, packed, identity = (group[name][:] for name in ("x", "packed", "id"))
    assert x.shape == packed.shape == (*identity.shape, 3)
    rows, capacity = identity.shape
    assert capacity in (2, 4, 8, 16, 32, 64)
    assert group["step"][:].tolist() == list(range(rows)) and group["time"][:].tolist() == [0.5 * k for k in range(rows)]
    assert group["count"][:].tolist() == list(map(gas_at, range(rows)))
    for step, n in enumerate(map(gas_at, range(rows))):
        assert n <= capacity
        for data in x, packed, identity:
            there = data[step, :n].ravel()
            assert np.array_equal(there, 1000.0 * step + np.arange(there.size)), step
        assert np.isnan(x[step, n:]).all() and np.isnan(packed[step, n:]).all() and (identity[step, n:] == -1).all()


def check_log(path, grown=False):
    """Whether there are groups, and then the rows of "every" and "third". `grown`: a resume adds fields, or has."""
    with h5py.File(path, "r") as file:
        assert file.attrs["trajlog_version"] == 1
        if "trajlog_schema" not in file.attrs:
            return None
        assert np.array_equal(file["init/plain"][:], 1000.0 + np.arange(6))
        assert file["particles/all/position/step"] == file["every/step"]
        if "gas" in file:
            check_gas(file["gas"])
        if grown:
            return check_rows(file["every"], 1, ["plain", "packed"]), check_rows(file["third"], 3, ["scalar", "wide"])
        json.loads(file.attrs["trajlog_schema"])
        return check_rows(file["every"], 1), check_rows(file["third"], 3)


def sequences(path):
    with h5py.File(path, "r") as file:
        return sorted(number for number in file["checkpoint/sequence"][:] if number > 0)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def checkpoints(path):
    """The valid states, the newest first: (sequence, step, {field: array})."""
    states = []
    with h5py.File(path, "r") as file:
        if "checkpoint" not in file:
            return []
        group = file["checkpoint"]
        for slot in range(2):
            fields = {name: group[name][slot] for name in json.loads(group.attrs["paths"])}
            head = b"".join(group[name][slot].tobytes() for name in ("sequence", "step", "time"))
            checksum = fnv1a(head + b"".join(field.tobytes() for field in fields.values()))
            if group["sequence"][slot] > 0 and checksum == group["checksum"][slot]:
                states.append((int(group["sequence"][slot]), int(group["step"][slot]), fields))
    return sorted(states, key=lambda state: -state[0])


def newest_checkpoint(path):
    """Its step, -1 if there is none; all valid states are checked."""
    states = checkpoints(path)
    for _, step, fields in states:
        for field in fields.values():
            assert np.array_equal(field, 1000.0 * step + np.arange(len(field)))
    return states[0][1] if states else -1


# Against an uninterrupted run


@pytest.mark.parametrize("gas", [0, 1])
@pytest.mark.parametrize("abandon", [0, 1])
@pytest.mark.parametrize("commit", [1, 4, 7])
def test_a_resumed_run_equals_an_uninterrupted_one(store_run, tmp_path, abandon, commit, gas):
    whole, path = tmp_path / "whole.h5", tmp_path / "run.h5"
    store_run(whole, steps=60, commit=5, gas=gas)
    store_run(path, steps=23, commit=commit, abandon=abandon, gas=gas)
    reached, _ = check_log(path)
    assert reached == (23 // commit * commit if abandon else 23)
    for first, steps in (reached, 31), (17, 33), (27, 40), (40, 60):
        last = 0 if steps in (31, 60) else abandon
        store_run(path, first=first, steps=steps, commit=commit, abandon=last, gas=gas)
        if abandon and steps not in (31, 60):
            store_run(path, first=min(check_log(path)[0], 27), steps=steps, commit=1, abandon=1, gas=gas)
    assert_same_datasets(path, whole)
    with h5py.File(path, "r") as file, h5py.File(whole, "r") as other:
        assert file.attrs["actual_steps"] == other.attrs["actual_steps"] == 60
        assert file.attrs["trajlog_schema"] == other.attrs["trajlog_schema"]
        assert file.attrs["group_names"] == other.attrs["group_names"]
    assert os.listdir(tmp_path).count("run.h5") == 1 and not (tmp_path / "run.h5.journal").exists()


def test_with_checkpoints_too(store_run, tmp_path):
    whole, path = tmp_path / "whole.h5", tmp_path / "run.h5"
    store_run(whole, steps=40, checkpoint=8)
    store_run(path, steps=20, commit=0, checkpoint=8, abandon=1)
    for steps in 30, 40:
        store_run(path, first=newest_checkpoint(path) + 1, steps=steps, commit=0, checkpoint=8, abandon=steps < 40)
    assert_same_datasets(path, whole)


def test_other_programs_read_a_resumed_file(store_run, run, need, tmp_path):
    path = tmp_path / "run.h5"
    store_run(path, steps=23, commit=4, abandon=1)
    store_run(path, first=13, steps=30, add=1)
    run(need("h5ls"), "-rv", path)
    assert "ERROR" not in run(need("h5dump"), path)
    with h5py.File(path, "r") as file:
        assert np.isnan(file["every/late"][:13]).all() and not np.isnan(file["every/late"][13:]).any()
        assert file["particles/all/velocity/value"] == file["every/late"]
        assert list(file["late/step"][:]) == list(range(13, 30))
        schema = json.loads(file.attrs["trajlog_schema"])
    assert schema["version"] == 2
    assert [field.get("first_row") for field in schema["groups"][1]["fields"]] == [None, None, 13]
    run(need("h5repack"), path, tmp_path / "copy.h5")
    assert_same_datasets(path, tmp_path / "copy.h5")


# In every state that a kill leaves

# From here on other things are expected, also of the state that is there.
NEXT_RUN = ("mark", "next run")


def test_every_state_of_a_run_whose_capacity_grows(store_run, tmp_path):
    """All datasets of the group get wider with the same commit, and older rows are what they were."""
    path, state = tmp_path / "run.h5", tmp_path / "state"
    state.mkdir()
    widths, states = [], 0
    for _, marks, disk in distinct_kill_states(store_run(path, steps=15, commit=2, gas=1)):
        if not any(mark.startswith("created") for mark in marks):
            continue
        disk.write_out(state)
        check_log(state / "run.h5")
        with h5py.File(state / "run.h5", "r") as file:
            rows, width, _ = file["gas/x"].shape
        flushed = [int(mark.split()[1]) for mark in marks if mark.startswith(("flushed", "closed"))]
        assert rows >= (flushed[-1] + 1 if flushed else 0)
        assert width == next(w for w in (2, 4, 8, 16) if w >= max(map(gas_at, range(rows)), default=0))
        if width not in widths[-1:]:
            widths.append(width)
        states += 1
    assert widths == [2, 8, 16] and states > 50


def cases():
    first = {"steps": 20, "commit": 4, "abandon": 1}
    closed = {"steps": 20, "commit": 4}
    resumed = {"first": 9, "steps": 24, "commit": 3}
    return {
        "killed": (first, resumed, {20, 9}),
        "closed": (closed, resumed, {20, 9}),
        "nothing dropped": (first, {**resumed, "first": 20}, {20}),
        "all dropped": (first, {**resumed, "first": 0}, {20, 0}),
        "additions": (first, {**resumed, "add": 1}, {20, 9}),
        "growing": ({**first, "gas": 1}, {**resumed, "gas": 1, "steps": 15}, {20, 9}),
        "from the start": (first, {**resumed, "first": 0, "start": 1}, {20, 0}),
        "without groups": ({"steps": 0, "abandon": 1}, {**resumed, "first": 0}, {0}),
    }


@pytest.mark.parametrize("name", cases())
def test_every_state_of_a_resume_has_the_old_rows_or_the_new(store_run, tmp_path, name):
    first, resumed, allowed = cases()[name]
    path, state = tmp_path / "run.h5", tmp_path / "state"
    state.mkdir()
    before = store_run(path, **first)
    operations = before + store_run(path, **resumed)
    seen, states = set(), 0
    for number, marks, disk in distinct_kill_states(operations, begin=len(before)):
        disk.write_out(state)
        amid = not any(mark.startswith("resumed") for mark in marks)
        # Where fields are added, texts are replaced, which is undone when the journal has been applied, and the
        # datasets of a group are on several pages, so that some may have the rows of a commit that others have not.
        rows, thirds = check_log(state / "run.h5", grown="add" in resumed) or (0, 0)
        if amid:
            # Of each group; the journal takes back what is done for some.
            assert rows in allowed and thirds in {(rows + 2) // 3 for rows in allowed}, (number, rows, thirds)
            seen.add(rows)
        else:
            flushed = [int(mark.split()[1]) for mark in marks if mark.startswith("flushed")]
            done = resumed["first"] if marks[-1].startswith("resumed") else flushed[-1] + 1
            assert rows >= done, (number, rows, marks[-1])
        states += 1
    assert seen == allowed and states > 30


def test_every_state_of_additions_in_a_row_shows_all_groups(store_run, tmp_path):
    """The root's links outgrow what libhdf5 keeps in a header by itself, and the header goes on in several pieces, which may lie
    on different pages: no kill hides a group that was there."""
    path, state = tmp_path / "run.h5", tmp_path / "state"
    state.mkdir()
    operations, there, states = store_run(path, steps=3, abandon=1), {}, 0
    for number, add in enumerate((2, 8, 9)):
        with h5py.File(path, "r") as file:
            there[len(operations)] = set(file)
        first = 3 * (number + 1)
        operations += [NEXT_RUN] + store_run(path, first=first, steps=first + 3, commit=1, abandon=1, add=add)
    for place, _, disk in distinct_kill_states(operations, begin=min(there)):
        groups = there[max(begin for begin in there if begin <= place)]
        disk.write_out(state)
        assert check_log(state / "run.h5", grown=True), place
        with h5py.File(state / "run.h5", "r") as file:
            assert groups <= set(file), place
            assert all(len(file[name]) > 0 for name in groups - {"trajlog"}), place
            assert all(file[name]["plain"][...].shape[1:] == (6,) for name in groups if name.startswith("late")), place
        states += 1
    assert states > 100


def test_a_resume_of_every_state_of_a_resume(store_run, tmp_path):
    """Killed in a resume, and resumed: the same as one run."""
    whole, path, state = tmp_path / "whole.h5", tmp_path / "run.h5", tmp_path / "state"
    state.mkdir()
    store_run(whole, steps=12)
    before = store_run(path, steps=20, commit=4, abandon=1)
    operations = before + store_run(path, first=9, steps=9)
    numbers = [number for number, _, _ in kill_states(operations) if number >= len(before)]
    chosen = set(random.Random(SEED).sample(sorted(set(numbers)), 25))
    for number, _, disk in kill_states(operations):
        if number in chosen:
            disk.write_out(state)
            store_run(state / "run.h5", first=9, steps=12)
            assert_same_datasets(state / "run.h5", whole)


def check_checkpoint(path, marks, number, resumed_from):
    """What must be there after these marks, in the first run or, from that operation on, in one resumed at step 8;
    returns the newest checkpoint's step."""
    rows, _ = check_log(path)
    step = newest_checkpoint(path)
    taken = [int(mark.split()[1]) for mark in marks if mark.startswith("checkpoint")]
    if number >= resumed_from and not any(mark.startswith("resumed") for mark in marks):
        # Amid the batch, which the journal takes back, either may be the new one.
        assert step in (11, 8) and rows in (12, 9), (number, step, rows)
    else:
        least = taken[-1] if taken else -1
        if least == 11 and number >= resumed_from:
            least = 8
        # What is newest never counts before its rows are there.
        assert least <= step < rows or step == -1 == least, (number, step, rows)
    return step


def test_checkpoints_survive_a_kill_in_every_state(store_run, tmp_path):
    path, state = tmp_path / "run.h5", tmp_path / "state"
    state.mkdir()
    before = store_run(path, steps=12, commit=5, checkpoint=3, abandon=1)
    operations = before + [NEXT_RUN] + store_run(path, first=9, steps=16, commit=5, checkpoint=3)
    seen, every = [], [-1, 2, 5, 8, 11, 8, 11, 14]
    for number, marks, disk in distinct_kill_states(operations):
        if not any(mark.startswith("created") for mark in marks):
            continue
        disk.write_out(state)
        step = check_checkpoint(state / "run.h5", marks, number, len(before))
        # After a kill, even one who does not look at checksums sees whole states only.
        assert sequences(state / "run.h5") == sorted(number for number, _, _ in checkpoints(state / "run.h5"))
        if step not in seen[-1:]:
            seen.append(step)
    assert seen == every


@pytest.mark.parametrize("gas", [0, 1])
@pytest.mark.parametrize("resume", [False, True])
def test_checkpoints_survive_a_power_loss(store_run, recover, tmp_path, resume, gas):
    path, state = tmp_path / "run.h5", tmp_path / "state"
    state.mkdir()
    operations = store_run(path, steps=12, commit=5, checkpoint=3, abandon=1, gas=gas)
    resumed_from = len(operations)
    if resume:
        operations += store_run(path, first=9, steps=18, commit=5, checkpoint=3, gas=gas)
    numbers = random.Random(SEED)
    count = int(os.environ.get("TRAJLOG_POWER_STATES", 300)) // 4
    places = sorted(numbers.randrange(resumed_from if resume else 0, len(operations)) for _ in range(count))
    disk, marks = Disk(is_directory(operations)), []
    for number, operation in enumerate(operations):
        disk.apply(operation)
        if operation[0] == "mark":
            marks.append(operation[1])
        for _ in range(places.count(number)):
            # Before the first checkpoint nothing was promised.
            if not any(mark.startswith("checkpoint") for mark in marks):
                continue
            disk.lose_power(numbers, state)
            recover(state / "run.h5")
            check_checkpoint(state / "run.h5", marks, number, resumed_from)
