"""Mixtures of experts and attention sinks: every family and option against transformers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from little_models import QWEN3, TOKENIZER, converted
from parity import VOCABULARY, check_decoder, check_greedy, check_pass, ids, lively, stored
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

import little_configs
from clearhead import hub
from clearhead.attend import FULL, left_padding
from clearhead.errors import FolderError
from clearhead.hub.families import family_for, parse_config
from clearhead.model import ClampConfig, ExpertsConfig, FeedForwardConfig, ModelConfig

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "intermediate_size": 16,  # with 8, sizes that PyTorch's grouped product takes: transformers uses no other
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 71,
    "bos_token_id": 30,
    "eos_token_id": 30,
    "pad_token_id": 30,
}
MIXTRAL = {"num_local_experts": 5}
QWEN = {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "head_dim": 10}
OSS = {"num_local_experts": 5, "num_experts_per_tok": 2, "head_dim": 10, "sliding_window": 6}
YARN = {"rope_type": "yarn", "rope_theta": 900.0, "factor": 4.0, "original_max_position_embeddings": 16}
# What four bits stand for (OCP Microscaling Formats 1.0, 5.3.3).
FOUR_BITS = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "mixtral": ("MixtralConfig", MIXTRAL),
    "mixtral, one active": ("MixtralConfig", {**MIXTRAL, "num_experts_per_tok": 1}),
    "mixtral, all active": ("MixtralConfig", {**MIXTRAL, "num_experts_per_tok": 5}),
    "mixtral with a window": ("MixtralConfig", {**MIXTRAL, "sliding_window": 5}),
    "mixtral tied, wide heads, another activation": (
        "MixtralConfig",
        {**MIXTRAL, "tie_word_embeddings": True, "head_dim": 10, "hidden_act": "gelu", "num_key_value_heads": 4},
    ),
    "mixtral yarn": ("MixtralConfig", {**MIXTRAL, "rope_parameters": YARN, "head_dim": 6}),
    "qwen3_moe": ("Qwen3MoeConfig", QWEN),
    "qwen3_moe normalised": ("Qwen3MoeConfig", {**QWEN, "norm_topk_prob": True, "num_experts_per_tok": 3}),
    "qwen3_moe with dense layers": ("Qwen3MoeConfig", {**QWEN, "mlp_only_layers": [1]}),
    "qwen3_moe, every second layer": ("Qwen3MoeConfig", {**QWEN, "decoder_sparse_step": 2}),
    "qwen3_moe with a window, biases, tied": (
        "Qwen3MoeConfig",
        {
            **QWEN,
            "use_sliding_window": True,
            "sliding_window": 5,
            "attention_bias": True,
            "tie_word_embeddings": True,
        },
    ),
    "gpt_oss": ("GptOssConfig", OSS),
    "gpt_oss yarn": ("GptOssConfig", {**OSS, "rope_parameters": {**YARN, "truncate": False}}),
    "gpt_oss without windows, without attention's biases": (
        "GptOssConfig",
        {**OSS, "attention_bias": False, "layer_types": ["full_attention"] * 3, "num_key_value_heads": 4},
    ),
    "gpt_oss clamped early": ("GptOssConfig", {**OSS, "swiglu_limit": 0.5, "swiglu_alpha": 1.1}),
    "gpt_oss tied, plain positions": (
        "GptOssConfig",
        {**OSS, "tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    ),
}


def made(case: str) -> PreTrainedModel:
    kind, options = CASES[case]
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(getattr(transformers, kind)(**{**SIZES, **options}))


@pytest.mark.parametrize("case", CASES)
def test_as_transformers(case: str, tmp_path: Path) -> None:
    check_decoder(made(case), tmp_path)


@pytest.mark.parametrize("case", ["mixtral", "qwen3_moe normalised", "gpt_oss"])
@torch.no_grad()
def test_odd_sizes(case: str, tmp_path: Path) -> None:
    """One product per expert, here and there."""
    kind, options = CASES[case]
    odd = {"moe_intermediate_size" if "moe_intermediate_size" in options else "intermediate_size": 17}
    model = lively(AutoModelForCausalLM.from_config(getattr(transformers, kind)(**{**SIZES, **options, **odd})))
    model.set_experts_implementation("eager")
    ours = stored(model, tmp_path)
    check_pass(model, ours)
    check_greedy(model, ours)


def altered(folder: Path, *without: str, **entries: Any) -> None:
    path = folder / "config.json"
    settings = {name: value for name, value in json.loads(path.read_text()).items() if name not in without}
    path.write_text(json.dumps({**settings, **entries}))


EXPERTS = ExpertsConfig(count=4, active=2)
FORMS: dict[str, ModelConfig] = {
    "qwen3_moe": replace(QWEN3, feed_forward=replace(QWEN3.feed_forward, experts=EXPERTS)),
    "mixtral": replace(
        QWEN3,
        attention=replace(QWEN3.attention, head_norm="none"),
        feed_forward=replace(QWEN3.feed_forward, experts=EXPERTS),
    ),
    "gpt_oss": replace(
        QWEN3,
        attention=replace(QWEN3.attention, head_norm="none", sinks=True),
        feed_forward=FeedForwardConfig(width=16, bias=True, clamp=ClampConfig(), experts=replace(EXPERTS, bias=True)),
    ),
}


class TestWhoWrites:
    @pytest.mark.parametrize("family", FORMS)
    def test_a_model_made_here(self, family: str) -> None:
        layout = family_for(FORMS[family])
        assert family == layout.MODEL_TYPE

    @given(
        family=st.sampled_from(sorted(FORMS)),
        count=st.integers(1, 9),
        balance=st.floats(0, 1),
        softmax=st.sampled_from(["chosen", "all"]),
        dense=st.sets(st.integers(0, 1), max_size=1),
        window=st.none() | st.integers(1, 40),
        sinks=st.booleans(),
        bias=st.booleans(),
        clamp=st.none() | st.builds(ClampConfig, limit=st.floats(0.1, 9), slope=st.floats(0.1, 9)),
        data=st.data(),
    )
    def test_reads_what_it_wrote(
        self,
        family: str,
        count: int,
        balance: float,
        softmax: Literal["chosen", "all"],
        dense: set[int],
        window: int | None,
        sinks: bool,
        bias: bool,
        clamp: ClampConfig | None,
        data: st.DataObject,
    ) -> None:
        """Whatever the parts are: a family that cannot say one of them leaves the config to another."""
        form = FORMS[family]
        experts = ExpertsConfig(
            count=count,
            active=data.draw(st.integers(1, count)),
            softmax=softmax,
            balance=balance,
            bias=bias,
            dense=tuple(sorted(dense)),
        )
        config = replace(
            form,
            attention=replace(form.attention, sinks=sinks, window=window),
            feed_forward=replace(form.feed_forward, experts=experts, clamp=clamp, kind="swiglu"),
        )
        layout = family_for(config)
        assert parse_config(json.loads(json.dumps(layout.settings(config))), "config.json")[1] == config


class TestNoOthers:
    """Encoders in the layouts that ask for each part by itself."""

    BERT = replace(little_configs.BERT, prediction=None, pooler=False)

    def test_the_form_is_berts(self) -> None:
        assert family_for(self.BERT).MODEL_TYPE == "bert"

    @pytest.mark.parametrize(
        "config",
        [
            replace(BERT, feed_forward=replace(BERT.feed_forward, experts=EXPERTS)),
            replace(BERT, attention=replace(BERT.attention, sinks=True)),
            replace(BERT, attention=replace(BERT.attention, head_width=3)),
            replace(BERT, width=21),
        ],
        ids=["experts", "sinks", "narrow heads", "heads that do not divide the width"],
    )
    def test_other_parts_are_not(self, config: ModelConfig) -> None:
        assert family_for(config).MODEL_TYPE == "clearhead"


class TestReleased:
    """config.json as the first releases have it, for transformers 4."""

    @torch.no_grad()
    def test_qwen3_moe(self, tmp_path: Path) -> None:
        """Qwen3-30B-A3B: num_experts, an intermediate_size that no layer reads, rope_theta beside an empty scaling."""
        model = made("qwen3_moe normalised")
        ours = stored(lively(model), tmp_path)
        altered(
            tmp_path,
            "rope_parameters",
            "num_local_experts",
            num_experts=5,
            rope_theta=10000,
            rope_scaling=None,
            intermediate_size=6144,
            max_window_layers=48,
            sliding_window=None,
            output_router_logits=False,
        )
        again = hub.load(tmp_path)
        assert again.config == ours.config
        assert torch.equal(again(ids()), ours(ids()))

    @torch.no_grad()
    def test_mixtral(self, tmp_path: Path) -> None:
        ours = stored(lively(made("mixtral")), tmp_path)
        altered(tmp_path, "rope_parameters", "head_dim", "router_jitter_noise", rope_theta=1000000.0)
        again = hub.load(tmp_path)
        assert again.config == ours.config

    @torch.no_grad()
    def test_gpt_oss(self, tmp_path: Path) -> None:
        """gpt-oss-20b: OpenAI's own words beside transformers', rope_scaling, no swiglu_alpha."""
        ours = stored(lively(made("gpt_oss")), tmp_path)
        scaling = {
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "factor": 32.0,
            "original_max_position_embeddings": 4096,
            "rope_type": "yarn",
            "truncate": False,
        }
        altered(
            tmp_path,
            "rope_parameters",
            "swiglu_alpha",
            rope_theta=150000,
            rope_scaling=scaling,
            experts_per_token=2,
            initial_context_length=4096,
            router_aux_loss_coef=0.9,
        )
        again = hub.load(tmp_path)
        assert again.config.positions == ours.config.positions
        assert torch.equal(again(ids()), ours(ids()))
        altered(tmp_path, "rope_scaling", "rope_theta", "layer_types")  # left out, they are the same
        assert hub.load(tmp_path).config == again.config

    def test_the_way_out_of_gpt_oss_in_four_bits_is_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two numbers a byte, the lower half first, with a power of two for every 32 of them."""
        path = tmp_path / "model" / "model.safetensors"
        sizes = {**SIZES, **OSS, "hidden_size": 32, "intermediate_size": 64}
        stored(AutoModelForCausalLM.from_config(transformers.GptOssConfig(**sizes)), path.parent)
        tensors, expected, generator = load_file(path), dict[str, torch.Tensor](), torch.Generator().manual_seed(1)
        for name in [name for name in tensors if name.endswith(("experts.gate_up_proj", "experts.down_proj"))]:
            count, inputs, rows = tensors.pop(name).shape
            blocks = torch.randint(256, (count, rows, inputs // 32, 16), generator=generator, dtype=torch.uint8)
            scales = torch.randint(120, 128, blocks.shape[:-1], generator=generator, dtype=torch.uint8)
            tensors |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
            numbers = FOUR_BITS[torch.stack([blocks & 15, blocks >> 4], dim=-1).long()].flatten(-2)
            expected[name] = (numbers * 2.0 ** (scales.float() - 127).unsqueeze(-1)).flatten(-2).mT
        save_file(tensors, path, metadata={"format": "pt"})
        altered(path.parent, quantization_config={"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]})
        with pytest.raises(FolderError, match=r"weights are quantised .*mxfp4") as caught:
            hub.load(path.parent)
        out = converted(str(caught.value), tmp_path, monkeypatch)
        hub.load(out)
        written = load_file(out / "model.safetensors")
        assert len(expected) == 6
        for name, tensor in expected.items():
            assert torch.equal(written[name].float(), tensor)


class TestRefused:
    @pytest.mark.parametrize(
        ("case", "entries", "message"),
        [
            ("qwen3_moe", {"num_experts": 4}, "num_local_experts: 5, but 4 in num_experts"),
            ("qwen3_moe", {"decoder_sparse_step": 0}, "decoder_sparse_step: 0; it must be at least 1"),
            ("qwen3_moe", {"mlp_only_layers": [0, 1, 2]}, "the layers (0, 1, 2) are dense, of 3"),
            ("qwen3_moe", {"shared_expert_intermediate_size": 9}, "'shared_expert_intermediate_size' = 9"),
            ("mixtral", {"num_experts_per_tok": 6}, "6 active of 5; no more can be active than there are"),
            ("mixtral", {"num_local_experts": 10**9}, "experts in all; at most 100,000 are accepted"),
            ("mixtral", {"num_local_experts": 4}, "left over: model.layers.0.block_sparse_moe.experts.4.w1.weight"),
            ("mixtral", {"num_local_experts": 6}, "missing: model.layers.0.block_sparse_moe.experts.5.w1.weight"),
            ("gpt_oss", {"num_local_experts": 6}, "model.layers.0.mlp.experts.gate_up_proj is (5, 24, 32)"),
            ("gpt_oss", {"swiglu_limit": -1.0}, "limit is -1.0"),
            ("gpt_oss", {"hidden_act": "gelu"}, "'hidden_act' = 'gelu'"),
        ],
    )
    def test_with_what_is_wrong(self, case: str, entries: dict[str, Any], message: str, tmp_path: Path) -> None:
        stored(made(case), tmp_path)
        altered(tmp_path, **entries)
        with pytest.raises(FolderError) as caught:
            hub.load(tmp_path)
        assert message in str(caught.value)


def test_bfloat16_stays_close(tmp_path: Path) -> None:
    """Each family's half precision: the same experts for nearly all tokens, logits within a few roundings."""
    for case in ("mixtral", "qwen3_moe", "gpt_oss"):
        model = lively(made(case)).bfloat16()
        model.save_pretrained(tmp_path / case)
        TOKENIZER.save(tmp_path / case)
        ours = hub.load(tmp_path / case, dtype="stored")
        assert {parameter.dtype for parameter in ours.network.parameters()} == {torch.bfloat16}
        with torch.no_grad():
            difference = (ours(ids()) - model(ids()).logits).abs().float()
        assert difference.median() < 0.05


class TestBalance:
    """router_aux_loss_coef weighs one loss pooled over the layers, without the padding, as transformers has it."""

    CASES = ("mixtral", "qwen3_moe", "qwen3_moe with dense layers", "gpt_oss")

    @pytest.mark.parametrize("padded", [False, True])
    @pytest.mark.parametrize("case", CASES)
    def test_the_loss_has_the_gradient_of_transformers(self, case: str, padded: bool, tmp_path: Path) -> None:
        kind, options = CASES[case]
        added = {"router_aux_loss_coef": 0.9, "output_router_logits": True}
        added["pad_token_id"] = None  # whose embedding transformers does not train
        config = getattr(transformers, kind)(**{**SIZES, **options, **added})
        model = lively(AutoModelForCausalLM.from_config(config)).train()
        ours = stored(model, tmp_path).network.train()
        ids_BT, starts_B = ids(), torch.tensor([0, 5])
        text_BT = torch.arange(ids_BT.shape[1]) >= starts_B[:, None] if padded else torch.ones_like(ids_BT).bool()
        predicted_BT = text_BT & text_BT.roll(1, dims=1)  # the first of a text follows padding, or nothing
        labels_BT = ids_BT.masked_fill(~predicted_BT, -100)
        places_BT = (torch.arange(ids_BT.shape[1]) - starts_B[:, None] * padded).clamp(min=0)
        out = model(ids_BT, attention_mask=text_BT.long() if padded else None, position_ids=places_BT, labels=labels_BT)
        out.loss.backward()
        targets_BT = torch.nn.functional.pad(labels_BT[:, 1:], (0, 1), value=-100)
        mask = left_padding(starts_B) if padded else FULL
        counted = (targets_BT >= 0).sum()
        loss = ours(ids_BT, targets_BT=targets_BT, mask=mask, places_BT=places_BT) / counted
        loss.backward()
        assert out.aux_loss > 1
        torch.testing.assert_close(loss.detach(), (out.loss - 0.9 * out.aux_loss).detach(), rtol=1e-5, atol=1e-5)
        theirs = {name: parameter.grad for name, parameter in model.named_parameters()}
        grads = {name: parameter.grad for name, parameter in ours.named_parameters()}
        routers = [name for name in grads if name.endswith("router.weight")]
        for name in routers:
            layer = re.search(r"\d+", name)[0]
            (other,) = [
                grad
                for name, grad in theirs.items()
                if f".{layer}." in name and name.endswith(("gate.weight", "router.weight"))
            ]
            torch.testing.assert_close(grads[name], other, rtol=1e-4, atol=1e-6)
        assert len(routers) == 3 - case.endswith("dense layers")
        other = theirs["model.embed_tokens.weight"]
        torch.testing.assert_close(grads["embedding.weight"], other, rtol=1e-4, atol=1e-6)
