"""Sentence pairs in files: what a line means in each layout, and what is wrong with one."""

from __future__ import annotations

import gzip
import io
import json
import lzma
from pathlib import Path

import pytest
import zstandard

from clearhead.errors import OptionError, TextError
from clearhead.text import Pair, PairFile, ParallelFiles, Tokenizer, learn, tokenize_pairs

TABLE = "a cat\teine Katze\na dog\tein Hund\n"
PAIRS = [Pair("a cat", "eine Katze"), Pair("a dog", "ein Hund")]


def read(path: Path, content: bytes | str, **options) -> list[Pair]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(PairFile(str(path), **options).pairs())


class TestTables:
    @pytest.mark.parametrize(
        "content",
        [
            TABLE,
            TABLE.removesuffix("\n"),
            TABLE.replace("\n", "\r\n"),
            "\ufeff" + TABLE,
            "a cat\teine Katze\tCC-BY 2.0 (France) #1\n\n \na dog\tein Hund\tCC-BY\t0.7\n",
        ],
        ids=["plain", "no last line end", "Windows", "byte-order mark", "further columns and empty lines"],
    )
    def test_two_columns(self, tmp_path: Path, content: str) -> None:
        assert read(tmp_path / "p.tsv", content) == PAIRS

    @pytest.mark.parametrize(
        ("name", "pack"),
        [("p.tsv.gz", gzip.compress), ("p.xz", lzma.compress), ("p.tsv.zst", zstandard.compress)],
    )
    def test_packed_files(self, tmp_path: Path, name: str, pack) -> None:
        assert read(tmp_path / name, pack(TABLE.encode())) == PAIRS

    def test_other_encodings(self, tmp_path: Path) -> None:
        assert read(tmp_path / "p.tsv", "猫\tKätzchen".encode("gb18030"), encoding="gb18030") == [
            Pair("猫", "Kätzchen")
        ]

    def test_a_line_without_a_tab_has_no_target(self, tmp_path: Path) -> None:
        found = read(tmp_path / "p.tsv", "a cat\neine\t\n\tKatze\n")
        assert found == [Pair("a cat", "", whole=False), Pair("eine", ""), Pair("", "Katze")]

    def test_only_line_feeds_end_a_line(self, tmp_path: Path) -> None:
        assert read(tmp_path / "p.tsv", "a\u2028b\x0bc\td\x85e\n") == [Pair("a\u2028b\x0bc", "d\x85e")]

    def test_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TABLE.encode())))
        source = PairFile("-")
        assert list(source.pairs()) == list(source.pairs()) == PAIRS
        assert source.name == "standard input"


class TestJSONLines:
    def test_fields(self, tmp_path: Path) -> None:
        lines = "".join(json.dumps({"source": a, "target": b, "n": 1}) + "\n\n" for a, b, _ in PAIRS)
        assert read(tmp_path / "p.jsonl", lines) == PAIRS
        assert read(tmp_path / "p.jsonl", lines, fields=["target", "source"]) == [Pair(b, a) for a, b, _ in PAIRS]
        assert read(tmp_path / "p.jsonl.gz", gzip.compress(lines.encode())) == PAIRS

    def test_a_sentence_stays_on_one_line(self, tmp_path: Path) -> None:
        (found,) = read(tmp_path / "p.jsonl", json.dumps({"source": "a\ncat\tsat", "target": "b\r\nc"}))
        assert found == Pair("a cat\tsat", "b c")

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("{", r"line 2: not JSON"),
            ("[1]", r"line 2: '\[1\]' is not an object with the fields source and target"),
            (
                '{"source": "a", "de": "b"}',
                r"line 2: no field 'target'; there are source, de; name both: --field en,de",
            ),
            ("{}", r"line 2: no field 'source'; there are none"),
            ('{"source": "a", "target": 3}', r"line 2: a field is not a string"),
            ('{"source": "a", "target": "\\ud83d"}', r"line 2: .*half a character"),
        ],
    )
    def test_what_is_wrong_with_a_line(self, tmp_path: Path, line: str, said: str) -> None:
        with pytest.raises(TextError, match=rf"p.jsonl: {said}"):
            read(tmp_path / "p.jsonl", '{"source": "a", "target": "b"}\n' + line)

    @pytest.mark.parametrize("fields", [["a"], ["a", "a"], ["a", ""], ["a", "b", "c"], []])
    def test_fields_are_two(self, tmp_path: Path, fields: list[str]) -> None:
        with pytest.raises(OptionError, match=r"^fields .*: give two names, as in --field en,de$"):
            PairFile(str(tmp_path / "p.jsonl"), fields=fields)


