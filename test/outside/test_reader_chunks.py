"""Chunks of all kinds, read past libhdf5 by our reader, against h5py: rows, blocks of rows, and series of particles."""

import json
import subprocess

import h5py
import numpy
import pytest

from reading import Refused, read

ROWS, PARTICLES = 41, 108

STORAGE = {
    "plain": {"chunk_rows": 7},
    "deflate": {"compression": "deflate", "chunk_rows": 5},
    "checked": {"compression": "deflate", "checksum": True, "chunk_rows": 4},
    "by particle": {"access": "particle", "chunk_rows": 8},
    "by particle, deflate": {"access": "particle", "chunk_rows": 10, "compression": "deflate"},
    "one row": {"chunk_rows": 1, "compression": "deflate"},
    "tail only": {"chunk_rows": 1000, "compression": "deflate", "checksum": True},
}


@pytest.fixture(scope="session", params=STORAGE)
def log(request, build, tmp_path_factory):
    path = tmp_path_factory.mktemp("chunks") / "argon.h5"
    fields = {name: STORAGE[request.param] for name in ("position", "velocity")}
    config = path.with_suffix(".json")
    config.write_text(json.dumps({"groups": {"trajectory": {"fields": fields}}}))
    subprocess.run([build / "examples/md_argon", "--atoms", str(PARTICLES), "--steps", str(ROWS - 1), "--every", "1",
                    "--checkpoint", "0", "--out", path, "--quiet", "--config", config], check=True,
                   stdin=subprocess.DEVNULL, timeout=120)
    return path


def stored(path, name):
    with h5py.File(path, "r") as file:
        return file[name][()]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("block_rows", [None, 0, 1, 6, 100])
def test_rows_are_h5pys(build, log, threads, block_rows):
    expected = stored(log, "trajectory/position")
    for rows, index in [("all", slice(None)), ("3:38", slice(3, 38)), ("2::3", slice(2, None, 3)),
                        ("5,4,4,-1,0", [5, 4, 4, -1, 0])]:
        got = read(build, log, "trajectory", "position", rows, block_rows=block_rows, threads=threads)
        numpy.testing.assert_array_equal(got, expected[index], err_msg=rows)


def test_rows_are_converted_as_numpy_does(build, log):
    expected = stored(log, "trajectory/velocity").astype("f4")
    for block_rows in None, 4:
        got = read(build, log, "trajectory", "velocity", "all", "float32", block_rows=block_rows)
        numpy.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("particles", [(0, 1), (107, 1), (50, 9), (0, PARTICLES)])
def test_series_are_h5pys(build, log, particles):
    first, count = particles
    expected = stored(log, "trajectory/position")[:, first:first + count]
    for rows, index in [("all", slice(None)), ("3:38", slice(3, 38)), ("1::4", slice(1, None, 4)), ("7,7,-1", [7, 7, -1])]:
        got = read(build, log, "trajectory", "position", rows, particles=particles)
        numpy.testing.assert_array_equal(got, expected[index], err_msg=rows)
        got = read(build, log, "trajectory", "position", rows, "float32", particles=particles)
        numpy.testing.assert_array_equal(got, expected[index].astype("f4"), err_msg=rows)


@pytest.mark.parametrize("particles", [(0, PARTICLES + 1), (PARTICLES, 1), (-1, 2), (2**62, 2**62)])
def test_particles_that_are_not_there_are_refused(build, log, particles):
    with pytest.raises(Refused) as refused:
        read(build, log, "trajectory", "position", particles=(particles[0], min(particles[1], 2**20)))
    assert refused.value.status == "TRAJLOG_OUT_OF_RANGE"
    assert 'group "trajectory", field "position"' in refused.value.message


def test_scalars_have_no_series(build, log):
    with pytest.raises(Refused) as refused:
        read(build, log, "thermo", "temperature", particles=(0, 1))
    assert refused.value.status == "TRAJLOG_INVALID_ARGUMENT"


