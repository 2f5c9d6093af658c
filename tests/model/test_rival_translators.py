"""Recurrent and convolutional translators: equal to PyTorch's modules and the papers' formulas, padded and in steps."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clearhead.attend import Mask, causal, left_padding, padding
from clearhead.attend.mask import Padding
from clearhead.errors import ConfigError, RequestError
from clearhead.model import ModelConfig, Network, build, skeleton
from clearhead.plain import from_dict, to_dict
from clearhead.tap import Site
from clearhead.training import OptimizerConfig
from clearhead.training.optimizer import Optimizer, matrices
from clearhead.watching import watch
from little_configs import RIVAL_TRANSLATORS

S, T, LENGTHS = 9, 7, [9, 4, 1]
EVERY = pytest.mark.parametrize("kind", RIVAL_TRANSLATORS)


def lively(kind: str, dtype: torch.dtype = torch.float64, **options: Any) -> Any:
    """Wide weights, so that what comes before matters, and all of them, so that none is 0."""
    model = build(replace(RIVAL_TRANSLATORS[kind], **options), seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if kind != "convolution" and "recurrence" not in name and "norm" not in name:
                parameter.mul_(8)
            if name.endswith("bias"):
                parameter.normal_(0, 0.1, generator=generator)
    return model.to(dtype).eval()


def text(places: int, batch: int = 3, seed: int = 0) -> Tensor:
    return torch.randint(31, (batch, places), generator=torch.Generator().manual_seed(seed))


SOURCE_BS, IDS_BT = text(S, seed=3), text(T, seed=4)
ROWS = [ids[:length].tolist() for ids, length in zip(SOURCE_BS, LENGTHS, strict=True)]


def padded(model: Network, **options: Any) -> Tensor:
    return model(IDS_BT, source_BS=SOURCE_BS, source_mask=padding(torch.tensor(LENGTHS)), **options)


def rms(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight


def attended(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """One text's attention by definition, a query at a time: q_THD, k_SGD, v_SGD -> o_THD."""
    share = q.shape[1] // k.shape[1]
    o = torch.empty_like(q)
    for t in range(len(q)):
        for h in range(q.shape[1]):
            logits = torch.stack([scale * (q[t, h] * each).sum() for each in k[:, h // share]])
            weights = logits.exp() / logits.exp().sum()
            o[t, h] = (weights[:, None] * v[:, h // share]).sum(0)
    return o


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@torch.no_grad()
def test_a_recurrent_translator_gives_what_pytorchs_modules_and_luongs_attention_give(kind: str) -> None:
    """The encoder is PyTorch's bidirectional module; scores are Luong et al. 2015, eq. 7, "dot", of projections."""
    model, c = lively(kind), RIVAL_TRANSLATORS[kind]
    module: Any = {"lstm": nn.LSTM, "gru": nn.GRU}[kind]
    w = dict(model.named_parameters())
    x = w["embedding.weight"][SOURCE_BS[0]]
    for layer in model.encoder:
        peer = module(c.width, c.hidden, bidirectional=True, batch_first=True, dtype=torch.float64)
        backward = {f"{name}_reverse": value for name, value in layer.back.fused.state_dict().items()}
        peer.load_state_dict({**layer.onward.fused.state_dict(), **backward})
        x = x + peer(rms(x, layer.norm.weight)[None])[0][0] @ layer.out.weight.T
    source = rms(x, model.encoder_norm.weight)
    x = w["embedding.weight"][IDS_BT[0]]
    for layer in model.layers:
        peer = module(c.width, c.hidden, batch_first=True, dtype=torch.float64)
        peer.load_state_dict(layer.recurrence.fused.state_dict())
        h = torch.tanh(layer.first.weight @ source.mean(0))[None, None]
        read = peer(rms(x, layer.norm.weight)[None], (h, torch.zeros_like(h)) if kind == "lstm" else h)[0][0]
        x = x + read @ layer.out.weight.T
        cross, a = layer.cross, c.attention
        keys, values = (source @ cross.kv.weight.T).view(S, 2, a.kv_heads, a.head_width).unbind(1)
        q = (rms(x, layer.cross_norm.weight) @ cross.query.weight.T).view(T, a.heads, a.head_width)
        q, keys = rms(q, cross.head_norm.query), rms(keys, cross.head_norm.key)
        x = x + attended(q, keys, values, a.head_width**-0.5).flatten(1) @ cross.out.weight.T
    output = w["embedding.weight"] if c.tied else w["head.weight"]
    expected = rms(x, model.norm.weight) @ output.T
    torch.testing.assert_close(padded(model)[0], expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("heads", [1, 2])
@torch.no_grad()
def test_a_convolutional_translator_gives_what_the_papers_formulas_give(heads: int) -> None:
    """Gehring et al. 2017, 3.1 to 3.5, a place and a channel's sums at a time; the text alone, and padded."""
    model, c = lively("convolution", attention_heads=heads), RIVAL_TRANSLATORS["convolution"]
    w = {name: p.detach() for name, p in model.named_parameters()}
    H, E, k, half = c.hidden, c.width, c.kernel, math.sqrt(0.5)

    def mapped(name: str, x: Tensor) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def convolved(name: str, x: Tensor, before: int) -> Tensor:
        """v(W [x_{i - before}, ..., x_{i - before + k - 1}] + b), v([A B]) = A sigmoid(B)."""
        found = []
        for i in range(len(x)):
            window = [x[j] if 0 <= j < len(x) else torch.zeros(H).double() for j in range(i - before, i - before + k)]
            a, b = mapped(name, torch.cat(window)).split(H)
            found.append(a * torch.sigmoid(b))
        return torch.stack(found)

    for row, m in enumerate(LENGTHS):
        e = w["embedding.weight"][SOURCE_BS[row, :m]] + w["encoder_positions.weight"][:m]
        h = mapped("encoder_enter", e)
        for n in range(c.encoder_layers):
            h = (convolved(f"encoder.{n}.convolution", h, (k - 1) // 2) + h) * half
        z = mapped("encoder_leave", h)
        g = w["embedding.weight"][IDS_BT[row]] + w["positions.weight"][:T]
        h = mapped("enter", g)
        for n in range(c.layers):
            h = (convolved(f"layers.{n}.convolution", h, k - 1) + h) * half
            d = mapped(f"layers.{n}.cross.query", h) + g
            parts = (each.view(len(each), heads, E // heads) for each in (d, z, z + e))
            found = attended(*parts, 1.0).flatten(1)
            h = (mapped(f"layers.{n}.cross.out", found) * math.sqrt(m) + h) * half
        expected = mapped("leave", h) @ w["embedding.weight"].T
        torch.testing.assert_close(padded(model)[row], expected, rtol=1e-11, atol=1e-11)


def reached(model: Network, row: int, place: int, **options: Any) -> list[list[list[bool]]]:
    """Of source and target: the tokens in whose embeddings one place's logits have a gradient that is not 0."""
    embedded: list[Tensor] = []
    model.embedding.register_forward_hook(lambda _, __, x_BTE: embedded.append(x_BTE) or None)
    logits_BTV = model(IDS_BT, source_BS=SOURCE_BS, **options)
    logits_BTV[row, place].square().sum().backward(inputs=embedded)
    return [(x_BTE.grad != 0).any(dim=-1).tolist() for x_BTE in embedded]


@EVERY
class TestEveryKind:
    def test_counts_what_is_built_and_comes_back_from_its_table(self, kind: str) -> None:
        for config in (RIVAL_TRANSLATORS[kind], replace(RIVAL_TRANSLATORS[kind], tied=False, layers=1)):
            own = dict(skeleton(config).named_parameters())
            assert config.parameters() == sum(p.numel() for p in own.values())
            outer = {"embedding.weight", "head.weight"}
            assert config.inner_parameters() == sum(p.numel() for name, p in own.items() if name not in outer)
            assert from_dict(ModelConfig, to_dict(config)) == config

    @torch.no_grad()
    def test_a_state_is_as_large_as_its_config_says(self, kind: str) -> None:
        config = RIVAL_TRANSLATORS[kind]
        state: Any = lively(kind).translating([[1] * config.context], 5)
        carried = sum(t.numel() for carry in state.layers for t in carry)
        assert state.k_LBGKD.numel() == 0
        read = 2 * config.width if kind == "convolution" else config.layers * 2 * 10  # z and z + e; keys and values
        assert config.state_numbers(5) == carried + config.context * read

    @torch.no_grad()
    def test_token_by_token_as_at_once_and_again_after_rewinding(self, kind: str) -> None:
        """With the sources read once, beside texts of other lengths."""
        model, whole = lively(kind), padded(lively(kind))
        state = model.translating(ROWS, T)
        for cuts in ([1] * T, [3, 1, 3]):
            steps = [model(part, state=state) for part in IDS_BT.split(cuts, dim=1)]
            torch.testing.assert_close(torch.cat(steps, dim=1), whole, rtol=1e-11, atol=1e-11)
            state.rewind(0)

    @torch.no_grad()
    def test_beside_longer_sources_as_alone_padded_on_either_side(self, kind: str) -> None:
        model = lively(kind)
        right = padded(model)
        for row, ids in enumerate(ROWS):
            alone = model(IDS_BT[row : row + 1], source_BS=torch.tensor([ids]))
            left_BS = torch.tensor([[5] * (12 - len(ids)) + ids])
            left = model(
                IDS_BT[row : row + 1], source_BS=left_BS, source_mask=left_padding(torch.tensor([12 - len(ids)]))
            )
            torch.testing.assert_close(right[row : row + 1], alone, rtol=1e-11, atol=1e-11)
            torch.testing.assert_close(left, alone, rtol=1e-11, atol=1e-11)

    @torch.no_grad()
    def test_a_row_without_a_source_is_finite(self, kind: str) -> None:
        """It sees no key, and attention gives it zeros."""
        given = {"source_BS": SOURCE_BS, "source_mask": padding(torch.tensor([9, 0, 1]))}
        found = lively(kind)(IDS_BT, **given)
        assert found.isfinite().all()
        whole = lively(kind)(IDS_BT[:1], source_BS=SOURCE_BS[:1])
        torch.testing.assert_close(found[:1], whole, rtol=1e-11, atol=1e-11)

    @torch.no_grad()
    def test_a_target_padded_on_the_left_gives_what_it_gives_alone(self, kind: str) -> None:
        """Read at once, and in steps that follow the padding."""
        model, whole = lively(kind), padded(lively(kind))
        ids_BT, start_B = IDS_BT.clone(), torch.tensor([0, 2, 0])
        ids_BT[1] = torch.cat([torch.tensor([5, 5]), IDS_BT[1, :-2]])
        given = {"mask": left_padding(start_B)}
        places_BT = (torch.arange(T) - start_B[:, None]).clamp(min=0)
        state = model.translating(ROWS, T)
        cuts = zip(ids_BT.split([4, 1, 2], dim=1), places_BT.split([4, 1, 2], dim=1), strict=True)
        steps = torch.cat([model(ids, places_BT=places, state=state, **given) for ids, places in cuts], dim=1)
        once = model(
            ids_BT, places_BT=places_BT, source_BS=SOURCE_BS, source_mask=padding(torch.tensor(LENGTHS)), **given
        )
        for found in (steps, once):
            torch.testing.assert_close(found[1, 2:], whole[1, :-2], rtol=1e-11, atol=1e-11)
            torch.testing.assert_close(found[[0, 2]], whole[[0, 2]], rtol=1e-11, atol=1e-11)

    @torch.no_grad()
    def test_rows_that_are_chosen_go_on_with_their_own_source(self, kind: str) -> None:
        model, rows_R = lively(kind), torch.tensor([2, 0, 0, 1])
        mask = padding(torch.tensor(LENGTHS)[rows_R])
        whole = model(IDS_BT[rows_R], source_BS=SOURCE_BS[rows_R], source_mask=mask)
        for before in (0, 3):
            state = model.translating(ROWS, T)
            if before:
                model(IDS_BT[:, :before], state=state)
            state.select(rows_R, 0)
            after = model(IDS_BT[rows_R, before:], state=state)
            torch.testing.assert_close(after, whole[:, before:], rtol=1e-11, atol=1e-11)

    @torch.no_grad()
    def test_beams_of_a_text_read_it_as_rows_of_their_own_would(self, kind: str) -> None:
        model, rows_R = lively(kind), torch.arange(3).repeat_interleave(2)
        ids_RT = text(T, batch=6, seed=5)
        state = model.translating(ROWS, T, beams=2)
        found = torch.cat([model(ids_RT[:, :3], state=state), model(ids_RT[:, 3:], state=state)], dim=1)
        mask = padding(torch.tensor(LENGTHS)[rows_R])
        expected = model(ids_RT, source_BS=SOURCE_BS[rows_R], source_mask=mask)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)

    def test_a_logit_depends_on_the_whole_source_and_on_the_tokens_before_it(self, kind: str) -> None:
        """Gradients are 0 to the bit in later tokens, in padding and in the other texts."""
        sides = {"right": Padding(torch.zeros(3, dtype=torch.int64), torch.tensor(LENGTHS))}
        sides["left"] = Padding(S - torch.tensor(LENGTHS), torch.tensor([S] * 3))
        for side, part in sides.items():
            for row, (first, last) in enumerate(part.spans):
                read_BS, written_BT = reached(lively(kind), row, 4, source_mask=Mask((part,)))
                assert read_BS == [[row == b and first <= s < last for s in range(S)] for b in range(3)], side
                assert written_BT == [[row == b and t <= 4 for t in range(T)] for b in range(3)], side

    def test_gradients_are_those_of_finite_differences(self, kind: str) -> None:
        model = lively(kind)
        mask = padding(torch.tensor([4, 2]))
        parameters = {name: p.detach().requires_grad_() for name, p in model.named_parameters()}

        def loss(*values: Tensor) -> Tensor:
            given = {"source_BS": SOURCE_BS[:2, :4], "source_mask": mask}
            weights = dict(zip(parameters, values, strict=True))
            logits_BTV = torch.func.functional_call(model, weights, (IDS_BT[:2, :4],), given)
            return F.cross_entropy(logits_BTV.flatten(0, 1), IDS_BT[:2, :4].flatten())

        assert torch.autograd.gradcheck(loss, tuple(parameters.values()), fast_mode=True)

    @torch.no_grad()
    def test_a_watched_pass_has_the_same_bits_and_maps_of_cross_attention(self, kind: str) -> None:
        model = lively(kind, torch.float32)
        alone = padded(model)
        with watch(model, keep="residual") as record:
            assert torch.equal(padded(model), alone)
        layers = range(RIVAL_TRANSLATORS[kind].layers)
        assert [site for site, heads in model.sites().items() if heads] == [Site(n, "cross") for n in layers]
        for row, length in enumerate(LENGTHS):
            weights_TS = record[row].map(Site(1, "cross"), 1)[:, :]
            assert weights_TS.shape == (T, length)
            torch.testing.assert_close(weights_TS.sum(1), torch.ones(T), rtol=0, atol=1e-5)

    def test_dropout_acts_only_in_training(self, kind: str) -> None:
        model = lively(kind, torch.float32, dropout=0.5)
        assert torch.equal(padded(model), padded(model))
        model.train()
        assert not torch.equal(padded(model), padded(model))

    def test_muon_trains_every_inner_matrix_and_each_gate_separately(self, kind: str) -> None:
        model: Any = build(RIVAL_TRANSLATORS[kind], seed=0)
        optimizer = Optimizer(model, OptimizerConfig())
        slabs = list(matrices(model))
        for name, p in model.named_parameters():
            rows = [row for slab in slabs if slab.parameter is p for row in range(slab.start, slab.start + slab.rows)]
            outer = name in ("embedding.weight", "head.weight") or "positions" in name
            assert rows == (list(range(len(p))) if p.dim() == 2 and not outer else []), name
            assert (p in optimizer.adamw.state) == (p.dim() != 2 or outer)
        gated = [p for name, p in model.named_parameters() if "fused.weight" in name or "convolution.weight" in name]
        assert {slab.rows for slab in slabs if any(p is slab.parameter for p in gated)} == {11}

    def test_what_is_refused(self, kind: str) -> None:
        model, name = lively(kind), RIVAL_TRANSLATORS[kind].kind
        for given, said in (
            ({}, r"^model: this one reads a source, and none was given; pass source_BS"),
            ({"state": model.translating(ROWS, T), "source_BS": SOURCE_BS}, "beside a state whose source was read"),
            ({"source_BS": SOURCE_BS, "mask": causal()}, rf"the mask has a Causal, but models of kind '{name}' can"),
            ({"source_BS": SOURCE_BS, "source_mask": causal()}, r"the mask has a Causal, but models of kind"),
            ({"source_BS": text(24)}, r"^model: the text has 24 tokens; the context is 23; shorten the text$"),
            ({"source_BS": SOURCE_BS + 31}, r"^model: ids from 31 "),
            ({"source_BS": SOURCE_BS, "types_BT": IDS_BT}, r"^model: token types were given, but this model has none"),
            ({"source_BS": SOURCE_BS, "places_BT": IDS_BT + 23}, r"^model: places from 2\d to \d\d; they must be"),
        ):
            with pytest.raises(RequestError, match=said):
                model(IDS_BT, **given)
        for change in ({"hidden": 0}, {"encoder_layers": 0}):
            with pytest.raises(ConfigError, match="is 0; it must be at least 1"):
                replace(RIVAL_TRANSLATORS[kind], **change)

    @torch.no_grad()
    def test_it_computes_in_bfloat16_and_under_autocast(self, kind: str) -> None:
        exact, half = (padded(build(RIVAL_TRANSLATORS[kind], seed=0).to(d)) for d in (torch.float32, torch.bfloat16))
        with torch.autocast("cpu", torch.bfloat16):
            mixed = padded(build(RIVAL_TRANSLATORS[kind], seed=0))
        assert half.dtype == torch.bfloat16
        # bfloat16 keeps 8 bits, and errors of a few layers add up
        for found in (half.float(), mixed.float()):
            torch.testing.assert_close(found, exact, rtol=0.05, atol=0.02 + 0.02 * float(exact.std()))


def test_parts_that_do_not_fit() -> None:
    lstm, convolution = RIVAL_TRANSLATORS["lstm"], RIVAL_TRANSLATORS["convolution"]
    for change in ({"sinks": True}, {"window": 3}):
        with pytest.raises(ConfigError, match=r"^model: attention to a source has neither sinks nor a window; leave"):
            replace(lstm, attention=replace(lstm.attention, **change))
    for change, said in (
        ({"attention_heads": 3}, r"^model: attention_heads is 3 and the width 14; heads divide the width$"),
        ({"attention_heads": 0}, r"attention_heads is 0; it must be at least 1"),
        ({"kernel": 0}, r"kernel is 0; it must be at least 1"),
    ):
        with pytest.raises(ConfigError, match=said):
            replace(convolution, **change)


def test_a_convolutional_translator_starts_as_the_paper_says() -> None:
    """Standard deviations of 3.5, estimated from many numbers."""
    config = replace(RIVAL_TRANSLATORS["convolution"], vocabulary=500, width=60, hidden=100, dropout=0.2)
    w = dict(build(config, seed=0).named_parameters())
    for name, std in (
        ("embedding.weight", 0.1),
        ("encoder.0.convolution.weight", math.sqrt(4 * 0.8 / (4 * 100))),
        ("enter.weight", math.sqrt(1 / 60)),
        ("layers.1.cross.query.weight", math.sqrt(1 / 100)),
    ):
        assert float(w[name].detach().std()) == pytest.approx(std, rel=0.03), name
    assert not w["encoder.0.convolution.bias"].any()
