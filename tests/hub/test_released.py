"""What released folders say otherwise than those written today: older entries, other names, tensors without use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from little_models import GPT2, QWEN3, TOKENIZER, saved
from parity import check_pass, check_saved, ids, lively
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from clearhead import hub
from clearhead.errors import ClearheadError, FolderError
from clearhead.hub.families import reading
from clearhead.hub.families.decoder import FULL, SLIDING

SIZES = {
    "vocab_size": 31,
    "hidden_size": 24,
    "intermediate_size": 17,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 71,
    "bos_token_id": 29,
    "eos_token_id": 30,
    "initializer_range": 0.02,
    "transformers_version": "4.41.0",
    "torch_dtype": "bfloat16",
    "use_cache": True,
}
LLAMA = {**SIZES, "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5, "num_key_value_heads": 2}
GEMMA = {
    **SIZES,
    "head_dim": 6,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "query_pre_attn_scalar": 6,
    "hidden_activation": "gelu_pytorch_tanh",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "cache_implementation": "hybrid",
    "sliding_window": 5,
    "pad_token_id": 0,
}
PHI = {
    **SIZES,
    "model_type": "phi3",
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "embd_pdrop": 0.0,
    "resid_pdrop": 0.0,
    "pad_token_id": 30,
    "tie_word_embeddings": False,
    "original_max_position_embeddings": 19,
    "rope_theta": 10000.0,
}
DIVISORS = {"long_factor": [2.0, 3.0, 5.0], "short_factor": [1.0, 1.25, 1.5]}

# config.json as transformers before version 5 wrote it for these models, but for the sizes.
OLDER: dict[str, dict[str, Any]] = {
    "Llama 1": {
        **{n: value for n, value in LLAMA.items() if n not in ("max_position_embeddings", "num_key_value_heads")},
        "max_sequence_length": 2048,
        "pad_token_id": 30,
    },
    "Llama 2, the first files": {**LLAMA, "pretraining_tp": 1, "rope_scaling": None, "tie_word_embeddings": False},
    "Llama 3.1": {
        **LLAMA,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "eos_token_id": [28, 29, 30],
        "mlp_bias": False,
        "pretraining_tp": 1,
        "rope_theta": 500000.0,
        "rope_scaling": {
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 29,
            "rope_type": "llama3",
        },
        "tie_word_embeddings": True,
    },
    "SmolLM 2": {
        **LLAMA,
        "is_llama_config": True,
        "rope_interleaved": False,
        "rope_scaling": None,
        "rope_theta": 100000,
        "tie_word_embeddings": True,
        "transformers.js_config": {"dtype": "q4"},
    },
    "a stretched Llama": {**LLAMA, "rope_theta": 10000, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "Mistral 0.1": {**LLAMA, "model_type": "mistral", "rope_theta": 10000.0, "sliding_window": 5},
    "Mistral 0.3": {**LLAMA, "model_type": "mistral", "rope_theta": 1000000.0, "sliding_window": None},
    "Qwen 2.5": {
        **LLAMA,
        "model_type": "qwen2",
        "attention_dropout": 0.0,
        "max_window_layers": 2,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "use_mrope": False,
        "use_sliding_window": False,
    },
    "Qwen 2.5, stretched": {
        **LLAMA,
        "model_type": "qwen2",
        "max_window_layers": 70,
        "rope_theta": 1000000.0,
        "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 17},
        "sliding_window": 131072,
        "use_sliding_window": False,
    },
    "Qwen 3": {
        **LLAMA,
        "model_type": "qwen3",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "head_dim": 8,
        "max_window_layers": 36,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": None,
        "use_sliding_window": False,
    },
    "Gemma 2": {
        **GEMMA,
        "model_type": "gemma2",
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "hidden_act": "gelu_pytorch_tanh",
        "rope_theta": 10000.0,
    },
    "Gemma 3": {
        **GEMMA,
        "model_type": "gemma3_text",
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "num_hidden_layers": 4,
        "rope_local_base_freq": 10000,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window_pattern": 3,
    },
    "Gemma 3, stretched": {
        **GEMMA,
        "model_type": "gemma3_text",
        "rope_local_base_freq": 100.0,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "rope_theta": 1000.0,
        "sliding_window_pattern": 2,
    },
    "Phi-3": {**PHI, "rope_scaling": None, "sliding_window": 5, "original_max_position_embeddings": 71},
    "Phi-3.5": {**PHI, "rope_scaling": {**DIVISORS, "type": "longrope"}, "sliding_window": 262144},
    "Phi-4 mini": {
        **PHI,
        "hidden_size": 32,
        "full_attn_mod": 1,
        "interpolate_factor": 1,
        "lm_head_bias": False,
        "mlp_bias": False,
        "partial_rotary_factor": 0.75,
        "rope_scaling": {**DIVISORS, "type": "longrope"},
        "sliding_window": 262144,
        "tie_word_embeddings": True,
    },
    "OLMo 2": {
        **LLAMA,
        "model_type": "olmo2",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "rope_scaling": None,
        "rope_theta": 500000,
        "tie_word_embeddings": False,
    },
    "SmolLM 3": {
        **LLAMA,
        "model_type": "smollm3",
        "attention_bias": False,
        "layer_types": ["full_attention"] * 3,
        "max_window_layers": 28,
        "mlp_bias": False,
        "no_rope_layer_interval": 4,
        "no_rope_layers": [1, 1, 0],
        "pad_token_id": 30,
        "pretraining_tp": 2,
        "rope_scaling": None,
        "rope_theta": 5000000.0,
        "sliding_window": None,
        "use_sliding_window": False,
    },
    "Pythia": {
        **SIZES,
        "model_type": "gpt_neox",
        "hidden_size": 32,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-05,
        "rotary_emb_base": 100,
        "rotary_pct": 0.25,
        "tie_word_embeddings": False,
        "use_parallel_residual": True,
    },
    "GPT-NeoX 20B": {
        **SIZES,
        "model_type": "gpt_neox",
        "attention_probs_dropout_prob": 0,
        "hidden_act": "gelu_fast",
        "hidden_dropout_prob": 0,
        "hidden_size": 32,
        "layer_norm_eps": 1e-05,
        "rotary_emb_base": 10000,
        "rotary_pct": 0.25,
        "tie_word_embeddings": False,
    },
    "GPT-2": {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "bos_token_id": 30,
        "embd_pdrop": 0.1,
        "eos_token_id": 30,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_ctx": 71,
        "n_embd": 20,
        "n_head": 5,
        "n_layer": 3,
        "n_positions": 71,
        "n_special": 0,
        "predict_special_tokens": True,
        "resid_pdrop": 0.1,
        "summary_activation": None,
        "summary_first_dropout": 0.1,
        "summary_proj_to_labels": True,
        "summary_type": "cls_index",
        "summary_use_proj": True,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
        "vocab_size": 31,
    },
}


@pytest.mark.parametrize("settings", OLDER.values(), ids=OLDER)
@torch.no_grad()
def test_older_entries_mean_what_transformers_reads_in_them(settings: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    model = AutoModelForCausalLM.from_config(
        AutoConfig.from_pretrained(folder), dtype=torch.float32, attn_implementation="eager"
    )
    lively(model)
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(
        {name.replace("lm_head", HEADS.get(settings["model_type"], "lm_head")): each for name, each in tensors.items()},
        folder / "model.safetensors",
    )
    TOKENIZER.save(folder)
    ours = hub.load(folder)
    check_pass(model, ours)
    rounded = settings.get("hidden_act") == "gelu_fast"  # written under the name of the same curve, whose sums differ
    check_saved(model, ours, tmp_path / "ours", tolerance=1e-5 if rounded else 0.0)


HEADS = {"gpt_neox": "embed_out"}


@pytest.mark.parametrize("word", ["su", "yarn"])
def test_first_words_for_longrope(word: str, tmp_path: Path) -> None:
    """Phi-3's first files, which transformers 5 does not open."""
    for kind in (word, "longrope"):
        settings = {**PHI, "rope_scaling": {**DIVISORS, "type": kind}}
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert hub.read_config(tmp_path / word) == hub.read_config(tmp_path / "longrope")


