"""Installations: which meter stood at which service point, when, with which multiplier."""

from __future__ import annotations

import uuid
from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from services.devices.domain.intake import Intake, Item, Line
from services.devices.domain.life_cycle import IllegalStepError, MeterState, after_installing
from services.kit.clock import from_rfc3339, to_rfc3339
from services.kit.errors import Fault, InvalidInputError

#: Instants of installations lie between these: 1900 and 2200.
FROM_MS_MIN = from_rfc3339("1900-01-01T00:00:00Z")
TO_MS_MAX = from_rfc3339("2200-01-01T00:00:00Z")
#: A state follows from what has happened, so nothing is entered further ahead than clocks and
#: work orders of the same day differ.
AHEAD_MS_MAX = 24 * 3_600_000
#: Installations of one meter; keeps its event on the log within one record.
INSTALLATIONS_MAX = 500
_FOREVER_MS = 2**63


def _parse_instant(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError("an instant is a text like 2026-01-31T00:00:00Z")  # noqa: TRY004 - pydantic
    at_ms = from_rfc3339(value)
    if not FROM_MS_MIN <= at_ms <= TO_MS_MAX:
        raise ValueError("an instant lies between the years 1900 and 2200")
    return at_ms


def _refuse_float(value: Any) -> Any:
    if isinstance(value, float | bool):
        raise ValueError('write decimals as text, like "1.25"')  # noqa: TRY004 - pydantic
    return value


#: RFC 3339 outside, milliseconds since the epoch inside.
Instant = Annotated[int, BeforeValidator(_parse_instant, json_schema_input_type=str)]
_Exact = BeforeValidator(_refuse_float, json_schema_input_type=str)
Multiplier = Annotated[Decimal, _Exact, Field(gt=0, max_digits=12, decimal_places=6)]
#: In the unit of the meter's first channel.
Register = Annotated[Decimal, _Exact, Field(ge=0, max_digits=18, decimal_places=9)]


class NewInstallation(Item):
    """An installation to be entered.

    Attributes:
        meter: Any identifier of the meter, the canonical one for preference.
        service_point: The service point's name.
        from_ms: When it began; `from` outside.
        to_ms: When it ended, if it has; `to` outside.
        multiplier: What differences of the register are multiplied with (transformers).
        first_register: The register at the beginning, in the unit of the first channel.
        last_register: The register at the end.
    """

    meter: Line
    service_point: Line
    from_ms: Annotated[Instant, Field(alias="from")]
    to_ms: Annotated[Instant | None, Field(alias="to")] = None
    multiplier: Multiplier = Decimal(1)
    first_register: Register | None = None
    last_register: Register | None = None

    @model_validator(mode="after")
    def _check_span(self) -> NewInstallation:
        if self.to_ms is not None and self.to_ms <= self.from_ms:
            raise ValueError("'to' lies after 'from'")
        if self.last_register is not None and self.to_ms is None:
            raise ValueError("'last_register' goes with 'to'")
        return self


class Removal(Item):
    """The end of an installation.

    Attributes:
        at_ms: When the meter was taken away; `at` outside.
        last_register: The register then, in the unit of the first channel.
    """

    at_ms: Annotated[Instant, Field(alias="at")]
    last_register: Register | None = None


@dataclass(frozen=True, slots=True)
class Installation:
    """A meter at a service point in [from_ms, to_ms); it stands while to_ms is None."""

    installation_id: uuid.UUID
    meter_id: int
    meter: str
    service_point_id: int
    service_point: str
    time_zone: str
    zone: str
    from_ms: int
    to_ms: int | None
    multiplier: Decimal
    first_register: Decimal | None
    last_register: Decimal | None


@dataclass(frozen=True, slots=True)
class Target:
    """What an installation needs to know of its meter or service point."""

    target_id: int
    commodity: str


class Calendar:
    """Spans during which something is occupied, none of which overlap."""

    def __init__(self, spans: Iterable[tuple[int, int | None]] = ()) -> None:
        self._spans = sorted((a, _FOREVER_MS if b is None else b) for a, b in spans)

    def __len__(self) -> int:
        return len(self._spans)

    def take(self, from_ms: int, to_ms: int | None) -> bool:
        """Occupy [from_ms, to_ms); False, and nothing changed, if any of it is occupied."""
        end_ms = _FOREVER_MS if to_ms is None else to_ms
        place = bisect_right(self._spans, (from_ms, _FOREVER_MS))
        if place and self._spans[place - 1][1] > from_ms:
            return False
        if place < len(self._spans) and self._spans[place][0] < end_ms:
            return False
        insort(self._spans, (from_ms, end_ms))
        return True


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is stored of the meters and service points that new installations name.

    Attributes:
        meters: By the identifier the request used.
        service_points: By name.
        states: States of those meters, by meter id; `check_installations` moves them on.
        meter_calendars: When each meter stood anywhere, by meter id.
        point_calendars: When each service point had a meter, by service point id.
    """

    meters: Mapping[str, Target]
    service_points: Mapping[str, Target]
    states: dict[int, MeterState]
    meter_calendars: Mapping[int, Calendar]
    point_calendars: Mapping[int, Calendar]


def check_installations(intake: Intake[NewInstallation], around: Surroundings, now_ms: int) -> None:
    """Note everything that speaks against these installations, and move the meters' states on."""
    for index, new in intake.items.items():
        meter = around.meters.get(new.meter)
        point = around.service_points.get(new.service_point)
        if meter is None:
            text = f"no meter is called {new.meter!r}"
            intake.fault(index, "meter", "installation.meter_unknown", text)
        if point is None:
            text = f"no service point is called {new.service_point!r}"
            intake.fault(index, "service_point", "installation.service_point_unknown", text)
        for name, at_ms in (("from", new.from_ms), ("to", new.to_ms)):
            if at_ms is not None and at_ms > now_ms + AHEAD_MS_MAX:
                text = f"{to_rfc3339(at_ms)} is more than a day ahead"
                intake.fault(index, name, "installation.ahead", text)
        if meter is not None and point is not None:
            _check_pair(intake, index, meter, point, around)


def _check_pair(
    intake: Intake[NewInstallation], index: int, meter: Target, point: Target, around: Surroundings
) -> None:
    new = intake.items[index]
    if meter.commodity != point.commodity:
        text = f"a {meter.commodity} meter at a service point for {point.commodity}"
        intake.fault(index, "meter", "installation.commodity_differs", text)
    meter_calendar = around.meter_calendars[meter.target_id]
    if len(meter_calendar) >= INSTALLATIONS_MAX:
        text = f"{INSTALLATIONS_MAX} installations of one meter are the most"
        intake.fault(index, "meter", "installation.too_many", text)
        return
    meter_free = meter_calendar.take(new.from_ms, new.to_ms)
    if not meter_free:
        text = f"meter {new.meter!r} is installed elsewhere or here in that time"
        intake.fault(index, "meter", "installation.overlap", text)
    if not around.point_calendars[point.target_id].take(new.from_ms, new.to_ms):
        text = f"service point {new.service_point!r} has a meter in that time"
        intake.fault(index, "service_point", "installation.overlap", text)
    if not meter_free:
        # A meter that stands cannot be installed: the overlap has said so.
        return
    try:
        state = after_installing(around.states[meter.target_id], ended=new.to_ms is not None)
    except IllegalStepError as error:
        intake.fault(index, "meter", error.code, error.detail)
    else:
        around.states[meter.target_id] = state


def check_removal(installation: Installation, removal: Removal, now_ms: int) -> None:
    """Refuse an end that lies before the beginning or too far ahead.

    Raises:
        InvalidInputError: With the fault of `at`.
    """
    faults = []
    if removal.at_ms <= installation.from_ms:
        text = f"the installation began at {to_rfc3339(installation.from_ms)}"
        faults.append(Fault("/at", "installation.span", text))
    if removal.at_ms > now_ms + AHEAD_MS_MAX:
        faults.append(Fault("/at", "installation.ahead", "more than a day ahead"))
    if faults:
        raise InvalidInputError(faults[0].detail, faults=faults, code=faults[0].code)
