"""One watched forward pass over one text, and a record that knows the text it saw."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import torch
from torch import Tensor

from clearhead.attend import Edit, Knockout, Record, Site, watch
from clearhead.attend.map import BLOCK
from clearhead.errors import OptionError, TextError, WatchError, many
from clearhead.model import Transformer
from clearhead.text import Tokenizer


class Observation(Record):
    """A record of one text that also knows its words, its ids, and which keys each query could see.

    text: as it was given; None when only labels are known
    ids: one id per place; empty when they are not known
    pieces: the characters that each place completes; joined they are the decoded text
    model: the name of the model for headings, set by who knows it
    """

    def __init__(
        self, record: Record, *, text: str | None = None, ids: Sequence[int] = (), pieces: Sequence[str] = ()
    ) -> None:
        """Shares what ``record`` keeps; nothing is copied. Raises WatchError when it holds no or several texts."""
        super().__init__(record.sites)
        self._calls = record._calls
        self.tokens = record.tokens
        self.text, self.ids, self.pieces = text, list(ids), list(pieces)
        self.model: str | None = None
        if not self._calls:
            raise WatchError("record: it holds nothing yet; run the model inside `with watch(model) as record:`")
        batches = {call.q_BHQD.shape[0] for calls in self._calls.values() for call in calls}
        if batches != {1}:
            raise WatchError(f"record: it holds {max(batches)} texts at once; observe one text at a time")
        shapes = {self.map(site, 0).shape for site in self._calls}
        if len(shapes) != 1:
            raise WatchError(f"record: its maps have different shapes {sorted(shapes)}; observe one kind of attention")
        (self.shape,) = shapes
        places = self.shape[1]
        if not self.tokens:
            self.tokens = [str(place) for place in range(places)]
        if len(self.tokens) != places:
            raise WatchError(f"record: {len(self.tokens)} labels were set for {places} places; set one for each")

    @classmethod
    def of(cls, record: Record) -> Observation:
        """The record itself when it is an observation, else one around it that knows only labels (or numbers)."""
        return record if isinstance(record, Observation) else cls(record)

    @property
    def first_place(self) -> int:
        """The place of query row 0: 0 unless the watch began in the middle of a cached text."""
        return self.shape[1] - self.shape[0]

    def seen(self) -> list[Site]:
        """The sites that were seen, in the order of the pass."""
        return list(self._calls)

    def heads(self, site: Site) -> int:
        """Number of query heads at a site that was seen."""
        return self._calls[site][0].q_BHQD.shape[1]

    def visible(self, site: Site, rows: slice) -> Tensor:
        """Which keys the query rows could see: bool (heads, rows, K), heads being 1 where all see the same."""
        tiles: list[Tensor] = []
        start, K = 0, self.shape[1]
        for call in self._calls[site]:
            first, last = max(rows.start, start), min(rows.stop, start + call.queries)
            if first < last:
                tile_1HQK = call.mask.tile(
                    slice(first - start, last - start),
                    batch=1,
                    heads=self.heads(site),
                    queries=call.queries,
                    keys=call.keys,
                    device=call.q_BHQD.device,
                )
                tiles.append(torch.nn.functional.pad(tile_1HQK[0].cpu(), (0, K - call.keys)))
            start += call.queries
        most = max(tile.shape[0] for tile in tiles)
        return torch.cat([tile.expand(most, -1, -1) for tile in tiles], dim=1)

    def visible_blocks(self, site: Site) -> Iterator[tuple[slice, Tensor]]:
        """(query rows, ``visible`` of them), a block of rows at a time."""
        Q, K = self.shape
        step = max(1, BLOCK // K)
        for start in range(0, Q, step):
            rows = slice(start, min(start + step, Q))
            yield rows, self.visible(site, rows)

    def mask_key(self, site: Site) -> Hashable:
        """Equal for sites that hide the same keys, so that what is worked out for one serves the others."""
        return tuple((call.mask.parts, call.queries, call.keys) for call in self._calls[site])


def observe(
    transformer: Transformer,
    tokenizer: Tokenizer,
    text: str,
    *,
    pair: str | None = None,
    edits: Sequence[Edit] = (),
) -> Observation:
    """One watched pass over ``text``, around it what stands there in training; every head can then be looked at.

    ``pair`` is a second text that an encoder reads with the first. ``record.tokens`` are the labels of the T places,
    ``record[layer, head]`` a map of shape (T, T). No logits are computed. Raises TextError when the text is empty,
    cannot be encoded, or is longer than the model's context, OptionError for a pair where the model is no encoder.
    """
    if not text or pair == "":
        raise TextError("look: the text is empty; give at least one character")
    encoder = transformer.config.encoder
    if pair is not None and encoder is None:
        raise OptionError("look: pairs of texts are for encoders; this model reads one text, so join the two")
    types: list[int] | None = None
    if pair is None:
        ids = tokenizer.encode_document(text)
    else:
        ids, types = tokenizer.encode_pair(text, pair)
        types = types if encoder is not None and encoder.token_types > max(types) else None
    if not ids:
        raise TextError(f"look: the tokenizer makes no token of {text!r}; give other text")
    context = transformer.config.context
    if len(ids) > context:
        counted = f"{many(len(ids), 'token')}{tokenizer.counted}"
        raise TextError(f"look: the text has {counted}; the model's context is {context:,}; shorten the text")
    tokenizer.note_unknown(ids)
    whole = text if pair is None else f"{text} {pair}"
    return observe_ids(transformer, tokenizer, ids, text=whole, types=types, edits=edits)


def observe_ids(
    transformer: Transformer,
    tokenizer: Tokenizer,
    ids: Sequence[int],
    *,
    text: str | None = None,
    types: Sequence[int] | None = None,
    edits: Sequence[Edit] = (),
) -> Observation:
    """``observe`` for ids that are already whole, at most as many as the context; ``types`` as an encoder has them."""
    config = transformer.config
    if max(ids) >= config.vocabulary:
        raise WatchError(
            f"look: the tokenizer gave id {max(ids)}; the model has ids 0 to {config.vocabulary - 1}; "
            "use the tokenizer the model was trained with"
        )
    beyond = [edit for edit in edits if isinstance(edit, Knockout) and max(edit.query, edit.key) >= len(ids)]
    if beyond:
        raise WatchError(f"{beyond[0]}: the text has {many(len(ids), 'token')}, counted from 0; name places inside it")
    was_training = transformer.training
    transformer.eval()
    try:
        with torch.inference_mode(), watch(transformer, edits) as record:
            device = transformer.embedding.weight.device
            types_1T = None if types is None else torch.tensor([list(types)], device=device)
            transformer.hidden(torch.tensor([list(ids)], device=device), types_BT=types_1T)
    finally:
        transformer.train(was_training)
    record.tokens = tokenizer.labels(ids)
    return Observation(record, text=text, ids=ids, pieces=_pieces(tokenizer, ids))


def _pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """The characters that each place completes; what stands around a text gives none."""
    front, back = len(tokenizer.front), len(tokenizer.back)
    front = front if tuple(ids[:front]) == tokenizer.front else 0
    back = back if back and tuple(ids[-back:]) == tokenizer.back else 0
    inside = ids[front : len(ids) - back]
    stream = tokenizer.stream()
    pieces = [stream.push(token) for token in inside]
    if pieces:
        pieces[-1] += stream.finish()
    return [""] * front + pieces + [""] * back
