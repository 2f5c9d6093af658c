"""Neighbours, analogies and scores: answers worked out by hand, and the definitions in numpy and scikit-learn."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from clearhead.analysis.lexicon import Lexicon, of_pairs, read_questions
from clearhead.analysis.lexicon.scoring import agreement
from clearhead.errors import OptionError, TextError

# woman - man is (0, 4, 0); king + (0, 4, 0) points to queen; crown lies nearer to king than queen does.
VECTORS = {
    "man": (4.0, 0.0, 0.0),
    "woman": (4.0, 4.0, 0.0),
    "king": (4.0, 0.0, 3.0),
    "queen": (4.0, 4.0, 3.0),
    "crown": (4.0, 0.0, 4.0),
    "stone": (-1.0, 0.0, 0.0),
}


@pytest.fixture
def royal() -> Lexicon:
    return Lexicon(tuple(VECTORS), torch.tensor(list(VECTORS.values())), name="by hand", among="6 words")


def random_lexicon(words: int = 29, width: int = 7, seed: int = 0) -> Lexicon:
    vectors_WE = torch.randn(words, width, generator=torch.Generator().manual_seed(seed))
    return Lexicon([f"w{n}" for n in range(words)], vectors_WE, name="random", among="random words")


def units(lexicon: Lexicon) -> np.ndarray:
    vectors_WE = lexicon.vectors_WE.double().numpy()
    return vectors_WE / np.linalg.norm(vectors_WE, axis=1, keepdims=True)


def test_the_nearest_to_king_by_hand(royal: Lexicon):
    found = royal.nearest("king", 3)
    assert [each.word for each in found] == ["crown", "man", "queen"]
    assert [each.cosine for each in found] == pytest.approx([28 / (5 * 32**0.5), 4 / 5, 25 / (5 * 41**0.5)])


def test_cosines_are_those_of_scikit_learn():
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    lexicon = random_lexicon()
    cosines_W = pairwise.cosine_similarity(lexicon.vectors_WE.double().numpy())[3]
    found = lexicon.nearest("w3", 28)
    assert [each.word for each in found] == [f"w{n}" for n in np.argsort(-cosines_W) if n != 3]
    assert [each.cosine for each in found] == pytest.approx(sorted(np.delete(cosines_W, 3), reverse=True), abs=1e-6)


def test_an_analogy_by_hand(royal: Lexicon):
    found = royal.analogy("man", "woman", "king", 2)
    assert found.answers[0].word == "queen"
    assert found.neighbours[0].word == "crown"
    assert found.agreement == pytest.approx(1.0)
    assert {each.word for each in found.answers}.isdisjoint({"man", "woman", "king"})


def test_an_analogy_is_3cosadd():
    lexicon = random_lexicon()
    units_WE = units(lexicon)
    goal_E = units_WE[4] - units_WE[1] + units_WE[9]
    cosines_W = units_WE @ goal_E / np.linalg.norm(goal_E)
    found = lexicon.analogy("w1", "w4", "w9", 26)
    order = [n for n in np.argsort(-cosines_W) if n not in (1, 4, 9)]
    assert [each.word for each in found.answers] == [f"w{n}" for n in order]
    assert [each.cosine for each in found.answers] == pytest.approx(cosines_W[order].tolist(), abs=1e-6)
    assert found.free[0].word == f"w{cosines_W.argmax()}"


def test_a_score_counts_what_the_definition_counts():
    """In loops and float64; the pairs share words, so some answers are words of their questions."""
    random = np.random.default_rng(3)
    placed_WE = random.normal(size=(11, 3))
    placed_WE[[1, 3, 5]] = placed_WE[[0, 2, 4]] + random.normal(size=3) + 0.3 * random.normal(size=(3, 3))
    lexicon = Lexicon([f"w{n}" for n in range(11)], torch.tensor(placed_WE).float(), name="pairs", among="11 words")
    names = [("w0", "w1"), ("w2", "w3"), ("w4", "w5"), ("w6", "w5"), ("w8", "gone")]
    (found,) = lexicon.score(of_pairs({"relation": names})).relations
    units_WE, rows = units(lexicon), [(0, 1), (2, 3), (4, 5), (6, 5)]
    asked = right = free = neighbour = degenerate = 0
    for a, b in rows:
        for c, d in rows:
            if (a, b) == (c, d):
                continue
            if d in (a, b, c):
                degenerate += 1
                continue
            asked += 1
            cosines_W = units_WE @ (units_WE[b] - units_WE[a] + units_WE[c])
            free += int(cosines_W.argmax() == d)
            cosines_W[[a, b, c]] = -np.inf
            right += int(cosines_W.argmax() == d)
            near_W = units_WE @ units_WE[c]
            near_W[[a, b, c]] = -np.inf
            neighbour += int(near_W.argmax() == d)
    assert (found.questions, found.covered, found.asked) == (20, 12, asked)
    assert (found.degenerate, found.correct, found.free, found.neighbour) == (degenerate, right, free, neighbour)
    assert degenerate == 2
    assert 0 < free < right < neighbour < asked  # otherwise mixed-up counts would go unnoticed
    vectors_WE = lexicon.vectors_WE.double().numpy()
    assert found.agreement == pytest.approx(mean_cosine([vectors_WE[b] - vectors_WE[a] for a, b in rows]), abs=1e-6)
    moved = [vectors_WE[rows[(n + 1) % 4][1]] - vectors_WE[a] for n, (a, _) in enumerate(rows)]
    assert found.shuffled == pytest.approx(mean_cosine(moved), abs=1e-6)


def mean_cosine(differences: list[np.ndarray]) -> float:
    return float(np.mean([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in combinations(differences, 2)]))


def test_similar_pairs_are_answered_by_the_neighbour_without_any_common_difference():
    """The trap: all answers are right, yet the differences are at right angles."""
    places_CE, ways_CE = 10 * torch.eye(3, 6), torch.eye(6)[3:]
    vectors_WE = torch.cat([places_CE, places_CE + ways_CE])
    lexicon = Lexicon(["a", "b", "c", "A", "B", "C"], vectors_WE, name="couples", among="")
    total = lexicon.score(of_pairs({"couple": [("a", "A"), ("b", "B"), ("c", "C")]})).total
    assert (total.asked, total.correct, total.neighbour, total.free) == (6, 6, 6, 0)
    assert total.agreement == pytest.approx(0)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[2.0, 0.0], [3.0, 0.0], [1.0, 0.0]], 1.0),
        ([[1.0, 0.0], [-2.0, 0.0]], -1.0),
        ([[1.0, 0.0], [0.0, 0.0], [0.0, 5.0]], 0.0),  # a difference of length 0 has no direction
        ([[1.0, 0.0]], None),
    ],
)
def test_the_agreement_of_differences_by_hand(rows: list[list[float]], expected: float | None):
    assert agreement(torch.tensor(rows)) == (None if expected is None else pytest.approx(expected))


def test_the_error_for_an_unknown_word_names_the_nearest_spellings(royal: Lexicon):
    with pytest.raises(TextError, match=r"'quen' is not among .*nearest spellings: queen"):
        royal.nearest("quen")
    with pytest.raises(TextError, match="no word there is spelled like it"):
        royal.analogy("man", "woman", "国王")


def test_a_top_below_one_is_refused(royal: Lexicon):
    with pytest.raises(OptionError, match="top is 0"):
        royal.nearest("king", 0)


def test_questions_of_a_file(tmp_path: Path):
    path = tmp_path / "questions.txt"
    lines = [": family", "man woman king queen", "", ": capital common", "Paris France Rome Italy"]
    path.write_text("\n".join([*lines, "Rome Italy Paris France", ""]))
    assert read_questions(path) == {
        "family": [("man", "woman", "king", "queen")],
        "capital common": [("Paris", "France", "Rome", "Italy"), ("Rome", "Italy", "Paris", "France")],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [(": family\nman woman king\n", "line 2: 'man woman king' is not a question"), (": x\n", "no questions")],
)
def test_a_file_without_questions_is_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "questions.txt").write_text(text)
    with pytest.raises(TextError, match=message):
        read_questions(tmp_path / "questions.txt")


GOOGLE = Path(__file__).parents[3] / "shared" / "data" / "word-analogy" / "questions-words.txt"


@pytest.mark.skipif(not GOOGLE.exists(), reason="Google's questions are not beside the project")
def test_googles_file_has_its_19544_questions():
    found = read_questions(GOOGLE)
    assert len(found) == 14
    assert sum(map(len, found.values())) == 19_544
    assert len(found["family"]) == 506
