"""A tokenizer as the metadata of a GGUF file, and back, where llama.cpp gives a text the same ids.

BPE over bytes: llama.cpp has the rules for cutting a text into words in its code, by name (``tokenizer.ggml.pre``); so
only tokenizers whose rule is known to be one of those are written, and opened.
Characters, with bytes for those that are rare: to llama.cpp a SentencePiece vocabulary in which nothing can be merged.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers

from clearhead.errors import FolderError, OptionError, shown
from clearhead.text import Tokenizer
from clearhead.text.tokenizers.learned import BYTE_TOKENS, LLAMA3_WORDS, OWN_WORDS, QWEN2_WORDS
from clearhead.text.tokenizers.refusals import panics_as
from clearhead.text.tokenizers.shapes import GPT2_WORDS
from clearhead.text.tokenizers.special import put_around
from clearhead.text.tokenizers.vocabularies import LARGEST_VOCABULARY

log = logging.getLogger(__name__)

# llama.cpp's names for rules, with the pattern, and whether a word that is a token is left whole (ignore_merges).
WORDS = {"gpt-2": (GPT2_WORDS, False), "qwen2": (QWEN2_WORDS, False), "llama-bpe": (LLAMA3_WORDS, True)}
ALIASES = {"deepseek-r1-qwen": "qwen2", "llama3": "llama-bpe", "llama-v3": "llama-bpe"}
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
ROLES = {"bos": "bos", "eos": "eos", "unk": "unknown", "sep": "seperator", "pad": "padding", "mask": "mask"}
ENDS = ("eos", "eot", "eom")  # ids that end a text
MODEL, PRE, TOKENS, TOKEN_KINDS, MERGES = (
    f"tokenizer.ggml.{name}" for name in ("model", "pre", "tokens", "token_type", "merges")
)
BOS, EOS = "tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"
TEMPLATE = "tokenizer.chat_template"
SCORES, SPACED = "tokenizer.ggml.scores", "tokenizer.ggml.add_space_prefix"
SPACE = "▁"  # how SentencePiece writes a space
NEVER = "<|endoftext|> <|endoftext|>"  # a merge that never applies: llama.cpp wants at least one


class Vocabulary(NamedTuple):
    """A tokenizer as a file holds it, by key. entries: single values. lists: a value for each token, or the merges."""

    entries: dict[str, Any]
    lists: dict[str, list[Any]]


def _id(role: str) -> str:
    return f"tokenizer.ggml.{role}_token_id"


def written_tokenizer(tokenizer: Tokenizer, ends: Sequence[int], rows: int) -> Vocabulary:
    """The metadata of a tokenizer for a model with so many rows in its embedding.

    ends: ids that end a text, that after a text first. Raises OptionError if llama.cpp would cut texts differently.
    """
    state: dict[str, Any] = json.loads(tokenizer.to_json())
    model = state["model"]
    characters = tokenizer.kind == "characters" and bool(model.get("byte_fallback"))
    tokens, kinds = _tokens(state, tokenizer, rows)
    lists: dict[str, list[Any]] = {TOKENS: tokens, TOKEN_KINDS: kinds}
    if characters:
        log.info("the character ▁ is a space to llama.cpp")
        entries: dict[str, Any] = {MODEL: "llama", PRE: "default", SPACED: False}
        lists |= {TOKENS: _spelt(tokens), SCORES: [0.0] * len(tokens)}
        lists[TOKEN_KINDS] = [BYTE if text in BYTE_TOKENS else kind for text, kind in zip(tokens, kinds, strict=True)]
    else:
        entries = {MODEL: "gpt2", PRE: _rule(state)}
        merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
        lists[MERGES] = merges or [NEVER]
    for role, name in ROLES.items():
        token = tokenizer.role(role)
        if token is not None and role != "eos":
            entries[_id(name)] = token
    front, back = tokenizer.front, tokenizer.back
    if not ends:
        raise _refused("it has no token that ends a text, for which llama.cpp then takes id 11")
    if len(ends) > len(ENDS):
        raise _refused(f"{len(ends)} tokens end a text; a .gguf file can name {len(ENDS)}")
    if len(front) > 1 or (back and back != (ends[0],)):
        raise _refused("llama.cpp can put one token before a text and its end token behind it, and no others")
    entries |= {_id(name): token for name, token in zip(ENDS, ends, strict=False)}
    if front:
        entries[_id("bos")] = front[0]
    entries |= {BOS: bool(front), EOS: bool(back)}
    for name, template in tokenizer.templates.items():
        entries[TEMPLATE if name == "default" else f"{TEMPLATE}.{name}"] = template
    return Vocabulary(entries, lists)


def _spelt(tokens: list[str]) -> list[str]:
    """Characters as SentencePiece writes them."""
    if SPACE in tokens:
        raise _refused(f"it has the character {SPACE}, which is a space to llama.cpp")
    return [SPACE if text == " " else text for text in tokens]


def _refused(why: str) -> OptionError:
    return OptionError(f"tokenizer: {why}; so llama.cpp would give texts other ids, and no .gguf file is written")


def _rule(state: Mapping[str, Any]) -> str:
    """llama.cpp's name for the rule by which the tokenizer cuts a text into words."""
    model, normalizer = state["model"], state["normalizer"] or {}
    plain = model["type"] == "BPE" and not any(
        model.get(name) for name in ("dropout", "byte_fallback", "continuing_subword_prefix", "end_of_word_suffix")
    )
    if not plain or (state["decoder"] or {}).get("type") != "ByteLevel":
        raise _refused("only BPE over bytes can be written, and characters with bytes (train with --tokenizer bpe)")
    if normalizer.get("type") == "NFC":
        log.warning("texts that are not in Unicode's form NFC get other ids from llama.cpp, which does not normalise")
    elif normalizer:
        raise _refused(f"it changes texts before it cuts them ({normalizer.get('type')})")
    words = cast(Mapping[str, Any], state["pre_tokenizer"] or {})
    steps: list[Mapping[str, Any]] = words.get("pretokenizers", [words])
    last = steps[-1]
    if last.get("type") == "ByteLevel" and not last["add_prefix_space"]:
        if len(steps) == 1 and (last["use_regex"] or not model["merges"]) and not model.get("ignore_merges"):
            return "gpt-2"  # without merges every byte is a token, however a text is cut
        first = steps[0]
        if len(steps) == 2 and first.get("type") == "Split" and not last["use_regex"]:
            pattern = first["pattern"].get("Regex")
            if (first["behavior"], first["invert"]) == ("Isolated", False):
                if pattern == OWN_WORDS and not model.get("ignore_merges"):
                    log.info("words of more than 256 characters get other ids from llama.cpp, which does not cut them")
                    return "qwen2"
                for name, rule in WORDS.items():
                    if rule == (pattern, bool(model.get("ignore_merges"))):
                        return name
    raise _refused("it splits texts into words by a rule that llama.cpp is not known to have")


