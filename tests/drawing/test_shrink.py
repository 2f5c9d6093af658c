"""Images of maps: the largest weight of each cell against numpy, hidden cells marked, long texts in blocks."""

import numpy as np
import pytest

from clearhead.analysis import observe
from clearhead.drawing.colours import HIDDEN
from clearhead.drawing.shrink import Shrinker
from clearhead.tap import Site
from clearhead.watching import Knockout
from looked import HEADS, given, looked_at, speaking


def pooled(weights_QK: np.ndarray, visible_QK: np.ndarray, cells: int) -> np.ndarray:
    Q, K = weights_QK.shape
    height, width = min(cells, Q), min(cells, K)
    image = np.full((height, width), HIDDEN, dtype=np.float32)
    for q in range(Q):
        for k in range(K):
            if visible_QK[q, k]:
                cell = q * height // Q, k * width // K
                image[cell] = max(image[cell], weights_QK[q, k])
    return image


@pytest.mark.parametrize("cells", [1, 7, 13, 31, 64])
@pytest.mark.parametrize("window", [None, 5])
def test_each_cell_is_the_largest_visible_weight_it_covers(cells: int, window: int | None):
    record = looked_at("a text of thirty-one bytes here", window=window)
    assert record[1, 0].shape == (32, 32)
    shrinker = Shrinker(record, cells)
    back = np.arange(32)[:, None] - np.arange(32)
    visible = (back >= 0) & (back < (window or 32))
    for head in range(HEADS):
        expected = pooled(record[1, head][:].numpy(), visible, cells)
        image = shrinker.image(Site(1), head)
        np.testing.assert_array_equal(image == HIDDEN, expected == HIDDEN)
        np.testing.assert_allclose(image, expected, rtol=0, atol=1e-6)  # products of other shapes round otherwise
    assert shrinker.covers([Site(1)]) == (-(-32 // min(cells, 32)),) * 2


def test_blocks_give_the_same_image(monkeypatch: pytest.MonkeyPatch):
    """Within rounding: the products of a block of fewer rows may be summed in another order.

    A logit is a sum of 10 products of at most 7.1 together, off by at most 10 eps of that, in another order by as much
    again; a weight is off by as much of itself.
    """
    record = looked_at("a text of thirty-one bytes here", window=5)
    whole = Shrinker(record, 7).image(Site(0), 2)
    monkeypatch.setattr("clearhead.watching.text_record.BLOCK", 5 * 32)
    monkeypatch.setattr("clearhead.watching.blocks.TILE", 3 * 7)
    image = Shrinker(record, 7).image(Site(0), 2)
    np.testing.assert_array_equal(image == HIDDEN, whole == HIDDEN)
    np.testing.assert_allclose(image, whole, rtol=0, atol=1e-6)  # products of other shapes round otherwise


def test_a_visible_weight_of_zero_is_not_hidden():
    record = given([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5]], ["a", "b", "c"])
    assert Shrinker(record, 3).image(Site(0), 0).tolist() == [[1, HIDDEN, HIDDEN], [0.5, 0.5, HIDDEN], [0.5, 0, 0.5]]


def test_heads_with_masks_of_their_own():
    record = observe(speaking(), "abc", edits=[Knockout(layer=0, query=3, key=1, head=2)])
    shrinker = Shrinker(record, 9)
    assert [shrinker.image(Site(0), head)[3, 1] == HIDDEN for head in range(HEADS)] == [False] * 2 + [True] + [
        False
    ] * 3
    assert (shrinker.image(Site(1), 2)[3] != HIDDEN).all()
