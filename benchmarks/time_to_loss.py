"""Time to reach nanoGPT's validation loss on tinyshakespeare, against nanoGPT's recipe.

    python benchmarks/time_to_loss.py

The peer's time is that of its 2,000 steps. This project's is that of `fit` with the recipe `shakespeare`, including
evaluations and saving. Both are evaluated on the whole validation text (the last tenth, 111,540 characters) in windows
of their context length; ours must reach 1.8857 nats per character.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from clearhead import recipes, runs
from clearhead.language_model import LanguageModel
from clearhead.machine import cores
from clearhead.model import Network, build
from clearhead.recipes import TextConfig
from clearhead.training import evaluate, fit
from measure import SHAKESPEARE, NanoGPT, need, quiet, ratios, seconds, spread

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
    missed = 0
    for seed in range(chosen.rounds):
        peer = NanoGPT(train, material.tokenizer.vocab_size, seed=seed)
        recipe = recipes.resolved({"model": table["model"], "train": {**table["train"], "seed": seed}})
        model = build(recipe.model, seed=seed)

        def run_peer(peer: NanoGPT = peer) -> None:
            torch.set_num_threads(chosen.threads)
            for step in range(peer.STEPS):
                peer.step(step / peer.STEPS)

        def run_ours(recipe: recipes.Recipe = recipe, model: Network = model) -> None:
            torch.set_num_threads(chosen.our_threads)
            with tempfile.TemporaryDirectory() as place:
                keep = runs.keeper(Path(place), LanguageModel(model, material.tokenizer))
                hooks = quiet(keep)
                fit(model, recipe.train, material.train, material.valid, folder=Path(place), hooks=hooks)

        # They alternate in going first, so that neither always gets the warmer machine.
        turns = [(peers, run_peer), (ours, run_ours)]
        for times, run in turns if seed % 2 == 0 else reversed(turns):
            times.append(seconds(run))
        peer_loss = peer.nats(valid) / (len(valid) - 1)
        evaluation = evaluate(model, material.valid)
        missed += evaluation.loss > GOAL
        print(
            f"seed {seed}: peer {peers[-1]:.1f} s, loss {peer_loss:.4f}; clearhead {ours[-1]:.1f} s, loss "
            f"{evaluation.loss:.4f} over {evaluation.tokens:,} characters "
            f"({'NOT reached' if evaluation.loss > GOAL else 'reached'})",
            flush=True,
        )
    if missed:
        sys.exit(f"{missed} of {chosen.rounds} runs ended above {GOAL}, so there is no time to compare")
    print(f"peer {spread(peers, 1)} s; clearhead {spread(ours, 1)} s; ratio {spread(ratios(peers, ours), 3)}")


if __name__ == "__main__":
    main()
