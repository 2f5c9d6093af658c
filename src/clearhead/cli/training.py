"""Starting and continuing a run from the command line."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
import typer
from rich.console import Console

from clearhead import hub, recipes, runs
from clearhead.cli.progress import Display
from clearhead.errors import ClearheadError, OptionError
from clearhead.generate import Sampling, generate
from clearhead.model import Transformer, build, from_dict, to_dict
from clearhead.observe.curve import draw_curve
from clearhead.recipes import Recipe, Table, TextConfig
from clearhead.text import Tokenizer
from clearhead.train import Evaluated, Hooks, State, Stepped, fit, read_log, score_of
from clearhead.train.budget import choose, choose_threads

MINUTES = 5.0
SAMPLE = Sampling(max_tokens=60, temperature=0.8, seed=0)


def start(
    given: Table,
    *,
    recipe: str | None,
    config: Path | None,
    settings: Sequence[str],
    out: Path | None,
    started: float,
) -> Path:
    """Trains from the beginning and returns the run folder; ``given`` are the values of options, ``started`` the clock.

    What is laid over what, the last on top: the recipe, the config file, the options, the settings.
    """
    console = Console(stderr=True)
    tables = [recipes.read(recipe)] if recipe else []
    tables += [recipes.read_file(config)] if config else []
    tables += [_present(given), *map(recipes.read_setting, settings)]
    table = recipes.joined(tables)
    recipes.check_names(table)
    text = from_dict(TextConfig, cast(Mapping[str, Any], table.get("text", {})), "text.")
    if not text.sources and text.corpus is None:
        raise OptionError("no text: name a file, a folder or - for standard input, or take --corpus world-en")
    folder = out or Path("runs") / runs.name_of(text)
    text = runs.claim(folder, text)
    try:
        return _run(folder, text, tables, console, started)
    except (ClearheadError, OSError):
        if not (folder / "state").exists():
            shutil.rmtree(folder)  # nothing was learned; the same command can be given again
        raise


def _run(folder: Path, text: TextConfig, tables: Sequence[Table], console: Console, started: float) -> Path:
    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    material = runs.prepare(text, say)
    recipe = _resolved(tables, material, say, time.perf_counter() - started)
    model = runs.create(folder, recipe)
    say(f"model: {recipe.model.parameters():,} weights; the run is kept in {folder}")
    _fit(folder, recipe, material, model, console, state=None, used=time.perf_counter() - started)
    return folder


def resume(folder: Path, given: Table, others: Sequence[object]) -> Path:
    """Continues the run in ``folder``; raises OptionError when anything else was chosen as well."""
    if any(_present(given).values()) or any(others):
        raise OptionError(f"--resume {folder} continues with the run's own settings; give no text and no other option")
    console = Console(stderr=True)
    recipe, state = runs.reopen(folder)
    material = runs.prepare(recipe.text, lambda line: console.print(line, highlight=False, soft_wrap=True))
    runs.check_memory(recipe.model, recipe.train)
    model = build(recipe.model, seed=recipe.train.seed)
    console.print(f"continuing {folder} after step {state.progress.step:,}", highlight=False)
    _fit(folder, recipe, material, model, console, state=state, used=0.0)
    return folder


def _resolved(tables: Sequence[Table], material: runs.Material, say: runs.Say, used: float) -> Recipe:
    """The recipe that the tables describe, over what measuring chose where they leave the model open."""
    steps, minutes = _length(tables)
    table = recipes.joined(tables)
    vocabulary = material.tokenizer.vocab_size
    model = {"vocabulary": vocabulary, **table.get("model", {})}
    train = {**table.get("train", {}), "steps": steps, "minutes": minutes}
    if "layers" not in model:
        choice = choose(
            minutes=minutes or MINUTES, used=used, vocabulary=vocabulary, tokens=len(material.train), say=say
        )
        for reason in choice.reasons:
            say(f"chosen: {reason}")
        model = recipes.joined([to_dict(choice.model), model])
        train = recipes.joined([to_dict(choice.train), train])
    whole = {
        "text": to_dict(material.config),
        "model": model,
        "train": {k: v for k, v in train.items() if v is not None},
    }
    recipe = recipes.resolved(whole)
    if recipe.train.threads is None:
        threads, reason = choose_threads(recipe.model, say)
        say(f"chosen: {reason}")
        recipe = replace(recipe, train=replace(recipe.train, threads=threads))
    return recipe


def _length(tables: Sequence[Table]) -> tuple[int | None, float | None]:
    """(steps, minutes), one of them None: what the topmost table that names either says."""
    for table in reversed(tables):
        train = table.get("train", {})
        steps, minutes = train.get("steps"), train.get("minutes")
        if steps is not None and minutes is not None:
            raise OptionError(f"steps {steps} and minutes {minutes} were both given; a run ends by one of them")
        if steps is not None or minutes is not None:
            return steps, minutes
    return None, MINUTES


def _present(given: Table) -> Table:
    """The options that were given, without the others."""
    parts = {
        part: {name: value for name, value in values.items() if value is not None} for part, values in given.items()
    }
    return {part: values for part, values in parts.items() if values}


def _fit(
    folder: Path,
    recipe: Recipe,
    material: runs.Material,
    model: Transformer,
    console: Console,
    *,
    state: State | None,
    used: float,
) -> None:
    if recipe.train.threads is not None:
        torch.set_num_threads(recipe.train.threads)
    with Display(console) as display, runs.interruptible() as stop:
        hooks = Hooks(
            report=display.show,
            keep=runs.keeper(folder, model, material.tokenizer),
            sample=lambda: _sample(model, material.tokenizer),
            stop=stop,
        )
        outcome = fit(
            model, recipe.train, material.train, material.valid, folder=folder, hooks=hooks, state=state, used=used
        )
    if not outcome.finished:
        console.print(f"stopped after step {outcome.progress.step:,}; continue with", highlight=False)
        console.print(f"  clearhead train --resume {folder}", highlight=False)
        raise typer.Exit(130)
    reports = read_log(folder / "log.jsonl")
    stepped = [(report.step, report.loss) for report in reports if isinstance(report, Stepped)]
    evaluated = [(report.step, report.valid_loss) for report in reports if isinstance(report, Evaluated)]
    draw_curve(stepped, evaluated, folder / "loss.svg")
    kept = hub.load(folder)
    score = score_of(kept.transformer, material.valid)
    console.print(
        f"kept the model of step {outcome.progress.best_step:,}; on all {score.tokens:,} validation tokens: "
        f"{score.loss:.4f} nats a token, {score.bits_per_byte:.4f} bits a byte; curve in {folder / 'loss.svg'}",
        highlight=False,
        soft_wrap=True,
    )
    typer.echo(str(folder))


def _sample(model: Transformer, tokenizer: Tokenizer) -> str:
    limit = min(SAMPLE.max_tokens, model.config.context - 1)
    return generate(model, tokenizer, [""], replace(SAMPLE, max_tokens=limit))[0].text
