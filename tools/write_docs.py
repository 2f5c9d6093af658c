"""Writes the tables of options and settings in both guides, and keeps the Chinese catalogue in step with the code.

    make docs

The English is in the code: every message (messages.py says what is one), the help of the verbs and their options, the
comment beside a field of a config class. The Chinese is in src/clearhead/locale/zh/LC_MESSAGES/clearhead.po, a gettext
catalogue. Run this after a change to either. New English gets an empty entry there; changed English keeps its old
Chinese, marked fuzzy. Until the Chinese is written or checked, readers get the English text, and
tests/contract/test_docs.py lists what is missing.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from types import NoneType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

import tomli_w
from babel.messages import Catalog
from babel.messages.pofile import read_po, write_po
from typer.main import get_command

from clearhead.catalogue import FIELD, PREFIXES
from clearhead.cli import app
from clearhead.cli.helping import FIXED, paragraphs
from clearhead.files import replacing
from clearhead.model import FEED_FORWARDS
from clearhead.plain import Tagged
from clearhead.recipes import Recipe
from messages import messages

ROOT = Path(__file__).parents[1]
CATALOGUE = ROOT / "src" / "clearhead" / "locale" / "zh" / "LC_MESSAGES" / "clearhead.po"
GUIDES = {"en": ROOT / "docs" / "guide.md", "zh": ROOT / "docs" / "guide.zh-CN.md"}

HEADER = """\
# The Chinese of what clearhead says. `make docs` adds and removes entries; write the Chinese as msgstr.
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\nLanguage: zh\\n"

"""

# The tables' own words. {} are filled in: names, a default, a text and the values it may have.
OPTION, SETTING, MEANING, DEFAULT = "option", "setting", "meaning", "default"
JOINED, WITH_DEFAULT, WITH_VALUES = ", ", "{} Default: `{}`.", "{}; one of {}"
OWN = (OPTION, SETTING, MEANING, DEFAULT, JOINED, WITH_DEFAULT, WITH_VALUES)

# Values of settings whose types do not list them.
VALUES = {
    "model.feed_forward.kind": tuple(FEED_FORWARDS),
    "model.prediction.activation": tuple(name for name, (_, gated) in FEED_FORWARDS.items() if not gated),
}

# In the guides: "<!-- options: train -->", a table, "<!-- end -->".
MARKED = re.compile(r"(<!-- (options|settings): ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Translate = Callable[[str], str]


@dataclass(frozen=True)
class Row:
    """An option or a setting: its names, its text in English, its default and the values it may have."""

    names: tuple[str, ...]
    text: str
    default: str
    values: tuple[str, ...] = ()


@cache
def options() -> dict[str, list[Row]]:
    """The options of each verb that has any, in the order of its --help."""
    found: dict[str, list[Row]] = {}
    for verb, command in get_command(app).commands.items():
        for parameter in command.params:
            names = tuple(name for name in parameter.opts if name.startswith("-"))
            if not names or "--help" in names:
                continue
            if not parameter.help:
                raise SystemExit(f"clearhead {verb} {names[0]}: has no help; write it beside the option in cli/")
            default = parameter.default
            default = "" if default in (None, False) else f"{default:g}" if isinstance(default, float) else str(default)
            found.setdefault(verb, []).append(Row(names, parameter.help, default))
    return found


def helps() -> dict[str, list[str]]:
    """What --help says besides the options: of the command and of each verb, its paragraphs and its arguments."""
    found: dict[str, list[str]] = {}
    whole = get_command(app)
    for verb, command in {"": whole, **whole.commands}.items():
        about = [*paragraphs(command.help or "")]
        about += [each.help or "" for each in command.params if verb == "" or each.param_type_name == "argument"]
        for text in filter(None, about):
            found.setdefault(text, []).append(f"clearhead {verb}".strip())
    return found


def settings(kind: type = Recipe, where: str = "") -> Iterator[Row]:
    """Every value of a configuration by its full name, as --set and recipe.toml have it."""
    classes: list[type] = [kind]
    if issubclass(kind, Tagged):
        known = {name: each for name, each in kind.classes.items() if each.__module__.startswith("clearhead.")}
        known = {kind.default: known[kind.default], **known}
        classes = list(known.values())
        yield Row((f"{where}kind",), f"kind of {where.rstrip('.')}", _toml(kind.default), tuple(known))
    seen: set[str] = set()
    for each in classes:
        hints, texts = get_type_hints(each), comments(each)
        for field in fields(each):
            if field.name in seen:
                continue
            seen.add(field.name)
            name, hint = f"{where}{field.name}", hints[field.name]
            arguments = get_args(hint)
            if not is_dataclass(hint):
                if not texts.get(field.name):
                    raise SystemExit(f"{each.__module__}, {each.__name__}.{field.name}: has no comment; say what it is")
                yield Row((name,), texts[field.name], _default(field), VALUES.get(name, tuple(_words(hint))))
            for table in (hint, *(arguments if NoneType in arguments else ())):
                if is_dataclass(table) and isinstance(table, type):
                    yield from settings(table, f"{name}.")


def _words(hint: Any) -> Iterator[str]:
    """The strings that a type allows, where it lists them."""
    for each in get_args(hint):
        if get_origin(hint) is Literal and isinstance(each, str):
            yield each
        elif get_origin(hint) is not Literal:
            yield from _words(each)


def _default(field: Field[Any]) -> str:
    """The default as TOML has it; empty where there is none or the setting is left out."""
    return "" if field.default is MISSING or field.default is None else _toml(field.default)


def _toml(value: Any) -> str:
    if isinstance(value, tuple):  # tomli_w would put each item on a line of its own
        return f"[{', '.join(map(_toml, cast(tuple[Any, ...], value)))}]"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").strip()


def comments(kind: type) -> dict[str, str]:
    """The comment of each field of a config class: behind it, or else on the lines above it."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if not is_dataclass(each):
            continue
        source = textwrap.dedent(inspect.getsource(each))
        lines = [line.strip() for line in source.splitlines()]
        (definition,) = ast.parse(source).body
        assert isinstance(definition, ast.ClassDef)
        for node in definition.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                above = [*takewhile(lambda line: line.startswith("#"), reversed(lines[: node.lineno - 1]))]
                _, hash_, behind = lines[node.lineno - 1].partition("  # ")
                text = behind if hash_ else " ".join(line.removeprefix("# ") for line in reversed(above))
                found[node.target.id] = text.replace("None = ", "left out: ")
    return found


