"""The door: answers solvable by hand, what depends on what, and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clearhead.attend import FULL, Request, Score, attend, causal, documents, knockout, padding, window
from clearhead.attend.backends import reference, sdpa
from clearhead.errors import RequestError, WatchError
from clearhead.watching import watch
from definition import (
    BATCH,
    CAUSAL,
    DOCUMENTS,
    KEYS,
    MASKS,
    SCORES,
    SITE,
    Case,
    Rules,
    Watched,
    assert_same,
    case_documents,
    case_knockout,
    case_left_padding,
    case_padding,
    case_window,
    outputs,
    request,
    tensors,
    weights,
)

KERNELS: dict[str, Callable[[Request], Tensor]] = {"reference": reference.run, "sdpa": sdpa.run}


def line(*numbers: float) -> Tensor:
    """One head of one text, one number per place: (1, 1, places, 1)."""
    return torch.tensor(numbers, dtype=torch.float32).view(1, 1, -1, 1)


ONE = line(1.0)


@pytest.mark.parametrize("run", KERNELS.values(), ids=KERNELS)
class TestByHand:
    def test_keys_zero_and_log3_share_one_to_three(self, run: Callable[[Request], Tensor]) -> None:
        o = run(request(ONE, line(0, math.log(3)), line(0, 8)))
        assert o.item() == pytest.approx(6.0)  # 8 * 3/4

    def test_two_wide_heads_are_scaled_by_the_square_root_of_two(self, run: Callable[[Request], Tensor]) -> None:
        q, k = torch.ones(1, 1, 1, 2), torch.tensor([[0.0, 0.0], [1.0, 1.0]]).view(1, 1, 2, 2) * math.log(3)
        v = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).view(1, 1, 2, 2)
        assert run(request(q, k, v))[0, 0, 0, 0].item() == pytest.approx(
            1 / (1 + 3 ** -math.sqrt(2))
        )  # 2 log 3 / sqrt(2)
        assert run(request(q, k, v, score=Score(scale=0.5)))[0, 0, 0, 0].item() == pytest.approx(3 / 4)

    def test_a_window_of_one_returns_v_itself(self, run: Callable[[Request], Tensor]) -> None:
        q, k, v = (t.float() for t in tensors(3, 3, KEYS))
        assert torch.equal(run(request(q, k, v, causal() & window(1))), v)

    def test_even_weights_give_the_mean(self, run: Callable[[Request], Tensor]) -> None:
        zeros = torch.zeros(1, 1, 4, 1)
        o = run(request(zeros, zeros, line(1, 3, 8, 20), causal()))
        assert o.flatten().tolist() == pytest.approx([1, 2, 4, 8])  # 1, (1 + 3)/2, 12/3, 32/4

    def test_grouped_heads_read_their_own_key_head(self, run: Callable[[Request], Tensor]) -> None:
        q = torch.zeros(1, 4, 1, 1)
        k, v = torch.zeros(1, 2, 3, 1), torch.tensor([[3.0] * 3, [5.0] * 3]).view(1, 2, 3, 1)
        assert run(request(q, k, v)).flatten().tolist() == pytest.approx([3, 3, 5, 5])

    def test_huge_logits_neither_overflow_nor_lose_the_winner(self, run: Callable[[Request], Tensor]) -> None:
        assert run(request(line(1e4), line(1e4, 9e3), line(2, 3))).item() == 2.0  # logits 1e8 and 9e7

    def test_hidden_places_add_nothing_however_large(self, run: Callable[[Request], Tensor]) -> None:
        o = run(request(ONE, line(0, 1e30, 0), line(2, 1e30, 4), knockout([(2, 1)])))
        assert o.item() == pytest.approx(3.0)


def test_a_sink_as_large_as_the_only_key_halves_the_output() -> None:
    score = Score(sinks_H=torch.tensor([2.0]))
    assert attend(line(2), line(1), line(6), mask=FULL, score=score, site=SITE).item() == pytest.approx(3.0)


def test_a_sink_takes_nothing_from_a_row_that_sees_nothing() -> None:
    score = Score(sinks_H=torch.tensor([2.0]))
    o = attend(line(1), line(1), line(6), mask=knockout([(0, 0)]), score=score, site=SITE)
    assert o.item() == 0.0


def test_a_soft_cap_of_one_turns_any_large_logit_into_one() -> None:
    o = attend(line(1), line(50, 0), line(1, 0), mask=FULL, score=Score(softcap=1.0), site=SITE)
    assert o.item() == pytest.approx(math.e / (math.e + 1))  # tanh(50) = 1; e**1 : e**0


def test_the_soft_cap_leaves_the_sink_as_it_is() -> None:
    score = Score(softcap=1.0, sinks_H=torch.tensor([2.0]))
    o = attend(line(1), line(50), line(1), mask=FULL, score=score, site=SITE)
    assert o.item() == pytest.approx(1 / (1 + math.e))  # e**1 : e**2


@pytest.mark.parametrize("mask", ["causal", "causal & window", "causal & documents", "all joined", "padding left"])
@pytest.mark.parametrize("queries", [1, 5, KEYS])
@pytest.mark.parametrize("run", KERNELS.values(), ids=KERNELS)
def test_later_keys_and_values_change_nothing_before_them(run: Callable[[Request], Tensor], queries: int, mask: str):
    q, k, v = (t.float() for t in tensors(6, 3, queries))
    asked = request(q, k, v, MASKS[mask].mask)
    before = run(asked)
    for place in range(KEYS - queries + 1, KEYS):
        k2, v2 = k.clone(), v.clone()
        k2[:, :, place:], v2[:, :, place:] = 3 * k2[:, :, place:] + 1, 100.0
        after = run(request(q, k2, v2, MASKS[mask].mask))
        rows = place - (KEYS - queries)
        assert_same(after[:, :, :rows], before[:, :, :rows], asked)
    if mask == "causal" and queries > 1:
        assert (after[:, :, rows:] - before[:, :, rows:]).abs().max() > 1


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("run", KERNELS.values(), ids=KERNELS)
def test_outputs_have_gradients_in_what_they_see_and_exactly_none_in_the_rest(
    run: Callable[[Request], Tensor], mask: str
) -> None:
    case, queries, groups = MASKS[mask], 5, 3
    for row, place in enumerate(range(KEYS - queries, KEYS)):
        q, k, v = (t.float().requires_grad_() for t in tensors(6, groups, queries))
        run(request(q, k, v, case.mask))[:, :, row].square().sum().backward()
        seen = [
            [[any(case.sees(b, 2 * g + h, place, j) for h in range(2)) for j in range(KEYS)] for g in range(groups)]
            for b in range(BATCH)
        ]
        assert k.grad is not None
        assert v.grad is not None
        assert (v.grad != 0).any(dim=-1).tolist() == seen
        assert not k.grad[~torch.tensor(seen)].any()


@pytest.mark.parametrize("run", KERNELS.values(), ids=KERNELS)
def test_documents_leak_nothing(run: Callable[[Request], Tensor]) -> None:
    """Each document attends independently of the others' contents, and as if it were alone."""
    ids = torch.tensor([[5, 5, 5, 2, 2, 2, 2, 8, 8, 8, 8]])
    q, k, v = (t.float()[:1] for t in tensors(6, 3, KEYS))
    mask = causal() & documents(ids)
    asked = request(q, k, v, mask)
    o = run(asked)
    for document in (5, 2, 8):
        inside = ids[0] == document
        k2, v2 = k.clone(), v.clone()
        k2[:, :, ~inside], v2[:, :, ~inside] = 9.0, -50.0
        assert_same(run(request(q, k2, v2, mask))[:, :, inside], o[:, :, inside], asked)
        alone = run(request(q[:, :, inside], k[:, :, inside], v[:, :, inside], causal()))
        torch.testing.assert_close(o[:, :, inside], alone)


