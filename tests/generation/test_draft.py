"""A draft changes the number of passes, not the text: exact in distribution, watched or not, whatever it guesses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from little import BYTES, little

import clearhead as ch
from clearhead.errors import MemoryNeededError, OptionError
from clearhead.generation import Conversation, Sampling, stream
from clearhead.generation.decoding import Decoding
from clearhead.generation.draft import NUMBERS, Draft
from clearhead.language_model import LanguageModel
from clearhead.model import Decoder, Network, ScalingConfig, build
from clearhead.model.quantising import quantise
from clearhead.text import Tokenizer
from clearhead.watching import Ablate, watch
from little_configs import QWEN3, RIVALS

WAYS = {
    "greedy": {"temperature": 0},
    "sampled": {"temperature": 1.3, "seed": 3},
    "filtered": {"temperature": 1.0, "top_k": 40, "top_p": 0.9, "min_p": 0.01, "seed": 4},
    "penalised": {"temperature": 0.9, "repetition_penalty": 1.4, "seed": 5},
}


def speaking(network: Network) -> LanguageModel:
    return LanguageModel(network, BYTES)


def near(network: Network, apart: float) -> Network:
    """A copy whose weights differ a little."""
    other = build(network.config, seed=0).double().eval()
    other.load_state_dict(network.state_dict())
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn_like(parameter) * parameter.std() * apart)
    return other


@pytest.mark.parametrize("apart", [0.0, 0.03, 2.0])
@pytest.mark.parametrize("way", WAYS)
def test_the_text_is_what_it_is_without(way: str, apart: float) -> None:
    model = speaking(little(context=90))
    draft = speaking(near(model.network, apart))
    for prompt in ("", "It was", "x" * 60):  # the last fills the context
        wanted = ch.generate(model, prompt, max_tokens=40, **WAYS[way])
        found = ch.generate(model, prompt, max_tokens=40, draft=draft, **WAYS[way])
        assert (found.ids, found.finish) == (wanted.ids, wanted.finish)
        assert found.logprobs == pytest.approx(wanted.logprobs, abs=1e-9)


def share(model: LanguageModel, other: Network, way: str) -> float:
    """Of the guesses, those that were right."""
    draft = Draft(speaking(other), model)
    list(stream(model, [f"{n} was" for n in range(5)], Sampling(max_tokens=50, **WAYS[way]), draft=draft))
    assert draft.guessed > 40
    return draft.right / draft.guessed


@pytest.mark.parametrize("way", WAYS)
def test_an_equal_model_is_always_right(way: str) -> None:
    model = speaking(little(context=300))
    assert share(model, little(context=300), way) == 1


@pytest.mark.parametrize("way", ["sampled", "filtered", "penalised"])
def test_the_models_own_random_numbers_make_more_guesses_right(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = speaking(little(context=300))
    other = near(model.network, 0.003)
    shared, generator = share(model, other, way), torch.Generator().manual_seed(8)

    def apart(decoding: Decoding, logits_V: torch.Tensor, guesses: list[int]) -> int:
        draws = [torch.rand((), dtype=torch.float64, generator=generator)]
        return int(decoding._next(logits_V[None], draws, decoding._seen_BV))

    monkeypatch.setattr(Decoding, "_guess", apart)
    assert shared > 1.5 * share(model, other, way)


def passes_of(network: Network, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each later pass of a network reads."""
    read: list[int] = []
    forward = Decoder.forward

    def counted(self: Decoder, ids_BT: torch.Tensor, **rest):
        if self is network:
            read.append(ids_BT.shape[1])
        return forward(self, ids_BT, **rest)

    monkeypatch.setattr(Decoder, "forward", counted)
    return read


def test_passes_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    model, draft = speaking(little(context=200)), speaking(little(context=200))
    passes = passes_of(model.network, monkeypatch)
    assert len(ch.generate(model, "a", draft=draft, max_tokens=100, temperature=0.7).ids) == 100
    assert max(passes) == 1 + NUMBERS[-1]
    assert len(passes) < 20


def test_fewer_are_guessed_after_wrong_guesses() -> None:
    model = speaking(little(context=300))
    draft = Draft(speaking(near(model.network, 2.0)), model)
    list(stream(model, ["a"], Sampling(max_tokens=100, temperature=1.0), draft=draft))
    assert draft.right < 0.2 * draft.guessed
    assert draft.guessed < 100 + sum(NUMBERS)  # one for each pass


def test_a_draft_with_less_context_stops_guessing() -> None:
    model = speaking(little(context=200))
    short = replace(model.config, context=50)
    network = build(short, seed=0).double().eval()
    network.load_state_dict(model.network.state_dict())
    wanted = ch.generate(model, "a", max_tokens=150, temperature=0.8)
    draft = Draft(speaking(network), model)
    ids = [chunk.id for chunk in stream(model, ["a"], Sampling(max_tokens=150, temperature=0.8), draft=draft)]
    assert tuple(ids) == wanted.ids
    assert 30 < draft.right == draft.guessed <= 50


