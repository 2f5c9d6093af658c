"""Texts as vectors."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from clearhead.attend import FULL, padding
from clearhead.errors import TextError
from clearhead.model import Network, needs
from clearhead.model.parts.pooling import Pooling
from clearhead.tap import reserve, rows
from clearhead.text import Tokenizer

log = logging.getLogger(__name__)

# Tokens in one pass, those of padding counted: 2**13 of them keep the products of a small encoder busy, and its
# hidden states are 12 MB for a width of 384.
TOKENS = 2**13


def vectors(transformer: Network, tokenizer: Tokenizer, texts: Sequence[str], pooling: Pooling | None = None) -> Tensor:
    """vectors_NE, one row for each text in their order, in float32 or wider, on the CPU.

    Texts of similar length share a pass, padded on the right; each is what it would be alone, up to rounding. Of a
    text longer than the pooling's context the end is not read, which is logged; without such a context (or beyond the
    model's) TextError is raised. Raises TextError for an empty text where the tokenizer puts nothing around it.
    """
    needs(transformer, "vectors", "vectors")
    pooling = Pooling() if pooling is None else pooling
    ids = [tokenizer.encode_document(text) for text in texts]
    ids = _cut(ids, tokenizer, pooling.context, transformer.config.context)
    if not all(ids):
        raise TextError("a text is empty, and this tokenizer puts nothing around it; leave it out")
    order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
    device = transformer.device
    found: dict[int, Tensor] = {}
    numbers = reserve(len(ids))
    with torch.inference_mode():
        for batch in _batches(order, [len(each) for each in ids]):
            lengths_B = torch.tensor([len(ids[number]) for number in batch], device=device)
            longest = int(lengths_B.max())
            ids_BT = torch.tensor([ids[number] + [0] * (longest - len(ids[number])) for number in batch], device=device)
            mask = FULL if len(batch) == 1 else padding(lengths_B)
            with rows([numbers[number] for number in batch]):
                x_BTE = transformer.hidden(ids_BT, mask=mask)
            found.update(zip(batch, pooling(x_BTE, lengths_B).cpu(), strict=True))
    if not found:
        return torch.empty(0, transformer.config.width)
    return torch.stack([found[number] for number in range(len(ids))])


def _cut(ids: list[list[int]], tokenizer: Tokenizer, context: int | None, most: int) -> list[list[int]]:
    """The ids within the context; what stands behind a text stays there."""
    limit = most if context is None else min(context, most)
    long = [number for number, each in enumerate(ids) if len(each) > limit]
    if not long:
        return ids
    if context is None:
        raise TextError(
            f"text {long[0]} has {len(ids[long[0]]):,} tokens{tokenizer.counted}; the model's context is {most:,}; "
            "shorten it"
        )
    log.info("%d of %d texts are longer than %d tokens; what is beyond is not read", len(long), len(ids), limit)
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
