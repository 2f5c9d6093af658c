"""Decoding speed against transformers' generate: GPT-2 124M's shape, random weights, float32, one prompt.

    python benchmarks/decoding.py

Both have the same weights, and their greedy ids must be equal before anything is timed. Then they take turns in one
process. Three ratios of tokens per second are printed:

greedy, no lookup     every token reads all weights once: bound by memory bandwidth
greedy, default       prompt lookup checks several guesses per pass. A model with random weights soon repeats itself, so
                      nearly all guesses are right: the largest possible gain
sampled, default      temperature 1 over random weights never repeats: the smallest possible gain
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import transformers

from clearhead.generation.decoding import Decoding
from clearhead.generation.sampling import Sampling
from clearhead.hub.families import family_for
from clearhead.hub.families.table import to_theirs
from clearhead.machine import cores
from clearhead.model import build
from measure import seconds, spread
from sizes import gpt2

GPT2 = gpt2()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=64, help="new tokens in each run")
    parser.add_argument("--prompt", type=int, default=16, help="tokens in the prompt")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each, in turn")
    parser.add_argument("--threads", type=int, default=cores(), help="torch threads, for both")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    transformers.logging.set_verbosity_error()

    ours = build(GPT2, seed=0).eval()
    family = family_for(GPT2)
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()
    theirs.load_state_dict(to_theirs(family.table(GPT2), ours.state_dict()), strict=False)
    prompt = torch.randint(GPT2.vocabulary, (1, chosen.prompt), generator=torch.Generator().manual_seed(0)).tolist()

    def run_ours(*, temperature: float, lookup: bool) -> list[int]:
        sampling = Sampling(max_tokens=chosen.tokens, temperature=temperature)
        decoding = Decoding(ours, prompt, sampling, vocabulary=GPT2.vocabulary, lookup=lookup)
        ids: list[int] = []
        while len(ids) < chosen.tokens:
            ids += [token.id for token in decoding.step()]
        return ids[: chosen.tokens]

    def run_theirs(*, sample: bool) -> list[int]:
        settings = {"do_sample": True, "temperature": 1.0, "top_k": 0} if sample else {"do_sample": False}
        ids_BT = torch.tensor(prompt)
        with torch.inference_mode():
            written_BT = theirs.generate(
                ids_BT,
                attention_mask=torch.ones_like(ids_BT),
                max_new_tokens=chosen.tokens,
                eos_token_id=None,
                pad_token_id=0,
                **settings,
            )
        return written_BT[0, chosen.prompt :].tolist()

    expected = run_theirs(sample=False)
    for lookup in (False, True):
        if run_ours(temperature=0, lookup=lookup) != expected:
            raise SystemExit(f"the greedy ids differ from transformers' (lookup {lookup}); nothing was timed")
    print(f"{ours.config.parameters() / 1e6:.0f} M parameters, float32, {chosen.threads} thread(s), prompt of "
          f"{chosen.prompt}, {chosen.tokens} new tokens; torch {torch.__version__}, transformers "
          f"{transformers.__version__}; greedy ids equal")  # fmt: skip
    compare(
        "greedy, no lookup",
        lambda: run_ours(temperature=0, lookup=False),
        lambda: run_theirs(sample=False),
        chosen.tokens,
        chosen.rounds,
    )
    compare(
        "greedy, default",
        lambda: run_ours(temperature=0, lookup=True),
        lambda: run_theirs(sample=False),
        chosen.tokens,
        chosen.rounds,
    )
    compare(
        "sampled, default",
        lambda: run_ours(temperature=1, lookup=True),
        lambda: run_theirs(sample=True),
        chosen.tokens,
        chosen.rounds,
    )


def compare(name: str, ours: Callable[[], object], theirs: Callable[[], object], tokens: int, rounds: int) -> None:
    """Runs both in turn; prints each one's new tokens per second, including the pass over the prompt, and the ratio."""
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    mine, peer = [tokens / one for one, _ in pairs], [tokens / other for _, other in pairs]
    print(
        f"{name:25} clearhead {spread(mine, 1)} tokens/s, transformers {spread(peer, 1)}, "
        f"ratio {spread([other / one for one, other in pairs])}"
    )


if __name__ == "__main__":
    main()
