"""Masks are filled with what transformers' own pipeline fills them with."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import tokenizers
import torch
from transformers import pipeline

import clearhead as ch
from clearhead import hub
from clearhead.encoding import fill, refill
from clearhead.errors import NotFiniteError, OptionError, TextError
from clearhead.language_model import LanguageModel
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, build
from clearhead.text import Tokenizer
from little_encoders import WORDS, saved

TEXTS = {
    "BERT": ["Paris is the capital of [MASK].", "[MASK] is the capital of [MASK] .", "[MASK]"],
    "RoBERTa": ["Paris is the <mask>.", "<mask> <mask>é <mask>", "<mask>"],
}


@pytest.mark.parametrize("name", TEXTS)
def test_as_transformers_fills_them(name: str, tmp_path: Path) -> None:
    model = saved(tmp_path, name)
    theirs = pipeline("fill-mask", model=str(tmp_path), device="cpu")
    for text in TEXTS[name]:
        found = theirs(text, top_k=4)
        expected = [found] if isinstance(found[0], dict) else found
        masks = ch.fill(model, text, top=4)
        assert [[guess.id for guess in mask.guesses] for mask in masks] == [
            [guess["token"] for guess in guesses] for guesses in expected
        ]
        for mask, guesses in zip(masks, expected, strict=True):
            assert [guess.token for guess in mask.guesses] == [guess["token_str"] for guess in guesses]
            for mine, other in zip(mask.guesses, guesses, strict=True):
                assert mine.probability == pytest.approx(other["score"], rel=1e-4)


@pytest.mark.parametrize(
    ("guess", "text", "shown"),
    [
        ("\n", "abcdefghij", "abc[⏎/d]efghi[⏎/j]"),
        ("\n", "abc\nefghi\n\n", "abc[⏎]efghi[⏎]\n"),
        (" ", "abc\nefghi ", "abc[·/⏎]efghi[·]"),
    ],
)
def test_white_space_in_brackets_is_visible(guess: str, text: str, shown: str, tmp_path: Path) -> None:
    """A raw newline would break the line inside the brackets. An output layer of zeros leaves the bias to guess."""
    model = saved(tmp_path, "RoBERTa")
    with torch.no_grad():
        model.network.embedding.weight.zero_()
        model.network.prediction.bias.zero_()
        model.network.prediction.bias[model.tokenizer.encode(guess)] = 1.0
    assert refill(model, model.tokenizer.encode(text)) == shown


def test_probabilities_by_hand(tmp_path: Path) -> None:
    """An output layer of zeros leaves the bias: e^ln 3 to e^0 for the words without one."""
    model = saved(tmp_path, "BERT")
    prediction = model.network.prediction
    with torch.no_grad():
        model.network.embedding.weight.zero_()
        prediction.bias.zero_()
        prediction.bias[WORDS.index("france")] = math.log(3)
    (mask,) = fill(model, "[MASK] of paris", top=len(WORDS))
    assert mask.place == 1
    assert mask.guesses[0].token == "france"
    assert [guess.probability for guess in mask.guesses] == pytest.approx([3 / 22] + [1 / 22] * 19)


def test_probabilities_count_the_ids_that_have_no_token(tmp_path: Path) -> None:
    """Softmax over all 32 rows, as in transformers, though the tokenizer has 20 tokens."""
    words = saved(tmp_path, "BERT")
    model = LanguageModel(build(replace(words.config, vocabulary=32), seed=1), words.tokenizer)
    (mask,) = fill(model, "[MASK] of paris", top=20)
    p_V = model.logits("[MASK] of paris")[mask.place].double().softmax(-1)
    assert [guess.probability for guess in mask.guesses] == pytest.approx([float(p_V[g.id]) for g in mask.guesses])
    assert sorted(guess.id for guess in mask.guesses) == list(range(20))
    with pytest.raises(OptionError, match="top is 21; it must be at least 1 and at most 20"):
        fill(model, "[MASK]", top=21)


def test_places_are_those_of_the_tokens(tmp_path: Path) -> None:
    """[CLS] stands at place 0; germany is two tokens."""
    model = saved(tmp_path, "BERT")
    masks = fill(model, "germany [MASK] [MASK] .", top=1)
    assert [mask.place for mask in masks] == [3, 4]
    assert all(len(mask.guesses) == 1 for mask in masks)


def test_a_tokenizer_with_more_ids_than_the_model(tmp_path: Path) -> None:
    """Ids 20 to 24 stand for nothing, and the model has none from 20 on."""
    model = saved(tmp_path, "BERT")
    state = json.loads(model.tokenizer.to_json())
    state["model"]["vocab"]["beyond"] = 25
    larger = Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(state)), {"mask_token": "[MASK]"})
    assert (larger.vocab_size, larger.gaps) == (26, [20, 21, 22, 23, 24])
    assert fill(LanguageModel(model.network, larger), "[MASK] of paris", top=20) == ch.fill(
        model, "[MASK] of paris", top=20
    )
    with pytest.raises(OptionError, match=r"top is 21; it must be at least 1 and at most 20"):
        fill(LanguageModel(model.network, larger), "[MASK]", top=21)


class TestRefused:
    def test_weights_that_are_not_numbers(self, tmp_path: Path) -> None:
        model = saved(tmp_path, "BERT")
        with torch.no_grad():
            model.network.embedding.weight[7, 0] = math.nan
        with pytest.raises(NotFiniteError, match="a logit after 3 tokens is not finite"):
            ch.fill(model, "[MASK]")

    def test_a_text_without_a_mask(self, tmp_path: Path) -> None:
        with pytest.raises(OptionError, match=r"^'paris <mask>': has no mask; write \[MASK\] where a token is missing"):
            ch.fill(saved(tmp_path, "BERT"), "paris <mask>")

    def test_a_text_longer_than_the_context(self, tmp_path: Path) -> None:
        with pytest.raises(
            TextError, match=r"has 19 tokens with the special tokens around it; the model's context is 16"
        ):
            ch.fill(saved(tmp_path, "BERT"), "[MASK] " * 17)

    @pytest.mark.parametrize("top", [0, -1, len(WORDS) + 1])
    def test_numbers_of_tokens_that_there_are_not(self, top: int, tmp_path: Path) -> None:
        with pytest.raises(OptionError, match=rf"top is {top}; it must be at least 1 and at most 20"):
            ch.fill(saved(tmp_path, "BERT"), "[MASK]", top=top)

    def test_weights_without_the_head(self, tmp_path: Path) -> None:
        with pytest.raises(
            OptionError,
            match="fill needs a model that predicts masked tokens; with this one you can take vectors of texts",
        ):
            ch.fill(saved(tmp_path, "BERT", prediction=None), "[MASK]")

    def test_a_tokenizer_without_a_mask(self, tmp_path: Path) -> None:
        model = saved(tmp_path, "BERT")
        with pytest.raises(OptionError, match="the tokenizer has no mask token"):
            fill(LanguageModel(model.network, Tokenizer.characters(["ab"])), "ab")

    def test_a_model_that_writes_on(self, tmp_path: Path) -> None:
        tokenizer = Tokenizer.bytes()
        attention = AttentionConfig(heads=2, kv_heads=2, head_width=4)
        shape = DecoderConfig(
            vocabulary=257, context=8, layers=1, width=8, attention=attention, feed_forward=FeedForwardConfig(width=8)
        )
        hub.save(tmp_path, LanguageModel(build(shape, seed=0), tokenizer))
        with pytest.raises(
            OptionError, match=r"fill needs a model that predicts masked tokens; with this one you can let it write"
        ):
            ch.fill(hub.load(tmp_path), "[MASK]")
        with pytest.raises(
            OptionError, match=r"looking at a pair needs a model that reads two texts as a pair; with this one you can"
        ):
            ch.observe(hub.load(tmp_path), "one", pair="two")


def test_an_encoder_does_not_write(tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=r"generate needs a model that predicts the next token; with this one you can fill masks"
    ):
        ch.generate(saved(tmp_path, "BERT"), "paris")
