"""Files in the seed system's layout, as h5py makes them there, read by our reader."""

import json

import h5py
import numpy
import pytest

from reading import Refused, info, read, refuse_info, unavailable_filter

PICKLE = b"\x80\x04cos\nsystem\n(S'touch pickle-was-read'\ntR."


def seed_group(file, name, arrays, **dataset_options):
    """A group as the seed system writes it: a dataset for each leaf, the list of their names, and a pickle."""
    group = file.create_group(name)
    for path, values in arrays.items():
        group.create_dataset(path, data=values, **dataset_options)
    group.attrs["data_class_name"] = "Data"
    group.attrs["paths"] = json.dumps(list(arrays))
    group.create_dataset("tree_def", data=numpy.void(PICKLE))
    return group


def seed_file(path, groups, actual_steps=None):
    with h5py.File(path, "w") as file:
        file.attrs["config_class_name"] = "Config"
        file.attrs["group_names"] = json.dumps(list(groups))
        file.create_dataset("config_pytree", data=numpy.void(PICKLE))
        for name, arrays in groups.items():
            seed_group(file, name, arrays)
        if actual_steps is not None:
            file.attrs["actual_steps"] = actual_steps
    return path


@pytest.fixture
def trajectory(tmp_path):
    """A once group and one with a time axis, of every kind of key path and several element types."""
    random = numpy.random.default_rng(1)
    arrays = {
        "array.positions": random.normal(size=(11, 7, 3)),
        "array.atoms['a/b'].x": random.normal(size=(11, 7)).astype("float32"),
        "array.atoms['a/c'][0]": numpy.arange(11, dtype="int32"),
        "array[1]": random.integers(0, 2, size=(11, 4)).astype(bool),
        "array['ψ']": random.normal(size=(11, 2)) + 1j * random.normal(size=(11, 2)),
        "array.single": (random.normal(size=11) + 2j).astype("complex64"),
        "array.count": numpy.arange(11, dtype="uint64") + 2**63,
        "array.big": random.normal(size=(11, 2)).astype(">f8"),
    }
    once = {
        "array.mass": random.normal(size=7),
        "array.cell": random.normal(size=(3, 3)),
        "array.temperature": numpy.float64(300.0),
    }
    path = seed_file(tmp_path / "seed.h5", {"init": once, "trajectory": arrays}, actual_steps=101)
    return path, once, arrays


def test_rows_are_those_that_h5py_wrote(build, trajectory):
    path, once, arrays = trajectory
    for name, values in {**arrays}.items():
        got = read(build, path, "trajectory", name)
        assert got.dtype == values.dtype.newbyteorder("="), name
        numpy.testing.assert_array_equal(got, values, err_msg=name)


def test_a_once_group_has_no_time_axis(build, trajectory):
    path, once, _ = trajectory
    for name, values in once.items():
        numpy.testing.assert_array_equal(read(build, path, "init", name), numpy.asarray(values)[None])
    numpy.testing.assert_array_equal(read(build, path, "init", "array.mass", "-1"), once["array.mass"][None])
    with pytest.raises(Refused) as refused:
        read(build, path, "init", "array.mass", "1")
    assert refused.value.status == "TRAJLOG_NOT_FOUND"


@pytest.mark.parametrize("rows, index", [
    ("4", [4]), ("-2", [-2]), ("2:9:3", slice(2, 9, 3)), ("-3:", slice(-3, None)), (":4", slice(0, 4)),
    ("0,5,5,-1,6,7", [0, 5, 5, -1, 6, 7]), ("5:2", slice(5, 2)), ("::2", slice(None, None, 2)),
])
@pytest.mark.parametrize("block_rows", [None, 0, 2])
def test_selections_are_those_of_numpy(build, trajectory, rows, index, block_rows):
    path, _, arrays = trajectory
    for name in ("array.positions", "array.atoms['a/b'].x"):
        got = read(build, path, "trajectory", name, rows, block_rows=block_rows)
        numpy.testing.assert_array_equal(got, arrays[name][index])


