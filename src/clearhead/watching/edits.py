"""Interventions as values: printable, hashable, serialisable; given to ``watch`` and applied as the model runs.

An edit names its site by layer, kind and stack. Kinds are attention within the text (``self``) or to another
(``cross``), the ``feed_forward``, and the ``residual`` stream after the layer. The stack (``decoder``, ``encoder``) is
only needed if the model has both. An edit acts on every text of a record unless it names one. Places count from the
start of each text, without padding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Real
from operator import index
from typing import Any, SupportsIndex, cast

from torch import Tensor

from clearhead.attend.mask import Knocked, Mask
from clearhead.attend.request import Request
from clearhead.errors import WatchError, nearest, shown
from clearhead.tap import Site
from clearhead.watching.passes import Call, Pass, Segment


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Multiplies one head's output by ``factor``, or, without ``head``, the whole part's output (or the stream)."""

    layer: int
    head: int | None = None
    factor: float
    kind: str = "self"
    stack: str | None = None
    text: int | None = None

    def __post_init__(self) -> None:
        _numbers(self, "layer", "head", "text")
        if not (isinstance(self.factor, Real) and math.isfinite(self.factor)):
            raise WatchError(f"{self}: factor is {shown(self.factor)}; it must be a finite number")


@dataclass(frozen=True, kw_only=True)
class Ablate:
    """Zeroes one head's output (Michel et al. 2019), or, without ``head``, the whole part's.

    The attention weights in the record stay as computed.
    """

    layer: int
    head: int | None = None
    kind: str = "self"
    stack: str | None = None
    text: int | None = None

    def __post_init__(self) -> None:
        _numbers(self, "layer", "head", "text")


@dataclass(frozen=True, kw_only=True)
class Knockout:
    """Hides one key place from one query place, in every head of the layer or in one (Geva et al. 2023)."""

    layer: int
    query: int
    key: int
    head: int | None = None
    kind: str = "self"
    stack: str | None = None
    text: int | None = None

    def __post_init__(self) -> None:
        _numbers(self, "layer", "query", "key", "head", "text")
        if self.query < 0 or self.key < 0:
            raise WatchError(f"{self}: query is {self.query} and key {self.key}; places count from 0")


Edit = Scale | Ablate | Knockout
EDITS: dict[str, type[Edit]] = {"scale": Scale, "ablate": Ablate, "knockout": Knockout}
OPTIONAL = ("head", "text")  # None: all


def _numbers(edit: Edit, *names: str) -> None:
    for name in names:
        value = getattr(edit, name)
        if value is None and name in OPTIONAL:
            continue
        try:
            index(cast(SupportsIndex, value))
        except TypeError:
            raise WatchError(f"{edit}: {name} is {shown(value)}; it must be a whole number") from None


def to_dict(edit: Edit) -> dict[str, Any]:
    """The edit as plain values, for JSON."""
    return {"edit": type(edit).__name__.lower(), **asdict(edit)}


def from_dict(values: dict[str, Any]) -> Edit:
    """The inverse of ``to_dict``. Raises WatchError for an unknown name or field."""
    fields = dict(values)
    name = str(fields.pop("edit", ""))
    if name not in EDITS:
        raise WatchError(f"edit: there is no {name!r}{nearest(name, EDITS)}")
    try:
        return EDITS[name](**fields)
    except TypeError as error:
        raise WatchError(f"edit {name!r}: {error}") from None


def listed(edits: object) -> tuple[Edit, ...]:
    """One edit or several as a tuple. Raises WatchError for anything else."""
    one = isinstance(edits, Edit) or not isinstance(edits, Iterable)
    found: list[Edit] = []
    for edit in (edits,) if one else cast(Iterable[object], edits):
        if not isinstance(edit, Edit):
            raise WatchError(f"edits: {shown(edit)} was given; an edit is an Ablate, a Scale or a Knockout")
        found.append(edit)
    return tuple(found)


def check(edits: Iterable[Edit], sites: dict[Site, int]) -> None:
    """Raises WatchError if an edit names a site or head that is not in ``sites`` (site -> number of heads)."""
    for edit in edits:
        found = [site for site in sites if _here(edit, site)]
        if not found:
            known = ", ".join(str(site) for site in sites if site.kind == edit.kind) or ", ".join(map(str, sites))
            raise WatchError(
                f"{edit}: the model has no site of layer {edit.layer} and kind {edit.kind!r}; it has {known}"
            )
        if len(found) > 1:
            raise WatchError(f"{edit}: it could mean {' or '.join(map(str, found))}; name the stack")
        heads = sites[found[0]]
        if isinstance(edit, Knockout) and not found[0].attends:
            raise WatchError(f"{edit}: {found[0]} has no keys; a knock-out needs an attention site")
        if edit.head is not None and not 0 <= edit.head < heads:
            raise WatchError(f"{edit}: {found[0]} has {heads} heads, counted from 0")


