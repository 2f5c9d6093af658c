"""Weights in several files and in several dtypes: what is loaded is what is there, or one error."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from little_models import GPT2, QWEN3, TOKENIZER, converted, ids, lively, saved
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BertConfig, PreTrainedModel

from clearhead import hub, machine
from clearhead.errors import FolderError, OptionError
from clearhead.language_model import LanguageModel
from clearhead.model import (
    AttentionConfig,
    ClampConfig,
    ExpertsConfig,
    FeedForwardConfig,
    ModelConfig,
    NormConfig,
    PositionConfig,
)
from clearhead.tensorfile import read_tensors, write_tensors

INDEX = "model.safetensors.index.json"


@pytest.fixture(params=["qwen3", "gpt2"])
def sharded(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder in several files, as transformers writes them."""
    saved(tmp_path / "whole", {"qwen3": QWEN3, "gpt2": GPT2}[request.param])
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "sharded", max_shard_size=4000)
    TOKENIZER.save(tmp_path / "sharded")
    return tmp_path / "sharded"


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("model-*.safetensors"))


def indexed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    index = json.loads((folder / INDEX).read_text())
    change(index)
    (folder / INDEX).write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("number", "dtype"), [(float("nan"), "stored"), (float("-inf"), "stored"), (1e5, "float16")], ids=str
)
def test_numbers_that_are_not_finite(number: float, dtype: str, tmp_path: Path) -> None:
    """An attention kernel may turn them into zeros, and so into plausible text."""
    saved(tmp_path, QWEN3)
    tensors, notes = read_tensors(tmp_path / "model.safetensors")
    name = "model.layers.1.self_attn.k_proj.weight"
    tensors[name][3, 2] = number
    write_tensors(tmp_path / "model.safetensors", tensors, notes)
    with pytest.raises(
        FolderError, match=r"safetensors: model\.layers\.1\.self_attn\.k_proj\.weight has numbers that are not finite"
    ):
        hub.load(tmp_path, dtype=dtype)


