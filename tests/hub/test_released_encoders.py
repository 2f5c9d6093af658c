"""config.json of released encoders: read as transformers reads them, written and read again, or refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

from clearhead.errors import ClearheadError, FolderError
from clearhead.hub.families import parse_config

BERT = {
    "architectures": ["BertForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "type_vocab_size": 2,
    "vocab_size": 30522,
}
ROBERTA = {
    **BERT,
    "architectures": ["RobertaForMaskedLM"],
    "bos_token_id": 0,
    "eos_token_id": 2,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 514,
    "model_type": "roberta",
    "pad_token_id": 1,
    "type_vocab_size": 1,
    "vocab_size": 50265,
}
RELEASED: dict[str, dict[str, Any]] = {
    "BERT base": {
        **BERT,
        "gradient_checkpointing": False,
        "position_embedding_type": "absolute",
        "transformers_version": "4.6.0.dev0",
        "use_cache": True,
    },
    "BERT, Chinese": {
        **BERT,
        "directionality": "bidi",
        "pooler_fc_size": 768,
        "pooler_num_attention_heads": 12,
        "pooler_num_fc_layers": 3,
        "pooler_size_per_head": 128,
        "pooler_type": "first_token_transform",
        "vocab_size": 21128,
    },
    "E5 small": {
        **BERT,
        "_name_or_path": "tmp",
        "architectures": ["BertModel"],
        "classifier_dropout": None,
        "hidden_size": 384,
        "intermediate_size": 1536,
        "output_past": True,
        "tokenizer_class": "BertTokenizer",
        "torch_dtype": "float32",
    },
    "RoBERTa base": ROBERTA,
    "DistilRoBERTa": {**ROBERTA, "num_hidden_layers": 6},
    "DistilBERT base": {
        "activation": "gelu",
        "architectures": ["DistilBertForMaskedLM"],
        "attention_dropout": 0.1,
        "dim": 768,
        "dropout": 0.1,
        "hidden_dim": 3072,
        "initializer_range": 0.02,
        "max_position_embeddings": 512,
        "model_type": "distilbert",
        "n_heads": 12,
        "n_layers": 6,
        "pad_token_id": 0,
        "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2,
        "sinusoidal_pos_embds": False,
        "tie_weights_": True,
        "vocab_size": 30522,
    },
    "ModernBERT base": {
        "architectures": ["ModernBertForMaskedLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 50281,
        "classifier_activation": "gelu",
        "classifier_bias": False,
        "classifier_dropout": 0.0,
        "classifier_pooling": "mean",
        "cls_token_id": 50281,
        "decoder_bias": True,
        "deterministic_flash_attn": False,
        "embedding_dropout": 0.0,
        "eos_token_id": 50282,
        "global_attn_every_n_layers": 3,
        "global_rope_theta": 160000.0,
        "gradient_checkpointing": False,
        "hidden_activation": "gelu",
        "hidden_size": 768,
        "initializer_cutoff_factor": 2.0,
        "initializer_range": 0.02,
        "intermediate_size": 1152,
        "layer_norm_eps": 1e-05,
        "local_attention": 128,
        "local_rope_theta": 10000.0,
        "max_position_embeddings": 8192,
        "mlp_bias": False,
        "mlp_dropout": 0.0,
        "model_type": "modernbert",
        "norm_bias": False,
        "norm_eps": 1e-05,
        "num_attention_heads": 12,
        "num_hidden_layers": 22,
        "pad_token_id": 50283,
        "position_embedding_type": "absolute",
        "sep_token_id": 50282,
        "tie_word_embeddings": True,
        "vocab_size": 50368,
    },
}


@pytest.mark.parametrize("settings", RELEASED.values(), ids=RELEASED)
def test_as_many_weights_as_transformers_counts(settings: dict[str, Any]) -> None:
    kind = AutoModel if settings["architectures"] == ["BertModel"] else AutoModelForMaskedLM
    with torch.device("meta"):
        theirs = kind.from_config(AutoConfig.for_model(**settings))
    family, config = parse_config(settings, "here")
    assert settings["model_type"] == family.MODEL_TYPE
    assert config.parameters() == theirs.num_parameters()


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 40)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["gelu", "gelu_new", "relu", "BertModel", "full_attention", "sliding_attention", "yarn"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
RULE = st.dictionaries(st.sampled_from(["rope_type", "rope_theta", "factor"]), VALUES, max_size=3)
ROPE = st.dictionaries(st.sampled_from(["full_attention", "sliding_attention"]), RULE | VALUES)


@given(data=st.data(), which=st.sampled_from(sorted(RELEASED)))
def test_whatever_a_config_says_it_is_read_or_refused(data: st.DataObject, which: str) -> None:
    """Nothing else than FolderError is raised, and what was read is written and read again as the same config."""
    names = [*RELEASED[which], "layer_types", "tie_word_embeddings", "is_decoder", "norm_bias", "head_dim"]
    settings = RELEASED[which] | data.draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=3))
    if data.draw(st.booleans()):
        settings["rope_parameters"] = data.draw(ROPE | VALUES)
    try:
        family, config = parse_config(settings, "here")
    except ClearheadError as error:
        assert type(error) is FolderError  # noqa: PT017 (no other outcome is expected of every example)
        return
    assert family.refuses(config) == []
    assert parse_config(family.settings(config), "again") == (family, config)
