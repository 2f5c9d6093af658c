"""A trained model whose greedy text is published: the engine must write it token for token."""

import json
from pathlib import Path

import pytest
import torch
from little import written
from safetensors.torch import load_file

from clearhead.model import (
    AttentionConfig,
    DecoderConfig,
    FeedForwardConfig,
    Network,
    NormConfig,
    skeleton,
)

STORIES = Path(__file__).parents[3] / "shared" / "data" / "weights" / "stories260K"
pytestmark = pytest.mark.skipif(not STORIES.is_dir(), reason="../shared/data/weights/stories260K is not here")

LAYERS, HEADS, KV_HEADS, HEAD_WIDTH = 5, 8, 4, 8


def paired(rows_XE: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of neighbouring pairs (llama2.c) as first and second halves of each head (ours)."""
    return rows_XE.view(heads, HEAD_WIDTH // 2, 2, -1).transpose(1, 2).reshape_as(rows_XE)


def stories() -> Network:
    config = DecoderConfig(
        vocabulary=512,
        context=512,
        layers=LAYERS,
        width=64,
        attention=AttentionConfig(heads=HEADS, kv_heads=KV_HEADS, head_width=HEAD_WIDTH, head_norm="none"),
        feed_forward=FeedForwardConfig(kind="swiglu", width=172),
        norm=NormConfig(eps=1e-5),
    )
    theirs = load_file(STORIES / "stories260K.safetensors")
    ours = {"embedding.weight": theirs.pop("tok_embeddings"), "norm.weight": theirs.pop("norm")}
    for layer in range(LAYERS):
        part = {name: theirs.pop(f"layers.{layer}.{name}") for name in NAMES}
        qkv = (paired(part["wq"], HEADS), paired(part["wk"], KV_HEADS), part["wv"])
        ours |= {
            f"blocks.{layer}.{name}": tensor
            for name, tensor in {
                "attention_norm.weight": part["attention_norm"],
                "attention.qkv.weight": torch.cat(qkv),
                "attention.out.weight": part["wo"],
                "feed_forward_norm.weight": part["ffn_norm"],
                "feed_forward.up.weight": torch.cat((part["w1"], part["w3"])),
                "feed_forward.down.weight": part["w2"],
            }.items()
        }
    assert not theirs
    model = skeleton(config)
    model.load_state_dict(ours, assign=True)
    return model.eval()


NAMES = ("attention_norm", "wq", "wk", "wv", "wo", "ffn_norm", "w1", "w2", "w3")


@pytest.mark.parametrize("lookup", [False, True])
def test_the_published_story_comes_out(lookup):
    ids = json.loads((STORIES / "golden_greedy.json").read_text())["ids"]
    assert written(stories(), ids[:1], len(ids) - 1, temperature=0, lookup=lookup) == ids[1:]
