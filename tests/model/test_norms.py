"""Norms against PyTorch's own, their definition, and numbers worked out by hand; gradients in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm

from clearhead.errors import RequestError
from clearhead.model import AttentionConfig, NormConfig
from clearhead.model.parts.fused import RMSNormalise
from clearhead.model.parts.norms import HeadNorm, LayerNorm, RMSNorm, head_norm, norm, rms_norm

EPS = 1e-3  # large enough to matter
# x, then the shape of its weight: rows of the residual stream, and heads with a weight each
SHAPES = [((2, 3, 7), (7,)), ((2, 3, 5, 7), (5, 7)), ((11, 1), (1,)), ((4, 130), (130,))]


def pair(shape: tuple[int, ...], weight: tuple[int, ...], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64).mul(3.0)
    w = torch.randn(weight, generator=generator, dtype=torch.float64)
    return x.to(dtype).requires_grad_(), w.to(dtype).requires_grad_()


def definition(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Zhang and Sennrich (2019), eq. 4."""
    return x / (x.square().mean(dim=-1, keepdim=True) + eps).sqrt() * weight


def test_by_hand() -> None:
    """[3, 4, 0, 0, 0] has a mean square of 5, so a root of 2.236..."""
    x, weight = torch.tensor([3.0, 4.0, 0.0, 0.0, 0.0]), torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0])
    expected = torch.tensor([3.0, 8.0, 0.0, 0.0, 0.0]) / 5**0.5
    torch.testing.assert_close(rms_norm(x, weight, 1e-12), expected)
    with torch.no_grad():
        torch.testing.assert_close(rms_norm(x, weight, 1e-12), expected)


@pytest.mark.parametrize(("shape", "weight"), SHAPES, ids=str)
class TestRMSNormalise:
    def test_gradcheck(self, shape: tuple[int, ...], weight: tuple[int, ...]) -> None:
        x, w = pair(shape, weight)
        assert torch.autograd.gradcheck(lambda x, w: RMSNormalise.apply(x, w, EPS), (x, w), fast_mode=shape[-1] > 100)

    def test_forward_and_backward_are_those_of_the_definition(
        self, shape: tuple[int, ...], weight: tuple[int, ...]
    ) -> None:
        x, w = pair(shape, weight)
        g = torch.randn(shape, dtype=torch.float64)
        ours, theirs = RMSNormalise.apply(x, w, EPS), definition(x, w, EPS)
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
        for mine, other in zip(
            torch.autograd.grad(ours, (x, w), g), torch.autograd.grad(theirs, (x, w), g), strict=True
        ):
            torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
    def test_as_pytorchs_own(self, shape: tuple[int, ...], weight: tuple[int, ...], dtype: torch.dtype) -> None:
        """Both round; neither may be further from the float64 answer than a few units of the last place."""
        x, w = pair(shape, weight, dtype)
        g = torch.randn(shape).to(dtype)
        exact = [t.detach().double().requires_grad_() for t in (x, w)]
        truth = definition(*exact, EPS)
        d_truth = torch.autograd.grad(truth, exact, g.double())
        tolerance = 8 * torch.finfo(dtype).eps

        for path in (rms_norm, lambda x, w, eps: F.rms_norm(x, x.shape[-1:], None, eps) * w):
            y = path(x, w, EPS)
            assert y.dtype == dtype
            torch.testing.assert_close(y.double(), truth, rtol=tolerance, atol=tolerance)
            for found, expected in zip(torch.autograd.grad(y, (x, w), g), d_truth, strict=True):
                assert found.dtype == dtype
                scale = float(expected.abs().max())
                torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance * max(1.0, scale))

    def test_the_path_without_gradients_agrees(self, shape: tuple[int, ...], weight: tuple[int, ...]) -> None:
        for dtype in (torch.float64, torch.float32):
            x, w = pair(shape, weight, dtype)
            with torch.no_grad():
                without = rms_norm(x, w, EPS)
            torch.testing.assert_close(rms_norm(x, w, EPS), without, rtol=4 * torch.finfo(dtype).eps, atol=1e-7)


