"""Pairs as ids: the cache, what is left out and why, and the split by source sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from clearhead.errors import OptionError, TextError
from clearhead.text import (
    LeftOut,
    PairFile,
    Pairs,
    Tokenizer,
    filtered,
    shared_sources,
    shuffled,
    split_pairs,
    tokenize_pairs,
    usable,
)
from clearhead.text.data import pair_tokens
from clearhead.text.data.pair_tokens import ids_of

BYTES = Tokenizer.bytes()
END = 256


def pairs_of(folder: Path, *lines: str) -> Pairs:
    path = folder / "p.tsv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return tokenize_pairs([PairFile(str(path))], BYTES, start=END, end=END, cache=folder)


def numbered(folder: Path, count: int, each: int = 1) -> Pairs:
    """``each`` translations of every one of ``count`` sentences."""
    return pairs_of(folder, *(f"sentence {n}\tSatz {n}.{m}" for n in range(count) for m in range(each)))


def texts(pairs: Pairs) -> list[tuple[str, str]]:
    return pairs.sentences()


def columns(pairs: Pairs) -> list[Sequence[int]]:
    found = [pairs.source, pairs.target, pairs.source_text, pairs.target_text]
    return [column.tolist() for each in found for column in (each.values, each.starts)]


class TestTokenized:
    def test_ids_and_texts(self, tmp_path: Path) -> None:
        pairs = pairs_of(tmp_path, " a cat \tKätzchen ", "x\ty")
        assert texts(pairs) == [("a cat", "Kätzchen"), ("x", "y")]
        assert [part.tolist() for part in ids_of(pairs, 0)] == [[*b"a cat", END], [*"Kätzchen".encode(), END]]
        assert (pairs.count, len(pairs), pairs.text_bytes()) == (2, 9 + 1 + 2, 9 + 1)

    def test_from_the_cache_the_same(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = numbered(tmp_path, 7)
        monkeypatch.setattr(pair_tokens, "_encoded", None)  # nothing is encoded a second time
        again = numbered(tmp_path, 7)
        assert columns(again) == columns(first)
        assert (again.pair_hash.tolist(), again.source_hash.tolist()) == (
            first.pair_hash.tolist(),
            first.source_hash.tolist(),
        )

    def test_in_several_batches_the_same(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = numbered(tmp_path, 9)
        monkeypatch.setattr(pair_tokens, "AT_ONCE", 2)
        (tmp_path / "other").mkdir()
        parts = numbered(tmp_path / "other", 9)
        assert columns(parts) == columns(whole)

    def test_several_files_one_after_another(self, tmp_path: Path) -> None:
        for name in "ab":
            (tmp_path / name).write_text(f"{name}\t{name}{name}\n")
        files = [PairFile(str(tmp_path / name)) for name in "ba"]
        read: list[tuple[int, int | None]] = []
        pairs = tokenize_pairs(
            files, BYTES, start=END, end=END, cache=tmp_path, progress=lambda *each: read.append(each)
        )
        assert texts(pairs) == [("b", "bb"), ("a", "aa")]
        assert read == [(5, 10), (10, 10)]

    def test_a_part_begins_within_its_tokens(self, tmp_path: Path) -> None:
        """Targets of 2, 3 and 4 tokens with their ends start at 0, 2 and 5 of 9."""
        pairs = pairs_of(tmp_path, "a\tx", "b\tyy", "c\tzzz")
        for begin, end, expected in [(0, 9, "abc"), (0, 1, "a"), (1, 3, "b"), (2, 6, "bc"), (6, 9, "")]:
            assert "".join(source for source, _ in texts(pairs.part(begin, end))) == expected


class TestLeftOut:
    LINES: ClassVar = {
        "kept": ["good\tgut", "good\tschön"],
        "one_column": ["no column", "no column"],
        "empty": ["empty\t", "\tleer", "blank\t \t3"],
        "special": ["a<|endoftext|>b\tc", "d\te<|endoftext|>"],
        "ratio": ["four times\t" + "x" * 41, "y" * 31 + "\tneunzehn.."],
        "long": ["z" * 60 + "\t" + "w" * 60, "v" * 40 + "\t" + "u" * 64],
        "repeated": ["good\tgut", " good \tgut\tCC-BY"],
    }

    def test_each_pair_is_counted_once_by_its_first_reason(self, tmp_path: Path) -> None:
        """Two reasons for the last: too long on one side, and nothing on the other."""
        lines = [line for some in self.LINES.values() for line in some]
        every = pairs_of(tmp_path, *lines, "s" * 70 + "\t")
        kept, left_out = filtered(every, context=60)
        counts = {name: len(some) for name, some in self.LINES.items() if name != "kept"}
        assert left_out == LeftOut(**{**counts, "empty": 4})
        assert texts(kept) == [("good", "gut"), ("good", "schön")]
        assert every.count == kept.count + sum(vars(left_out).values())
        assert str(left_out) == (
            "2 without a second column, 4 with an empty side, 2 with a special token in the text, 2 with one side more "
            "than 3 times as long, 2 longer than the context, 2 repeated"
        )

    def test_the_limits_themselves_are_kept(self, tmp_path: Path) -> None:
        """Ten tokens beside one, three times as many, and a side that fills the context with its end."""
        lines = ["1\t" + "a" * 10, "b" * 20 + "\t" + "c" * 60, "d" * 63 + "\t" + "e" * 63]
        kept, left_out = filtered(pairs_of(tmp_path, *lines), context=64)
        assert (kept.count, left_out, str(left_out)) == (3, LeftOut(), "")
        beyond = ["1\t" + "a" * 11, "b" * 20 + "\t" + "c" * 61, "d" * 64 + "\t" + "e" * 63, "x\ty"]
        assert filtered(pairs_of(tmp_path, *beyond), context=64)[1] == LeftOut(ratio=2, long=1)

    def test_nothing_left_is_an_error(self, tmp_path: Path) -> None:
        for choose in (lambda pairs: filtered(pairs, context=9), usable):
            with pytest.raises(
                TextError, match=r"^no pair is left of 2: 1 without a second column, 1 with an empty sid"
            ):
                choose(pairs_of(tmp_path, "one", "two\t"))

    def test_an_evaluation_keeps_all_with_two_sides(self, tmp_path: Path) -> None:
        lines = [line for some in self.LINES.values() for line in some]
        kept, left_out = usable(pairs_of(tmp_path, *lines))
        assert left_out == LeftOut(one_column=2, empty=3)
        assert kept.count == len(lines) - 5


class TestSplit:
    def test_no_source_sentence_on_both_sides(self, tmp_path: Path) -> None:
        pairs = numbered(tmp_path, 100, each=3)
        train, valid = split_pairs(pairs)
        assert sorted([*texts(train), *texts(valid)]) == sorted(texts(pairs))
        assert not {source for source, _ in texts(train)} & {source for source, _ in texts(valid)}
        assert shared_sources(train, valid) == []
        assert valid.count == 3 * 10

    def test_it_depends_on_the_sentences_alone(self, tmp_path: Path) -> None:
        """Not on their order, nor on the translations."""
        lines = [f"sentence {n}\tSatz {n}" for n in range(50)]
        held_out = {source for source, _ in texts(split_pairs(pairs_of(tmp_path, *lines))[1])}
        for others in (lines[::-1], [line.upper().replace("SENTENCE", "sentence") for line in lines]):
            assert {source for source, _ in texts(split_pairs(pairs_of(tmp_path, *others))[1])} == held_out

    def test_validation_is_shuffled_and_training_is_not(self, tmp_path: Path) -> None:
        pairs = numbered(tmp_path, 200)
        train, valid = split_pairs(pairs, 0.5)
        assert texts(train) == [each for each in texts(pairs) if each in set(texts(train))]
        in_order = [each for each in texts(pairs) if each in set(texts(valid))]
        assert texts(valid) != in_order
        assert texts(shuffled(valid)) == texts(valid)
        first = {int(source.split()[1]) // 50 for source, _ in valid.sentences(20)}
        assert first == {0, 1, 2, 3}  # from everywhere in the file

    def test_at_most_so_many_are_held_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pair_tokens, "VALIDATED", 4)
        assert split_pairs(numbered(tmp_path, 100, each=2))[1].count == 8

    def test_one_sentence_cannot_be_split(self, tmp_path: Path) -> None:
        with pytest.raises(TextError, match=r"^all pairs have the same source sentence; at least two are needed"):
            split_pairs(numbered(tmp_path, 1, each=5))
        train, valid = split_pairs(numbered(tmp_path, 2))
        assert (train.count, valid.count) == (1, 1)

    @pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
    def test_shares_out_of_range(self, tmp_path: Path, share: float) -> None:
        with pytest.raises(OptionError, match=rf"^validation share {share}: must be above 0 and below 1$"):
            split_pairs(numbered(tmp_path, 5), share)

    def test_shared_sources_are_listed_once(self, tmp_path: Path) -> None:
        (tmp_path / "v").mkdir()
        train = pairs_of(tmp_path, "a\tx", "b\tx", "c\tx")
        valid = pairs_of(tmp_path / "v", "c\t1", "d\t2", "b\t3", "c\t4")
        assert shared_sources(train, valid) == ["c", "b"]
        kept = filtered(valid, context=9)[0]
        assert np.array_equal(kept.chosen, [0, 1, 2, 3])
