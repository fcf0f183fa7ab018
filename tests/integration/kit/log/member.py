"""A consumer in a process of its own, for tests that kill it.

Run as `python -m tests.integration.kit.log.member URL GROUP TOPIC`. Prints `ready` once it owns
partitions, then one line for each record, until it is killed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from services.kit.log import TopicPartition, open_log


def tell(line: str) -> None:
    """Say something to the test at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(url: str, group: str, topic: str) -> None:
    """Consume from the beginning for ever."""

    def on_assigned(_: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        tell("ready")
        return {}

    consumer = open_log(url).consumer(group, [topic], on_assigned, lambda _: None)
    while True:
        for record in consumer.poll(0.5):
            tell(record.value.decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
