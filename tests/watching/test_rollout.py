"""Rollout against the product of all maps, flow against every cut, and the error of a text too long for flow."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from clearhead.analysis import observe
from clearhead.errors import WatchError
from clearhead.watching import TextRecord, rollout
from heads import lively
from looked import by_hand, given, looked_at, small


@pytest.fixture(scope="module")
def record() -> TextRecord:
    return looked_at("I see")


def mixed(record: TextRecord) -> np.ndarray:
    """0.5 A + 0.5 I of each layer, A the mean over its heads."""
    p_LHTT = by_hand(small(), record.ids)
    return 0.5 * p_LHTT.mean(1) + 0.5 * np.eye(p_LHTT.shape[-1])


@pytest.mark.parametrize("place", [-1, 0, 2])
def test_rollout_is_a_row_of_the_product(record: TextRecord, place: int) -> None:
    first, second = mixed(record)
    found = record.rollout(place).numpy()
    np.testing.assert_allclose(found[0], (second @ first)[place], atol=1e-6)
    np.testing.assert_allclose(found[1], second[place], atol=1e-6)
    assert found[2].tolist() == np.eye(len(first))[place].tolist()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_weight_on_a_sink_reads_no_token() -> None:
    record = observe(lively("sinks"), "I see")
    shares = record.rollout().sum(1).tolist()
    assert shares == sorted(shares)
    assert shares[0] < 0.99


def test_flow_is_the_smallest_cut(record: TextRecord) -> None:
    """By the definition: of all sets of nodes with the source and without the sink, the least capacity that leaves."""
    layers = mixed(record)
    T, place, token = layers.shape[1], 3, 1
    found = record.flow(place)
    nodes = [(layer, t) for layer in range(3) for t in range(T)]
    free = [node for node in nodes if node not in ((2, place), (0, token)) and node[0] == 1]
    least = np.inf
    # Nodes above only feed, and other tokens only drain: the source's side holds neither, or loses nothing by it.
    for choice in product([False, True], repeat=len(free)):
        inside = {(2, place)} | {node for node, taken in zip(free, choice, strict=True) if taken}
        inside |= {(0, t) for t in range(T) if t != token}
        cut = 0.0
        for layer, t in inside:
            if layer:
                cut += sum(layers[layer - 1][t, j] for j in range(T) if (layer - 1, j) not in inside)
        least = min(least, cut)
    assert found[token].item() == pytest.approx(least, abs=1e-6)


def test_flow_by_hand() -> None:
    """One layer and one head: each token has one edge to the query, half its weight, and half of 1 to itself."""
    record = given([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.5, 0.125, 0.375]], ["x", "y", "z"])
    assert record.flow(2).tolist() == pytest.approx([0.25, 0.0625, 0.6875], abs=1e-6)


def test_a_text_too_long_for_flow(record: TextRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "EDGES", 50)
    with pytest.raises(WatchError, match=r"2 layers of 6 x 6 weights are 72 edges; at most 50 are computed.* 5 places"):
        record.flow()


def test_places_and_records_that_have_no_rollout(record: TextRecord) -> None:
    with pytest.raises(WatchError, match="place 6 was asked for; the text has 6"):
        record.rollout(6)
    with pytest.raises(WatchError, match="place -1 was asked for; the text has 6"):
        record.rollout(-7)
    assert torch.equal(record.rollout(5), record.rollout(-1))
