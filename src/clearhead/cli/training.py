"""Starting and continuing a run from the command line."""

from __future__ import annotations

import shlex
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
import typer
from rich.console import Console

from clearhead import hub, machine, recipes, runs
from clearhead.cli import origin as origins
from clearhead.cli.progress import Display
from clearhead.drawing.curve import draw_curve
from clearhead.errors import ConfigError, MissingExtraError, OptionError, WriteError
from clearhead.generation import Sampling, generate
from clearhead.model import ModelConfig, Network, build
from clearhead.plain import from_dict, missing, to_dict
from clearhead.recipes import Recipe, Table, TextConfig
from clearhead.text import Tokens, Windows
from clearhead.training import (
    Evaluated,
    Hooks,
    State,
    Stepped,
    TrainConfig,
    check_memory,
    fit,
    read_log,
    saved,
    score_of,
)
from clearhead.training.budget import SHORTEST, choose, choose_threads, looks_measured, shape
from clearhead.training.config import window_of
from clearhead.training.further import beginning, choose_further

MINUTES = 5.0
BY_STEPS = "tiny"  # the recipe of a run by steps that names no other: its shape must not depend on the machine
SAMPLED_FROM = 256  # tokens; a released model's context can be a book
SAMPLE = Sampling(max_tokens=60, temperature=0.8, seed=0)


def start(
    given: Table,
    *,
    recipe: str | None,
    config: Path | None,
    settings: Sequence[str],
    out: Path | None,
    started: float,
    origin: str | None = None,
) -> Path:
    """Trains from the beginning, or from the model ``origin``, and returns the run folder.

    ``given`` are the values of options, ``started`` the clock.

    What is laid over what, the last on top: the recipe, the config file, the options, the settings.
    """
    tables = [recipes.read(recipe)] if recipe else []
    tables += [recipes.read_file(config)] if config else []
    tables += [present(given), *map(recipes.read_setting, settings)]
    for each in tables:
        recipes.check_names(each)
    begins = origins.find(tables, origin)
    table = _whole(tables if begins is None else origins.laid_under(begins, tables))
    text = from_dict(TextConfig, table["text"], "text.")
    runs.check_text(text)
    train = from_dict(TrainConfig, table["train"], "train.")
    # What measuring will choose stands in for itself: a slip is told before the text is read, not after.
    chosen_later = {"vocabulary": 1} if _complete(table["model"]) else to_dict(shape(0, vocabulary=1, context=16))
    model = from_dict(ModelConfig, recipes.joined([chosen_later, table["model"]]), "model.")
    if _complete(table["model"]):
        window_of(train, model)
    folder = out or Path("runs") / runs.name_of(text)
    console = _console()
    with runs.claimed(folder), _resumable(folder, console):
        runs.keep_stdin(folder, text)
        material = runs.prepare(text, folder, console.print)
        whole = _resolved(table, material, console, time.perf_counter() - started)
        model, papers = runs.create(folder, whole)
        after = "" if whole.origin is None else f", as they are in {whole.origin}"
        console.print(f"model: {whole.model.parameters():,} weights{after}; it will be kept in {folder}")
        used = time.perf_counter() - started
        _fit(folder, whole, material, model, papers, console, state=None, used=used)
    return folder


def resume(folder: Path, given: Table, others: Sequence[object], *, started: float) -> Path:
    """Continues the run in ``folder``; raises OptionError when anything else was chosen as well."""
    if present(given) or any(other is not None for other in others):
        raise OptionError(f"--resume {folder} continues with the run's own settings; give no text and no other option")
    console = _console()
    with runs.held(folder), _resumable(folder, console):
        recipe, state = runs.reopen(folder)
        material = runs.prepare(recipe.text, folder, console.print)
        check_memory(recipe.model, recipe.train)
        if state is None:
            model, papers = runs.begun(recipe)
        else:
            model = build(recipe.model, seed=recipe.train.seed).to(machine.device())
            kept = recipe.origin is not None and (folder / hub.WEIGHTS).exists()
            papers = hub.read_papers(folder) if kept else None
        console.print(f"continuing {folder} after step {state.progress.step if state else 0:,}")
        used = time.perf_counter() - started
        _fit(folder, recipe, material, model, papers, console, state=state, used=used)
    return folder


def present(given: Table) -> Table:
    """The options that were given, without the others."""
    parts = {
        part: {name: value for name, value in values.items() if value is not None} for part, values in given.items()
    }
    return {part: values for part, values in parts.items() if values}


