"""Codes of languages among the special tokens of a translator: mBART's en_XX, NLLB's eng_Latn, M2M-100's __en__."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import tokenizers

from clearhead.errors import FolderError, shown
from clearhead.text.tokenizers.special import put_around, role_tokens

TOKEN = re.compile(r"([a-z]{2}_[A-Z]{2})|([a-z]{3}_[A-Z][a-z]{3})|__([a-z]{2,3})__")
END = "</s>"
PIECES = "sentencepiece.bpe.model"  # mBART's, M2M-100's and NLLB's


def languages(library: tokenizers.Tokenizer) -> dict[str, int]:
    """The ids of the languages' tokens by code, in order of the ids."""
    special = {number: each for number, each in library.get_added_tokens_decoder().items() if each.special}
    found = {number: code_of(each.content) for number, each in sorted(special.items())}
    return {code: number for number, code in found.items() if code is not None}


def code_of(token: str) -> str | None:
    """The code of a language's token, None for any other token."""
    match = TOKEN.fullmatch(token)
    return None if match is None else next(filter(None, match.groups()))


def around(usual: str, *, behind: bool = False) -> Callable[[tokenizers.Tokenizer, Mapping[str, Any]], None]:
    """Puts around a text what transformers' class does: the language's token and </s>, or, ``behind``, both after it.

    The language is tokenizer_config.json's src_lang or the ``usual`` one; released tokenizer.json files are older than
    the class's rule, and transformers does not read theirs either.
    """

    def put(made: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> None:
        named, end = settings.get("src_lang"), role_tokens(settings).get("eos", END)
        token = usual if named is None else named
        if not isinstance(token, str) or made.token_to_id(token) is None or made.token_to_id(end) is None:
            if named is None:  # of other languages; the file itself says what goes around a text
                return
            raise FolderError(
                f"tokenizer_config.json: src_lang is {shown(named)}, or the end {shown(end)}, and the tokenizer has no "
                "such token; copy the tokenizer's files again"
            )
        if behind or settings.get("legacy_behaviour") is True:
            put_around(made, [], [end, token])
        else:
            put_around(made, [token], [end])

    return put
