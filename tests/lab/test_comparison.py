"""Comparisons from the question to the table: small runs, stopped in the middle and continued."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from clearhead import corpora, hub, lab, recipes, runs
from clearhead.errors import ClearheadError, FolderError, OptionError, TextError
from clearhead.lab import comparison, plan, speeds
from clearhead.lab.comparison import Comparison
from clearhead.lab.trial import step_seconds
from clearhead.model import ConvolutionConfig
from clearhead.plain import from_dict, to_dict
from clearhead.text import NOT_COUNTED, Batch
from clearhead.training import Evaluated, Stepped, read_log
from verbs import called

SMALL = {
    "model.layers": 1,
    "model.width": 32,
    "model.context": 256,
    "model.attention": {"heads": 1, "kv_heads": 1, "head_width": 32},
    "model.feed_forward": {"width": 64},
    "train.batch": 1,
    "train.evaluations": 2,
    "train.evaluation_tokens": 500,
    "train.final_tokens": 1000,
}


def small(**options: Any) -> lab.Question:
    """Two models at one learning rate."""
    settings = [recipes.setting_of(name, value) for name, value in (SMALL | options.pop("settings", {})).items()]
    chosen: dict[str, Any] = {
        "text": {"corpus": "world-en", "megabytes": 0.1, "tokenizer": "bytes"},
        "models": ["transformer", "lstm"],
        "rates": [0.01],
        "minutes": 0.0275,
        "facts": 3,
        "speeds": False,
        "threads": 1,
    }
    return lab.asked(settings=settings, **(chosen | options))


class Told(lab.ComparisonEvents):
    """Remembers the trials, and stops in or before one."""

    def __init__(self, stop: Callable[[int], bool] = lambda steps: False) -> None:
        self.trials: list[lab.Trial] = []
        self._stop, self._steps = stop, 0

    def trial(self, trial: lab.Trial, number: int, count: int, left: float) -> None:
        self.trials.append(trial)

    @contextmanager
    def steps(self) -> Generator[Callable[[], bool]]:
        def stop() -> bool:
            self._steps += 1
            return self._stop(self._steps)

        yield stop


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Comparison, list[Told]]]:
    """A comparison that was stopped in the third step of its second run, continued, and asked for once more."""
    folder = tmp_path_factory.mktemp("comparison")
    each = {"decoder": 0.01, "lstm": 0.02}  # seconds of a step, from which 10 steps of the sweep follow
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "step_seconds", lambda config, *_, **__: each[config.kind])
        patch.setattr(plan, "TIMED", 0.25)
        patch.setattr(plan, "LEAST_STEPS", 1)  # later steps are timed, whatever this machine does meanwhile
        told = [Told(lambda steps: steps == 13), Told(), Told()]
        with pytest.raises(runs.Interrupted):
            lab.carry_out(small(), folder, told[0])
        lab.carry_out(small(), folder, told[1])
        yield folder, lab.carry_out(small(), folder, told[2]), told


def test_a_reported_run_may_have_the_steps_of_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "step_seconds", lambda *_, **__: 0.015)
    monkeypatch.setattr(plan, "TIMED", 0.25)
    monkeypatch.setattr("clearhead.lab.trial.step_seconds", lambda reports: 0.03)
    found = lab.carry_out(small(), tmp_path, Told())
    assert {each.trial.steps for each in (*found.sweep, *found.results)} == {10}


def test_what_is_finished_is_not_done_again(finished: tuple[Path, Comparison, list[Told]]) -> None:
    folder, found, (first, second, third) = finished
    assert [(each.model, each.steps) for each in first.trials] == [("transformer", 10), ("lstm", 10)]
    assert second.trials[0] == first.trials[1]
    assert {each.model for each in second.trials[1:]} == {"transformer", "lstm"}
    assert third.trials == []
    assert [each.trial for each in (*found.sweep, *found.results)] == [first.trials[0], *second.trials]
    assert read_log(folder / "sweep" / first.trials[1].name / "log.jsonl")[-1].step == 10
    assert lab.read(folder) == found


def test_models_have_equal_weights_and_see_equal_tokens_or_train_for_equal_time(
    finished: tuple[Path, Comparison, list[Told]],
) -> None:
    folder, found, _ = finished
    (size,) = found.question.sizes
    even, timed = found.trials(size, "tokens"), found.trials(size, "time")
    assert len({each.steps for each in even}) == 1
    plan = found.budget(size)
    each = {result.trial.model: result.each for result in found.sweep}
    for trial in timed:
        assert trial.steps == plan.time[trial.model] >= plan.tokens
        assert trial.steps * each[trial.model] == pytest.approx(plan.seconds, abs=each[trial.model])
    weights = [result.weights for result in found.results]
    assert max(weights) / min(weights) < 1.02
    for result in found.results:
        model = hub.load(folder / "runs" / result.trial.name, text=True)
        assert model.config.parameters() == result.weights
        assert result.tokens == result.trial.steps * 256
        assert result.loss is not None
        assert sum(each.count for each in result.places) == 1000


def test_the_table_the_picture_and_the_file_have_the_same_figures(
    finished: tuple[Path, Comparison, list[Told]], tmp_path: Path
) -> None:
    folder, found, _ = finished
    out = io.StringIO()
    Console(file=out, width=160).print(lab.ComparisonTable(found))
    table = json.loads((folder / lab.FILE).read_text())
    rows = lab.lines(found)
    assert {(line.model, line.at) for line in rows} == {
        (m, at) for m in ("transformer", "lstm") for at in ("tokens", "time")
    }
    for line in rows:
        steps = line.tokens // 256
        (loss,) = [
            each["loss"]
            for each in table["results"]
            if (each["trial"]["model"], each["trial"]["steps"]) == (line.model, steps)
        ]
        assert f"{loss:.3f}" in out.getvalue()
    for title in ("At equal tokens", "At equal time", "Loss by tokens seen before", "Facts of held-out stories"):
        assert title in out.getvalue()
    for ending in (".svg", ".png"):
        lab.draw_comparison(found, tmp_path / f"x{ending}")
        assert (tmp_path / f"x{ending}").stat().st_size > 10_000


def test_a_folder_that_holds_another_comparison_is_refused_with_what_differs(
    finished: tuple[Path, Comparison, list[Told]], tmp_path: Path
) -> None:
    folder, _, _ = finished
    with pytest.raises(FolderError, match=r"holds another comparison: seeds was 1 and is now 2"):
        lab.carry_out(small(seeds=2), folder, Told())
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FolderError, match="holds no comparison"):
        lab.carry_out(small(), tmp_path, Told())
    (tmp_path / "notes.txt").unlink()
    for content, reason in (('{"schema": 3}', "schema: 3 was given"), ("[]", "it is not a table")):
        (tmp_path / lab.FILE).write_text(content)
        with pytest.raises(FolderError, match=rf"altered.*\({reason}"):
            lab.carry_out(small(), tmp_path, Told())


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"models": ["transfomer"]}, "did you mean 'transformer'"),
        ({"models": ["lstm", "lstm"]}, "given twice"),
        ({"rates": [0.0]}, "above 0"),
        ({"minutes": 0.0}, "above 0"),
        ({"seeds": 0}, "at least 1"),
        ({"text": {"corpus": "python-docs"}}, "facts 3: the facts of 'python-docs' are not known"),
        ({"text": {"sources": ["-"]}, "facts": None}, "standard input"),
        ({"text": {"corpus": "mqar-64-4"}, "facts": 5}, "the facts of 'mqar-64-4' are not known"),
        ({"text": {"corpus": "mqar-64-4", "tokenizer": "bytes"}, "facts": None}, "of its own; leave it out"),
        ({"widths": [64]}, "both given"),
        ({"settings": {"train.steps": 7}}, "follow from --minutes"),
        ({"settings": {"model.kind": "lstm"}}, "model"),
    ],
)
def test_bad_questions_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(OptionError, match=why):
        small(**options)


def test_too_little_text_and_too_little_time_are_refused_before_any_run(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("Too short to read. ")
    short = small(text={"sources": [str(text)], "tokenizer": "bytes"}, facts=None, minutes=10)  # enough anywhere
    with pytest.raises(TextError, match="a window needs 257"):
        lab.carry_out(short, tmp_path / "out", Told())
    with pytest.raises(ClearheadError, match=r"minutes 0\.0001: that leaves 0\.\d steps for each run at equal tokens"):
        lab.carry_out(small(minutes=1e-4), tmp_path / "other", Told())


def test_facts_are_asked_by_default_where_they_are_known() -> None:
    assert small(facts=None).facts == 1000
    assert small(facts=None, text={"corpus": "python-docs"}).facts == 0


def test_widths_have_heads_of_32_and_the_other_models_as_many_weights() -> None:
    question = lab.asked(text={"corpus": "mqar-64-4"}, widths=[64, 128], minutes=1)
    assert [size.width for size in question.sizes] == [64, 128]
    for size in question.sizes:
        weights = [question.config(replace(size, vocabulary=8192), name).parameters() for name in question.models]
        assert max(weights) / min(weights) < 1.02
        assert size.attention.heads == size.width // 32
    with pytest.raises(OptionError, match="width 33: must be a multiple of 32"):
        lab.asked(text={"corpus": "mqar-64-4"}, widths=[33], minutes=1)


@pytest.mark.parametrize("length", [64, 256, 512])
def test_convolutions_read_the_whole_row_in_associative_recall(length: int) -> None:
    question = lab.asked(text={"corpus": f"mqar-{length}-4"}, minutes=1)
    config = question.config(replace(question.sizes[0], vocabulary=8192), "convolution")
    assert isinstance(config, ConvolutionConfig)
    assert config.context == length <= config.reach
    assert config.dilated(length) == config


def test_the_best_rate_is_that_of_the_lowest_loss(finished: tuple[Path, Comparison, list[Told]]) -> None:
    _, found, _ = finished
    (size,) = found.question.sizes
    first = found.sweep[0]
    runs_ = [
        replace(first, trial=replace(first.trial, rate=rate), loss=loss, failed=None if loss else "diverged")
        for rate, loss in ((0.1, 2.0), (0.2, 1.5), (0.3, None))
    ]
    assert replace(found, sweep=tuple(runs_)).best_rate(size, "transformer") == 0.2


def test_a_step_is_timed_between_reports_without_an_evaluation() -> None:
    def stepped(step: int, seconds: float) -> Stepped:
        return Stepped(step=step, loss=1.0, rate=0.1, used=0.0, tokens=step, seconds=seconds)

    evaluated = Evaluated(step=2, valid_loss=1.0, bits_per_byte=1.0, best=True, seconds=50.0, sample="")
    reports = [stepped(1, 1.0), stepped(2, 3.0), evaluated, stepped(3, 90.0), stepped(5, 93.0), stepped(6, 97.0)]
    assert step_seconds(reports) == pytest.approx(2.0)  # of 2, 1.5 and 4


def test_speeds_are_of_the_shape_and_length(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    question = small()
    config = question.config(replace(question.sizes[0], vocabulary=257), "transformer")
    asked = {"name": "transformer", "model": to_dict(config), "lengths": [32, 64], "threads": 1}
    monkeypatch.setattr("sys.argv", ["", json.dumps(asked)])
    speeds.main()
    short, long = (from_dict(speeds.Speed, each) for each in json.loads(capsys.readouterr().out))
    assert (short.length, long.length) == (32, 64)
    assert long.state_bytes == 2 * short.state_bytes == 64 * 2 * 32 * 4  # keys and values of one layer in float32
    assert min(short.training, short.generating) > 0


def test_associative_recall_is_compared_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora.recall, "ROWS", {"train": 64, "valid": 32})
    monkeypatch.setattr(plan, "LEAST_STEPS", 1)
    options = {"text": {"corpus": "mqar-16-2"}, "models": ["transformer"], "facts": None, "minutes": 0.03}
    question = small(**options, settings={"model.context": 16})
    timed = list[Batch]()
    monkeypatch.setattr(comparison, "step_seconds", lambda config, data, *_, **__: timed.append(data) or 0.01)
    found = lab.carry_out(question, tmp_path, Told())
    assert {int((data.targets_BT != NOT_COUNTED).sum(1).max()) for data in timed} == {2}, "a row has two answers"
    line = lab.lines(found)[0]
    assert line.accuracy is not None
    assert sum(each.count for each in line.recalled) == 64
    out = io.StringIO()
    Console(file=out, width=160).print(lab.ComparisonTable(found))
    assert "Guessing one of the row's 2 values would be right in 50.0%" in out.getvalue()


def test_the_command_asks_the_same_and_shows_the_table(
    finished: tuple[Path, Comparison, list[Told]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, _, _ = finished
    options = ["--corpus", "world-en", "--megabytes", "0.1", "--tokenizer", "bytes", "--model", "transformer"]
    options += ["--model", "lstm", "--rate", "0.01", "--minutes", "0.0275", "--facts", "3", "--no-speeds"]
    for name, value in SMALL.items():
        plain = value if isinstance(value, int) else str(value).replace("'", "").replace(":", "=")
        options += ["--set", f"{name}={plain}"]
    assert called(monkeypatch, "compare", *options, "--threads", "1", "--out", str(folder)) == 0
    out, err = capsys.readouterr()
    assert "At equal tokens" in out
    assert out.endswith(f"{folder}\n")
    assert "run 1" not in err
    assert (folder / "comparison.svg").stat().st_size > 10_000
    assert called(monkeypatch, "compare", "--corpus", "python-docs", "--facts", "9") == 2
    assert "the facts of 'python-docs' are not known" in capsys.readouterr().err
