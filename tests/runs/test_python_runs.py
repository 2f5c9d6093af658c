"""Runs from Python: the command's result without a console; stopped, and resumed with the same bits."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from little_runs import TEXT

import clearhead as ch
from clearhead import hub, machine
from clearhead.errors import ConfigError, FolderError, OptionError, TextError
from clearhead.recipes import read_file, resolved
from clearhead.runs import Events, Interrupted
from clearhead.training import Evaluated, Stepped, evaluate, read_log
from clearhead.training.budget import shape, threads_by_size

SETTINGS = {
    "model.layers": 1,
    "model.width": 16,
    "model.context": 16,
    "model.attention": {"heads": 2, "kv_heads": 2, "head_width": 8},
    "model.feed_forward.width": 32,
    "train.batch": 4,
    "train.evaluations": 2,
}
SMALL = {"steps": 20, "tokenizer": "bytes", "threads": 1, "settings": SETTINGS}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ch.Run:
    folder = tmp_path_factory.mktemp("python")
    (folder / "a.txt").write_text(TEXT)
    return ch.train(folder / "a.txt", out=folder / "run", **SMALL)


def test_the_run_is_what_the_folder_holds(whole: ch.Run):
    opened = ch.load(whole.folder)
    assert whole.recipe == resolved(read_file(whole.folder / "recipe.toml"))
    assert (whole.recipe.train.steps, whole.recipe.model.width) == (20, 16)
    assert whole.reports == read_log(whole.folder / "log.jsonl")
    assert whole.best.valid_loss == min(r.valid_loss for r in whole.reports if isinstance(r, Evaluated))
    assert whole.model.name == str(whole.folder)
    assert repr(whole).startswith(
        f"Run('{whole.folder}', kept at step {whole.best.step}: {whole.evaluation.loss:.4f} nats"
    )
    assert torch.equal(whole.model.logits("a text"), opened.logits("a text"))
    assert ch.generate(whole.model, "From", max_tokens=3, temperature=0).text
    assert (whole.folder / "loss.svg").exists()


def test_the_score_is_of_the_last_tenth(whole: ch.Run):
    """By the definition: minus the mean log-probability of each byte after those of its window, in float64."""
    text = TEXT.encode()
    valid = [*text[int(0.9 * len(text)) :]]
    nats = 0.0
    for start in range(0, len(valid) - 1, 16):
        ids, targets = valid[start : start + 16], valid[start + 1 : start + 17]
        logits_TV = whole.model(torch.tensor([ids[: len(targets)]])).detach().double()[0]
        nats -= logits_TV.log_softmax(-1)[range(len(targets)), targets].sum().item()
    assert whole.evaluation.tokens == len(valid) - 1
    assert whole.evaluation.loss == pytest.approx(nats / (len(valid) - 1), rel=1e-5)


def test_it_prints_nothing_and_calls_the_given_functions(whole: ch.Run, texts: Path, capfd: pytest.CaptureFixture[str]):
    reports, lines = [], []
    run = ch.train("a.txt", **SMALL, report=reports.append, say=lines.append)
    assert capfd.readouterr() == ("", "")
    assert run.folder == Path("runs/a")
    assert [report.step for report in reports if isinstance(report, Stepped)] == [*range(1, 21)]
    assert [report.step for report in reports if isinstance(report, Evaluated)] == [0, 10, 20]
    assert all(report.sample for report in reports if isinstance(report, Evaluated))
    assert lines[0].startswith("text: ")
    assert lines[-1] == "loss curve: runs/a/loss.svg"
    assert (run.folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()


def test_threads_are_the_process_s_own_again(texts: Path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        ch.train("a.txt", **SMALL)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_no_console_is_imported(texts: Path):
    program = (
        "import sys, clearhead as ch\n"
        f"run = ch.train('a.txt', **{SMALL!r})\n"
        "ch.generate(run.model, 'From', max_tokens=2)\n"
        "assert ch.resume('runs/a').evaluation == run.evaluation\n"
        "sys.exit(', '.join({'clearhead.cli', 'typer', 'click'} & sys.modules.keys()) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=texts, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def stopping_at(step: int, *signals: int):
    """Sends signals to this process when the report of a step comes."""

    def report(report) -> None:
        if isinstance(report, Stepped) and report.step == step:
            for number in signals:
                os.kill(os.getpid(), number)

    return report


def test_ctrl_c_saves_after_the_step_and_the_run_continues_with_the_same_bits(whole: ch.Run, texts: Path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(
        KeyboardInterrupt, match=r"saved after step 7; continue with clearhead.resume\('runs/a'\)"
    ) as at:
        ch.train("a.txt", **SMALL, report=stopping_at(7, signal.SIGINT))
    assert isinstance(at.value, Interrupted)
    assert (at.value.folder, at.value.step) == (Path("runs/a"), 7)
    assert signal.getsignal(signal.SIGINT) is before
    run = ch.resume(at.value.folder)
    assert run.evaluation == whole.evaluation
    assert (run.folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()


def test_twice_it_stops_at_once_at_the_last_saved_state(texts: Path):
    with pytest.raises(Interrupted, match="saved after step 10"):
        ch.train("a.txt", **SMALL, report=stopping_at(14, signal.SIGINT, signal.SIGINT))


def test_an_error_in_the_listener_is_raised_and_the_run_can_continue(whole: ch.Run, texts: Path):
    def fail(report) -> None:
        if report.step == 12:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        ch.train("a.txt", **SMALL, report=fail)
    assert ch.resume("runs/a").evaluation == whole.evaluation


def test_in_another_thread_signals_are_left_alone(texts: Path):
    found: list[ch.Run] = []
    thread = threading.Thread(target=lambda: found.append(ch.train("a.txt", **SMALL)))
    thread.start()
    thread.join()
    assert found[0].evaluation.tokens


def test_going_on_from_a_model(whole: ch.Run, texts: Path):
    run = ch.train("a.txt", origin=whole.folder, steps=4, threads=1, settings={"train.batch": 2}, out="further")
    assert run.recipe.origin == str(whole.folder)
    assert run.recipe.model == whole.recipe.model


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"minutes": 1.0}, OptionError, "steps 20 and minutes 1.0 were both given"),
        ({"corpus": "world-en"}, OptionError, r"sources \['a.txt'\] and corpus world-en were both given"),
        ({"recipe": "huge"}, OptionError, "recipe: there is no 'huge'"),
        ({"settings": {"model.layer": 1}}, ConfigError, "model.layer: unknown; did you mean 'layers'"),
        ({"settings": {"model.layers": "six"}}, ConfigError, "model.layers: 'six'"),
        ({"valid": "none.txt"}, TextError, "none.txt"),
        ({"origin": "./none"}, FolderError, "none: there is no such folder"),
        ({"tokenizer": "word"}, OptionError, "tokenizer 'word'"),
    ],
)
def test_what_the_command_refuses_is_an_error(texts: Path, options, error, message):
    with pytest.raises(error, match=message):
        ch.train("a.txt", **{**SMALL, **options})
    assert not (texts / "runs" / "a").exists()


def test_a_folder_that_is_there_is_not_overwritten(whole: ch.Run, texts: Path):
    with pytest.raises(FolderError, match="exists already"):
        ch.train("a.txt", out=whole.folder, **SMALL)
    with pytest.raises(FolderError, match="there is no such folder"):
        ch.resume("runs/none")


def test_events_do_nothing_by_default(capfd: pytest.CaptureFixture[str]):
    quiet = Events()
    quiet.say("a line")
    with quiet.steps() as stop:
        assert not stop()
    assert capfd.readouterr() == ("", "")


def test_the_kept_model_scores_as_the_run_says(whole: ch.Run):
    from clearhead.text import sources, split, tokenize

    model = hub.load(whole.folder)
    source = whole.recipe.text.sources[0]
    _, valid = split(tokenize(sources([source]), model.tokenizer))
    assert evaluate(model.network, valid) == whole.evaluation


def test_a_run_by_steps_measures_nothing(texts: Path, monkeypatch: pytest.MonkeyPatch):
    """What is measured differs when the clock jumps or the machine is busy, and threads and precision change bits."""

    def measured(*anything: object) -> float:
        raise AssertionError("a run by steps measures this machine")

    for name in ("seconds", "median_seconds", "seconds_of_product"):
        monkeypatch.setattr(machine, name, measured)
    machine.share_of_float32.cache_clear()
    monkeypatch.setattr(machine, "device", lambda: "cpu")
    run = ch.train("a.txt", **{**SMALL, "threads": None})
    train = run.recipe.train
    assert (train.threads, train.precision, train.optimizer.kind) == (1, "float32", "muon")
    assert train.optimizer.precision == "float32"


@pytest.mark.parametrize(("limit", "threads"), [(1, 1), (2, 2), (64, 33)])
def test_the_threads_of_a_run_by_steps_follow_from_its_size(monkeypatch: pytest.MonkeyPatch, limit: int, threads: int):
    """6 layers of width 320: 4 * 320**2 + 3 * 320 * 832 + 704 weights each, 7,254,464 with the last norm.

    6 operations for each weight and token, 1,536 tokens: 66.9 billion; for 256 tokens 11.1.
    """
    monkeypatch.setattr(machine, "thread_limit", lambda: limit)
    model = shape(4, vocabulary=1000, context=256)
    assert threads_by_size(model, 6)[0] == threads
    assert threads_by_size(model, 1)[0] == min(limit, 6)
