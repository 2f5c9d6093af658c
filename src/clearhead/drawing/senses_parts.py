"""What a picture of senses shows, in one language: curves over the layers, and the uses on a plane at each layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch.nn import functional as F

from clearhead.analysis import Senses, SenseScore
from clearhead.analysis.lexicon import Panel, pca
from clearhead.drawing.languages import phrases

PANELS = 9  # planes in a picture, spread evenly over the layers


@dataclass(frozen=True, kw_only=True)
class LayerCurve:
    """A line over the layers; ``level`` if it is the same number everywhere. None where there is no number."""

    name: str
    values: tuple[float | None, ...]
    level: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Curves with one heading."""

    title: str
    curves: tuple[LayerCurve, ...]


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The uses at one layer, and a note for the reader; ``panel`` is None where they all have the same vector."""

    level: str
    panel: Panel | None
    note: str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Charts, planes, and for every point its group (a sense, or a use) and its sentence."""

    title: str
    ticks: tuple[str, ...]
    axis: str
    charts: tuple[Chart, ...]
    heading: str
    planes: tuple[Plane, ...]
    groups: tuple[str, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]


words = partial(phrases, "senses_words.json")


def picture(found: Senses | SenseScore, language: str) -> Picture:
    """Lays a picture out. Of a score over several words, the planes show the word with the most uses."""
    says = words(language)
    if isinstance(found, Senses):
        charts, title = (_distances(found, says),), found.word
        word, rows = found.word, list(range(len(found.uses)))
        groups = tuple(says["use"].format(number=number + 1) for number in rows)
        sentences = tuple(use.marked for use in found.uses)
    else:
        charts = tuple(_accuracies(found, number, says) for number in range(len(found.splits)))
        word = Counter(found.words).most_common(1)[0][0]
        rows = [at for at, each in enumerate(found.words) if each == word]
        groups = tuple(found.senses[word][found.truth[at]] for at in rows)
        sentences = tuple(found.texts[at] for at in rows)
        title = word if len(found.senses) == 1 else says["uses"].format(count=f"{len(found.words):,}")
    planes = _planes(found, rows, says)
    some = 0 < len(planes) < len(found.levels)
    notes = [says["some"].format(shown=len(planes), count=len(found.levels))] if some else []
    return Picture(
        title=f"{found.model}: {title}" if found.model else title,
        ticks=tuple("e" if each.endswith("embedding") else each.split(".")[1] for each in found.levels),
        axis=says["axis"],
        charts=charts,
        heading=says["points"].format(word=word),
        planes=planes,
        groups=groups,
        sentences=sentences,
        notes=(*notes, *([says["causal"]] if found.causal else [])),
    )


def named(level: str, says: dict[str, Any]) -> str:
    """A level in this language."""
    return says["embedding"] if level.endswith("embedding") else says["layer"].format(number=level.split(".")[1])


def _distances(found: Senses, says: dict[str, Any]) -> Chart:
    count = len(found.uses)
    curves = [
        LayerCurve(
            name=says["pair"].format(one=one + 1, other=other + 1),
            values=tuple(rows[one][other] for rows in found.distances),
        )
        for one in range(count)
        for other in range(one + 1, count)
    ]
    return Chart(title=says["distance"], curves=(*curves, LayerCurve(name=says["others"], values=found.others)))


def _accuracies(found: SenseScore, number: int, says: dict[str, Any]) -> Chart:
    split = found.splits[number]
    told = {each.vectors: each for each in split.told}
    layers = [told[level] for level in found.levels]
    curves = [
        LayerCurve(name=says["nearest"], values=tuple(found.accuracy(each.nearest) for each in layers)),
        LayerCurve(name=says["centroid"], values=tuple(found.accuracy(each.centroid) for each in layers)),
    ]
    if any(found.first):
        first = tuple(found.accuracy(each.nearest, found.first) for each in layers)
        curves.append(LayerCurve(name=says["nearest_first"], values=first))
    flat = {"majority": found.majority, "static": told["static"].nearest, "around": told["around"].nearest}
    curves += [
        LayerCurve(name=says[name], values=(found.accuracy(each),) * len(layers), level=True)
        for name, each in flat.items()
    ]
    kind = says["kinds"].get(split.kind, split.kind)
    return Chart(title=says["accuracy"].format(kind=kind), curves=tuple(curves))


def _planes(found: Senses | SenseScore, rows: Sequence[int], says: dict[str, Any]) -> tuple[Plane, ...]:
    if len(rows) < 3:
        return ()
    count = len(found.levels)
    chosen = range(count) if count <= PANELS else [round(n * (count - 1) / (PANELS - 1)) for n in range(PANELS)]
    planes: list[Plane] = []
    for level in chosen:
        units_NE = F.normalize(found.vectors_LNE[level, list(rows)].double(), dim=-1).numpy()
        equal = bool(np.ptp(units_NE, axis=0).max() < 1e-6)
        panel = None if equal else pca(units_NE)
        note = says["equal"]
        if panel is not None:
            note = says["points_note"].format(share=f"{panel.figure:.0%}")
        planes.append(Plane(level=named(found.levels[level], says), panel=panel, note=note))
    return tuple(planes)
