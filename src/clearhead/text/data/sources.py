"""Where text comes from: files, folders, patterns, standard input; streamed, and identified by its content."""

from __future__ import annotations

import difflib
import glob
import hashlib
import json
import logging
import os
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from clearhead.errors import FolderError, OptionError, TextError, many, unread
from clearhead.files import reading
from clearhead.text.data.textfile import PACKINGS, check_encoding, decoded, lines, unpacked
from clearhead.text.tokenizers.pieces import TextBlock

log = logging.getLogger(__name__)

SUFFIXES = (".txt", ".md", ".jsonl")
READ = 1 << 20

OnProgress = Callable[[int, int | None], None]  # called with bytes read so far, bytes in all (None: unknown)


class TextSource(Protocol):
    """A collection of documents."""

    @property
    def name(self) -> str: ...

    def key(self) -> str:
        """A hash of the content: equal keys mean equal documents."""
        ...

    def documents(self) -> Iterator[str]:
        """All documents in order; each call starts from the beginning."""
        ...


class FileSource:
    """One text file, or standard input if ``path`` is "-" (copied to a temporary file, since it is read twice).

    A .jsonl file has one document per line: the text in ``field`` ("text" by default) of a JSON object. Standard input
    is JSON lines if a field is given. Any other file is one document, taken verbatim. Files ending in .gz, .xz or .zst
    are unpacked first. ``encoding`` is any that Python knows.
    """

    def __init__(self, path: str | Path, *, field: str | None = None, encoding: str = "utf-8") -> None:
        check_encoding(encoding)
        self.path = Path(path)
        self.encoding = encoding
        self._spool: BinaryIO | None = None
        self._digest: str | None = None
        stdin = str(path) == "-"
        self.name = "standard input" if stdin else str(path)
        self._packing = _packing(self.path)
        self.field = (field or "text") if _suffix(self.path) == ".jsonl" or (stdin and field) else None
        if stdin:
            self._spool = _spooled(sys.stdin.buffer)
        elif self.path.is_fifo():  # a pipe can be read only once: clearhead eval MODEL <(command)
            with self.path.open("rb") as pipe:
                self._spool = _spooled(pipe)
        if self._spool is not None:
            weakref.finalize(self, self._spool.close)

    def size(self) -> int:
        """Bytes of the file on disk, before unpacking."""
        if self._spool is not None:
            return self._spool.seek(0, 2)
        try:
            return self.path.stat().st_size
        except OSError as fault:
            raise _unreadable(self.path, fault) from fault

    def key(self) -> str:
        """blake2b of the file's bytes, and how they are read (0.07 s for 59 MB)."""
        if self._digest is None:
            digest = hashlib.blake2b(digest_size=20)
            for block in self._bytes():
                digest.update(block)
            self._digest = digest.hexdigest()
        return f"{self._digest}:{self._packing}:{self.encoding}:{self.field}"

    def documents(self) -> Iterator[str]:
        """Every document as one string; ``blocks`` splits long ones."""
        parts: list[str] = []
        for block in self.blocks():
            if block.begins and parts:
                yield "".join(parts)
                parts = []
            parts.append(block.text)
        yield "".join(parts)

    def blocks(self, tick: Callable[[int], None] | None = None) -> Iterator[TextBlock]:
        """The documents in blocks of about a megabyte; ``tick`` is called with the number of bytes of each read.

        Raises TextError if the file is missing, empty, damaged, binary, in another encoding, or changes meanwhile.
        """
        texts = self.texts(tick)
        empty = True
        if self.field is None:
            for text in texts:
                yield TextBlock(text, empty)
                empty = False
        else:
            for number, line in enumerate(lines(texts, self.name), start=1):
                if line.strip():
                    yield TextBlock(self._record(line, number, self.field), True)
                    empty = False
        if empty:
            raise TextError(f"{self.name}: is empty; give a file with text in it, or omit this one")

    def texts(self, tick: Callable[[int], None] | None = None) -> Iterator[str]:
        """The file's characters, unpacked and decoded, in blocks. Raises TextError as ``blocks`` does."""
        digest = hashlib.blake2b(digest_size=20)

        def counted() -> Iterator[bytes]:
            for block in self._bytes():
                digest.update(block)
                yield block
                if tick is not None:
                    tick(len(block))

        if self.size():
            content = unpacked(counted(), self._packing, self.name) if self._packing else counted()
            yield from decoded(content, self.encoding, self.name)
        if self._digest not in (None, digest.hexdigest()):
            raise TextError(f"{self.name}: changed while it was being read; run again when nothing writes to it")

    def _bytes(self) -> Iterator[bytes]:
        if self._spool is not None:
            self._spool.seek(0)
            yield from iter(lambda spool=self._spool: spool.read(READ), b"")
            return
        try:
            with reading(self.path) as file:
                yield from iter(lambda: file.read(READ), b"")
        except OSError as fault:
            raise _unreadable(self.path, fault) from fault
        except FolderError as fault:  # a folder, a device, a pointer of Git LFS
            raise TextError(str(fault)) from None

    def _record(self, line: str, number: int, field: str) -> str:
        where = f"{self.name}: line {number}"
        try:
            record: object = json.loads(line)
        except (ValueError, RecursionError) as fault:
            raise TextError(
                f"{where}: not JSON ({unread(fault)}); every line of a .jsonl file is one object"
            ) from fault
        if not isinstance(record, dict):
            raise TextError(f'{where}: {line.strip()[:40]!r} is not an object like {{"{field}": "..."}}')
        values = cast(dict[str, object], record)
        text = values.get(field)
        if not isinstance(text, str):
            texts = sorted(key for key, value in values.items() if isinstance(value, str))
            if not texts:
                there = f"fields: {', '.join(sorted(values))}" if values else "it has no fields"
                raise TextError(f'{where}: no field holds a string ({there}); give lines such as {{"text": "..."}}')
            there = f"is {json.dumps(text)[:40]}, not a string" if field in values else "is missing"
            ways = " or ".join(f"--field {name}" for name in texts)
            raise TextError(f"{where}: field {field!r} {there}; give {ways}")
        try:
            text.encode()
        except UnicodeEncodeError as fault:
            raise TextError(
                f"{where}: field {field!r} has half a character (\\u{ord(text[fault.start]):04x}) "
                f"at character {fault.start}; fix the line"
            ) from fault
        return text