EXPERTS = ExpertsConfig(count=3, active=2)
NEOX = replace(
    QWEN3,
    attention=AttentionConfig(heads=4, kv_heads=4, head_width=5, bias=True, out_bias=True, head_norm="none"),
    feed_forward=FeedForwardConfig(kind="gelu", width=17, bias=True),
    norm=NormConfig(kind="layer"),
    positions=PositionConfig(rotated=0.8),
    arrangement="parallel",
    tied=False,
)
OSS = replace(
    QWEN3,
    attention=replace(QWEN3.attention, head_norm="none", sinks=True),
    feed_forward=FeedForwardConfig(width=16, bias=True, clamp=ClampConfig(), experts=replace(EXPERTS, bias=True)),
)
LAYOUTS: dict[str, ModelConfig] = {
    "qwen3": QWEN3,  # three projections below one another, gate and up as well
    "gpt2": GPT2,  # inputs as rows
    "gpt_neox": NEOX,  # query, key and value of each head below one another
    "qwen3_moe": replace(QWEN3, feed_forward=replace(QWEN3.feed_forward, experts=EXPERTS)),  # one tensor per expert
    "gpt_oss": OSS,  # gate and up interleaved
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_tensor_that_is_not_finite_is_named(layout: str, tmp_path: Path) -> None:
    """However ours joins several of theirs: each of a layer's tensors in turn."""
    config = LAYOUTS[layout]
    assert hub.family(config) == layout
    saved(tmp_path, config)
    tensors, notes = read_tensors(tmp_path / "model.safetensors")
    for name in [name for name in tensors if ".1." in name]:
        sound = tensors[name].clone()
        tensors[name].view(-1)[-1] = float("nan")
        write_tensors(tmp_path / "model.safetensors", tensors, notes)
        with pytest.raises(FolderError, match=rf"safetensors: {re.escape(name)} has numbers that are not finite"):
            hub.load(tmp_path)
        tensors[name] = sound


class TestShards:
    def test_the_same_model(self, sharded: Path) -> None:
        assert len(parts(sharded)) > 2
        assert not (sharded / "model.safetensors").exists()
        whole = hub.load(sharded.parent / "whole")
        assert torch.equal(hub.load(sharded)(ids()), whole(ids()))

    def test_one_file_goes_first(self, sharded: Path) -> None:
        """As in transformers: what an index beside it says does not matter."""
        (sharded / INDEX).write_text("{")
        with pytest.raises(FolderError, match="truncated or altered"):
            hub.load(sharded)
        whole = sharded.parent / "whole" / "model.safetensors"
        write_tensors(sharded / "model.safetensors", read_tensors(whole)[0])
        hub.load(sharded)

    def test_a_missing_file(self, sharded: Path) -> None:
        parts(sharded)[1].unlink()
        with pytest.raises(FolderError, match=rf"^{parts(sharded)[0].parent}/model-00002-of-.*: there is no such file"):
            hub.load(sharded)

    def test_a_damaged_file(self, sharded: Path) -> None:
        part = parts(sharded)[1]
        part.write_bytes(part.read_bytes()[:-1])
        with pytest.raises(FolderError, match=rf"^{part}: truncated or not a safetensors file"):
            hub.load(sharded)

    def test_a_tensor_that_the_index_does_not_name(self, sharded: Path) -> None:
        save_file({**load_file(parts(sharded)[0]), "more": torch.ones(1)}, parts(sharded)[0])
        with pytest.raises(
            FolderError, match=rf"{INDEX}: model-00001-of-.* has, though the index does not say so, 'mo"
        ):
            hub.load(sharded)

    def test_a_tensor_that_is_nowhere(self, sharded: Path) -> None:
        indexed(sharded, lambda index: index["weight_map"].update(more=parts(sharded)[0].name))
        with pytest.raises(FolderError, match=rf"^{sharded / INDEX}: model-00001-of-.* lacks 'more'; copy both again"):
            hub.load(sharded)

    def test_a_tensor_in_two_files(self, sharded: Path) -> None:
        first, second = parts(sharded)[:2]
        tensors = load_file(first)
        save_file({**load_file(second), **tensors}, second)
        with pytest.raises(FolderError, match=rf"{second.name} has, though the index does not say so, "):
            hub.load(sharded)

    def test_of_the_config_as_one_file_would_be(self, sharded: Path) -> None:
        def left_out(index: dict[str, Any]) -> None:
            index["weight_map"] = {n: f for n, f in index["weight_map"].items() if f != parts(sharded)[0].name}

        indexed(sharded, left_out)
        with pytest.raises(FolderError, match=rf"{INDEX}: the tensors do not match the config; missing: "):
            hub.load(sharded)

    @pytest.mark.parametrize(
        "name",
        ["../model.safetensors", "/etc/passwd", "a/model.safetensors", "model.bin", ".safetensors", "", 3, None, ["a"]],
        ids=str,
    )
    def test_an_index_points_at_nothing_else(self, name: object, sharded: Path) -> None:
        indexed(sharded, lambda index: index["weight_map"].update(more=name))
        with pytest.raises(
            FolderError, match=r"index.json: altered: .*, the file of 'more', is not the name of a tensor fil"
        ):
            hub.load(sharded)

    @pytest.mark.parametrize("content", ["{}", '{"weight_map": {}}', '{"weight_map": []}', '{"weight_map": "x"}', "[]"])
    def test_an_index_that_is_none(self, content: str, sharded: Path) -> None:
        (sharded / INDEX).write_text(content)
        with pytest.raises(
            FolderError, match=rf"^{sharded / INDEX}: altered: not a JSON object|: it has no weight_map"
        ):
            hub.load(sharded)

    def test_too_many_files(self, sharded: Path) -> None:
        indexed(sharded, lambda index: index["weight_map"].update({f"t{n}": f"{n}.safetensors" for n in range(501)}))
        with pytest.raises(FolderError, match=r"index.json: 50\d files; at most 500 are supported"):
            hub.load(sharded)


class TestDtypes:
    @pytest.fixture
    def mixed(self, tmp_path: Path) -> Path:
        """bfloat16 with norms in float32, as several releases are."""
        saved(tmp_path, QWEN3, torch.bfloat16)
        tensors, _ = read_tensors(tmp_path / "model.safetensors")
        turned = {name: each.float() * 1.0001 if "norm" in name else each for name, each in tensors.items()}
        write_tensors(tmp_path / "model.safetensors", turned)
        return tmp_path

    def test_the_most_numbers_decide(self, mixed: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "clearhead"):
            state = hub.load(mixed, dtype="stored").network.state_dict()
        assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}
        assert "model.safetensors: 9 tensors of float32 are rounded to bfloat16" in caplog.text

    def test_nothing_is_lost_in_float32(self, mixed: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "clearhead"):
            state = hub.load(mixed, dtype="float32").network.state_dict()
        there, _ = read_tensors(mixed / "model.safetensors")
        assert torch.equal(state["norm.weight"], there["model.norm.weight"])
        assert torch.equal(state["embedding.weight"], there["model.embed_tokens.weight"].float())
        assert not caplog.text

    @pytest.mark.parametrize("name", ["float32", "bfloat16", "float16", "float64"])
    @pytest.mark.parametrize("config", [QWEN3, GPT2], ids=["qwen3", "gpt2"])
    def test_a_chosen_one(self, name: str, config: Any, tmp_path: Path) -> None:
        dtype = getattr(torch, name)
        model = saved(tmp_path, config)
        state = hub.load(tmp_path, dtype=name).network.state_dict()
        assert all(torch.equal(state[key], tensor.to(dtype)) for key, tensor in model.state_dict().items())

    @pytest.mark.parametrize("pays", [True, False])
    def test_half_only_where_it_pays(self, pays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[torch.dtype] = []
        monkeypatch.setattr(machine, "half_pays", lambda dtype: asked.append(dtype) or pays)
        for dtype in (torch.bfloat16, torch.float32):
            saved(tmp_path, QWEN3, dtype)
            loaded = hub.load(tmp_path).network.norm.weight.dtype
            assert loaded == (torch.bfloat16 if pays and dtype == torch.bfloat16 else torch.float32)
        assert asked == [torch.bfloat16]  # of float32 nothing is measured

    def test_an_unknown_one(self, tmp_path: Path) -> None:
        saved(tmp_path, QWEN3)
        with pytest.raises(OptionError, match=r"^dtype: there is no 'bfloat61'; did you mean 'bfloat16'\?$"):
            hub.load(tmp_path, dtype="bfloat61")


class TestOtherFormats:
    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("pytorch_model.bin", "is a pickle, which can run code when opened, so it is not read; convert it with"),
            ("model.pt", "is a pickle"),
            ("last.ckpt", "is a pickle"),
            ("consolidated.00.pth", "is a pickle"),
            ("tf_model.h5", "is not supported; take a release with model.safetensors"),
            ("flax_model.msgpack", "is not supported; take"),
            ("model-q4_0.gguf", "is a model in a file of its own; give its path instead of the folder's"),
            ("adapter_model.safetensors", "is not named model.safetensors"),
        ],
    )
    def test_is_named_with_the_way_out(self, name: str, why: str, tmp_path: Path) -> None:
        saved(tmp_path, QWEN3)
        (tmp_path / "model.safetensors").rename(tmp_path / name)
        with pytest.raises(
            FolderError, match=rf"^{tmp_path / 'model.safetensors'}: there is no such file; {name} {why}"
        ):
            hub.load(tmp_path)

    def test_the_way_out_of_a_pickle_is_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Following the message gives a folder that opens."""
        model = saved(tmp_path / "model", QWEN3)
        out = converted(pickled(tmp_path / "model"), tmp_path, monkeypatch)
        assert torch.equal(hub.load(out)(ids()), model(ids()))

    @pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForPreTraining", "BertModel"])
    @torch.no_grad()
    def test_the_way_out_of_an_encoder_s_pickle(
        self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It keeps the head that predicts masked tokens, and does not make one up."""
        torch.manual_seed(0)
        sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 14}
        theirs: PreTrainedModel = getattr(transformers, kind)(BertConfig(vocab_size=31, **sizes)).eval()
        theirs.save_pretrained(tmp_path / "model")
        TOKENIZER.save(tmp_path / "model")
        loaded = hub.load(converted(pickled(tmp_path / "model"), tmp_path, monkeypatch))
        expected_BTE = theirs.base_model(ids()).last_hidden_state
        torch.testing.assert_close(loaded.network.hidden(ids()), expected_BTE, rtol=0, atol=1e-5)
        assert (loaded.config.prediction is None) == (kind == "BertModel")

    @pytest.mark.parametrize(
        ("told", "way"),
        [
            (
                {"quant_method": "bitsandbytes", "load_in_4bit": True},
                r"; .*make one with transformers: Auto.*\)\.dequantize\(\)\.save",
            ),
            ({"load_in_8bit": True}, r" \('bitsandbytes'\); .*\)\.dequantize\(\)\.save"),
            ({"quant_method": "hqq", "bits": 4}, "; take the release in bfloat16$"),
            ("awq", "; take the release in bfloat16$"),
        ],
    )
    def test_the_way_out_of_quantised_weights(self, told: object, way: str, tmp_path: Path) -> None:
        saved(tmp_path, QWEN3)
        settings = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**settings, "quantization_config": told}))
        with pytest.raises(FolderError, match=way):
            hub.load(tmp_path)

    @pytest.mark.parametrize(
        "told", [{"quant_method": "hqq", "bits": 4}, {"quant_method": "mxfp4"}, {"load_in_4bit": True}, "awq", 4]
    )
    @pytest.mark.parametrize("entry", ["quantization_config", "compression_config"])
    def test_quantised_weights(self, entry: str, told: object, tmp_path: Path) -> None:
        saved(tmp_path, QWEN3)
        settings = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**settings, entry: told}))
        with pytest.raises(FolderError, match=r"config.json: the weights are quantised \(.*\); only compressed-tenso"):
            hub.load(tmp_path)


