"""Training speed at one model size and batch size, against the same loop on transformers' GPT-2.

    python benchmarks/training_speed.py

nanoGPT's CPU size (4 layers, 4 heads, width 128, 0.81 million parameters, context 64, batch 12), whole steps: batch,
forward, backward, clipping, optimizer. GPT-2's shape has the same weights and arithmetic as the peer; Qwen 3's shape
with Muon is this project's default.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable

import numpy as np
import torch

from clearhead.hub.families import gpt2
from clearhead.hub.families.table import to_theirs
from clearhead.machine import cores
from clearhead.model import (
    AttentionConfig,
    DecoderConfig,
    FeedForwardConfig,
    ModelConfig,
    NormConfig,
    PositionConfig,
    build,
)
from clearhead.text import Batch
from clearhead.training import OptimizerConfig, batch_loss
from clearhead.training.optimizer import Optimizer
from measure import NanoGPT, seconds, spread

VOCABULARY, CONTEXT, BATCH = 65, 64, 12
GPT2 = DecoderConfig(
    vocabulary=VOCABULARY,
    context=CONTEXT,
    layers=4,
    width=128,
    attention=AttentionConfig(heads=4, kv_heads=4, head_width=32, bias=True, out_bias=True, head_norm="none"),
    feed_forward=FeedForwardConfig(kind="gelu-tanh", width=512, bias=True),
    norm=NormConfig(kind="layer", eps=1e-5),
    positions=PositionConfig(kind="learned"),
)
QWEN3 = DecoderConfig(
    vocabulary=VOCABULARY,
    context=CONTEXT,
    layers=4,
    width=128,
    attention=AttentionConfig(heads=4, kv_heads=4, head_width=32),
    feed_forward=FeedForwardConfig(width=344),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20, help="steps in each round")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--compile", action="store_true", help="time compiled models too (half a minute more)")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    text = torch.randint(VOCABULARY, (100_000,), generator=torch.Generator().manual_seed(0))
    peer = NanoGPT(text, VOCABULARY, seed=0)
    adamw, muon = OptimizerConfig(kind="adamw", adamw_lr=1e-3), OptimizerConfig()
    check_equal(peer, text)
    runs: dict[str, Callable[[], None]] = {
        "transformers, GPT-2, AdamW": lambda: peer.step(0.5),
        "clearhead, GPT-2's shape, AdamW": stepper(GPT2, adamw, text, compiled=False),
        "clearhead, Qwen 3's shape, AdamW": stepper(QWEN3, adamw, text, compiled=False),
        "clearhead, Qwen 3's shape, Muon": stepper(QWEN3, muon, text, compiled=False),
    }
    if chosen.compile:
        runs["clearhead, GPT-2's shape, AdamW, compiled"] = stepper(GPT2, adamw, text, compiled=True)
        runs["clearhead, Qwen 3's shape, Muon, compiled"] = stepper(QWEN3, muon, text, compiled=True)
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
        run()
    for _ in range(chosen.rounds):
        for name, run in runs.items():
            speeds[name].append(chosen.steps * BATCH * CONTEXT / seconds(lambda run=run: repeat(run, chosen.steps)))
    first = next(iter(speeds.values()))
    print(f"{chosen.threads} thread(s), torch {torch.__version__}")
    for name, values in speeds.items():
        ratio = [mine / theirs for theirs, mine in zip(first, values, strict=True)]
        print(f"{name:44} {statistics.median(values):9,.0f} tokens/s  ratio {spread(ratio)}")


def check_equal(peer: NanoGPT, text: torch.Tensor) -> None:
    """Gives the peer our weights and exits unless both losses agree, so the arithmetic is the same."""
    ours = build(GPT2, seed=0)
    peer.model.load_state_dict(to_theirs(gpt2.table(GPT2), ours.state_dict()), strict=False)
    part = text[: CONTEXT * BATCH + 1]
    ids = part.numpy()
    windows = Batch(ids_BT=ids[:-1].reshape(BATCH, -1), targets_BT=ids[1:].reshape(BATCH, -1), documents_BT=None)
    loss, expected = float(batch_loss(ours, windows).detach()), peer.nats(part) / (CONTEXT * BATCH)
    if abs(loss - expected) > 1e-5:
        sys.exit(f"the losses differ: {loss}, the peer's {expected}; nothing was timed")


def stepper(
    model: ModelConfig, optimizer: OptimizerConfig, text: torch.Tensor, *, compiled: bool
) -> Callable[[], None]:
    """A training step of this project's loop, on random windows like the peer's."""
    network = build(model, seed=0).train()
    run = torch.compile(network) if compiled else network
    updates = Optimizer(network, optimizer)
    random, stream = np.random.default_rng(0), text.numpy()

    def step() -> None:
        places = random.integers(len(stream) - CONTEXT, size=BATCH)
        windows = np.lib.stride_tricks.sliding_window_view(stream, CONTEXT + 1)[places]
        batch = Batch(ids_BT=windows[:, :-1].copy(), targets_BT=windows[:, 1:].copy(), documents_BT=None)
        loss = batch_loss(network, batch, run=run)
        loss.backward()
        updates.step(1.0)

    return step


def repeat(work: Callable[[], None], times: int) -> None:
    for _ in range(times):
        work()


if __name__ == "__main__":
    main()
