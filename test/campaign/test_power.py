"""Power losses of random logs and their resumes, a fraction in each test; see power.py. Those of the commit driver alone
are in test/outside/test_driver_kill.py.

TRAJLOG_POWER_STATES    how many in all; by default 400
TRAJLOG_CAMPAIGN_SEED   where the random numbers begin; by default another place each time, which a failure tells
"""

import os
import random

import pytest

import power

STATES = int(os.environ.get("TRAJLOG_POWER_STATES", 400))
PARTS = 2


@pytest.mark.parametrize("part", range(PARTS))
def test_power_loss(build, part):
    seed = int(os.environ.get("TRAJLOG_CAMPAIGN_SEED", random.SystemRandom().getrandbits(31)))
    states, _, _, violations = power.run_recordings(build, seed, STATES // PARTS, 1, first=1000 * part)
    assert not violations, "\n".join(violations)
    assert states >= STATES // PARTS
