"""What a model does with a text, and what its words are as vectors."""

from clearhead.analysis.lexicon import Lexicon, words
from clearhead.analysis.observe import observe, observe_ids

__all__ = ["Lexicon", "observe", "observe_ids", "words"]
