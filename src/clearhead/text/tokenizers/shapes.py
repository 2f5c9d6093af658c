"""Recognises tokenizers made of parts in use, which are opened at once; others are tried first (trial.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from clearhead.text.tokenizers.learned import LLAMA3_WORDS, OWN_WORDS, QWEN2_WORDS

Test = Callable[[Any], bool]

LONGEST = 64  # characters of a token of a unigram model; the trainers' limit is 16
STEPS = 8  # of a part, Sequences counted too; the longest in use has 6
GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT_OSS_WORDS = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_ENDING}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {GPT2_WORDS, QWEN2_WORDS, LLAMA3_WORDS, OWN_WORDS, GPT_OSS_WORDS, r"[\s\S]", r" {2,}"}


def _any(value: Any) -> bool:
    return True


def _flag(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _number(most: int) -> Test:
    return lambda value: type(value) is int and 0 <= value <= most


def _one_of(*known: Any) -> Test:
    return lambda value: value in known


def _pattern(value: Any) -> bool:
    if not isinstance(value, dict) or len(cast(dict[str, Any], value)) != 1:
        return False
    return value.get("String") in (" ", "▁", "``", "''") or value.get("Regex") in PATTERNS


def _scored(value: Any) -> bool:
    """Tokens with their scores; cutting a text takes time with the longest token."""
    return isinstance(value, list) and all(
        isinstance(each, list)
        and len(cast(list[Any], each)) == 2
        and isinstance(each[0], str)
        and len(each[0]) <= LONGEST
        and isinstance(each[1], int | float)
        for each in cast(list[Any], value)
    )


_METASPACE = {"replacement": _one_of("▁"), "prepend_scheme": _any, "split": _flag, "add_prefix_space": _flag}
_BYTES = {"add_prefix_space": _flag, "trim_offsets": _flag, "use_regex": _flag}
_REPLACE = {"pattern": _pattern, "content": _one_of(" ", "▁", '"')}

# What each entry may be, by part and type. Entries that affect time or memory are limited to the values in use.
PARTS: Mapping[str, Mapping[str, Mapping[str, Test]]] = {
    "normalizer": {
        "BertNormalizer": {
            "clean_text": _flag,
            "handle_chinese_chars": _flag,
            "strip_accents": _flag,
            "lowercase": _flag,
        },
        **{name: {} for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents")},
        "Strip": {"strip_left": _flag, "strip_right": _flag},
        "Prepend": {"prepend": _one_of("▁")},
        "Replace": _REPLACE,
    },
    "pre_tokenizer": {
        "ByteLevel": _BYTES,
        **{name: {} for name in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")},
        "Digits": {"individual_digits": _flag},
        "Metaspace": _METASPACE,
        "Split": {"pattern": _pattern, "behavior": _any, "invert": _flag},
    },
    "post_processor": {
        "ByteLevel": _BYTES,
        "BertProcessing": {"sep": _any, "cls": _any},
        "RobertaProcessing": {"sep": _any, "cls": _any, "trim_offsets": _flag, "add_prefix_space": _flag},
        "TemplateProcessing": {"single": _any, "pair": _any, "special_tokens": _any},
    },
    "decoder": {
        "ByteLevel": _BYTES,
        **{name: {} for name in ("ByteFallback", "Fuse")},
        "Metaspace": _METASPACE,
        "WordPiece": {"prefix": _one_of("##"), "cleanup": _flag},
        "Strip": {"content": _one_of(" "), "start": _number(1), "stop": _number(0)},
        "Replace": _REPLACE,
    },
    "model": {
        "BPE": {
            **dict.fromkeys(("vocab", "merges", "unk_token"), _any),
            **dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), _flag),
            "dropout": _one_of(None),
            "continuing_subword_prefix": _one_of(None, ""),
            "end_of_word_suffix": _one_of(None, ""),
        },
        "WordPiece": {
            "vocab": _any,
            "unk_token": _any,
            "continuing_subword_prefix": _one_of("##"),
            "max_input_chars_per_word": _number(200),
        },
        "WordLevel": {"vocab": _any, "unk_token": _any},
        "Unigram": {"vocab": _scored, "unk_id": _number(2**24), "byte_fallback": _flag},
    },
}
LISTS = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "post_processor": "processors"}
LISTS["decoder"] = "decoders"
OTHERS = {"version", "truncation", "padding", "added_tokens"}


def _table(value: Any) -> bool:
    return isinstance(value, dict)


def _table_or_null(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _tables(value: Any) -> bool:
    return isinstance(value, list) and all(map(_table, cast(list[Any], value)))


# What each entry of the file must be, in words and as a test.
LAYOUT: Mapping[str, tuple[str, Test]] = {
    "version": ("a text", lambda value: isinstance(value, str)),
    "added_tokens": ("a list of tables", _tables),
    "model": ("a table", _table),
    **dict.fromkeys((*LISTS, "truncation", "padding"), ("a table, or null", _table_or_null)),
}


def in_use(state: Mapping[str, Any]) -> bool:
    """Whether a tokenizer.json has only parts that are in use, with the options that are in use."""
    return state.keys() <= PARTS.keys() | OTHERS and all(
        _known(name, state.get(name)) for name in PARTS if state.get(name) is not None
    )


def _known(name: str, part: Any) -> bool:
    """A Sequence may hold Sequences. All of them and all their steps count: nested, 7 steps each, they are 7**n."""
    waiting, count = [part], 0
    while waiting:
        step, count = waiting.pop(), count + 1
        if not isinstance(step, dict) or count > STEPS:
            return False
        options = dict(cast(dict[str, Any], step))
        kind = options.pop("type", None)
        if kind == "Sequence" and name in LISTS:
            steps = options.get(LISTS[name])
            if len(options) != 1 or not isinstance(steps, list):
                return False
            waiting += [each for each in cast(list[Any], steps) if each is not None]
            continue
        tests = PARTS[name].get(kind) if isinstance(kind, str) else None
        if tests is None or not (options.keys() <= tests.keys() and all(tests[n](v) for n, v in options.items())):
            return False
    return True
