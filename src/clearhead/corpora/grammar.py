"""A grammar of stories: rules written as plain text, compiled once, expanded thousands of times a second.

    - It [rained|snowed] all day.     [a|b] one of them; [a] a or nothing
    - <a_wind> blew[ hard].           <rule> another rule
    - {A} lost {A.his} {T}. ¶ It      {slot} and {slot.form} are filled from the cast; ¶ is a new line

    ~               a space and, one time in three, the rule ``pause``
    <bats^animal>   a word in one of its senses
    <where={box}>   a fact is told           <where?{box}>   it is recalled

Rules, plots and tables are in data files (notation.py). Within a story, a rule repeats an alternative only after it has
used all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Final, TypeAlias, TypeVar

from clearhead.corpora.notation import Section
from clearhead.corpora.story import OPEN, Story, mark
from clearhead.errors import nearest

Item = TypeVar("Item")
Draw: TypeAlias = Callable[[], float]  # a uniform number in [0, 1)

_TOKEN = re.compile(r"[\[\]|]|<[^<>]*>|[^\[\]|<>]+")
_NEW_LINE = re.compile(r"\s*¶\s*")
_FACT = re.compile(r"(\w+)([=?])(.*)")
_STORY = re.compile(r"story (?P<name>\w+) (?P<weight>[1-9]\d*)(?P<cast>(?: \w+=\w+)*)")
_UNFILLED = (KeyError, AttributeError, ValueError, IndexError)  # what str.format_map raises
_INDEX_BITS: Final = 48  # story i of seed s is drawn from Random(s * 2**48 + i)


class Word(str):
    """A name in a story, with its other forms as attributes, so that a rule can say ``{A.his}``."""

    def __new__(cls, text: str, **forms: str) -> Word:
        """The string ``text``, with each form as an attribute."""
        word = super().__new__(cls, text)
        word.__dict__.update(forms)
        return word


def capitalised(text: str) -> str:
    """The text with its first visible letter in upper case; skips marks."""
    body = 0
    while text.startswith(OPEN, body):
        body = text.index("\x02", body) + 1
    return text[:body] + text[body : body + 1].upper() + text[body + 1 :]


class Cast:
    """The people, places and things of one story while it is generated."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.slots: dict[str, str] = {}

    def one(self, items: Sequence[Item]) -> Item:
        """One item, uniformly."""
        return items[int(self.draw() * len(items))]

    def other(self, items: Sequence[str]) -> str:
        """An item not yet in any slot; any item if all are used."""
        first = int(self.draw() * len(items))
        taken = set(self.slots.values())
        free = (items[(first + step) % len(items)] for step in range(len(items)))
        return next((item for item in free if item not in taken), items[first])


Caster: TypeAlias = Callable[[Cast], str]


