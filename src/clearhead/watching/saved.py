"""Records on disk: queries, keys, masks and what else was kept, in one safetensors file.

Each text is saved by itself, without padding, so places are those of the text. Maps are computed from a record that was
read exactly as from the one that was saved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from clearhead.attend.mask import Band, Causal, Documents, Knocked, Mask, Padding, Window, documents
from clearhead.attend.request import Request
from clearhead.attend.score import Score
from clearhead.errors import ClearheadError, FolderError, WatchError, shown, unread
from clearhead.plain import from_dict, to_dict
from clearhead.tap import Site, own_stack
from clearhead.tensorfile import OWN, read_tensors, write_tensors
from clearhead.watching.passes import Call, Pass, Segment
from clearhead.watching.text_record import KEPT, TextRecord
from clearhead.watching.tokenized import TokenizedText

NOTE = f"{OWN}record"
KEPT_UNDER = tuple(dict.fromkeys(KEPT.values()))


@dataclass(frozen=True, kw_only=True)
class SavedKnocked:
    """Hidden (query, key) places, in one head or in all."""

    queries: tuple[int, ...]
    keys: tuple[int, ...]
    head: int | None = None


@dataclass(frozen=True, kw_only=True)
class SavedMask:
    """A mask over the places of one text. The numbers of its documents are a tensor."""

    causal: bool = False
    window: int | None = None
    band: int | None = None
    documents: bool = False
    knocked: tuple[SavedKnocked, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SavedPasses:
    """Passes of the same number of queries, one after another. keys: of the first one; each pass within a text adds its
    queries. mask: which of the text's masks"""

    passes: int
    queries: int
    keys: int
    mask: int
    backend: str


@dataclass(frozen=True, kw_only=True)
class SavedSite:
    """One site of one text."""

    layer: int
    kind: str
    stack: str
    passes: tuple[SavedPasses, ...]
    scale: float | None = None
    softcap: float | None = None


@dataclass(frozen=True, kw_only=True)
class SavedTokens:
    """A text and its tokens, as far as they are known."""

    tokens: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    pieces: tuple[str, ...] = ()
    text: str | None = None


@dataclass(frozen=True, kw_only=True)
class SavedText(SavedTokens):
    """One text, with its own tokens. read: those of the encoder's text, if a decoder has its own"""

    number: int
    masks: tuple[SavedMask, ...]
    sites: tuple[SavedSite, ...]
    read: SavedTokens | None = None


@dataclass(frozen=True, kw_only=True)
class SavedRecord:
    """What the note in a record's file says. sites, heads: every site of the model and its number of query heads"""

    version: int
    sites: tuple[str, ...]
    heads: tuple[int, ...]
    texts: tuple[SavedText, ...]
    model: str | None = None


class SavableRecord(Protocol):
    """What is saved of a record."""

    sites: dict[Site, int]
    model: str | None
    factors: dict[Site, Tensor]
    tokenized: dict[tuple[int, str], TokenizedText]

    def kept(self, site: Site, what: str, text: int) -> list[Tensor]: ...


@dataclass(frozen=True)
class Restored:
    """What a file held: the calls and the kept tensors as a record files them."""

    sites: dict[Site, int]
    model: str | None
    factors: dict[Site, Tensor]
    tokenized: dict[tuple[int, str], TokenizedText]
    places: dict[tuple[int, str], int]
    calls: dict[Site, list[Call]]
    shown: dict[tuple[Site, str], list[tuple[Pass, Tensor]]]


def write(record: SavableRecord, texts: Sequence[TextRecord], path: Path) -> None:
    """Saves some texts of a record.

    Raises WatchError if a record cannot be saved: keys, scores or documents that changed from pass to pass (an edit in
    some of them); FolderError if the file cannot be written.
    """
    tensors = {f"factors/{site}": each for site, each in record.factors.items()}
    saved = SavedRecord(
        version=1,
        sites=tuple(map(str, record.sites)),
        heads=tuple(record.sites.values()),
        texts=tuple(_text(record, each, tensors) for each in texts),
        model=record.model,
    )
    write_tensors(path, tensors, {NOTE: json.dumps(to_dict(saved), ensure_ascii=False)})


