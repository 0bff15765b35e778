#!/usr/bin/env python3
"""Readers beside a running writer: plain h5py in a loop, h5py with swmr=True and refresh(), and our reader.

    live.py --build BUILD [--seconds S] [--seed N]      all three beside one writer; prints what they met

Counted are looks, looks that ended in an error, and wrong data, of which there must be none."""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import zlib

import h5py
import numpy

import plans
import verdict

# As many errors one after the other may be no accident of the moment any more: the writer is stopped, to see.
PATIENCE = 20
# However slow the machine is, a reader looks so often.
LEAST = 6
ROUNDS = 10
NEWEST = 50


def live_plan(seed):
    """A log that is committed after each step: many small frames, tails of compressed chunks, scalars."""
    chance = random.Random(seed)
    fields = [plans.Field("position", "float64", (chance.randint(1, 200), 3)), plans.Field("energy", "float64", ()),
              plans.Field("name", "string[7]", (3,))]
    packed = [plans.Field("velocity", "float32", (chance.randint(1, 200), 3), chunk_rows=chance.choice([0, 10, 64]),
                          level=1, mask=plans.MASKS[2]), plans.Field("charge", "float64", (5,), checksum=1)]
    groups = [plans.Group("often", "every", fields), plans.Group("packed", "every", packed, interval=2),
              plans.Group("rarely", "every", [plans.Field("flag", "bool", (2,))], interval=50)]
    for number, field in enumerate(field for group in groups for field in group.fields):
        field.number = number
    return plans.Plan(seed, "live", groups, count=10**7, flush_every=1, pause=chance.choice([0, 200, 1000]),
                      once_salt=chance.getrandbits(63), options={"flush_seconds": 0.01})


# ----------------------------------------------------------------------------------------------------------------------
# h5py


def check_newest(plan, group, where, first=None):
    """The rows from `first` on, or the newest ones, that all datasets of a group have. Returns how many there are."""
    names = ["step", "time", *(field.name for field in group.fields)]
    count = min(verdict.length(where[name]) for name in names)
    rows = slice(max(0, count - NEWEST) if first is None else min(first, count), count)
    steps = group.interval * numpy.arange(rows.start, rows.stop)
    verdict.require(verdict.same_bytes(where["step"][rows], steps), group.name, "step")
    verdict.require(verdict.same_bytes(where["time"][rows], plan.time(steps)), group.name, "time")
    for field in group.fields:
        expected = plans.frame_bytes(field, plan.once_salt, steps)
        verdict.require(verdict.same_bytes(where[field.name][rows], expected), group.name, field.name,
                        "differs in the rows", rows)
    return count


def look_plainly(plan, path, seen):
    with h5py.File(path, "r") as file:
        for group in plan.groups:
            if "group_names" in file.attrs:
                count = check_newest(plan, group, file[group.name])
                verdict.require(count >= seen[group.name], group.name, "had", seen[group.name], "rows and has", count)
                seen[group.name] = count


def goes_on(counts, end, together):
    return together < PATIENCE and (time.monotonic() < end or counts["looks"] - counts["errors"] < LEAST)


def read_plainly(plan, path, seconds):
    """Opens and reads again and again."""
    counts, seen, together = collections.Counter(), collections.Counter(), 0
    end = time.monotonic() + seconds
    while goes_on(counts, end, together):
        counts["looks"] += 1
        try:
            look_plainly(plan, path, seen)
            together = 0
        except (OSError, RuntimeError, KeyError) as error:
            counts["errors"] += 1
            counts[f"error: {str(error)[:150]}"] += 1
            together += 1
    counts["rows"], counts["gave up"] = sum(seen.values()), int(together == PATIENCE)
    return counts


def refresh(group, names):
    for name in names:
        group[name].refresh()


def read_with_swmr(plan, path, seconds):
    """Opens once, and refreshes again and again."""
    counts, seen, together = collections.Counter(), collections.Counter(), 0
    end = time.monotonic() + seconds
    with h5py.File(path, "r", libver="latest", swmr=True) as file:
        names = {group.name: ["step", "time", *(field.name for field in group.fields)] for group in plan.groups}
        opened = {group.name: {name: file[group.name][name] for name in names[group.name]} for group in plan.groups}
        while goes_on(counts, end, together):
            counts["looks"] += 1
            try:
                for group in plan.groups:
                    refresh(opened[group.name], names[group.name])
                    count = check_newest(plan, group, opened[group.name], seen[group.name])
                    verdict.require(count >= seen[group.name], group.name, "had", seen[group.name], "rows, has", count)
                    seen[group.name] = count
                together = 0
            except (OSError, RuntimeError, KeyError) as error:
                counts["errors"] += 1
                counts[f"error: {str(error)[:150]}"] += 1
                together += 1
    counts["rows"], counts["gave up"] = sum(seen.values()), int(together == PATIENCE)
    return counts


# ----------------------------------------------------------------------------------------------------------------------
# Our reader


