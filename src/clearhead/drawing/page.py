"""A self-contained HTML page: every head, one enlarged, and what each token attends to. It requests nothing."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np

from clearhead.drawing import colours, embed
from clearhead.drawing.embed import OnHead
from clearhead.drawing.export import Array, every, visible
from clearhead.drawing.focus import Focus, stacks, title
from clearhead.drawing.inline import around, inert_json
from clearhead.drawing.legible import legible
from clearhead.drawing.shrink import Shrinker
from clearhead.tap import Site, short_names
from clearhead.watching import TextRecord
from clearhead.watching.cells import Largest
from clearhead.watching.measures import RowError, Sink

# A pooled image has one byte per cell: HIDDEN_BYTE, or a level, where level / LEVELS is the square root of the weight.
HIDDEN_BYTE, LEVELS = 255, 254

WIDE = 1 << 16  # of more keys than this, a key's place takes four bytes

SCRIPTS = ("words.js", "data.js", "map.js", "page.js")


def lines(record: TextRecord, focus: Focus, *, model: str | None, progress: OnHead) -> Iterator[bytes]:
    """Yields the page in UTF-8, one head at a time.

    The data is one JSON block with ``<``, ``>`` and ``&`` escaped, so that no text can end it. The page inserts text
    only as text, and its content security policy allows only its own script, by hash.
    """
    before, after = around("page.html", scripts=SCRIPTS, styles=("page.css",), model=model, text=title(record))
    yield before.encode()
    yield from _data(record, focus, model, progress)
    yield after.encode()


def _data(record: TextRecord, focus: Focus, model: str | None, progress: OnHead) -> Iterator[bytes]:
    """The JSON that data.js reads. Arrays are base64, little-endian."""
    full = embed.in_full(record)
    shrinker = Shrinker(record, embed.image_side(record))
    names = short_names(record.seen())
    heads = [(site, head) for site in record.seen() for head in range(record.heads(site))]
    about: dict[str, Any] = {
        "model": model,
        "text": None if all(record.tokenized(stack).text is None for stack in stacks(record)) else title(record),
        "texts": {stack: [legible(token) for token in record.tokenized(stack).tokens] for stack in stacks(record)},
        "sites": {str(site): _site(record, site, name, full, shrinker) for site, name in names.items()},
        "chosen": heads.index((focus.site, focus.head)),
        "among": focus.among,
        "farWeight": focus.far,
        "query": focus.row + record.first_place(focus.site),
        "kind": "full" if full else "top",
        "covers": shrinker.covers(record.seen()),
        "colours": {
            "light": {"scale": colours.LIGHT, "hidden": colours.HIDDEN_LIGHT},
            "dark": {"scale": colours.DARK, "hidden": colours.HIDDEN_DARK},
        },
    }
    yield (inert_json(about)[:-1] + ',"heads":[').encode()
    done = 0
    for site in record.seen():
        for head in _heads(record, site, full, shrinker):
            done += 1
            yield ("\n" + inert_json(head) + ("," if done < len(heads) else "")).encode()
            progress(done, len(heads))
    yield b"]}"


def _site(record: TextRecord, site: Site, name: str, full: bool, shrinker: Shrinker) -> dict[str, Any]:
    """What the heads of a site share: the texts of their queries and keys, and the shapes of their arrays."""
    Q, K = record.map(site, 0).shape
    return {
        "name": name,
        "queries": site.stack,
        "keys": site.reads,
        "shape": [Q, K],
        "first": record.first_place(site),
        "image": shrinker.size(site),
        "top": 0 if full else embed.top_count(record, site),
        "wide": K > WIDE,
    }


def _heads(record: TextRecord, site: Site, full: bool, shrinker: Shrinker) -> Iterator[dict[str, Any]]:
    """Every weight in float32; or the image in bytes, and the top keys of each query in float32.

    HIDDEN marks keys that are not visible, and fills up queries with fewer keys of weight above 0.
    """
    largest = Largest(embed.top_count(record, site))
    kept = [every(record, site)] if full else [largest, shrinker.measure(site)]
    sunk_HQ, error_H, weights_HQK, *pictures = record.sweep(site, Sink(), RowError(), *kept)
    images = [] if full else shrinker.marked(site, pictures[0])
    for head in range(record.heads(site)):
        weights_QK = weights_HQK[head].float().numpy()
        if full:
            hidden_QK = ~visible(record, site, head)
            values = {"weights": _base64(np.where(hidden_QK, np.float32(colours.HIDDEN), weights_QK), "<f4")}
        else:
            levels = np.rint(np.sqrt(np.clip(images[head], 0, 1)) * LEVELS)
            shown = np.where(weights_HQK[head].numpy() > 0, weights_QK, np.float32(colours.HIDDEN))
            values = {
                "pixels": _base64(np.where(images[head] == colours.HIDDEN, HIDDEN_BYTE, levels), "u1"),
                "keys": _base64(
                    largest.keys_HQN[head].numpy(), "<u4" if record.map(site, 0).shape[1] > WIDE else "<u2"
                ),
                "weights": _base64(shown, "<f4"),
            }
        yield values | {
            "site": str(site),
            "head": head,
            "error": float(error_H[head]),
            "sink": _base64(sunk_HQ[head].numpy(), "<f4") if record.map(site, head).has_sink else None,
        }


def _base64(values: Array, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode()
