"""Files of the store, as other programs see them: every element type in every kind of storage, rows and `once`.

The file comes from test_store.c, writes_a_file_for_other_readers, whose bytes are made again here."""

import json
import os
import subprocess

import h5py
import numpy as np
import pytest

ROWS = 40
NAMES = {
    "int8": "<i1", "int16": "<i2", "int32": "<i4", "int64": "<i8", "uint8": "<u1", "uint16": "<u2", "uint32": "<u4",
    "uint64": "<u8", "float32": "<f4", "float64": "<f8", "bool": "bool", "complex64": "<c8", "complex128": "<c16",
    "string[5]": "S5",
}
CHUNK_ROWS = {1: 1, 2: 7, 3: 16, 4: 10}
FILTERS = {0: [], 1: [], 2: [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE],
           3: [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32],
           4: [h5py.h5z.FILTER_FLETCHER32]}
KINDS = [(name, storage, kind) for name in NAMES for storage in FILTERS for kind in ("scalar", "array")]
GROUP = "rows Å"


def write(build, path, **settings):
    subprocess.run([build / "test" / "test_store", "writes_a_file_for_other_readers"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60,
                   env={**os.environ, "TRAJLOG_STORE_FILE": str(path), **settings})
    return path


@pytest.fixture(scope="module")
def path(build, tmp_path_factory):
    return write(build, tmp_path_factory.mktemp("store") / "run.h5")


@pytest.fixture(scope="module")
def file(path):
    with h5py.File(path, "r") as opened:
        yield opened


def frame(name, kind, row):
    """The bytes of one frame."""
    count = np.dtype(NAMES[name]).itemsize * (90 if kind == "array" else 1)
    i = np.arange(count)
    data = ((row * 131 + i * 7 + i // 50) % 256).astype("u1")
    if name == "bool":
        data = data // 16 % 2
    if name.startswith("string"):
        data = data % 26 + ord("a")
    return data.astype("u1").tobytes()


@pytest.mark.parametrize("name, storage, kind", KINDS)
def test_rows_are_what_was_appended_bit_for_bit(file, name, storage, kind):
    dataset = file[f"{GROUP}/{name}/{storage}/{kind}"]
    assert dataset.dtype == np.dtype(NAMES[name])
    assert dataset.shape == ((ROWS, 30, 3) if kind == "array" else (ROWS,))
    assert dataset[...].tobytes() == b"".join(frame(name, kind, row) for row in range(ROWS))


@pytest.mark.parametrize("name, storage, kind", KINDS)
def test_once_data_have_no_time_axis(file, name, storage, kind):
    dataset = file[f"once/{name}/{storage}/{kind}"]
    assert dataset.shape == ((30, 3) if kind == "array" else ())
    assert np.asarray(dataset[()]).astype(NAMES[name]).tobytes() == frame(name, kind, 3)
    assert dataset.attrs["unit"] == "nm"


@pytest.mark.parametrize("storage", FILTERS)
def test_storage_is_as_asked_for(file, storage):
    dataset = file[f"{GROUP}/float64/{storage}/array"]
    properties = dataset.id.get_create_plist()
    assert [properties.get_filter(i)[0] for i in range(properties.get_nfilters())] == FILTERS[storage]
    if storage in CHUNK_ROWS:
        assert dataset.chunks == (CHUNK_ROWS[storage], 30, 3)


def test_full_chunks_are_compressed_and_the_tail_is_not(file):
    dataset = file[f"{GROUP}/float64/2/array"]
    chunks = [dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks())]
    assert [chunk.chunk_offset[0] for chunk in chunks] == list(range(0, ROWS, 7))
    assert [chunk.filter_mask for chunk in chunks] == [0] * 5 + [3]
    assert chunks[-1].size == 7 * 90 * 8
    assert all(chunk.size < 7 * 90 * 8 for chunk in chunks[:-1])


def test_a_changed_byte_is_noticed_where_there_is_a_checksum(path, tmp_path):
    with h5py.File(path, "r") as opened:
        offset = opened[f"{GROUP}/float64/4/array"].id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[offset + 100] ^= 1
    (tmp_path / "changed.h5").write_bytes(data)
    with h5py.File(tmp_path / "changed.h5", "r") as opened:
        with pytest.raises(OSError):
            opened[f"{GROUP}/float64/4/array"][0]


def test_axis_and_bookkeeping(file):
    assert file[f"{GROUP}/step"].dtype == "<i8"
    assert file[f"{GROUP}/time"].dtype == "<f8"
    np.testing.assert_array_equal(file[f"{GROUP}/step"], np.arange(ROWS))
    np.testing.assert_array_equal(file[f"{GROUP}/time"], np.arange(ROWS) / 4)
    np.testing.assert_array_equal(file["trajlog/dropped"], [[40, 49, 5]])
    assert file.attrs["trajlog_version"] == 1 and file.attrs["trajlog_version"].dtype == "<i4"
    assert file.attrs["actual_steps"] == ROWS and file.attrs["actual_steps"].dtype == "<i8"
    assert file["once"].attrs["step"] == 0
    assert file["once"].attrs["time"] == 0.25


def test_names_are_utf8_texts(file):
    assert json.loads(file.attrs["group_names"]) == ["once", GROUP]
    paths = json.loads(file[GROUP].attrs["paths"])
    assert paths == [f"{name}/{storage}/{kind}" for name, storage, kind in KINDS]
    assert all(name in file[GROUP] for name in paths)
    assert isinstance(json.loads(file.attrs["trajlog_schema"]), dict)


def test_equal_runs_make_equal_files(build, tmp_path):
    one, other = (write(build, tmp_path / name, TRAJLOG_STORE_LEVEL="6").read_bytes() for name in ("one.h5", "other.h5"))
    # Behind the superblock of 48 bytes the commit driver keeps a record, with a random name for the file in it.
    assert one[:48] == other[:48]
    assert one[128:] == other[128:]


def test_h5dump_and_h5ls_read_it(run, need, path):
    values = run(need("h5dump"), "-d", f"/{GROUP}/step", path)
    assert "DATASPACE  SIMPLE { ( 40 ) / ( H5S_UNLIMITED ) }" in values
    assert "(37): 37, 38, 39" in values
    run(need("h5dump"), "-o", "/dev/null", path)  # all values of all datasets
    assert "complex128/3/array" in run(need("h5ls"), "-r", path)
