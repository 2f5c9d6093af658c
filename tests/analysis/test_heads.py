"""Heads found: in a two-layer model trained here to copy, each score against its definition, and what is refused."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor

from clearhead.analysis import FoundHeads, copying, find_heads, heads
from clearhead.analysis.heads import HEAD_KINDS, LEAST
from clearhead.analysis.probe_texts import Needles, needles, repeated
from clearhead.errors import OptionError
from clearhead.language_model import LanguageModel
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, build
from clearhead.watching import watch
from little_configs import RIVALS, TRANSLATOR
from looked import BYTES, speaking

PERIOD, CONTEXT, VOCABULARY, STEPS = 8, 24, 24, 120


@pytest.fixture(scope="module")
def copier() -> LanguageModel:
    """Two layers of two heads, trained for a second on random tokens that come three times."""
    config = DecoderConfig(
        vocabulary=VOCABULARY,
        context=CONTEXT,
        layers=2,
        width=32,
        attention=AttentionConfig(heads=2, kv_heads=2, head_width=16),
        feed_forward=FeedForwardConfig(width=32),
    )
    network, generator = build(config, seed=0), torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, betas=(0.9, 0.99))
    for _ in range(STEPS):
        ids_BT = torch.rand(32, VOCABULARY, generator=generator).argsort(1)[:, :PERIOD].repeat(1, 3)
        loss = network(ids_BT[:, :-1], targets_BT=ids_BT[:, 1:]) / ids_BT[:, 1:].numel()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return LanguageModel(network.eval(), None)


@pytest.fixture(scope="module")
def found(copier: LanguageModel) -> FoundHeads:
    return find_heads(copier)


def test_the_copying_heads_are_found_and_without_them_nothing_is_copied(
    copier: LanguageModel, found: FoundHeads
) -> None:
    named = found.named("copying")
    assert 0 < len(named) < len(found) == 4
    whole = copying(copier)
    assert whole.gain > 2.0
    assert copying(copier, named).gain < 0.1 * whole.gain
    others = [each for each in found if each not in named]
    assert copying(copier, others).gain > 0.9 * whole.gain


def test_the_loss_without_a_head_is_that_of_a_model_whose_head_writes_nothing(
    copier: LanguageModel, found: FoundHeads
) -> None:
    text = repeated(copier, 4, seed=0)
    ids_1T = text.ids_BT[:1]
    for each in found:
        weight_EF = copier.network.projections()[each.site]
        own = slice(16 * each.head, 16 * (each.head + 1))
        before = weight_EF[:, own].clone()
        with torch.no_grad():
            weight_EF[:, own] = 0.0
            logits_TV = copier.network(ids_1T)[0]
            weight_EF[:, own] = before
        loss_T = torch.nn.functional.cross_entropy(logits_TV[:-1], ids_1T[0, 1:], reduction="none")
        assert each.again == pytest.approx(loss_T[PERIOD - 1 :].mean().item(), abs=1e-5)
        lost = (each.again - found.copying.again) / found.copying.gain
        assert each.scores["copying"] == pytest.approx(lost)


def maps(model: LanguageModel, ids_BT: Tensor) -> dict[tuple[object, int], Tensor]:
    """weights_BTT of every head, in full."""
    with torch.no_grad(), watch(model) as record:
        model.network(ids_BT)
    rows = range(len(ids_BT))
    return {(site, head): torch.stack([record.map(site, head, row)[:, :] for row in rows]) for site, head in record}


def test_scores_are_means_of_weights(copier: LanguageModel, found: FoundHeads) -> None:
    text = repeated(copier, 4, seed=0)
    weights = maps(copier, text.ids_BT)
    later, back = range(PERIOD, CONTEXT), range(1, CONTEXT)
    for each in found:
        w_BTT = weights[each.site, each.head]
        copies = [list(range(i % PERIOD, i, PERIOD)) for i in range(CONTEXT)]
        wanted = {
            "previous": torch.stack([w_BTT[:, i, i - 1] for i in back]).mean(),
            "sink": w_BTT[:, 1:, 0].mean(),
            "duplicate": torch.stack([w_BTT[:, i, copies[i]].sum(1) for i in later]).mean(),
            "induction": torch.stack([w_BTT[:, i, i - PERIOD + 1] for i in later]).mean(),
            "positional": torch.stack(
                [torch.minimum(w_BTT[n], w_BTT[n - 1])[1:, 1:].sum(1).mean() for n in range(4)]
            ).mean(),
        }
        for kind, value in wanted.items():
            assert each.scores[kind] == pytest.approx(value.item(), abs=1e-6), kind


def test_retrieval_is_reading_the_token_that_is_predicted(
    copier: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A needle one period before the answer, which this copier retrieves."""
    rows = repeated(copier, 4, seed=3).ids_BT
    text = Needles(ids_BT=rows, asked=slice(17, 23), held_BN=torch.arange(10, 16).expand(4, -1))
    monkeypatch.setattr(heads, "needles", lambda model, texts, seed: text)
    found = find_heads(copier)
    weights = maps(copier, rows)
    right_BN = copier.network(rows)[:, 17:23].argmax(2) == rows[:, 18:24]
    for each in found:
        read_BN = weights[each.site, each.head][:, 17:23].argmax(2)
        wanted = ((read_BN == text.held_BN) & right_BN).float().mean().item()
        assert each.scores["retrieval"] == pytest.approx(wanted, abs=1e-6)
    assert found.ranked("retrieval")[0].scores["retrieval"] > 0.5
    assert "retrieval" in found.ranked("retrieval")[0].names


