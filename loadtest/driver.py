"""The open-loop driver: sends on a schedule made beforehand, whatever the server does.

A closed loop waits for answers and so hides exactly the moments in which the server is slow. Here a
batch is due when the schedule says so, and its latency counts from then. What cannot be sent, since
too many batches wait for an answer or the stream is down, is a missed slot: counted, never sent
later.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[attr-defined]
from numpy.typing import NDArray

from loadtest.clock import Clock
from loadtest.ledger import Ledger
from loadtest.traffic import Outgoing, Traffic
from services.stubs.meterfleet.ingest.v1 import ingest_pb2

METHOD = "/meterfleet.ingest.v1.IngestService/Ingest"
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
#: Time for the streams to be opened before the first batch is due.
_LEAD_S = 0.3
_REOPEN_S = 0.5
#: How long answers are awaited after the last batch.
DRAIN_S = 60.0
EXAMPLES_MAX = 20
_SLEEP_MIN_S = 0.0002

Floats = NDArray[np.float64]
#: Called with what is being done, how much of it is done, and of how much.
Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Drive:
    """What a run of the driver did.

    Attributes:
        latency_s: From the intended sending of each batch to its answer, shape (batches,); NaN
            where none was acknowledged.
        batches_missed: Slots of the schedule that were not sent.
        readings_missed: Readings in those.
        batches_refused: Batches answered with faults.
        readings_refused: Readings in those.
        batches_unanswered: Batches sent whose answer never came, or spoke of fewer readings.
        streams_broken: How often a stream ended before its time.
        behind_s_max: How far the driver itself was behind its schedule at worst.
        elapsed_s: From the first intended sending to the last answer.
        notes: The first refusals and broken streams in words.
    """

    latency_s: Floats
    batches_missed: int = 0
    readings_missed: int = 0
    batches_refused: int = 0
    readings_refused: int = 0
    batches_unanswered: int = 0
    streams_broken: int = 0
    behind_s_max: float = 0.0
    elapsed_s: float = 0.0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _InFlight:
    due_s: float
    batch: Outgoing


class _Stream:
    """One gRPC stream: a queue in front, batches that wait for their answer behind."""

    def __init__(
        self, channel: grpc.Channel, metadata: tuple[tuple[str, str], ...], limit: int, run: _Run
    ) -> None:
        self._call: Any = channel.stream_stream(
            METHOD,
            request_serializer=None,
            response_deserializer=ingest_pb2.IngestResponse.FromString,
        )
        self._metadata = metadata
        self._limit = limit
        self._run = run
        self._lock = threading.Lock()
        self._waiting: deque[_InFlight] = deque()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._open = True
        self._closing = False
        self._responses: Any = None
        self._thread = threading.Thread(target=self._work, name="loadtest-stream", daemon=True)

    def start(self) -> None:
        """Open the stream."""
        self._thread.start()

    def offer(self, batch: Outgoing, due_s: float) -> bool:
        """Send a batch, unless the stream is down or too much is in flight."""
        with self._lock:
            if not self._open or len(self._waiting) >= self._limit:
                return False
            self._run.ledger.add_sent(batch.meter, batch.slot)
            self._waiting.append(_InFlight(due_s, batch))
            self._queue.put(_request(batch.payload))
            return True

    def finish(self) -> None:
        """Say that nothing more comes."""
        with self._lock:
            self._closing = True
            self._queue.put(None)

    def join(self, timeout_s: float) -> int:
        """Wait for the last answers; returns how many batches remained without one."""
        self._thread.join(timeout_s)
        if self._thread.is_alive() and self._responses is not None:
            self._responses.cancel()
            self._thread.join()
        return len(self._waiting)

    def _requests(self, source: queue.SimpleQueue[bytes | None]) -> Iterator[bytes]:
        while (payload := source.get()) is not None:
            yield payload

    def _work(self) -> None:
        while True:
            try:
                self._responses = self._call(self._requests(self._queue), metadata=self._metadata)
                for response in self._responses:
                    self._answered(response)
                reason = "the server ended the stream"
            except grpc.RpcError as error:
                reason = str(error.details() if isinstance(error, grpc.Call) else error)
            if self._ended(reason):
                return
            self._run.clock.sleep(_REOPEN_S)
            with self._lock:
                self._open = True

    def _answered(self, response: Any) -> None:
        with self._lock:
            entry = self._waiting.popleft()
        self._run.answered(entry, response)

    def _ended(self, reason: str) -> bool:
        """After the end of a call: what was in flight stays in doubt. True when all is done."""
        with self._lock:
            unanswered = len(self._waiting)
            if self._closing:
                if unanswered:
                    self._run.note(f"stream ended with {unanswered} batches unanswered: {reason}")
                return True
            self._open = False
            self._waiting.clear()
            # The generator of the ended call still waits on the old queue.
            self._queue.put(None)
            self._queue = queue.SimpleQueue()
        self._run.broken(reason, unanswered)
        return False


class _Run:
    """What the streams of a run share: ledger, clock and what happened."""

    def __init__(self, traffic: Traffic, ledger: Ledger, clock: Clock) -> None:
        self.ledger = ledger
        self.clock = clock
        self.drive = Drive(np.full(traffic.scenario.batches, np.nan))
        self._lock = threading.Lock()

    def answered(self, entry: _InFlight, response: Any) -> None:
        """Enter an answer into ledger and latencies."""
        latency_s = self.clock.monotonic_s() - entry.due_s
        batch = entry.batch
        if response.readings == len(batch.meter):
            self.ledger.add_acknowledged(batch.meter, batch.slot, batch.value)
            self.drive.latency_s[batch.number] = latency_s
        elif response.faults:
            self.ledger.take_back(batch.meter, batch.slot)
            first = response.faults[0]
            with self._lock:
                self.drive.batches_refused += 1
                self.drive.readings_refused += len(batch.meter)
            self.note(f"batch {batch.number} refused: {first.code} {first.detail}")
        else:
            with self._lock:
                self.drive.batches_unanswered += 1
            text = f"{response.readings} of {len(batch.meter)} readings acknowledged"
            self.note(f"batch {batch.number}: {text}")

    def broken(self, reason: str, unanswered: int) -> None:
        """Note that a stream ended before its time."""
        with self._lock:
            self.drive.streams_broken += 1
            self.drive.batches_unanswered += unanswered
        self.note(f"stream broken: {reason}")

    def note(self, text: str) -> None:
        """Keep one of the first things worth telling."""
        with self._lock:
            if len(self.drive.notes) < EXAMPLES_MAX:
                self.drive.notes.append(text)


def _request(payload: bytes) -> bytes:
    """A serialised `IngestRequest` around a serialised batch, without parsing it again."""
    return b"".join((b"\x0a", _VarintBytes(len(payload)), payload))


def drive(
    target: str,
    key: str,
    traffic: Traffic,
    ledger: Ledger,
    clock: Clock,
    progress: Progress | None = None,
    drain_s: float = DRAIN_S,
) -> Drive:
    """Send a run's traffic on its schedule.

    Args:
        target: Host and port of the gRPC door.
        key: API key.
        traffic: What to send.
        ledger: Where sendings and acknowledgements are entered.
        clock: Keeps the schedule.
        progress: Told how many batches' time has come.
        drain_s: How long answers are awaited after the last batch.
    """
    scenario = traffic.scenario
    run = _Run(traffic, ledger, clock)
    # A channel of its own for each stream: on one connection they would share a flow window.
    options = [
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    channels = [grpc.insecure_channel(target, options) for _ in range(scenario.streams)]
    metadata = (("authorization", f"Bearer {key}"),)
    streams = [_Stream(one, metadata, scenario.in_flight_max, run) for one in channels]
    for stream in streams:
        stream.start()
    start_s = clock.monotonic_s() + _LEAD_S
    _dispatch(traffic, streams, run, start_s, progress)
    for stream in streams:
        stream.finish()
    deadline_s = clock.monotonic_s() + drain_s
    for stream in streams:
        left_s = max(0.0, deadline_s - clock.monotonic_s())
        run.drive.batches_unanswered += stream.join(left_s)
    run.drive.elapsed_s = clock.monotonic_s() - start_s
    for channel in channels:
        channel.close()
    return run.drive


def _dispatch(
    traffic: Traffic,
    streams: list[_Stream],
    run: _Run,
    start_s: float,
    progress: Progress | None,
) -> None:
    clock, done = run.clock, run.drive
    for number in range(traffic.scenario.batches):
        batch = traffic.batch(number)
        due_s = start_s + traffic.due_s(number)
        wait_s = due_s - clock.monotonic_s()
        if wait_s > _SLEEP_MIN_S:
            clock.sleep(wait_s)
        done.behind_s_max = max(done.behind_s_max, clock.monotonic_s() - due_s)
        # With large shares of late readings the first intervals may have nothing to send.
        if len(batch.meter) and not streams[traffic.stream(number)].offer(batch, due_s):
            done.batches_missed += 1
            done.readings_missed += len(batch.meter)
        if progress is not None:
            progress("sending", number + 1, traffic.scenario.batches)
