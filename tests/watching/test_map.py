"""Attention maps against the definition: cells, rows, tiles and every measure."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from clearhead.attend import FULL, Mask, Score, attend, causal, knockout, padding, window
from clearhead.errors import WatchError
from clearhead.watching import AttentionMap, Record, blocks, watch
from definition import (
    BATCH,
    CAUSAL,
    GROUPINGS,
    KEYS,
    MASKS,
    QUERIES,
    SCORES,
    SITE,
    Watched,
    tensors,
    weights,
)


def look(q: Tensor, k: Tensor, v: Tensor, mask: Mask, score: Score | None = None) -> Record:
    with watch(Watched({SITE: q.shape[1]})) as record:
        attend(q, k, v, mask=mask, score=score or Score(), site=SITE)
    return record


def by_hand(rows: list[list[float]]) -> AttentionMap:
    """A map with the given weights: queries are one-hot, so that the logits are the logarithms in k."""
    p = torch.tensor(rows, dtype=torch.float64)
    Q, K = p.shape
    q = torch.eye(Q, dtype=torch.float64).view(1, 1, Q, Q)
    k = p.clamp(min=1e-300).log().T.reshape(1, 1, K, Q)
    return look(q, k, torch.zeros_like(k), FULL, Score(scale=1.0))[0][3, 0]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("mask", MASKS)
def test_a_map_is_the_definition_in_every_cell(mask: str, score: str) -> None:
    for heads, groups in GROUPINGS:
        for queries in QUERIES:
            q, k, v = tensors(heads, groups, queries)
            p = weights(q, k, MASKS[mask].sees, SCORES[score])
            for dtype in (torch.float64, torch.float32, torch.bfloat16):  # exact from the stored q and k in each
                record = look(q.to(dtype), k.to(dtype), v.to(dtype), MASKS[mask].mask, SCORES[score].score(heads))
                text, head = queries % BATCH, queries % heads
                wanted = MASKS[mask].own(p[text, head], text)
                if not wanted.size:  # padding alone
                    assert record[text].seen() == []
                    continue
                tile = record.map(SITE, head, text)[:, :]
                assert tile.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
                rounding = 64 * torch.finfo(tile.dtype).eps
                np.testing.assert_allclose(tile.numpy(), wanted, atol=rounding)
                assert np.array_equal(tile.numpy() == 0, wanted == 0)


class TestIndexing:
    @pytest.fixture
    def whole(self) -> np.ndarray:
        q, k, _ = tensors(6, 3, 5)
        return weights(q, k, MASKS["all joined"].sees)[1, 4]

    @pytest.fixture
    def a(self) -> AttentionMap:
        return look(*tensors(6, 3, 5), MASKS["all joined"].mask).map(SITE, 4, text=1)

    @pytest.mark.parametrize(
        "place",
        [
            2,
            -1,
            slice(1, 4),
            slice(None),
            slice(-2, None),
            slice(4, 2),
            (slice(None), 3),
            (slice(None), -1),
            (2, 3),
            (-5, -11),
            (slice(1, 3), slice(2, 9)),
            (slice(1, 3), slice(-4, -1)),
            (2, slice(3, 99)),
            (slice(3, 3), slice(None)),
            (np.int64(2), np.int64(-3)),
        ],
    )
    def test_as_a_matrix(self, a: AttentionMap, whole: np.ndarray, place: object) -> None:
        assert a.shape == whole.shape == (5, KEYS)
        tile = a[place]  # type: ignore[index]
        assert tile.shape == whole[place].shape  # type: ignore[index]
        np.testing.assert_allclose(tile.numpy(), whole[place], atol=1e-13)  # type: ignore[index]

    def test_by_an_element_of_a_tensor(self, a: AttentionMap) -> None:
        top = a.top(1)
        assert a[0, top.keys[0, 0]] == top.weights[0, 0]

    @pytest.mark.parametrize(
        ("place", "message"),
        [
            (5, r"query 5 was asked for; there are 5, from 0 to 4 \(-1 is the last\)"),
            (-6, "query -6 was asked for; there are 5"),
            ((0, 11), "key 11 was asked for; there are 11"),
            (slice(None, None, 2), r"query slice\(None, None, 2\) has step 2; take a tile with step 1"),
        ],
    )
    def test_outside(self, a: AttentionMap, place: object, message: str) -> None:
        with pytest.raises(IndexError, match=message):
            a[place]  # type: ignore[index]

    def test_it_says_what_it_is(self, a: AttentionMap) -> None:
        assert repr(a) == "AttentionMap(decoder.3.self, head 4, shape (5, 11))"
        assert (a.site, a.head, a.first_place) == (SITE, 4, 6)


class TestMeasures:
    """Against numpy on the defined weights, in one block and in many."""

    @pytest.fixture(params=[2**22, 3 * KEYS, 1], ids=["one block", "3 rows a block", "1 row a block"], autouse=True)
    def block(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocks, "TILE", request.param)

    @pytest.fixture(params=["causal", "padding left", "all joined", "full"])
    def pair(self, request: pytest.FixtureRequest) -> tuple[AttentionMap, np.ndarray]:
        q, k, v = tensors(6, 3, 7)
        case = MASKS[request.param]
        return look(q, k, v, case.mask).map(SITE, 2, text=1), case.own(weights(q, k, case.sees)[1, 2], 1)

    def test_top(self, pair: tuple[AttentionMap, np.ndarray]) -> None:
        a, p = pair
        top = a.top(3)
        np.testing.assert_allclose(top.weights.numpy(), -np.sort(-p, axis=1)[:, :3], atol=1e-13)
        np.testing.assert_allclose(np.take_along_axis(p, top.keys.numpy(), axis=1), top.weights.numpy(), atol=1e-13)

    def test_entropy(self, pair: tuple[AttentionMap, np.ndarray]) -> None:
        a, p = pair
        wanted = [-sum(w * math.log(w) for w in row if w > 0) for row in p]
        np.testing.assert_allclose(a.entropy().numpy(), wanted, atol=1e-13)

    def test_masses_and_distance(self, pair: tuple[AttentionMap, np.ndarray]) -> None:
        a, p = pair
        Q, K = p.shape
        places = [K - Q + i for i in range(Q)]
        np.testing.assert_allclose(a.mass_on_first().numpy(), p[:, 0], atol=1e-13)
        previous = [p[i, place - 1] if place else 0.0 for i, place in enumerate(places)]
        np.testing.assert_allclose(a.mass_on_previous().numpy(), previous, atol=1e-13)
        distance = [sum(p[i, k] * (place - k) for k in range(K)) for i, place in enumerate(places)]
        np.testing.assert_allclose(a.mean_distance().numpy(), distance, atol=1e-12)
        np.testing.assert_allclose(a.received().numpy(), p.sum(axis=0), atol=1e-12)

    def test_induction(self, pair: tuple[AttentionMap, np.ndarray]) -> None:
        a, p = pair
        Q, K = p.shape
        ids = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5][KEYS - K :]
        after = {3: 2, 8: 5, 9: 1, 10: 9}  # place: the place after the last earlier occurrence of its token
        if K < KEYS:  # 9 2 6 5 3 5
            after = {5: 4}
        wanted = [p[i, after[place]] if place in after else 0.0 for i, place in enumerate(range(K - Q, K))]
        for given in (ids, torch.tensor(ids), np.array(ids)):
            np.testing.assert_allclose(a.mass_on_induction(given).numpy(), wanted, atol=1e-13)

    @pytest.mark.parametrize("pool", ["max", "mean"])
    @pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (3, 2), (7, 11), (4, 100), (100, 5)])
    def test_image(self, pair: tuple[AttentionMap, np.ndarray], height: int, width: int, pool: str) -> None:
        a, p = pair
        picture = a.image(height, width, pool=pool)  # type: ignore[arg-type]
        Q, K = p.shape
        rows, columns = min(height, Q), min(width, K)
        assert picture.shape == (rows, columns)
        for i in range(rows):
            for j in range(columns):
                covered = [p[q, k] for q in range(Q) for k in range(K) if (q * rows // Q, k * columns // K) == (i, j)]
                wanted = max(covered) if pool == "max" else sum(covered) / len(covered)
                assert picture[i, j].item() == pytest.approx(wanted, abs=1e-6)  # float32

    def test_blocks_cover_every_row_once(self, pair: tuple[AttentionMap, np.ndarray]) -> None:
        a, p = pair
        rows, tiles = zip(*a.blocks(), strict=True)
        assert [place for block in rows for place in range(block.start, block.stop)] == list(range(len(p)))
        np.testing.assert_allclose(torch.cat(tiles).numpy(), p, atol=1e-13)

    def test_rows_sum_to_one(self, pair: tuple[AttentionMap, np.ndarray]) -> None:
        a, _ = pair
        assert 0 <= a.row_sum_error() < 1e-14


class TestByHand:
    def test_entropy_of_a_certain_row_is_zero_and_not_negative_zero(self) -> None:
        (entropy,) = by_hand([[1.0]]).entropy().tolist()
        assert math.copysign(1.0, entropy) == 1.0

    def test_entropy_of_even_weights_is_log_n(self) -> None:
        assert by_hand([[0.25] * 4, [0.5, 0.5, 0, 0], [1, 0, 0, 0]]).entropy().tolist() == pytest.approx(
            [math.log(4), math.log(2), 0]
        )

    @pytest.mark.parametrize("level", [0.0, 100.0, -3000.0])
    def test_how_large_the_logits_are_does_not_matter(self, level: float) -> None:
        """Logits of ``level`` and 2 less, exact in float32: 1 : e^-2, which is 0.8808 : 0.1192."""
        k = torch.tensor([level, level - 2]).view(1, 1, 2, 1)
        row = look(torch.ones(1, 1, 1, 1), k, torch.zeros(1, 1, 2, 1), FULL, Score(scale=1.0))[0][3, 0][0]
        share = 1 / (1 + math.exp(-2))
        rounding = 4 * torch.finfo(torch.float32).eps  # of an exponential, a sum and a quotient
        torch.testing.assert_close(row, torch.tensor([share, 1 - share]), rtol=rounding, atol=0)

    def test_a_sink_a_previous_token_head_and_their_distance(self) -> None:
        a = by_hand([[1, 0, 0], [1, 0, 0], [0.25, 0.75, 0]])
        assert a.mass_on_first().tolist() == pytest.approx([1, 1, 0.25])
        assert a.mass_on_previous().tolist() == pytest.approx([0, 1, 0.75])
        assert a.mean_distance().tolist() == pytest.approx([0, 1, 0.25 * 2 + 0.75])
        assert a.received().tolist() == pytest.approx([2.25, 0.75, 0])

    def test_reading_ahead_is_a_negative_distance(self) -> None:
        assert by_hand([[0, 1], [0.5, 0.5]]).mean_distance().tolist() == pytest.approx([-1, 0.5])

    def test_an_induction_head_reads_what_followed_last_time(self) -> None:
        """A B C A B: at the second A it reads B, at the second B it reads C."""
        a = by_hand([[1, 0, 0, 0, 0]] * 3 + [[0, 0.9, 0.1, 0, 0], [0, 0, 0.8, 0.2, 0]])
        assert a.mass_on_induction([7, 8, 9, 7, 8]).tolist() == pytest.approx([0, 0, 0, 0.9, 0.8])
        assert a.mass_on_induction([7, 7, 9, 9, 7]).tolist() == pytest.approx([0, 0, 0, 0, 0.8])

    def test_the_two_largest_in_order(self) -> None:
        top = by_hand([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]]).top(2)
        assert top.weights.flatten().tolist() == pytest.approx([0.6, 0.3, 0.5, 0.3])
        assert top.keys.tolist() == [[1, 2], [0, 2]]

    def test_behind_the_keys_that_are_seen_come_others_with_weight_0(self) -> None:
        top = look(*tensors(6, 3, 5), causal())[0][3, 0].top(9)
        assert top.keys.shape == top.weights.shape == (5, 9)
        assert top.keys[0, :7].sort().values.tolist() == list(range(7))  # what the first of 5 queries sees of 11 keys
        assert top.weights[0, 7:].tolist() == [0, 0]

    def test_an_image_of_quarters(self) -> None:
        a = by_hand([[0.5, 0.5, 0, 0], [0.1, 0.9, 0, 0], [0, 0, 1, 0], [0, 0, 0.3, 0.7]])
        assert a.image(2, 2).flatten().tolist() == pytest.approx([0.9, 0, 0, 1])
        assert a.image(2, 2, pool="mean").flatten().tolist() == pytest.approx([0.5, 0, 0, 0.5])

    def test_a_sink_takes_what_the_row_lacks(self) -> None:
        zeros = torch.zeros(1, 1, 3, 1)
        a = look(zeros, zeros, zeros, causal(), Score(sinks_H=torch.zeros(1)))[0][3, 0]
        assert a[:, :].sum(1).tolist() == pytest.approx([1 / 2, 2 / 3, 3 / 4])
        assert a.mass_on_sink().tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 4])
        assert a.mass_on_sink(-1).item() == pytest.approx(1 / 4)
        assert a.has_sink
        assert 0.0 <= a.row_sum_error() < 1e-6

    def test_row_sums_include_the_sink(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A row with a part of it lost sums to less than 1, as a row with a sink does: only the two together tell."""
        q, k, v = (t.float() for t in tensors(6, 3, 5))
        a = look(q, k, v, causal(), SCORES["sinks"].score(6))[0][3, 2]
        assert 0.0 <= a.row_sum_error() < 1e-6
        lost = property(lambda strip: 0.75 * strip.exps_HQK / strip.totals_HQ[:, :, None])
        monkeypatch.setattr("clearhead.watching.reducers.Strip.weights_HQK", lost)
        assert a.row_sum_error() > 0.1

    def test_without_a_sink_its_weight_is_zero(self) -> None:
        a = by_hand([[1, 0], [0.5, 0.5]])
        assert (a.has_sink, a.mass_on_sink().tolist(), a.mass_on_sink(1).item()) == (False, [0, 0], 0)

    def test_a_row_that_sees_nothing_measures_nothing(self) -> None:
        zeros = torch.zeros(1, 1, 2, 1)
        a = look(zeros, zeros, zeros, causal() & knockout([(0, 0)]))[0][3, 0]
        assert a[:, :].tolist() == [[0, 0], [0.5, 0.5]]
        assert a.entropy().tolist() == pytest.approx([0, math.log(2)])
        assert a.mean_distance().tolist() == [0, 0.5]
        assert a.row_sum_error() == 0.0


