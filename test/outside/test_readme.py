"""What the documentation shows compiles, runs, and does what it says."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import h5py
import pytest

from snippets import c_program, commands, loop, snippets

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", *(f"doc/{path.name}" for path in sorted((ROOT / "doc").glob("*.md")))]


@pytest.fixture
def config(build):
    """The variables that the build found: HDF5_CFLAGS, ..."""
    lines = (build / "config.mk").read_text().splitlines()
    return {name: shlex.split(value) for name, value in (line.split(" := ", 1) for line in lines if " := " in line)}


@pytest.fixture
def compile_and_run(run, build, root, config, tmp_path):
    def compile_and_run(program):
        source, executable = tmp_path / "program.c", tmp_path / "program"
        source.write_text(program)
        run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", *config["HDF5_CFLAGS"], f"-I{root / 'include'}", source,
            "-o", executable, f"-L{build}", "-ltrajlog", f"-Wl,-rpath,{build}", *config["HDF5_LIBS"])
        run(executable, cwd=tmp_path)

    return compile_and_run


@pytest.fixture
def run_file(compile_and_run, root, tmp_path):
    """The file that README's loop writes."""
    compile_and_run(loop(root))
    return tmp_path / "run.h5"


def test_loop_writes_what_it_says(run_file):
    with h5py.File(run_file, "r") as file:
        trajectory = file["trajectory"]
        assert list(trajectory["step"]) == list(range(0, 100, 10))
        assert trajectory["position"].shape == trajectory["velocity"].shape == (10, 5, 3)
        assert trajectory["velocity"].attrs["unit"] == "nm ps-1"
        assert not (trajectory["position"][0] == trajectory["position"][9]).any()


def test_first_screen(root):
    """The loop and the two commands are within the first 40 lines."""
    screen = "\n".join((root / "README.md").read_text().splitlines()[:40])
    assert "return trajlog_close(&log);" in screen
    assert "\nmake setup demo\nmake setup test\n" in screen


def test_c_snippets(compile_and_run, run_file, root):
    programs = snippets(root / "README.md", "c")
    assert len(programs) >= 3
    for program in programs[1:]:
        compile_and_run(c_program(program))


def test_c_snippets_of_interop(compile_and_run, root, run, build, tmp_path):
    programs = snippets(root / "doc" / "interop.md", "c")
    assert programs
    for program in programs:
        compile_and_run(c_program(program))
    assert "BROKEN" not in run(build / "trajlog", "check", "--h5md", tmp_path / "water.h5md")
    with h5py.File(tmp_path / "water.h5md") as file:
        assert list(file["parameters/vmd_structure/bond_to"]) == [2, 3]


def test_the_program_that_goes_on(compile_and_run, root, tmp_path):
    """Ended early and started again, it leaves the rows of a run that was not."""
    program = next(c_program(text) for text in snippets(root / "README.md", "c") if "trajlog_restore" in text)
    assert "steps = 100" in program
    compile_and_run(program)
    whole = (tmp_path / "long.h5").rename(tmp_path / "whole.h5")
    compile_and_run(program.replace("steps = 100", "steps = 67"))  # seven rows, and a checkpoint at 39
    compile_and_run(program)
    with h5py.File(whole) as expected, h5py.File(tmp_path / "long.h5") as found:
        assert list(found["trajectory/step"]) == list(range(0, 100, 10))
        for name in ("step", "time", "position"):
            assert (found["trajectory"][name][()] == expected["trajectory"][name][()]).all()


def test_python_snippets(run, run_file, root, tmp_path):
    programs = snippets(root / "README.md", "python")
    assert programs
    for program in programs:
        run("/usr/bin/python3", "-c", program, cwd=tmp_path)


def test_commands_that_look_into_a_file(run, run_file, build, need, root, tmp_path):
    need("h5dump")
    found = commands(root, "trajlog ") + commands(root, "h5dump ")
    assert len(found) >= 2
    environment = {**os.environ, "PATH": f"{build}{os.pathsep}{os.environ['PATH']}"}
    for command in found:
        assert "step" in run("sh", "-c", command, cwd=tmp_path, env=environment)


