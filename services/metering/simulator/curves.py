"""Registers as functions of time: a household's use, then what faults make of it.

Everything is an integer in the channel's least digit as soon as it is cumulative; a register never
falls unless a fault makes it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from services.metering.simulator.counter import Floats
from services.metering.simulator.fleet import FaultKind, PlantedFault
from services.metering.simulator.shapes import PARTS, Homes, Role
from services.metering.simulator.weather import DAY_MS, HOUR_MS, City

Int64s = NDArray[np.int64]
#: Register at instants on the channel's grid: int64 ms of shape (k,) to int64 of shape (k,).
Curve = Callable[[Int64s], Int64s]
#: Rows computed at once; their temporaries of a day stay within a processor's cache.
ROWS_MAX = 1_024
_TINY = 1e-12


class UseCurves:
    """Cumulative use, without faults, of channels that share commodity, role and interval.

    Args:
        city: Calendar and weather.
        demand: Commodity and role, a key of `shapes.PARTS`.
        interval_s: Seconds between readings, a divisor of a day.
        homes: The households, n of them.
        digits_per_unit: Least digits in a litre or watt-hour, shape (n, 1).
        start_ms: Midnight UTC at which every curve is 0.
    """

    def __init__(
        self,
        city: City,
        demand: tuple[str, Role],
        interval_s: int,
        homes: Homes,
        digits_per_unit: Floats,
        start_ms: int,
    ) -> None:
        self._city = city
        self._parts = PARTS[demand]
        self._interval_s = interval_s
        self._homes = homes
        self._digits_per_unit = digits_per_unit
        self._start_day = start_ms // DAY_MS
        # The sum up to the first day of the last window, so that live readings need not add up
        # their whole history each time. Going on from it gives the same floats as from the start.
        self._mark_day = self._start_day
        self._mark_sum = np.zeros_like(digits_per_unit)

    @property
    def step_ms(self) -> int:
        """Time between readings."""
        return self._interval_s * 1000

    def window(self, from_ms: int, until_ms: int) -> tuple[Int64s, Int64s]:
        """The curves at the instants of readings in [from_ms, until_ms).

        Returns:
            Instants, shape (k,), and use since the start in least digits, shape (n, k).
        """
        first, last = -(-from_ms // self.step_ms), -(-until_ms // self.step_ms)
        at_ms = np.arange(first, last, dtype=np.int64) * self.step_ms
        if not len(at_ms):
            return at_ms, np.zeros((len(self._digits_per_unit), 0), dtype=np.int64)
        return at_ms, self.at(at_ms)

    def at(self, at_ms: Int64s) -> Int64s:
        """The curves at instants on the interval's grid, shape (n, k), least digits."""
        days, position = np.unique(at_ms // DAY_MS, return_inverse=True)
        slot = at_ms % DAY_MS // self.step_ms
        return self._on(days)[:, position, slot]

    def _on(self, days: Int64s) -> Int64s:
        """Use at the start of each interval of ascending `days`; shape (n, d, s)."""
        if days[0] < self._mark_day:
            self._mark_day = self._start_day
            self._mark_sum = np.zeros_like(self._digits_per_unit)
        span = self._city.days(np.arange(self._mark_day, days[-1] + 1, dtype=np.int64))
        daily = [part.daily(self._homes, span) * self._digits_per_unit for part in self._parts]
        total = np.add.reduce(daily)
        before = np.cumsum(np.concatenate([self._mark_sum, total[:, :-1]], axis=1), axis=1)
        pick = days - self._mark_day
        self._mark_day, self._mark_sum = int(days[0]), before[:, pick[0]][:, None]
        course = self._course([part[:, pick] for part in daily], days)
        course *= total[:, pick, None]
        course += before[:, pick, None]
        use: Int64s = np.floor(course, out=course).astype(np.int64)
        return use

    def _course(self, daily: list[Floats], days: Int64s) -> Floats:
        """How much of the day's use has flowed at the start of each interval, 0 ≤ c < 1."""
        slots = self._city.slots(days, self._interval_s)
        weight = np.zeros((len(self._digits_per_unit), len(days), DAY_MS // self.step_ms))
        for part, quantity in zip(self._parts, daily, strict=True):
            own = np.broadcast_to(part.weights(self._homes, slots), weight.shape)
            share = (quantity + _TINY) / own.sum(axis=2)
            weight += own * share[:, :, None]
        course = np.cumsum(weight, axis=2)
        whole = course[:, :, -1:].copy()
        course[:, :, 1:] = course[:, :, :-1] / whole
        course[:, :, 0] = 0.0
        return course


def shifted(curve: Curve, origin_ms: int, register: int) -> Curve:
    """A curve that shows `register` at `origin_ms`."""
    offset = register - int(curve(np.array([origin_ms], dtype=np.int64))[0])
    return lambda at_ms: curve(at_ms) + offset


def with_fault(curve: Curve, fault: PlantedFault, step_ms: int) -> Curve:
    """What a fault of the meter or its pipes makes of a register.

    Args:
        curve: The register before.
        fault: Of a kind that changes registers; deliveries and wild reads do not.
        step_ms: Time between readings.
    """
    start_ms, magnitude = fault.start_ms, fault.magnitude

    def flowed(at_ms: Int64s) -> Int64s:
        """What the fault's own flow has moved, least digits."""
        return (np.clip(at_ms, start_ms, fault.until_ms) - start_ms) * magnitude // HOUR_MS

    def used(at_ms: Int64s) -> Int64s:
        """What was used while the fault lasted, least digits."""
        count = len(at_ms)
        inside = np.clip(at_ms, start_ms, fault.until_ms)
        values = curve(np.append(inside, start_ms))
        return values[:count] - values[count:]

    def rolled_over(at_ms: Int64s) -> Int64s:
        # One digit short of the end at the reading before, so that the next use passes it.
        return shifted(curve, start_ms - step_ms, -1)(at_ms)

    def reset(at_ms: Int64s) -> Int64s:
        begun = shifted(curve, start_ms, magnitude)(at_ms)
        before = curve(at_ms)
        before[at_ms >= start_ms] = begun[at_ms >= start_ms]
        return before

    changes: dict[FaultKind, Curve] = {
        FaultKind.LEAK: lambda at_ms: curve(at_ms) + flowed(at_ms),
        FaultKind.BURST: lambda at_ms: curve(at_ms) + flowed(at_ms),
        # Whatever presses water back keeps the household from drawing any.
        FaultKind.BACKFLOW: lambda at_ms: curve(at_ms) - used(at_ms) - flowed(at_ms),
        FaultKind.STUCK: lambda at_ms: curve(at_ms) - used(at_ms),
        FaultKind.THEFT: lambda at_ms: curve(at_ms) - used(at_ms) * magnitude // 1000,
        FaultKind.RESET: reset,
        FaultKind.ROLLOVER: rolled_over,
    }
    return changes.get(fault.kind, curve)
