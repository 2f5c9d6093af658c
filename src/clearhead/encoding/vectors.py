"""Texts as vectors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import overload

import torch
from torch import Tensor

from clearhead.attend import FULL, padding
from clearhead.errors import FolderError
from clearhead.language_model import LanguageModel, as_texts
from clearhead.model import evaluating, needs
from clearhead.model.parts.pooling import Pooling
from clearhead.tap import reserve, rows
from clearhead.text import Tokenizer

log = logging.getLogger(__name__)

# Tokens in one pass, those of padding counted: 2**13 of them keep the products of a small encoder busy, and its
# hidden states are 12 MB for a width of 384.
TOKENS = 2**13


@overload
def vectors(model: LanguageModel, texts: str) -> Tensor: ...
@overload
def vectors(model: LanguageModel, texts: list[str]) -> Tensor: ...
def vectors(model: LanguageModel, texts: str | list[str]) -> Tensor:
    """vectors_NE, one row for each text in their order, or vector_E of one text; in float32 or wider, on the CPU.

    Pooled as the files beside the model say that sentence-transformers writes; where there are none, the mean of the
    text's hidden states, the special tokens counted. Texts of similar length share a pass, padded on the right; each is
    what it would be alone, up to rounding. Where the files say how many tokens are read, the rest of a longer text is
    not, which is logged.

    Raises TextError for a text longer than the model's context, or empty where the tokenizer puts nothing around it;
    FolderError where the files ask for a step that is not known.
    """
    needs(model.network, "vectors", "vectors")
    if model.metadata.unpooled is not None:
        raise FolderError(model.metadata.unpooled)
    if isinstance(texts, str):
        return vectors(model, [texts])[0]
    texts = as_texts(texts, "vectors")
    pooling, network = model.metadata.pooling or Pooling(), model.network
    ids = [model.tokenizer.encode_document(text) for text in texts]
    if pooling.context is not None:
        ids = _cut(ids, model.tokenizer, min(pooling.context, model.config.context))
    for number, each in enumerate(ids):
        model.check(each, f"text {number}")
    order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
    found: dict[int, Tensor] = {}
    numbers = reserve(len(ids))
    with torch.inference_mode(), evaluating(network):
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
    """The first ``limit`` ids of each text; what stands behind a text stays there."""
    long = sum(len(each) > limit for each in ids)
    if long:
        log.info("%d of %d texts are longer than %d tokens; what is beyond is not read", long, len(ids), limit)
    back = list(tokenizer.back)
    return [each if len(each) <= limit else each[: limit - len(back)] + back for each in ids]


def _batches(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Numbers of texts, the shortest first, such that a batch has at most TOKENS places."""
    batches: list[list[int]] = []
    for number in order:
        if not batches or (len(batches[-1]) + 1) * lengths[number] > TOKENS:
            batches.append([])
        batches[-1].append(number)
    return batches
