"""Applies edits to the passes of a watch, and knows which of them changed nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from clearhead.attend.mask import Knocked, Mask
from clearhead.attend.request import Request
from clearhead.errors import WatchError
from clearhead.tap import Site, Spans
from clearhead.watching.active import Active, activated, of_layers, site_of
from clearhead.watching.edits import Ablate, Edit, Freeze, Knockout, Patch, Scale, Steer, numbered, pair
from clearhead.watching.passes import Pass


class Editor:
    """The edits of one watch, in their order.

    Raises WatchError if an edit names a site or head that is not in ``sites`` (site -> number of heads), or takes from
    a record of another model, or one that did not keep what it takes.
    """

    def __init__(self, edits: Sequence[Edit], sites: dict[Site, int], network: object | None = None) -> None:
        self.edits = tuple(edits)
        self._active: dict[Site, list[Active]] = {}
        for each in (each for edit in edits for each in of_layers(edit, sites)):
            site = site_of(each, sites)
            self._active.setdefault(site, []).append(activated(each, site, network))
        # (first watched place, number of places) of each text in each stack
        self._known: dict[tuple[int, str], tuple[int, int]] = {}
        self._passed = set[Site]()

    @property
    def sites(self) -> list[Site]:
        """The sites that are edited."""
        return list(self._active)

    def begin(self, seen: Pass) -> None:
        """Notes the places of a pass."""
        if self._active:
            for row, text in enumerate(seen.rows):
                first = self._known.get((text, seen.stack), (seen.before(row), 0))[0]
                self._known[text, seen.stack] = (min(first, seen.before(row)), seen.places[row])

    def before(self, request: Request, seen: Pass) -> Request:
        """The request with this site's knock-outs in its mask, and with patched queries, keys and values."""
        given = request.mask
        for active in self._here(request.site):
            if isinstance(active.edit, Knockout):
                self._knock(active, replace(request, mask=given), seen)
                request = replace(request, mask=request.mask & Mask(_hides(active.edit, request, seen)))
            elif isinstance(active.edit, Patch) and active.edit.what != "output":
                request = _patched(active, request, seen)
        return request

    def after(self, site: Site, o_BHQD: Tensor, seen: Pass) -> Tensor:
        """The heads' outputs with this site's edits to heads; the tensor itself if there are none."""
        here = [each for each in self._here(site) if each.edit.head is not None and _of_output(each.edit)]
        for number, active in enumerate(here):
            o_BHQD = o_BHQD.clone() if number == 0 else o_BHQD
            _write(active, o_BHQD[:, active.edit.head], seen)
        return o_BHQD

    def part(self, site: Site, x_BTE: Tensor, seen: Pass) -> Tensor:
        """A part's output, or the stream, with this site's edits to the whole."""
        here = [each for each in self._here(site) if each.edit.head is None and _of_output(each.edit)]
        for number, active in enumerate(here):
            x_BTE = x_BTE.clone() if number == 0 else x_BTE
            _write(active, x_BTE, seen)
        return x_BTE

    def _here(self, site: Site) -> list[Active]:
        self._passed.add(site)
        return self._active.get(site, [])

    def _knock(self, active: Active, request: Request, seen: Pass) -> None:
        """Notes in which texts a knock-out hides something that this request's mask shows."""
        edit = active.edit
        assert isinstance(edit, Knockout)
        query, key = pair(edit)
        K, Q = request.k_BGKD.shape[2], request.q_BHQD.shape[2]
        spans = request.mask.spans(len(seen.rows), K)
        heads = torch.arange(request.q_BHQD.shape[1], device=request.q_BHQD.device).view(1, -1, 1, 1)
        if edit.head is not None:
            heads = heads[:, edit.head : edit.head + 1]
        for row, text in active.rows(seen):
            (start, stop), own = spans[row], seen.own(row)
            two = request.site.kind == "cross" or Q > K
            cell = query + seen.spans[row][0] - seen.first
            if not own.start <= cell < own.stop or not 0 <= key < stop - start:
                continue
            k = torch.arange(start, stop if two else min(stop, start + seen.places[row]), device=heads.device)
            b, q = (torch.full((1, 1, 1, 1), n, device=heads.device) for n in (row, cell + K - Q))
            sees_HK = request.mask.visible(b, heads, q, k.view(1, 1, 1, -1)).expand(1, heads.shape[1], 1, len(k))[
                0, :, 0
            ]
            keys = sees_HK.any(0).nonzero().flatten().tolist()
            if key in keys:
                active.reached.add(text)
                active.changed = True
                continue
            sees = f"{len(keys)} of {len(k)} keys, at places {keys[0]} to {keys[-1]}" if keys else "no key"
            active.hidden[text] = (
                f"the mask already hides this key from this query: it sees {sees}; nothing was knocked out; "
                "name a key it sees"
            )

    def check_lengths(self) -> None:
        """Raises WatchError if a text has fewer places than the source of a patch that names none."""
        for active in (each for found in self._active.values() for each in found if each.length and each.at is None):
            for text, places in self._texts(active).items():
                if active.edit.text in (None, text) and places < active.length:
                    raise WatchError(f"{active.edit}: {_unequal(places, active.length, text)}")

    def check_reached(self) -> None:
        """Raises WatchError for an edit that changed nothing where its site was passed.

        Such an edit names a text or a place that was not there, hides a key that its query could not see anyway, or
        patches in what was there, bit for bit. Without the error it would pass for an edit without effect. Also raises
        as ``check_lengths`` does.
        """
        self.check_lengths()
        for active in (each for found in self._active.values() for each in found if each.site in self._passed):
            edit, texts = active.edit, self._texts(active)
            if edit.text is not None and edit.text not in texts:
                held = ", ".join(map(str, texts))
                raise WatchError(f"{edit}: there is no text {edit.text}; the passes held the texts {held}")
            mine = [text for text in texts if edit.text in (None, text)]
            beyond = active.at is not None and max(active.at) >= max((texts[text] for text in mine), default=0)
            if mine and (beyond or not active.reached):
                raise WatchError(f"{edit}: {self._unreached(active, mine[0])}")
            if isinstance(edit, Patch) and not isinstance(edit, Freeze) and not active.changed:
                raise WatchError(
                    f"{edit}: the source has there what was there anyway, bit for bit, so nothing was patched; "
                    "take a source that differs there, or use Freeze"
                )

    def _texts(self, active: Active) -> dict[int, int]:
        """The texts in an edit's stack, and the number of places of each."""
        return {text: self._known[text, stack][1] for text, stack in sorted(self._known) if stack == active.site.stack}

    def _unreached(self, active: Active, text: int) -> str:
        """Why an edit reached no place of a text."""
        if text in active.hidden:
            return active.hidden[text]
        first, places = self._known[text, active.site.stack]
        edit = active.edit
        knocked = isinstance(edit, Knockout)
        done = "knocked out" if knocked else "edited"
        if places <= first:
            return f"no query of the text was watched; nothing was {done}"
        asked = [place for name in (("query", "key") if knocked else ("at",)) for place in numbered(edit, name) or ()]
        if not asked or max(asked) >= places:
            return f"the watched text has places 0 to {places - 1}; nothing was {done}"
        what = "the queries at " if knocked else ""
        return (
            f"only {what}places {first} to {places - 1} were watched, since earlier ones were already in the cache; "
            f"nothing was {done}; name one of these, or start watching with an empty cache"
        )


