"""Decoding with a draft: a model in float32 with itself in 8 and 4 bits, and without.

    python benchmarks/drafts.py FOLDER                 a trained model: how often guesses are right decides
    python benchmarks/drafts.py --shape gpt2           random weights of GPT-2 124M's shape

Greedy and at temperature 0.8, from a few tokens; the ways take turns in one process. Printed: tokens a second, the
ratio to no guesses at all, the share of guesses that were right, and whether a text was another one (a near tie).
"""

from __future__ import annotations

import argparse

import torch

import clearhead as ch
from clearhead.generation import Sampling
from clearhead.generation.decoding import Decoding
from clearhead.generation.draft import Draft
from clearhead.language_model import LanguageModel
from clearhead.machine import cores
from clearhead.model import build
from clearhead.model.quantising import quantise
from clearhead.text import Tokenizer
from measure import seconds, spread
from sizes import gpt2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="a trained model")
    parser.add_argument("--shape", choices=["gpt2"], help="random weights instead")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cores())
    chosen = parser.parse_args()
    if (chosen.folder is None) == (chosen.shape is None):
        parser.error("give a folder or --shape")
    torch.set_num_threads(chosen.threads)

    model, rounded = _models(chosen.folder)
    drafts = {f"{bits} bits": Draft(other, model) for bits, other in rounded.items()}
    vocabulary = min(model.tokenizer.vocab_size, model.config.vocabulary)
    prompt = model.encode("It was") if chosen.folder else [11, 22, 33, 44]

    def write(temperature: float, draft: Draft | None, lookup: bool) -> list[int]:
        sampling = Sampling(max_tokens=chosen.tokens, temperature=temperature)
        decoding = Decoding(
            model.network,
            [prompt],
            sampling,
            vocabulary=vocabulary,
            gaps=model.tokenizer.gaps,
            draft=draft,
            lookup=lookup,
        )
        ids: list[int] = []
        while len(ids) < chosen.tokens:
            ids += [token.id for token in decoding.step()]
        return ids[: chosen.tokens]

    for temperature in (0.0, 0.8):
        ways = {
            "no guesses": lambda t=temperature: write(t, None, False),
            "lookup": lambda t=temperature: write(t, None, True),
            **{name: lambda t=temperature, d=draft: write(t, d, False) for name, draft in drafts.items()},
        }
        texts = {name: way() for name, way in ways.items()}
        odd = [name for name, text in texts.items() if text != texts["no guesses"]]
        for draft in drafts.values():
            draft.guessed = draft.right = 0
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(chosen.rounds):
            for name, way in ways.items():
                times[name].append(seconds(way))
        for name in ways:
            ratios = [base / each for base, each in zip(times["no guesses"], times[name], strict=True)]
            draft = drafts.get(name)
            right = f", {draft.right / max(1, draft.guessed):.0%} of the guesses right" if draft else ""
            note = ", another text (a near tie)" if name in odd else ""
            print(
                f"temperature {temperature}, {name}: {chosen.tokens / min(times[name]):.1f} tokens/s, "
                f"ratio {spread(ratios)}{right}{note}"
            )


def _models(folder: str | None) -> tuple[LanguageModel, dict[int, LanguageModel]]:
    if folder is not None:
        return ch.load(folder, dtype="float32"), {bits: ch.load(folder, dtype="float32", bits=bits) for bits in (8, 4)}
    made = [build(gpt2(), seed=0).eval() for _ in range(3)]
    for network, bits in zip(made[1:], (8, 4), strict=True):
        quantise(network, bits)
    model, *rounded = (LanguageModel(network, Tokenizer.bytes()) for network in made)
    return model, dict(zip((8, 4), rounded, strict=True))


if __name__ == "__main__":
    main()