class Rule:
    """Named alternatives, each with a number unique in its grammar."""

    __slots__ = ("alternatives", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alternatives: tuple[tuple[int, Parts], ...] = ()


class Choice:
    """Inline alternatives, which may repeat within a story."""

    __slots__ = ("alternatives",)

    def __init__(self, alternatives: tuple[Parts, ...]) -> None:
        self.alternatives = alternatives


Parts: TypeAlias = "tuple[str | Choice | Rule, ...]"


class Plot(Rule):
    """A rule for a whole story, with the slots of its cast in the order they are filled."""

    __slots__ = ("cast",)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.cast: tuple[tuple[str, Caster], ...] = ()

    def fill(self, cast: Cast) -> None:
        """Draws everyone and everything in this plot."""
        for slot, caster in self.cast:
            cast.slots[slot] = caster(cast)


class Grammar:
    """Compiled rules and plots.

    sections   rules and plots from the data files
    made       generated rules: alternatives by name
    casters    functions that fill a slot, by the name used in a plot's first line
    lemmas     the dictionary form of each form of a word that has several senses
    senses     the senses of each such word
    space      what separates sentences: " ", or "" for Chinese

    Raises GrammarError, with file and line, for a rule that is missing or defined twice, an unbalanced bracket, or an
    unknown caster, word or sense.
    """

    def __init__(
        self,
        *,
        sections: Iterable[Section],
        made: Mapping[str, Sequence[str]],
        casters: Mapping[str, Caster],
        lemmas: Mapping[str, str],
        senses: Mapping[str, Collection[str]],
        space: str,
    ) -> None:
        self._casters, self._lemmas, self._senses, self._space = casters, lemmas, senses, space
        self._origins: list[tuple[Section, int]] = []  # section and line of each alternative, by its number
        self._scene = ""  # file and line of the alternative that is being compiled
        self.rules: dict[str, Rule] = {}
        self.plots: dict[str, Plot] = {}
        self._lots: list[Plot] = []  # each plot, repeated by its weight
        for name, choices in made.items():
            self._rule_of(Section("made", 0, name, [(0, choice) for choice in choices]))
        for section in sections:
            if section.head.startswith("story "):
                self._plot_of(section)
            else:
                self._rule_of(section)
        self._all_are_written()

    def story(self, seed: int, index: int) -> Story:
        """Story ``index`` of ``seed``: the same on every machine, independent of other indices."""
        cast = Cast(Random((seed << _INDEX_BITS) | index).random)
        return self.tell(cast.one(self._lots), cast)

    def tell(self, plot: Plot, cast: Cast) -> Story:
        """A story of this plot. Raises GrammarError naming the line that the drawn cast cannot fill."""
        plot.fill(cast)
        pieces: list[str] = []
        _expand((plot,), pieces, cast.draw, set())
        try:
            return Story(plot.name, "".join(pieces).format_map(cast.slots))
        except _UNFILLED:
            self._fill_all(plot, cast)
            raise

    def check(self) -> None:
        """Fills every text of every plot from a cast. Raises GrammarError naming the line that cannot be filled."""
        for plot in self.plots.values():
            cast = Cast(Random(0).random)
            plot.fill(cast)
            self._fill_all(plot, cast)

    def _fill_all(self, plot: Plot, cast: Cast) -> None:
        reached: set[Rule] = {plot}
        ahead: list[Rule] = [plot]
        while ahead:
            for number, parts in ahead.pop().alternatives:
                for part in _flat(parts):
                    if isinstance(part, str):
                        try:
                            part.format_map(cast.slots)
                        except _UNFILLED as error:
                            section, line = self._origins[number]
                            known = f"the cast of {plot.name!r} has {', '.join(cast.slots)}"
                            raise section.error(f"{part!r} cannot be filled ({error}); {known}", line) from error
                    elif part not in reached:
                        reached.add(part)
                        ahead.append(part)

    def _rule(self, name: str) -> Rule:
        return self.rules.setdefault(name, Rule(name))

    def _rule_of(self, section: Section) -> None:
        if not section.head.isidentifier():
            raise section.error(f"{section.head!r} is not a rule name; use letters, digits and _")
        self._define(self._rule(section.head), section)

    def _plot_of(self, section: Section) -> None:
        match = _STORY.fullmatch(section.head)
        if not match:
            raise section.error(f"{section.head!r} is not of the form 'story name weight A=child B=friend'")
        plot = self.plots.setdefault(match["name"], Plot(match["name"]))
        self._define(plot, section)
        self._lots += [plot] * int(match["weight"])
        pairs = [pair.split("=") for pair in match["cast"].split()]
        for _, by in pairs:
            if by not in self._casters:
                raise section.error(f"there is no caster {by!r}{nearest(by, self._casters)}")
        plot.cast = tuple((slot, self._casters[by]) for slot, by in pairs)

    def _define(self, rule: Rule, section: Section) -> None:
        if rule.alternatives:
            before, _ = self._origins[rule.alternatives[0][0]]
            raise section.error(f"rule {rule.name!r} is defined twice; first in {before.file}, line {before.line}")
        pause = f"[{self._space}<pause>||]{self._space}"
        compiled: list[tuple[int, Parts]] = []
        for line, text in section.entries:
            self._scene = f"{section.file}:{line}"
            tokens = _TOKEN.findall(_NEW_LINE.sub("\n", text).replace("~", pause))
            try:
                parts = self._sequence(tokens)
            except ValueError as error:
                raise section.error(f"{error} in {text!r}", line) from error
            if tokens:
                raise section.error(f"{tokens[0]!r} outside brackets in {text!r}", line)
            compiled.append((len(self._origins), parts))
            self._origins.append((section, line))
        rule.alternatives = tuple(compiled)

    def _sequence(self, tokens: list[str]) -> Parts:
        """Takes tokens up to a ``|`` or ``]``, which stays."""
        parts: list[str | Choice | Rule] = []
        while tokens and tokens[0] not in ("|", "]"):
            token = tokens.pop(0)
            if token == "[":
                part = self._choice(tokens)
            else:
                part = self._mark(token[1:-1]) if token.startswith("<") else token
            if isinstance(part, str) and parts and isinstance(parts[-1], str):
                parts[-1] += part
            else:
                parts.append(part)
        return tuple(parts)

    def _choice(self, tokens: list[str]) -> Choice:
        alternatives = [self._sequence(tokens)]
        while tokens and tokens[0] == "|":
            tokens.pop(0)
            alternatives.append(self._sequence(tokens))
        if not tokens:
            raise ValueError("a bracket is not closed")
        tokens.pop(0)
        return Choice(tuple(alternatives) if len(alternatives) > 1 else (alternatives[0], ()))

    def _mark(self, inside: str) -> str | Rule:
        if "^" in inside:
            form, _, sense = inside.partition("^")
            word = self._lemmas.get(form)
            if word is None or sense not in self._senses[word]:
                known = self._lemmas if word is None else self._senses[word]
                raise ValueError(
                    f"<{inside}> is not a known word and sense{nearest(form if word is None else sense, known)}"
                )
            return mark("s", f"{word}:{sense}:{self._scene}", form)
        if fact := _FACT.fullmatch(inside):
            key, sign, words = fact.groups()
            return mark("f" if sign == "=" else "r", key, words)
        return self._rule(inside)

    def _all_are_written(self) -> None:
        for rule in (*self.plots.values(), *self.rules.values()):
            for number, parts in rule.alternatives:
                for part in _flat(parts):
                    if isinstance(part, Rule) and not part.alternatives:
                        written = [name for name, other in self.rules.items() if other.alternatives]
                        section, line = self._origins[number]
                        raise section.error(f"there is no rule {part.name!r}{nearest(part.name, written)}", line)


def _flat(parts: Parts) -> Iterator[str | Rule]:
    """Texts and rules in order, including those inside choices."""
    for part in parts:
        if isinstance(part, Choice):
            for inner in part.alternatives:
                yield from _flat(inner)
        else:
            yield part


def _expand(parts: Parts, pieces: list[str], draw: Draw, used: set[int]) -> None:
    """Appends the strings of one random expansion; ``used`` has the numbers of alternatives already used."""
    for part in parts:
        if isinstance(part, str):
            pieces.append(part)
        elif isinstance(part, Choice):
            choices = part.alternatives
            _expand(choices[int(draw() * len(choices))], pieces, draw, used)
        else:
            alternatives = part.alternatives
            first = int(draw() * len(alternatives))
            serial, chosen = alternatives[first]
            if serial in used:
                fresh = [pair for pair in alternatives if pair[0] not in used]
                if not fresh:
                    used.difference_update(pair[0] for pair in alternatives)
                    fresh = alternatives
                serial, chosen = fresh[first % len(fresh)]
            used.add(serial)
            _expand(chosen, pieces, draw, used)
