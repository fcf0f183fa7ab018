"""The chain of one channel, a reading at a time: the rules in full, and the reference for the rest.

A reading is judged against the mark, the last good reading. `rise` is its value minus the mark's.

    0 <= rise <= what is possible     good, becomes the mark; suspects before it have failed
    a little under the mark           BELOW_MARK: read as the mark, so the curve stays flat
    anything else                     suspect: PENDING until a run of `confirm` suspects, each a
                                      possible successor of the one before, makes a level believed

What is believed rests on one principle: **fewer than `confirm` readings never move the bill, and
use that nobody can explain is not billed but shown**. From it follow:

- A run that is believed is a rollover if its first reading is one, and then its use counts; else a
  step, over which the use is nought. So one wild low reading near the dial's end is no rollover.
- A suspect that does not fit the run fails the run and begins another. Two registers interleaved
  (A B A B) never make a run: A is good and fails every B; two foreign registers fail each other.
- After a suspect above the limit, a reading that fits both it and the mark joins the suspect: time
  alone (an outage after a jump) must not make an impossible rise possible.
- A run below the mark that fits one of the `confirm - 1` good readings before the mark outvotes the
  good readings between: they were wild though possible (a daily reading of a household may rise by
  80 m³). They fail, no step is made.

Two limits of the principle, both in the customer's favour or mended by time: a wild reading less
than `reverse_max` above the true ones brings that use forward until they pass it; a wild reading
above the limit that the true register overtakes within one silence looks like a jump, and becomes a
step that a person sees. Confirming is by number: a device that sends 0 three times makes a step
down, and its return a step up.

A decision is final once a good reading follows with no suspect before it; `restart.py` rests on
that. Cost measured: 6 to 13 µs a reading.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from services.metering.quality import BELOW_MARK, CONFIRMED_LATER, PENDING, Rule
from services.metering.register.events import Kind, KnownEvent, RegisterEvent
from services.metering.register.limits import ChannelLimits
from services.metering.register.state import NEVER_MS, REBASE, ChainState

_V17 = int(Rule.V17_NEGATIVE)
_V18 = int(Rule.V18_DIAL)
_V20 = int(Rule.V20_PHYSICAL_LIMIT)


class Point(NamedTuple):
    """A register value at an instant."""

    at_ms: int
    value: int


class Verdict(NamedTuple):
    """The flags and the curve's value of the reading at an instant; a later one replaces it."""

    at_ms: int
    flags: int
    curve: int


