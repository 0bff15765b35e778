"""Rows of a file as our reader gives them, and what it says of the file."""

import json
import subprocess

import h5py
import numpy


class Refused(Exception):
    """The reader returned a status that is not OK."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


TYPES = {"bool": "?", "complex64": "c8", "complex128": "c16"}


def numpy_type(name):
    if name.startswith("string["):
        return numpy.dtype("S" + name[7:-1])
    return numpy.dtype(TYPES.get(name, name))


def read(build, path, group, field, rows="all", type="-", block_rows=None, filters=None, env=None):
    """An array of the rows; with block_rows, they come by a stream; `filters` are allowed besides HDF5's own."""
    allowed = [] if filters is None else ["-f", filters]
    command = [build / "test/programs/dump_field", *allowed, path, group, field, rows, type]
    if block_rows is not None:
        command.append(str(block_rows))
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, env=env)
    if result.returncode != 0:
        status, _, message = result.stderr.decode().strip().partition(": ")
        assert status.startswith("TRAJLOG_"), f"exit status {result.returncode}: {result.stderr.decode()}"
        raise Refused(status, message)
    header, _, data = result.stdout.partition(b"\n")
    count, name, *shape = header.decode().split()
    return numpy.frombuffer(data, numpy_type(name)).reshape([int(count), *map(int, shape)])


def info(build, path):
    """trajlog info --json."""
    result = subprocess.run([build / "trajlog", "info", "--json", path], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def refuse_info(build, path, status=1):
    """The message of a trajlog info that fails."""
    result = subprocess.run([build / "trajlog", "info", path], stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=60)
    assert result.returncode == status, result.stdout
    assert result.stdout == ""
    return result.stderr


def unavailable_filter(group, name, shape, chunk, id, stored=b"these bytes are not what they were"):
    """A dataset that says its chunks have passed through a filter that libhdf5 does not have here."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(chunk)
    properties.set_filter(id, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple(shape)
    dataset = h5py.h5d.create(group.id, name.encode(), h5py.h5t.IEEE_F64LE, space, properties)
    dataset.write_direct_chunk((0,) * len(shape), stored, filter_mask=0)
