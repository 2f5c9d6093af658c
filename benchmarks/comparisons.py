"""Does a model without attention grasp context? Kinds of models of equal size on three texts.

    python benchmarks/comparisons.py

recall: associative recall with rows of 256 tokens and 16 pairs, widths 64, 128 and 256. books: 81 novels, three seeds,
about 10 minutes a run. facts: world-en, about 5 minutes a run, what it recalls by distance. Each is one `clearhead
compare` in a folder of its own below --out; the same command continues what was stopped. There is no peer: the models
are each other's.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

import clearhead as ch
from clearhead import lab
from measure import DATA, need

ALL = ("transformer", "lstm", "gru", "lstm-attention", "gru-attention", "convolution")
NAMED = ("transformer", "lstm", "gru", "lstm-attention", "convolution")

# Minutes of each part.
PARTS = {"recall": 240.0, "books": 400.0, "facts": 60.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=tuple(PARTS), action="append", help="only this one; repeatable")
    parser.add_argument("--minutes", type=float, help="for each part, instead of its own")
    parser.add_argument("--out", type=Path, default=Path("comparisons"))
    chosen = parser.parse_args()
    for part in chosen.part or PARTS:
        print(f"{part}:")
        minutes = chosen.minutes or PARTS[part]
        found = ch.compare(**asked(part), minutes=minutes, out=chosen.out / part, say=print)
        Console(width=160).print(lab.ComparisonTable(found))
        lab.draw_comparison(found, chosen.out / part / "comparison.svg")


def asked(part: str) -> dict[str, Any]:
    if part == "recall":
        return {"corpus": "mqar-256-16", "models": ALL, "widths": (64, 128, 256), "speeds": False}
    if part == "facts":
        return {"corpus": "world-en", "models": NAMED}
    books = need(DATA / "books-en")
    text = {"text": books / "train", "valid": books / "valid", "vocabulary": 4096}
    return {**text, "models": NAMED, "seeds": 3, "speeds": False}


if __name__ == "__main__":
    main()
