"""One attention head step by step: every matrix between the rows that enter it and what it adds."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from clearhead import tap
from clearhead.analysis.given import check_text
from clearhead.analysis.matrices import attention_at, columns_of, projections, site_of
from clearhead.analysis.observe import observe_ids
from clearhead.attend import FULL, Mask, Request, Score
from clearhead.attend.mask import Band, Causal, Documents, Window
from clearhead.attend.request import logits, weights
from clearhead.errors import OptionError, TextError, many
from clearhead.language_model import LanguageModel, check_model
from clearhead.model.parts.attention import Attention
from clearhead.model.parts.positions import Turn
from clearhead.products import product
from clearhead.tap import Site, Spans
from clearhead.watching import TextRecord

# A page shows tables of queries x keys, number by number; longer texts are what `look` is for.
LONGEST = 128

# Numbers in a page or file: 2**22 are about 45 MB.
NUMBERS = 2**22

# Why a key is hidden from a query, by the part of the mask that hides it.
REASONS: dict[type, str] = {Causal: "later", Window: "window", Band: "window", Documents: "document"}


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadNorms:
    """RMSNorm of queries and keys: weights (D,) and, where it is taken over all heads, mean squares (T,)."""

    eps: float
    query_D: Tensor
    key_D: Tensor
    query_squares_T: Tensor | None
    key_squares_T: Tensor | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """What ``steps`` found in one head. E is the model's width, D the head's, F = heads x D; matrices are as in W x.

    taken: what the pass itself computed, (T, D) each: query, key and value; normed_query, normed_key, turned_query and
        turned_key if the model normalises and rotates them; mixed, the head's output
    products_TT, scores_TT (scaled and capped), weights_TT: what a fused kernel never stores: the door's rule, applied
        to ``taken`` in float64
    share_TE, others_TE: this head's part of the output, and that of the other heads and the bias, in float64
    hidden: why each key is hidden from each query, or None
    differences: for query, key, value, mixed and output, the largest distance between what the pass computed and what
        follows from the step before in float64
    """

    record: TextRecord
    text: str | None
    site: Site
    head: int
    heads: int
    key_head: int
    key_heads: int
    kernel: str
    dtype: str
    score: Score
    sink: float | None
    rules: tuple[str, ...]
    hidden: list[list[str | None]]
    x_TE: Tensor
    matrices: dict[str, Tensor]
    biases: dict[str, Tensor | None]
    out_ED: Tensor
    out_bias: bool
    norm: HeadNorms | None
    cos_TD: Tensor | None
    sin_TD: Tensor | None
    taken: dict[str, Tensor]
    products_TT: Tensor
    scores_TT: Tensor
    weights_TT: Tensor
    joined_TF: Tensor
    share_TE: Tensor
    others_TE: Tensor
    output_TE: Tensor
    differences: dict[str, float]

    @property
    def head_width(self) -> int:
        """D of queries and keys."""
        return self.taken["query"].shape[-1]

    @property
    def scale(self) -> float:
        """The factor on q.k."""
        return self.score.factor(self.head_width)

    @property
    def asked(self) -> Tensor:
        """The queries (T, D) as they meet the keys."""
        return self._last("query")

    @property
    def offered(self) -> Tensor:
        """The keys (T, D) as they meet the queries."""
        return self._last("key")

    def _last(self, name: str) -> Tensor:
        return next(self.taken[each] for each in (f"turned_{name}", f"normed_{name}", name) if each in self.taken)


def steps(model: LanguageModel, text: str, *, layer: int = 0, head: int = 0, mask: Mask = FULL) -> Steps:
    """One head's attention over a text, step by step, as one pass computed it.

    mask: joined to the model's own (``clearhead.attend.documents``, for example)

    Raises OptionError if the text is empty, or the model does not attend, adds a bias by distance to its scores or has
    no such layer or head, TextError if the text is longer than the model's context, or than LONGEST tokens or NUMBERS
    numbers.
    """
    check_model(model, "steps")
    check_text(text, "steps")
    site = site_of(model.network, layer, head, "steps")
    part = attention_at(model.network, site, "steps")
    ids = model.encode(text, "steps: the text")
    model.tokenizer.note_unknown(ids)
    _check_size(len(ids), part)
    with _seen(part) as seen:
        record = observe_ids(model, ids, mask=mask)
    with torch.no_grad():
        return _worked_out(record, text, site, head, part, seen)


def _check_size(tokens: int, part: Attention) -> None:
    if tokens > LONGEST:
        raise TextError(
            f"steps: the text has {tokens} tokens; a page of every number takes at most {LONGEST}; shorten the text, "
            "or see the weights of a long one with clearhead look"
        )
    E, D, F = part.out.out_features, part.head_width, part.out.in_features
    numbers = 4 * D * E + tokens * (4 * E + F + 8 * D + 4 * tokens)
    if numbers > NUMBERS:
        raise TextError(
            f"steps: {many(tokens, 'token')} of this model make {numbers:,} numbers; a page takes at most {NUMBERS:,}; "
            "shorten the text, or see the weights with clearhead look"
        )


class _Seen:
    """A watcher of one attention: its request and output, and what its parts gave."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.requests: list[tuple[Request, str, Tensor]] = []
        self.given: dict[str, Any] = {}

    looks = False

    def reserve(self, first: int, count: int) -> int:
        return first

    def begin(self, queries: int, first: int, spans: Spans, state: object | None, stack: str) -> None: ...

    def before(self, request: Request) -> Request:
        return request

    def after(self, request: Request, backend: str, o_BHQD: Tensor) -> Tensor:
        if request.site == self.site:
            self.requests.append((request, backend, o_BHQD))
        return o_BHQD

    def shown(self, site: Site, x_BTE: Tensor) -> Tensor:
        return x_BTE

    def rewound(self, state: object, length: int) -> None: ...

    def selected(self, state: object, rows: Sequence[int]) -> None: ...


