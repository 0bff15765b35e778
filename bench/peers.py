"""Other programs: GSD, h5py behind a thread and a queue, XTC as MDAnalysis writes it, h5py as a reader, LAMMPS.

Each function yields figures; where a peer is not installed, a line says so, and there is no figure.
"""

import importlib.util
import os
import queue
import statistics
import subprocess
import threading
import time
import warnings

from common import figure, missing, take_turns

STEP_SECONDS = 5e-4  # of the simulation, so that every writer keeps up; as in stall.c
CALLS = 400


def installed(name):
    return importlib.util.find_spec(name) is not None


# ---------------------------------------------------------------------------------------------------------------------
# The caller's time per frame of 12 KB


def simulate(position, change):
    """Keeps this thread's processor busy with the positions, as a simulation does."""
    end = time.perf_counter() + STEP_SECONDS
    while time.perf_counter() < end:
        position += change


def time_calls(call, frames):
    """The mean: what the simulation loses, also in the calls that take long."""
    seconds = 0.0
    frame = frames[0].copy()
    change = frame * 0 + 1e-6
    for _ in range(CALLS):
        simulate(frame, change)
        begin = time.perf_counter()
        call(frame)
        seconds += time.perf_counter() - begin
    return seconds / CALLS


def gsd_caller(path, frames):
    """GSD's file layer alone: without gsd.hoomd's checks, which take longer than the writing."""
    import gsd.fl

    with gsd.fl.open(name=path, mode="wb", application="bench", schema="hoomd", schema_version=[1, 4]) as file:

        def call(frame):
            file.write_chunk(name="particles/position", data=frame)
            file.end_frame()

        return time_calls(call, frames)


def h5py_queue_caller(path, frames):
    """What one writes in Python: a thread that takes copies from a queue."""
    import h5py

    waiting = queue.Queue()

    def write():
        with h5py.File(path, "w") as file:
            shape = frames.shape[1:]
            dataset = file.create_dataset("position", (0, *shape), "<f4", maxshape=(None, *shape), chunks=(87, *shape))
            while (frame := waiting.get()) is not None:
                dataset.resize(len(dataset) + 1, axis=0)
                dataset[-1] = frame

    thread = threading.Thread(target=write)
    thread.start()
    try:
        return time_calls(lambda frame: waiting.put(frame.copy()), frames)
    finally:
        waiting.put(None)
        thread.join()


def callers(setup):
    frames = setup.frames(1000)
    for name, module, caller in (
        ("peer_gsd_12k", "gsd", gsd_caller),
        ("peer_h5py_queue_12k", "h5py", h5py_queue_caller),
    ):
        if not installed(module):
            yield missing(name, f"the Python module {module} is not installed")
            continue
        path = setup.path("peer")
        pairs = take_turns(
            lambda: setup.raw("stall", "caller_12k")["raw"], lambda: caller(path, frames), setup.choose(15, 3)
        )
        os.remove(path)
        ours, peer = (statistics.median(column) for column in zip(*pairs))
        yield figure(name, [b / a for a, b in pairs], f"{1e6 * ours:.3g} us, peer {1e6 * peer:.3g} us")


# ---------------------------------------------------------------------------------------------------------------------
# Compression within an error


def write_xtc(path, frames, count):
    """Seconds per byte. The format's own writer: the one of MDAnalysis's classes also converts units."""
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile
    import numpy as np

    box = np.diag(frames[0].max(axis=0)).astype(np.float32)
    begin = time.perf_counter()
    with XTCFile(path, "w") as file:
        for i in range(count):
            file.write(frames[i % len(frames)], box, i, float(i), 1000.0)
    seconds = time.perf_counter() - begin
    return seconds / (count * frames[0].nbytes)


def xtc(setup):
    name = "lossy_vs_xtc_speed"
    if setup.raw("codec", "lossy")["raw"] < 0:
        yield missing(name, "this version has no max_error")
        return
    if not installed("MDAnalysis"):
        yield missing(name, "the Python module MDAnalysis is not installed")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import MDAnalysis.lib.formats.libmdaxdr  # noqa: F401
    frames = setup.frames()
    path = setup.path("peer.xtc")
    count = setup.choose(200, 40)
    pairs = take_turns(
        lambda: setup.raw("codec", "lossy")["raw"], lambda: write_xtc(path, frames, count), setup.choose(21, 3)
    )
    size = os.path.getsize(path) / count / frames.shape[1]
    os.remove(path)
    ours, peer = (1e-6 / statistics.median(column) for column in zip(*pairs))
    yield figure(
        name, [b / a for a, b in pairs], f"{ours:.0f} MB/s, peer {peer:.0f} MB/s at {size:.2f} bytes per particle"
    )


