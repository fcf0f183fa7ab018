"""Transactional outbox: events written with the rows they speak of, then put on the log in order.

The promise is at least once: a crash between append and delete repeats an event, so consumers
ignore a revision they already know.
"""

from __future__ import annotations

import threading

from sqlalchemy import (
    BigInteger,
    Column,
    LargeBinary,
    MetaData,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.orm import Session

from services.kit.db import Database
from services.kit.errors import MeterfleetError
from services.kit.log import Log, Record
from services.kit.telemetry import logger

RELAY_ROWS_MAX = 500
RELAY_WAIT_S = 0.1
_LOG = logger("outbox")


def outbox_table(metadata: MetaData) -> Table:
    """The outbox table of a service's schema."""
    return Table(
        "outbox",
        metadata,
        Column("id", BigInteger, primary_key=True, autoincrement=True),
        Column("topic", Text, nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("value", LargeBinary, nullable=False),
    )


class Outbox:
    """Writes events within a transaction and relays them from a thread."""

    def __init__(self, database: Database, table: Table, log: Log) -> None:
        self._database = database
        self._table = table
        self._log = log
        self._stop = threading.Event()
        self._nudge = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def add(self, session: Session, topic: str, records: list[Record]) -> None:
        """Write events with the caller's transaction: both happen or neither."""
        if records:
            rows = [{"topic": topic, "key": r.key, "value": r.value} for r in records]
            session.execute(insert(self._table), rows)
            self._nudge.set()

    def relay_once(self) -> int:
        """Put waiting events on the log; returns how many.

        One relay works at a time per schema, so that the order of the table is the log's.
        """
        table = self._table
        with self._database.transaction() as session:
            name = f"outbox {table.schema}"
            if not session.scalar(select(func.pg_try_advisory_xact_lock(func.hashtext(name)))):
                return 0
            query = select(table).order_by(table.c.id).limit(RELAY_ROWS_MAX)
            rows = session.execute(query).all()
            for topic in dict.fromkeys(row.topic for row in rows):
                self._log.append(
                    topic,
                    [Record(value=r.value, key=r.key) for r in rows if r.topic == topic],
                )
            if rows:
                # By id, not by range: a transaction with a lower id may commit after our select.
                session.execute(delete(table).where(table.c.id.in_([r.id for r in rows])))
            return len(rows)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                sent = self.relay_once()
            except MeterfleetError as error:
                _LOG.warning("relay waits", reason=error.detail)
                sent = 0
            except Exception:  # noqa: BLE001 - logged with its traceback
                # A thread that ends in silence would keep every later event back until a restart.
                _LOG.exception("relay failed")
                sent = 0
            if sent < RELAY_ROWS_MAX:
                # The nudge may come before the commit: the wait bounds what that can delay.
                self._nudge.wait(RELAY_WAIT_S)
                self._nudge.clear()

    def start(self) -> None:
        """Start the relay thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the relay thread; what waits stays in the table."""
        self._stop.set()
        self._nudge.set()
        if self._thread.is_alive():
            self._thread.join(10)
