"""The effect of edits to first order: the gradient of a measure, times the change of what is edited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from clearhead.analysis.given import Read
from clearhead.attend import Request, backend_for
from clearhead.errors import WatchError
from clearhead.language_model import LanguageModel
from clearhead.machine import check_free
from clearhead.model import evaluating
from clearhead.tap import Site, Spans, watched_by
from clearhead.watching import Edit
from clearhead.watching.editing import Editor
from clearhead.watching.passes import Pass


@dataclass(eq=False)
class _Leaves:
    """A watcher that keeps each site's output in the autograd graph."""

    requests: dict[Site, Request] = field(default_factory=dict[Site, Request])
    heads: dict[Site, Tensor] = field(default_factory=dict[Site, Tensor])
    parts: dict[Site, Tensor] = field(default_factory=dict[Site, Tensor])

    looks = False

    def reserve(self, first: int, count: int) -> int:
        return first

    def begin(self, queries: int, first: int, spans: Spans, state: object | None, stack: str) -> None: ...

    def before(self, request: Any) -> Any:
        return request

    def after(self, request: Any, backend: str, o_BHQD: Tensor) -> Tensor:
        self.requests[request.site] = request
        self.heads[request.site] = o_BHQD
        return o_BHQD

    def shown(self, site: Site, x_BTE: Tensor) -> Tensor:
        self.parts[site] = x_BTE = x_BTE if x_BTE.requires_grad else x_BTE.detach().requires_grad_()
        return x_BTE

    def rewound(self, state: object, length: int) -> None: ...

    def selected(self, state: object, rows: Sequence[int]) -> None: ...


def predicted(
    model: LanguageModel, read: Read, groups: Sequence[tuple[Edit, ...]], value: Callable[[Tensor], Tensor]
) -> list[float]:
    """The change of a measure under each group of edits, to first order; edits of a group add up.

    value: the measure of each row of ``hidden``'s output. One pass forward and one backward, whatever the number
    of edits. What an edit changes is computed exactly from what the pass had at its site: for a patched pattern, a
    knocked-out key and the like, the new outputs of the heads there. Raises MemoryNeededError if the pass does not fit.
    """
    need = read.tokens * model.config.training_numbers() * model.dtype.itemsize
    check_free(
        need,
        model.device,
        f"the gradient of a text of {read.tokens:,} tokens needs about {need / 1e9:.1f} GB",
        "give a shorter text",
    )
    leaves, network = _Leaves(), model.network
    with torch.inference_mode(mode=False), torch.enable_grad(), evaluating(network):
        with watched_by(leaves):
            x_1TE = network.hidden(**read.inputs(model))
        wanted = [*leaves.heads.values(), *leaves.parts.values()]
        found = torch.autograd.grad(value(x_1TE).sum(), wanted, allow_unused=True)
    given: list[Tensor | None] = list(found)  # None: the measure does not depend on it
    gradients = [torch.zeros_like(x) if g is None else g for x, g in zip(wanted, given, strict=True)]
    of_heads = dict(zip(leaves.heads, gradients, strict=False))
    of_parts = dict(zip(leaves.parts, gradients[len(leaves.heads) :], strict=True))
    lengths = {stack: len(text.ids) for stack, text in read.by_stack(model).items()}
    with torch.no_grad():
        return [sum(_of(model, edit, lengths, leaves, of_heads, of_parts) for edit in group) for group in groups]


def _of(
    model: LanguageModel,
    edit: Edit,
    lengths: dict[str, int],
    leaves: _Leaves,
    of_heads: dict[Site, Tensor],
    of_parts: dict[Site, Tensor],
) -> float:
    """Gradient times the change that one edit makes at its site. lengths: of the text of each stack."""
    editor = Editor((edit,), model.sites(), model.network)
    (site,) = editor.sites
    if site not in leaves.requests and site not in leaves.parts:
        raise WatchError(f"{edit}: nothing was seen at {site}")
    places = lengths[site.stack]
    seen = Pass((0,), places, 0, ((0, places),), site.stack)
    editor.begin(seen)
    editor.check_lengths()
    change = 0.0
    if site in leaves.requests:
        given = leaves.requests[site]
        request = editor.before(given, seen)
        o_BHQD = leaves.heads[site].detach()
        new_BHQD = o_BHQD if request is given else backend_for(request).run(request)
        new_BHQD = editor.after(site, new_BHQD, seen)
        if new_BHQD is not o_BHQD:
            change += float((of_heads[site] * (new_BHQD - o_BHQD)).sum())
    if site in leaves.parts:
        x_BTE = leaves.parts[site].detach()
        new_BTE = editor.part(site, x_BTE, seen)
        if new_BTE is not x_BTE:
            change += float((of_parts[site] * (new_BTE - x_BTE)).sum())
    return change