class TestGeneration:
    """A text that is written with a cache is several calls, and one map."""

    def record(self, mask: Mask, score: Score | None = None) -> Record:
        q, k, v = tensors(6, 3, KEYS)
        with watch(Watched({SITE: 6})) as record:
            done = 0
            for stop in (5, 6, 7, 8, KEYS):  # a prompt of 5, three single tokens, and three at once
                rows, seen = slice(done, stop), slice(0, stop)
                attend(q[:, :, rows], k[:, :, seen], v[:, :, seen], mask=mask, score=score or Score(), site=SITE)
                done = stop
        return record

    @pytest.mark.parametrize("score", ["plain", "all"])
    @pytest.mark.parametrize("mask", ["causal", "causal & window", "padding left", "knock-out"])
    def test_the_map_is_that_of_one_pass(self, mask: str, score: str) -> None:
        rules = SCORES[score].score(6)
        q, k, v = tensors(6, 3, KEYS)
        whole, grown = look(q, k, v, MASKS[mask].mask, rules), self.record(MASKS[mask].mask, rules)
        for text in range(BATCH):
            for head in range(6):
                one, many = whole.map(SITE, head, text), grown.map(SITE, head, text)
                assert many.shape == one.shape == MASKS[mask].own(np.zeros((KEYS, KEYS)), text).shape
                torch.testing.assert_close(many[:, :], one[:, :], rtol=0, atol=1e-13)
                torch.testing.assert_close(many[4:9, 2:7], one[4:9, 2:7], rtol=0, atol=1e-13)
                torch.testing.assert_close(many[:, -2], one[:, -2], rtol=0, atol=1e-13)
        torch.testing.assert_close(many.mean_distance(), one.mean_distance())
        torch.testing.assert_close(many.mass_on_previous(), one.mass_on_previous())
        torch.testing.assert_close(many.received(), one.received())
        torch.testing.assert_close(many.image(3, 4), one.image(3, 4))
        torch.testing.assert_close(many.top(3).weights, one.top(3).weights)

    def test_a_watch_that_begins_in_the_middle_knows_its_places(self) -> None:
        q, k, v = tensors(6, 3, 3)
        a = look(q, k, v, causal())[0][3, 1]
        assert (a.shape, a.first_place) == ((3, KEYS), 8)
        p = weights(q, k, CAUSAL.sees)[0, 1]
        np.testing.assert_allclose(a.mass_on_previous().numpy(), [p[0, 7], p[1, 8], p[2, 9]], atol=1e-13)


