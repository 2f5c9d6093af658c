"""Texts made ready for a run: both parts, fingerprints, what is refused."""

import errno
import io
import json
import os
from pathlib import Path

import pytest
from little_runs import TEXT, config, quiet

from clearhead.errors import FolderError, OptionError, TextError
from clearhead.recipes import TextConfig
from clearhead.runs.folder import Claim
from clearhead.runs.material import check_text, keep_stdin, prepare
from clearhead.text import Tokenizer
from little_tokenizers import llama_like, save


class Unreadable(io.RawIOBase):
    """Standard input of ``clearhead train - < folder``."""

    @property
    def buffer(self) -> "Unreadable":
        return self

    def read(self, size: int = -1) -> bytes:
        raise IsADirectoryError(errno.EISDIR, "Is a directory")


def test_standard_input_that_cannot_be_read_is_not_a_file_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stdin", Unreadable())
    (tmp_path / "run").mkdir()
    with pytest.raises(TextError, match=r"^standard input: cannot be read: Is a directory; name a file instead of -$"):
        keep_stdin(Claim(tmp_path / "run"), config("-"))
    assert list((tmp_path / "run").iterdir()) == []


class TestText:
    def test_both_parts_by_hand(self, texts: Path):
        said: list[str] = []
        material = prepare(config("a.txt"), texts / "run", said.append)
        assert bytes([*material.train.ids[1:], *material.valid.ids]) == TEXT.encode()
        assert len(material.train) == 1 + int(0.9 * len(TEXT))
        assert material.tokenizer.kind == "bytes"
        assert said == [f"text: {len(material.train)} tokens to train on, {len(material.valid)} to validate on; "
                        f"vocabulary 257 (bytes); ready in {said[0].split()[-2]} s"]  # fmt: skip

    @pytest.mark.parametrize(("line", "kind"), [("国王向女王鞠了一躬。", "character-bpe"), ("The king bowed. ", "bpe")])
    def test_the_text_decides_the_tokenizer(self, texts: Path, line: str, kind: str):
        (texts / "t.txt").write_text(line * 40, encoding="utf-8")
        said: list[str] = []
        material = prepare(TextConfig(sources=("t.txt",)), texts / "run", said.append)
        assert material.tokenizer.kind == kind
        assert f"({kind})" in said[0]

    def test_a_text_of_its_own_to_validate_on(self, texts: Path):
        (texts / "v.txt").write_text("other")
        material = prepare(config("a.txt", valid=("v.txt",)), texts / "run", quiet)
        assert len(material.train) == 1 + len(TEXT)
        assert material.tokenizer.decode(material.valid.ids) == "<|endoftext|>other"

    def test_the_fingerprint_is_of_content_and_tokenizer(self, texts: Path):
        def print_of(*names: str, **options) -> str:
            found = prepare(config(*names, **options), texts / "run", quiet).config.fingerprint
            assert found is not None
            return found

        first = print_of("a.txt")
        (texts / "b.txt").write_text(TEXT)
        assert print_of("b.txt") == first  # the name does not matter
        assert print_of("a.txt", tokenizer="characters") != first
        assert print_of("a.txt", valid=("b.txt",)) != first
        assert print_of("a.txt", "b.txt") != first
        (texts / "b.txt").write_text(TEXT + "!")
        assert print_of("b.txt") != first

    def test_a_run_meets_its_own_text_only(self, texts: Path):
        known = prepare(config("a.txt"), texts / "run", quiet).config
        assert prepare(known, texts / "run", quiet).config == known
        (texts / "a.txt").write_text(TEXT.replace("folder", "holder"))
        with pytest.raises(FolderError, match="run: the text or the tokenizer has changed since the run began"):
            prepare(known, texts / "run", quiet)
        (texts / "a.txt").unlink()
        with pytest.raises(TextError, match=r"no such file.*resume from the directory where the run began"):
            prepare(known, texts / "run", quiet)

    def test_the_tokenizer_of_the_folder_is_the_runs(self, texts: Path, monkeypatch: pytest.MonkeyPatch):
        """One that is learned again might differ: another version of the library, a cache that was emptied."""
        known = prepare(config("a.txt", tokenizer="bpe"), texts / "run", quiet)
        known.tokenizer.save(texts / "run")
        monkeypatch.setattr("clearhead.runs.material.learn", None)
        again = prepare(known.config, texts / "run", quiet)
        assert again.tokenizer.fingerprint == known.tokenizer.fingerprint
        Tokenizer.bytes().save(texts / "run")
        with pytest.raises(FolderError, match="the text or the tokenizer has changed"):
            prepare(known.config, texts / "run", quiet)

    @pytest.mark.parametrize("kind", ["file", "bytes"])
    def test_what_a_tokenizer_puts_around_a_text_is_part_of_it(self, texts: Path, kind: str):
        """With another token between documents, the ids to train on would be others."""
        save(llama_like(), texts / "llama")
        known = prepare(
            config("a.txt", tokenizer=str(texts / "llama") if kind == "file" else kind), texts / "run", quiet
        )
        known.tokenizer.save(texts / "run")
        assert prepare(known.config, texts / "run", quiet).config == known.config
        path = texts / "run" / "tokenizer.json"
        state = json.loads(path.read_text())
        single = [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        pair = [*single, {"Sequence": {"id": "B", "type_id": 0}}]
        added = {"x": {"id": "x", "ids": [5], "tokens": ["x"]}}
        state["post_processor"] = {
            "type": "TemplateProcessing",
            "single": single,
            "pair": pair,
            "special_tokens": added,
        }
        path.write_text(json.dumps(state))
        with pytest.raises(FolderError, match="the text or the tokenizer has changed"):
            prepare(known.config, texts / "run", quiet)

    @pytest.mark.usefixtures("at_once")
    def test_standard_input_is_read_from_the_folder(self, texts: Path):
        folder = texts / "run"
        folder.mkdir()
        (folder / "stdin.txt").write_text("piped in")
        material = prepare(config("-", "a.txt"), folder, quiet)
        assert material.tokenizer.decode(material.train.ids[:9]) == "<|endoftext|>piped in"
        (folder / "stdin.txt").unlink()
        os.mkfifo(folder / "stdin.txt")
        with pytest.raises(FolderError, match=r"stdin\.txt: is a pipe, and should be a file"):
            prepare(config("-"), folder, quiet)
        (folder / "stdin.txt").unlink()
        (folder / "stdin.txt").write_bytes(b"")
        with pytest.raises(TextError, match=r"^standard input: is empty"):
            prepare(config("-"), folder, quiet)

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (TextConfig(), "no text: name a file"),
            (config("a.txt", corpus="world-en"), "text 'a.txt' and corpus 'world-en' were both given"),
            (TextConfig(corpus="world"), "no corpus 'world'; did you mean 'world-"),
            (config("a.txt", megabytes=2.0), "megabytes 2: sets the size of a built-in corpus"),
            (config("a.txt", tokenizer="word"), "tokenizer 'word': neither a kind nor a file or folder"),
            (
                config("a.txt", vocabulary=300),
                "vocabulary 300: applies to the tokenizers auto, bpe, character-bpe, unigram; 'bytes'",
            ),
        ],
    )
    def test_what_nothing_would_read_is_refused(self, texts: Path, wrong: TextConfig, message: str):
        with pytest.raises(OptionError, match=message):
            check_text(wrong)
