"""Maps as JSON.

One object:

    schema       "clearhead.attention/1"
    model        name or null
    text         the text or null
    tokens       label of each place, K strings
    ids          token id of each place, or null
    source       of a model with an encoder and a decoder, what the encoder read, {"text", "tokens", "ids"}; else null.
                 ``text``, ``tokens`` and ``ids`` are then the decoder's; the encoder's sites have rows and columns of
                 the source, cross-attention has its columns
    first_place  the place of query row 0; there are Q = K - first_place rows
    digits       significant digits of all numbers
    chosen       {"site", "layer", "head", "row"}: the head and query row asked for
    kind         "full": every weight; "top": the largest of each row, if heads x queries x keys exceeds ``full_limit``
    full_limit   the most weights written in full
    top          at most this many keys per row for kind "top", else null
    heads        one object per head, each on one line of the file:
        site           "decoder.2.self"
        layer, head    counted from 0
        kernels        the back-ends that ran
        row_sum_error  largest distance of a row sum, ``sink`` included, from 1, over rows that see a key
        entropy        of each row, in nats
        sink           weight of each row on the head's attention sink, which is not a place; null without one
        weights        "full": Q lists of K numbers, null where the key is hidden from the query
                       "top": Q lists in descending order; shorter where fewer keys have a weight above 0
        keys           "top" only: the key places of the weights
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
import torch

from clearhead.drawing import embed
from clearhead.drawing.embed import OnHead
from clearhead.drawing.focus import Focus
from clearhead.tap import Site
from clearhead.watching import TextRecord
from clearhead.watching.cells import Cells, Largest
from clearhead.watching.measures import Entropy, RowError, Sink

Array = npt.NDArray[Any]

SCHEMA = "clearhead.attention/1"

# float32 holds 7.2 significant digits.
DIGITS = 6


def lines(record: TextRecord, focus: Focus, *, model: str | None, progress: OnHead) -> Iterator[bytes]:
    """Yields the file in UTF-8, one head at a time."""
    full = embed.in_full(record)
    about = {
        "schema": SCHEMA,
        "model": model,
        "text": record.text,
        "tokens": record.tokens,
        "ids": record.ids or None,
        "source": _source(record),
        "first_place": record.first_place(focus.site),
        "digits": DIGITS,
        "chosen": {"site": str(focus.site), "layer": focus.site.layer, "head": focus.head, "row": focus.row},
        "kind": "full" if full else "top",
        "full_limit": embed.FULL,
        "top": None if full else max(embed.top_count(record, site) for site in record.seen()),
    }
    opening = json.dumps(about, ensure_ascii=False, indent=1)
    yield (opening[: -len("\n}")] + ',\n "heads": [').encode()
    count, done = embed.head_count(record), 0
    for site in record.seen():
        for head in _heads(record, site, full):
            yield (",\n" if done else "\n").encode()
            yield json.dumps(head, separators=(",", ":")).encode()
            done += 1
            progress(done, count)
    yield b"\n ]\n}\n"


def _heads(record: TextRecord, site: Site, full: bool) -> Iterator[dict[str, Any]]:
    kept = every(record, site) if full else Largest(embed.top_count(record, site))
    entropy_HQ, sunk_HQ, error_H, weights_HQK = record.sweep(site, Entropy(), Sink(), RowError(), kept)
    for head in range(record.heads(site)):
        yield {
            "site": str(site),
            "layer": site.layer,
            "head": head,
            "kernels": sorted(record.backends()[site]),
            "row_sum_error": _rounded(float(error_H[head])),
            "entropy": [_rounded(value) for value in entropy_HQ[head].tolist()],
            "sink": [_rounded(value) for value in sunk_HQ[head].tolist()] if record.map(site, head).has_sink else None,
            **_weights(record, site, head, kept, weights_HQK[head]),
        }


def _weights(
    record: TextRecord, site: Site, head: int, kept: Cells | Largest, weights_QK: torch.Tensor
) -> dict[str, Any]:
    if isinstance(kept, Cells):
        rows = zip(weights_QK.tolist(), visible(record, site, head).tolist(), strict=True)
        return {
            "weights": [
                [_rounded(weight) if seen else None for weight, seen in zip(row, sees, strict=True)]
                for row, sees in rows
            ]
        }
    counts_Q, keys_QN = (weights_QK > 0).sum(1).tolist(), kept.keys_HQN[head].tolist()
    return {
        "keys": [keys[:count] for keys, count in zip(keys_QN, counts_Q, strict=True)],
        "weights": [
            [_rounded(weight) for weight in weights[:count]]
            for weights, count in zip(weights_QK.tolist(), counts_Q, strict=True)
        ],
    }


def _source(record: TextRecord) -> dict[str, Any] | None:
    """What the encoder read, if the text is a decoder's."""
    if all(site.reads == record.stack for site in record.seen()):
        return None
    read = record.tokenized("encoder")
    return {"text": read.text, "tokens": read.tokens, "ids": read.ids or None}


def every(record: TextRecord, site: Site) -> Cells:
    """The measure that keeps every weight of a site."""
    Q, K = record.map(site, 0).shape
    return Cells(slice(0, Q), slice(0, K))


def visible(record: TextRecord, site: Site, head: int) -> Array:
    """Which weights are visible, bool (Q, K)."""
    visible_HQK = record.visible(site, slice(0, record.map(site, 0).shape[0]))
    return visible_HQK[head if visible_HQK.shape[0] > 1 else 0].numpy()


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}") + 0.0  # -0.0 becomes 0.0
