"""A comparison as tables for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from clearhead.errors import many
from clearhead.lab.bins import Bin
from clearhead.lab.comparison import Comparison
from clearhead.lab.speeds import Speed
from clearhead.lab.summary import BUDGETS, Line, Spread, lines
from clearhead.language import spoken

WIDTH = 200  # cells that the widest table may take


class ComparisonTable:
    """A rich renderable: the losses, then what was measured besides."""

    def __init__(self, found: Comparison) -> None:
        self._found, self._lines = found, lines(found)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.update(max_width=max(WIDTH, options.max_width))  # a narrow terminal wraps; nothing is cut
        for part in self._parts():
            yield from console.render(part, wide)

    def _parts(self) -> Iterator[Table | Text]:
        question = self._found.question
        tell = _recall if question.recall is not None else _translations if question.pairs else _losses
        for at, name in BUDGETS.items():
            rows = [line for line in self._lines if line.at == at]
            if rows:
                yield from _titled(f"At {name}", tell(rows))
        rows = [line for line in self._lines if line.at == "tokens"]
        if any(line.places for line in rows):
            yield from _titled(
                "Loss by tokens seen before, at equal tokens", _binned(rows, lambda line: line.places, "{:.3f}")
            )
        if any(line.lengths for line in rows):
            yield from _titled(
                "BLEU by tokens of the source, at equal tokens", _binned(rows, lambda line: line.lengths, "{:.1f}")
            )
        if any(line.recalled for line in rows):
            yield from _titled(
                "Answers right, by distance in tokens, at equal tokens",
                _binned(rows, lambda line: line.recalled, "{:.1%}"),
            )
        if any(line.facts for line in rows):
            yield from _titled("Facts of held-out stories predicted, at equal tokens", _facts(rows))
            for kind in dict.fromkeys(each.kind for line in rows for each in line.facts if each.distances):
                yield from _titled(
                    f"{spoken(kind)}: predicted, by distance in tokens, at equal tokens",
                    _binned(rows, lambda line, kind=kind: line.distances(kind), "{:.1%}"),
                )
        if self._found.speeds:
            yield from _speeds(self._found.speeds)
        for note in self._notes():
            yield Text(spoken(note), "dim")

    def _notes(self) -> Iterator[str]:
        question = self._found.question
        if question.seeds > 1:
            yield f"Mean of {question.seeds} seeds; ± is half the distance from the lowest to the highest."
        if any(line.edge for line in self._lines):
            rates = ", ".join(f"{rate:g}" for rate in question.rates)
            yield f"rate*: the lowest or highest of the sweep ({rates}), so a better one may lie outside."
        if question.recall is not None:
            pairs = question.recall.pairs
            yield f"Guessing one of the row's {many(pairs, 'value')} would be right in {1 / pairs:.1%}."
        if question.pairs:
            count = max((sum(each.count for each in line.lengths) for line in self._lines), default=0)
            pairs = count // question.seeds
            yield f"BLEU, chrF and tokens written a second: of {many(pairs, 'validation pair')}, translated greedily."
        reach: dict[str, int] = {}
        for line in self._lines:
            if line.reach is not None:
                reach[line.model] = max(line.reach, reach.get(line.model, 0))
        for name, most in reach.items():
            yield f"A prediction of {name} depends on at most the last {most:,} tokens."
        diverged = sum(line.diverged for line in self._lines if line.at == "tokens")
        if diverged:
            yield f"{many(diverged, 'run')} at equal tokens diverged and are in no mean."
        yield f"Measured on {self._found.machine}, with {many(self._found.threads, 'thread')}."


def _titled(title: str, table: Table) -> Iterator[Table | Text]:
    yield Text(spoken(title), "bold")
    yield table
    yield Text()


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    return table


def _named(line: Line, rows: Sequence[Line]) -> str:
    """The model, and the width if there are several."""
    return line.model if len({each.width for each in rows}) == 1 else f"{line.model} {line.width}"


def _told(figure: Spread | None, digits: int = 3) -> str:
    return spoken("diverged") if figure is None else figure.told(digits)


def _rate(line: Line) -> str:
    return f"{line.rate:g}{'*' if line.edge else ''}"


def _losses(rows: Sequence[Line]) -> Table:
    table = _table(*map(spoken, ("model", "weights", "rate", "tokens", "seconds", "nats a token", "bits a byte")))
    for line in rows:
        table.add_row(
            _named(line, rows),
            f"{line.weights:,}",
            _rate(line),
            f"{line.tokens:,}",
            _told(line.seconds, 0),
            _told(line.loss),
            _told(line.bits_per_byte),
        )
    return table


def _translations(rows: Sequence[Line]) -> Table:
    names = ("model", "weights", "rate", "tokens", "seconds", "nats a token", "BLEU", "chrF", "written a second")
    table = _table(*map(spoken, names))
    for line in rows:
        table.add_row(
            _named(line, rows),
            f"{line.weights:,}",
            _rate(line),
            f"{line.tokens:,}",
            _told(line.seconds, 0),
            _told(line.loss),
            _told(line.bleu, 1),
            _told(line.chrf, 1),
            _told(line.translated, 0),
        )
    return table


def _recall(rows: Sequence[Line]) -> Table:
    table = _table(*map(spoken, ("model", "weights", "rate", "tokens", "seconds", "nats an answer", "right, %")))
    for line in rows:
        percent = line.accuracy and Spread(
            mean=100 * line.accuracy.mean, half=100 * line.accuracy.half, count=line.accuracy.count
        )
        table.add_row(
            _named(line, rows),
            f"{line.weights:,}",
            _rate(line),
            f"{line.tokens:,}",
            _told(line.seconds, 0),
            _told(line.loss),
            _told(percent, 1),
        )
    return table


def _binned(rows: Sequence[Line], bins: Callable[[Line], Sequence[Bin]], form: str) -> Table:
    labels = {each.low: each.label for line in rows for each in bins(line)}
    table = _table(spoken("model"), *(labels[low] for low in sorted(labels)))
    counts = {each.low: each.count for line in rows for each in bins(line)}
    table.add_row(spoken("cases"), *(f"{counts[low]:,}" for low in sorted(labels)), style="dim")
    for line in rows:
        means = {each.low: form.format(each.mean) for each in bins(line)}
        table.add_row(_named(line, rows), *(means.get(low, "-") for low in sorted(labels)))
    return table


def _facts(rows: Sequence[Line]) -> Table:
    first = next(line.facts for line in rows if line.facts)
    table = _table(spoken("model"), *(f"{spoken(each.kind)} ({each.asked:,})" for each in first))
    table.add_row(spoken("most common word"), *(f"{each.common:.1%}" for each in first), style="dim")
    for line in rows:
        table.add_row(_named(line, rows), *(f"{each.right:.1%}" for each in line.facts))
    return table


def _speeds(speeds: Sequence[Speed]) -> Iterator[Table | Text]:
    figures: dict[str, Callable[[Speed], str]] = {
        "Training, tokens a second by length": lambda each: f"{each.training:,.0f}",
        "Training, peak memory in MB by length": lambda each: f"{each.training_bytes / 1e6:,.0f}",
        "Generating, tokens a second, by length so far": lambda each: f"{each.generating:,.0f}",
        "Generating, state in MB, by length so far": lambda each: f"{each.state_bytes / 1e6:,.2f}",
    }
    lengths = sorted({each.length for each in speeds})
    for title, figure in figures.items():
        table = _table(spoken("model"), *(f"{length:,}" for length in lengths))
        for name in dict.fromkeys(each.kind for each in speeds):
            known = {each.length: figure(each) for each in speeds if each.kind == name}
            table.add_row(name, *(known.get(length, "-") for length in lengths))
        yield from _titled(title, table)
