"""Bad input: one clear error, exit code 1 or 2, no traceback, nothing left behind, nothing lost."""

import hashlib
import shutil
from pathlib import Path

import pytest
from calling import SMALL, TEXT, Command, Done

from clearhead import machine
from clearhead.errors import TextError
from clearhead.runs.folder import held
from clearhead.tensorfile import read_tensors, write_tensors
from clearhead.training import read_end


def one_error(done: Done, code: int, *parts: str) -> None:
    """The command failed with one line of error that has these parts in this order."""
    assert done.code == code, done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.err
    assert done.err.endswith(errors[0] + "\n")
    at = 0
    for part in parts:
        assert part in errors[0][at:], errors[0]
        at = errors[0].index(part, at) + len(part)


def contents(folder: Path) -> dict[str, str]:
    """Every file below the folder and what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


FILES = {
    "empty.txt": b"",
    "binary.txt": b"\x7fELF\x02\x01\x01\x00\x00\x00",
    "latin.txt": "une forêt".encode("latin-1") * 50,
    "short.txt": b"too short",
    "one.txt": b"a",
    "data.jsonl": b'{"text": "a"}\n{"body": "b"}\n',
    "broken.jsonl": b'{"text": "a"}\n{"text": \n',
    "blank.jsonl": b'{"text": ""}\n' * 60,
    "half.json": b'{"version": "1.0", "trunc',
    "half.toml": b"[model\nlayers = 3",
    "wrong.toml": b"[modle]\nlayers = 3",
    "both.toml": b"[train]\nsteps = 3\nminutes = 2.0",
    "sources.toml": b'[text]\nsources = ["text.txt"]\ncorpus = "world-en"',
}
FEW = ["--steps", "2"]
T = ["text.txt"]

# The arguments after "train", the exit code, and what the error says.
CASES = {
    "nothing": ([], 2, "no text: name a file, a folder or - for standard input, or use --corpus world-en"),
    "missing": (["txt.txt", *FEW], 1, "txt.txt: no such file; did you mean 'text.txt'?"),
    "origin of another type": ([*T, *FEW, "--set", "origin=1"], 2, "origin: 1 was given; it must be a text"),
    "digits": ([*T, *FEW, "--set", f"train.seed={'9' * 5000}"], 2, "--set 'train.seed=999", "more than 4,300 digits"),
    "brackets": ([*T, *FEW, "--set", f"train.seed={'[' * 2000}"], 2, "--set 'train.seed=[[[", "nested too deeply"),
    "missing folder": (["books/", *FEW], 1, "books: no such file"),
    "empty": (["empty.txt", *FEW], 1, "empty.txt: is empty"),
    "empty input": (["-", *FEW], 1, "standard input: is empty"),
    "binary": (["binary.txt", *FEW], 1, "binary.txt: a NUL near byte 7", "binary data"),
    "other encoding": (["latin.txt", *FEW], 1, "latin.txt: byte 7 (0xea) is not utf-8", "--encoding"),
    "no encoding": ([*T, "--encoding", "utf-9", *FEW], 2, "--encoding 'utf-9' is not a text encoding", "'utf-8'"),
    "short": (["short.txt", *FEW], 1, "the text has", "a window needs 17, context 16 plus one"),
    "one letter": (["one.txt", *FEW], 1, "token"),
    "blank": (["blank.jsonl", *FEW], 1, "the text has 0 tokens; a window needs 17"),
    "no field": (["data.jsonl", *FEW], 1, "data.jsonl: line 2: field 'text' is missing; give --field body"),
    "not json": (["broken.jsonl", *FEW], 1, "broken.jsonl: line 2: not JSON"),
    "field of nothing": ([*T, "--field", "body", *FEW], 2, "field 'body': applies to .jsonl files, and there are none"),
    "both": ([*T, "--corpus", "world-en", *FEW], 2, "sources ['text.txt'] and corpus world-en were both given"),
    "both in a file": (["--config", "sources.toml", *FEW], 2, "text: sources", "were both given"),
    "no corpus": (["--corpus", "wrld-en", *FEW], 2, "no corpus 'wrld-en'; did you mean 'world-en'?"),
    "no size": (["--corpus", "world-en", "--megabytes", "0", *FEW], 2, "world-en: megabytes is 0"),
    "size of nothing": ([*T, "--megabytes", "3", *FEW], 2, "megabytes 3: sets the size of a built-in corpus"),
    "no valid": ([*T, "--valid", "vlid.txt", *FEW], 1, "vlid.txt: no such file"),
    "valid is the text": ([*T, "--valid", "text.txt", *FEW], 2, "text.txt: is both training text and validation text"),
    "empty valid": ([*T, "--valid", "empty.txt", *FEW], 1, "empty.txt: is empty"),
    "no recipe": ([*T, "--recipe", "tinny"], 2, "recipe: there is no 'tinny'; did you mean 'tiny'?"),
    "no config": ([*T, "--config", "c.toml"], 2, "config: there is no file c.toml"),
    "half a config": ([*T, "--config", "half.toml"], 2, "config: half.toml is not TOML"),
    "config of others": ([*T, "--config", "wrong.toml"], 2, "modle: unknown; did you mean 'model'?"),
    "config of both": ([*T, "--config", "both.toml"], 2, "train: steps 3 and minutes 2.0 were both given"),
    "steps and minutes": ([*T, "--minutes", "1", *FEW], 2, "minutes 1.0", "were both given; choose one"),
    "no steps": ([*T, "--steps", "0"], 2, "train: steps is 0; it must be a number at least 1"),
    "no minutes": ([*T, "--minutes", "0"], 2, "train: minutes is 0.0; it must be a number above 0"),
    "endless": ([*T, "--minutes", "inf"], 2, "train.minutes: inf was given; it must be a finite number"),
    "few minutes": ([*T, "--minutes", "1e-6"], 2, "minutes 1e-06", "before the first step", "give more"),
    "seed": ([*T, "--seed", "-1", *FEW], 2, "train: seed is -1; it must be at least 0"),
    "threads": ([*T, "--threads", "0", *FEW], 2, "train: threads is 0; it must be a number at least 1"),
    "tokenizer": ([*T, "--tokenizer", "bite", *FEW], 2, "tokenizer 'bite': neither", "did you mean 'bytes'?"),
    "half a tokenizer": ([*T, "--tokenizer", "half.json", *FEW], 1, "half.json: truncated, altered or not a tokenizer"),
    "vocabulary": ([*T, "--vocabulary", "99", "--tokenizer", "bpe", *FEW], 2, "vocabulary size 99", "at least 257"),
    "vocabulary of bytes": ([*T, "--vocabulary", "300", *FEW], 2, "vocabulary 300: applies to the tokenizers auto, "),
    "no equals": ([*T, "--set", "model.layers"], 2, "--set model.layers: write it as name=value"),
    "no name": ([*T, "--set", "=3"], 2, "--set =3: write it as name=value, such as model.layers=6"),
    "key": ([*T, "--set", "model.layrs=3", *FEW], 2, "model.layrs: unknown; did you mean 'layers'?"),
    "deep key": ([*T, "--set", "train.optimizer.lrr=3", *FEW], 2, "train.optimizer.lrr: unknown; did you mean 'lr'?"),
    "table": ([*T, "--set", "trian.seed=3", *FEW], 2, "trian: unknown; did you mean 'train'?"),
    "text key": ([*T, "--set", "text.filed=a", *FEW], 2, "text.filed: unknown; did you mean 'field'?"),
    "key of the dial": ([*T, "--set", "model.dropot=0.1"], 2, "model.dropot: unknown; did you mean 'dropout'?"),
    "value of the dial": ([*T, "--set", "model.dropout=2"], 2, "dropout is 2.0; it must be at least 0 and below 1"),
    "kind": ([*T, "--set", "model.layers=many", *FEW], 2, "model.layers: 'many' was given; it must be a whole number"),
    "fraction": ([*T, "--set", "train.batch=1.5", *FEW], 2, "train.batch: 1.5 was given; it must be a whole number"),
    "no table": ([*T, "--set", "model.attention=3", *FEW], 2, "model.attention: 3 was given; it is a table with heads"),
    "no model": ([*T, "--set", "model=3", *FEW], 2, "model: 3 was given; it is a table with vocabulary"),
    "no text table": ([*T, "--set", "text=3", *FEW], 2, "text: 3 was given; it is a table with layout, sources"),
    "no train table": ([*T, "--set", "train=3"], 2, "train: 3 was given; it is a table with steps"),
    "version": ([*T, "--set", "version=2", *FEW], 2, "version: 2 was given; it must be 1"),
    "choice": ([*T, "--set", "train.optimizer.kind=moun", *FEW], 2, "train.optimizer.kind: 'moun' was given"),
    "activation": ([*T, "--set", "model.feed_forward.kind=swigl", *FEW], 2, "'swigl'; did you mean 'swiglu'?"),
    "batch": ([*T, "--set", "train.batch=0", *FEW], 2, "train: batch is 0; it must be at least 1 and at most"),
    "rate": ([*T, "--set", "train.optimizer.lr=nan", *FEW], 2, "optimizer.lr: nan was given; it must be a"),
    "heads": ([*T, "--set", "model.attention.kv_heads=3", *FEW], 2, "kv_heads must divide heads"),
    "ids": ([*T, "--set", "model.vocabulary=200", *FEW], 2, "model.vocabulary is 200, but the tokenizer has 257"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "parts"), [(c[0], c[1], c[2:]) for c in CASES.values()], ids=CASES)
def test_bad_input(command: Command, tmp_path: Path, arguments: list[str], code: int, parts: tuple[str, ...]):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    before = contents(tmp_path)
    shape = SMALL if arguments[-2:] == FEW else SMALL[:4]  # a case without steps may be about what measuring chooses
    done = command("train", *shape, *arguments)
    one_error(done, code, *parts)
    assert contents(tmp_path) == before
    assert not any((tmp_path / "runs").glob("*"))


def test_debug_shows_the_traceback_wherever_the_option_is(command: Command):
    for arguments in (["--debug", "train", "nothing.txt"], ["train", "nothing.txt", "--debug"]):
        with pytest.raises(TextError, match="no such file"):
            command(*arguments)


def test_a_character_that_a_tokenizer_lacks(command: Command, tmp_path: Path):
    from clearhead.text import Tokenizer

    Tokenizer.characters(["abc"]).save(tmp_path / "abc")
    done = command("train", "text.txt", "--tokenizer", "abc", *FEW, *SMALL[2:])
    one_error(done, 1, "the character 'T' (U+0054)", "is not among the 3 this tokenizer learned")
    assert not (tmp_path / "runs" / "text").exists()


class TestARunFolder:
    def test_that_exists_is_left_alone(self, command: Command, tmp_path: Path, trained):
        shutil.copytree(trained[0], tmp_path / "runs" / "text")
        before = contents(tmp_path)
        done = command("train", "text.txt", *FEW, *SMALL)
        one_error(done, 1, "runs/text: exists already", "clearhead train --resume runs/text", "--out", "remove it")
        assert contents(tmp_path) == before

    def test_with_something_else_in_it_is_left_alone(self, command: Command, tmp_path: Path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "letter.txt").write_text("dear")
        one_error(
            command("train", "text.txt", "--out", "mine", *FEW, *SMALL), 1, "mine: exists already; choose another"
        )
        assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"

    def test_that_is_a_file(self, command: Command, tmp_path: Path):
        one_error(command("train", "text.txt", "--out", "text.txt", *FEW, *SMALL), 1, "text.txt: cannot be created")
        assert (tmp_path / "text.txt").read_text() == TEXT

    def test_that_is_empty_is_used_and_stays_when_the_run_fails(self, command: Command, tmp_path: Path):
        (tmp_path / "mine").mkdir()
        assert command("train", "text.txt", "--out", "mine", *FEW, *SMALL, "--set", "model.vocabulary=3").code == 2
        assert list((tmp_path / "mine").iterdir()) == []
        assert command("train", "text.txt", "--out", "mine", *FEW, *SMALL).code == 0

    def test_that_another_process_trains_in(self, command: Command, tmp_path: Path, trained):
        (tmp_path / "empty").mkdir()
        shutil.copytree(trained[0], tmp_path / "run")
        with held(tmp_path / "empty"), held(tmp_path / "run"):
            started = command("train", "text.txt", "--out", "empty", *FEW, *SMALL)
            resumed = command("train", "--resume", "run")
        one_error(started, 1, "empty: another process is training in it")
        one_error(resumed, 1, "run: another process is training in it")
        assert (tmp_path / "empty").exists()


class TestMemory:
    def test_that_is_too_small(self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(machine, "free_memory", lambda device: 100_000)
        done = command("train", "text.txt", *FEW, *SMALL)
        one_error(done, 1, "training 6,736 weights on 4 texts of 16 tokens needs about", "0.0 GB are free", "lower")
        assert not (tmp_path / "runs" / "text").exists()

    def test_of_a_model_that_no_machine_could_hold(self, command: Command, tmp_path: Path):
        done = command("train", "text.txt", *FEW, *SMALL, "--set", "model.width=10_000_000")
        one_error(done, 1, "GB; ", "GB are free; lower train.batch or train.window, or use a smaller model")
        assert not (tmp_path / "runs" / "text").exists()


class TestADiskThatIsFull:
    def test_before_anything_is_saved(self, command: Command, tmp_path: Path, file_limit):
        """The recipe fits, the first state does not."""
        assert command("train", "text.txt", *FEW, *SMALL, "--out", "first").code == 0  # the cache holds the tokens
        with file_limit(5_000):
            done = command("train", "text.txt", *FEW, *SMALL)
        one_error(
            done, 1, "runs/text/state/000000000.safetensors: cannot be written: File too large", "free some space"
        )
        assert not (tmp_path / "runs" / "text").exists()

    def test_in_the_middle(self, command: Command, tmp_path: Path, file_limit, trained):
        """The log grows beyond the limit; the last state is whole, and from it the run ends as if nothing had been."""
        words = ["--steps", 300, *SMALL, "--set", "train.evaluations=10"]
        with file_limit(35_000):
            done = command("train", "text.txt", *words, "--set", "model.width=4", "--set", "model.feed_forward.width=4")
        one_error(
            done, 1, "runs/text/log.jsonl: cannot be written: File too large; free some space; then continue after step"
        )
        assert command("train", "--resume", "runs/text").code == 0
        shape = ["--set", "model.width=4", "--set", "model.feed_forward.width=4"]
        assert command("train", "text.txt", *words, *shape, "--out", "whole").code == 0
        for file in ("model.safetensors", "recipe.toml"):
            assert (tmp_path / "runs" / "text" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()

    def test_where_the_text_is_kept(self, command: Command, tmp_path: Path, file_limit, monkeypatch):
        monkeypatch.setenv("CLEARHEAD_CACHE", str(tmp_path / "cache"))
        with file_limit(5_000):
            done = command("train", "text.txt", *FEW, *SMALL)
            piped = command("train", "-", *FEW, *SMALL, stdin=TEXT.encode() * 2)
        one_error(done, 1, str(tmp_path / "cache"), "cannot be written: File too large")
        one_error(piped, 1, "runs/stdin/stdin.txt: cannot be written: File too large")
        assert not any((tmp_path / "runs").iterdir())


def test_a_loss_that_is_not_finite(command: Command, tmp_path: Path):
    wild = ["--set", "train.optimizer.lr=1e38", "--set", "train.optimizer.adamw_lr=1e38"]
    done = command("train", "text.txt", "--steps", 8, *SMALL, *wild)
    one_error(done, 1, "step ", "loss is nan, so the run stopped; its last good state is kept in runs/text/state")
    assert [path.name for path in (tmp_path / "runs" / "text" / "state").iterdir()] == ["000000000.safetensors"]
    assert command("eval", "runs/text", "text.txt", "--threads", 1).code == 0


@pytest.fixture
def stopped(command: Command, tmp_path: Path, trained) -> Path:
    """A copy of the run, with its text beside it, as if killed after its last step: the log has no end."""
    folder = Path(shutil.copytree(trained[0], tmp_path / "run"))
    *lines, end = (folder / "log.jsonl").read_bytes().splitlines(keepends=True)
    assert b'"finished"' in end
    (folder / "log.jsonl").write_bytes(b"".join(lines))
    return folder


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def other_state(path: Path) -> None:
    tensors, _ = read_tensors(path)
    write_tensors(path, tensors)


STATE = "state/000000020.safetensors"
DAMAGE = {
    "truncated state": (lambda run: truncate(run / STATE), f"{STATE}: truncated"),
    "altered state": (lambda run: alter(run / STATE), f"{STATE}: altered since it was written"),
    "a file that is no state": (lambda run: other_state(run / STATE), f"{STATE}: not a saved state"),
    "no state": (
        lambda run: shutil.rmtree(run / "state"),
        "state: there is no saved state, so the run cannot be resumed",
    ),
    "no recipe": (lambda run: (run / "recipe.toml").unlink(), "recipe.toml: there is no such file; run is not a run"),
    "half a recipe": (lambda run: (run / "recipe.toml").write_text("[text"), "recipe.toml is not TOML"),
    "altered recipe": (
        lambda run: replace(run / "recipe.toml", "layers = 1", "layers = 2"),
        "recipe.toml: has changed since the last state was saved",
        "model.layers was 1 and is now 2",
    ),
    "unknown in the recipe": (
        lambda run: replace(run / "recipe.toml", "layers", "layrs"),
        "run/recipe.toml: model.layrs: unknown",
    ),
    "altered text": (
        lambda run: (run.parent / "text.txt").write_text(TEXT + "."),
        "run: the text or the tokenizer has",
    ),
    "no text": (
        lambda run: (run.parent / "text.txt").unlink(),
        "text.txt: no such file",
        "resume from the directory where",
    ),
    "truncated tokenizer": (lambda run: truncate(run / "tokenizer.json"), "tokenizer.json: truncated, altered or not"),
    "altered tokenizer": (
        lambda run: replace(run / "tokenizer.json", '"Ā": 0', '"Ā": 1'),
        "run: the text or the tokenizer has changed",
    ),
    "truncated log": (lambda run: truncate(run / "log.jsonl"), "log.jsonl: has", "copy it again"),
}


@pytest.mark.parametrize(("damage", "parts"), [(case[0], case[1:]) for case in DAMAGE.values()], ids=DAMAGE)
def test_a_damaged_run_is_not_resumed(command: Command, stopped: Path, damage, parts):
    damage(stopped)
    before = contents(stopped)
    done = command("train", "--resume", "run")
    one_error(done, 2 if ("recipe" in parts[0] and "TOML" in parts[0]) or "layrs" in parts[0] else 1, *parts)
    assert contents(stopped) == before


class TestResuming:
    def test_what_is_not_there(self, command: Command):
        one_error(command("train", "--resume", "runs/nothing"), 1, "runs/nothing: there is no such folder")
        one_error(command("train", "--resume", "text.txt"), 1, "text.txt: there is no such folder")

    def test_a_folder_of_something_else(self, command: Command, tmp_path: Path):
        (tmp_path / "mine").mkdir()
        one_error(command("train", "--resume", "mine"), 1, "mine/recipe.toml: there is no such file; mine is not a run")

    @pytest.mark.parametrize(
        "more",
        [["text.txt"], ["--steps", 9], ["--seed", 0], ["--set", "train.steps=9"], ["--out", "x"], ["--recipe", "tiny"],
         ["--config", "c.toml"], ["--valid", "text.txt"], ["--corpus", "world-en"], ["--threads", 1], ["--minutes", 1]],
        ids=str,
    )  # fmt: skip
    def test_with_other_options(self, command: Command, stopped: Path, more):
        before = contents(stopped)
        done = command("train", "--resume", "run", *more)
        one_error(done, 2, "--resume run continues with the run's own settings; drop the text and all other options")
        assert contents(stopped) == before

    def test_changes_are_accepted_only_for_a_run_to_resume(self, command: Command):
        done = command("train", "text.txt", "--steps", 1, "--accept-changes")
        one_error(done, 2, "--accept-changes applies to --resume", "give --resume FOLDER")

    def test_another_shape_is_refused_even_if_changes_are_accepted(self, command: Command, stopped: Path):
        replace(stopped / "recipe.toml", "layers = 1", "layers = 2")
        one_error(command("train", "--resume", "run", "--accept-changes"), 1, "do not fit the recipe's model")

    def test_with_too_little_memory(self, command: Command, stopped: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(machine, "free_memory", lambda device: 100_000)
        before = contents(stopped)
        one_error(command("train", "--resume", "run"), 1, "training 6,736 weights", "are free; lower")
        assert contents(stopped) == before

    def test_a_run_killed_after_its_last_step_is_finished(self, command: Command, stopped: Path, trained):
        (stopped / "loss.svg").unlink()
        done = command("train", "--resume", "run")
        assert (done.code, done.out) == (0, "run\n")
        assert "continuing run after step 20" in done.err
        assert trained[1].err.splitlines()[-2] in done.err
        before, after = contents(trained[0]), contents(stopped)
        assert {name for name in before if after[name] != before[name]} <= {"log.jsonl"}
        assert read_end(stopped / "log.jsonl") is not None

    def test_a_finished_run_changes_nothing(self, command: Command, tmp_path: Path, trained):
        run = Path(shutil.copytree(trained[0], tmp_path / "run"))
        before = contents(run)
        done = command("train", "--resume", "run")
        assert (done.code, done.out) == (0, "run\n")
        assert done.err == (
            "run is finished (step 20); there is nothing to do; to train it further: clearhead train TEXT --from run\n"
        )
        assert contents(run) == before

    def test_a_finished_run_goes_on_for_more_steps(self, command: Command, tmp_path: Path, trained):
        run = Path(shutil.copytree(trained[0], tmp_path / "run"))
        replace(run / "recipe.toml", "steps = 20", "steps = 22")
        done = command("train", "--resume", "run", "--accept-changes")
        assert "continuing run after step 20" in done.err
        end = read_end(run / "log.jsonl")
        assert end is not None
        assert end.step == 22
        assert (run / "log.jsonl").read_text().count('"finished"') == 1


def test_options_that_the_command_does_not_know(command: Command):
    done = command("train", "text.txt", "--step", 3)
    assert done.code == 2
    assert "there is no option --step; did you mean --steps?" in done.err
