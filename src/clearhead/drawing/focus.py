"""Which head and which query to show: places, words of the text, and sensible defaults."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from clearhead.drawing.legible import legible
from clearhead.errors import OptionError, WatchError
from clearhead.tap import Site, short_names
from clearhead.watching import BY_GRADIENT, TextRecord
from clearhead.watching.cells import Cells
from clearhead.watching.finding import HasTokens, ends

# How many tokens an error message lists.
LISTED = 64


@dataclass(frozen=True, kw_only=True)
class Focus:
    """The enlarged head and the query row."""

    site: Site
    head: int
    row: int  # query row; its place is row + record.first_place(site)
    among: str | None  # the group it was picked from ("all", "layer 2", "head 1"); None if asked for
    far: float  # its weight at the query beyond the first token, the query and its neighbours


def focus_on(record: TextRecord, *, layer: int | None, head: int | None, query: int | str | None) -> Focus:
    """The head at ``layer`` and ``head``; if several match, the one that attends most to the text beyond the query.

    It has the most weight, in the query's row, on tokens other than these: the first, on which idle heads put nearly
    all of it (Xiao et al. 2023), the query, its neighbours, and special tokens after the text. Raises OptionError if no
    head or query matches.
    """
    row = query_row(record, query)
    among = matching(record, layer=layer, head=head)
    rows = slice(row, row + 1)
    far: list[float] = []
    for site, of_site in groupby(among, key=lambda each: each[0]):
        read, place = record.tokenized(site.reads), row + record.first_place(site)
        near = {0, *range(end_place(read) + 1, len(read.tokens))}
        if site.stack == site.reads:
            near |= {place - 1, place, place + 1}
        beyond = torch.tensor([key not in near for key in range(len(read.tokens))])
        (weights_HQK,) = record.sweep(site, Cells(rows, slice(0, len(read.tokens))), rows=rows)
        far += [float(weights_HQK[index, 0, beyond].sum()) for _, index in of_site]
    most = max(range(len(among)), key=far.__getitem__)
    site, index = among[most]
    group = f"layer {layer}" if layer is not None else f"head {head}" if head is not None else "all"
    return Focus(site=site, head=index, row=row, among=group if len(among) > 1 else None, far=far[most])


def matching(record: TextRecord, *, layer: int | None, head: int | None) -> list[tuple[Site, int]]:
    """Every (site, head) with this layer and head whose queries are the text's own tokens; None means all.

    Raises OptionError if there is none.
    """
    own = own_sites(record)
    sites = [site for site in own if layer is None or site.layer == layer]
    if not sites:
        layers = [site.layer for site in own]
        raise OptionError(f"layer {layer}: the model has layers {min(layers)} to {max(layers)}")
    found = [(site, n) for site in sites for n in range(record.heads(site)) if head is None or n == head]
    if not found:
        most = max(record.heads(site) for site in sites)
        raise OptionError(f"head {head}: the model has heads 0 to {most - 1} in a layer")
    return found


def head_name(record: TextRecord, site: Site, head: int) -> str:
    """``layer 2, head 1``, or ``decoder.2.cross, head 1`` where the layer alone is ambiguous."""
    name = short_names(record.seen())[site]
    return f"layer {name}, head {head}" if name.isdigit() else f"{name}, head {head}"


def stacks(record: TextRecord) -> list[str]:
    """The stacks whose texts the maps are about, the encoder's before the decoder's."""
    found = {record.stack, *(stack for site in record.seen() for stack in (site.stack, site.reads))}
    return sorted(found, reverse=True)


def title(record: TextRecord) -> str:
    """The text, legible; for an encoder-decoder both texts, with an arrow between them."""
    texts = [record.tokenized(stack) for stack in stacks(record)]
    return legible(" → ".join("".join(each.tokens) if each.text is None else each.text for each in texts))


def own_sites(record: TextRecord) -> list[Site]:
    """The sites whose queries are the text's own tokens. Raises WatchError if nothing attended."""
    found = [site for site in record.seen() if site.stack == record.stack]
    if not found:
        raise WatchError(f"record: nothing attended, so there are no maps; {BY_GRADIENT}")
    return found


def query_row(record: TextRecord, query: int | str | None) -> int:
    """The query row for a query as ``query_place`` takes it. Raises OptionError if the record has no such query."""
    site = own_sites(record)[0]
    first, place = record.first_place(site), query_place(record, query)
    if query is None and place < first:
        return record.map(site, 0).shape[0] - 1
    if place < first:
        raise OptionError(f"query {query!r} is at place {place}; this record has queries from place {first} on")
    return place - first


def query_place(text: HasTokens, query: int | str | None) -> int:
    """The place that ``query`` names: a number (negative: from the end), a word (its last token), None (the last word).

    Punctuation is not a word; a text of nothing else has its last token instead. A word is looked up in the text, then
    among the token labels. Raises OptionError, listing the tokens with their places, if there is no match.
    """
    places = len(text.tokens)
    if query is None:
        ends = (place for place in reversed(range(len(text.pieces))) if _in_word(text.pieces[place]))
        return next(ends, end_place(text))
    if isinstance(query, str) and not re.fullmatch(r"[+-]?\d{1,18}", query.strip()):
        return _place_of(text, query)
    asked = int(query)
    place = asked + places if asked < 0 else asked
    if not 0 <= place < places:
        raise OptionError(f"query {asked}: the places are 0 to {places - 1}: {listed(text)}")
    return place


def prediction_place(text: HasTokens, query: str | None) -> int:
    """The place whose prediction is shown: as ``query_place`` has it, but by default the text's last token."""
    return end_place(text) if query is None else query_place(text, query)


def end_place(text: HasTokens) -> int:
    """The place of the text's last token. Special tokens after the text, such as BERT's [SEP], do not count."""
    ends = (place for place in reversed(range(len(text.pieces))) if text.pieces[place])
    return next(ends, len(text.tokens) - 1)


def listed(text: HasTokens, places: Sequence[int] | None = None) -> str:
    """``0 <|endoftext|>, 1 I, 2 ·crashed``: the tokens with their places, at most LISTED of them."""
    places = range(len(text.tokens)) if places is None else places
    shown = ", ".join(f"{place} {legible(text.tokens[place])}" for place in places[:LISTED])
    return shown if len(places) <= LISTED else f"{shown}, and {len(places) - LISTED} more"


def _place_of(text: HasTokens, word: str) -> int:
    if not word.strip():
        raise OptionError("query: an empty word was given; name a word of the text, or a place")
    places = ends(text, word)
    if not places:
        raise OptionError(f"query {word!r}: the text has no such word; the tokens are {listed(text)}")
    if len(places) > 1:
        raise OptionError(f"query {word!r}: it ends at {len(places)} places, {listed(text, places)}; give the place")
    return places[0]


def _in_word(piece: str) -> bool:
    """True if a token has anything but punctuation, white space and control characters."""
    return any(unicodedata.category(char)[0] not in "PZC" for char in piece)
