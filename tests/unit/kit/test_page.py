"""Pages: tokens are opaque, checked, and lead through a list without a gap or a repeat."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.errors import InvalidInputError
from services.kit.page import cut, decode_token, encode_token

BAD = {
    "no base64": "!!!",
    "no JSON": base64.urlsafe_b64encode(b"{").decode(),
    "no list": base64.urlsafe_b64encode(b"7").decode(),
    "no UTF-8": base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    "too few values": encode_token("a"),
    "too many values": encode_token("a", 1, 2),
    "other kinds": encode_token(1, "a"),
    "not ASCII": "é",
    "nested without end": base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    "endless number": base64.urlsafe_b64encode(b'["a",' + b"9" * 9000 + b"]").decode(),
}


@given(text=st.text(), number=st.integers(-(2**63), 2**63 - 1))
def test_token_there_and_back(text: str, number: int) -> None:
    """The key comes back as it went in, and the token is safe in a URL."""
    token = encode_token(text[:100], number)
    assert decode_token(token, str, int) == (text[:100], number)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize("token", [None, ""])
def test_no_token_is_the_first_page(token: str | None) -> None:
    """A missing or empty token asks for the beginning."""
    assert decode_token(token, str) is None


@pytest.mark.parametrize("token", BAD.values(), ids=BAD.keys())
def test_a_foreign_token_is_refused(token: str) -> None:
    """A token we never gave is one fault at `page_token`, whatever is in it."""
    with pytest.raises(InvalidInputError) as caught:
        decode_token(token, str, int)
    assert [fault.where for fault in caught.value.faults] == ["page_token"]
    json.dumps(caught.value.as_problem())


@given(count=st.integers(0, 50), page_size=st.integers(1, 60))
def test_pages_cover_a_list_once(count: int, page_size: int) -> None:
    """Following the tokens shows each row once, in order, and then ends."""
    rows, seen, after = list(range(count)), [], -1
    while True:
        fetched = [row for row in rows if row > after][: page_size + 1]
        page = cut(fetched, page_size, lambda row: (row,))
        seen += page.items
        if page.next_page_token is None:
            break
        (after,) = decode_token(page.next_page_token, int) or (None,)
    assert seen == rows
