"""The configuration checks itself; the learning rate by hand."""

import math

import pytest

from clearhead.errors import ConfigError
from clearhead.training import OptimizerConfig, TrainConfig
from clearhead.training.config import learning_rate

HALVES = TrainConfig(steps=1, warmup=0.1, decay=0.5, floor=0.2)


@pytest.mark.parametrize(
    ("progress", "rate"),
    [(0, 0.01), (0.05, 0.5), (0.1, 1), (0.3, 1), (0.5, 1), (0.75, 0.6), (0.875, 0.4), (1, 0.2)],
)
def test_the_learning_rate_by_hand(progress, rate):
    """Up to 1 in the first tenth (from a hundredth: no step is lost), flat to the half, then down to a fifth."""
    assert learning_rate(HALVES, progress) == pytest.approx(rate)


def test_without_warm_up_and_decay_it_is_flat():
    flat = TrainConfig(steps=1, warmup=0, decay=0)
    assert [learning_rate(flat, part) for part in (0, 0.5, 1)] == [1, 1, 1]


def test_it_decays_to_zero_by_default():
    assert learning_rate(TrainConfig(steps=1), 1) == 0
    rates = [learning_rate(TrainConfig(steps=1), n / 100) for n in range(101)]
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


WRONG = [
    ({}, "steps is None and minutes is None; give exactly one"),
    ({"steps": 3, "minutes": 1.0}, "steps is 3 and minutes is 1.0; give exactly one"),
    ({"steps": 0}, "steps is 0; it must be a number at least 1"),
    ({"minutes": 0.0}, "minutes is 0.0; it must be a number above 0"),
    ({"minutes": math.nan}, "minutes is nan; it must be a number above 0"),
    ({"minutes": math.inf}, "minutes is inf; it must be a number above 0"),
    ({"steps": 3, "batch": 0}, "batch is 0; it must be at least 1 and at most 1,099,511,627,776"),
    ({"steps": 3, "batch": 10**20}, "batch is 100000000000000000000; it must be at least 1 and at most 1,099"),
    ({"steps": 3, "evaluations": 0}, "evaluations is 0"),
    ({"steps": 3, "evaluation_tokens": 0}, "evaluation_tokens is 0"),
    ({"steps": 3, "threads": 0}, "threads is 0"),
    ({"steps": 3, "threads": 10**30}, "it must be at most 1024"),
    ({"steps": 3, "seed": -1}, "seed is -1; it must be at least 0 and below"),
    ({"steps": 3, "seed": 2**63}, "seed is 9223372036854775808"),
    ({"steps": 3, "warmup": 1.5}, "warmup is 1.5; it must be a fraction, from 0 to 1"),
    ({"steps": 3, "decay": math.nan}, "decay is nan"),
    ({"steps": 3, "floor": -0.1}, "floor is -0.1"),
    ({"steps": 3, "warmup": 0.5, "decay": 0.6}, "warmup 0.5 and decay 0.6 add up to more than 1"),
    ({"steps": 3, "precision": "bfloat6"}, "there is no precision 'bfloat6'; did you mean 'bfloat16'?"),
]


@pytest.mark.parametrize(("values", "message"), WRONG, ids=[str(values) for values, _ in WRONG])
def test_a_wrong_value_is_refused_with_its_rule(values, message):
    with pytest.raises(ConfigError, match=r"^train: ") as caught:
        TrainConfig(**values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": 0.0}, "lr is 0.0; it must be a number above 0"),
        ({"adamw_lr": math.inf}, "adamw_lr is inf"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0; it must be a number at least 0"),
        ({"clip": math.nan}, "clip is nan"),
        ({"momentum": 1.0}, "momentum is 1.0; it must be at least 0 and below 1"),
        ({"beta1": -0.1}, "beta1 is -0.1"),
        ({"beta2": math.nan}, "beta2 is nan"),
        ({"kind": "mu0n"}, "there is no kind 'mu0n'; did you mean 'muon'?"),
    ],
)
def test_so_is_one_of_the_optimizer(values, message):
    with pytest.raises(ConfigError, match=r"^train\.optimizer: ") as caught:
        OptimizerConfig(**values)
    assert message in str(caught.value)


def test_the_rate_to_speak_of_is_that_of_the_matrices():
    assert OptimizerConfig(lr=0.3, adamw_lr=0.4).peak == 0.3
    assert OptimizerConfig(kind="adamw", lr=0.3, adamw_lr=0.4).peak == 0.4
