"""One self-contained page: every head, one enlarged, and what each token reads. No request leaves it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from clearhead.drawing import colours, embed
from clearhead.drawing.embed import Progress
from clearhead.drawing.export import Array, tops, whole
from clearhead.drawing.focus import Focus
from clearhead.drawing.legible import legible
from clearhead.drawing.shrink import Shrinker
from clearhead.tap import Site
from clearhead.watching import TextRecord

# Hidden cells and the levels of a pooled image, which is one byte a cell: level / 254 is the root of the weight.
HIDDEN_BYTE, LEVELS = 255, 254

SCRIPTS = ("words.js", "data.js", "map.js", "page.js")


def lines(record: TextRecord, focus: Focus, *, model: str | None, progress: Progress) -> Iterator[bytes]:
    """The page, a head at a time, in UTF-8.

    The numbers stand in one JSON block with ``<``, ``>`` and ``&`` escaped, so that no text can end it; the page
    puts text on the screen as text only, and its policy allows no script but its own, by hash.
    """
    style = _file("page.css")
    script = "\n".join(_file(name) for name in SCRIPTS)
    policy = f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; base-uri 'none'"
    title = record.text if record.text is not None else "".join(record.tokens)
    named = legible(f"{model}: {title[:80]}" if model else title[:80])
    before, after = _file("page.html").split("{{data}}")
    # the title last: it is foreign text, in which the other names must not be looked for
    for name, value in (("policy", policy), ("style", style), ("title", html.escape(named))):
        before = before.replace("{{" + name + "}}", value)
    yield before.encode()
    yield from _data(record, focus, model, progress)
    yield after.replace("{{script}}", script).encode()


def _data(record: TextRecord, focus: Focus, model: str | None, progress: Progress) -> Iterator[bytes]:
    """What data.js reads. Arrays are base64, little-endian."""
    full = embed.in_full(record)
    shrinker = Shrinker(record, embed.image_side(record))
    Q, K = record.shape
    heads = [(site, head) for site in record.seen() for head in range(record.heads(site))]
    about: dict[str, Any] = {
        "model": model,
        "text": record.text,
        "tokens": [legible(token) for token in record.tokens],
        "shape": [Q, K],
        "first": record.first_place,
        "chosen": heads.index((focus.site, focus.head)),
        "among": focus.among,
        "firstWeight": focus.first,
        "query": focus.row + record.first_place,
        "kind": "full" if full else "top",
        "image": [shrinker.height, shrinker.width],
        "covers": shrinker.covers,
        "top": 0 if full else embed.top_count(record),
        "wide": K > 1 << 16,
        "colours": {
            "light": {"scale": colours.LIGHT, "hidden": colours.HIDDEN_LIGHT},
            "dark": {"scale": colours.DARK, "hidden": colours.HIDDEN_DARK},
        },
    }
    yield (_json(about)[:-1] + ',"heads":[').encode()
    for done, (site, head) in enumerate(heads, start=1):
        values = _full(record, site, head) if full else _pooled(record, site, head, shrinker)
        attention = record.map(site, head)
        values |= {
            "site": str(site),
            "layer": site.layer,
            "head": head,
            "error": attention.row_sum_error(),
            "sink": _base64(attention.mass_on_sink().numpy(), "<f4") if attention.has_sink else None,
        }
        yield ("\n" + _json(values) + ("," if done < len(heads) else "")).encode()
        progress(done, len(heads))
    yield b"]}"


def _full(record: TextRecord, site: Site, head: int) -> dict[str, Any]:
    """Every weight, float32, exactly; HIDDEN where the key is not visible."""
    weights_QK, visible_QK = whole(record, site, head)
    return {"weights": _base64(np.where(visible_QK, weights_QK, np.float32(colours.HIDDEN)), "<f4")}


def _pooled(record: TextRecord, site: Site, head: int, shrinker: Shrinker) -> dict[str, Any]:
    """The image in bytes, and the top keys of every query exactly; HIDDEN where fewer keys are visible."""
    image = shrinker.image(site, head)
    levels = np.rint(np.sqrt(np.clip(image, 0, 1)) * LEVELS)
    keys_QN, weights_QN, _ = tops(record, site, head, embed.top_count(record))
    return {
        "pixels": _base64(np.where(image == colours.HIDDEN, HIDDEN_BYTE, levels), "u1"),
        "keys": _base64(keys_QN, "<u4" if record.shape[1] > 1 << 16 else "<u2"),
        "weights": _base64(weights_QN, "<f4"),
    }


def _base64(values: Array, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode()


def _json(value: Any) -> str:
    """JSON that is inert inside a script element: nothing in it can look like markup."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _hash(code: str) -> str:
    """The hash by which a content security policy knows an inline block."""
    return "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()


@cache
def _file(name: str) -> str:
    return (resources.files("clearhead.drawing") / "page_files" / name).read_text(encoding="utf-8")
