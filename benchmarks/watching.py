"""The cost of watching: a forward pass watched and unwatched, and transformers with and without attention weights.

    python benchmarks/watching.py

GPT-2 124M's shape, float32, one text of 4,096 tokens, logits of the last place. Timed passes take turns in one process.
Memory is the growth of peak resident size in a pass, each in a separate process; measured a second time with an
allocator that returns freed memory at once, so that it is what the pass uses, without what glibc keeps for later.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys

import torch
import transformers

from clearhead.machine import cores
from clearhead.model import build
from clearhead.watching import watch
from measure import ratios, seconds, spread
from sizes import gpt2

TOKENS = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--memory-rounds", type=int, default=2)
    parser.add_argument("--memory", choices=("plain", "watched", "weights", "peer", "peer-weights"))
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.memory:
        print(memory(chosen.memory, chosen.tokens))
        return
    model = build(gpt2(chosen.tokens), seed=0).eval()
    ids_BT = torch.randint(50257, (1, chosen.tokens), generator=torch.Generator().manual_seed(0))
    plain: list[float] = []
    watched: list[float] = []

    def forward() -> torch.Tensor:
        return model(ids_BT, last=True)

    kept = 0
    with torch.inference_mode():
        expected = forward()
        for turn in range(chosen.rounds):
            if turn % 2 == 0:  # neither always goes first
                plain.append(seconds(forward))
            with watch(model) as record:
                watched.append(seconds(forward))
            kept = record.nbytes()
            del record
            if turn % 2:
                plain.append(seconds(forward))
        with watch(model):
            if not torch.equal(forward(), expected):
                sys.exit("the watched logits differ from the unwatched ones")
    print(f"{chosen.threads} thread(s), {chosen.tokens} tokens, torch {torch.__version__}; logits bit-identical")
    print(f"forward pass, watched / unwatched: {spread(ratios(plain, watched), 3)}; kept {kept / 1e9:.2f} GB")
    for returned in (True, False):
        compare_memory(chosen, returned=returned)


def compare_memory(chosen: argparse.Namespace, *, returned: bool) -> None:
    """Prints the memory each kind of pass adds. returned: freed memory is returned at once."""
    print("memory in use, freed memory given back:" if returned else "memory, as the allocator holds it:")
    names = ("plain", "watched", "weights", "peer", "peer-weights")
    runs = {name: [measured(name, chosen, returned) for _ in range(chosen.memory_rounds)] for name in names}
    extra = {name: [bytes_ for bytes_, _ in pairs] for name, pairs in runs.items()}
    for name, pairs in runs.items():
        took = [seconds_ for _, seconds_ in pairs]
        print(
            f"{name:14} {spread([b / 1e9 for b in extra[name]])} GB more at the peak of the pass, {spread(took, 1)} s"
        )
    ours = [weights - plain for weights, plain in zip(extra["weights"], extra["plain"], strict=True)]
    theirs = [weights - plain for weights, plain in zip(extra["peer-weights"], extra["peer"], strict=True)]
    share = spread([mine / peer for mine, peer in zip(ours, theirs, strict=True)], 4)
    print(f"with every weight available: {share} of the memory that output_attentions adds")


def measured(name: str, chosen: argparse.Namespace, returned: bool) -> tuple[float, float]:
    """(bytes, seconds) from a separate process."""
    # Arrays of 1 MB and more get their own mapping, which is unmapped when freed.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)} if returned else None
    command = [
        sys.executable,
        __file__,
        "--memory",
        name,
        "--tokens",
        str(chosen.tokens),
        "--threads",
        str(chosen.threads),
    ]
    # Through a shell: on Linux, a child inherits its parent's peak resident size.
    shell = ["sh", "-c", '"$@"; exit $?', "sh"]
    done = subprocess.run([*shell, *command], env=environment, capture_output=True, text=True, check=True)
    extra, took = done.stdout.split()[-2:]
    return float(extra), float(took)


def memory(name: str, tokens: int) -> str:
    """ "<bytes> <seconds>": how much one pass adds to peak resident size, and how long it takes."""
    ids_BT = torch.randint(50257, (1, tokens), generator=torch.Generator().manual_seed(0))
    if name.startswith("peer"):
        config = transformers.GPT2Config(
            n_positions=tokens, attn_implementation="eager" if "weights" in name else "sdpa"
        )
        peer = transformers.GPT2LMHeadModel(config).eval()

        def run() -> object:
            return peer(ids_BT, output_attentions="weights" in name, use_cache=False, logits_to_keep=1)
    else:
        model = build(gpt2(tokens), seed=0).eval()

        def run() -> object:
            if name == "plain":
                return model(ids_BT, last=True)
            with watch(model) as record:
                model(ids_BT, last=True)
            if name == "weights":
                for site, head in record:
                    attention = record.map(site, head)
                    for _, weights_QK in attention.blocks():
                        weights_QK.sum()
            return record

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with torch.inference_mode():
        took = seconds(run)
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before} {took}"


if __name__ == "__main__":
    main()
