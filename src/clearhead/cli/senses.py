"""``clearhead senses``: how the vector of a word differs between its uses, and how well it tells senses apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearhead.cli.models import Dtype, Model, Threads, load_model
from clearhead.cli.printing import columns, echo, message
from clearhead.language import mark, spoken
from clearhead.wrapping import filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clearhead.analysis.usage import HeadReading, Labelled, Senses, SenseScore


def senses(
    model: Model,
    word: Annotated[
        str | None, typer.Argument(help="The word. With labelled uses, only its own; without it, every word.")
    ] = None,
    sentence: Annotated[
        list[str] | None, typer.Argument(help="Sentences with the word, to compare its vectors in them.")
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            help="A sentence with the word but without the words that decide its sense: whatever a head "
            "also attends to there does not decide the sense."
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="Number of heads to show for each use.")] = 5,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", help="Labelled uses: a table with tabs, whose first line names the columns word, sense, sentence."
        ),
    ] = None,
    corpus: Annotated[
        str | None, typer.Option(help="Labelled uses from stories that no model is trained on: `world-en`, `world-zh`.")
    ] = None,
    unit: Annotated[
        str, typer.Option(help="What is read of a story around each use: its `sentence` or its `paragraph`.")
    ] = "sentence",
    stories: Annotated[int, typer.Option(help="Number of stories.")] = 5000,
    seed: Annotated[int, typer.Option(help="Random seed of the stories; models are trained on those of seed 0.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Also save a picture by layer, with the uses as points, or every number: a `.png`, `.svg`, `.html` or "
            "`.json` file.",
        ),
    ] = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Compare the vectors of a word in several sentences, layer by layer.

    With labelled uses (--file, --corpus), measure how well the vectors tell
    the senses apart: by the nearest labelled use, and by the nearest mean of
    the uses of a sense, next to guesses that read no sentence.
    """
    from clearhead import analysis
    from clearhead.drawing.draw_senses import check_senses_path, draw_senses
    from clearhead.errors import OptionError, many

    labelled = file is not None or corpus is not None
    if file is not None and corpus is not None:
        raise OptionError(f"--corpus {corpus}: a file of uses is given too; leave out one of them")
    if labelled and (sentence or control is not None):
        raise OptionError("senses: sentences and a control go with no --file or --corpus; leave out one of them")
    if not labelled and (word is None or not sentence):
        raise OptionError("senses: give a word and sentences with it, or labelled uses with --file or --corpus")
    if top < 1:
        raise OptionError.of("top", top, "at least 1")
    if out is not None:
        check_senses_path(out)
    uses = _labelled(word, file, corpus, unit, stories, seed) if labelled else []
    loaded = load_model(model, dtype, threads)
    if labelled:
        found, count = analysis.sense_score(loaded, uses), len(uses)
        _show_score(found)
    else:
        assert word is not None
        found = analysis.senses(loaded, word, sentence or [], control=control)
        count = len(found.uses)
        _show(found, top)
    if out is not None:
        draw_senses(found, out)
        message(f"{out}: {many(count, 'use')}")


def _labelled(
    word: str | None, file: Path | None, corpus: str | None, unit: str, stories: int, seed: int
) -> Sequence[Labelled]:
    from clearhead import corpora
    from clearhead.analysis.usage import read_uses
    from clearhead.errors import OptionError, TextError, nearest

    if file is not None:
        uses: Sequence[Labelled] = read_uses(file)
    else:
        assert corpus is not None
        if unit not in ("sentence", "paragraph"):
            raise OptionError(f"--unit {unit!r}: there is no such unit{nearest(unit, ('sentence', 'paragraph'))}")
        uses = corpora.usages(corpus, stories=stories, seed=seed, unit=unit)
    if word is None:
        return uses
    own = [use for use in uses if use.word == word]
    if not own:
        raise TextError(f"senses: no use of {word!r} is labelled{nearest(word, {use.word for use in uses})}")
    return own