def _whole(tables: Sequence[Table]) -> Table:
    """The tables as one, with text, model and train in it; of two values that exclude each other the topmost stays.

    Raises OptionError for a table with both of such values.
    """
    chosen = {**_topmost(tables, "train", ("steps", "minutes")), **_topmost(tables, "text", ("sources", "corpus"))}
    whole = recipes.joined([{"text": {}, "model": {}, "train": {}}, *tables])
    text, train = whole["text"], whole["train"]
    if "sources" in chosen and text.pop("corpus", None) is not None:
        text.pop("megabytes", None)
    if "corpus" in chosen:
        text.pop("sources", None)
    text.pop("fingerprint", None)  # of the run that the file was written by; this one's is found anew
    for name in ("steps", "minutes"):
        if name not in chosen:
            train.pop(name, None)
    if "steps" not in chosen:
        train.setdefault("minutes", MINUTES)
    elif not _complete(whole["model"]):
        whole["model"] = recipes.joined([recipes.read(BY_STEPS)["model"], whole["model"]])
    return whole


def _complete(model: Mapping[str, Any]) -> bool:
    """True when the tables leave nothing of the model open that has no default."""
    return set(missing(ModelConfig, model)) <= {"vocabulary"}


def _topmost(tables: Sequence[Table], part: str, names: tuple[str, str]) -> Table:
    """The one of two values that the topmost table with either names, as a table; empty when none does."""
    for table in reversed(tables):
        values = cast(Mapping[str, Any], table.get(part, {}))
        found = {name: values[name] for name in names if values.get(name) not in (None, [], ())}
        if len(found) == 2:
            both = " and ".join(f"{name} {value}" for name, value in found.items())
            raise OptionError(f"{part}: {both} were both given; choose one")
        if found:
            return found
    return {}


def _resolved(table: Table, material: runs.Material, console: Console, used: float) -> Recipe:
    """The recipe that the table describes, over what measuring chose where it leaves the model open."""
    vocabulary = material.tokenizer.vocab_size
    model = {"vocabulary": vocabulary, **table["model"]}
    train = table["train"]
    if model["vocabulary"] < vocabulary:
        raise ConfigError(
            f"model.vocabulary is {model['vocabulary']:,} and the tokenizer has {vocabulary:,} tokens; leave it out, "
            f"or set it to {vocabulary} or more"
        )
    # A text too short for one window is told before anything is measured.
    shortest = SHORTEST if "origin" in table else model.get("context", SHORTEST)
    Windows(material.train, context=train.get("window", shortest), batch=1, seed=0)
    if "origin" in table:
        train = _further(table, material, console, used)
    elif not _complete(model):

        def adapt(tried: ModelConfig) -> ModelConfig:
            return from_dict(ModelConfig, recipes.joined([to_dict(tried), model]), "model.")

        choice = choose(
            minutes=train["minutes"],
            used=used,
            vocabulary=vocabulary,
            tokens=len(material.train),
            valid=len(material.valid),
            threads=train.get("threads"),
            batch=train.get("batch"),
            precision=train.get("precision"),
            say=console.print,
            adapt=adapt,
        )
        for reason in choice.reasons:
            console.print(f"chosen: {reason}")
        model = recipes.joined([to_dict(choice.model), model])
        train = recipes.joined([to_dict(choice.train), train])
    recipe = recipes.resolved({**table, "text": to_dict(material.config), "model": model, "train": train})
    check_memory(recipe.model, recipe.train)
    return replace(recipe, train=_measured(recipe, train, console, used))


def _measured(recipe: Recipe, given: Table, console: Console, used: float) -> TrainConfig:
    """The recipe's training with what it leaves to this machine: threads, precision, and by minutes the evaluations."""
    train = recipe.train
    began = time.perf_counter()
    if train.threads is None:
        read = replace(recipe.model, context=window_of(train, recipe.model))
        threads, reason = choose_threads(read, console.print)
        console.print(f"chosen: {reason}")
        train = replace(train, threads=threads)
    torch.set_num_threads(train.threads or 1)
    if train.precision is None:
        half = machine.device() == "cuda" and machine.bfloat16_pays()
        train = replace(train, precision="bfloat16" if half else "float32")
        if half:
            console.print("chosen: bfloat16, as this runs on CUDA")
    if train.optimizer.kind == "muon" and train.optimizer.precision is None:
        precision = "bfloat16" if machine.bfloat16_pays() else "float32"
        train = replace(train, optimizer=replace(train.optimizer, precision=precision))
    if train.minutes is not None and not {"evaluation_tokens", "final_tokens"} & given.keys():
        each, last = looks_measured(recipe.model, train, used=used + time.perf_counter() - began)
        train = replace(train, evaluation_tokens=each, final_tokens=last)
        console.print(
            f"chosen: {each:,} validation tokens are read {train.evaluations} times, at most {last:,} at the end"
        )
    return train


