"""``clearhead words``: a model's words as vectors: neighbours, analogies, a score, a map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearhead.cli.models import Model, Threads
from clearhead.cli.printing import columns, echo, message, write_json
from clearhead.language import mark, spoken

if TYPE_CHECKING:
    from clearhead.analysis.lexicon import Analogy, AnalogyQuestions, AnalogyScore, Lexicon, Neighbour, Tally
    from clearhead.language_model import LanguageModel

ASKED = {"nearest": (1, "one word"), "analogy": (3, "three words: man woman king"), "score": (0, "no words")}


# Below this share of long words, most tokens are pieces: 0.16 in 1,024 tokens learned from a manual, 0.23 from stories.
FEW_WORDS = 0.2


def words(
    model: Model,
    asked: Annotated[str, typer.Argument(metavar="nearest|analogy|score", help="The question.")],
    word: Annotated[
        list[str] | None, typer.Argument(help="`nearest`: one word. `analogy`: three (man woman king).")
    ] = None,
    table: Annotated[
        str, typer.Option(help="`input` (the embedding) or `output` (the layer before the logits).")
    ] = "input",
    questions: Annotated[
        str | None,
        typer.Option(
            help="For `score`: a file with four words per line and lines `: relation` between them, as Google "
            "publishes them; or `world-en`, `world-zh`. By default, the world with more words that the model has."
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            help="A text whose words (found five times or more) can be answers. Vectors counted from it answer too."
        ),
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="A built-in text, instead of `--text`.")] = None,
    top: Annotated[int, typer.Option(help="Number of answers.")] = 10,
    map_to: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE",
            help="Also draw the words on a plane, by PCA and by t-SNE: a `.png` or `.html` file.",
        ),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Ask every model that the run folder keeps: the first, the best, the last.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per table.")] = False,
    threads: Threads = None,
) -> None:
    """Ask a model's word vectors: which are near, man is to woman as king is to ...?

    Candidates are the words that are one token or, with --text, those of a
    text. The score is shown next to that of the nearest neighbour,
    which uses no analogy.
    """
    from clearhead import corpora, hub, machine
    from clearhead.analysis import lexicon
    from clearhead.drawing import check_map
    from clearhead.errors import OptionError, nearest
    from clearhead.text import TextSource, sources

    given = word or []
    if asked not in ASKED:
        raise OptionError(f"words: there is no question {asked!r}{nearest(asked, ASKED)}")
    if len(given) != ASKED[asked][0]:
        raise OptionError(f"words {asked}: {len(given)} words were given; it takes {ASKED[asked][1]}")
    if "" in map(str.strip, given):
        raise OptionError(f"words {asked}: a word is empty; give words of the text the model has read")
    if top < 1:
        raise OptionError.of("top", top, "at least 1")
    if questions is not None and asked != "score":
        raise OptionError("--questions applies only to score")
    if text and corpus is not None:
        raise OptionError(f"--corpus {corpus}: a text is given too; leave out one of them")
    if run and map_to is not None:
        raise OptionError("--run: a map shows one model; leave out one of --run and --map")
    if map_to is not None:
        check_map(map_to)
        lexicon.check_maps()
    pools = lexicon.question_sets(questions) if asked == "score" else {}
    machine.use_threads(threads)
    models = _kept(Path(model)) if run else [("", hub.load(model, dtype="stored", text=True))]
    texts: list[TextSource] = [*sources(text)] if text else []
    if corpus is not None:
        texts.append(corpora.get(corpus).source())
    counted = lexicon.count_words(models[0][1], texts, [*given, *_words_of(pools)]) if texts else None
    among = None if counted is None else counted.words
    tables = [(heading, lexicon.words(each, table=table, among=among)) for heading, each in models]
    if counted is not None:
        tables.append(("counted from the text", lexicon.ppmi(counted)))
    if table == "output" and models[0][1].network.output is models[0][1].network.embedding:
        message("the output table is the input table: the two are tied")
    pool = _covered(pools, tables[0][1]) if asked == "score" else {}
    for _, each in tables:
        for each_word in given:
            each.find(each_word)  # fail before anything is printed
    _tell(tables[0][1], given)
    for heading, each in tables:
        _answer(heading, each, asked, given, pool, top, as_json)
    if asked != "score":
        _tell_pieces(tables[0][1])
    if map_to is not None:
        _draw(tables[0][1], asked, given, pool, top, map_to)


def _kept(folder: Path) -> list[tuple[str, LanguageModel]]:
    """The models of a run, each with a heading; reports which are missing."""
    from clearhead import runs
    from clearhead.errors import many

    models, missing = runs.kept(folder)
    if missing:
        message(
            f"{folder} keeps the model with the lowest validation loss and the last one, and those of --keep; those "
            f"of {many(len(missing), 'other evaluation')} were not kept, steps {', '.join(map(str, missing))}"
        )
    return [
        (
            f"step {each.step:,}" if each.loss is None else f"step {each.step:,} with {each.loss:.4f} nats a token",
            each.model,
        )
        for each in models
    ]


def _covered(pools: dict[str, AnalogyQuestions], table: Lexicon) -> AnalogyQuestions:
    """The pool with the largest share of questions that the table covers."""
    best = table.best_covered(pools)
    if len(pools) > 1:
        message(f"questions: {best} (--questions chooses others)")
    return pools[best]


def _words_of(pools: dict[str, AnalogyQuestions]) -> list[str]:
    return [word for pool in pools.values() for each in pool.values() for four in each for word in four]


def _tell(table: Lexicon, given: Sequence[str]) -> None:
    """Reports the tokens of each word, and which words can be answers."""
    for word in given:
        pieces = table.find(word).pieces
        if len(pieces) > 1:
            message(f"{word}: {len(pieces)} tokens ({' '.join(pieces)}); its vector is the mean of theirs")
    message(f"candidates: {table.among}")


def _tell_pieces(table: Lexicon) -> None:
    """Reports how few tokens are whole words, where they are few."""
    from clearhead.analysis.lexicon import CHARACTERS, LETTERS

    if table.vocabulary is None or table.long_words >= FEW_WORDS * table.vocabulary:
        return
    message(
        f"these answers are tokens, and most tokens here are pieces of words: {table.long_words:,} of "
        f"{table.vocabulary:,} ({table.long_words / table.vocabulary:.0%}) are words of at least {LETTERS} letters (in "
        f"Chinese, {CHARACTERS} characters); --text book.txt takes the answers from the words of a text instead"
    )


def _answer(
    heading: str, table: Lexicon, asked: str, given: Sequence[str], pool: AnalogyQuestions, top: int, as_json: bool
) -> None:
    """Prints what one table answers."""
    from dataclasses import asdict

    about = {"table": table.name, "heading": heading, "asked": asked, "words": list(given)}
    show: Callable[[], None]
    if asked == "nearest":
        near = table.nearest(given[0], top)
        found, show = {"nearest": [asdict(each) for each in near]}, lambda: _rows(near)
    elif asked == "analogy":
        analogy = table.analogy(*given, top=top)
        found, show = asdict(analogy), lambda: _show_analogy(analogy)
    else:
        score = table.score(pool)
        found, show = asdict(score) | {"total": asdict(score.total)}, lambda: _show_score(score)
    if as_json:
        write_json(about | found)
        return
    echo(spoken(heading) + mark(": ") + spoken(table.name) if heading else table.name)
    show()


def _show_analogy(found: Analogy) -> None:
    a, b, c, answer = found.a, found.b, found.c, found.answers[0].word
    echo(f"{a} : {b} = {c} : ?")
    _rows(found.answers)
    echo(f"with the question's own words allowed: {found.free[0].word}")
    echo(f"nearest to {c} without any analogy: {found.neighbours[0].word}")
    echo(f"cosine of the differences {b} - {a} and {answer} - {c}: {found.agreement:.3f}")


def _show_score(score: AnalogyScore) -> None:
    _table([*score.relations, score.total])
    if score.pieced:
        message(
            f"{score.pieced:,} words of the questions have several tokens; their vectors are means, and words that "
            "share tokens are close for that reason alone"
        )
    if not score.total.covered:
        message("no question is covered; --text adds words of several tokens, --questions chooses other questions")


def _rows(near: Sequence[Neighbour]) -> None:
    for each in near:
        echo(f"{each.cosine:8.4f}  {each.word}")


def _table(tallies: Sequence[Tally]) -> None:
    heads = map(spoken, ("relation", "questions", "covered", "asked", "right", "own words", "neighbour"))
    table = [[*heads, spoken("cosine"), spoken("shuffled")]]
    for each in tallies:
        counts = (each.correct, each.free, each.neighbour)
        shares = [f"{count / each.asked:.1%}" if each.asked else "-" for count in counts]
        cosines = ["-" if value is None else f"{value:.3f}" for value in (each.agreement, each.shuffled)]
        counted = (f"{each.questions:,}", f"{each.covered:,}", f"{each.asked:,}")
        table.append([spoken(each.relation), *counted, *shares, *cosines])
    columns(table)


def _draw(table: Lexicon, asked: str, given: Sequence[str], pool: AnalogyQuestions, top: int, path: Path) -> None:
    from clearhead.analysis import lexicon
    from clearhead.drawing import draw_words

    if asked == "score":
        drawn = lexicon.map_of_pairs(table, pool)
    else:
        found = table.nearest(given[0], top) if asked == "nearest" else table.analogy(*given, top=top).answers
        drawn = lexicon.map_of_answers(table, given, [each.word for each in found])
    draw_words(drawn, path)
    message(f"{path}: {len(drawn.words):,} words by PCA and by t-SNE")