def pickled(folder: Path) -> str:
    """The error for a folder whose weights are a pickle."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(FolderError) as caught:
        hub.load(folder)
    return str(caught.value)


class TestCode:
    def brought(self, folder: Path, **settings: Any) -> None:
        model = lively(QWEN3)
        hub.save(folder, LanguageModel(model, TOKENIZER))
        tensors, _ = read_tensors(folder / "model.safetensors")
        write_tensors(folder / "model.safetensors", tensors)
        whole = {
            **json.loads((folder / "config.json").read_text()),
            "auto_map": {"AutoConfig": "trap.Config"},
            **settings,
        }
        (folder / "config.json").write_text(json.dumps(whole))
        (folder / "trap.py").write_text(f"open({str(folder / 'sprung')!r}, 'w')")

    def test_is_never_run_and_says_so(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.brought(tmp_path)
        with caplog.at_level(logging.INFO, "clearhead"):
            loaded = hub.load(tmp_path)
        assert torch.equal(loaded(ids()), lively(QWEN3)(ids()))
        assert "its own code (auto_map) is not run; the qwen3 family is built in" in caplog.text
        assert not (tmp_path / "sprung").exists()

    def test_and_without_it_the_family_is_unknown(self, tmp_path: Path) -> None:
        self.brought(tmp_path, model_type="own")
        with pytest.raises(FolderError, match=r"no model family 'own'.*; the folder's own code .* is never run$"):
            hub.load(tmp_path)
        assert not (tmp_path / "sprung").exists()
