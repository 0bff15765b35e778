"""The test runner: C tests and Python tests as items of one pytest run.

test/unit/test_NAME.c is a C test: its program prints the names of its tests with --list, and each of them gets a
process and a time limit of its own. test/outside/test_*.py look at the programs and their files from outside.

TRAJLOG_BUILD          the build directory; by default, build
TRAJLOG_WRAPPER        a command before each C test, such as valgrind
TRAJLOG_TEST_SECONDS   the time limit of one C test
CI                     where it is set, a tool that is missing is a failure and not a skip
"""

import os
import pathlib
import shlex
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("TRAJLOG_BUILD", ROOT / "build")).resolve()
WRAPPER = shlex.split(os.environ.get("TRAJLOG_WRAPPER", ""))
SECONDS = float(os.environ.get("TRAJLOG_TEST_SECONDS", 120))


def pytest_collect_file(parent, file_path):
    if file_path.suffix == ".c" and file_path.name.startswith("test_") and file_path.parent.name == "unit":
        return UnitTestFile.from_parent(parent, path=file_path)
    return None


class UnitTestFile(pytest.File):
    def collect(self):
        program = BUILD / "test" / self.path.stem
        if not program.exists():
            raise self.CollectError(f"{program} is not built: run make tests")
        listing = subprocess.run([program, "--list"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, errors="replace", timeout=60)
        if listing.returncode != 0:
            raise self.CollectError(f"{program} --list failed:\n{listing.stdout}")
        for name in listing.stdout.split():
            yield UnitTest.from_parent(self, name=name, program=program)


class UnitTestFailure(Exception):
    pass


class UnitTest(pytest.Item):
    def __init__(self, program, **kwargs):
        super().__init__(**kwargs)
        self.program = program

    def runtest(self):
        # A session of its own, so that what the test has started ends with it.
        process = subprocess.Popen([*WRAPPER, self.program, self.name], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                   start_new_session=True)
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            output, _ = process.communicate()
            raise UnitTestFailure(f"{output}\nno end after {SECONDS:g} seconds") from None
        if process.returncode < 0:
            raise UnitTestFailure(f"{output}\nkilled by signal {-process.returncode}")
        if process.returncode != 0:
            raise UnitTestFailure(f"{output}\nexit status {process.returncode}")
        if "[  SKIPPED ]" in output:
            skip_unless_ci(f"{self.program.name} {self.name} skips itself")
        # A name that cmocka does not know runs no test, which is no success.
        if "1 test(s) run" not in output:
            raise UnitTestFailure(f"{output}\nran no test of this name")

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, UnitTestFailure):
            return f"{' '.join(map(str, [*WRAPPER, self.program, self.name]))}\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, None, f"{self.path.stem}: {self.name}"


def pytest_assertrepr_compare(op, left, right):
    """Files that differ: where, and not all their bytes, which pytest would show where CI is set."""
    if op != "==" or not (isinstance(left, bytes) and isinstance(right, bytes) and len(left) + len(right) > 1000):
        return None
    same = min(len(left), len(right))
    first = next((place for place in range(same) if left[place] != right[place]), same)
    return [f"{len(left)} bytes == {len(right)} bytes", f"the first difference is at {first}"]


def skip_unless_ci(reason):
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; nothing is skipped where CI is set")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def build():
    """The build directory."""
    return BUILD


@pytest.fixture(scope="session")
def sanitized(build):
    """Whether the programs run under a sanitizer: slowly, and watched as to what they do, not what they leave."""
    flags = build / "flags"
    return flags.exists() and "-fsanitize" in flags.read_text()


@pytest.fixture(scope="session")
def need():
    """need("cmake"): the tool's path; skips the test where it is missing, and fails it where CI is set.
    need(path): the same for a program that is only built where its libraries are."""

    def find(tool):
        path = shutil.which(str(tool))
        if path is None:
            skip_unless_ci(f"{tool} is not there")
        return path

    return find


@pytest.fixture
def run():
    """run(command, ...): runs it to its end, without a terminal; returns its output, fails if its status is not 0.
    The standard error stream is part of the output with stderr=subprocess.STDOUT."""

    def run_command(*command, status=0, timeout=120, **kwargs):
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        result = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True, timeout=timeout,
                                **kwargs)
        assert result.returncode == status, (
            f"{' '.join(map(str, command))}: exit status {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result.stdout

    return run_command
