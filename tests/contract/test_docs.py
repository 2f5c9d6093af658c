"""What the documentation names exists: options, settings, rooms, files; and it names no machine."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import get_args, get_type_hints

import pytest
from babel.messages import Catalog
from pages import CHINESE, GUIDE, README, ROOT, blocks, first_cells, section
from test_architecture import ABOVE, BENEATH, ROOMS
from typer.main import get_command

import write_docs
import write_note
from clearhead import recipes
from clearhead.cli import app
from clearhead.lab.note import EXPERIMENTS
from clearhead.model import FEED_FORWARDS, ModelConfig
from clearhead.plain import Tagged, from_dict
from clearhead.recipes import Recipe
from clearhead.training import TrainConfig

OPTIONS = {
    name: {option for parameter in verb.params for option in parameter.opts if option.startswith("-")}
    - {"--help", "-h"}
    for name, verb in get_command(app).commands.items()
}
GUIDES = (GUIDE, CHINESE[GUIDE])
READMES = (README, CHINESE[README])
PAGES = [*READMES, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHERS = {"--help", "--debug", "--language"}  # of every verb


@pytest.mark.parametrize("language", write_docs.GUIDES)
def test_the_tables_of_the_guides_are_those_of_the_code(language: str) -> None:
    text = write_docs.GUIDES[language].read_text(encoding="utf-8")
    translate = write_docs.chinese(write_docs.catalogue()) if language == "zh" else str
    assert write_docs.page(text, translate) == text, "run `make docs`"


def test_the_catalogue_has_the_messages_of_the_code() -> None:
    assert write_docs.CATALOGUE.read_text(encoding="utf-8") == write_docs.written(write_docs.catalogue()), (
        "run `make docs`"
    )


def test_every_message_has_its_chinese() -> None:
    gaps = write_docs.gaps(write_docs.catalogue())
    file = write_docs.CATALOGUE.relative_to(ROOT)
    assert gaps == [], f"in {file}, then run `make docs`; if you write no Chinese, say so in the change:\n" + "\n".join(
        gaps
    )


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_the_guide_has_every_option_and_every_setting_once(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    cells = [re.findall(r"`([^`]+)`", cell) for cell in first_cells(text)]
    told = [name for names in cells for name in names]
    known = list(settings(Recipe))
    assert sorted(name for name in told if name in known) == sorted(known)
    assert {name.split(".")[0] for name in known} == {"version", "origin", "text", "model", "train"}
    marked = [verb for verbs in re.findall(r"<!-- options: (.*) -->", text) for verb in verbs.split()]
    assert sorted(marked) == sorted(verb for verb, options in OPTIONS.items() if options)
    for verb in marked:
        headings = [line[3:] for line in text.splitlines() if re.match(rf"## .*\b{verb}\b", line)]
        assert headings, f"{page.name}: no ## heading names {verb}"
        heading = headings[0]
        found = re.findall(rf"`(?:{verb} )?(-[\w-]+)`", "\n".join(first_cells(section(page, heading))))
        assert OPTIONS[verb] <= set(found)
    for name in (*FEED_FORWARDS, *recipes.names()):
        assert f"`{name}`" in text


def test_english_that_changed_is_not_told_by_its_old_chinese() -> None:
    words = Catalog(locale="zh")
    words.add("Maximum new tokens per prompt.", "每个提示最多生成多少个词元。")
    words.add("Random seed.", "随机种子。")
    changed = Catalog()
    for text in ("Maximum new tokens per prompt, at least 1.", "Random seed."):
        changed.add(text, auto_comments=["generate --max-tokens"])
    words.update(changed)
    translate = write_docs.chinese(words)
    assert translate("Random seed.") == "随机种子。"
    assert translate("Maximum new tokens per prompt, at least 1.") == "Maximum new tokens per prompt, at least 1."
    assert write_docs.gaps(words) == [
        "generate --max-tokens: 'Maximum new tokens per prompt, at least 1.': "
        "check the Chinese and remove the line '#, fuzzy'"
    ]


def test_the_meaning_of_a_setting_is_the_comment_beside_its_field() -> None:
    found = {row.names[0]: row for row in write_docs.settings()}
    assert found["model.attention.window"] == write_docs.Row(
        ("model.attention.window",), "keys visible, self included; left out: all", ""
    )
    assert found["train.optimizer.kind"].values == ("muon", "adamw")
    assert found["train.optimizer.precision"].values == ("float32", "bfloat16")
    assert found["train.optimizer.precision"].text.endswith("where it is measured to be fast; else float32")
    assert found["text.valid"].default == "[]"
    assert found["model.positions.theta"].default == "10000.0"


@pytest.mark.parametrize("page", [*READMES, *GUIDES], ids=lambda page: page.name)
def test_every_option_named_exists(page: Path) -> None:
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page.read_text()))
    assert mentioned <= set().union(*OPTIONS.values()) | OTHERS


def settings(kind: type, where: str = "") -> Iterator[str]:
    """Every value of a configuration by its full name, those of optional tables behind the table."""
    classes, hints = [kind], dict[str, object]()
    if issubclass(kind, Tagged):
        yield f"{where}kind"
        classes = [each for each in kind.classes.values() if each.__module__.startswith("clearhead.")]
    for each in classes:
        hints |= {field.name: get_type_hints(each)[field.name] for field in fields(each)}
    for name, hint in hints.items():
        if not is_dataclass(hint):
            yield where + name
        for table in (hint, *(get_args(hint) if isinstance(hint, UnionType) else ())):
            if is_dataclass(table) and isinstance(table, type):
                yield from settings(table, f"{where}{name}.")


def test_the_recipe_in_the_guide_can_be_used() -> None:
    (text,) = blocks(GUIDE, "toml")
    table = tomllib.loads(text)
    from_dict(ModelConfig, {"vocabulary": 512, **table["model"]})
    from_dict(TrainConfig, table["train"])


@pytest.mark.parametrize("language", write_note.PAGES)
def test_the_note_says_what_was_found(language: str) -> None:
    text = write_note.PAGES[language].read_text(encoding="utf-8")
    assert write_note.page(language) == text, "run `python tools/write_note.py`"
    assert [name for _, name, _ in write_note.MARKED.findall(text)] == list(EXPERIMENTS)


def test_the_plan_has_the_import_table_that_is_tested() -> None:
    plan = section(ROOT / "docs" / "design.md", "4. The house")
    rows = {}
    for rooms, allowed in re.findall(r"^\| ([a-z_, ]+?)(?: \*\(planned\)\*)? \| (.*) \|$", plan, re.MULTILINE):
        known = set(re.findall("|".join(ROOMS), allowed.partition(";")[0]))
        rows |= {room: known for room in rooms.split(", ") if room != "room"}
    assert rows == ROOMS
    for name in BENEATH | ABOVE:
        assert re.search(rf"^      {name}(\.py|/) ", plan, re.MULTILINE), name


def test_every_room_is_in_the_plan_and_in_the_readme() -> None:
    there = {path.name for path in (ROOT / "src" / "clearhead").iterdir() if (path / "__init__.py").exists()}
    beside = {"tools", "benchmarks", "tests", "docs", "locale"}
    for page in (ROOT / "docs" / "design.md", *READMES):
        named = set(re.findall(r"^ {2,6}(\w+)/ ", page.read_text(), re.MULTILINE))
        assert named - beside == there


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")  # as GitHub makes anchors
        for line in text.splitlines()
        if line.startswith("#")
    }
    for link in links:
        file, _, heading = link.partition("#")
        assert (page.parent / file).exists(), link
        assert file or heading in headings, link
    for script in re.findall(r"python (benchmarks/\w+\.py)", text):
        assert (ROOT / script).exists(), script


def test_every_promise_names_tests_that_there_are() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    promises = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    for promise in promises:
        named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", promise.split(" | ")[-1])
        assert named, promise
        for file, name in named:
            lines = (ROOT / "tests" / file).read_text().splitlines()
            assert not name or any(re.match(rf"(class|def) {name}\b", line) for line in lines), name


def test_every_benchmark_is_told() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")} - {"measure.py", "sizes.py"}
    assert scripts == set(re.findall(r"`python benchmarks/(\w+\.py)", text))
    for script in scripts:
        known = set(re.findall(r'"(--[\w-]+)"', (ROOT / "benchmarks" / script).read_text()))
        told = next(line for line in text.replace("\n  ", " ").splitlines() if line.startswith(f"- `{script}`"))
        assert set(re.findall(r"`(--[\w-]+)`", told)) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_machine(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"(?<![\w.~)`-])/(?:bin|etc|home|mnt|opt|root|srv|tmp|usr|var|work)\b", text) == []
    assert re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|localhost", text) == []
