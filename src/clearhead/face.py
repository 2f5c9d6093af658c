"""What the package offers on a loaded model: siblings that do not know one another are joined here."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from torch import Tensor

from clearhead import analysis, drawing, encoding, generation
from clearhead.errors import FolderError
from clearhead.hub import LanguageModel
from clearhead.watching import Edit, Record, TextRecord

log = logging.getLogger(__name__)


def observe(model: LanguageModel, text: str, *, pair: str | None = None, edits: Sequence[Edit] = ()) -> TextRecord:
    """One watched pass over ``text``: ``record[layer, head]`` is an attention map of shape (T, T).

    ``pair`` is a second text that an encoder reads with the first. Raises TextError when the text is empty, cannot be
    encoded, or is longer than the model's context.
    """
    record = analysis.observe(model.transformer, model.tokenizer, text, pair=pair, edits=edits)
    record.record.model = model.name
    return record


def draw(record: Record | TextRecord, path: str | Path, **options: Any) -> drawing.Focus:
    """Draws a record into a .png, .svg, .html or .json file; returns which head and row it shows large.

    ``options`` and errors are those of ``clearhead.drawing.draw``. A record of ``watch`` does not know its model's
    name: give it as ``model``.
    """
    return drawing.draw(record, Path(path), **options)


@overload
def generate(model: LanguageModel, prompt: str, **sampling: Any) -> generation.Completion: ...
@overload
def generate(model: LanguageModel, prompt: list[str], **sampling: Any) -> list[generation.Completion]: ...
def generate(
    model: LanguageModel, prompt: str | list[str], **sampling: Any
) -> generation.Completion | list[generation.Completion]:
    """Goes on writing after a prompt, or after each of several; ``sampling`` are the fields of ``Sampling``.

    What is not named is as the model's generation_config.json has it, which is logged. ``print(ch.generate(...))``
    shows prompt and text. Raises OptionError for a value out of range, TextError for a prompt that is longer than the
    context.
    """
    prompts = [prompt] if isinstance(prompt, str) else prompt
    chosen, ends = settled(model, sampling)
    completions = generation.generate(model.transformer, model.tokenizer, prompts, chosen, ends=ends)
    return completions[0] if isinstance(prompt, str) else completions


def fill(model: LanguageModel, text: str, *, top: int = 5) -> list[encoding.Filling]:
    """The ``top`` likeliest tokens, with probabilities, for each mask of a text; for encoders.

    Raises OptionError for a model that does not predict masked tokens, TextError for a text without a mask.
    """
    return encoding.fill(model.transformer, model.tokenizer, text, top=top)


@overload
def vectors(model: LanguageModel, texts: str) -> Tensor: ...
@overload
def vectors(model: LanguageModel, texts: list[str]) -> Tensor: ...
def vectors(model: LanguageModel, texts: str | list[str]) -> Tensor:
    """vectors_NE, one row for each text, or vector_E of one text, in float32 or wider.

    Pooled as the files beside the model say that sentence-transformers writes; where there are none, the mean of the
    text's hidden states, the special tokens counted. Raises TextError for a text longer than the model's context,
    FolderError where the files ask for a step that is not known.
    """
    if model.papers.unpooled is not None:
        raise FolderError(model.papers.unpooled)
    listed = [texts] if isinstance(texts, str) else texts
    found_NE = encoding.vectors(model.transformer, model.tokenizer, listed, model.papers.pooling)
    return found_NE[0] if isinstance(texts, str) else found_NE


def settled(model: LanguageModel, chosen: Mapping[str, Any]) -> tuple[generation.Sampling, frozenset[int]]:
    """The settings chosen over those of the model's folder, and the ids that end its texts; logs what comes from it."""
    papers = model.papers
    found = generation.defaults(
        papers.generation, papers.ids, model.tokenizer, context=model.config.context, folder=model.folder
    )
    for note in found.notes(chosen):
        log.info(note)
    return found.sampling_with(chosen), found.ends
