"""How the heads of a run form, as a table for the terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clearhead.analysis import History
from clearhead.drawing.legible import legible
from clearhead.errors import many
from clearhead.language import mark, spoken
from clearhead.watching.atlas import COLUMNS, written
from clearhead.wrapping import wrapped

LEVELS = "▁▂▃▄▅▆▇█"

# Heads shown for each measure unless another number is asked for.
SHOWN = 3


def heading(found: History) -> str:
    """What is shown, in one line."""
    return f"{legible(found.run)}{mark(': ')}{legible(found.text)}"


def about(found: History) -> str:
    """Of how many models and heads, and at which steps."""
    ends = spoken(f"step {found.steps[0]:,} to {found.steps[-1]:,}")
    models, heads = spoken(many(len(found), "kept model")), spoken(many(len(found.atlases[0]), "head"))
    return f"{models}{mark(', ')}{ends}{mark('; ')}{heads}"


class HistoryTable:
    """A rich renderable: for each measure the heads that change most, each as a row of bars over the steps."""

    def __init__(self, found: History, top: int = SHOWN) -> None:
        self._found, self._top = found, top

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self._found
        yield Text(heading(found), "bold")
        yield Text(about(found), "dim")
        if found.loss is not None:
            yield Text()
            yield Text(spoken("loss of the text, nats a token"))
            yield self._line("", found.loss, 0.0, max(found.loss))
        for measure in found.measures:
            heads = found.formed(measure)
            values = [value for head in heads for value in head.values if value is not None]
            yield Text()
            yield Text.assemble((spoken(measure), "bold"), (f"  {spoken(COLUMNS[measure])}", "dim"))
            for head in heads[: self._top]:
                yield self._line(head.name, head.values, min(0.0, *values), max(values))
        yield Text()
        note = spoken("Heads that change most; a bar for each kept model, then the first and the last value.")
        yield from wrapped(Text(note, "dim"), options.max_width)

    def _line(self, name: str, values: Sequence[float | None], low: float, high: float) -> Text:
        wide = max(len(row.name) for row in self._found.atlases[0])
        line = Text(f"{name:<{wide}}  ").append(bars(values, low, high), "cyan")
        return line.append(f"  {written(values[0])} -> {written(values[-1])}")


def bars(values: Sequence[float | None], low: float, high: float) -> str:
    """A bar for each value, from the least at ``low`` to the tallest at ``high``; a space for none."""
    span = (high - low) or 1.0
    tall = [None if value is None else round((value - low) / span * (len(LEVELS) - 1)) for value in values]
    return "".join(" " if level is None else LEVELS[level] for level in tall)


def encoded(found: History) -> bytes:
    """The numbers as JSON, in UTF-8."""
    return (json.dumps(found.to_dict(), ensure_ascii=False, indent=1) + "\n").encode()
