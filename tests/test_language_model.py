"""A language model: texts in, ids and logits out, and one error for what it cannot read."""

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import clearhead as ch
from clearhead.errors import OptionError, TextError
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.text import Tokenizer
from clearhead.watching import Ablate, Knockout, Scale, watch
from little_configs import QWEN3

SEPARATOR = 256
NETWORK = build(replace(QWEN3, vocabulary=257, context=12, dropout=0.5), seed=5).double().eval()
MODEL = LanguageModel(NETWORK, Tokenizer.bytes())


def test_ids_include_the_special_tokens_as_in_training():
    ids_1T = MODEL.ids("é!")
    assert ids_1T.tolist() == [[SEPARATOR, *"é!".encode()]]
    assert (ids_1T.dtype, ids_1T.device) == (torch.int64, MODEL.device)
    assert MODEL.ids("").tolist() == [[SEPARATOR]]


def test_logits_are_the_network_s_without_dropout_and_gradients():
    ids_1T = MODEL.ids("a cab")
    with torch.no_grad():
        expected_TV = NETWORK(ids_1T)[0]
    NETWORK.train()
    try:
        logits_TV = MODEL.logits("a cab")
        assert NETWORK.training
    finally:
        NETWORK.eval()
    assert torch.equal(logits_TV, expected_TV)
    assert not logits_TV.requires_grad
    assert logits_TV.shape == (6, 257)


def test_called_with_a_text_it_gives_the_logits_of_its_ids():
    logits_1TV = MODEL("a cab")
    assert torch.equal(logits_1TV, MODEL(MODEL.ids("a cab")))
    assert logits_1TV.requires_grad
    torch.testing.assert_close(MODEL("a cab", last=True), logits_1TV[:, -1:])


@pytest.mark.parametrize("given", [["a", "b"], [97, 98], 5, None])
def test_called_with_anything_else_it_says_what_it_takes(given: Any):
    with pytest.raises(
        OptionError, match=r"was given; it takes one text or a tensor ids_BT.*\[model.logits\(text\) for"
    ):
        MODEL(given)


def takers() -> list[str]:
    """The public functions that take a language model."""
    named = [name for name in ch.__all__ if inspect.isfunction(getattr(ch, name))]
    return [name for name in named if getattr(ch, name).__annotations__.get("model") == "LanguageModel"]


@pytest.mark.parametrize("name", takers())
def test_a_bare_network_is_refused_with_the_way_out(name: str):
    function = getattr(ch, name)
    needed = [each for each in inspect.signature(function).parameters.values() if each.default is each.empty]
    given: dict[str, Any] = {each.name: "a" for each in needed if each.kind is not each.VAR_KEYWORD}
    for model, says in ((NETWORK, "a bare network"), ("runs/book", "'runs/book'")):
        message = rf"^{name}: {says} was given; .* clearhead.LanguageModel\(network, tokenizer\) of your own$"
        with pytest.raises(OptionError, match=message):
            function(**given | {"model": model})


@pytest.mark.parametrize("given", [["a", "b"], 5, None, b"a"])
def test_anything_but_text_is_refused(given: Any):
    for reads in (MODEL.ids, MODEL.logits, MODEL.encode):
        with pytest.raises(OptionError, match=r"the text: .* was given; it must be one text, a str"):
            reads(given)
    if not isinstance(given, list):
        for takes in (ch.generate, ch.vectors):
            with pytest.raises(OptionError, match="was given; it takes one text or a list of texts"):
                takes(MODEL, given)


def test_ids_in_place_of_a_text_are_refused_by_what_reads_one():
    for given in (MODEL.ids("ab")[0], MODEL.ids("ab"), [97, 98]):
        with pytest.raises(OptionError, match=r"the text: .* was given; it must be one text, a str"):
            ch.steps(MODEL, given)


@pytest.mark.parametrize("ids", [MODEL.ids("ab")[0], MODEL.ids("ab"), MODEL.ids("ab")[0].tolist()])
def test_ids_in_place_of_a_text_are_read_as_the_text(ids: Any):
    assert ch.logit_parts(MODEL, ids).logit == ch.logit_parts(MODEL, "ab").logit
    assert ch.attribution(MODEL, ids).shares == ch.attribution(MODEL, "ab").shares
    assert ch.next_words(MODEL, ids).candidates == ch.next_words(MODEL, "ab").candidates
    assert ch.observe_ids(MODEL, ids).ids == ch.observe(MODEL, "ab").ids


