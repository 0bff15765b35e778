"""What the Python side of the benchmarks shares: where things are, repetitions in turns, figures."""

import json
import os
import statistics
import subprocess
import sys

import numpy as np


class Setup:
    """What was built, where files go, and how much is to be measured."""

    def __init__(self, build, directory, quick, argon):
        self.build = build          # with bench/ and examples/ in it
        self.directory = directory  # for all files that are written
        self.quick = quick
        self.argon = argon          # a log of md_argon

    def choose(self, full, quick):
        return quick if self.quick else full

    def path(self, name):
        return os.path.join(self.directory, name)

    def command(self, program):
        options = ["--quick"] if self.quick else []
        path = os.path.join(self.build, "bench", program)
        return [path, "--directory", self.directory, "--argon", self.argon, *options]

    def raw(self, program, name, file=None):
        """One measurement of a C program of ours: {"raw": ..., "bytes": ...}."""
        options = ["--file", file] if file else []
        done = subprocess.run([*self.command(program), "--raw", name, *options], stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def frames(self, particles=None):
        """Frames of the run, float32 [frames, particles, 3], as bench/frames.c takes them."""
        named = os.environ.get("TRAJLOG_BENCH_FRAMES")
        if named:
            path, _, count = named.rpartition(":")
            frames = np.fromfile(path, dtype="<f4")
            size = 3 * int(count)
            frames = frames[:frames.size // size * size].reshape(-1, int(count), 3)
        else:
            import h5py

            with h5py.File(self.argon, "r") as file:
                position = file["trajectory/position"]
                frames = position[len(position) // 2:].astype(np.float32)
        return np.ascontiguousarray(frames[:, :particles])


def quartiles(samples):
    if len(samples) == 1:
        return samples[0], samples[0]
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, high


def figure(name, samples, note=""):
    low, high = quartiles(samples)
    return {"name": name, "value": statistics.median(samples), "low": low, "high": high, "samples": len(samples),
            "note": note}


def missing(name, why):
    return {"missing": name, "why": why}


def take_turns(ours, peer, repetitions):
    """Measures ours and peer, then peer and ours, and so on, after one of each that is not counted."""
    ours(), peer()
    samples = []
    for i in range(repetitions):
        if i % 2 == 0:
            a, b = ours(), peer()
        else:
            b, a = peer(), ours()
        samples.append((a, b))
    return samples


def say(text):
    print(text, file=sys.stderr, flush=True)
