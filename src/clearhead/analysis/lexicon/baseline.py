"""Word vectors counted from a text: the baseline for a language model's table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from clearhead.analysis.lexicon.counting import Counted, Ids
from clearhead.analysis.lexicon.table import Lexicon
from clearhead.errors import MissingExtraError, TextError

WIDTH, WINDOW = 300, 5
SMOOTHING = 0.75  # power of the contexts' frequencies


def ppmi(counted: Counted, *, width: int = WIDTH, window: int = WINDOW, name: str = "PPMI-SVD") -> Lexicon:
    """Positive pointwise mutual information of words within ``window`` of each other, factored by an SVD.

    M_wc = max(0, log P(w, c) / (P(w) P_s(c))) with P_s(c) proportional to the context's count to the power 0.75; the
    vectors are U sqrt(S) of its ``width`` largest singular values (Levy, Goldberg and Dagan 2015, 2.1, 3.1 and 3.3).
    The same text gives the same vectors. Raises MissingExtraError without scipy, TextError for fewer than three words.
    """
    try:
        from scipy.sparse import csr_array
        from scipy.sparse.linalg import svds
    except ImportError:
        raise MissingExtraError(
            "vectors counted from a text need scipy: pip install 'clearhead[words]'; or give no text"
        ) from None
    size = len(counted.words)
    if size < 3:
        raise TextError(f"the text has {size} words that are frequent enough to count; give a longer one")
    ahead_WC = csr_array((size, size))
    for left, right in _ahead(counted, window):
        ahead_WC += csr_array((np.ones(len(left)), (left, right)), shape=(size, size))
    near_WC = ahead_WC + ahead_WC.T
    of_words, of_contexts = near_WC.sum(1), near_WC.sum(0)
    smooth = of_contexts**SMOOTHING
    entries = near_WC.tocoo()
    gain = entries.data * smooth.sum() / (of_words[entries.row] * smooth[entries.col])
    entries.data = np.log(np.maximum(gain, 1.0))
    if not entries.data.any():
        raise TextError("no two words of the text are near each other more often than by chance; give a longer one")
    # a fixed start, since the default one is random
    u_WK, s_K, _ = svds(csr_array(entries), k=min(width, size - 1), v0=np.full(size, size**-0.5))
    vectors_WE = torch.from_numpy(np.ascontiguousarray(u_WK * np.sqrt(s_K))).float()
    return Lexicon(counted.words, vectors_WE, name=name, among=f"{size:,} words of the text")


def _ahead(counted: Counted, window: int) -> Iterator[tuple[Ids, Ids]]:
    """For each distance up to ``window``: the pairs of words that far apart in a document, left and right."""
    # ``window`` places without a word between documents, so that no pair spans two
    gap = np.full(window, -1, dtype=np.int64)
    text = np.concatenate([part for ids in counted.documents for part in (ids, gap)])
    for distance in range(1, window + 1):
        left, right = text[:-distance], text[distance:]
        both = (left >= 0) & (right >= 0)
        yield left[both], right[both]
