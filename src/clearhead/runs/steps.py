"""Connects the training loop to the run folder, samples and events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from clearhead import hub
from clearhead.encoding import refill
from clearhead.generation import Sampling, complete, has_scores, score, stream, translate
from clearhead.language_model import LanguageModel
from clearhead.plain import to_dict
from clearhead.recipes import Recipe
from clearhead.runs.events import Events
from clearhead.runs.material import Material
from clearhead.text import Pairs, Tokens
from clearhead.training import Hooks, MaskedTokens, NextTokens, Sample, TargetTokens, TrainingState, fit, objective_of

SAMPLED_FROM = 256  # tokens; the context of a released model can be a book long
REFILLED = 64  # tokens
TRANSLATED, SCORED = 3, 128  # sentences shown, and sentences that BLEU and chrF score
SAMPLE = Sampling(max_tokens=60, temperature=0.8, seed=0)


def train_in(
    folder: Path,
    recipe: Recipe,
    material: Material,
    model: LanguageModel,
    events: Events,
    *,
    state: TrainingState | None,
    used: float,
) -> None:
    """Trains the model, from scratch or from ``state``, and saves the best one in the folder.

    ``used`` seconds passed before the call. Raises KeyboardInterrupt, with the state saved, if asked to stop.
    """
    if recipe.train.threads is not None:
        torch.set_num_threads(recipe.train.threads)
    if (folder / hub.STEPS).is_dir():
        hub.forget_after(folder, 0 if state is None else state.progress.step)
    objective = objective_of(
        recipe.train.masks, material.tokenizer, recipe.train.seed, pairs=recipe.text.layout != "text"
    )
    with events.steps() as stop:
        hooks = Hooks(
            report=events.report,
            keep=keeper(folder, model),
            keep_step=lambda step: hub.keep_step(folder, model, step),
            sample=lambda: SAMPLES[objective.ability](model, material.valid),
            stop=stop,
        )
        outcome = fit(
            model.network,
            recipe.train,
            material.train,
            material.valid,
            folder=folder,
            hooks=hooks,
            objective=objective,
            state=state,
            used=used,
            settings=to_dict(recipe),
        )
    if not outcome.finished:
        raise KeyboardInterrupt


def keeper(folder: Path, model: LanguageModel) -> Callable[[int], None]:
    """A function that saves the model after a step in the run folder: everything at first, then only the weights."""
    whole = False

    def keep(step: int) -> None:
        nonlocal whole
        if whole:
            hub.save_weights(folder, model, step=step)
        else:
            hub.save(folder, model, step=step)
            whole = True

    return keep


def translated(model: LanguageModel, valid: Pairs) -> Sample:
    """Some of the validation pairs, translated greedily, and their scores if sacrebleu is installed."""
    pairs = valid.sentences(SCORED if has_scores() else TRANSLATED)
    made = translate(model, [source for source, _ in pairs], beams=1)
    shown = list(zip(pairs, made, strict=True))[:TRANSLATED]
    text = "\n".join(f"{source} -> {found}" for (source, _), found in shown)
    if not has_scores():
        return Sample(text=text)
    scores = score([str(found) for found in made], [target for _, target in pairs])
    return Sample(text=text, bleu=scores.bleu, chrf=scores.chrf)


def written(model: LanguageModel, valid: Tokens) -> Sample:
    """Text generated from scratch, or after a piece of the validation text if no token marks the start of a text."""
    tokenizer, context = model.tokenizer, model.config.context
    sampling = replace(SAMPLE, max_tokens=max(1, min(SAMPLE.max_tokens, context - 1)))
    if tokenizer.separator is not None:
        return Sample(text=complete(model, "", list(stream(model, [""], sampling))).text)
    prompt = tokenizer.decode(valid.ids[: max(1, min(context, SAMPLED_FROM) // 2)])
    return Sample(text=str(complete(model, prompt, list(stream(model, [prompt], sampling)))))


def filled(model: LanguageModel, valid: Tokens) -> Sample:
    """The beginning of the validation text with some of its tokens masked and filled in again."""
    return Sample(text=refill(model, [int(token) for token in valid.ids[: min(model.config.context, REFILLED)]]))


# The sample of a report, by what the model predicts.
SAMPLES: dict[str, Callable[[LanguageModel, Any], Sample]] = {
    NextTokens.ability: written,
    MaskedTokens.ability: filled,
    TargetTokens.ability: translated,
}
