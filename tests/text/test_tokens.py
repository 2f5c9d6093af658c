"""The stream of tokens: its layout by hand, the bytes it stands for, the split, the cache, its memory."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import LEARNED, word_pieces

from clearhead.errors import OptionError, TextError
from clearhead.text import SEPARATOR, FileSource, Tokenizer, Tokens, sources, split, tokenize
from clearhead.text.tokenizers.learned import state_of
from clearhead.text.tokenizers.recognising import recognise

DATA = Path(__file__).parents[3] / "shared" / "data"


class Texts:
    """Documents in memory, as the built-in corpora give them; counts how often it is read."""

    name = "texts"

    def __init__(self, *texts: str):
        self.texts = texts
        self.read = 0

    def key(self) -> str:
        return json.dumps(self.texts)

    def documents(self) -> Iterator[str]:
        self.read += 1
        yield from self.texts


def stream(cache: Path, tokenizer: Tokenizer, *texts: str) -> Tokens:
    return tokenize([Texts(*texts)], tokenizer, cache=cache)


def test_the_layout_by_hand(tmp_path: Path):
    sep = 256
    tokens = stream(tmp_path, Tokenizer.bytes(), "ab", "", "c" + SEPARATOR + "é")
    assert tokens.ids.tolist() == [sep, 97, 98, sep, sep, 99, sep, 0xC3, 0xA9]
    assert tokens.starts.tolist() == [0, 3, 4, 6]
    assert (tokens.ids.dtype, tokens.separator, len(tokens)) == (np.uint16, sep, 9)
    assert tokens.text_bytes() == 5
    assert [tokens.text_bytes(n, n + 1) for n in range(9)] == [0, 1, 1, 0, 0, 1, 0, 1, 1]


def test_the_layout_without_a_separator(tmp_path: Path):
    tokens = stream(tmp_path, word_pieces(), "The café", "  ", "h !")
    assert tokens.ids.tolist() == [1, 2, 3, 5, 4]
    assert tokens.starts.tolist() == [0, 3, 3]
    assert (tokens.separator, tokens.by_place) == (None, True)
    assert [tokens.text_bytes(n, n + 1) for n in range(5)] == [3, 4, 2, 1, 2]
    train, valid = split(tokens, 0.4)
    assert (train.ids.tolist(), valid.ids.tolist()) == ([1, 2, 3], [5, 4])
    assert (train.text_bytes(), valid.text_bytes()) == (9, 3)
    assert (train.starts.tolist(), valid.starts.tolist()) == ([0], [0, 0])


def test_vocabularies_above_sixteen_bits(tmp_path: Path):
    many = [chr(code) for code in range(0x10000, 0x10000 + 70_000)]
    tokens = stream(tmp_path, Tokenizer.characters(many), many[69_999])
    assert tokens.ids.tolist() == [70_000, 69_999]
    assert (tokens.ids.dtype, tokens.text_bytes()) == (np.uint32, 4)


@given(texts=st.lists(st.text(alphabet="ab \n你é🙂"), min_size=1, max_size=5), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_are_exact_and_add_up(tmp_path: Path, texts: list[str], data: st.DataObject):
    for tokenizer in (LEARNED["bytes"], LEARNED["bpe"]):
        tokens = stream(tmp_path, tokenizer, *texts)
        assert tokens.text_bytes() == sum(len(text.encode()) for text in texts)
        place = data.draw(st.integers(0, len(tokens)))
        assert tokens.text_bytes(0, place) + tokens.text_bytes(place) == tokens.text_bytes()
        # independent: the bytes that these ids decode to, less the separators as they are written
        ids = tokens.ids[:place].tolist()
        raw = b"".join(b"" if n == tokens.separator else tokenizer._part(n) for n in ids)
        assert tokens.text_bytes(0, place) == len(raw)


@given(length=st.integers(3, 400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_file_of_characters_is_split_as_nanogpt_splits(tmp_path: Path, length: int):
    text = "".join("abcdefg"[n * n % 7] for n in range(length))
    tokenizer = Tokenizer.characters(["abcdefg"])
    train, valid = split(stream(tmp_path, tokenizer, text))
    assert tokenizer.decode(train.ids) == SEPARATOR + text[: int(0.9 * len(text))]
    assert tokenizer.decode(valid.ids) == text[int(0.9 * len(text)) :]
    assert valid.text_bytes() == len(valid)


def test_a_separator_stays_with_its_document(tmp_path: Path):
    tokens = stream(tmp_path, Tokenizer.bytes(), "abc", "d", "efgh")
    train, valid = split(tokens, 0.5)  # 8 bytes of text: 4 and 4
    assert train.ids.tolist() == [256, 97, 98, 99, 256, 100]
    assert valid.ids.tolist() == [256, 101, 102, 103, 104]
    assert (train.starts.tolist(), valid.starts.tolist()) == ([0, 4], [0])
    assert np.shares_memory(valid.ids, tokens.ids)


@pytest.mark.parametrize("share", [0, 1, -0.1, 10])
def test_a_share_out_of_range_is_refused(tmp_path: Path, share: float):
    with pytest.raises(OptionError, match=f"validation share {share}: must be above 0 and below 1"):
        split(stream(tmp_path, Tokenizer.bytes(), "text"), share)


def test_a_long_document_gives_the_ids_of_the_whole(tmp_path: Path):
    text = "".join(f"{n} It's the best\n\n  of times,你好。\r\n\n" * 2 for n in range(9000))  # 12 pieces or more
    (tmp_path / "long.txt").write_text(text, encoding="utf-8", newline="")
    for kind in ("bytes", "bpe"):
        tokens = tokenize([FileSource(tmp_path / "long.txt")], LEARNED[kind], cache=tmp_path)
        whole = LEARNED[kind]._library.encode(text, add_special_tokens=False).ids
        assert tokens.ids.tolist() == [LEARNED[kind].separator, *whole]
        assert tokens.starts.tolist() == [0]


def test_the_second_time_comes_from_the_cache(tmp_path: Path):
    source = Texts("one", "two")
    first = tokenize([source], LEARNED["bpe"], cache=tmp_path)
    again = tokenize([source], LEARNED["bpe"], cache=tmp_path)
    assert source.read == 1
    assert again.ids.tolist() == first.ids.tolist()
    tokenize([source], LEARNED["bytes"], cache=tmp_path)
    tokenize([source, source], LEARNED["bpe"], cache=tmp_path)
    assert source.read == 4


def test_an_altered_cache_is_rebuilt_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    source = Texts("one", "two")
    good = tokenize([source], LEARNED["bytes"], cache=tmp_path).ids.tolist()
    (path,) = (tmp_path / "tokens").iterdir()
    whole = path.read_bytes()
    path.unlink()  # the first stream still maps the old file
    path.write_bytes(whole[:4098] + b"x" + whole[4099:])
    with caplog.at_level(logging.WARNING):
        assert tokenize([source], LEARNED["bytes"], cache=tmp_path).ids.tolist() == good
    assert caplog.messages == [f"{path}: truncated or altered; rebuilding it"]
    assert path.read_bytes() == whole
    assert source.read == 2


def test_a_fault_in_the_text_leaves_no_cache(tmp_path: Path):
    with pytest.raises(TextError, match="'z'"):
        stream(tmp_path, Tokenizer.characters(["ab"]), "ab", "az")
    assert list((tmp_path / "tokens").iterdir()) == []


def test_text_without_tokens_is_reported(tmp_path: Path):
    with pytest.raises(TextError, match="yields no tokens; give text"):
        stream(tmp_path, word_pieces(), "  ")


def test_progress_is_reported_in_bytes(tmp_path: Path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("x" * 1000)
    told: list[tuple[int, int | None]] = []
    tokenize(sources([tmp_path]), LEARNED["bytes"], cache=tmp_path, progress=lambda *now: told.append(now))
    assert told == [(1000, 2000), (2000, 2000)]


@pytest.mark.skipif(not (DATA / "tokenizers").is_dir(), reason="../shared/data/tokenizers is not here")
def test_a_tokenizer_that_changes_its_text_counts_the_text_it_was_made_from(tmp_path: Path):
    tokenizer = Tokenizer.load(DATA / "tokenizers" / "gpt-neox-20b" / "tokenizer.json").of_documents()
    assert recognise(state_of(tokenizer._library)) == ("file", None)  # it composes letters (NFC)
    decomposed = "cafe\u0301 au lait"
    tokens = stream(tmp_path, tokenizer, decomposed, "next")
    assert tokenizer.decode(tokens.ids) == f"{SEPARATOR}café au lait{SEPARATOR}next"
    assert tokens.text_bytes() == len(decomposed.encode()) + 4
    assert tokens.starts.tolist() == [0, len(tokens) - 2]


@pytest.mark.skipif(not (DATA / "books-en").is_dir(), reason="../shared/data/books-en is not here")
@pytest.mark.parametrize(("kind", "novels", "least"), [("bpe", 14, 8_000_000), ("characters", 27, 18_000_000)])
def test_memory_is_bounded(tmp_path: Path, kind: str, novels: int, least: int):
    """20 MB of novels: learning, tokenising, splitting and shuffling within 300 MB of resident memory."""
    code = f"""
import resource, sys
from pathlib import Path
import clearhead.text as text
found = text.sources(sorted(Path(sys.argv[1]).glob("*.txt"))[:{novels}])
cache = Path(sys.argv[2])
tokens = text.tokenize(found, text.learn({kind!r}, found, cache=cache), cache=cache)
train, valid = text.split(tokens)
windows = text.Windows(train, context=256, batch=32, seed=0)
for step in range(100):
    windows.at(step)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(sum(source.size() for source in found), tokens.text_bytes(), peak // 2**20, "torch" in sys.modules)
"""
    # a process between: Linux lets a program's peak begin at the memory of the process that started it
    between = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
    command = [sys.executable, "-c", between, sys.executable, "-c", code, DATA / "books-en" / "train", tmp_path]
    size, text_bytes, megabytes, torch = subprocess.check_output(command, text=True).split()
    assert int(size) == int(text_bytes) > least
    assert int(megabytes) < 300
    assert torch == "False"