def sources(paths: Iterable[str | Path], *, field: str | None = None, encoding: str = "utf-8") -> list[FileSource]:
    """The files that ``paths`` name: files, folders (every text file in them, sorted, without hidden ones), patterns
    such as ``books/**/*.txt``, and "-" for standard input.

    Raises TextError if something does not exist or a folder cannot be read, OptionError if a file is named twice.
    Other files in a folder, and linked folders, are skipped and logged. Files named outright with another ending are
    read as plain text, which is logged.
    """
    found: list[FileSource] = []
    seen: set[str] = set()
    for given in paths:
        path = Path(given)
        if "\0" in str(given):
            raise TextError(f"{str(given)!r}: no such file: a name cannot contain NUL; check the name")
        try:
            files = _files(str(given))
        except OSError as fault:  # a folder on the path that cannot be entered
            raise _unreadable(path, fault) from fault
        for file in files:
            # Validating on a text that was also trained on would measure memorisation.
            place = os.path.realpath(file)  # Path.resolve raises RuntimeError for a link to itself
            if place in seen:
                raise OptionError(f"{file}: given more than once; name each text once")
            seen.add(place)
        found += [FileSource(file, field=field, encoding=encoding) for file in files]
    others = [source.name for source in found if _suffix(source.path) not in ("", *SUFFIXES)]
    if others:
        log.info("%s: read as plain text", _first(others))
    if not found:
        raise OptionError("no text given: name a file, a folder or a pattern, or - for standard input")
    for source in found:
        source.size()  # reports a missing file before any reading starts
    return found


def _files(given: str) -> list[Path]:
    """The files that a name, folder or pattern stands for."""
    path = Path(given)
    if given == "-":
        return [path]
    if path.is_dir():
        return _text_files(path)
    if path.exists() or not glob.has_magic(given):
        return [path]
    files = _matches(given)
    if not files:
        raise TextError(f"{given}: no file matches this pattern; check it with ls")
    return files


