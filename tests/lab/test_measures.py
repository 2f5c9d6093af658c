"""Bins, loss by place, recalled answers and facts, against their definitions."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from clearhead import corpora
from clearhead.corpora.recall import made
from clearhead.lab.bins import Bin, binned
from clearhead.lab.facts import FACT_KINDS, facts
from clearhead.lab.places import loss_by_place, recalled
from clearhead.lab.summary import joined
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.text import Tokenizer, Tokens, tokens_of_rows
from little_configs import QWEN3, RIVALS


def test_bins_double() -> None:
    found = binned(np.array([1, 2, 3, 4, 7, 9]), np.array([1.0, 2, 4, 5, 7, 9]))
    assert [(each.label, each.count, each.mean) for each in found] == [
        ("1", 1, 1.0),
        ("2-3", 2, 3.0),
        ("4-7", 2, 6.0),
        ("8-15", 1, 9.0),
    ]


def test_joined_bins_are_weighted_by_their_counts() -> None:
    one, other = Bin(low=2, high=3, count=1, mean=4.0), Bin(low=2, high=3, count=3, mean=8.0)
    assert joined([[one], [other], []]) == (Bin(low=2, high=3, count=4, mean=7.0),)


def stream(ids: list[int], starts: list[int]) -> Tokens:
    return Tokens(
        ids=np.array(ids, dtype=np.uint16),
        starts=np.array(starts, dtype=np.int64),
        separator=0,
        begin_only=(),
        lengths=np.ones(max(ids) + 1, dtype=np.int32),
        by_place=False,
    )


@pytest.mark.parametrize("name", ["transformer", "lstm"])
def test_loss_by_place_counts_the_tokens_of_the_document_in_the_window(name: str) -> None:
    network = build(QWEN3 if name == "transformer" else RIVALS["lstm"], seed=2).eval()
    vocabulary, context = network.config.vocabulary, 8
    ids = torch.randint(1, vocabulary, (38,), generator=torch.Generator().manual_seed(1)).tolist()
    starts = [0, 5, 11, 30]
    for start in starts:
        ids[start] = 0
    nats: dict[int, list[float]] = {}
    for target in range(1, len(ids)):  # one at a time: from the window's or the document's begin to before the target
        window = (target - 1) // context * context
        begin = max(window, max(start for start in starts if start <= target - 1))
        with torch.no_grad():
            logits_V = network(torch.tensor([ids[begin:target]]))[0, -1]
        seen = target - begin
        nats.setdefault(2 ** (seen.bit_length() - 1), []).append(-float(logits_V.log_softmax(0)[ids[target]]))
    found = loss_by_place(network, stream(ids, starts), context=context)
    assert {each.low: each.count for each in found} == {low: len(values) for low, values in sorted(nats.items())}
    for each in found:
        assert each.mean == pytest.approx(np.mean(nats[each.low]), rel=1e-5)


class Told(nn.Module):
    """Predicts, at each place, the id that ``says`` gives."""

    def __init__(self, says: Any, vocabulary: int, context: int) -> None:
        super().__init__()
        self.says, self.device = says, torch.device("cpu")
        self.config = SimpleNamespace(vocabulary=vocabulary, context=context)

    def hidden(self, ids_BT: Tensor) -> Tensor:
        return nn.functional.one_hot(self.says(ids_BT), self.config.vocabulary).float()

    def unembed(self, x_BTE: Tensor) -> Tensor:
        return x_BTE

    def forward(self, ids_BT: Tensor) -> Tensor:
        return self.hidden(ids_BT)


def test_recalled_answers_are_counted_by_the_distance_of_key_and_query() -> None:
    rows = made(np.random.default_rng(0), 70, 16, 2, 40)
    found = {tuple(ids): targets for ids, targets in zip(rows[0].tolist(), rows[1].tolist(), strict=True)}

    def near(ids_BT: Tensor) -> Tensor:
        """Right where the query is less than 8 behind its key."""
        says_BT = torch.zeros_like(ids_BT)
        for row, ids in enumerate(ids_BT.tolist()):
            for place, target in enumerate(found[tuple(ids)]):
                if target >= 0 and place - ids.index(ids[place]) < 8:
                    says_BT[row, place] = target
        return says_BT

    share, bins = recalled(cast(Any, Told(near, 40, 16)), tokens_of_rows(*rows))
    assert [(each.low, each.mean) for each in bins] == [(2, 1.0), (4, 1.0), (8, 0.0)]
    assert sum(each.count for each in bins) == 140
    assert share == pytest.approx(sum(each.count for each in bins[:2]) / 140)


@pytest.mark.parametrize("name", ["world-en", "world-zh"])
def test_a_model_that_knows_all_predicts_all_facts_and_one_that_repeats_predicts_none(name: str) -> None:
    stories = list(islice(corpora.get(name).stories(seed=5), 12))
    tokenizer = Tokenizer.bytes()
    ids = [tokenizer.encode_document(story.text) for story in stories]
    longest = max(map(len, ids))

    def following(ids_BT: Tensor) -> Tensor:
        return ids_BT.roll(-1, dims=1)

    def asked(says: Any, context: int = longest, count: int = 12) -> dict[str, Any]:
        model = LanguageModel(cast(Any, Told(says, 257, context)), tokenizer)
        return {each.kind: each for each in facts(model, iter(stories), count)}

    knowing, repeating = asked(following), asked(lambda ids_BT: ids_BT)
    assert set(knowing) == set(FACT_KINDS) & {truth.kind for story in stories for truth in story.truth}
    for kind, each in knowing.items():
        told = [truth for story in stories for truth in story.truth if truth.kind == kind]
        assert each.asked == len(told)
        assert each.right == 1.0
        assert repeating[kind].right < 0.2
        far = [truth.distance for truth in told if truth.distance is not None]
        assert sum(bin.count for bin in each.distances) == len(far)
        assert 0 < each.common <= 1
    beginning = asked(following, context=longest // 2)
    assert {each.right for each in beginning.values()} == {1.0}
    assert 0 < sum(each.asked for each in beginning.values()) < sum(each.asked for each in knowing.values())
