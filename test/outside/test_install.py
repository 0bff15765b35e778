"""make install puts everything where a user's build finds it, and make uninstall takes all of it away."""

import os
import re

import h5py
import pytest

from snippets import commands, loop, snippets

# Both tests need the same build, so one process runs them.
pytestmark = pytest.mark.xdist_group("install")


@pytest.fixture(scope="module")
def make(root, tmp_path_factory):
    """Runs make with a build directory of its own, whatever make this test was started by."""
    build = tmp_path_factory.mktemp("build")

    def run_make(run, *words):
        environment = {name: value for name, value in os.environ.items() if name not in
                       ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CC", "CFLAGS", "LDFLAGS", "BUILD", "DESTDIR", "prefix")}
        return run("make", "-j2", f"BUILD={build}", "CFLAGS=-O0", *words, cwd=root, env=environment, timeout=280)

    return run_make


def files_below(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


@pytest.fixture
def prefix(make, run, tmp_path):
    """A directory in which trajlog is installed."""
    make(run, "install", f"prefix={tmp_path / 'usr'}")
    return tmp_path / "usr"


@pytest.fixture
def environment(prefix):
    paths = [str(prefix / "lib" / "pkgconfig"), os.environ.get("PKG_CONFIG_PATH", "")]
    return {**os.environ, "PKG_CONFIG_PATH": os.pathsep.join(filter(None, paths)),
            "LD_LIBRARY_PATH": str(prefix / "lib")}


@pytest.fixture
def project(root, tmp_path):
    """A user's project: README's loop in run.c."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "run.c").write_text(loop(root))
    return directory


def check_run(run, directory, environment):
    run(directory / "run", cwd=directory, env=environment)
    with h5py.File(directory / "run.h5", "r") as file:
        assert list(file["trajectory/step"]) == list(range(0, 100, 10))
    (directory / "run.h5").unlink()


def needs_shared_trajlog(run, program):
    return "libtrajlog.so" in run("readelf", "--dynamic", program)


def test_installed_files(make, run, root, tmp_path):
    stage = tmp_path / "stage"
    make(run, "install", f"DESTDIR={stage}", "prefix=/opt/trajlog", "libdir=/opt/trajlog/lib64")
    header = (root / "include" / "trajlog.h").read_text()
    version = ".".join(re.findall(r"#define TRAJLOG_VERSION_\w+ (\d+)", header))
    names = ["bin/trajlog", "include/trajlog.h", "lib64/libtrajlog.a", "lib64/libtrajlog.so",
             f"lib64/libtrajlog.so.{version.split('.')[0]}", f"lib64/libtrajlog.so.{version}",
             "lib64/pkgconfig/trajlog.pc", "share/man/man1/trajlog.1", "share/man/man3/trajlog.3"]
    assert files_below(stage) == sorted(f"opt/trajlog/{name}" for name in names)
    package = (stage / "opt/trajlog/lib64/pkgconfig/trajlog.pc").read_text()
    assert f"Version: {version}\n" in package
    assert str(stage) not in package and "@" not in package

    make(run, "uninstall", f"DESTDIR={stage}", "prefix=/opt/trajlog", "libdir=/opt/trajlog/lib64")
    assert files_below(stage) == []


def test_uninstall_leaves_what_is_not_its_own(make, run, prefix):
    (prefix / "lib" / "libother.a").write_text("")
    make(run, "uninstall", f"prefix={prefix}")
    assert files_below(prefix) == ["lib/libother.a"]


def test_commands_of_readme_build_a_program(run, project, environment, root):
    shared, static = commands(root, "cc ")
    run("sh", "-c", shared, cwd=project, env=environment)
    assert needs_shared_trajlog(run, project / "run")
    check_run(run, project, environment)

    run("sh", "-c", static, cwd=project, env=environment)
    assert not needs_shared_trajlog(run, project / "run")
    check_run(run, project, {**environment, "LD_LIBRARY_PATH": ""})


def test_cmake_snippet_builds_a_program(run, need, project, environment, root):
    lines = ["cmake_minimum_required(VERSION 3.13)", "project(run C)", "add_executable(run run.c)",
             *snippets(root / "README.md", "cmake")]
    (project / "CMakeLists.txt").write_text("\n".join(lines))
    run(need("cmake"), "-S", project, "-B", project / "out", env=environment)
    run("cmake", "--build", project / "out", env=environment)
    (project / "out" / "run").rename(project / "run")
    check_run(run, project, environment)


def test_program_in_cplusplus_builds(run, need, project, environment):
    """With extern "C" and no C idiom that C++ refuses."""
    source = project / "run.cpp"
    source.write_text("#include <trajlog.h>\nint main() { return trajlog_version()[0] == '0' ? 0 : 1; }\n")
    run("sh", "-c", f"{need('g++')} -std=c++17 run.cpp -o run $(pkg-config --cflags --libs trajlog)", cwd=project,
        env=environment)
    run(project / "run", env=environment)


def test_installed_tool_runs(run, prefix, project, environment, root):
    run("sh", "-c", commands(root, "cc ")[0], cwd=project, env=environment)
    run(project / "run", cwd=project, env=environment)
    assert "trajectory" in run(prefix / "bin" / "trajlog", "info", project / "run.h5")
