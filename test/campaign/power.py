#!/usr/bin/env python3
"""Power losses: random logs whose writers are recorded, with their resumes; of what was not synced at some moment, any
part arrives on a new disk. What was reported as synced must then be there.

    power.py --build BUILD [--count N] [--seed S] [--jobs J] [--keep DIRECTORY]      N states
    power.py --build BUILD --seed S --recording K --keep DIRECTORY                   one recording again

The random numbers follow from seed and recording; in which order a log's own thread works, does not. What is kept has the
recording itself, so that its states can be made again. Exit status: 0 if nothing was violated."""

import argparse
import collections
import concurrent.futures
import dataclasses
import os
import pathlib
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
import traceback

import campaign
import plans
import verdict

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "crash"))
from crash_replay import Disk, is_directory, read_log  # noqa: E402

MOMENTS, LOSSES = 20, 10
STATES = MOMENTS * LOSSES


def small_plan(seed):
    """A random log that is small, has no end of its own, and is synced now and then."""
    chance = random.Random(seed)
    while True:
        plan = plans.random_plan(chance.getrandbits(40), 400 << 10)
        if max(group.bytes for group in plan.groups) < 16 << 10:
            break
    # Chunks of the usual size are written whole with each commit, which takes long to replay so often.
    for field in (field for group in plan.groups for field in group.fields if field.chunk_rows == 0):
        if chance.random() < 0.9:
            field.chunk_rows = chance.randint(1, max(1, (32 << 10) // field.bytes))
    for group in plan.groups:
        group.with_last = 0
    plan.options.pop("total_steps", None)
    plan.count, plan.pause = chance.randint(1, 200), 0
    plan.sync_every = chance.choice([1, 3, 10, 40])
    plan.flush_every = chance.choice([0, 1, 2, 7, 20])
    if plan.checkpoint:
        plan.checkpoint.interval = chance.choice([1, 5, 20, 100])
    return plan


# ----------------------------------------------------------------------------------------------------------------------
# Recording


@dataclasses.dataclass
class Run:
    """A run of the writer: what the file is to hold from it on, and where its operations begin among all."""

    state: campaign.State
    begin: int = 0
    restart: int = None  # steps up to it are kept; None: none


class Recording:
    """One file, some runs on it one after the other, and what they did to the disk."""

    def __init__(self, build, directory, chance):
        self.build, self.directory, self.chance = build, directory, chance
        self.path = directory / "run.h5"
        self.runs, self.operations = [], []

    def make(self):
        plan = small_plan(self.chance.getrandbits(40))
        self.add(campaign.State(plan, None, [(plan.first, plan.once_salt)]), None)
        for _ in range(self.chance.choice([0, 1, 1, 2, 3])):
            self.resume()

    def resume(self):
        old, salt = self.runs[-1].state, self.chance.getrandbits(63)
        restart = verdict.last_step(self.path, old.plan)
        if restart is not None and self.chance.random() < 0.9:
            restart = self.chance.choice([restart, self.chance.randint(old.plan.first, restart)])
        else:
            restart = None
        begin = old.plan.first if restart is None else restart + 1
        new = old.resumed(begin, salt)
        new.plan = dataclasses.replace(old.plan, count=begin - old.plan.first + self.chance.randint(1, 100))
        self.add(new, restart)

    def add(self, state, restart):
        number = len(self.runs)
        state.plan_file = self.directory / f"plan{number}"
        state.plan.write(state.plan_file)
        words = resume_words(state, restart) if number > 0 else []
        log = self.directory / f"log{number}"
        how = "close" if self.chance.random() < 0.3 else "abandon"
        result = subprocess.run([self.build / "test/crash/plan_run", log, how, self.path, state.plan_file, *words],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=campaign.LONGEST,
                                check=False)
        verdict.require(result.returncode == 0 and not result.stderr, "the writer failed:", result.returncode,
                        result.stdout[-300:], result.stderr)
        self.runs.append(Run(state, len(self.operations), restart))
        self.operations += read_log(log)
        log.unlink()


def resume_words(state, restart):
    begin, salt = state.history[-1]
    return [f"resume={'start' if restart is None else restart}", f"first={begin}", f"salt={salt}"]


def reports(recording, end):
    """What each run that has begun before the operation `end` was told by then."""
    told = []
    begins = [run.begin for run in recording.runs] + [len(recording.operations)]
    for begin, stop in zip(begins, begins[1:]):
        if begin < end:
            lines = [operation[1] for operation in recording.operations[begin:min(stop, end)] if operation[0] == "mark"]
            told.append(verdict.Report("".join(f"{line}\n" for line in lines)))
    return told


@dataclasses.dataclass
class Promise:
    """What a file must hold after a power loss: the rows of a run with its report; `old`: or that."""

    run: Run
    report: verdict.Report
    old: object = None


def promise_at(recording, end):
    """None as long as nothing was reported as synced."""
    promise = None
    for run, told in zip(recording.runs, reports(recording, end)):
        report = verdict.Report("")
        report.flushed, report.checkpointed = told.synced, told.checkpointed
        # A log that was ever synced is so when it is closed; a resume syncs.
        report.closed = told.closed and (told.synced is not None or run.begin > 0)
        if told.synced is not None or report.closed:
            promise = Promise(run, report)
        elif told.logged and run.begin > 0:
            # A resume has synced what it keeps, or begins with, before its first step is logged.
            report.flushed, report.checkpointed = run.restart, kept_of(promise, run.restart)[1]
            promise = Promise(run, report)
        elif promise is not None:
            # The resume's batch may have arrived or not; of what it keeps, what was synced is there.
            report.flushed, report.checkpointed = kept_of(promise, run.restart)
            promise = Promise(run, report, promise)
    return promise


def kept_of(promise, restart):
    """The last step of the rows, and that of the newest checkpoint, that a resume keeps of what was promised."""
    if promise is None:
        return None, None
    plan, old = promise.run.state.plan, promise.report
    through = plan.first + plan.count - 1 if old.closed else old.flushed
    if restart is None or through is None:
        return None, None
    kept = min(through, restart)
    return kept, old.checkpointed if old.checkpointed is not None and old.checkpointed <= kept else None


# ----------------------------------------------------------------------------------------------------------------------
# Judging


def judge(path, promise):
    """Returns the promise that the file keeps: the newest, or one of those before it."""
    failures = []
    while promise is not None:
        state = promise.run.state
        try:
            rows = verdict.check_log(path, state.plan, promise.report, state.salts, after_power_loss=True)
            verdict.require(rows is not None, "there are no groups")
            return promise
        except verdict.Violation as violation:
            failures.append(str(violation))
        promise = promise.old
    raise verdict.Violation("; or ".join(failures))


class Recovery:
    """The program that recovers one file after the other."""

    def __init__(self, build):
        self.process = subprocess.Popen([build / "test/crash/recover"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def __call__(self, path):
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        verdict.require(answer.isdigit(), "recover said", answer)
        return f"journal {answer}"

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


def judge_with_tools(build, path, promise, chance):
    """Our reader reads the same before and after recovery, and our tool finds no fault; then a resume goes on."""
    before = verdict.read_with_our_reader(build, path)
    verdict.run_quietly(build / "trajlog", "recover", path)
    verdict.require(before == verdict.read_with_our_reader(build, path), "our reader read something else before recovery")
    verdict.check_with_our_reader(build, path)
    verdict.check_with_our_tool(build, path)
    kept = judge(path, promise)
    go_on(build, path, kept, verdict.last_step(path, kept.run.state.plan), chance)


def resume_at_once(build, path, promise, recover, chance):
    """A resume finds what the power loss has left, journal and all. Where it may begin, a copy says."""
    with tempfile.TemporaryDirectory(prefix="trajlog-power-", dir=memory()) as name:
        copy = pathlib.Path(name) / "copy"
        shutil.copytree(path.parent, copy)
        recover(copy / path.name)
        kept = judge(copy / path.name, promise)
        last = verdict.last_step(copy / path.name, kept.run.state.plan)
    go_on(build, path, kept, last, chance)


def go_on(build, path, promise, last, chance):
    """A resume, to an end of its own, of a file whose last step is `last`."""
    old = promise.run.state
    restart = None if last is None else chance.randint(max(old.plan.first, last - 20), last)
    begin = old.plan.first if restart is None else restart + 1
    new = old.resumed(begin, chance.getrandbits(63))
    new.plan = dataclasses.replace(old.plan, count=begin - old.plan.first + chance.randint(1, 30))
    new.plan_file = path.parent / "plan"
    new.plan.write(new.plan_file)
    text = verdict.run_quietly(build / "test/campaign/writer", path, new.plan_file, *resume_words(new, restart))
    report = verdict.Report(text)
    verdict.require(report.closed, "the resume did not close")
    report.dropped = None
    # A checkpoint that was synced, and belongs to rows that are kept, is still there; one that was torn is not.
    kept = kept_of(promise, restart)[1]
    report.checkpointed = kept if report.checkpointed is None else report.checkpointed
    verdict.check_log(path, new.plan, report, new.salts)


# ----------------------------------------------------------------------------------------------------------------------
# Many states


@dataclasses.dataclass
class Result:
    number: int
    states: int = 0
    counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    violation: str = ""


def lose_power_often(build, directory, recording, chance, result):
    """Moments in the recording, and losses at each of them; judges them all."""
    first = next((end for end, operation in enumerate(recording.operations, 1)
                  if operation[0] == "mark" and promise_at(recording, end) is not None), None)
    if first is None:
        return
    state, recover = directory / "state", Recovery(build)
    state.mkdir()
    disk, done = Disk(is_directory(recording.operations)), 0
    try:
        for end in sorted(chance.randint(first, len(recording.operations)) for _ in range(MOMENTS)):
            for operation in recording.operations[done:end]:
                disk.apply(operation)
            done, promise = end, promise_at(recording, end)
            for _ in range(LOSSES):
                result.violation = f"operation {end} of {len(recording.operations)}"
                disk.lose_power(chance, state)
                judge_state(build, state, promise, recover, chance, result.counts)
                result.states += 1
        result.violation = ""
    finally:
        recover.close()


def judge_state(build, state, promise, recover, chance, counts):
    path = state / "run.h5"
    verdict.require(path.exists(), "there is no file")
    if chance.random() < 0.01:
        judge_with_tools(build, path, promise, chance)
        counts["with our reader, our tool and a resume"] += 1
    elif chance.random() < 0.01:
        resume_at_once(build, path, promise, recover, chance)
        counts["resumed at once"] += 1
    else:
        counts[recover(path)] += 1
        judge(path, promise)


def memory():
    """Where files are quick: what is durable is for the recording to say. None: no other place than usual."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def run_recording(build, seed, number, keep):
    """Makes a recording in a directory of its own, which stays if it was kept or something was violated."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix=f"trajlog-power-{seed}-{number}-", dir=keep or memory()))
    chance, result = random.Random(f"{seed} {number}"), Result(number)
    recording = Recording(build, directory, chance)
    try:
        recording.make()
        lose_power_often(build, directory, recording, chance, result)
    except Exception as error:
        what = str(error) if isinstance(error, verdict.Violation) else "".join(traceback.format_exception(error))
        result.violation = f"{what}\n    recording {number} of seed {seed}, {result.violation}\n    kept in {directory}"
        result.violation = result.violation[-3000:]
        (directory / "recording").write_bytes(pickle.dumps((recording.operations, recording.runs)))
    if keep is None and not result.violation:
        shutil.rmtree(directory)
    return result


def run_recordings(build, seed, count, jobs, keep=None, first=0):
    """Recordings until so many states were judged; returns the states, the next recording's number, counts and
    violations."""
    states, number, counts, violations = 0, first, collections.Counter(), []
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        waiting = set()
        while waiting or states < count and len(violations) < campaign.ENOUGH:
            while (len(waiting) < 2 * jobs and states + STATES * len(waiting) < count
                   and len(violations) < campaign.ENOUGH):
                waiting.add(pool.submit(run_recording, build, seed, number, keep))
                number += 1
            done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                result = future.result()
                states += result.states
                counts.update(result.counts)
                if result.violation:
                    violations.append(result.violation)
                    print(f"VIOLATED: {result.violation}", flush=True)
    return states, number, counts, violations


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--recording", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=pathlib.Path, default=None)
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().getrandbits(31)
    build = arguments.build.resolve()
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    if arguments.recording is not None:
        result = run_recording(build, seed, arguments.recording, arguments.keep)
        print(result)
        return 1 if result.violation else 0
    states, number, counts, violations = run_recordings(build, seed, arguments.count, arguments.jobs, arguments.keep)
    print(f"seed {seed}: {states} states of {number} recordings, {len(violations)} violations; {dict(counts)}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
