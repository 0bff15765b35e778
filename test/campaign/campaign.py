#!/usr/bin/env python3
"""The kill campaign: random logs, their writers killed with SIGKILL at random moments, their files judged.

    campaign.py --build BUILD [--count N] [--seed S] [--jobs J] [--keep DIRECTORY]     N kills
    campaign.py --build BUILD --seed S --case K --keep DIRECTORY                       one case again

A case follows from its seed and number, but for the moment of the kill in the machine's own time. Exit status: 0 if
nothing was violated."""

import argparse
import collections
import concurrent.futures
import dataclasses
import pathlib
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import h5py

import examples
import plans
import verdict

LONGEST = 60.0


@dataclasses.dataclass
class Result:
    number: int
    what: str
    kills: int
    finished: int
    rows: int = 0
    bytes: int = 0
    violation: str = ""
    counts: dict = dataclasses.field(default_factory=dict)


# ----------------------------------------------------------------------------------------------------------------------
# Killing


class Moment:
    """When to kill: soon after the start, at any time, or when the writer says that it closes."""

    def __init__(self, chance, longest=1.2):
        self.when = chance.choices(["start", "any", "closing", "never"], [20, 55, 20, 5])[0]
        if self.when == "start":
            self.seconds = chance.uniform(0, 0.04)
        elif self.when == "any":
            self.seconds = longest * 10 ** chance.uniform(-2, 0)
        else:
            self.seconds = 10 ** chance.uniform(-5, -2.3)

    def __str__(self):
        return f"{self.when} {1000 * self.seconds:.2f} ms"


def read_until(process, deadline, word=None):
    """What the process says until the deadline, its end, or a line that begins with the word."""
    text = b""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([process.stdout], [], [], left)[0]:
            some = process.stdout.read1(65536)
            text += some
            if not some or word and b"\n" + word in b"\n" + text:
                break
    return text


def seen_rows(path):
    """What a reader sees beside the writer; None if the file could not be opened at this very moment."""
    try:
        return verdict.plan_of(path)
    except OSError:
        return None


def run_and_kill(command, moment, directory, look_at=None):
    """Runs a program and kills it. Returns what it said, whether it was killed, and what a reader saw just before."""
    with open(directory / "stderr", "wb") as errors:
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=errors)
    seen = None
    try:
        started = time.monotonic()
        if moment.when == "closing":
            text = read_until(process, started + LONGEST, b"closing")
            time.sleep(moment.seconds)
        else:
            text = read_until(process, started + (LONGEST if moment.when == "never" else moment.seconds))
        if look_at is not None and moment.when == "any" and moment.seconds > 0.1:
            seen = seen_rows(look_at)
        stuck = moment.when == "never" and process.poll() is None and not wait(process)
        process.send_signal(signal.SIGKILL)
        text += process.stdout.read()
        killed = process.wait() == -signal.SIGKILL
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    verdict.require(not stuck, "the program has not ended after", LONGEST, "seconds")
    return text.decode(errors="replace"), killed, process.returncode, seen


