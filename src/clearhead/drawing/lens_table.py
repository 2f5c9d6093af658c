"""The logit lens as a table for the terminal, and as JSON."""

from __future__ import annotations

import json
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clearhead.analysis import Lens
from clearhead.drawing.colours import dark, hexed, paint
from clearhead.drawing.legible import legible, shortened
from clearhead.drawing.next_table import named
from clearhead.drawing.terminal import coloured
from clearhead.language import mark, spoken
from clearhead.wrapping import wrapped

SCHEMA = "clearhead.lens/1"

# In terminal cells: a token's label, at most.
LABEL = 10


def kind(found: Lens) -> str:
    """``logit lens`` or ``tuned lens``."""
    return "tuned lens" if found.tuned else "logit lens"


def heading(found: Lens) -> str:
    """What is shown, in one line."""
    named = legible(found.model) + mark(": ") if found.model else ""
    return f"{named}{spoken(f'the likeliest token at each layer and place ({kind(found)})')}"


class LensTable:
    """A rich renderable: a line for each layer, a column for each place, coloured by probability."""

    def __init__(self, found: Lens) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self._found
        names = [spoken(named(site)) for site in found.sites]
        labels = [shortened(legible(token), LABEL) for token in found.tokenized.tokens]
        best_RT = found.ids_RTN[:, :, 0].tolist()
        shown = [[shortened(legible(found.labels[token]), LABEL) for token in row] for row in best_RT]
        wide = [max(map(cell_len, (label, *column))) for label, *column in zip(labels, *shown, strict=True)]
        left = max(map(cell_len, names)) + 1
        first = len(wide)
        while first and left + sum(wide[first - 1 :]) + len(wide) - first + 1 <= options.max_width:
            first -= 1
        first = min(first, len(wide) - 1)
        yield Text(heading(found), "bold")
        line = Text(" " * left)
        for label, cells in zip(labels[first:], wide[first:], strict=True):
            line.append(label + " " * (cells - cell_len(label) + 1), "dim")
        yield line
        for name, tokens, p_T in zip(names, shown, found.p_RTN[:, :, 0].numpy(), strict=True):
            line = Text(set_cell_size(name, left), "bold")
            for token, colour, cells in zip(tokens[first:], hexed(paint(p_T))[first:], wide[first:], strict=True):
                line.append(
                    token + " " * (cells - cell_len(token)), f"{'white' if dark(colour) else 'black'} on {colour}"
                )
                line.append(" ")
            yield line
        cut = f" Shown are the last {len(wide) - first} of {len(wide):,} places; --out has all." if first else ""
        shaded = f"The darker, the likelier. The last line is what the model predicts.{cut}"
        plain = f"The last line is what the model predicts.{cut}"
        yield from wrapped(Text(spoken(shaded if coloured(console) else plain), "dim"), options.max_width)


def encoded(found: Lens) -> bytes:
    """The numbers as JSON, in UTF-8."""
    return (json.dumps(numbers(found), ensure_ascii=False, indent=1) + "\n").encode()


def numbers(found: Lens) -> dict[str, Any]:
    """Everything: a list of layers for each value, in each a list of places; entropies and kl in nats.

    text: the one whose tokens are predicted; source: for a translator only, the text that it translates
    """
    source = {} if found.source is None else {"source": found.source.text}
    return {
        "schema": SCHEMA,
        "model": found.model,
        **source,
        "text": found.tokenized.text,
        "tokens": found.tokenized.tokens,
        "ids": found.tokenized.ids,
        "tuned": found.tuned,
        "sites": [str(site) for site in found.sites],
        "labels": {str(token): label for token, label in found.labels.items()},
        "top": found.ids_RTN.tolist(),
        "probabilities": _rounded(found.p_RTN.tolist()),
        "final": found.final_T.tolist(),
        "rank_of_final": found.rank_RT.tolist(),
        "probability_of_final": _rounded(found.final_RT.tolist()),
        "entropy": _rounded(found.entropy_RT.tolist()),
        "kl": _rounded(found.kl_RT.tolist()),
    }


def _rounded(values: Any) -> Any:
    """Six significant digits: float32 has seven."""
    return [_rounded(each) for each in values] if isinstance(values, list) else float(f"{values:.6g}") + 0.0