def _show(found: Senses, top: int) -> None:
    from clearhead.analysis.usage import level_name

    echo(found.model + mark(": ") + found.word if found.model else found.word)
    for number, use in enumerate(found.uses, start=1):
        pieces = f"  ({len(use.tokens)} tokens, {' '.join(use.tokens)}: the mean of their vectors)"
        echo(f"{number}  {use.marked}{pieces if len(use.tokens) > 1 else ''}")
    pairs = [(one, other) for one in range(len(found.uses)) for other in range(one + 1, len(found.uses))]
    heads = [f"{one + 1} to {other + 1}" for one, other in pairs]
    table = [list(map(spoken, ("cosine distance", *heads, "other words")))]
    for level, rows, others in zip(found.levels, found.distances, found.others, strict=True):
        cells = [f"{rows[one][other]:.4f}" for one, other in pairs]
        table.append([spoken(level_name(level)), *cells, "-" if others is None else f"{others:.4f}"])
    echo()
    columns(table)
    echo()
    first = [str(number) for number, use in enumerate(found.uses, start=1) if use.first]
    if first and found.causal:
        echo(
            f"In {', '.join(first)} the word comes first. This model reads from left to right, so its vectors there "
            "are the same whatever follows: they cannot tell the sense."
        )
    if not found.uses[0].heads:
        message("this model has no attention, so there are no heads to show")
        return
    control = {} if found.control is None else {(each.layer, each.head): each for each in found.control.heads}
    for number, use in enumerate(found.uses, start=1):
        attended = ", ".join(f"{each.label} {each.weight:.3f}" for each in use.words)
        echo(f"{number} attends to, mean of {len(use.heads)} heads: {attended}")
        if not use.ranked:
            echo("   no other word")
        for each in use.ranked[:top]:
            beside = _beside(control[each.layer, each.head]) if control else ""
            word = each.word
            assert word is not None
            echo(f"   head {each.layer}.{each.head}  {word.weight:.3f} {word.label}{beside}")
    if found.control is None:
        message("a head may attend to verbs, say, and not to what decides the sense: compare with --control SENTENCE")


def _beside(each: HeadReading) -> str:
    word = each.word
    return "    control: no other word" if word is None else f"    control: {word.weight:.3f} {word.label}"


def _show_score(found: SenseScore) -> None:
    from clearhead.analysis.usage import level_name

    count, first = len(found.words), sum(found.first)
    of = f"{count:,} uses of {len(found.senses)} words in {sum(map(len, found.senses.values()))} senses"
    echo(f"{found.model}: {of}" if found.model else of)
    guess = found.majority
    for split in found.splits:
        echo()
        heads = [spoken(head) for head in ("nearest", "centroid")] * 2
        said, every = spoken(f"held out by {split.kind}"), spoken(f"all {count:,}")
        echo("  ".join((filled(said, 20), filled(every, 17, right=True), spoken(f"word first {first:,}"))))
        echo(f"{'':<20}  " + "  ".join(filled(head, 8, right=True) for head in heads))
        for name, nearest, centroid in [
            ("most frequent sense", guess, guess),
            *((_named(each.vectors, level_name(each.vectors)), each.nearest, each.centroid) for each in split.told),
        ]:
            shares = [found.accuracy(told, among) for among in (None, found.first) for told in (nearest, centroid)]
            cells = [f"{'-' if share is None else f'{share:.3f}':>8}" for share in shares]
            echo(f"{filled(spoken(name), 20)}  " + "  ".join(cells))
    if found.pieced:
        message(f"{found.pieced:,} uses have several tokens; their vectors are the means of their tokens'")
    spread = [value for value in found.spread if value is not None]
    if found.causal and first:
        same = f" (largest distance between two that begin alike: {max(spread):.0e})" if spread else ""
        message(
            f"where the word comes first, this model has read nothing else, so its vectors are equal whatever follows"
            f"{same}; what is right there comes from the word's form and place"
        )


def _named(vectors: str, level: str) -> str:
    return {"static": "static: the word", "around": "static: words seen"}.get(vectors, level)
