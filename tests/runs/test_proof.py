"""``clearhead prove``: what it proves, what it finds, and what it leaves behind."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from little_runs import TEXT

import clearhead as ch
from clearhead import cli, machine, runs
from clearhead.errors import ClearheadError, FolderError, OptionError, TrainingError
from clearhead.runs.killing import Killer
from clearhead.runs.proof import difference, prove
from clearhead.tensorfile import read_tensors, write_tensors

RECIPE = """
[model]
context = 16
layers = 1
width = 16
attention = { heads = 2, kv_heads = 2, head_width = 8 }
feed_forward = { width = 32 }
[train]
batch = 4
"""

# Ends with a proof's folder left behind.
KILLED = """
import os, sys
from pathlib import Path
from clearhead.files import temporary_folder
with temporary_folder(Path(sys.argv[1])):
    os.kill(os.getpid(), 9)
"""

# Each process has its own learning rate, as in a run that is not deterministic.
UNSTEADY = """
import os
from clearhead.training import loop
from clearhead.runs.killing import serve, train
real = loop.learning_rate
loop.learning_rate = lambda config, done: real(config, done) * (1 + os.getpid() % 7919 / 10000)
serve(train)
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe; temporary folders are created in ``tmp_path / "temporary"``."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "small.toml").write_text(RECIPE)
    (tmp_path / "unsteady.py").write_text(UNSTEADY)
    monkeypatch.chdir(tmp_path)
    return "small.toml"


def test_a_proof_says_what_was_proved_and_leaves_nothing_even_of_one_that_was_killed(small: str, tmp_path: Path):
    lines: list[str] = []
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "temporary" / "clearhead-prove")], check=False)
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    proof = prove(small, kills=6, steps=12, say=lines.append)
    assert (proof.kills, proof.steps, proof.threads) == (6, 12, 1)
    assert 2 <= proof.runs <= 6
    assert proof.bits >= proof.runs * 8 * 4 * 6_000  # of some 6,700 weights, thrice
    assert lines[-1] == f"6 kills of 6, {proof.runs} runs: no bit differs"
    assert proof.processor
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_run_folder_is_proved_with_its_own_text_and_is_left_alone(small: str, tmp_path: Path):
    (tmp_path / "a.txt").write_text(TEXT)
    run = ch.train("a.txt", steps=3, config=small, threads=1, settings={"train.evaluations": 2}, out="run")
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    assert prove("run", kills=2, steps=8).kills == 2
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


def test_a_run_that_is_not_deterministic_is_found_and_the_first_tensor_named(small: str, tmp_path: Path):
    with pytest.raises(
        TrainingError, match=r"not proved: run 1, killed \d times .*: model.safetensors, \S+: [\d,]+ of"
    ):
        prove(small, kills=6, steps=12, server=[str(tmp_path / "unsteady.py")])
    assert list((tmp_path / "temporary").iterdir()) == []


