"""Runs experiments in a folder. What is finished is in NAME.json, and is not measured again."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from clearhead.drawing.report import Report, draw_report, index, page
from clearhead.errors import ConfigError, FolderError, OptionError, nearest, unread
from clearhead.files import check_name, read_bounded, replacing, write_text
from clearhead.lab.comparison import machine_name
from clearhead.lab.note.bench import Bench, Setting
from clearhead.lab.note.claims import EXPERIMENTS
from clearhead.lab.note.experiment import Phrases
from clearhead.language import LANGUAGES, current
from clearhead.plain import from_dict, to_dict
from clearhead.runs import Events
from clearhead.runs.changes import differing
from clearhead.runs.folder import held

SCHEMA = "clearhead.lab/1"
FILE_AT_MOST = 2**24


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What an experiment found; the content of NAME.json.

    setting: what was asked; machine: on what it was measured; seconds: how long it took, training included
    found: an instance of the experiment's class of findings
    """

    experiment: str
    setting: Setting
    machine: str
    seconds: float
    found: Any

    def report(self, language: str) -> Report:
        """The finding in words and charts, computed from ``found`` alone."""
        return EXPERIMENTS[self.experiment].report(self.found, Phrases(self.experiment, language))


class LabEvents(Events):
    """Callbacks of a session: those of the runs, and these."""

    def begins(self, name: str, number: int, count: int) -> None:
        """Called before experiment ``number`` of ``count``."""
        self.say(f"experiment {number} of {count}: {name}")

    def ended(self, finding: Finding, folder: Path) -> None:
        """Called after an experiment; its files are in ``folder``."""


def carry_out(
    names: Sequence[str],
    folder: Path,
    setting: Setting,
    events: LabEvents,
    *,
    threads: int | None = None,
) -> list[Finding]:
    """Runs the experiments in ``folder`` and writes a .json, a .html and a .png file for each, and index.html.

    Pictures are in the current language, and pages open in it (see clearhead.language).

    threads: of every run; None = the fastest

    Raises OptionError for an unknown experiment, FolderError if the folder holds findings of another setting,
    Interrupted if a run is stopped: the same call continues.
    """
    for name in names:
        if name not in EXPERIMENTS:
            raise OptionError(f"lab: there is no experiment {name!r}{nearest(name, EXPERIMENTS)}")
    check_name(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder):
        known = {name: read(folder, name) for name in EXPERIMENTS if (folder / f"{name}.json").exists()}
        for each in known.values():
            _check_same(folder, each, setting)
        waiting = [name for name in names if name not in known]
        needs = {need for name in waiting for need in EXPERIMENTS[name].needs}
        bench = Bench(folder, setting, needs, events, threads)
        for number, name in enumerate(names, start=1):
            if name in known:
                events.say(f"{name}: measured before; delete {folder / name}.json to measure it again")
            else:
                events.begins(name, number, len(names))
                known[name] = _measured(name, bench)
                _write(folder, known[name])
            _draw(folder, known[name])
            _index(folder, [known[each] for each in EXPERIMENTS if each in known])
            events.ended(known[name], folder)
    return [known[name] for name in names]


def _measured(name: str, bench: Bench) -> Finding:
    before, started = torch.get_num_threads(), time.perf_counter()
    if bench.threads is not None:
        torch.set_num_threads(bench.threads)
    try:
        found = EXPERIMENTS[name].run(bench)
    finally:
        torch.set_num_threads(before)
    seconds = time.perf_counter() - started
    return Finding(experiment=name, setting=bench.setting, machine=machine_name(), seconds=seconds, found=found)


def _draw(folder: Path, finding: Finding) -> None:
    reports = {each: finding.report(each) for each in LANGUAGES}
    with replacing(folder / f"{finding.experiment}.html") as file:
        file.write(page(reports))
    draw_report(reports[current()], folder / f"{finding.experiment}.png")


def _index(folder: Path, findings: Sequence[Finding]) -> None:
    """Writes index.html: every claim with its verdict, and a link to its page."""
    reports = [(f"{each.experiment}.html", {name: each.report(name) for name in LANGUAGES}) for each in findings]
    with replacing(folder / "index.html") as file:
        file.write(index(reports))


def _write(folder: Path, finding: Finding) -> None:
    table = {"schema": SCHEMA, **to_dict(finding)}
    write_text(folder / f"{finding.experiment}.json", json.dumps(table, ensure_ascii=False, indent=1) + "\n")


def read(folder: Path, name: str) -> Finding:
    """The finding of an experiment in a folder. Raises FolderError if there is none, or it was altered."""
    path = folder / f"{name}.json"
    try:
        table = json.loads(read_bounded(path, FILE_AT_MOST))
        if not isinstance(table, dict) or table.get("schema") != SCHEMA or table.get("experiment") != name:
            raise ValueError(f"it is not a finding of {name}")
        values = cast(dict[str, Any], table)
        return Finding(
            experiment=name,
            setting=from_dict(Setting, values["setting"]),
            machine=str(values["machine"]),
            seconds=float(values["seconds"]),
            found=from_dict(EXPERIMENTS[name].found, values["found"]),
        )
    except OSError as fault:
        raise FolderError(f"{path}: cannot be read: {fault.strerror}; give the folder of a lab session") from None
    except (ValueError, TypeError, KeyError, RecursionError, ConfigError) as fault:
        raise FolderError(
            f"{path}: was altered, or is from another version ({unread(fault)}); delete it to measure it again"
        ) from None


def _check_same(folder: Path, finding: Finding, setting: Setting) -> None:
    changed = [
        f"{name} was {old!r} and is now {new!r}"
        for name, old, new in differing(to_dict(finding.setting), to_dict(setting))
    ]
    if changed:
        raise FolderError(
            f"{folder}: {finding.experiment}.json is of another setting: {'; '.join(changed)}; ask as before to "
            "continue it, or choose another folder with --out"
        )
