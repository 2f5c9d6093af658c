"""Windows: every token where it belongs, every window once an epoch, boundaries numbered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.errors import OptionError, TextError
from clearhead.text import NOT_COUNTED, PADDING, Batch, Tokens, Windows, sequential, tokens_of_rows


def stream(ids: list[int] | np.ndarray, starts: list[int]) -> Tokens:
    return Tokens(
        ids=np.array(ids, dtype=np.uint16),
        starts=np.array(starts, dtype=np.int64),
        separator=None,
        begin_only=(),
        lengths=np.ones(1 + int(np.max(ids, initial=0)), dtype=np.int32),
        by_place=False,
    )


def counting(length: int, starts: list[int] | None = None) -> Tokens:
    """Each id is its own place, so that a window tells where it was taken."""
    return stream(np.arange(length), [0] if starts is None else starts)


STREAMS = st.integers(2, 120).flatmap(
    lambda length: st.tuples(st.just(length), st.lists(st.integers(0, length - 1), max_size=12).map(sorted))
)


def documents_by_definition(batch: Batch, starts: list[int]) -> np.ndarray | None:
    """Number of starts after the window's first place up to each place, counted one by one."""
    rows = [[sum(row[0] < start <= place for start in set(starts)) for place in row] for row in batch.ids_BT.tolist()]
    return np.array(rows) if np.any(rows) else None