@pytest.mark.parametrize("run", KERNELS.values(), ids=KERNELS)
def test_padding_leaks_nothing(run: Callable[[Request], Tensor]) -> None:
    q, k, v = (t.float() for t in tensors(6, 3, KEYS))
    asked = request(q, k.clone(), v.clone(), padding(torch.tensor([4, 7])))
    o = run(asked)
    k[0, :, 4:], v[0, :, 4:], k[1, :, 7:], v[1, :, 7:] = 7.0, 7.0, -7.0, -7.0
    assert_same(run(request(q, k, v, padding(torch.tensor([4, 7])))), o, asked)


@pytest.mark.parametrize("score", ["plain", "all"])
@pytest.mark.parametrize(
    ("mask", "queries"),
    [
        ("padding left, one text empty", 1),
        ("padding left, one text empty", 5),
        ("padding left", KEYS),
        ("knock-out of all that is seen", 1),
        ("knock-out of all that is seen", KEYS),
    ],
)
def test_rows_that_see_nothing_are_zero_with_finite_gradients(mask: str, score: str, queries: int) -> None:
    case, rules = MASKS[mask], SCORES[score]
    q, k, v = (t.float().requires_grad_() for t in tensors(6, 3, queries))
    o = attend(q, k, v, mask=case.mask, score=rules.score(6), site=SITE)
    o.square().sum().backward()
    blind = torch.tensor(
        [
            [
                [not any(case.sees(b, h, place, j) for j in range(KEYS)) for place in range(KEYS - queries, KEYS)]
                for h in range(6)
            ]
            for b in range(BATCH)
        ]
    )
    assert blind.any()
    assert not blind.all()
    assert torch.equal(o[blind], torch.zeros_like(o[blind]))
    assert q.grad is not None
    assert k.grad is not None
    assert v.grad is not None
    assert torch.equal(q.grad[blind], torch.zeros_like(q.grad[blind]))
    assert all(t.grad.isfinite().all() for t in (q, k, v))
    if mask == "padding left, one text empty":
        assert torch.equal(k.grad[0], torch.zeros_like(k.grad[0]))
        assert torch.equal(v.grad[0], torch.zeros_like(v.grad[0]))