def test_elements_are_converted(build, trajectory):
    path, _, arrays = trajectory
    got = read(build, path, "trajectory", "array.positions", type="float32")
    numpy.testing.assert_array_equal(got, arrays["array.positions"].astype("float32"))
    got = read(build, path, "trajectory", "array[1]", type="int64")
    numpy.testing.assert_array_equal(got, arrays["array[1]"].astype("int64"))
    with pytest.raises(Refused) as refused:
        read(build, path, "trajectory", "array.count", type="int64")
    assert refused.value.status == "TRAJLOG_OUT_OF_RANGE"
    assert 'field "array.count"' in refused.value.message


def test_there_are_no_steps_to_select_by(build, trajectory):
    path, _, _ = trajectory
    for rows in ("step=10", "steps=0,10", "times=0,1"):
        with pytest.raises(Refused) as refused:
            read(build, path, "trajectory", "array.positions", rows)
        assert refused.value.status == "TRAJLOG_NOT_FOUND"
        assert "time axis" in refused.value.message
    with pytest.raises(Refused) as refused:
        read(build, path, "trajectory", "step")
    assert refused.value.status == "TRAJLOG_NOT_FOUND"


def test_info_says_what_is_there(build, trajectory):
    path, once, arrays = trajectory
    told = info(build, path)
    assert told["format_version"] == 0
    assert told["actual_steps"] == 101
    assert told["metadata"] == {"config_class_name": "Config"}
    init, rows = told["groups"]
    assert (init["name"], init["once"], init["rows"], init["frequency"]) == ("init", True, 1, "once")
    assert (rows["name"], rows["once"], rows["rows"], rows["frequency"]) == ("trajectory", False, 11, "not recorded")
    assert rows["first_step"] is None and rows["first_time"] is None
    assert rows["metadata"] == {"data_class_name": "Data"}
    assert [field["name"] for field in rows["fields"]] == list(arrays)
    assert [field["shape"] for field in rows["fields"]] == [list(values.shape[1:]) for values in arrays.values()]
    assert [field["type"] for field in rows["fields"]] == [
        "float64", "float32", "int32", "bool", "complex128", "complex64", "uint64", "float64"]
    assert all(field["storage"] == "contiguous" for field in rows["fields"])
    assert [field["shape"] for field in init["fields"]] == [[7], [3, 3], []]


def test_pickles_are_never_read(build, tmp_path, monkeypatch):
    """Older files have them as attributes; whatever is in them, or missing from them, makes no difference."""
    path = seed_file(tmp_path / "seed.h5", {"group": {"array": numpy.arange(4.0)}})
    with h5py.File(path, "r+") as file:
        del file["config_pytree"], file["group/tree_def"]
        file.attrs["config_pytree"] = numpy.void(PICKLE)
        file["group"].attrs["tree_def"] = numpy.void(PICKLE)
    monkeypatch.chdir(tmp_path)
    numpy.testing.assert_array_equal(read(build, path, "group", "array"), numpy.arange(4.0))
    assert not (tmp_path / "pickle-was-read").exists()


def test_a_run_without_a_clean_exit_has_no_actual_steps(build, tmp_path):
    path = seed_file(tmp_path / "seed.h5", {"group": {"array": numpy.arange(4.0)}})
    assert info(build, path)["actual_steps"] is None


def test_texts_may_be_of_fixed_length(build, tmp_path):
    path = seed_file(tmp_path / "seed.h5", {"group": {"array": numpy.arange(4.0)}})
    with h5py.File(path, "r+") as file:
        file.attrs["group_names"] = numpy.bytes_('["group"]')
        file["group"].attrs["paths"] = numpy.bytes_('["array"]')
    assert read(build, path, "group", "array").shape == (4,)