def test_ctrl_c_ends_every_process_and_leaves_nothing(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made: list[Killer] = []
    real = Killer.__enter__

    def enter(self: Killer) -> Killer:
        made.append(self)
        return real(self)

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Killer, "__enter__", enter)
    with pytest.raises(KeyboardInterrupt):
        prove(small, kills=9, steps=12, say=interrupt)
    assert made[0]._process.poll() is not None
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("what", "options", "error", "message"),
    [
        ("small.toml", {"kills": 0}, OptionError, "kills is 0; it must be at least 1"),
        ("small.toml", {"steps": 0}, OptionError, "steps is 0"),
        ("small.toml", {"threads": -1}, OptionError, "threads is -1"),
        ("shakespear", {}, OptionError, "there is no 'shakespear'; did you mean 'shakespeare'"),
        (
            "nope",
            {},
            OptionError,
            r"give a run folder, a TOML file \(NAME.toml\) or a recipe; there is no 'nope'; known",
        ),
        ("none.toml", {}, OptionError, "there is no file none.toml"),
        (".", {}, FolderError, "recipe.toml: there is no such file"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(small: str, what, options, error, message):
    with pytest.raises(error, match=message):
        prove(what, **options)


def test_a_recipe_that_cannot_run_is_one_error(small: str, tmp_path: Path):
    (tmp_path / "small.toml").write_text(RECIPE.replace("heads = 2", "heads = 3", 1))
    with pytest.raises(TrainingError, match=r"the run failed with code 2: .*heads"):
        prove(small, kills=1, steps=4)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_process_that_ended_is_one_error(tmp_path: Path):
    with Killer(tmp_path, ["-c", "raise SystemExit(3)"]) as killer, pytest.raises(ClearheadError, match="with code 3"):
        killer.do([])


class TestDifference:
    @pytest.fixture
    def two(self, small: str, tmp_path: Path) -> tuple[Path, Path]:
        (tmp_path / "a.txt").write_text(TEXT)
        settings = {"train.evaluations": 2, "train.average": "exponential"}
        run = ch.train("a.txt", steps=3, config=small, threads=1, settings=settings, out="one")
        return run.folder, Path(shutil.copytree(run.folder, tmp_path / "two"))

    def test_a_copy_has_none(self, two: tuple[Path, Path]):
        assert difference(*two) is None

    @pytest.mark.parametrize("part", ["weights/", "optimizer/", "random/", "average/"])
    def test_one_bit_of_any_part_of_the_state_is_seen(self, two: tuple[Path, Path], part: str):
        path = two[1] / "state" / "000000003.safetensors"
        tensors, notes = read_tensors(path)
        name = next(name for name, tensor in sorted(tensors.items()) if name.startswith(part) and tensor.dim())
        tensors[name].view(-1)[-1:].view(torch.uint8)[0] ^= 1
        write_tensors(path, tensors, notes)
        found = difference(*two)
        assert found is not None
        assert found.startswith(f"state, {part[:-1]} {name.removeprefix(part)}: 1 of ")

    def test_the_log_is_compared_except_for_its_seconds(self, two: tuple[Path, Path]):
        lines = [json.loads(line) for line in (two[1] / "log.jsonl").read_text().splitlines()]
        for change, message in (({"seconds": 0.125}, None), ({"loss": 0.125}, "log.jsonl, line 2")):
            lines[1] |= change
            (two[1] / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
            found = difference(*two)
            assert (found is None) if message is None else (found or "").startswith(message)

    def test_a_log_without_its_end_is_seen(self, two: tuple[Path, Path]):
        lines = (two[1] / "log.jsonl").read_text().splitlines(keepends=True)
        (two[1] / "log.jsonl").write_text("".join(lines[:-1]))
        assert (difference(*two) or "").startswith(f"log.jsonl, line {len(lines)}")
        assert (difference(*reversed(two)) or "").startswith(f"log.jsonl, line {len(lines)}")

    @pytest.mark.parametrize(
        "name",
        ["config.json", "generation_config.json", "recipe.toml", "tokenizer.json", "model.safetensors", "loss.svg"],
    )
    def test_one_byte_of_any_other_file_is_seen(self, two: tuple[Path, Path], name: str):
        if name == "model.safetensors":  # the same tensors, saved after another step
            tensors, notes = read_tensors(two[1] / name)
            write_tensors(two[1] / name, tensors, notes | {"clearhead.step": "2"})
        else:
            with (two[1] / name).open("ab") as file:
                file.write(b" ")
        assert difference(*two) == f"{name}: its bytes differ"

    def test_the_progress_of_a_state_is_compared_except_for_its_times(self, two: tuple[Path, Path]):
        path = two[1] / "state" / "000000003.safetensors"
        tensors, notes = read_tensors(path)
        for change, same in (({"seconds": 9.5, "log_bytes": 7, "begun": 1.5}, True), ({"best_step": 1}, False)):
            progress = json.loads(notes["progress"]) | change
            write_tensors(path, tensors, notes | {"progress": json.dumps(progress)})
            assert (difference(*two) is None) == same

    def test_a_missing_file_is_seen(self, two: tuple[Path, Path]):
        (two[1] / "config.json").unlink()
        assert difference(*two) == "config.json: is in only one of the two folders"


class TestTheCommand:
    def run(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["clearhead", "prove", *arguments])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    def test_it_prints_what_was_proved(self, small: str, monkeypatch, capsys: pytest.CaptureFixture[str]):
        assert self.run(monkeypatch, small, "--kills", "2", "--steps", "6") == 0
        out = capsys.readouterr().out
        assert out.startswith(
            "proved: every run that was killed and resumed ended with the same bits as one that was not\n"
        )
        for line in ("steps          6", "kills          2, in", "threads        1", machine.processor()):
            assert line in out

    def test_a_failed_proof_exits_with_1(self, small: str, monkeypatch, capsys):
        def failed(*_: object, **__: object) -> None:
            raise TrainingError("not proved: run 1, killed 2 times")

        monkeypatch.setattr(runs, "prove", failed)
        assert self.run(monkeypatch, small, "--kills", "4", "--steps", "6") == 1
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == ("", "error: not proved: run 1, killed 2 times\n")

    def test_bad_input_exits_with_2(self, small: str, monkeypatch, capsys):
        assert self.run(monkeypatch, small, "--kills", "0") == 2
        assert "--kills is 0; it must be at least 1" in capsys.readouterr().err
