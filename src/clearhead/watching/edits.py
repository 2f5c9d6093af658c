"""Interventions as values: printable, hashable, serialisable; given to ``watch`` and applied as the model runs.

An edit names its site by layer, kind and stack. Kinds are attention within the text (``self``) or to another
(``cross``), the ``feed_forward``, the ``residual`` stream after the layer, and the ``embedding``, the stream before
layer 0. The stack (``decoder``, ``encoder``) is only needed if the model has both. An edit acts on every text of a
record unless it names one, and on every place unless it names some. ``layer`` may be several, such as ``range(4, 9)``,
or None for every layer that has such a site: the same as one edit for each of them.

Places count from the start of each text, without padding. Where the text's words are known (``observe``, ``generate``,
``effect``, ``sweep``), a place may also be a word of the text, or negative, from the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from numbers import Real
from operator import index
from typing import Any, Protocol, SupportsIndex, cast, runtime_checkable

from clearhead.errors import WatchError, nearest, shown
from clearhead.tap import Site
from clearhead.watching.text_record import TextRecord

Place = int | str
Layers = int | Iterable[int] | None

# What a patch can replace in an attention: its output, its weights, or what they are computed from.
WHATS = ("output", "pattern", "query", "key", "value")


@runtime_checkable
class Texts(Protocol):
    """A record, or one text of a record."""

    def each(self) -> list[TextRecord]:
        """Every text."""
        ...


class _Short:
    """A dataclass whose repr, which begins every error about it, leaves out what is at its default."""

    def __repr__(self) -> str:
        values = [(each, getattr(self, each.name)) for each in fields(cast(Any, self))]
        given = [f"{each.name}={value!r}" for each, value in values if value is not each.default]
        return f"{type(self).__name__}({', '.join(given)})"


@dataclass(frozen=True, kw_only=True, repr=False)
class Scale(_Short):
    """Multiplies one head's output by ``factor``, or, without ``head``, the whole part's output (or the stream)."""

    layer: Layers
    head: int | None = None
    factor: float
    at: Place | Iterable[Place] | None = None
    kind: str = "self"
    stack: str | None = None
    text: int | None = None

    def __post_init__(self) -> None:
        _check(self)
        _finite(self, self.factor)
        if self.factor == 1:
            raise WatchError(f"{self}: the factor is 1, which changes nothing; leave the edit out")


@dataclass(frozen=True, kw_only=True, repr=False)
class Ablate(_Short):
    """Zeroes one head's output (Michel et al. 2019), or, without ``head``, the whole part's.

    mean: instead of 0, put the mean output over all places of this text, or of all texts of this record; it must have
        kept the outputs (Wang et al. 2023, 3.1)

    The attention weights in the record stay as computed.
    """

    layer: Layers
    head: int | None = None
    mean: Texts | None = None
    at: Place | Iterable[Place] | None = None
    kind: str = "self"
    stack: str | None = None
    text: int | None = None

    def __post_init__(self) -> None:
        _check(self)
        if not isinstance(self.mean, Texts | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise WatchError(f"{self}: mean is {shown(self.mean)}; it must be a record, or one text of a record")


@dataclass(frozen=True, kw_only=True, repr=False)
class Knockout(_Short):
    """Hides one key place from one query place, in every head of the layer or in one (Geva et al. 2023)."""

    layer: Layers
    query: Place
    key: Place
    head: int | None = None
    kind: str = "self"
    stack: str | None = None
    text: int | None = None

    def __post_init__(self) -> None:
        _layers(self)
        _numbers(self, "head", "text")
        _places(self, "query", (self.query,))
        _places(self, "key", (self.key,))


@dataclass(frozen=True, kw_only=True, repr=False)
class Patch(_Short):
    """Puts in what ``source``, a text of another record, had there (activation patching: Meng et al. 2022, 2.1).

    what: of an attention, its ``output`` (the default, also of the other parts), its ``query``, ``key`` or ``value``
        vectors, or its ``pattern``: queries and keys of the source, values of this run, under this run's mask, through
        the same kernel. Nothing of size T x T is made.
    head: one query head; None for the whole part, or all heads
    at, source_at: places of this text (for keys and values: places of keys), and as many of the source; None for the
        same places as ``at``. Without ``at``, both texts must have the same number of places.

    A watch raises WatchError if the patch changed nothing; ``Freeze`` may change nothing.
    """

    layer: Layers
    source: TextRecord
    head: int | None = None
    what: str = "output"
    at: Place | Iterable[Place] | None = None
    source_at: Place | Iterable[Place] | None = None
    kind: str = "self"
    stack: str | None = None
    text: int | None = None

    def __post_init__(self) -> None:
        _check(self)
        if not isinstance(self.source, TextRecord):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise WatchError(f"{self}: source is {shown(self.source)}; it must be one text of a record, record[text]")
        object.__setattr__(self, "source_at", _tuple(self, "source_at", self.source_at))
        if self.what not in WHATS:
            raise WatchError(f"{self}: there is no {self.what!r} to patch{nearest(self.what, WHATS)}")
        if self.what != "output" and self.kind not in ("self", "cross"):
            raise WatchError(f"{self}: only attention has a {self.what}; patch the output of the {self.kind}")
        if self.what == "pattern" and self.at is not None:
            raise WatchError(f"{self}: a pattern is that of the whole text; leave `at` out, or patch the query there")
        ours, theirs = places(self.at), places(self.source_at)
        if theirs is not None and (ours is None or len(ours) != len(theirs)):
            count = "all" if ours is None else len(ours)
            raise WatchError(
                f"{self}: {count} places of the text and {len(theirs)} of the source; give as many of each"
            )


@dataclass(frozen=True, kw_only=True, repr=False)
class Freeze(Patch):
    """A patch that holds something as it was in ``source``, and may change nothing; by default a pattern."""

    what: str = "pattern"


@dataclass(frozen=True, kw_only=True)
class Direction:
    """A direction in the residual stream at a site, and the texts it was made from (``clearhead.direction``).

    vector: E numbers, which may be given as a tensor
    """

    site: Site
    vector: tuple[float, ...]
    toward: tuple[str, ...] = ()
    away: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "vector", tuple(map(float, self.vector)))
        except (TypeError, ValueError, RuntimeError):  # the last for a tensor of several rows
            raise WatchError(
                f"Direction: vector is {shown(self.vector)}; it must be one row of numbers, as many as the stream is "
                "wide"
            ) from None

    def __repr__(self) -> str:
        length = math.sqrt(sum(number * number for number in self.vector))
        return f"Direction({self.site}, length {length:.3g}, toward {list(self.toward)}, away from {list(self.away)})"


@dataclass(frozen=True, kw_only=True, repr=False)
class Steer(_Short):
    """Adds ``factor`` times a direction to the residual stream at the direction's site (Turner et al. 2023)."""

    direction: Direction
    factor: float = 1.0
    at: Place | Iterable[Place] | None = None
    text: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.direction, Direction):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise WatchError(
                f"Steer: direction is {shown(self.direction)}; it must be clearhead.direction(model, toward, away, "
                'layer=6), or of a vector of your own clearhead.Direction(site=clearhead.Site(6, "residual"), '
                "vector=x_E)"
            )
        _check(self)
        _finite(self, self.factor)
        if self.factor == 0:
            raise WatchError(f"{self}: the factor is 0, which changes nothing; leave the edit out")
        if self.kind not in ("residual", "embedding"):
            raise WatchError(f"{self}: the direction is at {self.direction.site}; steer the residual or the embedding")

    @property
    def layer(self) -> int:
        """The layer of the direction's site."""
        return self.direction.site.layer

    @property
    def kind(self) -> str:
        """The kind of the direction's site."""
        return self.direction.site.kind

    @property
    def stack(self) -> str:
        """The stack of the direction's site."""
        return self.direction.site.stack

    @property
    def head(self) -> None:
        """None: the whole stream."""
        return None


