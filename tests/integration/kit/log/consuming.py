"""A consuming service for tests, and records that are numbers."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from services.kit.log import Consumed, Consumer, Log, Record, TopicPartition


class Service:
    """A consuming service as the port expects it: positions in its own store, saved when told."""

    def __init__(self) -> None:
        self.stored: dict[TopicPartition, int] = {}
        self.owners: dict[TopicPartition, str] = {}
        self.events: list[tuple[str, str, list[TopicPartition]]] = []
        self.threads: set[int] = set()

    def join(self, log: Log, group: str, topics: Sequence[str], name: str = "a") -> Consumer:
        """Join as member `name`; owning what another member owns fails the test."""

        def on_assigned(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
            self.threads.add(threading.get_ident())
            self.events.append(("assigned", name, list(partitions)))
            for owned in partitions:
                assert owned not in self.owners, f"{owned} belongs to {self.owners[owned]}"
                self.owners[owned] = name
            return {owned: self.stored[owned] for owned in partitions if owned in self.stored}

        def on_revoked(partitions: Sequence[TopicPartition]) -> None:
            self.threads.add(threading.get_ident())
            self.events.append(("revoked", name, list(partitions)))
            for owned in partitions:
                assert self.owners.pop(owned) == name

        return log.consumer(group, topics, on_assigned, on_revoked)

    def save(self, records: Sequence[Consumed]) -> None:
        """Store the positions after these records."""
        for record in records:
            self.stored[record.topic, record.partition] = record.offset + 1


def numbered(count: int, key: bytes = b"") -> list[Record]:
    """Records whose values are their numbers."""
    return [Record(b"%d" % number, key) for number in range(count)]


def read(consumer: Consumer, count: int, within_s: float = 20.0) -> list[Consumed]:
    """Poll until `count` records have come."""
    records: list[Consumed] = []
    deadline_s = time.monotonic() + within_s
    while len(records) < count and time.monotonic() < deadline_s:
        records += consumer.poll(0.5)
    assert len(records) == count
    return records


def values(records: Sequence[Consumed]) -> list[int]:
    """The numbers in records made by `numbered`."""
    return [int(record.value) for record in records]
