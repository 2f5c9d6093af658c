"""Inputs of an analysis: text or ids, one or several, or a text with its translation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor

from clearhead.errors import OptionError, shown
from clearhead.generation import forced, source_ids, translate
from clearhead.language_model import LanguageModel
from clearhead.model import needs
from clearhead.text import row_of_ids
from clearhead.watching import TokenizedText, tokenized_text

# One text, or a row of ids, which are taken as they are: with the model's special tokens, if the model needs them.
Given = str | Tensor | Sequence[int]
Several = list[str] | list[Tensor] | list[list[int]]


def is_one(given: Given | Several) -> TypeGuard[Given]:
    """Whether one text was given, or one row of ids, and not a list of them."""
    if isinstance(given, Tensor):
        return given.dim() < 2 or len(given) == 1
    if isinstance(given, str) or not isinstance(given, list | tuple) or not given:
        return True
    return not isinstance(given[0], str | list | tuple) and not (isinstance(given[0], Tensor) and given[0].dim() > 0)


def each_of(given: Given | Several, verb: str) -> list[Given]:
    """The texts or rows of ids of a list. Raises OptionError for anything else, naming the ``verb``."""
    if not isinstance(given, list | tuple):
        raise OptionError(f"{verb}: {shown(given)} was given; it takes one text, one row of ids, or a list of them")
    return list(given)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType, reportReturnType]


def check_one(target: str | None, texts: Sequence[object], verb: str) -> None:
    """Raises OptionError if a target is given with several texts."""
    if target is not None:
        raise OptionError(f"{verb}: a target was given with {len(texts)} texts; give it with one text")


@dataclass(frozen=True, kw_only=True, eq=False)
class Read:
    """What one pass reads. tokenized: the text whose tokens are predicted; source: the one a translator translates."""

    tokenized: TokenizedText
    source: TokenizedText | None = None

    @property
    def ids(self) -> list[int]:
        """Ids of the text whose tokens are predicted."""
        return self.tokenized.ids

    @property
    def tokens(self) -> int:
        """Number of tokens in both texts together."""
        return len(self.ids) + (0 if self.source is None else len(self.source.ids))

    def shown(self) -> tuple[TokenizedText, str | None]:
        """The text whose tokens are predicted, and the ``target`` that gives it again: the translation, or None."""
        return self.tokenized, None if self.source is None else self.tokenized.text

    def by_stack(self, model: LanguageModel) -> dict[str, TokenizedText]:
        """The text of each stack."""
        return {model.stack: self.tokenized} | ({} if self.source is None else {"encoder": self.source})

    def inputs(self, model: LanguageModel, rows: int = 1) -> dict[str, Any]:
        """The keyword arguments of ``hidden``, repeated over ``rows`` rows."""
        given = {"ids_BT": self.ids} | ({} if self.source is None else {"source_BS": self.source.ids})
        return {name: torch.tensor([ids], device=model.device).expand(rows, -1) for name, ids in given.items()}


def check_text(given: Given, verb: str) -> None:
    """Raises OptionError for an empty text."""
    if isinstance(given, str) and not given:
        raise OptionError(f"{verb}: the text is empty; give at least one character")


def read(model: LanguageModel, given: Given, verb: str, *, target: str | None = None) -> Read:
    """The tokens of a text, or of ids; of a translator, those of a text and of ``target``, or its own translation.

    Raises TextError if they do not fit the model, OptionError for a target if it does not translate, for ids or an
    empty text if it does.
    """
    if target is not None:
        needs(model.network, "text to text", "looking at a translation (target)")
    if "text to text" in model.abilities:
        if not isinstance(given, str):
            raise OptionError(
                f"{verb}: this model reads one text and writes another, and one row of ids was given; give the text, "
                "and its translation as target"
            )
        check_text(given, verb)
        return translation(model, given, verb, target)
    if isinstance(given, str):
        return Read(tokenized=tokenized_text(model, model.encode(given, f"{verb}: the text"), given))
    ids = row_of_ids(cast("Sequence[int]", given))
    model.check(ids, f"{verb}: the text")
    return Read(tokenized=tokenized_text(model, ids))


def translation(model: LanguageModel, text: str, verb: str, target: str | None) -> Read:
    """The text as source, and a target without its end: each of its places predicts the token after it."""
    first, (start, _) = forced(model).first, model.target_edges
    if target is None:
        target = translate(model, text).text
    ids = [start, *([] if first is None else [first]), *model.tokenizer.encode(target)]
    model.check(ids, f"{verb}: the translation")
    source = source_ids(model, text)
    model.tokenizer.source.note_unknown(source)
    model.tokenizer.note_unknown(ids)
    return Read(tokenized=tokenized_text(model, ids, target), source=tokenized_text(model, source, text, source=True))


def heading(text: str | None, tokens: Sequence[str], source: str | None = None) -> str:
    """The heading of an analysis: its text, or its tokens if it was given as ids; after a translation's source."""
    own = " ".join(tokens) if text is None else text
    return own if source is None else f"{source} → {own}"
