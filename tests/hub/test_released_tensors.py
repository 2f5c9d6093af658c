"""Tensors of released folders that have other names than today's, no use, or are there twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from little_models import GPT2, QWEN3, TOKENIZER, saved
from parity import ids, lively
from released_configs import OLDER
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from clearhead import hub
from clearhead.errors import FolderError


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
        hub.save(tmp_path / "again", back)
        assert "lm_head.weight" not in load_file(tmp_path / "again" / "model.safetensors")

    @pytest.mark.parametrize("config", [QWEN3, GPT2], ids=["qwen3", "gpt2"])
    def test_a_tied_output_layer_with_other_numbers(self, config: Any, tmp_path: Path) -> None:
        model = saved(tmp_path, config)
        other = model.embedding.weight.detach().clone()
        other[17, 3] += 1e-3
        added(tmp_path, lm_head__weight=other)
        with pytest.raises(
            FolderError, match=r"lm_head.weight differs from .*, and the config says that they are one matrix"
        ):
            hub.load(tmp_path)

    def test_a_tied_output_layer_of_another_shape(self, tmp_path: Path) -> None:
        saved(tmp_path, QWEN3)
        added(tmp_path, lm_head__weight=torch.ones(20, 31))
        with pytest.raises(FolderError, match=r"lm_head.weight is \(20, 31\) and should be \(31, 20\)$"):
            hub.load(tmp_path)
