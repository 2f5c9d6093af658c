"""Comparisons of translators: stopped and continued, their figures, and what is refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from clearhead import hub, lab, recipes, runs
from clearhead.errors import MissingExtraError, OptionError
from clearhead.generation import score, translate
from clearhead.lab import comparison, plan
from clearhead.lab.comparison import Comparison
from clearhead.runs import prepare
from little_translators import write_pairs
from verbs import called

MODELS = ["transformer", "convolution"]
SMALL = {
    "model.layers": 2,
    "model.width": 64,
    "model.context": 64,
    "model.attention": {"heads": 2, "kv_heads": 2, "head_width": 32},
    "model.feed_forward": {"width": 128},
    "train.batch": 4,
    "train.evaluations": 1,
    "train.evaluation_tokens": 60,
    "train.final_tokens": 100,
}


class Told(lab.ComparisonEvents):
    """Remembers the trials, and stops in step ``last``."""

    def __init__(self, last: int = 0) -> None:
        self.trials: list[lab.Trial] = []
        self._steps, self._last = 0, last

    def trial(self, trial: lab.Trial, number: int, count: int, left: float) -> None:
        self.trials.append(trial)

    def say(self, line: str) -> None:
        pass

    @contextmanager
    def steps(self) -> Generator[Callable[[], bool]]:
        def stop() -> bool:
            self._steps += 1
            return self._steps == self._last

        yield stop


def small(pairs: Path, **options: Any) -> lab.Question:
    settings = [recipes.setting_of(name, value) for name, value in (SMALL | options.pop("settings", {})).items()]
    chosen: dict[str, Any] = {
        "text": {"layout": "pairs", "sources": [str(pairs)], "vocabulary": 290},
        "models": MODELS,
        "rates": [0.01],
        "minutes": 0.05,
        "threads": 1,
    }
    return lab.asked(settings=settings, **(chosen | options))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, Comparison, list[Told]]]:
    """A comparison that was stopped in its second run, and continued."""
    folder = tmp_path_factory.mktemp("comparison")
    pairs, told = write_pairs(folder / "p.tsv"), [Told(9), Told()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "step_seconds", lambda *_, **__: 0.03)  # from which 6 steps of the sweep follow
        patch.setattr(plan, "TIMED", 0.25)
        patch.setattr(plan, "LEAST_STEPS", 1)
        patch.setattr(comparison.Comparison, "budget", lambda found, size: EVEN)
        with pytest.raises(runs.Interrupted):
            lab.carry_out(small(pairs), folder / "out", told[0])
        yield pairs, folder / "out", lab.carry_out(small(pairs), folder / "out", told[1]), told


EVEN = plan.Budget(tokens=12, time={"transformer": 14, "convolution": 12}, seconds=1.0)


def test_what_is_finished_is_not_done_again(finished: tuple[Path, Path, Comparison, list[Told]]) -> None:
    _, folder, found, (first, second) = finished
    assert [each.model for each in first.trials] == MODELS
    assert second.trials[0] == first.trials[1]
    assert [each.trial for each in (*found.sweep, *found.results)] == [first.trials[0], *second.trials]
    assert {(each.model, each.steps) for each in second.trials[1:]} == {
        ("transformer", 12),
        ("transformer", 14),
        ("convolution", 12),
    }
    assert lab.read(folder) == found


def test_translators_have_equal_weights_and_read_equal_tokens(
    finished: tuple[Path, Path, Comparison, list[Told]], tmp_path: Path
) -> None:
    _, folder, found, _ = finished
    weights = [result.weights for result in found.results]
    assert max(weights) / min(weights) < 1.02
    material = prepare(found.question.text, tmp_path, lambda line: None, context=64)
    windows = found.question.objective.windows(material.train, context=64, batch=4, seed=0)
    epoch = [windows.at(step) for step in range(len(windows))]
    read = [each.source_BS.size if each.source_lengths_B is None else each.source_lengths_B.sum() for each in epoch]
    mean = (sum(read) + sum((each.targets_BT >= 0).sum() for each in epoch)) / len(epoch)
    for result in found.results:
        config = hub.load(folder / "runs" / result.trial.name, text=True).config
        assert config.parameters() == result.weights
        assert config.abilities == {"text to text"}
        assert result.tokens == round(result.trial.steps * mean)


def test_scores_are_those_of_the_models_translations_of_the_validation_pairs(
    finished: tuple[Path, Path, Comparison, list[Told]], tmp_path: Path
) -> None:
    _, folder, found, _ = finished
    valid = prepare(found.question.text, tmp_path, lambda line: None, context=64).valid
    sources, targets = zip(*valid.sentences(), strict=True)
    result = found.results[0]
    model = hub.load(folder / "runs" / result.trial.name, text=True)
    made = [str(each) for each in translate(model, list(sources), beams=1)]
    expected, mine = score(made, targets), result.translations
    assert mine is not None
    assert (mine.pairs, mine.bleu, mine.chrf) == (20, expected.bleu, expected.chrf)
    lengths = [len(model.tokenizer.encode(source)) for source in sources]
    for each in mine.lengths:
        rows = [n for n, length in enumerate(lengths) if each.low <= length <= each.high]
        assert each.count == len(rows)
        in_bin = score([made[n] for n in rows], [targets[n] for n in rows], short=True)
        assert each.mean == pytest.approx(in_bin.bleu)
    assert sum(each.count for each in mine.lengths) == 20
    assert mine.speed > 0


def test_the_table_and_the_picture(finished: tuple[Path, Path, Comparison, list[Told]], tmp_path: Path) -> None:
    _, _, found, _ = finished
    out = io.StringIO()
    Console(file=out, width=160).print(lab.ComparisonTable(found))
    rows = lab.lines(found)
    assert {(line.model, line.at) for line in rows} == {(model, at) for model in MODELS for at in ("tokens", "time")}
    for line in rows:
        assert line.bleu is not None
        assert line.chrf is not None
        assert line.loss is not None
        assert f"{line.loss.mean:.3f}  {line.bleu.mean:.1f}" in " ".join(out.getvalue().split()).replace(" ", "  ")
    for title in ("At equal tokens", "At equal time", "BLEU by tokens of the source", "of 20 validation pairs"):
        assert title in out.getvalue()
    lab.draw_comparison(found, tmp_path / "x.svg")
    assert "BLEU by tokens of the source" in (tmp_path / "x.svg").read_text()


def test_the_command_continues_it(
    finished: tuple[Path, Path, Comparison, list[Told]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs, folder, _, _ = finished
    options = ["--pairs", str(pairs), "--vocabulary", "290", "--rate", "0.01", "--minutes", "0.05", "--threads", "1"]
    for name in MODELS:
        options += ["--model", name]
    for name, value in SMALL.items():
        options += ["--set", f"{name}={value if isinstance(value, int) else json.dumps(value).replace(':', '=')}"]
    assert called(monkeypatch, "compare", *options, "--out", str(folder)) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    assert "At equal time" in out
    assert "run 1" not in err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            {"models": ["lstm"]},
            r"^model lstm: does not translate; for sentence pairs there is transformer, convolution",
        ),
        ({"facts": 5}, r"^facts 5: the facts of files are not known"),
        ({"text": {"layout": "pairs", "sources": ["p.tsv"], "corpus": "mqar-64-4"}}, r"sources .* and corpus .* both"),
        ({"settings": {"model.kind": "encoder-decoder"}}, "give the Transformer's shape; --model chooses the kinds"),
        ({"text": {"layout": "pairs", "sources": ["-"]}}, "standard input can be read once"),
    ],
)
def test_what_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(OptionError, match=why):
        small(Path("p.tsv"), **options)


def test_all_that_translate_are_compared_by_default_with_smoothed_labels() -> None:
    question = small(Path("p.tsv"), models=None)
    assert question.models == ("transformer", "convolution", "gru-attention", "lstm-attention")
    assert question.train.label_smoothing == 0.1
    assert not question.speeds


def test_a_shape_too_small_for_all_of_them_is_refused(tmp_path: Path) -> None:
    question = small(write_pairs(tmp_path / "p.tsv"), settings={"model.layers": 1}, minutes=60)
    with pytest.raises(OptionError, match=r"^transformer would have \d+,\d+ weights and .* by more than 4%; give"):
        lab.carry_out(question, tmp_path / "out", Told())


def test_without_sacrebleu_it_stops_before_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearhead.generation.scores.has_scores", lambda: False)
    with pytest.raises(MissingExtraError, match="BLEU and chrF need sacrebleu"):
        lab.carry_out(small(write_pairs(tmp_path / "p.tsv")), tmp_path / "out", Told())
    assert not (tmp_path / "out" / lab.FILE).exists()