def blocks_of(sources: Sequence[TextSource], progress: OnProgress | None = None) -> Iterator[TextBlock]:
    """The documents of all sources in blocks; files are streamed.

    ``progress`` gets the bytes read and the bytes in all, the latter None if a source is not a file.
    """
    sizes = [source.size() for source in sources if isinstance(source, FileSource)]
    total = sum(sizes) if len(sizes) == len(sources) else None
    read = 0

    def tick(count: int) -> None:
        nonlocal read
        read += count
        if progress is not None:
            progress(read, total)

    for source in sources:
        if isinstance(source, FileSource):
            yield from source.blocks(tick)
        else:
            for document in source.documents():
                yield TextBlock(document, True)
                tick(len(document.encode()))


def lines_of(path: str) -> Iterator[str]:
    """The lines of a file as FileSource reads it, or of standard input ("-") as they come; without their ends.

    Raises TextError if it cannot be read or is not UTF-8.
    """
    if path != "-":
        file = FileSource(path)
        found, name = file.texts(), file.name
    else:
        name = "standard input"
        stream = cast(BufferedReader, sys.stdin.buffer)
        found = decoded(iter(lambda: stream.read1(READ), b""), "utf-8", name)
    for line in lines(found, name):
        yield line.rstrip("\r")


def _text_files(folder: Path) -> list[Path]:
    files: list[Path] = []
    links: list[str] = []
    for place, inner, names in os.walk(folder, onerror=_refuse):
        inner[:] = [name for name in inner if not name.startswith(".")]
        links += [name for name in inner if Path(place, name).is_symlink()]  # os.walk does not follow them
        files += [Path(place, name) for name in names if not name.startswith(".")]
    files.sort()
    texts = [path for path in files if _suffix(path) in SUFFIXES]
    others = [path.name for path in files if _suffix(path) not in SUFFIXES]
    wanted = f"{' '.join(SUFFIXES)} (each also {' '.join(PACKINGS)})"
    if not texts:
        raise TextError(f"{folder}: no text files in this folder; looked for {wanted}")
    if others:
        log.warning("%s: skipped %s, not %s: %s", folder, many(len(others), "file"), wanted, _first(others))
    if links:
        log.warning(
            "%s: skipped the linked folder(s) %s; name them too if you want their text", folder, ", ".join(links)
        )
    for path in texts:
        if path.exists() and not path.is_file():
            raise TextError(
                f"{path}: is a pipe, a socket or a device, and should be a file; remove it or name the files"
            )
    return texts


def _first(names: Sequence[str]) -> str:
    """The first three names."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _matches(pattern: str) -> list[Path]:
    """The files that a pattern matches, sorted. Raises TextError if it covers a folder that cannot be read."""
    parts = Path(pattern).parts
    for number, part in enumerate(parts):
        if glob.has_magic(part):  # glob lists these folders, and treats unreadable ones as empty
            for name in glob.glob(os.path.join(*parts[:number], ""), recursive=True) if number else ["."]:  # noqa: PTH118, PTH207
                next(os.walk(name, onerror=_refuse), None)
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute one
    return [Path(name) for name in matches if Path(name).is_file()]


def _refuse(fault: OSError) -> None:
    raise _unreadable(Path(fault.filename), fault) from fault


def _packing(path: Path) -> str:
    return path.suffix if path.suffix in PACKINGS else ""


def _suffix(path: Path) -> str:
    return (path.with_suffix("") if _packing(path) else path).suffix


def _spooled(stream: BinaryIO) -> BinaryIO:
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - stays open as long as its source
    try:
        while block := stream.read(READ):
            spool.write(block)
        spool.flush()
    except OSError as fault:
        raise TextError(
            f"standard input: cannot write it to {tempfile.gettempdir()}: {fault.strerror}; "
            "free some space there, set TMPDIR to another folder, or give a file instead"
        ) from fault
    return spool


def _unreadable(path: Path, fault: OSError) -> TextError:
    if not isinstance(fault, FileNotFoundError):
        return TextError(f"{path}: cannot be read: {fault.strerror}")
    if path.is_symlink():
        return TextError(f"{path}: is a link to a file that is not there; mend the link, or name another file")
    beside = [other.name for other in path.parent.iterdir()] if os.access(path.parent, os.R_OK) else []
    alike = difflib.get_close_matches(path.name, beside)
    # compare stems too: the suffix alone makes 没有.txt and 空.txt similar
    near = [name for name in alike if difflib.get_close_matches(path.stem, [Path(name).stem])]
    hint = f"; did you mean {str(path.parent / near[0])!r}?" if near else "; check the name and the folder"
    return TextError(f"{path}: no such file{hint}")
