"""A model that is loaded and saved: config.json stays the same, including entries only training reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from little_models import TOKENIZER
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from clearhead import hub
from clearhead.language_model import LanguageModel, Metadata

SIZES = {"vocab_size": 31, "hidden_size": 32, "intermediate_size": 17, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPS = {"num_key_value_heads": 2, "head_dim": 8}
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": {"vocab_size": 31, "n_embd": 24, "n_layer": 2, "n_head": 4, "attn_pdrop": 0.1, "embd_pdrop": 0.3},
    "gpt_neox": {**SIZES, "attention_dropout": 0.2},
    "llama": {**SIZES, "attention_dropout": 0.2},
    "qwen3": {**SIZES, **GROUPS, "attention_dropout": 0.2, "sliding_window": 4096, "use_sliding_window": False},
    "qwen3_moe": {
        **SIZES,
        "intermediate_size": 99,
        "moe_intermediate_size": 7,
        "num_experts": 3,
        "num_experts_per_tok": 2,
    },
    "bert": {**SIZES, "attention_probs_dropout_prob": 0.2},
    "roberta": {**SIZES, "attention_probs_dropout_prob": 0.2},
    "distilbert": {
        "vocab_size": 31,
        "dim": 24,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 17,
        "attention_dropout": 0.2,
    },
    "modernbert": {**SIZES, "attention_dropout": 0.2, "pad_token_id": 0},
}


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_written_replaces_what_was_there(kind: str, tmp_path: Path) -> None:
    config = AutoConfig.for_model(kind, **MODELS[kind])
    opener = AutoModel if "bert" in kind else AutoModelForCausalLM
    opener.from_config(config).save_pretrained(tmp_path / "theirs")
    TOKENIZER.save(tmp_path / "theirs")
    theirs, ours = (tmp_path / name / "config.json" for name in ("theirs", "ours"))
    for opened in (hub.load, hub.outline):  # and read again from what was written
        hub.export(ours.parent, hub.load(theirs.parent))
        given, written = (json.loads(path.read_text()) for path in (theirs, ours))
        for name in (given.keys() & written.keys()) - {"architectures"}:
            assert given[name] in (written[name], None), name
        assert opened(ours.parent).metadata == opened(theirs.parent).metadata
        theirs, ours = ours, tmp_path / "again" / "config.json"


def test_another_family_has_entries_of_its_own(tmp_path: Path) -> None:
    """What it writes must be read again, so nothing of the first is put over it."""
    AutoModel.from_config(AutoConfig.for_model("gpt2", **MODELS["gpt2"])).save_pretrained(tmp_path / "gpt2")
    TOKENIZER.save(tmp_path / "gpt2")
    model = hub.load(tmp_path / "gpt2")
    metadata = Metadata(family="qwen3", idle={"attn_pdrop": 0.7})
    hub.save(tmp_path / "ours", LanguageModel(model.network, model.tokenizer, metadata=metadata))
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["attn_pdrop"] == 0.0