def renamed(folder: Path, change: Callable[[str], str]) -> None:
    path = folder / "model.safetensors"
    save_file({change(name): tensor for name, tensor in load_file(path).items()}, path)


def added(folder: Path, **tensors: Tensor) -> None:
    path = folder / "model.safetensors"
    save_file({**load_file(path), **{name.replace("__", "."): each for name, each in tensors.items()}}, path)


class TestTensors:
    @torch.no_grad()
    def test_gpt2s_first_files(self, tmp_path: Path) -> None:
        """Names without their beginning, and the causal mask of each layer among the weights."""
        model = saved(tmp_path, GPT2)
        renamed(tmp_path, lambda name: name.removeprefix("transformer."))
        mask = torch.ones(23, 23).tril().view(1, 1, 23, 23)
        added(
            tmp_path, h__0__attn__bias=mask, h__1__attn__bias=mask.clone(), h__0__attn__masked_bias=torch.tensor(-1e4)
        )
        assert torch.equal(hub.load(tmp_path)(ids()), model(ids()))

    def test_a_name_twice(self, tmp_path: Path) -> None:
        saved(tmp_path, GPT2)
        added(tmp_path, wte__weight=torch.ones(31, 21))
        with pytest.raises(FolderError, match=r"transformer.wte.weight and wte.weight are two names of one tensor"):
            hub.load(tmp_path)

    @torch.no_grad()
    def test_rates_of_rotary_positions(self, tmp_path: Path) -> None:
        model = saved(tmp_path, QWEN3)
        added(tmp_path, model__layers__0__self_attn__rotary_emb__inv_freq=torch.ones(3))
        assert torch.equal(hub.load(tmp_path)(ids()), model(ids()))

    @pytest.mark.parametrize("kind", ["llama", "gpt_neox"])
    @torch.no_grad()
    def test_a_model_saved_without_its_output_layer(self, kind: str, tmp_path: Path) -> None:
        """Tied: nothing is missing. (AutoModel's names have no beginning.)"""
        settings = {**OLDER["Pythia" if kind == "gpt_neox" else "Llama 3.1"], "tie_word_embeddings": True}
        (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
        whole = lively(AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path), dtype=torch.float32))
        whole.base_model.save_pretrained(tmp_path)
        assert "Model" in AutoModel.from_pretrained(tmp_path).config.architectures[0]
        TOKENIZER.save(tmp_path)
        torch.testing.assert_close(hub.load(tmp_path)(ids()), whole(ids()).logits, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    @torch.no_grad()
    def test_a_tied_output_layer_that_is_there_again(self, dtype: torch.dtype, tmp_path: Path) -> None:
        model = saved(tmp_path, QWEN3, dtype)
        added(tmp_path, lm_head__weight=model.embedding.weight.clone())
        back = hub.load(tmp_path, dtype="stored")
        assert torch.equal(back(ids()), model(ids()))
        hub.save(tmp_path / "again", back.transformer, back.tokenizer, back.papers)
        assert "lm_head.weight" not in load_file(tmp_path / "again" / "model.safetensors")

    @pytest.mark.parametrize("config", [QWEN3, GPT2], ids=["qwen3", "gpt2"])
    def test_a_tied_output_layer_with_other_numbers(self, config: Any, tmp_path: Path) -> None:
        model = saved(tmp_path, config)
        other = model.embedding.weight.detach().clone()
        other[17, 3] += 1e-3
        added(tmp_path, lm_head__weight=other)
        with pytest.raises(
            FolderError, match=r"lm_head.weight is not .*, and the config says that they are one matrix"
        ):
            hub.load(tmp_path)

    def test_a_tied_output_layer_of_another_shape(self, tmp_path: Path) -> None:
        saved(tmp_path, QWEN3)
        added(tmp_path, lm_head__weight=torch.ones(20, 31))
        with pytest.raises(FolderError, match=r"lm_head.weight is \(20, 31\) and should be \(31, 20\)$"):
            hub.load(tmp_path)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "pictures": (
        "Gemma 3",
        {"model_type": "gemma3", "text_config": {}},
        r"'gemma3'; it reads more than text .* alone$",
    ),
    "caps in a Gemma 3": ("Gemma 3", {"attn_logit_softcapping": 50.0}, r"'attn_logit_softcapping' = 50.0 is not supp"),
    "both ways": ("Gemma 3", {"use_bidirectional_attention": True}, r"'use_bidirectional_attention' = True is not s"),
    "rope twice": ("Gemma 3", {"rope_parameters": {}}, r"rope_local_base_freq: 10000 beside rope_parameters"),
    "no interval": ("Gemma 3", {"sliding_window_pattern": 0}, r"sliding_window_pattern: 0; it must be at least 1$"),
    "no scalar": ("Gemma 2", {"query_pre_attn_scalar": 0}, r"query_pre_attn_scalar: 0; it must be at least 1$"),
    "linear in a Phi-3": ("Phi-3", {"rope_scaling": {"type": "linear", "factor": 2.0}}, r"rope_type: 'linear' is not "),
    "divisors too few": (
        "Phi-3.5",
        {"rope_scaling": {**DIVISORS, "type": "longrope", "short_factor": [1.0]}},
        r"scaling: 1 short and 3 long divisors; there must be one for each of 3 pairs$",
    ),
    "divisors of another kind": (
        "Phi-3.5",
        {"rope_scaling": {**DIVISORS, "type": "longrope", "long_factor": 3.0}},
        r"long_factor: 3.0 was given; it must be a list of finite numbers$",
    ),
    "two original contexts": (
        "Phi-3.5",
        {"rope_scaling": {**DIVISORS, "type": "longrope", "original_max_position_embeddings": 20}},
        r"original_max_position_embeddings: 19, but 20 in rope_parameters$",
    ),
    "two lengths": (
        "Llama 1",
        {"max_position_embeddings": 4096},
        r"'max_sequence_length' = 2048 is not supported by the llama family",
    ),
    "part of a Llama's heads": (
        "Llama 3.1",
        {"partial_rotary_factor": 0.5},
        r"'rope_parameters' = .* is not supported",
    ),
    "heads that do not fit": (
        "Llama 3.1",
        {"num_attention_heads": 5},
        r"num_attention_heads: 5 heads for hidden_size 24",
    ),
    "no interval of turns": (
        "SmolLM 3",
        {"no_rope_layers": None, "no_rope_layer_interval": 0},
        r"no_rope_layer_interval: 0; it must be at least 1$",
    ),
    "turns too few": ("SmolLM 3", {"no_rope_layers": [1]}, r"no_rope_layers: \[1.0\]; there must be one for each of 3"),
    "half a pair": ("Pythia", {"rotary_pct": 0.4}, r"head_width is 8, 3 of it turned; rotary positions turn pairs"),
    "an unknown activation": ("Pythia", {"hidden_act": "gelu_slow"}, r"hidden_act: 'gelu_slow' is not supported; did "),
    "neighbours paired": (
        "SmolLM 2",
        {"rope_interleaved": True},
        r"'rope_interleaved' = True is not supported by the l",
    ),
    "dynamic": (
        "Llama 3.1",
        {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
        r"'dynamic' is not supported \(its ",
    ),
    "a scaling without its entries": ("Llama 3.1", {"rope_scaling": {"type": "llama3"}}, r"setting factor is missing$"),
    "an entry of older DeepSeeks": (
        "Qwen 2.5, stretched",
        {"rope_scaling": {"type": "yarn", "factor": 4.0, "mscale": 0.7}},
        r"'rope_parameters' = \{.*'mscale'.* is not supported",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    which, change, message = REFUSED[case]
    (tmp_path / "config.json").write_text(json.dumps({**OLDER[which], **change}), encoding="utf-8")
    with pytest.raises(FolderError, match=message):
        hub.read_config(tmp_path)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 40)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["silu", "gelu", "linear", "llama3", "yarn", "longrope", "default", "sliding_attention"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ROPE = ("rope_type", "rope_theta", "factor", "original_max_position_embeddings", "beta_fast", "attention_factor")
ROPE += ("short_factor", "long_factor", "low_freq_factor", "high_freq_factor", "partial_rotary_factor", "truncate")


@given(data=st.data(), which=st.sampled_from(sorted(OLDER)))
def test_whatever_a_released_config_says_it_is_read_or_refused(data: st.DataObject, which: str) -> None:
    """Nothing else than FolderError is raised, and what was read is written and read again as the same config."""
    rope = st.dictionaries(st.sampled_from(ROPE), VALUES, max_size=4)
    names = [*OLDER[which], "layer_types", "rope_theta", "use_sliding_window", "rope_scaling", "head_dim"]
    settings = OLDER[which] | data.draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=3))
    if data.draw(st.booleans()):
        settings["rope_parameters"] = data.draw(rope | st.dictionaries(st.sampled_from([FULL, SLIDING]), rope))
    try:
        family, config = reading(settings, "here")
    except ClearheadError as error:
        assert type(error) is FolderError  # noqa: PT017 (no other outcome is expected of every example)
        return
    assert reading(family.settings(config), "again") == (family, config)
