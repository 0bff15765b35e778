#!/usr/bin/env python3
"""What a kill leaves of files that others write: the same random kills for h5py, GSD, LAMMPS and trajlog.

    compare.py --build BUILD [--count N] [--seed S] [--jobs J] [--document doc/reliability.md]

Each program logs frames of 1000 particles as fast as it can, and makes them safe, in its own way, every 50 frames. It is
killed at a random moment after the first of these; then its file is opened, as one opens such files. With --document,
the table is put there, between its markers."""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import h5py
import numpy

import campaign
import plans
import verdict

PARTICLES, FLUSH_EVERY, FRAMES = 1000, 50, 10**6
BEGIN, END = "<!-- written by make reliability -->\n", "<!-- end -->\n"


def frames(steps):
    return (0.5 * numpy.asarray(steps)[:, None] + numpy.arange(3 * PARTICLES) / 1024).reshape(-1, PARTICLES, 3)


def frame(step):
    return frames([step])[0]


# ----------------------------------------------------------------------------------------------------------------------
# The programs to be killed: they tell "logged STEP" and "flushed STEP"


def tell(word, step):
    os.write(1, f"{word} {step}\n".encode())


def write_h5py(path, libver=None, swmr=False):
    with h5py.File(path, "w", libver=libver) as file:
        position = file.create_dataset("position", (0, PARTICLES, 3), "f8", maxshape=(None, PARTICLES, 3),
                                       chunks=(1, PARTICLES, 3))
        number = file.create_dataset("step", (0,), "i8", maxshape=(None,), chunks=(1,))
        if swmr:
            file.swmr_mode = True
        for step in range(FRAMES):
            for dataset, value in (position, frame(step)), (number, step):
                dataset.resize(step + 1, axis=0)
                dataset[step] = value
            tell("logged", step)
            if step % FLUSH_EVERY == FLUSH_EVERY - 1:
                file.flush()
                tell("flushed", step)


def write_gsd(path):
    import gsd.hoomd  # only here, since not every machine has it
    with gsd.hoomd.open(path, "wb") as file:
        for step in range(FRAMES):
            snapshot = gsd.hoomd.Snapshot()
            snapshot.configuration.step = step
            snapshot.particles.N = PARTICLES
            snapshot.particles.position = frame(step).astype(numpy.float32)
            file.append(snapshot)
            tell("logged", step)
            # GSD has no flush: what append has returned from is in the file.
            if step % FLUSH_EVERY == FLUSH_EVERY - 1:
                tell("flushed", step)


WRITERS = {"h5py": write_h5py, "h5py latest": lambda path: write_h5py(path, "latest"),
           "h5py swmr": lambda path: write_h5py(path, "latest", True), "gsd": write_gsd}

LAMMPS_INPUT = """
units lj
lattice fcc 0.8442
region box block 0 5 0 5 0 10
create_box 1 box
create_atoms 1 box
mass 1 1.0
velocity all create 3.0 87287
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0 2.5
fix 1 all nve
dump 1 all custom 1 {path} id x y z vx vy vz
dump_modify 1 sort id format float %.17g
thermo 1
thermo_modify flush yes
run {steps}
"""

# ----------------------------------------------------------------------------------------------------------------------
# How their files are opened: each returns the number of frames that are right, or raises


class Wrong(Exception):
    """The file opens, and shows what was not written."""


class Useless(Exception):
    """It cannot be told whether the file is right."""


def read_h5py(path, _):
    with h5py.File(path, "r") as file:
        position, step = file["position"], file["step"][()]
        rows = min(len(position), len(step))
        try:
            same = (step == numpy.arange(len(step))).all() and len(position) == len(step)
            right = same and all((position[row:row + 500] == frames(range(row, min(row + 500, rows)))).all()
                                 for row in range(0, rows, 500))
        except OSError as error:
            raise Wrong(f"not all can be read: {error}") from None
        if not right:
            raise Wrong(f"one of {rows} frames differs")
        return rows


def read_gsd(path, _):
    import gsd.hoomd
    with gsd.hoomd.open(str(path), "rb") as file:
        for row in range(len(file)):
            snapshot = file[row]
            if snapshot.configuration.step != row or not (
                    snapshot.particles.position == frame(row).astype(numpy.float32)).all():
                raise Wrong(f"frame {row} differs")
        return len(file)


