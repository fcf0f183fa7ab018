"""A log's URL: two forms, and a clear word about every other."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.kit.log import (
    LogRecordInvalidError,
    LogUnavailableError,
    LogUrlError,
    Topic,
    open_log,
)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "log.db",
        "sqlite://relative/log.db",
        "sqlite:",
        "kafka://",
        "kafka://host:9092/path",
        "http://host",
        "sqlite:///tmp/log.db?journal=off",
        "kafka://host:9092?replication=0",
        "kafka://host:9092?replication=",
        "kafka://host:9092?acks=1",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    """A misspelt setting never runs with a default in its place."""
    with pytest.raises(LogUrlError) as caught:
        open_log(url)
    assert caught.value.code == "log.url_invalid"


def test_folder_is_made(tmp_path: Path) -> None:
    """A fresh data directory needs no preparation."""
    log = open_log(f"sqlite://{tmp_path}/a/b/log.db")
    log.close()
    assert (tmp_path / "a" / "b" / "log.db").exists()


def test_file_that_is_no_log_is_told(tmp_path: Path) -> None:
    """A path that cannot be a database is an error that names it."""
    (tmp_path / "log.db").write_text("no database, but long enough to be taken for one" * 40)
    with pytest.raises(LogUnavailableError, match=r"log\.db"):
        open_log(f"sqlite://{tmp_path}/log.db")


def test_kafka_is_not_contacted_by_opening() -> None:
    """A service starts while the brokers are away."""
    open_log("kafka://127.0.0.1:1,127.0.0.1:2?replication=1&min_insync=1").close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Topic("", 1),
        lambda: Topic("..", 1),
        lambda: Topic("a/b", 1),
        lambda: Topic("a" * 201, 1),
        lambda: Topic("a", 0),
        lambda: Topic("a", 10_001),
        lambda: Topic("a", 1, compacted=True, retention_s=60),
    ],
)
def test_impossible_topics_are_refused(make) -> None:
    """What no backend could make is refused where it is written."""
    with pytest.raises(LogRecordInvalidError):
        make()