def _text(record: SavableRecord, text: TextRecord, tensors: dict[str, Tensor]) -> SavedText:
    masks: list[SavedMask] = []
    sites = tuple(_site(text, site, masks, tensors) for site in text.seen())
    for site in record.sites:
        for what in KEPT_UNDER:
            if kept := record.kept(site, what, text.number):
                tensors[f"{text.number}/{site}/{what}"] = _joined(kept)
    read = None if text.stack == "encoder" else record.tokenized.get((text.number, "encoder"))
    return SavedText(
        number=text.number,
        masks=tuple(masks),
        sites=sites,
        read=None if read is None else SavedTokens(**_tokens(read)),
        **_tokens(record.tokenized.get((text.number, text.stack), TokenizedText())),
    )


def _tokens(known: TokenizedText) -> dict[str, Any]:
    return {
        "tokens": tuple(known.tokens),
        "ids": tuple(map(int, known.ids)),
        "pieces": tuple(known.pieces),
        "text": known.text,
    }


def _site(text: TextRecord, site: Site, masks: list[SavedMask], tensors: dict[str, Tensor]) -> SavedSite:
    found, name = text.segments(site), f"{text.number}/{site}"
    last, k_GKD = found[-1], text.keys(site)
    documents_K = _documents(last)
    passes: list[SavedPasses] = []
    for each in found:
        own_GKD = each.call.k_BGKD[each.row, :, each.start : each.start + each.keys]
        if own_GKD.data_ptr() != k_GKD.data_ptr() and not torch.equal(own_GKD, k_GKD[:, : each.keys]):
            raise WatchError(f"{site}: the keys of text {text.number} changed between passes; it cannot be saved")
        own_K = _documents(each)
        if (own_K is None) != (documents_K is None) or (
            own_K is not None and not torch.equal(own_K, cast(Tensor, documents_K)[: each.keys])
        ):
            raise WatchError(f"{site}: the documents of text {text.number} changed between passes; it cannot be saved")
        if not _same(each.call.score, last.call.score):
            raise WatchError(f"{site}: the score of text {text.number} changed between passes; it cannot be saved")
        mask = _mask(each)
        if mask not in masks:
            masks.append(mask)
        _append(passes, each, masks.index(mask))
    tensors[f"{name}/q"] = _joined([each.call.q_BHQD[each.row, :, each.queries] for each in found])
    tensors[f"{name}/k"] = k_GKD
    if documents_K is not None:
        tensors[f"{name}/documents"] = documents_K
    score = last.call.score
    own = {"sinks": score.sinks_H, "bias": score.bias_HN}
    tensors |= {f"{name}/{what}": each for what, each in own.items() if each is not None}
    return SavedSite(
        layer=site.layer,
        kind=site.kind,
        stack=site.stack,
        passes=tuple(passes),
        scale=score.scale,
        softcap=score.softcap,
    )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Tensors joined along their places; a single one is not copied, since it may be mapped from a disk."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=-2)


def _append(passes: list[SavedPasses], segment: Segment, mask: int) -> None:
    new = SavedPasses(passes=1, queries=segment.count, keys=segment.keys, mask=mask, backend=segment.call.backend)
    if passes:
        before = passes[-1]
        grown = before.keys + (0 if segment.call.two_texts else before.passes * before.queries)
        if new == replace(before, passes=1, keys=grown):
            passes[-1] = replace(before, passes=before.passes + 1)
            return
    passes.append(new)


