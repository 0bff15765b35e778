"""Readers beside a running writer, for some seconds each; live.py counts for longer."""

import pytest

import live


@pytest.mark.parametrize("kind", ["plain", "swmr", "ours"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_reader_beside_a_writer(build, seed, kind):
    counts = live.run_live(build, seed, 2, [kind])[kind]
    print(kind, dict(counts))
    # Wrong data is a violation already, and errors of the moment, gone at the next look, are none.
    assert counts["rows"] > 0 and counts["looks"] - counts["errors"] >= live.LEAST
