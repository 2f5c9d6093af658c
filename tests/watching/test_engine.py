"""The engine: all heads in one sweep, only what is needed, the same for any number of threads and tiles."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from clearhead.attend import FULL, Mask, Score, attend, causal, documents, knockout, padding, window
from clearhead.errors import WatchError
from clearhead.tap import Site
from clearhead.watching import Record, TextRecord, TokenizedText, blocks, measures, watch
from clearhead.watching.cells import Agreement, Edges, Largest
from clearhead.watching.measures import NAMES, Entropy, Received
from clearhead.watching.reducers import Extent, PerStrip, RowReducer, Strip
from definition import BATCH, GROUPINGS, KEYS, MASKS, SCORES, SITE, Watched, tensors, weights

WIDTH_OUT = 5

# The measures that need whole rows. Without them, rows are computed a few keys at a time.
ROWS = {"reach", "received"}


def projection(heads: int, width: int) -> Tensor:
    """weight_EF of an output projection."""
    return torch.randn(WIDTH_OUT, heads * width, generator=torch.Generator().manual_seed(5)).bfloat16().double()


def look(q: Tensor, k: Tensor, mask: Mask, score: Score | None = None) -> Record:
    """The keys are the values too."""
    H, D = q.shape[1], k.shape[3]
    with watch(Watched({SITE: H}, {SITE: projection(H, D).to(q.dtype)}), keep="values") as record:
        attend(q, k, k, mask=mask, score=score or Score(), site=SITE)
    return record


def text(q: Tensor, k: Tensor, mask: Mask, score: Score | None = None, number: int = 0) -> TextRecord:
    found = look(q, k, mask, score)[number]
    assert isinstance(found, TextRecord)
    return found


def sizes_by_definition(v_GKD: np.ndarray, heads: int) -> np.ndarray:
    """||v_j W_O|| of each head and key."""
    D = v_GKD.shape[2]
    out_EF = projection(heads, D).numpy()
    group = heads // v_GKD.shape[0]
    return np.stack(
        [np.linalg.norm(v_GKD[h // group] @ out_EF[:, h * D : (h + 1) * D].T, axis=1) for h in range(heads)]
    )


def assert_reach(found_HQ: np.ndarray, p_HQK: np.ndarray, rounding: float, rows: range | None = None) -> None:
    """A distance within which 90 % of the row's weight is, and the smallest such."""
    H, Q, K = p_HQK.shape
    for h in range(H):
        for i in rows or range(Q):
            away = np.abs(np.arange(K) - (K - Q + i))
            wanted, reach = 0.9 * p_HQK[h, i].sum(), found_HQ[h, i]
            assert reach == int(reach) >= 0
            assert p_HQK[h, i][away <= reach].sum() >= wanted - rounding
            assert reach == 0 or p_HQK[h, i][away < reach].sum() < wanted + rounding


