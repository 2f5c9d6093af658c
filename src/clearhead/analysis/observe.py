"""Watched passes over texts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast, overload

import torch
from torch import Tensor

from clearhead.analysis.given import check_one, translation
from clearhead.analysis.room import check_room
from clearhead.attend import FULL, Mask
from clearhead.errors import OptionError, shown
from clearhead.language_model import LanguageModel, as_texts, check_model
from clearhead.model import evaluating, needs
from clearhead.text import row_of_ids
from clearhead.watching import BY_GRADIENT, Edit, Record, TextRecord, tokenized_text, watch
from clearhead.watching.edits import listed
from clearhead.watching.notation import under
from clearhead.watching.places import placed


class _Input(NamedTuple):
    """Input of a pass.

    types: token type of each id (which text of a pair), if the model has them
    source: ids of the text that a translator reads, and that text
    """

    ids: Sequence[int]
    types: Sequence[int] | None = None
    text: str | None = None
    source: tuple[Sequence[int], str] | None = None


@overload
def observe(
    model: LanguageModel,
    text: str,
    *,
    pair: str | None = None,
    target: str | None = None,
    edits: Edit | Sequence[Edit] = (),
    keep: str | Collection[str] = (),
    spill: str | Path | None = None,
) -> TextRecord: ...
@overload
def observe(
    model: LanguageModel,
    text: list[str],
    *,
    edits: Edit | Sequence[Edit] = (),
    keep: str | Collection[str] = (),
    spill: str | Path | None = None,
) -> Record: ...
def observe(
    model: LanguageModel,
    text: str | list[str],
    *,
    pair: str | None = None,
    target: str | None = None,
    edits: Edit | Sequence[Edit] = (),
    keep: str | Collection[str] = (),
    spill: str | Path | None = None,
) -> TextRecord | Record:
    """Runs a watched pass over a text, with the tokenizer's special tokens around it, and returns the record.

    ``record.tokens`` are the labels of the T places, ``record[layer, head]`` a map of shape (T, T). Several texts are
    read one at a time, and ``record[text]`` is the part for one of them. ``pair`` is a second text for encoders that
    read two. A translator reads the text and writes ``target``, or its own translation if that is None: the record has
    the maps of its encoder, of its decoder, and from the target to the text. ``edits`` and ``keep`` are those of
    ``watch``; places in edits may be words of the text. Computes no logits.

    What is kept stays in memory, or with ``spill``, a folder, in files there that are gone with the record; maps and
    measures are the same.

    Raises OptionError if a text is empty, for a model without attention, for a pair if the model does not read pairs,
    or for a target if it does not translate, TextError if a text cannot be encoded or is longer than the model's
    context length, MemoryNeededError if the pass, and the record without ``spill``, need more memory than is free,
    WriteError if the folder is missing or its disk has too little space.
    """
    check_model(model, "observe")
    if _are_ids(text):
        raise OptionError(
            f"observe: {shown(text)} was given; it takes texts, and observe_ids(model, ids) one row of ids"
        )
    texts = as_texts(text, "observe")
    if pair is not None and not isinstance(text, str):
        raise OptionError(f"observe: a pair was given with {len(texts)} texts; give it with one text")
    if not isinstance(text, str):
        check_one(target, texts, "observe")
    inputs = [_input(model, each, pair, target) for each in texts]
    record = _watched(model, inputs, edits, keep=keep, spill=None if spill is None else Path(spill))
    return record.only() if isinstance(text, str) else record


def observe_ids(
    model: LanguageModel,
    ids: Iterable[int],
    *,
    edits: Edit | Sequence[Edit] = (),
    keep: str | Collection[str] = (),
    mask: Mask = FULL,
) -> TextRecord:
    """``observe`` for the ids of a text, special tokens included. ``mask`` is combined with the model's own."""
    check_model(model, "observe_ids")
    if "text to text" in model.abilities:
        raise OptionError(
            "this model reads one text and writes another, and only one was given; take clearhead look, or in "
            "Python observe(model, text, target=...)"
        )
    return _watched(model, [_Input(row_of_ids(ids))], edits, mask, keep=keep).only()


def _are_ids(given: object) -> bool:
    if isinstance(given, list | tuple) and given:
        return isinstance(cast(Sequence[object], given)[0], Tensor | int)
    return isinstance(given, Tensor)


def _input(model: LanguageModel, text: str, pair: str | None, target: str | None) -> _Input:
    if not text or pair == "":
        raise OptionError("the text is empty; give at least one character")
    if target is not None:
        needs(model.network, "text to text", "looking at a translation (target)")
    if pair is None and "text to text" in model.abilities:
        found = translation(model, text, "look", target)
        assert found.source is not None
        return _Input(found.ids, text=found.tokenized.text, source=(found.source.ids, text))
    if pair is None:
        ids = model.encode(text, "the text")
        model.tokenizer.note_unknown(ids)
        return _Input(ids, text=text)
    needs(model.network, "pairs", "looking at a pair")
    if "pairs" not in model.abilities:
        raise OptionError(
            "this model's tokenizer has no special tokens to put between two texts, so the model was not trained "
            "on pairs; look at one text"
        )
    ids, types = model.tokenizer.encode_pair(text, pair)
    model.tokenizer.note_unknown(ids)
    return _Input(ids, types if model.network.types > max(types) else None, f"{text} {pair}")


def _watched(
    model: LanguageModel,
    inputs: Sequence[_Input],
    edits: Edit | Sequence[Edit],
    mask: Mask = FULL,
    *,
    keep: str | Collection[str] = (),
    spill: Path | None = None,
) -> Record:
    for each in inputs:
        model.check(each.ids, "the text")
    if not any(site.attends for site in model.sites()):
        raise OptionError(f"this model has no attention, so there are no attention maps; {BY_GRADIENT}")
    stack = model.stack
    texts = {(number, stack): tokenized_text(model, each.ids, each.text) for number, each in enumerate(inputs)}
    texts |= {
        (number, "encoder"): tokenized_text(model, *each.source, source=True)
        for number, each in enumerate(inputs)
        if each.source is not None
    }
    edits = placed(listed(edits), texts)
    check_room(model, [(len(each.ids), len(each.source[0]) if each.source else 0) for each in inputs], keep, spill)
    with torch.inference_mode(), evaluating(model.network), watch(model, edits, keep=keep, spill=spill) as record:
        for each in inputs:
            rows = {
                "ids_BT": each.ids,
                "types_BT": each.types,
                "source_BS": None if each.source is None else each.source[0],
            }
            given: dict[str, Any] = {
                name: torch.tensor([list(row)], device=model.device) for name, row in rows.items() if row is not None
            }
            model.network.hidden(mask=mask, **given)
    record.tokenized.update(texts)
    record.model = under(model.name or None, edits)
    return record