def test_a_name_with_slashes_is_a_path_of_groups(build, tmp_path):
    path = tmp_path / "seed.h5"
    with h5py.File(path, "w") as file:
        file.attrs["group_names"] = json.dumps(["outer/inner"])
        group = seed_group(file, "outer/inner", {"array['a//b/c']": numpy.arange(3.0)})
        assert "array['a/b/c']" in group
    numpy.testing.assert_array_equal(read(build, path, "outer/inner", "array['a//b/c']"), numpy.arange(3.0))


@pytest.mark.parametrize("counts, rows", [((5, 5), 5), ((5, 4), 4), ((0, 3), 0)])
def test_rows_are_those_that_all_datasets_have(build, tmp_path, counts, rows):
    """Datasets that grow, of a newer file that is being written, can differ by a batch."""
    path = tmp_path / "seed.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["group_names"] = json.dumps(["group"])
        group = file.create_group("group")
        names = ["array.a", "array.b"]
        group.attrs["paths"] = json.dumps(names)
        for name, count in zip(names, counts):
            group.create_dataset(name, data=numpy.arange(3.0 * count).reshape(count, 3), maxshape=(None, 3),
                                 chunks=(2, 3), compression="gzip", shuffle=True)
    assert info(build, path)["groups"][0]["rows"] == rows
    for name in names:
        numpy.testing.assert_array_equal(read(build, path, "group", name), numpy.arange(3.0 * rows).reshape(rows, 3))
    storage = info(build, path)["groups"][0]["fields"][0]["storage"]
    assert storage == "2 rows per chunk, shuffle, deflate 4"


def test_a_file_that_is_being_written_opens(build, tmp_path):
    path = tmp_path / "seed.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["group_names"] = json.dumps(["group"])
        group = file.create_group("group")
        group.attrs["paths"] = json.dumps(["array"])
        dataset = group.create_dataset("array", shape=(0, 2), maxshape=(None, 2), chunks=(4, 2), dtype="f8")
        file.swmr_mode = True
        for rows in (3, 9):
            dataset.resize(rows, axis=0)
            dataset[:] = numpy.arange(2.0 * rows).reshape(rows, 2)
            file.flush()
            numpy.testing.assert_array_equal(read(build, path, "group", "array"), dataset[:])


@pytest.mark.parametrize("id, name", [(32015, "filter 32015 (zstd)"), (30999, "filter 30999")])
def test_a_missing_filter_is_named(build, tmp_path, id, name):
    path = seed_file(tmp_path / "seed.h5", {"group": {"array.a": numpy.arange(4.0)}})
    with h5py.File(path, "r+") as file:
        unavailable_filter(file["group"], "array.z", (4,), (4,), id)
        file["group"].attrs["paths"] = json.dumps(["array.a", "array.z"])
    assert read(build, path, "group", "array.a").shape == (4,)
    assert info(build, path)["groups"][0]["fields"][1]["storage"] == f"4 rows per chunk, {name}"
    with pytest.raises(Refused) as refused:
        read(build, path, "group", "array.z")
    assert refused.value.status == "TRAJLOG_UNSUPPORTED"
    assert name in refused.value.message and "not allowed" in refused.value.message
    with pytest.raises(Refused) as refused:
        read(build, path, "group", "array.z", filters=str(id))
    assert refused.value.status == "TRAJLOG_UNSUPPORTED"
    assert name in refused.value.message and "HDF5_PLUGIN_PATH" in refused.value.message


@pytest.mark.parametrize("values, what", [
    (numpy.array(["a", "bc"], dtype=h5py.string_dtype()), "variable-length strings"),
    (numpy.array([1, 2], dtype="float16"), "floats that are neither"),
    (numpy.zeros(2, dtype=[("x", "f8")]), "compound"),
    (numpy.zeros(2, dtype="V5"), "opaque"),
    (numpy.zeros((2,) + (1,) * 8), "more than seven dimensions"),
    (numpy.zeros((2,) + (1,) * 7 + (1,) * 9), "more than seven dimensions"),
])
def test_what_cannot_be_read_does_not_hinder_the_rest(build, tmp_path, values, what):
    path = seed_file(tmp_path / "seed.h5", {"group": {"array.a": numpy.arange(2.0), "array.s": values}})
    numpy.testing.assert_array_equal(read(build, path, "group", "array.a"), [0, 1])
    field = info(build, path)["groups"][0]["fields"][1]
    assert field["stored_type"] is None and what in field["description"]
    with pytest.raises(Refused) as refused:
        read(build, path, "group", "array.s")
    assert refused.value.status == "TRAJLOG_UNSUPPORTED"
    assert what in refused.value.message


