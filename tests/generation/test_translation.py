"""Translations: texts of all kinds, in batches and alone, each option, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from transformers import MarianMTModel

from clearhead import hub, machine
from clearhead.errors import FolderError, MemoryNeededError, OptionError, TextError
from clearhead.generation import Sampling, Search, Translation, search_for, stream_translations, translate
from clearhead.language_model import LanguageModel, Metadata
from clearhead.model import build
from clearhead.text import Tokenizer
from clearhead.watching import watch
from little_configs import QWEN3, TRANSLATOR
from little_tokenizers import EOS, UNK, llama3_like, save
from little_translators import LETTERS, SEPARATOR, translator

TEXTS = ["the cat", "a dog", "you", "x", "b b b", "a dog", "zebra.", "me\nyou", "你", "of"]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return translator()


@pytest.fixture(scope="module")
def peer(model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> MarianMTModel:
    folder = tmp_path_factory.mktemp("peer")
    hub.save(folder, model)
    return MarianMTModel.from_pretrained(folder, dtype=torch.float64).eval()


def theirs(peer: MarianMTModel, text: str, prefix: str = "", **options) -> tuple[list[int], float]:
    """What transformers writes after the prefix, and its score, for one text."""
    begun = [SEPARATOR, *LETTERS.encode(prefix)]
    source = [*LETTERS.encode(text), SEPARATOR]
    given = {"num_beams": 5, "max_new_tokens": 3 * len(source) + 10, "early_stopping": False, **options}
    out = peer.generate(
        input_ids=torch.tensor([source]),
        attention_mask=torch.ones(1, len(source), dtype=torch.long),
        decoder_input_ids=torch.tensor([begun]),
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
        **given,
    )
    return out.sequences[0, len(begun) :].tolist(), float(out.sequences_scores[0])


def same(found: Translation, other: Translation) -> None:
    """Equal but for the order of sums."""
    assert (found.source, found.text, found.ids, found.complete) == (
        other.source,
        other.text,
        other.ids,
        other.complete,
    )
    assert (found.logprob, found.score) == pytest.approx((other.logprob, other.score), abs=1e-9)
    for one, another in zip(found.others, other.others, strict=True):
        same(one, another)


class TestAsInTransformers:
    @pytest.mark.parametrize("penalty", [1.0, 0.3, 2.0])
    def test_several_texts_at_once(self, model: LanguageModel, peer: MarianMTModel, penalty: float) -> None:
        """Each with its own limit of tokens: three times its own, and ten."""
        for text, found in zip(TEXTS, translate(model, TEXTS, length_penalty=penalty), strict=True):
            ids, score = theirs(peer, text, length_penalty=penalty)
            assert list(found.ids) == ids
            assert found.score == pytest.approx(score, rel=1e-5)
            assert found.text == LETTERS.decode([token for token in ids if token != SEPARATOR]).strip()
            assert found.score == pytest.approx(found.logprob / len(ids) ** penalty)

    @pytest.mark.parametrize("size", [2, 3])
    def test_no_run_comes_twice(self, model: LanguageModel, peer: MarianMTModel, size: int) -> None:
        for text in ("aaaa", "you you", "the hat"):
            found = translate(model, text, no_repeat=size, max_tokens=9)
            assert list(found.ids) == theirs(peer, text, no_repeat_ngram_size=size, max_new_tokens=9)[0]
            runs = [found.ids[n : n + size] for n in range(len(found.ids) - size + 1)]
            assert len(set(runs)) == len(runs)

    @pytest.mark.parametrize("prefix", ["a", "aabb"])
    def test_a_prefix(self, model: LanguageModel, peer: MarianMTModel, prefix: str) -> None:
        for text in ("ab", "dog"):
            found = translate(model, text, max_tokens=9, prefix=prefix)
            ids, score = theirs(peer, text, prefix, max_new_tokens=9)
            assert list(found.ids) == ids
            assert found.score == pytest.approx(score, rel=1e-5)
            assert found.text.startswith(prefix)

    def test_a_run_of_the_prefix_comes_no_second_time(self, model: LanguageModel, peer: MarianMTModel) -> None:
        search = {"no_repeat": 2, "max_tokens": 9}
        for prefix, text in (("aabb", "abab"), ("xx", "xxx"), ("yo", "you")):
            found = translate(model, text, **search, prefix=prefix)
            assert list(found.ids) == theirs(peer, text, prefix, no_repeat_ngram_size=2, max_new_tokens=9)[0]
            written = [*LETTERS.encode(prefix), *found.ids]
            runs = list(pairwise(written))
            assert len(set(runs)) == len(runs)


class TestManyAtOnce:
    @pytest.mark.parametrize("together", [1, 2, 3, 64])
    def test_as_alone_and_in_order(self, model: LanguageModel, together: int) -> None:
        search = {"beams": 3, "best": 3, "max_tokens": 12}
        alone = [translate(model, text, **search) for text in TEXTS]
        assert len({each.text for each in alone}) > 6
        for found, other in zip(translate(model, TEXTS, **search, together=together), alone, strict=True):
            same(found, other)

    def test_a_stream_reads_sixteen_batches_ahead_and_no_further(self, model: LanguageModel) -> None:
        read: list[int] = []

        def texts() -> Iterator[str]:
            for number in range(100):
                read.append(number)
                yield "ab"

        found = stream_translations(model, texts(), Search(beams=1, max_tokens=1), together=2)
        assert read == []
        next(found)
        assert len(read) == 32
        one_by_one = stream_translations(model, texts(), Search(beams=1, max_tokens=1), together=1)
        next(one_by_one)
        assert len(read) == 33

    def test_the_best_come_in_order_of_their_scores(self, model: LanguageModel) -> None:
        for found in translate(model, TEXTS, beams=5, best=4):
            every = [found, *found.others]
            assert len(every) == 4
            assert len({each.ids for each in every}) == 4
            assert [each.score for each in every] == sorted((each.score for each in every), reverse=True)
            assert all(not each.others and each.source == found.source for each in found.others)

    def test_a_watched_translation_is_the_same(self, model: LanguageModel) -> None:
        """To the bit with one beam; beams are read apart for their maps, so sums may have another order."""
        for beams in (1, 3):
            alone = translate(model, TEXTS[:3], beams=beams, best=beams)
            with watch(model):
                watched = translate(model, TEXTS[:3], beams=beams, best=beams)
            for one, other in zip(watched, alone, strict=True):
                same(one, other)
            assert beams > 1 or watched == alone


class TestTexts:
    @pytest.mark.parametrize("text", ["", " ", "\n", " \n ", "\t\u3000"])
    def test_nothing_is_translated_as_nothing(self, model: LanguageModel, text: str) -> None:
        """Characters that the tokenizer lacks do not matter at the edges of a text."""
        found = translate(model, ["a", text, "b"])
        assert [each.text != "" for each in found] == [True, False, True]
        assert (found[1].ids, found[1].logprob, found[1].score, found[1].complete) == ((), 0.0, 0.0, True)

    def test_white_space_around_a_text_does_not_matter(self, model: LanguageModel) -> None:
        bare, spaced = translate(model, "dog"), translate(model, "  dog \n")
        assert (spaced.source, spaced.ids, spaced.score) == ("  dog \n", bare.ids, bare.score)

    def test_no_texts(self, model: LanguageModel) -> None:
        assert translate(model, []) == []

    @pytest.mark.parametrize(
        "text",
        ["שלום עולם", "\u202eabc\u202c", "a\x00b\x1b[31m", "👩‍👩‍👧 🎉", "e\u0301", "\ufeffa", "\ud83d", "a\u2028b"],
    )
    def test_any_characters(self, text: str) -> None:
        """As bytes; among them half of an emoji, which is no text."""
        network = build(replace(TRANSLATOR, vocabulary=257, context=64), seed=0).eval()
        speaking = LanguageModel(network, Tokenizer.bytes())
        if text == "\ud83d":
            with pytest.raises(TextError):
                translate(speaking, text)
            return
        found = translate(speaking, text, max_tokens=4)
        assert found.source == text
        found.text.encode()

    def test_a_text_as_long_as_the_context_and_one_longer(self, model: LanguageModel) -> None:
        room = model.config.context - 1
        assert translate(model, "a" * room, beams=1, max_tokens=2).text
        with pytest.raises(
            TextError, match=rf"^the text 'a+'... has {room + 1} tokens; the model translates up to {room} "
        ):
            translate(model, ["a", "a" * (room + 1)])

    def test_a_character_the_tokenizer_lacks(self, model: LanguageModel) -> None:
        with pytest.raises(TextError):
            translate(model, "Ä")


class TestLimits:
    def test_a_translation_that_is_cut_says_so(self, model: LanguageModel) -> None:
        whole = translate(model, "you", beams=1)
        assert whole.complete
        assert whole.ids[-1] == SEPARATOR
        for most in range(1, len(whole.ids)):
            cut = translate(model, "you", beams=1, max_tokens=most)
            assert (cut.ids, cut.complete) == (whole.ids[:most], False)
        assert translate(model, "you", beams=1, max_tokens=len(whole.ids)).complete

    def test_a_translation_stays_within_the_context(self, model: LanguageModel) -> None:
        context = model.config.context
        for prefix in ("", "a" * 30, "a" * (context - 1)):
            found = translate(model, "a" * (context - 1), beams=1, no_repeat=0, max_tokens=1000, prefix=prefix)
            assert 1 <= len(found.ids) <= context - len(prefix)
        with pytest.raises(
            TextError, match=rf"^the prefix has {context} tokens; the model has room for {context - 1}; shorten it$"
        ):
            translate(model, "a", prefix="a" * context)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"beams": 0}, "beams is 0; it must be a whole number of at least 1"),
            ({"beams": "5"}, "beams is '5'; it must be a whole number of at least 1"),
            ({"beams": 2, "best": 3}, "best is 3; it must be a whole number from 1 to 2, the number of beams"),
            ({"best": 0}, "best is 0; it must be"),
            ({"length_penalty": math.nan}, "length_penalty is nan; it must be finite"),
            ({"length_penalty": "1"}, "length_penalty is '1'; it must be finite"),
            ({"length_penalty": math.inf}, "length_penalty is inf; it must be finite"),
            ({"early_stopping": "soon"}, "early_stopping is 'soon'; it must be True, False or \"never\"$"),
            ({"no_repeat": -1}, "no_repeat is -1; it must be a whole number of at least 0"),
            ({"no_repeat": 1.5}, "no_repeat is 1.5; it must be a whole number of at least 0"),
            ({"max_tokens": 0}, "max_tokens is 0; it must be a whole number of at least 1"),
            ({"max_tokens": "9"}, "max_tokens is '9'; it must be a whole number of at least 1"),
            ({"sampling": Sampling()}, "beams 5: tokens are drawn with one beam"),
            ({"sampling": Sampling(), "beams": 1, "no_repeat": 2}, "no_repeat 2: is for beams, not for drawn tokens"),
        ],
    )
    def test_options_out_of_range(self, options: dict, said: str) -> None:
        with pytest.raises(OptionError, match=f"^{said}"):
            Search(**options)

    def test_what_cannot_be_translated(self, model: LanguageModel) -> None:
        with pytest.raises(OptionError, match=r"^together is 0; it must be at least 1"):
            translate(model, "a", together=0)
        with pytest.raises(OptionError, match=r"^translate: there is no setting 'beam'; did you mean 'beams'\?$"):
            translate(model, "a", beam=2)
        with pytest.raises(OptionError, match=r"^translate: 7 was given; it takes one text or a list of texts"):
            translate(model, 7)  # pyright: ignore[reportCallIssue, reportArgumentType]
        with pytest.raises(OptionError, match=r"^translate needs a model that "):
            translate(LanguageModel(build(QWEN3, seed=0), LETTERS), "a")


class TestDrawn:
    SEARCH: ClassVar = {"beams": 1, "sampling": Sampling(temperature=1.5, seed=3)}

    def test_the_seed_and_the_text_decide(self, model: LanguageModel) -> None:
        """Not the texts beside it, nor how many are drawn at once."""
        first = translate(model, TEXTS, **self.SEARCH)
        for together in (1, 3):
            for one, other in zip(first, translate(model, TEXTS, **self.SEARCH, together=together), strict=True):
                same(one, other)
        for one, text in zip(first, TEXTS, strict=True):
            same(translate(model, text, **self.SEARCH), one)
        others = translate(model, TEXTS, beams=1, sampling=Sampling(temperature=1.5, seed=4))
        assert [each.ids for each in others] != [each.ids for each in first]

    def test_other_texts_get_other_random_numbers(self) -> None:
        """Also where the model makes no difference between them."""
        network = build(replace(TRANSLATOR, vocabulary=LETTERS.vocab_size, context=41), seed=0)
        for parameter in network.parameters():
            torch.nn.init.zeros_(parameter)
        found = translate(LanguageModel(network.eval(), LETTERS), ["a cat", "a dog", "a cat"], **self.SEARCH)
        assert found[0].ids == found[2].ids != found[1].ids

    def test_log_probabilities_are_the_model_s(self, model: LanguageModel) -> None:
        found = translate(model, "dog", **self.SEARCH)
        with torch.no_grad():
            logits_TV = model.network(
                torch.tensor([[SEPARATOR, *found.ids[:-1]]]),
                source_BS=torch.tensor([[*LETTERS.encode("dog"), SEPARATOR]]),
            )[0]
        logprob = float(logits_TV.log_softmax(-1)[range(len(found.ids)), found.ids].sum())
        assert found.logprob == pytest.approx(logprob, abs=1e-9)

    def test_at_temperature_0_it_is_greedy(self, model: LanguageModel) -> None:
        cold = {"beams": 1, "sampling": Sampling(temperature=0)}
        for one, other in zip(translate(model, TEXTS, **cold), translate(model, TEXTS, beams=1), strict=True):
            same(one, other)


def test_the_token_before_a_translation_is_never_written(tmp_path: Path) -> None:
    """OPUS-MT's padding, whose logit is 0 whatever is read; its folders forbid it with bad_words_ids."""
    tokenizer = Tokenizer.load(save(llama3_like(), tmp_path))
    network = build(replace(TRANSLATOR, vocabulary=tokenizer.vocab_size), seed=0).eval()
    with torch.no_grad():
        network.bias[UNK] = 30.0
    named = Metadata(ids={"decoder_start_token_id": UNK, "eos_token_id": EOS, "pad_token_id": UNK})
    speaking = LanguageModel(network, tokenizer, metadata=named)
    for search in ({"beams": 1}, {"beams": 3, "best": 3}, {"beams": 1, "sampling": Sampling(seed=1)}):
        found = translate(speaking, "abc", **search)
        assert all(UNK not in each.ids for each in (found, *found.others))


