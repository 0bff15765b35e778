"""Cases with the example programs: md_argon and mc_gcmc, killed, against the same run uninterrupted."""

import contextlib
import json
import os
import random
import subprocess

import h5py
import numpy

import campaign
import verdict


def random_arguments(chance):
    """A program and what its results follow from; few, so that the whole runs can be kept."""
    seed = str(chance.randint(1, 3))
    if chance.random() < 0.5:
        size, steps, every = chance.choice([("50", "4000", "5"), ("500", "300", "1"), ("3000", "40", "2")])
        return "md_argon", ["--seed", seed, "--atoms", size, "--steps", steps, "--every", every]
    capacity, steps, every = chance.choice([("64", "3000", "3"), ("512", "500", "10"), ("20000", "150", "1")])
    return "mc_gcmc", ["--seed", seed, "--capacity", capacity, "--steps", steps, "--every", every]


def random_field(chance):
    field = {}
    if chance.random() < 0.5:
        field.update(compression="deflate", level=chance.randint(1, 9))
    if chance.random() < 0.3:
        field["checksum"] = True
    if chance.random() < 0.3:
        field["chunk_rows"] = chance.randint(1, 50)
    return field


def random_config(chance):
    """How it is stored, which changes nothing of what is read."""
    config = {"commit": {"flush_seconds": 10 ** chance.uniform(-3, 0)}, "queue": {}}
    if chance.random() < 0.2:
        config["queue"]["synchronous"] = True
    if chance.random() < 0.3:
        config["queue"]["frames"] = chance.randint(1, 50)
    config["groups"] = {"trajectory": {"fields": {"position": random_field(chance)}}}
    return config


def can_resume(program):
    return "--resume" in subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout


class ExampleCase:
    """A run that is killed; some of them are resumed, killed again, and at last run to their end."""

    def __init__(self, build, directory, seed, number, again=0.1, wholes=None):
        self.build, self.directory, self.again, self.wholes = build, directory, again, wholes or directory
        self.chance = random.Random(f"{seed} {number}")
        self.path, self.whole = directory / "run.h5", directory / "whole.h5"
        self.result = campaign.Result(number, "", 0, 0)
        self.rows = {}

    def run(self):
        program, arguments = random_arguments(self.chance)
        self.result.what = f"{program} {' '.join(arguments)}; "
        command = [self.build / "examples" / program, *arguments, "--quiet"]
        self.run_whole(command)
        config = self.directory / "config.json"
        config.write_text(json.dumps(random_config(self.chance)))
        command += ["--config", config, "--out", self.path]
        resumes = can_resume(command[0])
        if resumes:
            command += ["--checkpoint", str(self.chance.choice([1, 10, 100, 1000]))]
        self.kill(command, campaign.Moment(self.chance))
        if resumes and self.chance.random() < self.again:
            self.go_on([*command, "--resume"])
        self.count("examples")

    def run_whole(self, command):
        """The uninterrupted run, which cases with the same arguments share."""
        shared = self.wholes / "".join([command[0].name, *command[1:]])
        if not shared.exists():
            own = self.directory / "whole.new"
            subprocess.run([*command, "--out", own], check=True, stdin=subprocess.DEVNULL, timeout=campaign.LONGEST)
            with contextlib.suppress(FileExistsError):
                os.link(own, shared)
            own.unlink()
        os.link(shared, self.whole)

    def go_on(self, command):
        for _ in range(self.chance.randint(0, 3)):
            self.count("examples resumed")
            self.kill(command, campaign.Moment(self.chance, campaign.WAYS_OF_RESUMES))
        self.count("examples resumed to their end")
        moment = campaign.Moment(self.chance, {"never": 1})
        self.kill(command, moment)

    def kill(self, command, moment):
        # These programs say nothing that one could wait for.
        if moment.when in ("created", "closing"):
            moment.when, moment.seconds = "start", self.chance.uniform(0, 0.04)
        self.result.what += f"{' '.join(map(str, command[-3:]))} killed {moment}; "
        _, killed, status, seen = campaign.run_and_kill(command, moment, self.directory, self.path)
        self.result.kills += killed
        self.result.finished += not killed
        verdict.require(killed or status == 0, "exit status", status, (self.directory / "stderr").read_text())
        self.judge(killed, seen, "--resume" in command)

    def judge(self, killed, seen, resumed):
        if not self.path.exists():
            verdict.require(killed and not self.rows, "there is no file")
            return
        with h5py.File(self.path, "r") as file, h5py.File(self.whole, "r") as whole:
            rows = check_against(file, whole, not killed)
        if seen is not None and not resumed:
            verdict.check_live(rows, seen[1])
        self.rows = rows
        self.result.rows += sum(rows.values())
        self.result.bytes += self.path.stat().st_size

    def count(self, what):
        self.result.counts[what] = self.result.counts.get(what, 0) + 1


def check_rows(ours, theirs, count, what):
    """Rows are those of the other file, whose capacity of particles may have grown since, and is padded."""
    verdict.require(len(ours.shape) == len(theirs.shape), what, "rank")
    theirs, pad = theirs[:count], theirs.fillvalue
    inside = tuple(slice(0, size) for size in ours.shape)
    verdict.require(verdict.same_bytes(ours[()], theirs[inside]), what, "differs")
    if ours.shape != theirs.shape:
        outside = numpy.ones(theirs.shape, dtype=bool)
        outside[inside] = False
        rest = theirs[outside]
        verdict.require(verdict.same_bytes(rest, numpy.full_like(rest, pad)), what, "lacks particles")


def check_against(file, whole, complete):
    """A file is an exact prefix of an uninterrupted run's. Returns the numbers of rows."""
    verdict.require(file.attrs["trajlog_version"] == 1, "trajlog_version")
    rows = {}
    if "group_names" not in file.attrs:
        verdict.require(not list(file) and not complete, "a file without a schema")
        return rows
    verdict.require(file.attrs["group_names"] == whole.attrs["group_names"], "group_names")
    for name in json.loads(whole.attrs["group_names"]):
        paths = json.loads(whole[name].attrs["paths"])
        axis = ["step", "time"] if "step" in whole[name] else []
        count = verdict.length(file[name]["step"]) if axis else None
        if axis:
            rows[name] = count
            verdict.require(not complete or count == verdict.length(whole[name]["step"]), name, "has", count, "rows")
        for field in axis + paths:
            ours, theirs = file[name][field], whole[name][field]
            verdict.require(ours.dtype == theirs.dtype, name, field, "type")
            if axis:
                verdict.require(verdict.length(ours) == count, name, field, "has", verdict.length(ours), "rows; step has",
                                count)
                check_rows(ours, theirs, count, f"{name} {field}")
            else:
                verdict.require(verdict.same_bytes(ours[()], theirs[()]), name, field, "differs")
    return rows
