"""Codes of the platform in the words of the people who read the pages."""

from __future__ import annotations

from services.metering.quality import Rule

#: What each validation rule says about a reading, by its name.
RULES: dict[str, str] = {
    Rule.PENDING.name or "": "waits for later readings to decide",
    Rule.BELOW_MARK.name or "": "a little below the highest register; read as that",
    Rule.V02_CLOCK.name or "": "meter clock is off",
    Rule.V03_IDENTITY.name or "": "payload names another meter",
    Rule.V04_INTERVAL.name or "": "not on the interval's grid",
    Rule.V05_DUPLICATE.name or "": "contradicts a reading of the same instant",
    Rule.V06_UNIT.name or "": "unit differs from the product's",
    Rule.V07_GAP.name or "": "readings are missing before it",
    Rule.V08_DEVICE_STATUS.name or "": "meter reported a fault",
    Rule.V09_SUM.name or "": "intervals and register disagree",
    Rule.V10_SPIKE.name or "": "spike",
    Rule.V11_REACTIVE.name or "": "reactive energy without active energy",
    Rule.V12_HIGH_LOW.name or "": "unusually high or low use",
    Rule.V13_DEMAND.name or "": "unusual demand",
    Rule.V14_CHANGE.name or "": "sudden change",
    Rule.V15_ZERO.name or "": "no use for long",
    Rule.V16_INACTIVE.name or "": "use on an inactive meter",
    Rule.V17_NEGATIVE.name or "": "register went back",
    Rule.V18_DIAL.name or "": "does not fit the dial",
    Rule.V19_DELTA.name or "": "use differs from before",
    Rule.V20_PHYSICAL_LIMIT.name or "": "more than the connection lets through",
    Rule.V21_SIBLINGS.name or "": "other channels are missing",
    Rule.V22_ESTIMATED_LONG.name or "": "estimated for long",
    Rule.V23_STATISTICS.name or "": "outside its statistics",
    Rule.V24_INSTANT.name or "": "impossible instant",
    Rule.V25_PREVIOUS.name or "": "follows a failed reading",
    Rule.V26_USAGE_HOURS.name or "": "more hours than the period has",
    Rule.V27_STUCK.name or "": "does not change",
    Rule.V28_LEAK.name or "": "flows at night",
    Rule.V29_HEAT.name or "": "temperatures contradict the energy",
    Rule.CONFIRMED_LATER.name or "": "confirmed by later readings",
}

#: Steps of the register that are no use.
EVENTS: dict[str, str] = {
    "rollover": "register rolled over",
    "step_up": "unexplained step up, not counted as use",
    "step_down": "unexplained step down, not counted as use",
    "rebase": "first reading of the new register",
    "exchange": "meter exchanged",
    "reset": "register reset",
    "multiplier": "multiplier changed",
}

#: Kinds of alert.
ALERTS: dict[str, str] = {
    "leak": "Leak",
    "burst": "Burst",
    "reverse": "Reverse flow",
    "stuck": "Stuck meter",
    "offline": "Not reporting",
    "bad_read": "Bad readings",
}

#: Why readings are kept back.
REASONS: dict[str, str] = {
    "meter.unknown": "Meter is not registered",
    "channel.unknown": "Product has no such channel",
    "unit.mismatch": "Unit does not fit the channel",
    "value.resolution": "Finer than the channel's last digit",
    "value.dial": "Does not fit the register's digits",
    "instant.implausible": "Impossible instant",
    "interval.alignment": "Not on the interval's grid",
    "reading.conflict": "Contradicts a reading that counts more",
}


def rule_text(name: str) -> str:
    """What a rule says; an unknown rule speaks for itself."""
    return RULES.get(name, name)


def rule_code(name: str) -> str:
    """Short code of a rule: `V17_NEGATIVE` is V17; marks of the chain have none."""
    head = name.split("_", 1)[0]
    return head if head[:1] == "V" and head[1:].isdigit() else ""


def event_text(kind: str) -> str:
    """What a step of the register means."""
    return EVENTS.get(kind, humanise(kind))


def alert_text(kind: str) -> str:
    """Name of a kind of alert."""
    return ALERTS.get(kind, humanise(kind).capitalize())


def reason_text(reason: str) -> str:
    """Why readings are in quarantine."""
    return REASONS.get(reason, humanise(reason).capitalize())


def humanise(code: str) -> str:
    """A code nobody wrote words for, as readable as it can be."""
    return code.replace("_", " ").replace(".", ": ", 1).replace(".", " ")