Edit = Scale | Ablate | Knockout | Patch | Freeze | Steer
EDITS: dict[str, type[Edit]] = {
    "scale": Scale,
    "ablate": Ablate,
    "knockout": Knockout,
    "patch": Patch,
    "freeze": Freeze,
    "steer": Steer,
}
OPTIONAL = ("head", "text")  # None: all


def listed(edits: object) -> tuple[Edit, ...]:
    """One edit or several as a tuple. Raises WatchError for anything else."""
    one = isinstance(edits, Edit | str) or not isinstance(edits, Iterable)
    found: list[Edit] = []
    for edit in (edits,) if one else cast(Iterable[object], edits):
        if not isinstance(edit, Edit):
            kinds = ", ".join(kind.__name__ for kind in EDITS.values())
            way = "; clearhead.edit(model, text) makes one of a text" if isinstance(edit, str) else ""
            raise WatchError(f"edits: {shown(edit)} was given; an edit is one of {kinds}{way}")
        found.append(edit)
    return tuple(found)


def layers(edit: Edit) -> tuple[int, ...] | None:
    """The layers of an edit in ascending order; None for every layer."""
    given = cast("int | tuple[int, ...] | None", edit.layer)
    return (given,) if isinstance(given, int) else given


def places(at: Place | Iterable[Place] | None) -> tuple[Place, ...] | None:
    """``at`` of an edit, which is a tuple once the edit is made."""
    return cast("tuple[Place, ...] | None", at)


