"""The loop: it learns, reports, stops, fails and resumes, always with the same bits."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import CrashError, Watcher, halves, run, shape, stream, whole_state

from clearhead.errors import ConfigError, FolderError, OptionError, TextError, TrainingError
from clearhead.model import build
from clearhead.training import Evaluated, OptimizerConfig, Stepped, TrainConfig, fit, loop, read_log

TEXT = "the quick brown fox jumps over the lazy dog. " * 20
TEXTS = halves(TEXT, TEXT[::-1])
FAST = OptimizerConfig(lr=0.05, adamw_lr=0.05)  # a small model bears it
SHORT = TrainConfig(steps=23, batch=3, evaluations=4, threads=1)


def log_of(folder: Path) -> list[dict]:
    """The log without its clock."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def same_end(one: Path, other: Path) -> None:
    """Two folders with the same weights, optimizer, random states and log, to the bit."""
    a, b = whole_state(one), whole_state(other)
    clock = {"seconds": 0, "begun": 0, "reserve": 0, "log_bytes": 0}
    assert replace(a.progress, **clock) == replace(b.progress, **clock)
    for part in ("weights", "optimizer", "random"):
        first, second = getattr(a, part), getattr(b, part)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
    assert log_of(one) == log_of(other)


def test_it_learns(tmp_path):
    """After a letter of a text that goes round, the next one is certain."""
    watcher = Watcher()
    config = TrainConfig(steps=60, batch=8, evaluations=2, optimizer=FAST)
    outcome, model = run(tmp_path, config, halves("abcdefghijklm" * 60), watcher)
    assert outcome.finished
    assert watcher.evaluations[0].valid_loss == pytest.approx(math.log(257), rel=0.05)
    assert watcher.evaluations[-1].valid_loss < 0.2
    assert model.eval()(torch.tensor([list(b"lmabcdefg")]))[0, -1].argmax() == ord("h")