def _of_output(edit: Edit) -> bool:
    """Whether an edit acts on the output of a head or a part."""
    return not isinstance(edit, Knockout) and not (isinstance(edit, Patch) and edit.what != "output")


def _write(active: Active, x_BTW: Tensor, seen: Pass) -> None:
    """Changes one head's outputs, or a part's, in place."""
    edit = active.edit
    for row, text in active.rows(seen):
        own = seen.own(row)
        first = own.start + seen.first - seen.spans[row][0]  # the text's place at the first of its cells here
        for cells, taken in _cells(active, own, first, text, whole=not isinstance(edit, Patch)):
            active.reached.add(text)
            if isinstance(edit, Scale):
                x_BTW[row, cells] *= edit.factor
            elif isinstance(edit, Steer):
                (vector_E,) = active.new
                _check_width(edit, x_BTW, vector_E)
                x_BTW[row, cells] += edit.factor * vector_E.to(x_BTW)
            elif isinstance(edit, Ablate) and not active.new:
                x_BTW[row, cells] = 0
            else:
                new = active.new[0] if isinstance(edit, Ablate) else active.new[0][taken]
                _put(active, x_BTW[row], cells, new)


def _patched(active: Active, request: Request, seen: Pass) -> Request:
    """The request with queries, keys or values of the source."""
    edit = active.edit
    assert isinstance(edit, Patch)
    queries = edit.what in ("query", "pattern")
    if not queries or edit.what == "pattern":
        request = _ungrouped(request) if edit.head is not None else request
    q_BHQD, k_BGKD, v_BGKD = (x.clone() for x in (request.q_BHQD, request.k_BGKD, request.v_BGKD))
    spans = request.mask.spans(len(seen.rows), k_BGKD.shape[2])
    for row, text in active.rows(seen):
        if queries:
            own = seen.own(row)
            first = own.start + seen.first - seen.spans[row][0]
            _replace(active, q_BHQD[row], own, first, text, active.new[0])
        if edit.what != "query":
            start, stop = spans[row]
            stop = stop if request.site.kind == "cross" else min(stop, start + seen.places[row])
            keys_GKD = v_BGKD if edit.what == "value" else k_BGKD
            _replace(active, keys_GKD[row], slice(start, stop), 0, text, active.new[-1])
    return replace(request, q_BHQD=q_BHQD, k_BGKD=k_BGKD, v_BGKD=v_BGKD)


