"""Watching: what the door keeps while somebody looks, and where to find it afterwards."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from clearhead.attend.mask import Mask
from clearhead.attend.request import Request
from clearhead.errors import WatchError
from clearhead.tap import Site, watched_by
from clearhead.watching import edits as editing
from clearhead.watching.edits import Edit
from clearhead.watching.map import AttentionMap, Call


class Watchable(Protocol):
    """A model that can tell where it attends."""

    def sites(self) -> dict[Site, int]:
        """Every attention site with its number of query heads."""
        ...


class Record:
    """References to the queries, keys, masks and score rules of the watched passes; no weights.

    ``record[layer, head]`` is an attention map. ``tokens`` are the labels of the places, set by who knows the text.
    """

    def __init__(self, sites: dict[Site, int]) -> None:
        self.sites = sites
        self.tokens: list[str] = []
        self._calls: dict[Site, list[Call]] = {}

    def __repr__(self) -> str:
        seen = f"{sum(1 for _ in self)} heads, {self.nbytes() / 1e6:.1f} MB" if self._calls else "nothing seen"
        return f"Record({seen})"

    def keep(self, request: Request, backend: str) -> None:
        """Called by the door. A second call at a site must go on where the first ended (a key-value cache)."""
        heads = request.q_BHQD.shape[1]
        q_BHQD, k_BGKD = _references(request)
        if self.sites.get(request.site) != heads:
            raise WatchError(
                f"{request.site}: a pass with {heads} heads here was made under a watch on a model that has "
                f"{self.sites.get(request.site, 'no attention')} here; inside the block, call only the watched model"
            )
        call = Call(
            q_BHQD,
            k_BGKD,
            Mask(request.mask.parts),  # without the kernel's array, which the request's mask holds on to
            request.score.copied(),
            request.site,
            backend,
        )
        calls = self._calls.setdefault(request.site, [])
        if calls and (call.first_place != calls[-1].keys or call.q_BHQD.shape[0] != calls[-1].q_BHQD.shape[0]):
            raise WatchError(
                f"{request.site}: a second pass was made under one watch ({call.queries} queries over {call.keys} keys "
                f"after {calls[-1].keys} keys); use one `with watch(...)` for each pass, or continue with a cache"
            )
        calls.append(call)

    def __getitem__(self, place: tuple[int, int]) -> AttentionMap:
        """The map of ``record[layer, head]`` for the first text of the batch; see ``map`` for the others."""
        if not (isinstance(place, tuple) and len(place) == 2):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise WatchError(f"record: {place!r} was asked for; name a map by two numbers, record[layer, head]")
        layer, head = place
        found = [site for site in self._calls if site.layer == layer]
        if len(found) != 1:
            held = ", ".join(str(site) for site in self._calls) or "nothing"
            fault = "more than one attention" if found else "no attention"
            raise WatchError(f"record: {fault} in layer {layer}; it holds {held}; name one with record.map(site, head)")
        return self.map(found[0], head)

    def map(self, site: Site, head: int, text: int = 0) -> AttentionMap:
        """The attention map (Q, K) of one head at one site, for one text of the batch."""
        if site not in self._calls:
            raise WatchError(f"record: nothing was seen at {site}; it holds {', '.join(map(str, self._calls))}")
        calls = self._calls[site]
        batch, heads = calls[0].q_BHQD.shape[:2]
        if not 0 <= head < heads:
            raise WatchError(f"record: {site} has {heads} heads, counted from 0; {head} was asked for")
        if not 0 <= text < batch:
            raise WatchError(f"record: the batch held {batch} texts, counted from 0; {text} was asked for")
        return AttentionMap(calls, text=text, head=head)

    def __iter__(self) -> Iterator[tuple[Site, int]]:
        """Every (site, head) that was seen."""
        for site, calls in self._calls.items():
            for head in range(calls[0].q_BHQD.shape[1]):
                yield site, head

    def backends(self) -> dict[Site, set[str]]:
        """Which kernels ran at each site."""
        return {site: {call.backend for call in calls} for site, calls in self._calls.items()}

    def calls(self) -> Mapping[Site, Sequence[Call]]:
        """What passed each site, in order."""
        return self._calls

    def nbytes(self) -> int:
        """Bytes the record keeps alive: each query and key storage once."""
        kept = [tensor for calls in self._calls.values() for call in calls for tensor in (call.q_BHQD, call.k_BGKD)]
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}
        return sum(storages.values())


def _references(request: Request) -> tuple[Tensor, Tensor]:
    """q_BHQD and k_BGKD for the record: the tensors themselves, or copies where those would keep more alive.

    Views of one fused projection would hold its values too; queries and keys that were turned or normalised together
    lie alone. Keys that lie elsewhere are a cache, which is shared.
    """
    q_BHQD, k_BGKD = request.q_BHQD.detach(), request.k_BGKD.detach()
    projection = q_BHQD.untyped_storage()
    together = k_BGKD.untyped_storage().data_ptr() == projection.data_ptr()
    if projection.nbytes() > q_BHQD.nbytes + (k_BGKD.nbytes if together else 0):
        q_BHQD = q_BHQD.clone()
        k_BGKD = k_BGKD.clone() if together else k_BGKD
    return q_BHQD, k_BGKD


@dataclass(frozen=True)
class Watch:
    """A record that is being filled and the edits in force with it."""

    record: Record
    edits: tuple[Edit, ...]

    def before(self, request: Request) -> Request:
        """The request with this site's knock-outs."""
        return editing.before(self.edits, request)

    def after(self, request: Request, backend: str, o_BHQD: Tensor) -> Tensor:
        """The heads' outputs with this site's ablations and scalings."""
        self.record.keep(request, backend)
        return editing.after(self.edits, request.site, o_BHQD)


@contextmanager
def watch(model: Watchable, edits: Sequence[Edit] = ()) -> Generator[Record]:
    """Keeps what every attention of ``model`` sees inside the block, and applies ``edits``.

    Raises WatchError when an edit names a layer or head the model does not have, and at the end of the block for a
    knock-out that hid nothing: at a place that the text did not have, or that the query does not see in any case.
    """
    sites, edits = model.sites(), tuple(edits)
    editing.check(edits, sites)
    record = Record(sites)
    with watched_by(Watch(record, edits)):
        yield record
    editing.check_reached(edits, record.calls())