def _tokens(state: Mapping[str, Any], tokenizer: Tokenizer, rows: int) -> tuple[list[str], list[int]]:
    """The text and the kind of every id; rows without a token are named as in llama.cpp's own files."""
    count = max(rows, tokenizer.vocab_size)
    if count > rows and tokenizer.needed > rows:
        raise _refused(f"it has {tokenizer.needed:,} tokens, the model {rows:,}")
    tokens, kinds = [f"[PAD{number}]" for number in range(rows)], [UNUSED] * rows
    for text, number in state["model"]["vocab"].items():
        tokens[number], kinds[number] = text, NORMAL
    for added in state["added_tokens"]:
        if added["lstrip"] or added["rstrip"] or added["single_word"]:
            raise _refused(f"its token {shown(added['content'])} takes white space beside it")
        if added["id"] < rows:
            tokens[added["id"]] = added["content"]
            kinds[added["id"]] = CONTROL if added["special"] else USER
    if len(set(tokens)) < len(tokens):
        raise _refused("two of its ids have the same text, or one has the text of an unused id")
    return tokens, kinds


def opened_tokenizer(metadata: Mapping[str, Any], rows: int, where: str) -> tuple[Tokenizer, dict[str, Any]]:
    """The tokenizer in a file's metadata, and its special ids as config.json names them.

    Raises FolderError if something is missing, damaged or unsupported.
    """
    kind, pre = metadata.get(MODEL), metadata.get(PRE)
    if kind not in ("gpt2", "llama"):
        raise FolderError(
            f"{where}: its tokenizer is of llama.cpp's kind {shown(kind)}; only BPE over bytes (gpt2) and characters "
            "(llama) are read; take the model's folder in the Hugging Face layout"
        )
    rule = WORDS.get(ALIASES.get(str(pre), str(pre)))
    if rule is None and kind == "gpt2":
        raise FolderError(
            f"{where}: llama.cpp cuts its texts by the rule {shown(pre)}; known are {', '.join([*WORDS, *ALIASES])}; "
            "take the model's folder in the Hugging Face layout"
        )
    tokens = _texts(metadata, TOKENS, where)
    kinds = metadata.get(TOKEN_KINDS)
    if not isinstance(kinds, np.ndarray) or len(kinds) != len(tokens) or len(tokens) > LARGEST_VOCABULARY:
        raise _damaged(where, f"{len(tokens):,} tokens, and their kinds are {shown(kinds)}")
    if len(tokens) > rows:
        raise FolderError(f"{where}: {len(tokens):,} tokens for the {rows:,} rows of the embedding; copy it again")
    if rule is None or kind == "llama":
        rule = "", False
        library = _characters(tokens, kinds, metadata, where)
    else:
        library = _library(tokens, kinds, _texts(metadata, MERGES, where), rule, where)
    ids: dict[str, int] = {}
    for name in (*ROLES.values(), "eot", "eom"):
        value = metadata.get(_id(name))
        if value is not None:
            if not isinstance(value, int) or not 0 <= value < len(tokens) or kinds[value] == UNUSED:
                raise _damaged(where, f"{_id(name)} is {shown(value)}, which is not a token id")
            ids[name] = value
    around: dict[str, list[str]] = {}
    for key, name, default in ((BOS, "bos", rule[1]), (EOS, "eos", False)):
        added = metadata.get(key, default)
        if not isinstance(added, bool) or (added and name not in ids):
            raise _damaged(where, f"{key} is {shown(added)}, without a token for it")
        around[name] = [tokens[ids[name]]] if added else []
    if around["bos"] or around["eos"]:
        put_around(library, around["bos"], around["eos"])
    ends = [ids[name] for name in ENDS if name in ids]
    config = {f"{role}_token": tokens[ids[name]] for role, name in ROLES.items() if name in ids}
    made = Tokenizer(
        library,
        {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **config},
        _templates(metadata, where),
        ends=ends,
    )
    named = {f"{role}_token_id": ids[role] for role in ("bos", "pad") if role in ids}
    return made, {**named, "eos_token_id": ends[0] if len(ends) == 1 else ends} if ends else named


