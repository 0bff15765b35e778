#!/usr/bin/env python3
"""The long campaign: thousands of kills, and tens of thousands of power losses. Can be stopped, and goes on from where it
was; prints seeds and counts.

    soak.py --build BUILD --state FILE [--kills 10000] [--power 100000] [--seed S] [--jobs J]

What was done is in FILE; remove it to begin anew. Power losses are those of the tests of the commit driver and of resumes
(test/outside), each part with a seed of its own. Exit status 0: nothing was violated."""

import argparse
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import campaign

KILLS_AT_ONCE = 250
STATES_AT_ONCE = 1000
OUTSIDE = pathlib.Path(__file__).resolve().parent.parent / "outside"
# A third of the kills hit a run that was killed before.
AGAIN = 0.35


class Progress:
    """What was done so far, in a file."""

    def __init__(self, path, seed):
        self.path = path
        self.data = {"seed": seed, "next_case": 0, "power_states": 0, "seconds": 0, "totals": {}, "violations": []}
        if path.exists():
            self.data = json.loads(path.read_text(encoding="utf-8"))

    def save(self):
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.data, indent=1), encoding="utf-8")
        os.replace(new, self.path)

    @property
    def kills(self):
        return self.data["totals"].get("kills", 0)

    def add_kills(self, totals):
        counts = collections.Counter(self.data["totals"])
        counts.update(totals.counts)
        counts.update({name: getattr(totals, name) for name in ("kills", "cases", "finished", "rows", "bytes")})
        self.data["totals"] = dict(counts)
        self.data["next_case"] += totals.cases
        self.data["violations"] += totals.violations
        self.save()

    def add_states(self, count, failures):
        self.data["power_states"] += count
        self.data["violations"] += failures
        self.save()

    def __str__(self):
        totals = ", ".join(f"{name} {count}" for name, count in sorted(self.data["totals"].items()))
        return (f"seed {self.data['seed']}: {self.kills} kills, {self.data['power_states']} power-loss states, "
                f"{len(self.data['violations'])} violations in {self.data['seconds']:.0f} s ({totals})")


def lose_power(build, seed, jobs):
    """A part of the power losses; returns how many there were, and what failed."""
    environment = {**os.environ, "TRAJLOG_BUILD": str(build), "TRAJLOG_SEED": str(seed),
                   "TRAJLOG_POWER_STATES": str(STATES_AT_ONCE)}
    failures, processes = [], []
    for name in "test_driver_kill.py", "test_resume_store.py":
        command = [sys.executable, "-B", "-m", "pytest", "-q", "-o", "timeout=3000", "-o", "cache_dir=/dev/null", "-p",
                   "no:cacheprovider", OUTSIDE / name, "-k", "power_loss"]
        processes.append(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, text=True,
                                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        if jobs == 1:
            processes[-1].wait()
    for process in processes:
        output, _ = process.communicate()
        if process.returncode != 0:
            failures.append(f"power loss, TRAJLOG_SEED={seed} TRAJLOG_POWER_STATES={STATES_AT_ONCE}: {output[-3000:]}")
    return 2 * STATES_AT_ONCE, failures


def tell_violation(result, _):
    if result.violation:
        print(f"VIOLATED: {result.violation}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--state", type=pathlib.Path, required=True)
    parser.add_argument("--kills", type=int, default=10000)
    parser.add_argument("--power", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().getrandbits(31)
    progress, build = Progress(arguments.state, seed), arguments.build.resolve()
    print(progress, flush=True)
    while progress.kills < arguments.kills or progress.data["power_states"] < arguments.power:
        begin = time.monotonic()
        if progress.kills < arguments.kills:
            count = min(KILLS_AT_ONCE, arguments.kills - progress.kills)
            progress.add_kills(campaign.run_campaign(build, progress.data["seed"], count, arguments.jobs,
                                                     first=progress.data["next_case"], again=AGAIN, tell=tell_violation))
        if progress.data["power_states"] < arguments.power:
            part = progress.data["seed"] + progress.data["power_states"]
            progress.add_states(*lose_power(build, part, arguments.jobs))
        progress.data["seconds"] += time.monotonic() - begin
        progress.save()
        print(progress, flush=True)
        if len(progress.data["violations"]) >= campaign.ENOUGH:
            break
    print("\n".join(progress.data["violations"]))
    return 1 if progress.data["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
