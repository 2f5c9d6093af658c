"""From text to run folder: names, texts made ready, memory, who holds a folder, what a signal does."""

import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clearhead import machine, runs
from clearhead.errors import ConfigError, FolderError, MemoryNeededError, OptionError, TextError
from clearhead.model import AttentionConfig, DecoderConfig, ExpertsConfig, FeedForwardConfig, ModelConfig, build
from clearhead.recipes import Recipe, TextConfig
from clearhead.text import Tokenizer
from clearhead.training import TrainConfig, check_memory, memory_needed
from clearhead.training.objective import next_token_loss
from clearhead.training.optimizer import Optimizer
from little_configs import QWEN3

TEXT = "From a text to a folder. " * 30
MODEL = replace(QWEN3, vocabulary=257, context=8, layers=1)
MIDDLING = DecoderConfig(
    vocabulary=1024,
    context=256,
    layers=4,
    width=128,
    attention=AttentionConfig(heads=4, kv_heads=4, head_width=32),
    feed_forward=FeedForwardConfig(width=352),
)
MIXTURE = replace(MIDDLING, feed_forward=FeedForwardConfig(width=352, experts=ExpertsConfig(count=3, active=2)))
TRAIN = TrainConfig(steps=3, batch=2, threads=1)


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text(TEXT)
    return tmp_path


def quiet(line: str) -> None:
    pass


def config(*sources: str, **options) -> TextConfig:
    return TextConfig(sources=sources, **{"tokenizer": "bytes", **options})


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
        assert runs.name_of(config(source, "other.txt")) == name

    def test_or_as_its_corpus_or_folder(self, texts: Path):
        assert runs.name_of(TextConfig(corpus="world-zh")) == "world-zh"
        assert runs.name_of(config(".")) == texts.name


class TestText:
    def test_both_parts_by_hand(self, texts: Path):
        said: list[str] = []
        material = runs.prepare(config("a.txt"), texts / "run", said.append)
        assert bytes([*material.train.ids[1:], *material.valid.ids]) == TEXT.encode()
        assert len(material.train) == 1 + int(0.9 * len(TEXT))
        assert material.tokenizer.kind == "bytes"
        assert said == [f"text: {len(material.train)} tokens to learn from, {len(material.valid)} to validate on; "
                        f"257 different (bytes); ready in {said[0].split()[-2]} s"]  # fmt: skip

    def test_a_text_of_its_own_to_validate_on(self, texts: Path):
        (texts / "v.txt").write_text("other")
        material = runs.prepare(config("a.txt", valid=("v.txt",)), texts / "run", quiet)
        assert len(material.train) == 1 + len(TEXT)
        assert material.tokenizer.decode(material.valid.ids) == "<|endoftext|>other"

    def test_the_fingerprint_is_of_content_and_tokenizer(self, texts: Path):
        def print_of(*names: str, **options) -> str:
            found = runs.prepare(config(*names, **options), texts / "run", quiet).config.fingerprint
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
        known = runs.prepare(config("a.txt"), texts / "run", quiet).config
        assert runs.prepare(known, texts / "run", quiet).config == known
        (texts / "a.txt").write_text(TEXT.replace("folder", "holder"))
        with pytest.raises(FolderError, match="run: the text or the tokenizer has changed since the run began"):
            runs.prepare(known, texts / "run", quiet)
        (texts / "a.txt").unlink()
        with pytest.raises(TextError, match=r"no such file.*resume from the folder where the run began"):
            runs.prepare(known, texts / "run", quiet)

    def test_the_tokenizer_of_the_folder_is_the_runs(self, texts: Path, monkeypatch: pytest.MonkeyPatch):
        """One that is learned again might differ: another version of the library, a cache that was emptied."""
        known = runs.prepare(config("a.txt", tokenizer="bpe"), texts / "run", quiet)
        known.tokenizer.save(texts / "run")
        monkeypatch.setattr(runs, "learn", None)
        again = runs.prepare(known.config, texts / "run", quiet)
        assert again.tokenizer.fingerprint == known.tokenizer.fingerprint
        Tokenizer.bytes().save(texts / "run")
        with pytest.raises(FolderError, match="the text or the tokenizer has changed"):
            runs.prepare(known.config, texts / "run", quiet)

    @pytest.mark.usefixtures("at_once")
    def test_standard_input_is_read_from_the_folder(self, texts: Path):
        folder = texts / "run"
        folder.mkdir()
        (folder / "stdin.txt").write_text("piped in")
        material = runs.prepare(config("-", "a.txt"), folder, quiet)
        assert material.tokenizer.decode(material.train.ids[:9]) == "<|endoftext|>piped in"
        (folder / "stdin.txt").unlink()
        os.mkfifo(folder / "stdin.txt")
        with pytest.raises(FolderError, match=r"stdin\.txt: is a pipe, and should be a file"):
            runs.prepare(config("-"), folder, quiet)
        (folder / "stdin.txt").unlink()
        (folder / "stdin.txt").write_bytes(b"")
        with pytest.raises(TextError, match=r"^standard input: is empty"):
            runs.prepare(config("-"), folder, quiet)

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (TextConfig(), "no text: name a file"),
            (config("a.txt", corpus="world-en"), "text 'a.txt' and corpus 'world-en' were both given"),
            (TextConfig(corpus="world"), "no corpus 'world'; did you mean 'world-"),
            (config("a.txt", megabytes=2.0), "megabytes 2: is the size of a built-in corpus"),
            (config("a.txt", tokenizer="word"), "tokenizer 'word': neither a kind nor a file or folder"),
            (config("a.txt", vocabulary=300), "vocabulary 300: is for tokenizer 'bpe'; 'bytes' has its own size"),
        ],
    )
    def test_what_nothing_would_read_is_refused(self, texts: Path, wrong: TextConfig, message: str):
        with pytest.raises(OptionError, match=message):
            runs.check_text(wrong)


