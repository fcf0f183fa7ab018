"""The file under the embedded log: its tables, its connections and the locks beside it.

One table holds the records of every partition. Its row id is `slot << 40 | offset`, where a slot is
the number of one partition of one topic: the rows of a partition lie together, the next record is
found by a range scan on the row id, and no second index has to be written for each record.

Locks lie in files beside the database, taken with flock: the kernel frees them the moment their
process ends, however it ends. A forked child shares its parent's locks, so a process opens its log
after the fork.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from services.kit.log.port import RETRY_AFTER_S, LogUnavailableError

# 2**40 offsets for a partition (at 1,000 a second: 34 years), 2**23 slots for all topics.
OFFSET_BITS = 40

# How long SQLite itself waits for a lock. Writers queue on a flock before they come here, so this
# covers only foreign tools that open the file, such as a backup.
BUSY_TIMEOUT_S = 5.0

# Fixed when the file is made. Records of 12 to 120 KiB then lie in few pages: a fifth to a third
# more appends a second than with SQLite's default of 4 KiB.
PAGE_BYTES = 16_384

# The write-ahead log is copied into the main file whenever it holds this many pages (16 MiB): rare
# enough that a run of appends costs one fsync each, small enough to keep recovery short.
CHECKPOINT_PAGES = 1_000

# What the write-ahead log's file is cut back to after a burst.
JOURNAL_BYTES_MAX = 64 * 1024 * 1024

_SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (
    name TEXT PRIMARY KEY,
    partitions INTEGER NOT NULL,
    compacted INTEGER NOT NULL,
    retention_s INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slots (
    slot INTEGER PRIMARY KEY,
    topic TEXT NOT NULL REFERENCES topics (name),
    partition INTEGER NOT NULL,
    start_offset INTEGER NOT NULL DEFAULT 0,
    end_offset INTEGER NOT NULL DEFAULT 0,
    size_bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, partition)
);
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY,
    timestamp_ms INTEGER NOT NULL,
    key BLOB NOT NULL,
    headers BLOB,
    value BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS latest (
    slot INTEGER NOT NULL,
    key BLOB NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (slot, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tombstones (id INTEGER PRIMARY KEY);
"""


class LogFile:
    """Where one embedded log lives: hands out connections and locks."""

    def __init__(self, path: Path) -> None:
        """Make the folder and the tables when they are missing.

        Raises:
            LogUnavailableError: the file cannot be made or opened.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self.write_lock(), self.connection() as connection:
                connection.executescript(_SCHEMA)
        except OSError as error:
            raise unavailable(f"The log {path} cannot be opened: {error}.") from error

    def connect(self) -> sqlite3.Connection:
        """Open a connection with every option that decides durability set by name.

        Raises:
            LogUnavailableError: the file cannot be opened.
        """
        try:
            connection = sqlite3.connect(
                self.path,
                timeout=BUSY_TIMEOUT_S,
                # Transactions are begun and ended by name: see `transaction`.
                isolation_level=None,
                # One thread at a time uses a connection, not always the one that opened it.
                check_same_thread=False,
            )
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            # Readers never wait for the writer and the writer never waits for them.
            connection.execute("PRAGMA journal_mode = WAL")
            # Fsync the write-ahead log at each commit: NORMAL would lose the last commits with the
            # machine's power, and with them records that were acknowledged.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}")
        except sqlite3.Error as error:
            raise unavailable(f"The log {self.path} cannot be opened: {error}.") from error
        return connection

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for one short piece of work.

        Raises:
            LogUnavailableError: SQLite cannot do the work now.
        """
        with contextlib.closing(self.connect()) as connection:
            try:
                yield connection
            except sqlite3.Error as error:
                raise unavailable(f"The log {self.path} failed: {error}.") from error

    @contextlib.contextmanager
    def write_lock(self) -> Iterator[None]:
        """Queue for the only right to write, across threads and processes.

        SQLite's own busy handler sleeps in steps of up to 100 ms and favours nobody, so several
        busy processes would starve each other; flock wakes the next one at once.
        """
        lock_fd = open_lock(self.path, "write")
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock_fd)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, mode: str) -> Iterator[None]:
    """Run one transaction, `IMMEDIATE` to write or `DEFERRED` to read one state of the file."""
    connection.execute(f"BEGIN {mode}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After some failures (disk full, I/O) SQLite has already rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def open_lock(path: Path, name: str) -> int:
    """Open the file of a lock beside the database and give its descriptor.

    Raises:
        OSError: the file cannot be made.
    """
    return os.open(f"{path}.{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def unavailable(detail: str) -> LogUnavailableError:
    """Build the error that asks the caller to come again."""
    return LogUnavailableError(detail, retry_after_s=RETRY_AFTER_S)