class TestTheFolderSDefaults:
    """generation_config.json sets the search, and what is asked for comes first."""

    def with_generation(self, **generation: Any) -> LanguageModel:
        model = translator()
        return LanguageModel(model.network, model.tokenizer, metadata=replace(model.metadata, generation=generation))

    def test_they_are_used(self, caplog: pytest.LogCaptureFixture) -> None:
        asked = {"num_beams": 2, "length_penalty": 0.6, "no_repeat_ngram_size": 3, "max_new_tokens": 7}
        model = self.with_generation(**asked, early_stopping="never")
        with caplog.at_level("INFO"):
            found = search_for(model, {})
        assert found == Search(beams=2, length_penalty=0.6, early_stopping="never", no_repeat=3, max_tokens=7)
        assert "num_beams 2, length_penalty 0.6, early_stopping never, no_repeat_ngram_size 3, max_" in caplog.text

    def test_what_is_asked_for_comes_first(self) -> None:
        model = self.with_generation(num_beams=2, length_penalty=0.6)
        assert search_for(model, {"beams": 1}) == Search(beams=1, length_penalty=0.6)
        early = self.with_generation(num_beams=2, early_stopping=True)
        assert search_for(early, {"early_stopping": False}) == Search(beams=2)
        assert search_for(model, {"best": 4}) == Search(beams=4, length_penalty=0.6, best=4)
        drawn = Sampling(temperature=1.0)
        assert search_for(model, {"sampling": drawn}) == Search(beams=1, sampling=drawn)

    @pytest.mark.parametrize(
        ("name", "value", "rule"),
        [
            ("num_beams", 0, "at least 1"),
            ("length_penalty", "x", "a finite number"),
            ("early_stopping", 1, "true or false or 'never'"),
        ],
    )
    def test_a_wrong_one_is_named_with_its_file(self, name: str, value: object, rule: str) -> None:
        with pytest.raises(FolderError, match=f"generation_config.json: .*{rule}"):
            search_for(self.with_generation(**{name: value}), {})

    @pytest.mark.parametrize("early", [True, "never"])
    def test_early_stopping(self, peer: MarianMTModel, early: Any) -> None:
        model = self.with_generation(early_stopping=early, length_penalty=2.0)
        for text in TEXTS:
            found = translate(model, text)
            ids, score = theirs(peer, text, early_stopping=early, length_penalty=2.0)
            assert list(found.ids) == ids
            assert found.score == pytest.approx(score, rel=1e-5)

    @pytest.mark.parametrize("prefix", ["", "ab"])
    @pytest.mark.parametrize("limit", [3, 20])
    def test_forced_tokens(self, peer: MarianMTModel, prefix: str, limit: int) -> None:
        """The first comes before a prefix, where transformers forces nothing, and is no part of the text."""
        ids = {"forced_bos_token_id": 25, "forced_eos_token_id": SEPARATOR}
        model = self.with_generation(**ids)
        for text in TEXTS:
            found = translate(model, text, prefix=prefix, max_tokens=limit)
            written, score = theirs(
                peer, text, LETTERS.decode([25]) + prefix if prefix else "", max_new_tokens=limit, **ids
            )
            assert list(found.ids) == written
            assert found.score == pytest.approx(score, rel=1e-5, abs=1e-6)  # theirs are summed in float32
            assert found.text == (prefix + LETTERS.decode(found.ids[not prefix : -1])).strip()
            assert found.complete == (len(found.ids) < limit)

    def test_forced_tokens_among_drawn_ones(self) -> None:
        drawn = {"beams": 1, "sampling": Sampling(temperature=1.5, seed=3)}
        model = self.with_generation(forced_bos_token_id=25, forced_eos_token_id=SEPARATOR)
        assert {translate(model, text, max_tokens=1, **drawn).ids for text in TEXTS} == {(25,)}
        for limit in (2, 4, 30):
            for found in translate(model, TEXTS, max_tokens=limit, **drawn):
                assert found.ids[0] == 25
                assert found.ids[-1] == SEPARATOR
                assert found.complete == (len(found.ids) < limit)
                with torch.no_grad():
                    logits_TV = model.network(
                        torch.tensor([[SEPARATOR, *found.ids[:-1]]]),
                        source_BS=torch.tensor([[*LETTERS.encode(found.source), SEPARATOR]]),
                    )[0]
                logprobs_T = logits_TV.log_softmax(-1)[range(len(found.ids)), found.ids]
                free = slice(1, None if found.complete else -1)
                assert found.logprob == pytest.approx(float(logprobs_T[free].sum()), abs=1e-9)

    def test_forced_tokens_of_config_json_count_only_without_the_other_file(self) -> None:
        """As in transformers."""
        ids = {"forced_bos_token_id": 25}
        model, bare = translator(), self.with_generation()
        for generation, first in (({}, {25}), ({"num_beams": 2}, {20, 14, 3})):
            named = replace(bare.metadata, ids=ids, generation=generation)
            found = translate(LanguageModel(model.network, model.tokenizer, metadata=named), ["the", "on", "dog"])
            assert (first == {25}) == ({each.ids[0] for each in found} == {25})

    @pytest.mark.parametrize("name", ["forced_bos_token_id", "forced_eos_token_id"])
    @pytest.mark.parametrize(
        ("value", "said"), [([1, 2], r"is \[1, 2\]; it must be one id"), (31, r"is \[31\]"), ("a", "holds 'a'")]
    )
    def test_a_wrong_forced_token_is_named(self, name: str, value: object, said: str) -> None:
        with pytest.raises(FolderError, match=f"^generation_config.json: {name} {said}"):
            translate(self.with_generation(**{name: value}), "a")


def test_memory_is_estimated_before_it_is_taken(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the cat"] * 60
    monkeypatch.setattr(machine, "free_memory", lambda device: 4_000_000)
    assert str(translate(model, texts[0], beams=2))
    with pytest.raises(
        MemoryNeededError, match=r"a search with 5 beams for 60 texts at once needs .* 0\.0 GB are free"
    ):
        translate(model, texts, beams=5)
