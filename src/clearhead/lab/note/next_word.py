"""The next word: its distribution after a text, what sampling does to it, and how good it is on held-out stories."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from dataclasses import dataclass
from itertools import islice

import torch

from clearhead import corpora
from clearhead.analysis import NextWords, next_words
from clearhead.drawing.report import Bars, Curve, Curves, Paragraph, Report, Table
from clearhead.lab.note.bench import Bench
from clearhead.lab.note.experiment import Experiment, Phrases
from clearhead.lab.question import HELD_OUT
from clearhead.language_model import LanguageModel
from clearhead.model import evaluating, log_probabilities

TOP = 10
TEMPERATURES = (0.5, 1.0, 2.0)
TOP_K, TOP_P = 3, 0.9
STORIES = 100  # held out, whose words are predicted
DOUBLING = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)  # tokens read before a prediction


@dataclass(frozen=True, kw_only=True)
class NextFound:
    """What the experiment on the next word found.

    tokens, probabilities: the likeliest after ``text``, best first
    tempered: by temperature; kept_k, kept_p, by_k, by_p: how many tokens a filter leaves, and their probabilities then
    predicted: tokens of the held-out stories; likeliest, among: share that was the likeliest, and among TOP
    nats: mean loss; by_frequency: the mean loss of the best guess that ignores the text, the tokens' own frequencies
    read, nats_read: tokens read before a prediction (from this number to the next), and the mean loss there
    """

    model: str
    text: str
    tokens: tuple[str, ...]
    probabilities: tuple[float, ...]
    tempered: tuple[tuple[float, ...], ...]
    kept_k: int
    kept_p: int
    by_k: tuple[float, ...]
    by_p: tuple[float, ...]
    predicted: int
    likeliest: float
    among: float
    nats: float
    by_frequency: float
    read: tuple[int, ...]
    nats_read: tuple[float, ...]


def run(bench: Bench) -> NextFound:
    """Predicts what comes after a text, and every token of held-out stories."""
    model, text = bench.model(), bench.texts.prompt
    plain = next_words(model, text, top=TOP)
    tempered = [next_words(model, text, top=TOP, temperature=each) for each in TEMPERATURES]
    by_k, by_p = next_words(model, text, top=TOP, top_k=TOP_K), next_words(model, text, top=TOP, top_p=TOP_P)
    nats, ranks, read, targets = _predictions(model, bench.setting.corpus)
    counts = Counter(targets)
    bins = [[n for n, seen in zip(nats, read, strict=True) if low <= seen < 2 * low] for low in DOUBLING]
    known = [(low, sum(each) / len(each)) for low, each in zip(DOUBLING, bins, strict=True) if each]
    return NextFound(
        model=model.name or bench.setting.corpus,
        text=text,
        tokens=tuple(each.label for each in plain.candidates),
        probabilities=tuple(each.probability for each in plain.candidates),
        tempered=tuple(map(_sampled, tempered)),
        kept_k=by_k.kept,
        kept_p=by_p.kept,
        by_k=_sampled(by_k),
        by_p=_sampled(by_p),
        predicted=len(nats),
        likeliest=sum(rank == 0 for rank in ranks) / len(ranks),
        among=sum(rank < TOP for rank in ranks) / len(ranks),
        nats=sum(nats) / len(nats),
        by_frequency=-sum(n * math.log(n / len(targets)) for n in counts.values()) / len(targets),
        read=tuple(low for low, _ in known),
        nats_read=tuple(mean for _, mean in known),
    )


def _sampled(found: NextWords) -> tuple[float, ...]:
    return tuple(each.sampled or 0.0 for each in found.candidates)


def _predictions(model: LanguageModel, corpus: str) -> tuple[list[float], list[int], list[int], list[int]]:
    """Of each token of the stories: its loss, how many tokens are likelier, how many were read, and its id."""
    nats: list[float] = []
    ranks: list[int] = []
    read: list[int] = []
    targets: list[int] = []
    with torch.inference_mode(), evaluating(model.network):
        for story in islice(corpora.get(corpus).stories(HELD_OUT), STORIES):
            ids = model.tokenizer.encode_document(story.text)[: model.config.context + 1]
            ids_1T = torch.tensor([ids], device=model.device)
            logprobs_TV = log_probabilities(model.network(ids_1T[:, :-1]))[0]
            own_T = logprobs_TV.gather(1, ids_1T[0, 1:, None])
            nats += (-own_T[:, 0]).tolist()
            ranks += (logprobs_TV > own_T).sum(1).tolist()
            read += range(1, len(ids))
            targets += ids[1:]
    return nats, ranks, read, targets


def report(found: NextFound, says: Phrases) -> Report:
    """The findings in words and charts."""
    holds = found.nats < found.by_frequency
    columns = (*found.tempered, found.by_k, found.by_p)
    return Report(
        title=says("title"),
        claim=says("claim"),
        holds="yes" if holds else "no",
        verdict=says(
            "verdict",
            share=f"{found.likeliest:.1%}",
            among=f"{found.among:.1%}",
            predicted=f"{found.predicted:,}",
            nats=f"{found.nats:.3f}",
            guess=f"{found.by_frequency:.3f}",
        ),
        blocks=(
            Bars(
                title=says("after", text=found.text),
                labels=found.tokens,
                values=found.probabilities,
                note=says("after_note", rest=f"{max(0.0, 1 - sum(found.probabilities)):.3f}"),
            ),
            Table(
                title=says("sampling"),
                header=(
                    says("token"),
                    *(says("temperature", value=f"{each:g}") for each in TEMPERATURES),
                    f"top-k {TOP_K}",
                    f"top-p {TOP_P:g}",
                ),
                rows=tuple(
                    (token, *(f"{column[at]:.3f}" for column in columns)) for at, token in enumerate(found.tokens)
                ),
                note=says("sampling_note", k=found.kept_k, p=found.kept_p),
            ),
            Curves(
                title=says("reading"),
                x=says("read"),
                y=says("nats"),
                curves=(
                    Curve(name=says("loss"), x=found.read, y=found.nats_read),
                    Curve(
                        name=says("frequency"),
                        x=(found.read[0], found.read[-1]),
                        y=(found.by_frequency, found.by_frequency),
                        level=True,
                    ),
                ),
                log=True,
                note=says("reading_note"),
            ),
            Paragraph(text=says("honest")),
        ),
        repeat=(
            f"clearhead next {says('model')} {shlex.quote(found.text)}",
            f"clearhead next {says('model')} {shlex.quote(found.text)} --temperature 2 --layers",
        ),
    )


EXPERIMENT = Experiment(name="next", needs=("model",), found=NextFound, run=run, report=report)
