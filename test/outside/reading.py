"""Rows of a file as our reader gives them, and what it says of the file."""

import json
import os
import shlex
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


def read(build, path, group, field, rows="all", type="-", block_rows=None, filters=None, env=None, threads=None,
         particles=None):
    """An array of the rows; with block_rows, they come by a stream; `filters` are allowed besides HDF5's own; particles:
    (first, count), only their series."""
    options = [] if filters is None else ["-f", filters]
    options += [] if threads is None else ["-t", str(threads)]
    options += [] if particles is None else ["-p", "%d,%d" % particles]
    command = [build / "test/programs/dump_field", *options, path, group, field, rows, type]
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


def unavailable_filter(group, name, shape, chunk, id, stored=b"these bytes are not what they were",
                       type=h5py.h5t.IEEE_F64LE):
    """A dataset that says its chunks have passed through a filter that libhdf5 does not have here."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(chunk)
    properties.set_filter(id, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple(shape)
    dataset = h5py.h5d.create(group.id, name.encode(), type, space, properties)
    dataset.write_direct_chunk((0,) * len(shape), stored, filter_mask=0)


PLUGIN = """
#include <H5PLextern.h>
#include <stdio.h>
#include <stdlib.h>

static size_t invert(unsigned flags, size_t count, const unsigned *values, size_t bytes, size_t *size, void **buffer)
{
    unsigned char *data = *buffer;
    for (size_t i = 0; i < bytes; i++) data[i] ^= 0xff;
    return bytes;
}

static const H5Z_class2_t filter = {H5Z_CLASS_T_VERS, 32004, 1, 1, "invert", NULL, NULL, invert};

H5PL_type_t H5PLget_plugin_type(void)
{
    return H5PL_TYPE_FILTER;
}

const void *H5PLget_plugin_info(void)
{
    return &filter;
}

__attribute__((constructor)) static void loaded(void)
{
    FILE *mark = fopen(getenv("PLUGIN_MARK"), "w");
    if (mark) fclose(mark);
}
"""


def build_plugin(build, folder):
    """The environment of a program that finds a plugin for filter 32004, which leaves the file `mark` when it is loaded."""
    config = dict(line.split(" := ", 1) for line in (build / "config.mk").read_text().splitlines() if " := " in line)
    (folder / "plugins").mkdir()
    (folder / "plugin.c").write_text(PLUGIN)
    subprocess.run(["cc", "-shared", "-fPIC", *shlex.split(config["HDF5_CFLAGS"]), folder / "plugin.c", "-o",
                    folder / "plugins/libinvert.so"], check=True)
    return {**os.environ, "HDF5_PLUGIN_PATH": str(folder / "plugins"), "PLUGIN_MARK": str(folder / "mark")}
