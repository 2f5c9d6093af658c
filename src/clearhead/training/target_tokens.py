"""The objective of encoder-decoders: each token of a target is predicted from the source and the tokens before it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clearhead.errors import OptionError, TextError
from clearhead.text import Batch, PairBatches, Pairs
from clearhead.text.data.pair_batches import in_order
from clearhead.text.data.windows import Int64


class TargetTokens:
    """Sentence pairs in batches of as many tokens as ``batch`` windows of ``context``, both sides counted."""

    ability, unit, one_shape = "text to text", "token", False

    def windows(self, data: Pairs, *, context: int, batch: int, seed: int) -> PairBatches:
        """The batches of a run."""
        return PairBatches(data, tokens=batch * context, seed=seed)

    def batch(self, windows: Batch, step: int) -> Batch:
        """The pairs as they are."""
        return windows

    def trial(self, ids_BT: Int64) -> Batch:
        """A batch of random pairs with as many tokens, for timing: sentences of 16 tokens."""
        length = min(16, max(1, ids_BT.size // 2))
        rows = ids_BT.size // (2 * length)
        source_BS, target_BT = np.split(ids_BT.ravel()[: 2 * rows * length].reshape(2 * rows, length), 2)
        return Batch(ids_BT=target_BT, targets_BT=target_BT, documents_BT=None, source_BS=source_BS)

    def in_order(self, data: Pairs, *, context: int, batch: int, stride: int | None) -> Iterator[Batch]:
        """Every pair once, sorted by length. Raises OptionError for a stride: sentences are read whole."""
        if stride is not None:
            raise OptionError(f"stride {stride}: is for models that predict the next token of a text; leave it out")
        return in_order(data, tokens=batch * context)

    def check(self, data: Pairs) -> None:
        """Raises TextError if there is nothing to predict."""
        if not data.count:
            raise TextError("there are no pairs to evaluate on; give more, or name others with --valid")


TARGET_TOKENS = TargetTokens()
