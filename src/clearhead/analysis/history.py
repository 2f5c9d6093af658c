"""How the heads of a run form: every head by every measure on one text, in each model that the run kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clearhead import hub, machine
from clearhead.analysis.observe import observe
from clearhead.errors import OptionError, nearest
from clearhead.language_model import LanguageModel
from clearhead.model import evaluating
from clearhead.notebook import Displayed
from clearhead.tap import Site
from clearhead.watching import COLUMNS, Atlas

SCHEMA = "clearhead.history/1"


@dataclass(frozen=True, kw_only=True)
class Formed:
    """A head, and one measure of it at each step. change: the largest value minus the smallest."""

    site: Site
    head: int
    name: str
    values: tuple[float | None, ...]

    @property
    def change(self) -> float:
        known = [value for value in self.values if value is not None]
        return max(known) - min(known) if known else 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class History(Displayed):
    """One atlas of the same text for each kept model of a run.

    run: its folder. steps: those of its kept models. loss: of the text in each, in nats a token; None if they do not
    predict next tokens
    """

    run: str
    text: str
    steps: tuple[int, ...]
    atlases: tuple[Atlas, ...]
    loss: tuple[float, ...] | None

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[tuple[int, Atlas]]:
        """Each step and its atlas."""
        return zip(self.steps, self.atlases, strict=True)

    def __getitem__(self, step: int) -> Atlas:
        """The atlas of a step."""
        if step not in self.steps:
            raise OptionError(f"history: there is no step {step}; there are {', '.join(map(str, self.steps))}")
        return self.atlases[self.steps.index(step)]

    @property
    def measures(self) -> tuple[str, ...]:
        """The columns of every atlas."""
        return self.atlases[0].columns

    @property
    def sites(self) -> tuple[Site, ...]:
        """The attentions, in the order of the pass."""
        return tuple(dict.fromkeys(row.site for row in self.atlases[0]))

    @property
    def values(self) -> Tensor:
        """values_CLHM in float64: step, site of ``sites``, head, measure of ``measures``; NaN where there is none."""
        sites, heads = self.sites, max(row.head for row in self.atlases[0]) + 1
        values_CLHM = torch.full((len(self), len(sites), heads, len(self.measures)), torch.nan, dtype=torch.float64)
        for at, atlas in enumerate(self.atlases):
            for row in atlas:
                found = [torch.nan if value is None else value for value in row.values.values()]
                values_CLHM[at, sites.index(row.site), row.head] = torch.tensor(found, dtype=torch.float64)
        return values_CLHM

    def formed(self, measure: str) -> list[Formed]:
        """Every head by one measure, in descending order of its change. Raises OptionError for an unknown measure."""
        if measure not in self.measures:
            raise OptionError(f"history: there is no measure {measure!r}{nearest(measure, self.measures)}")
        rows = zip(*self.atlases, strict=True)
        found = [
            Formed(
                site=same[0].site,
                head=same[0].head,
                name=same[0].name,
                values=tuple(row.values[measure] for row in same),
            )
            for same in rows
        ]
        return sorted(found, key=lambda each: -each.change)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON: of each head, a list over the steps for each measure."""
        first = self.atlases[0]
        heads = [
            {"site": str(same[0].site), "layer": same[0].site.layer, "head": same[0].head}
            | {name: [row.values[name] for row in same] for name in self.measures}
            for same in zip(*self.atlases, strict=True)
        ]
        return {
            "schema": SCHEMA,
            "run": self.run,
            "text": self.text,
            "tokens": first.tokens,
            "steps": list(self.steps),
            "loss": None if self.loss is None else list(self.loss),
            "measures": {name: COLUMNS[name] for name in self.measures},
            "heads": heads,
        }


def history(
    run: str | Path,
    text: str,
    *,
    measures: Collection[str] = tuple(COLUMNS),
    progress: Callable[[int, int], None] | None = None,
) -> History:
    """The atlas of a text in every model that a run kept (``train --keep``), one model in memory at a time.

    measures: columns of the atlas; by default all. progress: called with (models done, models)

    Raises FolderError for a folder without kept models, OptionError for an unknown measure, or one that no head has on
    this text, and as ``observe`` does.
    """
    for measure in measures:
        if measure not in COLUMNS:
            raise OptionError(f"history: there is no measure {measure!r}{nearest(measure, COLUMNS)}")
    if not measures:
        raise OptionError("history: no measure was named; name one or more, or leave them out for all")
    folder = hub.find(run, weights=False)
    steps = hub.steps(folder)
    if not steps:
        raise hub.none_kept(folder, "how its heads formed is not known")
    atlases, losses = list[Atlas](), list[float | None]()
    for done, step in enumerate(steps, 1):
        model = hub.load(f"{folder}@{step}", device=machine.device(), text=True)
        if "text to text" in model.abilities:
            raise OptionError("history: this model translates, and what it writes differs from step to step")
        record = observe(model, text, keep="values" if "moved" in measures else ())
        atlases.append(record.atlas(columns=measures))
        losses.append(_loss(model, record.ids))
        if progress is not None:
            progress(done, len(steps))
    lacking = set(measures) - set(atlases[0].columns) if set(measures) != set(COLUMNS) else set[str]()
    if lacking:
        raise OptionError(f"history: no head has {', '.join(sorted(lacking))} on this text; leave it out")
    known = [loss for loss in losses if loss is not None]
    return History(
        run=str(run),
        text=text,
        steps=tuple(steps),
        atlases=tuple(atlases),
        loss=tuple(known) if len(known) == len(steps) else None,
    )


def _loss(model: LanguageModel, ids: list[int]) -> float | None:
    """Of a text, in nats a token; None if nothing of it is predicted."""
    if "next tokens" not in model.abilities or len(ids) < 2:
        return None
    ids_1T = torch.tensor([ids], device=model.device)
    with torch.inference_mode(), evaluating(model.network):
        return float(model.network(ids_1T[:, :-1], targets_BT=ids_1T[:, 1:])) / (len(ids) - 1)