def by_definition(
    p_HQK: np.ndarray, ids: list[int], sinks: bool, sizes_HK: np.ndarray | float = 1.0
) -> dict[str, np.ndarray]:
    """Every named measure but reach, in numpy, from weights by the definition."""
    _, Q, K = p_HQK.shape
    places = np.arange(K - Q, K)
    copies_QK = np.array([[ids[j] == ids[i] and j < i for j in range(K)] for i in places])
    sized_HQK = p_HQK * (sizes_HK[:, None] if isinstance(sizes_HK, np.ndarray) else sizes_HK)
    after = [next((n + 1 for n in reversed(range(place)) if ids[n] == ids[place]), None) for place in places]
    rows = np.arange(Q)
    return {
        "entropy": -np.where(p_HQK > 0, p_HQK * np.log(np.where(p_HQK > 0, p_HQK, 1)), 0).sum(2),
        "first": p_HQK[:, :, 0],
        "previous": np.where(places > 0, p_HQK[:, rows, places - 1], 0),
        "distance": (p_HQK * (places[:, None] - np.arange(K))).sum(2),
        "induction": np.stack(
            [p_HQK[:, i, at] if at is not None else 0 * p_HQK[:, i, 0] for i, at in enumerate(after)], 1
        ),
        "largest": p_HQK.max(2),
        "self": p_HQK[:, rows, places],
        "duplicate": (p_HQK * copies_QK).sum(2),
        "moved": sized_HQK.sum(2),
        "sink": 1 - p_HQK.sum(2) if sinks else np.zeros(p_HQK.shape[:2]),
        "received": p_HQK.sum(1),
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(MASKS)),
    st.sampled_from(sorted(SCORES)),
    st.sampled_from(GROUPINGS),
    st.integers(1, KEYS),
    st.integers(0, BATCH - 1),
    st.integers(1, 200),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
)
def test_every_measure_of_all_heads_is_the_definition(
    mask: str,
    score: str,
    heads: tuple[int, int],
    queries: int,
    row: int,
    tile: int,
    tall: int,
    least: int,
    dtype: torch.dtype,
) -> None:
    q, k, _ = tensors(*heads, queries)
    case, rules = MASKS[mask], SCORES[score]
    p_BHQK = weights(q, k, case.sees, rules)
    p_HQK = np.stack([case.own(p_BHQK[row, head], row) for head in range(heads[0])])
    if not p_HQK.size:
        return
    record = look(q.to(dtype), k.to(dtype), case.mask, rules.score(heads[0]))
    ids = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5][: p_HQK.shape[2]]
    record.tokenized[row, "decoder"] = TokenizedText(ids=ids)
    found = record[row]
    assert isinstance(found, TextRecord)
    v_GKD = k.numpy()[row, :, slice(*case.spans[row]) if case.spans else slice(None)]
    sizes_HK = sizes_by_definition(v_GKD, heads[0])
    whole = queries == KEYS  # else the values of the first places were not watched
    edges, sized, agreement = Edges(5), Edges(5, found.sizes(SITE) if whole else torch.tensor(sizes_HK)), Agreement()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "TILE", tile)
        patch.setattr(blocks, "ROWS", tall)
        patch.setattr(blocks, "TALL", tall)
        patch.setattr(blocks, "CHUNK", 4)
        patch.setattr(blocks, "TOGETHER", 40)
        patch.setattr(blocks, "LEAST", least)
        patch.setattr(measures, "BLOCK", 3)
        measured = found.measure(*(name for name in NAMES if whole or name != "moved"))[SITE]
        sums = found.measure(*(name for name in NAMES.keys() - ROWS if whole or name != "moved"))[SITE]
        entropy_HQ, agreed_HH, *_ = found.sweep(SITE, Entropy(), agreement, edges, sized)
    rounding = 1e-13 if dtype == torch.float64 else 1e-6
    assert_reach(measured["reach"].numpy(), p_HQK, 8 * rounding)
    wanted_ones = by_definition(p_HQK, ids, rules.sinks, sizes_HK)
    for swept in (measured, sums, {"entropy": entropy_HQ}):
        for name in swept.keys() - {"reach"}:
            wanted = wanted_ones[name]
            assert swept[name].dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
            np.testing.assert_allclose(swept[name].numpy(), wanted, rtol=rounding, atol=8 * rounding, err_msg=name)
    np.testing.assert_allclose(agreed_HH.numpy(), cosines(p_HQK), atol=8 * rounding)
    assert_edges(edges, p_HQK, 8 * rounding)
    assert_edges(sized, p_HQK * sizes_HK[:, None], 64 * rounding)


def cosines(p_HQK: np.ndarray) -> np.ndarray:
    flat_HN = p_HQK.reshape(len(p_HQK), -1)
    norms_HH = np.linalg.norm(flat_HN, axis=1)[:, None] * np.linalg.norm(flat_HN, axis=1)
    return np.where(norms_HH > 0, flat_HN @ flat_HN.T / np.where(norms_HH > 0, norms_HH, 1), 0)


def assert_edges(edges: Edges, cells_HQK: np.ndarray, rounding: float) -> None:
    """The largest cells in descending order, each at its place."""
    for found, cells_QK in zip(edges.found, cells_HQK, strict=True):
        wanted = [cell for cell in np.sort(cells_QK, axis=None)[::-1][:5] if cell > 0]
        np.testing.assert_allclose([edge.weight for edge in found], wanted, atol=rounding)
        first = cells_QK.shape[1] - len(cells_QK)
        np.testing.assert_allclose([cells_QK[edge.query - first, edge.key] for edge in found], wanted, atol=rounding)
        assert len({(edge.query, edge.key) for edge in found}) == len(found)


