"""Special tokens: the role of each in a released folder, and those that a tokenizer puts around a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import tokenizers
from tokenizers import AddedToken, processors

from clearhead.errors import FolderError, shown

ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def role_tokens(settings: Mapping[str, Any]) -> dict[str, str]:
    """The token of each role, from entries such as "bos_token", in transformers' order.

    Raises FolderError for a value that is not a token.
    """
    found: dict[str, str] = {}
    for role in ROLES:
        value = settings.get(f"{role}_token")
        if value is not None:
            found[role] = added_token(value, f"{role}_token").content
    return found


def added_token(value: object, where: str) -> AddedToken:
    """A special token as tokenizer_config.json writes it: its text, or a table with its options (lstrip, ...)."""
    if isinstance(value, str) and _whole(value):
        return AddedToken(value, special=True)
    table = cast(Mapping[str, Any], value) if isinstance(value, dict) else {}
    options = {name: table.get(name, False) for name in ("lstrip", "rstrip", "single_word", "normalized", "special")}
    content = table.get("content")
    if (
        not isinstance(content, str)
        or not _whole(content)
        or not all(isinstance(option, bool) for option in options.values())
    ):
        raise FolderError(f"{where}: {shown(value)} is not a token; copy the tokenizer's files again")
    return AddedToken(content, **(options if "special" in table else {**options, "special": True}))


def _whole(text: str) -> bool:
    """Whether a text is not empty and has no lone surrogate (half a character)."""
    return bool(text) and not any("\ud800" <= character <= "\udfff" for character in text)


def with_special(library: tokenizers.Tokenizer, tokens: Iterable[AddedToken]) -> None:
    """Registers these tokens, so that they are never split; existing added tokens stay as they are."""
    known = {token.content for token in library.get_added_tokens_decoder().values()}
    library.add_tokens([token for token in tokens if token.content not in known])


def edges(post_processor: Mapping[str, Any] | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids that a tokenizer.json's post-processor puts before and after a single text.

    Raises FolderError for an unknown kind of post-processor, rather than ignore it.
    """
    found: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    steps = [] if post_processor is None else [post_processor]
    while steps:
        step = steps.pop(0)
        kind = step["type"]
        if kind == "Sequence":
            steps = [*step["processors"], *steps]
        elif kind in ("BertProcessing", "RobertaProcessing"):
            found.append(((step["cls"][1],), (step["sep"][1],)))
        elif kind == "TemplateProcessing":
            found.append(_template(step))
        elif kind != "ByteLevel":  # which only changes the reported offsets
            raise FolderError(f"tokenizer.json: unknown post-processor {shown(kind)}; without it texts would differ")
    if len(found) > 1:  # the library would take the first one's result for a pair of texts
        raise FolderError(f"tokenizer.json: {len(found)} post-processors add tokens; one is supported")
    return found[0] if found else ((), ())


def _template(step: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    before: list[int] = []
    after: list[int] = []
    into = before
    for piece in step["single"]:
        if "Sequence" in piece:
            into = after
        else:
            into += step["special_tokens"][piece["SpecialToken"]["id"]]["ids"]
    return tuple(before), tuple(after)


def unknown_id(library: tokenizers.Tokenizer, model: Mapping[str, Any]) -> int | None:
    """The id for text outside the vocabulary, by the model's entries in tokenizer.json; None if there is none."""
    token = model.get("unk_token")
    return model.get("unk_id") if token is None else library.token_to_id(token)


def put_around(
    library: tokenizers.Tokenizer,
    front: Iterable[str],
    back: Iterable[str] = (),
    *,
    second: Iterable[str] | None = None,
) -> None:
    """Gives the library a post-processor that puts these tokens of its vocabulary before and after a text.

    In a pair, both texts get them; ``second`` replaces ``front`` for the second text (BERT: nothing).
    """
    before, after = list(front), list(back)
    single = _around("A", 0, before, after)
    pair = f"{single} {_around('B', 1, before if second is None else second, after)}"
    known = [(token, library.token_to_id(token)) for token in dict.fromkeys([*before, *after])]
    library.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=known)


def _around(text: str, kind: int, before: Iterable[str], after: Iterable[str]) -> str:
    return " ".join(f"{piece}:{kind}" for piece in (*before, f"${text}", *after))