def _mask(segment: Segment) -> SavedMask:
    """A segment's mask over the places of its text. Padding is left out: there is none."""
    parts, row, start, two = segment.call.mask.parts, segment.row, segment.start, segment.call.two_texts
    # of two texts, the last query is at the last key's place, in the call and in the file
    of_queries = segment.call.first_cell + segment.queries.stop - segment.keys if two else start
    windows = [part.size for part in parts if isinstance(part, Window)]
    bands = [part.size for part in parts if isinstance(part, Band)]
    knocked: list[SavedKnocked] = []
    for part in parts:
        if isinstance(part, Knocked):
            own = part.starts[row] if part.starts else 0
            moved = [(q + own - of_queries, k + own - start) for q, k in part.pairs] if own is not None else []
            if inside := [(q, k) for q, k in moved if (two or q >= 0) and k >= 0]:
                queries, keys = zip(*inside, strict=True)
                knocked.append(SavedKnocked(queries=queries, keys=keys, head=part.head))
        elif not isinstance(part, Causal | Window | Band | Documents | Padding):
            raise WatchError(f"{segment.call.site}: a mask of {type(part).__name__} cannot be saved")
    return SavedMask(
        causal=any(isinstance(part, Causal) for part in parts),
        window=min(windows, default=None),
        band=min(bands, default=None),
        documents=any(isinstance(part, Documents) for part in parts),
        knocked=tuple(knocked),
    )


def _documents(segment: Segment) -> Tensor | None:
    """The document number of each key place; None if the mask has no documents."""
    found = [part.ids_BK for part in segment.call.mask.parts if isinstance(part, Documents)]
    if not found:
        return None
    if len(found) > 1:
        raise WatchError(f"{segment.call.site}: a mask with two numberings of documents cannot be saved")
    return found[0][segment.row, segment.start : segment.start + segment.keys]


def _same(one: Score, other: Score) -> bool:
    for pair in ((one.sinks_H, other.sinks_H), (one.bias_HN, other.bias_HN)):
        if pair[0] is not pair[1] and (None in pair or not torch.equal(*cast(tuple[Tensor, Tensor], pair))):
            return False
    return (one.scale, one.softcap) == (other.scale, other.softcap)


def restored(path: Path) -> Restored:
    """Reads what ``write`` saved. Raises FolderError if the file is missing, damaged or not a record."""
    tensors, notes = read_tensors(path, own=True)
    if NOTE not in notes:
        raise FolderError(
            f"{path}: not a record; look --out FILE.safetensors saves one (a model is opened by its folder)"
        )
    try:
        note = json.loads(notes[NOTE])
        if not isinstance(note, dict):
            raise ValueError("its note is not a table")
        saved = from_dict(SavedRecord, cast(dict[str, object], note))
        if saved.version != 1:
            raise FolderError(f"{path}: a record of version {saved.version}; this version reads 1")
        return _Reader(saved, tensors).read()
    except (ClearheadError, KeyError, TypeError, ValueError, RecursionError, RuntimeError) as error:
        if isinstance(error, FolderError):
            raise
        raise FolderError(f"{path}: the record is damaged ({shown(unread(error))}); save it again") from None


