"""Interventions as values: printable, hashable, serialisable; given to ``watch`` and applied at the door."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Real
from operator import index
from typing import Any

import torch
from torch import Tensor

from clearhead.attend.mask import Mask, knockout
from clearhead.attend.request import Request
from clearhead.errors import WatchError, nearest, shown
from clearhead.tap import Site
from clearhead.watching.map import Call


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Multiplies what one head gives to the residual stream by ``factor``."""

    layer: int
    head: int
    factor: float
    kind: str = "self"

    def __post_init__(self) -> None:
        _numbers(self, "layer", "head")
        if not (isinstance(self.factor, Real) and math.isfinite(self.factor)):
            raise WatchError(f"{self}: factor is {shown(self.factor)}; it must be a finite number")


@dataclass(frozen=True, kw_only=True)
class Ablate:
    """Zeroes what one head gives (Michel et al. 2019). The weights in the record stay as they were computed."""

    layer: int
    head: int
    kind: str = "self"

    def __post_init__(self) -> None:
        _numbers(self, "layer", "head")


@dataclass(frozen=True, kw_only=True)
class Knockout:
    """Hides one key place from one query place, in every head of the layer or in one (Geva et al. 2023)."""

    layer: int
    query: int
    key: int
    head: int | None = None
    kind: str = "self"

    def __post_init__(self) -> None:
        _numbers(self, "layer", "query", "key", *(() if self.head is None else ("head",)))


def _numbers(edit: Edit, *names: str) -> None:
    for name in names:
        try:
            index(getattr(edit, name))
        except TypeError:
            raise WatchError(f"{edit}: {name} is {shown(getattr(edit, name))}; it must be a whole number") from None


Edit = Scale | Ablate | Knockout
KINDS: dict[str, type[Edit]] = {"scale": Scale, "ablate": Ablate, "knockout": Knockout}


def to_dict(edit: Edit) -> dict[str, Any]:
    """The edit as plain values, for JSON."""
    return {"edit": type(edit).__name__.lower(), **asdict(edit)}


def from_dict(values: dict[str, Any]) -> Edit:
    """The edit that ``to_dict`` wrote; raises WatchError for an unknown kind or field."""
    fields = dict(values)
    kind = str(fields.pop("edit", ""))
    if kind not in KINDS:
        raise WatchError(f"edit: there is no kind {kind!r}{nearest(kind, KINDS)}")
    try:
        return KINDS[kind](**fields)
    except TypeError as error:
        raise WatchError(f"edit {kind!r}: {error}") from None


def check(edits: Iterable[Edit], sites: dict[Site, int]) -> None:
    """Raises WatchError when an edit names a layer or head that the model's sites (site -> heads) do not have."""
    for edit in edits:
        heads = next((n for site, n in sites.items() if (site.layer, site.kind) == (edit.layer, edit.kind)), None)
        if heads is None:
            known = ", ".join(str(site) for site in sites)
            raise WatchError(f"{edit}: the model has no {edit.kind} attention in layer {edit.layer}; it has {known}")
        if edit.head is not None and not 0 <= edit.head < heads:
            raise WatchError(f"{edit}: layer {edit.layer} has {heads} heads, counted from 0")


def check_reached(edits: Sequence[Edit], seen: Mapping[Site, Sequence[Call]]) -> None:
    """Raises WatchError for a knock-out that hid nothing in any text or head: of what no pass had, or of what the
    query does not see in any case. ``seen`` holds the passes of every site.

    An edit that changed nothing would be read as an edge without effect.
    """
    knocked = [edit for edit in edits if isinstance(edit, Knockout)]
    for edit in knocked:
        reasons = [_unreached(edit, knocked, calls) for site, calls in seen.items() if _here(edit, site)]
        if reasons and all(reasons):
            raise WatchError(f"{edit}: {reasons[0]}")


def _unreached(edit: Knockout, knocked: Sequence[Knockout], calls: Sequence[Call]) -> str | None:
    """Why the knock-out hid nothing in these passes, or None."""
    first, places = calls[0].first_place, calls[-1].keys
    if max(edit.query, edit.key) >= places:
        return f"the text that was watched has the places 0 to {places - 1}; nothing was knocked out"
    if edit.query < first:
        return (
            f"the watch saw the queries at places {first} to {places - 1}, those before were in the cache; "
            "nothing was knocked out; name one of these, or begin the watch with an empty cache"
        )
    call = next(call for call in calls if edit.query < call.keys)
    hidden = [part for one in knocked for part in _hides(one).parts]
    given = Mask(tuple(part for part in call.mask.parts if part not in hidden))
    row, (batch, heads) = edit.query - call.first_place, call.q_BHQD.shape[:2]
    sees_BHQK = given.tile(
        slice(row, row + 1),
        batch=batch,
        heads=heads,
        queries=call.queries,
        keys=call.keys,
        device=call.q_BHQD.device,
    ).expand(-1, heads, -1, -1)
    sees_K = (sees_BHQK if edit.head is None else sees_BHQK[:, edit.head]).flatten(0, -2).any(0)
    keys = [int(key) for key in sees_K.nonzero()]
    if edit.key in keys:
        return None
    sees = f"it sees {len(keys)} of {places} keys, at places {keys[0]} to {keys[-1]}" if keys else "it sees no key"
    return f"the mask hides this key from this query in any case: {sees}; nothing was knocked out; name a key it sees"


def before(edits: Iterable[Edit], request: Request) -> Request:
    """The request with this site's knock-outs joined to its mask."""
    for edit in edits:
        if isinstance(edit, Knockout) and _here(edit, request.site):
            request = replace(request, mask=request.mask & _hides(edit))
    return request


def after(edits: Iterable[Edit], site: Site, o_BHQD: Tensor) -> Tensor:
    """The heads' outputs with this site's ablations and scalings; the given tensor when there are none."""
    here = [edit for edit in edits if not isinstance(edit, Knockout) and _here(edit, site)]
    if not here:
        return o_BHQD
    factor_H = torch.ones(o_BHQD.shape[1], dtype=o_BHQD.dtype, device=o_BHQD.device)
    for edit in here:
        factor_H[edit.head] *= edit.factor if isinstance(edit, Scale) else 0.0
    return o_BHQD * factor_H.view(1, -1, 1, 1)


def _hides(edit: Knockout) -> Mask:
    return knockout([(edit.query, edit.key)], edit.head)


def _here(edit: Edit, site: Site) -> bool:
    return (edit.layer, edit.kind) == (site.layer, site.kind)
