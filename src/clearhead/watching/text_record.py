"""The part of a record that belongs to one text, with the text's tokens."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import index
from pathlib import Path
from typing import Any, Protocol, SupportsIndex, cast

import torch
from torch import Tensor

from clearhead.errors import OptionError, WatchError, nearest, shown
from clearhead.notebook import Displayed
from clearhead.tap import Site, own_stack
from clearhead.watching.atlas import COLUMNS, Atlas, atlas
from clearhead.watching.cells import Agreement, Edge, Edges
from clearhead.watching.engine import shape, sweep
from clearhead.watching.map import BLOCK, AttentionMap
from clearhead.watching.measures import Given, named
from clearhead.watching.passes import Call, Segment, segments
from clearhead.watching.reducers import Reducer
from clearhead.watching.rollout import flow, rollout
from clearhead.watching.sizes import sizes
from clearhead.watching.tokenized import TokenizedText
from clearhead.watching.variation import total_variation

# What a record can keep besides queries and keys, and the name it files each under.
KEPT = {"heads": "heads", "values": "values", "parts": "part", "residual": "part"}

BY_GRADIENT = "use clearhead look --by gradient, or clearhead.attribution in Python"


def kept_names(keep: object) -> list[str]:
    """The names in ``keep``, as one string or several. Raises OptionError for anything but names in KEPT."""
    names = keep.split() if isinstance(keep, str) else keep
    if not isinstance(names, Collection) or not all(isinstance(name, str) for name in cast(Collection[object], names)):
        raise OptionError(f"watch: keep is {shown(keep)}; it must be names of what to keep: {', '.join(KEPT)}")
    found = list(cast(Collection[str], names))
    for name in found:
        if name not in KEPT:
            raise OptionError(f"watch: there is no {name!r} to keep{nearest(name, KEPT)}")
    return found


class WholeRecord(Protocol):
    """What a TextRecord needs from the whole record."""

    sites: dict[Site, int]
    tokenized: dict[tuple[int, str], TokenizedText]
    model: str | None
    factors: dict[Site, Tensor]

    @property
    def network(self) -> object | None: ...
    def calls(self) -> Mapping[Site, Sequence[Call]]: ...
    def kept(self, site: Site, what: str, text: int) -> list[Tensor]: ...
    def nbytes(self) -> int: ...
    def save(self, path: str | Path, texts: Sequence[TextRecord]) -> None: ...


class TextRecord(Displayed):
    """One text of a record. Places count from the start of the text, without padding.

    ``record[layer, head]`` is an attention map, ``record[layer, :]`` all maps of a layer. Layers and heads count from
    0, negative ones from the end. Where an encoder reads one text and a decoder writes another, ``tokens``, ``ids``,
    ``pieces`` and ``text`` are the decoder's, and so are the maps, from its queries to its own keys; ``of("encoder")``
    is the part with the encoder's queries, ``of("cross")`` that with the decoder's queries and the encoder's keys.
    """

    def __init__(self, record: WholeRecord, number: int, stack: str | None = None, kind: str | None = None) -> None:
        self.record, self.number = record, number
        self._every: dict[Site, list[Segment]] = {}
        for site, calls in record.calls().items():
            if found := list(segments(calls, number)):
                self._every[site] = found
        self._shapes = {site: shape(found) for site, found in self._every.items()}
        self._segments = {
            site: found
            for site, found in self._every.items()
            if stack in (None, site.stack) and kind in (None, site.kind)
        }
        named = [each for text, each in record.tokenized if text == number]
        self.stack = stack or own_stack([*(site.stack for site in self._every), *named])
        own = self.tokenized(self.stack)
        self.text, self.tokens, self.ids, self.pieces = own.text, own.tokens, own.ids, own.pieces

    def __repr__(self) -> str:
        return f"TextRecord({len(self.tokens)} tokens, {sum(1 for _ in self)} heads)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextRecord) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[int, int, tuple[Site, ...]]:
        return id(self.record), self.number, tuple(self._segments)

    def only(self) -> TextRecord:
        """Itself, like ``Record.only``."""
        return self

    def each(self) -> list[TextRecord]:
        """Itself in a list, like ``Record.each``."""
        return [self]

    @property
    def model(self) -> str | None:
        """The model's name, for headings."""
        return self.record.model

    def of(self, part: str) -> TextRecord:
        """The part with the queries of one stack, ``encoder`` or ``decoder``, or with ``cross`` attention alone.

        Raises WatchError if there is none.
        """
        stacks = sorted({site.stack for site in self._every})
        kinds = ["cross"] if any(site.kind == "cross" for site in self._every) else []
        if part not in (*stacks, *kinds):
            raise WatchError(f"record: it has no part {part!r}; there is {', '.join([*stacks, *kinds])}")
        return TextRecord(self.record, self.number, *((None, part) if part in kinds else (part, None)))

    def tokenized(self, stack: str) -> TokenizedText:
        """The text that a stack reads or writes; its tokens are numbers if they were not set.

        Raises WatchError if tokens were set, but not one for each place.
        """
        known, places = self.record.tokenized.get((self.number, stack), TokenizedText()), self._places(stack)
        if places is None:  # a batch row with only padding, or a model without attention
            return known
        tokens = known.tokens or [str(place) for place in range(places)]
        if len(tokens) != places:
            raise WatchError(f"record: {len(tokens)} tokens were set for {places} places; set one per place")
        return replace(known, tokens=tokens)

    def _places(self, stack: str) -> int | None:
        """Number of places of a stack's text: from its self-attention, or else from its queries or its keys."""
        shapes = self._shapes
        own = [keys for site, (_, keys) in shapes.items() if site.stack == site.reads == stack]
        queries = [count for site, (count, _) in shapes.items() if site.stack == stack]
        keys = [count for site, (_, count) in shapes.items() if site.reads == stack]
        return max(own or queries or keys, default=None)

    def first_place(self, site: Site) -> int:
        """The place of query row 0 at a site: 0 unless the watch began in the middle of a cached text."""
        return len(self.tokenized(site.stack).tokens) - shape(self.segments(site))[0]

    def seen(self) -> list[Site]:
        """The watched sites, in the order of the pass."""
        return list(self._segments)

    def __iter__(self) -> Iterator[tuple[Site, int]]:
        """Every watched (site, head)."""
        return ((site, head) for site in self._segments for head in range(self.heads(site)))

    def heads(self, site: Site) -> int:
        """Number of query heads at a watched site."""
        return self.segments(site)[0].call.q_BHQD.shape[1]

    def backends(self) -> dict[Site, set[str]]:
        """Which kernels ran at each site."""
        return {site: {each.call.backend for each in found} for site, found in self._segments.items()}

    def save(self, path: str | Path) -> None:
        """Saves this text, as ``Record.save`` does all."""
        self.record.save(path, [self])

    def nbytes(self) -> int:
        """Bytes the whole record keeps, as ``Record.nbytes``."""
        return self.record.nbytes()

    def map(self, site: Site, head: SupportsIndex) -> AttentionMap:
        """The attention map (Q, K) of one head at one site."""
        segments = self.segments(site)
        head = _within(head, self.heads(site), f"{site}: head")
        return AttentionMap(segments, head=head, texts=self.tokenized)

    def _check_attended(self) -> None:
        if not self._segments:
            raise WatchError(f"record: nothing attended, so there are no maps; {BY_GRADIENT}")

    def segments(self, site: Site) -> list[Segment]:
        """The text's queries and keys in each call of a watched site, which the engine sweeps."""
        _check_site(site)
        if site not in self._segments:
            raise WatchError(f"record: nothing was seen at {site}; it holds {', '.join(map(str, self._segments))}")
        return self._segments[site]

    def __getitem__(self, place: Any) -> AttentionMap | list[AttentionMap]:
        """The map at a layer and a head; a list of maps if either is a slice."""
        if not (isinstance(place, tuple) and len(cast(tuple[object, ...], place)) == 2):
            raise WatchError(f"record: {place!r} was asked for; name a map by two numbers, record[layer, head]")
        layer, head = cast(tuple[Any, Any], place)
        sites = self._at(layer)
        found = [
            self.map(site, n)
            for site in sites
            for n in (range(self.heads(site))[head] if isinstance(head, slice) else (head,))
        ]
        return found if isinstance(layer, slice) or isinstance(head, slice) else found[0]

    def _at(self, layer: Any) -> list[Site]:
        """The sites at a layer or a slice of layers. Raises WatchError unless each layer has one."""
        self._check_attended()
        layers = sorted({site.layer for site in self._segments})
        asked = layers[layer] if isinstance(layer, slice) else [_layer(layer, layers)]
        sites: list[Site] = []
        for each in asked:
            every = [site for site in self._segments if site.layer == each]
            if not every:
                raise WatchError(
                    f"record: no attention in layer {each}; the layers that have it are {', '.join(map(str, layers))}"
                )
            own = [site for site in every if (site.stack, site.kind) == (self.stack, "self")]
            found = own if len(every) > 1 else every
            if len(found) != 1:
                held = ", ".join(str(site) for site in self._segments)
                raise WatchError(
                    f"record: no attention of the {self.stack} to itself in layer {each}; it holds {held}; take a part "
                    'of it, such as record.of("encoder") or record.of("cross"), or record.map(site, head)'
                )
            sites += found
        return sites

    def measure(self, *names: str, sites: Sequence[Site] | None = None) -> dict[Site, dict[str, Tensor]]:
        """Measures of all heads, (H, Q) each, at all sites or some; one sweep per site computes them all.

        names: from ``watching.measures.NAMES``; ``received`` is (H, K)
        Raises WatchError for an unknown name or site, or a measure that has no meaning at a site.
        """
        found: dict[Site, dict[str, Tensor]] = {}
        for site in self._segments if sites is None else sites:
            given = Given(self.tokenized(site.reads).ids, partial(self.sizes, site))
            measures = [named(name, given) for name in names]
            found[site] = dict(zip(names, self.sweep(site, *measures), strict=True))
        return found

    def atlas(
        self, progress: Callable[[int, int], None] | None = None, columns: Collection[str] = tuple(COLUMNS)
    ) -> Atlas:
        """Every head by every measure, or some, as a table (``atlas.py``). ``progress`` is called with (sites done,
        sites)."""
        return atlas(self, progress, columns)

    def rollout(self, place: int = -1) -> Tensor:
        """r_LK: the share of each token (row 0), or of each place's state before layer l (row l), in what a place holds
        after the last layer (``rollout.rollout``); negative places count from the end."""
        return rollout(self, place + len(self.tokens) if place < 0 else place)

    def flow(self, place: int = -1) -> Tensor:
        """f_K: the most attention that can flow from each token to a place (``rollout.flow``), in short texts."""
        return flow(self, place + len(self.tokens) if place < 0 else place)

    def edges(self, site: Site, n: int = 10, *, moved: bool = False) -> list[list[Edge]]:
        """The ``n`` largest weights of each head's whole map at a site, each with its query and key place.

        moved: by weight times the norm of the projected value (Kobayashi et al. 2020), which takes kept values
        """
        if n < 1:
            raise WatchError(f"record: the {n} largest edges were asked for; ask for at least 1")
        edges = Edges(n, self.sizes(site) if moved else None)
        self.sweep(site, edges)
        return edges.found

    def agreement(self, site: Site) -> Tensor:
        """agreement_HH: the cosine of every two heads' maps at a site (``cells.Agreement``)."""
        return self.sweep(site, Agreement())[0]

    def variation(self, other: TextRecord, site: Site) -> Tensor:
        """d_HQ: how far each row of weights is from that of another record of as many tokens, from 0 to 1
        (``variation.total_variation``)."""
        if other.heads(site) != self.heads(site):
            raise WatchError(f"{site}: {self.heads(site)} heads here and {other.heads(site)} there; compare equal ones")
        return total_variation(self.segments(site), other.segments(site), range(self.heads(site)))

    def sweep(
        self, site: Site, *measures: Reducer, heads: range | None = None, rows: slice | None = None
    ) -> list[Tensor]:
        """Each measure's result at a site, heads first, from one sweep over all heads and rows, or some."""
        return sweep(self.segments(site), range(self.heads(site)) if heads is None else heads, measures, rows=rows)

    def sizes(self, site: Site) -> Tensor:
        """sizes_HK: the norm of each key's value, projected by its head to the residual stream, ||v_j W_O||.

        A weight times the size is how much the edge moves (Kobayashi et al. 2020, eq. 7); norms of the model after
        the projection are left out. Raises WatchError unless values were kept, ``watch(model, keep="values")``, and the
        model says how it projects them.
        """
        v_GKD = self._kept(site, "values")
        if site not in self.record.factors:
            raise WatchError(f"record: the model does not say how it projects the values at {site}; they have no size")
        keys = self.map(site, 0).shape[1]
        if v_GKD.shape[1] != keys:
            raise WatchError(
                f"{site}: values of only {v_GKD.shape[1]} of {keys} places were kept; watch a text from its first place"
            )
        return sizes(v_GKD, self.record.factors[site])

    def has_sizes(self, site: Site) -> bool:
        """Whether ``sizes`` has an answer."""
        kept = self.record.kept(site, "values", self.number)
        return (
            bool(kept) and site in self.record.factors and sum(v.shape[1] for v in kept) == self.map(site, 0).shape[1]
        )

    def output(self, site: Site) -> Tensor:
        """x_TE: a part's output at ``site``, or the residual stream there. Raises WatchError if it was not kept."""
        _check_site(site)
        return self._kept(site, "residual" if site.kind in ("residual", "embedding") else "parts")

    def head_outputs(self, site: Site) -> Tensor:
        """o_HTD: each head's output at ``site``, before the output projection. Raises WatchError if it was not kept."""
        return self._kept(site, "heads")

    def values(self, site: Site) -> Tensor:
        """v_GKD: the values at ``site``. Raises WatchError if they were not kept."""
        return self._kept(site, "values")

    def queries(self, site: Site) -> Tensor:
        """q_HQD: the queries at ``site``, positions applied."""
        return torch.cat([each.call.q_BHQD[each.row, :, each.queries] for each in self.segments(site)], dim=1)

    def keys(self, site: Site) -> Tensor:
        """k_GKD: the keys at ``site``, positions applied."""
        last = self.segments(site)[-1]
        k_GKD = last.call.k_BGKD[last.row, :, last.start : last.start + last.keys]
        return k_GKD.clone()  # a view of a tensor of inference mode could not be multiplied with trained weights

    def _kept(self, site: Site, name: str) -> Tensor:
        _check_site(site)
        found = self.record.kept(site, KEPT[name], self.number)
        if not found and site not in self.record.sites:
            raise WatchError(f"record: the model has no {site}; it has {', '.join(map(str, self.record.sites))}")
        if not found:
            raise WatchError(f"record: nothing was kept at {site}; ask for it, watch(model, keep={name!r})")
        return torch.cat(found, dim=-2)

    def visible(self, site: Site, rows: slice) -> Tensor:
        """Which keys the query rows can see: bool (heads, rows, K), or (1, rows, K) if all heads see the same."""
        K, heads = self.map(site, 0).shape[1], self.heads(site)
        tiles: list[Tensor] = []
        start = 0
        for each in self._segments[site]:
            first, last = max(rows.start, start), min(rows.stop, start + each.count)
            if first < last:
                every = slice(0, heads if each.call.mask.reads("H") else 1)
                tile_1HQK = each.visible(slice(first - start, last - start), every)
                tile_HQK = tile_1HQK[0].expand(-1, last - first, each.keys).cpu()
                tiles.append(torch.nn.functional.pad(tile_HQK, (0, K - each.keys)))
            start += each.count
        most = max(tile.shape[0] for tile in tiles)
        return torch.cat([tile.expand(most, -1, -1) for tile in tiles], dim=1)

    def visible_blocks(self, site: Site) -> Iterator[tuple[slice, Tensor]]:
        """(query rows, their ``visible``), a block of rows at a time."""
        Q, K = self.map(site, 0).shape
        step = max(1, BLOCK // K)
        for start in range(0, Q, step):
            rows = slice(start, min(start + step, Q))
            yield rows, self.visible(site, rows)

    def mask_key(self, site: Site) -> Hashable:
        """Equal for sites that hide the same keys, so a result computed for one can be reused for the others."""
        return tuple((each.call.mask.parts, each.queries.start, each.count, each.keys) for each in self._segments[site])


def _check_site(site: object) -> None:
    if not isinstance(site, Site):
        raise WatchError(
            f"record: {shown(site)} was given; it takes a site: one of record.seen(), or clearhead.Site(3), "
            'clearhead.Site(3, "residual") for layer 3'
        )


def _within(number: SupportsIndex, size: int, what: str) -> int:
    place = _number(number, what)
    if not -size <= place < size:
        raise WatchError(f"record: {what} {place} was asked for; there are {size}, counted from 0")
    return place % size


def _layer(asked: SupportsIndex, layers: Sequence[int]) -> int:
    """A layer by its number; negative numbers count from the last watched layer."""
    number = _number(asked, "layer")
    return layers[number] if -len(layers) <= number < 0 else number


def _number(asked: SupportsIndex, what: str) -> int:
    try:
        return index(asked)
    except TypeError:
        raise WatchError(f"record: {what} {asked!r} was asked for; it must be a whole number") from None
