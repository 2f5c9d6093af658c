"""Bytes of a file to blocks of text: unpacked and decoded as a stream; every fault is reported with its position."""

from __future__ import annotations

import codecs
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from clearhead.errors import MissingExtraError, OptionError, TextError, nearest

PACKINGS = (".gz", ".xz", ".zst")

# Packed bytes that are unpacked at a time: 4 bytes of .zst can become 131,072, these 17 million.
SLICE = 512

# Bytes of memory that unpacking may take, most of it for the window of earlier text that packed data refers back to.
# xz -9 and zstd -19 need 65 and 8 MB; a header of a few bytes can ask for up to 1.5 and 2 GB.
MEMORY_AT_MOST = 2**28

LINE_AT_MOST = 2**27  # characters; a line is kept whole until its end

TOO_MUCH = re.compile("Memory usage limit|too much memory")  # how lzma and zstandard word it

# Bytes kept from before a block to explain a fault in it: UTF-8 read as GBK may fail only at the very end.
TAIL = 64


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class _Packing:
    new: Callable[[], _Unpacker]
    error: type[Exception]


def _packing_of(suffix: str) -> _Packing:
    if suffix == ".gz":
        # wbits 31: a gzip wrapper, whose checksum and length zlib verifies
        return _Packing(new=lambda: zlib.decompressobj(wbits=31), error=zlib.error)
    if suffix == ".xz":
        return _Packing(new=lambda: lzma.LZMADecompressor(memlimit=MEMORY_AT_MOST), error=lzma.LZMAError)
    try:
        import zstandard
    except ImportError as missing:
        raise MissingExtraError(
            "reading .zst needs zstandard: pip install 'clearhead[data]', or unpack the file first"
        ) from missing
    return _Packing(
        new=lambda: zstandard.ZstdDecompressor(max_window_size=MEMORY_AT_MOST // 2).decompressobj(),
        error=zstandard.ZstdError,
    )


def unpacked(blocks: Iterable[bytes], suffix: str, name: str) -> Iterator[bytes]:
    """The content of a compressed stream; ``suffix`` is one of PACKINGS. Concatenated members are joined.

    A block of the content has at most 17 MB, however few packed bytes make it. Raises TextError if the stream is
    damaged or ends early, with the position in the compressed file.
    """
    packing = _packing_of(suffix)
    unpacker = packing.new()
    at = 0
    for rest in _sliced(blocks):
        size = len(rest)
        while rest:
            if unpacker.eof:
                rest = rest.lstrip(b"\0")  # gzip and xz may be padded with zeros
                if not rest:
                    break
                unpacker = packing.new()
            try:
                content = unpacker.decompress(rest)
            except packing.error as fault:
                if TOO_MUCH.search(str(fault)):
                    raise TextError(
                        f"{name}: unpacking it takes more than {MEMORY_AT_MOST >> 20} MB of memory; unpack it "
                        "yourself, or compress it again with a smaller window"
                    ) from fault
                raise TextError(
                    f"{name}: the {suffix} data is damaged after byte {at} of the file ({fault}); "
                    "download or compress the file again"
                ) from fault
            rest = unpacker.unused_data if unpacker.eof else b""
            if content:
                yield content
        at += size
    if not unpacker.eof:
        raise TextError(
            f"{name}: the {suffix} data breaks off at byte {at}, before its end mark; "
            "download or compress the file again"
        )


def _sliced(blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        for start in range(0, len(block), SLICE):
            yield block[start : start + SLICE]


def check_encoding(encoding: str) -> None:
    """Raises OptionError if Python has no text encoding of this name."""
    try:
        "".encode(encoding)
    except (LookupError, UnicodeError) as unknown:  # "undefined" is an encoding that refuses everything
        known = ["utf-8", "utf-16", "gb18030", "big5", "shift_jis", "euc-kr", "latin-1", "cp1252", "koi8-r"]
        raise OptionError(f"--encoding {encoding!r} is not a text encoding{nearest(encoding, known)}") from unknown


def decoded(blocks: Iterable[bytes], encoding: str, name: str) -> Iterator[str]:
    """Decodes a stream of bytes exactly, line ends included; drops a byte-order mark at the start.

    Raises TextError at the first byte that the encoding does not allow, and at a NUL, which no text contains.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    fed = 0  # bytes given to the decoder so far
    first = True
    tail = b""  # the last bytes before this block
    for block, last in _with_end(blocks):
        pending = len(decoder.getstate()[0])  # bytes of a character that the last block cut off
        begin = fed - pending
        try:
            text = decoder.decode(block, last)
        except UnicodeError as fault:
            raise _undecodable(fault, begin, encoding, name, near=tail + block) from fault
        nul = text.find("\0")
        if nul >= 0:
            near = begin + len(text[:nul].encode(encoding))
            raise TextError(
                f"{name}: a NUL near byte {near}: this is binary data, not {encoding} text; "
                "give a text file, or set its encoding with --encoding"
            )
        fed += len(block)
        tail = (tail + block)[-TAIL:]
        if first and text:
            text = text.removeprefix("\ufeff")
            first = False
        if text:
            yield text


def _undecodable(fault: UnicodeError, begin: int, encoding: str, name: str, *, near: bytes) -> TextError:
    """The error for a fault in the bytes that begin at ``begin``; never suggests the encoding that failed."""
    failed = codecs.lookup(encoding).name
    others = [other for other in ("gb18030", "cp1252") if codecs.lookup(other).name != failed]
    hint = f"if this is text, set its encoding (for instance --encoding {' or '.join(others)}) or save it as UTF-8"
    data = fault.object if isinstance(fault, UnicodeDecodeError) else b""
    if isinstance(fault, UnicodeDecodeError):
        what = f"byte {begin + fault.start} (0x{data[fault.start]:02x}) is not {encoding} ({fault.reason})"
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not failed.startswith("utf-16"):
            hint = "it begins like UTF-16: try --encoding utf-16"
        elif b"\0" in data:
            hint = "it contains NUL bytes, so this is binary data; give a text file"
        elif failed != "utf-8" and _like_utf8(near):
            hint = "it looks like UTF-8: omit --encoding"
    else:  # UTF-16 without its byte-order mark
        what = f"not {encoding} from byte {begin} on ({fault})"
    return TextError(f"{name}: {what}; {hint}")


def _like_utf8(data: bytes) -> bool:
    """Whether the bytes are UTF-8 with non-ASCII characters; a character may be cut off at either end."""
    start = next((at for at, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), 0)
    try:
        text, _ = codecs.utf_8_decode(data[start:], "strict", False)
    except UnicodeDecodeError:
        return False
    return not text.isascii()


def _with_end(blocks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    for block in blocks:
        yield block, False
    yield b"", True


def lines(blocks: Iterable[str], name: str) -> Iterator[str]:
    r"""Lines without their ends; only "\n" ends a line (JSON strings may contain U+2028 and the like).

    Raises TextError for a line longer than LINE_AT_MOST characters.
    """
    kept: list[str] = []  # of the line that has not ended
    size = 0
    for block in blocks:
        first, *others = block.split("\n")
        kept.append(first)
        size += len(first)
        if size > LINE_AT_MOST:
            raise TextError(f"{name}: a line has more than {LINE_AT_MOST:,} characters; give its text in several")
        if others:
            yield "".join(kept)
            *whole, last = others
            yield from whole
            kept, size = [last], len(last)
    if size:
        yield "".join(kept)
