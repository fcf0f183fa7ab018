"""The city's calendar and weather."""

from datetime import UTC, datetime

import numpy as np

from services.metering.simulator.weather import City

CITY = City(seed=4, time_zone="Europe/Madrid")


def day_number(year, month, day):
    """Days since 1970."""
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) // 86_400


class TestDays:
    def test_seasons(self):
        """Winters are cold and summers warm, within what the town's climate allows."""
        year = CITY.days(np.arange(day_number(2026, 1, 1), day_number(2027, 1, 1)))
        january, july = year.mean_c[:31].mean(), year.mean_c[181:212].mean()
        assert 6 < january < 14
        assert 21 < july < 29

    def test_weekend(self):
        """Saturday and Sunday are the weekend."""
        week = CITY.days(np.arange(day_number(2026, 1, 5), day_number(2026, 1, 12)))
        assert week.weekend.tolist() == [False] * 5 + [True] * 2

    def test_alone(self):
        """A day has the same weather however many days are asked for."""
        many = CITY.days(np.arange(20_400, 20_500))
        one = CITY.days(np.array([20_450]))
        assert one.mean_c[0] == many.mean_c[50]
        assert one.cloud[0] == many.cloud[50]


class TestSlots:
    def test_local_hours(self):
        """Hours are those of the city's clock, summer time included; instants stay UTC."""
        number = np.array([day_number(2026, 1, 15), day_number(2026, 7, 15)])
        slots = CITY.slots(number, 3600)
        assert slots.hour[0, 0] == 1.5
        assert slots.hour[1, 0] == 2.5

    def test_clock_change(self):
        """On the day of the change the local clock skips an hour, and no slot is lost."""
        slots = CITY.slots(np.array([day_number(2026, 3, 29)]), 3600)
        assert slots.hour[0].tolist()[:3] == [1.5, 3.5, 4.5]
        assert slots.hour.shape == (1, 24)

    def test_sun(self):
        """The sun is up around local noon only, for longer in summer."""
        winter = CITY.slots(np.array([day_number(2026, 12, 21)]), 900)
        summer = CITY.slots(np.array([day_number(2026, 6, 21)]), 900)
        assert winter.sun[0, :20].max() == 0
        assert (winter.sun > 0).sum() < (summer.sun > 0).sum()
        assert 0.95 < summer.sun.max() <= 1