def wait(process):
    try:
        process.wait(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return False
    return True


# ----------------------------------------------------------------------------------------------------------------------
# Cases with the synthetic writer


class SyntheticCase:
    """One file, and some runs of the writer on it: the first creates it, others replace or resume it."""

    def __init__(self, build, directory, seed, number):
        self.build, self.directory = build, directory
        self.chance = random.Random(f"{seed} {number}")
        self.path = directory / "run.h5"
        self.result = Result(number, "", 0, 0)
        self.can_resume = subprocess.run([build / "test/campaign/writer", "--resume"], check=False).returncode == 0
        self.plan_number = 0
        self.plan = self.salt = None
        self.history = []  # (from this step on, this salt)
        self.rows = None
        self.was_there = False

    def new_plan(self):
        self.plan = plans.random_plan(self.chance.getrandbits(40))
        self.plan_number += 1
        plan_file = self.directory / f"plan{self.plan_number}"
        self.plan.write(plan_file)
        self.history = [(self.plan.first, self.plan.once_salt)]
        return plan_file

    def run(self):
        plan_file = self.new_plan()
        self.result.what = f"{self.plan.kind}, seed {self.plan.seed}"
        self.run_once([plan_file])
        if self.chance.random() < 0.1:
            for _ in range(self.chance.randint(1, 3)):
                self.run_again(plan_file)
        return self.result

    def run_again(self, plan_file):
        before = self.plan, self.history
        if not self.path.exists() or not self.can_resume or self.chance.random() < 0.2:
            self.run_once([self.new_plan(), "existing=replace"], before)
            self.result.counts["replaced"] = self.result.counts.get("replaced", 0) + 1
            return
        self.resume(self.directory / f"plan{self.plan_number}", before)

    def resume(self, plan_file, before):
        """Takes the file up at a step that it has, or at the start; what comes then has another salt."""
        last = self.last_step()
        salt = self.chance.getrandbits(63)
        if last is None or self.chance.random() < 0.1:
            restart, begin = "start", self.plan.first
        else:
            restart = self.chance.choice([last, self.chance.randint(self.plan.first, last)])
            begin = restart + 1
        self.history = [(step, old) for step, old in self.history if step < begin] + [(begin, salt)]
        self.result.counts["resumed"] = self.result.counts.get("resumed", 0) + 1
        self.run_once([plan_file, f"resume={restart}", f"first={begin}", f"salt={salt}"], before)

    def last_step(self):
        with h5py.File(self.path, "r") as file:
            actual = int(file.attrs.get("actual_steps", 0))
        return actual - 1 if actual > self.plan.first else None

    def salts(self, history):
        def of(steps):
            salts = plans.numpy.zeros(len(steps), dtype=plans.numpy.uint64)
            for begin, salt in history:
                salts[steps >= begin] = salt
            return salts
        return of

    def run_once(self, words, before=None):
        """Runs the writer; judges the file. After a kill in the middle of taking it up, it may still be the old one."""
        moment, self.was_there = Moment(self.chance), self.path.exists()
        self.result.what += f"; {' '.join(str(word).rpartition('/')[2] for word in words)} killed {moment}"
        text, killed, status, seen = run_and_kill([self.build / "test/campaign/writer", self.path, *words], moment,
                                                  self.directory, self.path)
        report = verdict.Report(text)
        self.result.kills += killed
        self.result.finished += not killed
        verdict.require(report.failed is None and (killed or status == 0), "the writer failed:", status, report.failed,
                        (self.directory / "stderr").read_text())
        verdict.require(killed or report.closed, "the writer ended without closing")
        self.judge(report, seen, before)

    def judge(self, report, seen, before):
        if not self.path.exists():
            verdict.require(not report.created and not self.was_there, "there is no file")
            return
        seed, _ = verdict.plan_of(self.path)
        if self.was_there and not report.logged:
            # The old file is there until the new state is, as a whole.
            old_plan, old_history = before
            try:
                self.rows = verdict.check_log(self.path, old_plan, verdict.Report(""), self.salts(old_history))
                self.plan, self.history = before
                return
            except (verdict.Violation, KeyError):
                if not report.created and self.plan is old_plan:
                    raise
        verdict.require(seed in (None, str(self.plan.seed)), "the file is of another run")
        self.rows = verdict.check_log(self.path, self.plan, report, self.salts(self.history))
        if seen is not None and seen[0] == str(self.plan.seed):
            verdict.check_live(self.rows, seen[1])
            self.result.counts["watched"] = self.result.counts.get("watched", 0) + 1
        self.look_otherwise()
        self.result.rows += sum((self.rows or {}).values())
        self.result.bytes += self.path.stat().st_size

    def look_otherwise(self):
        if self.chance.random() < 0.2:
            verdict.check_with_our_reader(self.build, self.path)
            self.result.counts["our reader"] = self.result.counts.get("our reader", 0) + 1
        if self.chance.random() < 0.1:
            verdict.check_with_hdf5_tools(self.path, whole=self.path.stat().st_blocks < 2000)
            self.result.counts["h5dump, h5ls"] = self.result.counts.get("h5dump, h5ls", 0) + 1


# ----------------------------------------------------------------------------------------------------------------------
# Many cases


def run_case(build, seed, number, keep):
    """Runs a case in a directory of its own, which stays if it was kept or something was violated."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix=f"trajlog-{seed}-{number}-", dir=keep))
    kind = examples.ExampleCase if number % 5 == 4 else SyntheticCase
    case = kind(build, directory, seed, number)
    try:
        case.run()
    except Exception as error:
        what = str(error) if isinstance(error, verdict.Violation) else "".join(traceback.format_exception(error))
        case.result.violation = f"{what}\n    case {number} of seed {seed}; {case.result.what}\n    kept in {directory}"
    if keep is None and not case.result.violation:
        shutil.rmtree(directory)
    return case.result


def run_cases(build, seed, numbers, keep=None):
    """The results of these cases, one after the other."""
    return [run_case(build, seed, number, keep) for number in numbers]


class Totals:
    def __init__(self):
        self.cases = self.kills = self.finished = self.rows = self.bytes = 0
        self.counts, self.violations = collections.Counter(), []

    def add(self, result):
        self.cases += 1
        for name in ("kills", "finished", "rows", "bytes"):
            setattr(self, name, getattr(self, name) + getattr(result, name))
        self.counts.update(result.counts)
        if result.violation:
            self.violations.append(result.violation)

    def __str__(self):
        others = "".join(f", {name} {count}" for name, count in sorted(self.counts.items()))
        return (f"{self.kills} kills, {len(self.violations)} violations; {self.finished} runs not killed, "
                f"{self.rows} rows and {self.bytes / 1e6:.0f} MB judged{others}")


def run_campaign(build, seed, count, jobs, keep=None, first=0, tell=None):
    """Cases until `count` processes were killed. A judge that dies (which h5py must not) ends the campaign."""
    totals, number = Totals(), first
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        waiting = set()
        while waiting or totals.kills < count:
            while len(waiting) < 2 * jobs and totals.kills + len(waiting) < count:
                waiting.add(pool.submit(run_case, build, seed, number, keep))
                number += 1
            done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                result = future.result()
                totals.add(result)
                if tell:
                    tell(result, totals)
    return totals


def tell_progress(result, totals):
    if result.violation:
        print(f"VIOLATED: {result.violation}", flush=True)
    if totals.cases % 100 == 0:
        print(totals, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--case", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=pathlib.Path, default=None)
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().getrandbits(31)
    build = arguments.build.resolve()
    if arguments.case is not None:
        result = run_case(build, seed, arguments.case, arguments.keep)
        print(result)
        return 1 if result.violation else 0
    print(f"seed {seed}", flush=True)
    totals = run_campaign(build, seed, arguments.count, arguments.jobs, arguments.keep, tell=tell_progress)
    print(f"seed {seed}: {totals}")
    return 1 if totals.violations else 0


if __name__ == "__main__":
    sys.exit(main())
