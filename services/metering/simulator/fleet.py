"""What is simulated: supplies, the meters on them, and the faults that are planted.

A plan is plain data. Two plans with the same supply give that supply the same curve, however many
other supplies stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.kit.errors import Fault, InvalidInputError
from services.metering import obis, units
from services.metering.products import DIGITS_MAX, Channel, ChannelKind, Product
from services.metering.simulator.shapes import Role
from services.metering.simulator.weather import DAY_MS

#: Beyond this `uniform.UniformLoad` is the right tool; curves of a day fit in memory below it.
METERS_MAX = 100_000
FAULTS_MAX = 100_000
#: A late or doubled reading comes at most this long after it was due.
DELAY_S_MAX = 7 * 86_400
SEND_SPREAD_S_MAX = 3_600
NEVER_MS = 1 << 62


class FaultKind(StrEnum):
    """What can be wrong with a meter, and what the magnitude of each means."""

    #: More flow, without a pause: magnitude in least digits an hour.
    LEAK = "leak"
    #: The same, for hours and large.
    BURST = "burst"
    #: The register runs backwards: magnitude in least digits an hour.
    BACKFLOW = "backflow"
    #: The register stands still; what was used meanwhile is lost. No magnitude.
    STUCK = "stuck"
    #: A part of the use passes by the meter: magnitude in thousandths of the use.
    THEFT = "theft"
    #: The register starts anew from `magnitude` at `start_ms`.
    RESET = "reset"
    #: The first use from `start_ms` on carries the dial past its end. No magnitude. Benign.
    ROLLOVER = "rollover"
    #: The one reading at `start_ms` shows `magnitude` least digits too much.
    WILD = "wild"
    #: Readings are never delivered. No magnitude.
    OFFLINE = "offline"
    #: Readings come `magnitude` seconds late, behind those that follow the fault.
    LATE = "late"
    #: Readings come a second time, `magnitude` seconds later.
    DUPLICATES = "duplicates"


#: Happen at `start_ms` and never end.
MOMENTS = frozenset({FaultKind.RESET, FaultKind.ROLLOVER, FaultKind.WILD})
DELIVERY_KINDS = frozenset({FaultKind.OFFLINE, FaultKind.LATE, FaultKind.DUPLICATES})
#: Faults of the whole device; the others concern the channel with the role USE alone.
DEVICE_KINDS = DELIVERY_KINDS | {FaultKind.STUCK, FaultKind.RESET}
_MAGNITUDE_MAX = {
    # Ten years of such a flow still fit int64 while they are counted in milliseconds.
    FaultKind.LEAK: 10**7,
    FaultKind.BURST: 10**7,
    FaultKind.BACKFLOW: 10**7,
    FaultKind.THEFT: 1_000,
    FaultKind.LATE: DELAY_S_MAX,
    FaultKind.DUPLICATES: DELAY_S_MAX,
}


@dataclass(frozen=True, slots=True)
class PlantedFault:
    """The truth about one fault.

    Attributes:
        meter: Identifier, `maker:serial`.
        kind: What is wrong.
        start_ms: Readings after this instant show a flow fault; readings from it on the others.
        end_ms: Where it ends, exclusive for deliveries; None while it lasts.
        magnitude: As `FaultKind` says, never negative.
    """

    meter: str
    kind: FaultKind
    start_ms: int
    end_ms: int | None = None
    magnitude: int = 0

    @property
    def until_ms(self) -> int:
        """The end, or an instant that never comes."""
        return NEVER_MS if self.end_ms is None else self.end_ms


@dataclass(frozen=True, slots=True)
class Supply:
    """Where a customer is supplied, and who lives there.

    Attributes:
        name: Name of the service point.
        commodity: water, gas, electricity or heat.
        key: 63 random bits that decide the household's habits.
        persons: How many live there.
        area_m2: Heated floor.
        pv_kw: Peak power of a roof that exports, 0 without one.
        cooled: Whether there is air conditioning.
        address: Street and number.
        zone: Node of the supply network.
    """

    name: str
    commodity: str
    key: int
    persons: int = 2
    area_m2: float = 90.0
    pv_kw: float = 0.0
    cooled: bool = False
    address: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True)
class VirtualMeter:
    """One device on a supply.

    Attributes:
        product: What it measures.
        serial: The maker's number.
        supply: Index into the plan's supplies.
        first_register: Register of each channel at `first_ms`, in least digits.
        first_ms: Installed at; it reads from this instant on, inclusive.
        last_ms: Removed at, exclusive; None while it is there.
    """

    product: Product
    serial: str
    supply: int
    first_register: tuple[int, ...]
    first_ms: int
    last_ms: int | None = None

    @property
    def identifier(self) -> str:
        """The canonical name, `maker:serial`."""
        return f"{self.product.maker}:{self.serial}"

    @property
    def until_ms(self) -> int:
        """When it was removed, or an instant that never comes."""
        return NEVER_MS if self.last_ms is None else self.last_ms


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """A fleet, complete: the same plan gives the same readings for ever.

    Attributes:
        name: Short name, the beginning of batch ids.
        seed: Decides the weather.
        time_zone: IANA name of the zone people live by.
        start_ms: Nothing is read before; midnight UTC. Registers grow from here.
        supplies: Where there are customers.
        meters: The devices.
        faults: What is planted.
        send_spread_s: Each meter sends its readings with a delay of its own up to this.

    Raises:
        InvalidInputError: The plan contradicts itself; every fault is listed.
    """

    name: str
    seed: int
    time_zone: str
    start_ms: int
    supplies: tuple[Supply, ...]
    meters: tuple[VirtualMeter, ...]
    faults: tuple[PlantedFault, ...] = ()
    send_spread_s: int = 0

    def __post_init__(self) -> None:
        faults = [*_plan_faults(self), *_meter_faults(self), *_planted_faults(self)]
        if faults:
            text = f"{len(faults)} faults in the plan of the fleet"
            raise InvalidInputError(text, faults=faults, code="fleet.invalid")

    def truth(self, from_ms: int, until_ms: int) -> tuple[PlantedFault, ...]:
        """The planted faults that touch [from_ms, until_ms)."""
        return tuple(
            f
            for f in self.faults
            if f.start_ms < until_ms and (f.kind in MOMENTS or f.until_ms > from_ms)
            if f.kind not in MOMENTS or f.start_ms >= from_ms
        )


def role(channel: Channel) -> Role | None:
    """What a channel measures of a household; None where the simulator has nothing to show.

    Registers and intervals of active energy and volume are simulated; reactive energy, tariff
    registers and instantaneous values are not.
    """
    medium, _, quantity, processing, rate, _ = obis.parse(channel.obis)
    dimension = units.UNITS[channel.unit][0]
    if channel.kind is ChannelKind.INSTANT or rate not in (0, 255):
        return None
    commodity = obis.COMMODITY_OF_MEDIUM.get(medium)
    if commodity == "electricity" and dimension == "energy" and processing in (8, 29):
        return {1: Role.USE, 2: Role.EXPORT}.get(quantity)
    if commodity == "heat" and quantity in (1, 2):
        return {"energy": Role.USE, "volume": Role.VOLUME}.get(dimension)
    if commodity in ("water", "gas") and dimension == "volume":
        return Role.USE
    return None


def least_digits(channel: Channel) -> Fraction:
    """Least digits of a channel in one litre or one watt-hour."""
    base = "Wh" if units.UNITS[channel.unit][0] == "energy" else "L"
    ratio = units.factor(base, 0, channel.unit, channel.scaler)
    assert ratio is not None, "asked for a channel without a role"
    return ratio


def main_channel(product: Product) -> Channel | None:
    """The channel that flow faults concern: the first with the role USE."""
    return next((c for c in product.channels if role(c) is Role.USE), None)


def _plan_faults(plan: FleetPlan) -> Iterator[Fault]:
    bounds = {
        "meters": (len(plan.meters), 1, METERS_MAX),
        "faults": (len(plan.faults), 0, FAULTS_MAX),
        "send_spread_s": (plan.send_spread_s, 0, SEND_SPREAD_S_MAX),
    }
    for name, (value, low, high) in bounds.items():
        if not low <= value <= high:
            yield Fault(f"/{name}", "fleet.range", f"{value} is not within {low}…{high}")
    if plan.start_ms % DAY_MS:
        yield Fault("/start_ms", "fleet.start", "a fleet starts at midnight UTC")
    try:
        ZoneInfo(plan.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        yield Fault("/time_zone", "fleet.time_zone", f"{plan.time_zone!r} is no IANA time zone")


def _meter_faults(plan: FleetPlan) -> Iterator[Fault]:
    seen: set[str] = set()
    for number, meter in enumerate(plan.meters):
        where = f"/meters/{number}"
        if meter.identifier in seen:
            yield Fault(where, "fleet.meter_twice", f"{meter.identifier} stands there twice")
        seen.add(meter.identifier)
        if not 0 <= meter.supply < len(plan.supplies):
            yield Fault(where, "fleet.supply", f"there is no supply {meter.supply}")
        elif plan.supplies[meter.supply].commodity != meter.product.commodity:
            text = f"a {meter.product.commodity} meter on another commodity's supply"
            yield Fault(where, "fleet.commodity", text)
        if not plan.start_ms <= meter.first_ms < meter.until_ms:
            yield Fault(where, "fleet.life", "first_ms must be from start_ms on, before last_ms")
        yield from _channel_faults(meter, where)


def _channel_faults(meter: VirtualMeter, where: str) -> Iterator[Fault]:
    channels = meter.product.channels
    if len(meter.first_register) != len(channels):
        text = f"{len(meter.first_register)} first registers for {len(channels)} channels"
        yield Fault(f"{where}/first_register", "fleet.registers", text)
        return
    if main_channel(meter.product) is None:
        text = f"product {meter.product.code} has no register of use"
        yield Fault(f"{where}/product", "fleet.product", text)
    for channel, register in zip(channels, meter.first_register, strict=True):
        step_ms = channel.interval_s * 1000
        if DAY_MS % step_ms:
            text = f"channel {channel.number}: {channel.interval_s} s is no whole part of a day"
            yield Fault(f"{where}/product", "fleet.interval", text)
        elif meter.first_ms % step_ms or (meter.until_ms != NEVER_MS and meter.until_ms % step_ms):
            text = f"channel {channel.number}: installed or removed between two readings"
            yield Fault(where, "fleet.life", text)
        if not 0 <= register < 10**channel.digits:
            text = f"channel {channel.number}: {register} does not fit {channel.digits} digits"
            yield Fault(f"{where}/first_register", "fleet.registers", text)


def _planted_faults(plan: FleetPlan) -> Iterator[Fault]:
    meters = {meter.identifier: meter for meter in plan.meters}
    for number, planted in enumerate(plan.faults):
        where = f"/faults/{number}"
        meter = meters.get(planted.meter)
        if meter is None:
            yield Fault(where, "fleet.meter", f"there is no meter {planted.meter}")
            continue
        steps_ms = [channel.interval_s * 1000 for channel in meter.product.channels]
        instants = [planted.start_ms, *([] if planted.end_ms is None else [planted.end_ms])]
        if any(instant % step_ms for instant in instants for step_ms in steps_ms):
            yield Fault(where, "fleet.instant", "a fault starts and ends at a reading")
        if not meter.first_ms <= planted.start_ms < planted.until_ms:
            yield Fault(where, "fleet.order", "a fault starts within the meter's life, then ends")
        high = _MAGNITUDE_MAX.get(planted.kind, 10**DIGITS_MAX)
        if not 0 <= planted.magnitude <= high:
            yield Fault(where, "fleet.magnitude", f"{planted.magnitude} is not within 0…{high}")