def test_squares_beyond_float16_do_not_overflow() -> None:
    """300 squared is more than float16 holds; the sum is taken in float32."""
    x = torch.full((1, 64), 300.0, dtype=torch.float16, requires_grad=True)
    y = rms_norm(x, torch.ones(64), 1e-6)
    assert torch.equal(y, torch.ones(1, 64, dtype=torch.float16))


def test_bfloat16_keeps_sums_in_float32() -> None:
    """Ones added up in bfloat16 would stop growing at 256."""
    x = torch.ones(1, 4096, dtype=torch.bfloat16)
    x[0, 0] = 64.0
    for wanted in (False, True):
        with torch.set_grad_enabled(wanted):
            y = rms_norm(x, torch.ones(4096), 1e-6)
        assert y[0, 1].item() == torch.tensor((4096 / (4095 + 4096)) ** 0.5).bfloat16().item()


@pytest.mark.parametrize("weight_dtype", [torch.float32, torch.bfloat16], ids=str)
def test_mixed_dtypes_give_each_its_own_gradient(weight_dtype: torch.dtype) -> None:
    """Under autocast activations are bfloat16 and weights float32; a bfloat16 model has both."""
    x = torch.randn(3, 7).bfloat16().requires_grad_()
    w = torch.randn(7).to(weight_dtype).requires_grad_()
    y = rms_norm(x, w, EPS)
    y.float().square().sum().backward()
    assert y.dtype == torch.bfloat16
    assert x.grad is not None
    assert w.grad is not None
    assert (x.grad.dtype, w.grad.dtype) == (torch.bfloat16, weight_dtype)


def test_under_autocast() -> None:
    """The head norm sees the bfloat16 queries of an autocast projection and gives bfloat16 back."""
    module = HeadNorm(AttentionConfig(heads=3, kv_heads=1, head_width=8), NormConfig(eps=EPS))
    project = torch.nn.Linear(5, 32)
    with torch.autocast("cpu", torch.bfloat16):
        qk = project(torch.randn(2, 3, 5)).view(2, 3, 4, 8)
        out = module(qk)
    assert out.dtype == torch.bfloat16
    weight = torch.cat((module.query.expand(3, -1), module.key.expand(1, -1)))
    torch.testing.assert_close(out.float(), definition(qk.float(), weight, EPS), rtol=1e-2, atol=1e-2)
    out.float().square().sum().backward()
    assert module.query.grad is not None
    assert module.query.grad.dtype == torch.float32


def test_gradients_of_gradients_are_refused_and_not_wrong() -> None:
    x, w = pair((2, 7), (7,))
    y = rms_norm(x, w, EPS).square().sum()
    with pytest.raises(RequestError, match=r"RMSNorm: gradients of gradients \(create_graph=True\)"):
        torch.autograd.grad(y, x, create_graph=True)


def test_a_row_of_zeros_stays_finite() -> None:
    x = torch.zeros(2, 7, requires_grad=True)
    y = rms_norm(x, torch.ones(7), 1e-6)
    y.sum().backward()
    assert torch.equal(y, torch.zeros(2, 7))
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.full((2, 7), 1e3))  # 1 / sqrt(eps)


class TestHeadNorm:
    def test_queries_and_keys_have_their_own_weights(self) -> None:
        module = HeadNorm(AttentionConfig(heads=4, kv_heads=2, head_width=6), NormConfig(eps=EPS)).double()
        with torch.no_grad():
            module.query.normal_()
            module.key.normal_()
        qk_BTXD = torch.randn(2, 3, 6, 6, dtype=torch.float64)
        out = module(qk_BTXD)
        torch.testing.assert_close(out[:, :, :4], F.rms_norm(qk_BTXD[:, :, :4], (6,), module.query, EPS))
        torch.testing.assert_close(out[:, :, 4:], F.rms_norm(qk_BTXD[:, :, 4:], (6,), module.key, EPS))

    def test_gradients(self) -> None:
        module = HeadNorm(AttentionConfig(heads=2, kv_heads=1, head_width=4), NormConfig(eps=EPS)).double()
        qk = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda x, *_: module(x), (qk, module.query, module.key))