def test_rounded_to_few_bits_the_model_guesses_for_itself() -> None:
    config = replace(QWEN3, vocabulary=257, context=200, width=64, tied=False)
    network = build(config, seed=3).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
    rounded = build(config, seed=3).double().eval()
    rounded.load_state_dict(network.state_dict())
    quantise(rounded, 8)
    model, draft = speaking(network), Draft(speaking(rounded), speaking(network))
    wanted = ch.generate(model, "It", max_tokens=120, temperature=1.0)
    ids = [chunk.id for chunk in stream(model, ["It"], Sampling(max_tokens=120, temperature=1.0), draft=draft)]
    assert tuple(ids) == wanted.ids
    assert draft.right > 0.8 * draft.guessed


def test_a_watched_generation_records_the_model_alone() -> None:
    model, draft = speaking(little()), speaking(near(little(), 0.05))
    records = []
    for guessing in (None, draft):
        with watch(model) as record:
            text = ch.generate(model, "It was", draft=guessing, max_tokens=30, temperature=1.0)
        records.append((text.ids, record))
    (ids, wanted), (others, found) = records
    assert ids == others
    assert found.texts == wanted.texts
    for site in wanted.only().seen():
        maps = [record.only().map(site, 0)[:, :] for record in (found, wanted)]
        torch.testing.assert_close(*maps, rtol=0, atol=1e-9)


def test_edits_change_the_model_and_not_the_draft() -> None:
    model, draft = speaking(little()), speaking(little())
    edits = Ablate(layer=1, head=0)
    wanted = ch.generate(model, "It was", edits=edits, max_tokens=30, temperature=0)
    assert ch.generate(model, "It was", edits=edits, draft=draft, max_tokens=30, temperature=0).ids == wanted.ids
    assert ch.generate(model, "It was", max_tokens=30, temperature=0).ids != wanted.ids


def test_several_prompts_go_one_at_a_time() -> None:
    model, draft = speaking(little()), speaking(near(little(), 0.05))
    prompts = ["It was", "", "a dark night"]
    wanted = ch.generate(model, prompts, together=1, max_tokens=20, temperature=1.0)
    assert [each.ids for each in ch.generate(model, prompts, draft=draft, max_tokens=20, temperature=1.0)] == [
        each.ids for each in wanted
    ]
    with pytest.raises(OptionError, match="together is 4; it must be 1 with a draft, which guesses for one text at a"):
        ch.generate(model, prompts, draft=draft, together=4)


def test_in_a_conversation_the_draft_reads_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    template = "{% for m in messages %}[{{ m.role[0] }}]{{ m.content }}{% endfor %}"
    tokenizer = Tokenizer(Tokenizer.bytes()._library, templates={"default": template})
    model, draft = (LanguageModel(little(context=200), tokenizer) for _ in range(2))
    read = passes_of(draft.network, monkeypatch)
    plain, helped = Conversation(model), Conversation(model, draft=draft)
    sampling = Sampling(max_tokens=6, temperature=0.8)
    for message in ("x" * 50, "y"):
        read.clear()
        said = ["".join(chunk.text for chunk in each.ask(message, sampling)) for each in (plain, helped)]
        assert said[0] == said[1]
        assert read[0] == 54 if message != "y" else read[0] < 20


def test_models_that_do_not_go_together_are_refused() -> None:
    model = speaking(little())
    with pytest.raises(OptionError, match="draft: a bare network was given"):
        ch.generate(model, "a", draft=little())
    rival = build(replace(RIVALS["lstm"], vocabulary=257), seed=0).eval()
    with pytest.raises(OptionError, match=r"draft: the state of the draft cannot forget wrong guesses; leave"):
        ch.generate(model, "a", draft=speaking(rival))
    with pytest.raises(OptionError, match="draft: the state of the model cannot forget"):
        ch.generate(speaking(rival), "a", draft=model)
    letters = Tokenizer.characters(["abc"])
    other = LanguageModel(build(replace(model.config, vocabulary=letters.vocab_size), seed=0).eval(), letters)
    with pytest.raises(OptionError, match=rf"draft: it has {letters.vocab_size} tokens, the model 257; give one with"):
        ch.generate(model, "a", draft=other)
    more = Tokenizer.characters([chr(400 + n) for n in range(257 - letters.vocab_size + 3)])
    one, two = (
        LanguageModel(build(replace(model.config, vocabulary=each.vocab_size), seed=0).eval(), each)
        for each in (more, Tokenizer.characters([chr(900 + n) for n in range(257 - letters.vocab_size + 3)]))
    )
    with pytest.raises(OptionError, match=r"draft: its token .* is '.*', the model's is '.*'; give one with the same"):
        ch.generate(one, chr(400), draft=two)


def test_long_texts_that_are_rotated_differently_are_refused() -> None:
    n = 3
    scaling = ScalingConfig(kind="longrope", factor=2.0, original=20, short=(1.0,) * n, long=(2.0,) * n)
    model = speaking(little(scaling=scaling))
    with pytest.raises(OptionError, match=r"draft: the model rotates long texts differently .LongRoPE."):
        ch.generate(model, "a", draft=speaking(little()))


def test_too_little_memory_for_the_draft(monkeypatch: pytest.MonkeyPatch) -> None:
    model = speaking(little())
    draft = Draft(speaking(little()), model)
    monkeypatch.setattr("clearhead.machine.free_memory", lambda device: 0)
    with pytest.raises(MemoryNeededError, match="the draft needs"):
        draft.begin([1, 2], 20, lambda logits_V, guesses: 0)
