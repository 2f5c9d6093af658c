"""Copying heads, found and taken out: a two-layer model trained on random tokens that repeat themselves.

    python benchmarks/copying.py

The period changes from text to text, so that copying takes more than reading a fixed distance back. Prints the table
of all heads, and the loss on new and on repeated random tokens: of the whole model, without the heads that find_heads
names as copying, without the induction heads, without both, and without all others.
"""

from __future__ import annotations

import argparse

import torch

from clearhead.analysis import Copying, copying, find_heads
from clearhead.language_model import LanguageModel
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, build

CONTEXT, VOCABULARY, BATCH, PERIODS = 48, 64, 32, (8, 16)


def trained(steps: int, heads: int, seed: int) -> LanguageModel:
    """Two layers of width 64, rotary positions, AdamW."""
    config = DecoderConfig(
        vocabulary=VOCABULARY,
        context=CONTEXT,
        layers=2,
        width=64,
        attention=AttentionConfig(heads=heads, kv_heads=heads, head_width=64 // heads),
        feed_forward=FeedForwardConfig(width=64),
    )
    network, generator = build(config, seed=seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.99), weight_decay=0.01)
    for step in range(steps):
        period = int(torch.randint(PERIODS[0], PERIODS[1] + 1, (1,), generator=generator))
        ids_BT = torch.rand(BATCH, VOCABULARY, generator=generator).argsort(1)[:, :period]
        ids_BT = ids_BT.repeat(1, CONTEXT // period + 1)[:, :CONTEXT]
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 50) * (1 - 0.9 * step / steps)
        loss = network(ids_BT[:, :-1], targets_BT=ids_BT[:, 1:]) / ids_BT[:, 1:].numel()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return LanguageModel(network.eval(), None)


def told(name: str, loss: Copying) -> None:
    print(f"{name:<32} new {loss.new:.3f}, repeated {loss.again:.3f}, gain {loss.gain:.3f} nats")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    model = trained(chosen.steps, chosen.heads, chosen.seed)
    found = find_heads(model)
    print(found.table(found.heads))
    by_loss, by_place = found.named("copying"), found.named("induction")
    both = [each for each in found if each in by_loss or each in by_place]
    others = [each for each in found if each not in both]
    told("the whole model", copying(model))
    told(f"without {len(by_loss)} copying heads", copying(model, by_loss))
    told(f"without {len(by_place)} induction heads", copying(model, by_place))
    told(f"without both, {len(both)} heads", copying(model, both))
    told(f"without the {len(others)} others", copying(model, others))


if __name__ == "__main__":
    main()
