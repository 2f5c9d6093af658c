"""Facts of the built-in worlds: how often a model predicts what the story has already told, by distance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from clearhead.corpora import Story
from clearhead.lab.bins import Bin, binned
from clearhead.language_model import LanguageModel
from clearhead.model import evaluating
from clearhead.text import covering, spans_of

FACT_KINDS = ("recall", "pronoun", "capital", "sum")
AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class FactScore:
    """How one kind of fact was predicted.

    asked: number of words. right: share of them of which every token was the likeliest, given all before it
    common: share of the asked words that are the most common one of their kind: the score of a guess without memory
    distances: share right, by tokens from the end of what told the fact; empty for sums, which nothing tells
    """

    kind: str
    asked: int
    right: float
    common: float
    distances: tuple[Bin, ...]


@dataclass(frozen=True, kw_only=True)
class _Answer:
    kind: str
    group: str
    word: str
    distance: int | None
    right: bool


def facts(model: LanguageModel, stories: Iterable[Story], count: int) -> tuple[FactScore, ...]:
    """Asks for the facts of the first ``count`` stories, in the order of ``FACT_KINDS``.

    Of a story longer than the model's context only the beginning is read, and only its facts are asked.
    """
    chosen = list(islice(stories, count))
    answers: list[_Answer] = []
    for first in range(0, len(chosen), AT_ONCE):
        answers += _answers(model, chosen[first : first + AT_ONCE])
    return tuple(
        _summed(kind, [each for each in answers if each.kind == kind])
        for kind in FACT_KINDS
        if any(each.kind == kind for each in answers)
    )


def _answers(model: LanguageModel, stories: Sequence[Story]) -> list[_Answer]:
    """The answers to the stories' facts. Padding on the right is seen by nothing before it."""
    context = model.config.context
    whole = [spans_of(model.tokenizer, story.text) for story in stories]
    tokens = [(ids[:context], spans[:context]) for ids, spans in whole]
    longest = max(len(ids) for ids, _ in tokens)
    padded_BT = torch.tensor([ids + ids[:1] * (longest - len(ids)) for ids, _ in tokens], device=model.device)
    with torch.no_grad(), evaluating(model.network):
        likeliest_BT = model.network(padded_BT).argmax(dim=-1).tolist()
    found: list[_Answer] = []
    for story, (ids, spans), likeliest in zip(stories, tokens, likeliest_BT, strict=True):
        read = max(end for _, end in spans)
        for truth in story.truth:
            if truth.kind not in FACT_KINDS:
                continue
            words = covering(spans, truth.start, truth.end)
            if not words or read < truth.end:  # beyond the context
                continue
            distance = None
            if truth.source is not None:
                distance = words[0] - covering(spans, *truth.source)[-1]
                if distance < 1:  # one token holds both
                    continue
            right = all(likeliest[place - 1] == ids[place] for place in words)
            group = truth.label if truth.kind == "recall" else ""
            found.append(_Answer(kind=truth.kind, group=group, word=truth.word, distance=distance, right=right))
    return found


def _summed(kind: str, answers: Sequence[_Answer]) -> FactScore:
    groups = Counter((each.group, each.word.lower()) for each in answers)
    most: dict[str, int] = {}
    for (group, _), count in groups.items():
        most[group] = max(most.get(group, 0), count)
    far = [each for each in answers if each.distance is not None]
    distances = binned(
        np.array([each.distance for each in far], dtype=np.int64), np.array([each.right for each in far], dtype=float)
    )
    return FactScore(
        kind=kind,
        asked=len(answers),
        right=sum(each.right for each in answers) / len(answers),
        common=sum(most.values()) / len(answers),
        distances=distances,
    )
