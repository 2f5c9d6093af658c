"""Missing spans filled by T5: the answers are those of transformers' beam search under the same grammar."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

import clearhead as ch
import little_pieces
from clearhead import hub
from clearhead.errors import OptionError, WatchError
from clearhead.generation import fill_spans
from clearhead.language_model import LanguageModel
from clearhead.watching import Ablate, Scale
from verbs import called

IDS = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
TEXT = "one <extra_id_0> three <extra_id_1> five"


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights large enough to prefer some answers clearly."""
    folder = tmp_path_factory.mktemp("t5")
    content = little_pieces.learned("en", **IDS)
    (folder / "spiece.model").write_bytes(content)
    torch.manual_seed(0)
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2, "initializer_factor": 4.0}
    ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    vocabulary = len(little_pieces.pieces(content)) + 3 + 100 + 25
    T5ForConditionalGeneration(T5Config(vocab_size=vocabulary, **sizes, **ids)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(t5: Path) -> LanguageModel:
    return hub.load(t5)


def rule(model: LanguageModel, spans: int, limit: int) -> Callable[[int, Any], list[int]]:
    """The ids that may come next, written as a recursive definition: some answer of at most ``limit`` ids is left."""
    sentinels = [model.tokenizer.encode(f"<extra_id_{n}>")[-1] for n in range(spans + 1)]
    ordinary = [n for n, is_text in enumerate(model.tokenizer.ordinary) if is_text]

    def can_end(ids: list[int], room: int) -> bool:
        seen = [token for token in ids if token in sentinels]
        if seen == sentinels:
            return room >= 0
        if room <= 0:
            return False
        if ids and ids[-1] in sentinels:
            return can_end([*ids, ordinary[0]], room - 1)
        return can_end([*ids, sentinels[len(seen)]], room - 1)

    def allowed(_: int, ids_T: Any) -> list[int]:
        ids = ids_T.tolist()[1:]
        seen = [token for token in ids if token in sentinels]
        if seen == sentinels:
            return [1]
        if not ids:
            return sentinels[:1]
        if ids[-1] in sentinels:
            return ordinary
        more = ordinary if can_end([*ids, ordinary[0]], limit - len(ids) - 1) else []
        return [*more, sentinels[len(seen)]]

    return allowed


@pytest.mark.parametrize(("text", "limit"), [("one <extra_id_0> three", 8), (TEXT, 5), (TEXT, 6), (TEXT, 11)])
def test_the_answers_are_those_of_transformers(t5: Path, model: LanguageModel, text: str, limit: int) -> None:
    peer = T5ForConditionalGeneration.from_pretrained(t5).eval()
    spans = text.count("<extra_id")
    last = model.tokenizer.encode(f"<extra_id_{spans}>")[-1]
    made = peer.generate(
        torch.tensor([[*model.tokenizer.encode(text), 1]]),
        num_beams=5,
        num_return_sequences=5,
        do_sample=False,
        max_new_tokens=limit,
        eos_token_id=last,
        prefix_allowed_tokens_fn=rule(model, spans, limit),
        return_dict_in_generate=True,
        output_scores=True,
    )
    theirs = [[token for token in row[1:].tolist() if token] for row in made.sequences]
    ours = fill_spans(model, text, max_tokens=limit)
    assert [list(each.ids) for each in ours] == theirs
    assert [each.score for each in ours] == pytest.approx(made.sequences_scores.tolist(), abs=1e-4)
    for each in ours:
        assert len(each.ids) <= limit
        assert each.logprob == pytest.approx(each.score * len(each.ids))


def test_the_spans_stand_in_the_text(model: LanguageModel) -> None:
    for each in ch.fill_spans(model, TEXT, top=3):
        first, second = each.spans
        assert first
        assert second
        assert str(each) == f"one {first} three {second} five"
        decoded = model.tokenizer.decode(each.ids)
        parts = [part.strip() for part in re.split(r"<extra_id_[012]>", decoded)]
        assert parts == ["", first, second, ""]


def test_edits_change_the_answers(model: LanguageModel) -> None:
    plain = fill_spans(model, TEXT)
    scaled = fill_spans(model, TEXT, edits=[Scale(layer=0, head=0, factor=0.5, stack="encoder")])
    assert [each.logprob for each in plain] != [each.logprob for each in scaled]
    place = len(model.tokenizer.encode("one")) - 1
    by_word, by_number = (
        fill_spans(model, TEXT, edits=[Ablate(layer=0, kind="feed_forward", stack="encoder", at=at)])
        for at in ("one", place)
    )
    assert by_word == by_number != plain
    with pytest.raises(WatchError, match="the model has no site of layer 7"):
        fill_spans(model, TEXT, edits=[Scale(layer=7, head=0, factor=0.5, stack="encoder")])


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("one two", {}, "has no missing span; write <extra_id_0> where text is missing"),
        ("one <extra_id_1>", {}, "marks its spans <extra_id_1>; number them from 0, in order, each once"),
        ("<extra_id_0> a <extra_id_0>", {}, "marks its spans <extra_id_0>, <extra_id_0>; number them from 0"),
        (" ".join(f"<extra_id_{n}>" for n in range(100)), {}, "has 100 missing spans; this model fills at most 99"),
        (TEXT, {"top": 0}, "top is 0; it must be at least 1"),
        (TEXT, {"max_tokens": 4}, "max_tokens is 4; it must be at least 5 for 2 spans"),
    ],
)
def test_what_it_cannot_fill(model: LanguageModel, text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        fill_spans(model, text, **options)


def test_masks_are_another_thing(model: LanguageModel) -> None:
    with pytest.raises(OptionError, match="fills spans of any length, not masks; use fill_spans"):
        ch.fill(model, "one [MASK]")


def test_an_answer_longer_than_the_context(model: LanguageModel) -> None:
    with pytest.raises(OptionError, match=r"max_tokens is 100000; it must be at most 512, the model's context"):
        fill_spans(model, TEXT, max_tokens=100_000)


def test_a_translator_without_sentinels(tmp_path: Path) -> None:
    little_pieces.marian_model(tmp_path / "opus")
    with pytest.raises(OptionError, match="has no tokens for missing spans, such as <extra_id_0>"):
        fill_spans(hub.load(tmp_path / "opus"), "one <extra_id_0>")


def test_the_command(
    t5: Path, model: LanguageModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "fill", str(t5), TEXT, "--top", "2") == 0
    found = fill_spans(model, TEXT, top=2)
    shown, *lines = capsys.readouterr().out.splitlines()
    assert shown == TEXT
    for line, each in zip(lines, found, strict=True):
        number, text = line.strip().split("  ", 1)
        assert float(number) == pytest.approx(each.logprob, abs=6e-4)
        assert text == "one [{}] three [{}] five".format(*each.spans)
    assert called(monkeypatch, "fill", str(t5), TEXT, "--top", "1", "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert (said["text"], said["texts"][0]["ids"]) == (TEXT, list(found[0].ids))
