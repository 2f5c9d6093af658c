"""Words as vectors: the rows of a model's tables, or vectors counted from a text, and what their geometry shows."""

from clearhead.analysis.lexicon.baseline import ppmi
from clearhead.analysis.lexicon.counting import Counted, count, split_words
from clearhead.analysis.lexicon.plane import Panel, WordMap, check_maps, map_of_answers, map_of_pairs, pca, spread
from clearhead.analysis.lexicon.questions import (
    AnalogyQuestion,
    AnalogyQuestions,
    of_pairs,
    question_sets,
    read_questions,
)
from clearhead.analysis.lexicon.scoring import AnalogyScore, Tally
from clearhead.analysis.lexicon.table import CHARACTERS, LETTERS, Analogy, Lexicon, Neighbour, Word
from clearhead.analysis.lexicon.tokens import TABLES, count_words, words

__all__ = [
    "CHARACTERS",
    "LETTERS",
    "TABLES",
    "Analogy",
    "AnalogyQuestion",
    "AnalogyQuestions",
    "AnalogyScore",
    "Counted",
    "Lexicon",
    "Neighbour",
    "Panel",
    "Tally",
    "Word",
    "WordMap",
    "check_maps",
    "count",
    "count_words",
    "map_of_answers",
    "map_of_pairs",
    "of_pairs",
    "pca",
    "ppmi",
    "question_sets",
    "read_questions",
    "split_words",
    "spread",
    "words",
]
