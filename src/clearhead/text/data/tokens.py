"""Documents as one stream of ids on disk: tokenised once, in parallel, and cached by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clearhead.errors import OptionError, TextError
from clearhead.files import cache_folder
from clearhead.text.data.sources import OnProgress, TextSource, blocks_of
from clearhead.text.data.store import FORMAT, cached_columns
from clearhead.text.tokenizers.learned import WORD_ENDS
from clearhead.text.tokenizers.pieces import TextBlock, batches, cut
from clearhead.text.tokenizers.tokenizer import Ids, Tokenizer

# Characters encoded at once: the library needs about 100 bytes per token meanwhile, 50 MB here.
BATCH_CHARACTERS = 1 << 21


@dataclass(frozen=True, kw_only=True, eq=False)
class Tokens:
    """The documents one after another, each between the tokenizer's ``front`` and ``document_end``.

    Our own tokenizers and GPT-2's give sep d1 sep d2 sep d3: the separator after a document is the start of the next,
    and a model learns to end by predicting it. Llama's gives <s> d1 </s> <s> d2 </s> in training, where </s> is
    predicted and <s> is not. Slices (``split``) are views of the same memory-mapped file.
    """

    ids: Ids  # [N]
    starts: npt.NDArray[np.int64]  # [documents], ascending: places of the documents' first tokens
    separator: int | None  # its id; None: there is none
    begin_only: tuple[int, ...]  # ids that only mark a beginning: never targets, no bytes of text
    lengths: npt.NDArray[
        np.int32
    ]  # bytes of text: of each id [V], or at each place [N] if the id does not determine them
    by_place: bool  # whether lengths are [N]
    # What to predict at each place [N], or NOT_COUNTED; None: the next token. Then the stream consists of rows of
    # ``row`` tokens, each a text of its own; windows are whole rows.
    targets: npt.NDArray[np.int32] | None = None
    row: int | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def ahead(self) -> int:
        """How many places after a token its target stands: 1, or 0 for rows, which have targets of their own."""
        return int(self.targets is None)

    def text_bytes(self, begin: int = 0, end: int | None = None) -> int:
        """Bytes of UTF-8 text in the tokens of [begin, end); those around a document have none.

        Exact for every range, and additive. A token counts its own bytes, even if the range cuts a character. With a
        tokenizer that changes text (lower case, NFC, ...) it counts the bytes of the original text. The first token of
        a stream is never predicted, so the bits of N - 1 targets belong to text_bytes(1).
        """
        if self.by_place:
            return int(self.lengths[begin:end].sum(dtype=np.int64))
        ids = self.ids[begin:end]
        counts = np.zeros(len(self.lengths), dtype=np.int64)
        for first in range(0, len(ids), BATCH_CHARACTERS):  # bincount widens ids to 8 bytes: do a part at a time
            counts += np.bincount(ids[first : first + BATCH_CHARACTERS], minlength=len(counts))
        return int(counts @ self.lengths)

    def bytes_at(self, places: npt.NDArray[np.int64]) -> int:
        """``text_bytes`` of the tokens at these places."""
        return int(self.lengths[places if self.by_place else self.ids[places]].sum(dtype=np.int64))

    def part(self, begin: int, end: int) -> Tokens:
        """A view of the tokens of [begin, end); places count from ``begin``. Rows are never cut: it has all of each."""
        if self.row is not None:
            begin, end = begin // self.row * self.row, min(len(self), -(-end // self.row) * self.row)
        first, last = np.searchsorted(self.starts, [begin, end])
        return replace(
            self,
            ids=self.ids[begin:end],
            starts=self.starts[first:last] - begin,
            lengths=self.lengths[begin:end] if self.by_place else self.lengths,
            targets=None if self.targets is None else self.targets[begin:end],
        )


def tokens_of_rows(ids_NT: Ids, targets_NT: npt.NDArray[np.int32]) -> Tokens:
    """Rows with their own targets as one stream. Each answer counts as a byte: bits per byte are bits per answer."""
    return Tokens(
        ids=ids_NT.ravel(),
        starts=np.empty(0, dtype=np.int64),
        separator=None,
        begin_only=(),
        lengths=(targets_NT.ravel() >= 0).astype(np.int32),
        by_place=True,
        targets=targets_NT.ravel(),
        row=ids_NT.shape[1],
    )


def split(tokens: Tokens, valid: float = 0.1) -> tuple[Tokens, Tokens]:
    """Training and validation tokens; ``valid`` is the share for validation, taken from the end. Views, not copies.

    Of the n tokens that are not separators, the first int((1 - valid) * n) are for training: for one file of
    characters exactly nanoGPT's text[:int(0.9 * len(text))]. A separator stays with the document it begins.
    """
    if not 0 < valid < 1:
        raise OptionError(f"validation share {valid}: must be above 0 and below 1")
    starts = tokens.starts if tokens.separator is not None else tokens.starts[:0]
    text = int((1 - valid) * (len(tokens) - len(starts)))
    text_before = starts - np.arange(len(starts))  # text tokens before each separator
    place = text + int(np.searchsorted(text_before, text))
    return tokens.part(0, place), tokens.part(place, len(tokens))


def around(tokenizer: Tokenizer) -> str:
    """The ids between documents, for hashes; the tokenizer's fingerprint leaves out those in front."""
    return f"{tokenizer.front} {tokenizer.document_end} {tokenizer.begin_only}"


