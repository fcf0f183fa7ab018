"""The one spelling of inputs."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.billing.rating.canonical import canonical_json, digest

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(value=_VALUES)
def test_a_value_that_went_through_a_database_has_the_same_digest(value: Any) -> None:
    """Order of keys and a round trip through JSON change nothing; nothing is lost."""
    text = canonical_json(value)
    assert json.loads(text) == value
    assert digest(json.loads(json.dumps(value))) == digest(value)


def test_keys_are_sorted_and_nothing_is_escaped_beyond_need() -> None:
    """The bytes are those RFC 8785 asks for."""
    assert canonical_json({"b": [1, "é"], "a": {"d": None, "c": True}}) == (
        '{"a":{"c":true,"d":null},"b":[1,"é"]}'.encode()
    )
