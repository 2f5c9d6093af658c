"""Activation functions: a hundred linear layers are one, and what each function gives and costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clearhead import machine
from clearhead.drawing.legible import scientific
from clearhead.drawing.report import Bars, Curve, Curves, Paragraph, Report, Table
from clearhead.lab.note.bench import Bench
from clearhead.lab.note.experiment import Experiment, Phrases
from clearhead.lab.note.variants import SHAPE, Variant, trained
from clearhead.model.parts.feed_forward import ACTIVATIONS

LAYERS, SIDE, ROWS = 100, 64, 256  # linear layers, their width, and the rows that go through them
COMPARED = ("identity", "relu", "sigmoid", "tanh", "gelu", "silu", "swiglu")
NUMBERS = 2**20  # that each function is timed on

# The network whose only non-linear part is the activation: two tokens' embeddings side by side, hidden layers, logits.
# It learns TOKENS x TOKENS random next tokens by heart, which a sum f(first) + g(second) cannot hold, and that is all
# that a linear network can give each logit.
TOKENS, EMBEDDED, HIDDEN, DEPTH = 32, 32, 128, 3
STEPS, CHECKS = 400, 8
RATES = (1e-3, 3e-3)


@dataclass(frozen=True, kw_only=True)
class Alone:
    """A small network with one activation, at the better of the learning rates. right: share of the table it knows."""

    kind: str
    rate: float
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    right: float


@dataclass(frozen=True, kw_only=True)
class ActivationFound:
    """What the experiment on activations found.

    apart: largest difference between the rows through all linear layers and times their product, in float64, over
        the largest number; many, one: seconds for the products of all layers, and for one
    networks: those with nothing else non-linear; variants: the Transformer
    kinds, nanoseconds: of each function, per number of NUMBERS in float32, one thread
    """

    apart: float
    many: float
    one: float
    networks: tuple[Alone, ...]
    variants: tuple[Variant, ...]
    kinds: tuple[str, ...]
    nanoseconds: tuple[float, ...]


def run(bench: Bench) -> ActivationFound:
    """Multiplies a hundred layers, trains with each activation, and times the functions."""
    timed = {kind: function for kind, function in ACTIVATIONS.items() if kind in COMPARED}
    apart, many, one = linear_layers(bench.setting.seed)
    return ActivationFound(
        apart=apart,
        many=many,
        one=one,
        networks=_networks(bench.setting.seed),
        variants=trained(bench, "activation", _tables(), bench.minutes("activation")),
        kinds=tuple(timed),
        nanoseconds=tuple(_nanoseconds(timed[kind]) for kind in timed),
    )


def linear_layers(seed: int) -> tuple[float, float, float]:
    """How far apart both ways are, and the seconds of each. The layers are rotations, so that nothing vanishes."""
    generator = torch.Generator().manual_seed(seed)
    random_LEE = torch.randn(LAYERS, SIDE, SIDE, generator=generator, dtype=torch.float64)
    layers = list(torch.linalg.qr(random_LEE).Q)
    x_TE = torch.randn(ROWS, SIDE, generator=generator, dtype=torch.float64)

    def together() -> Tensor:
        return x_TE @ product_EE

    def through() -> Tensor:
        found_TE = x_TE
        for layer_EE in layers:
            found_TE = found_TE @ layer_EE
        return found_TE

    product_EE = torch.linalg.multi_dot(layers)
    apart = float((through() - together()).abs().max() / together().abs().max())
    return apart, machine.median_seconds(through, 9), machine.median_seconds(together, 99)


def _tables() -> dict[str, dict[str, object]]:
    """The feed-forward of each kind; without a gate it is half as wide again, which makes as many weights."""
    wide = SHAPE["feed_forward"]["width"]
    return {
        kind: {"feed_forward": {"kind": kind, "width": wide if kind.endswith("glu") else wide * 3 // 2}}
        for kind in COMPARED
    }


class OnlyActivation(nn.Module):
    """Embeddings of two tokens, side by side, through linear layers with the activation between them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        pairs = list(pairwise([2 * EMBEDDED, *[HIDDEN] * DEPTH]))
        self.embedding = nn.Embedding(TOKENS, EMBEDDED)
        self.layers = nn.ModuleList(nn.Linear(wide, out) for wide, out in pairs)
        self.gates = nn.ModuleList(nn.Linear(wide, out) for wide, out in pairs if kind == "swiglu")
        self.output = nn.Linear(HIDDEN, TOKENS)
        self._activation = ACTIVATIONS["silu" if kind == "swiglu" else kind]

    def forward(self, ids_B2: Tensor) -> Tensor:
        """logits_BV of the token after each two."""
        x_BF = self.embedding(ids_B2).flatten(1)
        for number, layer in enumerate(self.layers):
            if self.gates:
                x_BF = self._activation(self.gates[number](x_BF)) * layer(x_BF)
            else:
                x_BF = self._activation(layer(x_BF))
        return self.output(x_BF)


