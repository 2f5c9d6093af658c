"""Words on a plane: their vectors in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch.nn import functional as F

from clearhead.analysis.lexicon.questions import AnalogyQuestions
from clearhead.analysis.lexicon.table import Lexicon
from clearhead.errors import MissingExtraError, TextError, many

PERPLEXITY = 30.0  # scikit-learn's default

Method = Literal["PCA", "t-SNE"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """One way of laying the words on a plane.

    method: "PCA" or "t-SNE"
    figure: for PCA, the share of the variance that lies in the two directions; for t-SNE, the perplexity
    """

    method: Method
    places_N2: npt.NDArray[np.float64]
    figure: float


@dataclass(frozen=True, kw_only=True, eq=False)
class WordMap:
    """Words on a plane, in several ways.

    groups: the group of each word; "" for none
    lines: pairs of words to join, by index
    """

    title: str
    words: tuple[str, ...]
    groups: tuple[str, ...]
    lines: tuple[tuple[int, int], ...]
    panels: tuple[Panel, ...]


def check_maps() -> None:
    """Raises MissingExtraError if scikit-learn is not installed."""
    try:
        import sklearn  # noqa: F401  # pyright: ignore[reportUnusedImport, reportMissingImports]
    except ImportError:
        raise MissingExtraError("a map needs scikit-learn: pip install 'clearhead[words]'") from None


def spread(
    lexicon: Lexicon,
    words: Sequence[str],
    *,
    groups: Sequence[str] = (),
    lines: Sequence[tuple[int, int]] = (),
    way: str = "name more words",
) -> WordMap:
    """The words' vectors, all of length 1, by PCA and by t-SNE (van der Maaten and Hinton 2008).

    Raises TextError for fewer than three words (``way`` is the way out) or one that the lexicon lacks,
    MissingExtraError without scikit-learn.
    """
    check_maps()
    if len(words) < 3:
        raise TextError(f"a map of {many(len(words), 'word')}: there must be at least 3; {way}")
    from sklearn.manifold import TSNE

    units_NE = np.stack([F.normalize(lexicon.find(word).vector_E, dim=0).numpy() for word in words]).astype(np.float64)
    flat = pca(units_NE)
    flat_N2 = flat.places_N2
    perplexity = min(PERPLEXITY, (len(words) - 1) / 3)
    # from the principal components, so that the same words give the same picture
    placed_N2 = TSNE(perplexity=perplexity, init=flat_N2 / max(flat_N2[:, 0].std(), 1e-12) * 1e-4, random_state=0)
    return WordMap(
        title=lexicon.name,
        words=tuple(words),
        groups=tuple(groups) or ("",) * len(words),
        lines=tuple(lines),
        panels=(
            flat,
            Panel(
                method="t-SNE",
                places_N2=placed_N2.fit_transform(units_NE).astype(np.float64),
                figure=perplexity,
            ),
        ),
    )


def pca(x_NE: npt.NDArray[np.float64]) -> Panel:
    """The vectors by their first two principal components; they must differ. Needs scikit-learn (``check_maps``)."""
    from sklearn.decomposition import PCA

    made = PCA(n_components=2, svd_solver="full")
    return Panel(
        method="PCA",
        places_N2=made.fit_transform(x_NE),
        figure=float(made.explained_variance_ratio_.sum()),
    )


def map_of_answers(lexicon: Lexicon, asked: Sequence[str], answers: Sequence[str]) -> WordMap:
    """The words asked for and the answers; lines join the two pairs of an analogy."""
    words = list(dict.fromkeys([*asked, *answers]))
    groups = ["asked" if word in asked else "answers" for word in words]
    lines = [(0, 1), (2, words.index(answers[0]))] if len(set(asked)) == 3 else []
    return spread(lexicon, words, groups=groups, lines=lines, way="ask for more answers (--top)")


def map_of_pairs(lexicon: Lexicon, questions: AnalogyQuestions) -> WordMap:
    """The pairs of all questions that the lexicon lists, joined by lines; a word is in the group of its first relation.

    Raises as ``spread`` does.
    """
    listed = lexicon.listed(word for each in questions.values() for four in each for word in four)
    groups: dict[str, str] = {}
    pairs: dict[tuple[str, str], None] = {}
    for relation, each in questions.items():
        for a, b, c, d in each:
            for pair in ((a, b), (c, d)):
                if pair[0] in listed and pair[1] in listed:
                    pairs[pair] = None
                    groups |= {word: groups.get(word, relation) for word in pair}
    words = list(groups)
    place = {word: number for number, word in enumerate(words)}
    lines = [(place[one], place[other]) for one, other in pairs]
    way = "ask questions whose words the lexicon has (--questions), or count those of a text (--text)"
    return spread(lexicon, words, groups=list(groups.values()), lines=lines, way=way)
