"""Experiments: kinds of models trained on the same tokens and compared."""

from clearhead.lab.comparison import FILE, Comparison, ComparisonEvents, carry_out, read
from clearhead.lab.picture import check_picture, draw_comparison
from clearhead.lab.python import compare
from clearhead.lab.question import Question, asked
from clearhead.lab.summary import lines
from clearhead.lab.table import ComparisonTable
from clearhead.lab.trial import Trial

__all__ = [
    "FILE",
    "Comparison",
    "ComparisonEvents",
    "ComparisonTable",
    "Question",
    "Trial",
    "asked",
    "carry_out",
    "check_picture",
    "compare",
    "draw_comparison",
    "lines",
    "read",
]
