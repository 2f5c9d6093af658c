"""A tape makes the calls that were recorded, and refuses a recording in which PyTorch computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from clearhead.native import library, recording, token

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler, or a processor without AVX2")


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def test_the_calls_are_made_again_with_what_the_memory_has_then() -> None:
    a, table = torch.arange(8.0), torch.arange(80.0).view(10, 8)
    with recording() as tape:
        doubled = token.add(a, a)
        token.placed(doubled, table, 1, 0)
    assert tape.refused is None
    a += 1
    out = torch.empty(8)
    tape.result_at(out.data_ptr())
    assert tape.run(place=4, threads=1)
    assert torch.equal(out, 2 * a + table[5])


def test_views_and_memory_are_no_computing() -> None:
    x = torch.ones(1, 1, 8)
    with recording() as tape:
        parts = x.view(1, 2, 4).transpose(0, 1).split(1)
        torch.dropout(token.add(parts[0], parts[1]), 0.5, False)
    assert tape.refused is None


COMPUTING: dict[str, Callable[[Tensor], object]] = {
    "a sum": lambda x: x + 1,
    "in place": lambda x: x.add_(1),
    "a number": lambda x: x.sum().item(),
    "zeros": lambda x: torch.zeros(3),
    "dropout": lambda x: torch.dropout(x, 0.5, True),
    "a product": lambda x: torch.nn.functional.linear(x, x),
    "a copy": lambda x: x.clone(),
}


@pytest.mark.parametrize("name", COMPUTING)
def test_what_pytorch_computes_cannot_be_made_again(name: str) -> None:
    x = torch.ones(4, 4)
    with recording() as tape:
        COMPUTING[name](x)
    assert tape.refused is not None
    assert tape.refused.startswith("aten.")


def test_a_call_that_fails_is_told() -> None:
    ids, weight = torch.tensor([[1]]), torch.ones(3, 8)
    with recording() as tape:
        token.embed(ids, weight, None, 8, torch.float32)
    ids[0, 0] = 3
    assert not tape.run(place=0, threads=1)


def test_calls_after_a_recording_are_not_recorded() -> None:
    x = torch.ones(8)
    with recording() as tape:
        token.add(x, x)
    token.scale(x, 5.0)
    out = torch.empty(8)
    tape.result_at(out.data_ptr())
    assert tape.run(place=0, threads=1)
    assert torch.equal(out, 2 * x)


def test_all_calls_have_as_many_rows() -> None:
    x = torch.ones(3, 1, 8)
    with recording(3) as tape:
        token.add(x, x)
    assert tape.refused is None
    with recording(3) as tape:
        token.add(x[:2], x[:2])
    assert tape.refused == "a call of 2 rows"


def test_the_source_may_be_another_one() -> None:
    """Of other length, in the same memory."""
    keys, values, q = torch.randn(2, 1, 4, 40, 16), torch.randn(2, 1, 4, 40, 16), torch.randn(1, 4, 1, 16)
    k, v = keys[0, :, :, :30].clone(), values[0, :, :, :30].clone()
    k_memory, v_memory = keys[1].clone(), values[1].clone()
    k_memory[:, :, :30], v_memory[:, :, :30] = k, v
    options = {"scale": 0.25, "softcap": None, "sinks_H": None, "window": 0, "grows": False}
    with recording() as tape:
        token.attend(q, k_memory[:, :, :30], v_memory[:, :, :30], **options)
    k_memory[:], v_memory[:] = keys[1], values[1]
    out = torch.empty(1, 4, 1, 16)
    tape.result_at(out.data_ptr())
    assert tape.run(place=7, threads=1, source=21)
    assert torch.equal(out, token.attend(q, keys[1][:, :, :21], values[1][:, :, :21], **options))
