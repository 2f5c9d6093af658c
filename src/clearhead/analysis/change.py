"""What changed between two models of one shape, head by head: a run's checkpoints, or a model before and after more
training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, ClassVar

import torch
from torch import Tensor

from clearhead.analysis.observe import observe
from clearhead.attend import wide
from clearhead.errors import OptionError
from clearhead.language_model import LanguageModel, as_texts, check_model
from clearhead.tap import Site, short_names
from clearhead.watching import Atlas, AtlasRow, TextRecord

CHANGES = {
    "attention": "share of the weight that lies on other keys: total variation distance, mean over the queries",
    "output": "size of the change in what the head adds to the stream, root mean square over the places",
    "before": "size of what the head adds to the stream in the first model, root mean square",
    "after": "size of what the head adds to the stream in the second model, root mean square",
}


@dataclass(frozen=True)
class Change(Atlas):
    """Heads by what changed (``CHANGES``); printed, drawn and sorted like an atlas.

    first_model, second_model: their names, if known. texts: as given; tokens are those of all texts
    """

    called: ClassVar[str] = "change"
    schema: ClassVar[str] = "clearhead.change/1"
    meanings: ClassVar[dict[str, str]] = CHANGES

    first_model: str | None
    second_model: str | None
    texts: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        models = {"first_model": self.first_model, "second_model": self.second_model, "texts": list(self.texts)}
        return {name: value for name, value in super().to_dict().items() if name not in ("model", "text")} | models


@torch.inference_mode()
def change(
    before: LanguageModel,
    after: LanguageModel,
    text: str | list[str],
    *,
    pair: str | None = None,
    target: str | None = None,
) -> Change:
    """How far each head of one model is from the same head of another on the same texts.

    The weights are compared row by row, by their total variation distance (``TextRecord.variation``), at any length.
    What a head adds to the residual stream is compared at every place: its output times its part of W_O, without the
    output projection's bias and norms after it. This says something only if both streams have the same basis, as when
    one model started from the other.

    text: one or several texts, special tokens are added as in ``observe``. pair: a second text for encoders that read
    two. target: what a translator writes, for both models

    Raises OptionError for models of other shapes or tokenizers, and as ``observe`` does; WatchError if their attentions
    hide different keys.
    """
    check_model(before, "change")
    check_model(after, "change")
    texts = as_texts(text, "change")
    if not texts:
        raise OptionError("change: no text was given; give one or more")
    if len(texts) > 1 and (pair, target) != (None, None):
        raise OptionError(f"change: a pair or a target was given with {len(texts)} texts; give it with one text")
    check_shapes(before, after)
    if target is None and "text to text" in before.abilities:
        raise OptionError("change: these models translate, each in its own way; give one target for both")
    sums: dict[Site, _Sums] = {}
    tokens = 0
    for each in texts:
        records = [observe(model, each, pair=pair, target=target, keep="heads") for model in (before, after)]
        _check_tokens(before, after, *records)
        tokens += len(records[0].tokens)
        for site in records[0].seen():
            sums.setdefault(site, _Sums(records[0].heads(site))).add(site, (before, after), records)
    names = [model.name or None for model in (before, after)]
    return Change(
        model=None if None in names else f"{names[0]} -> {names[1]}",
        text=texts[0] if len(texts) == 1 else f"{len(texts)} texts",
        tokens=tokens,
        columns=tuple(CHANGES),
        rows=tuple(_rows(sums)),
        first_model=names[0],
        second_model=names[1],
        texts=tuple(texts),
    )


def check_shapes(before: LanguageModel, after: LanguageModel) -> None:
    """Raises OptionError, naming the first difference, unless the models have the same heads and width."""
    one, other = ({site: heads for site, heads in each.sites().items() if heads} for each in (before, after))
    names = [each.name or which for each, which in ((before, "the first model"), (after, "the second model"))]
    for site in {**one, **other}:
        if one.get(site) != other.get(site):
            raise OptionError(
                f"change: at {site} {names[0]} has {one.get(site, 0)} heads, {names[1]} {other.get(site, 0)}; give "
                "models of one shape"
            )
    widths = before.config.width, after.config.width
    if widths[0] != widths[1]:
        raise OptionError(f"change: {names[0]} is {widths[0]} wide, {names[1]} {widths[1]}; give models of one shape")


def _check_tokens(before: LanguageModel, after: LanguageModel, one: TextRecord, other: TextRecord) -> None:
    for stack in {site.stack for site in one.seen()}:
        mine, theirs = (
            [f"{token!r} ({id})" for token, id in zip(each.tokens, each.ids, strict=True)]
            for each in (one.tokenized(stack), other.tokenized(stack))
        )
        for place, (own, read) in enumerate(zip_longest(mine, theirs, fillvalue="nothing")):
            if own != read:
                names = f"{before.name or 'the first model'} and {after.name or 'the second model'}"
                raise OptionError(
                    f"change: {names} have other tokenizers: at place {place}, {own} and {read}; give models that read "
                    "the same tokens"
                )


class _Sums:
    """Sums over the texts at one site.

    apart_H: the distances, over the queries
    squares_3H: the squares of the change and of both sizes, over the places; None if the model does not say how it
        projects the heads' outputs
    """

    def __init__(self, heads: int) -> None:
        self.queries = self.places = 0
        self.apart_H = torch.zeros(heads, dtype=torch.float64)
        self.squares_3H: Tensor | None = torch.zeros(3, heads, dtype=torch.float64)

    def add(self, site: Site, models: Sequence[LanguageModel], records: Sequence[TextRecord]) -> None:
        one, other = records
        apart_HQ = one.variation(other, site)
        self.apart_H += apart_HQ.double().sum(1)
        self.queries += apart_HQ.shape[1]
        added = [_added(model, record, site) for model, record in zip(models, records, strict=True)]
        if None in added or self.squares_3H is None:
            self.squares_3H = None
            return
        self.places += one.head_outputs(site).shape[1]
        for head, (a_TE, b_TE) in enumerate(zip(*(each or () for each in added), strict=True)):
            for n, x_TE in enumerate((b_TE - a_TE, a_TE, b_TE)):
                self.squares_3H[n, head] += x_TE.double().square().sum().cpu()

    def columns(self) -> list[list[float | None]]:
        """The values of ``CHANGES``, each of all heads."""
        if self.squares_3H is None:
            sizes: list[list[float | None]] = [[None] * len(self.apart_H)] * 3
        else:
            sizes = [[*each.tolist()] for each in (self.squares_3H / self.places).sqrt()]
        return [[*(self.apart_H / self.queries).tolist()], *sizes]


def _added(model: LanguageModel, record: TextRecord, site: Site) -> Iterator[Tensor] | None:
    """x_TE: what each head adds to the residual stream; None if the model does not say."""
    weight_EF = model.network.projections().get(site)
    if weight_EF is None:
        return None
    o_HTD = record.head_outputs(site)
    dtype = wide(o_HTD.dtype)
    weight_EHD = weight_EF.to(dtype).unflatten(1, (len(o_HTD), -1))
    return (o_TD.to(dtype) @ weight_EHD[:, head].T for head, o_TD in enumerate(o_HTD))


def _rows(sums: dict[Site, _Sums]) -> Iterator[AtlasRow]:
    for site, name in short_names(sums).items():
        for head, values in enumerate(zip(*sums[site].columns(), strict=True)):
            yield AtlasRow(site, head, f"{name}.{head}", dict(zip(CHANGES, values, strict=True)))
