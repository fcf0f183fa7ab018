"""Product files at the door: bounded, storable, and told apart by their content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.devices.domain.meters import MAKER_CHARS_MAX
from services.kit.errors import Fault, InvalidInputError, TooLargeError
from services.metering.products import Product, from_document

DOCUMENT_BYTES_MAX = 65_536
DOCUMENT_DEPTH_MAX = 32
#: A code stands in addresses (`/v1/products/{code}`).
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


@dataclass(frozen=True, slots=True)
class ProductFile:
    """A product file that may be stored.

    Attributes:
        product: What it says.
        content: The file as it came.
        digest: SHA-256 of its canonical JSON: the same content has the same.
    """

    product: Product
    content: Mapping[str, Any]
    digest: bytes


def read_product(body: Any) -> ProductFile:
    """Check a product file.

    Raises:
        InvalidInputError: With all faults at once, by JSON pointer.
        TooLargeError: More than DOCUMENT_BYTES_MAX bytes.
    """
    if not isinstance(body, dict) or not _shallow(body, DOCUMENT_DEPTH_MAX):
        text = f"a product is a JSON object of at most {DOCUMENT_DEPTH_MAX} levels"
        raise InvalidInputError(text, faults=[Fault("", "product.form", text)])
    faults = [*_text_faults(body)]
    try:
        product = from_document(body)
    except InvalidInputError as error:
        raise InvalidInputError(
            error.detail, faults=[*error.faults, *faults], code="product.invalid"
        ) from error
    if faults:
        raise InvalidInputError(faults[0].detail, faults=faults, code="product.invalid")
    return ProductFile(product, body, hashlib.sha256(_canonical(body)).digest())


def _shallow(value: Any, levels: int) -> bool:
    children = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return True
    return levels > 0 and all(_shallow(child, levels - 1) for child in children)


def _text_faults(body: Mapping[str, Any]) -> list[Fault]:
    faults = []
    code, maker = body.get("code"), body.get("maker")
    if isinstance(code, str) and code and not _CODE.fullmatch(code):
        text = "a code has up to 64 letters, digits and ._+-, and begins with one of the first two"
        faults.append(Fault("/code", "product.code", text))
    if isinstance(maker, str) and (
        len(maker) > MAKER_CHARS_MAX or ":" in maker or maker != maker.strip()
    ):
        text = f"a maker has up to {MAKER_CHARS_MAX} characters, no colon, no blank at the ends"
        faults.append(Fault("/maker", "product.maker", text))
    return faults


def _canonical(body: Mapping[str, Any]) -> bytes:
    """Canonical JSON: keys sorted, no blanks, UTF-8; only what PostgreSQL can keep."""
    try:
        text = json.dumps(
            body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        content = text.encode()
    except ValueError as error:
        fault = Fault("", "product.form", "no NaN, no infinity, no half of a surrogate pair")
        raise InvalidInputError(fault.detail, faults=[fault], code="product.invalid") from error
    # Without the escaped backslashes, what still looks like an escaped NUL is one.
    if "\\u0000" in text.replace("\\\\", ""):
        fault = Fault("", "product.form", "no text may have the character NUL")
        raise InvalidInputError(fault.detail, faults=[fault], code="product.invalid")
    if len(content) > DOCUMENT_BYTES_MAX:
        raise TooLargeError(f"a product file may have {DOCUMENT_BYTES_MAX} bytes")
    return content