def _damaged(where: str, what: str) -> FolderError:
    return FolderError(f"{where}: truncated or altered: {what}; copy it again")


def _texts(metadata: Mapping[str, Any], key: str, where: str) -> list[str]:
    found = metadata.get(key)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in cast(list[Any], found)):
        raise _damaged(where, f"{key} is {shown(found)}, not a list of texts")
    return cast(list[str], found)


def _templates(metadata: Mapping[str, Any], where: str) -> dict[str, str]:
    found = {
        key.removeprefix(TEMPLATE).removeprefix(".") or "default": value
        for key, value in metadata.items()
        if key == TEMPLATE or key.startswith(f"{TEMPLATE}.")
    }
    for name, template in found.items():
        if not isinstance(template, str):
            raise _damaged(where, f"the chat template {shown(name)} is {shown(template)}")
    return found


def _characters(tokens: list[str], kinds: Any, metadata: Mapping[str, Any], where: str) -> tokenizers.Tokenizer:
    """A SentencePiece vocabulary of single characters, as those of ``train``. Raises FolderError for any other."""
    plain = {text for text, kind in zip(tokens, kinds, strict=True) if kind == NORMAL}
    named = {text for text, kind in zip(tokens, kinds, strict=True) if kind == BYTE}
    single = all(len(text) == 1 for text in plain) and named == BYTE_TOKENS.keys()
    if not single or metadata.get(SPACED) is not False or " " in plain:
        raise FolderError(
            f"{where}: its tokenizer is a SentencePiece model; of those, only characters with bytes are read; take the "
            "model's folder in the Hugging Face layout"
        )
    vocabulary = _vocabulary([" " if text == SPACE else text for text in tokens], kinds, BYTE, where)
    last, number = vocabulary.popitem()
    if kinds[number] != CONTROL or number != len(vocabulary):  # else it is added below, as by ``train``
        vocabulary[last] = number
    made = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    _add(made, tokens, kinds)
    return made


def _vocabulary(tokens: list[str], kinds: Any, more: int, where: str) -> dict[str, int]:
    """The ids of all tokens in use. more: one more kind of token that is allowed."""
    vocabulary = {text: n for n, text in enumerate(tokens) if kinds[n] != UNUSED}
    if len(vocabulary) < sum(kinds != UNUSED) or "" in vocabulary:
        raise _damaged(where, "two tokens have the same text, or one has none")
    unknown = set(kinds.tolist()) - {NORMAL, UNKNOWN, CONTROL, USER, UNUSED, more}
    if unknown:
        raise _damaged(where, f"a token is of the kind {min(unknown)}, which such a vocabulary does not have")
    return vocabulary


def _add(made: tokenizers.Tokenizer, tokens: list[str], kinds: Any) -> None:
    added = [n for n, kind in enumerate(kinds) if kind in (UNKNOWN, CONTROL, USER)]
    made.add_tokens([AddedToken(tokens[n], special=bool(kinds[n] != USER), normalized=False) for n in added])


def _library(
    tokens: list[str], kinds: Any, merges: list[str], rule: tuple[str, bool], where: str
) -> tokenizers.Tokenizer:
    vocabulary = _vocabulary(tokens, kinds, NORMAL, where)
    pattern, whole = rule
    try:
        pairs = [_pair(merge) for merge in merges if merge != NEVER]
        with panics_as(ValueError):
            made = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, ignore_merges=whole))
    except Exception as fault:  # the library raises Exception itself, nothing narrower
        raise _damaged(where, f"its merges do not fit its tokens: {shown(fault)}") from fault
    words = pre_tokenizers.Split(Regex(pattern), "isolated")
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([words, bytes_of])
    if pattern == GPT2_WORDS:
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    _add(made, tokens, kinds)
    return made


def _pair(merge: str) -> tuple[str, str]:
    """The two texts of a merge. Raises ValueError if there are not two."""
    first, _, second = merge.partition(" ")
    if not first or not second:
        raise ValueError(f"a merge is {shown(merge)}")
    return first, second
