"""What the charts draw: columns of a curve made ready for the browser, and their key figures.

Drawn values are floats because a canvas has pixels; every figure that stands as text is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from statistics import median_low
from typing import Any

from services.console import format as fmt
from services.console.words import event_text, rule_text
from services.metering.products import ChannelKind
from services.metering.quality import UNUSABLE_MASK, Rule, rule_names

#: Points asked of the API; a chart has about as many pixels.
POINTS_ASKED = 1000
#: Points drawn: the API adds failed readings to the points asked for.
POINTS_MAX = 2 * POINTS_ASKED
#: Marks drawn and listed; a broken meter may fail every reading.
MARKS_MAX = 200
#: A point that lies further back than this many intervals ends a gap.
GAP_INTERVALS = 1.5


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing to see on a chart.

    Attributes:
        at_ms: When.
        kind: `failed`, or the kind of a register event.
        text: What it means.
    """

    at_ms: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve ready to be drawn and told; quantities are in its unit.

    Attributes:
        drawn: What the browser gets: columns, unit, marks.
        kind: Register, interval or instant.
        points: How many points there are.
        total: Use in the range; None if there is none, or the curve does not tell.
        peak: Largest use of one interval that was measured as such.
        peak_at_ms: End of that interval.
        interval_s: Usual distance of two points, seconds.
        last_at_ms: Last point.
        estimated: How many intervals' use is known only as a part of a sum.
        marks: Failed readings and steps, oldest first, at most `MARKS_MAX`.
        marks_left_out: How many more there are.
    """

    drawn: dict[str, Any]
    kind: ChannelKind
    points: int
    total: Decimal | None
    peak: Decimal | None
    peak_at_ms: int | None
    interval_s: int
    last_at_ms: int | None
    estimated: int
    marks: tuple[Mark, ...]
    marks_left_out: int


@dataclass(slots=True)
class _Columns:
    """Columns of an answer, all of one length; `from_ms` is where each point's use begins."""

    at_ms: list[int]
    register: list[Decimal | None]
    use: list[Decimal | None]
    flags: list[int]
    kind: ChannelKind
    interval_s: int
    from_ms: list[int] = field(default_factory=list)
    estimated: set[int] = field(default_factory=set)
    nominal_ms: int = 0

    @classmethod
    def read(cls, answer: Mapping[str, Any], interval_s: int) -> _Columns:
        """Columns of an answer whose integers are in least digits."""
        at_ms = [int(at) for at in answer.get("at_ms") or []][-POINTS_MAX:]
        scaler = int(answer.get("scaler") or 0)
        kind = answer.get("kind")
        columns = cls(
            at_ms=at_ms,
            register=_column(answer, "register", len(at_ms), scaler),
            use=_column(answer, "use", len(at_ms), scaler),
            flags=[int(flag or 0) for flag in _raw(answer, "flags", len(at_ms))],
            kind=ChannelKind(kind) if kind in tuple(ChannelKind) else ChannelKind.REGISTER,
            interval_s=interval_s,
        )
        columns._place()
        return columns

    def good(self, i: int) -> bool:
        """Whether point `i` may be used."""
        return not self.flags[i] & UNUSABLE_MASK

    def _place(self) -> None:
        """Say from when to when each use ran, and which of them cover a gap."""
        good_at = [at for i, at in enumerate(self.at_ms) if self.good(i)]
        between = [after - before for before, after in pairwise(good_at)]
        # Thinned curves have longer intervals than the channel.
        self.nominal_ms = max(1, median_low(between)) if between else self.interval_s * 1000
        before_ms: int | None = None
        for i, at in enumerate(self.at_ms):
            chained = self.kind is ChannelKind.REGISTER and before_ms is not None
            from_ms = before_ms if chained and before_ms else at - self.nominal_ms
            covers_gap = at - from_ms > GAP_INTERVALS * self.nominal_ms
            if self.use[i] is not None and (covers_gap or self.flags[i] & Rule.V07_GAP):
                self.estimated.add(i)
            self.from_ms.append(from_ms)
            if self.good(i):
                before_ms = at

    def drawn_use(self, i: int) -> float | None:
        """Height of a bar: use per usual interval, so that a gap does not look like a peak."""
        value = self.use[i]
        if value is None:
            return None
        length_ms = self.at_ms[i] - self.from_ms[i]
        if i in self.estimated and length_ms > self.nominal_ms:
            value = value * self.nominal_ms / length_ms
        return float(value)

    def total(self) -> Decimal | None:
        """Sum of the use; a thinned curve of intervals leaves some out and does not tell."""
        known = [value for value in self.use if value is not None]
        thinned = self.nominal_ms > GAP_INTERVALS * self.interval_s * 1000
        told = self.kind is ChannelKind.REGISTER or (
            self.kind is ChannelKind.INTERVAL and not thinned
        )
        return sum(known, Decimal(0)) if known and told else None

    def peak(self) -> tuple[Decimal, int] | None:
        """Largest measured use of one interval, and when that ended."""
        known = [
            (value, self.at_ms[i])
            for i, value in enumerate(self.use)
            if value is not None and i not in self.estimated
        ]
        return max(known, default=None)


