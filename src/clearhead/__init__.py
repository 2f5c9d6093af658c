"""Transformer language models you can see through: train, generate, look.

    import clearhead as ch
    ch.train("book.txt", minutes=5)
    model = ch.load("runs/book")
    record = ch.observe(model, "I crashed the server.")
    record[2, 1]                                    # an attention map of layer 2, head 1
    ch.generate(model, "It was", max_tokens=50, temperature=0.8, seed=1)

Importing this package does not import torch; the first use of a name does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearhead.analysis import (
        Measure,
        alignment,
        attribution,
        change,
        circuit,
        composition,
        diff,
        direction,
        edit,
        effect,
        every,
        find_heads,
        head_weights,
        history,
        kl,
        kl_from,
        lens,
        logit_parts,
        logprob,
        next_words,
        nll,
        observe,
        observe_ids,
        path,
        read_lens,
        sense_score,
        senses,
        steps,
        sweep,
        tune_lens,
        words,
    )
    from clearhead.drawing import (
        draw,
        draw_alignment,
        draw_atlas,
        draw_attribution,
        draw_effect,
        draw_history,
        draw_lens,
        draw_next,
        draw_parts,
        draw_senses,
        draw_steps,
        draw_sweep,
    )
    from clearhead.encoding import fill, vectors
    from clearhead.generation import fill_spans, generate, translate
    from clearhead.hub import load
    from clearhead.lab import compare
    from clearhead.language_model import LanguageModel
    from clearhead.runs import Run, calibrate, describe, evaluate, evaluate_pairs, resume, train
    from clearhead.tap import Site
    from clearhead.watching import Ablate, Direction, Freeze, Knockout, Patch, Record, Scale, Steer, read_record, watch

__version__ = "0.1.0"

__all__ = [
    "Ablate",
    "Direction",
    "Freeze",
    "Knockout",
    "LanguageModel",
    "Measure",
    "Patch",
    "Record",
    "Run",
    "Scale",
    "Site",
    "Steer",
    "__version__",
    "alignment",
    "attribution",
    "calibrate",
    "change",
    "circuit",
    "compare",
    "composition",
    "describe",
    "diff",
    "direction",
    "draw",
    "draw_alignment",
    "draw_atlas",
    "draw_attribution",
    "draw_effect",
    "draw_history",
    "draw_lens",
    "draw_next",
    "draw_parts",
    "draw_senses",
    "draw_steps",
    "draw_sweep",
    "edit",
    "effect",
    "evaluate",
    "evaluate_pairs",
    "every",
    "fill",
    "fill_spans",
    "find_heads",
    "generate",
    "head_weights",
    "history",
    "kl",
    "kl_from",
    "lens",
    "load",
    "logit_parts",
    "logprob",
    "next_words",
    "nll",
    "observe",
    "observe_ids",
    "path",
    "read_lens",
    "read_record",
    "resume",
    "sense_score",
    "senses",
    "steps",
    "sweep",
    "train",
    "translate",
    "tune_lens",
    "vectors",
    "watch",
    "words",
]

_HOMES = {
    "clearhead.analysis": (
        "Measure",
        "alignment",
        "attribution",
        "change",
        "circuit",
        "composition",
        "diff",
        "direction",
        "edit",
        "effect",
        "every",
        "find_heads",
        "head_weights",
        "history",
        "kl",
        "kl_from",
        "lens",
        "logit_parts",
        "logprob",
        "next_words",
        "nll",
        "observe",
        "observe_ids",
        "path",
        "read_lens",
        "sense_score",
        "senses",
        "steps",
        "sweep",
        "tune_lens",
        "words",
    ),
    "clearhead.drawing": (
        "draw",
        "draw_alignment",
        "draw_atlas",
        "draw_attribution",
        "draw_effect",
        "draw_history",
        "draw_lens",
        "draw_next",
        "draw_parts",
        "draw_senses",
        "draw_steps",
        "draw_sweep",
    ),
    "clearhead.encoding": ("fill", "vectors"),
    "clearhead.generation": ("fill_spans", "generate", "translate"),
    "clearhead.hub": ("load",),
    "clearhead.lab": ("compare",),
    "clearhead.language_model": ("LanguageModel",),
    "clearhead.runs": ("Run", "calibrate", "describe", "evaluate", "evaluate_pairs", "resume", "train"),
    "clearhead.tap": ("Site",),
    "clearhead.watching": (
        "Ablate",
        "Direction",
        "Freeze",
        "Knockout",
        "Patch",
        "Record",
        "Scale",
        "Steer",
        "read_record",
        "watch",
    ),
}


_SHOWN = ("clearhead.analysis", "clearhead.watching")


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            found = getattr(import_module(home), name)
            if home in _SHOWN:
                import_module("clearhead.drawing.in_notebooks")  # so that notebooks can show results (notebook.py)
            return found
    raise AttributeError(f"module 'clearhead' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
