"""A grammar of stories: rules written as plain text, compiled once, expanded thousands of times a second.

    weather                          a rule: its name, then its alternatives, one per "- ";
    - It [rained|snowed] all day.    a line that starts with spaces continues the one before
    - <a_wind> blew[ hard].          [a|b] one of them; [a] a or nothing; <rule> another rule

    story walk 3 A=child T=toy       a plot, its weight, and who and what is in it
    - <when>, {A} lost {A.his} {T}.  {slot} and {slot.form} are filled from the cast; ¶ is a new line

    ~               a space and, once in three times, the rule ``pause``
    <bats^animal>   a word in one of its senses
    <where={box}>   a fact is told           <where?{box}>   it is recalled

Within one story no rule gives the same alternative twice before all of them were used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Final, TypeAlias, TypeVar

from clearhead.corpora.story import OPEN, Story, mark

Item = TypeVar("Item")
Draw: TypeAlias = Callable[[], float]  # a uniform number in [0, 1)

_TOKEN = re.compile(r"[\[\]|]|<[^<>]*>|[^\[\]|<>]+")
_INDEX_BITS: Final = 48  # story i of seed s is drawn from Random(s * 2**48 + i)


class Word(str):
    """A name in a story that carries its other forms as attributes, so that a rule can say ``{A.his}``."""

    def __new__(cls, text: str, **forms: str) -> Word:
        """The string ``text``, with every form as an attribute of the same name."""
        word = super().__new__(cls, text)
        word.__dict__.update(forms)
        return word


def words(text: str) -> tuple[str, ...]:
    """The words of a text, for lists too long to quote word by word."""
    return tuple(text.split())


def capitalised(text: str) -> str:
    """The text with its first visible letter in upper case, marks left as they are."""
    body = 0
    while text.startswith(OPEN, body):
        body = text.index("\x02", body) + 1
    return text[:body] + text[body : body + 1].upper() + text[body + 1 :]


class Cast:
    """The people, places and things of one story while it is being drawn."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.slots: dict[str, str] = {}

    def one(self, items: Sequence[Item]) -> Item:
        """One item, uniformly."""
        return items[int(self.draw() * len(items))]

    def other(self, items: Sequence[str]) -> str:
        """One item that is in no slot yet; of items that are all in use, any."""
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
    """Alternatives written in place, which may repeat within a story."""

    __slots__ = ("alternatives",)

    def __init__(self, alternatives: tuple[Parts, ...]) -> None:
        self.alternatives = alternatives


Parts: TypeAlias = "tuple[str | Choice | Rule, ...]"


class Plot(Rule):
    """A rule that is a whole story, with the slots of its cast in the order in which they are filled."""

    __slots__ = ("cast",)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.cast: tuple[tuple[str, Caster], ...] = ()


class Grammar:
    """Compiled rules and plots.

    texts     rules and plots in the notation above
    lexicon   word lists by rule name, for words that need no slot
    casters   functions that fill a slot, by the name used in a plot's first line
    lemmas    the dictionary form of every form of a word that has several senses
    space     what joins a continued line: " ", or "" for Chinese

    A rule that is named but nowhere written, or written twice, raises ValueError.
    """

    def __init__(
        self,
        *,
        texts: Iterable[str],
        lexicon: Mapping[str, Sequence[str]],
        casters: Mapping[str, Caster],
        lemmas: Mapping[str, str],
        space: str,
    ) -> None:
        self._casters, self._lemmas, self._space = casters, lemmas, space
        self._serial = 0
        self.rules: dict[str, Rule] = {}
        self.plots: dict[str, Plot] = {}
        self._lots: list[Plot] = []  # every plot as often as its weight says
        for name, choices in lexicon.items():
            self._define(self._rule(name), choices)
        for text in texts:
            self._read(text)
        empty = [name for name, rule in self.rules.items() if not rule.alternatives]
        if empty:
            raise ValueError(f"rules named but not written: {', '.join(sorted(empty))}")

    def story(self, seed: int, index: int) -> Story:
        """Story ``index`` of ``seed``: the same on every machine, independent of every other index."""
        cast = Cast(Random((seed << _INDEX_BITS) | index).random)
        return self.tell(cast.one(self._lots), cast)

    def tell(self, plot: Plot, cast: Cast) -> Story:
        """One story of this plot, its cast drawn first."""
        for slot, caster in plot.cast:
            cast.slots[slot] = caster(cast)
        pieces: list[str] = []
        _expand((plot,), pieces, cast.draw, set())
        return Story(plot.name, "".join(pieces).format_map(cast.slots))

    def _rule(self, name: str) -> Rule:
        return self.rules.setdefault(name, Rule(name))

    def _read(self, text: str) -> None:
        for block in re.split(r"\n\s*\n", text.strip("\n")):
            head, *lines = block.split("\n")
            alternatives: list[str] = []
            for line in lines:
                if line.startswith("- "):
                    alternatives.append(line[2:].strip())
                else:
                    alternatives[-1] += self._space + line.strip()
            if head.startswith("story "):
                _, name, weight, *cast = head.split()
                plot = self.plots.setdefault(name, Plot(name))
                plot.cast = tuple((slot, self._casters[by]) for slot, by in (pair.split("=") for pair in cast))
                self._lots += [plot] * int(weight)
                self._define(plot, alternatives)
            else:
                self._define(self._rule(head), alternatives)

    def _define(self, rule: Rule, alternatives: Sequence[str]) -> None:
        if rule.alternatives:
            raise ValueError(f"rule {rule.name!r} is written twice")
        compiled: list[tuple[int, Parts]] = []
        for text in alternatives:
            self._serial += 1
            tokens = _TOKEN.findall(
                re.sub(r"\s*¶\s*", "\n", text).replace("~", f"[{self._space}<pause>||]{self._space}")
            )
            compiled.append((self._serial, self._sequence(tokens)))
            if tokens:
                raise ValueError(f"rule {rule.name!r}: {tokens[0]!r} outside brackets in {text!r}")
        rule.alternatives = tuple(compiled)

    def _sequence(self, tokens: list[str]) -> Parts:
        """Take tokens up to a ``|`` or ``]``, which is left in place."""
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
            raise ValueError("a bracket opens that is not closed")
        tokens.pop(0)
        return Choice(tuple(alternatives) if len(alternatives) > 1 else (alternatives[0], ()))

    def _mark(self, inside: str) -> str | Rule:
        if "^" in inside:
            form, sense = inside.split("^")
            return mark("s", f"{self._lemmas[form]}:{sense}", form)
        if fact := re.fullmatch(r"(\w+)([=?])(.*)", inside):
            key, sign, words = fact.groups()
            return mark("f" if sign == "=" else "r", key, words)
        return self._rule(inside)


def _expand(parts: Parts, pieces: list[str], draw: Draw, used: set[int]) -> None:
    """Append the strings of one random expansion; ``used`` holds the numbers of alternatives already given."""
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
