"""QK and OV matrices as factors, and composition: against scores of a pass and dense products in float64."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import clearhead as ch
import heads
import shapes
from clearhead import hub
from clearhead.analysis import circuit, composition
from clearhead.errors import OptionError
from clearhead.language_model import LanguageModel
from clearhead.model import ModelConfig
from clearhead.watching import watch
from little_configs import BERT, GPT2, QWEN3, RIVALS
from looked import BYTES

TEXT = "see it"
KINDS: dict[str, ModelConfig] = {
    "grouped, normed, rotated": QWEN3,
    "normed over all heads, and after": shapes.MODELS["OLMo 2"],
    "layer norms, biases": GPT2,
    "partly rotated, parallel": shapes.MODELS["GPT-NeoX"],
    "sandwiched, offset": shapes.MODELS["Gemma 3"],
    "not rotated here": shapes.MODELS["SmolLM 3"],
    "sees both sides": BERT,
    "recurrence": RIVALS["lstm-attention"],
}
LAYER = 1


@pytest.fixture(params=KINDS, scope="module")
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    """A model in float64 without biases on queries and keys, which are no part of the matrices."""
    config = replace(KINDS[request.param], vocabulary=BYTES.vocab_size)
    network: Any = shapes.lively(config, dtype=torch.float64)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    return LanguageModel(network, BYTES)


def seen(lm: LanguageModel) -> tuple[Any, Any, Tensor, Tensor, Tensor]:
    """The attention of a layer, its call in a pass, its input before the norm's weights, v_TGD, and what it adds."""
    network: Any = lm.network
    layer = (network.blocks if hasattr(network, "blocks") else network.layers)[LAYER]
    kept: dict[str, Tensor] = {}

    def enters(module: Any, given: Any, named: Any) -> None:
        kept["x"] = given[0][0].detach()

    def leaves(module: Any, given: Any, made: Any) -> None:
        kept["qk"], kept["v"] = (each[0].detach() for each in made)

    part = layer.attention
    handles = [
        part.register_forward_pre_hook(enters, with_kwargs=True),
        part.qkv.register_forward_hook(leaves),
    ]
    with watch(lm, keep="heads parts") as record:
        lm.logits(TEXT)
    for handle in handles:
        handle.remove()
    (site,) = (site for site in lm.sites() if site.attends and site.layer == LAYER)
    (call,) = record.calls()[site]
    return part, call, kept["x"], kept["qk"], kept["v"]


def unweighted(lm: LanguageModel, x_TE: Tensor) -> Tensor:
    """The attention's input divided by the weights of the norm in front: of root mean square 1, as ``circuit`` says."""
    step = (
        next(step for step in lm.network.stream() if getattr(step, "layer", None) == LAYER and step.site.attends)
        if not lm.config.kind.startswith("lstm")
        else lm.network.stream()[LAYER + 1]
    )
    norm: Any = step.before
    if norm is None or isinstance(norm, torch.nn.Identity):
        return x_TE
    offset = norm.config.offset if hasattr(norm, "config") else 0.0
    return x_TE / (offset + norm.weight.detach())


