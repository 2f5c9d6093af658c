"""Unpacking and decoding as a stream, against Python's own decoders on the whole."""

import bz2
import gzip
import lzma
import re
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from clearhead.errors import OptionError, TextError
from clearhead.text.data import textfile
from clearhead.text.data.textfile import check_encoding, decoded, lines, unpacked

PACK = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def blocks(data: bytes, size: int) -> list[bytes]:
    return [data[place : place + size] for place in range(0, len(data), size)]


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("size", [1, 7, 1 << 14])
def test_members_in_a_row_are_joined(suffix: str, size: int):
    packed = PACK[suffix](b"first ") + PACK[suffix](b"second " * 100)
    assert b"".join(unpacked(blocks(packed, size), suffix, "f")) == b"first " + b"second " * 100


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_zeros_after_the_last_member_are_padding(suffix: str):
    packed = PACK[suffix](b"text") + bytes(512)
    assert b"".join(unpacked(blocks(packed, 100), suffix, "f")) == b"text"


@pytest.mark.parametrize("suffix", PACK)
def test_every_truncation_is_reported(suffix: str):
    packed = PACK[suffix](b"It was the best of times, it was the worst of times. " * 20)
    for end in range(len(packed)):
        with pytest.raises(
            TextError, match=rf"^f: the {re.escape(suffix)} data .* download or compress the file again$"
        ):
            list(unpacked([packed[:end]], suffix, "f"))


@pytest.mark.parametrize("suffix", PACK)
def test_damage_is_reported_with_its_place(suffix: str):
    packed = bytearray(PACK[suffix](bytes(range(256)) * 40))
    packed[-3] ^= 0xFF  # in the checksum (.gz, .zst) or the footer (.xz)
    with pytest.raises(TextError, match="damaged after byte") as told:
        list(unpacked(blocks(bytes(packed), 10), suffix, "f"))
    at = int(re.findall(r"after byte (\d+)", str(told.value))[0])
    assert len(packed) - 13 <= at < len(packed)


def test_another_format_is_damage():
    with pytest.raises(TextError, match=r"the \.gz data is damaged after byte 0"):
        list(unpacked([bz2.compress(b"text")], ".gz", "f"))


@given(text=st.text().map(lambda t: t.replace("\0", "").replace("\ufeff", "")), size=st.integers(1, 9))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32", "gb18030"])
def test_blocks_decode_as_the_whole(encoding: str, text: str, size: int):
    assert "".join(decoded(blocks(text.encode(encoding), size), encoding, "f")) == text


@given(
    before=st.text(alphabet="a你é🙂", max_size=20),
    size=st.integers(1, 9),
    bad=st.sampled_from([b"\xff", b"\xe4", b"\x80"]),
)
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_the_first_bad_byte_is_named(encoding: str, before: str, size: int, bad: bytes):
    data = before.encode(encoding) + bad
    try:
        data.decode(encoding)
    except UnicodeDecodeError as fault:
        expected = fault.start
        with pytest.raises(TextError, match=rf"^f: byte {expected} \(0x"):
            list(decoded(blocks(data, size), encoding, "f"))


def test_a_byte_order_mark_is_not_text():
    assert "".join(decoded([b"\xef", b"\xbb\xbfab"], "utf-8", "f")) == "ab"
    assert "".join(decoded(["ab".encode("utf-16")], "utf-16", "f")) == "ab"


def test_line_ends_stay():
    assert "".join(decoded([b"a\r\nb\r", b"\nc\r"], "utf-8", "f")) == "a\r\nb\r\nc\r"


