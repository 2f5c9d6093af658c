"""Recurrent and convolutional models against plain PyTorch loops of the same shape: training and generating.

    python benchmarks/rivals.py

The peer is what you would write by hand: nn.Embedding, and in each layer nn.RMSNorm, nn.LSTM, nn.GRU or nn.Conv1d,
nn.Linear and a sum; cross-entropy, clipping, torch.optim.AdamW; to generate, a loop that keeps the state and samples
with torch.multinomial. Both have the same weights, and their losses and greedy ids must be equal before anything is
timed. They take turns in one process. Shapes are the dial's, with as many weights as a Transformer of 3 layers x 160.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clearhead.generation.decoding import Decoding
from clearhead.generation.sampling import Sampling
from clearhead.machine import cores
from clearhead.model import ConvolutionConfig, build
from clearhead.text import Batch
from clearhead.training import OptimizerConfig, batch_loss
from clearhead.training.optimizer import Optimizer
from clearhead.training.shapes import shape
from measure import ratios, seconds, spread

RUNG, VOCABULARY, CONTEXT, BATCH = 1, 256, 256, 8


class Plain(nn.Module):
    """The peer, with the weights of ``ours``."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        c = self.config = ours.config
        self.embedding = nn.Embedding(c.vocabulary, c.width)
        self.norms = nn.ModuleList(nn.RMSNorm(c.width, eps=c.norm.eps) for _ in range(c.layers + 1))
        self.outs = nn.ModuleList(nn.Linear(c.hidden, c.width, bias=False) for _ in range(c.layers))
        self.parts = nn.ModuleList(self.part(n) for n in range(c.layers))
        self.embedding.load_state_dict(ours.embedding.state_dict())
        for mine, theirs in zip(self.norms, [*(layer.norm for layer in ours.layers), ours.norm], strict=True):
            mine.load_state_dict(theirs.state_dict())
        for n, layer in enumerate(ours.layers):
            self.outs[n].load_state_dict(layer.out.state_dict())
            if c.kind == "convolution":
                weight = layer.convolution.weight.detach().view(2 * c.hidden, c.kernel, c.width).transpose(1, 2)
                self.parts[n].load_state_dict({"weight": weight, "bias": layer.convolution.bias.detach()})
            else:
                self.parts[n].load_state_dict(layer.recurrence.fused.state_dict())

    def part(self, n: int) -> nn.Module:
        c = self.config
        if c.kind == "convolution":
            return nn.Conv1d(c.width, 2 * c.hidden, c.kernel, dilation=c.dilation(n))
        return {"lstm": nn.LSTM, "gru": nn.GRU}[c.kind](c.width, c.hidden, batch_first=True)

    def forward(self, ids_BT: Tensor, states: list[Any] | None = None) -> tuple[Tensor, list[Any]]:
        """logits_BTV, and the states after the last place."""
        x_BTE, after = self.embedding(ids_BT), list[Any]()
        for n in range(self.config.layers):
            y_BTE, state = self.norms[n](x_BTE), None if states is None else states[n]
            if self.config.kind == "convolution":
                y_BET, past = y_BTE.transpose(1, 2), self.config.past(n)
                y_BET = F.pad(y_BET, (past, 0)) if state is None else torch.cat((state, y_BET), dim=2)
                after.append(y_BET[:, :, -past:])
                y_BTE = F.glu(self.parts[n](y_BET), dim=1).transpose(1, 2)
            else:
                y_BTE, state = self.parts[n](y_BTE, state)
                after.append(state)
            x_BTE = x_BTE + self.outs[n](y_BTE)
        return F.linear(self.norms[-1](x_BTE), self.embedding.weight), after

    @torch.no_grad()
    def generate(self, prompt: list[int], tokens: int, *, greedy: bool) -> list[int]:
        """New ids, one token per pass."""
        logits_BTV, states = self(torch.tensor([prompt]))
        ids: list[int] = []
        while True:
            last_V = logits_BTV[0, -1]
            ids.append(int(last_V.argmax() if greedy else torch.multinomial(last_V.softmax(dim=0), 1)))
            if len(ids) == tokens:
                return ids
            logits_BTV, states = self(torch.tensor([ids[-1:]]), states)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="training steps in each round")
    parser.add_argument("--tokens", type=int, default=128, help="new tokens in each round")
    parser.add_argument("--threads", type=int, default=cores())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    print(f"{chosen.threads} thread(s), torch {torch.__version__}")
    for kind in ("lstm", "gru", "convolution"):
        compare(kind, shape(RUNG, VOCABULARY, CONTEXT, kind), chosen)
    dilated = replace(cast(ConvolutionConfig, shape(RUNG, VOCABULARY, CONTEXT, "convolution")), dilations=(1, 2, 4, 8))
    compare("convolution, dilated", dilated, chosen)