class TestParallelFiles:
    def made(self, folder: Path, source: str, target: str) -> ParallelFiles:
        (folder / "a.en").write_bytes(source.encode())
        (folder / "a.de").write_bytes(gzip.compress(target.encode()))
        (folder / "a.de").rename(folder / "a.de.gz")
        return ParallelFiles(str(folder / "a.en"), str(folder / "a.de.gz"))

    def test_line_by_line(self, tmp_path: Path) -> None:
        """Empty lines count: they are lines on both sides."""
        found = self.made(tmp_path, "a cat\r\n\r\na\tdog", "eine Katze\n\nein Hund\n")
        assert list(found.pairs()) == [PAIRS[0], Pair("", ""), Pair("a\tdog", "ein Hund")]

    @pytest.mark.parametrize(
        ("en", "de", "longer", "shorter"), [(3, 2, "a.en", 2), (1, 9, "a.de.gz", 1), (4, 1, "a.en", 1)]
    )
    def test_the_longer_is_named(self, tmp_path: Path, en: int, de: int, longer: str, shorter: int) -> None:
        found = self.made(tmp_path, "x\n" * en, "y\n" * de)
        with pytest.raises(
            TextError, match=rf": .*{longer} has more lines than the other, which has {shorter}; line n"
        ):
            list(found.pairs())

    @pytest.mark.parametrize(("en", "de", "longer"), [(0, 1, "a.de.gz"), (0, 5, "a.de.gz"), (3, 0, "a.en")])
    def test_so_it_is_if_the_other_is_empty(self, tmp_path: Path, en: int, de: int, longer: str) -> None:
        with pytest.raises(TextError, match=rf": .*{longer} has more lines than the other, which has 0; line n"):
            list(self.made(tmp_path, "x\n" * en, "y\n" * de).pairs())

    def test_json_lines_hold_both_sides(self, tmp_path: Path) -> None:
        (tmp_path / "p.jsonl").write_text("{}")
        with pytest.raises(OptionError, match=r".jsonl files hold both sides; name one of them as pairs$"):
            ParallelFiles(str(tmp_path / "p.jsonl"), str(tmp_path / "p.jsonl"))


@pytest.mark.parametrize("kind", ["bpe", "characters"])
def test_a_tokenizer_learned_from_pairs_knows_both_languages(tmp_path: Path, kind: str) -> None:
    """Whatever share of the documents it is learned from."""
    (tmp_path / "p.tsv").write_text("".join(f"the cat {n}\tдом кот {n}\n" for n in range(200)), encoding="utf-8")
    source = PairFile(str(tmp_path / "p.tsv"))
    tokenizer = learn(kind, [source], cache=tmp_path)
    for text in ("the cat 7", "дом кот 7"):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert len(ids) <= (5 if kind == "bpe" else 9)


def test_the_key_says_what_is_read_and_how(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"a": "x", "b": "y"}')
    path, other = str(tmp_path / "p.jsonl"), tmp_path / "q.jsonl"
    other.write_text('{"a": "x", "b": "y"}')
    keys = [PairFile(path, fields=fields).key() for fields in (["a", "b"], ["b", "a"])]
    assert len(set(keys)) == 2
    assert PairFile(str(other), fields=["a", "b"]).key() == keys[0]
    other.write_text('{"a": "x", "b": "z"}')
    assert PairFile(str(other), fields=["a", "b"]).key() not in keys


def test_a_file_without_pairs_and_one_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text("\n \n")
    for name, said in (("p.tsv", "has no pairs; give a file"), ("q.tsv", "no such file")):
        with pytest.raises(TextError, match=rf"{name}: {said}"):
            tokenize_pairs([PairFile(str(tmp_path / name))], Tokenizer.bytes(), start=256, end=256, cache=tmp_path)
