"""Data files read into sections and tables, by hand; every slip named with its file and line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import clearhead.corpora
from clearhead.corpora.notation import Section, Table, data, read, sections
from clearhead.errors import GrammarError

FRUIT = """# what is eaten

weather
- It rained
  all day.
# a comment in between
- It snowed.

table fruit: thing | plural | colour
- apple
- cherry | cherries
- plum |  | blue
"""


def test_sections_know_their_lines_and_join_what_goes_on() -> None:
    first, second = sections(FRUIT, "x.txt", space=" ")
    assert first == Section("x.txt", 3, "weather", [(4, "It rained all day."), (7, "It snowed.")])
    assert (second.line, second.head) == (9, "table fruit: thing | plural | colour")
    assert next(sections("a\n- 下着\n  雨\n", "x.txt", space="")).entries == [(2, "下着雨")]


def test_a_table_has_a_cell_for_every_column() -> None:
    known = data({"x.txt": FRUIT}, space=" ")
    rows = (("apple", "", ""), ("cherry", "cherries", ""), ("plum", "", "blue"))
    assert known.tables == {"fruit": Table(("thing", "plural", "colour"), rows)}
    assert known.tables["fruit"].first == ("apple", "cherry", "plum")
    assert [section.head for section in known.sections] == ["weather"]


SLIPS = {
    "- a\n": "line 1: expected a rule, a story or a table but found '- a'",
    "a\n- b\n\n  c\n": "line 4: expected a rule, a story or a table but found '  c'",
    "a\n- b\nc\n- d\n": "line 3: expected an alternative, '- ' and text, but found 'c'",
    "a\n-b\n": "line 2: expected an alternative, '- ' and text, but found '-b'",
    "a\n  b\n": "line 2: expected an alternative, '- ' and text, but found '  b'",
    "\n\na\n\nb\n- c\n": "line 3: 'a' has no lines that begin with '- '",
    "table a\n- b\n": "line 1: 'table a' is not of the form 'table name: column | column'",
    "table a: b\n- c\n\ntable a: b\n- c\n": "line 4: table 'a' is defined twice",
    "table a: b | c\n- d | e\n- d | e | f\n": "line 3: 'd | e | f' has 3 cells; 'table a: b | c' has 2 columns",
}


@pytest.mark.parametrize("text", SLIPS)
def test_a_slip_is_named_with_its_file_and_line(text: str) -> None:
    with pytest.raises(GrammarError, match=re.escape(f"english/x.txt, {SLIPS[text]}")):
        data({"english/x.txt": text}, space=" ")


def test_a_table_that_is_nowhere_written_is_named() -> None:
    with pytest.raises(GrammarError, match="no data file has a table 'fruits'; did you mean 'fruit'"):
        data({"x.txt": FRUIT}, space=" ").tables["fruits"]


@pytest.mark.parametrize(("language", "space"), [("english", " "), ("chinese", "")])
def test_every_data_file_is_read_and_ships_with_the_package(language: str, space: str) -> None:
    folder = Path(clearhead.corpora.__file__).parent / language
    files = {f"{language}/{path.name}" for path in folder.iterdir() if path.suffix not in {".py", ""}}
    known = read(f"clearhead.corpora.{language}", space=space)
    assert {section.file for section in known.sections} <= files
    assert {Path(file).suffix for file in files} == {".txt"}
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert "corpora/*/*.txt" in settings["tool"]["setuptools"]["package-data"]["clearhead"]
