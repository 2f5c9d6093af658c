"""The run folder: its name, its lock, what stays in it, and signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from little_runs import MODEL, TRAIN, config

from clearhead.errors import ConfigError, FolderError
from clearhead.language_model import LanguageModel
from clearhead.model import build
from clearhead.recipes import Recipe, TextConfig
from clearhead.runs import interruptible, keeper
from clearhead.runs.begin import create
from clearhead.runs.folder import Claim, claimed, held, name_of, reopen
from clearhead.text import Tokenizer


def begin(claim: Claim) -> None:
    """What a start writes before it saves a state."""
    with claim.writing("recipe.toml") as file:
        file.write(b"ours")
    claim.make()


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
        (texts / "run").mkdir()
        model = create(Claim(texts / "run"), recipe, Tokenizer.bytes())
        assert model.config == MODEL
        assert reopen(texts / "run") == (recipe, None)

    def test_one_that_fails_before_anything_is_saved_is_removed(self, texts: Path):
        def fail() -> None:
            with claimed(texts / "deep" / "run") as claim:
                begin(claim)
                raise ConfigError("whatever")

        with pytest.raises(ConfigError, match="whatever"):
            fail()
        assert not (texts / "deep" / "run").exists()

    def test_what_others_put_into_it_meanwhile_stays(self, texts: Path):
        def fail() -> None:
            with claimed(texts / "run") as claim:
                begin(claim)
                for name in ("notes.txt", "state/notes.txt", "stdin.jsonl"):
                    (texts / "run" / name).write_text("theirs")
                for name in ("recipe.toml", "log.jsonl"):  # under a run's own name, as an editor saves a file
                    (texts / "theirs").write_text("theirs")
                    (texts / "theirs").replace(texts / "run" / name)
                raise ConfigError("whatever")

        with pytest.raises(ConfigError, match="whatever"):
            fail()
        left = sorted(str(path.relative_to(texts / "run")) for path in (texts / "run").rglob("*") if path.is_file())
        assert left == ["log.jsonl", "notes.txt", "recipe.toml", "state/notes.txt", "stdin.jsonl"]
        assert {(texts / "run" / name).read_text() for name in left} == {"theirs"}

    @pytest.mark.parametrize("name", ["recipe.toml", "log.jsonl", "state"])
    def test_what_others_put_there_first_is_not_overwritten(self, texts: Path, name: str):
        def start() -> None:
            with claimed(texts / "run") as claim:
                (texts / "run" / name).write_text("theirs")
                begin(claim)

        with pytest.raises(FolderError, match=rf"run/{name}: was put there while the run was starting"):
            start()
        assert [path.name for path in (texts / "run").iterdir()] == [name]
        assert (texts / "run" / name).read_text() == "theirs"

    def test_one_with_a_state_is_kept_whatever_happens(self, texts: Path):
        def fail() -> None:
            with claimed(texts / "run") as claim:
                begin(claim)
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
        (texts / "run").mkdir()
        create(Claim(texts / "run"), Recipe(text=config("a.txt"), model=MODEL, train=TRAIN), Tokenizer.bytes())
        (texts / "run" / ".model.safetensors.0123456789abcdef.tmp").write_text("half")
        (texts / "run" / ".mine").write_text("mine")
        reopen(texts / "run")
        assert sorted(path.name for path in (texts / "run").iterdir()) == [".mine", "log.jsonl", "recipe.toml", "state"]

    def test_keeping_writes_the_layout_then_the_weights(self, texts: Path):
        model = build(MODEL, seed=0)
        keep = keeper(texts / "run", LanguageModel(model, Tokenizer.bytes()))
        keep(3)
        names = sorted(path.name for path in (texts / "run").iterdir())
        assert names == [
            "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        ]  # fmt: skip
        before = (texts / "run" / "model.safetensors").read_bytes()
        with torch.no_grad():
            model.embedding.weight.add_(1)
        (texts / "run" / "generation_config.json").unlink()
        keep(3)
        assert (texts / "run" / "model.safetensors").read_bytes() != before
        assert not (texts / "run" / "generation_config.json").exists()


class TestSignals:
    def test_the_first_is_a_question_the_second_an_end(self, capfd: pytest.CaptureFixture[str]):
        with interruptible(signal.SIGINT, signal.SIGTERM, notice=b"\nstopping\n") as stop:
            assert not stop()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop()
            assert capfd.readouterr().err == "\nstopping\n"
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)

    def test_they_are_as_before_afterwards(self, capfd: pytest.CaptureFixture[str]):
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(ConfigError), interruptible(signal.SIGINT):
            raise ConfigError("whatever")
        assert signal.getsignal(signal.SIGINT) is before
