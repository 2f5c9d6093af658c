"""What each part of a model adds to a logit: direct logit attribution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from clearhead.analysis.asked import asked_of, finite, likeliest, token_of
from clearhead.analysis.given import Given
from clearhead.analysis.held import Affine, held
from clearhead.errors import OptionError
from clearhead.language_model import LanguageModel, check_model
from clearhead.machine import check_free
from clearhead.model import Network, evaluating
from clearhead.model.parts.attention import Attention
from clearhead.model.parts.cross_attention import CrossAttention
from clearhead.model.parts.stream import Adds, Maps
from clearhead.notebook import Displayed
from clearhead.products import product
from clearhead.tap import Site, own_stack
from clearhead.watching import TextRecord, TokenizedText, watch

SHARE_KINDS = ("embedding", "head", "cross_head", "feed_forward", "layer", "bias")


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one part adds to a logit, or to the difference of two.

    kind: embedding (positions and token types included), head, cross_head (of a translator's attention to its source),
        feed_forward (its biases included), layer (a whole recurrence or convolution), or bias: of the output projection
        of a layer's heads and of its norms, or, without a layer, of what comes after the last one
    """

    kind: str
    value: float
    layer: int | None = None
    head: int | None = None

    def __str__(self) -> str:
        where = "" if self.layer is None else f" {self.layer}" + ("" if self.head is None else f".{self.head}")
        return self.kind.replace("_", "-") + where


@dataclass(frozen=True, kw_only=True)
class LogitParts(Displayed):
    """The shares of all parts in the logit of ``token`` at ``place``, or in its lead over the logit of ``against``.

    tokenized: the text; source: the text that a translator has read, whose translation is ``tokenized``
    given: True if the token is the text's own next token
    logit: as the pass computed it; where logits are soft-capped, before the cap, which is not linear
    capped: after the cap; None without one
    shares: in the order of the pass, biases last. They sum to ``logit``, up to the rounding of the pass
    """

    tokenized: TokenizedText
    place: int
    token_id: int
    token: str
    given: bool
    against: int | None
    other: str | None
    logit: float
    capped: float | None
    shares: tuple[Share, ...]
    model: str | None = None
    source: TokenizedText | None = None

    @property
    def total(self) -> float:
        """The sum of the shares."""
        return sum(share.value for share in self.shares)

    @property
    def difference(self) -> float:
        """The sum less the logit: what the pass rounded."""
        return self.total - self.logit

    def of(self, kind: str) -> tuple[Share, ...]:
        """The shares of one kind. Raises OptionError for an unknown kind."""
        if kind not in SHARE_KINDS:
            raise OptionError(f"parts: there is no kind {kind!r}; take {', '.join(SHARE_KINDS)}")
        return tuple(share for share in self.shares if share.kind == kind)

    def top(self, count: int = 10) -> tuple[Share, ...]:
        """The largest shares by size, largest first."""
        return tuple(sorted(self.shares, key=lambda share: -abs(share.value))[:count])


def logit_parts(
    model: LanguageModel,
    text: Given,
    *,
    target: str | None = None,
    query: int | None = None,
    token: int | str | None = None,
    against: int | str | None = None,
) -> LogitParts:
    """Splits a logit into what each head, feed-forward, the embedding and the biases add to it.

    text: a text or a row of ids, special tokens included
    target: what a translator writes, as ``observe`` has it; its decoder is split, at a place of the target
    query: a place (negative: from the end); None for the last
    token: an id or a text of one token; None for the text's next token, or for the likeliest one after the end of the
        text or in a model that fills masks
    against: a second token; the shares are then those in the token's logit less this one's

    Every part adds to the residual stream, which is linear up to the norms. Each norm on the way to the logit keeps the
    scale it had in the pass (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"): the final one,
    those on what a part gives, and where the stream itself is normalised (post-norm), every later one. So does the
    activation in an encoder's prediction head, as the slope (f(x) - f(0)) / x. With these held, the shares sum to the
    logit; they say what a part adds directly, not through later parts.

    Raises TextError as ``observe`` does, OptionError if the text has no such place, the model has no such token, no
    residual stream or predicts no tokens, MemoryNeededError if what must be kept does not fit in the free memory.
    """
    check_model(model, "logit_parts")
    network = model.network
    asked = asked_of(model, text, target=target, query=query, token=token, verb="parts", what="parts")
    if not network.stream():
        raise OptionError("parts: this model has no residual stream that its parts add to, so its logits are not a sum")
    ids, place, chosen = asked.read.ids, asked.place, asked.token
    other = None if against is None else token_of(model, against, "against")
    _check_memory(model, asked.read.tokens)
    with torch.inference_mode(), evaluating(network):
        with watch(model, keep="heads parts residual") as record:
            x_BTE = network.hidden(**asked.read.inputs(model))
        x_11E = x_BTE[:, place : place + 1]
        logits_V = finite(network.unembed(x_11E)[0, 0], len(ids))
        if chosen is None:
            chosen = likeliest(model, logits_V)
        tokens = [chosen] if other is None else [chosen, other]
        shares = _shares(network, record.only(), place, tokens)
        final = float(logits_V[chosen] - (0 if other is None else logits_V[other]))
        logit = final if network.softcap is None else _uncapped(network, x_11E[0, 0], tokens)
    return LogitParts(
        tokenized=asked.read.tokenized,
        place=place,
        token_id=chosen,
        token=model.labels([chosen])[0],
        given=asked.given,
        against=other,
        other=None if other is None else model.labels([other])[0],
        logit=logit,
        capped=None if network.softcap is None else final,
        shares=shares,
        model=model.name or None,
        source=asked.read.source,
    )


