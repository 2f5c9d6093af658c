"""Text generation: sampling, the decoding engine, and completions, whole or streamed."""

from clearhead.generation.completion import (
    TOGETHER,
    Chunk,
    Completion,
    Finish,
    complete,
    generate,
    stream,
    stream_ids,
)
from clearhead.generation.conversation import Conversation
from clearhead.generation.defaults import Defaults, defaults, resolved
from clearhead.generation.draft import Draft
from clearhead.generation.forced import Forced, forced
from clearhead.generation.sampling import Sampling
from clearhead.generation.scores import Scores, check_scores, has_scores, score, suited
from clearhead.generation.search import BEAMS, Search, search_for
from clearhead.generation.sources import source_ids
from clearhead.generation.spans import FilledText, fill_spans
from clearhead.generation.translation import Translation, stream_translations, translate

__all__ = [
    "BEAMS",
    "TOGETHER",
    "Chunk",
    "Completion",
    "Conversation",
    "Defaults",
    "Draft",
    "FilledText",
    "Finish",
    "Forced",
    "Sampling",
    "Scores",
    "Search",
    "Translation",
    "check_scores",
    "complete",
    "defaults",
    "fill_spans",
    "forced",
    "generate",
    "has_scores",
    "resolved",
    "score",
    "search_for",
    "source_ids",
    "stream",
    "stream_ids",
    "stream_translations",
    "suited",
    "translate",
]
