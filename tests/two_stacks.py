"""A record of an encoder's pass over five tokens and a decoder's over three, with weights that are known by hand."""

from __future__ import annotations

import torch

from clearhead.attend import FULL, Score, attend, causal
from clearhead.tap import Site, begin
from clearhead.watching import Record, TextRecord, TokenizedText, watch

READ, OWN, CROSS = Site(0, "self", "encoder"), Site(0), Site(0, "cross")
SOURCE, TARGET = ["the", "·red", "·cat", "·sat", "</s>"], ["<s>", "le", "·chat"]
HEADS = 2

# What each token of the target reads, in head 0; head 1 has the same weights in the opposite order.
READS = [[0.6, 0.1, 0.1, 0.1, 0.1], [0.75, 0.0625, 0.0625, 0.0625, 0.0625], [0.05, 0.15, 0.7, 0.05, 0.05]]


class Both:
    """A model that lists its sites."""

    def sites(self) -> dict[Site, int]:
        return {READ: HEADS, OWN: HEADS, CROSS: HEADS}


def translated() -> Record:
    """The record, with the tokens of both texts."""
    generator = torch.Generator().manual_seed(1)
    x_BHKD, y_BHQD = torch.randn(1, HEADS, 5, 4, generator=generator), torch.randn(1, HEADS, 3, 4, generator=generator)
    q_QK = torch.tensor(READS).log()
    q_BHQK, k_BHKK = torch.stack([q_QK, q_QK.flip(1)])[None], torch.eye(5).expand(1, HEADS, 5, 5)
    with watch(Both()) as record:
        begin(5, 0, ((0, 5),), None, "encoder")
        attend(x_BHKD, x_BHKD, x_BHKD, mask=FULL, site=READ)
        begin(3, 0, ((0, 3),), None, "decoder")
        attend(y_BHQD, y_BHQD, y_BHQD, mask=causal(), site=OWN)
        attend(q_BHQK, k_BHKK, k_BHKK, mask=FULL, score=Score(scale=1.0), site=CROSS)
    record.tokenized[0, "encoder"] = tokenized(SOURCE, "the red cat sat")
    record.tokenized[0, "decoder"] = tokenized(TARGET, "le chat")
    return record


def tokenized(tokens: list[str], text: str) -> TokenizedText:
    pieces = ["" if token.startswith("<") else token.replace("·", " ") for token in tokens]
    return TokenizedText(tokens=tokens, ids=list(range(7, 7 + len(tokens))), pieces=pieces, text=text)


def one() -> TextRecord:
    return translated().only()
