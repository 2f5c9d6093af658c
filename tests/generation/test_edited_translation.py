"""Translations under edits: as transformers with the same change made by a hook, and as passes without a cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import MarianMTModel

import clearhead as ch
from clearhead import hub
from clearhead.errors import WatchError
from clearhead.generation import Sampling, Translation, translate
from clearhead.language_model import LanguageModel
from clearhead.watching import watch
from little_translators import LETTERS, SEPARATOR, translator

TEXTS = ["the cat", "a dog", "you", "", "b b b", "zebra."]
HEAD = 1


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return translator()


@pytest.fixture(scope="module")
def peer(model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> MarianMTModel:
    folder = tmp_path_factory.mktemp("peer")
    hub.save(folder, model)
    return MarianMTModel.from_pretrained(folder, dtype=torch.float64).eval()


def without_a_head(out: nn.Module, heads: int) -> Any:
    """A hook that zeroes one head's outputs where they enter an output projection."""

    def zero(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x_BTHD = given[0].unflatten(-1, (heads, -1)).clone()
        x_BTHD[..., HEAD, :] = 0
        return (x_BTHD.flatten(-2), *given[1:])

    return out.register_forward_pre_hook(zero)


def without_a_place(part: nn.Module, place: int) -> Any:
    """A hook that zeroes what a part of the encoder gives at one place."""

    def zero(_: nn.Module, given: object, x_BTE: Tensor) -> Tensor:
        x_BTE = x_BTE.clone()
        x_BTE[:, place] = 0
        return x_BTE

    return part.register_forward_hook(zero)


@contextmanager
def changed(peer: MarianMTModel, place: int) -> Iterator[None]:
    with ExitStack() as hooks:
        hooks.callback(without_a_head(peer.model.encoder.layers[1].self_attn.out_proj, 4).remove)
        hooks.callback(without_a_head(peer.model.decoder.layers[1].encoder_attn.out_proj, 4).remove)
        hooks.callback(without_a_head(peer.model.decoder.layers[0].self_attn.out_proj, 4).remove)
        hooks.callback(without_a_place(peer.model.encoder.layers[0].fc2, place).remove)
        yield


EDITS = [
    ch.Ablate(layer=1, head=HEAD, stack="encoder"),
    ch.Ablate(layer=1, head=HEAD, kind="cross"),
    ch.Ablate(layer=0, head=HEAD, stack="decoder"),
    ch.Ablate(layer=0, kind="feed_forward", stack="encoder", at=-1),
]


@pytest.mark.parametrize("together", [1, 4])
@pytest.mark.parametrize("beams", [1, 5])
def test_as_in_transformers(model: LanguageModel, peer: MarianMTModel, beams: int, together: int) -> None:
    """Each text has its last place somewhere else, and its beams are rows of a batch that change their order."""
    texts = [text for text in TEXTS if text]
    found = translate(model, texts, beams=beams, together=together, edits=EDITS)
    for text, each in zip(texts, found, strict=True):
        source = [*LETTERS.encode(text), SEPARATOR]
        with changed(peer, len(source) - 1):
            out = peer.generate(
                input_ids=torch.tensor([source]),
                attention_mask=torch.ones(1, len(source), dtype=torch.long),
                num_beams=beams,
                max_new_tokens=3 * len(source) + 10,
                early_stopping=False,
                do_sample=False,
            )
        assert list(each.ids) == out[0, 1:].tolist()
    assert [each.ids for each in found] != [each.ids for each in translate(model, texts, beams=beams)]


def logprob(model: LanguageModel, found: Translation, edits: Any, prefix: str = "") -> float:
    """The sum of the log-probabilities of a translation, by one pass under edits over all of it."""
    begun = [SEPARATOR, *LETTERS.encode(prefix)]
    ids_1T = torch.tensor([[*begun, *found.ids[:-1]]])
    source_1S = torch.tensor([[*LETTERS.encode(found.source), SEPARATOR]])
    with torch.inference_mode(), watch(model, edits):
        logp_TV = model.network(ids_1T, source_BS=source_1S)[0].log_softmax(-1)
    return sum(float(logp_TV[len(begun) - 1 + n, token]) for n, token in enumerate(found.ids))


@pytest.mark.parametrize(
    "search",
    [{"beams": 1}, {"beams": 4, "best": 3}, {"sampling": Sampling(temperature=1.0, seed=3)}],
    ids=["greedy", "beams", "drawn"],
)
def test_places_and_texts_are_those_of_a_pass_without_a_cache(model: LanguageModel, search: dict[str, Any]) -> None:
    """By place in the decoder, by key in the cross-attention, and of one text alone."""
    everywhere = [
        ch.Ablate(layer=0, kind="feed_forward", stack="decoder", at=2),
        ch.Knockout(layer=1, kind="cross", query=3, key=0),
        ch.Knockout(layer=[0, 1], stack="decoder", query=4, key=1, head=2),
    ]
    one = ch.Scale(layer=1, kind="residual", stack="encoder", factor=0.5, text=2)
    for n, found in enumerate(translate(model, TEXTS, edits=[*everywhere, one], **search)):
        assert found.source == TEXTS[n]
        for each in (found, *found.others) if found.ids else ():
            acting = [edit for edit in everywhere if len(each.ids) >= 5]
            acting += [ch.Scale(layer=1, kind="residual", stack="encoder", factor=0.5)] if n == 2 else []
            assert len(each.ids) >= 5
            expected = logprob(model, each, acting)
            assert each.logprob == pytest.approx(expected, abs=1e-9), (n, each)


def test_words_of_the_text_and_of_the_prefix(model: LanguageModel) -> None:
    """Cross-attention reads from the prefix to the text."""
    by_word = ch.Knockout(layer=0, kind="cross", query="d", key="x")
    by_place = ch.Knockout(layer=0, kind="cross", query=1, key=4)
    one, other = (translate(model, "a b x", prefix="d", beams=1, edits=edit) for edit in (by_word, by_place))
    assert one == other
    assert one.logprob == pytest.approx(logprob(model, one, by_place, "d"), abs=1e-9)
    assert one.logprob != pytest.approx(translate(model, "a b x", prefix="d", beams=1).logprob, abs=1e-9)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda: ch.Ablate(layer=0, head=0), r"it could mean encoder\.0\.self or decoder\.0\.self; name the stack"),
        (lambda: ch.Ablate(layer=0, stack="decoder", at="x"), "the text has no such word"),
        (lambda: ch.Ablate(layer=0, stack="encoder", text=9), "there is no text 9; the passes held the texts 0"),
        (lambda: ch.Ablate(layer=0, stack="encoder", text=3), "there is no text 3"),  # it is empty, so never read
        (lambda: ch.Ablate(layer=0, stack="decoder", at=35), "has places 0 to"),
    ],
)
def test_what_does_not_apply_is_refused(model: LanguageModel, edit: Callable[[], ch.Ablate], message: str) -> None:
    with pytest.raises(WatchError, match=message):
        translate(model, TEXTS, edits=edit())