class TestLayerNorm:
    def test_by_hand(self) -> None:
        """[1, 2, 3] has mean 2 and variance 2/3."""
        module = LayerNorm(3, NormConfig(kind="layer", eps=1e-12))
        with torch.no_grad():
            module.weight.copy_(torch.tensor([1.0, 1.0, 2.0]))
            module.bias.copy_(torch.tensor([0.0, 5.0, 0.0]))
        found = module(torch.tensor([[1.0, 2.0, 3.0]]))
        torch.testing.assert_close(found, torch.tensor([[-(1.5**0.5), 5.0, 2 * 1.5**0.5]]))

    def test_gradients(self) -> None:
        module = LayerNorm(5, NormConfig(kind="layer", eps=EPS)).double()
        x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda x, *_: module(x), (x, module.weight, module.bias))


def test_the_config_chooses() -> None:
    assert isinstance(norm(NormConfig(kind="rms"), 3), RMSNorm)
    chosen = norm(NormConfig(kind="layer", eps=0.5), 3)
    assert isinstance(chosen, LayerNorm)
    assert chosen.eps == 0.5


class TestOffset:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    def test_as_transformers(self, dtype: torch.dtype) -> None:
        """Gemma's 1 + w, rounded once: to the nearest number there is, but for float32's own rounding before it."""
        x = torch.randn(3, 5, 64).to(dtype)
        ours, theirs = norm(NormConfig(eps=1e-6, offset=1.0), 64), Gemma2RMSNorm(64, eps=1e-6)
        weight = 0.3 * torch.randn(64)
        for module in (ours, theirs):
            module.weight = nn.Parameter(weight.to(dtype))
        wide = x.double()
        expected = wide / (wide.square().mean(-1, keepdim=True) + 1e-6).sqrt() * (1 + weight.to(dtype).double())
        tolerance = torch.finfo(dtype).eps / 2 + 1e-6
        with torch.no_grad():
            found = [theirs(x), ours(x)]
        for y in (*found, ours(x)):
            assert y.dtype == dtype
            torch.testing.assert_close(y.double(), expected, rtol=tolerance, atol=1e-6)

    def test_it_begins_where_nothing_is_scaled(self) -> None:
        assert norm(NormConfig(offset=1.0), 3).weight.tolist() == [0, 0, 0]
        module = head_norm(AttentionConfig(heads=2, kv_heads=1, head_width=4), NormConfig(offset=1.0))
        assert module is not None
        qk_BTXD = torch.randn(1, 2, 3, 4)
        torch.testing.assert_close(module(qk_BTXD), F.rms_norm(qk_BTXD, (4,), None, 1e-6))


def test_a_projection_is_normalised_as_a_whole() -> None:
    """OLMo 2: 12 numbers of three query heads together, 4 of one key head."""
    config = AttentionConfig(heads=3, kv_heads=1, head_width=4, head_norm="projection")
    module = head_norm(config, NormConfig(eps=EPS))
    assert module is not None
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    qk_BTXD = torch.randn(2, 5, 4, 4)
    out = module(qk_BTXD)
    q, k = F.rms_norm(qk_BTXD[:, :, :3].flatten(2), (12,), None, EPS), F.rms_norm(qk_BTXD[:, :, 3], (4,), None, EPS)
    torch.testing.assert_close(out[:, :, :3].flatten(2), q * module.query.weight)
    torch.testing.assert_close(out[:, :, 3], k * module.key.weight)


def test_a_layer_norm_without_a_bias() -> None:
    module = norm(NormConfig(kind="layer", bias=False), 3)
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    torch.testing.assert_close(module(torch.tensor([1.0, 2.0, 3.0])), torch.tensor([-1.0, 0.0, 1.0]) * 1.5**0.5)
