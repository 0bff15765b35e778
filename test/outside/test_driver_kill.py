"""What a killed writer, a power loss and a failing disk leave behind, seen by plain h5py: the commit driver alone, under
a synthetic writer (test/crash/writer.c).

TRAJLOG_KILLS          random kills; by default 30
TRAJLOG_CRASH_RUNS     recorded runs, each state of which is opened; by default 1
                       (of a write over many pages, when there is more than one run; else between the first few)
TRAJLOG_CRASH_TWICE    of the states of a resume that is killed, how many are resumed, recorded, and killed in each state
                       again; by default 3
TRAJLOG_POWER_STATES   power losses; by default 300
TRAJLOG_FAULTS         failing operations; by default 150
TRAJLOG_SEED           where the random numbers begin; by default 1
"""

import collections
import errno
import os
import pathlib
import random
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "crash"))
from crash_judge import check_prefix, judge, rows_through  # noqa: E402
from crash_replay import Disk, distinct_kill_states, is_directory, read_log  # noqa: E402

SEED = int(os.environ.get("TRAJLOG_SEED", 1))
REPORTS = ("shown", "published", "resumed", "flushed", "synced", "closed")


def amount(name, usual):
    return int(os.environ.get(name, usual))


@pytest.fixture
def writer(build):
    program = build / "test/crash/writer"
    assert program.exists(), f"{program} is not built: run make tests"
    return program


@pytest.fixture
def recover(build):
    program = build / "test/crash/recover"
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(path):
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert not answer.startswith("error"), answer
        return int(answer)

    yield ask
    process.stdin.close()
    process.wait(10)


def reports(output):
    return [line for line in output.splitlines() if line.startswith(REPORTS)]


def clear(directory):
    for entry in directory.iterdir():
        entry.unlink()


def arguments(random_numbers):
    choice = random_numbers.choice
    return [f"seed={random_numbers.randrange(10**6)}", f"commit={choice([1, 1, 3, 10, 50])}",
            f"sync={choice([0, 0, 20, 100])}", f"tiny={choice([0, 1])}", f"wide={choice([0, 0, 0, 1])}",
            f"pause={choice([0, 0, 200])}"]


def kill_writer(command, seconds):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    process.kill()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == -9 and not errors, (command, process.returncode, errors, output[-300:])
    # The last line may be cut, but each is one write.
    return reports(output)


def last_step(rows):
    """The last one that all groups have passed; -1 if there is none."""
    return min(rows["g0"] - 1, rows["g1"] * 3 - 1, rows["g2"] * 7 - 1) if rows else -1


def restart_step(rows, random_numbers):
    """A step that all groups have passed, not long ago; None if there is none."""
    last = last_step(rows)
    return max(0, last - random_numbers.randrange(40)) if last >= 0 else None


def kill_and_resume(command, path, random_numbers):
    lines = kill_writer(command, random_numbers.choice([0.03, 0.25]) * random_numbers.random())
    if not path.exists():
        assert not lines
        return
    rows = check_prefix(path, lines)
    for _ in range(random_numbers.randrange(3)):
        restart = restart_step(rows, random_numbers)
        if restart is None:
            return
        seconds = random_numbers.choice([0.02, 0.1]) * random_numbers.random()
        lines = kill_writer([*command, f"restart={restart}"], seconds)
        before, rows = rows, check_prefix(path, lines)
        for name, least in rows_through(restart).items():
            assert rows[name] >= min(least, before[name]), (name, rows, before, restart)


def test_random_kills(writer, tmp_path):
    path = tmp_path / "run.h5"
    for number in range(amount("TRAJLOG_KILLS", 30)):
        random_numbers = random.Random(SEED + number)
        clear(tmp_path)
        command = [writer, path, "steps=100000000", *arguments(random_numbers)]
        try:
            kill_and_resume(command, path, random_numbers)
        except Exception as failure:
            raise AssertionError(f"TRAJLOG_SEED={SEED + number} TRAJLOG_KILLS=1: {command}") from failure


