"""Dense decoders: every family and option against transformers, on models of a few thousand random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from parity import NEW, VOCABULARY, check_decoder, check_pass, check_saved, greedy, ids, lively, stored
from transformers import AutoModelForCausalLM

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "intermediate_size": 17,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 71,
    "bos_token_id": 30,
    "eos_token_id": 30,
    "pad_token_id": 30,
}


def rope(kind: str = "default", theta: float = 1000.0, **options: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **options}}


LLAMA3 = rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=31)
YARN = rope("yarn", factor=4.0, original_max_position_embeddings=16)
FULL, SLIDING = "full_attention", "sliding_attention"
MIXED = {"layer_types": [SLIDING, FULL, SLIDING], "use_sliding_window": True, "sliding_window": 5}
LONG = {"short_factor": [1.0, 1.5, 2.0], "long_factor": [1.5, 4.0, 9.0]}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "llama without groups": ("Llama", {"num_key_value_heads": 4}),
    "llama with one key head": ("Llama", {"num_key_value_heads": 1}),
    "llama tied": ("Llama", {"tie_word_embeddings": True}),
    "llama with biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama with wide heads": ("Llama", {"head_dim": 10, "hidden_act": "gelu", "rms_norm_eps": 0.01}),
    "llama linear": ("Llama", rope("linear", factor=3.0)),
    "llama llama3": ("Llama", LLAMA3),
    "llama yarn": ("Llama", YARN),
    "llama yarn, all said": (
        "Llama",
        rope(
            "yarn", factor=5.0, beta_fast=3.0, beta_slow=0.5, attention_factor=1.3, original_max_position_embeddings=9
        ),
    ),
    "llama yarn, not rounded": (
        "Llama",
        rope("yarn", factor=5.0, beta_fast=6.0, truncate=False, original_max_position_embeddings=40),
    ),
    "mistral": ("Mistral", {"sliding_window": None}),
    "mistral with a window": ("Mistral", {"sliding_window": 5, "head_dim": 8}),
    "mistral, window of one, tied": ("Mistral", {"sliding_window": 1, "tie_word_embeddings": True}),
    "mistral, no groups, yarn": ("Mistral", {"num_key_value_heads": 4, **YARN}),
    "qwen2": ("Qwen2", rope()),
    "qwen2 tied": ("Qwen2", {"tie_word_embeddings": True, "num_key_value_heads": 4, **rope(theta=1e6)}),
    "qwen2, later layers with a window": (
        "Qwen2",
        {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1, **rope()},
    ),
    "qwen2, some layers with a window, yarn": ("Qwen2", {**MIXED, **YARN}),
    "qwen3, some layers with a window": ("Qwen3", {**MIXED, **rope()}),
    "qwen2, a window that begins behind the last layer": (
        "Qwen2",
        {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 5, **rope()},
    ),
    "qwen3, a window that no layer has": (
        "Qwen3",
        {"use_sliding_window": True, "sliding_window": 4, "layer_types": [FULL] * 3, **rope()},
    ),
    "qwen3, llama3": ("Qwen3", {"head_dim": 6, **LLAMA3}),
    "olmo2": ("Olmo2", {}),
    "olmo2 with biases, tied": (
        "Olmo2",
        {"attention_bias": True, "tie_word_embeddings": True, "num_key_value_heads": 4, **rope("linear", factor=2.0)},
    ),
    "smollm3": ("SmolLM3", {"num_hidden_layers": 5}),
    "smollm3, others unturned": ("SmolLM3", {"no_rope_layers": [0, 1, 1], "tie_word_embeddings": False}),
    "smollm3, all turned, biases": ("SmolLM3", {"attention_bias": True, "mlp_bias": True, **YARN}),
    "smollm3 with a window": (
        "SmolLM3",
        {"use_sliding_window": True, "sliding_window": 5, "no_rope_layer_interval": 2, "num_hidden_layers": 4},
    ),
    "smollm3, a window that no layer has": (
        "SmolLM3",
        {"use_sliding_window": True, "sliding_window": 5, "no_rope_layers": [1, 1, 1]},
    ),
    "gemma2": ("Gemma2", {"head_dim": 6, "sliding_window": 5, "query_pre_attn_scalar": 6}),
    "gemma2, low caps": (
        "Gemma2",
        {
            "head_dim": 8,
            "sliding_window": 3,
            "query_pre_attn_scalar": 13,
            "attn_logit_softcapping": 1.5,
            "final_logit_softcapping": 2.5,
            "attention_bias": True,
            "layer_types": [FULL, FULL, SLIDING],
        },
    ),
    "gemma2 without caps, untied": (
        "Gemma2",
        {
            "head_dim": 6,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "tie_word_embeddings": False,
            "layer_types": [FULL] * 3,
        },
    ),
    "gemma3": ("Gemma3Text", {"head_dim": 6, "sliding_window": 5, "num_hidden_layers": 7}),
    "gemma3, both thetas said": (
        "Gemma3Text",
        {
            "head_dim": 8,
            "sliding_window": 4,
            "query_pre_attn_scalar": 20,
            "final_logit_softcapping": 2.0,
            "layer_types": [SLIDING, FULL, SLIDING],
            "rope_parameters": {
                FULL: {"rope_type": "linear", "rope_theta": 500.0, "factor": 8.0},
                SLIDING: {"rope_type": "default", "rope_theta": 50.0},
            },
        },
    ),
    "gemma3, full layers only": (
        "Gemma3Text",
        {
            "head_dim": 6,
            "sliding_window": 5,
            "layer_types": [FULL] * 3,
            "rope_parameters": {
                FULL: {"rope_type": "default", "rope_theta": 500.0},
                SLIDING: {"rope_type": "default", "rope_theta": 50.0},
            },
        },
    ),
    "gemma3, windows only": ("Gemma3Text", {"head_dim": 6, "sliding_window": 5, "layer_types": [SLIDING] * 3}),
    "phi3": ("Phi3", {}),
    "phi3 with a window, tied": ("Phi3", {"sliding_window": 5, "tie_word_embeddings": True, "num_key_value_heads": 4}),
    "phi3 longrope, short": ("Phi3", {"original_max_position_embeddings": 71, **rope("longrope", **LONG)}),
    "phi3, part of each head": ("Phi3", {"hidden_size": 16, **rope(partial_rotary_factor=0.5)}),
    "gpt_neox": ("GPTNeoX", {"hidden_size": 32}),
    "gpt_neox, parts one after the other": ("GPTNeoX", {"hidden_size": 32, "use_parallel_residual": False}),
    "gpt_neox without biases, tied": (
        "GPTNeoX",
        {"attention_bias": False, "tie_word_embeddings": True, "hidden_act": "relu", **rope(partial_rotary_factor=1.0)},
    ),
    "gpt_neox, linear": (
        "GPTNeoX",
        rope("linear", factor=2.0, partial_rotary_factor=0.34),
    ),
    "gpt2": ("GPT2", {}),
    "gpt2 untied": ("GPT2", {"n_inner": 37, "tie_word_embeddings": False, "activation_function": "gelu"}),
}
WITHOUT = {"GPT2": ("num_key_value_heads", "intermediate_size"), "GPTNeoX": ("num_key_value_heads",)}


def made(kind: str, options: dict[str, Any]) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    sizes = {name: value for name, value in SIZES.items() if name not in WITHOUT.get(kind, ())}
    return AutoModelForCausalLM.from_config(getattr(transformers, f"{kind}Config")(**{**sizes, **options}))


@pytest.mark.parametrize("case", CASES)
def test_as_transformers(case: str, tmp_path: Path) -> None:
    check_decoder(made(*CASES[case]), tmp_path)


@pytest.mark.parametrize("original", [9, 30])
@torch.no_grad()
def test_longrope_rotates_differently_once_the_text_is_long(original: int, tmp_path: Path) -> None:
    """The text grows from 5 tokens to 55, across the border, with the cache, without it and in transformers."""
    scaling = rope("longrope", **LONG, partial_rotary_factor=0.75)
    model = lively(made("Phi3", {"hidden_size": 32, "original_max_position_embeddings": original, **scaling}))
    ours = stored(model, tmp_path / "theirs")
    check_pass(model, ours)
    check_saved(model, ours, tmp_path / "ours")
    prompt = ids(1, 5)
    model.generation_config.eos_token_id = None
    options = {"attention_mask": torch.ones_like(prompt), "max_new_tokens": NEW, "do_sample": False}
    expected = model.generate(prompt, **options)[0].tolist()
    assert prompt[0].tolist() + greedy(ours, prompt[0].tolist()) == expected
    text_BT = prompt
    while text_BT.shape[1] < len(expected):
        text_BT = torch.cat((text_BT, ours(text_BT)[:, -1:].argmax(dim=-1)), dim=1)
    assert text_BT[0].tolist() == expected
