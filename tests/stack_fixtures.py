"""Real Kafka and TimescaleDB for tests: what runs already, what a variable names, or our own.

Sessions that run at the same time share the servers one of them started; the last one out stops
them. A stack that a person started with `make stack` is used and left running.
"""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Callable, Iterator

import pytest

from deploy.local import stack

# The first start downloads 200 MB and builds a root; a test's own time-out would cut that off.
FIRST_START_S = 1800

Starter = Callable[[str], str]


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors, but these are kafka-python's own."""
    quiet = [
        # Told at its import.
        ("open_text is deprecated", DeprecationWarning),
        ("read_text is deprecated", DeprecationWarning),
        # It leaves a socket that could not connect to the garbage collector. Such a one has no
        # address of its own, unlike any that we would forget.
        (r"unclosed <socket.socket .*laddr=\('0\.0\.0\.0'", ResourceWarning),
    ]
    for message, category in quiet:
        # For the tests, and for what the collector finds between and after them.
        config.addinivalue_line("filterwarnings", f"ignore:{message}:{category.__name__}")
        warnings.filterwarnings("ignore", message, category)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests that may have to start the stack the time for it."""
    for item in items:
        wanted = {"kafka_url", "timescale_url"} & set(getattr(item, "fixturenames", ()))
        if wanted and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(FIRST_START_S))


@pytest.fixture(scope="session")
def stack_starter() -> Iterator[Starter]:
    """Starts a part of the local stack at need; skips with the reason where it cannot be."""
    directory = stack.default_directory()
    directory.mkdir(parents=True, exist_ok=True)

    def start(part: str) -> str:
        try:
            return stack.start({part}, directory, scratch=True)[part]
        except stack.StackUnavailable as reason:
            pytest.skip(f"no {part} on this machine: {reason}")

    with (directory / "test-sessions.lock").open("w") as sessions:
        fcntl.flock(sessions, fcntl.LOCK_SH)
        yield start
        try:
            fcntl.flock(sessions, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # Another session still uses the stack; the last one stops it.
        stack.stop(set(stack.PARTS), directory, only_scratch=True)


@pytest.fixture(scope="session")
def kafka_url(request: pytest.FixtureRequest) -> str:
    """The log's URL of a real Kafka: METERFLEET_TEST_KAFKA_URL, or the local stack's."""
    return os.environ.get("METERFLEET_TEST_KAFKA_URL") or _start(request, "kafka")


@pytest.fixture(scope="session")
def timescale_url(request: pytest.FixtureRequest) -> str:
    """A server with TimescaleDB, Apache edition: METERFLEET_TEST_TIMESCALE_URL, or the stack's."""
    return os.environ.get("METERFLEET_TEST_TIMESCALE_URL") or _start(request, "timescale")


@pytest.fixture(scope="session")
def timescale_community_url() -> str:
    """A server with TimescaleDB, community edition: only where somebody has one."""
    given = os.environ.get("METERFLEET_TEST_TIMESCALE_COMMUNITY_URL")
    if not given:
        pytest.skip("no TimescaleDB community: set METERFLEET_TEST_TIMESCALE_COMMUNITY_URL")
    return given


def _start(request: pytest.FixtureRequest, part: str) -> str:
    # Asked for only now, so that a session with both variables set leaves the stack alone.
    starter: Starter = request.getfixturevalue("stack_starter")
    return starter(part)
