"""Small models that were really trained, through the folders that their families would have been released in."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from parity import greedy
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from clearhead import hub
from clearhead.attend import Score, causal
from clearhead.attend.request import logits
from clearhead.language_model import LanguageModel
from clearhead.model import Network, calibrate, quantise
from clearhead.watching import watch

WEIGHTS = Path(__file__).parents[3] / "shared" / "data" / "weights"
STORIES, SORT = WEIGHTS / "stories260K", WEIGHTS / "gpt-nano-sort"


def released(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> Path:
    """The folder; its tokenizer has the letters A, B and C."""
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    letters = tokenizers.models.BPE(vocab={"A": 0, "B": 1, "C": 2}, merges=[])
    tokenizers.Tokenizer(letters).save(str(folder / "tokenizer.json"))
    return folder


HEADS, KV_HEADS, HEAD_WIDTH = 8, 4, 8  # of stories260K


def paired(rows_XE: Tensor, heads: int) -> Tensor:
    """Rows of neighbouring pairs as first and second halves of each head, which Llama's released files have."""
    return rows_XE.view(heads, HEAD_WIDTH // 2, 2, -1).transpose(1, 2).reshape_as(rows_XE)


def stories_folder(folder: Path) -> Path:
    """stories260K as a folder of Llama's family."""
    theirs = load_file(STORIES / "stories260K.safetensors")
    names = {
        "wv": "self_attn.v_proj",
        "wo": "self_attn.o_proj",
        "w1": "mlp.gate_proj",
        "w3": "mlp.up_proj",
        "w2": "mlp.down_proj",
        "attention_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }
    tensors = {
        "model.embed_tokens.weight": theirs.pop("tok_embeddings"),
        "model.norm.weight": theirs.pop("norm"),
    }
    for l in range(5):  # noqa: E741 (the layer axis is L)
        path = f"model.layers.{l}"
        for name, heads in (("q", HEADS), ("k", KV_HEADS)):
            rows_XE = theirs.pop(f"layers.{l}.w{name}")
            tensors[f"{path}.self_attn.{name}_proj.weight"] = paired(rows_XE, heads)
        tensors |= {f"{path}.{other}.weight": theirs.pop(f"layers.{l}.{name}") for name, other in names.items()}
    assert not theirs
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()  # tied, and held twice
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 172,
        "num_hidden_layers": 5,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "hidden_act": "silu",
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
    }
    return released(folder, config, tensors)


@pytest.mark.skipif(not STORIES.is_dir(), reason="../shared/data/weights/stories260K is not here")
class TestStories:
    """A Llama by another program (llama2.c), whose greedy text is published."""

    @pytest.fixture
    def model(self, tmp_path: Path) -> LanguageModel:
        return hub.load(stories_folder(tmp_path))

    def test_the_published_story_comes_out(self, model: LanguageModel) -> None:
        ids = json.loads((STORIES / "golden_greedy.json").read_text(encoding="utf-8"))["ids"]
        assert greedy(model, ids[:1], len(ids) - 1, vocabulary=512) == ids[1:]

    @torch.no_grad()
    def test_as_transformers_reads_the_same_folder(self, model: LanguageModel) -> None:
        ids = json.loads((STORIES / "golden_greedy.json").read_text(encoding="utf-8"))["ids"]
        ids_BT = torch.tensor([ids])
        theirs = AutoModelForCausalLM.from_pretrained(model.folder, dtype=torch.float64)
        ours = hub.load(model.folder, dtype="float64")
        # Angles and norms are float32 in transformers, also in a float64 model: hence not closer.
        torch.testing.assert_close(ours(ids_BT), theirs(ids_BT).logits, rtol=1e-5, atol=1e-5)

    @torch.no_grad()
    def test_calibrated_it_loses_less_than_rounded_to_nearest(self, model: LanguageModel) -> None:
        """4 bits, on other texts of its own: at most 0.05 nats a token, where rounding to nearest loses 0.077."""
        generator, written = torch.Generator().manual_seed(1), torch.full((64, 1), 1)
        state = model.network.state(64, 200)
        for _ in range(199):
            chances_BV = model.network(written[:, -1:], state=state)[:, -1].softmax(-1)
            written = torch.cat([written, torch.multinomial(chances_BV, 1, generator=generator)], 1)
        read, told = written.split(32)

        def loss(network: Network) -> float:
            return float(F.cross_entropy(network(told[:, :-1]).flatten(0, 1), told[:, 1:].flatten()))

        nearest, calibrated = (hub.load(model.folder).network for _ in range(2))
        quantise(nearest, 4)
        calibrate(calibrated, read.split(1), 4)
        whole = loss(model.network)
        assert loss(calibrated) - whole < 0.05
        assert loss(nearest) - whole > 0.06


@pytest.mark.skipif(not SORT.is_dir(), reason="../shared/data/weights/gpt-nano-sort is not here")
class TestSort:
    """A GPT of three layers that sorts letters (minGPT), with every number of its first block in a file."""

    TURNED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")  # GPT-2's files have inputs as rows, minGPT's outputs

    def read(self, name: str) -> dict[str, Any]:
        found = json.loads((SORT / f"gpt-nano-sort-{name}.json").read_text(encoding="utf-8"))
        return {key: self.tensor(value) if "data" in value else value for key, value in found.items() if key != "B"}

    def tensor(self, entry: dict[str, Any]) -> Tensor:
        numbers = np.frombuffer(base64.b64decode(entry["data"]), dtype="<f4")
        return torch.from_numpy(numbers.copy()).view(entry["shape"])

    @pytest.fixture
    def model(self, tmp_path: Path) -> LanguageModel:
        tensors = self.read("model")
        sizes = tensors.pop("config")
        config = {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "vocab_size": sizes["vocab_size"],
            "n_positions": sizes["block_size"],
            "n_ctx": sizes["block_size"],
            "n_layer": sizes["n_layer"],
            "n_embd": sizes["n_embd"],
            "n_head": sizes["n_head"],
            "activation_function": "gelu_new",
            "layer_norm_epsilon": 1e-5,
            "tie_word_embeddings": False,
        }
        turned = {
            name.removeprefix("transformer."): tensor.T if name.endswith(self.TURNED) else tensor
            for name, tensor in tensors.items()
        }
        assert any(name.endswith("attn.bias") and tensor.dim() == 4 for name, tensor in turned.items())  # the mask
        return hub.load(released(tmp_path, config, turned))

    def test_every_number_in_the_file(self, model: LanguageModel) -> None:
        expected = self.read("t0-partials")
        ids_BT = expected.pop("idx").long()
        found: dict[str, Tensor] = {"tok_emb": model.network.embedding(ids_BT)}
        found["pos_emb"] = model.network.positions.weight[None]
        block = model.network.blocks[0]
        wanted = {
            "ln1": block.attention_norm,
            "qkv": block.attention.qkv,
            "yProj": block.attention.out,
            "ln2": block.feed_forward_norm,
            "fc": block.feed_forward.up,
            "mlp": block.feed_forward.down,
            **{f"block{layer}": each for layer, each in enumerate(model.network.blocks)},
            "ln_f": model.network.norm,
        }
        for name, module in wanted.items():
            module.register_forward_hook(lambda _, __, out, name=name: found.update({name: out}))
        before = {"x": block, "y": block.attention.out, "attnResid": block.feed_forward_norm}
        before["gelu"] = block.feed_forward.down
        for name, module in before.items():
            module.register_forward_pre_hook(lambda _, inputs, name=name: found.update({name: inputs[0]}))
        with watch(model) as record:
            found["lm_head"] = model(ids_BT)
        found["probs"] = found["lm_head"].softmax(dim=-1)
        found["mlpResid"] = found["block0"]
        found["qkv"] = torch.cat(found["qkv"], dim=-1)
        q, k, v = (part.unflatten(-1, (3, 16)).transpose(1, 2) for part in found["qkv"].chunk(3, dim=-1))
        found |= {"q": q, "k": k, "v": v, "att": logits(q, k, causal(), Score(), first_place=0)}
        site, _ = next(iter(record))
        heads = [torch.stack([record.map(site, head, text)[:, :] for head in range(3)]) for text in range(3)]
        found["attSm"] = torch.stack(heads)
        expected.pop("config")
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            tolerance = 1e-6 if name == "attSm" else 1e-5
            torch.testing.assert_close(found[name], tensor, rtol=tolerance, atol=tolerance, msg=f"{name}: {{}}".format)

    @torch.no_grad()
    def test_it_sorts(self, model: LanguageModel) -> None:
        for letters in ("CBABBC", "AAACBB", "CCCCCA"):
            ids = [ord(letter) - ord("A") for letter in letters]
            assert greedy(model, ids, 6, vocabulary=3) == sorted(ids)