def test_the_qk_matrix_gives_the_scores_of_a_pass(lm: LanguageModel) -> None:
    part, call, x_TE, qk_TF, _ = seen(lm)
    x_TE = unweighted(lm, x_TE)
    q_HTD, k_GTD = call.q_BHQD[0], call.k_BGKD[0]
    D, group = part.head_width, part.heads // part.kv_heads
    for head, (query, key) in product((0, part.heads - 1), ((4, 4), (5, 2), (6, 0), (2, 5))):
        score = float(q_HTD[head, query] @ k_GTD[head // group, key]) * call.score.factor(D)
        if part.head_norm is not None:  # the lengths it divides by are the token's, not the matrix's
            query_F, key_F = qk_TF[query], qk_TF[key]
            wide = slice(None, part.heads * D), slice(part.heads * D, None)
            if hasattr(part.head_norm, "heads") and type(part.head_norm).__name__ == "HeadNorm":
                first = part.heads * D + head // group * D
                wide = slice(head * D, head * D + D), slice(first, first + D)
            score *= float(query_F[wide[0]].square().mean().sqrt() * key_F[wide[1]].square().mean().sqrt())
        try:
            found = circuit(lm, "qk", LAYER, head, distance=query - key)
        except OptionError:  # not rotated: the distance has no meaning
            found = circuit(lm, "qk", LAYER, head)
            assert found.distance is None
        assert float(found.between(x_TE[query : query + 1], x_TE[key : key + 1])) == pytest.approx(
            score, rel=1e-4, abs=1e-6
        )
        torch.testing.assert_close(x_TE @ found.dense() @ x_TE.T, found.between(x_TE, x_TE))


def test_the_ov_matrix_gives_what_a_head_writes_of_a_token(lm: LanguageModel) -> None:
    part, _, x_TE, _, v_TF = seen(lm)
    x_TE, D, group = unweighted(lm, x_TE), part.head_width, part.heads // part.kv_heads
    for head in (0, part.heads - 1):
        v_TD = v_TF[:, head // group * D :][:, :D]
        written_TE = v_TD @ part.out.weight[:, head * D : (head + 1) * D].detach().T
        after: Any = next(step for step in lm.network.stream() if getattr(step, "part", None) is part).after
        if after is not None:
            offset = after.config.offset if hasattr(after, "config") else 0.0
            written_TE = written_TE * (offset + after.weight.detach())
        found = circuit(lm, "ov", LAYER, head)
        torch.testing.assert_close(x_TE @ found.dense().T, written_TE)
        dense = found.dense()
        assert found.norm() == pytest.approx(float(dense.norm()))
        torch.testing.assert_close(found.singular_values(), torch.linalg.svdvals(dense)[:D])
        largest = torch.linalg.eigvals(dense).abs().sort(descending=True).values[:D]
        torch.testing.assert_close(
            found.eigenvalues().abs().sort(descending=True).values, largest, rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize("letter", ["q", "k", "v"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("recurrence", "sees both sides")])
def test_composition_is_the_norm_of_the_dense_product(kind: str, letter: str) -> None:
    lm = LanguageModel(shapes.lively(KINDS[kind], dtype=torch.float64), None)
    found = composition(lm, letter)
    H = lm.sites()[next(site for site in lm.sites() if site.attends)]
    for (layer, later), (head, reader) in product(((0, 2), (1, 2)), product((0, H - 1), (0, 1))):
        wrote = circuit(lm, "ov", layer, head).dense()
        reads = circuit(lm, "ov" if letter == "v" else "qk", later, reader).dense()
        reads = reads.T if letter == "q" else reads
        score = float((reads @ wrote).norm() / reads.norm() / wrote.norm())
        assert float(found.scores_LHLH[layer, head, later, reader]) == pytest.approx(score)
    assert found.scores_LHLH[1, :, 0].abs().max() == found.scores_LHLH[1, :, 1].abs().max() == 0
    (layer, head), (later, reader), most = found.top(1)[0]
    assert most == found.scores_LHLH.max() == found.scores_LHLH[layer, head, later, reader]


def test_where_the_stream_is_normalised_the_norms_between_are_folded_in() -> None:
    lm = LanguageModel(shapes.lively(BERT, dtype=torch.float64), None)
    network: Any = lm.network
    wrote = circuit(lm, "ov", 0, 1).dense()
    for norm in (network.blocks[0].attention_norm, network.blocks[0].feed_forward_norm):
        wrote = norm.weight.detach()[:, None] * (wrote - wrote.mean(0))
    reads = circuit(lm, "ov", 1, 0).dense()
    score = float((reads @ wrote).norm() / reads.norm() / wrote.norm())
    assert float(composition(lm, "v").scores_LHLH[0, 1, 1, 0]) == pytest.approx(score)


def test_unrelated_heads_score_as_chance_says() -> None:
    config = replace(QWEN3, width=64, layers=2)
    found = composition(LanguageModel(shapes.lively(config), None), "v")
    assert float(found.scores_LHLH[0, :, 1].mean()) == pytest.approx(found.chance, rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("qx", 0, 0), "circuit: there is no kind 'qx'"),
        (("ov", 3, 0), "layer 3: the model has layers 0 to 2"),
        (("qk", 0, 3), "head 3: the model has heads 0 to 2 in layer 0"),
        (("ov", 0, 0, 2), "circuit: distance 2 with ov; only qk depends on the distance"),
        (("qk", 0, 0, 2), "circuit: distance 2; layer 0 rotates no queries and keys"),
    ],
)
def test_what_is_not_there_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    lm = LanguageModel(shapes.lively(GPT2), None)
    kind, layer, head, *distance = arguments
    with pytest.raises(OptionError, match=message):
        circuit(lm, kind, layer, head, distance=distance[0] if distance else None)


@pytest.mark.parametrize("shape", [(10,), (3, 5)])
def test_vectors_that_are_not_rows_of_the_stream_are_refused(shape: tuple[int, ...]) -> None:
    found = circuit(LanguageModel(shapes.lively(GPT2), None), "ov", 1, 0)
    rows_NE = torch.ones(2, len(found.left_ED))
    for left, right, name in ((torch.ones(shape), rows_NE, "left"), (rows_NE, torch.ones(shape), "right")):
        with pytest.raises(
            OptionError, match=rf"{name} is of shape .*; it must be rows of {len(found.left_ED)} numbers"
        ):
            found.between(left, right)


def test_what_cannot_compose_is_refused() -> None:
    with pytest.raises(OptionError, match="composition: there is no 'x'; take q, k or v"):
        composition(LanguageModel(shapes.lively(GPT2), None), "x")
    with pytest.raises(OptionError, match="it needs attention in two layers; this model has it in 1"):
        composition(LanguageModel(shapes.lively(RIVALS["gru-attention"]), None))
    with pytest.raises(OptionError, match="circuit: this model has no attention"):
        circuit(LanguageModel(shapes.lively(RIVALS["lstm"]), None), "ov", 0, 0)


@pytest.mark.parametrize("kind", ["grouped, normed, rotated", "biases, learned places"])
def test_the_weights_of_a_head_are_those_that_transformers_has(kind: str, tmp_path: Path) -> None:
    """Qwen 3 has a matrix each, with rows by head; GPT-2 one transposed matrix, queries then keys then values."""
    transformers = pytest.importorskip("transformers")
    lm, layer, head = heads.lively(kind), 1, 2
    hub.save(tmp_path / "model", lm)
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    a, found = lm.config.attention, ch.head_weights(lm, layer, head)
    D, group = a.head_width, head * a.kv_heads // a.heads
    own, shared = slice(head * D, (head + 1) * D), slice(group * D, (group + 1) * D)
    if kind == "biases, learned places":
        held = peer.transformer.h[layer].attn
        matrices, out_EF = held.c_attn.weight.T.chunk(3), held.c_proj.weight.T
        for bias_D, held_F in zip(
            (found.query_bias_D, found.key_bias_D, found.value_bias_D), held.c_attn.bias.chunk(3), strict=True
        ):
            assert bias_D is not None
            assert torch.equal(bias_D, held_F[own])
    else:
        held = peer.model.layers[layer].self_attn
        matrices, out_EF = (held.q_proj.weight, held.k_proj.weight, held.v_proj.weight), held.o_proj.weight
        assert (found.query_bias_D, found.key_bias_D, found.value_bias_D) == (None, None, None)
        assert (group, a.kv_heads) == (1, 2)
    query_FE, key_FE, value_FE = matrices
    assert torch.equal(found.query_DE, query_FE[own])
    assert torch.equal(found.key_DE, key_FE[shared])
    assert torch.equal(found.value_DE, value_FE[shared])
    assert torch.equal(found.out_ED, out_EF[:, own])
    assert not found.out_ED.requires_grad
