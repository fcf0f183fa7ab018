"""What the keeper makes of events before it asks the database."""

from __future__ import annotations

from services.ingest.keeper import _meters
from services.kit.log import Consumed
from tests.ingest_harness import meter_event


def test_the_newest_revision_comes_last() -> None:
    """Delivered again, an older event may follow a newer one in the same poll: the newer stands."""
    events = [meter_event(1, "A", revision=n) for n in (1, 3, 2)]
    records = [
        Consumed("meters.changed", 0, n, b"", event.SerializeToString(), (), 0)
        for n, event in enumerate(events)
    ]
    assert [meter.revision for meter in _meters(records)] == [1, 2, 3]
