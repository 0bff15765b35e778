#!/usr/bin/env python3
"""Runs the benchmarks, one after the other, and keeps what they print in BUILD/bench/results.jsonl.

TRAJLOG_BENCH_DIR names the directory that everything is written to; else it is BUILD/bench: logs are written to the
file systems of disks. The same directory serves both sides of each comparison.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time

import peers
from common import Setup, say

PROGRAMS = ("stall", "drain", "commit", "codec", "read", "growth")

# What md_argon logs: what the frames need.
CONFIG = """{"groups": {"thermo": {"enabled": false}, "trajectory": {"fields": {
    "position": {"store_as": "float32"}, "velocity": {"enabled": false}, "force": {"enabled": false}}}}}"""


def choose_directory(build):
    return os.environ.get("TRAJLOG_BENCH_DIR") or os.path.join(build, "bench")


def file_system(directory):
    done = subprocess.run(["stat", "-f", "-c", "%T", directory], stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip() or "unknown"


def make_argon(build, quick):
    """A run of 32,000 atoms, whose second half is used; made once."""
    program = os.path.join(build, "examples", "md_argon")
    path = os.path.join(build, "bench", "argon-quick.h5" if quick else "argon.h5")
    if os.environ.get("TRAJLOG_BENCH_FRAMES") or os.path.exists(path):
        return path
    say("md_argon: 32,000 atoms")
    steps, every = (100, 5) if quick else (800, 10)
    with tempfile.NamedTemporaryFile("w", suffix=".json", dir=os.path.dirname(path)) as config:
        config.write(CONFIG)
        config.flush()
        subprocess.run([program, "--atoms", "32000", "--steps", str(steps), "--every", str(every), "--quiet",
                        "--config", config.name, "--out", path + ".part", "--replace"], check=True)
    os.replace(path + ".part", path)
    return path


def first_match(path, key):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith(key)), "unknown")
    except OSError:
        return "unknown"


def machine(directory, quick):
    import h5py

    return {
        "machine": {
            "processor": first_match("/proc/cpuinfo", "model name"),
            "processors": os.cpu_count(),
            "memory": first_match("/proc/meminfo", "MemTotal"),
            "system": f"{platform.system()} {platform.release()}",
            "HDF5": h5py.version.hdf5_version,
            "frames": os.environ.get("TRAJLOG_BENCH_FRAMES") or "md_argon, 32,000 atoms",
            "file system": file_system(directory),
            "load before": f"{os.getloadavg()[0]:.2f}",
            "kind": "quick" if quick else "full",
        }
    }


def run_program(setup, program):
    done = subprocess.run(setup.command(program), stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def run_all(setup, names):
    for name in names:
        begin = time.monotonic()
        if name in PROGRAMS:
            yield from run_program(setup, name)
        else:
            yield from peers.ALL[name](setup)
        say(f"{name}: {time.monotonic() - begin:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME", help="some of: %s" % " ".join((*PROGRAMS, *peers.ALL)))
    arguments = parser.parse_args()
    names = arguments.names or [*PROGRAMS, *peers.ALL]
    unknown = set(names) - {*PROGRAMS, *peers.ALL}
    if unknown:
        parser.error(f"no such benchmark: {' '.join(sorted(unknown))}")
    build = os.path.abspath(arguments.build)
    directory = choose_directory(build)
    argon = make_argon(build, arguments.quick)
    with tempfile.TemporaryDirectory(prefix="trajlog-bench-", dir=directory) as scratch:
        lines = [machine(directory, arguments.quick)]
        lines += run_all(Setup(build, scratch, arguments.quick, argon), names)
    with open(os.path.join(build, "bench", "results.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {error.cmd[0]} failed with status {error.returncode}")