# ---------------------------------------------------------------------------------------------------------------------
# Reading compressed frames


def read_h5py(path):
    import h5py
    import numpy as np

    begin = time.perf_counter()
    with h5py.File(path, "r") as file:
        dataset = file["trajectory/position"]
        frame = np.empty(dataset.shape[1:], dataset.dtype)
        for i in range(len(dataset)):
            dataset.read_direct(frame, np.s_[i])
    return time.perf_counter() - begin


def read_deflate(setup):
    name = "read_deflate_vs_h5py"
    if not installed("h5py"):
        yield missing(name, "the Python module h5py is not installed")
        return
    path = setup.path("deflate.h5")
    setup.raw("codec", "deflate_file", path)
    size = setup.raw("read", "read", path)["bytes"]
    pairs = take_turns(
        lambda: setup.raw("read", "read", path)["raw"], lambda: read_h5py(path), setup.choose(15, 3)
    )
    os.remove(path)
    ours, peer = (1e-6 * size / statistics.median(column) for column in zip(*pairs))
    yield figure(name, [b / a for a, b in pairs], f"{ours:.0f} MB/s, peer {peer:.0f} MB/s")


# ---------------------------------------------------------------------------------------------------------------------
# One particle's series


def read_h5py_series(path):
    """The particle in the middle, of frames as they are chunked by default."""
    import h5py

    begin = time.perf_counter()
    with h5py.File(path, "r") as file:
        position = file["trajectory/position"]
        position[:, position.shape[1] // 2]
    return time.perf_counter() - begin


def series(setup):
    name = "series_vs_h5py"
    if not installed("h5py"):
        yield missing(name, "the Python module h5py is not installed")
        return
    by_particle, by_frame = setup.path("particles.h5"), setup.path("frames.h5")
    setup.raw("read", "particles_file", by_particle)
    setup.raw("read", "frames_file", by_frame)
    pairs = take_turns(
        lambda: setup.raw("read", "series", by_particle)["raw"], lambda: read_h5py_series(by_frame), setup.choose(15, 5)
    )
    os.remove(by_particle)
    os.remove(by_frame)
    ours, peer = (1e3 * statistics.median(column) for column in zip(*pairs))
    yield figure(name, [b / a for a, b in pairs], f"{ours:.3g} ms, peer {peer:.3g} ms")


# ---------------------------------------------------------------------------------------------------------------------
# LAMMPS

LOGGED = """{"groups": {"trajectory": {"fields": {"image": {"enabled": false}}}}}"""
NOTHING = """{"groups": {"init": {"enabled": false}, "trajectory": {"enabled": false}}}"""


def time_lammps(setup, steps, every, config):
    """The wall time of the whole program."""
    path = setup.path("config.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(config)
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "examples", "in.melt")
    command = [
        os.path.join(setup.build, "examples", "lammps_log"), "--input", script, "--var", "cells=20", "--quiet", "--no-thermo",
        "--steps", str(steps), "--every", str(every), "--config", path, "--out", setup.path("lammps.h5"), "--replace",
    ]  # fmt: skip
    begin = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - begin


def lammps(setup):
    """The same run twice; where nothing is logged, lammps_log looks at the first and the last step only."""
    name = "lammps_overhead"
    if not os.path.exists(os.path.join(setup.build, "examples", "lammps_log")):
        yield missing(name, "LAMMPS is not installed, so lammps_log was not built")
        return
    steps = setup.choose(300, 60)
    pairs = take_turns(
        lambda: time_lammps(setup, steps, 10, LOGGED),
        lambda: time_lammps(setup, steps, steps, NOTHING),
        setup.choose(25, 2),
    )
    os.remove(setup.path("lammps.h5"))
    ours, peer = (statistics.median(column) for column in zip(*pairs))
    yield figure(name, [a / b for a, b in pairs], f"{ours:.3g} s, without output {peer:.3g} s, {steps} steps")


ALL = {"callers": callers, "xtc": xtc, "read_deflate": read_deflate, "series": series, "lammps": lammps}
