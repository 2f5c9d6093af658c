"""Ablating each of 144 heads in turn: one sweep, against a pass for each head in transformers.

    python benchmarks/sweep.py

GPT-2 124M's shape with the same random weights in both, float32, one text of 64 tokens. Measured is the difference of
two logits at the last place. The peer is a plain loop: for each head a hook that zeroes its output, and a pass; once
with the logits of every place, as TransformerLens computes them, and once with those of the last place alone. The sweep
is also made by the gradient. All take turns in one process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
import transformers

from clearhead import hub
from clearhead.analysis import diff, sweep
from clearhead.language_model import LanguageModel
from clearhead.machine import cores, keep_freed_memory
from clearhead.model import build
from clearhead.text import Tokenizer
from measure import ratios, spread
from sizes import gpt2

TOKENS, YES, NO = 64, 7, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cores())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    keep_freed_memory()  # as the command does, for all of them
    model = LanguageModel(build(gpt2(), seed=0).eval(), Tokenizer.bytes())
    with tempfile.TemporaryDirectory() as folder:
        hub.save(Path(folder) / "gpt2", model)
        peer = transformers.GPT2LMHeadModel.from_pretrained(Path(folder) / "gpt2").eval()
    text = "".join(chr(97 + n * 7 % 26) for n in range(chosen.tokens - 1))
    ids_BT = model.ids(text)
    if ids_BT.shape[1] != chosen.tokens:
        raise SystemExit(f"the text has {ids_BT.shape[1]} tokens, not {chosen.tokens}")

    def ours(by: str) -> list[float]:
        return [entry.change for entry in sweep(model, text, "heads", diff(YES, NO), by=by).entries]

    def theirs(last: int) -> list[float]:
        return by_hooks(peer, ids_BT, last)

    names = ("sweep", "gradient", "hooks", "hooks, last place")
    took: dict[str, list[float]] = {name: [] for name in names}
    found: dict[str, list[float]] = {}
    runs = {
        "sweep": lambda: ours("run"),
        "gradient": lambda: ours("gradient"),
        "hooks": lambda: theirs(0),
        "hooks, last place": lambda: theirs(1),
    }
    with torch.no_grad():
        for each in (model, peer):  # warm up
            each(ids_BT)
    for turn in range(chosen.rounds):
        for name in names if turn % 2 == 0 else names[::-1]:
            start = time.perf_counter()
            found[name] = runs[name]()
            took[name].append(time.perf_counter() - start)
    apart = max(abs(a - b) for a, b in zip(found["sweep"], found["hooks"], strict=True))
    size = max(map(abs, found["hooks"]))
    alike = torch.corrcoef(torch.tensor([found["sweep"], found["gradient"]]))[0, 1]
    print(f"{chosen.threads} thread(s), {chosen.tokens} tokens, {len(found['hooks'])} heads, torch {torch.__version__}")
    for name in names:
        print(f"{name:18} {spread(took[name])} s")
    print(f"largest change {size:.3f}; sweep and hooks differ by at most {apart:.1e}")
    print(f"correlation of the gradient's predictions with the sweep: {float(alike):.4f}")
    for peer_name in ("hooks", "hooks, last place"):
        for name in ("sweep", "gradient"):
            ratio = spread(ratios(took[name], took[peer_name]), 1)
            print(f"{name} is {ratio} times as fast as {peer_name}")


@torch.no_grad()
def by_hooks(peer: transformers.GPT2LMHeadModel, ids_BT: torch.Tensor, last: int) -> list[float]:
    """The change of the logit difference when each head is zeroed, a pass each. last: 0 computes all places' logits."""

    def value() -> float:
        logits_V = peer(ids_BT, use_cache=False, logits_to_keep=last).logits[0, -1]
        return float(logits_V[YES] - logits_V[NO])

    base, changes, width = value(), [], peer.config.n_embd // peer.config.n_head
    for layer in peer.transformer.h:
        for head in range(peer.config.n_head):

            def zeroed(module: object, given: tuple[torch.Tensor], head: int = head) -> tuple[torch.Tensor]:
                x_BTX = given[0].clone()
                x_BTX[:, :, head * width : (head + 1) * width] = 0
                return (x_BTX,)

            hook = layer.attn.c_proj.register_forward_pre_hook(zeroed)
            changes.append(value() - base)
            hook.remove()
    return changes


if __name__ == "__main__":
    main()