def _ungrouped(request: Request) -> Request:
    """The request with a key and a value for each query head, so that one head's can change alone."""
    if request.group == 1:
        return request
    k_BHKD, v_BHKD = (x.repeat_interleave(request.group, dim=1) for x in (request.k_BGKD, request.v_BGKD))
    return replace(request, k_BGKD=k_BHKD, v_BGKD=v_BHKD)


def _replace(active: Active, x_HTD: Tensor, own: slice, first: int, text: int, new: Tensor) -> None:
    """Puts the source's vectors into one head's, or every head's, in place."""
    here = x_HTD if active.edit.head is None else x_HTD[active.edit.head]
    for cells, taken in _cells(active, own, first, text, whole=False):
        active.reached.add(text)
        _put(active, here.transpose(0, -2), cells, new.transpose(0, -2)[taken])


def _put(active: Active, x_T: Tensor, cells: slice | list[int], new: Tensor) -> None:
    old = x_T[cells]
    if isinstance(active.edit, Patch):
        _check_width(active.edit, old, new)
        active.changed = active.changed or not torch.equal(old, new.to(old))
    x_T[cells] = new.to(x_T)


def _check_width(edit: Edit, ours: Tensor, theirs: Tensor) -> None:
    if ours.shape[-1] != theirs.shape[-1]:
        raise WatchError(
            f"{edit}: it is {theirs.shape[-1]} numbers wide, and this model {ours.shape[-1]}; they must be of one model"
        )


def _cells(
    active: Active, own: slice, first: int, text: int, *, whole: bool
) -> Iterable[tuple[slice | list[int], slice | list[int]]]:
    """The cells that an edit changes, and the places of its source that go there.

    own: the cells of the text; first: the place of the first of them; whole: without ``at``, take padding too
    """
    count = own.stop - own.start
    if count == 0:
        return
    if active.at is None:
        if active.length and first + count > active.length:
            raise WatchError(f"{active.edit}: {_unequal(first + count, active.length, text)}")
        yield (slice(None) if whole else own), slice(first, first + count)
        return
    pairs = [
        (place - first + own.start, taken)
        for place, taken in zip(active.at, active.source_at or active.at, strict=True)
        if first <= place < first + count
    ]
    if pairs:
        cells, taken = zip(*pairs, strict=True)
        yield list(cells), list(taken)


def _unequal(places: int, length: int, text: int) -> str:
    return (
        f"text {text} has {places} places and the source {length}; both must have the same number, or name the places: "
        "at=, and source_at= where they differ"
    )


def _hides(edit: Knockout, request: Request, seen: Pass) -> tuple[Knocked, ...]:
    """A knock-out as mask parts, with places relative to the start of each row's text, or of its keys."""
    K, Q = request.k_BGKD.shape[2], request.q_BHQD.shape[2]
    if request.site.kind == "cross" or Q > K:
        return _hides_across(edit, request.mask.spans(len(seen.rows), K), seen, K - Q - seen.first)
    starts = tuple(
        start if edit.text in (None, text) else None for text, (start, _) in zip(seen.rows, seen.spans, strict=True)
    )
    if all(start == 0 for start in starts):
        starts = ()
    elif all(start is None for start in starts):
        return ()
    return (Knocked((pair(edit),), edit.head, starts),)


def _hides_across(edit: Knockout, keys: Spans, seen: Pass, ahead: int) -> tuple[Knocked, ...]:
    """A knock-out between two texts, whose places start at cells of their own.

    keys: the cells of each row's keys; ahead: from a query's cell to its place in the mask
    """
    query, key = pair(edit)
    found: dict[int, list[int | None]] = {}  # by the query's place from the start of the keys, that start in each row
    for row, text in enumerate(seen.rows):
        if edit.text in (None, text):
            place = query + seen.spans[row][0] + ahead - keys[row][0]
            found.setdefault(place, [None] * len(seen.rows))[row] = keys[row][0]
    return tuple(Knocked(((place, key),), edit.head, tuple(starts)) for place, starts in found.items())
