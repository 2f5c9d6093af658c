"""The cost of measuring every head: entropy, weight on the first and the previous token, and mean distance.

    python benchmarks/measuring.py --tokens 4096 --threads 2

GPT-2 124M's shape with random weights and its context length raised to the text's, float32, one text, logits of the
last place. A plain pass, a watched one, and the four measures of all its heads take turns in one process.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch

from clearhead.machine import cores
from clearhead.model import build
from clearhead.watching import TextRecord, watch
from measure import ratios, seconds, spread
from sizes import gpt2

MEASURES = ("entropy", "first", "previous", "distance")


def column_of(text: TextRecord) -> torch.Tensor:
    """The weight of every query on one key, in one head."""
    return text.map(text.seen()[0], 0)[:, 7]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cores())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    model = build(gpt2(chosen.tokens), seed=0).eval()
    ids_BT = torch.randint(50257, (1, chosen.tokens), generator=torch.Generator().manual_seed(0))
    plain: list[float] = []
    watched: list[float] = []
    measured: list[float] = []
    column: list[float] = []
    with torch.inference_mode():
        for _ in range(chosen.rounds):
            plain.append(seconds(lambda: model(ids_BT, last=True)))
            with watch(model) as record:
                watched.append(seconds(lambda: model(ids_BT, last=True)))
            column.append(seconds(partial(column_of, record.only())))
            measured.append(seconds(partial(record.only().measure, *MEASURES)))
    print(f"{chosen.threads} thread(s), {chosen.tokens} tokens, torch {torch.__version__}")
    print(f"plain pass                      {spread(plain, 2)} s")
    print(f"watched pass                    {spread(watched, 2)} s")
    print(f"one column of one head          {spread(column, 3)} s")
    print(f"four measures of all heads      {spread(measured, 2)} s")
    print(f"four measures / a plain pass    {spread(ratios(plain, measured), 3)}")


if __name__ == "__main__":
    main()