@pytest.mark.parametrize("score", ["plain", "soft cap", "sinks", "all"])
@pytest.mark.parametrize("mask", ["full", "causal", "causal & window", "padding left, one text empty", "all joined"])
def test_gradients_are_those_of_finite_differences(mask: str, score: str) -> None:
    q, k, v = (t.requires_grad_() for t in tensors(2, 1, 3, width=2))
    case = MASKS[mask].mask
    if mask == "all joined":  # its knock-out speaks of head 2
        case = causal() & window(5) & DOCUMENTS.mask & knockout([(10, 10), (9, 9)], head=1)
    made = SCORES[score].score(2)

    def through_the_door(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q, k, v, mask=case, score=made, site=SITE)

    assert torch.autograd.gradcheck(through_the_door, (q, k, v))


@pytest.mark.parametrize("softcap", [None, 2.5])  # the fused kernel; the reference
@pytest.mark.parametrize("mask", ["causal", "padding left, one text empty"])
def test_sinks_have_gradients_too(mask: str, softcap: float | None) -> None:
    q, k, v = tensors(2, 1, 3, width=2)
    sinks = torch.tensor([1.0, -1.0], dtype=torch.float64, requires_grad=True)

    def of_sinks(sinks_H: Tensor) -> Tensor:
        return attend(q, k, v, mask=MASKS[mask].mask, score=Score(softcap=softcap, sinks_H=sinks_H), site=SITE)

    assert torch.autograd.gradcheck(of_sinks, (sinks,))


