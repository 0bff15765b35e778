"""Logs that fill a small disk, or reach a limit on the size of files: the caller hears of it, what was committed is there,
and when there is room again, a resume goes on."""

import os
import random

import pytest

import disk_full


OPTIONS = {1: ["--compression"], 2: ["--checkpoints"], 4: ["--compression", "--checkpoints"], 8: [],
           16: ["--compression", "--checkpoints"]}


@pytest.mark.parametrize("megabytes", OPTIONS)
@pytest.mark.parametrize("kind", ["tmpfs", "limit"])
def test_full_disk(build, tmp_path, kind, megabytes):
    seed = int(os.environ.get("TRAJLOG_CAMPAIGN_SEED", random.SystemRandom().getrandbits(31)))
    if kind == "tmpfs" and not disk_full.can_mount():
        pytest.skip("this machine lets nobody mount a tmpfs: unshare --map-root-user --mount fails")
    result = disk_full.start(build, kind, megabytes, seed, tmp_path, *OPTIONS[megabytes])
    assert result.returncode == 0, f"{' '.join(map(str, result.args))}\n{result.stdout}{result.stderr}"
