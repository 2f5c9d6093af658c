"""The settings in config.json: which are required, and every one that would change a number is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from little_models import GPT2, NATIVE, QWEN3

from clearhead.errors import ClearheadError, FolderError
from clearhead.hub.families import family_for, parse_config, qwen3
from clearhead.model import ModelConfig


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda settings: settings.pop(name)


def having(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda settings: settings.update(changes)


WINDOW = {"use_sliding_window": True, "sliding_window": 5}
REFUSED: dict[str, tuple[ModelConfig, Callable[[dict[str, Any]], None], str]] = {
    "unknown family": (
        QWEN3,
        having(model_type="qwen33"),
        r"there is no model family 'qwen33'; known: bert, .*, smollm3\b.*; one file adds one \(docs/families.md\)$",
    ),
    "a far family": (
        QWEN3,
        having(model_type="tacotron"),
        r"there is no model family 'tacotron'; known: .*clearhead, .*gpt2, .*qwen3",
    ),
    "no family": (QWEN3, without("model_type"), r"there is no model family ''; known: "),
    "family of another kind": (QWEN3, having(model_type=[3]), r"there is no model family '\[3\]'; known: "),
    "unknown": (
        QWEN3,
        having(mixture_of_experts=8),
        r"the setting 'mixture_of_experts' = 8 is not supported by the qwen3 family$",
    ),
    "known, another value": (
        GPT2,
        having(scale_attn_by_inverse_layer_idx=True),
        r"the setting 'scale_attn_by_inverse_layer_idx' = True .* gpt2 family; only False is supported$",
    ),
    "unscaled": (GPT2, having(scale_attn_weights=False), r"'scale_attn_weights' = False .*; only True is supported$"),
    "rope scaling": (
        QWEN3,
        having(rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}),
        r"rope_type: 'dynamic' is not supported \(its angles would change while a text grows\); known: default, ",
    ),
    "unknown rope entry": (
        QWEN3,
        having(rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "mscale": 4.0}),
        r"the setting 'rope_parameters' = \{'rope_type': 'default', .* only \{'rope_type': 'default', 'rope_theta': 1",
    ),
    "rope entry of another kind of scaling": (
        QWEN3,
        having(rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0, "low_freq_factor": 1.0}),
        r"the setting 'rope_parameters' = .* is not supported by the qwen3 family",
    ),
    "rope scaling without a factor": (
        QWEN3,
        having(rope_parameters={"rope_type": "linear", "rope_theta": 10000.0}),
        r"the setting factor is missing$",
    ),
    "a factor below nothing": (
        QWEN3,
        having(rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": -2.0}),
        r"scaling: factor is -2.0; it must be above 0 and finite$",
    ),
    "old rope scaling": (
        QWEN3,
        having(rope_scaling={"type": "linear", "factor": 2.0}),
        r"rope_type: 'linear', but 'default' in rope_parameters$",
    ),
    "rope theta twice": (QWEN3, having(rope_theta=500.0), r"rope_theta: 500.0, but 10000.0 in rope_parameters$"),
    "no rope": (QWEN3, without("rope_parameters"), r"the setting rope_theta is missing$"),
    "rope of another kind": (
        QWEN3,
        having(rope_parameters=[]),
        r"rope_parameters: \[\] was given; it must be a table or left out$",
    ),
    "rope without theta": (
        QWEN3,
        having(rope_parameters={"rope_type": "default"}),
        r"the setting rope_theta is missing",
    ),
    "layers of an unknown kind": (
        QWEN3,
        having(**WINDOW, layer_types=["sliding_attention", "slidin_attention"]),
        r"layer_types: 'slidin_attention'; did you mean 'sliding_attention'\?; there must be one for each layer$",
    ),
    "layers too many": (
        QWEN3,
        having(**WINDOW, layer_types=["sliding_attention"] * 3),
        r"layer_types: 3 of 2; there must be one for each layer$",
    ),
    "window without a size": (
        QWEN3,
        having(use_sliding_window=True, layer_types=["sliding_attention"] * 2),
        r"sliding_window: None was given; it must be a whole number$",
    ),
    "types without a window": (
        QWEN3,
        having(layer_types=["sliding_attention"] * 2),
        r"sliding_window: missing, but layer_types has layers with a window$",
    ),
    "activation": (QWEN3, having(hidden_act="sulu"), r"hidden_act: 'sulu' is not supported; did you mean 'silu'\?$"),
    "GPT-2's activation": (
        GPT2,
        having(activation_function="gelu_fast"),
        r"activation_function: 'gelu_fast' is not supported; did you mean '\w+'\?$",
    ),
    "activation of another kind": (QWEN3, having(hidden_act=3), r"hidden_act: 3 was given; it must be a text$"),
    "a text": (QWEN3, having(hidden_size="20"), r"hidden_size: '20' was given; it must be a whole number$"),
    "a fraction": (QWEN3, having(head_dim=6.0), r"head_dim: 6.0 was given; it must be a whole number( or left out)?$"),
    "a list": (QWEN3, having(vocab_size=[31]), r"vocab_size: \[31\] was given; it must be a whole number$"),
    "nothing": (
        QWEN3,
        having(num_hidden_layers=None),
        r"num_hidden_layers: None was given; it must be a whole number$",
    ),
    "a switch": (GPT2, having(n_layer=True), r"n_layer: True was given; it must be a whole number$"),
    "no switch": (QWEN3, having(attention_bias="yes"), r"attention_bias: 'yes' was given; it must be true or false$"),
    "nan": (QWEN3, having(rms_norm_eps=float("nan")), r"rms_norm_eps: nan was given; it must be a finite number$"),
    "zero": (QWEN3, having(num_attention_heads=0), r"num_attention_heads: 0; it must be at least 1 "),
    "no layers": (QWEN3, having(num_hidden_layers=0), r"num_hidden_layers: 0; it must be at least 1 "),
    "fewer than none": (QWEN3, having(num_key_value_heads=-1), r"num_key_value_heads: -1; it must be"),
    "no layers of GPT-2": (GPT2, having(n_layer=0), r"n_layer: 0; it must be at least 1 "),
    "no epsilon": (QWEN3, having(rms_norm_eps=0.0), r"rms_norm_eps: 0.0; it must be above 0$"),
    "negative": (GPT2, having(n_embd=-21), r"n_embd: -21; it must be at least 1 "),
    "no heads": (GPT2, having(n_head=0), r"n_head: 0; it must be at least 1 "),
    "heads that do not fit": (
        GPT2,
        having(n_head=4),
        r"n_head: 4 heads for n_embd 21; the heads must divide the width",
    ),
    "no share": (QWEN3, having(num_key_value_heads=3), r"num_key_value_heads: 3 for num_attention_heads 4; the for"),
    "layers beyond measure": (
        QWEN3,
        having(num_hidden_layers=10**12),
        r"layer_types: 2 of 1000000000000; there must be",
    ),
    "a number beyond measure": (QWEN3, having(vocab_size=10**40), r"vocab_size: 10+; it must be .* at most"),
    "weights beyond measure": (QWEN3, having(hidden_size=2**40), r"weights; the most that is accepted is"),
    "native, unknown": (
        NATIVE,
        lambda settings: settings["model"].update(layer=3),
        r"model.layer: unknown; did you mean 'layers'\?$",
    ),
    "native, missing": (
        NATIVE,
        lambda settings: settings["model"]["attention"].pop("heads"),
        r"model.attention: missing heads$",
    ),
    "native, empty": (NATIVE, without("model"), r"the setting model is missing$"),
    "native, no table": (
        NATIVE,
        having(model="big"),
        r"model: 'big' was given; it is a table with voc",
    ),
    "native, beside": (
        NATIVE,
        having(extra=1),
        r"'extra' = 1 is not supported by the clearhead family$",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    config, change, message = REFUSED[case]
    settings = json.loads(json.dumps(family_for(config).settings(config)))
    change(settings)
    with pytest.raises(FolderError, match=rf"^here/config.json: .*{message}"):
        parse_config(settings, "here/config.json")


REQUIRED = {
    QWEN3: {
        "vocab_size",
        "max_position_embeddings",
        "num_hidden_layers",
        "hidden_size",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "intermediate_size",
        "hidden_act",
        "rms_norm_eps",
    },
    GPT2: {"vocab_size", "n_positions", "n_layer", "n_embd", "n_head", "activation_function", "layer_norm_epsilon"},
}


@pytest.mark.parametrize("config", REQUIRED, ids=["qwen3", "gpt2"])
def test_each_setting_is_required_or_has_transformers_default(config: ModelConfig) -> None:
    settings = family_for(config).settings(config)
    for name in settings.keys() - {"model_type", "rope_parameters"}:
        rest = {other: value for other, value in settings.items() if other != name}
        if name in REQUIRED[config]:
            with pytest.raises(FolderError, match=rf"^here: the setting {name} is missing$"):
                parse_config(rest, "here")
        else:
            # what is left out means what transformers would take: of these, only GPT-2's are not what is written here
            defaults = {
                "resid_pdrop": {"dropout": 0.1},
                "n_inner": {"feed_forward": replace(config.feed_forward, width=84)},
            }
            if name == "tie_word_embeddings":
                expected = replace(config, tied=config is GPT2)
            else:
                expected = replace(config, **defaults.get(name, {}))
            assert parse_config(rest, "here")[1] == expected


def test_settings_without_a_value_are_ignored() -> None:
    settings = {**qwen3.settings(QWEN3), "rope_scaling": None, "quantization_config": None, "pad_token_id": 3}
    assert parse_config(settings, "here") == (qwen3, QWEN3)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 40)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["silu", "gelu", "gelu_new", "qwen3", "gpt2", "clearhead", "sliding_attention", "linear"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data(), config=st.sampled_from([QWEN3, GPT2, NATIVE]))
def test_whatever_the_settings_say_they_are_read_or_refused(data: st.DataObject, config: ModelConfig) -> None:
    """What is read is written back with the same values; nothing else than FolderError is raised."""
    settings = json.loads(json.dumps(family_for(config).settings(config)))
    names = st.sampled_from([*settings, "rope_theta", "max_window_layers", "new"])
    settings |= data.draw(st.dictionaries(names, VALUES, max_size=3))
    try:
        family, read = parse_config(settings, "here")
    except ClearheadError as error:
        assert type(error) is FolderError  # noqa: PT017 (no other outcome is expected of every example)
        assert len(str(error)) < 1000  # noqa: PT017
        return
    written = family.settings(read)
    windowed = any(kind.window is not None for kind in read.kinds)
    unread = family.HARMLESS | (set() if windowed else {"use_sliding_window", "sliding_window"})
    heeded = {name: value for name, value in settings.items() if name in written and name not in unread}
    assert all(value is None or written[name] == value for name, value in heeded.items())