def read_lammps(path, whole):
    """As programs do that read text: frame by frame, each as many lines as it says. A frame that is cut is an error."""
    with open(path, "rb") as file, open(whole, "rb") as other:
        for number in range(FRAMES):
            other_text = other.read(size := frame_bytes(other))
            if not other_text:
                raise Useless("the uninterrupted run is too short")
            text = file.read(size)
            if not text:
                return number
            if len(text) < size and other_text.startswith(text):
                raise OSError(f"frame {number} is cut")
            if text != other_text:
                raise Wrong(f"frame {number} differs")
    return None


def frame_bytes(file):
    """The bytes of the frame that begins here."""
    begin = file.tell()
    for _ in range(9 + PARTICLES):
        file.readline()
    size = file.tell() - begin
    file.seek(begin)
    return size


def read_trajlog(path, plan):
    try:
        return verdict.check_log(path, plan, verdict.Report("")).get("trajectory")
    except verdict.Violation as violation:
        raise Wrong(str(violation)) from None


# ----------------------------------------------------------------------------------------------------------------------
# Kills


@dataclasses.dataclass
class Kind:
    name: str
    command: callable  # (build, path, directory) -> words
    read: callable
    repair: tuple = ()
    longest: float = 3.0
    is_there: callable = lambda: True


def python_writer(name):
    return lambda build, path, directory: [sys.executable, "-B", os.path.abspath(__file__), "--write", name, path]


def lammps_writer(build, path, directory):
    (directory / "in").write_text(LAMMPS_INPUT.format(path=path, steps=FRAMES))
    return [shutil.which("lmp") or "lmp", "-in", directory / "in", "-log", "none"]


def trajlog_plan():
    field = plans.Field("position", "float64", (PARTICLES, 3))
    return plans.Plan(1, "comparison", [plans.Group("trajectory", "every", [field])], count=FRAMES, once_salt=7)


def trajlog_writer(build, path, directory):
    plan = trajlog_plan()
    plan.flush_every = FLUSH_EVERY
    plan.options["tell_all"] = 1
    plan.write(directory / "plan")
    return [build / "test/campaign/writer", path, directory / "plan"]


def has_gsd():
    return subprocess.run([sys.executable, "-c", "import gsd.hoomd"], capture_output=True, check=False).returncode == 0


KINDS = [
    Kind("HDF5 (h5py), default format, `flush()`", python_writer("h5py"), read_h5py),
    Kind("the same, longer runs", python_writer("h5py"), read_h5py, longest=15.0),
    Kind("HDF5 (h5py), `libver='latest'`, `flush()`", python_writer("h5py latest"), read_h5py),
    Kind("the same, after `h5clear -s`", python_writer("h5py latest"), read_h5py, ("h5clear", "-s")),
    Kind("HDF5 (h5py), SWMR writer, `flush()`", python_writer("h5py swmr"), read_h5py),
    Kind("the same, after `h5clear -s`", python_writer("h5py swmr"), read_h5py, ("h5clear", "-s")),
    Kind("GSD", python_writer("gsd"), read_gsd, is_there=has_gsd),
    Kind("LAMMPS, text dump", lammps_writer, read_lammps, longest=1.5, is_there=lambda: shutil.which("lmp") is not None),
    Kind("trajlog, `trajlog_flush`", trajlog_writer, read_trajlog),
]


@dataclasses.dataclass
class Outcome:
    logged: int
    flushed: int
    frames: int = None  # None: the file does not open
    wrong: str = ""
    error: str = ""


def last_told(text, kind):
    """The last steps logged and made safe. LAMMPS writes its dump before it prints the step."""
    logged = flushed = -1
    for line in text.splitlines():
        words = line.split()
        if kind.command is lammps_writer:
            if len(words) == 6 and words[0].isdigit():
                logged = flushed = int(words[0])
        elif words and words[0] == "logged":
            logged = int(words[1])
        elif words and words[0] == "flushed":
            flushed = int(words[1])
    return logged, flushed


