"""One word in several sentences: how far apart its vectors are, and which words it attends to there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from clearhead.analysis.observe import observe
from clearhead.analysis.usage.contextual import contextual
from clearhead.analysis.usage.placing import Placed, Unit, place, units, word_places
from clearhead.analysis.usage.telling import unit
from clearhead.analysis.usage.uses import Use, find
from clearhead.errors import OptionError, TextError, many
from clearhead.language_model import LanguageModel, check_model
from clearhead.watching import BY_GRADIENT
from clearhead.watching.cells import Cells


@dataclass(frozen=True, kw_only=True)
class Read:
    """A word, mark or special token of the text, and the weight of the use on it.

    is_word: whether it has letters or digits; own: whether it is the use itself
    """

    label: str
    weight: float
    is_word: bool
    own: bool


@dataclass(frozen=True, kw_only=True)
class HeadReading:
    """What the use attends to in one head: all it sees, the largest weight first; of several tokens, the mean."""

    site: str
    layer: int
    head: int
    reads: tuple[Read, ...]

    @property
    def word(self) -> Read | None:
        """The other word with the largest weight; None if it sees no other word."""
        return next((each for each in self.reads if each.is_word and not each.own), None)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One use: where it is, its tokens, and what it attends to.

    first: whether no letter or digit of the text comes before it
    heads: by layer and head; none in a model without attention
    words: mean weight over all heads, the largest first
    """

    text: str
    start: int
    end: int
    tokens: tuple[str, ...]
    first: bool
    heads: tuple[HeadReading, ...]
    words: tuple[Read, ...]

    @property
    def marked(self) -> str:
        """The text, with the word in brackets."""
        return f"{self.text[: self.start]}[{self.text[self.start : self.end]}]{self.text[self.end :]}"

    @property
    def ranked(self) -> tuple[HeadReading, ...]:
        """The heads that attend to another word, by their weight on it, the largest first."""
        reading = [(each.word.weight, each) for each in self.heads if each.word is not None]
        return tuple(each for _, each in sorted(reading, key=lambda pair: -pair[0]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Senses:
    """One word in several sentences.

    levels: the sites where vectors were read: the stream before the first layer and after each
    distances: cosine distance between two uses, [level][use][use]
    others: mean cosine distance from the uses to the other words of their texts, by level, for scale; None where there
        are none
    vectors_LNE: the uses' vectors, float32 or wider
    control: a use in a sentence without the words that decide, to compare what heads attend to
    """

    model: str | None
    causal: bool
    word: str
    uses: tuple[Seen, ...]
    levels: tuple[str, ...]
    distances: tuple[tuple[tuple[float, ...], ...], ...]
    others: tuple[float | None, ...]
    vectors_LNE: Tensor
    control: Seen | None


def senses(model: LanguageModel, word: str, texts: Sequence[str], *, control: str | None = None) -> Senses:
    """Compares the vectors of a word in several texts layer by layer, and ranks what it attends to in each head.

    control: a sentence that has the word but not the words that decide its sense. A head that attends to *crashed* in
        one sentence and to *painted* in the control attends to verbs, not to senses.

    Raises TextError for a text without the word (every occurrence is a use) or fewer than two uses, OptionError for a
    control given to a model without attention, and as ``contextual`` does.
    """
    check_model(model, "senses")
    uses = [use for number, text in enumerate(texts) for use in find(word, text, name=f"sentence {number + 1}")]
    if len(uses) < 2:
        raise TextError(f"senses: {many(len(uses), 'use')} of {word!r}; give two sentences or more to compare")
    attends = any(site.attends for site in model.sites())
    if control is not None and not attends:
        raise OptionError(f"senses: this model has no attention, so a control has nothing to show; {BY_GRADIENT}")
    checked = find(word, control, name="the control")[0] if control is not None else None
    found = contextual(model, uses)
    units_LNE = unit(found.x_LNE)
    distances_LNN = (1 - units_LNE @ units_LNE.transpose(1, 2)).clamp(min=0)
    return Senses(
        model=model.name or None,
        causal=found.causal,
        word=word,
        uses=tuple(_seen(model, use, attends) for use in uses),
        levels=tuple(map(str, found.levels)),
        distances=tuple(tuple(map(tuple, rows)) for rows in distances_LNN.tolist()),
        others=_others(model, uses, found.x_LNE.shape[0]),
        vectors_LNE=found.x_LNE,
        control=None if checked is None else _seen(model, checked, attends),
    )


def _seen(model: LanguageModel, use: Use, attends: bool) -> Seen:
    placed = place(model, use.text)
    own = word_places(placed, use.start, use.end, f"senses: {use.word!r}")
    heads = _heads(model, use, placed, own) if attends else ()
    words = [
        Read(
            label=first.label,
            weight=sum(weights) / len(weights),
            is_word=first.is_word,
            own=first.own,
        )
        for first, weights in _by_unit(heads)
    ]
    return Seen(
        text=use.text,
        start=use.start,
        end=use.end,
        tokens=tuple(placed.labels[at] for at in own),
        first=not any(character.isalnum() for character in use.text[: use.start]),
        heads=tuple(_sorted(each) for each in heads),
        words=tuple(sorted(words, key=lambda each: -each.weight)),
    )


def _heads(model: LanguageModel, use: Use, placed: Placed, own: tuple[int, ...]) -> tuple[HeadReading, ...]:
    """Readings with their units in the order of the text."""
    record = observe(model, use.text)
    last = own[-1] + 1 if "next tokens" in model.network.abilities else len(placed.ids)
    seen = [each for each in units(use.text, placed) if each.places[0] < last]
    rows = slice(own[0], own[-1] + 1)
    found: list[HeadReading] = []
    for site in record.seen():
        (w_HQK,) = record.sweep(site, Cells(rows, slice(0, len(placed.ids))), rows=rows)
        w_HK = w_HQK[:, [at - own[0] for at in own]].mean(1)
        for head in range(len(w_HK)):
            found.append(
                HeadReading(
                    site=str(site),
                    layer=site.layer,
                    head=head,
                    reads=tuple(_read(each, w_HK[head], own) for each in seen),
                )
            )
    return tuple(found)


def _read(each: Unit, w_K: Tensor, own: tuple[int, ...]) -> Read:
    return Read(
        label=each.label,
        weight=float(w_K[list(each.places)].sum()),
        is_word=each.is_word,
        own=not set(each.places).isdisjoint(own),
    )


def _sorted(reading: HeadReading) -> HeadReading:
    reads = tuple(sorted(reading.reads, key=lambda each: -each.weight))
    return HeadReading(site=reading.site, layer=reading.layer, head=reading.head, reads=reads)


def _by_unit(heads: Sequence[HeadReading]) -> list[tuple[Read, list[float]]]:
    """Each unit with its weights in all heads."""
    if not heads:
        return []
    return [(heads[0].reads[at], [each.reads[at].weight for each in heads]) for at in range(len(heads[0].reads))]


def _others(model: LanguageModel, uses: Sequence[Use], levels: int) -> tuple[float | None, ...]:
    """Mean cosine distance of the uses to the other words of their texts, by level."""
    pairs: list[tuple[Use, Use]] = []
    for use in uses:
        placed = place(model, use.text)
        for each in units(use.text, placed):
            start, end = placed.spans[each.places[0]][0], placed.spans[each.places[-1]][1]
            if each.is_word and (end <= use.start or use.end <= start):
                pairs.append((use, Use(word=each.label, text=use.text, start=start, end=end)))
    if not pairs:
        return (None,) * levels
    both = [side for pair in pairs for side in pair]
    units_LNE = unit(contextual(model, both).x_LNE)
    return tuple((1 - (units_LNE[:, 0::2] * units_LNE[:, 1::2]).sum(-1)).mean(1).tolist())
