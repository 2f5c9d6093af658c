"""Released checkpoints against transformers: loading, memory, prompts, decoding, and a command's first token.

    python benchmarks/released.py

Folders with random weights in the sizes of GPT-2 124M, Llama 160M and Qwen 3 0.6B, in float32 and, if bfloat16 is much
faster on this machine, bfloat16. Each figure comes from a separate process; the two take turns. Loading: time until the
model can run, and the growth of peak memory (transformers maps the file and reads it in the first pass, so the first
pass is counted for both). Prompt: one pass over --prompt tokens. Decoding: one text, greedy, without lookup and with
each one's defaults. First token: the whole command, including process start.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from clearhead import hub, machine
from clearhead.language_model import LanguageModel
from clearhead.model import ModelConfig, build
from clearhead.text import Tokenizer
from sizes import gpt2, llama, qwen3

SHAPES: dict[str, Callable[[], ModelConfig]] = {"gpt2": gpt2, "llama": llama, "qwen3": qwen3}
PEER_FIRST = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="auto")
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
ids = tokenizer("It was", return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, max_new_tokens=1, do_sample=False)[0]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=512, help="tokens")
    parser.add_argument("--tokens", type=int, default=32, help="new tokens in each run of decoding")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--one", nargs=2, metavar=("WHO", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.one:
        who, folder = chosen.one
        print(json.dumps(one(who, Path(folder), chosen)))
        return
    precisions = [torch.float32] + ([torch.bfloat16] if machine.bfloat16_pays() else [])
    for name in chosen.shapes:
        for dtype in precisions:
            with tempfile.TemporaryDirectory() as place:
                config = SHAPES[name]()
                hub.save(Path(place), LanguageModel(build(config, seed=0).to(dtype), Tokenizer.bytes()))
                print(
                    f"{name}, {config.parameters() / 1e6:.0f} M parameters, {dtype}".replace("torch.", ""), flush=True
                )
                compare(Path(place), chosen)
                if name == "gpt2":
                    first_token(Path(place), chosen)


def compare(folder: Path, chosen: argparse.Namespace) -> None:
    """Prints each figure of both, and the median ratio."""
    runs: dict[str, list[dict[str, float]]] = {"clearhead": [], "transformers": []}
    for turn in range(chosen.rounds):
        for who in list(runs) if turn % 2 == 0 else reversed(runs):
            options = ["--prompt", chosen.prompt, "--tokens", chosen.tokens, "--threads", chosen.threads]
            command = [sys.executable, __file__, "--one", who, folder, *options]
            # Through a shell: on Linux, a child inherits its parent's peak resident size.
            shell = ["sh", "-c", '"$@"; exit $?', "sh", *map(str, command)]
            done = subprocess.run(shell, capture_output=True, text=True, check=True)
            runs[who].append(json.loads(done.stdout.splitlines()[-1]))
    weights = (folder / "model.safetensors").stat().st_size
    for figure in runs["clearhead"][0]:
        mine, theirs = ([run[figure] for run in runs[who]] for who in runs)
        ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
        unit = f" ({statistics.median(mine) / weights:.2f} of the weights)" if figure.endswith("bytes") else ""
        print(f"  {figure:36} clearhead {statistics.median(mine):14,.2f}{unit}, transformers "
              f"{statistics.median(theirs):14,.2f}, ratio {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f} to {max(ratios):.2f})", flush=True)  # fmt: skip


def one(who: str, folder: Path, chosen: argparse.Namespace) -> dict[str, float]:
    """The figures from one process."""
    ids_BT = torch.randint(200, (1, chosen.prompt), generator=torch.Generator().manual_seed(0))
    load, forward, decodings = ours(folder, chosen) if who == "clearhead" else theirs(folder, chosen)
    before = peak()
    figures = {"loading, s": machine.seconds(load, 1), "memory at loading, bytes": peak() - before}
    with torch.inference_mode():
        figures["first pass over 1 token, s"] = machine.seconds(lambda: forward(ids_BT[:, :1]), 1)
        figures["memory after it, bytes"] = peak() - before
        forward(ids_BT)
        figures["prompt, tokens/s"] = chosen.prompt / machine.median_seconds(lambda: forward(ids_BT), 3)
        for name, decode in decodings.items():
            decode(ids_BT[:, :16])
            figures[name] = chosen.tokens / machine.median_seconds(lambda d=decode: d(ids_BT[:, :16]), 3)
    return figures


def peak() -> int:
    """Peak resident size of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


Decoder = Callable[[torch.Tensor], object]
NO_LOOKUP, DEFAULT = "decoding, no lookup, tokens/s", "decoding, default, tokens/s"


def ours(folder: Path, chosen: argparse.Namespace) -> tuple[Callable[[], None], Decoder, dict[str, Decoder]]:
    """How this project loads, reads a prompt and decodes."""
    from clearhead.generation import Sampling
    from clearhead.generation.decoding import Decoding

    machine.keep_freed_memory()  # as the command does
    held: list[LanguageModel] = []

    def decode(ids_BT: torch.Tensor, lookup: bool) -> None:
        sampling = Sampling(max_tokens=chosen.tokens, temperature=0)
        vocabulary = held[0].config.vocabulary
        decoding = Decoding(held[0].network, ids_BT.tolist(), sampling, vocabulary=vocabulary, lookup=lookup)
        written = 0
        while written < chosen.tokens:
            written += len(decoding.step())

    return (
        lambda: held.append(hub.load(folder, dtype="stored")),
        lambda ids_BT: held[0](ids_BT, last=True),
        {NO_LOOKUP: lambda ids: decode(ids, False), DEFAULT: lambda ids: decode(ids, True)},
    )


def theirs(folder: Path, chosen: argparse.Namespace) -> tuple[Callable[[], None], Decoder, dict[str, Decoder]]:
    """The same for transformers, which decodes in one way only."""
    import transformers

    transformers.logging.set_verbosity_error()
    automatic = transformers.AutoModelForCausalLM  # imported before the clock starts
    held: list[Any] = []

    def decode(ids_BT: torch.Tensor) -> None:
        mask_BT = torch.ones_like(ids_BT)
        settings = {"max_new_tokens": chosen.tokens, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        held[0].generate(ids_BT, attention_mask=mask_BT, **settings)

    return (
        lambda: held.append(automatic.from_pretrained(folder, dtype="auto").eval()),
        lambda ids_BT: held[0](ids_BT, use_cache=True, logits_to_keep=1),
        {NO_LOOKUP: decode, DEFAULT: decode},
    )


def first_token(folder: Path, chosen: argparse.Namespace) -> None:
    """Prints the time of whole commands that generate one token."""
    clearhead = Path(sys.executable).with_name("clearhead")
    mine = [clearhead, "generate", folder, "It was", "--max-tokens", "1", "--temperature", "0"]
    peer = [sys.executable, "-c", PEER_FIRST, folder]

    def run(command: Sequence[object]) -> None:
        subprocess.run(list(map(str, command)), capture_output=True, check=True)

    run(mine)
    run(peer)
    pairs = [(machine.seconds(lambda: run(mine), 1), machine.seconds(lambda: run(peer), 1)) for _ in range(5)]
    ratios = [a / b for a, b in pairs]
    print(f"  first token of a command: clearhead {statistics.median(a for a, _ in pairs):.2f} s, transformers "
          f"{statistics.median(b for _, b in pairs):.2f} s, ratio {statistics.median(ratios):.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f})", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
