"""Words on a plane: their vectors in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch.nn import functional as F

from clearhead.analysis.lexicon.table import Lexicon
from clearhead.errors import MissingExtraError, TextError

METHODS = ("PCA", "t-SNE")
PERPLEXITY = 30.0  # scikit-learn's default


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """One way of laying the words on a plane: places_N2, and what a reader must know of it."""

    method: str
    places_N2: npt.NDArray[np.float64]
    note: str


@dataclass(frozen=True, kw_only=True, eq=False)
class WordMap:
    """Words on a plane, in several ways.

    groups: the group of each word; "" for none
    lines: pairs of words that are joined, by their numbers
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
    lexicon: Lexicon, words: Sequence[str], *, groups: Sequence[str] = (), lines: Sequence[tuple[int, int]] = ()
) -> WordMap:
    """The words' vectors, all of length 1, by PCA and by t-SNE (van der Maaten and Hinton 2008).

    Raises TextError below three words or if one is not in the lexicon, MissingExtraError without scikit-learn.
    """
    check_maps()
    if len(words) < 3:
        raise TextError(f"a map of {len(words)} words: there must be at least 3; ask for more with --top")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    units_NE = np.stack([F.normalize(lexicon.find(word).vector_E, dim=0).numpy() for word in words]).astype(np.float64)
    pca = PCA(n_components=2, svd_solver="full")
    flat_N2 = pca.fit_transform(units_NE)
    perplexity = min(PERPLEXITY, (len(words) - 1) / 3)
    # from the principal components, so that the same words give the same picture
    placed_N2 = TSNE(perplexity=perplexity, init=flat_N2 / max(flat_N2[:, 0].std(), 1e-12) * 1e-4, random_state=0)
    return WordMap(
        title=lexicon.name,
        words=tuple(words),
        groups=tuple(groups) or ("",) * len(words),
        lines=tuple(lines),
        panels=(
            Panel(
                method="PCA",
                places_N2=flat_N2,
                note=f"{pca.explained_variance_ratio_.sum():.0%} of the variance lies in these two directions",
            ),
            Panel(
                method="t-SNE",
                places_N2=placed_N2.fit_transform(units_NE).astype(np.float64),
                note=f"near words stay near; far distances and directions mean nothing (perplexity {perplexity:.3g})",
            ),
        ),
    )
