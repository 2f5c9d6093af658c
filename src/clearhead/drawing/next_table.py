"""The next token's distribution as a table for the terminal, and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clearhead.analysis import Candidate, NextWords
from clearhead.analysis.given import heading
from clearhead.drawing.legible import legible, quoted, shortened
from clearhead.drawing.terminal import bar
from clearhead.errors import many
from clearhead.language import mark, spoken
from clearhead.tap import Site
from clearhead.wrapping import wrapped

# In terminal cells: the widest label of a token; the narrowest and widest bar; a label in a layer's line.
LABEL, BAR, NARROW = 20, (8, 24), 10
SEEN = 5e-5  # the smallest probability that four decimals show


def named(site: Site) -> str:
    """``embedding`` for the stream before the first layer, ``layer 3`` for that after a layer."""
    return "embedding" if site.kind == "embedding" else f"layer {site.layer}"


def whole(found: NextWords) -> str:
    """The text so far or, if it is empty, its tokens; after a translation's source."""
    return heading(found.text or "".join(found.tokens), (), found.source)


def described(settings: dict[str, float]) -> str:
    """``temperature 0.7, top_k 40``."""
    return ", ".join(f"{name} {value:g}" for name, value in settings.items())


class NextTable:
    """A rich renderable: a line for each token, the settings' effect beside it, and a line for each layer."""

    def __init__(self, found: NextWords) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self._found
        line = Text(legible(found.model), style="bold").append(mark(": "), "default") if found.model else Text()
        line.append(spoken("what comes after ")).append(quoted(whole(found)), "bold")
        yield line
        yield from self._tokens(options.max_width)
        yield from self._notes(options.max_width)
        if found.layers:
            yield Text()
            yield from self._layers(options.max_width)

    def _tokens(self, width: int) -> RenderResult:
        found = self._found
        others = spoken(many(found.vocabulary - len(found.candidates), "other token"))
        lines = [(legible(each.label), each.probability, each.sampled) for each in found.candidates]
        if found.vocabulary > len(found.candidates):
            lines.append((others, found.rest, found.sampled_rest))
        label = min(max(LABEL, cell_len(others)), max(cell_len(name) for name, _, _ in lines))
        columns = 1 if found.sampled_rest is None else 2
        cells = max(BAR[0], min(BAR[1], (width - label - 9 * columns) // columns - 3))
        if columns == 2:
            sampled = spoken(f"with {described(found.settings)}")
            yield Text(f"{'':<{label}}  {set_cell_size(spoken('the model'), cells + 9)}  {sampled}", "dim")
        for name, probability, sampled in lines:
            short = shortened(name, label)
            line = Text(short + " " * (label - cell_len(short)) + "  ", "dim" if name == others else "default")
            line.append(bar(probability, cells), "cyan").append(f" {probability:.4f}  ")
            if sampled is not None:
                line.append(bar(sampled, cells), "magenta")
                line.append(f" {sampled:.4f}" if sampled else spoken(" removed"), "default" if sampled else "dim")
            yield line

    def _notes(self, width: int) -> RenderResult:
        found = self._found
        note = spoken(f"Entropy {found.entropy:.2f} nats.")
        if found.settings:
            kept = f"{found.kept:,} of {many(found.vocabulary, 'token')}"
            note += spoken(f" With {described(found.settings)}, {kept} can come next.")
        if found.tokenless >= SEEN:
            note += spoken(f" {found.tokenless:.4f} of the probability is of ids that the tokenizer has no token for.")
        if any("<0x" in each.label for each in found.candidates):
            note += spoken(" <0xE4> is one byte of a character: this tokenizer cuts some characters into bytes.")
        yield from wrapped(Text(note, "dim"), width)

    def _layers(self, width: int) -> RenderResult:
        found, target = self._found, legible(self._found.candidates[0].label)
        names = [spoken(named(each.site)) for each in found.layers]
        name = max(map(cell_len, names))
        target = shortened(target, NARROW)
        heading = " " * (name + 2) + spoken(f"rank and probability of {target}")
        yield Text(heading, "bold").append(spoken("  likeliest tokens read there"), "bold")
        left = cell_len(heading) + 2
        count = max(1, min(len(found.candidates), (width - left) // (NARROW + 8)))
        for title, each in zip(names, found.layers, strict=True):
            line = Text(set_cell_size(title, name + 2), "bold").append(f"{each.rank:>6,} {each.probability:.4f}")
            line.append(" " * max(2, left - line.cell_len))
            for candidate in each.candidates[:count]:
                line.append_text(_short(candidate))
            yield line
        told = "Each line: the residual stream there through the final norm and the output layer (logit lens)."
        yield from wrapped(Text(spoken(told), "dim"), width)


def _short(candidate: Candidate) -> Text:
    label = shortened(legible(candidate.label), NARROW)
    return Text(label + " " * (NARROW - cell_len(label))).append(f" {candidate.probability:.3f}  ", "cyan")


def encoded(found: NextWords) -> bytes:
    """The numbers as JSON, in UTF-8: the fields of ``NextWords``, sites by name."""
    values: dict[str, Any] = {"schema": "clearhead.next/1"} | asdict(found)
    for layer, each in zip(values["layers"], found.layers, strict=True):
        layer["site"] = str(each.site)
    return (json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode()
