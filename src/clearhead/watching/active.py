"""Edits made ready for a model: their sites found, and what they take from their sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from clearhead.attend.mask import Knocked
from clearhead.errors import WatchError
from clearhead.tap import Site
from clearhead.watching.edits import Ablate, Edit, Knockout, Patch, Steer, layers, numbered, pair
from clearhead.watching.notation import runs
from clearhead.watching.passes import Pass
from clearhead.watching.text_record import TextRecord


@dataclass(eq=False)
class Active:
    """An edit at work at its site.

    new: the tensors it puts there. From a source: o_TD or x_TE of one head or a whole part, q_HTD, k_GTD, v_GTD, or
        (q, k) of a pattern. A mean: D or E numbers. A direction: E numbers. Empty for other edits
    length: number of places in the source; 0 without one
    at, source_at: places by number; None for all
    """

    edit: Edit
    site: Site
    new: tuple[Tensor, ...] = ()
    length: int = 0
    at: tuple[int, ...] | None = None
    source_at: tuple[int, ...] | None = None
    reached: set[int] = field(default_factory=set[int])  # texts in which it acted
    changed: bool = False
    hidden: dict[int, str] = field(default_factory=dict[int, str])  # why a knock-out hid nothing, by text

    def rows(self, seen: Pass) -> Iterator[tuple[int, int]]:
        """(batch row, text) of the texts it acts on."""
        return ((row, text) for row, text in enumerate(seen.rows) if self.edit.text in (None, text))


def of_layers(edit: Edit, sites: Iterable[Site]) -> tuple[Edit, ...]:
    """Splits an edit of several layers into one per layer. Raises WatchError naming the layers the model lacks."""
    asked = layers(edit)
    if asked is not None and len(asked) == 1:
        return (edit,)
    every = list(sites)
    known = {site.layer for site in every if site.kind == edit.kind and edit.stack in (None, site.stack)}
    missing = [layer for layer in asked or () if layer not in known]
    if missing or not known:
        raise WatchError(
            f"{edit}: the model has no site of layer {runs(missing or None)} and kind {edit.kind!r}; it has "
            f"{_known(edit, every)}"
        )
    return tuple(replace(edit, layer=layer) for layer in sorted(known if asked is None else asked))


def _known(edit: Edit, sites: Sequence[Site]) -> str:
    return ", ".join(str(site) for site in sites if site.kind == edit.kind) or ", ".join(map(str, sites))


def site_of(edit: Edit, sites: dict[Site, int]) -> Site:
    """The site of an edit of one layer. Raises WatchError unless exactly one site matches and it has that head."""
    found = [
        site
        for site in sites
        if (edit.layer, edit.kind) == (site.layer, site.kind) and edit.stack in (None, site.stack)
    ]
    if not found:
        raise WatchError(
            f"{edit}: the model has no site of layer {edit.layer} and kind {edit.kind!r}; it has "
            f"{_known(edit, list(sites))}"
        )
    if len(found) > 1:
        raise WatchError(f"{edit}: it could mean {' or '.join(map(str, found))}; name the stack")
    heads = sites[found[0]]
    if isinstance(edit, Knockout) and not found[0].attends:
        raise WatchError(f"{edit}: {found[0]} has no keys; a knock-out needs an attention site")
    if edit.head is not None and not 0 <= edit.head < heads:
        raise WatchError(f"{edit}: {found[0]} has {heads} heads, counted from 0")
    return found[0]


def activated(edit: Edit, site: Site, network: object | None) -> Active:
    """The edit with the tensors it puts at its site. Raises WatchError for a source that does not fit."""
    if isinstance(edit, Knockout):
        pair(edit)
        return Active(edit, site)
    at = numbered(edit, "at")
    if isinstance(edit, Steer):
        return Active(edit, site, (torch.tensor(edit.direction.vector),), at=at)
    if isinstance(edit, Ablate) and edit.mean is not None:
        texts = edit.mean.each()
        for each in texts:
            _check_source(edit, each, network)
        outputs = torch.cat([_output(each, site, edit.head) for each in texts], dim=-2)
        return Active(edit, site, (outputs.mean(dim=-2),), at=at)
    if not isinstance(edit, Patch):
        return Active(edit, site, at=at)
    source = edit.source
    _check_source(edit, source, network)
    source_at = at if edit.source_at is None else numbered(edit, "source_at")
    try:
        new, length = _taken(edit, site)
    except WatchError as error:
        raise WatchError(f"{edit}: source: {error}") from None
    if max(source_at or (0,)) >= length:
        raise WatchError(f"{edit}: place {max(source_at or ())} of the source; it has places 0 to {length - 1}")
    return Active(edit, site, new, length, at, source_at)


def _taken(edit: Patch, site: Site) -> tuple[tuple[Tensor, ...], int]:
    """The tensors that a patch takes from its source, and the number of places there."""
    source, head = edit.source, edit.head
    if edit.what == "output":
        new = _output(source, site, head)
        return (new,), new.shape[-2]
    if edit.what == "value":
        new = source.values(site)
        return (_of_head(new, head, source.heads(site)),), new.shape[-2]
    q_HQD, k_GKD = source.queries(site), source.keys(site)
    if edit.what == "query":
        return (_of_head(q_HQD, head, len(q_HQD)),), q_HQD.shape[1]
    if edit.what == "key":
        return (_of_head(k_GKD, head, source.heads(site)),), k_GKD.shape[1]
    if any(isinstance(part, Knocked) for call in source.record.calls()[site] for part in call.mask.parts):
        raise WatchError("keys were knocked out there, so its pattern is not that of its queries and keys alone")
    new = _of_head(q_HQD, head, len(q_HQD)), _of_head(k_GKD, head, source.heads(site))
    return new, k_GKD.shape[1]


def _output(source: TextRecord, site: Site, head: int | None) -> Tensor:
    return source.output(site) if head is None else source.head_outputs(site)[head]


def _of_head(x_GTD: Tensor, head: int | None, heads: int) -> Tensor:
    """One query head's part, which other heads may share (grouped keys and values); all of x without a head."""
    return x_GTD if head is None else x_GTD[head * len(x_GTD) // heads]


def _check_source(edit: Edit, source: TextRecord, network: object | None) -> None:
    """Raises WatchError if the source is known to be of another model, or if its first places were not watched."""
    read = next((site for site in source.seen() if site.kind == "self"), None)
    rows, keys = (0, 0) if read is None else source.map(read, 0).shape
    if rows < keys:
        raise WatchError(
            f"{edit}: the source was watched from place {keys - rows} on, since earlier places were already in the "
            "cache; watch the whole text"
        )
    theirs = source.record.network
    if theirs is None or network is None or theirs is network or _equal(theirs, network):
        return
    raise WatchError(f"{edit}: the source is a record of another model; run the text through this one")


def _equal(one: object, other: object) -> bool:
    """True for networks with the same config and weights, such as a folder loaded twice."""
    if not (isinstance(one, nn.Module) and isinstance(other, nn.Module)):
        return False
    if getattr(one, "config", None) != getattr(other, "config", None):
        return False
    ours, theirs = dict(one.named_parameters()), dict(other.named_parameters())
    return ours.keys() == theirs.keys() and all(
        weight.shape == theirs[name].shape
        and weight.dtype == theirs[name].dtype
        and weight.device == theirs[name].device
        and torch.equal(weight, theirs[name])
        for name, weight in ours.items()
    )
