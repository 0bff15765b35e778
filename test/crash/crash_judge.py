"""The judge of files that test/crash/writer.c wrote: plain h5py, no repair, no flag."""

import h5py
import numpy

EVERY = {"g0": 1, "g1": 3, "g2": 7}


def expected(salt, rows, width):
    row = numpy.arange(rows, dtype=numpy.uint64)[:, None]
    element = numpy.arange(width, dtype=numpy.uint64)[None, :]
    return ((2654435761 * row + 40503 * salt + 97 * element) % (1 << 32)).astype(numpy.uint32)


def judge(path):
    """Reads everything; returns the number of rows of each group. Raises whatever is wrong."""
    rows = {}
    with h5py.File(path, "r") as file:
        assert file.attrs["trajlog_version"] == 1
        for name, group in file.items():
            step = group["step"][()]
            count = rows[name] = len(step)
            assert (step == numpy.arange(count) * EVERY[name]).all(), (name, "step")
            assert (group["time"][()] == 0.5 * step).all() and len(group["time"]) == count, (name, "time")
            for field in group:
                dataset = group[field]
                assert dataset.shape[0] == count, (name, field, dataset.shape, count)
                if dataset.ndim == 2:
                    wanted = expected(int(dataset.attrs["salt"]), *dataset.shape)
                    assert (dataset[()] == wanted).all(), (name, field, "data")
    return rows


def rows_through(step):
    """The rows that each group has when all steps up to this one are in."""
    return {name: step // every + 1 for name, every in EVERY.items()}


def check_prefix(path, lines, kinds=("flushed", "synced")):
    """The file holds at least what the writer reported, and at most one commit more."""
    rows = judge(path)
    reported = [line.split() for line in lines]
    committed = [int(step) for kind, step, *_ in reported if kind in kinds or kind in ("resumed", "closed")]
    if committed:
        for name, least in rows_through(committed[-1]).items():
            assert rows[name] >= least, (name, rows[name], least, lines[-1])
    elif any(kind == "published" for kind, *_ in reported):
        assert set(rows) == set(EVERY)
    return rows
