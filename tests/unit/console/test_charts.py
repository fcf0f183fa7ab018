"""Curves made ready to draw: gaps, failed readings, thinning and key figures."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from services.console import charts
from services.metering.quality import Rule

HOUR_MS = 3_600_000


def answer(
    hours: list[int], use: list[int | None], flags: list[int] | None = None, **more: Any
) -> dict[str, Any]:
    """An answer of the curve API; registers only count the points."""
    return {
        "at_ms": [hour * HOUR_MS for hour in hours],
        "register": list(range(len(hours))),
        "use": use,
        "flags": flags or [0] * len(hours),
        "events": [],
        "unit": "m3",
        "scaler": -3,
        **more,
    }


def test_empty_curve() -> None:
    """A channel without readings has nothing to draw and no figures."""
    curve = charts.curve({"at_ms": [], "unit": "m3", "scaler": -3}, 3600, "", "water")
    assert (curve.points, curve.total, curve.peak, curve.last_at_ms) == (0, None, None, None)


def test_figures_are_exact() -> None:
    """Total and peak are decimals in the unit, whatever the canvas rounds."""
    curve = charts.curve(answer([0, 1, 2], [None, 100, 7]), 3600, "", "water")
    assert curve.total == Decimal("0.107")
    assert (curve.peak, curve.peak_at_ms) == (Decimal("0.100"), HOUR_MS)
    assert curve.interval_s == 3600


def test_use_over_a_gap_is_spread_and_no_peak() -> None:
    """Use of ten hours at once is drawn as ten equal hours, marked, and never the peak."""
    curve = charts.curve(answer([0, 1, 2, 12, 13], [None, 5, 5, 100, 5]), 3600, "", "water")
    assert curve.drawn["estimated"] == {3: 2 * HOUR_MS}
    assert curve.drawn["use"] == [None, 0.005, 0.005, 0.01, 0.005]
    assert curve.peak == Decimal("0.005")
    assert curve.total == Decimal("0.115")


def test_failed_readings_are_marks_and_no_points() -> None:
    """A failed reading's register is not drawn; the use after it reaches back before it."""
    flags = [0, 0, int(Rule.V20_PHYSICAL_LIMIT), 0]
    curve = charts.curve(answer([0, 1, 2, 3], [None, 5, None, 12], flags), 3600, "", "water")
    assert curve.drawn["register"] == [0.0, 0.001, None, 0.003]
    assert curve.drawn["estimated"] == {3: HOUR_MS}
    assert curve.drawn["use"][3] == 0.006
    assert [(m.at_ms, m.kind, m.text) for m in curve.marks] == [
        (2 * HOUR_MS, "failed", "more than the connection lets through")
    ]


def test_thinned_curves_have_longer_intervals() -> None:
    """When every point stands for six hours, none of them is a gap."""
    curve = charts.curve(answer([0, 6, 12, 18], [None, 30, 31, 32]), 3600, "", "water")
    assert curve.estimated == 0
    assert curve.interval_s == 6 * 3600


def test_thinned_interval_channels_do_not_tell_a_total() -> None:
    """Intervals left out by thinning would be missing from the sum, so there is none."""
    full = charts.curve(answer([0, 1, 2], [1, 2, 3], kind="interval"), 3600, "", "electricity")
    thin = charts.curve(answer([0, 6, 12], [1, 2, 3], kind="interval"), 3600, "", "electricity")
    assert (full.total, thin.total) == (Decimal("0.006"), None)


def test_steps_of_the_register_are_marks() -> None:
    """Events are told in words, in order of time."""
    events = [{"at_ms": 2 * HOUR_MS, "kind": "exchange"}, {"at_ms": HOUR_MS, "kind": "rollover"}]
    curve = charts.curve(answer([0, 3], [None, 1], events=events), 3600, "", "water")
    assert [m.text for m in curve.marks] == ["register rolled over", "meter exchanged"]


def test_marks_and_points_are_bounded() -> None:
    """A meter that fails for ever costs no more than the bounds, and the page says so."""
    many = charts.POINTS_MAX + 50
    flags = [int(Rule.V17_NEGATIVE)] * many
    curve = charts.curve(answer(list(range(many)), [None] * many, flags), 3600, "", "water")
    assert curve.points == charts.POINTS_MAX
    assert len(curve.marks) == charts.MARKS_MAX
    assert curve.marks_left_out == charts.POINTS_MAX - charts.MARKS_MAX
