"""Pictures of what a prediction depends on: a table for the terminal, a figure, a page, and the numbers."""

from __future__ import annotations

import html
import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clearhead.analysis import Attribution
from clearhead.drawing.colours import dark, hexed, paint
from clearhead.drawing.inline import SWITCH, both, page_file, policy
from clearhead.drawing.languages import phrases
from clearhead.drawing.legible import legible, quoted, short, shortened
from clearhead.drawing.terminal import bar
from clearhead.language import chosen, current, spoken
from clearhead.wrapping import wrapped

SCHEMA = "clearhead.attribution/1"

# The most places in the table, those with the largest shares; cells of a label and of a bar.
LISTED, LABEL, BAR = 40, 20, 20

# The most tokens named under the bars of a figure, and the least share of a named one.
NAMED, LEAST = 8, 0.005


class AttributionTable:
    """A rich renderable: the tokens coloured by share, then one line per token with its share as a bar."""

    def __init__(self, found: Attribution) -> None:
        self.found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found, texts = self.found, _texts(self.found)
        yield Text(heading(found, current()), "bold")
        yield Text()
        for text in texts:
            line = Text(f"{text.name(current())} ", "bold") if len(texts) > 1 else Text()
            for label, colour in zip(text.labels, text.colours, strict=True):
                line.append(label, f"{'white' if dark(colour) else 'black'} on {colour}")
            yield line
        yield Text()
        cells = [cell for text in texts for cell in text.cells() if cell.share or text.source or cell.at <= found.place]
        largest = sorted(cells, key=lambda cell: -cell.share)[:LISTED]
        wide = max(cell_len(shortened(label, LABEL)) for text in texts for label in text.labels)
        places = len(str(max(len(text.labels) for text in texts) - 1))
        token, share, last = spoken("token"), spoken("share"), _columns(found, current())[-1]
        last = " " * (7 - cell_len(last)) + last
        yield Text(f"{'':>{places}} {set_cell_size(token, wide)} {'':<{BAR}} {set_cell_size(share, 5)}  {last}", "bold")
        most = max(cell.share for cell in cells)
        for text in texts:
            if len(texts) > 1:
                yield Text(text.name(current()), "bold")
            for cell in (cell for cell in text.cells() if cell in largest):
                label = shortened(cell.label, LABEL)
                line = Text(f"{cell.at:>{places}} ", "dim")
                line.append(label + " " * (wide - cell_len(label)) + " ", "default")
                line.append(bar(cell.share / most if most else 0.0, BAR), "cyan")
                yield line.append(f" {short(cell.share):>5} {cell.product:>+8.3f}", "default")
        yield Text()
        fewer = f" Shown are the {LISTED} largest of {len(cells):,}." if len(largest) < len(cells) else ""
        yield from wrapped(Text(about(found, current()) + spoken(fewer), "dim"), options.max_width)


class _Cell(NamedTuple):
    """The numbers of one token, at a place of the text that a translator reads (``source``) or of the model's own."""

    source: bool
    at: int
    label: str
    share: float
    norm: float
    product: float
    colour: str


@dataclass(frozen=True)
class _Text:
    """One of the texts that a prediction depends on; the colours of both have one scale."""

    source: bool
    tokens: list[str]
    shares: tuple[float, ...]
    norms: tuple[float, ...]
    products: tuple[float, ...]
    most: float

    @property
    def labels(self) -> list[str]:
        return [legible(token) for token in self.tokens]

    @property
    def colours(self) -> list[str]:
        """Colours of the scale for weights; the largest share gets its last colour."""
        return hexed(paint(np.array(self.shares) / max(self.most, 1e-30)))

    def name(self, language: str) -> str:
        return _words(language)["text"]["source" if self.source else "own"]

    def cells(self) -> list[_Cell]:
        values = zip(self.labels, self.shares, self.norms, self.products, self.colours, strict=True)
        return [_Cell(self.source, at, *each) for at, each in enumerate(values)]


def _texts(found: Attribution) -> list[_Text]:
    """The model's own text; before it, the one that a translator has read."""
    most = max(found.source_shares + found.shares)
    own = _Text(False, found.tokenized.tokens, found.shares, found.norms, found.products, most)
    if found.source is None:
        return [own]
    read = _Text(True, found.source.tokens, found.source_shares, found.source_norms, found.source_products, most)
    return [read, own]


_words = partial(phrases, "gradient_words.json")


def heading(found: Attribution, language: str = "en") -> str:
    """The question, in one line."""
    title = _words(language)["title"]["given" if found.given else "other"]
    named = f"{legible(found.model)}{_words(language)['colon']}" if found.model else ""
    return named + title.format_map(_values(found))


def about(found: Attribution, language: str = "en") -> str:
    """What the numbers are."""
    return _words(language)["gradient" if found.baseline is None else "integrated"].format_map(_values(found))


def _values(found: Attribution) -> dict[str, str]:
    """What the templates name in braces."""
    values = {
        "token": quoted(found.token),
        "probability": short(float(np.exp(found.logprob)), 3),
        "place": str(found.place),
        "here": quoted(found.tokenized.tokens[found.place]),
        "logprob": f"{found.logprob:.4f}",
    }
    if found.baseline is None:
        return values
    return values | {
        "baseline": legible(found.baseline.name),
        "before": f"{found.baseline.logprob:.4f}",
        "change": f"{found.logprob - found.baseline.logprob:+.4f}",
        "error": f"{abs(found.baseline.error):.0e}",
    }


