"""Pictures of what a prediction depends on: a table for the terminal, a figure, a page, and the numbers."""

from __future__ import annotations

import html
import json
import textwrap

import numpy as np
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clearhead.analysis import Attribution
from clearhead.drawing.colours import dark, paint
from clearhead.drawing.inline import SWITCH, both, page_file, policy
from clearhead.drawing.legible import legible, quoted, short, shortened
from clearhead.drawing.terminal import bar

SCHEMA = "clearhead.attribution/1"

# The most places in the table, those with the largest shares; cells of a label and of a bar.
LISTED, LABEL, BAR = 40, 20, 20

# The most tokens named under the bars of a figure, and the least share of a named one.
NAMED, LEAST = 8, 0.005

SHARE = "share: norm of the gradient with respect to the token's embedding, divided by the sum over all tokens"
ABOUT = f"{SHARE}; x input: gradient times embedding, in nats, above 0 if the token favours the prediction"
ABOUT_ZH = (
    "占比：对词元嵌入的梯度的范数，除以全部词元的范数之和；梯度 × 嵌入：单位是 nats，大于 0 表示这个词元有利于这个预测"
)
COLUMNS = (("token", "词元"), ("share", "占比"), ("norm", "范数"), ("x input", "梯度 × 嵌入"))


class Table:
    """A rich renderable: the tokens coloured by share, then one line per token with its share as a bar."""

    def __init__(self, found: Attribution) -> None:
        self.found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found, shares = self.found, self.found.shares
        yield Text(heading(found), "bold")
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
        yield Text(f"{'':>{places}} {'token':<{wide}} {'':<{BAR}} share  x input", "bold")
        for place in sorted(largest):
            text = Text(f"{place:>{places}} ", "dim")
            text.append(labels[place] + " " * (wide - cell_len(labels[place])) + " ", "default")
            text.append(bar(shares[place] / max(shares) if max(shares) else 0.0, BAR), "cyan")
            yield text.append(f" {short(shares[place]):>5} {found.products[place]:>+8.3f}", "default")
        yield Text()
        fewer = f" Shown are the {LISTED} largest of {len(reaching):,}." if len(largest) < len(reaching) else ""
        yield Text(f"{ABOUT}.{fewer}", "dim")


def heading(found: Attribution) -> str:
    """The question, in one line."""
    named = f"{legible(found.model)}: " if found.model else ""
    which = "the next token" if found.given else "the token"
    here = quoted(found.words.tokens[found.place])
    chance = f"probability {short(float(np.exp(found.logprob)), 3)}"
    return f"{named}what {which} {quoted(found.token)} depends on ({chance}), predicted at place {found.place} {here}"


def _heading_zh(found: Attribution) -> str:
    named = f"{legible(found.model)}：" if found.model else ""
    which = "下一个词元" if found.given else "词元"
    chance = short(float(np.exp(found.logprob)), 3)
    where = f"在位置 {found.place}（{quoted(found.words.tokens[found.place])}）"
    return f"{named}{where}预测{which}{quoted(found.token)}（概率 {chance}），依据的是什么"


def figure(found: Attribution) -> bytes:
    """A .png with the shares as bars; names the largest."""
    from io import BytesIO

    from matplotlib.figure import Figure
    from matplotlib.text import Text as Drawn

    from clearhead.drawing import fonts, panels
    from clearhead.drawing.legible import spelled

    shares_T = np.array(found.shares)
    labels = [f"{place} {label}" for place, label in enumerate(_labels(found))]
    width = min(16.0, max(9.0, 0.5 * len(labels)))
    fits = int((width - 0.6) * 72 / (13 * panels.CELL))
    lacking = fonts.lacking((heading(found), *labels))
    labels = [spelled(label, lacking) for label in labels]
    notes = textwrap.wrap(f"{SHARE}.", int((width - 0.6) * 13))
    canvas = panels.Canvas(Figure(figsize=(panels.whole(width), panels.whole(3.6 + 0.2 * len(notes))), dpi=panels.DPI))
    canvas.text(0.3, 0.25, shortened(spelled(heading(found), lacking), fits), size=13, weight="bold")
    largest = sorted(range(len(labels)), key=lambda place: -shares_T[place])[:NAMED]
    named = [(place, float(shares_T[place])) for place in largest if shares_T[place] >= LEAST]
    panels.strip(canvas, (0.8, 0.75, width - 1.1, 1.7), shares_T, named, labels)
    for n, note in enumerate(notes):
        canvas.text(0.3, 3.4 + 0.2 * n, note, size=9, color=panels.QUIET)
    for text in canvas.figure.findobj(Drawn):
        text.set_parse_math(False)  # a dollar sign does not start a formula
    fonts.dress(canvas.figure)
    buffer = BytesIO()
    canvas.figure.savefig(buffer, format="png", dpi=panels.DPI)
    return buffer.getvalue()


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
    title = html.escape(heading(found))
    columns = "".join(f"<th>{both(*names)}</th>" for names in COLUMNS)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(style=style, script=script)}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n{SWITCH}\n<h1>{both(heading(found), _heading_zh(found))}</h1>\n"
        f"<p>{''.join(tokens)}</p>\n<table><tr><th></th>{columns}</tr>\n"
        + "\n".join(rows)
        + f'</table>\n<p class="about">{both(f"{ABOUT}.", f"{ABOUT_ZH}。")}</p>\n'
        + f"<script>{script}</script>\n</body>\n</html>\n"
    ).encode()


def numbers(found: Attribution) -> bytes:
    """Everything as JSON, with one value per place in each list; ``logprob`` and ``products`` are in nats."""
    table = {
        "schema": SCHEMA,
        "model": found.model,
        "text": found.words.text,
        "tokens": found.words.tokens,
        "ids": found.words.ids,
        "place": found.place,
        "target": found.target,
        "token": found.token,
        "given": found.given,
        "logprob": found.logprob,
        "norms": found.norms,
        "products": found.products,
    }
    return (json.dumps(table, ensure_ascii=False, indent=1) + "\n").encode()


WRITERS = {".png": figure, ".html": page, ".json": numbers}


def _labels(found: Attribution) -> list[str]:
    return [legible(token) for token in found.words.tokens]


def _colours(found: Attribution) -> list[str]:
    """Colours of the scale for weights; the largest share gets its last colour."""
    shares_T = np.array(found.shares)
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in paint(shares_T / max(float(shares_T.max()), 1e-30)).tolist()]
