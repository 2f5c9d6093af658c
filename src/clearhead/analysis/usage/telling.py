"""How well the vectors of a word tell its senses apart: each use against labelled uses that it shares nothing with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from clearhead.analysis.usage.contextual import Contextual, contextual
from clearhead.analysis.usage.uses import Labelled
from clearhead.errors import TextError
from clearhead.language_model import LanguageModel, check_model
from clearhead.tap import Site

FOLDS = 5

# Squared distances of vectors of length 1 within this are equal: rounding in passes of other shapes moves a vector by
# about 1e-6, so equal vectors are up to 1e-11 apart.
TIE = 1e-9

STATIC, AROUND = "static", "around"


@dataclass(frozen=True, kw_only=True)
class SensePrediction:
    """What one kind of vector tells: the number of each use's sense, by its nearest use and by the nearest centroid.

    vectors: "static", "around", or the site in the model
    """

    vectors: str
    nearest: tuple[int, ...]
    centroid: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Split:
    """One way of holding uses out.

    kind: what the uses of two folds never share: the sentence, the story or the scene
    folds: the fold of each use; its references are the uses of its word in the other folds
    """

    kind: str
    folds: tuple[int, ...]
    told: tuple[SensePrediction, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class SenseScore:
    """Senses told by vectors, at every layer. All tuples of N are in the order of the uses.

    senses: by word, most frequent first; ``truth`` and the predictions are indices into it
    first: whether no letter or digit of the text comes before the word
    levels: the sites of ``SensePrediction``, besides "static" (the word's rows of the input table) and "around" (the
        mean of those of the other tokens that it sees)
    spread: by level, the largest cosine distance between two uses of one form that come first; None without two
    vectors_LNE: the uses' vectors, float32 or wider
    pieced: how many uses have several tokens; their vectors are means
    """

    model: str | None
    causal: bool
    words: tuple[str, ...]
    forms: tuple[str, ...]
    texts: tuple[str, ...]
    senses: dict[str, tuple[str, ...]]
    truth: tuple[int, ...]
    first: tuple[bool, ...]
    levels: tuple[str, ...]
    spread: tuple[float | None, ...]
    vectors_LNE: Tensor
    pieced: int
    splits: tuple[Split, ...]

    def accuracy(self, told: Sequence[int], among: Sequence[bool] | None = None) -> float | None:
        """The share of the uses, of all or ``among`` them, whose sense is told right; None if there are none."""
        asked = [at for at in range(len(self.truth)) if among is None or among[at]]
        return sum(told[at] == self.truth[at] for at in asked) / len(asked) if asked else None

    @property
    def majority(self) -> tuple[int, ...]:
        """Always the word's most frequent sense here: the best that a guess without the sentence can do."""
        return (0,) * len(self.truth)


def sense_score(model: LanguageModel, uses: Sequence[Labelled]) -> SenseScore:
    """Tells the sense of every use by the nearest labelled use of its word, and by the nearest centroid of a sense.

    uses: from ``read_uses`` or ``clearhead.corpora.usages``; each kind of group they all have is a ``Split``

    Vectors have length 1, so the nearest is that with the largest cosine. Uses are dealt to 5 folds, sense by sense,
    groups whole (fewer folds if a sense has fewer groups). Of references that are equally near, the sense that most of
    them have counts. Equal to scikit-learn's KNeighborsClassifier(1) and NearestCentroid over the same folds.

    Raises TextError for a word with one sense only, or a sense with one group only; and as ``contextual`` does.
    """
    check_model(model, "sense_score")
    named = _senses(uses)
    truth = [named[use.word].index(use.sense) for use in uses]
    kinds = [kind for kind in (uses[0].groups if uses else ()) if all(kind in use.groups for use in uses)]
    folds = {kind: _dealt(uses, kind) for kind in kinds}
    found = contextual(model, uses)
    sets = [(STATIC, found.static_NE), (AROUND, found.around_NE)]
    sets += [(str(site), x_NE) for site, x_NE in zip(found.levels, found.x_LNE, strict=True)]
    return SenseScore(
        model=model.name or None,
        causal=found.causal,
        words=tuple(use.word for use in uses),
        forms=tuple(use.text[use.start : use.end] for use in uses),
        texts=tuple(use.text for use in uses),
        senses=named,
        truth=tuple(truth),
        first=found.first,
        levels=tuple(map(str, found.levels)),
        spread=_spread(uses, found),
        vectors_LNE=found.x_LNE,
        pieced=sum(len(tokens) > 1 for tokens in found.tokens),
        splits=tuple(
            Split(
                kind=kind,
                folds=tuple(dealt),
                told=tuple(_told(name, x_NE, uses, truth, dealt) for name, x_NE in sets),
            )
            for kind, dealt in folds.items()
        ),
    )


def unit(x_NE: Tensor) -> Tensor:
    """The vectors in float64, of length 1; zeros stay."""
    return F.normalize(x_NE.double(), dim=-1)


