"""The filters against transformers', the draw against the distribution, and numbers by hand."""

import json
import math
from pathlib import Path

import pytest
import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from clearhead.generation.filters import (
    NUCLEUS,
    draw,
    filtered,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    next_ids,
    penalised,
)
from clearhead.generation.sampling import Sampling

REFERENCE = Path(__file__).parents[3] / "shared" / "data" / "gpt2-reference"
NO_IDS = torch.zeros(1, 0, dtype=torch.long)


def logits(rows: int, vocabulary: int, *, seed: int, ties: bool) -> torch.Tensor:
    """Random logits; with ties they are whole numbers, so that most have equals."""
    random = torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed)) * 3
    return random.round() if ties else random


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("vocabulary", [11, 257, 5003])
@pytest.mark.parametrize("k", [1, 2, 10, 100, 5003, 9999])
def test_top_k_is_transformers(k, vocabulary, ties):
    logits_BV = logits(7, vocabulary, seed=k, ties=ties)
    assert torch.equal(keep_top_k(logits_BV, k), TopKLogitsWarper(k)(NO_IDS, logits_BV))


EDGES = [1e-9, 0.1, 0.5, 0.9, 0.99, 0.9999]


@pytest.mark.parametrize("vocabulary", [11, 257, 5003])
@pytest.mark.parametrize("p", EDGES)
def test_top_p_is_transformers(p, vocabulary):
    logits_BV = logits(7, vocabulary, seed=int(p * 1000), ties=False)
    assert torch.equal(keep_top_p(logits_BV, p), TopPLogitsWarper(p)(NO_IDS, logits_BV))


@pytest.mark.parametrize("vocabulary", [11, 257, 5003])
@pytest.mark.parametrize("p", EDGES)
def test_top_p_is_transformers_but_for_equals_at_the_edge_which_all_stay(p, vocabulary):
    logits_BV = logits(7, vocabulary, seed=int(p * 1000), ties=True)
    theirs_BV = TopPLogitsWarper(p)(NO_IDS, logits_BV)
    least_B1 = theirs_BV.masked_fill(theirs_BV == -math.inf, math.inf).amin(1, keepdim=True)
    assert torch.equal(keep_top_p(logits_BV, p), logits_BV.masked_fill(logits_BV < least_B1, -math.inf))


def test_top_p_is_transformers_when_the_nucleus_is_larger_than_the_first_look():
    logits_BV = torch.randn(3, 4 * NUCLEUS, generator=torch.Generator().manual_seed(1)) / 10
    kept = keep_top_p(logits_BV, 0.6)
    assert torch.equal(kept, TopPLogitsWarper(0.6)(NO_IDS, logits_BV))
    assert (kept.isfinite().sum(1) > NUCLEUS).all()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("vocabulary", [11, 5003])
@pytest.mark.parametrize("p", [1e-9, 0.05, 0.5, 1.0])
def test_min_p_is_transformers(p, vocabulary, ties):
    logits_BV = logits(7, vocabulary, seed=3, ties=ties)
    assert torch.equal(keep_min_p(logits_BV, p), MinPLogitsWarper(p)(NO_IDS, logits_BV))


@pytest.mark.parametrize("penalty", [0.5, 1.3, 10.0])
def test_the_repetition_penalty_is_transformers(penalty):
    logits_BV = logits(3, 19, seed=5, ties=True)
    ids_BT = torch.tensor([[1, 2, 2, 18], [0, 0, 0, 0], [5, 7, 11, 13]])
    seen_BV = torch.zeros(3, 19, dtype=torch.bool).scatter_(1, ids_BT, True)
    expected = RepetitionPenaltyLogitsProcessor(penalty)(ids_BT, logits_BV.clone())
    assert torch.equal(penalised(logits_BV, seen_BV, penalty), expected)


@pytest.mark.parametrize("seed", range(5))
def test_all_filters_together_are_transformers_in_its_order(seed):
    sampling = Sampling(temperature=0.7, top_k=40, top_p=0.9, min_p=0.02)
    theirs = LogitsProcessorList(
        [TemperatureLogitsWarper(0.7), TopKLogitsWarper(40), TopPLogitsWarper(0.9), MinPLogitsWarper(0.02)]
    )
    logits_BV = logits(11, 997, seed=seed, ties=False)
    assert torch.equal(filtered(logits_BV, sampling), theirs(NO_IDS, logits_BV))


