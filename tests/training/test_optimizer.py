"""Which weights are trained by what: against torch's AdamW, by hand, and through the disk."""

import math
from dataclasses import replace

import pytest
import torch
from small_runs import shape

from clearhead import machine
from clearhead.errors import ConfigError, TrainingError
from clearhead.model import ExpertsConfig, Network, build
from clearhead.training import OptimizerConfig
from clearhead.training.muon import Muon, Slab
from clearhead.training.optimizer import Optimizer, matrices

MUON = OptimizerConfig(lr=0.02, adamw_lr=0.03, weight_decay=0.1, clip=0, precision="float32")
ADAMW = OptimizerConfig(kind="adamw", adamw_lr=0.03, weight_decay=0.1, beta1=0.8, beta2=0.9, clip=0)


def model(seed: int = 0, **options) -> Network:
    return build(shape(layers=2, **options), seed=seed)


def made(config: OptimizerConfig, network: Network) -> Optimizer:
    return Optimizer(network, config)


def fill(network: Network, step: int, scale: float = 1.0) -> None:
    random = torch.Generator().manual_seed(step)
    for p in network.parameters():
        p.grad = scale * torch.randn(p.shape, generator=random)


def test_every_row_of_every_block_matrix_is_in_one_slab():
    network = model(tied=False)
    slabs = list(matrices(network))
    assert [(s.rows, s.parameter.shape[1]) for s in slabs[: len(slabs) // 2]] == [
        (24, 12),  # queries: 4 heads x 6
        (12, 12),  # keys: 2 x 6
        (12, 12),
        (12, 24),  # out
        (17, 12),  # gate
        (17, 12),  # up
        (12, 17),  # down
    ]
    for name, p in network.named_parameters():
        places = sorted((s.start, s.start + s.rows) for s in slabs if s.parameter is p)
        inside = p.dim() == 2 and name.startswith("blocks.")
        assert [row for begin, end in places for row in range(begin, end)] == (list(range(len(p))) if inside else [])


def test_every_expert_is_trained_as_if_alone():
    """Of each stack one matrix at a time; biases and sinks are left to AdamW."""
    plain = shape(layers=1)
    experts = ExpertsConfig(count=3, active=2, bias=True)
    f = replace(plain.feed_forward, width=5, bias=True, experts=experts)
    network = build(replace(plain, feed_forward=f, attention=replace(plain.attention, sinks=True)), seed=0)
    optimizer = made(MUON, network)
    stack = network.blocks[0].feed_forward.up.weight
    slabs = [slab for slab in matrices(network) if slab.parameter is stack]
    assert [(slab.expert, slab.start, slab.rows) for slab in slabs] == [(x, at, 5) for x in range(3) for at in (0, 5)]
    left = {network.blocks[0].attention.sinks, network.blocks[0].feed_forward.router.bias}
    assert left <= set(optimizer.adamw.state)
    fill(network, 0)
    before, gradient = stack.detach().clone(), stack.grad.clone()
    optimizer.step(0.5)
    for expert, start in ((0, 0), (2, 5)):
        rows = slice(start, start + 5)
        alone = torch.nn.Parameter(before[expert, rows].clone())
        alone.grad = gradient[expert, rows].clone()
        peer = Muon([Slab(alone, 0, 5)], lr=0.01, momentum=MUON.momentum, weight_decay=0.1, dtype=torch.float32)
        peer.step()
        torch.testing.assert_close(stack[expert, rows], alone)


@pytest.mark.parametrize("config", [MUON, ADAMW], ids=["muon", "adamw"])
def test_what_muon_leaves_is_trained_as_torchs_adamw_trains_it(config):
    network, other = model(tied=False), model(tied=False)
    optimizer = made(config, network)
    muons = {id(slab.parameter) for slab in matrices(network)} if config.kind == "muon" else set()
    names = [name for name, p in network.named_parameters() if id(p) not in muons]
    rest = {name: p for name, p in other.named_parameters() if name in names}
    assert len(rest) == (len(dict(network.named_parameters())) if config is ADAMW else 2 + 2 * 4 + 1)
    peer = torch.optim.AdamW(
        [
            {"params": [p for p in rest.values() if p.dim() == 2], "weight_decay": 0.1},
            {"params": [p for p in rest.values() if p.dim() == 1], "weight_decay": 0.0},
        ],
        lr=0.03,
        betas=(config.beta1, config.beta2),
        eps=1e-8,
        foreach=False,
    )
    for step, rate in enumerate((0.5, 1.0, 0.25)):
        fill(network, step)
        fill(other, step)
        for group in peer.param_groups:
            group["lr"] = 0.03 * rate
        optimizer.step(rate)
        peer.step()
    own = dict(network.named_parameters())
    for name, p in rest.items():
        assert torch.allclose(own[name], p, atol=1e-6), name


def test_muons_products_are_in_the_dtype_asked_for(monkeypatch):
    """What this machine measures changes nothing."""
    monkeypatch.setattr(machine, "bfloat16_pays", lambda: True)
    dtypes = [made(replace(MUON, precision=asked), model()).muon.dtype for asked in (None, "float32", "bfloat16")]
    assert dtypes == [torch.float32, torch.float32, torch.bfloat16]
    with pytest.raises(ConfigError, match="there is no precision 'bf16'"):
        replace(MUON, precision="bf16")


def test_weights_decay_on_matrices_only():
    """With no gradient nothing moves but by the decay: W (1 - lr rate wd) for matrices, vectors stay."""
    network = model()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = made(MUON, network)
    for p in network.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step(0.5)
    for name, p in network.named_parameters():
        rate = 0.03 if name == "embedding.weight" else 0.02
        kept = 1 - 0.5 * rate * 0.1 if p.dim() == 2 else 1
        assert torch.allclose(p, before[name] * kept, atol=0, rtol=1e-6), name


def test_a_gradient_is_clipped_to_its_norm():
    """AdamW's second step depends on the gradients' relation: with clipping, both have the norm 1 together."""
    config = OptimizerConfig(kind="adamw", adamw_lr=0.03, clip=1.0, weight_decay=0.0)
    network, other = model(), model()
    optimizer, peer = made(config, network), torch.optim.AdamW(other.parameters(), 0.03, (0.9, 0.95), weight_decay=0)
    for step, scale in enumerate((100.0, 0.001)):  # far above the limit, then below it
        fill(network, step, scale)
        fill(other, step, scale)
        norm = math.sqrt(sum(float(p.grad.double().square().sum()) for p in other.parameters()))
        for p in other.parameters():
            p.grad *= min(1.0, 1.0 / norm)
        optimizer.step(1.0)
        peer.step()
    for p, q in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-5)


