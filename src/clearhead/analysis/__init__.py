"""What a model does with a text: one watched pass, one head step by step, what comes next."""

from clearhead.analysis.observe import observe, observe_ids
from clearhead.analysis.one_head import Steps, steps

__all__ = ["Steps", "observe", "observe_ids", "steps"]