@pytest.mark.parametrize("softcap", [None, 2.5])  # the fused kernel; the reference
@pytest.mark.parametrize("queries", [3, KEYS])
@pytest.mark.parametrize("mask", ["full", "padding left, one text empty"])
def test_biases_have_gradients_too(mask: str, queries: int, softcap: float | None) -> None:
    q, k, v = tensors(2, 1, queries, width=2)
    bias_HN = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)

    def of_biases(bias_HN: Tensor) -> Tensor:
        return attend(q, k, v, mask=MASKS[mask].mask, score=Score(softcap=softcap, bias_HN=bias_HN), site=SITE)

    assert torch.autograd.gradcheck(of_biases, (bias_HN,))


def test_a_bias_of_log_three_for_the_place_before_gives_it_three_quarters() -> None:
    q, v = torch.zeros(1, 1, 2, 1), torch.tensor([8.0, 0.0]).view(1, 1, 2, 1)
    bias_HN = torch.tensor([[math.log(3), 0.0, 0.0]])
    o = attend(q, q, v, mask=causal(), score=Score(bias_HN=bias_HN), site=SITE)
    assert o.flatten().tolist() == pytest.approx([8.0, 6.0])  # 8 * 3/4


@pytest.mark.parametrize("places", [2, 40])
@pytest.mark.parametrize("mask", ["full", "causal", "causal & window"])
def test_what_becomes_of_a_row_of_nan(mask: str, places: int) -> None:
    """As the back-end's docstring says: in short texts a kernel gives zeros, which no check of its output can find."""
    q, k, v = (t.float() for t in tensors(3, 3, places, keys=places))
    sound = request(q, k, v, MASKS[mask].mask)
    q = q.clone()
    q[0, 1, -1] = math.nan
    asked = request(q, k, v, MASKS[mask].mask)
    hit = torch.zeros(BATCH, 3, places, dtype=torch.bool)
    hit[0, 1, -1] = True
    assert reference.run(asked)[hit].isnan().all()
    o = sdpa.run(asked)
    zeros = places == 2  # fewer than fill the shortest vector; a window of 3 hides none of them and needs no array
    assert torch.equal(o[hit], torch.zeros_like(o[hit])) if zeros else o[hit].isnan().all()
    torch.testing.assert_close(o[~hit], sdpa.run(sound)[~hit])
    with watch(Watched({SITE: 3})) as record:
        attend(q, k, v, mask=MASKS[mask].mask, site=SITE)
    with pytest.raises(WatchError, match=r"the logits are not finite"):
        record.map(SITE, 1, text=0)[-1]


def test_values_may_be_wider_than_keys() -> None:
    q, k, _ = tensors(6, 3, 5)
    v = torch.randn(BATCH, 3, KEYS, 13, dtype=torch.float64)
    o = attend(q, k, v, mask=causal(), site=SITE)
    torch.testing.assert_close(o, torch.from_numpy(outputs(weights(q, k, CAUSAL.sees), v)))


def test_two_texts_may_meet_with_more_queries_than_keys() -> None:
    """Cross-attention of a long target to a short, padded source: padding speaks of keys only."""
    q, k, v = tensors(6, 3, 13, keys=5)
    case = case_padding([2, 5])
    o = attend(q, k, v, mask=case.mask, site=SITE)
    torch.testing.assert_close(o, torch.from_numpy(outputs(weights(q, k, case.sees), v)))


def test_the_reference_is_not_rounded_by_autocast() -> None:
    q, k, v = (t.float() for t in tensors(6, 3, 5))
    asked = request(q, k, v, causal(), Score(softcap=30.0))
    o = reference.run(asked)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(reference.run(asked), o)


