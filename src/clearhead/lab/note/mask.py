"""The mask: who sees whom, what a later word changes, and all places at once against one at a time."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead import corpora, machine
from clearhead.analysis import observe
from clearhead.analysis.given import read
from clearhead.analysis.slopes import Prediction
from clearhead.drawing.export import visible
from clearhead.drawing.legible import scientific
from clearhead.drawing.report import Bars, Heatmap, Paragraph, Report, Table
from clearhead.lab.note.bench import Bench
from clearhead.lab.note.experiment import Experiment, Phrases
from clearhead.lab.question import HELD_OUT
from clearhead.language_model import LanguageModel
from clearhead.model import evaluating
from clearhead.watching import TextRecord
from clearhead.watching.cells import Cells

PLACES = 256  # of the text that is read at once and one token at a time
REPEATS = 3
ROUNDING = 1e-4  # of the largest logit: those computed in other shapes agree within rounding


@dataclass(frozen=True, kw_only=True)
class MaskFound:
    """weights_TT: mean over all heads, None where the mask hides the key.

    gradients_TT: length of the gradient of the likeliest next token's log-probability at a place (row) with respect to
        the embedding at another (column), as a share of the row's longest
    later: the largest length at a later place, absolute
    changed, changed_last: largest change of a logit before, and at, the last place when the last token is replaced
    places: of the longer text; apart: largest difference of its logits at once and one at a time; size: of the largest
    at_once, one_by_one: seconds, median of REPEATS
    """

    model: str
    text: str
    tokens: tuple[str, ...]
    weights_TT: tuple[tuple[float | None, ...], ...]
    gradients_TT: tuple[tuple[float, ...], ...]
    later: float
    replaced_by: str
    changed: float
    changed_last: float
    places: int
    apart: float
    size: float
    at_once: float
    one_by_one: float


def run(bench: Bench) -> MaskFound:
    """Measures the mask of a model."""
    model, text = bench.model(), bench.texts.mask
    record = observe(model, text)
    ids, T = list(record.ids), len(record.ids)
    lengths_TT = _gradients(model, ids)
    later = max((lengths_TT[row][column] for row in range(T) for column in range(row + 1, T)), default=0.0)
    other = next(
        token
        for token in model.tokenizer.ordinary.nonzero()[0].tolist()
        if token not in ids and model.labels([token])[0].strip("·").isalpha()
    )
    changed, changed_last = _replaced(model, ids, other)
    longer = _longer(model, bench)
    apart, size, at_once, one_by_one = _both_ways(model, longer)
    return MaskFound(
        model=model.name or bench.setting.corpus,
        text=text,
        tokens=tuple(record.tokens),
        weights_TT=_weights(record, T),
        gradients_TT=tuple(tuple(value / (max(row) or 1.0) for value in row) for row in lengths_TT),
        later=later,
        replaced_by=model.labels([*ids[:-1], other])[-1],
        changed=changed,
        changed_last=changed_last,
        places=len(longer),
        apart=apart,
        size=size,
        at_once=at_once,
        one_by_one=one_by_one,
    )


def _weights(record: TextRecord, T: int) -> tuple[tuple[float | None, ...], ...]:
    """Mean over all heads of all layers; None where every head's mask hides the key."""
    total_TT, heads = torch.zeros(T, T), 0
    seen_TT = torch.zeros(T, T, dtype=torch.bool)
    whole = slice(0, T)
    for site in record.seen():
        (weights_HTT,) = record.sweep(site, Cells(whole, whole))
        total_TT += weights_HTT.sum(0)
        heads += len(weights_HTT)
        seen_TT |= torch.from_numpy(visible(record, site, 0))
    rows = (total_TT / heads).tolist()
    return tuple(
        tuple(value if seen else None for value, seen in zip(row, seen_T, strict=True))
        for row, seen_T in zip(rows, seen_TT.tolist(), strict=True)
    )


def _gradients(model: LanguageModel, ids: list[int]) -> list[list[float]]:
    """[place][token]: length of the gradient of the likeliest next token's log-probability."""
    rows: list[list[float]] = []
    given = read(model, ids, "lab")
    for place in range(len(ids)):
        prediction = Prediction(model, given, place)
        target = int(prediction.logits().argmax())
        _, gradient_1TE = prediction.slopes(prediction.embeddings()[None], target)
        rows.append(gradient_1TE[0].norm(dim=-1).tolist())
    return rows


