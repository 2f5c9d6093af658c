"""Pictures of records and gradients: terminal tables, figures and web pages."""

from clearhead.drawing.draw import ENDINGS, draw, draw_attribution
from clearhead.drawing.draw_alignment import ALIGNMENT_ENDINGS, AlignmentTable, draw_alignment
from clearhead.drawing.draw_atlas import check_atlas, draw_atlas
from clearhead.drawing.draw_history import draw_history
from clearhead.drawing.draw_lens import draw_lens
from clearhead.drawing.draw_next import draw_next
from clearhead.drawing.draw_parts import draw_parts
from clearhead.drawing.draw_senses import check_senses_path, draw_senses
from clearhead.drawing.draw_steps import draw_steps, table_of_steps
from clearhead.drawing.draw_sweep import draw_effect, draw_sweep
from clearhead.drawing.focus import Focus, prediction_place, query_place
from clearhead.drawing.gradient import AttributionTable
from clearhead.drawing.history_table import HistoryTable
from clearhead.drawing.lens_table import LensTable
from clearhead.drawing.next_table import NextTable
from clearhead.drawing.parts_table import PartsTable
from clearhead.drawing.sweep_table import EffectTable, SweepTable
from clearhead.drawing.terminal import table_of_answer, table_of_attention
from clearhead.drawing.word_map import MAP_ENDINGS, check_map, draw_words

__all__ = [
    "ALIGNMENT_ENDINGS",
    "ENDINGS",
    "MAP_ENDINGS",
    "AlignmentTable",
    "AttributionTable",
    "EffectTable",
    "Focus",
    "HistoryTable",
    "LensTable",
    "NextTable",
    "PartsTable",
    "SweepTable",
    "check_atlas",
    "check_map",
    "check_senses_path",
    "draw",
    "draw_alignment",
    "draw_atlas",
    "draw_attribution",
    "draw_effect",
    "draw_history",
    "draw_lens",
    "draw_next",
    "draw_parts",
    "draw_senses",
    "draw_steps",
    "draw_sweep",
    "draw_words",
    "prediction_place",
    "query_place",
    "table_of_answer",
    "table_of_attention",
    "table_of_steps",
]
