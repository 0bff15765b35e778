#!/usr/bin/env python3
"""The long campaign: thousands of kills, and tens of thousands of power losses. Can be stopped, and goes on from where it
was; prints seeds and counts.

    soak.py --build BUILD --state FILE [--kills 10000] [--power 100000] [--seed S] [--jobs J]

What was done is in FILE; remove it to begin anew. One half of the power losses are those of power.py, the others those of
the commit driver's tests (test/outside). Exit status 0: nothing was violated."""

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
import power

KILLS_AT_ONCE = 250
STATES_AT_ONCE = 2000
OUTSIDE = pathlib.Path(__file__).resolve().parent.parent / "outside"
# A third of the kills hit a run that was killed before.
AGAIN = 0.35


class Progress:
    """What was done so far, in a file."""

    def __init__(self, path, seed):
        self.path = path
        self.data = {"seed": seed, "next_case": 0, "power_states": 0, "next_recording": 0, "seconds": 0, "totals": {}, "violations": []}
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

    def add_states(self, count, next_recording, failures):
        self.data["power_states"] += count
        self.data["next_recording"] = next_recording
        self.data["violations"] += failures
        self.save()

    def __str__(self):
        totals = ", ".join(f"{name} {count}" for name, count in sorted(self.data["totals"].items()))
        return (f"seed {self.data['seed']}: {self.kills} kills, {self.data['power_states']} power-loss states, "
                f"{len(self.data['violations'])} violations in {self.data['seconds']:.0f} s ({totals})")


def lose_power(build, seed, jobs, first):
    """A part of the power losses; returns how many there were, the next recording's number, and what failed."""
    driver = lose_power_of_driver(build, seed + first)
    states, number, _, failures = power.run_recordings(build, seed, STATES_AT_ONCE, jobs, first=first)
    output, _ = driver.communicate()
    if driver.returncode != 0:
        failures.append(f"power loss, TRAJLOG_SEED={seed + first} TRAJLOG_POWER_STATES={STATES_AT_ONCE}: "
                        f"{output[-3000:]}")
    return states + STATES_AT_ONCE, number, failures


def lose_power_of_driver(build, seed):
    """Those of the driver alone, which are a test too."""
    environment = {**os.environ, "TRAJLOG_BUILD": str(build), "TRAJLOG_SEED": str(seed),
                   "TRAJLOG_POWER_STATES": str(STATES_AT_ONCE)}
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-o", "timeout=3000", "-p", "no:cacheprovider",
               OUTSIDE / "test_driver_kill.py", "-k", "power_loss"]
    if place := power.memory():
        command.append(f"--basetemp={place}/trajlog-soak-{os.getpid()}")
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


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
    # Most of the time, a case waits.
    parser.add_argument("--jobs", type=int, default=4 * os.cpu_count())
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
            progress.add_states(*lose_power(build, progress.data["seed"], arguments.jobs,
                                            progress.data["next_recording"]))
        progress.data["seconds"] += time.monotonic() - begin
        progress.save()
        print(progress, flush=True)
        if len(progress.data["violations"]) >= campaign.ENOUGH:
            break
    print("\n".join(progress.data["violations"]))
    return 1 if progress.data["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
