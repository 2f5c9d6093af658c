"""Pictures of what a prediction depends on: a table for the terminal, a figure, a page, and the numbers."""

from __future__ import annotations

import html
import json
from dataclasses import asdict
from functools import partial

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
        found, shares = self.found, self.found.shares
        yield Text(heading(found, current()), "bold")
        yield Text()
        line = Text()
        for label, colour in zip(_labels(found), _colours(found), strict=True):
            line.append(label, f"{'white' if dark(colour) else 'black'} on {colour}")
        yield line
        yield Text()
        reaching = [place for place, share in enumerate(shares) if share or place <= found.place]
        largest = sorted(reaching, key=lambda place: -shares[place])[:LISTED]
        labels = [shortened(label, LABEL) for label in _labels(found)]
        wide, places = max(map(cell_len, labels)), len(str(len(shares) - 1))
        token, share, last = spoken("token"), spoken("share"), _columns(found, current())[-1]
        last = " " * (7 - cell_len(last)) + last
        yield Text(f"{'':>{places}} {set_cell_size(token, wide)} {'':<{BAR}} {set_cell_size(share, 5)}  {last}", "bold")
        for place in sorted(largest):
            text = Text(f"{place:>{places}} ", "dim")
            text.append(labels[place] + " " * (wide - cell_len(labels[place])) + " ", "default")
            text.append(bar(shares[place] / max(shares) if max(shares) else 0.0, BAR), "cyan")
            yield text.append(f" {short(shares[place]):>5} {found.products[place]:>+8.3f}", "default")
        yield Text()
        fewer = f" Shown are the {LISTED} largest of {len(reaching):,}." if len(largest) < len(reaching) else ""
        yield from wrapped(Text(about(found, current()) + spoken(fewer), "dim"), options.max_width)


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

    shares_T = np.array(found.shares)
    labels = [f"{place} {label}" for place, label in enumerate(_labels(found))]
    width = min(16.0, max(9.0, 0.5 * len(labels)))
    fits = int((width - 0.6) * 72 / (13 * panels.CELL))
    lacking = fonts.lacking((heading(found, current()), *labels))
    labels = [spelled(label, lacking) for label in labels]
    told = spelled(f"{spoken('The bars are shares.')} {about(found, current())}", lacking)
    notes = [line.plain for line in wrapped(Text(told), int((width - 0.6) * 13))]
    canvas = panels.Canvas(Figure(figsize=(panels.whole(width), panels.whole(3.6 + 0.2 * len(notes))), dpi=panels.DPI))
    canvas.text(0.3, 0.25, shortened(spelled(heading(found, current()), lacking), fits), size=13, weight="bold")
    largest = sorted(range(len(labels)), key=lambda place: -shares_T[place])[:NAMED]
    named = [(place, float(shares_T[place])) for place in largest if shares_T[place] >= LEAST]
    panels.strip(canvas, (0.8, 0.75, width - 1.1, 1.7), shares_T, named, labels)
    for n, note in enumerate(notes):
        canvas.text(0.3, 3.4 + 0.2 * n, note, size=9, color=panels.QUIET)
    return saving.png(canvas.figure, panels.DPI)


def page(found: Attribution) -> bytes:
    """A self-contained page: the tokens coloured by share, and the table. Its script only picks the language."""
    rules, tokens, rows = [page_file("languages.css"), page_file("gradient.css")], list[str](), list[str]()
    values = zip(_labels(found), found.shares, found.norms, found.products, _colours(found), strict=True)
    for place, (label, share, norm, product, colour) in enumerate(values):
        ink = "#fff" if dark(colour) else "#16202e"
        rules.append(f"#t{place} {{ background: {colour}; color: {ink}; }}")
        shown = html.escape(label)
        tokens.append(f'<span class="token" id="t{place}" title="{place}: {share:.4f}, {product:+.4f}">{shown}</span>')
        rows.append(
            f"<tr><td>{place}</td><td>{shown}</td><td>{share:.4f}</td><td>{norm:.4g}</td><td>{product:+.4g}</td></tr>"
        )
    style, script = "\n".join(rules), page_file("languages.js")
    english, chinese = (_columns(found, language) for language in ("en", "zh"))
    columns = "".join(f'<th scope="col">{both(*names)}</th>' for names in zip(english, chinese, strict=True))
    return (
        f'<!doctype html>\n<html lang="{current()}" data-chosen="{chosen() or ""}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(style=style, script=script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{html.escape(heading(found))}</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n{SWITCH}\n<h1>{both(heading(found), heading(found, 'zh'))}</h1>\n"
        f"<p>{''.join(tokens)}</p>\n<table><tr><th></th>{columns}</tr>\n"
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
    """
    table = {
        "schema": SCHEMA,
        "model": found.model,
        "text": found.tokenized.text,
        "tokens": found.tokenized.tokens,
        "ids": found.tokenized.ids,
        "place": found.place,
        "target": found.target,
        "token": found.token,
        "given": found.given,
        "logprob": found.logprob,
        "baseline": None if found.baseline is None else asdict(found.baseline),
        "norms": found.norms,
        "products": found.products,
    }
    return (json.dumps(table, ensure_ascii=False, indent=1) + "\n").encode()


WRITERS = {".png": figure, ".html": page, ".json": numbers}


def _labels(found: Attribution) -> list[str]:
    return [legible(token) for token in found.tokenized.tokens]


def _colours(found: Attribution) -> list[str]:
    """Colours of the scale for weights; the largest share gets its last colour."""
    shares_T = np.array(found.shares)
    return hexed(paint(shares_T / max(float(shares_T.max()), 1e-30)))