def expected_rows(plan, group, name, first, count):
    steps = group.interval * numpy.arange(first, first + count)
    if name in ("step", "time"):
        return steps if name == "step" else plan.time(steps)
    field = next(field for field in group.fields if field.name == name)
    return plans.frame_bytes(field, plan.once_salt, steps)


def judge_follower(plan, output, errors):
    """The rows of each field came one after the other, with the right bytes."""
    counts, seen = collections.Counter(), collections.Counter()
    groups = {group.name: group for group in plan.groups}
    for line in output.splitlines():
        word, *rest = line.split()
        if word in ("looks", "errors", "gave_up"):
            counts[word.replace("_", " ")] = int(rest[0])
            continue
        name, first, count, crc = rest[0], int(rest[1]), int(rest[2]), int(rest[3], 16)
        verdict.require(first <= seen[word, name], line, "but was at", seen[word, name])
        data = expected_rows(plan, groups[word], name, first, count)
        verdict.require(zlib.crc32(numpy.ascontiguousarray(data).tobytes()) == crc, line, "is wrong")
        seen[word, name] = first + count
    for error in errors.splitlines():
        counts[f"error: {error[:150]}"] += 1
    counts["rows"] = sum(count for (_, name), count in seen.items() if name == "step")
    return counts


def read_with_ours(plan, path, seconds, build):
    result = subprocess.run([build / "test/campaign/follow", path, str(seconds), str(LEAST)], stdin=subprocess.DEVNULL, text=True,
                            capture_output=True, timeout=seconds + 120, check=False)
    verdict.require(result.returncode == 0, "follow ended with", result.returncode, result.stderr[-300:])
    return judge_follower(plan, result.stdout, result.stderr)


# ----------------------------------------------------------------------------------------------------------------------
# A writer and its readers

READERS = {"plain": read_plainly, "swmr": read_with_swmr}


def start_writer(build, directory, plan):
    """A writer that has logged its first step."""
    path = directory / "live.h5"
    plan.write(directory / "plan")
    writer = subprocess.Popen([build / "test/campaign/writer", path, directory / "plan"], stdin=subprocess.DEVNULL,
                              stdout=open(directory / "said", "wb"))
    end = time.monotonic() + 60
    while b"flushed" not in (directory / "said").read_bytes():
        verdict.require(time.monotonic() < end and writer.poll() is None, "the writer has not begun")
        time.sleep(0.001)
    return writer, path


def run_reader(build, kind, plan, path, seconds):
    """A reader in a process of its own; its counts."""
    result = subprocess.run([sys.executable, "-B", __file__, "--build", build, "--read", kind, "--path", path, "--seed",
                             str(plan.seed), "--seconds", str(seconds)], stdin=subprocess.DEVNULL, text=True,
                            capture_output=True, timeout=seconds + 120, check=False)
    verdict.require(result.returncode == 0, kind, "ended with", result.returncode, result.stderr[-1000:])
    return collections.Counter(json.loads(result.stdout))


@contextlib.contextmanager
def stopped(writer):
    writer.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, writer.pid, os.WSTOPPED)
    try:
        yield
    finally:
        writer.send_signal(signal.SIGCONT)


def read_beside(build, kind, plan, path, seconds, writer):
    """A reader that has met nothing but errors for a while begins anew; a file whose writer stands still has none."""
    total = collections.Counter()
    for _ in range(ROUNDS):
        counts = run_reader(build, kind, plan, path, seconds)
        verdict.require(writer.poll() is None, "the writer ended by itself:", writer.returncode)
        counts["rows"] = max(counts["rows"], total.pop("rows", 0))
        total += counts
        if not counts["gave up"]:
            return total
        with stopped(writer):
            look_plainly(plan, path, collections.Counter())
            verdict.check_with_our_reader(build, path)
    raise verdict.Violation(f"nothing but errors: {dict(total)}")


def run_live(build, seed, seconds, kinds=("plain", "swmr", "ours")):
    """One kind of reader after the other beside a writer, which is killed at last; the counts of each kind."""
    plan, counts = live_plan(seed), {}
    with tempfile.TemporaryDirectory(prefix="trajlog-live-") as name:
        for kind in kinds:
            directory = pathlib.Path(name) / kind
            directory.mkdir()
            writer, path = start_writer(build, directory, plan)
            try:
                counts[kind] = read_beside(build, kind, plan, path, seconds, writer)
            finally:
                writer.kill()
                writer.wait()
            report = verdict.Report((directory / "said").read_text())
            verdict.check_log(path, plan, report)
            counts[kind]["commits"] = report.flushed
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--read", choices=[*READERS, "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    build, plan = arguments.build.resolve(), live_plan(arguments.seed)
    if arguments.read == "ours":
        print(json.dumps(read_with_ours(plan, arguments.path, arguments.seconds, build)))
    elif arguments.read:
        print(json.dumps(READERS[arguments.read](plan, arguments.path, arguments.seconds)))
    else:
        for kind, counts in run_live(build, arguments.seed, arguments.seconds).items():
            print(kind, dict(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
