"""What a model does with a text: one watched pass."""

from clearhead.analysis.observe import observe, observe_ids

__all__ = ["observe", "observe_ids"]
