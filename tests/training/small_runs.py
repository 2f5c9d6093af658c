"""Models and texts small enough that a whole run takes a second."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from clearhead.model import ModelConfig, Network, build
from clearhead.text import Tokenizer, Tokens, split, tokenize
from clearhead.training import Evaluated, FitResult, Hooks, Report, Sample, Stepped, TrainConfig, TrainingState, fit
from clearhead.training.checkpoint import load_state
from little_configs import QWEN3

BYTES = Tokenizer.bytes()


class Texts:
    """Documents in memory."""

    name = "texts"

    def __init__(self, *texts: str):
        self.texts = texts

    def key(self) -> str:
        return hashlib.sha256("\0".join(self.texts).encode()).hexdigest()

    def documents(self) -> Iterator[str]:
        yield from self.texts


def stream(*texts: str) -> Tokens:
    return tokenize([Texts(*texts)], BYTES)


def halves(*texts: str, valid: float = 0.2) -> tuple[Tokens, Tokens]:
    return split(stream(*texts), valid)


def shape(*, dropout: float = 0.0, layers: int = 1, tied: bool = True) -> ModelConfig:
    return replace(QWEN3, vocabulary=257, context=11, layers=layers, width=12, tied=tied, dropout=dropout)


@dataclass
class Watcher:
    """Hooks that record their calls, and can fail or stop."""

    reports: list[Report] = field(default_factory=list)
    kept: int = 0
    kept_steps: list[int] = field(default_factory=list[int])
    calls: int = 0
    fail_at: int | None = None  # the call of any hook that raises
    stop_after: int | None = None  # steps
    sample: Callable[[], str] = lambda: "sample\n你"

    def hooks(self) -> Hooks:
        return Hooks(
            report=self._report,
            keep=self._keep,
            keep_step=self._keep_step,
            sample=self._sample,
            stop=self._stop,
        )

    @property
    def steps(self) -> list[Stepped]:
        return [report for report in self.reports if isinstance(report, Stepped)]

    @property
    def evaluations(self) -> list[Evaluated]:
        return [report for report in self.reports if isinstance(report, Evaluated)]

    def _call(self) -> None:
        self.calls += 1
        if self.calls == self.fail_at:
            raise CrashError

    def _report(self, report: Report) -> None:
        self._call()
        self.reports.append(report)

    def _keep(self, step: int) -> None:
        self._call()
        self.kept += 1

    def _keep_step(self, step: int) -> None:
        self._call()
        self.kept_steps.append(step)

    def _sample(self) -> Sample:
        self._call()
        return Sample(text=self.sample())

    def _stop(self) -> bool:
        self._call()
        return self.stop_after is not None and len(self.steps) >= self.stop_after


class CrashError(Exception):
    """Raised by a hook that should fail."""


def run(
    folder: Path,
    config: TrainConfig,
    texts: tuple[Tokens, Tokens],
    watcher: Watcher | None = None,
    *,
    model: Network | None = None,
    dropout: float = 0.0,
    state: TrainingState | None = None,
) -> tuple[FitResult, Network]:
    """A session of training in ``folder``, from the beginning or from ``state``."""
    folder.mkdir(exist_ok=True, parents=True)
    model = model or build(shape(dropout=dropout), seed=config.seed)
    hooks = (watcher or Watcher()).hooks()
    return fit(model, config, *texts, folder=folder, hooks=hooks, state=state), model


def whole_state(folder: Path) -> TrainingState:
    state = load_state(folder / "state")
    assert state is not None
    return state
