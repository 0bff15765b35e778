#!/usr/bin/env python3
"""Fills a small disk with a log, looks at what is left, makes room, and goes on.

    disk_full.py --build BUILD --room tmpfs|limit --megabytes M [--seed S] [--compression]
                 [--checkpoints]

"tmpfs": a file system of that size, mounted for this process alone (unshare --map-root-user --mount); "limit": a limit on
the size of files (RLIMIT_FSIZE), whose signal is left as it is. Exit status 0 if all was as it should be."""

import argparse
import contextlib
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

import plans
import verdict

IO_ERROR = 11
LONGEST = 120


def full_plan(seed, megabytes, compression, checkpoints):
    """A random log that does not end by itself. Commits are not so many that a slow disk takes minutes for them."""
    number = seed
    while True:
        plan = plans.random_plan(number)
        endless = [group for group in plan.groups if group.kind == "every"]
        if endless:
            break
        number += 1000
    endless[0].interval, endless[0].stop = 1, plans.NO_STOP
    if compression:
        endless[0].fields[0].level, endless[0].fields[0].mask = 1, plans.MASKS[2]
    if checkpoints and not plan.checkpoint:
        state = plans.Field("state", "float64", (500, 3), sum(len(group.fields) for group in plan.groups))
        plan.groups.append(plans.Group("checkpoint", "checkpoint", [state]))
    for group in plan.groups:
        group.with_last = 0
    plan.count, plan.pause = 10**8, 0
    field = endless[0].fields[0]
    if endless[0].bytes < (least := (megabytes << 20) // 3000):
        field.shape = (-(-least // field.element_bytes),)
        # There are as many particles in each field of a group.
        for other in endless[0].fields if endless[0].varying else []:
            other.shape = (field.shape[0], *other.shape[1:])
    steps = (megabytes << 20) // (endless[0].bytes + 16)
    plan.flush_every = 1 + seed % 3
    if plan.sync_every:
        plan.sync_every = max(1, steps // 40)
    plan.options.pop("total_steps", None)
    # Frames that are given up would be no step of the disk's.
    plan.options.pop("policy", None)
    if plan.checkpoint:
        plan.checkpoint.interval = max(1, steps // 20)
    return plan


# ----------------------------------------------------------------------------------------------------------------------
# Rooms


class Tmpfs:
    """A small file system; the mount vanishes with the process's mount namespace."""

    expected = "No space left on device"

    def __init__(self, directory, megabytes):
        self.directory = directory
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", directory], check=True)

    def make_room(self):
        subprocess.run(["mount", "-o", "remount,size=256m", self.directory], check=True)

    def fill(self):
        """Not a byte is free afterwards."""
        with contextlib.suppress(OSError), open(self.directory / "filler", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def run(self, command):
        return run(command)


class Limit:
    expected = "File too large"

    def __init__(self, directory, megabytes):
        self.directory, self.bytes = directory, megabytes << 20

    def make_room(self):
        self.bytes = resource.RLIM_INFINITY

    def fill(self):
        self.bytes = 0

    def run(self, command):
        return run(command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (self.bytes, self.bytes)))


def run(command, timeout=LONGEST, **options):
    return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, check=False, **options)


# ----------------------------------------------------------------------------------------------------------------------
# What happens


def require_failure(result, room, path):
    """The writer was told why, closed, and ended by itself."""
    report = verdict.Report(result.stdout)
    verdict.require(result.returncode == IO_ERROR, "the writer ended with", result.returncode, result.stderr[-500:])
    verdict.require(report.failed and room.expected in report.failed and path.name in report.failed, "it was told:",
                    report.failed)
    verdict.require(report.closing and not report.closed, "it closed without an error")
    return report


def fill_with_log(build, plan, path, room):
    plan.write(room.directory.parent / "plan")
    result = room.run([build / "test/campaign/writer", path, room.directory.parent / "plan"])
    report = require_failure(result, room, path)
    if not path.exists():
        verdict.require(not report.created, "there is no file")
        return None
    rows = verdict.check_log(path, plan, report)
    verdict.check_with_our_reader(build, path)
    return rows


def resume(build, plan, path, room, may_fail):
    """Goes on behind the last step that is in the file, for some steps. They may have room in the file as it is."""
    last = verdict.last_step(path, plan)
    restart, begin = ("start", plan.first) if last is None else (last, last + 1)
    plan.count = begin - plan.first + 60
    plan.write(room.directory.parent / "plan")
    result = room.run([build / "test/campaign/writer", path, room.directory.parent / "plan", f"resume={restart}",
                       f"first={begin}"])
    if may_fail and result.returncode != 0:
        report = require_failure(result, room, path)
    else:
        report = verdict.Report(result.stdout)
        verdict.require(result.returncode == 0 and report.closed, "resume ended with", result.returncode, report.failed)
        # Of this run alone.
        report.dropped = 0
    if report.flushed is None:
        report.flushed = last
    return verdict.check_log(path, plan, report)


def simulate(build, room):
    """The simulation's results do not depend on its log."""
    command = [build / "examples/md_argon", "--atoms", "500", "--steps", "300", "--every", "1", "--quiet", "--checksum"]
    with_log = room.run([*command, "--out", room.directory / "argon.h5"])
    without = run([*command, "--no-log"])
    verdict.require(with_log.returncode == 1 and room.expected in with_log.stderr, "md_argon ended with",
                    with_log.returncode, with_log.stderr)
    verdict.require(without.returncode == 0 and with_log.stdout == without.stdout, "md_argon's results differ")


def create_on_full_disk(build, plan, room):
    """Nothing is there afterwards; and what was there before stays, if it was to be replaced."""
    path = room.directory / "new.h5"
    require_failure(room.run([build / "test/campaign/writer", path, room.directory.parent / "plan"]), room, path)
    old = room.directory / "run.h5"
    before = old.read_bytes()
    result = room.run([build / "test/campaign/writer", old, room.directory.parent / "plan", "existing=replace"])
    report = require_failure(result, room, old)
    if report.created:
        verdict.check_log(old, plan, report)
    else:
        verdict.require(old.read_bytes() == before, "the old file has changed")


def run_all(build, kind, megabytes, plan, place):
    with tempfile.TemporaryDirectory(prefix="trajlog-full-", dir=place) as name:
        directory = pathlib.Path(name) / "disk"
        directory.mkdir()
        room = {"tmpfs": Tmpfs, "limit": Limit}[kind](directory, megabytes)
        try:
            path = directory / "run.h5"
            rows = [fill_with_log(build, plan, path, room)]
            if path.exists():
                if kind == "tmpfs":
                    room.fill()
                    rows.append(resume(build, plan, path, room, True))
                room.make_room()
                rows.append(resume(build, plan, path, room, False))
            else:
                room.make_room()
            plan.count = 20
            plan.write(directory.parent / "plan")
            result = run([build / "test/campaign/writer", path, directory.parent / "plan", "existing=replace"])
            verdict.require(result.returncode == 0, "no log could be written where there is room:", result.returncode,
                            result.stdout[-300:], result.stderr[-300:])
            room.fill()
            create_on_full_disk(build, plan, room)
            if megabytes <= 4:
                simulate(build, room)
            return rows
        finally:
            if kind == "tmpfs":
                subprocess.run(["umount", directory], check=False)


def can_mount():
    """Whether this machine lets us mount a file system of our own."""
    command = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def start(build, kind, megabytes, seed, place, *options):
    """Runs this script for one disk, in a mount namespace of its own."""
    command = [sys.executable, "-B", os.path.abspath(__file__), "--build", build, "--room", kind, "--megabytes",
               str(megabytes), "--seed", str(seed), "--place", place, *options]
    # Each program that it runs has a limit of its own.
    return run([*(["unshare", "--map-root-user", "--mount"] if kind == "tmpfs" else []), *command], timeout=None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--room", choices=["tmpfs", "limit"], default="limit")
    parser.add_argument("--megabytes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compression", action="store_true", help="in any case, not only by chance")
    parser.add_argument("--checkpoints", action="store_true", help="in any case, not only by chance")
    parser.add_argument("--place", help="a directory; by default, where temporary files go")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    plan = full_plan(arguments.seed, arguments.megabytes, arguments.compression, arguments.checkpoints)
    print(run_all(build, arguments.room, arguments.megabytes, plan, arguments.place))
    return 0


if __name__ == "__main__":
    sys.exit(main())
