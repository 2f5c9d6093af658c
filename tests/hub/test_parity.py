"""Both ways through the folder: what is saved here opens in transformers, and back, with equal numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from little_models import GPT2, QWEN3, TOKENIZER, ids, lively, saved, with_attention, with_feed_forward
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from clearhead import hub
from clearhead.hub.families import decoder, gpt2, qwen3
from clearhead.language_model import LanguageModel
from clearhead.model import ModelConfig, NormConfig, PositionConfig
from clearhead.watching import watch

SHAPES = {
    "Qwen 3": QWEN3,
    "no groups": with_attention(QWEN3, kv_heads=4),
    "one key head": with_attention(QWEN3, kv_heads=1),
    "heads as wide as the model": with_attention(QWEN3, heads=2, kv_heads=2, head_width=10),
    "untied": replace(QWEN3, tied=False),
    "attention with biases": with_attention(QWEN3, bias=True, out_bias=True),
    "window": with_attention(QWEN3, window=5),
    "window of one": with_attention(QWEN3, window=1),
    "window longer than the text": with_attention(QWEN3, window=40),
    "theta": replace(QWEN3, positions=PositionConfig(theta=1_000_000.0)),
    "eps": replace(QWEN3, norm=NormConfig(eps=0.1)),
    **{kind: with_feed_forward(QWEN3, kind) for kind in decoder.ACTIVATIONS},
    "GPT-2": GPT2,
    "GPT-2 untied": replace(GPT2, tied=False),
    "GPT-2 eps": replace(GPT2, norm=NormConfig(kind="layer", eps=0.1)),
    **{f"GPT-2 {kind}": with_feed_forward(GPT2, kind) for kind in gpt2.ACTIVATIONS},
}


def theirs(folder: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
class TestOursInTransformers:
    @torch.no_grad()
    def test_logits_hidden_states_and_attention(self, config: ModelConfig, tmp_path: Path) -> None:
        model = saved(tmp_path, config)
        loaded = theirs(tmp_path)
        assert type(loaded).__name__ == (gpt2 if config.norm.kind == "layer" else qwen3).ARCHITECTURE
        out = loaded(ids(), output_attentions=True, output_hidden_states=True)
        stream: list[Tensor] = []
        for block in model.blocks:
            block.register_forward_pre_hook(lambda _, inputs: stream.append(inputs[0]))
        with watch(model) as record:
            logits_BTV = model(ids())
        torch.testing.assert_close(logits_BTV, out.logits, rtol=1e-5, atol=1e-5)
        for ours, other in zip([*stream, model.hidden(ids())], out.hidden_states, strict=True):
            torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-5)
        for site, head in record:
            for text in range(2):
                weights_QK = out.attentions[site.layer][text, head]
                torch.testing.assert_close(record.map(site, head, text)[:, :], weights_QK, rtol=0, atol=1e-6)

    @torch.no_grad()
    def test_in_float64(self, config: ModelConfig, tmp_path: Path) -> None:
        """GPT-2's agree to 1e-12; transformers' Qwen 3 has float32 inside, in its norms and its softmax."""
        model = saved(tmp_path, config, torch.float64)
        tolerance = 1e-12 if config.norm.kind == "layer" else 3e-6
        torch.testing.assert_close(model(ids()), theirs(tmp_path, torch.float64)(ids()).logits, rtol=0, atol=tolerance)

    @torch.no_grad()
    def test_and_back_again(self, config: ModelConfig, tmp_path: Path) -> None:
        """Here to transformers to here: the same config, and not a bit lost."""
        model = saved(tmp_path / "ours", config)
        theirs(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
        TOKENIZER.save(tmp_path / "theirs")
        back = hub.load(tmp_path / "theirs")
        assert back.config == config
        assert torch.equal(back(ids()), model(ids()))


def qwen3_of_theirs(**options: Any) -> Qwen3ForCausalLM:
    settings = {
        "vocab_size": 31,
        "hidden_size": 20,
        "intermediate_size": 17,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 6,
        "max_position_embeddings": 23,
        "initializer_range": 0.5,
    }
    return Qwen3ForCausalLM(Qwen3Config(**{**settings, **options}))


def gpt2_of_theirs(**options: Any) -> GPT2LMHeadModel:
    settings = {"vocab_size": 31, "n_positions": 23, "n_embd": 20, "n_layer": 3, "n_head": 5, "initializer_range": 0.5}
    return GPT2LMHeadModel(GPT2Config(**{**settings, "bos_token_id": 30, "eos_token_id": 30, **options}))


THEIRS = {
    "Qwen 3": (qwen3_of_theirs, {}),
    "Qwen 3 tied": (qwen3_of_theirs, {"tie_word_embeddings": True}),
    "Qwen 3 with biases": (qwen3_of_theirs, {"attention_bias": True}),
    "Qwen 3 with a window": (
        qwen3_of_theirs,
        {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0},
    ),
    "Qwen 3 with dropout": (qwen3_of_theirs, {"attention_dropout": 0.2}),
    "Qwen 3's theta": (qwen3_of_theirs, {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
    "GPT-2": (gpt2_of_theirs, {}),
    "GPT-2 untied": (gpt2_of_theirs, {"tie_word_embeddings": False}),
    "GPT-2's inner width": (gpt2_of_theirs, {"n_inner": 37}),
    "GPT-2 with ReLU": (gpt2_of_theirs, {"activation_function": "relu"}),
    "GPT-2 without dropout": (gpt2_of_theirs, {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}),
}


@pytest.mark.parametrize("case", THEIRS)
@torch.no_grad()
def test_transformers_models_open_here(case: str, tmp_path: Path) -> None:
    make, options = THEIRS[case]
    torch.manual_seed(0)
    model = make(**options).eval()
    model.save_pretrained(tmp_path)
    TOKENIZER.save(tmp_path)
    ours = hub.load(tmp_path)
    torch.testing.assert_close(ours(ids()), model(ids()).logits, rtol=1e-5, atol=1e-5)
    assert ours.config.parameters() == model.num_parameters()


def test_bfloat16_stays_bfloat16(tmp_path: Path) -> None:
    model = qwen3_of_theirs().to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    TOKENIZER.save(tmp_path)
    ours = hub.load(tmp_path, dtype="stored").network
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.bfloat16}
    assert torch.equal(ours.embedding.weight, model.model.embed_tokens.weight)


def test_an_older_config_says_theta_elsewhere(tmp_path: Path) -> None:
    """Qwen 3's released config.json (transformers 4) has rope_theta beside an empty rope_scaling."""
    model = saved(tmp_path / "new", replace(QWEN3, positions=PositionConfig(theta=1e6)))
    theirs(tmp_path / "new").save_pretrained(tmp_path / "old")
    TOKENIZER.save(tmp_path / "old")
    path = tmp_path / "old" / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    for name in ("rope_parameters", "layer_types", "sliding_window"):
        del settings[name]
    settings |= {"rope_theta": 1000000, "rope_scaling": None, "sliding_window": None, "max_window_layers": 2}
    path.write_text(json.dumps(settings), encoding="utf-8")
    assert torch.equal(hub.load(tmp_path / "old")(ids()), model(ids()))


