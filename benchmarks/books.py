"""The best loss on 81 novels in a given time, against nanoGPT's recipe with the same tokenizer and time.

    python benchmarks/books.py --minutes 10

This project: --minutes, which include measuring, evaluating and saving; precision is measured too. The peer: nanoGPT's
recipe on transformers' GPT-2, with the layers and width that the dial chose and its schedule stretched over the same
time, in float32 as nanoGPT trains on a CPU, or with autocast (--precision bfloat16). Its batch is 16, or the best of
three sizes with --search (each gets a tenth of the time, not counted). Tokenising is not counted. Both are evaluated on
the whole of two held-out novels; figures are bits per byte, from one run each.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from clearhead import runs
from clearhead.machine import cores
from clearhead.model import build
from clearhead.recipes import TextConfig
from clearhead.training import evaluate, fit
from clearhead.training.budget import plan_model
from measure import DATA, NanoGPT, need, quiet

BATCHES = (8, 16, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=cores(), help="for the peer; this project measures")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the peer")
    parser.add_argument("--search", action="store_true", help="let the peer try three batch sizes first")
    chosen = parser.parse_args()
    books = need(DATA / "books-en")
    text = TextConfig(sources=(str(books / "train"),), valid=(str(books / "valid"),), vocabulary=chosen.vocabulary)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        material = runs.prepare(text, folder, print)
        valid_bytes = material.valid.text_bytes(1)

        began = time.perf_counter()
        plan = plan_model(
            minutes=chosen.minutes,
            used=0.0,
            vocabulary=material.tokenizer.vocab_size,
            tokens=len(material.train),
            valid=len(material.valid),
            say=print,
        )
        print(*plan.reasons, sep="\n")
        model = build(plan.model, seed=0)
        torch.set_num_threads(plan.train.threads or cores())
        kept: dict[str, torch.Tensor] = {}

        def keep(step: int) -> None:
            kept.update({name: tensor.clone() for name, tensor in model.state_dict().items()})

        hooks = quiet(keep)
        outcome = fit(
            model, plan.train, material.train, material.valid, folder=folder, hooks=hooks,
            used=time.perf_counter() - began,
        )  # fmt: skip
        took = time.perf_counter() - began
        model.load_state_dict(kept)
        ours = evaluate(model, material.valid).bits_per_byte
    tokens = outcome.progress.step * plan.train.batch * plan.model.context
    print(
        f"clearhead: {ours:.4f} bits a byte after {took / 60:.2f} minutes, {outcome.progress.step} steps, "
        f"{tokens / 1e6:.1f} million tokens in {plan.train.precision}",
        flush=True,
    )

    torch.set_num_threads(chosen.threads)
    train = torch.from_numpy(np.asarray(material.train.ids).astype(np.int64))
    valid = torch.from_numpy(np.asarray(material.valid.ids).astype(np.int64))

    def peer(minutes: float, batch: int) -> tuple[float, int]:
        shape = plan.model
        rival = NanoGPT(train, material.tokenizer.vocab_size, seed=0, context=shape.context, batch=batch,
                        layers=shape.layers, width=shape.width, heads=shape.attention.heads)  # fmt: skip
        start, steps = time.perf_counter(), 0
        while (used := (time.perf_counter() - start) / 60 / minutes) < 1:
            with torch.autocast("cpu", torch.bfloat16, enabled=chosen.precision == "bfloat16"):
                rival.step(used)
            steps += 1
        return rival.nats(valid) / math.log(2) / valid_bytes, steps

    batch = 16
    if chosen.search:
        tried = {size: peer(chosen.minutes / 10, size)[0] for size in BATCHES}
        print("peer, a tenth of the time:", {size: round(loss, 4) for size, loss in tried.items()})
        batch = min(tried, key=lambda size: tried[size])
    theirs, steps = peer(chosen.minutes, batch)
    tokens = steps * batch * plan.model.context
    print(
        f"peer: {theirs:.4f} bits a byte after {chosen.minutes:.2f} minutes, {steps} steps of {batch} texts, "
        f"{tokens / 1e6:.1f} million tokens in {chosen.precision}"
    )
    print(f"difference {ours - theirs:+.4f} bits a byte, ratio {ours / theirs:.3f}")


if __name__ == "__main__":
    main()
