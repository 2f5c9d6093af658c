"""Time to nanoGPT's validation loss on tinyshakespeare, beside nanoGPT's recipe.

    python benchmarks/time_to_loss.py

The peer makes its 2,000 steps; its time is that of its steps. This project trains the shipped recipe `shakespeare`; its
time is that of the whole of `fit`, evaluations and saving included. Both read the whole validation text (the last
tenth, 111,540 characters) in windows of their context; ours must be at or below 1.8857 nats a character.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from clearhead import recipes, runs
from clearhead.machine import cores
from clearhead.model import build
from clearhead.recipes import TextConfig
from clearhead.train import Hooks, fit, score_of
from measure import SHAKESPEARE, NanoGPT, need, ratios, seconds, spread

GOAL = 1.8857


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cores(), help="of the peer")
    parser.add_argument("--our-threads", type=int, default=cores())
    chosen = parser.parse_args()
    table = recipes.read("shakespeare")
    text = TextConfig(sources=(str(need(SHAKESPEARE)),), tokenizer=table["text"]["tokenizer"])
    material = runs.prepare(text, Path(), print)
    train = torch.from_numpy(np.asarray(material.train.ids).astype(np.int64))
    valid = torch.from_numpy(np.asarray(material.valid.ids).astype(np.int64))
    table["model"]["vocabulary"] = material.tokenizer.vocab_size
    peers: list[float] = []
    ours: list[float] = []
    for seed in range(chosen.rounds):
        torch.set_num_threads(chosen.threads)
        peer = NanoGPT(train, material.tokenizer.vocab_size, seed=seed)

        def run_peer(peer: NanoGPT = peer) -> None:
            for step in range(peer.STEPS):
                peer.step(step / peer.STEPS)

        peers.append(seconds(run_peer))
        peer_loss = peer.nats(valid) / (len(valid) - 1)

        torch.set_num_threads(chosen.our_threads)
        recipe = recipes.resolved({"model": table["model"], "train": {**table["train"], "seed": seed}})
        model = build(recipe.model, seed=seed)
        hooks = Hooks(report=lambda _: None, keep=lambda: None, sample=lambda: "", stop=lambda: False)
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            fit(model, recipe.train, material.train, material.valid, folder=Path(folder), hooks=hooks)
            ours.append(time.perf_counter() - start)
        score = score_of(model, material.valid)
        print(
            f"seed {seed}: peer {peers[-1]:.1f} s, loss {peer_loss:.4f}; clearhead {ours[-1]:.1f} s, loss "
            f"{score.loss:.4f} over {score.tokens:,} characters ({'reached' if score.loss <= GOAL else 'NOT reached'})",
            flush=True,
        )
    print(f"peer {spread(peers, 1)} s; clearhead {spread(ours, 1)} s; ratio {spread(ratios(peers, ours), 3)}")


if __name__ == "__main__":
    main()
