"""Readings as JSON rows, turned into columns here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
import numpy as np

from services.kit.clock import to_ms
from services.kit.errors import Fault, InvalidInputError
from services.metering import obis, units
from services.metering.batch import BATCH_READINGS_MAX, ChannelRef, ReadingBatch

FAULTS_MAX = 1000
#: Digits of a value: what int64 holds with room for a change of unit.
DIGITS_MAX = 15
_Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """One reading as a person writes it."""

    meter: _Identifier
    obis: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    value: Decimal
    unit: str


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/readings."""

    readings: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=BATCH_READINGS_MAX)]
    batch_id: str = ""


def parse(body: bytes) -> tuple[str, ReadingBatch]:
    """The batch in a JSON body, and the sender's id of it.

    Raises:
        InvalidInputError: All faults by position; nothing of the body may be taken.
    """
    try:
        document = msgspec.json.decode(body, type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fault = Fault("/", "json.invalid", str(error))
        raise InvalidInputError("the body is no list of readings", faults=[fault]) from error
    faults: list[Fault] = []
    rows = _rows(document.readings, faults)
    _check_channels(rows, faults)
    if faults:
        raise InvalidInputError(f"{len(faults)} faults in the readings", faults=faults)
    return document.batch_id, to_batch(list(rows.values()))


def _rows(raw: Sequence[msgspec.Raw], faults: list[Fault]) -> dict[int, Row]:
    """Rows that can be read, by position."""
    decoder = msgspec.json.Decoder(Row)
    rows: dict[int, Row] = {}
    for number, entry in enumerate(raw):
        try:
            row = decoder.decode(entry)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            faults.append(Fault(f"/readings/{number}", "reading.invalid", str(error)))
        else:
            fault = _value_fault(number, row.value)
            if fault:
                faults.append(fault)
            rows[number] = row
        if len(faults) >= FAULTS_MAX:
            break
    return rows


def _value_fault(number: int, value: Decimal) -> Fault | None:
    if not value.is_finite():
        return Fault(f"/readings/{number}/value", "value.not_a_number", f"{value} is no quantity")
    digits = value.as_tuple()
    if len(digits.digits) > DIGITS_MAX or not -9 <= int(digits.exponent) <= 9:
        text = f"at most {DIGITS_MAX} digits, 9 of them decimals"
        return Fault(f"/readings/{number}/value", "value.digits", text)
    return None


def _check_channels(rows: Mapping[int, Row], faults: list[Fault]) -> None:
    """Codes and units repeat: each is checked once, its first reading is named."""
    first: dict[tuple[str, str], int] = {}
    for number, row in rows.items():
        first.setdefault((row.obis, row.unit), number)
    for (code, unit), number in first.items():
        try:
            obis.parse(code)
        except InvalidInputError as error:
            faults.append(Fault(f"/readings/{number}/obis", "obis.invalid", error.detail))
        if unit not in units.UNITS:
            text = f"{unit!r} is none of {', '.join(units.UNITS)}"
            faults.append(Fault(f"/readings/{number}/unit", "unit.unknown", text))


def to_batch(rows: Sequence[Row]) -> ReadingBatch:
    """Rows as columns; each (code, unit, exponent) becomes a channel of the batch."""
    meters: dict[str, int] = {}
    channels: dict[ChannelRef, int] = {}
    size = len(rows)
    meter, channel = np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int32)
    at_ms, value = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for number, row in enumerate(rows):
        exponent = int(row.value.as_tuple().exponent)
        reference = ChannelRef(row.obis, row.unit, exponent)
        meter[number] = meters.setdefault(row.meter, len(meters))
        channel[number] = channels.setdefault(reference, len(channels))
        at_ms[number] = to_ms(row.at)
        value[number] = int(row.value.scaleb(-exponent))
    return ReadingBatch(tuple(meters), tuple(channels), meter, channel, at_ms, value)
