"""Which family writes a config, and that it reads back equal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from little_models import GPT2, NATIVE, QWEN3, ids, lively, saved, with_attention, with_feed_forward

from clearhead import hub
from clearhead.errors import FolderError
from clearhead.hub.families import family_for, gpt2, native, parse_config, qwen3
from clearhead.hub.families.table import to_theirs
from clearhead.model import FEED_FORWARDS, ModelConfig, NormConfig, PositionConfig, skeleton
from clearhead.tensorfile import read_tensors

LAYER, LEARNED = NormConfig(kind="layer"), PositionConfig(kind="learned")

# What is no Qwen 3, and why not.
NOT_QWEN3: dict[str, tuple[ModelConfig, str]] = {
    "LayerNorm": (replace(QWEN3, norm=LAYER), "norm.kind is 'layer'; in qwen3 it is 'rms'"),
    "learned positions": (
        replace(QWEN3, positions=LEARNED),
        "positions is {'kind': 'learned', 'theta': 10000.0, 'rotated': 1.0, 'first': 0, 'buckets': 32, 'distance': "
        "128}; in qwen3 it is {'kind': 'rotary', 'theta': 10000.0, 'rotated': 1.0, 'first': 0, 'buckets': 32, "
        "'distance': 128}",
    ),
    "no gate": (
        with_feed_forward(QWEN3, "silu"),
        "feed_forward.kind is 'silu'; this family has swiglu, reglu, geglu, geglu-tanh, glu, tanhglu, bilinear",
    ),
    "biases in the feed-forward": (
        with_feed_forward(QWEN3, "swiglu", bias=True),
        "feed_forward.bias is True; in qwen3 it is False",
    ),
    "soft cap": (with_attention(QWEN3, softcap=9.0), "attention.softcap is 9.0; in qwen3 it is None"),
    "biases on one side": (
        with_attention(QWEN3, bias=True),
        "attention.out_bias is False; in qwen3 it is True",
    ),
    "biases on the other": (
        with_attention(QWEN3, out_bias=True),
        "attention.out_bias is True; in qwen3 it is False",
    ),
    "norms after the sum": (
        replace(QWEN3, arrangement="post"),
        "arrangement is 'post'; in qwen3 it is 'pre'",
    ),
    "capped logits": (replace(QWEN3, logit_softcap=30.0), "logit_softcap is 30.0; in qwen3 it is None"),
}
NOT_GPT2: dict[str, tuple[ModelConfig, str]] = {
    "RMSNorm": (replace(GPT2, norm=NormConfig(eps=1e-5)), "norm.kind is 'rms'; in gpt2 it is 'layer'"),
    "a gate": (
        with_feed_forward(GPT2, "geglu"),
        "feed_forward.kind is 'geglu'; this family has gelu-tanh, gelu, relu, silu, tanh",
    ),
    "sigmoid": (
        with_feed_forward(GPT2, "sigmoid"),
        "feed_forward.kind is 'sigmoid'; this family has gelu-tanh, gelu, relu, silu, tanh",
    ),
    "no biases in the feed-forward": (
        with_feed_forward(GPT2, "gelu", bias=False),
        "feed_forward.bias is False; in gpt2 it is True",
    ),
    "heads normalised": (
        with_attention(GPT2, head_norm="head"),
        "attention.head_norm is 'head'; in gpt2 it is 'none'",
    ),
    "window": (with_attention(GPT2, window=5), "attention.window is 5; in gpt2 it is None"),
    "GPT-2's soft cap": (with_attention(GPT2, softcap=9.0), "attention.softcap is 9.0; in gpt2 it is None"),
    "no biases before": (with_attention(GPT2, bias=False), "attention.bias is False; in gpt2 it is True"),
    "no biases after": (with_attention(GPT2, out_bias=False), "attention.out_bias is False; in gpt2 it is True"),
    "shared keys": (with_attention(GPT2, kv_heads=1), "attention.kv_heads is 1; in gpt2 it is 3"),
    "narrow heads": (with_attention(GPT2, head_width=5), "attention.head_width is 5; in gpt2 it is 7"),
}


class TestWriting:
    def test_the_released_families_refuse_nothing_of_their_own(self) -> None:
        assert family_for(QWEN3) is qwen3
        assert family_for(GPT2) is gpt2
        assert qwen3.refuses(QWEN3) == gpt2.refuses(GPT2) == []
        assert len(qwen3.refuses(GPT2)) == 1  # its settings have no word for GPT-2's feed-forward
        assert len(gpt2.refuses(with_feed_forward(QWEN3, "gelu"))) == 8

    @pytest.mark.parametrize("case", NOT_QWEN3)
    def test_what_is_no_qwen3(self, case: str) -> None:
        config, why = NOT_QWEN3[case]
        assert qwen3.refuses(config) == [why]

    @pytest.mark.parametrize("case", NOT_GPT2)
    def test_what_is_no_gpt2(self, case: str) -> None:
        config, why = NOT_GPT2[case]
        assert gpt2.refuses(config) == [why]

    @pytest.mark.parametrize("kind", FEED_FORWARDS)
    def test_every_feed_forward_has_a_layout(self, kind: str) -> None:
        gated = FEED_FORWARDS[kind][1]
        assert family_for(with_feed_forward(QWEN3, kind)) is (qwen3 if gated else native)
        ungated = {"gelu", "gelu-tanh", "relu", "silu", "tanh"}
        assert family_for(with_feed_forward(GPT2, kind)) is (gpt2 if kind in ungated else native)

    @pytest.mark.parametrize("case", [*NOT_QWEN3, *NOT_GPT2])
    def test_what_no_family_has_is_written_natively_and_comes_back(self, case: str, tmp_path: Path) -> None:
        config = {**NOT_QWEN3, **NOT_GPT2}[case][0]
        model = saved(tmp_path, config)
        back = hub.load(tmp_path)
        assert hub.family(back.config) == "clearhead"
        assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["decoder"]
        assert back.config == config
        assert torch.equal(back(ids()), model(ids()))
        state = back.network.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())

    @pytest.mark.parametrize("config", [QWEN3, GPT2, NATIVE], ids=["qwen3", "gpt2", "clearhead"])
    def test_settings_are_read_as_they_were_written(self, config: ModelConfig) -> None:
        family = family_for(config)
        settings = json.loads(json.dumps(family.settings(config)))
        assert parse_config(settings, "here") == (family, config)

    def test_dropout_changes_nothing_of_a_qwen3(self, tmp_path: Path) -> None:
        """It is no setting of that family: not a byte differs, and none is read back."""
        for folder, dropout in (("with", 0.25), ("without", 0.0)):
            saved(tmp_path / folder, replace(QWEN3, dropout=dropout))
        for name in ("config.json", "model.safetensors", "generation_config.json"):
            assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()

    @pytest.mark.parametrize("config", [GPT2, NATIVE], ids=["gpt2", "clearhead"])
    def test_dropout_is_kept_where_the_layout_has_it(self, config: ModelConfig, tmp_path: Path) -> None:
        for folder, dropout in (("with", 0.25), ("without", 0.0)):
            saved(tmp_path / folder, replace(config, dropout=dropout))
            assert hub.load(tmp_path / folder).config.dropout == dropout
        one, other = (read_tensors(tmp_path / folder / "model.safetensors")[0] for folder in ("with", "without"))
        assert all(torch.equal(one[name], other[name]) for name in one)

    @pytest.mark.parametrize("config", [QWEN3, GPT2, NATIVE], ids=["qwen3", "gpt2", "clearhead"])
    @pytest.mark.parametrize("tied", [True, False])
    def test_the_table_names_every_tensor_once(self, config: ModelConfig, tied: bool) -> None:
        config = replace(config, tied=tied)
        rows = family_for(config).table(config)
        assert sorted(row.ours for row in rows if row.ours) == sorted(skeleton(config).state_dict())
        theirs = [name for row in rows for name in row.theirs]
        assert len(theirs) == len(set(theirs))

    def test_a_tensor_without_a_place_is_not_forgotten(self) -> None:
        model = lively(QWEN3)
        with pytest.raises(FolderError, match=r"^the family's table has no place for extra, more$"):
            to_theirs(qwen3.table(QWEN3), {**model.state_dict(), "more": torch.ones(1), "extra": torch.ones(1)})
