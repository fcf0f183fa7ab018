"""Units of measured quantities and exact conversion between those of one dimension.

Factors are exact rationals; a conversion that does not end on the channel's least digit is an
error, never a rounding.
"""

from __future__ import annotations

from fractions import Fraction

#: Unit to (dimension, factor to the dimension's base unit).
UNITS: dict[str, tuple[str, Fraction]] = {
    "m3": ("volume", Fraction(1)),
    "L": ("volume", Fraction(1, 1000)),
    "gal": ("volume", Fraction(3_785_411_784, 10**12)),  # US liquid gallon, exact by definition
    "ft3": ("volume", Fraction(28_316_846_592, 10**12)),  # exact by definition
    "Wh": ("energy", Fraction(1)),
    "kWh": ("energy", Fraction(1000)),
    "MWh": ("energy", Fraction(10**6)),
    "MJ": ("energy", Fraction(10**6, 3600)),
    "GJ": ("energy", Fraction(10**9, 3600)),
    "varh": ("reactive_energy", Fraction(1)),
    "kvarh": ("reactive_energy", Fraction(1000)),
    "W": ("power", Fraction(1)),
    "kW": ("power", Fraction(1000)),
    "m3/h": ("flow", Fraction(1)),
    "L/h": ("flow", Fraction(1, 1000)),
    "V": ("voltage", Fraction(1)),
    "A": ("current", Fraction(1)),
    "°C": ("temperature", Fraction(1)),
    "bar": ("pressure", Fraction(1)),
    "1": ("number", Fraction(1)),
}


def factor(unit: str, scaler: int, to_unit: str, to_scaler: int) -> Fraction | None:
    """What a value in `10^scaler unit` is multiplied with to be in `10^to_scaler to_unit`.

    Returns:
        The exact factor, or None when a unit is unknown or the dimensions differ.
    """
    source, target = UNITS.get(unit), UNITS.get(to_unit)
    if source is None or target is None or source[0] != target[0]:
        return None
    return source[1] / target[1] * Fraction(10) ** (scaler - to_scaler)
