"""How far two maps are apart, by the definition, for every mask and score."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.attend import Mask, Score, attend, causal, window
from clearhead.errors import WatchError
from clearhead.watching import TextRecord, blocks, watch
from definition import BATCH, GROUPINGS, KEYS, MASKS, SCORES, SITE, Watched, tensors, weights


def looked(q: torch.Tensor, k: torch.Tensor, mask: Mask, score: Score | None = None, row: int = 0) -> TextRecord:
    with watch(Watched({SITE: q.shape[1]})) as record:
        attend(q, k, k, mask=mask, score=score or Score(), site=SITE)
    found = record[row]
    assert isinstance(found, TextRecord)
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(MASKS)),
    st.sampled_from(sorted(SCORES)),
    st.sampled_from(GROUPINGS),
    st.integers(1, KEYS),
    st.integers(0, BATCH - 1),
    st.integers(1, 200),
    st.integers(1, 12),
    st.sampled_from([torch.float64, torch.float32]),
)
def test_it_is_half_the_sum_of_differences_with_the_sink(
    mask: str, score: str, heads: tuple[int, int], queries: int, row: int, tile: int, tall: int, dtype: torch.dtype
) -> None:
    q, k, _ = tensors(*heads, queries)
    changed = q.flip(1) - 0.3 * q
    case, rules = MASKS[mask], SCORES[score]
    one, other = (
        np.stack([case.own(weights(each, k, case.sees, rules)[row, head], row) for head in range(heads[0])])
        for each in (q, changed)
    )
    if not one.size:
        return
    given_score = rules.score(heads[0])
    mine, theirs = (looked(each.to(dtype), k.to(dtype), case.mask, given_score, row) for each in (q, changed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "TILE", tile)
        patch.setattr(blocks, "ROWS", tall)
        patch.setattr(blocks, "CHUNK", 4)
        found_HQ = mine.variation(theirs, SITE)
        assert torch.equal(found_HQ, theirs.variation(mine, SITE))
        assert not mine.variation(mine, SITE).any()
    wanted_HQ = np.abs(one - other).sum(2)
    if rules.sinks:
        wanted_HQ = wanted_HQ + np.abs(one.sum(2) - other.sum(2))
    assert found_HQ.dtype == dtype
    np.testing.assert_allclose(found_HQ.numpy(), wanted_HQ / 2, atol=1e-13 if dtype == torch.float64 else 3e-6)


def test_by_hand() -> None:
    """Weights 1/4 and 3/4 against 1/2 and 1/2: a quarter lies elsewhere."""
    k = torch.tensor([0.0, np.log(3)]).view(1, 1, 2, 1)
    ones = torch.ones(1, 1, 1, 1).double()
    one, other = (looked(value * ones, k, causal(), Score(scale=1.0)) for value in (1.0, 0.0))
    assert one.variation(other, SITE).item() == pytest.approx(0.25)


def test_several_passes_of_one_text_are_compared_as_one() -> None:
    q, k, _ = tensors(6, 3, KEYS)
    whole, changed = looked(q, k, causal()), looked(-q, k, causal())
    parts = []
    for queries in (q, -q):
        with watch(Watched({SITE: 6})) as record:
            for start, stop in ((0, 3), (3, 7), (7, KEYS)):
                attend(queries[:, :, start:stop], k[:, :, :stop], k[:, :, :stop], mask=causal(), site=SITE)
        parts.append(record[0])
    torch.testing.assert_close(parts[0].variation(parts[1], SITE), whole.variation(changed, SITE))


def test_maps_that_cannot_be_compared_are_refused() -> None:
    q, k, _ = tensors(6, 3, KEYS)
    here = looked(q, k, causal())
    with pytest.raises(WatchError, match="6 heads here and 3 there"):
        here.variation(looked(q[:, :3], k, causal()), SITE)
    with pytest.raises(WatchError, match=r"the other map has the shape \(5, 5\)"):
        here.variation(looked(q[:, :, :5], k[:, :, :5], causal()), SITE)
    with pytest.raises(WatchError, match=r"the other map hides other keys, by .*Causal.* and .*Window"):
        here.variation(looked(q, k, causal() & window(3)), SITE)


def test_nothing_text_x_text_is_kept() -> None:
    """A row of 3,001 keys and 7 heads: the largest tensor is a strip, not the 63 million cells of the maps."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            found = function(*arguments, **(options or {}))
            if isinstance(found, torch.Tensor):
                self.numbers = max(self.numbers, found.numel())
            return found

    draw = torch.Generator().manual_seed(3)
    q, k = (torch.randn(1, 7, 3001, 5, generator=draw) for _ in range(2))
    one, other = looked(q, k, causal()), looked(k, q, causal())
    with Largest() as seen:
        one.variation(other, SITE)
    assert seen.numbers < 7 * 3001 * 3001 / 8