def kill_one(build, number, whole, seed):
    """Starts a program, kills it, opens its file."""
    kind, chance = KINDS[number], random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="trajlog-compare-") as name:
        directory = pathlib.Path(name)
        path = directory / "run"
        process = subprocess.Popen([str(word) for word in kind.command(build, path, directory)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        begun = b"      50 " if kind.command is lammps_writer else b"flushed"
        text = campaign.read_until(process, time.monotonic() + campaign.LONGEST, begun)
        text += campaign.read_until(process, time.monotonic() + chance.uniform(0, kind.longest))
        process.send_signal(signal.SIGKILL)
        text += process.stdout.read()
        process.stdout.close()
        verdict.require(process.wait() == -signal.SIGKILL, kind.name, "ended by itself")
        outcome = Outcome(*last_told(text.decode(), kind))
        look(kind, path, whole, outcome)
        return outcome


def look(kind, path, whole, outcome):
    if kind.repair:
        subprocess.run([*kind.repair, path], capture_output=True, check=False)
    try:
        outcome.frames = kind.read(path, whole)
    except Wrong as error:
        outcome.wrong = str(error)
    except Useless:
        raise
    except Exception as error:  # whatever another program's reader says
        outcome.error = f"{type(error).__name__}: {error}"


# ----------------------------------------------------------------------------------------------------------------------
# The table


def whole_lammps(directory):
    """An uninterrupted run, longer than any that is killed."""
    path = directory / "whole"
    (directory / "in").write_text(LAMMPS_INPUT.format(path=path, steps=3000))
    subprocess.run(["lmp", "-in", directory / "in", "-log", "none"], check=True, stdout=subprocess.DEVNULL)
    return path


def row(kind, outcomes):
    count = len(outcomes)
    opened = [outcome for outcome in outcomes if outcome.frames is not None or outcome.wrong]
    right = [outcome for outcome in outcomes if outcome.frames is not None]
    broken = sum(outcome.frames is None or outcome.frames <= outcome.flushed for outcome in outcomes)
    lost = [outcome.logged + 1 - outcome.frames for outcome in right]
    frames = f"{statistics.median(lost):.0f} / {max(lost)}" if lost else "all"
    return f"| {kind.name} | {len(opened)} of {count} | {len(right)} of {count} | {broken} of {count} | {frames} |"


def versions():
    texts = [f"HDF5 {h5py.version.hdf5_version}", f"h5py {h5py.__version__}"]
    if has_gsd():
        texts.append(subprocess.run([sys.executable, "-c", "import gsd; print('GSD', gsd.__version__)"],
                                    capture_output=True, text=True, check=False).stdout.strip())
    if shutil.which("lmp"):
        lines = subprocess.run(["lmp", "-h"], capture_output=True, text=True, check=False).stdout.splitlines()
        texts += ["LAMMPS " + line.split("Simulator - ")[1] for line in lines if "Simulator - " in line][:1]
    return ", ".join(text for text in texts if text)


def compare(build, count, seed, jobs, only=""):
    """The table's lines, and what was seen of each kind."""
    lines = ["| written by | opens plainly | all that it shows is right | lost what was reported safe | last frames lost: "
             "median / most |", "|---|---|---|---|---|"]
    details = []
    with tempfile.TemporaryDirectory(prefix="trajlog-compare-") as name, \
            concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        for number, kind in enumerate(KINDS):
            if not kind.is_there() or only not in kind.name:
                continue
            whole = whole_lammps(pathlib.Path(name)) if kind.command is lammps_writer else trajlog_plan()
            # The same moments for all kinds.
            outcomes = list(pool.map(kill_one, [build] * count, [number] * count, [whole] * count,
                                     range(seed, seed + count)))
            lines.append(row(kind, outcomes))
            print(lines[-1], flush=True)
            texts = {outcome.wrong or outcome.error for outcome in outcomes} - {""}
            details += [f"{kind.name}: {text}" for text in sorted(texts)[:3]]
    return lines, details


def put_into(document, lines, count, seed):
    text = document.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    table = "\n".join(["", *lines, "", f"{count} kills each, seed {seed}; {versions()}.", "", ""])
    document.write_text(text[:begin] + table + text[end:], encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--document", type=pathlib.Path)
    parser.add_argument("--only", default="", help="only the kinds in whose names this is")
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        WRITERS[arguments.write[0]](arguments.write[1])
        return 0
    lines, details = compare(arguments.build.resolve(), arguments.count, arguments.seed, arguments.jobs, arguments.only)
    print("\n".join(details))
    if arguments.document and not arguments.only:
        put_into(arguments.document, lines, arguments.count, arguments.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
