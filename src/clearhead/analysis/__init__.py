"""What a model does with a text: one watched pass, or the gradient of one prediction."""

from clearhead.analysis.attribution import Attribution, attribution
from clearhead.analysis.observe import observe, observe_ids, words_of

__all__ = ["Attribution", "attribution", "observe", "observe_ids", "words_of"]