def _networks(seed: int) -> tuple[Alone, ...]:
    """Each kind at the better of two learning rates, all on the same table for as many steps."""
    generator = torch.Generator().manual_seed(seed)
    ids_B2 = torch.cartesian_prod(torch.arange(TOKENS), torch.arange(TOKENS))
    targets_B = torch.randint(TOKENS, (len(ids_B2),), generator=generator)
    tried = [[_learned(kind, rate, ids_B2, targets_B, seed) for rate in RATES] for kind in COMPARED]
    return tuple(min(each, key=lambda one: one.losses[-1]) for each in tried)


def _learned(kind: str, rate: float, ids_B2: Tensor, targets_B: Tensor, seed: int) -> Alone:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = OnlyActivation(kind)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=STEPS)
    checked = [STEPS * (number + 1) // CHECKS for number in range(CHECKS)]
    losses: list[float] = []
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        F.cross_entropy(network(ids_B2), targets_B).backward()
        optimizer.step()
        schedule.step()
        if step in checked:
            with torch.no_grad():
                losses.append(float(F.cross_entropy(network(ids_B2), targets_B)))
    with torch.no_grad():
        right = float((network(ids_B2).argmax(1) == targets_B).double().mean())
    return Alone(kind=kind, rate=rate, steps=tuple(checked), losses=tuple(losses), right=right)


def _nanoseconds(function: Callable[[Tensor], Tensor]) -> float:
    x_N = torch.randn(NUMBERS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return 1e9 * machine.median_seconds(lambda: function(x_N), 9) / NUMBERS
    finally:
        torch.set_num_threads(threads)


def report(found: ActivationFound, says: Phrases) -> Report:
    """The findings in words and charts."""
    alone = {each.kind: each.losses[-1] for each in found.networks}
    whole = {each.name: each.loss for each in found.variants}
    cost = dict(zip(found.kinds, found.nanoseconds, strict=True))
    best, worst = min(alone, key=alone.__getitem__), max(whole, key=whole.__getitem__)
    one = found.apart < 1e-9
    right = {each.kind: each.right for each in found.networks}
    useless = right["identity"] < min(right[kind] for kind in COMPARED if kind not in ("identity", "sigmoid"))
    holds = "no" if not (one and useless) else "yes" if worst == "identity" else "partly"
    verdict = says(
        "verdict",
        layers=LAYERS,
        apart=scientific(found.apart),
        times=f"{found.many / found.one:.0f}",
        pairs=f"{TOKENS**2:,}",
        identity=f"{right['identity']:.1%}",
        best=best,
        right=f"{right[best]:.1%}",
    )
    verdict += says(
        "whole_worst" if worst == "identity" else "whole_not_worst",
        worst=worst,
        loss=f"{whole[worst]:.3f}",
        identity=f"{whole['identity']:.3f}",
        least=f"{min(whole.values()):.3f}",
    )
    verdict += says("tanh", times=f"{cost['tanh'] / cost['relu']:.1f}")
    return Report(
        title=says("title"),
        claim=says("claim"),
        holds=holds,
        verdict=verdict,
        blocks=(
            Table(
                title=says("linear", layers=LAYERS),
                header=says.listed("linear_header"),
                rows=(
                    (says("apart"), scientific(found.apart)),
                    (says("many", layers=LAYERS), f"{1e6 * found.many:.0f}"),
                    (says("one"), f"{1e6 * found.one:.1f}"),
                ),
                note=says("linear_note", rows=ROWS, side=SIDE),
            ),
            Bars(
                title=says("cost"),
                labels=found.kinds,
                values=found.nanoseconds,
                digits=2,
                note=says("cost_note", numbers=f"{NUMBERS:,}"),
            ),
            Curves(
                title=says("alone"),
                x=says("steps"),
                y=says("nats"),
                curves=_curves({each.kind: (each.steps, each.losses) for each in found.networks}),
                note=says("alone_note", tokens=TOKENS, pairs=f"{TOKENS**2:,}", depth=DEPTH, hidden=HIDDEN),
            ),
            Curves(
                title=says("whole"),
                x=says("steps"),
                y=says("nats"),
                curves=_curves({each.name: (each.steps, each.losses) for each in found.variants}),
                note=says("whole_note"),
            ),
            Table(
                title=says("table"),
                header=says.listed("table_header"),
                rows=tuple(
                    (
                        kind,
                        f"{alone[kind]:.4f}",
                        f"{right[kind]:.1%}",
                        f"{whole[kind]:.4f}",
                        f"{next(each.weights for each in found.variants if each.name == kind):,}",
                        f"{cost[kind]:.2f}" if kind in cost else "",
                    )
                    for kind in sorted(alone, key=alone.__getitem__)
                ),
            ),
            Paragraph(text=says("shapes")),
        ),
        repeat=("clearhead train --corpus world-en --set model.feed_forward.kind=relu",),
    )


def _curves(runs: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]]) -> tuple[Curve, ...]:
    return tuple(Curve(name=name, x=tuple(map(float, steps)), y=losses) for name, (steps, losses) in runs.items())


EXPERIMENT = Experiment(name="activation", needs=("activation",), found=ActivationFound, run=run, report=report)
