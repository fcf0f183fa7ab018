"""The curve at its edges, and the points it is made from."""

from __future__ import annotations

import numpy as np
import pytest

from services.metering.quality import BELOW_MARK, Rule
from services.metering.register import Curve, RegisterEvent, curve_points, settled_state


def column(*values):
    """Integers as a column."""
    return np.array(values, dtype=np.int64)


def test_between_readings_the_register_is_rounded_down():
    """10 digits over 3 hours: after one hour 3, after two 6, and the rest in the third."""
    curve = Curve(column(0, 3), column(100, 110))
    assert curve.at(column(0, 1, 2, 3)).tolist() == [100, 103, 106, 110]
    assert curve.use(column(0, 1, 2, 3)).tolist() == [3, 3, 4]


def test_outside_its_readings_the_curve_stands_still_and_is_not_known():
    """Nobody knows the use before the first reading and after the last."""
    curve = Curve(column(10, 20), column(100, 110))
    assert curve.at(column(0, 30)).tolist() == [100, 110]
    assert curve.known(column(9, 10, 20, 21)).tolist() == [False, True, True, False]
    assert curve.use_known(column(9, 10, 20, 21)).tolist() == [False, True, False]


def test_curves_of_one_reading_and_of_none():
    """A new meter has a register but no use yet."""
    one, none = Curve(column(10), column(100)), Curve(column(), column())
    assert one.at(column(5, 10, 15)).tolist() == [100, 100, 100]
    assert one.known(column(5, 10, 15)).tolist() == [False, True, False]
    assert none.at(column(5)).tolist() == [0]
    assert none.known(column(5)).tolist() == [False]
    assert (len(one), len(none)) == (1, 0)


@pytest.mark.parametrize(("at", "curve"), [((1, 1), (5, 6)), ((2, 1), (5, 6)), ((1, 2), (6, 5))])
def test_a_curve_that_falls_or_stands_in_time_is_refused(at, curve):
    """Such points cannot come from the chain; better no bill than a negative one."""
    with pytest.raises(ValueError, match="must"):
        Curve(column(*at), column(*curve))


def test_points_follow_offsets_and_add_what_was_read_at_an_exchange():
    """The old register's last value is a point of the curve although no reading holds it."""
    events = [RegisterEvent(0, 15, "exchange", 100, 110, 10, 110)]
    flags = np.zeros(4, dtype=np.uint32)
    at_ms, curve = curve_points(column(0, 10, 20, 30), column(90, 100, 15, 16), flags, events)
    assert at_ms.tolist() == [0, 10, 15, 20, 30]
    assert curve.tolist() == [90, 100, 110, 115, 116]


def test_points_leave_out_what_is_not_usable_and_flatten_backflow():
    """Under the mark is read as the mark; a window that begins under it cannot know the mark."""
    flags = np.array([BELOW_MARK, 0, BELOW_MARK, Rule.V20_PHYSICAL_LIMIT, 0], dtype=np.uint32)
    at_ms, curve = curve_points(column(0, 1, 2, 3, 4), column(98, 100, 99, 900, 100), flags)
    assert at_ms.tolist() == [1, 2, 4]
    assert curve.tolist() == [100, 100, 100]


def test_no_rows_give_no_points():
    """A period without readings has events, perhaps, and no curve."""
    events = [RegisterEvent(0, 15, "exchange", 100, 110, 10, 110)]
    at_ms, _ = curve_points(column(), column(), np.zeros(0, dtype=np.uint32), events)
    assert len(at_ms) == 0


def test_a_settled_state_needs_a_reading():
    """Without a mark there is nothing to resume from."""
    with pytest.raises(ValueError, match="at least one"):
        settled_state([], [], 0)