class TestErrors:
    @pytest.mark.parametrize(
        ("ask", "message"),
        [
            (lambda a: a.top(0), "the top 0 keys were asked for; there are 11"),
            (lambda a: a.top(12), "the top 12 keys were asked for; there are 11"),
            (lambda a: a.image(0, 5), "an image of 0 x 5 was asked for; both must be at least 1"),
            (lambda a: a.image(5, -1), "an image of 5 x -1 was asked for; both must be at least 1"),
            (lambda a: a.image(5, 5, pool="min"), "pool is 'min'; it must be 'max' or 'mean'"),
            (lambda a: a.mass_on_induction([1, 2]), "2 token ids were given for 11 key places"),
        ],
    )
    def test_what_a_map_does_not_have(self, ask: Callable[[AttentionMap], object], message: str) -> None:
        a = look(*tensors(6, 3, 5), causal() & window(4))[0][3, 1]
        with pytest.raises(WatchError, match=message) as caught:
            ask(a)
        assert str(caught.value).startswith("AttentionMap(decoder.3.self, head 1, shape (5, 11)): ")

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_logits_that_are_not_finite(self, bad: float) -> None:
        q, k, v = tensors(6, 3, 5)
        k[0, 0, 2, 0] = bad
        record = look(q, k, v, causal())
        with pytest.raises(WatchError, match="the logits are not finite"):
            record[0][3, 0].entropy()
        assert record[0][3, 5].entropy().isfinite().all()  # the other groups are well

    def test_two_texts_have_no_distance_between_them(self) -> None:
        q, k, v = tensors(6, 3, 13, keys=5)
        a = look(q, k, v, padding(torch.tensor([2, 5])))[1][3, 1]
        assert a.entropy().shape == (13,)
        for measure in (a.mean_distance, a.mass_on_previous, lambda: a.mass_on_induction([1, 2, 3, 4, 5])):
            with pytest.raises(WatchError, match="queries and keys belong to two texts"):
                measure()
