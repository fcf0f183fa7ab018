"""The index of channels and the snapshot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.detectors import state
from services.alerts.detectors.rules import LimitColumns
from services.alerts.detectors.state import Index, StateFullError

KEYS = st.lists(st.integers(0, 2**62), max_size=300, unique=True)


@given(groups=st.lists(KEYS, max_size=6), absent=KEYS)
def test_an_index_is_a_dictionary(groups: list[list[int]], absent: list[int]) -> None:
    """Rows are given in the order of arrival and found again; what is absent is -1."""
    index, expected = Index(), {}
    for group in groups:
        new = [key for key in group if key not in expected]
        expected |= {key: len(expected) + i for i, key in enumerate(new)}
        index.add(np.array(new, dtype=np.int64))
    keys = [*expected, *absent]
    found = index.find(np.array(keys, dtype=np.int64)).tolist()
    assert found == [expected.get(key, -1) for key in keys]
    again = Index()
    again.load(index.keys)
    assert again.find(np.array(keys, dtype=np.int64)).tolist() == found


def test_keys_that_fall_on_one_place_are_told_apart() -> None:
    """Sequential keys of one channel bit pattern collide and are found all the same."""
    keys = (np.arange(5_000, dtype=np.int64) << 40) | 1
    index = Index()
    index.add(keys)
    assert index.find(keys).tolist() == list(range(5_000))


def test_the_state_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """More channels than the bound are refused, and nothing has changed."""
    monkeypatch.setattr(state, "ROWS_MAX", 3)
    index = Index()
    index.add(np.array([5, 6], dtype=np.int64))
    with pytest.raises(StateFullError):
        index.add(np.array([7, 8], dtype=np.int64))
    assert len(index) == 2


def test_columns_grow_and_keep_what_they_hold() -> None:
    """Growing copies the old rows and fills the new ones as if they had seen nothing."""
    columns = state.empty(state.ChannelState, 2)
    columns.dry_max[:] = [4, 5]
    state.resize(columns, state.empty(state.ChannelState, 4))
    assert columns.dry_max.tolist() == [4, 5, 0, 0]
    assert columns.last_at[3] < 0


def test_a_channel_of_a_meter_costs_less_than_400_bytes() -> None:
    """State, thresholds, order and index stay within the bound of docs and issue."""
    kept = [state.empty(state.ChannelState, 1), state.empty(state.MeterState, 1)]
    limits = LimitColumns.empty(1)
    columns = [c for one in (*kept, limits) for c in state.columns_of(one).values()]
    places = 4 * (8 + 4)  # at most four places of the table a key
    index = 2 * (8 + places) + 3 * 8
    assert sum(column.nbytes for column in columns) + index <= 400


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot of a later release is not guessed at."""
    data = state.to_bytes({"a": np.zeros(1, dtype=np.int64)})
    assert list(state.from_bytes(data)) == ["a"]
    monkeypatch.setattr(state, "SNAPSHOT_VERSION", 2)
    with pytest.raises(state.SnapshotError) as caught:
        state.from_bytes(data)
    assert caught.value.code == "alerts.snapshot_invalid"
