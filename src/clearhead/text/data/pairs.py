"""Sentence pairs in files: two columns of a table, two fields of JSON lines, or two files line by line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple, cast

from clearhead.errors import OptionError, TextError, shown
from clearhead.text.data.sources import FileSource
from clearhead.text.data.textfile import lines

FIELDS = ("source", "target")  # of .jsonl lines, unless named

Tick = Callable[[int], None]


class Pair(NamedTuple):
    """A sentence and its translation. A line that has only one column has an empty target."""

    source: str
    target: str
    whole: bool = True  # False for a line that has only one column


class PairFile:
    """A file of pairs: a .jsonl file, or a table whose first two columns are separated by a tab.

    Either may be packed (.gz, .xz, .zst) or "-", standard input. Further columns are ignored.
    """

    def __init__(self, path: str, *, fields: Sequence[str] = FIELDS, encoding: str = "utf-8") -> None:
        self._file = FileSource(path, encoding=encoding)
        self.json = self._file.field is not None
        self.name, self._fields = self._file.name, check_fields(fields)

    def key(self) -> str:
        """A hash of the content and of how it is read."""
        return f"pairs 1 {self._file.key()} {'/'.join(self._fields) if self.json else ''}"

    def size(self) -> int:
        """Bytes on disk."""
        return self._file.size()

    def pairs(self, tick: Tick | None = None) -> Iterator[Pair]:
        """Every line but empty ones. Raises TextError as FileSource does, and for what is not JSON."""
        for number, line in enumerate(lines(self._file.texts(tick), self.name), start=1):
            line = line.rstrip("\r")
            if line.strip():
                yield self._record(line, number) if self.json else _columns(line)

    def documents(self) -> Iterator[str]:
        """Every pair as one document, from which a tokenizer is learned."""
        yield from _sides(self.pairs())

    def _record(self, line: str, number: int) -> Pair:
        where = f"{self.name}: line {number}"
        try:
            record: object = json.loads(line)
        except (ValueError, RecursionError) as fault:
            raise TextError(f"{where}: not JSON ({fault}); every line of a .jsonl file is one object") from fault
        if not isinstance(record, dict):
            raise TextError(f"{where}: {line[:40]!r} is not an object with the fields {' and '.join(self._fields)}")
        found = [cast(dict[str, object], record).get(field) for field in self._fields]
        if None in found:
            raise TextError(
                f"{where}: no field {self._fields[found.index(None)]!r}; there are "
                f"{', '.join(map(str, cast(dict[str, object], record))) or 'none'}; name both: --field en,de"
            )
        if not all(isinstance(each, str) for each in found):
            raise TextError(f"{where}: a field is not a string; both must be")
        source, target = (" ".join(str(each).splitlines()) for each in found)
        try:
            f"{source}{target}".encode()
        except UnicodeEncodeError as fault:
            raise TextError(f"{where}: a field has half a character ({fault.reason}); fix the line") from fault
        return Pair(source, target)


class ParallelFiles:
    """Two files; line n of one translates line n of the other."""

    def __init__(self, source: str, target: str, *, encoding: str = "utf-8") -> None:
        self._files = [FileSource(path, encoding=encoding) for path in (source, target)]
        if any(file.field is not None for file in self._files):
            raise OptionError(f"{source}, {target}: .jsonl files hold both sides; name one of them as pairs")
        self.name = f"{self._files[0].name} and {self._files[1].name}"

    def key(self) -> str:
        """A hash of the content."""
        return f"parallel 1 {' '.join(file.key() for file in self._files)}"

    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.size() for file in self._files)

    def pairs(self, tick: Tick | None = None) -> Iterator[Pair]:
        """Every pair of lines. Raises TextError as FileSource does, and if one file has more lines."""
        both = [lines(file.texts(tick), file.name) for file in self._files]
        rest: int | None = None  # lines of the shorter
        for number, (source, target) in enumerate(zip_longest(*both)):
            if source is None or target is None:
                rest = number if rest is None else rest
            else:
                yield Pair(source.rstrip("\r"), target.rstrip("\r"))
        if rest is not None:
            longer = [file.name for file in self._files if sum(1 for _ in lines(file.texts(), file.name)) > rest]
            raise TextError(
                f"{self.name}: {longer[0]} has more lines than the other, which has {rest:,}; line n of one must "
                "translate line n of the other"
            )

    def documents(self) -> Iterator[str]:
        """Every pair as one document, from which a tokenizer is learned."""
        yield from _sides(self.pairs())


PairSource = PairFile | ParallelFiles


def check_fields(fields: Sequence[str]) -> tuple[str, ...]:
    """Raises OptionError unless there are two different names."""
    if len(set(fields)) != 2 or not all(fields) or len(fields) != 2:
        raise OptionError(f"fields {shown(','.join(fields))}: give two names, as in --field en,de")
    return tuple(fields)


def _columns(line: str) -> Pair:
    source, *rest = line.split("\t")
    return Pair(source, rest[0]) if rest else Pair(source, "", whole=False)


def _sides(pairs: Iterator[Pair]) -> Iterator[str]:
    # one document, so that a tokenizer learned from every second document sees both languages
    for pair in pairs:
        yield f"{pair.source}\n{pair.target}"


def pair_hash(text: bytes) -> int:
    """63 bits of a text's hash, to find equal ones."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1
