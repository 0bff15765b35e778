"""trajlog_refresh beside a writer in another process: rows come, in order and right, and none goes away."""

import re
import subprocess

import pytest


def follow(build, path, step):
    return subprocess.Popen([build / "test/programs/follow_log", path, str(step)], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("flags", [["committing"], ["synchronous"]])
def test_a_reader_follows_from_before_the_file_is_there(build, tmp_path, flags):
    path, steps = tmp_path / "log.h5", 3000
    follower = follow(build, path, steps - 1)
    writer = subprocess.run([build / "test/programs/write_log", path, "particles", str(steps), *flags],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert writer.returncode == 0, writer.stderr
    output, errors = follower.communicate(timeout=120)
    assert follower.returncode == 0, errors
    # How often rows come depends on both programs' pace; that they all come does not.
    assert int(re.match(r"\d+ looks, (\d+) times", output)[1]) >= 1
