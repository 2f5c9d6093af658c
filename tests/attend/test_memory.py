"""Nothing of size heads x T x T: counted operation by operation, and measured on a whole process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from clearhead.attend import FULL, Mask, Score, attend, causal, documents, knockout, left_padding, window
from clearhead.attend.backends import reference, sdpa
from clearhead.watching import AttentionMap, blocks, watch
from definition import SITE, Watched, request

H, T, D = 12, 256, 16


class Largest(TorchDispatchMode):
    """The largest storage, in bytes, that any operation returned."""

    def __init__(self) -> None:
        super().__init__()
        self.nbytes = 0

    def __torch_dispatch__(self, func: Callable[..., object], types: object, args: object = (), kwargs: object = None):
        result = func(*args, **(kwargs or {}))  # type: ignore[misc,dict-item]
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self.nbytes = max(self.nbytes, tensor.untyped_storage().nbytes())
        return result


MASKS: dict[str, Mask] = {
    "full": FULL,
    "causal": causal(),
    "window": causal() & window(31),
    "documents": causal() & documents(torch.arange(T).expand(2, T) // 50),
    "left padding": causal() & left_padding(torch.tensor([0, 100])),
    "one head knocked out": causal() & knockout([(200, 3)], head=5),
}


SCORES = {"plain": Score(), "sinks": Score(sinks_H=torch.ones(H)), "bias": Score(bias_HN=torch.randn(H, 9))}


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_no_operation_gives_more_than_a_block(mask: Mask, score: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 2**14
    monkeypatch.setattr(sdpa, "ARRAY_LIMIT", limit)
    q, k, v = (torch.randn(2, heads, T, D) for heads in (H, 4, 4))
    asked = request(q, k, v, mask, score)
    with Largest() as largest:
        o = sdpa.run(asked)
    assert largest.nbytes <= max(q.nbytes, 4 * limit)  # 4 bytes a number; the output is as large as q
    assert 4 * limit < q.nbytes < H * T * T  # so that a bool for each head and cell would be seen
    monkeypatch.undo()
    torch.testing.assert_close(o, sdpa.run(asked))  # in one block


def test_the_reference_too_has_a_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU, a soft cap runs there."""
    q, k, v = (torch.randn(2, heads, T, D) for heads in (H, 4, 4))
    asked = request(q, k, v, causal() & window(31), Score(softcap=5.0, sinks_H=torch.ones(H)))
    whole = reference.run(asked)
    limit = 2 * H * T * 7  # seven rows
    monkeypatch.setattr(reference, "BLOCK", limit + 1)
    with Largest() as largest:
        o = reference.run(asked)
    assert largest.nbytes <= max(q.nbytes, 4 * limit)  # the output is as large as q
    assert 4 * limit < q.nbytes < H * T * T  # so that a bool for each head and cell would be seen
    torch.testing.assert_close(o, whole)


def test_padding_alone_needs_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdpa, "ARRAY_LIMIT", 1)
    q, k, v = (torch.randn(2, heads, T, D) for heads in (H, 4, 4))
    with Largest() as largest:
        sdpa.run(request(q, k, v, left_padding(torch.tensor([0, 100]))))
    assert largest.nbytes == q.nbytes


@pytest.mark.parametrize("mask", ["window", "documents"])
def test_the_backward_pass_holds_the_blocks_once_for_all_layers(mask: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdpa, "ARRAY_LIMIT", 2**14)
    tensors = [torch.randn(2, heads, T, D, requires_grad=True) for heads in (H, 4, 4)]
    shared, q = MASKS[mask], tensors[0]
    arrays: set[int] = set()

    def pack(tensor: Tensor) -> Tensor:
        if tensor.shape[-1] == T:
            arrays.add(tensor.untyped_storage().data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        for _ in range(3):
            sdpa.run(request(*tensors, shared)).sum().backward()
    assert 1 < len(arrays) <= T * T * 2 // 2**14
    whole = q.grad.clone() / 3 if q.grad is not None else None
    monkeypatch.undo()
    q.grad = None
    sdpa.run(request(*tensors, shared)).sum().backward()
    torch.testing.assert_close(q.grad, whole)


@pytest.mark.parametrize(
    "ask",
    [
        AttentionMap.entropy,
        AttentionMap.received,
        AttentionMap.mean_distance,
        lambda a: a.top(5),
        lambda a: a.image(64, 64),
        lambda a: a[:, 7],
        lambda a: a[1000],
    ],
    ids=["entropy", "received", "mean_distance", "top", "image", "column", "row"],
)
def test_a_map_is_read_in_blocks(ask: Callable[[AttentionMap], object], monkeypatch: pytest.MonkeyPatch) -> None:
    places = 1024
    monkeypatch.setattr(blocks, "TILE", 2**14)
    monkeypatch.setattr(blocks, "ROWS", 32)
    monkeypatch.setattr(blocks, "TALL", 32)
    q, k, v = (torch.randn(1, heads, places, 8) for heads in (2, 1, 1))
    with watch(Watched({SITE: 2})) as record:
        attend(q, k, v, mask=causal() & window(100), site=SITE)
    with Largest() as largest:
        ask(record[3, 1])
    assert largest.nbytes <= 8 * 2**14  # indices are 8 bytes wide; the matrix would be 4 * 2**20


MEASURE = """
import pathlib, resource, torch
from clearhead.attend import attend, causal, window
from clearhead.tap import Site
from clearhead.watching import watch

torch.set_num_threads(1)
H, T, D = 12, 4096, 64
q, k, v = (torch.randn(1, H, T, D) for _ in range(3))

def peak():  # not by getrusage on Linux: a new process has that figure from the one that started it
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024

def now():  # less than the peak, which importing may have set: the differences below are upper bounds
    statm = pathlib.Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else peak()

class Model:
    def sites(self):
        return {Site(0): H}

attend(q[:, :, :64], k[:, :, :64], v[:, :, :64], mask=causal() & window(5), site=Site(0))
before = now()
with torch.inference_mode(), watch(Model()) as record:
    o = attend(q, k, v, mask=causal() & window(512), site=Site(0))
print(peak() - before, record.nbytes(), H * T * T * 4)
record[0, 3].image(256, 256)
record[0, 3].entropy()
print(peak() - before)
"""


def test_a_long_windowed_call_stays_far_under_heads_by_t_by_t() -> None:
    """4,096 tokens, 12 heads, width 64: all weights at once would be 805 MB."""
    printed = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True, timeout=120)
    call, record, all_weights, reading = (int(number) for number in printed.stdout.split())
    assert record == 2 * 12 * 4096 * 64 * 4  # q and k
    assert call < all_weights / 3
    assert reading < all_weights / 2
    print(f"windowed call: {call / 1e6:.0f} MB, with its map read: {reading / 1e6:.0f} MB; all weights: 805 MB")  # noqa: T201