@pytest.mark.parametrize("masked", ["full", "causal", "causal & window", "padding left"])
def test_one_mask_serves_requests_of_all_kinds(masked: str) -> None:
    """A kernel prepared for one request answers no other, and what is refused stays refused."""
    case = MASKS[masked]
    for heads, queries, kind, keys in (
        (6, 1, "plain", KEYS),
        (6, 1, "plain", KEYS),
        (6, 1, "scale", KEYS),
        (6, 1, "soft cap", KEYS),
        (6, 1, "sinks", KEYS),
        (6, 1, "plain", KEYS - 1),
        (6, KEYS, "plain", KEYS),
        (3, KEYS, "plain", KEYS),
        (3, 5, "plain", KEYS),
        (6, 1, "plain", KEYS),
    ):
        q, k, v = tensors(heads, 3, queries, keys=keys)
        score = SCORES[kind].score(heads)
        wanted = torch.from_numpy(outputs(weights(q, k, case.sees, SCORES[kind]), v))
        torch.testing.assert_close(attend(q, k, v, mask=case.mask, score=score, site=SITE), wanted)
        for misfits, why in (
            ((q, k, v[:, :, 1:]), "every key needs one value"),
            ((q, k, v.float()), "the dtype must be the same"),
            ((q[:, :1], k, v), "query heads must be a multiple of key heads"),
        ):
            with pytest.raises(RequestError, match=rf"{SITE}: .*{why}"):
                attend(*misfits, mask=case.mask, score=score, site=SITE)


@st.composite
def asked_for(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Case, Rules]:
    """Any shapes, any join of up to four masks, any score."""
    batch, groups, ratio = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    keys, width = draw(st.integers(1, 9)), draw(st.sampled_from([1, 2, 5]))
    queries, heads = draw(st.integers(1, keys)), groups * ratio
    places, per_text = st.integers(0, keys - 1), {"min_size": batch, "max_size": batch}
    parts = st.one_of(
        st.just(CAUSAL),
        st.integers(1, keys + 1).map(case_window),
        st.lists(st.integers(0, keys), **per_text).map(case_padding),
        st.lists(st.integers(0, keys), **per_text).map(case_left_padding),
        st.lists(st.lists(st.integers(-1, 2), min_size=keys, max_size=keys), **per_text).map(case_documents),
        st.builds(
            case_knockout,
            st.lists(st.tuples(places, places), min_size=1, max_size=3),
            st.none() | st.integers(0, heads - 1),
        ),
    )
    case = Case(FULL, lambda b, h, q, k: True)
    for part in draw(st.lists(parts, max_size=4)):
        case = case & part
    rules = Rules(
        scale=draw(st.none() | st.just(0.3)),
        softcap=draw(st.none() | st.just(3.0)),
        sinks=draw(st.booleans()),
        bias=draw(st.booleans()),
    )
    q, k, v = tensors(heads, groups, queries, batch=batch, keys=keys, width=width, seed=draw(st.integers(0, 99)))
    return q, k.transpose(1, 2).contiguous().transpose(1, 2), v, case, rules  # k as a model hands it over: (B, T, G, D)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(asked_for())
def test_any_request_gives_what_the_definition_gives(asked: tuple[Tensor, Tensor, Tensor, Case, Rules]) -> None:
    q, k, v, case, rules = asked
    p = weights(q, k, case.sees, rules)
    o = attend(q, k, v, mask=case.mask, score=rules.score(q.shape[1]), site=SITE)
    np.testing.assert_allclose(o.numpy(), outputs(p, v), rtol=1e-9, atol=1e-12)
    with watch(Watched({SITE: q.shape[1]})) as record:
        attend(q, k, v, mask=case.mask, score=rules.score(q.shape[1]), site=SITE)
    for text in range(q.shape[0]):
        for head in range(q.shape[1]):
            wanted = case.own(p[text, head], text)
            if not wanted.shape[0]:  # padding alone
                assert record[text].seen() == []
                continue
            tile = record.map(SITE, head, text)[:, :].numpy()
            np.testing.assert_allclose(tile, wanted, rtol=1e-9, atol=1e-12)
            assert np.array_equal(tile == 0, wanted == 0)
