"""One attention head in plain Python, without libraries, on the numbers that ``clearhead steps --out x.json`` writes.

    python by_hand.py x.json

recomputes every step and prints the largest difference from the numbers in the file.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

Rows = list[list[float]]  # one row per token


def product(rows: Rows, matrix: Rows, bias: list[float] | None = None) -> Rows:
    """Every row times every row of the matrix (rows @ matrix.T), plus the bias."""
    made = [[sum(a * b for a, b in zip(row, line, strict=True)) for line in matrix] for row in rows]
    return made if bias is None else [[a + b for a, b in zip(row, bias, strict=True)] for row in made]


def normed(rows: Rows, weight: list[float], eps: float, squares: list[float] | None) -> Rows:
    """Every row divided by its root mean square, times the weights; the mean square may be given."""
    made: Rows = []
    for place, row in enumerate(rows):
        mean = sum(a * a for a in row) / len(row) if squares is None else squares[place]
        made.append([a / math.sqrt(mean + eps) * w for a, w in zip(row, weight, strict=True)])
    return made


def turned(rows: Rows, cos: Rows, sin: Rows) -> Rows:
    """The pairs of numbers i and i + width/2 turned by the angle of the row's place; any after them stay."""
    width = len(cos[0])
    return [
        [row[i] * cos[place][i] + row[(i + width // 2) % width] * sin[place][i] for i in range(width)] + row[width:]
        for place, row in enumerate(rows)
    ]


def scores(products: Rows, scale: float, softcap: float | None) -> Rows:
    """How well each query fits each key: q . k times the scale, kept within the soft cap if there is one."""
    made = [[s * scale for s in row] for row in products]
    return made if softcap is None else [[softcap * math.tanh(s / softcap) for s in row] for row in made]


def masked(scores: Rows, hidden: list[list[str | None]]) -> Rows:
    """Minus infinity where the mask hides a key from a query."""
    return [
        [s if why is None else -math.inf for s, why in zip(*pair, strict=True)]
        for pair in zip(scores, hidden, strict=True)
    ]


def softmax(scores: Rows, sink: float | None) -> Rows:
    """e to the power of every score, divided by the row's sum (the sink counts too); zeros where no key is seen."""
    made: Rows = []
    for row in scores:
        peak = max(row + ([] if sink is None else [sink]))
        powers = [math.exp(s - peak) if s > -math.inf else 0.0 for s in row]  # less the peak: e**s alone overflows
        total = sum(powers) + (0.0 if sink is None else math.exp(sink - peak))
        made.append([p / total if total else 0.0 for p in powers])
    return made


def mixed(weights: Rows, value: Rows) -> Rows:
    """The sum of all values, each times its weight (weights @ value)."""
    return product(weights, [list(column) for column in zip(*value, strict=True)])


def added(share: Rows, others: Rows) -> Rows:
    """What this head gives, plus what the other heads and the bias give."""
    return [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(share, others, strict=True)]


def attention(head: dict[str, Any]) -> dict[str, Any]:
    """Every step of the head, under its name in the file."""
    rules, weights, norm, turn = head["rules"], head["weights"], head["norm"], head["turn"]
    made: dict[str, Any] = {}
    for name in ("query", "key", "value"):
        made[name] = product(head["x"], weights[name], weights[f"{name}_bias"])
    q, k = made["query"], made["key"]
    if norm is not None:
        q = made["normed_query"] = normed(q, norm["query"], norm["eps"], norm["query_squares"])
        k = made["normed_key"] = normed(k, norm["key"], norm["eps"], norm["key_squares"])
    if turn is not None:
        q = made["turned_query"] = turned(q, turn["cos"], turn["sin"])
        k = made["turned_key"] = turned(k, turn["cos"], turn["sin"])
    made["products"] = product(q, k)
    made["scores"] = scores(made["products"], rules["scale"], rules["softcap"])
    made["weights"] = softmax(masked(made["scores"], head["hidden"]), rules["sink"])
    made["mixed"] = mixed(made["weights"], made["value"])
    made["share"] = product(made["mixed"], weights["out"])
    made["output"] = added(made["share"], head["others"])
    return made


def difference(one: Rows, other: Rows) -> float:
    """The largest distance between two numbers at the same place."""
    pairs = zip(one, other, strict=True)
    return max(abs(a - b) for rows in pairs for a, b in zip(*rows, strict=True))


if __name__ == "__main__":
    read = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for step, rows in attention(read).items():
        sys.stdout.write(f"{step:<14} {difference(rows, read['steps'][step]):.1e}\n")
