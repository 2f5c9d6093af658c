"""The tensors of a folder are those of its config, or one error says which are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from little_models import GPT2, QWEN3, TOKENIZER, lively, saved

from clearhead import hub
from clearhead.errors import FolderError
from clearhead.hub.families import qwen3, writing
from clearhead.hub.families.table import kept
from clearhead.model import ModelConfig
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
