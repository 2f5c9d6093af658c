"""What a record of a whole model keeps."""

import pytest
import torch
from shapes import GPT2, QWEN3

from clearhead.model import build
from clearhead.watching import watch


@pytest.mark.parametrize("config", [GPT2, QWEN3], ids=["GPT-2", "Qwen 3"])
def test_queries_and_keys_are_kept_as_they_are(config):
    """They share one tensor that holds nothing else; copies would lie apart, and cost the pass time."""
    model = build(config, seed=0).eval()
    with torch.inference_mode(), watch(model) as record:
        model(torch.arange(5).unsqueeze(0))
    for site, head in record:
        (segment,) = record.map(site, head)._segments
        call = segment.call
        storage = call.q_BHQD.untyped_storage()
        assert storage.data_ptr() == call.k_BGKD.untyped_storage().data_ptr()
        assert storage.nbytes() == call.q_BHQD.nbytes + call.k_BGKD.nbytes