@given(made=STREAMS, context=st.integers(1, 20), size=st.integers(1, 7), seed=st.integers(0, 2**40))
def test_every_window_comes_once_an_epoch(made: tuple[int, list[int]], context: int, size: int, seed: int):
    length, starts = made
    if length < context + 1:
        return
    windows = Windows(counting(length, starts), context=context, batch=size, seed=seed)
    count = max(1, (length - 1) // context - 1)
    rows = [windows.at(step) for step in range(3 * -(-count // size))]
    for batch in rows:
        assert batch.ids_BT.shape == batch.targets_BT.shape == (size, context)
        assert batch.ids_BT.dtype == batch.targets_BT.dtype == np.int64
        np.testing.assert_array_equal(batch.targets_BT, batch.ids_BT + 1)
        expected = documents_by_definition(batch, starts)
        assert (batch.documents_BT is None) == (expected is None)
        if expected is not None:
            np.testing.assert_array_equal(batch.documents_BT, expected)
    firsts = np.concatenate([batch.ids_BT[:, 0] for batch in rows])
    for epoch in range(len(firsts) // count):
        taken = np.sort(firsts[epoch * count : (epoch + 1) * count])
        np.testing.assert_array_equal(np.diff(taken), context)  # end to end: none twice, none missing
        assert taken[-1] + context < length


def test_phases_reach_every_token():
    windows = Windows(counting(50), context=7, batch=5, seed=3)
    seen = {int(token) for step in range(300) for token in windows.at(step).targets_BT.ravel()}
    assert seen == set(range(1, 50))


def test_a_text_of_exactly_one_window():
    windows = Windows(counting(5), context=4, batch=3, seed=0)
    assert windows.at(7).ids_BT.tolist() == [[0, 1, 2, 3]] * 3
    assert windows.at(7).documents_BT is None


def test_a_step_is_the_same_whatever_came_before():
    tokens = counting(400, [0, 55, 56, 300])
    straight = Windows(tokens, context=5, batch=4, seed=9)
    batches = [straight.at(step) for step in range(60)]
    jumping = Windows(tokens, context=5, batch=4, seed=9)
    for step in (59, 0, 30, 29, 31, 59, 1):
        np.testing.assert_array_equal(jumping.at(step).ids_BT, batches[step].ids_BT)
    other = Windows(tokens, context=5, batch=4, seed=10)
    assert any((other.at(step).ids_BT != batches[step].ids_BT).any() for step in range(3))


def test_boundaries_by_hand():
    windows = Windows(counting(9, [0, 2, 3]), context=8, batch=1, seed=0)
    batch = windows.at(0)
    assert batch.documents_BT is not None
    assert batch.documents_BT.tolist() == [[0, 0, 1, 2, 2, 2, 2, 2]]
    # a document that begins with the window, or with its last target, is no boundary
    assert Windows(counting(9, [0, 8]), context=8, batch=1, seed=0).at(0).documents_BT is None


@given(made=STREAMS, context=st.integers(1, 20), size=st.integers(1, 7))
@settings(max_examples=200)
def test_in_order_every_token_is_a_target_once(made: tuple[int, list[int]], context: int, size: int):
    length, starts = made
    batches = list(sequential(counting(length, starts), context=context, batch=size))
    targets = np.concatenate([batch.targets_BT.ravel() for batch in batches])
    assert targets[targets != NOT_COUNTED].tolist() == list(range(1, length))
    assert [len(batch.ids_BT) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert 1 <= len(batches[-1].ids_BT) <= size
    for batch in batches:
        counted = batch.targets_BT != NOT_COUNTED
        np.testing.assert_array_equal(batch.ids_BT[counted] + 1, batch.targets_BT[counted])
        expected = documents_by_definition(batch, starts)
        if batch.documents_BT is None:
            assert expected is None
            assert counted.all()
        else:
            np.testing.assert_array_equal(batch.documents_BT == PADDING, ~counted)
            expected = np.zeros_like(batch.ids_BT) if expected is None else expected
            np.testing.assert_array_equal(batch.documents_BT[counted], expected[counted])


@given(made=STREAMS, context=st.integers(1, 20), size=st.integers(1, 7), data=st.data())
@settings(max_examples=200)
def test_overlapping_windows_count_every_token_once(
    made: tuple[int, list[int]], context: int, size: int, data: st.DataObject
):
    """Each is counted in the first window that has it, and so from more than context - stride tokens before it."""
    length, starts = made
    stride = data.draw(st.integers(1, context))
    batches = list(sequential(counting(length, starts), context=context, batch=size, stride=stride))
    targets = np.concatenate([batch.targets_BT.ravel() for batch in batches])
    assert targets[targets != NOT_COUNTED].tolist() == list(range(1, length))
    assert [len(batch.ids_BT) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    rows = [row for batch in batches for row in zip(batch.ids_BT, batch.targets_BT, strict=True)]
    for number, (ids_T, targets_T) in enumerate(rows):
        assert ids_T[0] == number * stride
        counted = np.flatnonzero(targets_T != NOT_COUNTED)
        assert number == 0 or counted[0] == context - stride
        np.testing.assert_array_equal(ids_T[counted] + 1, targets_T[counted])


@pytest.mark.parametrize("stride", [0, -1, 5])
def test_a_stride_that_leaves_tokens_out(stride: int):
    with pytest.raises(OptionError, match=rf"^stride {stride}: must be 1 or more, and at most the window's 4 tokens$"):
        list(sequential(counting(9), context=4, batch=1, stride=stride))


def test_in_order_by_hand():
    (batch,) = sequential(stream([7, 8, 9, 7, 8, 9, 5], [0, 3]), context=4, batch=8)
    assert batch.ids_BT.tolist() == [[7, 8, 9, 7], [8, 9, 5, 5]]
    assert batch.targets_BT.tolist() == [[8, 9, 7, 8], [9, 5, NOT_COUNTED, NOT_COUNTED]]
    assert batch.documents_BT is not None
    assert batch.documents_BT.tolist() == [[0, 0, 0, 1], [0, 0, PADDING, PADDING]]


def test_in_order_leaves_the_stream_as_it_is():
    tokens = counting(10)
    list(sequential(tokens, context=4, batch=3))
    assert tokens.ids.tolist() == list(range(10))


def test_too_short_a_text_is_reported():
    with pytest.raises(TextError, match=r"has 4 tokens; a window needs 5, context 4 .* or a smaller context \(--set"):
        Windows(counting(4), context=4, batch=1, seed=0)
    with pytest.raises(TextError, match=r"has 4 tokens; a window needs 1,000,001, context 1,000,000 plus one"):
        Windows(counting(4), context=10**6, batch=1, seed=0)
    with pytest.raises(TextError, match=r"has 1 token; a window needs 65.* give more text$"):
        Windows(counting(1), context=64, batch=1, seed=0)
    with pytest.raises(TextError, match=r"has 1 token; at least 2 are needed"):
        list(sequential(counting(1), context=4, batch=1))


@pytest.mark.parametrize(("name", "options"), [("context", (0, 1, 0)), ("batch", (1, 0, 0)), ("seed", (1, 1, -1))])
def test_options_out_of_range_are_reported(name: str, options: tuple[int, int, int]):
    context, batch, seed = options
    with pytest.raises(OptionError, match=rf"^{name} (0|-1): must be"):
        Windows(counting(9), context=context, batch=batch, seed=seed)


def rows(count: int, length: int) -> Tokens:
    """Rows of their own targets: ids count up, and every third place of a row is to be answered with its id + 1,000."""
    ids_NT = np.arange(count * length, dtype=np.uint16).reshape(count, length)
    asked = np.arange(length) % 3 == 2
    return tokens_of_rows(ids_NT, np.where(asked, ids_NT.astype(np.int32) + 1000, NOT_COUNTED))


def test_windows_of_rows_are_whole_rows_with_their_own_targets() -> None:
    windows = Windows(rows(5, 7), context=7, batch=5, seed=3)
    for epoch in range(3):
        batch = windows.at(epoch)
        assert sorted(batch.ids_BT[:, 0].tolist()) == [0, 7, 14, 21, 28]
        assert batch.documents_BT is None
        for ids, targets in zip(batch.ids_BT.tolist(), batch.targets_BT.tolist(), strict=True):
            assert ids == list(range(ids[0], ids[0] + 7))
            assert targets == [each + 1000 if place in (2, 5) else NOT_COUNTED for place, each in enumerate(ids)]


@pytest.mark.parametrize("batch", [1, 2, 5, 8])
def test_rows_in_order_come_once_and_are_never_padded(batch: int) -> None:
    found = list(sequential(rows(5, 7), context=7, batch=batch))
    assert np.concatenate([each.ids_BT for each in found]).ravel().tolist() == list(range(35))
    assert sum((each.targets_BT >= 0).sum() for each in found) == rows(5, 7).text_bytes(1) == 10
    assert all(each.documents_BT is None for each in found)


def test_a_part_of_rows_has_whole_rows() -> None:
    assert rows(5, 7).part(0, 8).ids.tolist() == list(range(14))
    assert rows(5, 7).part(9, 35).ids.tolist() == list(range(7, 35))


def test_other_windows_than_rows_are_refused_with_the_way_out() -> None:
    for read in (
        lambda: Windows(rows(5, 7), context=8, batch=1, seed=0),
        lambda: list(sequential(rows(5, 7), context=6, batch=1)),
        lambda: list(sequential(rows(5, 7), context=7, batch=1, stride=3)),
    ):
        with pytest.raises(OptionError, match=r"rows of 7, .*--set model\.context=7"):
            read()
