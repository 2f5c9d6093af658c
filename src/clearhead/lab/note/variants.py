"""Variants of one small Transformer, trained on the same tokens for as many steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clearhead.errors import OptionError
from clearhead.lab.note.bench import Bench
from clearhead.lab.trial import step_seconds
from clearhead.model import ModelConfig
from clearhead.plain import from_dict
from clearhead.recipes import Table
from clearhead.runs import RECIPE
from clearhead.runs.folder import reopen
from clearhead.training import Evaluated
from clearhead.training.budget import tokens_per_second

# A step of this takes 0.05 s on two cores: a minute is enough to see differences.
SHAPE: dict[str, Any] = {
    "context": 128,
    "layers": 2,
    "width": 128,
    "attention": {"heads": 4, "kv_heads": 4, "head_width": 32},
    "feed_forward": {"kind": "swiglu", "width": 352},
}
BATCH = 16
EVALUATIONS = 6
TRAIN: dict[str, Any] = {
    "batch": BATCH,
    "precision": "float32",
    "evaluations": EVALUATIONS,
    "evaluation_tokens": 20_000,
    "final_tokens": 50_000,
}
LEAST_STEPS = 20
TRAINING = 0.75  # fraction of the minutes for steps; the rest reads the text, evaluates and saves


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A trained variant. weights: without the embeddings; each: seconds of a step

    steps, losses: of the evaluations on held-out text, in nats a token; loss: of the saved model at the end
    """

    name: str
    weights: int
    each: float
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    loss: float


def trained(bench: Bench, prefix: str, tables: Mapping[str, Table], minutes: float) -> tuple[Variant, ...]:
    """Trains each variant, a table of settings of the model, for the same number of steps.

    The steps are as many as fit the minutes, by the time of a step of the first.
    """
    first = next(iter(tables))
    steps = _steps(bench, prefix, tables[first], first, minutes / len(tables))
    found: list[Variant] = []
    for number, (name, table) in enumerate(tables.items(), start=1):
        bench.events.say(f"run {number} of {len(tables)}: {name}, {steps:,} steps")
        asked = bench.asked(f"{prefix}-{name}", settings=_settings(table, steps), recipe="tiny")
        run = bench.run(f"{prefix}-{name}", asked)
        evaluated = [each for each in run.reports if isinstance(each, Evaluated)]
        found.append(
            Variant(
                name=name,
                weights=run.model.config.inner_parameters(),
                each=step_seconds(run.reports),
                steps=tuple(each.step for each in evaluated),
                losses=tuple(each.valid_loss for each in evaluated),
                loss=run.evaluation.loss,
            )
        )
    return tuple(found)


def _settings(table: Table, steps: int) -> Table:
    return {"model": {**SHAPE, **table}, "train": {**TRAIN, "steps": steps, "evaluations": min(EVALUATIONS, steps)}}


def _steps(bench: Bench, prefix: str, table: Table, name: str, minutes: float) -> int:
    """As many as fit the minutes; those of the first run, if a session that was stopped began it."""
    folder = bench.folder_of(f"{prefix}-{name}")
    if (folder / RECIPE).exists():
        recipe, _ = reopen(folder)
        assert recipe.train.steps is not None
        return recipe.train.steps
    config = from_dict(ModelConfig, {"vocabulary": bench.material().tokenizer.vocab_size, **SHAPE, **table})
    steps = int(60 * minutes * TRAINING * tokens_per_second(config, BATCH, "float32", 2) / (BATCH * config.context))
    if steps < LEAST_STEPS:
        need = bench.setting.minutes * LEAST_STEPS / max(1, steps)
        raise OptionError(
            f"minutes {bench.setting.minutes:g}: that leaves {steps} steps for each run of {prefix}, and {LEAST_STEPS} "
            f"are the least; give about {need * 1.1:.2g} minutes"
        )
    return steps
