"""The memory of a model in fewer bits: while it is loaded, and once it has written.

    python benchmarks/memory.py

A folder with random weights of Qwen 3 0.6B's shape in bfloat16 is opened in 16, 8 and 4 bits, each in a process of its
own, and 16 tokens are written. Both figures are what the process holds beyond what it held when it had opened and used
a model of a few thousand weights, that is, beyond Python, PyTorch and what clearhead imports: "while loading" at most
until the model can run, "after" at most until the tokens are written.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from clearhead import hub, machine
from clearhead.generation import generate
from clearhead.language_model import LanguageModel
from clearhead.model import ModelConfig, build
from clearhead.text import Tokenizer
from sizes import gpt2, llama, qwen3

SHAPES = {"gpt2": gpt2, "llama": llama, "qwen3": qwen3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="qwen3")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16", help="of what is not rounded")
    parser.add_argument("--one", nargs=3, metavar=("FOLDER", "LITTLE", "BITS"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(one(*chosen.one, dtype=chosen.dtype)))
        return
    config = SHAPES[chosen.shape]()
    with tempfile.TemporaryDirectory() as place:
        folder, little = Path(place, "whole"), Path(place, "little")
        save(folder, config)
        save(little, replace(config, vocabulary=300, layers=1, width=64))
        print(f"{chosen.shape}, {config.parameters() / 1e6:.0f} M weights, the rest in {chosen.dtype}")
        for bits in (16, 8, 4):
            command = [sys.executable, __file__, "--dtype", chosen.dtype, "--one", folder, little, bits]
            # Through a shell: on Linux, a child inherits its parent's peak resident size.
            shell = ["sh", "-c", '"$@"; exit $?', "sh", *map(str, command)]
            found = json.loads(subprocess.run(shell, capture_output=True, text=True, check=True).stdout)
            print(
                f"  {bits:2} bits: while loading {found['loading'] / 1e9:.2f} GB, after {found['after'] / 1e9:.2f} GB"
            )


def save(folder: Path, config: ModelConfig) -> None:
    hub.save(folder, LanguageModel(build(config, seed=0).to(torch.bfloat16), Tokenizer.bytes()))


def one(folder: str, little: str, bits: str, *, dtype: str) -> dict[str, int]:
    """The growth of this process in bytes, at its largest, until the model can run and until it has written."""
    machine.keep_freed_memory()  # as the command does
    rounded = None if bits == "16" else int(bits)
    run(hub.load(little, dtype=dtype, bits=rounded))
    before = peak()
    model = hub.load(folder, dtype=dtype, bits=rounded)
    loading = peak() - before
    run(model)
    return {"loading": loading, "after": peak() - before}


def run(model: LanguageModel) -> None:
    generate(model, "It was", max_tokens=16, temperature=0)


def peak() -> int:
    """The most memory that this process ever held, in bytes (Linux)."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