@pytest.mark.parametrize(("scale", "slope"), [(1.0, 0.0), (30.0, 0.0), (1.0, 5.0)])
def test_a_long_text_in_float32_is_exact(scale: float, slope: float) -> None:
    """Many tiles of the size in use, even weights and peaked ones; against float64 and all weights at once.

    slope: of a bias that rises up to 700 places back, by so much
    """
    q, k, _ = tensors(2, 1, 1500, batch=1, keys=1500, width=64)
    bias_HN = slope * torch.arange(700.0, -701.0, -1).expand(2, -1) / 700
    record = text((q * scale).float(), k.float(), causal() & window(1100), Score(bias_HN=bias_HN))
    back = torch.arange(1500)[:, None] - torch.arange(1500)
    s_HQK = (q[0] * scale) @ k[0].transpose(1, 2) / 8 + slope * back.clamp(-700, 700) / 700
    p_HQK = s_HQK.masked_fill((back < 0) | (back >= 1100), -math.inf).softmax(2)
    names = ("entropy", "first", "previous", "self", "largest", "distance")
    sums = record.measure(*names)[SITE]
    measured = record.measure(*names, *ROWS)[SITE]
    np.testing.assert_allclose(record.agreement(SITE).numpy(), cosines(p_HQK.numpy()), atol=1e-6 * scale)
    # the logits themselves are rounded, as by any product in float32
    rounding = 2 * torch.finfo(torch.float32).eps * float(s_HQK.abs().max())
    wanted = by_definition(p_HQK.numpy(), [0] * 1500, sinks=False)
    assert_reach(measured["reach"].numpy(), p_HQK.numpy(), rounding, range(0, 1500, 100))
    for name in wanted.keys() & measured.keys():
        size = max(1.0, float(np.abs(wanted[name]).max()))
        for swept in (measured, sums) if name in names else (measured,):
            np.testing.assert_allclose(swept[name].numpy(), wanted[name], rtol=0, atol=rounding * size, err_msg=name)


