"""Configs: what they refuse, how they are written down, and that they count their weights rightly."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from typing import Any

import pytest
import tomli_w
from hypothesis import given

from clearhead.errors import ConfigError, OptionError
from clearhead.model import (
    FEED_FORWARDS,
    AttentionConfig,
    ExpertsConfig,
    FeedForwardConfig,
    LayerConfig,
    ModelConfig,
    NormConfig,
    PositionConfig,
    ScalingConfig,
    skeleton,
)
from clearhead.plain import from_dict, to_dict
from shapes import GPT2, QWEN3, configs


def attention(**options: Any) -> AttentionConfig:
    return AttentionConfig(**{"heads": 4, "kv_heads": 2, "head_width": 6, **options})


def model(**options: Any) -> ModelConfig:
    return replace(QWEN3, **options)


REFUSED = {
    "no heads": (lambda: attention(heads=0), r"^attention: heads is 0; it must be at least 1 and at most"),
    "negative heads": (lambda: attention(heads=-4), r"^attention: heads is -4; it must be at least 1"),
    "no key heads": (lambda: attention(kv_heads=0), r"^attention: kv_heads is 0;"),
    "no head width": (lambda: attention(head_width=0), r"^attention: head_width is 0;"),
    "heads without a share": (lambda: attention(kv_heads=3), r"4 heads and 3 kv_heads; kv_heads must divide heads$"),
    "more key heads": (lambda: attention(kv_heads=8), r"4 heads and 8 kv_heads; kv_heads must divide heads$"),
    "no window": (lambda: attention(window=0), r"^attention: window is 0; it must be at least 1"),
    "a window beyond": (lambda: attention(window=2**63), r"^attention: window is 9223372036854775808; .* at most"),
    "no soft cap": (lambda: attention(softcap=0.0), r"softcap is 0.0; it must be above 0 and finite, or left out$"),
    "soft cap nan": (lambda: attention(softcap=float("nan")), r"softcap is nan; it must be above 0 and finite"),
    "a misspelt norm of heads": (lambda: attention(head_norm="heads"), r"no head_norm 'heads'; did you mean 'head'\?$"),
    "no scale": (
        lambda: attention(scale=0.0),
        r"^attention: scale is 0.0; it must be above 0 and finite, or left out$",
    ),
    "a LayerNorm with an offset": (lambda: NormConfig(kind="layer", offset=1.0), r"^norm: offset is 1.0; it must be "),
    "nothing turned": (lambda: PositionConfig(rotated=0.0), r"^positions: rotated is 0.0; it must be above 0 and at "),
    "odd part turned": (
        lambda: model(positions=PositionConfig(rotated=0.5)),
        r"^attention: head_width is 6, 3 of it rotated; rotary positions rotate pairs, so it must be even$",
    ),
    "another arrangement": (lambda: model(arrangement="before"), r"^model: there is no arrangement 'before'; known: o"),
    "no embedding": (lambda: model(embedding_scale=-1.0), r"^model: embedding_scale is -1.0; it must be above 0 and f"),
    "no cap of logits": (lambda: model(logit_softcap=0.0), r"^model: logit_softcap is 0.0; it must be above 0 and fi"),
    "no window in a pattern": (lambda: LayerConfig(window=0), r"^pattern: window is 0; it must be at least 1"),
    "three buckets": (lambda: PositionConfig(buckets=3), r"^positions: buckets is 3 and distance 128; there must be "),
    "a short distance": (lambda: PositionConfig(distance=16), r"^positions: buckets is 32 and distance 16; .* above h"),
    "biases in a pattern": (
        lambda: LayerConfig(positions=PositionConfig(kind="relative")),
        r"^pattern: relative positions belong to the whole model, not to a layer$",
    ),
    "learned in a pattern": (
        lambda: LayerConfig(positions=PositionConfig(kind="learned")),
        r"^pattern: learned positions belong to the whole model, not to a layer$",
    ),
    "a window beside a pattern": (
        lambda: model(attention=attention(window=5), pattern=(LayerConfig(),)),
        r"^model: attention.window is 5 beside a pattern, which has windows$",
    ),
    "another scaling": (lambda: ScalingConfig(kind="ntk", factor=2.0), r"^scaling: there is no kind 'ntk'; known: l"),
    "a scaling by nothing": (lambda: ScalingConfig(kind="linear", factor=0.0), r"^scaling: factor is 0.0; it must be "),
    "long waves shorter": (
        lambda: ScalingConfig(kind="llama3", factor=2.0, low=4.0, high=4.0),
        r"^scaling: low 4.0 and high 4.0, .*; the first must be smaller each time$",
    ),
    "divisors for nothing": (
        lambda: ScalingConfig(kind="linear", factor=2.0, short=(1.0,), long=(1.0,)),
        r"^scaling: short and long divisors belong to kind 'longrope', which needs both$",
    ),
    "a context without a logarithm": (
        lambda: ScalingConfig(kind="longrope", factor=2.0, original=1, short=(1.0,), long=(1.0,)),
        r"^scaling: original is 1; longrope divides by its logarithm: at least 2$",
    ),
    "a divisor that is zero": (
        lambda: ScalingConfig(kind="longrope", factor=2.0, short=(1.0,), long=(0.0,)),
        r"^scaling: long is \(0.0,\); it must be above 0 and finite$",
    ),
    "divisors too few": (
        lambda: model(
            positions=PositionConfig(scaling=ScalingConfig(kind="longrope", factor=2.0, short=(1.0,), long=(1.0,)))
        ),
        r"^scaling: 1 short and 1 long divisors; there must be one for each of 3 pairs$",
    ),
    "no inner width": (lambda: FeedForwardConfig(width=0), r"^feed_forward: width is 0;"),
    "a misspelt kind": (
        lambda: FeedForwardConfig(kind="swigul", width=3),
        r"^feed_forward: there is no kind 'swigul'; did you mean 'swiglu'\?$",
    ),
    "another kind": (lambda: FeedForwardConfig(kind="maxout", width=3), r"no kind 'maxout'; known: bilinear, geglu, "),
    "a norm": (lambda: NormConfig(kind="batch"), r"^norm: there is no kind 'batch'; known: layer, rms$"),
    "no eps": (lambda: NormConfig(eps=0.0), r"^norm: eps is 0.0; it must be above 0 and finite$"),
    "eps nan": (lambda: NormConfig(eps=float("nan")), r"^norm: eps is nan;"),
    "eps inf": (lambda: NormConfig(eps=float("inf")), r"^norm: eps is inf;"),
    "a position": (lambda: PositionConfig(kind="rotery"), r"^positions: .* 'rotery'; did you mean 'rotary'\?$"),
    "theta": (lambda: PositionConfig(theta=1.0), r"^positions: theta is 1.0; it must be above 1 and finite$"),
    "theta inf": (lambda: PositionConfig(theta=float("inf")), r"^positions: theta is inf;"),
    "no words": (lambda: model(vocabulary=0), r"^model: vocabulary is 0;"),
    "no context": (lambda: model(context=0), r"^model: context is 0;"),
    "no layers": (lambda: model(layers=0), r"^model: layers is 0;"),
    "negative width": (lambda: model(width=-5), r"^model: width is -5;"),
    "dropout": (lambda: model(dropout=1.0), r"^model: dropout is 1.0; it must be at least 0 and below 1$"),
    "dropout nan": (lambda: model(dropout=float("nan")), r"^model: dropout is nan;"),
    "odd heads turned": (
        lambda: model(attention=attention(head_width=7)),
        r"^attention: head_width is 7; rotary positions rotate pairs, so it must be even$",
    ),
    "too many layers": (lambda: model(layers=10**9), r"^model: 1,000,000,000 layers; the most .* is 10,000$"),
    "a size beyond": (lambda: model(context=10**30), r"^model: context is 1000000000000000000000000000000; .* at most"),
    "too many weights": (lambda: model(width=2**30, vocabulary=2**30), r"^model: \d[\d,]+ weights; the most"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message) as raised:
        make()
    assert isinstance(raised.value, OptionError)
    assert raised.value.exit_code == 2


def test_configs_are_values() -> None:
    assert model() == QWEN3
    assert hash(model()) == hash(QWEN3)
    assert model(tied=False) != QWEN3
    with pytest.raises(AttributeError):
        QWEN3.width = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        NormConfig("rms")  # type: ignore[misc]


def test_every_feed_forward_is_gated_or_not_under_its_own_name() -> None:
    """Shazeer (2020): the gated form of each activation, and the activation alone."""
    activations = {name for name, _ in FEED_FORWARDS.values()}
    for activation in activations:
        assert sorted(gated for name, gated in FEED_FORWARDS.values() if name == activation) == [False, True]
        assert FEED_FORWARDS[activation] == (activation, False)
    assert len(FEED_FORWARDS) == 2 * len(activations)


class TestParameters:
    def test_by_hand(self) -> None:
        """Qwen 3: 31 x 20 for the embedding; a layer has (4 + 2 + 2) x 6 x 20 + 24 x 20 for attention, 2 x 6 for its
        norms, 3 x 17 x 20 for the feed-forward, 2 x 20 for the norms; 20 for the last norm."""
        assert QWEN3.parameters() == 620 + 3 * (960 + 480 + 12 + 1020 + 40) + 20

    def test_gpt2_as_released(self) -> None:
        """124,439,808: what transformers counts for openai-community/gpt2."""
        released = replace(
            GPT2,
            vocabulary=50257,
            context=1024,
            layers=12,
            width=768,
            attention=replace(GPT2.attention, heads=12, kv_heads=12, head_width=64),
            feed_forward=replace(GPT2.feed_forward, width=3072),
        )
        assert released.parameters() == 124_439_808

    def test_inside(self) -> None:
        """Without the 31 x 20 of the embedding, and of the output layer when that is another matrix."""
        assert QWEN3.inner_parameters() == QWEN3.parameters() - 620
        assert model(tied=False).inner_parameters() == QWEN3.inner_parameters()

    @given(config=configs())
    def test_as_built(self, config: ModelConfig) -> None:
        assert config.parameters() == sum(parameter.numel() for parameter in skeleton(config).parameters())

    def test_active_for_one_token(self) -> None:
        """Of 5 experts of 3 x 20 x 7 weights, 3 are idle in each of two layers; the third layer is dense."""
        experts = ExpertsConfig(count=5, active=2, dense=(1,))
        config = replace(QWEN3, feed_forward=FeedForwardConfig(width=7, experts=experts))
        assert config.parameters() - config.active_parameters() == 2 * 3 * 420
        assert QWEN3.active_parameters() == QWEN3.parameters()


class TestWrittenDown:
    @given(config=configs())
    def test_comes_back(self, config: ModelConfig) -> None:
        values = to_dict(config)
        assert from_dict(ModelConfig, values) == config
        assert from_dict(ModelConfig, json.loads(json.dumps(values))) == config
        assert from_dict(ModelConfig, tomllib.loads(tomli_w.dumps(values))) == config

    def test_plainly(self) -> None:
        assert to_dict(QWEN3) == {
            "kind": "decoder",
            "vocabulary": 31,
            "context": 23,
            "layers": 3,
            "width": 20,
            "attention": {
                "heads": 4,
                "kv_heads": 2,
                "head_width": 6,
                "bias": False,
                "out_bias": False,
                "head_norm": "head",
                "sinks": False,
            },
            "feed_forward": {"kind": "swiglu", "width": 17, "bias": False},
            "norm": {"kind": "rms", "eps": 1e-6, "offset": 0.0, "bias": True},
            "positions": {
                "kind": "rotary",
                "theta": 10000.0,
                "rotated": 1.0,
                "first": 0,
                "buckets": 32,
                "distance": 128,
            },
            "arrangement": "pre",
            "pattern": [],
            "tied": True,
            "dropout": 0.0,
        }

    def test_what_is_left_out_is_the_default(self) -> None:
        values = to_dict(QWEN3)
        for name in ("norm", "positions", "tied", "dropout"):
            del values[name]
        del values["attention"]["head_norm"]
        assert from_dict(ModelConfig, values) == QWEN3

    def test_whole_numbers_are_numbers(self) -> None:
        config = from_dict(ModelConfig, {**to_dict(QWEN3), "dropout": 0, "positions": {"theta": 500}})
        assert config.positions.theta == 500.0
        assert isinstance(config.dropout, float)


def changed(path: str, value: object) -> dict[str, Any]:
    """QWEN3 written down, with one entry changed."""
    values = to_dict(QWEN3)
    *tables, name = path.split(".")
    table = values
    for key in tables:
        table = table[key]
    table[name] = value
    return values


WRONG = {
    "unknown": ("layer", 3, r"^layer: unknown; did you mean 'layers'\?$"),
    "unknown inside": ("attention.kv_head", 3, r"^attention.kv_head: unknown; did you mean 'kv_heads'\?$"),
    "unlike anything": ("zzz", 3, r"^zzz: unknown; known: arrangement, attention, context, "),
    "a text": ("layers", "3", r"^layers: '3' was given; it must be a whole number$"),
    "a fraction": ("width", 20.0, r"^width: 20.0 was given; it must be a whole number$"),
    "true": ("width", True, r"^width: True was given; it must be a whole number$"),
    "a number for a switch": ("tied", 1, r"^tied: 1 was given; it must be true or false$"),
    "a switch for a number": ("dropout", False, r"^dropout: False was given; it must be a finite number$"),
    "nan": ("norm.eps", float("nan"), r"^norm.eps: nan was given; it must be a finite number$"),
    "infinite": ("positions.theta", float("-inf"), r"^positions.theta: -inf was given; it must be a finite number$"),
    "too large to be one": (
        "dropout",
        10**400,
        r"^dropout: 1000+\.\.\. \(int\) was given; it must be a finite number$",
    ),
    "nothing": ("layers", None, r"^layers: None was given; it must be a whole number$"),
    "optional": ("attention.window", "5", r"^attention.window: '5' was given; it must be a whole number or left out$"),
    "another word": ("norm.kind", "rsm", r"^norm.kind: 'rsm' was given; it must be 'rms' or 'layer'$"),
    "a list for a word": ("norm.kind", ["rms"], r"^norm.kind: \['rms'\] was given; it must be 'rms' or 'layer'$"),
    "no table": ("attention", 4, r"^attention: 4 was given; it is a table with heads, kv_heads, head_width, "),
    "no table at all": ("norm", None, r"^norm: None was given; it is a table with kind, eps, offset, bias$"),
    "contradiction inside": ("attention.kv_heads", 3, r"4 heads and 3 kv_heads; kv_heads must divide heads$"),
    "a table in a list": (
        "pattern",
        [{"window": 5}, {"windw": 5}],
        r"^pattern.1.windw: unknown; did you mean 'window'\?$",
    ),
    "no list": ("pattern", {"window": 5}, r"^pattern: \{'window': 5\} was given; it must be a list of tables$"),
    "a list of others": ("pattern", [5], r"^pattern: \[5\] was given; it must be a list of tables$"),
    "a table or nothing": (
        "positions.scaling",
        3,
        r"^positions.scaling: 3 was given; it must be a table with kind, .* or left",
    ),
    "a list of numbers": (
        "positions.scaling",
        {"kind": "longrope", "factor": 2.0, "short": [1.0, "x"]},
        r"^positions.scaling.short: \[1.0, 'x'\] was given; it must be a list of finite numbers$",
    ),
    "a long list": (
        "layers",
        [0] * 1000,
        r"^layers: \[0, .{,100}\.\.\. \(list\) was given; it must be a whole number$",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_entries(case: str) -> None:
    path, value, message = WRONG[case]
    with pytest.raises(ConfigError, match=message):
        from_dict(ModelConfig, changed(path, value))


def test_missing_entries() -> None:
    values = to_dict(QWEN3)
    del values["layers"], values["width"]
    with pytest.raises(ConfigError, match=r"^config: missing layers, width$"):
        from_dict(ModelConfig, values)
    with pytest.raises(ConfigError, match=r"^model: missing layers, width$"):
        from_dict(ModelConfig, values, "model.")
    with pytest.raises(ConfigError, match=r"^attention: missing heads, head_width$"):
        from_dict(ModelConfig, {**to_dict(QWEN3), "attention": {"kv_heads": 2}})


def test_a_decoder_of_windows_reaches_as_far_as_they_add_up() -> None:
    assert replace(QWEN3, attention=attention(window=5), layers=3).reach == 1 + 3 * 4
    assert replace(QWEN3, attention=attention(), pattern=(LayerConfig(window=5), LayerConfig())).reach is None
