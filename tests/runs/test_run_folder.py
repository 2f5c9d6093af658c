"""The run folder: its name, its lock, what stays in it, and signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from little_runs import MODEL, TRAIN, config

from clearhead.cli.progress import NOTICE
from clearhead.errors import ConfigError, FolderError
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.recipes import Recipe, TextConfig
from clearhead.runs import interruptible, keeper
from clearhead.runs.begin import create
from clearhead.runs.folder import claimed, held, name_of, reopen
from clearhead.text import Tokenizer


class TestNames:
    @pytest.mark.parametrize(
        ("source", "name"),
        [
            ("a.txt", "a"),
            ("./deep/er/book.txt.gz", "book"),
            ("book.v2.txt", "book.v2"),
            ("notes.jsonl.zst", "notes"),
            ("novel", "novel"),
            (".hidden.txt", "hidden"),
            ("deep/*.txt", "deep"),
            ("deep/**/*.md", "deep"),
            ("folder.d", "folder.d"),
            ("folder.d/", "folder.d"),
            ("[1].txt", "[1]"),
            ("/", "run"),
            ("-", "stdin"),
        ],
    )
    def test_a_run_is_called_as_its_first_source(self, texts: Path, source: str, name: str):
        (texts / "folder.d").mkdir()
        (texts / "[1].txt").write_text("not a pattern: there is such a file")
        assert name_of(config(source, "other.txt")) == name

    def test_or_as_its_corpus_or_folder(self, texts: Path):
        assert name_of(TextConfig(corpus="world-zh")) == "world-zh"
        assert name_of(config(".")) == texts.name


class TestFolders:
    def test_a_recipe_comes_back(self, texts: Path):
        recipe = Recipe(text=config("a.txt", fingerprint="abc"), model=MODEL, train=TRAIN)
        model = create(texts / "run", recipe, Tokenizer.bytes())
        assert model.config == MODEL
        assert reopen(texts / "run") == (recipe, None)

    def test_one_that_fails_before_anything_is_saved_is_removed(self, texts: Path):
        def fail() -> None:
            with claimed(texts / "deep" / "run"):
                (texts / "deep" / "run" / "state").mkdir()
                (texts / "deep" / "run" / "recipe.toml").write_text("")
                raise ConfigError("whatever")

        with pytest.raises(ConfigError, match="whatever"):
            fail()
        assert not (texts / "deep" / "run").exists()

    def test_what_others_put_into_it_meanwhile_stays(self, texts: Path):
        def fail() -> None:
            with claimed(texts / "run"):
                (texts / "run" / "state").mkdir()
                for name in ("recipe.toml", "log.jsonl", "stdin.txt", "notes.txt", "state/notes.txt"):
                    (texts / "run" / name).write_text("")
                raise ConfigError("whatever")

        with pytest.raises(ConfigError, match="whatever"):
            fail()
        left = sorted(str(path.relative_to(texts / "run")) for path in (texts / "run").rglob("*"))
        assert left == ["notes.txt", "state", "state/notes.txt"]

    def test_one_with_a_state_is_kept_whatever_happens(self, texts: Path):
        def fail() -> None:
            with claimed(texts / "run"):
                (texts / "run" / "state").mkdir()
                (texts / "run" / "state" / "000000003.safetensors").write_text("")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert (texts / "run" / "state" / "000000003.safetensors").exists()

    def test_one_that_cannot_be_created_is_reported(self, texts: Path):
        with pytest.raises(FolderError, match=r"a\.txt/run: cannot be created: Not a directory"):  # noqa: SIM117
            with claimed(texts / "a.txt" / "run"):
                pass

    def test_one_process_at_a_time(self, texts: Path):
        with held(texts):
            with pytest.raises(FolderError, match="another process is training in it"):  # noqa: SIM117
                with held(texts):
                    pass
            program = (
                "from pathlib import Path\n"
                "from clearhead.runs.folder import held\n"
                f"with held(Path({str(texts)!r})): pass\n"
            )
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
            assert "another process is training in it" in done.stderr
        with held(texts):
            pass

    def test_what_a_kill_left_half_written_is_removed_and_nothing_else(self, texts: Path):
        create(texts / "run", Recipe(text=config("a.txt"), model=MODEL, train=TRAIN), Tokenizer.bytes())
        (texts / "run" / ".model.safetensors.0123456789abcdef.tmp").write_text("half")
        (texts / "run" / ".mine").write_text("mine")
        reopen(texts / "run")
        assert sorted(path.name for path in (texts / "run").iterdir()) == [".mine", "recipe.toml"]

    def test_keeping_writes_the_layout_then_the_weights(self, texts: Path):
        model = build(MODEL, seed=0)
        keep = keeper(texts / "run", LanguageModel(model, Tokenizer.bytes()))
        keep()
        names = sorted(path.name for path in (texts / "run").iterdir())
        assert names == [
            "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        ]  # fmt: skip
        before = (texts / "run" / "model.safetensors").read_bytes()
        with torch.no_grad():
            model.embedding.weight.add_(1)
        (texts / "run" / "generation_config.json").unlink()
        keep()
        assert (texts / "run" / "model.safetensors").read_bytes() != before
        assert not (texts / "run" / "generation_config.json").exists()


class TestSignals:
    def test_the_first_is_a_question_the_second_an_end(self, capfd: pytest.CaptureFixture[str]):
        with interruptible(signal.SIGINT, signal.SIGTERM, notice=NOTICE) as stop:
            assert not stop()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop()
            assert capfd.readouterr().err == "\nstopping after this step; Ctrl-C again stops at once\n"
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)

    def test_they_are_as_before_afterwards(self, capfd: pytest.CaptureFixture[str]):
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(ConfigError), interruptible(signal.SIGINT):
            raise ConfigError("whatever")
        assert signal.getsignal(signal.SIGINT) is before