def record(writer, directory, run, random_numbers, syncs):
    """A run that is abandoned, and its resume: their operations, in one list."""
    path = directory / "run.h5"
    options = [f"seed={random_numbers.randrange(10**6)}", f"commit={random_numbers.choice([2, 5])}",
               f"sync={random_numbers.choice(syncs)}", f"tiny={random_numbers.randrange(2)}"]
    steps = random_numbers.choice([18, 40])
    run(writer, path, *options, f"steps={steps}", f"log={directory}/1.log", "abandon=1")
    run(writer, path, *options, f"steps={2 * steps - 7}", f"log={directory}/2.log", f"restart={steps - 7}")
    # From the resume on, what was behind the restart step may be gone.
    marks = [("mark", f"resumed {steps - 7}")]
    return path, read_log(directory / "1.log") + marks + read_log(directory / "2.log"), options


def test_every_state_between_two_writes_opens(writer, run, tmp_path):
    record_in, state_in = tmp_path / "record", tmp_path / "state"
    for number in range(amount("TRAJLOG_CRASH_RUNS", 1)):
        for directory in (record_in, state_in):
            directory.mkdir(exist_ok=True)
            clear(directory)
        path, operations, options = record(writer, record_in, run, random.Random(SEED + number), [0, 6, 15])
        states = 0
        for operation, marks, disk in distinct_kill_states(operations):
            if str(path) not in disk.names:
                continue
            disk.write_out(state_in)
            try:
                check_prefix(state_in / "run.h5", marks)
            except Exception as failure:
                raise AssertionError(f"{options}, operation {operation} of {len(operations)}") from failure
            states += 1
        assert states > 300


def kill_again(operations, disk, state, restart):
    """Each state of a resume, recorded on this disk. Before it is done, what it was to keep is there."""
    states = 0
    for operation, marks, now in distinct_kill_states(operations, disk):
        now.write_out(state)
        rows = check_prefix(state / "run.h5", marks)
        for name, least in rows_through(restart).items():
            assert rows[name] >= least, (operation, name, rows, restart)
        states += 1
    return states


def record_resume(writer, run, path, options, restart, log):
    """Takes these files up; returns the operations, and the disk as it was before."""
    disk = Disk()
    disk.load(path.parent.iterdir())
    run(writer, path, *options, f"steps={restart + 4}", f"restart={restart}", f"log={log}", "abandon=1")
    return read_log(log), disk


def test_whatever_a_killed_resume_shows_can_be_resumed(writer, run, tmp_path):
    """Killed in a resume, looked at, and resumed at the last step that is there, then or after another kill: nothing that
    was seen is lost. The resume that is killed drops rows, so that its being completed later would be seen."""
    record_in, state_in, again_in = (tmp_path / name for name in ("record", "state", "again"))
    for number in range(amount("TRAJLOG_CRASH_RUNS", 1)):
        for directory in (record_in, state_in, again_in):
            directory.mkdir(exist_ok=True)
            clear(directory)
        random_numbers = random.Random(SEED + number)
        path, again = record_in / "run.h5", again_in / "run.h5"
        options = [f"seed={random_numbers.randrange(10**6)}", "commit=1", f"sync={random_numbers.choice([0, 5])}",
                   f"tiny={random_numbers.randrange(2)}"]
        run(writer, path, *options, "steps=22", f"log={tmp_path}/1.log", "abandon=1")
        run(writer, path, *options, "steps=11", "restart=8", f"log={tmp_path}/2.log", "abandon=1")
        before = read_log(tmp_path / "1.log")
        operations, seen, twice = before + read_log(tmp_path / "2.log"), set(), 0
        states = [state for state, _, _ in distinct_kill_states(operations) if state > len(before)]
        chosen = set(random_numbers.sample(states, min(amount("TRAJLOG_CRASH_TWICE", 3), len(states))))
        cuts = collections.Counter()
        for operation, _, disk in distinct_kill_states(operations):
            cuts[operation] += 1
            if operation <= len(before) or cuts[operation] > 3 and amount("TRAJLOG_CRASH_RUNS", 1) == 1:
                continue
            disk.write_out(again_in)
            restart = last_step(judge(again))
            try:
                resumed, disk_before = record_resume(writer, run, again, options, restart, tmp_path / "3.log")
                assert judge(again) == rows_through(restart + 3), restart
                if operation in chosen:
                    twice += kill_again(resumed, disk_before, state_in, restart)
            except Exception as failure:
                raise AssertionError(f"{options}, operation {operation - len(before)} of the resume") from failure
            seen.add(restart)
        assert {21, 8} <= seen and len(states) > 50 and twice > 50 * (len(chosen) > 0), (seen, len(states), twice)


