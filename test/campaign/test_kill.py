"""Random kills, a fraction of the campaign in each test, so that they can share processors.

TRAJLOG_CAMPAIGN_KILLS   how many in all; by default 200
TRAJLOG_CAMPAIGN_SEED    where the random numbers begin; by default another place each time, which a failure tells
"""

import os
import random

import pytest

import campaign

KILLS = int(os.environ.get("TRAJLOG_CAMPAIGN_KILLS", 200))
PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
def test_random_kills(build, part):
    seed = int(os.environ.get("TRAJLOG_CAMPAIGN_SEED", random.SystemRandom().getrandbits(31)))
    count = KILLS // PARTS + (part < KILLS % PARTS)
    totals = campaign.run_campaign(build, seed, count, 1, first=1000 * part)
    assert not totals.violations, "\n".join([f"seed {seed}: {totals}", *totals.violations])
    assert totals.kills >= count
    # Counted by what the writers have said, not by where the kills were aimed.
    assert not totals.lacks_kills_amid, str(totals)
    print(f"seed {seed}, from case {1000 * part}: {totals}")
