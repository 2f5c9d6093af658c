"""Ctrl-C, SIGTERM and kill -9 of the command, the progress on a terminal, and resuming after each."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from calling import SMALL, Command

from clearhead import files
from clearhead.cli import progress
from clearhead.runs import finish
from clearhead.training import load_state, read_end, read_log

COMMAND = str(Path(sys.executable).with_name("clearhead"))
WORDS = ["train", "text.txt", "--steps", "20", *SMALL]


def same_as(trained: tuple, folder: Path) -> None:
    for name in ("model.safetensors", "recipe.toml", "tokenizer.json", "config.json"):
        assert (folder / name).read_bytes() == (trained[0] / name).read_bytes(), name
    ours, theirs = read_log(folder / "log.jsonl"), read_log(trained[0] / "log.jsonl")
    assert [report.step for report in ours] == [report.step for report in theirs]
    ours, theirs = read_end(folder / "log.jsonl"), read_end(trained[0] / "log.jsonl")
    assert ours is not None
    assert theirs is not None
    assert ours.evaluation == theirs.evaluation


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[0-9]*"))


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch):
    """Sends signals to this process when the display shows a step."""

    def send(step: int, *signals: int) -> None:
        real = progress.Display.report
        waiting = list(signals)

        def show(self, report):
            real(self, report)
            while report.step == step and waiting:
                os.kill(os.getpid(), waiting.pop(0))

        monkeypatch.setattr(progress.Display, "report", show)

    return send


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_continue(command: Command, tmp_path: Path, trained, at_step, sent, capfd):
    at_step(7, sent)
    done = command(*WORDS)
    assert done.code == 130
    assert done.out == ""
    assert done.err.endswith("stopped; saved after step 7; continue with\n  clearhead train --resume runs/text\n")
    assert "stopping after this step; Ctrl-C again stops at once" in capfd.readouterr().err
    resumed = command("train", "--resume", "runs/text")
    assert resumed.code == 0
    assert "continuing runs/text after step 7" in resumed.err
    assert resumed.out == "runs/text\n"
    same_as(trained, tmp_path / "runs" / "text")


def test_a_folder_with_a_space_is_quoted(command: Command, at_step):
    at_step(3, signal.SIGINT)
    assert "  clearhead train --resume 'my run [1]'\n" in command(*WORDS, "--out", "my run [1]").err


def test_a_second_signal_stops_at_once(command: Command, tmp_path: Path, trained, at_step, capfd):
    at_step(14, signal.SIGINT, signal.SIGINT)
    done = command(*WORDS)
    assert done.code == 130
    assert "stopped; saved after step 10; continue with" in done.err  # the last evaluation's
    assert command("train", "--resume", "runs/text").code == 0
    same_as(trained, tmp_path / "runs" / "text")


def test_a_second_signal_while_saving_does_no_damage(
    command: Command, tmp_path: Path, trained, at_step, monkeypatch: pytest.MonkeyPatch, capfd
):
    """The first asks to stop at step 14; the second comes when the state is being flushed to the disk."""
    at_step(14, signal.SIGINT)
    real = files.flush

    def flush(path: Path) -> None:
        if "000000014" in path.name:
            os.kill(os.getpid(), signal.SIGINT)
        real(path)

    monkeypatch.setattr(files, "flush", flush)
    done = command(*WORDS)
    assert done.code == 130
    assert "stopped; saved after step 10" in done.err
    assert [path.name for path in (tmp_path / "runs" / "text" / "state").iterdir()] == ["000000010.safetensors"]
    monkeypatch.setattr(files, "flush", real)
    assert command("train", "--resume", "runs/text").code == 0
    same_as(trained, tmp_path / "runs" / "text")


def test_a_signal_while_reading_leaves_nothing(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def tokenize(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("clearhead.runs.material.tokenize", tokenize)
    done = command(*WORDS)
    assert (done.code, done.err) == (130, "stopped before the first step\n")
    assert not (tmp_path / "runs" / "text").exists()


def test_a_signal_at_the_very_end_loses_nothing(
    command: Command, tmp_path: Path, trained, monkeypatch: pytest.MonkeyPatch
):
    """While the kept model is measured once more, all is saved: resuming only finishes."""
    real = finish.evaluate

    def evaluate(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(finish, "evaluate", evaluate)
    done = command(*WORDS)
    assert done.code == 130
    assert "saved after step 20" in done.err
    monkeypatch.setattr(finish, "evaluate", real)
    resumed = command("train", "--resume", "runs/text")
    assert resumed.code == 0
    assert trained[1].err.splitlines()[-2] in resumed.err
    same_as(trained, tmp_path / "runs" / "text")


def test_signals_are_as_before_when_the_run_is_over(command: Command):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert command(*WORDS).code == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_run_killed_before_its_first_state_is_resumed_from_the_beginning(command: Command, tmp_path: Path, trained):
    assert command(*WORDS).code == 0
    folder = tmp_path / "runs" / "text"
    for path in [*(folder / "state").iterdir(), *folder.glob("*.safetensors"), *folder.glob("l*")]:
        path.unlink()
    done = command("train", "--resume", "runs/text")
    assert done.code == 0
    assert "continuing runs/text after step 0" in done.err
    same_as(trained, folder)


def test_a_command_killed_before_its_run_began_can_be_given_again(command: Command, tmp_path: Path, trained):
    (tmp_path / "runs" / "text").mkdir(parents=True)
    (tmp_path / "runs" / "text" / ".recipe.toml.0123456789abcdef.tmp").write_text("[mod")
    assert command(*WORDS).code == 0
    assert not list((tmp_path / "runs" / "text").glob(".*"))
    same_as(trained, tmp_path / "runs" / "text")


class TestTheCommandItself:
    """A process of its own: what signals and a terminal really do."""

    WORDS = ("train", "text.txt", *SMALL, "--steps", "200", "--set", "train.evaluations=10")

    def environment(self) -> dict[str, str]:
        return {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm"}

    def test_killed_twice_and_resumed(self, command: Command, tmp_path: Path):
        folder = tmp_path / "runs" / "text"
        for words in (self.WORDS, ("train", "--resume", "runs/text")):
            before = names(folder / "state")
            with (tmp_path / "output").open("w") as output:
                process = subprocess.Popen(
                    [COMMAND, *words], cwd=tmp_path, env=self.environment(), stdout=output, stderr=output
                )
                deadline = time.monotonic() + 60
                while names(folder / "state") in ([], before):
                    assert process.poll() is None, (tmp_path / "output").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                process.kill()
                assert process.wait() == -signal.SIGKILL
        state = load_state(folder / "state")
        assert state is not None
        assert 0 < state.progress.step < 200
        assert command("train", "--resume", "runs/text").code == 0
        whole = command(*self.WORDS, "--out", "whole")
        assert whole.code == 0
        for name in ("model.safetensors", "recipe.toml"):
            assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    def test_progress_on_a_terminal_and_ctrl_c(self, command: Command, tmp_path: Path):
        terminal, inside = pty.openpty()
        words = [COMMAND, *self.WORDS, "--set", "train.steps=100_000"]
        process = subprocess.Popen(
            words, cwd=tmp_path, env=self.environment(), stdin=inside, stdout=inside, stderr=inside
        )
        os.close(inside)
        screen = b""
        asked = False
        while select.select([terminal], [], [], 60)[0]:
            try:
                screen += os.read(terminal, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not asked and screen.count(b"tokens/s") >= 3:
                process.send_signal(signal.SIGINT)
                asked = True
        os.close(terminal)
        assert process.wait() == 130
        text = screen.decode()
        line = re.search(
            r"\d+% \d+:\d\d left  step \d+  loss \d\.\d{3}  valid \d\.\d{3}  lr [\d.e-]+  [\d,]+ tokens/s", text
        )
        assert line is not None, text
        stopped = re.search(
            r"stopped; saved after step (\d+); continue with\r\n  clearhead train --resume runs/text", text
        )
        assert stopped is not None, text
        state = load_state(tmp_path / "runs" / "text" / "state")
        assert state is not None
        assert state.progress.step == int(stopped[1])