def synced_marks(operations):
    """What counts after a power loss. A resume begins with what was synced, until it has synced itself."""
    marks, synced, resumes = [], -1, 0
    for operation in operations:
        if operation[0] != "mark" or operation[1].startswith("flushed"):
            continue
        word, step = operation[1].split()[:2]
        if word == "synced":
            synced = int(step)
        resumes += word == "resumed"
        first = word == "resumed" and resumes == 1
        marks.append(f"synced {min(synced, int(step))}" if first else operation[1])
    return marks


def test_a_power_loss_leads_back_to_the_synced_commit(writer, recover, run, tmp_path):
    record_in, state_in = tmp_path / "record", tmp_path / "state"
    left, number = amount("TRAJLOG_POWER_STATES", 300), 0
    while left > 0:
        random_numbers = random.Random(SEED + number)
        number += 1
        for directory in (record_in, state_in):
            directory.mkdir(exist_ok=True)
            clear(directory)
        _, operations, options = record(writer, record_in, run, random_numbers, [6, 15])
        published = next(i for i, operation in enumerate(operations) if operation == ("mark", "published -1"))
        for cut in sorted(random_numbers.randrange(published + 1, len(operations) + 1) for _ in range(10)):
            disk = Disk(is_directory(operations))
            for operation in operations[:cut]:
                disk.apply(operation)
            marks = synced_marks(operations[:cut])
            for _ in range(10):
                disk.lose_power(random_numbers, state_in)
                try:
                    recover(state_in / "run.h5")
                    check_prefix(state_in / "run.h5", marks, ("synced",))
                except Exception as failure:
                    raise AssertionError(f"{options}, operation {cut} of {len(operations)}") from failure
                left -= 1


ERRORS = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG]


def count_operations(writer, run, path, *options):
    output = run(writer, path, *options, f"fail={10**9}", "mode=1")
    return int(output.split("counts operations ")[1].split()[0])


def check_failed_run(command, path, code, least, random_numbers):
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode in (0, 3) and not result.stderr, (result.returncode, result.stderr)
    lines = reports(result.stdout)
    if result.returncode == 0:
        assert lines[-1].startswith("closed")
    else:
        assert f"failed {code} " in result.stdout
    if not path.exists():
        assert not lines
        return
    rows = check_prefix(path, lines or least)
    restart = restart_step(rows, random_numbers)
    # When there is room again, the run goes on.
    if result.returncode == 3 and restart is not None:
        restart = min(restart, 40)
        again = subprocess.run([*command[:5], "steps=70", f"restart={restart}"], capture_output=True, text=True,
                               timeout=60)
        assert again.returncode == 0, again
        assert judge(path) == rows_through(69)
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("resumes", [False, True])
def test_any_operation_may_fail(writer, run, tmp_path, resumes):
    path, random_numbers = tmp_path / "run.h5", random.Random(SEED)
    options = ["seed=3", "commit=3", "sync=7"]
    image = {}
    if resumes:
        run(writer, path, *options, "steps=50", "abandon=1")
        image = {entry: entry.read_bytes() for entry in tmp_path.iterdir()}
    options += ["steps=70", "restart=40"] if resumes else ["steps=50"]
    total = count_operations(writer, run, path, *options)
    faults = amount("TRAJLOG_FAULTS", 150) // 2
    for number in range(faults):
        at, mode = 1 + number * total // faults, 1 + number % 3
        code = random_numbers.choice(ERRORS + ([errno.EINTR] if mode == 1 else []))
        clear(tmp_path)
        for entry, content in image.items():
            entry.write_bytes(content)
        command = [writer, path, *options, f"fail={at}", f"mode={mode}", f"errno={code}"]
        try:
            check_failed_run(command, path, code, ["flushed 40"] if resumes else [], random_numbers)
        except Exception as failure:
            raise AssertionError(f"{command}") from failure