def compare(kind: str, config: Any, chosen: argparse.Namespace) -> None:
    ours = build(config, seed=0)
    peer = Plain(ours)
    random = np.random.default_rng(0)
    ids_BT = random.integers(VOCABULARY, size=(BATCH, CONTEXT + 1))
    batch = Batch(ids_BT=ids_BT[:, :-1].copy(), targets_BT=ids_BT[:, 1:].copy(), documents_BT=None)
    x_BT, y_BT = torch.from_numpy(batch.ids_BT), torch.from_numpy(batch.targets_BT)
    prompt, n = ids_BT[0, :16].tolist(), chosen.tokens

    def written(temperature: float) -> list[int]:
        sampling = Sampling(max_tokens=n, temperature=temperature)
        decoding = Decoding(ours, [prompt], sampling, vocabulary=VOCABULARY)
        return [decoding.step()[0].id for _ in range(n)]

    def loss() -> Tensor:
        return F.cross_entropy(peer(x_BT)[0].flatten(0, 1), y_BT.flatten())

    mine, theirs = float(batch_loss(ours, batch).detach()), float(loss().detach())
    if abs(mine - theirs) > 1e-4 or written(0) != peer.generate(prompt, n, greedy=True):
        sys.exit(f"{kind}: the losses ({mine}, {theirs}) or the greedy ids differ; nothing was timed")
    updates = Optimizer(ours, OptimizerConfig(kind="adamw", adamw_lr=1e-4))
    adamw = torch.optim.AdamW(peer.parameters(), lr=1e-4)

    def our_step() -> None:
        batch_loss(ours, batch).backward()
        updates.step(1.0)

    def their_step() -> None:
        loss().backward()
        nn.utils.clip_grad_norm_(peer.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad(set_to_none=True)

    print(f"{kind}: {config.parameters():,} weights, {config.layers} layers, hidden {config.hidden}")
    steps = chosen.steps * BATCH * CONTEXT
    for model in (ours, peer):
        model.train()
    told("training", chosen.rounds, steps, repeated(their_step, chosen.steps), repeated(our_step, chosen.steps))
    for model in (ours, peer):
        model.eval()
    told("generating", chosen.rounds, n, lambda: peer.generate(prompt, n, greedy=False), lambda: written(1.0))


def told(name: str, rounds: int, tokens: int, theirs: Callable[[], object], ours: Callable[[], object]) -> None:
    """Times both in turn; prints tokens per second and the ratio."""
    theirs()
    ours()
    pairs = [(tokens / seconds(theirs), tokens / seconds(ours)) for _ in range(rounds)]
    peers, mine = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    print(
        f"  {name:10} clearhead {statistics.median(mine):9,.0f} tokens/s, PyTorch {statistics.median(peers):9,.0f}, "
        f"ratio {spread(ratios(peers, mine))}"
    )


def repeated(work: Callable[[], None], times: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            work()

    return run


if __name__ == "__main__":
    main()
