#!/usr/bin/env python3
"""The kill campaign: random logs, their writers killed with SIGKILL at random moments, their files judged.

    campaign.py --build BUILD [--count N] [--seed S] [--jobs J] [--keep DIRECTORY]     N kills
    campaign.py --build BUILD --seed S --case K [--amid] --keep DIRECTORY              one case again

A case follows from its seed and number, but for the moment of the kill in the machine's own time. Of all kills, each tenth hits a resume before it has taken effect:
cases that aim there (--amid) are added until it is so. Exit status: 0 if
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

import numpy

import examples
import plans
import verdict

LONGEST = 120.0
# So many violations are all one.
ENOUGH = 20
# Kills between the start of a resume and its first commit, by which it takes effect; and how many there must be.
AMID = "amid a resume"
SHARE_AMID = 0.1
MOST_CASES = 10  # for each kill that is asked for


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


WAYS = {"start": 20, "created": 10, "any": 50, "closing": 15, "never": 5}
WAYS_BEFORE_AMID = {"any": 50, "created": 50}
WAYS_OF_RESUMES = {"start": 15, "created": 50, "any": 20, "closing": 10, "never": 5}


class Moment:
    """When to kill: soon after the start, at any time, or when the writer says that it has opened its file or closes; or
    that it resumes, within so many seconds of that."""

    def __init__(self, chance, ways=None, within=None):
        ways = ways or WAYS
        self.when = chance.choices(list(ways), list(ways.values()))[0]
        if self.when == "start":
            self.seconds = chance.uniform(0, 0.04)
        elif self.when == "resuming":
            self.seconds = chance.uniform(0, within)
        elif self.when == "any":
            self.seconds = 1.2 * 10 ** chance.uniform(-2, 0)
        else:
            self.seconds = 10 ** chance.uniform(-5, -1.7 if self.when == "created" else -2.3)

    def __str__(self):
        return f"{self.when} {1000 * self.seconds:.2f} ms"


def read_some(process, seconds):
    """What the process says next; nothing if it says nothing for so long; None if it has ended."""
    if not select.select([process.stdout], [], [], seconds)[0]:
        return b""
    return process.stdout.read1(65536) or None


def read_until(process, deadline, word=None):
    """What the process says until the deadline, its end, or a line that begins with the word."""
    text = b""
    while (left := deadline - time.monotonic()) > 0:
        some = read_some(process, left)
        text += some or b""
        if some is None or word and b"\n" + word in b"\n" + text:
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
        if moment.when in ("resuming", "created", "closing"):
            text = read_until(process, started + LONGEST, moment.when.encode())
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


@dataclasses.dataclass
class State:
    """What a file should hold: what a plan says, with the salts of the runs on it."""

    plan: plans.Plan
    plan_file: pathlib.Path
    history: list  # (from this step on, this salt), oldest first
    rows: dict = None

    def salts(self, steps):
        salts = numpy.zeros(len(steps), dtype=numpy.uint64)
        for begin, salt in self.history:
            salts[steps >= begin] = salt
        return salts

    def resumed(self, begin, salt):
        history = [(step, old) for step, old in self.history if step < begin]
        return State(self.plan, self.plan_file, [*history, (begin, salt)])


class SyntheticCase:
    """One file, and some runs of the writer on it: the first creates it, others replace or resume it."""

    def __init__(self, build, directory, seed, number, again=0.1, amid=False):
        self.build, self.directory, self.again, self.amid = build, directory, again, amid
        self.chance = random.Random(f"{seed} {number}")
        self.path = directory / "run.h5"
        self.result = Result(number, "", 0, 0)
        self.plans = 0
        self.within = 0.02  # how soon a resume is killed: sooner, where that was too late
        self.state = None  # before a run: of the file that is there; None if there is none
        self.cut = []  # the steps that resumes went back to that were cut, as long as plain HDF5 may see it

    def run(self):
        self.create()
        if self.amid:
            for _ in range(4):
                if self.state is not None:
                    self.resume()
        elif self.chance.random() < self.again:
            for _ in range(self.chance.randint(1, 4)):
                if self.state is None or self.chance.random() < 0.2:
                    self.create("existing=replace")
                else:
                    self.resume()
        return self.result

    def create(self, *words):
        plan = plans.random_plan(self.chance.getrandbits(40))
        self.plans += 1
        plan_file = self.directory / f"plan{self.plans}"
        plan.write(plan_file)
        self.result.what += f"plan{self.plans}: {plan.kind}, seed {plan.seed}; "
        self.count("replaced" if words else "created")
        self.run_once(State(plan, plan_file, [(plan.first, plan.once_salt)]), words,
                      WAYS_BEFORE_AMID if self.amid else WAYS)

    def resume(self):
        """Takes the file up at a step that it has, or at the start; what comes then has another salt."""
        last, salt = verdict.last_step(self.path, self.state.plan), self.chance.getrandbits(63)
        restart, begin = "start", self.state.plan.first
        if last is not None and self.chance.random() < 0.9:
            restart = self.chance.choice([last, self.chance.randint(begin, last)])
            begin = restart + 1
        words = [f"resume={restart}", f"first={begin}", f"salt={salt}"]
        self.count("resumed")
        self.run_once(self.state.resumed(begin, salt), words, {"resuming": 1} if self.amid else WAYS_OF_RESUMES, None if restart == "start" else restart)

    def run_once(self, new, words, ways, kept=None):
        """Runs the writer, which is to bring the file into a new state, and judges it. Rows of all steps up to `kept`
        must be there whatever happens."""
        moment = Moment(self.chance, ways, self.within)
        self.result.what += f"{new.plan_file.name} {' '.join(words)} killed {moment}; "
        command = [self.build / "test/campaign/writer", self.path, new.plan_file, *words]
        text, killed, status, seen = run_and_kill(command, moment, self.directory, self.path)
        report = verdict.Report(text, new.history[-1][0])
        self.result.kills += killed
        self.result.finished += not killed
        self.note_resume(killed, report)
        verdict.require(report.failed is None and (killed or status == 0), "the writer failed:", status, report.failed,
                        (self.directory / "stderr").read_text())
        verdict.require(killed or report.closed, "the writer ended without closing")
        self.look(new, report, seen, kept)

    def look(self, new, report, seen=None, kept=None):
        """Judges what a run has left that was to bring the file into a new state."""
        if report.flushed is None:
            report.flushed = kept
        if not self.path.exists():
            verdict.require(not report.created and self.state is None, "there is no file")
        elif not self.is_as_before(new, report) and not self.is_cut(report, kept):
            self.judge(new, report, seen)

    def note_resume(self, killed, report):
        if killed and report.resuming and not report.logged:
            self.count(AMID)
        elif report.resuming and self.amid:
            self.within /= 2

    def is_as_before(self, new, report):
        """Whether the file is still that of the run before, as it may be as long as no step was logged."""
        if self.state is None or report.logged:
            return False
        try:
            rows = verdict.check_log(self.path, self.state.plan, verdict.Report(""), self.state.salts)
        except (verdict.Violation, KeyError):
            return False
        if rows == self.state.rows:
            self.cut = []
            self.count("as before")
            return True
        return False

    def is_cut(self, report, kept):
        """Whether a resume was cut when it had begun to drop rows, and not yet taken effect: by this kill, or an earlier
        one if nobody has opened the file since. The next open takes it back. So the file holds what it held before, though
        plain HDF5 may not see all of it; and whoever saw the resume take effect would see rows come back."""
        if self.state is None or report.logged or not pathlib.Path(f"{self.path}.journal").exists():
            return False
        with tempfile.TemporaryDirectory(dir=self.directory) as name:
            copy = pathlib.Path(name) / self.path.name
            if not verdict.recover_copy(self.build, self.path, copy):
                return False
            self.cut += [] if kept is None else [kept]
            self.judge_cut(copy, report)
        self.count("taken back")
        return True

    def judge_cut(self, recovered, report):
        plan, salts = self.state.plan, self.state.salts
        rows = verdict.check_log(recovered, plan, verdict.Report(""), salts)
        verdict.require(rows == self.state.rows, "a resume that was taken back leaves", rows, "of", self.state.rows)
        verdict.check_cut_resume(self.path, recovered, plan, report, salts, self.cut)
        verdict.check_with_our_reader(self.build, self.path, recovered)

    def judge(self, new, report, seen):
        seed, _ = verdict.plan_of(self.path)
        verdict.require(seed in (None, str(new.plan.seed)), "the file is of another run")
        new.rows = verdict.check_log(self.path, new.plan, report, new.salts)
        if seen is not None and seen[0] == str(new.plan.seed) and len(new.history) == 1:
            verdict.check_live(new.rows, seen[1])
            self.count("watched")
        self.state, self.cut = new, []
        self.look_otherwise()
        self.result.rows += sum((new.rows or {}).values())
        self.result.bytes += self.path.stat().st_size

    def look_otherwise(self):
        if self.chance.random() < 0.2:
            verdict.check_with_our_reader(self.build, self.path)
            verdict.check_with_our_tool(self.build, self.path)
            self.count("our reader")
        if self.chance.random() < 0.1:
            verdict.check_with_hdf5_tools(self.path, whole=self.path.stat().st_blocks < 2000)
            self.count("h5dump, h5ls")

    def count(self, what):
        self.result.counts[what] = self.result.counts.get(what, 0) + 1


# ----------------------------------------------------------------------------------------------------------------------
# Many cases


def run_case(build, seed, number, keep, again=0.1, wholes=None, amid=False):
    """Runs a case in a directory of its own, which stays if it was kept or something was violated. `wholes` is where
    uninterrupted runs are, for all cases. `amid`: it is to be killed amid resumes."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix=f"trajlog-{seed}-{number}-", dir=keep))
    if number % 5 == 4 and not amid:
        case = examples.ExampleCase(build, directory, seed, number, again, wholes)
    else:
        case = SyntheticCase(build, directory, seed, number, again, amid)
    try:
        case.run()
    except Exception as error:
        what = str(error) if isinstance(error, verdict.Violation) else "".join(traceback.format_exception(error))
        case.result.violation = f"{what}\n    case {number} of seed {seed}{' --amid' * amid}; {case.result.what}\n    kept in {directory}"
    if keep is None and not case.result.violation:
        shutil.rmtree(directory)
    return case.result


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

    @property
    def lacks_kills_amid(self):
        return self.counts[AMID] < SHARE_AMID * self.kills

    def __str__(self):
        others = "".join(f", {name} {count}" for name, count in sorted(self.counts.items()))
        return (f"{self.kills} kills, {len(self.violations)} violations; {self.finished} runs not killed, "
                f"{self.rows} rows and {self.bytes / 1e6:.0f} MB judged{others}")