class TestTokenizer:
    TEXTS = ("a cab.", "你\n  spam ", "", "<|endoftext|>once<|endoftext|>")

    @pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
    def test_opens_in_transformers(self, kind: str, tmp_path: Path) -> None:
        tokenizer = {
            "characters": TOKENIZER,
            "bytes": TOKENIZER.bytes(),
            "bpe": TOKENIZER.train_bpe(["a cab, a cab. 你好 " * 5], 300),
        }[kind]
        config = replace(QWEN3, vocabulary=tokenizer.vocab_size)
        hub.save(tmp_path, LanguageModel(lively(config), tokenizer))
        other = AutoTokenizer.from_pretrained(tmp_path)
        for text in self.TEXTS:
            assert other(text, add_special_tokens=False)["input_ids"] == tokenizer.encode(text)
            assert other.decode(tokenizer.encode(text)) == text
        assert other.eos_token_id == other.bos_token_id == tokenizer.separator
        assert hub.load(tmp_path).tokenizer.encode(self.TEXTS[1]) == tokenizer.encode(self.TEXTS[1])

    @torch.no_grad()
    def test_transformers_writes_on_as_the_logits_say(self, tmp_path: Path) -> None:
        """Greedy text from transformers' own generate, against the largest logit here, token by token."""
        model = saved(tmp_path, QWEN3)
        prompt_BT = torch.tensor([TOKENIZER.encode("a cab")])
        written_BT = theirs(tmp_path).generate(
            prompt_BT, attention_mask=torch.ones_like(prompt_BT), max_new_tokens=15, do_sample=False, pad_token_id=30
        )
        assert TOKENIZER.separator == 30
        ours_BT = prompt_BT
        while ours_BT.shape[1] < 20 and ours_BT[0, -1] != TOKENIZER.separator:
            ours_BT = torch.cat((ours_BT, model(ours_BT)[:, -1:].argmax(dim=-1)), dim=1)
        assert written_BT.tolist() == ours_BT.tolist()
