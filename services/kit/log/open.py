"""Opens a log by its URL, so that services never know which backend they run on."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from services.kit.clock import SystemClock
from services.kit.log.port import Log, LogUrlError
from services.kit.log.sqlite import SqliteLog


def open_log(url: str, *, now_ms: Callable[[], int] | None = None) -> Log:
    """Open the log at `url`; it is safe to share between threads, and `close` ends it.

    Two forms are understood:

    - `sqlite:///abs/path/log.db`, with `?retention_bytes=n` to bound each partition of the topics
      that have a retention (no bound is the default);
    - `kafka://host:port[,host:port]`, with `?replication=3&min_insync=2` (the defaults) for the
      topics it makes. Brokers are first contacted when they are needed.

    Args:
        url: as above.
        now_ms: the clock that stamps records in SQLite, milliseconds since 1970 UTC; the machine's
            by default. Kafka stamps with its own.

    Raises:
        LogUrlError: the URL has another form or an unknown setting.
        LogUnavailableError: the SQLite file cannot be opened.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and not parts.netloc and parts.path.startswith("/"):
        settings = _settings(parts, {"retention_bytes"})
        path = Path(unquote(parts.path))
        return SqliteLog(path, now_ms or SystemClock().now_ms, settings.get("retention_bytes"))
    if parts.scheme == "kafka" and parts.netloc and parts.path in {"", "/"}:
        # Loaded only when asked for: the embedded way runs without the Kafka client's 10 MB.
        from services.kit.log.kafka import KafkaLog  # noqa: PLC0415

        settings = _settings(parts, {"replication", "min_insync"})
        return KafkaLog(
            parts.netloc.split(","),
            replication=settings.get("replication", 3),
            min_insync=settings.get("min_insync", 2),
        )
    raise LogUrlError(
        "A log's URL is sqlite:///absolute/path/log.db or kafka://host:port[,host:port]."
    )


def _settings(parts: SplitResult, known: set[str]) -> dict[str, int]:
    """Read the URL's query, all of whose settings are positive whole numbers."""
    settings = {}
    for name, values in parse_qs(parts.query, keep_blank_values=True).items():
        if name not in known:
            raise LogUrlError(f"{name!r} is no setting of a {parts.scheme} log: {sorted(known)}.")
        if not values[-1].isdecimal() or int(values[-1]) < 1:
            raise LogUrlError(f"{name} must be a positive whole number.")
        settings[name] = int(values[-1])
    return settings