def curve(answer: Mapping[str, Any], interval_s: int, zone: str, commodity: str) -> Curve:
    """A curve from the answer of `/v1/meters/{id}/curve`.

    Use that spans a gap is spread evenly over it and marked as estimated: its sum is measured, its
    course is not.

    Args:
        answer: Columns `at_ms`, `register`, `use` and `flags` of one length in least digits, and
            `events`, `unit`, `scaler` and `kind`.
        interval_s: The channel's interval.
        zone: Time zone of the axis.
        commodity: Colour of the chart.
    """
    columns = _Columns.read(answer, interval_s)
    marks = _marks(columns, answer.get("events") or [])
    peak = columns.peak()
    length = len(columns.at_ms)
    drawn = {
        "at": columns.at_ms,
        "use": [columns.drawn_use(i) for i in range(length)],
        "register": [
            _float(v) if columns.good(i) else None for i, v in enumerate(columns.register)
        ],
        "estimated": {i: columns.from_ms[i] for i in sorted(columns.estimated)},
        "interval": columns.nominal_ms,
        "kind": columns.kind,
        "unit": fmt.unit(answer.get("unit")),
        "zone": fmt.zone_of(zone)[0],
        "commodity": commodity,
        "marks": [{"at": m.at_ms, "kind": m.kind, "text": m.text} for m in marks[-MARKS_MAX:]],
    }
    return Curve(
        drawn=drawn,
        kind=columns.kind,
        points=length,
        total=columns.total(),
        peak=peak[0] if peak else None,
        peak_at_ms=peak[1] if peak else None,
        interval_s=columns.nominal_ms // 1000,
        last_at_ms=columns.at_ms[-1] if length else None,
        estimated=len(columns.estimated),
        marks=tuple(marks[-MARKS_MAX:]),
        marks_left_out=max(0, len(marks) - MARKS_MAX),
    )


def _raw(answer: Mapping[str, Any], name: str, length: int) -> list[Any]:
    column = list(answer.get(name) or [])[-length:] if length else []
    return [None] * (length - len(column)) + column


def _column(answer: Mapping[str, Any], name: str, length: int, scaler: int) -> list[Decimal | None]:
    values = (fmt.decimal(value) for value in _raw(answer, name, length))
    return [None if value is None else value.scaleb(scaler) for value in values]


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _marks(columns: _Columns, events: Sequence[Mapping[str, Any]]) -> list[Mark]:
    marks = [
        Mark(at, "failed", "; ".join(rule_text(name) for name in rule_names(columns.flags[i])))
        for i, at in enumerate(columns.at_ms)
        if not columns.good(i)
    ]
    for event in events:
        moment_ms = fmt.at_ms(event.get("at_ms", event.get("at")))
        if moment_ms is not None:
            kind = str(event.get("kind", "event"))
            marks.append(Mark(moment_ms, kind, event_text(kind)))
    return sorted(marks, key=lambda mark: mark.at_ms)