def figure(found: Attribution) -> bytes:
    """A .png with the shares as bars; names the largest."""
    from matplotlib.figure import Figure

    from clearhead.drawing import fonts, panels, saving
    from clearhead.drawing.legible import spelled

    shares_P = np.array(found.source_shares + found.shares)
    labels = [f"{cell.at} {cell.label}" for text in _texts(found) for cell in text.cells()]
    width = min(16.0, max(9.0, 0.5 * len(labels)))
    fits = int((width - 0.6) * 72 / (13 * panels.CELL))
    lacking = fonts.lacking((heading(found, current()), *labels))
    labels = [spelled(label, lacking) for label in labels]
    told = spelled(f"{spoken('The bars are shares.')} {about(found, current())}", lacking)
    notes = [line.plain for line in wrapped(Text(told), int((width - 0.6) * 13))]
    canvas = panels.Canvas(Figure(figsize=(panels.whole(width), panels.whole(3.6 + 0.2 * len(notes))), dpi=panels.DPI))
    canvas.text(0.3, 0.25, shortened(spelled(heading(found, current()), lacking), fits), size=13, weight="bold")
    largest = sorted(range(len(labels)), key=lambda place: -shares_P[place])[:NAMED]
    named = [(place, float(shares_P[place])) for place in largest if shares_P[place] >= LEAST]
    panels.strip(canvas, (0.8, 0.75, width - 1.1, 1.7), shares_P, named, labels)
    for n, note in enumerate(notes):
        canvas.text(0.3, 3.4 + 0.2 * n, note, size=9, color=panels.QUIET)
    return saving.png(canvas.figure, panels.DPI)


def page(found: Attribution) -> bytes:
    """A self-contained page: the tokens coloured by share, and the table. Its script only picks the language."""
    rules, lines, rows = [page_file("languages.css"), page_file("gradient.css")], list[str](), list[str]()
    texts = _texts(found)
    for n, text in enumerate(texts):
        tokens, name = list[str](), both(text.name("en"), text.name("zh")) if len(texts) > 1 else ""
        if name:
            rows.append(f'<tr><th colspan="5" scope="rowgroup">{name}</th></tr>')
        for cell in text.cells():
            mark = f"t{cell.at}" if n == len(texts) - 1 else f"s{cell.at}"
            ink = "#fff" if dark(cell.colour) else "#16202e"
            rules.append(f"#{mark} {{ background: {cell.colour}; color: {ink}; }}")
            shown, told = html.escape(cell.label), f"{cell.at}: {cell.share:.4f}, {cell.product:+.4f}"
            tokens.append(f'<span class="token" id="{mark}" title="{told}">{shown}</span>')
            rows.append(
                f"<tr><td>{cell.at}</td><td>{shown}</td><td>{cell.share:.4f}</td><td>{cell.norm:.4g}</td>"
                f"<td>{cell.product:+.4g}</td></tr>"
            )
        lines.append(f"<p>{name} {''.join(tokens)}</p>" if name else f"<p>{''.join(tokens)}</p>")
    style, script = "\n".join(rules), page_file("languages.js")
    english, chinese = (_columns(found, language) for language in ("en", "zh"))
    columns = "".join(f'<th scope="col">{both(*names)}</th>' for names in zip(english, chinese, strict=True))
    return (
        f'<!doctype html>\n<html lang="{current()}" data-chosen="{chosen() or ""}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(style=style, script=script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{html.escape(heading(found))}</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n{SWITCH}\n<h1>{both(heading(found), heading(found, 'zh'))}</h1>\n"
        + "\n".join(lines)
        + f"\n<table><tr><th></th>{columns}</tr>\n"
        + "\n".join(rows)
        + f'</table>\n<p class="about">{both(about(found), about(found, "zh"))}</p>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    ).encode()


def _columns(found: Attribution, language: str) -> tuple[str, ...]:
    """The headings of the table, after that of the places."""
    names = _words(language)["column"]
    last = "product" if found.baseline is None else "nats"
    return tuple(names[name] for name in ("token", "share", "norm", last))


def numbers(found: Attribution) -> bytes:
    """Everything as JSON, with one value per place in each list; ``logprob`` and ``products`` are in nats.

    baseline: null for a plain gradient; else where the path starts, how many gradients were taken along it, and how far
        the products' sum is from the change of the log-probability
    source: the text that a translator has read, with its own lists; only for translators
    """
    table: dict[str, Any] = {
        "schema": SCHEMA,
        "model": found.model,
        "text": found.tokenized.text,
        "tokens": found.tokenized.tokens,
        "ids": found.tokenized.ids,
        "place": found.place,
        "token_id": found.token_id,
        "token": found.token,
        "given": found.given,
        "logprob": found.logprob,
        "baseline": None if found.baseline is None else asdict(found.baseline),
        "norms": found.norms,
        "products": found.products,
    }
    if found.source is not None:
        table["source"] = {
            "text": found.source.text,
            "tokens": found.source.tokens,
            "ids": found.source.ids,
            "norms": found.source_norms,
            "products": found.source_products,
        }
    return (json.dumps(table, ensure_ascii=False, indent=1) + "\n").encode()


WRITERS = {".png": figure, ".html": page, ".json": numbers}
