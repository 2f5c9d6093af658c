"""What each part adds to a logit, as a table for the terminal, and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.cells import set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clearhead.analysis import LogitParts
from clearhead.drawing.legible import legible
from clearhead.drawing.terminal import bar
from clearhead.errors import many
from clearhead.language import mark, spoken
from clearhead.wrapping import wrapped

SCHEMA = "clearhead.parts/1"

# The most parts in the table; cells of a bar; a part's name.
LISTED, BAR, NAME = 20, 20, 18


def heading(found: LogitParts) -> str:
    """The question, in one line."""
    named = legible(found.model) + mark(": ") if found.model else ""
    less = "" if found.other is None else f" less that of {legible(found.other)}"
    here = legible(found.tokenized.tokens[found.place])
    return named + spoken(f"what adds to the logit of {legible(found.token)}{less}, at place {found.place} {here}")


class PartsTable:
    """A rich renderable: the largest shares, signed, and the sums of each kind."""

    def __init__(self, found: LogitParts) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self._found
        yield Text(heading(found), "bold")
        shown = found.top(LISTED)
        most = max((abs(share.value) for share in shown), default=1.0) or 1.0
        for share in shown:
            line = Text(f"{set_cell_size(spoken(str(share)), NAME)} {share.value:>+9.4f}  ")
            yield line.append(bar(abs(share.value) / most, BAR), "cyan" if share.value >= 0 else "yellow")
        rest = found.shares[len(shown) :] and sorted(found.shares, key=lambda each: -abs(each.value))[LISTED:]
        if rest:
            others = sum(share.value for share in rest)
            told = set_cell_size(spoken(many(len(rest), "other part")), NAME)
            yield Text(f"{told} {others:>+9.4f}", "dim")
        yield Text(f"{set_cell_size(spoken('sum'), NAME)} {found.total:>+9.4f}", "bold")
        cap = "" if found.capped is None else f", and {found.capped:.4f} after the soft cap, which is not linear"
        told = (
            f"The logit is {found.logit:.4f}{cap}; the sum differs by {abs(found.difference):.0e}, the rounding of the "
            "pass. Every norm on the way keeps the scale it had. Shares are what a part adds directly, not through "
            "later parts."
        )
        yield from wrapped(Text(spoken(told), "dim"), options.max_width)


def encoded(found: LogitParts) -> bytes:
    """The numbers as JSON, in UTF-8."""
    source = {} if found.source is None else {"source": found.source.text}
    table = {
        "schema": SCHEMA,
        "model": found.model,
        **source,
        "text": found.tokenized.text,
        "tokens": found.tokenized.tokens,
        "ids": found.tokenized.ids,
        "place": found.place,
        "token_id": found.token_id,
        "token": found.token,
        "given": found.given,
        "against": found.against,
        "other": found.other,
        "logit": found.logit,
        "capped": found.capped,
        "sum": found.total,
        "shares": [asdict(share) for share in found.shares],
    }
    return (json.dumps(table, ensure_ascii=False, indent=1) + "\n").encode()
