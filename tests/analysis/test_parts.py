"""What each part adds to a logit: sums for every combination of parts, by hand, and against transformers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shapes
from clearhead.analysis import logit_parts
from clearhead.errors import OptionError
from clearhead.language_model import LanguageModel
from clearhead.model import ModelConfig
from clearhead.tap import Site
from clearhead.watching import watch
from little_configs import BERT, GPT2, QWEN3, RIVALS
from looked import BYTES
from toy_recurrent import Toy, ToyConfig

TEXT = "abcab"
KINDS: dict[str, ModelConfig] = {**shapes.MODELS, "BERT": BERT, **RIVALS}


def lively(config: ModelConfig, dtype: torch.dtype = torch.float32) -> LanguageModel:
    return LanguageModel(shapes.lively(replace(config, vocabulary=BYTES.vocab_size), dtype=dtype), BYTES)


@pytest.mark.parametrize("kind", KINDS)
def test_the_shares_sum_to_the_logit(kind: str) -> None:
    lm = lively(KINDS[kind])
    logits_TV = lm.logits(TEXT)
    for options in ({"token": "x"}, {"token": "x", "against": "y"}, {"query": 2, "token": 7}):
        found = logit_parts(lm, TEXT, **options)
        row_V = logits_TV[found.place].double()
        final = float(row_V[found.token_id] - (row_V[found.against] if found.against is not None else 0))
        assert (found.logit if found.capped is None else found.capped) == pytest.approx(final, abs=1e-5)
        assert found.total == pytest.approx(found.logit, abs=1e-4)
        if found.capped is not None and found.against is None:
            cap = lm.network.softcap
            assert cap is not None
            assert cap * torch.tanh(torch.tensor(found.total / cap)) == pytest.approx(final, abs=1e-4)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_they_sum_to_the_logit_for_every_combination_of_parts(data: st.DataObject) -> None:
    config = replace(data.draw(shapes.configs()), context=9)
    if not config.abilities & {"next tokens", "masked tokens"}:
        return
    lm = lively(config, torch.float64)
    found = logit_parts(lm, "abc", query=data.draw(st.integers(0, 3)), token="x", against="z")
    size = max(1.0, *(abs(share.value) for share in found.shares))
    assert abs(found.difference) < 1e-9 * size
    assert len(found.of("head")) == config.layers * config.attention.heads
    assert len(found.of("feed_forward")) == config.layers


def test_a_head_adds_the_output_row_times_what_it_writes_at_the_scale_of_the_pass() -> None:
    """By the definition: the output layer's row times what W_O makes of the head, at the scale of the whole pass."""
    lm = lively(GPT2, torch.float64)
    found = logit_parts(lm, TEXT, token="x")
    with watch(lm, keep="heads residual") as record:
        lm.logits(TEXT)
    x_E, o_D = record.only().output(Site(2, "residual"))[-1], record.only().head_outputs(Site(2))[1, -1]
    network: Any = lm.network
    scale = (x_E.var(correction=0) + 1e-5).rsqrt()
    added_E = network.blocks[2].attention.out.weight[:, 7:14] @ o_D
    direction_E = network.norm.weight * network.embedding.weight[found.token_id]
    by_hand = float((scale * (direction_E @ (added_E - added_E.mean()))).detach())
    (share,) = (share for share in found.of("head") if (share.layer, share.head) == (2, 1))
    assert share.value == pytest.approx(by_hand, abs=1e-10)
    assert str(share) == "head 2.1"


def test_it_is_the_split_that_hooks_on_transformers_give(tmp_path: Any) -> None:
    """A little GPT-2 of transformers: its modules' own outputs, times the output layer's row, the final scale held."""
    import transformers

    from clearhead import hub

    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=BYTES.vocab_size, n_positions=16, n_embd=24, n_layer=2, n_head=3, bos_token_id=0, eos_token_id=0
    )
    config.initializer_range = 0.4
    theirs = transformers.GPT2LMHeadModel(config).eval().double()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if name.endswith("bias") or ".ln_" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    theirs.save_pretrained(tmp_path)
    BYTES.save(tmp_path)
    ours = hub.load(tmp_path, dtype="float64")
    kept: dict[str, Any] = {}

    def keep(name: str) -> Any:
        def hook(module: Any, given: Any, made: Any) -> None:
            kept[name] = (given[0], made[0] if isinstance(made, tuple) else made)

        return hook

    body = theirs.transformer
    for n, block in enumerate(body.h):
        block.attn.c_proj.register_forward_hook(keep(f"joined {n}"))
        block.mlp.register_forward_hook(keep(f"feed_forward {n}"))
    body.ln_f.register_forward_hook(keep("norm"))
    with torch.no_grad():
        logits_V = theirs(ours.ids(TEXT)).logits[0, -1]
    x_E = kept["norm"][0][0, -1]
    direction_E = body.ln_f.weight * theirs.lm_head.weight[120] * (x_E.var(correction=0) + 1e-5).rsqrt()
    direction_E = direction_E - direction_E.mean()
    found = logit_parts(ours, TEXT, token=120)
    assert found.total == pytest.approx(float(logits_V[120]), abs=1e-9)
    for share in found.shares:
        if share.kind == "feed_forward":
            expected = kept[f"feed_forward {share.layer}"][1][0, -1] @ direction_E
        elif share.head is not None:
            own = slice(8 * share.head, 8 * share.head + 8)
            joined_F = kept[f"joined {share.layer}"][0][0, -1]
            expected = joined_F[own] @ body.h[share.layer].attn.c_proj.weight[own] @ direction_E
        elif share.layer is not None:
            expected = body.h[share.layer].attn.c_proj.bias @ direction_E
        elif share.kind == "bias":
            expected = body.ln_f.bias @ theirs.lm_head.weight[120]
        else:
            continue
        assert share.value == pytest.approx(float(expected.detach()), abs=1e-9), share


def test_the_target_is_the_next_token_or_the_likeliest() -> None:
    lm = lively(QWEN3)
    assert logit_parts(lm, TEXT, query=1).token_id == ord("b")
    assert logit_parts(lm, TEXT, query=1).given
    assert logit_parts(lm, TEXT).token_id == int(lm.logits(TEXT)[-1].argmax())
    assert [abs(share.value) for share in logit_parts(lm, TEXT).top(3)] == sorted(
        (abs(share.value) for share in logit_parts(lm, TEXT).shares), reverse=True
    )[:3]


def test_what_has_no_parts_is_refused() -> None:
    toy = LanguageModel(Toy(ToyConfig(vocabulary=257, context=9, layers=1, width=6, heads=2)), BYTES)
    with pytest.raises(OptionError, match=r"parts: this model has no residual stream"):
        logit_parts(toy, "ab")
    with pytest.raises(OptionError, match=r"parts needs a model that predicts masked tokens"):
        logit_parts(lively(replace(BERT, prediction=None)), "ab")
    with pytest.raises(OptionError, match="the text is empty"):
        logit_parts(lively(QWEN3), "")
    with pytest.raises(OptionError, match="against 'ab': it has 2 tokens"):
        logit_parts(lively(QWEN3), "a", against="ab")
    with pytest.raises(OptionError, match="query 'a': it must be a number: places count from 0"):
        logit_parts(lively(QWEN3), "ab", query="a")  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="there is no kind 'heads'; take embedding, head, "):
        logit_parts(lively(QWEN3), "a").of("heads")