@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        (b"ab\x00cd", "utf-8", "a NUL near byte 2: this is binary data"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "utf-8", "byte 0 .0x89. is not utf-8 .* this is binary data"),
        ("text".encode("utf-16"), "utf-8", "byte 0 .* try --encoding utf-16"),
        ("déjà vu".encode("latin-1"), "utf-8", "byte 1 .0xe9. is not utf-8 .* --encoding gb18030 or cp1252"),
        (
            "从前有一个国王。".encode(),
            "gb18030",
            "byte .* is not gb18030 .*; it looks like UTF-8: omit --encoding$",
        ),
        ("从前有一个国王。".encode()[1:-1], "GBK", "byte .* it looks like UTF-8: omit --encoding$"),
        ("déjà".encode("latin-1") + b"\xff\xff", "gb18030", "byte .* instance --encoding cp1252. or save it as UTF-8$"),
        ("\u0301x".encode() + b"\x81", "cp1252", "byte .* instance --encoding gb18030. or save it as UTF-8$"),
        (
            "你好吗".encode(),
            "gb18030",
            "byte 8 .* it looks like UTF-8: omit --encoding$",
        ),  # all but the last byte is
        (b"text", "utf-16", "not utf-16 from byte 0 on"),
    ],
)
def test_what_is_not_text_of_the_encoding(data: bytes, encoding: str, message: str):
    with pytest.raises(TextError, match=f"^f: {message}"):
        list(decoded([data], encoding, "f"))


def test_an_unknown_encoding_names_the_nearest():
    with pytest.raises(OptionError, match="'gb1830' is not a text encoding; did you mean 'gb18030'"):
        check_encoding("gb1830")
    with pytest.raises(OptionError, match="rot13"):
        check_encoding("rot13")
    with pytest.raises(OptionError, match="undefined"):  # which Python has, for what must not be encoded
        check_encoding("undefined")


@pytest.mark.parametrize("suffix", PACK)
def test_little_that_becomes_much_comes_in_pieces(suffix: str):
    """256 MB of one letter, in 8 kB as .zst."""
    packed = {**PACK, ".zst": zstandard.ZstdCompressor(level=19).compress}[suffix](b"a" * 2**28)
    sizes = [len(block) for block in unpacked([packed], suffix, "f")]
    assert sum(sizes) == 2**28
    assert max(sizes) <= 17 * 10**6


def wide(suffix: str) -> bytes:
    """A small file whose header says that the last 1 GB of text must be kept."""
    if suffix == ".zst":
        parameters = zstandard.ZstdCompressionParameters(window_log=30)
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        return packer.compress(b"text") + packer.flush()
    packed = bytearray(lzma.compress(b"text", preset=0))
    end = 12 + 4 * (packed[12] + 1)  # of the block's header: its size is in words, its checksum in the last of them
    packed[packed.index(b"\x21\x01", 12) + 2] = 36  # LZMA2's dictionary: 2 ** (36 / 2 + 12) bytes
    packed[end - 4 : end] = zlib.crc32(packed[12 : end - 4]).to_bytes(4, "little")
    return bytes(packed)


@pytest.mark.parametrize("suffix", [".xz", ".zst"])
def test_a_file_that_takes_much_memory_to_unpack_is_refused(suffix: str):
    with pytest.raises(TextError, match=r"^f: unpacking it takes more than 256 MB of memory; unpack it yourself"):
        list(unpacked([wide(suffix)], suffix, "f"))


@pytest.mark.parametrize(("suffix", "packed"), [
    (".xz", lzma.compress(b"text", preset=9 | lzma.PRESET_EXTREME)),
    (".zst", zstandard.ZstdCompressor(level=22).compress(b"text" * 2**20)),
])  # fmt: skip
def test_files_of_the_highest_levels_are_unpacked(suffix: str, packed: bytes):
    assert b"".join(unpacked([packed], suffix, "f")).startswith(b"text")


def test_a_line_that_does_not_end_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(textfile, "LINE_AT_MOST", 10)
    assert list(lines(["a" * 5, "a" * 5, "\n", "b" * 10], "f")) == ["a" * 10, "b" * 10]
    read = iter("a" * 1_000)
    with pytest.raises(TextError, match=r"^f: a line has more than 10 characters; give its text in several"):
        list(lines(read, "f"))
    assert len(list(read)) == 1_000 - 11


def test_only_a_newline_ends_a_line():
    assert list(lines(["a\u2028b\x85c\r", "\nd", "e\n\nf"], "f")) == ["a\u2028b\x85c\r", "de", "", "f"]