def _check_memory(model: LanguageModel, places: int) -> None:
    need = 4 * places * model.config.width * model.config.layers * model.dtype.itemsize
    check_free(
        need,
        model.device,
        f"what the parts of a text of {places:,} tokens add takes about {need / 1e9:.1f} GB",
        "give a shorter text",
    )


def _less(rows: Tensor) -> Tensor:
    """The first row, less the second if there are two."""
    return rows[0] - rows[1] if len(rows) > 1 else rows[0]


def _uncapped(network: Network, x_E: Tensor, tokens: list[int]) -> float:
    """The logit, or the difference of two, before the cap, from the pass's own x."""
    return float(_less(product(x_E, network.output.matrix[tokens]).double()))


@dataclass(frozen=True, eq=False)
class _Held:
    """A norm of the stream, or a step of the output head, as it was in the pass."""

    layer: int | None
    map: Affine


@dataclass(frozen=True, eq=False)
class _Gave:
    """A part, and what it added at the place."""

    step: Adds
    y_E: Tensor


def _shares(network: Network, record: TextRecord, place: int, tokens: list[int]) -> tuple[Share, ...]:
    """All shares at a place, worked out in float64 from what the pass kept, from the logit back to the embedding."""
    sites = network.sites()
    stack = own_stack(site.stack for site in sites)
    start = next(site for site in sites if (site.kind, site.stack) == ("embedding", stack))
    x_E = start_E = record.output(start)[place].double()
    way = list[_Held | _Gave]()
    for step in network.stream():
        if isinstance(step, Maps):
            affine = held(step.map, x_E)
            way.append(_Held(step.layer, affine))
            x_E = affine(x_E)
        else:
            y_E = _added(network, record, step, place, start)
            way.append(_Gave(step, y_E))
            x_E = x_E + y_E
    u_E = _less(network.output.matrix[tokens].double())
    bias_V = network.output_bias
    biases: dict[int | None, float] = {None: 0.0 if bias_V is None else float(_less(bias_V[tokens].double()))}
    shares = list[Share]()
    for each in reversed(way):
        if isinstance(each, _Held):
            biases[each.layer] = biases.get(each.layer, 0.0) + _dot(each.map.bias, u_E)
            u_E = each.map.pull(u_E)
            continue
        step = each.step
        if isinstance(step.part, Attention | CrossAttention) and step.site is not None:
            o_HD = record.head_outputs(step.site)[:, place].double()
            values, bias = _of_heads(step, step.part, o_HD, u_E)
            biases[step.layer] = biases.get(step.layer, 0.0) + bias
            kind = "cross_head" if step.site.kind == "cross" else "head"
            heads = [Share(kind=kind, value=value, layer=step.layer, head=n) for n, value in enumerate(values)]
            shares += reversed(heads)
        else:
            kind = "layer" if step.site is None else step.site.kind
            shares.append(Share(kind=kind, value=float(each.y_E @ u_E), layer=step.layer))
    shares.append(Share(kind="embedding", value=float(start_E @ u_E)))
    constant = [Share(kind="bias", value=value, layer=layer) for layer, value in _in_order(biases) if value]
    return (*reversed(shares), *constant)


def _in_order(biases: dict[int | None, float]) -> list[tuple[int | None, float]]:
    """By layer, those after the last layer at the end."""
    return sorted(biases.items(), key=lambda each: (each[0] is None, each[0] or 0))


def _added(network: Network, record: TextRecord, step: Adds, place: int, start: Site) -> Tensor:
    """What a part adds to the stream at a place; without a site, what its layer adds beyond the parts with one."""
    if step.site is not None:
        return record.output(step.site)[place].double()
    before = replace(start, layer=step.layer - 1, kind="residual") if step.layer else start
    after = replace(start, layer=step.layer, kind="residual")
    whole_E = record.output(after)[place].double() - record.output(before)[place].double()
    adds = [each for each in network.stream() if isinstance(each, Adds) and each.layer == step.layer]
    return whole_E - sum(record.output(each.site)[place].double() for each in adds if each.site is not None)


def _of_heads(step: Adds, part: Attention | CrossAttention, o_HD: Tensor, u_E: Tensor) -> tuple[list[float], float]:
    """The share of each head in u . (what an attention adds), and that of the biases behind them."""
    stored_E = cast(Tensor | None, part.out.bias)
    bias_E = None if stored_E is None else stored_E.double()
    weight_EF = part.out.matrix.double()
    bias = 0.0
    if step.after is not None:
        affine = held(step.after, product(o_HD.flatten(), weight_EF, bias_E))
        bias, u_E = _dot(affine.bias, u_E), affine.pull(u_E)
    read_HD = product(u_E, weight_EF.mT).view_as(o_HD)
    return (o_HD * read_HD).sum(-1).tolist(), bias + _dot(bias_E, u_E)


def _dot(y_E: Tensor | None, u_E: Tensor) -> float:
    return 0.0 if y_E is None else float(y_E @ u_E)
