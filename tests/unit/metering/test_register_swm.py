"""The chain on real registers: 92 water meters of Alicante over a year (DAIAD, CC BY-SA 4.0).

The data is not part of this repository. Set METERFLEET_TEST_SWM to its readings.parquet (columns
meter, ts in local wall time of Europe/Madrid, reading_l) to run this test.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq
import pytest

from services.metering.quality import BELOW_MARK, Outcome, outcome
from services.metering.register import ChainState, ChannelLimits, LimitColumns, advance

ZONE = ZoneInfo("Europe/Madrid")
DATA = Path(os.environ.get("METERFLEET_TEST_SWM", "/nowhere"))


def localise(walls):
    """Instants of local times in file order; a doubled hour's second once the first is past."""
    instants, before = [], -1
    for wall in walls:
        early, late = (
            int(wall.replace(tzinfo=ZONE, fold=fold).timestamp() * 1_000) for fold in (0, 1)
        )
        before = late if early < late and early <= before else early
        instants.append(before)
    return np.array(instants, dtype=np.int64)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_file(), reason="METERFLEET_TEST_SWM names no file")
def test_real_registers_are_judged_as_a_person_would():
    """Only what two registers on one account and flipped bits explain fails; nobody's use steps."""
    table = pq.read_table(DATA)
    meter, value = table["meter"].to_numpy(), table["reading_l"].to_numpy().astype(np.int64)
    ends = np.searchsorted(meter, np.arange(93))
    walls = table["ts"].to_numpy().astype("datetime64[us]").tolist()
    at_ms = np.concatenate([localise(walls[a:b]) for a, b in pairwise(ends)])
    order = np.lexsort((at_ms, meter))
    limits = LimitColumns.of([ChannelLimits(10**9, 3_750, 200)] * 92)
    batch = meter[order].astype(np.int32), at_ms[order], value[order]
    result = advance(ChainState.empty(92), limits, *batch)

    failed = np.flatnonzero(outcome(result.flags) >= Outcome.PENDING)
    found = [(int(batch[0][i]), datetime.fromtimestamp(batch[1][i] / 1_000, UTC)) for i in failed]
    assert [(who, f"{when:%Y-%m-%d %H:%M}") for who, when in found] == [
        (14, "2016-09-30 09:34"),
        (14, "2016-09-30 10:34"),
        (50, "2017-01-17 11:34"),
        (50, "2017-01-17 12:34"),
        (50, "2017-01-17 13:34"),
        (50, "2017-01-17 14:34"),
    ]
    assert result.events == []
    assert int(((result.flags & np.uint32(BELOW_MARK)) != 0).sum()) == 1_026