def test_gradients_are_forgotten_after_a_step():
    network = model()
    optimizer = made(MUON, network)
    fill(network, 0)
    optimizer.step(1.0)
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("config", [MUON, ADAMW], ids=["muon", "adamw"])
def test_a_restored_optimizer_continues_with_the_same_bits(config):
    network = model()
    optimizer = made(config, network)
    for step in range(2):
        fill(network, step)
        optimizer.step(1.0)
    weights = {name: p.clone() for name, p in network.state_dict().items()}
    saved = {name: tensor.clone() for name, tensor in optimizer.state().items()}
    # AdamW keeps three tensors for each of its parameters, Muon one for each shape: 12 x 12, 12 x 17, 12 x 24
    assert len(saved) == (3 * 10 + 3 if config is MUON else 3 * 18)
    fill(network, 2)
    optimizer.step(0.7)
    other = model(seed=9)
    other.load_state_dict(weights)
    again = made(config, other)
    again.restore(saved)
    fill(other, 2)
    again.step(0.7)
    for p, q in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


def test_the_state_of_another_optimizer_or_model_is_refused():
    state = made(MUON, model()).state()
    with pytest.raises(TrainingError, match=r"another model: adamw.*differ"):
        made(ADAMW, model()).restore(state)
    with pytest.raises(TrainingError, match="another model"):
        made(MUON, build(shape(layers=1), seed=0)).restore(state)
