"""One city's calendar and weather: what all its households share.

The temperature is a yearly wave, a daily wave and slow noise; cloudiness is one number a day. Both
are functions of seed and instant alone, so history and live readings see the same weather.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from services.metering.simulator.counter import Floats, bell, hashed, uniform

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
_STREAM_NOISE, _STREAM_CLOUD = 101, 102
_NOISE_DAYS = 3
_NOISE_C = 2.4
#: A town on the Spanish Mediterranean: 10 °C in January, 25 °C in July, ± 4.5 °C within a day.
_MEAN_C, _SEASON_C, _DAY_C = 17.5, 7.5, 4.5
_WARMEST_DAY = 205
_WARMEST_HOUR = 15.0

Bools = NDArray[np.bool_]
Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Days:
    """UTC days, shape (d,).

    Attributes:
        number: Days since 1970-01-01, int64.
        season: 1 at the height of summer, -1 in mid-winter.
        weekend: Whether noon UTC falls on a Saturday or Sunday in the city.
        mean_c: Mean outside temperature in °C.
        cloud: 0 is a clear day, 1 an overcast one.
    """

    number: Int64s
    season: Floats
    weekend: Bools
    mean_c: Floats
    cloud: Floats


@dataclass(frozen=True, slots=True)
class Slots:
    """The intervals of some days, shape (d, s).

    Attributes:
        day: Days since 1970-01-01 in UTC, int64, shape (d,).
        hour: Local hour of the clock at the interval's middle, 0 ≤ hour < 24.
        weekend: Whether it is Saturday or Sunday there.
        outside_c: Outside temperature in °C.
        sun: Height of the sun from 0 (below the horizon) to 1.
    """

    day: Int64s
    hour: Floats
    weekend: Bools
    outside_c: Floats
    sun: Floats


@dataclass(frozen=True, slots=True)
class City:
    """Where a fleet stands.

    Attributes:
        seed: Decides the weather.
        time_zone: IANA name; people's habits follow its clock, its changes to summer time included.
    """

    seed: int
    time_zone: str

    def days(self, number: Int64s) -> Days:
        """The days with these numbers."""
        _, weekend = self._local(number * DAY_MS + DAY_MS // 2)
        return Days(
            number=number,
            season=_season(number.astype(np.float64)),
            weekend=weekend,
            mean_c=self._slow_c(number.astype(np.float64) + 0.5),
            cloud=uniform(hashed(self.seed, _STREAM_CLOUD, number)),
        )

    def slots(self, number: Int64s, interval_s: int) -> Slots:
        """The intervals of length `interval_s`, a divisor of a day, of the days `number`."""
        step_ms = interval_s * 1000
        middle_ms = np.arange(0, DAY_MS, step_ms, dtype=np.int64) + step_ms // 2
        at_ms = number[:, None] * DAY_MS + middle_ms
        hour, weekend = self._local(at_ms)
        day: Floats = at_ms / DAY_MS
        wave_c = _DAY_C * np.cos((hour - _WARMEST_HOUR) * (np.pi / 12))
        light_hours = 12.0 + 2.8 * _season(day)
        height = np.cos(np.clip((hour - 13.7) / light_hours, -0.5, 0.5) * np.pi)
        # Half a turn is not exactly a zero of the cosine.
        sun = np.maximum(height - 1e-12, 0.0)
        return Slots(number, hour, weekend, self._slow_c(day) + wave_c, sun)

    def _slow_c(self, day: Floats) -> Floats:
        """Temperature without the daily wave; noise is interpolated between knots days apart."""
        position = day / _NOISE_DAYS
        knot = np.floor(position).astype(np.int64)
        blend = (1 - np.cos((position - knot) * np.pi)) / 2
        before = bell(hashed(self.seed, _STREAM_NOISE, knot))
        after = bell(hashed(self.seed, _STREAM_NOISE, knot + 1))
        noise = before + (after - before) * blend
        return _MEAN_C + _SEASON_C * _season(day) + _NOISE_C * noise

    def _local(self, at_ms: Int64s) -> tuple[Floats, Bools]:
        """Local hour and weekend of instants."""
        zone = ZoneInfo(self.time_zone)
        hours, position = np.unique(at_ms // HOUR_MS, return_inverse=True)
        offsets = [
            datetime.fromtimestamp(hour * 3600, UTC).astimezone(zone).utcoffset()
            for hour in hours.tolist()
        ]
        offset_ms = np.array([int(o.total_seconds()) * 1000 for o in offsets if o is not None])
        local_ms = at_ms + offset_ms[position.reshape(at_ms.shape)]
        # 1970-01-01 was a Thursday.
        weekday = (local_ms // DAY_MS + 3) % 7
        return local_ms % DAY_MS / HOUR_MS, weekday >= 5


def _season(day: Floats) -> Floats:
    return np.cos((day - _WARMEST_DAY) * (2 * np.pi / 365.2425))
