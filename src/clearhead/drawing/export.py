"""Maps as JSON.

One object:

    schema       "clearhead.attention/1"
    model        name or null
    text         the text or null
    tokens       label of every place, K strings
    ids          token id of every place, or null
    first_place  the place of query row 0; there are Q = K - first_place rows
    digits       significant digits that numbers are rounded to
    chosen       {"site", "layer", "head", "row"}: the head and query row asked for
    kind         "full": every weight; "top": the largest of each row, for texts whose heads x queries x keys are
                 more than ``full_limit``
    full_limit   that number
    top          how many keys each row has under "top", else null
    heads        one object per head, each on one line of the file:
        site           "decoder.2.self"
        layer, head    counted from 0
        kernels        what computed the pass
        row_sum_error  largest distance from 1 among the sums of rows that see a key, ``sink`` counted
        entropy        of every row, in nats
        sink           weight of every row on the head's attention sink, which is no place; null where there is none
        weights        "full": Q lists of K numbers, null where the key is hidden from the query
                       "top": Q lists in descending order; shorter where fewer keys are visible
        keys           "top" only: the places that the weights fall on
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
import torch

from clearhead.drawing import embed
from clearhead.drawing.embed import Progress
from clearhead.drawing.focus import Focus
from clearhead.tap import Site
from clearhead.watching import TextRecord

Array = npt.NDArray[Any]

SCHEMA = "clearhead.attention/1"

# float32 holds 7.2 significant digits.
DIGITS = 6


def lines(record: TextRecord, focus: Focus, *, model: str | None, progress: Progress) -> Iterator[bytes]:
    """The file, a head at a time, in UTF-8."""
    full = embed.in_full(record)
    about = {
        "schema": SCHEMA,
        "model": model,
        "text": record.text,
        "tokens": record.tokens,
        "ids": record.ids or None,
        "first_place": record.first_place,
        "digits": DIGITS,
        "chosen": {"site": str(focus.site), "layer": focus.site.layer, "head": focus.head, "row": focus.row},
        "kind": "full" if full else "top",
        "full_limit": embed.FULL,
        "top": None if full else embed.top_count(record),
    }
    opening = json.dumps(about, ensure_ascii=False, indent=1)
    yield (opening[: -len("\n}")] + ',\n "heads": [').encode()
    count, done = embed.head_count(record), 0
    for site in record.seen():
        for head in range(record.heads(site)):
            yield (",\n" if done else "\n").encode()
            yield json.dumps(_head(record, site, head, full), separators=(",", ":")).encode()
            done += 1
            progress(done, count)
    yield b"\n ]\n}\n"


def _head(record: TextRecord, site: Site, head: int, full: bool) -> dict[str, Any]:
    attention = record.map(site, head)
    about: dict[str, Any] = {
        "site": str(site),
        "layer": site.layer,
        "head": head,
        "kernels": sorted(record.backends()[site]),
        "row_sum_error": _rounded(attention.row_sum_error()),
        "entropy": [_rounded(value) for value in attention.entropy().tolist()],
        "sink": [_rounded(value) for value in attention.mass_on_sink().tolist()] if attention.has_sink else None,
    }
    if full:
        weights_QK, visible_QK = whole(record, site, head)
        about["weights"] = [
            [_rounded(weight) if seen else None for weight, seen in zip(row, sees, strict=True)]
            for row, sees in zip(weights_QK.tolist(), visible_QK.tolist(), strict=True)
        ]
        return about
    keys_QN, weights_QN, counts_Q = tops(record, site, head, embed.top_count(record))
    rows = list(zip(keys_QN.tolist(), weights_QN.tolist(), counts_Q.tolist(), strict=True))
    about["keys"] = [keys[:count] for keys, _, count in rows]
    about["weights"] = [[_rounded(weight) for weight in weights[:count]] for _, weights, count in rows]
    return about


def whole(record: TextRecord, site: Site, head: int) -> tuple[Array, Array]:
    """Every weight, float32 (Q, K), and which are visible, bool (Q, K)."""
    visible_HQK = record.visible(site, slice(0, record.shape[0]))
    visible_QK = visible_HQK[head if visible_HQK.shape[0] > 1 else 0]
    return record.map(site, head)[:].float().numpy(), visible_QK.numpy()


def tops(record: TextRecord, site: Site, head: int, n: int) -> tuple[Array, Array, Array]:
    """The ``n`` top keys (Q, n), their weights (Q, n), and how many of the n are visible (Q,); those come first."""
    keys: list[torch.Tensor] = []
    weights: list[torch.Tensor] = []
    counts: list[torch.Tensor] = []
    for rows, weights_QK in record.map(site, head).blocks():
        visible_HQK = record.visible(site, rows)
        visible_QK = visible_HQK[head if visible_HQK.shape[0] > 1 else 0]
        top = torch.topk(weights_QK.masked_fill(~visible_QK, -1.0), n, dim=1)
        keys.append(top.indices)
        weights.append(top.values.float())
        counts.append(visible_QK.sum(1).clamp(max=n))
    return torch.cat(keys).numpy(), torch.cat(weights).numpy(), torch.cat(counts).numpy()


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}") + 0.0  # -0.0 becomes 0.0
