"""``--help`` in Chinese: the help of the verbs and their options, and what typer says around it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

from clearhead.language import current, spoken
from clearhead.wrapping import wrapped

# The phrases of typer's own help, and the constants that hold them; "" for phrases that are replaced by hand.
FIXED = {
    "Arguments": "ARGUMENTS_PANEL_TITLE",
    "Options": "OPTIONS_PANEL_TITLE",
    "Commands": "COMMANDS_PANEL_TITLE",
    "[default: {}]": "DEFAULT_STRING",
    "[required]": "REQUIRED_LONG_STRING",
    "Usage: ": "",
    "Show this message and exit.": "",
}


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a docstring, each on one line."""
    yield from (" ".join(each.split()) for each in inspect.cleandoc(text).split("\n\n"))


@contextmanager
def spoken_help(command: Any) -> Generator[Any]:
    """The command with its help in the current language. typer's own phrases are restored after the block."""
    if current() == "en":
        yield command
        return
    from typer import rich_utils

    for each in (command, *command.commands.values()):
        each.help = "\n\n".join(map(spoken, paragraphs(each.help or "")))
        for parameter in each.params:
            parameter.help = spoken(parameter.help or "")
        each.get_usage = partial(_usage, each.get_usage)
        each.get_help_option = partial(_help_option, each.get_help_option)
    ours = {"Markdown": Prose, **{name: spoken(text) for text, name in FIXED.items() if name}}
    theirs = {name: getattr(rich_utils, name) for name in ours}
    _set(rich_utils, ours)
    try:
        yield command
    finally:
        _set(rich_utils, theirs)


def _set(module: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(module, name, value)


def _usage(english: Callable[[Any], str], context: Any) -> str:
    return english(context).replace("Usage: ", spoken("Usage: "), 1)


def _help_option(english: Callable[[Any], Any], context: Any) -> Any:
    option = english(context)
    if option is not None:
        option.help = spoken(option.help)
    return option


class Prose:
    """Help as typer writes it, paragraphs with `code`, in lines broken as Chinese is: rich breaks at spaces only."""

    def __init__(self, text: str, style: str = "") -> None:
        self._paragraphs: list[Text] = []
        for paragraph in text.split("\n\n"):
            line = Text(style=style)
            for number, part in enumerate(paragraph.split("`")):
                line.append(part, "markdown.code" if number % 2 else "")
            self._paragraphs.append(line)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, min(options.max_width, max(line.cell_len for line in self._paragraphs)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, paragraph in enumerate(self._paragraphs):
            if number:
                yield Text()
            yield from wrapped(paragraph, options.max_width)