def numbered(edit: Edit, name: str) -> tuple[int, ...] | None:
    """The places in a field of an edit, all by number. Raises WatchError for a word, or a number from the end."""
    given = getattr(edit, name, None)
    given = given if given is None or isinstance(given, tuple) else (given,)
    for place in cast("tuple[Place, ...]", given or ()):
        if isinstance(place, str) or place < 0:
            raise WatchError(
                f"{edit}: {name} is {place!r}, and the words of the text are not known here; count from 0, or use "
                "clearhead.observe, generate, effect or sweep, which know them"
            )
    return cast("tuple[int, ...] | None", given)


def pair(edit: Knockout) -> tuple[int, int]:
    """Query and key of a knock-out by number. Raises WatchError as ``numbered`` does."""
    query, key = (place for name in ("query", "key") for place in numbered(edit, name) or ())
    return query, key


def for_text(edit: Edit, text: int | None) -> Edit:
    """The same edit, of one text."""
    return replace(edit, text=text)


def _check(edit: Scale | Ablate | Patch | Steer) -> None:
    if not isinstance(edit, Steer):
        _layers(edit)
    _numbers(edit, "head", "text")
    object.__setattr__(edit, "at", _tuple(edit, "at", edit.at))


def _layers(edit: Scale | Ablate | Knockout | Patch) -> None:
    """Makes ``layer`` a number, or a tuple of several in ascending order; None for every layer stays."""
    given = edit.layer
    if given is None:
        return
    try:
        found = sorted(map(index, given if isinstance(given, Iterable) else (given,)))
    except TypeError:
        raise WatchError(
            f"{edit}: layer is {shown(given)}; it must be a whole number, several of them, or None for every layer"
        ) from None
    if not found or len(set(found)) < len(found):
        raise WatchError(f"{edit}: layer must name at least one layer, and each once; None stands for every layer")
    object.__setattr__(edit, "layer", found[0] if len(found) == 1 else tuple(found))


def _numbers(edit: Edit, *names: str) -> None:
    for name in names:
        value = getattr(edit, name)
        if value is None and name in OPTIONAL:
            continue
        try:
            index(cast(SupportsIndex, value))
        except TypeError:
            raise WatchError(f"{edit}: {name} is {shown(value)}; it must be a whole number") from None


def _finite(edit: Edit, factor: object) -> None:
    if not (isinstance(factor, Real) and math.isfinite(factor)):
        raise WatchError(f"{edit}: factor is {shown(factor)}; it must be a finite number")


def _tuple(edit: Edit, name: str, given: object) -> tuple[Place, ...] | None:
    """One place or several as a tuple; None for all."""
    if given is None:
        return None
    several = isinstance(given, Iterable) and not isinstance(given, str)
    found = tuple(cast(Iterable[Place], given)) if several else (cast(Place, given),)
    _places(edit, name, found)
    if not found:
        raise WatchError(f"{edit}: {name} is empty; name a place, or leave it out for all")
    return found


def _places(edit: Edit, name: str, given: tuple[Place, ...]) -> None:
    for place in given:
        if isinstance(place, str):
            continue
        try:
            index(cast(SupportsIndex, place))
        except TypeError:
            raise WatchError(f"{edit}: {name} is {shown(place)}; it must be a whole number, or a word") from None
