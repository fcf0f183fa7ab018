"""Thresholds of the detectors by commodity, and what they are in a channel's least digits.

Sources are named beside each number; "default" marks our own choice where nobody publishes one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from functools import lru_cache

import numpy as np

from services.alerts.detectors.findings import DAY_MS, HOUR_MS, Int64s
from services.alerts.meters import ChannelFacts, MeterFacts
from services.metering import units
from services.metering.products import ChannelKind

#: A rate no step reaches and a time nothing lasts: such a rule is off.
RATE_OFF = 2**31
TIME_OFF_MS = 2**60
#: Not reporting for longer than 24-36 h and three intervals (default; the long end, because one
#: missed daily transmission is no fault).
OFFLINE_MS = 36 * HOUR_MS
OFFLINE_INTERVALS = 3
#: A burst is a rate held for two consecutive hours (default); ten minutes are left to clocks.
BURST_MS = 2 * HOUR_MS - 600_000
#: Fewer readings below the mark are jitter of a digit or readings that overtook one another.
REVERSE_READINGS = 2
#: So many wild readings in a row are raised before the register has come back.
BAD_READINGS_OPEN = 3
#: Steps shorter than this cannot show a still hour; steps beyond the next hide one.
STEP_MIN_MS = 50 * 60_000
STEP_MAX_MS = 150 * 60_000
#: A gap with use neither proves nor breaks a continuous flow, unless it is longer than a day.
GAP_MAX_MS = DAY_MS


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The rules of one commodity; quantities in `unit`.

    Attributes:
        unit: Base unit of the quantities below.
        leak_ms: Continuous flow is raised after this long; None where the rule makes no sense.
        leak_min_per_h: Every hour must show at least this.
        leak_warning_per_h: Above it a leak is a warning.
        leak_critical_per_h: Above it a leak is critical.
        burst_per_h: A rate that is a burst for any meter; 0 leaves it to the share.
        burst_share: Share of the meter's physical limit that is a burst; None: no burst rule.
        stuck_ms: A register that stands still so long, and twice its longest pause, is stuck.
        reverse_min: Backward movement up to this is not worth an alert.
        rate_max_per_h: Physical limit where the product does not say.
    """

    unit: str
    leak_ms: int | None
    leak_min_per_h: int
    leak_warning_per_h: int
    leak_critical_per_h: int
    burst_per_h: int
    burst_share: Fraction | None
    stuck_ms: int
    reverse_min: int
    rate_max_per_h: int


THRESHOLDS: dict[str, Thresholds] = {
    # Continuous flow: Badger AquaCUE and Kamstrup flowIQ take 24 h, which raised 2.84 alarms a
    # meter and year on 92 real meters, 48 h raised 0.84. 1 L is the least digit of a house meter.
    # Burst: 400 L/h for two hours (default), 5 % of the limit for larger meters (Kamstrup: 5, 10 or
    # 20 % of Q3). Stuck: max(5 d, twice the longest dry run). Backflow: beyond one unit of the 8th
    # digit (Neptune); 2 L covers the digit's own jitter. Limit: Q4 of a DN 20 meter.
    "water": Thresholds("L", 48 * HOUR_MS, 1, 20, 100, 400, Fraction(1, 20), 5 * DAY_MS, 2, 5_000),
    # A pilot light burns up to 10 L/h, and heating runs through winter nights: continuous flow is a
    # sign only after the 30 days in which a Japanese safety meter looks for micro leaks. Gas that
    # runs on is a hazard: never below a warning. Excess:
    # 80 % of the meter's limit for two hours (default). Limit: a G4 meter's 6 m3/h.
    "gas": Thresholds("L", 30 * DAY_MS, 10, 0, 100, 0, Fraction(4, 5), 5 * DAY_MS, 10, 6_000),
    # Zero use of an active electricity meter: 3 days (V15). Limit: 63 A at three phases, 43 kW.
    "electricity": Thresholds("Wh", None, 0, 0, 0, 0, None, 3 * DAY_MS, 100, 43_000),
    # A heat meter rests all summer: V15's 30 days, then twice its own longest rest.
    "heat": Thresholds("Wh", None, 0, 0, 0, 0, None, 30 * DAY_MS, 1_000, 100_000),
}