def test_fixed_length_strings_are_read(build, tmp_path):
    path = seed_file(tmp_path / "seed.h5", {"group": {"array": numpy.array([b"He", b"Ne4", b""], dtype="S3")}})
    assert list(read(build, path, "group", "array")) == [b"He", b"Ne4", b""]


def test_empty_arrays_are_read(build, tmp_path):
    path = seed_file(tmp_path / "seed.h5", {"group": {"array.a": numpy.zeros((3, 0)), "array.b": numpy.zeros(3)}})
    assert read(build, path, "group", "array.a").shape == (3, 0)
    assert read(build, path, "group", "array.a", "1", "float32").shape == (1, 0)


def break_attribute(file, name, value):
    del file.attrs[name]
    if value is not None:
        file.attrs[name] = value


@pytest.mark.parametrize("spoil, message", [
    (lambda file: break_attribute(file, "group_names", "not json"), 'attribute "group_names"'),
    (lambda file: break_attribute(file, "group_names", 3), 'attribute "group_names" is not a text'),
    (lambda file: break_attribute(file, "group_names", ["a", "b"]), 'attribute "group_names" is not a single value'),
    (lambda file: break_attribute(file, "group_names", '["nowhere"]'), 'group "nowhere": it is missing'),
    (lambda file: break_attribute(file, "group_names", '["config_pytree"]'), "not an HDF5 group"),
    (lambda file: break_attribute(file, "group_names", '["group/array"]'), "not an HDF5 group"),
    (lambda file: break_attribute(file["group"], "paths", None), 'attribute "paths" is missing'),
    (lambda file: break_attribute(file["group"], "paths", '["array", "b"]'), 'group "group": field "b": it is missing'),
    (lambda file: break_attribute(file["group"], "paths", '["array/b"]'), "where a group should be"),
    (lambda file: break_attribute(file["group"], "paths", '[""]'), "name"),
    (lambda file: file["group"].move("array", "moved"), 'field "array": it is missing'),
])
def test_broken_files_are_refused(build, tmp_path, spoil, message):
    path = seed_file(tmp_path / "seed.h5", {"group": {"array": numpy.arange(4.0)}})
    with h5py.File(path, "r+") as file:
        spoil(file)
    refusal = refuse_info(build, path)
    assert message in refusal and str(path) in refusal
    with pytest.raises(Refused) as refused:
        read(build, path, "group", "array")
    assert refused.value.status == "TRAJLOG_INVALID_FILE"


@pytest.mark.parametrize("kind", ["soft", "external", "virtual", "raw"])
def test_bytes_of_other_files_are_not_read(build, tmp_path, kind):
    path = seed_file(tmp_path / "seed.h5", {"group": {"array": numpy.arange(4.0)}})
    seed_file(tmp_path / "other.h5", {"group": {"array": numpy.arange(4.0)}})
    (tmp_path / "secret").write_bytes(bytes(32))
    with h5py.File(path, "r+") as file:
        group = file["group"]
        del group["array"]
        if kind == "soft":
            group["array"] = h5py.SoftLink("/group/tree_def")
        elif kind == "external":
            group["array"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/group/array")
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape=(4,), dtype="f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "group/array", shape=(4,))
            group.create_virtual_dataset("array", layout)
        else:
            group.create_dataset("array", shape=(4,), dtype="f8", external=[(str(tmp_path / "secret"), 0, 32)])
    assert 'group "group": field "array"' in refuse_info(build, path)