def check_reached(edits: Sequence[Edit], seen: Mapping[Site, Sequence[Call]]) -> None:
    """Raises WatchError for a knock-out that hid nothing: no text has the place, or the query could not see it anyway.

    Otherwise an edit that changed nothing would look like an edge without effect. ``seen`` has the calls of each site.
    """
    knocked = [edit for edit in edits if isinstance(edit, Knockout)]
    for edit in knocked:
        reasons = [
            _unreached(edit, knocked, calls, text)
            for site, calls in seen.items()
            if _here(edit, site)
            for text in sorted({text for call in calls for text in call.seen.rows})
            if edit.text in (None, text)
        ]
        if reasons and all(reasons):
            raise WatchError(f"{edit}: {reasons[0]}")


def _unreached(edit: Knockout, knocked: Sequence[Knockout], calls: Sequence[Call], text: int) -> str | None:
    """Why the knock-out hid nothing in a text, or None."""
    found = [Segment(call, call.seen.rows.index(text)) for call in calls if text in call.seen.rows]
    found = [each for each in found if each.count]
    if not found:
        return "no query of the text was watched; nothing was knocked out"
    first, places = found[0].first_place, found[-1].keys
    last = found[-1].first_place + found[-1].count - 1
    if edit.query > last or edit.key >= places:
        return f"the watched text has places 0 to {places - 1}; nothing was knocked out"
    if edit.query < first:
        return (
            f"only the queries at places {first} to {last} were watched, since earlier ones were already in the cache; "
            "nothing was knocked out; name one of these, or start watching with an empty cache"
        )
    each = next(each for each in found if edit.query < each.first_place + each.count)
    hidden = {part for one in knocked for part in _hides(one, each.call.seen)}
    given = replace(each.call, mask=Mask(tuple(part for part in each.call.mask.parts if part not in hidden)))
    row = edit.query - each.first_place
    heads = slice(0, each.call.q_BHQD.shape[1]) if edit.head is None else slice(edit.head, edit.head + 1)
    sees_1HQK = Segment(given, each.row).visible(slice(row, row + 1), heads).expand(-1, -1, -1, each.keys)
    keys = [int(key) for key in sees_1HQK.flatten(0, -2).any(0).nonzero()]
    if edit.key in keys:
        return None
    sees = f"it sees {len(keys)} of {places} keys, at places {keys[0]} to {keys[-1]}" if keys else "it sees no key"
    return f"the mask already hides this key from this query: {sees}; nothing was knocked out; name a key it sees"


def before(edits: Iterable[Edit], request: Request, seen: Pass) -> Request:
    """The request with this site's knock-outs added to its mask."""
    for edit in edits:
        if isinstance(edit, Knockout) and _here(edit, request.site):
            request = replace(request, mask=request.mask & Mask(_hides(edit, seen)))
    return request


def after(edits: Iterable[Edit], site: Site, o_BHQD: Tensor, seen: Pass) -> Tensor:
    """The heads' outputs with this site's edits to heads; the tensor itself if there are none."""
    here = [e for e in edits if not isinstance(e, Knockout) and e.head is not None and _here(e, site)]
    if not here:
        return o_BHQD
    factor_BH = o_BHQD.new_ones(o_BHQD.shape[:2])
    for edit in here:
        factor_BH[_rows(edit, seen), edit.head] *= _factor(edit)
    return o_BHQD * factor_BH[:, :, None, None]


def part(edits: Iterable[Edit], site: Site, x_BTE: Tensor, seen: Pass) -> Tensor:
    """A part's output, or the stream, with this site's edits to the whole."""
    for edit in edits:
        if not isinstance(edit, Knockout) and edit.head is None and _here(edit, site):
            factor_B = x_BTE.new_ones(len(x_BTE))
            factor_B[_rows(edit, seen)] = _factor(edit)
            x_BTE = x_BTE * factor_B[:, None, None]
    return x_BTE


def _factor(edit: Scale | Ablate) -> float:
    return edit.factor if isinstance(edit, Scale) else 0.0


def _rows(edit: Edit, seen: Pass) -> list[int]:
    """The batch rows an edit acts on."""
    return [row for row, text in enumerate(seen.rows) if edit.text in (None, text)]


def _hides(edit: Knockout, seen: Pass) -> tuple[Knocked, ...]:
    """A knock-out as mask parts, with places relative to the start of each row's text."""
    starts = tuple(
        start if edit.text in (None, text) else None for text, (start, _) in zip(seen.rows, seen.spans, strict=True)
    )
    if all(start == 0 for start in starts):
        starts = ()
    elif all(start is None for start in starts):
        return ()
    return (Knocked(((edit.query, edit.key),), edit.head, starts),)


def _here(edit: Edit, site: Site) -> bool:
    return (edit.layer, edit.kind) == (site.layer, site.kind) and edit.stack in (None, site.stack)
