"""Comparisons from Python: ``clearhead.compare``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clearhead import recipes
from clearhead.files import Paths
from clearhead.lab.comparison import Comparison, ComparisonEvents, carry_out
from clearhead.lab.question import asked
from clearhead.runs.folder import name_of
from clearhead.runs.python import names
from clearhead.runs.resolve import layout_of

MINUTES = 20.0


def compare(
    text: Paths | None = None,
    *,
    pairs: Paths | None = None,
    corpus: str | None = None,
    models: Sequence[str] | None = None,
    minutes: float = MINUTES,
    seeds: int = 1,
    widths: Sequence[int] | None = None,
    rates: Sequence[float] | None = None,
    facts: int | None = None,
    speeds: bool = True,
    recipe: str | None = None,
    settings: Mapping[str, Any] | None = None,
    valid: Paths | None = None,
    tokenizer: str | Path | None = None,
    vocabulary: int | None = None,
    megabytes: float | None = None,
    field: str | None = None,
    threads: int | None = None,
    out: str | Path | None = None,
    say: Callable[[str], None] | None = None,
) -> Comparison:
    """Trains kinds of models on the same text and compares them, as ``clearhead compare`` does. Prints nothing.

    pairs: files of sentence pairs, for comparing translators
    models: kinds, as ``train`` has them; all by default
    widths: of the Transformer; the others get as many weights
    rates: learning rates that each model tries first
    facts: held-out stories of a built-in world whose facts are asked; 0 = none
    settings: single values by name: {"model.layers": 2}
    say: called with each line that the command would print

    The other arguments are the command's options. What is finished is in ``out``, and the same call continues there.
    ``clearhead.lab.lines(found)`` are its figures, ``clearhead.lab.draw_comparison(found, "x.png")`` draws them.
    Raises ClearheadError where the command prints an error.
    """
    layout, sources = layout_of(names(text, "text"), names(pairs, "pairs"), None, None)
    table = {
        "layout": layout,
        "sources": sources,
        "corpus": corpus,
        "megabytes": megabytes,
        "valid": names(valid, "valid"),
        "tokenizer": None if tokenizer is None else str(tokenizer),
        "vocabulary": vocabulary,
        "field": field,
    }
    question = asked(
        text=table,
        models=models,
        widths=widths,
        rates=rates,
        recipe=recipe,
        settings=[recipes.setting_of(name, value) for name, value in (settings or {}).items()],
        minutes=minutes,
        seeds=seeds,
        facts=facts,
        speeds=speeds,
        threads=threads,
    )
    folder = Path("comparisons") / name_of(question.text) if out is None else Path(out)
    return carry_out(question, folder, _Said(say))


class _Said(ComparisonEvents):
    """Forwards lines to a function, if there is one."""

    def __init__(self, say: Callable[[str], None] | None) -> None:
        self._say = say

    def say(self, line: str) -> None:
        if self._say is not None:
            self._say(line)
