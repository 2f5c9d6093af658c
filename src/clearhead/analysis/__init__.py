"""Analysis of what a model does with a text."""

from clearhead.analysis.observe import observe, observe_ids

__all__ = ["observe", "observe_ids"]
