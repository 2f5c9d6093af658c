"""Beam search against all that could be written, and against transformers' on the same weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
import torch
from transformers import MarianMTModel

from clearhead import hub
from clearhead.errors import NotFiniteError
from clearhead.generation.beams import BeamSearch, EarlyStopping, Hypothesis
from clearhead.generation.forced import Forced
from clearhead.language_model import LanguageModel
from clearhead.model import ModelConfig, Network, build
from little_configs import RIVAL_TRANSLATORS, TRANSLATOR
from little_translators import SEPARATOR, translator

START, END = 4, 0
SOURCES = [[1, 2, 3, 2], [3], [2, 2, 1]]


def five(seed: int, config: ModelConfig = TRANSLATOR) -> Network:
    """A translator of five ids."""
    small = build(replace(config, vocabulary=5), seed=0).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
            parameter.mul_(1.5 / parameter.shape[-1] ** 0.5 if parameter.dim() > 1 else 0.5)
    return small


def search(network: Network, beams: int, penalty: float, limits: list[int], **options) -> list[list[Hypothesis]]:
    given = {"ends": frozenset([END]), "forbid": lambda logprobs_RV, new: None, **options}
    state = network.translating(SOURCES, max(limits), beams)
    return BeamSearch(
        network, [START], state, texts=len(SOURCES), beams=beams, length_penalty=penalty, limits=limits, **given
    ).run()


def every(network: Network, source: list[int], limit: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """Each whole translation of up to ``limit`` tokens, and its log-probability: one pass each, without a cache."""
    for length in range(1, limit + 1):
        for ids in product(range(5), repeat=length):
            if END in ids[:-1] or (ids[-1] != END and length < limit):
                continue
            with torch.no_grad():
                logits_TV = network(torch.tensor([[START, *ids[:-1]]]), source_BS=torch.tensor([source]))[0]
            yield ids, float(logits_TV.log_softmax(-1)[range(length), ids].sum())


@pytest.mark.parametrize(
    ("kind", "penalty"),
    [("transformer", 0.0), ("transformer", 1.0), ("transformer", 1.7), *((kind, 1.0) for kind in RIVAL_TRANSLATORS)],
)
def test_beams_as_wide_as_all_that_could_be_written_find_all_of_it_in_order(kind: str, penalty: float) -> None:
    """Texts with limits of their own: up to 3, 2 and 3 tokens."""
    network, limits = five(0, {"transformer": TRANSLATOR, **RIVAL_TRANSLATORS}[kind]), [3, 2, 3]
    found = search(network, 101, penalty, limits)
    for source, limit, mine in zip(SOURCES, limits, found, strict=True):
        scored = {ids: (logprob, logprob / len(ids) ** penalty) for ids, logprob in every(network, source, limit)}
        assert [each.ids for each in mine] == sorted(scored, key=lambda ids: -scored[ids][1])
        for each in mine:
            assert (each.logprob, each.score) == pytest.approx(scored[each.ids], abs=1e-9)
            assert each.ended == (each.ids[-1] == END)
        assert math.fsum(math.exp(each.logprob) for each in mine) == pytest.approx(1, abs=1e-9)


def test_one_beam_takes_the_likeliest_token_each_time() -> None:
    for seed in range(4):
        network = five(seed)
        for source, (mine,) in zip(SOURCES, search(network, 1, 1.0, [6] * 3), strict=True):
            ids = [START]
            while len(ids) < 7 and ids[-1] != END:
                with torch.no_grad():
                    logits_V = network(torch.tensor([ids]), source_BS=torch.tensor([source]))[0, -1]
                ids.append(int(logits_V.argmax()))
            assert list(mine.ids) == ids[1:]


def test_what_is_not_allowed_is_not_written() -> None:
    """The function sees the new ids of each row, and those of a row grow as it says."""

    def rising(logprobs_RV: torch.Tensor, new: list[list[int]]) -> None:
        for row, ids in enumerate(new):
            assert ids == sorted(set(ids))
            logprobs_RV[row, 1 : max(ids, default=0) + 1] = -math.inf

    for mine in search(five(1), 5, 1.0, [9] * 3, forbid=rising):
        assert len(mine) == 5
        assert all(each.ended and list(each.ids[:-1]) == sorted(set(each.ids[:-1])) for each in mine)


def test_logits_that_are_not_finite_are_an_error() -> None:
    network = five(0)
    with torch.no_grad():
        network.bias[2] = math.nan
    with pytest.raises(NotFiniteError):
        search(network, 2, 1.0, [3] * 3)


@pytest.fixture(scope="module", params=[(0, 40), (1, 80)], ids=["long", "short"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LanguageModel, MarianMTModel]:
    """A model of ours, and the same opened by transformers. One writes long, the other short translations."""
    model, folder = translator(*request.param), tmp_path_factory.mktemp("both")
    hub.save(folder, model)
    return model, MarianMTModel.from_pretrained(folder, dtype=torch.float64).eval()


@pytest.mark.parametrize(("beams", "penalty"), [(1, 1.0), (2, 1.0), (5, 1.0), (5, 0.6), (4, 0.0), (4, 2.0), (3, -0.5)])
def test_all_hypotheses_are_those_of_transformers(
    both: tuple[LanguageModel, MarianMTModel], beams: int, penalty: float
) -> None:
    same_as_theirs(both, beams, penalty)


@pytest.mark.parametrize("early", [True, "never"])
@pytest.mark.parametrize(("beams", "penalty"), [(1, 1.0), (2, 1.0), (5, 1.0), (5, 0.3), (4, 0.0), (4, 2.0), (3, -0.5)])
def test_early_stopping_as_in_transformers(
    both: tuple[LanguageModel, MarianMTModel], beams: int, penalty: float, early: EarlyStopping
) -> None:
    same_as_theirs(both, beams, penalty, early_stopping=early)


@pytest.mark.parametrize("both", [(1, 80)], ids=["short"], indirect=True)
def test_early_stopping_matters(both: tuple[LanguageModel, MarianMTModel]) -> None:
    """Else the test above would compare one rule three times."""
    at_once, usual, never = (same_as_theirs(both, 5, 2.0, early_stopping=early) for early in (True, False, "never"))
    assert at_once != usual != never != at_once


@pytest.mark.parametrize("forced", [Forced(last=SEPARATOR), Forced(first=7), Forced(first=3, last=5)])
@pytest.mark.parametrize(("beams", "limit"), [(1, 15), (1, 4), (4, 15), (4, 6), (3, 2)])
def test_forced_tokens_as_in_transformers(
    both: tuple[LanguageModel, MarianMTModel], beams: int, limit: int, forced: Forced
) -> None:
    for ids in same_as_theirs(both, beams, 1.0, limit, forced=forced):
        assert forced.first in (None, ids[0])
        assert len(ids) < limit or forced.last in (None, ids[-1])


@pytest.mark.parametrize("ends", [(SEPARATOR, 4, 9), (SEPARATOR, 1, 2, 3, 4, 5, 6, 7)])
def test_several_end_tokens_as_in_transformers(
    both: tuple[LanguageModel, MarianMTModel], ends: tuple[int, ...]
) -> None:
    same_as_theirs(both, 4, 1.0, ends=ends)


def same_as_theirs(
    both: tuple[LanguageModel, MarianMTModel],
    beams: int,
    penalty: float,
    limit: int = 15,
    *,
    early_stopping: EarlyStopping = False,
    forced: Forced | None = None,
    ends: tuple[int, ...] = (SEPARATOR,),
) -> list[tuple[int, ...]]:
    """The ids of all hypotheses, which are transformers', and so are their scores."""
    model, peer = both
    first, last = (None, None) if forced is None else (forced.first, forced.last)
    generator = torch.Generator().manual_seed(5)
    sources = [[*torch.randint(30, (n,), generator=generator).tolist(), SEPARATOR] for n in (7, 4, 1, 6)]
    seen_BS = torch.tensor([[1] * len(ids) + [0] * (8 - len(ids)) for ids in sources])
    out = peer.generate(
        input_ids=torch.tensor([[*ids, *[SEPARATOR] * (8 - len(ids))] for ids in sources]),
        attention_mask=seen_BS,
        num_beams=beams,
        num_return_sequences=beams,
        length_penalty=penalty,
        max_new_tokens=limit,
        do_sample=False,
        early_stopping=early_stopping,
        forced_bos_token_id=first,
        forced_eos_token_id=last,
        eos_token_id=list(ends),
        return_dict_in_generate=True,
        output_scores=True,
    )
    mine = BeamSearch(
        model.network,
        [SEPARATOR],
        model.network.translating(sources, limit, beams),
        texts=4,
        beams=beams,
        length_penalty=penalty,
        ends=frozenset(ends),
        limits=[limit] * 4,
        forbid=lambda logprobs_RV, new: None,
        early_stopping=early_stopping,
        forced=forced,
    ).run()
    every = [(text * beams + n, each) for text, found in enumerate(mine) for n, each in enumerate(found)]
    for row, each in every:
        theirs = out.sequences[row, 1:].tolist()
        assert theirs[: len(each.ids)] == list(each.ids)
        assert set(theirs[len(each.ids) :]) <= {SEPARATOR}
        if beams > 1:
            assert each.score == pytest.approx(float(out.sequences_scores[row]), rel=1e-6)
    written = [each.ids for _, each in every]
    assert limit < 15 or len(set(written)) > 2 * beams  # else the sources would not matter
    return written
