"""Texts as they are given to an analysis: as text or as ids, one or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard, cast

from torch import Tensor

from clearhead.errors import OptionError, shown
from clearhead.language_model import LanguageModel
from clearhead.text import row_of_ids
from clearhead.watching import TokenizedText, tokenized_text

# One text, or a row of ids, which are taken as they are: with the model's special tokens, if it shall see some.
Given = str | Tensor | Sequence[int]
Several = list[str] | list[Tensor] | list[list[int]]


def is_one(given: Given | Several) -> TypeGuard[Given]:
    """Whether one text was given, or one row of ids, and not a list of them."""
    if isinstance(given, Tensor):
        return given.dim() < 2
    if isinstance(given, str) or not isinstance(given, list | tuple) or not given:
        return True
    return not isinstance(given[0], str | list | tuple) and not (isinstance(given[0], Tensor) and given[0].dim() > 0)


def each_of(given: Given | Several, verb: str) -> list[Given]:
    """The texts or rows of ids of a list. Raises OptionError for anything else, naming the ``verb``."""
    if not isinstance(given, list | tuple):
        raise OptionError(f"{verb}: {shown(given)} was given; it takes one text, one row of ids, or a list of them")
    return list(given)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType, reportReturnType]


def read(model: LanguageModel, given: Given, verb: str) -> TokenizedText:
    """The tokens of a text, or of ids. Raises TextError if they do not fit the model."""
    if isinstance(given, str):
        return tokenized_text(model, model.encode(given, f"{verb}: the text"), given)
    ids = row_of_ids(cast("Sequence[int]", given))
    model.check(ids, f"{verb}: the text")
    return tokenized_text(model, ids)


def heading(text: str | None, tokens: Sequence[str]) -> str:
    """What stands above an analysis: its text or, if it was given as ids, its tokens."""
    return " ".join(tokens) if text is None else text
