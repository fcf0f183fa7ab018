"""Example tariffs that come with the platform, to use as they are or to write one's own from."""

from __future__ import annotations

import importlib.resources
from typing import Any

from services.billing.rating.parse import read_document

_FOLDER = importlib.resources.files("services.billing") / "tariffs"


def load(name: str) -> dict[str, Any]:
    """The document of an example tariff, decimals as texts, as `POST /v1/tariffs` takes it.

    Raises:
        FileNotFoundError: There is no such example.
    """
    return read_document((_FOLDER / f"{name}.yaml").read_bytes())
