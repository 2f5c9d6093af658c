"""Runs from Python: ``clearhead.train`` and ``clearhead.resume``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clearhead import recipes
from clearhead.files import Paths, paths_in
from clearhead.runs.events import Events
from clearhead.runs.finish import Run
from clearhead.runs.resolve import Asked, layout_of
from clearhead.runs.session import go_on, start
from clearhead.training import Report


def train(
    text: Paths | None = None,
    *,
    pairs: Paths | None = None,
    source: str | Path | None = None,
    target: str | Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    keep: int | None = None,
    corpus: str | None = None,
    megabytes: float | None = None,
    origin: str | Path | None = None,
    model: str | None = None,
    masked: bool = False,
    recipe: str | None = None,
    config: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    valid: Paths | None = None,
    tokenizer: str | Path | None = None,
    vocabulary: int | None = None,
    field: str | None = None,
    encoding: str | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    threads: int | None = None,
    report: Callable[[Report], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Run:
    """Trains a language model on text, as ``clearhead train`` does, and returns the run. Prints nothing.

    text, valid: one or more files, folders or patterns
    pairs: one or more files of sentence pairs, to train a translator (``--pairs``); or source and target: two files, of
        which line n of one translates line n of the other
    keep: models kept on the way (``--keep``); ``clearhead.load("runs/book@500")`` opens that of step 500
    origin: the model to start from, a folder or a name on the hub (``--from``)
    model: kind of model (``--model``): transformer, lstm, gru, lstm-attention, gru-attention or convolution;
        for pairs all but lstm and gru
    masked: train an encoder to fill masks (``--masked``)
    settings: single values by name (``--set``): {"model.layers": 6}
    report: called after every step (Stepped) and every evaluation (Evaluated, with sample text from the model)
    say: called with each line that the command would print; ``say=print``

    The other arguments are the command's options. Ctrl-C saves the state after the current step and raises Interrupted,
    a KeyboardInterrupt whose ``folder`` can be resumed. Raises ClearheadError where the command prints an error.
    """
    started = time.perf_counter()
    both = (None if each is None else str(each) for each in (source, target))
    layout, sources = layout_of(names(text, "text"), names(pairs, "pairs"), *both)
    asked = Asked(
        layout=layout,
        sources=sources,
        corpus=corpus,
        megabytes=megabytes,
        valid=names(valid, "valid"),
        tokenizer=None if tokenizer is None else str(tokenizer),
        vocabulary=vocabulary,
        field=field,
        encoding=encoding,
        minutes=minutes,
        steps=steps,
        keep=keep,
        seed=seed,
        threads=threads,
        model=model,
        masked=masked,
        recipe=recipe,
        config=None if config is None else Path(config),
        settings=[recipes.setting_of(name, value) for name, value in (settings or {}).items()],
        origin=None if origin is None else str(origin),
        out=None if out is None else Path(out),
    )
    return start(asked, _Called(report, say), started=started)


def resume(
    folder: str | Path,
    *,
    accept_changes: bool = False,
    report: Callable[[Report], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Run:
    """Resumes the run in a folder from its last saved state; otherwise as ``train``.

    accept_changes: continue even if ``recipe.toml`` has changed since that state was saved (``--accept-changes``)
    """
    return go_on(Path(folder), _Called(report, say), started=time.perf_counter(), accept_changes=accept_changes)


class _Called(Events):
    """Forwards to functions, if given."""

    def __init__(self, report: Callable[[Report], None] | None, say: Callable[[str], None] | None) -> None:
        self._report, self._say = report, say

    def say(self, line: str) -> None:
        if self._say is not None:
            self._say(line)

    def report(self, report: Report) -> None:
        if self._report is not None:
            self._report(report)


def names(paths: Paths | None, what: str) -> list[str] | None:
    """The names as a list, or None if there are none. Raises OptionError, naming it ``what``, for anything else."""
    return None if paths is None else paths_in(paths, what) or None