def template() -> Catalog:
    """Every message there is, without translations; a comment says where each stands."""
    catalogue = Catalog()
    for text in OWN:
        catalogue.add(text, auto_comments=["the tables of the guides"])
    for verb, rows in options().items():
        for row in rows:
            catalogue.add(row.text, auto_comments=[f"{verb} {row.names[0]}"])
    for row in settings():
        catalogue.add(row.text, auto_comments=list(row.names))
    for text in FIXED:
        catalogue.add(text, auto_comments=["--help"])
    for text in PREFIXES:
        catalogue.add(text, auto_comments=["standard error"])
    for text, places in {**helps(), **messages()}.items():
        catalogue.add(text, auto_comments=places)
    return catalogue


def catalogue() -> Catalog:
    """The catalogue in step with the code: what is new has no Chinese, what has changed is fuzzy."""
    with CATALOGUE.open("rb") as file:
        found = read_po(file, locale="zh")
    found.update(template())
    return found


def written(catalogue: Catalog) -> str:
    """The catalogue as it stands in its file."""
    out = io.BytesIO()
    write_po(out, catalogue, width=120, omit_header=True, ignore_obsolete=True, include_previous=True)
    return HEADER + out.getvalue().decode("utf-8").lstrip("\n")


def gaps(catalogue: Catalog) -> list[str]:
    """The messages whose Chinese is missing, is that of an earlier English, or has other fields."""
    found: list[str] = []
    for message in catalogue:
        where, text, string = ", ".join(message.auto_comments), str(message.id), str(message.string)
        numbers = [sorted(number for number, _ in FIELD.findall(each)) for each in (text, string)]
        if text and message.fuzzy:
            found.append(f"{where}: {text!r}: check the Chinese and remove the line '#, fuzzy'")
        elif text and not string:
            found.append(f"{where}: {text!r}: write its Chinese as msgstr")
        elif text and numbers[0] != numbers[1]:
            found.append(f"{where}: {text!r}: its Chinese must have its fields, {', '.join(numbers[0])}, each once")
    return found


def chinese(catalogue: Catalog) -> Translate:
    """Gives the Chinese of a message; the English where there is none that is sure."""

    def translate(text: str) -> str:
        message = catalogue.get(text)
        return text if message is None or message.fuzzy or not message.string else str(message.string)

    return translate


def table(kind: str, wanted: list[str], translate: Translate) -> str:
    """The table of the options of some verbs, or of the settings below some names."""
    if kind == "options":
        prefix = {verb: f"{verb} " if len(wanted) > 1 else "" for verb in wanted}
        rows = [(row, prefix[verb]) for verb, each in options().items() if verb in wanted for row in each]
    else:
        rows = [(row, "") for row in settings() if row.names[0].split(".")[0] in wanted]
    head = (OPTION, MEANING) if kind == "options" else (SETTING, DEFAULT, MEANING)
    lines = [[translate(text) for text in head], ["---"] * len(head)]
    for row, verb in rows:
        names = translate(JOINED).join(f"`{verb}{name}`" for name in row.names)
        text, default = translate(row.text), f"`{row.default}`" if row.default else ""
        if row.values:
            text = translate(WITH_VALUES).format(text, translate(JOINED).join(f"`{value}`" for value in row.values))
        if kind == "options":
            lines.append([names, translate(WITH_DEFAULT).format(text, row.default) if row.default else text])
        else:
            lines.append([names, default, text])
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def page(text: str, translate: Translate) -> str:
    """A guide with its tables written anew."""
    return MARKED.sub(lambda found: found[1] + table(found[2], found[3].split(), translate) + found[4], text)


def main() -> None:
    """Writes the catalogue and both guides, and lists what has no Chinese."""
    words = catalogue()
    with replacing(CATALOGUE) as file:
        file.write(written(words).encode("utf-8"))
    for language, guide in GUIDES.items():
        text = page(guide.read_text(encoding="utf-8"), chinese(words) if language == "zh" else str)
        with replacing(guide) as file:
            file.write(text.encode("utf-8"))
    for gap in gaps(words):
        print(f"{CATALOGUE.relative_to(ROOT)}: {gap}")


if __name__ == "__main__":
    main()
