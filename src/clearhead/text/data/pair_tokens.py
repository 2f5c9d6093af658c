"""Sentence pairs as ids: tokenised once, cached, filtered with a count of what is left out, and split by sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clearhead.errors import OptionError, TextError
from clearhead.files import cache_folder
from clearhead.text.data.pairs import Pair, PairSource, pair_hash
from clearhead.text.data.sources import OnProgress
from clearhead.text.data.store import FORMAT, cached_columns
from clearhead.text.tokenizers.tokenizer import Ids, Tokenizer

Int64 = npt.NDArray[np.int64]
Column = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

AT_ONCE = 1 << 15  # pairs encoded at a time
RATIO = 3.0  # lengths in tokens that differ by more are seldom translations (Koehn et al. 2007 clean with 9)
SHORT = 10  # tokens; of shorter sentences any ratio is possible
VALIDATED = 2000  # distinct source sentences, at most, that are held out for validation


def longest_answer(tokens: int) -> int:
    """The default limit for the translation of so many tokens. Training leaves out longer ones."""
    return int(RATIO * tokens) + SHORT


@dataclass(frozen=True, kw_only=True, eq=False)
class Ragged:
    """Rows of different lengths, one after another: row n is values[starts[n] : starts[n + 1]]."""

    values: Column
    starts: Int64

    @classmethod
    def of(cls, values: Column, lengths: Column) -> Ragged:
        """From the length of each row."""
        return cls(values=values, starts=np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))))

    def row(self, number: int) -> Column:
        """One row, a view."""
        return self.values[self.starts[number] : self.starts[number + 1]]

    def lengths(self, rows: Int64) -> Int64:
        """The lengths of some rows."""
        return self.starts[rows + 1] - self.starts[rows]


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Numbers of pairs that are not trained on, by the first reason that applies."""

    one_column: int = 0  # lines without a second column
    empty: int = 0  # a side without text
    special: int = 0  # a side with a special token written in it, which would end the text
    ratio: int = 0  # one side more than RATIO times as long as the other
    long: int = 0  # more tokens than the context
    repeated: int = 0  # the same two sentences again

    def __str__(self) -> str:
        said = {
            f"{self.one_column:,} without a second column": self.one_column,
            f"{self.empty:,} with an empty side": self.empty,
            f"{self.special:,} with a special token in the text": self.special,
            f"{self.ratio:,} with one side more than {RATIO:g} times as long": self.ratio,
            f"{self.long:,} longer than the context": self.long,
            f"{self.repeated:,} repeated": self.repeated,
        }
        return ", ".join(each for each, count in said.items() if count)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Sentence pairs as ids. ``chosen`` lists those of this set; the columns hold all pairs of the files.

    source, target: ids without special tokens; source_text, target_text: the same as bytes of UTF-8
    source_hash, pair_hash: equal for equal texts; pair_hash is -1 for a line that has only one column
    start: the id before a target; end: the id after a source and after a target
    before, behind: ids before a source, and after its end; first: ids that each target starts with (languages)
    """

    source: Ragged
    target: Ragged
    source_text: Ragged
    target_text: Ragged
    source_hash: Int64
    pair_hash: Int64
    chosen: Int64
    start: int
    end: int
    before: tuple[int, ...] = ()
    behind: tuple[int, ...] = ()
    first: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """Number of pairs."""
        return len(self.chosen)

    def __len__(self) -> int:
        """Tokens to predict: those of the targets, with their ends."""
        return int(self.lengths()[1].sum())

    @property
    def both(self) -> int:
        """Tokens of both sides, with their ends."""
        return sum(int(side.sum()) for side in self.lengths())

    def lengths(self) -> tuple[Int64, Int64]:
        """Tokens of both sides of each pair, as ``ids_of`` gives them."""
        around = 1 + len(self.before) + len(self.behind)
        source, target = self.source.lengths(self.chosen), self.target.lengths(self.chosen)
        return source + around, target + 1 + len(self.first)

    def text_bytes(self) -> int:
        """Bytes of UTF-8 of all targets."""
        return int(self.target_text.lengths(self.chosen).sum())

    def part(self, begin: int, end: int) -> Pairs:
        """The pairs whose targets begin within [begin, end) of the tokens to predict."""
        _, lengths = self.lengths()
        starts = np.cumsum(lengths) - lengths
        return replace(self, chosen=self.chosen[(starts >= begin) & (starts < end)])

    def sentences(self, most: int | None = None) -> list[tuple[str, str]]:
        """Source and target of the first pairs as text."""
        both = ((self.source_text.row(n), self.target_text.row(n)) for n in self.chosen[:most])
        return [(bytes(source).decode(), bytes(target).decode()) for source, target in both]


def tokenize_pairs(
    sources: Sequence[PairSource],
    tokenizer: Tokenizer,
    *,
    start: int,
    end: int,
    cache: Path | None = None,
    progress: OnProgress | None = None,
) -> Pairs:
    """All pairs of the files, memory-mapped from the cache; encoded on all cores the first time.

    ``tokenizer`` encodes the targets, and its ``source`` the sources.

    Raises TextError for text that cannot be read or encoded, FolderError if the cache cannot be written.
    """
    parts = [FORMAT, "pairs", tokenizer.fingerprint, *(source.key() for source in sources)]
    key = hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
    path = cache_folder(cache) / "tokens" / f"{key}.safetensors"
    columns = cached_columns(path, lambda: _encoded(sources, tokenizer, progress))

    def ragged(name: str) -> Ragged:
        return Ragged.of(columns[name], columns[f"{name}_lengths"])

    count = len(columns["pair_hash"])
    return Pairs(
        source=ragged("source"),
        target=ragged("target"),
        source_text=ragged("source_text"),
        target_text=ragged("target_text"),
        source_hash=columns["source_hash"],
        pair_hash=columns["pair_hash"],
        chosen=np.arange(count),
        start=start,
        end=end,
    )


def _encoded(
    sources: Sequence[PairSource], tokenizer: Tokenizer, progress: OnProgress | None
) -> Iterator[Mapping[str, Column]]:
    total, read = sum(source.size() for source in sources), 0

    def tick(count: int) -> None:
        nonlocal read
        read += count
        if progress is not None:
            progress(read, total)

    every = (pair for source in sources for pair in source.pairs(tick))
    some = False
    while batch := list(islice(every, AT_ONCE)):
        some = True
        yield _columns(batch, tokenizer)
    if not some:
        raise TextError(f"{sources[0].name}: has no pairs; give a file with a sentence and its translation per line")


def _columns(batch: Sequence[Pair], tokenizer: Tokenizer) -> dict[str, Column]:
    found: dict[str, Column] = {}
    sides = {"source": [pair.source.strip() for pair in batch], "target": [pair.target.strip() for pair in batch]}
    for side, texts in sides.items():
        encode = (tokenizer.source if side == "source" else tokenizer).encode_arrays
        ids, raw = encode(texts), [text.encode() for text in texts]
        found[side] = np.concatenate(ids)
        found[f"{side}_lengths"] = np.array([len(row) for row in ids], dtype=np.int32)
        found[f"{side}_text"] = np.frombuffer(b"".join(raw), dtype=np.uint8)
        found[f"{side}_text_lengths"] = np.array([len(row) for row in raw], dtype=np.int32)
    found["source_hash"] = np.array([pair_hash(text.encode()) for text in sides["source"]], dtype=np.int64)
    both = zip(batch, sides["source"], sides["target"], strict=True)
    # negative: a line that has only one column
    hashes = [pair_hash(f"{source}\t{target}".encode()) if pair.whole else -1 for pair, source, target in both]
    found["pair_hash"] = np.array(hashes, dtype=np.int64)
    return found


def filtered(pairs: Pairs, *, context: int) -> tuple[Pairs, LeftOut]:
    """The pairs worth training on, and how many were left out for which reason.

    Raises TextError if none is left.
    """
    source, target = _lengths(pairs)
    longer, shorter = np.maximum(source, target), np.minimum(source, target)
    reasons = {
        **_unusable(pairs),
        "special": _written(pairs.source, pairs, pairs.end) | _written(pairs.target, pairs, pairs.start, pairs.end),
        "ratio": (longer > RATIO * shorter) & (longer > SHORT),
        "long": longer + 1 > context,
    }
    kept, left_out = _without(pairs, reasons)
    first = np.sort(np.unique(kept.pair_hash[kept.chosen], return_index=True)[1])
    left_out = replace(left_out, repeated=kept.count - len(first))
    return replace(kept, chosen=kept.chosen[first]), left_out


def usable(pairs: Pairs) -> tuple[Pairs, LeftOut]:
    """The pairs that have both sides, for an evaluation. Raises TextError if none is left."""
    return _without(pairs, _unusable(pairs))


def _lengths(pairs: Pairs) -> tuple[Int64, Int64]:
    """Tokens of both sides of each chosen pair."""
    return pairs.source.lengths(pairs.chosen), pairs.target.lengths(pairs.chosen)


def _unusable(pairs: Pairs) -> dict[str, Bools]:
    return {"one_column": pairs.pair_hash[pairs.chosen] < 0, "empty": np.minimum(*_lengths(pairs)) == 0}


def _without(pairs: Pairs, reasons: Mapping[str, Bools]) -> tuple[Pairs, LeftOut]:
    """The pairs for which no reason holds, and a count by the first that does."""
    kept, counts = np.ones(pairs.count, dtype=bool), dict[str, int]()
    for name, faulty in reasons.items():
        counts[name] = int((faulty & kept).sum())
        kept &= ~faulty
    left_out = LeftOut(**counts)
    if not kept.any():
        raise TextError(f"no pair is left of {pairs.count:,}: {left_out}; check that each line has two columns")
    return replace(pairs, chosen=pairs.chosen[kept]), left_out


def _written(side: Ragged, pairs: Pairs, *special: int) -> Bools:
    """Whether each chosen pair has one of these tokens in the text of this side."""
    places = np.flatnonzero(np.isin(side.values, special))
    rows = np.searchsorted(side.starts, places, side="right") - 1
    faulty = np.zeros(len(side.starts) - 1, dtype=bool)
    faulty[rows] = True
    return faulty[pairs.chosen]


def split_pairs(pairs: Pairs, valid: float = 0.1) -> tuple[Pairs, Pairs]:
    """Training and validation pairs, split by source sentence, so that none stands on both sides.

    A sentence belongs to the validation set by its hash, not by its place: files are often sorted. ``valid`` is the
    share of distinct sentences; at most VALIDATED are taken. Raises TextError if there are fewer than two.
    """
    if not 0 < valid < 1:
        raise OptionError(f"validation share {valid}: must be above 0 and below 1")
    distinct = np.unique(pairs.source_hash[pairs.chosen])  # sorted by hash, so in random order
    held_out = distinct[: min(VALIDATED, max(1, int(valid * len(distinct))))]
    if len(held_out) == len(distinct):
        raise TextError("all pairs have the same source sentence; at least two are needed, one of them to validate on")
    inside = np.isin(pairs.source_hash[pairs.chosen], held_out)
    return replace(pairs, chosen=pairs.chosen[~inside]), shuffled(replace(pairs, chosen=pairs.chosen[inside]))


def shuffled(pairs: Pairs) -> Pairs:
    """The pairs in the order of their hashes, so that the first of them are a fair sample: files are often sorted."""
    return replace(pairs, chosen=pairs.chosen[np.argsort(pairs.pair_hash[pairs.chosen], kind="stable")])


def shared_sources(train: Pairs, valid: Pairs) -> list[str]:
    """Source sentences of both sets."""
    both = np.intersect1d(train.source_hash[train.chosen], valid.source_hash[valid.chosen])
    rows = valid.chosen[np.isin(valid.source_hash[valid.chosen], both)]
    return list(dict.fromkeys(bytes(valid.source_text.row(int(n))).decode() for n in rows))


def ids_of(pairs: Pairs, number: int) -> tuple[Ids, Ids]:
    """The source as the encoder reads it, and the target, each with its end and any other ids around it."""
    dtype = pairs.source.values.dtype
    before, after, first, end = (
        np.array(ids, dtype=dtype) for ids in (pairs.before, (pairs.end, *pairs.behind), pairs.first, (pairs.end,))
    )
    source, target = pairs.source.row(number), pairs.target.row(number)
    return np.concatenate([before, source, after]), np.concatenate([first, target, end])
