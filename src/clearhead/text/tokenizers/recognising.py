"""Recognises the kinds of tokenizer that are learned here in a tokenizer.json."""

from __future__ import annotations

import re
from typing import Any

from clearhead.text.tokenizers.learned import (
    ADDED,
    BYTE_TOKENS,
    LLAMA3_WORDS,
    OWN_WORDS,
    QWEN2_WORDS,
    bpe_untrained,
    byte_characters,
    bytes_tokenizer,
    character_bpe,
    characters_and_bytes_tokenizer,
    characters_tokenizer,
    state_of,
    unigram,
)
from clearhead.text.tokenizers.pieces import CUT_GPT2, CUT_QWEN2, CUT_SINGLE


def recognise(state: dict[str, Any]) -> tuple[str, re.Pattern[str] | None]:
    """The kind, "file" for any that is not learned here, and the rule for cutting its texts (None: never).

    If there is a rule, an id stands for the same text everywhere, so bytes can be counted per id. That holds only
    without a normalizer and for the patterns in pieces.py.
    """
    habits = _habits(state)
    known = bytes_tokenizer(), characters_tokenizer("a"), characters_and_bytes_tokenizer("a")
    for kind, each in zip(("bytes", "characters", "characters"), known, strict=True):
        if habits == _habits(state_of(each)) and _holds_singles(state):
            return kind, CUT_SINGLE
    rule = _rule(state)
    own = [token["content"] for token in state["added_tokens"]] in ADDED and not state["post_processor"]
    if own and rule is not None and habits == _habits(state_of(bpe_untrained())):
        return "bpe", rule
    for kind, each in (("character-bpe", character_bpe([], [])), ("unigram", unigram([]))):
        if own and habits == _habits(state_of(each)) and _holds_bytes(state):
            return kind, CUT_QWEN2
    return "file", rule


def _holds_singles(state: dict[str, Any]) -> bool:
    """Whether every token, except added and byte-fallback ones, is one character or stands for one byte."""
    model, added = state["model"], [token["content"] for token in state["added_tokens"]]
    tokens = _tokens(model)
    if model.get("byte_fallback"):
        tokens -= BYTE_TOKENS.keys()
    if added not in ADDED or any(len(token) != 1 for token in tokens) or model.get("merges"):
        return False
    return model["type"] == "WordLevel" or _holds_bytes(state) or tokens == byte_characters().keys()


def _holds_bytes(state: dict[str, Any]) -> bool:
    """Whether all byte-fallback tokens are there, so that no text is unknown."""
    return bool(state["model"].get("byte_fallback")) and BYTE_TOKENS.keys() <= _tokens(state["model"])


def _tokens(model: dict[str, Any]) -> set[str]:
    """The vocabulary: a table of ids, or a unigram model's list of tokens and their scores."""
    return {token for token, _ in model["vocab"]} if isinstance(model["vocab"], list) else set(model["vocab"])


def _habits(state: dict[str, Any]) -> tuple[Any, ...]:
    """Everything that decides how text is cut and joined, but the vocabulary."""
    model = {name: value for name, value in state["model"].items() if name not in ("vocab", "merges")}
    return (state["normalizer"], state["pre_tokenizer"], state["decoder"], model)


def _rule(state: dict[str, Any]) -> re.Pattern[str] | None:
    model, words, added = state["model"], state["pre_tokenizer"] or {}, state["added_tokens"]
    if [token["content"] for token in added] in ADDED:
        added = added[:1]  # the mask takes the space before it, but texts to cut are encoded without it (of_text)
    plain_bpe = model["type"] == "BPE" and not any(
        model[option] for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix")
    )
    strips = any(token["lstrip"] or token["rstrip"] or re.search(r"\s", token["content"]) for token in added)
    if state["normalizer"] or not plain_bpe or strips or (state["decoder"] or {}).get("type") != "ByteLevel":
        return None
    if words.get("type") == "ByteLevel" and words["use_regex"] and not words["add_prefix_space"]:
        return CUT_GPT2
    known = state_of(bpe_untrained())["pre_tokenizer"]
    for pattern in (OWN_WORDS, QWEN2_WORDS, LLAMA3_WORDS):
        known["pretokenizers"][0]["pattern"]["Regex"] = pattern
        if words == known:
            return CUT_QWEN2
    return None