class TestMemory:
    def test_more_than_there_is_is_refused_before_it_is_taken(self, texts: Path, monkeypatch: pytest.MonkeyPatch):
        need = memory_needed(MODEL, TRAIN)
        monkeypatch.setattr(machine, "free_memory", lambda device: need)
        check_memory(MODEL, TRAIN)
        monkeypatch.setattr(machine, "free_memory", lambda device: need - 1)
        with pytest.raises(MemoryNeededError, match=r"on 2 texts of 8 tokens needs about .* GB are free; lower"):
            runs.create(texts, Recipe(text=config("a.txt"), model=MODEL, train=TRAIN))
        assert not (texts / "recipe.toml").exists()

    def test_on_a_gpu_its_own_counts(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(machine, "device", lambda: "cuda")
        need = memory_needed(MODEL, TRAIN)
        monkeypatch.setattr(machine, "free_memory", {"cuda": need}.__getitem__)
        check_memory(MODEL, TRAIN)
        monkeypatch.setattr(machine, "free_memory", {"cuda": need - 1}.__getitem__)
        with pytest.raises(MemoryNeededError, match=r"GB are free on cuda; lower train.batch"):
            check_memory(MODEL, TRAIN)

    @pytest.mark.parametrize("config", [MIDDLING, MIXTURE], ids=["one feed-forward", "two active experts"])
    def test_the_estimate_is_near_what_is_taken(self, config: ModelConfig):
        """What a process of its own grows by, from a step of one window to a step of 32."""
        program = (
            "import torch\n"
            "from test_runs import MIDDLING, MIXTURE, one_step, peak\n"
            "torch.set_num_threads(1)\n"
            f"config = {'MIDDLING' if config is MIDDLING else 'MIXTURE'}\n"
            "one_step(config, 1)\n"  # the libraries' own
            "before = peak()\n"
            "one_step(config, 32)\n"
            "print(peak() - before)\n"
        )
        places = os.pathsep.join(path for path in sys.path if path)
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": places},
            capture_output=True,
            text=True,
            check=True,
        )
        few, many = (memory_needed(config, replace(TRAIN, batch=batch)) for batch in (1, 32))
        assert 0.7 * (many - few) < int(done.stdout) < 1.4 * (many - few)

    def test_what_a_run_needs_grows_with_each_part(self):
        needs = [
            memory_needed(model, train)
            for model, train in [
                (MODEL, TRAIN),
                (MODEL, replace(TRAIN, batch=64)),
                (replace(MODEL, layers=9), replace(TRAIN, batch=64)),
                (replace(MODEL, layers=9, vocabulary=9_999), replace(TRAIN, batch=64)),
            ]
        ]
        assert needs == sorted(set(needs))


