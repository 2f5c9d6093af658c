"""Which back-end is used and why the others refuse; and that torch.compile sees one graph."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention.flex_attention import flex_attention

from clearhead.attend import (
    FULL,
    Mask,
    Request,
    Score,
    attend,
    backend_for,
    causal,
    documents,
    explain,
    knockout,
    left_padding,
    padding,
    window,
)
from clearhead.attend.backends import flex, sdpa
from clearhead.watching import watch
from definition import BATCH, KEYS, SITE, Watched, request, tensors

DOCUMENTS_140 = documents(torch.arange(140).expand(BATCH, -1) // 30)


class TestChoice:
    """Which back-end is used, and why the others refuse."""

    def asked(
        self,
        device: str = "cpu",
        queries: int = 200,
        width: int = 16,
        values: int = 16,
        dtype: torch.dtype = torch.float32,
        **options: object,
    ) -> Request:
        shapes = (2, 6, queries, width), (2, 3, 200, width), (2, 3, 200, values)
        q, k, v = (torch.zeros(shape, device=device, dtype=dtype) for shape in shapes)
        return request(q, k, v, **options)  # type: ignore[arg-type]

    def test_on_a_processor_the_fused_kernel_is_taken_for_every_mask(self) -> None:
        for mask in (FULL, causal(), causal() & window(3), padding(torch.tensor([3, 4])), knockout([(1, 0)])):
            for score in (Score(), Score(scale=0.3), Score(sinks_H=torch.zeros(6))):
                assert backend_for(self.asked(mask=mask, score=score)) is sdpa

    def test_every_back_end_says_why_it_refuses(self) -> None:
        why = explain(self.asked(score=Score(softcap=2.0, sinks_H=torch.zeros(6)), values=17))
        assert list(why) == ["token", "flex", "sdpa", "reference"]
        assert why["flex"] == ["needs CUDA"]
        assert why["sdpa"] == [
            "soft caps are not in this kernel",
            "its CPU kernel needs values as wide as keys",
        ]
        assert why["reference"] == []

    def test_flex_says_on_cuda_what_it_does_not_have(self) -> None:
        with FakeTensorMode():  # shapes and devices without memory, so that no GPU is needed
            windowed = causal() & window(3)
            sinking = self.asked("cuda", mask=causal(), score=Score(sinks_H=torch.zeros(6, device="cuda")))
            assert backend_for(sinking) is flex
            assert explain(sinking)["sdpa"] == ["on CUDA its kernels have no attention sinks"]
            precise = explain(self.asked("cuda", dtype=torch.float64, mask=windowed))["flex"]
            assert precise == ["float64 is not in this kernel"]
            plain = ["a plain or causal mask runs faster in sdpa"]
            assert explain(self.asked("cuda", mask=causal() & window(200)))["flex"] == plain
            assert explain(self.asked("cuda"))["flex"] == plain
            narrow = explain(self.asked("cuda", width=8, mask=windowed))["flex"]
            assert narrow == ["heads of width 8 are too narrow for this kernel, which needs 16"]
            short = explain(self.asked("cuda", queries=5, mask=windowed))["flex"]
            assert short == ["5 queries do not fill one block of 128 rows"]
            knocked = explain(self.asked("cuda", mask=windowed & knockout([(150, 0)])))["flex"]
            assert knocked == ["every set of knocked-out pairs would be recompiled; sdpa takes it as an array"]
            assert backend_for(self.asked("cuda", mask=windowed)) is flex
            assert backend_for(self.asked("cuda", mask=causal(), score=Score(softcap=2.0))) is flex
            assert backend_for(self.asked("cuda", mask=causal())) is sdpa

    def test_a_window_wider_than_the_text_and_one_query_need_no_array(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sdpa, "_added", None)  # calling it would fail
        q, k, v = (t.float() for t in tensors(6, 3, KEYS))
        sdpa.run(request(q, k, v, causal() & window(KEYS)))
        sdpa.run(request(q[:, :, -1:], k, v, causal() & knockout([(3, 1)])))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestCompiled:
    """A compiler sees one graph, and a watch still sees everything."""

    def door(self, q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
        return attend(q, k, v, mask=mask, site=SITE)

    def test_masks_do_not_break_the_graph_and_watching_is_seen(self) -> None:
        torch.compiler.reset()
        q, k, v = (t.float() for t in tensors(6, 3, KEYS))
        whole = torch.compile(self.door, backend="eager", fullgraph=True)  # fullgraph: a break is an error
        for ids in ([[0] * 4 + [1] * 7] * 2, [[0] * 9 + [5] * 2] * 2):
            mask = causal() & documents(torch.tensor(ids))
            assert torch.equal(whole(q, k, v, mask), self.door(q, k, v, mask))
        mask = causal() & left_padding(torch.tensor([0, 11]))
        assert torch.equal(whole(q, k, v, mask), self.door(q, k, v, mask))

        compiled = torch.compile(self.door, backend="eager")
        compiled(q, k, v, mask)
        with watch(Watched({SITE: 6})) as record:
            compiled(q, k, v, mask)
        assert len(list(record)) == 6
        torch.compiler.reset()

    def test_many_text_lengths_do_not_exhaust_the_compilers_patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Past its limit of 8 the compiler would run FlexAttention's dense form, of size heads x T x T, silently."""
        torch.compiler.reset()
        graphs: list[object] = []

        def count(graph: torch.fx.GraphModule, inputs: object) -> Callable[..., object]:
            graphs.append(graph)
            return graph.forward

        compile_with = torch.compile
        monkeypatch.setattr(torch, "compile", lambda f, **options: compile_with(f, backend=count, **options))
        monkeypatch.setattr(flex, "_KERNELS", {})
        for places in range(128, 140):
            q, k, v = (t.float() for t in tensors(6, 3, places, keys=places))
            asked = request(q, k, v, causal() & window(3 + places % 2))
            torch.testing.assert_close(flex.run(asked), sdpa.run(asked))
        assert len(graphs) <= 4
        torch.compiler.reset()

    def test_many_kinds_of_request_do_not_either(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also one kind with more graphs than the compiler keeps per function; the dense form never runs."""
        torch.compiler.reset()
        graphs: list[object] = []
        ran: list[int] = []

        def count(graph: torch.fx.GraphModule, inputs: object) -> Callable[..., object]:
            number = len(graphs)
            graphs.append(graph)

            def forward(*given: object) -> object:
                ran.append(number)
                return graph.forward(*given)

            return forward

        compile_with = torch.compile
        monkeypatch.setattr(torch, "compile", lambda f, **options: compile_with(f, backend=count, **options))
        monkeypatch.setattr(flex, "_KERNELS", {})
        asked: list[Request] = []
        for mask in (causal() & window(3), padding(torch.tensor([40, 140])), DOCUMENTS_140 & causal()):
            for heads, groups, width in ((6, 3, 16), (6, 1, 32), (6, 2, 64)):
                q, k, v = (t.float() for t in tensors(heads, groups, 140, keys=140, width=width))
                asked.append(request(q, k, v, mask))
        for _ in range(2):
            for one in asked:
                torch.testing.assert_close(flex.run(one), sdpa.run(one))
        assert len(ran) == 2 * len(asked)
        assert len(graphs) == len(asked)  # nothing is compiled twice
        monkeypatch.setattr(flex, "_kind", lambda request: "all are one kind")
        ran.clear()
        for one in asked:
            torch.testing.assert_close(flex.run(one), sdpa.run(one))
        assert len(ran) == len(asked)
        torch.compiler.reset()


def test_flex_attention_is_what_the_compiled_kernel_wraps() -> None:
    assert flex.flex_attention is flex_attention