def test_make_targets_exist(root):
    targets = re.findall(r"^([a-z0-9-]+):.*## ", (root / "Makefile").read_text(), re.MULTILINE)
    shown = commands(root, "make ")
    for document in DOCUMENTS:
        shown += re.findall(r"`(make .*?)`", (root / document).read_text())
    mentioned = {word for command in shown for word in command.split()[1:] if "=" not in word}
    assert {"setup", "demo", "test", "help", "install", "uninstall", "config"} <= mentioned <= set(targets)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_names_exist(root, document):
    text = (root / document).read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((root / document).parent / link).exists(), link
    header = (root / "include" / "trajlog.h").read_text()
    known = {"trajlog_version", "trajlog_schema"} | set(re.findall(r"\b(?:trajlog|TRAJLOG)_\w+", header))
    for prefix, macro in (("TRAJLOG_", "TRAJLOG_STATUS_LIST"), ("TRAJLOG_ROLE_", "TRAJLOG_ROLE_LIST")):
        entries = header.split(f"#define {macro}(X)")[1].split("\n\n")[0]
        known |= {prefix + name for name in re.findall(r"X\((\w+),", entries)}
    environment = {"TRAJLOG_BENCH_DIR", "TRAJLOG_BENCH_FRAMES", "TRAJLOG_CAMPAIGN_KILLS", "TRAJLOG_CAMPAIGN_SEED"}
    assert set(re.findall(r"\b(?:trajlog|TRAJLOG)_[A-Za-z]\w+", text)) - known - environment == set()


def test_commands_have_a_man_page(run, build, root):
    listed = run(build / "trajlog", "--help").split("Commands:")[1].split("\n\n")[0]
    names = re.findall(r"^  ([a-z]+)", listed, re.MULTILINE)
    assert "info" in names
    page = (root / "doc" / "trajlog.1").read_text()
    for name in names:
        assert re.search(rf"^\.B.*\b{name}\b", page, re.MULTILINE), name


def test_man_pages(run, need, root):
    for page in sorted((root / "doc").glob("trajlog.[13]")):
        assert run(need("man"), "--warnings", "-l", page, env={**os.environ, "MANWIDTH": "80"})


# ---------------------------------------------------------------------------------------------------------------------
# doc/format.md


def shape_of(value):
    """The names of members, all the way down; an object of the user's own counts as empty."""
    if isinstance(value, dict):
        own = {"metadata", "environment"}
        return {key: {} if key in own else shape_of(member) for key, member in value.items()}
    if isinstance(value, list):
        return [shape_of(member) for member in value[:1]]
    return None


def test_schema_in_the_document_is_the_schema_in_a_file(run_file, root):
    documented = json.loads(snippets(root / "doc" / "format.md", "json")[0])
    with h5py.File(run_file, "r") as file:
        assert shape_of(json.loads(file.attrs["trajlog_schema"])) == shape_of(documented)


def test_every_object_and_attribute_is_documented(run_file, root):
    text = (root / "doc" / "format.md").read_text()
    seen = []

    def visit(name, item):
        seen.extend(item.attrs)
        if not name.startswith("trajectory/") or name.endswith(("/step", "/time")):
            seen.append(name)

    with h5py.File(run_file, "r") as file:
        seen.extend(file.attrs)
        file.visititems(visit)
    assert {"trajlog_version", "paths", "unit", "trajlog/dropped"} <= set(seen)
    for name in seen:
        assert re.search(rf"[/`]{name}\b", text), name


