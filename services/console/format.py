"""Numbers, money and instants as people read them: separators, units and zones always there.

Amounts and quantities arrive as decimal strings and are never made floats.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Undefined
from markupsafe import Markup

from services.kit.clock import from_rfc3339, to_datetime, to_rfc3339

ABSENT = "–"
_UNITS = {"m3": "m³", "m3/h": "m³/h", "ft3": "ft³", "1": ""}
_STEPS_S = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def decimal(value: Any) -> Decimal | None:
    """A number as it came, exact; None if it is none."""
    if value is None or isinstance(value, (Undefined, bool)):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def number(value: Any) -> str:
    """Digits with thousands separators, all decimals kept: `1234.50` is `1,234.50`."""
    exact = decimal(value)
    return ABSENT if exact is None else f"{exact:,f}".replace("-", "−")


def unit(text: Any) -> str:
    """A unit as it is printed: `m3` is `m³`."""
    return "" if not isinstance(text, str) else _UNITS.get(text, text)


def quantity(value: Any, of_unit: Any) -> str:
    """A number beside its unit, kept on one line by a no-break space."""
    shown = number(value)
    return shown if shown == ABSENT else f"{shown}\N{NO-BREAK SPACE}{unit(of_unit)}".rstrip()


def zone_of(name: Any) -> tuple[str, ZoneInfo]:
    """A time zone by name; UTC when it is not given or nobody knows it."""
    if isinstance(name, str) and name:
        try:
            return name, ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            pass
    return "UTC", ZoneInfo("UTC")


def at_ms(value: Any) -> int | None:
    """An instant in milliseconds, from RFC 3339 or from milliseconds; None if it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value:
        try:
            return from_rfc3339(value)
        except ValueError:
            return None
    return None


def instant(value: Any, zone: Any = None) -> Markup:
    """An instant in a zone, with the zone's abbreviation: `14 Sep 2026, 14:05 CEST`."""
    moment_ms = at_ms(value)
    if moment_ms is None:
        return Markup.escape(ABSENT)
    name, tz = zone_of(zone)
    local = to_datetime(moment_ms).astimezone(tz)
    clock = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    text = f"{local.day} {local:%b %Y}, {clock}"
    return Markup('<time datetime="{}" title="{}">{} {}</time>').format(
        to_rfc3339(moment_ms), name, text, local.tzname()
    )


def span(value_s: Any) -> str:
    """A duration in the largest unit that leaves no rest: 900 is `15 min`, 3600 is `1 h`."""
    if not isinstance(value_s, int) or value_s <= 0:
        return ABSENT
    size, name = next((s, n) for s, n in _STEPS_S if value_s % s == 0)
    return f"{value_s // size}\N{NO-BREAK SPACE}{name}"


def ago(value: Any, now_ms: int) -> str:
    """How long an instant lies back, in one unit: `3 h ago`."""
    moment_ms = at_ms(value)
    if moment_ms is None:
        return ABSENT
    past_s = (now_ms - moment_ms) // 1000
    if past_s < 0:
        return "in the future"
    if past_s < 60:
        return "just now"
    size, name = next((s, n) for s, n in _STEPS_S if past_s >= s)
    return f"{past_s // size}\N{NO-BREAK SPACE}{name} ago"


def day(value: Any) -> str:
    """A calendar day: `2026-05-01` is `1 May 2026`."""
    try:
        moment = date.fromisoformat(str(value))
    except ValueError:
        return ABSENT
    return f"{moment.day} {moment:%b %Y}"


def last_day(value: Any) -> str:
    """The last day of a period whose end is not included."""
    try:
        moment = date.fromisoformat(str(value)) - timedelta(days=1)
    except ValueError:
        return ABSENT
    return day(moment.isoformat())


def zone_label(zone: Any, now_ms: int) -> str:
    """A zone with its present offset: `Europe/Berlin (UTC+02:00)`."""
    name, tz = zone_of(zone)
    if name == "UTC":
        return name
    offset = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(tz).strftime("%z")
    return f"{name} (UTC{offset[:3]}:{offset[3:5]})"


def fact(value: Any, zone: Any = None) -> str | Markup:
    """A value nobody described: an instant if it is written as one, digits if it is a number."""
    if isinstance(value, str):
        is_instant = len(value) >= 20 and at_ms(value) is not None
        return instant(value, zone) if is_instant else value
    return str(value) if decimal(value) is None else number(value)
