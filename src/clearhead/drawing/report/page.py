"""A report as a self-contained page in both languages. It makes no network requests."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from clearhead.drawing.inline import SWITCH, both, page_file, policy
from clearhead.drawing.languages import phrases
from clearhead.drawing.report import charts
from clearhead.drawing.report.blocks import Bars, Code, Curves, Heatmap, Link, Paragraph, Report, ReportBlock, Table
from clearhead.drawing.report.charts import safe
from clearhead.language import LANGUAGES, chosen, current

WORDS = "report_words.json"


def page(reports: Mapping[str, Report]) -> bytes:
    """The page in UTF-8, in the language that was chosen, else the reader's own. reports: the same one in each."""
    titles = (reports["en"].title, reports["zh"].title)
    return _framed(titles, {each: _body(report, phrases(WORDS, each)) for each, report in reports.items()})


def index(pages: Sequence[tuple[str, Mapping[str, Report]]]) -> bytes:
    """A page of several reports: the claim and the verdict of each, with a link to its file."""
    bodies: dict[str, str] = {}
    for each in LANGUAGES:
        says = phrases(WORDS, each)
        entries = [
            f'<section class="entry"><h2><a href="{html.escape(file)}">{safe(reports[each].title)}</a></h2>'
            f"{_verdict(reports[each], says)}</section>"
            for file, reports in pages
        ]
        bodies[each] = f"<p>{safe(says['about'])}</p><main>{''.join(entries)}</main>"
    return _framed((phrases(WORDS, "en")["index"], phrases(WORDS, "zh")["index"]), bodies)


def _framed(titles: tuple[str, str], bodies: Mapping[str, str]) -> bytes:
    """A page with this title in English and Chinese, the switch between them, and a body in each."""
    articles = "\n".join(f'<article lang="{each}">{body}</article>' for each, body in bodies.items())
    style, script = f"{page_file('languages.css')}\n{page_file('report.css')}", page_file("languages.js")
    return (
        f'<!doctype html>\n<html lang="{current()}" data-chosen="{chosen() or ""}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(style=style, script=script)}">'
        f"<title>{html.escape(titles[0])}</title><style>{style}</style></head><body>\n"
        f"{SWITCH}\n<h1>{both(*titles)}</h1>\n{articles}\n<script>{script}</script></body></html>\n"
    ).encode()


def _body(report: Report, says: Mapping[str, str]) -> str:
    commands = "\n".join(report.repeat)
    parts = [
        _verdict(report, says),
        "<main>" + "".join(_block(each) for each in report.blocks) + "</main>",
        f"<h2>{safe(says['repeat'])}</h2><pre>{safe_lines(commands)}</pre>",
    ]
    return "\n".join(parts)


def _verdict(report: Report, says: Mapping[str, str]) -> str:
    return (
        f'<p class="claim"><b>{safe(says["claim"])}</b>{says["gap"]}{safe(report.claim)}</p>'
        f'<p class="verdict {report.holds}"><b>{safe(says[report.holds])}</b>{says["gap"]}{safe(report.verdict)}</p>'
    )


def _block(block: ReportBlock) -> str:
    match block:
        case Paragraph():
            return f'<p class="wide">{safe(block.text)}</p>'
        case Link():
            return f'<p class="wide"><a href="{html.escape(block.file)}">{safe(block.text)}</a></p>'
        case Code():
            return f"<section><h2>{safe(block.title)}</h2><pre>{safe_lines(block.text)}</pre></section>"
        case Table():
            drawn = _table(block)
        case Curves():
            drawn = charts.curves(block)
        case Bars():
            drawn = charts.bars(block)
        case Heatmap():
            drawn = charts.grid(block)
    note = f"<p>{safe(block.note)}</p>" if block.note else ""
    return f"<section><h2>{safe(block.title)}</h2>{drawn}{note}</section>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{safe(cell)}</th>' for cell in table.header)
    rows = "".join(
        f'<tr><th scope="row">{safe(row[0])}</th>' + "".join(f"<td>{safe(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in table.rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def safe_lines(text: str) -> str:
    """Lines of text as markup."""
    return "\n".join(map(safe, text.split("\n")))
