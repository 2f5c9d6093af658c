"""Masks filled and vectors made under edits: as transformers does with the same change made by a hook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertModel, pipeline

import clearhead as ch
from clearhead import hub
from clearhead.errors import WatchError
from clearhead.language_model import LanguageModel
from little_encoders import saved

LAYER, HEAD = 1, 1
TEXTS = ["paris is the capital of france .", "a", "the capital of germany is berlin a b c", "the"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With weights so large that an edit shows."""
    folder = tmp_path_factory.mktemp("edited")
    model = saved(folder / "little", "BERT")
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(
                0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    hub.save(folder / "bert", model)
    return folder / "bert"


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return hub.load(folder)


@contextmanager
def without_a_head(attention: Any) -> Iterator[None]:
    """transformers' attention with one head's outputs zeroed where they enter its output layer."""

    def zero(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x_BTHD = given[0].unflatten(-1, (attention.self.num_attention_heads, -1)).clone()
        x_BTHD[..., HEAD, :] = 0
        return (x_BTHD.flatten(-2), *given[1:])

    hook = attention.output.dense.register_forward_pre_hook(zero)
    yield
    hook.remove()


def test_masks(model: LanguageModel, folder: Path) -> None:
    theirs, text = pipeline("fill-mask", model=str(folder), device="cpu"), "[MASK] is the capital of [MASK] ."
    with without_a_head(theirs.model.bert.encoder.layer[LAYER].attention):
        expected = theirs(text, top_k=4)
    found = ch.fill(model, text, top=4, edits=ch.Ablate(layer=LAYER, head=HEAD))
    assert [[guess.id for guess in mask.guesses] for mask in found] == [
        [guess["token"] for guess in guesses] for guesses in expected
    ]
    for mask, guesses in zip(found, expected, strict=True):
        for mine, other in zip(mask.guesses, guesses, strict=True):
            assert mine.probability == pytest.approx(other["score"], rel=1e-4)  # float32
    assert [each.guesses for each in found] != [each.guesses for each in ch.fill(model, text, top=4)]


def theirs(folder: Path, model: LanguageModel, text: str, scaled: int | None = None) -> Tensor:
    """The mean over transformers' last hidden states; ``scaled``: a place where a feed-forward's output is doubled."""
    peer = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()

    def double(_: nn.Module, given: object, x_BTE: Tensor) -> Tensor:
        x_BTE = x_BTE.clone()
        x_BTE[:, scaled] *= 2
        return x_BTE

    if scaled is not None:
        peer.encoder.layer[LAYER].output.dense.register_forward_hook(double)
    with without_a_head(peer.encoder.layer[LAYER].attention), torch.no_grad():
        return peer(torch.tensor([model.encode(text)])).last_hidden_state[0].mean(0)


def test_vectors_of_texts_of_any_length(model: LanguageModel, folder: Path) -> None:
    """The word in each text has a place of its own, and a padded batch changes nothing."""
    ablated = ch.Ablate(layer=LAYER, head=HEAD)
    found = ch.vectors(model, TEXTS, edits=ablated)
    expected = torch.stack([theirs(folder, model, text) for text in TEXTS])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)  # float32
    assert not torch.allclose(found, ch.vectors(model, TEXTS), atol=1e-2)
    words = [TEXTS[0], TEXTS[2]]
    at = ch.Scale(layer=LAYER, kind="feed_forward", factor=2.0, at="capital")
    expected = torch.stack([theirs(folder, model, words[0], 4), theirs(folder, model, words[1], 2)])
    found = ch.vectors(model, words, edits=[ablated, at])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_an_edit_of_one_text_leaves_the_others(model: LanguageModel) -> None:
    """Texts are numbered as they were given, in whatever order they are batched."""
    plain, edited = ch.vectors(model, TEXTS), ch.vectors(model, TEXTS, edits=ch.Ablate(layer=0, text=2))
    changed = [not torch.allclose(one, other, atol=1e-4) for one, other in zip(plain, edited, strict=True)]
    assert changed == [False, False, True, False]
    alone = ch.vectors(model, TEXTS[2], edits=ch.Ablate(layer=0))
    torch.testing.assert_close(edited[2], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: ch.fill(model, "a [MASK]", edits=ch.Ablate(layer=7)), "no site of layer 7"),
        (lambda model: ch.fill(model, "a [MASK]", edits=ch.Ablate(layer=0, at="paris")), "the text has no such word"),
        (lambda model: ch.vectors(model, TEXTS, edits=ch.Ablate(layer=0, at="paris")), "the text has no such word"),
        (
            lambda model: ch.vectors(model, TEXTS, edits=ch.Ablate(layer=0, text=4)),
            r"there is no text 4; .* 0, 1, 2, 3",
        ),
        (lambda model: ch.vectors(model, TEXTS, edits=ch.Ablate(layer=0, at=12)), "has places 0 to"),
        (lambda model: ch.vectors(model, TEXTS, edits="ablate 0"), "makes one of a text"),
    ],
)
def test_what_does_not_apply_is_refused(
    model: LanguageModel, call: Callable[[LanguageModel], object], message: str
) -> None:
    with pytest.raises(WatchError, match=message):
        call(model)
