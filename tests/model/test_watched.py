"""What a record of a whole model keeps, and that whoever hooks a projection sees every pass through it."""

import pytest
import torch
from shapes import GPT2, QWEN3

from clearhead.model import build
from clearhead.watching import watch
from little_configs import BERT

CONFIGS = pytest.mark.parametrize("config", [GPT2, BERT, QWEN3], ids=["GPT-2", "BERT", "Qwen 3"])


@CONFIGS
def test_queries_and_keys_are_kept_and_no_values_with_them(config):
    """One projection gives all three: a view of it would keep the values alive, half as much again."""
    model = build(config, seed=0).eval()
    with torch.inference_mode(), watch(model) as record:
        model(torch.arange(5).unsqueeze(0))
    a = config.attention
    assert record.nbytes() == config.layers * 5 * (a.heads + a.kv_heads) * a.head_width * 4


@CONFIGS
@pytest.mark.parametrize("gradients", [True, False])
def test_hooks_on_the_projection_fire_in_every_pass(config, gradients):
    model = build(config, seed=0).eval()
    seen = []
    for block in model.blocks:
        block.attention.qkv.register_forward_hook(lambda _, inputs, output: seen.append(output.shape))
    with torch.set_grad_enabled(gradients):
        model(torch.arange(5).unsqueeze(0))
    assert seen == [(1, 5, sum(config.attention.projections))] * config.layers