def wants_more(totals, count, waiting):
    """Whether one more case is needed, besides those that run."""
    if len(totals.violations) >= ENOUGH or totals.cases + waiting >= MOST_CASES * count:
        return False
    return totals.kills + waiting < count or waiting == 0 and totals.lacks_kills_amid


def run_campaign(build, seed, count, jobs, keep=None, first=0, again=0.1, tell=None):
    """Cases until `count` processes were killed, and enough of them amid a resume. A judge that dies, which h5py must not, is a violation too."""
    totals, number = Totals(), first
    with tempfile.TemporaryDirectory(prefix="trajlog-wholes-", dir=keep) as name, \
            concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        waiting = set()
        while waiting or wants_more(totals, count, 0):
            while len(waiting) < 2 * jobs and wants_more(totals, count, len(waiting)):
                amid = totals.lacks_kills_amid
                waiting.add(pool.submit(run_case, build, seed, number, keep, again, pathlib.Path(name), amid))
                number += 1
            done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                try:
                    result = future.result()
                except concurrent.futures.process.BrokenProcessPool as error:
                    totals.violations.append(f"a judge died, in one of the cases before {number} of seed {seed}: {error}")
                    return totals
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
    parser.add_argument("--amid", action="store_true", help="the case is one that aims at resumes")
    parser.add_argument("--again", type=float, default=0.1, help="so many cases are resumed or replaced, too")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=pathlib.Path, default=None)
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().getrandbits(31)
    build = arguments.build.resolve()
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    if arguments.case is not None:
        result = run_case(build, seed, arguments.case, arguments.keep, arguments.again,
                          amid=arguments.amid)
        print(result)
        return 1 if result.violation else 0
    print(f"seed {seed}", flush=True)
    totals = run_campaign(build, seed, arguments.count, arguments.jobs, arguments.keep,
                          again=arguments.again, tell=tell_progress)
    print(f"seed {seed}: {totals}")
    return 1 if totals.violations else 0


if __name__ == "__main__":
    sys.exit(main())