@contextmanager
def _seen(part: Attention) -> Generator[_Seen]:
    """Collects one attention's request and output at the door, and what enters and leaves its projections."""
    seen = _Seen(part.site)

    def entered(module: object, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.given |= {"x": given[0], "turn": named["turn"]}

    def projected(module: object, given: tuple[Any, ...], made: tuple[Tensor, Tensor]) -> None:
        seen.given["projected"] = made

    def normed(module: object, given: tuple[Any, ...], made: Tensor) -> None:
        seen.given["normed"] = made

    def left(module: object, given: tuple[Any, ...], made: Tensor) -> None:
        seen.given |= {"joined": given[0], "output": made}

    handles = [
        part.register_forward_pre_hook(entered, with_kwargs=True),
        part.qkv.register_forward_hook(projected),
        part.out.register_forward_hook(left),
        *([] if part.head_norm is None else [part.head_norm.register_forward_hook(normed)]),
    ]
    try:
        with tap.watched_by(seen):
            yield seen
    finally:
        for handle in handles:
            handle.remove()


def _worked_out(record: TextRecord, text: str, site: Site, head: int, part: Attention, seen: _Seen) -> Steps:
    ((request, kernel, o_BHTD),) = seen.requests
    if request.score.bias_HN is not None:
        raise OptionError(
            "steps: this model adds a bias by distance to every score, a step that is not shown yet; see the weights "
            "with clearhead look"
        )
    D, group = part.head_width, request.group
    key_head = head // group
    qk_TX, v_TX = (each[0].unflatten(-1, (-1, D)) for each in seen.given["projected"])
    rows = {"query": head, "key": part.heads + key_head}
    taken = {name: qk_TX[:, row] for name, row in rows.items()} | {"value": v_TX[:, key_head]}
    if part.head_norm is not None:
        taken |= {f"normed_{name}": seen.given["normed"][0][:, row] for name, row in rows.items()}
    turn = cast(Turn | None, seen.given["turn"])
    if turn is not None:
        taken |= {"turned_query": request.q_BHQD[0, head], "turned_key": request.k_BGKD[0, key_head]}
    taken["mixed"] = o_BHTD[0, head]

    q_11TD, k_11TD = request.q_BHQD[:, head, None].double(), request.k_BGKD[:, key_head, None].double()
    score, sinks_H = request.score, request.score.sinks_H
    plain, scored = Score(scale=1.0), Score(scale=score.factor(D), softcap=score.softcap)
    sink_1 = None if sinks_H is None else sinks_H[head : head + 1]
    scores_1TT = logits(q_11TD, k_11TD, FULL, scored, first_place=0)[0]
    hidden_TT, reasons = _hidden(request.mask, head, len(record.tokens), o_BHTD.device)
    weights_TT = weights(scores_1TT.masked_fill(hidden_TT, float("-inf"))[None], sink_1)[0, 0]

    matrices, biases = projections(part, head)
    joined_TF, out_EF, bias_E = seen.given["joined"][0], part.out.matrix, cast(Tensor | None, part.out.bias)
    own = columns_of(part, head)
    beside_TF = joined_TF.double().clone()
    beside_TF[:, own] = 0.0
    share_TE = product(taken["mixed"].double(), out_EF[:, own].double())
    others_TE = product(beside_TF, out_EF.double(), _wide(bias_E))
    output_TE = seen.given["output"][0]
    x_TE = seen.given["x"][0]
    follows = {name: product(x_TE.double(), matrices[name].double(), _wide(biases[name])) for name in matrices}
    follows |= {"mixed": weights_TT @ taken["value"].double(), "output": share_TE + others_TE}
    differences = {
        name: float((each - (taken | {"output": output_TE})[name]).abs().max()) for name, each in follows.items()
    }
    return Steps(
        record=record,
        text=text,
        site=site,
        head=head,
        heads=part.heads,
        key_head=key_head,
        key_heads=part.kv_heads,
        kernel=kernel,
        dtype=str(o_BHTD.dtype).removeprefix("torch."),
        score=score,
        sink=None if sink_1 is None else float(sink_1),
        rules=tuple(_rule(each) for each in request.mask.parts),
        hidden=reasons,
        x_TE=x_TE,
        matrices=matrices,
        biases=biases,
        out_ED=out_EF[:, own].detach(),
        out_bias=bias_E is not None,
        norm=_norms(part, head, key_head, qk_TX),
        cos_TD=None if turn is None else turn.cos_BT1D[0, :, 0],
        sin_TD=None if turn is None else turn.sin_BT1D[0, :, 0],
        taken=taken,
        products_TT=logits(q_11TD, k_11TD, FULL, plain, first_place=0)[0, 0],
        scores_TT=scores_1TT[0],
        weights_TT=weights_TT,
        joined_TF=joined_TF,
        share_TE=share_TE,
        others_TE=others_TE,
        output_TE=output_TE,
        differences=differences,
    )


def _wide(bias_D: Tensor | None) -> Tensor | None:
    return None if bias_D is None else bias_D.double()


def _norms(part: Attention, head: int, key_head: int, qk_TXD: Tensor) -> HeadNorms | None:
    norm = part.head_norm
    if norm is None:
        return None
    query_D, key_D = norm.factors(head, key_head)
    query_squares_T = key_squares_T = None
    if norm.over_heads:
        both = qk_TXD.double().split_with_sizes((part.heads, part.kv_heads), dim=1)
        query_squares_T, key_squares_T = (each.square().mean((1, 2)) for each in both)
    return HeadNorms(
        eps=norm.eps,
        query_D=query_D,
        key_D=key_D,
        query_squares_T=query_squares_T,
        key_squares_T=key_squares_T,
    )


def _hidden(mask: Mask, head: int, places: int, device: torch.device) -> tuple[Tensor, list[list[str | None]]]:
    """Which keys each query does not see, bool (T, T), and why: the first part of the mask that hides them."""
    b = h = torch.zeros(1, 1, dtype=torch.long, device=device)
    at_T = torch.arange(places, device=device)
    hidden_TT = torch.zeros(places, places, dtype=torch.bool, device=device)
    reasons: list[list[str | None]] = [[None] * places for _ in range(places)]
    for part in mask.parts:
        new_TT = ~part.sees(b, h + head, at_T[:, None], at_T[None]).expand(places, places) & ~hidden_TT
        for query, key in new_TT.nonzero().tolist():
            reasons[query][key] = REASONS.get(type(part), "other")
        hidden_TT |= new_TT
    return hidden_TT, reasons


def _rule(part: object) -> str:
    """A part of the mask by name: causal, window 4."""
    size = f" {part.size}" if isinstance(part, Window | Band) else ""
    return type(part).__name__.lower() + size
