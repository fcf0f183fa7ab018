"""The product templates that come with the platform."""

from __future__ import annotations

import pytest

from services.devices.domain.meters import MAKER_CHARS_MAX
from services.devices.domain.products import read_product
from services.devices.templates import load, names
from services.metering import obis
from services.metering.products import ChannelKind


def test_there_is_one_for_each_commodity() -> None:
    """Names of templates are the commodities."""
    assert tuple(names()) == obis.COMMODITIES
    assert [load(name)["commodity"] for name in names()] == names()


@pytest.mark.parametrize("name", obis.COMMODITIES)
def test_a_template_is_a_sound_product(name: str) -> None:
    """Every template passes the door and measures its own commodity in registers."""
    product = read_product(load(name)).product
    assert len(product.maker) <= MAKER_CHARS_MAX
    for channel in product.channels:
        assert obis.commodity(channel.obis) == name
        assert channel.kind is ChannelKind.REGISTER
        # A register that rolls over within a month at full load could not be followed.
        assert 10**channel.digits > channel.rate_max_per_h * 24 * 31


def test_the_numbers_are_those_of_the_field() -> None:
    """Scalers, intervals and limits of the main channels, as docs and demo rely on them."""
    main = {name: read_product(load(name)).product.channels[0] for name in names()}
    assert {
        name: (c.obis, c.unit, c.scaler, c.interval_s, c.rate_max_per_h) for name, c in main.items()
    } == {
        "electricity": ("1-0:1.8.0", "kWh", -3, 900, 49_680),
        "gas": ("7-0:3.0.0", "m3", -2, 3600, 720),
        "heat": ("6-0:1.0.0", "kWh", -2, 3600, 25_121),
        "water": ("8-0:1.0.0", "m3", -3, 3600, 3750),
    }
    assert main["water"].reverse_max == 2500
    assert main["water"].digits == 9
