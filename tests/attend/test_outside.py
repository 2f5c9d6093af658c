"""The rule against other implementations: transformers' eager attention, and GPT-2's own scores and weights."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from clearhead.attend import Mask, Score, attend, causal, documents, left_padding, window
from clearhead.watching import watch
from definition import SITE, Watched, tensors

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "gpt2-reference"

MASKS = {
    "causal": causal(),
    "window": causal() & window(4),
    "documents": causal() & documents(torch.tensor([[0] * 4 + [1] * 7, [3] * 9 + [2] * 2])),
    "left padding": causal() & left_padding(torch.tensor([0, 3])),  # the last 5 places see a key each
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("family", ["qwen3", "gemma2", "gpt_oss"])
def test_eager_attention_of_transformers(family: str, mask: Mask) -> None:
    """Qwen 3: the plain rule with grouped heads; Gemma 2: soft caps; GPT-OSS: sinks."""
    heads, groups, queries = 6, 3, 5
    q, k, v = tensors(heads, groups, queries)
    sinks = torch.linspace(-1, 2, heads, dtype=torch.float64)
    module = SimpleNamespace(num_key_value_groups=heads // groups, training=False, sinks=sinks, head_dim=7)
    visible = mask.tile(
        slice(0, queries), batch=2, heads=heads, queries=queries, keys=k.shape[2], device=torch.device("cpu")
    )
    added = torch.zeros(visible.shape, dtype=torch.float64).masked_fill(~visible, -torch.inf)
    if family == "qwen3":
        from transformers.models.qwen3.modeling_qwen3 import eager_attention_forward

        o, p = eager_attention_forward(module, q, k, v, added, scaling=7**-0.5)
        score = Score()
    elif family == "gemma2":
        from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward

        o, p = eager_attention_forward(module, q, k, v, added, scaling=0.3, softcap=2.0)
        score = Score(scale=0.3, softcap=2.0)
    else:
        from transformers.models.gpt_oss.modeling_gpt_oss import eager_attention_forward

        o, p = eager_attention_forward(module, q, k, v, added, scaling=7**-0.5)
        score = Score(sinks_H=sinks)
    with watch(Watched({SITE: heads})) as record:
        ours = attend(q, k, v, mask=mask, score=score, site=SITE)
    # their softmax is float32 whatever the model's dtype
    torch.testing.assert_close(ours, o.transpose(1, 2).double(), rtol=0, atol=2e-6)
    for text in range(2):
        for head in range(heads):
            theirs = p[text, head].double()
            start, stop = mask.spans(2, k.shape[2])[text]  # a map has no padding
            own = [row for row in range(queries) if row + k.shape[2] - queries >= start]
            theirs = theirs[own][:, start:stop]
            torch.testing.assert_close(record.map(SITE, head, text)[:, :], theirs, rtol=0, atol=1e-6)


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data/gpt2-reference is missing")
@pytest.mark.parametrize("name", ["ex0", "ex1", "ex2"])
def test_the_144_heads_of_gpt2(name: str) -> None:
    """Its scores q.k before scaling are given: with k the identity, q is the scores themselves."""
    example = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    raw_BHTT = torch.tensor(example["attn_scores_raw"])  # layers as texts of a batch: (12, 12, T, T)
    softmax_BHTT = torch.tensor(example["attn_softmax"])
    B, H, T, _ = raw_BHTT.shape
    identity = torch.eye(T).expand(B, H, T, T)
    with watch(Watched({SITE: 12})) as record:
        o = attend(raw_BHTT, identity, identity, mask=causal(), score=Score(scale=1 / 8), site=SITE)
    torch.testing.assert_close(o, softmax_BHTT, rtol=0, atol=1e-6)  # values are the identity: outputs are weights
    for layer in range(B):
        for head in range(H):
            torch.testing.assert_close(
                record.map(SITE, head, layer)[:, :], softmax_BHTT[layer, head], rtol=0, atol=1e-6
            )
