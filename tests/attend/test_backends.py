"""Every back-end x mask x score x grouping x dtype, on prime sizes, with Q = 1, Q < K and Q = K."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from clearhead.attend import Request, backend_for, causal, documents, explain, knockout, left_padding, window
from clearhead.attend.backends import flex, reference, sdpa
from definition import GROUPINGS, MASKS, QUERIES, SCORES, outputs, request, tensors, weights

# FlexAttention's dense form warns that it is not the fused one, which is what is wanted on a processor.
pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")


def dense_flex(request: Request) -> Tensor:
    with torch.compiler.set_stance("force_eager"):  # else every mask and score would be traced first: 0.2 s each
        return flex.attention(request, flex_attention)


RUNS: dict[str, Callable[[Request], Tensor]] = {"reference": reference.run, "sdpa": sdpa.run, "flex": dense_flex}
# What the kernel does not have; it must say so, and the door must take another.
LACKS = {"reference": set[str](), "sdpa": {"soft cap", "all", "all with bias"}, "flex": {"bias", "all with bias"}}


@functools.cache
def defined(mask: str, score: str, heads: int, groups: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """p_BHQK and o_BHQD of the definition: the same for all back-ends and dtypes."""
    q, k, v = tensors(heads, groups, queries)
    p = weights(q, k, MASKS[mask].sees, SCORES[score])
    return p, outputs(p, v)


def dtypes(name: str, heads: int) -> list[torch.dtype]:
    """All three; FlexAttention has no float64, and its slow dense form meets bfloat16 in one grouping only."""
    if name != "flex":
        return [torch.float32, torch.float64, torch.bfloat16]
    return [torch.float32, torch.bfloat16] if heads == 6 else [torch.float32]


def tolerance(name: str, dtype: torch.dtype) -> float:
    """How far an output may lie from the definition, in units of the largest value.

    float64, float32: 64 roundings; a logit of size s is off by some roundings of s, and so is its weight, relatively.
    bfloat16: one rounding is 2**-8. The reference rounds the output only, the fused kernel the weights too.
    FlexAttention's dense form (not the fused one) rounds logits, weights and output.
    """
    if dtype != torch.bfloat16:
        return 64 * torch.finfo(dtype).eps
    return 2**-8 * {"reference": 1, "sdpa": 2, "flex": 3}[name]


@pytest.mark.parametrize("mask", MASKS)
def test_no_row_of_the_fused_kernels_array_is_all_hidden(mask: str) -> None:
    """Some kernels make 0/0 of such a row, or of its gradient; it must see something, and be zeroed afterwards."""
    for queries in QUERIES:
        asked = request(*tensors(6, 3, queries), MASKS[mask].mask)
        added_BHQK, _ = sdpa._added(asked, asked.mask, slice(0, queries))
        assert added_BHQK.isfinite().any(dim=-1).all()


def test_the_block_mask_has_every_block_that_is_seen() -> None:
    """On a processor FlexAttention's dense form looks at every cell; on CUDA, only at the blocks listed here."""
    places, size = 512, 128
    ids = torch.stack([torch.arange(places) // 300, torch.arange(places) // 128])
    knocked = knockout([(q, k) for q in range(384, 386) for k in (0, 1)], head=1)
    for mask in (causal() & window(100), causal() & documents(ids), left_padding(torch.tensor([0, 256])) & knocked):
        q, k, v = tensors(2, 1, places, keys=places, width=2)
        blocks = flex._block_mask(request(q, k, v, mask), mask)
        tile = mask.tile(slice(0, places), batch=2, heads=2, queries=places, keys=places, device=q.device)
        cells = tile.expand(2, 2, places, places).unflatten(3, (-1, size)).unflatten(2, (-1, size))
        listed = blocks.to_dense()
        assert torch.equal(listed.expand(2, 2, 4, 4).bool(), cells.any(dim=-1).any(dim=3))
        assert listed.shape[:2] == (2 if mask.reads("B") else 1, 2 if mask.reads("H") else 1)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", RUNS)
def test_every_backend_gives_what_the_definition_gives(name: str, mask: str, score: str) -> None:
    for heads, groups in GROUPINGS:
        for queries in QUERIES[1:] if name == "flex" else QUERIES:  # its dense form takes a hundred times as long
            p_BHQK, o_BHQD = defined(mask, score, heads, groups, queries)
            for dtype in dtypes(name, heads):
                q, k, v = (t.to(dtype) for t in tensors(heads, groups, queries))
                asked = request(q, k, v, MASKS[mask].mask, SCORES[score].score(heads))
                where = f"H={heads} G={groups} Q={queries} {dtype}"
                if score in LACKS[name]:
                    assert explain(asked)[name], where
                    assert backend_for(asked) is (reference if score in LACKS["sdpa"] else sdpa), where
                    continue
                o = RUNS[name](asked)
                assert o.dtype == dtype, where
                assert o.shape == o_BHQD.shape, where
                error = np.abs(o.double().numpy() - o_BHQD).max() / v.abs().max().item()
                assert error <= tolerance(name, dtype), where
                blind = torch.from_numpy(p_BHQK.sum(-1) == 0)
                assert torch.equal(o[blind], torch.zeros_like(o[blind])), where


def test_the_fused_kernel_takes_heads_whose_numbers_lie_apart() -> None:
    """The kernel that gives the log-sum-exp is called without PyTorch's own checks."""
    q, k, v = tensors(6, 3, 5)
    asked = request(q, k, v, causal(), SCORES["sinks"].score(6))
    apart = request(*(t.mT.contiguous().mT for t in (q, k, v)), causal(), SCORES["sinks"].score(6))
    assert apart.v_BGKD.stride(-1) != 1
    torch.testing.assert_close(sdpa.run(apart), sdpa.run(asked), rtol=0, atol=1e-14)
