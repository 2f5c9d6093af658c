"""Senses: one word in several meanings, what decides between them, and what a model that reads one way cannot know."""

from __future__ import annotations

import shlex
from collections import defaultdict
from dataclasses import dataclass

import torch

from clearhead import corpora
from clearhead.analysis import observe, sense_score, senses
from clearhead.analysis.usage import Senses, SenseScore
from clearhead.drawing.legible import scientific
from clearhead.drawing.report import Bars, Curve, Curves, Paragraph, Report, Table
from clearhead.lab.note.bench import Bench
from clearhead.lab.note.experiment import Experiment, Phrases
from clearhead.lab.question import HELD_OUT
from clearhead.language_model import LanguageModel
from clearhead.watching.cells import Cells

STORIES = 1200  # held out, whose uses are told apart
SPLIT = "scene"  # uses in a fold come from scenes that no reference comes from
READ = 60  # uses whose attention is measured

# Words that carry little meaning, of which the note expects little weight.
FUNCTION = {
    "en": frozenset(
        ["the", "a", "an", "of", "to", "and", "in", "on", "at", "it", "was", "is", "with", "for", "his", "her"]
    ),
    "zh": frozenset("的了是在着把被和就都也又还很"),
}


@dataclass(frozen=True, kw_only=True)
class SenseAccuracy:
    """Shares of uses whose sense is told right, by level from the embedding on, by the nearest labelled use.

    first: the same where the word comes first; None where no use does; static: by the word alone, majority: by its most
    frequent sense
    """

    name: str
    causal: bool
    levels: tuple[float, ...]
    first: tuple[float | None, ...]
    static: float
    majority: float


@dataclass(frozen=True, kw_only=True)
class StrongestHead:
    """A head that attends most to one word from a use, and what it attends to in the control."""

    use: int
    head: str
    word: str
    weight: float
    control: str
    control_weight: float


@dataclass(frozen=True, kw_only=True)
class SensesFound:
    """What the experiment on senses found.

    uses, words: of the held-out stories; told: by the causal model and the encoder
    word, sentences, control: the example; distances: between its two uses, by level, in each model
    ahead: two texts that begin with the word; ahead_apart: the distance of its vectors there, by model, last level
    readings: the causal model's heads that attend most to a word, by use
    function: mean weight that the uses' last token puts on function words, over the share it would be if all tokens it
    sees had the same weight; counted: in how many uses
    """

    causal: str
    encoder: str
    uses: int
    words: int
    told: tuple[SenseAccuracy, ...]
    word: str
    sentences: tuple[str, ...]
    control: str
    distances: tuple[tuple[float, ...], ...]
    ahead: tuple[str, ...]
    ahead_apart: tuple[float, ...]
    readings: tuple[StrongestHead, ...]
    function: float
    counted: int


def run(bench: Bench) -> SensesFound:
    """Tells the senses of the corpus's own words in both models, and looks at the example."""
    causal, encoder, texts = bench.model(), bench.encoder(), bench.texts
    uses = _enough(corpora.usages(bench.setting.corpus, stories=STORIES, seed=HELD_OUT))
    models = {"causal": causal, "encoder": encoder}
    scored = {name: sense_score(model, uses) for name, model in models.items()}
    beside = senses(causal, texts.word, texts.uses, control=texts.control)
    example = {"causal": beside, "encoder": senses(encoder, texts.word, texts.uses)}
    first = {name: senses(model, *_beginning(texts.ahead)) for name, model in models.items()}
    function, counted = _function_words(causal, [each.text for each in uses], bench.language)
    return SensesFound(
        causal=causal.name or bench.setting.corpus,
        encoder=encoder.name,
        uses=len(uses),
        words=len({each.word for each in uses}),
        told=tuple(_told(name, score) for name, score in scored.items()),
        word=texts.word,
        sentences=tuple(each.marked for each in example["causal"].uses),
        control=texts.control,
        distances=tuple(tuple(rows[0][1] for rows in each.distances) for each in example.values()),
        ahead=texts.ahead,
        ahead_apart=tuple(each.distances[-1][0][1] for each in first.values()),
        readings=tuple(_readings(beside)),
        function=function,
        counted=counted,
    )


def _enough(uses: list[corpora.Usage]) -> list[corpora.Usage]:
    """The uses of words that have two senses or more, each in two scenes or more."""
    scenes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for each in uses:
        scenes[each.word, each.sense].add(each.groups[SPLIT])
    known = {key for key, found in scenes.items() if len(found) >= 2}
    several = {word for word, _ in known if sum(other == word for other, _ in known) >= 2}
    return [each for each in uses if each.word in several and (each.word, each.sense) in known]


def _told(name: str, score: SenseScore) -> SenseAccuracy:
    split = next(each for each in score.splits if each.kind == SPLIT)
    told = {each.vectors: each for each in split.told}
    share = score.accuracy
    return SenseAccuracy(
        name=name,
        causal=score.causal,
        levels=tuple(share(told[level].nearest) or 0.0 for level in score.levels),
        first=tuple(share(told[level].nearest, score.first) for level in score.levels),
        static=share(told["static"].nearest) or 0.0,
        majority=share(score.majority) or 0.0,
    )


