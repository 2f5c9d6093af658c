"""Senses as a picture, a page, or every number.

The .json file is one object, ``clearhead.senses/1`` for a word in several sentences, ``clearhead.sense-score/1`` for
labelled uses. It has the fields of ``Senses`` or ``SenseScore`` without the vectors, and

    planes     for each plane of points: its level, and x and y of each point; null where all vectors are equal
    accuracy   of a score: by split and vectors, the shares told right by the nearest use and the nearest centroid, each
               of all uses and of those where the word comes first
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from clearhead.analysis import Senses, SenseScore
from clearhead.analysis.lexicon import check_maps
from clearhead.drawing import senses_figure, senses_page
from clearhead.drawing.endings import check_ending
from clearhead.drawing.senses_parts import picture
from clearhead.files import replacing
from clearhead.language import LANGUAGES, current, speaking

SENSES_ENDINGS = (".png", ".svg", ".html", ".json")


def draw_senses(found: Senses | SenseScore, path: str | Path, *, language: str | None = None) -> None:
    """Draws curves over the layers and the uses as points coloured by sense: .png or .svg (extra ``plot``), or .html.

    language: en or zh; None for the one chosen by CLEARHEAD_LANGUAGE or the locale, if any: see clearhead.language

    A .json file has every number. The file is written whole or not at all. Raises OptionError for an unknown file
    extension or language, FolderError if the file cannot be written, MissingExtraError without matplotlib or
    scikit-learn.
    """
    path = Path(path)
    check_senses_path(path)
    ending = path.suffix.lower()
    with speaking(language):
        if ending == ".json":
            content = encoded(found)
        elif ending == ".html":
            content = senses_page.encoded(found, {each: picture(found, each) for each in LANGUAGES})
        else:
            content = senses_figure.drawn(picture(found, current()), path)
    with replacing(path) as file:
        file.write(content)


def check_senses_path(path: Path) -> None:
    """Raises what ``draw_senses`` would raise for this path, before any work is done."""
    check_ending(path, SENSES_ENDINGS)
    check_maps()


def encoded(found: Senses | SenseScore) -> bytes:
    """The file in UTF-8, one entry per line."""
    kind = "senses" if isinstance(found, Senses) else "sense-score"
    values: dict[str, Any] = {"schema": f"clearhead.{kind}/1"} | asdict(replace(found, vectors_LNE=torch.empty(0)))
    del values["vectors_LNE"]
    values["planes"] = [
        None if each.panel is None else {"level": each.level, "places": each.panel.places_N2.tolist()}
        for each in picture(found, "en").planes
    ]
    if isinstance(found, SenseScore):
        values["accuracy"] = accuracies(found)
    lines = (f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def accuracies(found: SenseScore) -> dict[str, dict[str, dict[str, list[float | None]]]]:
    """By split and vectors, the shares told right: of all uses, and of those where the word comes first."""
    guess = {"most frequent": {"nearest": found.majority, "centroid": found.majority}}
    return {
        split.kind: {
            vectors: {way: [found.accuracy(told), found.accuracy(told, found.first)] for way, told in ways.items()}
            for vectors, ways in (
                guess | {each.vectors: {"nearest": each.nearest, "centroid": each.centroid} for each in split.told}
            ).items()
        }
        for split in found.splits
    }
