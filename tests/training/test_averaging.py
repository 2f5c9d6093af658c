"""Averages of weights, and the paper's learning rate, against their definitions."""

from __future__ import annotations

import pytest
import torch

from clearhead.errors import TrainingError
from clearhead.model import Network, build
from clearhead.training import TrainConfig
from clearhead.training.averaging import Averaging
from clearhead.training.config import learning_rate
from little_configs import QWEN3

NAME = "blocks.0.attention.out.weight"


def set_to(model: Network, value: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


def seen(averaging: Averaging, model: Network) -> float:
    """The weights that an evaluation sees; they are all equal."""
    with averaging.applied():
        found = float(model.get_parameter(NAME).detach()[0, 0])
    averaging.evaluated()
    return found


def exponential(model: Network) -> Averaging:
    return Averaging(model, TrainConfig(steps=9, average="exponential", average_decay=0.75))


def test_an_exponential_mean_by_hand() -> None:
    model = build(QWEN3, seed=0)
    averaging, mean = exponential(model), 1.0
    for step, value in enumerate((1.0, 5.0, 3.0, 9.0, 2.0), start=1):
        set_to(model, value)
        averaging.stepped()
        share = max(0.25, 1 / (step + 1))
        mean += share * (value - mean)
    assert seen(averaging, model) == pytest.approx(mean, rel=1e-6)
    assert float(model.get_parameter(NAME).detach()[0, 0]) == 2.0  # its own again


def test_the_mean_at_the_last_evaluations() -> None:
    model = build(QWEN3, seed=0)
    averaging = Averaging(model, TrainConfig(steps=9, average="last", average_of=3))
    found: list[float] = []
    for value in (1.0, 2.0, 6.0, 10.0, 5.0):
        set_to(model, value)
        averaging.stepped()
        found.append(seen(averaging, model))
    assert found == pytest.approx([1.0, 1.5, 3.0, 6.0, 7.0])


def test_a_model_kept_between_evaluations_is_not_of_their_mean() -> None:
    model = build(QWEN3, seed=0)
    averaging = Averaging(model, TrainConfig(steps=9, average="last", average_of=3))
    found: list[float] = []
    for value, evaluated in ((1.0, True), (7.0, False), (5.0, True)):
        set_to(model, value)
        with averaging.applied():
            found.append(float(model.get_parameter(NAME).detach()[0, 0]))
        if evaluated:
            averaging.evaluated()
    assert found == pytest.approx([1.0, 4.0, 3.0])


def test_none_leaves_the_weights() -> None:
    model = build(QWEN3, seed=0)
    averaging = Averaging(model, TrainConfig(steps=9))
    set_to(model, 4.0)
    averaging.stepped()
    assert seen(averaging, model) == 4.0
    assert averaging.state() == {}


def test_a_restored_one_goes_on_with_the_same_bits() -> None:
    model = build(QWEN3, seed=0)
    averaging = exponential(model)
    for value in (1.0, 0.3, 7.7):
        set_to(model, value)
        averaging.stepped()
    restored = exponential(model)
    restored.restore({name: tensor.clone() for name, tensor in averaging.state().items()})
    set_to(model, 0.1)
    for each in (averaging, restored):
        each.stepped()
    assert seen(averaging, model) == seen(restored, model)


def test_one_of_another_model_is_refused() -> None:
    model = build(QWEN3, seed=0)
    averaging = exponential(model)
    averaging.stepped()
    state = {name: tensor[..., :1] if tensor.dim() else tensor for name, tensor in averaging.state().items()}
    with pytest.raises(TrainingError, match=r"^the saved averages do not fit"):
        exponential(model).restore(state)


def test_the_papers_learning_rate() -> None:
    """Vaswani et al. 2017, eq. 3, as a fraction of its peak."""
    config = TrainConfig(steps=1000, schedule="inverse-root", warmup=0.04, decay=0.0)
    warmup = 40
    for step in (10, 40, 160, 1000):
        expected = min(step**-0.5, step * warmup**-1.5) / warmup**-0.5
        assert learning_rate(config, step / 1000) == pytest.approx(expected)