def _beginning(texts: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The word that both texts begin with, and the texts."""
    same = next(at for at, (a, b) in enumerate(zip(*texts, strict=False)) if a != b or not a.isalnum())
    return texts[0][:same], texts


def _readings(found: Senses) -> list[StrongestHead]:
    """Of each use, the three heads that put most weight on one other word."""
    assert found.control is not None
    beside = {(each.layer, each.head): each.word for each in found.control.heads}
    made: list[StrongestHead] = []
    for number, use in enumerate(found.uses, start=1):
        for each in use.ranked[:3]:
            assert each.word is not None
            control = beside[each.layer, each.head]
            made.append(
                StrongestHead(
                    use=number,
                    head=f"{each.layer}.{each.head}",
                    word=each.word.label,
                    weight=each.word.weight,
                    control="" if control is None else control.label,
                    control_weight=0.0 if control is None else control.weight,
                )
            )
    return made


def _function_words(model: LanguageModel, texts: list[str], language: str) -> tuple[float, int]:
    """Mean weight of a function word over that of another token, from the last place of each text, all heads.

    The first token, on which idle heads put their weight, and the last itself are left out of both.
    """
    weights = {True: [0.0, 0], False: [0.0, 0]}
    chosen = list(dict.fromkeys(texts))[:READ]
    for text in chosen:
        record = observe(model, text)
        T = len(record.tokens)
        last, whole = slice(T - 1, T), slice(0, T)
        heads = [record.sweep(site, Cells(last, whole), rows=last)[0][:, 0] for site in record.seen()]
        total_K = torch.cat(heads).mean(0)
        for label, weight in list(zip(record.tokens, total_K.tolist(), strict=True))[1:-1]:
            entry = weights[label.strip("·").lower() in FUNCTION[language]]
            entry[0] += weight
            entry[1] += 1
    function, other = (weights[each][0] / max(1, weights[each][1]) for each in (True, False))
    return function / other, len(chosen)


def report(found: SensesFound, says: Phrases) -> Report:
    """The findings in words and charts."""
    causal, encoder = found.told
    best = {each.name: max(each.levels) for each in found.told}
    tells = min(best.values()) > causal.majority and best["encoder"] > encoder.static
    holds = "open" if not tells else "yes" if found.function < 1 and causal.levels else "partly"
    if found.ahead_apart[0] < 1e-6 and holds == "yes":
        holds = "partly"  # the note's own example has the word first, which a causal model cannot tell
    names = {each.name: says(each.name) for each in found.told}
    levels = [float(at) for at in range(max(len(each.levels) for each in found.told))]
    ticks = ("e", *(str(layer) for layer in range(len(levels) - 1)))
    first = [each for each in found.told if any(value is not None for value in each.first)]
    return Report(
        title=says("title"),
        claim=says("claim"),
        holds=holds,
        verdict=says(
            "verdict",
            uses=f"{found.uses:,}",
            causal=f"{best['causal']:.1%}",
            encoder=f"{best['encoder']:.1%}",
            majority=f"{causal.majority:.1%}",
        )
        + says("first", apart=scientific(found.ahead_apart[0]), other=f"{found.ahead_apart[1]:.2f}")
        + says("little" if found.function < 1 else "not_little", times=f"{found.function:.2f}"),
        blocks=(
            Paragraph(text=says("how", uses=f"{found.uses:,}", words=found.words)),
            Curves(
                title=says("accuracy"),
                x=says("level"),
                y=says("share"),
                curves=(
                    *(
                        Curve(name=names[each.name], x=tuple(levels[: len(each.levels)]), y=each.levels)
                        for each in found.told
                    ),
                    *(
                        Curve(
                            name=says("word_first", model=names[each.name]),
                            x=tuple(levels[: len(each.first)]),
                            y=tuple(value or 0.0 for value in each.first),
                        )
                        for each in first
                    ),
                    Curve(name=says("majority"), x=(0.0, levels[-1]), y=(causal.majority, causal.majority), level=True),
                ),
                ticks=ticks,
                from_zero=True,
                note=says("accuracy_note"),
            ),
            Curves(
                title=says("distance", word=found.word),
                x=says("level"),
                y=says("cosine"),
                curves=tuple(
                    Curve(name=names[each.name], x=tuple(levels[: len(values)]), y=values)
                    for each, values in zip(found.told, found.distances, strict=True)
                ),
                ticks=ticks,
                from_zero=True,
                note=" / ".join(found.sentences),
            ),
            Table(
                title=says("ahead"),
                header=says.listed("ahead_header"),
                rows=tuple(
                    (names[each.name], scientific(apart) if apart < 1e-3 else f"{apart:.3f}")
                    for each, apart in zip(found.told, found.ahead_apart, strict=True)
                ),
                note=says("ahead_note", one=found.ahead[0], two=found.ahead[1]),
            ),
            Table(
                title=says("reads", word=found.word),
                header=says.listed("reads_header"),
                rows=tuple(
                    (
                        str(each.use),
                        each.head,
                        each.word,
                        f"{each.weight:.3f}",
                        f"{each.control} {each.control_weight:.3f}",
                    )
                    for each in found.readings
                ),
                note=says("reads_note", control=found.control),
            ),
            Bars(
                title=says("function"),
                labels=(says("function_word"), says("other_word")),
                values=(found.function, 1.0),
                digits=2,
                note=says("function_note", counted=found.counted),
            ),
        ),
        repeat=(
            f"clearhead senses {says('model')} {found.word} " + " ".join(map(shlex.quote, found.ahead)),
            f"clearhead senses {says('model')} --corpus CORPUS",
        ),
    )


EXPERIMENT = Experiment(name="senses", needs=("model", "encoder"), found=SensesFound, run=run, report=report)