class TestTexts:
    def test_repeated_text_repeats_after_the_opening_tokens(self) -> None:
        model = speaking()
        text = repeated(model, 2, seed=0)
        rows = text.ids_BT.tolist()
        front = len(BYTES.front)
        assert all(tuple(row[:front]) == BYTES.front for row in rows)
        assert text.period == 32
        assert all(row[front : front + 32] == row[front + 32 : front + 64] == row[front + 64 :] for row in rows)
        assert all(len(set(row[front : front + 32])) == 32 for row in rows)
        assert rows[0] != rows[1]
        assert max(max(row[front:]) for row in rows) < 256  # no special tokens

    def test_a_needle_stands_in_the_text_and_its_marker_at_the_end(self) -> None:
        text = needles(speaking(), 4, seed=0)
        ids_BT, N = text.ids_BT.tolist(), text.held_BN.shape[1]
        for row, held in zip(ids_BT, text.held_BN.tolist(), strict=True):
            assert [row[place] for place in held] == row[text.asked.start + 1 : text.asked.stop + 1]
            marker = range(held[0] - 4, held[0])
            assert [row[place] for place in marker] == row[text.asked.start - 3 : text.asked.start + 1]
        assert N == 8
        assert len({row[0] for row in text.held_BN.tolist()}) == 4  # at different depths

    def test_a_seed_gives_the_same_heads(self, copier: LanguageModel, found: FoundHeads) -> None:
        assert find_heads(copier).to_dict() == found.to_dict()
        assert find_heads(copier, seed=1).to_dict() != found.to_dict()


def test_it_is_a_table_and_plain_values(found: FoundHeads) -> None:
    values = json.loads(json.dumps(found.to_dict()))
    assert values["schema"] == "clearhead.heads/1"
    assert values["kinds"]["copying"]["least"] == LEAST["copying"]
    assert [head["copying"] for head in values["heads"]] == [each.scores["copying"] for each in found]
    lines = str(found).splitlines()
    assert lines[0].split()[: 1 + len(HEAD_KINDS)] == ["head", *HEAD_KINDS]
    assert len(lines) == 2 + sum(bool(each.names) for each in found)
    assert "on their repetitions" in lines[-1]
    for kind in HEAD_KINDS:
        scores = [each.scores[kind] for each in found.ranked(kind)]
        assert scores == sorted(scores, reverse=True)
        assert all(math.isfinite(score) for score in scores)
    with pytest.raises(OptionError, match="there is no kind 'inductoin'; did you mean 'induction'"):
        found.named("inductoin")


def test_a_model_that_does_not_copy_has_no_copying_heads() -> None:
    found = find_heads(speaking())
    assert found.named("copying") == []
    assert {each.scores["copying"] for each in found} == {0.0} or found.copying.gain > 0.1


class TestRefusals:
    def test_models_without_heads_or_next_tokens(self) -> None:
        with pytest.raises(OptionError, match="no attention, so it has no heads"):
            find_heads(LanguageModel(build(RIVALS["lstm"], seed=0).eval(), None))
        with pytest.raises(
            OptionError, match=r"find_heads: .* a translator's heads get no names; clearhead look --alignment"
        ):
            find_heads(LanguageModel(build(TRANSLATOR, seed=0).eval(), None))

    def test_a_context_or_a_vocabulary_too_small(self) -> None:
        with pytest.raises(OptionError, match=r"context is 9 tokens; 13 are needed"):
            find_heads(speaking(context=9))
        config = DecoderConfig(
            vocabulary=3,
            context=64,
            layers=1,
            width=8,
            attention=AttentionConfig(heads=1, kv_heads=1, head_width=8),
            feed_forward=FeedForwardConfig(width=8),
        )
        with pytest.raises(OptionError, match="4 different ordinary tokens are needed; the model's vocabulary has 3"):
            find_heads(LanguageModel(build(config, seed=0).eval(), None))
