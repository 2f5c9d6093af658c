"""Texts as vectors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from typing import overload

import torch
from torch import Tensor

from clearhead.attend import FULL, padding
from clearhead.errors import FolderError
from clearhead.language_model import LanguageModel, as_texts, check_model
from clearhead.model import evaluating, needs
from clearhead.model.parts.pooling import Pooling
from clearhead.tap import reserve, rows
from clearhead.text import Tokenizer
from clearhead.watching import Edit, edited, tokenized_text
from clearhead.watching.edits import listed
from clearhead.watching.places import placed

log = logging.getLogger(__name__)

# Tokens per pass, padding included: 2**13 keep a small encoder busy, and its hidden states take 12 MB at width 384.
TOKENS = 2**13


@overload
def vectors(model: LanguageModel, texts: str, *, edits: Edit | Sequence[Edit] = ()) -> Tensor: ...
@overload
def vectors(model: LanguageModel, texts: list[str], *, edits: Edit | Sequence[Edit] = ()) -> Tensor: ...
def vectors(model: LanguageModel, texts: str | list[str], *, edits: Edit | Sequence[Edit] = ()) -> Tensor:
    """vectors_NE, one row per text, or vector_E for a single text; float32 or wider, on the CPU.

    Pooling follows the sentence-transformers files beside the model; without them it is the mean of the text's hidden
    states, special tokens included. Texts of similar length share a pass, padded on the right; each vector is what it
    would be alone, up to rounding. If those files limit the number of tokens, longer texts are cut, which is logged.
    ``edits`` change the model as it runs (``watching.edits``); places in them may be words of the texts.

    Raises TextError for a text that is longer than the model's context length or has no tokens at all, FolderError if
    the files ask for an unknown step, WatchError for an edit that does not apply or changes nothing (``watch``).
    """
    check_model(model, "vectors")
    needs(model, "vectors", "vectors")
    if model.metadata.unpooled is not None:
        raise FolderError(model.metadata.unpooled)
    if isinstance(texts, str):
        return vectors(model, [texts], edits=edits)[0]
    texts = as_texts(texts, "vectors")
    pooling, network = model.metadata.pooling or Pooling(), model.network
    ids = [model.tokenizer.encode_document(text) for text in texts]
    if pooling.context is not None:
        ids = _cut(ids, model.tokenizer, min(pooling.context, model.config.context))
    for number, each in enumerate(ids):
        model.check(each, f"text {number}")
    order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
    found: dict[int, Tensor] = {}
    every = {(number, model.stack): tokenized_text(model, each) for number, each in enumerate(ids)} if edits else {}
    changes = placed(listed(edits), every)
    with torch.inference_mode(), evaluating(network), edited(model, changes) if changes else nullcontext():
        numbers = reserve(len(ids))
        for batch in _batches(order, [len(each) for each in ids]):
            lengths_B = torch.tensor([len(ids[number]) for number in batch], device=model.device)
            longest = int(lengths_B.max())
            ids_BT = torch.tensor(
                [ids[number] + [0] * (longest - len(ids[number])) for number in batch], device=model.device
            )
            mask = FULL if len(batch) == 1 else padding(lengths_B)
            with rows([numbers[number] for number in batch]):
                x_BTE = network.hidden(ids_BT, mask=mask)
            found.update(zip(batch, pooling(x_BTE, lengths_B).cpu(), strict=True))
    if not found:
        return torch.empty(0, model.config.width)
    return torch.stack([found[number] for number in range(len(ids))])


def _cut(ids: list[list[int]], tokenizer: Tokenizer, limit: int) -> list[list[int]]:
    """Cuts each text to ``limit`` ids, keeping the special tokens at its end."""
    long = sum(len(each) > limit for each in ids)
    if long:
        log.info("%d of %d texts are longer than %d tokens and were cut to that length", long, len(ids), limit)
    back = list(tokenizer.back)
    return [each if len(each) <= limit else each[: limit - len(back)] + back for each in ids]


def _batches(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Groups text numbers, shortest first, into batches of at most TOKENS tokens, padding included."""
    batches: list[list[int]] = []
    for number in order:
        if not batches or (len(batches[-1]) + 1) * lengths[number] > TOKENS:
            batches.append([])
        batches[-1].append(number)
    return batches
