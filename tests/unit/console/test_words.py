"""Words for the platform's codes: none may be missing."""

from __future__ import annotations

from services.console import words
from services.metering.quality import Rule
from services.metering.register.events import FOUND_KINDS, KNOWN_KINDS


def test_every_rule_has_words() -> None:
    """A person never reads a flag's name where the platform knows the rule."""
    assert {rule.name for rule in Rule} == set(words.RULES)
    assert words.rule_code("V17_NEGATIVE") == "V17"
    assert words.rule_code("PENDING") == ""


def test_every_step_of_the_register_has_words() -> None:
    """Each kind of event the register chain knows is told in words."""
    assert set(words.EVENTS) == FOUND_KINDS | KNOWN_KINDS


def test_unknown_codes_are_readable() -> None:
    """A code of tomorrow is shown as readable as it can be."""
    assert words.reason_text("payload.bad_mac") == "Payload: bad mac"
    assert words.alert_text("night_use") == "Night use"
    assert words.event_text("hand_reading") == "hand reading"
    assert words.rule_text("V99_NEW") == "V99_NEW"