class _Reader:
    """Builds a record's parts from a file, checking every rule of a request again."""

    def __init__(self, saved: SavedRecord, tensors: Mapping[str, Tensor]) -> None:
        self._saved, self._tensors = saved, tensors
        self._sites = dict(zip(map(_named, saved.sites), saved.heads, strict=True))

    def read(self) -> Restored:
        factors = {site: self._tensors[name] for site in self._sites if (name := f"factors/{site}") in self._tensors}
        found = Restored(self._sites, self._saved.model, factors, {}, {}, {}, {})
        for text in self._saved.texts:
            if text.number < 0 or any(text.number == number for number, _ in found.places):
                raise ValueError(f"text {text.number} appears twice or is negative")
            for site in text.sites:
                self._site(text, site, found)
            self._kept(text.number, found)
            known = {stack: places for (number, stack), places in found.places.items() if number == text.number}
            own = own_stack(known)
            if not known:
                found.places[text.number, own] = len(text.tokens)
            for stack, each in ((own, text), ("encoder", text.read)):
                if each is not None:
                    places = known.get(stack, len(each.tokens))
                    if not {len(each.tokens), len(each.ids)} <= {0, places}:
                        raise ValueError(f"{len(each.tokens)} tokens and {len(each.ids)} ids for {places} places")
                    if each.tokens:
                        found.tokenized[text.number, stack] = TokenizedText(
                            tokens=list(each.tokens), ids=list(each.ids), pieces=list(each.pieces), text=each.text
                        )
        return found

    def _site(self, text: SavedText, saved: SavedSite, found: Restored) -> None:
        site = Site(saved.layer, saved.kind, saved.stack)
        name = f"{text.number}/{site}"
        q_HQD, k_GKD = self._tensors[f"{name}/q"], self._tensors[f"{name}/k"]
        if self._sites.get(site) != q_HQD.shape[0]:
            raise ValueError(f"{site} has {q_HQD.shape[0]} heads and should have {self._sites.get(site)}")
        sinks_H, bias_HN = (self._tensors.get(f"{name}/{what}") for what in ("sinks", "bias"))
        score = Score(scale=saved.scale, softcap=saved.softcap, sinks_H=sinks_H, bias_HN=bias_HN)
        done = 0
        for run in saved.passes:
            if min(run.passes, run.queries, run.keys) < 1:
                raise ValueError(f"{site}: passes of {run.passes} x {run.queries} queries and {run.keys} keys")
            for number in range(run.passes):
                two = site.kind == "cross" or run.queries > run.keys
                keys = run.keys + (0 if two else number * run.queries)
                q_1HQD, k_1GKD = q_HQD[None, :, done : done + run.queries], k_GKD[None, :, :keys]
                if q_1HQD.shape[2] != run.queries or k_1GKD.shape[2] != keys:
                    raise ValueError(
                        f"{site}: {q_HQD.shape[1]} queries and {k_GKD.shape[1]} keys do not fit its passes"
                    )
                done += run.queries
                mask = self._mask(text, run.mask, name, keys)
                request = Request(q_1HQD, k_1GKD, k_1GKD, mask, score, site)
                first = 0 if two else keys - run.queries
                seen = Pass((text.number,), run.queries, first, ((0, first + run.queries),), site.stack)
                found.calls.setdefault(site, []).append(Call.of(request, run.backend, seen))
                key = text.number, site.stack
                found.places[key] = max(found.places.get(key, 0), first + run.queries)
        if done != q_HQD.shape[1]:
            raise ValueError(f"{site}: {q_HQD.shape[1]} queries, of which its passes have {done}")

    def _mask(self, text: SavedText, number: int, name: str, keys: int) -> Mask:
        if not 0 <= number < len(text.masks):
            raise ValueError(f"mask {number} of {len(text.masks)}")
        saved = text.masks[number]
        mask = Mask((Causal(),) if saved.causal else ())
        if saved.window is not None:
            mask &= Mask((Window(saved.window),))
        if saved.band is not None:
            mask &= Mask((Band(saved.band),))
        if saved.documents:
            mask &= documents(self._tensors[f"{name}/documents"][None, :keys])
        for each in saved.knocked:
            mask &= Mask((Knocked(tuple(zip(each.queries, each.keys, strict=True)), each.head, (0,)),))
        return mask

    def _kept(self, number: int, found: Restored) -> None:
        for site in self._sites:
            for what in KEPT_UNDER:
                kept = self._tensors.get(f"{number}/{site}/{what}")
                if kept is not None:
                    places, key = kept.shape[-2], (number, site.stack)
                    last = max(found.places.get(key, places), places)
                    seen = Pass((number,), places, last - places, ((0, last),), site.stack)
                    found.shown.setdefault((site, what), []).append((seen, kept[None]))
                    found.places.setdefault(key, last)


def _named(name: str) -> Site:
    """A site by its name, stack.layer.kind."""
    stack, layer, kind = name.split(".")
    return Site(int(layer), kind, stack)
