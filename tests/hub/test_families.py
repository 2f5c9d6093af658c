"""Tables of settings and names: which family writes what, and every setting that would change a number is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from little_models import GPT2, QWEN3, TOKENIZER, ids, lively, saved, with_attention, with_feed_forward

from clearhead import hub
from clearhead.errors import ClearheadError, FolderError
from clearhead.hub.families import gpt2, native, qwen3, reading, writing
from clearhead.hub.families.table import kept, to_theirs
from clearhead.model import FEED_FORWARDS, ModelConfig, NormConfig, PositionConfig, skeleton
from clearhead.tensorfile import read_tensors, write_tensors

LAYER, LEARNED = NormConfig(kind="layer"), PositionConfig(kind="learned")

# What is no Qwen 3, and why not.
NOT_QWEN3: dict[str, tuple[ModelConfig, str]] = {
    "LayerNorm": (replace(QWEN3, norm=LAYER), "norm.kind is 'layer'; in qwen3 it is 'rms'"),
    "learned positions": (
        replace(QWEN3, positions=LEARNED),
        "positions is {'kind': 'learned', 'theta': 10000.0, 'rotated': 1.0, 'first': 0}; in qwen3 it is "
        "{'kind': 'rotary', 'theta': 10000.0, 'rotated': 1.0, 'first': 0}",
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
        assert writing(QWEN3) is qwen3
        assert writing(GPT2) is gpt2
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
        assert writing(with_feed_forward(QWEN3, kind)) is (qwen3 if gated else native)
        ungated = {"gelu", "gelu-tanh", "relu", "silu", "tanh"}
        assert writing(with_feed_forward(GPT2, kind)) is (gpt2 if kind in ungated else native)

    @pytest.mark.parametrize("case", [*NOT_QWEN3, *NOT_GPT2])
    def test_what_no_family_has_is_written_natively_and_comes_back(self, case: str, tmp_path: Path) -> None:
        config = {**NOT_QWEN3, **NOT_GPT2}[case][0]
        model = saved(tmp_path, config)
        back = hub.load(tmp_path)
        assert hub.family(back.config) == "clearhead"
        assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["Transformer"]
        assert back.config == config
        assert torch.equal(back(ids()), model(ids()))
        state = back.transformer.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())

    @pytest.mark.parametrize("config", [QWEN3, GPT2, NOT_QWEN3["soft cap"][0]], ids=["qwen3", "gpt2", "clearhead"])
    def test_settings_are_read_as_they_were_written(self, config: ModelConfig) -> None:
        family = writing(config)
        settings = json.loads(json.dumps(family.settings(config)))
        assert reading(settings, "here") == (family, config)

    def test_dropout_changes_nothing_of_a_qwen3(self, tmp_path: Path) -> None:
        """It is no setting of that family: not a byte differs, and none is read back."""
        for folder, dropout in (("with", 0.25), ("without", 0.0)):
            saved(tmp_path / folder, replace(QWEN3, dropout=dropout))
        for name in ("config.json", "model.safetensors", "generation_config.json"):
            assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()

    @pytest.mark.parametrize("config", [GPT2, NOT_QWEN3["soft cap"][0]], ids=["gpt2", "clearhead"])
    def test_dropout_is_kept_where_the_layout_has_it(self, config: ModelConfig, tmp_path: Path) -> None:
        for folder, dropout in (("with", 0.25), ("without", 0.0)):
            saved(tmp_path / folder, replace(config, dropout=dropout))
            assert hub.load(tmp_path / folder).config.dropout == dropout
        one, other = (read_tensors(tmp_path / folder / "model.safetensors")[0] for folder in ("with", "without"))
        assert all(torch.equal(one[name], other[name]) for name in one)

    @pytest.mark.parametrize("config", [QWEN3, GPT2, NOT_QWEN3["soft cap"][0]], ids=["qwen3", "gpt2", "clearhead"])
    @pytest.mark.parametrize("tied", [True, False])
    def test_the_table_names_every_tensor_once(self, config: ModelConfig, tied: bool) -> None:
        config = replace(config, tied=tied)
        rows = writing(config).table(config)
        assert sorted(row.ours for row in rows if row.ours) == sorted(skeleton(config).state_dict())
        theirs = [name for row in rows for name in row.theirs]
        assert len(theirs) == len(set(theirs))

    def test_a_tensor_without_a_place_is_not_forgotten(self) -> None:
        model = lively(QWEN3)
        with pytest.raises(FolderError, match=r"^the family's table has no place for extra, more$"):
            to_theirs(qwen3.table(QWEN3), {**model.state_dict(), "more": torch.ones(1), "extra": torch.ones(1)})


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda settings: settings.pop(name)


def having(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda settings: settings.update(changes)


WINDOW = {"use_sliding_window": True, "sliding_window": 5}

REFUSED: dict[str, tuple[ModelConfig, Callable[[dict[str, Any]], None], str]] = {
    "unknown family": (
        QWEN3,
        having(model_type="qwen33"),
        r"there is no model family 'qwen33'; did you mean 'qwen3'\?",
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
        r"sliding_window: left out, and layer_types has layers with a window$",
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
    "zero": (QWEN3, having(num_attention_heads=0), r"attention: heads is 0; it must be at least 1"),
    "negative": (GPT2, having(n_embd=-21), r"model: width is -21; it must be at least 1|attention: head_width is -7;"),
    "no heads": (GPT2, having(n_head=0), r"n_head: 0 heads for n_embd 21; the heads must divide the width$"),
    "heads that do not fit": (
        GPT2,
        having(n_head=4),
        r"n_head: 4 heads for n_embd 21; the heads must divide the width",
    ),
    "no share": (QWEN3, having(num_key_value_heads=3), r"4 heads and 3 kv_heads; kv_heads must divide heads$"),
    "layers beyond measure": (
        QWEN3,
        having(num_hidden_layers=10**12),
        r"layer_types: 2 of 1000000000000; there must be",
    ),
    "a number beyond measure": (QWEN3, having(vocab_size=10**40), r"model: vocabulary is 10+; it must be .* at most"),
    "weights beyond measure": (QWEN3, having(hidden_size=2**40), r"weights; the most that is accepted is"),
    "native, unknown": (
        NOT_QWEN3["soft cap"][0],
        lambda settings: settings["model"].update(layer=3),
        r"model.layer: unknown; did you mean 'layers'\?$",
    ),
    "native, missing": (
        NOT_QWEN3["soft cap"][0],
        lambda settings: settings["model"]["attention"].pop("heads"),
        r"model.attention: missing heads$",
    ),
    "native, empty": (NOT_QWEN3["soft cap"][0], without("model"), r"the setting model is missing$"),
    "native, no table": (
        NOT_QWEN3["soft cap"][0],
        having(model="big"),
        r"model: 'big' was given; it is a table with voc",
    ),
    "native, beside": (
        NOT_QWEN3["soft cap"][0],
        having(extra=1),
        r"'extra' = 1 is not supported by the clearhead family$",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    config, change, message = REFUSED[case]
    settings = json.loads(json.dumps(writing(config).settings(config)))
    change(settings)
    with pytest.raises(FolderError, match=rf"^here/config.json: .*{message}"):
        reading(settings, "here/config.json")


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
    settings = writing(config).settings(config)
    for name in settings.keys() - {"model_type", "rope_parameters"}:
        rest = {other: value for other, value in settings.items() if other != name}
        if name in REQUIRED[config]:
            with pytest.raises(FolderError, match=rf"^here: the setting {name} is missing$"):
                reading(rest, "here")
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
            assert reading(rest, "here")[1] == expected


def test_settings_without_a_value_are_as_if_not_there() -> None:
    settings = {**qwen3.settings(QWEN3), "rope_scaling": None, "quantization_config": None, "pad_token_id": 3}
    assert reading(settings, "here") == (qwen3, QWEN3)


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


@given(data=st.data(), config=st.sampled_from([QWEN3, GPT2, NOT_QWEN3["soft cap"][0]]))
def test_whatever_the_settings_say_they_are_read_or_refused(data: st.DataObject, config: ModelConfig) -> None:
    """What is read is written back with the same values; nothing else than FolderError is raised."""
    settings = json.loads(json.dumps(writing(config).settings(config)))
    names = st.sampled_from([*settings, "rope_theta", "max_window_layers", "new"])
    settings |= data.draw(st.dictionaries(names, VALUES, max_size=3))
    try:
        family, read = reading(settings, "here")
    except ClearheadError as error:
        assert type(error) is FolderError  # noqa: PT017 (no other outcome is expected of every example)
        assert len(str(error)) < 1000  # noqa: PT017
        return
    written = family.settings(read)
    unread = family.HARMLESS | (set() if settings.get("use_sliding_window") else {"sliding_window"})
    heeded = {name: value for name, value in settings.items() if name in written and name not in unread}
    assert all(value is None or written[name] == value for name, value in heeded.items())


class TestTensors:
    """The tensors of a folder are those of its config, or the message names which are not."""

    @pytest.fixture(params=[QWEN3, GPT2], ids=["qwen3", "gpt2"])
    def config(self, request: pytest.FixtureRequest) -> ModelConfig:
        return request.param

    def altered(self, folder: Path, config: ModelConfig, change: Callable[[dict[str, torch.Tensor]], object]) -> str:
        saved(folder, config)
        tensors, _ = read_tensors(folder / "model.safetensors")
        change(tensors)
        write_tensors(folder / "model.safetensors", tensors)
        with pytest.raises(FolderError) as raised:
            hub.load(folder)
        start = f"{folder / 'model.safetensors'}: the tensors are not those of the config; "
        assert str(raised.value).startswith(start)
        return str(raised.value).removeprefix(start)

    def test_missing(self, config: ModelConfig, tmp_path: Path) -> None:
        names = [writing(config).table(config)[index].theirs[-1] for index in (0, 7)]
        fault = self.altered(tmp_path, config, lambda tensors: [tensors.pop(name) for name in names])
        assert fault == f"missing: {', '.join(sorted(names))}"

    def test_left_over(self, config: ModelConfig, tmp_path: Path) -> None:
        fault = self.altered(tmp_path, config, lambda tensors: tensors.update(z=torch.ones(1), a=torch.ones(1)))
        assert fault == "left over: a, z"

    def test_renamed(self, config: ModelConfig, tmp_path: Path) -> None:
        name = writing(config).table(config)[1].theirs[0]
        fault = self.altered(tmp_path, config, lambda tensors: tensors.update({f"x.{name}": tensors.pop(name)}))
        assert fault == f"missing: {name}; left over: x.{name}"

    def test_every_one_of_another_shape(self, config: ModelConfig, tmp_path: Path) -> None:
        for row in kept(writing(config).table(config)).values():
            for name in row.theirs:
                shape = []
                fault = self.altered(
                    tmp_path,
                    config,
                    lambda tensors, name=name, shape=shape: (
                        shape.append(tuple(tensors[name].shape)),
                        tensors.update({name: torch.ones(*tensors[name].shape, 1)}),
                    ),
                )
                assert fault == f"of another shape: {name} is {(*shape[0], 1)} and should be {shape[0]}"

    def test_turned(self, tmp_path: Path) -> None:
        """The same numbers in rows for columns: GPT-2's layout of a matrix that is not square."""
        name = "transformer.h.0.mlp.c_fc.weight"
        fault = self.altered(tmp_path, GPT2, lambda tensors: tensors.update({name: tensors[name].T.contiguous()}))
        assert fault == f"of another shape: {name} is (13, 21) and should be (21, 13)"

    @pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8], ids=str)
    def test_whole_numbers(self, config: ModelConfig, dtype: torch.dtype, tmp_path: Path) -> None:
        name = writing(config).table(config)[0].theirs[0]
        saved(tmp_path, config)
        tensors, _ = read_tensors(tmp_path / "model.safetensors")
        write_tensors(tmp_path / "model.safetensors", {**tensors, name: tensors[name].to(dtype)})
        kind = str(dtype).removeprefix("torch.")
        message = rf"model.safetensors: {name} is of dtype {kind}, and weights are .*; quantised weights are not read"
        with pytest.raises(FolderError, match=message):
            hub.load(tmp_path)

    def test_many_are_counted(self, tmp_path: Path) -> None:
        fault = self.altered(
            tmp_path, QWEN3, lambda tensors: tensors.clear() or tensors.update(a=torch.ones(1), b=torch.ones(1))
        )
        assert " and 4 more; left over: a, b" in fault

    def test_a_deep_config_without_the_tensors(self, tmp_path: Path) -> None:
        """Said before ten thousand layers are built."""
        saved(tmp_path, QWEN3)
        tensors, _ = read_tensors(tmp_path / "model.safetensors")
        write_tensors(tmp_path / "model.safetensors", tensors)  # without the checksum of its config
        settings = qwen3.settings(replace(QWEN3, layers=10_000))
        (tmp_path / "config.json").write_text(json.dumps(settings))
        with pytest.raises(FolderError, match=r"safetensors: 24 tensors for the 10000 layers of config.json$"):
            hub.load(tmp_path)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
    def test_other_dtypes_come_back_as_they_are(self, config: ModelConfig, dtype: torch.dtype, tmp_path: Path) -> None:
        model = saved(tmp_path, config, dtype)
        state = hub.load(tmp_path, dtype="stored").transformer.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
        assert {tensor.dtype for tensor in state.values()} == {dtype}
        assert json.loads((tmp_path / "config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")


def test_the_tokenizer_may_have_fewer_ids_but_not_more(tmp_path: Path) -> None:
    """Released models pad their vocabulary to a round number."""
    hub.save(tmp_path, lively(replace(QWEN3, vocabulary=40)), TOKENIZER)
    assert hub.load(tmp_path).tokenizer.vocab_size == 31
    hub.save(tmp_path, lively(replace(QWEN3, vocabulary=30)), TOKENIZER)
    with pytest.raises(
        FolderError, match=rf"^{tmp_path}: the tokenizer has 31 tokens, the model 30; they do not belong"
    ):
        hub.load(tmp_path)
