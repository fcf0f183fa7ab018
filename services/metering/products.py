"""The product model: what a maker's meter type measures, and how.

One file (YAML or JSON) describes a product; everything else is derived from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.kit.errors import Fault, InvalidInputError
from services.metering import obis, units

CHANNELS_MAX = 64
DIGITS_MAX = 15
RATE_MAX = 10**12


class ChannelKind(StrEnum):
    """How values of a channel are to be understood."""

    REGISTER = "register"
    INTERVAL = "interval"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Channel:
    """One measured quantity of a product.

    Attributes:
        number: Position in the product, from 1; stays the same for ever.
        obis: OBIS code.
        unit: Unit of the quantity.
        scaler: Stored integers stand for `v × 10^scaler unit`.
        kind: Register, interval or instant.
        digits: A register rolls over at 10^digits least digits.
        interval_s: Seconds between readings.
        rate_max_per_h: Physical limit of one hour's use in least digits, tolerance included (V20).
        reverse_max: Backward movement taken as backflow, in least digits.
    """

    number: int
    obis: str
    unit: str
    scaler: int
    kind: ChannelKind
    digits: int
    interval_s: int
    rate_max_per_h: int
    reverse_max: int


@dataclass(frozen=True, slots=True)
class Product:
    """A maker's meter type."""

    code: str
    maker: str
    name: str
    commodity: str
    channels: tuple[Channel, ...]

    def channel(self, code: str) -> Channel | None:
        """The channel with an OBIS code, if the product has it."""
        return next((c for c in self.channels if c.obis == code), None)


class _Reader:
    """Takes typed fields from a mapping and keeps every fault."""

    def __init__(self, document: Mapping[str, Any], where: str, faults: list[Fault]) -> None:
        self._document = document
        self._where = where
        self._faults = faults

    def fault(self, name: str, code: str, detail: str) -> None:
        """Note a fault of a field."""
        self._faults.append(Fault(f"{self._where}/{name}", f"product.{code}", detail))

    def text(self, name: str, allowed: tuple[str, ...] = ()) -> str:
        """A text, one of `allowed` where those are given."""
        value = self._document.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= 200:
            self.fault(name, "text", f"{name} must be a text of 1 to 200 characters")
            return ""
        if allowed and value not in allowed:
            self.fault(name, "choice", f"{value!r} is none of {', '.join(allowed)}")
        return value

    def number(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from `low` to `high`."""
        value = self._document.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fault(name, "number", f"{name} must be a whole number from {low} to {high}")
            return low
        return value


def from_document(document: Mapping[str, Any]) -> Product:
    """A product from its file.

    Raises:
        InvalidInputError: With all faults of the file at once, by JSON pointer.
    """
    faults: list[Fault] = []
    reader = _Reader(document, "", faults)
    product = Product(
        code=reader.text("code"),
        maker=reader.text("maker"),
        name=reader.text("name"),
        commodity=reader.text("commodity", obis.COMMODITIES),
        channels=_channels(document.get("channels"), faults),
    )
    if faults:
        raise InvalidInputError(
            f"{len(faults)} faults in the product", faults=faults, code="product.invalid"
        )
    return product


def _channels(entries: Any, faults: list[Fault]) -> tuple[Channel, ...]:
    if not isinstance(entries, list) or not 1 <= len(entries) <= CHANNELS_MAX:
        text = f"channels must be a list of 1 to {CHANNELS_MAX}"
        faults.append(Fault("/channels", "product.channels", text))
        return ()
    channels = []
    for index, entry in enumerate(entries):
        where = f"/channels/{index}"
        if not isinstance(entry, Mapping):
            faults.append(Fault(where, "product.channel", "a channel is a mapping"))
            continue
        channels.append(_channel(_Reader(entry, where, faults)))
    for name in ("number", "obis"):
        values = [getattr(c, name) for c in channels]
        if len(set(values)) != len(values):
            faults.append(Fault("/channels", f"product.{name}_twice", f"each {name} stands once"))
    return tuple(channels)


def _channel(reader: _Reader) -> Channel:
    channel = Channel(
        number=reader.number("number", 1, CHANNELS_MAX),
        obis=reader.text("obis"),
        unit=reader.text("unit", tuple(units.UNITS)),
        scaler=reader.number("scaler", -9, 9),
        kind=_kind(reader),
        digits=reader.number("digits", 1, DIGITS_MAX, default=9),
        interval_s=reader.number("interval_s", 1, 31 * 86_400, default=3600),
        rate_max_per_h=reader.number("rate_max_per_h", 1, RATE_MAX),
        reverse_max=reader.number("reverse_max", 0, 10**DIGITS_MAX, default=0),
    )
    try:
        obis.parse(channel.obis)
    except InvalidInputError as error:
        reader.fault("obis", "obis", error.detail)
    return channel


def _kind(reader: _Reader) -> ChannelKind:
    text = reader.text("kind", tuple(ChannelKind))
    return ChannelKind(text) if text in tuple(ChannelKind) else ChannelKind.REGISTER