@dataclass(slots=True)
class Chain:
    """One channel's state and rules.

    Attributes:
        limits: The channel's limits.
        width: How many good readings are remembered, at least `limits.confirm`.
        channel: Number written into events.
        good: Last points of the curve as register values, oldest first; the last is the mark.
        pending: The run of suspects, oldest first, fewer than `limits.confirm`.
        offset: Curve minus register at the mark.
        last_at_ms: Instant of the last reading of any quality.
        rebase: The next reading is the first of a register nobody read.
        verdicts: Decisions not yet fetched, in the order they were made.
        events: Steps found, in order of time.
    """

    limits: ChannelLimits
    width: int
    channel: int = 0
    good: list[Point] = field(default_factory=list)
    pending: list[Point] = field(default_factory=list)
    offset: int = 0
    last_at_ms: int = NEVER_MS
    rebase: bool = False
    verdicts: list[Verdict] = field(default_factory=list)
    events: list[RegisterEvent] = field(default_factory=list)

    @property
    def level(self) -> int:
        """The curve's value at the mark; 0 before the first good reading."""
        return self.good[-1].value + self.offset if self.good else 0

    @property
    def settled(self) -> bool:
        """Whether the last reading is a point of the curve and nothing is in doubt."""
        return (
            bool(self.good)
            and not self.pending
            and not self.rebase
            and self.good[-1].at_ms == self.last_at_ms
        )

    def judge(self, at_ms: int, value: int) -> None:
        """Take the next reading, later than all before; the decisions go to `verdicts`."""
        self.last_at_ms = at_ms
        reading = Point(at_ms, value)
        if not 0 <= value < self.limits.span:
            # Garbage says nothing about the register, so it leaves a run of suspects alone.
            self.verdicts.append(Verdict(at_ms, _V18, self.level))
        elif not self.good:
            self._settle(reading)
        elif self.rebase:
            self._rebase(reading)
        else:
            self._judge_against_mark(reading)

    def skip(self, points: list[Point]) -> None:
        """Take plainly good readings that were judged elsewhere; the last ones are enough."""
        self.good = (self.good + points)[-self.width :]
        self.last_at_ms = points[-1].at_ms

    def _judge_against_mark(self, reading: Point) -> None:
        rise = reading.value - self.good[-1].value
        reverse_max = self.limits.reverse_max
        if self._follows(self.good[-1], reading) and not self._joins_jump(reading):
            self._fail_pending()
            self._settle(reading)
        elif -reverse_max <= rise < 0 or rise >= self.limits.span - reverse_max:
            # The second is backflow across the zero of the dial. Either way the old register lives.
            self._fail_pending()
            self.good = [*self.good, Point(reading.at_ms, self.good[-1].value)][-self.width :]
            self.verdicts.append(Verdict(reading.at_ms, BELOW_MARK, self.level))
        else:
            self._suspect(reading)

    def _follows(self, earlier: Point, later: Point) -> bool:
        """Whether a register may have gone from one to the other."""
        return 0 <= later.value - earlier.value <= self.limits.rise_max(later.at_ms - earlier.at_ms)

    def _joins_jump(self, reading: Point) -> bool:
        """Whether the suspects jumped up and the reading, possible by now, confirms their level."""
        return (
            bool(self.pending)
            and self.pending[-1].value > self.good[-1].value
            and self._follows(self.pending[-1], reading)
        )

    def _settle(self, reading: Point) -> None:
        self.good = [*self.good, reading][-self.width :]
        self.verdicts.append(Verdict(reading.at_ms, 0, reading.value + self.offset))

    def _suspect(self, reading: Point) -> None:
        if self.pending and not self._follows(self.pending[-1], reading):
            self._fail_pending()
        self.pending.append(reading)
        if len(self.pending) == self.limits.confirm:
            self._believe_run()
        else:
            cause = self._cause(reading)
            self.verdicts.append(Verdict(reading.at_ms, PENDING | cause, self.level))

    def _cause(self, reading: Point) -> int:
        return _V20 if reading.value > self.good[-1].value else _V17

    def _fail_pending(self) -> None:
        level = self.level
        self.verdicts += [Verdict(p.at_ms, self._cause(p), level) for p in self.pending]
        self.pending = []

    def _believe_run(self) -> None:
        run, self.pending = self.pending, []
        mark = self.good[-1].value
        if self._rolled_over(run[0]):
            self._shift("rollover", run[0], self.limits.span)
            self.good = run
        elif self._outvote(run[0]):
            self.good = (self.good + run)[-self.width :]
        else:
            kind: Kind = "step_up" if run[0].value > mark else "step_down"
            self._shift(kind, run[0], mark - run[0].value)
            self.good = run
        self.verdicts += [
            Verdict(p.at_ms, CONFIRMED_LATER, p.value + self.offset) for p in run[:-1]
        ]
        self.verdicts.append(Verdict(run[-1].at_ms, 0, run[-1].value + self.offset))

    def _rolled_over(self, reading: Point) -> bool:
        """V18: from the last tenth of the dial to the first, no further than is possible."""
        span, mark = self.limits.span, self.good[-1]
        return (
            10 * mark.value > 9 * span
            and 10 * reading.value < span
            and reading.value + span - mark.value
            <= self.limits.rise_max(reading.at_ms - mark.at_ms)
        )

    def _outvote(self, reading: Point) -> bool:
        """Fail good readings above a believed one that fits what was before them."""
        if reading.value > self.good[-1].value:
            return False
        for count in range(1, min(len(self.good), self.limits.confirm)):
            if self._follows(self.good[-1 - count], reading):
                wild, self.good = self.good[-count:], self.good[:-count]
                self.verdicts += [Verdict(p.at_ms, _V17, self.level) for p in wild]
                return True
        return False

    def _shift(self, kind: Kind, reading: Point, offset_delta: int) -> None:
        self.offset += offset_delta
        self.events.append(
            RegisterEvent(
                channel=self.channel,
                at_ms=reading.at_ms,
                kind=kind,
                offset_delta=offset_delta,
                from_value=self.good[-1].value,
                to_value=reading.value,
                curve=reading.value + self.offset,
            )
        )

    def _rebase(self, reading: Point) -> None:
        """Take the first reading after an event whose new register nobody read: no use."""
        self._shift("rebase", reading, self.good[-1].value - reading.value)
        self.good, self.rebase = [], False
        self._settle(reading)

    def apply(self, event: KnownEvent) -> None:
        """Go over to another register at the event's instant; nothing before the first reading.

        Suspects before it fail: their register is gone and can confirm nothing. The use up to
        `from_value` counts if it was possible.
        """
        if not self.good:
            return
        self._fail_pending()
        last = self._last_of_old(event)
        level = last + self.offset
        self.rebase = event.to_value is None
        # While the new register is unknown, a stand-in of value 0 carries the level.
        first = event.to_value or 0
        self.good = [Point(event.at_ms, first)]
        offset_delta = level - first - self.offset
        self.offset += offset_delta
        to_value = event.to_value
        self.events.append(
            RegisterEvent(
                self.channel, event.at_ms, event.kind, offset_delta, last, to_value, level
            )
        )

    def _last_of_old(self, event: KnownEvent) -> int:
        """The old register's last value as its use counts; beyond the dial after a rollover."""
        mark = self.good[-1]
        if event.from_value is None or self.rebase:
            return mark.value
        for value in (event.from_value, event.from_value + self.limits.span):
            if self._follows(mark, Point(event.at_ms, value)):
                return value
        return mark.value


def load_chain(state: ChainState, limits: ChannelLimits, row: int, channel: int) -> Chain:
    """The chain of one row of a state, which is at least `limits.confirm` wide."""
    width = state.confirm_max
    cells = state.cells[row].tolist()
    offset, last_at_ms, doubt = cells[2 * width :]
    good = [Point(cells[place], cells[width + place]) for place in reversed(range(width))]
    pending = state.pending[row].tolist()
    return Chain(
        limits=limits,
        width=width,
        channel=channel,
        good=[point for point in good if point.at_ms != NEVER_MS],
        pending=[Point(pending[i], pending[width - 1 + i]) for i in range(doubt % REBASE)],
        offset=offset,
        last_at_ms=last_at_ms,
        rebase=doubt >= REBASE,
    )


def store_chain(chain: Chain, state: ChainState, row: int) -> None:
    """Write a chain back to its row; unused places become as in an empty state."""
    blank = chain.width - len(chain.good)
    good = chain.good[::-1] + [Point(NEVER_MS, 0)] * blank
    pending = chain.pending + [Point(0, 0)] * (chain.width - 1 - len(chain.pending))
    doubt = len(chain.pending) + (REBASE if chain.rebase else 0)
    state.cells[row] = [
        *(point.at_ms for point in good),
        *(point.value for point in good),
        *(chain.offset, chain.last_at_ms, doubt),
    ]
    state.pending[row] = [
        *(point.at_ms for point in pending),
        *(point.value for point in pending),
    ]
