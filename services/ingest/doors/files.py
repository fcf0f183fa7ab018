"""Readings as CSV or Parquet: columns from the start, mapped by name, wall times localised."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from services.kit.errors import Fault, InvalidInputError
from services.metering import obis, units
from services.metering.batch import ChannelRef, Origin, ReadingBatch
from services.metering.walltime import to_utc_ms

#: Rows of one file; a longer history comes in several.
ROWS_MAX = 5_000_000
FAULTS_MAX = 1000
#: Decimals a value of a file may have.
DECIMALS_MAX = 6


@dataclass(frozen=True, slots=True)
class Mapping:
    """How a file's columns are to be read.

    Attributes:
        meter: Column of the meter's identifier.
        at: Column of the instant or wall time.
        value: Column of the value.
        obis: Channel of all readings.
        unit: Unit of the values.
        zone: Zone of the clock, needed where `at` has no offset from UTC.
    """

    meter: str = "meter"
    at: str = "at"
    value: str = "value"
    obis: str = ""
    unit: str = ""
    zone: str = ""

    def check(self) -> None:
        """Refuse a mapping that cannot work.

        Raises:
            InvalidInputError: All faults at once.
        """
        faults = []
        try:
            obis.parse(self.obis)
        except InvalidInputError as error:
            faults.append(Fault("obis", "obis.invalid", error.detail))
        if self.unit not in units.UNITS:
            text = f"{self.unit!r} is none of {', '.join(units.UNITS)}"
            faults.append(Fault("unit", "unit.unknown", text))
        if self.zone:
            try:
                ZoneInfo(self.zone)
            except (ZoneInfoNotFoundError, ValueError):
                text = f"{self.zone!r} is no IANA time zone"
                faults.append(Fault("zone", "zone.unknown", text))
        if faults:
            raise InvalidInputError("the mapping has faults", faults=faults)


def parse(body: bytes, content_type: str, mapping: Mapping) -> ReadingBatch:
    """The readings of a file in the order of its rows.

    Raises:
        InvalidInputError: All faults by row (the first row of data is 1), at most `FAULTS_MAX`;
            nothing of the file may be taken.
    """
    mapping.check()
    table = _table(body, content_type, mapping)
    faults: list[Fault] = []
    identifiers, meter = _meters(table[mapping.meter], mapping.meter, faults)
    value, scaler = _values(table[mapping.value], mapping.value, faults)
    at_ms = _instants(table[mapping.at], mapping, meter, faults)
    if faults:
        raise InvalidInputError(f"{len(faults)} faults in the file", faults=faults[:FAULTS_MAX])
    return ReadingBatch(
        meters=identifiers,
        channels=(ChannelRef(mapping.obis, mapping.unit, scaler),),
        meter=meter,
        channel=np.zeros(len(meter), dtype=np.int32),
        at_ms=at_ms,
        value=value,
        origin=Origin(payload_digest=hashlib.sha256(body).digest()),
    )


def _table(body: bytes, content_type: str, mapping: Mapping) -> pa.Table:
    names = [mapping.meter, mapping.at, mapping.value]
    readers: dict[str, Callable[[], pa.Table]] = {
        "text/csv": lambda: pyarrow.csv.read_csv(
            io.BytesIO(body),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={mapping.meter: pa.string(), mapping.value: pa.string()}
            ),
        ),
        "application/vnd.apache.parquet": lambda: pyarrow.parquet.read_table(io.BytesIO(body)),
    }
    reader = readers.get(content_type.partition(";")[0].strip())
    if reader is None:
        fault = Fault("Content-Type", "file.type", f"{content_type!r}; send {' or '.join(readers)}")
        raise InvalidInputError("the file is of no known type", faults=[fault])
    try:
        table = reader()
    except (pa.ArrowException, OSError) as error:
        fault = Fault("byte 0", "file.broken", str(error)[:500])
        raise InvalidInputError("the file cannot be read", faults=[fault]) from error
    faults = [
        Fault(f"column {name}", "file.column", f"missing; there are {table.column_names}")
        for name in names
        if name not in table.column_names
    ]
    if table.num_rows > ROWS_MAX:
        text = f"{table.num_rows} rows; at most {ROWS_MAX} in one file"
        faults.append(Fault("file", "file.too_long", text))
    if faults:
        raise InvalidInputError("the file does not fit the mapping", faults=faults)
    return table.select(names).combine_chunks()


def _meters(
    column: pa.ChunkedArray, name: str, faults: list[Fault]
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    encoded = pc.dictionary_encode(pc.cast(column, pa.string())).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], pa.string())
    identifiers = tuple(encoded.dictionary.to_pylist()) if len(column) else ()
    index = encoded.indices if len(column) else pa.array([], pa.int32())
    _add_rows(faults, pc.is_null(index), name, "meter.missing", "no identifier")
    for number, identifier in enumerate(identifiers):
        if not 0 < len(identifier) <= 100:
            hit = pc.equal(index, number)
            _add_rows(faults, hit, name, "meter.invalid", "1 to 100 characters")
    return identifiers, pc.fill_null(index, 0).to_numpy(zero_copy_only=False).astype(np.int32)


def _values(
    column: pa.ChunkedArray, name: str, faults: list[Fault]
) -> tuple[NDArray[np.int64], int]:
    """Values as integers and the power of ten they stand for."""
    _add_rows(faults, pc.is_null(column), name, "value.missing", "no value")
    if pa.types.is_integer(column.type):
        whole = pc.fill_null(column, 0).to_numpy().astype(np.int64)
        return whole, 0
    texts = pc.cast(column, pa.string()).to_pylist()
    return _decimals(texts, name, faults)


def _decimals(
    texts: list[str | None], name: str, faults: list[Fault]
) -> tuple[NDArray[np.int64], int]:
    """Decimal texts as integers of one common exponent; exact, a float never comes in between."""
    value = np.zeros(len(texts), dtype=np.int64)
    for number, text in enumerate(texts):
        whole, _, part = (text or "0").strip().partition(".")
        digits = whole.lstrip("+-") + part
        if not digits.isascii() or not digits.isdigit() or len(part) > DECIMALS_MAX:
            fault = f"{text!r} is no number of at most {DECIMALS_MAX} decimals"
            faults.append(Fault(f"row {number + 1}, column {name}", "value.not_a_number", fault))
        elif len(digits) > 15:
            fault = f"{text!r} has more than 15 digits"
            faults.append(Fault(f"row {number + 1}, column {name}", "value.digits", fault))
        else:
            size = int(whole.lstrip("+-") or "0") * 10**DECIMALS_MAX
            size += int(part.ljust(DECIMALS_MAX, "0") or "0")
            value[number] = -size if whole.startswith("-") else size
        if len(faults) >= FAULTS_MAX:
            break
    # The fewest decimals that hold all: a batch in whole litres should say so.
    scaler = -DECIMALS_MAX
    while scaler < 0 and not (value % 10).any():
        value //= 10
        scaler += 1
    return value, scaler


def _instants(
    column: pa.ChunkedArray, mapping: Mapping, meter: NDArray[np.int32], faults: list[Fault]
) -> NDArray[np.int64]:
    name = mapping.at
    if not pa.types.is_timestamp(column.type):
        try:
            column = pc.cast(pc.cast(column, pa.string()), pa.timestamp("ms", "UTC"))
        except pa.ArrowInvalid:
            try:
                column = pc.cast(pc.cast(column, pa.string()), pa.timestamp("ms"))
            except pa.ArrowInvalid as error:
                faults.append(Fault(f"column {name}", "instant.invalid", str(error)[:300]))
                return np.zeros(len(column), dtype=np.int64)
    _add_rows(faults, pc.is_null(column), name, "instant.missing", "no instant")
    wall_ms = pc.cast(column, pa.timestamp("ms", column.type.tz), safe=False)
    plain: NDArray[np.int64] = pc.fill_null(pc.cast(wall_ms, pa.int64()), 0).to_numpy()
    if column.type.tz:
        return plain
    if not mapping.zone:
        text = "instants have no offset from UTC: name the zone of the clock"
        faults.append(Fault("zone", "zone.missing", text))
        return plain
    at_ms, never = to_utc_ms(plain, mapping.zone, meter)
    text = f"this wall time never was in {mapping.zone}: the clock was put forward"
    _add_rows(faults, pa.array(never), name, "instant.never", text)
    return at_ms


def _add_rows(faults: list[Fault], hit: Any, column: str, code: str, text: str) -> None:
    rows = np.flatnonzero(np.asarray(hit))[: max(0, FAULTS_MAX - len(faults))]
    faults += [Fault(f"row {row + 1}, column {column}", code, text) for row in rows.tolist()]
