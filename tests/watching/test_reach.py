"""What is known about a mask without evaluating cells, against its rule in every cell."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clearhead.attend import FULL, Mask, band, causal, documents, knockout, left_padding, padding, window
from clearhead.attend.mask import Knocked
from clearhead.watching.reach import hiding, reach
from definition import KEYS

HEADS, ROWS = 3, 2

sizes = st.integers(1, KEYS)
pairs = st.lists(st.tuples(st.integers(0, KEYS - 1), st.integers(0, KEYS - 1)), min_size=1, max_size=3)
ids = st.lists(st.integers(0, 2), min_size=ROWS * KEYS, max_size=ROWS * KEYS)
cells = st.lists(st.integers(0, KEYS), min_size=ROWS, max_size=ROWS)
starts = st.lists(st.none() | st.integers(0, 3), min_size=ROWS, max_size=ROWS)
parts = st.one_of(
    st.just(causal()),
    st.builds(window, sizes),
    st.builds(band, sizes),
    st.builds(lambda stops: padding(torch.tensor(stops)), cells),
    st.builds(lambda first: left_padding(torch.tensor(first)), cells),
    st.builds(lambda numbers: documents(torch.tensor(numbers).view(ROWS, KEYS)), ids),
    st.builds(lambda numbers: documents(torch.tensor(sorted(numbers)).view(ROWS, KEYS)), ids),
    st.builds(knockout, pairs, st.none() | st.integers(0, HEADS - 1)),
    st.builds(lambda hidden, at: Mask((Knocked(tuple(hidden), None, tuple(at)),)), pairs, starts),
)
spans = st.tuples(st.integers(0, KEYS - 1), sizes).map(lambda at: range(at[0], min(at[0] + at[1], KEYS)))


def visible(mask: Mask, row: int, heads: range, queries: range, keys: range) -> Tensor:
    """visible_HQK by the mask's rule."""
    b, h, q, k = (
        torch.arange(each.start, each.stop).view([-1 if axis == n else 1 for n in range(4)])
        for axis, each in enumerate((range(row, row + 1), heads, queries, keys))
    )
    return mask.visible(b, h, q, k).expand(1, len(heads), len(queries), len(keys))[0]


@given(parts, parts, st.integers(0, ROWS - 1), spans, spans)
def test_no_query_sees_a_key_outside_the_reach(one: Mask, two: Mask, row: int, queries: range, keys: range) -> None:
    found = reach(one & two, row, queries, keys)
    seen_K = visible(one & two, row, range(HEADS), queries, keys).any(1).any(0)
    assert all(key in found for key, seen in zip(keys, seen_K.tolist(), strict=True) if seen)
    assert found.start >= keys.start
    assert len(found) == 0 or found[-1] in keys


@given(parts, parts, st.integers(0, ROWS - 1), st.integers(0, HEADS - 1), spans, spans)
def test_a_part_is_left_out_only_where_it_hides_nothing(
    one: Mask, two: Mask, row: int, head: int, queries: range, keys: range
) -> None:
    heads = range(head, HEADS)
    left = hiding(one & two, row, heads, queries, keys)
    assert torch.equal(visible(left, row, heads, queries, keys), visible(one & two, row, heads, queries, keys))


@given(parts, st.integers(0, ROWS - 1), spans, spans)
def test_no_mask_part_is_left_for_a_fully_visible_tile(mask: Mask, row: int, queries: range, keys: range) -> None:
    if bool(visible(mask, row, range(HEADS), queries, keys).all()):
        assert hiding(mask, row, range(HEADS), queries, keys) == FULL


def test_reach_by_hand() -> None:
    keys = range(100)
    assert reach(causal(), 0, range(10, 20), keys) == range(20)
    assert reach(causal() & window(5), 0, range(10, 20), keys) == range(6, 20)
    assert reach(band(3), 0, range(10, 20), keys) == range(8, 22)
    packed = documents(torch.tensor([[0] * 30 + [1] * 30 + [2] * 40]))
    assert reach(causal() & packed, 0, range(40, 50), keys) == range(30, 50)
    assert not reach(causal(), 0, range(10, 20), range(50, 60))
