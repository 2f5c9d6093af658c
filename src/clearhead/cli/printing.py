"""Prints for the verbs, in the reader's language, so that the terminal shows text from elsewhere and never obeys it.

Names, tensors, templates and messages in someone else's folder may contain escape sequences, marks that reverse the
direction of writing, or line breaks. All output of the verbs goes through this module; a test checks that.
"""

from __future__ import annotations

import codecs
import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from clearhead.language import spoken
from clearhead.wrapping import filled

JOINERS = "\u200c\u200d"  # invisible, but part of Persian words and of emoji


def visible(text: str) -> str:
    """Spells out what a terminal would obey: control characters, direction marks, bytes that are not UTF-8.

    Newlines and tabs stay. A control character becomes its picture or its code point, ␛ or <U+009B>; a byte <0xFF>.
    """
    return text if text.isprintable() else "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    code = ord(character)
    if character in "\n\t":
        return character
    if code < 0x20 or code == 0x7F:
        return "\u2421" if code == 0x7F else chr(0x2400 + code)
    if 0xDC80 <= code <= 0xDCFF:  # how Python represents a byte of a name or an argument that is not UTF-8
        return f"<0x{code - 0xDC00:02X}>"
    obeyed = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in JOINERS
    return f"<U+{code:04X}>" if obeyed else character


def echo(text: str = "", *, err: bool = False, nl: bool = True, fg: str | None = None) -> None:
    """Prints a line, in the current language."""
    seen = visible(spoken(text))
    typer.echo(seen if fg is None else typer.style(seen, fg=fg), err=err, nl=nl)


def message(text: str, *, fg: str | None = None) -> None:
    """Prints an error or a note to standard error. Further lines are indented, so that none looks like a message."""
    echo(spoken(text).replace("\n", "\n  "), err=True, fg=fg)


def legend(meanings: Mapping[str, str]) -> None:
    """Prints what the columns of a table mean, under their headings; in Chinese with the names that options take."""
    named = {name: spoken(name) for name in meanings}
    table = [(named[name], *(() if named[name] == name else (name,)), spoken(meanings[name])) for name in meanings]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    for *cells, meaning in table:
        echo("  ".join((*(filled(cell, width) for cell, width in zip(cells, widths, strict=False)), meaning)))


def columns(table: Sequence[Sequence[str]]) -> None:
    """Prints lines of cells below one another; the first column begins at the left, the others end at the right."""
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    for first, *others in table:
        cells = [filled(each, width, right=True) for each, width in zip(others, widths[1:], strict=True)]
        echo("  ".join((filled(first, widths[0]), *cells)))


def rows(table: dict[str, str]) -> None:
    """Prints names and values, one line each at any terminal width."""
    seen = {visible(spoken(name)): spoken(value) for name, value in table.items()}
    widest = max(map(cell_len, seen))
    for name, value in seen.items():
        echo(f"{filled(name, widest)}  {value}".replace("\n", "⏎"))


def write(text: str) -> None:
    """Writes text that a program may read to standard output: unchanged, except that a terminal gets it visible."""
    sys.stdout.write(visible(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def write_json(values: Any) -> None:
    """Writes one line of JSON to standard output. What a terminal would obey is escaped, which reads back the same.

    If standard output is not UTF-8, so is everything but ASCII: Python's own escapes, such as ``\\x9b``, are not JSON.
    """
    line = json.dumps(values, ensure_ascii=codecs.lookup(sys.stdout.encoding or "utf-8").name != "utf-8")
    write("".join(json.dumps(each)[1:-1] if _shown(each) != each else each for each in line) + "\n")


class Screen(Console):
    """A rich console that shows text as it is: no markup, no emoji codes, nothing a terminal would obey.

    Tables that it prints speak the current language themselves: they hold texts of others.
    """

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=soft_wrap)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments to print, made visible; rich's own control codes stay."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))