@pytest.mark.parametrize("config", [replace(FAST, kind="adamw"), FAST], ids=["adamw", "muon"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_so_it_does_with_every_optimizer_and_precision(tmp_path, config, precision):
    watcher = Watcher()
    whole = TrainConfig(steps=60, batch=8, evaluations=1, optimizer=config, precision=precision)
    _, model = run(tmp_path, whole, halves("abcdefghijklm" * 60), watcher)
    assert watcher.evaluations[-1].valid_loss < 0.6
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_every_step_and_look_is_reported_once(tmp_path):
    watcher = Watcher()
    outcome, _ = run(tmp_path, SHORT, TEXTS, watcher)
    assert [report.step for report in watcher.steps] == list(range(1, 24))
    assert [report.step for report in watcher.evaluations] == [0, 6, 12, 18, 23]  # quarters, rounded up to whole steps
    assert [report.tokens for report in watcher.steps[:2]] == [33, 66]
    assert [report.used for report in watcher.steps] == pytest.approx([n / 23 for n in range(1, 24)])
    assert watcher.steps[13].rate == pytest.approx(0.01 * (1 - 13 / 23) / 0.6)  # falling from Muon's peak
    assert all(report.sample == "sample\n你" for report in watcher.evaluations)
    assert (outcome.progress.step, outcome.finished) == (23, True)


def test_the_log_has_what_was_reported(tmp_path):
    watcher = Watcher()
    run(tmp_path, SHORT, TEXTS, watcher)
    assert read_log(tmp_path / "log.jsonl") == watcher.reports  # few steps: every one has its line


def test_a_long_log_is_a_mean_over_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOGGED", 5)
    watcher = Watcher()
    run(tmp_path, SHORT, TEXTS, watcher)
    lines = [report for report in read_log(tmp_path / "log.jsonl") if isinstance(report, Stepped)]
    assert [line.step for line in lines] == [5, 10, 14, 19, 23]
    losses = [report.loss for report in watcher.steps]
    means = [losses[0:5], losses[5:10], losses[10:14], losses[14:19], losses[19:23]]
    assert [line.loss for line in lines] == pytest.approx([sum(part) / len(part) for part in means])


def test_the_model_is_kept_when_it_is_the_best_so_far(tmp_path, monkeypatch):
    """Five evaluations with scripted losses: kept at the first, the second and the fourth."""
    losses = iter([5.0, 4.0, 4.0, 3.5, 6.0])
    real = loop.evaluate

    def scripted(model, tokens, **options):
        evaluation = real(model, tokens, **options)
        return replace(evaluation, nats=next(losses) * evaluation.tokens)

    monkeypatch.setattr(loop, "evaluate", scripted)
    watcher = Watcher()
    outcome, _ = run(tmp_path, SHORT, TEXTS, watcher)
    assert [report.best for report in watcher.evaluations] == [True, True, False, True, False]
    assert watcher.kept == 3
    assert (outcome.progress.best_loss, outcome.progress.best_step) == (3.5, 18)


def test_models_are_kept_evenly_from_before_the_first_step_to_after_the_last(tmp_path):
    watcher = Watcher()
    run(tmp_path / "six", replace(SHORT, keep=6), TEXTS, watcher)
    assert watcher.kept_steps == [0, 5, 10, 14, 19, 23]  # fifths of 23, rounded up to whole steps
    run(tmp_path / "every", replace(SHORT, keep=24), TEXTS, every := Watcher())
    assert every.kept_steps == list(range(24))
    with pytest.raises(ConfigError, match="keep is 25, and 23 steps have 24 models"):
        replace(SHORT, keep=25)
    with pytest.raises(ConfigError, match="keep is 1; it must be a number at least 2"):
        replace(SHORT, keep=1)


@pytest.mark.parametrize("average", ["none", "exponential", "last"])
def test_keeping_models_changes_no_bit_of_the_run(tmp_path, average):
    run(tmp_path / "without", replace(SHORT, average=average), TEXTS, dropout=0.2)
    run(tmp_path / "with", replace(SHORT, average=average, keep=8), TEXTS, dropout=0.2)
    same_end(tmp_path / "without", tmp_path / "with")


def test_an_evaluation_reads_the_configured_number_of_tokens(tmp_path):
    watcher = Watcher()
    model = build(shape(), seed=0)
    run(tmp_path, replace(SHORT, evaluation_tokens=50), TEXTS, watcher, model=model)
    expected = loop.evaluate(model, TEXTS[1].part(0, 51))
    assert expected.tokens == 50
    assert watcher.evaluations[-1].valid_loss == pytest.approx(expected.loss)


def test_the_same_seed_gives_the_same_bits_another_others(tmp_path):
    run(tmp_path / "a", SHORT, TEXTS, dropout=0.2)
    torch.randn(3)  # whatever was drawn before does not matter
    run(tmp_path / "b", SHORT, TEXTS, dropout=0.2)
    same_end(tmp_path / "a", tmp_path / "b")
    run(tmp_path / "c", replace(SHORT, seed=1), TEXTS, dropout=0.2)
    one, other = whole_state(tmp_path / "a"), whole_state(tmp_path / "c")
    assert not torch.equal(one.weights["embedding.weight"], other.weights["embedding.weight"])


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("stops", [[1], [6], [3, 4, 20], [22]])  # 6: an evaluation has just saved that step
def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path, monkeypatch, dropout, stops):
    monkeypatch.setattr(loop, "LOGGED", 5)  # lines between the stops, too
    run(tmp_path / "whole", SHORT, TEXTS, dropout=dropout)
    folder, state = tmp_path / "stopped", None
    for number, step in enumerate(stops):
        made = step - (stops[number - 1] if number else 0)
        outcome, _ = run(folder, SHORT, TEXTS, Watcher(stop_after=made), dropout=dropout, state=state)
        assert (outcome.finished, outcome.progress.step) == (False, step)
        state = whole_state(folder)
        torch.randn(100)
    outcome, _ = run(folder, SHORT, TEXTS, dropout=dropout, state=state)
    assert outcome.finished
    same_end(tmp_path / "whole", folder)


def test_whichever_hook_fails_the_run_can_continue_to_the_same_bits(tmp_path):
    """Reports, keeping of both kinds, samples, the question whether to stop: of the first, and of some in between."""
    config = replace(SHORT, steps=6, evaluations=2, keep=4)
    whole = Watcher()
    run(tmp_path / "whole", config, TEXTS, whole, dropout=0.1)
    for call in range(1, whole.calls + 1):
        folder = tmp_path / str(call)
        with pytest.raises(CrashError):
            run(folder, config, TEXTS, Watcher(fail_at=call), dropout=0.1)
        run(folder, config, TEXTS, dropout=0.1, state=whole_state(folder))
        same_end(tmp_path / "whole", folder)


def test_an_evaluation_is_saved_before_it_is_reported(tmp_path):
    """If the terminal shows an evaluation of step 6, the run can resume from it, even if the terminal is then gone."""
    told = []

    def report(found):
        if isinstance(found, Evaluated):
            told.append(found.step)
            assert whole_state(tmp_path).progress.step == found.step

    hooks = replace(Watcher().hooks(), report=report)
    fit(build(shape(), seed=0), replace(SHORT, steps=12, evaluations=2), *TEXTS, folder=tmp_path, hooks=hooks)
    assert told == [0, 6, 12]


def test_a_finished_run_is_left_as_it_is(tmp_path):
    run(tmp_path, SHORT, TEXTS)
    before = (tmp_path / "log.jsonl").read_bytes()
    watcher = Watcher()
    outcome, _ = run(tmp_path, SHORT, TEXTS, watcher, state=whole_state(tmp_path))
    assert (outcome.finished, watcher.reports) == (True, [])
    assert (tmp_path / "log.jsonl").read_bytes() == before


def test_a_stop_at_the_last_step_is_the_end(tmp_path):
    outcome, _ = run(tmp_path, SHORT, TEXTS, Watcher(stop_after=23))
    assert outcome.finished


class TestALossThatIsNotFinite:
    def test_stops_with_the_last_good_state_kept(self, tmp_path):
        """Rates of 1e38 make weights whose products overflow; the state is from before."""
        wild = OptimizerConfig(lr=1e38, adamw_lr=1e38)
        with pytest.raises(TrainingError, match=r"^step 3: the loss is (nan|inf), so the run stopped.*state") as told:
            run(tmp_path, replace(SHORT, optimizer=wild, evaluations=1), TEXTS)  # the first step has the rate 0
        assert str(tmp_path / "state") in str(told.value)
        state = whole_state(tmp_path)
        assert state.progress.step == 0
        assert all(tensor.isfinite().all() for tensor in state.weights.values())

    def test_is_found_before_an_evaluation_would_save_it(self, tmp_path):
        """An evaluation after every step: the state of the step that spoiled the weights is not written."""
        wild = OptimizerConfig(lr=1e38, adamw_lr=1e38)
        watcher = Watcher()
        with pytest.raises(TrainingError, match=r"^step 2: the validation loss is (nan|inf)"):
            run(tmp_path, replace(SHORT, optimizer=wild, evaluations=23), TEXTS, watcher)
        assert whole_state(tmp_path).progress.step == 1
        assert watcher.kept <= 2

    def test_is_found_before_a_stop_would_save_it(self, tmp_path):
        wild = OptimizerConfig(lr=1e38, adamw_lr=1e38)
        with pytest.raises(TrainingError, match=r"^step 2: the validation loss is (nan|inf)"):
            run(tmp_path, replace(SHORT, optimizer=wild, evaluations=1), TEXTS, Watcher(stop_after=2))
        assert whole_state(tmp_path).progress.step == 0


class TestText:
    def test_shorter_than_a_window(self, tmp_path):
        train, valid = halves("abcdefgh", valid=0.5)
        with pytest.raises(TextError, match="the text has 5 tokens; a window needs 12, context 11 plus one"):
            run(tmp_path, SHORT, (train, valid))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("valid", ["", "a"])
    def test_too_short_to_validate_on(self, tmp_path, valid):
        tokens = stream(TEXT)
        with pytest.raises(TextError, match=r"the text to evaluate on has \d tokens?"):
            run(tmp_path, SHORT, (tokens, stream(valid).part(0, len(valid))))
        assert list(tmp_path.iterdir()) == []

    def test_nothing_but_separators_to_validate_on(self, tmp_path):
        with pytest.raises(TextError, match=r"has 3 tokens; .* separators do not count as text"):
            run(tmp_path, SHORT, (stream(TEXT), stream("", "", "")))
        assert list(tmp_path.iterdir()) == []


class TestState:
    def test_of_another_shape_is_refused(self, tmp_path):
        run(tmp_path, SHORT, TEXTS, Watcher(stop_after=2))
        other = build(shape(layers=2), seed=0)
        with pytest.raises(TrainingError, match=r"the saved weights do not fit the recipe's model.*blocks\.1\."):
            run(tmp_path, SHORT, TEXTS, model=other, state=whole_state(tmp_path))

    def test_of_another_optimizer_is_refused(self, tmp_path):
        run(tmp_path, SHORT, TEXTS, Watcher(stop_after=2))
        config = replace(SHORT, optimizer=OptimizerConfig(kind="adamw"))
        with pytest.raises(TrainingError, match="the saved optimizer state belongs to another model"):
            run(tmp_path, config, TEXTS, state=whole_state(tmp_path))

    def test_with_a_shorter_log_is_refused(self, tmp_path):
        run(tmp_path, SHORT, TEXTS, Watcher(stop_after=8))
        (tmp_path / "log.jsonl").write_text("")
        with pytest.raises(FolderError, match=r"log\.jsonl: has 0 bytes, but had \d+ when the state was saved"):
            run(tmp_path, SHORT, TEXTS, state=whole_state(tmp_path))


class FakeClock:
    """Time that passes only where a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(loop.time, "perf_counter", lambda: self.now)

    def slow(self, monkeypatch: pytest.MonkeyPatch, name: str, seconds: float) -> None:
        """The function of the loop takes so many seconds."""
        real = getattr(loop, name)

        def slower(*args, **options):
            self.now += seconds
            return real(*args, **options)

        monkeypatch.setattr(loop, name, slower)


class TestMinutes:
    CONFIG = TrainConfig(minutes=2.0, batch=2, evaluations=4, threads=1)

    def test_the_clock_ends_the_run_with_time_for_what_comes_after(self, tmp_path, monkeypatch):
        """A step takes 3 s, an evaluation 4 s; the caller reads the whole validation text, five times as much: 20 s."""
        clock = FakeClock(monkeypatch)
        clock.slow(monkeypatch, "batch_loss", 3.0)
        clock.slow(monkeypatch, "evaluate", 4.0)
        watcher = Watcher()
        config = replace(self.CONFIG, evaluation_tokens=len(TEXTS[1]) // 5)
        outcome, _ = run(tmp_path, config, TEXTS, watcher)
        used = clock.now - 1000 + 20
        assert outcome.finished
        assert 120 * 0.9 <= used <= 120 * 1.1
        assert watcher.steps[-1].used == 1
        assert [report.used for report in watcher.steps] == sorted(report.used for report in watcher.steps)
        assert watcher.evaluations[-1].step == watcher.steps[-1].step

    def test_what_was_used_before_counts(self, tmp_path, monkeypatch):
        clock = FakeClock(monkeypatch)
        clock.slow(monkeypatch, "batch_loss", 1.0)
        watcher = Watcher()
        model = build(shape(), seed=0)
        loop.fit(model, self.CONFIG, *TEXTS, folder=tmp_path, hooks=watcher.hooks(), used=100.0)
        assert len(watcher.steps) == 20
        assert watcher.steps[0].used == pytest.approx(1 / 20)  # the schedule counts from the first step

    def test_all_sessions_count_together(self, tmp_path, monkeypatch):
        clock = FakeClock(monkeypatch)
        clock.slow(monkeypatch, "batch_loss", 1.0)
        outcome, _ = run(tmp_path, self.CONFIG, TEXTS, Watcher(stop_after=50))
        assert outcome.progress.seconds == pytest.approx(50)
        clock.now += 5000
        watcher = Watcher()
        outcome, _ = run(tmp_path, self.CONFIG, TEXTS, watcher, state=whole_state(tmp_path))
        assert outcome.finished
        assert [watcher.steps[0].step, watcher.steps[-1].step] == [51, 120]

    def test_a_time_that_is_over_before_the_first_step_is_reported(self, tmp_path):
        with pytest.raises(
            OptionError,
            match=r"minutes 2: reading .* took 130 seconds, before the first step.*give more",
        ):
            loop.fit(build(shape(), seed=0), self.CONFIG, *TEXTS, folder=tmp_path, hooks=Watcher().hooks(), used=130.0)
        assert not (tmp_path / "state").exists()

    def test_a_time_that_evaluations_would_use_up_is_reported(self, tmp_path, monkeypatch):
        """The first evaluation takes 50 s; the last one and the final reading of all would take 100."""
        FakeClock(monkeypatch).slow(monkeypatch, "evaluate", 50.0)
        watcher = Watcher()
        with pytest.raises(OptionError, match=r"50 seconds were used before the first step.*about 100; give more"):
            run(tmp_path, replace(self.CONFIG, evaluation_tokens=len(TEXTS[1])), TEXTS, watcher)
        assert not watcher.steps


def test_reports_have_the_loss_of_the_log(tmp_path):
    """What stands in the folder at the end is what the last evaluation said."""
    watcher = Watcher()
    run(tmp_path, SHORT, TEXTS, watcher)
    last = [report for report in read_log(tmp_path / "log.jsonl") if isinstance(report, Evaluated)][-1]
    assert last == watcher.evaluations[-1]
    assert whole_state(tmp_path).progress.best_loss == min(report.valid_loss for report in watcher.evaluations)
