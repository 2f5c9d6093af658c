"""Learned tokenizers come from the cache the second time."""

import os
from pathlib import Path

import pytest
from test_tokens import Texts

from clearhead.errors import OptionError, WriteError
from clearhead.text import learn

WORDS = "".join(f"{a}{b}{c} " for a in "abcdefg" for b in "hijklm" for c in "nopqrst") * 3


@pytest.mark.parametrize(("kind", "size"), [("characters", None), ("bpe", None), ("bpe", 300), ("character-bpe", 300)])
def test_the_second_time_nothing_is_learned(tmp_path: Path, kind: str, size: int | None):
    source = Texts(WORDS, "end")
    first = learn(kind, [source], vocab_size=size, cache=tmp_path)
    again = learn(kind, [source], vocab_size=size, cache=tmp_path)
    assert source.read == 1
    assert (again.kind, again.fingerprint) == (kind, first.fingerprint)
    assert first.vocab_size == {"characters": 22, "bpe": size or 512, "character-bpe": size}[kind]


def test_bytes_need_no_text(tmp_path: Path):
    source = Texts("x")
    assert learn("bytes", [source], cache=tmp_path).vocab_size == 257
    assert (source.read, list(tmp_path.iterdir())) == (0, [])


def test_other_text_or_size_gives_another(tmp_path: Path):
    made = [
        learn("bpe", [Texts(WORDS)], vocab_size=300, cache=tmp_path),
        learn("bpe", [Texts(WORDS)], vocab_size=301, cache=tmp_path),
        learn("bpe", [Texts(WORDS.upper())], vocab_size=300, cache=tmp_path),
    ]
    assert len({tokenizer.fingerprint for tokenizer in made}) == 3


def test_a_cache_inside_a_file_is_an_error_that_says_how_to_move_it(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"cannot be written: .*set CLEARHEAD_CACHE to put this cache in another"):
        learn("bpe", [Texts(WORDS)], vocab_size=300, cache=tmp_path / "file")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"tokenizer": "{}"}', b"\xff"])
def test_a_damaged_cache_is_rebuilt_aloud(tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture):
    source = Texts(WORDS)
    good = learn("bpe", [source], vocab_size=300, cache=tmp_path)
    (path,) = (tmp_path / "tokenizers").iterdir()
    path.write_bytes(damage)
    assert learn("bpe", [source], vocab_size=300, cache=tmp_path).fingerprint == good.fingerprint
    assert caplog.messages == [f"{path}: truncated or altered; rebuilding it"]
    assert source.read == 2


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    "damage", ["a pipe", "[" * 100_000, '{"tokenizer": ' + "9" * 5_000 + "}"], ids=["pipe", "deep", "digits"]
)
def test_a_file_that_is_not_a_cache_is_rebuilt_with_a_warning(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
):
    good = learn("bpe", [Texts(WORDS)], vocab_size=300, cache=tmp_path)
    (path,) = (tmp_path / "tokenizers").iterdir()
    path.unlink()
    if damage == "a pipe":
        os.mkfifo(path)
    else:
        path.write_text(damage)
    assert learn("bpe", [Texts(WORDS)], vocab_size=300, cache=tmp_path).fingerprint == good.fingerprint
    assert caplog.messages == [f"{path}: truncated or altered; rebuilding it"]
    assert path.is_file()


def test_an_altered_letter_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    good = learn("characters", [Texts("abc")], cache=tmp_path)
    (path,) = (tmp_path / "tokenizers").iterdir()
    path.write_text(path.read_text().replace('\\"a\\"', '\\"z\\"'))
    assert learn("characters", [Texts("abc")], cache=tmp_path).fingerprint == good.fingerprint
    assert len(caplog.messages) == 1


def test_what_cannot_be_learned_is_an_error(tmp_path: Path):
    with pytest.raises(OptionError, match="'character': not a kind that can be learned; did you mean 'characters'"):
        learn("character", [Texts("x")], cache=tmp_path)
    with pytest.raises(
        OptionError, match=r"size \(99\) is for auto, bpe, character-bpe, unigram; the text sets the size of bytes"
    ):
        learn("bytes", [Texts("x")], vocab_size=99, cache=tmp_path)
