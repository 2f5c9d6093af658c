"""Analysis of what a model does with a text: watched passes, and the gradient of a prediction."""

from clearhead.analysis.attribution import Attribution, attribution
from clearhead.analysis.observe import observe, observe_ids, words_of

__all__ = ["Attribution", "attribution", "observe", "observe_ids", "words_of"]
