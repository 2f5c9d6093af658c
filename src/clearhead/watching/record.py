"""Watching: what a record keeps of the watched passes, and how to get at it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import index
from pathlib import Path
from weakref import ReferenceType, WeakKeyDictionary, ref

from torch import Tensor

from clearhead import tap
from clearhead.attend.request import Request
from clearhead.errors import WatchError
from clearhead.notebook import Displayed
from clearhead.tap import Site, Spans
from clearhead.watching.atlas import Atlas
from clearhead.watching.editing import Editor
from clearhead.watching.edits import Edit
from clearhead.watching.map import AttentionMap
from clearhead.watching.passes import Call, Pass
from clearhead.watching.saved import write
from clearhead.watching.spilled import Spill
from clearhead.watching.text_record import TextRecord
from clearhead.watching.tokenized import TokenizedText


class Record(Displayed):
    """References to the queries, keys, masks and score rules of the watched passes; no weights.

    With one text, ``record[layer, head]`` is an attention map. With several, ``record[text]`` is the part for one of
    them; texts are numbered in the order of their passes, or as the caller numbered them (``tap.rows``).
    ``tokenized`` has the tokens of each text in each stack, set by whoever has the tokenizer; ``model`` is a name for
    headings.
    """

    def __init__(
        self,
        sites: dict[Site, int],
        *,
        edits: Sequence[Edit] = (),
        keep: Collection[str] = (),
        network: object | None = None,
        maps: bool = True,
        spill: Spill | None = None,
    ) -> None:
        self.sites = sites
        self.edits = tuple(edits)
        self.keep = frozenset(keep)
        self._editor = Editor(self.edits, sites, network)
        self._network: ReferenceType[object] | None = None if network is None else ref(network)
        self._maps = maps  # whether queries and keys are kept
        self._spill = spill  # where what is kept goes, if not into memory
        self.tokenized: dict[tuple[int, str], TokenizedText] = {}  # by text and stack
        self.model: str | None = None
        self.factors: dict[Site, Tensor] = {}  # factors_HRD of the output projections, if values are kept (sizes.py)
        self._calls: dict[Site, list[Call]] = {}
        self._shown: dict[tuple[Site, str], list[tuple[Pass, Tensor]]] = {}
        self._passes: list[Pass] = []
        self._sites_seen: set[Site] = set()  # in the last pass
        self._known: dict[tuple[int, str], int] = {}  # places of each text in each stack
        self._next = 0  # the lowest unused text number
        # by generation state: the texts of its batch rows, and the stack
        self._rows_of: WeakKeyDictionary[object, tuple[tuple[int, ...], str]] = WeakKeyDictionary()

    def __repr__(self) -> str:
        if not self._calls:
            return "Record(nothing seen)"
        several = f"{len(self)} texts, " if len(self) > 1 else ""
        return f"Record({several}{sum(1 for _ in self)} heads, {self.nbytes() / 1e6:.1f} MB)"

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)

    @property
    def texts(self) -> list[int]:
        """The text numbers, in ascending order."""
        return sorted({text for text, _ in self._known})

    def __getitem__(self, place: object) -> TextRecord | AttentionMap | list[AttentionMap]:
        """``record[text]`` is the part for one text; ``record[layer, head]`` a map, if there is only one text."""
        if isinstance(place, tuple):
            return self.only()[place]
        try:
            text = index(place)  # pyright: ignore[reportArgumentType]
        except TypeError:
            raise WatchError(
                f"record: {place!r} was asked for; name a text by its number, record[1], or a map, record[layer, head]"
            ) from None
        if text < 0:
            text = self.texts[text] if -text <= len(self.texts) else text
        if not self._known:
            raise WatchError("record: it holds nothing yet; run the model inside `with watch(model) as record:`")
        if text not in self.texts:
            raise WatchError(f"record: text {text} was asked for; it holds {_listed(self.texts) or 'none'}")
        return TextRecord(self, text)

    @property
    def network(self) -> object | None:
        """The watched network; None if it is not known or no longer in memory."""
        return None if self._network is None else self._network()

    def each(self) -> list[TextRecord]:
        """The parts for all texts, in ascending order."""
        return [TextRecord(self, text) for text in self.texts]

    def only(self) -> TextRecord:
        """The part for the only text. Raises WatchError if there are several, or none."""
        if not self._known:
            raise WatchError("record: it holds nothing yet; run the model inside `with watch(model) as record:`")
        if len(self) > 1:
            raise WatchError(
                f"record: it holds the texts {_listed(self.texts)}; name one, record[{self.texts[0]}], and then a map, "
                "record[text][layer, head]"
            )
        return TextRecord(self, self.texts[0])

    def map(self, site: Site, head: int, text: int | None = None) -> AttentionMap:
        """The attention map (Q, K) of one head at one site; ``text`` is optional if there is only one."""
        return (self.only() if text is None else self[text]).map(site, head)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]

    def __iter__(self) -> Iterator[tuple[Site, int]]:
        """Every watched (site, head)."""
        for site, calls in self._calls.items():
            for head in range(calls[0].q_BHQD.shape[1]):
                yield site, head

    def atlas(self) -> Atlas:
        """Every head by every measure of the only text, as a table. Raises WatchError if there are several, or none."""
        return self.only().atlas()

    def save(self, path: str | Path, texts: Sequence[TextRecord] | None = None) -> None:
        """Saves all texts, or some, with all that was kept, as a safetensors file that ``read_record`` opens.

        Raises WatchError if keys changed between the passes over a text, FolderError if the file cannot be written.
        """
        write(self, self.each() if texts is None else texts, Path(path))

    def backends(self) -> dict[Site, set[str]]:
        """Which kernels ran at each site."""
        return {site: {call.backend for call in calls} for site, calls in self._calls.items()}

    def calls(self) -> Mapping[Site, Sequence[Call]]:
        """The calls at each site, in order."""
        return self._calls

    def kept(self, site: Site, what: str, text: int) -> list[Tensor]:
        """The tensors kept of a text at a site, one per pass, with places along the second-to-last axis."""
        found = self._shown.get((site, what), [])
        return [x[row, ..., seen.own(row), :] for seen, x in found for row, n in enumerate(seen.rows) if n == text]

    def file(
        self,
        calls: Mapping[Site, list[Call]],
        shown: Mapping[tuple[Site, str], list[tuple[Pass, Tensor]]],
        places: Mapping[tuple[int, str], int],
    ) -> None:
        """Files calls and kept tensors that come from a saved record, and the places of each text in each stack."""
        self._calls.update(calls)
        self._shown.update(shown)
        self._known.update(places)
        self._next = max(self.texts, default=-1) + 1

    def nbytes(self) -> int:
        """Bytes the record keeps, in memory or in the files it spills to, each storage counted once."""
        held = [tensor for calls in self._calls.values() for call in calls for tensor in (call.q_BHQD, call.k_BGKD)]
        held += [x for shown in self._shown.values() for _, x in shown]
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in held}
        return sum(storages.values())

    # The Watcher protocol (tap.py).

    @property
    def looks(self) -> bool:
        """True if the record only looks: it has no edits and keeps nothing but queries and keys."""
        return not self.edits and not self.keep

    def reserve(self, first: int, count: int) -> int:
        """Reserves ``count`` unused text numbers in a row, none below ``first``; returns the first of them."""
        first = max(first, self._next)
        self._next = first + count
        return first

    def begin(self, queries: int, first: int, spans: Spans, state: object | None, stack: str) -> None:
        """Starts a pass over new texts or, with a known state, over more of the same texts.

        The first pass of another stack, as a decoder's after an encoder's, is over the same texts too.

        Raises WatchError if it skips places of a text.
        """
        rows, known = tap.numbered(), None if state is None else self._rows_of.get(state)
        if rows is None:
            rows = self._new(len(spans), stack) if known is None else known[0]
        if len(rows) != len(spans):
            raise WatchError(
                f"record: a pass of {len(spans)} batch rows continues {len(rows)} texts; the numbers must be equal"
            )
        if state is not None:
            self._rows_of[state] = rows, stack
        self._begin(Pass(rows, queries, first, spans, stack))

    def _new(self, count: int, stack: str) -> tuple[int, ...]:
        """The text numbers of a pass that continues no earlier pass of its stack."""
        last = self._passes[-1] if self._passes else None
        if last is not None and len(last.rows) == count and not any((text, stack) in self._known for text in last.rows):
            return last.rows
        return tuple(range(self.reserve(0, count), self._next))

    def _begin(self, seen: Pass) -> None:
        for row, text in enumerate(seen.rows):
            before, key = seen.before(row), (text, seen.stack)
            known = self._known.get(key, before)
            if before > known:
                raise WatchError(
                    f"record: a pass starts at place {before} of text {text}, but only {known} places were "
                    "watched; watch every pass over a text"
                )
            if before < known:
                self._forget(key, before)
            self._known[key] = seen.places[row]
            self._next = max(self._next, text + 1)
        self._passes.append(seen)
        self._sites_seen = set()
        self._editor.begin(seen)

    def before(self, request: Request) -> Request:
        """The request with this site's knock-outs in its mask, and with patched queries, keys and values."""
        if self.sites.get(request.site) != request.q_BHQD.shape[1]:
            raise WatchError(
                f"{request.site}: a pass has {request.q_BHQD.shape[1]} heads here, but the watched model has "
                f"{self.sites.get(request.site, 'no attention')}; inside the block, call only the watched model"
            )
        return self._editor.before(request, self._at(request))

    def after(self, request: Request, backend: str, o_BHQD: Tensor) -> Tensor:
        """Keeps the heads' outputs if asked to; returns them with this site's edits."""
        seen = self._at(request)
        if self._maps:
            self._calls.setdefault(request.site, []).append(Call.of(request, backend, seen, self._spill))
        self._sites_seen.add(request.site)
        if "values" in self.keep:
            new = slice(None) if request.site.kind == "cross" else slice(-request.q_BHQD.shape[2], None)
            v_BGQD = request.v_BGKD[:, :, new].detach()  # of a cache, or of a projection with queries and keys
            v_BGQD = v_BGQD.clone() if self._spill is None else self._spill(v_BGQD)
            self._shown.setdefault((request.site, "values"), []).append((seen, v_BGQD))
        o_BHQD = self._editor.after(request.site, o_BHQD, seen)
        if "heads" in self.keep:
            self._shown.setdefault((request.site, "heads"), []).append((seen, self._held(o_BHQD)))
        return o_BHQD

    def shown(self, site: Site, x_BTE: Tensor) -> Tensor:
        """Keeps a part's output, or the stream, if asked to; returns it with this site's edits."""
        if not self._passes:
            raise WatchError(f"{site}: shown outside a pass; a model calls tap.begin where each pass starts")
        seen = self._passes[-1]
        x_BTE = self._editor.part(site, x_BTE, seen)
        if ("residual" if site.kind in ("residual", "embedding") else "parts") in self.keep:
            self._shown.setdefault((site, "part"), []).append((seen, self._held(x_BTE)))
        return x_BTE

    def _held(self, x: Tensor) -> Tensor:
        """The tensor itself, or a copy in a file."""
        return x.detach() if self._spill is None else self._spill(x.detach())

    def check_lengths(self) -> None:
        """Raises WatchError if a text is shorter than the source of its patch; see ``Editor.check_lengths``."""
        self._editor.check_lengths()

    def check_reached(self) -> None:
        """Raises WatchError for an edit that changed nothing; see ``Editor.check_reached``."""
        self._editor.check_reached()

    def rewound(self, state: object, length: int) -> None:
        """Forgets the state's cells from ``length`` on."""
        known = self._rows_of.get(state)
        last = next((seen for seen in reversed(self._passes) if (seen.rows, seen.stack) == known), None)
        if last is not None:
            for (start, _), text in zip(last.spans, last.rows, strict=True):
                self._forget((text, last.stack), max(0, length - start))

    def selected(self, state: object, rows: Sequence[int]) -> None:
        """Follows a state that kept only some of its batch rows."""
        if state in self._rows_of:
            texts, stack = self._rows_of[state]
            self._rows_of[state] = tuple(texts[row] for row in rows), stack

    def _at(self, request: Request) -> Pass:
        """The pass that a request belongs to. If no model announced a pass, its first request starts one.

        Such a pass continues the texts of the last one if it starts where that one ended.
        """
        B, _, Q, _ = request.q_BHQD.shape
        K = request.k_BGKD.shape[2]
        stack, last = request.site.stack, self._passes[-1] if self._passes else None
        seen = last if last is not None and last.stack == stack else None
        if seen is None or request.site in self._sites_seen or (len(seen.rows), seen.queries) != (B, Q):
            two = request.site.kind == "cross" or Q > K
            first = 0 if two else K - Q
            if first and seen is not None and (first != seen.first + seen.queries or len(seen.rows) != B):
                raise WatchError(
                    f"record: a pass of {B} batch rows starts at place {first}, after one of {len(seen.rows)} that "
                    f"ended at place {seen.first + seen.queries}; within one watch, continue with the same cache or "
                    "start a new text"
                )
            rows = tap.numbered() or (seen.rows if first and seen is not None else self._new(B, stack))
            spans = ((0, Q),) * B if two else request.mask.spans(B, K)
            self._begin(Pass(tuple(rows), Q, first, spans, stack))
        return self._passes[-1]

    def _forget(self, key: tuple[int, str], places: int) -> None:
        """Forgets the places of a text in a stack from ``places`` on, and passes that have no queries left."""
        text, stack = key
        for seen in reversed(self._passes):
            if text in seen.rows and seen.stack == stack:
                seen.forget(text, places)
                self._known[key] = min(self._known[key], places)
                if seen.before(seen.rows.index(text)) <= places:
                    break
        while self._passes and self._passes[-1].forgotten:
            gone = self._passes.pop()
            for calls in self._calls.values():
                if calls and calls[-1].seen is gone:
                    calls.pop()
            for shown in self._shown.values():
                if shown and shown[-1][0] is gone:
                    shown.pop()
        self._calls = {site: calls for site, calls in self._calls.items() if calls}


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
