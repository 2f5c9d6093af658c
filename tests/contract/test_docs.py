"""What the documentation names exists: options, settings, rooms, files; and it names no machine."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest
from pages import CHINESE, GUIDE, README, ROOT, blocks, first_cells, section
from test_architecture import ABOVE, BENEATH, ROOMS
from typer.main import get_command

from clearhead import recipes
from clearhead.cli import app
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
OTHERS = {"--help", "--debug"}  # of every verb


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
@pytest.mark.parametrize("verb", ["train", "generate", "chat", "look", "words", "fill", "eval"])
def test_the_guide_tells_every_option_of_a_verb(page: Path, verb: str) -> None:
    told = [option for cell in first_cells(section(page, verb)) for option in re.findall(r"`(-[\w-]+)`", cell)]
    assert len(told) == len(set(told))
    assert set(told) == OPTIONS[verb]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_the_guide_tells_every_option_of_the_small_verbs(page: Path) -> None:
    heading = next(line[3:] for line in page.read_text().splitlines() if line.startswith("## show"))
    verbs = re.findall(r"\w+", heading)
    told = {tuple(re.findall(r"[\w-]+", cell)) for cell in first_cells(section(page, heading))}
    assert told == {(verb, option) for verb in verbs for option in OPTIONS[verb]}
    assert set(OPTIONS) == {"train", "generate", "chat", "look", "words", "fill", "eval", *verbs}


@pytest.mark.parametrize("page", [*READMES, *GUIDES], ids=lambda page: page.name)
def test_every_option_named_exists(page: Path) -> None:
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page.read_text()))
    assert mentioned <= set().union(*OPTIONS.values()) | OTHERS


def settings(kind: type, where: str = "") -> Iterator[str]:
    """Every value of a configuration by its full name."""
    classes, hints = [kind], dict[str, object]()
    if issubclass(kind, Tagged):
        yield f"{where}kind"
        classes = [each for each in kind.classes.values() if each.__module__.startswith("clearhead.")]
    for each in classes:
        hints |= {field.name: get_type_hints(each)[field.name] for field in fields(each)}
    for name, hint in hints.items():
        if is_dataclass(hint) and isinstance(hint, type):
            yield from settings(hint, f"{where}{name}.")
        else:
            yield where + name


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_the_guide_tells_every_setting_and_no_other(page: Path) -> None:
    text = page.read_text()
    cells = [cell for cell in first_cells(text) if re.match(r"`(text|model|train|version)\b", cell)]
    told = [name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)]
    assert sorted(told) == sorted(settings(Recipe))
    for name in (*FEED_FORWARDS, *recipes.names()):
        assert f"`{name}`" in text


def test_the_recipe_in_the_guide_can_be_used() -> None:
    (text,) = blocks(GUIDE, "toml")
    table = tomllib.loads(text)
    from_dict(ModelConfig, {"vocabulary": 512, **table["model"]})
    from_dict(TrainConfig, table["train"])


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
    beside = {"tools", "benchmarks", "tests", "docs"}
    for page in (ROOT / "docs" / "design.md", *READMES):
        named = set(re.findall(r"^ {2,6}(\w+)/ ", page.read_text(), re.MULTILINE))
        assert named - beside == there


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    for link in links:
        assert (page.parent / link).exists(), link
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
