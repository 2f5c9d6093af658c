"""What the kernels compute for one token, against PyTorch and the definition in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from clearhead.attend import FULL, Score, causal, padding, window
from clearhead.attend.backends import reference
from clearhead.attend.backends import token as backend
from clearhead.attend.request import Request
from clearhead.model.parts.config import NormConfig, PositionConfig
from clearhead.model.parts.feed_forward import ACTIVATIONS
from clearhead.model.parts.linear import Linear
from clearhead.model.parts.norms import LayerNorm
from clearhead.model.parts.positions import PartTurn, Rotary, TokenTurn
from clearhead.native import FORMATS, library, token
from clearhead.products import quantised
from clearhead.tap import Site

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler, or a processor without AVX2")

DTYPES = list(FORMATS)
ROUNDING = {torch.float32: 2e-6, torch.bfloat16: 2**-7, torch.float16: 2**-9}  # of numbers around 1
dtypes = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def close(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    rounding = ROUNDING[found.dtype]
    torch.testing.assert_close(found.double(), expected.double(), rtol=rounding, atol=rounding)


@dtypes
@pytest.mark.parametrize("width", [5, 16, 100])
def test_norms(dtype: torch.dtype, width: int) -> None:
    x, weight, bias = (random(1, 1, width, seed=seed, dtype=dtype) for seed in range(3))
    weight, bias = weight.flatten(), bias.flatten()
    wide, w = x.double(), weight.double()
    normal = torch.nn.functional.layer_norm(wide, (width,), w, bias.double(), 1e-3)
    close(token.layer_norm(x, weight, bias, 1e-3), normal)
    close(token.layer_norm(x, weight, None, 1e-3), normal - bias.double())
    rms = wide / (wide.square().mean(-1, keepdim=True) + 1e-3).sqrt()
    close(token.rms_norm(x, weight, 1e-3), rms * w)
    close(token.rms_norm(x, weight, 1e-3, 1.0), rms * (1 + w))


@dtypes
def test_norms_of_some_heads_go_where_they_are_told(dtype: torch.dtype) -> None:
    x, weight = random(1, 1, 5, 8, dtype=dtype), random(8, seed=1, dtype=dtype)
    out = torch.zeros_like(x)
    token.head_norm(x[:, :, :3], weight, 1e-6, 0.0, out[:, :, :3])
    wide = x.double()
    close(out[:, :, :3], (wide / (wide.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight.double())[:, :, :3])
    assert not out[:, :, 3:].any()


@dtypes
def test_sums_and_factors_are_pytorchs_to_the_bit(dtype: torch.dtype) -> None:
    a, b = random(1, 1, 37, dtype=dtype), random(1, 1, 37, seed=1, dtype=dtype)
    assert torch.equal(token.add(a, b), a + b)
    assert torch.equal(token.scale(a, 20**0.5), a * torch.tensor(20**0.5, dtype=dtype))
    table = random(9, 37, seed=2, dtype=dtype)
    assert torch.equal(token.placed(a, table, 2, 5), a + table[7])
    assert torch.equal(token.placed(a, table.float(), 0, 5), a + table[5])


@dtypes
@pytest.mark.parametrize("rotated", [1.0, 0.5])
def test_a_turn_is_that_of_the_place(dtype: torch.dtype, rotated: float) -> None:
    rotary = Rotary(16, PositionConfig(rotated=rotated), 64)
    x = random(1, 1, 3, 16, dtype=dtype)
    turn = rotary.turn(torch.tensor([[41]]), 64)
    assert isinstance(turn, PartTurn) == (rotated < 1)
    mine = rotary.turn(41, 64)
    assert isinstance(mine, TokenTurn)
    close(mine(x), turn(x.double()))
    assert torch.equal(mine.cos_BT1D, turn.cos_BT1D)
    assert torch.equal(mine.sin_BT1D, turn.sin_BT1D)


@dtypes
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(dtype: torch.dtype, activation: str) -> None:
    h = torch.cat((torch.linspace(-12, 12, 480), torch.tensor([0.0, -0.0, 1e-6, -1e-6, 80.0, -80.0]))).to(dtype)
    h = h[None, None]
    function = ACTIVATIONS[activation]
    close(token.activate(h, activation, gated=False), function(h.double()))
    gate, up = h.chunk(2, dim=-1)
    close(token.activate(h, activation, gated=True), function(gate.double()) * up.double())


def test_small_numbers_keep_their_digits() -> None:
    """A relative error, where 1 - 2 / (e^2x + 1) would leave no digit."""
    x = torch.logspace(-8, 0, 400)[None]
    torch.testing.assert_close(token.activate(x, "tanh", gated=False), x.double().tanh().float(), rtol=6e-7, atol=0)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nan_stays_nan(activation: str) -> None:
    assert token.activate(torch.full((1, 40), torch.nan), activation, gated=False).isnan().all()


@dtypes
def test_the_cap_of_logits(dtype: torch.dtype) -> None:
    x = 40 * random(1, 1, 501, dtype=dtype)
    close(token.cap(x, 30.0) / 30, (x.double() / 30).tanh())


@dtypes
def test_an_embedding_is_its_row(dtype: torch.dtype) -> None:
    weight, one = random(7, 64, dtype=dtype), torch.tensor([[6]])
    found = token.embed(one, weight, None, 64, dtype)
    assert found is not None
    assert torch.equal(found, weight[one])
    for bits in (8, 4):
        codes = quantised(weight, bits).held
        found = token.embed(one, codes.codes, codes.scales, 64, dtype)
        assert found is not None
        assert torch.equal(found, codes.dense(dtype)[one])
    for outside in (-1, 7):
        assert token.embed(torch.tensor([[outside]]), weight, None, 64, dtype) is None


@dtypes
def test_keys_and_values_are_written_at_their_place(dtype: torch.dtype) -> None:
    cache = torch.zeros(2, 3, 9, 16, dtype=dtype)
    k, v = random(3, 16, dtype=dtype), random(3, 16, seed=1, dtype=dtype)
    token.extend(k[None, :, None], v[None, :, None], cache[0, None, :, :6], cache[1, None, :, :6], 5)
    assert torch.equal(cache[:, :, 5], torch.stack((k, v)))
    cache[:, :, 5] = 0
    assert not cache.any()


SCORES = {
    "plain": Score(),
    "scaled": Score(scale=0.25),
    "soft cap": Score(softcap=1.5),
    "sinks": Score(sinks_H=torch.tensor([0.5, -1.0, 3.0, 0.0])),
}
MASKS = {"causal": causal(), "a window of 7": causal() & window(7), "a wide window": causal() & window(999)}


@dtypes
@pytest.mark.parametrize("keys", [1, 7, 8, 300])
@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("score", SCORES)
def test_attention_is_the_definitions(dtype: torch.dtype, keys: int, groups: int, mask: str, score: str) -> None:
    cache = random(2, 1, groups, keys + 3, 32, seed=1, dtype=dtype)
    q, (k, v) = 2 * random(1, 4, 1, 32, dtype=dtype), cache[:, :, :, :keys]
    sinks = SCORES[score].sinks_H
    given = replace(SCORES[score], sinks_H=None if sinks is None else sinks.to(dtype))
    request = partial(Request, mask=MASKS[mask], site=Site(0))
    asked = request(q, k, v, score=given)
    assert backend.refuses(asked) == []
    close(backend.run(asked), reference.run(request(q.double(), k.double(), v.double(), score=SCORES[score])))


def test_attention_over_very_many_keys_keeps_its_digits() -> None:
    k, v = random(1, 1, 200_000, 16, seed=1), 1 + random(1, 1, 200_000, 16, seed=2).abs()
    q = 0.1 * random(1, 1, 1, 16)
    found = backend.run(Request(q, k, v, causal(), Score(), Site(0)))
    expected = reference.run(Request(q.double(), k.double(), v.double(), causal(), Score(), Site(0)))
    torch.testing.assert_close(found.double(), expected, rtol=2e-6, atol=0)


@pytest.mark.parametrize("threads", [2, 3])
def test_bits_do_not_depend_on_the_number_of_threads(threads: int) -> None:
    k, v = random(1, 4, 3000, 64, seed=1), random(1, 4, 3000, 64, seed=2)
    request = Request(random(1, 8, 1, 64), k, v, causal(), Score(), Site(0))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = backend.run(request)
        torch.set_num_threads(threads)
        assert torch.equal(backend.run(request), alone)
    finally:
        torch.set_num_threads(before)


def test_a_key_that_is_not_finite_shows() -> None:
    k = random(1, 1, 9, 16)
    k[0, 0, 4, 3] = torch.nan
    asked = Request(random(1, 1, 1, 16, seed=1), k, random(1, 1, 9, 16, seed=2), causal(), Score(), Site(0))
    assert backend.run(asked).isnan().all()


def test_a_row_whose_scores_are_all_minus_infinity_gives_zeros() -> None:
    q, k = torch.full((1, 1, 1, 16), 1e20), torch.full((1, 1, 9, 16), -1e20)
    asked = Request(q, k, random(1, 1, 9, 16), causal(), Score(), Site(0))
    assert torch.equal(backend.run(asked), reference.run(asked))
    assert not backend.run(asked).any()


def test_one_token_of_a_width_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        Linear(32, 64)(random(1, 1, 64))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_transforms_see_each_operation() -> None:
    """A tangent under no_grad, and a batch made by vmap."""
    norm, x, t = LayerNorm(16, NormConfig(kind="layer")), random(1, 1, 16), random(1, 1, 16, seed=1)
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(norm(forward_ad.make_dual(x, t))).tangent
    assert found is not None
    step = 1e-3
    torch.testing.assert_close(found, (norm(x + step * t) - norm(x - step * t)) / (2 * step), rtol=0, atol=1e-3)
    many = random(5, 1, 1, 16, seed=2)
    torch.testing.assert_close(torch.vmap(norm)(many), norm(many))


ROWS: dict[str, Callable[[Tensor], Tensor]] = {
    "add": lambda x: token.add(x, 2 * x),
    "scale": lambda x: token.scale(x, 3.7),
    "placed": lambda x: token.placed(x, random(9, 48, seed=3, dtype=x.dtype), 1, 4),
    "layer norm": lambda x: token.layer_norm(x, random(48, seed=4, dtype=x.dtype), None, 1e-5),
    "RMS norm": lambda x: token.rms_norm(x, random(48, seed=4, dtype=x.dtype), 1e-5, 1.0),
    "activation": lambda x: token.activate(x, "gelu", gated=False),
    "gated activation": lambda x: token.activate(x, "silu", gated=True),
    "product": lambda x: token.product(FORMATS[x.dtype], x, random(70, 48, seed=5, dtype=x.dtype)),
    "cap": lambda x: token.cap(x, 2.0),
}


@dtypes
@pytest.mark.parametrize("name", ROWS)
def test_a_row_has_the_bits_that_it_has_alone(dtype: torch.dtype, name: str) -> None:
    x = random(token.ROWS, 1, 48, dtype=dtype)
    assert token.takes(x, most=token.ROWS)
    assert not token.takes(x, most=token.ROWS - 1)
    alone = [ROWS[name](row[None]) for row in x]
    assert torch.equal(ROWS[name](x), torch.cat(alone))


@dtypes
def test_rows_of_an_embedding(dtype: torch.dtype) -> None:
    weight, ids = random(7, 64, dtype=dtype), torch.tensor([[6], [0], [6]])
    found = token.embed(ids, weight, None, 64, dtype)
    assert found is not None
    assert torch.equal(found, weight[ids])
    ids[1] = 7
    assert token.embed(ids, weight, None, 64, dtype) is None


@dtypes
def test_rows_of_keys_and_values_are_written_where_they_belong(dtype: torch.dtype) -> None:
    """As they come from one product: beside the queries, and the values after the keys."""
    made = random(5, 1, 10, 16, dtype=dtype).transpose(1, 2)
    k, v = made[:, 4:7], made[:, 7:]
    cache = torch.zeros(2, 8, 3, 9, 16, dtype=dtype)
    assert token.extends(k, v)
    token.extend(k, v, cache[0, 2:7, :, :6], cache[1, 2:7, :, :6], 5)
    assert torch.equal(cache[:, 2:7, :, 5], torch.stack((k, v))[:, :, :, 0])
    cache[:, 2:7, :, 5] = 0
    assert not cache.any()
    assert not token.extends(k.transpose(1, 3), v)


@dtypes
@pytest.mark.parametrize("groups", [4, 2])
@pytest.mark.parametrize("threads", [1, 2])
def test_queries_of_several_rows(dtype: torch.dtype, groups: int, threads: int) -> None:
    """Each with its keys, or all with those of one source: the bits of each row alone, and the definition."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        q = 2 * random(5, 1, 7, 32, dtype=dtype).transpose(1, 2)[:, 2:6]
        keys = random(2, 6, groups, 40, 32, seed=1, dtype=dtype)
        own, shared = keys[:, 1:, :, :31], keys[:, :1, :, :31]
        cases = [
            (q, own, causal(), Site(0)),
            (q, own, causal() & window(7), Site(0)),
            (q, own, FULL, Site(0, "cross")),
            (q.permute(2, 1, 0, 3), shared, FULL, Site(0, "cross")),
        ]
        for given, (k, v), mask, site in cases:
            asked = Request(given, k, v, mask, Score(), site)
            assert backend.refuses(asked) == []
            found = backend.run(asked)
            wide = Request(given.double(), k.double(), v.double(), mask, Score(), site)
            close(found, reference.run(wide))
            for row in range(5):
                one = (row, row) if given.shape[0] == 5 else (0, 0)
                part = slice(one[0], one[0] + 1)
                query = given[part] if given.shape[0] == 5 else given[:, :, row : row + 1]
                alone = backend.run(Request(query, k[part], v[part], mask, Score(), site))
                mine = found[part] if given.shape[0] == 5 else found[:, :, row : row + 1]
                assert torch.equal(mine, alone)
    finally:
        torch.set_num_threads(before)


def test_what_several_queries_need() -> None:
    """They see the same keys only where there is no mask, and there are not too many."""
    k, v = random(1, 4, 40, 16, seed=1), random(1, 4, 40, 16, seed=2)
    q = random(1, 3, 4, 16).transpose(1, 2)
    assert backend.refuses(Request(q, k, v, FULL, Score(), Site(0, "cross"))) == []
    assert backend.refuses(Request(q, k, v, causal(), Score(), Site(0)))
    assert backend.refuses(Request(q, k, v, padding(torch.tensor([30])), Score(), Site(0, "cross")))
    many = random(1, token.ROWS + 1, 4, 16).transpose(1, 2)
    assert backend.refuses(Request(many, k, v, FULL, Score(), Site(0, "cross")))
