"""Words counted from a text, their vectors against the definition, and words laid on a plane."""

from collections import Counter

import numpy as np
import pytest
from test_lexicon import random_lexicon

from clearhead.analysis.lexicon import Lexicon, count, ppmi, split_words, spread
from clearhead.errors import TextError

TEXTS = ["the king saw the queen and the queen saw the king", "a man and a woman saw the king", "the man saw a queen"]


@pytest.mark.parametrize(
    ("text", "known", "words"),
    [
        ("The king's men, 3 of them.", [], ["The", "king", "s", "men", "of", "them"]),
        ("国王和女王", [], ["国", "王", "和", "女", "王"]),
        ("国王和女王", ["国王", "女王", "王和"], ["国王", "和", "女王"]),
        ("女王陛下来了", ["女王", "女王陛下"], ["女王陛下", "来", "了"]),
        ("say 国王2 now", ["国王"], ["say", "国王", "now"]),
    ],
)
def test_text_is_cut_into_words(text: str, known: list[str], words: list[str]):
    assert split_words(text, known) == words


def test_words_are_counted_and_rare_ones_dropped():
    counted = count(["b a b", "a b c"], at_least=2)
    assert (counted.words, counted.counts) == (("b", "a"), (3, 2))
    assert [ids.tolist() for ids in counted.documents] == [[0, 1, 0], [1, 0]]


def test_a_text_without_frequent_words_is_refused():
    with pytest.raises(TextError, match="no word occurs 5 times"):
        count(["one two three"])


def test_a_text_whose_words_never_meet_is_refused():
    with pytest.raises(TextError, match="no two words of the text are near each other more often than by chance"):
        ppmi(count(["one"] * 9 + ["two"] * 9 + ["three"] * 9, set()))


def test_counted_vectors_are_the_factors_of_the_definition():
    """PPMI in loops, numpy's SVD; V V^T = U S U^T does not depend on signs."""
    pytest.importorskip("scipy")
    counted = count(TEXTS, at_least=1)
    size, pairs = len(counted.words), Counter()
    for ids in counted.documents:
        for i, left in enumerate(ids.tolist()):
            for j, right in enumerate(ids.tolist()):
                if i != j and abs(i - j) <= 2:
                    pairs[left, right] += 1
    n_WC = np.array([[pairs[w, c] for c in range(size)] for w in range(size)], dtype=float)
    chance_W, chance_C = n_WC.sum(1) / n_WC.sum(), n_WC.sum(0) ** 0.75 / (n_WC.sum(0) ** 0.75).sum()
    with np.errstate(divide="ignore"):
        m_WC = np.maximum(np.log(n_WC / n_WC.sum() / np.outer(chance_W, chance_C)), 0)
    u_WK, s_K, _ = np.linalg.svd(m_WC)
    vectors_WE = ppmi(counted, width=3, window=2).vectors_WE.numpy()
    assert vectors_WE @ vectors_WE.T == pytest.approx(u_WK[:, :3] * s_K[:3] @ u_WK[:, :3].T, abs=1e-5)


def test_the_same_text_gives_the_same_counted_vectors():
    pytest.importorskip("scipy")
    first, second = (ppmi(count(TEXTS, at_least=1)).vectors_WE for _ in range(2))
    assert (first == second).all()


def test_a_plane_is_numpys_principal_components_and_keeps_neighbours():
    manifold = pytest.importorskip("sklearn.manifold")
    lexicon = random_lexicon(words=40, width=5)
    drawn = spread(lexicon, lexicon.words, lines=[(0, 1)])
    pca, tsne = drawn.panels
    units_NE = (lexicon.vectors_WE / lexicon.vectors_WE.norm(dim=1, keepdim=True)).double().numpy()
    centred_NE = units_NE - units_NE.mean(0)
    _, s_K, v_KE = np.linalg.svd(centred_NE, full_matrices=False)
    assert np.abs(pca.places_N2) == pytest.approx(np.abs(centred_NE @ v_KE[:2].T), abs=1e-5)
    assert pca.figure == pytest.approx((s_K[:2] ** 2).sum() / (s_K**2).sum())
    assert manifold.trustworthiness(units_NE, tsne.places_N2, n_neighbors=5) > 0.8
    again = spread(lexicon, lexicon.words).panels[1]
    assert (again.places_N2 == tsne.places_N2).all()


def test_a_map_of_two_words_is_refused():
    pytest.importorskip("sklearn")
    lexicon: Lexicon = random_lexicon()
    with pytest.raises(TextError, match="a map of 2 words: there must be at least 3"):
        spread(lexicon, ["w0", "w1"])