class TestOnlyWhatIsAsked:
    """Counts products, one for each weight."""

    class Products(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

        def __torch_dispatch__(
            self, func: Callable[..., object], types: object, args: object = (), kwargs: object = None
        ):
            result = func(*args, **(kwargs or {}))  # type: ignore[misc,dict-item]
            if func is torch.ops.aten.baddbmm.out:
                self.count += result.numel()  # type: ignore[attr-defined]
            return result

    @pytest.fixture(autouse=True)
    def little_tiles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
        monkeypatch.setattr(blocks, "ROWS", 16)
        monkeypatch.setattr(blocks, "TALL", 16)
        monkeypatch.setattr(blocks, "TILE", 16 * 32)

    def count(self, record: TextRecord, ask: Callable[[TextRecord], object]) -> int:
        with self.Products() as products:
            ask(record)
        return products.count

    T, H = 256, 3

    def record(self, mask: Mask) -> TextRecord:
        q = torch.randn(1, self.H, self.T, 8)
        return text(q, q, mask)

    def test_little_more_than_half_of_a_causal_map_is_computed(self) -> None:
        four = self.count(self.record(causal()), lambda r: r.measure("entropy", "first", "previous", "distance"))
        assert four <= self.H * self.T * (self.T + 16) / 2

    def test_only_the_keys_of_a_window_are_computed(self) -> None:
        found = self.count(self.record(causal() & window(20)), lambda r: r.measure("entropy"))
        assert found <= self.H * self.T * (20 + 16)

    def test_only_a_documents_own_keys_are_computed(self) -> None:
        mask = causal() & documents(torch.arange(self.T)[None] // 32)
        assert self.count(self.record(mask), lambda r: r.measure("entropy")) <= self.H * self.T * 32

    def test_a_column_costs_one_sweep_and_the_next_one_a_column(self) -> None:
        record = self.record(causal())
        half = self.T * (self.T + 16) / 2
        assert self.count(record, lambda r: r.map(SITE, 1)[:, 5]) <= half + self.T
        assert self.count(record, lambda r: r.map(SITE, 1)[:, 9]) <= self.T
        assert self.count(record.record.only(), lambda r: r.map(SITE, 1)[:, 9]) <= self.T  # the record keeps them
        assert self.count(record, lambda r: r.map(SITE, 2)[:, 5]) > half  # nothing is known about another head

    def test_what_is_the_same_for_all_heads_is_found_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocks, "LEAST", 2)  # eight strips in a block
        asked: list[tuple[int, int, int]] = []

        class Noting(RowReducer):
            needs = "row"

            def start(self, extent: Extent) -> None:
                super().start(extent)
                self.per_strip = PerStrip(self.find)

            def find(self, strip: Strip) -> None:
                asked.append((strip.rows.start, strip.rows.stop, strip.columns.stop))

            def row(self, strip: Strip) -> None:
                self.per_strip[strip]

        self.record(causal()).sweep(SITE, Noting())
        assert len(asked) == len(set(asked)) > self.T / 16

    def test_a_row_or_a_tile_costs_its_own_rows(self) -> None:
        record = self.record(causal())
        assert self.count(record, lambda r: r.map(SITE, 0)[200]) <= 2 * self.T
        assert self.count(record, lambda r: r.map(SITE, 0)[100:110, 40:60]) <= 10 * (110 + 20)


class TestThreads:
    def record(self) -> TextRecord:
        q, k, _ = tensors(6, 3, KEYS)
        return text(q, k, causal() & knockout([(7, 2)], head=4), SCORES["all"].score(6), number=1)

    @pytest.mark.parametrize("threads", [2, 4, 9])
    def test_any_number_gives_the_same(self, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
        record = self.record()
        record.record.tokenized[record.number, "decoder"] = TokenizedText(ids=[1, 2] * 5 + [1])
        monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
        alone = record.measure(*NAMES)[SITE]
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        shared = record.measure(*NAMES)[SITE]
        assert list(shared) == list(NAMES)
        for name in NAMES:
            torch.testing.assert_close(shared[name], alone[name], rtol=0, atol=1e-14)

    def test_the_error_for_logits_that_are_not_finite_names_the_head(self) -> None:
        q, k, _ = tensors(6, 3, KEYS)
        k[0, 2] = math.nan
        with pytest.raises(WatchError, match=r"head 4, .*the logits are not finite"):
            text(q, k, causal()).measure("entropy")

    def test_the_callers_modes_change_nothing(self) -> None:
        q, k, _ = (t.float().requires_grad_() for t in tensors(6, 3, KEYS))
        record = text(q, k, causal())
        wanted = record.measure("entropy", "received")[SITE]
        with torch.inference_mode():
            inside = record.measure("entropy", "received")[SITE]
            column = record.map(SITE, 0)[:, 0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = record.measure("entropy", "received")[SITE]
        for name in wanted:
            assert not wanted[name].requires_grad
            assert torch.equal(inside[name], wanted[name])
            assert torch.equal(rounded[name], wanted[name])
        assert torch.equal(record.map(SITE, 0)[:, 0], column)


class TestExtremes:
    def test_keys_far_below_the_largest_have_no_weight(self) -> None:
        k = torch.tensor([0.0, -60.0, -90.0, -1e30]).view(1, 1, 4, 1)
        record = text(torch.ones(1, 1, 1, 1), k, FULL, Score(scale=1.0))
        assert record.map(SITE, 0)[0].tolist() == [1.0, pytest.approx(math.exp(-60), rel=1e-5), 0.0, 0.0]
        measured = record.measure("entropy", "distance")[SITE]
        assert measured["entropy"].item() == pytest.approx(60 * math.exp(-60), rel=1e-5)
        assert measured["distance"].item() == 3.0

    def test_a_peak_in_the_last_tile_makes_the_others_small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocks, "TILE", 2)
        k = torch.tensor([0.0, 1.0, 2.0, 3.0, 200.0]).view(1, 1, 5, 1)
        record = text(torch.ones(1, 1, 1, 1), k, FULL, Score(scale=1.0))
        assert record.map(SITE, 0)[0].tolist() == [0, 0, 0, 0, 1]
        assert [each.item() for each in record.measure("entropy", "first", "distance")[SITE].values()] == [0, 0, 0]

    @pytest.mark.parametrize("size", [14.0, 40.0])  # so far that the first peak stays, and farther
    def test_logits_that_rise_after_the_first_tile(self, size: float, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocks, "TILE", 2)
        k = torch.tensor([-size, 0.0, size, size - 1]).view(1, 1, 4, 1)
        measured = text(torch.ones(1, 1, 1, 1), k, FULL, Score(scale=1.0)).measure("entropy", "largest", "self")[SITE]
        p_K = k.flatten().double().softmax(0)
        wanted = {"entropy": -(p_K * p_K.log()).sum(), "largest": p_K.max(), "self": p_K[3]}
        for name in wanted:
            assert measured[name].item() == pytest.approx(wanted[name].item(), rel=4e-6)

    @pytest.mark.parametrize("size", [0.5, 40.0, 200.0])  # nothing is far from the peak; it rises; most is too far
    def test_logits_that_rise_by_a_bias_alone(self, size: float, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocks, "TILE", 64)
        zero, bias_HN = torch.zeros(1, 1, 40, 1), size * torch.arange(-7.0, 8.0)[None] / 7
        record = text(zero, zero, causal() & window(11), Score(bias_HN=bias_HN))
        away = torch.arange(40) - torch.arange(40)[:, None]
        s_QK = (size * away.double().clamp(min=-7) / 7).masked_fill((away > 0) | (away < -10), -math.inf)
        np.testing.assert_allclose(record.map(SITE, 0)[:, :].numpy(), s_QK.softmax(1).numpy(), atol=1e-6)
        wanted = by_definition(s_QK.softmax(1)[None].numpy(), [0] * 40, sinks=False)
        for name, found in record.measure("entropy", "distance", "self", "largest")[SITE].items():
            np.testing.assert_allclose(found.numpy(), wanted[name], rtol=4e-6, atol=4e-6)

    def test_rows_that_see_nothing_of_the_first_tile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocks, "TILE", 2)
        record = text(torch.ones(1, 1, 4, 1), torch.full((1, 1, 4, 1), -200.0), causal() & window(2), Score(scale=1.0))
        measured = record.measure("entropy", "largest")[SITE]
        assert measured["entropy"][0].tolist() == pytest.approx([0, math.log(2), math.log(2), math.log(2)], rel=1e-6)
        assert measured["largest"][0].tolist() == [1.0, 0.5, 0.5, 0.5]

    def test_hidden_top_keys_are_named_once(self) -> None:
        q, k, _ = tensors(6, 3, KEYS)
        largest = Largest(7)
        (weights_HQN,) = text(q, k, causal() & window(3)).sweep(SITE, largest)
        for row in range(KEYS):
            for head in range(6):
                keys = largest.keys_HQN[head, row].tolist()
                assert len(set(keys)) == 7
                seen = set(range(max(0, row - 2), row + 1))
                assert set(keys[: len(seen)]) == seen
                assert not weights_HQN[head, row, len(seen) :].any()


class TestAsking:
    def test_of_some_sites(self) -> None:
        q, k, _ = tensors(6, 3, KEYS)
        with watch(Watched({Site(0): 6, Site(1): 6})) as record:
            for layer in range(2):
                attend(q, k, k, mask=causal(), site=Site(layer))
        found = record[1]
        assert isinstance(found, TextRecord)
        assert list(found.measure("entropy")) == [Site(0), Site(1)]
        assert list(found.measure("entropy", sites=[Site(1)])) == [Site(1)]
        with pytest.raises(WatchError, match=r"nothing was seen at decoder\.7\.self"):
            found.measure("entropy", sites=[Site(7)])

    def test_an_unknown_measure_is_an_error(self) -> None:
        q, k, _ = tensors(6, 3, KEYS)
        with pytest.raises(WatchError, match="measure: there is no 'entropie'; did you mean 'entropy'"):
            text(q, k, causal()).measure("entropie")

    def test_measures_of_distance_are_errors_between_two_texts(self) -> None:
        q, k, _ = tensors(6, 3, 13, keys=5)
        record = text(q, k, padding(torch.tensor([2, 5])), number=1)
        assert record.measure("entropy", "first", "received")[SITE]["received"].shape == (6, 5)
        for name in ("distance", "previous"):
            with pytest.raises(WatchError, match=r"heads 0 to 5.*queries and keys belong to two texts"):
                record.measure(name)

    def test_some_heads_and_rows(self) -> None:
        q, k, _ = tensors(6, 3, KEYS)
        record = text(q, k, causal())
        (whole,) = record.sweep(SITE, Received())
        (some,) = record.sweep(SITE, Received(), heads=range(2, 5), rows=slice(4, 6))
        assert some.shape == (3, KEYS)
        torch.testing.assert_close(some[0], record.map(SITE, 2)[4:6].sum(0), rtol=0, atol=1e-14)
        assert not torch.equal(some, whole[2:5])
