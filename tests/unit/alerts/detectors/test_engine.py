"""The whole machine: how a stream is cut, shuffled or interrupted makes no difference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.alerts.detectors import Detectors, Finding, Readings, pair
from services.alerts.detectors.state import SnapshotError
from services.alerts.domain import Described, Kind
from services.alerts.meters import MeterFacts
from services.metering.products import ChannelKind
from services.metering.quality import Rule
from tests.unit.alerts.streams import HOUR_MS, START_MS, Stream, channel, detectors, meter

QUARTER_MS = HOUR_MS // 4
FLEET = [
    meter(1),
    meter(2, commodity="gas"),
    meter(3, channels=[channel(1, interval_s=900), channel(2, kind=ChannelKind.INTERVAL)]),
    meter(4, commodity="electricity", channels=[channel(unit="kWh")]),
]
KNOWN: dict[int, MeterFacts] = {one.meter_id: one for one in FLEET}
#: What a register may do from one reading to the next: litres, and how many quarters later.
_STEPS = st.tuples(
    st.sampled_from([0, 0, 1, 3, 30, 450, 5_000]),
    st.sampled_from([1, 4, 4, 4, 4, 9, 40, 150, 500]),
    st.sampled_from([0] * 12 + [1, 2, 3, 4]),
)
#: A stretch of the same step, so that rules about two days are reached.
_STRETCHES = st.lists(st.tuples(_STEPS, st.integers(1, 60)), min_size=1, max_size=5)
_FLAGS = {
    0: 0,
    1: int(Rule.BELOW_MARK),
    2: int(Rule.V17_NEGATIVE),
    3: int(Rule.PENDING | Rule.V20_PHYSICAL_LIMIT),
    4: int(Rule.V10_SPIKE),
}


@st.composite
def histories(draw: st.DrawFn) -> Readings:
    """Readings of the fleet in order of time, some off the curve, some late."""
    rows: list[tuple[int, int, int, int, int, int]] = []
    for one in FLEET:
        for number in [c.number for c in one.channels]:
            at_ms = START_MS + draw(st.integers(0, 3)) * 7 * 60_000
            register = 0
            for (use, quarters, odd), times in draw(_STRETCHES):
                for _ in range(times):
                    at_ms += quarters * QUARTER_MS
                    register += 0 if odd in {1, 2, 3} else use
                    shown = {1: -9, 2: -20, 3: 90_000}.get(odd, 0) + register
                    rows.append((one.meter_id, number, at_ms, shown, register, _FLAGS[odd]))
    rows.sort(key=lambda row: row[2])
    # A few readings are delivered again or late: they change nothing, wherever batches are cut.
    for place in draw(st.lists(st.integers(0, len(rows) - 1), max_size=5)):
        rows.insert(min(place + 40, len(rows)), rows[place])
    return Stream(rows).readings()


def run(readings: Readings, cuts: list[int], received: list[int], quiet_ms: int) -> list[Finding]:
    """All findings of a stream cut before these positions; each part came in at its instant."""
    watched = detectors(*FLEET, quiet_ms=quiet_ms)
    findings: list[Finding] = []
    for start, end in zip([0, *cuts], [*cuts, len(readings)], strict=True):
        part = readings.take(slice(start, end))
        findings += watched.observe(part, received[start] if start < len(received) else 0)
    return findings


def described(findings: list[Finding]) -> set[tuple[object, ...]]:
    """Alerts as a set that can be compared, evidence and ends included."""
    found, ends = pair(findings, KNOWN)
    assert not ends

    def key(alert: Described) -> tuple[object, ...]:
        return (
            alert.kind, alert.meter_id, alert.channel, alert.severity, alert.started_at_ms,
            alert.detected_at_ms, alert.ended_at_ms, alert.message, repr(alert.evidence),
            alert.ending,
        )  # fmt: skip

    return {key(alert) for alert in found}


@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("quiet_ms", [-1, 0, HOUR_MS])
def test_any_cut_into_batches_gives_the_same_alerts(quiet_ms: int, data: st.DataObject) -> None:
    """Random cuts of one stream give identical alerts, evidence and sentences."""
    readings = data.draw(histories())
    if quiet_ms == -1:  # Stands for a stream in order of time.
        readings = readings.take(np.argsort(readings.at_ms, kind="stable"))
    size = len(readings)
    cuts = sorted(data.draw(st.sets(st.integers(1, size - 1), max_size=30))) if size > 1 else []
    groups = sorted(data.draw(st.sets(st.integers(1, size - 1), max_size=4))) if size > 1 else []
    # Doors take in records, which the log may hand over in parts; the instant is the record's.
    bounds = [0, *groups]
    instants = [int(readings.at_ms[start]) for start in bounds]
    received = [instants[sum(g <= i for g in groups)] for i in range(size)]
    whole = run(readings, groups, received, quiet_ms)
    parts = run(readings, sorted({*groups, *cuts}), received, quiet_ms)
    assert described(parts) == described(whole)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_snapshot_carries_everything(data: st.DataObject) -> None:
    """Stopping anywhere, storing and loading the state changes no alert."""
    readings = data.draw(histories())
    place = data.draw(st.integers(0, len(readings)))
    whole = described(detectors(*FLEET).observe(readings, START_MS))
    first = detectors(*FLEET)
    findings = first.observe(readings.take(slice(place)), START_MS)
    second = Detectors.restore(first.snapshot(), lambda ids: {i: KNOWN[i] for i in ids}, HOUR_MS)
    findings += second.observe(readings.take(slice(place, None)), START_MS)
    assert described(findings) == whole


def test_shuffled_meters_give_the_same_alerts() -> None:
    """Only the order within a meter matters, not how meters lie in a batch."""
    rng = np.random.default_rng(3)
    stream = Stream()
    for one in (1, 2):
        stream.uses([5] * 60 + [0] + [700] * 3, meter_id=one)
    readings = stream.readings()
    order = np.arange(len(readings))
    rng.shuffle(order)
    order = order[np.argsort(readings.at_ms[order], kind="stable")]
    mixed = detectors(*FLEET).observe(readings.take(order), START_MS)
    assert described(mixed) == described(detectors(*FLEET).observe(readings, START_MS))


def test_rejected_readings_are_not_there() -> None:
    """A reading from the year 2100 moves no clock and no register."""
    watched = detectors(*FLEET)
    watched.observe(Stream().uses([1], meter_id=1).readings(), START_MS)
    wrong = Stream().add(4_102_444_800_000, 9, meter_id=2, flags=int(Rule.V24_INSTANT))
    assert not watched.observe(wrong.readings(), START_MS + 10 * HOUR_MS)
    assert watched.watermark_ms == START_MS + HOUR_MS


def test_late_readings_are_counted_and_change_nothing() -> None:
    """A reading older than the newest of its channel neither fires nor clears."""
    stream = Stream().uses([3] * 47, meter_id=1)
    watched = detectors(*FLEET)
    watched.observe(stream.readings(), START_MS)
    watched.observe(Stream().add(START_MS + 5, 0, meter_id=1).readings(), START_MS)
    assert watched.late_n == 1
    after = stream.uses([3], meter_id=1).readings().take(slice(-1, None))
    assert [finding.kind for finding in watched.observe(after, START_MS)] == [Kind.LEAK]


def test_new_thresholds_keep_what_is_raised() -> None:
    """A meter described anew while it leaks: the alert stays one, and ends once."""
    known = dict(KNOWN)
    watched = Detectors(lambda ids: {i: known[i] for i in ids}, HOUR_MS)
    stream = Stream().uses([30] * 50, meter_id=1)
    findings = watched.observe(stream.readings(), START_MS)
    known[1] = meter(1, commodity="gas")
    watched.refresh([1])
    rest = stream.uses([30] * 5 + [0, 30], meter_id=1).readings().take(slice(51, None))
    findings += watched.observe(rest, START_MS)
    (alert,) = pair(findings, known)[0]
    assert alert.ended_at_ms == START_MS + 56 * HOUR_MS


def test_a_failed_question_leaves_the_state_as_it_was() -> None:
    """If the registry's slice cannot be asked, the same batch can be given again."""
    answers = [RuntimeError("away"), {1: KNOWN[1]}]

    def catalogue(ids: object) -> dict[int, MeterFacts]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watched = Detectors(catalogue, HOUR_MS)
    readings = Stream().uses([3] * 48, meter_id=1).readings()
    with pytest.raises(RuntimeError, match="away"):
        watched.observe(readings, START_MS)
    assert [f.kind for f in watched.observe(readings, START_MS)] == [Kind.LEAK]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04junk", b"\x93NUMPY"])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    """Bytes that are not a snapshot raise the one declared error."""
    with pytest.raises(SnapshotError):
        Detectors.restore(data, lambda _: {}, HOUR_MS)


def test_an_empty_batch_is_nothing() -> None:
    """No readings, no findings, no state."""
    watched = detectors(*FLEET)
    assert watched.observe(Stream().readings(), START_MS) == []
    assert len(watched) == 0