def tokenize(
    sources: Sequence[TextSource],
    tokenizer: Tokenizer,
    *,
    cache: Path | None = None,
    progress: OnProgress | None = None,
) -> Tokens:
    """The ids of all documents in order, memory-mapped from the cache; encoded on all cores the first time.

    The mask token of a tokenizer learned here, written in a text, is text.
    The cache (files.cache_folder) is keyed by the sources' content and the tokenizer. ``progress`` gets the bytes read
    and the bytes in all (None if unknown). Raises TextError for text that cannot be read or encoded, FolderError if
    the cache cannot be written.
    """
    tokenizer = tokenizer.of_text()
    parts = [FORMAT, tokenizer.fingerprint, around(tokenizer), *(source.key() for source in sources)]
    key = hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
    path = cache_folder(cache) / "tokens" / f"{key}.safetensors"
    columns = cached_columns(path, lambda: _encoded(sources, tokenizer, progress))
    return Tokens(
        ids=columns["ids"],
        starts=columns["starts"],
        separator=tokenizer.separator,
        begin_only=tokenizer.begin_only,
        lengths=columns["lengths"],
        by_place=tokenizer.cuts is None,
    )


def _encoded(
    sources: Sequence[TextSource], tokenizer: Tokenizer, progress: OnProgress | None
) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    """The columns in parts: ids and starts, with byte lengths alongside or, if set by the id, at the end."""
    front, end = (np.array(each, dtype=tokenizer.dtype) for each in (tokenizer.front, tokenizer.document_end))
    first, text_tokens, done = True, 0, 0
    pieces = cut(blocks_of(sources, progress), tokenizer.cuts, words=WORD_ENDS.get(tokenizer.kind))
    for batch in batches(pieces, BATCH_CHARACTERS):
        ids: list[Ids] = []
        lengths: list[npt.NDArray[np.int32]] = []
        starts: list[int] = []
        place = done
        for block, (found, length_each) in zip(batch, _measured(batch, tokenizer), strict=True):
            if block.begins:
                around = front if first else np.concatenate([end, front])
                first = False
                ids.append(around)
                lengths.append(np.zeros(len(around), dtype=np.int32))
                place += len(around)
                starts.append(place - len(front))
            ids.append(found)
            lengths.append(length_each)
            place += len(found)
            text_tokens += len(found)
        part: dict[str, npt.NDArray[Any]] = {"ids": np.concatenate(ids)}
        if tokenizer.separator is None:
            part["starts"] = np.array(starts, dtype=np.int64)
        else:  # including those written in the text
            part["starts"] = done + np.flatnonzero(part["ids"] == tokenizer.separator)
        if tokenizer.cuts is None:
            part["lengths"] = np.concatenate(lengths)
        done = place
        yield part
    if not text_tokens and not len(front):
        raise TextError("the text yields no tokens; give text with something in it")
    if len(end):
        yield {"ids": end} if tokenizer.cuts else {"ids": end, "lengths": np.zeros(len(end), dtype=np.int32)}
    if tokenizer.cuts is not None:
        yield {"lengths": tokenizer.byte_lengths()}


def _measured(batch: Sequence[TextBlock], tokenizer: Tokenizer) -> list[tuple[Ids, npt.NDArray[np.int32]]]:
    """The ids of each block and, unless the id alone determines it, the bytes of text that each stands for."""
    texts = [block.text for block in batch]
    if tokenizer.cuts is not None:
        return [(found, np.zeros(0, dtype=np.int32)) for found in tokenizer.encode_arrays(texts)]
    measured = tokenizer.encode_measured(texts)
    for found, lengths in measured:
        lengths[np.isin(found, tokenizer.begin_only)] = 0  # not predicted even if it is written in the text
    return measured
