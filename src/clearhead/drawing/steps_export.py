"""The steps of one attention head as JSON, for the page, ``by_hand.py`` and any other program.

One object. E is the model's width, D the head's, T the number of tokens, F = heads x D.

    schema       "clearhead.steps/1"
    model, text  name and text, or null
    tokens, ids  label and id of every place
    query        the place asked about
    site, layer, head, heads     where; ``head`` counts from 0 and is one of ``heads``
    key_head, key_heads          the key and value head that it reads
    kernel, dtype                what computed the pass
    rules        scale: factor on q.k; softcap or null; sink: score of the head's attention sink, or null; turned: how
                 many numbers of a head are rotated, or null; out_bias: whether W_O has a bias; mask: its parts by name
    x            T x E: what enters
    weights      query, key, value: D x E; query_bias and so on: D numbers or null; out: E x D, the columns of W_O that
                 are this head's
    norm         of queries and keys, or null: eps, query and key (D weights each), query_squares and key_squares (T
                 mean squares where they are taken over all heads, else null)
    turn         cos and sin, T x ``turned`` each, or null; ``sin`` carries the sign of the first half
    hidden       T x T: null, or why the key is hidden: later, window, document, other
    joined       T x F: all heads' outputs side by side
    others       T x E: what the other heads and the bias add
    steps        query, key, value, mixed: T x D, as the pass computed them; normed_query, normed_key, turned_query and
                 turned_key if the model has them; products (q.k), scores (scaled and capped), weights: T x T;
                 share: T x E, what this head adds; output: T x E, as the pass computed it
    differences  largest distances between what the pass computed and what follows from the step before, in float64
"""

from __future__ import annotations

import json
from typing import Any

from torch import Tensor

from clearhead.analysis import Steps

SCHEMA = "clearhead.steps/1"

# 9 significant digits identify a float32 number.
DIGITS = 9


def numbers(steps: Steps, query: int) -> dict[str, Any]:
    """The object; ``query`` is a place of the text."""
    weights = {name: _plain(matrix) for name, matrix in steps.matrices.items()}
    weights |= {f"{name}_bias": None if bias is None else _plain(bias) for name, bias in steps.biases.items()}
    taken = {name: _plain(rows) for name, rows in steps.taken.items()}
    angles = None if steps.cos_TD is None or steps.sin_TD is None else (steps.cos_TD, steps.sin_TD)
    return {
        "schema": SCHEMA,
        "model": steps.record.model,
        "text": steps.text,
        "tokens": steps.record.tokens,
        "ids": steps.record.ids,
        "query": query,
        "site": str(steps.site),
        "layer": steps.site.layer,
        "head": steps.head,
        "heads": steps.heads,
        "key_head": steps.key_head,
        "key_heads": steps.key_heads,
        "kernel": steps.kernel,
        "dtype": steps.dtype,
        "rules": {
            "scale": steps.scale,
            "softcap": steps.score.softcap,
            "sink": steps.sink,
            "turned": None if angles is None else angles[0].shape[1],
            "out_bias": steps.out_bias,
            "mask": list(steps.rules),
        },
        "x": _plain(steps.x_TE),
        "weights": weights | {"out": _plain(steps.out_ED)},
        "norm": _norm(steps),
        "turn": None if angles is None else dict(zip(("cos", "sin"), map(_plain, angles), strict=True)),
        "hidden": steps.hidden,
        "joined": _plain(steps.joined_TF),
        "others": _plain(steps.others_TE),
        "steps": taken
        | {
            "products": _plain(steps.products_TT),
            "scores": _plain(steps.scores_TT),
            "weights": _plain(steps.weights_TT),
            "share": _plain(steps.share_TE),
            "output": _plain(steps.output_TE),
        },
        "differences": steps.differences,
    }


def encoded(steps: Steps, query: int) -> bytes:
    """The file in UTF-8, one entry per line."""
    entries = (f"{json.dumps(name)}: {_line(value)}" for name, value in numbers(steps, query).items())
    return ("{\n" + ",\n".join(entries) + "\n}\n").encode()


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _norm(steps: Steps) -> dict[str, Any] | None:
    norm = steps.norm
    if norm is None:
        return None
    squares = {"query_squares": norm.query_squares_T, "key_squares": norm.key_squares_T}
    return {"eps": norm.eps, "query": _plain(norm.query_D), "key": _plain(norm.key_D)} | {
        name: None if each is None else _plain(each) for name, each in squares.items()
    }


def _plain(values: Tensor) -> Any:
    """Numbers, or rows of numbers, with DIGITS significant digits."""
    flat = values.detach().reshape(-1).double().tolist()
    made = [float(f"{value:.{DIGITS}g}") for value in flat]
    if values.dim() == 1:
        return made
    width = values.shape[-1]
    return [made[start : start + width] for start in range(0, len(made), width)]
