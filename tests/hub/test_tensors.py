"""The tensors of a folder are those of its config, or one error says which are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from little_models import GPT2, QWEN3, TOKENIZER, lively, saved
from transformers import Starcoder2Config, Starcoder2ForCausalLM

from clearhead import hub
from clearhead.errors import FolderError
from clearhead.hub.families import decoder, family_for, qwen3
from clearhead.hub.families.table import Row, check, kept
from clearhead.language_model import LanguageModel
from clearhead.model import AttentionConfig, DecoderConfig, FeedForwardConfig, ModelConfig, NormConfig, skeleton
from clearhead.tensorfile import read_tensors, write_tensors


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
        start = f"{folder / 'model.safetensors'}: the tensors do not match the config; "
        assert str(raised.value).startswith(start)
        return str(raised.value).removeprefix(start)

    def test_missing(self, config: ModelConfig, tmp_path: Path) -> None:
        names = [family_for(config).table(config)[index].theirs[-1] for index in (0, 7)]
        fault = self.altered(tmp_path, config, lambda tensors: [tensors.pop(name) for name in names])
        assert fault == f"missing: {', '.join(sorted(names))}"

    def test_left_over(self, config: ModelConfig, tmp_path: Path) -> None:
        fault = self.altered(tmp_path, config, lambda tensors: tensors.update(z=torch.ones(1), a=torch.ones(1)))
        assert fault == "left over: a, z"

    def test_renamed(self, config: ModelConfig, tmp_path: Path) -> None:
        name = family_for(config).table(config)[1].theirs[0]
        fault = self.altered(tmp_path, config, lambda tensors: tensors.update({f"x.{name}": tensors.pop(name)}))
        assert fault == f"missing: {name}; left over: x.{name}"

    def test_every_one_of_another_shape(self, config: ModelConfig, tmp_path: Path) -> None:
        for row in kept(family_for(config).table(config)).values():
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
        name = family_for(config).table(config)[0].theirs[0]
        saved(tmp_path, config)
        tensors, _ = read_tensors(tmp_path / "model.safetensors")
        write_tensors(tmp_path / "model.safetensors", {**tensors, name: tensors[name].to(dtype)})
        kind = str(dtype).removeprefix("torch.")
        message = (
            rf"model.safetensors: {name} has dtype {kind}; weights must be .*, and quantised ones are not supported"
        )
        with pytest.raises(FolderError, match=message):
            hub.load(tmp_path)

    def test_many_are_counted(self, tmp_path: Path) -> None:
        fault = self.altered(
            tmp_path, QWEN3, lambda tensors: tensors.clear() or tensors.update(a=torch.ones(1), b=torch.ones(1))
        )
        assert " and 19 more; left over: a, b" in fault

    def test_a_wrong_width_concerns_every_matrix(self, tmp_path: Path) -> None:
        saved(tmp_path, GPT2)
        tensors, _ = read_tensors(tmp_path / "model.safetensors")
        write_tensors(tmp_path / "model.safetensors", tensors)  # without the checksum of its config
        settings = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**settings, "n_embd": 24}))
        with pytest.raises(FolderError, match=r"of another shape: .* and 21 more$") as caught:
            hub.load(tmp_path)
        assert str(caught.value).count(" should be ") == 5

    def test_a_deep_config_without_the_tensors(self, tmp_path: Path) -> None:
        """Reported before ten thousand layers are built."""
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
        state = hub.load(tmp_path, dtype="stored").network.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
        assert {tensor.dtype for tensor in state.values()} == {dtype}
        assert json.loads((tmp_path / "config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")


def test_the_tokenizer_may_have_fewer_ids_but_not_more(tmp_path: Path) -> None:
    """Released models pad their vocabulary to a round number."""
    hub.save(tmp_path, LanguageModel(lively(replace(QWEN3, vocabulary=40)), TOKENIZER))
    assert hub.load(tmp_path).tokenizer.vocab_size == 31
    hub.save(tmp_path, LanguageModel(lively(replace(QWEN3, vocabulary=30)), TOKENIZER))
    with pytest.raises(
        FolderError, match=rf"^{tmp_path}: the tokenizer has 31 tokens, the model 30; they do not belong"
    ):
        hub.load(tmp_path)


class TestLayersWithoutAFamilyYet:
    """decoder.table also makes the rows of what no family here has: LayerNorm with biases in Llama's layout."""

    def test_starcoder2(self) -> None:
        sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
        theirs = Starcoder2Config(vocab_size=31, intermediate_size=17, **sizes, tie_word_embeddings=True)
        config = DecoderConfig(
            vocabulary=31,
            context=theirs.max_position_embeddings,
            layers=2,
            width=24,
            attention=AttentionConfig(heads=4, kv_heads=2, head_width=6, bias=True, out_bias=True, head_norm="none"),
            feed_forward=FeedForwardConfig(kind="gelu-tanh", width=17, bias=True),
            norm=NormConfig(kind="layer", eps=theirs.norm_epsilon),
            tied=True,
        )

        def feed_forward(config: ModelConfig, ours: str, theirs: str) -> list[Row]:
            names = {"feed_forward.up": "mlp.c_fc", "feed_forward.down": "mlp.c_proj"}.items()
            return [
                Row(f"{ours}.{our}.{part}", (f"{theirs}.{their}.{part}",))
                for our, their in names
                for part in ("weight", "bias")
            ]

        table = decoder.table(config, feed_forward=feed_forward)
        shapes = {name: tuple(tensor.shape) for name, tensor in skeleton(config).state_dict().items()}
        with torch.device("meta"):
            model = Starcoder2ForCausalLM(theirs)
        assert kept(table).keys() == shapes.keys()
        assert set(check(table, {name: tuple(p.shape) for name, p in model.named_parameters()}, shapes, "here"))
        written = decoder.sizes(config, eps="norm_epsilon")
        assert written == {name: getattr(theirs, name, written["head_dim"]) for name in written}