def level_name(site: Site | str) -> str:
    """``embedding`` for the stream before the first layer, ``layer 3`` for that after a layer."""
    parts = str(site).split(".")
    return parts[0] if len(parts) == 1 else "embedding" if parts[-1] == "embedding" else f"layer {parts[1]}"


def nearest_use(tests_QE: Tensor, references_RE: Tensor, senses: Sequence[int], count: int) -> list[int]:
    """The sense of each test's nearest reference; where several are equally near, that of most of them."""
    distances_QR = _squares(tests_QE, references_RE)
    near_QR = (distances_QR <= distances_QR.amin(1, keepdim=True) + TIE).double()
    votes_QS = near_QR @ F.one_hot(torch.tensor(senses), count).double()
    return (votes_QS == votes_QS.amax(1, keepdim=True)).int().argmax(1).tolist()


def nearest_centroid(tests_QE: Tensor, references_RE: Tensor, senses: Sequence[int], count: int) -> list[int]:
    """The sense whose references' mean is nearest to each test; of equally near ones the more frequent."""
    rows: dict[int, list[int]] = defaultdict(list)
    for row, sense in enumerate(senses):
        rows[sense].append(row)
    present = [sense for sense in range(count) if sense in rows]
    centroids_SE = torch.stack([references_RE[rows[sense]].mean(0) for sense in present])
    distances_QS = _squares(tests_QE, centroids_SE)
    near_QS = distances_QS <= distances_QS.amin(1, keepdim=True) + TIE
    return [present[place] for place in near_QS.int().argmax(1).tolist()]


def _squares(a_QE: Tensor, b_RE: Tensor) -> Tensor:
    """Squared Euclidean distances."""
    return a_QE.square().sum(1, keepdim=True) - 2 * a_QE @ b_RE.T + b_RE.square().sum(1)


def _told(
    name: str, x_NE: Tensor, uses: Sequence[Labelled], truth: Sequence[int], folds: Sequence[int]
) -> SensePrediction:
    units_NE = unit(x_NE)
    nearest, centroid = [0] * len(uses), [0] * len(uses)
    for word in dict.fromkeys(use.word for use in uses):
        own = [at for at, use in enumerate(uses) if use.word == word]
        count = 1 + max(truth[at] for at in own)
        for fold in sorted({folds[at] for at in own}):
            tests = [at for at in own if folds[at] == fold]
            references = [at for at in own if folds[at] != fold]
            given = units_NE[tests], units_NE[references], [truth[at] for at in references], count
            for at, one, other in zip(tests, nearest_use(*given), nearest_centroid(*given), strict=True):
                nearest[at], centroid[at] = one, other
    return SensePrediction(vectors=name, nearest=tuple(nearest), centroid=tuple(centroid))


def _senses(uses: Sequence[Labelled]) -> dict[str, tuple[str, ...]]:
    """The senses of each word, most frequent first."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for use in uses:
        counts[use.word][use.sense] += 1
    for word, counted in counts.items():
        if len(counted) == 1:
            (sense,) = counted
            raise TextError(
                f"senses: every use of {word!r} has one sense, {sense!r}; label uses in at least two senses (of "
                "built-in uses, take more stories), or leave the word out"
            )
    return {word: tuple(sense for sense, _ in counted.most_common()) for word, counted in counts.items()}


def _dealt(uses: Sequence[Labelled], kind: str) -> list[int]:
    """The fold of each use: the groups of each sense are dealt in turn, so that every fold has some of each."""
    groups: dict[str, dict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
    for use in uses:
        groups[use.word][use.sense][use.groups[kind]] = None
    folds = [0] * len(uses)
    for word, of_senses in groups.items():
        sense = min(of_senses, key=lambda each: len(of_senses[each]))
        if len(of_senses[sense]) == 1:
            raise TextError(
                f"senses: the sense {sense!r} of {word!r} has uses in one {kind} only, so there is nothing to compare "
                "them with; label its uses in at least two, or leave the word out"
            )
        count = min(FOLDS, len(of_senses[sense]))
        fold_of: dict[str, int] = {}
        for each in of_senses.values():
            new = [group for group in each if group not in fold_of]
            fold_of |= {group: number % count for number, group in enumerate(new)}
        for at, use in enumerate(uses):
            if use.word == word:
                folds[at] = fold_of[use.groups[kind]]
    return folds


def _spread(uses: Sequence[Labelled], found: Contextual) -> tuple[float | None, ...]:
    forms: dict[str, list[int]] = defaultdict(list)
    for at, use in enumerate(uses):
        if found.first[at]:
            forms[use.text[: use.end]].append(at)
    several = [rows for rows in forms.values() if len({uses[at].text for at in rows}) > 1]
    if not several:
        return (None,) * len(found.levels)
    return tuple(max(float(1 - (unit(x[rows]) @ unit(x[rows]).T).min()) for rows in several) for x in found.x_LNE)
