"""Where text comes from, and errors if it is missing."""

import gzip
import io
import json
import logging
import lzma
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zstandard

from clearhead.errors import OptionError, TextError
from clearhead.text import FileSource, PairFile, sources
from clearhead.text.data.sources import blocks_of
from clearhead.text.tokenizers.pieces import TextBlock


def texts(*found: FileSource) -> list[str]:
    return [document for source in found for document in source.documents()]


def write_lines(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


class Typed:
    """Standard input with these bytes waiting."""

    def __init__(self, data: bytes):
        self.buffer = io.BytesIO(data)


def test_a_folder_gives_its_text_files_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "b.txt").write_text("b")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "z.md").write_text("a/z")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"c"))
    (tmp_path / "d.md.xz").write_bytes(lzma.compress(b"d"))
    (tmp_path / "e.jsonl.zst").write_bytes(zstandard.compress(b'{"text": "e1"}\n\n{"text": "e2"}'))
    (tmp_path / "cover.png").write_bytes(b"\x89PNG")
    (tmp_path / "data.gz").write_bytes(gzip.compress(b"not text by its name"))
    (tmp_path / ".hidden.txt").write_text("hidden")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "note.txt").write_text("hidden")
    with caplog.at_level(logging.WARNING):
        assert texts(*sources([tmp_path])) == ["a/z", "b", "c", "d", "e1", "e2"]
    (told,) = caplog.messages
    assert "skipped 2 files" in told
    assert told.endswith("cover.png, data.gz")


@pytest.mark.parametrize("twice", ["a.txt", "../{name}/a.txt", "*.txt", "."])
def test_a_text_given_twice_is_an_error(tmp_path: Path, twice: str):
    """If a text were read twice, the validation part would have been trained on."""
    (tmp_path / "a.txt").write_text("a")
    other = tmp_path / twice.format(name=tmp_path.name)
    with pytest.raises(OptionError, match=r"a\.txt: given more than once; name each text once"):
        sources([tmp_path / "a.txt", other])


def test_a_pattern_gives_files_only(tmp_path: Path):
    for name in ("one.log", "two.log", "three.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder.log").mkdir()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "four.txt").write_text("four.txt")
    assert texts(*sources([f"{tmp_path}/*.log"])) == ["one.log", "two.log"]
    assert texts(*sources([f"{tmp_path}/**/*.txt"])) == ["four.txt", "three.txt"]
    (tmp_path / "[odd].txt").write_text("a name, not a pattern")
    assert texts(*sources([tmp_path / "[odd].txt"])) == ["a name, not a pattern"]