def test_a_text_longer_than_the_context_is_refused_with_both_lengths():
    assert MODEL.ids("x" * 11).shape == (1, 12)
    with pytest.raises(TextError, match="the text has 13 tokens with the separator in front; the model's context is"):
        MODEL.ids("x" * 12)
    with pytest.raises(TextError, match="a line has 13 tokens"):
        MODEL.check([0] * 13, "a line")


@pytest.mark.parametrize("ids", [[257], [3, 400], [-1]])
def test_ids_outside_the_network_s_vocabulary_are_refused(ids: list[int]):
    with pytest.raises(TextError, match=rf"the text has the id {ids[-1]}; the model has ids 0 to 256"):
        MODEL.check(ids)


def test_ids_may_be_a_tensor():
    ids_T = MODEL.ids("é a")[0]
    assert MODEL.labels(ids_T) == MODEL.tokenizer.labels(ids_T)
    assert MODEL.pieces(ids_T) == MODEL.pieces(ids_T.tolist()) == ["", "", "é", " ", "a"]
    assert LanguageModel(NETWORK, None).labels(ids_T) == ["256", "195", "169", "32", "97"]
    MODEL.check(ids_T)
    MODEL.check(ids_T[None])
    with pytest.raises(TextError, match="it must be one row of whole numbers"):
        MODEL.check(ids_T.expand(2, -1))


def test_nothing_to_read_is_refused():
    with pytest.raises(TextError, match="the text is empty"):
        MODEL.check([])


class TestEditsWhileWriting:
    """ch.generate(model, ..., edits=...) is `with watch(model, edits)` around the writing of each prompt."""

    EDITS = (Ablate(layer=0, head=1), Scale(layer=1, head=0, factor=3.0))

    def test_the_text_is_the_one_of_a_watched_generation(self):
        edited = ch.generate(MODEL, "ab", edits=self.EDITS, max_tokens=6, temperature=0)
        with watch(MODEL, self.EDITS) as record:
            by_hand = ch.generate(MODEL, "ab", max_tokens=6, temperature=0)
        assert edited == by_hand
        assert edited.logprobs != ch.generate(MODEL, "ab", max_tokens=6, temperature=0).logprobs
        assert edited.record is not None
        assert torch.equal(edited.record[1, 0][:, :], record[1, 0][:, :])
        assert ch.generate(MODEL, "ab", max_tokens=2).record is None

    def test_a_knock_out_hides_the_place_from_every_later_token(self):
        done = ch.generate(MODEL, "ab", edits=[Knockout(layer=0, query=3, key=1)], max_tokens=4, temperature=0)
        assert done.record is not None
        weights_QK = done.record[0, 0][:, :]
        assert weights_QK.shape == (6, 6)  # the separator, two letters, and three of the four that were written
        assert weights_QK[3, 1] == 0
        assert (weights_QK[[2, 4], 1] > 0).all()

    def test_the_record_knows_its_tokens_and_can_be_drawn(self, tmp_path: Path):
        done = ch.generate(MODEL, "ab", edits=self.EDITS, max_tokens=4, temperature=0)
        assert done.record is not None
        assert done.record.tokens == ["<|endoftext|>", "a", "b", *done.tokens[:3]]
        ch.draw(done.record, tmp_path / "x.json")

    def test_each_of_several_prompts_has_a_record_of_its_own(self):
        prompts = ["ab", "", "a longer"]
        together = ch.generate(MODEL, prompts, edits=self.EDITS, max_tokens=3, temperature=0, together=2)
        for prompt, done in zip(prompts, together, strict=True):
            alone = ch.generate(MODEL, prompt, edits=self.EDITS, max_tokens=3, temperature=0)
            assert (done.ids, done.text) == (alone.ids, alone.text)
            assert done.record is not None
            assert alone.record is not None
            assert done.record.tokens == ["<|endoftext|>", *prompt.replace(" ", "·"), *done.tokens[:-1]]
            torch.testing.assert_close(done.record[1, 0][:, :], alone.record[1, 0][:, :], rtol=1e-4, atol=1e-6)

    def test_an_invalid_setting_is_named(self):
        with pytest.raises(OptionError, match="there is no setting 'max_token'; did you mean 'max_tokens'"):
            ch.generate(MODEL, "ab", max_token=3)
