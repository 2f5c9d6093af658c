"""An experiment on one claim of the note: what it needs, how it runs, and how its findings become a report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Generic, TypeVar

from clearhead.drawing.report import Report
from clearhead.lab.note.bench import Bench

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class Experiment(Generic[Found]):
    """A claim's experiment.

    needs: what takes minutes of training: "model", "encoder", or the experiment's own name for its own runs
    found: the class of its findings, a frozen dataclass of plain values, stored as JSON
    run: measures; report: turns the findings alone, without running anything, into text, tables and charts
    """

    name: str
    needs: tuple[str, ...]
    found: type[Found]
    run: Callable[[Bench], Found]
    report: Callable[[Found, Phrases], Report]


class Phrases:
    """What an experiment says in one language: ``phrases/NAME.json`` has both."""

    def __init__(self, name: str, language: str) -> None:
        self.language = language
        self._texts = texts_of(name)[language]

    def __call__(self, key: str, **values: object) -> str:
        """The phrase of this name with its fields filled in."""
        return self._texts[key].format(**values)

    def joined(self, parts: Iterable[str]) -> str:
        """Parts of a sentence side by side."""
        return ("，" if self.language == "zh" else ", ").join(parts)

    def listed(self, key: str) -> tuple[str, ...]:
        """Several phrases that belong together, such as the header of a table."""
        return tuple(self._texts[key])


@cache
def texts_of(name: str) -> dict[str, Any]:
    """The phrases of an experiment, by language."""
    return json.loads((resources.files("clearhead.lab.note") / "phrases" / f"{name}.json").read_text(encoding="utf-8"))
