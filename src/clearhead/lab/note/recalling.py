"""Associative recall, with attention and without: half of the experiment on context.

Keys with values, then each key again (``corpora/recall.py``): to answer, a model must find the one place before that
matters, which a text only rarely asks of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clearhead import corpora
from clearhead.corpora import Recall
from clearhead.drawing.report import Bars, Curve, Curves, ReportBlock, Table
from clearhead.errors import TrainingError
from clearhead.lab.bins import Bin
from clearhead.lab.comparison import ComparisonEvents, carry_out
from clearhead.lab.note.experiment import Phrases
from clearhead.lab.question import asked
from clearhead.lab.summary import Line, lines

# Width 64, steps of 2,048 tokens, 0.03 to 0.05 s each on one core. After 600 the Transformer has 99.8 % right at
# rate 0.005, 98.0 and 99.6 % at 0.003 (two seeds), 46 % at 0.01. Rows of 64 tokens take it several times as long.
TASK, RATE, ROWS = "mqar-32-4", 0.005, 64
ATTEND, DO_NOT = ("transformer", "lstm-attention"), ("lstm", "convolution")
SOLVED, FAILED = 0.9, 0.5  # shares of the answers that are right


@dataclass(frozen=True, kw_only=True)
class Recaller:
    """A model after training on rows of associative recall.

    right: share of the answers that are likeliest, in all; by_distance: by tokens between both places of the key
    """

    name: str
    weights: int
    tokens: int
    right: float
    by_distance: tuple[Bin, ...]


def measured(folder: Path, minutes: float, threads: int | None, events: ComparisonEvents) -> tuple[Recaller, ...]:
    """Trains the models on the same rows, as ``clearhead compare`` does."""
    settings: dict[str, Any] = {"train": {"batch": ROWS}}
    question = asked(
        text={"corpus": TASK},
        models=ATTEND + DO_NOT,
        rates=(RATE,),
        settings=[settings],
        minutes=minutes,
        speeds=False,
        equal_time=False,
        threads=threads,
    )
    return tuple(_recaller(line) for line in lines(carry_out(question, folder, events)))


def _recaller(line: Line) -> Recaller:
    if line.accuracy is None:
        raise TrainingError(f"lab context: training the {line.model} diverged on {TASK}; try other --minutes")
    return Recaller(
        name=line.model,
        weights=line.weights,
        tokens=line.tokens,
        right=line.accuracy.mean,
        by_distance=line.recalled,
    )


def judged(recallers: tuple[Recaller, ...]) -> Literal["yes", "open", "no"]:
    """Whether attention is what recall needs: "yes" if all that attend reach SOLVED and all others stay below FAILED.

    "no" if one that does not attend has solved it, "open" otherwise.
    """
    right = {each.name: each.right for each in recallers}
    if max(right[name] for name in DO_NOT) >= SOLVED:
        return "no"
    solved = min(right[name] for name in ATTEND) >= SOLVED
    return "yes" if solved and max(right[name] for name in DO_NOT) < FAILED else "open"


def verdict(recallers: tuple[Recaller, ...], says: Phrases) -> str:
    """The sentence with the numbers, and what follows."""
    shares = says.joined(f"{each.name} {each.right:.1%}" for each in recallers)
    follows = {"yes": "recall_yes", "open": "recall_open", "no": "recall_no"}[judged(recallers)]
    return says("recall_verdict", shares=shares, guess=f"{1 / task().pairs:.0%}") + says(follows)


def task() -> Recall:
    """The rows."""
    found = corpora.get(TASK)
    assert isinstance(found, Recall)
    return found


def blocks(recallers: tuple[Recaller, ...], says: Phrases) -> tuple[ReportBlock, ...]:
    """A table and two charts."""
    return (
        Table(
            title=says("recall_table"),
            header=says.listed("recall_table_header"),
            rows=tuple((each.name, f"{each.weights:,}", f"{each.tokens:,}", f"{each.right:.1%}") for each in recallers),
            note=says("recall_table_note", pairs=task().pairs, length=task().length, guess=f"{1 / task().pairs:.0%}"),
        ),
        Bars(
            title=says("recall_bars"),
            labels=tuple(each.name for each in recallers),
            values=tuple(each.right for each in recallers),
        ),
        Curves(
            title=says("recall_curves"),
            x=says("recall_curves_x"),
            y=says("recall_curves_y"),
            curves=tuple(
                Curve(
                    name=each.name,
                    x=tuple(float(bin.low) for bin in each.by_distance),
                    y=tuple(bin.mean for bin in each.by_distance),
                )
                for each in recallers
            ),
            log=True,
            from_zero=True,
        ),
    )