def _replaced(model: LanguageModel, ids: list[int], other: int) -> tuple[float, float]:
    """The largest change of a logit before the last place, and at it, when the last token is another."""
    with torch.inference_mode(), evaluating(model.network):
        before_TV, after_TV = (
            model.network(torch.tensor([each], device=model.device))[0] for each in (ids, [*ids[:-1], other])
        )
    apart_T = (before_TV - after_TV).abs().amax(dim=-1)
    return float(apart_T[:-1].max()) if len(ids) > 1 else 0.0, float(apart_T[-1])


def _longer(model: LanguageModel, bench: Bench) -> list[int]:
    """Tokens of held-out stories."""
    ids: list[int] = []
    for story in corpora.get(bench.setting.corpus).stories(HELD_OUT):
        ids += model.tokenizer.encode(story.text)
        if len(ids) >= PLACES:
            break
    return ids[: min(PLACES, model.config.context)]


def _both_ways(model: LanguageModel, ids: list[int]) -> tuple[float, float, float, float]:
    """The largest difference of a logit between both ways, the largest logit, and the seconds of each way."""
    network = model.network
    ids_1T = torch.tensor([ids], device=model.device)

    def whole() -> Tensor:
        return network(ids_1T)

    def stepwise() -> Tensor:
        state = network.state(1, len(ids))
        return torch.cat([network(ids_1T[:, place : place + 1], state=state) for place in range(len(ids))], dim=1)

    with torch.inference_mode(), evaluating(network):
        logits_1TV = whole()
        apart, size = float((logits_1TV - stepwise()).abs().max()), float(logits_1TV.abs().max())
        return apart, size, machine.median_seconds(whole, REPEATS), machine.median_seconds(stepwise, REPEATS)


def report(found: MaskFound, says: Phrases) -> Report:
    """The findings in words and charts."""
    times = found.one_by_one / found.at_once
    rounds = ROUNDING * found.size
    holds = found.later == 0 and found.changed <= rounds < found.changed_last and found.apart <= rounds
    return Report(
        title=says("title"),
        claim=says("claim"),
        holds="yes" if holds else "no",
        verdict=says(
            "verdict" if holds else "refuted",
            later=f"{found.later:g}",
            changed=scientific(found.changed),
            apart=scientific(found.apart),
            times=f"{times:.1f}",
            places=found.places,
        ),
        blocks=(
            Paragraph(text=says("tokens", text=found.text, count=len(found.tokens), tokens=" · ".join(found.tokens))),
            Heatmap(
                title=says("weights"),
                down=says("query"),
                across=says("key"),
                rows=found.tokens,
                columns=found.tokens,
                values=found.weights_TT,
                note=says("weights_note"),
            ),
            Heatmap(
                title=says("gradients"),
                down=says("prediction"),
                across=says("embedding"),
                rows=found.tokens,
                columns=found.tokens,
                values=found.gradients_TT,
                note=says("gradients_note", later=f"{found.later:g}"),
            ),
            Table(
                title=says("checks"),
                header=says.listed("checks_header"),
                rows=(
                    (says("later"), f"{found.later:g}", says("zero")),
                    (says("replaced", token=found.replaced_by), scientific(found.changed), says("exact")),
                    (says("replaced_last"), f"{found.changed_last:.3f}", says("differs")),
                    (says("both_ways", places=found.places), scientific(found.apart), says("rounds")),
                ),
            ),
            Bars(
                title=says("speed", places=found.places),
                labels=(says("at_once"), says("one_by_one")),
                values=(1000 * found.at_once, 1000 * found.one_by_one),
                digits=1,
                note=says("speed_note", times=f"{times:.1f}"),
            ),
        ),
        repeat=(f"clearhead look {says('model')} {shlex.quote(found.text)} --out mask.html",),
    )


EXPERIMENT = Experiment(name="mask", needs=("model",), found=MaskFound, run=run, report=report)
