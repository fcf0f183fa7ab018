"""How far the detectors have come."""

from __future__ import annotations

from services.alerts.events import VALIDATED
from services.alerts.repository.progress import positions
from services.kit.db import Database
from services.kit.log import Log


def records_behind(database: Database, log: Log) -> int:
    """Records on readings.validated that the detectors have not committed.

    Raises:
        UnavailableError: The database or the log is away.
    """
    with database.transaction() as session:
        committed = positions(session)
    # Asked after the positions: a record that came in between counts, none is overlooked.
    ends = log.end_offsets(VALIDATED)
    return sum(max(0, end - committed.get(partition, 0)) for partition, end in ends.items())