@dataclass(slots=True)
class LimitColumns:
    """Thresholds of every channel in its own least digits; int64, one entry a row of the state.

    Attributes:
        kind: 0 register, 1 interval, 2 instant.
        leak_ms: See `Thresholds`; TIME_OFF_MS where off.
        leak_min: Least use of an hour, digits, at least 1; RATE_OFF where off.
        burst_min: Rate of a burst, digits per hour; RATE_OFF where off.
        stuck_ms: See `Thresholds`; TIME_OFF_MS where off.
        reverse_min: Backward movement that is ignored, digits, at least 1; RATE_OFF where off.
        rate_max: Physical limit, digits per hour: a faster fall is no flow but another register.
    """

    kind: Int64s
    leak_ms: Int64s
    leak_min: Int64s
    burst_min: Int64s
    stuck_ms: Int64s
    reverse_min: Int64s
    rate_max: Int64s

    @classmethod
    def empty(cls, n: int) -> LimitColumns:
        """Limits of `n` channels, all zero."""
        return cls(*(np.zeros(n, dtype=np.int64) for _ in fields(cls)))


KIND_REGISTER, KIND_INTERVAL, KIND_INSTANT = 0, 1, 2
_KIND_NUMBER = {
    ChannelKind.REGISTER: KIND_REGISTER,
    ChannelKind.INTERVAL: KIND_INTERVAL,
    ChannelKind.INSTANT: KIND_INSTANT,
}
#: Used where neither the meter nor its channel is known: no unit, so no rule about quantities.
_UNKNOWN = (KIND_REGISTER, TIME_OFF_MS, RATE_OFF, RATE_OFF, TIME_OFF_MS, RATE_OFF, RATE_OFF)


def digits(quantity: int, unit: str, channel: ChannelFacts) -> Fraction | None:
    """A quantity in the channel's least digits; None when the channel measures something else."""
    factor = units.factor(unit, 0, channel.unit, channel.scaler)
    return None if factor is None else quantity * factor


def limits_of(meter: MeterFacts, channel_number: int) -> tuple[int, ...]:
    """One channel's entries of `LimitColumns`, in the order of its fields."""
    channel = meter.channel(channel_number)
    return _UNKNOWN if channel is None else _limits(meter.commodity, channel)


@lru_cache(maxsize=4096)
def _limits(commodity: str, channel: ChannelFacts) -> tuple[int, ...]:
    """Remembered, because a fleet has few types of meter and exact fractions take 40 us."""
    rules = THRESHOLDS.get(commodity)
    if rules is None:
        return _UNKNOWN
    kind = _KIND_NUMBER[channel.kind]
    if kind == KIND_INSTANT or digits(1, rules.unit, channel) is None:
        return (kind, *_UNKNOWN[1:])

    def up(quantity: int) -> int:
        exact = digits(quantity, rules.unit, channel)
        return -(-exact.numerator // exact.denominator) if exact is not None else RATE_OFF

    rate_max = min(channel.rate_max_per_h or up(rules.rate_max_per_h), RATE_OFF)
    burst = RATE_OFF
    if rules.burst_share is not None:
        burst = max(up(rules.burst_per_h), int(rules.burst_share * rate_max), 1)
    return (
        kind,
        TIME_OFF_MS if rules.leak_ms is None else rules.leak_ms,
        RATE_OFF if rules.leak_ms is None else max(up(rules.leak_min_per_h), 1),
        min(burst, RATE_OFF),
        TIME_OFF_MS if channel.may_rest else rules.stuck_ms,
        max(up(rules.reverse_min), 1) if kind == KIND_REGISTER else RATE_OFF,
        rate_max,
    )


def offline_ms(meter: MeterFacts) -> int:
    """How long a meter may be silent: 36 h or three of its shortest intervals."""
    if not meter.installed:
        return TIME_OFF_MS
    shortest_s = min((c.interval_s for c in meter.channels), default=0)
    return max(OFFLINE_MS, OFFLINE_INTERVALS * shortest_s * 1000)
