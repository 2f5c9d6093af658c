"""What a record of a whole model keeps, and that hooks on a projection see every pass through it."""

import pytest
import torch

from clearhead.model import build
from clearhead.watching import watch
from little_configs import BERT
from shapes import GPT2, QWEN3

CONFIGS = pytest.mark.parametrize("config", [GPT2, BERT, QWEN3], ids=["GPT-2", "BERT", "Qwen 3"])


@CONFIGS
def test_queries_and_keys_are_kept_as_they_are(config, monkeypatch):
    """They share one tensor that holds nothing else; copies would lie apart, and cost the pass time."""
    monkeypatch.setattr("clearhead.model.parts.linear.FEW", 2)
    model = build(config, seed=0).eval()
    with torch.inference_mode(), watch(model) as record:
        model(torch.arange(5).unsqueeze(0))
    for calls in record.calls().values():
        (call,) = calls
        storage = call.q_BHQD.untyped_storage()
        assert storage.data_ptr() == call.k_BGKD.untyped_storage().data_ptr()
        assert storage.nbytes() == call.q_BHQD.nbytes + call.k_BGKD.nbytes


@CONFIGS
@pytest.mark.parametrize("gradients", [True, False])
def test_hooks_on_the_projection_fire_in_every_pass(config, gradients):
    model = build(config, seed=0).eval()
    seen = []
    for block in model.blocks:
        block.attention.qkv.register_forward_hook(lambda _, inputs, outputs: seen.append([o.shape for o in outputs]))
    with torch.set_grad_enabled(gradients):
        model(torch.arange(5).unsqueeze(0))
    queries, keys, values = config.attention.projections
    assert seen == [[(1, 5, queries + keys), (1, 5, values)]] * config.layers
