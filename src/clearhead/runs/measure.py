"""Chooses what a recipe leaves open: with minutes by measuring this machine, with steps from what is given."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from clearhead import machine, recipes
from clearhead.errors import ConfigError
from clearhead.model import ModelConfig
from clearhead.plain import from_dict, to_dict
from clearhead.recipes import Recipe, Table
from clearhead.runs.material import Material
from clearhead.runs.resolve import complete
from clearhead.runs.saying import Say
from clearhead.text import Pairs, Tokens
from clearhead.training import Objective, TrainConfig, check_memory, objective_of
from clearhead.training.budget import (
    SHORTEST,
    fastest_threads,
    measured_evaluation_tokens,
    plan_model,
    threads_by_size,
)
from clearhead.training.config import window_of
from clearhead.training.further import beginning, plan_further
from clearhead.training.shapes import kind_of


def measured(table: Table, material: Material, say: Say, used: float) -> Recipe:
    """The table's recipe, with everything it leaves open chosen, by measuring if the run is by minutes.

    ``used`` seconds of the run have passed. ``say`` receives each choice with its reason.
    """
    vocabulary = material.tokenizer.vocab_size
    model = {"vocabulary": vocabulary, **table["model"]}
    train = table["train"]
    if model["vocabulary"] < vocabulary:
        raise ConfigError(
            f"model.vocabulary is {model['vocabulary']:,}, but the tokenizer has {vocabulary:,} tokens; leave it out, "
            f"or set it to {vocabulary} or more"
        )
    # Fails now, before measuring, if the text is too short for one window.
    shortest = SHORTEST if "origin" in table else model.get("context", SHORTEST)
    config = from_dict(TrainConfig, train, "train.")
    pairs = material.config.layout != "text"
    objective = objective_of(config.masks, material.tokenizer, config.seed, pairs=pairs)
    objective.windows(material.train, context=train.get("window", shortest), batch=1, seed=0)
    if config.masks is not None:
        say(f"objective: {config.masks}, predicted from both sides")
    if "origin" in table:
        train = _further(table, material, objective, say, used)
    elif not complete(model):
        model, train = _chosen(model, train, material, objective, say, used)
    recipe = recipes.resolved({**table, "text": to_dict(material.config), "model": model, "train": train})
    check_memory(recipe.model, recipe.train)
    return replace(recipe, train=_fitted(recipe, train, objective, say, used))


def _chosen(
    model: Table, train: Table, material: Material, objective: Objective, say: Say, used: float
) -> tuple[Table, Table]:
    """Model and training for a run by minutes: the chosen ones, overridden by what was given."""

    def adapt(tried: ModelConfig) -> ModelConfig:
        return from_dict(ModelConfig, recipes.joined([to_dict(tried), model]), "model.")

    plan = plan_model(
        minutes=train["minutes"],
        used=used,
        vocabulary=material.tokenizer.vocab_size,
        tokens=read_tokens(material.train),
        valid=len(material.valid),
        threads=train.get("threads"),
        batch=train.get("batch"),
        precision=train.get("precision"),
        kind=kind_of(model),
        objective=objective,
        say=say,
        adapt=adapt,
    )
    for reason in plan.reasons:
        say(f"chosen: {reason}")
    return recipes.joined([to_dict(plan.model), model]), recipes.joined([to_dict(plan.train), train])


def _further(table: Table, material: Material, objective: Objective, say: Say, used: float) -> Table:
    """Settings for training a model further: measured (by minutes) or default (by steps), overridden by the table's."""
    model = from_dict(ModelConfig, table["model"], "model.")
    first = beginning(model, read_tokens(material.train))
    train = recipes.joined([{"window": first.window}, table["train"]])
    config = from_dict(TrainConfig, train, "train.")
    check_memory(model, from_dict(TrainConfig, {**train, "batch": 1}))
    if config.minutes is None:
        return recipes.joined([{"batch": first.batch}, train])
    plan = plan_further(
        model,
        minutes=config.minutes,
        used=used,
        window=window_of(config, model),
        tokens=read_tokens(material.train),
        valid=len(material.valid),
        threads=config.threads,
        batch=train.get("batch"),
        precision=config.precision,
        objective=objective,
        say=say,
    )
    for reason in plan.reasons:
        say(f"chosen: {reason}")
    return recipes.joined([to_dict(plan.train), train])


def read_tokens(data: Tokens | Pairs) -> int:
    """Tokens that a model reads in an epoch: of pairs, those of both sides."""
    return data.both if isinstance(data, Pairs) else len(data)


def _fitted(recipe: Recipe, given: Table, objective: Objective, say: Say, used: float) -> TrainConfig:
    """The recipe's training config, with threads, precision and (by minutes) evaluation sizes filled in."""
    train = recipe.train
    began = time.perf_counter()
    if train.threads is None:
        read = replace(recipe.model, context=window_of(train, recipe.model))
        # A run by steps must give the same bits whatever the clock says, so nothing is measured.
        by_size = train.minutes is None
        threads, reason = threads_by_size(read, train.batch) if by_size else fastest_threads(read, say, objective)
        say(f"chosen: {reason}")
        train = replace(train, threads=threads)
    torch.set_num_threads(train.threads or 1)
    if train.precision is None:
        half = machine.device() == "cuda" and machine.bfloat16_pays()
        train = replace(train, precision="bfloat16" if half else "float32")
        if half:
            say("chosen: bfloat16, as this runs on CUDA")
    if train.optimizer.kind == "muon" and train.optimizer.precision is None:
        measured = train.minutes is not None or machine.device() == "cuda"  # on CUDA the device alone decides
        precision = "bfloat16" if measured and machine.bfloat16_pays() else "float32"
        train = replace(train, optimizer=replace(train.optimizer, precision=precision))
    if train.minutes is not None and not {"evaluation_tokens", "final_tokens"} & given.keys():
        spent = used + time.perf_counter() - began
        each, last = measured_evaluation_tokens(recipe.model, train, used=spent, objective=objective)
        train = replace(train, evaluation_tokens=each, final_tokens=last)
        say(f"chosen: {each:,} validation tokens are read {train.evaluations} times, at most {last:,} at the end")
    return train
