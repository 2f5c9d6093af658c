"""Words as vectors: what lies close, whether differences agree, and what training changes."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from clearhead import corpora, runs
from clearhead.analysis import lexicon
from clearhead.drawing.report import Bars, Paragraph, Report, Table
from clearhead.lab.note.bench import Bench
from clearhead.lab.note.experiment import Experiment, Phrases
from clearhead.language_model import LanguageModel

NEAR = 5
AGREES = 0.3  # by how much the mean cosine of two differences of one relation is above that of wrong partners


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Analogy questions of a relation (or all) in one table; see ``lexicon.Tally``."""

    name: str
    asked: int
    right: float
    neighbour: float
    agreement: float | None
    shuffled: float | None


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Word vectors from one place. near: the words closest to the analogy's b; cosine: of b - a and answer - c

    lengths: of b - a and of answer - c; answers: the first answers to "a is to b as c is to ?"
    """

    name: str
    near: tuple[str, ...]
    cosines: tuple[float, ...]
    answers: tuple[str, ...]
    cosine: float
    lengths: tuple[float, ...]
    relations: tuple[Relation, ...]
    total: Relation


@dataclass(frozen=True, kw_only=True)
class VectorsFound:
    """What the experiment on word vectors found.

    analogy: a, b, c and the expected answer; width: numbers of a vector; words: candidate answers
    moved_table, moved_rest: how far training moved the embedding and all other weights, as a share of their size
    before; None for a model whose beginning is not known
    tables: "start" (before training), "model", and "counted" (PPMI and SVD on the same text)
    """

    model: str
    corpus: str
    analogy: tuple[str, ...]
    width: int
    words: int
    moved_table: float | None
    moved_rest: float | None
    tables: tuple[Vectors, ...]


def run(bench: Bench) -> VectorsFound:
    """Asks the analogies of the corpus before and after training, and of vectors counted from the same text."""
    model, corpus = bench.model(), corpora.get(bench.setting.corpus)
    questions = lexicon.of_pairs(corpora.analogies(bench.language))
    known = [word for each in questions.values() for four in each for word in four]
    counted = lexicon.count_words(
        model, [corpus.source(megabytes=bench.setting.megabytes)], [*bench.texts.analogy, *known]
    )
    start, moved_table, moved_rest = _before(bench, model)
    asked = [] if start is None else [("start", lexicon.words(start, among=counted.words))]
    asked += [("model", lexicon.words(model, among=counted.words)), ("counted", lexicon.ppmi(counted))]
    return VectorsFound(
        model=model.name or bench.setting.corpus,
        corpus=bench.setting.corpus,
        analogy=bench.texts.analogy,
        width=model.config.width,
        words=len(counted.words),
        moved_table=moved_table,
        moved_rest=moved_rest,
        tables=tuple(_asked(name, table, bench.texts.analogy, questions) for name, table in asked),
    )


def _before(bench: Bench, model: LanguageModel) -> tuple[LanguageModel | None, float | None, float | None]:
    """The model before training, if it was trained here, and how far its weights moved."""
    if bench.setting.model is not None:
        return None, None, None
    kept, _ = runs.kept(bench.folder_of("model"))
    start = kept[0].model
    before, after = start.network.state_dict(), model.network.state_dict()
    table = next(name for name, each in model.network.named_parameters() if each is model.network.embedding.weight)
    rest = [name for name, _ in model.network.named_parameters() if name != table]
    return start, _moved([before[table]], [after[table]]), _moved([before[n] for n in rest], [after[n] for n in rest])


def _moved(before: list[Tensor], after: list[Tensor]) -> float:
    """The length of the change over the length before, of all these weights as one vector."""
    change = sum(float((b.double() - a.double()).square().sum()) for a, b in zip(before, after, strict=True))
    return (change / sum(float(a.double().square().sum()) for a in before)) ** 0.5


def _asked(name: str, table: lexicon.Lexicon, analogy: tuple[str, ...], questions: lexicon.AnalogyQuestions) -> Vectors:
    a, b, c, answer = analogy
    near, score = table.nearest(b, NEAR), table.score(questions)
    first, second = (
        table.find(to).vector_E.double() - table.find(of).vector_E.double() for of, to in ((a, b), (c, answer))
    )
    return Vectors(
        name=name,
        near=tuple(each.word for each in near),
        cosines=tuple(each.cosine for each in near),
        answers=tuple(each.word for each in table.analogy(a, b, c, top=NEAR).answers),
        cosine=float(F.cosine_similarity(first, second, dim=0)),
        lengths=(float(first.norm()), float(second.norm())),
        relations=tuple(_relation(each) for each in score.relations if each.asked),
        total=_relation(score.total),
    )


def _relation(tally: lexicon.Tally) -> Relation:
    asked = max(1, tally.asked)
    return Relation(
        name=tally.relation,
        asked=tally.asked,
        right=tally.correct / asked,
        neighbour=tally.neighbour / asked,
        agreement=tally.agreement,
        shuffled=tally.shuffled,
    )


def report(found: VectorsFound, says: Phrases) -> Report:
    """The findings in words and charts."""
    tables = {each.name: each for each in found.tables}
    model, counted = tables["model"], tables["counted"]
    better = model.total.right > model.total.neighbour
    agree = (model.total.agreement or 0.0) - (model.total.shuffled or 0.0) >= AGREES
    a, b, c, answer = found.analogy
    names = {each.name: says(each.name) for each in found.tables}
    return Report(
        title=says("title"),
        claim=says("claim"),
        holds="yes" if better and agree else "partly" if better or agree else "open",
        verdict=says(
            "verdict",
            right=f"{model.total.right:.1%}",
            asked=f"{model.total.asked:,}",
            neighbour=f"{model.total.neighbour:.1%}",
            agreement=f"{model.total.agreement or 0:.2f}",
            shuffled=f"{model.total.shuffled or 0:.2f}",
            counted=f"{counted.total.right:.1%}",
        )
        + (
            ""
            if found.moved_table is None
            else says("moved", table=f"{found.moved_table:.1f}", rest=f"{found.moved_rest:.1f}")
        ),
        blocks=(
            Paragraph(text=says("how", width=found.width, words=f"{found.words:,}")),
            Table(
                title=says("score"),
                header=says.listed("score_header"),
                rows=tuple(
                    (
                        names[each.name],
                        f"{each.total.asked:,}",
                        f"{each.total.right:.1%}",
                        f"{each.total.neighbour:.1%}",
                        _cosine(each.total.agreement),
                        _cosine(each.total.shuffled),
                    )
                    for each in found.tables
                ),
                note=says("score_note"),
            ),
            Table(
                title=says("pair", a=a, b=b, c=c, answer=answer),
                header=says.listed("pair_header"),
                rows=tuple(
                    (
                        names[each.name],
                        f"{each.cosine:.3f}",
                        f"{each.lengths[0]:.2f}",
                        f"{each.lengths[1]:.2f}",
                        says.joined(each.answers),
                    )
                    for each in found.tables
                ),
                note=says("pair_note", a=a, b=b, c=c, answer=answer),
            ),
            *(
                Bars(
                    title=says("near", word=b, table=names[each.name]),
                    labels=each.near,
                    values=tuple(max(0.0, value) for value in each.cosines),
                )
                for each in found.tables
            ),
            Table(
                title=says("relations"),
                header=says.listed("relations_header"),
                rows=tuple(
                    (
                        says(f"relation {each.name}"),
                        f"{each.asked:,}",
                        f"{each.right:.1%}",
                        f"{each.neighbour:.1%}",
                        _cosine(each.agreement),
                    )
                    for each in model.relations
                ),
            ),
        ),
        repeat=(
            f"clearhead words {says('model_name')} analogy {shlex.join((a, b, c))}",
            f"clearhead words {says('model_name')} score --corpus {found.corpus}",
        ),
    )


def _cosine(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


EXPERIMENT = Experiment(name="vectors", needs=("model",), found=VectorsFound, run=run, report=report)
