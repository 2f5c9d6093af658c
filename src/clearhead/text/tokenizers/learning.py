"""Learns BPE merges. A worker (child.py): the library's learner heeds no Ctrl-C; ending its process stops it.

The request: tokenizer (the JSON of one without merges), texts, options (of the library's BpeTrainer). The notes are the
library's own: {"stage": "Compute merges", "current": 12, "total": 4096}. The answer is the JSON of the tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tokenizers
from tokenizers import trainers


def answer(request: dict[str, Any], note: Callable[[Any], None]) -> str:
    """The tokenizer with what was learned from the texts."""
    made = tokenizers.Tokenizer.from_str(request["tokenizer"])
    made.train_from_iterator(
        request["texts"], trainers.BpeTrainer(**request["options"], show_progress=True, progress_format="json")
    )
    return made.to_str()
