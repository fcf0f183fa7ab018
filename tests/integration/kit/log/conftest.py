"""One backend of the log at a time, opened for a test and closed after it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.kit.clock import SystemClock
from services.kit.log import Consumer, Log, Topic, open_log

from .consuming import Service

MakeTopic = Callable[..., str]


@dataclass
class Backend:
    """What a test needs beyond the port: the way an operator or time itself would act."""

    name: str
    url: str

    def drop_before(self, topic: str, offset: int) -> None:
        """Let retention remove the records of partition 0 before `offset`."""
        if self.name == "kafka":
            # Its import warns, which pytest allows only after conftest files are loaded.
            from kafka import KafkaAdminClient, TopicPartition  # noqa: PLC0415

            servers = self.url.removeprefix("kafka://").partition("?")[0].split(",")
            admin = KafkaAdminClient(bootstrap_servers=servers)
            admin.delete_records({TopicPartition(topic, 0): offset})
            admin.close()
            return
        log: Any = open_log(self.url, now_ms=lambda: SystemClock().now_ms() + 3600 * 1000)
        assert log.trim() == offset
        log.close()


@pytest.fixture(params=["sqlite", "kafka"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """Each test runs once with each backend; Kafka skips where it cannot be had."""
    if request.param == "sqlite":
        return Backend("sqlite", f"sqlite://{tmp_path}/log.db")
    return Backend("kafka", request.getfixturevalue("kafka_url"))


@pytest.fixture
def log_url(backend: Backend) -> str:
    """The URL of the backend's log."""
    return backend.url


@pytest.fixture
def log(log_url: str) -> Iterator[Log]:
    """An open log."""
    opened = open_log(log_url)
    yield opened
    opened.close()


@pytest.fixture
def make_topic(log: Log) -> MakeTopic:
    """Makes a topic that no other test has."""

    def make(
        partitions: int = 1, *, compacted: bool = False, retention_s: int | None = None
    ) -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        log.ensure_topics([Topic(name, partitions, compacted, retention_s)])
        return name

    return make


@pytest.fixture
def service() -> Service:
    """A service that has consumed nothing yet."""
    return Service()


@pytest.fixture
def closing() -> Iterator[Callable[[Consumer], Consumer]]:
    """Closes consumers at the end of a test, however it ends."""
    opened: list[Consumer] = []

    def keep(consumer: Consumer) -> Consumer:
        opened.append(consumer)
        return consumer

    yield keep
    for consumer in opened:
        consumer.close()
