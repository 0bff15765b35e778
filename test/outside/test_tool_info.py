"""trajlog info, for people and for programs."""

import json
import subprocess

import h5py
import numpy
import pytest

from reading import info


@pytest.fixture(scope="session")
def argon(build, tmp_path_factory):
    path = tmp_path_factory.mktemp("argon") / "argon.h5"
    subprocess.run([build / "examples/md_argon", "--atoms", "108", "--steps", "40", "--every", "5",
                    "--checkpoint", "0", "--out", path, "--quiet"], check=True, stdin=subprocess.DEVNULL, timeout=120)
    return path


def test_it_fits_one_screen_and_says_it_all(build, run, argon):
    text = run(build / "trajlog", "info", argon)
    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines[1:])) <= 100
    assert lines[0].startswith(f"{argon}: trajlog format 1, 3 groups, ")
    assert "last step 40" in lines[0]
    assert "dropped" not in text
    trajectory = next(line for line in lines if line.startswith("trajectory"))
    assert "(every 5 steps)" in trajectory and "9 rows" in trajectory and "steps 0 to 40" in trajectory
    assert "time 0 to " in trajectory
    position = next(line for line in lines if line.split()[:1] == ["position"])
    assert position.split()[1:6] == ["float64", "108", "x", "3", "nm"]
    assert "rows per chunk" in position
    with h5py.File(argon, "r") as file:
        for group in ("init", "trajectory", "thermo"):
            for name in json.loads(file[group].attrs["paths"]):
                assert any(line.split()[:1] == [name] for line in lines), name


def test_it_fits_one_screen_with_checkpoints_too(build, run, tmp_path):
    path = tmp_path / "argon.h5"
    run(build / "examples/md_argon", "--atoms", "108", "--steps", "40", "--checkpoint", "10", "--out", path, "--quiet")
    lines = run(build / "trajlog", "info", path).splitlines()
    assert len(lines) <= 24 and max(map(len, lines[1:])) <= 100
    first = next(i for i, line in enumerate(lines) if line.startswith("checkpoint"))
    assert "2 slots, newest step 40" in lines[first]
    assert "position float64 108 x 3 nm, velocity float64 108 x 3 nm ps-1, random uint64 4" in lines[first + 1]


def test_dropped_frames_are_shown(build, run, argon, tmp_path):
    path = tmp_path / "dropped.h5"
    path.write_bytes(argon.read_bytes())
    with h5py.File(path, "r+") as file:
        file["trajlog/dropped"].resize(1, axis=0)
        file["trajlog/dropped"][0] = (5, 10, 6)
    assert "6 frames dropped" in run(build / "trajlog", "info", path).splitlines()[0]


def test_json_agrees_with_the_file(build, argon):
    told = info(build, argon)
    assert told["path"] == str(argon)
    assert told["format_version"] == 1
    assert told["actual_steps"] == 41
    assert told["dropped"] == 0 and told["drops"] == []
    assert "hdf5" in json.dumps(told["environment"]).lower()
    with h5py.File(argon, "r") as file:
        assert [group["name"] for group in told["groups"]] == json.loads(file.attrs["group_names"])
        for group in told["groups"]:
            assert [field["name"] for field in group["fields"]] == json.loads(file[group["name"]].attrs["paths"])
            for field in group["fields"]:
                dataset = file[group["name"]][field["name"]]
                rows = () if group["once"] else (group["rows"],)
                assert dataset.shape == rows + tuple(field["shape"])
                assert dataset.dtype == numpy.dtype(field["stored_type"])
                assert dataset.id.get_storage_size() == field["stored_bytes"]
            if group["once"]:
                assert group["rows"] == 1 and group["first_step"] is None
            else:
                steps, times = file[group["name"]]["step"], file[group["name"]]["time"]
                assert (group["first_step"], group["last_step"]) == (steps[0], steps[-1])
                assert (group["first_time"], group["last_time"]) == (times[0], times[-1])


def test_compression_and_rounding_are_told(build, run, tmp_path):
    fields = {"position": {"max_error": 0.0005, "store_as": "float32", "chunk_rows": 10},
              "velocity": {"significant_digits": 4, "chunk_rows": 10}, "force": {"compression": "deflate", "chunk_rows": 10}}
    (tmp_path / "config.json").write_text(json.dumps({"groups": {"trajectory": {"fields": fields}}}))
    path = tmp_path / "argon.h5"
    run(build / "examples/md_argon", "--atoms", "108", "--steps", "200", "--every", "1", "--checkpoint", "0", "--out", path,
        "--quiet", "--config", tmp_path / "config.json")
    told = {field["name"]: field for field in info(build, path)["groups"][1]["fields"]}
    assert (told["position"]["max_error"], told["position"]["significant_digits"]) == (0.0005, None)
    assert (told["velocity"]["max_error"], told["velocity"]["significant_digits"]) == (None, 4)
    assert (told["force"]["max_error"], told["force"]["significant_digits"]) == (None, None)
    lines = {line.split()[0]: line for line in run(build / "trajlog", "info", path).split("\ntrajectory")[1].split("\n\n")[0]
             .splitlines()[1:]}
    with h5py.File(path, "r") as file:
        for name in fields:
            dataset, field = file["trajectory"][name], told[name]
            assert field["data_bytes"] == dataset.size * dataset.dtype.itemsize
            part = 100 * dataset.id.get_storage_size() / field["data_bytes"]
            assert part < 100 and f"shuffle, deflate 1 (to {part:.0f} %)" in lines[name]
        assert file["trajectory/position"].attrs["max_error"] == 0.0005
    assert lines["position"].endswith("%), error <= 0.0005 nm")
    assert lines["velocity"].endswith("%), 4 digits")
    assert lines["force"].endswith("%)") and "%" not in lines["box"] and "error" not in lines["box"]


def test_texts_from_a_file_cannot_move_the_cursor(build, run, tmp_path):
    path = tmp_path / "seed.h5"
    name = "array\x1b[2J"
    with h5py.File(path, "w") as file:
        file.attrs["group_names"] = json.dumps(["group"])
        file.create_group("group").attrs["paths"] = json.dumps([name])
        file["group"][name] = 1.0
    result = subprocess.run([build / "trajlog", "info", path], capture_output=True, timeout=60)
    assert b"\x1b" not in result.stdout + result.stderr


def test_help_and_version(build, run):
    program = build / "trajlog"
    assert "info FILE" in run(program, "--help")
    assert "--json" in run(program, "info", "--help")
    assert run(program, "--version").startswith("trajlog ")


@pytest.mark.parametrize("words", [[], ["nonsense"], ["info"], ["info", "a", "b"], ["info", "--nonsense", "a"],
                                   ["--nonsense"]])
def test_a_command_line_that_is_not_understood(build, words):
    result = subprocess.run([build / "trajlog", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=60)
    assert result.returncode == 2
    assert result.stdout == "" and "trajlog" in result.stderr


def test_a_file_that_cannot_be_read(build, tmp_path):
    path = tmp_path / "missing.h5"
    for option in ([], ["--json"]):
        result = subprocess.run([build / "trajlog", "info", *option, path], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=60)
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr == f"trajlog info: {path}: the file cannot be opened: No such file or directory\n"


def test_output_that_cannot_be_written_is_a_failure(build, argon):
    with open("/dev/full", "w") as full:
        for option in ([], ["--json"]):
            result = subprocess.run([build / "trajlog", "info", *option, argon], stdin=subprocess.DEVNULL,
                                    stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
            assert result.returncode == 1
            assert "cannot write" in result.stderr
