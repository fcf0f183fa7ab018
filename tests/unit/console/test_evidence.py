"""An alert's evidence in rows and facts."""

from __future__ import annotations

import pytest

from services.console import evidence

NBSP = "\N{NO-BREAK SPACE}"


def test_detectors_facts_get_their_units() -> None:
    """Thresholds, rates, durations and instants are told with unit and zone."""
    found = evidence.read(
        {
            "rule": "use in every hour",
            "unit": "m3",
            "threshold": {"quantity": "0.02", "unit": "m3/h", "duration_s": 86_400},
            "values": {
                "rate_per_h": "0.034",
                "used": "3.7",
                "longest_pause_s": 7200,
                "last_reading_at": "2026-06-14T12:00:00Z",
                "readings": 4,
            },
            "readings": [{"at": "2026-06-14T12:00:00Z", "register": "13.733"}],
        },
        "Europe/Berlin",
    )
    plain = [(name, getattr(text, "striptags", lambda t=text: t)()) for name, text in found.facts]
    assert plain == [
        ("rule", "use in every hour"),
        ("threshold", f"0.02{NBSP}m³/h"),
        ("threshold duration", f"1{NBSP}d"),
        ("rate", f"0.034{NBSP}m³/h"),
        ("used", f"3.7{NBSP}m³"),
        ("longest pause", f"2{NBSP}h"),
        ("last reading at", "14 Jun 2026, 14:00 CEST"),
        ("readings", "4"),
    ]
    assert [(row.value, row.unit) for row in found.rows] == [("13.733", "m3")]


@pytest.mark.parametrize("document", [None, [], "text", {}, {"readings": [1, None]}])
def test_strange_evidence_is_empty(document: object) -> None:
    """Evidence of another shape is no failure of the page."""
    assert evidence.read(document, "") == evidence.Evidence((), ())
