"""Which head and which query to show: places, words of the text, and sensible defaults."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from clearhead.drawing.legible import legible
from clearhead.errors import OptionError
from clearhead.tap import Site
from clearhead.watching import TextRecord
from clearhead.watching.cells import Cells
from clearhead.watching.places import Labelled, ends

# How many tokens an error message lists.
LISTED = 64


@dataclass(frozen=True, kw_only=True)
class Focus:
    """The enlarged head and the query row."""

    site: Site
    head: int
    row: int  # query row; its place is row + first_place
    among: str | None  # the group it was picked from ("all", "layer 2", "head 1"); None if asked for
    far: float  # its weight at the query beyond the first token, the query and its neighbours


def focus_on(record: TextRecord, *, layer: int | None, head: int | None, query: int | str | None) -> Focus:
    """The head at ``layer`` and ``head``; if several match, the one that attends most to the text beyond the query.

    That is the one with the most weight at the query on other tokens than the first, on which idle heads put nearly all
    of it (Xiao et al. 2023), the query, its neighbours, and special tokens after the text. Raises OptionError if no
    head or query matches.
    """
    row = query_row(record, query)
    among = matching(record, layer=layer, head=head)
    place, keys, rows = row + record.first_place, len(record.tokens), slice(row, row + 1)
    near = {0, place - 1, place, place + 1, *range(end_place(record) + 1, keys)}
    beyond = torch.tensor([key not in near for key in range(keys)])
    far: list[float] = []
    for site, of_site in groupby(among, key=lambda each: each[0]):
        (weights_HQK,) = record.sweep(site, Cells(rows, slice(0, keys)), rows=rows)
        far += [float(weights_HQK[index, 0, beyond].sum()) for _, index in of_site]
    most = max(range(len(among)), key=far.__getitem__)
    site, index = among[most]
    group = f"layer {layer}" if layer is not None else f"head {head}" if head is not None else "all"
    return Focus(site=site, head=index, row=row, among=group if len(among) > 1 else None, far=far[most])


def matching(record: TextRecord, *, layer: int | None, head: int | None) -> list[tuple[Site, int]]:
    """Every (site, head) with this layer and head; None means all. Raises OptionError if there is none."""
    sites = [site for site in record.seen() if layer is None or site.layer == layer]
    if not sites:
        layers = [site.layer for site in record.seen()]
        raise OptionError(f"layer {layer}: the model has layers {min(layers)} to {max(layers)}")
    found = [(site, n) for site in sites for n in range(record.heads(site)) if head is None or n == head]
    if not found:
        most = max(record.heads(site) for site in sites)
        raise OptionError(f"head {head}: the model has heads 0 to {most - 1} in a layer")
    return found


def query_row(record: TextRecord, query: int | str | None) -> int:
    """The query row for a query as ``query_place`` takes it. Raises OptionError if the record has no such query."""
    first = record.first_place
    place = query_place(record, query)
    if query is None and place < first:
        return record.shape[0] - 1
    if place < first:
        raise OptionError(f"query {query!r} is at place {place}; this record has queries from place {first} on")
    return place - first


def query_place(words: Labelled, query: int | str | None) -> int:
    """The place for a place (negative: from the end), a word (its last token), or None (the text's last word).

    Punctuation is not a word; a text of nothing else has its last token instead. A word is looked up in the text, then
    among the token labels. Raises OptionError, listing the tokens with their places, if there is no match.
    """
    places = len(words.tokens)
    if query is None:
        ends = (place for place in reversed(range(len(words.pieces))) if _in_word(words.pieces[place]))
        return next(ends, end_place(words))
    if isinstance(query, str) and not re.fullmatch(r"[+-]?\d{1,18}", query.strip()):
        return _place_of(words, query)
    asked = int(query)
    place = asked + places if asked < 0 else asked
    if not 0 <= place < places:
        raise OptionError(f"query {asked}: the places are 0 to {places - 1}: {listed(words)}")
    return place


def prediction_place(words: Labelled, query: str | None) -> int:
    """The place whose prediction is shown: as ``query_place`` has it, but by default the text's last token."""
    return end_place(words) if query is None else query_place(words, query)


def end_place(words: Labelled) -> int:
    """The place of the text's last token. Special tokens after the text, such as BERT's [SEP], are none of its own."""
    ends = (place for place in reversed(range(len(words.pieces))) if words.pieces[place])
    return next(ends, len(words.tokens) - 1)


def listed(words: Labelled, places: Sequence[int] | None = None) -> str:
    """``0 <|endoftext|>, 1 I, 2 ·crashed``: the tokens with their places, at most LISTED of them."""
    places = range(len(words.tokens)) if places is None else places
    shown = ", ".join(f"{place} {legible(words.tokens[place])}" for place in places[:LISTED])
    return shown if len(places) <= LISTED else f"{shown}, and {len(places) - LISTED} more"


def _place_of(words: Labelled, word: str) -> int:
    if not word.strip():
        raise OptionError("query: an empty word was given; name a word of the text, or a place")
    places = ends(words, word)
    if not places:
        raise OptionError(f"query {word!r}: the text has no such word; the tokens are {listed(words)}")
    if len(places) > 1:
        raise OptionError(f"query {word!r}: it ends at {len(places)} places, {listed(words, places)}; give the place")
    return places[0]


def _in_word(piece: str) -> bool:
    """True if a token has anything but punctuation, white space and control characters."""
    return any(unicodedata.category(char)[0] not in "PZC" for char in piece)
