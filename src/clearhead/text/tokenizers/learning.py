"""Learns BPE merges, in a worker process (child.py), since the library's learner ignores Ctrl-C.

The request has tokenizer (its JSON, without merges), texts and options (for the library's BpeTrainer). The notes are
the library's own: {"stage": "Compute merges", "current": 12, "total": 4096}. The answer is the JSON of the tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tokenizers
from tokenizers import trainers


def answer(request: dict[str, Any], note: Callable[[Any], None]) -> str:
    """Returns the tokenizer with the merges learned from the texts."""
    made = tokenizers.Tokenizer.from_str(request["tokenizer"])
    made.train_from_iterator(
        request["texts"], trainers.BpeTrainer(**request["options"], show_progress=True, progress_format="json")
    )
    return made.to_str()