# ---------------------------------------------------------------------------------------------------------------------
# Files of others

CHUNKS = {
    "across": {"chunks": (3, 10, 2)},
    "across, gzip": {"chunks": (3, 10, 2), "compression": "gzip", "shuffle": True},
    "gzip alone": {"chunks": (4, 108, 3), "compression": "gzip"},
    "shuffle alone": {"chunks": (4, 108, 3), "shuffle": True},
    "fletcher32": {"chunks": (4, 50, 3), "fletcher32": True},
    "all three": {"chunks": (4, 50, 3), "fletcher32": True, "shuffle": True, "compression": "gzip"},
    "larger than the data": {"chunks": (50, 200, 3), "compression": "gzip", "maxshape": (None, None, 3)},
    "contiguous": {},
    "scaleoffset": {"chunks": (4, 50, 3), "scaleoffset": 0, "dtype": "i4"},
    "big endian": {"chunks": (4, 108, 3), "dtype": ">f8", "compression": "gzip"},
    "big endian, contiguous": {"dtype": ">f4"},
    "integers": {"chunks": (4, 108, 3), "dtype": "i2", "compression": "gzip", "shuffle": True},
    "complex": {"chunks": (4, 108, 3), "dtype": "c16", "compression": "gzip", "shuffle": True},
    "bool": {"chunks": (4, 108, 3), "dtype": "?"},
}


@pytest.fixture(params=CHUNKS)
def others(request, tmp_path):
    """A file as the seed system makes them, with one dataset that has a hole in it."""
    path = tmp_path / "others.h5"
    options = {"dtype": "f8", **CHUNKS[request.param]}
    values = numpy.random.default_rng(5).integers(0, 120, (ROWS, PARTICLES, 3)).astype(options["dtype"])
    with h5py.File(path, "w") as file:
        file.attrs["group_names"] = json.dumps(["run"])
        file.create_group("run").attrs["paths"] = json.dumps(["x"])
        dataset = file["run"].create_dataset("x", values.shape, **options)
        dataset[:17] = values[:17]
        dataset[30:] = values[30:]
    return path


def test_others_files_are_read_as_h5py_reads_them(build, others):
    expected = stored(others, "run/x")
    for threads, block_rows in [(None, None), (1, None), (3, 5), (2, 0)]:
        got = read(build, others, "run", "x", threads=threads, block_rows=block_rows)
        numpy.testing.assert_array_equal(got, expected)
    for particles in (0, 1), (45, 20), (107, 1):
        got = read(build, others, "run", "x", "2:39", particles=particles)
        numpy.testing.assert_array_equal(got, expected[2:39, particles[0]:sum(particles)])


def test_a_damaged_chunk_is_named(build, tmp_path):
    path = tmp_path / "damaged.h5"
    with h5py.File(path, "w") as file:
        file.attrs["group_names"] = json.dumps(["run"])
        file.create_group("run").attrs["paths"] = json.dumps(["x"])
        dataset = file["run"].create_dataset("x", data=numpy.arange(600.0).reshape(100, 6), chunks=(10, 6),
                                             compression="gzip", fletcher32=True)
        chunk = dataset.id.get_chunk_info_by_coord((40, 0))
    with open(path, "r+b") as file:
        file.seek(chunk.byte_offset + 20)
        byte = file.read(1)
        file.seek(chunk.byte_offset + 20)
        file.write(bytes([byte[0] ^ 1]))
    assert len(read(build, path, "run", "x", "0:40")) == 40
    for block_rows in None, 0, 1:
        with pytest.raises(Refused) as refused:
            read(build, path, "run", "x", block_rows=block_rows)
        assert refused.value.status == "TRAJLOG_INVALID_FILE"
        assert 'group "run", field "x": a chunk of rows 40 to 49: the checksum is ' in refused.value.message
        assert str(path) in refused.value.message