EVERYTHING = """
trajlog_writer *log = NULL;
trajlog_options options = trajlog_default_options();
options.user = "me";
options.author = "Me";
options.program = "simulation";
trajlog_create(&log, "run.h5", &options);
int64_t list[2] = {0, 7};
trajlog_frequency frequencies[] = {trajlog_once(), trajlog_every(2), trajlog_at_steps(list, 2), trajlog_logarithmic(1),
                                   trajlog_wall_clock(3600)};
const char *names[] = {"once", "every", "steps", "logarithmic", "wall_clock"};
for (int i = 0; i < 5; i++) {
    trajlog_group *group = trajlog_add_group(log, names[i], frequencies[i]);
    trajlog_group_set_metadata(group, "key", "text");
    trajlog_field *field = trajlog_add_field(group, "position", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(n, 3), x, "nm");
    trajlog_set_description(field, "a description");
    if (i == 1) trajlog_set_role(field, TRAJLOG_ROLE_POSITION, NULL);
}
trajlog_add_species(log, 1, "Ar", 18);
trajlog_log(log, 0, 0);
return trajlog_close(&log);
"""


def members(value):
    """The names of all members of a JSON value, except those of objects that are the user's own."""
    if isinstance(value, list):
        return set().union(*map(members, value))
    if isinstance(value, dict):
        own = {"metadata", "environment"}
        return set(value).union(*(members(member) for key, member in value.items() if key not in own))
    return set()


def test_every_member_of_the_schema_is_documented(compile_and_run, root, tmp_path):
    compile_and_run(c_program(EVERYTHING))
    text = (root / "doc" / "format.md").read_text()
    with h5py.File(tmp_path / "run.h5", "r") as file:
        schema = json.loads(file.attrs["trajlog_schema"])
        objects = set(file)
    found = members(schema)
    assert {"role", "h5md", "per_decade", "seconds", "steps", "species"} <= found
    assert [name for name in found if f"`{name}`" not in text] == []
    for name in objects - {group["name"] for group in schema["groups"]}:
        assert f"`/{name}`" in text or f"\n/{name}/" in text, name


def test_reader_in_the_document_reads(run_file, root):
    names = {}
    exec(snippets(root / "doc" / "format.md", "python")[0], names)
    log = names["read_log"](run_file)
    assert list(log) == ["trajectory"]
    assert list(log["trajectory"]) == ["step", "time", "position", "velocity"]
    with h5py.File(run_file, "r") as file:
        for name, values in log["trajectory"].items():
            assert values.shape[0] == 10 and (values == file["trajectory"][name][()]).all()


# ---------------------------------------------------------------------------------------------------------------------
# doc/config.md


def test_configuration_in_the_document_is_applied(run, build, root, tmp_path):
    (tmp_path / "run.json").write_text(snippets(root / "doc" / "config.md", "json")[0])
    run(build / "examples" / "md_argon", "--atoms", 108, "--steps", 150, "--every", 1, "--quiet", "--out", "run.h5",
        "--config", "run.json", cwd=tmp_path)
    with h5py.File(tmp_path / "run.h5", "r") as file:
        assert json.loads(file.attrs["group_names"]) == ["trajectory", "thermo"]
        trajectory = file["trajectory"]
        assert sorted(trajectory) == ["box", "force", "position", "step", "time"]
        assert list(trajectory["step"]) == [100, 120, 140, 150]
        assert list(file["thermo/step"]) == [0, 1, 2, 3, 4, 6, 10, 16, 25, 40, 63, 100]
        position = trajectory["position"]
        assert (position.dtype, position.chunks, position.compression) == ("float32", (10, 108, 3), "gzip")
        assert trajectory["force"].fletcher32


def test_message_in_the_document_is_the_message(build, root, tmp_path):
    message = re.search(r"^    (run.json:.*\.every: .*)$", (root / "doc" / "config.md").read_text(), re.MULTILINE).group(1)
    line, column = map(int, message.split(":")[1:3])
    before = '{"groups": {"trajectory": {"frequency":' + "\n" * (line - 1)
    (tmp_path / "run.json").write_text(before + '{"every":'.ljust(column - 1) + '"ten"}}}}')
    result = subprocess.run([build / "examples" / "md_argon", "--steps", "1", "--quiet", "--out", "run.h5", "--config",
                             "run.json"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode != 0
    assert message in result.stderr
