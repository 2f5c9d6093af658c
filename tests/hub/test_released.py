"""config.json of released folders: older entries, and those that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from little_models import TOKENIZER
from parity import check_pass, check_saved, lively
from released_configs import DIVISORS, OLDER, PHI
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from clearhead import hub
from clearhead.errors import ClearheadError, FolderError
from clearhead.hub.families import parse_config
from clearhead.hub.families.decoder import FULL, SLIDING


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


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "pictures": (
        "Gemma 3",
        {"model_type": "gemma3", "text_config": {}},
        r"'gemma3'; it takes more than text .* take a text-only release$",
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
    "turns too few": ("SmolLM 3", {"no_rope_layers": [1]}, r"no_rope_layers: \[1.0\]; it must be 0 or 1 for each of 3"),
    "half a pair": ("Pythia", {"rotary_pct": 0.4}, r"head_width is 8, 3 of it rotated; rotary positions rotate pairs"),
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
        family, config = parse_config(settings, "here")
    except ClearheadError as error:
        assert type(error) is FolderError  # noqa: PT017 (no other outcome is expected of every example)
        return
    assert parse_config(family.settings(config), "again") == (family, config)