def one_step(config: ModelConfig, batch: int) -> None:
    """A step of training, in a process of its own."""
    import numpy as np

    from clearhead.text import Batch

    network = build(config, seed=0).train()
    ids_BT = np.zeros((batch, 256), dtype=np.int64)
    loss = next_token_loss(network, Batch(ids_BT=ids_BT, targets_BT=ids_BT, documents_BT=None))
    loss.backward()
    Optimizer(network, TRAIN.optimizer).step(1.0)


def peak() -> int:
    """The most memory this process ever had, in bytes.

    On Linux not by getrusage: a new process has that figure from the one that started it.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


class TestFolders:
    def test_a_recipe_comes_back(self, texts: Path):
        recipe = Recipe(text=config("a.txt", fingerprint="abc"), model=MODEL, train=TRAIN)
        model, papers = runs.create(texts / "run", recipe)
        assert model.config == MODEL
        assert papers is None
        assert runs.reopen(texts / "run") == (recipe, None)

    def test_one_that_fails_before_anything_is_saved_is_removed(self, texts: Path):
        def fail() -> None:
            with runs.claimed(texts / "deep" / "run"):
                (texts / "deep" / "run" / "state").mkdir()
                (texts / "deep" / "run" / "recipe.toml").write_text("")
                raise ConfigError("whatever")

        with pytest.raises(ConfigError, match="whatever"):
            fail()
        assert not (texts / "deep" / "run").exists()

    def test_what_others_put_into_it_meanwhile_stays(self, texts: Path):
        def fail() -> None:
            with runs.claimed(texts / "run"):
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
            with runs.claimed(texts / "run"):
                (texts / "run" / "state").mkdir()
                (texts / "run" / "state" / "000000003.safetensors").write_text("")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert (texts / "run" / "state" / "000000003.safetensors").exists()

    def test_one_that_cannot_be_made_is_told(self, texts: Path):
        with pytest.raises(FolderError, match=r"a\.txt/run: cannot be made: Not a directory"):  # noqa: SIM117
            with runs.claimed(texts / "a.txt" / "run"):
                pass

    def test_one_process_at_a_time(self, texts: Path):
        with runs.held(texts):
            with pytest.raises(FolderError, match="another process is training in it"):  # noqa: SIM117
                with runs.held(texts):
                    pass
            program = (
                f"from pathlib import Path; from clearhead import runs\nwith runs.held(Path({str(texts)!r})): pass"
            )
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
            assert "another process is training in it" in done.stderr
        with runs.held(texts):
            pass

    def test_what_a_kill_left_half_written_is_removed_and_nothing_else(self, texts: Path):
        runs.create(texts / "run", Recipe(text=config("a.txt"), model=MODEL, train=TRAIN))
        (texts / "run" / ".model.safetensors.0123456789abcdef.tmp").write_text("half")
        (texts / "run" / ".mine").write_text("mine")
        runs.reopen(texts / "run")
        assert sorted(path.name for path in (texts / "run").iterdir()) == [".mine", "recipe.toml"]

    def test_keeping_writes_the_layout_then_the_weights(self, texts: Path):
        model = build(MODEL, seed=0)
        keep = runs.keeper(texts / "run", model, Tokenizer.bytes())
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
        with runs.interruptible() as stop:
            assert not stop()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop()
            assert capfd.readouterr().err == "\nstopping after this step; Ctrl-C again stops at once\n"
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)

    def test_they_are_as_before_afterwards(self, capfd: pytest.CaptureFixture[str]):
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(ConfigError), runs.interruptible():
            raise ConfigError("whatever")
        assert signal.getsignal(signal.SIGINT) is before