def test_filters_by_hand():
    logits_BV = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
    none = -math.inf
    assert keep_top_k(logits_BV, 2)[0].tolist() == [*logits_BV[0, :2].tolist(), none, none]
    assert keep_top_k(logits_BV, 3)[0].tolist() == logits_BV[0].tolist()  # the third has an equal
    assert keep_top_p(logits_BV, 0.5)[0].tolist() == [logits_BV[0, 0], none, none, none]
    assert keep_top_p(logits_BV, 0.51)[0].tolist() == [*logits_BV[0, :2].tolist(), none, none]
    assert keep_top_p(logits_BV, 0.8)[0].tolist() == logits_BV[0].tolist()  # the third has an equal
    assert keep_min_p(logits_BV, 0.4)[0].tolist() == [*logits_BV[0, :2].tolist(), none, none]
    seen_BV = torch.tensor([[True, False, True, False]])
    assert penalised(torch.tensor([[2.0, 2.0, -2.0, -2.0]]), seen_BV, 4).tolist() == [[0.5, 2, -8, -2]]


def test_the_draw_by_hand():
    p_BV = torch.tensor([[0.0, 0.25, 0.0, 0.5, 0.25, 0.0]])
    numbers = [0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53]
    uniform_B = torch.tensor(numbers, dtype=torch.float64)
    assert draw(p_BV.expand(6, -1).contiguous(), uniform_B).tolist() == [1, 1, 3, 3, 4, 4]


# The 99.9th percentile of chi-square with 11 degrees of freedom (any table).
CHI2_11 = 31.26


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0),
        Sampling(temperature=0.6),
        Sampling(temperature=1.5, top_p=0.9),
        Sampling(temperature=0.8, top_k=5, min_p=0.05),
    ],
)
def test_frequencies_follow_the_distribution(sampling):
    number = 40_000
    logits_V = torch.tensor([1.0, 0.5, 0.0, -0.5, 2.0, -3.0, 0.3, 0.3, -1.0, 1.4, -0.2, 0.9])
    exact_V = filtered(logits_V.double()[None], sampling).softmax(-1)[0]
    uniform_B = torch.rand(number, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    ids_B = next_ids(logits_V.expand(number, -1), sampling, seen_BV=None, uniform_B=uniform_B)
    counts_V = torch.bincount(ids_B, minlength=len(logits_V))
    possible_V = exact_V > 0
    assert counts_V[~possible_V].sum() == 0
    expected_V = exact_V[possible_V] * number
    assert ((counts_V[possible_V] - expected_V) ** 2 / expected_V).sum() < CHI2_11


def test_greedy_takes_the_first_of_equals_after_the_penalty():
    logits_BV = torch.tensor([[1.0, 3.0, 3.0, 2.9]])
    seen_BV = torch.tensor([[False, True, True, False]])
    plain, penalty = Sampling(temperature=0), Sampling(temperature=0, repetition_penalty=1.1)
    assert next_ids(logits_BV, plain, seen_BV=None, uniform_B=None).tolist() == [1]
    assert next_ids(logits_BV, penalty, seen_BV=seen_BV, uniform_B=None).tolist() == [3]


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="../shared/data/gpt2-reference is not here")
@pytest.mark.parametrize("name", ["ex0", "ex1", "ex2"])
def test_gpt2s_own_logits_give_the_published_probabilities(name):
    reference = json.loads((REFERENCE / f"{name}.json").read_text())
    settings = reference["sampling"]
    sampling = Sampling(temperature=settings["temperature"], top_k=settings["top_k"])
    p_V = filtered(torch.tensor([reference["logits_last"]]), sampling).softmax(-1)[0]
    likeliest = p_V.topk(settings["top_k"])
    kept = [token for token in reference["top50"] if token["kept"]]
    assert likeliest.indices.tolist() == [token["token_id"] for token in kept]
    # their logits are rounded to 7 digits, of which 3 stand before the point
    assert likeliest.values.tolist() == pytest.approx([token["probability"] for token in kept], rel=1e-4)
    assert int((p_V > 0).sum()) == settings["top_k"]
    drawn = reference["sampled"]
    below = p_V[: drawn["token_id"]].double().sum()
    uniform_B = (below + p_V[drawn["token_id"]].double() / 2)[None] / p_V.double().sum()
    logits_BV = torch.tensor([reference["logits_last"]])
    assert next_ids(logits_BV, sampling, seen_BV=None, uniform_B=uniform_B).tolist() == [drawn["token_id"]]
