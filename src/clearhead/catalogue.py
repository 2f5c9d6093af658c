"""The Chinese of messages, found by their templates in a gettext catalogue.

An entry is a template with numbered fields, ``"{0}: no such file; check {1}"``, and its Chinese with the same fields. A
message is matched against the templates; the one with the most text of its own wins. Its fields may hold messages
themselves and are translated too, except those marked ``!r``, which quote what a user wrote. In the Chinese, ``{1!t}``
marks a field that holds a single word of ours, such as the unit of a loss.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

FIELD = re.compile(r"\{(\d+)(?:!([rt]))?\}")
ENTRY = re.compile(r'^((?:#.*\n)*)msgid ((?:".*"\n)+)msgstr ((?:".*"(?:\n|\Z))+)', re.MULTILINE)
ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "r": "\r"}
COUNTED = re.compile(r"\{0\} [a-z][a-z -]*s")  # matches the singular too: "1 token"
NUMBER = r"[\d.,]+"
ANY, FIRST = "( *(?:(?!  ).)*?)", "((?:(?!  |: |; ).)*?)"  # no field spans a column gap, nor the first ": " or "; "
QUOTED = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^'"\s]*|[(\[{].*?[)\]}])"""
PREFIXES = ("error: ", "warning: ", "note: ")  # how lines on standard error begin
CLAUSE = " ,;("  # first characters of a message appended to another
MARKS = (("\n", "\n"), ("; ", "；"), (": ", "："), (", ", "，"), (" or ", "或"), (" and ", "和"))
ASIDE = re.compile(r"(.*) \((.*)\)", re.DOTALL)
LETTERS = 5  # templates with fewer, such as "{0} and {1}", are tried last


def entries(text: str) -> Iterator[tuple[str, str]]:
    """Each message of a .po file with its translation, skipping fuzzy and untranslated ones."""
    for comments, message, translation in ENTRY.findall(text):
        if "\n#, fuzzy" not in "\n" + comments:
            found = _unquoted(message), _unquoted(translation)
            if all(found):
                yield found


def _unquoted(lines: str) -> str:
    text = "".join(line[1:-1] for line in lines.splitlines())
    return re.sub(r"\\(.)", lambda found: ESCAPES[found[1]], text) if "\\" in text else text


@dataclass(frozen=True)
class Template:
    """A message with fields. literals: the text around them, in order."""

    text: str
    chinese: str
    literals: tuple[str, ...]

    @property
    def letters(self) -> int:
        """The number of letters outside the fields."""
        return sum(each.isalpha() for literal in self.literals for each in literal)

    @property
    def length(self) -> int:
        """The number of characters outside the fields."""
        return sum(map(len, self.literals))

    @classmethod
    def of(cls, text: str, chinese: str) -> Template:
        """The template of an entry."""
        return cls(text, chinese, tuple(filter(None, FIELD.split(text)[::3])))

    def fields(self, message: str) -> tuple[str, ...] | None:
        """The values of the fields in this message; None if it does not match."""
        found = _pattern(self.text).fullmatch(message)
        return None if found is None else found.groups()


@cache
def _pattern(text: str) -> re.Pattern[str]:
    if COUNTED.fullmatch(text):
        return re.compile(f"({NUMBER}) {re.escape(text[4:-1])}s?")
    pieces = FIELD.split(text)
    fields = [QUOTED if mark == "r" else ANY for mark in pieces[2::3]]
    if text.startswith("{0} "):
        fields[0] = FIRST
    return re.compile("".join(map("".join, zip(map(re.escape, pieces[::3]), [*fields, ""], strict=True))), re.DOTALL)