def _further(table: Table, material: runs.Material, console: Console, used: float) -> Table:
    """The table for training a model further, over what measuring chose (by the clock) or is sensible (by steps)."""
    model = from_dict(ModelConfig, table["model"], "model.")
    first = beginning(model, len(material.train))
    train = recipes.joined([{"window": first.window}, table["train"]])
    config = from_dict(TrainConfig, train, "train.")
    check_memory(model, from_dict(TrainConfig, {**train, "batch": 1}))
    if config.minutes is None:
        return recipes.joined([{"batch": first.batch}, train])
    choice = choose_further(
        model,
        minutes=config.minutes,
        used=used,
        window=window_of(config, model),
        tokens=len(material.train),
        valid=len(material.valid),
        threads=config.threads,
        batch=train.get("batch"),
        precision=config.precision,
        say=console.print,
    )
    for reason in choice.reasons:
        console.print(f"chosen: {reason}")
    return recipes.joined([to_dict(choice.train), train])


def _fit(
    folder: Path,
    recipe: Recipe,
    material: runs.Material,
    model: Network,
    papers: hub.Papers | None,
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
            keep=runs.keeper(folder, model, material.tokenizer, papers),
            sample=lambda: _sample(model, material),
            stop=stop,
        )
        outcome = fit(
            model, recipe.train, material.train, material.valid, folder=folder, hooks=hooks, state=state, used=used
        )
    if not outcome.finished:
        raise KeyboardInterrupt
    _finish(folder, material.valid, recipe.train, console)


def _finish(folder: Path, valid: Tokens, config: TrainConfig, console: Console) -> None:
    reports = read_log(folder / runs.LOG)
    stepped = [(report.step, report.loss) for report in reports if isinstance(report, Stepped)]
    evaluated = [report for report in reports if isinstance(report, Evaluated)]
    best = min(evaluated, key=lambda report: report.valid_loss)
    final = config.final_tokens
    read = valid if final is None else valid.part(0, min(len(valid), final + 1))
    model = hub.load(folder, device=machine.device(), dtype="float32").transformer
    with torch.autocast(machine.device(), torch.bfloat16, enabled=config.precision == "bfloat16"):
        score = score_of(model, read, window=config.window)
    share = "all" if len(read) == len(valid) else f"the first {score.tokens:,} of"
    console.print(
        f"kept the model of step {best.step:,}; on {share} {len(valid) - 1:,} validation tokens: "
        f"{score.loss:.4f} nats a token, {score.bits_per_byte:.4f} bits a byte"
    )
    curve = folder / "loss.svg"
    try:
        draw_curve(stepped, [(report.step, report.valid_loss) for report in evaluated], curve)
        console.print(f"loss curve: {curve}")
    except MissingExtraError as missing:
        console.print(f"no loss curve: {missing}")
    typer.echo(str(folder))


@contextmanager
def _resumable(folder: Path, console: Console) -> Generator[None]:
    """An interruption in the block ends the command with 130 and, when a state was saved, says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        state = saved(folder / runs.STATE)
        if state is None:
            console.print("stopped before the first step")
        else:
            console.print(f"stopped; saved after step {int(state.stem):,}; continue with")
            console.print(f"  {_resuming(folder)}")
        raise typer.Exit(130) from None
    except WriteError as fault:
        state = saved(folder / runs.STATE)
        if state is None:
            raise
        raise WriteError(f"{fault}; then continue after step {int(state.stem):,} with {_resuming(folder)}") from fault


def _resuming(folder: Path) -> str:
    return f"clearhead train --resume {shlex.quote(str(folder))}"


def _sample(model: Network, material: runs.Material) -> str:
    """What the model writes from the beginning of a text, or after a piece of one where nothing marks a beginning."""
    tokenizer, context = material.tokenizer, model.config.context
    sampling = replace(SAMPLE, max_tokens=max(1, min(SAMPLE.max_tokens, context - 1)))
    if tokenizer.separator is not None:
        return generate(model, tokenizer, [""], sampling)[0].text
    prompt = tokenizer.decode(material.valid.ids[: max(1, min(context, SAMPLED_FROM) // 2)])
    return str(generate(model, tokenizer, [prompt], sampling)[0])


def _console() -> Console:
    """Standard error, on which text stands as it is: nothing in it is markup, nothing is cut or wrapped."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
