"""Watched passes over texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, overload

import torch

from clearhead.errors import OptionError, TextError
from clearhead.language_model import LanguageModel, as_texts
from clearhead.model import evaluating, needs
from clearhead.text import Tokenizer
from clearhead.watching import BY_GRADIENT, Edit, Record, TextRecord, Words, watch


class _Reading(NamedTuple):
    """What a pass reads. types: which text of a pair each id is of, where the model tells them apart."""

    ids: Sequence[int]
    types: Sequence[int] | None = None
    text: str | None = None


@overload
def observe(model: LanguageModel, text: str, *, pair: str | None = None, edits: Sequence[Edit] = ()) -> TextRecord: ...
@overload
def observe(model: LanguageModel, text: list[str], *, edits: Sequence[Edit] = ()) -> Record: ...
def observe(
    model: LanguageModel, text: str | list[str], *, pair: str | None = None, edits: Sequence[Edit] = ()
) -> TextRecord | Record:
    """A watched pass over a text, with what stands around it in training; every head can then be looked at.

    ``record.tokens`` are the labels of the T places, ``record[layer, head]`` a map of shape (T, T). Several texts are
    read one by one, and ``record[text]`` is the record of one. ``pair`` is a second text that an encoder reads with the
    first. No logits are computed.

    Raises OptionError for a model that does not attend and for a pair if the model does not read pairs, TextError if a
    text is empty, cannot be encoded or is longer than the model's context.
    """
    texts = as_texts(text, "look")
    if pair is not None and not isinstance(text, str):
        raise OptionError(f"look: a pair was given beside {len(texts)} texts; give it beside one")
    record = _watched(model, [_reading(model, each, pair) for each in texts], edits)
    return record.only() if isinstance(text, str) else record


def observe_ids(model: LanguageModel, ids: Sequence[int], *, edits: Sequence[Edit] = ()) -> TextRecord:
    """``observe`` for the ids of a whole text, with what stands around it."""
    return _watched(model, [_Reading(ids)], edits).only()


def _reading(model: LanguageModel, text: str, pair: str | None) -> _Reading:
    if not text or pair == "":
        raise TextError("look: the text is empty; give at least one character")
    if pair is None:
        ids = model.encode(text, "look: the text")
        model.tokenizer.note_unknown(ids)
        return _Reading(ids, text=text)
    needs(model.network, "pairs", "looking at a pair")
    ids, types = model.tokenizer.encode_pair(text, pair)
    model.tokenizer.note_unknown(ids)
    return _Reading(ids, types if model.network.types > max(types) else None, f"{text} {pair}")


def _watched(model: LanguageModel, readings: Sequence[_Reading], edits: Sequence[Edit]) -> Record:
    for reading in readings:
        model.check(reading.ids, "look: the text")
    if not any(site.attends for site in model.sites()):
        raise OptionError(f"look: this model does not attend, so there are no attention maps; {BY_GRADIENT}")
    with torch.inference_mode(), evaluating(model.network), watch(model, edits) as record:
        for ids, types, _ in readings:
            types_1T = None if types is None else torch.tensor([list(types)], device=model.device)
            model.network.hidden(torch.tensor([list(ids)], device=model.device), types_BT=types_1T)
    for number, (ids, _, text) in enumerate(readings):
        record.words[number] = words_of(model, ids, text)
    record.model = model.name or None
    return record


def words_of(model: LanguageModel, ids: Sequence[int], text: str | None = None) -> Words:
    """What is known of the tokens of a text."""
    pieces = _pieces(model.tokenizer, ids) if model.has_tokenizer else []
    return Words(tokens=model.labels(ids), ids=list(ids), pieces=pieces, text=text)


def _pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """The characters that each place completes; what stands around a text gives none."""
    front, back = len(tokenizer.front), len(tokenizer.back)
    front = front if tuple(ids[:front]) == tokenizer.front else 0
    back = back if back and tuple(ids[-back:]) == tokenizer.back else 0
    inside = ids[front : len(ids) - back]
    stream = tokenizer.stream()
    pieces = [stream.push(token) for token in inside]
    if pieces:
        pieces[-1] += stream.finish()
    return [""] * front + pieces + [""] * back
