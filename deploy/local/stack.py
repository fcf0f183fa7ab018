"""Real Kafka and TimescaleDB on a bare Debian machine, without containers.

    .venv/bin/python -m deploy.local.stack up      # start both, print their addresses
    .venv/bin/python -m deploy.local.stack status  # what runs; exit code 1 when something does not
    .venv/bin/python -m deploy.local.stack down    # stop both; their data stays for the next `up`

Everything lies in one directory (`--dir`, else METERFLEET_STACK_DIR, else `.cache/stack`), servers
listen on 127.0.0.1 only. The first `up` downloads about 200 MB and takes one to two minutes, later
ones take seconds. Exit code 3 says that this machine cannot have the stack, and why.
"""

import argparse
import fcntl
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.kafka_broker import Broker
from deploy.local.machine import StackUnavailable
from deploy.local.timescale import Timescale

__all__ = [
    "PARTS",
    "Ports",
    "StackUnavailable",
    "addresses",
    "default_directory",
    "start",
    "stop",
]

PARTS = frozenset({"kafka", "timescale"})


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports on 127.0.0.1; None takes the default one, or any free one when that is taken."""

    kafka: int | None = None
    controller: int | None = None
    timescale: int | None = None


def default_directory() -> Path:
    """Say where the stack lives when nobody says otherwise."""
    fallback = Path(__file__).resolve().parents[2] / ".cache" / "stack"
    return Path(os.environ.get("METERFLEET_STACK_DIR", fallback))


def start(
    parts: set[str], directory: Path, ports: Ports | None = None, *, scratch: bool = False
) -> dict[str, str]:
    """Start what of `parts` does not run yet and give the addresses of all of them.

    Args:
        parts: of "kafka" and "timescale".
        directory: where everything is kept; several callers at once take turns.
        ports: where to listen.
        scratch: use data sets of their own, emptied at this start: for tests.

    Raises:
        StackUnavailable: this machine cannot have a part; the text says what is missing.
    """
    directory = directory.resolve()
    ports = ports or Ports()
    with _turn(directory):
        broker = Broker(directory, scratch=scratch)
        if "kafka" in parts and broker.address() is None:
            broker.start(ports.kafka, ports.controller)
        timescale = Timescale(directory, scratch=scratch)
        if "timescale" in parts and timescale.address() is None:
            timescale.start(ports.timescale)
    return addresses(parts, directory)


def stop(parts: set[str], directory: Path, *, only_scratch: bool = False) -> None:
    """Stop `parts`; what does not run is left alone.

    Args:
        parts: of "kafka" and "timescale".
        directory: where everything is kept.
        only_scratch: leave alone what was not started for tests.
    """
    directory = directory.resolve()
    if not directory.exists():
        return
    with _turn(directory):
        servers: dict[str, Broker | Timescale] = {
            "kafka": Broker(directory, scratch=False),
            "timescale": Timescale(directory, scratch=False),
        }
        for part in sorted(parts):
            if servers[part].is_scratch() or not only_scratch:
                servers[part].stop()


def addresses(parts: set[str], directory: Path) -> dict[str, str]:
    """Give the addresses of those of `parts` that run."""
    directory = directory.resolve()
    found = {
        "kafka": Broker(directory, scratch=False).address(),
        "timescale": Timescale(directory, scratch=False).address(),
    }
    return {part: url for part, url in found.items() if part in parts and url is not None}


@contextmanager
def _turn(directory: Path) -> Iterator[None]:
    """Let one process at a time start or stop; the kernel frees the lock with its process."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.stack", description="Real Kafka and TimescaleDB, locally."
    )
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument("--dir", type=Path, default=default_directory(), help="(%(default)s)")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part instead of both")
    parser.add_argument("--json", action="store_true", help="addresses as one JSON object")
    parser.add_argument("--kafka-port", type=int, help="19092, or a free one when taken")
    parser.add_argument("--controller-port", type=int, help="19093, or a free one when taken")
    parser.add_argument("--timescale-port", type=int, help="15432, or a free one when taken")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0 done, 1 not all runs, 3 not on this machine."""
    options = _arguments(arguments)
    parts = {options.only} if options.only else set(PARTS)
    ports = Ports(options.kafka_port, options.controller_port, options.timescale_port)
    try:
        if options.command == "up":
            start(parts, options.dir, ports)
        elif options.command == "down":
            stop(parts, options.dir)
    except StackUnavailable as reason:
        print(f"The stack is not to be had here: {reason}", file=sys.stderr)
        return 3
    found = addresses(parts, options.dir)
    if options.json:
        print(json.dumps(found))
    else:
        for part in sorted(parts):
            print(f"{part:<10} {found.get(part, 'not running')}")
    return 0 if options.command != "status" or parts == found.keys() else 1


if __name__ == "__main__":
    sys.exit(main())