@contextmanager
def not_root() -> Iterator[None]:
    """Drops root, if the tests run as root, so that permissions apply inside the block."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("given", [".", "**/*.txt", "*/*.txt", "deep/*.txt", "deep/**"])
def test_a_folder_that_cannot_be_read_is_an_error(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Skipping it would train on less text without a word."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.txt").write_text("a")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.txt").write_text("b")
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    (tmp_path / "a").chmod(0o755)
    (tmp_path / "deep").chmod(0)
    try:
        with not_root(), pytest.raises(TextError, match=r"^deep.*: cannot be read: Permission denied"):
            sources([given])
    finally:
        (tmp_path / "deep").chmod(0o755)


def test_links_and_pipes_in_a_folder_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.txt").write_text("b")
    (tmp_path / "texts" / "more").symlink_to(tmp_path / "other")
    assert texts(*sources([tmp_path / "texts"])) == ["a"]
    assert caplog.messages == [
        f"{tmp_path}/texts: skipped the linked folder(s) more; name them too if you want their text"
    ]
    (tmp_path / "texts" / "c.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(TextError, match=r"c\.txt: is a link to a file that is not there"):
        sources([tmp_path / "texts"])
    (tmp_path / "texts" / "c.txt").unlink()
    os.mkfifo(tmp_path / "texts" / "c.txt")
    with pytest.raises(TextError, match=r"c\.txt: is a pipe, a socket or a device"):
        sources([tmp_path / "texts"])


def test_standard_input_can_be_read_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", Typed("It was\r\n你好".encode()))
    (source,) = sources(["-"])
    key = source.key()
    assert texts(source) == texts(source) == ["It was\r\n你好"]
    assert (source.name, source.size(), source.key()) == ("standard input", 14, key)


@pytest.mark.usefixtures("at_once")
def test_a_device_is_not_read(tmp_path: Path):
    """It may never end."""
    with pytest.raises(TextError, match=r"^/dev/zero: is a device, and should be a file"):
        FileSource("/dev/zero").key()


def test_a_pipe_can_be_read_again(tmp_path: Path):
    """As a shell hands it over: clearhead eval MODEL <(command)."""
    reading, writing = os.pipe()
    os.write(writing, b"once")
    os.close(writing)
    (source,) = sources([f"/dev/fd/{reading}"])
    os.close(reading)
    key = source.key()
    assert texts(source) == texts(source) == ["once"]
    assert (source.size(), source.key()) == (4, key)


def test_standard_input_is_json_lines_when_a_field_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", Typed(b'{"a": "1"}\n{"a": "2"}\n'))
    assert texts(*sources(["-"], field="a")) == ["1", "2"]


def test_empty_standard_input(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", Typed(b""))
    with pytest.raises(TextError, match="standard input: is empty"):
        texts(*sources(["-"]))


def test_a_long_file_comes_in_blocks_of_one_document(tmp_path: Path):
    text = "你好世界\n" * 300_000
    (tmp_path / "long.txt").write_text(text, encoding="utf-8")
    read: list[tuple[int, int | None]] = []
    blocks = list(blocks_of(sources([tmp_path]), lambda done, total: read.append((done, total))))
    assert "".join(block.text for block in blocks) == text
    assert [block.begins for block in blocks] == [True] + [False] * (len(blocks) - 1)
    size = len(text.encode())
    assert len(read) == -(-size // (1 << 20))
    assert read[-1] == (size, size)


def test_sources_that_are_not_files_have_no_known_total():
    class Two:
        name = "two"

        def key(self) -> str:
            return "two"

        def documents(self):
            yield from ["ab", "你"]

    read: list[tuple[int, int | None]] = []
    blocks = list(blocks_of([Two()], lambda done, total: read.append((done, total))))
    assert blocks == [TextBlock("ab", True), TextBlock("你", True)]
    assert read == [(2, None), (5, None)]


def test_keys_tell_content_and_how_it_is_read(tmp_path: Path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("same")
    two.write_text("same")
    assert FileSource(one).key() == FileSource(two).key()
    assert FileSource(one).key() != FileSource(one, encoding="latin-1").key()
    two.write_text("other")
    assert FileSource(one).key() != FileSource(two).key()
    line = write_lines(tmp_path / "l.jsonl", {"a": "1", "b": "2"})
    assert FileSource(line, field="a").key() != FileSource(line, field="b").key()


def test_a_file_that_changes_between_key_and_reading_is_reported(tmp_path: Path):
    path = tmp_path / "growing.txt"
    path.write_text("one")
    source = FileSource(path)
    source.key()
    path.write_text("one two")
    with pytest.raises(TextError, match=r"growing\.txt: changed while it was being read"):
        texts(source)


def test_json_fields_and_blank_lines(tmp_path: Path):
    path = write_lines(tmp_path / "l.jsonl", {"text": "你\n好\u2028"}, {"text": ""})
    path.write_text(path.read_text() + "\n  \n" + '{"text": "last"}')
    assert texts(FileSource(path)) == ["你\n好\u2028", "", "last"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a"', "line 2: not JSON"),
        ('["text"]', "line 2: .* is not an object like"),
        ("[" * 100_000, r"line 2: not JSON \(its brackets are nested too deeply\)"),
        ("9" * 5_000, r"line 2: not JSON \(a number has more than 4,300 digits\)"),
        (
            '{"txt": "a", "n": 1, "body": "b"}',
            "line 2: field 'text' is missing; give --field body or --field txt$",
        ),
        ('{"text": 5, "t": "hi"}', "line 2: field 'text' is 5, not a string; give --field t$"),
        ('{"b": 1, "a": 2}', r'line 2: no field holds a string \(fields: a, b\); give lines such as {"text": "..."}$'),
        ("{}", r"line 2: no field holds a string \(it has no fields\)"),
        (r'{"text": "ab\ud83d"}', r"line 2: field 'text' has half a character \(\\ud83d\) at character 2"),
    ],
)
def test_bad_json_lines_are_named(tmp_path: Path, line: str, message: str):
    path = tmp_path / "l.jsonl"
    path.write_text('{"text": "good"}\n' + line + "\n")
    with pytest.raises(TextError, match=r"l\.jsonl: " + message):
        texts(FileSource(path))


@pytest.mark.parametrize("name", ["e.txt", "e.jsonl", "e.txt.gz", "e.md.zst"])
def test_empty_files_are_reported(tmp_path: Path, name: str):
    (tmp_path / name).touch()
    with pytest.raises(TextError, match=f"{re.escape(name)}: is empty"):
        texts(FileSource(tmp_path / name))


def test_files_with_other_endings_are_read_as_plain_text(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", "clearhead")
    for name in ("book.pdf", "notes", "a.txt.gz"):
        (tmp_path / name).write_text("text")
    (source, *_) = sources([tmp_path / name for name in ("book.pdf", "notes", "a.txt.gz")])
    assert texts(source) == ["text"]
    assert caplog.messages == [f"{tmp_path / 'book.pdf'}: read as plain text"]
    (tmp_path / "book.pdf").write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")  # as every real one begins
    with pytest.raises(TextError, match=r"book\.pdf: byte 10 \(0xe2\) is not utf-8"):
        texts(FileSource(tmp_path / "book.pdf"))


def test_a_byte_order_mark_alone_is_empty(tmp_path: Path):
    (tmp_path / "e.txt").write_bytes(b"\xef\xbb\xbf")
    with pytest.raises(TextError, match="is empty"):
        texts(FileSource(tmp_path / "e.txt"))


def test_what_is_not_there(tmp_path: Path):
    (tmp_path / "emma.txt").write_text("x")
    with pytest.raises(TextError, match=r"ema\.txt: no such file; did you mean '.*emma\.txt'"):
        sources([tmp_path / "ema.txt"])
    (tmp_path / "空.txt").write_text("x")
    with pytest.raises(TextError, match=r"没有\.txt: no such file; check the name"):
        sources([tmp_path / "没有.txt"])
    with pytest.raises(TextError, match="no such file; check the name and the folder"):
        sources([tmp_path / "nowhere" / "x.txt"])
    with pytest.raises(TextError, match="no file matches this pattern"):
        sources([f"{tmp_path}/*.nothing"])
    (tmp_path / "pictures").mkdir()
    with pytest.raises(TextError, match=r"no text files in this folder; looked for \.txt \.md \.jsonl"):
        sources([tmp_path / "pictures"])
    with pytest.raises(OptionError, match="no text given"):
        sources([])


def test_a_folder_named_as_a_file_is_reported(tmp_path: Path):
    with pytest.raises(TextError, match="is a folder, and should be a file"):
        texts(FileSource(tmp_path))


def test_faults_inside_a_packed_file_are_named_with_the_file(tmp_path: Path):
    path = tmp_path / "p.txt.gz"
    path.write_bytes(gzip.compress(b"good" * 5000 + b"\xff"))
    with pytest.raises(TextError, match=r"p\.txt\.gz: byte 20000 .0xff. is not utf-8"):
        texts(FileSource(path))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(TextError, match=r"p\.txt\.gz: .*(breaks off at byte|is not utf-8)"):
        texts(FileSource(path))


def test_the_encoding_is_the_users(tmp_path: Path):
    path = tmp_path / "old.txt"
    path.write_bytes("红楼梦".encode("gb18030"))
    assert texts(FileSource(path, encoding="gb18030")) == ["红楼梦"]
    with pytest.raises(TextError, match=r"byte 0 .* is not utf-8"):
        texts(FileSource(path))
    with pytest.raises(OptionError, match="not a text encoding"):
        FileSource(path, encoding="gb")


def test_a_name_with_a_nul_is_an_error():
    """A recipe can contain one."""
    with pytest.raises(TextError, match=r"no such file: a name cannot contain NUL"):
        sources(["a\0b"])


def test_a_link_to_itself_is_an_error(tmp_path: Path):
    (tmp_path / "a.txt").symlink_to("a.txt")
    with pytest.raises(TextError, match=r"a.txt: cannot be read: Too many levels of symbolic links"):
        sources([tmp_path / "a.txt"])


@pytest.mark.parametrize("kind", [FileSource, PairFile])
def test_a_link_to_nothing_is_an_error(tmp_path: Path, kind: Any):
    """A file of its own name is no suggestion."""
    (tmp_path / "a.txt").symlink_to("b.txt")
    with pytest.raises(TextError, match=r"a\.txt: is a link to a file that is not there; mend the link"):
        list(kind(str(tmp_path / "a.txt")).documents())
