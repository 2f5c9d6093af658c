"""Unigram models learned here: any text, cut into its most probable tokens, and the same ids in transformers."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
from pathlib import Path

import pytest
from transformers import AutoTokenizer

import little_pieces
from clearhead.errors import MissingExtraError
from clearhead.text import FileSource, Tokenizer, learn, tokenize
from clearhead.text.tokenizers.shapes import in_use

TEXTS = [*little_pieces.texts(300), "<0x41> <0xAB> <unk> <|endoftext|> ▁"]


@pytest.fixture(scope="module")
def learned() -> Tokenizer:
    return Tokenizer.train_unigram(["\n".join([*little_pieces.lines("en"), *little_pieces.lines("zh")])], 900)


def test_any_text_comes_back_and_none_is_unknown(learned: Tokenizer):
    assert (learned.kind, learned.unknown, learned.gaps) == ("unigram", None, [])
    assert learned.vocab_size == 900
    for text in TEXTS:
        assert learned.decode(learned.encode(text)) == text
        stream = learned.stream()
        assert "".join(map(stream.push, learned.encode(text))) + stream.finish() == text


def test_it_opens_in_transformers_with_equal_ids(learned: Tokenizer, tmp_path: Path):
    learned.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs(TEXTS, add_special_tokens=False)["input_ids"] == [learned.encode(text) for text in TEXTS]
    again = Tokenizer.load(tmp_path)
    assert (again.kind, again.fingerprint) == ("unigram", learned.fingerprint)
    assert in_use(json.loads((tmp_path / "tokenizer.json").read_text()))  # so it opens without a trial


@pytest.mark.parametrize("word", [" garden", "hello", " happily", "unlocked"])
def test_a_word_is_cut_into_its_most_probable_tokens(learned: Tokenizer, word: str):
    """Of all ways to cut it, in float64."""
    scores = dict(json.loads(learned.to_json())["model"]["vocab"])
    best = -math.inf
    for count in range(len(word)):
        for cuts in itertools.combinations(range(1, len(word)), count):
            parts = [word[a:b] for a, b in itertools.pairwise([0, *cuts, len(word)])]
            if all(part in scores for part in parts):
                best = max(best, sum(scores[part] for part in parts))
    found = [learned.decode([token]) for token in learned.encode(word)]
    assert "".join(found) == word
    assert sum(scores[part] for part in found) == pytest.approx(best, abs=1e-9)


def test_learning_again_gives_the_same(learned: Tokenizer):
    again = Tokenizer.train_unigram(["\n".join([*little_pieces.lines("en"), *little_pieces.lines("zh")])], 900)
    assert again.to_json() == learned.to_json()


@pytest.mark.parametrize("size", [257, 258, 259, 265, 300, None])
@pytest.mark.parametrize("text", ["aaaa", "hello world, hello hello", "ab" * 10 + "\n", "一二三一二三"])
def test_little_text_and_small_sizes(text: str, size: int | None):
    made = Tokenizer.train_unigram([text], size)
    assert made.kind == "unigram"
    assert 257 <= made.vocab_size <= (size or 600)
    assert made.decode(made.encode(text + "é")) == text + "é"


def test_a_source_is_learned_from_and_tokenized(tmp_path: Path):
    (tmp_path / "t.txt").write_text("\n".join(little_pieces.lines("en")))
    source = FileSource(tmp_path / "t.txt")
    made = learn("unigram", [source], vocab_size=400, cache=tmp_path)
    assert made.fingerprint == learn("unigram", [source], vocab_size=400, cache=tmp_path).fingerprint
    tokens = tokenize([source], made, cache=tmp_path)
    assert tokens.ids[:50].tolist() == made.encode_document("\n".join(little_pieces.lines("en")))[:50]


def test_without_the_library(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs sentencepiece: pip install 'clearhead\[translate\]'"):
        Tokenizer.train_unigram(["hello hello"])
