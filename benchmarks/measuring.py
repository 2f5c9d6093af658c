"""The cost of measuring every head: the whole atlas, and four of its measures, against a plain pass.

    python benchmarks/measuring.py --tokens 4096 --threads 2

GPT-2 124M's shape with random weights and its context length raised to the text's, float32, one text, logits of the
last place; token ids that repeat as words do (Zipf). A plain pass, a watched one, one column of one head, four measures
of all heads (entropy, weight on the first and the previous token, mean distance) and the atlas of all measures take
turns in one process. With --each, also what each measure adds to a sweep of one layer.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
from torch import Tensor

from clearhead.machine import cores
from clearhead.model import Network, build
from clearhead.watching import COLUMNS, TextRecord, TokenizedText, watch
from clearhead.watching.cells import Agreement
from clearhead.watching.measures import Given, named
from clearhead.watching.reducers import Reducer
from measure import ratios, seconds, spread
from sizes import gpt2

MEASURES = ("entropy", "first", "previous", "distance")


def zipf(tokens: int, vocabulary: int) -> Tensor:
    """ids_1T drawn with probabilities 1 / rank (Zipf 1949)."""
    shares_V = 1 / torch.arange(1, vocabulary + 1).double()
    return torch.multinomial(shares_V, tokens, True, generator=torch.Generator().manual_seed(0))[None]


def column_of(text: TextRecord) -> Tensor:
    """The weight of every query on one key, in one head."""
    return text.map(text.seen()[0], 0)[:, 7]


def measure_of(text: TextRecord, name: str) -> Reducer:
    """A measure of the first layer by its column's name."""
    site = text.seen()[0]
    return Agreement() if name == "agreement" else named(name, Given(text.ids, partial(text.sizes, site)))


def recorded(model: Network, ids_1T: Tensor) -> tuple[float, TextRecord]:
    """The seconds of a pass that keeps q, k and v, and its record."""
    with torch.inference_mode(), watch(model, keep="values") as record:
        took = seconds(lambda: model(ids_1T, last=True))
    ids = ids_1T[0].tolist()
    record.tokenized[0, "decoder"] = TokenizedText(ids=ids, tokens=[str(token) for token in ids])
    return took, record.only()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--each", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    model = build(gpt2(chosen.tokens), seed=0).eval()
    ids_1T = zipf(chosen.tokens, 50257)
    plain: list[float] = []
    watched: list[float] = []
    measured: list[float] = []
    column: list[float] = []
    atlas: list[float] = []
    with torch.inference_mode():
        for _ in range(chosen.rounds):
            plain.append(seconds(lambda: model(ids_1T, last=True)))
            took, text = recorded(model, ids_1T)
            watched.append(took)
            column.append(seconds(partial(column_of, text)))
            measured.append(seconds(partial(text.measure, *MEASURES)))
            atlas.append(seconds(text.atlas))
    print(f"{chosen.threads} thread(s), {chosen.tokens} tokens, torch {torch.__version__}")
    print(f"plain pass                      {spread(plain, 2)} s")
    print(f"watched pass, values kept       {spread(watched, 2)} s")
    print(f"one column of one head          {spread(column, 3)} s")
    print(f"four measures of all heads      {spread(measured, 2)} s")
    print(f"the atlas, all measures         {spread(atlas, 2)} s")
    print(f"four measures / a plain pass    {spread(ratios(plain, measured), 3)}")
    print(f"the atlas / a plain pass        {spread(ratios(plain, atlas), 3)}")
    if chosen.each:
        _, text = recorded(model, ids_1T)
        site = text.seen()[0]
        alone = min(seconds(partial(text.sweep, site)) for _ in range(2))
        print(f"one layer without any measure   {alone:.3f} s")
        for name in COLUMNS:
            took = min(seconds(partial(text.sweep, site, measure_of(text, name))) for _ in range(2))
            print(f"  with {name:<26} {took:.3f} s")


if __name__ == "__main__":
    main()
