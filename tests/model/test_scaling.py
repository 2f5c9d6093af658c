"""Rates of rotary positions against transformers', at the sizes of released models, and by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, Phi3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.gpt_neox.modeling_gpt_neox import apply_rotary_pos_emb

from clearhead.model import PositionConfig, ScalingConfig
from clearhead.model.parts.positions import Rotary
from clearhead.model.parts.scaling import rates

LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
YARN = {"factor": 4.0, "original_max_position_embeddings": 32768}

# Theta, width of a head, the longest text, our scaling and theirs: as released.
RELEASED: dict[str, tuple[float, int, int, ScalingConfig, dict[str, Any]]] = {
    "linear": (1e6, 128, 131072, ScalingConfig(kind="linear", factor=8.0), {"factor": 8.0}),
    "llama3": (5e5, 128, 131072, ScalingConfig(kind="llama3", factor=8.0, original=8192), LLAMA3),
    "yarn": (1e6, 128, 131072, ScalingConfig(kind="yarn", factor=4.0, original=32768), YARN),
    "yarn, not rounded": (
        1.5e5,
        64,
        131072,
        ScalingConfig(kind="yarn", factor=32.0, original=4096, whole=False),
        {"factor": 32.0, "original_max_position_embeddings": 4096, "truncate": False},
    ),
}


@pytest.mark.parametrize("kind", RELEASED)
def test_as_transformers(kind: str) -> None:
    theta, width, context, scaling, theirs = RELEASED[kind]
    config = LlamaConfig(
        hidden_size=4 * width,
        num_attention_heads=4,
        max_position_embeddings=context,
        rope_parameters={"rope_type": scaling.kind, "rope_theta": theta, **theirs},
    )
    expected_P, factor = ROPE_INIT_FUNCTIONS[scaling.kind](config, torch.device("cpu"))
    rates_P, ours = rates(PositionConfig(theta=theta, scaling=scaling), width, long=False)
    torch.testing.assert_close(rates_P, expected_P, rtol=2e-7, atol=0)
    assert ours == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize("long", [False, True])
def test_longrope_as_transformers(long: bool) -> None:
    """Phi-4 mini's sizes: three quarters of heads of 128 are turned."""
    divisors = {"short_factor": [1.0] * 48, "long_factor": [1 + 0.7 * n for n in range(48)]}
    config = Phi3Config(
        hidden_size=3072,
        num_attention_heads=24,
        max_position_embeddings=131072,
        rope_parameters={"rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.75, **divisors},
    )
    expected_P, factor = ROPE_INIT_FUNCTIONS["longrope"](config, torch.device("cpu"), seq_len=4097 if long else 4096)
    short, longer = (tuple(each) for each in divisors.values())
    scaling = ScalingConfig(kind="longrope", factor=32.0, original=4096, short=short, long=longer)
    rates_P, ours = rates(PositionConfig(scaling=scaling), 96, long)
    torch.testing.assert_close(rates_P, expected_P, rtol=2e-7, atol=0)
    assert ours == pytest.approx(factor, rel=1e-12) == math.sqrt(1 + math.log(32) / math.log(4096))


def test_linear_by_hand() -> None:
    """Twice as slow: place 6 is turned as place 3 was."""
    places_BT = torch.tensor([[3, 6]])
    plain, slow = (
        Rotary(4, PositionConfig(scaling=scaling), 10).turn(places_BT, 7).cos_BT1D[0, :, 0]
        for scaling in (None, ScalingConfig(kind="linear", factor=2.0))
    )
    torch.testing.assert_close(slow[1], plain[0])


def test_llama3_by_hand() -> None:
    """Waves of 2 pi, 20 pi and 200 pi places; above 100 stretched by 8, below 50 kept, between them blended."""
    scaling = ScalingConfig(kind="llama3", factor=8.0, original=200, low=2.0, high=4.0)
    rates_P, factor = rates(PositionConfig(theta=1000.0, scaling=scaling), 6, long=False)
    blend = (200 / (20 * math.pi) - 2) / 2
    expected = [1.0, 0.1 * ((1 - blend) / 8 + blend), 0.01 / 8]
    torch.testing.assert_close(rates_P, torch.tensor(expected), rtol=1e-5, atol=0)
    assert factor == 1


def test_yarn_keeps_the_fastest_and_stretches_the_slowest() -> None:
    """Over 100 places the first pair makes 16 turns and the last 0.02; the factor on both sides is 0.1 ln 5 + 1."""
    scaling = ScalingConfig(kind="yarn", factor=5.0, original=100, fast=10.0, slow=0.5)
    plain_P, _ = rates(PositionConfig(theta=1000.0), 64, long=False)
    rates_P, factor = rates(PositionConfig(theta=1000.0, scaling=scaling), 64, long=False)
    ratio_P = plain_P / rates_P
    torch.testing.assert_close(ratio_P[[0, -1]], torch.tensor([1.0, 5.0]))
    assert (ratio_P.diff() >= -1e-5).all()
    assert factor == pytest.approx(1 + 0.1 * math.log(5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_part_of_a_head_as_transformers(dtype: torch.dtype) -> None:
    places_BT = torch.arange(7).view(1, 7)
    turn = Rotary(16, PositionConfig(theta=50.0, rotated=0.25), 7).turn(places_BT, 7)
    q_BTHD, k_BTHD = torch.randn(2, 2, 7, 3, 16).to(dtype)
    half = turn.cos_BT1D.shape[-1] // 2
    sin_BTD = torch.cat((-turn.sin_BT1D[..., :half], turn.sin_BT1D[..., half:]), dim=-1).squeeze(2)
    cos_BTD = turn.cos_BT1D.squeeze(2)
    q, k = q_BTHD.transpose(1, 2), k_BTHD.transpose(1, 2)
    for ours, theirs in zip(
        (turn(q_BTHD), turn(k_BTHD)), apply_rotary_pos_emb(q, k, cos_BTD.to(dtype), sin_BTD.to(dtype)), strict=True
    ):
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(ours.transpose(1, 2), theirs, rtol=2 * eps, atol=4 * eps)
        assert torch.equal(ours[..., 4:].transpose(1, 2), theirs[..., 4:])