class Catalogue:
    """The messages with their translations."""

    def __init__(self, messages: dict[str, str]) -> None:
        self._whole = {text: chinese for text, chinese in messages.items() if not FIELD.search(text)}
        templates = [Template.of(text, chinese) for text, chinese in messages.items() if FIELD.search(text)]
        templates.sort(key=lambda each: (-each.length, each.text))
        self._strong = [each for each in templates if each.letters >= LETTERS]
        self._weak = [each for each in templates if each.letters < LETTERS]
        clauses = (Template(text, chinese, (text,)) for text, chinese in self._whole.items() if text[0] in CLAUSE)
        self._clauses = [*(each for each in templates if each.text[0] in CLAUSE), *clauses]

    def line(self, text: str) -> str:
        """Translates a message, or those of its parts that have a translation; the rest stays as it is."""
        for kind in PREFIXES:
            if text.startswith(kind):
                return self._field(kind) + self.line(text.removeprefix(kind))
        return self._whole.get(text) or self._field(text)

    def _field(self, text: str) -> str:
        if " " not in text:
            return text
        return (
            self._whole.get(text)
            or self._strongest(text)
            or self._with_clause(text, weak=False)
            or self._items(text)
            or self._of(self._weak, text)
            or self._with_clause(text, weak=True)
            or text
        )

    def _strongest(self, text: str) -> str | None:
        """Translates by the longest matching template, of the whole text or of the fault after its place."""
        whole = self._first(self._strong, text)
        if whole is None:
            return None
        place, *fault = _place_and_fault(text) if whole[0].text.startswith("{0}: ") else [text]
        behind = self._first(self._strong, fault[0]) if fault else None
        if behind is not None and whole[0].length < behind[0].length:
            return f"{self._field(place)}：{self._filled(*behind)}"
        return self._filled(*whole)

    def _of(self, templates: list[Template], text: str) -> str | None:
        """Translates by the first template that matches."""
        found = self._first(templates, text)
        return None if found is None else self._filled(*found)

    def _first(self, templates: list[Template], text: str) -> tuple[Template, tuple[str, ...]] | None:
        for template in templates:
            if all(literal in text for literal in template.literals) or COUNTED.fullmatch(template.text):
                found = template.fields(text)
                if found is not None:
                    return template, found
        return None

    def _filled(self, template: Template, found: tuple[str, ...]) -> str:
        quoted = {number for number, mark in FIELD.findall(template.text) if mark == "r"}

        def field(match: re.Match[str]) -> str:
            number, value = match[1], found[int(match[1])]
            if number in quoted:
                return value
            return self.line(value) if match[2] == "t" else self._field(value)

        return FIELD.sub(field, template.chinese)

    def _with_clause(self, text: str, *, weak: bool) -> str | None:
        """Translates a text with a clause appended to it."""
        for clause in self._clauses:
            start = text.find(clause.literals[0], 1)
            if start > 0 and (clause.letters < LETTERS) == weak:
                found = clause.fields(text[start:])
                if found is not None:
                    return self._field(text[:start]) + self._filled(clause, found)
        return None

    def _items(self, text: str) -> str | None:
        """Translates joined lines, sentences or items one by one, or a place and its fault."""
        for mark, chinese in MARKS:
            parts = text.split(mark) if mark != ": " else _place_and_fault(text)
            spoken = [self._field(part) for part in parts] if len(parts) > 1 else parts
            if spoken != parts:
                return chinese.join(spoken)
        aside = ASIDE.fullmatch(text)
        if aside is not None:
            spoken = [self._field(aside[1]).rstrip(), self._field(aside[2])]
            if spoken != list(aside.groups()):
                return f"{spoken[0]}（{spoken[1]}）"
        return None


def _place_and_fault(text: str) -> list[str]:
    """The text before and after the first colon outside parentheses; the whole text if there is none."""
    start = text.find(": ")
    while start > 0 and text.count("(", 0, start) != text.count(")", 0, start):
        start = text.find(": ", start + 1)
    return [text[:start], text[start + 2 :]] if start > 0 else [text]


@cache
def catalogue() -> Catalogue:
    """The Chinese catalogue of the package."""
    file = files("clearhead").joinpath("locale/zh/LC_MESSAGES/clearhead.po")
    return Catalogue(dict(entries(file.read_text(encoding="utf-8"))))


@lru_cache(maxsize=4096)
def chinese(text: str) -> str:
    """A message in Chinese."""
    return catalogue().line(text)
